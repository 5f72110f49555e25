//! Requests about sessions that go over no connection of their own, one after another on a connection of the client port.

use super::super::visits::{self, Asks};
use super::{Head, Opened, end};
use crate::connection::Visitor;
use crate::core::{Core, HalfReceived, Reply, Visited};
use crate::dispatch::ErrorCode;
use crate::gateway::api::refusal::Refused;
use crate::http::{RequestProgress, Response};
use crate::session::{AppId, SessionId};

impl Head {
    /// Something of a session that goes over no connection of its own is asked for.
    pub(super) fn visit(
        &mut self,
        core: &mut Core,
        reply: &mut Reply,
        id: SessionId,
        asks: Asks,
    ) -> Option<(usize, Opened)> {
        let slot = id.slot();
        if !core.recognise(slot) {
            let message = "as many connections are open as limits.max_sessions and the limit of open files allow: try again later";
            self.refuse(core, slot, &Refused::because(ErrorCode::Overloaded, message));
            return None;
        }
        let visits = self.visits.get_or_insert_default();
        match asks {
            Asks::Body(saying) => {
                visits.await_body(saying);
                self.go_on(core, reply, id, 0)
            }
            Asks::Visit(ticket, what, opening) => {
                visits.visit(core, id, ticket, what, opening);
                self.end_request(core);
                None
            }
            Asks::Elsewhere(ticket, sealed, opening) => {
                visits.await_from_elsewhere(core, id, (ticket.session, Some(sealed)), opening);
                self.end_request(core);
                None
            }
            Asks::Open(opening, why) => {
                self.end_request(core);
                match visits::open(core, id, &opening, why) {
                    Ok((session, document)) => {
                        let visits = self.visits.get_or_insert_default();
                        let response = visits.document(core, document);
                        self.respond(core, slot, response);
                        core.hold_until_heard(slot, reply);
                        Some((0, Opened::Polled(session, opening.app())))
                    }
                    Err(refused) => {
                        self.refuse(core, slot, &refused);
                        None
                    }
                }
            }
        }
    }

    /// The request has no body, and is done with as far as the connection goes.
    fn end_request(&mut self, core: &Core) {
        let limits = core.rules.settings.message_limits;
        if let Ok(RequestProgress::Whole(..)) = self.reader.read(&limits) {
            self.reader.next_request();
        }
    }

    /// The body of a message has come.
    pub(super) fn say(&mut self, core: &mut Core, id: SessionId, body: Vec<u8>) -> Option<(usize, Opened)> {
        core.note_incoming(id.slot(), HalfReceived::default());
        let said = self.visits.as_mut().map_or(Ok(()), |visits| visits.body(core, id, body));
        if let Err(refused) = said {
            self.refuse(core, id.slot(), &refused);
        }
        None
    }

    /// The answer has come to a request that waits for it. Returns the session that was opened for it, if one was, with its app.
    pub fn answered(
        &mut self,
        core: &mut Core,
        reply: &mut Reply,
        visitor: Visitor,
        answer: Visited,
    ) -> Option<(SessionId, AppId)> {
        let (response, opened) = self.visits.as_mut()?.answered(core, visitor, answer)?;
        let slot = visitor.connection.slot();
        self.respond(core, slot, response);
        if opened.is_some() {
            core.hold_until_heard(slot, reply);
        }
        opened
    }

    /// What came behind a request that has been answered.
    pub fn go_on_behind(
        &mut self,
        core: &mut Core,
        reply: &mut Reply,
        id: SessionId,
    ) -> Option<(usize, Opened)> {
        let is_waiting = self.visits.as_ref().is_none_or(|visits| visits.is_waiting());
        match is_waiting || !self.reader.has_more() {
            true => None,
            false => self.go_on(core, reply, id, 0),
        }
    }

    fn respond(&mut self, core: &mut Core, slot: u32, response: Response) {
        let Some(visits) = &self.visits else { return };
        if !visits.respond(core, slot, response, self.cors.as_ref()) {
            end(core, slot);
        }
    }

    /// A connection on which requests have been answered, and nothing has come since for as long as it may.
    pub fn is_idle(&self) -> bool {
        let waits = self.visits.as_ref().is_some_and(|visits| visits.is_waiting() || visits.wants_body());
        !waits && self.reader.is_between_requests()
    }
}
