use std::sync::Mutex;
use std::time::Duration;

use mio::{Events, Poll, Token};

use super::*;

/// How long a reactor may sleep in a test that keeps it busy: beyond that a wake-up was lost.
const WATCHDOG: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Item {
    from: usize,
    number: u64,
    weight: usize,
}

impl Weigh for Item {
    fn weight(&self) -> usize {
        self.weight
    }
}

fn item(number: u64) -> Item {
    Item { from: 0, number, weight: 0 }
}

fn heavy(number: u64, weight: usize) -> Item {
    Item { from: 0, number, weight }
}

struct Reactor {
    poll: Poll,
    receiver: Receiver<Item>,
    producer: Producer<Item>,
}

impl Reactor {
    /// Sleeps for real if nothing is there. Says whether it slept.
    fn rest(&mut self) -> bool {
        if !self.receiver.sleep() {
            return false;
        }
        let mut events = Events::with_capacity(8);
        self.poll.poll(&mut events, Some(WATCHDOG)).unwrap();
        assert!(!events.is_empty(), "nobody woke a reactor that has work or was promised room");
        self.receiver.awake();
        true
    }

    /// Whether the eventfd was written since the last look.
    fn was_woken(&mut self) -> bool {
        let mut events = Events::with_capacity(8);
        self.poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        !events.is_empty()
    }

    fn drain(&mut self) -> Vec<u64> {
        let numbers = std::iter::from_fn(|| self.receiver.pop()).map(|item| item.number).collect();
        self.receiver.drained();
        numbers
    }
}

fn reactors(count: usize, limits: MailboxLimits) -> (Vec<Reactor>, Handle<Item>) {
    let polls: Vec<Poll> = (0..count).map(|_| Poll::new().unwrap()).collect();
    let wakers =
        polls.iter().map(|poll| Arc::new(mio::Waker::new(poll.registry(), Token(0)).unwrap())).collect();
    let (receivers, mut senders) = mailboxes(wakers, limits);
    let handle = senders.handle();
    let ends = receivers.into_iter().zip(polls).enumerate();
    let made = ends.map(|(me, (receiver, poll))| Reactor { poll, receiver, producer: senders.producer(me) });
    (made.collect(), handle)
}

fn limits(messages: usize, bytes: usize, overflow_messages: usize, overflow_bytes: usize) -> MailboxLimits {
    MailboxLimits { messages, bytes, overflow_messages, overflow_bytes }
}

#[test]
fn overflow_keeps_the_order_and_is_bounded_in_messages() {
    let (mut world, _) = reactors(2, limits(2, 100, 3, 100));
    let [sender, taker] = &mut world[..] else { unreachable!() };
    for number in 0..5 {
        sender.producer.post(1, item(number)).unwrap();
    }
    assert_eq!(sender.producer.post(1, item(5)), Err(Full(item(5))));
    assert_eq!(sender.producer.backlog(), 3);
    sender.producer.post_always(1, item(6));
    assert_eq!((sender.producer.backlog(), taker.receiver.len()), (4, 2));

    let mut seen = Vec::new();
    while !taker.receiver.is_empty() {
        seen.extend(taker.drain());
        // Behind the overflow, though the queue has room.
        if sender.producer.backlog() == 4 {
            sender.producer.post_always(1, item(7));
        }
        sender.producer.retry();
    }
    assert_eq!(seen, [0, 1, 2, 3, 4, 6, 7]);
    assert_eq!(sender.producer.backlog(), 0);
}

#[test]
fn queue_and_overflow_are_bounded_in_bytes() {
    let (mut world, handle) = reactors(2, limits(100, 10, 100, 5));
    let [sender, taker] = &mut world[..] else { unreachable!() };
    sender.producer.post(1, heavy(0, 6)).unwrap();
    assert_eq!(handle.post(1, heavy(9, 5)), Err(Full(heavy(9, 5))));
    sender.producer.post(1, heavy(1, 5)).unwrap();
    assert_eq!((sender.producer.backlog(), taker.receiver.bytes()), (1, 6));
    assert_eq!(sender.producer.post(1, heavy(2, 1)), Err(Full(heavy(2, 1))));
    sender.producer.post(1, heavy(3, 0)).unwrap();

    assert_eq!(taker.drain(), [0]);
    sender.producer.retry();
    assert_eq!(taker.receiver.bytes(), 5);
    sender.producer.post(1, heavy(4, 5)).unwrap();
    assert_eq!(taker.receiver.pop(), Some(heavy(1, 5)));
    assert_eq!(taker.receiver.bytes(), 5, "of the other");
    assert_eq!(taker.drain(), [3, 4]);
    assert_eq!(taker.receiver.bytes(), 0);
}

#[test]
fn an_item_heavier_than_the_bound_passes_alone() {
    let (mut world, _) = reactors(1, limits(4, 10, 4, 1000));
    let only = &mut world[0];
    for number in 0..3 {
        only.producer.post(0, heavy(number, 100)).unwrap();
    }
    let mut seen = Vec::new();
    for _ in 0..3 {
        assert_eq!(only.receiver.len(), 1);
        seen.extend(only.drain());
        only.producer.retry();
    }
    assert_eq!(seen, [0, 1, 2]);
}

#[test]
fn a_reactor_that_is_not_there_refuses() {
    let (mut world, handle) = reactors(2, MailboxLimits::default());
    assert_eq!(world[0].producer.post(2, item(0)), Err(Full(item(0))));
    assert_eq!(handle.post(usize::MAX, item(0)), Err(Full(item(0))));
}

#[test]
fn only_a_sleeper_is_woken_and_only_once() {
    let (mut world, handle) = reactors(3, MailboxLimits::default());
    let [one, two, taker] = &mut world[..] else { unreachable!() };

    one.producer.post(2, item(0)).unwrap();
    assert_eq!(one.producer.wake(), 0, "it is up");
    assert!(!taker.receiver.sleep(), "an item is there");
    handle.post(2, item(1)).unwrap();
    assert!(!taker.was_woken());
    taker.drain();

    assert!(taker.receiver.sleep());
    one.producer.post(2, item(2)).unwrap();
    one.producer.post(2, item(3)).unwrap();
    two.producer.post(2, item(4)).unwrap();
    assert!(!taker.was_woken(), "not before the end of the turn");
    assert_eq!((one.producer.wake(), two.producer.wake()), (1, 0));
    handle.post(2, item(5)).unwrap();
    assert!(taker.was_woken());
    taker.receiver.awake();
    assert_eq!(one.producer.wake(), 0, "nothing was posted since");
    assert_eq!(taker.drain(), [2, 3, 4, 5]);

    assert!(taker.receiver.sleep());
    handle.post(2, item(6)).unwrap();
    assert!(taker.was_woken());
}

#[test]
fn a_starved_producer_does_not_sleep_on_a_nudge_and_is_woken_from_sleep() {
    let (mut world, _) = reactors(2, limits(1, 0, 10, 0));
    let [sender, taker] = &mut world[..] else { unreachable!() };
    for number in 0..3 {
        sender.producer.post(1, item(number)).unwrap();
    }
    assert!(sender.receiver.sleep(), "no room was announced");
    assert_eq!(taker.receiver.pop(), Some(item(0)));
    assert_eq!(taker.receiver.drained(), 1);
    assert!(sender.was_woken());
    sender.receiver.awake();
    sender.producer.retry();

    assert_eq!(taker.receiver.pop(), Some(item(1)));
    assert_eq!(taker.receiver.drained(), 0, "it is up");
    assert!(!sender.receiver.sleep(), "room was announced");
    sender.producer.retry();
    assert_eq!(taker.drain(), [2]);
    assert_eq!(sender.producer.backlog(), 0);
    sender.producer.retry();
    assert!(sender.receiver.sleep(), "nothing is kept back");
}

#[test]
fn starving_for_the_own_mailbox_ends() {
    let (mut world, _) = reactors(1, limits(1, 0, 10, 0));
    let only = &mut world[0];
    for number in 0..4 {
        only.producer.post(0, item(number)).unwrap();
    }
    let mut seen = Vec::new();
    while seen.len() < 4 {
        seen.extend(only.drain());
        only.producer.retry();
        only.producer.wake();
        assert!(seen.len() == 4 || !only.receiver.sleep());
    }
    assert_eq!(seen, [0, 1, 2, 3]);
}

#[test]
#[should_panic(expected = "reactor 0 has its producer")]
fn a_reactor_has_one_producer() {
    let (_, mut senders) = mailboxes::<Item>(vec![waker()], MailboxLimits::default());
    senders.producer(0);
    senders.producer(0);
}

fn waker() -> Arc<mio::Waker> {
    Arc::new(mio::Waker::new(Poll::new().unwrap().registry(), Token(0)).unwrap())
}

#[test]
fn members_of_a_set() {
    assert_eq!(members(0).count(), 0);
    assert_eq!(members(1 | 1 << 63 | 1 << 64 | 1 << 127).collect::<Vec<_>>(), [0, 63, 64, 127]);
    assert_eq!(members(u128::MAX).count(), MAX_REACTORS);
}

/// What arrived at one reactor, by sender: each sender's numbers must come up one by one.
struct Ledger(Vec<u64>);

impl Ledger {
    fn enter(&mut self, item: Item) {
        assert_eq!(item.number, self.0[item.from], "of reactor {}: out of order, lost or doubled", item.from);
        self.0[item.from] += 1;
    }

    fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

fn xorshift(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Four reactors post through queues and overflows that are nearly always full, to one that sleeps whenever it can.
#[test]
fn four_producers_and_a_consumer_that_sleeps() {
    const EACH: u64 = 20_000;
    let (mut world, _) = reactors(5, limits(8, 40, 4, 40));
    let mut taker = world.pop().unwrap();
    let slept = Mutex::new(0_u64);
    std::thread::scope(|scope| {
        for (from, mut reactor) in world.into_iter().enumerate() {
            let slept = &slept;
            scope.spawn(move || {
                let mut seed = 0x9E37_79B9 + from as u64;
                let mut next = None;
                let mut number = 0;
                while number < EACH || reactor.producer.backlog() > 0 {
                    while number < EACH {
                        let item = next.take().unwrap_or_else(|| Item {
                            from,
                            number,
                            weight: (xorshift(&mut seed) % 12) as usize,
                        });
                        match reactor.producer.post(4, item) {
                            Ok(()) => number += 1,
                            Err(Full(item)) => {
                                next = Some(item);
                                break;
                            }
                        }
                    }
                    reactor.producer.retry();
                    reactor.producer.wake();
                    if reactor.producer.backlog() > 0 && reactor.rest() {
                        *slept.lock().unwrap() += 1;
                    }
                }
            });
        }
        let mut ledger = Ledger(vec![0; 4]);
        let mut naps = 0_u64;
        while ledger.total() < 4 * EACH {
            while let Some(item) = taker.receiver.pop() {
                ledger.enter(item);
            }
            taker.receiver.drained();
            if ledger.total() < 4 * EACH {
                naps += u64::from(taker.rest());
            }
        }
        assert!(naps > 0, "the consumer never slept: the test tests nothing");
        assert_eq!((taker.receiver.len(), taker.receiver.bytes()), (0, 0));
    });
    assert!(*slept.lock().unwrap() > 0, "no producer ever slept: the test tests nothing");
}

/// Everybody posts to everybody, in bounded turns, with a thread from outside that has no overflow.
#[test]
fn all_reactors_post_to_all() {
    const REACTORS: usize = 4;
    const EACH: u64 = 4_000;
    let (world, handle) = reactors(REACTORS, limits(16, 64, 3, 30));
    let expected = (REACTORS as u64 + 1) * EACH;
    std::thread::scope(|scope| {
        for (me, mut reactor) in world.into_iter().enumerate() {
            scope.spawn(move || {
                let mut seed = 0x51_7C_C1 + me as u64;
                let mut ledger = Ledger(vec![0; REACTORS + 1]);
                let mut sent = [0; REACTORS];
                while ledger.total() < expected
                    || reactor.producer.backlog() > 0
                    || sent.iter().any(|&sent| sent < EACH)
                {
                    for item in std::iter::from_fn(|| reactor.receiver.pop()).take(7) {
                        ledger.enter(item);
                    }
                    reactor.receiver.drained();
                    let mut posted = 0;
                    for _ in 0..xorshift(&mut seed) % 10 {
                        let to = xorshift(&mut seed) as usize % REACTORS;
                        let weight = (xorshift(&mut seed) % 20) as usize;
                        let item = Item { from: me, number: sent[to], weight };
                        if sent[to] < EACH && reactor.producer.post(to, item).is_ok() {
                            sent[to] += 1;
                            posted += 1;
                        }
                    }
                    reactor.producer.retry();
                    reactor.producer.wake();
                    let waits = reactor.producer.backlog() > 0 || sent.iter().all(|&sent| sent == EACH);
                    if posted == 0 && waits && ledger.total() < expected {
                        reactor.rest();
                    }
                }
            });
        }
        for number in 0..EACH {
            for to in 0..REACTORS {
                let mut item = Item { from: REACTORS, number, weight: 1 };
                while let Err(Full(refused)) = handle.post(to, item) {
                    item = refused;
                    std::thread::yield_now();
                }
            }
        }
    });
}

/// Its count says whether it still is somewhere.
impl Weigh for Arc<()> {
    fn weight(&self) -> usize {
        0
    }
}

fn held_world(limits: MailboxLimits) -> (Vec<Receiver<Arc<()>>>, Senders<Arc<()>>) {
    let polls: Vec<Poll> = (0..2).map(|_| Poll::new().unwrap()).collect();
    let waker = |poll: &Poll| Arc::new(mio::Waker::new(poll.registry(), Token(0)).unwrap());
    mailboxes(polls.iter().map(waker).collect(), limits)
}

#[test]
fn what_waits_for_a_reactor_that_ends_is_dropped_and_no_more_is_taken() {
    let (mut receivers, mut senders) = held_world(limits(2, 100, 8, 100));
    let (mut producer, handle) = (senders.producer(0), senders.handle());
    let item = Arc::new(());
    for _ in 0..4 {
        producer.post(1, Arc::clone(&item)).unwrap();
    }
    assert_eq!((producer.backlog(), Arc::strong_count(&item)), (2, 5));
    assert!(!handle.is_closed(1));
    drop(receivers.remove(1));
    assert!(handle.is_closed(1) && !handle.is_closed(0));
    assert_eq!(Arc::strong_count(&item), 3, "the overflow is the producer's");

    assert!(handle.post(1, Arc::clone(&item)).is_err());
    assert!(producer.post(1, Arc::clone(&item)).is_err());
    producer.post_always(1, Arc::clone(&item));
    assert_eq!(Arc::strong_count(&item), 3, "none of them stays");
    assert!(handle.post(0, Arc::clone(&item)).is_ok(), "the others go on");
}

/// However posts and the end of a reactor meet: what was posted is taken by the receiver, refused, or dropped.
#[test]
fn no_item_stays_in_the_mailbox_of_a_reactor_that_ends_while_others_post() {
    const ROUNDS: usize = 400;
    for _ in 0..ROUNDS {
        let (mut receivers, mut senders) = held_world(limits(64, 100, 8, 100));
        let (mut producer, handle) = (senders.producer(0), senders.handle());
        let item = Arc::new(());
        let barrier = std::sync::Barrier::new(3);
        let mut ending = receivers.remove(1);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                barrier.wait();
                (0..8).for_each(|_| _ = handle.post(1, Arc::clone(&item)));
            });
            scope.spawn(|| {
                barrier.wait();
                for _ in 0..8 {
                    let _ = producer.post(1, Arc::clone(&item));
                    producer.wake();
                }
            });
            scope.spawn(|| {
                barrier.wait();
                drop(ending.pop());
                drop(ending);
            });
        });
        assert_eq!(Arc::strong_count(&item), 1);
    }
}
