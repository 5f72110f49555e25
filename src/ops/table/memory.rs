//! The rows about what groups remember.

use super::super::Segment::{Is, Of};
use super::super::bounds::page_limit;
use super::super::field::Need::Optional;
use super::super::field::{AFTER_OFFSET, EPOCH, GROUP, KEPT_KEY, LIMIT};
use super::super::{Answer, Call, Method, Op, Part, Route, Row};
use super::{CHANGES, IN_APP, NO_FLAGS, READS, Verb, flags};
use crate::dispatch::Action;

pub const LATEST: Op = Op {
    row: Row {
        name: "latest",
        about: "The newest push of each key that a group keeps.",
        needs: READS,
        is_barrier: false,
        call: Call::Act(|fields, _| Ok(Action::Latest { group: fields.take_group()? })),
        routes: &[Route {
            method: Method::Get,
            path: &[Is("v1"), Is("groups"), Of(GROUP), Is("latest")],
            query: &[IN_APP],
        }],
        answer: Answer::Kept,
    },
    verb: Verb::Latest,
    opcode: 0x0d,
    flags: NO_FLAGS,
    layout: &[Part::Group],
    fields: &[GROUP],
    is_in_batches: true,
};

pub const READ_LOG: Op = Op {
    row: Row {
        name: "read_log",
        about: "The pushes that the log of a group keeps, page by page.",
        needs: READS,
        is_barrier: false,
        call: Call::Act(|fields, limits| {
            let (group, limit) = (fields.take_group()?, page_limit(fields.limit.take(), limits)?);
            let (after, epoch) = fields.take_offset()?.unwrap_or((0, None));
            Ok(Action::Log { group, after, epoch, limit })
        }),
        routes: &[Route {
            method: Method::Get,
            path: &[Is("v1"), Is("groups"), Of(GROUP), Is("log")],
            query: &[IN_APP, AFTER_OFFSET.being(Optional), EPOCH.being(Optional), LIMIT.being(Optional)],
        }],
        answer: Answer::Kept,
    },
    verb: Verb::Log,
    opcode: 0x0e,
    flags: flags(
        Part::AFTER | Part::EPOCH | Part::LIMIT,
        "0x04 (after), 0x08 (epoch), 0x10 (limit)",
        "0x04 `after` is there · 0x08 `epoch` is there · 0x10 `limit` is there",
    ),
    layout: &[Part::Group, Part::Pages],
    fields: &[GROUP, AFTER_OFFSET.being(Optional), EPOCH.being(Optional), LIMIT.being(Optional)],
    is_in_batches: true,
};

pub const FORGET: Op = Op {
    row: Row {
        name: "forget",
        about: "A group forgets the newest push of a key, or all that it remembers: then its numbers begin anew.",
        needs: CHANGES,
        is_barrier: true,
        call: Call::Act(|fields, _| {
            Ok(Action::Forget { group: fields.take_group()?, key: fields.take_kept_key()? })
        }),
        routes: &[Route {
            method: Method::Post,
            path: &[Is("v1"), Is("groups"), Of(GROUP), Is("forget")],
            query: &[IN_APP, KEPT_KEY.being(Optional)],
        }],
        answer: Answer::Forgotten,
    },
    verb: Verb::Forget,
    opcode: 0x0f,
    flags: NO_FLAGS,
    layout: &[Part::Group, Part::Key("forgets everything")],
    fields: &[GROUP, KEPT_KEY.being(Optional)],
    is_in_batches: true,
};
