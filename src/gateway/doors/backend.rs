//! HTTP on the backend port: requests in order, pipelined, answered in order. What a command changes is done before the
//! next one is looked at. Knows nothing of what the paths mean.

mod carry;
mod feeding;
mod figures;
mod settling;

pub use carry::CarriedBackend;

use super::admin::{administer, begin_upgrade};
use super::answers::Answers;
use super::asker::Asker;
use super::batch::{Batch, Progress};
use super::calling::Upgrade;
use super::entry::{TurnedAway, enter};
use super::job::Answered;
use super::observer::Observer;
use super::pages::{page, too_many_jobs};
use super::receipts::Receipts;
use crate::connection::{Pause, Phase, log_client};
use crate::core::{AskedBy, Core, Finished, Started};
use crate::dispatch::Push;
use crate::gateway::api::responses::{answer, error_response, link_upgrade, refusal_response};
use crate::gateway::api::routes::{Routed, route};
use crate::http::{self, HttpDate, Request, RequestProgress, RequestReader, Response};
use crate::metrics::StatusClass;
use crate::session::SessionId;
use feeding::{Feeding, begin_stream};
use std::sync::Arc;

/// The state of an HTTP connection on the backend port.
#[derive(Debug, Default)]
pub struct Backend {
    reader: RequestReader,
    /// Answers in the order of their requests.
    queue: Answers<Waiting, Answer>,
    receipts: Receipts,
    /// The request that has to be done before the next one starts.
    barrier: Option<u64>,
    /// The batch that is being worked off: nothing else is, meanwhile.
    batch: Option<Box<Batch>>,
    /// Who sent the request that was looked at last: what changes something is done before the next one is.
    asker: Option<Asker>,
    /// The answer to the request that is being read, which is not let in.
    turned_away: Option<Response>,
    /// No more requests: the connection ends with the last answer, and what comes meanwhile is thrown away.
    last: bool,
    /// A request was whole since this was last looked at.
    completed: bool,
    /// The batch goes on in the next turn.
    hurries: bool,
    /// The feed that the last request is about.
    feeding: Option<Box<Feeding>>,
    /// Its last command may wait behind what turns left over: until it is done, others ask.
    ticket: u64,
}

/// What a connection is that has become a link.
pub struct Upgraded {
    /// The link.
    pub upgrade: Upgrade,
    /// What came behind the request.
    pub rest: Vec<u8>,
}

/// What an answer needs to know of its request.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    keep_alive: bool,
    head_only: bool,
}

/// What is sent when it is its turn.
#[derive(Debug)]
enum Answer {
    /// A response, which is written when it leaves, with the date of then.
    Response(Waiting, Response),
    /// One that is written already: 101, 100, which has not answered anything yet, and what was ready in another process.
    Written(u16, Vec<u8>),
    /// An event stream, which goes on behind these events.
    Stream(Vec<u8>),
}

impl Backend {
    /// Bytes have come.
    pub fn take(&mut self, input: &[u8]) {
        if !self.last {
            self.reader.push(input);
        }
    }

    /// Whether nothing is being done for it.
    fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.batch.is_none() && !self.streams()
    }

    /// Whether nothing is being done for it, and no part of a request has been read.
    pub fn is_between_requests(&self) -> bool {
        self.is_idle() && self.reader.is_between_requests()
    }

    /// No further request is taken.
    pub fn take_no_more(&mut self) {
        if self.streams() {
            self.feeding = None;
        }
        self.last = true;
    }

    /// What is coming does not end in time, or is too much with all that others send: that is its last answer.
    pub fn give_up(&mut self, is_late: bool) {
        let (status, message) = match is_late {
            true => (408, "the request was not complete in time"),
            false => (503, "too much is half received: try again later, or raise limits.incoming_bytes"),
        };
        self.respond(Waiting::last(self.reader.is_head()), error_response(status, message));
        self.reader = RequestReader::default();
    }

    /// The answer to a command is there.
    pub fn fill(&mut self, sequence: u64, finished: &Finished) {
        if let Some(batch) = &mut self.batch {
            return batch.fill(sequence, finished);
        }
        if self.barrier == Some(sequence) {
            self.barrier = None;
        }
        if self.feed_opened(sequence, finished) {
            return;
        }
        if let Some(asker) = &self.asker {
            asker.note(finished);
        }
        // Only a link can listen.
        finished.with_outcome(
            |_| Vec::new(),
            |asked, outcome| {
                self.queue.fill(sequence, |waiting| Answer::Response(*waiting, answer(asked, outcome)));
            },
        );
    }

    /// Answers the receipts whose time is over with what is known of them.
    pub fn answer_late_receipts(&mut self, now_ms: u64) {
        while let Some((sequence, push)) = self.receipts.take_late(now_ms) {
            self.fill(sequence, &Finished::Push(push));
        }
    }

    /// The page that was asked for is there. No batch is worked off meanwhile: one starts behind all earlier answers.
    pub fn fill_page(&mut self, sequence: u64, response: Response) {
        if self.barrier == Some(sequence) {
            self.barrier = None;
        }
        self.queue.fill(sequence, |waiting| Answer::Response(*waiting, response));
    }

    fn is_awaited(&self, sequence: u64) -> bool {
        match &self.batch {
            Some(batch) => batch.is_waiting(sequence),
            None => self.queue.is_waiting(sequence),
        }
    }

    fn await_receipt(&mut self, core: &Core, sequence: u64, push: Arc<Push>) {
        let deadline_ms = core.now.ms + core.rules.settings.receipt_ms;
        let mut receipts = std::mem::take(&mut self.receipts);
        receipts.add(deadline_ms, sequence, push, |sequence| self.is_awaited(sequence));
        self.receipts = receipts;
    }

    fn may_go_on(&self, most: usize) -> bool {
        self.barrier.is_none() && self.batch.is_none() && !self.last && self.queue.len() < most
    }

    /// Moves the answers that may leave to `answers`.
    fn take_answers(&mut self, core: &Core, date: HttpDate, answers: &mut Vec<u8>) {
        while let Some(answer) = self.queue.take_ready() {
            let status = match answer {
                Answer::Response(waiting, response) => {
                    response.write(waiting.keep_alive, waiting.head_only, Some(date), answers);
                    response.status()
                }
                Answer::Stream(events) => {
                    begin_stream(date, &events, answers);
                    200
                }
                Answer::Written(status, bytes) => {
                    answers.extend_from_slice(&bytes);
                    status
                }
            };
            // 100 (Continue) has not answered anything yet.
            if status != 100 {
                core.metrics().http_requests.of(StatusClass::from_status(status)).add(1);
            }
        }
    }

    /// Tells the client, behind the answers to its earlier requests, to send the body that it holds back.
    fn say_continue(&mut self) {
        let sequence = self.queue.open(Waiting::last(false));
        self.queue.fill(sequence, |_| Answer::Written(100, http::CONTINUE.to_vec()));
    }

    fn respond(&mut self, waiting: Waiting, response: Response) {
        let sequence = self.queue.open(waiting);
        self.queue.fill(sequence, |waiting| Answer::Response(*waiting, response));
        self.last |= !waiting.keep_alive;
    }
}

impl Waiting {
    /// Of an answer after which the connection ends.
    fn last(head_only: bool) -> Self {
        Self { keep_alive: false, head_only }
    }
}

/// Why no further request is handled.
#[derive(Debug)]
enum Stopped {
    /// All that is whole has been handled.
    NeedsMore,
    /// What was asked has to be answered first.
    Blocked,
    /// The turn has no more time for it.
    NextTurn,
    /// The connection is a link from here on.
    Upgraded(Upgrade),
}

/// What handling a request came to.
#[derive(Debug)]
enum Handled {
    /// It has been answered, or will be.
    Taken,
    /// It has to wait until every earlier answer has left.
    NotYet,
    /// The connection is a link from here on.
    Upgraded(Upgrade),
}

impl Backend {
    /// Handles what has been read as far as it may go, and sends the answers that are ready.
    pub fn run(&mut self, core: &mut Core, observer: &Observer, id: SessionId) -> Option<Upgraded> {
        let (slot, room) = (id.slot(), core.rules.settings.outbox.bytes);
        self.end_feed_that_failed(core);
        let connection = core.connections.get(id)?;
        if connection.phase != Phase::Open {
            return None;
        }
        let behind = connection.outbox.as_ref().is_some_and(|outbox| outbox.bytes() > room);
        let mut reader = std::mem::take(&mut self.reader);
        let (date, mut answers) = (core.http_date(), Vec::new());
        // While the world stands still nothing begins: another process may go on from here.
        let batch = if core.stands_still { Some(Progress::NextTurn) } else { self.run_batch(core, id) };
        let stopped = match behind {
            true => Stopped::Blocked,
            false if batch == Some(Progress::NextTurn) => Stopped::NextTurn,
            false => self.run_requests(core, observer, id, &mut reader, &mut answers),
        };
        self.take_answers(core, date, &mut answers);
        core.budget.charge_socket(0, answers.len());
        core.append(slot, answers);
        if let Stopped::Upgraded(upgrade) = stopped {
            return Some(Upgraded { upgrade, rest: reader.into_unread() });
        }
        if !self.last {
            self.reader = reader;
        }
        self.stream_on(core, id, behind);
        self.go_on_with_figures(core, observer, id);
        self.settle(core, id, stopped);
        if behind && self.streams() {
            core.set_pause(slot, Pause::Answers, true);
        }
        None
    }

    /// Handles the requests that are whole, until one has to wait.
    fn run_requests(
        &mut self,
        core: &mut Core,
        observer: &Observer,
        id: SessionId,
        reader: &mut RequestReader,
        answers: &mut Vec<u8>,
    ) -> Stopped {
        let most = core.rules.settings.config.limits.max_pipelined;
        let (room, date) = (core.rules.settings.outbox.bytes, core.http_date());
        while reader.has_more() {
            // The answers that leave make room for further requests, but not for answers without end.
            self.take_answers(core, date, answers);
            if answers.len() > room || !self.may_go_on(most) {
                return Stopped::Blocked;
            }
            if core.budget.is_spent_on_sockets()
                || core.is_flooded_with_work()
                || !core.is_work_done(self.ticket)
                || answers.len() > core.budget.bytes
            {
                return Stopped::NextTurn;
            }
            match reader.read(&core.rules.settings.message_limits) {
                Ok(RequestProgress::NeedsMore) => return Stopped::NeedsMore,
                Ok(RequestProgress::ExpectsContinue) => {
                    self.say_continue();
                    return Stopped::NeedsMore;
                }
                Ok(RequestProgress::Head(request)) => self.look_at_head(core, id, &request),
                Ok(RequestProgress::Whole(request, body)) => {
                    match self.handle(core, observer, id, &request, body) {
                        Handled::NotYet => return Stopped::Blocked,
                        Handled::Upgraded(upgrade) => {
                            reader.next_request();
                            return Stopped::Upgraded(upgrade);
                        }
                        Handled::Taken => reader.next_request(),
                    }
                    self.completed = true;
                }
                Err(error) => {
                    log_client!(debug, connection = id, core.remote_of(id), "{}, {error}", error.status());
                    self.respond(
                        Waiting::last(reader.is_head()),
                        error_response(error.status(), &error.to_string()),
                    );
                }
            }
        }
        Stopped::NeedsMore
    }

    /// Looks who sends a request. Nothing is kept for somebody who may not ask: where a body is to come, the connection ends.
    fn look_at_head(&mut self, core: &mut Core, id: SessionId, request: &Request<'_>) {
        match enter(core, id, request) {
            Ok(asker) => (self.asker, self.turned_away) = (Some(asker), None),
            Err(TurnedAway { response, ends }) if ends || request.has_body() => {
                self.respond(Waiting::last(request.method == "HEAD"), response);
            }
            Err(TurnedAway { response, .. }) => (self.asker, self.turned_away) = (None, Some(response)),
        }
    }

    fn handle(
        &mut self,
        core: &mut Core,
        observer: &Observer,
        id: SessionId,
        request: &Request<'_>,
        body: &mut Vec<u8>,
    ) -> Handled {
        let settings = &core.rules.settings;
        let waiting = Waiting {
            keep_alive: request.keep_alive() && !core.draining,
            head_only: request.method == "HEAD",
        };
        let Some(asker) = self.asker.clone() else {
            if let Some(response) = self.turned_away.take() {
                self.respond(waiting, response);
            }
            return Handled::Taken;
        };
        let routed = match route(request, body, asker.apps(), &settings.command_limits) {
            Ok(routed) => routed,
            Err(refusal) => {
                let (method, path) = (request.method, request.path);
                log_client!(debug, connection = id, core.remote_of(id), "{method} {path}: {}", refusal.error);
                self.respond(waiting, refusal_response(&refusal));
                return Handled::Taken;
            }
        };
        if let Err(error) = asker.permit(core, routed.needs()) {
            let (method, path) = (request.method, request.path);
            log_client!(debug, connection = id, core.remote_of(id), "{method} {path}: {error}");
            self.respond(waiting, refusal_response(&error.into()));
            return Handled::Taken;
        }
        match routed {
            Routed::Command { app, mut command, row } => {
                asker.narrow(core, &mut command);
                let barrier = row.is_barrier;
                let sequence = self.open(waiting);
                let started = core.execute(id, sequence, app, command);
                self.ticket = core.work_ticket();
                match started {
                    Started::Finished(finished) => self.fill(sequence, &finished),
                    Started::Push(push) => self.await_receipt(core, sequence, push),
                    Started::Operation if barrier => self.barrier = Some(sequence),
                    Started::Operation => {}
                }
            }
            Routed::Batch { .. } | Routed::Link { .. } if !self.queue.is_empty() => return Handled::NotYet,
            Routed::Batch { app, cursor, .. } => {
                let answer = self.open(waiting);
                // Its lines have sequence numbers of their own; every earlier receipt has been answered.
                self.receipts = Receipts::default();
                self.batch = Some(Box::new(Batch::new(std::mem::take(body), cursor, app, asker, answer)));
                self.run_batch(core, id);
            }
            Routed::Link { app, resume, .. } => match link_upgrade(core.draining, request) {
                Ok((form, accept)) => {
                    let sequence = self.queue.open(waiting);
                    self.queue.fill(sequence, |_| Answer::Written(101, accept));
                    return Handled::Upgraded(Upgrade { app, form, asker, resume });
                }
                Err(response) => self.respond(waiting, response),
            },
            Routed::Feed { app, feed, .. } => {
                let sequence = self.open(waiting);
                self.feed(core, id, sequence, request, (app, feed));
            }
            Routed::Order { order, .. } => {
                let answered = administer(core, &asker, order);
                self.give(core, observer, id, waiting, answered);
            }
            Routed::Page { page: asked, .. } => {
                let answered = page(core, asked, request);
                // It begins where every earlier answer has left.
                if matches!(answered, Answered::Figures) && !self.queue.is_empty() {
                    return Handled::NotYet;
                }
                self.give(core, observer, id, waiting, answered);
            }
        }
        Handled::Taken
    }

    /// Answers, or has the answer made elsewhere. What comes behind waits for that: so a page knows of no later command,
    /// and one connection waits for one job at a time, however many it asks for.
    fn give(
        &mut self,
        core: &Core,
        observer: &Observer,
        id: SessionId,
        waiting: Waiting,
        answered: Answered,
    ) {
        let sequence = self.open(waiting);
        let here = match answered {
            Answered::Figures => return self.begin_figures(core, observer, (id, sequence), waiting),
            Answered::Here(response) => Some(response),
            Answered::Elsewhere(job) => (!observer.ask(job, id, sequence)).then(too_many_jobs),
            Answered::Upgrade(request) => {
                begin_upgrade(&core.shared, request, AskedBy { connection: id, sequence }).err()
            }
        };
        match here {
            Some(response) => self.fill_page(sequence, response),
            None => self.barrier = Some(sequence),
        }
    }

    /// A place for the answer to a request.
    fn open(&mut self, waiting: Waiting) -> u64 {
        self.last |= !waiting.keep_alive;
        self.queue.open(waiting)
    }

    /// Works off the batch, if there is one, as far as it may go in one turn.
    fn run_batch(&mut self, core: &mut Core, id: SessionId) -> Option<Progress> {
        let mut batch = self.batch.take()?;
        let mut awaited = Vec::new();
        let progress = batch.run(core, id, |sequence, push| awaited.push((sequence, push)));
        if progress == Progress::Done {
            let answer = batch.answer;
            let response = Response::new(200, "application/x-ndjson", batch.into_results());
            self.queue.fill(answer, |waiting| Answer::Response(*waiting, response));
            (self.receipts, self.hurries) = (Receipts::default(), false);
            return Some(progress);
        }
        (self.batch, self.hurries) = (Some(batch), progress == Progress::NextTurn);
        for (sequence, push) in awaited {
            self.await_receipt(core, sequence, push);
        }
        Some(progress)
    }
}
