//! What belongs to no reactor, on its way to another process.

use crate::admission::CarriedAdmission;
use crate::auth::{CarriedKeys, CarriedNonces};
use crate::core::{
    AskedBy, CarriedBans, CarriedCluster, CarriedRecordOrders, CarriedStats, CarriedSticky, Shared,
};
use crate::dispatch::{CarriedShared, Unpacker};
use crate::metrics::CarriedMetrics;
use crate::session::{AppId, Name, SessionId};
use crate::timer::{CarriedClock, Clock};
use crate::tls::CarriedPorts;
use crate::upgrade::{Formats, InvalidState};
use minicbor::bytes::ByteArray;
use minicbor::{Decode, Decoder, Encode};
use std::sync::{PoisonError, RwLock};

/// The versions of the state: raised only where an older process could not go on from what is written.
pub const FORMATS: Formats = Formats { written: 1, oldest_read: 1, oldest_reader: 1 };

/// The part of the stream that comes first.
pub const SETUP_PART: u32 = (1 << 16) + 1;
/// The part of the stream that comes last.
pub const SERVER_PART: u32 = (1 << 16) + 2;

/// What the new process has to know to make its reactors.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct CarriedSetup {
    #[n(0)]
    pub clock: CarriedClock,
    /// This node's part of the ids.
    #[n(1)]
    pub node: u16,
    /// In the order of their ids.
    #[n(2)]
    pub apps: Vec<Box<str>>,
    /// So that players who come back resume their TLS sessions.
    #[n(3)]
    pub tickets: Option<CarriedPorts>,
    /// Public keys of apps, so that no player waits for a fetch.
    #[n(4)]
    pub keys: Vec<CarriedKeys>,
    /// So that players who come back resume their sessions.
    #[n(5)]
    pub resume_key: Option<ByteArray<32>>,
    /// Which node of a cluster it is.
    #[n(6)]
    pub cluster: Option<CarriedCluster>,
}

impl CarriedSetup {
    /// Of a server that runs.
    pub fn of(shared: &Shared) -> Self {
        let rules = shared.in_force.look();
        Self {
            clock: shared.clock.carry(),
            node: shared.node,
            apps: rules.apps.names().map(|name| name.as_str().into()).collect(),
            tickets: Some(rules.tls.carry()),
            keys: shared.remote_keys.carry(),
            resume_key: Some(shared.tickets.carry()),
            cluster: shared.cluster.as_ref().map(|cluster| cluster.carry()),
        }
    }
}

/// What all reactors share, when they have packed.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct CarriedServer {
    #[n(0)]
    nonces: CarriedNonces,
    #[n(1)]
    admission: CarriedAdmission,
    #[n(2)]
    metrics: CarriedMetrics,
    /// The connection that asked for the upgrade, and which of its answers it waits for.
    #[n(3)]
    asked_by: Option<(u64, u64)>,
    /// When the world came to stand still, in milliseconds of the server's clock.
    #[n(4)]
    pub still_ms: u64,
    /// The process that was upgraded.
    #[n(5)]
    pub pid: u32,
    /// Who may open no session.
    #[n(6)]
    bans: Option<CarriedBans>,
    /// The groups that users are in with every session.
    #[n(7)]
    sticky: Option<CarriedSticky>,
    /// The hour of figures and the newest lines of the audit trail. States of 0.2.0 have none.
    #[n(8)]
    stats: Option<CarriedStats>,
    /// Whose next sessions are to be recorded.
    #[n(9)]
    record_orders: Option<CarriedRecordOrders>,
}

impl CarriedServer {
    /// Of a server that stands still since `still_ms`.
    pub fn of(shared: &Shared, asked_by: Option<AskedBy>, still_ms: u64) -> Self {
        Self {
            nonces: shared.nonces().carry(),
            admission: shared.admission.carry(shared.clock.now().ns),
            metrics: shared.metrics.carry(),
            asked_by: asked_by.map(|AskedBy { connection, sequence }| (connection.as_u64(), sequence)),
            still_ms,
            pid: std::process::id(),
            bans: shared.bans.carry(),
            sticky: shared.sticky.carry(),
            stats: shared.stats.carry(shared.audit.carry()),
            record_orders: shared.record_orders.carry(),
        }
    }

    /// The server goes on from it. Every connection has arrived.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn restore(self, shared: &Shared) -> Result<Option<AskedBy>, InvalidState> {
        let Self { nonces, admission, metrics, asked_by, still_ms: _, pid: _, .. } = self;
        let Self { bans, sticky, stats, record_orders, .. } = self;
        bans.map_or(Ok(()), |bans| shared.bans.go_on_from(bans))?;
        record_orders.map_or(Ok(()), |orders| shared.record_orders.go_on_from(orders))?;
        sticky.map_or(Ok(()), |sticky| go_on_with_sticky(shared, sticky))?;
        shared.nonces().go_on_from(nonces, Clock::wall_unix_ms())?;
        shared.admission.go_on_from(admission);
        shared.metrics.go_on_from(&metrics);
        // Behind the counters: what is counted from here on is what this process counts.
        shared.audit.go_on_from(shared.stats.go_on_from(stats));
        Ok(asked_by
            .map(|(connection, sequence)| AskedBy { connection: SessionId::from_u64(connection), sequence }))
    }
}

fn go_on_with_sticky(shared: &Shared, sticky: CarriedSticky) -> Result<(), InvalidState> {
    let rules = shared.in_force.look();
    let apps = rules.apps.names().count();
    let ms_of = |app: AppId| (usize::from(app.0) < apps).then(|| rules.sticky_rule(app).ms);
    let has_session = |app, user: &Name| shared.has_session(app, user);
    shared.sticky.go_on_from(sticky, shared.clock.now().ms, ms_of, has_session)
}

/// What a batch has, as bytes of another process.
///
/// # Errors
/// It is not to be read.
pub fn decode<T: for<'b> minicbor::Decode<'b, ()>>(state: &[u8]) -> Result<T, InvalidState> {
    minicbor::decode(state).map_err(|error| InvalidState::new(format!("not to be read: {error}")))
}

/// Takes in a batch of frames and pushes.
///
/// # Errors
/// What is wrong with one of them.
pub fn unpack(state: &[u8], unpacker: &RwLock<Unpacker>) -> Result<(), InvalidState> {
    let mut unpacker = unpacker.write().unwrap_or_else(PoisonError::into_inner);
    let mut decoder = Decoder::new(state);
    while decoder.position() < state.len() {
        let shared: CarriedShared =
            decoder.decode().map_err(|error| InvalidState::new(format!("not to be read: {error}")))?;
        unpacker.take(shared)?;
    }
    Ok(())
}
