//! A message of the bus: a header of one layout, then a body that its kind says how to read. Numbers are little-endian and have
//! no padding:
//!
//! | offset | bytes | |
//! | --- | --- | --- |
//! | 0 | 1 | version: [`VERSION`] |
//! | 1 | 1 | kind: [`Kind`] |
//! | 2 | 1 | flags: [`Flags`] |
//! | 3 | 1 | reactor of the publisher |
//! | 4 | 2 | node of the publisher |
//! | 6 | 1 | Redis server that the publisher's link leads to |
//! | 7 | 1 | length of the app's name |
//! | 8 | 8 | incarnation of the publisher's node |
//! | 16 | 8 | sequence |
//! | 24 | 8 | stamp, in milliseconds of the publisher's clock |
//! | 32 | 8 | number of the reply, or 0 |
//! | 40 | 4 | time to live that is left, in milliseconds, or 2³²−1 |
//! | 44 | | the app's name, then the body |

use crate::link_bin::wire::Reader;
use crate::link_bin::{self, TooLong, Wrong};
use std::fmt;

/// The version of the layout. Nodes of different versions do not understand each other's messages.
pub const VERSION: u8 = 1;

/// In the place of a time to live: the message does not expire.
const NO_TTL: u32 = u32::MAX;

/// Where the server and the sequence stand.
const SERVER_AT: usize = 6;
const SEQUENCE_AT: usize = 16;

/// What a message says. The number on the wire is fixed for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A push, or a copy of one: [`push`](super::push) has the body.
    Push = 1,
    /// A command: [`command`](super::command) has the body.
    Command = 2,
    /// What became of a push on one node.
    PushPart = 3,
    /// What an operation came to on one node.
    OperationPart = 4,
    /// A node is alive.
    Heartbeat = 5,
    /// A node has come.
    Hello = 6,
    /// A node leaves.
    Goodbye = 7,
    /// Which channels a publisher published to in a window is asked.
    DigestAsked = 8,
    /// It is answered.
    Digest = 9,
    /// A user has taken a place in an app that bounds them, and all of its places are asked for: [`places`](super::places) has the body.
    Took = 10,
    /// The places of the user on one node.
    Places = 11,
    /// Sessions of a user that are too many.
    Surplus = 12,
    /// Bans that hold and that were taken back: [`known`](super::known) has the body.
    Bans = 13,
    /// Users and the sticky groups that they are in.
    Sticky = 14,
    /// Nonces that have been used.
    Nonces = 15,
    /// Whether everything is heard by another set of Redis servers is asked behind the last message that goes by the old one:
    /// [`fence`](super::fence) has the body.
    Fence = 16,
    /// It is answered by who has heard all before it.
    Fenced = 17,
    /// A push to a group that remembers: its place there, then a body as that of [`Kind::Push`].
    Kept = 18,
    /// Something about a session that crosses, to the node that has it: [`crossing`](super::crossing) has the body.
    ToOld = 19,
    /// The same to the node that its client has come to.
    ToNew = 20,
    /// Users of a reactor, told to a node where links ask who is online: [`online`](super::online) has the body.
    Users = 21,
    /// Something about links that hear of the sessions of other nodes: [`links`](super::links) has the body.
    Links = 22,
}

impl Kind {
    const ALL: [Self; 22] = [
        Self::Push,
        Self::Command,
        Self::PushPart,
        Self::OperationPart,
        Self::Heartbeat,
        Self::Hello,
        Self::Goodbye,
        Self::DigestAsked,
        Self::Digest,
        Self::Took,
        Self::Places,
        Self::Surplus,
        Self::Bans,
        Self::Sticky,
        Self::Nonces,
        Self::Fence,
        Self::Fenced,
        Self::Kept,
        Self::ToOld,
        Self::ToNew,
        Self::Users,
        Self::Links,
    ];
}

/// A link that publishes: one reactor of one start of one node to one Redis server. Sequences count in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Publisher {
    /// The number of the node.
    pub node: u16,
    /// A random number of this start of the node: a node that starts again is another publisher.
    pub incarnation: u64,
    /// The reactor.
    pub reactor: u8,
    /// The index of the Redis server.
    pub server: u8,
}

/// Further things that a message says with one bit each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Of the copies of a push, the one that is counted as the push.
    pub const FIRST_COPY: Self = Self(0x01);
    /// It went to a bucket of many names: nodes that have nobody of its target hear it too.
    pub const BUCKET: Self = Self(0x02);
    /// The node that has published it has served its own sessions: it is for those of other nodes.
    pub const SERVED: Self = Self(0x04);
    const KNOWN: u8 = Self::FIRST_COPY.0 | Self::BUCKET.0 | Self::SERVED.0;

    /// Whether all of `flags` are set.
    pub fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// These and `flags`.
    #[must_use]
    pub fn and(self, flags: Self) -> Self {
        Self(self.0 | flags.0)
    }
}

/// What every message of the bus begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// What the body is.
    pub kind: Kind,
    /// Further things that it says.
    pub flags: Flags,
    /// Who has published it.
    pub publisher: Publisher,
    /// Its number among the messages of the publisher: greater than all before.
    pub sequence: u64,
    /// When it was published, in milliseconds of the publisher's clock, which does not go back.
    pub stamp_ms: u64,
    /// Under which number the publisher waits for the answers; in an answer, that number; 0 where none is wanted.
    pub reply: u64,
    /// How long a push may still wait for its sockets, in milliseconds; `None`: it does not expire. At most 2³²−2 on the wire, which is
    /// 49 days.
    pub ttl_left_ms: Option<u32>,
    /// The app whose names the body uses; empty where it uses none.
    pub app: &'a str,
}

/// Bytes that are no message of the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// They are of another version of the layout, which may be well-formed.
    OtherVersion(u8),
    /// They are not of the layout.
    Layout(link_bin::Malformed),
}

impl From<link_bin::Malformed> for Malformed {
    fn from(malformed: link_bin::Malformed) -> Self {
        Self::Layout(malformed)
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherVersion(version) => {
                write!(
                    f,
                    "a message of version {version}; this node speaks version {VERSION}: run one version of gannet on all nodes"
                )
            }
            Self::Layout(malformed) => malformed.fmt(f),
        }
    }
}

impl std::error::Error for Malformed {}

impl<'a> Header<'a> {
    /// The bytes before the app's name.
    #[cfg(test)]
    pub const FIXED_BYTES: usize = 44;

    /// Appends the header to `out`; the body follows.
    ///
    /// # Errors
    /// [`TooLong`] for an app of more than 255 bytes, which no app has; `out` is as it was then.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        let Self { kind, flags, publisher, sequence, stamp_ms, reply, ttl_left_ms, app } = *self;
        let Publisher { node, incarnation, reactor, server } = publisher;
        let most = usize::from(u8::MAX);
        let length = u8::try_from(app.len()).map_err(|_| TooLong { what: "app", length: app.len(), most })?;
        out.extend_from_slice(&[VERSION, kind as u8, flags.0, reactor]);
        out.extend_from_slice(&node.to_le_bytes());
        out.extend_from_slice(&[server, length]);
        for number in [incarnation, sequence, stamp_ms, reply] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        let ttl_left_ms = ttl_left_ms.map_or(NO_TTL, |ms| ms.min(NO_TTL - 1));
        out.extend_from_slice(&ttl_left_ms.to_le_bytes());
        out.extend_from_slice(app.as_bytes());
        Ok(())
    }

    /// Reads the header of `message`: it, and the body.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(message: &'a [u8]) -> Result<(Self, &'a [u8]), Malformed> {
        let mut reader = Reader::new(message);
        let version = reader.u8("a version")?;
        if version != VERSION {
            return Err(Malformed::OtherVersion(version));
        }
        let number = reader.u8("a kind")?;
        let known = "1 to 22";
        let wrong = Wrong::Unknown { what: "a kind of message", value: number.into(), known };
        let kind = Kind::ALL.into_iter().find(|kind| *kind as u8 == number);
        let kind = kind.ok_or_else(|| reader.wrong(1, wrong))?;
        let flags = reader.u8("flags")?;
        if flags & !Flags::KNOWN != 0 {
            let known = "0x01 (first copy), 0x02 (bucket), 0x04 (served)";
            let wrong = Wrong::Unknown { what: "flags", value: flags.into(), known };
            return Err(reader.wrong(1, wrong).into());
        }
        let reactor = reader.u8("a reactor")?;
        let (node, server) = (reader.u16("a node")?, reader.u8("a server")?);
        let length = usize::from(reader.u8("the length of the app's name")?);
        let incarnation = reader.u64("an incarnation")?;
        let header = Self {
            kind,
            flags: Flags(flags),
            publisher: Publisher { node, incarnation, reactor, server },
            sequence: reader.u64("a sequence")?,
            stamp_ms: reader.u64("a stamp")?,
            reply: reader.u64("the number of a reply")?,
            ttl_left_ms: Some(reader.u32("a time to live")?).filter(|ms| *ms != NO_TTL),
            app: reader.text_of(length, "the app's name")?,
        };
        Ok((header, reader.rest()))
    }
}

/// Gives a message, which has a whole header, another number and another server.
pub fn renumber(message: &mut [u8], sequence: u64, server: u8) {
    if let Some(at) = message.get_mut(SERVER_AT) {
        *at = server;
    }
    if let Some(at) = message.get_mut(SEQUENCE_AT..SEQUENCE_AT + size_of::<u64>()) {
        at.copy_from_slice(&sequence.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header<'static> {
        Header {
            kind: Kind::Push,
            flags: Flags::FIRST_COPY,
            publisher: Publisher { node: 0x0102, incarnation: 0x1112_1314_1516_1718, reactor: 3, server: 4 },
            sequence: 0x21,
            stamp_ms: 0x31,
            reply: 0x41,
            ttl_left_ms: Some(0x51),
            app: "chess",
        }
    }

    fn encoded(header: &Header<'_>) -> Vec<u8> {
        let mut message = Vec::new();
        header.encode(&mut message).unwrap();
        message
    }

    #[test]
    fn the_layout_is_as_the_vectors_say() {
        let zeros = [0; 7];
        let expected = [
            &[1, 1, 1, 3, 0x02, 0x01, 4, 5][..],
            &[0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11],
            &[0x21],
            &zeros,
            &[0x31],
            &zeros,
            &[0x41],
            &zeros,
            &[0x51, 0, 0, 0],
            b"chess",
            b"body",
        ]
        .concat();
        let mut message = encoded(&header());
        assert_eq!(message.len(), Header::FIXED_BYTES + 5);
        message.extend_from_slice(b"body");
        assert_eq!(message, expected);
        assert_eq!(Header::decode(&expected), Ok((header(), &b"body"[..])));
        let numbers: Vec<u8> = Kind::ALL.iter().map(|kind| *kind as u8).collect();
        assert_eq!(numbers, (1..=22).collect::<Vec<u8>>());
    }

    #[test]
    fn what_is_absent_is_read_as_absent() {
        let bare = Header { flags: Flags::NONE, reply: 0, ttl_left_ms: None, app: "", ..header() };
        let message = encoded(&bare);
        assert_eq!(message[40..], [0xff; 4]);
        assert_eq!(Header::decode(&message), Ok((bare, &b""[..])));
        let longest = Header { ttl_left_ms: Some(u32::MAX), ..bare };
        assert_eq!(Header::decode(&encoded(&longest)).unwrap().0.ttl_left_ms, Some(u32::MAX - 1));
    }

    #[test]
    fn every_kind_and_flag_is_read_as_it_was_written() {
        for kind in Kind::ALL {
            for flags in [Flags::NONE, Flags::FIRST_COPY, Flags::BUCKET, Flags::FIRST_COPY.and(Flags::BUCKET)]
            {
                let header = Header { kind, flags, ..header() };
                assert_eq!(Header::decode(&encoded(&header)), Ok((header, &b""[..])));
            }
        }
        assert!(
            Flags::BUCKET.and(Flags::FIRST_COPY).has(Flags::BUCKET) && !Flags::FIRST_COPY.has(Flags::BUCKET)
        );
    }

    #[test]
    fn a_message_that_has_got_another_number_is_otherwise_as_it_was() {
        let mut message = encoded(&header());
        renumber(&mut message, 0x0807_0605_0403_0201, 9);
        let publisher = Publisher { server: 9, ..header().publisher };
        let expected = Header { sequence: 0x0807_0605_0403_0201, publisher, ..header() };
        assert_eq!(Header::decode(&message), Ok((expected, &b""[..])));
        renumber(&mut [0; 3], 1, 1);
    }

    #[test]
    fn another_version_is_an_error_of_its_own_whatever_follows() {
        for version in (0..=u8::MAX).filter(|version| *version != VERSION) {
            assert_eq!(Header::decode(&[version]), Err(Malformed::OtherVersion(version)));
            let mut message = encoded(&header());
            message[0] = version;
            assert_eq!(Header::decode(&message), Err(Malformed::OtherVersion(version)));
        }
    }

    #[test]
    fn damaged_headers_are_refused_or_read_as_what_they_then_say() {
        let whole = encoded(&header());
        for end in 0..whole.len() {
            assert!(matches!(Header::decode(&whole[..end]), Err(Malformed::Layout(_))), "{end}");
        }
        for index in 1..whole.len() {
            for byte in 0..=u8::MAX {
                let mut damaged = whole.clone();
                damaged[index] = byte;
                if let Ok((header, body)) = Header::decode(&damaged) {
                    assert_eq!([encoded(&header), body.to_vec()].concat(), damaged, "{index}");
                }
            }
        }
    }

    #[test]
    fn an_app_that_does_not_fit_leaves_no_half_of_a_message() {
        let long = "x".repeat(256);
        let mut out = b"before".to_vec();
        let error = Header { app: &long, ..header() }.encode(&mut out).unwrap_err();
        assert_eq!((error.what, error.length, out), ("app", 256, b"before".to_vec()));
    }
}
