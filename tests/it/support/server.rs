//! A server inside the test's own process.

use super::Ports;
use gannet::config::{Config, Endpoint};
use gannet::{App, Pusher, Relay, Reloaded, Reloader, RunError, Server, StopReport, Stopper};
use std::ops::Deref;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Longer than any test takes.
const PING: Duration = Duration::from_secs(3_600);
const IDLE: Duration = Duration::from_secs(7_200);

/// A running server; stopped and joined when it is dropped. Its [`Ports`] are at hand on it.
pub struct TestServer {
    ports: Ports,
    addrs: [Vec<Endpoint>; 2],
    pusher: Pusher,
    reloader: Reloader,
    stopper: Stopper,
    thread: Option<JoinHandle<Result<StopReport, RunError>>>,
}

impl TestServer {
    /// A server of four reactors on free ports, changed by `configure`, on which only backends act.
    pub fn start(configure: impl FnOnce(&mut Config)) -> Self {
        Self::with_app(configure, |_| Box::new(Relay))
    }

    /// The same with an app of the test's.
    pub fn with_app(
        configure: impl FnOnce(&mut Config),
        make_app: impl Fn(usize) -> Box<dyn App> + Send + Sync + 'static,
    ) -> Self {
        let mut config = Config { reactors: Some(4), ..Config::default() };
        config.listen.set_port(0);
        config.backend.listen.set_port(0);
        // However long a test takes on a busy machine: who does not read is neither pinged nor closed for it, unless the test
        // is about that.
        (config.timeouts.ping, config.timeouts.idle) = (PING, IDLE);
        config.timeouts.probe = Duration::ZERO;
        (config.timeouts.link_ping, config.timeouts.link_idle) = (PING, IDLE);
        configure(&mut config);
        let again = config.clone();
        let server = Server::bind(config).unwrap();
        server.reload_from(move || Ok(again.clone()));
        Self {
            ports: Ports { client: server.client_addr(), backend: server.backend_addr() },
            addrs: [server.client_addrs().to_vec(), server.backend_addrs().to_vec()],
            pusher: server.pusher(),
            reloader: server.reloader(),
            stopper: server.stopper(),
            thread: Some(thread::spawn(|| server.run(make_app))),
        }
    }

    /// A way to push from the test's own threads.
    pub fn pusher(&self) -> &Pusher {
        &self.pusher
    }

    /// Everywhere that the client port and the backend port listen.
    pub fn addrs(&self) -> &[Vec<Endpoint>; 2] {
        &self.addrs
    }

    /// Goes by its configuration as `change` makes it, from now on.
    pub fn reload(&self, change: impl FnOnce(&mut Config)) -> Reloaded {
        let mut config = self.reloader.config();
        change(&mut config);
        self.reloader.apply(config).unwrap()
    }

    /// Stops it and says how that went.
    pub fn stop(mut self) -> StopReport {
        self.stop_and_join().unwrap().unwrap()
    }

    fn stop_and_join(&mut self) -> Option<Result<StopReport, RunError>> {
        self.stopper.stop();
        self.thread.take().map(|thread| thread.join().unwrap_or(Err(RunError::Panicked { reactor: 0 })))
    }
}

impl Deref for TestServer {
    type Target = Ports;

    fn deref(&self) -> &Ports {
        &self.ports
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.stop_and_join() {
            // Two panics at once would hide the first.
            assert!(thread::panicking(), "the server failed: {error}");
        }
    }
}
