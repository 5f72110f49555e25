//! Which other nodes have a part in an operation, and what each is asked. Pure but for the look at who is here.

use super::super::shared::Shared;
use crate::cluster::{Way, way_of};
use crate::dispatch::{Action, NameKind, Operation, Selector, Who};
use crate::session::SessionId;
use smallvec::SmallVec;
use std::borrow::Cow;

/// What nodes are asked.
#[derive(Debug)]
pub struct Question<'a> {
    /// Which nodes; `None` is all of them.
    pub way: Option<Way>,
    /// What they are to do.
    pub action: Cow<'a, Action>,
    /// Where it is about one user of a list: whether that one has a session here.
    pub found: Option<bool>,
}

impl<'a> Question<'a> {
    fn whole(way: Way, action: &'a Action) -> Self {
        Self { way: Some(way), action: Cow::Borrowed(action), found: None }
    }

    fn of_all(action: &'a Action) -> Self {
        Self { way: None, action: Cow::Borrowed(action), found: None }
    }
}

/// What the other nodes than `own` are asked for an operation.
pub fn questions<'a>(operation: &'a Operation, shared: &Shared, own: u16) -> SmallVec<[Question<'a>; 1]> {
    let action = &operation.action;
    let set = |selector: Selector| Question::whole(Way::Set(selector), action);
    if shared.concerns_sticky(action) {
        return [Question::of_all(action)].into_iter().collect();
    }
    if let Some(who) = action.who() {
        return of_who(operation, who, shared, own);
    }
    let one: Option<Question<'a>> = match action {
        Action::Bind { session, .. }
        | Action::Tag { session, .. }
        | Action::Untag { session, .. }
        | Action::Renew { session, .. }
        | Action::Describe { session }
        | Action::RenewUntil { session, .. } => {
            way_of(&Selector::Session(*session), own).map(|way| Question::whole(way, action))
        }
        Action::Move { from: group, .. } | Action::Destroy { group } | Action::Presence { group, .. } => {
            Some(set(Selector::Group(group.clone())))
        }
        Action::List { by, .. } | Action::Count { by } => {
            way_of(by, own).map(|way| Question::whole(way, action))
        }
        Action::Names { kind: NameKind::Users | NameKind::Groups, .. } => Some(set(Selector::All)),
        Action::Ban { .. }
        | Action::Unban { .. }
        | Action::Stats
        | Action::Names { kind: NameKind::Apps, .. } => Some(Question::of_all(action)),
        _ => None,
    };
    one.into_iter().collect()
}

fn of_who<'a>(
    operation: &'a Operation,
    who: &'a Who,
    shared: &Shared,
    own: u16,
) -> SmallVec<[Question<'a>; 1]> {
    let action = &operation.action;
    match who {
        Who::Session(id) => {
            let way = way_of(&Selector::Session(*id), own);
            way.map(|way| Question::whole(way, action)).into_iter().collect()
        }
        Who::User(user) => {
            let way = Way::Set(Selector::User(user.clone()));
            [Question::whole(way, action)].into_iter().collect()
        }
        Who::Users(users) => {
            let each = users.iter().map(|user| {
                let selector = Selector::User(user.clone());
                let reactors = shared.interest.reactors_of_selector(operation.app, &selector);
                let action = action.with_who(Who::Users(vec![user.clone()]));
                Question {
                    way: Some(Way::Set(selector)),
                    action: Cow::Owned(action),
                    found: Some(!reactors.is_empty()),
                }
            });
            each.collect()
        }
        Who::Sessions(ids) => {
            let mut nodes: SmallVec<[(u16, Vec<SessionId>); 4]> = SmallVec::new();
            for id in ids.iter().filter(|id| id.node() != own && shared.is_elsewhere(**id)) {
                match nodes.iter_mut().find(|(node, _)| *node == id.node()) {
                    Some((_, of_node)) => of_node.push(*id),
                    None => nodes.push((id.node(), vec![*id])),
                }
            }
            let each = nodes.into_iter().map(|(node, ids)| Question {
                way: Some(Way::Node(node)),
                action: Cow::Owned(action.with_who(Who::Sessions(ids))),
                found: None,
            });
            each.collect()
        }
    }
}
