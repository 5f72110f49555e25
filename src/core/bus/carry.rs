//! The bus on its way to the process that goes on with it, as the same node and the same incarnation: other nodes do not notice. The
//! connections go along, with what was read and not heard, what was said and not written, and what Redis owes. A connection that
//! cannot go along is made anew, and everything that is unanswered is said again on it.
//!
//! Where the configuration has another first Redis, prefix or number of buckets, nothing of it is of use: the new process is another
//! incarnation then. Another list behind the same first Redis is a change like one by a reload.

use super::ear::CarriedEar;
use super::line::CarriedLine;
use super::placing::{InForce, Placing, planner};
use super::{Bus, Cluster, Core};
use crate::cluster::{CarriedLease, CarriedMembers, Lease, LeaseSettings};
use crate::config::{Cluster as ClusterConfig, RedisUrl};
use crate::dispatch::{Origin, Packer, Unpacker};
use crate::upgrade::InvalidState;
use log::info;
use minicbor::{Decode, Encode};
use mio::Registry;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;

/// As which node another process goes on, and with which servers.
#[derive(Encode, Decode)]
#[cbor(map)]
pub struct CarriedCluster {
    #[n(0)]
    incarnation: u64,
    #[n(1)]
    prefix: Box<str>,
    #[n(2)]
    buckets: u64,
    /// Where each Redis is, by slot.
    #[n(3)]
    servers: Vec<Box<str>>,
    /// The same as URLs with their passwords: the configuration may not have all of them any more. None in a state from before there were
    /// changes of the list.
    #[n(4)]
    #[cbor(default)]
    urls: Vec<Box<str>>,
    /// The slots of the servers that the configuration named.
    #[n(5)]
    #[cbor(default)]
    aim: Vec<u64>,
    /// The slots of each set that was heard, the oldest first.
    #[n(6)]
    #[cbor(default)]
    heard: Vec<Vec<u64>>,
    /// The slots of the servers that it was connected to.
    #[n(7)]
    #[cbor(default)]
    open: Vec<u64>,
}

impl std::fmt::Debug for CarriedCluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URLs have passwords in them.
        f.debug_struct("CarriedCluster").field("incarnation", &self.incarnation).finish_non_exhaustive()
    }
}

/// Where a Redis is. Not the login: a connection stays what it was let in as.
fn place_of(url: &RedisUrl) -> Box<str> {
    format!("{} {} {}", url.identity(), url.db(), url.is_secure()).into()
}

fn slots(numbers: &[u64]) -> Vec<usize> {
    numbers.iter().filter_map(|number| usize::try_from(*number).ok()).collect()
}

impl CarriedCluster {
    /// Whether a node with this configuration goes on as the one of before: what it says and hears has places there.
    pub fn is_of(&self, config: &ClusterConfig) -> bool {
        let first = config.servers().first().map(place_of);
        let is_same = first.as_ref() == self.servers.first() && *self.prefix == *config.prefix;
        // In a state from before there were changes of the list a server has no URL that the configuration lacks.
        is_same && self.buckets == config.buckets as u64 && self.urls(config).len() == self.servers.len()
    }

    /// The incarnation of before.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// The servers by slot: as the configuration has them, and otherwise as they were.
    pub fn urls(&self, config: &ClusterConfig) -> Vec<RedisUrl> {
        let configured = config.servers();
        let places = self.servers.iter().enumerate();
        let of_slots = places.filter_map(|(slot, place)| {
            let now = configured.iter().find(|url| place_of(url) == *place).cloned();
            now.or_else(|| self.urls.get(slot)?.parse().ok())
        });
        of_slots.collect()
    }

    /// The slots of the servers that the configuration of before named.
    pub fn aim(&self) -> Vec<usize> {
        let known = slots(&self.aim).into_iter().filter(|slot| *slot < self.servers.len());
        let aim: Vec<usize> = known.collect();
        if aim.is_empty() { (0..self.servers.len()).collect() } else { aim }
    }

    /// The slots of each set that was heard.
    pub fn heard(&self) -> Vec<Vec<usize>> {
        self.heard.iter().map(|of_set| slots(of_set)).collect()
    }

    /// The slots of the servers that it was connected to.
    pub fn open(&self) -> Vec<usize> {
        slots(&self.open)
    }
}

impl Cluster {
    /// The node that another process was, with its servers and plans as they were, and from now on with the servers of its configuration.
    pub fn going_on(config: ClusterConfig, node: u16, carried: &CarriedCluster, lease: Lease) -> Self {
        let urls = carried.urls(&config);
        let planner = planner(&config, &urls, &carried.aim()).going_on(&carried.heard(), &carried.open());
        let aim = config.servers();
        let placing = Placing::new(planner, urls);
        let cluster = Self::placed(config, node, carried.incarnation, lease, placing);
        cluster.aim_at(&aim);
        cluster
    }

    /// For another process.
    pub fn carry(&self) -> CarriedCluster {
        let InForce { plan, servers } = &*self.in_force();
        let numbers = |slots: &[usize]| slots.iter().map(|slot| *slot as u64).collect();
        let open: Vec<usize> = (0..servers.len()).filter(|slot| plan.is_open(*slot)).collect();
        CarriedCluster {
            incarnation: self.incarnation,
            prefix: self.config.prefix.as_str().into(),
            buckets: self.config.buckets as u64,
            servers: servers.iter().map(|server| place_of(&server.url)).collect(),
            urls: servers.iter().map(|server| server.url.expose().into()).collect(),
            aim: numbers(plan.aim.slots()),
            heard: plan.heard().map(|spread| numbers(spread.slots())).collect(),
            open: numbers(&open),
        }
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
    /// The set of servers that it publishes by, by their slots.
    #[n(6)]
    #[cbor(default)]
    speaks: Vec<u64>,
    /// Sessions that have gone to other nodes: each with what it is now, its newest ticket, and whether its client has shown that.
    #[n(7)]
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
            speaks,
            fence,
            unheard,
            fences,
            recalls,
            // The plans are the node's, and the rest begins anew.
            ..
        } = self;
        debug_assert!(awaiting.is_empty(), "the world stands still when all have answered");
        debug_assert!(held.is_empty() && placed.is_empty() && *unheard == 0, "and when all are heard");
        debug_assert!(recalls.is_empty(), "and have been told");
        debug_assert!(
            fence.is_none() && fences.is_empty(),
            "a fence is a question, and its answer is given at once"
        );
        let node = lease.as_ref().map(|lease| CarriedNode {
            lease: lease.carry(),
            members: cluster.members().carry(now_ms),
            is_reachable: cluster.is_reachable.load(Ordering::Relaxed),
        });
        let ears = ears.iter().map(|(server, ear)| {
            let of_server = self.server(*server);
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
            speaks: speaks.slots().iter().map(|slot| *slot as u64).collect(),
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
        let CarriedBus { incarnation: _, lines, ears, asked, answering, node, speaks, went } = carried;
        // The configuration may name further servers.
        if lines.len() > bus.lines.len() {
            return Err(InvalidState::new("a reactor has fewer links to Redis than it had"));
        }
        bus.go_on_speaking(index, &slots(&speaks))?;
        let mut sockets = sockets.into_iter();
        let mut up = Vec::new();
        for (server, (line, carried)) in bus.lines.iter_mut().zip(lines).enumerate() {
            let socket = carried.has_socket().then(|| sockets.next()).flatten();
            line.go_on_from(carried, socket, registry, now_ms)?;
            up.extend(line.link().is_up().then_some((server, false)));
        }
        for (server, carried) in ears {
            let socket = carried.has_socket().then(|| sockets.next()).flatten();
            let ours = bus.ears.iter_mut().find(|(of, _)| *of as u64 == server);
            let Some((server, ear)) = ours else {
                return Err(InvalidState::new("a reactor is no more the ear that it was"));
            };
            let of_server = &bus.in_force.servers[*server];
            let (is_whole, all_are_back) = ear.go_on_from(carried, socket, registry, now_ms)?;
            ear.keep(of_server.begin_to_hear());
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
        self.renew_all_memories();
        Ok(())
    }
}

impl Bus {
    /// Publishes by the set of servers that the other process did.
    fn go_on_speaking(&mut self, index: usize, slots: &[usize]) -> Result<(), InvalidState> {
        if slots.is_empty() {
            return Ok(());
        }
        let mut heard = self.in_force.plan.heard();
        let mut slots = slots.to_vec();
        slots.sort_unstable();
        let same = heard.find(|spread| {
            let mut own = spread.slots().to_vec();
            own.sort_unstable();
            own == slots
        });
        self.speaks = same
            .cloned()
            .ok_or_else(|| InvalidState::new("a reactor publishes by servers that are not heard"))?;
        self.cluster.reactor_speaks(index, &self.speaks);
        Ok(())
    }

    fn go_on_as(&mut self, node: CarriedNode, index: usize, now_ms: u64) -> Result<(), InvalidState> {
        let CarriedNode { lease, members, is_reachable } = node;
        debug_assert_eq!(index, 0, "the ear of the first Redis has the lease");
        let cluster = &self.cluster;
        let mut entropy = [0; 32];
        getrandom::fill(&mut entropy).map_err(|error| InvalidState::new(error.to_string()))?;
        // The keys are in the first part of a Redis Cluster, whose names begin with its tag.
        let tag = String::from_utf8_lossy(&self.in_force.servers[0].tag);
        let settings = LeaseSettings {
            prefix: format!("{tag}{}", cluster.config.prefix),
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
