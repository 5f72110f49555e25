//! The server as a library: bind it, run it with an [`App`] on every reactor, push from any thread. The `gannet` program
//! is one of its users. Knows nothing of what happens inside a turn.

#[cfg(any(test, feature = "fuzzing"))]
pub mod alone;
mod error;
mod fetch;
mod handles;
mod joining;
mod jwks;
mod machine;
mod ports;
mod shared;
#[cfg_attr(not(feature = "cli"), allow(dead_code, reason = "only the program is upgraded"))]
mod upgrade;

#[cfg(feature = "cli")]
pub(crate) use crate::core::UpgradeRequest;
pub use crate::core::{ReloadError, Reloaded, RulesError};
pub use crate::reactor::StopReport;
pub use crate::tls::TlsError;
pub use error::RunError;
#[cfg(feature = "cli")]
pub(crate) use handles::Upgrader;
pub use handles::{Certificates, Pulse, Reloader, Stopper};
use ports::Inherited;
pub use ports::PassedFault;
use upgrade::{Arriving, TakingOver, feeds};
#[cfg(feature = "cli")]
pub(crate) use upgrade::{Bound, Program, Successor};

use crate::admission::OpenFiles;
use crate::app::{App, Pusher};
use crate::auth::{RemoteSets, Wanted};
use crate::config::{Config, ConfigError, Endpoint};
use crate::core::{Core, Envelope, Rules, Shared};
use crate::dispatch::InvalidApps;
use crate::gateway::{Asks, Gateway, OBSERVER_THREAD, Observer};
use crate::hub::MAX_REACTORS;
use crate::mailbox::{Producer, Receiver, mailboxes};
use crate::metrics::open_fds;
use crate::reactor::{Acceptor, Beginning, Reactor, WAKE_TOKEN};
use crate::upgrade::{Fault, InvalidState};
use log::error;
use machine::{first_generation, one_a_core, pin_to_core, raise_open_files};
use mio::{Poll, Waker};
use shared::Before;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, mpsc};
use std::thread;

/// About how many files a server has open before it runs, if `/proc` does not say.
const FILES_AT_THE_START: u64 = 32;

/// A server whose ports are bound and whose reactors do not run yet.
///
/// ```no_run
/// use gannet::{Relay, Server, config::Config};
///
/// let server = Server::bind(Config::default())?;
/// println!("players connect to ws://{}/ws", server.client_addr());
/// let stopper = server.stopper();
/// std::thread::spawn(move || {
///     std::thread::sleep(std::time::Duration::from_secs(60));
///     stopper.stop();
/// });
/// let report = server.run(|_reactor| Box::new(Relay))?;
/// println!("{} of {} sessions closed cleanly", report.closed_cleanly, report.sessions);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Server {
    shared: Arc<Shared>,
    client_addrs: Vec<Endpoint>,
    backend_addrs: Vec<Endpoint>,
    acceptor: Acceptor,
    parts: Vec<Part>,
    asks: Asks,
    wanted_keys: Wanted,
    /// What it takes over from another process, before it serves.
    taking_over: Option<TakingOver>,
    /// To be called when it serves.
    on_serving: Option<Box<dyn FnOnce() + Send>>,
}

/// What one reactor's thread starts with.
struct Part {
    poll: Poll,
    receiver: Receiver<Envelope>,
    producer: Producer<Envelope>,
    observer: Observer,
    /// What comes for it from another process.
    arriving: Option<Arriving>,
}

/// Why a server could not start.
///
/// ```
/// use gannet::config::Config;
/// use gannet::{BindError, Server};
///
/// fn bind(config: Config) -> Option<Server> {
///     match Server::bind(config) {
///         Ok(server) => Some(server),
///         Err(BindError::Listen { address, .. }) => {
///             println!("{address} is taken");
///             None
///         }
///         Err(error) => panic!("{error}"),
///     }
/// }
/// ```
#[derive(Debug)]
pub enum BindError {
    /// The configuration is not one to run with.
    Config(ConfigError),
    /// The apps of the configuration make no table.
    Apps(InvalidApps),
    /// The certificates are none to run with.
    Tls(TlsError),
    /// A public key or JWK set of an app is none: the sentence says which and why.
    Keys(Box<str>),
    /// A name to listen on has no address.
    Resolve {
        /// The name.
        name: String,
        /// What the resolver said.
        error: io::Error,
    },
    /// The sockets that systemd was to pass are not there.
    Passed(PassedFault),
    /// One of the addresses could not be bound.
    Listen {
        /// The address.
        address: Endpoint,
        /// What the kernel said.
        error: io::Error,
    },
    /// The cluster is required, and cannot be joined: the sentence says why.
    Cluster(Box<str>),
    /// What another process hands over cannot be taken.
    TakeOver(Box<str>),
    /// The kernel gave no poll, or no randomness.
    Resources(io::Error),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Apps(error) => error.fmt(f),
            Self::Tls(error) => error.fmt(f),
            Self::Keys(why) => f.write_str(why),
            Self::Resolve { name, error } => write!(
                f,
                "cannot listen on {name}: the name does not resolve: {error}; put it into /etc/hosts or the DNS, or write an \
                 address such as 127.0.0.1:9000"
            ),
            Self::Passed(fault) => fault.fmt(f),
            Self::Listen { address, error } => {
                write!(f, "cannot listen on {address}: {error}; {}", advice(address, error.kind()))
            }
            Self::Cluster(why) => write!(
                f,
                "cannot join the cluster: {why}; or set cluster.required = false, and the server serves alone until it can"
            ),
            Self::TakeOver(why) => write!(f, "cannot take over: {why}"),
            Self::Resources(error) => write!(f, "cannot start: {error}; raise the limit of open files"),
        }
    }
}

/// What to do about an address that could not be bound.
fn advice(address: &Endpoint, kind: io::ErrorKind) -> &'static str {
    let is_unix = matches!(address, Endpoint::Unix(_));
    match kind {
        io::ErrorKind::AlreadyExists => "remove it, or choose another path",
        io::ErrorKind::NotFound if is_unix => "make its folder first",
        io::ErrorKind::PermissionDenied if is_unix => "the server must be allowed to write to its folder",
        io::ErrorKind::AddrNotAvailable => "name an address that this machine has: `ip address` shows them",
        io::ErrorKind::PermissionDenied => {
            "choose a port from 1024 on, or give the process CAP_NET_BIND_SERVICE"
        }
        _ => "is another server running there?",
    }
}

impl std::error::Error for BindError {}

impl From<Fault> for BindError {
    fn from(fault: Fault) -> Self {
        Self::TakeOver(fault.to_string().into())
    }
}

impl From<InvalidState> for BindError {
    fn from(invalid: InvalidState) -> Self {
        Self::TakeOver(invalid.to_string().into())
    }
}

impl From<RulesError> for BindError {
    fn from(error: RulesError) -> Self {
        match error {
            RulesError::Config(error) => Self::Config(error),
            RulesError::Apps(error) => Self::Apps(error),
            RulesError::Keys(why) => Self::Keys(why),
            RulesError::Tls(error) => Self::Tls(error),
        }
    }
}

impl Server {
    /// Whether a server would start with `config`, as far as can be said without taking its ports: the configuration, the
    /// apps, the certificates, the names to listen on.
    ///
    /// # Errors
    /// As [`Server::bind`].
    pub fn check(config: &Config) -> Result<(), BindError> {
        Rules::first(config.clone(), &RemoteSets::new().0)?;
        ports::check(config)
    }

    /// Checks the configuration, binds both ports and makes the reactors' parts. For an endpoint `systemd` it takes what was
    /// passed to the process, and the variables that say so: call it before other threads read the environment.
    ///
    /// # Errors
    /// [`BindError`], each with what to do about it.
    pub fn bind(config: Config) -> Result<Self, BindError> {
        let (remote_keys, wanted_keys) = RemoteSets::new();
        let rules = Rules::first(config, &remote_keys)?;
        let config = &rules.settings.config;
        let before = Before::new(config)?;
        let reactors = config.reactors.unwrap_or_else(one_a_core).clamp(1, MAX_REACTORS);
        Self::build(rules, None, reactors, before, remote_keys, wanted_keys)
    }

    /// A server that goes on where it was `before`, with the listeners that it has `inherited`, if any.
    fn build(
        rules: Rules,
        inherited: Option<&mut Inherited>,
        reactors: usize,
        before: Before,
        remote_keys: RemoteSets,
        wanted_keys: Wanted,
    ) -> Result<Self, BindError> {
        let config = &rules.settings.config;
        let most_files = raise_open_files();
        let [clients, backends] = ports::bind(config, inherited)?;
        let polls: Vec<Poll> =
            (0..reactors).map(|_| Poll::new()).collect::<io::Result<_>>().map_err(BindError::Resources)?;
        let wakers = polls.iter().map(|poll| Waker::new(poll.registry(), WAKE_TOKEN).map(Arc::new));
        let wakers = wakers.collect::<io::Result<_>>().map_err(BindError::Resources)?;
        let (receivers, mut senders) = mailboxes(wakers, shared::mailbox_limits(&config.limits));
        let files = OpenFiles { most: most_files, used: open_fds().unwrap_or(FILES_AT_THE_START) as usize };
        let (observer, asks) = Observer::new();
        let handle = senders.handle();
        let shared =
            shared::shared(rules, reactors, files, remote_keys, handle, observer.open_jobs(), before);
        let parts = polls.into_iter().zip(receivers).enumerate();
        let parts = parts
            .map(|(index, (poll, receiver))| {
                let producer = senders.producer(index);
                Part { poll, receiver, producer, observer: observer.clone(), arriving: None }
            })
            .collect();
        let acceptor = Acceptor::new(clients.listeners, backends.listeners);
        let (client_addrs, backend_addrs) = (clients.addrs, backends.addrs);
        Ok(Self {
            shared: Arc::new(shared),
            client_addrs,
            backend_addrs,
            acceptor,
            parts,
            asks,
            wanted_keys,
            taking_over: None,
            on_serving: None,
        })
    }

    /// Where players connect: the first IP address of the client port. `0.0.0.0:0`, to which nobody can connect, where it
    /// has none.
    pub fn client_addr(&self) -> SocketAddr {
        first_ip(&self.client_addrs)
    }

    /// Where game servers and operators connect: the first IP address of the backend port; without one, as
    /// [`Server::client_addr`].
    pub fn backend_addr(&self) -> SocketAddr {
        first_ip(&self.backend_addrs)
    }

    /// Everywhere that players can connect, in the order of the configuration: what a name stood for, and the port that was
    /// free.
    pub fn client_addrs(&self) -> &[Endpoint] {
        &self.client_addrs
    }

    /// Everywhere that game servers and operators can connect, as [`Server::client_addrs`].
    pub fn backend_addrs(&self) -> &[Endpoint] {
        &self.backend_addrs
    }

    /// How many reactors will run.
    pub fn reactors(&self) -> usize {
        self.parts.len()
    }

    /// A way to push from any thread, now and while the server runs.
    pub fn pusher(&self) -> Pusher {
        Pusher::new(Arc::clone(&self.shared))
    }

    /// A way to stop the server from any thread.
    pub fn stopper(&self) -> Stopper {
        Stopper { shared: Arc::clone(&self.shared) }
    }

    /// Where the configuration is read again: at `POST /v1/admin/reload`, and by [`Reloader::reload`]. What cannot be read is
    /// described in a line. Only the first call counts.
    ///
    /// ```
    /// fn from_file(server: &gannet::Server, path: std::path::PathBuf) {
    ///     server.reload_from(move || gannet::config::Config::load(&path).map_err(|error| error.to_string()));
    /// }
    /// ```
    pub fn reload_from(&self, source: impl Fn() -> Result<Config, String> + Send + Sync + 'static) {
        let _ = self.shared.source.set(Box::new(source));
    }

    /// A way to tell from any thread whether the reactors turn.
    pub fn pulse(&self) -> Pulse {
        Pulse { shared: Arc::clone(&self.shared) }
    }

    /// A way to change the configuration of the server, from any thread.
    pub fn reloader(&self) -> Reloader {
        Reloader { shared: Arc::clone(&self.shared) }
    }

    /// Has `then` called when the server serves: at once, or when it has taken over from another process.
    #[cfg(feature = "cli")]
    pub(crate) fn on_serving(&mut self, then: impl FnOnce() + Send + 'static) {
        self.on_serving = Some(Box::new(then));
    }

    /// A way to upgrade the server, from any thread.
    #[cfg(feature = "cli")]
    pub(crate) fn upgrader(&self) -> Upgrader {
        Upgrader { shared: Arc::clone(&self.shared) }
    }

    /// A way to read the certificates again from any thread.
    pub fn certificates(&self) -> Certificates {
        Certificates { shared: Arc::clone(&self.shared) }
    }

    /// Runs the reactors, each with the app that `make_app` gives for its index, until the server has been stopped.
    ///
    /// # Errors
    /// [`RunError`] when a reactor ended by itself; the others have been stopped then.
    pub fn run(self, make_app: impl Fn(usize) -> Box<dyn App> + Send + Sync) -> Result<StopReport, RunError> {
        let generation = first_generation().map_err(RunError::Poll)?;
        let stopper = self.stopper();
        let Self { shared, acceptor, mut parts, asks, wanted_keys, taking_over, on_serving, .. } = self;
        let _fetching = jwks::start(&shared, wanted_keys).map_err(RunError::Thread)?;
        let reactors = parts.len();
        let taking_over = taking_over.map(|taking_over| {
            let (feeds, arriving) = feeds(reactors);
            parts.iter_mut().zip(arriving).for_each(|(part, arriving)| part.arriving = Some(arriving));
            (taking_over, feeds)
        });
        let mut acceptor = Some(acceptor);
        let (sender, ends) = mpsc::channel();
        thread::scope(|scope| {
            let (observed, mut threads) = (Arc::clone(&shared), Vec::new());
            // Ends when the last reactor has.
            let observer = thread::Builder::new().name(OBSERVER_THREAD.to_owned());
            let observer =
                observer.spawn_scoped(scope, move || asks.answer(&observed)).map_err(RunError::Thread)?;
            let mut failure = None;
            for (index, part) in parts.into_iter().enumerate() {
                let (shared, make_app) = (Arc::clone(&shared), &make_app);
                let acceptor = acceptor.take();
                let end = EndOfThread {
                    reactor: index,
                    shared: Arc::clone(&shared),
                    sender: sender.clone(),
                    result: None,
                };
                let body = move || run_reactor(index, part, shared, acceptor, make_app, generation, end);
                match thread::Builder::new().name(format!("reactor-{index}")).spawn_scoped(scope, body) {
                    Ok(thread) => threads.push(thread),
                    Err(error) => {
                        failure = Some(RunError::Thread(error));
                        stopper.end_at_once();
                        break;
                    }
                }
            }
            if let Some((taking_over, feeds)) = taking_over
                && let Err(not_taken) = taking_over.take(&shared, feeds)
            {
                failure.get_or_insert(not_taken.into());
                stopper.end_at_once();
            }
            if let Some(on_serving) = on_serving.filter(|_| failure.is_none()) {
                on_serving();
            }
            let mut report = StopReport::default();
            for result in ends.iter().take(threads.len()) {
                match result {
                    Ok(part) => {
                        report.sessions += part.sessions;
                        report.closed_cleanly += part.closed_cleanly;
                    }
                    Err(error) => {
                        error!("{error}; the other {} reactors stop", reactors - 1);
                        failure.get_or_insert(error);
                        stopper.end_at_once();
                    }
                }
            }
            for thread in threads {
                // How it ended is known; a panic that nobody joined would be the scope's own.
                let _ = thread.join();
            }
            let _ = observer.join();
            shared.upgrades.join();
            failure.map_or(Ok(report), Err)
        })
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("client_addrs", &self.client_addrs)
            .field("backend_addrs", &self.backend_addrs)
            .field("reactors", &self.parts.len())
            .finish_non_exhaustive()
    }
}

fn first_ip(addrs: &[Endpoint]) -> SocketAddr {
    let ip = |endpoint: &Endpoint| match endpoint {
        Endpoint::Ip(address) => Some(*address),
        _ => None,
    };
    addrs.iter().find_map(ip).unwrap_or((Ipv4Addr::UNSPECIFIED, 0).into())
}

/// Says how a reactor's thread ended, even if it panicked.
struct EndOfThread {
    reactor: usize,
    shared: Arc<Shared>,
    sender: mpsc::Sender<Result<StopReport, RunError>>,
    result: Option<Result<StopReport, RunError>>,
}

impl Drop for EndOfThread {
    fn drop(&mut self) {
        let result = self.result.take().unwrap_or(Err(RunError::Panicked { reactor: self.reactor }));
        // No change of the rules waits for it any more.
        self.shared.in_force.end(self.reactor);
        // Whoever started the thread waits for this.
        let _ = self.sender.send(result);
    }
}

fn run_reactor(
    index: usize,
    part: Part,
    shared: Arc<Shared>,
    acceptor: Option<Acceptor>,
    make_app: &(impl Fn(usize) -> Box<dyn App> + Send + Sync),
    generation: u32,
    mut end: EndOfThread,
) {
    if shared.in_force.look().settings.config.pin {
        pin_to_core(index);
    }
    let Part { poll, receiver, producer, observer, arriving } = part;
    let gateway = Gateway::new(make_app(index), observer);
    let reactor = match arriving {
        Some(arriving) => {
            let beginning = Beginning { poll, receiver, producer, shared, index, gateway, acceptor };
            arriving.reactor(beginning)
        }
        None => {
            let core = Core::new(shared, index, producer, generation);
            Some(Reactor::new(poll, receiver, core, gateway, acceptor))
        }
    };
    // Where nothing is taken over, whoever was to says so.
    let ran = reactor.map_or(Ok(StopReport::default()), |reactor| reactor.run().map_err(RunError::Poll));
    end.result = Some(ran);
}
