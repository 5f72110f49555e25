use super::*;
use crate::choices::{Choices, random_bytes};
use crate::dispatch::Apps;
use crate::protocol::DeflateConfig;
use crate::session::Name;
use std::sync::Barrier;
use std::thread;

fn push_to(target: Target, receipt: ReceiptMode) -> Push {
    let options = PushOptions { receipt, ..PushOptions::default() };
    Push::new(Apps::DEFAULT, target, EncodedFrame::text(""), options, 0, u64::MAX, Origin::Nobody)
}

fn push(text: &str) -> Push {
    let (target, frame) = (Target::from(Selector::All), EncodedFrame::text(text));
    Push::new(Apps::DEFAULT, target, frame, PushOptions::default(), 0, u64::MAX, Origin::Nobody)
}

#[test]
fn a_reactor_that_asks_while_another_compresses_sends_the_plain_frame_and_does_not_wait() {
    let engine = DeflateEngine::new(DeflateConfig::default());
    let push = push(&"state ".repeat(1_000));
    // The first reactor is in the middle of it.
    assert!(push.claim_deflate());
    thread::scope(|scope| {
        let others: Vec<_> = (0..4).map(|_| scope.spawn(|| push.deflate(&engine))).collect();
        for other in others {
            assert!(!other.join().unwrap(), "sends it as it is");
        }
    });
    assert_eq!(push.wire_bytes(Wire::Deflated), push.frame.as_bytes());

    push.fill_deflated(&engine);
    assert!(push.deflate(&engine), "it is there for those who come later");
    assert!(push.wire_bytes(Wire::Deflated).len() < push.frame.wire_len() / 10);
    assert_eq!(push.wire_bytes(Wire::Plain), push.frame.as_bytes());
}

#[test]
fn of_all_who_ask_at_once_one_compresses() {
    let engine = DeflateEngine::new(DeflateConfig::default());
    for _ in 0..50 {
        let (push, barrier) = (push(&"state ".repeat(100)), Barrier::new(4));
        let claims: usize = thread::scope(|scope| {
            let claim = || {
                barrier.wait();
                push.claim_deflate()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(claim)).collect();
            threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum()
        });
        assert_eq!(claims, 1);
        push.fill_deflated(&engine);
        assert!(push.deflate(&engine));
    }
}

#[test]
fn a_message_that_gets_no_shorter_is_never_sent_compressed() {
    let engine = DeflateEngine::new(DeflateConfig::default());
    let push = push("!");
    assert!(!push.deflate(&engine) && !push.deflate(&engine));
    assert_eq!(push.wire_bytes(Wire::Deflated), push.frame.as_bytes());
}

/// What one reactor has left to do for a push.
enum Part {
    /// Look who is there: so many sessions, and so many of the named users.
    Select { sessions: u32, users: usize },
    /// Offer it to so many, of which so many have it in their outboxes.
    Offer { left: u32, queued: u32 },
}

/// A push, and the counts that it should have come to.
struct Model {
    push: Push,
    parts: Vec<Part>,
    expected: Receipt,
    /// Sessions that have been matched.
    matched: u32,
    /// Of the named users, the first so many are somewhere.
    found: usize,
    unselected: usize,
}

const USERS: usize = 3;
const FATES: [Fate; 5] = [Fate::Written, Fate::Replaced, Fate::Dropped, Fate::Expired, Fate::Closed];

impl Model {
    fn new(receipt: ReceiptMode, reactors: u32, choices: &mut Choices<'_>) -> Self {
        let mut target = Target::nobody();
        (0..USERS).for_each(|user| target.push(Selector::User(Name::new(&user.to_string()).unwrap())));
        let push = push_to(target, receipt);
        let mut model = Self {
            push,
            parts: Vec::new(),
            expected: Receipt::default(),
            matched: 0,
            found: 0,
            unselected: 0,
        };
        for _ in 0..reactors {
            model.push.add_part();
            if choices.below(4) == 0 {
                model.push.part_unreached();
                model.expected.unreached += 1;
            } else {
                let (sessions, users) = (choices.below(5), choices.below(USERS as u32 + 1) as usize);
                model.parts.push(Part::Select { sessions, users });
                model.unselected += 1;
            }
        }
        assert_eq!(model.push.finish_part(), model.parts.is_empty(), "the publisher's own");
        model
    }

    /// One reactor does a step of its part.
    fn step(&mut self, choices: &mut Choices<'_>) {
        let written = self.push.options.receipt == ReceiptMode::Written;
        let index = choices.below(self.parts.len() as u32) as usize;
        match &mut self.parts[index] {
            Part::Select { sessions, users } => {
                let (sessions, users) = (*sessions, *users);
                (0..users).for_each(|user| self.push.user_found(user));
                self.push.count_matched(sessions);
                self.matched += sessions;
                self.found = self.found.max(users);
                self.unselected -= 1;
                self.parts[index] = Part::Offer { left: sessions, queued: 0 };
            }
            Part::Offer { left, queued } if *left > 0 && (*queued == 0 || choices.below(2) == 0) => {
                *left -= 1;
                if choices.below(3) > 0 {
                    *queued += 1;
                    self.push.count_queued(1);
                    self.expected.queued += 1;
                } else {
                    self.push.count_fate(Fate::Dropped, 1);
                    self.expected.dropped += 1;
                }
            }
            Part::Offer { queued, .. } if *queued > 0 && written => {
                *queued -= 1;
                let fate = FATES[choices.below(5) as usize];
                self.push.count_fate(fate, 1);
                match fate {
                    Fate::Written => *self.expected.written.get_or_insert_default() += 1,
                    Fate::Replaced => self.expected.replaced += 1,
                    Fate::Dropped => self.expected.dropped += 1,
                    Fate::Expired => self.expected.expired += 1,
                    Fate::Closed => self.expected.closed += 1,
                }
            }
            Part::Offer { left, queued } => {
                // A queued message has no fate that its receipt waits for.
                *queued = 0;
                if *left == 0 {
                    self.parts.swap_remove(index);
                    assert_eq!(self.push.finish_part(), self.parts.is_empty(), "the last part");
                }
            }
        }
    }

    fn check(&self) {
        let mut expected = self.expected.clone();
        expected.offline = if self.unselected > 0 { 0 } else { (USERS - self.found) as u32 };
        let settled = expected.replaced + expected.dropped + expected.expired + expected.closed;
        if self.push.options.receipt == ReceiptMode::Written {
            let written = *expected.written.get_or_insert_default();
            expected.matched = self.matched;
            expected.pending = self.matched - (written + settled);
        } else {
            expected.matched = expected.queued + expected.dropped;
        }
        assert_eq!(self.push.receipt(), expected);
    }
}

/// Whenever a receipt is asked for, its sums hold and it says no more than what has happened; at the end it says all.
#[test]
fn a_receipt_adds_up_at_any_time() {
    for seed in 1..=2_000 {
        let bytes = random_bytes(seed, 400);
        let choices = &mut Choices::new(&bytes);
        let mode = [ReceiptMode::Queued, ReceiptMode::Written][choices.below(2) as usize];
        let reactors = choices.below(5);
        let mut model = Model::new(mode, reactors, choices);
        model.check();
        while !model.parts.is_empty() {
            model.step(choices);
            model.check();
        }
        let receipt = model.push.receipt();
        assert_eq!((receipt.matched, receipt.pending), (model.matched, 0), "all has settled");
    }
}

/// The counts are of several threads: what one of them has counted when another looks is never more than was matched.
#[test]
fn a_receipt_adds_up_while_other_reactors_count() {
    const PUSHES: usize = 300;
    let pushes: Vec<Push> =
        (0..PUSHES).map(|_| push_to(Selector::All.into(), ReceiptMode::Written)).collect();
    pushes.iter().for_each(|push| (0..3).for_each(|_| push.add_part()));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for push in &pushes {
                    push.count_matched(FATES.len() as u32);
                    FATES.iter().for_each(|fate| push.count_fate(*fate, 1));
                    push.finish_part();
                }
            });
        }
        for push in &pushes {
            while push.tally.pending.load(Ordering::Relaxed) > 1 {
                let receipt = push.receipt();
                let lost = receipt.replaced + receipt.dropped + receipt.expired + receipt.closed;
                assert_eq!(receipt.matched, receipt.written.unwrap() + lost + receipt.pending);
            }
        }
    });
    for push in &pushes {
        let receipt = push.receipt();
        assert_eq!((receipt.matched, receipt.written, receipt.pending), (15, Some(3), 0));
    }
}
