//! The events of one link, numbered in the order in which they came: those that no socket has taken, and behind these, within
//! bounds, those that one has taken and that may not have been read. Knows nothing of connections.

use crate::core::event_limit::EventLimit;
use crate::dispatch::EncodedFrame;
use crate::session::SessionId;
use std::collections::VecDeque;

/// An event, and whom it is about.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The session; 0 for what is about none.
    pub session: SessionId,
    /// As it goes to the link.
    pub frame: EncodedFrame,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Ring {
    events: VecDeque<Kept>,
    /// Of all frames.
    bytes: usize,
    /// Of the frames that no socket has taken.
    unwritten_bytes: usize,
    /// The number of the first event that is kept; those before it have been read, or were given up.
    first: u64,
    /// Events before this number have been taken whole by a socket of the link. Those from it on are all kept.
    written: u64,
    /// Events before this number have been taken whole by the socket that the link has now, or had last.
    sent: u64,
}

impl Ring {
    /// The number of the next event.
    pub fn next(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    /// Events that are kept, and their bytes.
    pub fn size(&self) -> (usize, usize) {
        (self.events.len(), self.bytes)
    }

    /// Events that no socket has taken, and their bytes.
    pub fn unwritten_size(&self) -> (usize, usize) {
        ((self.next() - self.written()) as usize, self.unwritten_bytes)
    }

    /// An event has come.
    pub fn push(&mut self, kept: Kept) {
        self.bytes += kept.frame.wire_len();
        self.unwritten_bytes += kept.frame.wire_len();
        self.events.push_back(kept);
    }

    /// The socket of the link has taken so many events.
    pub fn wrote(&mut self, events: u64) {
        self.sent = (self.sent + events).min(self.next());
        let from = (self.written() - self.first) as usize;
        self.written = self.written.max(self.sent);
        let to = (self.written() - self.first) as usize;
        let written = self.events.range(from..to);
        self.unwritten_bytes -= written.map(|kept| kept.frame.wire_len()).sum::<usize>();
    }

    /// Gives up the oldest of the events that were written, until the ring is within its bounds. Whether it is.
    pub fn trim(&mut self, limits: EventLimit) -> bool {
        while self.events.len() > limits.events || self.bytes > limits.bytes {
            if self.first >= self.written {
                return false;
            }
            self.drop_first();
        }
        true
    }

    /// Nothing that was written is needed any more.
    pub fn trim_written(&mut self) {
        while self.first < self.written {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        if let Some(kept) = self.events.pop_front() {
            self.bytes -= kept.frame.wire_len();
            self.first += 1;
        }
    }

    /// The link has read so many events, of all that ever came. Whether what follows is there: it is to be sent again then.
    pub fn resume(&mut self, received: u64) -> bool {
        if received < self.first || received > self.written {
            return false;
        }
        while self.first < received {
            self.drop_first();
        }
        self.sent = received;
        true
    }

    /// The events, the oldest first.
    pub fn events(&self) -> impl Iterator<Item = &Kept> {
        self.events.iter()
    }

    /// Those that the socket which the link has now has not taken, the oldest first.
    pub fn unsent(&self) -> impl Iterator<Item = &Kept> {
        self.events.iter().skip(self.sent.saturating_sub(self.first) as usize)
    }

    /// Events that the socket which the link has now, or had last, has taken, of all that ever came.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// The number of the first event that no socket has taken.
    pub fn written(&self) -> u64 {
        self.written.max(self.first)
    }

    /// Takes what no socket has taken of a session out, but for the last so many of it; each with the number that it had.
    pub fn take_unwritten_of(&mut self, session: SessionId, but: usize) -> Vec<(u64, Kept)> {
        let at = ((self.written() - self.first) as usize).min(self.events.len());
        let is_of = |kept: &&Kept| kept.session == session;
        let mut left = self.events.range(at..).filter(is_of).count().saturating_sub(but);
        let mut taken = Vec::with_capacity(left);
        for (kept, number) in self.events.split_off(at).into_iter().zip(self.written()..) {
            match left > 0 && kept.session == session {
                true => {
                    left -= 1;
                    self.bytes -= kept.frame.wire_len();
                    self.unwritten_bytes -= kept.frame.wire_len();
                    taken.push((number, kept));
                }
                false => self.events.push_back(kept),
            }
        }
        taken
    }

    /// Takes what no socket has taken out.
    pub fn take_unwritten(&mut self) -> Vec<Kept> {
        let at = (self.written() - self.first) as usize;
        let unwritten: Vec<Kept> = self.events.drain(at.min(self.events.len())..).collect();
        self.bytes -= std::mem::take(&mut self.unwritten_bytes);
        unwritten
    }

    /// Events that a socket has taken and that nobody said to have read, as far as they are kept.
    pub fn unconfirmed(&self) -> u64 {
        self.written.saturating_sub(self.first)
    }

    /// Gives up everything, and numbers from the beginning again. How many events no socket had taken.
    pub fn restart(&mut self) -> u64 {
        let unwritten = self.next() - self.written.max(self.first);
        *self = Self::default();
        unwritten
    }

    /// As it is carried: the first number, what was written and what was sent.
    pub(super) fn numbers(&self) -> [u64; 3] {
        let Self { events: _, bytes: _, unwritten_bytes: _, first, written, sent } = self;
        [*first, *written, *sent]
    }

    /// The ring that was carried; `None` where none can be like that.
    pub(super) fn restore([first, written, sent]: [u64; 3], events: Vec<Kept>) -> Option<Self> {
        /// More events than there can ever be: what is counted on does not overflow.
        const MOST: u64 = 1 << 62;
        let next = first.checked_add(events.len() as u64).filter(|next| *next <= MOST)?;
        let holds = written <= next && sent <= written && first <= written;
        let bytes_of = |events: &[Kept]| events.iter().map(|kept| kept.frame.wire_len()).sum();
        holds.then(|| {
            let (bytes, unwritten_bytes) =
                (bytes_of(&events), bytes_of(&events[(written - first) as usize..]));
            Self { events: events.into(), bytes, unwritten_bytes, first, written, sent }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choices::random_bytes;

    fn kept(number: u64) -> Kept {
        let frame = EncodedFrame::text(&"x".repeat(number as usize % 50));
        Kept { session: SessionId::from_u64(number), frame }
    }

    fn numbers(ring: &Ring) -> Vec<u64> {
        ring.events().map(|kept| kept.session.as_u64()).collect()
    }

    /// A client that reads what is written and comes back, beside a list of all events that ever were.
    #[test]
    fn who_comes_back_gets_the_rest_or_is_told_that_it_cannot() {
        for seed in 1..300 {
            let limits = EventLimit { events: 6, bytes: 200 };
            let (mut ring, mut all, mut wrote, mut read, mut on_way) = (Ring::default(), 0, 0, 0, 0);
            for choice in random_bytes(seed, 400) {
                match choice % 8 {
                    0..=3 => {
                        ring.push(kept(all));
                        all += 1;
                        ring.trim(limits);
                    }
                    4 | 5 => {
                        // The socket takes what it has not, in order.
                        let some = u64::from(choice / 8 % 4).min(all - on_way);
                        on_way += some;
                        wrote = wrote.max(on_way);
                        ring.wrote(some);
                        ring.trim(limits);
                    }
                    6 => read += u64::from(choice / 8) % (on_way - read + 1),
                    _ => {
                        let received = if choice % 16 == 15 { all + 1 } else { read };
                        let is_there = ring.resume(received);
                        if is_there {
                            assert_eq!(numbers(&ring), (received..all).collect::<Vec<_>>(), "seed {seed}");
                            on_way = received;
                        } else if received == read {
                            assert!(ring.size().0 >= limits.events / 2 || ring.size().1 > limits.bytes / 2);
                        }
                        assert!(received <= wrote || !is_there);
                    }
                }
                assert_eq!(ring.next(), all);
                let bytes: usize = ring.events().map(|kept| kept.frame.wire_len()).sum();
                assert_eq!(ring.size(), (numbers(&ring).len(), bytes));
                // What no socket has taken is always there.
                let unwritten: Vec<u64> = (wrote..all).collect();
                assert!(numbers(&ring).ends_with(&unwritten));
            }
            let taken: Vec<u64> = ring.take_unwritten().iter().map(|kept| kept.session.as_u64()).collect();
            assert_eq!(taken, (wrote..all).collect::<Vec<_>>());
            let restored = Ring::restore(ring.numbers(), ring.events().cloned().collect());
            let written_only = restored.unwrap();
            assert_eq!((written_only.next(), written_only.size()), (ring.next(), ring.size()));
        }
    }

    #[test]
    fn what_no_socket_took_of_one_session_is_taken_out_of_the_rest() {
        let of = |ring: &mut Ring, session: u64| {
            ring.push(Kept { session: SessionId::from_u64(session), ..kept(3) })
        };
        let mut ring = Ring::default();
        [1, 2, 1, 2, 1, 2, 1].into_iter().for_each(|session| of(&mut ring, session));
        ring.wrote(2);
        let bytes = ring.size().1;
        let taken = ring.take_unwritten_of(SessionId::from_u64(1), 1);
        assert_eq!(taken.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [2, 4]);
        assert_eq!((numbers(&ring), ring.next()), (vec![1, 2, 2, 2, 1], 5));
        assert_eq!(ring.size(), (5, bytes / 7 * 5));
        assert_eq!(ring.take_unwritten_of(SessionId::from_u64(1), 1).len(), 0);
        assert_eq!(ring.take_unwritten_of(SessionId::from_u64(2), 0).len(), 2);
        assert_eq!(numbers(&ring), [1, 2, 1]);
    }

    #[test]
    fn a_ring_that_none_can_be_is_refused() {
        let far = (1 << 62) + 1;
        for numbers in [[0, 2, 0], [0, 1, 2], [2, 1, 1], [u64::MAX, u64::MAX, 0], [far, far, 0]] {
            assert!(Ring::restore(numbers, vec![kept(1)]).is_none(), "{numbers:?}");
        }
    }

    #[test]
    fn to_begin_again_gives_everything_up() {
        let mut ring = Ring::default();
        (0..5).for_each(|number| ring.push(kept(number)));
        ring.wrote(2);
        assert_eq!((ring.unconfirmed(), ring.restart(), ring.next(), ring.size()), (2, 3, 0, (0, 0)));
    }
}
