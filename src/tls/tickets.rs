//! Session tickets (RFC 8446 §4.6.1, RFC 5077): a client that comes back brings its session, sealed with a key that the server
//! changes every six hours. The key before is still taken, so a ticket lives for six to twelve hours. The keys can be carried
//! to another process, which then takes the tickets of this one.

use super::record::Secret;
use crate::upgrade::InvalidState;
use minicbor::{Decode, Encode};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use rustix::time::{ClockId, clock_gettime};
use rustls::server::ProducesTickets;
use std::fmt;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use zeroize::Zeroize;

/// How long tickets are sealed with one key.
const PERIOD_S: u64 = 6 * 60 * 60;

/// The longest ticket that is opened; those that are made are far below.
const MAX_TICKET_BYTES: usize = 4096;

const NAME_BYTES: usize = 16;
const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 16;

/// See the module.
pub struct Tickets(RwLock<Keys>);

struct Keys {
    current: TicketKey,
    previous: Option<TicketKey>,
    /// When the current key gives way, in seconds of CLOCK_BOOTTIME, which no one sets and both processes share.
    next_s: u64,
}

/// A key, and the name under which tickets say that it is theirs.
struct TicketKey {
    name: [u8; NAME_BYTES],
    key: [u8; KEY_BYTES],
}

/// The keys on their way.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct CarriedTickets {
    #[n(0)]
    current: CarriedKey,
    #[n(1)]
    previous: Option<CarriedKey>,
    #[n(2)]
    next_s: u64,
}

/// A key on its way.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
struct CarriedKey {
    #[cbor(n(0), with = "minicbor::bytes")]
    name: Vec<u8>,
    #[n(1)]
    key: Secret,
}

impl Tickets {
    /// With a new key; `None` if the system gives no random bytes.
    pub fn new() -> Option<Self> {
        let keys = Keys { current: TicketKey::random()?, previous: None, next_s: now_s() + PERIOD_S };
        Some(Self(RwLock::new(keys)))
    }

    /// The keys as they are now.
    pub fn carry(&self) -> CarriedTickets {
        let Keys { current, previous, next_s } = &*self.lock();
        CarriedTickets {
            current: CarriedKey::of(current),
            previous: previous.as_ref().map(CarriedKey::of),
            next_s: *next_s,
        }
    }

    /// Goes on with the keys of another process, in place of its own.
    ///
    /// # Errors
    /// What has come are no such keys.
    pub fn take_over(&self, carried: CarriedTickets) -> Result<(), InvalidState> {
        let CarriedTickets { current, previous, next_s } = carried;
        // Never later than a whole period: a key shall not live longer for being carried.
        let next_s = next_s.min(now_s() + PERIOD_S);
        let previous = previous.map(CarriedKey::restore).transpose()?;
        let keys = Keys { current: current.restore()?, previous, next_s };
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    fn lock(&self) -> RwLockReadGuard<'_, Keys> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys as they are to be at `now_s`.
    fn at(&self, now_s: u64) -> RwLockReadGuard<'_, Keys> {
        {
            let keys = self.lock();
            if now_s < keys.next_s {
                return keys;
            }
        }
        // Without random bytes the old key stays until there are some.
        if let Some(next) = TicketKey::random() {
            let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
            // Another reactor may have been here first.
            if now_s >= keys.next_s {
                let last = std::mem::replace(&mut keys.current, next);
                // A server that nobody came to for as long has no key to be taken still.
                keys.previous = (now_s < keys.next_s + PERIOD_S).then_some(last);
                keys.next_s = now_s + PERIOD_S;
            }
        }
        self.lock()
    }

    fn seal(&self, now_s: u64, session: &[u8]) -> Option<Vec<u8>> {
        self.at(now_s).current.seal(session)
    }

    fn open(&self, now_s: u64, ticket: &[u8]) -> Option<Vec<u8>> {
        let keys = self.at(now_s);
        let (name, _) = ticket.split_first_chunk()?;
        let key = [Some(&keys.current), keys.previous.as_ref()]
            .into_iter()
            .flatten()
            .find(|key| key.name == *name)?;
        key.open(ticket)
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        2 * PERIOD_S as u32
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.seal(now_s(), plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.open(now_s(), cipher)
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

impl TicketKey {
    fn random() -> Option<Self> {
        let mut key = Self { name: [0; NAME_BYTES], key: [0; KEY_BYTES] };
        let random = SystemRandom::new();
        random.fill(&mut key.name).ok()?;
        random.fill(&mut key.key).ok()?;
        Some(key)
    }

    fn cipher(&self) -> LessSafeKey {
        LessSafeKey::new(
            UnboundKey::new(&CHACHA20_POLY1305, &self.key).expect("the key has the algorithm's length"),
        )
    }

    /// The key's name, a random nonce, the ciphertext, its tag, which covers the name.
    fn seal(&self, session: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let mut ticket = Vec::with_capacity(NAME_BYTES + NONCE_LEN + session.len() + TAG_BYTES);
        ticket.extend_from_slice(&self.name);
        ticket.extend_from_slice(&nonce);
        ticket.extend_from_slice(session);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let content = &mut ticket[NAME_BYTES + NONCE_LEN..];
        let tag = self.cipher().seal_in_place_separate_tag(nonce, Aad::from(self.name), content).ok()?;
        ticket.extend_from_slice(tag.as_ref());
        (ticket.len() <= MAX_TICKET_BYTES).then_some(ticket)
    }

    fn open(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        if ticket.len() > MAX_TICKET_BYTES {
            return None;
        }
        let (nonce, content) = ticket.get(NAME_BYTES..)?.split_first_chunk::<NONCE_LEN>()?;
        let mut session = content.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self.cipher().open_in_place(nonce, Aad::from(self.name), &mut session).ok()?.len();
        session.truncate(length);
        Some(session)
    }
}

impl Drop for TicketKey {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl CarriedKey {
    fn of(TicketKey { name, key }: &TicketKey) -> Self {
        Self { name: name.to_vec(), key: Secret::new(key) }
    }

    fn restore(self) -> Result<TicketKey, InvalidState> {
        let invalid = || InvalidState::new("a key of TLS tickets has a wrong length");
        let name = self.name.try_into().map_err(|_| invalid())?;
        Ok(TicketKey { name, key: self.key.array().ok_or_else(invalid)? })
    }
}

/// The clock that goes on while the machine sleeps.
fn now_s() -> u64 {
    clock_gettime(ClockId::Boottime).tv_sec.max(0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carried(tickets: &Tickets) -> CarriedTickets {
        let bytes = minicbor::to_vec(tickets.carry()).unwrap();
        minicbor::decode(&bytes).unwrap()
    }

    #[test]
    fn a_ticket_opens_for_one_to_two_periods() {
        let tickets = Tickets::new().unwrap();
        let start = tickets.lock().next_s - PERIOD_S;
        let ticket = tickets.seal(start, b"session").unwrap();
        let late = tickets.seal(start + PERIOD_S - 1, b"late").unwrap();
        assert_eq!(tickets.open(start, &ticket).as_deref(), Some(b"session".as_slice()));
        let next = start + PERIOD_S;
        assert_eq!(tickets.open(next, &ticket).as_deref(), Some(b"session".as_slice()));
        let newer = tickets.seal(next, b"newer").unwrap();
        assert_ne!(newer[..NAME_BYTES], ticket[..NAME_BYTES]);
        assert_eq!(tickets.open(next + PERIOD_S - 1, &late).as_deref(), Some(b"late".as_slice()));
        assert_eq!(tickets.open(next + PERIOD_S, &late), None);
        assert_eq!(tickets.open(next + PERIOD_S, &newer).as_deref(), Some(b"newer".as_slice()));
        // Nobody came for two periods: no key is old enough to be kept.
        assert_eq!(tickets.open(next + 4 * PERIOD_S, &newer), None);
    }

    #[test]
    fn an_edited_a_cut_and_a_foreign_ticket_are_no_tickets() {
        let (tickets, other) = (Tickets::new().unwrap(), Tickets::new().unwrap());
        let now = now_s();
        let ticket = tickets.seal(now, b"session").unwrap();
        for at in 0..ticket.len() {
            let mut edited = ticket.clone();
            edited[at] ^= 1;
            assert_eq!(tickets.open(now, &edited), None);
            assert_eq!(tickets.open(now, &ticket[..at]), None);
        }
        assert_eq!(other.open(now, &ticket), None);
        assert_eq!(tickets.seal(now, &[0; MAX_TICKET_BYTES]), None);
        let mut long = ticket[..NAME_BYTES].to_vec();
        long.resize(MAX_TICKET_BYTES + 1, 0);
        assert_eq!(tickets.open(now, &long), None);
    }

    #[test]
    fn keys_that_are_carried_open_the_tickets_of_both_and_change_together() {
        let (old, new) = (Tickets::new().unwrap(), Tickets::new().unwrap());
        let start = old.lock().next_s - PERIOD_S;
        let first = old.seal(start, b"first").unwrap();
        let second = old.seal(start + PERIOD_S, b"second").unwrap();
        old.0.write().unwrap().next_s = start + PERIOD_S;
        new.take_over(carried(&old)).unwrap();
        assert_eq!(new.open(start, &first).as_deref(), Some(b"first".as_slice()));
        assert_eq!(new.open(start, &second).as_deref(), Some(b"second".as_slice()));
        assert_eq!(new.lock().next_s, old.lock().next_s);
        let third = new.seal(start, b"third").unwrap();
        assert_eq!(old.open(start, &third).as_deref(), Some(b"third".as_slice()));
        assert!(minicbor::to_vec(old.carry()).unwrap().len() < 150);
    }

    #[test]
    fn keys_of_a_wrong_length_are_refused_and_nothing_changes() {
        let tickets = Tickets::new().unwrap();
        let ticket = tickets.seal(now_s(), b"session").unwrap();
        let mut wrong = carried(&tickets);
        wrong.current.name.pop();
        tickets.take_over(wrong).unwrap_err();
        let mut wrong = carried(&tickets);
        wrong.previous = Some(CarriedKey { name: vec![0; NAME_BYTES], key: Secret::new(&[0; 31]) });
        tickets.take_over(wrong).unwrap_err();
        assert_eq!(tickets.open(now_s(), &ticket).as_deref(), Some(b"session".as_slice()));
        // However late the other process says, a key does not live longer.
        let mut late = carried(&tickets);
        late.next_s = u64::MAX;
        tickets.take_over(late).unwrap();
        assert!(tickets.lock().next_s <= now_s() + PERIOD_S);
    }
}
