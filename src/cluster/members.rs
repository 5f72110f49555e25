//! The nodes of a cluster, by what they say of themselves once in a while. One that is silent for a lease is gone. Pure: time is an
//! argument, in milliseconds of this node's clock.

mod carry;
mod delay;
mod heartbeat;
#[cfg(test)]
mod tests;

pub use carry::CarriedMembers;
pub use heartbeat::{Heartbeat, SharedLinks};

use crate::session::Name;
use delay::Delay;
use hashbrown::HashMap;

/// See the module.
#[derive(Debug)]
pub struct Members {
    /// By incarnation.
    members: HashMap<u64, Member>,
    lease_ms: u64,
}

/// Another node.
#[derive(Debug)]
pub struct Member {
    /// Its number.
    pub node: u16,
    /// Which process it is.
    pub incarnation: u64,
    /// What it is called.
    pub name: Name,
    /// Whether it hears some names by hashed channels.
    pub has_buckets: bool,
    /// What it said last.
    pub said: Heartbeat,
    heard_ms: u64,
    /// Over which Redis it has said that it hears everything, a bit each.
    ready: u64,
    delay: Delay,
}

/// What has happened to the nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberEvent {
    /// A node is there.
    Came {
        /// Its number.
        node: u16,
        /// What it is called.
        name: Name,
    },
    /// How a node is reached has changed.
    Changed,
    /// A node has left, or is silent.
    Gone {
        /// Its number.
        node: u16,
        /// What it is called.
        name: Name,
        /// Which process it was.
        incarnation: u64,
    },
    /// Two processes say that they have the same number.
    Conflict {
        /// The number.
        node: u16,
        /// What one is called.
        name: Name,
        /// What the other is called.
        other: Name,
    },
}

impl Members {
    /// Nobody is there. Who is silent for `lease_ms` is gone.
    pub fn new(lease_ms: u64) -> Self {
        Self { members: HashMap::new(), lease_ms }
    }

    /// A node says how it is, over the Redis with the number `server`.
    pub fn hear(&mut self, said: Heartbeat, server: usize, now_ms: u64) -> Vec<MemberEvent> {
        let bit = 1_u64.checked_shl(server as u32).unwrap_or(0);
        let ready = if said.is_ready { bit } else { 0 };
        let Ok(name) = Name::new(&said.name) else { return Vec::new() };
        if let Some(member) = self.members.get_mut(&said.incarnation) {
            member.heard_ms = now_ms;
            member.delay.hear(said.stamp_ms, now_ms);
            member.ready = member.ready & !bit | ready;
            let is_as_before = (member.has_buckets, member.node, member.said.is_reachable)
                == (said.has_buckets, said.node, said.is_reachable)
                && member.said.speaks == said.speaks;
            (member.has_buckets, member.node) = (said.has_buckets, said.node);
            member.said = said;
            return if is_as_before { Vec::new() } else { vec![MemberEvent::Changed] };
        }
        let same = self.members.values().find(|member| member.node == said.node);
        let other = same.map(|member| member.name.clone());
        let node = said.node;
        let mut delay = Delay::default();
        delay.hear(said.stamp_ms, now_ms);
        let (incarnation, has_buckets) = (said.incarnation, said.has_buckets);
        let member = Member {
            node,
            incarnation,
            name: name.clone(),
            has_buckets,
            said,
            heard_ms: now_ms,
            ready,
            delay,
        };
        self.members.insert(incarnation, member);
        let conflict = other.map(|other| MemberEvent::Conflict { node, name: name.clone(), other });
        [Some(MemberEvent::Came { node, name }), conflict].into_iter().flatten().collect()
    }

    /// A node says that it leaves.
    pub fn goodbye(&mut self, incarnation: u64) -> Option<MemberEvent> {
        let Member { node, name, .. } = self.members.remove(&incarnation)?;
        Some(MemberEvent::Gone { node, name, incarnation })
    }

    /// Who has been silent for a lease is gone.
    pub fn expire(&mut self, now_ms: u64) -> Vec<MemberEvent> {
        let lease_ms = self.lease_ms;
        let silent = self.members.values().filter(|member| now_ms.saturating_sub(member.heard_ms) > lease_ms);
        let silent: Vec<u64> = silent.map(|member| member.incarnation).collect();
        silent.into_iter().filter_map(|incarnation| self.goodbye(incarnation)).collect()
    }

    /// Nobody could be heard until now, since there was no Redis: that is no silence of theirs.
    pub fn excuse(&mut self, now_ms: u64) {
        self.members.values_mut().for_each(|member| member.heard_ms = now_ms);
    }

    /// The nodes whose sessions are reached by their ids: one of each number, the one that was heard of last.
    pub fn reached(&self) -> impl Iterator<Item = &Member> {
        let mut members: Vec<&Member> =
            self.members.values().filter(|member| member.said.is_reachable).collect();
        members.sort_by_key(|member| (member.node, member.heard_ms, member.incarnation));
        let mut members = members.into_iter().peekable();
        std::iter::from_fn(move || {
            let mut member = members.next()?;
            while let Some(newer) = members.next_if(|next| next.node == member.node) {
                member = newer;
            }
            Some(member)
        })
    }

    /// Whether any of them hears some names by hashed channels, or does soon.
    pub fn some_has_buckets(&self) -> bool {
        self.members.values().any(|member| member.has_buckets)
    }

    /// Whether all of them hear everything by the set of Redis servers with this id.
    pub fn all_hear(&self, spread: u64) -> bool {
        self.members.values().all(|member| member.said.hears.contains(&spread))
    }

    /// All of them, in the order of their numbers.
    pub fn all(&self) -> Vec<&Member> {
        let mut members: Vec<&Member> = self.members.values().collect();
        members.sort_by_key(|member| (member.node, member.incarnation));
        members
    }

    /// The number of the node that is this process.
    pub fn number_of(&self, incarnation: u64) -> Option<u16> {
        self.members.get(&incarnation).map(|member| member.node)
    }

    /// Whether a node is there that has said the same of its links.
    pub fn has_asked_so(&self, said: &Heartbeat) -> bool {
        let member = self.members.get(&said.incarnation);
        member.is_some_and(|member| member.said.asked == said.asked && member.said.shares == said.shares)
    }

    /// For how long nothing has been heard of a process, in milliseconds; `u64::MAX` for one that is not there.
    pub fn silent_for_ms(&self, incarnation: u64, now_ms: u64) -> u64 {
        self.members.get(&incarnation).map_or(u64::MAX, |member| now_ms.saturating_sub(member.heard_ms))
    }

    /// How much longer than it takes at the best something took that another process has stamped with its own clock, in milliseconds.
    pub fn excess_delay_ms(&self, incarnation: u64, stamp_ms: u64, now_ms: u64) -> u64 {
        self.members.get(&incarnation).map_or(0, |member| member.delay.excess_ms(stamp_ms, now_ms))
    }

    /// What was said before over the Redis `server` does not count: it has begun anew.
    pub fn nobody_is_ready(&mut self, server: usize) {
        let bit = 1_u64.checked_shl(server as u32).unwrap_or(0);
        self.members.values_mut().for_each(|member| member.ready &= !bit);
    }

    /// Whether every node has said over the Redis `server` that it hears everything there.
    pub fn are_all_ready(&self, server: usize) -> bool {
        let bit = 1_u64.checked_shl(server as u32).unwrap_or(0);
        self.members.values().all(|member| member.ready & bit != 0)
    }
}

impl Member {
    /// For how long nothing has been heard of it, in milliseconds.
    pub fn silent_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.heard_ms)
    }
}
