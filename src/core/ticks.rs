//! Ticks: what waits for them, and the one write a session when one has come. A list for each tick that something has
//! waited for, no timer for each session. Ticks are multiples of their length on the server's clock, so that all reactors tick
//! together. Knows nothing of which push waits for which tick.

use super::Core;
use crate::connection::{Flag, Flushed, Tick};
use crate::dispatch::TickPhase;
use crate::session::AppId;
use crate::timer::Moment;
use std::collections::VecDeque;

/// The lists of one reactor.
#[derive(Debug)]
pub(super) struct Ticks {
    /// One for each tick: few enough to look through.
    lists: Vec<TickList>,
    /// No list is due before this, in milliseconds of the server's clock.
    next_ms: u64,
    /// Connections whose tick has come, and that are to be written.
    ticked: VecDeque<u32>,
}

/// The connections in whose outboxes something waits for one tick.
#[derive(Debug)]
struct TickList {
    tick: Tick,
    /// When they are written; meaningless while there are none.
    due_ms: u64,
    slots: Vec<u32>,
    /// A bit for each slot: whether it is in the list.
    listed: Vec<u64>,
}

impl Ticks {
    pub fn new() -> Self {
        Self { lists: Vec::new(), next_ms: u64::MAX, ticked: VecDeque::new() }
    }

    /// Forgets the ticks that nothing waits for: the configuration may have them no longer.
    pub fn forget_idle(&mut self) {
        self.lists.retain(|list| !list.slots.is_empty());
    }

    /// Whether a tick that has come is not all written.
    pub(super) fn has_work(&self) -> bool {
        !self.ticked.is_empty()
    }

    /// When the next tick comes that something waits for.
    pub fn next_ms(&self) -> Option<u64> {
        (self.next_ms != u64::MAX).then_some(self.next_ms)
    }

    /// The connection in `slot` is to be written when `tick` comes next.
    pub(super) fn await_tick(&mut self, tick: Tick, slot: u32, now: Moment) {
        let place = self.lists.iter().position(|list| list.tick == tick).unwrap_or_else(|| {
            self.lists.push(TickList { tick, due_ms: 0, slots: Vec::new(), listed: Vec::new() });
            self.lists.len() - 1
        });
        let list = &mut self.lists[place];
        if list.slots.is_empty() {
            let every_ms = u64::from(tick.0);
            list.due_ms = (now.ms / every_ms + 1) * every_ms;
            self.next_ms = self.next_ms.min(list.due_ms);
        }
        if list.insert(slot) {
            list.slots.push(slot);
        }
    }

    /// The slots of a tick that has come by `now`, with the tick; to be given back.
    fn take_due(&mut self, now: Moment) -> Option<(Tick, Vec<u32>)> {
        if now.ms < self.next_ms {
            return None;
        }
        let is_due = |list: &TickList| !list.slots.is_empty() && list.due_ms <= now.ms;
        let Some(index) = self.lists.iter().position(is_due) else {
            let waiting = self.lists.iter().filter(|list| !list.slots.is_empty());
            self.next_ms = waiting.map(|list| list.due_ms).min().unwrap_or(u64::MAX);
            return None;
        };
        let list = &mut self.lists[index];
        let slots = std::mem::take(&mut list.slots);
        for &slot in &slots {
            list.listed[slot as usize / 64] &= !(1 << (slot % 64));
        }
        Some((list.tick, slots))
    }

    /// Keeps the memory of a list for the next time.
    fn give_back(&mut self, tick: Tick, mut slots: Vec<u32>) {
        slots.clear();
        if let Some(list) = self.lists.iter_mut().find(|list| list.tick == tick)
            && list.slots.is_empty()
        {
            list.slots = slots;
        }
    }
}

impl TickList {
    /// Whether it was not in the list.
    fn insert(&mut self, slot: u32) -> bool {
        let (word, bit) = (slot as usize / 64, 1 << (slot % 64));
        if self.listed.len() <= word {
            self.listed.resize(word + 1, 0);
        }
        let new = self.listed[word] & bit == 0;
        self.listed[word] |= bit;
        new
    }
}

impl Core {
    /// Something that may wait for `tick` has been queued in `slot`, where it `begins` the normal lane or follows what was
    /// there. What follows something that waits for nothing but the socket goes with it.
    pub fn pace(&mut self, slot: u32, tick: Tick, begins: bool) {
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        let is_ready = !connection.flags.has(Flag::Blocked);
        let Some(outbox) = &mut connection.outbox else { return };
        let sooner = outbox.tick().is_some_and(|waits_for| tick < waits_for);
        if begins || sooner {
            match begins {
                true => outbox.begin_tick(tick, is_ready),
                false => outbox.wait_for(Some(tick)),
            }
            self.ticks.await_tick(tick, slot, self.now);
        } else if outbox.tick().is_none() {
            self.mark_dirty(slot);
        }
    }

    /// The ticks of an app, the shortest first, and when they come by the wall clock as it is set now.
    pub fn tick_phases(&self, app: AppId) -> Vec<TickPhase> {
        let lengths = self.rules.delivery_rules.ticks(app);
        if lengths.is_empty() {
            return Vec::new();
        }
        let zero_unix_ms = self.shared.clock.zero_unix_ms();
        let phase = |Tick(ms): Tick| TickPhase {
            tick_ms: u32::from(ms),
            phase_ms: (zero_unix_ms % u64::from(ms)) as u32,
        };
        lengths.into_iter().map(phase).collect()
    }

    /// Writes what has waited for a tick that has come: everything in those outboxes, one write each, as far as the budget
    /// goes. The rest goes on in the next turn, before what is due then.
    pub fn flush_ticks(&mut self) {
        while let Some((tick, slots)) = self.ticks.take_due(self.now) {
            self.metrics().ticks.add(1);
            for &slot in &slots {
                let connection = self.connections.slot(slot);
                let outbox = connection.and_then(|connection| connection.outbox.as_ref());
                // It may have been written meanwhile, with something that does not wait.
                if outbox.is_some_and(|outbox| outbox.tick() == Some(tick)) {
                    self.ticks.ticked.push_back(slot);
                }
            }
            self.ticks.give_back(tick, slots);
        }
        if !self.ticks.ticked.is_empty() {
            self.flush_ticked();
        }
    }

    fn flush_ticked(&mut self) {
        let share = self.rules.settings.config.limits.turn_write_bytes;
        let before = self.metrics().socket_writes.get();
        while !self.budget.is_spent_on_sockets()
            && let Some(slot) = self.ticks.ticked.pop_front()
        {
            // Another connection may have the slot by now: to write what waits for that one does no harm.
            let Some(connection) = self.connections.slot_mut(slot) else { continue };
            // Only now: what was queued since its tick came goes with it, in the same write.
            if let Some(outbox) = &mut connection.outbox {
                outbox.wait_for(None);
            }
            if !connection.flags.has(Flag::Blocked) && self.flush(slot, share) == Flushed::Share {
                self.mark_dirty(slot);
            }
            self.note_behind(slot);
            self.arm(slot);
        }
        let written = self.metrics().socket_writes.get() - before;
        self.metrics().tick_writes.add(written);
        self.ticks.ticked.shrink_to(super::EVENTS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment { ms, ns: ms * 1_000_000 }
    }

    #[test]
    fn ticks_are_multiples_of_their_length_and_name_each_slot_once() {
        let mut ticks = Ticks::new();
        assert_eq!((ticks.next_ms(), ticks.take_due(at(1_000))), (None, None));
        for (tick, slot, ms) in [(50, 7, 101), (50, 130, 102), (50, 7, 149), (20, 7, 130), (20, 3, 139)] {
            ticks.await_tick(Tick(tick), slot, at(ms));
        }
        assert_eq!((ticks.next_ms(), ticks.take_due(at(139))), (Some(140), None));
        assert_eq!(ticks.take_due(at(140)), Some((Tick(20), vec![7, 3])));
        // What comes in the millisecond of a tick waits for the next one.
        ticks.await_tick(Tick(20), 3, at(140));
        assert_eq!((ticks.take_due(at(140)), ticks.next_ms()), (None, Some(150)));
        assert_eq!(ticks.take_due(at(163)), Some((Tick(50), vec![7, 130])));
        ticks.forget_idle();
        assert_eq!(ticks.take_due(at(163)), Some((Tick(20), vec![3])));
        assert_eq!((ticks.take_due(at(163)), ticks.next_ms()), (None, None));
    }
}
