//! A guarded server with five hundred players who get twenty messages a second, whatever is done to it. What an attack
//! may cost is asked of the players, of the counters and of the process.

use crate::raw::{Raw, upgrade};
use crate::support::*;
use crate::tokens::*;
use serde_json::{Value, json};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The healthy players.
pub const CROWD: usize = 500;

/// Between two messages to all of them.
const PERIOD: Duration = Duration::from_millis(50);

/// How many messages they must get while and after an attack goes on, at least: a second's worth.
const HEARD: u64 = 20;

/// What one server stands.
pub struct Siege<S = TcpStream> {
    /// Dropped first: it talks until then.
    teller: Teller,
    crowd: Pool<u64, S>,
    pub backend: Backend,
    pub server: ServerProcess,
}

impl Siege {
    /// A server with `config`, and the crowd in its group, each player with what `query` says: a token, or names.
    pub fn lay(config: &str, query: impl Fn(usize) -> String) -> Self {
        Self::lay_over(config, query, prepared)
    }
}

impl<S: OverTcp> Siege<S> {
    /// The same with what `wrap` puts between the crowd and its sockets.
    pub fn lay_over(config: &str, query: impl Fn(usize) -> String, wrap: impl Fn(TcpStream) -> S) -> Self {
        let server = ServerProcess::start(&["--reactors", "2"], &without_pings(config));
        let crowd = Pool::new(|_, message| message.into_text().unwrap().as_str().parse().unwrap());
        for number in 0..CROWD {
            // Ten homes, so that no bound of an address concerns them.
            let stream = connect_from([127, 0, 1, 1 + (number % 10) as u8], server.client);
            crowd.add(Player::on(wrap(stream), &format!("/ws?{}", query(number))).unwrap());
        }
        let teller = Teller::start(server.backend);
        let backend = server.backend();
        Self { teller, crowd, backend, server }
    }

    /// Lets `attack` happen; then everybody must have got every message so far, once and in order, and nothing of the
    /// attack be left.
    pub fn stand(&mut self, what: &str, attack: impl FnOnce(&mut Self)) {
        let first = self.teller.told();
        attack(self);
        self.server.await_stats(what, |totals| {
            let left = ["sessions", "links", "outbox_messages"].map(|name| totals[name].as_u64().unwrap());
            left == [CROWD as u64, 0, 0]
        });
        let told = self.teller.told().max(first + HEARD);
        self.crowd
            .wait(what, |logs| logs.iter().all(|log| log.messages.len() as u64 >= told || log.end.is_some()));
        self.crowd.look(|logs| {
            for log in logs {
                assert_eq!(log.end, None, "{what} cost a player the connection");
                let expected = 0..log.messages.len() as u64;
                assert!(log.messages.iter().copied().eq(expected), "{what} cost a player messages");
            }
        });
    }

    /// A counter among the totals: `["refused", "rate"]`.
    pub fn count(&mut self, [group, name]: [&str; 2]) -> u64 {
        let totals = self.backend.stats();
        totals[group][name].as_u64().unwrap_or_else(|| panic!("no {group}.{name} in {totals:#}"))
    }

    /// What `act` adds to a counter must be `times`.
    pub fn counts<R>(&mut self, counter: [&str; 2], times: u64, act: impl FnOnce(&mut Self) -> R) -> R {
        let before = self.count(counter);
        let result = act(self);
        let [group, name] = counter;
        self.server.await_stats(&format!("{times} more of {group}.{name}"), |totals| {
            totals[group][name].as_u64().unwrap() == before + times
        });
        result
    }

    /// A connection to the client port from the attacker's address 127.0.0.`host`.
    pub fn raw(&self, host: u8) -> Raw {
        Raw::over(connect_from([127, 0, 0, host], self.server.client))
    }

    /// The same from behind a small receive buffer.
    pub fn narrow(&self, host: u8) -> Raw {
        let stream = connect_from([127, 0, 0, host], self.server.client);
        socket2::SockRef::from(&stream).set_recv_buffer_size(4 * 1024).unwrap();
        Raw::over(stream)
    }

    /// A player of the attacker's, with a good token.
    pub fn intruder(&self, host: u8, user: &str) -> Raw {
        self.raw(host).upgraded(&format!("/ws?token={}", pass(user, json!([]))))
    }

    /// A connection to the backend port.
    pub fn raw_backend(&self) -> Raw {
        Raw::connect(self.server.backend)
    }

    /// Who asks for `target` from the attacker's address must be answered `status`.
    pub fn refused(&self, host: u8, target: &str, status: u16) {
        let mut raw = self.raw(host);
        raw.send(upgrade(target, ""));
        assert_eq!(raw.answer().status, status, "{target}");
    }
}

/// A good token of the app `default`.
pub fn pass(user: &str, groups: Value) -> String {
    token(HS256, &json!({ "sub": user, "exp": now() + 600, "groups": groups }), DEFAULT)
}

/// Many connections to `address` from one host.
pub fn flock(host: u8, address: SocketAddr, count: usize) -> Vec<TcpStream> {
    (0..count).map(|_| connect_from([127, 0, 0, host], address)).collect()
}

/// Tells the crowd a number at each period, on a thread and a connection of its own.
struct Teller {
    told: Arc<AtomicU64>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Teller {
    fn start(backend: SocketAddr) -> Self {
        let told = Arc::new(AtomicU64::new(0));
        let (stop, stopped) = mpsc::channel();
        let mut backend = Backend::connect(backend);
        let counter = Arc::clone(&told);
        let thread = thread::spawn(move || {
            while stopped.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                let number = counter.load(Ordering::Relaxed);
                let receipt = backend.push_text("group=crowd", &number.to_string());
                assert_eq!((receipt.matched, receipt.queued), (CROWD as u32, CROWD as u32));
                counter.store(number + 1, Ordering::Relaxed);
            }
        });
        Self { told, stop: Some(stop), thread: Some(thread) }
    }

    fn told(&self) -> u64 {
        self.told.load(Ordering::Relaxed)
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.stop = None;
        let ended = self.thread.take().map_or(Ok(()), JoinHandle::join);
        assert!(ended.is_ok() || thread::panicking(), "the crowd could not be told everything");
    }
}
