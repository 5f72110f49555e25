//! What one reactor publishes through one Redis: everything that is not answered yet, in its order, as the bytes that go out. It
//! is written as far as few enough are unanswered, and again from its beginning on a new connection: a receiver
//! knows by the numbers what it has had. What has never been written gives way when its time is over or there is no room, and
//! is counted. Pure: bytes come and go, time is an argument.

mod carry;

pub use carry::CarriedOutgoing;

use std::collections::VecDeque;

/// What a queue keeps that has gone empty: the room of a long one goes back. Under load it is empty many times a second, and to give room
/// back and ask for it again costs the heap more than everything else here.
const KEPT_BYTES: usize = 1 << 20;
const KEPT_ENTRIES: usize = 1 << 14;

/// What is kept at the most.
#[derive(Debug, Clone, Copy)]
pub struct QueueLimits {
    /// Messages.
    pub messages: usize,
    /// Bytes.
    pub bytes: usize,
    /// Messages that are written and not answered.
    pub in_flight: usize,
    /// Messages of which it is remembered that they were published, and where to.
    pub digest_entries: usize,
}

/// See the module.
#[derive(Debug)]
pub struct Outgoing {
    limits: QueueLimits,
    /// The commands of `entries`, one after the other.
    bytes: VecDeque<u8>,
    entries: VecDeque<Entry>,
    /// So many of `entries`, from the front, are written on this connection, of `written_bytes` bytes.
    written: usize,
    written_bytes: usize,
    /// The number of the newest message.
    last: u64,
    /// The hashes of the channels of the newest messages that were written, the last one's number being `digested`; 0 for one
    /// that gave way.
    digest: VecDeque<u64>,
    digested: u64,
}

#[derive(Debug)]
struct Entry {
    sequence: u64,
    len: u32,
    channel: u64,
    deadline_ms: u64,
    /// Who waits for what becomes of it; 0 is nobody.
    number: u64,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Waiting,
    /// It was written on this connection or one before: it may have been published.
    Written,
    /// It gave way, and is never written.
    Gone,
}

/// One that has gone out of the queue, and who waits for what became of it; 0 is nobody.
pub type Number = u64;

/// There is no room for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// What was published between two numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    /// The number of the last message that has been written.
    pub to: u64,
    /// The hashes of the channels of the last so many up to that one, the oldest first; 0 for one that was never published.
    pub channels: Vec<u64>,
}

impl Outgoing {
    /// Nothing has been published.
    pub fn new(limits: QueueLimits) -> Self {
        Self {
            limits,
            bytes: VecDeque::new(),
            entries: VecDeque::new(),
            written: 0,
            written_bytes: 0,
            last: 0,
            digest: VecDeque::new(),
            digested: 0,
        }
    }

    /// What is kept at the most.
    pub fn limits(&self) -> QueueLimits {
        self.limits
    }

    /// The number that the next message has.
    pub fn next_sequence(&self) -> u64 {
        self.last + 1
    }

    /// The number of the oldest message that is kept; of the next one, where none is.
    pub fn oldest(&self) -> u64 {
        self.entries.front().map_or(self.last + 1, |entry| entry.sequence)
    }

    /// Takes the command that publishes the message with the next number to the channel with this hash. Before `deadline_ms` it has
    /// to be written.
    ///
    /// # Errors
    /// [`Full`]: nothing was taken, and the number is given again.
    pub fn push(
        &mut self,
        command: &[u8],
        channel: u64,
        deadline_ms: u64,
        number: Number,
    ) -> Result<(), Full> {
        let is_full = self.entries.len() >= self.limits.messages
            || self.bytes.len() + command.len() > self.limits.bytes
            || u32::try_from(command.len()).is_err();
        if is_full {
            return Err(Full);
        }
        self.last += 1;
        self.bytes.extend(command);
        let len = command.len() as u32;
        let sequence = self.last;
        self.entries.push_back(Entry { sequence, len, channel, deadline_ms, number, fate: Fate::Waiting });
        Ok(())
    }

    /// Hands out what may be written now to `write`, in few pieces; how many messages that were. What has waited beyond its deadline is
    /// handed to `lost` instead.
    pub fn fill(&mut self, now_ms: u64, mut write: impl FnMut(&[u8]), mut lost: impl FnMut(Number)) -> usize {
        let (mut count, mut from) = (0, self.written_bytes);
        while let Some(entry) = self.entries.get_mut(self.written) {
            if self.written >= self.limits.in_flight {
                break;
            }
            if entry.fate == Fate::Waiting {
                entry.fate = if entry.deadline_ms < now_ms { Fate::Gone } else { Fate::Written };
                if entry.fate == Fate::Gone {
                    lost(entry.number);
                }
            }
            let (sequence, channel, len) = (entry.sequence, entry.channel, entry.len as usize);
            let is_gone = entry.fate == Fate::Gone;
            self.remember(sequence, if is_gone { 0 } else { channel });
            if is_gone {
                self.hand_out(from, &mut write);
            }
            self.written += 1;
            self.written_bytes += len;
            match is_gone {
                true => {
                    if self.written == 1 {
                        self.pop();
                    }
                    from = self.written_bytes;
                }
                false => count += 1,
            }
        }
        self.hand_out(from, &mut write);
        count
    }

    /// The bytes from there up to those that are not written, which may go around the end of their ring.
    fn hand_out(&self, from: usize, write: &mut impl FnMut(&[u8])) {
        let ((front, back), end) = (self.bytes.as_slices(), self.written_bytes);
        let middle = front.len();
        let pieces = [
            &front[from.min(middle)..end.min(middle)],
            &back[from.max(middle) - middle..end.max(middle) - middle],
        ];
        pieces.into_iter().filter(|piece| !piece.is_empty()).for_each(write);
    }

    fn remember(&mut self, sequence: u64, channel: u64) {
        if sequence <= self.digested {
            return;
        }
        self.digested = sequence;
        self.digest.push_back(channel);
        if self.digest.len() > self.limits.digest_entries {
            self.digest.pop_front();
        }
    }

    /// Redis has answered the oldest message that is written. Who waits for it, if there was one.
    pub fn answered(&mut self) -> Option<Number> {
        let number = (self.written > 0).then(|| self.pop()).flatten();
        // Those that gave way in between have no answer.
        while self.written > 0 && self.entries.front().is_some_and(|entry| entry.fate == Fate::Gone) {
            self.pop();
        }
        number
    }

    fn pop(&mut self) -> Option<Number> {
        let entry = self.entries.pop_front()?;
        self.bytes.drain(..entry.len as usize);
        self.written -= 1;
        self.written_bytes -= entry.len as usize;
        if self.bytes.is_empty() {
            self.bytes.shrink_to(KEPT_BYTES);
            self.entries.shrink_to(KEPT_ENTRIES);
        }
        Some(entry.number)
    }

    /// The connection is gone: what was not answered is written again on the next.
    pub fn went_down(&mut self) {
        (self.written, self.written_bytes) = (0, 0);
    }

    /// What was never written and has waited beyond its deadline gives way: each is handed to `lost`, once.
    pub fn expire(&mut self, now_ms: u64, mut lost: impl FnMut(Number)) {
        for entry in self.entries.range_mut(self.written..) {
            if entry.fate == Fate::Waiting && entry.deadline_ms < now_ms {
                entry.fate = Fate::Gone;
                lost(entry.number);
            }
        }
        // What stands at the front goes at once; the room of the rest comes back in its turn.
        while self.written == 0 && self.entries.front().is_some_and(|entry| entry.fate == Fate::Gone) {
            let sequence = self.entries.front().map_or(0, |entry| entry.sequence);
            self.remember(sequence, 0);
            let len = self.entries.front().map_or(0, |entry| entry.len as usize);
            self.entries.pop_front();
            self.bytes.drain(..len);
        }
    }

    /// Nothing of what is kept is written any more: each is handed to `lost`, with whether it may have been published.
    pub fn give_up(&mut self, mut lost: impl FnMut(Number, bool)) {
        for Entry { sequence, channel, number, fate, .. } in std::mem::take(&mut self.entries) {
            self.remember(sequence, if fate == Fate::Written { channel } else { 0 });
            if fate != Fate::Gone {
                lost(number, fate == Fate::Written);
            }
        }
        self.bytes = VecDeque::new();
        self.went_down();
    }

    /// What was published after the message with the number `from`, as far as it is remembered. What is to be written again on this
    /// connection is not in it: it may come yet.
    pub fn digest(&self, from: u64) -> Digest {
        let next = self.entries.get(self.written).map_or(u64::MAX, |entry| entry.sequence);
        let to = self.digested.min(next - 1);
        let end = self.digest.len().saturating_sub((self.digested - to) as usize);
        let wanted = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
        let channels = self.digest.range(end.saturating_sub(wanted)..end).copied().collect();
        Digest { to, channels }
    }

    /// The number of the newest message that has been written.
    pub fn last_written(&self) -> u64 {
        self.digested
    }

    /// Whether something waits to be written that may be.
    pub fn has_unwritten(&self) -> bool {
        self.written < self.entries.len() && self.written < self.limits.in_flight
    }

    /// Messages that are kept: those that wait and those without an answer.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes that are kept.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Messages that are written and not answered.
    pub fn unanswered(&self) -> usize {
        self.written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: QueueLimits = QueueLimits { messages: 8, bytes: 64, in_flight: 3, digest_entries: 4 };

    fn outgoing(messages: &[&str]) -> Outgoing {
        let mut outgoing = Outgoing::new(LIMITS);
        for (index, message) in messages.iter().enumerate() {
            let number = index as u64 + 1;
            outgoing.push(message.as_bytes(), 100 + number, 1_000, number).unwrap();
        }
        outgoing
    }

    fn written(outgoing: &mut Outgoing, now_ms: u64) -> (String, Vec<Number>) {
        let (mut bytes, mut lost) = (Vec::new(), Vec::new());
        outgoing.fill(now_ms, |piece| bytes.extend_from_slice(piece), |number| lost.push(number));
        (String::from_utf8(bytes).unwrap(), lost)
    }

    #[test]
    fn few_are_unanswered_and_each_answer_lets_one_more_out() {
        let mut outgoing = outgoing(&["aa", "bbb", "c", "dd", "e"]);
        assert_eq!(written(&mut outgoing, 0).0, "aabbbc");
        assert_eq!(written(&mut outgoing, 0).0, "");
        assert_eq!(outgoing.answered(), Some(1));
        assert_eq!(written(&mut outgoing, 0).0, "dd");
        assert_eq!((outgoing.answered(), outgoing.answered()), (Some(2), Some(3)));
        assert_eq!(written(&mut outgoing, 0).0, "e");
        assert_eq!((outgoing.answered(), outgoing.answered(), outgoing.answered()), (Some(4), Some(5), None));
        assert_eq!((outgoing.len(), outgoing.bytes()), (0, 0));
    }

    #[test]
    fn what_is_unanswered_is_written_again_on_a_new_connection_even_when_its_time_is_over() {
        let mut outgoing = outgoing(&["aa", "bb", "cc", "dd"]);
        written(&mut outgoing, 0);
        outgoing.answered();
        outgoing.went_down();
        // "dd" was never written: whoever waits for it is told.
        assert_eq!(written(&mut outgoing, 2_000), ("bbcc".to_owned(), vec![4]));
        assert_eq!((outgoing.answered(), outgoing.answered()), (Some(2), Some(3)));
        assert_eq!(outgoing.len(), 0, "the one that gave way is gone with the last before it");
    }

    #[test]
    fn what_has_waited_too_long_leaves_the_pieces_around_it_whole() {
        // Those who come first have made the ring go around its end.
        for before in 0..40 {
            let mut outgoing = Outgoing::new(LIMITS);
            for _ in 0..before {
                outgoing.push(b"abc", 1, 1_000, 0).unwrap();
                written(&mut outgoing, 0);
                outgoing.answered();
            }
            for (message, deadline_ms, number) in [("aa", 1_000, 1), ("bbb", 10, 2), ("c", 1_000, 3)] {
                outgoing.push(message.as_bytes(), number, deadline_ms, number).unwrap();
            }
            assert_eq!(written(&mut outgoing, 20), ("aac".to_owned(), vec![2]), "{before}");
            assert_eq!((outgoing.answered(), outgoing.answered()), (Some(1), Some(3)), "{before}");
            assert_eq!((outgoing.len(), outgoing.bytes()), (0, 0), "{before}");
        }
    }

    #[test]
    fn what_expires_while_there_is_no_connection_makes_room() {
        let mut outgoing = Outgoing::new(LIMITS);
        for number in 1..=8 {
            outgoing.push(b"x", number, 100 * number, number).unwrap();
        }
        assert_eq!(outgoing.push(b"x", 9, 1_000, 9), Err(Full));
        let mut lost = Vec::new();
        outgoing.expire(301, |number| lost.push(number));
        assert_eq!((lost, outgoing.len()), (vec![1, 2, 3], 5));
        outgoing.push(b"y", 9, 1_000, 9).unwrap();
        assert_eq!(written(&mut outgoing, 400).0, "xxx");
        assert_eq!(outgoing.digest(0), Digest { to: 6, channels: vec![0, 4, 5, 6] });
    }

    #[test]
    fn bytes_are_bounded_too() {
        let mut outgoing = Outgoing::new(LIMITS);
        outgoing.push(&[b'x'; 60], 1, 0, 0).unwrap();
        assert_eq!(outgoing.push(&[b'x'; 5], 1, 0, 0), Err(Full));
        outgoing.push(&[b'x'; 4], 1, 0, 0).unwrap();
        assert_eq!(outgoing.next_sequence(), 3);
    }

    #[test]
    fn a_digest_says_what_was_published_behind_a_number() {
        let mut outgoing = outgoing(&["a", "b", "c"]);
        assert_eq!(outgoing.digest(0), Digest { to: 0, channels: vec![] }, "nothing is written");
        written(&mut outgoing, 0);
        assert_eq!(outgoing.digest(1), Digest { to: 3, channels: vec![102, 103] });
        assert_eq!(outgoing.digest(3), Digest { to: 3, channels: vec![] });
        outgoing.answered();
        outgoing.went_down();
        assert_eq!(outgoing.digest(0), Digest { to: 1, channels: vec![101] }, "the others may come yet");
        written(&mut outgoing, 0);
        assert_eq!(outgoing.digest(0).channels, [101, 102, 103], "what is written again is listed once");
    }

    #[test]
    fn what_is_given_up_is_handed_out_once_and_numbers_go_on() {
        let mut outgoing = outgoing(&["a", "b", "c", "d", "e"]);
        written(&mut outgoing, 0);
        outgoing.answered();
        outgoing.went_down();
        let mut lost = Vec::new();
        outgoing.expire(2_000, |number| lost.push((number, false)));
        outgoing.give_up(|number, may_be_published| lost.push((number, may_be_published)));
        assert_eq!(lost, [(4, false), (5, false), (2, true), (3, true)]);
        assert_eq!((outgoing.len(), outgoing.bytes(), outgoing.next_sequence()), (0, 0, 6));
        assert_eq!(outgoing.digest(1), Digest { to: 5, channels: vec![102, 103, 0, 0] });
    }

    #[test]
    fn pieces_are_right_wherever_the_buffer_wraps() {
        let mut outgoing = Outgoing::new(QueueLimits { in_flight: 2, messages: 100, ..LIMITS });
        let mut out = String::new();
        let mut expected = String::new();
        for number in 0..200_u64 {
            let text = format!("<{number}>").repeat(1 + number as usize % 3);
            expected += &text;
            outgoing.push(text.as_bytes(), number, u64::MAX, number).unwrap();
            out += &written(&mut outgoing, 0).0;
            if number % 2 == 1 {
                outgoing.answered();
                outgoing.answered();
            }
        }
        out += &written(&mut outgoing, 0).0;
        assert_eq!(out, expected);
    }
}
