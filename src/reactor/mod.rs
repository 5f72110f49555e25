//! One reactor: one poll, the connections it owns, and the turn that joins the rooms: poll, read, drain, run, flush, time,
//! reap. Knows nothing of HTTP paths and JSON: it hands bytes and events to the gateway, and values back to the core.

mod accept;
mod echo;
mod read;
mod spin;
mod wrapping;

pub use accept::Acceptor;

use crate::connection::{Connection, Due, Flag, Phase, Stage};
use crate::core::{Core, EVENTS, Envelope, Port};
use crate::gateway::Gateway;
use crate::mailbox::Receiver;
use crate::protocol::CloseCode;
use crate::session::{SessionId, close_codes};
use crate::timer::Moment;
use mio::{Events, Poll, Token};
use spin::Spin;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Tokens below are slots; the slab holds fewer than 2^22.
const WAKE: Token = Token(usize::MAX);
const CLIENT_LISTENER: Token = Token(usize::MAX - 1);
const BACKEND_LISTENER: Token = Token(usize::MAX - 2);

/// What the waker of a reactor's poll is registered as.
pub const WAKE_TOKEN: Token = WAKE;

/// See the module.
pub struct Reactor {
    poll: Poll,
    events: Events,
    receiver: Receiver<Envelope>,
    core: Core,
    gateway: Gateway,
    /// Only on the reactor that accepts.
    acceptor: Option<Acceptor>,
    /// Every connection of this reactor is read into it, parsed and unmasked in place.
    buffer: Box<[u8]>,
    due: Vec<(u32, Due)>,
    spin: Spin,
    /// When the last turn ended: nothing has been waited for since.
    ended: Moment,
    stop: Stop,
}

/// How far the stop has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    No,
    /// Until `by_ms` connections may end by themselves.
    Draining {
        by_ms: u64,
    },
}

/// What a reactor says at its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StopReport {
    /// Players' sessions that were live when the stop began.
    pub sessions: u64,
    /// Of these, those whose client completed the closing handshake.
    pub closed_cleanly: u64,
}

impl Reactor {
    /// A reactor on `poll`, whose waker is registered already under [`WAKE_TOKEN`].
    pub fn new(
        poll: Poll,
        receiver: Receiver<Envelope>,
        core: Core,
        gateway: Gateway,
        acceptor: Option<Acceptor>,
    ) -> Self {
        let ended = core.now;
        let spin = Spin::new(core.shared.settings.spin_ns);
        let buffer = vec![0; core.shared.settings.config.limits.read_buffer_bytes].into();
        Self {
            poll,
            events: Events::with_capacity(EVENTS),
            receiver,
            core,
            gateway,
            acceptor,
            buffer,
            due: Vec::with_capacity(EVENTS),
            spin,
            ended,
            stop: Stop::No,
        }
    }

    /// Turns until the server has stopped.
    ///
    /// # Errors
    /// Only what makes going on impossible: the poll itself fails.
    pub fn run(mut self) -> io::Result<StopReport> {
        if let Some(acceptor) = &mut self.acceptor {
            acceptor.register(self.poll.registry(), CLIENT_LISTENER, BACKEND_LISTENER)?;
        }
        let mut report = StopReport::default();
        loop {
            self.turn(&mut report)?;
            if self.is_stopped() {
                report.closed_cleanly = self.core.closed_cleanly.min(report.sessions);
                return Ok(report);
            }
        }
    }

    fn turn(&mut self, report: &mut StopReport) -> io::Result<()> {
        self.wait()?;
        self.core.now = self.core.shared.clock.now();
        let began = self.core.now;
        self.core.goes_ahead = self.receiver.len() <= 1;
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            match event.token() {
                WAKE => {}
                CLIENT_LISTENER => self.accept(Port::Client),
                BACKEND_LISTENER => self.accept(Port::Backend),
                Token(slot) => self.ready(slot as u32, event),
            }
        }
        self.events = events;
        self.read_unread();
        self.shake_hands();
        self.drain();
        if self.stop == Stop::No && self.core.shared.draining.load(Ordering::Acquire) {
            self.stop_sessions(report);
        }
        self.time();
        self.tell_ended();
        // What has been posted goes out before this reactor's own sockets are written: the others can work meanwhile.
        self.core.peers.retry();
        self.core.wake_peers();
        self.core.flush_ticks();
        self.core.flush_dirty();
        self.core.relieve();
        self.tell_ended();
        self.reap();
        self.core.settle();
        self.core.wake_peers();
        self.measure(began);
        Ok(())
    }

    fn wait(&mut self) -> io::Result<()> {
        let timeout = self.timeout();
        if timeout == Some(Duration::ZERO) {
            return self.poll(timeout);
        }
        if self.spin(timeout)? {
            return Ok(());
        }
        // Whoever posts from here on sees a sleeper and writes the eventfd.
        if !self.receiver.sleep() {
            self.receiver.awake();
            return self.poll(Some(Duration::ZERO));
        }
        if self.core.shared.settings.spin_ns == 0 {
            let polled = self.poll(timeout);
            self.receiver.awake();
            return polled;
        }
        let polled = self.poll(timeout);
        self.receiver.awake();
        // From the end of the turn on: that is how long a full look would have lasted.
        self.spin.slept(self.core.shared.clock.now().ns - self.ended.ns);
        polled
    }

    /// Looks for work without sleeping, for as long as that pays. Returns whether there is some; the poll has been asked
    /// then.
    fn spin(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        /// Looks at the mailbox, which cost nanoseconds, between two at the poll, which is a system call.
        const LOOKS: usize = 32;
        let most_ns = timeout.map_or(u64::MAX, |timeout| timeout.as_nanos() as u64);
        let budget_ns = self.spin.budget_ns().min(most_ns);
        if budget_ns == 0 {
            return Ok(false);
        }
        let until_ns = self.core.shared.clock.now().ns + budget_ns;
        while self.core.shared.clock.now().ns < until_ns {
            for _ in 0..LOOKS {
                if !self.receiver.is_empty() {
                    break;
                }
                std::hint::spin_loop();
            }
            self.poll(Some(Duration::ZERO))?;
            if !self.events.is_empty() || !self.receiver.is_empty() {
                self.spin.found();
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn poll(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }

    /// How long the poll may sleep: not at all while something has been left over from the last turn.
    fn timeout(&self) -> Option<Duration> {
        if self.core.has_work() {
            return Some(Duration::ZERO);
        }
        let accept = self.acceptor.as_ref().and_then(Acceptor::resume_at_ms);
        let stop = match self.stop {
            Stop::No => None,
            Stop::Draining { by_ms } => Some(by_ms),
        };
        let next_ms = [self.core.next_deadline_ms(), accept, stop].into_iter().flatten().min()?;
        Some(Duration::from_millis(next_ms.saturating_sub(self.ended.ms)))
    }

    fn ready(&mut self, slot: u32, event: &mio::event::Event) {
        if event.is_writable() {
            self.core.writable(slot);
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            let to_the_end = event.is_read_closed() || event.is_error();
            // What was left over from the last turn is read once, behind those who have just come.
            let has_its_turn =
                self.core.connection(slot).is_some_and(|connection| connection.flags.has(Flag::Unread));
            if !has_its_turn {
                self.read(slot, to_the_end);
            }
        }
    }

    /// Sockets that one turn did not read to the end, and connections that may go on after a pause.
    fn read_unread(&mut self) {
        for slot in std::mem::take(&mut self.core.unread) {
            if let Some(connection) = self.core.connection(slot) {
                connection.flags.clear(Flag::Unread);
                self.gateway.resume(&mut self.core, slot);
                self.read(slot, true);
            }
        }
    }

    fn drain(&mut self) {
        for _ in 0..self.core.shared.settings.config.limits.turn_envelopes {
            let Some(envelope) = self.receiver.pop() else { break };
            match envelope {
                Envelope::Adopt(stream, port, terms) => self.adopt(stream, port, terms),
                Envelope::Push(push) => self.core.deliver(&push),
                Envelope::PushDone(push) => self.gateway.push_done(&mut self.core, &push),
                Envelope::Operation(operation) => self.core.operate(&operation),
                Envelope::OperationDone(operation) => {
                    self.gateway.operation_done(&mut self.core, &operation);
                }
                Envelope::Event(link, frame) => self.gateway.event(&mut self.core, link, frame),
                Envelope::Page { connection, sequence, response } => {
                    self.gateway.page_done(&mut self.core, connection, sequence, &response);
                }
                Envelope::EventsLost(link) => self.gateway.events_lost(&mut self.core, link),
                // It was sent to end the sleep: the turn itself looks at what has been asked for.
                Envelope::Stop => {}
                Envelope::StopBackends => self.stop_backends(),
                Envelope::Relieve => self.core.asked_for_relief(),
            }
        }
        self.receiver.drained();
    }

    fn time(&mut self) {
        let mut due = std::mem::take(&mut self.due);
        self.core.take_due(&mut due);
        for (slot, what) in due.drain(..) {
            match what {
                Due::Wrapping => self.core.wrapping_late(slot),
                Due::Head => self.gateway.head_late(&mut self.core, slot),
                Due::Ping => self.ping(slot),
                Due::Idle => self.idle(slot),
                Due::Close => self.core.doom(slot),
                Due::Expiry => self.core.expire(slot),
                Due::Token => self.core.close(slot, close_codes::TOKEN_EXPIRED, "token expired"),
                Due::Resume => self.core.resume(slot),
            }
            self.core.arm(slot);
        }
        self.due = due;
        self.resume_accepting();
    }

    fn ping(&mut self, slot: u32) {
        // The pong brings it back: the round-trip time needs no state of ours.
        let sent_ns = self.core.shared.clock.now().ns.to_be_bytes();
        let mut frame = Vec::new();
        let Some(connection) = self.core.connection(slot) else { return };
        connection.flags.set(Flag::Pinged);
        let websocket = match &mut connection.stage {
            Stage::Player(player) => &mut player.websocket,
            Stage::Echo(websocket) => websocket,
            Stage::Link(link) => &mut link.websocket,
            _ => return,
        };
        if websocket.ping(&sent_ns, &mut frame).is_ok() {
            self.core.offer_control(slot, &frame);
        }
    }

    fn idle(&mut self, slot: u32) {
        match self.core.connection(slot).map(|connection| &connection.stage) {
            Some(Stage::Backend(_)) => self.core.finish(slot),
            Some(_) => self.core.close(slot, close_codes::IDLE, "idle"),
            None => {}
        }
    }

    fn tell_ended(&mut self) {
        // Telling may end further sessions: an app that answers a close with a push to somebody too slow.
        while !self.core.ended.is_empty() {
            for ended in std::mem::take(&mut self.core.ended) {
                self.gateway.closed(&mut self.core, &ended);
            }
        }
    }

    fn reap(&mut self) {
        for (id, mut connection) in self.core.reap() {
            // Closing the descriptor takes it out of the poll too; a failure to do it earlier changes nothing.
            let _ = self.poll.registry().deregister(&mut connection.stream);
            self.release(id, connection);
        }
    }

    fn release(&mut self, id: SessionId, connection: Connection) {
        let load = &self.core.shared.loads[self.core.index];
        match connection.stage {
            Stage::Backend(_) | Stage::Link(_) => load.backends.fetch_sub(1, Ordering::Relaxed),
            _ => load.clients.fetch_sub(1, Ordering::Relaxed),
        };
        self.core.disconnect(connection.terms.as_deref());
        self.gateway.released(&mut self.core, id, &connection.stage);
    }

    fn stop_sessions(&mut self, report: &mut StopReport) {
        let shutdown_ms = self.core.shared.settings.config.timeouts.shutdown.as_millis() as u64;
        self.stop = Stop::Draining { by_ms: self.core.now.ms + shutdown_ms };
        self.core.draining = true;
        self.core.closed_cleanly = 0;
        if let Some(mut acceptor) = self.acceptor.take() {
            acceptor.deregister(self.poll.registry());
        }
        let slots: Vec<u32> = self.core.connections.slots().collect();
        for slot in slots {
            let Some(connection) = self.core.connection(slot) else { continue };
            match connection.stage {
                Stage::Player(_) if connection.phase == Phase::Open => {
                    report.sessions += 1;
                    self.core.close(slot, CloseCode::GOING_AWAY, "server going away");
                }
                Stage::Echo(_) => self.core.close(slot, CloseCode::GOING_AWAY, "server going away"),
                Stage::Head(_) if connection.is_wrapping() => self.core.doom(slot),
                Stage::Head(_) => self.gateway.head_late(&mut self.core, slot),
                _ => {}
            }
        }
        self.tell_ended();
        if self.core.shared.reactors_with_sessions.fetch_sub(1, Ordering::AcqRel) == 1 {
            for reactor in 0..self.core.shared.reactors() {
                self.core.peers.post_always(reactor, Envelope::StopBackends);
            }
        }
    }

    fn stop_backends(&mut self) {
        let slots: Vec<u32> = self.core.connections.slots().collect();
        for slot in slots {
            match self.core.connection(slot).is_some_and(|connection| connection.is_wrapping()) {
                true => self.core.doom(slot),
                false => self.gateway.stop_backend(&mut self.core, slot),
            }
        }
    }

    fn is_stopped(&self) -> bool {
        match self.stop {
            Stop::No => false,
            Stop::Draining { by_ms } => self.core.connections.is_empty() || self.core.now.ms >= by_ms,
        }
    }

    fn measure(&mut self, began: Moment) {
        self.ended = self.core.shared.clock.now();
        let sizes = self.core.hub.sizes();
        let metrics = self.core.metrics();
        metrics.sessions.set(sizes.sessions as u64);
        metrics.users.set(sizes.users as u64);
        metrics.groups.set(sizes.groups as u64);
        metrics.tags.set(sizes.tags as u64);
        metrics.mailbox_messages.set(self.receiver.len() as u64);
        metrics.mailbox_bytes.set(self.receiver.bytes() as u64);
        metrics.mailbox_overflow.set(self.core.peers.backlog() as u64);
        metrics.behind.set(self.core.behind.len() as u64);
        metrics.turns.add(1);
        metrics.turn_time.observe(self.ended.ns - began.ns);
    }
}
