//! Batches on their way: to a process that answers, or into a store that does not.

use super::fault::{Cause, Fault};
use super::frame;
use super::line::Line;
use super::message::{self, Ack, Counts, End, Message, Totals};
use super::parked::{Parking, Unparking};
use super::receiver::{Batch, Batches, Receiver, same};
use std::io::IoSlice;
use std::os::fd::{BorrowedFd, OwnedFd};

/// Takes batches, in any order of parts. What it sends stays the caller's until the other process has it all.
///
/// ```ignore
/// let mut sink = Sink::live(line);
/// sink.batch(reactor, &sockets, &state)?;
/// sink.end(counts)?;
/// ```
#[derive(Debug)]
pub struct Sink {
    to: To,
    totals: Totals,
}

#[derive(Debug)]
enum To {
    Live {
        line: Line,
        /// What the other process is to acknowledge before it gets the next batch: so no more than one batch's descriptors
        /// are on the way, which the kernel bounds by RLIMIT_NOFILE where the process has neither CAP_SYS_RESOURCE nor CAP_SYS_ADMIN (unix(7)).
        unacknowledged: Option<Ack>,
    },
    Parked(Parking),
}

impl Sink {
    /// To the process at the other end.
    pub fn live(line: Line) -> Self {
        Self { to: To::Live { line, unacknowledged: None }, totals: Totals::default() }
    }

    /// Into a store that no process reads yet.
    pub fn parked(parking: Parking) -> Self {
        Self { to: To::Parked(parking), totals: Totals::default() }
    }

    /// What has been sent.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Sends at most [`MAX_DESCRIPTORS`](super::MAX_DESCRIPTORS) descriptors, and any number of bytes that say what they
    /// are. A live one waits for the acknowledgement of the batch before this one.
    pub fn batch(&mut self, part: u32, descriptors: &[BorrowedFd<'_>], state: &[u8]) -> Result<(), Fault> {
        let bytes = state.len() as u64;
        let message = Message::Batch(message::Batch { part, bytes });
        match &mut self.to {
            To::Live { line, unacknowledged } => {
                acknowledged(line, unacknowledged)?;
                let header = frame::encode(&message, descriptors.len()).map_err(|cause| line.fault(cause))?;
                line.write(&[IoSlice::new(&header), IoSlice::new(state)], descriptors)?;
                *unacknowledged = Some(Ack { descriptors: descriptors.len() as u64, bytes });
            }
            To::Parked(parking) => parking.batch(&message, descriptors, state)?,
        }
        self.totals.batches += 1;
        self.totals.descriptors += descriptors.len() as u64;
        self.totals.bytes += bytes;
        Ok(())
    }

    /// There are no more batches. The other side compares what it has got with what was sent.
    pub fn end(&mut self, counts: Counts) -> Result<(), Fault> {
        let message = Message::End(End { totals: self.totals, counts });
        match &mut self.to {
            To::Live { line, unacknowledged } => {
                acknowledged(line, unacknowledged)?;
                line.send(&message, &[])
            }
            To::Parked(parking) => parking.end(&message),
        }
    }

    /// The line of a live one, on which the processes go on.
    pub fn line(&mut self) -> Option<&mut Line> {
        match &mut self.to {
            To::Live { line, .. } => Some(line),
            To::Parked(_) => None,
        }
    }

    /// What the service manager's store keeps, of a parked one that has ended.
    pub fn into_parked(self) -> Option<OwnedFd> {
        match self.to {
            To::Live { .. } => None,
            To::Parked(parking) => Some(parking.into_descriptor()),
        }
    }
}

fn acknowledged(line: &mut Line, unacknowledged: &mut Option<Ack>) -> Result<(), Fault> {
    let Some(sent) = unacknowledged.take() else { return Ok(()) };
    match line.receive()?.message {
        Message::Ack(arrived) => same("descriptors of a batch", sent.descriptors, arrived.descriptors)
            .and_then(|()| same("bytes of a batch", sent.bytes, arrived.bytes))
            .map_err(|cause| line.fault(cause)),
        other => Err(line.unexpected(&other)),
    }
}

/// Gives the batches that a [`Sink`] was given, in the same order.
///
/// ```ignore
/// let mut source = Source::live(line, config.limits.upgrade_bytes);
/// while let Some(batch) = source.next()? { … }
/// let counts = source.counts();
/// ```
#[derive(Debug)]
pub struct Source {
    from: From,
    receiver: Receiver,
}

#[derive(Debug)]
enum From {
    Live(Line),
    Parked(Unparking),
}

impl Source {
    /// From the process at the other end, at most so many bytes of state.
    pub fn live(line: Line, max_bytes: u64) -> Self {
        Self { from: From::Live(line), receiver: Receiver::new(max_bytes) }
    }

    /// From the store, at most so many bytes of state.
    pub fn parked(unparking: Unparking, max_bytes: u64) -> Self {
        Self { from: From::Parked(unparking), receiver: Receiver::new(max_bytes) }
    }

    /// The next batch, which is acknowledged then; `None` behind the last, when all that was sent has arrived.
    ///
    /// # Errors
    /// Nothing that came before is of use then, either.
    pub fn next(&mut self) -> Result<Option<Batch<OwnedFd>>, Fault> {
        match &mut self.from {
            From::Live(line) => self.receiver.next(line).map_err(|cause| line.fault(cause)),
            From::Parked(unparking) => self.receiver.next(unparking).map_err(|cause| unparking.fault(cause)),
        }
    }

    /// What has arrived.
    pub fn totals(&self) -> Totals {
        self.receiver.totals()
    }

    /// What the sender has counted, once [`next`](Self::next) has given `None`.
    pub fn counts(&self) -> Option<Counts> {
        self.receiver.counts()
    }

    /// The line of a live one, on which the processes go on.
    pub fn line(&mut self) -> Option<&mut Line> {
        match &mut self.from {
            From::Live(line) => Some(line),
            From::Parked(_) => None,
        }
    }
}

impl Batches for Line {
    fn read_state(&mut self, into: &mut [u8]) -> Result<(), Cause> {
        let mut stray = Vec::new();
        frame::read_exact(self, into, &mut stray)?;
        frame::no_descriptors(&stray)
    }

    fn acknowledge(&mut self, ack: Ack) -> Result<(), Cause> {
        self.send(&Message::Ack(ack), &[]).map_err(|fault| fault.cause)
    }
}
