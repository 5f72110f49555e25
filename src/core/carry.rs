//! How a reactor's core is carried to another process: first what belongs to no connection, then one connection after the other.
//! Lists, sums and deadlines are not: each follows from the connections, and is made anew as they come.

use super::bus::CarriedBus;
use super::departed::{CarriedDeparture, Departed};
use super::memory::AroundMemory;
use super::shared::Shared;
use super::unheard::CarriedUnheard;
use super::users::CarriedLeaving;
use super::{
    CarriedLines, CarriedListener, CarriedSeat, CarriedShare, Core, Envelope, HalfReceived, Owed, Port,
};
use crate::admission::Role;
use crate::connection::{
    CarriedConnection, CarriedRecord, CarriedResume, Connection, Flag, Kind, LocalPushes, Phase, Restored,
    Restoring, Socket, Surroundings, Transport,
};
use crate::dispatch::{Packer, Profile, Unpacker};
use crate::hub::CarriedMemory;
use crate::mailbox::Producer;
use crate::metrics::CarriedMetrics;
use crate::protocol::{CloseCode, DeflateConfig, DeflateEngine};
use crate::session::{AppId, CarriedGenerations, GenerationalSlab, Name, SessionId};
use crate::timer::Clock;
use crate::upgrade::InvalidState;
use minicbor::{Decode, Encode};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What belongs to no connection of a [`Core`], on its way.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct CarriedCore {
    #[n(0)]
    generations: CarriedGenerations,
    /// See [`Core::absent_ms`].
    #[n(1)]
    absent_ms: u64,
    #[n(2)]
    metrics: CarriedMetrics,
    /// When it last turned, in milliseconds of the server's clock: from then on it cannot hear.
    #[n(3)]
    turned_ms: u64,
    /// The same on every reactor.
    #[n(4)]
    listeners: Vec<CarriedListener>,
    /// Players that wait for links.
    #[n(5)]
    lines: CarriedLines,
    /// What of links outlives their connections.
    #[n(6)]
    seats: Option<Vec<CarriedSeat>>,
    /// What the groups remember that this reactor owns.
    #[n(7)]
    memory: Option<CarriedMemory>,
    /// Users that this reactor owns and that will be offline.
    #[n(8)]
    leaving: Option<Vec<CarriedLeaving>>,
    /// Events that no link hears and that are held, of each app in their order.
    #[n(9)]
    unheard: Option<Vec<CarriedUnheard>>,
    /// Whose the sessions of this reactor are.
    #[n(10)]
    shares: Option<Vec<CarriedShare>>,
    /// Links of this reactor that are being told of all sessions, each with how many reactors are not through.
    #[n(11)]
    snapshots: Option<Vec<(u64, u32)>>,
    /// The way to other nodes.
    #[n(12)]
    bus: Option<CarriedBus>,
    /// Sessions that have ended and of which their clients may still have to hear.
    #[n(13)]
    departed: Option<Vec<CarriedDeparture>>,
    /// What is recorded of sessions, and was of some that have ended.
    #[n(14)]
    records: Option<Vec<CarriedRecord>>,
}

/// A connection of a [`Core`] on its way, with its names in the hub.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct CarriedMember {
    #[n(0)]
    connection: CarriedConnection,
    /// What it is called, where it is a session that is open.
    #[n(1)]
    names: Option<Box<CarriedNames>>,
    /// For how long its client has owed the rest of a message, in milliseconds of attended time.
    #[n(2)]
    owed_for_ms: Option<u64>,
    /// Of a session that may resume.
    #[n(3)]
    resume: Option<Box<CarriedResume>>,
}

impl CarriedMember {
    /// Whether it has a socket.
    pub fn has_socket(&self) -> bool {
        self.connection.has_socket()
    }

    /// The id of the connection.
    pub fn id(&self) -> SessionId {
        self.connection.id()
    }
}

#[derive(Debug, Encode, Decode)]
#[cbor(map)]
struct CarriedNames {
    #[n(0)]
    app: u16,
    #[n(1)]
    user: Option<Box<str>>,
    #[n(2)]
    groups: Vec<Box<str>>,
    #[n(3)]
    tags: Vec<Box<str>>,
    /// What its app keeps of its token: a JSON object.
    #[n(4)]
    claims: Option<Box<str>>,
    /// What it keeps of the query.
    #[n(5)]
    params: Option<Vec<(Box<str>, Box<str>)>>,
}

/// What the connections of a core have in common while they come.
#[derive(Debug, Default)]
pub struct Arriving {
    pushes: LocalPushes,
    /// Sessions that can only be closed, since the windows of their compression have stayed behind.
    lost_context: Vec<SessionId>,
    listeners: Vec<CarriedListener>,
    lines: CarriedLines,
    seats: Vec<CarriedSeat>,
    shares: Vec<CarriedShare>,
    bus: Option<CarriedBus>,
    unix_ms: u64,
}

impl Arriving {
    /// What links listen to, and who waits for them: for when every connection is there.
    pub fn take_listeners(&mut self) -> (Vec<CarriedListener>, CarriedLines) {
        (std::mem::take(&mut self.listeners), std::mem::take(&mut self.lines))
    }

    /// The way to other nodes: for when its sockets are there.
    pub fn take_bus(&mut self) -> Option<CarriedBus> {
        self.bus.take()
    }

    /// What of links outlives their connections: for before that.
    pub fn take_seats(&mut self) -> Vec<CarriedSeat> {
        std::mem::take(&mut self.seats)
    }

    /// Whose the sessions are: for behind that.
    pub fn take_shares(&mut self) -> Vec<CarriedShare> {
        std::mem::take(&mut self.shares)
    }
}

impl Core {
    /// What another process goes on with, beside the connections.
    pub fn carry(&self, packer: &Packer) -> CarriedCore {
        debug_assert!(
            self.recalls.is_empty(),
            "no envelope is under way, and so none that a session waits for"
        );
        CarriedCore {
            generations: self.connections.carry(),
            absent_ms: self.absent_ms,
            metrics: self.metrics().carry(),
            turned_ms: self.now.ms,
            listeners: self.listeners.carry(),
            lines: self.carry_lines(),
            seats: Some(self.carry_seats(packer)).filter(|seats| !seats.is_empty()),
            memory: (!self.memory.is_empty()).then(|| self.memory.carry(packer)),
            leaving: Some(self.carry_leaving()).filter(|leaving| !leaving.is_empty()),
            unheard: Some(self.carry_unheard()).filter(|unheard| !unheard.is_empty()),
            snapshots: Some(self.carry_snapshots()).filter(|snapshots| !snapshots.is_empty()),
            shares: Some(self.listeners.carry_shares(packer)).filter(|shares| !shares.is_empty()),
            bus: self.bus.as_ref().map(|bus| bus.carry(packer, self.now.ms)),
            departed: Some(self.departed.carry()).filter(|departed| !departed.is_empty()),
            records: Some(self.settlements.records.carry()).filter(|records| !records.is_empty()),
        }
    }

    /// The connection in `slot` as another process goes on with it; `None` where none is there, or it cannot be carried.
    pub fn carry_member(&self, slot: u32, packer: &Packer) -> Option<CarriedMember> {
        let id = self.connections.id_of(slot)?;
        let connection = self.connections.slot(slot)?.carry(id, self.attended_ms(), packer)?;
        let names = self.hub.app_of(slot).map(|app| {
            let texts = |name: &Name| name.as_str().into();
            Box::new(CarriedNames {
                app: app.0,
                user: self.hub.user_of(slot).map(texts),
                groups: self.hub.groups_of(slot).map(texts).collect(),
                tags: self.hub.tags_of(slot).map(texts).collect(),
                claims: self.profile_of(slot).and_then(|profile| profile.claims.clone()),
                params: self.profile_of(slot).map(|profile| profile.params.clone()),
            })
        });
        let resume = self.resume_of(slot).map(|resume| Box::new(resume.carry(packer)));
        Some(CarriedMember { connection, names, owed_for_ms: self.owed_for_ms(slot), resume })
    }

    /// A core that goes on from another process. Its connections come one by one, with [`Core::arrive`].
    ///
    /// # Errors
    /// What is wrong with what has come.
    pub fn going_on(
        shared: Arc<Shared>,
        index: usize,
        peers: Producer<Envelope>,
        carried: CarriedCore,
        unpacker: &Unpacker,
    ) -> Result<(Self, Arriving), InvalidState> {
        let CarriedCore { generations, absent_ms, metrics, turned_ms, listeners, lines, seats, .. } = carried;
        let CarriedCore { memory, leaving, unheard, shares, snapshots, bus, departed, records, .. } = carried;
        let connections: GenerationalSlab<Connection> = generations.restore(shared.node, index as u8)?;
        let mut core = Self::new(shared, index, peers, 0);
        if turned_ms > core.now.ms || absent_ms > turned_ms {
            return Err(InvalidState::new("a reactor that was absent for longer than there was time"));
        }
        (core.connections, core.absent_ms) = (connections, absent_ms + core.now.ms - turned_ms);
        core.metrics().go_on_from(&metrics);
        memory.map_or(Ok(()), |memory| core.arrive_in_memory(memory, unpacker))?;
        core.restore_leaving(leaving.unwrap_or_default())?;
        core.restore_unheard(unheard.unwrap_or_default())?;
        core.departed = Departed::restore(departed.unwrap_or_default())?;
        core.restore_records(records.unwrap_or_default())?;
        let unix_ms = Clock::wall_unix_ms();
        let (seats, shares) = (seats.unwrap_or_default(), shares.unwrap_or_default());
        core.restore_snapshots(snapshots.unwrap_or_default());
        Ok((core, Arriving { listeners, lines, seats, shares, bus, unix_ms, ..Arriving::default() }))
    }

    /// A connection arrives on its socket: it is in its slot, in the hub and in every count. Its door and the poll are for the
    /// caller.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn arrive(
        &mut self,
        stream: Socket,
        carried: CarriedMember,
        unpacker: &Unpacker,
        arriving: &mut Arriving,
    ) -> Result<SessionId, InvalidState> {
        let CarriedMember { connection, names, owed_for_ms, resume } = carried;
        let restored = self.restore(stream, connection, unpacker, arriving)?;
        let Restored { id, mut connection, expires_unix_ms, counts_address, has_lost_context } = restored;
        self.wrap_anew(&mut connection)?;
        if connection.is_session() != names.is_some() {
            return Err(InvalidState::new("a session without an app, or an app without a session"));
        }
        let is_away = resume.as_ref().is_some_and(|resume| resume.is_away());
        if is_away != (connection.phase == Phase::Away) || resume.is_some() && names.is_none() {
            return Err(InvalidState::new(
                "a session that may resume and is none, or that is away and may not",
            ));
        }
        self.connections.put(id, connection)?;
        if let Some(names) = names {
            self.arrive_in_hub(id, *names)?;
        }
        if let Some(resume) = resume {
            let mut restoring = Restoring::new(unpacker, &mut arriving.pushes);
            let resume = resume.restore(&mut restoring, &mut self.settlements)?;
            self.put_resume(id.slot(), resume);
        }
        if !is_away {
            self.arrive_in_counts(id, counts_address);
        }
        if let Some(expires_unix_ms) = expires_unix_ms {
            self.arrive_with_end(id.slot(), expires_unix_ms, arriving.unix_ms);
        }
        if has_lost_context {
            arriving.lost_context.push(id);
        }
        self.arrive_in_lists(id.slot(), owed_for_ms);
        Ok(id)
    }

    fn arrive_in_memory(&mut self, memory: CarriedMemory, unpacker: &Unpacker) -> Result<(), InvalidState> {
        let around = AroundMemory { rules: &self.rules, shared: &self.shared };
        let (shared, index) = (&self.shared, self.index);
        self.memory.go_on_from(memory, unpacker, &around, |scope| shared.owner_of(scope) == index)
    }

    fn restore(
        &mut self,
        stream: Socket,
        connection: CarriedConnection,
        unpacker: &Unpacker,
        arriving: &mut Arriving,
    ) -> Result<Restored, InvalidState> {
        let settings = &self.rules.settings;
        let own = &self.deflate;
        // Sessions that have agreed on it go on with it, also where it is not offered any more.
        let engine = || own.clone().unwrap_or_else(|| Arc::new(DeflateEngine::new(DeflateConfig::default())));
        let around = Surroundings {
            attended_ms: self.now.ms - self.absent_ms,
            player_limits: &settings.player_limits,
            link_limits: &settings.link_limits,
            engine: &engine,
        };
        let mut restoring = Restoring::new(unpacker, &mut arriving.pushes);
        connection.restore(stream, &around, &mut restoring, &mut self.settlements)
    }

    /// A connection that has not begun its handshake begins it here.
    fn wrap_anew(&self, connection: &mut Connection) -> Result<(), InvalidState> {
        if !connection.is_wrapping() {
            return Ok(());
        }
        let port = if connection.flags.has(Flag::Backend) { Port::Backend } else { Port::Client };
        let wrapped = self.rules.wrap(port, connection.extras.as_deref());
        let (transport, session) =
            wrapped.map_err(|failed| InvalidState::new(failed.message.into_string()))?;
        connection.tls = session;
        if connection.transport == Transport::Handshake {
            // The configuration may speak TLS no longer.
            connection.transport = self.rules.transport_of(port);
        } else {
            connection.transport = transport;
        }
        Ok(())
    }

    fn arrive_in_hub(&mut self, id: SessionId, names: CarriedNames) -> Result<(), InvalidState> {
        let CarriedNames { app, user, groups, tags, claims, params } = names;
        let name = |text: Box<str>| Name::new(&text).map_err(|error| InvalidState::new(error.to_string()));
        let (app, slot) = (AppId(app), id.slot());
        if usize::from(app.0) >= self.rules.apps.names().count() {
            return Err(InvalidState::new("a session of an app that did not come"));
        }
        let user = user.map(name).transpose()?;
        self.hub.insert(id, app);
        self.hub.bind(slot, user.as_ref());
        for group in groups {
            self.hub.join(slot, &name(group)?);
        }
        for tag in tags {
            self.hub.tag(slot, &name(tag)?);
        }
        let profile = Profile { claims, params: params.unwrap_or_default() };
        self.put_profile(slot, Some(profile).filter(|profile| !profile.is_empty()).map(Arc::new));
        let network = self.shared.admission.take_over(app, user.as_ref(), id, self.address_of(slot));
        let Some(connection) = self.connections.slot_mut(slot) else { return Ok(()) };
        if let Some(network) = network {
            connection.extras().session_from = Some(network);
        }
        if let (Some(user), since_unix_ms @ 1..) = (&user, connection.figures.since_unix_ms()) {
            self.shared.admission.since(app, user, id, since_unix_ms.saturating_mul(1_000));
        }
        self.metrics().apps.sessions.of(app.0).add(1);
        Ok(())
    }

    /// Counts a connection as what it is.
    fn arrive_in_counts(&mut self, id: SessionId, counts_address: bool) {
        let slot = id.slot();
        let address = self.address_of(slot);
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        let port = if connection.flags.has(Flag::Backend) { Port::Backend } else { Port::Client };
        let (shared, load) = (&self.shared, &self.shared.loads[self.index]);
        let (load, known) = match port {
            Port::Client => (&load.clients, Role::Session),
            Port::Backend => (&load.backends, Role::Backend),
        };
        load.fetch_add(1, Ordering::Relaxed);
        if counts_address {
            let network = address.and_then(|address| shared.admission.take_over_connection(address));
            connection.extras().connection_from = network;
        }
        if let Some(app) = connection.extras.as_ref().and_then(|extras| extras.echo_of) {
            let network = shared.admission.take_over(app, None, id, address);
            connection.extras().session_from = network;
        }
        let (is_stranger, peer) = (connection.flags.has(Flag::Stranger), connection.peer.ip());
        let is_paused = !connection.pauses.is_empty();
        self.metrics().paused.add(u64::from(is_paused));
        if is_stranger {
            self.shared.capacity.take_over(port.stranger());
            if port == Port::Backend {
                self.shared.admission.take_over_stranger(peer);
            }
            self.stranger_came(id, port);
        } else {
            self.shared.capacity.take_over(known);
        }
    }

    /// Lists a connection where there is something to do for it.
    fn arrive_in_lists(&mut self, slot: u32, owed_for_ms: Option<u64>) {
        let now = self.now;
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        let tick = connection.outbox.as_ref().and_then(|outbox| outbox.tick());
        let held = connection.extras.as_ref().map_or(0, |extras| extras.held.len());
        let partial = connection.websocket.as_ref().map_or(0, |websocket| websocket.partial_bytes());
        let has_door = !matches!(connection.kind, Kind::Player | Kind::Echo | Kind::Discard);
        let is_opened = connection.tls.as_ref().is_some_and(|session| session.has_unread());
        let (has_more, bytes, owes) = (held > 0 || has_door || is_opened, held + partial, partial > 0);
        if connection.phase != Phase::Open || !connection.is_drained() {
            self.mark_dirty(slot);
        }
        if let Some(tick) = tick {
            self.ticks.await_tick(tick, slot, now);
        }
        if has_more {
            // What is held, or in the door, no event will report.
            self.read_later(slot);
        }
        // The door of one that has a door says what is in there too.
        let half = HalfReceived { bytes, owed: owes.then_some(Owed::Rest), ..HalfReceived::default() };
        self.restore_incoming(slot, half, owed_for_ms);
        self.arm(slot);
    }

    /// All connections have arrived. What cannot go on is closed: it is told so in the first turn.
    pub fn all_arrived(&mut self, arriving: Arriving) {
        let Arriving {
            pushes: _,
            lost_context,
            listeners: _,
            lines: _,
            seats: _,
            shares: _,
            bus: _,
            unix_ms: _,
        } = arriving;
        self.connections.filled();
        self.records_have_arrived();
        for id in lost_context {
            self.close(id.slot(), CloseCode::SERVICE_RESTART, "the context of the compression was lost");
            // What still comes may refer to it, and cannot be read.
            self.drop_partial(id.slot());
        }
    }
}
