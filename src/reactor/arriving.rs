//! A reactor goes on where one of another process was: its connections arrive, in batches.

use super::standing::{CarriedReactor, CarriedSlot};
use super::{Acceptor, Reactor};
use crate::connection::Socket;
use crate::core::{Arriving, Core, Envelope, Shared};
use crate::dispatch::Unpacker;
use crate::gateway::Gateway;
use crate::mailbox::{Producer, Receiver};
use crate::upgrade::{Batch, Counts, InvalidState};
use minicbor::Decoder;
use mio::{Interest, Poll, Token};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use zeroize::Zeroizing;

/// A reactor to which connections come still.
pub struct Arrivals {
    reactor: Reactor,
    arriving: Arriving,
    /// Connections that were announced, less those that have come.
    announced: u64,
    counts: Counts,
}

/// What a reactor's thread begins with, whether it goes on from another process or not.
pub struct Beginning {
    /// Its poll, whose waker is registered under [`super::WAKE_TOKEN`].
    pub poll: Poll,
    /// Its end of the mailboxes.
    pub receiver: Receiver<Envelope>,
    /// Its way to the others.
    pub producer: Producer<Envelope>,
    /// What all of them see.
    pub shared: Arc<Shared>,
    /// Which it is.
    pub index: usize,
    /// What it makes of requests.
    pub gateway: Gateway,
    /// Only of the one that accepts.
    pub acceptor: Option<Acceptor>,
}

impl Arrivals {
    /// The reactor whose first batch this is.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn begin(
        beginning: Beginning,
        first: Batch<OwnedFd>,
        unpacker: &Unpacker,
    ) -> Result<Self, InvalidState> {
        let Beginning { poll, receiver, producer, shared, index, gateway, acceptor } = beginning;
        let Batch { descriptors, state, .. } = first;
        // The secret that nodes share is in it.
        let state = Zeroizing::new(state);
        let CarriedReactor { core, connections } = decode(&mut Decoder::new(&state))?;
        let (mut core, mut arriving) = Core::going_on(shared, index, producer, core, unpacker)?;
        core.arrive_on_bus(arriving.take_bus(), descriptors, poll.registry(), unpacker)?;
        let reactor = Reactor::new(poll, receiver, core, gateway, acceptor);
        Ok(Self { reactor, arriving, announced: connections, counts: Counts::default() })
    }

    /// Takes the connections of a batch in. Their sockets are polled from now on and neither read nor written.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub fn take(&mut self, batch: Batch<OwnedFd>, unpacker: &Unpacker) -> Result<(), InvalidState> {
        let Batch { descriptors, state, .. } = batch;
        // The keys of TLS sessions are in it.
        let state = Zeroizing::new(state);
        let mut decoder = Decoder::new(&state);
        let mut sockets = descriptors.into_iter();
        while decoder.position() < state.len() {
            let slot: CarriedSlot = decode(&mut decoder)?;
            let socket = match slot.member.has_socket() {
                true => {
                    let socket = sockets.next().map(Socket::from);
                    socket.ok_or_else(|| InvalidState::new("a connection without a socket"))?
                }
                // Its client is away.
                false => Socket::default(),
            };
            self.take_one(socket, slot, unpacker)?;
        }
        match sockets.next() {
            None => Ok(()),
            Some(_) => Err(InvalidState::new("a socket without a connection")),
        }
    }

    fn take_one(
        &mut self,
        socket: Socket,
        slot: CarriedSlot,
        unpacker: &Unpacker,
    ) -> Result<(), InvalidState> {
        let CarriedSlot { member, door } = slot;
        let Reactor { poll, core, gateway, .. } = &mut self.reactor;
        let id = core.arrive(socket, member, unpacker, &mut self.arriving)?;
        gateway.restore_door(core, id, door, unpacker)?;
        let Some(connection) = core.connections.slot_mut(id.slot()) else { return Ok(()) };
        if !connection.stream.is_none() {
            let token = Token(id.slot() as usize);
            poll.registry()
                .register(&mut connection.stream, token, Interest::READABLE | Interest::WRITABLE)
                .map_err(|error| InvalidState::new(format!("a socket cannot be polled: {error}")))?;
        }
        self.counts.connections += 1;
        self.counts.sessions += u64::from(connection.is_session());
        Ok(())
    }

    /// Everything has come. Returns the reactor, which has not turned, and how much came.
    ///
    /// # Errors
    /// More was announced than came, or less.
    pub fn all(mut self, unpacker: &Unpacker) -> Result<(Reactor, Counts), InvalidState> {
        if self.counts.connections > self.announced {
            return Err(InvalidState::new("more connections than were announced"));
        }
        let (listeners, lines) = self.arriving.take_listeners();
        let Reactor { core, gateway, .. } = &mut self.reactor;
        core.restore_seats(self.arriving.take_seats(), unpacker)?;
        gateway.restore_listeners(core, &listeners, &lines)?;
        core.restore_shares(self.arriving.take_shares(), unpacker)?;
        core.all_arrived(self.arriving);
        Ok((self.reactor, self.counts))
    }
}

fn decode<'b, T: minicbor::Decode<'b, ()>>(decoder: &mut Decoder<'b>) -> Result<T, InvalidState> {
    decoder.decode().map_err(|error| InvalidState::new(format!("not to be read: {error}")))
}
