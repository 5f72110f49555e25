//! What commands change of sessions: who is in which group and has which tag, who is closed. A command about several sessions
//! does all of its part here at once. Knows nothing of the form in which a command came.

use super::Core;
use super::places::bind;
use crate::dispatch::{Action, Banned, CommandError, ErrorCode, Operation, Recall, Who};
use crate::hub::Kind;
use crate::protocol::CloseCode;
use crate::session::{AppId, Name, SessionId, close_codes};
use smallvec::SmallVec;
use std::sync::Arc;

impl Core {
    /// This reactor's part of an operation that changes sessions.
    pub(super) fn change(&mut self, operation: &Arc<Operation>) {
        let Some(who) = operation.action.who() else { return self.change_one(operation) };
        match &operation.action {
            Action::Join { group, .. } => {
                each(self, operation, who, |core, slot| join_with(core, slot, group, None, operation));
            }
            Action::JoinWith { group, recall, .. } => {
                match self.check_recall(operation.app, group, Some(*recall)) {
                    Err(error) => operation.fail(error),
                    Ok(_) => each(self, operation, who, |core, slot| {
                        join_with(core, slot, group, Some(*recall), operation)
                    }),
                }
            }
            Action::JoinAll { groups, .. } => {
                each(self, operation, who, |core, slot| join_all(core, slot, groups, operation));
            }
            Action::JoinSticky { groups, recall, .. } => {
                each(self, operation, who, |core, slot| match (recall, &groups[..]) {
                    (Some(recall), [group]) => join_with(core, slot, group, Some(*recall), operation),
                    _ => join_all(core, slot, groups, operation),
                });
            }
            Action::Leave { group, .. } => {
                each(self, operation, who, |core, slot| Ok(core.leave_group(slot, group)));
            }
            Action::LeaveAll { groups, .. } => each(self, operation, who, |core, slot| {
                Ok(groups.iter().fold(false, |left, group| core.leave_group(slot, group) | left))
            }),
            Action::SetGroups { groups, prefix, .. } => {
                let prefix = prefix.as_deref().unwrap_or_default();
                each(self, operation, who, |core, slot| set_groups(core, slot, groups, prefix, operation));
            }
            Action::MoveSome { from, to, .. } => move_some(self, operation, who, from, to),
            Action::Kick { code, reason, .. } => each(self, operation, who, |core, slot| {
                core.close_for_good(slot, CloseCode(*code), reason);
                Ok(true)
            }),
            Action::TagAll { tag, .. } => {
                each(self, operation, who, |core, slot| add_tag(core, slot, tag));
            }
            Action::UntagAll { tag, .. } => {
                each(self, operation, who, |core, slot| Ok(remove_tag(core, slot, tag)));
            }
            Action::SetTags { tags, prefix, .. } => {
                let prefix = prefix.as_deref().unwrap_or_default();
                each(self, operation, who, |core, slot| set_tags(core, slot, tags, prefix));
            }
            _ => {}
        }
    }

    /// The same of one that is about one session, whoever it is.
    fn change_one(&mut self, operation: &Arc<Operation>) {
        let one = |session: &SessionId| Who::Session(*session);
        match &operation.action {
            Action::Bind { session, user } => {
                each(self, operation, &one(session), |core, slot| bind(core, slot, user.as_ref()));
            }
            Action::Tag { session, tag } => {
                each(self, operation, &one(session), |core, slot| add_tag(core, slot, tag));
            }
            Action::Untag { session, tag } => {
                each(self, operation, &one(session), |core, slot| Ok(remove_tag(core, slot, tag)));
            }
            Action::RenewUntil { session, end } => each(self, operation, &one(session), |core, slot| {
                operation.renewed(core.renew_until(slot, *end));
                Ok(true)
            }),
            Action::Ban { whom, reason, .. } => {
                for slot in banned_here(self, operation.app, whom) {
                    self.close_for_good(slot, close_codes::KICKED, reason);
                    operation.count_sessions(1);
                }
            }
            Action::Renew { session, token } => each(self, operation, &one(session), |core, slot| {
                let expires_unix_ms = core.renew(slot, token.as_bytes())?;
                operation.renewed(expires_unix_ms);
                Ok(true)
            }),
            _ => {}
        }
    }
}

/// Does something to each session that `who` names here.
fn each(
    core: &mut Core,
    operation: &Operation,
    who: &Who,
    mut act: impl FnMut(&mut Core, u32) -> Result<bool, CommandError>,
) {
    for slot in slots_of(core, operation, who) {
        match act(core, slot) {
            Ok(changed) => operation.count_sessions(u32::from(changed)),
            Err(error) => operation.fail(error),
        }
    }
}

/// The sessions that `who` names here. One that is not there is the error of the operation; of a list they are counted.
fn slots_of(core: &Core, operation: &Operation, who: &Who) -> SmallVec<[u32; 4]> {
    let app = operation.app;
    match who {
        Who::Session(id) => {
            let slot = slot_of(core, app, *id);
            if slot.is_none() {
                operation.fail(CommandError::unknown_session(*id));
            }
            slot.into_iter().collect()
        }
        Who::User(user) => core.hub.members(app, Kind::User, user).collect(),
        Who::Sessions(ids) => {
            let own = |id: &SessionId| core.shared.interest.owner(*id) == Some(core.index);
            let slots = ids.iter().enumerate().filter(|(_, id)| own(id)).filter_map(|(index, id)| {
                let slot = slot_of(core, app, *id);
                if slot.is_none() {
                    operation.is_unknown(index);
                }
                slot
            });
            slots.collect()
        }
        Who::Users(users) => users.iter().flat_map(|user| core.hub.members(app, Kind::User, user)).collect(),
    }
}

/// The sessions here that are banned.
pub(super) fn banned_here(core: &Core, app: AppId, whom: &Banned) -> Vec<u32> {
    match whom {
        Banned::User(user) => core.hub.members(app, Kind::User, user).collect(),
        Banned::Address(network) => {
            let is_there =
                |slot: &u32| core.address_of(*slot).is_some_and(|address| network.contains(address));
            core.hub.members(app, Kind::App, "").filter(is_there).collect()
        }
    }
}

/// The session's slot, if it is live and the app's.
pub(super) fn slot_of(core: &Core, app: AppId, id: SessionId) -> Option<u32> {
    core.hub.contains(id, app).then_some(id.slot())
}

/// The same as [`join`], and what the group remembers, which is a part of the operation.
fn join_with(
    core: &mut Core,
    slot: u32,
    group: &Name,
    recall: Option<Recall>,
    operation: &Arc<Operation>,
) -> Result<bool, CommandError> {
    let joined = join(core, slot, group)?;
    if joined {
        let sessions = core.hub.id_of(slot).into_iter().collect();
        core.recall(operation.app, group, sessions, recall, Some(operation));
    }
    Ok(joined)
}

/// Joins each of the groups, or none where these are more than the session may be in.
fn join_all(
    core: &mut Core,
    slot: u32,
    groups: &[Name],
    operation: &Arc<Operation>,
) -> Result<bool, CommandError> {
    let new: SmallVec<[&Name; 8]> = groups.iter().filter(|group| !core.hub.is_member(slot, group)).collect();
    check_groups(core, core.hub.groups_len(slot) + new.len())?;
    for group in &new {
        join_with(core, slot, group, None, operation)?;
    }
    Ok(!new.is_empty())
}

/// The session is in exactly these of the groups that begin with `prefix`, or stays as it is where these are more than it may be
/// in.
fn set_groups(
    core: &mut Core,
    slot: u32,
    groups: &[Name],
    prefix: &str,
    operation: &Arc<Operation>,
) -> Result<bool, CommandError> {
    let begins = |group: &&Name| group.as_str().starts_with(prefix);
    let old: SmallVec<[Name; 8]> =
        core.hub.groups_of(slot).filter(begins).filter(|group| !groups.contains(group)).cloned().collect();
    let new: SmallVec<[&Name; 8]> = groups.iter().filter(|group| !core.hub.is_member(slot, group)).collect();
    check_groups(core, core.hub.groups_len(slot) - old.len() + new.len())?;
    core.hub.begin_move();
    for group in &old {
        core.leave_group(slot, group);
    }
    let joined = new.iter().try_for_each(|group| join_with(core, slot, group, None, operation).map(drop));
    core.hub.end_move();
    joined.map(|()| !old.is_empty() || !new.is_empty())
}

/// Those of `who` that are in the group `from` leave it and are in the group `to`.
fn move_some(core: &mut Core, operation: &Arc<Operation>, who: &Who, from: &Name, to: &Name) {
    let mut joined: SmallVec<[SessionId; 1]> = SmallVec::new();
    for slot in slots_of(core, operation, who) {
        let Some(is_new) = core.move_session(slot, from, to) else { continue };
        operation.count_sessions(1);
        joined.extend(core.hub.id_of(slot).filter(|_| is_new));
    }
    core.recall(operation.app, to, joined, None, Some(operation));
}

/// Joins unless the session is in as many groups as it may be.
pub fn join(core: &mut Core, slot: u32, group: &Name) -> Result<bool, CommandError> {
    if core.hub.is_member(slot, group) {
        return Ok(false);
    }
    check_groups(core, core.hub.groups_len(slot) + 1)?;
    Ok(core.join_group(slot, group))
}

/// Whether a session may be in so many groups.
fn check_groups(core: &Core, groups: usize) -> Result<(), CommandError> {
    let most = core.rules.settings.config.limits.groups_per_session;
    match groups > most {
        true => Err(CommandError::new(
            ErrorCode::BadRequest,
            format!("a session is in at most {most} groups: leave one, or raise limits.groups_per_session"),
        )),
        false => Ok(()),
    }
}

/// Tags unless the session has as many tags as it may have.
pub fn add_tag(core: &mut Core, slot: u32, tag: &Name) -> Result<bool, CommandError> {
    if core.hub.tags_of(slot).any(|name| name == tag) {
        return Ok(false);
    }
    check_tags(core, core.hub.tags_len(slot) + 1)?;
    Ok(core.tag_session(slot, tag))
}

/// The session has not the tag from now on; whether it had.
fn remove_tag(core: &mut Core, slot: u32, tag: &str) -> bool {
    core.untag_session(slot, tag)
}

/// The session has exactly these of the tags that begin with `prefix`, or stays as it is where these are more than it may have.
fn set_tags(core: &mut Core, slot: u32, tags: &[Name], prefix: &str) -> Result<bool, CommandError> {
    let begins = |tag: &&Name| tag.as_str().starts_with(prefix);
    let old: SmallVec<[Name; 8]> =
        core.hub.tags_of(slot).filter(begins).filter(|tag| !tags.contains(tag)).cloned().collect();
    let new: SmallVec<[&Name; 8]> =
        tags.iter().filter(|tag| !core.hub.tags_of(slot).any(|own| own == *tag)).collect();
    check_tags(core, core.hub.tags_len(slot) - old.len() + new.len())?;
    for tag in &old {
        remove_tag(core, slot, tag);
    }
    for tag in &new {
        add_tag(core, slot, tag)?;
    }
    Ok(!old.is_empty() || !new.is_empty())
}

/// Whether a session may have so many tags.
fn check_tags(core: &Core, tags: usize) -> Result<(), CommandError> {
    let most = core.rules.settings.config.limits.tags_per_session;
    match tags > most {
        true => Err(CommandError::new(
            ErrorCode::BadRequest,
            format!("a session has at most {most} tags: remove one, or raise limits.tags_per_session"),
        )),
        false => Ok(()),
    }
}
