//! Frames as the floor programs read them: without a check, and turned into the answer where they lie.

use std::ops::Range;

/// Turns the client's frames at the start of `bytes` into the server's, side by side in place. Answers where those are, and
/// how many bytes were used; what is left is the beginning of a frame.
///
/// A server's header is four bytes shorter than a client's: there is always room before the payload.
pub fn echo_in_place(bytes: &mut [u8]) -> (Range<usize>, usize) {
    let mut used = 0;
    let mut out = 0..0;
    while let Some(frame) = Frame::parse(&bytes[used..]) {
        let payload = used + frame.header..used + frame.header + frame.length;
        let key = [0, 1, 2, 3].map(|at| bytes[payload.start - 4 + at]);
        let first = bytes[used];
        unmask(&mut bytes[payload.clone()], key);
        let header = frame.header - 4;
        if out.is_empty() {
            // The first one stays where it is; its header moves up to it.
            out = payload.start - header..payload.start - header;
        } else {
            bytes.copy_within(payload.clone(), out.end + header);
        }
        write_header(&mut bytes[out.end..], first, frame.length);
        out.end += header + frame.length;
        used = payload.end;
    }
    (out, used)
}

/// A whole frame of a client.
struct Frame {
    header: usize,
    length: usize,
}

impl Frame {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (header, length) = match bytes.get(1)? & 0x7f {
            126 => (8, usize::from(u16::from_be_bytes(*bytes[2..].first_chunk()?))),
            127 => (14, usize::try_from(u64::from_be_bytes(*bytes[2..].first_chunk()?)).ok()?),
            length => (6, usize::from(length)),
        };
        (bytes.len() - header.min(bytes.len()) >= length && bytes.len() >= header)
            .then_some(Self { header, length })
    }
}

/// How many more bytes the frame at the start of `bytes` needs to be whole, as far as that is known.
pub fn missing(bytes: &[u8]) -> usize {
    let (header, length) = match bytes.get(1).map(|second| second & 0x7f) {
        None => return 1,
        Some(126) => {
            (8, bytes[2..].first_chunk().map_or(0, |length| usize::from(u16::from_be_bytes(*length))))
        }
        Some(127) => {
            let length = bytes[2..].first_chunk().map_or(0, |length| u64::from_be_bytes(*length));
            (14, usize::try_from(length).unwrap_or(usize::MAX / 2))
        }
        Some(length) => (6, usize::from(length)),
    };
    (header + length).saturating_sub(bytes.len())
}

/// Appends a frame of the server to `out`.
pub fn append_frame(first: u8, payload: &[u8], out: &mut Vec<u8>) {
    let mut header = [0; 10];
    let length = write_header(&mut header, first, payload.len());
    out.extend_from_slice(&header[..length]);
    out.extend_from_slice(payload);
}

fn write_header(out: &mut [u8], first: u8, length: usize) -> usize {
    out[0] = first;
    match length {
        0..=125 => {
            out[1] = length as u8;
            2
        }
        126..=0xffff => {
            out[1] = 126;
            out[2..4].copy_from_slice(&(length as u16).to_be_bytes());
            4
        }
        _ => {
            out[1] = 127;
            out[2..10].copy_from_slice(&(length as u64).to_be_bytes());
            10
        }
    }
}

/// Word by word; the compiler makes vectors of it.
fn unmask(payload: &mut [u8], key: [u8; 4]) {
    let word = u64::from(u32::from_ne_bytes(key));
    let wide = word << 32 | word;
    let (words, rest) = payload.as_chunks_mut::<8>();
    words.iter_mut().for_each(|word| *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes());
    rest.iter_mut().zip(wide.to_ne_bytes()).for_each(|(byte, key)| *byte ^= key);
}

#[cfg(test)]
mod tests {
    use super::*;
    use gannet::protocol::{Event, Input, WebSocket};

    #[test]
    fn frames_come_back_whole_and_in_order_however_many_there_are() {
        let mut client = WebSocket::client(Default::default(), Box::new(|| [1, 2, 3, 250]));
        let lengths = [0, 1, 7, 125, 126, 300, 0xffff, 0x10000, 64, 64];
        for count in 0..=lengths.len() {
            let mut wire = Vec::new();
            let messages: Vec<Vec<u8>> =
                lengths[..count].iter().map(|&length| (0..length).map(|at| at as u8).collect()).collect();
            messages.iter().for_each(|message| client.send_binary(message, &mut wire).unwrap());
            let whole = wire.len();
            let mut next = Vec::new();
            client.send_binary(&[9; 40], &mut next).unwrap();
            wire.extend_from_slice(&next[..next.len() - 1]);

            let (out, used) = echo_in_place(&mut wire);
            assert_eq!(used, whole);
            assert_eq!(missing(&wire[used..]), 1);
            let mut echo = wire[out].to_vec();
            let mut input = Input::new(&mut echo);
            for message in &messages {
                let event = client.receive(&mut input, &mut Vec::new()).unwrap();
                assert_eq!(event, Some(Event::Binary(message.into())));
            }
            assert!(input.is_empty());
        }
    }

    #[test]
    fn what_is_missing_is_known_from_the_header_on() {
        let mut client = WebSocket::client(Default::default(), Box::new(|| [1, 2, 3, 4]));
        for length in [0, 5, 200, 70_000] {
            let mut wire = Vec::new();
            client.send_binary(&vec![0; length], &mut wire).unwrap();
            for cut in 0..wire.len() {
                let needs = missing(&wire[..cut]);
                assert!((1..=wire.len() - cut).contains(&needs));
                assert!(cut < 14 || needs == wire.len() - cut);
            }
            assert_eq!(missing(&wire), 0);
        }
    }

    #[test]
    fn a_frame_of_the_server() {
        let mut client = WebSocket::client(Default::default(), Box::new(|| [0; 4]));
        let mut wire = Vec::new();
        append_frame(0x81, b"hello", &mut wire);
        let event = client.receive(&mut Input::new(&mut wire), &mut Vec::new()).unwrap();
        assert_eq!(event, Some(Event::Text("hello".into())));
    }
}
