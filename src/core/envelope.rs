//! What one reactor sends another through its mailbox.

use super::coming_back::Claimed;
use super::visit::{Visit, Visited};
use crate::connection::{Extras, Peer, Socket, Visitor};
use crate::dispatch::{EncodedFrame, Operation, Push};
use crate::http::Response;
use crate::mailbox::Weigh;
use crate::session::SessionId;
use std::sync::Arc;

/// Which of the two listeners a socket came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// Players.
    Client,
    /// Game servers and operators.
    Backend,
}

/// A socket that has been accepted, on its way to its reactor.
#[derive(Debug)]
pub struct Arrival {
    /// The socket.
    pub stream: Socket,
    /// Its other end.
    pub peer: Peer,
    /// Where it came in.
    pub port: Port,
    /// What the connection is held to.
    pub extras: Option<Box<Extras>>,
}

/// One message between reactors, or from another thread to one.
#[derive(Debug)]
pub enum Envelope {
    /// A socket that the acceptor gives to this reactor.
    Adopt(Box<Arrival>),
    /// A client that claims a session of this reactor.
    Resume(Box<Claimed>),
    /// A request about a session over plain HTTP of this reactor.
    Visit(Box<Visit>),
    /// The answer to such a request, which came on a connection here.
    Visited(Visitor, Box<Visited>),
    /// A push that has targets here.
    Push(Arc<Push>),
    /// A push from here whose last part is done.
    PushDone(Arc<Push>),
    /// A command that is about sessions here.
    Operation(Arc<Operation>),
    /// A command from here whose last part is done.
    OperationDone(Arc<Operation>),
    /// An event for a link here.
    Event(SessionId, EncodedFrame),
    /// Events for a link here were lost on the way: it must be told by its end. Sent once for each link.
    EventsLost(SessionId),
    /// The players here that wait for this link are read again.
    GateOpen(SessionId),
    /// The answer to a request for a page about the whole process.
    Page {
        /// The connection here that asked.
        connection: SessionId,
        /// Which of its answers this is.
        sequence: u64,
        /// The answer.
        response: Box<Response>,
    },
    /// The strangers of this port are as many as there may be: some have to give way.
    MakeRoom(Port),
    /// Turn: [`Shared::draining`](super::Shared::draining) or [`Shared::drain`](super::Shared::drain) has changed.
    Call,
    /// Every reactor has closed its players' sessions: close everything else.
    StopBackends,
    /// The outboxes of all reactors together are beyond their bound, and this one's are beyond their share.
    Relieve,
}

impl Weigh for Envelope {
    fn weight(&self) -> usize {
        match self {
            Self::Push(push) => push.frame.wire_len(),
            Self::Event(_, frame) => frame.wire_len(),
            Self::Page { response, .. } => response.body().len(),
            Self::Visit(visit) => visit.weight(),
            Self::Visited(_, visited) => visited.weight(),
            _ => 0,
        }
    }
}
