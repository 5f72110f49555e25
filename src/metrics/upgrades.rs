//! How often the server was upgraded while it ran, and how the last time went.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::carry::Carry;
use super::render::Text;

/// See the module.
#[derive(Debug, Default)]
pub struct Upgrades {
    ok: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
    /// Of the last that succeeded.
    took_ms: AtomicU64,
    sessions: AtomicU64,
    last: Mutex<Option<LastUpgrade>>,
}

/// The last upgrade; dry runs are none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastUpgrade {
    /// When it ended, in milliseconds since the Unix epoch.
    pub at_unix_ms: u64,
    /// `ok`, `failed` or `refused`.
    pub outcome: &'static str,
    /// Sessions that were taken over.
    pub sessions: u64,
    /// Bytes of state.
    pub bytes: u64,
    /// Milliseconds for which the server served nobody.
    pub took_ms: u64,
    /// The longest time for which any one socket was not served, in milliseconds.
    pub longest_ms: u64,
    /// Why it did not succeed.
    pub why: Option<String>,
}

/// What `/v1/stats` answers of the upgrades.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UpgradeStats {
    /// Upgrades that succeeded.
    pub ok: u64,
    /// Upgrades that were taken back.
    pub failed: u64,
    /// Upgrades that were not begun.
    pub refused: u64,
    /// The last of them.
    pub last: Option<LastUpgrade>,
}

impl Carry for Upgrades {
    fn each(&self, see: &mut dyn FnMut(&str, u64)) {
        // What is known of the last one is about the one that carries it.
        let Self { ok, failed, refused, took_ms: _, sessions: _, last: _ } = self;
        for (outcome, count) in [("ok", ok), ("failed", failed), ("refused", refused)] {
            see(outcome, count.load(Ordering::Relaxed));
        }
    }

    fn add_carried(&self, label: &str, count: u64) {
        match label {
            "ok" => _ = self.ok.fetch_add(count, Ordering::Relaxed),
            "failed" => _ = self.failed.fetch_add(count, Ordering::Relaxed),
            "refused" => _ = self.refused.fetch_add(count, Ordering::Relaxed),
            _ => {}
        }
    }
}

impl Upgrades {
    /// One was not begun.
    pub fn count_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// One was taken back.
    pub fn count_failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// The last one had this `outcome`, for the reason `why`.
    pub fn note_failure(&self, outcome: &'static str, why: &str, at_unix_ms: u64) {
        let why = Some(why.to_owned());
        let none = LastUpgrade { at_unix_ms, outcome, sessions: 0, bytes: 0, took_ms: 0, longest_ms: 0, why };
        *self.last() = Some(none);
    }

    /// One succeeded: this process serves since then.
    pub fn count_ok(&self, last: LastUpgrade) {
        self.ok.fetch_add(1, Ordering::Relaxed);
        self.took_ms.store(last.took_ms, Ordering::Relaxed);
        self.sessions.store(last.sessions, Ordering::Relaxed);
        *self.last() = Some(last);
    }

    /// The counts, and the last one.
    pub fn stats(&self) -> UpgradeStats {
        let [ok, failed, refused] =
            [&self.ok, &self.failed, &self.refused].map(|count| count.load(Ordering::Relaxed));
        UpgradeStats { ok, failed, refused, last: self.last().clone() }
    }

    /// What a holder that panicked left is whole: every change is one store.
    fn last(&self) -> MutexGuard<'_, Option<LastUpgrade>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn render(&self, text: &mut Text<'_>) {
        let name = "gannet_upgrades_total";
        let help = "Upgrades to another process, by outcome: failed was taken back, refused was not begun; dry runs are not counted.";
        text.family(name, help, "counter");
        for (outcome, count) in [("ok", &self.ok), ("failed", &self.failed), ("refused", &self.refused)] {
            text.sample(name, &[("outcome", outcome)], count.load(Ordering::Relaxed));
        }
        let help = "How long the last upgrade that succeeded kept all sockets from being served; 0 where there was none.";
        text.single("gannet_upgrade_seconds", help, self.took_ms.load(Ordering::Relaxed) as f64 / 1_000.0);
        let help = "Sessions that the last upgrade that succeeded took over.";
        text.single("gannet_upgrade_sessions", help, self.sessions.load(Ordering::Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_keeps_the_figures_of_the_last_success() {
        let upgrades = Upgrades::default();
        let last = LastUpgrade {
            at_unix_ms: 1,
            outcome: "ok",
            sessions: 7,
            bytes: 700,
            took_ms: 1_500,
            longest_ms: 1_600,
            why: None,
        };
        upgrades.count_ok(last.clone());
        assert_eq!(upgrades.stats(), UpgradeStats { ok: 1, failed: 0, refused: 0, last: Some(last) });
        upgrades.count_failed();
        upgrades.note_failure("failed", "it hung", 2);
        let mut out = String::new();
        upgrades.render(&mut Text::new(&mut out));
        for line in [
            "gannet_upgrades_total{outcome=\"ok\"} 1",
            "gannet_upgrades_total{outcome=\"failed\"} 1",
            "gannet_upgrade_seconds 1.5",
            "gannet_upgrade_sessions 7",
        ] {
            assert!(out.lines().any(|shown| shown == line), "{line} is not in {out}");
        }
        let last = upgrades.stats().last.unwrap();
        assert_eq!((last.outcome, last.why.as_deref(), last.sessions), ("failed", Some("it hung"), 0));
    }
}
