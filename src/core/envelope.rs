//! What one reactor sends another through its mailbox.

use super::Mover;
use super::bus::BusNews;
use super::coming_back::Claimed;
use super::feed::{Fed, FeedRequest};
use super::listeners::Barrier;
use super::online::UserReport;
use super::places::{Probe, Replaced};
use super::queues::Largest;
use super::recollection::{RecallAnswer, RecallRequest};
use super::seats::Kept;
use super::stats_streams::{StatsPart, StatsStream};
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
    /// A push of a thread that is no reactor, which this one publishes to other nodes too.
    Publish(Arc<Push>),
    /// An operation of such a thread.
    Start(Arc<Operation>),
    /// A push that has targets here.
    Push(Arc<Push>),
    /// A push to a group that remembers, and this reactor is its owner.
    Remember(Arc<Push>),
    /// Sessions have joined a group of which this reactor is the owner, and are to get what it remembers.
    Recall(Box<RecallRequest>),
    /// What a group remembers that sessions here have joined.
    Recalled(Box<RecallAnswer>),
    /// A push from here whose last part is done.
    PushDone(Arc<Push>),
    /// A command that is about sessions here.
    Operation(Arc<Operation>),
    /// A command from here whose last part is done.
    OperationDone(Arc<Operation>),
    /// An event for a link here, and the session that it is about.
    Event(SessionId, SessionId, EncodedFrame),
    /// A connection that resumes a link of this reactor.
    Move(Box<Mover>),
    /// A request for the events of a feed of this reactor.
    Feed(Box<FeedRequest>),
    /// The answer to such a request, which came on a connection here.
    Fed(Visitor, Box<Fed>),
    /// What a reactor tells of users that this one owns.
    Users(Box<UserReport>),
    /// A session of another reactor has the place of one here, which closes.
    Replace(Replaced),
    /// A user asks for another session than those that it has, of which this reactor has the next to be asked.
    Probe(Box<Probe>),
    /// The end has been told of a session that this one, which is here, has replaced.
    ReplacedTold(SessionId),
    /// Others take the sessions of this link over: events for it are to be held back.
    Hold(SessionId),
    /// A reactor holds back what is for this link, which is of this reactor: no more of it is on its way from there.
    Through(SessionId),
    /// Another reactor is to hear when the link, which is of this one, has got all that it was sent of the session.
    Await(SessionId, SessionId, Barrier),
    /// The link has got all that it was sent of the session, which is of this reactor.
    Passed(SessionId, SessionId),
    /// A reactor has told the link, which is of this one, of all of its sessions.
    ToldOfAll(SessionId),
    /// What the link will not get, of sessions of this reactor.
    ComeBack(SessionId, Vec<Kept>),
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
    /// What a stream of figures is sent, whose connection is here.
    Stats(Arc<StatsStream>, Box<StatsPart>),
    /// Which sessions here have the largest queues is asked.
    Largest(Arc<Largest>),
    /// The strangers of this port are as many as there may be: some have to give way.
    MakeRoom(Port),
    /// Turn: [`Shared::draining`](super::Shared::draining) or [`Shared::drain`](super::Shared::drain) has changed.
    Call,
    /// Something about the bus to other nodes.
    Bus(Box<BusNews>),
    /// Every reactor has closed its players' sessions: close everything else.
    StopBackends,
    /// The outboxes of all reactors together are beyond their bound, and this one's are beyond their share.
    Relieve,
}

impl Weigh for Envelope {
    fn weight(&self) -> usize {
        match self {
            Self::Push(push) | Self::Publish(push) | Self::Remember(push) => push.frame.wire_len(),
            Self::Recalled(answer) => answer.weight(),
            Self::Event(_, _, frame) => frame.wire_len(),
            Self::ComeBack(_, events) => events.iter().map(|kept| kept.frame.wire_len()).sum(),
            Self::Page { response, .. } => response.body().len(),
            Self::Visit(visit) => visit.weight(),
            Self::Fed(_, fed) => fed.weight(),
            Self::Stats(_, part) => part.events.len(),
            Self::Visited(_, visited) => visited.weight(),
            _ => 0,
        }
    }
}
