//! The frames in what comes from a client, however the bytes are cut. Beside the protocol, which hands on messages: a record shows
//! frames, also those that break a rule.

use super::frame::Frame;
use crate::protocol::{FrameHeader, MAX_HEADER, Role, Unfinished};

/// See the module. Where the bytes are no frames any more nothing further is looked for.
#[derive(Debug, Default)]
pub struct Scan {
    /// The start of a header that is not whole.
    pub(super) header: Vec<u8>,
    /// The frame whose payload is coming.
    pub(super) frame: Option<Coming>,
    /// What came is no frame.
    pub(super) is_over: bool,
}

/// A frame whose payload is coming.
#[derive(Debug)]
pub struct Coming {
    /// Its header; `None` where the record began in the middle of it.
    pub(super) header: Option<FrameHeader>,
    /// Bytes of the payload that are to come.
    pub(super) left: u64,
    /// The first bytes of the payload.
    pub(super) head: Vec<u8>,
}

impl Scan {
    /// In the middle of a frame.
    pub fn within(unfinished: Unfinished<'_>) -> Self {
        match unfinished {
            Unfinished::Header(start) => Self { header: start.to_vec(), ..Self::default() },
            Unfinished::Payload(left) => {
                Self { frame: Some(Coming { header: None, left, head: Vec::new() }), ..Self::default() }
            }
        }
    }

    /// Bytes have come. `see` is shown each frame that is whole by them, with the first `head` bytes of its payload.
    pub fn take(&mut self, bytes: &[u8], head: usize, mut see: impl FnMut(Frame)) {
        let mut rest = bytes;
        while !self.is_over && !rest.is_empty() {
            if self.frame.is_none() {
                rest = self.take_header(rest, head, &mut see);
            }
            if let Some(frame) = &mut self.frame {
                rest = frame.take(rest, head);
                if frame.left == 0
                    && let Some(Coming { header: Some(header), head, .. }) = self.frame.take()
                {
                    see(Frame::new(&header, &head));
                }
            }
        }
    }

    /// Goes on with a header, or begins one. Returns what follows it.
    fn take_header<'b>(&mut self, bytes: &'b [u8], head: usize, see: &mut impl FnMut(Frame)) -> &'b [u8] {
        let before = self.header.len();
        // A header has a few bytes: what follows is not copied with it.
        let more = bytes.len().min(MAX_HEADER);
        self.header.extend_from_slice(&bytes[..more]);
        match FrameHeader::parse(&self.header, Role::Client) {
            Ok(Some((header, length))) => {
                self.header.clear();
                self.frame =
                    Some(Coming { left: header.payload_length, header: Some(header), head: Vec::new() });
                &bytes[length.saturating_sub(before)..]
            }
            Ok(None) => &bytes[more..],
            Err(_) => {
                self.is_over = true;
                see(Frame::none(bytes, head));
                &[]
            }
        }
    }
}

impl Coming {
    fn take<'b>(&mut self, bytes: &'b [u8], head: usize) -> &'b [u8] {
        let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        let (payload, rest) = bytes.split_at(count);
        self.left -= count as u64;
        if let Some(FrameHeader { mask: Some(key), .. }) = self.header {
            let wanted = head.saturating_sub(self.head.len());
            let from = self.head.len();
            let unmasked = payload.iter().take(wanted).enumerate();
            self.head.extend(unmasked.map(|(at, byte)| byte ^ key[(from + at) % key.len()]));
        }
        rest
    }
}
