//! Every bound, in one place.

use serde::{Deserialize, Serialize};

use crate::http::HeadLimits;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// `[limits]`: bounds in bytes, messages and counts. Beyond each of them something is refused, dropped or closed, and
/// counted; nothing grows.
///
/// ```
/// use gannet::config::Limits;
/// let limits = Limits { max_headers: 32, ..Limits::default() };
/// assert_eq!(limits.head().max_headers, 32);
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Sessions of the whole server. Default: 1,000,000.
    pub max_sessions: usize,
    /// Connections to the backend port, links among them. Default: 1,024.
    pub max_backend_connections: usize,
    /// Sessions from one IPv4 address or one IPv6 network of 64 bits; 0 is no bound. Default: 0.
    pub sessions_per_address: usize,
    /// Connections to the client port from there, those in their upgrade included; 0 is no bound. Default: 0.
    pub connections_per_address: usize,

    /// Payload of one frame from a client, in bytes. Default: 1 MiB.
    pub max_frame_bytes: usize,
    /// One message from a client, all its fragments, in bytes. Default: 1 MiB.
    pub max_message_bytes: usize,
    /// Fragments of one message from a client. Default: 1,024.
    pub max_fragments: usize,
    /// All that is half received, of all connections together, in bytes: begun messages, heads, bodies, and input that was
    /// read before a connection was paused; 0 is no bound. Default: 256 MiB.
    pub incoming_bytes: usize,

    /// Head of a request, in bytes. Default: 16 KiB.
    pub max_head_bytes: usize,
    /// Header fields of a request. Default: 64.
    pub max_headers: usize,
    /// Target of a request, in bytes. Default: 8 KiB.
    pub max_target_bytes: usize,

    /// Body of a backend request, in bytes. Default: 16 MiB.
    pub max_body_bytes: usize,
    /// Payload of one push, in bytes. Default: 1 MiB less 16 bytes, so that it fits an outbox with its header.
    pub max_push_bytes: usize,
    /// Sessions, users, groups and tags that one push may name. Default: 1,024.
    pub max_selectors: usize,
    /// Lines of one batch. Default: 10,000.
    pub max_batch_lines: usize,
    /// Requests of one HTTP connection, or commands of one link, that wait for their answers; on a link without those that
    /// `max_receipts` counts. Default: 256.
    pub max_pipelined: usize,
    /// Pushes of one link whose receipt waits for sockets (`receipt=written`); lines of one batch whose results are not
    /// there. Default: 4,096.
    pub max_receipts: usize,
    /// Entries of one page of a listing. Default: 1,000.
    pub max_page: usize,

    /// Groups one session may be in. Default: 64.
    pub groups_per_session: usize,
    /// Tags one session may have. Default: 64.
    pub tags_per_session: usize,

    /// Bytes that wait for one session's socket. Default: 1 MiB.
    pub outbox_bytes: usize,
    /// Messages that wait for one session's socket. Default: 1,024.
    pub outbox_messages: usize,
    /// Memory of all outboxes together, in bytes; 0 is no bound. Default: 1 GiB.
    pub outboxes_bytes: usize,
    /// Bytes of one socket that the kernel may hold and has not sent (`TCP_NOTSENT_LOWAT`, tcp(7)): beyond it what is
    /// written next waits in the outbox, where it can be replaced, expire and be overtaken; 0 is the kernel's own bound.
    /// Default: 16 KiB.
    pub socket_unsent_bytes: usize,
    /// Bytes on their way to one link; from half of it on, the players whose messages go there are not read. Default:
    /// 16 MiB.
    pub link_outbox_bytes: usize,
    /// Messages on their way to one link; from half of it on, the same. Default: 65,536.
    pub link_outbox_messages: usize,

    /// Envelopes in one reactor's mailbox. Default: 4,096.
    pub mailbox_messages: usize,
    /// Payload in one reactor's mailbox, in bytes. Default: 64 MiB.
    pub mailbox_bytes: usize,
    /// Envelopes that one reactor keeps back for one full mailbox. Default: 65,536.
    pub overflow_messages: usize,
    /// Payload that one reactor keeps back for one full mailbox, in bytes. Default: 64 MiB.
    pub overflow_bytes: usize,

    /// Bytes read from one connection in one turn. Default: 32 KiB.
    pub turn_read_bytes: usize,
    /// Bytes of its outbox written to one connection in one turn. Default: 64 KiB.
    pub turn_write_bytes: usize,
    /// Connections accepted on one port in one turn. Default: 64.
    pub turn_accepts: usize,
    /// Steps of TLS handshakes made by one reactor in one turn; one costs a tenth of a millisecond or more. Default: 4.
    pub turn_handshakes: usize,
    /// Envelopes drained by one reactor in one turn. Default: 1,024.
    pub turn_envelopes: usize,
    /// Messages that one reactor offers to sessions in one turn. Default: 3,072.
    pub turn_deliveries: usize,
    /// Writes to sockets that one reactor makes in one phase of a turn. Default: 128.
    pub turn_writes: usize,
    /// Entries of listings that one reactor looks at in one turn. Default: 64.
    pub turn_listed: usize,
    /// Bytes that one reactor reads, answers and writes in one phase of a turn, over all its connections. Default: 512 KiB.
    pub turn_bytes: usize,
    /// The read buffer of a reactor, in bytes. Default: 128 KiB.
    pub read_buffer_bytes: usize,
}

impl Limits {
    /// The most octets in front of the payload of a server's frame: two, and a length of eight (RFC 6455 §5.2).
    pub const FRAME_HEADER_BYTES: usize = 10;

    /// The bounds of a request's head.
    pub fn head(&self) -> HeadLimits {
        HeadLimits {
            max_bytes: self.max_head_bytes,
            max_headers: self.max_headers,
            max_target_bytes: self.max_target_bytes,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_sessions: 1_000_000,
            max_backend_connections: 1_024,
            sessions_per_address: 0,
            connections_per_address: 0,
            max_frame_bytes: MIB,
            max_message_bytes: MIB,
            max_fragments: 1_024,
            incoming_bytes: 256 * MIB,
            max_head_bytes: 16 * KIB,
            max_headers: 64,
            max_target_bytes: 8 * KIB,
            max_body_bytes: 16 * MIB,
            max_push_bytes: MIB - 16,
            max_selectors: 1_024,
            max_batch_lines: 10_000,
            max_pipelined: 256,
            max_receipts: 4_096,
            max_page: 1_000,
            groups_per_session: 64,
            tags_per_session: 64,
            outbox_bytes: MIB,
            outbox_messages: 1_024,
            outboxes_bytes: 1024 * MIB,
            socket_unsent_bytes: 16 * KIB,
            link_outbox_bytes: 16 * MIB,
            link_outbox_messages: 65_536,
            mailbox_messages: 4_096,
            mailbox_bytes: 64 * MIB,
            overflow_messages: 65_536,
            overflow_bytes: 64 * MIB,
            turn_read_bytes: 32 * KIB,
            turn_write_bytes: 64 * KIB,
            turn_accepts: 64,
            turn_handshakes: 4,
            turn_envelopes: 1_024,
            turn_deliveries: 3_072,
            turn_writes: 128,
            turn_listed: 64,
            turn_bytes: 512 * KIB,
            read_buffer_bytes: 128 * KIB,
        }
    }
}
