//! The flight recorder of one session: a bounded ring of what came from its socket, what went to it, and what became of its messages
//! in between. Free for those that are not recorded: a reactor that records nobody looks at one empty table. Knows nothing of who
//! has ordered it.

mod carry;
mod frame;
mod records;
mod scan;

pub use carry::CarriedRecord;
pub use frame::Frame;
pub use records::{Acting, Records};

use super::outbox::Item;
use crate::dispatch::{Class, Fate, Happened, Record, RecordedEnd, RecordedEvent};
use crate::protocol::WebSocket;
use crate::session::{AppId, Name, SessionId};
use frame::{FrameEnd, frames_of};
use scan::Scan;
use std::collections::VecDeque;

/// The bounds of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordBounds {
    /// Events that are kept: the last ones.
    pub events: usize,
    /// Bytes of a payload that are.
    pub head: usize,
}

/// Who is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The session.
    pub session: SessionId,
    /// Its app.
    pub app: AppId,
    /// Its user, as it was when the record began.
    pub user: Option<Name>,
}

/// When a record began, on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Began {
    /// In milliseconds since the Unix epoch.
    pub unix_ms: u64,
    /// In nanoseconds of the server's clock.
    pub ns: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Recorder {
    subject: Subject,
    began: Began,
    bounds: RecordBounds,
    /// No more than the bounds say.
    events: VecDeque<RecordedEvent>,
    lost: u64,
    end: Option<RecordedEnd>,
    scan: Scan,
    /// What comes next is input that was held while the session was paused: so many bytes of it have been looked at.
    ahead: usize,
    /// What is on the wire is the rest of bytes of the connection's own: the frames of which the last byte has not gone. Nothing
    /// overtakes it.
    rest: Option<Vec<Frame>>,
}

impl Recorder {
    /// A record that begins now. Of a frame that `websocket` is in the middle of nothing is recorded; where `is_own` is on the wire,
    /// bytes of the connection's own, nothing of these.
    pub fn new(
        subject: Subject,
        began: Began,
        bounds: RecordBounds,
        websocket: Option<&WebSocket>,
        is_own: bool,
    ) -> Self {
        Self {
            subject,
            began,
            bounds,
            events: VecDeque::new(),
            lost: 0,
            end: None,
            scan: websocket.and_then(WebSocket::unfinished).map_or_else(Scan::default, Scan::within),
            ahead: 0,
            rest: is_own.then(Vec::new),
        }
    }

    /// Who is recorded.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The record as it is now; the session is `live`, or has ended.
    pub fn record(&self, live: bool) -> Record {
        Record {
            session: self.subject.session,
            began_unix_ms: self.began.unix_ms,
            live,
            lost: self.lost,
            events: self.events.iter().cloned().collect(),
            end: self.end.clone(),
        }
    }

    /// Bytes have come from the socket, or come again that were held.
    pub fn came(&mut self, bytes: &[u8], now_ns: u64) {
        let before = self.ahead.min(bytes.len());
        self.ahead -= before;
        let mut scan = std::mem::take(&mut self.scan);
        scan.take(&bytes[before..], self.bounds.head, |frame| {
            self.note(now_ns, Happened::In, frame, None);
        });
        self.scan = scan;
    }

    /// The last so many bytes that came are held, and come again.
    pub fn held(&mut self, bytes: usize) {
        self.ahead += bytes;
    }

    /// A client of plain HTTP has said something.
    pub fn said(&mut self, is_text: bool, payload: &[u8], now_ns: u64) {
        self.note(now_ns, Happened::In, Frame::of_message(is_text, payload, self.bounds.head), None);
    }

    /// Bytes of the connection's own were given to the socket, which took the first `taken`. The rest is on the wire from now on.
    pub fn wrote(&mut self, pieces: &[&[u8]], taken: usize, now_ns: u64) {
        let all = pieces.concat();
        let mut rest = Vec::new();
        for FrameEnd { frame, end } in frames_of(&all, self.bounds.head) {
            match end <= taken {
                true => self.note(now_ns, Happened::Out, frame, None),
                false => rest.push(frame),
            }
        }
        self.rest = (taken < all.len()).then_some(rest);
    }

    /// The session has another socket, or none: what has come of a frame, and what is left of one, went with the one before.
    pub fn parted(&mut self) {
        (self.scan, self.ahead, self.rest) = (Scan::default(), 0, None);
    }

    /// The session is over.
    pub fn ended(&mut self, code: u16, reason: &str, now_ns: u64) {
        let at_us = self.at_us(now_ns);
        self.end.get_or_insert_with(|| RecordedEnd { at_us, code, reason: reason.into() });
    }

    /// `item` waits from now on.
    fn admitted(&mut self, item: &Item, now_ns: u64) {
        if let Some((frame, class)) = item.recorded(self.bounds.head)
            && !item.is_again()
        {
            self.note(now_ns, Happened::Queued, frame, Some(class));
        }
    }

    /// `item` waits no more. Where there are no frames, on an event stream or in the answer to a poll, it is not `framed`.
    fn settled(&mut self, item: &Item, fate: Fate, framed: bool, now_ns: u64) {
        if let Item::Owned(bytes) = item {
            return self.own_settled(bytes, fate, framed, now_ns);
        }
        let what = match fate {
            Fate::Written if framed => Happened::Out,
            Fate::Written => Happened::Written,
            Fate::Replaced => Happened::Replaced,
            Fate::Dropped => Happened::Dropped,
            Fate::Expired => Happened::Expired,
            Fate::Closed => Happened::Closed,
        };
        self.lost_or_sent(item, what, now_ns);
    }

    fn lost_or_sent(&mut self, item: &Item, what: Happened, now_ns: u64) {
        if let Some((frame, class)) = item.recorded(self.bounds.head) {
            self.note(now_ns, what, frame, Some(class));
        }
    }

    fn own_settled(&mut self, bytes: &[u8], fate: Fate, framed: bool, now_ns: u64) {
        let rest = self.rest.take();
        if fate != Fate::Written || !framed {
            return;
        }
        match rest {
            Some(frames) => {
                frames.into_iter().for_each(|frame| self.note(now_ns, Happened::Out, frame, None));
            }
            None => {
                for FrameEnd { frame, .. } in frames_of(bytes, self.bounds.head) {
                    self.note(now_ns, Happened::Out, frame, None);
                }
            }
        }
    }

    fn note(&mut self, now_ns: u64, what: Happened, frame: Frame, class: Option<Class>) {
        if self.events.len() >= self.bounds.events {
            self.events.pop_front();
            self.lost += 1;
        }
        let Frame { opcode, fin, compressed, bytes, head } = frame;
        let at_us = self.at_us(now_ns);
        self.events.push_back(RecordedEvent { at_us, what, opcode, fin, compressed, bytes, head, class });
    }

    fn at_us(&self, now_ns: u64) -> u64 {
        now_ns.saturating_sub(self.began.ns) / 1_000
    }
}

#[cfg(test)]
mod tests;
