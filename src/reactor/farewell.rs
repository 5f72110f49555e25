//! The end of a reactor of a cluster: what it has published goes out, and the other nodes are told that this one leaves, so that they
//! do not have to wait for its silence.

use super::{LISTENERS, Reactor};
use crate::core::BUS_TOKENS;
use mio::Token;
use std::io;
use std::time::Duration;

/// For so long at the most Redis is waited for, once for what was published and once for the farewell.
const PATIENCE_MS: u64 = 250;

/// A look at the clock once in so long.
const LOOK: Duration = Duration::from_millis(10);

impl Reactor {
    /// Says goodbye over every Redis of which this reactor is the ear, and gives the number of the node back if it has the lease.
    pub(super) fn leave_cluster(&mut self) -> io::Result<()> {
        if !self.core.has_bus() {
            return Ok(());
        }
        self.finish_bus()?;
        self.core.leave_cluster();
        // A socket that is closed with an answer in it would be reset, and the last command with it.
        self.finish_bus()
    }

    fn finish_bus(&mut self) -> io::Result<()> {
        let until_ms = self.core.shared.clock.now().ms + PATIENCE_MS;
        while !self.core.finish_bus() && self.core.now.ms < until_ms {
            self.poll(Some(LOOK))?;
            self.core.now = self.core.shared.clock.now();
            let tokens: Vec<usize> =
                self.events.iter().map(|event| event.token()).map(|Token(token)| token).collect();
            for token in tokens.into_iter().filter(|token| (BUS_TOKENS..LISTENERS).contains(token)) {
                self.core.bus_ready(token);
            }
        }
        Ok(())
    }
}
