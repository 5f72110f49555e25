//! Seats: what of a link outlives its connection. A link that may be resumed keeps its id, what it listens to and its events in
//! its seat, on the reactor where it began, whatever connection it has; a link of a share keeps there what no socket has taken,
//! for those that take its sessions over. Every other link is its connection alone.

mod abroad;
mod away;
mod carry;
mod coming;
mod confirming;
mod feeding;
mod foreign;
mod handing;
mod numbering;
mod ring;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod ring_model;
mod stand_in;
mod ticket;

pub use carry::CarriedSeat;
pub use coming::{Comer, Taken};
pub use feeding::first_of_feed;
use foreign::Foreign;
pub use ring::Kept;
pub use stand_in::StandIn;
pub use ticket::{Ticket, Tickets};

use super::Core;
use super::event_limit::EventLimit;
use super::listeners::{Barrier, Listeners};
use crate::auth::Access;
use crate::dispatch::{EncodedFrame, LinkForm};
use crate::session::{SessionId, close_codes};
use confirming::Confirming;
use feeding::FeedWaits;
use hashbrown::HashMap;
use ring::Ring;
use std::collections::VecDeque;
use std::sync::Arc;

/// The seats of one reactor.
#[derive(Debug, Default)]
pub struct Seats {
    /// By the ids of the links.
    seats: HashMap<SessionId, Seat>,
    /// The links of the connections that have a seat.
    links: HashMap<SessionId, SessionId>,
    /// Events in all rings, and their bytes.
    kept: (usize, usize),
    /// Links that have ended and whose sessions others are to take over, in the order of that; none is twice in it.
    endings: VecDeque<SessionId>,
    /// The first of them has been looked at since it came.
    looked: bool,
    /// Links that others take over from, each with how many reactors do not hold back yet what is for it.
    handing: HashMap<SessionId, usize>,
    /// What stands for links of other nodes, where something may be sent to these.
    due: Vec<SessionId>,
    /// Links that have got events of other nodes, or whose sockets have taken some: these nodes are to be told.
    told_due: Vec<SessionId>,
    /// What links have not confirmed that do not say themselves what they have read.
    pub(super) confirming: Confirming,
}

/// See the module.
#[derive(Debug)]
pub struct Seat {
    /// The connection that it has; `None` while it is away.
    connection: Option<SessionId>,
    /// How it can be resumed; `None` where it cannot.
    resume: Option<Resume>,
    /// How it speaks.
    form: LinkForm,
    /// Its events.
    ring: Ring,
    /// Events that the outbox of its connection held before the ring began.
    before: u64,
    /// Events that cannot be given any more are missing: it is told so when it comes back, and until then nothing is kept.
    has_gap: bool,
    /// It does not linger when its connection has gone.
    leaves: bool,
    /// While it is away: until when it lingers, in attended time.
    until_ms: Option<u64>,
    /// It has asked for events: every reactor has to be told of its end.
    asks: bool,
    /// Each event that it is sent has its number.
    numbers: bool,
    /// Its backend does not answer, and others take over: it does not linger either.
    is_given_up: bool,
    /// It has ended.
    ended: bool,
    /// The request that waits for its events, where it is read by polling.
    poll: Option<FeedWaits>,
    /// The connection that was answered last.
    reader: Option<SessionId>,
    /// What waits until a socket has taken the events before a number, in the order of the numbers.
    barriers: VecDeque<(u64, SessionId, Barrier)>,
    /// It stands for a link of another node, to which its events go.
    stand_in: Option<StandIn>,
    /// Its events of the sessions of other nodes.
    foreign: Foreign,
}

impl Seat {
    /// One that has had nothing yet; `before`: so many events its connection had before.
    fn new(connection: Option<SessionId>, resume: Option<Resume>, form: LinkForm, before: u64) -> Self {
        Self {
            connection,
            resume,
            form,
            ring: Ring::default(),
            before,
            has_gap: false,
            leaves: false,
            until_ms: None,
            asks: false,
            numbers: false,
            is_given_up: false,
            ended: false,
            poll: None,
            reader: None,
            barriers: VecDeque::new(),
            stand_in: None,
            foreign: Foreign::default(),
        }
    }

    /// When something is due for it, in attended time: the request that waits is answered, or it lingers no more.
    fn next_ms(&self) -> Option<u64> {
        self.poll.as_ref().map(FeedWaits::until_ms).or(self.until_ms)
    }
}

/// How a link can be resumed.
#[derive(Debug)]
struct Resume {
    tickets: Tickets,
    /// What it may do: who comes back has to be allowed as much.
    access: Arc<Access>,
}

/// What has become of a link whose connection has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// It was its connection alone.
    Plain,
    /// It lingers, or others take its sessions over.
    Seated,
}

impl Seats {
    /// The id of the link that has this connection.
    pub fn link_of(&self, connection: SessionId) -> SessionId {
        match self.links.is_empty() {
            true => connection,
            false => self.links.get(&connection).copied().unwrap_or(connection),
        }
    }

    /// The connection that a link has; that of a link without a seat has its id.
    pub fn connection_of(&self, link: SessionId) -> Option<SessionId> {
        self.seats.get(&link).map_or(Some(link), |seat| seat.connection)
    }

    /// Whether the link has a seat.
    pub fn has(&self, link: SessionId) -> bool {
        self.seats.contains_key(&link)
    }

    /// The links that have asked for events and have no connection, and how they speak.
    pub fn away(&self) -> impl Iterator<Item = (SessionId, LinkForm)> {
        let away = self.seats.iter().filter(|(_, seat)| seat.connection.is_none() && seat.asks);
        away.map(|(link, seat)| (*link, seat.form))
    }

    /// Of a link that has no connection: its events that no socket has taken, and their bytes.
    pub(super) fn kept_while_away(&self, link: SessionId) -> Option<(usize, usize)> {
        let seat = self.seats.get(&link).filter(|seat| seat.connection.is_none() && seat.stand_in.is_none());
        seat.map(|seat| seat.ring.unwritten_size())
    }

    /// Whether the link has asked for events.
    pub fn asks(&self, link: SessionId) -> bool {
        self.seats.get(&link).is_some_and(|seat| seat.asks)
    }

    /// Changes a seat; what its ring keeps stays counted.
    fn change<R>(&mut self, link: SessionId, change: impl FnOnce(&mut Seat) -> R) -> Option<R> {
        let seat = self.seats.get_mut(&link)?;
        let before = seat.ring.size();
        let changed = change(seat);
        let after = seat.ring.size();
        self.kept = (self.kept.0 + after.0 - before.0, self.kept.1 + after.1 - before.1);
        Some(changed)
    }

    fn remove(&mut self, link: SessionId) -> Option<Seat> {
        let seat = self.seats.remove(&link)?;
        let (events, bytes) = seat.ring.size();
        self.kept = (self.kept.0 - events, self.kept.1 - bytes);
        Some(seat)
    }

    /// The socket of the link has taken so many of its events.
    pub(super) fn wrote(&mut self, link: SessionId, events: u64, limits: EventLimit) {
        self.change(link, |seat| {
            let earlier = seat.before.min(events);
            seat.before -= earlier;
            seat.ring.wrote(events - earlier);
            match seat.resume {
                Some(_) => _ = seat.ring.trim(limits),
                None => seat.ring.trim_written(),
            }
        });
    }

    /// The backend of the link that has this connection does not answer: where others of its share can take over at once, they
    /// do.
    pub(super) fn is_given_up(&mut self, connection: SessionId, listeners: &Listeners) {
        let link = self.link_of(connection);
        if listeners.has_heirs(link) {
            self.change(link, |seat| seat.is_given_up = true);
        }
    }

    /// When the first link that is away lingers no more, in attended time.
    fn next_ms(&self) -> Option<u64> {
        self.seats.values().filter_map(Seat::next_ms).min()
    }

    /// Whether nothing is under way that other reactors have a part in.
    pub fn are_quiet(&self) -> bool {
        self.endings.is_empty() && self.handing.is_empty()
    }

    /// Whether a link has ended that has not been looked at, or other nodes are to be sent something.
    pub fn have_work(&self) -> bool {
        !self.looked && !self.endings.is_empty() || !self.due.is_empty() || !self.told_due.is_empty()
    }
}

/// Links, their connections and their ends.
impl Core {
    pub(super) fn ring_limits(&self) -> EventLimit {
        let limits = &self.rules.settings.config.limits;
        EventLimit { events: limits.link_kept_messages, bytes: limits.link_kept_bytes }
    }

    fn link_linger_ms(&self) -> u64 {
        self.rules.settings.config.timeouts.link_linger.as_millis() as u64
    }

    /// The link of a new connection may be resumed from now on. Its ticket; `None` where the server keeps none.
    pub fn open_seat(
        &mut self,
        connection: SessionId,
        access: Arc<Access>,
        form: LinkForm,
    ) -> Option<Ticket> {
        if self.link_linger_ms() == 0 {
            return None;
        }
        let (tickets, ticket) = Tickets::new(connection)?;
        self.put_seat(connection, form, Some(Resume { tickets, access }));
        Some(ticket)
    }

    /// What no socket has taken of the link's events is kept apart from now on, for others of its share.
    pub(super) fn seat_in_share(&mut self, link: SessionId, form: LinkForm) {
        let is_own = usize::from(link.worker()) == self.index;
        if is_own && !self.seats.has(link) && self.connections.get(link).is_some() {
            self.put_seat(link, form, None);
            self.seats.change(link, |seat| seat.asks = true);
        }
    }

    /// A link of this reactor asks for events.
    pub(super) fn link_asks(&mut self, link: SessionId, numbers: bool) {
        self.seats.change(link, |seat| (seat.asks, seat.numbers) = (true, numbers));
    }

    fn put_seat(&mut self, connection: SessionId, form: LinkForm, resume: Option<Resume>) {
        self.insert_seat(connection, Some(connection), form, resume);
        self.seats.links.insert(connection, connection);
    }

    fn insert_seat(
        &mut self,
        link: SessionId,
        connection: Option<SessionId>,
        form: LinkForm,
        resume: Option<Resume>,
    ) {
        let outbox = self.connections.get(link).and_then(|connection| connection.outbox.as_ref());
        let before = outbox.map_or(0, |outbox| outbox.events().0 as u64);
        let seat = Seat::new(connection, resume, form, before);
        self.seats.seats.insert(link, seat);
    }

    /// An event for a link of this reactor has come here.
    pub fn event_arrives(&mut self, link: SessionId, session: SessionId, frame: EncodedFrame) {
        let bytes = frame.wire_len();
        let Some(seat) = self.seats.seats.get(&link) else {
            if self.connections.get(link).is_none() || !self.append_event(link.slot(), frame) {
                self.event_too_late(link, bytes);
            }
            return;
        };
        let (connection, has_gap) = (seat.connection, seat.has_gap);
        if has_gap {
            return self.event_too_late(link, bytes);
        }
        if seat.stand_in.is_some() {
            self.seats.change(link, |seat| seat.ring.push(Kept { session, frame }));
            return self.stand_in_gets(link);
        }
        let sent = self.seats.change(link, |seat| {
            seat.ring.push(Kept { session, frame: frame.clone() });
            seat.as_sent(seat.ring.next(), frame)
        });
        let Some(frame) = sent else { return };
        let sent_bytes = frame.wire_len();
        self.grows_at_gate(link, sent_bytes - bytes);
        let open = connection.filter(|connection| self.connections.get(*connection).is_some());
        if open.is_some_and(|connection| self.append_event(connection.slot(), frame)) {
            let limits = self.ring_limits();
            // What the socket has not taken is bounded by the gate.
            self.seats.change(link, |seat| seat.resume.is_some() && seat.ring.trim(limits));
        } else {
            self.ring_has_changed(link);
            self.leave_gate(link, sent_bytes, 1);
            self.answer_feed(link);
            self.bound_seat(link);
        }
    }

    /// What is kept of a link whose socket takes nothing is held to its bounds: beyond them others of its share take over, or it
    /// has a gap.
    fn bound_seat(&mut self, link: SessionId) {
        let limits = self.ring_limits();
        let fits = |seat: &mut Seat| seat.ended || seat.ring.trim(limits);
        if self.seats.change(link, fits).unwrap_or(true) {
            return;
        }
        match self.listeners.is_of_share(link) {
            true if self.seats.connection_of(link).is_none() => self.end_seat(link),
            // It is handed on as soon as its connection has gone.
            true => {}
            false => self.open_gap(link),
        }
    }

    /// Events for the link are missing from now on: what follows is of no use to it. What its socket may still take is lost when
    /// its connection has gone.
    fn open_gap(&mut self, link: SessionId) {
        let is_away = self.seats.change(link, |seat| {
            seat.has_gap = seat.resume.is_some();
            seat.connection.is_none()
        });
        if is_away == Some(true) {
            self.forget_ring(link);
        }
    }

    /// What is kept of the link's events is of no use, and no socket will take the rest.
    fn forget_ring(&mut self, link: SessionId) {
        let forgotten = self.seats.change(link, |seat| {
            seat.foreign.give_up();
            (seat.ring.restart(), std::mem::take(&mut seat.barriers))
        });
        self.foreign_is_due(link);
        let Some((lost, barriers)) = forgotten else { return };
        self.ring_has_changed(link);
        self.metrics().link_events_lost.add(lost);
        // Their numbers are none any more.
        barriers.into_iter().for_each(|(_, session, _)| self.tell_passed(link, session));
    }

    /// Events for the link were lost on the way here. It is told so by its end, and when it comes back; what is there goes to
    /// others of its share, where it has one.
    pub fn events_lost(&mut self, link: SessionId) {
        if self.seats.is_stand_in(link) {
            // It begins anew, and is told of a gap.
            return self.give_stand_in_up(link);
        }
        if !self.listeners.is_of_share(link) {
            self.open_gap(link);
        } else if self.seats.change(link, |seat| seat.leaves = true).is_some()
            && self.seats.connection_of(link).is_none()
        {
            self.end_seat(link);
        }
        let connection = self.seats.connection_of(link);
        if let Some(connection) = connection.filter(|connection| self.connections.get(*connection).is_some())
        {
            self.close(connection.slot(), close_codes::TOO_SLOW, "events were lost");
        }
    }

    /// The connection in `slot` says goodbye, or is told to: its link does not linger.
    pub fn link_leaves(&mut self, slot: u32) {
        let Some(id) = self.connections.id_of(slot) else { return };
        let link = self.seats.link_of(id);
        self.seats.change(link, |seat| seat.leaves = true);
        self.link_has_read_all(slot);
    }

    /// The client of a link has sent something: it has got its ticket, and the one before is used up.
    pub fn link_heard(&mut self, connection: SessionId) {
        if self.seats.links.is_empty() {
            return;
        }
        let link = self.seats.link_of(connection);
        self.seats.change(link, |seat| {
            if let Some(resume) = &mut seat.resume {
                resume.tickets.use_up();
            }
        });
    }

    /// The connection of a link has been freed.
    pub fn link_gone(&mut self, connection: SessionId) -> Gone {
        self.count_unanswered(connection);
        let Some(link) = self.seats.links.remove(&connection) else { return Gone::Plain };
        let (linger_ms, until_ms) = (self.link_linger_ms(), self.end_of_wait(self.link_linger_ms()));
        let lingers = self.seats.change(link, |seat| {
            seat.connection = None;
            seat.before = 0;
            let lingers = seat.resume.is_some() && !seat.leaves && !seat.is_given_up && linger_ms > 0;
            seat.until_ms = lingers.then_some(until_ms);
            (lingers, seat.has_gap)
        });
        if let Some((_, true)) = lingers {
            self.forget_ring(link);
        }
        match lingers {
            Some((true, _)) => {
                self.is_away_now();
                self.ring_has_changed(link);
                self.bound_seat(link);
                self.bound_away();
                self.give_up_what_moves(link);
            }
            _ => self.end_seat(link),
        }
        Gone::Seated
    }

    /// The link is over: others of its share take its sessions, or what it has not got is lost.
    pub fn end_seat(&mut self, link: SessionId) {
        self.came_back(link);
        self.turn_feed_away(link);
        if self.seats.change(link, |seat| !std::mem::replace(&mut seat.ended, true)) == Some(true) {
            self.seats.endings.push_back(link);
            self.seats.looked = false;
        }
    }
}
