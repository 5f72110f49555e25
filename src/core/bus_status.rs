//! The cluster as this node sees it, for people: what `GET /v1/cluster` shows. The bus writes it when something has changed, and it
//! is never on the way of a message.

use crate::config::Cluster;
use crate::metrics::{BusLink, BusMetrics, Metrics};
use serde::Serialize;

/// Whether the node is sure of its node number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LeaseStatus {
    /// No other node has its number.
    Held,
    /// It had a number, and another node may have it now.
    Lost,
    /// It has had none of a cluster yet.
    #[default]
    None,
}

/// What the bus knows of the cluster.
#[derive(Debug, Default)]
pub struct BusStatus {
    /// The node number in use.
    pub node: u16,
    /// What this node is called.
    pub name: String,
    /// What tells this start of the node from every other; `None` without a cluster.
    pub incarnation: Option<u64>,
    /// Whether the number is this node's for sure.
    pub lease: LeaseStatus,
    /// It hears all that it has to hear.
    pub is_ready: bool,
    /// The Redis servers, in the order of the configuration.
    pub redis: Vec<RedisStatus>,
    /// The nodes that are heard, this one among them.
    pub nodes: Vec<NodeStatus>,
    /// The change of the list of Redis servers that is under way.
    pub moving: Option<MovingStatus>,
}

/// A change of the list of Redis servers.
#[derive(Debug, Default, Serialize)]
pub struct MovingStatus {
    /// The servers of the new list, without passwords.
    pub redis: Vec<String>,
    /// Whether this node publishes by the new list.
    pub publishes: bool,
    /// The nodes that are waited for: to hear by the new list, and then to publish by it.
    pub awaits: Vec<String>,
}

/// What is known of a Redis server beside what the metrics say.
#[derive(Debug, Default)]
pub struct RedisStatus {
    /// Its URL without the password.
    pub url: String,
    /// Its version, as it said last.
    pub version: Option<String>,
    /// Why it is down, in a sentence.
    pub why: Option<String>,
    /// It is not in use: it was before a change of the list.
    pub is_closed: bool,
}

/// A node that is heard.
#[derive(Debug, Default)]
pub struct NodeStatus {
    /// Its number; 0 while it is sure of none.
    pub node: u16,
    /// What it is called.
    pub name: String,
    /// What tells this start of it from every other.
    pub incarnation: u64,
    /// Its sessions.
    pub sessions: u64,
    /// When it was last heard, in milliseconds of the server's clock.
    pub heard_ms: u64,
    /// It takes no new players.
    pub is_draining: bool,
    /// Its version of gannet.
    pub version: String,
    /// The URL at which players reach it.
    pub advertise: Option<String>,
    /// Its list of Redis servers is that of this node.
    pub has_same_redis: bool,
}

impl BusStatus {
    /// Before anything has happened.
    pub fn new(cluster: &Cluster, node: u16) -> Self {
        let redis =
            cluster.redis.iter().map(|url| RedisStatus { url: url.to_string(), ..Default::default() });
        // A node that is alone has nothing to hear.
        let is_ready = !cluster.is_on();
        Self { node, name: cluster.node_name(), redis: redis.collect(), is_ready, ..Self::default() }
    }

    /// The answer as JSON: of `now_ms` of the server's clock, with the figures of `metrics`.
    pub fn to_json(&self, metrics: &Metrics, reactors: usize, now_ms: u64) -> String {
        let in_use = self.redis.iter().enumerate().filter(|(_, status)| !status.is_closed);
        let redis = in_use.map(|(server, status)| {
            let links = (0..reactors).map(|reactor| (reactor, metrics.reactor(reactor).bus.server(server)));
            ShownRedis::new(status, server, links.collect::<Vec<_>>().as_slice())
        });
        let shown = Shown {
            node: self.node,
            name: &self.name,
            incarnation: self.incarnation.map(hex),
            lease: self.lease,
            ready: self.is_ready,
            redis: redis.collect(),
            nodes: self.nodes.iter().map(|node| ShownNode::new(node, now_ms)).collect(),
            moving: self.moving.as_ref(),
        };
        // Numbers and texts: nothing that JSON cannot hold.
        serde_json::to_string(&shown).unwrap_or_default()
    }
}

/// No number of JSON that every reader keeps whole has 64 bits.
fn hex(incarnation: u64) -> String {
    format!("{incarnation:016x}")
}

#[derive(Serialize)]
struct Shown<'a> {
    node: u16,
    name: &'a str,
    incarnation: Option<String>,
    lease: LeaseStatus,
    ready: bool,
    redis: Vec<ShownRedis<'a>>,
    nodes: Vec<ShownNode<'a>>,
    moving: Option<&'a MovingStatus>,
}

#[derive(Serialize)]
struct ShownRedis<'a> {
    url: &'a str,
    /// All links to it are.
    up: bool,
    why: Option<&'a str>,
    version: Option<&'a str>,
    /// `None` while there is no fresh figure.
    lag_ms: Option<f64>,
    channels: u64,
    queue: u64,
    unanswered: u64,
}

impl<'a> ShownRedis<'a> {
    /// `links`: those of each reactor.
    fn new(status: &'a RedisStatus, server: usize, links: &[(usize, &BusLink)]) -> Self {
        let sum = |of: fn(&BusLink) -> u64| links.iter().map(|(_, link)| of(link)).sum();
        let subscriber =
            links.iter().find(|(reactor, _)| BusMetrics::subscribes(*reactor, server, links.len()));
        let subscriber = subscriber.map(|(_, link)| link).filter(|link| link.subscriber_up.get() > 0);
        let publishes = links.iter().all(|(_, link)| link.publisher_up.get() > 0);
        Self {
            url: &status.url,
            up: publishes && subscriber.is_some(),
            why: status.why.as_deref(),
            version: status.version.as_deref(),
            lag_ms: subscriber.map(|link| (link.lag_ns.get() as f64 / 1e3).round() / 1e3),
            channels: sum(|link| link.channels.get()),
            queue: sum(|link| link.queue_messages.get()),
            unanswered: sum(|link| link.unanswered.get()),
        }
    }
}

#[derive(Serialize)]
struct ShownNode<'a> {
    node: u16,
    name: &'a str,
    incarnation: String,
    sessions: u64,
    age_ms: u64,
    draining: bool,
    version: &'a str,
    advertise: Option<&'a str>,
    same_redis: bool,
}

impl<'a> ShownNode<'a> {
    fn new(status: &'a NodeStatus, now_ms: u64) -> Self {
        let NodeStatus {
            node,
            name,
            incarnation,
            sessions,
            heard_ms,
            is_draining,
            version,
            advertise,
            has_same_redis,
        } = status;
        Self {
            node: *node,
            name,
            incarnation: hex(*incarnation),
            sessions: *sessions,
            age_ms: now_ms.saturating_sub(*heard_ms),
            draining: *is_draining,
            version,
            advertise: advertise.as_deref(),
            same_redis: *has_same_redis,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use serde_json::{Value, json};

    fn shown(status: &BusStatus, metrics: &Metrics) -> Value {
        serde_json::from_str(&status.to_json(metrics, 2, 10_000)).unwrap()
    }

    #[test]
    fn a_node_alone_is_ready_and_shows_no_other() {
        let status = BusStatus::new(&Config::default().cluster, 3);
        let alone = shown(&status, &Metrics::new(2, 0));
        let name = Config::default().cluster.node_name();
        let expected = json!({
            "node": 3, "name": name, "incarnation": null, "lease": "none", "ready": true, "redis": [], "nodes": [],
            "moving": null,
        });
        assert_eq!(alone, expected);
    }

    #[test]
    fn a_redis_is_up_when_all_links_to_it_are_and_shows_no_password() {
        let text = "[cluster]\nname = 'eu-1'\nredis = ['redis://h', 'redis://:hunter2@other:7']";
        let mut status = BusStatus::new(&Config::from_toml(text).unwrap().cluster, 0);
        let metrics = Metrics::new(2, 0).with_bus(2);
        // Reactor 1 subscribes to the second server for the node.
        let link = |reactor: usize| metrics.reactor(reactor).bus.server(1);
        link(1).subscriber_up.set(1);
        link(1).lag_ns.set(1_234_567);
        link(1).channels.set(9);
        for reactor in [0, 1] {
            link(reactor).unanswered.set(2);
            link(reactor).queue_messages.set(3);
        }
        status.redis[1].why = Some("it is away".to_owned());
        link(0).publisher_up.set(1);
        let before = shown(&status, &metrics);
        assert_eq!((&before["redis"][1]["up"], &before["ready"]), (&json!(false), &json!(false)));
        link(1).publisher_up.set(1);
        status.redis[1] = RedisStatus {
            version: Some("7.0.15".to_owned()),
            why: None,
            ..std::mem::take(&mut status.redis[1])
        };
        (status.incarnation, status.lease) = (Some(0xab), LeaseStatus::Held);
        status.nodes.push(NodeStatus {
            node: 5,
            name: "eu-2".to_owned(),
            incarnation: u64::MAX,
            sessions: 7,
            heard_ms: 9_900,
            is_draining: true,
            version: "0.2.0".to_owned(),
            advertise: None,
            has_same_redis: true,
        });
        status.redis.push(RedisStatus { is_closed: true, ..Default::default() });
        status.moving = Some(MovingStatus {
            redis: vec!["redis://h:6379".to_owned()],
            publishes: true,
            awaits: vec!["eu-2".to_owned()],
        });
        let expected = json!({
            "node": 0, "name": "eu-1", "incarnation": "00000000000000ab", "lease": "held", "ready": false,
            "redis": [
                {
                    "url": "redis://h:6379", "up": false, "why": null, "version": null, "lag_ms": null, "channels": 0,
                    "queue": 0, "unanswered": 0,
                },
                {
                    "url": "redis://:***@other:7", "up": true, "why": null, "version": "7.0.15", "lag_ms": 1.235,
                    "channels": 9, "queue": 6, "unanswered": 4,
                },
            ],
            "nodes": [{
                "node": 5, "name": "eu-2", "incarnation": "ffffffffffffffff", "sessions": 7, "age_ms": 100,
                "draining": true, "version": "0.2.0", "advertise": null, "same_redis": true,
            }],
            "moving": {"redis": ["redis://h:6379"], "publishes": true, "awaits": ["eu-2"]},
        });
        assert_eq!(shown(&status, &metrics), expected);
        status.lease = LeaseStatus::Lost;
        assert_eq!(shown(&status, &metrics)["lease"], "lost");
    }
}
