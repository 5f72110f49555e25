//! Reading: bytes from a socket into the reactor's buffer, protocol events out of it, answers back at once.

use super::Reactor;
use super::echo::Echo;
use crate::app::Message;
use crate::config::BeyondRate;
use crate::connection::{Connection, Extras, Flag, Kind, MAX_HELD, Pause, Phase, log_client};
use crate::core::{Core, HalfReceived, Owed, Reply};
use crate::gateway::{Gateway, Through};
use crate::metrics::{Label, ProtocolErrorKind, Throttled};
use crate::protocol::{CloseCode, Event, Input, ProtocolError};
use crate::tls::Received;
use std::borrow::Cow;
use std::io;
use std::net::IpAddr;
use std::ops::Range;

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
    /// hung up: then the end has to be seen.
    pub(super) fn read(&mut self, slot: u32) {
        let mut budget = self.core.rules.settings.config.limits.turn_read_bytes;
        let was_put_off = self.is_only_put_off(slot);
        while self.is_read(slot) {
            if let Some(count) = self.take_held(slot) {
                self.received(slot, count);
                self.tell_ended();
                continue;
            }
            match self.read_once(slot, budget) {
                Got::Bytes { count, full } => {
                    self.core.metrics().bytes_in.add(count as u64);
                    self.core.heard(slot);
                    self.core.budget.charge_socket(0, count);
                    self.count_in(slot, count);
                    self.received(slot, count);
                    self.tell_ended();
                    budget = budget.saturating_sub(count);
                    if !full && !self.has_hung_up(slot) {
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
                    self.go_on_wrapping(slot);
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
        if !(was_put_off && self.is_only_put_off(slot)) {
            self.core.arm(slot);
        }
    }

    pub(super) fn has_hung_up(&self, slot: u32) -> bool {
        self.core.connections.slot(slot).is_some_and(|connection| connection.flags.has(Flag::HungUp))
    }

    fn is_only_put_off(&self, slot: u32) -> bool {
        self.core.connections.slot(slot).is_some_and(Connection::is_only_put_off)
    }

    /// Whether there may be something to read that is to be read now.
    fn is_read(&mut self, slot: u32) -> bool {
        self.core.connection(slot).is_some_and(|connection| {
            !matches!(connection.phase, Phase::Away | Phase::Doomed)
                && !connection.flags.has(Flag::ReadClosed)
                && !connection.is_paused()
        })
    }

    fn read_once(&mut self, slot: u32, budget: usize) -> Got {
        let attended_ms = self.core.attended_ms();
        let Some(connection) = self.core.connections.slot_mut(slot) else { return Got::Nothing };
        let most = match connection.inbound() {
            Some(_) => MAX_HELD.min(self.buffer.len()),
            None => self.buffer.len(),
        }
        .min(budget);
        if connection.is_wrapping() {
            return Got::Wrapping;
        }
        loop {
            match connection.read(&mut self.buffer[..most]) {
                Ok(Received::Bytes { count, more }) => {
                    connection.touch(attended_ms);
                    return Got::Bytes { count, full: more };
                }
                Ok(Received::Nothing) => return Got::Nothing,
                Ok(Received::Busy) => return Got::Busy,
                Ok(Received::End) => return Got::End,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Got::Failure,
            }
        }
    }

    /// What is held for a connection that was paused, back in the buffer as far as it fits: how much it is.
    fn take_held(&mut self, slot: u32) -> Option<usize> {
        let extras = self.core.connection(slot)?.extras.as_mut()?;
        let count = extras.held.len().min(self.buffer.len());
        self.buffer[..count].copy_from_slice(&extras.held[..count]);
        match count == extras.held.len() {
            true => extras.held = Vec::new(),
            false => drop(extras.held.drain(..count)),
        }
        Some(count).filter(|count| *count > 0)
    }

    /// So many bytes were read for the connection in `slot`.
    fn count_in(&mut self, slot: u32, count: usize) {
        let Some(connection) = self.core.connections.slot_mut(slot) else { return };
        connection.figures.add_in(count);
        if matches!(connection.kind, Kind::Player | Kind::Echo) {
            self.core.charge(slot, &mut self.reply, Throttled::Bytes, count);
        }
    }

    fn received(&mut self, slot: u32, count: usize) {
        let Some(connection) = self.core.connections.slot(slot) else { return };
        if connection.phase == Phase::Finishing {
            return;
        }
        match connection.kind {
            Kind::Link => {
                if let Some(id) = self.core.connections.id_of(slot) {
                    self.core.link_heard(id);
                }
                self.receive_frames(slot, 0..count);
            }
            Kind::Player | Kind::Echo => self.receive_frames(slot, 0..count),
            Kind::Upgrade => {
                let Self { core, gateway, reply, buffer, .. } = self;
                // What follows the head belongs to the session that it opened.
                match gateway.head(core, reply, slot, &buffer[..count]) {
                    Some((used, Through::Upgraded)) if used < count => {
                        self.count_in(slot, count - used);
                        self.receive_frames(slot, used..count);
                    }
                    Some((used, Through::Claims(claim))) => self.send_claim(slot, *claim, used..count),
                    _ => {}
                }
            }
            Kind::Backend => self.gateway.backend_input(&mut self.core, slot, &self.buffer[..count]),
            Kind::Discard => {}
        }
    }

    /// Parses what was read for a WebSocket, hands on the messages, and writes the answers. What comes behind a pause is
    /// held.
    fn receive_frames(&mut self, slot: u32, range: Range<usize>) {
        let Self { core, gateway, buffer, reply, .. } = self;
        let mut input = Input::new(&mut buffer[range]);
        let mut echo = Echo::new(core.rules.settings.inbound.is_some());
        let mut completed = false;
        core.record_input(slot, input.as_slice());
        while let Some(connection) = core.connections.slot_mut(slot) {
            match connection.phase {
                Phase::Finishing | Phase::Doomed => break,
                // What comes still is for the connection that the socket belongs to now.
                Phase::Away => {
                    core.hold_for_parted(slot, input.as_slice());
                    break;
                }
                Phase::Open | Phase::Closing => {}
            }
            if connection.is_paused() {
                hold(connection, input.as_slice());
                core.record_held(slot, input.remaining());
                break;
            }
            let (open, kind) = (connection.phase == Phase::Open, connection.kind);
            if kind == Kind::Player
                && open
                && brings_message(connection, &input)
                && let Some(link) = gateway.shut_gate(core, slot)
            {
                core.wait_at_gate(slot, link);
                continue;
            }
            let Some(websocket) = core.connections.slot_mut(slot).and_then(|one| one.websocket.as_mut())
            else {
                break;
            };
            let received = match kind {
                Kind::Echo if open => echo.receive(websocket, &mut input, reply),
                _ => websocket.receive(&mut input, &mut reply.control),
            };
            match received {
                Ok(None) => break,
                Ok(Some(Event::Text(text))) => {
                    completed = true;
                    charge_inflated(core, reply, slot);
                    hand_on(gateway, core, reply, (slot, kind, open), Message::Text(&text));
                }
                Ok(Some(Event::Binary(bytes))) => {
                    completed = true;
                    charge_inflated(core, reply, slot);
                    hand_on(gateway, core, reply, (slot, kind, open), Message::Binary(&bytes));
                }
                Ok(Some(Event::Pong(payload))) => core.pong(slot, &payload),
                Ok(Some(Event::Ping(_))) => {}
                Ok(Some(Event::Close(frame))) => {
                    let (code, reason) = match frame {
                        Some(frame) => (frame.code.0, frame.reason),
                        None => (CloseCode::NO_STATUS.0, Cow::Borrowed("")),
                    };
                    match kind == Kind::Link {
                        true if open && is_goodbye(code) => core.link_leaves(slot),
                        true if !open => core.link_has_read_all(slot),
                        _ => {}
                    }
                    core.peer_closed(slot, reply, code, &reason);
                    break;
                }
                Err(error) => {
                    core.violated(slot, reply, &error);
                    break;
                }
            }
            if reply.is_full() {
                core.write_reply(slot, reply);
            }
            if kind != Kind::Link {
                core.charge(slot, reply, Throttled::Messages, 1);
            }
        }
        core.write_reply_and(slot, reply, echo.tail);
        note_partial(core, slot, completed);
    }

    /// The peer has ended its side of the stream.
    fn ended(&mut self, slot: u32) {
        let Some(connection) = self.core.connections.slot_mut(slot) else { return };
        connection.flags.set(Flag::ReadClosed);
        let phase = connection.phase;
        if phase == Phase::Open && connection.kind == Kind::Backend {
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

/// Whether `input` begins, or goes on with, something else than a control frame (RFC 6455 §5.5): a player whose link is behind
/// still has its pings answered, and answers ours.
fn brings_message(connection: &Connection, input: &Input<'_>) -> bool {
    const CONTROL: u8 = 0x8;
    let is_within = connection.websocket.as_ref().is_some_and(|websocket| websocket.has_partial());
    input.as_slice().first().is_some_and(|first| is_within || first & CONTROL == 0)
}

/// Whether a link that ends with this code does not come back (RFC 6455 §7.4.1): normal closure, going away.
fn is_goodbye(code: u16) -> bool {
    [CloseCode::NORMAL.0, CloseCode::GOING_AWAY.0].contains(&code)
}

/// Keeps what came behind a pause; it is parsed when the connection is read again.
fn hold(connection: &mut Connection, rest: &[u8]) {
    if !rest.is_empty() {
        let held = &mut connection.extras().held;
        // What was held before came later than this.
        held.splice(..0, rest.iter().copied());
    }
}

/// A message goes to whoever it is for. Messages after our Close are for nobody (RFC 6455 §5.5.1), those of an echo have
/// been answered.
fn hand_on(
    gateway: &mut Gateway,
    core: &mut Core,
    reply: &mut Reply,
    (slot, kind, open): (u32, Kind, bool),
    message: Message<'_>,
) {
    match kind {
        Kind::Player if open => gateway.message(core, reply, slot, message),
        Kind::Link if open => gateway.link_message(core, reply, slot, message),
        _ => {}
    }
}

/// What a message was compressed from counts in the rate of bytes, not only what was on the wire.
fn charge_inflated(core: &mut Core, reply: &mut Reply, slot: u32) {
    if core.rules.settings.inbound.is_none() {
        return;
    }
    let websocket = core.connections.slot_mut(slot).and_then(|connection| connection.websocket.as_mut());
    let inflated = websocket.map_or(0, |websocket| websocket.take_inflated());
    if inflated > 0 {
        core.charge(slot, reply, Throttled::Bytes, inflated);
    }
}

/// Accounts for what a WebSocket has half received.
fn note_partial(core: &mut Core, slot: u32, completed: bool) {
    let Some(connection) = core.connections.slot(slot) else { return };
    let partial = connection.websocket.as_ref().map_or(0, |websocket| websocket.partial_bytes());
    let held = connection.extras.as_ref().map_or(0, |extras| extras.held.len());
    core.note_incoming(
        slot,
        HalfReceived {
            bytes: partial + held,
            whole: 0,
            owed: (partial > 0).then_some(Owed::Rest),
            began: completed,
        },
    );
}

impl Core {
    /// The session has sent so much. Beyond its rate it is paused, or closed with 1008 behind what it has been answered.
    #[inline]
    fn charge(&mut self, slot: u32, reply: &mut Reply, what: Throttled, count: usize) {
        if self.rules.settings.inbound.is_some() {
            self.charge_metered(slot, reply, what, count);
        }
    }

    fn charge_metered(&mut self, slot: u32, reply: &mut Reply, what: Throttled, count: usize) {
        let (Some(limits), now) = (&self.rules.settings.inbound, self.now) else { return };
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
        match beyond {
            BeyondRate::Pause => self.pause(slot, Pause::Rate),
            BeyondRate::Close => {
                if let Some(id) = self.connections.id_of(slot) {
                    let what = what.text();
                    log_client!(
                        debug,
                        session = id,
                        self.remote_of(id),
                        "has sent more {what} than its rate allows"
                    );
                }
                self.write_reply(slot, reply);
                self.close(slot, CloseCode::POLICY_VIOLATION, "too fast");
            }
        }
    }

    /// The connection turns out to be from `address`, and is counted so unless that is a proxy's. Returns whether it may
    /// stay.
    pub fn charge_connection(&mut self, slot: u32, address: IpAddr) -> bool {
        let shared = &self.shared;
        let proxy = &self.rules.settings.config.proxy;
        if !shared.admission.counts_connections() || proxy.is_forwarder(Some(address)) {
            return true;
        }
        let network = shared.admission.connect(address);
        if let (Some(connection), Some(network)) = (self.connections.slot_mut(slot), network) {
            connection.extras().connection_from = Some(network);
        }
        network.is_some()
    }

    /// The connection with these extras has gone: its place is free.
    pub fn disconnect(&self, extras: Option<&Extras>) {
        if let Some(network) = extras.and_then(|extras| extras.connection_from) {
            self.shared.admission.disconnect(network);
        }
    }

    /// The peer's Close has come (RFC 6455 §5.5.1): ours, if it was not sent before, is in the reply.
    pub fn peer_closed(&mut self, slot: u32, reply: &mut Reply, code: u16, reason: &str) {
        let player = self.connections.slot(slot).is_some_and(|one| one.kind == Kind::Player);
        self.closed_cleanly += u64::from(player);
        let slot = self.part(slot, code, reason);
        self.end_session(slot, code, reason);
        self.send_last(slot, reply);
    }

    /// The peer broke the protocol: the Close frame that says so is in the reply (RFC 6455 §7.1.7).
    pub fn violated(&mut self, slot: u32, reply: &mut Reply, error: &ProtocolError) {
        if let Some(id) = self.connections.id_of(slot) {
            match self.connections.slot(slot).is_some_and(|one| one.kind == Kind::Player) {
                true => log_client!(debug, session = id, self.remote_of(id), "{error}"),
                false => log_client!(debug, connection = id, self.remote_of(id), "{error}"),
            }
        }
        let code = error.close_code().0;
        self.metrics().protocol_errors.of(ProtocolErrorKind::from_code(code)).add(1);
        let slot = self.part(slot, code, "");
        self.end_session(slot, code, "");
        self.send_last(slot, reply);
    }

    /// Everything that was to be said goes out behind what waits already, then the connection ends.
    fn send_last(&mut self, slot: u32, reply: &mut Reply) {
        self.append(slot, reply.take_last());
        self.finish(slot);
    }

    /// A pong: if it answers one of our pings, the round-trip time is known, and what a link has read.
    pub fn pong(&mut self, slot: u32, payload: &[u8]) {
        let now_ns = self.shared.clock.now().ns;
        let Ok(sent_ns) = payload.try_into().map(u64::from_be_bytes) else { return };
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        match connection.kind {
            Kind::Link => self.link_answers(slot, sent_ns),
            Kind::Player if let Some(round_trip_ns) = now_ns.checked_sub(sent_ns) => {
                connection.round_trip_us = u32::try_from(round_trip_ns / 1000).unwrap_or(u32::MAX).max(1);
            }
            _ => {}
        }
    }
}
