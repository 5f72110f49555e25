//! The first eight bytes of a command.

use super::super::error::{Malformed, Wrong};
use super::super::wire::Reader;
use crate::dispatch::{EventKind, EventSet};
use std::sync::LazyLock;

/// The first eight bytes.
pub(super) struct Header {
    pub(super) opcode: u8,
    pub(super) flags: u8,
    pub(super) arguments: [u8; 2],
    pub(super) id: u32,
}

impl Header {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        const WHAT: &str = "a header";
        match *reader.take(8, WHAT)? {
            [opcode, flags, first, second, a, b, c, d] => {
                Ok(Self { opcode, flags, arguments: [first, second], id: u32::from_le_bytes([a, b, c, d]) })
            }
            _ => Err(reader.wrong(8, Wrong::Truncated { what: WHAT, needs: 8, left: 0 })),
        }
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

    /// The events in the first argument.
    pub(super) fn events(&self) -> Result<EventSet, Malformed> {
        static KNOWN: LazyLock<String> = LazyLock::new(|| {
            let bit = |kind: EventKind| EventSet::of(&[kind]).bits();
            let bits = EventKind::ALL.iter().map(|(kind, name)| format!("{:#04x} ({name})", bit(*kind)));
            format!("{} or several", bits.collect::<Vec<_>>().join(", "))
        });
        let events = EventSet::from_bits(self.arguments[0]).filter(|events| !events.is_empty());
        let events = events.ok_or_else(|| self.bad_argument(0, &KNOWN))?;
        self.check_arguments([EventSet::ALL.bits(), 0]).map(|()| events)
    }

    pub(super) fn bad_argument(&self, index: usize, known: &'static str) -> Malformed {
        let value = self.arguments[index].into();
        Malformed { offset: 2 + index, wrong: Wrong::Unknown { what: "an argument", value, known } }
    }
}
