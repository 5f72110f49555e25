//! Reading: bytes from a socket into the reactor's buffer, protocol events out of it, answers back at once.

use super::Reactor;
use super::echo::Echo;
use crate::app::Message;
use crate::config::BeyondRate;
use crate::connection::{Flag, MAX_HELD, Phase, Stage, Terms, Transport};
use crate::core::Core;
use crate::metrics::{Label, ProtocolErrorKind, Throttled};
use crate::protocol::{CloseCode, Event, Input, ProtocolError};
use crate::tls::Received;
use log::debug;
use std::borrow::Cow;
use std::io;
use std::net::IpAddr;

/// What reading a socket once gave.
enum Got {
    /// So many; `full` when there may be more.
    Bytes {
        count: usize,
        full: bool,
    },
    Nothing,
    /// There may be more than one look takes.
    Busy,
    /// A PROXY header or a TLS handshake has to come first.
    Wrapping,
    End,
    Failure,
}

impl Reactor {
    /// Reads what the socket in `slot` has, up to the bound of a turn. A short read means drained, unless the peer has
    /// hung up (`to_the_end`): then the end has to be seen.
    pub(super) fn read(&mut self, slot: u32, to_the_end: bool) {
        let mut budget = self.core.shared.settings.config.limits.turn_read_bytes;
        loop {
            if self.is_paused(slot) {
                break;
            }
            if let Some(count) = self.take_held(slot) {
                self.receive_frames(slot, 0..count);
                self.tell_ended();
                continue;
            }
            match self.read_once(slot, budget) {
                Got::Bytes { count, full } => {
                    self.core.metrics().bytes_in.add(count as u64);
                    self.received(slot, count);
                    self.tell_ended();
                    budget = budget.saturating_sub(count);
                    if !full && !to_the_end {
                        break;
                    }
                    if budget == 0 {
                        self.core.read_later(slot);
                        break;
                    }
                }
                Got::Nothing => break,
                Got::Busy => {
                    self.core.read_later(slot);
                    break;
                }
                Got::Wrapping => {
                    self.go_on_wrapping(slot, to_the_end);
                    break;
                }
                Got::End => {
                    self.ended(slot);
                    break;
                }
                Got::Failure => {
                    self.core.fail(slot);
                    break;
                }
            }
        }
        self.core.arm(slot);
    }

    /// Whether there is nothing to read, or nothing to be read for now.
    fn is_paused(&mut self, slot: u32) -> bool {
        match self.core.connection(slot) {
            None => true,
            Some(connection)
                if connection.phase == Phase::Doomed || connection.flags.has(Flag::ReadClosed) =>
            {
                true
            }
            // What comes after the end has to be read all the same, and thrown away.
            Some(connection) => {
                (connection.phase == Phase::Open && connection.stage.is_paused()) || connection.is_throttled()
            }
        }
    }

    fn read_once(&mut self, slot: u32, budget: usize) -> Got {
        let now = self.core.now;
        let Some(connection) = self.core.connections.slot_mut(slot) else { return Got::Nothing };
        let most = match connection.inbound() {
            Some(_) => MAX_HELD.min(self.buffer.len()),
            None => self.buffer.len(),
        }
        .min(budget);
        if connection.is_wrapping() {
            return Got::Wrapping;
        }
        // A short read of a socket means drained; what is inside TLS comes in records.
        let in_records = connection.transport == Transport::Tls;
        loop {
            match connection.read(&mut self.buffer[..most]) {
                Ok(Received::Bytes(count)) => {
                    connection.touch(now);
                    return Got::Bytes { count, full: in_records || count == most };
                }
                Ok(Received::Nothing) => return Got::Nothing,
                Ok(Received::Busy) => return Got::Busy,
                Ok(Received::End) => return Got::End,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Got::Failure,
            }
        }
    }

    /// What is held for a session that was paused, back in the buffer: how much it is.
    fn take_held(&mut self, slot: u32) -> Option<usize> {
        self.core.shared.settings.inbound.as_ref()?;
        let held = std::mem::take(&mut self.core.connection(slot)?.inbound()?.held);
        self.buffer[..held.len()].copy_from_slice(&held);
        Some(held.len()).filter(|count| *count > 0)
    }

    fn received(&mut self, slot: u32, count: usize) {
        let Some(connection) = self.core.connections.slot_mut(slot) else { return };
        if connection.phase == Phase::Finishing {
            return;
        }
        match &mut connection.stage {
            Stage::Player(player) => {
                player.bytes_in += count as u64;
                self.core.charge(slot, Throttled::Bytes, count);
                self.receive_frames(slot, 0..count);
            }
            Stage::Echo(_) => {
                self.core.charge(slot, Throttled::Bytes, count);
                self.receive_frames(slot, 0..count);
            }
            Stage::Head(_) => {
                // What follows the head belongs to the session that it opened.
                if let Some(used) = self.gateway.head(&mut self.core, slot, &self.buffer[..count])
                    && used < count
                {
                    self.core.charge(slot, Throttled::Bytes, count - used);
                    self.receive_frames(slot, used..count);
                }
            }
            Stage::Backend(_) => self.gateway.backend_input(&mut self.core, slot, &self.buffer[..count]),
            Stage::Link(_) => self.gateway.link_input(&mut self.core, slot, &self.buffer[..count]),
            Stage::Discard => {}
        }
    }

    /// Parses what was read for a player or an echo, hands on the messages, and writes the answers.
    fn receive_frames(&mut self, slot: u32, range: std::ops::Range<usize>) {
        let Self { core, gateway, buffer, .. } = self;
        let mut input = Input::new(&mut buffer[range]);
        let mut echo = Echo::new(core.shared.settings.inbound.is_some());
        core.answering = Some(slot);
        while let Some(connection) = core.connections.slot_mut(slot) {
            if matches!(connection.phase, Phase::Finishing | Phase::Doomed) {
                break;
            }
            if connection.is_throttled() {
                if let Some(inbound) = connection.inbound() {
                    inbound.held = input.as_slice().to_vec();
                }
                break;
            }
            let open = connection.phase == Phase::Open;
            let is_player = matches!(connection.stage, Stage::Player(_));
            let received = match &mut connection.stage {
                Stage::Player(player) => player.websocket.receive(&mut input, &mut core.control),
                Stage::Echo(websocket) if open => {
                    echo.receive(websocket, &mut input, &mut core.control, &mut core.answer)
                }
                Stage::Echo(websocket) => websocket.receive(&mut input, &mut core.control),
                _ => break,
            };
            match received {
                Ok(None) => break,
                Ok(Some(Event::Text(text))) if open && is_player => {
                    gateway.message(core, slot, Message::Text(&text));
                }
                Ok(Some(Event::Binary(bytes))) if open && is_player => {
                    gateway.message(core, slot, Message::Binary(&bytes));
                }
                Ok(Some(Event::Pong(payload))) => core.pong(slot, &payload),
                Ok(Some(Event::Close(frame))) => {
                    let (code, reason) = match frame {
                        Some(frame) => (frame.code.0, frame.reason),
                        None => (CloseCode::NO_STATUS.0, Cow::Borrowed("")),
                    };
                    core.peer_closed(slot, code, &reason);
                    break;
                }
                // Pings and an echo's messages are answered; messages after our Close are for nobody (RFC 6455 §5.5.1).
                Ok(Some(_)) => {}
                Err(error) => {
                    core.violated(slot, &error);
                    break;
                }
            }
            core.charge(slot, Throttled::Messages, 1);
        }
        core.write_answers_and(slot, echo.tail);
        core.answering = None;
    }

    /// The peer has ended its side of the stream.
    fn ended(&mut self, slot: u32) {
        let Some(connection) = self.core.connections.slot_mut(slot) else { return };
        connection.flags.set(Flag::ReadClosed);
        let phase = connection.phase;
        if phase == Phase::Open
            && let Stage::Backend(_) = connection.stage
        {
            // It may have shut down only its write side and wait for the answers.
            return self.gateway.backend_ended(&mut self.core, slot);
        }
        let waits_for_our_bytes = phase == Phase::Finishing && !connection.is_drained();
        if !waits_for_our_bytes {
            self.core.fail(slot);
            self.tell_ended();
        }
    }
}

impl Core {
    /// The session has sent so much. Beyond its rate it is paused, or closed with 1008 behind what it has been answered.
    #[inline]
    fn charge(&mut self, slot: u32, what: Throttled, count: usize) {
        if self.shared.settings.inbound.is_some() {
            self.charge_metered(slot, what, count);
        }
    }

    fn charge_metered(&mut self, slot: u32, what: Throttled, count: usize) {
        let (Some(limits), now) = (&self.shared.settings.inbound, self.now) else { return };
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        if connection.phase != Phase::Open {
            return;
        }
        let Some(inbound) = connection.inbound() else { return };
        if !inbound.charge(what, count as u64, limits, now) {
            return;
        }
        let beyond = limits.beyond;
        self.metrics().throttled.of(what).add(1);
        if beyond == BeyondRate::Close {
            if let Some(id) = self.connections.id_of(slot) {
                debug!("session {id} has sent more {} than its rate allows", what.text());
            }
            self.write_answers(slot);
            self.close(slot, CloseCode::POLICY_VIOLATION, "too fast");
        }
    }

    /// A session that was paused is read again: first what is held for it, then its socket.
    pub fn resume(&mut self, slot: u32) {
        let inbound = self.connections.slot_mut(slot).and_then(|connection| connection.inbound());
        if inbound.is_some_and(|inbound| inbound.resume_ms.take().is_some()) {
            self.read_later(slot);
        }
    }

    /// The connection turns out to be from `address`, and is counted so unless that is a proxy's. Returns whether it may
    /// stay.
    pub fn charge_connection(&mut self, slot: u32, address: IpAddr) -> bool {
        let shared = &self.shared;
        if !shared.admission.counts_connections() || shared.settings.config.proxy.is_forwarder(address) {
            return true;
        }
        let network = shared.admission.connect(address);
        if let (Some(connection), Some(network)) = (self.connections.slot_mut(slot), network) {
            connection.terms().connection_from = Some(network);
        }
        network.is_some()
    }

    /// The connection with these terms has gone: its place is free.
    pub fn disconnect(&self, terms: Option<&Terms>) {
        if let Some(network) = terms.and_then(|terms| terms.connection_from) {
            self.shared.admission.disconnect(network);
        }
    }

    /// The socket is read on in the next turn: it may hold more, and no event will say so.
    pub fn read_later(&mut self, slot: u32) {
        if let Some(connection) = self.connections.slot_mut(slot)
            && connection.flags.set(Flag::Unread)
        {
            self.unread.push(slot);
        }
    }

    /// The peer's Close has come (RFC 6455 §5.5.1): ours, if it was not sent before, waits in `control`.
    pub fn peer_closed(&mut self, slot: u32, code: u16, reason: &str) {
        let player = self.connections.slot(slot).is_some_and(|one| matches!(one.stage, Stage::Player(_)));
        self.closed_cleanly += u64::from(player);
        self.end_session(slot, code, reason);
        self.send_last(slot);
    }

    /// The peer broke the protocol: the Close frame that says so waits in `control` (RFC 6455 §7.1.7).
    pub fn violated(&mut self, slot: u32, error: &ProtocolError) {
        if let Some(id) = self.connections.id_of(slot) {
            debug!("connection {id}: {error}");
        }
        let code = error.close_code().0;
        self.metrics().protocol_errors.of(ProtocolErrorKind::from_code(code)).add(1);
        self.end_session(slot, code, "");
        self.send_last(slot);
    }

    /// Everything that was to be said goes out behind what waits already, then the connection ends.
    fn send_last(&mut self, slot: u32) {
        let mut last = std::mem::take(&mut self.answer);
        last.append(&mut self.control);
        self.append(slot, last);
        self.finish(slot);
    }

    /// A pong: if it answers one of our pings, the round-trip time is known.
    pub fn pong(&mut self, slot: u32, payload: &[u8]) {
        let now_ns = self.shared.clock.now().ns;
        if let Some(connection) = self.connections.slot_mut(slot)
            && let Stage::Player(player) = &mut connection.stage
            && let Ok(sent_ns) = payload.try_into().map(u64::from_be_bytes)
            && let Some(round_trip_ns) = now_ns.checked_sub(sent_ns)
        {
            player.round_trip_us = u32::try_from(round_trip_ns / 1000).unwrap_or(u32::MAX).max(1);
        }
    }
}
