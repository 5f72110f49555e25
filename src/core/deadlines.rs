//! What time brings the connections of a reactor, and when: one entry on the wheel for each that has a deadline, however many it
//! has. Knows nothing of what is done then.

use super::Core;
use crate::connection::Due;

impl Core {
    /// The next thing that time brings the connection in `slot`, and when.
    fn next_due(&self, slot: u32) -> Option<(u64, Due)> {
        let id = self.connections.id_of(slot)?;
        let connection = self.connections.slot(slot)?;
        let due = connection.next_due(id, self.rules.settings.silence, self.now, self.absent_ms);
        let incoming = self.incoming_due_ms(slot).map(|deadline_ms| (deadline_ms, Due::Message));
        let linger = self.linger_due_ms(slot).map(|deadline_ms| (deadline_ms, Due::Linger));
        let expiring = self.expiring_due_ms(slot).map(|deadline_ms| (deadline_ms, Due::Expiring));
        due.into_iter()
            .chain(incoming)
            .chain(linger)
            .chain(expiring)
            .min_by_key(|(deadline_ms, _)| *deadline_ms)
    }

    /// Puts the connection's next deadline on the wheel, unless its entry there is as early. Input only moves deadlines later:
    /// the entry fires early then, and is armed again.
    pub fn arm(&mut self, slot: u32) {
        let Some((deadline_ms, _)) = self.next_due(slot) else { return };
        if self.wheel.deadline_of(slot).is_none_or(|armed_ms| deadline_ms < armed_ms) {
            self.wheel.arm(slot, deadline_ms);
        }
    }

    /// The connections for which something is due, with what. Those whose deadline has moved on are armed again.
    pub fn take_due(&mut self, due: &mut Vec<(u32, Due)>) {
        let mut fired = Vec::new();
        self.wheel.expire(self.now.ms, &mut fired);
        for slot in fired {
            match self.next_due(slot) {
                Some((deadline_ms, what)) if deadline_ms <= self.now.ms => due.push((slot, what)),
                _ => self.arm(slot),
            }
        }
    }

    /// When time next brings something, in milliseconds of the server's clock.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        let due = [self.wheel.next_deadline(), self.ticks.next_ms(), self.memory.next_ms()];
        let bus = self.bus.as_ref().and_then(|bus| bus.next_ms());
        due.into_iter()
            .chain([self.online.next_ms(), self.unheard.next_ms(), bus, self.settlements.records.next_ms()])
            .flatten()
            .min()
    }

    /// The door of the connection in `slot` wants to be asked at this time what is due, in milliseconds of the server's
    /// clock.
    pub fn set_door_due(&mut self, slot: u32, door_ms: Option<u64>) {
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        if connection.extras.as_ref().and_then(|extras| extras.door_ms) != door_ms {
            connection.extras().door_ms = door_ms;
            self.arm(slot);
        }
    }

    /// Takes out of the outbox what has expired.
    pub fn expire(&mut self, slot: u32) {
        let acting = self.act_for(slot);
        let outbox = self.connections.slot_mut(slot).and_then(|connection| connection.outbox.as_mut());
        let is_empty = outbox.is_some_and(|outbox| {
            outbox.expire(self.now.ms, &mut self.settlements);
            outbox.is_empty()
        });
        self.end_acting(acting);
        if is_empty {
            self.free_outbox(slot);
            self.shut_down_if_drained(slot);
        }
    }
}
