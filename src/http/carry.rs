//! How a [`RequestReader`] is carried to another process. What can be found again from the bytes is left out: how far the
//! scanner has looked, and a head that was given while nothing of its body was read, which is given again.

use super::body::{BodyReader, State};
use super::buffer::Buffer;
use super::request_reader::{RequestReader, Stage};
use super::{BodyError, HeadError, HeadLimits, HeadScanner, RequestError};
use minicbor::{Decode, Encode};

/// A [`RequestReader`] on its way.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct CarriedReader {
    #[n(0)]
    stage: CarriedStage,
    /// The head of the request whose body is read, or which is whole.
    #[cbor(n(1), with = "minicbor::bytes")]
    head: Vec<u8>,
    /// Of its body, what has been decoded.
    #[cbor(n(2), with = "minicbor::bytes")]
    body: Vec<u8>,
    #[cbor(n(3), with = "minicbor::bytes")]
    unread: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
enum CarriedStage {
    #[n(0)]
    Head,
    #[n(1)]
    Body(#[n(0)] CarriedBody),
    #[n(2)]
    Whole,
    /// The number of the error.
    #[n(3)]
    Failed(#[n(0)] u8),
}

/// A [`BodyReader`] on its way.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
struct CarriedBody {
    /// Which state of the grammar.
    #[n(0)]
    state: u8,
    /// The bytes that remain, or the size of the chunk as far as it was read.
    #[n(1)]
    size: u64,
    /// The digits of the size.
    #[n(2)]
    digits: u8,
    #[n(3)]
    room: u64,
    #[n(4)]
    framing_room: u64,
}

impl RequestReader {
    /// As it is carried.
    pub(crate) fn carry(&self) -> CarriedReader {
        let Self { buffer, stage, body } = self;
        let stage = match stage {
            Stage::Head | Stage::HeadGiven { framing: _, waits: _ } => CarriedStage::Head,
            Stage::Body(reader) => CarriedStage::Body(CarriedBody::of(reader)),
            Stage::Whole => CarriedStage::Whole,
            Stage::Failed(error) => CarriedStage::Failed(number_of(*error)),
        };
        let (head, body, unread): (&[u8], &[u8], &[u8]) = match stage {
            CarriedStage::Head | CarriedStage::Failed(_) => (&[], &[], buffer.message()),
            CarriedStage::Body(_) | CarriedStage::Whole => (buffer.head(), body, buffer.unread()),
        };
        CarriedReader { stage, head: head.to_vec(), body: body.to_vec(), unread: unread.to_vec() }
    }

    /// The reader that was carried; `None` where no reader can be in such a state.
    pub(crate) fn restore(carried: CarriedReader) -> Option<Self> {
        let CarriedReader { stage, head, body, unread } = carried;
        let has_head = matches!(stage, CarriedStage::Body(_) | CarriedStage::Whole);
        let fits = match has_head {
            true => is_head(&head),
            false => head.is_empty() && body.is_empty(),
        };
        if !fits {
            return None;
        }
        let stage = match stage {
            CarriedStage::Head => Stage::Head,
            CarriedStage::Body(carried) => Stage::Body(carried.restore()?),
            CarriedStage::Whole => Stage::Whole,
            CarriedStage::Failed(number) => {
                Stage::Failed(ERRORS.into_iter().find(|error| number_of(*error) == number)?)
            }
        };
        Some(Self { buffer: Buffer::restore(head, &unread), stage, body })
    }
}

/// Whether these bytes are one head, whatever its size: the limits may be others than when it was read.
fn is_head(bytes: &[u8]) -> bool {
    let any = HeadLimits { max_bytes: usize::MAX, max_headers: usize::MAX, max_target_bytes: usize::MAX };
    HeadScanner::default().scan(bytes, &any) == Ok(Some(bytes.len()))
}

impl CarriedBody {
    fn of(reader: &BodyReader) -> Self {
        let BodyReader { state, room, framing_room } = reader;
        let (state, size, digits) = match *state {
            State::Done => (0, 0, 0),
            State::Length { remaining } => (1, remaining, 0),
            State::ChunkSize { digits, size } => (2, size, digits),
            State::AfterSize { size } => (3, size, 0),
            State::Extension { size } => (4, size, 0),
            State::SizeLineFeed { size } => (5, size, 0),
            State::ChunkData { remaining } => (6, remaining, 0),
            State::DataCarriageReturn => (7, 0, 0),
            State::DataLineFeed => (8, 0, 0),
            State::TrailerStart => (9, 0, 0),
            State::Trailer => (10, 0, 0),
            State::TrailerLineFeed => (11, 0, 0),
            State::LastLineFeed => (12, 0, 0),
        };
        Self { state, size, digits, room: *room, framing_room: *framing_room as u64 }
    }

    fn restore(self) -> Option<BodyReader> {
        let Self { state, size, digits, room, framing_room } = self;
        let state = match state {
            0 => State::Done,
            1 if size <= room => State::Length { remaining: size },
            2 if digits <= BodyReader::MAX_SIZE_DIGITS => State::ChunkSize { digits, size },
            3 => State::AfterSize { size },
            4 => State::Extension { size },
            5 => State::SizeLineFeed { size },
            6 => State::ChunkData { remaining: size },
            7 => State::DataCarriageReturn,
            8 => State::DataLineFeed,
            9 => State::TrailerStart,
            10 => State::Trailer,
            11 => State::TrailerLineFeed,
            12 => State::LastLineFeed,
            _ => return None,
        };
        let framing_room = usize::try_from(framing_room).ok()?;
        (framing_room <= BodyReader::MAX_FRAMING_BYTES).then_some(BodyReader { state, room, framing_room })
    }
}

const ERRORS: [RequestError; 14] = [
    RequestError::Head(HeadError::Malformed),
    RequestError::Head(HeadError::BareLineFeed),
    RequestError::Head(HeadError::BadTarget),
    RequestError::Head(HeadError::BadHost),
    RequestError::Head(HeadError::BadFraming),
    RequestError::Head(HeadError::UnsupportedCoding),
    RequestError::Head(HeadError::UnknownExpectation),
    RequestError::Head(HeadError::TargetTooLong),
    RequestError::Head(HeadError::TooLarge),
    RequestError::Head(HeadError::TooManyHeaders),
    RequestError::Head(HeadError::UnsupportedVersion),
    RequestError::Body(BodyError::TooLarge),
    RequestError::Body(BodyError::BadChunk),
    RequestError::Body(BodyError::TooMuchFraming),
];

/// What an error is called on the way: numbers stay what they are in every version.
fn number_of(error: RequestError) -> u8 {
    match error {
        RequestError::Head(HeadError::Malformed) => 0,
        RequestError::Head(HeadError::BareLineFeed) => 1,
        RequestError::Head(HeadError::BadTarget) => 2,
        RequestError::Head(HeadError::BadHost) => 3,
        RequestError::Head(HeadError::BadFraming) => 4,
        RequestError::Head(HeadError::UnsupportedCoding) => 5,
        RequestError::Head(HeadError::UnknownExpectation) => 6,
        RequestError::Head(HeadError::TargetTooLong) => 7,
        RequestError::Head(HeadError::TooLarge) => 8,
        RequestError::Head(HeadError::TooManyHeaders) => 9,
        RequestError::Head(HeadError::UnsupportedVersion) => 10,
        RequestError::Body(BodyError::TooLarge) => 11,
        RequestError::Body(BodyError::BadChunk) => 12,
        RequestError::Body(BodyError::TooMuchFraming) => 13,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{MessageLimits, RequestProgress};

    const LIMITS: MessageLimits = MessageLimits {
        head: HeadLimits { max_bytes: 300, max_headers: 6, max_target_bytes: 60 },
        max_body_bytes: 12,
    };

    /// The reader as another process gets it.
    fn carried(reader: &RequestReader) -> RequestReader {
        let bytes = minicbor::to_vec(reader.carry()).unwrap();
        RequestReader::restore(minicbor::decode(&bytes).unwrap()).expect("a reader was in this state")
    }

    /// What a door hears of `pieces`, where the reader is carried after each piece of which `is_carried` says so.
    fn hear(pieces: &[&[u8]], mut is_carried: impl FnMut(usize) -> bool) -> Vec<String> {
        let (mut reader, mut heard) = (RequestReader::default(), Vec::new());
        for (number, piece) in pieces.iter().enumerate() {
            reader.push(piece);
            loop {
                match reader.read(&LIMITS) {
                    Ok(RequestProgress::NeedsMore) => break,
                    Ok(RequestProgress::ExpectsContinue) => heard.push("100".to_owned()),
                    Ok(RequestProgress::Head(head)) => heard.push(head.target.to_owned()),
                    Ok(RequestProgress::Whole(head, body)) => {
                        heard.push(format!("{} {}", head.method, body.escape_ascii()));
                        reader.next_request();
                    }
                    Err(error) => {
                        heard.push(error.to_string());
                        break;
                    }
                }
            }
            if is_carried(number) {
                let before = (reader.is_between_requests(), reader.is_in_head(), reader.is_head());
                reader = carried(&reader);
                let after = (reader.is_between_requests(), reader.is_in_head(), reader.is_head());
                assert_eq!(before, after);
            }
        }
        heard
    }

    const WIRES: &[&str] = &[
        "\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\nHEAD /b HTTP/1.1\r\nHost: a\r\n\r\n",
        "PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcPUT /b HTTP/1.0\r\nContent-Length: 0\r\n\r\nGET",
        "PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n02 ;x=y\r\nab\r\nA\r\n0123456789\r\n0\r\nA: b\r\nC: d\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n",
        "PUT /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
        "PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 13\r\n\r\nabc",
        "PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab",
        "GET /a HTTP/1.1\r\nHost: a\n\r\n",
    ];

    #[test]
    fn a_reader_that_is_carried_after_any_byte_reads_on_as_if_it_had_not_been() {
        for wire in WIRES {
            for cut in 0..wire.len() {
                let (one, other) = wire.as_bytes().split_at(cut);
                let expected = hear(&[one, other], |_| false);
                assert_eq!(hear(&[one, other], |_| true), expected, "{wire:?} at {cut}");
            }
            let bytes: Vec<&[u8]> = wire.as_bytes().chunks(1).collect();
            assert_eq!(hear(&bytes, |_| true), hear(&bytes, |_| false), "{wire:?}");
        }
    }

    #[test]
    fn a_head_that_was_given_is_given_again_and_a_whole_request_is_whole() {
        let mut reader = RequestReader::default();
        reader.push(b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
        assert!(matches!(reader.read(&LIMITS), Ok(RequestProgress::Head(_))));
        let mut again = carried(&reader);
        assert!(matches!(again.read(&LIMITS), Ok(RequestProgress::Head(_))));
        assert!(matches!(again.read(&LIMITS), Ok(RequestProgress::Whole(..))));
        let mut whole = carried(&again);
        assert!(matches!(whole.read(&LIMITS), Ok(RequestProgress::Whole(_, body)) if body == b"hi"));
    }

    #[test]
    fn states_that_no_reader_is_in_are_refused() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
        let body = |state, size, digits, framing_room| {
            CarriedStage::Body(CarriedBody { state, size, digits, room: 10, framing_room })
        };
        let restore = |stage, head: &[u8], body: &[u8]| {
            let carried =
                CarriedReader { stage, head: head.to_vec(), body: body.to_vec(), unread: Vec::new() };
            RequestReader::restore(carried)
        };
        assert!(restore(body(2, 1, 16, 9), &head, b"x").is_some());
        assert!(restore(CarriedStage::Whole, &head, b"x").is_some());
        assert!(restore(CarriedStage::Failed(13), b"", b"").is_some());
        for (stage, head, body) in [
            (CarriedStage::Head, &head[..], &b""[..]),
            (CarriedStage::Head, b"", b"x"),
            (CarriedStage::Whole, b"", b""),
            (CarriedStage::Whole, &head[..head.len() - 1], b""),
            (CarriedStage::Whole, &[&head[..], b"x"].concat(), b""),
            (CarriedStage::Failed(14), b"", b""),
            (body(13, 0, 0, 0), &head, b""),
            (body(1, 11, 0, 0), &head, b""),
            (body(2, 0, 17, 0), &head, b""),
            (body(0, 0, 0, BodyReader::MAX_FRAMING_BYTES as u64 + 1), &head, b""),
        ] {
            assert!(restore(stage.clone(), head, body).is_none(), "{stage:?}");
        }
    }

    #[test]
    fn every_error_has_a_number_of_its_own() {
        let numbers: Vec<u8> = ERRORS.into_iter().map(number_of).collect();
        assert_eq!(numbers, (0..ERRORS.len() as u8).collect::<Vec<_>>());
    }
}
