//! What other threads hold of a server: to stop it, and to change what it goes by.

use super::upgrade;
use crate::config::Config;
use crate::core::{By, ReloadError, Reloaded, RulesError, Shared, UpgradeError, UpgradeRequest};
use crate::tls::TlsError;
use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

/// Stops a running server from any thread; cheap to clone.
///
/// ```
/// fn stop_after(server: &gannet::Server, time: std::time::Duration) {
///     let stopper = server.stopper();
///     std::thread::spawn(move || {
///         std::thread::sleep(time);
///         stopper.stop();
///     });
/// }
/// ```
#[derive(Clone)]
pub struct Stopper {
    pub(super) shared: Arc<Shared>,
}

impl Stopper {
    /// From now on new players are refused with 503. After `timeouts.drain_ms` every session is closed with 1001, evenly over
    /// `timeouts.shutdown_ms`; then every link, and the reactors end. A second call does nothing.
    pub fn stop(&self) {
        if self.shared.draining.swap(true, Ordering::SeqCst) {
            return;
        }
        self.shared.wake_all();
    }

    /// Ends the server without the lame duck: a server that has lost a reactor looks alive and does not serve its sessions.
    pub(super) fn end_at_once(&self) {
        self.shared.ends_at_once.store(true, Ordering::SeqCst);
        self.shared.draining.store(true, Ordering::SeqCst);
        self.shared.wake_all();
    }
}

impl fmt::Debug for Stopper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stopper")
    }
}

/// The certificates of a server, from any thread; cheap to clone.
///
/// ```
/// /// Call it when new files are in place.
/// fn renew(certificates: &gannet::Certificates) {
///     if let Err(error) = certificates.reload() {
///         println!("the old certificates stay: {error}");
///     }
/// }
/// ```
#[derive(Clone)]
pub struct Certificates {
    pub(super) shared: Arc<Shared>,
}

impl Certificates {
    /// Reads the files of `[tls]` again. Handshakes from now on show the new ones; no connection is closed.
    ///
    /// # Errors
    /// [`TlsError`]; then all certificates stay as they were.
    pub fn reload(&self) -> Result<(), TlsError> {
        let config = self.shared.in_force.look().settings.config.clone();
        match self.shared.reload(config) {
            Ok(_) => Ok(()),
            Err(ReloadError::Rules(RulesError::Tls(error))) => Err(error),
            Err(error) => Err(TlsError::Settings(error.to_string().into())),
        }
    }

    /// Whether any port speaks TLS.
    pub fn is_empty(&self) -> bool {
        let rules = self.shared.in_force.look();
        rules.tls.client.is_none() && rules.tls.backend.is_none()
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificates")
    }
}

/// Tells whether the reactors of a running server turn, from any thread; cheap to clone. For a watchdog.
///
/// ```
/// fn is_well(pulse: &gannet::Pulse) -> bool {
///     pulse.beats(std::time::Duration::from_secs(1))
/// }
/// ```
#[derive(Clone)]
pub struct Pulse {
    pub(super) shared: Arc<Shared>,
}

impl Pulse {
    /// How often it is looked.
    const LOOK: Duration = Duration::from_millis(5);

    /// Has every reactor turn, and waits for that at most `patience`. `false` where one did not: it is stuck, most likely in
    /// the app. A reactor that has ended with the server counts as well. Not from a reactor's own thread.
    pub fn beats(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let turns = |reactor| self.shared.metrics.reactor(reactor).turns.get();
        let before: Vec<u64> = (0..self.shared.reactors()).map(turns).collect();
        self.shared.wake_all();
        let has_turned =
            |reactor: usize| turns(reactor) > before[reactor] || self.shared.handle.is_closed(reactor);
        loop {
            if (0..before.len()).all(has_turned) {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            thread::sleep(Self::LOOK);
        }
    }
}

impl fmt::Debug for Pulse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pulse")
    }
}

/// Changes the configuration of a running server, from any thread; cheap to clone. No change drops a player.
///
/// ```
/// use gannet::config::Config;
///
/// /// Takes the secrets of tomorrow beside those of today.
/// fn rotate(reloader: &gannet::Reloader, config: Config) {
///     match reloader.apply(config) {
///         Ok(reloaded) => println!("{reloaded}"),
///         Err(error) => println!("everything stays as it was: {error}"),
///     }
/// }
/// ```
#[derive(Clone)]
pub struct Reloader {
    pub(super) shared: Arc<Shared>,
}

impl Reloader {
    /// Puts `config` in force: all of it except the keys that need a restart, or nothing. Returns when every reactor
    /// follows it.
    /// Do not call it on a reactor's own thread, which would wait for itself.
    ///
    /// # Errors
    /// [`ReloadError::Rules`]; then everything is as it was.
    pub fn apply(&self, config: Config) -> Result<Reloaded, ReloadError> {
        self.shared.reload(config)
    }

    /// The same with what [`Server::reload_from`](crate::Server::reload_from) reads.
    ///
    /// # Errors
    /// [`ReloadError`]; then everything is as it was.
    pub fn reload(&self) -> Result<Reloaded, ReloadError> {
        self.shared.reload_from_source(&By::default())
    }

    /// The configuration in force.
    pub fn config(&self) -> Config {
        self.shared.in_force.look().settings.config.clone()
    }
}

impl fmt::Debug for Reloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reloader")
    }
}

/// Upgrades a running server, from any thread.
#[cfg_attr(not(feature = "cli"), allow(dead_code, reason = "only the program is upgraded"))]
pub struct Upgrader {
    pub(super) shared: Arc<Shared>,
}

#[cfg_attr(not(feature = "cli"), allow(dead_code, reason = "only the program is upgraded"))]
impl Upgrader {
    /// Begins an upgrade on a thread of its own. How it ends is in the log.
    ///
    /// # Errors
    /// [`UpgradeError::Refused`], which is in the log as well.
    pub fn begin(&self, request: UpgradeRequest) -> Result<(), UpgradeError> {
        self.shared.begin_upgrade(request, None, |_, _| ())
    }

    /// Has an upgrade that is under way taken back, unless the other process serves already, and waits for its end. What follows
    /// is [`Upgrader::park`].
    pub fn call_off(&self) {
        self.shared.upgrades.call_off();
    }

    /// Whether a stop is to leave the players to the service manager, by the configuration in force.
    pub fn parks_on_stop(&self) -> bool {
        self.shared.in_force.look().settings.config.upgrade.park_on_stop
    }

    /// Leaves everything to the service manager, for the process that it starts next: `keep` gives it the one descriptor that
    /// it has to keep. Returns how many sessions that are; the server ends then.
    ///
    /// # Errors
    /// [`UpgradeError`]: then all is as it was before.
    pub fn park(&self, keep: impl FnOnce(BorrowedFd<'_>) -> io::Result<()>) -> Result<u64, UpgradeError> {
        self.shared.park_by(|shared| upgrade::park(shared, keep)).map(|counts| counts.sessions)
    }
}
