//! The bounds that one endpoint puts on what its peer may send. It knows nothing of who enforces them.

/// Bounds on what the peer may send; what goes beyond ends the connection, RFC 6455 §10.4.
///
/// Shared by all connections of a kind, so that a connection pays a pointer for it.
///
/// ```
/// use gannet::protocol::Limits;
/// let limits = Limits { max_message_bytes: 64 * 1024, ..Limits::default() };
/// assert_eq!(limits.max_fragments, Limits::DEFAULT_MAX_FRAGMENTS);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The longest payload of one data frame, in bytes, an eighth more if it is compressed; a longer one is refused with 1009 when its header is read.
    pub max_frame_bytes: usize,
    /// The longest message, in bytes, all its fragments together and inflated; a longer one is refused with 1009.
    pub max_message_bytes: usize,
    /// The most frames one message may come in, empty ones counted; more are refused with 1008. 0 counts as 1.
    pub max_fragments: u32,
}

impl Limits {
    /// 1 MiB.
    pub const DEFAULT_MAX_FRAME_BYTES: usize = 1 << 20;
    /// 1 MiB.
    pub const DEFAULT_MAX_MESSAGE_BYTES: usize = 1 << 20;
    /// 1,024 frames.
    pub const DEFAULT_MAX_FRAGMENTS: u32 = 1024;
}

const _: () = assert!(Limits::DEFAULT_MAX_FRAME_BYTES <= Limits::DEFAULT_MAX_MESSAGE_BYTES);

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_frame_bytes: Self::DEFAULT_MAX_FRAME_BYTES,
            max_message_bytes: Self::DEFAULT_MAX_MESSAGE_BYTES,
            max_fragments: Self::DEFAULT_MAX_FRAGMENTS,
        }
    }
}
