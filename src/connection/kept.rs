//! The messages of one session that have gone to the wire and may not have been read: kept within bounds, so that a client that
//! comes back gets what it has not read. WebSocket is ordered (RFC 6455 §5.4), so the number of messages that a client has read
//! is its position.

mod frame;

pub use frame::KeptFrame;

use super::outbox::{Item, Settlements};
use crate::dispatch::EncodedFrame;
use std::collections::VecDeque;
use std::rc::Rc;

/// The bounds of one session's ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptLimits {
    /// Messages.
    pub messages: usize,
    /// Bytes of their frames, headers included, each counted as if it were not shared.
    pub bytes: usize,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Kept {
    /// The last of the messages that have gone to the wire, in their order.
    frames: VecDeque<Rc<KeptFrame>>,
    /// The lengths of these frames.
    bytes: usize,
    /// Messages that have gone to the wire since the session opened: the number of the next one.
    sent: u64,
    /// The most that its client has said to have read.
    confirmed: u64,
}

/// The client's count is not one of the positions from which the rest can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap;

impl Kept {
    /// A ring without frames, of a session that has been sent so many messages and whose client has said to have read so many.
    pub fn since(sent: u64, confirmed: u64) -> Self {
        Self { sent, confirmed, ..Self::default() }
    }

    /// The most that its client has said to have read: who says less has said that before.
    pub fn confirmed(&self) -> u64 {
        self.confirmed
    }

    /// The messages that have gone to the wire.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// The frames, the oldest first.
    pub fn frames(&self) -> impl ExactSizeIterator<Item = &EncodedFrame> {
        self.frames.iter().map(|kept| kept.frame())
    }

    /// The bytes of the frames.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The next message has gone to the wire. What is beyond the bounds is forgotten, the oldest first.
    pub fn keep(&mut self, frame: Rc<KeptFrame>, limits: KeptLimits, settlements: &mut Settlements) {
        self.sent += 1;
        settlements.kept_memory += frame.hold();
        settlements.kept_messages += 1;
        settlements.kept_memory += size_of::<Rc<KeptFrame>>() as u64;
        self.bytes += frame.frame().wire_len();
        self.frames.push_back(frame);
        while self.frames.len() > limits.messages || self.bytes > limits.bytes {
            self.forget_oldest(settlements);
        }
    }

    fn forget_oldest(&mut self, settlements: &mut Settlements) -> Option<Rc<KeptFrame>> {
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.frame().wire_len();
        settlements.kept_messages -= 1;
        settlements.kept_memory -= size_of::<Rc<KeptFrame>>() as u64;
        settlements.kept_memory -= frame.let_go();
        Some(frame)
    }

    /// Forgets the oldest frames until those that are left have no more than `bytes`. Returns how many it forgot.
    pub fn shorten_to(&mut self, bytes: usize, settlements: &mut Settlements) -> usize {
        let before = self.frames.len();
        while self.bytes > bytes {
            self.forget_oldest(settlements);
        }
        self.frames.shrink_to(2 * self.frames.len());
        before - self.frames.len()
    }

    /// Forgets all frames: only a client that has read all of them can come back.
    pub fn forget(&mut self, settlements: &mut Settlements) {
        while self.forget_oldest(settlements).is_some() {}
        self.frames = VecDeque::new();
    }

    /// The client has read the first `received` messages of the session.
    ///
    /// # Errors
    /// [`Gap`] where it cannot have read so many, or some of the others are forgotten; then nothing changes.
    pub fn acknowledge(&mut self, received: u64, settlements: &mut Settlements) -> Result<(), Gap> {
        let first = self.sent - self.frames.len() as u64;
        if received < first || received > self.sent {
            return Err(Gap);
        }
        for _ in first..received {
            self.forget_oldest(settlements);
        }
        self.confirmed = self.confirmed.max(received);
        Ok(())
    }

    /// The client has read so many messages more, which have gone to the wire before and are in no ring: they wait to be sent again.
    pub fn skip(&mut self, count: usize) {
        debug_assert!(self.frames.is_empty(), "those before them have been read too");
        self.sent += count as u64;
        self.confirmed = self.sent;
    }

    /// Takes out the frames that have not been acknowledged, the oldest first: they are sent again, and count anew.
    pub fn take_rest(&mut self, settlements: &mut Settlements) -> Vec<Rc<KeptFrame>> {
        let rest: Vec<_> = std::iter::from_fn(|| self.forget_oldest(settlements)).collect();
        self.sent -= rest.len() as u64;
        self.frames = VecDeque::new();
        rest
    }
}

/// Where an outbox puts what has gone to the wire.
#[derive(Debug)]
pub struct Keeping<'a> {
    /// The ring of its session.
    pub kept: &'a mut Kept,
    /// The bounds of the ring.
    pub limits: KeptLimits,
}

impl Keeping<'_> {
    /// `item` has gone to the wire. What is no message of the game's is not counted by the client, and not kept.
    pub(super) fn written(&mut self, item: &Item, settlements: &mut Settlements) {
        if let Some(frame) = item.kept_frame() {
            self.kept.keep(frame, self.limits, settlements);
        }
    }

    /// The beginning of `item` has gone to the wire, and the rest follows it or is lost with the connection. It is kept whatever the
    /// bounds, so that none goes for it that a client which is about to come back has not read; the next one keeps them again.
    pub(super) fn written_in_part(&mut self, item: &Item, settlements: &mut Settlements) {
        if let Some(frame) = item.kept_frame() {
            let any = KeptLimits { messages: usize::MAX, bytes: usize::MAX };
            self.kept.keep(frame, any, settlements);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choices::{Choices, random_bytes};

    fn frame(number: u64) -> Rc<KeptFrame> {
        Rc::new(KeptFrame::new(EncodedFrame::text(&"x".repeat((number % 40) as usize))))
    }

    /// Every message of the session, and which of them the bounds have left.
    struct Model {
        all: Vec<Rc<KeptFrame>>,
        first: usize,
    }

    #[test]
    fn it_answers_like_a_list_of_all_messages() {
        for seed in 1..50 {
            let bytes = random_bytes(seed, 600);
            let mut choices = Choices::new(&bytes);
            let limits = KeptLimits {
                messages: 1 + choices.below(9) as usize,
                bytes: 20 + choices.below(120) as usize,
            };
            let (mut kept, mut settlements) = (Kept::default(), Settlements::default());
            let mut model = Model { all: Vec::new(), first: 0 };
            while !choices.is_empty() {
                match choices.below(8) {
                    0 => {
                        let received = choices.below(model.all.len().min(250) as u32 + 3) as usize;
                        let is_known = (model.first..=model.all.len()).contains(&received);
                        assert_eq!(kept.acknowledge(received as u64, &mut settlements).is_ok(), is_known);
                        model.first = if is_known { received } else { model.first };
                    }
                    1 => {
                        let rest = kept.take_rest(&mut settlements);
                        assert!(
                            rest.iter()
                                .zip(&model.all[model.first..])
                                .all(|(one, other)| Rc::ptr_eq(one, other))
                        );
                        assert_eq!(rest.len(), model.all.len() - model.first);
                        model.all.truncate(model.first);
                    }
                    choice => {
                        // Some frames are in the ring more than once, as a push that names a session twice never is.
                        let frame = match model.all.last() {
                            Some(last) if choice == 2 => Rc::clone(last),
                            _ => frame(choices.below(40).into()),
                        };
                        kept.keep(Rc::clone(&frame), limits, &mut settlements);
                        model.all.push(frame);
                        let bytes = |all: &[Rc<KeptFrame>]| {
                            all.iter().map(|one| one.frame().wire_len()).sum::<usize>()
                        };
                        while model.all.len() - model.first > limits.messages
                            || bytes(&model.all[model.first..]) > limits.bytes
                        {
                            model.first += 1;
                        }
                    }
                }
                assert_eq!(kept.sent(), model.all.len() as u64);
                assert_eq!(settlements.kept_messages, (model.all.len() - model.first) as u64);
            }
            kept.forget(&mut settlements);
            assert_eq!((settlements.kept_messages, settlements.kept_memory, kept.bytes()), (0, 0, 0));
        }
    }

    #[test]
    fn a_frame_in_many_rings_weighs_once() {
        let (frame, limits) = (frame(30), KeptLimits { messages: 9, bytes: 999 });
        let (mut rings, mut settlements) = ([(); 3].map(|()| Kept::default()), Settlements::default());
        rings.iter_mut().for_each(|kept| kept.keep(Rc::clone(&frame), limits, &mut settlements));
        let place = size_of::<Rc<KeptFrame>>() as u64;
        assert_eq!(settlements.kept_memory, frame.memory() + 3 * place);
        rings[0].forget(&mut settlements);
        assert_eq!(settlements.kept_memory, frame.memory() + 2 * place);
    }
}
