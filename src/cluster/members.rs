//! The nodes of a cluster, as their heartbeats tell. There is no vote and no list that anybody keeps: a node is a member for whoever
//! hears it, and is forgotten when it says goodbye or is silent for a lease. Time is an argument.

mod heartbeat;
mod offset;
#[cfg(test)]
mod tests;

pub use heartbeat::{Heartbeat, InvalidHeartbeat, PublishedTo};

use hashbrown::HashMap;
use offset::Offset;

/// The most nodes that are remembered: as many as there are node numbers.
const MOST: usize = 4_096;

/// A node that was heard.
#[derive(Debug)]
pub struct Member {
    /// What it said last.
    pub heartbeat: Heartbeat,
    /// When that was heard, in milliseconds.
    pub heard_ms: u64,
    /// When it was first heard to have its node number.
    numbered_ms: u64,
    /// The node that was told to have the same number.
    conflicts_with: Option<u64>,
    offset: Offset,
}

/// What has changed among the nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberEvent {
    /// A node is heard for the first time.
    Came {
        /// Which start of which node.
        incarnation: u64,
        /// What it is called.
        name: String,
    },
    /// A node has said goodbye, or was silent for too long.
    Gone {
        /// Which start of which node.
        incarnation: u64,
        /// What it was called.
        name: String,
        /// Whether it has said so.
        is_goodbye: bool,
    },
    /// Two nodes have one number, and go on to say so: ids of their sessions may be the same.
    Conflict {
        /// The number.
        node: u16,
        /// The one that had it first: incarnation and name.
        first: (u64, String),
        /// The other one.
        second: (u64, String),
    },
}

/// See the module.
#[derive(Debug)]
pub struct Members {
    /// The silence after which a node is forgotten, in milliseconds.
    silent_ms: u64,
    /// By incarnation.
    members: HashMap<u64, Member>,
    /// The incarnation of the member that has had each number for the shortest time.
    numbers: HashMap<u16, u64>,
    /// Who has said goodbye, and until when a heartbeat that comes late over another Redis is not heard.
    departed: HashMap<u64, u64>,
}

impl Members {
    /// No node yet; one that is silent for `lease_ms` is forgotten.
    pub fn new(lease_ms: u64) -> Self {
        let (members, numbers, departed) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { silent_ms: lease_ms, members, numbers, departed }
    }

    /// A heartbeat has come, perhaps this node's own, perhaps once more over another Redis.
    pub fn hear(&mut self, heartbeat: &Heartbeat, now_ms: u64) -> Vec<MemberEvent> {
        let Heartbeat { incarnation, node, stamp_ms, .. } = *heartbeat;
        let is_known = self.members.contains_key(&incarnation);
        if self.departed.contains_key(&incarnation) || !is_known && self.members.len() >= MOST {
            return Vec::new();
        }
        let mut events = Vec::new();
        let member = self.members.entry(incarnation).or_insert_with(|| {
            events.push(MemberEvent::Came { incarnation, name: heartbeat.name.clone() });
            Member {
                heartbeat: heartbeat.clone(),
                heard_ms: now_ms,
                numbered_ms: now_ms,
                conflicts_with: None,
                offset: Offset::new(stamp_ms, now_ms),
            }
        });
        member.offset.note(stamp_ms, now_ms);
        member.heard_ms = now_ms;
        let before = member.heartbeat.node;
        // The one that was sent last may come first, over the faster Redis.
        if stamp_ms >= member.heartbeat.stamp_ms {
            member.heartbeat.clone_from(heartbeat);
        }
        if member.heartbeat.node != before {
            (member.numbered_ms, member.conflicts_with) = (now_ms, None);
            self.forget_number(before, incarnation);
        }
        let has_new_number = !is_known || before != node;
        match self.numbers.get(&node).copied().filter(|other| *other != incarnation) {
            _ if node == 0 => {}
            Some(other) if !has_new_number => events.extend(self.conflict(incarnation, other)),
            // The other one may have ended without a goodbye: if it has, it is not heard again.
            _ => _ = self.numbers.insert(node, incarnation),
        }
        events
    }

    /// The member `first` has said that it has its number, which `second` took later.
    fn conflict(&mut self, first: u64, second: u64) -> Option<MemberEvent> {
        let named = |member: &Member| (member.heartbeat.incarnation, member.heartbeat.name.clone());
        let other = named(self.members.get(&second)?);
        let member = self.members.get_mut(&first)?;
        if member.conflicts_with.replace(second) == Some(second) {
            return None;
        }
        Some(MemberEvent::Conflict { node: member.heartbeat.node, first: named(member), second: other })
    }

    /// A node ends, and says so.
    pub fn goodbye(&mut self, incarnation: u64, now_ms: u64) -> Option<MemberEvent> {
        if self.departed.len() < MOST {
            self.departed.insert(incarnation, now_ms.saturating_add(self.silent_ms));
        }
        self.remove(incarnation, true)
    }

    /// Forgets who has been silent for too long. Called when [`Members::due_ms`] says so.
    pub fn turn(&mut self, now_ms: u64) -> Vec<MemberEvent> {
        self.departed.retain(|_, until_ms| now_ms < *until_ms);
        let is_over = |member: &Member| now_ms >= member.heard_ms.saturating_add(self.silent_ms);
        let silent = self.members.iter().filter(|(_, member)| is_over(member));
        let silent: Vec<u64> = silent.map(|(incarnation, _)| *incarnation).collect();
        silent.into_iter().filter_map(|incarnation| self.remove(incarnation, false)).collect()
    }

    /// When the next node would have been silent for too long; `None` without nodes.
    pub fn due_ms(&self) -> Option<u64> {
        let heard_ms = self.members.values().map(|member| member.heard_ms).min()?;
        Some(heard_ms.saturating_add(self.silent_ms))
    }

    fn remove(&mut self, incarnation: u64, is_goodbye: bool) -> Option<MemberEvent> {
        let member = self.members.remove(&incarnation)?;
        self.forget_number(member.heartbeat.node, incarnation);
        Some(MemberEvent::Gone { incarnation, name: member.heartbeat.name, is_goodbye })
    }

    /// The node `incarnation` does not have `number` any more. Of the others that have it the last one is who has it.
    fn forget_number(&mut self, number: u16, incarnation: u64) {
        if self.numbers.get(&number) != Some(&incarnation) {
            return;
        }
        self.numbers.remove(&number);
        let others = self
            .members
            .iter()
            .filter(|(other, member)| member.heartbeat.node == number && **other != incarnation);
        if let Some((other, _)) = others.max_by_key(|(_, member)| member.numbered_ms) {
            self.numbers.insert(number, *other);
        }
    }

    /// Which start of a node has this number: its channel is named by both.
    pub fn incarnation_of(&self, node: u16) -> Option<u64> {
        self.numbers.get(&node).copied()
    }

    /// The member with this incarnation.
    pub fn get(&self, incarnation: u64) -> Option<&Member> {
        self.members.get(&incarnation)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// All members, by their numbers.
    pub fn list(&self) -> Vec<&Member> {
        let mut members: Vec<_> = self.members.values().collect();
        members.sort_unstable_by_key(|member| (member.heartbeat.node, member.heartbeat.incarnation));
        members
    }

    /// How much later than usual a message of a member came that it stamped with `stamp_ms`, in milliseconds: what is to be taken off
    /// the time that the message has left. 0 for who is no member.
    pub fn excess_delay_ms(&self, incarnation: u64, stamp_ms: u64, now_ms: u64) -> u64 {
        self.members.get(&incarnation).map_or(0, |member| member.offset.excess_ms(stamp_ms, now_ms))
    }
}
