//! The few things that all reactors see: the rules in force, the interest table, the counters, the clock, and the way in for
//! other threads. Nothing here is on the way of a message but the interest table, which is read without locks.

use super::app_figures::{self, AppsWanted};
use super::audit::Audit;
use super::bans::Bans;
use super::bus::Cluster;
use super::bus_status::BusStatus;
use super::drain::Drain;
use super::envelope::Envelope;
use super::event_limit::EventLimit;
use super::gate::Gate;
use super::handover::Handover;
use super::in_force::InForce;
use super::listening::Listening;
use super::record_orders::{Order, RecordOrders};
use super::resumes::AwayCounts;
use super::stats_streams::StatsStreams;
use super::sticky::Sticky;
use super::upgrades::Upgrades;
use crate::admission::{Admission, Capacity};
use crate::auth::{Nonces, RemoteSets, Tickets};
use crate::config::Config;
use crate::dispatch::{
    Action, Ban, Banned, CommandError, ErrorCode, NameKind, Operation, Push, Recorded, Routed, Scope,
    Selector, Target, Who, Why,
};
use crate::hub::{Interest, ReactorSet};
use crate::mailbox::Handle;
use crate::metrics::{ByApp, Gauge, Metrics, ReactorMetrics};
use crate::session::{AppId, Name, SessionId};
use crate::timer::Clock;
use crossbeam_utils::CachePadded;
use hashbrown::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// What a reactor has to carry, as the acceptor sees it: connections it owns or will get.
#[derive(Debug, Default)]
pub struct Load {
    /// On the client port.
    pub clients: AtomicUsize,
    /// On the backend port.
    pub backends: AtomicUsize,
}

/// Counts of threads that are no reactors, and so have no counters of their own.
#[derive(Debug, Default)]
pub struct Outside {
    /// Pushes, by app.
    pub pushes: ByApp<AtomicU64>,
    /// Set when there is one among them.
    pub has_pushes: AtomicBool,
    /// Messages that found no room in a mailbox.
    pub dropped: AtomicU64,
    /// Named sessions and users that were not there.
    pub offline: AtomicU64,
}

/// What the groups of all reactors keep, in bytes.
#[derive(Debug, Default)]
pub struct MemoryUse {
    /// Of all apps.
    pub server: AtomicU64,
    /// Of each app.
    pub apps: ByApp<AtomicU64>,
}

/// Where the configuration is read again; what it cannot read it describes in a line.
pub type Source = Box<dyn Fn() -> Result<Config, String> + Send + Sync>;

/// See the module.
pub struct Shared {
    /// This node's part of the session ids; only a restart changes it.
    pub node: u16,
    /// How long a reactor looks for work before it sleeps, in nanoseconds; 0 is not at all.
    pub spin_ns: u64,
    /// The other nodes, where there are any.
    pub cluster: Option<Arc<Cluster>>,
    /// The rules in force.
    pub in_force: InForce,
    /// Where the configuration is read again, if there is such a place.
    pub source: OnceLock<Source>,
    /// The newest lines of the audit trail.
    pub audit: Arc<Audit>,
    /// The streams of figures that are open.
    pub stats: StatsStreams,
    /// The upgrade of this process to another, if there is one.
    pub upgrades: Upgrades,
    /// The public keys at URLs: they outlive the configuration that names them.
    pub remote_keys: RemoteSets,
    /// The nonces of signed queries that have been used. Locked for one look-up at an upgrade that shows a valid signature;
    /// never on the way of a message.
    pub nonces: Mutex<Nonces>,
    /// Who may open no session.
    pub bans: Bans,
    /// The groups that users are in with every session.
    pub sticky: Sticky,
    /// Whose next sessions are to be recorded, and how many are.
    pub record_orders: RecordOrders,
    /// Makes and reads the tickets with which sessions are resumed.
    pub tickets: Tickets,
    /// Who fits in.
    pub admission: Admission,
    /// How many sessions are away.
    pub away: AwayCounts,
    /// How many fit in.
    pub capacity: Capacity,
    /// Which reactors have any session of a user, group, tag or app.
    pub interest: Arc<Interest>,
    /// How much groups remember, which is bounded for all reactors together.
    pub memory: MemoryUse,
    /// Memory of the events that no link hears and that are held, by app.
    pub unheard: ByApp<AtomicU64>,
    /// Counters.
    pub metrics: Metrics,
    /// The cluster as this node sees it: never on the way of a message.
    pub bus_status: Mutex<BusStatus>,
    /// The gates of the links that listen, by link: looked up when one begins, never on the way of a message.
    pub gates: Mutex<HashMap<SessionId, Arc<Gate>>>,
    /// Numbers the routes in the order in which they were asked for.
    pub routes: AtomicU64,
    /// Links that are away, on all reactors.
    pub links_away: AtomicUsize,
    /// Which links listen, by name and share: looked up when one begins, never on the way of a message.
    pub listening: Mutex<Listening>,
    /// The clock.
    pub clock: Clock,
    /// One a reactor.
    pub loads: Box<[CachePadded<Load>]>,
    /// The way in for threads that are no reactors.
    pub handle: Handle<Envelope>,
    /// What other threads have to count; the next reactor that turns does it for them.
    pub outside: Outside,
    /// Set when the server is to stop: no new sessions from then on. Every reactor looks at it once a turn.
    pub draining: AtomicBool,
    /// The drain, if there is one.
    pub drain: Drain,
    /// Jobs of the observer whose answers are not in a mailbox yet.
    pub open_jobs: Arc<AtomicUsize>,
    /// How far another process has taken over.
    pub handover: Handover,
    /// Set when a reactor has failed: the others end without the lame duck.
    pub ends_at_once: AtomicBool,
    /// Set when the first reactor ends what is left: nothing is taken from outside any more.
    pub ending: AtomicBool,
    /// Reactors that have not closed their players' sessions yet; the last one to do so tells all.
    pub reactors_with_sessions: AtomicUsize,
}

impl Shared {
    /// Whether new players are refused because those that are there leave.
    pub fn turns_players_away(&self) -> bool {
        self.draining.load(Ordering::Relaxed) || self.drain.is_on()
    }

    /// Has every reactor turn: something that all of them look at has changed.
    pub fn wake_all(&self) {
        for reactor in 0..self.reactors() {
            // A reactor whose mailbox is full is awake, and looks for itself.
            let _ = self.handle.post(reactor, Envelope::Call);
        }
    }

    /// The number of reactors.
    pub fn reactors(&self) -> usize {
        self.loads.len()
    }

    /// The nonces that have been used. What a holder that panicked left is whole: every change is one call.
    pub fn nonces(&self) -> MutexGuard<'_, Nonces> {
        self.nonces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which links listen. What a holder that panicked left is whole: every change is one call.
    pub fn listening(&self) -> MutexGuard<'_, Listening> {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The gate of a link.
    pub fn gate_of(&self, link: SessionId) -> Arc<Gate> {
        let rules = self.in_force.look();
        let limits = &rules.settings.config.limits;
        let limit = EventLimit { bytes: limits.link_outbox_bytes, events: limits.link_outbox_messages };
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(gates.entry(link).or_insert_with(|| Arc::new(Gate::new(limit))))
    }

    /// The link has gone.
    pub fn forget_gate(&self, link: SessionId) {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner).remove(&link);
    }

    /// The gauge that `of` picks, on all reactors; `own` is the value of the one at `index`, which may not be published yet.
    pub fn sums(&self, index: usize, own: u64, of: impl Fn(&ReactorMetrics) -> &Gauge) -> Vec<u64> {
        let sum = |reactor| if reactor == index { own } else { of(self.metrics.reactor(reactor)).get() };
        (0..self.reactors()).map(sum).collect()
    }

    /// The reactors that have a part in an operation, which begins here. One about a session that no reactor can own has failed.
    pub fn reactors_for(&self, operation: &Operation) -> ReactorSet {
        match self.change_sticky(operation) {
            Ok(false) => self.reactors_by_names(operation),
            Ok(true) => ReactorSet::first(self.reactors()),
            Err(error) => {
                operation.fail(error);
                ReactorSet::default()
            }
        }
    }

    fn reactors_by_names(&self, operation: &Operation) -> ReactorSet {
        let of = |selector: Selector| self.interest.reactors_of_selector(operation.app, &selector);
        let owner = |id: SessionId| self.reactors_of_who(operation, &Who::Session(id));
        if let Some(who) = operation.action.who() {
            return self.reactors_of_who(operation, who);
        }
        match &operation.action {
            Action::Bind { session, .. }
            | Action::Tag { session, .. }
            | Action::Untag { session, .. }
            | Action::Renew { session, .. }
            | Action::Describe { session }
            | Action::RenewUntil { session, .. } => owner(*session),
            Action::Record { of, .. } | Action::StopRecord { of } | Action::ReadRecord { of } => {
                self.reactors_of_record(operation, of)
            }
            Action::Move { from: group, .. } => of(Selector::Group(group.clone())),
            // Every reactor has the routes.
            Action::Destroy { .. } if self.routes.load(Ordering::Relaxed) > 0 => {
                ReactorSet::first(self.reactors())
            }
            Action::Destroy { group } => {
                let mut reactors = of(Selector::Group(group.clone()));
                if self.in_force.look().delivery_rules.memory(operation.app, group).is_some() {
                    reactors.insert(self.owner_of_group(operation.app, group));
                }
                reactors
            }
            Action::Latest { group } | Action::Log { group, .. } | Action::Forget { group, .. } => {
                let mut reactors = ReactorSet::default();
                reactors.insert(self.owner_of_group(operation.app, group));
                reactors
            }
            Action::Ban { whom, for_ms, reason } => self.begin_ban(operation, whom, *for_ms, reason),
            Action::Unban { whom } => {
                let unix_ms = Clock::wall_unix_ms();
                let was_banned = self.bans.remove(operation.app, whom, unix_ms);
                if self.cluster.is_some() {
                    self.bans.note_taken_back(operation.app, whom, unix_ms);
                }
                operation.count_sessions(u32::from(was_banned));
                ReactorSet::default()
            }
            Action::Bans { limit, after } => {
                let page = self.bans.page(operation.app, *limit, after.as_ref(), Clock::wall_unix_ms());
                operation.found_bans(page);
                ReactorSet::default()
            }
            Action::List { by, .. } | Action::Behind { by, .. } | Action::Count { by } => of(by.clone()),
            Action::Names { kind: NameKind::Apps, prefix, limit, after, among } => {
                let prefix = prefix.as_deref().unwrap_or_default();
                // One more than asked for tells whether there is a next page.
                let limit = limit.saturating_add(1);
                let wanted = AppsWanted { prefix, after: after.as_ref(), among: among.as_deref(), limit };
                let apps = &self.in_force.look().apps;
                operation.add_names(app_figures::named(apps, &self.metrics, self.reactors(), &wanted));
                ReactorSet::default()
            }
            Action::Stats => {
                operation.found_stats(app_figures::stats(&self.metrics, self.reactors(), operation.app));
                ReactorSet::default()
            }
            Action::Names { .. } => of(Selector::All),
            Action::Presence { group, .. } => of(Selector::Group(group.clone())),
            Action::Route { what: Routed::Session(session), .. } => owner(*session),
            // Links are known on all of them; what else is left says who it is about.
            _ => ReactorSet::first(self.reactors()),
        }
    }

    /// The reactors that have a part in an operation about the record of `of`. An order for a user is given, or taken back, here.
    fn reactors_of_record(&self, operation: &Operation, of: &Recorded) -> ReactorSet {
        match of {
            Recorded::Session(id) => self.reactor_of_recorded(operation, *id),
            Recorded::User(user) => {
                let (app, now_ms) = (operation.app, self.clock.now().ms);
                match &operation.action {
                    Action::Record { frames, .. } => {
                        if let Err(error) = self.order_record(app, user, *frames, now_ms) {
                            operation.fail(error);
                        }
                        return ReactorSet::default();
                    }
                    Action::StopRecord { .. } => {
                        let removed = self.record_orders.remove(app, user, now_ms);
                        operation.count_sessions(u32::from(removed));
                    }
                    _ => {}
                }
                // Its sessions may have ended: nothing says where they were.
                ReactorSet::first(self.reactors())
            }
        }
    }

    fn order_record(&self, app: AppId, user: &Name, frames: usize, now_ms: u64) -> Result<(), CommandError> {
        let rules = self.in_force.look();
        let config = &rules.settings.config;
        let until_ms = now_ms + config.timeouts.record_order.as_millis() as u64;
        self.record_orders.add(app, user, Order { frames, until_ms }, config.limits.records, now_ms)
    }

    fn reactor_of_recorded(&self, operation: &Operation, id: SessionId) -> ReactorSet {
        let mut reactors = ReactorSet::default();
        match self.interest.owner(id) {
            Some(owner) => reactors.insert(owner),
            None if self.is_elsewhere(id) => {
                let message =
                    format!("session {id} is on node {}: what a node records is asked of it", id.node());
                operation.fail(CommandError::new(ErrorCode::Conflict, message));
            }
            None => operation.fail(CommandError::unknown_session(id)),
        }
        reactors
    }

    /// A ban holds from here on: whoever comes while the reactors close the sessions that are there is refused. The reactors that
    /// may have any.
    fn begin_ban(
        &self,
        operation: &Operation,
        whom: &Banned,
        for_ms: Option<u64>,
        reason: &str,
    ) -> ReactorSet {
        let unix_ms = Clock::wall_unix_ms();
        let until_unix_ms = for_ms.map(|ms| unix_ms.saturating_add(ms));
        let ban = Ban { whom: whom.clone(), until_unix_ms, reason: reason.into() };
        let most = self.in_force.look().settings.config.limits.max_bans;
        match (self.bans.add(operation.app, ban, most, unix_ms), whom) {
            (Ok(()), Banned::User(user)) => {
                self.interest.reactors_of_selector(operation.app, &Selector::User(user.clone()))
            }
            (Ok(()), Banned::Address(_)) => self.interest.reactors_of_selector(operation.app, &Selector::All),
            (Err(error), _) => {
                operation.fail(error);
                ReactorSet::default()
            }
        }
    }

    /// The reactors that have any session of `who`. One session that no reactor can own is the error of the operation; of a list
    /// whom there is not is counted.
    fn reactors_of_who(&self, operation: &Operation, who: &Who) -> ReactorSet {
        let of = |selector: &Selector| self.interest.reactors_of_selector(operation.app, selector);
        let mut reactors = ReactorSet::default();
        match who {
            Who::Session(id) => match self.interest.owner(*id) {
                Some(owner) => reactors.insert(owner),
                None => operation.fail(CommandError::unknown_session(*id)),
            },
            Who::User(user) => return of(&Selector::User(user.clone())),
            Who::Sessions(ids) => {
                for (index, id) in ids.iter().enumerate() {
                    match self.interest.owner(*id) {
                        Some(owner) => reactors.insert(owner),
                        None => operation.is_unknown(index),
                    }
                }
            }
            Who::Users(users) => {
                for (index, user) in users.iter().enumerate() {
                    let found = of(&Selector::User(user.clone()));
                    if found.is_empty() {
                        operation.is_unknown(index);
                    }
                    reactors = reactors.union(found);
                }
            }
        }
        reactors
    }

    /// What the bus knows of the cluster. What a holder that panicked left is whole: every change is one assignment.
    pub fn bus_status(&self) -> MutexGuard<'_, BusStatus> {
        self.bus_status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same as JSON, now.
    pub fn bus_status_json(&self) -> String {
        self.bus_status().to_json(&self.metrics, self.reactors(), self.clock.now().ms)
    }

    /// Whether another node is there that has sessions with such ids.
    pub fn is_elsewhere(&self, id: SessionId) -> bool {
        self.cluster.as_ref().is_some_and(|cluster| cluster.has_node(id.node()))
    }

    /// Whether an action changes which users are in groups with every session: all nodes have to know it.
    pub fn concerns_sticky(&self, action: &Action) -> bool {
        match action {
            Action::JoinSticky { .. } => true,
            Action::Leave { who, .. } | Action::LeaveAll { who, .. } | Action::SetGroups { who, .. } => {
                !who.users().is_empty() && self.sticky.has_any()
            }
            Action::MoveSome { who, .. } => !who.users().is_empty() && self.sticky.has_any(),
            Action::Move { .. } | Action::Destroy { .. } => self.sticky.has_any(),
            _ => false,
        }
    }

    /// Has the reactor turn, from any thread.
    pub fn caller(self: &Arc<Self>, reactor: usize) -> Arc<dyn Fn() + Send + Sync> {
        let shared = Arc::clone(self);
        // A reactor whose mailbox is full is awake.
        Arc::new(move || drop(shared.handle.post(reactor, Envelope::Call)))
    }

    /// The mailbox of `reactor` did not take the push. The users who may be there are not known to be offline.
    pub fn count_unreached(&self, push: &Push, reactor: usize) {
        for (index, selector) in push.target.selectors().iter().enumerate() {
            if let Selector::User(_) = selector
                && self.interest.reactors_of(push.app, &Target::from(selector.clone())).contains(reactor)
            {
                push.user_found(index);
            }
        }
        push.part_unreached();
    }

    /// Named sessions that no reactor here can own are offline, and no reactor will say so: the publisher does.
    pub fn count_unroutable(&self, push: &Push) {
        for selector in push.target.selectors() {
            if let Selector::Session(id) = selector
                && (id.node() != self.node || usize::from(id.worker()) >= self.reactors())
                && !(push.options.scope == Scope::Cluster && self.is_elsewhere(*id))
            {
                push.count_offline_session();
                push.miss(Some(*id), None, Why::Offline);
            }
        }
    }
}
