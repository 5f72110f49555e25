//! Tickets: what a client shows to come back to its link. A ticket says which link it is of, so that any reactor finds it, and
//! proves by 128 random bits that it was given to this client.

use crate::session::SessionId;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt;
use std::str::FromStr;
use subtle::ConstantTimeEq;

/// The random part of a ticket.
const SECRET_BYTES: usize = 16;

/// See the module.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket {
    link: SessionId,
    secret: [u8; SECRET_BYTES],
}

/// A text that is no ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoTicket;

impl Ticket {
    /// The link that it is of, if it is of one.
    pub fn link(&self) -> SessionId {
        self.link
    }

    fn random(link: SessionId) -> Option<Self> {
        let mut secret = [0; SECRET_BYTES];
        getrandom::fill(&mut secret).ok()?;
        Some(Self { link, secret })
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.link.as_u64().to_be_bytes()[..], &self.secret].concat();
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a ticket of {}", self.link)
    }
}

impl FromStr for Ticket {
    type Err = NoTicket;

    fn from_str(text: &str) -> Result<Self, NoTicket> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NoTicket)?;
        let (link, secret) = bytes.split_first_chunk::<8>().ok_or(NoTicket)?;
        let secret = secret.try_into().map_err(|_| NoTicket)?;
        Ok(Self { link: SessionId::from_u64(u64::from_be_bytes(*link)), secret })
    }
}

/// The tickets that are good for a link: the last one, and the one before it until the client has been heard, since the
/// message that has the last one may be lost with its connection.
pub struct Tickets {
    link: SessionId,
    last: [u8; SECRET_BYTES],
    before: Option<[u8; SECRET_BYTES]>,
}

impl Tickets {
    /// Those of a new link, and its ticket; `None` where the system gives no random bytes.
    pub(super) fn new(link: SessionId) -> Option<(Self, Ticket)> {
        let ticket = Ticket::random(link)?;
        Some((Self { link, last: ticket.secret, before: None }, ticket))
    }

    /// Whether a ticket is one of these. How long it takes does not depend on the secrets.
    pub(super) fn are(&self, ticket: &Ticket) -> bool {
        let is_last = self.last.ct_eq(&ticket.secret);
        let is_before = self.before.unwrap_or(self.last).ct_eq(&ticket.secret);
        self.link == ticket.link && bool::from(is_last | is_before)
    }

    /// The last one.
    pub(super) fn last(&self) -> Ticket {
        Ticket { link: self.link, secret: self.last }
    }

    /// The next ticket. The one that was shown stays good until the client has been heard.
    pub(super) fn renew(&mut self, shown: &Ticket) -> Option<Ticket> {
        let next = Ticket::random(self.link)?;
        (self.before, self.last) = (Some(shown.secret), next.secret);
        Some(next)
    }

    /// The client has got the last one.
    pub(super) fn use_up(&mut self) {
        self.before = None;
    }

    /// As they are carried.
    pub(super) fn secrets(&self) -> ([u8; SECRET_BYTES], Option<[u8; SECRET_BYTES]>) {
        let Self { link: _, last, before } = self;
        (*last, *before)
    }

    pub(super) fn restore(
        link: SessionId,
        last: [u8; SECRET_BYTES],
        before: Option<[u8; SECRET_BYTES]>,
    ) -> Self {
        Self { link, last, before }
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the tickets of {}", self.link)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_until_the_next_one_has_been_got() {
        let link = SessionId::new(3, 1, 7, 9);
        let (mut tickets, first) = Tickets::new(link).unwrap();
        assert!(tickets.are(&first));
        let second = tickets.renew(&first).unwrap();
        assert!(tickets.are(&first) && tickets.are(&second) && first != second);
        // The first was shown again: what came between was lost.
        let third = tickets.renew(&first).unwrap();
        assert!(tickets.are(&first) && !tickets.are(&second) && tickets.are(&third));
        tickets.use_up();
        assert!(!tickets.are(&first) && tickets.are(&third));
        let foreign = Ticket { link: SessionId::new(3, 1, 7, 10), ..third.clone() };
        assert!(!tickets.are(&foreign));
    }

    #[test]
    fn a_ticket_is_read_as_it_was_written_and_shows_no_secret() {
        let ticket = Ticket::random(SessionId::new(3, 1, 7, 9)).unwrap();
        let text = ticket.to_string();
        assert_eq!((text.len(), text.parse()), (32, Ok(ticket.clone())));
        assert!(!format!("{ticket:?}").contains(&text[11..]));
        for text in ["", "x", "new", &text[..31], &format!("{text}AA"), "!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!"] {
            assert_eq!(text.parse::<Ticket>(), Err(NoTicket), "{text}");
        }
    }
}
