//! What a link does with its socket: connects, reads, writes, gives up.

use super::super::fault::{Fault, FaultKind};
use super::connecting::Connecting;
use super::greeting::Introduction;
use super::lookup::Lookup;
use super::owed::Owed;
use super::{Ending, LAST_READS, Link, READ_BYTES, READS, State, max_frame_bytes, parser};
use mio::Registry;
use std::io;

impl Link {
    /// The first or next step of making a connection.
    pub(super) fn go_on_connecting(&mut self, registry: &Registry, now_ms: u64) {
        if let State::LookingUp(deadline_ms) = self.state {
            match self.lookup.as_ref().and_then(Lookup::found).cloned() {
                None if now_ms < deadline_ms => return,
                None => {
                    let text = format!("its name was not resolved within {} ms", self.limits.connect_ms);
                    return self.end(Fault::new(FaultKind::Resolve, text));
                }
                Some(found) => {
                    self.lookup = None;
                    match found {
                        Err(fault) => return self.end(fault),
                        Ok(target) => {
                            let first = self.backoff.failed() as usize;
                            self.state = State::Connecting(Connecting::new(target, first, deadline_ms));
                        }
                    }
                }
            }
        }
        if let State::Connecting(connecting) = &mut self.state
            && let Err(fault) = connecting.go_on(registry, self.token, self.limits.silent_ms, now_ms)
        {
            self.end(fault);
        }
    }

    /// The connection is made: begins the greeting.
    pub(super) fn greet(&mut self) {
        let State::Connecting(connecting) = std::mem::replace(&mut self.state, State::Waiting(None)) else {
            return;
        };
        let deadline_ms = connecting.deadline_ms();
        match connecting.into_wire() {
            Err(fault) => self.end(fault),
            Ok(wire) => {
                let out = self.outgoing.tail();
                let introduction = Introduction::begin(&self.route, self.greeted.as_ref(), out);
                self.state = State::Greeting { wire, introduction, deadline_ms };
            }
        }
    }

    pub(super) fn check_silence(&mut self, now_ms: u64) {
        let silent_ms = self.limits.silent_ms;
        let is_over = |since: u64| now_ms >= since.saturating_add(silent_ms);
        // The answer may be among what has not been taken.
        if self.is_eventful || !self.silent_since_ms.is_some_and(is_over) {
            return;
        }
        // What has come while this process itself stood still has been read by nobody.
        self.read(READS, now_ms);
        if self.is_up() && self.silent_since_ms.is_some_and(is_over) {
            let text = format!("it said nothing for {silent_ms} ms while an answer was owed");
            self.end(Fault::new(FaultKind::Silent, text));
        }
    }

    /// Reads at most so often.
    pub(super) fn read(&mut self, reads: usize, now_ms: u64) {
        let before = self.parser.held_bytes();
        let fault = self.read_some(reads);
        if self.parser.held_bytes() > before {
            self.is_eventful = true;
            if self.silent_since_ms.is_some() {
                self.silent_since_ms = Some(now_ms);
            }
        }
        if let Some(fault) = fault {
            self.end(fault);
        }
    }

    /// Reads at most so often, and tells why the connection is over if it is.
    pub(super) fn read_some(&mut self, reads: usize) -> Option<Fault> {
        let (State::Greeting { wire, .. } | State::Up(wire)) = &mut self.state else { return None };
        self.is_unread = false;
        for _ in 0..reads {
            // What is held and not taken is bounded: there is a whole frame among so many bytes.
            if self.parser.held_bytes() >= max_frame_bytes(&self.limits) {
                break;
            }
            match wire.read(self.parser.room(READ_BYTES)) {
                Ok(0) => return Some(Fault::new(FaultKind::Closed, "it closed the connection")),
                Ok(count) => self.parser.filled(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) => return Some(Fault::broken(&error)),
            }
        }
        self.is_unread = true;
        None
    }

    pub(super) fn write(&mut self) {
        let (State::Greeting { wire, .. } | State::Up(wire)) = &mut self.state else { return };
        if let Err(error) = self.outgoing.write(wire) {
            // What came before it broke is still to be said, and says why more often than the error does.
            let fault = self.read_some(LAST_READS).unwrap_or_else(|| Fault::broken(&error));
            self.end(fault);
        }
    }

    /// The connection or the try is over.
    pub(super) fn end(&mut self, fault: Fault) {
        let was_up = self.is_up();
        let fault = self.advised(fault);
        let introduction = match std::mem::replace(&mut self.state, State::Waiting(None)) {
            State::Greeting { introduction, .. } => Some(introduction),
            _ => None,
        };
        self.ending = Some(Ending { fault, introduction, was_up });
        self.is_unread = false;
        self.is_eventful = true;
    }

    /// The same with what the most likely cause is, where a server hangs up on a greeting.
    fn advised(&self, fault: Fault) -> Fault {
        let is_greeting = matches!(self.state, State::Greeting { .. });
        let hint = match (fault.kind(), self.route.url().is_secure()) {
            (FaultKind::Closed, false) if is_greeting => {
                "if its port speaks TLS, write rediss:// into the URL"
            }
            (FaultKind::Silent, true) if is_greeting => {
                "if its port speaks no TLS, write redis:// into the URL"
            }
            _ => return fault,
        };
        Fault::new(fault.kind(), format!("{fault}: {hint}"))
    }

    /// Nothing of the connection before is left.
    pub(super) fn forget(&mut self) {
        self.parser = parser(&self.limits);
        self.outgoing.clear();
        self.owed = Owed::default();
        self.silent_since_ms = None;
        self.is_unread = false;
    }
}
