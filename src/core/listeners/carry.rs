//! How the links that listen, and whose the sessions of shares are, are carried to another process. The list is the same on every
//! reactor; of the sessions each reactor has its own.

use super::owned::{Departed, Owned, Rare};
use super::owners::Owners;
use super::routes::Route;
use super::untold::Tell;
use super::{Group, Kept, Listener, Listeners};
use crate::core::session_state::{CarriedSessionState, SessionState};
use crate::dispatch::{EventKind, EventSet, LinkForm, Listen, Packer, Routed, Unpacker, With};
use crate::session::{AppId, Name, SessionId};
use crate::upgrade::InvalidState;
use hashbrown::HashSet;
use minicbor::{Decode, Encode};

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
    pub(super) share: Option<String>,
    #[n(6)]
    is_binary: bool,
    /// The bits of the kinds that have no field of their own.
    #[n(7)]
    more: Option<u32>,
    /// A bit for each detail that its events have.
    #[n(12)]
    with: Option<u8>,
    #[n(13)]
    name: Option<String>,
    /// It has asked for all sessions that are there, and has not been told of all of this reactor.
    #[n(14)]
    is_in_snapshot: Option<bool>,
    /// It hears of the sessions of all nodes.
    #[n(15)]
    everywhere: Option<bool>,
}

/// The kinds that have a field of their own in a [`CarriedListener`].
const OLDEST: [EventKind; 3] = [EventKind::Open, EventKind::Message, EventKind::Close];

impl Listeners {
    /// All of them, in an order that makes the same list again.
    pub fn carry(&self) -> Vec<CarriedListener> {
        // Nothing is under way between reactors, and no order is left.
        // Other nodes say again what they have.
        let Self { groups, wanted: _, with: _, orders: _, ended_early: _, elsewhere: _ } = self;
        let mut carried = Vec::new();
        for Group { app, share, listeners, owners: _, routes: _ } in groups {
            for Listener { link, listen, has_ended: _, sessions: _, untold } in listeners {
                // The share is the group's, and whether it gets numbers its seat knows.
                let Listen { events, share: _, with, name, snapshot: _, numbers: _, everywhere, form } =
                    listen;
                let more = events.without(EventSet::of(&OLDEST)).bits();
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
                    name: name.as_ref().map(ToString::to_string),
                    is_in_snapshot: untold.is_snapshot().then_some(true),
                    everywhere: everywhere.then_some(true),
                });
            }
        }
        carried
    }

    /// The list that was carried.
    ///
    /// # Errors
    /// A link is named twice, or a share or a link has no name that is one.
    pub fn restore(carried: &[CarriedListener]) -> Result<Self, InvalidState> {
        let (mut listeners, mut seen) = (Self::default(), HashSet::new());
        for one in carried {
            let CarriedListener {
                link, app, open, message, close, share, is_binary, more, with, name, ..
            } = one;
            if !seen.insert(*link) {
                return Err(InvalidState::new("a link listens twice"));
            }
            let names = |text: &Option<String>| text.as_deref().map(Name::new).transpose();
            let share = names(share).map_err(|_| InvalidState::new("a share with a name that is none"))?;
            let name = names(name).map_err(|_| InvalidState::new("a link with a name that is none"))?;
            let form = if *is_binary { LinkForm::Binary } else { LinkForm::Json };
            let oldest = OLDEST.into_iter().zip([open, message, close]).filter(|(_, wanted)| **wanted);
            // A kind of a later version is none here: the link hears of it no more.
            let more = EventSet::from_bits(more.unwrap_or(0) & EventSet::ALL.bits()).unwrap_or_default();
            let events = oldest.fold(more, |events, (kind, _)| events.with(kind));
            let with = With::from_bits(with.unwrap_or(0) & With::ALL.bits()).unwrap_or_default();
            let everywhere = one.everywhere.unwrap_or(false);
            let listen = Listen { events, share, with, name, everywhere, form, ..Listen::default() };
            let link = SessionId::from_u64(*link);
            let group = listeners.push(link, AppId(*app), listen);
            if one.is_in_snapshot.unwrap_or(false)
                && let Some(listener) = group.listener_mut(link)
            {
                listener.untold.is_to_be_through();
            }
        }
        Ok(listeners)
    }
}

/// Whose the sessions of one reactor are in one share, on their way.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct CarriedShare {
    #[n(0)]
    app: u16,
    #[n(1)]
    share: String,
    /// Of each session that stays where it is its link.
    #[n(2)]
    owned: Vec<(u64, u64)>,
    #[n(3)]
    rare: Vec<CarriedRare>,
    /// The sessions of which links are to be told, in their order, each with its link.
    #[n(4)]
    untold: Vec<(u64, u64)>,
    /// The same on every reactor.
    #[n(5)]
    routes: Vec<CarriedRoute>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
struct CarriedRoute {
    #[n(0)]
    name: String,
    /// It is a user's; else a group's.
    #[n(1)]
    is_users: bool,
    #[n(2)]
    link: u64,
    #[n(3)]
    order: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
struct CarriedRare {
    #[n(0)]
    session: u64,
    #[n(1)]
    link: u64,
    #[n(2)]
    to: Option<u64>,
    #[n(3)]
    is_moving: bool,
    #[n(4)]
    is_binary: bool,
    /// Frames.
    #[n(5)]
    returned: Vec<u32>,
    #[n(6)]
    held: Vec<u32>,
    #[n(7)]
    departed: Option<CarriedDeparted>,
    #[n(8)]
    pinned: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
struct CarriedDeparted {
    #[n(0)]
    state: Option<CarriedSessionState>,
}

impl Listeners {
    /// Whose the sessions of this reactor are.
    pub fn carry_shares(&self, packer: &Packer) -> Vec<CarriedShare> {
        self.groups.iter().filter_map(|group| group.carry(packer)).collect()
    }

    /// Whose the sessions of this reactor are, in the list that is there; `sessions_of` are those that are there. A session that
    /// was not carried, as by versions that knew of none, has the link that its id names, as it had there.
    ///
    /// # Errors
    /// A share that there is not, a link that is not of it, a session that is named twice.
    pub fn restore_shares(
        &mut self,
        carried: Vec<CarriedShare>,
        unpacker: &Unpacker,
        sessions_of: impl Fn(AppId) -> Vec<SessionId>,
    ) -> Result<(), InvalidState> {
        for one in carried {
            let is_it = |group: &&mut Group| {
                group.app.0 == one.app && group.share.as_deref() == Some(one.share.as_str())
            };
            let group = self.groups.iter_mut().find(is_it);
            let group = group.ok_or_else(|| InvalidState::new("sessions of a share that there is not"))?;
            if !group.owners.of.is_empty() {
                return Err(InvalidState::new("a share comes twice"));
            }
            group.restore(one, unpacker)?;
        }
        for group in self.groups.iter_mut().filter(|group| group.share.is_some()) {
            let there: HashSet<SessionId> = sessions_of(group.app).into_iter().collect();
            group.forget_all_but(&there);
            for session in there {
                if group.owners.link_of(session).is_none()
                    && let Some(link) = group.by_rank(session, |_| true).map(|listener| listener.link)
                {
                    group.put(session, link);
                }
            }
        }
        Ok(())
    }

    /// The highest number of a route, and one more.
    pub fn next_route(&self) -> u64 {
        let all = self.groups.iter().flat_map(|group| group.routes.all());
        all.map(|(_, route)| route.order.saturating_add(1)).max().unwrap_or(0)
    }

    /// The links that are being told of all sessions; where that is under way it begins again, when the sessions are there.
    pub fn in_snapshot(&self) -> Vec<SessionId> {
        let all = self.groups.iter().flat_map(|group| &group.listeners);
        all.filter(|listener| listener.untold.is_snapshot()).map(|listener| listener.link).collect()
    }

    /// Events that wait here until their sessions have other links, and their bytes, by the link at whose gate they count.
    pub fn held(&self) -> impl Iterator<Item = (SessionId, usize, usize)> {
        let all = self.groups.iter().flat_map(|group| group.owners.of.values());
        all.filter_map(|owned| {
            let held = &owned.rare.as_ref()?.held;
            let bytes = held.iter().map(|kept| kept.frame.wire_len()).sum();
            (!held.is_empty()).then_some((owned.link, held.len(), bytes))
        })
    }
}

impl Group {
    fn carry(&self, packer: &Packer) -> Option<CarriedShare> {
        // What moves is to begin follows from the sessions.
        let Self { app, share, listeners, owners: Owners { of, moves: _, waits: _ }, routes } = self;
        let mut carried = CarriedShare {
            app: app.0,
            share: share.as_ref()?.to_string(),
            owned: Vec::new(),
            rare: Vec::new(),
            untold: Vec::new(),
            routes: routes.all().into_iter().map(CarriedRoute::of).collect(),
        };
        // In an order that is the same in every process.
        let mut sessions: Vec<_> = of.iter().collect();
        sessions.sort_unstable_by_key(|(session, _)| **session);
        for (session, owned) in sessions {
            match &owned.rare {
                None => carried.owned.push((session.as_u64(), owned.link.as_u64())),
                Some(rare) => carried.rare.push(rare.carry(*session, owned.link, packer)),
            }
        }
        for listener in listeners {
            let untold = listener.untold.assigned().map(|session| (listener.link.as_u64(), session.as_u64()));
            carried.untold.extend(untold);
        }
        Some(carried)
    }

    fn restore(&mut self, carried: CarriedShare, unpacker: &Unpacker) -> Result<(), InvalidState> {
        let CarriedShare { app: _, share: _, owned, rare, untold, routes } = carried;
        for route in routes {
            let (what, link, order) = route.restore()?;
            if self.listener(link).is_none() {
                return Err(InvalidState::new("a route to a link that is not of its share"));
            }
            self.routes.set(&what, Some(link), order);
        }
        let id = SessionId::from_u64;
        for (session, link) in owned {
            self.restore_owned(id(session), Owned::by(id(link)))?;
        }
        for one in rare {
            let (session, link) = (id(one.session), id(one.link));
            let rare = Some(Box::new(Rare::restore(one, unpacker)?));
            self.restore_owned(session, Owned { link, rare })?;
        }
        for (link, session) in untold {
            let is_its = self.owners.link_of(id(session)) == Some(id(link));
            match self.listener_mut(id(link)).filter(|_| is_its) {
                Some(listener) => listener.untold.insert(id(session), Tell::Assigned),
                None => {
                    return Err(InvalidState::new("a link is to be told of a session that is not its own"));
                }
            }
        }
        Ok(())
    }

    /// Sessions that could not be carried are nobody's.
    fn forget_all_but(&mut self, there: &HashSet<SessionId>) {
        let Self { owners, listeners, .. } = self;
        owners.of.retain(|session, owned| {
            let stays = owned.has_departed() || there.contains(session);
            let link = listeners.iter_mut().find(|listener| listener.link == owned.link && !stays);
            link.into_iter().for_each(|listener| listener.sessions -= 1);
            stays
        });
    }

    fn restore_owned(&mut self, session: SessionId, owned: Owned) -> Result<(), InvalidState> {
        let has_departed = owned.has_departed();
        let Some(listener) = self.listener_mut(owned.link) else {
            return Err(InvalidState::new("a session of a link that is not of its share"));
        };
        listener.sessions += usize::from(!has_departed);
        if owned.is_due() {
            self.owners.moves.push_back(session);
        }
        match self.owners.of.insert(session, owned) {
            None => Ok(()),
            Some(_) => Err(InvalidState::new("a session has two links of a share")),
        }
    }
}

impl CarriedRoute {
    fn of((what, Route { link, order }): (Routed, Route)) -> Self {
        let (name, is_users) = match what {
            Routed::User(name) => (name.to_string(), true),
            Routed::Group(name) => (name.to_string(), false),
            // It is its session's own.
            Routed::Session(session) => (session.to_string(), false),
        };
        Self { name, is_users, link: link.as_u64(), order }
    }

    fn restore(self) -> Result<(Routed, SessionId, u64), InvalidState> {
        let Self { name, is_users, link, order } = self;
        let name =
            Name::new(name.as_str()).map_err(|_| InvalidState::new("a route of a name that is none"))?;
        let what = if is_users { Routed::User(name) } else { Routed::Group(name) };
        Ok((what, SessionId::from_u64(link), order))
    }
}

impl Rare {
    fn carry(&self, session: SessionId, link: SessionId, packer: &Packer) -> CarriedRare {
        let Self { to, is_moving, form, returned, held, pinned, departed } = self;
        let frames = |events: &[Kept]| events.iter().map(|kept| packer.frame(&kept.frame)).collect();
        CarriedRare {
            session: session.as_u64(),
            link: link.as_u64(),
            to: to.map(SessionId::as_u64),
            is_moving: *is_moving,
            is_binary: *form == LinkForm::Binary,
            returned: frames(returned),
            held: frames(held),
            pinned: pinned.map(SessionId::as_u64),
            departed: departed
                .as_ref()
                .map(|Departed { state }| CarriedDeparted { state: state.as_ref().map(SessionState::carry) }),
        }
    }

    fn restore(carried: CarriedRare, unpacker: &Unpacker) -> Result<Self, InvalidState> {
        let CarriedRare { session, link: _, to, is_moving, is_binary, returned, held, departed, pinned } =
            carried;
        let session = SessionId::from_u64(session);
        let kept = |frame| Ok(Kept { session, frame: unpacker.frame(frame)?.clone() });
        let events =
            |frames: Vec<u32>| frames.into_iter().map(kept).collect::<Result<Vec<_>, InvalidState>>();
        let departed = departed.map(|CarriedDeparted { state }| {
            Ok::<_, InvalidState>(Departed { state: state.map(SessionState::restore).transpose()? })
        });
        let rare = Self {
            to: to.map(SessionId::from_u64),
            is_moving,
            form: if is_binary { LinkForm::Binary } else { LinkForm::Json },
            returned: events(returned)?,
            held: events(held)?,
            pinned: pinned.map(SessionId::from_u64),
            departed: departed.transpose()?,
        };
        match rare.is_moving || rare.returned.is_empty() && rare.held.is_empty() {
            true => Ok(rare),
            false => Err(InvalidState::new("events wait for a session that does not move")),
        }
    }
}
