//! What tests and models of the outbox write to and fill it with: a socket that takes what a script says, pushes for one session.

use super::{Item, LocalPush};
use crate::dispatch::{Class, EncodedFrame, Origin, Push, PushOptions, ReceiptMode, Selector, Target, Wire};
use crate::session::AppId;
use crate::timer::Moment;
use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};
use std::rc::Rc;
use std::sync::Arc;

/// A socket that takes what a script says: so many bytes a call, then `WouldBlock`.
#[derive(Default)]
pub(super) struct Socket {
    pub(super) taken: Vec<u8>,
    /// What each call may take; none left: the socket is full.
    pub(super) script: VecDeque<Answer>,
    /// Slices of each vectored call.
    pub(super) slices: Vec<usize>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Answer {
    Takes(usize),
    Interrupted,
    Reset,
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.slices.push(slices.len());
        let mut room = match self.script.pop_front() {
            None => return Err(io::ErrorKind::WouldBlock.into()),
            Some(Answer::Interrupted) => return Err(io::ErrorKind::Interrupted.into()),
            Some(Answer::Reset) => return Err(io::ErrorKind::ConnectionReset.into()),
            Some(Answer::Takes(room)) => room,
        };
        let before = self.taken.len();
        for slice in slices {
            let count = slice.len().min(room);
            self.taken.extend_from_slice(&slice[..count]);
            room -= count;
        }
        Ok(self.taken.len() - before)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) fn push_of(
    payload: &[u8],
    deadline_ms: u64,
    class: Class,
    key: Option<&str>,
    receipt: ReceiptMode,
) -> Arc<Push> {
    let options = PushOptions { class, key: key.map(Into::into), receipt, ..PushOptions::default() };
    let target = Target::from(Selector::All);
    Arc::new(Push::new(
        AppId(0),
        target,
        EncodedFrame::binary(payload),
        options,
        0,
        deadline_ms,
        Origin::Nobody,
    ))
}

/// A push for one session.
pub(super) fn shared(push: Arc<Push>) -> Item {
    push.count_matched(1);
    Item::Shared(Rc::new(LocalPush::new(push)), Wire::Plain)
}

pub(super) fn at(ms: u64) -> Moment {
    Moment { ms, ns: ms * 1_000_000 }
}
