//! What links are shown of a session beside the events themselves, as it is at one moment: its groups, its tags and what its app keeps
//! of what its client has shown. Knows nothing of how it is written.

use super::Core;
use crate::dispatch::Profile;
use crate::session::Name;
use std::sync::Arc;

/// What a session is in and has, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Captured {
    /// The groups that it is in.
    pub groups: Vec<Name>,
    /// The tags that it has.
    pub tags: Vec<Name>,
    /// What its app keeps of what its client has shown.
    pub profile: Option<Arc<Profile>>,
}

impl Core {
    /// The session in `slot` as it is now.
    pub fn capture(&self, slot: u32) -> Captured {
        Captured {
            groups: self.hub.groups_of(slot).cloned().collect(),
            tags: self.hub.tags_of(slot).cloned().collect(),
            profile: self.profile_of(slot).cloned(),
        }
    }

    /// The same, where any link asks for it.
    pub(super) fn capture_for_links(&self, slot: u32) -> Option<Box<Captured>> {
        self.listeners.want_details().then(|| Box::new(self.capture(slot)))
    }

    /// What the app of the session in `slot` keeps of what its client has shown.
    pub fn profile_of(&self, slot: u32) -> Option<&Arc<Profile>> {
        match self.profiles.is_empty() {
            true => None,
            false => self.profiles.get(&slot),
        }
    }

    /// The session in `slot` has opened with this.
    pub fn put_profile(&mut self, slot: u32, profile: Option<Arc<Profile>>) {
        match profile.filter(|profile| !profile.is_empty()) {
            Some(profile) => _ = self.profiles.insert(slot, profile),
            None => self.drop_profile(slot),
        }
    }

    pub(super) fn drop_profile(&mut self, slot: u32) {
        if !self.profiles.is_empty() {
            self.profiles.remove(&slot);
            if self.profiles.is_empty() {
                self.profiles = hashbrown::HashMap::new();
            }
        }
    }

    /// The session in `slot` has another token, with these claims.
    pub(super) fn put_claims(&mut self, slot: u32, claims: Option<Box<str>>) {
        let before = self.profile_of(slot);
        if before.and_then(|profile| profile.claims.as_ref()) != claims.as_ref() {
            let params = before.map_or(Vec::new(), |profile| profile.params.clone());
            self.put_profile(slot, Some(Arc::new(Profile { claims, params })));
        }
    }
}
