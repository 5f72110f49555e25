//! Questions to the hub: which sessions a target means, and pages of a listing. Changes nothing.

use super::Hub;
use super::key::{KeyRef, Kind};
use super::sets::Member;
use crate::dispatch::{Selector, Target};
use crate::session::{AppId, Name, SessionId};
use smallvec::SmallVec;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// What a selection tells beside the slots: indices into [`Target::selectors`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selected {
    /// The users that have a session on this reactor, excepted or not.
    pub users: SmallVec<[usize; 2]>,
    /// The sessions that this reactor would have, but which are not live or another app's.
    pub unknown_sessions: SmallVec<[usize; 2]>,
}

/// What a page of a listing tells beside its ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paged {
    /// The sessions that the selector means here, on this page and off it.
    pub members: usize,
    /// The sessions and members that were looked at for the page: what it has cost.
    pub looked_at: usize,
}

/// Which names a page is to have.
#[derive(Debug, Clone, Copy)]
pub struct NamesWanted<'a> {
    /// Of this app.
    pub app: AppId,
    /// Users, groups or tags.
    pub kind: Kind,
    /// Names that begin so.
    pub prefix: &'a str,
    /// Names behind this one.
    pub after: Option<&'a Name>,
    /// So many at the most.
    pub limit: usize,
}

impl Hub {
    /// Makes `out` the slots of the sessions that `target` means, less `except` and those that `without` means: each once, in no
    /// order.
    pub fn select(
        &mut self,
        app: AppId,
        target: &Target,
        except: Option<SessionId>,
        without: &[Selector],
        out: &mut Vec<u32>,
    ) -> Selected {
        out.clear();
        let mut selected = Selected::default();
        let except = except.filter(|&id| self.id_of(id.slot()) == Some(id)).map(SessionId::slot);
        if let [selector] = target.selectors()
            && without.is_empty()
            && !matches!(selector, Selector::AllOf(_))
        {
            let members = match self.count_push(app, selector) {
                Some(group) => self.sets.get(group).members.as_slice(),
                None => self.selected_members(app, selector),
            };
            self.report(0, selector, members, &mut selected);
            out.reserve(members.len());
            out.extend(members.iter().map(|member| member.slot).filter(|&slot| Some(slot) != except));
            return selected;
        }
        let mut visited = Visited { bits: std::mem::take(&mut self.visited) };
        visited.cover(self.sessions.bound());
        if let Some(slot) = except {
            visited.insert(slot);
        }
        let (mut left_out, mut common) = (Vec::new(), Vec::new());
        for selector in without {
            self.slots_in_common(app, selector, &mut common);
            left_out.extend(common.drain(..).filter(|&slot| visited.insert(slot)));
        }
        for (index, selector) in target.selectors().iter().enumerate() {
            if let Selector::AllOf(_) = selector {
                self.slots_in_common(app, selector, &mut common);
                out.extend(common.drain(..).filter(|&slot| visited.insert(slot)));
                continue;
            }
            let members = match self.count_push(app, selector) {
                Some(group) => self.sets.get(group).members.as_slice(),
                None => self.selected_members(app, selector),
            };
            self.report(index, selector, members, &mut selected);
            out.extend(members.iter().map(|member| member.slot).filter(|&slot| visited.insert(slot)));
        }
        out.iter().copied().chain(except).chain(left_out).for_each(|slot| visited.forget(slot));
        self.visited = visited.bits;
        selected
    }

    /// Pushes that have named the group here since it has had members.
    pub fn pushes_to_group(&self, app: AppId, group: &Name) -> u64 {
        let set = self.sets.find(KeyRef::new(app, Kind::Group, group));
        set.map_or(0, |set| u64::from(self.sets.pushes(set)))
    }

    /// Where `selector` names a group that is here: counts a push for it. Its set.
    #[inline]
    fn count_push(&mut self, app: AppId, selector: &Selector) -> Option<u32> {
        let Selector::Group(group) = selector else { return None };
        let set = self.sets.find(KeyRef::new(app, Kind::Group, group))?;
        self.sets.count_push(set);
        Some(set)
    }

    /// Makes `out` the slots of the sessions here that every part of `selector` means: of the fewest that one of them means, those that
    /// are in all the others.
    pub fn slots_in_common(&self, app: AppId, selector: &Selector, out: &mut Vec<u32>) {
        out.clear();
        let mut parts = SmallVec::<[&Selector; 4]>::new();
        flatten(selector, &mut parts);
        let fewest = parts.iter().enumerate().min_by_key(|(_, part)| self.selected_members(app, part).len());
        let Some((index, fewest)) = fewest else { return };
        let members = self.selected_members(app, fewest);
        if members.is_empty() {
            return;
        }
        let mut sets = SmallVec::<[u32; 4]>::new();
        let mut only = None;
        for part in parts.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, part)| part) {
            match part {
                // It means as few as the fewest: one.
                Selector::Session(id) => only = Some(id.slot()),
                _ => sets.extend(KeyRef::of_selector(app, part).and_then(|key| self.sets.find(key))),
            }
        }
        let slots = members.iter().map(|member| member.slot).filter(|&slot| {
            only.is_none_or(|only| only == slot)
                && sets.iter().all(|&set| self.find_membership(slot, set).is_some())
        });
        out.extend(slots);
    }

    /// Looks through so many sets, from the one with the number `from` on, for names of this kind of the app that begin with `prefix` and
    /// stand behind `after`. The first `limit` of all there have been so far are in `names`, with how many sessions they have. Where
    /// to go on; `None` where there are no more.
    pub fn gather_names(
        &self,
        wanted: &NamesWanted<'_>,
        from: u32,
        most: usize,
        names: &mut BTreeMap<Name, u32>,
    ) -> Option<u32> {
        let NamesWanted { app, kind, prefix, after, limit } = *wanted;
        let mut next = self.sets.next(from);
        for _ in 0..most {
            let number = next?;
            let set = self.sets.get(number);
            if set.key.kind() == kind
                && set.key.app_id() == app
                && let Some(name) = set.key.name()
                && name.as_str().starts_with(prefix)
                && after.is_none_or(|after| name > after)
                && (names.len() < limit || names.last_key_value().is_some_and(|(last, _)| name < last))
            {
                names.insert(name.clone(), set.members.len() as u32);
                if names.len() > limit {
                    names.pop_last();
                }
            }
            next = self.sets.next(number + 1);
        }
        next
    }

    /// Looks at so many sets, from the one with the number `from` on, for users, each of which goes to `each`. Where to go on; `None` where
    /// there are no more. A user who has sessions here all the time comes once, whatever comes and goes between two such looks.
    pub fn users_from(&self, from: u32, most: usize, mut each: impl FnMut(AppId, &Name)) -> Option<u32> {
        let mut next = self.sets.next(from);
        for _ in 0..most {
            let number = next?;
            let key = &self.sets.get(number).key;
            if key.kind() == Kind::User
                && let Some(name) = key.name()
            {
                each(key.app_id(), name);
            }
            next = self.sets.next(number + 1);
        }
        next
    }

    /// Whether `selector` means the session in the slot.
    pub fn is_meant(&self, app: AppId, selector: &Selector, slot: u32) -> bool {
        match selector {
            Selector::Session(id) => id.slot() == slot && self.contains(*id, app),
            Selector::AllOf(parts) => parts.iter().all(|part| self.is_meant(app, part, slot)),
            _ => {
                let set = KeyRef::of_selector(app, selector).and_then(|key| self.sets.find(key));
                set.is_some_and(|set| self.find_membership(slot, set).is_some())
            }
        }
    }

    /// The slots of the user's, group's or tag's sessions here; with [`Kind::App`] and an empty name, of the app's. In no order.
    pub fn members(&self, app: AppId, kind: Kind, name: &str) -> impl ExactSizeIterator<Item = u32> {
        self.members_of(KeyRef::new(app, kind, name)).iter().map(|member| member.slot)
    }

    /// Makes `out` the first `limit` sessions behind `after` that `selector` means here, in the order of their places: a
    /// session keeps its place for life, so that the pages of a listing miss none that lives through all of them.
    ///
    /// `after` need not be live: a page goes on behind the place that it has.
    pub fn page(
        &self,
        app: AppId,
        selector: &Selector,
        limit: usize,
        after: Option<SessionId>,
        out: &mut Vec<SessionId>,
    ) -> Paged {
        out.clear();
        let members = self.selected_members(app, selector);
        let mut paged = Paged { members: members.len(), looked_at: 0 };
        let (Some(&first), Some(mut slot)) = (members.first(), self.first_slot_behind(after)) else {
            return paged;
        };
        // Either every slot from here on is asked whether it is a member's, or every member whether its slot is among the
        // next. The walk stops where it has cost as much as the other way, so that members who stand far away cost twice that at
        // the most. The one member that a session's id names is never walked for.
        if limit.saturating_mul(self.sessions.len()) / members.len() < members.len() {
            let set = self.memberships(first.slot)[first.back as usize].set;
            let Some(rest) = self.walk(set, slot, limit, members.len(), out, &mut paged.looked_at) else {
                return paged;
            };
            slot = rest;
        }
        paged.looked_at += members.len();
        let slots = lowest(members.iter().map(|member| member.slot), slot, limit - out.len());
        out.extend(slots.into_iter().map(|slot| self.sessions[slot].id));
        paged
    }

    /// The slot at which a page of this reactor's begins; `None` where all of its sessions come before.
    fn first_slot_behind(&self, after: Option<SessionId>) -> Option<u32> {
        let Some((node, worker, slot)) = after.map(SessionId::place) else { return Some(0) };
        match (node, usize::from(worker)).cmp(&(self.interest.node(), self.reactor)) {
            Ordering::Less => Some(0),
            Ordering::Equal => Some(slot + 1),
            Ordering::Greater => None,
        }
    }

    /// Puts the members of `set` from `first` on into `out`, until they are `limit` or there are no more: `None`; or until
    /// `most` sessions have been looked at: the slot to go on from.
    fn walk(
        &self,
        set: u32,
        first: u32,
        limit: usize,
        most: usize,
        out: &mut Vec<SessionId>,
        looked_at: &mut usize,
    ) -> Option<u32> {
        let mut next = self.sessions.next(first);
        while let Some(slot) = next.filter(|_| out.len() < limit) {
            if *looked_at == most {
                return next;
            }
            *looked_at += 1;
            let session = &self.sessions[slot];
            if session.memberships.iter().any(|membership| membership.set == set) {
                out.push(session.id);
            }
            next = self.sessions.next(slot + 1);
        }
        None
    }

    fn members_of(&self, key: KeyRef<'_>) -> &[Member] {
        self.sets.find(key).map_or(&[], |set| self.sets.get(set).members.as_slice())
    }

    fn selected_members(&self, app: AppId, selector: &Selector) -> &[Member] {
        match selector {
            Selector::Session(id) if self.contains(*id, app) => self.member_of_app(id.slot()),
            _ => KeyRef::of_selector(app, selector).map_or(&[], |key| self.members_of(key)),
        }
    }

    /// The session in the slot as the one member of a slice: a piece of its app's.
    fn member_of_app(&self, slot: u32) -> &[Member] {
        self.memberships(slot).first().map_or(&[], |membership| {
            let position = membership.position as usize;
            &self.sets.get(membership.set).members.as_slice()[position..=position]
        })
    }

    fn report(&self, index: usize, selector: &Selector, members: &[Member], selected: &mut Selected) {
        match selector {
            Selector::User(_) if !members.is_empty() => selected.users.push(index),
            Selector::Session(id) if members.is_empty() && self.interest.owner(*id) == Some(self.reactor) => {
                selected.unknown_sessions.push(index);
            }
            _ => {}
        }
    }
}

/// The parts of `selector`, and theirs.
fn flatten<'s>(selector: &'s Selector, parts: &mut SmallVec<[&'s Selector; 4]>) {
    match selector {
        Selector::AllOf(inner) => inner.iter().for_each(|part| flatten(part, parts)),
        part => parts.push(part),
    }
}

/// The lowest `limit` of the slots from `first` on, ascending.
fn lowest(slots: impl Iterator<Item = u32>, first: u32, limit: usize) -> Vec<u32> {
    /// Slots are cut when there are twice the limit, but no oftener than this.
    const CUT_AT_ONCE: usize = 64;
    let mut kept = Vec::new();
    let mut below = u32::MAX;
    for slot in slots.filter(|&slot| slot >= first) {
        if slot >= below {
            continue;
        }
        kept.push(slot);
        if kept.len() >= limit.saturating_mul(2).max(CUT_AT_ONCE) {
            below = *kept.select_nth_unstable(limit).1;
            kept.truncate(limit);
        }
    }
    kept.sort_unstable();
    kept.truncate(limit);
    kept
}

/// A set of slots, made empty by taking out what was put in.
struct Visited {
    bits: Vec<u64>,
}

impl Visited {
    fn cover(&mut self, slots: usize) {
        let words = slots.div_ceil(64);
        if self.bits.len() < words {
            self.bits.resize(words, 0);
        }
    }

    /// Whether it is new.
    fn insert(&mut self, slot: u32) -> bool {
        let word = &mut self.bits[slot as usize / 64];
        let bit = 1 << (slot % 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    fn forget(&mut self, slot: u32) {
        self.bits[slot as usize / 64] &= !(1 << (slot % 64));
    }
}
