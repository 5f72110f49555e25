//! Feeds: links without a connection. A backend reads the events of one by requests, each of which says how many it has read so
//! far and waits until there are more; between two requests the link is away, and is kept as one that may come back.

use super::{Resume, Seat, Tickets};
use crate::auth::Access;
use crate::connection::Visitor;
use crate::core::{Core, Envelope, Fed, FeedForm, FeedRequest, Reads, Taken, Ticket};
use crate::dispatch::{EncodedFrame, LinkForm};
use crate::session::SessionId;
use std::sync::Arc;

/// A request that waits for events.
#[derive(Debug)]
pub(super) struct FeedWaits {
    visitor: Visitor,
    /// Until when, in attended time.
    until_ms: u64,
    /// It reads from now on, since what follows what it has read is not there.
    has_gap: bool,
    form: FeedForm,
    /// It is told first which feed it reads.
    is_first: bool,
}

impl FeedWaits {
    pub(super) fn until_ms(&self) -> u64 {
        self.until_ms
    }
}

/// What stands beside the events.
#[derive(Debug, Clone, Copy)]
struct Beside<'a> {
    ticket: &'a Ticket,
    /// Events that have been read by whoever has read these.
    received: u64,
    why: Option<&'static str>,
}

impl Beside<'_> {
    /// The beginning of a JSON object. A ticket needs no escapes, and neither does why.
    fn json(&self) -> String {
        let Self { ticket, received, why } = self;
        let mut json = format!("{{\"resume\":\"{ticket}\",\"received\":{received}");
        if let Some(why) = why {
            json.extend([",\"resumed\":false,\"why\":\"", why, "\""]);
        }
        json
    }

    /// A document of these events, which are JSON already.
    fn document(&self, events: &[&str]) -> Vec<u8> {
        let document = self.json() + ",\"events\":[" + &events.join(",") + "]}";
        document.into_bytes()
    }

    /// The same as a part of an event stream: before the first events stands which feed it is; without events a comment.
    fn part_of_stream(&self, events: &[&str], is_first: bool) -> Vec<u8> {
        let Self { ticket, received, .. } = self;
        let mut number = received - events.len() as u64;
        let mut part = String::new();
        if is_first {
            let about = Beside { received: number, ..*self }.json();
            part += &format!("event: feed\nid: {ticket}:{number}\ndata: {about}}}\n\n");
        } else if events.is_empty() {
            part += ":\n\n";
        }
        for event in events {
            number += 1;
            part += &format!("id: {ticket}:{number}\ndata: {event}\n\n");
        }
        part.into_bytes()
    }
}

/// What is said first of a feed that has just been opened; `why` no other one goes on, where that was asked for.
pub fn first_of_feed(ticket: &Ticket, why: Option<&'static str>, form: FeedForm) -> Vec<u8> {
    let beside = Beside { ticket, received: 0, why };
    match form {
        FeedForm::Document => beside.document(&[]),
        FeedForm::Stream => beside.part_of_stream(&[], true),
    }
}

impl Core {
    /// A link without a connection, for the client of the connection `from`; its ticket. It listens to nothing so far.
    ///
    /// # Errors
    /// What is to be told: the server keeps no links, or has no random bytes.
    pub fn open_feed(&mut self, from: SessionId, access: &Arc<Access>) -> Result<Ticket, &'static str> {
        if self.link_linger_ms() == 0 {
            return Err("feeds need links that may come back: set timeouts.link_linger_ms");
        }
        let failed = "the server cannot make a feed now: try again";
        // It has an id as everybody has, which nobody gets again.
        let link = self.open_without_connection(from.slot()).ok_or(failed)?;
        self.connections.remove(link);
        let (tickets, ticket) = Tickets::new(link).ok_or(failed)?;
        let resume = Resume { tickets, access: Arc::clone(access) };
        self.insert_seat(link, None, LinkForm::Json, Some(resume));
        self.seats.change(link, |seat| (seat.asks, seat.reader) = (true, Some(from)));
        self.feed_goes_away(link);
        Ok(ticket)
    }

    /// A request for a feed of this reactor: whether what follows is there, or the feed is over.
    ///
    /// # Errors
    /// It is not to be had; what is answered instead.
    pub fn take_feed(&mut self, request: &FeedRequest) -> Result<Taken, Fed> {
        let taken = self.look_at_feed(request);
        let FeedRequest { ticket, visitor, access, reads } = request;
        let link = ticket.link();
        if taken != Taken::Resumed {
            self.metrics().link_resumes.of(taken.outcome()).add(1);
            return Err(Fed::Instead(taken));
        }
        let Some(Reads { received, wait_ms, form }) = *reads else {
            self.seats.change(link, |seat| seat.leaves = true);
            self.end_seat(link);
            return Ok(taken);
        };
        let has_it = self.seats.seats.get(&link).is_some_and(|seat| seat.reader == Some(visitor.connection));
        if received.is_none() && !has_it {
            return Err(Fed::Overtaken);
        }
        self.came_back(link);
        self.overtake_feed(link);
        let until_ms = self.attended_ms() + wait_ms;
        let resumed = self.seats.change(link, |seat| {
            if let (Some(resume), true) = (&mut seat.resume, received.is_some()) {
                resume.access = Arc::clone(access);
            }
            let is_whole = !std::mem::take(&mut seat.has_gap);
            let resumed = is_whole && received.is_none_or(|received| seat.ring.resume(received));
            seat.reader = Some(visitor.connection);
            let (has_gap, is_first) = (!resumed, received.is_some() || !resumed);
            seat.poll = Some(FeedWaits { visitor: *visitor, until_ms, has_gap, form, is_first });
            resumed
        });
        if resumed == Some(true) {
            return Ok(Taken::Resumed);
        }
        self.metrics().link_resumes.of(Taken::Gap.outcome()).add(1);
        self.forget_ring(link);
        self.forgive_gate(link);
        Ok(Taken::Gap)
    }

    fn look_at_feed(&self, request: &FeedRequest) -> Taken {
        let FeedRequest { ticket, access, reads, .. } = request;
        // Who goes on has shown its key, and what that may do since then the seat follows.
        let goes_on = reads.is_some_and(|reads| reads.received.is_none());
        let seat = self.seats.seats.get(&ticket.link()).filter(|seat| !seat.ended && !seat.leaves);
        // One that has a connection is read there.
        let Some(Seat { connection: None, resume: Some(resume), form, .. }) = seat else {
            return Taken::Unknown;
        };
        match (resume.tickets.are(ticket), form, goes_on || access.covers(&resume.access)) {
            (false, ..) => Taken::Unknown,
            (true, LinkForm::Binary, _) => Taken::Form,
            (true, LinkForm::Json, false) => Taken::Key,
            (true, LinkForm::Json, true) => Taken::Resumed,
        }
    }

    /// Answers the request that waits for events of the link, if there are some, it waits no longer, or nothing may wait.
    pub fn serve_feed(&mut self, link: SessionId) {
        let may_wait = !self.stands_still && !self.draining;
        let attended_ms = self.attended_ms();
        let waits = |seat: &Seat| {
            let is_late = seat.poll.as_ref().is_none_or(|poll| poll.until_ms <= attended_ms);
            may_wait && !is_late && seat.ring.unsent().next().is_none()
        };
        if !self.seats.seats.get(&link).is_some_and(waits) {
            self.answer_feed(link);
        }
    }

    /// Answers the request that waits for events of the link with those that there are. Whether one was waiting.
    pub(super) fn answer_feed(&mut self, link: SessionId) -> bool {
        let most = self.rules.settings.outbox.bytes;
        let answered = self.seats.change(link, |seat| {
            let poll = seat.poll.take()?;
            let ticket = seat.resume.as_ref()?.tickets.last();
            let (mut events, mut bytes) = (Vec::<EncodedFrame>::new(), 0);
            for kept in seat.ring.unsent() {
                bytes += kept.frame.wire_len();
                if bytes > most && !events.is_empty() {
                    break;
                }
                events.push(kept.frame.clone());
            }
            seat.ring.wrote(events.len() as u64);
            let why = poll.has_gap.then_some("gap");
            let beside = Beside { ticket: &ticket, received: seat.ring.sent(), why };
            let texts: Vec<&str> = events.iter().filter_map(EncodedFrame::as_text).collect();
            let answer = match poll.form {
                FeedForm::Document => beside.document(&texts),
                FeedForm::Stream => beside.part_of_stream(&texts, poll.is_first),
            };
            Some((poll.visitor, answer))
        });
        let Some((visitor, answer)) = answered.flatten() else { return false };
        self.feed_goes_away(link);
        self.lift_barriers(link);
        self.answer_feed_request(visitor, Fed::Events(answer));
        true
    }

    /// Another connection or request has the link from now on.
    pub(super) fn overtake_feed(&mut self, link: SessionId) {
        if let Some(poll) = self.seats.change(link, |seat| seat.poll.take()).flatten() {
            self.answer_feed_request(poll.visitor, Fed::Overtaken);
        }
    }

    /// The link is over.
    pub(super) fn turn_feed_away(&mut self, link: SessionId) {
        if let Some(poll) = self.seats.change(link, |seat| seat.poll.take()).flatten() {
            self.answer_feed_request(poll.visitor, Fed::Instead(Taken::Unknown));
        }
    }

    /// Answers every request that waits: nothing waits while the server stops, or another process may go on from here.
    pub fn answer_all_feeds(&mut self) {
        let waiting = self.seats.seats.iter().filter(|(_, seat)| seat.poll.is_some());
        for link in waiting.map(|(link, _)| *link).collect::<Vec<_>>() {
            self.answer_feed(link);
        }
    }

    /// Nobody reads the link until the next request.
    fn feed_goes_away(&mut self, link: SessionId) {
        let until_ms = self.attended_ms() + self.link_linger_ms();
        let limits = self.ring_limits();
        self.seats.change(link, |seat| {
            seat.until_ms = Some(until_ms);
            seat.ring.trim(limits);
        });
        self.is_away_now();
        self.ring_has_changed(link);
        self.bound_away();
    }

    /// Sends a request to the reactor that has the feed.
    pub fn send_feed_request(&mut self, request: FeedRequest) {
        let owner = usize::from(request.ticket.link().worker());
        self.peers.post_always(owner, Envelope::Feed(Box::new(request)));
    }

    /// Sends the answer to where the request came from.
    pub fn answer_feed_request(&mut self, visitor: Visitor, answer: Fed) {
        let home = usize::from(visitor.connection.worker());
        self.peers.post_always(home, Envelope::Fed(visitor, Box::new(answer)));
    }
}
