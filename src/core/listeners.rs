//! The links that listen for events, as one reactor knows them: every reactor has the same list, kept by operations that
//! go to all. Decides which links an event is for; knows nothing of how it gets there.

use crate::dispatch::{LinkForm, Listen};
use crate::session::{AppId, SessionId};
use smallvec::SmallVec;

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// A session opened.
    Open,
    /// A client sent a message.
    Message,
    /// A session closed.
    Close,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Listeners {
    listeners: Vec<Listener>,
}

#[derive(Debug)]
struct Listener {
    link: SessionId,
    app: AppId,
    listen: Listen,
}

impl Listener {
    fn wants(&self, kind: EventKind) -> bool {
        match kind {
            EventKind::Open => self.listen.open,
            EventKind::Message => self.listen.message,
            EventKind::Close => self.listen.close,
        }
    }
}

impl Listeners {
    /// `link` gets events from now on; what it asked for before is forgotten.
    pub fn add(&mut self, link: SessionId, app: AppId, listen: Listen) {
        self.remove(link);
        self.listeners.push(Listener { link, app, listen });
    }

    /// `link` gets no more events.
    pub fn remove(&mut self, link: SessionId) {
        self.listeners.retain(|listener| listener.link != link);
    }

    /// The links that get an event of `session`, each with its form: each that listens alone, and of each share the one that has the session.
    pub fn links_for(
        &self,
        app: AppId,
        session: SessionId,
        kind: EventKind,
    ) -> SmallVec<[(SessionId, LinkForm); 2]> {
        let mut links = SmallVec::new();
        for (index, listener) in self.listeners.iter().enumerate() {
            if listener.app == app && listener.wants(kind) && self.has_session(index, session) {
                links.push((listener.link, listener.listen.form));
            }
        }
        links
    }

    /// Whether the listener at `index` has the session among those of its share: rendezvous hashing, so that the end of
    /// a link moves only its own sessions.
    fn has_session(&self, index: usize, session: SessionId) -> bool {
        let own = &self.listeners[index];
        let Some(share) = &own.listen.share else { return true };
        let rank = |link: SessionId| (mixed(session, link), link);
        let sharers = self
            .listeners
            .iter()
            .filter(|other| other.app == own.app && other.listen.share.as_ref() == Some(share));
        sharers.map(|other| rank(other.link)).max() == Some(rank(own.link))
    }
}

/// A number that depends on every bit of both ids (the finaliser of SplitMix64).
fn mixed(session: SessionId, link: SessionId) -> u64 {
    let mut bits = session.as_u64() ^ link.as_u64().rotate_left(32);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Name;

    const APP: AppId = AppId(0);

    fn id(worker: u8, slot: u32) -> SessionId {
        SessionId::new(0, worker, 0, slot)
    }

    fn all_events(share: Option<&str>) -> Listen {
        let share = share.map(|name| Name::new(name).unwrap());
        Listen { open: true, message: true, close: true, share, form: LinkForm::Json }
    }

    #[test]
    fn a_link_gets_the_kinds_it_asked_for_of_its_own_app() {
        let mut listeners = Listeners::default();
        listeners.add(id(0, 1), APP, Listen { message: false, ..all_events(None) });
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
        listeners.add(id(0, 1), APP, Listen { open: false, ..all_events(None) });
        assert!(listeners.links_for(APP, id(1, 7), EventKind::Open).is_empty());
        assert_eq!(
            listeners.links_for(APP, id(1, 7), EventKind::Close).to_vec(),
            [(id(0, 1), LinkForm::Json)]
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
}
