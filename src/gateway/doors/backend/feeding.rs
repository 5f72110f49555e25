//! Requests for feeds: events of a backend that has no link. One is opened here, and may be had by another reactor later.

use super::Backend;
use crate::connection::Visitor;
use crate::core::{Core, Fed, FeedRequest, Finished, Started, Taken, Ticket, first_document};
use crate::dispatch::{Action, CommandError, ErrorCode, Listen, Operation, Origin, Outcome};
use crate::gateway::api::responses::refusal_response;
use crate::http::Response;
use crate::ops::{Feed, FeedPoll};
use crate::session::{AppId, SessionId};
use std::sync::Arc;

/// What a request for a feed waits for.
#[derive(Debug)]
pub(super) enum Feeding {
    /// A feed is being opened; `why` no other one goes on, where that was asked for.
    Opening { sequence: u64, ticket: Ticket, why: Option<&'static str> },
    /// One that there may be answers; if there is none, this is opened.
    Waiting { sequence: u64, app: AppId, listen: Option<Listen> },
    /// It could not be opened.
    Failed(SessionId),
}

impl Backend {
    /// A request about a feed.
    pub(super) fn feed(&mut self, core: &mut Core, id: SessionId, sequence: u64, app: AppId, feed: Feed) {
        let timeouts = &core.rules.settings.config.timeouts;
        let (poll_ms, most_ms) = (timeouts.poll_wait.as_millis(), timeouts.max_poll_wait.as_millis());
        match feed {
            Feed::End(ticket) => match found(core, &ticket) {
                Some(ticket) => self.ask(core, id, sequence, ticket, (app, None), None),
                None => self.refuse(sequence, no_feed()),
            },
            Feed::Poll(poll) => {
                let FeedPoll { listen, resume, wait_ms } = *poll;
                let wait_ms = wait_ms.unwrap_or(poll_ms as u64);
                if u128::from(wait_ms) > most_ms {
                    let message = format!("wait_ms is at most {most_ms} (timeouts.max_poll_wait_ms)");
                    return self.refuse(sequence, CommandError::new(ErrorCode::BadRequest, message));
                }
                match resume.map(|(ticket, received)| (found(core, &ticket), received)) {
                    None => self.open_feed(core, id, sequence, (app, listen), None),
                    Some((None, _)) => self.open_feed(core, id, sequence, (app, listen), Some("unknown")),
                    Some((Some(ticket), received)) => {
                        self.ask(core, id, sequence, ticket, (app, Some(listen)), Some((received, wait_ms)));
                    }
                }
            }
        }
    }

    /// Asks the reactor that has the feed.
    fn ask(
        &mut self,
        core: &mut Core,
        id: SessionId,
        sequence: u64,
        ticket: Ticket,
        (app, listen): (AppId, Option<Listen>),
        reads: Option<(u64, u64)>,
    ) {
        let Some(asker) = &self.asker else { return };
        let visitor = Visitor { connection: id, sequence };
        let request = FeedRequest { ticket, visitor, access: Arc::clone(asker.access()), reads };
        self.feeding = Some(Box::new(Feeding::Waiting { sequence, app, listen }));
        self.barrier = Some(sequence);
        core.send_feed_request(request);
    }

    fn open_feed(
        &mut self,
        core: &mut Core,
        id: SessionId,
        sequence: u64,
        (app, listen): (AppId, Listen),
        why: Option<&'static str>,
    ) {
        let Some(asker) = &self.asker else { return };
        let ticket = match core.open_feed(id, asker.access()) {
            Ok(ticket) => ticket,
            Err(message) => return self.refuse(sequence, CommandError::new(ErrorCode::Conflict, message)),
        };
        let action = Action::Listen { link: ticket.link(), listen };
        self.feeding = Some(Box::new(Feeding::Opening { sequence, ticket, why }));
        self.barrier = Some(sequence);
        let origin = Origin::Connection { connection: id, sequence };
        if let Started::Finished(finished) = core.start_operation(Operation::new(app, action, origin)) {
            self.fill(sequence, &finished);
        }
    }

    /// If it is the feed's that this has become of: answers the request that opened it.
    pub(super) fn feed_opened(&mut self, sequence: u64, finished: &Finished) -> bool {
        let Some(Feeding::Opening { sequence: opening, ticket, why }) = self.feeding.as_deref() else {
            return false;
        };
        if *opening != sequence {
            return false;
        }
        let (link, document) = (ticket.link(), first_document(ticket, *why));
        let mut error = None;
        // A feed is not told the phase of ticks.
        let no_ticks = |_| Vec::new();
        finished.with_outcome(no_ticks, |_, outcome| {
            if let Outcome::Refused(refused) = outcome {
                error = Some(refused.clone());
            }
        });
        self.feeding = error.is_some().then(|| Box::new(Feeding::Failed(link)));
        match error {
            None => self.fill_page(sequence, Response::new(200, JSON, document)),
            Some(error) => self.refuse(sequence, error),
        }
        true
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
        let waits = matches!(self.feeding.as_deref(), Some(Feeding::Waiting { sequence, .. })
            if *sequence == visitor.sequence);
        let Some(feeding) = self.feeding.take_if(|_| waits) else { return };
        let Feeding::Waiting { sequence, app, listen } = *feeding else { return };
        match (answer, listen) {
            (Fed::Document(document), _) => {
                self.fill_page(sequence, Response::new(200, JSON, document));
            }
            (Fed::Ended, _) => self.fill_page(sequence, Response::empty(204)),
            (Fed::Overtaken, _) => {
                let message = "another request has come for this feed";
                self.refuse(sequence, CommandError::new(ErrorCode::Conflict, message));
            }
            (Fed::Instead(_), None) => self.refuse(sequence, no_feed()),
            (Fed::Instead(why), Some(listen)) => {
                self.open_feed(core, visitor.connection, sequence, (app, listen), Some(words(why)));
            }
        }
    }

    fn refuse(&mut self, sequence: u64, error: CommandError) {
        self.fill_page(sequence, refusal_response(&error.into()));
    }
}

const JSON: &str = "application/json";

fn no_feed() -> CommandError {
    CommandError::new(ErrorCode::NotFound, "there is no feed that this ticket is good for: open one without resume")
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
