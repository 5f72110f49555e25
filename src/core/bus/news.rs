//! What reactors of one node tell each other of the bus.

use super::crossing::{CrossingNews, Ending};
use super::placing::Underway;
use crate::cluster::links::{LinkSaid, LinksSaid};
use crate::config::PerUserPolicy;
use crate::dispatch::{Ban, Operation, Peer};
use crate::session::{AppId, Name, SessionId};
use smallvec::SmallVec;
use std::sync::Arc;

/// See the module.
#[derive(Debug)]
pub enum BusNews {
    /// Sets of a reactor have come or gone, whose channels are on one Redis of which the receiver is the ear.
    Edges(Edges),
    /// An answer to a question of the receiver.
    Answer(Answer),
    /// Another node asks what this reactor has published.
    DigestAsked(DigestAsked),
    /// The process with this incarnation is no more.
    Gone(u64),
    /// Another node asks something else than before of users.
    UsersAsked,
    /// Names of a session of the receiver are heard.
    Heard(SessionId),
    /// A user has taken a place, whose channel the receiver subscribes to.
    Took(Took),
    /// Sessions of the receiver have lost their places.
    Closing(Closing),
    /// Another node has told of a ban.
    Banning(Banning),
    /// An ear hears what the receiver has told it when it began to follow a plan.
    PlanHeard,
    /// Another node says something of a session that crosses.
    Crossing(Box<CrossingNews>),
    /// What a session that goes was given has been said: the ear of a Redis says the last of it.
    CrossingEnds(Ending),
    /// An ear hears the names of a session that has come for a client of the receiver.
    CrossingHeard(u64),
    /// Another node says something of links.
    Links(Box<LinkNews>),
    /// A reactor asks when all that is under way at the receiver is settled.
    Settle {
        /// Which reactor.
        reactor: usize,
        /// In which of its rounds.
        round: u64,
    },
    /// It is settled, in this round.
    Settled {
        /// Of the receiver.
        round: u64,
    },
}

/// Sets that have come or gone.
#[derive(Debug)]
pub struct Edges {
    /// The Redis.
    pub server: usize,
    /// Channels, and whether the reactor has sessions of them now.
    pub edges: Vec<(Box<[u8]>, bool)>,
    /// Who waits until they are heard, and all that were told before.
    pub waiter: Option<Waiter>,
    /// That some are to be heard, where that is so: it is kept until they are.
    pub underway: Option<Underway>,
}

/// Who waits until the names of its sessions are heard.
#[derive(Debug, Clone)]
pub enum Waiter {
    /// A command, which has a part there.
    Operation(Arc<Operation>),
    /// A session whose client is not answered before.
    Session(SessionId),
    /// A user whose sessions on other nodes are asked for then.
    Place(Took),
    /// A reactor that follows another plan of where names are heard.
    Plan(usize),
    /// A client for which a session has come.
    Crossing(u64),
}

/// An answer of another node, or of this one to itself.
#[derive(Debug)]
pub struct Answer {
    /// The number of the question.
    pub number: u64,
    /// Whose it is; `None` is this node.
    pub node: Option<u16>,
    /// What it says, as it came; the question says how to read it.
    pub body: Box<[u8]>,
}

/// A node that missed something asks what was published behind a number.
#[derive(Debug)]
pub struct DigestAsked {
    /// Over which Redis.
    pub server: usize,
    /// The number.
    pub from: u64,
    /// The channel that is answered on.
    pub channel: Box<[u8]>,
}

/// A user has taken a place in an app that bounds them.
#[derive(Debug, Clone)]
pub struct Took {
    /// The servers on which its channel is not known to be heard yet.
    pub servers: SmallVec<[usize; 2]>,
    /// The app.
    pub app: AppId,
    /// The user.
    pub user: Name,
}

/// Sessions that have lost their places.
#[derive(Debug)]
pub struct Closing {
    /// Their app.
    pub app: AppId,
    /// They.
    pub sessions: Vec<SessionId>,
    /// What the app does with too many.
    pub policy: PerUserPolicy,
}

/// A ban that holds from now on.
#[derive(Debug)]
pub struct Banning {
    /// The app.
    pub app: AppId,
    /// The ban.
    pub ban: Arc<Ban>,
}

/// What another node has said of links, for the reactor that it is about.
#[derive(Debug)]
pub struct LinkNews {
    /// The node, and which process it is.
    pub from: (u16, u64),
    /// What it has said.
    pub about: LinkMatter,
}

/// See [`LinkNews`].
#[derive(Debug)]
pub enum LinkMatter {
    /// A link listens, or listens to something else, as of this change of its node; who is told when it hears all.
    Listens(LinkSaid, u64, Option<Box<Peer>>),
    /// A link has ended: what has stood for it, and how many events its socket had taken.
    Ended(SessionId, Option<u64>),
    /// Events for a link of the receiver, or how many a link has.
    Said(LinksSaid),
}
