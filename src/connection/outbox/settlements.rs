//! What became of messages, and what those that wait weigh, over all outboxes of a reactor. Plain numbers: the reactor
//! reports them once a turn. Beside them the buffer in which the outboxes put events together, one after the other. Knows
//! nothing of counters that others read.

use super::item::{Item, KeptItem, LocalPush, Staged};
use crate::connection::recorder::Records;
use crate::dispatch::{Fate, Push, Why};
use crate::metrics::{DropReason, Label};
use std::sync::Arc;

/// What became of pushed messages, gathered over many outboxes in a turn.
#[derive(Debug, Default)]
pub struct Settlements {
    /// Messages that sockets took.
    pub written: u64,
    /// Messages that a newer one with the same key replaced.
    pub replaced: u64,
    /// Messages for which there was no room, by [`DropReason`].
    pub dropped: [u64; DropReason::COUNT],
    /// Messages whose time to live ran out.
    pub expired: u64,
    /// Messages whose connection closed first.
    pub closed: u64,
    /// Messages of the program's own that sockets took.
    pub messages_written: u64,
    /// Messages that sockets took again, on a connection that goes on with a session.
    pub written_again: u64,
    /// What became of events for links.
    pub events: Events,
    /// Nanoseconds from the acceptance of a push to its write, one for each message written since the last look.
    pub latencies_ns: Vec<u64>,
    /// Items that wait, in all outboxes of the reactor.
    pub waiting_messages: u64,
    /// Their bytes, those that are partly on the wire counted whole, and each as if it were not shared.
    pub waiting_bytes: u64,
    /// The memory that they keep alive: a push that waits in many outboxes of the reactor counts once.
    pub memory: u64,
    /// Messages in the rings of sessions that may resume.
    pub kept_messages: u64,
    /// The memory of these: a frame in many rings of the reactor counts once.
    pub kept_memory: u64,
    /// Pushes whose receipt waits for the socket, and of which no outbox here holds any more.
    pub finished: Vec<Arc<Push>>,
    /// The sessions that are recorded.
    pub records: Records,
    /// What the last events were put together in that a socket has taken whole: for the next ones.
    spare: Option<Box<Staged>>,
}

/// What became of the events that waited for links' sockets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Events {
    /// Events that sockets took whole.
    pub written: u64,
    /// Events whose link was gone, or was closed, first.
    pub lost: u64,
    /// The bytes of both.
    pub bytes: u64,
}

impl Events {
    fn settle(&mut self, bytes: usize, fate: Fate) {
        match fate {
            Fate::Written => self.written += 1,
            _ => self.lost += 1,
        }
        self.bytes += bytes as u64;
    }
}

impl Settlements {
    /// A message was lost for want of room.
    pub fn drop_for(&mut self, reason: DropReason) {
        self.dropped[reason.index()] += 1;
    }

    /// The same of `item`, which has never waited.
    pub fn turn_away(&mut self, item: &Item, reason: DropReason) {
        if self.records.is_acting() {
            self.records.turned_away(item);
        }
        self.drop_for(reason);
    }

    /// A holder of `local` lets go; `true` for the last.
    pub fn let_go(&mut self, local: &LocalPush) -> bool {
        let last = local.release();
        if last {
            self.memory -= local.refund() as u64;
        }
        last
    }

    /// Something empty to put events together in.
    pub(super) fn staging(&mut self) -> Box<Staged> {
        self.spare.take().unwrap_or_default()
    }

    /// Nothing was put into it.
    pub(super) fn give_back(&mut self, staged: Box<Staged>) {
        self.spare = staged.into_spare();
    }

    /// What has been put together waits for a socket, and the items that it is of wait on.
    pub(super) fn stage(&mut self, staged: &Staged) {
        self.memory += staged.bytes.len() as u64;
    }

    /// Its bytes have gone.
    pub(super) fn unstage(&mut self, staged: Box<Staged>) {
        self.memory -= staged.bytes.len() as u64;
        self.give_back(staged);
    }

    /// Counts the memory of the form in which `item` goes to an event stream.
    pub(super) fn charge_forms(&mut self, item: &Item) {
        if let Item::Shared(local, _) = item {
            self.memory += local.charge_forms() as u64;
        }
    }

    /// `item` waits from now on.
    pub(super) fn admit(&mut self, item: &Item) {
        if self.records.is_acting() {
            self.records.admitted(item);
        }
        self.waiting_messages += 1;
        self.waiting_bytes += item.bytes().len() as u64;
        let shared = match item {
            Item::Owned(_) | Item::Message(_) | Item::Event(_) | Item::Staged(_) => 0,
            Item::Kept(KeptItem { frame, .. }) => {
                self.kept_memory += frame.hold();
                0
            }
            Item::Shared(local, wire) => {
                local.hold();
                local.charge(*wire)
            }
        };
        self.memory += (item.own_memory() + shared) as u64;
    }

    /// `item` waits no more. Who has it dropped says why, with [`Settlements::drop_for`].
    pub(super) fn settle(&mut self, item: Item, fate: Fate, now_ns: u64) {
        if self.records.is_acting() {
            self.records.settled(&item, fate);
        }
        self.waits_no_more(&item);
        let local = match item {
            Item::Owned(_) | Item::Staged(_) => return,
            Item::Message(_) => {
                self.messages_written += u64::from(fate == Fate::Written);
                return;
            }
            Item::Event(frame) => {
                self.events.settle(frame.wire_len(), fate);
                return;
            }
            Item::Kept(KeptItem { frame, is_again, .. }) => {
                self.kept_memory -= frame.let_go();
                match is_again {
                    true => self.written_again += u64::from(fate == Fate::Written),
                    false => self.messages_written += u64::from(fate == Fate::Written),
                }
                return;
            }
            Item::Shared(local, _) => local,
        };
        match fate {
            Fate::Written => {
                self.written += 1;
                if local.push.accepted_ns != Push::LONG_AGO {
                    self.latencies_ns.push(now_ns.saturating_sub(local.push.accepted_ns));
                }
            }
            Fate::Replaced => self.replaced += 1,
            Fate::Expired => self.expired += 1,
            Fate::Closed => self.closed += 1,
            Fate::Dropped => {}
        }
        let waits = local.waits_for_the_socket();
        if waits {
            if let (Some((session, user)), Some(why)) = (local.whose(), Why::of(fate)) {
                local.push.miss(Some(*session), user.as_ref(), why);
            }
            local.push.count_fate(fate, 1);
        }
        if self.let_go(&local) && waits {
            self.finished.push(Arc::clone(&local.push));
        }
    }

    /// `item` waits no more, since the same message waits in another form, which has been admitted.
    pub(super) fn replace_form(&mut self, item: &Item) {
        self.waits_no_more(item);
        match item {
            Item::Kept(KeptItem { frame, .. }) => self.kept_memory -= frame.let_go(),
            Item::Shared(local, _) => {
                let was_last = self.let_go(local);
                debug_assert!(!was_last, "its other form holds it");
            }
            Item::Owned(_) | Item::Message(_) | Item::Event(_) | Item::Staged(_) => {}
        }
    }

    fn waits_no_more(&mut self, item: &Item) {
        self.waiting_messages -= 1;
        self.waiting_bytes -= item.bytes().len() as u64;
        self.memory -= item.own_memory() as u64;
    }
}
