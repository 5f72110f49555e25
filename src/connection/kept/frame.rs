//! A frame that rings and outboxes of one reactor share, in the forms in which it goes to the wire again.

use crate::dispatch::EncodedFrame;
use crate::stream::SharedEvent;
use std::cell::{Cell, OnceCell};

/// A frame as the rings of one reactor share it.
#[derive(Debug)]
pub struct KeptFrame {
    frame: EncodedFrame,
    /// The same for clients that tell gannet's own messages from the game's, once one of them has been sent it again.
    marked: OnceCell<Box<EncodedFrame>>,
    /// The same as an event, once a stream has been sent it again.
    event: OnceCell<Box<SharedEvent>>,
    /// Rings and outboxes that have it.
    holders: Cell<u32>,
}

impl KeptFrame {
    /// A frame that no ring has.
    pub fn new(frame: EncodedFrame) -> Self {
        Self { frame, marked: OnceCell::new(), event: OnceCell::new(), holders: Cell::new(0) }
    }

    /// The frame.
    pub fn frame(&self) -> &EncodedFrame {
        &self.frame
    }

    /// It as an event of an event stream.
    pub(in crate::connection) fn event(&self) -> &SharedEvent {
        self.event.get_or_init(|| {
            let (is_text, payload) = self.frame.message();
            Box::new(SharedEvent::new(is_text, payload))
        })
    }

    /// The bytes for the wire; with its mark doubled where it `is_marked` and begins with one.
    pub(in crate::connection) fn wire_bytes(&self, is_marked: bool) -> &[u8] {
        let frame = match is_marked && self.frame.begins_with_mark() {
            true => self
                .marked
                .get_or_init(|| Box::new(self.frame.marked().unwrap_or_else(|| self.frame.clone()))),
            false => &self.frame,
        };
        frame.as_bytes()
    }

    pub(super) fn memory(&self) -> u64 {
        (size_of::<Self>() + self.frame.wire_len()) as u64
    }

    /// One more ring or outbox has it. Returns the memory that counts from now on: its own for the first of them, else nothing.
    #[must_use]
    pub(in crate::connection) fn hold(&self) -> u64 {
        match self.holders.replace(self.holders.get() + 1) {
            0 => self.memory(),
            _ => 0,
        }
    }

    /// One less. Returns the memory that counts no more: its own for the last of them, else nothing.
    #[must_use]
    pub(in crate::connection) fn let_go(&self) -> u64 {
        match self.holders.replace(self.holders.get() - 1) {
            1 => self.memory(),
            _ => 0,
        }
    }
}
