//! Questions to the hub: which sessions a target means, and pages of a listing. Changes nothing.

use super::Hub;
use super::key::{KeyRef, Kind};
use super::sets::Member;
use crate::dispatch::{Selector, Target};
use crate::session::{AppId, SessionId};
use smallvec::SmallVec;

/// What a selection tells beside the slots: indices into [`Target::selectors`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selected {
    /// The users that have a session on this reactor, excepted or not.
    pub users: SmallVec<[usize; 2]>,
    /// The sessions that this reactor would have, but which are not live or another app's.
    pub unknown_sessions: SmallVec<[usize; 2]>,
}

impl Hub {
    /// Makes `out` the slots of the sessions that `target` means, less `except`: each once, in no order.
    pub fn select(
        &mut self,
        app: AppId,
        target: &Target,
        except: Option<SessionId>,
        out: &mut Vec<u32>,
    ) -> Selected {
        out.clear();
        let mut selected = Selected::default();
        let except = except.filter(|&id| self.id_of(id.slot()) == Some(id)).map(SessionId::slot);
        if let [selector] = target.selectors() {
            let members = self.selected_members(app, selector);
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
        for (index, selector) in target.selectors().iter().enumerate() {
            let members = self.selected_members(app, selector);
            self.report(index, selector, members, &mut selected);
            out.extend(members.iter().map(|member| member.slot).filter(|&slot| visited.insert(slot)));
        }
        out.iter().copied().chain(except).for_each(|slot| visited.forget(slot));
        self.visited = visited.bits;
        selected
    }

    /// The slots of the user's, group's or tag's sessions here; with [`Kind::App`] and an empty name, of the app's. In no order.
    pub fn members(&self, app: AppId, kind: Kind, name: &str) -> impl ExactSizeIterator<Item = u32> {
        self.members_of(KeyRef::new(app, kind, name)).iter().map(|member| member.slot)
    }

    /// Makes `out` the lowest `limit` ids above `after` of the sessions that `selector` means here, ascending; returns how many
    /// sessions it means in all.
    pub fn page(
        &self,
        app: AppId,
        selector: &Selector,
        limit: usize,
        after: Option<SessionId>,
        out: &mut Vec<SessionId>,
    ) -> usize {
        out.clear();
        let members = self.selected_members(app, selector);
        let mut below = None;
        let ids = members.iter().map(|member| self.sessions[member.slot].id);
        for id in ids.filter(|&id| Some(id) > after) {
            if below.is_some_and(|below| id > below) {
                continue;
            }
            out.push(id);
            if out.len() >= limit.saturating_mul(2).max(SORTED_AT_ONCE) {
                below = cut_to_lowest(out, limit);
            }
        }
        cut_to_lowest(out, limit);
        out.sort_unstable();
        members.len()
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

/// A page is cut when twice its limit is there, but no oftener than this.
const SORTED_AT_ONCE: usize = 64;

/// Cuts `ids` to the lowest `limit`, in no order; the highest of them, if any was cut off.
fn cut_to_lowest(ids: &mut Vec<SessionId>, limit: usize) -> Option<SessionId> {
    if ids.len() <= limit {
        return None;
    }
    let highest = limit.checked_sub(1).map(|last| *ids.select_nth_unstable(last).1);
    ids.truncate(limit);
    highest
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
