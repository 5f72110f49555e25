//! A link: one connection to one Redis, which makes itself anew. Non-blocking, polled by the reactor that owns it; time and
//! randomness are arguments.
//!
//! After [`turn`](Link::turn) and [`ready`](Link::ready), take [`next`](Link::next) until it gives nothing:
//! what was read before a connection broke is said before the break.

mod backoff;
mod carry;
mod connecting;
mod driving;
mod greeting;
mod hearing;
mod lookup;
mod outgoing;
mod owed;
mod route;
#[cfg(test)]
mod tests;
mod wire;

pub use carry::CarriedLink;
pub use greeting::Greeting;
pub use lookup::Waker;
pub use route::Directory;

use super::fault::{Fault, FaultKind};
use super::resp::{Parser, ParserLimits, Span, Value, write_command, write_of_channels, write_publish};
use crate::config::RedisUrl;
use backoff::Backoff;
use connecting::Connecting;
use greeting::Introduction;
use lookup::Lookup;
use mio::{Registry, Token};
use outgoing::Outgoing;
use owed::{Kind, Owed};
use route::Route;
use std::fmt;
use std::sync::Arc;
use wire::Wire;

/// The bounds of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkLimits {
    /// How long a try may take, from the name to the end of the greeting, in milliseconds.
    pub connect_ms: u64,
    /// A link is dead if nothing has come for so long while an answer is owed, in milliseconds.
    pub silent_ms: u64,
    /// The delay before the first try after one that failed, in milliseconds; the next ones are doubled.
    pub backoff_min_ms: u64,
    /// The longest delay, in milliseconds.
    pub backoff_max_ms: u64,
    /// Bytes of a payload, in and out.
    pub max_message_bytes: usize,
    /// Bytes of commands that the socket has not taken. Subscriptions do not count: the channels bound them.
    pub max_unwritten_bytes: usize,
}

/// Why a command was not taken. Nothing of it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTaken {
    /// The link is not up.
    Down,
    /// So much waits for the socket that it would be more than [`LinkLimits::max_unwritten_bytes`].
    Full,
    /// The payload is longer than [`LinkLimits::max_message_bytes`]: every subscriber would take it for a fault.
    TooLarge,
}

/// What has happened to a link.
#[derive(Debug, PartialEq)]
pub enum Event<'a> {
    /// It is up.
    Up(Greeting),
    /// It was up and is not any more. What was not answered may have been executed or not.
    Down(Fault),
    /// A try to bring it up failed; the next one follows by itself.
    Failed(Fault),
    /// The answer to the first command that had none.
    Reply(Value),
    /// Something was published to a channel.
    Message {
        /// The channel.
        channel: &'a [u8],
        /// What was published.
        payload: &'a [u8],
    },
    /// Redis listens for this link to a channel: what is published from now on comes.
    Subscribed(&'a [u8]),
    /// Redis does not any more.
    Unsubscribed(&'a [u8]),
}

/// What is read at once, in bytes.
const READ_BYTES: usize = 64 * 1024;

/// How often a call of [`Link::ready`] reads.
const READS: usize = 4;

/// How often a connection that cannot be written to is read, for what came before it broke.
const LAST_READS: usize = 64;

/// Channels of one command. More in one would keep Redis from its other clients.
const CHANNELS: usize = 1_000;

/// Lists in lists: the modules in an answer to HELLO have four.
const MAX_DEPTH: usize = 8;

/// Bytes of a frame beside a payload: a channel's name, or an answer to INFO.
const FRAME_BYTES: usize = 64 * 1024;

/// See the module.
pub struct Link {
    route: Route,
    token: Token,
    limits: LinkLimits,
    waker: Waker,
    state: State,
    backoff: Backoff,
    /// One that has not been found yet outlives a try, so that a name service which hangs has one thread a link.
    lookup: Option<Lookup>,
    parser: Parser,
    outgoing: Outgoing,
    owed: Owed,
    /// What Redis said on the last connection that was up.
    greeted: Option<Greeting>,
    /// The connection has ended so, which is said when all that it brought has been.
    ending: Option<Ending>,
    /// A bounded read stopped before the socket was empty.
    is_unread: bool,
    /// [`Link::next`] may have something to say.
    is_eventful: bool,
    /// Since when an answer is owed and nothing has come; `None` if none is.
    silent_since_ms: Option<u64>,
}

#[derive(Debug)]
enum State {
    /// The next try begins then; `None` until the delay is drawn.
    Waiting(Option<u64>),
    /// Addresses and authorities are looked up, until then.
    LookingUp(u64),
    Connecting(Connecting),
    Greeting {
        wire: Wire,
        introduction: Introduction,
        deadline_ms: u64,
    },
    Up(Wire),
}

/// How a connection or a try has ended.
#[derive(Debug)]
struct Ending {
    fault: Fault,
    /// The greeting that it ended in; `None` after one, and before a connection was made.
    introduction: Option<Introduction>,
    was_up: bool,
}

/// An [`Event`] whose bytes are still in the buffer.
enum Happened {
    Event(Event<'static>),
    Message(Span, Span),
    Subscribed(Span),
    Unsubscribed(Span),
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { route, state, owed, .. } = self;
        f.debug_struct("Link")
            .field("url", route.url())
            .field("state", state)
            .field("owed", owed)
            .finish_non_exhaustive()
    }
}

impl Link {
    /// A link that begins to connect in its first turn. `waker` brings that about when a thread has found the addresses. A part of a
    /// Redis Cluster is looked for from `url` on, and from the servers of `directory`.
    pub fn new(
        url: Arc<RedisUrl>,
        directory: Arc<Directory>,
        token: Token,
        limits: LinkLimits,
        waker: Waker,
    ) -> Self {
        Self {
            route: Route::to(url, directory),
            token,
            limits,
            waker,
            state: State::Waiting(Some(0)),
            backoff: Backoff::new(limits.backoff_min_ms, limits.backoff_max_ms),
            lookup: None,
            parser: parser(&limits),
            outgoing: Outgoing::default(),
            owed: Owed::default(),
            greeted: None,
            ending: None,
            is_unread: false,
            is_eventful: false,
            silent_since_ms: None,
        }
    }

    /// Where the Redis is.
    pub fn url(&self) -> &RedisUrl {
        self.route.url()
    }

    /// When [`turn`](Self::turn) has something to do; 0 is now.
    pub fn due_ms(&self) -> Option<u64> {
        let at = match &self.state {
            // The break is to be said first.
            _ if self.ending.is_some() => 0,
            State::Waiting(at) => at.unwrap_or(0),
            State::LookingUp(deadline) => {
                let is_found = self.lookup.as_ref().is_none_or(|lookup| lookup.found().is_some());
                if is_found { 0 } else { *deadline }
            }
            State::Connecting(connecting) => connecting.due_ms(),
            State::Greeting { deadline_ms, .. } => *deadline_ms,
            State::Up(_) => self.silent_since_ms?.saturating_add(self.limits.silent_ms),
        };
        Some(at)
    }

    /// Does what is due: begins to connect, goes on with it, gives up.
    pub fn turn(&mut self, registry: &Registry, now_ms: u64, mut random: impl FnMut() -> u64) {
        if self.ending.is_some() {
            return;
        }
        match &mut self.state {
            State::Waiting(at @ None) => *at = Some(now_ms.saturating_add(self.backoff.delay_ms(random()))),
            State::Waiting(Some(at)) if now_ms >= *at => {
                let Self { lookup, route, waker, .. } = self;
                lookup.get_or_insert_with(|| Lookup::begin(route.url(), waker));
                self.state = State::LookingUp(now_ms.saturating_add(self.limits.connect_ms));
                self.go_on_connecting(registry, now_ms);
            }
            State::LookingUp(_) | State::Connecting(_) => self.go_on_connecting(registry, now_ms),
            State::Greeting { deadline_ms, .. } if now_ms >= *deadline_ms => {
                let text = format!("it did not answer within {} ms", self.limits.connect_ms);
                self.end(Fault::new(FaultKind::Silent, text));
            }
            State::Up(_) => self.check_silence(now_ms),
            State::Waiting(_) | State::Greeting { .. } => {}
        }
    }

    /// Gives the connection up where an answer is owed for too long, and does nothing else that is due.
    pub fn end_if_silent(&mut self, now_ms: u64) {
        if self.is_up() && self.ending.is_none() {
            self.check_silence(now_ms);
        }
    }

    /// Reads and writes after the poll reported its token, or where [`has_unread`](Self::has_unread). Reading is bounded.
    pub fn ready(&mut self, now_ms: u64) {
        if let State::Connecting(connecting) = &mut self.state {
            match connecting.is_made() {
                true => self.greet(),
                false => return,
            }
        }
        if self.is_open() {
            self.read(READS, now_ms);
            self.write();
        }
    }

    /// Reads on where [`ready`](Self::ready) left something in the socket.
    pub fn read_on(&mut self, now_ms: u64) {
        if self.is_unread {
            self.ready(now_ms);
        }
    }

    /// There is something in the socket that is to be read later: no other event will say so.
    pub fn read_later(&mut self) {
        self.is_unread |= self.is_open();
    }

    /// Whether [`ready`](Self::ready) left something in the socket, or [`next`](Self::next) in the buffer, of which no poll
    /// tells.
    pub fn has_unread(&self) -> bool {
        self.is_unread || self.is_eventful
    }

    /// What has happened next; `None` if nothing more has.
    pub fn next(&mut self) -> Option<Event<'_>> {
        let happened = self.happened();
        self.is_eventful = happened.is_some();
        Some(match happened? {
            Happened::Event(event) => event,
            Happened::Message(channel, payload) => {
                Event::Message { channel: self.parser.bytes(&channel), payload: self.parser.bytes(&payload) }
            }
            Happened::Subscribed(channel) => Event::Subscribed(self.parser.bytes(&channel)),
            Happened::Unsubscribed(channel) => Event::Unsubscribed(self.parser.bytes(&channel)),
        })
    }

    /// Whether commands are taken.
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Up(_))
    }

    /// Commands whose reply has not been taken from [`next`](Self::next).
    pub fn unanswered(&self) -> usize {
        self.owed.replies()
    }

    /// Channels whose subscription or its end is not confirmed.
    #[cfg(test)]
    pub fn unconfirmed(&self) -> usize {
        self.owed.confirmations()
    }

    /// Bytes of commands that the socket has not taken.
    #[cfg(test)]
    pub fn unwritten_bytes(&self) -> usize {
        self.outgoing.len()
    }

    /// Appends a command that has one reply, which comes as [`Event::Reply`].
    ///
    /// # Errors
    /// [`NotTaken`].
    pub fn command(&mut self, args: &[&[u8]]) -> Result<(), NotTaken> {
        let bytes = args.iter().map(|arg| arg.len()).sum();
        self.append(bytes, |out| write_command(out, args))
    }

    /// Appends a `PUBLISH` of a payload in parts. Its reply comes as [`Event::Reply`]: the number of subscribers.
    ///
    /// # Errors
    /// [`NotTaken`].
    pub fn publish(&mut self, channel: &[u8], payload: &[&[u8]]) -> Result<(), NotTaken> {
        let bytes: usize = payload.iter().map(|part| part.len()).sum();
        if bytes > self.limits.max_message_bytes {
            return Err(NotTaken::TooLarge);
        }
        let tag = self.route.tag().to_vec();
        self.append(channel.len() + bytes, |out| write_publish(out, &tag, channel, payload))
    }

    /// Appends a part of commands that are written already, without a bound: whoever has written them has one. All of them are whole
    /// by the next [`flush`](Self::flush), and counted by [`expect_replies`](Self::expect_replies).
    pub fn append_written(&mut self, commands: &[u8]) {
        if self.is_up() {
            self.outgoing.tail().extend_from_slice(commands);
        }
    }

    /// So many commands have been appended, each with one reply, which comes as [`Event::Reply`].
    pub fn expect_replies(&mut self, count: usize) {
        if self.is_up() {
            self.owed.add(Kind::Reply, count);
        }
    }

    /// Appends commands that subscribe to channels, which come as [`Event::Subscribed`] in this order.
    ///
    /// # Errors
    /// [`NotTaken::Down`].
    pub fn subscribe<'a>(&mut self, channels: impl IntoIterator<Item = &'a [u8]>) -> Result<(), NotTaken> {
        self.change([b"SUBSCRIBE", b"SSUBSCRIBE"], channels)
    }

    /// Appends commands that end subscriptions, which come as [`Event::Unsubscribed`] in this order.
    ///
    /// # Errors
    /// [`NotTaken::Down`].
    pub fn unsubscribe<'a>(&mut self, channels: impl IntoIterator<Item = &'a [u8]>) -> Result<(), NotTaken> {
        self.change([b"UNSUBSCRIBE", b"SUNSUBSCRIBE"], channels)
    }

    /// Writes what was appended.
    pub fn flush(&mut self, now_ms: u64) {
        if self.is_up() && !self.owed.is_empty() {
            self.silent_since_ms.get_or_insert(now_ms);
        }
        self.write();
    }

    fn append(&mut self, bytes: usize, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), NotTaken> {
        if !self.is_up() {
            return Err(NotTaken::Down);
        }
        if self.outgoing.len() + bytes > self.limits.max_unwritten_bytes {
            return Err(NotTaken::Full);
        }
        write(self.outgoing.tail());
        self.owed.add(Kind::Reply, 1);
        Ok(())
    }

    fn change<'a>(
        &mut self,
        names: [&'static [u8]; 2],
        channels: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(), NotTaken> {
        if !self.is_up() {
            return Err(NotTaken::Down);
        }
        let name = names[usize::from(self.route.is_of_cluster())];
        let mut channels = channels.into_iter().peekable();
        while channels.peek().is_some() {
            let some: Vec<&[u8]> = channels.by_ref().take(CHANNELS).collect();
            write_of_channels(self.outgoing.tail(), name, self.route.tag(), &some);
            self.owed.add(Kind::Confirmation, some.len());
        }
        Ok(())
    }

    /// Whether there is a connection that can be read.
    fn is_open(&self) -> bool {
        matches!(self.state, State::Greeting { .. } | State::Up(_))
    }
}

/// A parser for a new connection.
fn parser(limits: &LinkLimits) -> Parser {
    Parser::new(ParserLimits { max_frame_bytes: max_frame_bytes(limits), max_depth: MAX_DEPTH })
}

fn max_frame_bytes(limits: &LinkLimits) -> usize {
    limits.max_message_bytes.saturating_add(FRAME_BYTES)
}
