//! The way in of a node from one Redis: what it is subscribed to there, and what has been heard and lost of whom. One reactor has it.

mod carry;

pub use carry::CarriedEar;

use super::news::Waiter;
use crate::cluster::{Event, Fault, Greeting, Hearing, Link, Missed, Names, Order, PublisherKey};
use std::collections::VecDeque;

/// Channels of one command: Redis answers each, and serves nobody else meanwhile.
const CHANNELS_A_COMMAND: usize = 1_000;

/// See the module.
pub struct Ear {
    link: Link,
    names: Names,
    hearing: Hearing,
    /// Those whose sessions are in sets that are not heard yet, each with the ticket of when they are.
    waiters: VecDeque<(u64, Waiter)>,
    was_whole: bool,
}

/// What has happened to an ear.
pub enum Sound<'a> {
    /// It has a connection.
    Up(Greeting),
    /// It has none.
    Down(Fault),
    /// A try to connect has failed.
    Failed(Fault),
    /// It hears everything that it wants to.
    Whole,
    /// A message: its bytes.
    Message(&'a [u8]),
    /// Redis has answered: there may be more to hear.
    Answer,
}

impl Ear {
    /// Over `link`, on which it hears `names`. Publishers write `window` messages twice at the most.
    pub fn new(link: Link, names: Names, window: usize) -> Self {
        Self { link, names, hearing: Hearing::new(window), waiters: VecDeque::new(), was_whole: false }
    }

    /// The connection.
    pub fn link(&mut self) -> &mut Link {
        &mut self.link
    }

    /// What has happened next.
    pub fn next(&mut self) -> Option<Sound<'_>> {
        if !self.was_whole && self.names.is_whole() {
            self.was_whole = true;
            return Some(Sound::Whole);
        }
        Some(match self.link.next()? {
            Event::Message { payload, .. } => Sound::Message(payload),
            Event::Up(greeting) => {
                self.names.came_up();
                Sound::Up(greeting)
            }
            Event::Down(fault) => {
                self.names.went_down();
                self.hearing.went_down();
                self.was_whole = false;
                Sound::Down(fault)
            }
            Event::Failed(fault) => Sound::Failed(fault),
            Event::Subscribed(_) => {
                self.names.confirm();
                Sound::Answer
            }
            Event::Unsubscribed(_) | Event::Reply(_) => Sound::Answer,
        })
    }

    /// Reactors have sessions of the names with these channels, or have none any more. The waiter waits until the names are heard.
    pub fn follow(&mut self, edges: Vec<(Box<[u8]>, bool)>, waiter: Option<Waiter>, now_ms: u64) {
        for (channel, has_sessions) in edges {
            match has_sessions {
                true => self.names.appears(channel),
                false => self.names.vanishes(&channel, now_ms),
            }
        }
        self.was_whole &= self.names.is_whole();
        self.waiters.extend(waiter.map(|waiter| (self.names.ticket(), waiter)));
    }

    /// It is about to be dropped: nobody waits for it any longer.
    pub fn close(&mut self) {
        self.names.went_down();
    }

    /// Whether anybody waits until a name is heard.
    pub fn has_waiters(&self) -> bool {
        !self.waiters.is_empty()
    }

    /// Whether the first one that waits has waited long enough.
    fn may_go_on(&self) -> bool {
        self.waiters.front().is_some_and(|(ticket, _)| self.names.is_confirmed(*ticket))
    }

    /// The next one that has waited long enough.
    pub fn take_waiter(&mut self) -> Option<Waiter> {
        self.may_go_on().then(|| self.waiters.pop_front()).flatten().map(|(_, waiter)| waiter)
    }

    /// Says what is to be subscribed to and what not any more.
    pub fn say(&mut self, now_ms: u64) {
        self.names.let_go(now_ms);
        loop {
            let orders = self.names.take_orders(CHANNELS_A_COMMAND);
            let channels = orders.iter().map(|order| match order {
                Order::Subscribe(channel) | Order::Unsubscribe(channel) => &**channel,
            });
            let said = match orders.first() {
                None => return,
                Some(Order::Subscribe(_)) => self.link.subscribe(channels),
                Some(Order::Unsubscribe(_)) => self.link.unsubscribe(channels),
            };
            // Without a connection there are no orders but for one that has just broken: all are given anew on the next.
            if said.is_err() {
                return;
            }
        }
    }

    /// Asks Redis for a sign of life.
    pub fn ping(&mut self) {
        if self.link.is_up() && self.link.unanswered() == 0 {
            // A link that takes no more has not been silent for nothing.
            let _ = self.link.command(&[b"PING"]);
        }
    }

    /// Writes what has been said.
    pub fn flush(&mut self, now_ms: u64) {
        self.link.flush(now_ms);
    }

    /// When time next brings something, in milliseconds.
    pub fn due_ms(&self) -> Option<u64> {
        [self.names.due_ms(), self.link.due_ms()].into_iter().flatten().min()
    }

    /// Whether something has been read, or could be, that has not been heard, or somebody may go on who has waited.
    pub fn has_work(&self) -> bool {
        self.may_go_on() || self.link.has_unread() || !self.was_whole && self.names.is_whole()
    }

    /// What was heard of whom.
    pub fn hearing(&mut self) -> &mut Hearing {
        &mut self.hearing
    }

    /// A publisher says to which channels it has published up to a number; what of it was lost here.
    pub fn fill_gap(&mut self, publisher: PublisherKey, to: u64, channels: &[u64]) -> Missed {
        let names = &self.names;
        self.hearing.fill_gap(publisher, to, channels, |channel| names.has_hash(channel))
    }

    /// Whether messages of the channel come by themselves, and not by a hashed channel alone.
    pub fn has_by_name(&self, channel: &[u8]) -> bool {
        self.names.has_by_name(channel)
    }

    /// Whether it hears names by hashed channels.
    pub fn has_buckets(&self) -> bool {
        self.names.uses_buckets()
    }

    /// Channels that it is subscribed to.
    pub fn channels(&self) -> usize {
        self.names.len()
    }
}
