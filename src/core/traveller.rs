//! A client that has come to this node for a session of another one: over a connection that its session is to go on over, or with a poll,
//! which is answered when the session is here.

use super::Core;
use super::coming_back::Claimed;
use super::visit::{PollClaim, Visit, Visited, Visiting};
use super::whereabouts::Whereabouts;
use crate::auth::{SealedTicket, Ticket};
use crate::connection::{Connection, Visitor};
use crate::metrics::ResumeFailure;
use crate::session::{AppId, Name, SessionId};
use crate::timer::Clock;
use std::net::IpAddr;

/// A client that polls for a session of another node.
#[derive(Debug)]
pub struct Poller {
    /// Who is answered, on a connection of this reactor.
    pub visitor: Visitor,
    /// The session.
    pub session: SessionId,
    /// What that was called when the client had it last.
    pub was: SessionId,
    /// The ticket as the client has shown it; `None` where this node has read it.
    pub sealed: Option<SealedTicket>,
    /// What it asks for.
    pub claim: PollClaim,
    /// Who it is in a session of its own.
    pub user: Option<Name>,
}

/// See the module.
#[derive(Debug)]
pub(super) enum Traveller {
    /// Its session goes on over this connection.
    Connection(Box<Claimed>),
    /// Its poll is answered.
    Poll(Box<Poller>),
}

impl Traveller {
    pub(super) fn app(&self) -> AppId {
        match self {
            Self::Connection(claimed) => claimed.claim.app,
            Self::Poll(poller) => poller.claim.app,
        }
    }

    /// How many messages of the session it has read.
    pub(super) fn received(&self) -> u64 {
        match self {
            Self::Connection(claimed) => claimed.claim.received,
            Self::Poll(poller) => poller.claim.received,
        }
    }

    /// The ticket that it has shown, where this node has not read it.
    pub(super) fn sealed(&self) -> Option<SealedTicket> {
        match self {
            Self::Poll(poller) => poller.sealed,
            Self::Connection(claimed) => match claimed.claim.whereabouts {
                Whereabouts::Elsewhere(sealed) => sealed,
                _ => None,
            },
        }
    }

    /// Who has to have opened the session, if it matters: inside, `None` is nobody by name.
    pub(super) fn claimant(&self) -> Option<Option<&Name>> {
        let (says_who, user) = match self {
            Self::Connection(claimed) => (claimed.claim.says_who, &claimed.claim.user),
            Self::Poll(poller) => (poller.claim.claimant.is_some(), &poller.user),
        };
        says_who.then_some(user.as_ref())
    }
}

impl Core {
    /// A client polls here for a session of another node: that one is asked.
    pub fn poll_elsewhere(&mut self, poller: Poller) {
        let session = poller.session;
        self.claim_elsewhere(Traveller::Poll(Box::new(poller)), session, 0);
    }

    /// The session that goes on here for the client, without a connection, and where the client is. `None` where it has gone meanwhile.
    pub(super) fn connection_for(&self, traveller: &Traveller) -> Option<(Connection, Option<IpAddr>)> {
        let bounds_input = self.rules.settings.inbound.is_some();
        let since_unix_ms = Clock::wall_unix_ms();
        match traveller {
            Traveller::Connection(claimed) => {
                let carrier = &claimed.carrier;
                Some((Connection::of_claimant(carrier, since_unix_ms, bounds_input), carrier.ip()))
            }
            Traveller::Poll(poller) => {
                let from = poller.visitor.connection;
                let visitor = self.connections.get(from)?;
                let connection = Connection::of_visitor(visitor, since_unix_ms, bounds_input);
                Some((connection, self.address_of(from.slot())))
            }
        }
    }

    /// The client gets another session, and is told why.
    pub(super) fn refuse_traveller(&mut self, traveller: Traveller, why: ResumeFailure) {
        match traveller {
            Traveller::Connection(mut claimed) => {
                claimed.claim.whereabouts = Whereabouts::Refused(why);
                self.put_off_claim(claimed);
            }
            Traveller::Poll(poller) => {
                self.metrics().resume_failures.of(why).add(1);
                self.answer_visit(poller.visitor, Visited::Instead(why));
            }
        }
    }

    /// The session of the client is one of this node, with this id.
    pub(super) fn send_home(&mut self, traveller: Traveller, id: SessionId) {
        let ticket = Ticket { session: id, number: 0 };
        match traveller {
            Traveller::Connection(mut claimed) => {
                (claimed.claim.ticket, claimed.claim.whereabouts) = (ticket, Whereabouts::Here);
                self.pass_claim(claimed);
            }
            Traveller::Poll(poller) => {
                let claim = poller.claim;
                self.send_visit(Visit { ticket, visitor: poller.visitor, what: Visiting::Poll(claim) });
            }
        }
    }

    /// The session of the client has come, with this id: nobody has been told of it.
    pub(super) fn has_arrived(&mut self, traveller: Traveller, id: SessionId) {
        let ticket = Ticket { session: id, number: 0 };
        match traveller {
            Traveller::Connection(mut claimed) => {
                (claimed.claim.ticket, claimed.claim.whereabouts) = (ticket, Whereabouts::Arrived);
                self.put_off_claim(claimed);
            }
            Traveller::Poll(poller) => {
                let what = Visiting::Arrived(PollClaim { was: Some(poller.was), ..poller.claim });
                // It is of this reactor.
                self.send_visit(Visit { ticket, visitor: poller.visitor, what });
            }
        }
    }

    /// A poll whose session has gone from here to another node goes after it. `false` where it has not.
    pub fn divert_poll(&mut self, ticket: Ticket, visitor: Visitor, claim: PollClaim) -> bool {
        match self.crossed_to(ticket) {
            None => return false,
            Some(None) => {
                self.metrics().resume_failures.of(ResumeFailure::Unknown).add(1);
                self.answer_visit(visitor, Visited::Instead(ResumeFailure::Unknown));
            }
            Some(Some(new)) if new.node() == self.shared.node => {
                // There and back.
                let ticket = Ticket { session: new, number: 0 };
                self.send_visit(Visit { ticket, visitor, what: Visiting::Poll(claim) });
            }
            // Where the request came in there is all that it takes.
            Some(Some(new)) => self.answer_visit(visitor, Visited::Elsewhere(new)),
        }
        true
    }
}
