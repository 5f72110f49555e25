//! The labels that counters are split by: each a closed set of values.

/// A closed set of values that a [`CounterBy`](super::value::CounterBy) is split by.
pub trait Label: Copy + 'static {
    /// The name of the label.
    const NAME: &'static str;
    /// All values, in the order of their indices.
    const ALL: &'static [Self];

    /// The place among [`Label::ALL`].
    fn index(self) -> usize;

    /// The value as it is rendered.
    fn text(self) -> &'static str;
}

macro_rules! label {
    ($(#[$about:meta])* $type:ident, $name:literal { $($(#[$doc:meta])* $value:ident => $text:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $type { $($(#[$doc])* $value,)+ }

        impl $type {
            /// How many values there are.
            pub const COUNT: usize = <Self as Label>::ALL.len();
        }

        impl Label for $type {
            const NAME: &'static str = $name;
            const ALL: &'static [Self] = &[$(Self::$value,)+];

            fn index(self) -> usize {
                self as usize
            }

            fn text(self) -> &'static str {
                match self { $(Self::$value => $text,)+ }
            }
        }
    };
}

label! {
    /// Why a connection did not become a session.
    RefusalReason, "reason" {
        /// Not an HTTP/1.1 upgrade (400).
        Malformed => "malformed",
        /// No token, or one that does not hold (401).
        Unauthorized => "unauthorized",
        /// The origin or the app is not allowed (403).
        Forbidden => "forbidden",
        /// No such path (404).
        NotFound => "not_found",
        /// Not a GET (405).
        Method => "method",
        /// The head was not complete in time (408).
        HeadTimeout => "head_timeout",
        /// The head is too large (431).
        HeadTooLarge => "head_too_large",
        /// The request target is too long (414).
        TargetTooLong => "target_too_long",
        /// Another version of the protocol (426).
        Version => "version",
        /// Too many upgrades a second (429).
        Rate => "rate",
        /// Too many sessions from there (429).
        Address => "address",
        /// Too many connections from there: closed as it came.
        Connections => "connections",
        /// It gave way to a newer one before it had shown who it is: closed.
        GaveWay => "gave_way",
        /// On the backend port, from a network that may not: closed as it came.
        BackendNetwork => "backend_network",
        /// The TLS handshake failed: closed.
        TlsHandshake => "tls_handshake",
        /// The TLS handshake was not complete in time: closed.
        TlsTimeout => "tls_timeout",
        /// TLS on a port that speaks none (400).
        TlsOnPlain => "tls_on_plain",
        /// No valid PROXY header in time from a proxy that has to send one, or one from anybody else: closed.
        ProxyHeader => "proxy_header",
        /// Too many sessions of the user (429).
        User => "user",
        /// No room for another session (503), or another backend connection.
        Full => "full",
        /// No room for another session of the app (503).
        AppFull => "app_full",
        /// The keys that its token needs have not been fetched yet (503).
        NoKeys => "no_keys",
        /// The server is stopping (503).
        Draining => "draining",
    }
}

label! {
    /// Why a request on the backend port was not let in, or a command not carried out.
    BackendRefusal, "reason" {
        /// No key, or a wrong one (401).
        Key => "key",
        /// The same, too often from one address (429).
        KeyRate => "key_rate",
        /// The key may not do that (403).
        Right => "right",
        /// From a web page of another origin (403).
        Page => "page",
        /// A name in `Host` that is not known here (421).
        Host => "host",
        /// As many connections that may ask are open as there may be (503).
        Full => "full",
    }
}

label! {
    /// What came of a link that was to be resumed.
    LinkResume, "outcome" {
        /// It went on with the events that it had not read.
        Resumed => "resumed",
        /// Events are missing.
        Gap => "gap",
        /// No link has the ticket.
        Unknown => "unknown",
        /// The key may not do what the link's key may.
        Key => "key",
        /// It speaks the other form.
        Form => "form",
    }
}

label! {
    /// Why a token or a signed query was not taken.
    AuthFailure, "reason" {
        /// There was none.
        Missing => "missing",
        /// Too long, not base64url, not JSON.
        Malformed => "malformed",
        /// An algorithm that is not spoken here, or none.
        Algorithm => "algorithm",
        /// Signed with no key of the app.
        Signature => "signature",
        /// It names a key that the app does not have.
        UnknownKey => "unknown_key",
        /// The key that it names is for another algorithm.
        OtherKey => "other_key",
        /// The keys of the app have not been fetched yet (503).
        NoKeys => "no_keys",
        /// A claim or a parameter is missing or wrong.
        Claims => "claims",
        /// Made for another app.
        App => "app",
        /// Past its end.
        Expired => "expired",
        /// Before its beginning.
        NotYetValid => "not_yet_valid",
        /// A timestamp outside the window.
        Skewed => "skewed",
        /// A nonce that has been used.
        Replayed => "replayed",
        /// No room to remember another nonce (503).
        NoncesFull => "nonces_full",
    }
}

label! {
    /// How a TLS handshake ended.
    TlsOutcome, "outcome" {
        /// Done in full.
        Full => "full",
        /// Done with a ticket of an earlier one.
        Resumed => "resumed",
        /// What came was no TLS: plain HTTP, for instance.
        NotTls => "not_tls",
        /// No version, cipher or the like in common.
        Incompatible => "incompatible",
        /// The peer refused it with an alert: it does not trust the certificate, for instance.
        Refused => "refused",
        /// The peer broke the rules.
        Misbehaved => "misbehaved",
        /// The peer was gone before the end.
        Gone => "gone",
        /// Not done in time.
        Timeout => "timeout",
    }
}

label! {
    /// What a session sent too much of.
    Throttled, "what" {
        /// Messages, pings and pongs.
        Messages => "messages",
        /// Bytes.
        Bytes => "bytes",
    }
}

label! {
    /// Why a connection is not read.
    PauseReason, "reason" {
        /// Answers to what it has asked have to leave first.
        Answers => "answers",
        /// A command of its own has to be done first.
        Barrier => "barrier",
        /// It has sent more than its rate allows.
        Rate => "rate",
        /// A link that gets its messages is behind.
        Link => "link",
    }
}

label! {
    /// What became of one message for one session.
    DeliveryOutcome, "outcome" {
        /// In the session's outbox.
        Queued => "queued",
        /// Handed to the socket.
        Written => "written",
        /// Overtaken by a newer one with the same key.
        Replaced => "replaced",
        /// No room in a queue.
        Dropped => "dropped",
        /// Not handed to the socket in its time to live.
        Expired => "expired",
        /// The session or user named is not here.
        Offline => "offline",
        /// The session closed with the message in its outbox.
        Closed => "closed",
    }
}

label! {
    /// Why there was no room for a message.
    DropReason, "reason" {
        /// The session's outbox was full, and it gave way to a newer one or to one of a higher class.
        Oldest => "oldest",
        /// The session's outbox was full, and it was the newest.
        Newest => "newest",
        /// The session's outbox was full, and the session was closed for it with 4003; or it was closing already.
        TooSlow => "too_slow",
        /// The mailbox of the session's reactor was full, and what is kept back for it too.
        Mailbox => "mailbox",
    }
}

label! {
    /// Why a group that remembers has lost a message.
    MemoryLoss, "reason" {
        /// The log was full: it has as many messages as it may have.
        Messages => "messages",
        /// The log, or the messages of all keys, had as many bytes as they may have.
        Bytes => "bytes",
        /// There were as many keys as there may be.
        Keys => "keys",
        /// The groups of its app keep as much as they may.
        App => "app",
        /// The groups of the server keep as much as they may.
        Server => "server",
        /// Its time was over.
        Expired => "expired",
        /// Its group had no member and got no push for too long.
        Idle => "idle",
        /// A backend had it forgotten.
        Forgotten => "forgotten",
        /// Other rules came with a reload or an upgrade.
        Rules => "rules",
        /// In a cluster: Redis had no memory for it, or its group moved to another one.
        Redis => "redis",
    }
}

label! {
    /// Why a message of the bus did not reach every node that it was for.
    BusLoss, "reason" {
        /// As much waited for Redis as may.
        Queue => "queue",
        /// Its time was over before Redis had it.
        Expired => "expired",
        /// Another node published it while this one was not connected to Redis, and nobody remembers whom it was for: it may have been
        /// for others.
        Unknown => "unknown",
        /// Redis refused it.
        Refused => "refused",
        /// Another node published it while this one was not connected to Redis.
        Missed => "missed",
        /// What came is no message of the bus.
        Malformed => "malformed",
        /// What came is of another version of the bus.
        Version => "version",
        /// Another node told of a user, and this one keeps as many of others as it may.
        Users => "users",
    }
}

label! {
    /// The close codes that sessions end with (RFC 6455 §7.4, and gannet's own), the rare ones together.
    CloseClass, "code" {
        /// Normal closure.
        Normal => "1000",
        /// Going away.
        GoingAway => "1001",
        /// Protocol error.
        ProtocolError => "1002",
        /// Unsupported data.
        Unsupported => "1003",
        /// A Close frame without a code.
        NoStatus => "1005",
        /// No Close frame at all.
        Abnormal => "1006",
        /// A text that is not UTF-8.
        InvalidData => "1007",
        /// Policy violation.
        Policy => "1008",
        /// Message too big.
        TooBig => "1009",
        /// The server failed.
        InternalError => "1011",
        /// The server restarts.
        Restart => "1012",
        /// Too much at once: try again later.
        TryAgainLater => "1013",
        /// Idle.
        Idle => "4000",
        /// Kicked.
        Kicked => "4001",
        /// Replaced by a newer session.
        Replaced => "4002",
        /// Too slow.
        TooSlow => "4003",
        /// The token expired.
        TokenExpired => "4004",
        /// Any other code.
        Other => "other",
    }
}

impl CloseClass {
    /// The class of a close code.
    pub fn from_code(code: u16) -> Self {
        match code {
            1000 => Self::Normal,
            1001 => Self::GoingAway,
            1002 => Self::ProtocolError,
            1003 => Self::Unsupported,
            1005 => Self::NoStatus,
            1006 => Self::Abnormal,
            1007 => Self::InvalidData,
            1008 => Self::Policy,
            1009 => Self::TooBig,
            1011 => Self::InternalError,
            1012 => Self::Restart,
            1013 => Self::TryAgainLater,
            4000 => Self::Idle,
            4001 => Self::Kicked,
            4002 => Self::Replaced,
            4003 => Self::TooSlow,
            4004 => Self::TokenExpired,
            _ => Self::Other,
        }
    }
}

label! {
    /// Why a client that came back could not have its session.
    ResumeFailure, "why" {
        /// The session has ended: it waited as long as it may, or was ended.
        Expired => "expired",
        /// The client has missed more than was kept, or counts messages that it cannot have.
        Gap => "gap",
        /// The ticket is none of this server's, or is used up.
        Unknown => "unknown",
        /// The client is somebody else.
        User => "user",
    }
}

label! {
    /// Why a session ended while its client was away, or could not wait for it.
    LingerEnd, "why" {
        /// The client did not come back in time.
        Expired => "expired",
        /// What waited for it found no room, and its app's policy is to close.
        Overflow => "overflow",
        /// The client came back, and had missed more than was kept.
        Gap => "gap",
        /// It was closed: kicked, replaced, by its token, or because the server stops.
        Closed => "closed",
        /// As many sessions were away as may be.
        Full => "full",
        /// The client came back on another node, where the session goes on.
        Moved => "moved",
    }
}

label! {
    /// What an event is about that no link heard.
    UnheardKind, "kind" {
        /// A session opened.
        Open => "open",
        /// A client sent a message.
        Message => "message",
        /// A session closed.
        Close => "close",
    }
}

label! {
    /// How a peer broke the protocol, by the code it is closed with (RFC 6455 §7.4.1).
    ProtocolErrorKind, "kind" {
        /// A frame that the RFC forbids (1002).
        Protocol => "protocol",
        /// A text that is not UTF-8 (1007).
        InvalidUtf8 => "invalid_utf8",
        /// A limit on fragments or the like (1008).
        Policy => "policy",
        /// A frame or message beyond its limit (1009).
        TooBig => "too_big",
        /// Anything else.
        Other => "other",
    }
}

impl ProtocolErrorKind {
    /// The kind of error that a connection is closed for with `code`.
    pub fn from_code(code: u16) -> Self {
        match code {
            1002 => Self::Protocol,
            1007 => Self::InvalidUtf8,
            1008 => Self::Policy,
            1009 => Self::TooBig,
            _ => Self::Other,
        }
    }
}

label! {
    /// The class of an HTTP response status (RFC 9110 §15).
    StatusClass, "status" {
        /// Informational: the upgrades.
        Informational => "1xx",
        /// Successful.
        Successful => "2xx",
        /// Redirection.
        Redirection => "3xx",
        /// Client error.
        ClientError => "4xx",
        /// Server error.
        ServerError => "5xx",
    }
}

impl StatusClass {
    /// The class of a status; what is outside 100–599 counts as a server error.
    pub fn from_status(status: u16) -> Self {
        match status {
            100..=199 => Self::Informational,
            200..=299 => Self::Successful,
            300..=399 => Self::Redirection,
            400..=499 => Self::ClientError,
            _ => Self::ServerError,
        }
    }
}
