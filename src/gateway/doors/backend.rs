//! HTTP on the backend port: requests in order, pipelined, answered in order; a batch is worked off line by line. What a
//! command changes is done before the next one is looked at. Knows nothing of what the paths mean.

use super::link::Link;
use crate::connection::{Lane, Phase, Stage};
use crate::core::Core;
use crate::core::Finished;
use crate::dispatch::LinkForm;
use crate::gateway::Gateway;
use crate::gateway::api::batch::BatchCursor;
use crate::gateway::api::json::RequestId;
use crate::gateway::api::responses::{
    error_response, link_upgrade, page, refusal_response, too_many_pages, unauthorized,
};
use crate::gateway::api::routes::{Routed, route};
use crate::gateway::api::{backend_key, render};
use crate::gateway::observer::Page;
use crate::http::{self, BodyReader, HeadScanner, Request, Response};
use crate::metrics::StatusClass;
use crate::protocol::WebSocket;
use crate::session::{AppId, SessionId};
use log::debug;
use std::sync::Arc;

/// Room that a connection keeps for the next request's body.
const KEPT_BODY: usize = 64 * 1024;

/// The state of an HTTP connection on the backend port.
#[derive(Debug, Default)]
pub struct Backend {
    /// Read, but not handled. Begins with a request's head.
    input: Vec<u8>,
    scanner: HeadScanner,
    /// The request whose head is whole.
    reading: Option<Reading>,
    /// The body of that request, as far as it has come.
    body: Vec<u8>,
    /// Answers in the order of their requests.
    lane: Lane<Waiting, Answer>,
    /// The request that has to be done before the next one starts.
    barrier: Option<u64>,
    /// The batch that is being worked off: nothing else is, meanwhile.
    batch: Option<Box<Batch>>,
    /// Nothing is read until a request is done or the outbox has drained.
    paused: bool,
    /// No more requests: the connection ends with the last answer, and what comes meanwhile is thrown away.
    last: bool,
}

/// A request whose head is whole.
#[derive(Debug)]
struct Reading {
    head_length: usize,
    body: BodyReader,
}

/// What an answer needs to know of its request.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    keep_alive: bool,
    head_only: bool,
}

/// The answer after which the connection ends.
const LAST: Waiting = Waiting { keep_alive: false, head_only: false };

/// A whole response.
#[derive(Debug)]
struct Answer {
    status: u16,
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct Batch {
    body: Vec<u8>,
    cursor: BatchCursor,
    app: AppId,
    lane: Lane<Option<RequestId>>,
    results: Vec<u8>,
    answer: u64,
    at_end: bool,
}

/// The next step of reading a request.
enum Step {
    /// More bytes are needed; with `true` the client waits to be told so.
    More(bool),
    /// Head and body are whole.
    Whole(usize),
    /// It cannot be read on.
    Bad(u16, String),
    /// A body is to come from somebody who has not shown the key.
    Unauthorized,
}

impl Backend {
    /// Whether nothing is being done for it.
    pub fn is_idle(&self) -> bool {
        self.lane.is_empty() && self.batch.is_none()
    }

    /// Whether nothing is being done for it, and no part of a request has been read.
    pub fn is_between_requests(&self) -> bool {
        self.is_idle() && self.reading.is_none() && self.input.is_empty()
    }

    /// Whether it is not to be read.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// No further request is taken.
    pub fn take_no_more(&mut self) {
        self.last = true;
    }

    /// The answer to a command is there.
    pub fn fill(&mut self, sequence: u64, finished: &Finished) {
        if self.barrier == Some(sequence) {
            self.barrier = None;
        }
        finished.with_outcome(|asked, outcome| match &mut self.batch {
            Some(batch) => batch.lane.fill(sequence, |id| {
                let mut line = String::new();
                render::reply(&mut line, id.as_ref(), asked, outcome);
                line.push('\n');
                line.into_bytes()
            }),
            None => self.lane.fill(sequence, |waiting| {
                let mut json = String::new();
                let status = render::http_answer(&mut json, asked, outcome);
                waiting.render(&Response::json(status, json))
            }),
        });
    }

    /// The page that was asked for is there. No batch is worked off meanwhile: one starts behind all earlier answers.
    pub fn fill_page(&mut self, sequence: u64, response: &Response) {
        if self.barrier == Some(sequence) {
            self.barrier = None;
        }
        self.lane.fill(sequence, |waiting| waiting.render(response));
    }

    fn may_go_on(&self, most: usize) -> bool {
        self.barrier.is_none() && self.batch.is_none() && !self.last && self.lane.len() < most
    }

    /// Moves the answers that may leave to `answers`.
    fn take_answers(&mut self, core: &Core, answers: &mut Vec<u8>) {
        while let Some(answer) = self.lane.take_ready() {
            // 100 (Continue) has not answered anything yet.
            if answer.status != 100 {
                core.metrics().http_requests.of(StatusClass::from_status(answer.status)).add(1);
            }
            answers.extend_from_slice(&answer.bytes);
        }
    }

    /// Tells the client, behind the answers to its earlier requests, to send the body that it holds back.
    fn say_continue(&mut self) {
        let sequence = self.lane.open(LAST);
        self.lane.fill(sequence, |_| Answer { status: 100, bytes: http::CONTINUE.to_vec() });
    }

    fn respond(&mut self, waiting: Waiting, response: &Response) {
        let sequence = self.lane.open(waiting);
        self.lane.fill(sequence, |waiting| waiting.render(response));
        self.last |= !waiting.keep_alive;
    }

    /// Reads on in `input`; the bytes of the body are taken out of it.
    fn step(&mut self, input: &mut Vec<u8>, start: usize, core: &Core) -> Step {
        let settings = &core.shared.settings;
        let mut waits = false;
        if self.reading.is_none() {
            let head_length = match self.scanner.scan(&input[start..], &settings.head_limits) {
                Ok(Some(length)) => length,
                Ok(None) => return Step::More(false),
                Err(error) => return Step::Bad(error.status(), error.to_string()),
            };
            let request = match Request::parse(&input[start..start + head_length], &settings.head_limits) {
                Ok(request) => request,
                Err(error) => return Step::Bad(error.status(), error.to_string()),
            };
            let key = settings.backend_key.as_deref();
            let authorized = backend_key::authorized(request.header("authorization"), key);
            match BodyReader::new(request.body(), settings.config.limits.max_body_bytes) {
                // Nothing is kept for somebody who may not ask.
                Ok(body) if !body.is_done() && !authorized => return Step::Unauthorized,
                Ok(body) => self.reading = Some(Reading { head_length, body }),
                Err(error) => return Step::Bad(error.status(), error.to_string()),
            }
            waits = request.expects_continue();
        }
        let Some(reading) = &mut self.reading else { return Step::More(false) };
        let body_start = start + reading.head_length;
        match reading.body.read(&input[body_start..], &mut self.body) {
            Ok((taken, whole)) => {
                input.drain(body_start..body_start + taken);
                match whole {
                    true => Step::Whole(reading.head_length),
                    false => Step::More(waits && self.body.is_empty()),
                }
            }
            Err(error) => Step::Bad(error.status(), error.to_string()),
        }
    }
}

impl Waiting {
    fn render(self, response: &Response) -> Answer {
        let mut bytes = Vec::new();
        response.write(self.keep_alive, self.head_only, &mut bytes);
        Answer { status: response.status(), bytes }
    }
}

/// Why no further request is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stopped {
    /// All that is whole has been handled.
    NeedsMore,
    /// What was asked has to be answered first.
    Blocked,
    /// The connection is a link from here on.
    Upgraded(AppId, LinkForm),
}

/// What handling a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Handled {
    /// It has been answered, or will be.
    Taken,
    /// It has to wait until every earlier answer has left.
    NotYet,
    /// The connection is a link from here on.
    Upgraded(AppId, LinkForm),
}

impl Gateway {
    /// Bytes from an HTTP connection.
    pub fn backend_input(&mut self, core: &mut Core, slot: u32, input: &[u8]) {
        if let Some(Stage::Backend(backend)) = core.connection(slot).map(|connection| &mut connection.stage)
            && !backend.last
        {
            backend.input.extend_from_slice(input);
            self.run_backend(core, slot);
        }
    }

    /// The peer has ended its side: the answers that are due still go out.
    pub fn backend_ended(&mut self, core: &mut Core, slot: u32) {
        // While a whole request waits nothing is read, and so no end is seen: what is left now is none.
        if let Some(Stage::Backend(backend)) = core.connection(slot).map(|connection| &mut connection.stage) {
            backend.take_no_more();
        }
        self.run_backend(core, slot);
    }

    /// Handles what has been read of an HTTP connection as far as it may go, and sends the answers that are ready.
    pub fn run_backend(&mut self, core: &mut Core, slot: u32) {
        let Some(id) = core.connections.id_of(slot) else { return };
        let room = core.shared.settings.outbox.bytes;
        let Some(connection) = core.connection(slot) else { return };
        if connection.phase != Phase::Open {
            return;
        }
        let behind = connection.outbox.as_ref().is_some_and(|outbox| outbox.bytes() > room);
        // While it is worked on, nobody else may find it: the core can be used freely.
        let mut backend = match std::mem::replace(&mut connection.stage, Stage::Discard) {
            Stage::Backend(backend) => backend,
            other => {
                connection.stage = other;
                return;
            }
        };
        let mut input = std::mem::take(&mut backend.input);
        let mut start = 0;
        let mut answers = Vec::new();
        self.run_batch(core, id, &mut backend);
        let stopped = match behind {
            true => Stopped::Blocked,
            false => self.run_requests(core, id, &mut backend, &mut input, &mut start, &mut answers),
        };
        backend.take_answers(core, &mut answers);
        input.drain(..start);
        if !backend.last {
            backend.input = input;
        }
        core.append(slot, answers);
        match stopped {
            Stopped::Upgraded(app, form) => become_link(core, slot, *backend, app, form),
            Stopped::Blocked | Stopped::NeedsMore => put_back(core, slot, backend, stopped),
        }
        if matches!(stopped, Stopped::Upgraded(..)) {
            self.run_link(core, slot);
        }
    }

    /// Handles whole requests in `input` from `start` on, until one has to wait.
    fn run_requests(
        &mut self,
        core: &mut Core,
        id: SessionId,
        backend: &mut Backend,
        input: &mut Vec<u8>,
        start: &mut usize,
        answers: &mut Vec<u8>,
    ) -> Stopped {
        let most = core.shared.settings.config.limits.max_pipelined;
        let room = core.shared.settings.outbox.bytes;
        while *start < input.len() {
            // The answers that leave make room for further requests, but not for answers without end.
            backend.take_answers(core, answers);
            if answers.len() > room || !backend.may_go_on(most) {
                return Stopped::Blocked;
            }
            match backend.step(input, *start, core) {
                Step::More(waits) => {
                    if waits {
                        backend.say_continue();
                    }
                    return Stopped::NeedsMore;
                }
                Step::Bad(status, message) => {
                    debug!("backend connection {id}: {status}, {message}");
                    backend.respond(LAST, &error_response(status, &message));
                }
                Step::Unauthorized => {
                    debug!("backend connection {id}: no key or a wrong one");
                    backend.respond(LAST, &unauthorized());
                }
                Step::Whole(head_length) => {
                    let mut body = std::mem::take(&mut backend.body);
                    let head = &input[*start..*start + head_length];
                    let handled = self.handle(core, id, backend, head, &mut body);
                    backend.body = body;
                    if handled == Handled::NotYet {
                        return Stopped::Blocked;
                    }
                    *start += head_length;
                    backend.reading = None;
                    backend.body.clear();
                    backend.body.shrink_to(KEPT_BODY);
                    if let Handled::Upgraded(app, form) = handled {
                        return Stopped::Upgraded(app, form);
                    }
                }
            }
        }
        Stopped::NeedsMore
    }

    fn handle(
        &mut self,
        core: &mut Core,
        id: SessionId,
        backend: &mut Backend,
        head: &[u8],
        body: &mut Vec<u8>,
    ) -> Handled {
        let settings = &core.shared.settings;
        // It was parsed when its head was whole; a second look cannot differ.
        let Ok(request) = Request::parse(head, &settings.head_limits) else { return Handled::Taken };
        let waiting = Waiting {
            keep_alive: request.keep_alive() && !core.draining,
            head_only: request.method == "HEAD",
        };
        if !backend_key::authorized(request.header("authorization"), settings.backend_key.as_deref()) {
            debug!("backend connection {id}: no key or a wrong one");
            backend.respond(waiting, &unauthorized());
            return Handled::Taken;
        }
        let routed = match route(&request, body, &core.shared.apps, &settings.command_limits) {
            Ok(routed) => routed,
            Err(refusal) => {
                debug!("backend connection {id}: {} {}: {}", request.method, request.path, refusal.error);
                backend.respond(waiting, &refusal_response(&refusal));
                return Handled::Taken;
            }
        };
        match routed {
            Routed::Command { app, command } => {
                let barrier = command.is_barrier();
                let sequence = backend.lane.open(waiting);
                backend.last |= !waiting.keep_alive;
                match core.execute(id, sequence, app, command) {
                    Some(finished) => backend.fill(sequence, &finished),
                    None if barrier => backend.barrier = Some(sequence),
                    None => {}
                }
            }
            Routed::Batch { .. } | Routed::Link { .. } if !backend.lane.is_empty() => return Handled::NotYet,
            Routed::Batch { app, cursor } => {
                let (body, results) = (std::mem::take(body), Vec::new());
                let answer = backend.lane.open(waiting);
                backend.last |= !waiting.keep_alive;
                let lane = Lane::default();
                backend.batch =
                    Some(Box::new(Batch { body, cursor, app, lane, results, answer, at_end: false }));
                self.run_batch(core, id, backend);
            }
            Routed::Link { app } => match link_upgrade(core, &request) {
                Ok((form, accept)) => {
                    let sequence = backend.lane.open(waiting);
                    backend.lane.fill(sequence, |_| Answer { status: 101, bytes: accept });
                    return Handled::Upgraded(app, form);
                }
                Err(response) => backend.respond(waiting, &response),
            },
            Routed::Stats => self.observe(id, backend, waiting, Page::Stats),
            Routed::Metrics => self.observe(id, backend, waiting, Page::Metrics),
            _ => backend.respond(waiting, &page(core, &routed)),
        }
        Handled::Taken
    }

    /// Has a page about the whole process rendered elsewhere. What comes behind waits for it: so the page knows of no later
    /// command, and one connection waits for one page at a time, however many it asks for.
    fn observe(&mut self, id: SessionId, backend: &mut Backend, waiting: Waiting, page: Page) {
        let sequence = backend.lane.open(waiting);
        backend.last |= !waiting.keep_alive;
        match self.observer.ask(page, id, sequence) {
            true => backend.barrier = Some(sequence),
            false => backend.fill_page(sequence, &too_many_pages()),
        }
    }

    /// Works off a batch as far as it may go in one turn.
    fn run_batch(&mut self, core: &mut Core, id: SessionId, backend: &mut Backend) {
        let most = core.shared.settings.config.limits.max_pipelined;
        let mut lines = core.shared.settings.config.limits.turn_envelopes;
        loop {
            let Some(batch) = &mut backend.batch else { return };
            while let Some(result) = batch.lane.take_ready() {
                batch.results.extend_from_slice(&result);
            }
            if batch.at_end || backend.barrier.is_some() || batch.lane.len() >= most {
                break;
            }
            if lines == 0 {
                core.read_later(id.slot());
                return;
            }
            lines -= 1;
            match batch.cursor.next(&batch.body, &core.shared.apps, &core.shared.settings.command_limits) {
                None => batch.at_end = true,
                Some(Err(refused)) => {
                    let sequence = batch.lane.open(refused.id);
                    backend.fill(sequence, &Finished::Refused(refused.error));
                }
                Some(Ok(line)) => {
                    let (app, barrier) = (line.app.unwrap_or(batch.app), line.command.is_barrier());
                    let sequence = batch.lane.open(line.id);
                    match core.execute(id, sequence, app, line.command) {
                        Some(finished) => backend.fill(sequence, &finished),
                        None if barrier => backend.barrier = Some(sequence),
                        None => {}
                    }
                }
            }
        }
        let Some(batch) = backend.batch.take_if(|batch| batch.at_end && batch.lane.is_empty()) else {
            return;
        };
        let response = Response::new(200, "application/x-ndjson", batch.results);
        backend.lane.fill(batch.answer, |waiting| waiting.render(&response));
    }
}

fn put_back(core: &mut Core, slot: u32, mut backend: Box<Backend>, stopped: Stopped) {
    let most = core.shared.settings.config.limits.max_pipelined;
    let was_paused = backend.paused;
    backend.paused = !backend.last && (stopped == Stopped::Blocked || !backend.may_go_on(most));
    let resumed = was_paused && !backend.paused;
    let over = backend.last && backend.is_idle();
    if let Some(connection) = core.connection(slot) {
        connection.stage = Stage::Backend(backend);
    }
    if over {
        core.finish(slot);
    } else if resumed {
        core.read_later(slot);
    }
}

fn become_link(core: &mut Core, slot: u32, backend: Backend, app: AppId, form: LinkForm) {
    let websocket = WebSocket::server(Arc::clone(&core.shared.settings.link_limits));
    if let Some(connection) = core.connection(slot) {
        connection.stage = Stage::Link(Box::new(Link::new(websocket, form, app, backend.input)));
        core.metrics().links.add(1);
    }
}
