//! One thing to write, and a push as the outboxes of one reactor share it. Knows nothing of queues.

use crate::connection::kept::KeptFrame;
use crate::connection::recorder::Frame;
use crate::connection::stream::Stream;
use crate::dispatch::{Class, EncodedFrame, Push, ReceiptMode, Wire};
use crate::protocol::{FrameHeader, Role};
use crate::session::{Name, SessionId};
use crate::stream::{Document, element};
use std::cell::{Cell, OnceCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

/// A push inside one reactor: one shared reference taken from the other cores, and local ones from there on.
#[derive(Debug)]
pub struct LocalPush {
    pub(super) push: Arc<Push>,
    /// Holders here: the outboxes in which it waits, and whoever still offers it to more of them.
    holders: Cell<u32>,
    /// Bytes of memory that the holders together are charged for.
    charged: Cell<usize>,
    /// Its frame, once a ring has kept it: the rings need nothing else of the push.
    kept: OnceCell<Rc<KeptFrame>>,
    /// The one session that it is for, with its user, where the receipt names who misses the push.
    whose: Option<Box<(SessionId, Option<Name>)>>,
}

impl LocalPush {
    /// Takes the reactor's one reference.
    pub fn new(push: Arc<Push>) -> Self {
        let (holders, charged) = (Cell::new(0), Cell::new(0));
        Self { push, holders, charged, kept: OnceCell::new(), whose: None }
    }

    /// The same for one session of a user, or of nobody.
    pub fn of_session(push: Arc<Push>, session: SessionId, user: Option<Name>) -> Self {
        Self { whose: Some(Box::new((session, user))), ..Self::new(push) }
    }

    /// The one session that it is for, where that is known.
    pub(super) fn whose(&self) -> Option<&(SessionId, Option<Name>)> {
        self.whose.as_deref()
    }

    /// The push.
    pub fn push(&self) -> &Arc<Push> {
        &self.push
    }

    /// One more holder; the part of this reactor is not done before it lets go.
    pub fn hold(&self) {
        self.holders.set(self.holders.get() + 1);
    }

    /// A holder lets go; `true` for the last.
    pub(super) fn release(&self) -> bool {
        self.holders.set(self.holders.get() - 1);
        self.holders.get() == 0
    }

    /// The memory that one more holder of it, or of another form too, keeps alive and nobody has been charged for. Where
    /// several other forms are held, the longest counts.
    pub(super) fn charge(&self, wire: Wire) -> usize {
        let other = if wire == Wire::Plain { 0 } else { self.push.wire_bytes(wire).len() };
        let whole = size_of::<Push>() + self.push.frame.wire_len() + other;
        let more = whole.saturating_sub(self.charged.get());
        self.charged.set(self.charged.get() + more);
        more
    }

    /// The same for the forms of event streams, which are made when they go to the wire.
    pub(super) fn charge_forms(&self) -> usize {
        let whole = size_of::<Push>() + self.push.frame.wire_len() + self.push.memory_over_http();
        let more = whole.saturating_sub(self.charged.get());
        self.charged.set(self.charged.get() + more);
        more
    }

    /// What all holders have been charged for, when the last one has let go.
    pub(super) fn refund(&self) -> usize {
        self.charged.take()
    }

    pub(super) fn waits_for_the_socket(&self) -> bool {
        self.push.options.receipt == ReceiptMode::Written
    }
}

/// A message for a session that may resume.
#[derive(Debug)]
pub struct KeptItem {
    /// Its frame.
    pub frame: Rc<KeptFrame>,
    /// It goes with its mark doubled, if it begins with one.
    pub is_marked: bool,
    /// It has gone to the wire before, on another connection. Such a message is in no bound of the outbox: it was in that of the
    /// ring.
    pub is_again: bool,
}

/// One thing to write.
#[derive(Debug)]
pub enum Item {
    /// Bytes of this connection's own: an answer, a pong, a Close frame.
    Owned(Box<[u8]>),
    /// A message of the program's own to this session.
    Message(EncodedFrame),
    /// An event for a link, which others may get too.
    Event(EncodedFrame),
    /// A pushed message in one of its forms, shared with other connections.
    Shared(Rc<LocalPush>, Wire),
    /// A message for one session that may resume: the program's own, or one that is sent again.
    Kept(KeptItem),
    /// Items of an event stream, put together: only on the wire.
    Staged(Box<Staged>),
}

/// Bytes of an event stream that are on the wire in part, and the items that they were made of.
#[derive(Debug, Default)]
pub struct Staged {
    pub(super) bytes: Vec<u8>,
    /// Each item with the place in the bytes up to which they are its own. They wait until the socket has taken that.
    pub(super) items: VecDeque<(Item, usize)>,
}

impl Staged {
    /// The most bytes for which it stays a buffer for others: a share of what goes together, and an event that is not long.
    const MOST_BYTES: usize = 32 * 1024;
    /// The same for items.
    const MOST_ITEMS: usize = 1024;

    /// Empties it for others; `None` where it has grown too large for that.
    pub(super) fn into_spare(mut self: Box<Self>) -> Option<Box<Self>> {
        self.bytes.clear();
        self.items.clear();
        let is_small = self.bytes.capacity() <= Self::MOST_BYTES && self.items.capacity() <= Self::MOST_ITEMS;
        is_small.then_some(self)
    }
}

const _: () = assert!(size_of::<Item>() <= 24);

impl Item {
    /// The push that it is, unless it is the connection's own.
    pub fn push(&self) -> Option<&Push> {
        match self {
            Self::Owned(_) | Self::Message(_) | Self::Event(_) | Self::Kept(_) | Self::Staged(_) => None,
            Self::Shared(local, _) => Some(&local.push),
        }
    }

    /// Whether it goes before what is not.
    pub fn is_urgent(&self) -> bool {
        self.class() == Class::Urgent
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Message(frame) | Self::Event(frame) => frame.as_bytes(),
            Self::Shared(local, wire) => local.push.wire_bytes(*wire),
            Self::Kept(KeptItem { frame, is_marked, .. }) => frame.wire_bytes(*is_marked),
            Self::Staged(staged) => &staged.bytes,
        }
    }

    /// Whether it is a message of the game's, which a client counts.
    pub(super) fn is_message(&self) -> bool {
        matches!(self, Self::Message(_) | Self::Shared(..) | Self::Kept(_))
    }

    /// Appends it as an event of `stream`, of which it is the message with this number if it is one. Returns where it ends: when
    /// the socket has taken that much, its client may have read it.
    pub(super) fn put_into(&self, stream: &mut Stream, number: u64, out: &mut Vec<u8>) -> usize {
        let without = match self {
            Self::Owned(bytes) => {
                stream.put_own(bytes, out);
                0
            }
            Self::Message(frame) => {
                let (is_text, payload) = frame.message();
                stream.put_message(is_text, payload, number, out);
                0
            }
            Self::Shared(local, _) => stream.put_shared(local.push.event(), number, out),
            Self::Kept(KeptItem { frame, .. }) => stream.put_shared(frame.event(), number, out),
            Self::Event(_) | Self::Staged(_) => {
                debug_assert!(false, "no event stream is a link");
                0
            }
        };
        out.len() - without
    }

    /// Adds it to the document that answers a poll. What is a connection's own is not for those that come later.
    pub(super) fn put_into_document(&self, document: &mut Document) {
        let frame = match self {
            Self::Shared(local, _) => return document.message(local.push.element()),
            Self::Message(frame) => frame,
            Self::Kept(KeptItem { frame, .. }) => frame.frame(),
            Self::Owned(_) | Self::Event(_) | Self::Staged(_) => return,
        };
        let (is_text, payload) = frame.message();
        document.message(&element(is_text, payload));
    }

    /// The frame in which it goes out, with the first `head` bytes of its payload, and its class; `None` for what is no message.
    /// Of a compressed one these are the first of the message.
    pub(in crate::connection) fn recorded(&self, head: usize) -> Option<(Frame, Class)> {
        if !self.is_message() {
            return None;
        }
        let (header, length) = FrameHeader::parse(self.bytes(), Role::Server).ok()??;
        let payload = match self {
            Self::Shared(local, Wire::Deflated) => local.push.frame.payload(),
            _ => &self.bytes()[length..],
        };
        Some((Frame::new(&header, &payload[..payload.len().min(head)]), self.class()))
    }

    /// Whether it has gone to the wire before, on another connection.
    pub(in crate::connection) fn is_again(&self) -> bool {
        matches!(self, Self::Kept(KeptItem { is_again: true, .. }))
    }

    /// Its length, where it is bounded elsewhere.
    pub(super) fn exempt_bytes(&self) -> Option<usize> {
        match self {
            Self::Event(_) | Self::Kept(KeptItem { is_again: true, .. }) => Some(self.bytes().len()),
            _ => None,
        }
    }

    /// The frame for the ring of its session; `None` for what its client does not count.
    pub(in crate::connection) fn kept_frame(&self) -> Option<Rc<KeptFrame>> {
        match self {
            Self::Owned(_) | Self::Event(_) | Self::Staged(_) => None,
            Self::Message(frame) => Some(Rc::new(KeptFrame::new(frame.clone()))),
            Self::Shared(local, _) => {
                let frame = || Rc::new(KeptFrame::new(local.push.frame.clone()));
                Some(Rc::clone(local.kept.get_or_init(frame)))
            }
            Self::Kept(KeptItem { frame, .. }) => Some(Rc::clone(frame)),
        }
    }

    pub(super) fn deadline_ms(&self) -> u64 {
        self.push().map_or(u64::MAX, |push| push.deadline_ms)
    }

    /// The connection's own go in the order of normal messages.
    pub(super) fn class(&self) -> Class {
        self.push().map_or(Class::Normal, |push| push.options.class)
    }

    pub(super) fn key(&self) -> Option<(u64, &str)> {
        self.push().and_then(Push::conflation_key)
    }

    /// Whether it is a pushed message of `class`.
    pub(super) fn is_push_of(&self, class: Class) -> bool {
        self.push().is_some_and(|push| push.options.class == class)
    }

    /// The memory that its place in a queue takes beside a push's own, which all its holders share.
    pub(super) fn own_memory(&self) -> usize {
        match self {
            Self::Owned(_) | Self::Message(_) | Self::Event(_) => size_of::<Self>() + self.bytes().len(),
            Self::Shared(..) | Self::Kept(_) | Self::Staged(_) => size_of::<Self>(),
        }
    }
}
