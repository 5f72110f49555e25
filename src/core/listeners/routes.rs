//! Routes: which link has the sessions of a user or of the members of a group, those that are there and those that come. Knows
//! nothing of sessions.

use crate::dispatch::Routed;
use crate::session::{Name, SessionId};
use hashbrown::HashMap;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Routes {
    users: HashMap<Name, Route>,
    groups: HashMap<Name, Route>,
}

/// Where to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) link: SessionId,
    /// A route that was asked for later has a higher number; the same on every reactor.
    pub(super) order: u64,
}

impl Routes {
    pub(super) fn is_empty(&self) -> bool {
        self.users.is_empty() && self.groups.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.users.len() + self.groups.len()
    }

    /// Whether there is a route of these very sessions. That of one session is not here.
    pub(super) fn has(&self, what: &Routed) -> bool {
        match what {
            Routed::User(name) => self.users.contains_key(name),
            Routed::Group(name) => self.groups.contains_key(name),
            Routed::Session(_) => false,
        }
    }

    /// The link that has a session of this user in these groups: the user's route goes before those of groups, of which the one
    /// that was asked for last counts.
    pub(super) fn link_for<'a>(
        &self,
        user: Option<&Name>,
        groups: impl Iterator<Item = &'a Name>,
    ) -> Option<SessionId> {
        let of_user = user.and_then(|user| self.users.get(user));
        let of_groups = || {
            let routed = groups.filter_map(|group| self.groups.get(group));
            routed.max_by_key(|route| route.order)
        };
        of_user.or_else(of_groups).map(|route| route.link)
    }

    /// Sets a route, or ends it, unless one that was asked for later is there. A session's is not here.
    pub(super) fn set(&mut self, what: &Routed, link: Option<SessionId>, order: u64) {
        let (routes, name) = match what {
            Routed::User(name) => (&mut self.users, name),
            Routed::Group(name) => (&mut self.groups, name),
            Routed::Session(_) => return,
        };
        if routes.get(name).is_some_and(|route| route.order > order) {
            return;
        }
        match link {
            Some(link) => _ = routes.insert(name.clone(), Route { link, order }),
            None => _ = routes.remove(name),
        }
    }

    /// The routes to a link end with it.
    pub(super) fn end(&mut self, link: SessionId) {
        self.users.retain(|_, route| route.link != link);
        self.groups.retain(|_, route| route.link != link);
    }

    /// Every route, those of users first, by their order.
    pub(super) fn all(&self) -> Vec<(Routed, Route)> {
        let users = self.users.iter().map(|(name, route)| (Routed::User(name.clone()), *route));
        let groups = self.groups.iter().map(|(name, route)| (Routed::Group(name.clone()), *route));
        let mut all: Vec<_> = users.chain(groups).collect();
        all.sort_by_key(|(_, route)| route.order);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_route_goes_before_a_groups_and_the_newest_group_before_the_others() {
        let [ada, red, blue] = ["ada", "red", "blue"].map(|name| Name::new(name).unwrap());
        let link = SessionId::from_u64;
        let mut routes = Routes::default();
        let groups = [red.clone(), blue.clone()];
        let of = |routes: &Routes, user: Option<&Name>| routes.link_for(user, groups.iter());
        assert_eq!(of(&routes, Some(&ada)), None);
        routes.set(&Routed::Group(blue.clone()), Some(link(1)), 1);
        routes.set(&Routed::Group(red.clone()), Some(link(2)), 2);
        assert_eq!(of(&routes, Some(&ada)), Some(link(2)));
        routes.set(&Routed::Group(blue.clone()), Some(link(1)), 3);
        assert_eq!(of(&routes, None), Some(link(1)));
        // Another reactor heard of this one first.
        routes.set(&Routed::Group(blue.clone()), Some(link(7)), 2);
        assert_eq!(of(&routes, None), Some(link(1)));
        routes.set(&Routed::User(ada.clone()), Some(link(3)), 4);
        assert_eq!((of(&routes, Some(&ada)), of(&routes, None)), (Some(link(3)), Some(link(1))));
        assert_eq!(routes.all().iter().map(|(_, route)| route.order).collect::<Vec<_>>(), [2, 3, 4]);
        routes.end(link(1));
        assert_eq!(of(&routes, None), Some(link(2)));
        routes.set(&Routed::Group(red), None, 5);
        routes.set(&Routed::User(ada), None, 6);
        assert!(routes.is_empty());
    }
}
