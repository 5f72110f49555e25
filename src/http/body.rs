//! A message's body, decoded as its bytes come in.

use super::BodyError;

/// How the length of a body is known (RFC 9112 §6.3).
///
/// ```
/// use gannet::http::{BodyFraming, BodyReader};
/// assert!(BodyReader::new(BodyFraming::None, 0).unwrap().is_done());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFraming {
    /// There is no body.
    None,
    /// So many bytes, by `Content-Length`.
    Length(u64),
    /// By `Transfer-Encoding: chunked` (RFC 9112 §7.1).
    Chunked,
}

/// Decodes a body piece by piece, within a bound.
///
/// ```
/// use gannet::http::{BodyFraming, BodyReader};
/// let mut reader = BodyReader::new(BodyFraming::Chunked, 1024).unwrap();
/// let mut body = Vec::new();
/// assert_eq!(reader.read(b"5\r\nhel", &mut body), Ok((6, false)));
/// assert_eq!(reader.read(b"lo\r\n0\r\n\r\nGET /", &mut body), Ok((9, true)));
/// assert_eq!(body, b"hello");
/// ```
#[derive(Debug, Clone)]
pub struct BodyReader {
    pub(super) state: State,
    /// Bytes of the body that may still come.
    pub(super) room: u64,
    /// Bytes of chunk extensions and trailer fields that may still come.
    pub(super) framing_room: usize,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Length { remaining: u64 },
    ChunkSize { digits: u8, size: u64 },
    AfterSize { size: u64 },
    Extension { size: u64 },
    SizeLineFeed { size: u64 },
    ChunkData { remaining: u64 },
    DataCarriageReturn,
    DataLineFeed,
    TrailerStart,
    Trailer,
    TrailerLineFeed,
    LastLineFeed,
    Done,
}

impl BodyReader {
    /// Chunk extensions and trailer fields of one body, in bytes; they are read over, and mean nothing here.
    pub const MAX_FRAMING_BYTES: usize = 16 * 1024;
    /// Hex digits of a chunk's size: 64 bits.
    pub(super) const MAX_SIZE_DIGITS: u8 = 16;

    /// A reader of one body of at most `max` bytes once decoded.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`] when `framing` announces more than `max`.
    pub fn new(framing: BodyFraming, max: usize) -> Result<Self, BodyError> {
        let room = max as u64;
        let state = match framing {
            BodyFraming::None | BodyFraming::Length(0) => State::Done,
            BodyFraming::Length(length) if length > room => return Err(BodyError::TooLarge),
            BodyFraming::Length(remaining) => State::Length { remaining },
            BodyFraming::Chunked => State::ChunkSize { digits: 0, size: 0 },
        };
        Ok(Self { state, room, framing_room: Self::MAX_FRAMING_BYTES })
    }

    /// Whether the body is whole.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Reads from `input` what belongs to this body and appends what it decodes to `body`. Answers how many bytes of
    /// `input` it took, all of them unless the body ended before, and whether the body is whole.
    ///
    /// # Errors
    /// [`BodyError`]; nothing may be read after one.
    pub fn read(&mut self, input: &[u8], body: &mut Vec<u8>) -> Result<(usize, bool), BodyError> {
        let mut rest = input;
        while !self.is_done() {
            let Some((&byte, after)) = rest.split_first() else { break };
            rest = match self.state {
                State::Length { remaining } | State::ChunkData { remaining } => {
                    self.take_data(remaining, rest, body)
                }
                _ => {
                    self.state = self.step(byte)?;
                    after
                }
            };
        }
        Ok((input.len() - rest.len(), self.is_done()))
    }

    fn take_data<'i>(&mut self, remaining: u64, input: &'i [u8], body: &mut Vec<u8>) -> &'i [u8] {
        let taken = usize::try_from(remaining).map_or(input.len(), |remaining| remaining.min(input.len()));
        let (data, rest) = input.split_at(taken);
        body.extend_from_slice(data);
        let remaining = remaining - taken as u64;
        self.state = match self.state {
            State::Length { .. } if remaining == 0 => State::Done,
            State::Length { .. } => State::Length { remaining },
            _ if remaining == 0 => State::DataCarriageReturn,
            _ => State::ChunkData { remaining },
        };
        rest
    }

    /// One byte of the chunked coding outside of the data (RFC 9112 §7.1); a line ends in CR LF and in nothing else.
    fn step(&mut self, byte: u8) -> Result<State, BodyError> {
        Ok(match (self.state, byte) {
            (State::ChunkSize { digits, size }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                if digits == Self::MAX_SIZE_DIGITS {
                    return Err(BodyError::BadChunk);
                }
                State::ChunkSize { digits: digits + 1, size: size << 4 | hex_value(byte) }
            }
            (State::ChunkSize { digits: 1.., size }, b'\r') | (State::Extension { size }, b'\r') => {
                State::SizeLineFeed { size }
            }
            (State::ChunkSize { digits: 1.., size }, b';') | (State::AfterSize { size }, b';') => {
                self.spend_framing()?;
                State::Extension { size }
            }
            // White space may stand before the semicolon of an extension, and nowhere else.
            (State::ChunkSize { digits: 1.., size }, b' ' | b'\t')
            | (State::AfterSize { size }, b' ' | b'\t') => {
                self.spend_framing()?;
                State::AfterSize { size }
            }
            (State::Extension { size }, byte) if is_text(byte) => {
                self.spend_framing()?;
                State::Extension { size }
            }
            (State::SizeLineFeed { size: 0 }, b'\n') => State::TrailerStart,
            (State::SizeLineFeed { size }, b'\n') => {
                self.room = self.room.checked_sub(size).ok_or(BodyError::TooLarge)?;
                State::ChunkData { remaining: size }
            }
            (State::DataCarriageReturn, b'\r') => State::DataLineFeed,
            (State::DataLineFeed, b'\n') => State::ChunkSize { digits: 0, size: 0 },
            (State::TrailerStart, b'\r') => State::LastLineFeed,
            (State::Trailer, b'\r') => State::TrailerLineFeed,
            (State::TrailerStart | State::Trailer, byte) if is_text(byte) => {
                self.spend_framing()?;
                State::Trailer
            }
            (State::TrailerLineFeed, b'\n') => State::TrailerStart,
            (State::LastLineFeed, b'\n') => State::Done,
            _ => return Err(BodyError::BadChunk),
        })
    }

    fn spend_framing(&mut self) -> Result<(), BodyError> {
        self.framing_room = self.framing_room.checked_sub(1).ok_or(BodyError::TooMuchFraming)?;
        Ok(())
    }
}

fn hex_value(digit: u8) -> u64 {
    u64::from(match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    })
}

/// A byte of a field value or a chunk extension: HTAB, SP, VCHAR or obs-text (RFC 9110 §5.5).
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body and the bytes left over, or the error; `None` while it is not whole.
    fn decode(
        framing: BodyFraming,
        max: usize,
        input: &[u8],
        step: usize,
    ) -> Result<Option<(Vec<u8>, usize)>, BodyError> {
        let mut reader = BodyReader::new(framing, max)?;
        let mut body = Vec::new();
        let mut consumed = 0;
        for piece in input.chunks(step) {
            let (taken, done) = reader.read(piece, &mut body)?;
            consumed += taken;
            if done {
                break;
            }
            assert_eq!(taken, piece.len());
        }
        Ok(reader.is_done().then_some((body, input.len() - consumed)))
    }

    #[test]
    fn chunked_bodies_however_they_are_split() {
        let long_extension = format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(BodyReader::MAX_FRAMING_BYTES));
        let long_trailer = format!("0\r\nx: {}\r\n\r\n", "x".repeat(BodyReader::MAX_FRAMING_BYTES));
        let bad = Err(BodyError::BadChunk);
        let whole = |body: &str, left: usize| Ok(Some((body.as_bytes().to_vec(), left)));
        type Expected = Result<Option<(Vec<u8>, usize)>, BodyError>;
        let table: &[(&str, Expected)] = &[
            ("0\r\n\r\n", whole("", 0)),
            ("5\r\nhello\r\n0\r\n\r\n", whole("hello", 0)),
            ("5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\n", whole("hello", 16)),
            ("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", whole("hello", 0)),
            ("a\r\n0123456789\r\n00\r\n\r\n", whole("0123456789", 0)),
            ("0000000000000001\r\na\r\nA\r\n0123456789\r\n0\r\n\r\n", whole("a0123456789", 0)),
            ("5;name=\"v\";x\r\nhello\r\n0;y\r\n\r\n", whole("hello", 0)),
            ("5 \t; x\r\nhello\r\n0\r\n\r\n", whole("hello", 0)),
            ("1\r\n\n\r\n0\r\n\r\n", whole("\n", 0)),
            ("1\r\na\r\n0\r\nA: b\r\nC: d\r\n\r\n.", whole("a", 1)),
            ("5\r\nhel", Ok(None)),
            ("5\r\nhello\r\n0\r\n", Ok(None)),
            ("5\r\nhello\r\n0\r\n\r", Ok(None)),
            ("11\r\n0123456789abcdefg\r\n0\r\n\r\n", Err(BodyError::TooLarge)),
            ("f\r\n0123456789abcde\r\n2\r\nxy\r\n0\r\n\r\n", Err(BodyError::TooLarge)),
            ("ffffffffffffffff\r\n", Err(BodyError::TooLarge)),
            ("00000000000000001\r\na\r\n0\r\n\r\n", bad.clone()),
            ("\r\n", bad.clone()),
            ("5\nhello\r\n0\r\n\r\n", bad.clone()),
            ("5\r\nhello\n0\r\n\r\n", bad.clone()),
            ("5\r\nhello!\r\n0\r\n\r\n", bad.clone()),
            ("5 \r\nhello\r\n0\r\n\r\n", bad.clone()),
            (" 5\r\nhello\r\n0\r\n\r\n", bad.clone()),
            ("-1\r\n", bad.clone()),
            ("0x5\r\nhello\r\n0\r\n\r\n", bad.clone()),
            ("5;a\nb\r\nhello\r\n0\r\n\r\n", bad.clone()),
            ("0\r\n\n", bad.clone()),
            ("0\r\nA: b\nC: d\r\n\r\n", bad.clone()),
            ("0\r\nA: b\rC: d\r\n\r\n", bad.clone()),
            (&long_extension, Err(BodyError::TooMuchFraming)),
            (&long_trailer, Err(BodyError::TooMuchFraming)),
        ];
        for (input, expected) in table {
            for step in [1, 2, 3, 5, 7, 4096, usize::MAX] {
                let decoded = decode(BodyFraming::Chunked, 16, input.as_bytes(), step);
                assert_eq!(&decoded, expected, "{:?} in steps of {step}", &input[..input.len().min(60)]);
            }
        }
    }

    #[test]
    fn what_an_encoder_makes_comes_back() {
        for size in [0usize, 1, 9, 15, 16, 17, 255, 256, 1000] {
            let body: Vec<u8> = (0..size).map(|n| (n * 7 % 251) as u8).collect();
            for chunk in [1, 3, 16, 1000] {
                let mut encoded = Vec::new();
                for piece in body.chunks(chunk) {
                    encoded.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                    encoded.extend_from_slice(piece);
                    encoded.extend_from_slice(b"\r\n");
                }
                encoded.extend_from_slice(b"0\r\n\r\nrest");
                for step in [1, 2, 11, usize::MAX] {
                    let decoded = decode(BodyFraming::Chunked, size, &encoded, step);
                    assert_eq!(decoded.map(|whole| whole.map(|(body, _)| body)), Ok(Some(body.clone())));
                }
            }
        }
    }

    #[test]
    fn bodies_of_a_known_length() {
        for step in 1..8 {
            assert_eq!(decode(BodyFraming::Length(5), 5, b"hello", step), Ok(Some((b"hello".to_vec(), 0))));
            assert_eq!(
                decode(BodyFraming::Length(5), 5, b"helloGET", step),
                Ok(Some((b"hello".to_vec(), 3)))
            );
            assert_eq!(decode(BodyFraming::Length(5), 5, b"hell", step), Ok(None));
            assert_eq!(decode(BodyFraming::Length(0), 5, b"GET", step), Ok(Some((vec![], 3))));
            assert_eq!(decode(BodyFraming::None, 5, b"GET", step), Ok(Some((vec![], 3))));
        }
    }

    #[test]
    fn a_length_beyond_the_bound_is_refused_before_any_byte() {
        for length in [6, u64::MAX] {
            let error = BodyReader::new(BodyFraming::Length(length), 5).unwrap_err();
            assert_eq!((error, error.status()), (BodyError::TooLarge, 413));
        }
    }

    #[test]
    fn the_bound_is_for_this_body_not_for_the_vector() {
        let mut body = b"before".to_vec();
        let mut reader = BodyReader::new(BodyFraming::Chunked, 2).unwrap();
        assert_eq!(reader.read(b"2\r\nab\r\n0\r\n\r\n", &mut body), Ok((12, true)));
        assert_eq!(body, b"beforeab");
    }
}
