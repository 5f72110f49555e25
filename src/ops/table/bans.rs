//! The rows about bans.

use super::super::Segment::Is;
use super::super::bounds::{close_reason, page_limit};
use super::super::field::Need::{ExactlyOne, Optional};
use super::super::field::{ADDRESS, AFTER_BANNED, BAN_MS, BAN_REASON, LIMIT, ONE_USER};
use super::super::{Answer, Call, Method, Op, Part, Route, Row, Segment};
use super::{CHANGES, IN_APP, READS, Verb, flags};
use crate::dispatch::Action;

const BANS_PATH: &[Segment] = &[Is("v1"), Is("bans")];

pub const BAN: Op = Op {
    row: Row {
        name: "ban",
        about: "Closes the sessions of a user or an address, and lets no new ones in.",
        needs: CHANGES,
        is_barrier: true,
        call: Call::Act(|fields, _| {
            Ok(Action::Ban {
                whom: fields.take_banned()?,
                for_ms: fields.for_ms.take(),
                reason: close_reason(fields.reason.take().as_deref())?,
            })
        }),
        routes: &[Route {
            method: Method::Post,
            path: BANS_PATH,
            query: &[
                IN_APP,
                ONE_USER.being(ExactlyOne),
                ADDRESS.being(ExactlyOne),
                BAN_MS.being(Optional),
                BAN_REASON.being(Optional),
            ],
        }],
        answer: Answer::Sessions,
    },
    verb: Verb::Ban,
    opcode: 0x13,
    flags: flags(
        Part::ADDRESS | Part::FOR,
        "0x01 (address), 0x02 (for_ms)",
        "0x01 it is about an address, else about a user · 0x02 `for_ms` is there",
    ),
    layout: &[Part::Banned, Part::ForMs, Part::Reason],
    fields: &[
        ONE_USER.being(ExactlyOne),
        ADDRESS.being(ExactlyOne),
        BAN_MS.being(Optional),
        BAN_REASON.being(Optional),
    ],
    is_in_batches: true,
};

pub const UNBAN: Op = Op {
    row: Row {
        name: "unban",
        about: "Takes a ban back.",
        needs: CHANGES,
        is_barrier: true,
        call: Call::Act(|fields, _| Ok(Action::Unban { whom: fields.take_banned()? })),
        routes: &[Route {
            method: Method::Delete,
            path: BANS_PATH,
            query: &[IN_APP, ONE_USER.being(ExactlyOne), ADDRESS.being(ExactlyOne)],
        }],
        answer: Answer::Unbanned,
    },
    verb: Verb::Unban,
    opcode: 0x14,
    flags: flags(Part::ADDRESS, "0x01 (address)", "0x01 as for ban"),
    layout: &[Part::Banned],
    fields: &[ONE_USER.being(ExactlyOne), ADDRESS.being(ExactlyOne)],
    is_in_batches: true,
};

pub const BANS: Op = Op {
    row: Row {
        name: "bans",
        about: "The bans of an app that hold, page by page.",
        needs: READS,
        is_barrier: false,
        call: Call::Act(|fields, limits| {
            Ok(Action::Bans {
                limit: page_limit(fields.limit.take(), limits)?,
                after: fields.take_after_banned()?,
            })
        }),
        routes: &[Route {
            method: Method::Get,
            path: BANS_PATH,
            query: &[IN_APP, LIMIT.being(Optional), AFTER_BANNED.being(Optional)],
        }],
        answer: Answer::Bans,
    },
    verb: Verb::Bans,
    opcode: 0x15,
    flags: super::NO_FLAGS,
    layout: &[Part::PlainPage],
    fields: &[LIMIT.being(Optional), AFTER_BANNED.being(Optional)],
    is_in_batches: true,
};
