//! This reactor's part of the bus to other nodes: its way out to each Redis, and the way in of the node for those Redis of which
//! it is the ear. Start from [`Bus`], which every reactor of a cluster has. What is said there: `speaking`; what is heard: `hearing`;
//! what time brings: `beating`.

mod asking;
mod awaiting;
mod beating;
mod carry;
mod crossing;
mod ear;
mod flushing;
mod hearing;
mod incoming;
mod line;
mod links;
mod links_known;
mod moving;
mod news;
mod places;
mod placing;
mod plans;
mod reading;
mod remembering;
mod servers;
mod shared;
mod sharing;
mod showing;
mod speaking;
mod standing;
mod subscribing;
mod users;
mod users_asked;

pub use carry::{CarriedBus, CarriedCluster};
pub use news::BusNews;
pub use shared::Cluster;
pub use showing::why_not_ready;

use super::recollection::RecallRequest;
use super::{Core, Envelope};
use crate::cluster::known::UsedNonce;
use crate::cluster::{Lease, Spread, Waker};
use crate::dispatch::{Peer, Push};
use crate::session::{AppId, Name, SessionId};
use crate::timer::Moment;
use awaiting::Awaiting;
use crossing::Crossing;
use ear::Ear;
use hashbrown::HashMap;
use line::Line;
use moving::{Fence, Stage};
use news::Waiter;
use placing::InForce;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use users_asked::Asker;

/// What the first connection of a bus is registered as; the others follow. Slots are below.
pub const BUS_TOKENS: usize = usize::MAX / 4;

/// See the module.
pub struct Bus {
    cluster: Arc<Cluster>,
    /// Has the reactor turn, from any thread.
    waker: Waker,
    /// The plan that this reactor follows, as far as its number is `followed`.
    in_force: Arc<InForce>,
    followed: u64,
    /// Ears that have not heard yet what they were told when this reactor began to follow the plan.
    unheard: usize,
    /// The set of servers that it publishes by.
    speaks: Arc<Spread>,
    /// Whether everybody hears by another set is being asked.
    fence: Option<Fence>,
    /// It is not asked before.
    next_fence_ms: u64,
    /// Who asks this node whether everything is heard by a set. They are answered when all that was heard before is with its reactor.
    fences: Vec<(Peer, u64)>,
    /// Those who waited for an ear that there is no more.
    passed: VecDeque<Waiter>,
    /// How far a change of the list of servers is, as the log has said it.
    stage: Stage,
    /// Nodes of whose list of servers the log has said that it is another one.
    others: HashMap<u64, u64>,
    /// One for each Redis, by slot.
    lines: Vec<Line>,
    /// One for each Redis of which this reactor is the ear.
    ears: Vec<(usize, Ear)>,
    awaiting: Awaiting,
    /// A message, and the command that publishes it, while they are made.
    message: Vec<u8>,
    command: Vec<u8>,
    next_beat_ms: u64,
    /// When this node last told over each Redis how it is, in nanoseconds, to see how long that takes.
    beats_ns: Vec<(u64, u64)>,
    next_sweep_ms: u64,
    /// No further line about refused messages before this.
    quiet_until_ms: u64,
    /// Pushes of other nodes whose receipt is due, in the order in which it is.
    answering: VecDeque<(u64, Arc<Push>)>,
    /// Sessions whose clients are not answered before so many ears hear their names.
    held: HashMap<SessionId, usize>,
    /// The lease of the node's number, on the ear of the first Redis.
    lease: Option<Lease>,
    /// Sessions that cross between nodes.
    crossing: Crossing,
    /// Users who have taken places in this turn, by sessions here.
    placed: Vec<(AppId, Name)>,
    /// Nodes that ask who is online.
    askers: Vec<Asker>,
    /// Users whose first session here has come in this turn, or whose last has gone, for those that ask.
    users: Vec<(AppId, Name, bool)>,
    /// Nonces that have been used in this turn.
    nonces: RefCell<Vec<(AppId, UsedNonce)>>,
    /// Whether the turn has published anything but answers, which are not urgent.
    has_news: bool,
    /// What was asked of a Redis that is in use no more.
    untold: Vec<reading::Question>,
    /// Sessions that have joined groups which remember in this turn.
    recalls: Vec<RecallRequest>,
}

impl Bus {
    /// The part of the reactor `index`, of so many. `waker` has the reactor turn, from any thread.
    pub fn new(cluster: Arc<Cluster>, index: usize, reactors: usize, waker: Waker) -> Self {
        let in_force = cluster.in_force();
        // The oldest of the sets that are heard: where there are several, nobody is known yet to hear by the newest.
        let oldest = in_force.plan.heard().next();
        let speaks = Arc::clone(oldest.unwrap_or(&in_force.plan.aim));
        cluster.reactor_begins(index, reactors, &speaks);
        let awaiting = Awaiting::counted_in(Arc::clone(&cluster.questions));
        let lease = (ear_of(0, reactors) == index).then(|| cluster.take_lease()).flatten();
        let mut bus = Self {
            waker,
            in_force,
            followed: 0,
            unheard: 0,
            speaks,
            fence: None,
            next_fence_ms: 0,
            fences: Vec::new(),
            passed: VecDeque::new(),
            stage: Stage::Settled,
            others: HashMap::new(),
            lines: Vec::new(),
            ears: Vec::new(),
            cluster,
            awaiting,
            message: Vec::new(),
            command: Vec::new(),
            next_beat_ms: 0,
            beats_ns: Vec::new(),
            next_sweep_ms: 0,
            quiet_until_ms: 0,
            answering: VecDeque::new(),
            held: HashMap::new(),
            lease,
            crossing: Crossing::default(),
            placed: Vec::new(),
            askers: Vec::new(),
            users: Vec::new(),
            nonces: RefCell::default(),
            has_news: false,
            untold: Vec::new(),
            recalls: Vec::new(),
        };
        bus.open_servers(index, reactors);
        bus
    }

    fn ear(&mut self, server: usize) -> Option<&mut Ear> {
        self.ears.iter_mut().find(|(of, _)| *of == server).map(|(_, ear)| ear)
    }

    /// The next one that waits and whose sets of sessions are heard by now.
    fn take_waiter(&mut self) -> Option<Waiter> {
        let of_ears = self.ears.iter_mut().find_map(|(_, ear)| ear.take_waiter());
        of_ears.or_else(|| self.passed.pop_front())
    }

    /// What is registered under this token is ready.
    fn ready(&mut self, token: usize, now: Moment) {
        let number = token - BUS_TOKENS;
        let link = match number % 2 {
            0 => self.lines.get_mut(number / 2).map(Line::link),
            _ => self.ear(number / 2).map(Ear::link),
        };
        if let Some(link) = link {
            link.ready(now.ms);
        }
    }

    /// Whether the turn has left something that nothing outside will remind of.
    pub fn has_work(&self) -> bool {
        self.lines.iter().any(Line::has_work)
            || self.ears.iter().any(|(_, ear)| ear.has_work())
            || !self.passed.is_empty()
            || self.followed != self.cluster.plan_number()
            || self.crossing.has_work()
    }

    /// When time next brings something, in milliseconds of the server's clock.
    pub fn next_ms(&self) -> Option<u64> {
        let lines = self.lines.iter().filter_map(Line::due_ms);
        let ears = self.ears.iter().filter_map(|(_, ear)| ear.due_ms());
        let lease = self.lease.as_ref().and_then(Lease::due_ms);
        let own = [
            Some(self.next_beat_ms),
            lease,
            self.awaiting.due_ms(),
            self.answering.front().map(|(ms, _)| *ms),
            self.crossing.due_ms(),
        ];
        lines.chain(ears).chain(own.into_iter().flatten()).min()
    }
}

/// The reactor that hears what comes over a Redis.
fn ear_of(server: usize, reactors: usize) -> usize {
    server % reactors
}

impl Core {
    /// A connection of the bus is ready.
    pub fn bus_ready(&mut self, token: usize) {
        let now = self.now;
        if let Some(bus) = &mut self.bus {
            bus.ready(token, now);
        }
    }
}
