//! The rows about groups: who is in them.

use super::super::Segment::{Is, Of};
use super::super::field::Need::Optional;
use super::super::field::{AFTER_OFFSET, EPOCH, GROUP, LAST, OTHER_GROUP};
use super::super::fields::Fields;
use super::super::{Answer, Call, Method, Op, Part, Route, Row};
use super::{CHANGES, EITHER_SESSION, EITHER_USER, IN_APP, NO_FLAGS, Verb, WHO, flags};
use crate::dispatch::{Action, CommandError, CommandLimits};

pub const JOIN: Op = Op {
    row: Row {
        name: "join",
        about: "Sessions join a group.",
        needs: CHANGES,
        is_barrier: true,
        call: Call::Act(join),
        routes: &[Route {
            method: Method::Post,
            path: &[Is("v1"), Is("groups"), Of(GROUP), Is("members")],
            query: &[
                IN_APP,
                EITHER_SESSION,
                EITHER_USER,
                LAST.being(Optional),
                AFTER_OFFSET.being(Optional),
                EPOCH.being(Optional),
            ],
        }],
        answer: Answer::Joined,
    },
    verb: Verb::Join,
    opcode: 0x02,
    flags: flags(
        Part::USER | Part::LAST | Part::AFTER | Part::EPOCH,
        "0x01 (user), 0x02 (last), 0x04 (after), 0x08 (epoch)",
        "0x01 it is about a user, else about a session · 0x02 `last` is there · 0x04 `after` is there · 0x08 `epoch` is there",
    ),
    layout: &[Part::Who, Part::Group, Part::Recall],
    fields: &[
        GROUP,
        EITHER_SESSION,
        EITHER_USER,
        LAST.being(Optional),
        AFTER_OFFSET.being(Optional),
        EPOCH.being(Optional),
    ],
    is_in_batches: true,
};

pub const LEAVE: Op = Op {
    row: Row {
        name: "leave",
        about: "Sessions leave a group.",
        needs: CHANGES,
        is_barrier: true,
        call: Call::Act(|fields, _| {
            Ok(Action::Leave { group: fields.take_group()?, who: fields.take_who()? })
        }),
        routes: &[Route {
            method: Method::Delete,
            path: &[Is("v1"), Is("groups"), Of(GROUP), Is("members")],
            query: &[IN_APP, EITHER_SESSION, EITHER_USER],
        }],
        answer: Answer::Sessions,
    },
    verb: Verb::Leave,
    opcode: 0x03,
    flags: WHO,
    layout: &[Part::Who, Part::Group],
    fields: &[GROUP, EITHER_SESSION, EITHER_USER],
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
        about: "Every member leaves one group and is in another.",
        needs: CHANGES,
        is_barrier: true,
        call: Call::Act(|fields, _| {
            Ok(Action::Move { from: fields.take_group()?, to: fields.take_other_group()? })
        }),
        routes: &[Route {
            method: Method::Post,
            path: &[Is("v1"), Is("groups"), Of(GROUP), Is("move")],
            query: &[IN_APP, OTHER_GROUP],
        }],
        answer: Answer::Sessions,
    },
    verb: Verb::Move,
    opcode: 0x05,
    flags: NO_FLAGS,
    layout: &[Part::Group, Part::OtherGroup],
    fields: &[GROUP, OTHER_GROUP],
    is_in_batches: true,
};

fn join(fields: &mut Fields<'_>, _: &CommandLimits) -> Result<Action, CommandError> {
    let (group, who) = (fields.take_group()?, fields.take_who()?);
    Ok(match fields.take_recall()? {
        None => Action::Join { who, group },
        Some(recall) => Action::JoinWith { who, group, recall },
    })
}
