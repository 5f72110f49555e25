//! How a connection is carried to another process, all but its socket and its door.

use super::outbox::{CarriedOutbox, Restoring};
use super::stream::CarriedStream;
use super::{
    Connection, Extras, Figures, Flag, Flags, Inbound, Kind, Pause, Pauses, Peer, Phase, Settlements, Socket,
    Stream, Transport,
};
use crate::admission::Meter;
use crate::dispatch::Packer;
use crate::protocol::{CarriedWebSocket, DeflateEngine, Limits};
use crate::session::{AppId, Remote, SessionId};
use crate::timer::Stamp;
use crate::tls::{CarriedSession, Session};
use crate::upgrade::InvalidState;
use minicbor::{Decode, Encode};
use std::net::SocketAddr;
use std::sync::Arc;

/// A [`Connection`] on its way.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct CarriedConnection {
    /// Its id, which stays.
    #[n(0)]
    id: u64,
    /// See [`KINDS`].
    #[n(1)]
    kind: u8,
    /// 0 open, 1 closing, 2 finishing, 3 away.
    #[n(2)]
    phase: u8,
    /// See [`TRANSPORTS`].
    #[n(3)]
    transport: u8,
    /// A bit for each of [`FLAGS`], in their order.
    #[n(4)]
    flags: u32,
    /// A bit for each of [`PAUSES`], in their order.
    #[n(5)]
    pauses: u8,
    /// In milliseconds of attended time.
    #[n(6)]
    since_ms: u64,
    /// The other end of the socket; `None` is a Unix socket.
    #[n(7)]
    peer: Option<SocketAddr>,
    #[n(8)]
    figures: Option<CarriedFigures>,
    #[n(9)]
    round_trip_us: Option<u32>,
    #[n(10)]
    websocket: Option<CarriedWebSocket>,
    #[n(11)]
    outbox: Option<Box<CarriedOutbox>>,
    #[n(12)]
    extras: Option<Box<CarriedExtras>>,
    /// Of one whose handshake is done.
    #[n(13)]
    tls: Option<Box<CarriedSession>>,
}

#[derive(Debug, Encode, Decode)]
#[cbor(map)]
struct CarriedFigures {
    #[n(0)]
    since_unix_ms: u64,
    #[n(1)]
    bytes_in: u64,
    #[n(2)]
    bytes_out: u64,
}

#[derive(Debug, Default, Encode, Decode)]
#[cbor(map)]
struct CarriedExtras {
    #[n(0)]
    expires_unix_ms: Option<u64>,
    #[n(1)]
    renewable_ms: Option<u64>,
    /// The app of an echo.
    #[n(2)]
    echo_of: Option<u16>,
    #[n(3)]
    inbound: Option<CarriedInbound>,
    #[n(4)]
    proxy_header: Option<bool>,
    #[n(5)]
    remote: Option<SocketAddr>,
    #[cbor(n(6), with = "minicbor::bytes")]
    held: Vec<u8>,
    /// It counts among the connections of its address.
    #[n(7)]
    counts_address: Option<bool>,
    /// The event stream that it is.
    #[n(8)]
    stream: Option<CarriedStream>,
    /// Links have been told that its token expires soon.
    #[n(9)]
    has_told_end: Option<bool>,
}

#[derive(Debug, Encode, Decode)]
#[cbor(map)]
struct CarriedInbound {
    #[n(0)]
    messages_ns: u64,
    #[n(1)]
    bytes_ns: u64,
    #[n(2)]
    resume_ms: Option<u64>,
}

const KINDS: [Kind; 6] = [Kind::Upgrade, Kind::Player, Kind::Echo, Kind::Backend, Kind::Link, Kind::Discard];
const PHASES: [Phase; 4] = [Phase::Open, Phase::Closing, Phase::Finishing, Phase::Away];
const TRANSPORTS: [Transport; 4] =
    [Transport::Plain, Transport::ProxyHeader, Transport::Handshake, Transport::Tls];
/// The others say in which lists of its reactor a connection is, which are made anew, or follow from the rest. A probe is not carried:
/// the next session that its user asks for begins another.
const FLAGS: [Flag; 8] = [
    Flag::ReadClosed,
    Flag::HungUp,
    Flag::WriteClosed,
    Flag::Pinged,
    Flag::PingWaits,
    Flag::Backend,
    Flag::Stranger,
    Flag::SpeaksOwn,
];
const PAUSES: [Pause; 4] = [Pause::Answers, Pause::Barrier, Pause::Rate, Pause::Link];

/// What a connection needs of the reactor in which it goes on.
pub struct Surroundings<'a> {
    /// Attended time, in milliseconds.
    pub attended_ms: u64,
    /// Of players and echoes.
    pub player_limits: &'a Arc<Limits>,
    /// Of links.
    pub link_limits: &'a Arc<Limits>,
    /// Inflates for those that have agreed on it.
    pub engine: &'a dyn Fn() -> Arc<DeflateEngine>,
}

/// A [`Connection`] that has come from another process.
#[derive(Debug)]
pub struct Restored {
    /// Its id.
    pub id: SessionId,
    /// It, without its door.
    pub connection: Connection,
    /// When its session ends with its token, in milliseconds since the Unix epoch.
    pub expires_unix_ms: Option<u64>,
    /// Whether it counts among the connections of its address.
    pub counts_address: bool,
    /// It can only be closed: what was compressed before cannot be referred to.
    pub has_lost_context: bool,
}

impl Connection {
    /// What another process goes on with; `None` where nothing can: it is in the middle of a TLS handshake.
    pub fn carry(&self, id: SessionId, attended_ms: u64, packer: &Packer) -> Option<CarriedConnection> {
        let Self {
            stream: _,
            peer,
            transport,
            kind,
            websocket,
            tls,
            // What is there belongs to the gateway or the core, which carry it.
            place: _,
            phase,
            pauses,
            outbox,
            extras,
            since,
            flags,
            figures,
            round_trip_us,
        } = self;
        let remote = match peer.remote() {
            Remote::Ip(address) => Some(address),
            Remote::Unix => None,
        };
        let tls = match (transport, tls.as_deref()) {
            (Transport::Tls, Some(session)) => Some(Box::new(session.carry()?)),
            // It begins there as it would here.
            (_, Some(session)) if !session.is_untouched() => return None,
            _ => None,
        };
        let extras = extras.as_deref().map(CarriedExtras::of);
        Some(CarriedConnection {
            id: id.as_u64(),
            kind: place(&KINDS, *kind),
            phase: place(&PHASES, *phase),
            transport: place(&TRANSPORTS, *transport),
            flags: bits(&FLAGS, |flag| flags.has(flag)),
            pauses: bits(&PAUSES, |pause| pauses.has(pause)) as u8,
            since_ms: since.near(attended_ms),
            peer: remote,
            figures: CarriedFigures::of(figures),
            round_trip_us: (*round_trip_us > 0).then_some(*round_trip_us),
            websocket: websocket.as_ref().map(|websocket| websocket.carry()),
            outbox: outbox.as_ref().map(|outbox| Box::new(outbox.carry(packer))),
            extras: extras.map(Box::new),
            tls,
        })
    }
}

impl CarriedExtras {
    fn of(extras: &Extras) -> Self {
        let Extras {
            expires_unix_ms,
            // It follows from the wall clock.
            expires_ms: _,
            has_told_end,
            renewable_ms,
            connection_from,
            // Where its session counts is counted anew.
            session_from: _,
            echo_of,
            inbound,
            proxy_header,
            remote,
            held,
            // The door says it again.
            door_ms: _,
            // Its time begins again where the socket is found behind.
            progress_ms: _,
            stream,
        } = extras;
        Self {
            expires_unix_ms: *expires_unix_ms,
            renewable_ms: (*renewable_ms > 0).then_some(*renewable_ms),
            echo_of: echo_of.map(|app| app.0),
            inbound: inbound.as_ref().map(CarriedInbound::of),
            proxy_header: proxy_header.then_some(true),
            remote: *remote,
            held: held.clone(),
            counts_address: connection_from.is_some().then_some(true),
            stream: stream.as_deref().map(Stream::carry),
            has_told_end: has_told_end.then_some(true),
        }
    }
}

impl CarriedInbound {
    fn of(inbound: &Inbound) -> Self {
        let Inbound { messages, bytes, resume_ms } = inbound;
        Self { messages_ns: messages.as_ns(), bytes_ns: bytes.as_ns(), resume_ms: *resume_ms }
    }

    fn restore(self) -> Inbound {
        let Self { messages_ns, bytes_ns, resume_ms } = self;
        Inbound { messages: Meter::from_ns(messages_ns), bytes: Meter::from_ns(bytes_ns), resume_ms }
    }
}

impl CarriedFigures {
    /// `None` before there is a session.
    fn of(figures: &Figures) -> Option<Self> {
        let (since_unix_ms, bytes_in, bytes_out) =
            (figures.since_unix_ms(), figures.bytes_in(), figures.bytes_out());
        (since_unix_ms > 0).then_some(Self { since_unix_ms, bytes_in, bytes_out })
    }

    fn restore(self) -> Figures {
        let Self { since_unix_ms, bytes_in, bytes_out } = self;
        let mut figures = Figures::since(since_unix_ms);
        figures.add_in(bytes_in as usize);
        figures.add_out(bytes_out as usize);
        figures
    }
}

impl CarriedConnection {
    /// Its id.
    pub fn id(&self) -> SessionId {
        SessionId::from_u64(self.id)
    }

    /// Whether it has a socket.
    pub fn has_socket(&self) -> bool {
        PHASES.get(usize::from(self.phase)) != Some(&Phase::Away)
    }

    /// The connection that goes on from it, on its own socket. It is paused as it was, and in no list.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn restore(
        self,
        stream: Socket,
        around: &Surroundings<'_>,
        restoring: &mut Restoring<'_>,
        settlements: &mut Settlements,
    ) -> Result<Restored, InvalidState> {
        let Self {
            id,
            kind,
            phase,
            transport,
            flags,
            pauses,
            since_ms,
            peer,
            figures,
            round_trip_us,
            websocket,
            outbox,
            extras,
            tls,
        } = self;
        let id = SessionId::from_u64(id);
        let kind = of_place(&KINDS, kind, "a connection of no kind")?;
        let is_stream = extras.as_ref().is_some_and(|extras| extras.stream.is_some());
        if is_stream && (kind != Kind::Player || websocket.is_some()) {
            return Err(InvalidState::new("an event stream that is something else too"));
        }
        let speaks = matches!(kind, Kind::Player | Kind::Echo | Kind::Link) && !is_stream;
        let phase = of_place(&PHASES, phase, "a connection in no phase")?;
        if speaks != websocket.is_some() && phase == Phase::Open {
            return Err(InvalidState::new("a WebSocket where none is, or none where one is"));
        }
        let is_away = phase == Phase::Away;
        if is_away && (kind != Kind::Player || websocket.is_some() || tls.is_some())
            || is_away != stream.is_none()
        {
            return Err(InvalidState::new("a client that is away has no connection"));
        }
        let limits = if kind == Kind::Link { around.link_limits } else { around.player_limits };
        let websocket = websocket
            .map(|carried| carried.restore(Arc::clone(limits), around.engine))
            .transpose()
            .map_err(InvalidState::new)?;
        let has_lost_context = websocket.as_ref().is_some_and(|restored| restored.has_lost_context);
        let peer = peer.map_or_else(Peer::unix, Peer::from);
        let mut connection = Connection::new(stream, peer, kind, around.attended_ms);
        connection.phase = phase;
        connection.transport = of_place(&TRANSPORTS, transport, "a connection over nothing")?;
        if tls.is_some() != (connection.transport == Transport::Tls) {
            return Err(InvalidState::new("a TLS session where none is, or none where one is"));
        }
        connection.tls = tls.map(|carried| Session::try_from(*carried)).transpose()?.map(Box::new);
        connection.since = Stamp::at(since_ms);
        connection.flags = of_bits(&FLAGS, flags, Flags::default(), |flags, flag| _ = flags.set(flag));
        if is_away {
            connection.flags.set(Flag::Blocked);
        }
        connection.pauses = of_bits(&PAUSES, pauses.into(), Pauses::default(), Pauses::add);
        connection.figures = figures.map(CarriedFigures::restore).unwrap_or_default();
        connection.round_trip_us = round_trip_us.unwrap_or(0);
        connection.websocket = websocket.map(|restored| restored.websocket);
        let (mut expires_unix_ms, mut counts_address) = (None, false);
        if let Some(mut carried) = extras {
            expires_unix_ms = carried.expires_unix_ms;
            counts_address = carried.counts_address == Some(true);
            let stream = carried.stream.take().map(|stream| stream.restore(around.engine)).transpose()?;
            connection.extras = Some(carried.restore());
            if let Some(stream) = stream {
                connection.set_stream(stream);
            }
        }
        if let Some(carried) = outbox {
            connection.outbox = carried.restore(restoring, settlements)?;
        }
        Ok(Restored { id, connection, expires_unix_ms, counts_address, has_lost_context })
    }
}

impl CarriedExtras {
    fn restore(self) -> Box<Extras> {
        // When it ends is for the wall clock of its reactor, and counting for whoever counts.
        let Self {
            expires_unix_ms: _,
            renewable_ms,
            echo_of,
            inbound,
            proxy_header,
            remote,
            held,
            counts_address: _,
            // It belongs to the connection as a whole.
            stream: _,
            has_told_end,
        } = self;
        Box::new(Extras {
            has_told_end: has_told_end == Some(true),
            renewable_ms: renewable_ms.unwrap_or(0),
            echo_of: echo_of.map(AppId),
            inbound: inbound.map(CarriedInbound::restore),
            proxy_header: proxy_header == Some(true),
            remote,
            held,
            ..Extras::default()
        })
    }
}

fn place<T: PartialEq>(all: &[T], one: T) -> u8 {
    // A doomed connection is gone by the end of its turn.
    all.iter().position(|other| *other == one).unwrap_or(all.len()) as u8
}

fn of_place<T: Copy>(all: &[T], place: u8, otherwise: &'static str) -> Result<T, InvalidState> {
    all.get(usize::from(place)).copied().ok_or_else(|| InvalidState::new(otherwise))
}

fn bits<T: Copy>(all: &[T], has: impl Fn(T) -> bool) -> u32 {
    all.iter().enumerate().map(|(bit, one)| u32::from(has(*one)) << bit).sum()
}

fn of_bits<T: Copy, S>(all: &[T], bits: u32, mut set: S, add: impl Fn(&mut S, T)) -> S {
    // Bits that a later version has set say what this one does not know.
    let known = all.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1);
    known.for_each(|(_, one)| add(&mut set, *one));
    set
}
