//! What the channels on the bus are called, and which Redis has which. Every node works both out alike, from what it knows
//! anyway: nothing is asked.

use crate::session::Name;

/// The kind of a set of sessions, as the name of its channel says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set<'a> {
    /// All sessions of the app.
    App,
    /// The sessions of a user.
    User(&'a Name),
    /// The members of a group.
    Group(&'a Name),
    /// The sessions with a tag.
    Tag(&'a Name),
}

/// Names channels: each begins with the prefix of the cluster, so that several share one Redis.
#[derive(Debug, Clone)]
pub struct Channels {
    prefix: Box<str>,
    buckets: u64,
}

impl Channels {
    /// Those of the cluster called `prefix`, with so many hashed channels for the names beyond what a node subscribes to one by
    /// one.
    pub fn new(prefix: &str, buckets: usize) -> Self {
        Self { prefix: prefix.into(), buckets: buckets.max(1) as u64 }
    }

    /// The channel of a set of sessions. No two sets have the same: names have no control characters, and the last part goes to
    /// the end.
    pub fn of_set(&self, app: &str, set: Set<'_>) -> Box<[u8]> {
        let (kind, name) = match set {
            Set::App => ("a", ""),
            Set::User(name) => ("u", name.as_str()),
            Set::Group(name) => ("g", name.as_str()),
            Set::Tag(name) => ("t", name.as_str()),
        };
        [&*self.prefix, ":", kind, ":", app, "\u{1}", name].concat().into_bytes().into()
    }

    /// The channel of one process: its node's number, and its incarnation, so that nothing reaches a later one of that number.
    pub fn of_node(&self, node: u16, incarnation: u64) -> Box<[u8]> {
        format!("{}:n:{node}-{incarnation:016x}", self.prefix).into_bytes().into()
    }

    /// The channel of all nodes.
    pub fn of_nodes(&self) -> Box<[u8]> {
        format!("{}:nodes", self.prefix).into_bytes().into()
    }

    /// A key of what a group remembers. In a Redis Cluster the tag of its part stands before it, whose braces are the first.
    pub fn memory_key(&self, app: &str, group: &Name, what: &str) -> Vec<u8> {
        [&*self.prefix, ":{m:", app, "\u{1}", group.as_str(), "}:", what].concat().into_bytes()
    }

    /// Whose sessions are heard of by a channel, if it is that of a group: the app and the group.
    pub fn group_of<'c>(&self, channel: &'c [u8]) -> Option<(&'c str, &'c str)> {
        let channel = std::str::from_utf8(channel).ok()?;
        channel.strip_prefix(&*self.prefix)?.strip_prefix(":g:")?.split_once('\u{1}')
    }

    /// The hashed channel that has the messages of `channel` too.
    pub fn bucket_of(&self, channel: &[u8]) -> Box<[u8]> {
        format!("{}:b:{}", self.prefix, hash(channel) % self.buckets).into_bytes().into()
    }
}

/// A hash of a channel's name, alike on all nodes and in all versions: FNV-1a, and a finaliser that spreads what it leaves
/// together.
pub fn hash(bytes: &[u8]) -> u64 {
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    spread(bytes.iter().fold(0xcbf2_9ce4_8422_2325, fold))
}

/// The hash of a channel, where it says as well whether what was published there comes back to the node that has published it: other
/// messages of a node do not wait for Redis to reach its own sessions. The last bit says so.
pub fn hash_for(channel: &[u8], comes_back: bool) -> u64 {
    hash(channel) & !1 | u64::from(comes_back)
}

/// Which of several servers has the channel with this hash: the one with the highest product (rendezvous hashing), so that a
/// server that comes takes its share from all, and one that goes leaves its share to all. `servers` are the hashes of their
/// addresses, one at the least.
pub fn server_of(channel: u64, servers: &[u64]) -> usize {
    let weights = servers.iter().enumerate().map(|(index, server)| (spread(channel ^ server), index));
    weights.max().map_or(0, |(_, index)| index)
}

/// The finaliser of splitmix64: every bit of the input changes half of the output's.
fn spread(mut bits: u64) -> u64 {
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_sets_share_a_channel() {
        let channels = Channels::new("p", 8);
        let name = |text| Name::new(text).unwrap();
        let (a, bc, ab, c) = (name("a"), name("b:c"), name("a:b"), name("c"));
        let all = [
            channels.of_set("x", Set::App),
            channels.of_set("x", Set::User(&a)),
            channels.of_set("x", Set::Group(&a)),
            channels.of_set("x", Set::Tag(&a)),
            channels.of_set("a", Set::User(&bc)),
            channels.of_set("a:b", Set::User(&c)),
            channels.of_set("a", Set::User(&ab)),
            channels.of_node(1, 2),
            channels.of_nodes(),
        ];
        for (index, channel) in all.iter().enumerate() {
            assert!(!all[..index].contains(channel), "{:?}", String::from_utf8_lossy(channel));
        }
    }

    #[test]
    fn a_server_that_comes_takes_its_share_from_all_and_moves_nothing_else() {
        let servers = [hash(b"a:6379"), hash(b"b:6379"), hash(b"c:6379")];
        let mut counts = [[0_u32; 3]; 2];
        for number in 0..30_000_u32 {
            let channel = hash(format!("p:u:default\u{1}user-{number}").as_bytes());
            let (two, three) = (server_of(channel, &servers[..2]), server_of(channel, &servers));
            assert!(three == two || three == 2, "channels move to the new server alone");
            counts[0][two] += 1;
            counts[1][three] += 1;
        }
        assert!(counts[0][..2].iter().all(|count| (14_000..16_000).contains(count)), "{counts:?}");
        assert!(counts[1].iter().all(|count| (9_000..11_000).contains(count)), "{counts:?}");
    }
}
