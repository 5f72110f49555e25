//! One connection: its socket, what its bytes mean at this stage, what waits to be written and when it is due.
//! Knows nothing of other connections.

mod budgeted;
mod flags;
mod lane;
mod outbox;
mod terms;
mod transport;

pub use flags::{Flag, Flags};
pub use lane::Lane;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use outbox::model as outbox_model;
pub use outbox::{Item, LocalPush, Offered, Outbox, OutboxLimits, Settlements, Tick};
pub use terms::{Inbound, InboundLimits, MAX_HELD, Terms};
pub use transport::{Flushed, Transport};

use crate::gateway::{Backend, Head, Link};
use crate::protocol::WebSocket;
use crate::session::SessionId;
use crate::timer::{Moment, Stamp};
use mio::net::TcpStream;

/// What the bytes of a connection mean.
#[derive(Debug)]
pub enum Stage {
    /// Client port: the upgrade request is being read.
    Head(Box<Head>),
    /// Client port: a player's session.
    Player(Player),
    /// Client port: an echo, outside the hub.
    Echo(WebSocket),
    /// Backend port: HTTP.
    Backend(Box<Backend>),
    /// Backend port: a link.
    Link(Box<Link>),
    /// What comes is read and thrown away until the peer ends.
    Discard,
}

impl Stage {
    /// Whether it is not to be read for now: answers have to leave, or a command has to be done, first.
    pub fn is_paused(&self) -> bool {
        match self {
            Self::Backend(backend) => backend.is_paused(),
            Self::Link(link) => link.is_paused(),
            Self::Head(_) | Self::Player(_) | Self::Echo(_) | Self::Discard => false,
        }
    }
}

/// The bytes' side of a session; its names are in the hub, under the same slot.
#[derive(Debug)]
pub struct Player {
    /// The RFC 6455 state.
    pub websocket: WebSocket,
    /// When it was opened, in milliseconds since the Unix epoch.
    pub since_unix_ms: u64,
    /// Bytes read since the upgrade.
    pub bytes_in: u64,
    /// Bytes written since the upgrade.
    pub bytes_out: u64,
    /// The last time from a ping to its pong, in microseconds; 0 before the first.
    pub round_trip_us: u32,
}

/// Where a connection stands between its opening and its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// In use.
    Open,
    /// Our Close frame is queued or sent, the peer's has not come (RFC 6455 §7.1.2).
    Closing,
    /// Nothing more is queued: once the outbox has drained the write side is shut down, and input is thrown away until
    /// the peer ends, so that a reset does not take the last bytes with it (RFC 6455 §7.1.1).
    Finishing,
    /// To be freed when the turn's events have been handled.
    Doomed,
}

/// One slot of a reactor's slab.
#[derive(Debug)]
pub struct Connection {
    /// The socket.
    pub stream: TcpStream,
    /// What its bytes mean.
    pub stage: Stage,
    /// What lies between the socket and those bytes.
    pub transport: Transport,
    /// Where it stands.
    pub phase: Phase,
    /// What waits to be written; `None` when nothing does.
    pub outbox: Option<Box<Outbox>>,
    /// What it is held to; `None` when to nothing.
    pub terms: Option<Box<Terms>>,
    /// In [`Phase::Open`]: when bytes last came; later: when the end began.
    pub since: Stamp,
    /// What is so, or not.
    pub flags: Flags,
}

// An idle session is this, its slot in the hub and what the tables say of its names. Where debug assertions
// are on, mio's sockets are larger.
const _: () = assert!(size_of::<Connection>() <= if cfg!(debug_assertions) { 112 } else { 96 });
const _: () = assert!(size_of::<Option<Connection>>() == size_of::<Connection>() && size_of::<Stage>() <= 64);
// Of those that queue, and of those that are held to something.
const _: () = assert!(size_of::<Outbox>() <= 144 && size_of::<Terms>() <= 176);

/// The times after which a silent connection is pinged and closed.
#[derive(Debug, Clone, Copy)]
pub struct Silence {
    /// Milliseconds from the accepted connection to the end of its TLS handshake.
    pub upgrade_ms: u64,
    /// Milliseconds without input before a ping.
    pub ping_ms: u64,
    /// Milliseconds without input before the end.
    pub idle_ms: u64,
    /// The same for HTTP on the backend port.
    pub backend_idle_ms: u64,
    /// Milliseconds that the end waits for the peer.
    pub close_ms: u64,
}

/// What is due when a deadline has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// The PROXY header or the TLS handshake was not complete in time.
    Wrapping,
    /// The upgrade request was not complete in time.
    Head,
    /// A silent peer is to be pinged.
    Ping,
    /// A peer has been silent for too long.
    Idle,
    /// The closing handshake took too long.
    Close,
    /// A message in the outbox expires.
    Expiry,
    /// The token of a session expires.
    Token,
    /// A session that was paused is within its rate again.
    Resume,
}

impl Connection {
    /// A connection as it is accepted.
    pub fn new(stream: TcpStream, stage: Stage, now: Moment) -> Self {
        Self {
            stream,
            stage,
            transport: Transport::Plain,
            phase: Phase::Open,
            outbox: None,
            terms: None,
            since: Stamp::at(now.ms),
            flags: Flags::default(),
        }
    }

    /// Whether nothing waits to be written.
    pub fn is_drained(&self) -> bool {
        self.outbox.is_none() && !self.has_unsent()
    }

    /// What it is held to, made if need be.
    pub fn terms(&mut self) -> &mut Terms {
        self.terms.get_or_insert_default()
    }

    /// How fast it has sent, where that is bounded.
    pub fn inbound(&mut self) -> Option<&mut Inbound> {
        self.terms.as_mut()?.inbound.as_mut()
    }

    /// Whether it is not to be read for now, since it has sent beyond its rate.
    pub fn is_throttled(&self) -> bool {
        let inbound = self.terms.as_ref().and_then(|terms| terms.inbound.as_ref());
        self.phase == Phase::Open && inbound.is_some_and(|inbound| inbound.resume_ms.is_some())
    }

    /// Bytes have come: that puts off what silence brings, and not what ends a connection.
    pub fn touch(&mut self, now: Moment) {
        if self.phase == Phase::Open {
            self.since = Stamp::at(now.ms);
            self.flags.clear(Flag::Pinged);
        }
    }

    /// The end of an open connection begins: it is in `phase` from now on.
    pub fn end(&mut self, phase: Phase, now: Moment) {
        if self.phase == Phase::Open {
            self.since = Stamp::at(now.ms);
        }
        self.phase = phase;
    }

    /// The next thing that time will bring, and when: a time in milliseconds of the server's clock.
    pub fn next_due(&self, id: SessionId, silence: Silence, now: Moment) -> Option<(u64, Due)> {
        let since_ms = self.since.near(now.ms);
        let life = match self.phase {
            Phase::Doomed => return None,
            Phase::Closing | Phase::Finishing => Some((since_ms + silence.close_ms, Due::Close)),
            Phase::Open => sooner(self.next_due_open(id, silence, since_ms), self.next_due_by_terms()),
        };
        let expiry = self.outbox.as_ref().and_then(|outbox| outbox.next_expiry_ms());
        sooner(life, expiry.map(|deadline_ms| (deadline_ms, Due::Expiry)))
    }

    fn next_due_by_terms(&self) -> Option<(u64, Due)> {
        let terms = self.terms.as_ref()?;
        let resume_ms = terms.inbound.as_ref().and_then(|inbound| inbound.resume_ms);
        sooner(
            terms.expires_ms.map(|deadline_ms| (deadline_ms, Due::Token)),
            resume_ms.map(|deadline_ms| (deadline_ms, Due::Resume)),
        )
    }

    fn next_due_open(&self, id: SessionId, silence: Silence, since_ms: u64) -> Option<(u64, Due)> {
        if self.is_wrapping() {
            return Some((since_ms + silence.upgrade_ms, Due::Wrapping));
        }
        match &self.stage {
            Stage::Head(head) => Some((head.deadline_ms, Due::Head)),
            Stage::Player(_) | Stage::Echo(_) | Stage::Link(_) => Some(if self.flags.has(Flag::Pinged) {
                (since_ms + silence.idle_ms, Due::Idle)
            } else {
                (since_ms + jittered(silence.ping_ms, id), Due::Ping)
            }),
            Stage::Backend(backend) => {
                backend.is_idle().then_some((since_ms + silence.backend_idle_ms, Due::Idle))
            }
            Stage::Discard => None,
        }
    }
}

fn sooner(one: Option<(u64, Due)>, other: Option<(u64, Due)>) -> Option<(u64, Due)> {
    one.into_iter().chain(other).min_by_key(|(deadline_ms, _)| *deadline_ms)
}

/// `interval_ms` less up to a fifth of it, by the id: the sessions of a reconnect storm do not ping in step for ever.
fn jittered(interval_ms: u64, id: SessionId) -> u64 {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    let spread = id.as_u64().wrapping_mul(GOLDEN) >> 54;
    interval_ms - interval_ms * spread / (5 * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Limits;
    use std::sync::Arc;

    const SILENCE: Silence = Silence {
        upgrade_ms: 10_000,
        ping_ms: 25_000,
        idle_ms: 60_000,
        backend_idle_ms: 120_000,
        close_ms: 5_000,
    };
    const NOW: Moment = Moment { ms: 9_000, ns: 9_000_000_000 };
    const ID: SessionId = SessionId::from_u64(0);

    fn connection(stage: Stage, now_ms: u64) -> Connection {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        Connection::new(TcpStream::from_std(stream), stage, Moment { ms: now_ms, ns: now_ms * 1_000_000 })
    }

    fn echo() -> Stage {
        Stage::Echo(WebSocket::server(Arc::new(Limits::default())))
    }

    #[test]
    fn a_silent_session_is_pinged_then_closed() {
        let mut connection = connection(echo(), 1_000);
        assert_eq!(connection.next_due(ID, SILENCE, NOW), Some((26_000, Due::Ping)));
        connection.flags.set(Flag::Pinged);
        assert_eq!(connection.next_due(ID, SILENCE, NOW), Some((61_000, Due::Idle)));
        connection.touch(Moment { ms: 30_000, ns: 0 });
        assert_eq!(connection.next_due(ID, SILENCE, NOW), Some((55_000, Due::Ping)));
    }

    #[test]
    fn a_token_expires_and_a_pause_ends_whatever_else_is_due() {
        let mut connection = connection(echo(), 1_000);
        connection.terms().expires_ms = Some(90_000);
        assert_eq!(connection.next_due(ID, SILENCE, NOW), Some((26_000, Due::Ping)));
        connection.terms().expires_ms = Some(20_000);
        assert_eq!(connection.next_due(ID, SILENCE, NOW), Some((20_000, Due::Token)));
        connection.terms().inbound.get_or_insert_default().resume_ms = Some(1_500);
        assert_eq!(connection.next_due(ID, SILENCE, NOW), Some((1_500, Due::Resume)));
        assert!(connection.is_throttled());
        connection.phase = Phase::Closing;
        assert_eq!(connection.next_due(ID, SILENCE, NOW), Some((6_000, Due::Close)));
        assert!(!connection.is_throttled());
    }

    #[test]
    fn an_upgrade_has_one_deadline_whatever_trickles_in() {
        let mut connection = connection(Stage::Head(Box::new(Head::new(11_000))), 1_000);
        connection.touch(Moment { ms: 10_999, ns: 0 });
        assert_eq!(connection.next_due(ID, SILENCE, NOW), Some((11_000, Due::Head)));
    }

    #[test]
    fn a_closing_handshake_does_not_wait_for_ever_and_a_doomed_one_not_at_all() {
        let mut connection = connection(echo(), 1_000);
        for phase in [Phase::Closing, Phase::Finishing] {
            connection.phase = phase;
            assert_eq!(connection.next_due(ID, SILENCE, NOW), Some((6_000, Due::Close)));
        }
        connection.phase = Phase::Doomed;
        assert_eq!(connection.next_due(ID, SILENCE, NOW), None);
    }

    #[test]
    fn an_idle_backend_is_ended_later_than_a_silent_player() {
        assert_eq!(
            connection(Stage::Backend(Box::default()), 0).next_due(ID, SILENCE, NOW),
            Some((120_000, Due::Idle))
        );
    }

    #[test]
    fn pings_are_spread_over_a_fifth_of_the_interval_by_the_id() {
        let pings: Vec<u64> = (0..1000).map(|slot| jittered(25_000, SessionId::new(0, 0, 7, slot))).collect();
        assert!(pings.iter().all(|ping| (20_000..=25_000).contains(ping)), "{pings:?}");
        for from in (20_000..25_000).step_by(1_000) {
            let share = pings.iter().filter(|ping| (from..from + 1_000).contains(*ping)).count();
            assert!((150..250).contains(&share), "{share} of 1000 from {from} ms on");
        }
    }
}
