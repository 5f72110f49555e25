//! The links that listen for events, as one reactor knows them: every reactor has the same list, kept by operations that
//! go to all. Decides which links an event is for, and which link of a share has a session of this reactor. What follows from
//! that it says as [`Order`]s; knows nothing of how these get there.

mod carry;
mod elsewhere;
mod order;
mod owned;
mod owners;
mod routes;
mod routing;
mod snapshot;
mod untold;

pub use carry::{CarriedListener, CarriedShare};
pub use elsewhere::ShareElsewhere;
pub use order::{Barrier, HandOn, Order};
pub(in crate::core) use owners::mixed;

use super::seats::Kept;
use super::session_state::SessionState;
use crate::dispatch::{EventForm, EventKind, EventSet, LinkForm, Listen, With};
use crate::hub::Hub;
use crate::session::{AppId, Name, SessionId};
use elsewhere::Elsewhere;
use hashbrown::HashSet;
use owners::Owners;
use routes::Routes;
use smallvec::SmallVec;
use std::collections::VecDeque;
pub use untold::Tell;
use untold::Untold;

/// See the module.
#[derive(Debug, Default)]
pub struct Listeners {
    /// None is empty.
    groups: Vec<Group>,
    /// What any of them wants: looked at before anything is made for them.
    wanted: EventSet,
    /// What any of them wants to be shown of sessions.
    with: With,
    /// What is to be sent before any event that is newer, in its order.
    orders: VecDeque<Order>,
    /// Links that ended before this reactor came to put them into the list.
    ended_early: HashSet<SessionId>,
    /// What is known of shares on other nodes.
    elsewhere: Elsewhere,
}

/// The links of an app that divide its sessions among them, or that get the events of all.
#[derive(Debug)]
struct Group {
    app: AppId,
    /// `None` for the links that listen alone.
    share: Option<Name>,
    /// A link is in one group only, once.
    listeners: Vec<Listener>,
    /// Whose the sessions of this reactor are; empty without a share.
    owners: Owners,
    /// Where to routes of users and groups go.
    routes: Routes,
}

#[derive(Debug)]
struct Listener {
    link: SessionId,
    listen: Listen,
    /// It has ended, and others take its sessions over: what is for it is held back.
    has_ended: bool,
    /// Its sessions on this reactor, of those that its share divides.
    sessions: usize,
    /// Sessions of which it is still to be told.
    untold: Untold,
}

/// A link that is to get an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipient {
    /// The link.
    pub link: SessionId,
    /// How the event is encoded.
    pub form: EventForm,
    /// Whether the event waits until its session has another link: it counts at the gate of this one.
    pub is_held: bool,
}

impl Listener {
    fn new(link: SessionId, listen: Listen) -> Self {
        Self { link, listen, has_ended: false, sessions: 0, untold: Untold::default() }
    }

    fn wants(&self, kind: EventKind) -> bool {
        self.listen.events.has(kind)
    }

    fn recipient(&self) -> Recipient {
        Recipient { link: self.link, form: self.listen.event_form(), is_held: false }
    }

    /// It is to get an event of the session: behind what it is still to be told of it.
    fn hears_of(&mut self, session: SessionId, orders: &mut VecDeque<Order>) -> Recipient {
        if let Some(tell) = self.untold.take(session) {
            orders.push_back(Order::state(self, session, tell));
        }
        self.recipient()
    }
}

impl Listeners {
    /// `link` gets events from now on. Where it listens to the app in the same share already, it gets others. `sessions` are those
    /// of the app on this reactor: the first link of a share has them all.
    pub fn add(
        &mut self,
        link: SessionId,
        app: AppId,
        listen: Listen,
        sessions: impl Iterator<Item = SessionId>,
    ) {
        let is_same = |group: &Group| group.app == app && group.share == listen.share;
        let known = self.groups.iter_mut().find(|group| is_same(group) && group.listener(link).is_some());
        if let Some(group) = known {
            group.asks_for(link, listen);
            return self.add_up();
        }
        self.remove(link);
        let group = self.push(link, app, listen);
        if group.listeners.len() == 1 && group.share.is_some() {
            group.is_all_of(link, sessions);
        }
    }

    fn push(&mut self, link: SessionId, app: AppId, listen: Listen) -> &mut Group {
        self.wanted = self.wanted.union(listen.events);
        self.with = self.with.union(listen.with);
        let has_ended = self.ended_early.contains(&link);
        let listener = Listener { has_ended, ..Listener::new(link, listen) };
        let share = &listener.listen.share;
        let at = self.groups.iter().position(|group| group.app == app && group.share == *share);
        let at = at.unwrap_or_else(|| {
            let (share, owners, routes) = (share.clone(), Owners::default(), Routes::default());
            self.groups.push(Group { app, share, listeners: Vec::new(), owners, routes });
            self.groups.len() - 1
        });
        self.groups[at].listeners.push(listener);
        &mut self.groups[at]
    }

    /// `link` gets no more events; others of its share have its sessions. How many events nobody is left for.
    pub fn remove(&mut self, link: SessionId) -> usize {
        self.ended_early.remove(&link);
        let mut lost = 0;
        for group in &mut self.groups {
            lost += group.remove(link, &mut self.orders);
        }
        self.groups.retain(|group| !group.listeners.is_empty());
        self.add_up();
        lost
    }

    fn add_up(&mut self) {
        (self.wanted, self.with) = (EventSet::NONE, With::NONE);
        for listener in self.groups.iter().flat_map(|group| &group.listeners) {
            self.wanted = self.wanted.union(listener.listen.events);
            self.with = self.with.union(listener.listen.with);
        }
    }

    /// Whether any link wants events of this kind, of whatever app.
    #[inline]
    pub fn any_wants(&self, kind: EventKind) -> bool {
        self.wanted.has(kind)
    }

    /// Whether what a session was is to be known when it has closed: some link is told of what is its own.
    pub fn any_is_told_of_its_own(&self) -> bool {
        self.wanted.meets(EventSet::OWNERSHIP)
    }

    /// The kinds that any link wants, of whatever app.
    pub fn wanted(&self) -> EventSet {
        self.wanted
    }

    /// Whether any link listens to the app.
    pub fn serves(&self, app: AppId) -> bool {
        self.groups.iter().any(|group| group.app == app)
    }

    /// Whether any link wants to be shown anything of sessions beside the events themselves.
    #[inline]
    pub fn want_details(&self) -> bool {
        !self.with.is_empty()
    }

    /// The app that the link listens to.
    pub fn app_of(&self, link: SessionId) -> Option<AppId> {
        self.find(link).map(|(group, _)| group.app)
    }

    /// Whether the link is one of a share.
    pub fn is_of_share(&self, link: SessionId) -> bool {
        self.find(link).is_some_and(|(group, _)| group.share.is_some())
    }

    /// Whether others of its share can take over from the link.
    pub fn has_heirs(&self, link: SessionId) -> bool {
        let is_heir = |listener: &Listener| listener.link != link && !listener.has_ended;
        self.find(link).is_some_and(|(group, _)| group.share.is_some() && group.listeners.iter().any(is_heir))
    }

    fn find(&self, link: SessionId) -> Option<(&Group, &Listener)> {
        let found = |group: &'_ Group| group.listeners.iter().position(|listener| listener.link == link);
        self.groups.iter().find_map(|group| Some((group, &group.listeners[found(group)?])))
    }

    fn group_of(&mut self, link: SessionId) -> Option<&mut Group> {
        self.groups.iter_mut().find(|group| group.listeners.iter().any(|listener| listener.link == link))
    }

    /// Whether no link listens to any app.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The links that get an event of `session`: each that listens alone, and of each share the one that has the session, if that
    /// one wants it. What is to be sent before is among the [orders](Self::take_orders).
    pub fn links_for(&mut self, app: AppId, session: SessionId, kind: EventKind) -> SmallVec<[Recipient; 2]> {
        let mut links = SmallVec::new();
        if !self.any_wants(kind) {
            return links;
        }
        let Self { groups, orders, elsewhere, .. } = self;
        for group in groups.iter_mut().filter(|group| group.app == app) {
            match group.share {
                Some(_) if group.is_told_elsewhere(session, kind, elsewhere) => {}
                Some(_) => links.extend(group.owner_for(session, kind, orders)),
                None => {
                    let wanting = group.listeners.iter_mut().filter(|listener| listener.wants(kind));
                    links.extend(wanting.map(|listener| listener.hears_of(session, orders)));
                }
            }
        }
        links
    }

    /// Whether any link gets events of this kind of the session.
    pub fn hears(&self, app: AppId, session: SessionId, kind: EventKind) -> bool {
        self.groups.iter().filter(|group| group.app == app).any(|group| match group.share {
            Some(_) => group.link_with(session).is_some_and(|listener| listener.wants(kind)),
            None => group.listeners.iter().any(|listener| listener.wants(kind)),
        })
    }

    /// The links at whose gates a session's messages count.
    pub fn gates_for(&self, app: AppId, session: SessionId) -> SmallVec<[SessionId; 2]> {
        let mut links = SmallVec::new();
        for group in self.groups.iter().filter(|group| group.app == app) {
            let meant = match group.share {
                Some(_) => group.owners.link_of(session).and_then(|link| group.listener(link)),
                None => None,
            };
            let alone = group.listeners.iter().filter(|_| group.share.is_none());
            let all = meant.into_iter().chain(alone);
            links.extend(all.filter(|one| one.wants(EventKind::Message)).map(|one| one.link));
        }
        links
    }

    /// The links in the list, with their apps and what they asked for.
    pub fn links(&self) -> impl Iterator<Item = (SessionId, AppId, &Listen)> {
        let all = self.groups.iter().flat_map(|group| group.listeners.iter().map(|one| (group.app, one)));
        all.map(|(app, listener)| (listener.link, app, &listener.listen))
    }

    /// The link may have missed something.
    pub fn tell_gap(&mut self, link: SessionId) {
        self.orders.push_back(Order::Gap { link });
    }

    /// Whether something is to be sent before the next event.
    #[inline]
    pub fn has_orders(&self) -> bool {
        !self.orders.is_empty()
    }

    /// What is to be sent before any event that is newer, in its order.
    pub fn take_orders(&mut self) -> VecDeque<Order> {
        std::mem::take(&mut self.orders)
    }
}

/// Sessions of this reactor, and the links of shares that have them.
impl Listeners {
    fn shares_of(groups: &mut [Group], app: AppId) -> impl Iterator<Item = &mut Group> {
        groups.iter_mut().filter(move |group| group.app == app && group.share.is_some())
    }

    /// A session has opened: a link of each share has it, and is told so before its first event.
    pub fn opens(&mut self, app: AppId, session: SessionId, is_told_later: bool, hub: &Hub) {
        for group in Self::shares_of(&mut self.groups, app) {
            group.opens(session, is_told_later, hub, &mut self.orders);
        }
    }

    /// A session is over, and what follows of it is its end. `state` is what it was, where some link is told of what is its own.
    pub fn departs(&mut self, app: AppId, session: SessionId, state: Option<&SessionState>) {
        for group in Self::shares_of(&mut self.groups, app) {
            group.departs(session, state);
        }
    }

    /// All has been told of a session that is over.
    pub fn has_departed(&mut self, app: AppId, session: SessionId) {
        for group in Self::shares_of(&mut self.groups, app) {
            group.has_departed(session, &mut self.orders);
        }
    }

    /// What a session was that is over, where links are still to be told of it.
    pub fn state_of_departed(&self, session: SessionId) -> Option<&SessionState> {
        self.groups.iter().find_map(|group| group.owners.state_of(session))
    }

    /// The event of a session waits until another link than `link` has the session. How it is encoded: where the session has
    /// moved meanwhile, that the event follows it is an order.
    pub fn hold(&mut self, link: SessionId, encoded_for: LinkForm, kept: Kept) {
        let Self { groups, orders, .. } = self;
        if let Some(group) = groups.iter_mut().find(|group| group.listener(link).is_some()) {
            orders.extend(group.hold(link, encoded_for, kept));
        }
    }

    /// The link has ended: from now on what is for it is held back.
    pub fn ends(&mut self, link: SessionId) {
        match self.group_of(link).and_then(|group| group.listener_mut(link)) {
            // Of what it was still to be told those are told that have its sessions then.
            Some(listener) => (listener.has_ended, listener.untold) = (true, Untold::default()),
            None => _ = self.ended_early.insert(link),
        }
    }

    /// Events that `link` will not get, of sessions of this reactor, each session's in their order.
    pub fn come_back(&mut self, link: SessionId, events: Vec<Kept>) {
        let Self { groups, orders, .. } = self;
        let group = groups.iter_mut().find(|group| group.listener(link).is_some());
        if let Some(group) = group {
            events.into_iter().for_each(|kept| group.comes_back(link, kept, orders));
        }
    }

    /// The link has got all of the session that was sent to it. Whether another one has the session now.
    pub fn passed(&mut self, link: SessionId, session: SessionId) -> bool {
        let Self { groups, orders, .. } = self;
        let group = groups.iter_mut().find(|group| group.listener(link).is_some());
        group.is_some_and(|group| group.passed(link, session, orders))
    }
}

/// What is told little by little.
impl Listeners {
    /// The links that are to be told of sessions, and have room as far as is known.
    pub fn untold(&self) -> Vec<SessionId> {
        let all = self.groups.iter().flat_map(|group| &group.listeners);
        all.filter(|listener| listener.untold.has_work()).map(|listener| listener.link).collect()
    }

    /// Whether a link is to be told of sessions, and has room as far as is known.
    pub fn has_work(&self) -> bool {
        self.groups.iter().any(|group| {
            group.has_moves() || group.listeners.iter().any(|listener| listener.untold.has_work())
        })
    }

    /// The link is told of the next of its sessions. `false` where there is none left.
    pub fn tell_next(&mut self, link: SessionId) -> bool {
        let Self { groups, orders, .. } = self;
        let listener = groups.iter_mut().find_map(|group| group.listener_mut(link));
        listener.is_some_and(|listener| match listener.untold.next() {
            Some((session, tell)) => {
                orders.push_back(Order::state(listener, session, tell));
                true
            }
            None => {
                orders.extend(listener.untold.is_through().then_some(Order::Synced { link }));
                false
            }
        })
    }

    /// The link has no room: it is told no more until it has.
    pub fn wait_for_room(&mut self, link: SessionId) {
        if let Some(listener) = self.group_of(link).and_then(|group| group.listener_mut(link)) {
            listener.untold.waits = true;
        }
    }

    /// The link has room again.
    pub fn has_room(&mut self, link: SessionId) {
        let Some(group) = self.group_of(link) else { return };
        group.owners.waits = false;
        if let Some(listener) = group.listener_mut(link) {
            listener.untold.waits = false;
        }
    }
}

impl Group {
    /// The link that has the session.
    fn link_with(&self, session: SessionId) -> Option<&Listener> {
        match self.owners.link_of(session) {
            Some(link) => self.listener(link),
            None => self.by_rank(session, |_| true),
        }
    }

    fn listener(&self, link: SessionId) -> Option<&Listener> {
        self.listeners.iter().find(|listener| listener.link == link)
    }

    fn listener_mut(&mut self, link: SessionId) -> Option<&mut Listener> {
        self.listeners.iter_mut().find(|listener| listener.link == link)
    }
}

#[cfg(test)]
mod tests;
