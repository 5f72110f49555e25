//! How records are carried to another process.

use super::frame::Frame;
use super::scan::{Coming, Scan};
use super::{Began, RecordBounds, Recorder, Records, Subject};
use crate::dispatch::{Class, Happened, RecordedEnd, RecordedEvent};
use crate::protocol::{FrameHeader, MAX_HEADER, OpCode};
use crate::session::{AppId, Name, SessionId};
use crate::upgrade::InvalidState;
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

/// A [`Recorder`] on its way.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct CarriedRecord {
    #[n(0)]
    session: u64,
    #[n(1)]
    app: u16,
    #[n(2)]
    user: Option<Box<str>>,
    #[n(3)]
    began_unix_ms: u64,
    #[n(4)]
    began_ns: u64,
    #[n(5)]
    most_events: u32,
    #[n(6)]
    most_head: u32,
    #[n(7)]
    events: Vec<CarriedEvent>,
    #[n(8)]
    lost: u64,
    /// When, the code and the reason.
    #[n(9)]
    end: Option<(u64, u16, Box<str>)>,
    /// The start of a header that came.
    #[n(10)]
    header: ByteVec,
    #[n(11)]
    coming: Option<CarriedComing>,
    /// What came is no frame.
    #[n(12)]
    is_over: bool,
    #[n(13)]
    ahead: u64,
    #[n(14)]
    rest: Option<Vec<CarriedFrame>>,
    /// Of a session that has ended: when it is forgotten, in milliseconds of the server's clock.
    #[n(15)]
    until_ms: Option<u64>,
}

#[derive(Debug, Encode, Decode)]
#[cbor(map)]
struct CarriedEvent {
    #[n(0)]
    at_us: u64,
    /// Its place in [`Happened::ALL`].
    #[n(1)]
    what: u8,
    /// Its place in [`CLASSES`].
    #[n(2)]
    class: Option<u8>,
    #[n(3)]
    frame: CarriedFrame,
}

#[derive(Debug, Encode, Decode)]
#[cbor(map)]
struct CarriedFrame {
    #[n(0)]
    opcode: Option<u8>,
    /// 1 FIN, 2 compressed.
    #[n(1)]
    flags: u8,
    #[n(2)]
    bytes: u64,
    #[n(3)]
    head: ByteVec,
}

/// A frame of which a part has come. Without its opcode the record began in the middle of it.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
struct CarriedComing {
    #[n(0)]
    frame: CarriedFrame,
    #[n(1)]
    key: Option<u32>,
    #[n(2)]
    left: u64,
}

const CLASSES: [Class; 3] = [Class::Normal, Class::Urgent, Class::Droppable];

impl Records {
    /// As they are carried.
    pub fn carry(&self) -> Vec<CarriedRecord> {
        self.carried().map(|(recorder, until_ms)| CarriedRecord::of(recorder, until_ms)).collect()
    }

    /// Those of another process.
    ///
    /// # Errors
    /// What is wrong with one.
    pub fn go_on_from(&mut self, carried: Vec<CarriedRecord>) -> Result<(), InvalidState> {
        for carried in carried {
            let until_ms = carried.until_ms;
            self.put(carried.restore()?, until_ms);
        }
        Ok(())
    }
}

impl CarriedRecord {
    fn of(recorder: &Recorder, until_ms: Option<u64>) -> Self {
        let Recorder { subject, began, bounds, events, lost, end, scan, ahead, rest } = recorder;
        let Subject { session, app, user } = subject;
        let Scan { header, frame, is_over } = scan;
        Self {
            session: session.as_u64(),
            app: app.0,
            user: user.as_ref().map(|user| user.as_str().into()),
            began_unix_ms: began.unix_ms,
            began_ns: began.ns,
            most_events: bounds.events as u32,
            most_head: bounds.head as u32,
            events: events.iter().map(CarriedEvent::of).collect(),
            lost: *lost,
            end: end.as_ref().map(|RecordedEnd { at_us, code, reason }| (*at_us, *code, reason.clone())),
            header: header.clone().into(),
            coming: frame.as_ref().map(CarriedComing::of),
            is_over: *is_over,
            ahead: *ahead as u64,
            rest: rest.as_ref().map(|rest| rest.iter().map(CarriedFrame::of).collect()),
            until_ms,
        }
    }

    fn restore(self) -> Result<Recorder, InvalidState> {
        let Self { session, app, user, began_unix_ms, began_ns, most_events, most_head, .. } = self;
        let Self { events, lost, end, header, coming, is_over, ahead, rest, .. } = self;
        let bounds = RecordBounds { events: most_events as usize, head: most_head as usize };
        if events.len() > bounds.events || header.len() >= MAX_HEADER {
            return Err(InvalidState::new("a record of more than it is bounded to"));
        }
        let user = user.map(|user| Name::new(&user)).transpose();
        let user = user.map_err(|error| InvalidState::new(error.to_string()))?;
        let scan =
            Scan { header: header.to_vec(), frame: coming.map(CarriedComing::restore).transpose()?, is_over };
        let rest = rest.map(|rest| rest.into_iter().map(|frame| frame.restore(bounds.head)).collect());
        Ok(Recorder {
            subject: Subject { session: SessionId::from_u64(session), app: AppId(app), user },
            began: Began { unix_ms: began_unix_ms, ns: began_ns },
            bounds,
            events: events.into_iter().map(|event| event.restore(bounds.head)).collect::<Result<_, _>>()?,
            lost,
            end: end.map(|(at_us, code, reason)| RecordedEnd { at_us, code, reason }),
            scan,
            ahead: usize::try_from(ahead).unwrap_or(usize::MAX),
            rest: rest.transpose()?,
        })
    }
}

impl CarriedEvent {
    fn of(event: &RecordedEvent) -> Self {
        let RecordedEvent { at_us, what, opcode, fin, compressed, bytes, head, class } = event;
        let place = |class: &Class| CLASSES.iter().position(|other| other == class);
        Self {
            at_us: *at_us,
            what: Happened::ALL.iter().position(|other| other == what).unwrap_or(Happened::ALL.len()) as u8,
            class: class.as_ref().and_then(place).map(|place| place as u8),
            frame: CarriedFrame::new(*opcode, *fin, *compressed, *bytes, head),
        }
    }

    fn restore(self, most_head: usize) -> Result<RecordedEvent, InvalidState> {
        let Self { at_us, what, class, frame } = self;
        let invalid = || InvalidState::new("a record of what does not happen");
        let what = *Happened::ALL.get(usize::from(what)).ok_or_else(invalid)?;
        let class = class.map(|class| CLASSES.get(usize::from(class)).copied().ok_or_else(invalid));
        let Frame { opcode, fin, compressed, bytes, head } = frame.restore(most_head)?;
        let class = class.transpose()?;
        Ok(RecordedEvent { at_us, what, opcode, fin, compressed, bytes, head, class })
    }
}

impl CarriedFrame {
    fn new(opcode: Option<OpCode>, fin: bool, compressed: bool, bytes: u64, head: &[u8]) -> Self {
        let flags = u8::from(fin) | u8::from(compressed) << 1;
        Self { opcode: opcode.map(|opcode| opcode as u8), flags, bytes, head: head.to_vec().into() }
    }

    fn of(frame: &Frame) -> Self {
        let Frame { opcode, fin, compressed, bytes, head } = frame;
        Self::new(*opcode, *fin, *compressed, *bytes, head)
    }

    fn restore(self, most_head: usize) -> Result<Frame, InvalidState> {
        let Self { opcode, flags, bytes, head } = self;
        if head.len() > most_head {
            return Err(InvalidState::new("a record of more than it is bounded to"));
        }
        let invalid = || InvalidState::new("a frame of no kind");
        let opcode = opcode.map(|opcode| OpCode::from_nibble(opcode).ok_or_else(invalid)).transpose()?;
        let (fin, compressed) = (flags & 1 != 0, flags & 2 != 0);
        Ok(Frame { opcode, fin, compressed, bytes, head: head.to_vec().into() })
    }
}

impl CarriedComing {
    fn of(coming: &Coming) -> Self {
        let Coming { header, left, head } = coming;
        let frame = header.as_ref().map_or_else(|| Frame::none(&[], 0), |header| Frame::new(header, head));
        let key = header.as_ref().and_then(|header| header.mask).map(u32::from_be_bytes);
        Self { frame: CarriedFrame::of(&frame), key, left: *left }
    }

    fn restore(self) -> Result<Coming, InvalidState> {
        let Self { frame, key, left } = self;
        let Frame { opcode, fin, compressed, bytes, head } = frame.restore(usize::MAX)?;
        let header = opcode.map(|opcode| FrameHeader {
            fin,
            rsv1: compressed,
            opcode,
            payload_length: bytes,
            mask: key.map(u32::to_be_bytes),
        });
        Ok(Coming { header, left, head: head.into_vec() })
    }
}
