//! A server in a process of its own and five hundred healthy players in a group, each of whom must get every number that is
//! pushed to the group, once and in order, whatever else happens.

use crate::raw::{Answer, Raw, upgrade};
use crate::support::*;
use crate::tokens::{DEFAULT, HS256, connect_from, now, token};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How many are healthy.
pub const HEALTHY: usize = 500;
/// What they get: twenty messages a second.
const INTERVAL: Duration = Duration::from_millis(50);

pub struct Stage {
    healthy: Pool<u32>,
    publisher: Option<Publisher>,
    /// The last address that an attacker had.
    attackers: u32,
    pub backend: Backend,
    /// The last: it outlives those who are connected to it.
    pub server: ServerProcess,
}

/// One thread that pushes the next number every [`INTERVAL`].
struct Publisher {
    told: Arc<AtomicU32>,
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Publisher {
    fn start(mut backend: Backend) -> Self {
        let told = Arc::new(AtomicU32::new(0));
        let (stop, stopped) = mpsc::channel();
        let numbers = Arc::clone(&told);
        let thread = thread::spawn(move || {
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                let number = numbers.load(Ordering::Relaxed);
                let receipt = backend.push_text("group=healthy", &number.to_string());
                assert_eq!((receipt.matched, receipt.queued), (HEALTHY as u32, HEALTHY as u32));
                numbers.store(number + 1, Ordering::Release);
            }
        });
        Self { told, stop, thread }
    }

    fn told(&self) -> usize {
        assert!(!self.thread.is_finished(), "the publisher has failed");
        self.told.load(Ordering::Acquire) as usize
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(Publisher { stop, thread, .. }) = self.publisher.take() {
            drop(stop);
            assert!(thread.join().is_ok() || thread::panicking(), "the publisher has failed");
        }
    }
}

/// The query of a player of the app `default` of a guarded server.
pub fn guarded(user: &str, group: &str) -> String {
    let claims = json!({ "sub": user, "exp": now() + 600, "groups": [group] });
    format!("token={}", token(HS256, &claims, DEFAULT))
}

/// The query of a player of an open server.
pub fn open(user: &str, group: &str) -> String {
    format!("user={user}&group={group}")
}

impl Stage {
    /// A server with `config`, where `query` is that of a user in a group.
    pub fn new(config: &str, query: fn(&str, &str) -> String) -> Self {
        let server = ServerProcess::start(&["--reactors", "2"], config);
        let healthy = Pool::new(|_, message| message.into_text().unwrap().parse().unwrap());
        for number in 0..HEALTHY {
            let from = [127, 10, (number / 250) as u8, (number % 250) as u8 + 1];
            let target = format!("/ws?{}", query(&format!("u{number}"), "healthy"));
            healthy.add(Player::over(connect_from(from, server.client), &target).unwrap());
        }
        let publisher = Some(Publisher::start(server.backend()));
        Self { healthy, publisher, attackers: 0, backend: server.backend(), server }
    }

    /// An address that nobody has come from.
    pub fn address(&mut self) -> [u8; 4] {
        self.attackers += 1;
        let [_, high, middle, low] = self.attackers.to_be_bytes();
        [127, 20 + high, middle, low]
    }

    /// A connection to the client port from an address of its own.
    pub fn connect(&mut self) -> Raw {
        Raw::over(connect_from(self.address(), self.server.client))
    }

    /// A player from an address of its own, welcomed.
    pub fn player(&mut self, target: &str) -> Raw {
        self.connect().upgraded(target)
    }

    /// What an upgrade of `target` is answered.
    pub fn ask(&mut self, target: &str) -> Answer {
        let mut raw = self.connect();
        raw.send(upgrade(target, ""));
        raw.answer()
    }

    /// The session of one of the healthy.
    pub fn a_healthy_id(&self) -> String {
        self.healthy.look(|logs| logs[0].id.to_string())
    }

    pub fn stats(&mut self) -> Value {
        self.backend.stats()
    }

    /// Waits until the attackers have gone. Then the healthy must be there, and must have got everything told so far.
    pub fn assert_unharmed(&mut self, after: &str) {
        self.server.await_stats("only the healthy are left", |totals| {
            totals["sessions"] == HEALTHY && totals["links"] == 0
        });
        let told = self.publisher.as_ref().unwrap().told();
        self.healthy.wait("every number at everybody", |logs| {
            logs.iter().all(|log| log.messages.len() >= told || log.end.is_some())
        });
        self.healthy.look(|logs| {
            for log in logs {
                assert_eq!(log.end, None, "{after}: {}", log.id);
                let in_order = log.messages.iter().enumerate().all(|(at, number)| at == *number as usize);
                assert!(in_order, "{after}: {} has {:?}", log.id, log.messages);
            }
        });
    }
}
