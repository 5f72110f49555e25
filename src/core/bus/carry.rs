//! The bus on its way to the process that goes on with it, as the same node and the same incarnation: other nodes do not notice. The
//! connections go along, with what was read and not heard, what was said and not written, and what Redis owes. A connection that
//! cannot go along is made anew, and everything that is unanswered is said again on it.
//!
//! Where the configuration has another Redis, prefix or number of buckets, nothing of it is of use: the new process is another
//! incarnation then.

use super::ear::CarriedEar;
use super::line::CarriedLine;
use super::{Bus, Cluster, Core};
use crate::cluster::{CarriedLease, CarriedMembers, Lease, LeaseSettings};
use crate::config::Cluster as ClusterConfig;
use crate::dispatch::{Origin, Packer, Unpacker};
use crate::upgrade::InvalidState;
use log::info;
use minicbor::{Decode, Encode};
use mio::Registry;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;

/// As which node another process goes on, and with which servers.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct CarriedCluster {
    #[n(0)]
    incarnation: u64,
    #[n(1)]
    prefix: Box<str>,
    #[n(2)]
    buckets: u64,
    /// Where each Redis is, in the order of the configuration.
    #[n(3)]
    servers: Vec<Box<str>>,
}

impl CarriedCluster {
    fn of(config: &ClusterConfig, incarnation: u64) -> Self {
        let servers = config.servers().into_iter().map(|url| {
            // Not the login: a connection stays what it was let in as.
            format!("{} {} {}", url.place(), url.db(), url.is_secure()).into()
        });
        let (prefix, buckets) = (config.prefix.as_str().into(), config.buckets as u64);
        Self { incarnation, prefix, buckets, servers: servers.collect() }
    }

    /// The incarnation of before, if a node with this configuration hears and says all in the same places.
    pub fn incarnation_for(&self, config: &ClusterConfig) -> Option<u64> {
        let Self { incarnation, prefix, buckets, servers } = Self::of(config, self.incarnation);
        let is_same = (&prefix, buckets, &servers) == (&self.prefix, self.buckets, &self.servers);
        is_same.then_some(incarnation)
    }
}

impl Cluster {
    /// For another process.
    pub fn carry(&self) -> CarriedCluster {
        CarriedCluster::of(&self.config, self.incarnation)
    }
}

/// The part of a reactor, on its way.
#[derive(Encode, Decode)]
#[cbor(map)]
pub struct CarriedBus {
    /// Whose it is.
    #[n(0)]
    incarnation: u64,
    #[n(1)]
    lines: Vec<CarriedLine>,
    /// Each with the place of its Redis.
    #[n(2)]
    ears: Vec<(u64, CarriedEar)>,
    /// The number of the newest question: a late answer to one that was given up is taken for none to another.
    #[n(3)]
    asked: u64,
    /// Pushes of other nodes whose receipt is due, and when.
    #[n(4)]
    answering: Vec<(u64, u32)>,
    /// What the reactor has that renews the lease.
    #[n(5)]
    node: Option<CarriedNode>,
    /// Sessions that have gone to other nodes: each with what it is now, its newest ticket, and whether its client has shown that.
    #[n(6)]
    went: Option<Vec<(u64, u64, u32, bool)>>,
}

impl std::fmt::Debug for CarriedBus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The secret of the cluster is in it.
        f.debug_struct("CarriedBus").field("incarnation", &self.incarnation).finish_non_exhaustive()
    }
}

/// What there is once for a node.
#[derive(Encode, Decode)]
#[cbor(map)]
struct CarriedNode {
    #[n(0)]
    lease: CarriedLease,
    #[n(1)]
    members: CarriedMembers,
    #[n(2)]
    is_reachable: bool,
}

impl Bus {
    /// What another process goes on with. Nothing is changed by it.
    pub(in crate::core) fn carry(&self, packer: &Packer, now_ms: u64) -> CarriedBus {
        let Self {
            cluster,
            lines,
            ears,
            awaiting,
            message: _,
            command: _,
            // The new process tells of itself at once.
            next_beat_ms: _,
            beats_ns: _,
            next_sweep_ms: _,
            quiet_until_ms: _,
            answering,
            held,
            lease,
            crossing,
            placed,
            // They are told at the end of each turn.
            nonces: _,
        } = self;
        debug_assert!(awaiting.is_empty(), "the world stands still when all have answered");
        debug_assert!(held.is_empty() && placed.is_empty(), "and when all are heard");
        let node = lease.as_ref().map(|lease| CarriedNode {
            lease: lease.carry(),
            members: cluster.members().carry(now_ms),
            is_reachable: cluster.is_reachable.load(Ordering::Relaxed),
        });
        let ears = ears.iter().map(|(server, ear)| {
            let of_server = &cluster.servers[*server];
            let is_whole = of_server.is_whole.load(Ordering::Acquire);
            let all_are_back = of_server.all_are_back.load(Ordering::Acquire);
            (*server as u64, ear.carry(is_whole, all_are_back))
        });
        let answering = answering.iter().filter(|(_, push)| super::hearing::waits_for_part(push));
        CarriedBus {
            incarnation: cluster.incarnation,
            lines: lines.iter().map(super::Line::carry).collect(),
            ears: ears.collect(),
            asked: awaiting.last(),
            answering: answering.map(|(due_ms, push)| (*due_ms, packer.push(push))).collect(),
            node,
            went: Some(crossing.carry()).filter(|went| !went.is_empty()),
        }
    }

    /// The sockets that go along, in the order in which the state names their links.
    pub(in crate::core) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let lines = self.lines.iter().filter_map(super::Line::descriptor);
        lines.chain(self.ears.iter().filter_map(|(_, ear)| ear.descriptor()))
    }
}

impl Core {
    /// The sockets of the bus that go along to another process.
    pub fn bus_descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.bus.as_deref().into_iter().flat_map(Bus::descriptors).collect()
    }

    /// Goes on with the bus of another process, on its `sockets`. They are polled from now on.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn arrive_on_bus(
        &mut self,
        carried: Option<CarriedBus>,
        sockets: Vec<OwnedFd>,
        registry: &Registry,
        unpacker: &Unpacker,
    ) -> Result<(), InvalidState> {
        let (now_ms, index) = (self.now.ms, self.index);
        let Some(carried) = carried else {
            let none = sockets.is_empty();
            return none.then_some(()).ok_or_else(|| InvalidState::new("sockets before their reactor"));
        };
        // Without a cluster, or as another node, it has no use for them: they are closed.
        let Some(bus) = self.bus.as_deref_mut() else { return Ok(()) };
        if carried.incarnation != bus.cluster.incarnation {
            if bus.lease.is_some() {
                info!("the configuration of the cluster is another one: this node begins anew in it");
            }
            return Ok(());
        }
        let CarriedBus { incarnation: _, lines, ears, asked, answering, node, went } = carried;
        let ours = bus.ears.iter().map(|(server, _)| *server as u64);
        if lines.len() != bus.lines.len() || !ours.eq(ears.iter().map(|(server, _)| *server)) {
            return Err(InvalidState::new("a reactor has other links to Redis than it had"));
        }
        let mut sockets = sockets.into_iter();
        let mut up = Vec::new();
        for (server, (line, carried)) in bus.lines.iter_mut().zip(lines).enumerate() {
            let socket = carried.has_socket().then(|| sockets.next()).flatten();
            line.go_on_from(carried, socket, registry, now_ms)?;
            up.extend(line.link().is_up().then_some((server, false)));
        }
        for ((server, ear), (_, carried)) in bus.ears.iter_mut().zip(ears) {
            let socket = carried.has_socket().then(|| sockets.next()).flatten();
            let of_server = &bus.cluster.servers[*server];
            let (is_whole, all_are_back) = ear.go_on_from(carried, socket, registry, now_ms)?;
            of_server.is_whole.store(is_whole, Ordering::Release);
            of_server.all_are_back.store(all_are_back, Ordering::Release);
            up.extend(ear.link().is_up().then_some((*server, true)));
        }
        if sockets.next().is_some() {
            return Err(InvalidState::new("a socket without a link to Redis"));
        }
        bus.awaiting.go_on_from(asked);
        bus.crossing.go_on_from(went.unwrap_or_default());
        for (due_ms, number) in answering {
            let push = unpacker.push(number)?;
            match &push.origin {
                Origin::Peer(_) => bus.answering.push_back((due_ms, push.clone())),
                _ => return Err(InvalidState::new("another node waits for a push that it has not made")),
            }
        }
        match (node, &bus.lease) {
            (Some(node), Some(_)) => bus.go_on_as(node, index, now_ms)?,
            (None, None) => {}
            _ => return Err(InvalidState::new("another reactor has the lease")),
        }
        for (server, is_ear) in up {
            self.show_link(server, is_ear, true);
        }
        Ok(())
    }
}

impl Bus {
    fn go_on_as(&mut self, node: CarriedNode, index: usize, now_ms: u64) -> Result<(), InvalidState> {
        let CarriedNode { lease, members, is_reachable } = node;
        debug_assert_eq!(index, 0, "the ear of the first Redis has the lease");
        let cluster = &self.cluster;
        let mut entropy = [0; 32];
        getrandom::fill(&mut entropy).map_err(|error| InvalidState::new(error.to_string()))?;
        let settings = LeaseSettings {
            prefix: cluster.config.prefix.clone(),
            name: cluster.name.to_string(),
            lease_ms: cluster.config.lease.as_millis() as u64,
            pinned: Some(cluster.node),
        };
        if let Some(secret) = &lease.secret {
            cluster.share(secret);
        }
        let mut lease = Lease::going_on(&settings, &lease, entropy);
        if self.lines.first_mut().is_some_and(|line| line.link().is_up()) {
            lease.connected();
        }
        self.lease = Some(lease);
        cluster.is_reachable.store(is_reachable, Ordering::Relaxed);
        let mut known = cluster.members();
        known.go_on_from(members, now_ms)?;
        cluster.reach(&known);
        Ok(())
    }
}
