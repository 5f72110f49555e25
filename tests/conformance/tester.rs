//! Plays a case's script against a peer. Frames are written and read here without the core.

use crate::case::{Case, FIN, Frame, Length, MaskBit, Reply, Role, Step};
use crate::peer::{Peer, Received};

const KEY: [u8; 4] = [0x5c, 0x00, 0xe1, 0x9a];

/// Plays `case`; the error says what went otherwise.
pub fn run(case: &Case, role: Role, peer: Box<dyn Peer>) -> Result<(), String> {
    let mut tester = Tester { role, peer, received: Vec::new() };
    for (number, step) in case.script.iter().enumerate() {
        tester.play(step).map_err(|failure| format!("step {}: {failure}", number + 1))?;
    }
    Ok(())
}

struct Tester {
    /// Of the endpoint under test.
    role: Role,
    peer: Box<dyn Peer>,
    /// What came back and was not looked at.
    received: Vec<u8>,
}

impl Tester {
    fn play(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Send(frames) => self.peer.send(&self.wire(frames)),
            Step::Chopped(frames, size) => {
                for piece in self.wire(frames).chunks(*size) {
                    self.peer.send(piece);
                }
            }
            Step::Part { frame, from, to } => {
                let wire = self.wire(std::slice::from_ref(frame));
                let header = wire.len() - frame.payload.len();
                let from = if *from == 0 { 0 } else { header + from };
                self.peer.send(&wire[from..header + to]);
            }
            Step::Header { first, length, mask_bit } => {
                let masked = (self.role == Role::Server) == (*mask_bit == MaskBit::Right);
                self.peer.send(&header(*first, *length, masked));
            }
            Step::Expect(reply) => {
                let came = self.next_reply()?;
                if came != *reply {
                    return Err(format!("expected {reply:?}, came {came:?}"));
                }
            }
            Step::ExpectSilence => {
                if !(self.received.is_empty() && self.peer.is_silent()) {
                    return Err("something came back too early".to_owned());
                }
            }
        }
        Ok(())
    }

    /// The frames as the tester's role has to send them.
    fn wire(&self, frames: &[Frame]) -> Vec<u8> {
        let is_masked = self.role == Role::Server;
        let mut wire = Vec::new();
        for Frame { first, payload } in frames {
            let length = match payload.len() {
                length @ 0..=125 => Length::Seven(length as u8),
                length @ 126..=0xffff => Length::Sixteen(length as u16),
                length => Length::SixtyFour(length as u64),
            };
            wire.extend(header(*first, length, is_masked));
            let key = if is_masked { KEY } else { [0; 4] };
            wire.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        }
        wire
    }

    fn next_reply(&mut self) -> Result<Reply, String> {
        loop {
            if let Some((reply, length)) = self.parse_reply()? {
                self.received.drain(..length);
                return Ok(reply);
            }
            match self.peer.receive() {
                Received::Bytes(bytes) => self.received.extend(bytes),
                Received::End if self.received.is_empty() => return Ok(Reply::End),
                Received::End => return Err("the stream ended within a frame".to_owned()),
                Received::Nothing => return Err("nothing came back".to_owned()),
            }
        }
    }

    /// The frame at the start of what came, and its length. An endpoint that echoes has no cause to fragment.
    fn parse_reply(&self) -> Result<Option<(Reply, usize)>, String> {
        let [first, second, rest @ ..] = &self.received[..] else { return Ok(None) };
        let is_masked = second & 0x80 != 0;
        if is_masked != (self.role == Role::Client) {
            return Err("the mask bit is wrong (§5.1)".to_owned());
        }
        let length_bytes = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let key_bytes = if is_masked { 4 } else { 0 };
        if rest.len() < length_bytes + key_bytes {
            return Ok(None);
        }
        let length = match length_bytes {
            0 => usize::from(second & 0x7f),
            bytes => rest[..bytes].iter().fold(0, |length, byte| length << 8 | usize::from(*byte)),
        };
        if (length_bytes == 2 && length < 126) || (length_bytes == 8 && length < 0x10000) {
            return Err("the length is not in its shortest form (§5.2)".to_owned());
        }
        let (key, rest) = rest[length_bytes..].split_at(key_bytes);
        let Some(payload) = rest.get(..length) else { return Ok(None) };
        let payload: Vec<u8> = match key {
            [] => payload.to_vec(),
            key => payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect(),
        };
        let reply = match first ^ FIN {
            0x1 => Reply::Text(payload),
            0x2 => Reply::Binary(payload),
            0xa => Reply::Pong(payload),
            0x8 if payload.is_empty() => Reply::Close(None),
            0x8 if payload.len() >= 2 => Reply::Close(Some(u16::from_be_bytes([payload[0], payload[1]]))),
            _ => return Err(format!("a frame came that begins with {first:#04x}")),
        };
        Ok(Some((reply, 2 + length_bytes + key_bytes + length)))
    }
}

fn header(first: u8, length: Length, masked: bool) -> Vec<u8> {
    let mask_bit = if masked { 0x80 } else { 0 };
    let mut header = vec![first];
    match length {
        Length::Seven(length) => header.push(mask_bit | length),
        Length::Sixteen(length) => {
            header.push(mask_bit | 126);
            header.extend(length.to_be_bytes());
        }
        Length::SixtyFour(length) => {
            header.push(mask_bit | 127);
            header.extend(length.to_be_bytes());
        }
    }
    if masked {
        header.extend(KEY);
    }
    header
}
