//! A session and its socket go separate ways, and a session gets the socket of another connection.

use super::{
    Connection, Extras, Figures, Flag, Flags, Inbound, Kind, Peer, Phase, Socket, Stream, Transport,
};
use crate::protocol::WebSocket;
use crate::tls::Session;
use std::net::{IpAddr, SocketAddr};

/// What goes with the socket.
const OF_THE_SOCKET: [Flag; 8] = [
    Flag::ReadClosed,
    Flag::HungUp,
    Flag::WriteClosed,
    Flag::Pinged,
    Flag::PingWaits,
    Flag::Probed,
    Flag::Blocked,
    Flag::Stream,
];

/// What a connection goes over: its socket, and all that belongs to that. It can go to another reactor.
#[derive(Debug)]
pub struct Carrier {
    stream: Socket,
    peer: Peer,
    transport: Transport,
    tls: Option<Box<Session>>,
    extras: Option<Box<Extras>>,
    flags: Flags,
}

impl Carrier {
    /// Input that was read from it, and is to be handled where it goes.
    pub fn hold(&mut self, input: &[u8]) {
        if !input.is_empty() {
            self.extras.get_or_insert_default().held = input.to_vec();
        }
    }

    /// Where its client is.
    pub fn ip(&self) -> Option<IpAddr> {
        let remote = self.extras.as_ref().and_then(|extras| extras.remote);
        remote.map_or_else(|| self.peer.ip(), |remote| Some(remote.ip()))
    }

    /// The socket.
    pub fn stream(&mut self) -> &mut Socket {
        &mut self.stream
    }
}

impl Connection {
    /// A place for the socket of another one, to be filled.
    pub fn without_socket() -> Self {
        Self::new(Socket::default(), Peer::unix(), Kind::Discard, 0)
    }

    /// The session of a client that has asked for it on this connection, which it does not go over: its client is away.
    pub fn of_visitor(visitor: &Self, since_unix_ms: u64, bounds_input: bool) -> Self {
        let remote = visitor.extras.as_ref().and_then(|extras| extras.remote);
        Self::without_client(visitor.peer.clone(), remote, since_unix_ms, bounds_input)
    }

    /// The session of a client that has come over this, and will go on over it: it is away until then.
    pub fn of_claimant(carrier: &Carrier, since_unix_ms: u64, bounds_input: bool) -> Self {
        let remote = carrier.extras.as_ref().and_then(|extras| extras.remote);
        Self::without_client(carrier.peer.clone(), remote, since_unix_ms, bounds_input)
    }

    fn without_client(
        peer: Peer,
        remote: Option<SocketAddr>,
        since_unix_ms: u64,
        bounds_input: bool,
    ) -> Self {
        let mut session = Self::new(Socket::default(), peer, Kind::Player, 0);
        session.phase = Phase::Away;
        session.figures = Figures::since(since_unix_ms);
        session.flags.set(Flag::Blocked);
        if bounds_input {
            session.extras().inbound = Some(Inbound::default());
        }
        if remote.is_some() {
            session.extras().remote = remote;
        }
        session
    }

    /// Takes the socket out, with all that belongs to it, as a connection of no session: what follows on it is its end. The session
    /// stays, away from now on.
    pub fn part(&mut self) -> Self {
        let mut gone = Self {
            stream: self.stream.take_out(),
            peer: self.peer.clone(),
            transport: self.transport,
            websocket: self.websocket.take(),
            extras: self.extras.as_mut().and_then(|extras| extras.part()),
            tls: self.tls.take(),
            phase: self.phase,
            since: self.since,
            kind: self.kind,
            ..Self::without_socket()
        };
        for flag in OF_THE_SOCKET {
            if self.flags.has(flag) {
                gone.flags.set(flag);
                self.flags.clear(flag);
            }
        }
        (self.phase, self.transport) = (Phase::Away, Transport::Plain);
        // Nothing takes what is queued.
        self.flags.set(Flag::Blocked);
        gone
    }

    /// A connection on which nothing has been said, as what it goes over alone.
    pub fn into_carrier(self) -> Carrier {
        debug_assert!(self.outbox.is_none() && self.websocket.is_none(), "nothing has been said on it");
        let Self { stream, peer, transport, tls, extras, flags, .. } = self;
        Carrier { stream, peer, transport, tls, extras, flags }
    }

    /// A connection that goes over `carrier`, at `attended_ms`.
    pub fn over(carrier: Carrier, kind: Kind, attended_ms: u64) -> Self {
        let Carrier { stream, peer, transport, tls, extras, flags } = carrier;
        let mut connection = Self { transport, tls, extras, ..Self::new(stream, peer, kind, attended_ms) };
        OF_THE_SOCKET.into_iter().for_each(|flag| set(&mut connection.flags, flag, flags.has(flag)));
        connection
    }

    /// The session, which is away, goes over `carrier` from now on, as its request asked for.
    pub fn go_on(&mut self, carrier: Carrier, speech: Speech, attended_ms: u64) {
        let Carrier { stream, peer, transport, tls, extras, flags } = carrier;
        (self.stream, self.peer, self.transport, self.tls) = (stream, peer, transport, tls);
        (self.phase, self.round_trip_us) = (Phase::Open, 0);
        self.flags.clear(Flag::SpeaksOwn);
        for flag in OF_THE_SOCKET {
            set(&mut self.flags, flag, flags.has(flag));
        }
        match (extras.map(|extras| *extras), &mut self.extras) {
            (None, None) => {}
            (None, Some(own)) => own.go_on(Extras::default()),
            (Some(extras), _) => self.extras().go_on(extras),
        }
        self.speak(speech);
        self.touch(attended_ms);
    }
}

/// How the messages of a session go over its connection.
#[derive(Debug)]
pub enum Speech {
    /// As frames; whether its client tells gannet's own messages from the game's.
    WebSocket(WebSocket, bool),
    /// As events.
    Events(Stream),
}

impl Connection {
    /// Its session speaks like that from now on.
    pub fn speak(&mut self, speech: Speech) {
        match speech {
            Speech::WebSocket(websocket, speaks_own) => {
                self.websocket = Some(websocket);
                set(&mut self.flags, Flag::SpeaksOwn, speaks_own);
            }
            Speech::Events(stream) => self.set_stream(stream),
        }
    }
}

fn set(flags: &mut Flags, flag: Flag, is_set: bool) {
    match is_set {
        true => _ = flags.set(flag),
        false => flags.clear(flag),
    }
}

impl Extras {
    /// What goes with the socket, where there is any of it. Where the client was is known of the session on.
    fn part(&mut self) -> Option<Box<Self>> {
        let (connection_from, remote) = (self.connection_from.take(), self.remote);
        // Nobody reads on: what a pause has held back is as lost as what the kernel has.
        self.held = Vec::new();
        if let Some(inbound) = &mut self.inbound {
            inbound.resume_ms = None;
        }
        let stream = self.stream.take();
        let has_any = connection_from.is_some() || remote.is_some() || stream.is_some();
        has_any.then(|| Box::new(Self { connection_from, remote, stream, ..Self::default() }))
    }

    /// What comes with another socket.
    fn go_on(&mut self, other: Self) {
        let Self { connection_from, remote, held, .. } = other;
        (self.connection_from, self.remote, self.held) = (connection_from, remote, held);
    }
}
