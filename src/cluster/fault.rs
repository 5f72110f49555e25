//! Why a link is down.

use std::fmt;
use std::io;

/// Why a link to Redis broke or does not come up: a cause, and a sentence about the server (“it …”) that says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    kind: FaultKind,
    text: Box<str>,
    /// The server of the Redis Cluster that has what was asked for.
    moved_to: Option<(Box<str>, u16)>,
}

/// The cause of a [`Fault`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The name has no address, or none in time.
    Resolve,
    /// No connection can be made.
    Refused,
    /// TLS failed, or this build has none.
    Tls,
    /// The connection ended.
    Closed,
    /// Nothing came while an answer was owed.
    Silent,
    /// The login is wrong or missing, or its user may not do what is needed.
    Password,
    /// It does not know RESP3.
    TooOld,
    /// It is no primary.
    Replica,
    /// Another server of the Redis Cluster has what was asked for.
    Moved,
    /// It reads its data from the disk and takes keys only then.
    Loading,
    /// It answered with an error where none may be.
    Error,
    /// What it says is no RESP3, too large, or not what was asked for.
    Protocol,
}

impl Fault {
    /// One of this kind, with what to say about it.
    pub fn new(kind: FaultKind, text: impl Into<Box<str>>) -> Self {
        Self { kind, text: text.into(), moved_to: None }
    }

    /// What a server of a Redis Cluster answers where another one has the slot; `None` if `error` does not say so.
    pub fn moved(error: &str) -> Option<Self> {
        let (slot, place) = error.strip_prefix("MOVED ")?.split_once(' ')?;
        let (host, port) = place.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        // "?" is a server whose address the other one does not know.
        let port = port.parse().ok().filter(|port| *port != 0 && host != "?");
        let text = format!("the slot {slot} is at {place}");
        Some(Self { moved_to: port.map(|port| (host.into(), port)), ..Self::new(FaultKind::Moved, text) })
    }

    /// Where the server is that has what was asked for, if this one has said so.
    pub fn moved_to(&self) -> Option<(&str, u16)> {
        self.moved_to.as_ref().map(|(host, port)| (&**host, *port))
    }

    /// Its cause.
    pub fn kind(&self) -> FaultKind {
        self.kind
    }

    /// A connection that cannot be made.
    pub fn refused(error: &io::Error) -> Self {
        let text = format!("it cannot be reached: {error}; check that Redis runs there and the URL names it");
        Self::new(FaultKind::Refused, text)
    }

    /// A read or write that failed.
    pub fn broken(error: &io::Error) -> Self {
        match error.kind() {
            // rustls wraps what it says in it.
            io::ErrorKind::InvalidData => Self::new(
                FaultKind::Tls,
                format!("TLS failed: {error}; check the certificate and ca, and that its port speaks TLS"),
            ),
            _ => Self::new(FaultKind::Closed, format!("the connection broke: {error}")),
        }
    }

    /// What Redis sends instead of what it was asked for by a command called `command`.
    pub fn answered(command: &str, error: &str) -> Self {
        let code = error.split(' ').next().unwrap_or_default();
        let (kind, text) = match code {
            "NOAUTH" => (
                FaultKind::Password,
                "it asks for a password: write one into the URL, as redis://USER:PASSWORD@HOST".into(),
            ),
            "WRONGPASS" => (
                FaultKind::Password,
                "it refuses the user or password of the URL: see ACL LIST, and percent-encode what is special".into(),
            ),
            "NOPERM" => (
                FaultKind::Password,
                format!("its ACL forbids the user {command}: allow it ({error})"),
            ),
            "CLUSTERDOWN" => (
                FaultKind::Error,
                format!("its cluster is down: see CLUSTER INFO on its servers ({error})"),
            ),
            "LOADING" => (FaultKind::Loading, "it is loading its data; it is tried again".into()),
            "DENIED" => (
                FaultKind::Password,
                "it is in protected mode and takes connections from its own machine only: give it a password".into(),
            ),
            // The text of an error to HELLO can repeat the arguments, the password among them.
            _ if command == "HELLO" => (FaultKind::Error, format!("it answers HELLO with the error {code}")),
            _ => (FaultKind::Error, format!("it answers {command} with an error: {error}")),
        };
        Self::new(kind, text)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Fault {}
