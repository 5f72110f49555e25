//! A poll with some links, and the time.

use super::super::super::fault::FaultKind;
use super::super::super::resp::Value;
use super::super::{Event, Greeting, Link, LinkLimits, State};
use crate::choices::Xorshift;
use mio::{Events, Poll, Token};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// Limits that no test meets by chance.
pub const LIMITS: LinkLimits = LinkLimits {
    connect_ms: 10_000,
    silent_ms: 10_000,
    backoff_min_ms: 1,
    backoff_max_ms: 20,
    max_message_bytes: 1 << 20,
    max_unwritten_bytes: 1 << 22,
};

/// The token of the waker; links have those below.
const WAKER: Token = Token(1_000);

/// An event that owns its bytes.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    Up(Greeting),
    Down(FaultKind, String),
    Failed(FaultKind, String),
    Reply(Value),
    Message(String, Vec<u8>),
    Subscribed(String),
    Unsubscribed(String),
}

impl From<Event<'_>> for Seen {
    fn from(event: Event<'_>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        match event {
            Event::Up(greeting) => Self::Up(greeting),
            Event::Down(fault) => Self::Down(fault.kind(), fault.to_string()),
            Event::Failed(fault) => Self::Failed(fault.kind(), fault.to_string()),
            Event::Reply(value) => Self::Reply(value),
            Event::Message { channel, payload } => Self::Message(text(channel), payload.to_vec()),
            Event::Subscribed(channel) => Self::Subscribed(text(channel)),
            Event::Unsubscribed(channel) => Self::Unsubscribed(text(channel)),
        }
    }
}

/// See the module.
pub struct World {
    pub poll: Poll,
    pub links: Vec<Link>,
    pub limits: LinkLimits,
    waker: Arc<mio::Waker>,
    events: Events,
    began: Instant,
    /// Milliseconds that have passed beside those of the clock.
    pub passed_ms: u64,
    random: Xorshift,
}

impl World {
    pub fn new(limits: LinkLimits) -> Self {
        let poll = Poll::new().unwrap();
        let waker = Arc::new(mio::Waker::new(poll.registry(), WAKER).unwrap());
        Self {
            poll,
            links: Vec::new(),
            limits,
            waker,
            events: Events::with_capacity(16),
            began: Instant::now(),
            passed_ms: 0,
            random: Xorshift(1),
        }
    }

    pub fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64 + self.passed_ms
    }

    /// Another link; gives its number.
    pub fn link(&mut self, url: &str) -> usize {
        let waker = Arc::clone(&self.waker);
        let wake = Arc::new(move || waker.wake().unwrap());
        let number = self.links.len();
        let url = Arc::new(url.parse().unwrap());
        self.links.push(Link::new(url, Arc::default(), Token(number), self.limits, wake));
        number
    }

    /// One that is up, and what Redis said.
    pub fn up(&mut self, url: &str) -> (usize, Greeting) {
        let link = self.link(url);
        match self.next(link) {
            Seen::Up(greeting) => (link, greeting),
            other => panic!("{other:?}"),
        }
    }

    /// What happens next on a link, while all of them go on; what happens on the others meanwhile is lost.
    pub fn next(&mut self, link: usize) -> Seen {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(event) = self.links[link].next() {
                return event.into();
            }
            assert!(Instant::now() < deadline, "nothing happened on {:?}", self.links[link]);
            self.turn();
        }
    }

    /// The first of what happens that `wanted` takes; what happened before is lost.
    pub fn until<T>(&mut self, link: usize, mut wanted: impl FnMut(Seen) -> Option<T>) -> T {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let seen = self.next(link);
            assert!(Instant::now() < deadline, "the last was {seen:?}");
            if let Some(found) = wanted(seen) {
                return found;
            }
        }
    }

    /// Until the link is up.
    pub fn until_up(&mut self, link: usize) -> Greeting {
        self.until(link, |seen| match seen {
            Seen::Up(greeting) => Some(greeting),
            _ => None,
        })
    }

    /// One turn that does not wait.
    pub fn turn_once(&mut self) {
        self.waker.wake().unwrap();
        self.turn();
    }

    /// Until a connection is made and the greeting has begun.
    pub fn until_greeting(&mut self, link: usize) {
        let deadline = Instant::now() + DEADLINE;
        while !matches!(self.links[link].state, State::Greeting { .. }) {
            assert!(Instant::now() < deadline, "{:?}", self.links[link]);
            self.turn();
        }
    }

    /// One turn of a reactor.
    pub fn turn(&mut self) {
        let now_ms = self.now_ms();
        let mut wait_ms = 1_000;
        for link in &mut self.links {
            if link.due_ms().is_some_and(|due| due <= now_ms) {
                link.turn(self.poll.registry(), now_ms, || self.random.below(u32::MAX).into());
            }
            if link.has_unread() {
                link.ready(now_ms);
            }
            link.flush(now_ms);
            let due_ms = link.due_ms().map_or(wait_ms, |due| due.saturating_sub(now_ms));
            wait_ms = if link.has_unread() { 0 } else { wait_ms.min(due_ms) };
        }
        self.poll.poll(&mut self.events, Some(Duration::from_millis(wait_ms))).unwrap();
        let now_ms = self.now_ms();
        for event in &self.events {
            if let Some(link) = self.links.get_mut(event.token().0) {
                link.ready(now_ms);
            }
        }
    }

    /// The reply to a command.
    pub fn ask(&mut self, link: usize, args: &[&str]) -> Value {
        let args: Vec<_> = args.iter().map(|arg| arg.as_bytes()).collect();
        self.links[link].command(&args).unwrap();
        self.until(link, |seen| match seen {
            Seen::Reply(value) => Some(value),
            _ => None,
        })
    }
}
