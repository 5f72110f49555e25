//! Other rules for a server that runs: all of them or none, one change after the other. When the answer is there, no reactor
//! works by the old ones any more.

use super::audit::{AuditLine, By, SettingChange};
use super::rules::{Rules, RulesError};
use super::shared::Shared;
use crate::config::Config;
use crate::timer::Clock;
use log::{info, warn};
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// How long an answer waits for reactors that do not turn. They follow all the same when they do.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a reload has changed.
///
/// ```
/// let reloaded = gannet::Reloaded { changed: vec!["limits.max_page".to_owned()], restart: vec!["listen".to_owned()] };
/// assert_eq!(reloaded.to_string(), "changed: limits.max_page; these need a restart: listen");
/// assert_eq!(gannet::Reloaded::default().to_string(), "nothing has changed");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Reloaded {
    /// The keys of the configuration that have other values now; `tls certificates` where files of the same names hold others.
    pub changed: Vec<String>,
    /// The keys whose new values only a restart brings: they are as before.
    pub restart: Vec<String>,
}

impl fmt::Display for Reloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { changed, restart } = self;
        match changed.is_empty() {
            true => f.write_str("nothing has changed")?,
            false => write!(f, "changed: {}", changed.join(", "))?,
        }
        match restart.is_empty() {
            true => Ok(()),
            false => write!(f, "; these need a restart: {}", restart.join(", ")),
        }
    }
}

/// Why a reload changed nothing.
///
/// ```
/// use gannet::{ReloadError, Reloader};
///
/// fn reload(reloader: &Reloader) -> Result<(), ReloadError> {
///     match reloader.reload() {
///         // A program without a configuration file has nothing to read again.
///         Err(ReloadError::NoSource) => Ok(()),
///         reloaded => reloaded.map(|reloaded| println!("{reloaded}")),
///     }
/// }
/// ```
#[derive(Debug)]
pub enum ReloadError {
    /// There is no place to read the configuration from again.
    NoSource,
    /// It cannot be read: one line that says why.
    Source(String),
    /// A server cannot run by it.
    Rules(RulesError),
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSource => {
                f.write_str("this server was given no place to read its configuration from again")
            }
            Self::Source(error) => f.write_str(error),
            Self::Rules(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ReloadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Rules(error) => Some(error),
            Self::NoSource | Self::Source(_) => None,
        }
    }
}

impl Shared {
    /// Reads the configuration again where it came from, and goes by it.
    ///
    /// # Errors
    /// [`ReloadError`]; then everything is as it was.
    pub fn reload_from_source(&self, by: &By) -> Result<Reloaded, ReloadError> {
        // Before it is read: the last that is read is the one that stays.
        let _alone = self.in_force.lock();
        let source = self.source.get().ok_or(ReloadError::NoSource);
        let config = source.and_then(|read| read().map_err(ReloadError::Source));
        let before = self.in_force.rules();
        self.told(config.and_then(|config| self.change(config)), &before, by)
    }

    /// Goes by another configuration from now on.
    ///
    /// # Errors
    /// [`ReloadError::Rules`]; then everything is as it was.
    pub fn reload(&self, config: Config) -> Result<Reloaded, ReloadError> {
        let _alone = self.in_force.lock();
        let before = self.in_force.rules();
        self.told(self.change(config), &before, &By::default())
    }

    /// The same `reloaded`, which is in the log and counted.
    fn told(
        &self,
        reloaded: Result<Reloaded, ReloadError>,
        before: &Rules,
        by: &By,
    ) -> Result<Reloaded, ReloadError> {
        let line = by.did("reload");
        match &reloaded {
            Ok(reloaded) => {
                info!("reload: {reloaded}");
                let rules = self.in_force.rules();
                let (old, new) = (&before.settings.config, &rules.settings.config);
                let values = new.values_since(old, &reloaded.changed);
                let changes = values.map(|(key, old, new)| SettingChange::new(key, old, new)).collect();
                self.audit.add(AuditLine { changes, ..line });
            }
            Err(error) => {
                warn!("reload: everything stays as it was: {error}");
                self.audit.add(AuditLine { result: error.to_string().into(), ..line });
            }
        }
        self.metrics.reloads.count(reloaded.is_ok(), Clock::wall_unix_ms());
        reloaded
    }

    /// Only under the lock of the rules in force.
    fn change(&self, mut config: Config) -> Result<Reloaded, ReloadError> {
        let before = self.in_force.rules();
        let running = &before.settings.config;
        let mut restart: Vec<String> =
            config.keep_until_restart(running).into_iter().map(str::to_owned).collect();
        if let Some(cluster) = &self.cluster
            && !cluster.has_room_for(&config.cluster.servers())
        {
            config.cluster.redis.clone_from(&running.cluster.redis);
            restart.push("cluster.redis".to_owned());
        }
        let has_sessions = |app| self.admission.has_sessions(app);
        let rules = before.next(config, &self.remote_keys, has_sessions).map_err(ReloadError::Rules)?;
        // Nothing fails from here on.
        let config = &rules.settings.config;
        let mut changed = config.changes_since(running);
        if !rules.tls.show_those_of(&before.tls) {
            changed.push("tls certificates".to_owned());
        }
        if config.log.level != running.log.level {
            log::set_max_level(config.log.level);
        }
        let auth = &config.auth;
        let window_ms = auth.timestamp_window.as_millis() as u64;
        self.nonces().set_bounds(auth.max_nonces, window_ms, Clock::wall_unix_ms());
        let short_before = self.capacity.shortage(&running.limits);
        self.capacity.set_bounds(&config.limits);
        self.audit.set_bound(config.limits.audit_lines);
        if let Some(shortage) =
            self.capacity.shortage(&config.limits).filter(|now| short_before != Some(*now))
        {
            warn!("{shortage}");
        }
        // Before a reactor hears of an app, the app has places.
        self.admission.set_bounds(rules.app_configs(), &config.limits, &config.rates);
        if let Some(cluster) = &self.cluster {
            cluster.aim_at(&config.cluster.servers());
        }
        let number = self.in_force.put(rules);
        // When keys are fetched may have changed.
        self.remote_keys.look_again();
        self.wake_all();
        if !self.in_force.wait_for_all(number, PATIENCE) {
            warn!("reload: a reactor has not turned for {} s: it follows when it does", PATIENCE.as_secs());
        }
        Ok(Reloaded { changed, restart })
    }
}
