//! Which other nodes have a part in an operation, and what each is asked. Pure but for the look at who is here.

use super::super::shared::Shared;
use crate::cluster::{Way, way_of};
use crate::dispatch::{Action, NameKind, Operation, Selector, Who};
use crate::session::SessionId;
use smallvec::SmallVec;
use std::borrow::Cow;

/// Some of a list: the sessions of one node, and their places in the list.
type OfNode = (u16, Vec<SessionId>, SmallVec<[u16; 2]>);

/// What nodes are asked.
#[derive(Debug)]
pub struct Question<'a> {
    /// Which nodes; `None` is all of them.
    pub way: Option<Way>,
    /// What they are to do.
    pub action: Cow<'a, Action>,
    /// Where it is about a list: which of its entries those of the question are.
    pub places: SmallVec<[u16; 2]>,
}

impl<'a> Question<'a> {
    fn whole(way: Way, action: &'a Action) -> Self {
        Self { way: Some(way), action: Cow::Borrowed(action), places: SmallVec::new() }
    }

    fn of_all(action: &'a Action) -> Self {
        Self { way: None, action: Cow::Borrowed(action), places: SmallVec::new() }
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
        return of_who(action, who, shared, own);
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
        Action::List { by, .. } | Action::Behind { by, .. } | Action::Count { by } => {
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

fn of_who<'a>(action: &'a Action, who: &'a Who, shared: &Shared, own: u16) -> SmallVec<[Question<'a>; 1]> {
    // Each question has its own part of the list, and no copy of the whole.
    let bare = || action.clone().with_who(Who::Users(Vec::new()));
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
            let bare = bare();
            let each = users.iter().enumerate().map(|(place, user)| Question {
                way: Some(Way::Set(Selector::User(user.clone()))),
                action: Cow::Owned(bare.clone().with_who(Who::Users(vec![user.clone()]))),
                places: [place as u16].into_iter().collect(),
            });
            each.collect()
        }
        Who::Sessions(ids) => {
            let bare = bare();
            let mut nodes: SmallVec<[OfNode; 4]> = SmallVec::new();
            let elsewhere =
                ids.iter().enumerate().filter(|(_, id)| id.node() != own && shared.is_elsewhere(**id));
            for (place, id) in elsewhere {
                match nodes.iter_mut().find(|(node, ..)| *node == id.node()) {
                    Some((_, of_node, places)) => {
                        of_node.push(*id);
                        places.push(place as u16);
                    }
                    None => nodes.push((id.node(), vec![*id], [place as u16].into_iter().collect())),
                }
            }
            let each = nodes.into_iter().map(|(node, ids, places)| Question {
                way: Some(Way::Node(node)),
                action: Cow::Owned(bare.clone().with_who(Who::Sessions(ids))),
                places,
            });
            each.collect()
        }
    }
}
