//! One reactor: one poll, the connections it owns, and the turn that joins the rooms. Start from `turn`. Knows nothing of HTTP paths and JSON: it hands bytes and events to the gateway, and values back to the core.

mod absence;
mod accept;
#[cfg(any(test, feature = "fuzzing"))]
mod alone;
mod arriving;
mod claiming;
mod echo;
mod emptying;
mod farewell;
mod leaving;
mod listener;
mod moving;
mod read;
mod spin;
mod standing;
mod stopping;
mod turn;
mod wrapping;

pub use accept::Acceptor;
#[cfg(any(test, feature = "fuzzing"))]
pub use alone::Alone;
pub use arriving::{Arrivals, Beginning};
pub use listener::{Listener, SocketFile};
pub use standing::SHARED_PART;

use crate::connection::{Connection, Due, Flag};
use crate::core::{Core, EVENTS, Envelope, Reply};
use crate::gateway::Gateway;
use crate::mailbox::Receiver;
use crate::session::SessionId;
use crate::timer::Moment;
use emptying::Emptying;
use mio::{Events, Poll, Token};
use spin::Spin;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;
use stopping::Stop;

const WAKE: Token = Token(usize::MAX);
/// What the listener with the number 0 is registered as; the next one is one more. Tokens below are slots: the slab holds fewer
/// than 2^22.
const LISTENERS: usize = usize::MAX / 2;

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
    /// What the client whose input is being handled is answered; empty between two of them.
    reply: Reply,
    /// When the last turn ended: nothing has been waited for since.
    ended: Moment,
    /// How long the next poll may sleep; `None` for ever.
    may_sleep: Option<Duration>,
    /// When the next turn was to begin at the latest, in milliseconds of the server's clock.
    expected_ms: u64,
    /// The last sleep was ended by a stop of the process.
    interrupted: bool,
    /// Turns in which what came in an absence is read at the most, before timers are looked at.
    catching_up: usize,
    /// No further warning about an absence before this.
    quiet_until_ms: u64,
    /// What the drain asks of this reactor, and which change of it that is.
    emptying: Option<Emptying>,
    drain_order: u64,
    /// Another process is about to take over: what waits at the listeners is for that one.
    accepts_nothing: bool,
    stop: Stop,
}

/// What a reactor says at its end.
///
/// ```
/// let report = gannet::StopReport { sessions: 40, closed_cleanly: 39 };
/// assert_eq!(report.sessions - report.closed_cleanly, 1);
/// ```
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
        let spin = Spin::new(core.shared.spin_ns);
        let buffer = vec![0; core.rules.settings.config.limits.read_buffer_bytes].into();
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
            reply: Reply::default(),
            ended,
            may_sleep: Some(Duration::ZERO),
            expected_ms: u64::MAX,
            interrupted: false,
            catching_up: 0,
            quiet_until_ms: 0,
            emptying: None,
            drain_order: 0,
            accepts_nothing: false,
            stop: Stop::No,
        }
    }

    /// Turns until the server has stopped, or another process goes on from here.
    ///
    /// # Errors
    /// Only what makes going on impossible: the poll itself fails.
    pub fn run(mut self) -> io::Result<StopReport> {
        if let Some(acceptor) = &mut self.acceptor {
            acceptor.register(self.poll.registry())?;
        }
        let mut report = StopReport::default();
        loop {
            self.turn(&mut report)?;
            if self.hand_over_world()? {
                return Ok(report);
            }
            if self.is_stopped() {
                self.leave_cluster()?;
                report.closed_cleanly = self.core.closed_cleanly.min(report.sessions);
                return Ok(report);
            }
        }
    }

    fn wait(&mut self) -> io::Result<()> {
        let timeout = self.may_sleep;
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
        if self.core.shared.spin_ns == 0 {
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

    pub(super) fn poll(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, timeout) {
            // A stop of the process ends the sleep without a look at what came while it stood; a look that does not wait is
            // not interrupted. Without it the timers would judge peers whose answers are there.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.interrupted = true;
                self.poll.poll(&mut self.events, Some(Duration::ZERO))
            }
            polled => polled,
        }
    }

    /// Goes by other rules from here on, where they have changed.
    fn follow_rules(&mut self) {
        let Some(before) = self.core.follow_rules() else { return };
        self.gateway.follow_rules(&mut self.core, &before);
        let bytes = self.core.rules.settings.config.limits.read_buffer_bytes;
        if self.buffer.len() != bytes {
            self.buffer = vec![0; bytes].into();
        }
        self.core.has_followed();
    }

    fn tell_ended(&mut self) {
        self.gateway.tell_changes(&mut self.core);
        self.gateway.tell_ended(&mut self.core, &mut self.reply);
        self.core.tell_replaced();
    }

    fn reap(&mut self) {
        self.follow_moved();
        self.send_movers();
        for (id, mut connection) in self.core.reap() {
            // Closing the descriptor takes it out of the poll too; a failure to do it earlier changes nothing.
            let _ = self.poll.registry().deregister(&mut connection.stream);
            self.release(id, &connection);
        }
    }

    fn release(&mut self, id: SessionId, connection: &Connection) {
        // A session that was away had no connection.
        if !connection.stream.is_none() {
            let load = &self.core.shared.loads[self.core.index];
            match connection.flags.has(Flag::Backend) {
                true => load.backends.fetch_sub(1, Ordering::Relaxed),
                false => load.clients.fetch_sub(1, Ordering::Relaxed),
            };
            self.core.disconnect(connection.extras.as_deref());
        }
        if connection.extras.as_ref().is_some_and(|extras| extras.expires_unix_ms.is_some()) {
            self.core.expires_no_more();
        }
        if !connection.stream.is_none() {
            self.core.leave_capacity(connection);
        }
        self.gateway.released(&mut self.core, id, connection);
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
