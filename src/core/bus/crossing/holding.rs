//! Pushes to sessions that cross: what one is given that goes is noted, and what one is given that has just come is held.

use super::state::Held;
use crate::connection::{LocalPush, Tick};
use crate::core::Core;
use crate::dispatch::Wire;
use std::rc::Rc;

/// So many pushes are noted for one session. One that is given more while it is claimed does not cross.
const MOST_GIVEN: usize = 16_384;

impl Core {
    /// Whether pushes to some session here are to be shown to [`Core::crosses`].
    pub(in crate::core) fn has_crossing(&self) -> bool {
        self.bus.as_ref().is_some_and(|bus| bus.crossing.is_active())
    }

    /// A push for the session in `slot`: whether it is held.
    #[cold]
    pub(in crate::core) fn crosses(
        &mut self,
        slot: u32,
        local: &Rc<LocalPush>,
        wire: Wire,
        tick: Option<Tick>,
    ) -> bool {
        let limits = self.rules.settings.outbox;
        let Some(bus) = self.bus.as_deref_mut() else { return false };
        if let Some(going) = bus.crossing.going.get_mut(&slot) {
            match going.given.len() < MOST_GIVEN {
                true => going.given.extend_from_slice(local.push().ids()),
                false => going.is_full = true,
            }
            return false;
        }
        let Some(number) = bus.crossing.arriving.get(&slot) else { return false };
        let Some(coming) = bus.crossing.coming.get_mut(number) else { return false };
        let bytes = local.push().wire_bytes(wire).len();
        coming.is_full |= coming.held.len() >= limits.messages || coming.held_bytes + bytes > limits.bytes;
        if coming.is_full {
            // Its client is told of the gap: nothing that is behind it is of any use.
            return false;
        }
        // Its part here is not done before it is let go.
        local.hold();
        coming.held_bytes += bytes;
        coming.held.push(Held { local: Rc::clone(local), tick });
        true
    }
}
