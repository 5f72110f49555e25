//! The reading end of a mailbox.

use std::sync::Arc;

use super::room::Freed;
use super::{Mailbox, Weigh, members};

/// A reactor's own end of its mailbox; the order of calls in a turn is in the [module](super)'s documentation.
pub struct Receiver<T> {
    mailboxes: Arc<[Mailbox<T>]>,
    me: usize,
    /// Popped since the last `drained`.
    freed: Freed,
}

/// Its reactor has ended.
impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.mailboxes[self.me].close();
    }
}

impl<T: Weigh> Receiver<T> {
    pub(super) fn new(mailboxes: Arc<[Mailbox<T>]>, me: usize) -> Self {
        Self { mailboxes, me, freed: Freed::default() }
    }

    /// The next item; the items of one producer come in the order it posted them.
    pub fn pop(&mut self) -> Option<T> {
        let item = self.mailbox().queue.pop()?;
        self.freed.add(item.weight());
        Some(item)
    }

    /// Gives back the room of what was popped and wakes the producers that starve for it. Once a turn, after the last
    /// pop. Returns how many eventfds it wrote.
    pub fn drained(&mut self) -> usize {
        if self.freed.is_empty() {
            return 0;
        }
        let freed = std::mem::take(&mut self.freed);
        self.mailbox().room.give_back(&freed);
        let starved = self.mailbox().starved.take();
        members(starved).filter(|&producer| self.mailboxes[producer].nudge()).count()
    }

    /// Before the poll. True: nothing is there, and who posts from now on writes the eventfd; poll without a limit, then
    /// call [`Receiver::awake`]. False: an item is there or room for overflow was announced; do another turn.
    #[must_use]
    pub fn sleep(&mut self) -> bool {
        self.drained();
        let mailbox = self.mailbox();
        mailbox.bell.lie_down(|| mailbox.queue.is_empty())
    }

    /// After the poll.
    pub fn awake(&mut self) {
        self.mailbox().bell.rise();
    }

    /// Whether nothing is queued.
    pub fn is_empty(&self) -> bool {
        self.mailbox().queue.is_empty()
    }

    /// Items queued.
    pub fn len(&self) -> usize {
        self.mailbox().queue.len()
    }

    /// Bytes that the queued items keep alive.
    pub fn bytes(&self) -> usize {
        self.mailbox().room.bytes_held().saturating_sub(self.freed.bytes())
    }

    fn mailbox(&self) -> &Mailbox<T> {
        &self.mailboxes[self.me]
    }
}
