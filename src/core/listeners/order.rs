//! What follows from who has a session: sent by the gateway, in its order, before any event that is newer.

use super::untold::Tell;
use super::{Kept, Listener};
use crate::dispatch::{EventForm, EventSet, LinkForm};
use crate::session::SessionId;

/// See the module.
#[derive(Debug)]
pub enum Order {
    /// The link is told what the session is.
    State {
        /// The link.
        link: SessionId,
        /// How its events are written.
        form: EventForm,
        /// The session.
        session: SessionId,
        /// Why.
        tell: Tell,
    },
    /// The link has been told of all sessions of this reactor.
    Synced {
        /// The link.
        link: SessionId,
    },
    /// The link, which is of this reactor, may have missed something.
    Gap {
        /// The link.
        link: SessionId,
    },
    /// The link has the session no more.
    Unassigned {
        /// The link.
        link: SessionId,
        /// How its events are written.
        form: EventForm,
        /// The session.
        session: SessionId,
    },
    /// The reactor of the link says when all that it was sent of the session has been taken.
    Await {
        /// The link.
        link: SessionId,
        /// The session.
        session: SessionId,
        /// For what.
        barrier: Barrier,
    },
    /// An event goes to another link than it was made for.
    HandOn(HandOn),
}

/// What waits until a link has got all of a session that was sent to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Barrier {
    /// Another link has the session then.
    Moves {
        /// The last event is the one that says so.
        is_told: bool,
    },
    /// The session is over, and forgotten then.
    Ends,
}

/// An event for whoever has the session now.
#[derive(Debug)]
pub struct HandOn {
    /// Who has the session.
    pub link: SessionId,
    /// How its events are written.
    pub form: EventForm,
    /// What it wants.
    pub events: EventSet,
    /// The link at whose gate the event has counted, where it still does.
    pub counted_for: Option<SessionId>,
    /// How the event is encoded.
    pub encoded_for: LinkForm,
    /// The event.
    pub kept: Kept,
}

impl Order {
    pub(super) fn assigned(listener: &Listener, session: SessionId) -> Self {
        Self::state(listener, session, Tell::Assigned)
    }

    pub(super) fn state(listener: &Listener, session: SessionId, tell: Tell) -> Self {
        Self::State { link: listener.link, form: listener.listen.event_form(), session, tell }
    }

    pub(super) fn unassigned(listener: &Listener, session: SessionId) -> Self {
        Self::Unassigned { link: listener.link, form: listener.listen.event_form(), session }
    }
}
