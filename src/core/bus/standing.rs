//! What the bus does while the world stands still. What this node has asked others is waited for, until the last has answered or the
//! patience is over: a command that has begun comes to its end before it is packed, like one that asks only reactors. So long this
//! node hears what comes, and answers what it is asked: two nodes that stand still at once do not wait for each other. From then on
//! what comes stays in the sockets, for whoever goes on.

use super::{BUS_TOKENS, Bus, Core, Ear};
use crate::cluster::message::Kind;
use std::sync::atomic::Ordering;

impl Bus {
    /// Whether nothing waits for an answer of another node, or of Redis that a set is heard.
    pub(in crate::core) fn is_quiet(&self) -> bool {
        self.awaiting.is_empty()
            && self.held.is_empty()
            && self.crossing.is_quiet()
            && self.placed.is_empty()
            && self.users.is_empty()
            && self.recalls.is_empty()
            && self.unheard == 0
            && self.fences.is_empty()
            && self.passed.is_empty()
            && !self.ears.iter().any(|(_, ear)| ear.is_waited_for())
    }

    fn must_hear(&self) -> bool {
        self.cluster.questions.load(Ordering::Acquire) > 0
            || !self.crossing.is_quiet()
            || self.unheard > 0
            || self.ears.iter().any(|(_, ear)| ear.is_waited_for())
    }
}

impl Core {
    /// A connection of the bus is ready while the world stands still: what is heard is not read by that alone.
    pub fn bus_ready_still(&mut self, token: usize) {
        let now = self.now;
        let Some(bus) = self.bus.as_deref_mut() else { return };
        let number = token - BUS_TOKENS;
        match number % 2 {
            0 => bus.ready(token, now),
            _ => {
                if let Some(ear) = bus.ear(number / 2) {
                    ear.link().read_later();
                }
            }
        }
    }

    /// The bus's part of a turn in which nothing new begins.
    pub fn turn_bus_still(&mut self) {
        if self.bus.is_none() {
            return;
        }
        let now_ms = self.now.ms;
        self.hear_lines();
        if self.bus.as_deref().is_some_and(Bus::must_hear) {
            // A Redis that says nothing keeps nobody waiting.
            let ears = self.bus.iter_mut().flat_map(|bus| bus.ears.iter_mut());
            ears.for_each(|(_, ear)| ear.link().end_if_silent(now_ms));
            self.hear_ears();
        }
        self.end_waiters();
        self.give_up_questions(now_ms);
        self.give_up_reading(now_ms);
        self.answer_late_pushes(now_ms);
        self.give_up_crossing(now_ms);
    }

    /// The world goes on, in this process: what has come meanwhile is read, and nobody could be heard.
    pub fn go_on_with_bus(&mut self) {
        let now_ms = self.now.ms;
        let Some(bus) = self.bus.as_deref_mut() else { return };
        bus.lines.iter_mut().for_each(|line| line.link().read_later());
        bus.ears.iter_mut().map(|(_, ear)| ear).map(Ear::link).for_each(|link| link.read_later());
        if bus.lease.is_some() {
            bus.cluster.members().excuse(now_ms);
        }
    }

    /// Writes what is left to be published. Whether Redis has answered all of it.
    pub fn finish_bus(&mut self) -> bool {
        self.give_up_fence();
        self.hear_lines();
        self.flush_bus();
        let Some(bus) = self.bus.as_deref_mut() else { return true };
        bus.lines
            .iter_mut()
            .all(|line| !line.link().is_up() || line.link().unanswered() == 0 && !line.has_work())
    }

    /// This node ends: the others are told, and its number is given back.
    pub fn leave_cluster(&mut self) {
        let (now_ms, index) = (self.now.ms, self.index);
        let Some(bus) = self.bus.as_deref_mut() else { return };
        let servers: Vec<usize> = bus.ears.iter().map(|(server, _)| *server).collect();
        let all = bus.cluster.channels.of_nodes();
        for server in servers {
            bus.tell(server, index, now_ms, &all, Kind::Goodbye, |_| ());
        }
        if let Some(command) = bus.lease.as_mut().and_then(|lease| lease.release()) {
            let args: Vec<&[u8]> = command.iter().map(|arg| &arg[..]).collect();
            bus.lines[0].say_of_lease(&args);
        }
        bus.lines.iter_mut().for_each(|line| line.flush(now_ms));
    }

    /// Whether this reactor has a way to other nodes.
    pub fn has_bus(&self) -> bool {
        self.bus.is_some()
    }
}
