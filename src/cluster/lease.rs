//! The lease of a node number, which the first Redis of the list gives. The numbers are a part of session ids, so two nodes
//! must never take one to be theirs at the same time.
//!
//! [`Lease`] is a state machine without I/O: between [`Lease::connected`] and [`Lease::disconnected`], [`Lease::turn`] gives the commands to
//! send and [`Lease::answered`] takes their answers in the order of the commands. Time is an argument.
//!
//! - A number is `{prefix}:lease:{number}`, which expires after a lease. Its value names the holder, and every command compares it.
//! - The holder counts the lease from when it *sent* the command, less a margin: Redis counts from when it got it. So whoever
//!   asks [`Lease::is_held`] for each answer gets a no before any other node can get a yes, also after the process stood still.
//!   The clock has to run while it does.
//! - A Redis that came back empty knows no holder, and would give away numbers that are held. Who finds no `{prefix}:born`
//!   writes it, by the clock of that Redis; for two leases from then on a number is only for the node that held it last.

mod carry;
mod commands;
#[cfg(test)]
mod redis_tests;
#[cfg(test)]
mod tests;

pub use carry::CarriedLease;
pub use commands::{Command, Holder, SharedSecret};

use super::resp::Value;
use crate::session::SessionId;
use commands::Keys;
use std::collections::VecDeque;
use std::fmt;

/// Numbers from 1 on are given; 0 is that of a node without a cluster.
const HIGHEST: u16 = (1 << SessionId::NODE_BITS) - 1;
/// Candidates that are asked for before a pause.
const TRIES: u32 = 16;
/// The part of the lease that the holder does not rely on: what two clocks may drift apart in it, with much to spare.
const MARGIN: u64 = 5;
/// Renewals that fit into a lease.
const RENEWALS: u64 = 3;
/// The part of a lease that is waited for where Redis or another node has refused the number.
const PAUSE: u64 = 2;
/// The same where this node holds it: before the lease ends there is time for some more tries.
const SHORT_PAUSE: u64 = 10;

/// What a lease has to know of its node.
#[derive(Debug, Clone)]
pub struct LeaseSettings {
    /// What the keys begin with.
    pub prefix: String,
    /// What the node is called.
    pub name: String,
    /// How long a number is taken for, in milliseconds.
    pub lease_ms: u64,
    /// The one number that will do; `None` is any.
    pub pinned: Option<u16>,
}

/// What has happened to a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseEvent {
    /// The number is this node's from now on. Also where this node held it before, and the key was gone for a while.
    Taken {
        /// The number.
        number: u16,
    },
    /// Redis has not confirmed the lease in time: until it does, another node may hold the number.
    Lapsed {
        /// The number.
        number: u16,
    },
    /// Redis has confirmed the lease again, and no other node has held the number in between.
    Kept {
        /// The number.
        number: u16,
    },
    /// Another node has taken the number, and this one has none.
    Lost {
        /// The number.
        number: u16,
        /// Who has it.
        holder: Holder,
    },
    /// The one number that will do is another node's. It is asked for again.
    Refused {
        /// The number.
        number: u16,
        /// Who has it.
        holder: Holder,
    },
    /// Redis was empty a moment ago: nodes that held a number have this time to take it again before this node takes one.
    Waits {
        /// The time, in milliseconds.
        ms: u64,
    },
    /// All numbers that were tried are taken. Others are tried after a pause.
    AllTaken,
    /// Redis did not do what it was asked for. It is asked again after a pause.
    Failed(LeaseFault),
    /// The secret that all nodes share. Where Redis came back empty it may be another one than before.
    Secret(SharedSecret),
}

/// What Redis answered to a command of a lease in place of what it should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseFault {
    /// An error, in its words.
    Refused(Box<str>),
    /// The key of the secret holds something else.
    NoSecret,
    /// An answer that the command does not have.
    Answer,
}

impl fmt::Display for LeaseFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) if error.starts_with("OOM") => write!(
                f,
                "Redis is out of memory and keeps no new key: give it more maxmemory, or a Redis of its own ({error})"
            ),
            Self::Refused(error) if error.starts_with("NOPERM") => write!(
                f,
                "the user of Redis may not do that: allow it EVAL, SET, GET, DEL, PEXPIRE and TIME, and the keys that begin \
                 with cluster.prefix ({error})"
            ),
            Self::Refused(error) => write!(f, "Redis refused it: {error}"),
            Self::NoSecret => {
                f.write_str("the key of the shared secret holds none: delete it, or choose another cluster.prefix")
            }
            Self::Answer => f.write_str(
                "Redis gave an answer of another kind: something between may not be a Redis of version 6 or later",
            ),
        }
    }
}

impl std::error::Error for LeaseFault {}

/// A command whose answer has not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// To hold this number for a lease; so many others may be tried.
    Hold { number: u16, tries: u32, sent_ms: u64 },
    /// The secret, which is kept where there is none.
    Secret,
    /// To give the number back.
    Release,
}

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// There is no connection.
    Away,
    /// Asks at this time to hold a number, the own one if there is one; so many others may be tried.
    Hold { at_ms: u64, tries: u32 },
    /// Waits for the answer about a number, which says what is next.
    Await,
    /// Has given the number back.
    Released,
}

/// A number that was taken, and has not been lost since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    number: u16,
    /// From then on another node may hold it.
    trusted_until_ms: u64,
    /// When the lease ends, by the clock of Redis.
    ran_until: i64,
    /// Whether it was told that another node may hold it.
    is_lapsed: bool,
}

/// See the module.
pub struct Lease {
    keys: Keys,
    lease_ms: u64,
    pinned: Option<u16>,
    incarnation: u64,
    /// What becomes the secret if the nodes have none; once it was told, the secret.
    secret: SharedSecret,
    is_secret_told: bool,
    /// It has to be asked for.
    wants_secret: bool,
    step: Step,
    /// Commands without an answer, the oldest first.
    asked: VecDeque<Asked>,
    held: Option<Held>,
    events: VecDeque<LeaseEvent>,
    /// Why there is no number, as it was told last: it is told once.
    trouble: Option<LeaseEvent>,
}

impl Lease {
    /// A node without a number. Incarnation and `entropy` are random, of a source that nobody can guess.
    pub fn new(settings: &LeaseSettings, incarnation: u64, entropy: [u8; 32]) -> Self {
        Self {
            keys: Keys::new(&settings.prefix, &settings.name, incarnation, settings.lease_ms),
            lease_ms: settings.lease_ms,
            pinned: settings.pinned,
            incarnation,
            secret: SharedSecret::new(entropy),
            is_secret_told: false,
            wants_secret: false,
            step: Step::Away,
            asked: VecDeque::new(),
            held: None,
            events: VecDeque::new(),
            trouble: None,
        }
    }

    /// What tells this start of the node from every other.
    #[cfg(test)]
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// The number that was taken and has not been lost: what sessions are opened under. For answers see [`Lease::is_held`].
    pub fn number(&self) -> Option<u16> {
        self.held.map(|held| held.number)
    }

    /// Whether the number is this node's now, for sure. Asked for each answer.
    pub fn is_held(&self, now_ms: u64) -> bool {
        self.held.is_some_and(|held| now_ms < held.trusted_until_ms)
    }

    /// There is a connection, on which nothing was sent.
    pub fn connected(&mut self) {
        self.disconnected();
        if self.step != Step::Released {
            self.step = Step::Hold { at_ms: 0, tries: TRIES };
        }
    }

    /// The connection has ended. What was sent may have been done or not; the next connection finds out.
    pub fn disconnected(&mut self) {
        self.asked.clear();
        if self.step != Step::Released {
            self.step = Step::Away;
        }
    }

    /// The commands to send now. Each is answered by one call of [`Lease::answered`], in this order. Called when
    /// [`Lease::due_ms`] says so, connected or not.
    pub fn turn(&mut self, now_ms: u64, mut random: impl FnMut() -> u64) -> Vec<Command> {
        if let Some(held) = &mut self.held
            && !held.is_lapsed
            && now_ms >= held.trusted_until_ms
        {
            held.is_lapsed = true;
            self.events.push_back(LeaseEvent::Lapsed { number: held.number });
        }
        let mut commands = Vec::new();
        if let Step::Hold { at_ms, tries } = self.step
            && now_ms >= at_ms
        {
            let own = self.number().or(self.pinned);
            let number = own.unwrap_or_else(|| 1 + (random() % u64::from(HIGHEST)) as u16);
            let ran_until = self.held.map_or(0, |held| held.ran_until);
            commands.push(self.keys.hold(number, ran_until));
            self.asked.push_back(Asked::Hold { number, tries, sent_ms: now_ms });
            self.step = Step::Await;
        }
        if self.wants_secret && self.is_connected() {
            commands.push(self.keys.secret(&self.secret));
            self.asked.push_back(Asked::Secret);
            self.wants_secret = false;
        }
        commands
    }

    fn is_connected(&self) -> bool {
        matches!(self.step, Step::Hold { .. } | Step::Await)
    }

    /// When [`Lease::turn`] has something to do; `None` while nothing but an answer or a connection brings it on.
    pub fn due_ms(&self) -> Option<u64> {
        let hold_ms = match self.step {
            Step::Hold { at_ms, .. } => Some(at_ms),
            Step::Away | Step::Await | Step::Released => None,
        };
        let secret_ms = (self.wants_secret && self.is_connected()).then_some(0);
        let lapse_ms = self.held.filter(|held| !held.is_lapsed).map(|held| held.trusted_until_ms);
        [hold_ms, secret_ms, lapse_ms].into_iter().flatten().min()
    }

    /// The answer to the oldest command that has none.
    pub fn answered(&mut self, value: &Value, now_ms: u64) {
        match self.asked.pop_front() {
            Some(Asked::Hold { number, tries, sent_ms }) => match value {
                Value::List(answer) => match answer[..] {
                    [Value::Int(commands::GRACE), Value::Int(left_ms)] => self.has_to_wait(left_ms, now_ms),
                    [Value::Int(state @ (commands::KEPT | commands::TAKEN)), Value::Int(until)] => {
                        self.holds(number, state == commands::KEPT, sent_ms, until);
                    }
                    _ => self.failed(LeaseFault::Answer, now_ms),
                },
                Value::Bulk(holder) => self.is_taken(number, Holder::read(holder), tries, now_ms),
                Value::Error(error) => self.failed(LeaseFault::Refused(error.clone()), now_ms),
                _ => self.failed(LeaseFault::Answer, now_ms),
            },
            Some(Asked::Secret) => match (value, value.bytes().and_then(SharedSecret::read)) {
                (_, Some(secret)) => self.share(secret),
                (Value::Error(error), _) => {
                    self.trouble(LeaseEvent::Failed(LeaseFault::Refused(error.clone())))
                }
                _ => self.trouble(LeaseEvent::Failed(LeaseFault::NoSecret)),
            },
            Some(Asked::Release) | None => {}
        }
    }

    /// The number is free, and Redis has not had keys for long enough to give it away.
    fn has_to_wait(&mut self, left_ms: i64, now_ms: u64) {
        let ms = u64::try_from(left_ms).unwrap_or(0).clamp(1, commands::GRACE_LEASES * self.lease_ms);
        self.events.push_back(LeaseEvent::Waits { ms });
        self.step = Step::Hold { at_ms: now_ms.saturating_add(ms), tries: TRIES };
    }

    /// The number is this node's for a lease from `sent_ms` on; `is_kept`: as it was before.
    fn holds(&mut self, number: u16, is_kept: bool, sent_ms: u64, ran_until: i64) {
        let trusted_ms = self.lease_ms - self.lease_ms / MARGIN;
        let trusted_until_ms = sent_ms.saturating_add(trusted_ms);
        let before = self.held.replace(Held { number, trusted_until_ms, ran_until, is_lapsed: false });
        let at_ms = sent_ms.saturating_add(self.lease_ms / RENEWALS);
        self.step = Step::Hold { at_ms, tries: TRIES };
        self.trouble = None;
        match before {
            Some(held) if is_kept => {
                let is_back = held.is_lapsed.then_some(LeaseEvent::Kept { number });
                self.events.extend(is_back);
            }
            _ => self.events.push_back(LeaseEvent::Taken { number }),
        }
        // Where the number's key was gone, that of the secret may be.
        self.wants_secret |= !is_kept || !self.is_secret_told;
    }

    /// The number is another node's.
    fn is_taken(&mut self, number: u16, holder: Holder, tries: u32, now_ms: u64) {
        let had = self.held.take().is_some();
        if had {
            self.events.push_back(LeaseEvent::Lost { number, holder: holder.clone() });
        }
        let pause_ms = self.pause_ms();
        self.step = match (self.pinned.is_some(), had) {
            (false, true) => Step::Hold { at_ms: now_ms, tries: TRIES },
            (false, false) if tries > 0 => Step::Hold { at_ms: now_ms, tries: tries - 1 },
            (is_pinned, _) => {
                self.trouble(if is_pinned {
                    LeaseEvent::Refused { number, holder }
                } else {
                    LeaseEvent::AllTaken
                });
                Step::Hold { at_ms: now_ms.saturating_add(pause_ms), tries: TRIES }
            }
        };
    }

    /// Redis did not do it.
    fn failed(&mut self, fault: LeaseFault, now_ms: u64) {
        self.trouble(LeaseEvent::Failed(fault));
        self.step = Step::Hold { at_ms: now_ms.saturating_add(self.pause_ms()), tries: TRIES };
    }

    fn pause_ms(&self) -> u64 {
        let part = if self.held.is_some() { SHORT_PAUSE } else { PAUSE };
        (self.lease_ms / part).max(1)
    }

    fn share(&mut self, secret: SharedSecret) {
        if !self.is_secret_told || self.secret != secret {
            self.events.push_back(LeaseEvent::Secret(secret.clone()));
        }
        self.secret = secret;
        self.is_secret_told = true;
    }

    fn trouble(&mut self, event: LeaseEvent) {
        if self.trouble.as_ref() != Some(&event) {
            self.events.push_back(event.clone());
            self.trouble = Some(event);
        }
    }

    /// What has happened, in order.
    pub fn next_event(&mut self) -> Option<LeaseEvent> {
        self.events.pop_front()
    }

    /// Gives the number back, before the node ends: the command to send, where there is a number and a connection. It is held no
    /// more from now on.
    pub fn release(&mut self) -> Option<Command> {
        let number = self.held.take().map(|held| held.number).filter(|_| self.is_connected());
        self.step = Step::Released;
        self.asked.extend(number.map(|_| Asked::Release));
        number.map(|number| self.keys.release(number))
    }
}
