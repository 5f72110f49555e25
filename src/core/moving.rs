//! A connection that goes to another reactor: one that resumes a link is to be where the link's seat is. Knows nothing of polls.

use super::Core;
use super::seats::Ticket;
use crate::auth::Access;
use crate::connection::{Connection, Extras, Figures, Flag, Kind, Pause, Peer, Phase, Socket, Transport};
use crate::dispatch::LinkForm;
use crate::session::{AppId, SessionId};
use crate::tls::Session;
use std::sync::Arc;

/// A connection that is to be a link.
#[derive(Debug)]
pub struct LinkCall {
    /// The app of commands that name none.
    pub app: AppId,
    /// How it speaks.
    pub form: LinkForm,
    /// What it may do.
    pub access: Arc<Access>,
    /// Whether it can be resumed, or resumes another; `None` for a link that is its connection alone.
    pub resume: Option<Resuming>,
    /// What came behind the request.
    pub rest: Vec<u8>,
}

/// What a link wants to be.
#[derive(Debug)]
pub enum Resuming {
    /// A new one that can be resumed.
    New,
    /// The one that gave this ticket, of which it has read so many events.
    Back {
        /// `None` where what was shown is no ticket.
        ticket: Option<Ticket>,
        /// The events.
        received: u64,
    },
}

/// A connection on its way.
#[derive(Debug)]
pub struct Mover {
    stream: Socket,
    peer: Peer,
    transport: Transport,
    tls: Option<Box<Session>>,
    extras: Option<Box<Extras>>,
    figures: Figures,
    has_hung_up: bool,
    /// What its socket has not taken yet.
    pub unwritten: Vec<u8>,
    /// What it is to be.
    pub call: LinkCall,
}

impl Mover {
    /// Its socket.
    pub fn socket(&mut self) -> &mut Socket {
        &mut self.stream
    }

    /// The connection as it goes on in another reactor, at `attended_ms`; and the rest of it.
    pub fn into_connection(self, attended_ms: u64) -> (Connection, Vec<u8>, LinkCall) {
        let Self { stream, peer, transport, tls, extras, figures, has_hung_up, unwritten, call } = self;
        let mut connection = Connection::new(stream, peer, Kind::Backend, attended_ms);
        connection.flags.set(Flag::Backend);
        if has_hung_up {
            connection.flags.set(Flag::HungUp);
        }
        (connection.transport, connection.tls) = (transport, tls);
        (connection.extras, connection.figures) = (extras, figures);
        (connection, unwritten, call)
    }
}

impl Core {
    /// The other reactor to which a call belongs, if it belongs to one.
    pub fn reactor_of_call(&self, call: &LinkCall) -> Option<usize> {
        let Some(Resuming::Back { ticket: Some(ticket), .. }) = &call.resume else { return None };
        let (link, reactor) = (ticket.link(), usize::from(ticket.link().worker()));
        let is_here = link.node() == self.shared.node && reactor < self.shared.reactors();
        (is_here && reactor != self.index).then_some(reactor)
    }

    /// The connection goes to `reactor` at the end of the turn, when nothing names its slot any more. It is not read until then.
    pub fn move_later(&mut self, id: SessionId, reactor: usize, call: LinkCall) {
        self.pause(id.slot(), Pause::Barrier);
        self.set_door_due(id.slot(), None);
        self.moving.push((id, reactor, call));
    }

    /// The connections that go, each with where it goes to. One that has ended meanwhile stays, to be freed.
    pub fn take_moving(&mut self) -> Vec<(usize, Mover)> {
        let moving = std::mem::take(&mut self.moving);
        moving
            .into_iter()
            .filter_map(|(id, reactor, call)| Some((reactor, self.part_with(id, call)?)))
            .collect()
    }

    fn part_with(&mut self, id: SessionId, call: LinkCall) -> Option<Mover> {
        let slot = id.slot();
        self.connections.get(id).filter(|connection| connection.phase == Phase::Open)?;
        let outbox = self.connections.slot(slot).and_then(|connection| connection.outbox.as_ref());
        let unwritten = outbox.map_or_else(Vec::new, |outbox| outbox.own_bytes());
        self.clear_outbox(slot);
        self.wheel.disarm(slot);
        self.forget_incoming(slot);
        self.dirty.retain(|dirty| *dirty != slot);
        self.unread.retain(|unread| *unread != slot);
        let connection = self.connections.remove(id)?;
        self.metrics().paused.sub(u64::from(!connection.pauses.is_empty()));
        let Connection { stream, peer, transport, tls, extras, figures, flags, .. } = connection;
        let has_hung_up = flags.has(Flag::HungUp);
        Some(Mover { stream, peer, transport, tls, extras, figures, has_hung_up, unwritten, call })
    }
}
