//! Connections that go from one reactor to another, or come from one.

use super::Reactor;
use crate::connection::log_client;
use crate::core::{Envelope, Mover};
use mio::{Interest, Token};
use std::sync::atomic::Ordering;

impl Reactor {
    /// Sends the connections on their way that are to be elsewhere.
    pub(super) fn send_movers(&mut self) {
        for (reactor, mut mover) in self.core.take_moving() {
            // What comes from now on is reported by the first event of the poll that it goes to.
            let _ = self.poll.registry().deregister(mover.socket());
            self.core.shared.loads[self.core.index].backends.fetch_sub(1, Ordering::Relaxed);
            self.core.metrics().backend_connections.sub(1);
            self.core.peers.post_always(reactor, Envelope::Move(Box::new(mover)));
        }
    }

    /// A connection has come from another reactor.
    pub(super) fn take_mover(&mut self, mover: Mover) {
        let (connection, unwritten, call) = mover.into_connection(self.core.attended_ms());
        let remote = connection.remote();
        if self.core.draining {
            return self.core.leave_capacity(&connection);
        }
        let (registry, mut failure, mut left) = (self.poll.registry(), None, Some(connection));
        let id = self.core.connections.insert_with(|id| {
            let mut connection = left.take().expect("it is asked for once");
            let token = Token(id.slot() as usize);
            let interest = Interest::READABLE | Interest::WRITABLE;
            failure = registry.register(&mut connection.stream, token, interest).err();
            connection
        });
        let Some(id) = id else {
            if let Some(connection) = left {
                self.core.leave_capacity(&connection);
            }
            log_client!(warn, remote, "closed: reactor {} has no slot left", self.core.index);
            return;
        };
        self.core.shared.loads[self.core.index].backends.fetch_add(1, Ordering::Relaxed);
        self.core.metrics().backend_connections.add(1);
        if let Some(error) = failure {
            log_client!(warn, remote, "closed: it could not be polled: {error}");
            return self.core.doom(id.slot());
        }
        self.gateway.link_comes(&mut self.core, id, unwritten, call);
        self.core.arm(id.slot());
    }
}
