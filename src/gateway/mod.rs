//! What gannet the server makes of requests and messages. `api` is pure: bytes and borrowed values in, values and bytes
//! out. `doors` are what each connection is in the middle of. Here they are joined to a reactor's [`Core`], to the links
//! that listen, and to the program on top. Knows nothing of epoll.

pub mod api;
mod carry;
mod doors;
pub mod events;
mod linking;
mod telling;
mod visiting;

use crate::app::{App, Message};
use crate::connection::{Connection, Kind, Transport};
use crate::core::{Claim, Core, Finished, First, Gone, Port, Reply, Rules, StatsPart, StatsStream};
use crate::dispatch::{Action, ErrorCode, Operation, Origin, Push};
use crate::http::Response;
use crate::metrics::ResumeFailure;
use crate::protocol::CloseCode;
use crate::session::SessionId;
pub(crate) use doors::CarriedDoor;
pub use doors::admin::upgraded;
use doors::backend::Upgraded;
use doors::client::{Head, Opened};
use doors::link::{Link, Refused};
pub use doors::observer::{Asks, Observer, THREAD as OBSERVER_THREAD};
use doors::{Door, Doors};
use events::Scratch;
use std::sync::Arc;

/// Why a link ends whose key is gone, or may do less.
const KEY_MAY_LESS: &str = "the key of this link may not do all that any more";

/// What came of an upgrade request.
pub enum Through {
    /// A session or an echo, which is on its connection already.
    Upgraded,
    /// A session is claimed, which the reactor that has it decides about.
    Claims(Box<Claim>),
}

/// One reactor's gateway.
pub struct Gateway {
    app: Box<dyn App>,
    doors: Doors,
    observer: Observer,
    /// Where events are rendered, before they are encoded once for all links.
    scratch: Scratch,
}

impl Gateway {
    /// A gateway on top of which `app` runs; `observer` renders its pages about the whole process.
    pub fn new(app: Box<dyn App>, observer: Observer) -> Self {
        Self { app, doors: Doors::default(), observer, scratch: Scratch::default() }
    }

    /// The door for a connection that came in on `port`.
    pub fn admit(&mut self, port: Port) -> (Kind, u32) {
        match port {
            Port::Client => (Kind::Upgrade, self.doors.insert(Door::Head(Head::default()))),
            Port::Backend => (Kind::Backend, self.doors.insert(Door::Backend(Box::default()))),
        }
    }

    /// A connection that was admitted could not be taken.
    pub fn forget(&mut self, door: u32) {
        self.doors.remove(door);
    }

    /// The link whose queue keeps the player in `slot` from being read, if one does.
    pub fn shut_gate(&mut self, core: &mut Core, slot: u32) -> Option<SessionId> {
        if core.listeners.is_empty() {
            return None;
        }
        let (Some(id), Some(app)) = (core.hub.id_of(slot), core.hub.app_of(slot)) else { return None };
        let links = core.listeners.gates_for(app, id);
        core.shut_gate(links)
    }

    /// A session that has agreed on gannet's own messages is told that it will be closed, and where to go on.
    pub fn tell_to_reconnect(core: &mut Core, slot: u32, after_ms: u64, to: Option<&str>) {
        doors::own::tell_to_reconnect(core, slot, after_ms, to);
    }

    /// Every part of a push from here is done.
    pub fn push_done(&mut self, core: &mut Core, push: &Arc<Push>) {
        if let Origin::Connection { connection, sequence } = push.origin {
            self.answer(core, connection, sequence, &Finished::Push(Arc::clone(push)));
        }
    }

    /// Every part of an operation from here is done.
    pub fn operation_done(&mut self, core: &mut Core, operation: &Arc<Operation>) {
        if let Origin::Connection { connection, sequence } = operation.origin {
            self.answer(core, connection, sequence, &Finished::Operation(Arc::clone(operation)));
        }
    }

    /// The observer has rendered a page for a connection here.
    pub fn page_done(&mut self, core: &mut Core, id: SessionId, sequence: u64, response: Response) {
        // If it has closed meanwhile, it gets none.
        if let Some(Door::Backend(backend)) = self.door_of(core, id) {
            backend.fill_page(sequence, response);
            self.run_backend(core, id);
        }
    }

    /// What a stream of figures is sent, whose connection is here.
    pub fn stats_part(&mut self, core: &mut Core, stream: &Arc<StatsStream>, part: StatsPart) {
        // If it has closed meanwhile, nobody reads it.
        if let Some(Door::Backend(backend)) = self.door_of(core, stream.connection) {
            backend.stats_part(core, stream, part);
            self.run_backend(core, stream.connection);
        }
    }

    fn answer(&mut self, core: &mut Core, id: SessionId, sequence: u64, finished: &Finished) {
        match self.door_of(core, id) {
            Some(Door::Backend(backend)) => {
                backend.fill(sequence, finished);
                self.run_backend(core, id);
            }
            Some(Door::Link(link)) => link.answer(core, id, sequence, finished),
            // It has closed meanwhile: nobody waits.
            _ => {}
        }
    }

    /// Bytes of an upgrade request. Once it is whole: how many of `input` were its own, and what came of it; what follows belongs
    /// to the session.
    pub fn head(
        &mut self,
        core: &mut Core,
        reply: &mut Reply,
        slot: u32,
        input: &[u8],
    ) -> Option<(usize, Through)> {
        let id = core.connections.id_of(slot)?;
        let door = core.connections.get(id)?.door()?;
        let Some(Door::Head(head)) = self.doors.get_mut(door) else { return None };
        let (used, opened) = head.take(core, reply, id, input)?;
        if let Opened::Polled(session, app) = opened {
            self.opened(core, reply, session, app);
            self.go_on_behind(core, reply, id);
            return None;
        }
        // The connection has left it: a session may keep something else in its place.
        self.doors.remove(door);
        match opened {
            Opened::Claim(claim) => return Some((used, Through::Claims(claim))),
            Opened::Session(app) => self.opened(core, reply, id, app),
            Opened::Echo | Opened::Polled(..) => {}
        }
        core.write_reply(slot, reply);
        Some((used, Through::Upgraded))
    }

    /// What a client hears first that gets the session in `slot` back.
    pub fn words_of_return(core: &mut Core, slot: u32, claim: &Claim) -> First {
        doors::client::words_of_return(core, slot, claim)
    }

    /// A client came back, on the connection `id`, for a session that it cannot have: it gets another one.
    pub fn open_instead(
        &mut self,
        core: &mut Core,
        reply: &mut Reply,
        id: SessionId,
        claim: Claim,
        why: ResumeFailure,
    ) {
        if let Some(app) = doors::client::open_instead(core, reply, id, claim, why) {
            self.opened(core, reply, id, app);
        }
        core.write_reply(id.slot(), reply);
    }

    /// A stranger's request was not whole in time, or the server stops: who has begun one is told so.
    pub fn head_late(&mut self, core: &mut Core, slot: u32) {
        let Some(id) = core.connections.id_of(slot) else { return };
        let is_drained = core.connections.slot(slot).is_some_and(Connection::is_drained);
        let is_draining = core.draining;
        match self.door_of(core, id) {
            Some(Door::Head(head)) if head.has_begun() || is_draining => {
                head.refuse_late(core, slot);
                self.leave_door(core, slot);
            }
            Some(Door::Backend(backend)) if is_drained && !backend.is_between_requests() => {
                backend.give_up(true);
                doors::client::count_late(core);
                self.run_backend(core, id);
            }
            _ => {
                doors::client::count_late(core);
                match core.connections.slot(slot).map(|connection| connection.transport) {
                    // Its end is said as TLS says it.
                    Some(Transport::Tls) => core.finish(slot),
                    _ => core.doom(slot),
                }
            }
        }
    }

    /// Bytes from an HTTP connection.
    pub fn backend_input(&mut self, core: &mut Core, slot: u32, input: &[u8]) {
        let Some(id) = core.connections.id_of(slot) else { return };
        if let Some(Door::Backend(backend)) = self.door_of(core, id) {
            backend.take(input);
            self.run_backend(core, id);
        }
    }

    /// The peer has ended its side: the answers that are due still go out.
    pub fn backend_ended(&mut self, core: &mut Core, slot: u32) {
        let Some(id) = core.connections.id_of(slot) else { return };
        if let Some(Door::Backend(backend)) = self.door_of(core, id) {
            // While a whole request waits nothing is read, and so no end is seen: what is left now is none.
            backend.take_no_more();
            self.run_backend(core, id);
        }
    }

    /// A message from a link.
    pub fn link_message(&mut self, core: &mut Core, reply: &mut Reply, slot: u32, message: Message<'_>) {
        let Some(id) = core.connections.id_of(slot) else { return };
        let Some(Door::Link(link)) = self.door_of(core, id) else { return };
        if let Err(Refused { reason }) = link.message(core, reply, id, message) {
            core.write_reply(slot, reply);
            core.close(slot, CloseCode::UNSUPPORTED_DATA, reason);
        }
    }

    /// A connection that had to wait may go on: its answers have left, or the turn had no more time for it.
    pub fn go_on(&mut self, core: &mut Core, slot: u32) {
        let Some(id) = core.connections.id_of(slot) else { return };
        match self.door_of(core, id) {
            Some(Door::Backend(_)) => self.run_backend(core, id),
            Some(Door::Link(link)) => link.go_on(core, id),
            _ => {}
        }
    }

    /// The time has come for which the door asked: receipts are answered with what is known.
    pub fn due(&mut self, core: &mut Core, slot: u32) {
        let Some(id) = core.connections.id_of(slot) else { return };
        match self.door_of(core, id) {
            Some(Door::Backend(backend)) => {
                backend.answer_late_receipts(core.now.ms);
                self.run_backend(core, id);
            }
            Some(Door::Link(link)) => link.answer_late_receipts(core, id),
            Some(Door::Head(head)) if head.is_idle() => core.finish(slot),
            _ => core.set_door_due(slot, None),
        }
    }

    /// What the connection in `slot` has begun to send does not end, or is too much: it is answered so and closed.
    pub fn give_up(&mut self, core: &mut Core, slot: u32, is_late: bool) {
        let Some(id) = core.connections.id_of(slot) else { return };
        match self.door_of(core, id) {
            Some(Door::Backend(backend)) => {
                backend.give_up(is_late);
                self.run_backend(core, id);
            }
            Some(Door::Head(head)) if !is_late => {
                head.refuse_full(core, slot);
                self.leave_door(core, slot);
            }
            _ if is_late => {
                core.close(slot, ErrorCode::BadRequest.row().close, "message not complete in time")
            }
            _ => core.finish(slot),
        }
    }

    fn run_backend(&mut self, core: &mut Core, id: SessionId) {
        let door = core.connections.get(id).and_then(Connection::door);
        let Some(Door::Backend(backend)) = door.and_then(|door| self.doors.get_mut(door)) else { return };
        if let Some(Upgraded { upgrade, rest }) = backend.run(core, &self.observer, id) {
            let slot = id.slot();
            self.leave_door(core, slot);
            let call = upgrade.into_call(rest);
            match core.reactor_of_call(&call) {
                Some(reactor) => core.move_later(id, reactor, call),
                None => self.begin_link(core, id, call),
            }
        }
    }

    fn link_released(&mut self, core: &mut Core, id: SessionId, link: &Link) {
        link.note_closed();
        if core.link_gone(id) == Gone::Plain && link.listens() {
            let unlisten = Operation::new(link.app(), Action::Unlisten { link: id }, Origin::Nobody);
            core.start_operation(unlisten);
        }
        // What the link gave up of sessions that move goes on at once: the turn ends behind this, and nothing else would
        // have it go on.
        self.scratch.follow_orders(core);
    }

    /// The last look at a connection that has been freed.
    pub fn released(&mut self, core: &mut Core, id: SessionId, connection: &Connection) {
        let door = connection.door().and_then(|door| self.doors.remove(door));
        match connection.kind {
            Kind::Backend => core.metrics().backend_connections.sub(1),
            Kind::Link => {
                core.metrics().backend_connections.sub(1);
                if let Some(Door::Link(link)) = door {
                    self.link_released(core, id, &link);
                }
                // Last: who sees one link less, on another reactor, sees what became of its events.
                core.metrics().links.sub(1);
            }
            _ => {}
        }
    }

    /// The rules are others than those `before`: a link whose key is gone, or may do less, ends.
    pub fn follow_rules(&mut self, core: &mut Core, before: &Rules) {
        core.seats_follow_keys(&before.backend_keys, &Arc::clone(&core.rules).backend_keys);
        let mut ended = Vec::new();
        for link in self.doors.links() {
            if !link.follow_keys(&before.backend_keys, &core.rules.backend_keys) {
                ended.push(link.id());
            }
        }
        for id in ended {
            core.close(id.slot(), CloseCode::POLICY_VIOLATION, KEY_MAY_LESS);
        }
    }

    /// The server stops: a backend gets the answers that are due, a link a Close frame.
    pub fn stop_backend(&mut self, core: &mut Core, slot: u32) {
        let Some(id) = core.connections.id_of(slot) else { return };
        let drained = core.connections.slot(slot).is_some_and(|connection| connection.is_drained());
        match self.door_of(core, id) {
            // Nothing is on its way that waiting for the peer's end would save, and a pool of keep-alive connections
            // looks at one only when it needs it.
            Some(Door::Backend(backend)) if drained && backend.is_between_requests() => core.doom(slot),
            Some(Door::Backend(backend)) => {
                backend.take_no_more();
                self.run_backend(core, id);
            }
            Some(Door::Link(_)) => core.close(slot, ErrorCode::Draining.row().close, "server going away"),
            _ => {}
        }
    }

    fn door_of(&mut self, core: &Core, id: SessionId) -> Option<&mut Door> {
        self.doors.get_mut(core.connections.get(id)?.door()?)
    }

    /// The connection is through its door, or was turned away at it.
    fn leave_door(&mut self, core: &mut Core, slot: u32) {
        if let Some(door) = core.connection(slot).and_then(Connection::leave_door) {
            self.doors.remove(door);
        }
    }
}
