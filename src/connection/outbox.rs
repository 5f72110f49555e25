//! What waits for one socket: the frame on the wire, then the urgent ones, then the rest, bounded in messages and bytes.
//! Writes as much as the socket takes in one vectored write. Knows nothing of sessions and other sockets.

mod carry;
mod item;
mod keys;
mod parting;
mod pressure;
mod settlements;
mod staged;

pub use carry::{CarriedOutbox, LocalPushes, Restoring};
pub use item::{Item, KeptItem, LocalPush};
pub use parting::{Form, Waits};
pub use pressure::Offered;
pub use settlements::{Events, Settlements};

use super::kept::Keeping;
use super::stream::Stream;
use crate::dispatch::{Class, Fate};
use keys::Keys;
use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};

/// Slices handed to one `writev`: past this the copying of the vector itself costs more than another call.
const MAX_SLICES: usize = 64;

/// The bounds of one outbox.
#[derive(Debug, Clone, Copy)]
pub struct OutboxLimits {
    /// Bytes that wait, headers included.
    pub bytes: usize,
    /// Messages that wait.
    pub messages: usize,
}

/// How far a write came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that the socket took.
    pub written: usize,
    /// Calls that it took.
    pub writes: u32,
    /// The socket takes no more for now; if not, nothing is left that is due.
    pub blocked: bool,
}

/// The queue before one socket. Empty ones are freed or pooled: an idle session owns none.
#[derive(Debug)]
pub struct Outbox {
    /// The item that is partly on the wire and how many of its bytes are written: nothing may overtake or replace it.
    wire: Option<(Item, usize)>,
    urgent: VecDeque<Item>,
    normal: VecDeque<Item>,
    /// The wire lengths of all items, less what of the first one has been written.
    bytes: usize,
    /// The items among them that are bounded elsewhere, and their wire lengths: events where they set out, messages that are sent
    /// again in the ring that they were in.
    exempt: usize,
    exempt_bytes: usize,
    /// No item's time to live ends before this.
    earliest_deadline_ms: u64,
    /// Droppable messages that wait.
    droppable: u32,
    /// One more than the place among the outboxes of the reactor whose sockets are behind, for whoever keeps their list; 0 is no
    /// place.
    behind: u32,
    /// Since when its socket has been behind, in tenths of a second of the server's clock; 0 where it is not.
    behind_since: u32,
    /// The length of the tick that the normal lane waits for, in milliseconds; 0 while it waits for nothing but the socket. The
    /// urgent lane never waits for a tick.
    tick_ms: u16,
    /// What becomes of a message that waits when a newer one with its key comes.
    keys: Keys,
}

/// A tenth of a second: a count of them fits into 32 bits for a dozen years.
const TENTH_MS: u64 = 100;

/// One of the ticks of a server, by its length in milliseconds: the shorter before the longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tick(pub u16);

impl Default for Outbox {
    fn default() -> Self {
        Self {
            wire: None,
            urgent: VecDeque::new(),
            normal: VecDeque::new(),
            bytes: 0,
            exempt: 0,
            exempt_bytes: 0,
            earliest_deadline_ms: u64::MAX,
            droppable: 0,
            behind: 0,
            behind_since: 0,
            tick_ms: 0,
            keys: Keys::Replace,
        }
    }
}

impl Outbox {
    /// It is listed no more among those whose sockets are behind: the place that it had.
    pub fn leave_behind(&mut self) -> Option<u32> {
        self.behind_since = 0;
        std::mem::take(&mut self.behind).checked_sub(1)
    }

    /// The place that it has among those whose sockets are behind.
    pub fn behind(&self) -> Option<u32> {
        self.behind.checked_sub(1)
    }

    /// It has this place among them from now on. Where it has come from another process it has been behind since before `now_ms` of
    /// the server's clock.
    pub fn list_behind(&mut self, place: u32, now_ms: u64) {
        self.behind = place + 1;
        if self.behind_since == 0 {
            self.behind_since = u32::try_from(now_ms / TENTH_MS).unwrap_or(u32::MAX).max(1);
        }
    }

    /// Since when its socket has been behind, in milliseconds of the server's clock, to a tenth of a second.
    pub fn behind_since_ms(&self) -> Option<u64> {
        self.behind().map(|_| u64::from(self.behind_since) * TENTH_MS)
    }

    /// Messages that wait, the one on the wire included.
    pub fn messages(&self) -> usize {
        usize::from(self.wire.is_some()) + self.urgent.len() + self.normal.len()
    }

    /// Whether bytes of the connection's own are partly on the wire.
    pub fn is_own_on_wire(&self) -> bool {
        matches!(self.wire, Some((Item::Owned(_), _)))
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The events that wait, and their bytes; one of which a part has been written counts whole. Only a link's outbox has any.
    pub fn events(&self) -> (usize, usize) {
        (self.exempt, self.exempt_bytes)
    }

    /// Bytes that wait and that the bounds are about: all but those of events and of what is sent again.
    pub fn bounded_bytes(&self) -> usize {
        // An event of which a part has been written is in the second sum whole.
        self.bytes.saturating_sub(self.exempt_bytes)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.messages() == 0
    }

    /// Slots held for items: what an emptied outbox would keep if it were pooled.
    pub fn capacity(&self) -> usize {
        self.urgent.capacity() + self.normal.capacity()
    }

    /// When the first message that waits has expired; `None` when none will.
    pub fn next_expiry_ms(&self) -> Option<u64> {
        // A message may still be written in the millisecond of its deadline: one with no time to live at once or never.
        self.earliest_deadline_ms.checked_add(1)
    }

    /// Whether nothing waits that goes before messages: the rest of what is on the wire, control frames, urgent messages.
    pub fn is_urgent_empty(&self) -> bool {
        self.wire.is_none() && self.urgent.is_empty()
    }

    /// Whether nothing waits that came by the order of arrival: neither a message that is not urgent nor an answer.
    pub fn is_normal_empty(&self) -> bool {
        self.normal.is_empty()
    }

    /// The tick that what is not urgent waits for.
    pub fn tick(&self) -> Option<Tick> {
        (self.tick_ms > 0).then_some(Tick(self.tick_ms))
    }

    /// What is not urgent waits for `tick` from now on; with `None`, for nothing but the socket.
    pub fn wait_for(&mut self, tick: Option<Tick>) {
        self.tick_ms = tick.map_or(0, |Tick(ms)| ms);
    }

    /// Queues `item` by its class and key.
    ///
    /// # Errors
    /// The item, where there is no room for it: see [`Outbox::offer_at_bound`].
    pub fn offer(
        &mut self,
        item: Item,
        limits: OutboxLimits,
        settlements: &mut Settlements,
    ) -> Result<(), Item> {
        if let Some(item) = self.replace_older(item, limits, settlements) {
            if !self.has_room_for(&item, limits) {
                return Err(item);
            }
            self.push_back(item, settlements);
        }
        Ok(())
    }

    /// It is empty, and may serve another socket.
    pub fn reset(&mut self) {
        debug_assert!(self.is_empty(), "what waits is somebody's");
        (self.tick_ms, self.keys) = (0, Keys::Replace);
    }

    /// Queues a control frame before every message that is not on the wire (RFC 6455 §5.5 lets it).
    pub fn offer_control(
        &mut self,
        bytes: Box<[u8]>,
        limits: OutboxLimits,
        settlements: &mut Settlements,
    ) -> Result<(), Box<[u8]>> {
        if self.bounded_bytes() + bytes.len() > limits.bytes
            || self.messages() - self.exempt >= limits.messages
        {
            return Err(bytes);
        }
        let item = Item::Owned(bytes);
        self.admit(&item, settlements);
        self.urgent.push_back(item);
        Ok(())
    }

    /// Queues an item behind everything, whatever the bounds: for a last frame, and for what is bounded elsewhere.
    pub fn append(&mut self, item: Item, settlements: &mut Settlements) {
        self.push_back(item, settlements);
    }

    /// Queues, in an empty outbox, the rest of bytes of which the socket has taken the beginning: nothing overtakes it.
    pub fn begin_with(&mut self, rest: Box<[u8]>, settlements: &mut Settlements) {
        debug_assert!(self.is_empty(), "what is partly on the wire comes first");
        let item = Item::Owned(rest);
        self.admit(&item, settlements);
        self.wire = Some((item, 0));
    }

    /// The bytes that wait, where all of them are the connection's own: answers of a backend's.
    pub fn own_bytes(&self) -> Vec<u8> {
        let on_wire = self.wire.iter().map(|(item, written)| &item.bytes()[*written..]);
        let waiting = self.urgent.iter().chain(&self.normal).map(Item::bytes);
        on_wire.chain(waiting).flatten().copied().collect()
    }

    /// Takes out what has expired by `now_ms`, wherever it waits.
    pub fn expire(&mut self, now_ms: u64, settlements: &mut Settlements) {
        if now_ms <= self.earliest_deadline_ms {
            return;
        }
        self.earliest_deadline_ms = u64::MAX;
        for lane in [&mut self.urgent, &mut self.normal] {
            for _ in 0..lane.len() {
                let Some(item) = lane.pop_front() else { break };
                if item.deadline_ms() < now_ms {
                    self.bytes -= item.bytes().len();
                    self.droppable -= u32::from(item.is_push_of(Class::Droppable));
                    settlements.settle(item, Fate::Expired, 0);
                } else {
                    self.earliest_deadline_ms = self.earliest_deadline_ms.min(item.deadline_ms());
                    lane.push_back(item);
                }
            }
        }
    }

    /// Writes what is due and the socket takes, one vectored write for each [`MAX_SLICES`] items. What has been written whole
    /// goes into the ring of `keeping`, where there is one.
    ///
    /// # Errors
    /// What the socket says, other than `WouldBlock` (then something is left) and `Interrupted` (tried again).
    pub fn write_to(
        &mut self,
        socket: &mut impl Write,
        now: crate::timer::Moment,
        settlements: &mut Settlements,
        keeping: Option<&mut Keeping<'_>>,
    ) -> io::Result<Progress> {
        self.write(socket, now, settlements, keeping, |outbox, _, _| outbox.due())
    }

    /// The same as events of `stream`, a share of them in each write.
    ///
    /// # Errors
    /// The same.
    pub fn write_events_to(
        &mut self,
        stream: &mut Stream,
        socket: &mut impl Write,
        now: crate::timer::Moment,
        settlements: &mut Settlements,
        keeping: Option<&mut Keeping<'_>>,
    ) -> io::Result<Progress> {
        self.write(socket, now, settlements, keeping, |outbox, sent, settlements| {
            outbox.stage(stream, sent, settlements)
        })
    }

    /// Writes as many of the first items as `due` says, each time anew; it is told how many messages have gone to the wire before.
    fn write(
        &mut self,
        socket: &mut impl Write,
        now: crate::timer::Moment,
        settlements: &mut Settlements,
        mut keeping: Option<&mut Keeping<'_>>,
        mut due: impl FnMut(&mut Self, u64, &mut Settlements) -> usize,
    ) -> io::Result<Progress> {
        self.expire(now.ms, settlements);
        let mut progress = Progress { written: 0, writes: 0, blocked: false };
        loop {
            let sent = keeping.as_ref().map_or(0, |keeping| keeping.kept.sent());
            let due = due(self, sent, settlements);
            if due == 0 {
                return Ok(progress);
            }
            progress.writes += 1;
            let (offered, result) = self.write_some(due, socket);
            match result {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    progress.written += written;
                    self.advance(written, now.ns, settlements, keeping.as_deref_mut());
                    if written < offered {
                        // The kernel has noted that we want more room: the next edge comes without another call.
                        return Ok(Progress { blocked: true, ..progress });
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Progress { blocked: true, ..progress });
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Gives up what waits, except a frame that is partly on the wire: the peer can read nothing after half a frame.
    pub fn clear_unsent(&mut self, fate: Fate, settlements: &mut Settlements) {
        for item in self.urgent.drain(..).chain(self.normal.drain(..)) {
            self.bytes -= item.bytes().len();
            settlements.settle(item, fate, 0);
        }
        let on_wire = self.wire.iter().filter_map(|(item, _)| item.exempt_bytes());
        (self.exempt, self.exempt_bytes) =
            on_wire.fold((0, 0), |(exempt, sum), bytes| (exempt + 1, sum + bytes));
        self.droppable = 0;
        self.earliest_deadline_ms = u64::MAX;
    }

    /// Gives up everything: the connection is gone.
    pub fn clear(&mut self, fate: Fate, settlements: &mut Settlements) {
        self.clear_unsent(fate, settlements);
        match self.wire.take() {
            Some((Item::Staged(staged), _)) => staged.give_up(fate, settlements),
            Some((item, _)) => settlements.settle(item, fate, 0),
            None => {}
        }
        (self.bytes, self.exempt, self.exempt_bytes) = (0, 0, 0);
    }

    fn has_room_for(&self, item: &Item, limits: OutboxLimits) -> bool {
        self.is_empty()
            || (self.messages() - self.exempt < limits.messages
                && self.bounded_bytes() + item.bytes().len() <= limits.bytes)
    }

    fn push_back(&mut self, item: Item, settlements: &mut Settlements) {
        self.admit(&item, settlements);
        self.lane_mut(item.class()).push_back(item);
    }

    fn admit(&mut self, item: &Item, settlements: &mut Settlements) {
        settlements.admit(item);
        self.bytes += item.bytes().len();
        if let Some(bytes) = item.exempt_bytes() {
            self.exempt += 1;
            self.exempt_bytes += bytes;
        }
        self.droppable += u32::from(item.is_push_of(Class::Droppable));
        self.earliest_deadline_ms = self.earliest_deadline_ms.min(item.deadline_ms());
    }

    /// `item` has left its lane, and not for the wire.
    fn took_out(&mut self, item: &Item) {
        self.bytes -= item.bytes().len();
        self.droppable -= u32::from(item.is_push_of(Class::Droppable));
    }

    fn lane(&self, class: Class) -> &VecDeque<Item> {
        match class {
            Class::Urgent => &self.urgent,
            Class::Normal | Class::Droppable => &self.normal,
        }
    }

    fn lane_mut(&mut self, class: Class) -> &mut VecDeque<Item> {
        match class {
            Class::Urgent => &mut self.urgent,
            Class::Normal | Class::Droppable => &mut self.normal,
        }
    }

    /// How many of the first items may be written: all, unless the normal lane waits for its tick.
    fn due(&self) -> usize {
        match self.tick_ms {
            0 => self.messages(),
            _ => self.messages() - self.normal.len(),
        }
    }

    /// One write of the first `due` items: how many bytes were offered to the socket, and what it said.
    fn write_some(&self, due: usize, socket: &mut impl Write) -> (usize, io::Result<usize>) {
        let on_wire = self.wire.iter().map(|(item, written)| &item.bytes()[*written..]);
        let waiting = self.urgent.iter().chain(&self.normal).map(Item::bytes);
        let mut buffers = on_wire.chain(waiting);
        if due == 1 {
            let only = buffers.next().unwrap_or_default();
            return (only.len(), socket.write(only));
        }
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let mut count = 0;
        let mut offered = 0;
        for (slice, buffer) in slices.iter_mut().take(due).zip(buffers) {
            *slice = IoSlice::new(buffer);
            offered += buffer.len();
            count += 1;
        }
        (offered, socket.write_vectored(&slices[..count]))
    }

    fn advance(
        &mut self,
        mut written: usize,
        now_ns: u64,
        settlements: &mut Settlements,
        mut keeping: Option<&mut Keeping<'_>>,
    ) {
        self.bytes -= written;
        while written > 0 {
            let next = self.wire.take().or_else(|| {
                let item = self.urgent.pop_front().or_else(|| self.normal.pop_front());
                item.map(|item| {
                    self.droppable -= u32::from(self.droppable > 0 && item.is_push_of(Class::Droppable));
                    (item, 0)
                })
            });
            let Some((mut item, before)) = next else { return };
            let left = item.bytes().len() - before;
            if let Item::Staged(staged) = &mut item {
                staged.settle_written(
                    before + written.min(left),
                    now_ns,
                    settlements,
                    keeping.as_deref_mut(),
                );
            }
            if written < left {
                self.wire = Some((item, before + written));
                return;
            }
            written -= left;
            if let Some(bytes) = item.exempt_bytes() {
                self.exempt -= 1;
                self.exempt_bytes -= bytes;
            }
            if let Item::Staged(staged) = item {
                settlements.unstage(staged);
                continue;
            }
            if let Some(keeping) = &mut keeping {
                keeping.written(&item, settlements);
            }
            settlements.settle(item, Fate::Written, now_ns);
        }
    }
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod model;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod resume_model;
#[cfg(any(test, feature = "fuzzing"))]
mod scripted;
#[cfg(test)]
mod tests;
