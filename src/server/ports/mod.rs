//! The ports: what the configuration names is resolved, checked once more with the addresses that it turned out to be, and bound;
//! all of it, or nothing.

mod tcp;
mod unix;

use super::BindError;
use crate::config::{Config, Endpoint, UnixMode};
use crate::reactor::Listener;
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
}

/// Binds both ports, the client port first.
///
/// # Errors
/// [`BindError`]; then nothing is bound any more.
pub fn bind(config: &Config) -> Result<[Port; 2], BindError> {
    let [clients, backends] = places(config)?;
    let unsent = config.limits.socket_unsent_bytes;
    Ok([
        Port::bind(&clients, config.unix_mode, unsent)?,
        Port::bind(&backends, config.backend.unix_mode, unsent)?,
    ])
}

/// Whether the ports could be bound, as far as that can be said without binding them.
///
/// # Errors
/// As [`bind`].
pub fn check(config: &Config) -> Result<(), BindError> {
    for place in places(config)?.iter().flatten() {
        if let Place::Unix(path) = place {
            unix::check(path).map_err(|error| refused(path, error))?;
        }
    }
    Ok(())
}

/// The places of both ports, none of them open to the world by accident.
fn places(config: &Config) -> Result<[Vec<Place>; 2], BindError> {
    let resolved = |endpoints: &[Endpoint]| endpoints.iter().map(Place::of).collect::<Result<Vec<_>, _>>();
    let [clients, backends] =
        [resolved(config.listen.endpoints())?, resolved(config.backend.listen.endpoints())?];
    let listen = |places: &[Place]| places.iter().flat_map(Place::endpoints).collect();
    config.check_addresses(&listen(&clients), &listen(&backends)).map_err(BindError::Config)?;
    Ok([clients, backends])
}

impl Place {
    fn of(endpoint: &Endpoint) -> Result<Self, BindError> {
        Ok(match endpoint {
            Endpoint::Ip(address) => Self::Tcp(Addresses::one(*address)),
            Endpoint::Any { port } => Self::Tcp(Addresses::any(*port)),
            Endpoint::Host { name, port } => Self::Tcp(Addresses::resolve(name, *port)?),
            Endpoint::Unix(path) => Self::Unix(path.clone()),
        })
    }

    fn endpoints(&self) -> Vec<Endpoint> {
        match self {
            Self::Tcp(addresses) => addresses.endpoints().collect(),
            Self::Unix(path) => vec![Endpoint::Unix(path.clone())],
        }
    }
}

impl Port {
    fn bind(places: &[Place], mode: UnixMode, unsent_bytes: usize) -> Result<Self, BindError> {
        let mut port = Self { listeners: Vec::new(), addrs: Vec::new() };
        for place in places {
            match place {
                Place::Tcp(addresses) => {
                    for (listener, address) in addresses.bind(unsent_bytes)? {
                        port.add(Listener::Tcp(listener), address.into());
                    }
                }
                Place::Unix(path) => {
                    let listener = unix::listen(path, mode).map_err(|error| refused(path, error))?;
                    port.add(listener, Endpoint::Unix(path.clone()));
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
