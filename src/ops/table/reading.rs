//! The rows that only look.

use super::super::Segment::{Is, Of};
use super::super::bounds::page_limit;
use super::super::field::Need::Optional;
use super::super::field::{AFTER_PRESENT, GROUP, LIMIT, MEMBERS};
use super::super::{Answer, Call, Method, Op, Part, Route, Row};
use super::{IN_APP, READS, Verb, flags};
use crate::dispatch::Action;

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
