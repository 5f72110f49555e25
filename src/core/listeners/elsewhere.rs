//! Shares that have links on several nodes: of what is about a user one node tells its links, by a hash, so that one link of all nodes is
//! told. All nodes come to the same as far as they know of the same links. Pure.

use super::owners::mixed;
use super::{Group, Listener, Listeners};
use crate::dispatch::{EventKind, EventSet};
use crate::session::{AppId, Name, SessionId};

/// A share counts for as many links as it has on a node, and for so many at the most: a hash is made for each, for each event. This is a weight and
/// bounds nothing that anybody gets: a node with more links has the part of the users that 64 have. Each node says what it counts for, so nodes need
/// not agree on it.
const COUNTED_LINKS: usize = 64;

/// The links of another node that listen for events about users in a share.
#[derive(Debug, PartialEq, Eq)]
pub struct ShareElsewhere {
    /// The node, by its incarnation.
    pub node: u64,
    /// The app.
    pub app: AppId,
    /// The share.
    pub share: Name,
    /// How many links.
    pub links: u8,
    /// What they listen for, of what is about users.
    pub events: EventSet,
}

/// What is known of other nodes.
#[derive(Debug, Default)]
pub struct Elsewhere {
    /// This node, by its incarnation.
    own: u64,
    shares: Vec<ShareElsewhere>,
}

impl Elsewhere {
    /// Whether another node tells the share of this, which is about the user with this number, and not this one, with so many links.
    fn tells(&self, (app, share): (AppId, &Name), user: SessionId, kind: EventKind, links: u8) -> bool {
        let own = (rank(user, self.own, links), self.own);
        let others = self.shares.iter().filter(|other| other.app == app && other.share == *share);
        others
            .filter(|other| other.events.has(kind))
            .any(|other| (rank(user, other.node, other.links), other.node) > own)
    }
}

/// The greatest of the hashes of a user and each of so many links of a node: it is the greatest of all nodes as often as these are many.
fn rank(user: SessionId, node: u64, links: u8) -> u64 {
    let link = |number: u8| mixed(SessionId::from_u64(node), SessionId::from_u64(number.into()));
    (0..links).map(|number| mixed(user, SessionId::from_u64(link(number)))).max().unwrap_or(0)
}

impl Group {
    /// How many links it counts for: those that are told of users. What stands for a link of another node is not.
    fn counted_links(&self) -> u8 {
        let asks =
            |listener: &&Listener| !listener.has_ended && listener.listen.events.meets(EventSet::USERS);
        self.listeners.iter().filter(asks).count().min(COUNTED_LINKS) as u8
    }

    /// Whether another node tells the links of the share of what is about this user.
    pub(super) fn is_told_elsewhere(&self, user: SessionId, kind: EventKind, elsewhere: &Elsewhere) -> bool {
        let share = self.share.as_ref().filter(|_| EventSet::USERS.has(kind) && !elsewhere.shares.is_empty());
        share.is_some_and(|share| elsewhere.tells((self.app, share), user, kind, self.counted_links()))
    }
}

impl Listeners {
    /// The shares whose links listen for what is about users: how many links they count for, and what these listen for of that.
    pub fn shares_of_users(&self) -> impl Iterator<Item = (AppId, &Name, u8, EventSet)> {
        self.groups.iter().filter_map(|group| {
            let asks = group.listeners.iter().find(|listener| listener.listen.events.meets(EventSet::USERS));
            let events = asks?.listen.events.without(EventSet::ALL.without(EventSet::USERS));
            let (share, links) = (group.share.as_ref()?, group.counted_links());
            (links > 0 && !events.is_empty()).then_some((group.app, share, links, events))
        })
    }

    /// These shares have links on other nodes than this one, whose incarnation is `own`.
    pub fn others_share(&mut self, own: u64, shares: Vec<ShareElsewhere>) {
        self.elsewhere = Elsewhere { own, shares };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::Listen;

    const APP: AppId = AppId(0);
    const ONLINE: EventSet = EventSet::of(&[EventKind::Open, EventKind::UserOnline]);

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    /// A node with so many links in the share, and what it says of them.
    fn node(own: u64, links: u32) -> (Listeners, ShareElsewhere) {
        let mut listeners = Listeners::default();
        for number in 0..links {
            let listen = Listen { events: ONLINE, share: Some(name("s")), ..Listen::default() };
            listeners.add(SessionId::new(own as u16, 0, 0, number), APP, listen, std::iter::empty());
        }
        let (app, share, links, events) = listeners.shares_of_users().next().unwrap();
        let said = ShareElsewhere { node: own, app, share: share.clone(), links, events };
        assert_eq!(events, EventSet::of(&[EventKind::UserOnline]));
        (listeners, said)
    }

    /// How many of 3,000 users each of these nodes tells its links of.
    fn told(links: &[u32]) -> Vec<usize> {
        let said = |own: usize| node(own as u64, links[own]).1;
        let mut nodes: Vec<Listeners> = (0..links.len()).map(|own| node(own as u64, links[own]).0).collect();
        for (own, listeners) in nodes.iter_mut().enumerate() {
            let others = (0..links.len()).filter(|other| *other != own).map(said);
            listeners.others_share(own as u64, others.collect());
        }
        let mut told = vec![0; links.len()];
        for user in 0..3_000 {
            let user = SessionId::from_u64(mixed(SessionId::from_u64(user), SessionId::from_u64(7)));
            let of = nodes.iter_mut().map(|node| node.links_for(APP, user, EventKind::UserOnline).len());
            let of: Vec<usize> = of.collect();
            assert_eq!(of.iter().sum::<usize>(), 1, "{of:?}");
            told.iter_mut().zip(of).for_each(|(sum, one)| *sum += one);
        }
        told
    }

    #[test]
    fn one_node_tells_one_link_of_a_user_and_each_as_often_as_its_links_are_many() {
        assert_eq!(told(&[1]), [3_000]);
        let even = told(&[2, 2, 2]);
        assert!(even.iter().all(|told| (800..1_200).contains(told)), "{even:?}");
        let uneven = told(&[1, 4]);
        assert!((450..750).contains(&uneven[0]), "{uneven:?}");
    }

    #[test]
    fn what_is_about_sessions_and_what_other_nodes_do_not_hear_is_told_here() {
        let (mut listeners, said) = node(0, 1);
        let user = SessionId::from_u64(5);
        let other =
            |share: &str, app, events| ShareElsewhere { node: 1, app, share: name(share), links: 64, events };
        listeners.others_share(
            0,
            vec![other("t", APP, ONLINE), other("s", AppId(1), ONLINE), other("s", APP, EventSet::NONE)],
        );
        assert_eq!(listeners.links_for(APP, user, EventKind::UserOnline).len(), 1);
        // A node that has it in hand.
        let mine = rank(user, 0, said.links);
        let node = (1..).find(|node| rank(user, *node, 1) > mine).unwrap();
        listeners.others_share(0, vec![ShareElsewhere { node, links: 1, ..other("s", APP, ONLINE) }]);
        assert_eq!(listeners.links_for(APP, user, EventKind::UserOnline).len(), 0);
        assert_eq!(listeners.links_for(APP, user, EventKind::Open).len(), 1, "it is about a session");
    }
}
