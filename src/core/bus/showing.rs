//! What an operator sees of the bus: `GET /v1/cluster`, `/readyz` and the gauges that have no other place.

use super::{Bus, Core, Ear};
use crate::cluster::{Fault, Greeting, Member};
use crate::core::Shared;
use crate::core::bus_status::{BusStatus, LeaseStatus, MovingStatus, NodeStatus, RedisStatus};
use std::sync::atomic::Ordering;

impl Core {
    /// Shows the nodes as they were heard of last.
    pub(super) fn show_nodes(&self) {
        let Some(bus) = self.bus.as_deref() else { return };
        let Bus { cluster, lease, .. } = bus;
        let aim = bus.in_force.plan.aim.id();
        let now_ms = self.now.ms;
        let members = cluster.members();
        let mut nodes: Vec<NodeStatus> =
            members.all().iter().map(|member| status_of(member, aim, now_ms)).collect();
        drop(members);
        let moving = bus.moving();
        nodes.push(NodeStatus {
            node: cluster.node,
            name: cluster.name.to_string(),
            incarnation: cluster.incarnation,
            sessions: self.sessions_of_all(),
            heard_ms: now_ms,
            is_draining: self.shared.turns_players_away(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            advertise: cluster.config.advertise.clone(),
            has_same_redis: true,
        });
        nodes.sort_by_key(|node| (node.node, node.incarnation));
        let is_held = lease.as_ref().is_some_and(|lease| lease.is_held(now_ms));
        let figures = &self.shared.metrics.cluster;
        figures.nodes.set(nodes.len() as u64);
        figures.lease.set(u64::from(is_held));
        let is_ready = cluster.is_whole();
        let mut status = self.shared.bus_status();
        status.lease = match status.lease {
            _ if is_held => LeaseStatus::Held,
            LeaseStatus::None => LeaseStatus::None,
            LeaseStatus::Held | LeaseStatus::Lost => LeaseStatus::Lost,
        };
        bus.show_servers(&mut status);
        let is_ready = is_ready && (is_held || status.lease == LeaseStatus::None);
        *status = BusStatus {
            node: cluster.node,
            incarnation: Some(cluster.incarnation),
            is_ready,
            nodes,
            moving,
            ..std::mem::take(&mut *status)
        };
    }

    /// Whether the ear hears names by hashed channels is told with the next heartbeat.
    pub(super) fn show_buckets(&self, server: usize, ear: &Ear) {
        if let Some(bus) = &self.bus {
            bus.server(server).has_buckets.store(ear.has_buckets(), Ordering::Relaxed);
        }
    }

    pub(super) fn sessions_of_all(&self) -> u64 {
        (0..self.shared.reactors()).map(|of| self.shared.metrics.reactor(of).sessions.get()).sum()
    }

    /// Whether this reactor publishes to a Redis, and hears from it, is shown.
    pub(super) fn show_link(&self, server: usize, is_ear: bool, is_up: bool) {
        let figures = self.metrics().bus.server(server);
        let (gauge, count) = match is_ear {
            true => (&figures.subscriber_up, &figures.subscriber_reconnects),
            false => (&figures.publisher_up, &figures.publisher_reconnects),
        };
        // It is made anew by itself, and tried until it is.
        count.add(u64::from(!is_up && gauge.get() == 1));
        gauge.set(u64::from(is_up));
    }

    /// What a Redis says of itself is shown.
    pub(super) fn show_greeting(&self, server: usize, greeting: &Greeting) {
        if let Some(status) = self.shared.bus_status().redis.get_mut(server) {
            status.version = Some(greeting.version.to_string());
            status.why = None;
        }
    }

    /// Why a Redis is not there is shown. Whether that is news.
    pub(super) fn show_fault(&self, server: usize, fault: &Fault) -> bool {
        let why = fault.to_string();
        let mut status = self.shared.bus_status();
        let Some(status) = status.redis.get_mut(server) else { return false };
        let is_news = status.why.as_ref() != Some(&why);
        status.why = Some(why);
        is_news
    }
}

impl Bus {
    /// The change of the list of servers that is under way.
    fn moving(&self) -> Option<MovingStatus> {
        let plan = &self.in_force.plan;
        let aim = &plan.aim;
        plan.heard().nth(1)?;
        let publishes = self.cluster.all_speak(aim.id());
        let is_awaited = |member: &&Member| match publishes {
            false => !member.said.hears.contains(&aim.id()),
            true => member.said.speaks.iter().any(|hashes| **hashes != *aim.hashes()),
        };
        let members = self.cluster.members();
        let awaited = members.all().into_iter().filter(is_awaited).map(|member| member.name.to_string());
        let mut awaits: Vec<String> = awaited.collect();
        drop(members);
        if !self.cluster.hears(aim.id()) {
            awaits.push(self.cluster.name.to_string());
        }
        awaits.sort_unstable();
        let mut slots = aim.slots().to_vec();
        slots.sort_unstable();
        let redis = slots.into_iter().map(|slot| self.server(slot).url.to_string());
        Some(MovingStatus { redis: redis.collect(), publishes, awaits })
    }

    /// Shows which servers there are.
    pub(super) fn show_servers(&self, status: &mut BusStatus) {
        for (slot, server) in self.in_force.servers.iter().enumerate() {
            if status.redis.len() == slot {
                status.redis.push(RedisStatus { url: server.url.to_string(), ..RedisStatus::default() });
            }
            status.redis[slot].url = server.url.to_string();
            status.redis[slot].is_closed = !self.in_force.plan.is_open(slot);
        }
    }
}

fn status_of(member: &Member, aim: u64, now_ms: u64) -> NodeStatus {
    let said = &member.said;
    NodeStatus {
        node: member.node,
        name: member.name.to_string(),
        incarnation: member.incarnation,
        sessions: said.sessions,
        heard_ms: now_ms.saturating_sub(member.silent_ms(now_ms)),
        is_draining: said.is_draining,
        version: said.version.clone(),
        advertise: said.advertise.clone(),
        has_same_redis: said.aim == aim,
    }
}

/// Whether the server is ready as far as the other nodes are concerned: `None` where that is so, or the node may serve alone.
pub fn why_not_ready(shared: &Shared) -> Option<&'static str> {
    let cluster = shared.cluster.as_ref().filter(|cluster| cluster.config.required)?;
    let is_reachable = cluster.is_reachable.load(Ordering::Relaxed);
    (!cluster.is_whole() || !is_reachable).then_some("cluster")
}
