//! Batches out of a stream: what both a live and a parked one are read with.

use super::fault::Cause;
use super::frame::{self, Frame, Incoming};
use super::message::{Ack, Counts, End, Message, Totals};

/// The most bytes that are read at a time: memory grows with what has arrived, not with what was announced.
const CHUNK: usize = 64 << 10;

/// Descriptors, and the state of those that they belong to.
#[derive(Debug)]
pub struct Batch<D> {
    /// Whose it is, as the sender numbers its parts.
    pub part: u32,
    /// In the order in which they were sent.
    pub descriptors: Vec<D>,
    /// What the sender has said about them.
    pub state: Vec<u8>,
}

/// Where batches come from.
pub(crate) trait Batches: Incoming {
    /// Fills `into` with the next bytes of the state.
    fn read_state(&mut self, into: &mut [u8]) -> Result<(), Cause>;

    /// Tells the sender what has arrived of one batch.
    fn acknowledge(&mut self, ack: Ack) -> Result<(), Cause>;
}

/// Counts what has arrived, and holds it to the bound and to what the sender has counted.
#[derive(Debug)]
pub(crate) struct Receiver {
    totals: Totals,
    max_bytes: u64,
    /// Of the sender; `None` before all has arrived.
    counts: Option<Counts>,
}

impl Receiver {
    /// Takes at most so many bytes of state, of all batches together.
    pub(crate) fn new(max_bytes: u64) -> Self {
        Self { totals: Totals::default(), max_bytes, counts: None }
    }

    /// What has arrived.
    pub(crate) fn totals(&self) -> Totals {
        self.totals
    }

    /// What the sender has counted, when all has arrived.
    pub(crate) fn counts(&self) -> Option<Counts> {
        self.counts
    }

    /// The next batch; `None` behind the last.
    pub(crate) fn next<B: Batches>(&mut self, from: &mut B) -> Result<Option<Batch<B::Descriptor>>, Cause> {
        if self.counts.is_some() {
            return Ok(None);
        }
        let Frame { message, descriptors } = frame::receive(from)?;
        match message {
            Message::Batch(batch) => {
                let state = self.state(from, batch.bytes)?;
                let count = descriptors.len() as u64;
                self.totals.batches += 1;
                self.totals.descriptors += count;
                from.acknowledge(Ack { descriptors: count, bytes: batch.bytes })?;
                Ok(Some(Batch { part: batch.part, descriptors, state }))
            }
            Message::End(End { totals, counts }) => {
                same("batches", totals.batches, self.totals.batches)?;
                same("descriptors", totals.descriptors, self.totals.descriptors)?;
                same("bytes of state", totals.bytes, self.totals.bytes)?;
                self.counts = Some(counts);
                Ok(None)
            }
            Message::Refused(refused) => Err(Cause::Refused(refused.why)),
            Message::Bye => Err(Cause::CalledOff),
            other => Err(Cause::Unexpected(other.name())),
        }
    }

    fn state<B: Batches>(&mut self, from: &mut B, bytes: u64) -> Result<Vec<u8>, Cause> {
        let all = self.totals.bytes.saturating_add(bytes);
        if all > self.max_bytes {
            return Err(Cause::TooLarge { what: "bytes of state", size: all, most: self.max_bytes });
        }
        let mut state = Vec::new();
        let mut left = bytes;
        while left > 0 {
            let chunk = left.min(CHUNK as u64) as usize;
            let start = state.len();
            // Without memory the upgrade fails, and nothing else does.
            state
                .try_reserve(chunk)
                .map_err(|error| Cause::system("get memory", std::io::Error::other(error)))?;
            state.resize(start + chunk, 0);
            from.read_state(&mut state[start..])?;
            left -= chunk as u64;
        }
        self.totals.bytes = all;
        Ok(state)
    }
}

/// Both sides have counted as many.
pub(super) fn same(what: &'static str, sent: u64, arrived: u64) -> Result<(), Cause> {
    if sent == arrived { Ok(()) } else { Err(Cause::Counts { what, sent, arrived }) }
}
