//! One connection: its socket, its WebSocket once it has one, what waits to be written, when it is due and why it is not
//! read. What a connection is in the middle of before or beside a WebSocket belongs to the doors of the gateway.

mod budgeted;
mod carry;
mod deadlines;
mod extras;
mod figures;
mod flags;
mod kept;
mod log_client;
mod outbox;
mod parting;
mod pause;
mod peer;
mod recorder;
mod resume;
mod socket;
mod stream;
mod transport;

pub use carry::{CarriedConnection, Restored, Surroundings};
pub use deadlines::{Due, Silence};
pub use extras::{Extras, Inbound, InboundLimits, MAX_HELD};
pub use figures::Figures;
pub use flags::{Flag, Flags};
pub use kept::{Keeping, Kept, KeptFrame, KeptLimits};
pub use log_client::Shown;
pub(crate) use log_client::log_client;
pub use outbox::{
    Events, Form, Item, KeptItem, LocalPush, LocalPushes, Offered, Outbox, OutboxLimits, Restoring,
    Settlements, Tick, Waits,
};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use outbox::{model as outbox_model, resume_model};
pub use parting::{Carrier, Speech};
pub use pause::{Pause, Pauses};
pub use peer::Peer;
pub use recorder::{Acting, Began, CarriedRecord, RecordBounds, Recorder, Subject};
pub use resume::{Away, CarriedResume, Claimant, Resume, Visitor};
pub use socket::Socket;
pub use stream::Stream;
pub use transport::{Flushed, Transport};

use crate::protocol::WebSocket;
use crate::timer::Stamp;
use crate::tls::Session;

/// What a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Client port: the upgrade request is being read.
    Upgrade,
    /// Client port: a player's session.
    Player,
    /// Client port: an echo, outside the hub.
    Echo,
    /// Backend port: HTTP.
    Backend,
    /// Backend port: a link.
    Link,
    /// What comes is read and thrown away until the peer ends.
    Discard,
}

impl Kind {
    /// Whether its socket must take some of what waits for it in `timeouts.link_stalled_ms`: it holds a place of a backend.
    pub fn must_progress(self) -> bool {
        matches!(self, Self::Backend | Self::Link)
    }

    /// Whether it ends without a closing handshake of RFC 6455.
    pub fn is_http(self) -> bool {
        matches!(self, Self::Upgrade | Self::Backend | Self::Discard)
    }
}

/// Where a connection stands between its opening and its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// In use.
    Open,
    /// A session whose client is away, and may come back: it has no socket, and what it is sent waits.
    Away,
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
    /// The socket; of a session that is away there is none.
    pub stream: Socket,
    /// Its other end; a proxy may have said something else, see [`Connection::remote`].
    pub peer: Peer,
    /// What lies between the socket and the bytes that have a meaning.
    pub transport: Transport,
    /// What it is.
    pub kind: Kind,
    /// The RFC 6455 state, once there has been an upgrade.
    pub websocket: Option<WebSocket>,
    /// Where the doors, or of a session that may resume the core, keep what they know of it. Only its own methods touch it.
    place: u32,
    /// Where it stands.
    pub phase: Phase,
    /// Why it is not read for now. Only [`Connection::pause`] and [`Connection::unpause`] change it.
    pub pauses: Pauses,
    /// What waits to be written; `None` when nothing does.
    pub outbox: Option<Box<Outbox>>,
    /// What it is held to; `None` when to nothing.
    pub extras: Option<Box<Extras>>,
    /// Its TLS, in [`Transport::Handshake`] and [`Transport::Tls`].
    pub tls: Option<Box<Session>>,
    /// In attended time. In [`Phase::Open`]: from when silence counts; later: when the end began.
    pub since: Stamp,
    /// What is so, or not.
    pub flags: Flags,
    /// What is counted of a session.
    pub figures: Figures,
    /// The last time from a ping to its pong, in microseconds; 0 before the first.
    pub round_trip_us: u32,
}

/// No place; see [`Connection::door`].
const NO_PLACE: u32 = u32::MAX;

// An idle session is this, its slot in the hub and what the tables say of its names. Where debug assertions
// are on, mio's sockets are larger.
const _: () = assert!(size_of::<Connection>() <= if cfg!(debug_assertions) { 128 } else { 112 });
const _: () = assert!(size_of::<Option<Connection>>() == size_of::<Connection>());
// Of those that queue, and of those that are held to something.
const _: () = assert!(size_of::<Outbox>() <= 144 && size_of::<Extras>() <= 208);

impl Connection {
    /// A connection as it is accepted, at `attended_ms`.
    pub fn new(stream: Socket, peer: Peer, kind: Kind, attended_ms: u64) -> Self {
        Self {
            stream,
            peer,
            transport: Transport::Plain,
            kind,
            websocket: None,
            place: NO_PLACE,
            phase: Phase::Open,
            pauses: Pauses::default(),
            outbox: None,
            extras: None,
            tls: None,
            since: Stamp::at(attended_ms),
            flags: Flags::default(),
            figures: Figures::default(),
            round_trip_us: 0,
        }
    }

    /// Where the doors keep what they know of it, if they know anything.
    pub fn door(&self) -> Option<u32> {
        (!self.flags.has(Flag::MayResume) && self.place != NO_PLACE).then_some(self.place)
    }

    /// The doors keep what they know of it there from now on.
    pub fn set_door(&mut self, door: u32) {
        debug_assert!(!self.flags.has(Flag::MayResume), "a session is past its door");
        self.place = door;
    }

    /// The doors know nothing of it from now on. Returns where they did.
    pub fn leave_door(&mut self) -> Option<u32> {
        let door = self.door();
        if door.is_some() {
            self.place = NO_PLACE;
        }
        door
    }

    /// Where the core keeps what a session that may resume needs for it.
    pub fn resume(&self) -> Option<usize> {
        self.flags.has(Flag::MayResume).then_some(self.place as usize)
    }

    /// The session may resume from now on, by what the core keeps there; with `None` no longer.
    pub fn set_resume(&mut self, place: Option<u32>) {
        debug_assert!(self.door().is_none(), "a session is past its door");
        self.place = place.unwrap_or(NO_PLACE);
        match place {
            Some(_) => _ = self.flags.set(Flag::MayResume),
            None => self.flags.clear(Flag::MayResume),
        }
    }

    /// Whether nothing waits to be written.
    pub fn is_drained(&self) -> bool {
        self.outbox.is_none() && !self.has_unsent()
    }

    /// What it is held to, made if need be.
    pub fn extras(&mut self) -> &mut Extras {
        self.extras.get_or_insert_default()
    }

    /// Its event stream, where it is one.
    pub fn stream(&mut self) -> Option<&mut Stream> {
        if !self.flags.has(Flag::Stream) {
            return None;
        }
        self.extras.as_mut()?.stream.as_deref_mut()
    }

    /// The session gets its messages as an event stream.
    pub fn set_stream(&mut self, stream: Stream) {
        self.extras().stream = Some(Box::new(stream));
        self.flags.set(Flag::Stream);
    }

    /// How fast it has sent, where that is bounded.
    pub fn inbound(&mut self) -> Option<&mut Inbound> {
        self.extras.as_mut()?.inbound.as_mut()
    }

    /// Whether it is a player's session that lives, whether its client is there or away.
    pub fn is_session(&self) -> bool {
        self.kind == Kind::Player && matches!(self.phase, Phase::Open | Phase::Away)
    }

    /// Whether it takes messages.
    pub fn takes_messages(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Away)
    }

    /// Whether it is a player's session that is not closing, with its client there.
    pub fn is_open_session(&self) -> bool {
        self.kind == Kind::Player && self.phase == Phase::Open
    }

    /// Whether it is not to be read for now. What comes after the end is read all the same, and thrown away.
    pub fn is_paused(&self) -> bool {
        self.phase == Phase::Open && !self.pauses.is_empty()
    }

    /// It is not read for this reason, among others perhaps. Returns whether it was read until now.
    pub fn pause(&mut self, reason: Pause) -> bool {
        let was_read = self.pauses.is_empty();
        self.pauses.add(reason);
        was_read
    }

    /// The reason is over. Returns whether it was the last one: silence counts from here on then, since nothing was heard
    /// meanwhile.
    pub fn unpause(&mut self, reason: Pause, attended_ms: u64) -> bool {
        let was_paused = !self.pauses.is_empty();
        self.pauses.remove(reason);
        let is_read = was_paused && self.pauses.is_empty();
        if is_read {
            self.touch(attended_ms);
        }
        is_read
    }

    /// The peer has been heard, or could not be: that puts off what silence brings, and not what ends a connection.
    pub fn touch(&mut self, attended_ms: u64) {
        // A stranger has one deadline, whatever trickles in.
        if self.phase == Phase::Open && !self.flags.has(Flag::Stranger) {
            self.since = Stamp::at(attended_ms);
            self.flags.clear(Flag::Pinged);
            self.flags.clear(Flag::Probed);
        }
    }

    /// A stranger has been answered: it has as long for its next request.
    pub fn answered(&mut self, attended_ms: u64) {
        if self.phase == Phase::Open && self.flags.has(Flag::Stranger) {
            self.since = Stamp::at(attended_ms);
        }
    }

    /// The end of an open connection begins: it is in `phase` from now on, and read whatever it was paused for.
    pub fn end(&mut self, phase: Phase, attended_ms: u64) {
        if matches!(self.phase, Phase::Open | Phase::Away) {
            self.since = Stamp::at(attended_ms);
        }
        self.phase = phase;
    }
}
