//! The reading side of the stream on any bytes, and on streams of which it is known what is in them. Descriptors are numbers
//! here, in the order in which they were sent.

use super::fault::Cause;
use super::frame::{self, Incoming};
use super::message::{self, Ack, Counts, End, MAX_DESCRIPTORS, Message, Totals};
use super::receiver::{Batch, Batches, Receiver};
use crate::choices::Choices;
use std::collections::VecDeque;

/// More bytes of state are refused.
const ROOM: u64 = 2_000;

/// A stream in memory, which ends.
struct Fake {
    bytes: Vec<u8>,
    at: usize,
    /// How many bytes a read gives at most, in turn.
    sizes: VecDeque<usize>,
    /// How many descriptors come with the byte at a position.
    attached: VecDeque<(usize, usize)>,
    next_descriptor: u32,
    acknowledged: Vec<Ack>,
}

impl Fake {
    fn new(sizes: Vec<usize>, bytes: Vec<u8>, attached: VecDeque<(usize, usize)>) -> Self {
        Self { bytes, at: 0, sizes: sizes.into(), attached, next_descriptor: 0, acknowledged: Vec::new() }
    }
}

impl Incoming for Fake {
    type Descriptor = u32;

    fn read(&mut self, into: &mut [u8], descriptors: &mut Vec<u32>) -> Result<usize, Cause> {
        assert!(!into.is_empty());
        let size = self.sizes.pop_front().unwrap_or(usize::MAX);
        self.sizes.push_back(size);
        let rest = &self.bytes[self.at..];
        let count = size.min(into.len()).min(rest.len());
        if count == 0 {
            return Err(Cause::Lost);
        }
        into[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        while let Some(&(_, attached)) = self.attached.front().filter(|(position, _)| *position < self.at) {
            self.attached.pop_front();
            descriptors.extend(self.next_descriptor..self.next_descriptor + attached as u32);
            self.next_descriptor += attached as u32;
        }
        Ok(count)
    }
}

impl Batches for Fake {
    fn read_state(&mut self, into: &mut [u8]) -> Result<(), Cause> {
        let mut stray = Vec::new();
        frame::read_exact(self, into, &mut stray)?;
        frame::no_descriptors(&stray)
    }

    fn acknowledge(&mut self, ack: Ack) -> Result<(), Cause> {
        self.acknowledged.push(ack);
        Ok(())
    }
}

/// A byte says whether the rest is a stream or makes one, then come the sizes of reads.
pub fn obey(data: &[u8]) {
    let mut choices = Choices::new(data);
    let is_made = choices.below(2) == 1;
    let sizes = choices.sizes();
    if is_made {
        made(&mut choices, sizes);
        return;
    }
    let mut position = 0;
    let attached = (0..choices.below(4)).map(|_| {
        position += usize::from(choices.byte());
        (position, usize::from(choices.byte()))
    });
    let attached = attached.collect();
    let bytes = choices.rest();
    message(bytes);
    let _ = read(&mut Fake::new(sizes, bytes.to_vec(), attached));
}

/// What is read is written the same way again.
fn message(bytes: &[u8]) {
    if let Ok(Some(message)) = Message::decode(bytes) {
        assert!(!message.name().is_empty());
        assert_eq!(Message::decode(&message.encode()), Ok(Some(message)));
    }
}

/// All batches of a stream, how it ended, and what the sender has counted.
fn read(fake: &mut Fake) -> (Vec<Batch<u32>>, Result<Counts, Cause>) {
    let (mut receiver, mut batches, mut totals) = (Receiver::new(ROOM), Vec::new(), Totals::default());
    let result = loop {
        match receiver.next(fake) {
            Ok(Some(batch)) => {
                assert!(batch.descriptors.len() <= MAX_DESCRIPTORS);
                totals.batches += 1;
                totals.descriptors += batch.descriptors.len() as u64;
                totals.bytes += batch.state.len() as u64;
                batches.push(batch);
                assert_eq!(receiver.totals(), totals);
                assert_eq!(receiver.counts(), None);
            }
            Ok(None) => break Ok(receiver.counts().expect("it is set at the end")),
            Err(cause) => break Err(cause),
        }
    };
    assert!(totals.bytes <= ROOM);
    if result.is_ok() {
        assert!(receiver.next(fake).is_ok_and(|batch| batch.is_none()));
    }
    assert!(batches.iter().flat_map(|batch| &batch.descriptors).is_sorted_by(|one, next| one < next));
    let acknowledged = |batch: &Batch<u32>| Ack {
        descriptors: batch.descriptors.len() as u64,
        bytes: batch.state.len() as u64,
    };
    assert!(batches.iter().map(acknowledged).eq(fake.acknowledged.iter().copied()));
    (batches, result)
}

/// A stream that this writes, whole, cut, or with something in it that is not true.
fn made(choices: &mut Choices<'_>, sizes: Vec<usize>) {
    let (harm, harmed) = (choices.below(5), choices.below(4));
    let (mut bytes, mut attached, mut sent) = (Vec::new(), VecDeque::new(), Vec::new());
    let mut totals = Totals::default();
    for number in 0..choices.below(4) {
        let part = choices.number(32) as u32;
        let descriptors = choices.below(MAX_DESCRIPTORS as u32 + 1) as usize;
        let length = choices.number(9) as usize;
        let state = choices.bytes(length).to_vec();
        // One is lost on the way.
        let is_lossy = harm == 1 && harmed == number && descriptors > 0;
        attached.push_back((bytes.len(), descriptors - usize::from(is_lossy)));
        let header = Message::Batch(message::Batch { part, bytes: state.len() as u64 });
        bytes.extend(frame::encode(&header, descriptors).expect("it is small"));
        bytes.extend(&state);
        totals.batches += 1;
        totals.descriptors += descriptors as u64;
        totals.bytes += state.len() as u64;
        sent.push((part, descriptors, state, is_lossy));
    }
    let counts = Counts { sessions: choices.number(64), connections: choices.number(64) };
    let end = Totals { bytes: totals.bytes ^ u64::from(harm == 2), ..totals };
    bytes.extend(frame::encode(&Message::End(End { totals: end, counts }), 0).expect("it is small"));
    if harm == 3 {
        bytes.truncate(choices.number(13) as usize % bytes.len());
    }
    let (batches, result) = read(&mut Fake::new(sizes, bytes, attached));
    let whole = sent.iter().take_while(|(.., is_lossy)| !is_lossy);
    for (batch, (part, descriptors, state, _)) in batches.iter().zip(whole.clone()) {
        assert_eq!((batch.part, batch.descriptors.len(), &batch.state), (*part, *descriptors, state));
    }
    match result {
        Ok(read) => assert!(harm != 2 && harm != 3 && batches.len() == sent.len() && read == counts),
        Err(Cause::Descriptors { announced, arrived }) => assert!(harm == 1 && announced == arrived + 1),
        Err(Cause::Counts { sent, arrived, .. }) => assert!(harm == 2 && sent == arrived ^ 1),
        Err(Cause::Lost) => assert_eq!(harm, 3),
        Err(cause) => panic!("{cause:?}"),
    }
    if harm != 3 {
        assert_eq!(batches.len(), whole.count());
    }
}
