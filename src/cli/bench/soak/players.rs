//! What the load knows of each player.

use crate::cli::bench::checked::inbox::Inbox;
use crate::cli::bench::clock::Nanos;
use crate::session::SessionId;

/// Where a player is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not connected.
    Away,
    /// Connecting, or without its welcome yet.
    Coming,
    /// It has its welcome.
    Open,
    /// It has sent its Close.
    Leaving,
}

/// A player, or the place of one.
#[derive(Debug)]
pub struct Player {
    /// Where it is.
    pub state: State,
    /// From the welcome to the end.
    pub session: Option<SessionId>,
    /// What the session is to get.
    pub inbox: Inbox,
    /// Messages that the session has sent.
    pub said: u64,
    /// When one that is away comes back.
    pub back_at: Nanos,
    /// Whether it had another session before: what was pushed before its welcome may come without having been announced.
    pub has_returned: bool,
}

impl Player {
    /// One that has not come yet.
    pub fn new() -> Self {
        Self {
            state: State::Away,
            session: None,
            inbox: Inbox::default(),
            said: 0,
            back_at: 0,
            has_returned: false,
        }
    }

    /// The session, while it is open and not about to leave.
    pub fn open_session(&self) -> Option<SessionId> {
        self.session.filter(|_| self.state == State::Open)
    }

    /// Forgets its session; answers it and how much it has said. What was on its way to it is nobody's any more.
    pub fn end(&mut self, back_at: Nanos) -> Option<(SessionId, u64)> {
        let ended = self.session.map(|session| (session, self.said));
        *self = Self { back_at, has_returned: true, ..Self::new() };
        ended
    }
}
