//! How often the configuration was read again while the server ran, and how the last time went.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde::Serialize;

use super::carry::Carry;
use super::render::Text;

/// See the module.
#[derive(Debug)]
pub struct Reloads {
    succeeded: AtomicU64,
    failed: AtomicU64,
    last_succeeded: AtomicBool,
    /// Milliseconds since the Unix epoch: when the configuration in force was read.
    success_unix_ms: AtomicU64,
}

/// What `/v1/stats` answers of the reloads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReloadStats {
    /// Reloads that succeeded.
    pub ok: u64,
    /// Reloads that changed nothing.
    pub failed: u64,
    /// Whether the last one succeeded; also where there was none.
    pub last_ok: bool,
    /// When the configuration in force was read, in milliseconds since the Unix epoch.
    pub last_ok_unix_ms: u64,
}

impl Carry for Reloads {
    fn each(&self, see: &mut dyn FnMut(&str, u64)) {
        // Another process reads the configuration anew, as a start does.
        let Self { succeeded, failed, last_succeeded: _, success_unix_ms: _ } = self;
        see("ok", succeeded.load(Ordering::Relaxed));
        see("failed", failed.load(Ordering::Relaxed));
    }

    fn add_carried(&self, label: &str, count: u64) {
        match label {
            "ok" => _ = self.succeeded.fetch_add(count, Ordering::Relaxed),
            "failed" => _ = self.failed.fetch_add(count, Ordering::Relaxed),
            _ => {}
        }
    }
}

impl Reloads {
    /// The server starts by a configuration that was read now.
    pub fn new(now_unix_ms: u64) -> Self {
        Self {
            succeeded: 0.into(),
            failed: 0.into(),
            last_succeeded: true.into(),
            success_unix_ms: now_unix_ms.into(),
        }
    }

    /// It was read again.
    pub fn count(&self, succeeded: bool, now_unix_ms: u64) {
        let counter = if succeeded { &self.succeeded } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        self.last_succeeded.store(succeeded, Ordering::Relaxed);
        if succeeded {
            self.success_unix_ms.store(now_unix_ms, Ordering::Relaxed);
        }
    }

    /// The counts, and how the last one went.
    pub fn stats(&self) -> ReloadStats {
        ReloadStats {
            ok: self.succeeded.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            last_ok: self.last_succeeded.load(Ordering::Relaxed),
            last_ok_unix_ms: self.success_unix_ms.load(Ordering::Relaxed),
        }
    }

    pub(super) fn render(&self, text: &mut Text<'_>) {
        let name = "gannet_config_reloads_total";
        text.family(name, "Times that the configuration was read again while the server ran.", "counter");
        for (outcome, count) in [("ok", &self.succeeded), ("failed", &self.failed)] {
            text.sample(name, &[("outcome", outcome)], count.load(Ordering::Relaxed));
        }
        text.single(
            "gannet_config_last_reload_successful",
            "1 where the last reload succeeded, or there was none; 0 where it failed and all stayed as it was.",
            u8::from(self.last_succeeded.load(Ordering::Relaxed)),
        );
        text.single(
            "gannet_config_last_success_timestamp_seconds",
            "When the configuration in force was read, in seconds since the Unix epoch.",
            self.success_unix_ms.load(Ordering::Relaxed) / 1_000,
        );
    }
}
