//! The way out of one reactor to one Redis: what it publishes there, in its order, and the few other commands.

mod carry;

pub use carry::CarriedLine;

use crate::cluster::memory::{LOAD, Published, read_published};
use crate::cluster::{Digest, Event, Fault, Full, Greeting, Link, Number, Outgoing, Value};
use std::collections::VecDeque;

/// See the module.
pub struct Line {
    link: Link,
    outgoing: Outgoing,
    /// Whose reply comes next; those that follow on each other alike stand together.
    owed: VecDeque<(Owed, usize)>,
    /// Nothing is published before, unless all nodes hear again: Redis has begun anew, and who was there subscribes again.
    held_until_ms: Option<u64>,
    was_up: bool,
    hold_ms: u64,
    /// Since when it is down; `None` while it is up.
    down_since_ms: Option<u64>,
    /// Without it nothing is said, and no connection is made: its Redis is in use no more, or not yet.
    is_open: bool,
}

/// What a reply of Redis answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owed {
    Publish,
    Lease,
    Nothing,
}

/// What has happened to a line.
pub enum Heard {
    /// It is up.
    Up(Greeting),
    /// It is down.
    Down(Fault),
    /// A try to bring it up has failed.
    Failed(Fault),
    /// Redis has handed a message to so many nodes; who waits for it, if anybody.
    Published(Number, u32),
    /// The same of a push to a group that remembers.
    Kept(Number, Published),
    /// Redis has not taken a message; who waits for it, if anybody, and what Redis says.
    Refused(Number, Box<str>),
    /// Redis answers a command of the lease.
    Lease(Value),
}

impl Line {
    /// Over `link`; after Redis has begun anew nothing is published for `hold_ms` at the most.
    pub fn new(link: Link, outgoing: Outgoing, hold_ms: u64) -> Self {
        let (owed, down_since_ms) = (VecDeque::new(), Some(0));
        Self {
            link,
            outgoing,
            owed,
            held_until_ms: None,
            was_up: false,
            hold_ms,
            down_since_ms,
            is_open: false,
        }
    }

    /// A connection is made, unless there is one.
    pub fn open(&mut self) {
        self.is_open = true;
    }

    /// Whether there is a connection, or one is made.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// The connection ends; `link` takes its place when it is opened again. What is kept is handed to `lost`, with whether it may have
    /// been published. The numbers go on.
    pub fn close(&mut self, link: Link, lost: impl FnMut(Number, bool)) {
        (self.link, self.is_open, self.was_up, self.held_until_ms) = (link, false, false, None);
        self.down_since_ms = Some(0);
        self.owed.clear();
        self.give_up(lost);
    }

    /// Nothing of what is kept is published any more.
    pub fn give_up(&mut self, lost: impl FnMut(Number, bool)) {
        self.outgoing.give_up(lost);
    }

    /// For how long it has been down, in milliseconds; `None` while it is up.
    pub fn down_for_ms(&self, now_ms: u64) -> Option<u64> {
        self.down_since_ms.map(|since_ms| now_ms.saturating_sub(since_ms))
    }

    /// The connection.
    pub fn link(&mut self) -> &mut Link {
        &mut self.link
    }

    /// What has happened next.
    pub fn next(&mut self, now_ms: u64) -> Option<Heard> {
        loop {
            let reply = match self.link.next()? {
                Event::Up(greeting) => {
                    let is_anew = self.was_up && !greeting.is_same;
                    self.held_until_ms = is_anew.then_some(now_ms + self.hold_ms);
                    self.was_up = true;
                    self.down_since_ms = None;
                    self.load();
                    return Some(Heard::Up(greeting));
                }
                Event::Down(fault) => {
                    self.owed.clear();
                    self.outgoing.went_down();
                    self.down_since_ms = Some(now_ms);
                    return Some(Heard::Down(fault));
                }
                Event::Reply(value) => value,
                Event::Failed(fault) => return Some(Heard::Failed(fault)),
                Event::Message { .. } | Event::Subscribed(_) | Event::Unsubscribed(_) => continue,
            };
            match (self.pay(), reply) {
                (Some(Owed::Publish), Value::Int(nodes)) => {
                    let nodes = u32::try_from(nodes).unwrap_or(0);
                    return Some(Heard::Published(self.outgoing.answered().unwrap_or(0), nodes));
                }
                (Some(Owed::Publish), reply) => {
                    if let Value::List(answer) = &reply
                        && let Some(published) = read_published(answer)
                    {
                        return Some(Heard::Kept(self.outgoing.answered().unwrap_or(0), published));
                    }
                    let says = match reply {
                        Value::Error(says) => says,
                        other => format!("{other:?}").into(),
                    };
                    if says.starts_with("NOSCRIPT") {
                        self.load();
                    }
                    return Some(Heard::Refused(self.outgoing.answered().unwrap_or(0), says));
                }
                (Some(Owed::Lease), reply) => return Some(Heard::Lease(reply)),
                (Some(Owed::Nothing) | None, _) => {}
            }
        }
    }

    fn pay(&mut self) -> Option<Owed> {
        let (owed, times) = self.owed.front_mut()?;
        let owed = *owed;
        *times -= 1;
        if *times == 0 {
            self.owed.pop_front();
        }
        Some(owed)
    }

    fn owe(&mut self, owed: Owed, times: usize) {
        match self.owed.back_mut() {
            Some((last, count)) if *last == owed => *count += times,
            _ if times > 0 => self.owed.push_back((owed, times)),
            _ => {}
        }
    }

    /// Has Redis know how a push to a group that remembers is kept, before the first is. What it answers the first of them tells.
    fn load(&mut self) {
        let is_said = self.link.command(&LOAD).is_ok();
        self.owe(Owed::Nothing, usize::from(is_said));
    }

    /// The number that the next message has.
    pub fn next_sequence(&self) -> u64 {
        self.outgoing.next_sequence()
    }

    /// Takes the command that publishes the message with the next number.
    ///
    /// # Errors
    /// As [`Outgoing::push`].
    pub fn publish(
        &mut self,
        command: &[u8],
        channel: u64,
        deadline_ms: u64,
        number: Number,
    ) -> Result<(), Full> {
        self.outgoing.push(command, channel, deadline_ms, number)
    }

    /// Publishes something that is worth nothing later: without a connection it is not said. Whether it was.
    pub fn tell(&mut self, channel: &[u8], message: &[u8]) -> bool {
        let is_said = self.link.publish(channel, &[message]).is_ok();
        self.owe(Owed::Nothing, usize::from(is_said));
        is_said
    }

    /// Says a command of the lease, in the same way.
    pub fn say_of_lease(&mut self, args: &[&[u8]]) -> bool {
        let is_said = self.link.command(args).is_ok();
        self.owe(Owed::Lease, usize::from(is_said));
        is_said
    }

    /// Hands what may be published to the connection; how much that was. What has waited too long is handed to `lost`.
    /// `all_are_back`: whether every node hears again.
    pub fn fill(&mut self, now_ms: u64, all_are_back: bool, lost: impl FnMut(Number)) -> usize {
        if !self.link.is_up() || !self.outgoing.has_unwritten() {
            return 0;
        }
        if self.held_until_ms.is_some_and(|until_ms| now_ms < until_ms) && !all_are_back {
            return 0;
        }
        self.held_until_ms = None;
        let link = &mut self.link;
        let count = self.outgoing.fill(now_ms, |commands| link.append_written(commands), lost);
        self.link.expect_replies(count);
        self.owe(Owed::Publish, count);
        count
    }

    /// Lets go of what has waited too long: each is handed to `lost`.
    pub fn expire(&mut self, now_ms: u64, lost: impl FnMut(Number)) {
        self.outgoing.expire(now_ms, lost);
    }

    /// What was published behind a number.
    pub fn digest(&self, from: u64) -> Digest {
        self.outgoing.digest(from)
    }

    /// Writes what has been said and published.
    pub fn flush(&mut self, now_ms: u64) {
        self.link.flush(now_ms);
    }

    /// Whether something has been read and not heard, or may be published and has not been.
    pub fn has_work(&self) -> bool {
        if !self.is_open {
            return false;
        }
        let may_publish = self.link.is_up() && self.held_until_ms.is_none();
        self.link.has_unread() || may_publish && self.outgoing.has_unwritten()
    }

    /// Whether something that is to be published has not been handed to the connection.
    pub fn has_unwritten(&self) -> bool {
        self.outgoing.has_unwritten()
    }

    /// When time next brings something, in milliseconds.
    pub fn due_ms(&self) -> Option<u64> {
        if !self.is_open {
            return None;
        }
        let held_until_ms = self.held_until_ms.filter(|_| self.link.is_up());
        [held_until_ms, self.link.due_ms()].into_iter().flatten().min()
    }

    /// What is kept: messages, bytes, and messages without an answer.
    pub fn kept(&self) -> (usize, usize, usize) {
        (self.outgoing.len(), self.outgoing.bytes(), self.outgoing.unanswered())
    }

    /// Whether Redis has answered all messages before the one with this number, or they were given up.
    pub fn has_answered_before(&self, sequence: u64) -> bool {
        self.outgoing.oldest() >= sequence
    }

    /// The number of the newest message that has been written.
    pub fn last_written(&self) -> u64 {
        self.outgoing.last_written()
    }
}
