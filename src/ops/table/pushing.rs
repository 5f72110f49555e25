//! The row of pushes.

use super::super::Segment::Is;
use super::super::field::Need::{AtLeastOne, ExactlyOne, Optional};
use super::super::field::{
    ALL, ALL_OF, CLASS, DATA, EXCEPT, EXCEPTED, GROUP, JSON, KEY, NAMES, RECEIPT, SESSION, TAG, TARGET, TEXT,
    TTL_MS, USER,
};
use super::super::{Answer, Call, Method, Needs, Op, Part, Route, Row};
use super::{IN_APP, Verb, flags};
use crate::dispatch::Right;

pub const PUSH: Op = Op {
    row: Row {
        name: "push",
        about: "Sends a message to sessions.",
        needs: Needs::Right(Right::Push),
        is_barrier: false,
        call: Call::Push,
        routes: &[Route {
            method: Method::Post,
            path: &[Is("v1"), Is("push")],
            query: &[
                IN_APP,
                SESSION.being(AtLeastOne),
                USER.being(AtLeastOne),
                GROUP.being(AtLeastOne),
                TAG.being(AtLeastOne),
                ALL.being(AtLeastOne),
                ALL_OF.being(AtLeastOne),
                TTL_MS.being(Optional),
                KEY.being(Optional),
                CLASS.being(Optional),
                EXCEPTED.being(Optional),
                RECEIPT.being(Optional),
                NAMES.being(Optional),
            ],
        }],
        answer: Answer::Receipt,
    },
    verb: Verb::Push,
    opcode: 0x01,
    flags: flags(
        0x1f,
        "0x01 (binary), 0x02 (ttl), 0x04 (except), 0x08 (without), 0x10 (names)",
        "0x01 the message is binary, else text · 0x02 `ttl_ms` is there · 0x04 `except` is there: a session · 0x08 further sessions, \
            users, groups and tags are excepted · 0x10 `names`",
    ),
    layout: &[
        Part::OfPush("key (a name or absent)"),
        Part::OfPush("ttl_ms u32, if flagged"),
        Part::OfPush("except u64, if flagged"),
        Part::OfPush("number of excepted u16 and so many selectors, if flagged"),
        Part::OfPush("number of selectors u16"),
        Part::OfPush("selectors"),
        Part::OfPush("the message: all that is left"),
    ],
    fields: &[
        TARGET,
        TEXT.being(ExactlyOne),
        DATA.being(ExactlyOne),
        JSON.being(ExactlyOne),
        TTL_MS.being(Optional),
        KEY.being(Optional),
        CLASS.being(Optional),
        EXCEPT.being(Optional),
        RECEIPT.being(Optional),
        NAMES.being(Optional),
    ],
    is_in_batches: true,
};
