//! What is pushed: to whom, in which class, with which key and receipt, chosen at random.

use super::crowd::Aim;
use super::load::Load;
use super::players::{LONGEST_MESSAGE, State};
use crate::cli::bench::checked::answer::{Asked, Matched};
use crate::cli::bench::checked::doors::free_door;
use crate::cli::bench::checked::inbox::Promise;
use crate::cli::bench::checked::mark::{MARK_BYTES, Mark};
use crate::cli::bench::checked::random::Random;
use crate::cli::bench::fleet::Fleet;
use crate::dispatch::{Class, ReceiptMode};
use crate::link_bin::{Command, Payload, Push, Targets};

/// Players may be away for long: what must reach them shall not expire.
const TTL_MS: u32 = 6 * 3600 * 1000;
/// Streams without a key, one for each class.
const PLAIN_STREAMS: usize = 3;
/// Keys of each publisher, by class. A key belongs to one class, so that its messages are one stream.
const KEYS: [usize; 3] = [3, 1, 2];

/// Buffers and counters of what is sent.
#[derive(Debug, Default)]
pub struct Desk {
    /// The number of the next push, by publisher.
    numbers: Vec<u64>,
    recipients: Vec<usize>,
    payload: String,
}

/// What a push is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kind {
    class: Class,
    stream: u8,
    has_key: bool,
    promise: Promise,
}

impl Kind {
    const PLAIN: Self = Self { class: Class::Normal, stream: 0, has_key: false, promise: Promise::Sure };

    fn random(random: &mut Random) -> Self {
        let index = match random.below(100) {
            0..60 => 0,
            60..80 => 1,
            _ => 2,
        };
        let class = [Class::Normal, Class::Urgent, Class::Droppable][index];
        let has_key = random.chance(25);
        let promise = match (class, has_key) {
            (Class::Droppable, false) => Promise::Droppable,
            (Class::Droppable, true) => Promise::Either,
            (_, false) => Promise::Sure,
            (_, true) => Promise::Replaceable,
        };
        let first_key = PLAIN_STREAMS + KEYS[..index].iter().sum::<usize>();
        let stream = if has_key { first_key + random.below(KEYS[index]) } else { index };
        Self { class, stream: stream as u8, has_key, promise }
    }
}

impl Desk {
    /// For so many publishers.
    pub fn new(publishers: usize) -> Self {
        Self { numbers: vec![0; publishers], ..Self::default() }
    }

    /// Sends one push; `false` where no connection has room.
    pub fn push(&mut self, load: &mut Load<'_>, fleet: &mut Fleet<'_>) -> bool {
        let Some(door) = free_door(&load.doors, &mut load.random) else { return false };
        let aims = load.crowd.aims(&mut load.random);
        let kind = Kind::random(&mut load.random);
        let receipt = match load.random.below(100) {
            // Answered when the last player has come back: the last connection is there for these.
            0..30 if door + 1 == load.doors.len() => ReceiptMode::Written,
            0..50 => ReceiptMode::None,
            _ => ReceiptMode::Queued,
        };
        self.send(load, fleet, door, &aims, kind, receipt);
        true
    }

    /// A plain push to every session, on the first connection.
    pub fn push_to_all(&mut self, load: &mut Load<'_>, fleet: &mut Fleet<'_>) {
        self.send(load, fleet, 0, &[Aim::All], Kind::PLAIN, ReceiptMode::Queued);
    }

    fn send(
        &mut self,
        load: &mut Load<'_>,
        fleet: &mut Fleet<'_>,
        door: usize,
        aims: &[Aim],
        kind: Kind,
        receipt: ReceiptMode,
    ) {
        let key = kind.has_key.then(|| format!("key {door}-{}", kind.stream));
        let (crowd, players) = (load.crowd, &load.players);
        let session_of = |slot: usize| players[slot].session;
        let target: Targets<'_> = aims.iter().filter_map(|aim| crowd.selector(*aim, session_of)).collect();
        if target.is_empty() {
            return;
        }
        crowd.recipients(aims, &mut self.recipients);
        let is_sure = |slot: &&usize| players[**slot].surely_has_session(load.now, load.bounds);
        let surely = self.recipients.iter().filter(is_sure).count() as u32;
        let number = self.numbers[door];
        let mark = Mark { run: load.run, publisher: door as u8, stream: kind.stream, number };
        let length = load.random.within(MARK_BYTES, LONGEST_MESSAGE);
        mark.write(length, &mut self.payload);
        let payload = match load.random.chance(40) {
            true => Payload::Binary(self.payload.as_bytes()),
            false => Payload::Text(&self.payload),
        };
        let push = Push {
            ttl_ms: Some(TTL_MS),
            key: key.as_deref(),
            class: kind.class,
            receipt,
            ..Push::new(target, payload)
        };
        let name = mark.to_string();
        let asked = Asked::Push { name, matched: Matched::AtLeast(surely), offline: None, receipt };
        load.doors[door].ask(fleet, Command::Push(push), asked);
        for &slot in &self.recipients {
            let player = &mut load.players[slot];
            player.inbox.expect((mark.publisher, mark.stream), number, kind.promise);
            player.perhaps += usize::from(player.state == State::Coming);
        }
        self.numbers[door] += 1;
        load.counts.pushes += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn a_stream_has_one_class_and_is_keyed_or_not() {
        let mut random = Random::new(5);
        let mut kinds: HashMap<u8, Kind> = HashMap::new();
        for _ in 0..5_000 {
            let kind = Kind::random(&mut random);
            assert_eq!(*kinds.entry(kind.stream).or_insert(kind), kind);
        }
        assert_eq!(kinds.len(), PLAIN_STREAMS + KEYS.iter().sum::<usize>());
    }
}
