//! What is published, on its way to the process that goes on with it.

use super::{Entry, Fate, Outgoing, QueueLimits};
use crate::upgrade::InvalidState;
use minicbor::{Decode, Encode};
use std::collections::VecDeque;

/// See [`Outgoing`].
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct CarriedOutgoing {
    #[cbor(n(0), with = "minicbor::bytes")]
    bytes: Vec<u8>,
    #[n(1)]
    entries: Vec<CarriedEntry>,
    /// So many of them are written on the connection that comes along.
    #[n(2)]
    written: u64,
    /// The number of the newest message.
    #[n(3)]
    last: u64,
    #[n(4)]
    digest: Vec<u64>,
    #[n(5)]
    digested: u64,
}

#[derive(Debug, Encode, Decode)]
#[cbor(map)]
struct CarriedEntry {
    #[n(0)]
    sequence: u64,
    #[n(1)]
    len: u32,
    #[n(2)]
    channel: u64,
    #[n(3)]
    deadline_ms: u64,
    #[n(4)]
    number: u64,
    /// 0 waiting, 1 written, 2 gone.
    #[n(5)]
    fate: u8,
}

impl Outgoing {
    /// What another process goes on with.
    pub fn carry(&self) -> CarriedOutgoing {
        // The bound is that of the new configuration, and the bytes that are written are those of the entries that are.
        let Self { limits: _, bytes, entries, written, written_bytes: _, last, digest, digested } = self;
        CarriedOutgoing {
            bytes: bytes.iter().copied().collect(),
            entries: entries.iter().map(CarriedEntry::of).collect(),
            written: *written as u64,
            last: *last,
            digest: digest.iter().copied().collect(),
            digested: *digested,
        }
    }

    /// Goes on with what another process had.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn going_on(limits: QueueLimits, carried: CarriedOutgoing) -> Result<Self, InvalidState> {
        let CarriedOutgoing { bytes, entries, written, last, digest, digested } = carried;
        let entries: VecDeque<Entry> =
            entries.into_iter().map(CarriedEntry::unpack).collect::<Result<_, _>>()?;
        let len_of = |count: usize| entries.iter().take(count).map(|entry| entry.len as usize).sum::<usize>();
        let written = usize::try_from(written).unwrap_or(usize::MAX);
        if written > entries.len() || len_of(entries.len()) != bytes.len() {
            return Err(InvalidState::new("a queue of the bus whose messages are not its bytes"));
        }
        let numbers = entries.iter().map(|entry| entry.sequence);
        if !numbers.is_sorted_by(|one, next| one < next)
            || entries.back().is_some_and(|newest| newest.sequence > last)
            || digested > last
        {
            return Err(InvalidState::new("messages of the bus that are not in their order"));
        }
        let written_bytes = len_of(written);
        let mut digest = VecDeque::from(digest);
        digest.drain(..digest.len().saturating_sub(limits.digest_entries));
        Ok(Self { limits, bytes: bytes.into(), entries, written, written_bytes, last, digest, digested })
    }
}

impl CarriedEntry {
    fn of(entry: &Entry) -> Self {
        let Entry { sequence, len, channel, deadline_ms, number, fate } = *entry;
        let fate = match fate {
            Fate::Waiting => 0,
            Fate::Written => 1,
            Fate::Gone => 2,
        };
        Self { sequence, len, channel, deadline_ms, number, fate }
    }

    fn unpack(self) -> Result<Entry, InvalidState> {
        let Self { sequence, len, channel, deadline_ms, number, fate } = self;
        let fate = match fate {
            0 => Fate::Waiting,
            1 => Fate::Written,
            2 => Fate::Gone,
            _ => return Err(InvalidState::new("a message of the bus of no fate")),
        };
        Ok(Entry { sequence, len, channel, deadline_ms, number, fate })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Digest, Full};

    const LIMITS: QueueLimits = QueueLimits { messages: 8, bytes: 64, in_flight: 2, digest_entries: 4 };

    fn carried(outgoing: &Outgoing) -> CarriedOutgoing {
        minicbor::decode(&minicbor::to_vec(outgoing.carry()).unwrap()).unwrap()
    }

    fn written(outgoing: &mut Outgoing, now_ms: u64) -> (String, Vec<u64>) {
        let (mut bytes, mut lost) = (Vec::new(), Vec::new());
        outgoing.fill(now_ms, |piece| bytes.extend_from_slice(piece), |number| lost.push(number));
        (String::from_utf8(bytes).unwrap(), lost)
    }

    #[test]
    fn a_queue_goes_on_where_it_was() {
        let mut first = Outgoing::new(LIMITS);
        for (command, deadline_ms, number) in [("a", 100, 7), ("bb", 100, 8), ("ccc", 100, 9), ("d", 50, 10)]
        {
            first.push(command.as_bytes(), 200 + number, deadline_ms, number).unwrap();
        }
        assert_eq!(written(&mut first, 0).0, "abb");
        assert_eq!(first.answered(), Some(7));
        let mut second = Outgoing::going_on(LIMITS, carried(&first)).unwrap();
        assert_eq!((second.next_sequence(), second.len(), second.unanswered()), (5, 3, 1));
        assert_eq!(second.digest(0), Digest { to: 2, channels: vec![207, 208] });
        // One more may be written, since one is not answered; what was not written gives way when it is late.
        assert_eq!(written(&mut second, 60).0, "ccc");
        assert_eq!((second.answered(), second.answered()), (Some(8), Some(9)));
        assert_eq!(written(&mut second, 60), (String::new(), vec![10]));
        assert_eq!((second.len(), second.bytes()), (0, 0));
    }

    #[test]
    fn without_its_connection_everything_that_is_unanswered_is_written_again() {
        let mut first = Outgoing::new(LIMITS);
        for command in ["a", "b", "c"] {
            first.push(command.as_bytes(), 1, 10, 0).unwrap();
        }
        written(&mut first, 0);
        let mut second = Outgoing::going_on(LIMITS, carried(&first)).unwrap();
        second.went_down();
        // "c" was never written, and is late.
        assert_eq!(written(&mut second, 11).0, "ab");
        assert_eq!(second.push(&[b'x'; 65], 1, 0, 0), Err(Full));
    }

    #[test]
    fn what_cannot_be_a_queue_is_refused() {
        let mut outgoing = Outgoing::new(LIMITS);
        outgoing.push(b"a", 1, 10, 0).unwrap();
        outgoing.push(b"b", 1, 10, 0).unwrap();
        let refused = |change: fn(&mut CarriedOutgoing)| {
            let mut carried = outgoing.carry();
            change(&mut carried);
            Outgoing::going_on(LIMITS, carried).is_err()
        };
        assert!(!refused(|_| ()));
        assert!(refused(|carried| carried.written = 3));
        assert!(refused(|carried| carried.bytes.clear()));
        assert!(refused(|carried| carried.last = 1));
        assert!(refused(|carried| carried.digested = 9));
        assert!(refused(|carried| carried.entries.swap(0, 1)));
        assert!(refused(|carried| carried.entries[0].fate = 3));
    }
}
