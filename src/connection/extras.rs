//! What only some connections have: what they are held to, input that is held. Most have none of it, and pay one empty
//! pointer for them.

use super::stream::Stream;
use crate::admission::{Limiter, Meter};
use crate::config::{BeyondRate, Network, Rates};
use crate::metrics::Throttled;
use crate::session::AppId;
use crate::timer::Moment;
use std::net::SocketAddr;

/// Bytes read at once from a session that may be paused: what it has sent beyond its rate is held for it.
pub const MAX_HELD: usize = 16 * 1024;

/// See the module.
#[derive(Debug, Default)]
pub struct Extras {
    /// When the session's token expires, in milliseconds of the wall clock since the Unix epoch.
    pub expires_unix_ms: Option<u64>,
    /// The same in milliseconds of the server's clock, as the wall clock was set when it was last looked at.
    pub expires_ms: Option<u64>,
    /// Links have been told that the token expires soon.
    pub has_told_end: bool,
    /// From when on its client may have another token checked, in milliseconds of the server's clock.
    pub renewable_ms: u64,
    /// Where the connection is counted as coming from.
    pub connection_from: Option<Network>,
    /// Where the session is counted as coming from.
    pub session_from: Option<Network>,
    /// Of an echo: the app in which it has a place. A session's is given back when it leaves the hub.
    pub echo_of: Option<AppId>,
    /// What it has sent.
    pub inbound: Option<Inbound>,
    /// Whether it begins with a PROXY header.
    pub proxy_header: bool,
    /// Where the client is, as a proxy says.
    pub remote: Option<SocketAddr>,
    /// Read, but not parsed: what had come when it was paused.
    pub held: Vec<u8>,
    /// When its door wants to be asked what is due, in milliseconds of the server's clock.
    pub door_ms: Option<u64>,
    /// Of a link or a backend that is behind: when its socket last took something, or had nothing to take, in attended time.
    pub progress_ms: u64,
    /// The event stream that the connection is.
    pub stream: Option<Box<Stream>>,
}

/// How fast a session may send.
#[derive(Debug, Clone, Copy)]
pub struct InboundLimits {
    messages: Option<Limiter>,
    bytes: Option<Limiter>,
    /// What becomes of one that sends more.
    pub beyond: BeyondRate,
}

/// How fast a session has sent.
#[derive(Debug, Default)]
pub struct Inbound {
    pub(super) messages: Meter,
    pub(super) bytes: Meter,
    /// While it is paused: when it is read again, in milliseconds of the server's clock.
    pub resume_ms: Option<u64>,
}

impl InboundLimits {
    /// The limits of a configuration; `None` where both rates are off.
    pub fn new(rates: &Rates) -> Option<Self> {
        let (messages, bytes) = (Limiter::new(rates.messages), Limiter::new(rates.bytes));
        (messages.is_some() || bytes.is_some()).then_some(Self { messages, bytes, beyond: rates.beyond })
    }
}

impl Inbound {
    /// So much has come. Returns whether that is beyond the rate; where sessions are paused for that, this one is now.
    pub fn charge(&mut self, what: Throttled, count: u64, limits: &InboundLimits, now: Moment) -> bool {
        let (limiter, meter) = match what {
            Throttled::Messages => (limits.messages, &mut self.messages),
            Throttled::Bytes => (limits.bytes, &mut self.bytes),
        };
        let Some(limiter) = limiter else { return false };
        if limiter.charge(meter, count, now.ns) {
            return false;
        }
        if limits.beyond == BeyondRate::Pause {
            let wait_ms = limiter.wait_ns(*meter, now.ns).div_ceil(1_000_000);
            self.resume_ms = self.resume_ms.max(Some(now.ms + wait_ms));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Rate;

    fn rates(beyond: BeyondRate) -> Rates {
        let rate = |per_second, burst| Rate { per_second, burst };
        Rates { messages: rate(10, 2), bytes: rate(1000, 3000), beyond, ..Rates::default() }
    }

    fn at(ms: u64) -> Moment {
        Moment { ms, ns: ms * 1_000_000 }
    }

    #[test]
    fn no_rate_is_no_limit() {
        assert!(InboundLimits::new(&Rates { beyond: BeyondRate::Pause, ..Rates::default() }).is_none());
    }

    #[test]
    fn a_session_is_paused_until_it_is_within_both_rates() {
        let limits = InboundLimits::new(&rates(BeyondRate::Pause)).unwrap();
        let mut inbound = Inbound::default();
        assert!(!inbound.charge(Throttled::Bytes, 3000, &limits, at(50)));
        assert!(!inbound.charge(Throttled::Messages, 2, &limits, at(50)));
        assert_eq!(inbound.resume_ms, None);
        assert!(inbound.charge(Throttled::Bytes, 500, &limits, at(50)));
        assert_eq!(inbound.resume_ms, Some(550));
        assert!(inbound.charge(Throttled::Messages, 1, &limits, at(50)));
        assert_eq!(inbound.resume_ms, Some(550));
        assert!(inbound.charge(Throttled::Messages, 9, &limits, at(50)));
        assert_eq!(inbound.resume_ms, Some(1050));
    }

    #[test]
    fn where_sessions_are_closed_none_is_paused() {
        let limits = InboundLimits::new(&rates(BeyondRate::Close)).unwrap();
        let mut inbound = Inbound::default();
        assert!(inbound.charge(Throttled::Messages, 3, &limits, at(0)));
        assert_eq!(inbound.resume_ms, None);
    }
}
