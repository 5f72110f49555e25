//! Which links hear of the sessions of all nodes: those of this node, as the others are told of them, and those of other nodes, with
//! what stands for each here. Each node compares what stands for the links of another one with what it knows of them, and asks for all of
//! them where it differs. Pure but for the clock.

use crate::cluster::links::{AllSaid, EndedSaid, LinkSaid};
use crate::session::SessionId;
use crate::timer::Clock;
use hashbrown::HashMap;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// So many links that have ended are told of. Of one that was longer ago, other nodes do not know how much of their events it had.
const ENDED_TOLD: usize = 256;

/// See the module.
#[derive(Debug, Default)]
pub struct LinksKnown(Mutex<Known>);

/// What is behind the lock of a [`LinksKnown`].
#[derive(Debug, Default)]
pub struct Known {
    /// The newest change of the links of this node.
    change: u64,
    own: BTreeMap<u64, LinkSaid>,
    /// Each link that has ended, and what each node that has sent it something is told, by incarnation.
    ended: VecDeque<(u64, Vec<(u64, EndedSaid)>)>,
    /// Those of other nodes, by incarnation.
    others: HashMap<u64, OfNode>,
}

#[derive(Debug, Default)]
struct OfNode {
    /// All that is known of it is at least as new.
    as_of: u64,
    links: HashMap<u64, Other>,
}

/// A link of another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Other {
    /// When it has begun to ask for what is known.
    pub version: u64,
    /// What stands for it here; nothing where it hears nothing of this node.
    pub stand_in: Option<SessionId>,
}

/// What is to be done about the links of another node.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// These are new, or ask for something else.
    pub listen: Vec<LinkSaid>,
    /// What has stood for links that have ended, and how many events these had taken where that is known.
    pub ended: Vec<(SessionId, Option<u64>)>,
}

impl LinksKnown {
    /// Looks at it, or changes it.
    pub fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number for a link and what it asks for.
fn digest_of(link: u64, version: u64) -> u64 {
    crate::core::listeners::mixed(SessionId::from_u64(link), SessionId::from_u64(version))
}

impl Known {
    fn changes(&mut self) -> u64 {
        // A process that goes on from this one counts on.
        self.change = Clock::wall_unix_ms().max(self.change + 1);
        self.change
    }

    /// A link of this node listens, and asks for this; what the others are told.
    pub fn listens(&mut self, mut said: LinkSaid) -> LinkSaid {
        said.version = self.changes();
        self.own.insert(said.link, said.clone());
        said
    }

    /// A link of this node has ended; what each node is told of that. Whether the others knew of it.
    pub fn has_ended(&mut self, link: u64, of: Vec<(u64, EndedSaid)>) -> bool {
        if self.own.remove(&link).is_none() {
            return false;
        }
        self.changes();
        if self.ended.len() == ENDED_TOLD {
            self.ended.pop_front();
        }
        self.ended.push_back((link, of));
        true
    }

    /// Stands for the links of this node; 0 for none.
    pub fn digest(&self) -> u64 {
        self.own.values().fold(0, |digest, said| digest ^ digest_of(said.link, said.version))
    }

    /// What the node with this incarnation is told of all links of this one.
    pub fn all_for(&self, incarnation: u64) -> AllSaid {
        let ended = self.ended.iter().map(|(link, of)| {
            let said = of.iter().find(|(of, _)| *of == incarnation).map(|(_, said)| *said);
            said.unwrap_or(EndedSaid { link: *link, stand_in: 0, taken: 0 })
        });
        let links = self.own.values().cloned().collect();
        AllSaid { as_of: self.change, links, ended: ended.collect() }
    }

    /// Stands for what is known of the links of another node.
    pub fn digest_of(&self, incarnation: u64) -> u64 {
        let links = self.others.get(&incarnation).into_iter().flat_map(|of| &of.links);
        links.fold(0, |digest, (link, other)| digest ^ digest_of(*link, other.version))
    }

    /// A link of another node, if it is known.
    pub fn other(&self, incarnation: u64, link: u64) -> Option<Other> {
        self.others.get(&incarnation)?.links.get(&link).copied()
    }

    /// Whether what is said of a link, as of that change of its node, is older than what is known.
    pub fn is_old(&self, incarnation: u64, said: &LinkSaid, as_of: u64) -> bool {
        let Some(of) = self.others.get(&incarnation) else { return false };
        of.links.get(&said.link).map_or(as_of < of.as_of, |known| known.version > said.version)
    }

    /// A link of another node is known from now on, or as something else.
    pub fn put(&mut self, incarnation: u64, link: u64, other: Other) {
        self.others.entry(incarnation).or_default().links.insert(link, other);
    }

    /// Nothing stands for the link here any more.
    pub fn forget(&mut self, incarnation: u64, link: u64) {
        if let Some(of) = self.others.get_mut(&incarnation) {
            of.links.remove(&link);
        }
    }

    /// A node is no more.
    pub fn forget_node(&mut self, incarnation: u64) {
        self.others.remove(&incarnation);
    }

    /// What stands here for links of other nodes.
    pub fn stand_ins(&self) -> usize {
        self.others.values().flat_map(|of| of.links.values()).filter(|other| other.stand_in.is_some()).count()
    }

    /// Another node has said which links it has. What has ended is forgotten.
    pub fn compare(&mut self, incarnation: u64, all: AllSaid) -> Differences {
        let of = self.others.entry(incarnation).or_default();
        let mut differences = Differences::default();
        if all.as_of < of.as_of {
            return differences;
        }
        of.as_of = all.as_of;
        let is_gone = |link: &u64, other: &mut Other| {
            other.version <= all.as_of && !all.links.iter().any(|said| said.link == *link)
        };
        for (link, other) in of.links.extract_if(is_gone) {
            let Some(stand_in) = other.stand_in else { continue };
            let said = all.ended.iter().find(|ended| ended.link == link);
            // It has had nothing that was sent for this one.
            let taken = |ended: &EndedSaid| if ended.stand_in == stand_in.as_u64() { ended.taken } else { 0 };
            differences.ended.push((stand_in, said.map(taken)));
        }
        let is_known =
            |said: &LinkSaid| of.links.get(&said.link).is_some_and(|known| known.version >= said.version);
        differences.listen = all.links.into_iter().filter(|said| !is_known(said)).collect();
        differences
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: u64 = 77;

    fn said(link: u64, version: u64) -> LinkSaid {
        let (app, share, name) = ("default".to_owned(), None, None);
        LinkSaid { link, version, app, share, name, events: 1, with: 0, is_binary: false }
    }

    fn other(version: u64, stand_in: u64) -> Other {
        Other { version, stand_in: Some(SessionId::from_u64(stand_in)) }
    }

    #[test]
    fn two_nodes_have_the_same_digest_when_one_knows_the_links_of_the_other() {
        let (mut here, mut there) = (Known::default(), Known::default());
        assert_eq!((here.digest(), there.digest_of(NODE)), (0, 0));
        for link in [1, 2] {
            let told = here.listens(said(link, 0));
            assert_ne!(here.digest(), there.digest_of(NODE));
            there.put(NODE, link, other(told.version, 10 + link));
            assert_eq!(here.digest(), there.digest_of(NODE));
        }
        let before = here.digest();
        here.listens(said(1, 0));
        assert_ne!(here.digest(), before, "it asks for something else, perhaps");
        // It had taken five events of the other node.
        let ended = EndedSaid { link: 2, stand_in: 12, taken: 5 };
        assert!(here.has_ended(2, vec![(5, ended)]) && !here.has_ended(2, Vec::new()));
        let differences = there.compare(NODE, here.all_for(5));
        assert_eq!(differences.ended, [(SessionId::from_u64(12), Some(5))]);
        assert_eq!(differences.listen.iter().map(|said| said.link).collect::<Vec<_>>(), [1]);
        let nothing = EndedSaid { link: 2, stand_in: 0, taken: 0 };
        assert_eq!(here.all_for(6).ended, [nothing], "that is another node's");
    }

    #[test]
    fn what_is_older_than_what_is_known_changes_nothing() {
        let mut known = Known::default();
        let all = |as_of, links: &[LinkSaid]| AllSaid { as_of, links: links.to_vec(), ended: Vec::new() };
        known.compare(NODE, all(5, &[said(1, 4)]));
        known.put(NODE, 1, other(4, 11));
        // The link 2 listens since 6: what was said as of 5 comes later, and is older than 6.
        known.put(NODE, 2, other(6, 12));
        assert_eq!(known.compare(NODE, all(5, &[said(1, 4)])), Differences::default());
        // It ends; what was said before that comes late.
        let differences = known.compare(NODE, all(7, &[said(1, 4)]));
        assert_eq!(differences.ended, [(SessionId::from_u64(12), None)]);
        assert!(known.is_old(NODE, &said(2, 6), 5) && known.is_old(NODE, &said(1, 3), 7));
        assert!(!known.is_old(NODE, &said(2, 8), 7) && !known.is_old(NODE, &said(1, 4), 3));
        assert_eq!(known.compare(NODE, all(6, &[said(2, 6)])), Differences::default());
        // What all links of the node are is as new as it is.
        assert!(!known.is_old(NODE, &said(3, 2), 7) && known.is_old(NODE, &said(3, 2), 6));
        assert_eq!((known.stand_ins(), known.digest_of(78)), (1, 0));
        known.forget_node(NODE);
        assert_eq!((known.stand_ins(), known.other(NODE, 1)), (0, None));
    }
}
