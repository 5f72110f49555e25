//! Fifty players who get every message while somebody else misbehaves, and what the server holds when it is over.

use crate::support::*;

/// How many.
pub const CROWD: usize = 50;

/// A server in a process of its own, fifty players in a group, and what the server held before anybody misbehaved.
pub struct World {
    pool: Pool<String>,
    pub backend: Backend,
    told: usize,
    open_files: usize,
    pub server: ServerProcess,
}

impl World {
    pub fn new(config: &str) -> Self {
        let server = ServerProcess::start(&["--echo", "--reactors", "2"], &without_pings(config));
        let pool = Pool::new(|_, message| message.into_text().unwrap().as_str().to_owned());
        for _ in 0..CROWD {
            pool.add(server.player("group=crowd"));
        }
        let backend = server.backend();
        // The connection that asks is there now and will be there when it is asked again.
        let mut open_files = 0;
        server.await_stats("the server answers", |_| {
            open_files = server.open_files();
            true
        });
        Self { pool, backend, told: 0, open_files, server }
    }

    /// A message to the whole crowd.
    pub fn tell(&mut self) {
        let receipt = self.backend.push_text("group=crowd", &self.told.to_string());
        assert_eq!((receipt.matched, receipt.queued), (CROWD as u32, CROWD as u32));
        self.told += 1;
    }

    /// The sum over the reactors of the samples of a family, with `label` where it has labels: `code="4003"`.
    pub fn metric(&mut self, family: &str, label: &str) -> u64 {
        self.backend.scrape().sum(family, &[label])
    }

    pub fn closed(&mut self, code: &str) -> u64 {
        self.metric("gannet_closed_total", &format!("code=\"{code}\""))
    }

    pub fn refused(&mut self, reason: &str) -> u64 {
        self.metric("gannet_refused_total", &format!("reason=\"{reason}\""))
    }

    /// Waits until nobody but the crowd is left, and nothing of the others; then the crowd must have got everything.
    pub fn assert_unharmed(mut self) {
        self.tell();
        let told: Vec<String> = (0..self.told).map(|number| number.to_string()).collect();
        self.pool.wait("every message to everybody", |logs| {
            logs.iter().all(|log| log.messages.len() == told.len() || log.end.is_some())
        });
        self.pool.look(|logs| {
            for log in logs {
                assert_eq!((&log.messages, &log.end), (&told, &None), "{}", log.id);
            }
        });
        let server = &self.server;
        server.await_stats("only the crowd is left", |totals| {
            let left = ["sessions", "backend_connections", "links", "outbox_messages", "outbox_bytes"]
                .map(|name| totals[name].as_u64().unwrap());
            left == [CROWD as u64, 2, 0, 0, 0] && server.open_files() == self.open_files
        });
    }
}
