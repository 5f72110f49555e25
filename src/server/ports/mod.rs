//! The ports: what the configuration names is resolved, checked once more with the addresses that it turned out to be, and bound;
//! all of it, or nothing.

mod inherited;
mod passed;
mod tcp;
mod unix;

pub use inherited::Inherited;
pub use passed::{PassedFault, take_parked};

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
    /// The listeners, in the order of `addrs`, each with the label under which another process finds it.
    pub listeners: Vec<(String, Listener)>,
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

/// An entry of `listen`.
struct Entry {
    label: String,
    place: Place,
}

/// Binds both ports, the client port first. What another process has bound for an entry is taken from `inherited`; what is left
/// there no entry has.
///
/// # Errors
/// [`BindError`]; then nothing is bound any more.
pub fn bind(config: &Config, inherited: Option<&mut Inherited>) -> Result<[Port; 2], BindError> {
    let unsent = config.limits.socket_unsent_bytes;
    let mut passed = None;
    if let Some(inherited) = inherited {
        let [clients, backends] = places(config, None)?;
        return Ok([
            Port::inherit(clients, inherited, config.unix_mode, unsent)?,
            Port::inherit(backends, inherited, config.backend.unix_mode, unsent)?,
        ]);
    }
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
    for entry in places(config, None)?.iter().flatten() {
        if let Place::Unix(path) = &entry.place {
            unix::check(path).map_err(|error| refused(path, error))?;
        }
    }
    Ok(())
}

fn endpoints(config: &Config) -> impl Iterator<Item = &Endpoint> {
    config.listen.endpoints().iter().chain(config.backend.listen.endpoints())
}

/// The places of both ports, none of them open to the world by accident. All that was `passed` has its place.
fn places(config: &Config, mut passed: Option<Passed>) -> Result<[Vec<Entry>; 2], BindError> {
    let named: Vec<&str> = endpoints(config).filter_map(Endpoint::passed_name).collect();
    let mut resolved = |port: &str, listen: &Listen| {
        let entries = listen.endpoints().iter().map(|endpoint| {
            let place = Place::of(endpoint, &mut passed, &named)?;
            Ok(Entry { label: format!("{port} {endpoint}"), place })
        });
        entries.collect::<Result<Vec<_>, BindError>>()
    };
    let (clients, backends) =
        (resolved("clients", &config.listen)?, resolved("backends", &config.backend.listen)?);
    passed.map_or(Ok(()), Passed::finish).map_err(BindError::Passed)?;
    let listen = |entries: &[Entry]| entries.iter().flat_map(|entry| entry.place.endpoints()).collect();
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
    fn bind(entries: Vec<Entry>, mode: UnixMode, unsent_bytes: usize) -> Result<Self, BindError> {
        let mut port = Self { listeners: Vec::new(), addrs: Vec::new() };
        for entry in entries {
            port.bind_one(entry, mode, unsent_bytes)?;
        }
        Ok(port)
    }

    /// The same, where another process has bound some of them.
    fn inherit(
        entries: Vec<Entry>,
        inherited: &mut Inherited,
        mode: UnixMode,
        unsent_bytes: usize,
    ) -> Result<Self, BindError> {
        let mut port = Self { listeners: Vec::new(), addrs: Vec::new() };
        for entry in entries {
            let named = match &entry.place {
                Place::Passed { named, .. } => Some(named.clone()),
                Place::Tcp(_) | Place::Unix(_) => None,
            };
            let taken = inherited
                .claim(&entry.label, mode, unsent_bytes, named.is_some())
                .map_err(BindError::Resources)?;
            match (taken.is_empty(), named) {
                (true, Some(endpoint)) => {
                    let none = PassedFault::NoneFor { endpoint, names: Vec::new() };
                    return Err(BindError::Passed(none));
                }
                (true, None) => port.bind_one(entry, mode, unsent_bytes)?,
                (false, named) => {
                    for (listener, addr) in taken {
                        // Only a Unix socket that systemd has passed can be without a path.
                        let addr = addr.or_else(|| named.clone()).unwrap_or(Endpoint::Systemd(None));
                        port.add(&entry.label, listener, addr);
                    }
                }
            }
        }
        Ok(port)
    }

    fn bind_one(&mut self, entry: Entry, mode: UnixMode, unsent_bytes: usize) -> Result<(), BindError> {
        let Entry { label, place } = entry;
        match place {
            Place::Tcp(addresses) => {
                for (listener, address) in addresses.bind(unsent_bytes)? {
                    self.add(&label, Listener::Tcp(listener), address.into());
                }
            }
            Place::Unix(path) => {
                let listener = unix::listen(&path, mode).map_err(|error| refused(&path, error))?;
                self.add(&label, listener, Endpoint::Unix(path));
            }
            Place::Passed { named, sockets } => {
                for socket in sockets {
                    self.add(&label, socket.listener, socket.addr.unwrap_or_else(|| named.clone()));
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, label: &str, listener: Listener, addr: Endpoint) {
        self.listeners.push((label.to_owned(), listener));
        self.addrs.push(addr);
    }
}

fn refused(path: &Path, error: io::Error) -> BindError {
    BindError::Listen { address: Endpoint::Unix(path.to_owned()), error }
}
