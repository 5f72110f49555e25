//! A server of one reactor that is turned by hand, for tests and fuzz targets.

pub mod carried_door;
pub mod carried_world;
#[cfg(test)]
mod tests;
mod world;

use super::{Part, Server};
use crate::app::Relay;
use crate::config::Config;
use crate::core::Core;
use crate::gateway::Gateway;
use crate::reactor::{Alone, Reactor};

/// The reactor of a server with this configuration, whose ports are free ones, and to which nobody connects there.
pub fn alone(mut config: Config) -> Alone {
    config.reactors = Some(1);
    config.listen.set_port(0);
    config.backend.listen.set_port(0);
    let Server { shared, parts, asks, .. } = Server::bind(config).expect("a configuration to run with");
    let Some(Part { poll, receiver, producer, observer, .. }) = parts.into_iter().next() else {
        unreachable!("there is one reactor");
    };
    let core = Core::new(shared, 0, producer, 1);
    let gateway = Gateway::new(Box::new(Relay), observer.clone());
    Alone::new(Reactor::new(poll, receiver, core, gateway, None), observer, asks)
}
