//! Requests about sessions that go over no connection of their own, or come beside it: where they come in and where the session is.

use super::Gateway;
use super::api::own::Incoming;
use super::doors::client::Opened;
use super::doors::{Door, NO_SESSION, own};
use crate::app::Message;
use crate::connection::{Connection, Visitor};
use crate::core::{Core, Reply, Visit, Visited, Visiting};
use crate::dispatch::{ErrorCode, MARK};
use crate::protocol::CloseCode;
use crate::session::SessionId;

impl Gateway {
    /// A request about a session of this reactor, which came on another connection.
    pub fn visit(&mut self, core: &mut Core, reply: &mut Reply, visit: Visit) {
        let Visit { ticket, visitor, what } = visit;
        match what {
            Visiting::Poll(claim) if core.divert_poll(ticket, visitor, claim) => return,
            Visiting::Poll(claim) => return core.poll(ticket, visitor, claim),
            Visiting::Arrived(claim) => {
                let id = ticket.session;
                if core.hub.contains(id, claim.app) {
                    core.metrics().resumed.add(1);
                    self.crossed(core, reply, id, claim.app);
                }
                return core.poll(ticket, visitor, claim);
            }
            Visiting::Say(..) | Visiting::Leave => {}
        }
        let answer = match (core.visited(ticket), what) {
            (Some(slot), Visiting::Say(is_text, payload)) => self.say(core, reply, slot, is_text, &payload),
            (Some(slot), _) => {
                core.close_for_good(slot, CloseCode::NORMAL, "");
                Visited::Done
            }
            (None, _) => Visited::Refused(ErrorCode::UnknownSession, NO_SESSION),
        };
        core.answer_visit(visitor, answer);
    }

    /// The client of the session in `slot` says something, by a request of its own.
    fn say(
        &mut self,
        core: &mut Core,
        reply: &mut Reply,
        slot: u32,
        is_text: bool,
        payload: &[u8],
    ) -> Visited {
        let Some(id) = core.hub.id_of(slot) else {
            return Visited::Refused(ErrorCode::UnknownSession, NO_SESSION);
        };
        if self.shut_gate(core, slot).is_some() {
            return Visited::Refused(ErrorCode::Overloaded, "the backend is behind: try again later");
        }
        if let Err((code, message)) = core.may_say(slot, payload.len()) {
            return Visited::Refused(code, message);
        }
        core.record_said(slot, is_text, payload);
        // Text has been looked at where it came in.
        let message = match std::str::from_utf8(payload) {
            Ok(text) if is_text && text.starts_with(MARK) && !core.speaks_own(slot) => {
                match Incoming::of(text) {
                    Incoming::Own(json) => {
                        let answer = own::answer_to(core, id, json);
                        core.tell_own(slot, &answer);
                        return Visited::Done;
                    }
                    Incoming::Game(text) => Message::Text(text),
                }
            }
            Ok(text) if is_text => Message::Text(text),
            _ => Message::Binary(payload),
        };
        self.message(core, reply, slot, message);
        core.write_reply(slot, reply);
        Visited::Done
    }

    /// The answer to a request that came on a connection of this reactor.
    pub fn visited(&mut self, core: &mut Core, reply: &mut Reply, visitor: Visitor, answer: Visited) {
        let id = visitor.connection;
        // If it has closed meanwhile, it gets none.
        let Some(Door::Head(head)) = self.door_of(core, id) else { return };
        if let Some((session, app)) = head.answered(core, reply, visitor, answer) {
            self.opened(core, reply, session, app);
        }
        self.go_on_behind(core, reply, id);
    }

    /// What has come behind a request that has been answered.
    pub(super) fn go_on_behind(&mut self, core: &mut Core, reply: &mut Reply, id: SessionId) {
        let slot = id.slot();
        while let Some(door) = core.connections.get(id).and_then(Connection::door)
            && let Some(Door::Head(head)) = self.doors.get_mut(door)
            && let Some((_, opened)) = head.go_on_behind(core, reply, id)
        {
            match opened {
                Opened::Polled(session, app) => {
                    self.opened(core, reply, session, app);
                    continue;
                }
                Opened::Session(app) => {
                    self.doors.remove(door);
                    self.opened(core, reply, id, app);
                }
                Opened::Echo => _ = self.doors.remove(door),
                // One that goes elsewhere comes with its request alone.
                Opened::Claim(_) => {
                    self.doors.remove(door);
                    core.finish(slot);
                }
            }
            core.write_reply(slot, reply);
        }
    }
}
