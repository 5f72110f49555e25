//! What stands on this node for a link of another one: a seat like any other, whose events go over the bus in the place of a socket. They
//! are numbered, and kept until the other node says that a socket of the link has taken them; what may not have come is sent again.
//! So a link elsewhere that is slow, or has ended, is to this node what a link of its own would be.

use super::{Seat, Seats};
use crate::cluster::links::{EventSaid, EventsSaid, TookSaid};
use crate::core::Core;
use crate::core::event_limit::EventLimit;
use crate::dispatch::{Action, LinkForm, Listen, Operation, Origin};
use crate::session::{AppId, SessionId};

/// Bytes of the events of one message, unless a single one is longer.
const MESSAGE_BYTES: usize = 64 * 1024;

/// What a seat has that stands for a link of another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandIn {
    /// The number of the node.
    pub node: u16,
    /// Which process it is.
    pub incarnation: u64,
    /// The id of the link there.
    pub link: u64,
    /// Since when it asks for what it does, as its node counts.
    pub version: u64,
    /// Events before this number are on their way, or have come.
    pub(super) sent: u64,
    /// The same, also where they are to be sent again.
    pub(super) most_sent: u64,
    /// Events before this number have come.
    got: u64,
    /// What had come when the last heartbeat was due.
    got_before: u64,
    /// Bytes of the events that are on their way and that no socket has taken.
    on_way_bytes: usize,
    /// How many a socket had taken when the last heartbeat was due.
    taken_before: u64,
    /// The node is asked how many a socket has taken.
    asks: bool,
    /// What is behind this number has been sent again already, since the link said that it is missing.
    again_from: Option<u64>,
    /// When the node of the link has last said how much has come, or something has begun to wait for that, in attended time.
    heard_ms: u64,
    /// It is among those for which something may be sent.
    is_due: bool,
}

impl StandIn {
    /// Nothing has been sent to the link.
    pub fn new((node, incarnation): (u16, u64), link: u64, version: u64) -> Self {
        Self {
            node,
            incarnation,
            link,
            version,
            sent: 0,
            most_sent: 0,
            got: 0,
            got_before: 0,
            on_way_bytes: 0,
            taken_before: 0,
            asks: false,
            again_from: None,
            heard_ms: 0,
            is_due: false,
        }
    }

    /// The same in another process: what no socket is known to have taken, of `taken` events, is sent again.
    pub(super) fn restored(self, taken: u64, most_sent: u64, heard_ms: u64) -> Self {
        Self { sent: taken, most_sent, got: taken, got_before: taken, heard_ms, ..self }
    }
}

/// What the node of a link says comes to.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    /// It cannot be.
    Nothing,
    /// It has forgotten what it had, which is not kept any more: the link begins anew.
    Forgotten,
    /// A socket of the link has taken so many more events.
    Took(u64),
}

impl Seat {
    fn is_told(&mut self, TookSaid { got, taken, misses, .. }: TookSaid, now_ms: u64) -> Told {
        let written = self.ring.written();
        let Some(stand_in) = &mut self.stand_in else { return Told::Nothing };
        if got > stand_in.most_sent || taken > got {
            return Told::Nothing;
        }
        if misses && got < stand_in.got {
            return Told::Forgotten;
        }
        (stand_in.got, stand_in.heard_ms) = (stand_in.got.max(got), now_ms);
        // They may have come before they were to be sent again.
        stand_in.sent = stand_in.sent.max(got);
        if misses && got == stand_in.got && stand_in.again_from.replace(got) != Some(got) {
            self.send_again();
        }
        Told::Took(taken.saturating_sub(written))
    }

    /// What has not come is sent again.
    fn send_again(&mut self) {
        let first = self.ring.numbers()[0];
        let Some(stand_in) = &mut self.stand_in else { return };
        stand_in.sent = stand_in.got.max(self.ring.written());
        let on_way = (stand_in.sent - self.ring.written()) as usize;
        let kept = self.ring.events().skip((self.ring.written() - first) as usize).take(on_way);
        stand_in.on_way_bytes = kept.map(|kept| kept.frame.wire_len()).sum();
    }

    /// The next message for the link elsewhere, if there is something for it and so much may be on its way.
    fn next_message(&mut self, own: SessionId, window: EventLimit) -> Option<EventsSaid> {
        let (first, written) = (self.ring.numbers()[0], self.ring.written());
        let stand_in = self.stand_in.as_mut()?;
        let mut said = EventsSaid {
            link: stand_in.link,
            stand_in: own.as_u64(),
            first: stand_in.sent,
            events: Vec::new(),
        };
        let mut bytes = 0;
        for kept in self.ring.events().skip((stand_in.sent - first) as usize) {
            let (length, on_way) = (kept.frame.wire_len(), stand_in.sent - written);
            let is_full = on_way >= window.events as u64 || stand_in.on_way_bytes + length > window.bytes;
            if on_way > 0 && is_full || bytes > 0 && bytes + length > MESSAGE_BYTES {
                break;
            }
            let payload = kept.frame.payload().to_vec();
            said.events.push(EventSaid { session: kept.session.as_u64(), payload });
            bytes += length;
            stand_in.sent += 1;
            stand_in.on_way_bytes += length;
        }
        let asks = std::mem::take(&mut stand_in.asks);
        (asks || !said.events.is_empty()).then_some(said)
    }
}

impl Seats {
    /// Something may be sent to the link that this stands for.
    pub(super) fn stand_in_is_due(&mut self, link: SessionId) {
        let Some(stand_in) = self.seats.get_mut(&link).and_then(|seat| seat.stand_in.as_mut()) else {
            return;
        };
        if !std::mem::replace(&mut stand_in.is_due, true) {
            self.due.push(link);
        }
    }

    /// Whether it stands for a link of another node.
    pub fn is_stand_in(&self, link: SessionId) -> bool {
        self.seats.get(&link).is_some_and(|seat| seat.stand_in.is_some())
    }

    /// Of a link of another node: the events here that no socket of it has taken, and their bytes.
    pub fn waiting_for_elsewhere(&self, link: SessionId) -> Option<(usize, usize)> {
        let seat = self.seats.get(&link).filter(|seat| seat.stand_in.is_some());
        seat.map(|seat| seat.ring.unwritten_size())
    }

    /// Whether events may be sent to links of other nodes.
    pub fn has_for_elsewhere(&self) -> bool {
        !self.due.is_empty()
    }

    /// What stands here for links of other nodes.
    pub fn stand_ins(&self) -> impl Iterator<Item = (SessionId, &StandIn)> {
        self.seats.iter().filter_map(|(link, seat)| Some((*link, seat.stand_in.as_ref()?)))
    }
}

impl Core {
    /// A link of another node hears of the sessions here from now on: what stands for it. `None` where no more ids are left.
    pub fn open_stand_in(&mut self, stand_in: StandIn, form: LinkForm) -> Option<SessionId> {
        let link = self.connections.take_id()?;
        self.insert_seat(link, None, form, None);
        let heard_ms = self.attended_ms();
        self.seats.change(link, |seat| {
            seat.asks = true;
            seat.stand_in = Some(StandIn { heard_ms, ..stand_in });
        });
        self.metrics().links_elsewhere.add(1);
        Some(link)
    }

    /// The link that this stands for listens, or asks for something else than before; who is answered then.
    pub fn stand_in_listens(
        &mut self,
        link: SessionId,
        version: u64,
        (app, listen): (AppId, Listen),
        origin: Origin,
    ) -> Operation {
        if let Some(stand_in) = self.seats.seats.get_mut(&link).and_then(|seat| seat.stand_in.as_mut()) {
            stand_in.version = version;
        }
        self.open_gate(link);
        Operation::new(app, Action::Listen { link, listen }, origin)
    }

    /// The link that this stood for has ended, or is heard of no more. `taken`: how many of the events its socket had taken; of those
    /// that were sent it may have read each, where that is not known.
    pub fn end_stand_in(&mut self, link: SessionId, taken: Option<u64>) -> Option<StandIn> {
        let stand_in = self.seats.seats.get_mut(&link)?.stand_in.clone()?;
        let written = self.seats.seats.get(&link).map_or(0, |seat| seat.ring.written());
        let taken_now = taken.unwrap_or(stand_in.most_sent).clamp(written, stand_in.most_sent.max(written));
        self.elsewhere_took(link, taken_now - written);
        if taken.is_none() {
            self.metrics().link_events_unconfirmed.add(taken_now - written);
        }
        self.seats.change(link, |seat| seat.stand_in = None);
        self.metrics().links_elsewhere.sub(1);
        self.end_seat(link);
        Some(stand_in)
    }

    /// A socket elsewhere has taken so many more events.
    fn elsewhere_took(&mut self, link: SessionId, events: u64) {
        let limits = self.ring_limits();
        let waits = |seats: &Seats| seats.seats.get(&link).map_or((0, 0), |seat| seat.ring.unwritten_size());
        let before = waits(&self.seats);
        self.seats.wrote(link, events, limits);
        let after = waits(&self.seats);
        let bytes = before.1 - after.1;
        self.seats.change(link, |seat| {
            if let Some(stand_in) = &mut seat.stand_in {
                stand_in.on_way_bytes = stand_in.on_way_bytes.saturating_sub(bytes);
            }
        });
        self.lift_barriers(link);
        self.leave_gate(link, bytes, events as usize);
    }

    /// The node of a link says how many events have come, and how many its socket has taken.
    pub fn stand_in_is_told(&mut self, said: TookSaid) {
        let (link, now_ms) = (SessionId::from_u64(said.stand_in), self.attended_ms());
        let Some(seat) = self.seats.seats.get_mut(&link) else { return };
        match seat.is_told(said, now_ms) {
            Told::Nothing => {}
            Told::Forgotten => self.give_stand_in_up(link),
            Told::Took(events) => {
                if events > 0 {
                    self.elsewhere_took(link, events);
                }
                self.seats.stand_in_is_due(link);
            }
        }
    }

    /// An event for a link of another node waits in its ring.
    pub(super) fn stand_in_gets(&mut self, link: SessionId) {
        let now_ms = self.attended_ms();
        self.seats.change(link, |seat| {
            let is_first = seat.ring.unwritten_size().0 == 1;
            if let Some(stand_in) = seat.stand_in.as_mut().filter(|_| is_first) {
                stand_in.heard_ms = now_ms;
            }
        });
        self.seats.stand_in_is_due(link);
    }

    /// The next message for the link that this stands for, and the node that it goes to.
    pub fn next_for_elsewhere(
        &mut self,
        link: SessionId,
        window: EventLimit,
    ) -> Option<((u16, u64), EventsSaid)> {
        let seat = self.seats.seats.get_mut(&link)?;
        let said = seat.next_message(link, window)?;
        let stand_in = seat.stand_in.as_ref()?;
        Some(((stand_in.node, stand_in.incarnation), said))
    }

    /// What was to be sent is: the link may read it.
    pub fn was_sent(&mut self, link: SessionId) {
        if let Some(stand_in) = self.seats.seats.get_mut(&link).and_then(|seat| seat.stand_in.as_mut()) {
            stand_in.most_sent = stand_in.most_sent.max(stand_in.sent);
        }
    }

    /// What was to be sent could not be: it is when the next heartbeat is due.
    pub fn was_not_sent(&mut self, link: SessionId) {
        self.seats.change(link, Seat::send_again);
    }

    /// What may be sent now: links of other nodes, by what stands for them.
    pub fn take_stand_ins_due(&mut self) -> Vec<SessionId> {
        let due = std::mem::take(&mut self.seats.due);
        for link in &due {
            if let Some(stand_in) = self.seats.seats.get_mut(link).and_then(|seat| seat.stand_in.as_mut()) {
                stand_in.is_due = false;
            }
        }
        due
    }

    /// A heartbeat is due: what was sent before the last one and has not come is sent again. The links of whose nodes
    /// nothing has been heard for too long: one that is slow, or away, is the affair of its own node.
    pub fn look_at_stand_ins(&mut self, silent_ms: u64) -> Vec<SessionId> {
        let (mut silent, mut again) = (Vec::new(), Vec::new());
        let now_ms = self.attended_ms();
        for (link, seat) in &mut self.seats.seats {
            let waits = seat.ring.unwritten_size().0 > 0;
            let Some(stand_in) = &mut seat.stand_in else { continue };
            if waits && now_ms >= stand_in.heard_ms + silent_ms {
                silent.push(*link);
            }
            if stand_in.got < stand_in.sent && stand_in.got == stand_in.got_before {
                again.push(*link);
            }
            // The answer that says more may have been lost.
            stand_in.asks = waits && stand_in.taken_before == seat.ring.written();
            (stand_in.got_before, stand_in.taken_before) = (stand_in.got, seat.ring.written());
            if waits && !std::mem::replace(&mut stand_in.is_due, true) {
                self.seats.due.push(*link);
            }
        }
        again.into_iter().for_each(|link| self.was_not_sent(link));
        silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::seats::ring::{Kept, Ring};
    use crate::dispatch::EncodedFrame;

    /// A seat that stands for a link of another node, with so many events.
    fn seat(events: u64) -> Seat {
        let mut ring = Ring::default();
        for number in 0..events {
            let session = SessionId::from_u64(number);
            ring.push(Kept { session, frame: EncodedFrame::text("0123456789") });
        }
        let stand_in = Some(StandIn::new((1, 2), 3, 4));
        Seat { ring, asks: true, stand_in, ..Seat::new(None, None, LinkForm::Json, 0) }
    }

    /// The number of the first event of the next message, and how many it has.
    fn next(seat: &mut Seat, events: usize, bytes: usize) -> Option<(u64, usize)> {
        let said = seat.next_message(SessionId::from_u64(9), EventLimit { events, bytes })?;
        assert_eq!((said.link, said.stand_in), (3, 9));
        let sessions: Vec<u64> = said.events.iter().map(|event| event.session).collect();
        assert_eq!(sessions, (said.first..said.first + sessions.len() as u64).collect::<Vec<_>>());
        Some((said.first, sessions.len()))
    }

    #[test]
    fn so_much_is_on_its_way_as_the_window_lets_and_one_event_always_may_be() {
        let mut of_ten = seat(10);
        assert_eq!(next(&mut of_ten, 4, 1_000), Some((0, 4)));
        assert_eq!(next(&mut of_ten, 4, 1_000), None);
        // A socket has taken two of them.
        of_ten.ring.wrote(2);
        of_ten.ring.trim_written();
        assert_eq!(next(&mut of_ten, 4, 1_000), Some((4, 2)));
        let mut of_ten = seat(10);
        // A frame has two bytes more than its text.
        assert_eq!(next(&mut of_ten, 100, 30), Some((0, 2)));
        assert_eq!(next(&mut seat(10), 100, 1), Some((0, 1)));
    }

    #[test]
    fn who_misses_events_gets_them_once_more_and_who_has_forgotten_them_begins_anew() {
        let mut seat = seat(6);
        let said = |got, taken, misses| TookSaid { stand_in: 9, got, taken, misses };
        assert_eq!(seat.is_told(said(1, 0, false), 0), Told::Nothing, "nothing was sent");
        assert_eq!(next(&mut seat, 100, 1_000), Some((0, 6)));
        seat.stand_in.as_mut().unwrap().most_sent = 6;
        // The first ones are lost on the way.
        assert_eq!(seat.is_told(said(0, 0, true), 1), Told::Took(0));
        assert_eq!(next(&mut seat, 100, 1_000), Some((0, 6)));
        assert_eq!(seat.is_told(said(0, 0, true), 1), Told::Took(0));
        assert_eq!(next(&mut seat, 100, 1_000), None, "they are on their way again");
        assert_eq!(seat.is_told(said(5, 2, false), 2), Told::Took(2));
        assert_eq!(seat.is_told(said(4, 5, false), 2), Told::Nothing, "more than has come");
        assert_eq!(seat.is_told(said(0, 0, true), 3), Told::Forgotten);
    }

    #[test]
    fn what_has_not_come_is_sent_again_and_a_question_needs_no_events() {
        let mut seat = seat(6);
        assert_eq!(next(&mut seat, 100, 1_000), Some((0, 6)));
        assert_eq!(next(&mut seat, 100, 1_000), None);
        seat.stand_in.as_mut().unwrap().got = 4;
        seat.ring.wrote(3);
        seat.send_again();
        assert_eq!(next(&mut seat, 100, 1_000), Some((4, 2)));
        seat.stand_in.as_mut().unwrap().asks = true;
        assert_eq!((next(&mut seat, 100, 1_000), next(&mut seat, 100, 1_000)), (Some((6, 0)), None));
        // Another process knows only what has been taken.
        let stand_in = seat.stand_in.take().unwrap();
        seat.stand_in = Some(stand_in.restored(3, 6, 0));
        assert_eq!(next(&mut seat, 100, 1_000), Some((3, 3)));
    }
}
