//! A session as it opens: its names in the hub, and who it is for those who come back for it.

use crate::connection::Claimant;
use crate::core::Core;
use crate::gateway::api::identity::Identity;
use crate::session::{Name, SessionId};

/// Puts a session and its names into the hub. The groups of which it is to get what they remember.
pub fn enter(core: &mut Core, id: SessionId, identity: &Identity) -> Vec<Name> {
    enter_by_name(core, id, identity);
    join_its_groups(core, id.slot(), identity)
}

/// The part of [`enter`] of which no other player and no link hears.
pub fn enter_by_name(core: &mut Core, id: SessionId, identity: &Identity) {
    core.hub.insert(id, identity.app);
    core.put_user(id.slot(), identity.user.as_ref());
    core.put_profile(id.slot(), identity.profile.clone());
    core.record_as_ordered(id);
    let metrics = core.metrics();
    metrics.opened.of(identity.app.0).add(1);
    metrics.apps.sessions.of(identity.app.0).add(1);
}

/// The rest of [`enter`]: its own groups, and then those that its user is in with every session.
pub fn join_its_groups(core: &mut Core, slot: u32, identity: &Identity) -> Vec<Name> {
    // Before its groups: links are told of those, and shown its tags.
    for tag in &identity.tags {
        core.hub.tag(slot, tag);
    }
    for group in &identity.groups {
        core.join_group(slot, group);
    }
    let mut groups = core.join_sticky(slot);
    groups.splice(..0, identity.groups.iter().cloned());
    groups
}

/// Who opens a session, or comes back for it.
pub fn claimant_of(core: &Core, user: Option<&Name>) -> Claimant {
    Claimant(core.shared.tickets.digest_of_user(user.map(|user| user.as_str())))
}
