//! The rows that only look.

use super::super::Segment::{Is, Of};
use super::super::bounds::page_limit;
use super::super::field::Need::{AtMostOne, Optional};
use super::super::field::{
    AFTER, AFTER_NAME, AFTER_PRESENT, BEHIND, Field, GROUP, LIMIT, MEMBERS, ONE_USER, PREFIX, TAG,
};
use super::super::fields::Fields;
use super::super::{Answer, Call, Flags, Method, Op, Part, Route, Row};
use super::{IN_APP, READS, Verb, flags};
use crate::dispatch::{Action, CommandError, CommandLimits, NameKind};

pub const PRESENCE: Op = Op {
    row: Row {
        name: "presence",
        about: "Who is in a group: its users with their sessions, page by page, and how many.",
        needs: READS,
        is_barrier: false,
        call: Call::Act(|fields, limits| {
            Ok(Action::Presence {
                group: fields.take_group()?,
                limit: page_limit(fields.limit.take(), limits)?,
                after: fields.take_after_present()?,
                members: fields.take_members(),
            })
        }),
        routes: &[Route {
            method: Method::Get,
            path: &[Is("v1"), Is("groups"), Of(GROUP), Is("presence")],
            query: &[IN_APP, LIMIT.being(Optional), AFTER_PRESENT.being(Optional), MEMBERS.being(Optional)],
        }],
        answer: Answer::Presence,
    },
    verb: Verb::Presence,
    opcode: 0x10,
    flags: flags(Part::COUNTS, "0x04 (counts)", "0x04 only the counts"),
    layout: &[Part::Group, Part::Page],
    fields: &[GROUP, LIMIT.being(Optional), AFTER_PRESENT.being(Optional), MEMBERS.being(Optional)],
    is_in_batches: true,
};

pub const LIST: Op = Op {
    row: Row {
        name: "list",
        about: "Describes the sessions of a user, a group or a tag, or of the app, page by page: `GET /v1/sessions`.",
        needs: READS,
        is_barrier: false,
        call: Call::Act(|fields, limits| fields.take_listing(limits)),
        routes: &[],
        answer: Answer::SessionsPage,
    },
    verb: Verb::List,
    opcode: 0x16,
    flags: flags(
        Part::BY_USER | Part::BY_GROUP | Part::BY_TAG | Part::BEHIND,
        "0x01 (user), 0x02 (group), 0x04 (tag), 0x08 (behind)",
        "0x01 of a user · 0x02 of a group · 0x04 of a tag; of the app without · 0x08 only those that are behind, the largest queue first",
    ),
    layout: &[Part::By, Part::PlainPage, Part::Behind],
    fields: &[
        BY_USER,
        BY_GROUP,
        BY_TAG,
        BEHIND.being(Optional),
        LIMIT.being(Optional),
        AFTER.being(Optional),
    ],
    is_in_batches: true,
};

pub const COUNT: Op = Op {
    row: Row {
        name: "count",
        about: "How many sessions a user, a group or a tag has, or the app, and of how many users.",
        needs: READS,
        is_barrier: false,
        call: Call::Act(|fields, _| Ok(Action::Count { by: fields.take_listed_by()? })),
        routes: &[Route {
            method: Method::Get,
            path: &[Is("v1"), Is("count")],
            query: &[IN_APP, BY_USER, BY_GROUP, BY_TAG],
        }],
        answer: Answer::Counted,
    },
    verb: Verb::Count,
    opcode: 0x17,
    flags: BY,
    layout: &[Part::By],
    fields: &[BY_USER, BY_GROUP, BY_TAG],
    is_in_batches: true,
};

pub const USERS: Op = Op {
    row: Row {
        name: "users",
        about: "The users who have sessions, in the order of their names, page by page, and how many each has.",
        needs: READS,
        is_barrier: false,
        call: Call::Act(|fields, limits| names(fields, limits, NameKind::Users)),
        routes: &[Route {
            method: Method::Get,
            path: &[Is("v1"), Is("users")],
            query: &[IN_APP, PREFIX.being(Optional), LIMIT.being(Optional), AFTER_NAME.being(Optional)],
        }],
        answer: Answer::Users,
    },
    verb: Verb::Users,
    opcode: 0x18,
    flags: super::NO_FLAGS,
    layout: &[Part::Prefix, Part::PlainPage],
    fields: &[PREFIX.being(Optional), LIMIT.being(Optional), AFTER_NAME.being(Optional)],
    is_in_batches: true,
};

pub const GROUPS: Op = Op {
    row: Row {
        name: "groups",
        about: "The groups that have members, in the order of their names, page by page, and how many each has.",
        needs: READS,
        is_barrier: false,
        call: Call::Act(|fields, limits| names(fields, limits, NameKind::Groups)),
        routes: &[Route {
            method: Method::Get,
            path: &[Is("v1"), Is("groups")],
            query: &[IN_APP, PREFIX.being(Optional), LIMIT.being(Optional), AFTER_NAME.being(Optional)],
        }],
        answer: Answer::Groups,
    },
    verb: Verb::Groups,
    opcode: 0x19,
    flags: super::NO_FLAGS,
    layout: &[Part::Prefix, Part::PlainPage],
    fields: &[PREFIX.being(Optional), LIMIT.being(Optional), AFTER_NAME.being(Optional)],
    is_in_batches: true,
};

pub const APPS: Op = Op {
    row: Row {
        name: "apps",
        about: "The apps that the key may name, in the order of their names, page by page, and how many sessions each has.",
        needs: READS,
        is_barrier: false,
        call: Call::Act(|fields, limits| names(fields, limits, NameKind::Apps)),
        routes: &[Route {
            method: Method::Get,
            path: &[Is("v1"), Is("apps")],
            query: &[PREFIX.being(Optional), LIMIT.being(Optional), AFTER_NAME.being(Optional)],
        }],
        answer: Answer::Apps,
    },
    verb: Verb::Apps,
    opcode: 0x1a,
    flags: super::NO_FLAGS,
    layout: &[Part::Prefix, Part::PlainPage],
    fields: &[PREFIX.being(Optional), LIMIT.being(Optional), AFTER_NAME.being(Optional)],
    is_in_batches: true,
};

pub const STATS: Op = Op {
    row: Row {
        name: "stats",
        about: "What is counted of one app, over all reactors.",
        needs: READS,
        is_barrier: false,
        call: Call::Act(|_, _| Ok(Action::Stats)),
        routes: &[Route {
            method: Method::Get,
            path: &[Is("v1"), Is("apps"), Is("stats")],
            query: &[IN_APP],
        }],
        answer: Answer::AppStats,
    },
    verb: Verb::Stats,
    opcode: 0x1b,
    flags: super::NO_FLAGS,
    layout: &[],
    fields: &[],
    is_in_batches: true,
};

const BY_USER: Field = ONE_USER.being(AtMostOne);
const BY_GROUP: Field = GROUP.being(AtMostOne);
const BY_TAG: Field = TAG.being(AtMostOne);
const BY: Flags = flags(
    Part::BY_USER | Part::BY_GROUP | Part::BY_TAG,
    "0x01 (user), 0x02 (group), 0x04 (tag)",
    "0x01 of a user · 0x02 of a group · 0x04 of a tag; of the app without",
);

fn names(fields: &mut Fields<'_>, limits: &CommandLimits, kind: NameKind) -> Result<Action, CommandError> {
    Ok(Action::Names {
        kind,
        prefix: fields.take_prefix()?,
        limit: page_limit(fields.limit.take(), limits)?,
        after: fields.take_after_name()?,
        among: None,
    })
}
