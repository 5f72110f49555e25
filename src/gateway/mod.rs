//! What gannet the server makes of requests and messages: HTTP and JSON in, [`dispatch`](crate::dispatch) commands
//! out, and the answers and events back to JSON. The rooms from `apps` to `routes` are pure: bytes and borrowed values
//! in, values and bytes out. `client`, `backend`, `link` and `execute` join them to a reactor's [`Core`]. Knows nothing
//! of epoll.

pub mod api;
mod doors;
mod observer;

pub use doors::backend::Backend;
pub use doors::client::Head;
pub use doors::link::Link;
pub use observer::{Asks, Observer, THREAD as OBSERVER_THREAD};

use crate::app::{App, ClosedSession, Message, Session};
use crate::connection::{Item, Stage};
use crate::core::{Core, Ended, Envelope};
use crate::core::{EventKind, Finished};
use crate::dispatch::{Action, EncodedFrame, LinkForm, Operation, Origin, Push};
use crate::http::Response;
use crate::link_bin::{Event, Payload, TooLong};
use crate::session::{AppId, SessionId, close_codes};
use api::render;
use std::borrow::Cow;
use std::sync::Arc;

/// One reactor's gateway.
pub struct Gateway {
    app: Box<dyn App>,
    observer: Observer,
    /// Where events are rendered, before they are encoded once for all links.
    json: String,
    binary: Vec<u8>,
}

impl Gateway {
    /// A gateway on top of which `app` runs; `observer` renders its pages about the whole process.
    pub fn new(app: Box<dyn App>, observer: Observer) -> Self {
        Self { app, observer, json: String::new(), binary: Vec::new() }
    }

    /// A player's message: to the links that listen, then to the app.
    pub fn message(&mut self, core: &mut Core, slot: u32, message: Message<'_>) {
        let (Some(id), Some(app)) = (core.hub.id_of(slot), core.hub.app_of(slot)) else { return };
        core.metrics().messages_in.add(1);
        let links = core.listeners.links_for(app, id, EventKind::Message);
        if !links.is_empty() {
            let payload = match message {
                Message::Text(text) => Payload::Text(text),
                Message::Binary(bytes) => Payload::Binary(bytes),
            };
            let user = core.hub.user_of(slot).cloned();
            let event = Event::Message { session: id, user: user.as_deref(), payload };
            self.send_event(core, &links, &event);
        }
        self.app.message(&mut Session::new(core, id), message);
    }

    /// A session has opened: the links that listen are told, then the app.
    fn opened(&mut self, core: &mut Core, id: SessionId, app: AppId) {
        let links = core.listeners.links_for(app, id, EventKind::Open);
        let remote = core.connections.get(id).and_then(|connection| connection.remote());
        if let Some(remote) = remote
            && !links.is_empty()
        {
            let tags: Vec<_> = core.hub.tags_of(id.slot()).cloned().collect();
            let user = core.hub.user_of(id.slot()).cloned();
            let app = core.shared.apps.name_of(app).clone();
            let (user, tags) = (user.as_deref(), Cow::Owned(tags));
            self.send_event(core, &links, &Event::Open { session: id, user, app: &app, remote, tags });
        }
        self.app.open(&mut Session::new(core, id));
    }

    /// A session is over: the links that listen are told, then the app.
    pub fn closed(&mut self, core: &mut Core, ended: &Ended) {
        let links = core.listeners.links_for(ended.app, ended.id, EventKind::Close);
        if !links.is_empty() {
            let (session, user) = (ended.id, ended.user.as_deref());
            let event = Event::Close { session, user, code: ended.code, reason: &ended.reason };
            self.send_event(core, &links, &event);
        }
        self.app.close(&ClosedSession {
            id: ended.id,
            app: core.shared.apps.name_of(ended.app).clone(),
            user: ended.user.clone(),
            code: ended.code,
            reason: ended.reason.clone(),
        });
    }

    /// Encodes an event once for each form that somebody wants, and sends it to each of `links`, wherever it is.
    fn send_event(&mut self, core: &mut Core, links: &[(SessionId, LinkForm)], event: &Event<'_>) {
        let (mut json, mut binary) = (None, None);
        for (link, form) in links {
            let frame = match form {
                LinkForm::Json => json.get_or_insert_with(|| Ok(self.json_event(event))),
                LinkForm::Binary => binary.get_or_insert_with(|| self.binary_event(event)),
            };
            let reactor = usize::from(link.worker());
            let told = match frame {
                Ok(frame) if reactor == core.index => {
                    self.event(core, *link, frame.clone());
                    true
                }
                Ok(frame) => core.peers.post(reactor, Envelope::Event(*link, frame.clone())).is_ok(),
                // A session with more tags than the layout counts.
                Err(TooLong { .. }) => false,
            };
            if !told {
                core.metrics().link_events_lost.add(1);
                core.peers.post_always(reactor, Envelope::EventsLost(*link));
            }
        }
    }

    fn json_event(&mut self, event: &Event<'_>) -> EncodedFrame {
        self.json.clear();
        render::event(&mut self.json, event);
        EncodedFrame::text(&self.json)
    }

    fn binary_event(&mut self, event: &Event<'_>) -> Result<EncodedFrame, TooLong> {
        self.binary.clear();
        event.encode(&mut self.binary)?;
        Ok(EncodedFrame::binary(&self.binary))
    }

    /// An event for a link of this reactor.
    pub fn event(&mut self, core: &mut Core, link: SessionId, frame: EncodedFrame) {
        // A link that has gone has told every reactor so; what was on its way is nobody's.
        if core.connections.get(link).is_none() {
            return;
        }
        match core.offer(link.slot(), Item::Frame(frame)) {
            true => core.metrics().link_events.add(1),
            false => core.metrics().link_events_lost.add(1),
        }
    }

    /// Events for a link of this reactor were lost on their way: it is told by its end, and can listen anew.
    pub fn events_lost(&mut self, core: &mut Core, link: SessionId) {
        if core.connections.get(link).is_some() {
            core.close(link.slot(), close_codes::TOO_SLOW, "events were lost");
        }
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
    pub fn page_done(&mut self, core: &mut Core, connection: SessionId, sequence: u64, response: &Response) {
        // If it has closed meanwhile, nobody waits.
        if let Some(Stage::Backend(backend)) =
            core.connections.get_mut(connection).map(|connection| &mut connection.stage)
        {
            backend.fill_page(sequence, response);
            self.run_backend(core, connection.slot());
        }
    }

    fn answer(&mut self, core: &mut Core, connection: SessionId, sequence: u64, finished: &Finished) {
        let slot = connection.slot();
        match core.connections.get_mut(connection).map(|connection| &mut connection.stage) {
            Some(Stage::Backend(backend)) => {
                backend.fill(sequence, finished);
                self.run_backend(core, slot);
            }
            Some(Stage::Link(link)) => {
                link.fill(sequence, finished);
                self.run_link(core, slot);
            }
            // It has closed meanwhile: nobody waits.
            _ => {}
        }
    }

    /// A connection that had to pause may go on.
    pub fn resume(&mut self, core: &mut Core, slot: u32) {
        match core.connection(slot).map(|connection| &connection.stage) {
            Some(Stage::Backend(_)) => self.run_backend(core, slot),
            Some(Stage::Link(_)) => self.run_link(core, slot),
            _ => {}
        }
    }

    /// The last look at a connection that has been freed.
    pub fn released(&mut self, core: &mut Core, id: SessionId, stage: &Stage) {
        match stage {
            Stage::Backend(_) => core.metrics().backend_connections.sub(1),
            Stage::Link(link) => {
                core.metrics().backend_connections.sub(1);
                core.metrics().links.sub(1);
                if link.listens() {
                    let unlisten = Operation::new(link.app(), Action::Unlisten { link: id }, Origin::Nobody);
                    core.start_operation(unlisten);
                }
            }
            _ => {}
        }
    }

    /// The server stops: a backend gets the answers that are due, a link a Close frame.
    pub fn stop_backend(&mut self, core: &mut Core, slot: u32) {
        let Some(connection) = core.connection(slot) else { return };
        let drained = connection.is_drained();
        match &mut connection.stage {
            // Nothing is on its way that waiting for the peer's end would save, and a pool of keep-alive connections
            // looks at one only when it needs it.
            Stage::Backend(backend) if drained && backend.is_between_requests() => core.doom(slot),
            Stage::Backend(backend) => {
                backend.take_no_more();
                self.run_backend(core, slot);
            }
            Stage::Link(_) => {
                core.close(slot, crate::protocol::CloseCode::GOING_AWAY, "server going away");
            }
            _ => {}
        }
    }
}
