//! The way in of a node from one Redis: what it is subscribed to there, and what has been heard and lost of whom. One reactor has it.

mod carry;

pub use carry::CarriedEar;

use super::news::Waiter;
use super::placing::Underway;
use super::reading::{Question, Reading};
use crate::cluster::memory::{Keys, write_forget, write_read};
use crate::cluster::{Event, Fault, Greeting, Hearing, Link, Missed, Names, Order, PublisherKey, Value};
use hashbrown::HashMap;
use std::collections::{BTreeSet, VecDeque};

/// Channels of one command: Redis answers each, and serves nobody else meanwhile.
const CHANNELS_A_COMMAND: usize = 1_000;

/// See the module.
pub struct Ear {
    link: Link,
    names: Names,
    hearing: Hearing,
    /// Those whose sessions are in sets that are not heard yet, and what says that these are not, each with the ticket of when they are.
    waiters: VecDeque<(u64, Option<Waiter>, Option<Underway>)>,
    /// What it has asked of what groups remember.
    reading: Reading,
    /// The channels of groups that remember and have members here, and when Redis is next told so.
    renewals: BTreeSet<(u64, Box<[u8]>)>,
    /// The time of each channel's entry there: it has one.
    renewed_at: HashMap<Box<[u8]>, u64>,
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
    /// It has answered a question about what a group remembers.
    Told(Question, Value),
}

impl Ear {
    /// Over `link`, on which it hears `names`. Publishers write `window` messages twice at the most.
    pub fn new(link: Link, names: Names, window: usize) -> Self {
        let hearing = Hearing::new(window);
        let (waiters, reading, renewals) = (VecDeque::new(), Reading::default(), BTreeSet::new());
        let renewed_at = HashMap::new();
        Self { link, names, hearing, waiters, reading, renewals, renewed_at, was_whole: false }
    }

    /// Whether it has a connection.
    pub fn is_up(&self) -> bool {
        self.link.is_up()
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
            Event::Unsubscribed(_) => Sound::Answer,
            Event::Reply(value) => match self.reading.answered() {
                Some(question) => Sound::Told(question, value),
                None => Sound::Answer,
            },
        })
    }

    /// Reactors have sessions of the names with these channels, or have none any more. The waiter waits until the names are heard. Of
    /// which of them there was none before.
    pub fn follow(
        &mut self,
        edges: Vec<(Box<[u8]>, bool)>,
        waiter: Option<Waiter>,
        underway: Option<Underway>,
        now_ms: u64,
    ) -> Vec<Box<[u8]>> {
        let mut new = Vec::new();
        for (channel, has_sessions) in edges {
            match has_sessions {
                true => {
                    new.extend((!self.names.wants(&channel)).then(|| channel.clone()));
                    self.names.appears(channel);
                }
                false => self.names.vanishes(&channel, now_ms),
            }
        }
        self.was_whole &= self.names.is_whole();
        if waiter.is_some() || underway.is_some() {
            self.waiters.push_back((self.names.ticket(), waiter, underway));
        }
        new
    }

    /// `underway` is kept until all is heard that is wanted by now.
    pub fn keep(&mut self, underway: Underway) {
        self.waiters.push_back((self.names.ticket(), None, Some(underway)));
    }

    /// It is about to be dropped: nobody waits for it any longer.
    pub fn close(&mut self) {
        self.names.went_down();
    }

    /// Whether anybody waits until a name is heard, or for what a group remembers.
    pub fn is_waited_for(&self) -> bool {
        self.waiters.iter().any(|(_, waiter, _)| waiter.is_some()) || !self.reading.is_empty()
    }

    /// Whether the first one that waits has waited long enough.
    fn may_go_on(&self) -> bool {
        self.waiters.front().is_some_and(|(ticket, ..)| self.names.is_confirmed(*ticket))
    }

    /// The next one that has waited long enough.
    pub fn take_waiter(&mut self) -> Option<Waiter> {
        while self.may_go_on() {
            let (_, waiter, _) = self.waiters.pop_front()?;
            if waiter.is_some() {
                return waiter;
            }
        }
        None
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

    /// Asks what a group remembers, once everything is heard that is wanted by now. Without an answer it is given up at `due_ms`.
    pub fn ask(&mut self, question: Question, due_ms: u64) {
        self.reading.take(question, self.names.ticket(), due_ms);
    }

    /// Writes the questions that may be asked, with the keys that `keys` gives.
    pub fn ask_on(&mut self, keys: impl Fn(&Question) -> Keys) {
        let names = &self.names;
        while self.link.is_up()
            && let Some(question) = self.reading.ask(|ticket| names.is_confirmed(ticket))
        {
            let mut command = Vec::new();
            match question.wanted {
                Some(wanted) => write_read(&keys(question), wanted, &mut command),
                None => write_forget(&keys(question), question.key(), &mut command),
            }
            // Their number is bounded by the commands that are under way.
            self.link.append_written(&command);
            self.link.expect_replies(1);
        }
    }

    /// Who waits for what a group remembers.
    pub fn reading(&mut self) -> &mut Reading {
        &mut self.reading
    }

    /// At `due_ms` Redis is told that the group with this channel has members, and at no other time.
    pub fn renew(&mut self, channel: Box<[u8]>, due_ms: u64) {
        if let Some(before_ms) = self.renewed_at.insert(channel.clone(), due_ms) {
            self.renewals.remove(&(before_ms, channel.clone()));
        }
        self.renewals.insert((due_ms, channel));
    }

    /// The next channel whose group Redis is to be told about, where somebody still is in it.
    pub fn take_renewal(&mut self, now_ms: u64) -> Option<Box<[u8]>> {
        loop {
            if self.renewals.first()?.0 > now_ms {
                return None;
            }
            let (_, channel) = self.renewals.pop_first()?;
            self.renewed_at.remove(&channel);
            if self.names.wants(&channel) {
                return Some(channel);
            }
        }
    }

    /// Says that a group has members, in a command that is written already.
    pub fn say_members(&mut self, command: &[u8]) {
        if self.link.is_up() {
            self.link.append_written(command);
            self.link.expect_replies(1);
            self.reading.owe_nothing();
        }
    }

    /// The channels of all names that are wanted.
    pub fn wanted(&self) -> impl Iterator<Item = &[u8]> {
        self.names.wanted()
    }

    /// Asks Redis for a sign of life.
    pub fn ping(&mut self) {
        if self.link.is_up() && self.link.unanswered() == 0 {
            // A link that takes no more has not been silent for nothing.
            if self.link.command(&[b"PING"]).is_ok() {
                self.reading.owe_nothing();
            }
        }
    }

    /// Writes what has been said.
    pub fn flush(&mut self, now_ms: u64) {
        self.link.flush(now_ms);
    }

    /// When time next brings something, in milliseconds.
    pub fn due_ms(&self) -> Option<u64> {
        let renewal = self.renewals.first().map(|(due_ms, _)| *due_ms);
        [self.names.due_ms(), self.link.due_ms(), self.reading.due_ms(), renewal].into_iter().flatten().min()
    }

    /// Whether something has been read, or could be, that has not been heard, or somebody may go on who has waited.
    pub fn has_work(&self) -> bool {
        let may_ask = self.link.is_up() && self.reading.has_work(|ticket| self.names.is_confirmed(ticket));
        self.may_go_on() || may_ask || self.link.has_unread() || !self.was_whole && self.names.is_whole()
    }

    /// What was heard of whom.
    pub fn hearing(&mut self) -> &mut Hearing {
        &mut self.hearing
    }

    /// A publisher says to which channels it has published up to a number; what of it was lost here. Of what this node has published
    /// itself, `is_own`, that is only what was to come back.
    pub fn fill_gap(&mut self, publisher: PublisherKey, to: u64, channels: &[u64], is_own: bool) -> Missed {
        let names = &self.names;
        let is_here = |channel: u64| names.has_hash(channel) && (!is_own || channel & 1 == 1);
        self.hearing.fill_gap(publisher, to, channels, is_here)
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
