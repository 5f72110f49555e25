//! What groups that remember say of the messages that they keep: their numbers, and which of them a session gets first.

use super::EncodedFrame;
use std::fmt;
use std::str::FromStr;

/// One run of the numbers of a group's messages, of which the first is 1. Numbers of different epochs have nothing to do with
/// each other. Written as 16 hex digits.
///
/// ```
/// use gannet::dispatch::Epoch;
/// let epoch: Epoch = "00000000000000ff".parse().unwrap();
/// assert_eq!((epoch, epoch.to_string()), (Epoch::from_u64(255), "00000000000000ff".to_owned()));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(u64);

/// Why a text is not an [`Epoch`].
///
/// ```
/// use gannet::dispatch::Epoch;
/// assert!("17".parse::<Epoch>().unwrap_err().to_string().contains("16"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidEpoch;

impl Epoch {
    /// The epoch with this number.
    pub fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Epoch {
    type Err = InvalidEpoch;

    fn from_str(text: &str) -> Result<Self, InvalidEpoch> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        match text.len() == 16 && text.bytes().all(is_digit) {
            true => u64::from_str_radix(text, 16).map(Self).map_err(|_| InvalidEpoch),
            false => Err(InvalidEpoch),
        }
    }
}

impl fmt::Display for InvalidEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an epoch is 16 lowercase hex digits")
    }
}

impl std::error::Error for InvalidEpoch {}

/// What of a group's log a session that joins gets before everything that comes live.
///
/// ```
/// use gannet::dispatch::Recall;
/// assert_ne!(Recall::Last(10), Recall::After { offset: 10, epoch: None, last: Some(10) });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recall {
    /// The newest so many.
    Last(u64),
    /// Those behind this one.
    After {
        /// The number of the last message that is known.
        offset: u64,
        /// The epoch of that number; `None` is any.
        epoch: Option<Epoch>,
        /// Of these the newest so many at the most; `None` is all.
        last: Option<u64>,
    },
}

/// How far what a session has been sent from a group's memory goes.
///
/// ```
/// let recalled = gannet::dispatch::Recalled { epoch: None, offset: 0, complete: true };
/// assert!(recalled.complete);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recalled {
    /// The epoch; `None` where the group keeps nothing yet.
    pub epoch: Option<Epoch>,
    /// The number of the last message that the memory had: all later ones come live.
    pub offset: u64,
    /// Whether nothing of what was asked for is gone.
    pub complete: bool,
}

/// A message that a group keeps.
///
/// ```
/// use gannet::dispatch::{EncodedFrame, KeptMessage};
/// let kept = KeptMessage { offset: 17, key: None, frame: EncodedFrame::text("hi") };
/// assert_eq!((kept.frame.is_text(), kept.frame.payload()), (true, &b"hi"[..]));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptMessage {
    /// Its number.
    pub offset: u64,
    /// The key that it was pushed with.
    pub key: Option<Box<str>>,
    /// The message.
    pub frame: EncodedFrame,
}

/// Messages that a group keeps, in the order of their numbers.
///
/// ```
/// use gannet::dispatch::{Action, KeptPage, OperationOutcome};
/// use gannet::session::Name;
/// use std::time::Duration;
///
/// /// What the group has said since `offset`.
/// fn since(pusher: &gannet::Pusher, group: Name, offset: u64) -> Result<Option<KeptPage>, gannet::PushError> {
///     let log = Action::Log { group, after: offset, epoch: None, limit: 100 };
///     match pusher.act("default", log, Duration::from_secs(1))? {
///         OperationOutcome::Kept(page) => Ok(Some(page)),
///         _ => Ok(None),
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptPage {
    /// The epoch of the numbers; `None` where the group keeps nothing and has numbered nothing.
    pub epoch: Option<Epoch>,
    /// The number of the group's newest push.
    pub offset: u64,
    /// The messages.
    pub messages: Vec<KeptMessage>,
    /// Whether nothing that was asked for is gone.
    pub complete: bool,
}

/// The place of a push among those of its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Stands for the group: its keys are its own.
    pub(crate) scope: u64,
    /// The order of all pushes that the owner of the group has numbered; it never begins anew.
    pub(crate) order: u64,
    /// The epoch.
    pub(crate) epoch: Epoch,
    /// The number in the epoch.
    pub(crate) offset: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_sixteen_hex_digits() {
        for number in [0, 1, 0xabcd_ef01_2345_6789, u64::MAX] {
            let epoch = Epoch::from_u64(number);
            assert_eq!(epoch.to_string().parse(), Ok(epoch));
        }
        for text in ["", "17", "00000000000000FF", "+000000000000001", "00000000000000001"] {
            assert_eq!(text.parse::<Epoch>(), Err(InvalidEpoch), "{text}");
        }
    }
}
