//! What is known of each player, and whether a reason that it was given can be true.

use serde::Deserialize;

use crate::cli::bench::checked::inbox::Inbox;
use crate::cli::bench::clock::Nanos;
use crate::session::SessionId;

/// The longest message that is pushed, in bytes: what a player has missed weighs so much each at the most.
pub const LONGEST_MESSAGE: usize = 300;
/// The header of a frame of it (RFC 6455 §5.2).
const HEADER_BYTES: usize = 4;

/// gannet's first message on a connection.
#[derive(Debug, Deserialize)]
pub struct Welcome {
    /// The session.
    pub session: String,
    /// The ticket, where the session may resume.
    pub resume: Option<String>,
    /// Whether a client that came back has its session.
    pub resumed: Option<bool>,
    /// Why it has not.
    pub why: Option<String>,
}

/// What the server keeps for a session, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// For so long it waits for its client.
    pub linger: Nanos,
    /// Messages that a client may have missed, whatever else is.
    pub messages: usize,
    /// Bytes of these.
    pub bytes: usize,
}

/// Where a player is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Without a connection.
    Away,
    /// Connecting, or without its welcome yet.
    Coming,
    /// It has its welcome.
    Open,
    /// It has sent its Close.
    Leaving,
    /// It has left.
    Gone,
}

/// See the module.
#[derive(Debug)]
pub struct Player {
    /// Where it is.
    pub state: State,
    /// From its first welcome on.
    pub session: Option<SessionId>,
    /// For the session; the newest that it has read.
    pub ticket: String,
    /// Messages of the session that it has read.
    pub received: u64,
    /// What the session is to get.
    pub inbox: Inbox,
    /// Since when it has not had its session: while it is not open.
    pub cut_at: Nanos,
    /// When its last connection was begun.
    pub dialed_at: Nanos,
    /// When it begins the next one.
    pub back_at: Nanos,
    /// When it last heard anything.
    pub heard_at: Nanos,
    /// Connections that it has begun.
    pub dials: usize,
    /// Pushes that a session may have got of which it has not heard yet.
    pub perhaps: usize,
    /// Whether it has had a session before this one: what was pushed before its welcome may come without having been announced.
    pub has_another: bool,
    /// Whether it has left a connection on which it had asked for its session and had no answer yet: the server may hear of that
    /// later, and give the session to a connection that nobody reads.
    pub asked_in_vain: bool,
    /// The same since it last had its session. The answer that it has not read may have been that the session was ended, by a gap.
    pub asked_since_cut: bool,
}

impl Player {
    /// One that has not come yet.
    pub fn new() -> Self {
        Self {
            state: State::Away,
            session: None,
            ticket: String::new(),
            received: 0,
            inbox: Inbox::default(),
            cut_at: 0,
            dialed_at: 0,
            back_at: 0,
            heard_at: 0,
            dials: 0,
            perhaps: 0,
            has_another: false,
            asked_in_vain: false,
            asked_since_cut: false,
        }
    }

    /// What it comes back with, in the query of its upgrade.
    pub fn claim(&self) -> Option<String> {
        self.session.map(|_| format!("resume={}&received={}", self.ticket, self.received))
    }

    /// Its connection is gone, at `now`.
    pub fn goes(&mut self, now: Nanos, back_at: Nanos) {
        match self.state {
            State::Open => (self.cut_at, self.asked_since_cut) = (now, false),
            // It has not had its session since the cut before.
            State::Coming => (self.asked_in_vain, self.asked_since_cut) = (true, true),
            _ => {}
        }
        (self.state, self.back_at) = (State::Away, back_at);
    }

    /// It has another session.
    pub fn begins(&mut self, session: SessionId, ticket: String) {
        self.has_another |= self.session.is_some();
        (self.session, self.ticket) = (Some(session), ticket);
        (self.received, self.inbox, self.asked_in_vain) = (0, Inbox::default(), false);
    }

    /// Messages that were pushed to its session and that it has not read, at the most.
    fn missed(&self) -> usize {
        self.inbox.pending() + self.perhaps
    }

    /// Whether its session is there for what is pushed at `now`. One that has been away for half the time that it waits may be over by
    /// the time that the server has the push; and so may one whose player has asked for it with half of what is kept missed, since
    /// the answer, which it has not read, may be a gap.
    pub fn surely_has_session(&self, now: Nanos, bounds: Bounds) -> bool {
        let Bounds { linger, messages, bytes } = bounds;
        let half = Bounds { linger: linger / 2, messages: messages / 2, bytes: bytes / 2 };
        let has_asked = self.state == State::Coming || self.asked_since_cut;
        self.state == State::Open
            || now.saturating_sub(self.cut_at) < half.linger && !(has_asked && self.may_miss_more_than(half))
    }

    fn may_miss_more_than(&self, bounds: Bounds) -> bool {
        let missed = self.missed();
        missed > bounds.messages || missed.saturating_mul(LONGEST_MESSAGE + HEADER_BYTES) > bounds.bytes
    }
}

/// Whether a player was told the truth that has not got its session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verity {
    /// It was.
    True,
    /// It was if the server, at some time, forgot what it kept, or ended sessions, for want of room.
    IfForgotten(String),
    /// It was if the server, at some time, had no room for another session that is away.
    IfFull(String),
    /// It was not.
    Untrue(String),
}

/// Whether `why` can be true of a player at `now`.
pub fn verity(player: &Player, why: &str, now: Nanos, bounds: Bounds) -> Verity {
    let away = now.saturating_sub(player.cut_at);
    let ms = |nanos: Nanos| nanos / 1_000_000;
    match why {
        "expired" if away >= bounds.linger => Verity::True,
        "expired" if player.asked_since_cut && player.may_miss_more_than(bounds) => Verity::True,
        "expired" => Verity::IfFull(format!(
            "told \"expired\" after {} ms away, while sessions wait for {} ms",
            ms(away),
            ms(bounds.linger)
        )),
        "gap" if player.may_miss_more_than(bounds) => Verity::True,
        "gap" => Verity::IfForgotten(format!(
            "told \"gap\" with {} read and {} missed at the most, while {} are kept",
            player.received,
            player.missed(),
            bounds.messages
        )),
        other => Verity::Untrue(format!(
            "told {other:?} with its newest ticket, {} read, after {} ms away",
            player.received,
            ms(away)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::checked::inbox::Promise;

    const BOUNDS: Bounds = Bounds { linger: 1_000, messages: 10, bytes: 1 << 20 };

    #[test]
    fn expired_is_true_after_the_time_that_sessions_wait() {
        let mut player = Player::new();
        player.begins(SessionId::from_u64(1), "t".to_owned());
        player.state = State::Open;
        player.goes(5_000, 6_000);
        let verity = |player: &Player, now| verity(player, "expired", now, BOUNDS);
        assert_eq!(verity(&player, 6_000), Verity::True);
        assert!(matches!(verity(&player, 5_999), Verity::IfFull(_)));
        // Another cut before the welcome: the session may wait since the first one.
        player.state = State::Coming;
        player.goes(5_900, 5_950);
        assert_eq!((verity(&player, 6_000), player.asked_in_vain), (Verity::True, true));
    }

    #[test]
    fn expired_is_true_where_an_answer_that_was_not_read_may_have_been_a_gap() {
        let mut player = Player::new();
        player.begins(SessionId::from_u64(1), "t".to_owned());
        player.state = State::Open;
        player.goes(5_000, 5_000);
        (0..11).for_each(|number| player.inbox.expect((0, 0), number, Promise::Sure));
        let is_true = |player: &Player| verity(player, "expired", 5_500, BOUNDS) == Verity::True;
        assert!(!is_true(&player), "it has asked for the first time");
        player.state = State::Coming;
        player.goes(5_200, 5_200);
        assert!(is_true(&player));
        player.state = State::Open;
        player.goes(5_300, 5_300);
        assert!(!is_true(&player), "it has had its session since");
    }

    #[test]
    fn a_gap_is_true_where_more_was_missed_than_is_kept() {
        let mut player = Player::new();
        player.begins(SessionId::from_u64(1), "t".to_owned());
        (0..10).for_each(|number| player.inbox.expect((0, 0), number, Promise::Sure));
        let verity = |player: &Player, bounds| verity(player, "gap", 0, bounds);
        assert!(matches!(verity(&player, BOUNDS), Verity::IfForgotten(_)));
        assert_eq!(verity(&player, Bounds { bytes: 3_000, ..BOUNDS }), Verity::True);
        player.perhaps = 1;
        assert_eq!(verity(&player, BOUNDS), Verity::True);
    }

    #[test]
    fn a_session_is_not_sure_where_an_answer_that_was_not_read_may_end_it() {
        let mut player = Player::new();
        player.begins(SessionId::from_u64(1), "t".to_owned());
        player.state = State::Open;
        (0..6).for_each(|number| player.inbox.expect((0, 0), number, Promise::Sure));
        assert!(player.surely_has_session(5_000, BOUNDS));
        player.goes(5_000, 5_000);
        assert!(player.surely_has_session(5_499, BOUNDS), "nobody has asked for it");
        assert!(!player.surely_has_session(5_500, BOUNDS), "it may be over soon");
        player.state = State::Coming;
        assert!(!player.surely_has_session(5_000, BOUNDS), "it asks");
        player.goes(5_001, 5_001);
        assert!(!player.surely_has_session(5_001, BOUNDS), "it has asked");
        assert!(player.surely_has_session(5_001, Bounds { messages: 12, ..BOUNDS }), "so little is no gap");
    }

    #[test]
    fn its_newest_ticket_is_always_known_and_its_own() {
        let mut player = Player::new();
        player.begins(SessionId::from_u64(1), "t".to_owned());
        for why in ["unknown", "user", "", "something"] {
            assert!(matches!(verity(&player, why, 1 << 60, BOUNDS), Verity::Untrue(_)), "{why}");
        }
        assert_eq!(player.claim().unwrap(), "resume=t&received=0");
        assert_eq!(Player::new().claim(), None);
    }
}
