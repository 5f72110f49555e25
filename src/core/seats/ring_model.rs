//! The obvious ring, a list of all events that ever came with three places in it, and the obvious tickets, a list of all that were
//! ever given; and operations read from bytes that they and the real ones must answer alike. A fuzzer may choose the bytes.

use super::carry::{carry_events, restore_ring};
use super::ring::{Kept, Ring};
use super::ticket::{Ticket, Tickets};
use crate::choices::Choices;
use crate::core::event_limit::EventLimit;
use crate::dispatch::{EncodedFrame, Packer, Unpacker};
use crate::session::SessionId;

/// The link that the tickets are of, and another one.
const LINKS: [SessionId; 2] = [SessionId::from_u64(0x0300_0000_0000_0007), SessionId::from_u64(7)];

/// The first so many of all events have been given up, have been taken by some socket, and by the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Numbers {
    first: usize,
    written: usize,
    sent: usize,
}

/// The ring and the model side by side.
struct Rings {
    ring: Ring,
    /// Every event since the numbers began.
    all: Vec<Kept>,
    numbers: Numbers,
    limits: EventLimit,
    /// Events that ever came: so they can be told apart.
    came: u64,
}

/// The tickets and the model side by side.
struct Given {
    tickets: Tickets,
    /// Every ticket that was ever given.
    all: Vec<Ticket>,
    /// Those of them that are good.
    good: Vec<usize>,
}

/// Does what `bytes` say to a ring and to tickets, and panics where the models answer differently.
pub(crate) fn obey(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let mut rings = Rings {
        ring: Ring::default(),
        all: Vec::new(),
        numbers: Numbers { first: 0, written: 0, sent: 0 },
        limits: choices.ring_limits(),
        came: 0,
    };
    let (tickets, first) = Tickets::new(LINKS[0]).expect("the system gives random bytes");
    let mut given = Given { tickets, all: vec![first], good: vec![0] };
    while !choices.is_empty() {
        match choices.below(8) {
            0 => given.step(&mut choices),
            _ => rings.step(&mut choices),
        }
        rings.agree();
    }
    given.agree();
    let (unwritten, left) = (rings.all.len() - rings.numbers.written, rings.ring.restart());
    assert_eq!((left, rings.ring.next(), rings.ring.size()), (unwritten as u64, 0, (0, 0)));
}

impl Choices<'_> {
    fn ring_limits(&mut self) -> EventLimit {
        EventLimit { events: self.below(12) as usize, bytes: self.below(12) as usize * 40 }
    }
}

fn bytes_of(events: &[Kept]) -> usize {
    events.iter().map(|kept| kept.frame.wire_len()).sum()
}

fn shown(kept: &Kept) -> (u64, &[u8]) {
    (kept.session.as_u64(), kept.frame.as_bytes())
}

impl Rings {
    fn step(&mut self, choices: &mut Choices<'_>) {
        match choices.below(16) {
            0..=5 => self.push(choices),
            6 | 7 => self.write(choices),
            8 | 9 => self.trim(choices),
            10 => {
                self.ring.trim_written();
                self.numbers.first = self.numbers.written;
            }
            11 | 12 => self.resume(choices),
            13 => self.carry(),
            14 => Self::restore_any(choices),
            _ => self.begin_again(choices),
        }
    }

    fn push(&mut self, choices: &mut Choices<'_>) {
        self.came += 1;
        let frame = EncodedFrame::text(&"x".repeat(choices.below(60) as usize));
        let kept = Kept { session: SessionId::from_u64(self.came), frame };
        self.all.push(kept.clone());
        self.ring.push(kept);
    }

    /// The socket takes events. It may be told of more than there are.
    fn write(&mut self, choices: &mut Choices<'_>) {
        let some = choices.below(6) as usize;
        let Numbers { written, sent, .. } = &mut self.numbers;
        *sent = (*sent + some).min(self.all.len());
        *written = (*written).max(*sent);
        self.ring.wrote(some as u64);
    }

    /// Of the events that were written as few of the oldest go as the bounds allow.
    fn trim(&mut self, choices: &mut Choices<'_>) {
        if choices.below(4) == 0 {
            self.limits = choices.ring_limits();
        }
        let EventLimit { events, bytes } = self.limits;
        let fits = |first: &usize| {
            let kept = &self.all[*first..];
            kept.len() <= events && bytes_of(kept) <= bytes
        };
        let first = (self.numbers.first..=self.numbers.written).find(fits);
        self.numbers.first = first.unwrap_or(self.numbers.written);
        assert_eq!(self.ring.trim(self.limits), first.is_some());
    }

    /// A client comes back that says how many events it has read: as many as it may have, or a few more or less, or any number.
    fn resume(&mut self, choices: &mut Choices<'_>) {
        let received = match choices.below(4) {
            0 => choices.number(64),
            1 => self.numbers.sent as u64,
            _ => (self.numbers.first as u64 + u64::from(choices.below(12))).saturating_sub(2),
        };
        let Numbers { first, written, .. } = self.numbers;
        let is_there = (first as u64..=written as u64).contains(&received);
        assert_eq!(self.ring.resume(received), is_there, "{received} in {:?}", self.numbers);
        if is_there {
            (self.numbers.first, self.numbers.sent) = (received as usize, received as usize);
        }
    }

    /// Another process goes on with it.
    fn carry(&mut self) {
        let (packer, mut unpacker) = (Packer::default(), Unpacker::default());
        let carried = (self.ring.numbers(), carry_events(&self.ring, &packer));
        let bytes = minicbor::to_vec(carried).expect("memory takes it");
        packer.take_new().into_iter().for_each(|shared| unpacker.take(shared).expect("it was a frame"));
        let (numbers, events): ([u64; 3], _) = minicbor::decode(&bytes).expect("it was just written");
        self.ring = restore_ring(numbers, events, &unpacker).expect("it was just carried");
    }

    /// A ring that another process is said to have had.
    fn restore_any(choices: &mut Choices<'_>) {
        let numbers = [(); 3].map(|()| choices.number(64));
        let [first, written, sent] = numbers;
        let event = Kept { session: LINKS[1], frame: EncodedFrame::text("an event") };
        let events = vec![event; choices.below(5) as usize];
        let next = u128::from(first) + events.len() as u128;
        let can_be = next <= 1 << 62 && first <= written && sent <= written && u128::from(written) <= next;
        let Some(ring) = Ring::restore(numbers, events.clone()) else {
            return assert!(!can_be, "{numbers:?}");
        };
        assert!(can_be, "{numbers:?}");
        assert_eq!((u128::from(ring.next()), ring.numbers()), (next, numbers));
        assert_eq!(ring.size(), (events.len(), bytes_of(&events)));
    }

    /// What no socket has taken is handed on, or everything is given up.
    fn begin_again(&mut self, choices: &mut Choices<'_>) {
        let unwritten = self.all.split_off(self.numbers.written);
        if choices.below(2) == 0 {
            let taken = self.ring.take_unwritten();
            assert!(taken.iter().map(shown).eq(unwritten.iter().map(shown)));
            return;
        }
        assert_eq!(self.ring.restart(), unwritten.len() as u64);
        (self.all, self.numbers) = (Vec::new(), Numbers { first: 0, written: 0, sent: 0 });
    }

    fn agree(&self) {
        let Numbers { first, written, sent } = self.numbers;
        let kept = &self.all[first..];
        assert!(self.ring.events().map(shown).eq(kept.iter().map(shown)));
        assert_eq!(self.ring.numbers(), [first as u64, written as u64, sent as u64]);
        assert_eq!(self.ring.next(), self.all.len() as u64);
        assert_eq!(self.ring.size(), (kept.len(), bytes_of(kept)));
        let unwritten = &self.all[written..];
        assert_eq!(self.ring.unwritten_size(), (unwritten.len(), bytes_of(unwritten)));
        assert_eq!(self.ring.unconfirmed(), (written - first) as u64);
    }
}

impl Given {
    fn step(&mut self, choices: &mut Choices<'_>) {
        match choices.below(4) {
            0 => {
                let shown = self.good[choices.below(2) as usize % self.good.len()];
                let next = self.tickets.renew(&self.all[shown]).expect("the system gives random bytes");
                self.all.push(next);
                self.good = vec![shown, self.all.len() - 1];
            }
            1 => {
                self.tickets.use_up();
                self.good.drain(..self.good.len() - 1);
            }
            2 => {
                let (last, before) = self.tickets.secrets();
                self.tickets = Tickets::restore(LINKS[0], last, before);
            }
            _ => {
                let Ok(text) = str::from_utf8(choices.bytes(32)) else { return };
                if let Ok(ticket) = text.parse::<Ticket>() {
                    assert_eq!(ticket.to_string(), text, "a ticket is written in one way");
                    assert!(!self.tickets.are(&ticket), "it was given to nobody");
                }
            }
        }
        self.agree();
    }

    fn agree(&self) {
        let foreign = Tickets::restore(LINKS[1], self.tickets.secrets().0, self.tickets.secrets().1);
        for (number, ticket) in self.all.iter().enumerate() {
            assert_eq!(self.tickets.are(ticket), self.good.contains(&number), "ticket {number}");
            assert!(!foreign.are(ticket));
            assert_eq!((ticket.link(), ticket.to_string().parse()), (LINKS[0], Ok(ticket.clone())));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::choices::random_bytes;

    #[test]
    fn the_obvious_ring_and_tickets_do_the_same() {
        for seed in 1..300 {
            super::obey(&random_bytes(seed, 1_000));
        }
    }
}
