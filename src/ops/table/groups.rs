//! The rows about groups: who is in them.

use super::super::Segment::{Is, Of};
use super::super::bounds::bad_request;
use super::super::field::Need::{AtMostOne, Optional, Required};
use super::super::field::{
    AFTER_OFFSET, EPOCH, Field, GROUP, GROUPS, LAST, OTHER_GROUP, PREFIX, SESSION, SESSIONS, SET_OF_GROUPS,
    STICKY, USER, USERS,
};
use super::super::fields::{Fields, Groups};
use super::super::{Answer, Call, Method, Op, Part, Route, Row};
use super::{CHANGES, EITHER_SESSION, EITHER_USER, IN_APP, NO_FLAGS, Verb, flags};
use crate::dispatch::{Action, CommandError, CommandLimits};

pub const JOIN: Op = Op {
    row: Row {
        name: "join",
        about: "Sessions join a group.",
        needs: CHANGES,
        is_barrier: true,
        call: Call::Act(join),
        routes: &[
            Route {
                method: Method::Post,
                path: &[Is("v1"), Is("groups"), Of(GROUP), Is("members")],
                query: &[
                    IN_APP,
                    EITHER_SESSION,
                    EITHER_USER,
                    LAST.being(Optional),
                    AFTER_OFFSET.being(Optional),
                    EPOCH.being(Optional),
                    STICKY.being(Optional),
                ],
            },
            Route {
                query: &[IN_APP, GROUPS.being(Required), EITHER_SESSION, EITHER_USER, STICKY.being(Optional)],
                ..TO_SEVERAL_GROUPS
            },
        ],
        answer: Answer::Joined,
    },
    verb: Verb::Join,
    opcode: 0x02,
    flags: flags(
        Part::USER | Part::SEVERAL | Part::GROUPS | Part::LAST | Part::AFTER | Part::EPOCH | Part::STICKY,
        "0x01 (user), 0x40 (several), 0x80 (groups), 0x02 (last), 0x04 (after), 0x08 (epoch), 0x10 (sticky)",
        "0x01 it is about users, else about sessions · 0x40 about several · 0x80 several groups · 0x02 `last` is there · 0x04 \
            `after` is there · 0x08 `epoch` is there · 0x10 `sticky`",
    ),
    layout: &[Part::Who, Part::Groups, Part::Recall, Part::Sticky],
    fields: &[
        GROUPS,
        EITHER_SESSION,
        EITHER_USER,
        LAST.being(Optional),
        AFTER_OFFSET.being(Optional),
        EPOCH.being(Optional),
        STICKY.being(Optional),
    ],
    is_in_batches: true,
};

pub const LEAVE: Op = Op {
    row: Row {
        name: "leave",
        about: "Sessions leave a group.",
        needs: CHANGES,
        is_barrier: true,
        call: Call::Act(leave),
        routes: &[
            Route {
                method: Method::Delete,
                path: &[Is("v1"), Is("groups"), Of(GROUP), Is("members")],
                query: &[IN_APP, EITHER_SESSION, EITHER_USER],
            },
            Route { method: Method::Delete, ..TO_SEVERAL_GROUPS },
        ],
        answer: Answer::Sessions,
    },
    verb: Verb::Leave,
    opcode: 0x03,
    flags: flags(
        Part::USER | Part::SEVERAL | Part::GROUPS,
        "0x01 (user), 0x40 (several), 0x80 (groups)",
        "0x01, 0x40, 0x80 as for join",
    ),
    layout: &[Part::Who, Part::Groups],
    fields: &[GROUPS, EITHER_SESSION, EITHER_USER],
    is_in_batches: true,
};

pub const DESTROY: Op = Op {
    row: Row {
        name: "destroy",
        about: "Every member leaves a group, and what it remembers is forgotten.",
        needs: CHANGES,
        is_barrier: true,
        call: Call::Act(|fields, _| Ok(Action::Destroy { group: fields.take_group()? })),
        routes: &[Route {
            method: Method::Delete,
            path: &[Is("v1"), Is("groups"), Of(GROUP)],
            query: &[IN_APP],
        }],
        answer: Answer::Sessions,
    },
    verb: Verb::Destroy,
    opcode: 0x04,
    flags: NO_FLAGS,
    layout: &[Part::Group],
    fields: &[GROUP],
    is_in_batches: true,
};

pub const MOVE: Op = Op {
    row: Row {
        name: "move",
        about: "Every member leaves one group and is in another; or some of the members.",
        needs: CHANGES,
        is_barrier: true,
        call: Call::Act(move_members),
        routes: &[Route {
            method: Method::Post,
            path: &[Is("v1"), Is("groups"), Of(GROUP), Is("move")],
            query: &[IN_APP, OTHER_GROUP, SOME_SESSIONS, SOME_USERS],
        }],
        answer: Answer::Sessions,
    },
    verb: Verb::Move,
    opcode: 0x05,
    flags: flags(
        Part::USER | Part::SEVERAL | Part::MEMBERS,
        "0x20 (members), 0x01 (user), 0x40 (several)",
        "0x20 only these members · 0x01, 0x40 as for join, beside 0x20",
    ),
    layout: &[Part::Group, Part::OtherGroup, Part::Members],
    fields: &[GROUP, OTHER_GROUP, SOME_SESSIONS, SOME_USERS],
    is_in_batches: true,
};

pub const SET_GROUPS: Op = Op {
    row: Row {
        name: "set_groups",
        about: "Sessions are in exactly these groups, of those that begin with `prefix`.",
        needs: CHANGES,
        is_barrier: true,
        call: Call::Act(|fields, limits| {
            let (groups, prefix) = fields.take_set("groups", limits)?;
            Ok(Action::SetGroups { who: fields.take_who(limits)?, groups, prefix })
        }),
        routes: &[
            Route {
                method: Method::Put,
                path: &[Is("v1"), Is("sessions"), Of(SESSION), Is("groups")],
                query: &[IN_APP, SET_OF_GROUPS, PREFIX.being(Optional)],
            },
            Route {
                method: Method::Put,
                path: &[Is("v1"), Is("users"), Of(USER), Is("groups")],
                query: &[IN_APP, SET_OF_GROUPS, PREFIX.being(Optional)],
            },
        ],
        answer: Answer::Sessions,
    },
    verb: Verb::SetGroups,
    opcode: 0x11,
    flags: flags(Part::USER | Part::SEVERAL, "0x01 (user), 0x40 (several)", "0x01, 0x40 as for join"),
    layout: &[Part::Who, Part::Set("groups"), Part::Prefix],
    fields: &[SET_OF_GROUPS, EITHER_SESSION, EITHER_USER, PREFIX.being(Optional)],
    is_in_batches: true,
};

/// Whoever is to join or leave several groups at once.
const TO_SEVERAL_GROUPS: Route = Route {
    method: Method::Post,
    path: &[Is("v1"), Is("members")],
    query: &[IN_APP, GROUPS.being(Required), EITHER_SESSION, EITHER_USER],
};

const SOME_SESSIONS: Field = SESSIONS.being(AtMostOne);
const SOME_USERS: Field = USERS.being(AtMostOne);

fn join(fields: &mut Fields<'_>, limits: &CommandLimits) -> Result<Action, CommandError> {
    let (groups, who) = (fields.take_one_or_more_groups(limits)?, fields.take_who(limits)?);
    let is_sticky = fields.take_sticky();
    if is_sticky && who.users().is_empty() {
        return Err(bad_request("sticky is about users: name a user, not a session"));
    }
    match (groups, fields.take_recall()?) {
        (Groups::One(group), recall) if is_sticky => {
            Ok(Action::JoinSticky { who, groups: vec![group], recall })
        }
        (Groups::Several(groups), None) if is_sticky => Ok(Action::JoinSticky { who, groups, recall: None }),
        (Groups::One(group), None) => Ok(Action::Join { who, group }),
        (Groups::One(group), Some(recall)) => Ok(Action::JoinWith { who, group, recall }),
        (Groups::Several(groups), None) => Ok(Action::JoinAll { who, groups }),
        (Groups::Several(_), Some(_)) => {
            Err(bad_request("last and after are of the log of one group: name one group, not a list"))
        }
    }
}

fn leave(fields: &mut Fields<'_>, limits: &CommandLimits) -> Result<Action, CommandError> {
    let (groups, who) = (fields.take_one_or_more_groups(limits)?, fields.take_who(limits)?);
    Ok(match groups {
        Groups::One(group) => Action::Leave { who, group },
        Groups::Several(groups) => Action::LeaveAll { who, groups },
    })
}

fn move_members(fields: &mut Fields<'_>, limits: &CommandLimits) -> Result<Action, CommandError> {
    let (from, to) = (fields.take_group()?, fields.take_other_group()?);
    Ok(match fields.take_optional_who(limits)? {
        None => Action::Move { from, to },
        Some(who) => Action::MoveSome { who, from, to },
    })
}
