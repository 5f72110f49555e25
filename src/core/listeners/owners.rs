//! The sessions of this reactor that the links of one share divide: each has one link, from its open to its end, unless that
//! link ends or the session is moved.
//!
//! A session moves so: its events are held back here; the old link gets its last one, and its reactor says when all that was sent
//! there has been taken by the link's socket; then the new link gets what was held back. Where the old link ends, its reactor
//! gives back what no socket had taken, and then says that the link has ended: the new link gets that first.

use super::owned::{Departed, Owned};
use super::untold::Tell;
use super::{Barrier, Group, HandOn, Kept, Listener, Order, Recipient};
use crate::core::session_state::SessionState;
use crate::dispatch::{EventForm, EventKind, LinkForm, Listen, With};
use crate::hub::Hub;
use crate::session::SessionId;
use hashbrown::HashMap;
use std::cmp::Reverse;
use std::collections::VecDeque;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Owners {
    pub(super) of: HashMap<SessionId, Owned>,
    /// Sessions whose moves are to begin; those that have begun, or are not to move any more, are passed over.
    pub(super) moves: VecDeque<SessionId>,
    /// Links on either side have no room: moves that no event begins wait until one has.
    pub(super) waits: bool,
}

impl Owners {
    pub(super) fn link_of(&self, session: SessionId) -> Option<SessionId> {
        self.of.get(&session).map(|owned| owned.link)
    }

    /// The routes of sessions to a link end with it.
    fn unpin(&mut self, link: SessionId) {
        for owned in self.of.values_mut() {
            if let Some(rare) = &mut owned.rare
                && rare.pinned == Some(link)
            {
                rare.pinned = None;
                owned.tidy();
            }
        }
    }

    pub(super) fn state_of(&self, session: SessionId) -> Option<&SessionState> {
        self.of.get(&session)?.rare.as_ref()?.departed.as_ref()?.state.as_ref()
    }
}

impl Group {
    /// Whether any of its links is told of what is its own.
    fn is_told(&self) -> bool {
        let kinds = [EventKind::Assigned, EventKind::Unassigned];
        self.listeners.iter().any(|listener| kinds.iter().any(|kind| listener.wants(*kind)))
    }

    /// The link that a session is to have: of those with the fewest sessions here the one that its id names.
    pub(super) fn choice(&self, session: SessionId) -> Option<SessionId> {
        let living = self.listeners.iter().filter(|listener| !listener.has_ended);
        let rank = |listener: &&Listener| (listener.sessions, Reverse(mixed(session, listener.link)));
        living.min_by_key(rank).map(|listener| listener.link)
    }

    /// The link that a session has of which nothing is known here: the one that its id names, of those that `may` have it.
    pub(super) fn by_rank(&self, session: SessionId, may: impl Fn(&Listener) -> bool) -> Option<&Listener> {
        let living = self.listeners.iter().filter(|listener| !listener.has_ended && may(listener));
        living.max_by_key(|listener| (mixed(session, listener.link), listener.link))
    }

    /// Puts a session into the table, without a word.
    pub(super) fn put(&mut self, session: SessionId, link: SessionId) {
        if let Some(listener) = self.listener_mut(link) {
            listener.sessions += 1;
            self.owners.of.insert(session, Owned::by(link));
        }
    }

    /// The first link of a share has all the sessions that are there.
    pub(super) fn is_all_of(&mut self, link: SessionId, sessions: impl Iterator<Item = SessionId>) {
        for session in sessions {
            self.put(session, link);
            self.is_to_be_told(link, session);
        }
    }

    /// The link has the session, and is told so before anything else of it; one that has ended is told nothing.
    fn is_to_be_told(&mut self, link: SessionId, session: SessionId) {
        let is_wanting =
            |listener: &&mut Listener| !listener.has_ended && listener.wants(EventKind::Assigned);
        let wanting = self.listener_mut(link).filter(is_wanting);
        wanting.into_iter().for_each(|listener| listener.untold.insert(session, Tell::Assigned));
    }

    /// A session has opened; where something else is to be told first, its link is told so later.
    pub(super) fn opens(
        &mut self,
        session: SessionId,
        is_told_later: bool,
        hub: &Hub,
        orders: &mut VecDeque<Order>,
    ) {
        // Where all have ended, the last of them passes it on.
        let ended = self.listeners.first().map(|listener| listener.link);
        let choice = self.route_of(session, hub).or_else(|| self.choice(session));
        let Some(link) = choice.or(ended) else { return };
        self.put(session, link);
        if is_told_later {
            return self.is_to_be_told(link, session);
        }
        let is_told = |listener: &&Listener| !listener.has_ended && listener.wants(EventKind::Assigned);
        let listener = self.listener(link).filter(is_told);
        orders.extend(listener.map(|listener| Order::assigned(listener, session)));
    }

    /// The link asks for other events than before: it may be told of what is its own from now on.
    pub(super) fn asks_for(&mut self, link: SessionId, listen: Listen) {
        let Some(listener) = self.listener_mut(link) else { return };
        let begins = !listener.wants(EventKind::Assigned) && listen.events.has(EventKind::Assigned);
        listener.listen = listen;
        if begins {
            let is_own = |owned: &Owned| owned.link == link && !owned.is_moving() && !owned.has_departed();
            let own = self.owners.of.iter().filter(|(_, owned)| is_own(owned));
            for session in own.map(|(session, _)| *session).collect::<Vec<_>>() {
                self.is_to_be_told(link, session);
            }
        }
    }

    /// The event waits until its session has another link than this one; where it has one already, it goes there.
    pub(super) fn hold(&mut self, link: SessionId, encoded_for: LinkForm, kept: Kept) -> Option<Order> {
        let owned = self.owners.of.get_mut(&kept.session)?;
        if owned.is_moving() {
            owned.rare().held.push(kept);
            return None;
        }
        let owner = self.listeners.iter().find(|listener| listener.link == owned.link)?;
        Some(Order::HandOn(HandOn { encoded_for, ..HandOn::to(owner, kept, Some(link)) }))
    }

    /// The link that gets an event of the session.
    pub(super) fn owner_for(
        &mut self,
        session: SessionId,
        kind: EventKind,
        orders: &mut VecDeque<Order>,
    ) -> Option<Recipient> {
        let Some(owned) = self.owners.of.get(&session) else {
            return self.by_rank(session, |listener| listener.wants(kind)).map(Listener::recipient);
        };
        let link = owned.link;
        self.listener(link).filter(|listener| listener.wants(kind))?;
        self.begin_if_due(session, orders);
        let listener = self.listeners.iter_mut().find(|listener| listener.link == link)?;
        let owned = self.owners.of.get_mut(&session)?;
        if listener.has_ended {
            owned.moves(listener.listen.form);
        }
        if owned.is_moving() {
            let form = owned.rare().form;
            // Which link is to get it is not known.
            let with = self.listeners.iter().fold(With::NONE, |with, one| with.union(one.listen.with));
            return Some(Recipient { link, form: EventForm { form, with }, is_held: true });
        }
        Some(listener.hears_of(session, orders))
    }

    /// The session is to go to another link, of this share. Whether it goes anywhere.
    pub(super) fn is_to_go(&mut self, session: SessionId, to: SessionId) -> bool {
        let owned = self.owners.of.get_mut(&session).filter(|owned| !owned.has_departed());
        let Some(owned) = owned else { return false };
        let (goes, before) = (owned.is_moving() || owned.link != to, owned.rare().to);
        owned.rare().to = Some(to).filter(|_| goes);
        owned.tidy();
        if goes && !owned.is_moving() {
            self.owners.moves.push_back(session);
        }
        goes && before != Some(to)
    }

    /// Where another link is to have the session, its move begins.
    pub(super) fn begin_if_due(&mut self, session: SessionId, orders: &mut VecDeque<Order>) {
        let Some(owned) = self.owners.of.get_mut(&session).filter(|owned| owned.is_due()) else { return };
        let link = owned.link;
        let Some(listener) = self.listeners.iter_mut().find(|listener| listener.link == link) else { return };
        owned.moves(listener.listen.form);
        // One that was never told of it has nothing to be told.
        let was_told = listener.untold.take(session).is_none_or(Tell::is_known);
        // One that has ended gives back what it did not get, and needs no word.
        if !listener.has_ended {
            let is_told = was_told && listener.wants(EventKind::Unassigned);
            orders.extend(is_told.then(|| Order::unassigned(listener, session)));
            orders.push_back(Order::Await { link, session, barrier: Barrier::Moves { is_told } });
        }
    }

    /// The session is over; its end is still to be told.
    pub(super) fn departs(&mut self, session: SessionId, state: Option<&SessionState>) {
        let Some(owned) = self.owners.of.get_mut(&session) else { return };
        let link = owned.link;
        owned.rare().departed = Some(Departed { state: state.cloned() });
        if let Some(listener) = self.listener_mut(link) {
            listener.sessions -= 1;
        }
    }

    /// Its end has been told, or is held back with the rest.
    pub(super) fn has_departed(&mut self, session: SessionId, orders: &mut VecDeque<Order>) {
        let is_told = self.is_told();
        let Some(owned) = self.owners.of.get_mut(&session).filter(|owned| !owned.is_moving()) else { return };
        if !is_told {
            self.owners.of.remove(&session);
            return;
        }
        let link = owned.link;
        let Some(listener) = self.listeners.iter_mut().find(|listener| listener.link == link) else { return };
        owned.moves(listener.listen.form);
        owned.rare().to = None;
        let was_told = listener.untold.take(session).is_none_or(Tell::is_known);
        if was_told && !listener.has_ended && listener.wants(EventKind::Unassigned) {
            orders.push_back(Order::unassigned(listener, session));
        }
        orders.push_back(Order::Await { link, session, barrier: Barrier::Ends });
    }

    /// An event that the link will not get.
    pub(super) fn comes_back(&mut self, link: SessionId, kept: Kept, orders: &mut VecDeque<Order>) {
        let Some(form) = self.listener(link).map(|listener| listener.listen.form) else { return };
        let owned = self.owners.of.entry(kept.session).or_insert_with(|| {
            // A session that is over: all of it has gone to that link.
            let mut owned = Owned::by(link);
            owned.rare().departed = Some(Departed::default());
            owned
        });
        if owned.link == link {
            owned.moves(form);
            owned.rare().returned.push(kept);
        } else if let Some(owner) = self.listeners.iter().find(|listener| listener.link == owned.link) {
            let hand_on = HandOn { encoded_for: form, ..HandOn::to(owner, kept, None) };
            orders.push_back(Order::HandOn(hand_on));
        }
    }

    /// The link has got all of the session that was sent to it. Whether another one has the session now.
    pub(super) fn passed(
        &mut self,
        link: SessionId,
        session: SessionId,
        orders: &mut VecDeque<Order>,
    ) -> bool {
        let owned = self.owners.of.get(&session);
        let Some(owned) = owned.filter(|owned| owned.link == link && owned.is_moving()) else { return false };
        let has_departed = owned.has_departed();
        match has_departed && !owned.has_events() {
            true => _ = self.owners.of.remove(&session),
            false => _ = self.settle(session, Some(link), orders),
        }
        !has_departed
    }

    /// Another link has the session, with all that waited. `counted_for` is the link at whose gate that still counts. How many
    /// events nobody is left for.
    fn settle(
        &mut self,
        session: SessionId,
        counted_for: Option<SessionId>,
        orders: &mut VecDeque<Order>,
    ) -> usize {
        let choice = self.choice(session);
        let is_told = self.is_told();
        let Self { listeners, owners, .. } = self;
        let Some(owned) = owners.of.get_mut(&session) else { return 0 };
        let (before, has_departed) = (owned.link, owned.has_departed());
        let is_there = |link: &SessionId| listeners.iter().any(|one| one.link == *link && !one.has_ended);
        let rare = owned.rare();
        let Some(link) = rare.to.take().filter(is_there).or(choice) else {
            // Those that are left have ended too, and the last of them is through later than this one.
            let next =
                listeners.iter().find(|listener| listener.link != before).map(|listener| listener.link);
            let lost = rare.returned.len() + rare.held.len();
            return match next {
                Some(next) => {
                    owned.link = next;
                    count(listeners, next, has_departed);
                    0
                }
                None => {
                    owners.of.remove(&session);
                    lost
                }
            };
        };
        let (returned, held, form) =
            (std::mem::take(&mut rare.returned), std::mem::take(&mut rare.held), rare.form);
        rare.is_moving = false;
        owned.link = link;
        owned.tidy();
        if let Some(old) = listeners.iter_mut().find(|listener| listener.link == before && !has_departed) {
            old.sessions -= 1;
        }
        count(listeners, link, has_departed);
        let Some(owner) = listeners.iter_mut().find(|listener| listener.link == link) else { return 0 };
        if owner.wants(EventKind::Assigned) {
            orders.push_back(Order::assigned(owner, session));
        }
        let events = returned.into_iter().map(|kept| (kept, None));
        for (kept, counted_for) in events.chain(held.into_iter().map(|kept| (kept, counted_for))) {
            let hand_on = HandOn { encoded_for: form, ..HandOn::to(owner, kept, counted_for) };
            orders.push_back(Order::HandOn(hand_on));
        }
        if has_departed && is_told {
            owned.moves(owner.listen.form);
            if owner.wants(EventKind::Unassigned) {
                orders.push_back(Order::unassigned(owner, session));
            }
            orders.push_back(Order::Await { link, session, barrier: Barrier::Ends });
        } else if has_departed {
            owners.of.remove(&session);
        }
        0
    }

    /// The link is in the list no more: others have its sessions. How many events nobody is left for.
    pub(super) fn remove(&mut self, link: SessionId, orders: &mut VecDeque<Order>) -> usize {
        let Some(at) = self.listeners.iter().position(|listener| listener.link == link) else { return 0 };
        self.listeners.remove(at);
        self.routes.end(link);
        self.owners.unpin(link);
        let own = self.owners.of.iter().filter(|(_, owned)| owned.link == link);
        let mut lost = 0;
        for session in own.map(|(session, _)| *session).collect::<Vec<_>>() {
            lost += self.pass_on(session, orders);
        }
        lost
    }

    /// The link of the session has gone, and has given back all that it did not get.
    fn pass_on(&mut self, session: SessionId, orders: &mut VecDeque<Order>) -> usize {
        let Some(owned) = self.owners.of.get(&session) else { return 0 };
        if owned.has_departed() && !owned.has_events() {
            self.owners.of.remove(&session);
            return 0;
        }
        if owned.has_events() {
            return self.settle(session, None, orders);
        }
        let choice = self.choice(session);
        let Self { listeners, owners, .. } = self;
        let Some(owned) = owners.of.get_mut(&session) else { return 0 };
        let is_there = |link: &SessionId| listeners.iter().any(|one| one.link == *link && !one.has_ended);
        let to = owned.rare.as_mut().and_then(|rare| rare.to.take()).filter(is_there);
        // Where all that are left have ended too, the last of them passes it on.
        let next = to.or(choice).or(listeners.first().map(|listener| listener.link));
        let Some(next) = next else {
            owners.of.remove(&session);
            return 0;
        };
        owned.link = next;
        if let Some(rare) = &mut owned.rare {
            rare.is_moving = false;
        }
        owned.tidy();
        count(listeners, next, false);
        self.is_to_be_told(next, session);
        0
    }
}

/// The link has one more of the sessions that are there.
fn count(listeners: &mut [Listener], link: SessionId, has_departed: bool) {
    let has_it = listeners.iter_mut().find(|listener| listener.link == link && !has_departed);
    has_it.into_iter().for_each(|listener| listener.sessions += 1);
}

impl HandOn {
    fn to(owner: &Listener, kept: Kept, counted_for: Option<SessionId>) -> Self {
        let (form, events) = (owner.listen.event_form(), owner.listen.events);
        Self { link: owner.link, form, events, counted_for, encoded_for: form.form, kept }
    }
}

/// A number that depends on every bit of both ids (the finaliser of SplitMix64).
pub(in crate::core) fn mixed(session: SessionId, link: SessionId) -> u64 {
    let mut bits = session.as_u64() ^ link.as_u64().rotate_left(32);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
