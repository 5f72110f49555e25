//! The first eight bytes of a command.

use super::super::error::{Malformed, Wrong};
use super::super::wire::Reader;
use crate::dispatch::{Detail, EventKind, EventSet, Scope, With};
use crate::ops::Part;
use std::sync::LazyLock;

/// The events that have their bits in the first argument of a command.
pub(super) const FIRST_EVENTS: u32 = 0xff;

/// The kinds of events that have these bits, for a person to read.
fn kinds_in(bits: u32) -> String {
    let bit = |kind: EventKind| EventSet::of(&[kind]).bits();
    let kinds = EventKind::ALL.iter().filter(|(kind, _)| bit(*kind) & bits != 0);
    let kinds: Vec<String> = kinds.map(|(kind, name)| format!("{:#04x} ({name})", bit(*kind))).collect();
    format!("{} or several", kinds.join(", "))
}

/// In the second argument of any command: it is for the node alone that is asked.
const NODE: u8 = 0x80;

/// The first eight bytes.
pub(super) struct Header {
    pub(super) opcode: u8,
    pub(super) flags: u8,
    /// Without [`NODE`].
    pub(super) arguments: [u8; 2],
    pub(super) scope: Scope,
    pub(super) id: u32,
}

impl Header {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        const WHAT: &str = "a header";
        match *reader.take(8, WHAT)? {
            [opcode, flags, first, second, a, b, c, d] => Ok(Self {
                opcode,
                flags,
                arguments: [first, second & !NODE],
                scope: if second & NODE == 0 { Scope::Cluster } else { Scope::Node },
                id: u32::from_le_bytes([a, b, c, d]),
            }),
            _ => Err(reader.wrong(8, Wrong::Truncated { what: WHAT, needs: 8, left: 0 })),
        }
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let Self { opcode, flags, arguments: [first, second], scope, id } = *self;
        let node = if scope == Scope::Node { NODE } else { 0 };
        out.extend_from_slice(&[opcode, flags, first, second | node]);
        out.extend_from_slice(&id.to_le_bytes());
    }

    /// The arguments of a command that has none, or only the first.
    pub(super) fn check_arguments(&self, most: [u8; 2]) -> Result<(), Malformed> {
        for (index, (argument, most)) in self.arguments.into_iter().zip(most).enumerate() {
            if argument > most {
                return Err(self.bad_argument(index, "0: it is reserved"));
            }
        }
        Ok(())
    }

    /// The events in the first argument; none only where more follow.
    pub(super) fn events(&self) -> Result<EventSet, Malformed> {
        static KNOWN: LazyLock<String> = LazyLock::new(|| kinds_in(FIRST_EVENTS));
        let events = EventSet::from_bits(self.arguments[0].into());
        let events = events.filter(|events| !events.is_empty() || self.flags & Part::MORE != 0);
        let events = events.ok_or_else(|| self.bad_argument(0, &KNOWN))?;
        self.check_arguments([u8::MAX, 0]).map(|()| events)
    }

    /// The events that follow where the first argument has no bits for them.
    pub(super) fn more_events(&self, reader: &mut Reader<'_>) -> Result<EventSet, Malformed> {
        static KNOWN: LazyLock<String> = LazyLock::new(|| kinds_in(!FIRST_EVENTS));
        if self.flags & Part::MORE == 0 {
            return Ok(EventSet::NONE);
        }
        let bits = reader.u32("more events")?;
        let events = EventSet::from_bits(bits).filter(|_| bits & FIRST_EVENTS == 0 && bits != 0);
        let unknown = Wrong::Unknown { what: "more events", value: bits.into(), known: &KNOWN };
        events.ok_or_else(|| reader.wrong(4, unknown))
    }

    /// What events have of their sessions.
    pub(super) fn with(&self, reader: &mut Reader<'_>) -> Result<With, Malformed> {
        static KNOWN: LazyLock<String> = LazyLock::new(|| {
            let bit = |(detail, name): &(Detail, &str)| format!("{:#04x} ({name})", 1 << *detail as u8);
            let bits: Vec<String> = Detail::ALL.iter().map(bit).collect();
            format!("{} or several", bits.join(", "))
        });
        if self.flags & Part::WITH == 0 {
            return Ok(With::NONE);
        }
        let bits = reader.u8("with")?;
        let unknown = Wrong::Unknown { what: "with", value: bits.into(), known: &KNOWN };
        let with = With::from_bits(bits).filter(|with| !with.is_empty());
        with.ok_or_else(|| reader.wrong(1, unknown))
    }

    /// Flags that do not go together.
    pub(super) fn bad_flags(&self, known: &'static str) -> Malformed {
        Malformed { offset: 1, wrong: Wrong::Unknown { what: "flags", value: self.flags.into(), known } }
    }

    pub(super) fn bad_argument(&self, index: usize, known: &'static str) -> Malformed {
        let value = self.arguments[index].into();
        Malformed { offset: 2 + index, wrong: Wrong::Unknown { what: "an argument", value, known } }
    }
}
