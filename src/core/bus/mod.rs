//! This reactor's part of the bus to other nodes: its way out to each Redis, and the way in of the node for those Redis of which
//! it is the ear. Start from [`Bus`], which every reactor of a cluster has. What is said there: `speaking`; what is heard: `hearing`;
//! what time brings: `beating`.

mod asking;
mod awaiting;
mod beating;
mod carry;
mod crossing;
mod ear;
mod hearing;
mod line;
mod news;
mod places;
mod shared;
mod sharing;
mod showing;
mod speaking;
mod standing;
mod subscribing;

pub use carry::{CarriedBus, CarriedCluster};
pub use news::BusNews;
pub use shared::Cluster;
pub use showing::why_not_ready;

use super::{Core, Envelope};
use crate::cluster::known::UsedNonce;
use crate::cluster::{Lease, Link, LinkLimits, Names, Outgoing, QueueLimits, Waker};
use crate::dispatch::Push;
use crate::session::{AppId, Name, SessionId};
use crate::timer::Moment;
use awaiting::Awaiting;
use crossing::Crossing;
use ear::Ear;
use hashbrown::HashMap;
use line::Line;
use mio::Token;
use news::Waiter;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

/// What the first connection of a bus is registered as; the others follow. Slots are below.
pub const BUS_TOKENS: usize = usize::MAX / 4;

/// See the module.
pub struct Bus {
    cluster: Arc<Cluster>,
    /// One for each Redis.
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
    /// Nonces that have been used in this turn.
    nonces: RefCell<Vec<(AppId, UsedNonce)>>,
}

impl Bus {
    /// The part of the reactor `index`, of so many. `waker` has the reactor turn, from any thread.
    pub fn new(cluster: Arc<Cluster>, index: usize, reactors: usize, waker: Waker) -> Self {
        let config = &cluster.config;
        let ms = |time: std::time::Duration| time.as_millis() as u64;
        let limits = LinkLimits {
            connect_ms: ms(config.connect),
            silent_ms: ms(config.silent),
            backoff_min_ms: ms(config.backoff_min),
            backoff_max_ms: ms(config.backoff_max),
            max_message_bytes: MAX_MESSAGE_BYTES,
            max_unwritten_bytes: config.queue_bytes,
        };
        let queue = QueueLimits {
            messages: config.queue_messages,
            bytes: config.queue_bytes,
            in_flight: config.in_flight,
            digest_entries: config.digest_entries,
        };
        let link = |server: usize, number: usize| {
            let url = Arc::clone(&cluster.servers[server].url);
            Link::new(url, Token(BUS_TOKENS + number), limits, Arc::clone(&waker))
        };
        let lines = (0..cluster.servers.len())
            .map(|server| Line::new(link(server, 2 * server), Outgoing::new(queue), HOLD_MS));
        let always = [cluster.channels.of_nodes(), cluster.own_channel()];
        let ears = (0..cluster.servers.len()).filter(|server| ear_of(*server, reactors) == index);
        let ears = ears.map(|server| {
            let link = link(server, 2 * server + 1);
            let names = Names::new(cluster.channels.clone(), &always, config.max_channels, ms(config.linger));
            (server, Ear::new(link, names, config.in_flight))
        });
        let awaiting = Awaiting::counted_in(Arc::clone(&cluster.questions));
        let beats_ns = vec![(0, 0); cluster.servers.len()];
        let (lines, ears): (_, Vec<_>) = (lines.collect(), ears.collect());
        let lease = ears.iter().any(|(server, _)| *server == 0).then(|| cluster.take_lease()).flatten();
        Self {
            lines,
            ears,
            cluster,
            awaiting,
            message: Vec::new(),
            command: Vec::new(),
            next_beat_ms: 0,
            beats_ns,
            next_sweep_ms: 0,
            quiet_until_ms: 0,
            answering: VecDeque::new(),
            held: HashMap::new(),
            lease,
            crossing: Crossing::default(),
            placed: Vec::new(),
            nonces: RefCell::default(),
        }
    }

    fn ear(&mut self, server: usize) -> Option<&mut Ear> {
        self.ears.iter_mut().find(|(of, _)| *of == server).map(|(_, ear)| ear)
    }

    /// The next one that waits and whose sets of sessions are heard by now.
    fn take_waiter(&mut self) -> Option<Waiter> {
        self.ears.iter_mut().find_map(|(_, ear)| ear.take_waiter())
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

/// The longest message that is taken for one: the largest push, and a digest of as many entries as are remembered.
const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// How long a publisher waits, after Redis has begun anew, for the other nodes to hear again.
const HOLD_MS: u64 = 1_000;

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
