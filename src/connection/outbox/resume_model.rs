//! A session whose connection is cut again and again: its outbox and its ring before a socket that takes what it is told to, and a
//! client that reads some of that, vanishes, and comes back with its count. Whatever is cut where: the client reads every message
//! once, but those that a newer one with the same key replaced. A fuzzer may choose the bytes.

use super::model::{Answer, Socket, at};
use super::*;
use crate::choices::Choices;
use crate::connection::kept::{Keeping, Kept, KeptFrame, KeptLimits};
use crate::dispatch::{EncodedFrame, MARK, Origin, Push, PushOptions, Selector, Target, Wire};
use crate::protocol::{FrameHeader, Role};
use crate::session::AppId;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

const LIMITS: OutboxLimits = OutboxLimits { bytes: 1 << 20, messages: 1 << 12 };
const CLASSES: [Class; 3] = [Class::Normal, Class::Urgent, Class::Droppable];

/// What is known of a message.
#[derive(Debug, Clone, Copy)]
struct Sent {
    class: Class,
    key: Option<u32>,
}

struct World {
    outbox: Outbox,
    kept: Kept,
    settlements: Settlements,
    socket: Socket,
    /// Whether the client of this connection tells gannet's own messages from the game's.
    speaks_own: bool,
    sent: Vec<Sent>,
    /// The numbers that the client has read, over all connections.
    read: Vec<u32>,
    /// How many of the bytes of this connection it has read.
    at: usize,
}

/// Obeys the input.
///
/// # Panics
/// If the client gets a message twice, or not at all, or out of order.
pub(crate) fn obey(data: &[u8]) {
    let mut choices = Choices::new(data);
    let limits = KeptLimits { messages: 1 << 12, bytes: 1 << 20 };
    let mut world = World {
        outbox: Outbox::default(),
        kept: Kept::default(),
        settlements: Settlements::default(),
        socket: Socket::default(),
        speaks_own: false,
        sent: Vec::new(),
        read: Vec::new(),
        at: 0,
    };
    while !choices.is_empty() && world.sent.len() < 2_000 {
        match choices.below(8) {
            0..=2 => world.offer(&mut choices),
            3 => world.control(),
            4 | 5 => {
                if choices.below(2) == 0 {
                    world.outbox.wait_for(None);
                }
                world.socket.script.push_back(Answer::Takes(choices.number(9) as usize + 1));
                world.write(limits);
            }
            6 => world.read_some(choices.below(9) as usize),
            _ => world.cut(&mut choices),
        }
    }
    world.drain(limits);
    world.check();
}

impl World {
    fn offer(&mut self, choices: &mut Choices<'_>) {
        let number = self.sent.len() as u32;
        let class = CLASSES[choices.below(3) as usize];
        let key = Some(choices.below(8)).filter(|key| *key < 3);
        self.sent.push(Sent { class, key });
        let begins = if choices.below(4) == 0 { String::from(MARK) } else { String::new() };
        let frame =
            EncodedFrame::text(&format!("{begins}{number}:{}", "x".repeat(choices.below(200) as usize)));
        let item = match choices.below(5) {
            // The program's own has neither class nor key.
            0 => {
                self.sent[number as usize] = Sent { class: Class::Normal, key: None };
                let frame = Rc::new(KeptFrame::new(frame));
                Item::Kept(KeptItem { frame, is_marked: self.speaks_own, is_again: false })
            }
            _ => {
                let key = key.map(|key| key.to_string().into());
                let options = PushOptions { class, key, ..PushOptions::default() };
                let target = Target::from(Selector::All);
                let push = Push::new(AppId(0), target, frame, options, 0, u64::MAX, Origin::Nobody);
                let is_marked = self.speaks_own && push.frame.begins_with_mark() && push.mark();
                let wire = if is_marked { Wire::Marked } else { Wire::Plain };
                Item::Shared(Rc::new(LocalPush::new(Arc::new(push))), wire)
            }
        };
        assert!(self.outbox.offer(item, LIMITS, &mut self.settlements).is_ok(), "there is room for all");
        match choices.below(16) {
            0 => self.outbox.begin_tick(Tick(50), true),
            1 => _ = self.outbox.wait_for_socket(),
            _ => {}
        }
    }

    /// A pong, which belongs to the connection.
    fn control(&mut self) {
        let pong = [0x8a, 0].into();
        self.outbox.offer_control(pong, LIMITS, &mut self.settlements).expect("there is room for all");
    }

    fn write(&mut self, limits: KeptLimits) {
        let mut keeping = Keeping { kept: &mut self.kept, limits };
        self.outbox
            .write_to(&mut self.socket, at(0), &mut self.settlements, Some(&mut keeping))
            .expect("the socket lives");
    }

    /// The client reads up to so many whole messages of what has come.
    fn read_some(&mut self, most: usize) {
        let mut left = most;
        while left > 0
            && let Ok(Some((header, length))) =
                FrameHeader::parse(&self.socket.taken[self.at..], Role::Server)
        {
            let whole = length + header.payload_length as usize;
            let Some(frame) = self.socket.taken.get(self.at..self.at + whole) else { return };
            self.at += whole;
            let text = std::str::from_utf8(&frame[length..]).expect("texts are UTF-8");
            if header.opcode.is_control() {
                continue;
            }
            let text = match text.strip_prefix(MARK) {
                Some(rest) if self.speaks_own => {
                    rest.strip_prefix(MARK).expect("gannet's own are none of these")
                }
                Some(rest) => rest,
                None => text,
            };
            let number = text.split(':').next().and_then(|number| number.parse().ok());
            self.read.push(number.expect("a text begins with its number"));
            left -= 1;
        }
    }

    /// The connection ends; the client comes back.
    fn cut(&mut self, choices: &mut Choices<'_>) {
        self.outbox.part(None, 0, &mut self.settlements);
        for _ in 0..choices.below(3) {
            self.speaks_own = false;
            self.offer(choices);
        }
        let received = self.read.len() as u64;
        self.kept.acknowledge(received, &mut self.settlements).expect("the ring has room for all");
        let again = self.kept.take_rest(&mut self.settlements);
        assert_eq!(self.kept.sent(), received);
        self.speaks_own = choices.below(2) == 1;
        let (first, form) = (b"\x8a\0"[..].into(), Form { speaks_own: self.speaks_own });
        self.outbox.go_on(first, again, form, &mut self.settlements);
        (self.socket, self.at) = (Socket::default(), 0);
    }

    /// All is written and read.
    fn drain(&mut self, limits: KeptLimits) {
        self.outbox.wait_for(None);
        // A short answer that nothing was there for would end the write.
        self.socket.script = std::iter::repeat_n(Answer::Takes(usize::MAX), 4_000).collect();
        self.write(limits);
        assert!(self.outbox.is_empty());
        self.read_some(usize::MAX);
        assert_eq!(self.kept.sent(), self.read.len() as u64);
    }

    fn check(&mut self) {
        let mut places = BTreeMap::new();
        for (place, number) in self.read.iter().enumerate() {
            assert_eq!(places.insert(*number, place), None, "{number} came twice");
        }
        let replaced =
            (0..self.sent.len() as u32).filter(|number| !places.contains_key(number)).inspect(|number| {
                let key = self.sent[*number as usize].key;
                let newer = &self.sent[*number as usize + 1..];
                let is_replaced = key.is_some() && newer.iter().any(|one| one.key == key);
                assert!(is_replaced, "{number} did not come");
            });
        assert_eq!(self.settlements.replaced, replaced.count() as u64);
        for class in CLASSES {
            let lane = |class| class == Class::Urgent;
            let unkeyed = self.sent.iter().enumerate().filter(|(_, sent)| sent.key.is_none());
            let of_lane = unkeyed.filter(|(_, sent)| lane(sent.class) == lane(class));
            let order: Vec<_> = of_lane.map(|(number, _)| places[&(number as u32)]).collect();
            assert!(order.is_sorted(), "{class:?} came out of order");
        }
        for key in 0..3 {
            let of_key = self.sent.iter().enumerate().filter(|(_, sent)| sent.key == Some(key));
            let order: Vec<_> = of_key.filter_map(|(number, _)| places.get(&(number as u32))).collect();
            assert!(order.is_sorted(), "an older value of key {key} came after a newer one");
        }
        self.kept.forget(&mut self.settlements);
        let Settlements { waiting_messages, waiting_bytes, memory, kept_messages, kept_memory, .. } =
            self.settlements;
        assert_eq!((waiting_messages, waiting_bytes, memory, kept_messages, kept_memory), (0, 0, 0, 0, 0));
    }
}

#[cfg(test)]
mod tests {
    use crate::choices::random_bytes;

    #[test]
    fn whatever_is_cut_where_every_message_comes_once() {
        for seed in 1..200 {
            super::obey(&random_bytes(seed, 3_000));
        }
    }
}
