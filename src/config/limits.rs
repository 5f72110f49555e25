//! Every bound, in one place.

use super::table::{COUNT, GIB, KIB, MIB, table, zero_or};
use crate::http::HeadLimits;
use crate::session::SessionId;

/// As many as the most reactors have slots for.
pub const CONNECTIONS: u64 = (super::Config::MAX_REACTORS as u64) << SessionId::SLOT_BITS;

table! {
    /// `[limits]`: bounds in bytes, messages and counts. Beyond each of them something is refused, dropped or closed, and
    /// counted; nothing grows.
    ///
    /// ```
    /// use gannet::config::Limits;
    /// let limits = Limits { max_headers: 32, ..Limits::default() };
    /// assert_eq!(limits.head().max_headers, 32);
    /// ```
    pub struct Limits in "limits" {
        /// Sessions of the whole server.
        pub max_sessions: usize = 1_000_000, in 1..=CONNECTIONS;
        /// Connections to the backend port that have shown its key, links among them. Where it has none: those that have sent
        /// a whole head.
        pub max_backend_connections: usize = 1_024, in 1..=CONNECTIONS;
        /// Connections to the client port before their upgrade. Beyond it a newer one takes the place of an older one from the
        /// address that has the most.
        pub max_upgrading: usize = 4_096, in 1..=CONNECTIONS;
        /// Connections to the backend port that have not shown its key. Beyond it the same.
        pub max_backend_strangers: usize = 256, in 1..=CONNECTIONS;
        /// Of these, from one IPv4 address or one IPv6 network of 64 bits; 0 is no bound.
        pub backend_strangers_per_address: usize = 0, in 0..=CONNECTIONS;
        /// Open files kept for the backend port; 0 is a tenth of those that there are for connections, from 8 to 512.
        pub reserved_files: usize = 0, in 0..=COUNT;
        /// Sessions from one IPv4 address or one IPv6 network of 64 bits; 0 is no bound.
        pub sessions_per_address: usize = 0, in 0..=CONNECTIONS;
        /// Connections to the client port from there, those in their upgrade included; 0 is no bound.
        pub connections_per_address: usize = 0, in 0..=CONNECTIONS;

        /// Payload of one frame from a client, in bytes.
        pub max_frame_bytes: usize = MIB, in 125..=GIB;
        /// One message from a client, all its fragments, in bytes.
        pub max_message_bytes: usize = MIB, in 125..=GIB;
        /// Fragments of one message from a client.
        pub max_fragments: usize = 1_024, in 1..=COUNT;
        /// All that is half received, of all connections together, in bytes: begun messages, heads, bodies, and input that was
        /// read before a connection was paused; 0 is no bound.
        pub incoming_bytes: usize = 256 * MIB, in 0..=16 * 1024 * GIB;

        /// Head of a request, in bytes.
        pub max_head_bytes: usize = 16 * KIB, in KIB..=MIB;
        /// Header fields of a request.
        pub max_headers: usize = 64, in 8..=HeadLimits::HEADERS_CEILING as u64;
        /// Target of a request, in bytes.
        pub max_target_bytes: usize = 8 * KIB, in 64..=MIB;

        /// Body of a backend request, in bytes.
        pub max_body_bytes: usize = 16 * MIB, in 1..=GIB;
        /// Payload of one push, in bytes. The default fits an outbox with its header.
        pub max_push_bytes: usize = MIB - 16, in 1..=GIB;
        /// Sessions, users, groups and tags that one push may name.
        pub max_selectors: usize = 1_024, in 1..=COUNT;
        /// Bans of users and addresses, of all apps together.
        pub max_bans: usize = 10_000, in 0..=COUNT;
        /// Routes of users and groups, of all apps together.
        pub max_routes: usize = 100_000, in 0..=COUNT;
        /// Sessions that one receipt names of those that missed its push.
        pub receipt_names: usize = 100, in 1..=u64::from(u16::MAX);
        /// Lines of one batch.
        pub max_batch_lines: usize = 10_000, in 1..=COUNT;
        /// Requests of one HTTP connection, or commands of one link, that wait for their answers; on a link without those that
        /// `max_receipts` counts.
        pub max_pipelined: usize = 256, in 1..=COUNT;
        /// Pushes of one link whose receipt waits for sockets (`receipt=written`); lines of one batch whose results are not
        /// there.
        pub max_receipts: usize = 4_096, in 1..=COUNT;
        /// Streams of figures (`GET /v1/stats/stream`) that are open.
        pub stats_streams: usize = 8, in 0..=64;
        /// Lines of the audit trail that the server keeps for `GET /v1/admin/audit`; the log has all of them.
        pub audit_lines: usize = 1_000, in 0..=10_000;
        /// Records of sessions at once (`POST /v1/sessions/{session}/record`), those that are kept after the end of theirs and orders
        /// for users among them; 0: nobody is recorded.
        pub records: usize = 16, in 0..=1_000;
        /// Events that one record keeps: the last ones.
        pub record_frames: usize = 1_000, in 1..=10_000;
        /// Bytes of each payload that a record keeps: the first ones.
        pub record_head_bytes: usize = 32, in 0..=32;
        /// Entries of one page of a listing.
        pub max_page: usize = 1_000, in 1..=COUNT;

        /// Members of the largest group of which presence names them; of a larger one it gives the counts.
        pub presence_members: usize = 10_000, in 0..=COUNT;

        /// Groups one session may be in.
        pub groups_per_session: usize = 64, in 0..=COUNT;
        /// Tags one session may have.
        pub tags_per_session: usize = 64, in 0..=COUNT;
        /// Names and values of the query parameters that an app keeps for one session, in bytes.
        pub session_params_bytes: usize = 256, in 0..=64 * KIB - 1;
        /// The claims that an app keeps for one session, in bytes as JSON.
        pub session_claims_bytes: usize = KIB, in 0..=64 * KIB - 1;

        /// Bytes of the comment that event streams begin with, for proxies that hand nothing on before they have so many.
        pub stream_padding_bytes: usize = 2 * KIB, in 0..=64 * KIB;

        /// Bytes that wait for one session's socket.
        pub outbox_bytes: usize = MIB, in 1..=4 * GIB;
        /// Messages that wait for one session's socket.
        pub outbox_messages: usize = 1_024, in 1..=COUNT;
        /// Memory of all outboxes together, in bytes; 0 is no bound.
        pub outboxes_bytes: usize = GIB, in 0..=16 * 1024 * GIB;
        /// Sessions that may be away at once, of all apps: their clients may come back for them; 0 is no bound.
        pub max_away: usize = 100_000, in 0..=CONNECTIONS;
        /// Memory of what is kept for sessions that may resume, of all together, in bytes; 0 is no bound.
        pub kept_bytes: usize = 256 * MIB, in 0..=16 * 1024 * GIB;
        /// Memory of all that groups remember, in bytes; 0 is no bound.
        pub group_memory_bytes: usize = 256 * MIB, in 0..=16 * 1024 * GIB;
        /// State that an upgrade takes from the old process at most, in bytes.
        pub upgrade_bytes: usize = GIB, in MIB..=16 * 1024 * GIB;
        /// Bytes of one socket that the kernel may hold and has not sent (`TCP_NOTSENT_LOWAT`, tcp(7)): beyond it what is
        /// written next waits in the outbox, where it can be replaced, expire and be overtaken; 0 is the kernel's own bound.
        pub socket_unsent_bytes: usize = 16 * KIB, in zero_or(4 * KIB..=GIB);
        /// Sessions closed a second at least when the server stops.
        pub drain_per_second: usize = 20, in 1..=COUNT;
        /// Bytes on their way to one link; from half of it on, the players whose messages go there are not read.
        pub link_outbox_bytes: usize = 16 * MIB, in 1..=16 * GIB;
        /// Messages on their way to one link; from half of it on, the same.
        pub link_outbox_messages: usize = 65_536, in 1..=COUNT;
        /// Bytes of events that are kept for one link that may be resumed.
        pub link_kept_bytes: usize = 16 * MIB, in 1..=16 * GIB;
        /// Events that are kept for it.
        pub link_kept_messages: usize = 65_536, in 1..=COUNT;
        /// Links of the whole server that are away; beyond it the one that has been away longest ends.
        pub links_away: usize = 64, in 0..=COUNT;

        /// Envelopes in one reactor's mailbox.
        pub mailbox_messages: usize = 4_096, in 1..=COUNT;
        /// Payload in one reactor's mailbox, in bytes.
        pub mailbox_bytes: usize = 64 * MIB, in 1..=16 * GIB;
        /// Envelopes that one reactor keeps back for one full mailbox.
        pub overflow_messages: usize = 65_536, in 1..=COUNT;
        /// Payload that one reactor keeps back for one full mailbox, in bytes.
        pub overflow_bytes: usize = 64 * MIB, in 1..=16 * GIB;

        /// Bytes read from one connection in one turn.
        pub turn_read_bytes: usize = 32 * KIB, in KIB..=GIB;
        /// Bytes of its outbox written to one connection in one turn.
        pub turn_write_bytes: usize = 64 * KIB, in KIB..=GIB;
        /// Connections accepted on one port in one turn.
        pub turn_accepts: usize = 64, in 1..=COUNT;
        /// Sessions that one reactor resumes in one turn.
        pub turn_resumes: usize = 64, in 1..=COUNT;
        /// Steps of TLS handshakes made by one reactor in one turn; one costs a tenth of a millisecond or more.
        pub turn_handshakes: usize = 4, in 1..=COUNT;
        /// Envelopes drained by one reactor in one turn.
        pub turn_envelopes: usize = 1_024, in 1..=COUNT;
        /// Messages that one reactor offers to sessions in one turn.
        pub turn_deliveries: usize = 3_072, in 1..=COUNT;
        /// Writes to sockets that one reactor makes in one phase of a turn.
        pub turn_writes: usize = 128, in 1..=COUNT;
        /// Entries of listings that one reactor looks at in one turn.
        pub turn_listed: usize = 64, in 1..=COUNT;
        /// Users, groups and tags that one reactor looks at in one turn, to tell another node of a cluster who is online.
        pub turn_users: usize = 1_024, in 1..=COUNT;
        /// Bytes that one reactor reads, answers and writes in one phase of a turn, over all its connections.
        pub turn_bytes: usize = 512 * KIB, in KIB..=GIB;
        /// The read buffer of a reactor, in bytes.
        pub read_buffer_bytes: usize = 128 * KIB, in 4 * KIB..=GIB;
    }
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
