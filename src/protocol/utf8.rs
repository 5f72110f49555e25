//! UTF-8 checks, RFC 6455 §8.1: of a whole text at once, and of one that comes in pieces, where the first byte that
//! no continuation could make good is refused at once. It knows nothing of frames.

/// From this length on, in bytes, SIMD is faster than the standard library.
const SIMD_MIN_BYTES: usize = 64;

/// The bytes are not UTF-8, whatever may follow them.
///
/// ```
/// use gannet::protocol::{InvalidUtf8, TextAssembly};
/// assert_eq!(TextAssembly::default().push(b"\xff"), Err(InvalidUtf8));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidUtf8;

/// The whole of `bytes` as text.
#[inline]
pub(super) fn check(bytes: &[u8]) -> Result<&str, InvalidUtf8> {
    if bytes.len() < SIMD_MIN_BYTES {
        std::str::from_utf8(bytes).map_err(|_| InvalidUtf8)
    } else {
        simdutf8::basic::from_utf8(bytes).map_err(|_| InvalidUtf8)
    }
}

/// Text that comes in pieces, cut anywhere.
///
/// ```
/// use gannet::protocol::TextAssembly;
/// let mut text = TextAssembly::default();
/// text.push(b"na\xc3").unwrap();
/// text.push(b"\xafve").unwrap();
/// assert_eq!(text.finish().unwrap(), "naïve");
/// ```
#[derive(Debug, Default)]
pub struct TextAssembly {
    text: String,
    /// The start of a character whose rest is still to come; only the first `tail_length` bytes count.
    tail: [u8; 4],
    /// 0 to 3: four bytes are always a character or an error.
    tail_length: u8,
}

impl TextAssembly {
    /// Checks the next piece and keeps it.
    ///
    /// # Errors
    /// [`InvalidUtf8`] as soon as the bytes so far are not the start of any UTF-8 text.
    pub fn push(&mut self, mut piece: &[u8]) -> Result<(), InvalidUtf8> {
        while self.tail_length > 0 {
            let Some((&byte, rest)) = piece.split_first() else { return Ok(()) };
            piece = rest;
            self.push_to_tail(byte)?;
        }
        let (whole, tail) = piece.split_at(piece.len() - unfinished_character_length(piece));
        self.text.push_str(check(whole)?);
        tail.iter().try_for_each(|&byte| self.push_to_tail(byte))
    }

    /// The text, when it does not end within a character.
    ///
    /// # Errors
    /// [`InvalidUtf8`] when it does.
    pub fn finish(self) -> Result<String, InvalidUtf8> {
        if self.tail_length == 0 { Ok(self.text) } else { Err(InvalidUtf8) }
    }

    /// What has come of it, the start of a character included.
    #[cfg(feature = "server")]
    pub(super) fn bytes(&self) -> Vec<u8> {
        [self.text.as_bytes(), &self.tail[..usize::from(self.tail_length)]].concat()
    }

    /// How many bytes so far.
    pub(super) fn len(&self) -> usize {
        self.text.len() + usize::from(self.tail_length)
    }

    pub(super) fn capacity(&self) -> usize {
        self.text.capacity()
    }

    pub(super) fn reserve_exact(&mut self, additional: usize) {
        self.text.reserve_exact(additional);
    }

    fn push_to_tail(&mut self, byte: u8) -> Result<(), InvalidUtf8> {
        let length = usize::from(self.tail_length);
        self.tail[length] = byte;
        match std::str::from_utf8(&self.tail[..=length]) {
            Ok(character) => {
                self.text.push_str(character);
                self.tail_length = 0;
                Ok(())
            }
            Err(error) if error.error_len().is_none() => {
                self.tail_length += 1;
                Ok(())
            }
            Err(_) => Err(InvalidUtf8),
        }
    }
}

/// How many bytes at the end look like a character that is cut off: 0 to 3. They are not checked here.
fn unfinished_character_length(bytes: &[u8]) -> usize {
    for (length, byte) in (1..=3).zip(bytes.iter().rev()) {
        let character_length = match byte {
            0x80..=0xbf => continue,
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xff => 4,
            _ => 1,
        };
        return if character_length > length { length } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The oracle: how many bytes, one at a time, std still takes for the start of a text.
    fn bytes_taken_by_std(bytes: &[u8]) -> usize {
        match std::str::from_utf8(bytes) {
            Err(error) if error.error_len().is_some() => {
                let start = error.valid_up_to();
                (start..bytes.len())
                    .find(|&end| {
                        std::str::from_utf8(&bytes[start..=end]).is_err_and(|e| e.error_len().is_some())
                    })
                    .unwrap_or(bytes.len())
            }
            _ => bytes.len(),
        }
    }

    fn bytes_taken(bytes: &[u8]) -> usize {
        let mut text = TextAssembly::default();
        bytes.iter().position(|&byte| text.push(&[byte]).is_err()).unwrap_or(bytes.len())
    }

    fn texts() -> Vec<Vec<u8>> {
        let mut texts: Vec<Vec<u8>> = [
            &b""[..],
            b"a",
            "κόσμε".as_bytes(),
            "a\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}".as_bytes(),
            b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
            b"\xf4\x90\x80\x80",
            b"\xc0\xaf",
            b"\xe0\x80\xaf",
            b"\xf0\x80\x80\xaf",
            b"\xf8\x88\x80\x80\x80",
            b"\xfe",
            b"\xff\xff",
            b"\x80",
            b"ab\xbf\xbf",
            b"\xc3",
            b"\xe2\x82",
            b"\xf0\x9f\x8e",
            b"\xed\xbf\xbf",
            b"\xf0\x9f\x8e\xb2\xf0\x9f\x8e\xb2",
        ]
        .iter()
        .map(|text| text.to_vec())
        .collect();
        for text in texts.clone() {
            // Long enough for SIMD.
            texts.push([&[b'x'; 70], &text[..], "ü".repeat(40).as_bytes()].concat());
        }
        texts
    }

    #[test]
    fn fails_at_the_same_byte_as_std() {
        for text in texts() {
            assert_eq!(bytes_taken(&text), bytes_taken_by_std(&text), "{text:x?}");
        }
    }

    #[test]
    fn all_starts_of_a_character_are_judged_as_std_does() {
        // Miri, which looks at every access, has no time for them all.
        let step = if cfg!(miri) { 15 } else { 1 };
        for first in (0x80..=0xff_u8).step_by(step) {
            for second in (0..=0xff_u8).step_by(step) {
                for third in [0x00, 0x7f, 0x80, 0xbf, 0xc0, 0xff_u8] {
                    let text = [first, second, third];
                    assert_eq!(bytes_taken(&text), bytes_taken_by_std(&text), "{text:x?}");
                }
            }
        }
    }

    #[test]
    fn every_cut_gives_what_std_gives() {
        for bytes in texts() {
            let expected = std::str::from_utf8(&bytes).map(str::to_owned).map_err(|_| InvalidUtf8);
            assert_eq!(check(&bytes).map(str::to_owned), expected, "{bytes:x?}");
            for cut in 0..=bytes.len() {
                let mut text = TextAssembly::default();
                let pushed = text.push(&bytes[..cut]).and_then(|()| text.push(&bytes[cut..]));
                assert_eq!(pushed.and_then(|()| text.finish()), expected, "{bytes:x?} cut at {cut}");
            }
        }
    }
}
