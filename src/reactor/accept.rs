//! Accepting: one reactor accepts on all listeners of both ports and hands each socket to the reactor with the least to carry, so that
//! none is idle while another has twice its share, however few connections there are.

use super::{LISTENERS, Listener, Reactor};
use crate::connection::{Connection, Extras, Flag, Peer, log_client};
use crate::core::{Arrival, Envelope, Port};
use crate::metrics::{Label, RefusalReason};
use log::warn;
use mio::{Interest, Registry, Token};
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

/// How long accepting pauses when the process or the machine is out of descriptors or memory.
const PAUSE_MS: u64 = 100;

/// How long it pauses to have some of the strangers make room.
const ROOM_MS: u64 = 1;

/// How long a warning about that stands for all that follow.
const QUIET_MS: u64 = 10_000;

/// The listeners of both ports.
pub struct Acceptor {
    /// Those of the backend port first: where descriptors are few it must not be left out.
    listeners: Vec<Listening>,
    /// No further warning before this time: a pause that lasts is one event, not ten a second.
    quiet_until_ms: u64,
    /// The reactor that was last asked in its turn to make room.
    next_asked: usize,
}

/// A listener as it goes to another process: its label, and its descriptor.
pub type SharedListener = (String, OwnedFd);

/// A listener, and what keeps it from being read.
struct Listening {
    listener: Listener,
    /// Which entry of the configuration it is, so that another process finds it.
    label: String,
    port: Port,
    /// Set while it may hold connections that no event will report: the edge has been used up.
    resume_at_ms: Option<u64>,
}

impl Acceptor {
    /// Listeners that are bound and non-blocking.
    pub fn new(clients: Vec<(String, Listener)>, backends: Vec<(String, Listener)>) -> Self {
        let listening =
            |port| move |(label, listener)| Listening { listener, label, port, resume_at_ms: None };
        let (backends, clients) = (backends.into_iter(), clients.into_iter());
        let listeners = backends.map(listening(Port::Backend)).chain(clients.map(listening(Port::Client)));
        Self { listeners: listeners.collect(), quiet_until_ms: 0, next_asked: 0 }
    }

    /// When the first pause is over.
    pub fn resume_at_ms(&self) -> Option<u64> {
        self.listeners.iter().filter_map(|listening| listening.resume_at_ms).min()
    }

    /// The listeners for another process. They are those of this one too, until it ends.
    ///
    /// # Errors
    /// No descriptor is left.
    pub(super) fn share(&self) -> io::Result<Vec<SharedListener>> {
        let shared = self.listeners.iter().map(|one| Ok((one.label.clone(), one.listener.share()?)));
        shared.collect()
    }

    /// Another process listens from now on: what its listeners stand for stays when these are gone.
    fn leave(self) {
        self.listeners.into_iter().for_each(|listening| listening.listener.leave());
    }

    pub(super) fn register(&mut self, registry: &Registry) -> io::Result<()> {
        let mut listeners = self.listeners.iter_mut().zip(LISTENERS..);
        listeners.try_for_each(|(listening, token)| {
            registry.register(&mut listening.listener, Token(token), Interest::READABLE)
        })
    }

    pub(super) fn deregister(&mut self, registry: &Registry) {
        for listening in &mut self.listeners {
            // It is closed right after, which does the same.
            let _ = registry.deregister(&mut listening.listener);
        }
    }
}

impl Reactor {
    /// Another process accepts from now on.
    pub(super) fn leave_listeners(&mut self) {
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.leave();
        }
    }

    /// What has come to the listeners meanwhile is accepted in the next turn: no event will tell of it again.
    pub(super) fn accept_all_later(&mut self) {
        for listener in 0..self.acceptor.as_ref().map_or(0, |acceptor| acceptor.listeners.len()) {
            self.pause_for(listener, 0);
        }
    }

    /// Accepts what waits at the listener with this number, up to the bound of a turn.
    pub(super) fn accept(&mut self, listener: usize) {
        if self.accepts_nothing {
            return;
        }
        for _ in 0..self.core.rules.settings.config.limits.turn_accepts {
            let listening = self.acceptor.as_mut().and_then(|acceptor| acceptor.listeners.get_mut(listener));
            let Some(listening) = listening else { return };
            let port = listening.port;
            if !self.core.shared.capacity.has_room(port.stranger()) {
                self.pause_for(listener, ROOM_MS);
                return self.ask_for_room(port);
            }
            listening.resume_at_ms = None;
            match listening.listener.accept() {
                Ok((stream, peer)) => match self.extras_for(peer.ip(), port) {
                    Ok(extras) => self.hand_over(Arrival { stream, peer, port, extras }),
                    Err(reason) => {
                        self.core.metrics().refused.of(reason).add(1);
                        log_client!(debug, peer.remote(), "closed as it came: {}", reason.text());
                    }
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // The peer was gone before we came, or a signal came: the next one is not concerned.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::ConnectionAborted
                            | io::ErrorKind::ConnectionReset
                            | io::ErrorKind::Interrupted
                    ) => {}
                Err(error) => return self.pause(listener, port, &error),
            }
        }
        // More may wait, and the edge has been used up.
        self.pause_for(listener, 0);
    }

    /// Accepts again at the listeners whose pause is over.
    pub(super) fn resume_accepting(&mut self) {
        for listener in 0..self.acceptor.as_ref().map_or(0, |acceptor| acceptor.listeners.len()) {
            let listening = self.acceptor.as_ref().and_then(|acceptor| acceptor.listeners.get(listener));
            let resume_at_ms = listening.and_then(|listening| listening.resume_at_ms);
            if resume_at_ms.is_some_and(|at_ms| at_ms <= self.core.now.ms) {
                self.accept(listener);
            }
        }
    }

    /// There are as many strangers on `port` as there may be: some are told to give way, and the new ones wait in the kernel's
    /// queue until they have.
    fn ask_for_room(&mut self, port: Port) {
        let shared = &self.core.shared;
        let count = |reactor: &usize| port.gauge(shared.metrics.reactor(*reactor)).get();
        let fullest = (0..shared.reactors()).max_by_key(count);
        let Some(acceptor) = &mut self.acceptor else { return };
        // The fullest one may stand still: each other one is asked in its turn.
        let next = (acceptor.next_asked + 1) % shared.reactors();
        acceptor.next_asked = next;
        for reactor in fullest.into_iter().chain((fullest != Some(next)).then_some(next)) {
            match reactor == self.core.index {
                true => self.core.make_room(port),
                false => self.core.peers.post_always(reactor, Envelope::MakeRoom(port)),
            }
        }
    }

    fn pause(&mut self, listener: usize, port: Port, error: &io::Error) {
        self.core.metrics().accept_errors.add(1);
        // The process has opened more files than it had when the limit was looked at: heads that do not end go first.
        self.core.make_room(Port::Client);
        self.pause_for(listener, if port == Port::Backend { ROOM_MS } else { PAUSE_MS });
        let now_ms = self.core.now.ms;
        if let Some(acceptor) = self.acceptor.as_mut().filter(|acceptor| acceptor.quiet_until_ms <= now_ms) {
            acceptor.quiet_until_ms = now_ms + QUIET_MS;
            warn!(
                "accepting pauses: {error}; raise the limit of open files (ulimit -n) or lower limits.max_sessions. \
                 Open sessions go on"
            );
        }
    }

    fn pause_for(&mut self, listener: usize, ms: u64) {
        let now_ms = self.core.now.ms;
        let listening = self.acceptor.as_mut().and_then(|acceptor| acceptor.listeners.get_mut(listener));
        if let Some(listening) = listening {
            listening.resume_at_ms = Some(now_ms + ms);
        }
    }

    /// Whether a connection from `address`, over a Unix socket where that is `None`, may stay, and what it is held to.
    pub(super) fn extras_for(
        &self,
        address: Option<IpAddr>,
        port: Port,
    ) -> Result<Option<Box<Extras>>, RefusalReason> {
        let shared = &self.core.shared;
        let config = &self.core.rules.settings.config;
        match port {
            Port::Backend => {
                let allow = &config.backend.allow;
                // Who may connect to a Unix socket is for its file to say.
                let is_allowed = |address| allow.iter().any(|network| network.contains(address));
                if !allow.is_empty() && !address.is_none_or(is_allowed) {
                    return Err(RefusalReason::BackendNetwork);
                }
                match shared.admission.stranger_came(address) {
                    true => Ok(None),
                    false => Err(RefusalReason::Connections),
                }
            }
            // It is counted when the proxy has said where it is from.
            Port::Client if config.proxy.speaks_protocol(address) => {
                Ok(Some(Box::new(Extras { proxy_header: true, ..Extras::default() })))
            }
            Port::Client if config.proxy.is_forwarder(address) => Ok(None),
            Port::Client => match address.filter(|_| shared.admission.counts_connections()) {
                Some(address) => {
                    let network = shared.admission.connect(address).ok_or(RefusalReason::Connections)?;
                    Ok(Some(Box::new(Extras { connection_from: Some(network), ..Extras::default() })))
                }
                None => Ok(None),
            },
        }
    }

    pub(super) fn hand_over(&mut self, arrival: Arrival) {
        let (shared, port) = (&self.core.shared, arrival.port);
        let load = |reactor: &usize| {
            let load = &shared.loads[*reactor];
            match port {
                Port::Client => load.clients.load(Ordering::Relaxed),
                Port::Backend => load.backends.load(Ordering::Relaxed),
            }
        };
        let Some(least) = (0..shared.reactors()).min_by_key(load) else { return };
        let counter = match port {
            Port::Client => &shared.loads[least].clients,
            Port::Backend => &shared.loads[least].backends,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        // Only this reactor accepts: there was room a moment ago, and less has been taken since.
        shared.capacity.enter(port.stranger());
        if least == self.core.index {
            self.adopt(arrival);
        } else {
            self.core.peers.post_always(least, Envelope::Adopt(Box::new(arrival)));
        }
    }

    /// Takes a socket that the acceptor gave to this reactor.
    pub(super) fn adopt(&mut self, arrival: Arrival) {
        let Arrival { mut stream, peer, port, mut extras } = arrival;
        if self.core.draining {
            self.unload(port, &peer, extras.as_deref());
            return;
        }
        let attended_ms = self.core.attended_ms();
        let (transport, mut tls) = match self.core.rules.wrap(port, extras.as_deref()) {
            Ok(wrapped) => wrapped,
            Err(failed) => {
                self.unload(port, &peer, extras.as_deref());
                log_client!(warn, peer.remote(), "closed: TLS cannot begin: {}", failed.message);
                return;
            }
        };
        let (kind, door) = self.gateway.admit(port);
        let registry = self.poll.registry();
        let mut failure = None;
        let id = self.core.connections.insert_with(|id| {
            let token = Token(id.slot() as usize);
            failure = registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE).err();
            let mut connection = Connection::new(stream, peer.clone(), kind, attended_ms);
            if port == Port::Backend {
                connection.flags.set(Flag::Backend);
            }
            connection.set_door(door);
            (connection.extras, connection.tls, connection.transport) =
                (extras.take(), tls.take(), transport);
            connection
        });
        let Some(id) = id else {
            self.gateway.forget(door);
            self.unload(port, &peer, extras.as_deref());
            log_client!(warn, peer.remote(), "closed: reactor {} has no slot left", self.core.index);
            return;
        };
        // Counted from here to its release, whatever becomes of it in between.
        self.core.stranger_came(id, port);
        if port == Port::Backend {
            self.core.metrics().backend_connections.add(1);
        }
        if let Some(error) = failure {
            log_client!(warn, peer.remote(), "closed: it could not be polled: {error}");
            self.core.doom(id.slot());
            return;
        }
        self.core.arm(id.slot());
        // What came before the registration is reported by its first event.
    }

    /// A connection that was handed over to this reactor could not be taken.
    fn unload(&self, port: Port, peer: &Peer, extras: Option<&Extras>) {
        self.core.disconnect(extras);
        self.core.shared.capacity.leave(port.stranger());
        if port == Port::Backend {
            self.core.shared.admission.stranger_left(peer.ip());
        }
        let load = &self.core.shared.loads[self.core.index];
        match port {
            Port::Client => load.clients.fetch_sub(1, Ordering::Relaxed),
            Port::Backend => load.backends.fetch_sub(1, Ordering::Relaxed),
        };
    }
}
