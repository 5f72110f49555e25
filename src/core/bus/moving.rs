//! The list of Redis servers changes while everything runs. A node hears by the old set of servers and by the new one from when its
//! configuration has the new one. A reactor goes on publishing by the old set until all nodes say that they hear by the new one. Then it
//! asks, behind the last message that went by the old set, whether all of them do, and have read everything before the question: the
//! *fence*. What would go to another server by the new set is held meanwhile. When all have said so it goes out by the new one, and so
//! does everything from then on: nothing that was published before can come behind it. If not all say so in time, it goes out by the
//! old set, and they are asked again later.

use super::awaiting::Asked;
use super::speaking::{Outline, Place, TooLarge};
use super::{Bus, Core};
use crate::cluster::fence::write_fence;
use crate::cluster::message::{Flags, Kind};
use crate::cluster::{Held, HeldMessage, Spread};
use crate::dispatch::Peer;
use crate::metrics::BusLoss;
use log::{info, warn};
use smallvec::SmallVec;
use std::sync::Arc;

/// How many times as long as a fence may hold messages passes before the next one, where one has failed.
const PAUSE: u64 = 8;

/// A question whether everybody hears by another set, and what waits for the answers.
pub struct Fence {
    target: Arc<Spread>,
    held: Held,
}

/// How far a change of the list is on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// There is none.
    Settled,
    /// Not all nodes hear by the new list, and this one publishes by the old one.
    Hearing,
    /// This node publishes by the new list. It still hears by the old one.
    Leaving,
}

impl Fence {
    /// The set that is asked for.
    pub fn target(&self) -> &Spread {
        &self.target
    }

    /// Holds a message. Returns whether there was room for it.
    pub fn hold(&mut self, message: HeldMessage) -> bool {
        self.held.push(message)
    }
}

impl Bus {
    /// Whether the list of servers is not about to change: then what is said over each of them comes over each of them.
    pub(super) fn has_one_list(&self) -> bool {
        self.in_force.plan.heard().nth(1).is_none()
    }

    /// The set that this reactor is to publish by: that of its configuration as soon as all nodes hear by it; otherwise one that all hear by.
    fn target(&self) -> Arc<Spread> {
        let plan = &self.in_force.plan;
        let members = self.cluster.members();
        let is_heard =
            |spread: &&Arc<Spread>| members.all_hear(spread.id()) && self.cluster.hears(spread.id());
        let mut wanted = [&plan.aim, &self.speaks].into_iter().chain(plan.heard());
        Arc::clone(wanted.find(is_heard).unwrap_or(&self.speaks))
    }

    /// The servers over which is asked, before names leave them; `None` where one of them is away and must be waited for. One that the new
    /// set has no more is not waited for beyond a lease.
    fn sources(&self, target: &Spread, now_ms: u64) -> Option<Vec<usize>> {
        let lease_ms = self.cluster.config.lease.as_millis() as u64;
        let mut asked = Vec::new();
        for slot in self.speaks.sources_of(target) {
            match self.lines[slot].down_for_ms(now_ms) {
                None => asked.push(slot),
                Some(down_ms) if down_ms >= lease_ms && !target.slots().contains(&slot) => {}
                Some(_) => return None,
            }
        }
        Some(asked)
    }
}

impl Core {
    /// The bus's part of a turn that is about a change of the list of servers. `is_beat`: it is time for a heartbeat.
    pub(super) fn turn_move(&mut self, is_beat: bool) {
        let now_ms = self.now.ms;
        let Some(bus) = self.bus.as_deref() else { return };
        if is_beat && bus.lease.is_some() {
            bus.cluster.turn_plan(now_ms);
        }
        self.follow_plan();
        if !is_beat {
            return;
        }
        self.tell_stage();
        let Some(bus) = self.bus.as_deref() else { return };
        let may_ask = bus.fence.is_none() && now_ms >= bus.next_fence_ms;
        // Where all agree nothing is locked.
        if may_ask
            && (bus.speaks.id() != bus.in_force.plan.aim.id() || bus.in_force.plan.heard().nth(1).is_some())
        {
            let target = bus.target();
            if target.id() != bus.speaks.id() {
                self.begin_fence(target);
            }
        }
    }

    fn begin_fence(&mut self, target: Arc<Spread>) {
        let (now_ms, index) = (self.now.ms, self.index);
        let Some(bus) = self.bus.as_deref_mut() else { return };
        let Some(sources) = bus.sources(&target, now_ms) else { return };
        let patience_ms = bus.patience_ms();
        bus.next_fence_ms = now_ms + PAUSE * patience_ms;
        let config = &bus.cluster.config;
        let held = Held::new(config.queue_messages, config.queue_bytes);
        let id = target.id();
        bus.fence = Some(Fence { target, held });
        if sources.is_empty() {
            return self.end_fence(true);
        }
        let questions = sources.len() as u32;
        let asked = Asked::Fence { questions, is_refused: false };
        let deadline_ms = now_ms + patience_ms;
        let reply = bus.awaiting.ask(index, asked, questions, deadline_ms);
        let outline =
            Outline { kind: Kind::Fence, flags: Flags::NONE, app: "", reply, deadline_ms, ttl_left_ms: None };
        let mut is_taken = true;
        for server in sources {
            let place = Place { server, next: None, channel: bus.cluster.channels.of_nodes() };
            is_taken &= bus.publish(index, now_ms, &place, outline, |out| {
                write_fence(id, out);
                Ok::<(), TooLarge>(())
            });
        }
        if !is_taken && let Some(Asked::Fence { is_refused, .. }) = bus.awaiting.asked(reply) {
            *is_refused = true;
        }
    }

    /// All have answered a fence, or it is given up: by nodes with these numbers, of which so many are `missing`.
    pub(super) fn fence_is_over(
        &mut self,
        questions: u32,
        is_refused: bool,
        answered: &SmallVec<[u16; 4]>,
        missing: Option<u32>,
    ) {
        let Some(bus) = self.bus.as_deref() else { return };
        let Some(fence) = &bus.fence else { return };
        // A node that hears by the old set and was not connected is to answer too: it may still read what it was sent before.
        let members = bus.cluster.members();
        let answers = |node: u16| answered.iter().filter(|answered| **answered == node).count();
        let (members_all, speaks) = (members.all(), bus.speaks.id());
        let mut hear_old = members_all.iter().filter(|member| member.said.hears.contains(&speaks));
        let all_answered = hear_old.all(|member| answers(member.node) >= questions as usize);
        drop(members);
        let is_heard = bus.in_force.plan.find(fence.target.id()).is_some();
        self.end_fence(missing == Some(0) && !is_refused && all_answered && is_heard);
    }

    /// Publishes what was held: by the new set where all hear by it, and otherwise by the old one.
    fn end_fence(&mut self, is_passed: bool) {
        let index = self.index;
        let Some(bus) = self.bus.as_deref_mut() else { return };
        let Some(Fence { target, held }) = bus.fence.take() else { return };
        let mut left = Vec::new();
        if is_passed {
            // What is kept for a server that is away for too long would be overtaken.
            for slot in bus.speaks.sources_of(&target) {
                if bus.lines[slot].down_for_ms(self.now.ms).is_some() && !target.slots().contains(&slot) {
                    let mut lost = Vec::new();
                    bus.lines[slot].give_up(|number, may_be_published| lost.push((number, may_be_published)));
                    left.push((slot, lost));
                }
            }
            bus.speaks = target;
            bus.next_fence_ms = 0;
            bus.cluster.reactor_speaks(index, &bus.speaks);
            // The others are to hear of it.
            bus.next_beat_ms = 0;
        }
        for message in held.into_messages() {
            let Some(bus) = self.bus.as_deref_mut() else { return };
            let server = if is_passed { message.next } else { message.server };
            if !bus.publish_held(server, &message) {
                self.lose(server, message.number, BusLoss::Queue);
            }
        }
        left.into_iter().for_each(|(slot, lost)| self.lose_all(slot, lost));
    }

    /// What was held may go out by the old set: this node ends, and asks no more.
    pub(super) fn give_up_fence(&mut self) {
        self.end_fence(false);
    }

    /// Whether everything is heard by a set is asked. All that was heard before is on its way to its reactor, or waits for room there.
    pub(super) fn heard_fence(&mut self, peer: Peer, id: u64) {
        if let Some(bus) = self.bus.as_deref_mut() {
            bus.fences.push((peer, id));
        }
    }

    /// Answers fences, when everything that was heard before is with the reactors that it is for: what comes over another server later
    /// is behind it there.
    pub(super) fn answer_fences(&mut self) {
        let Some(bus) = self.bus.as_deref_mut() else { return };
        if bus.fences.is_empty() || self.peers.backlog() > 0 {
            return;
        }
        let fences = std::mem::take(&mut bus.fences);
        let claims = bus.cluster.claims();
        for (peer, id) in fences {
            let is_heard = claims.contains(&id);
            self.answer(&peer, Kind::Fenced, |out| {
                out.push(u8::from(is_heard));
                Ok(())
            });
        }
    }

    /// Says in the log how far a change is, and which nodes have another list.
    fn tell_stage(&mut self) {
        let Some(bus) = self.bus.as_deref_mut().filter(|bus| bus.lease.is_some()) else { return };
        let plan = &bus.in_force.plan;
        let aim = plan.aim.id();
        let stage = match plan.heard().nth(1).is_some() {
            false => Stage::Settled,
            true if bus.cluster.all_speak(aim) => Stage::Leaving,
            true => Stage::Hearing,
        };
        let servers = plan.aim.slots().len();
        let before = std::mem::replace(&mut bus.stage, stage);
        match (before, stage) {
            (before, stage) if before == stage => {}
            (_, Stage::Hearing) => info!(
                "the list of Redis servers changes, to one of {servers}: this node hears by it and by the old one, and publishes by the old \
                 one until all nodes hear by the new one"
            ),
            (_, Stage::Leaving) => {
                info!("all nodes hear by the new list of Redis servers: this node publishes by it")
            }
            (_, Stage::Settled) => info!("the change of the list of Redis servers is over; it has {servers}"),
        }
        let members = bus.cluster.members();
        let mut others = hashbrown::HashMap::new();
        for member in members.all() {
            // A version without changes of the list does not say which it has.
            if member.said.aim == aim || member.said.aim == 0 {
                continue;
            }
            others.insert(member.incarnation, member.said.aim);
            if bus.others.get(&member.incarnation) != Some(&member.said.aim) {
                warn!(
                    "node {} ({}) has another list in cluster.redis: give all nodes the same one, and reload them",
                    member.node, member.name
                );
            }
        }
        drop(members);
        bus.others = others;
    }
}
