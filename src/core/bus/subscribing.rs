//! What this reactor has sessions of is told to the ears of the node, which subscribe to it. A command that made a set of sessions
//! is answered when the set is heard: who is told that a session has joined may push to the group from any node.

use super::news::{BusNews, Edges, Waiter};
use super::{Bus, Core, Envelope, ear_of};
use crate::cluster::Set;
use crate::core::Reply;
use crate::dispatch::Operation;
use crate::hub::{Edge, Kind};
use crate::session::SessionId;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Core {
    /// Tells which sets have come and gone since it was last told. `operation`, where it is what did that, waits until they are heard.
    pub(in crate::core) fn tell_edges(&mut self, operation: Option<&Arc<Operation>>) {
        let operation = operation.filter(|operation| operation.action.gives_names());
        if self.hub.has_edges() || operation.is_some() && self.has_names_underway() {
            let waiter = operation.map(|operation| Waiter::Operation(Arc::clone(operation)));
            self.send_edges(waiter.as_ref());
        }
    }

    /// The client of a session that has just opened is not answered before other nodes reach the session by its names: what has been
    /// written on the connection in `slot`, which is the session's or that of its poll, waits as if the socket took nothing.
    pub fn hold_until_heard(&mut self, slot: u32, reply: &mut Reply) {
        if !self.hub.has_edges() && !self.has_names_underway() {
            return;
        }
        let Some(id) = self.connections.id_of(slot) else { return };
        let ears = self.send_edges(Some(&Waiter::Session(id)));
        if ears > 0
            && self.write_later(slot, reply)
            && let Some(bus) = &mut self.bus
        {
            // It may be held for a session already: polls may come behind each other, and each may open one.
            *bus.held.entry(id).or_default() += ears;
        }
    }

    /// Whether what is to be written on the connection in `slot` waits for that, whatever its socket takes.
    #[inline]
    pub(in crate::core) fn is_held(&self, slot: u32) -> bool {
        let Some(bus) = &self.bus else { return false };
        !bus.held.is_empty() && self.connections.id_of(slot).is_some_and(|id| bus.held.contains_key(&id))
    }

    /// An ear hears the names of a session here.
    pub(super) fn session_is_heard(&mut self, id: SessionId) {
        let Some(bus) = &mut self.bus else { return };
        let Some(ears) = bus.held.get_mut(&id) else { return };
        *ears -= 1;
        if *ears == 0 {
            bus.held.remove(&id);
            if self.connections.get(id).is_some() {
                self.writable(id.slot());
            }
        }
    }

    /// Whether names may have been told that no other node reaches yet. A session may have them that comes now: of a set that has come
    /// nobody is told twice.
    fn has_names_underway(&self) -> bool {
        self.bus.as_ref().is_some_and(|bus| bus.in_force.servers.iter().any(|server| server.has_underway()))
    }

    /// Tells which sets have come and gone; how many ears `waiter` has to wait for.
    fn send_edges(&mut self, waiter: Option<&Waiter>) -> usize {
        let edges = self.hub.take_edges();
        let Some(bus) = &self.bus else { return 0 };
        let in_force = Arc::clone(&bus.in_force);
        let mut by_server: Vec<Vec<(Box<[u8]>, bool)>> = vec![Vec::new(); in_force.servers.len()];
        for edge in &edges {
            let Some(channel) = self.channel_of_edge(edge) else { continue };
            let slots = in_force.plan.slots_of(&channel);
            for slot in slots.iter().skip(1) {
                by_server[*slot].push((channel.clone(), edge.has_sessions));
            }
            if let Some(slot) = slots.first() {
                by_server[*slot].push((channel, edge.has_sessions));
            }
        }
        let mut waits = 0;
        for ((server, edges), state) in by_server.into_iter().enumerate().zip(&in_force.servers) {
            // Without a connection there is nothing to wait for.
            let is_heard = state.is_whole.load(Ordering::Relaxed);
            let waiter = waiter.filter(|_| is_heard && (has_new(&edges) || state.has_underway()));
            if edges.is_empty() && waiter.is_none() {
                continue;
            }
            waits += usize::from(waiter.is_some());
            if let Some(Waiter::Operation(operation)) = waiter {
                operation.add_part();
            }
            self.hand_edges(server, edges, waiter.cloned());
        }
        waits
    }

    /// The channel of a set.
    pub(super) fn channel_of_edge(&self, edge: &Edge) -> Option<Box<[u8]>> {
        let bus = self.bus.as_ref()?;
        Some(bus.cluster.channels.of_set(self.rules.apps.name_of(edge.app), set_of(edge)?))
    }

    /// `waiter` waits until all is heard of the server that this reactor has told.
    pub(super) fn await_names(&mut self, server: usize, waiter: Waiter) {
        self.hand_edges(server, Vec::new(), Some(waiter));
    }

    /// Hands changes to the ear of their server.
    pub(super) fn hand_edges(
        &mut self,
        server: usize,
        edges: Vec<(Box<[u8]>, bool)>,
        waiter: Option<Waiter>,
    ) {
        let Some(bus) = &self.bus else { return };
        let state = bus.in_force.servers.get(server).filter(|_| has_new(&edges));
        let underway = state.map(|state| state.begin_to_hear());
        let news = Edges { server, edges, waiter, underway };
        match ear_of(news.server, self.shared.reactors()) {
            ear if ear == self.index => self.follow_edges(news),
            ear => self.peers.post_always(ear, Envelope::Bus(Box::new(BusNews::Edges(news)))),
        }
    }

    /// Sets of a reactor have come or gone, of whose channels this one is the ear.
    pub(super) fn follow_edges(&mut self, news: Edges) {
        let now_ms = self.now.ms;
        let has_ear = |bus: &mut Box<Bus>| bus.ear(news.server).is_some();
        if !self.bus.as_mut().is_some_and(has_ear) {
            // It is of a plan that this reactor does not follow yet, which has the server: what comes with it is not to be lost.
            self.follow_plan_now();
        }
        let Some(bus) = self.bus.as_deref_mut() else { return };
        match bus.ear(news.server) {
            Some(ear) => {
                let began = ear.follow(news.edges, news.waiter, news.underway, now_ms);
                self.renew_from_now(news.server, &began);
            }
            // The server is in use no more: there is nothing to wait for.
            None => bus.passed.extend(news.waiter),
        }
    }

    /// Whoever has waited for sets that are heard by now goes on.
    pub(super) fn end_waiters(&mut self) {
        while let Some(waiter) = self.bus.as_mut().and_then(|bus| bus.take_waiter()) {
            match waiter {
                Waiter::Operation(operation) => self.finish_operation_part(&operation),
                Waiter::Place(took) => self.ask_for_places(took),
                Waiter::Plan(reactor) if reactor == self.index => self.plan_is_heard(),
                Waiter::Plan(reactor) => {
                    self.peers.post_always(reactor, Envelope::Bus(Box::new(BusNews::PlanHeard)));
                }
                Waiter::Crossing(number) => self.crossing_is_heard(number),
                Waiter::Session(id) if usize::from(id.worker()) == self.index => self.session_is_heard(id),
                Waiter::Session(id) => {
                    let news = Envelope::Bus(Box::new(BusNews::Heard(id)));
                    self.peers.post_always(usize::from(id.worker()), news);
                }
            }
        }
    }
}

/// Whether there are sets that have come.
fn has_new(edges: &[(Box<[u8]>, bool)]) -> bool {
    edges.iter().any(|(_, has_sessions)| *has_sessions)
}

fn set_of(edge: &Edge) -> Option<Set<'_>> {
    let name = edge.name.as_ref();
    Some(match edge.kind {
        Kind::App => Set::App,
        Kind::User => Set::User(name?),
        Kind::Group => Set::Group(name?),
        Kind::Tag => Set::Tag(name?),
    })
}
