//! Which link of a share is to have a session: because a route says so, or so that each has as many as the others. Knows nothing
//! of how a session moves.

use super::Core;
use crate::dispatch::{CommandError, ErrorCode, Operation, Quoted, Routed};
use crate::hub::Kind;
use crate::session::{AppId, Name, SessionId};

/// Moves that begin in one turn, beside those of sessions of which an event comes.
pub const MOVES_A_TURN: usize = 256;

impl Core {
    /// Sets or ends a route, and moves the sessions here that it is about.
    pub(super) fn route(&mut self, operation: &Operation, what: &Routed, link: Option<&Name>) {
        let app = operation.app;
        if let Routed::Session(id) = what
            && !self.hub.contains(*id, app)
        {
            return operation.fail(CommandError::unknown_session(*id));
        }
        let link = match link.map(|name| self.routable(app, name)).transpose() {
            Ok(link) => link,
            Err(error) => return operation.fail(error),
        };
        let most = self.rules.settings.config.limits.max_routes;
        if link.is_some() && self.listeners.are_routes_full(app, what, most) {
            let message = format!("there are {most} routes: end some, or raise limits.max_routes");
            return operation.fail(CommandError::new(ErrorCode::RateLimited, message));
        }
        self.listeners.route(app, what, link, operation.order(&self.shared.routes));
        let sessions = match what {
            Routed::Session(id) => vec![*id],
            Routed::User(user) => self.members(app, Kind::User, user),
            Routed::Group(group) => self.members(app, Kind::Group, group),
        };
        let moved = sessions.into_iter().filter(|session| self.follow_route(*session)).count();
        operation.count_sessions(moved as u32);
    }

    /// The route of a group ends with the group; its sessions stay where they are.
    pub(super) fn end_route_of(&mut self, operation: &Operation, group: &Name) {
        if self.listeners.has_routes() {
            let order = operation.order(&self.shared.routes);
            self.listeners.route(operation.app, &Routed::Group(group.clone()), None, order);
        }
    }

    fn members(&self, app: AppId, kind: Kind, name: &Name) -> Vec<SessionId> {
        self.hub.members(app, kind, name).filter_map(|slot| self.hub.id_of(slot)).collect()
    }

    /// The link of a share that is called so.
    fn routable(&self, app: AppId, name: &Name) -> Result<SessionId, CommandError> {
        match self.listeners.named(app, name) {
            Some((link, true)) => Ok(link),
            Some((_, false)) => {
                let message = format!(
                    "link: {} listens without a share, and gets every event; name a link of a share",
                    Quoted(name)
                );
                Err(CommandError::new(ErrorCode::BadRequest, message))
            }
            None => {
                let message = format!(
                    "link: no link of this app that listens is called {}; it may have ended: route to another one",
                    Quoted(name)
                );
                Err(CommandError::new(ErrorCode::NotFound, message))
            }
        }
    }

    /// The session goes where its routes say. Whether it goes anywhere.
    fn follow_route(&mut self, session: SessionId) -> bool {
        match self.hub.id_of(session.slot()) == Some(session) {
            true => self.listeners.follow_route(session, &self.hub),
            false => false,
        }
    }

    /// The groups or the user of the session in `slot` have changed: it may have another link.
    pub(super) fn note_rerouted(&mut self, slot: u32) {
        if self.listeners.has_routes()
            && let Some(session) = self.hub.id_of(slot)
        {
            self.rerouted.push(session);
        }
    }

    /// Whether sessions may have other links.
    #[inline]
    pub(super) fn has_rerouted(&self) -> bool {
        !self.rerouted.is_empty()
    }

    /// Sessions of which groups or users have changed go where their routes say.
    pub fn follow_routes(&mut self) {
        for session in std::mem::take(&mut self.rerouted) {
            self.follow_route(session);
        }
    }

    /// The link is in the list no more.
    pub(super) fn end_of_link(&mut self, link: SessionId) {
        let app = self.listeners.app_of(link);
        self.expect_no_snapshot(link);
        let lost = self.listeners.remove(link);
        self.metrics().link_events_lost.add(lost as u64);
        // Where it was the route of a session that is another's as well, that one counts.
        if let Some(app) = app.filter(|_| self.listeners.has_routes()) {
            self.rerouted.extend(self.sessions_of(app));
        }
    }

    /// Divides the sessions here that no route binds evenly anew.
    pub(super) fn rebalance(&mut self, operation: &Operation, share: &Name) {
        let app = operation.app;
        let moved = self.listeners.rebalance(app, share, self.index, &self.hub);
        match moved {
            Some(moved) => operation.count_sessions(moved as u32),
            None => {
                let message = format!("share: no link of this app listens in the share {}", Quoted(share));
                operation.fail(CommandError::new(ErrorCode::NotFound, message));
            }
        }
    }

    /// Begins a move that no event has begun, if there is one and the links of both sides have room: what follows is among the
    /// orders then.
    pub fn begin_next_move(&mut self) -> bool {
        if self.stands_still {
            return false;
        }
        let Some((session, from, to)) = self.listeners.next_move() else { return false };
        let has_room = self.has_room(from) && self.has_room(to);
        match has_room {
            true => self.listeners.begin_move(session, from),
            false => self.listeners.put_move_off(session),
        }
        has_room
    }
}
