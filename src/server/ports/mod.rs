//! The ports: what the configuration names is resolved, checked once more with the addresses that it turned out to be, and bound;
//! all of it, or nothing.

mod place;

use super::BindError;
use crate::config::{Config, Endpoint};
use mio::net::TcpListener;
use place::{Place, resolve};

/// A bound port, by its listeners.
pub struct Port {
    /// The listeners, in the order of `addrs`.
    pub listeners: Vec<TcpListener>,
    /// Where they listen.
    pub addrs: Vec<Endpoint>,
}

/// Binds both ports, the client port first.
///
/// # Errors
/// [`BindError`]; then nothing is bound any more.
pub fn bind(config: &Config) -> Result<[Port; 2], BindError> {
    let [clients, backends] = places(config)?;
    let unsent = config.limits.socket_unsent_bytes;
    Ok([bind_port(&clients, unsent)?, bind_port(&backends, unsent)?])
}

/// Whether the ports could be bound, as far as that can be said without binding them.
///
/// # Errors
/// As [`bind`].
pub fn check(config: &Config) -> Result<(), BindError> {
    places(config).map(drop)
}

/// The places of both ports, none of them open to the world by accident.
fn places(config: &Config) -> Result<[Vec<Place>; 2], BindError> {
    let resolved = |endpoints: &[Endpoint]| endpoints.iter().map(resolve).collect::<Result<Vec<_>, _>>();
    let [clients, backends] =
        [resolved(config.listen.endpoints())?, resolved(config.backend.listen.endpoints())?];
    let listen = |places: &[Place]| places.iter().flat_map(Place::endpoints).collect();
    config.check_addresses(&listen(&clients), &listen(&backends)).map_err(BindError::Config)?;
    Ok([clients, backends])
}

fn bind_port(places: &[Place], unsent_bytes: usize) -> Result<Port, BindError> {
    let mut port = Port { listeners: Vec::new(), addrs: Vec::new() };
    for place in places {
        for (listener, address) in place.bind(unsent_bytes)? {
            port.listeners.push(listener);
            port.addrs.push(address.into());
        }
    }
    Ok(port)
}
