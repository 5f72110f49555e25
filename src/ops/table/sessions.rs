//! The rows about sessions.

use super::super::Segment::{Is, Of};
use super::super::bounds::{close_code, close_reason};
use super::super::field::Need::{ExactlyOne, Optional};
use super::super::field::{
    self, BOUND_USER, CODE, ENDS_IN_MS, EXPIRES, PREFIX, REASON, SET_OF_TAGS, TOKEN, USER,
};
use super::super::{Answer, Call, Method, Op, Part, Route, Row};
use super::{CHANGES, EITHER_SESSION, EITHER_USER, IN_APP, NO_FLAGS, READS, Verb, flags};
use crate::dispatch::{Action, Who};

pub const KICK: Op = Op {
    row: Row {
        name: "kick",
        about: "Closes sessions.",
        needs: CHANGES,
        is_barrier: true,
        call: Call::Act(|fields, limits| {
            Ok(Action::Kick {
                who: fields.take_who(limits)?,
                code: close_code(fields.code.take())?,
                reason: close_reason(fields.reason.take().as_deref())?,
            })
        }),
        routes: &[
            Route {
                method: Method::Delete,
                path: &[Is("v1"), Is("sessions"), Of(field::SESSION)],
                query: &[IN_APP, CODE.being(Optional), REASON.being(Optional)],
            },
            Route {
                method: Method::Delete,
                path: &[Is("v1"), Is("users"), Of(USER)],
                query: &[IN_APP, CODE.being(Optional), REASON.being(Optional)],
            },
            Route {
                method: Method::Delete,
                path: &[Is("v1"), Is("sessions")],
                query: &[IN_APP, EITHER_SESSION, EITHER_USER, CODE.being(Optional), REASON.being(Optional)],
            },
        ],
        answer: Answer::Sessions,
    },
    verb: Verb::Kick,
    opcode: 0x06,
    flags: flags(
        Part::USER | Part::SEVERAL | Part::CODE,
        "0x01 (user), 0x40 (several), 0x02 (code)",
        "0x01, 0x40 as for join · 0x02 `code` is there",
    ),
    layout: &[Part::Who, Part::Code, Part::Reason],
    fields: &[EITHER_SESSION, EITHER_USER, CODE.being(Optional), REASON.being(Optional)],
    is_in_batches: true,
};

pub const BIND: Op = Op {
    row: Row {
        name: "bind",
        about: "A session gets another user, or none.",
        needs: CHANGES,
        is_barrier: true,
        call: Call::Act(|fields, _| {
            Ok(Action::Bind { session: fields.take_session()?, user: fields.take_bound_user()? })
        }),
        routes: &[Route {
            method: Method::Put,
            path: &[Is("v1"), Is("sessions"), Of(field::SESSION), Is("user")],
            query: &[IN_APP, BOUND_USER],
        }],
        answer: Answer::Sessions,
    },
    verb: Verb::Bind,
    opcode: 0x07,
    flags: NO_FLAGS,
    layout: &[Part::Session, Part::User("unbinds")],
    fields: &[field::SESSION, BOUND_USER],
    is_in_batches: true,
};

pub const TAG: Op = Op {
    row: Row {
        name: "tag",
        about: "Sessions get a tag.",
        needs: CHANGES,
        is_barrier: true,
        call: Call::Act(|fields, limits| {
            let tag = fields.take_tag()?;
            Ok(match fields.take_who(limits)? {
                Who::Session(session) => Action::Tag { session, tag },
                who => Action::TagAll { who, tag },
            })
        }),
        routes: &[
            Route {
                method: Method::Post,
                path: &[Is("v1"), Is("sessions"), Of(field::SESSION), Is("tags")],
                query: &[IN_APP, field::TAG],
            },
            Route { method: Method::Post, ..WITH_TAG },
        ],
        answer: Answer::Sessions,
    },
    verb: Verb::Tag,
    opcode: 0x08,
    flags: flags(Part::USER | Part::SEVERAL, "0x01 (user), 0x40 (several)", "0x01, 0x40 as for join"),
    layout: &[Part::Who, Part::Tag],
    fields: &[EITHER_SESSION, EITHER_USER, field::TAG],
    is_in_batches: true,
};

pub const UNTAG: Op = Op {
    row: Row {
        name: "untag",
        about: "Sessions lose a tag.",
        needs: CHANGES,
        is_barrier: true,
        call: Call::Act(|fields, limits| {
            let tag = fields.take_tag()?;
            Ok(match fields.take_who(limits)? {
                Who::Session(session) => Action::Untag { session, tag },
                who => Action::UntagAll { who, tag },
            })
        }),
        routes: &[
            Route {
                method: Method::Delete,
                path: &[Is("v1"), Is("sessions"), Of(field::SESSION), Is("tags")],
                query: &[IN_APP, field::TAG],
            },
            Route { method: Method::Delete, ..WITH_TAG },
        ],
        answer: Answer::Sessions,
    },
    verb: Verb::Untag,
    opcode: 0x09,
    flags: flags(Part::USER | Part::SEVERAL, "0x01 (user), 0x40 (several)", "0x01, 0x40 as for join"),
    layout: &[Part::Who, Part::Tag],
    fields: &[EITHER_SESSION, EITHER_USER, field::TAG],
    is_in_batches: true,
};

pub const SESSION: Op = Op {
    row: Row {
        name: "session",
        about: "Describes a session.",
        needs: READS,
        is_barrier: false,
        call: Call::Act(|fields, _| Ok(Action::Describe { session: fields.take_session()? })),
        routes: &[Route {
            method: Method::Get,
            path: &[Is("v1"), Is("sessions"), Of(field::SESSION)],
            query: &[IN_APP],
        }],
        answer: Answer::Session,
    },
    verb: Verb::Session,
    opcode: 0x0a,
    flags: NO_FLAGS,
    layout: &[Part::Session],
    fields: &[field::SESSION],
    is_in_batches: true,
};

pub const RENEW: Op = Op {
    row: Row {
        name: "renew",
        about: "A session goes on under another token of its user, and ends when that does; or it ends when it is told.",
        needs: CHANGES,
        is_barrier: true,
        call: Call::ActOnBody(|fields, _| fields.take_renewal()),
        routes: &[Route {
            method: Method::Post,
            path: &[Is("v1"), Is("sessions"), Of(field::SESSION), Is("renew")],
            query: &[IN_APP],
        }],
        answer: Answer::Renewed,
    },
    verb: Verb::Renew,
    opcode: 0x0c,
    flags: flags(
        Part::EXPIRES | Part::FOR,
        "0x01 (expires_unix_ms), 0x02 (for_ms)",
        "0x01 `expires_unix_ms`, a u64, stands for the token · 0x02 `for_ms`, a u64, does",
    ),
    layout: &[Part::Session, Part::Renewal],
    fields: &[
        field::SESSION,
        TOKEN.being(ExactlyOne),
        EXPIRES.being(ExactlyOne),
        ENDS_IN_MS.being(ExactlyOne),
    ],
    is_in_batches: true,
};

pub const SET_TAGS: Op = Op {
    row: Row {
        name: "set_tags",
        about: "Sessions have exactly these tags, of those that begin with `prefix`.",
        needs: CHANGES,
        is_barrier: true,
        call: Call::Act(|fields, limits| {
            let (tags, prefix) = fields.take_set("tags", limits)?;
            Ok(Action::SetTags { who: fields.take_who(limits)?, tags, prefix })
        }),
        routes: &[
            Route {
                method: Method::Put,
                path: &[Is("v1"), Is("sessions"), Of(field::SESSION), Is("tags")],
                query: &[IN_APP, SET_OF_TAGS, PREFIX.being(Optional)],
            },
            Route {
                method: Method::Put,
                path: &[Is("v1"), Is("users"), Of(USER), Is("tags")],
                query: &[IN_APP, SET_OF_TAGS, PREFIX.being(Optional)],
            },
        ],
        answer: Answer::Sessions,
    },
    verb: Verb::SetTags,
    opcode: 0x12,
    flags: flags(Part::USER | Part::SEVERAL, "0x01 (user), 0x40 (several)", "0x01, 0x40 as for join"),
    layout: &[Part::Who, Part::Set("tags"), Part::Prefix],
    fields: &[SET_OF_TAGS, EITHER_SESSION, EITHER_USER, PREFIX.being(Optional)],
    is_in_batches: true,
};

/// Whoever gets or loses a tag together.
const WITH_TAG: Route = Route {
    method: Method::Post,
    path: &[Is("v1"), Is("tags"), Of(field::TAG), Is("sessions")],
    query: &[IN_APP, EITHER_SESSION, EITHER_USER],
};
