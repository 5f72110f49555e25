//! What the socket of a link took and its backend may not have read. A link that may be resumed says itself how many events it has read;
//! of the others this much can be known: what was written before a Ping has been read by a client that answers it (RFC 6455 §5.5.3). So
//! a link that gets events is pinged once in a while, also where it is not silent, and what a link has not confirmed when it ends without
//! a goodbye is counted. Knows nothing of what becomes of a link that does not answer.

use super::super::Core;
use crate::connection::Phase;
use crate::session::SessionId;
use hashbrown::HashMap;

/// The links of one reactor that cannot be resumed and have got events, by their connections.
#[derive(Debug, Default)]
pub struct Confirming {
    links: HashMap<SessionId, Sent>,
    /// Those that are to be pinged in the next turn; each once.
    to_ask: Vec<SessionId>,
}

#[derive(Debug)]
struct Sent {
    /// Events that the socket took and that are not confirmed.
    events: u64,
    /// The last Ping, until it is answered: what is in it, and how many of the events stand before it.
    asked: Option<(u64, u64)>,
    /// When the link was last asked, or got its first event, in attended time.
    asked_ms: u64,
    /// It is among those that are to be pinged.
    is_due: bool,
    /// It has said goodbye: what is written from then on it does not want.
    has_left: bool,
}

impl Sent {
    fn since(asked_ms: u64) -> Self {
        Self { events: 0, asked: None, asked_ms, is_due: false, has_left: false }
    }
}

impl Confirming {
    fn note(&mut self, connection: SessionId, events: u64, now_ms: u64, every_ms: u64) {
        let sent = self.links.entry(connection).or_insert(Sent::since(now_ms));
        if sent.has_left {
            return;
        }
        sent.events += events;
        if sent.asked.is_none() && !sent.is_due && now_ms >= sent.asked_ms + every_ms {
            sent.is_due = true;
            self.to_ask.push(connection);
        }
    }

    /// A Ping with this in it goes to the link, behind all that its socket has taken.
    pub(in crate::core) fn asks(&mut self, connection: SessionId, payload: u64, now_ms: u64) {
        if let Some(sent) = self.links.get_mut(&connection) {
            (sent.asked, sent.asked_ms, sent.is_due) = (Some((payload, sent.events)), now_ms, false);
        }
    }

    fn answers(&mut self, connection: SessionId, payload: u64) {
        if let Some(sent) = self.links.get_mut(&connection)
            && let Some((_, before)) = sent.asked.take_if(|(asked, _)| *asked == payload)
        {
            sent.events -= before;
        }
    }

    /// The link has read all that it wants.
    fn leaves(&mut self, connection: SessionId, now_ms: u64) {
        self.links.insert(connection, Sent { has_left: true, ..Sent::since(now_ms) });
    }

    /// The link has gone. Returns how many events are not confirmed.
    fn forget(&mut self, connection: SessionId) -> u64 {
        self.links.remove(&connection).map_or(0, |sent| sent.events)
    }
}

impl Core {
    /// The socket of the link, which has this connection, has taken events.
    pub(in crate::core) fn note_unconfirmed(&mut self, connection: SessionId, link: SessionId, events: u64) {
        if events > 0 && self.seats.seats.get(&link).is_none_or(|seat| seat.resume.is_none()) {
            let (now_ms, every_ms) = (self.attended_ms(), self.rules.settings.silence.link_ping_ms);
            self.seats.confirming.note(connection, events, now_ms, every_ms);
        }
    }

    /// Pings links that have got events since they were last asked.
    pub fn ask_links(&mut self) {
        if self.stands_still {
            return;
        }
        for connection in std::mem::take(&mut self.seats.confirming.to_ask) {
            let is_open = self.connections.get(connection).is_some_and(|link| link.phase == Phase::Open);
            if is_open && let Some(frame) = self.ping_frame(connection.slot()) {
                self.offer_control(connection.slot(), &frame);
            }
        }
    }

    /// A link has sent a Pong.
    pub fn link_answers(&mut self, slot: u32, payload: u64) {
        if let Some(connection) = self.connections.id_of(slot) {
            self.seats.confirming.answers(connection, payload);
        }
    }

    /// The link in `slot` has read all that it got: it says goodbye, or has answered our Close.
    pub fn link_has_read_all(&mut self, slot: u32) {
        let now_ms = self.attended_ms();
        if let Some(connection) = self.connections.id_of(slot) {
            self.seats.confirming.leaves(connection, now_ms);
        }
    }

    /// The connection of a link has gone.
    pub(super) fn count_unanswered(&mut self, connection: SessionId) {
        let unconfirmed = self.seats.confirming.forget(connection);
        self.metrics().link_events_unconfirmed.add(unconfirmed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: SessionId = SessionId::from_u64(7);

    #[test]
    fn a_pong_confirms_what_stands_before_its_ping_and_nothing_else() {
        let mut confirming = Confirming::default();
        confirming.note(LINK, 10, 1_000, 100);
        confirming.asks(LINK, 77, 1_050);
        confirming.note(LINK, 5, 1_060, 100);
        confirming.answers(LINK, 76);
        confirming.answers(SessionId::from_u64(8), 77);
        assert_eq!(confirming.links[&LINK].events, 15);
        confirming.answers(LINK, 77);
        assert_eq!(confirming.links[&LINK].events, 5);
        confirming.answers(LINK, 77);
        assert_eq!((confirming.forget(LINK), confirming.forget(LINK)), (5, 0));
        confirming.note(LINK, 3, 1_000, 100);
        confirming.leaves(LINK, 1_100);
        confirming.note(LINK, 4, 1_200, 100);
        assert_eq!((confirming.forget(LINK), confirming.links.len()), (0, 0));
        assert!(confirming.to_ask.is_empty());
    }

    #[test]
    fn a_link_is_asked_once_in_a_while_and_not_again_before_it_has_answered() {
        let mut confirming = Confirming::default();
        for (now_ms, is_due) in [(1_000, false), (1_099, false), (1_100, true), (1_300, true)] {
            confirming.note(LINK, 1, now_ms, 100);
            assert_eq!(confirming.to_ask.len(), usize::from(is_due), "{now_ms}");
        }
        assert_eq!(std::mem::take(&mut confirming.to_ask), [LINK]);
        confirming.asks(LINK, 1, 1_300);
        confirming.note(LINK, 1, 1_500, 100);
        assert!(confirming.to_ask.is_empty());
        confirming.answers(LINK, 1);
        confirming.note(LINK, 1, 1_500, 100);
        assert_eq!(confirming.to_ask, [LINK]);
    }
}
