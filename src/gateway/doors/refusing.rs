//! What becomes of a refusal at the client port beside its answer: it is counted, and where a user is refused for the sessions that it
//! has, these are asked whether they are still there. Knows nothing of how an answer is written.

use crate::admission::NoRoom;
use crate::core::Core;
use crate::dispatch::ErrorCode;
use crate::gateway::api::refusal::Refused;
use crate::metrics::RefusalReason;
use crate::session::{AppId, Name};

/// There is no place in the app for a session, of this user.
pub fn no_place(core: &Core, no_room: NoRoom, app: AppId, user: Option<&Name>) -> Refused {
    let refused = match no_room {
        NoRoom::App(_) => Refused::new(ErrorCode::Overloaded, RefusalReason::AppFull, no_room),
        NoRoom::User(_) => Refused {
            retry_after_s: retry_after_s(core.rules.settings.silence.probe_ms),
            full_user: user.cloned(),
            ..Refused::new(ErrorCode::RateLimited, RefusalReason::User, no_room)
        },
        NoRoom::Address(_) => Refused::new(ErrorCode::RateLimited, RefusalReason::Address, no_room),
    };
    refused.in_app(app)
}

/// A try after that finds the place of a session that has not answered. `None` where none is asked.
fn retry_after_s(probe_ms: u64) -> Option<u64> {
    (probe_ms > 0).then_some(probe_ms / 1_000 + 1)
}

/// A request is refused so.
pub fn note(core: &mut Core, refused: &Refused) {
    let metrics = core.metrics();
    metrics.refused.of(refused.reason).add(1);
    let Some(app) = refused.app else { return };
    metrics.apps.refused.of(app.0).add(1);
    if let Some(user) = &refused.full_user {
        core.probe_sessions_of(app, user);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_for_as_long_as_it_is_told_comes_when_the_probe_is_over() {
        let waits = [0, 1, 999, 1_000, 2_000, 2_500].map(retry_after_s);
        assert_eq!(waits, [None, Some(1), Some(1), Some(2), Some(3), Some(3)]);
    }
}
