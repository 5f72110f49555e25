//! What a flight recorder keeps of one session: what came from its socket, what went to it, and what became of its messages on the
//! way. Knows nothing of how it is taken.

use super::Class;
use crate::protocol::OpCode;
use crate::session::{Name, SessionId};

/// Whose session is recorded.
///
/// ```
/// use gannet::dispatch::Recorded;
/// use gannet::session::Name;
/// let next_of_ada = Recorded::User(Name::new("ada").unwrap());
/// assert_ne!(next_of_ada, Recorded::Session("0010020000c00004".parse().unwrap()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    /// A session that is there.
    Session(SessionId),
    /// The next session of a user, from its opening on.
    User(Name),
}

/// What happened.
///
/// ```
/// use gannet::dispatch::Happened;
/// assert_eq!(Happened::Replaced.as_str(), "replaced");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    /// A frame has come from the client; of a session over plain HTTP, a message.
    In,
    /// The socket has taken a whole frame.
    Out,
    /// A message waits for the socket from now on.
    Queued,
    /// A message has gone out as an event of a stream, or in the answer to a poll: there are no frames.
    Written,
    /// A newer message with the same key has taken its place.
    Replaced,
    /// There was no room for it.
    Dropped,
    /// Its time to live has run out.
    Expired,
    /// The session has ended before it was written.
    Closed,
}

impl Happened {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::In,
        Self::Out,
        Self::Queued,
        Self::Written,
        Self::Replaced,
        Self::Dropped,
        Self::Expired,
        Self::Closed,
    ];

    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
            Self::Queued => "queued",
            Self::Written => "written",
            Self::Replaced => "replaced",
            Self::Dropped => "dropped",
            Self::Expired => "expired",
            Self::Closed => "closed",
        }
    }
}

/// One thing that happened.
///
/// ```
/// use gannet::dispatch::{Happened, RecordedEvent};
///
/// fn was_lost(event: &RecordedEvent) -> bool {
///     matches!(event.what, Happened::Dropped | Happened::Expired)
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedEvent {
    /// When, in microseconds since the record began.
    pub at_us: u64,
    /// What.
    pub what: Happened,
    /// What the frame is, or would be; `None` of bytes that are no frame (RFC 6455 §5.2).
    pub opcode: Option<OpCode>,
    /// Whether it is the last frame of its message (FIN).
    pub fin: bool,
    /// Whether the payload is compressed (RFC 7692).
    pub compressed: bool,
    /// The length of the payload on the wire.
    pub bytes: u64,
    /// The first bytes of the payload, unmasked: at most `limits.record_head_bytes`. Of a compressed frame that goes out, of the
    /// message; of one that comes, as it is on the wire.
    pub head: Box<[u8]>,
    /// Of a message that was queued: which goes first, and which is lost first.
    pub class: Option<Class>,
}

/// How a session that was recorded has ended.
///
/// ```
/// use gannet::dispatch::RecordedEnd;
/// let end = RecordedEnd { at_us: 5_000_000, code: 4000, reason: "idle".into() };
/// assert_eq!(end.at_us / 1_000_000, 5);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedEnd {
    /// When, in microseconds since the record began.
    pub at_us: u64,
    /// The close code (RFC 6455 §7.4), or 1006 where there was no closing handshake.
    pub code: u16,
    /// The close reason.
    pub reason: Box<str>,
}

/// A record of a session.
///
/// ```
/// use gannet::dispatch::{Happened, Record};
///
/// fn frames_from_the_client(record: &Record) -> usize {
///     record.events.iter().filter(|event| event.what == Happened::In).count()
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The session.
    pub session: SessionId,
    /// When the record began, in milliseconds since the Unix epoch.
    pub began_unix_ms: u64,
    /// Whether the session is there still.
    pub live: bool,
    /// The events that are gone since there was room for no more; those that are left came later.
    pub lost: u64,
    /// What happened, the oldest first.
    pub events: Vec<RecordedEvent>,
    /// How the session has ended.
    pub end: Option<RecordedEnd>,
}
