//! What waits for one socket: the frame on the wire, then the urgent ones, then the rest, bounded in messages and bytes.
//! Writes as much as the socket takes in one vectored write. Knows nothing of sessions and other sockets.

use crate::dispatch::{Class, EncodedFrame, Fate, Push, ReceiptMode};
use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};
use std::rc::Rc;
use std::sync::Arc;

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

/// A push inside one reactor: one shared reference taken from the other cores, and local ones from there on.
#[derive(Debug)]
pub struct LocalPush {
    push: Arc<Push>,
    /// Holders here, counted only where the receipt waits for the socket.
    unsettled: Cell<u32>,
}

impl LocalPush {
    /// Takes the reactor's one reference.
    pub fn new(push: Arc<Push>) -> Self {
        Self { push, unsettled: Cell::new(0) }
    }

    /// One more holder; the part of this reactor is not done before it lets go.
    pub fn hold(&self) {
        self.unsettled.set(self.unsettled.get() + 1);
    }

    /// A holder lets go; `true` for the last.
    pub fn release(&self) -> bool {
        self.unsettled.set(self.unsettled.get() - 1);
        self.unsettled.get() == 0
    }

    fn waits_for_the_socket(&self) -> bool {
        self.push.options.receipt == ReceiptMode::Written
    }
}

/// One thing to write.
#[derive(Debug)]
pub enum Item {
    /// Bytes of this connection's own: an answer, a pong, a Close frame.
    Owned(Box<[u8]>),
    /// A frame shared with other connections that is not a push: an event for several links.
    Frame(EncodedFrame),
    /// A pushed message, shared with other connections.
    Shared(Rc<LocalPush>),
    /// The same, compressed.
    Deflated(Rc<LocalPush>),
}

impl Item {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Frame(frame) => frame.as_bytes(),
            Self::Shared(local) => local.push.wire_bytes(false),
            Self::Deflated(local) => local.push.wire_bytes(true),
        }
    }

    fn deadline_ms(&self) -> u64 {
        match self {
            Self::Owned(_) | Self::Frame(_) => u64::MAX,
            Self::Shared(local) | Self::Deflated(local) => local.push.deadline_ms,
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::Owned(_) | Self::Frame(_) => Class::Normal,
            Self::Shared(local) | Self::Deflated(local) => local.push.options.class,
        }
    }

    fn key(&self) -> Option<&str> {
        match self {
            Self::Owned(_) | Self::Frame(_) => None,
            Self::Shared(local) | Self::Deflated(local) => local.push.options.key.as_deref(),
        }
    }
}

/// What became of pushed messages, gathered over many outboxes in a turn.
#[derive(Debug, Default)]
pub struct Settlements {
    /// Messages that sockets took.
    pub written: u64,
    /// Messages that a newer one with the same key replaced.
    pub replaced: u64,
    /// Messages that gave way when a queue was full.
    pub dropped: u64,
    /// Messages whose time to live ran out.
    pub expired: u64,
    /// Messages whose connection closed first.
    pub closed: u64,
    /// Nanoseconds from the acceptance of a push to its write, one for each message written since the last look.
    pub latencies_ns: Vec<u64>,
    /// Items that wait, in all outboxes of the reactor.
    pub waiting_messages: u64,
    /// Their bytes, those that are partly on the wire counted whole.
    pub waiting_bytes: u64,
    /// Pushes whose receipt waits for the socket, and of which no outbox here holds any more.
    pub finished: Vec<Arc<Push>>,
}

impl Settlements {
    fn settle(&mut self, item: Item, fate: Fate, now_ns: u64) {
        self.waiting_messages -= 1;
        self.waiting_bytes -= item.bytes().len() as u64;
        let (Item::Shared(local) | Item::Deflated(local)) = item else { return };
        match fate {
            Fate::Written => {
                self.written += 1;
                self.latencies_ns.push(now_ns.saturating_sub(local.push.accepted_ns));
            }
            Fate::Replaced => self.replaced += 1,
            Fate::Dropped => self.dropped += 1,
            Fate::Expired => self.expired += 1,
            Fate::Closed => self.closed += 1,
        }
        if local.waits_for_the_socket() {
            local.push.count_fate(fate, 1);
            if local.release() {
                self.finished.push(Arc::clone(&local.push));
            }
        }
    }
}

/// How far a write came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that the socket took.
    pub written: usize,
    /// Whether nothing is left; if not, the socket takes no more for now.
    pub drained: bool,
}

/// What [`Outbox::offer`] did with an item.
#[derive(Debug)]
pub enum Offered {
    /// It waits.
    Queued,
    /// It is droppable, and there was no room: it is gone, and the caller counts it.
    Dropped,
    /// There is no room. The item comes back, uncounted.
    Full(Item),
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
    /// No item's time to live ends before this.
    earliest_deadline_ms: u64,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            wire: None,
            urgent: VecDeque::new(),
            normal: VecDeque::new(),
            bytes: 0,
            earliest_deadline_ms: u64::MAX,
        }
    }
}

impl Outbox {
    /// Messages that wait, the one on the wire included.
    pub fn messages(&self) -> usize {
        usize::from(self.wire.is_some()) + self.urgent.len() + self.normal.len()
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Shared frames that are no pushes among what waits: on a link, events.
    pub fn frames(&self) -> usize {
        let waiting = self.wire.iter().map(|(item, _)| item).chain(&self.urgent).chain(&self.normal);
        waiting.filter(|item| matches!(item, Item::Frame(_))).count()
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

    /// Queues `item` by its class and key.
    pub fn offer(&mut self, item: Item, limits: OutboxLimits, settlements: &mut Settlements) -> Offered {
        let item = match self.replace_older(item, limits, settlements) {
            Some(item) => item,
            None => return Offered::Queued,
        };
        while !self.has_room_for(&item, limits) {
            if self.evict_droppable(settlements) {
                continue;
            }
            if item.class() != Class::Droppable {
                return Offered::Full(item);
            }
            return Offered::Dropped;
        }
        self.admit(&item, settlements);
        self.lane(item.class()).push_back(item);
        Offered::Queued
    }

    /// Queues a control frame before every message that is not on the wire (RFC 6455 §5.5 lets it).
    pub fn offer_control(
        &mut self,
        bytes: Box<[u8]>,
        limits: OutboxLimits,
        settlements: &mut Settlements,
    ) -> Result<(), Box<[u8]>> {
        if self.bytes + bytes.len() > limits.bytes || self.messages() >= limits.messages {
            return Err(bytes);
        }
        let item = Item::Owned(bytes);
        self.admit(&item, settlements);
        self.urgent.push_back(item);
        Ok(())
    }

    /// Queues bytes of the connection's own behind everything, whatever the bounds: for the last frame or answer.
    pub fn append(&mut self, bytes: Box<[u8]>, settlements: &mut Settlements) {
        let item = Item::Owned(bytes);
        self.admit(&item, settlements);
        self.normal.push_back(item);
    }

    /// Queues, in an empty outbox, the rest of bytes of which the socket has taken the beginning: nothing overtakes it.
    pub fn resume(&mut self, rest: Box<[u8]>, settlements: &mut Settlements) {
        debug_assert!(self.is_empty(), "what is partly on the wire comes first");
        let item = Item::Owned(rest);
        self.admit(&item, settlements);
        self.wire = Some((item, 0));
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
                    settlements.settle(item, Fate::Expired, 0);
                } else {
                    self.earliest_deadline_ms = self.earliest_deadline_ms.min(item.deadline_ms());
                    lane.push_back(item);
                }
            }
        }
    }

    /// Writes what the socket takes, one vectored write for each [`MAX_SLICES`] items.
    ///
    /// # Errors
    /// What the socket says, other than `WouldBlock` (then something is left) and `Interrupted` (tried again).
    pub fn write_to(
        &mut self,
        socket: &mut impl Write,
        now: super::Moment,
        settlements: &mut Settlements,
    ) -> io::Result<Progress> {
        self.expire(now.ms, settlements);
        let mut total = 0;
        while !self.is_empty() {
            let (offered, result) = self.write_some(socket);
            match result {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    total += written;
                    self.advance(written, now.ns, settlements);
                    if written < offered {
                        // The kernel has noted that we want more room: the next edge comes without another call.
                        return Ok(Progress { written: total, drained: false });
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Progress { written: total, drained: false });
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Progress { written: total, drained: true })
    }

    /// Gives up what waits, except a frame that is partly on the wire: the peer can read nothing after half a frame.
    pub fn clear_unsent(&mut self, fate: Fate, settlements: &mut Settlements) {
        for item in self.urgent.drain(..).chain(self.normal.drain(..)) {
            self.bytes -= item.bytes().len();
            settlements.settle(item, fate, 0);
        }
        self.earliest_deadline_ms = u64::MAX;
    }

    /// Gives up everything: the connection is gone.
    pub fn clear(&mut self, fate: Fate, settlements: &mut Settlements) {
        self.clear_unsent(fate, settlements);
        if let Some((item, _)) = self.wire.take() {
            settlements.settle(item, fate, 0);
        }
        self.bytes = 0;
    }

    fn has_room_for(&self, item: &Item, limits: OutboxLimits) -> bool {
        self.is_empty()
            || (self.messages() < limits.messages && self.bytes + item.bytes().len() <= limits.bytes)
    }

    fn admit(&mut self, item: &Item, settlements: &mut Settlements) {
        settlements.waiting_messages += 1;
        settlements.waiting_bytes += item.bytes().len() as u64;
        if let Item::Shared(local) | Item::Deflated(local) = item
            && local.waits_for_the_socket()
        {
            local.hold();
        }
        self.bytes += item.bytes().len();
        self.earliest_deadline_ms = self.earliest_deadline_ms.min(item.deadline_ms());
    }

    /// Conflation: `item` takes the place of an unsent older message with its key. Gives `item` back where there is none,
    /// or where the place is in the other lane or too small; the older message is gone all the same.
    fn replace_older(
        &mut self,
        item: Item,
        limits: OutboxLimits,
        settlements: &mut Settlements,
    ) -> Option<Item> {
        let Some(key) = item.key() else { return Some(item) };
        let place = |lane: &VecDeque<Item>| lane.iter().position(|waiting| waiting.key() == Some(key));
        let (class, index) = match (place(&self.urgent), place(&self.normal)) {
            (Some(index), _) => (Class::Urgent, index),
            (None, Some(index)) => (Class::Normal, index),
            (None, None) => return Some(item),
        };
        let same_lane = (class == Class::Urgent) == (item.class() == Class::Urgent);
        let older_len = self.lane(class)[index].bytes().len();
        let (older, homeless) = if same_lane && self.bytes - older_len + item.bytes().len() <= limits.bytes {
            self.admit(&item, settlements);
            (Some(std::mem::replace(&mut self.lane(class)[index], item)), None)
        } else {
            (self.lane(class).remove(index), Some(item))
        };
        if let Some(older) = older {
            self.bytes -= older_len;
            settlements.settle(older, Fate::Replaced, 0);
        }
        homeless
    }

    fn lane(&mut self, class: Class) -> &mut VecDeque<Item> {
        match class {
            Class::Urgent => &mut self.urgent,
            Class::Normal | Class::Droppable => &mut self.normal,
        }
    }

    fn evict_droppable(&mut self, settlements: &mut Settlements) -> bool {
        let index = self.normal.iter().position(|item| item.class() == Class::Droppable);
        let Some(item) = index.and_then(|index| self.normal.remove(index)) else { return false };
        self.bytes -= item.bytes().len();
        settlements.settle(item, Fate::Dropped, 0);
        true
    }

    /// One write of the first items: how many bytes were offered to the socket, and what it said.
    fn write_some(&self, socket: &mut impl Write) -> (usize, io::Result<usize>) {
        let on_wire = self.wire.iter().map(|(item, written)| &item.bytes()[*written..]);
        let waiting = self.urgent.iter().chain(&self.normal).map(Item::bytes);
        let mut buffers = on_wire.chain(waiting);
        if self.messages() == 1 {
            let only = buffers.next().unwrap_or_default();
            return (only.len(), socket.write(only));
        }
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let mut count = 0;
        let mut offered = 0;
        for (slice, buffer) in slices.iter_mut().zip(buffers) {
            *slice = IoSlice::new(buffer);
            offered += buffer.len();
            count += 1;
        }
        (offered, socket.write_vectored(&slices[..count]))
    }

    fn advance(&mut self, mut written: usize, now_ns: u64, settlements: &mut Settlements) {
        self.bytes -= written;
        while written > 0 {
            let next = self.wire.take().or_else(|| {
                let item = self.urgent.pop_front().or_else(|| self.normal.pop_front());
                item.map(|item| (item, 0))
            });
            let Some((item, before)) = next else { return };
            let left = item.bytes().len() - before;
            if written < left {
                self.wire = Some((item, before + written));
                return;
            }
            written -= left;
            settlements.settle(item, Fate::Written, now_ns);
        }
    }
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod model;
#[cfg(test)]
mod tests;
