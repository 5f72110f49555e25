//! Groups that remember: one order for everybody, what a session that joins gets, and what is kept for how long.

mod bounds;
mod joins;
mod library;
mod log;
mod order;

use crate::support::*;
use gannet::config::{Config, GroupConfig, LogConfig};

/// Groups whose names begin with `prefix` keep the newest push of each key.
pub fn latest(prefix: &str) -> GroupConfig {
    GroupConfig { latest: true, ..GroupConfig::new(prefix) }
}

/// Groups whose names begin with `prefix` keep so many pushes.
pub fn log(prefix: &str, messages: usize) -> GroupConfig {
    GroupConfig { log: Some(LogConfig { messages, ..LogConfig::default() }), ..GroupConfig::new(prefix) }
}

/// Changes the groups of the app that is always there.
pub fn with(groups: Vec<GroupConfig>) -> impl FnOnce(&mut Config) {
    |config| config.apps.get_mut("default").unwrap().groups = groups
}

/// A server whose groups remember by `groups`.
pub fn remembering(groups: Vec<GroupConfig>) -> TestServer {
    TestServer::start(with(groups))
}
