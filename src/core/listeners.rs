//! The links that listen for events, as one reactor knows them: every reactor has the same list, kept by operations that
//! go to all. Decides which links an event is for; knows nothing of how it gets there.

use crate::dispatch::{EventForm, EventKind, EventSet, LinkForm, Listen, With};
use crate::session::{AppId, Name, SessionId};
use crate::upgrade::InvalidState;
use minicbor::{Decode, Encode};
use smallvec::SmallVec;

/// See the module.
#[derive(Debug, Default)]
pub struct Listeners {
    /// None is empty.
    groups: Vec<Group>,
    /// What any of them wants: looked at before anything is made for them.
    wanted: EventSet,
    /// What any of them wants to be shown of sessions.
    with: With,
}

/// The links of an app that divide its sessions among them, or that get the events of all.
#[derive(Debug)]
struct Group {
    app: AppId,
    /// `None` for the links that listen alone.
    share: Option<Name>,
    /// A link is in one group only, once.
    listeners: Vec<Listener>,
}

#[derive(Debug)]
struct Listener {
    link: SessionId,
    listen: Listen,
}

impl Listener {
    fn wants(&self, kind: EventKind) -> bool {
        self.listen.events.has(kind)
    }
}

impl Listeners {
    /// `link` gets events from now on; what it asked for before is forgotten.
    pub fn add(&mut self, link: SessionId, app: AppId, listen: Listen) {
        self.remove(link);
        self.push(link, app, listen);
    }

    fn push(&mut self, link: SessionId, app: AppId, listen: Listen) {
        let listener = Listener { link, listen };
        self.wanted = self.wanted.union(listener.listen.events);
        self.with = self.with.union(listener.listen.with);
        let share = &listener.listen.share;
        match self.groups.iter_mut().find(|group| group.app == app && group.share == *share) {
            Some(group) => group.listeners.push(listener),
            None => self.groups.push(Group { app, share: share.clone(), listeners: vec![listener] }),
        }
    }

    /// `link` gets no more events.
    pub fn remove(&mut self, link: SessionId) {
        self.groups.iter_mut().for_each(|group| group.listeners.retain(|listener| listener.link != link));
        self.groups.retain(|group| !group.listeners.is_empty());
        (self.wanted, self.with) = (EventSet::NONE, With::NONE);
        for listener in self.groups.iter().flat_map(|group| &group.listeners) {
            self.wanted = self.wanted.union(listener.listen.events);
            self.with = self.with.union(listener.listen.with);
        }
    }

    /// Whether any link wants events of this kind, of whatever app.
    #[inline]
    pub fn any_wants(&self, kind: EventKind) -> bool {
        self.wanted.has(kind)
    }

    /// The kinds that any link wants, of whatever app.
    pub fn wanted(&self) -> EventSet {
        self.wanted
    }

    /// Whether any link listens to the app.
    pub fn serves(&self, app: AppId) -> bool {
        self.groups.iter().any(|group| group.app == app)
    }

    /// Whether any link wants to be shown anything of sessions beside the events themselves.
    #[inline]
    pub fn want_details(&self) -> bool {
        !self.with.is_empty()
    }

    /// The app that the link listens to.
    pub fn app_of(&self, link: SessionId) -> Option<AppId> {
        self.find(link).map(|(group, _)| group.app)
    }

    /// The app and the share of the link, and how it speaks; `None` where it listens alone, or not at all.
    pub fn share_of(&self, link: SessionId) -> Option<(AppId, Name, LinkForm)> {
        let (group, listener) = self.find(link)?;
        Some((group.app, group.share.clone()?, listener.listen.form))
    }

    fn find(&self, link: SessionId) -> Option<(&Group, &Listener)> {
        let found = |group: &'_ Group| group.listeners.iter().position(|listener| listener.link == link);
        self.groups.iter().find_map(|group| Some((group, &group.listeners[found(group)?])))
    }

    /// The link that takes `session` over from `link`, which is of this share; how it speaks, and whether it wants such events.
    pub fn heir_of(
        &self,
        link: SessionId,
        (app, share): (AppId, &Name),
        session: SessionId,
        kind: EventKind,
    ) -> Option<(SessionId, EventForm, bool)> {
        let of_share = |group: &&Group| group.app == app && group.share.as_ref() == Some(share);
        let others = self.groups.iter().find(of_share)?.listeners.iter().filter(|one| one.link != link);
        let heir = others.max_by_key(|one| (mixed(session, one.link), one.link))?;
        Some((heir.link, heir.listen.event_form(), heir.wants(kind)))
    }

    /// Whether no link listens to any app.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The links that get an event of `session`, each with its form: each that listens alone, and of each share the one that has
    /// the session, if that one wants it.
    pub fn links_for(
        &self,
        app: AppId,
        session: SessionId,
        kind: EventKind,
    ) -> SmallVec<[(SessionId, EventForm); 2]> {
        let mut links = SmallVec::new();
        if !self.any_wants(kind) {
            return links;
        }
        for group in self.groups.iter().filter(|group| group.app == app) {
            let meant = match group.share {
                None => group.listeners.as_slice(),
                Some(_) => group.owner_of(session),
            };
            let wanting = meant.iter().filter(|listener| listener.wants(kind));
            links.extend(wanting.map(|listener| (listener.link, listener.listen.event_form())));
        }
        links
    }
}

impl Group {
    /// The listener that has the session among those of its share, as a slice of one: rendezvous hashing, so that the end of a
    /// link moves only its own sessions.
    fn owner_of(&self, session: SessionId) -> &[Listener] {
        let rank = |listener: &&Listener| (mixed(session, listener.link), listener.link);
        self.listeners.iter().max_by_key(rank).map_or(&[], std::slice::from_ref)
    }
}

/// A number that depends on every bit of both ids (the finaliser of SplitMix64).
fn mixed(session: SessionId, link: SessionId) -> u64 {
    let mut bits = session.as_u64() ^ link.as_u64().rotate_left(32);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// What a link listens to, on its way to another process.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct CarriedListener {
    #[n(0)]
    link: u64,
    #[n(1)]
    app: u16,
    #[n(2)]
    open: bool,
    #[n(3)]
    message: bool,
    #[n(4)]
    close: bool,
    #[n(5)]
    share: Option<String>,
    #[n(6)]
    is_binary: bool,
    /// The bits of the kinds that have no field of their own.
    #[n(7)]
    more: Option<u32>,
    /// A bit for each detail that its events have.
    #[n(12)]
    with: Option<u8>,
}

/// The kinds that have a field of their own in a [`CarriedListener`].
const OLDEST: [EventKind; 3] = [EventKind::Open, EventKind::Message, EventKind::Close];

impl Listeners {
    /// All of them, in an order that makes the same list again.
    pub fn carry(&self) -> Vec<CarriedListener> {
        let Self { groups, wanted: _, with: _ } = self;
        let mut carried = Vec::new();
        for Group { app, share, listeners } in groups {
            for Listener { link, listen } in listeners {
                // The same as the group's.
                let Listen { events, share: _, with, form } = listen;
                let more = events.bits() & !EventSet::of(&OLDEST).bits();
                carried.push(CarriedListener {
                    link: link.as_u64(),
                    app: app.0,
                    open: events.has(EventKind::Open),
                    message: events.has(EventKind::Message),
                    close: events.has(EventKind::Close),
                    share: share.as_ref().map(ToString::to_string),
                    is_binary: *form == LinkForm::Binary,
                    more: Some(more).filter(|more| *more != 0),
                    with: Some(with.bits()).filter(|with| *with != 0),
                });
            }
        }
        carried
    }

    /// The list that was carried.
    ///
    /// # Errors
    /// A link is named twice, or a share has no name that is one.
    pub fn restore(carried: &[CarriedListener]) -> Result<Self, InvalidState> {
        let (mut listeners, mut seen) = (Self::default(), hashbrown::HashSet::new());
        for CarriedListener { link, app, open, message, close, share, is_binary, more, with } in carried {
            if !seen.insert(*link) {
                return Err(InvalidState::new("a link listens twice"));
            }
            let share = share.as_deref().map(Name::new).transpose();
            let share = share.map_err(|_| InvalidState::new("a share with a name that is none"))?;
            let form = if *is_binary { LinkForm::Binary } else { LinkForm::Json };
            let oldest = OLDEST.into_iter().zip([open, message, close]).filter(|(_, wanted)| **wanted);
            // A kind of a later version is none here: the link hears of it no more.
            let more = EventSet::from_bits(more.unwrap_or(0) & EventSet::ALL.bits()).unwrap_or_default();
            let events = oldest.fold(more, |events, (kind, _)| events.with(kind));
            let with = With::from_bits(with.unwrap_or(0) & With::ALL.bits()).unwrap_or_default();
            let listen = Listen { events, share, with, form };
            listeners.push(SessionId::from_u64(*link), AppId(*app), listen);
        }
        Ok(listeners)
    }

    /// The links in the list, with their apps and forms.
    pub fn links(&self) -> impl Iterator<Item = (SessionId, AppId, LinkForm)> {
        let listeners =
            self.groups.iter().flat_map(|group| group.listeners.iter().map(|one| (group.app, one)));
        listeners.map(|(app, listener)| (listener.link, app, listener.listen.form))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: AppId = AppId(0);

    fn id(worker: u8, slot: u32) -> SessionId {
        SessionId::new(0, worker, 0, slot)
    }

    fn all_events(share: Option<&str>) -> Listen {
        let share = share.map(|name| Name::new(name).unwrap());
        Listen { events: EventSet::ALL, share, with: With::NONE, form: LinkForm::Json }
    }

    #[test]
    fn a_link_gets_the_kinds_it_asked_for_of_its_own_app() {
        let mut listeners = Listeners::default();
        listeners.add(
            id(0, 1),
            APP,
            Listen { events: EventSet::of(&[EventKind::Open, EventKind::Close]), ..all_events(None) },
        );
        listeners.add(id(0, 2), AppId(1), all_events(None));
        let links =
            |kind| listeners.links_for(APP, id(1, 7), kind).iter().map(|(link, _)| *link).collect::<Vec<_>>();
        assert_eq!(links(EventKind::Open), [id(0, 1)]);
        assert_eq!(links(EventKind::Message), []);
        assert_eq!(links(EventKind::Close), [id(0, 1)]);
    }

    #[test]
    fn to_listen_again_replaces_what_was_asked_before() {
        let mut listeners = Listeners::default();
        listeners.add(id(0, 1), APP, all_events(None));
        listeners.add(
            id(0, 1),
            APP,
            Listen { events: EventSet::of(&[EventKind::Close]), ..all_events(None) },
        );
        assert!(listeners.links_for(APP, id(1, 7), EventKind::Open).is_empty());
        assert_eq!(
            listeners.links_for(APP, id(1, 7), EventKind::Close).to_vec(),
            [(id(0, 1), all_events(None).event_form())]
        );
    }

    #[test]
    fn a_share_splits_the_sessions_evenly_and_keeps_them_when_another_link_ends() {
        let mut listeners = Listeners::default();
        let links = [id(0, 1), id(1, 1), id(0, 2), id(1, 2)];
        for link in links {
            listeners.add(link, APP, all_events(Some("workers")));
        }
        let owner = |listeners: &Listeners, slot| {
            let got = listeners.links_for(APP, id(1, slot), EventKind::Message);
            assert_eq!(got.len(), 1, "exactly one link of a share");
            got[0].0
        };
        let before: Vec<SessionId> = (0..4000).map(|slot| owner(&listeners, slot)).collect();
        for link in links {
            let share = before.iter().filter(|owner| **owner == link).count();
            assert!((800..1200).contains(&share), "{link} has {share} of 4000");
        }
        listeners.remove(links[0]);
        for (slot, before) in before.iter().enumerate().filter(|(_, before)| **before != links[0]) {
            assert_eq!(owner(&listeners, slot as u32), *before);
        }
    }

    #[test]
    fn the_heir_of_a_session_is_the_one_that_has_it_when_the_link_has_gone() {
        let mut listeners = Listeners::default();
        let (share, name) = (Some("workers"), Name::new("workers").unwrap());
        for number in 0..5 {
            let events = if number == 4 { EventSet::of(&[EventKind::Close]) } else { EventSet::ALL };
            listeners.add(id(number % 2, u32::from(number)), APP, Listen { events, ..all_events(share) });
        }
        listeners.add(id(0, 9), APP, all_events(None));
        listeners.add(id(0, 8), AppId(1), all_events(share));
        let gone = id(1, 1);
        assert_eq!(listeners.share_of(gone), Some((APP, name.clone(), LinkForm::Json)));
        let heirs = (0..500).map(|slot| {
            let heir = listeners.heir_of(gone, (APP, &name), id(1, slot), EventKind::Message);
            heir.unwrap()
        });
        let heirs: Vec<_> = heirs.collect();
        listeners.remove(gone);
        assert_eq!((listeners.share_of(gone), listeners.app_of(gone)), (None, None));
        for (slot, (heir, form, wants)) in (0..).zip(heirs) {
            let mut links = listeners.links_for(APP, id(1, slot), EventKind::Message);
            links.retain(|(link, _)| *link != id(0, 9));
            let expected: &[_] = if wants { &[(heir, form)] } else { &[] };
            assert_eq!(links.as_slice(), expected);
        }
        assert_eq!(listeners.heir_of(id(0, 8), (AppId(1), &name), id(1, 1), EventKind::Open), None);
    }

    #[test]
    fn a_list_that_none_can_be_is_refused() {
        let mut listeners = Listeners::default();
        listeners.add(id(0, 1), APP, all_events(Some("a")));
        let carried = listeners.carry();
        assert!(Listeners::restore(&[carried[0].clone(), carried[0].clone()]).is_err());
        let nameless = CarriedListener { share: Some(String::new()), ..carried[0].clone() };
        assert!(Listeners::restore(&[nameless]).is_err());
    }

    /// The links of an event by the definition: of a share, the one with the highest rank; each found anew among all.
    fn links_by_definition(
        listening: &[(SessionId, AppId, Listen)],
        app: AppId,
        session: SessionId,
        kind: EventKind,
    ) -> Vec<SessionId> {
        let is_meant = |(link, of, listen): &&(SessionId, AppId, Listen)| {
            let rivals =
                listening.iter().filter(|(_, other, rival)| other == of && rival.share == listen.share);
            let first = rivals.map(|(rival, ..)| (mixed(session, *rival), *rival)).max();
            let owns = listen.share.is_none() || first == Some((mixed(session, *link), *link));
            let listener = Listener { link: *link, listen: listen.clone() };
            *of == app && owns && listener.wants(kind)
        };
        let mut links: Vec<_> = listening.iter().filter(is_meant).map(|(link, ..)| *link).collect();
        links.sort_unstable();
        links
    }

    #[test]
    fn links_come_and_go_and_events_find_those_that_the_definition_names() {
        let mut listeners = Listeners::default();
        let mut listening: Vec<(SessionId, AppId, Listen)> = Vec::new();
        let mut random = 7_u64;
        let mut below = |bound: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) % bound
        };
        for _ in 0..2_000 {
            let (link, app) = (id(below(2) as u8, below(12) as u32), AppId(below(2) as u16));
            listening.retain(|(other, ..)| *other != link);
            if below(3) == 0 {
                listeners.remove(link);
            } else {
                let share = [None, Some("a"), Some("b")][below(3) as usize];
                let events = EventSet::from_bits(below(32) as u32).unwrap();
                let form = if below(2) == 0 { LinkForm::Json } else { LinkForm::Binary };
                let listen = Listen { events, form, ..all_events(share) };
                listeners.add(link, app, listen.clone());
                listening.push((link, app, listen));
            }
            assert_eq!(listeners.is_empty(), listening.is_empty());
            // A list that has been to another process is the same.
            let carried = minicbor::to_vec(listeners.carry()).unwrap();
            let carried: Vec<CarriedListener> = minicbor::decode(&carried).unwrap();
            let restored = Listeners::restore(&carried).unwrap();
            assert_eq!(format!("{restored:?}"), format!("{listeners:?}"));
            for (kind, _) in EventKind::ALL {
                let wanted = listening.iter().any(|(.., listen)| listen.events.has(kind));
                assert_eq!(listeners.any_wants(kind), wanted);
                let (app, session) = (AppId(below(3) as u16), id(0, below(1_000) as u32));
                let mut links: Vec<_> =
                    listeners.links_for(app, session, kind).into_iter().map(|(link, _)| link).collect();
                links.sort_unstable();
                assert_eq!(links, links_by_definition(&listening, app, session, kind));
            }
        }
        listening.iter().for_each(|(link, ..)| listeners.remove(*link));
        assert!(listeners.is_empty());
    }
}
