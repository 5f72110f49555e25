use super::model::{Answer, Socket, at, push_of, shared};
use super::*;
use crate::choices::random_bytes;
use crate::config::{Slow, SlowPolicy};
use crate::dispatch::{ReceiptMode, Wire};
use crate::metrics::{DropReason, Label};
use std::rc::Rc;
use std::sync::Arc;

const ROOMY: OutboxLimits = OutboxLimits { bytes: 1 << 20, messages: 1 << 10 };

impl Socket {
    fn taking(bytes: impl IntoIterator<Item = usize>) -> Self {
        Self { script: bytes.into_iter().map(Answer::Takes).collect(), ..Self::default() }
    }
}

/// A message of `class` that never expires; its payload is `text`.
fn message(text: &str, class: Class, key: Option<&str>) -> Item {
    shared(push_of(text.as_bytes(), u64::MAX, class, key, ReceiptMode::Queued))
}

fn normal(text: &str) -> Item {
    message(text, Class::Normal, None)
}

/// The payloads of the short unmasked frames in `wire`, which must be whole.
fn payloads(mut wire: &[u8]) -> Vec<String> {
    let mut payloads = Vec::new();
    while let [_, length, rest @ ..] = wire {
        let (payload, rest) = rest.split_at(usize::from(*length));
        payloads.push(String::from_utf8(payload.to_vec()).unwrap());
        wire = rest;
    }
    assert!(wire.is_empty(), "half a frame: {wire:?}");
    payloads
}

struct World {
    outbox: Outbox,
    settlements: Settlements,
    limits: OutboxLimits,
    slow: Slow,
    socket: Socket,
}

impl World {
    fn new(limits: OutboxLimits, socket: Socket) -> Self {
        let (outbox, settlements) = (Outbox::default(), Settlements::default());
        Self { outbox, settlements, limits, slow: Slow::default(), socket }
    }

    fn offer(&mut self, item: Item) -> &'static str {
        let Err(item) = self.outbox.offer(item, self.limits, &mut self.settlements) else { return "queued" };
        match self.outbox.offer_at_bound(item, self.limits, &self.slow, &mut self.settlements) {
            Offered::Queued => "queued",
            Offered::Dropped => "dropped",
            Offered::TooSlow(_) => "too slow",
        }
    }

    /// Messages dropped because they were the oldest, and because they were the newest.
    fn dropped(&self) -> (u64, u64) {
        let of = |reason: DropReason| self.settlements.dropped[reason.index()];
        (of(DropReason::Oldest), of(DropReason::Newest))
    }

    fn write(&mut self, now_ms: u64) -> Progress {
        self.outbox.write_to(&mut self.socket, at(now_ms), &mut self.settlements, None).unwrap()
    }

    fn write_all(&mut self) -> Vec<String> {
        self.socket.script.extend([Answer::Takes(usize::MAX); 1000]);
        assert!(!self.write(0).blocked);
        assert!(self.outbox.is_empty());
        assert_eq!(self.outbox.bytes(), 0);
        payloads(&self.socket.taken)
    }
}

#[test]
fn urgent_overtakes_what_is_not_on_the_wire() {
    let mut world = World::new(ROOMY, Socket::taking([4]));
    for text in ["one", "two"] {
        assert_eq!(world.offer(normal(text)), "queued");
    }
    // "one" is five bytes on the wire, and four of them are there.
    assert!(world.write(0).blocked);
    assert_eq!(world.offer(message("urgent", Class::Urgent, None)), "queued");
    assert_eq!(world.offer(message("also urgent", Class::Urgent, None)), "queued");
    assert_eq!(world.write_all(), ["one", "urgent", "also urgent", "two"]);
    assert_eq!(world.settlements.written, 4);
}

#[test]
fn nothing_comes_between_the_parts_of_bytes_begun_elsewhere() {
    let mut world = World::new(ROOMY, Socket::default());
    world.socket.taken = b"\x82\x05he".to_vec();
    world.outbox.begin_with(b"llo".as_slice().into(), &mut world.settlements);
    assert_eq!(world.offer(message("urgent", Class::Urgent, None)), "queued");
    assert!(world.outbox.offer_control(b"\x89\x00".as_slice().into(), ROOMY, &mut world.settlements).is_ok());
    world.outbox.clear_unsent(Fate::Closed, &mut world.settlements);
    world.outbox.append(Item::Owned(b"\x88\x00".as_slice().into()), &mut world.settlements);
    assert_eq!(world.write_all(), ["hello", ""]);
    assert_eq!(world.settlements.closed, 1);
}

#[test]
fn a_newer_message_takes_the_place_of_the_older_one_with_its_key() {
    let mut world = World::new(ROOMY, Socket::default());
    world.offer(message("score 1", Class::Normal, Some("score")));
    world.offer(normal("between"));
    world.offer(message("score 2", Class::Droppable, Some("score")));
    world.offer(message("clock 1", Class::Normal, Some("clock")));
    assert_eq!(world.settlements.replaced, 1);
    assert_eq!(world.outbox.messages(), 3);
    // In the other lane it is a new message, and the older one is gone all the same.
    world.offer(message("clock 2", Class::Urgent, Some("clock")));
    assert_eq!((world.settlements.replaced, world.outbox.messages()), (2, 3));
    assert_eq!(world.write_all(), ["clock 2", "score 2", "between"]);
}

#[test]
fn what_is_on_the_wire_is_not_replaced() {
    let mut world = World::new(ROOMY, Socket::taking([1]));
    world.offer(message("score 1", Class::Normal, Some("score")));
    world.write(0);
    world.offer(message("score 2", Class::Normal, Some("score")));
    assert_eq!(world.settlements.replaced, 0);
    assert_eq!(world.write_all(), ["score 1", "score 2"]);
}

#[test]
fn a_replacement_that_does_not_fit_in_place_is_offered_anew() {
    // Each of these takes ten bytes.
    let mut world = World::new(OutboxLimits { bytes: 30, messages: 9 }, Socket::default());
    world.offer(message("droppab1", Class::Droppable, None));
    world.offer(message("keyed  1", Class::Normal, Some("key")));
    world.offer(normal("normal 1"));
    assert_eq!(world.offer(message("keyed 2, longer", Class::Normal, Some("key"))), "queued");
    assert_eq!((world.settlements.replaced, world.dropped()), (1, (1, 0)));
    assert_eq!(world.write_all(), ["normal 1", "keyed 2, longer"]);
}

#[test]
fn droppable_messages_give_way_oldest_first_and_then_it_is_full() {
    let mut world = World::new(OutboxLimits { bytes: 1 << 20, messages: 3 }, Socket::default());
    for text in ["droppable 1", "droppable 2"] {
        assert_eq!(world.offer(message(text, Class::Droppable, None)), "queued");
    }
    assert_eq!(world.offer(normal("normal 1")), "queued");
    assert_eq!(world.offer(message("droppable 3", Class::Droppable, None)), "queued");
    assert_eq!(world.dropped(), (1, 0));
    assert_eq!(world.offer(message("urgent", Class::Urgent, None)), "queued");
    assert_eq!(world.offer(normal("normal 2")), "queued");
    assert_eq!(world.dropped(), (3, 0));
    assert_eq!(world.offer(message("droppable 4", Class::Droppable, None)), "dropped");
    assert_eq!(world.offer(normal("normal 3")), "too slow");
    assert_eq!(world.dropped(), (3, 1));
    assert_eq!(world.write_all(), ["urgent", "normal 1", "normal 2"]);
}

#[test]
fn an_empty_outbox_takes_one_message_of_any_size() {
    let mut world = World::new(OutboxLimits { bytes: 4, messages: 9 }, Socket::default());
    assert_eq!(world.offer(normal("longer than four")), "queued");
    assert_eq!(world.offer(normal("")), "too slow");
    assert_eq!(world.write_all(), ["longer than four"]);
}

#[test]
fn time_to_live_counts_to_the_end_of_its_millisecond_and_not_on_the_wire() {
    let with_deadline =
        |text: &str, ms| shared(push_of(text.as_bytes(), ms, Class::Normal, None, ReceiptMode::Queued));
    let mut world = World::new(ROOMY, Socket::taking([1]));
    world.offer(with_deadline("on the wire", 5));
    assert!(world.write(5).blocked);
    world.offer(with_deadline("ten", 10));
    world.offer(with_deadline("seven", 7));
    world.offer(normal("for ever"));
    assert_eq!(world.outbox.next_expiry_ms(), Some(6), "too early is allowed: the next look corrects it");
    world.outbox.expire(7, &mut world.settlements);
    assert_eq!((world.settlements.expired, world.outbox.next_expiry_ms()), (0, Some(8)));
    world.outbox.expire(8, &mut world.settlements);
    assert_eq!((world.settlements.expired, world.outbox.next_expiry_ms()), (1, Some(11)));
    world.socket.script.push_back(Answer::Takes(usize::MAX));
    assert!(!world.write(11).blocked);
    assert_eq!(world.settlements.expired, 2);
    assert_eq!(payloads(&world.socket.taken), ["on the wire", "for ever"]);
}

#[test]
fn more_items_than_one_write_takes_slices() {
    let mut world = World::new(ROOMY, Socket::default());
    let texts: Vec<String> = (0..3 * MAX_SLICES + 7).map(|number| number.to_string()).collect();
    for text in &texts {
        assert_eq!(world.offer(normal(text)), "queued");
    }
    assert_eq!(world.write_all(), texts);
    assert_eq!(world.socket.slices, [MAX_SLICES, MAX_SLICES, MAX_SLICES, 7]);
    assert_eq!(world.settlements.written as usize, texts.len());
}

#[test]
fn interrupted_is_tried_again_and_errors_are_told() {
    let mut world = World::new(ROOMY, Socket::taking([2]));
    world.offer(normal("hello"));
    world.offer(normal("world"));
    world.socket.script.push_front(Answer::Interrupted);
    assert_eq!(world.write(0), Progress { written: 2, writes: 2, blocked: true });
    assert_eq!(world.write(0), Progress { written: 0, writes: 1, blocked: true });
    world.socket.script.push_back(Answer::Reset);
    let failed = world.outbox.write_to(&mut world.socket, at(0), &mut world.settlements, None);
    assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    world.socket.script.push_back(Answer::Takes(0));
    let failed = world.outbox.write_to(&mut world.socket, at(0), &mut world.settlements, None);
    assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::WriteZero);
    world.outbox.clear(Fate::Closed, &mut world.settlements);
    assert_eq!((world.settlements.closed, world.outbox.bytes()), (2, 0));
}

#[test]
fn a_receipt_comes_when_the_last_outbox_has_let_go() {
    let push = push_of(b"for three", 5, Class::Normal, None, ReceiptMode::Written);
    push.count_matched(3);
    let local = Rc::new(LocalPush::new(Arc::clone(&push)));
    let mut settlements = Settlements::default();
    let mut outboxes: [Outbox; 3] = Default::default();
    local.hold();
    for outbox in &mut outboxes {
        outbox.offer(Item::Shared(Rc::clone(&local), Wire::Plain), ROOMY, &mut settlements).unwrap();
    }
    assert!(!settlements.let_go(&local), "three outboxes hold it");
    let shared = size_of::<crate::dispatch::Push>() + push.frame.wire_len();
    assert_eq!(settlements.memory as usize, 3 * size_of::<Item>() + shared);
    let [first, second, third] = &mut outboxes;
    first.write_to(&mut Socket::taking([usize::MAX]), at(0), &mut settlements, None).unwrap();
    second.clear(Fate::Closed, &mut settlements);
    assert!(settlements.finished.is_empty());
    third.expire(6, &mut settlements);
    assert_eq!((settlements.finished.len(), settlements.memory), (1, 0));
    let receipt = push.receipt();
    assert_eq!((receipt.written, receipt.closed, receipt.expired), (Some(1), 1, 1));
    assert_eq!((receipt.matched, receipt.pending), (3, 0));
}

#[test]
fn a_receipt_that_nobody_holds_is_done_when_the_deliverer_lets_go() {
    let local = LocalPush::new(push_of(b"x", 5, Class::Normal, None, ReceiptMode::Written));
    local.hold();
    assert!(local.release());
}

/// A world whose outbox holds three messages, with a policy for those that are not droppable.
fn narrow(normal: SlowPolicy, urgent: SlowPolicy) -> World {
    let mut world = World::new(OutboxLimits { bytes: 1 << 20, messages: 3 }, Socket::default());
    world.slow = Slow { normal, urgent, ..Slow::default() };
    world
}

#[test]
fn the_oldest_go_but_not_what_is_on_the_wire_nor_the_connections_own() {
    let mut world = narrow(SlowPolicy::DropOldest, SlowPolicy::Close);
    world.socket = Socket::taking([1]);
    world.offer(normal("on the wire"));
    assert!(world.write(0).blocked);
    world.offer(Item::Owned(b"\x81\x06answer".as_slice().into()));
    for text in ["one", "two", "three"] {
        assert_eq!(world.offer(normal(text)), "queued");
    }
    assert_eq!(world.dropped(), (2, 0));
    // Not even for an urgent one there is nothing more that may go.
    assert_eq!(world.offer(message("urgent 1", Class::Urgent, None)), "queued");
    assert_eq!(world.offer(message("urgent 2", Class::Urgent, None)), "too slow");
    assert_eq!(world.offer(normal("four")), "dropped");
    assert_eq!(world.dropped(), (3, 1));
    assert_eq!(world.write_all(), ["on the wire", "urgent 1", "answer"]);
}

#[test]
fn the_newest_goes_where_the_app_wants_that_but_droppable_ones_go_before_it() {
    let mut world = narrow(SlowPolicy::DropNewest, SlowPolicy::DropNewest);
    world.offer(normal("one"));
    world.offer(message("droppable", Class::Droppable, None));
    world.offer(normal("two"));
    assert_eq!([world.offer(normal("three")), world.offer(normal("four"))], ["queued", "dropped"]);
    assert_eq!(world.dropped(), (1, 1));
    // Normal ones are there to be lost, and an urgent one is worth more.
    assert_eq!(world.offer(message("urgent", Class::Urgent, None)), "queued");
    assert_eq!(world.write_all(), ["urgent", "two", "three"]);
}

#[test]
fn urgent_ones_lose_their_oldest_after_all_others() {
    let mut world = narrow(SlowPolicy::Close, SlowPolicy::DropOldest);
    world.offer(message("urgent 1", Class::Urgent, None));
    world.offer(normal("one"));
    world.offer(message("droppable", Class::Droppable, None));
    for text in ["urgent 2", "urgent 3", "urgent 4"] {
        assert_eq!(world.offer(message(text, Class::Urgent, None)), "queued");
    }
    assert_eq!(world.dropped(), (3, 0));
    assert_eq!(world.write_all(), ["urgent 2", "urgent 3", "urgent 4"]);
}

#[test]
fn nothing_is_dropped_in_vain() {
    // Each takes ten bytes; no number of droppable ones makes room for thirty more.
    let mut world = World::new(OutboxLimits { bytes: 40, messages: 9 }, Socket::default());
    world.slow.normal = SlowPolicy::DropNewest;
    for text in ["normal 1", "normal 2"] {
        world.offer(normal(text));
    }
    world.offer(message("droppabl", Class::Droppable, None));
    assert_eq!(world.offer(normal("twenty-eight bytes long, it is")), "dropped");
    assert_eq!(world.dropped(), (0, 1));
    assert_eq!(world.write_all(), ["normal 1", "normal 2", "droppabl"]);
}

#[test]
fn a_pong_costs_a_message_where_the_app_would_rather_lose_that_than_the_session() {
    for (policy, room) in
        [(SlowPolicy::Close, false), (SlowPolicy::DropOldest, true), (SlowPolicy::DropNewest, true)]
    {
        let mut world = narrow(policy, SlowPolicy::Close);
        for text in ["one", "two", "three"] {
            world.offer(normal(text));
        }
        assert_eq!(world.outbox.make_room(2, world.limits, &world.slow, &mut world.settlements), room);
        assert_eq!(world.dropped(), (u64::from(room), 0));
    }
}

#[test]
fn what_waits_for_a_tick_lets_urgent_ones_and_the_rest_of_a_frame_pass() {
    let mut world = World::new(ROOMY, Socket::taking([1]));
    world.offer(normal("begun"));
    assert!(world.write(0).blocked);
    world.outbox.wait_for(Some(Tick(50)));
    world.offer(message("key 1", Class::Normal, Some("key")));
    world.offer(message("urgent", Class::Urgent, None));
    world.socket.script.extend([Answer::Takes(usize::MAX); 2]);
    let progress = world.write(0);
    assert_eq!((progress.writes, progress.blocked, world.outbox.messages()), (1, false, 1));
    assert_eq!(world.write(0), Progress { written: 0, writes: 0, blocked: false });
    world.offer(message("key 2", Class::Normal, Some("key")));
    world.outbox.wait_for(None);
    assert_eq!(world.write_all(), ["begun", "urgent", "key 2"]);
}

#[test]
fn every_value_of_a_tick_waits_for_it_until_the_socket_takes_no_more() {
    let mut world = World::new(ROOMY, Socket::default());
    let score = |world: &mut World, number: u32| {
        world.offer(message(&format!("score {number}"), Class::Normal, Some("score")))
    };
    score(&mut world, 1);
    world.outbox.begin_tick(Tick(50), true);
    (2..5).for_each(|number| assert_eq!(score(&mut world, number), "queued"));
    assert_eq!((world.settlements.replaced, world.outbox.messages()), (0, 4));
    // The tick comes, and the socket takes the first.
    world.outbox.wait_for(None);
    world.socket.script.push_back(Answer::Takes(9));
    assert!(world.write(0).blocked);
    assert!(world.outbox.wait_for_socket() && !world.outbox.wait_for_socket());
    (5..7).for_each(|number| assert_eq!(score(&mut world, number), "queued"));
    assert_eq!((world.settlements.replaced, world.outbox.messages()), (4, 1));
    assert_eq!(world.write_all(), ["score 1", "score 6"]);
}

#[test]
fn an_urgent_value_is_followed_by_none_that_waits_for_a_tick() {
    let mut world = World::new(ROOMY, Socket::default());
    world.offer(message("score 1", Class::Normal, Some("score")));
    world.outbox.begin_tick(Tick(50), true);
    world.offer(normal("between"));
    world.offer(message("score 2", Class::Normal, Some("score")));
    world.offer(message("score 3", Class::Urgent, Some("score")));
    assert_eq!((world.settlements.replaced, world.outbox.messages()), (2, 2));
    world.offer(message("score 4", Class::Normal, Some("score")));
    world.outbox.wait_for(None);
    assert_eq!(world.write_all(), ["score 3", "between", "score 4"]);
}

#[test]
fn the_obvious_outbox_does_the_same() {
    let mut seen = [0; 6];
    for seed in 1..600 {
        let ended = super::model::obey(&random_bytes(seed, 1_000));
        let [oldest, newest, ..] = ended.dropped;
        for (seen, count) in
            seen.iter_mut().zip([ended.written, ended.replaced, oldest, newest, ended.expired, ended.closed])
        {
            *seen += count;
        }
    }
    assert!(seen.iter().all(|count| *count > 100), "every fate is met often: {seen:?}");
}
