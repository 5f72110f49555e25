//! A reactor that is turned by hand, for tests and fuzz targets: its connections are socket pairs, and between two turns its
//! doors can be carried as they are to a new process.

use super::{Reactor, StopReport};
use crate::app::Relay;
#[cfg(test)]
use crate::connection::Phase;
use crate::connection::{Connection, Flag, Kind, Peer};
use crate::core::{Arrival, CarriedLines, CarriedListener, CarriedShare, Parcel, Port, Shared};
use crate::dispatch::{CarriedShared, Packer, Push, Unpacker};
use crate::gateway::{Asks, CarriedDoor, Gateway, Observer};
use crate::http::Response;
#[cfg(test)]
use crate::protocol::CloseCode;
use crate::session::SessionId;
use crate::upgrade::{Counts, Fault, InvalidState};
use minicbor::{Decode, Encode};
use rustix::net::sockopt::set_socket_send_buffer_size;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

/// See the module.
pub struct Alone {
    reactor: Reactor,
    observer: Observer,
    /// What is asked for elsewhere: nobody does it, but the doors can ask.
    _asks: Asks,
}

/// What is carried, as bytes of another process.
#[derive(Debug, Encode, Decode)]
struct Carried {
    #[n(0)]
    shared: Vec<CarriedShared>,
    #[n(1)]
    doors: Vec<CarriedConnection>,
    #[n(2)]
    listeners: Vec<CarriedListener>,
    #[n(3)]
    lines: CarriedLines,
    #[n(4)]
    shares: Vec<CarriedShare>,
}

#[derive(Debug, Encode, Decode)]
struct CarriedConnection {
    #[n(0)]
    id: u64,
    #[n(1)]
    door: Option<CarriedDoor>,
}

impl Alone {
    /// Turns a reactor, whose doors ask `observer` for what is done elsewhere.
    pub fn new(reactor: Reactor, observer: Observer, asks: Asks) -> Self {
        Self { reactor, observer, _asks: asks }
    }

    /// A connection to a port, and its other end, which does not block.
    pub fn connect(&mut self, port: Port) -> (SessionId, UnixStream) {
        let before: Vec<u32> = self.reactor.core.connections.slots().collect();
        let (own, other) = mio::net::UnixStream::pair().expect("two descriptors are left");
        // As little as the kernel has: what is not read soon waits in the outbox.
        set_socket_send_buffer_size(&own, 1).expect("it is a socket");
        let extras = self.reactor.extras_for(None, port).expect("nothing is counted by address");
        self.reactor.hand_over(Arrival { stream: own.into(), peer: Peer::unix(), port, extras });
        let core = &self.reactor.core;
        let slot = core.connections.slots().find(|slot| !before.contains(slot));
        let id = slot.and_then(|slot| core.connections.id_of(slot)).expect("a slot is left");
        (id, UnixStream::from(OwnedFd::from(other)))
    }

    /// So many turns, which wait for nothing.
    pub fn turn(&mut self, count: usize) {
        for _ in 0..count {
            (self.reactor.may_sleep, self.reactor.expected_ms) = (Some(Duration::ZERO), u64::MAX);
            self.reactor.turn(&mut StopReport::default()).expect("the poll is asked for nothing unusual");
            // A turn that took long has added its time to the absences, and the moment at which it began lies before them. What
            // is asked of the reactor between two turns is asked now.
            self.reactor.core.now = self.reactor.core.shared.clock.now();
        }
    }

    /// Turns until there is nothing to do.
    pub fn run(&mut self) {
        for _ in 0..100_000 {
            self.turn(1);
            if self.reactor.events.is_empty()
                && !self.reactor.core.has_work()
                && self.reactor.receiver.is_empty()
            {
                return;
            }
        }
        panic!("there is always more to do");
    }

    /// Whether this connection is there, and is of this kind.
    pub fn is(&self, id: SessionId, kind: Kind) -> bool {
        self.reactor.core.connections.get(id).is_some_and(|connection| connection.kind == kind)
    }

    /// Connections on the backend port, links among them, and players not read for now.
    pub fn gauges(&self) -> [u64; 3] {
        let metrics = self.reactor.core.metrics();
        [metrics.backend_connections.get(), metrics.links.get(), metrics.paused.get()]
    }

    /// What was asked for elsewhere is there.
    pub fn answer(&mut self, id: SessionId, sequence: u64, response: Response) {
        self.reactor.gateway.page_done(&mut self.reactor.core, id, sequence, response);
    }

    /// The connection of a session is lost in a turn that began so long ago: how long the session waits from now on at the least,
    /// in milliseconds; `None` where it does not.
    #[cfg(test)]
    pub fn lose(&mut self, id: SessionId, began_ago: Duration) -> Option<u64> {
        let core = &mut self.reactor.core;
        let before_ms = core.shared.clock.now().ms;
        core.now.ms = before_ms.saturating_sub(began_ago.as_millis() as u64);
        core.part(id.slot(), CloseCode::ABNORMAL.0, "");
        core.linger_due_ms(id.slot()).map(|until_ms| until_ms - before_ms)
    }

    /// A stranger comes in a turn that began so long ago, and room is made in one that begins as it comes: whether it stays.
    #[cfg(test)]
    pub fn spares_who_comes(&mut self, port: Port, began_ago: Duration) -> bool {
        let began_ago_ms = began_ago.as_millis() as u64;
        let clock_ms = || self.reactor.core.shared.clock.now().ms;
        // The server may not have run for so long yet.
        let before_ms = std::iter::repeat_with(clock_ms)
            .find(|now_ms| *now_ms >= began_ago_ms)
            .expect("the clock goes on");
        self.reactor.core.now.ms = before_ms - began_ago_ms;
        let (id, _client) = self.connect(port);
        let core = &mut self.reactor.core;
        core.now.ms = before_ms;
        core.make_room(port);
        core.connections.get(id).is_some_and(|connection| connection.phase == Phase::Open)
    }

    /// Ends a connection.
    pub fn doom(&mut self, id: SessionId) {
        if self.reactor.core.connections.get(id).is_some() {
            self.reactor.core.doom(id.slot());
        }
    }

    /// Lets the world stand still, and goes on with doors, listeners and gates that have been bytes, as another process would;
    /// the connections are there. Answers with the doors that were carried.
    ///
    /// # Errors
    /// What is refused.
    pub fn carry(&mut self) -> Result<Vec<CarriedDoor>, InvalidState> {
        self.stand_still();
        let (bytes, gauges) = (self.pack(), self.gauges());
        self.forget();
        self.restore(&bytes)?;
        assert_eq!(self.gauges(), gauges);
        assert!(self.pack() == bytes, "what has been restored is carried as before");
        let carried: Carried = minicbor::decode(&bytes).expect("it was decoded before");
        Ok(carried.doors.into_iter().filter_map(|connection| connection.door).collect())
    }

    /// Lets the world stand still, and packs all of the reactor as for another process.
    ///
    /// # Errors
    /// The stream's.
    pub fn pack_into(&mut self, parcel: &Parcel) -> Result<Counts, Fault> {
        self.stand_still();
        self.reactor.pack(parcel)
    }

    /// What reactors share.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.reactor.core.shared
    }

    /// The door of `id` as it is carried.
    pub fn carry_door(&mut self, id: SessionId) -> Option<CarriedDoor> {
        let Reactor { core, gateway, .. } = &mut self.reactor;
        gateway.carry_door(core, id.slot(), &Packer::default())
    }

    /// The pushes that the door of `id` waits for.
    pub fn pushes(&mut self, id: SessionId) -> Vec<Arc<Push>> {
        let (packer, mut unpacker) = (Packer::default(), Unpacker::default());
        let Reactor { core, gateway, .. } = &mut self.reactor;
        gateway.carry_door(core, id.slot(), &packer);
        packer.take_new().into_iter().for_each(|shared| unpacker.take(shared).expect("it was carried"));
        (0..).map_while(|number| unpacker.push(number).ok().cloned()).collect()
    }

    /// Gives the connection `id` another door; `pushes` have come along.
    ///
    /// # Errors
    /// It is refused.
    pub fn replace_door(
        &mut self,
        id: SessionId,
        door: Option<CarriedDoor>,
        pushes: Vec<Arc<Push>>,
    ) -> Result<(), InvalidState> {
        self.stand_still();
        let packer = Packer::default();
        pushes.iter().for_each(|push| _ = packer.push(push));
        let mut unpacker = Unpacker::default();
        packer.take_new().into_iter().try_for_each(|shared| unpacker.take(shared))?;
        let Reactor { core, gateway, .. } = &mut self.reactor;
        if let Some(place) = core.connection(id.slot()).and_then(Connection::leave_door) {
            gateway.forget(place);
        }
        // It is counted as one that comes anew.
        let kind = core.connections.get(id).map(|connection| connection.kind);
        let (backend, link) = (matches!(kind, Some(Kind::Backend | Kind::Link)), kind == Some(Kind::Link));
        core.metrics().backend_connections.sub(u64::from(backend));
        core.metrics().links.sub(u64::from(link));
        let restored = gateway.restore_door(core, id, door, &unpacker);
        if restored.is_err() {
            core.metrics().backend_connections.add(u64::from(backend));
            core.metrics().links.add(u64::from(link));
        }
        restored
    }

    /// No envelope is on its way, and nothing is left over by turns.
    fn stand_still(&mut self) {
        while self.reactor.core.is_behind_with_work() || !self.reactor.receiver.is_empty() {
            self.reactor.core.budget.refill();
            self.reactor.core.go_on_with_work();
            self.reactor.drain();
            self.reactor.gateway.go_on_with_links(&mut self.reactor.core);
            self.reactor.tell_ended();
            self.reactor.core.settle();
        }
    }

    fn pack(&mut self) -> Vec<u8> {
        let Reactor { core, gateway, .. } = &mut self.reactor;
        let packer = Packer::default();
        let slots: Vec<u32> = core.connections.slots().collect();
        let doors = slots.into_iter().filter_map(|slot| {
            let id = core.connections.id_of(slot)?.as_u64();
            Some(CarriedConnection { id, door: gateway.carry_door(core, slot, &packer) })
        });
        let doors = doors.collect();
        let (listeners, lines) = (core.listeners.carry(), core.carry_lines());
        let shares = core.listeners.carry_shares(&packer);
        let carried = Carried { shared: packer.take_new(), doors, listeners, lines, shares };
        minicbor::to_vec(carried).expect("nothing fails to be written to memory")
    }

    /// What a new process does not have.
    fn forget(&mut self) {
        let Reactor { core, gateway, .. } = &mut self.reactor;
        core.forget_listeners();
        let slots: Vec<u32> = core.connections.slots().collect();
        for slot in slots {
            let Some(connection) = core.connection(slot) else { continue };
            connection.leave_door();
            let kind = connection.kind;
            if matches!(kind, Kind::Backend | Kind::Link) {
                connection.flags.clear(Flag::Busy);
                connection.flags.clear(Flag::Unread);
                if let Some(extras) = &mut connection.extras {
                    extras.door_ms = None;
                }
                core.unread.retain(|unread| *unread != slot);
                core.metrics().backend_connections.sub(1);
            }
            if kind == Kind::Link {
                core.metrics().links.sub(1);
            } else if kind.is_http() {
                core.note_incoming(slot, Default::default());
            }
        }
        *gateway = Gateway::new(Box::new(Relay), self.observer.clone());
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), InvalidState> {
        let invalid = |error: minicbor::decode::Error| InvalidState::new(error.to_string());
        let Carried { shared, doors, listeners, lines, shares } = minicbor::decode(bytes).map_err(invalid)?;
        let mut unpacker = Unpacker::default();
        shared.into_iter().try_for_each(|shared| unpacker.take(shared))?;
        let Reactor { core, gateway, .. } = &mut self.reactor;
        for CarriedConnection { id, door } in doors {
            gateway.restore_door(core, SessionId::from_u64(id), door, &unpacker)?;
        }
        gateway.restore_listeners(core, &listeners, &lines)?;
        core.restore_shares(shares, &unpacker)
    }
}
