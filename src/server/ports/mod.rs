//! The ports: what the configuration names is resolved, checked once more with the addresses that it turned out to be, and bound;
//! all of it, or nothing.

mod passed;
mod tcp;
mod unix;

pub use passed::PassedFault;

use super::BindError;
use crate::config::{Config, Endpoint, Listen, UnixMode};
use crate::reactor::Listener;
use passed::{Passed, PassedSocket};
use std::io;
use std::path::{Path, PathBuf};
use tcp::Addresses;

/// Connections that may wait to be accepted; the kernel lowers it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// A bound port, by its listeners.
pub struct Port {
    /// The listeners, in the order of `addrs`.
    pub listeners: Vec<Listener>,
    /// Where they listen.
    pub addrs: Vec<Endpoint>,
}

/// What one entry of `listen` stands for.
enum Place {
    Tcp(Addresses),
    Unix(PathBuf),
    /// Sockets that systemd has passed; none while that is not to be known.
    Passed {
        named: Endpoint,
        sockets: Vec<PassedSocket>,
    },
}

/// Binds both ports, the client port first.
///
/// # Errors
/// [`BindError`]; then nothing is bound any more.
pub fn bind(config: &Config) -> Result<[Port; 2], BindError> {
    let unsent = config.limits.socket_unsent_bytes;
    let mut passed = None;
    if endpoints(config).any(|endpoint| matches!(endpoint, Endpoint::Systemd(_))) {
        passed = Some(Passed::take(unsent).map_err(BindError::Passed)?);
    }
    let [clients, backends] = places(config, passed)?;
    Ok([
        Port::bind(clients, config.unix_mode, unsent)?,
        Port::bind(backends, config.backend.unix_mode, unsent)?,
    ])
}

/// Whether the ports could be bound, as far as that can be said without binding them, and without the sockets that systemd
/// passes to a server alone.
///
/// # Errors
/// As [`bind`].
pub fn check(config: &Config) -> Result<(), BindError> {
    for place in places(config, None)?.iter().flatten() {
        if let Place::Unix(path) = place {
            unix::check(path).map_err(|error| refused(path, error))?;
        }
    }
    Ok(())
}

fn endpoints(config: &Config) -> impl Iterator<Item = &Endpoint> {
    config.listen.endpoints().iter().chain(config.backend.listen.endpoints())
}

/// The places of both ports, none of them open to the world by accident. All that was `passed` has its place.
fn places(config: &Config, mut passed: Option<Passed>) -> Result<[Vec<Place>; 2], BindError> {
    let named: Vec<&str> = endpoints(config).filter_map(Endpoint::passed_name).collect();
    let mut resolved = |listen: &Listen| {
        let places = listen.endpoints().iter().map(|endpoint| Place::of(endpoint, &mut passed, &named));
        places.collect::<Result<Vec<_>, _>>()
    };
    let (clients, backends) = (resolved(&config.listen)?, resolved(&config.backend.listen)?);
    passed.map_or(Ok(()), Passed::finish).map_err(BindError::Passed)?;
    let listen = |places: &[Place]| places.iter().flat_map(Place::endpoints).collect();
    config.check_addresses(&listen(&clients), &listen(&backends)).map_err(BindError::Config)?;
    Ok([clients, backends])
}

impl Place {
    fn of(endpoint: &Endpoint, passed: &mut Option<Passed>, named: &[&str]) -> Result<Self, BindError> {
        Ok(match endpoint {
            Endpoint::Ip(address) => Self::Tcp(Addresses::one(*address)),
            Endpoint::Any { port } => Self::Tcp(Addresses::any(*port)),
            Endpoint::Host { name, port } => Self::Tcp(Addresses::resolve(name, *port)?),
            Endpoint::Unix(path) => Self::Unix(path.clone()),
            Endpoint::Systemd(name) => {
                let sockets = passed.as_mut().map(|passed| passed.claim(name.as_deref(), named)).transpose();
                let sockets = sockets.map_err(BindError::Passed)?.unwrap_or_default();
                Self::Passed { named: endpoint.clone(), sockets }
            }
        })
    }

    fn endpoints(&self) -> Vec<Endpoint> {
        match self {
            Self::Tcp(addresses) => addresses.endpoints().collect(),
            Self::Unix(path) => vec![Endpoint::Unix(path.clone())],
            Self::Passed { named, sockets } if sockets.is_empty() => vec![named.clone()],
            Self::Passed { named, sockets } => {
                sockets.iter().map(|socket| socket.addr.as_ref().unwrap_or(named).clone()).collect()
            }
        }
    }
}

impl Port {
    fn bind(places: Vec<Place>, mode: UnixMode, unsent_bytes: usize) -> Result<Self, BindError> {
        let mut port = Self { listeners: Vec::new(), addrs: Vec::new() };
        for place in places {
            match place {
                Place::Tcp(addresses) => {
                    for (listener, address) in addresses.bind(unsent_bytes)? {
                        port.add(Listener::Tcp(listener), address.into());
                    }
                }
                Place::Unix(path) => {
                    let listener = unix::listen(&path, mode).map_err(|error| refused(&path, error))?;
                    port.add(listener, Endpoint::Unix(path));
                }
                Place::Passed { named, sockets } => {
                    for socket in sockets {
                        port.add(socket.listener, socket.addr.unwrap_or_else(|| named.clone()));
                    }
                }
            }
        }
        Ok(port)
    }

    fn add(&mut self, listener: Listener, addr: Endpoint) {
        self.listeners.push(listener);
        self.addrs.push(addr);
    }
}

fn refused(path: &Path, error: io::Error) -> BindError {
    BindError::Listen { address: Endpoint::Unix(path.to_owned()), error }
}
