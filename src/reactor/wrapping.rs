//! What comes before the first byte that has a meaning: a PROXY header, a TLS handshake. Handshakes wait in a line of
//! their own, of which a turn takes a few, so that a storm of them does not stall the sessions beside them.

use super::Reactor;
use crate::connection::{Flag, Phase, Transport, log_client};
use crate::core::{Core, Port};
use crate::metrics::{Label, RefusalReason, TlsOutcome};
use crate::proxy::{InvalidHeader, MAX_HEADER_BYTES, ProxyHeader};
use crate::tls::{Failed, Shaken};
use std::io;

/// How reading a PROXY header came out.
enum Headed {
    /// It is read: what follows is next.
    Done,
    /// More has to come.
    NotYet,
    /// There is none, or none that holds.
    Refused(RefusalReason, Box<str>),
    /// The peer has gone.
    Gone,
}

impl Reactor {
    /// Bytes have come for a connection that is still being wrapped.
    pub(super) fn go_on_wrapping(&mut self, slot: u32) {
        let Some(connection) = self.core.connection(slot) else { return };
        if connection.phase != Phase::Open {
            return;
        }
        if connection.transport == Transport::ProxyHeader {
            match self.read_proxy_header(slot) {
                Headed::Done => {}
                Headed::NotYet => return,
                Headed::Refused(reason, message) => {
                    self.core.metrics().refused.of(reason).add(1);
                    self.core.log_refusal(slot, &message);
                    return self.core.doom(slot);
                }
                Headed::Gone => return self.core.doom(slot),
            }
        }
        match self.core.connection(slot).map(|connection| connection.transport) {
            Some(Transport::Handshake) => self.core.shake_later(slot),
            Some(Transport::Plain) => self.read(slot),
            _ => {}
        }
    }

    /// Looks whether the header is there, and takes no byte more than it out of the socket.
    fn read_proxy_header(&mut self, slot: u32) -> Headed {
        let hung_up = self.has_hung_up(slot);
        let Self { core, buffer, .. } = self;
        let Some(connection) = core.connections.slot_mut(slot) else { return Headed::Gone };
        let most = MAX_HEADER_BYTES.min(buffer.len());
        let seen = match connection.stream.peek(&mut buffer[..most]) {
            Ok(0) => return Headed::Gone,
            Ok(count) => &buffer[..count],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Headed::NotYet,
            Err(_) => return Headed::Gone,
        };
        let refused =
            |error: InvalidHeader| Headed::Refused(RefusalReason::ProxyHeader, error.to_string().into());
        let header = match ProxyHeader::parse(seen) {
            Ok(Some(header)) => header,
            Ok(None) if hung_up => return Headed::Gone,
            Ok(None) => return Headed::NotYet,
            Err(error) => return refused(error),
        };
        // They are there: one read gets them all.
        match io::Read::read(&mut connection.stream, &mut buffer[..header.length]) {
            Ok(count) if count == header.length => {}
            _ => return Headed::Gone,
        }
        connection.transport = core.rules.transport_of(Port::Client);
        if let Some(source) = header.source {
            connection.extras().remote = Some(source);
            if !core.charge_connection(slot, source.ip()) {
                return Headed::Refused(RefusalReason::Connections, RefusalReason::Connections.text().into());
            }
        }
        Headed::Done
    }

    /// Goes on with the handshakes that can, as many as a turn takes.
    pub(super) fn shake_hands(&mut self) {
        for _ in 0..self.core.rules.settings.config.limits.turn_handshakes {
            let Some(slot) = self.core.handshakes.pop_front() else { return };
            let Some(connection) = self.core.connection(slot) else { continue };
            connection.flags.clear(Flag::Unread);
            if connection.transport != Transport::Handshake || connection.phase != Phase::Open {
                continue;
            }
            let Some((session, socket)) = connection.tls() else { continue };
            let shaken = session.shake(socket);
            if connection.has_unsent() {
                connection.flags.set(Flag::Blocked);
            } else {
                connection.flags.clear(Flag::Blocked);
            }
            match shaken {
                Ok(Shaken::Done(outcome)) => {
                    connection.transport = Transport::Tls;
                    self.core.metrics().tls_handshakes.of(outcome).add(1);
                    // What came behind the handshake is in memory already, and no event will tell.
                    self.read(slot);
                }
                Ok(Shaken::NotYet) => {}
                Ok(Shaken::Busy) => self.core.shake_later(slot),
                Err(failed) => self.core.handshake_failed(slot, &failed),
            }
        }
    }
}

impl Core {
    fn shake_later(&mut self, slot: u32) {
        if let Some(connection) = self.connections.slot_mut(slot)
            && connection.flags.set(Flag::Unread)
        {
            self.handshakes.push_back(slot);
        }
    }

    fn handshake_failed(&mut self, slot: u32, failed: &Failed) {
        self.metrics().refused.of(RefusalReason::TlsHandshake).add(1);
        self.metrics().tls_handshakes.of(failed.outcome).add(1);
        self.log_refusal(slot, &failed.message);
        if failed.outcome == TlsOutcome::Gone {
            return self.doom(slot);
        }
        // The alert has been sent: what still comes is thrown away, so that a reset does not overtake it.
        if let Some(connection) = self.connections.slot_mut(slot) {
            connection.transport = Transport::Plain;
            self.finish(slot);
        }
    }

    /// A connection was not through its PROXY header or its TLS handshake in time.
    pub(super) fn wrapping_late(&mut self, slot: u32) {
        let reason = match self.connections.slot(slot).map(|connection| connection.transport) {
            Some(Transport::ProxyHeader) => RefusalReason::ProxyHeader,
            _ => {
                self.metrics().tls_handshakes.of(TlsOutcome::Timeout).add(1);
                RefusalReason::TlsTimeout
            }
        };
        self.metrics().refused.of(reason).add(1);
        self.log_refusal(slot, "not complete in time");
        self.doom(slot);
    }

    fn log_refusal(&self, slot: u32, message: &str) {
        let Some(connection) = self.connections.slot(slot) else { return };
        let what = match connection.transport {
            Transport::Handshake => "its TLS handshake",
            _ => "its PROXY header",
        };
        log_client!(debug, connection.remote(), "closed in {what}: {message}");
    }
}
