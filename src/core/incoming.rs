//! All that is half received, as one sum: begun messages, heads, bodies, and what was read of a connection before it was
//! paused. Only connections that hold something are in the table.

use super::Core;
use crate::connection::{Flag, Kind, Phase};
use crate::dispatch::ErrorCode;
use hashbrown::HashMap;

/// Connections shed in one turn.
const SHED: usize = 64;

/// See the module.
#[derive(Debug, Default)]
pub struct Incoming {
    held: HashMap<u32, Held>,
    /// The bytes of all.
    bytes: u64,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    bytes: usize,
    /// Of these, what is whole and being worked on: closing the connection would not free it.
    whole: usize,
    /// What the peer owes, and when that began, in attended time.
    owed: Option<(Owed, u64)>,
}

/// What a peer owes that has begun to send: there is a deadline for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owed {
    /// The rest of a request's head.
    Head,
    /// The rest of a message, or of a request whose head is whole.
    Rest,
}

impl Incoming {
    /// The memory of all.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// When what the connection in `slot` is sending began.
    pub fn since_ms(&self, slot: u32) -> Option<u64> {
        Some(self.held.get(&slot)?.owed?.1)
    }

    fn set(&mut self, slot: u32, held: Held) {
        let before = self.held.insert(slot, held);
        self.bytes = self.bytes - before.map_or(0, |held| held.bytes as u64) + held.bytes as u64;
    }

    fn remove(&mut self, slot: u32) {
        if let Some(held) = self.held.remove(&slot) {
            self.bytes -= held.bytes as u64;
        }
        if self.held.len() * 4 < self.held.capacity() {
            self.held.shrink_to(self.held.len() * 2);
        }
    }

    /// The slots that hold the most, the largest first.
    fn largest(&self) -> Vec<u32> {
        let freed = self.held.iter().map(|(slot, held)| (held.bytes - held.whole, *slot));
        let mut all: Vec<(usize, u32)> = freed.filter(|(bytes, _)| *bytes > 0).collect();
        let most = all.len().min(SHED);
        if most < all.len() {
            all.select_nth_unstable_by(most, |one, other| other.cmp(one));
        }
        all.truncate(most);
        all.sort_unstable_by(|one, other| other.cmp(one));
        all.into_iter().map(|(_, slot)| slot).collect()
    }
}

/// What a connection has half received.
#[derive(Debug, Clone, Copy, Default)]
pub struct HalfReceived {
    /// The memory that it takes.
    pub bytes: usize,
    /// The memory of what is whole, and is worked on.
    pub whole: usize,
    /// What the peer owes.
    pub owed: Option<Owed>,
    /// Whether something was completed since the last look: what is coming has begun anew.
    pub began: bool,
}

impl Core {
    /// The connection in `slot` holds so much that is half received.
    #[inline]
    pub fn note_incoming(&mut self, slot: u32, half: HalfReceived) {
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        if half.bytes + half.whole > 0 || connection.flags.has(Flag::Incoming) {
            self.change_incoming(slot, half);
        }
    }

    #[cold]
    fn change_incoming(&mut self, slot: u32, half: HalfReceived) {
        let now_ms = self.attended_ms();
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        if half.bytes + half.whole == 0 {
            connection.flags.clear(Flag::Incoming);
            self.incoming.remove(slot);
            return;
        }
        connection.flags.set(Flag::Incoming);
        let began_ms = self.incoming.since_ms(slot).filter(|_| !half.began);
        let owed = half.owed.map(|owed| (owed, began_ms.unwrap_or(now_ms)));
        self.incoming.set(slot, Held { bytes: half.bytes + half.whole, whole: half.whole, owed });
    }

    /// How long the peer in `slot` has owed the rest of what it has begun to send, in attended milliseconds.
    pub fn owed_for_ms(&self, slot: u32) -> Option<u64> {
        Some(self.attended_ms().saturating_sub(self.incoming.since_ms(slot)?))
    }

    /// The same as [`Core::note_incoming`], for a connection that has come from another process: what it owes it has owed for
    /// so long already.
    pub fn restore_incoming(&mut self, slot: u32, half: HalfReceived, owed_for_ms: Option<u64>) {
        self.note_incoming(slot, half);
        let began_ms = self.attended_ms().saturating_sub(owed_for_ms.unwrap_or(0));
        if let Some(Held { owed: Some((_, since_ms)), .. }) = self.incoming.held.get_mut(&slot) {
            *since_ms = began_ms;
        }
    }

    /// The connection in `slot` was paused: the time for what it is sending begins anew.
    pub fn restart_incoming(&mut self, slot: u32) {
        let now_ms = self.attended_ms();
        if let Some(Held { owed: Some((_, since_ms)), .. }) = self.incoming.held.get_mut(&slot) {
            *since_ms = now_ms;
        }
    }

    /// The connection in `slot` has gone.
    pub fn forget_incoming(&mut self, slot: u32) {
        self.incoming.remove(slot);
    }

    /// When what the connection in `slot` is sending has to be complete, in milliseconds of the server's clock.
    pub fn incoming_due_ms(&self, slot: u32) -> Option<u64> {
        let connection = self.connections.slot(slot)?;
        // A stranger has one deadline for all.
        let has_deadline = connection.flags.has(Flag::Incoming) && !connection.flags.has(Flag::Stranger);
        if !has_deadline || connection.is_paused() || connection.phase != Phase::Open {
            return None;
        }
        let settings = &self.rules.settings;
        let (owed, since_ms) = self.incoming.held.get(&slot)?.owed?;
        let within_ms = match owed {
            Owed::Head => settings.silence.head_ms.min(settings.message_ms),
            Owed::Rest => settings.message_ms,
        };
        Some(since_ms + within_ms + self.absent_ms)
    }

    /// Does this reactor's part where all that is half received is beyond its bound: closes the connections that hold the
    /// most. Returns those that a door has to answer.
    pub fn shed_incoming(&mut self) -> Vec<u32> {
        let mut for_doors = Vec::new();
        let (own, index, shared) = (self.incoming.bytes(), self.index, &self.shared);
        let look = self.incoming_relief.look(index, own, || shared.sums(index, own, |one| &one.incoming));
        let Some(part) = look else { return for_doors };
        self.ask_for_relief(part.others);
        let goal = own.saturating_sub(part.free);
        let mut shed = 0;
        for slot in self.incoming.largest() {
            if self.incoming.bytes() <= goal {
                break;
            }
            shed += 1;
            self.metrics().shed.add(1);
            self.incoming.remove(slot);
            let Some(connection) = self.connections.slot_mut(slot) else { continue };
            connection.flags.clear(Flag::Incoming);
            if let Some(extras) = &mut connection.extras {
                extras.held = Vec::new();
            }
            match connection.kind {
                Kind::Player | Kind::Echo | Kind::Link => {
                    self.close(slot, ErrorCode::Overloaded.row().close, "too much is half received");
                    self.drop_partial(slot);
                }
                Kind::Upgrade | Kind::Backend | Kind::Discard => for_doors.push(slot),
            }
        }
        let own = self.incoming.bytes();
        self.incoming_relief.done(own, shed > 0 && own > goal);
        for_doors
    }

    /// What has come of a message is given up, since its connection closes: what comes of it still is thrown away.
    pub(super) fn drop_partial(&mut self, slot: u32) {
        if let Some(connection) = self.connections.slot_mut(slot) {
            connection.websocket = None;
            self.finish(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_that_of_what_is_held_and_the_largest_come_first() {
        let mut incoming = Incoming::default();
        for (slot, bytes) in [(1, 10), (2, 500), (3, 40), (2, 300)] {
            incoming.set(slot, Held { bytes, whole: bytes / 100, owed: None });
        }
        assert_eq!((incoming.bytes(), incoming.largest()), (350, vec![2, 3, 1]));
        incoming.remove(2);
        incoming.remove(7);
        assert_eq!((incoming.bytes(), incoming.largest()), (50, vec![3, 1]));
        (10..10_000).for_each(|slot| incoming.set(slot, Held { bytes: 1, whole: 0, owed: None }));
        assert_eq!(incoming.largest().len(), SHED);
        (1..10_000).for_each(|slot| incoming.remove(slot));
        assert_eq!((incoming.bytes(), incoming.held.capacity()), (0, 0));
    }
}
