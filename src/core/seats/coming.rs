//! Coming back: a connection that shows the ticket of a link becomes that link's.

use super::{Seat, Ticket};
use crate::auth::Access;
use crate::core::Core;
use crate::dispatch::{EncodedFrame, LinkForm};
use crate::metrics::LinkResume;
use crate::session::SessionId;
use std::sync::Arc;

/// A link that is to be resumed.
#[derive(Debug)]
pub struct Comer<'a> {
    /// The new connection.
    pub connection: SessionId,
    /// What it has shown; `None` where that is no ticket.
    pub ticket: Option<&'a Ticket>,
    /// The events that it has read.
    pub received: u64,
    /// What it may do.
    pub access: &'a Arc<Access>,
    /// How it speaks.
    pub form: LinkForm,
}

/// How a link is come back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It goes on: the rest of its events is to be sent.
    Resumed,
    /// It goes on from now on.
    Gap,
    /// No link has that ticket.
    Unknown,
    /// The key may not do what the link's may.
    Key,
    /// It speaks the other form.
    Form,
}

impl Taken {
    pub(super) fn outcome(self) -> LinkResume {
        match self {
            Self::Resumed => LinkResume::Resumed,
            Self::Gap => LinkResume::Gap,
            Self::Unknown => LinkResume::Unknown,
            Self::Key => LinkResume::Key,
            Self::Form => LinkResume::Form,
        }
    }
}

impl Core {
    /// A connection here shows the ticket of a link of this reactor. Where that is good the link is this connection's from now on,
    /// and whatever connection it had has ended; its new ticket.
    pub fn take_seat(&mut self, comer: &Comer<'_>) -> (Taken, Option<Ticket>) {
        let (taken, ticket) = self.look_at_ticket(comer);
        self.metrics().link_resumes.of(taken.outcome()).add(1);
        (taken, ticket)
    }

    fn look_at_ticket(&mut self, comer: &Comer<'_>) -> (Taken, Option<Ticket>) {
        let Comer { connection, ticket, received, access, form } = *comer;
        let Some(ticket) = ticket else { return (Taken::Unknown, None) };
        let link = ticket.link();
        let seat = self.seats.seats.get_mut(&link).filter(|seat| !seat.ended && !seat.leaves);
        let Some(Seat { connection: old, resume: Some(resume), form: of, .. }) = seat else {
            return (Taken::Unknown, None);
        };
        if !resume.tickets.are(ticket) {
            return (Taken::Unknown, None);
        }
        // What is kept has been made for the form that it spoke.
        if *of != form {
            return (Taken::Form, None);
        }
        if !access.covers(&resume.access) {
            return (Taken::Key, None);
        }
        // Without randomness there is no ticket: then the one that was shown stays.
        let next = resume.tickets.renew(ticket).unwrap_or_else(|| ticket.clone());
        resume.access = Arc::clone(access);
        if let Some(old) = *old {
            self.part_from(old);
        }
        self.came_back(link);
        self.overtake_feed(link);
        self.seats.links.insert(connection, link);
        let resumed = self.seats.change(link, |seat| {
            (seat.connection, seat.before) = (Some(connection), 0);
            !std::mem::take(&mut seat.has_gap) && seat.ring.resume(received)
        });
        self.ring_has_changed(link);
        if resumed == Some(true) {
            return (Taken::Resumed, Some(next));
        }
        self.forget_ring(link);
        self.forgive_gate(link);
        (Taken::Gap, Some(next))
    }

    /// The link has another connection: what waited for this one is kept, and it ends at once.
    fn part_from(&mut self, connection: SessionId) {
        let slot = connection.slot();
        if self.connections.get(connection).is_some() {
            self.clear_outbox(slot);
            self.doom(slot);
        }
        self.seats.links.remove(&connection);
    }

    /// Sends what follows the events that the link has read once more, on the connection that it has now.
    pub fn send_rest(&mut self, link: SessionId) {
        let Some(seat) = self.seats.seats.get(&link) else { return };
        let Some(connection) = seat.connection else { return };
        let [first, ..] = seat.ring.numbers();
        let kept = seat.ring.events().zip(first + 1..);
        let frames: Vec<EncodedFrame> =
            kept.map(|(kept, number)| seat.as_sent(number, kept.frame.clone())).collect();
        for frame in frames {
            let bytes = frame.wire_len();
            // It is on its way to the link again. A gate that is shut for it keeps players waiting, and loses nothing.
            _ = self.enter_gate(link, bytes, true);
            if !self.append_event(connection.slot(), frame) {
                self.leave_gate(link, bytes, 1);
            }
        }
    }
}
