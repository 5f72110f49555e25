//! The first message of a link that can be resumed: how to come back to it, and whether it came back.

use super::error::{Malformed, Wrong};
use super::wire::Reader;

/// It goes on with the events that follow those that it has read.
const RESUMED: u8 = 0x01;
/// It does not.
const NOT_RESUMED: u8 = 0x02;

/// How a link can be come back to, and whether it has been.
///
/// ```
/// use gannet::link_bin::{NotResumed, Reply, Resumption};
/// let resumption = Resumption { ticket: Some("bm8"), resumed: Some(Err(NotResumed::Gap)) };
/// let mut message = Vec::new();
/// Reply::Resume(resumption).encode(0, &mut message)?;
/// assert_eq!(message, [0x89, 0x02, 2, 0, 0, 0, 0, 0, b'b', b'm', b'8']);
/// assert_eq!(Reply::decode(&message)?, (0, Reply::Resume(resumption)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resumption<'a> {
    /// What to pass as `resume`; `None` where the server keeps no link.
    pub ticket: Option<&'a str>,
    /// Whether the link goes on where it was; `None` for a new one.
    pub resumed: Option<Result<(), NotResumed>>,
}

/// Why a link does not go on where it was.
///
/// ```
/// use gannet::link_bin::NotResumed;
/// assert_eq!(NotResumed::Gap.as_str(), "gap");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotResumed {
    /// No link has this ticket: it was used up, has expired, or was never given. It listens to nothing.
    Unknown,
    /// The events that follow those that it has read are not kept. It listens to what it did.
    Gap,
    /// The key may not do what the link's key may. It listens to nothing.
    Key,
    /// It speaks the other form. It listens to nothing.
    Form,
}

impl NotResumed {
    const ALL: [Self; 4] = [Self::Unknown, Self::Gap, Self::Key, Self::Form];

    /// As the JSON link has it in `why`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Gap => "gap",
            Self::Key => "key",
            Self::Form => "form",
        }
    }

    fn number(self) -> u8 {
        self as u8 + 1
    }
}

impl<'a> Resumption<'a> {
    pub(super) fn header(&self, opcode: u8) -> (u8, u8, u8) {
        match self.resumed {
            None => (opcode, 0, 0),
            Some(Ok(())) => (opcode, RESUMED, 0),
            Some(Err(why)) => (opcode, NOT_RESUMED, why.number()),
        }
    }

    pub(super) fn read(flags: u8, why: u8, reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let ticket = Some(reader.rest_as_text("a ticket")?).filter(|ticket| !ticket.is_empty());
        let resumed = match (flags & RESUMED, flags & NOT_RESUMED) {
            (0, 0) => None,
            (0, _) => {
                let known = "1 to 4";
                let wrong = Wrong::Unknown { what: "a reason", value: why.into(), known };
                let found = NotResumed::ALL.into_iter().find(|one| one.number() == why);
                Some(Err(found.ok_or(Malformed { offset: 2, wrong })?))
            }
            _ => Some(Ok(())),
        };
        Ok(Self { ticket, resumed })
    }
}
