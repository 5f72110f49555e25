//! What becomes of an outbox when its session and its socket go separate ways, and when the session has another socket.

use super::keys::Keys;
use super::{Item, KeptItem, LocalPush, Outbox, Settlements};
use crate::connection::kept::{Keeping, KeptFrame};
use crate::dispatch::{Class, EncodedFrame, Fate, Push, Wire};
use std::rc::Rc;

impl Outbox {
    /// The socket goes, the session stays: messages wait on. What was the connection's own goes. Returns the bytes without which
    /// the peer could not read anything more: the rest of what is partly on the wire.
    ///
    /// With `keeping` that rest is still sent, and the peer may read and count the messages in it: they have gone to the wire,
    /// by `now_ns`, and are in the ring. Without, none of them can be read: they wait on, as if nothing of them had been sent.
    pub fn part(
        &mut self,
        keeping: Option<&mut Keeping<'_>>,
        now_ns: u64,
        settlements: &mut Settlements,
    ) -> Box<[u8]> {
        let mut rest: Box<[u8]> = Box::default();
        if let Some((item, written)) = self.wire.take() {
            rest = item.bytes()[written..].into();
            self.bytes -= rest.len();
            let items = match item {
                Item::Staged(mut staged) => {
                    let items = staged.items.drain(..).map(|(item, _)| item).collect();
                    settlements.unstage(staged);
                    items
                }
                item => {
                    if let Some(bytes) = item.exempt_bytes() {
                        self.exempt -= 1;
                        self.exempt_bytes -= bytes;
                    }
                    vec![item]
                }
            };
            self.part_from_wire(items, keeping, now_ns, settlements);
        }
        for _ in 0..self.urgent.len() {
            if let Some(item) = self.urgent.pop_front()
                && let Some(item) = self.keep_message(item, settlements)
            {
                self.urgent.push_back(item);
            }
        }
        for _ in 0..self.normal.len() {
            if let Some(item) = self.normal.pop_front()
                && let Some(item) = self.keep_message(item, settlements)
            {
                self.normal.push_back(item);
            }
        }
        self.wait_for(None);
        self.wait_for_socket();
        rest
    }

    fn part_from_wire(
        &mut self,
        items: Vec<Item>,
        keeping: Option<&mut Keeping<'_>>,
        now_ns: u64,
        settlements: &mut Settlements,
    ) {
        let Some(keeping) = keeping else {
            // One that came later, while it could not be replaced, may have its key.
            self.keys = Keys::ReplaceAll;
            // Before everything that they were before.
            for item in items.into_iter().rev() {
                self.bytes += item.bytes().len();
                if let Some(bytes) = item.exempt_bytes() {
                    self.exempt += 1;
                    self.exempt_bytes += bytes;
                }
                self.droppable += u32::from(item.is_push_of(Class::Droppable));
                self.earliest_deadline_ms = self.earliest_deadline_ms.min(item.deadline_ms());
                self.urgent.push_front(item);
            }
            return;
        };
        for item in items {
            keeping.written_in_part(&item, settlements);
            settlements.settle(item, Fate::Written, now_ns);
        }
    }

    fn keep_message(&mut self, item: Item, settlements: &mut Settlements) -> Option<Item> {
        if !matches!(item, Item::Owned(_)) {
            return Some(item);
        }
        self.bytes -= item.bytes().len();
        settlements.settle(item, Fate::Closed, 0);
        None
    }

    /// The session has another socket, whose client agreed on other forms perhaps: what waits goes in the form that `form` says,
    /// behind `first`, which is the connection's own, and the messages that are sent again.
    pub fn go_on(
        &mut self,
        first: Box<[u8]>,
        again: Vec<Rc<KeptFrame>>,
        form: Form,
        settlements: &mut Settlements,
    ) {
        debug_assert!(self.wire.is_none(), "it has parted from the socket before");
        let lanes = [std::mem::take(&mut self.urgent), std::mem::take(&mut self.normal)];
        let [urgent, normal] =
            lanes.map(|lane| lane.into_iter().map(|item| self.reform(item, form, settlements)).collect());
        (self.urgent, self.normal) = (urgent, normal);
        for frame in again.into_iter().rev() {
            let item = Item::Kept(KeptItem { frame, is_marked: form.speaks_own, is_again: true });
            self.admit(&item, settlements);
            self.urgent.push_front(item);
        }
        if !first.is_empty() {
            let item = Item::Owned(first);
            self.admit(&item, settlements);
            self.wire = Some((item, 0));
        }
    }

    /// The messages that wait, of a session whose client is away, in their order.
    pub fn waits(&self) -> impl Iterator<Item = Waits<'_>> {
        debug_assert!(self.wire.is_none(), "it has parted from the socket before");
        self.urgent.iter().chain(&self.normal).filter_map(|item| match item {
            Item::Shared(local, _) => Some(Waits::Push(local.push())),
            Item::Kept(KeptItem { frame, is_again: true, .. }) => Some(Waits::Again(frame.frame())),
            Item::Kept(KeptItem { frame, .. }) => Some(Waits::Own(frame.frame())),
            Item::Message(frame) => Some(Waits::Own(frame)),
            // What is a connection's own is not for another one.
            Item::Owned(_) | Item::Event(_) | Item::Staged(_) => None,
        })
    }

    /// Puts messages before all that wait in their lanes, whatever the bounds.
    pub fn put_before(&mut self, items: Vec<Item>, settlements: &mut Settlements) {
        for item in items.into_iter().rev() {
            self.admit(&item, settlements);
            self.lane_mut(item.class()).push_front(item);
        }
        // Several may have the same key.
        self.keys = Keys::ReplaceAll;
    }

    /// How many messages that are sent again wait, before all others.
    pub fn waits_again(&self) -> usize {
        let on_wire = self.wire.iter().filter(|(item, _)| item.is_again()).count();
        on_wire + self.urgent.iter().take_while(|item| item.is_again()).count()
    }

    /// The first `count` of the messages that are sent again have been read, on a connection that the session has been taken from
    /// since: they go. Returns how many there were.
    pub fn skip_again(&mut self, count: usize, settlements: &mut Settlements) -> usize {
        debug_assert!(self.wire.is_none(), "it has parted from the socket before");
        let mut skipped = 0;
        while skipped < count
            && self.urgent.front().is_some_and(Item::is_again)
            && let Some(item) = self.urgent.pop_front()
        {
            self.take_out(&item);
            settlements.settle(item, Fate::Closed, 0);
            skipped += 1;
        }
        skipped
    }

    fn reform(&mut self, item: Item, form: Form, settlements: &mut Settlements) -> Item {
        let other = match &item {
            Item::Shared(local, wire) if *wire != form.of_push(local) => {
                Item::Shared(Rc::clone(local), form.of_push(local))
            }
            Item::Kept(KeptItem { frame, is_marked, is_again }) if *is_marked != form.speaks_own => {
                Item::Kept(KeptItem {
                    frame: Rc::clone(frame),
                    is_marked: form.speaks_own,
                    is_again: *is_again,
                })
            }
            _ => return item,
        };
        // Admitted before the one that it stands for goes: a push that waits nowhere would be done.
        self.admit(&other, settlements);
        self.take_out(&item);
        settlements.replace_form(&item);
        other
    }

    pub(super) fn take_out(&mut self, item: &Item) {
        self.bytes -= item.bytes().len();
        if let Some(bytes) = item.exempt_bytes() {
            self.exempt -= 1;
            self.exempt_bytes -= bytes;
        }
        self.droppable -= u32::from(item.is_push_of(Class::Droppable));
    }
}

/// A message that waits for a client.
#[derive(Debug, Clone, Copy)]
pub enum Waits<'a> {
    /// It was written before, on another connection.
    Again(&'a EncodedFrame),
    /// The program's own.
    Own(&'a EncodedFrame),
    /// A push.
    Push(&'a Push),
}

/// What a client has agreed on that decides in which form it gets messages that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// It tells gannet's own messages from the game's.
    pub speaks_own: bool,
}

impl Form {
    fn of_push(self, local: &LocalPush) -> Wire {
        match self.speaks_own && local.push().frame.begins_with_mark() && local.push().mark() {
            true => Wire::Marked,
            false => Wire::Plain,
        }
    }
}
