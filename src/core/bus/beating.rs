//! What time brings to the bus: connections that are made anew, heartbeats, the lease of the node's number, questions that nobody
//! has answered; and what becomes of all that when a connection comes or goes.

use super::hearing::waits_for_part;
use super::news::{BusNews, DigestAsked};
use super::users::shared_links;
use super::{Bus, Core, Envelope};
use crate::cluster::message::{Flags, Header, Kind, Publisher};
use crate::cluster::{
    Digest, Fault, Greeting, Heartbeat, LeaseEvent, MemberEvent, PublisherKey, Value, write_digest,
    write_windows,
};
use crate::metrics::BusLoss;
use hashbrown::HashMap;
use log::{error, info, warn};
use mio::Registry;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long a line about a message that was refused stands for all that follow.
const QUIET_MS: u64 = 10_000;

/// How often what waits too long is looked for.
const SWEEP_MS: u64 = 250;

impl Bus {
    pub(super) fn patience_ms(&self) -> u64 {
        ms(self.cluster.config.patience)
    }

    pub(super) fn silent_ms(&self) -> u64 {
        ms(self.cluster.config.silent)
    }

    pub(super) fn queue_ms(&self) -> u64 {
        ms(self.cluster.config.queue)
    }

    /// Says something of this node, now or never, to the channel; whether it was said.
    pub(super) fn tell(
        &mut self,
        server: usize,
        reactor: usize,
        now_ms: u64,
        channel: &[u8],
        kind: Kind,
        body: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        let publisher = Publisher {
            node: self.cluster.node,
            incarnation: self.cluster.incarnation,
            reactor: reactor as u8,
            server: server as u8,
        };
        let header = Header {
            kind,
            flags: Flags::NONE,
            publisher,
            sequence: 0,
            stamp_ms: now_ms,
            reply: 0,
            ttl_left_ms: None,
            app: "",
        };
        self.message.clear();
        if header.encode(&mut self.message).is_err() {
            return false;
        }
        body(&mut self.message);
        self.lines[server].tell(channel, &self.message)
    }
}

impl Core {
    /// What is due of the bus.
    pub fn bus_time(&mut self, registry: &Registry) {
        let (now_ms, index) = (self.now.ms, self.index);
        let Some(bus) = self.bus.as_deref_mut() else { return };
        let random = || getrandom::u64().unwrap_or(now_ms);
        for line in bus.lines.iter_mut().filter(|line| line.is_open()) {
            if line.link().due_ms().is_some_and(|due_ms| due_ms <= now_ms) {
                line.link().turn(registry, now_ms, random);
            }
        }
        for (_, ear) in &mut bus.ears {
            if ear.link().due_ms().is_some_and(|due_ms| due_ms <= now_ms) {
                ear.link().turn(registry, now_ms, random);
            }
        }
        let is_beat = now_ms >= bus.next_beat_ms;
        if is_beat {
            bus.next_beat_ms = now_ms + ms(bus.cluster.config.heartbeat);
            self.beat();
            self.look_at_links();
        }
        self.turn_move(is_beat);
        self.turn_lease();
        self.give_up_questions(now_ms);
        self.give_up_reading(now_ms);
        self.renew_memories(now_ms);
        self.answer_late_pushes(now_ms);
        self.give_up_crossing(now_ms);
        let Some(bus) = self.bus.as_deref_mut() else { return };
        if now_ms >= bus.next_sweep_ms {
            bus.next_sweep_ms = now_ms + SWEEP_MS;
            self.sweep(index, now_ms);
        }
    }

    /// Tells the other nodes that this one is there, over each Redis that this reactor is the ear of.
    fn beat(&mut self) {
        let servers: Vec<usize> =
            self.bus.iter().flat_map(|bus| bus.ears.iter().map(|(server, _)| *server)).collect();
        for (server, ear) in self.bus.iter().flat_map(|bus| &bus.ears) {
            self.show_buckets(*server, ear);
        }
        for server in servers {
            self.tell_of_itself(server, Kind::Heartbeat, None);
            if self.bus.as_ref().is_some_and(|bus| bus.server(server).is_whole.load(Ordering::Relaxed)) {
                self.ask_what_was_missed(server);
            }
            let Some(bus) = self.bus.as_deref_mut() else { return };
            let of_server = Arc::clone(bus.server(server));
            if let Some(ear) = bus.ear(server) {
                ear.ping();
                of_server.has_gaps.store(ear.hearing().gaps().next().is_some(), Ordering::Release);
            }
        }
        self.forget_silent_nodes();
        self.follow_askers();
    }

    /// Tells `channel`, or all nodes, how this one is.
    pub(super) fn tell_of_itself(&mut self, server: usize, kind: Kind, channel: Option<&[u8]>) {
        let (now_ms, index) = (self.now.ms, self.index);
        let sessions = self.sessions_of_all();
        let told = self.shared.clock.now();
        let is_draining = self.shared.turns_players_away();
        let Some(bus) = self.bus.as_deref_mut() else { return };
        let cluster = &bus.cluster;
        let shares = shared_links(&self.listeners, &self.rules.apps, cluster.config.shares_told);
        let (asks_users, asked) = cluster.users_asked.told();
        let heartbeat = Heartbeat {
            node: cluster.node,
            incarnation: cluster.incarnation,
            name: cluster.name.to_string(),
            advertise: cluster.config.advertise.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            is_draining,
            sessions,
            has_buckets: bus.in_force.servers.iter().any(|server| server.has_buckets.load(Ordering::Relaxed)),
            is_reachable: cluster.is_reachable.load(Ordering::Relaxed),
            is_ready: bus.server(server).is_whole.load(Ordering::Relaxed),
            published: bus.lines[server].last_written(),
            stamp_ms: told.ms,
            aim: bus.in_force.plan.aim.id(),
            hears: cluster.all_heard(),
            speaks: cluster.speaks(),
            tells_users: true,
            asks_users,
            asked,
            shares,
            links: cluster.links.lock().digest(),
        };
        bus.beats_ns[server] = (told.ms, told.ns);
        let all = cluster.channels.of_nodes();
        let mut body = Vec::new();
        heartbeat.encode_into(&mut body);
        bus.tell(server, index, now_ms, channel.unwrap_or(&all), kind, |out| out.extend_from_slice(&body));
    }

    fn forget_silent_nodes(&mut self) {
        let Some(bus) = &self.bus else { return };
        let cluster = Arc::clone(&bus.cluster);
        let mut members = cluster.members();
        // Whoever does not hear itself hears nobody: that is no silence of the others.
        let events = members.expire(cluster.heard_itself_ms.load(Ordering::Relaxed));
        if !events.is_empty() {
            cluster.reach(&members);
        }
        drop(members);
        events.into_iter().for_each(|event| self.member_event(event));
    }

    /// A heartbeat of this node has come back: so long it takes over this Redis now.
    pub(super) fn heard_itself(&mut self, server: usize, heartbeat: &Heartbeat) {
        let Some(bus) = &self.bus else { return };
        let (cluster, now_ms) = (&bus.cluster, self.now.ms);
        let before_ms = cluster.heard_itself_ms.swap(now_ms, Ordering::Relaxed);
        if now_ms.saturating_sub(before_ms) > ms(cluster.config.lease) / 2 {
            cluster.members().excuse(now_ms);
        }
        if let Some((stamp_ms, told_ns)) = bus.beats_ns.get(server)
            && *stamp_ms == heartbeat.stamp_ms
        {
            let lag_ns = self.shared.clock.now().ns.saturating_sub(*told_ns);
            self.metrics().bus.server(server).lag_ns.set(lag_ns);
        }
    }

    pub(super) fn heard_heartbeat(&mut self, server: usize, reactor: u8, heartbeat: Heartbeat, kind: Kind) {
        let now_ms = self.now.ms;
        let Some(bus) = self.bus.as_deref_mut() else { return };
        let cluster = Arc::clone(&bus.cluster);
        if let Some(ear) = bus.ear(server) {
            ear.hearing().begin((heartbeat.incarnation, reactor), heartbeat.published);
        }
        let (node, incarnation, links) = (heartbeat.node, heartbeat.incarnation, heartbeat.links);
        let mut members = cluster.members();
        let (is_new, asks_so) = (members.number_of(incarnation).is_none(), members.has_asked_so(&heartbeat));
        let events = members.hear(heartbeat, server, now_ms);
        if !events.is_empty() {
            cluster.reach(&members);
        }
        let all_are_back = members.are_all_ready(server);
        drop(members);
        let of_server = Arc::clone(bus.server(server));
        if all_are_back && of_server.is_whole.load(Ordering::Relaxed) {
            of_server.all_are_back.store(true, Ordering::Release);
        }
        if is_new {
            cluster.users_asked.node_came(incarnation);
        }
        events.into_iter().for_each(|event| self.member_event(event));
        if !asks_so {
            self.others_ask();
        }
        self.compare_links((node, incarnation), links);
        if kind == Kind::Hello {
            let channel = cluster.channels.of_node(node, incarnation);
            self.tell_of_itself(server, Kind::Heartbeat, Some(&channel));
            self.tell_known(server, Some(&channel));
        }
    }

    pub(super) fn heard_goodbye(&mut self, incarnation: u64) {
        let Some(bus) = &self.bus else { return };
        let cluster = Arc::clone(&bus.cluster);
        let mut members = cluster.members();
        let event = members.goodbye(incarnation);
        cluster.reach(&members);
        drop(members);
        event.into_iter().for_each(|event| self.member_event(event));
    }

    fn member_event(&mut self, event: MemberEvent) {
        match event {
            MemberEvent::Changed => {}
            MemberEvent::Came { node, name } => info!("node {node} ({name}) is there"),
            MemberEvent::Gone { node, name, incarnation } => {
                warn!("node {node} ({name}) is gone: its sessions are unknown from now on");
                self.forget_publishers(incarnation);
                if let Some(bus) = &self.bus {
                    bus.cluster.users_asked.node_went(incarnation);
                }
                for reactor in (0..self.shared.reactors()).filter(|reactor| *reactor != self.index) {
                    let news = Envelope::Bus(Box::new(BusNews::Gone(incarnation)));
                    self.peers.post_always(reactor, news);
                }
            }
            MemberEvent::Conflict { node, name, other } => {
                error!(
                    "nodes {name} and {other} both have the number {node}: stop one of them; sessions of only one are reached"
                );
            }
        }
    }

    /// The process with this incarnation is no more: the ears here need not know any longer what it has published, and its users have gone.
    pub(super) fn forget_publishers(&mut self, incarnation: u64) {
        for (_, ear) in self.bus.iter_mut().flat_map(|bus| bus.ears.iter_mut()) {
            ear.hearing().forget(incarnation);
        }
        // It tells no share of anything any more, and first of all not that its users have gone.
        self.follow_askers();
        self.users_went_with(incarnation);
        self.links_went_with(incarnation);
    }

    pub(super) fn line_is_up(&mut self, server: usize, greeting: &Greeting) {
        let Some(bus) = self.bus.as_deref_mut() else { return };
        info!(
            "reactor {}: publishes over {} (Redis {})",
            self.index,
            bus.server(server).url,
            greeting.version
        );
        if let Some(lease) = bus.lease.as_mut().filter(|_| server == 0) {
            lease.connected();
        }
        bus.next_beat_ms = 0;
        self.show_link(server, false, true);
        self.show_greeting(server, greeting);
        self.greet_when_whole(server);
    }

    pub(super) fn line_is_down(&mut self, server: usize, fault: &Fault) {
        let Some(bus) = self.bus.as_deref_mut() else { return };
        let url = Arc::clone(&bus.server(server).url);
        if let Some(lease) = bus.lease.as_mut().filter(|_| server == 0) {
            lease.disconnected();
        }
        self.show_link(server, false, false);
        // Each try fails alike, and so does that of each reactor.
        if self.show_fault(server, fault) {
            warn!("nothing goes out over {url}: {fault}");
        }
    }

    pub(super) fn bus_refused(&mut self, server: usize, says: &str) {
        let now_ms = self.now.ms;
        let Some(bus) = self.bus.as_deref_mut() else { return };
        // Mostly a right that its user lacks: then each message is refused, and the counter has them all.
        if now_ms >= bus.quiet_until_ms {
            bus.quiet_until_ms = now_ms + QUIET_MS;
            warn!("{} does not publish for this node: {says}", bus.server(server).url);
        }
    }

    pub(super) fn ear_is_up(&mut self, server: usize, greeting: &Greeting) {
        let Some(bus) = &self.bus else { return };
        self.show_link(server, true, true);
        self.show_greeting(server, greeting);
        bus.cluster.members().nobody_is_ready(server);
    }

    pub(super) fn ear_is_down(&mut self, server: usize, fault: &Fault) {
        let Some(bus) = &self.bus else { return };
        let of_server = bus.server(server);
        of_server.is_whole.store(false, Ordering::Release);
        of_server.all_are_back.store(false, Ordering::Release);
        of_server.has_gaps.store(true, Ordering::Release);
        self.show_link(server, true, false);
        if self.show_fault(server, fault) {
            warn!("nothing is heard over {}: {fault}", of_server.url);
        }
        self.stop_reading(server);
    }

    /// Everything is subscribed to: the others are told, and asked what was missed.
    pub(super) fn ear_is_whole(&mut self, server: usize) {
        let Some(bus) = self.bus.as_deref_mut() else { return };
        let was_whole = bus.server(server).is_whole.swap(true, Ordering::AcqRel);
        if was_whole {
            return;
        }
        info!("hears everything over {}", bus.server(server).url);
        bus.cluster.users_asked.ask_again();
        self.ask_what_was_missed(server);
        self.greet_when_whole(server);
    }

    /// Asks the publishers of which something may have been missed. A question may be lost as anything else: it is asked again with each
    /// heartbeat, until it is answered.
    fn ask_what_was_missed(&mut self, server: usize) {
        let (now_ms, index) = (self.now.ms, self.index);
        let Some(bus) = self.bus.as_deref_mut() else { return };
        let cluster = Arc::clone(&bus.cluster);
        let gaps: Vec<(PublisherKey, u64)> =
            bus.ear(server).map(|ear| ear.hearing().gaps().collect()).unwrap_or_default();
        let mut by_process: HashMap<u64, Vec<(u8, u64)>> = HashMap::new();
        for ((incarnation, reactor), from) in gaps {
            by_process.entry(incarnation).or_default().push((reactor, from));
        }
        for (incarnation, windows) in by_process {
            let is_own = incarnation == cluster.incarnation;
            let node = if is_own { Some(cluster.node) } else { cluster.members().number_of(incarnation) };
            let Some(node) = node else { continue };
            let channel = cluster.channels.of_node(node, incarnation);
            bus.tell(server, index, now_ms, &channel, Kind::DigestAsked, |out| write_windows(&windows, out));
        }
    }

    pub(super) fn answer_digest(&mut self, asked: &DigestAsked) {
        let (now_ms, index) = (self.now.ms, self.index);
        let Some(bus) = self.bus.as_deref_mut() else { return };
        let Some(line) = bus.lines.get(asked.server) else { return };
        let digest = line.digest(asked.from);
        bus.tell(asked.server, index, now_ms, &asked.channel, Kind::Digest, |out| write_digest(&digest, out));
    }

    pub(super) fn heard_digest(&mut self, server: usize, publisher: PublisherKey, digest: &Digest) {
        let Some(bus) = &mut self.bus else { return };
        let is_own = publisher.0 == bus.cluster.incarnation;
        let Some(ear) = bus.ear(server) else { return };
        let missed = ear.fill_gap(publisher, digest.to, &digest.channels, is_own);
        let lost = &self.metrics().bus.server(server).lost;
        lost.of(BusLoss::Missed).add(missed.messages);
        lost.of(BusLoss::Unknown).add(missed.unknown);
        if missed.messages + missed.unknown > 0 {
            warn!(
                "{} messages of node {:016x} were lost while nothing was heard, and {} of which nobody knows whom they were for",
                missed.messages, publisher.0, missed.unknown
            );
        }
    }

    fn turn_lease(&mut self) {
        let now_ms = self.now.ms;
        let Some(bus) = self.bus.as_deref_mut() else { return };
        let Some(lease) = &mut bus.lease else { return };
        if lease.due_ms().is_some_and(|due_ms| due_ms <= now_ms) {
            let random = || getrandom::u64().unwrap_or(now_ms);
            for command in lease.turn(now_ms, random) {
                let args: Vec<&[u8]> = command.iter().map(|arg| &arg[..]).collect();
                bus.lines[0].say_of_lease(&args);
            }
        }
        self.follow_lease();
    }

    pub(super) fn lease_is_answered(&mut self, reply: &Value) {
        let now_ms = self.now.ms;
        if let Some(lease) = self.bus.as_mut().and_then(|bus| bus.lease.as_mut()) {
            lease.answered(reply, now_ms);
        }
        self.turn_lease();
    }

    fn follow_lease(&mut self) {
        let Some(bus) = self.bus.as_deref_mut() else { return };
        let Some(lease) = &mut bus.lease else { return };
        let node = bus.cluster.node;
        while let Some(event) = lease.next_event() {
            match &event {
                LeaseEvent::Taken { number } if *number != node => {}
                LeaseEvent::Taken { .. } | LeaseEvent::Kept { .. } => {
                    bus.cluster.is_reachable.store(true, Ordering::Relaxed);
                }
                LeaseEvent::Lapsed { .. } | LeaseEvent::Lost { .. } | LeaseEvent::Refused { .. } => {
                    bus.cluster.is_reachable.store(false, Ordering::Relaxed);
                }
                _ => {}
            }
            match event {
                LeaseEvent::Taken { number } if number == node => info!("this node has the number {number}"),
                LeaseEvent::Kept { number } => info!("this node has the number {number} again"),
                LeaseEvent::Lapsed { number } => warn!(
                    "the lease of the node number {number} has run out: its players stay, and other nodes reach them by user, \
                     group and tag, but not by session until Redis confirms it"
                ),
                LeaseEvent::Lost { number, holder } | LeaseEvent::Refused { number, holder } => error!(
                    "the node number {number} is held by {}: other nodes reach no session of this one by its id; drain this \
                     node and start it again",
                    holder.name
                ),
                LeaseEvent::Waits { ms } => info!(
                    "Redis is new: nodes that had a number have {ms} ms to take it again before this one takes {node}"
                ),
                LeaseEvent::Failed(fault) => error!("the node number {node} cannot be taken: {fault}"),
                LeaseEvent::Secret(secret) => bus.cluster.share(secret.expose()),
                LeaseEvent::Taken { .. } | LeaseEvent::AllTaken => {}
            }
        }
    }

    pub(super) fn give_up_questions(&mut self, now_ms: u64) {
        while let Some(ended) = self.bus.as_mut().and_then(|bus| bus.awaiting.give_up(now_ms)) {
            self.end_question(ended);
        }
    }

    /// Tells publishers elsewhere, whose patience ends, what is known of their pushes.
    pub(super) fn answer_late_pushes(&mut self, now_ms: u64) {
        while let Some(bus) = self.bus.as_deref_mut()
            && bus.answering.front().is_some_and(|(due_ms, push)| *due_ms <= now_ms || !waits_for_part(push))
            && let Some((_, push)) = bus.answering.pop_front()
        {
            self.answer_push(&push);
        }
    }
}

fn ms(time: Duration) -> u64 {
    time.as_millis() as u64
}
