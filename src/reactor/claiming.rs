//! Clients that come back for their sessions: a claim goes to the reactor that has the session, with the connection that it came on,
//! and a bounded number of claims is decided in each turn.

use super::Reactor;
use crate::connection::{Connection, Kind, log_client};
use crate::core::{Claim, Claimed, Whereabouts};
use crate::gateway::Gateway;
use crate::metrics::ResumeFailure;
use crate::session::SessionId;
use mio::{Interest, Token};
use std::ops::Range;

impl Reactor {
    /// The connection in `slot` has claimed a session; `rest` of the buffer is what came behind its request.
    pub(super) fn send_claim(&mut self, slot: u32, claim: Claim, rest: Range<usize>) {
        let Some(mut carrier) = self.core.take_out(slot) else { return };
        // It is registered anew where it goes.
        let _ = self.poll.registry().deregister(carrier.stream());
        carrier.hold(&self.buffer[rest]);
        self.core.pass_claim(Box::new(Claimed { claim, carrier }));
    }

    /// Decides about claims, as many as a turn does.
    pub(super) fn take_claims(&mut self) {
        while let Some(claimed) = self.core.next_claim() {
            let Some(claimed) = self.core.divert_claim(claimed) else { continue };
            // Of one that has just gone away this is told before it is back.
            self.tell_ended();
            match self.core.examine(&claimed.claim) {
                Ok(slot) => self.go_on(slot, *claimed),
                Err(why) => self.begin_instead(*claimed, why),
            }
        }
    }

    fn go_on(&mut self, slot: u32, claimed: Claimed) {
        let has_come = claimed.claim.whereabouts == Whereabouts::Arrived;
        if has_come && let Some((id, app)) = self.core.hub.id_of(slot).zip(self.core.hub.app_of(slot)) {
            self.gateway.crossed(&mut self.core, &mut self.reply, id, app);
        }
        let first = Gateway::words_of_return(&mut self.core, slot, &claimed.claim);
        let was_away = self.core.go_on_with(slot, claimed, first);
        if let Some(id) = self.core.connections.id_of(slot)
            && self.register(slot)
            && was_away
            && !has_come
        {
            self.gateway.back(&mut self.core, &mut self.reply, id);
        }
    }

    fn begin_instead(&mut self, claimed: Claimed, why: ResumeFailure) {
        let Claimed { claim, carrier } = claimed;
        self.core.give_up_claimed(&claim, why);
        let attended_ms = self.core.attended_ms();
        let mut connection = Some(Connection::over(carrier, Kind::Upgrade, attended_ms));
        let taken =
            |_| connection.take().expect("it is taken once: the slab calls for one value at the most");
        let id = self.core.connections.insert_with(taken);
        if let Some(connection) = connection {
            let remote = connection.remote();
            log_client!(warn, remote, "closed: reactor {} has no slot left", self.core.index);
            self.release(claim.ticket.session, &connection);
            return;
        }
        let Some(id) = id else { return };
        if self.register(id.slot()) {
            self.gateway.open_instead(&mut self.core, &mut self.reply, id, claim, why);
            self.core.read_later(id.slot());
            self.core.arm(id.slot());
        }
    }

    /// The poll knows the socket in `slot` from now on. If it cannot, the connection has failed.
    fn register(&mut self, slot: u32) -> bool {
        let Some(connection) = self.core.connections.slot_mut(slot) else { return false };
        let interests = Interest::READABLE | Interest::WRITABLE;
        let registered =
            self.poll.registry().register(&mut connection.stream, Token(slot as usize), interests);
        if let Err(error) = &registered {
            log_client!(warn, connection.remote(), "closed: it could not be polled: {error}");
            self.core.fail(slot);
        }
        registered.is_ok()
    }

    /// The poll knows sockets that have gone separate ways with their sessions under their own slots from now on.
    pub(super) fn follow_moved(&mut self) {
        for id in self.core.take_moved() {
            self.follow(id);
        }
    }

    fn follow(&mut self, id: SessionId) {
        let Some(connection) = self.core.connections.slot_mut(id.slot()).filter(|one| !one.stream.is_none())
        else {
            return;
        };
        let interests = Interest::READABLE | Interest::WRITABLE;
        let token = Token(id.slot() as usize);
        if self.poll.registry().reregister(&mut connection.stream, token, interests).is_err() {
            self.core.doom(id.slot());
        }
    }
}
