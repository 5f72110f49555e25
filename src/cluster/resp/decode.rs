//! A frame whose end has been found, as a value.

use super::Value;
use super::scan::{ParseError, number};

/// The value of a whole frame. It recurses as deep as the lists that the scan let pass.
pub fn value(frame: &[u8]) -> Result<Value, ParseError> {
    let mut rest = frame;
    let value = read(&mut rest)?;
    debug_assert!(rest.is_empty(), "the scan and the decoder see the same end");
    Ok(value)
}

fn read(rest: &mut &[u8]) -> Result<Value, ParseError> {
    let (kind, line) = loop {
        let (kind, line) = read_line(rest)?;
        if kind != b'|' {
            break (kind, line);
        }
        for _ in 0..count(line)? {
            read(rest)?;
            read(rest)?;
        }
    };
    Ok(match kind {
        b'$' | b'*' if line == b"-1" => Value::Null,
        b'_' if line.is_empty() => Value::Null,
        b'#' if line == b"t" => Value::Bool(true),
        b'#' if line == b"f" => Value::Bool(false),
        b':' => Value::Int(parse(line)?),
        b',' => Value::Double(parse(line)?),
        b'+' => Value::Text(text(line)),
        b'(' if is_big_number(line) => Value::Text(text(line)),
        b'-' => Value::Error(text(line)),
        b'$' => Value::Bulk(read_bytes(rest, line)?.into()),
        b'!' => Value::Error(text(read_bytes(rest, line)?)),
        // Three bytes for the format, and a colon.
        b'=' => match read_bytes(rest, line)? {
            [_, _, _, b':', text @ ..] => Value::Bulk(text.into()),
            _ => return Err(ParseError::Malformed),
        },
        b'*' | b'~' => Value::List(read_all(rest, count(line)?)?),
        b'>' => Value::Push(read_all(rest, count(line)?)?),
        b'%' => {
            let pair = |_| Ok((read(rest)?, read(rest)?));
            Value::Map((0..count(line)?).map(pair).collect::<Result<_, _>>()?)
        }
        _ => return Err(ParseError::Malformed),
    })
}

fn read_all(rest: &mut &[u8], count: usize) -> Result<Vec<Value>, ParseError> {
    (0..count).map(|_| read(rest)).collect()
}

/// The type of a value and what stands behind it on the line.
fn read_line<'a>(rest: &mut &'a [u8]) -> Result<(u8, &'a [u8]), ParseError> {
    let end = memchr::memchr(b'\r', rest).ok_or(ParseError::Malformed)?;
    let (line, behind) = (&rest[..end], rest.get(end + 2..).ok_or(ParseError::Malformed)?);
    *rest = behind;
    line.split_first().map(|(kind, line)| (*kind, line)).ok_or(ParseError::Malformed)
}

/// The bytes that follow a line with their length.
fn read_bytes<'a>(rest: &mut &'a [u8], line: &[u8]) -> Result<&'a [u8], ParseError> {
    let length = count(line)?;
    let (bytes, behind) = rest.split_at_checked(length).ok_or(ParseError::Malformed)?;
    *rest = behind.strip_prefix(b"\r\n").ok_or(ParseError::Malformed)?;
    Ok(bytes)
}

fn count(line: &[u8]) -> Result<usize, ParseError> {
    number(line).ok_or(ParseError::Malformed)
}

fn parse<T: std::str::FromStr>(line: &[u8]) -> Result<T, ParseError> {
    let text = std::str::from_utf8(line).map_err(|_| ParseError::Malformed)?;
    text.parse().map_err(|_| ParseError::Malformed)
}

/// Words are for people: a byte that is no UTF-8 does not make a connection useless.
fn text(bytes: &[u8]) -> Box<str> {
    String::from_utf8_lossy(bytes).into()
}

fn is_big_number(line: &[u8]) -> bool {
    let digits = line.strip_prefix(b"-").or(line.strip_prefix(b"+")).unwrap_or(line);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}
