//! Joining a cluster before the reactors run: the number of this node, which is a part of every session's id. Where Redis cannot be
//! asked, or gives no number yet, a node that may serve alone takes one that nobody is likely to have, and asks for it as long as
//! it runs.

use super::BindError;
use crate::cluster::{Directory, Event, Lease, LeaseEvent, LeaseSettings, Link, LinkLimits, tag_of};
use crate::config::{Cluster as ClusterConfig, Config, RedisUrl};
use crate::core::{CarriedCluster, Cluster};
use crate::session::SessionId;
use crate::timer::Clock;
use log::{info, warn};
use mio::{Events, Poll, Token};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The connection's token: there is no other.
const LINK: Token = Token(0);

/// An answer of Redis about the lease is some hundred bytes.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// Numbers are from 1 to this; 0 is that of a node without a cluster.
const HIGHEST: u16 = (1 << SessionId::NODE_BITS) - 1;

/// An empty Redis gives numbers to whoever asks after so many leases.
const GRACE_LEASES: u64 = 3;

/// How long the thread sleeps at the most before it looks at the clock again.
const LOOK_MS: u64 = 20;

/// Joins the cluster that the configuration names, if it names one. Blocks until there is a number; where the node may serve alone no
/// longer than a connection may take.
///
/// # Errors
/// [`BindError::Cluster`] where the cluster is required; [`BindError::Resources`].
pub fn join(config: &Config, clock: &Clock) -> Result<Option<Cluster>, BindError> {
    let cluster = &config.cluster;
    if !cluster.is_on() {
        return Ok(None);
    }
    let incarnation = random()?;
    let pinned = (config.node != 0).then_some(config.node);
    let mut lease = lease_of(cluster, incarnation, pinned)?;
    let asked = Asking::new(cluster).map_err(BindError::Resources)?.ask(&mut lease, clock);
    let node = match (lease.number(), asked) {
        (Some(number), _) => {
            // From now on it is this number or none: there will be sessions with it.
            let settings = LeaseSettings { pinned: Some(number), ..settings_of(cluster) };
            lease = Lease::going_on(&settings, &lease.carry(), entropy()?);
            number
        }
        (None, Err(why)) if cluster.required => return Err(BindError::Cluster(why.into())),
        (None, asked) => {
            let node = pinned.unwrap_or(random()? as u16 % HIGHEST + 1);
            if let Err(why) = asked {
                warn!("no node number from Redis: {why}; this node is {node} until Redis says otherwise");
            }
            lease = lease_of(cluster, incarnation, Some(node))?;
            node
        }
    };
    info!("node {node} ({}) of the cluster {}", cluster.node_name(), cluster.prefix);
    Ok(Some(Cluster::new(cluster.clone(), node, incarnation, lease)))
}

/// Goes on as the node that another process was, with its number. Other nodes do not notice, unless the configuration has another
/// Redis or other channels than `carried`: then it is another incarnation of it.
///
/// # Errors
/// [`BindError::Resources`].
pub fn go_on(
    config: &Config,
    node: u16,
    carried: Option<CarriedCluster>,
) -> Result<Option<Cluster>, BindError> {
    let cluster = &config.cluster;
    if !cluster.is_on() {
        return Ok(None);
    }
    // The reactor that had the lease brings it along.
    if let Some(carried) = carried.filter(|carried| carried.is_of(cluster)) {
        let lease = lease_of(cluster, carried.incarnation(), Some(node))?;
        return Ok(Some(Cluster::going_on(cluster.clone(), node, &carried, lease)));
    }
    let incarnation = random()?;
    let lease = lease_of(cluster, incarnation, Some(node))?;
    Ok(Some(Cluster::new(cluster.clone(), node, incarnation, lease)))
}

fn lease_of(cluster: &ClusterConfig, incarnation: u64, pinned: Option<u16>) -> Result<Lease, BindError> {
    let settings = LeaseSettings { pinned, ..settings_of(cluster) };
    Ok(Lease::new(&settings, incarnation, entropy()?))
}

fn settings_of(cluster: &ClusterConfig) -> LeaseSettings {
    // The keys of the leases are on the first server, or in the first part of a Redis Cluster.
    let shard = cluster.servers().first().and_then(RedisUrl::shard);
    let tag = shard.map_or_else(String::new, |shard| String::from_utf8_lossy(&tag_of(shard)).into_owned());
    LeaseSettings {
        prefix: format!("{tag}{}", cluster.prefix),
        name: cluster.node_name(),
        lease_ms: cluster.lease.as_millis() as u64,
        pinned: None,
    }
}

fn entropy() -> Result<[u8; 32], BindError> {
    let mut entropy = [0; 32];
    getrandom::fill(&mut entropy).map_err(io::Error::other).map_err(BindError::Resources)?;
    Ok(entropy)
}

fn random() -> Result<u64, BindError> {
    getrandom::u64().map_err(io::Error::other).map_err(BindError::Resources)
}

/// Asks Redis for a number, on a connection of its own.
struct Asking {
    poll: Poll,
    events: Events,
    link: Link,
    /// For so long at the most, in milliseconds.
    patience_ms: u64,
    /// Whether it waits while nodes that had a number may take it again.
    waits: bool,
}

impl Asking {
    fn new(cluster: &ClusterConfig) -> io::Result<Self> {
        let ms = |time: Duration| time.as_millis() as u64;
        let limits = LinkLimits {
            connect_ms: ms(cluster.connect),
            silent_ms: ms(cluster.silent),
            backoff_min_ms: ms(cluster.backoff_min),
            backoff_max_ms: ms(cluster.backoff_max),
            max_message_bytes: MAX_ANSWER_BYTES,
            max_unwritten_bytes: MAX_ANSWER_BYTES,
        };
        let url = cluster.servers().into_iter().next();
        let url = Arc::new(url.ok_or_else(|| io::Error::other("there is no Redis"))?);
        let grace_ms = if cluster.required { GRACE_LEASES * ms(cluster.lease) } else { 0 };
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(16),
            // The loop looks often enough by itself.
            link: Link::new(url, Arc::new(Directory::of(cluster)), LINK, limits, Arc::new(|| {})),
            patience_ms: ms(cluster.connect) + grace_ms,
            waits: cluster.required,
        })
    }

    /// Until there is a number, or it is not to be had.
    fn ask(mut self, lease: &mut Lease, clock: &Clock) -> Result<(), String> {
        let until_ms = clock.now().ms + self.patience_ms;
        let mut trouble = String::from("it did not answer in time");
        while clock.now().ms < until_ms {
            let now_ms = clock.now().ms;
            let random = || getrandom::u64().unwrap_or(now_ms);
            if self.link.due_ms().is_some_and(|due_ms| due_ms <= now_ms) {
                self.link.turn(self.poll.registry(), now_ms, random);
            }
            loop {
                match self.link.next() {
                    Some(Event::Up(_)) => lease.connected(),
                    Some(Event::Reply(reply)) => lease.answered(&reply, now_ms),
                    Some(Event::Down(fault) | Event::Failed(fault)) => {
                        return Err(format!("{}: {fault}", self.link.url()));
                    }
                    Some(_) => {}
                    None => break,
                }
            }
            for command in lease.turn(now_ms, random) {
                let args: Vec<&[u8]> = command.iter().map(|arg| &arg[..]).collect();
                // One that is not taken is asked again on the next connection.
                let _ = self.link.command(&args);
            }
            self.link.flush(now_ms);
            while let Some(event) = lease.next_event() {
                match event {
                    LeaseEvent::Taken { .. } => return Ok(()),
                    LeaseEvent::Waits { .. } if !self.waits => return Ok(()),
                    LeaseEvent::Failed(fault) => return Err(fault.to_string()),
                    LeaseEvent::Refused { number, holder } => {
                        trouble = format!(
                            "the node number {number} is held by {}: choose another one in node, or leave it out",
                            holder.name
                        );
                    }
                    LeaseEvent::AllTaken => trouble = "all node numbers that were tried are taken".to_owned(),
                    _ => {}
                }
            }
            let polled = self.poll.poll(&mut self.events, Some(Duration::from_millis(LOOK_MS)));
            if let Err(error) = polled
                && error.kind() != io::ErrorKind::Interrupted
            {
                return Err(error.to_string());
            }
            if !self.events.is_empty() || self.link.has_unread() {
                self.link.ready(clock.now().ms);
            }
        }
        Err(trouble)
    }
}
