//! What a case is made of.

use std::fmt;

/// Which end of the connection is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Server,
    Client,
}

/// One behaviour: a script, in the order in which things happen.
pub struct Case {
    /// Autobahn's number where it has one; otherwise the group's number and a letter.
    pub id: String,
    /// Where the standard asks for it.
    pub section: &'static str,
    pub about: String,
    /// `None`: both.
    pub role: Option<Role>,
    /// What the handshake agrees on.
    pub extension: Option<Extension>,
    pub script: Vec<Step>,
}

/// permessage-deflate as a client offers it and a server has to answer. A client under test is given the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension {
    pub offer: &'static str,
    pub answer: &'static str,
    /// Whether the endpoint under test must be configured to take contexts over, which by default it does not.
    pub takeover: bool,
}

/// The frame as the tester sees it before the mask.
#[derive(Clone)]
pub struct Frame {
    /// FIN, RSV1–3 and the opcode.
    pub first: u8,
    pub payload: Vec<u8>,
}

pub enum Step {
    /// Frames, written at once.
    Send(Vec<Frame>),
    /// Frames, written so many bytes at a time.
    Chopped(Vec<Frame>, usize),
    /// A part of one frame's payload, `from` to `to`; the header goes before the part from 0.
    Part { frame: Frame, from: usize, to: usize },
    /// A message that the tester compresses, whole or in fragments of a length.
    Compressed { opcode: u8, payload: Vec<u8>, fragment: Option<usize> },
    /// A header alone, with the length as it is given, and nothing after it.
    Header { first: u8, length: Length, mask_bit: MaskBit },
    /// What must come back next.
    Expect(Reply),
    /// Nothing may have come back so far. Where that cannot be known without waiting, it is taken for granted.
    ExpectSilence,
}

/// A payload length in the form that the header is to have it in.
#[derive(Clone, Copy)]
pub enum Length {
    Seven(u8),
    Sixteen(u16),
    SixtyFour(u64),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum MaskBit {
    /// As the tester's role demands.
    Right,
    Wrong,
}

#[derive(PartialEq, Eq)]
pub enum Reply {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Pong(Vec<u8>),
    /// With the code; `None`: an empty payload.
    Close(Option<u16>),
    /// The endpoint reads and writes no more.
    End,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, payload) = match self {
            Self::Text(payload) => ("text", payload),
            Self::Binary(payload) => ("binary", payload),
            Self::Pong(payload) => ("pong", payload),
            Self::Close(code) => return write!(f, "close {code:?}"),
            Self::End => return f.write_str("end"),
        };
        write!(f, "{name} of {} bytes {:02x?}", payload.len(), &payload[..payload.len().min(16)])
    }
}

pub const CONTINUATION: u8 = 0x00;
pub const TEXT: u8 = 0x01;
pub const BINARY: u8 = 0x02;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;
pub const PONG: u8 = 0x8a;
pub const FIN: u8 = 0x80;

pub fn frame(first: u8, payload: impl AsRef<[u8]>) -> Frame {
    Frame { first, payload: payload.as_ref().to_vec() }
}

pub fn send(first: u8, payload: impl AsRef<[u8]>) -> Step {
    Step::Send(vec![frame(first, payload)])
}

pub fn expect_text(payload: impl AsRef<[u8]>) -> Step {
    Step::Expect(Reply::Text(payload.as_ref().to_vec()))
}

pub fn expect_binary(payload: impl AsRef<[u8]>) -> Step {
    Step::Expect(Reply::Binary(payload.as_ref().to_vec()))
}

pub fn expect_pong(payload: impl AsRef<[u8]>) -> Step {
    Step::Expect(Reply::Pong(payload.as_ref().to_vec()))
}

pub fn expect_close(code: u16) -> Step {
    Step::Expect(Reply::Close(Some(code)))
}

/// The tester closes, and the endpoint answers: the end of every case in which nothing is wrong.
pub fn closing() -> [Step; 3] {
    [send(CLOSE, 1000u16.to_be_bytes()), expect_close(1000), Step::Expect(Reply::End)]
}

/// The endpoint fails the connection.
pub fn failing(code: u16) -> [Step; 2] {
    [expect_close(code), Step::Expect(Reply::End)]
}

/// A table in the making: every case of it cites `section` unless it says otherwise.
pub struct Table {
    section: &'static str,
    extension: Option<Extension>,
    cases: Vec<Case>,
}

impl Table {
    pub fn new(section: &'static str) -> Self {
        Self { section, extension: None, cases: Vec::new() }
    }

    /// From here on cases cite `section`.
    pub fn section(&mut self, section: &'static str) {
        self.section = section;
    }

    /// From here on cases have `extension`.
    pub fn extension(&mut self, extension: Option<Extension>) {
        self.extension = extension;
    }

    /// A case that ends with a clean close.
    pub fn good(&mut self, id: impl Into<String>, about: impl Into<String>, script: Vec<Step>) {
        self.add(id.into(), about.into(), None, script, closing());
    }

    /// A case that ends with the endpoint failing the connection with `code`.
    pub fn bad(&mut self, id: impl Into<String>, about: impl Into<String>, code: u16, script: Vec<Step>) {
        self.add(id.into(), about.into(), None, script, failing(code));
    }

    /// The same for one role.
    pub fn bad_in_role(
        &mut self,
        role: Role,
        id: impl Into<String>,
        about: impl Into<String>,
        code: u16,
        script: Vec<Step>,
    ) {
        self.add(id.into(), about.into(), Some(role), script, failing(code));
    }

    /// A case whose script says itself how it ends.
    pub fn exact(&mut self, id: impl Into<String>, about: impl Into<String>, script: Vec<Step>) {
        self.add(id.into(), about.into(), None, script, []);
    }

    pub fn into_cases(self) -> Vec<Case> {
        self.cases
    }

    fn add(
        &mut self,
        id: String,
        about: String,
        role: Option<Role>,
        mut script: Vec<Step>,
        end: impl IntoIterator<Item = Step>,
    ) {
        script.extend(end);
        let (section, extension) = (self.section, self.extension);
        self.cases.push(Case { id, section, about, role, extension, script });
    }
}
