//! What this reactor has sessions of is told to the ears of the node, which subscribe to it. A command that made a set of sessions
//! is answered when the set is heard: who is told that a session has joined may push to the group from any node.

use super::news::{BusNews, Edges};
use super::{Core, Envelope, ear_of};
use crate::cluster::Set;
use crate::dispatch::Operation;
use crate::hub::{Edge, Kind};
use std::sync::Arc;

impl Core {
    /// Tells which sets have come and gone since it was last told. `operation`, where it is what did that, waits until they are heard.
    pub(in crate::core) fn tell_edges(&mut self, operation: Option<&Arc<Operation>>) {
        if !self.hub.has_edges() {
            return;
        }
        let edges = self.hub.take_edges();
        let Some(bus) = &self.bus else { return };
        let cluster = Arc::clone(&bus.cluster);
        let mut by_server: Vec<Vec<(Box<[u8]>, bool)>> = vec![Vec::new(); cluster.servers.len()];
        for edge in &edges {
            let app = self.rules.apps.name_of(edge.app);
            if let Some(set) = set_of(edge) {
                let channel = cluster.channels.of_set(app, set);
                by_server[cluster.server_of(&channel)].push((channel, edge.has_sessions));
            }
        }
        for (server, edges) in by_server.into_iter().enumerate().filter(|(_, edges)| !edges.is_empty()) {
            let waiter = operation.filter(|_| edges.iter().any(|(_, has_sessions)| *has_sessions));
            if let Some(operation) = waiter {
                operation.add_part();
            }
            let news = Edges { server, edges, waiter: waiter.cloned() };
            match ear_of(server, self.shared.reactors()) {
                ear if ear == self.index => self.follow_edges(news),
                ear => self.peers.post_always(ear, Envelope::Bus(Box::new(BusNews::Edges(news)))),
            }
        }
    }

    /// Sets of a reactor have come or gone, of whose channels this one is the ear.
    pub(super) fn follow_edges(&mut self, news: Edges) {
        let now_ms = self.now.ms;
        if let Some(ear) = self.bus.as_mut().and_then(|bus| bus.ear(news.server)) {
            ear.follow(news.edges, news.waiter, now_ms);
        }
    }

    /// Commands whose sets are heard by now have done their part.
    pub(super) fn end_waiters(&mut self) {
        while let Some(operation) = self.bus.as_mut().and_then(|bus| bus.take_waiter()) {
            self.finish_operation_part(&operation);
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
