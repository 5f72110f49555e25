//! Where a frame ends, found step by step as its bytes come.

use std::fmt;

/// How much of a peer is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParserLimits {
    /// Bytes of a frame, its type and lengths included.
    pub max_frame_bytes: usize,
    /// Lists in lists: 1 is one that holds none. Decoding recurses so deep.
    pub max_depth: usize,
}

/// Why bytes cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParseError {
    /// A frame is longer than it may be.
    TooLarge,
    /// Lists in lists, deeper than they may be.
    TooDeep,
    /// No RESP3.
    Malformed,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "a reply or message is larger than it may be",
            Self::TooDeep => "a reply has too many lists in lists",
            Self::Malformed => "what came is no RESP3",
        })
    }
}

/// The fewest bytes of a value: a type and a line end.
const LEAST_BYTES: usize = 3;

/// The most digits that a length or count is written with.
const MAX_DIGITS: usize = 10;

/// How far a frame has been looked at.
#[derive(Debug, Default)]
pub struct Scan {
    /// Everything before it is understood.
    position: usize,
    /// Behind `position`, so many bytes have no line end among them.
    searched: usize,
    /// How many values are to come: the frame's own first, then those of each list that is open, the innermost last, which
    /// is not 0.
    to_come: Vec<usize>,
}

/// What a line begins.
enum Begun {
    /// A value that is whole with its line.
    Whole,
    /// A value of so many bytes and a line end behind its line.
    Bytes(usize),
    /// A value that holds so many.
    Holds(usize),
    /// So many values that do not count; the value itself follows.
    Attribute(usize),
}

impl Scan {
    /// Whether nothing has been looked at.
    pub fn is_fresh(&self) -> bool {
        self.position == 0 && self.searched == 0
    }

    /// The length of the frame that `bytes` begin with; `None` until all of it is there. Every call gets the same bytes
    /// again, and what came behind them.
    pub fn find_end(&mut self, bytes: &[u8], limits: &ParserLimits) -> Result<Option<usize>, ParseError> {
        if self.is_fresh() {
            self.to_come.clear();
            self.to_come.push(1);
        }
        while !self.to_come.is_empty() {
            let Some(line_end) = self.find_line_end(bytes, limits.max_frame_bytes)? else { return Ok(None) };
            let begun = begin(&bytes[self.position..line_end - 2])?;
            let end = match begun {
                Begun::Bytes(length) => match bulk_end(bytes, line_end, length, limits.max_frame_bytes)? {
                    Some(end) => end,
                    None => return Ok(None),
                },
                Begun::Whole | Begun::Holds(_) | Begun::Attribute(_) => line_end,
            };
            // A push stands between replies, never in one.
            if bytes[self.position] == b'>' && self.to_come.len() > 1 {
                return Err(ParseError::Malformed);
            }
            (self.position, self.searched) = (end, 0);
            self.count(&begun, limits)?;
        }
        Ok(Some(self.position))
    }

    /// The end of the line at `position`, behind its CR LF.
    fn find_line_end(&mut self, bytes: &[u8], max: usize) -> Result<Option<usize>, ParseError> {
        // Nothing behind the limit is looked at, so that the same error comes however the bytes were cut.
        let window = &bytes[..bytes.len().min(max)];
        let from = self.position + self.searched;
        let found = memchr::memchr2(b'\r', b'\n', &window[from..]).map(|at| from + at);
        let behind = found.filter(|&at| window[at] == b'\r').map(|at| window.get(at + 1));
        match (found, behind) {
            (Some(at), Some(Some(b'\n'))) => Ok(Some(at + 2)),
            (Some(_), Some(Some(_)) | None) => Err(ParseError::Malformed),
            _ if window.len() == max => Err(ParseError::TooLarge),
            (found, _) => {
                self.searched = found.unwrap_or(window.len()) - self.position;
                Ok(None)
            }
        }
    }

    /// Counts what has begun, and closes the lists that are whole with it.
    fn count(&mut self, begun: &Begun, limits: &ParserLimits) -> Result<(), ParseError> {
        if let (false, Some(innermost)) = (matches!(begun, Begun::Attribute(_)), self.to_come.last_mut()) {
            *innermost -= 1;
        }
        if let Begun::Holds(held @ 1..) | Begun::Attribute(held @ 1..) = *begun {
            if held > limits.max_frame_bytes / LEAST_BYTES {
                return Err(ParseError::TooLarge);
            }
            if self.to_come.len() > limits.max_depth {
                return Err(ParseError::TooDeep);
            }
            self.to_come.push(held);
        }
        while self.to_come.last() == Some(&0) {
            self.to_come.pop();
        }
        Ok(())
    }
}

fn begin(line: &[u8]) -> Result<Begun, ParseError> {
    let (kind, rest) = line.split_first().ok_or(ParseError::Malformed)?;
    let held = || number(rest).ok_or(ParseError::Malformed);
    Ok(match kind {
        b'+' | b'-' | b':' | b',' | b'(' | b'#' | b'_' => Begun::Whole,
        // A null of RESP2.
        b'$' | b'*' if rest == b"-1" => Begun::Whole,
        b'$' | b'=' | b'!' => Begun::Bytes(held()?),
        b'*' | b'~' | b'>' => Begun::Holds(held()?),
        b'%' => Begun::Holds(held()?.saturating_mul(2)),
        b'|' => Begun::Attribute(held()?.saturating_mul(2)),
        _ => return Err(ParseError::Malformed),
    })
}

/// Where a value of `length` bytes and its line end are over that begin at `start`; `None` until they are there.
fn bulk_end(bytes: &[u8], start: usize, length: usize, max: usize) -> Result<Option<usize>, ParseError> {
    let end = start.saturating_add(length).saturating_add(2);
    if end > max {
        return Err(ParseError::TooLarge);
    }
    match bytes.get(end - 2..end) {
        None => Ok(None),
        Some(b"\r\n") => Ok(Some(end)),
        Some(_) => Err(ParseError::Malformed),
    }
}

/// A length or count.
pub fn number(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || digits.len() > MAX_DIGITS {
        return None;
    }
    digits.iter().try_fold(0_usize, |number, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        number.checked_mul(10)?.checked_add(digit as usize)
    })
}
