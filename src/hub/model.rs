//! The obvious hub, a map of sessions that is searched from end to end, and operations read from bytes that it and the real one
//! must answer alike. A fuzzer may choose the bytes.

use super::key::{Key, KeyHasher, Kind};
use super::{Hub, Interest, Sizes};
use crate::choices::Choices;
use crate::dispatch::{Selector, Target};
use crate::session::{AppId, Name, SessionId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const NODE: u16 = 3;
const REACTOR: usize = 1;
const REACTORS: usize = 2;

pub(super) fn name(text: &str) -> Name {
    Name::new(text).expect("the names here are short and plain")
}

#[derive(Default)]
struct Model {
    sessions: BTreeMap<u32, ModelSession>,
}

struct ModelSession {
    id: SessionId,
    app: AppId,
    user: Option<String>,
    groups: BTreeSet<String>,
    tags: BTreeSet<String>,
}

impl ModelSession {
    fn is_meant(&self, app: AppId, selector: &Selector) -> bool {
        self.app == app
            && match selector {
                Selector::Session(id) => self.id == *id,
                Selector::User(user) => self.user.as_deref() == Some(user),
                Selector::Group(group) => self.groups.contains(group.as_str()),
                Selector::Tag(tag) => self.tags.contains(tag.as_str()),
                Selector::All => true,
                Selector::AllOf(parts) => parts.iter().all(|part| self.is_meant(app, part)),
            }
    }
}

impl Model {
    fn meant(&self, app: AppId, selector: &Selector) -> BTreeSet<u32> {
        let meant = self.sessions.iter().filter(|(_, session)| session.is_meant(app, selector));
        meant.map(|(slot, _)| *slot).collect()
    }

    fn leave_all(&mut self, app: AppId, group: &str) -> Vec<u32> {
        let of_app = self.sessions.iter_mut().filter(|(_, session)| session.app == app);
        of_app.filter_map(|(slot, session)| session.groups.remove(group).then_some(*slot)).collect()
    }

    fn sizes(&self) -> Sizes {
        let sessions = || self.sessions.values();
        let users: BTreeSet<_> =
            sessions().filter_map(|s| s.user.as_ref().map(|user| (s.app, user))).collect();
        let groups: BTreeSet<_> =
            sessions().flat_map(|s| s.groups.iter().map(|group| (s.app, group))).collect();
        let tags: BTreeSet<_> = sessions().flat_map(|s| s.tags.iter().map(|tag| (s.app, tag))).collect();
        Sizes { sessions: self.sessions.len(), users: users.len(), groups: groups.len(), tags: tags.len() }
    }
}

impl Choices<'_> {
    fn app(&mut self) -> AppId {
        AppId(self.below(2) as u16)
    }

    /// Of users, groups and tags alike, so that a mix-up shows.
    fn name(&mut self) -> Name {
        name(&format!("name {}", self.below(6)))
    }

    fn selector(&mut self, ids: &[SessionId]) -> Selector {
        match self.below(9) {
            0 => Selector::All,
            8 => Selector::AllOf((0..=self.below(3)).map(|_| self.selector(ids)).collect()),
            1 | 2 => Selector::User(self.name()),
            3 | 4 => Selector::Group(self.name()),
            5 => Selector::Tag(self.name()),
            6 => Selector::Session(self.id(ids)),
            _ => Selector::Session(SessionId::new(
                self.below(5) as u16,
                self.below(4) as u8,
                0,
                self.below(80),
            )),
        }
    }

    /// An id that is or was a session's.
    fn id(&mut self, ids: &[SessionId]) -> SessionId {
        let back = self.below(100) as usize;
        ids.iter().rev().nth(back).copied().unwrap_or(SessionId::new(NODE, REACTOR as u8, 0, 1))
    }
}

/// The hub and the model side by side.
struct Pair {
    hub: Hub,
    interest: Arc<Interest>,
    model: Model,
    /// Every id there ever was, the newest last.
    ids: Vec<SessionId>,
    /// Sessions have slots below this.
    slots: u32,
    /// Whether many names have the same hash: the counts of distinct names are too low then.
    collides: bool,
}

/// Does what `bytes` say to a hub, on up to `slots` sessions, and panics where the model answers differently. Where it
/// `collides`, many names have the same hash.
pub(crate) fn obey(bytes: &[u8], slots: u32, collides: bool) {
    let mut hasher = KeyHasher::default();
    hasher.collides = collides;
    let interest = Arc::new(Interest::with_hasher(NODE, REACTORS, hasher));
    let hub = Hub::new(REACTOR, Arc::clone(&interest));
    let mut pair = Pair { hub, interest, model: Model::default(), ids: Vec::new(), slots, collides };
    let mut choices = Choices::new(bytes);
    for step in 0_u32.. {
        if choices.is_empty() {
            break;
        }
        pair.step(&mut choices);
        if step.is_multiple_of(16) {
            pair.check();
        }
    }
    pair.check();
    for slot in 0..slots {
        let id = pair.model.sessions.remove(&slot).map(|session| session.id);
        assert_eq!(pair.hub.remove(slot), id);
    }
    pair.check();
    assert!(pair.hub.is_empty() && pair.interest.is_empty());
}

impl Pair {
    fn step(&mut self, choices: &mut Choices<'_>) {
        match choices.below(10) {
            0 => self.open(choices),
            1 => self.close(choices),
            2..5 => self.change_session(choices),
            5 => self.change_group(choices),
            6..9 => self.push(choices),
            _ => self.list(choices),
        }
    }

    fn open(&mut self, choices: &mut Choices<'_>) {
        let (slot, app) = (choices.below(self.slots), choices.app());
        let id = SessionId::new(NODE, REACTOR as u8, self.ids.len() as u32, slot);
        self.hub.insert(id, app);
        let session = ModelSession { id, app, user: None, groups: BTreeSet::new(), tags: BTreeSet::new() };
        self.model.sessions.insert(slot, session);
        self.ids.push(id);
    }

    fn close(&mut self, choices: &mut Choices<'_>) {
        let slot = choices.below(self.slots);
        let id = self.model.sessions.remove(&slot).map(|session| session.id);
        assert_eq!(self.hub.remove(slot), id);
    }

    fn change_session(&mut self, choices: &mut Choices<'_>) {
        let (what, slot, name) = (choices.below(8), choices.below(self.slots), choices.name());
        let text = name.to_string();
        let session = self.model.sessions.get_mut(&slot);
        let (changed, expected) = match what {
            0 | 1 => (self.hub.join(slot, &name), session.is_some_and(|s| s.groups.insert(text))),
            2 => (self.hub.leave(slot, &name), session.is_some_and(|s| s.groups.remove(&text))),
            3 => (self.hub.tag(slot, &name), session.is_some_and(|s| s.tags.insert(text))),
            4 => (self.hub.untag(slot, &name), session.is_some_and(|s| s.tags.remove(&text))),
            5 => (self.hub.bind(slot, None), session.is_some_and(|s| s.user.take().is_some())),
            _ => {
                let expected = session.is_some_and(|s| s.user.replace(text) != Some(name.to_string()));
                (self.hub.bind(slot, Some(&name)), expected)
            }
        };
        assert_eq!(changed, expected);
    }

    fn change_group(&mut self, choices: &mut Choices<'_>) {
        let (app, from, to) = (choices.app(), choices.name(), choices.name());
        if choices.below(4) == 0 {
            assert_eq!(self.hub.destroy(app, &from), self.model.leave_all(app, &from).len() as u32);
            return;
        }
        let moved = self.hub.move_members(app, &from, &to);
        if from == to {
            assert_eq!(moved, 0);
            return;
        }
        let members = self.model.leave_all(app, &from);
        assert_eq!(moved, members.len() as u32);
        for slot in members {
            self.model.sessions.get_mut(&slot).expect("a member is live").groups.insert(to.to_string());
        }
    }

    fn push(&mut self, choices: &mut Choices<'_>) {
        let app = choices.app();
        let except = (choices.below(3) == 0).then(|| choices.id(&self.ids));
        let mut target = Target::nobody();
        for _ in 0..[1, 1, 2, 3, 5, 0][choices.below(6) as usize] {
            target.push(choices.selector(&self.ids));
        }
        let mut slots = vec![7];
        let mut without = Vec::new();
        for _ in 0..[0, 0, 1, 3][choices.below(4) as usize] {
            without.push(choices.selector(&self.ids));
        }
        let selected = self.hub.select(app, &target, except, &without, &mut slots);
        slots.sort_unstable();

        let meant = |selector: &Selector| self.model.meant(app, selector);
        let mut expected: BTreeSet<u32> = target.selectors().iter().flat_map(meant).collect();
        expected.retain(|slot| except != Some(self.model.sessions[slot].id));
        without.iter().flat_map(meant).for_each(|slot| _ = expected.remove(&slot));
        for selector in target.selectors() {
            let is_meant = |slot: u32| self.hub.is_meant(app, selector, slot);
            assert!((0..self.slots).filter(|slot| is_meant(*slot)).eq(meant(selector)));
        }
        assert_eq!(slots, expected.into_iter().collect::<Vec<_>>());
        for (index, selector) in target.selectors().iter().enumerate() {
            let none = meant(selector).is_empty();
            let user = matches!(selector, Selector::User(_)) && !none;
            assert_eq!(selected.users.contains(&index), user);
            let ours = |id: &SessionId| (id.node(), usize::from(id.worker())) == (NODE, REACTOR);
            let unknown = matches!(selector, Selector::Session(id) if none && ours(id));
            assert_eq!(selected.unknown_sessions.contains(&index), unknown);
        }
        let reactors = self.interest.reactors_of(app, &target);
        let other = |selector: &Selector| matches!(selector, Selector::Session(id) if id.node() == NODE && id.worker() == 0);
        // What is in common with a session of another reactor may be there, whatever else is named.
        if !target.selectors().iter().any(|selector| matches!(selector, Selector::AllOf(_))) {
            assert_eq!(reactors.contains(0), target.selectors().iter().any(other));
        }
        assert!(slots.is_empty() || reactors.contains(REACTOR));
        assert!(!reactors.contains(2) && !reactors.contains(3));
    }

    fn list(&mut self, choices: &mut Choices<'_>) {
        let (app, selector, limit) = (choices.app(), choices.selector(&self.ids), choices.below(12) as usize);
        // What several selectors have in common is no listing.
        let selector = if matches!(selector, Selector::AllOf(_)) { Selector::All } else { selector };
        let after = match choices.below(4) {
            0 | 1 => None,
            2 => Some(choices.id(&self.ids)),
            _ => Some(SessionId::new(
                NODE,
                choices.below(4) as u8,
                choices.below(3),
                choices.below(self.slots),
            )),
        };
        let mut page = Vec::new();
        let paged = self.hub.page(app, &selector, limit, after, &mut page);
        let meant = self.model.meant(app, &selector);
        assert_eq!(paged.members, meant.len());
        assert!(paged.looked_at <= 2 * meant.len());
        let mut expected: Vec<_> = meant.iter().map(|slot| self.model.sessions[slot].id).collect();
        expected.sort_unstable_by_key(|id| (id.worker(), id.slot()));
        expected
            .retain(|id| after.is_none_or(|after| (id.worker(), id.slot()) > (after.worker(), after.slot())));
        expected.truncate(limit);
        assert_eq!(page, expected);
    }

    fn check(&self) {
        let (hub, model) = (&self.hub, &self.model);
        hub.check_links();
        assert_eq!(hub.sizes(), model.sizes());
        for slot in 0..self.slots + 10 {
            let session = model.sessions.get(&slot);
            assert_eq!(hub.id_of(slot), session.map(|session| session.id));
            assert_eq!(hub.app_of(slot), session.map(|session| session.app));
            let Some(session) = session else { continue };
            assert!(hub.contains(session.id, session.app));
            assert!(!hub.contains(session.id, AppId(9)));
            assert_eq!(hub.user_of(slot).map(Name::as_str), session.user.as_deref());
            assert_eq!(hub.groups_of(slot).map(Name::to_string).collect::<BTreeSet<_>>(), session.groups);
            assert_eq!(hub.tags_of(slot).map(Name::to_string).collect::<BTreeSet<_>>(), session.tags);
            assert_eq!(hub.groups_len(slot), session.groups.len());
            assert_eq!(hub.tags_len(slot), session.tags.len());
        }
        let counts = self.interest.counts();
        let sizes = hub.sizes();
        if self.collides {
            assert!(
                counts.users <= sizes.users && counts.groups <= sizes.groups && counts.tags <= sizes.tags
            );
            return;
        }
        assert_eq!((counts.users, counts.groups, counts.tags), (sizes.users, sizes.groups, sizes.tags));
    }
}

impl Hub {
    /// Both directions agree, and the interest table knows every set.
    pub(super) fn check_links(&self) {
        let mut members = 0;
        for (number, set) in self.sets.iter() {
            let key = set.key.borrowed();
            assert_eq!(self.sets.find(key), Some(number));
            assert!(set.members.len() > 0);
            let name = set.key.name().map_or("", Name::as_str);
            let reactors = self.interest.reactors(set.key.app_id(), set.key.kind(), name);
            assert!(reactors.contains(self.reactor));
            members += set.members.len();
            for (position, member) in set.members.as_slice().iter().enumerate() {
                let membership = self.memberships(member.slot)[member.back as usize];
                assert_eq!((membership.set, membership.position), (number, position as u32));
            }
        }
        let memberships: usize = self.sessions.iter().map(|(_, session)| session.memberships.len()).sum();
        assert_eq!(memberships, members);
        for slot in self.sessions.iter().map(|(slot, _)| slot) {
            assert_eq!(self.keys_of(slot).map(Key::kind).position(|kind| kind == Kind::App), Some(0));
            assert!(self.keys_of(slot).skip(2).all(|key| matches!(key.kind(), Kind::Group | Kind::Tag)));
        }
        assert!(self.visited.iter().all(|&word| word == 0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choices::{Xorshift, random_bytes};

    #[test]
    fn answers_like_the_model() {
        for (seed, slots) in [(1, 6), (2, 6), (3, 40), (4, 40), (5, 250)] {
            obey(&random_bytes(seed, 60_000), slots, false);
            obey(&random_bytes(seed + 5, 60_000), slots, true);
        }
    }

    const APP: AppId = AppId(0);

    /// A hub with sessions in the slots below `slots`, of generations that say nothing, and their ids by slot.
    fn crowd(slots: u32) -> (Hub, Vec<SessionId>) {
        let mut hub = Hub::new(0, Arc::new(Interest::new(NODE, 1)));
        let mut random = Xorshift(9);
        let ids: Vec<_> =
            (0..slots).map(|slot| SessionId::new(NODE, 0, random.below(1 << 22), slot)).collect();
        ids.iter().for_each(|&id| hub.insert(id, APP));
        (hub, ids)
    }

    /// All pages of a listing, and how many sessions and members were looked at for them.
    fn list_all(hub: &Hub, selector: &Selector, limit: usize) -> (Vec<SessionId>, usize) {
        let (mut listed, mut page, mut looked_at) = (Vec::new(), Vec::new(), 0);
        loop {
            looked_at += hub.page(APP, selector, limit, listed.last().copied(), &mut page).looked_at;
            listed.append(&mut page.clone());
            if page.len() < limit {
                return (listed, looked_at);
            }
        }
    }

    #[test]
    fn a_page_is_cut_from_many() {
        let (mut hub, ids) = crowd(5_000);
        let group = name("g");
        let members: Vec<_> = ids.iter().copied().filter(|id| id.slot() % 7 == 3).collect();
        members.iter().for_each(|id| _ = hub.join(id.slot(), &group));
        for (selector, ids) in [(Selector::All, &ids), (Selector::Group(group), &members)] {
            for limit in [0, 1, 31, 32, 33, 100, ids.len() - 1, ids.len(), ids.len() + 1, usize::MAX] {
                for after in [0, 1, ids.len() / 2, ids.len() - 1, ids.len()] {
                    let mut page = Vec::new();
                    let last = after.checked_sub(1).map(|last| ids[last]);
                    assert_eq!(hub.page(APP, &selector, limit, last, &mut page).members, ids.len());
                    assert!(page.iter().eq(ids[after..].iter().take(limit)));
                }
            }
        }
    }

    #[test]
    fn a_whole_listing_costs_a_few_looks_a_session_whatever_its_limit() {
        const SESSIONS: u32 = 20_000;
        let (mut hub, ids) = crowd(SESSIONS);
        let (listed, looked_at) = list_all(&hub, &Selector::All, 10);
        assert!(listed == ids && looked_at <= ids.len(), "{looked_at}");
        type Member = fn(u32) -> bool;
        let groups: [(&str, Member); 6] = [
            ("spread", |slot| slot % 3 == 0),
            ("thin", |slot| slot % 100 == 99),
            ("few", |slot| slot % 5_000 == 7),
            ("last", |slot| slot >= SESSIONS / 2),
            ("both ends", |slot| !(1_000..SESSIONS - 1_000).contains(&slot)),
            ("crowds", |slot| slot / 100 % 10 == 0),
        ];
        for (text, is_member) in groups {
            let group = name(text);
            let members: Vec<_> = ids.iter().copied().filter(|id| is_member(id.slot())).collect();
            members.iter().for_each(|id| _ = hub.join(id.slot(), &group));
            for limit in [1, 10, 100, 1_000] {
                let (listed, looked_at) = list_all(&hub, &Selector::Group(group.clone()), limit);
                assert_eq!(listed, members);
                assert!(looked_at <= 3 * ids.len(), "{text} by {limit}: {looked_at}");
            }
        }
    }

    #[test]
    fn a_session_that_lives_through_a_listing_is_on_one_page_whoever_comes_and_goes() {
        let (mut hub, ids) = crowd(3_000);
        let mut random = Xorshift(4);
        let (mut listed, mut page, mut gone) = (Vec::new(), Vec::new(), BTreeSet::new());
        loop {
            hub.page(APP, &Selector::All, 100, listed.last().copied(), &mut page);
            let Some(&last) = page.last() else { break };
            listed.append(&mut page);
            // The last one listed closes, and others; some of their slots are taken again, by lower and higher generations.
            for other in 0..30 {
                let slot = if other == 0 { last.slot() } else { random.below(3_000) };
                hub.remove(slot);
                gone.insert(slot);
                if random.below(2) == 0 {
                    hub.insert(SessionId::new(NODE, 0, random.below(1 << 22), slot), APP);
                }
            }
        }
        assert!(listed.is_sorted_by(|a, b| a.slot() < b.slot()), "each slot once");
        let lived: Vec<_> = ids.into_iter().filter(|id| !gone.contains(&id.slot())).collect();
        assert!(lived.len() > 1_000 && lived.iter().all(|id| listed.contains(id)));
    }
}
