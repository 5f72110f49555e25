//! What the reactors will share, as it is before the first of them runs.

use super::BindError;
use super::joining;
use super::machine::{one_a_core, random_tickets};
use crate::admission::{Admission, Capacity, OpenFiles};
use crate::auth::{Nonces, RemoteSets, Tickets};
use crate::config::{Config, Limits};
use crate::core::{
    Audit, AwayCounts, Bans, BusStatus, Cluster, Drain, Envelope, Handover, InForce, Outside, RecordOrders,
    Rules, Shared, StatsStreams, Sticky, Upgrades,
};
use crate::hub::Interest;
use crate::mailbox::{Handle, MailboxLimits};
use crate::metrics::Metrics;
use crate::timer::Clock;
use log::warn;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};

/// The bounds of every mailbox.
pub fn mailbox_limits(limits: &Limits) -> MailboxLimits {
    MailboxLimits {
        messages: limits.mailbox_messages,
        bytes: limits.mailbox_bytes,
        overflow_messages: limits.overflow_messages,
        overflow_bytes: limits.overflow_bytes,
    }
}

/// What a server begins with that goes on where another process was.
pub struct Before {
    /// This node's part of the ids.
    pub node: u16,
    /// The server's clock.
    pub clock: Clock,
    /// The key of the tickets with which sessions are resumed.
    pub tickets: Tickets,
    /// The other nodes, where there are any.
    pub cluster: Option<Arc<Cluster>>,
}

impl Before {
    /// Nothing was before.
    ///
    /// # Errors
    /// The system has no randomness; the cluster is required, and cannot be joined.
    pub fn new(config: &Config) -> Result<Self, BindError> {
        let clock = Clock::start();
        let cluster = joining::join(config, &clock)?.map(Arc::new);
        let node = cluster.as_ref().map_or(config.node, |cluster| cluster.node);
        let tickets = random_tickets().map_err(BindError::Resources)?;
        Ok(Self { node, clock, tickets, cluster })
    }
}

/// See the module.
pub fn shared(
    rules: Rules,
    reactors: usize,
    files: OpenFiles,
    remote_keys: RemoteSets,
    handle: Handle<Envelope>,
    open_jobs: Arc<AtomicUsize>,
    before: Before,
) -> Shared {
    let config = &rules.settings.config;
    let metrics = Metrics::new(reactors, Clock::wall_unix_ms()).with_bus(config.cluster.redis.len());
    let bus_status = BusStatus::new(&config.cluster, before.node).into();
    let capacity = Capacity::new(&config.limits, files);
    if let Some(shortage) = capacity.shortage(&config.limits) {
        warn!("{shortage}");
    }
    let may_spin = reactors < one_a_core();
    if config.spin_us > 0 && !may_spin {
        warn!("spin_us is ignored: {reactors} reactors that spin need {} cores or more", reactors + 1);
    }
    let audit_lines = config.limits.audit_lines;
    let window_ms = config.auth.timestamp_window.as_millis() as u64;
    let nonces = Nonces::new(config.auth.max_nonces, window_ms, Clock::wall_unix_ms());
    Shared {
        node: before.node,
        cluster: before.cluster,
        spin_ns: if may_spin { config.spin_us as u64 * 1_000 } else { 0 },
        capacity,
        admission: Admission::new(rules.app_configs(), &config.limits, &config.rates),
        nonces: nonces.into(),
        bans: Bans::default(),
        sticky: Sticky::default(),
        record_orders: RecordOrders::default(),
        remote_keys,
        interest: Arc::new(Interest::new(before.node, reactors)),
        in_force: InForce::new(rules, reactors),
        source: OnceLock::new(),
        audit: Arc::new(Audit::new(audit_lines)),
        stats: StatsStreams::new(before.clock.zero_unix_ms(), Clock::wall_unix_ms()),
        upgrades: Upgrades::default(),
        memory: Default::default(),
        unheard: Default::default(),
        metrics,
        bus_status,
        gates: Default::default(),
        links_away: Default::default(),
        listening: Default::default(),
        routes: Default::default(),
        clock: before.clock,
        tickets: before.tickets,
        away: AwayCounts::default(),
        loads: (0..reactors).map(|_| Default::default()).collect(),
        handle,
        outside: Outside::default(),
        draining: false.into(),
        drain: Drain::default(),
        open_jobs,
        handover: Handover::new(reactors),
        ends_at_once: false.into(),
        ending: false.into(),
        reactors_with_sessions: reactors.into(),
    }
}
