//! One session of a share: which link has it, and what waits until another one has it.

use super::Kept;
use crate::core::session_state::SessionState;
use crate::dispatch::LinkForm;
use crate::session::SessionId;

/// See the module. Most sessions stay where they are: the rest is a pointer.
#[derive(Debug)]
pub(super) struct Owned {
    /// The link that has it, or had it until it moved: it is in the list of its share always.
    pub(super) link: SessionId,
    pub(super) rare: Option<Box<Rare>>,
}

/// What few sessions have.
#[derive(Debug, Default)]
pub(super) struct Rare {
    /// The link that is to have it.
    pub(super) to: Option<SessionId>,
    /// Its events wait until its link has got all that it was sent, or has ended.
    pub(super) is_moving: bool,
    /// How these events are encoded: as that link speaks.
    pub(super) form: LinkForm,
    /// Those that its link did not get.
    pub(super) returned: Vec<Kept>,
    /// Those that came later.
    pub(super) held: Vec<Kept>,
    /// The link that a route of its own names.
    pub(super) pinned: Option<SessionId>,
    /// It is over.
    pub(super) departed: Option<Departed>,
}

/// A session that is over, of which not all has been taken.
#[derive(Debug, Default)]
pub(super) struct Departed {
    /// What it was, where some link is told of what is its own.
    pub(super) state: Option<SessionState>,
}

impl Rare {
    /// Whether it says nothing that the absence of it would not.
    fn is_idle(&self) -> bool {
        let Self { to, is_moving, form: _, returned, held, pinned, departed } = self;
        let has_events = !returned.is_empty() || !held.is_empty();
        to.is_none() && !is_moving && !has_events && pinned.is_none() && departed.is_none()
    }
}

impl Owned {
    pub(super) fn by(link: SessionId) -> Self {
        Self { link, rare: None }
    }

    pub(super) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Lets go of what is not needed any more.
    pub(super) fn tidy(&mut self) {
        if self.rare.as_ref().is_some_and(|rare| rare.is_idle()) {
            self.rare = None;
        }
    }

    /// Whether its events wait.
    pub(super) fn is_moving(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.is_moving)
    }

    /// The link that is to have it, where its move has not begun.
    pub(super) fn is_due(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.to.is_some() && !rare.is_moving)
    }

    /// Whether it is over.
    pub(super) fn has_departed(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.departed.is_some())
    }

    /// Whether events wait.
    pub(super) fn has_events(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| !rare.returned.is_empty() || !rare.held.is_empty())
    }

    /// Its events wait from now on, encoded in this form.
    pub(super) fn moves(&mut self, form: LinkForm) {
        let rare = self.rare();
        if !rare.is_moving {
            (rare.is_moving, rare.form) = (true, form);
        }
    }
}
