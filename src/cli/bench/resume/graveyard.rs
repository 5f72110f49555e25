//! Connections that nobody reads any more and whose sockets stay for a while.

use std::collections::BTreeMap;

use crate::cli::bench::client::Client;
use crate::cli::bench::clock::Nanos;

/// More end at once, the one that would have ended first before others.
pub const MOST: usize = 1_000;

/// See the module.
#[derive(Debug, Default)]
pub struct Graveyard {
    /// By when they end, and a number of their own.
    clients: BTreeMap<(Nanos, u64), Client>,
    next: u64,
}

impl Graveyard {
    /// The socket stays until then.
    pub fn bury(&mut self, client: Client, until: Nanos) {
        if self.clients.len() == MOST {
            self.clients.pop_first();
        }
        self.clients.insert((until, self.next), client);
        self.next += 1;
    }

    /// Ends those whose time has come.
    pub fn clear_until(&mut self, now: Nanos) {
        while let Some(first) = self.clients.first_entry().filter(|first| first.key().0 <= now) {
            first.remove();
        }
    }
}
