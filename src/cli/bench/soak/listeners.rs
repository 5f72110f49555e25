//! The links that listen, and what each heard of every session: open first, then its messages in order and each once, then
//! close. Links of one share are one listener: a session is heard on one of them.

use std::collections::HashMap;

use crate::cli::bench::checked::faults::{Fault, Faults};
use crate::cli::bench::checked::mark::Mark;
use crate::cli::bench::sequence::Sequence;
use crate::session::SessionId;

/// What a link said of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It opened.
    Open,
    /// Its client sent a message; without a mark, one that is not of this run.
    Message(Option<Mark>),
    /// It closed, with a code.
    Close(u16),
}

/// How a session ended, as its client knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// Messages that the client sent.
    pub said: u64,
    /// How they go together with what links hear.
    pub how: How,
}

/// See [`Ending`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The client left, and the server agreed: every message was taken.
    Left,
    /// The server closed it with this code; messages that it had not read by then are gone.
    Closed(u16),
    /// The client vanished, perhaps while it was being closed; what was under way may be gone.
    Cut,
}

impl How {
    fn may_close_with(self, code: u16) -> bool {
        match self {
            Self::Left => code == 1000,
            Self::Closed(expected) => code == expected,
            // 1006 is what stands for a connection that was lost (RFC 6455 §7.1.5), the others are our kicks.
            Self::Cut => code == 1006 || (4000..5000).contains(&code),
        }
    }
}

/// One link, or several that share.
#[derive(Debug)]
pub struct Listener {
    name: &'static str,
    lives: HashMap<SessionId, Life>,
    /// Events so far.
    pub events: u64,
}

/// What is known of one session.
#[derive(Debug, Default)]
struct Life {
    /// The slot of the link that heard the open.
    link: Option<usize>,
    came: Sequence,
    /// Different messages that came.
    count: u64,
    closed: Option<u16>,
    ending: Option<Ending>,
}

impl Listener {
    /// One that has heard of nobody.
    pub fn new(name: &'static str) -> Self {
        Self { name, lives: HashMap::new(), events: 0 }
    }

    /// An event came on the link in a slot.
    pub fn hear(&mut self, link: usize, session: SessionId, heard: Heard, faults: &mut Faults) {
        self.events += 1;
        let name = self.name;
        let life = self.lives.entry(session).or_default();
        let mut wrong =
            |what: &str| faults.add(Fault::Event, format_args!("{name}, session {session}: {what}"));
        if life.closed.is_some() {
            return wrong("an event after its close");
        }
        match (life.link, heard) {
            (None, Heard::Open) => life.link = Some(link),
            (Some(_), Heard::Open) => wrong("a second open"),
            (None, _) => wrong("an event before its open"),
            (Some(owner), _) if owner != link => wrong("an event on another link than its open"),
            (Some(_), Heard::Message(None)) => wrong("a message that its client did not send"),
            (Some(_), Heard::Message(Some(mark))) => {
                life.came.take(mark.number);
                life.count += 1;
            }
            (Some(_), Heard::Close(code)) => {
                life.closed = Some(code);
                self.judge(session, faults);
            }
        }
    }

    /// The session's client has seen its end.
    pub fn end(&mut self, session: SessionId, ending: Ending, faults: &mut Faults) {
        self.lives.entry(session).or_default().ending = Some(ending);
        self.judge(session, faults);
    }

    /// Whether so many messages of a session that is open have come.
    pub fn has_heard(&self, session: SessionId, said: u64) -> bool {
        self.lives.get(&session).is_some_and(|life| life.count >= said)
    }

    /// Whether every session that it heard of has ended on both sides.
    pub fn is_done(&self) -> bool {
        self.lives.is_empty()
    }

    /// Nothing more comes: who is left has not been told of as it should.
    pub fn finish(&mut self, faults: &mut Faults) {
        let name = self.name;
        let mut left: Vec<(SessionId, Life)> = self.lives.drain().collect();
        left.sort_unstable_by_key(|(session, _)| *session);
        for (session, life) in left {
            let what = match (life.link, life.closed) {
                (None, _) => "no event of it",
                (Some(_), None) => "no close",
                (Some(_), Some(_)) => "a close, and its client saw none",
            };
            faults.add(Fault::Event, format_args!("{name}, session {session}: {what}"));
        }
    }

    /// Holds both sides of a session against one another, once both are known.
    fn judge(&mut self, session: SessionId, faults: &mut Faults) {
        let Some(Life { closed: Some(code), ending: Some(ending), .. }) = self.lives.get(&session) else {
            return;
        };
        let (code, Ending { said, how }) = (*code, *ending);
        let Some(life) = self.lives.remove(&session) else { return };
        let name = self.name;
        if !how.may_close_with(code) {
            faults.add(
                Fault::Event,
                format_args!("{name}, session {session}: closed with {code}, not as {how:?}"),
            );
        }
        // Of those that did not have to be taken only the last may be missing.
        let found = life.came.faults(if how == How::Left { said } else { 0 });
        let kinds = [
            (Fault::Lost, found.lost),
            (Fault::Doubled, found.doubled),
            (Fault::Misordered, found.misordered),
        ];
        for (fault, count) in kinds {
            for _ in 0..count.min(said.max(1)) {
                faults.add(fault, format_args!("{name}, session {session}: a message of its {said}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: SessionId = SessionId::from_u64(7);

    fn message(number: u64) -> Heard {
        Heard::Message(Some(Mark {
            run: 1,
            publisher: crate::cli::bench::checked::mark::PLAYER,
            stream: 0,
            number,
        }))
    }

    /// What is wrong when a link hears `heard` of a session that ends so.
    fn summary(heard: &[Heard], said: u64, how: How) -> String {
        let (mut listener, mut faults) = (Listener::new("link"), Faults::default());
        heard.iter().for_each(|heard| listener.hear(1, SESSION, *heard, &mut faults));
        listener.end(SESSION, Ending { said, how }, &mut faults);
        listener.finish(&mut faults);
        faults.summary()
    }

    #[test]
    fn every_message_once_and_in_order() {
        let all = [Heard::Open, message(0), message(1), Heard::Close(1000)];
        assert_eq!(summary(&all, 2, How::Left), "0 lost, 0 doubled, 0 misordered");
        assert_eq!(summary(&all, 3, How::Left), "1 lost, 0 doubled, 0 misordered");
        let gap = [Heard::Open, message(0), message(2), Heard::Close(1000)];
        assert_eq!(summary(&gap, 3, How::Left), "1 lost, 0 doubled, 0 misordered");
        let again = [Heard::Open, message(0), message(0), Heard::Close(1000)];
        assert_eq!(summary(&again, 1, How::Left), "0 lost, 1 doubled, 0 misordered");
        let swapped = [Heard::Open, message(1), message(0), Heard::Close(1000)];
        assert_eq!(summary(&swapped, 2, How::Left), "0 lost, 0 doubled, 1 misordered");
    }

    #[test]
    fn of_those_who_did_not_leave_by_themselves_the_last_messages_may_be_missing() {
        let heard = |code| [Heard::Open, message(0), Heard::Close(code)];
        for (code, how) in [(1006, How::Cut), (4100, How::Cut), (4001, How::Closed(4001))] {
            assert_eq!(summary(&heard(code), 5, how), "0 lost, 0 doubled, 0 misordered");
        }
        let gap = [Heard::Open, message(1), Heard::Close(1006)];
        assert_eq!(summary(&gap, 5, How::Cut), "1 lost, 0 doubled, 0 misordered");
        let other = "0 lost, 0 doubled, 0 misordered, 1 wrong events";
        assert_eq!(summary(&heard(1006), 1, How::Left), other);
        assert_eq!(summary(&heard(4001), 1, How::Closed(4002)), other);
    }

    #[test]
    fn open_first_close_last_and_each_once() {
        let wrong = |heard: &[Heard]| summary(heard, 0, How::Left).contains("wrong events");
        assert!(!wrong(&[Heard::Open, Heard::Close(1000)]));
        assert!(wrong(&[]));
        assert!(wrong(&[Heard::Open]));
        assert!(wrong(&[message(0), Heard::Open, Heard::Close(1000)]));
        assert!(wrong(&[Heard::Open, Heard::Open, Heard::Close(1000)]));
        assert!(wrong(&[Heard::Open, Heard::Close(1000), Heard::Close(1000)]));
        assert!(wrong(&[Heard::Open, Heard::Message(None), Heard::Close(1000)]));
    }

    #[test]
    fn a_session_stays_on_its_link_of_a_share() {
        let (mut listener, mut faults) = (Listener::new("share"), Faults::default());
        listener.hear(1, SESSION, Heard::Open, &mut faults);
        listener.hear(1, SESSION, message(0), &mut faults);
        assert!(listener.has_heard(SESSION, 1) && !listener.has_heard(SESSION, 2));
        assert_eq!(faults.total(), 0);
        listener.hear(2, SESSION, message(1), &mut faults);
        assert_eq!(faults.count(Fault::Event), 1);
    }
}
