//! Over which Redis servers the channels are spread: a set of servers, by the hashes of their addresses. Every node works out alike
//! where a channel lives from the set alone, whatever order its own list has. Pure.

use super::channel::{hash, server_of};

/// See the module.
///
/// ```text
/// let before = Spread::new([(hash(b"a:6379"), 0), (hash(b"b:6379"), 1)]);
/// let after = Spread::new([(hash(b"a:6379"), 0), (hash(b"b:6379"), 1), (hash(b"c:6379"), 2)]);
/// assert_eq!(before.sources_of(&after), [0, 1]);
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Spread {
    /// Alike on all nodes that have the same set.
    id: u64,
    /// In ascending order.
    hashes: Box<[u64]>,
    /// Which of this node's servers each of them is.
    slots: Box<[usize]>,
}

impl Spread {
    /// Over servers by the hashes of their addresses, one at the least, each with its slot on this node.
    pub fn new(servers: impl IntoIterator<Item = (u64, usize)>) -> Self {
        let mut servers: Vec<(u64, usize)> = servers.into_iter().collect();
        servers.sort_unstable();
        let hashes: Box<[u64]> = servers.iter().map(|(hash, _)| *hash).collect();
        let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.to_le_bytes()).collect();
        Self { id: hash(&bytes), hashes, slots: servers.into_iter().map(|(_, slot)| slot).collect() }
    }

    /// What tells the set from every other one.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The hashes of the servers' addresses, in ascending order.
    pub fn hashes(&self) -> &[u64] {
        &self.hashes
    }

    /// The servers, as this node numbers them.
    pub fn slots(&self) -> &[usize] {
        &self.slots
    }

    /// Which server has the channel.
    pub fn slot_of(&self, channel: &[u8]) -> usize {
        match &*self.slots {
            [only] => *only,
            slots => slots.get(server_of(hash(channel), &self.hashes)).copied().unwrap_or(0),
        }
    }

    /// The servers that channels leave when `next` takes the place of this set: all of them where it has a server that this one has
    /// not, and otherwise those that it has no more.
    pub fn sources_of(&self, next: &Self) -> Vec<usize> {
        let has_new = next.slots.iter().any(|slot| !self.slots.contains(slot));
        self.slots.iter().copied().filter(|slot| has_new || !next.slots.contains(slot)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(servers: &[(&str, usize)]) -> Spread {
        Spread::new(servers.iter().map(|(address, slot)| (hash(address.as_bytes()), *slot)))
    }

    fn channels() -> impl Iterator<Item = Vec<u8>> {
        (0..3_000).map(|number| format!("p:u:default\u{1}user-{number}").into_bytes())
    }

    #[test]
    fn nodes_that_number_their_servers_differently_agree_where_a_channel_lives() {
        let one = spread(&[("a:1", 0), ("b:1", 1), ("c:1", 2)]);
        let other = spread(&[("c:1", 0), ("a:1", 5), ("b:1", 3)]);
        assert_eq!((one.id(), one.hashes()), (other.id(), other.hashes()));
        assert_ne!(one.id(), spread(&[("a:1", 0), ("b:1", 1)]).id());
        let as_other = [5, 3, 0];
        for channel in channels() {
            assert_eq!(as_other[one.slot_of(&channel)], other.slot_of(&channel));
        }
    }

    #[test]
    fn a_channel_that_moves_comes_from_one_of_the_sources() {
        let all = [("a:1", 0), ("b:1", 1), ("c:1", 2), ("d:1", 3)];
        let (two, three, others) = (spread(&all[..2]), spread(&all[..3]), spread(&all[1..]));
        for (before, after, sources) in [
            (&two, &three, &[0, 1][..]),
            (&three, &two, &[2]),
            (&three, &others, &[0, 1, 2]),
            (&two, &two, &[]),
        ] {
            let mut found = before.sources_of(after);
            found.sort_unstable();
            assert_eq!(found, sources);
            for channel in channels() {
                let (from, to) = (before.slot_of(&channel), after.slot_of(&channel));
                assert!(from == to || sources.contains(&from));
            }
        }
    }
}
