//! Sessions that are to have another link of their share: because a route says so, or so that each has as many as the others.

use super::{Group, Listeners};
use crate::dispatch::Routed;
use crate::hub::Hub;
use crate::session::{AppId, Name, SessionId};
use hashbrown::HashMap;

impl Listeners {
    /// The link of the app that is called so, and whether it is one of a share.
    pub fn named(&self, app: AppId, name: &Name) -> Option<(SessionId, bool)> {
        let groups = self.groups.iter().filter(|group| group.app == app);
        let mut all = groups.flat_map(|group| group.listeners.iter().map(move |one| (group, one)));
        let found = all.find(|(_, one)| one.listen.name.as_ref() == Some(name) && !one.has_ended);
        found.map(|(group, one)| (one.link, group.share.is_some()))
    }

    /// Whether any route may say another link than a session has.
    #[inline]
    pub fn has_routes(&self) -> bool {
        self.groups.iter().any(|group| !group.routes.is_empty())
    }

    /// Whether a route would be one more than `most`, of all apps together.
    pub fn are_routes_full(&self, app: AppId, what: &Routed, most: usize) -> bool {
        let all: usize = self.groups.iter().map(|group| group.routes.len()).sum();
        let mut of_app = self.groups.iter().filter(|group| group.app == app);
        !matches!(what, Routed::Session(_)) && all >= most && !of_app.any(|group| group.routes.has(what))
    }

    /// Sets a route to a link of a share, or ends it in every share. No session has moved.
    pub fn route(&mut self, app: AppId, what: &Routed, link: Option<SessionId>, order: u64) {
        for group in Self::shares_of(&mut self.groups, app) {
            if link.is_some_and(|link| group.listener(link).is_none()) {
                continue;
            }
            group.routes.set(what, link, order);
            if let Routed::Session(session) = what {
                group.pin(*session, link);
            }
        }
    }

    /// The session goes where its routes say. Whether it goes anywhere.
    pub fn follow_route(&mut self, session: SessionId, hub: &Hub) -> bool {
        let mut goes = false;
        let Some(app) = hub.app_of(session.slot()) else { return false };
        for group in Self::shares_of(&mut self.groups, app) {
            let link = group.route_of(session, hub);
            goes |= link.is_some_and(|link| group.is_to_go(session, link));
        }
        goes
    }

    /// Divides the sessions that no route binds evenly among the links of a share. How many move; `None` where there is no such
    /// share. `reactor` is this one's number: what does not divide evenly is elsewhere on every reactor.
    pub fn rebalance(&mut self, app: AppId, share: &Name, reactor: usize, hub: &Hub) -> Option<usize> {
        let mut shares = Self::shares_of(&mut self.groups, app);
        let group = shares.find(|group| group.share.as_ref() == Some(share))?;
        Some(group.rebalance(reactor, hub))
    }

    /// The next session whose move is to begin, its link and the one that it is to have.
    pub fn next_move(&mut self) -> Option<(SessionId, SessionId, SessionId)> {
        self.groups.iter_mut().find_map(Group::next_move)
    }

    /// The move of the session begins.
    pub fn begin_move(&mut self, session: SessionId, link: SessionId) {
        let Self { groups, orders, .. } = self;
        if let Some(group) = groups.iter_mut().find(|group| group.listener(link).is_some()) {
            group.begin_if_due(session, orders);
        }
    }

    /// The move of the session begins when there is room.
    pub fn put_move_off(&mut self, session: SessionId) {
        let of = self
            .groups
            .iter_mut()
            .find(|group| group.owners.of.get(&session).is_some_and(|owned| owned.is_due()));
        if let Some(group) = of {
            group.owners.moves.push_front(session);
            group.owners.waits = true;
        }
    }
}

impl Group {
    /// The link that a route names for the session: its own, that of its user, or that of one of its groups.
    pub(super) fn route_of(&self, session: SessionId, hub: &Hub) -> Option<SessionId> {
        let owned = self.owners.of.get(&session);
        let pinned = owned.and_then(|owned| owned.rare.as_ref()?.pinned);
        let slot = session.slot();
        let routed = || match self.routes.is_empty() {
            true => None,
            false => self.routes.link_for(hub.user_of(slot), hub.groups_of(slot)),
        };
        let is_there = |link: &SessionId| self.listener(*link).is_some_and(|one| !one.has_ended);
        pinned.filter(is_there).or_else(|| routed().filter(is_there))
    }

    fn pin(&mut self, session: SessionId, link: Option<SessionId>) {
        if let Some(owned) = self.owners.of.get_mut(&session).filter(|owned| !owned.has_departed()) {
            owned.rare().pinned = link;
            owned.tidy();
        }
    }

    fn rebalance(&mut self, reactor: usize, hub: &Hub) -> usize {
        let mut links: Vec<SessionId> =
            self.listeners.iter().filter(|one| !one.has_ended).map(|one| one.link).collect();
        if links.is_empty() {
            return 0;
        }
        links.sort_unstable();
        let mut free: Vec<(SessionId, SessionId)> = Vec::new();
        for (session, owned) in self.owners.of.iter().filter(|(_, owned)| !owned.has_departed()) {
            if self.route_of(*session, hub).is_none() {
                let to = owned.rare.as_ref().and_then(|rare| rare.to);
                free.push((*session, to.unwrap_or(owned.link)));
            }
        }
        let mut room: HashMap<SessionId, usize> = HashMap::new();
        let (each, rest) = (free.len() / links.len(), free.len() % links.len());
        let start = reactor % links.len();
        links.rotate_left(start);
        for (number, link) in links.iter().enumerate() {
            room.insert(*link, each + usize::from(number < rest));
        }
        // Those that stay have their places before those that move.
        free.retain(|(_, link)| match room.get_mut(link) {
            Some(left @ 1..) => {
                *left -= 1;
                false
            }
            _ => true,
        });
        let mut places = links.into_iter().flat_map(|link| {
            let left = room.get(&link).copied().unwrap_or(0);
            std::iter::repeat_n(link, left)
        });
        let mut moved = 0;
        for (session, _) in free {
            let Some(link) = places.next() else { break };
            moved += usize::from(self.is_to_go(session, link));
        }
        moved
    }

    /// Whether moves are to begin, and there is room as far as is known.
    pub(super) fn has_moves(&self) -> bool {
        !self.owners.waits && !self.owners.moves.is_empty()
    }

    fn next_move(&mut self) -> Option<(SessionId, SessionId, SessionId)> {
        while !self.owners.waits
            && let Some(session) = self.owners.moves.pop_front()
        {
            let due = self.owners.of.get(&session).filter(|owned| owned.is_due());
            if let Some((owned, to)) = due.and_then(|owned| Some((owned, owned.rare.as_ref()?.to?))) {
                return Some((session, owned.link, to));
            }
        }
        None
    }
}
