//! The Redis servers of this reactor's bus: its lines and ears come and go with the plan. A server has a slot, which is its place among
//! the lines, for as long as the process lives: the numbers of what is published there go on when it comes back.

use super::ear::Ear;
use super::line::Line;
use super::news::Waiter;
use super::placing::Server;
use super::{BUS_TOKENS, Bus, Core, ear_of};
use crate::cluster::{Link, LinkLimits, Names, Outgoing, QueueLimits};
use crate::metrics::BusLoss;
use log::warn;
use mio::Token;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The longest message that is taken for one: the largest push, and a digest of as many entries as are remembered.
const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// How long a publisher waits, after Redis has begun anew, for the other nodes to hear again.
const HOLD_MS: u64 = 1_000;

/// Channels that have come or gone, and whether each is wanted.
type Changes = Vec<(Box<[u8]>, bool)>;

fn ms(time: Duration) -> u64 {
    time.as_millis() as u64
}

impl Bus {
    /// The server with this slot, as all reactors see it.
    pub(super) fn server(&self, slot: usize) -> &Arc<Server> {
        &self.in_force.servers[slot]
    }

    fn link(&self, slot: usize, is_ear: bool) -> Link {
        let config = &self.cluster.config;
        let limits = LinkLimits {
            connect_ms: ms(config.connect),
            silent_ms: ms(config.silent),
            backoff_min_ms: ms(config.backoff_min),
            backoff_max_ms: ms(config.backoff_max),
            max_message_bytes: MAX_MESSAGE_BYTES,
            max_unwritten_bytes: config.queue_bytes,
        };
        let token = Token(BUS_TOKENS + 2 * slot + usize::from(is_ear));
        let (url, directory) = (Arc::clone(&self.server(slot).url), Arc::clone(&self.cluster.directory));
        Link::new(url, directory, token, limits, Arc::clone(&self.waker))
    }

    fn new_line(&self, slot: usize) -> Line {
        let config = &self.cluster.config;
        let queue = QueueLimits {
            messages: config.queue_messages,
            bytes: config.queue_bytes,
            in_flight: config.in_flight,
            digest_entries: config.digest_entries,
        };
        Line::new(self.link(slot, false), Outgoing::new(queue), HOLD_MS)
    }

    fn new_ear(&self, slot: usize, reactors: usize) -> Ear {
        let (cluster, config) = (&self.cluster, &self.cluster.config);
        let always = [cluster.channels.of_nodes(), cluster.own_channel()];
        let names = Names::new(cluster.channels.clone(), &always, config.max_channels, ms(config.linger));
        let mut ear = Ear::new(self.link(slot, true), names, config.in_flight);
        // What comes back of what this node publishes may be missed as well, from the first message on.
        (0..reactors).for_each(|reactor| ear.hearing().begin((cluster.incarnation, reactor as u8), 0));
        ear
    }

    /// Has a line to each server of the plan, and an ear at those of which the reactor `index` has it.
    pub(super) fn open_servers(&mut self, index: usize, reactors: usize) {
        for slot in 0..self.in_force.servers.len() {
            if self.lines.len() == slot {
                let line = self.new_line(slot);
                self.lines.push(line);
                self.beats_ns.push((0, 0));
            }
            if !self.in_force.plan.is_open(slot) {
                continue;
            }
            self.lines[slot].open();
            if ear_of(slot, reactors) == index && self.ear(slot).is_none() {
                let ear = self.new_ear(slot, reactors);
                self.ears.push((slot, ear));
            }
        }
    }

    /// Ends the connections to servers that the plan has no more. How many messages were kept for each, and how many of these may have
    /// been published.
    fn close_servers(&mut self) -> Vec<(usize, Vec<(u64, bool)>)> {
        let mut closed = Vec::new();
        for slot in 0..self.lines.len() {
            if self.in_force.plan.is_open(slot) || !self.lines[slot].is_open() {
                continue;
            }
            let (link, mut lost) = (self.link(slot, false), Vec::new());
            self.lines[slot].close(link, |number, may_be_published| lost.push((number, may_be_published)));
            if let Some(place) = self.ears.iter().position(|(of, _)| *of == slot) {
                let (_, mut ear) = self.ears.remove(place);
                ear.close();
                let gaps = ear.hearing().gaps().count();
                if gaps > 0 {
                    let url = &self.server(slot).url;
                    warn!(
                        "{url} is left: what {gaps} publishers sent over it while nothing was heard is not counted"
                    );
                }
                self.passed.extend(std::iter::from_fn(|| ear.take_waiter()));
                self.untold.extend(ear.reading().went_down());
                let server = self.server(slot);
                server.is_whole.store(false, Ordering::Release);
                server.all_are_back.store(false, Ordering::Release);
                server.has_buckets.store(false, Ordering::Relaxed);
                server.has_gaps.store(false, Ordering::Release);
            }
            closed.push((slot, lost));
        }
        closed
    }
}

impl Core {
    /// Follows the plan in force. While the world stands still nothing new begins: whoever goes on follows then.
    pub(super) fn follow_plan(&mut self) {
        if !self.stands_still {
            self.follow_plan_now();
        }
    }

    /// Follows the plan in force, if that is another one than this reactor's: what it has sessions of is heard where the plan says, from
    /// the servers that it says.
    pub(super) fn follow_plan_now(&mut self) {
        let is_other = self.bus.as_deref().is_some_and(|bus| bus.followed != bus.cluster.plan_number());
        if !is_other {
            return;
        }
        // What has come and gone before is told by the plan of before.
        self.tell_edges(None);
        let (index, reactors) = (self.index, self.shared.reactors());
        let Some(bus) = self.bus.as_deref_mut() else { return };
        let before = std::mem::replace(&mut bus.in_force, bus.cluster.in_force());
        bus.open_servers(index, reactors);
        let now = Arc::clone(&bus.in_force);
        let mut changes: Vec<Changes> = vec![Vec::new(); now.servers.len()];
        for edge in self.hub.all_as_edges() {
            let Some(channel) = self.channel_of_edge(&edge) else { continue };
            let (from, to) = (before.plan.slots_of(&channel), now.plan.slots_of(&channel));
            for slot in to.iter().filter(|slot| !from.contains(slot)) {
                changes[*slot].push((channel.clone(), true));
            }
            for slot in from.iter().filter(|slot| !to.contains(slot)) {
                changes[*slot].push((channel.clone(), false));
            }
        }
        let Some(bus) = self.bus.as_deref_mut() else { return };
        bus.followed = now.plan.number;
        let open: Vec<usize> = (0..changes.len()).filter(|slot| now.plan.is_open(*slot)).collect();
        bus.unheard += open.len();
        for slot in open {
            let edges = std::mem::take(&mut changes[slot]);
            self.hand_edges(slot, edges, Some(Waiter::Plan(index)));
        }
        self.end_connections();
        let Some(bus) = self.bus.as_deref() else { return };
        bus.cluster.reactor_follows(index, now.plan.number);
    }

    /// Connections to servers that the plan has no more end. What is lost with them is counted.
    fn end_connections(&mut self) {
        let Some(bus) = self.bus.as_deref_mut() else { return };
        let closed = bus.close_servers();
        bus.show_servers(&mut self.shared.bus_status());
        for slot in 0..bus.lines.len() {
            let is_open = bus.in_force.plan.is_open(slot);
            let figures = self.shared.metrics.reactor(self.index).bus.server(slot);
            figures.is_known.set(1);
            figures.is_open.set(u64::from(is_open));
            if !is_open {
                figures.clear();
            }
        }
        for (slot, lost) in closed {
            self.lose_all(slot, lost);
        }
        let untold = self.bus.as_deref_mut().map(|bus| std::mem::take(&mut bus.untold)).unwrap_or_default();
        untold.into_iter().for_each(|question| self.redis_tells(question, None));
    }

    /// None of these messages, which were kept for a server, is published any more; of each it is known whether it may have been.
    pub(super) fn lose_all(&mut self, slot: usize, lost: Vec<(u64, bool)>) {
        for (number, may_be_published) in lost {
            self.lose(slot, number, if may_be_published { BusLoss::Unknown } else { BusLoss::Queue });
        }
    }

    /// An ear hears what this reactor has told it when it began to follow a plan.
    pub(super) fn plan_is_heard(&mut self) {
        let index = self.index;
        let Some(bus) = self.bus.as_deref_mut() else { return };
        bus.unheard = bus.unheard.saturating_sub(1);
        if bus.unheard == 0 {
            bus.cluster.reactor_is_heard(index, bus.followed);
        }
    }
}
