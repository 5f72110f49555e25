//! How a batch that is being worked off is carried to another process.

use super::Batch;
use crate::auth::CarriedAccess;
use crate::gateway::api::batch::BatchCursor;
use crate::gateway::api::json::RequestId;
use crate::gateway::doors::answers::{Answers, CarriedAnswers};
use crate::gateway::doors::asker::Asker;
use crate::gateway::doors::restoring::Restoring;
use crate::upgrade::InvalidState;
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

/// A [`Batch`] on its way.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct CarriedBatch {
    #[cbor(n(0), with = "minicbor::bytes")]
    body: Vec<u8>,
    /// How much of it has been walked, in bytes.
    #[n(1)]
    offset: u64,
    /// The same in lines.
    #[n(2)]
    lines: u64,
    #[n(3)]
    app: u16,
    #[n(4)]
    asker: CarriedAccess,
    #[n(5)]
    queue: CarriedAnswers<Option<String>, ByteVec>,
    #[cbor(n(6), with = "minicbor::bytes")]
    results: Vec<u8>,
    #[n(7)]
    answer: u64,
    #[n(8)]
    at_end: bool,
}

impl Batch {
    /// As it is carried.
    pub fn carry(&self) -> CarriedBatch {
        let Self {
            body,
            cursor,
            app,
            asker,
            queue,
            results,
            answer,
            // What changes something is done: a result that is not there then waits for a receipt.
            barrier: _,
            at_end,
            // Nothing is left over by turns.
            ticket: _,
        } = self;
        let (offset, lines) = cursor.place();
        CarriedBatch {
            body: body.clone(),
            offset: offset as u64,
            lines: lines as u64,
            app: app.0,
            asker: asker.carry(),
            queue: queue
                .carry(|id| id.as_ref().map(ToString::to_string), |result| ByteVec::from(result.clone())),
            results: results.clone(),
            answer: *answer,
            at_end: *at_end,
        }
    }

    /// The batch that was carried. Where the key of its sender is gone, the lines that are left are refused.
    ///
    /// # Errors
    /// Such a batch cannot have been.
    pub fn restore(carried: CarriedBatch, restoring: &Restoring<'_>) -> Result<Self, InvalidState> {
        let CarriedBatch { body, offset, lines, app, asker, queue, results, answer, at_end } = carried;
        let place = usize::try_from(offset).ok().zip(usize::try_from(lines).ok());
        let cursor = place.and_then(|(offset, lines)| BatchCursor::at(offset, lines, &body));
        let id = |text: Option<String>| {
            let id = text.map(|text| RequestId::of_text(&text).ok_or(()));
            id.transpose().map_err(|()| InvalidState::new("the line of a batch has an id that is none"))
        };
        let asker = Asker::restore(&asker, restoring).unwrap_or_else(|| Asker::nobody(restoring));
        Ok(Self {
            cursor: cursor.ok_or_else(|| InvalidState::new("a batch goes on where no line begins"))?,
            body,
            app: restoring.app(app)?,
            asker,
            queue: Answers::restore(queue, id, |result| Ok(result.into()))?,
            results,
            answer,
            barrier: None,
            at_end,
            ticket: 0,
        })
    }

    /// The lines whose results are not there yet.
    pub fn waiting(&self) -> impl Iterator<Item = u64> {
        self.queue.waiting()
    }
}
