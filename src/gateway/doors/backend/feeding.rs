//! Requests for feeds: events of a backend that has no link. A feed is opened here, and may be had by another reactor later. An event
//! stream is one answer without an end, whose parts are asked for one after the other.

use super::{Answer, Backend};
use crate::connection::Visitor;
use crate::core::{
    Core, Fed, FeedForm, FeedRequest, Finished, Reads, Started, StatsStream, Taken, Ticket, first_of_feed,
};
use crate::dispatch::{CommandError, ErrorCode, Listen, Origin, Outcome};
use crate::gateway::api::over_http::{Cors, stream_head};
use crate::gateway::api::responses::refusal_response;
use crate::http::{HttpDate, Request, Response};
use crate::ops::{Feed, FeedPoll};
use crate::session::{AppId, SessionId};
use std::sync::Arc;

/// What a request for a feed waits for.
#[derive(Debug)]
pub(super) enum Feeding {
    /// A feed is being opened; `why` no other one goes on, where that was asked for.
    Opening { asked: Asked, ticket: Ticket, why: Option<&'static str> },
    /// One that there may be answers. If there is none, this is opened.
    Waiting { asked: Asked, ticket: Ticket, opens: Option<(AppId, Listen)> },
    /// It could not be opened.
    Failed(SessionId),
    /// It is a stream of figures. One that has come from another process is opened anew, behind this line of the audit trail.
    Figures { sequence: u64, stream: Option<Arc<StatsStream>>, goes_on_from: Option<u64> },
    /// It is a stream, whose next part is asked for or not.
    Streaming { sequence: u64, ticket: Ticket, is_asked: bool },
}

/// A request for a feed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    sequence: u64,
    form: FeedForm,
}

impl Backend {
    /// A request about a feed, which is answered under `sequence`.
    pub(super) fn feed(
        &mut self,
        core: &mut Core,
        id: SessionId,
        sequence: u64,
        request: &Request<'_>,
        (app, feed): (AppId, Feed),
    ) {
        let asked = Asked { sequence, form: form_of(request) };
        let FeedPoll { listen, resume, wait_ms } = match feed {
            Feed::Poll(poll) => *poll,
            Feed::End(ticket) => {
                return match found(core, &ticket) {
                    Some(ticket) => self.ask(core, id, asked, ticket, None, None),
                    None => self.refuse(sequence, no_feed()),
                };
            }
        };
        let wait_ms = match (asked.form, waits(core, wait_ms)) {
            (_, Err(error)) => return self.refuse(sequence, error),
            // The head of a stream waits for nothing.
            (FeedForm::Stream, Ok(_)) => 0,
            (FeedForm::Document, Ok(wait_ms)) => wait_ms,
        };
        let resume = resume.or_else(|| last_event(request));
        match resume.map(|(ticket, received)| (found(core, &ticket), received)) {
            None => self.open_feed(core, id, asked, (app, listen), None),
            Some((None, _)) => self.open_feed(core, id, asked, (app, listen), Some("unknown")),
            Some((Some(ticket), received)) => {
                let reads = Reads { received: Some(received), wait_ms, form: asked.form };
                self.ask(core, id, asked, ticket, Some(reads), Some((app, listen)));
            }
        }
    }

    /// Asks the reactor that has the feed.
    fn ask(
        &mut self,
        core: &mut Core,
        id: SessionId,
        asked: Asked,
        ticket: Ticket,
        reads: Option<Reads>,
        opens: Option<(AppId, Listen)>,
    ) {
        let Some(asker) = &self.asker else { return };
        let (access, shown) = (Arc::clone(asker.access()), ticket.clone());
        self.feeding = Some(Box::new(Feeding::Waiting { asked, ticket, opens }));
        self.barrier = Some(asked.sequence);
        let visitor = Visitor { connection: id, sequence: asked.sequence };
        core.send_feed_request(FeedRequest { ticket: shown, visitor, access, reads });
    }

    fn open_feed(
        &mut self,
        core: &mut Core,
        id: SessionId,
        asked: Asked,
        (app, listen): (AppId, Listen),
        why: Option<&'static str>,
    ) {
        let Some(asker) = &self.asker else { return };
        let sequence = asked.sequence;
        let ticket = match core.open_feed(id, asker.access()) {
            Ok(ticket) => ticket,
            Err(message) => return self.refuse(sequence, CommandError::new(ErrorCode::Conflict, message)),
        };
        let link = ticket.link();
        self.feeding = Some(Box::new(Feeding::Opening { asked, ticket, why }));
        self.barrier = Some(sequence);
        let origin = Origin::Connection { connection: id, sequence };
        if let Started::Finished(finished) = core.listen(link, app, listen, origin) {
            self.fill(sequence, &finished);
        }
    }

    /// If it is the opening of a feed that has come to its end: answers the request for it.
    pub(super) fn feed_opened(&mut self, sequence: u64, finished: &Finished) -> bool {
        let is_its = matches!(self.feeding.as_deref(), Some(Feeding::Opening { asked, .. }) if asked.sequence == sequence);
        let Some(feeding) = self.feeding.take_if(|_| is_its) else { return false };
        let Feeding::Opening { asked, ticket, why } = *feeding else { return false };
        let mut error = None;
        // A feed is not told the phase of ticks.
        let no_ticks = |_| Vec::new();
        finished.with_outcome(no_ticks, |_, outcome| {
            if let Outcome::Refused(refused) = outcome {
                error = Some(refused.clone());
            }
        });
        match error {
            None => {
                let first = first_of_feed(&ticket, why, asked.form);
                self.answer_feed(asked, ticket, first);
            }
            Some(error) => {
                self.feeding = Some(Box::new(Feeding::Failed(ticket.link())));
                self.refuse(sequence, error);
            }
        }
        true
    }

    /// The answer to a request, or the beginning of one without an end.
    fn answer_feed(&mut self, asked: Asked, ticket: Ticket, events: Vec<u8>) {
        let Asked { sequence, form } = asked;
        match form {
            FeedForm::Document => {
                self.fill_page(sequence, Response::new(200, "application/json", events));
            }
            FeedForm::Stream => {
                (self.barrier, self.last) = (None, true);
                self.feeding = Some(Box::new(Feeding::Streaming { sequence, ticket, is_asked: false }));
                self.queue.fill(sequence, |_| Answer::Stream(events));
            }
        }
    }

    /// A feed that listens to nothing is nobody's.
    pub(super) fn end_feed_that_failed(&mut self, core: &mut Core) {
        if let Some(Feeding::Failed(link)) = self.feeding.as_deref() {
            core.end_seat(*link);
            self.feeding = None;
        }
    }

    /// The reactor that has the feed answers.
    pub fn fed(&mut self, core: &mut Core, visitor: Visitor, answer: Fed) {
        let Some(feeding) = self.feeding.take() else { return };
        match (*feeding, answer) {
            (Feeding::Streaming { sequence, ticket, .. }, Fed::Events(events))
                if sequence == visitor.sequence =>
            {
                core.append(visitor.connection.slot(), events);
                self.feeding = Some(Box::new(Feeding::Streaming { sequence, ticket, is_asked: false }));
            }
            // The stream is over: whoever reads it asks anew.
            (Feeding::Streaming { sequence, .. }, _) if sequence == visitor.sequence => {}
            (Feeding::Waiting { asked, ticket, opens }, answer) if asked.sequence == visitor.sequence => {
                match (answer, opens) {
                    (Fed::Events(events), _) => self.answer_feed(asked, ticket, events),
                    (Fed::Ended, _) => self.fill_page(asked.sequence, Response::empty(204)),
                    (Fed::Overtaken, _) => {
                        let message = "another request has come for this feed";
                        self.refuse(asked.sequence, CommandError::new(ErrorCode::Conflict, message));
                    }
                    (Fed::Instead(_), None) => self.refuse(asked.sequence, no_feed()),
                    (Fed::Instead(why), Some(opens)) => {
                        self.open_feed(core, visitor.connection, asked, opens, Some(words(why)));
                    }
                }
            }
            // It was asked for before.
            (feeding, _) => self.feeding = Some(Box::new(feeding)),
        }
    }

    /// Asks for the next part of a stream, if all before it has been written as far as the socket takes it.
    pub(super) fn stream_on(&mut self, core: &mut Core, id: SessionId, is_behind: bool) {
        let wait_ms = core.rules.settings.config.timeouts.poll_wait.as_millis() as u64;
        let Some(Feeding::Streaming { sequence, ticket, is_asked }) = self.feeding.as_deref_mut() else {
            return;
        };
        if core.draining {
            self.feeding = None;
            return;
        }
        let Some(asker) = &self.asker else { return };
        if *is_asked || is_behind || core.stands_still {
            return;
        }
        *is_asked = true;
        let visitor = Visitor { connection: id, sequence: *sequence };
        let reads = Some(Reads { received: None, wait_ms, form: FeedForm::Stream });
        let (ticket, access) = (ticket.clone(), Arc::clone(asker.access()));
        core.send_feed_request(FeedRequest { ticket, visitor, access, reads });
    }

    /// Whether it is an event stream.
    pub(super) fn streams(&self) -> bool {
        matches!(self.feeding.as_deref(), Some(Feeding::Streaming { .. } | Feeding::Figures { .. }))
    }

    /// The stream on its way to another process: its ticket, and the number of its request.
    pub(super) fn carry_stream(&self) -> Option<(String, u64)> {
        match self.feeding.as_deref() {
            Some(Feeding::Streaming { sequence, ticket, .. }) => Some((ticket.to_string(), *sequence)),
            _ => None,
        }
    }

    fn refuse(&mut self, sequence: u64, error: CommandError) {
        self.fill_page(sequence, refusal_response(&error.into()));
    }
}

impl Feeding {
    /// The stream that was carried; `None` where its ticket is none.
    pub(super) fn restore((ticket, sequence): (String, u64)) -> Option<Box<Self>> {
        let ticket = ticket.parse().ok()?;
        Some(Box::new(Self::Streaming { sequence, ticket, is_asked: false }))
    }
}

/// The head of a stream and its first events.
pub(super) fn begin_stream(date: HttpDate, events: &[u8], out: &mut Vec<u8>) {
    stream_head(false, &Cors::default(), date, out);
    out.extend_from_slice(events);
}

/// Which form a request asks for.
fn form_of(request: &Request<'_>) -> FeedForm {
    let accepted = request.header("accept").unwrap_or_default();
    let mut types = accepted.split(|byte| *byte == b',');
    let is_stream = |one: &[u8]| {
        let kind = one.split(|byte| *byte == b';').next().unwrap_or_default();
        kind.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
    };
    if types.any(is_stream) { FeedForm::Stream } else { FeedForm::Document }
}

/// What a client of an event stream that comes back has read last.
fn last_event(request: &Request<'_>) -> Option<(Box<str>, u64)> {
    let id = str::from_utf8(request.header("last-event-id")?).ok()?;
    let (ticket, received) = id.split_once(':')?;
    Some((ticket.into(), received.parse().ok()?))
}

fn waits(core: &Core, wait_ms: Option<u64>) -> Result<u64, CommandError> {
    let timeouts = &core.rules.settings.config.timeouts;
    let most_ms = timeouts.max_poll_wait.as_millis() as u64;
    let wait_ms = wait_ms.unwrap_or(timeouts.poll_wait.as_millis() as u64);
    let beyond = || {
        let message = format!("wait_ms is at most {most_ms} (timeouts.max_poll_wait_ms)");
        CommandError::new(ErrorCode::BadRequest, message)
    };
    (wait_ms <= most_ms).then_some(wait_ms).ok_or_else(beyond)
}

fn no_feed() -> CommandError {
    let message = "there is no feed that this ticket is good for: open one without resume";
    CommandError::new(ErrorCode::NotFound, message)
}

/// The ticket, where it is of a link that this server may have.
fn found(core: &Core, ticket: &str) -> Option<Ticket> {
    let ticket: Ticket = ticket.parse().ok()?;
    let link = ticket.link();
    let is_ours = link.node() == core.shared.node && usize::from(link.worker()) < core.shared.reactors();
    is_ours.then_some(ticket)
}

/// Why a feed does not go on.
fn words(taken: Taken) -> &'static str {
    match taken {
        Taken::Resumed | Taken::Unknown => "unknown",
        Taken::Gap => "gap",
        Taken::Key => "key",
        Taken::Form => "form",
    }
}
