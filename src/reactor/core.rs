//! What a reactor's rooms act on together: its connections, its hub, its end of the mailboxes, its timers. The gateway
//! asks it to send, close, push; it answers with plain values and calls nobody back. Knows nothing of HTTP and JSON.

use super::envelope::Envelope;
use super::shared::Shared;
use super::wheel::Wheel;
use crate::connection::{
    Connection, Due, Item, LocalPush, Moment, Offered, Outbox, Phase, Settlements, Stage,
};
use crate::dispatch::{Fate, Operation, Origin, Push, ReceiptMode};
use crate::hub::Hub;
use crate::mailbox::Producer;
use crate::metrics::{CloseClass, DeliveryOutcome, ReactorMetrics};
use crate::protocol::CloseCode;
use crate::session::{AppId, GenerationalSlab, Name, SessionId, close_codes};
use std::net::Shutdown;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Emptied outboxes kept for the next one who needs one, and the most items' room such an outbox may hold on to.
const POOLED_OUTBOXES: usize = 1024;
const POOLED_CAPACITY: usize = 32;

/// A session that is over: what the app and the links are told, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its id, which names nobody any more.
    pub id: SessionId,
    /// Its app.
    pub app: AppId,
    /// The user it was bound to.
    pub user: Option<Name>,
    /// The close code: the peer's, ours, or 1006 where there was no closing handshake (RFC 6455 §7.1.5).
    pub code: u16,
    /// The close reason.
    pub reason: Box<str>,
}

/// A reactor without its poll: everything that a turn changes.
pub struct Core {
    /// What all reactors see.
    pub shared: Arc<Shared>,
    /// Which reactor this is.
    pub index: usize,
    /// The clock as read for this turn.
    pub now: Moment,
    /// Every connection of this reactor.
    pub connections: GenerationalSlab<Connection>,
    /// The names of the sessions among them.
    pub hub: Hub,
    /// The way to the other reactors.
    pub peers: Producer<Envelope>,
    /// Sessions that are over and of which nobody has been told.
    pub ended: Vec<Ended>,
    /// The slot whose input is being handled, and what it is answered: written at once when its input is used up.
    pub answering: Option<u32>,
    /// See `answering`: control frames, which overtake messages.
    pub control: Vec<u8>,
    /// See `answering`: messages.
    pub answer: Vec<u8>,
    /// Closing handshakes that the peer completed.
    pub closed_cleanly: u64,
    /// Slots whose sockets may hold more input than a turn reads.
    pub unread: Vec<u32>,
    /// Whether new sessions are refused because the server stops.
    pub draining: bool,
    wheel: Wheel<u32>,
    dirty: Vec<u32>,
    doomed: Vec<SessionId>,
    settlements: Settlements,
    pool: Vec<Box<Outbox>>,
    selected: Vec<u32>,
}

impl Core {
    /// A core without connections.
    pub fn new(shared: Arc<Shared>, index: usize, peers: Producer<Envelope>, first_generation: u32) -> Self {
        let node = shared.settings.node;
        Self {
            index,
            now: shared.clock.now(),
            connections: GenerationalSlab::new(node, index as u8, first_generation),
            hub: Hub::new(index, Arc::clone(&shared.interest)),
            peers,
            ended: Vec::new(),
            answering: None,
            control: Vec::new(),
            answer: Vec::new(),
            closed_cleanly: 0,
            unread: Vec::new(),
            draining: false,
            wheel: Wheel::new(shared.clock.now().ms),
            dirty: Vec::new(),
            doomed: Vec::new(),
            settlements: Settlements::default(),
            pool: Vec::new(),
            selected: Vec::new(),
            shared,
        }
    }

    /// This reactor's counters.
    pub fn metrics(&self) -> &ReactorMetrics {
        self.shared.metrics.reactor(self.index)
    }

    /// The connection in `slot`, if the slot is taken.
    pub fn connection(&mut self, slot: u32) -> Option<&mut Connection> {
        self.connections.slot_mut(slot)
    }

    // ---- writing ----

    /// Queues `item` for the connection in `slot`, to be written at the end of the turn. A connection that is too slow
    /// for it is closed with 4003. Returns whether the item was taken.
    pub fn offer(&mut self, slot: u32, item: Item) -> bool {
        let mut item = item;
        for attempt in 0..2 {
            let Some(connection) = self.connections.slot_mut(slot) else { return false };
            if connection.phase != Phase::Open {
                return false;
            }
            let limits = match connection.stage {
                Stage::Link(_) => self.shared.settings.link_outbox,
                _ => self.shared.settings.outbox,
            };
            let pool = &mut self.pool;
            let outbox = connection.outbox.get_or_insert_with(|| pool.pop().unwrap_or_default());
            match outbox.offer(item, limits, &mut self.settlements) {
                Offered::Queued => {
                    self.mark_dirty(slot);
                    return true;
                }
                Offered::Dropped => {
                    self.settlements.dropped += 1;
                    return false;
                }
                Offered::Full(back) => item = back,
            }
            if attempt == 0 && !connection.blocked {
                // The queue is this turn's own and the socket has not been asked yet.
                self.flush(slot);
            } else {
                break;
            }
        }
        self.settlements.dropped += u64::from(matches!(item, Item::Shared(_)));
        self.close_slow(slot);
        false
    }

    /// Writes what `control` and `answer` hold for `slot` at once, behind what waits already; what the socket refuses is
    /// queued. Both are empty afterwards.
    pub fn write_answers(&mut self, slot: u32) {
        if self.control.is_empty() && self.answer.is_empty() {
            return;
        }
        let (mut control, mut answer) = (std::mem::take(&mut self.control), std::mem::take(&mut self.answer));
        self.write_now(slot, &mut control, &mut answer);
        control.clear();
        answer.clear();
        (self.control, self.answer) = (control, answer);
    }

    fn write_now(&mut self, slot: u32, control: &mut Vec<u8>, answer: &mut Vec<u8>) {
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        if connection.phase == Phase::Doomed {
            return;
        }
        if connection.outbox.is_some() {
            self.queue_answers(slot, control, answer);
            return;
        }
        control.append(answer);
        let mut written = 0;
        while written < control.len() {
            match std::io::Write::write(&mut connection.stream, &control[written..]) {
                Ok(0) => break,
                Ok(bytes) => written += bytes,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    connection.blocked = true;
                    break;
                }
                Err(_) => {
                    self.fail(slot);
                    return;
                }
            }
        }
        count_written(connection, written, self.shared.metrics.reactor(self.index));
        if written < control.len() {
            control.drain(..written);
            self.queue_answers(slot, &mut Vec::new(), control);
        }
    }

    fn queue_answers(&mut self, slot: u32, control: &mut Vec<u8>, answer: &mut Vec<u8>) {
        if !control.is_empty() && !self.offer_control(slot, control) {
            return;
        }
        if !answer.is_empty() {
            self.offer(slot, Item::Owned(answer.as_slice().into()));
        }
    }

    /// Queues a control frame before the messages that wait. Returns whether there was room; if not, the connection is
    /// closed with 4003.
    pub fn offer_control(&mut self, slot: u32, frame: &[u8]) -> bool {
        let limits = self.shared.settings.outbox;
        let Some(connection) = self.connections.slot_mut(slot) else { return false };
        let pool = &mut self.pool;
        let outbox = connection.outbox.get_or_insert_with(|| pool.pop().unwrap_or_default());
        let queued = outbox.offer_control(frame.into(), limits, &mut self.settlements).is_ok();
        if queued {
            self.mark_dirty(slot);
        } else {
            self.close_slow(slot);
        }
        queued
    }

    /// Queues the last bytes of a connection behind everything, whatever the bounds.
    pub fn append(&mut self, slot: u32, bytes: Vec<u8>) {
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        if bytes.is_empty() || connection.phase == Phase::Doomed {
            return;
        }
        let pool = &mut self.pool;
        let outbox = connection.outbox.get_or_insert_with(|| pool.pop().unwrap_or_default());
        outbox.append(bytes.into(), &mut self.settlements);
        self.mark_dirty(slot);
    }

    /// The connection in `slot` is flushed, and its deadlines looked at, at the end of the turn.
    pub fn mark_dirty(&mut self, slot: u32) {
        if let Some(connection) = self.connections.slot_mut(slot)
            && !std::mem::replace(&mut connection.dirty, true)
        {
            self.dirty.push(slot);
        }
    }

    /// Writes what waits for every connection that got something this turn: one vectored write each.
    pub fn flush_dirty(&mut self) {
        while let Some(slot) = self.dirty.pop() {
            let Some(connection) = self.connections.slot_mut(slot) else { continue };
            connection.dirty = false;
            if !connection.blocked {
                self.flush(slot);
            }
            self.arm(slot);
        }
    }

    /// The socket takes bytes again.
    pub fn writable(&mut self, slot: u32) {
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        connection.blocked = false;
        if connection.outbox.is_some() {
            self.mark_dirty(slot);
        }
    }

    fn flush(&mut self, slot: u32) {
        let now = Moment { ms: self.now.ms, ns: self.shared.clock.now().ns };
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        if connection.phase == Phase::Doomed {
            return;
        }
        if let Some(outbox) = &mut connection.outbox {
            match outbox.write_to(&mut connection.stream, now, &mut self.settlements) {
                Ok(progress) => {
                    count_written(connection, progress.written, self.shared.metrics.reactor(self.index));
                    connection.blocked = !progress.drained;
                    if progress.drained {
                        self.free_outbox(slot);
                    }
                }
                Err(_) => return self.fail(slot),
            }
        }
        self.shut_down_if_drained(slot);
    }

    fn free_outbox(&mut self, slot: u32) {
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        if let Some(outbox) = connection.outbox.take()
            && self.pool.len() < POOLED_OUTBOXES
            && outbox.capacity() <= POOLED_CAPACITY
        {
            self.pool.push(outbox);
        }
    }

    fn shut_down_if_drained(&mut self, slot: u32) {
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        if connection.phase != Phase::Finishing || !connection.is_drained() || connection.write_closed {
            return;
        }
        connection.write_closed = true;
        let gone = connection.stream.shutdown(Shutdown::Write).is_err() || connection.read_closed;
        if gone {
            self.doom(slot);
        }
    }

    // ---- closing ----

    /// Starts the closing handshake behind what waits already: the session is over for everybody else from now on.
    pub fn close(&mut self, slot: u32, code: CloseCode, reason: &str) {
        let mut frame = Vec::new();
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        if connection.phase != Phase::Open {
            return;
        }
        let websocket = match &mut connection.stage {
            Stage::Player(player) => &mut player.websocket,
            Stage::Echo(websocket) => websocket,
            Stage::Link(link) => &mut link.websocket,
            Stage::Head(_) | Stage::Backend(_) | Stage::Discard => return self.finish(slot),
        };
        // A reason that does not fit is the caller's mistake, and no reason to keep the connection.
        let closed = websocket.close(Some(code), reason, &mut frame).is_ok();
        connection.phase = if closed { Phase::Closing } else { Phase::Finishing };
        connection.close_by_ms = self.now.ms + self.shared.settings.close_ms;
        self.end_session(slot, code.0, reason);
        self.append(slot, frame);
        self.mark_dirty(slot);
    }

    /// Closes a connection whose peer does not take what it is sent: what waits is given up, so that the Close frame is
    /// the next thing it reads.
    pub fn close_slow(&mut self, slot: u32) {
        if let Some(connection) = self.connections.slot_mut(slot)
            && connection.phase == Phase::Open
            && let Some(outbox) = &mut connection.outbox
        {
            outbox.clear_unsent(Fate::Closed, &mut self.settlements);
            self.close(slot, close_codes::TOO_SLOW, "too slow");
        }
    }

    /// Nothing more will be queued: write what waits, shut down, wait for the peer's end under a deadline.
    pub fn finish(&mut self, slot: u32) {
        let close_ms = self.shared.settings.close_ms;
        let now_ms = self.now.ms;
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        if matches!(connection.phase, Phase::Finishing | Phase::Doomed) {
            return;
        }
        if connection.phase == Phase::Open {
            connection.close_by_ms = now_ms + close_ms;
        }
        connection.phase = Phase::Finishing;
        self.mark_dirty(slot);
    }

    /// The socket failed or the peer vanished: no closing handshake is possible.
    pub fn fail(&mut self, slot: u32) {
        self.end_session(slot, CloseCode::ABNORMAL.0, "");
        self.doom(slot);
    }

    /// Frees the connection when the turn's events have been handled.
    pub fn doom(&mut self, slot: u32) {
        let Some(id) = self.connections.id_of(slot) else { return };
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        if connection.phase != Phase::Doomed {
            connection.phase = Phase::Doomed;
            self.doomed.push(id);
        }
    }

    /// Takes the session out of every table, once, and remembers that it has to be told.
    pub fn end_session(&mut self, slot: u32, code: u16, reason: &str) {
        let (Some(id), Some(app)) = (self.hub.id_of(slot), self.hub.app_of(slot)) else { return };
        let user = self.hub.user_of(slot).cloned();
        self.hub.remove(slot);
        self.metrics().closed.of(CloseClass::from_code(code)).add(1);
        self.ended.push(Ended { id, app, user, code, reason: reason.into() });
    }

    /// Frees what the turn doomed. Returns the connections for the last look at their stage.
    pub fn reap(&mut self) -> Vec<(SessionId, Connection)> {
        let mut reaped = Vec::with_capacity(self.doomed.len());
        for id in self.doomed.drain(..) {
            if let Some(mut connection) = self.connections.remove(id) {
                if let Some(outbox) = &mut connection.outbox {
                    outbox.clear(Fate::Closed, &mut self.settlements);
                }
                reaped.push((id, connection));
            }
        }
        reaped
    }

    // ---- time ----

    /// Puts the connection's next deadline on the wheel, unless an entry as early is there.
    pub fn arm(&mut self, slot: u32) {
        let Some(id) = self.connections.id_of(slot) else { return };
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        if let Some((deadline_ms, _)) = connection.next_due(id, self.shared.settings.silence)
            && deadline_ms < connection.armed_ms
        {
            connection.armed_ms = deadline_ms;
            self.wheel.arm(deadline_ms, slot);
        }
    }

    /// The connections for which something is due, with what. Those whose deadline has moved on are armed again.
    pub fn take_due(&mut self, due: &mut Vec<(u32, Due)>) {
        let mut fired = Vec::new();
        self.wheel.expire(self.now.ms, &mut fired);
        for slot in fired {
            let Some(id) = self.connections.id_of(slot) else { continue };
            let Some(connection) = self.connections.slot_mut(slot) else { continue };
            if connection.armed_ms > self.now.ms {
                continue;
            }
            connection.armed_ms = u64::MAX;
            match connection.next_due(id, self.shared.settings.silence) {
                Some((deadline_ms, what)) if deadline_ms <= self.now.ms => due.push((slot, what)),
                _ => self.arm(slot),
            }
        }
    }

    /// When time next brings something, in milliseconds of the server's clock.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        self.wheel.next_deadline()
    }

    /// Takes out of the outbox what has expired.
    pub fn expire(&mut self, slot: u32) {
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        if let Some(outbox) = &mut connection.outbox {
            outbox.expire(self.now.ms, &mut self.settlements);
            if outbox.is_empty() {
                self.free_outbox(slot);
                self.shut_down_if_drained(slot);
            }
        }
    }

    // ---- pushes and operations ----

    /// Sends a push on its way: an envelope to each other reactor that has an interest, and this one's part at once.
    /// Returns whether every part is done already.
    pub fn publish(&mut self, push: &Arc<Push>) -> bool {
        let reactors = self.shared.interest.reactors_of(push.app, &push.target);
        self.shared.count_unroutable(push);
        for reactor in reactors.iter().filter(|reactor| *reactor != self.index) {
            push.add_part();
            if self.peers.post(reactor, Envelope::Push(Arc::clone(push))).is_err() {
                push.count_fate(Fate::Dropped, 1);
                push.finish_part();
                self.settlements.dropped += 1;
            }
        }
        if reactors.contains(self.index) {
            push.add_part();
            self.deliver(push);
        }
        let done = push.finish_part();
        if done {
            self.count_offline(push);
        }
        done
    }

    /// Counts, at the end of a push, whom it did not find.
    fn count_offline(&self, push: &Push) {
        self.metrics().deliveries.of(DeliveryOutcome::Offline).add(u64::from(push.receipt().offline));
    }

    /// This reactor's part of a push.
    pub fn deliver(&mut self, push: &Arc<Push>) {
        let mut slots = std::mem::take(&mut self.selected);
        let selection = self.hub.select(push.app, &push.target, push.options.except, &mut slots);
        for index in &selection.users {
            push.user_found(*index);
        }
        for _ in &selection.unknown_sessions {
            push.count_offline_session();
        }
        let matched = slots.len() as u32;
        let mut queued = 0;
        if matched > 0 {
            let waits = push.options.receipt == ReceiptMode::Written;
            let local = Rc::new(LocalPush::new(Arc::clone(push)));
            if waits {
                // Keeps the part open while sockets are written before the last outbox has been offered it.
                local.hold();
            }
            for slot in slots.drain(..) {
                queued += u32::from(self.offer(slot, Item::Shared(Rc::clone(&local))));
            }
            push.count_delivery(matched, queued);
            push.count_fate(Fate::Dropped, matched - queued);
            self.metrics().deliveries.of(DeliveryOutcome::Queued).add(u64::from(queued));
            if waits && !local.release() {
                self.selected = slots;
                return;
            }
        }
        self.selected = slots;
        self.finish_push_part(push);
    }

    fn finish_push_part(&mut self, push: &Arc<Push>) {
        if !push.finish_part() {
            return;
        }
        self.count_offline(push);
        match &push.origin {
            Origin::Connection { connection, .. } => {
                self.peers
                    .post_always(usize::from(connection.worker()), Envelope::PushDone(Arc::clone(push)));
            }
            Origin::Receipt(sender) => drop(sender.send(push.receipt())),
            Origin::Nobody | Origin::Outcome(_) => {}
        }
    }

    /// This reactor's part of an operation is done; the last one sends it home.
    pub fn finish_operation_part(&mut self, operation: &Arc<Operation>) {
        if !operation.finish_part() {
            return;
        }
        match &operation.origin {
            Origin::Connection { connection, .. } => {
                let home = usize::from(connection.worker());
                self.peers.post_always(home, Envelope::OperationDone(Arc::clone(operation)));
            }
            Origin::Outcome(sender) => drop(sender.send(operation.outcome())),
            Origin::Nobody | Origin::Receipt(_) => {}
        }
    }

    /// Reports what became of messages since the last look, and sends home the pushes that waited for sockets.
    pub fn settle(&mut self) {
        for push in std::mem::take(&mut self.settlements.finished) {
            self.finish_push_part(&push);
        }
        let outside = &self.shared.outside;
        let metrics = self.shared.metrics.reactor(self.index);
        let settlements = &mut self.settlements;
        let written = settlements.written;
        for (outcome, count) in [
            (DeliveryOutcome::Written, &mut settlements.written),
            (DeliveryOutcome::Replaced, &mut settlements.replaced),
            (DeliveryOutcome::Dropped, &mut settlements.dropped),
            (DeliveryOutcome::Expired, &mut settlements.expired),
            (DeliveryOutcome::Closed, &mut settlements.closed),
        ] {
            metrics.deliveries.of(outcome).add(std::mem::take(count));
        }
        metrics.messages_out.add(written);
        for (counter, count) in [
            (&metrics.pushes, &outside.pushes),
            (metrics.deliveries.of(DeliveryOutcome::Dropped), &outside.dropped),
            (metrics.deliveries.of(DeliveryOutcome::Offline), &outside.offline),
        ] {
            // Mostly nothing: a look is cheaper than a swap.
            if count.load(Ordering::Relaxed) > 0 {
                counter.add(count.swap(0, Ordering::Relaxed));
            }
        }
        metrics.outbox_messages.set(settlements.waiting_messages);
        metrics.outbox_bytes.set(settlements.waiting_bytes);
        for latency_ns in settlements.latencies_ns.drain(..) {
            metrics.push_to_write.observe(latency_ns);
        }
    }
}

fn count_written(connection: &mut Connection, bytes: usize, metrics: &ReactorMetrics) {
    metrics.bytes_out.add(bytes as u64);
    if let Stage::Player(player) = &mut connection.stage {
        player.bytes_out += bytes as u64;
    }
}
