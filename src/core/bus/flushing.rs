//! What a turn has to say on the bus is written: one write to each Redis; and what waits too long for one is let go.

use super::Core;
use crate::cluster::memory::Keys;
use crate::metrics::BusLoss;
use std::sync::atomic::Ordering;

impl Core {
    /// Lets go of what has waited too long for Redis.
    pub(super) fn sweep(&mut self, index: usize, now_ms: u64) {
        let mut lost = Vec::new();
        let Some(bus) = self.bus.as_deref_mut() else { return };
        for (server, line) in bus.lines.iter_mut().enumerate() {
            line.expire(now_ms, |number| lost.push((server, number)));
        }
        let metrics = self.shared.metrics.reactor(index);
        for (server, line) in bus.lines.iter().enumerate() {
            let (messages, bytes, unanswered) = line.kept();
            let figures = metrics.bus.server(server);
            figures.queue_messages.set(messages as u64);
            figures.queue_bytes.set(bytes as u64);
            figures.unanswered.set(unanswered as u64);
        }
        for (server, ear) in &bus.ears {
            metrics.bus.server(*server).channels.set(ear.channels() as u64);
        }
        if bus.lease.is_some() {
            self.show_nodes();
        }
        lost.into_iter().for_each(|(server, number)| self.lose(server, number, BusLoss::Expired));
    }

    /// Whether the turn has something to say on the bus that other nodes' players wait for.
    #[inline]
    pub fn has_news_for_bus(&self) -> bool {
        self.bus.as_ref().is_some_and(|bus| bus.has_news || self.seats.has_for_elsewhere())
    }

    /// Writes what the turn has to say on the bus.
    pub fn flush_bus(&mut self) {
        if self.bus.is_none() {
            return;
        }
        self.follow_plan();
        self.tell_edges(None);
        self.tell_places();
        self.tell_users();
        self.tell_page_of_users();
        self.tell_of_events();
        self.tell_nonces();
        self.hand_recalls();
        self.answer_fences();
        self.begin_settling();
        self.answer_settled();
        let now_ms = self.now.ms;
        let mut lost = Vec::new();
        let Some(bus) = self.bus.as_deref_mut() else { return };
        bus.has_news = false;
        let apps = &self.rules.apps;
        for (server, ear) in &mut bus.ears {
            ear.say(now_ms);
            let (channels, tag) = (&bus.cluster.channels, &bus.in_force.servers[*server].tag);
            ear.ask_on(|asked| Keys::new(channels, tag, apps.name_of(asked.app), &asked.group));
            ear.flush(now_ms);
        }
        let metrics = self.shared.metrics.reactor(self.index);
        for (server, line) in bus.lines.iter_mut().enumerate() {
            let all_are_back = bus.in_force.servers[server].all_are_back.load(Ordering::Acquire);
            let count = line.fill(now_ms, all_are_back, |number| lost.push((server, number)));
            if count > 0 {
                let figures = metrics.bus.server(server);
                figures.batch.observe(count as u64);
            }
            line.flush(now_ms);
        }
        lost.into_iter().for_each(|(server, number)| self.lose(server, number, BusLoss::Expired));
    }
}
