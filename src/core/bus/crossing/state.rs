//! What one reactor knows of sessions that cross: those that come here, those that go, and where some have gone.

use super::super::Cluster;
use crate::cluster::crossing::{Facts, Names, Rest, ToNew, ToOld};
use crate::connection::{LocalPush, Tick};
use crate::core::traveller::Traveller;
use crate::dispatch::PushId;
use crate::session::{AppId, SessionId};
use hashbrown::HashMap;
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::rc::Rc;

/// Sessions that have gone to other nodes, by one reactor: so many are remembered, for clients whose new welcome was lost.
const REMEMBERED: usize = 4096;

/// See the module.
#[derive(Debug, Default)]
pub struct Crossing {
    /// Clients that have come here, by the number under which other nodes answer.
    pub(super) coming: HashMap<u64, Coming>,
    /// Those of them that have a session here, by its slot.
    pub(super) arriving: HashMap<u32, u64>,
    /// Sessions that have been claimed, by their slots.
    pub(super) going: HashMap<u32, Going>,
    /// Claims of sessions here, so far.
    pub(super) claims: u64,
    went: VecDeque<Went>,
    /// Rounds that wait for all reactors.
    pub(super) rounds: HashMap<u64, Round>,
    /// Steps that wait for the next round.
    pub(super) next_round: Vec<(Step, Pass)>,
    pub(super) last_round: u64,
    /// What reactors, this one among them, want to know when it is settled here.
    pub(super) asks: Vec<SettleAsked>,
}

/// Which node: its number and its incarnation.
pub(super) type Peer = (u16, u64);

/// The indices of Redis servers over which something has come.
pub(super) type Heard = SmallVec<[u8; 2]>;

/// A client that has come here for a session of another node.
#[derive(Debug)]
pub(super) struct Coming {
    pub traveller: Traveller,
    /// The session, where it is.
    pub session: SessionId,
    pub peer: Peer,
    /// How often it was sent on to another node.
    pub redirects: u8,
    pub stage: Stage,
    pub heard: Heard,
    /// What the session is, as far as it is told.
    pub facts: Option<Names>,
    /// The session that goes on here.
    pub new: Option<SessionId>,
    /// Ears that do not hear its names yet.
    pub unheard: usize,
    /// What it was given here meanwhile.
    pub held: Vec<Held>,
    pub held_bytes: usize,
    /// More came than may be held.
    pub is_full: bool,
    pub rest: Vec<Rest>,
    /// Behind all that it was given there, over each Redis.
    pub is_all_given: bool,
    pub due_ms: u64,
}

/// How far a client has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its session is claimed.
    Asked,
    /// It is known, and made anew here.
    Told,
    /// It is taken.
    Taken,
}

/// A push for a session that has just come.
#[derive(Debug)]
pub(super) struct Held {
    pub local: Rc<LocalPush>,
    pub tick: Option<Tick>,
}

/// A session that another node has claimed.
#[derive(Debug)]
pub(super) struct Going {
    pub session: SessionId,
    /// Which claim here this is: two nodes may have the same numbers.
    pub claim: u64,
    pub peer: Peer,
    /// The number under which that node is answered.
    pub number: u64,
    pub app: AppId,
    /// What that node was told last.
    pub facts: Facts,
    pub heard: Heard,
    /// What it is called there.
    pub new: Option<SessionId>,
    /// What the session was given since it was claimed.
    pub given: Vec<PushId>,
    /// It was given more than can be told.
    pub is_full: bool,
    pub due_ms: u64,
}

/// A session that has gone to another node.
#[derive(Debug, Clone, Copy)]
struct Went {
    session: SessionId,
    new: SessionId,
    /// Its newest ticket, and whether the client has shown that it has that one.
    ticket: u32,
    is_proven: bool,
}

/// What is done when all that was under way is settled.
#[derive(Debug)]
pub(super) enum Step {
    /// The claim of the session is answered, if it is still this one.
    Answer(SessionId, u64),
    /// The session goes, if it is still this claim that takes it.
    Cut(SessionId, u64),
    /// What its client has not read goes.
    Send(Box<Parcel>),
    /// A session is made for the client with this number.
    Make(u64),
    /// It is taken.
    Take(u64),
    /// It goes on.
    GoOn(u64),
}

/// What goes to another node.
#[derive(Debug)]
pub(super) struct Parcel {
    pub peer: Peer,
    pub number: u64,
    pub app: AppId,
    pub parts: Vec<Rest>,
}

/// The last of what is said over one Redis of a session that goes.
#[derive(Debug)]
pub struct Ending {
    /// The Redis.
    pub server: usize,
    /// The other node, and its incarnation.
    pub peer: (u16, u64),
    /// The number of the client there.
    pub number: u64,
    /// The app.
    pub app: AppId,
}

/// What is under way may go over one reactor more: each step waits for two rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    First,
    Second,
}

/// Steps that wait for some reactors.
#[derive(Debug)]
pub(super) struct Round {
    pub left: usize,
    pub steps: Vec<(Step, Pass)>,
    pub due_ms: u64,
}

/// A reactor asks when what is under way here is settled.
#[derive(Debug)]
pub(super) struct SettleAsked {
    pub reactor: usize,
    pub round: u64,
    /// See [`Core::work_ticket`](crate::core::Core::work_ticket).
    pub work: u64,
    /// The numbers that the next messages to each Redis have.
    pub sequences: SmallVec<[u64; 2]>,
    pub due_ms: u64,
}

/// What another node says of a session that crosses, to the reactor that it is for.
#[derive(Debug)]
pub struct CrossingNews {
    /// Over which Redis.
    pub server: usize,
    /// The number of the node, and its incarnation.
    pub peer: (u16, u64),
    /// The number of the client.
    pub number: u64,
    /// The app.
    pub app: AppId,
    /// What it says.
    pub said: Said,
}

/// See [`CrossingNews`].
#[derive(Debug)]
pub enum Said {
    /// The session is here.
    ToOld(ToOld),
    /// Its client is here.
    ToNew(ToNew),
}

impl Said {
    /// The reactor that it is for, where the answers to `number` are for `asker`.
    pub fn reactor(&self, asker: usize) -> usize {
        let session = match self {
            Self::ToOld(ToOld::Claim(asked)) => asked.session(),
            Self::ToOld(ToOld::Take(taking)) => SessionId::from_u64(taking.session),
            Self::ToNew(_) => return asker,
        };
        usize::from(session.worker())
    }
}

impl Crossing {
    /// Whether pushes to some session here are to be looked at.
    pub fn is_active(&self) -> bool {
        !self.arriving.is_empty() || !self.going.is_empty()
    }

    /// Whether nobody waits for anything of it. A session that is claimed stays where it is if it is not taken.
    pub fn is_quiet(&self) -> bool {
        self.coming.is_empty() && self.rounds.is_empty() && self.next_round.is_empty() && self.asks.is_empty()
    }

    /// Whether steps wait for a round to begin.
    pub fn has_work(&self) -> bool {
        !self.next_round.is_empty()
    }

    /// The session has gone, and is `new` now.
    pub(super) fn has_gone(&mut self, session: SessionId, new: SessionId, ticket: u32, is_proven: bool) {
        if self.went.len() == REMEMBERED {
            self.went.pop_front();
        }
        self.went.push_back(Went { session, new, ticket, is_proven });
    }

    /// What the session is now that has gone from here, if that is remembered: inside, `None` where the ticket with this number is
    /// used up.
    pub fn went_to(&self, session: SessionId, ticket: u32) -> Option<Option<SessionId>> {
        let went = self.went.iter().rev().find(|went| went.session == session)?;
        let is_good =
            ticket == went.ticket || (!went.is_proven && ticket.checked_add(1) == Some(went.ticket));
        Some(is_good.then_some(went.new))
    }

    /// The earliest time at which somebody has waited long enough.
    pub fn due_ms(&self) -> Option<u64> {
        let coming = self.coming.values().map(|coming| coming.due_ms);
        let going = self.going.values().map(|going| going.due_ms);
        let rounds = self.rounds.values().map(|round| round.due_ms);
        coming.chain(going).chain(rounds).chain(self.asks.iter().map(|ask| ask.due_ms)).min()
    }

    /// As they are carried to another process: each session that has gone.
    pub fn carry(&self) -> Vec<(u64, u64, u32, bool)> {
        let each = self.went.iter();
        each.map(|went| (went.session.as_u64(), went.new.as_u64(), went.ticket, went.is_proven)).collect()
    }

    /// Those that were carried.
    pub fn go_on_from(&mut self, carried: Vec<(u64, u64, u32, bool)>) {
        for (session, new, ticket, is_proven) in carried {
            self.has_gone(SessionId::from_u64(session), SessionId::from_u64(new), ticket, is_proven);
        }
    }
}

/// Whether something that is said over each Redis has come over all of them, of which `server` is the last.
pub(super) fn has_come(heard: &mut Heard, server: usize, cluster: &Cluster) -> bool {
    let server = u8::try_from(server).unwrap_or(u8::MAX);
    if !heard.contains(&server) {
        heard.push(server);
    }
    heard.len() >= cluster.in_force().plan.aim.slots().len()
}
