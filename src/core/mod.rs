//! What a reactor's rooms act on together: its connections, its hub, its end of the mailboxes, its timers. The gateway
//! asks it to send, close, push; it answers with plain values and calls no higher room. Knows nothing of HTTP and JSON.

mod app_figures;
mod audit;
mod bans;
mod behind;
mod budget;
mod bus;
mod bus_status;
mod carry;
mod changing;
mod closing;
mod coming_back;
mod controls;
mod crossing;
mod date;
mod deadlines;
mod delivery;
mod delivery_rules;
mod departed;
mod details;
mod drain;
mod envelope;
mod event_limit;
mod event_rules;
mod execute;
mod feed;
mod follow;
mod gate;
mod handover;
mod in_force;
mod incoming;
mod largest;
mod lingering;
mod listeners;
mod listening;
mod membership;
mod memory;
mod moving;
mod naming;
mod online;
mod owning;
mod pausing;
mod places;
mod presence;
mod probing;
mod queues;
mod recall;
mod recollection;
mod record_orders;
mod recording;
mod relief;
mod reload;
mod renewing;
mod replacing;
mod reply;
mod resume_rules;
mod resumes;
mod routing;
mod rules;
mod seats;
mod session_state;
mod settings;
mod setup;
mod shared;
mod snapshots;
mod stats_streams;
mod staying;
mod sticky;
mod strangers;
mod ticks;
mod traveller;
mod trusted;
mod unheard;
mod upgrades;
mod upgrading;
mod users;
mod visit;
mod visits;
mod wall;
mod whereabouts;
mod work;
mod writing;

pub use crate::hub::scope_of;
pub use audit::{Audit, AuditLine, By};
pub use bans::{Bans, CarriedBans};
pub use budget::Budget;
pub use bus::{BUS_TOKENS, CarriedCluster, Cluster, why_not_ready};
pub use bus_status::BusStatus;
pub use carry::{Arriving, CarriedCore, CarriedMember};
pub use changing::{add_tag, join};
pub use coming_back::{Claim, Claimed, First, TakesEvents};
pub use delivery_rules::Remembering;
pub use details::Captured;
pub use drain::{Drain, Plan};
pub use envelope::{Arrival, Envelope, Port};
pub use execute::{Finished, Started, new_push};
pub use feed::{Fed, FeedForm, FeedRequest, Reads};
pub use gate::{CarriedLines, EventLost};
pub use handover::{Handover, NotHandedOver, Outcome, Parcel, Stage, encode};
pub use in_force::InForce;
pub use incoming::{HalfReceived, Owed};
pub use largest::ask_for_largest;
pub use lingering::Parted;
pub use listeners::{Barrier, CarriedListener, CarriedShare, HandOn, Order, Recipient, Tell};
pub use membership::{Change, Changed};
pub use moving::{LinkCall, Mover, Resuming};
pub use places::{bind, displace};
pub use queues::Largest;
pub use record_orders::{CarriedRecordOrders, RecordOrders};
pub use reload::{ReloadError, Reloaded};
pub use renewing::RenewError;
pub use reply::Reply;
pub use resumes::AwayCounts;
pub use routing::MOVES_A_TURN;
pub use rules::{Rules, RulesError};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use seats::ring_model as link_ring_model;
pub use seats::{CarriedSeat, Comer, Gone, Kept, Taken, Ticket, first_of_feed};
pub use session_state::SessionState;
pub use shared::{Outside, Shared};
pub use stats_streams::{CarriedStats, PartFate, StatsPart, StatsStream, StatsStreams};
pub use sticky::{CarriedSticky, Sticky};
pub use traveller::Poller;
pub use unheard::HeldEvent;
pub use upgrades::{AskedBy, UpgradeError, UpgradeReport, UpgradeRequest, Upgraded, Upgrades};
pub use visit::{PollClaim, Visit, Visited, Visiting};
pub use whereabouts::Whereabouts;
pub use writing::Sent;

use crate::connection::{Connection, Events, Flag, Outbox, Phase, Settlements, Shown, Transport};
use crate::dispatch::{Operation, Profile};
use crate::hub::{Hub, Memory};
use crate::mailbox::Producer;
use crate::metrics::ReactorMetrics;
use crate::protocol::DeflateEngine;
use crate::session::{AppId, GenerationalSlab, Name, SessionId};
use crate::timer::{Moment, Wheel};
use crate::tls::Scratch;
use bus::Bus;
use coming_back::Claims;
use date::Dates;
use departed::Departed;
use follow::Review;
use gate::Gates;
use hashbrown::HashMap;
use incoming::Incoming;
use lingering::Partings;
use listeners::Listeners;
use online::Online;
use recall::Recalls;
use relief::{Behind, Relief};
use replacing::Replacing;
use resumes::Resumes;
use seats::Seats;
use snapshots::Snapshots;
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use strangers::Strangers;
use ticks::Ticks;
use unheard::Unheard;
use wall::Wall;
use work::Work;
use writing::POOLED_OUTBOXES;

/// Readiness events that a reactor takes from the kernel at once, and the length at which its lists begin.
pub const EVENTS: usize = 1024;

// The wheel's keys are slots.
const _: () = assert!(1 << SessionId::SLOT_BITS <= Wheel::MOST_KEYS);

/// A session that is over: what the app and the links are told, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its id, which names nobody any more.
    pub id: SessionId,
    /// Its app.
    pub app: AppId,
    /// The user it was bound to.
    pub user: Option<Name>,
    /// The close code: the peer's, ours, or 1006 where there was no closing handshake (RFC 6455 §7.1.5).
    pub code: u16,
    /// The close reason.
    pub reason: Box<str>,
    /// What it was in and had.
    pub captured: Captured,
}

/// A reactor without its poll: everything that a turn changes.
pub struct Core {
    /// What all reactors see.
    pub shared: Arc<Shared>,
    /// The rules that this reactor follows, and their number.
    pub rules: Arc<Rules>,
    rules_number: u64,
    /// Which reactor this is.
    pub index: usize,
    /// The clock as read for this turn.
    pub now: Moment,
    /// Every connection of this reactor.
    pub connections: GenerationalSlab<Connection>,
    /// The names of the sessions among them.
    pub hub: Hub,
    /// What the groups remember that this reactor owns.
    memory: Memory,
    recalls: Recalls,
    /// The links that listen, on any reactor.
    pub listeners: Listeners,
    /// Compresses and inflates for the connections here that agreed on it.
    pub deflate: Option<Arc<DeflateEngine>>,
    /// The way to the other reactors.
    pub peers: Producer<Envelope>,
    /// Sessions that are over and of which nobody has been told.
    pub ended: Vec<Ended>,
    /// What of links outlives their connections.
    pub seats: Seats,
    snapshots: Snapshots,
    /// Sessions whose groups or users have changed, where routes may say another link.
    rerouted: Vec<SessionId>,
    /// Changes of which no link has been told; told before any end that follows them.
    changes: Vec<Change>,
    /// What apps keep of what the clients of sessions have shown, by slot; no entry is empty.
    profiles: HashMap<u32, Arc<Profile>>,
    replacing: Replacing,
    unheard: Unheard,
    /// The users that this reactor owns, while a link asks who is online.
    online: Online,
    /// Who has asked who is online, while other nodes are still to tell.
    online_waits: Vec<Arc<Operation>>,
    /// Closing handshakes that the peer completed.
    pub closed_cleanly: u64,
    /// Slots whose sockets may hold more input than a turn reads; each once, by [`Flag::Unread`].
    pub unread: VecDeque<u32>,
    /// What this phase of the turn may still do.
    pub budget: Budget,
    /// Milliseconds since the start in which the reactor did not turn though it was due: nobody could be heard.
    pub absent_ms: u64,
    /// Whether new sessions are refused because the server stops.
    pub draining: bool,
    /// Whether no command is begun, since another process is to go on with what waits.
    pub stands_still: bool,
    /// Whether the next push is the turn's first, and no other is known to come that could share its writes.
    pub goes_ahead: bool,
    /// An entry for each connection that has a deadline; reaping takes it out.
    wheel: Wheel,
    dirty: Vec<u32>,
    /// Connections whose TLS handshake may go on, in the order of their bytes.
    pub handshakes: VecDeque<u32>,
    doomed: Vec<SessionId>,
    /// Connections that go to other reactors at the end of the turn.
    moving: Vec<(SessionId, usize, LinkCall)>,
    settlements: Settlements,
    /// What goes out over TLS is encrypted here.
    scratch: Scratch,
    /// As much of what became of events as is in the counters.
    settled_events: Events,
    /// The boxes are what is kept: a connection holds one pointer.
    #[expect(clippy::vec_box, reason = "a box goes from here to a connection and back")]
    pool: Vec<Box<Outbox>>,
    selected: Vec<u32>,
    ticks: Ticks,
    /// What earlier turns left over, in its order.
    work: VecDeque<Work>,
    /// How much of it has been done since the start.
    work_done: u64,
    gates: Gates,
    incoming: Incoming,
    wall: Wall,
    /// One a port.
    strangers: [Strangers; 2],
    relief: Relief,
    incoming_relief: Relief,
    kept_relief: Relief,
    resumes: Resumes,
    partings: Partings,
    departed: Departed,
    claims: Claims,
    /// Slots whose sockets are blocked with something left in the outbox; each outbox knows its place here.
    pub behind: Vec<Behind>,
    dates: Dates,
    review: Review,
    /// The way to other nodes, where there are any.
    bus: Option<Box<Bus>>,
}

impl Core {
    /// A core without connections. What it keeps for good it has from the start: made in a storm, it would lie behind the
    /// storm's own memory, and keep that from being given back.
    pub fn new(shared: Arc<Shared>, index: usize, peers: Producer<Envelope>, first_generation: u32) -> Self {
        let (rules_number, rules) = shared.in_force.begin(index);
        let settings = &rules.settings;
        let mut hub = Hub::new(index, Arc::clone(&shared.interest));
        let bus = shared.cluster.as_ref().map(|cluster| {
            hub.note_edges();
            Box::new(Bus::new(Arc::clone(cluster), index, shared.reactors(), shared.caller(index)))
        });
        Self {
            index,
            now: shared.clock.now(),
            connections: GenerationalSlab::new(shared.node, index as u8, first_generation),
            hub,
            bus,
            memory: Memory::new(RandomState::new().hash_one(index)),
            recalls: Recalls::default(),
            listeners: Listeners::default(),
            deflate: settings.deflate.clone().map(|config| Arc::new(DeflateEngine::new(config))),
            peers,
            ended: Vec::new(),
            seats: Seats::default(),
            snapshots: Snapshots::default(),
            rerouted: Vec::new(),
            changes: Vec::new(),
            profiles: HashMap::new(),
            replacing: Replacing::default(),
            unheard: Unheard::default(),
            online: Online::default(),
            online_waits: Vec::new(),
            closed_cleanly: 0,
            unread: VecDeque::new(),
            budget: Budget::new(&settings.config.limits),
            absent_ms: 0,
            draining: false,
            stands_still: false,
            goes_ahead: false,
            wheel: Wheel::new(shared.clock.now().ms),
            dirty: Vec::with_capacity(EVENTS),
            handshakes: VecDeque::new(),
            doomed: Vec::new(),
            moving: Vec::new(),
            settlements: Settlements::default(),
            scratch: Scratch::default(),
            settled_events: Events::default(),
            pool: Vec::with_capacity(POOLED_OUTBOXES),
            selected: Vec::with_capacity(EVENTS),
            ticks: Ticks::new(),
            work: VecDeque::new(),
            work_done: 0,
            gates: Gates::default(),
            incoming: Incoming::default(),
            wall: Wall::default(),
            strangers: Default::default(),
            relief: Relief::new(settings.config.limits.outboxes_bytes, shared.reactors()),
            incoming_relief: Relief::with_slack(settings.config.limits.incoming_bytes, shared.reactors()),
            kept_relief: Relief::with_slack(settings.config.limits.kept_bytes, shared.reactors()),
            resumes: Resumes::default(),
            partings: Partings::default(),
            departed: Departed::default(),
            claims: Claims::new(),
            behind: Vec::new(),
            dates: Dates::default(),
            review: Review::default(),
            rules_number,
            rules,
            shared,
        }
    }

    /// This reactor's counters.
    pub fn metrics(&self) -> &ReactorMetrics {
        self.shared.metrics.reactor(self.index)
    }

    /// Wakes those of the other reactors that sleep and have been posted something.
    pub fn wake_peers(&mut self) {
        let woken = self.peers.wake();
        self.metrics().wakes.add(woken as u64);
    }

    /// Whether nothing is under way that this reactor would go on with by itself, but what its sockets send and take.
    pub fn is_quiet(&self) -> bool {
        let told = self.ended.is_empty()
            && self.changes.is_empty()
            && self.settlements.finished.is_empty()
            && self.doomed.is_empty()
            && !self.listeners.has_orders()
            && !self.has_rerouted();
        let told = told && !self.has_parted() && self.claims.is_empty() && self.recalls.is_empty();
        let told = told && self.online_waits.is_empty();
        let told = told && self.replacing.is_quiet() && !self.unheard.has_released();
        let told = told && !self.hub.has_edges() && self.bus.as_ref().is_none_or(|bus| bus.is_quiet());
        told && self.work.is_empty() && self.seats.are_quiet() && self.peers.backlog() == 0
    }

    /// Whether a handshake is under way that could come to its end.
    pub fn has_handshakes(&self) -> bool {
        self.strangers.iter().any(|strangers| {
            strangers.any(&self.connections, |connection| {
                connection.transport == Transport::Handshake && connection.phase == Phase::Open
            })
        })
    }

    /// Whether the turn left something that nothing outside will remind it of.
    pub fn has_work(&self) -> bool {
        let settled = self.settlements.finished.is_empty();
        let flushed = self.dirty.is_empty() && self.doomed.is_empty() && self.handshakes.is_empty();
        let relieved = !self.relief.is_pending() && !self.incoming_relief.is_pending();
        let relieved = relieved && !self.kept_relief.is_pending() && self.claims.is_empty();
        let flushed =
            flushed && relieved && self.work.is_empty() && !self.gates.has_work() && !self.ticks.has_work();
        let told = self.ended.is_empty() && !self.has_parted();
        let tells = |bus: &Bus| !self.stands_still && bus.has_users_to_tell(self.now.ms);
        self.bus.as_ref().is_some_and(|bus| bus.has_work() || tells(bus))
            || self.is_reviewing()
            || self.seats.have_work()
            || self.listeners.has_work()
            || !(self.unread.is_empty() && told && settled && flushed)
    }

    /// What holds at the end of every turn: what is to be written is listed, once, and nothing is freed twice.
    pub fn check(&self) {
        if cfg!(debug_assertions) {
            for slot in &self.dirty {
                let listed = |connection: &Connection| connection.flags.has(Flag::Dirty);
                assert!(
                    self.connections.slot(*slot).is_none_or(listed),
                    "{slot} is to be flushed and does not know it"
                );
            }
            for slot in &self.unread {
                let listed = |connection: &Connection| connection.flags.has(Flag::Unread);
                assert!(
                    self.connections.slot(*slot).is_none_or(listed),
                    "{slot} is to be read and does not know it"
                );
            }
            let spent = self.budget.is_spent_on_sockets();
            assert!(self.doomed.is_empty() && (spent || self.dirty.len() <= self.connections.len()));
            assert!(self.changes.is_empty(), "every change has been told");
            assert!(!self.listeners.has_orders(), "links are told at once whose sessions are");
            assert!(self.settlements.finished.is_empty(), "every push that is done has been sent home");
        }
    }

    /// The connection in `slot`, if the slot is taken.
    pub fn connection(&mut self, slot: u32) -> Option<&mut Connection> {
        self.connections.slot_mut(slot)
    }

    /// Where the client of a connection is, for the log.
    pub fn remote_of(&self, id: SessionId) -> Shown {
        Shown(self.connections.get(id).map(Connection::remote))
    }

    /// The address that the client in `slot` comes from; `None` where it comes over a Unix socket too: what is counted by
    /// address is not counted there.
    pub fn address_of(&self, slot: u32) -> Option<IpAddr> {
        self.connections.slot(slot)?.remote().ip()
    }

    /// The time in which this reactor has been there to hear its connections, in milliseconds.
    pub fn attended_ms(&self) -> u64 {
        self.now.ms - self.absent_ms
    }

    /// In attended time, the end of a wait that begins now and lasts `wait_ms` at the least. What has just been read may be younger
    /// than the moment that the turn goes by, and both are cut to whole milliseconds.
    fn end_of_wait(&self, wait_ms: u64) -> u64 {
        self.shared.clock.now().ms.max(self.now.ms) - self.absent_ms + wait_ms + 1
    }

    /// Has every reactor turn: something that all of them look at has changed.
    pub fn call_all(&mut self) {
        for reactor in 0..self.shared.reactors() {
            self.peers.post_always(reactor, Envelope::Call);
        }
    }
}
