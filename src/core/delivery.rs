//! Pushes and operations: sent to the reactors that have a part in them, done here, counted, and sent home by whoever does
//! the last part. Knows nothing of who published.

use super::Core;
use super::delivery_rules::Remembering;
use super::envelope::Envelope;
use super::lingering::is_away;
use super::recall::Holding;
use crate::connection::{Item, LocalPush, Tick};
use crate::dispatch::{Fate, Operation, Origin, Push, ReceiptMode, Selector, Why, Wire};
use crate::hub::scope_of;
use crate::metrics::{DeliveryOutcome, DropReason, Label};
use crate::session::SessionId;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Sessions that a push which may go ahead is queued for before they are written: their queues are still in the cache then,
/// and out of the pool.
const WRITTEN_TOGETHER: usize = 64;

/// A push that is being delivered here.
#[derive(Debug)]
pub(super) struct Delivery {
    local: Rc<LocalPush>,
    tick: Option<Tick>,
    matched: u32,
    queued: u32,
    /// Sessions that have ended before it was offered to them.
    ended: u32,
    /// Sessions whose client was away when it was offered to them; counted only where sessions of the app may wait for theirs.
    away: Option<u32>,
    /// Whether its sessions are written in groups while they are offered it.
    goes_ahead: bool,
    /// Whether those that take compressed messages get it so: decided by the first of them here, for all.
    compressed: Option<bool>,
    /// Whether clients that tell gannet's own messages from the game's get it in another form.
    is_marked: bool,
    /// Whether it is of a group that remembers, so that sessions may wait for older pushes of it.
    has_place: bool,
    /// Whether some sessions here cross between nodes.
    crosses: bool,
    /// Those to whom it has not been offered.
    rest: VecDeque<SessionId>,
}

impl Core {
    /// Sends a push on its way: an envelope to each other reactor that has an interest, and this one's part at once.
    /// Returns whether every part is done already.
    pub fn publish(&mut self, push: &Arc<Push>) -> bool {
        self.shared.count_unroutable(push);
        if !self.publish_on_bus(push) {
            self.send_to_reactors(push);
        }
        let done = push.finish_part();
        if done {
            self.count_offline(push);
        }
        done
    }

    /// Sends a push to the reactors of this node that have a part in it.
    pub(super) fn send_to_reactors(&mut self, push: &Arc<Push>) {
        match self.rules.delivery_rules.remembering(push.app, &push.target) {
            // In a cluster Redis is the owner.
            Remembering::One(group, _) if self.bus.is_none() => {
                let owner = self.shared.owner_of(scope_of(push.app, group));
                self.send_to_owner(push, owner);
            }
            _ => self.post_to_all(push),
        }
    }

    /// The same for a push of a thread that is no reactor.
    pub fn publish_for_thread(&mut self, push: &Arc<Push>) {
        self.shared.count_unroutable(push);
        if !self.publish_on_bus(push) {
            self.send_to_reactors(push);
        }
        self.finish_push_part(push);
    }

    /// An envelope to each other reactor that has an interest in a push, and this one's part at once.
    pub(super) fn post_to_all(&mut self, push: &Arc<Push>) {
        let reactors = self.shared.interest.reactors_of(push.app, &push.target);
        for reactor in reactors.iter().filter(|reactor| *reactor != self.index) {
            push.add_part();
            if self.peers.post(reactor, Envelope::Push(Arc::clone(push))).is_err() {
                self.shared.count_unreached(push, reactor);
                self.settlements.drop_for(DropReason::Mailbox);
            }
        }
        if reactors.contains(self.index) {
            push.add_part();
            self.deliver(push);
        }
    }

    /// Counts, at the end of a push, whom it did not find.
    fn count_offline(&self, push: &Push) {
        self.metrics().deliveries.of(DeliveryOutcome::Offline).add(u64::from(push.offline()));
    }

    /// This reactor's part of a push: at once, or behind what earlier turns left.
    pub fn deliver(&mut self, push: &Arc<Push>) {
        match self.is_behind_with_work() {
            true => self.put_off_push(push),
            false => self.begin_delivery(push),
        }
    }

    pub(super) fn begin_delivery(&mut self, push: &Arc<Push>) {
        let mut slots = std::mem::take(&mut self.selected);
        let options = &push.options;
        let selection = self.hub.select(push.app, &push.target, options.except, &options.without, &mut slots);
        for index in &selection.users {
            push.user_found(*index);
        }
        for index in &selection.unknown_sessions {
            push.count_offline_session();
            if let Some(Selector::Session(id)) = push.target.selectors().get(*index) {
                push.miss(Some(*id), None, Why::Offline);
            }
        }
        push.count_matched(slots.len() as u32);
        if slots.is_empty() {
            self.selected = slots;
            return self.finish_push_part(push);
        }
        let local = Rc::new(LocalPush::new(Arc::clone(push)));
        // Keeps the part open while sockets are written before the last outbox has been offered it.
        local.hold();
        let mut delivery = Delivery {
            local,
            tick: self.rules.delivery_rules.tick(push),
            matched: slots.len() as u32,
            queued: 0,
            ended: 0,
            away: self.rules.resume_rules.of(push.app).map(|_| 0),
            goes_ahead: false,
            compressed: None,
            is_marked: push.frame.begins_with_mark() && push.mark(),
            has_place: push.place().is_some(),
            crosses: self.has_crossing(),
            rest: VecDeque::new(),
        };
        if push.names_missed() {
            // By id from the first on: a session may end on the way.
            delivery.rest = slots.iter().filter_map(|&slot| self.hub.id_of(slot)).collect();
            self.go_on_delivering(delivery);
        } else {
            let offered = self.offer_to_all(&mut delivery, &slots);
            self.park_or_end(delivery, &slots[offered..]);
        }
        slots.clear();
        self.selected = slots;
    }

    /// Offers the message to the sessions in `slots` as far as the budget goes; to how many.
    fn offer_to_all(&mut self, delivery: &mut Delivery, slots: &[u32]) -> usize {
        delivery.goes_ahead = std::mem::take(&mut self.goes_ahead);
        let mut ahead = delivery.goes_ahead.then_some(self.dirty.len());
        for (offered, &slot) in slots.iter().enumerate() {
            if self.budget.is_spent_on_deliveries() {
                return offered;
            }
            self.offer_push(delivery, slot);
            self.write_ahead(&mut ahead);
        }
        slots.len()
    }

    /// Writes what has been queued since `ahead` entries were listed, where that pays and enough of it has.
    #[inline]
    fn write_ahead(&mut self, ahead: &mut Option<usize>) {
        if let Some(before) = ahead
            && self.dirty.len() >= *before + WRITTEN_TOGETHER
        {
            // The other reactors can work meanwhile.
            self.wake_peers();
            *before = self.flush_dirty_from(*before);
        }
    }

    #[inline]
    fn offer_push(&mut self, delivery: &mut Delivery, slot: u32) {
        self.budget.deliveries -= 1;
        if let Some(away) = &mut delivery.away {
            *away += u32::from(self.connections.slot(slot).is_some_and(is_away));
        }
        if delivery.local.push().names_missed() {
            return self.offer_by_name(delivery, slot);
        }
        let local = Rc::clone(&delivery.local);
        self.offer_local(delivery, slot, local);
    }

    /// The same for a push whose receipt names who missed it: each session has a part of it by itself, which knows whose it is.
    fn offer_by_name(&mut self, delivery: &mut Delivery, slot: u32) {
        let push = Arc::clone(delivery.local.push());
        let (session, user) = (self.hub.id_of(slot), self.hub.user_of(slot).cloned());
        let before = delivery.queued;
        match session.filter(|_| push.options.receipt == ReceiptMode::Written) {
            Some(session) => {
                push.split_part();
                let local = Rc::new(LocalPush::of_session(Arc::clone(&push), session, user.clone()));
                local.hold();
                self.offer_local(delivery, slot, Rc::clone(&local));
                if self.settlements.let_go(&local) {
                    self.finish_push_part(&push);
                }
            }
            None => self.offer_local(delivery, slot, Rc::clone(&delivery.local)),
        }
        if delivery.queued == before {
            push.miss(session, user.as_ref(), Why::Dropped);
        }
    }

    #[inline]
    fn offer_local(&mut self, delivery: &mut Delivery, slot: u32, local: Rc<LocalPush>) {
        let wire = match delivery.is_marked && self.speaks_own(slot) {
            true => Wire::Marked,
            false if self.deflates(slot, local.push(), &mut delivery.compressed) => Wire::Deflated,
            false => Wire::Plain,
        };
        if delivery.crosses && self.crosses(slot, &local, wire, delivery.tick) {
            return delivery.queued += 1;
        }
        if delivery.has_place && !self.recalls.is_empty() {
            match self.hold(slot, &local, wire, delivery.tick) {
                Holding::Not => {}
                Holding::Held => return delivery.queued += 1,
                Holding::Full => return,
            }
        }
        let item = Item::Shared(local, wire);
        delivery.queued += u32::from(match delivery.tick {
            None => self.offer(slot, item),
            Some(tick) => self.offer_for_tick(slot, item, tick),
        });
    }

    /// The delivery is over, or goes on in the next turn with those in `slots`. A slot may have another session by then: the
    /// rest is remembered by its ids.
    #[inline]
    fn park_or_end(&mut self, mut delivery: Delivery, slots: &[u32]) {
        if slots.is_empty() {
            return self.end_delivery(&delivery);
        }
        delivery.rest = slots.iter().filter_map(|&slot| self.hub.id_of(slot)).collect();
        delivery.ended += (slots.len() - delivery.rest.len()) as u32;
        self.put_back(delivery);
    }

    /// Goes on with a push that an earlier turn began. Sessions that have ended since do not get it.
    pub(super) fn go_on_delivering(&mut self, mut delivery: Delivery) {
        // One that went ahead when it began goes on so, unless something has come that can share its writes.
        delivery.crosses = self.has_crossing();
        let mut ahead = (delivery.goes_ahead && !self.is_behind_with_work()).then_some(self.dirty.len());
        while let Some(id) = delivery.rest.pop_front() {
            if self.budget.is_spent_on_deliveries() {
                delivery.rest.push_front(id);
                return self.put_back(delivery);
            }
            match self.hub.id_of(id.slot()) == Some(id) {
                true => self.offer_push(&mut delivery, id.slot()),
                false => {
                    delivery.ended += 1;
                    delivery.local.push().miss(Some(id), None, Why::Closed);
                }
            }
            self.write_ahead(&mut ahead);
        }
        self.end_delivery(&delivery);
    }

    fn end_delivery(&mut self, delivery: &Delivery) {
        let Delivery { local, matched, queued, ended, away, .. } = delivery;
        let push = local.push();
        push.count_queued(*queued);
        push.count_away(away.unwrap_or(0));
        push.count_fate(Fate::Closed, *ended);
        push.count_fate(Fate::Dropped, matched - queued - ended);
        self.settlements.closed += u64::from(*ended);
        let metrics = self.metrics();
        metrics.deliveries.of(DeliveryOutcome::Queued).add(u64::from(*queued));
        metrics.apps.queued.of(push.app.0).add(u64::from(*queued));
        // The last outbox that lets go ends the part of a push whose receipt waits for sockets.
        let waits = push.options.receipt == ReceiptMode::Written;
        if self.settlements.let_go(local) || !waits {
            self.finish_push_part(push);
        }
    }

    /// Whether the session in `slot` gets the push compressed, where there is a compressed form by now.
    fn deflates(&self, slot: u32, push: &Push, compressed: &mut Option<bool>) -> bool {
        let Some(engine) = &self.deflate else { return false };
        let websocket = self.connections.slot(slot).and_then(|connection| connection.websocket.as_ref());
        let agreed = websocket.is_some_and(|websocket| websocket.takes_shared_deflate());
        agreed && *compressed.get_or_insert_with(|| push.deflate(engine))
    }

    /// The form in which the session in `slot` gets a push by itself.
    pub(super) fn wire_for(&self, slot: u32, push: &Push) -> Wire {
        match push.frame.begins_with_mark() && push.mark() && self.speaks_own(slot) {
            true => Wire::Marked,
            false if self.deflates(slot, push, &mut None) => Wire::Deflated,
            false => Wire::Plain,
        }
    }

    pub(super) fn finish_push_part(&mut self, push: &Arc<Push>) {
        if push.finish_part() {
            self.push_is_over(push);
        }
    }

    /// Every part of a push is done: who wants the receipt gets it.
    pub(super) fn push_is_over(&mut self, push: &Arc<Push>) {
        self.count_offline(push);
        match &push.origin {
            Origin::Connection { connection, .. } => {
                self.peers
                    .post_always(usize::from(connection.worker()), Envelope::PushDone(Arc::clone(push)));
            }
            Origin::Receipt(sender) => drop(sender.send(push.receipt())),
            Origin::Peer(_) => self.answer_push(push),
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
            Origin::Peer(_) => self.answer_operation(operation),
            Origin::Nobody | Origin::Receipt(_) => {}
        }
    }

    /// Reports what became of messages since the last look, and sends home the pushes that waited for sockets.
    pub fn settle(&mut self) {
        for push in std::mem::take(&mut self.settlements.finished) {
            self.finish_push_part(&push);
        }
        self.count_seats();
        let outside = &self.shared.outside;
        let metrics = self.shared.metrics.reactor(self.index);
        let settlements = &mut self.settlements;
        let written = settlements.written;
        for (outcome, count) in [
            (DeliveryOutcome::Written, &mut settlements.written),
            (DeliveryOutcome::Replaced, &mut settlements.replaced),
            (DeliveryOutcome::Expired, &mut settlements.expired),
            (DeliveryOutcome::Closed, &mut settlements.closed),
        ] {
            metrics.deliveries.of(outcome).add(std::mem::take(count));
        }
        metrics.messages_out.add(written + std::mem::take(&mut settlements.messages_written));
        let events = settlements.events;
        metrics.link_events.add(events.written - self.settled_events.written);
        metrics.link_events_lost.add(events.lost - self.settled_events.lost);
        self.settled_events = events;
        for (reason, count) in DropReason::ALL.iter().zip(&mut settlements.dropped) {
            let count = std::mem::take(count);
            metrics.dropped.of(*reason).add(count);
            metrics.deliveries.of(DeliveryOutcome::Dropped).add(count);
        }
        // Mostly nothing: a look is cheaper than a swap.
        if outside.has_pushes.load(Ordering::Relaxed) && outside.has_pushes.swap(false, Ordering::Acquire) {
            for (app, count) in outside.pushes.all() {
                if count.load(Ordering::Relaxed) > 0 {
                    metrics.pushes.of(app).add(count.swap(0, Ordering::Relaxed));
                }
            }
        }
        if outside.offline.load(Ordering::Relaxed) > 0 {
            let count = outside.offline.swap(0, Ordering::Relaxed);
            metrics.deliveries.of(DeliveryOutcome::Offline).add(count);
        }
        if outside.dropped.load(Ordering::Relaxed) > 0 {
            let count = outside.dropped.swap(0, Ordering::Relaxed);
            metrics.dropped.of(DropReason::Mailbox).add(count);
            metrics.deliveries.of(DeliveryOutcome::Dropped).add(count);
        }
        metrics.resent_written.add(std::mem::take(&mut settlements.written_again));
        metrics.kept_messages.set(settlements.kept_messages);
        metrics.kept_bytes.set(settlements.kept_memory);
        metrics.outbox_memory.set(settlements.memory);
        metrics.outbox_messages.set(settlements.waiting_messages);
        metrics.outbox_bytes.set(settlements.waiting_bytes);
        metrics.incoming.set(self.incoming.bytes());
        for latency_ns in settlements.latencies_ns.drain(..) {
            metrics.push_to_write.observe(latency_ns);
        }
        self.count_memory();
    }
}
