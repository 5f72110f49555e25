//! Items of an event stream put together for the wire. What an event is on the wire depends on what went before it, its number
//! and the compression: so it is made when it goes, a bounded share at a time, and not when it is queued.

use super::item::{Item, Staged};
use super::{Outbox, Settlements};
use crate::connection::kept::Keeping;
use crate::connection::stream::Stream;
use crate::dispatch::Fate;
use crate::stream::Document;
use crate::timer::Moment;

/// Bytes beyond which no further item is put to those that go together.
const SHARE: usize = 16 * 1024;

impl Staged {
    /// The socket has taken so many of the bytes: the items that end there have been written.
    pub(super) fn settle_written(
        &mut self,
        written: usize,
        now_ns: u64,
        settlements: &mut Settlements,
        mut keeping: Option<&mut Keeping<'_>>,
    ) {
        while self.items.front().is_some_and(|(_, end)| *end <= written)
            && let Some((item, _)) = self.items.pop_front()
        {
            if let Some(keeping) = &mut keeping {
                keeping.written(&item, settlements);
            }
            settlements.settle(item, Fate::Written, now_ns);
        }
    }

    /// The connection is gone.
    pub(super) fn give_up(mut self: Box<Self>, fate: Fate, settlements: &mut Settlements) {
        for (item, _) in self.items.drain(..) {
            settlements.settle(item, fate, 0);
        }
        settlements.unstage(self);
    }
}

impl Outbox {
    /// Puts what is due together for the wire, where nothing is on it and `sent` messages have gone before. Returns how many of
    /// the first items may be written then.
    pub(super) fn stage(&mut self, stream: &mut Stream, sent: u64, settlements: &mut Settlements) -> usize {
        if self.wire.is_some() {
            return 1;
        }
        if !self.has_due() && !stream.has_end() {
            return 0;
        }
        let mut staged = settlements.staging();
        let mut count = sent;
        while staged.bytes.len() < SHARE
            && let Some(item) = self.next_due()
        {
            self.take_out(&item);
            count += u64::from(item.is_message());
            let end = item.put_into(stream, count, &mut staged.bytes);
            settlements.charge_forms(&item);
            staged.items.push_back((item, end));
        }
        if self.urgent.is_empty() && self.normal.is_empty() {
            stream.take_end(&mut staged.bytes);
        }
        if staged.bytes.is_empty() {
            settlements.give_back(staged);
            return 0;
        }
        settlements.stage(&staged);
        self.bytes += staged.bytes.len();
        self.wire = Some((Item::Staged(staged), 0));
        1
    }

    /// Puts what waits into the document that answers a poll, as far as it is not longer than `most` bytes then, or nothing is in
    /// it: it has gone to the wire, by `now`. No tick is waited for.
    pub fn put_into_document(
        &mut self,
        document: &mut Document,
        most: usize,
        now: Moment,
        settlements: &mut Settlements,
        mut keeping: Option<&mut Keeping<'_>>,
    ) {
        self.expire(now.ms, settlements);
        self.wait_for(None);
        debug_assert!(self.wire.is_none(), "there is no socket");
        while document.length() < most
            && let Some(item) = self.next_due()
        {
            self.take_out(&item);
            item.put_into_document(document);
            if let Some(keeping) = &mut keeping {
                keeping.written(&item, settlements);
            }
            settlements.settle(item, Fate::Written, now.ns);
        }
    }

    // The normal lane may wait for its tick.
    fn has_due(&self) -> bool {
        !self.urgent.is_empty() || (self.tick_ms == 0 && !self.normal.is_empty())
    }

    fn next_due(&mut self) -> Option<Item> {
        let is_normal_due = self.tick_ms == 0;
        self.urgent.pop_front().or_else(|| if is_normal_due { self.normal.pop_front() } else { None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choices::Choices;
    use crate::choices::random_bytes;
    use crate::connection::OutboxLimits;
    use crate::connection::outbox::model::{Answer, Socket, at, push_of};
    use crate::connection::outbox::{LocalPush, Tick};
    use crate::dispatch::{Class, EncodedFrame, ReceiptMode, Wire};
    use crate::protocol::{DeflateConfig, DeflateEngine};
    use std::io::Read;
    use std::rc::Rc;
    use std::sync::Arc;

    const LIMITS: OutboxLimits = OutboxLimits { bytes: 1 << 24, messages: 10_000 };

    /// What a client has read of `wire`: the numbers of the whole events, in their order.
    fn read(wire: &[u8], is_compressed: bool) -> Vec<usize> {
        let mut body = Vec::new();
        match is_compressed {
            true => _ = flate2::read::GzDecoder::new(wire).read_to_end(&mut body),
            false => body.extend_from_slice(wire),
        }
        let text = String::from_utf8_lossy(&body);
        let (whole, _) = text.rsplit_once("\n\n").unwrap_or_default();
        let events = whole.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
        events.map(|data| data.split(' ').next().unwrap().parse().unwrap()).collect()
    }

    /// A socket that takes what it likes: at any moment a client has read no more messages than are written, each once, and
    /// nothing is left in any sum in the end.
    #[test]
    fn what_a_client_has_read_is_written() {
        let engine = Arc::new(DeflateEngine::new(DeflateConfig::default()));
        for seed in 0..80 {
            let is_compressed = seed % 2 == 1;
            let bytes = random_bytes(seed + 1, 400);
            let mut choices = Choices::new(&bytes);
            let mut stream = Stream::new(None);
            if is_compressed {
                stream = stream.compressed(Some(Arc::clone(&engine)));
            }
            let (mut outbox, mut settlements, mut socket) =
                (Outbox::default(), Settlements::default(), Socket::default());
            stream.begin(b"", &mut socket.taken);
            let mut sent = 0;
            while !choices.is_empty() {
                match choices.below(8) {
                    0..3 => {
                        let text = format!("{sent} {}", "ab".repeat(choices.below(200) as usize * 50));
                        let class =
                            [Class::Normal, Class::Urgent, Class::Droppable][choices.below(3) as usize];
                        let mut push = push_of(b"", u64::MAX, class, None, ReceiptMode::Written);
                        let plain = Arc::get_mut(&mut push).unwrap();
                        plain.frame = EncodedFrame::text(&text);
                        push.count_matched(1);
                        let item = Item::Shared(Rc::new(LocalPush::new(push)), Wire::Plain);
                        assert!(outbox.offer(item, LIMITS, &mut settlements).is_ok());
                        sent += 1;
                    }
                    3 => outbox.append(Item::Owned(b":\n\n".to_vec().into()), &mut settlements),
                    4 => {
                        let item = Item::Message(EncodedFrame::text(&format!("{sent} own")));
                        assert!(outbox.offer(item, LIMITS, &mut settlements).is_ok());
                        sent += 1;
                    }
                    5 => outbox.wait_for((choices.below(2) == 0).then_some(Tick(50))),
                    _ => {
                        let room = choices.below(250) as usize * 40;
                        socket.script = (0..choices.below(3)).map(|_| Answer::Takes(room + 1)).collect();
                        outbox
                            .write_events_to(&mut stream, &mut socket, at(1), &mut settlements, None)
                            .unwrap();
                        let written = settlements.written + settlements.messages_written;
                        let read = read(&socket.taken, is_compressed).len() as u64;
                        // The last bytes of a compressed one have nothing of it, or its last ones.
                        let may_miss = u64::from(is_compressed);
                        assert!(
                            read <= written && written <= read + may_miss,
                            "{read} read, {written} written"
                        );
                    }
                }
            }
            outbox.wait_for(None);
            stream.end();
            socket.script = std::iter::repeat_n(Answer::Takes(usize::MAX), 10_000).collect();
            outbox.append(Item::Owned(b":\n\n".to_vec().into()), &mut settlements);
            outbox.write_events_to(&mut stream, &mut socket, at(1), &mut settlements, None).unwrap();
            let mut numbers = read(&socket.taken, is_compressed);
            numbers.sort_unstable();
            assert_eq!(numbers, (0..sent).collect::<Vec<_>>());
            if is_compressed {
                flate2::read::GzDecoder::new(&*socket.taken).read_to_end(&mut Vec::new()).unwrap();
            }
            let left = (settlements.waiting_messages, settlements.waiting_bytes, settlements.memory);
            assert_eq!((left, outbox.bytes(), outbox.is_empty()), ((0, 0, 0), 0, true));
        }
    }

    #[test]
    fn a_stream_that_is_lost_leaves_nothing_behind() {
        let (mut outbox, mut settlements) = (Outbox::default(), Settlements::default());
        let (mut stream, mut socket) = (Stream::new(None), Socket::default());
        for _ in 0..3 {
            let push = push_of(&[1; 30], u64::MAX, Class::Normal, None, ReceiptMode::Written);
            push.count_matched(1);
            let item = Item::Shared(Rc::new(LocalPush::new(push)), Wire::Plain);
            assert!(outbox.offer(item, LIMITS, &mut settlements).is_ok());
        }
        socket.script = [Answer::Takes(70)].into();
        outbox.write_events_to(&mut stream, &mut socket, at(1), &mut settlements, None).unwrap();
        assert_eq!((settlements.written, outbox.messages()), (1, 1));
        outbox.clear(Fate::Closed, &mut settlements);
        assert_eq!((settlements.closed, settlements.finished.len()), (2, 3));
        assert_eq!((settlements.waiting_messages, settlements.waiting_bytes, settlements.memory), (0, 0, 0));
    }

    /// Where the events of a stream lie that waits for its socket, and how much room there is.
    fn room(outbox: &Outbox) -> (*const u8, usize) {
        match &outbox.wire {
            Some((Item::Staged(staged), _)) => (staged.bytes.as_ptr(), staged.bytes.capacity()),
            _ => unreachable!("a part of it is on the wire"),
        }
    }

    #[test]
    fn one_buffer_serves_all_streams_unless_it_has_grown_too_large() {
        let mut settlements = Settlements::default();
        let mut rooms = Vec::new();
        for length in [100, 50, 100, 100_000, 100, 100] {
            let (mut outbox, mut stream) = (Outbox::default(), Stream::new(None));
            let mut socket = Socket::default();
            let item = Item::Message(EncodedFrame::text(&"x".repeat(length)));
            assert!(outbox.offer(item, LIMITS, &mut settlements).is_ok());
            socket.script = [Answer::Takes(1)].into();
            outbox.write_events_to(&mut stream, &mut socket, at(1), &mut settlements, None).unwrap();
            rooms.push(room(&outbox));
            socket.script = [Answer::Takes(usize::MAX)].into();
            outbox.write_events_to(&mut stream, &mut socket, at(1), &mut settlements, None).unwrap();
            assert_eq!((outbox.is_empty(), socket.taken.len()), (true, length + b"data: \n\n".len()));
        }
        assert!(rooms[1] == rooms[0] && rooms[2] == rooms[0], "it is used again");
        assert!(rooms[3].1 >= 100_000 && rooms[4].1 < 32 * 1024, "what a long event took goes back");
        assert_eq!(rooms[5], rooms[4]);
    }
}
