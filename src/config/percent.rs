//! Percent-encoding (RFC 3986 §2.1).

use std::fmt;

/// A text with every byte percent-encoded that is not unreserved (RFC 3986 §2.3) or among the characters that are also
/// left as they are.
pub struct Encoded<'a>(pub &'a str, pub &'a str);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text, left) = self;
        for byte in text.bytes() {
            let is_left =
                byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || left.as_bytes().contains(&byte);
            if is_left { write!(f, "{}", char::from(byte))? } else { write!(f, "%{byte:02X}")? }
        }
        Ok(())
    }
}

/// The text that is percent-encoded as `text`; a `+` is a `+`. `None` where a `%` has no two hexadecimal digits behind it, or the bytes are
/// no UTF-8.
pub fn decode(text: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |index: usize| behind.get(index).and_then(|&digit| char::from(digit).to_digit(16));
        let (high, low) = (digit(0)?, digit(1)?);
        bytes.push((high << 4 | low) as u8);
        rest = &behind[2..];
    }
    String::from_utf8(bytes).ok()
}
