//! What can go wrong between two processes, in words for the operator.

use super::InvalidState;
use std::fmt;
use std::process::ExitStatus;

/// The process at the other end, as the operator knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// The one that takes over.
    New,
    /// The one that has served so far.
    Old,
    /// None: the service manager keeps the stream.
    Store,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::New => "the new process",
            Self::Old => "the old process",
            Self::Store => "the store of descriptors",
        })
    }
}

/// Why the stream is of no more use, at which step, and who was at its other end.
///
/// `sending: the new process closed the stream`
#[derive(Debug)]
pub struct Fault {
    /// The process at the other end.
    pub peer: Peer,
    /// What this process was doing; empty if that does not matter.
    pub step: &'static str,
    /// What went wrong.
    pub cause: Cause,
}

/// What went wrong.
#[derive(Debug)]
pub enum Cause {
    /// The stream ended, in the middle of a message or between two.
    Lost,
    /// The other process has ended.
    Ended {
        /// How it ended.
        status: ExitStatus,
        /// It had said something before.
        was_heard: bool,
    },
    /// The deadline passed.
    TimedOut,
    /// The other process says that it cannot go on.
    Refused(String),
    /// The other process takes everything back.
    CalledOff,
    /// The other process speaks a protocol, or writes a format, that this one does not know.
    Version(String),
    /// A message that has no place here.
    Unexpected(&'static str),
    /// A message that breaks the format.
    Invalid(InvalidState),
    /// Descriptors were lost on the way.
    Descriptors {
        /// How many the other process has sent.
        announced: u64,
        /// How many of them this process has got.
        arrived: u64,
    },
    /// More than a bound allows.
    TooLarge {
        /// What is too large, and in which unit.
        what: &'static str,
        /// How much it is.
        size: u64,
        /// The bound.
        most: u64,
    },
    /// The two sides have counted differently.
    Counts {
        /// What they have counted.
        what: &'static str,
        /// By the side that sent.
        sent: u64,
        /// By the side that received.
        arrived: u64,
    },
    /// The kernel takes no more parked descriptors.
    Full,
    /// A system call failed.
    System {
        /// What the call was to do.
        what: &'static str,
        /// What the kernel says.
        error: std::io::Error,
    },
}

impl Cause {
    pub(super) fn system(what: &'static str, error: impl Into<std::io::Error>) -> Self {
        Self::System { what, error: error.into() }
    }
}

impl From<InvalidState> for Cause {
    fn from(invalid: InvalidState) -> Self {
        Self::Invalid(invalid)
    }
}

impl Fault {
    /// The other process has ended, or closed its end of the stream.
    pub fn is_lost(&self) -> bool {
        matches!(self.cause, Cause::Lost | Cause::Ended { .. })
    }
}

impl From<InvalidState> for Fault {
    /// The old process has sent it.
    fn from(invalid: InvalidState) -> Self {
        Self { peer: Peer::Old, step: "taking over", cause: invalid.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peer = self.peer;
        if !self.step.is_empty() {
            write!(f, "{}: ", self.step)?;
        }
        match &self.cause {
            Cause::Lost => write!(f, "the stream from {peer} is cut"),
            Cause::Ended { status, was_heard: true } => write!(f, "{peer} ended with {}", Status(*status)),
            Cause::Ended { status, was_heard: false } => {
                let status = Status(*status);
                write!(f, "{peer} ended with {status} before it was ready: is it a gannet that can take over?")
            }
            Cause::TimedOut => write!(f, "{peer} did not answer in time"),
            Cause::Refused(why) => write!(f, "{peer} refused: {why}"),
            Cause::CalledOff => write!(f, "{peer} called it off"),
            Cause::Version(what) => write!(f, "{peer} {what}"),
            Cause::Unexpected(name) => write!(f, "{peer} sent {name}, which has no place here"),
            Cause::Invalid(invalid) => write!(f, "what {peer} sent cannot be read: {invalid}"),
            Cause::Descriptors { announced, arrived } => write!(
                f,
                "{announced} descriptors came from {peer}, and {arrived} arrived: is the limit of open files too low?"
            ),
            Cause::TooLarge { what, size, most } => write!(f, "{size} {what} are more than {most}"),
            Cause::Counts { what, sent, arrived } => {
                write!(f, "{sent} {what} were sent and {arrived} arrived")
            }
            Cause::Full => f.write_str(
                "the kernel takes no more parked descriptors: raise net.core.wmem_max or the limit of open files",
            ),
            Cause::System { what, error } => write!(f, "cannot {what}: {error}"),
        }
    }
}

impl std::error::Error for Fault {}

/// An exit status in words.
pub(super) struct Status(pub(super) ExitStatus);

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use std::os::unix::process::ExitStatusExt;
        match (self.0.code(), self.0.signal()) {
            (Some(code), _) => write!(f, "status {code}"),
            (None, Some(signal)) => write!(f, "signal {signal}"),
            (None, None) => f.write_str("an unknown status"),
        }
    }
}
