//! Mailboxes: how one reactor hands a value to another. A bounded lock-free queue a reactor, a sleeping flag and an
//! eventfd wake. Knows nothing of what an envelope means: it asks an item only for its [weight](Weigh).
//!
//! # A turn
//! A reactor owns its [`Receiver`] and one [`Producer`], and in every turn does, in this order:
//!
//! ```text
//! pop, pop, …            what the others sent, up to the turn's budget
//! drained                the room is given back; producers that starve for it are woken
//! post, post, …          while it works; what a full queue refuses waits in the producer's own overflow
//! retry                  overflow moves on, if room was announced
//! wake                   one eventfd write for each sleeping reactor posted to
//! sleep → poll → awake   unless `sleep` says that something is there
//! ```
//!
//! Threads that are not reactors post through a [`Handle`].
//!
//! A [`Receiver`] that goes closes its mailbox: what waits there is dropped, and nothing is taken any more.
//!
//! # Why no wake-up is lost
//! Four times one thread writes A and then reads B while the other writes B and then reads A. Each side puts a SeqCst
//! fence between its write and its read, so at least one of the two reads sees the other's write: both cannot miss.
//!
//! 1. *Post against sleep.* The producer pushes, then reads the sleeping flag ([`Producer::wake`]). The consumer sets
//!    the flag, then looks at the queue ([`Receiver::sleep`]). Either the consumer sees the item and does not sleep, or
//!    the producer sees the flag, swaps it away and writes the eventfd. Whoever finds the flag swapped away need not
//!    write: the one who swapped it writes after it, and the item is already in the queue by then. An eventfd written
//!    for a consumer that was up already costs it one empty turn.
//! 2. *Starving against draining.* A producer whose overflow did not go empty marks itself in the target's starved set,
//!    then tries the queue once more. The consumer gives room back, then takes the starved set
//!    ([`Receiver::drained`]). Either the second try finds the room, or the consumer finds the mark. Room that is
//!    taken is always given back by a later `drained`: it stands for an item which is in the queue, or about to be
//!    pushed and rung for, or popped and not yet accounted for; [`Receiver::sleep`] settles the last kind first. A
//!    reservation is never undone, so room cannot come free without a `drained`.
//! 3. *Nudge against sleep.* Taking the starved set raises the producer's nudge flag, then rings as in 1. The
//!    producer's `sleep` looks at the nudge as it looks at the queue, and only [`Producer::retry`] lowers it. After the
//!    nudge is lowered every overflow is tried, and marked again (2.) where it did not go empty.
//!
//! 4. *Post against close.* The producer pushes, then looks whether the mailbox is closed, behind the fence of 1. The
//!    consumer that goes closes it, then drops what is queued. Either it drops the item, or the producer sees the mailbox
//!    closed and drops what is queued itself. So no item stays in a closed mailbox, and who waits for the end of one hears
//!    of it.
//!
//! So no overflow is polled for and no timer is needed. The first and the third handshake are in `doorbell`, the second
//! in `doorbell` and `room`; `RUSTFLAGS="--cfg loom" cargo test --lib mailbox::doorbell` tries every interleaving, as
//! tests/run does.

mod doorbell;
mod producer;
mod receiver;
mod room;
#[cfg(all(test, not(loom)))]
mod tests;

pub use producer::{Handle, Producer, Senders};
pub use receiver::Receiver;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use crossbeam_queue::ArrayQueue;
use crossbeam_utils::CachePadded;

use self::doorbell::{Doorbell, Starved};
use self::room::Room;

/// The most reactors that mailboxes are made for: a set of reactors is one `u128`.
pub const MAX_REACTORS: usize = 128;

/// What an item costs while it waits.
pub trait Weigh {
    /// The bytes that this item keeps alive. It must not change while the item waits; 0 for items that hold nothing.
    fn weight(&self) -> usize;
}

/// The bounds of one mailbox, and of what one producer keeps back for one mailbox that is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailboxLimits {
    /// Items in a queue; its slots are allocated at once. From 1 to 2^24 − 1; values outside are cut to that.
    pub messages: usize,
    /// Bytes that the items in a queue keep alive, at most 2^40 − 1. An item that is heavier by itself passes when it
    /// is the only one with a weight.
    pub bytes: usize,
    /// Items that one producer keeps back for one reactor.
    pub overflow_messages: usize,
    /// Bytes that one producer keeps back for one reactor.
    pub overflow_bytes: usize,
}

impl Default for MailboxLimits {
    fn default() -> Self {
        Self {
            messages: 4096,
            bytes: 16 * 1024 * 1024,
            overflow_messages: 16 * 1024,
            overflow_bytes: 32 * 1024 * 1024,
        }
    }
}

/// Neither the queue nor the overflow takes the item, or the reactor has ended, or there is none; the item comes back.
#[derive(PartialEq, Eq)]
pub struct Full<T>(pub T);

impl<T> fmt::Debug for Full<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Full(..)")
    }
}

/// Makes one mailbox a reactor: `wakers[n]` wakes reactor `n`'s poll, and the n-th receiver is reactor `n`'s.
///
/// # Panics
/// With more than [`MAX_REACTORS`] wakers.
pub fn mailboxes<T: Weigh + Send>(
    wakers: Vec<Arc<mio::Waker>>,
    limits: MailboxLimits,
) -> (Vec<Receiver<T>>, Senders<T>) {
    assert!(wakers.len() <= MAX_REACTORS, "gannet runs at most {MAX_REACTORS} reactors");
    let mailboxes: Arc<[Mailbox<T>]> = wakers.into_iter().map(|waker| Mailbox::new(waker, &limits)).collect();
    let receivers = (0..mailboxes.len()).map(|me| Receiver::new(mailboxes.clone(), me)).collect();
    (receivers, Senders::new(mailboxes, limits))
}

/// What producers and the consumer of one reactor share.
struct Mailbox<T> {
    /// Never refuses an item that `room` admitted: `room` admits no more items than there are slots.
    queue: ArrayQueue<T>,
    room: CachePadded<Room>,
    bell: CachePadded<Doorbell>,
    /// The reactors with overflow for this mailbox.
    starved: CachePadded<Starved>,
    waker: Arc<mio::Waker>,
    /// The consumer has gone. Read by every post and written once: it shares no cache line with what changes.
    closed: AtomicBool,
}

impl<T> Mailbox<T> {
    /// Nothing is taken from now on; what is queued is dropped.
    fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.clear();
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    #[cold]
    fn clear(&self) {
        while self.queue.pop().is_some() {}
    }
}

impl<T: Weigh> Mailbox<T> {
    fn new(waker: Arc<mio::Waker>, limits: &MailboxLimits) -> Self {
        let room = Room::new(limits.messages, limits.bytes);
        Self {
            queue: ArrayQueue::new(room.messages()),
            room: CachePadded::new(room),
            bell: CachePadded::default(),
            starved: CachePadded::default(),
            waker,
            closed: AtomicBool::new(false),
        }
    }

    fn push(&self, item: T) -> Result<(), T> {
        if self.is_closed() || !self.room.take(item.weight()) {
            return Err(item);
        }
        let pushed = self.queue.push(item);
        debug_assert!(pushed.is_ok(), "an admitted item has a slot");
        pushed
    }

    /// Wakes the consumer if it sleeps; what was pushed before is seen by it either way, or dropped where it has gone. Says
    /// whether it wrote.
    fn wake(&self) -> bool {
        let rang = self.bell.ring();
        if self.is_closed() {
            self.clear();
        }
        rang && self.write_eventfd()
    }

    /// Tells the reactor's producer that there is room, and wakes the reactor if it sleeps. Says whether it wrote.
    fn nudge(&self) -> bool {
        self.bell.nudge() && self.write_eventfd()
    }

    fn write_eventfd(&self) -> bool {
        match self.waker.wake() {
            Ok(()) => true,
            Err(error) => {
                // The next poster tries again; a flag that stands while its owner is up only costs a write.
                self.bell.unanswered();
                log::error!("a reactor's eventfd could not be written: {error}");
                false
            }
        }
    }
}

/// The members of a set of reactors, lowest first.
fn members(mut set: u128) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = set.trailing_zeros();
        set &= set.wrapping_sub(1);
        (lowest < u128::BITS).then_some(lowest as usize)
    })
}
