//! A batch that is worked off line by line: each line is answered in its place, and what a command changes is done before
//! the next one is looked at.

mod carry;

pub use carry::CarriedBatch;

use super::answers::Answers;
use super::asker::Asker;
use crate::core::{Core, Finished, Started};
use crate::dispatch::Push;
use crate::gateway::api::batch::BatchCursor;
use crate::gateway::api::json::RequestId;
use crate::gateway::api::render;
use crate::session::{AppId, SessionId};
use std::sync::Arc;

/// See the module.
#[derive(Debug)]
pub struct Batch {
    body: Vec<u8>,
    cursor: BatchCursor,
    app: AppId,
    /// Who sent it, and may do what each line asks for.
    asker: Asker,
    /// One result for each line.
    queue: Answers<Option<RequestId>>,
    results: Vec<u8>,
    /// Where the answer to the whole batch goes.
    pub answer: u64,
    barrier: Option<u64>,
    at_end: bool,
    /// The last line waits behind what turns left over: until it is done, others ask.
    ticket: u64,
}

/// How far a batch came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Every line has its result.
    Done,
    /// Results have to come first.
    Waits,
    /// The turn has no more time for it.
    NextTurn,
}

impl Batch {
    /// A batch whose answer is the one at `answer`.
    pub fn new(body: Vec<u8>, cursor: BatchCursor, app: AppId, asker: Asker, answer: u64) -> Self {
        let (queue, results) = (Answers::default(), Vec::new());
        Self { body, cursor, app, asker, queue, results, answer, barrier: None, at_end: false, ticket: 0 }
    }

    /// The result of a line is there.
    pub fn fill(&mut self, sequence: u64, finished: &Finished) {
        if self.barrier == Some(sequence) {
            self.barrier = None;
        }
        self.asker.note(finished);
        // Only a link can listen.
        finished.with_outcome(
            |_| Vec::new(),
            |asked, outcome| {
                self.queue.fill(sequence, |id| {
                    let mut line = String::new();
                    render::reply(&mut line, id.as_ref(), asked, outcome);
                    line.push('\n');
                    line.into_bytes()
                });
            },
        );
    }

    /// Whether the result of a line is waited for.
    pub fn is_waiting(&self, sequence: u64) -> bool {
        self.queue.is_waiting(sequence)
    }

    /// The memory of what it is made of.
    pub fn bytes(&self) -> usize {
        self.body.capacity()
    }

    /// All results, once there are all.
    pub fn into_results(self) -> Vec<u8> {
        self.results
    }

    /// Works it off as far as it may go in this turn. Receipts that are waited for are noted with `note`.
    pub fn run(&mut self, core: &mut Core, id: SessionId, mut note: impl FnMut(u64, Arc<Push>)) -> Progress {
        let most = core.rules.settings.config.limits.max_receipts;
        let mut lines = core.rules.settings.config.limits.turn_envelopes;
        loop {
            while let Some(result) = self.queue.take_ready() {
                self.results.extend_from_slice(&result);
            }
            if self.at_end || self.barrier.is_some() || self.queue.len() >= most {
                break;
            }
            if lines == 0
                || !core.is_work_done(self.ticket)
                || core.is_flooded_with_work()
                || core.budget.is_spent_on_deliveries()
            {
                return Progress::NextTurn;
            }
            lines -= 1;
            match self.cursor.next(&self.body, self.asker.apps(), &core.rules.settings.command_limits) {
                None => self.at_end = true,
                Some(Err(refused)) => {
                    let sequence = self.queue.open(refused.id);
                    self.fill(sequence, &Finished::Refused(refused.error));
                }
                Some(Ok(mut line)) => {
                    self.asker.narrow(core, &mut line.command);
                    let (app, barrier) = (line.app.unwrap_or(self.app), line.op.row.is_barrier);
                    let sequence = self.queue.open(line.id);
                    if let Err(error) = self.asker.permit(core, line.op.row.needs) {
                        self.fill(sequence, &Finished::Refused(error));
                        continue;
                    }
                    match core.execute(id, sequence, app, line.command) {
                        Started::Finished(finished) => self.fill(sequence, &finished),
                        Started::Push(push) => note(sequence, push),
                        Started::Operation if barrier => self.barrier = Some(sequence),
                        Started::Operation => {}
                    }
                    self.ticket = core.work_ticket();
                }
            }
        }
        match self.at_end && self.queue.is_empty() {
            true => Progress::Done,
            false => Progress::Waits,
        }
    }
}
