//! What this reactor has sessions of is told to the ears of the node, which subscribe to it. A command that made a set of sessions
//! is answered when the set is heard: who is told that a session has joined may push to the group from any node.

use super::news::{BusNews, Edges, Waiter};
use super::{Core, Envelope, ear_of};
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
        if self.hub.has_edges() {
            let waiter = operation.map(|operation| Waiter::Operation(Arc::clone(operation)));
            self.send_edges(waiter.as_ref());
        }
    }

    /// The client of the session in `slot`, which has just opened, is not answered before other nodes reach the session by its names:
    /// what has been written for it waits as if its socket took nothing.
    pub fn hold_until_heard(&mut self, slot: u32, reply: &mut Reply) {
        if self.bus.is_none() || !self.hub.has_edges() {
            return;
        }
        let Some(id) = self.hub.id_of(slot) else { return };
        let ears = self.send_edges(Some(&Waiter::Session(id)));
        if ears > 0 && self.write_later(slot, reply) {
            self.bus.as_mut().and_then(|bus| bus.held.insert(id, ears));
        }
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

    /// Tells which sets have come and gone; how many ears `waiter` has to wait for.
    fn send_edges(&mut self, waiter: Option<&Waiter>) -> usize {
        let edges = self.hub.take_edges();
        let Some(bus) = &self.bus else { return 0 };
        let cluster = Arc::clone(&bus.cluster);
        let mut by_server: Vec<Vec<(Box<[u8]>, bool)>> = vec![Vec::new(); cluster.servers.len()];
        for edge in &edges {
            let app = self.rules.apps.name_of(edge.app);
            if let Some(set) = set_of(edge) {
                let channel = cluster.channels.of_set(app, set);
                by_server[cluster.server_of(&channel)].push((channel, edge.has_sessions));
            }
        }
        let mut waits = 0;
        for (server, edges) in by_server.into_iter().enumerate().filter(|(_, edges)| !edges.is_empty()) {
            // Without a connection there is nothing to wait for.
            let is_heard = cluster.servers[server].is_whole.load(Ordering::Relaxed);
            let begins = is_heard && edges.iter().any(|(_, has_sessions)| *has_sessions);
            let waiter = waiter.filter(|_| begins);
            waits += usize::from(waiter.is_some());
            if let Some(Waiter::Operation(operation)) = waiter {
                operation.add_part();
            }
            let news = Edges { server, edges, waiter: waiter.cloned() };
            match ear_of(server, self.shared.reactors()) {
                ear if ear == self.index => self.follow_edges(news),
                ear => self.peers.post_always(ear, Envelope::Bus(Box::new(BusNews::Edges(news)))),
            }
        }
        waits
    }

    /// Sets of a reactor have come or gone, of whose channels this one is the ear.
    pub(super) fn follow_edges(&mut self, news: Edges) {
        let now_ms = self.now.ms;
        if let Some(ear) = self.bus.as_mut().and_then(|bus| bus.ear(news.server)) {
            ear.follow(news.edges, news.waiter, now_ms);
        }
    }

    /// Whoever has waited for sets that are heard by now goes on.
    pub(super) fn end_waiters(&mut self) {
        while let Some(waiter) = self.bus.as_mut().and_then(|bus| bus.take_waiter()) {
            match waiter {
                Waiter::Operation(operation) => self.finish_operation_part(&operation),
                Waiter::Place(took) => self.ask_for_places(took),
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

fn set_of(edge: &Edge) -> Option<Set<'_>> {
    let name = edge.name.as_ref();
    Some(match edge.kind {
        Kind::App => Set::App,
        Kind::User => Set::User(name?),
        Kind::Group => Set::Group(name?),
        Kind::Tag => Set::Tag(name?),
    })
}
