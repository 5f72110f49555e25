//! How an HTTP connection of the backend port is carried to another process.

use super::feeding::{Feeding, begin_stream};
use super::{Answer, Backend, Waiting};
use crate::auth::CarriedAccess;
use crate::connection::Flag;
use crate::core::Core;
use crate::dispatch::Packer;
use crate::gateway::api::responses::unauthorized;
use crate::gateway::doors::answers::{Answers, CarriedAnswers};
use crate::gateway::doors::asker::Asker;
use crate::gateway::doors::batch::{Batch, CarriedBatch};
use crate::gateway::doors::receipts::{CarriedAwaited, Receipts};
use crate::gateway::doors::restoring::Restoring;
use crate::http::{CarriedReader, HttpDate, RequestReader};
use crate::upgrade::InvalidState;
use minicbor::{Decode, Encode};

/// A [`Backend`] on its way.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct CarriedBackend {
    #[n(0)]
    reader: CarriedReader,
    #[n(1)]
    queue: CarriedAnswers<CarriedWaiting, CarriedReady>,
    #[n(2)]
    receipts: Vec<CarriedAwaited>,
    #[n(3)]
    barrier: Option<u64>,
    #[n(4)]
    batch: Option<Box<CarriedBatch>>,
    #[n(5)]
    asker: Option<CarriedAccess>,
    #[n(6)]
    last: bool,
    /// How long the rest of the request that is being read has been owed.
    #[n(7)]
    owed_for_ms: Option<u64>,
    /// An event stream: the ticket of its feed, and the number of its request. States of 0.2.0 have none.
    #[n(8)]
    stream: Option<(String, u64)>,
    /// A stream of figures: the number of its request, and the newest line of the audit trail that it has been sent.
    #[n(9)]
    figures: Option<(u64, u64)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
struct CarriedWaiting {
    #[n(0)]
    keep_alive: bool,
    #[n(1)]
    head_only: bool,
}

/// An answer as it will be sent.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
struct CarriedReady {
    #[n(0)]
    status: u16,
    #[cbor(n(1), with = "minicbor::bytes")]
    bytes: Vec<u8>,
}

impl Backend {
    /// As it is carried, at `date`. Answers that are ready are carried as bytes.
    pub fn carry(&self, date: HttpDate, owed_for_ms: Option<u64>, packer: &Packer) -> CarriedBackend {
        let Self {
            reader,
            queue,
            receipts,
            barrier,
            batch,
            asker,
            // The head that it is the answer to has no body, and is given again.
            turned_away: _,
            last,
            // It has been looked at when the connection was last run.
            completed: _,
            // A batch goes on in the first turn.
            hurries: _,
            // Every request that waits for a feed has been answered when the world stands still.
            feeding: _,
            // Nothing is left over by turns.
            ticket: _,
        } = self;
        CarriedBackend {
            reader: reader.carry(),
            queue: queue.carry(
                |Waiting { keep_alive, head_only }| CarriedWaiting {
                    keep_alive: *keep_alive,
                    head_only: *head_only,
                },
                |answer| CarriedReady::of(answer, date),
            ),
            receipts: receipts.carry(packer, |sequence| self.is_awaited(sequence)),
            barrier: *barrier,
            batch: batch.as_ref().map(|batch| Box::new(batch.carry())),
            asker: asker.as_ref().map(Asker::carry),
            last: *last,
            owed_for_ms,
            stream: self.carry_stream(),
            figures: self.carry_figures(),
        }
    }

    /// The connection that was carried, and how long the rest of a request has been owed. A request whose head was looked at
    /// and whose key is gone is answered with 401.
    ///
    /// # Errors
    /// Such a connection cannot have been.
    pub fn restore(
        carried: CarriedBackend,
        restoring: &Restoring<'_>,
    ) -> Result<(Self, Option<u64>), InvalidState> {
        let CarriedBackend {
            reader,
            queue,
            receipts,
            barrier,
            batch,
            asker,
            last,
            owed_for_ms,
            stream,
            figures,
        } = carried;
        let reader = RequestReader::restore(reader);
        let reader = reader.ok_or_else(|| InvalidState::new("a request is read as none can be"))?;
        let batch = batch.map(|batch| Batch::restore(*batch, restoring)).transpose()?;
        let waiting = |CarriedWaiting { keep_alive, head_only }| Ok(Waiting { keep_alive, head_only });
        let queue = Answers::restore(queue, waiting, CarriedReady::restore)?;
        let asker = asker.and_then(|asker| Asker::restore(&asker, restoring));
        let receipts = match &batch {
            // It begins when every earlier answer has left, and nothing else does until it is done.
            Some(batch) => {
                let is_its_own = queue.waiting().eq([batch.answer]) && barrier.is_none();
                if !is_its_own {
                    return Err(InvalidState::new("something else is done while a batch is worked off"));
                }
                Receipts::restore(receipts, restoring.id, restoring.unpacker, batch.waiting())?
            }
            None => {
                if barrier.is_some_and(|sequence| !queue.is_waiting(sequence)) {
                    return Err(InvalidState::new("a request waits for an answer that is there"));
                }
                let waiting = queue.waiting().filter(|sequence| barrier != Some(*sequence));
                Receipts::restore(receipts, restoring.id, restoring.unpacker, waiting)?
            }
        };
        let backend = Self {
            reader,
            queue,
            receipts,
            barrier,
            batch: batch.map(Box::new),
            turned_away: asker.is_none().then(unauthorized),
            asker,
            last,
            completed: false,
            hurries: false,
            feeding: stream.and_then(Feeding::restore).or_else(|| figures.map(Feeding::restore_figures)),
            ticket: 0,
        };
        Ok((backend, owed_for_ms))
    }

    /// Its connection has come into this process: what depends on the door is as it was. It goes on in the next turn.
    pub fn rejoin(&mut self, core: &mut Core, slot: u32, owed_for_ms: Option<u64>) {
        let is_busy = !self.is_idle();
        if let Some(connection) = core.connection(slot) {
            match is_busy {
                true => _ = connection.flags.set(Flag::Busy),
                false => connection.flags.clear(Flag::Busy),
            }
        }
        let mut receipts = std::mem::take(&mut self.receipts);
        core.set_door_due(slot, receipts.next_due_ms(|sequence| self.is_awaited(sequence)));
        self.receipts = receipts;
        core.restore_incoming(slot, self.half_received(), owed_for_ms);
        core.read_later(slot);
    }
}

impl CarriedReady {
    fn of(answer: &Answer, date: HttpDate) -> Self {
        match answer {
            Answer::Response(waiting, response) => {
                let mut bytes = Vec::new();
                response.write(waiting.keep_alive, waiting.head_only, Some(date), &mut bytes);
                Self { status: response.status(), bytes }
            }
            Answer::Stream(events) => {
                let mut bytes = Vec::new();
                begin_stream(date, events, &mut bytes);
                Self { status: 200, bytes }
            }
            Answer::Written(status, bytes) => Self { status: *status, bytes: bytes.clone() },
        }
    }

    fn restore(self) -> Result<Answer, InvalidState> {
        let Self { status, bytes } = self;
        match status {
            100..=599 => Ok(Answer::Written(status, bytes)),
            _ => Err(InvalidState::new("an answer with a status that is none")),
        }
    }
}
