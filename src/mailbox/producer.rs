//! The writing ends of mailboxes: one producer a reactor, with overflow, and handles for other threads, without.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Full, Mailbox, MailboxLimits, Weigh, members};

/// An overflow that went empty keeps no more slots than this.
const KEPT_OVERFLOW_SLOTS: usize = 64;

/// Where producers and handles come from.
pub struct Senders<T> {
    mailboxes: Arc<[Mailbox<T>]>,
    limits: MailboxLimits,
    /// The reactors whose producer was made.
    taken: u128,
}

impl<T: Weigh> Senders<T> {
    pub(super) fn new(mailboxes: Arc<[Mailbox<T>]>, limits: MailboxLimits) -> Self {
        Self { mailboxes, limits, taken: 0 }
    }

    /// The producer of reactor `me`.
    ///
    /// # Panics
    /// If there is no reactor `me`, or on the second call for it: two producers would take each other's wake-ups.
    pub fn producer(&mut self, me: usize) -> Producer<T> {
        assert!(me < self.mailboxes.len(), "there is no reactor {me}");
        assert!(self.taken & 1 << me == 0, "reactor {me} has its producer");
        self.taken |= 1 << me;
        let overflow = self.mailboxes.iter().map(|_| Overflow::default()).collect();
        let mailboxes = self.mailboxes.clone();
        Producer { mailboxes, limits: self.limits, me, overflow, spilled: 0, posted: 0 }
    }

    /// A handle for threads that are not reactors.
    pub fn handle(&self) -> Handle<T> {
        Handle { mailboxes: self.mailboxes.clone() }
    }
}

/// A reactor's end of everybody's mailboxes, its own too; the order of calls in a turn is in the
/// [module](super)'s documentation.
pub struct Producer<T> {
    mailboxes: Arc<[Mailbox<T>]>,
    limits: MailboxLimits,
    me: usize,
    /// One for each reactor.
    overflow: Box<[Overflow<T>]>,
    /// The reactors with overflow. Between calls this reactor is marked as starved at each of them, or nudged.
    spilled: u128,
    /// The reactors posted to since the last wake.
    posted: u128,
}

/// What one full mailbox refused, oldest first.
struct Overflow<T> {
    items: VecDeque<T>,
    bytes: usize,
}

impl<T> Default for Overflow<T> {
    fn default() -> Self {
        Self { items: VecDeque::new(), bytes: 0 }
    }
}

impl<T: Weigh> Producer<T> {
    /// Sends `item` to reactor `to`, behind everything that this producer sent there before: into the queue, or into the
    /// overflow if that is full. The reactor is woken by the next [`Producer::wake`].
    ///
    /// # Errors
    /// [`Full`] when the overflow is at its bound too, or reactor `to` has ended or does not exist.
    pub fn post(&mut self, to: usize, item: T) -> Result<(), Full<T>> {
        if to >= self.mailboxes.len() {
            return Err(Full(item));
        }
        let Err(item) = self.push(to, item) else { return Ok(()) };
        if self.mailboxes[to].is_closed() {
            return Err(Full(item));
        }
        let Overflow { items, bytes } = &self.overflow[to];
        let fits = items.len() < self.limits.overflow_messages
            && bytes.saturating_add(item.weight()) <= self.limits.overflow_bytes;
        if !fits {
            return Err(Full(item));
        }
        self.spill(to, item);
        Ok(())
    }

    /// As [`Producer::post`] for an item that must not be lost, such as the completion of something that was posted: the
    /// bound of the overflow does not apply. Where reactor `to` has ended nobody waits for it.
    ///
    /// # Panics
    /// If there is no reactor `to`.
    pub fn post_always(&mut self, to: usize, item: T) {
        assert!(to < self.mailboxes.len(), "there is no reactor {to}");
        if let Err(item) = self.push(to, item)
            && !self.mailboxes[to].is_closed()
        {
            self.spill(to, item);
        }
    }

    /// Moves overflow on, where a reactor said that it has room. Once a turn, before [`Producer::wake`].
    pub fn retry(&mut self) {
        if self.mailboxes[self.me].bell.take_nudge() {
            members(self.spilled).for_each(|to| self.flush(to));
        }
    }

    /// Wakes the reactors that were posted to since the last call and sleep. Once a turn, and always before
    /// [`Receiver::sleep`](super::Receiver::sleep). Returns how many eventfds it wrote.
    pub fn wake(&mut self) -> usize {
        let posted = std::mem::take(&mut self.posted);
        members(posted).filter(|&to| self.mailboxes[to].wake()).count()
    }

    /// Items that wait in the overflow, for all reactors together.
    pub fn backlog(&self) -> usize {
        members(self.spilled).map(|to| self.overflow[to].items.len()).sum()
    }

    fn push(&mut self, to: usize, item: T) -> Result<(), T> {
        if self.spilled & 1 << to != 0 {
            return Err(item);
        }
        self.mailboxes[to].push(item)?;
        self.posted |= 1 << to;
        Ok(())
    }

    fn spill(&mut self, to: usize, item: T) {
        let overflow = &mut self.overflow[to];
        overflow.bytes += item.weight();
        overflow.items.push_back(item);
        if self.spilled & 1 << to == 0 {
            self.spilled |= 1 << to;
            self.flush(to);
        }
    }

    /// Moves as much of one overflow as goes; with the rest this reactor is marked, and then has looked again.
    fn flush(&mut self, to: usize) {
        if !self.drain(to) {
            self.mailboxes[to].starved.mark(self.me);
            self.drain(to);
        }
    }

    /// True when the overflow is empty.
    fn drain(&mut self, to: usize) -> bool {
        let (mailbox, overflow) = (&self.mailboxes[to], &mut self.overflow[to]);
        if mailbox.is_closed() {
            *overflow = Overflow::default();
        }
        while let Some(item) = overflow.items.pop_front() {
            let weight = item.weight();
            if let Err(item) = mailbox.push(item) {
                overflow.items.push_front(item);
                return false;
            }
            overflow.bytes -= weight;
            self.posted |= 1 << to;
        }
        overflow.items.shrink_to(KEPT_OVERFLOW_SLOTS);
        self.spilled &= !(1 << to);
        true
    }
}

/// The end for threads that are not reactors: no overflow, and it wakes at once.
pub struct Handle<T> {
    mailboxes: Arc<[Mailbox<T>]>,
}

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Self {
        Self { mailboxes: self.mailboxes.clone() }
    }
}

impl<T: Weigh> Handle<T> {
    /// Whether reactor `to` has ended: nothing is taken for it any more, and what waited for it has been dropped.
    pub fn is_closed(&self, to: usize) -> bool {
        self.mailboxes.get(to).is_none_or(Mailbox::is_closed)
    }

    /// Sends `item` to reactor `to`, and wakes it if it sleeps.
    ///
    /// # Errors
    /// [`Full`] when the queue is at a bound, or reactor `to` has ended or does not exist.
    pub fn post(&self, to: usize, item: T) -> Result<(), Full<T>> {
        let Some(mailbox) = self.mailboxes.get(to) else { return Err(Full(item)) };
        mailbox.push(item).map_err(Full)?;
        mailbox.wake();
        Ok(())
    }
}
