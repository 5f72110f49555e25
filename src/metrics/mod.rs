//! Counters, gauges and histograms, one set a reactor; the Prometheus text and the totals that are made of them. Knows
//! nothing of sockets or of who asks.
//!
//! A reactor writes only its own set, so a count is a plain load and store without a locked instruction, on cache lines
//! of its own. Whoever renders reads the sets of all; what it reads of one reactor is of about the same moment.

mod app_families;
mod bus;
mod by_app;
mod carry;
mod families;
mod histogram;
mod history;
mod labels;
mod process;
mod reloads;
mod render;
mod sample;
mod setup;
mod upgrades;
mod value;

pub use bus::{BusLink, BusMetrics, MAX_SERVERS};
pub use by_app::ByApp;
pub use carry::CarriedMetrics;
pub use families::{ReactorMetrics, Totals};
pub use histogram::HistogramTotal;
pub use history::{CarriedHistory, History};
pub use labels::{
    AuthFailure, BackendRefusal, BusLoss, CloseClass, DeliveryOutcome, DropReason, Label, LingerEnd,
    LinkResume, MemoryLoss, PauseReason, ProtocolErrorKind, RefusalReason, ResumeFailure, StatusClass,
    Throttled, TlsOutcome, UnheardKind,
};
pub use process::open_fds;
pub use sample::{AppSample, Sample};
pub use setup::{CertificateExpiry, Setup};
pub use upgrades::LastUpgrade;
pub use upgrades::UpgradeStats;
pub use value::Gauge;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crossbeam_utils::CachePadded;
use serde::Serialize;

use self::bus::{ClusterMetrics, Links};
use self::carry::Carry;
use self::process::Process;
use self::reloads::{ReloadStats, Reloads};
use self::render::Text;
use self::upgrades::Upgrades;

/// Lines that the log of the process has lost, because they came faster than they were written or could not be. A process
/// has one log, however many servers run in it.
pub static LOG_LINES_LOST: AtomicU64 = AtomicU64::new(0);

/// All the figures of a server.
pub struct Metrics {
    reactors: Box<[CachePadded<ReactorMetrics>]>,
    /// The cluster, as this node sees it.
    pub cluster: ClusterMetrics,
    /// Fetches of JWK sets.
    pub key_fetches: KeyFetches,
    started: Instant,
    /// How often the configuration was read again.
    pub reloads: Reloads,
    /// How often the server was upgraded.
    pub upgrades: Upgrades,
}

/// Fetches of JWK sets, by how they ended; one thread makes them.
#[derive(Debug, Default)]
pub struct KeyFetches {
    fetched: AtomicU64,
    failed: AtomicU64,
}

impl KeyFetches {
    /// One has ended, with a set or without.
    pub fn count(&self, has_set: bool) {
        let count = if has_set { &self.fetched } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
    }

    fn render(&self, text: &mut Text<'_>) {
        const NAME: &str = "gannet_jwks_fetches_total";
        let help = "Fetches of JWK sets (apps.NAME.jwks_url), by outcome: failed is one that brought no keys, so that the old ones \
                    stay.";
        text.family(NAME, help, "counter");
        for (outcome, count) in [("fetched", &self.fetched), ("failed", &self.failed)] {
            text.sample(NAME, &[("outcome", outcome)], count.load(Ordering::Relaxed));
        }
    }
}

impl Carry for KeyFetches {
    fn each(&self, see: &mut dyn FnMut(&str, u64)) {
        let Self { fetched, failed } = self;
        see("fetched", fetched.load(Ordering::Relaxed));
        see("failed", failed.load(Ordering::Relaxed));
    }

    fn add_carried(&self, label: &str, count: u64) {
        match label {
            "fetched" => _ = self.fetched.fetch_add(count, Ordering::Relaxed),
            "failed" => _ = self.failed.fetch_add(count, Ordering::Relaxed),
            _ => {}
        }
    }
}

/// The sums over all reactors, and the process: what `/v1/stats` answers.
#[derive(Debug, Clone, Serialize)]
pub struct Snapshot {
    /// The version of gannet.
    pub version: &'static str,
    /// The process.
    pub pid: u32,
    /// Seconds since the start.
    pub uptime_seconds: u64,
    /// How many reactors run.
    pub reactors: usize,
    /// Open file descriptors of the process; `None` where `/proc` does not say.
    pub open_fds: Option<u64>,
    /// Resident memory of the process in bytes; `None` where `/proc` does not say.
    pub resident_memory_bytes: Option<u64>,
    /// How often the configuration was read again.
    pub reload: ReloadStats,
    /// How often the server was upgraded.
    pub upgrade: UpgradeStats,
    /// The sums.
    #[serde(flatten)]
    pub totals: Totals,
}

impl Metrics {
    /// Figures for so many reactors, all zero; uptime counts from here, which is `now_unix_ms` by the wall clock.
    pub fn new(reactors: usize, now_unix_ms: u64) -> Self {
        Self {
            reactors: (0..reactors).map(|_| CachePadded::default()).collect(),
            cluster: ClusterMetrics::default(),
            key_fetches: KeyFetches::default(),
            started: Instant::now(),
            reloads: Reloads::new(now_unix_ms),
            upgrades: Upgrades::default(),
        }
    }

    /// With figures for the links to so many Redis servers.
    pub fn with_bus(mut self, servers: usize) -> Self {
        self.reactors.iter_mut().for_each(|reactor| reactor.bus = BusMetrics::new(servers));
        self
    }

    /// The set of one reactor, which alone writes it.
    ///
    /// # Panics
    /// If there is no such reactor.
    pub fn reactor(&self, reactor: usize) -> &ReactorMetrics {
        &self.reactors[reactor]
    }

    /// Players' sessions that are open, on all reactors.
    pub fn sessions(&self) -> u64 {
        self.reactors.iter().map(|reactor| reactor.sessions.get()).sum()
    }

    /// Appends everything in the Prometheus text format, version 0.0.4.
    pub fn render_prometheus(&self, setup: &Setup, out: &mut String) {
        let mut text = Text::new(out);
        families::render(&self.reactors, &mut text);

        app_families::render(self.reactors.iter().map(|reactor| &**reactor), &setup.apps, &mut text);
        let links = Links::new(self.reactors.iter().map(|reactor| &reactor.bus).collect());
        if !links.is_empty() {
            links.render(&mut text);
            self.cluster.render(&mut text);
        }
        setup.render(&mut text);
        self.key_fetches.render(&mut text);

        let help = "Lines of the log that were not written: they came faster than that, or its file cannot be written.";
        text.family("gannet_log_lines_lost_total", help, "counter");
        text.sample("gannet_log_lines_lost_total", &[], LOG_LINES_LOST.load(Ordering::Relaxed));
        self.reloads.render(&mut text);
        self.upgrades.render(&mut text);
        let uptime = self.started.elapsed().as_secs_f64();
        text.single("gannet_uptime_seconds", "Time since the server started.", uptime);
        process::read().render(&mut text);
        text.family(
            "gannet_build_info",
            "The version of gannet that runs, as a label; the value is always 1.",
            "gauge",
        );
        text.sample("gannet_build_info", &[("version", VERSION)], 1);
    }

    /// The sums over all reactors.
    pub fn snapshot(&self) -> Snapshot {
        let Process { open_fds, resident_memory_bytes, .. } = process::read();
        let mut totals = Totals::default();
        self.reactors.iter().for_each(|reactor| reactor.add_to(&mut totals));
        Snapshot {
            version: VERSION,
            pid: std::process::id(),
            uptime_seconds: self.started.elapsed().as_secs(),
            reactors: self.reactors.len(),
            open_fds,
            resident_memory_bytes,
            reload: self.reloads.stats(),
            upgrade: self.upgrades.stats(),
            totals,
        }
    }
}

impl Metrics {
    /// The counts that no reactor keeps, for another process.
    pub fn carry(&self) -> CarriedMetrics {
        CarriedMetrics::of(&|see| self.each_family(see))
    }

    /// Goes on from the counts of another process.
    pub fn go_on_from(&self, carried: &CarriedMetrics) {
        carried.add_to(&|see| self.each_family(see));
    }

    fn each_family(&self, see: &mut dyn FnMut(&str, &dyn Carry)) {
        // Time since the start is the process's own, and what the cluster is like is seen anew.
        let Self { reactors: _, cluster: _, key_fetches, started: _, reloads, upgrades } = self;
        see("gannet_jwks_fetches_total", key_fetches);
        see("gannet_config_reloads_total", reloads);
        see("gannet_upgrades_total", upgrades);
    }
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

#[cfg(test)]
mod tests;
