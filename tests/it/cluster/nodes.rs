//! Nodes of one cluster, inside the test's own process.

use crate::support::{Redis, TestServer, until};
use gannet::config::Config;
use serde_json::Value;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Some nodes that know each other.
pub struct Nodes {
    pub servers: Vec<TestServer>,
}

/// What makes a configuration that of a node of this cluster.
pub fn join(config: &mut Config, redis: &[&Redis], prefix: &str, name: &str) {
    config.reactors = Some(2);
    config.cluster.redis = redis.iter().map(|redis| redis.url().parse().unwrap()).collect();
    // More than there are servers, so that some have two.
    config.cluster.shards = if redis[0].is_of_cluster() { 4 } else { 0 };
    config.cluster.prefix = prefix.to_owned();
    config.cluster.name = Some(name.to_owned());
    config.cluster.lease = Duration::from_millis(1_000);
    config.cluster.heartbeat = Duration::from_millis(50);
    config.cluster.silent = Duration::from_millis(1_000);
}

/// A prefix that no other test has.
pub fn prefix() -> String {
    static LAST: AtomicU32 = AtomicU32::new(0);
    format!("test-{}-{}", std::process::id(), LAST.fetch_add(1, Ordering::Relaxed))
}

impl Nodes {
    /// So many nodes, called a, b, c and so on.
    pub fn start(count: u8, redis: &[&Redis]) -> Self {
        Self::start_with(count, redis, |_| ())
    }

    /// The same, changed by `configure`.
    pub fn start_with(count: u8, redis: &[&Redis], configure: impl Fn(&mut Config)) -> Self {
        Self::start_each(count, redis, |_, config| configure(config))
    }

    /// The same, each changed by `configure`, which is told which it is: 0 is the first.
    pub fn start_each(count: u8, redis: &[&Redis], configure: impl Fn(u8, &mut Config)) -> Self {
        loop {
            let prefix = prefix();
            let servers = (0..count).map(|number| {
                TestServer::start(|config| {
                    join(config, redis, &prefix, &char::from(b'a' + number).to_string());
                    configure(number, config);
                })
            });
            let nodes = Self { servers: servers.collect() };
            nodes.until_whole();
            // A Redis that is new gives no numbers yet, and of those that nodes draw two in 4,095 are the same.
            if nodes.have_numbers_of_their_own() {
                return nodes;
            }
        }
    }

    fn have_numbers_of_their_own(&self) -> bool {
        let status = status(&self.servers[0]);
        let nodes = status["nodes"].as_array().expect("the nodes that it hears");
        let numbers: HashSet<u64> = nodes.iter().filter_map(|node| node["node"].as_u64()).collect();
        numbers.len() == nodes.len()
    }

    /// Waits until each knows all others, and hears all that it wants to.
    pub fn until_whole(&self) {
        for server in &self.servers {
            until("a whole cluster", || is_whole(&status(server), self.servers.len()));
        }
    }
}

/// What a node says of its cluster.
pub fn status(server: &TestServer) -> Value {
    server.backend().ok("GET", "/v1/cluster")
}

/// Whether a node hears all that it wants to.
pub fn is_ready(server: &TestServer) -> bool {
    status(server)["ready"] == true
}

fn is_whole(status: &Value, nodes: usize) -> bool {
    status["ready"] == true && status["nodes"].as_array().is_some_and(|known| known.len() == nodes)
}
