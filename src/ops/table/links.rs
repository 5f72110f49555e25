//! The rows about links: what they hear.

use super::super::bounds::{bad_request, name};
use super::super::field::Need::Optional;
use super::super::field::{EVENTS, SHARE, WITH};
use super::super::fields::Fields;
use super::super::{Answer, Call, Op, Part, Row};
use super::{CHANGES, Verb, flags};
use crate::dispatch::{CommandError, Detail, EventKind, EventSet, LinkForm, Listen, Quoted, With};

pub const LISTEN: Op = Op {
    row: Row {
        name: "listen",
        about: "The link gets events from now on.",
        needs: CHANGES,
        is_barrier: true,
        call: Call::Listen(listen),
        routes: &[],
        answer: Answer::Nothing,
    },
    verb: Verb::Listen,
    opcode: 0x0b,
    flags: flags(
        Part::MORE | Part::WITH,
        "0x01 (more), 0x08 (with)",
        "0x01 more events follow · 0x08 `with` is there",
    ),
    layout: &[Part::Events],
    fields: &[EVENTS, SHARE.being(Optional), WITH.being(Optional)],
    is_in_batches: false,
};

pub(in crate::ops) fn listen(fields: &mut Fields<'_>) -> Result<Listen, CommandError> {
    let known = EventKind::NAMES.join(", ");
    let named = fields.events.take().unwrap_or_default();
    if named.is_empty() {
        return Err(bad_request(format!("events is an array of at least one of {known}")));
    }
    let share = fields.share.take().map(|share| name("share", &share)).transpose()?;
    let mut events = EventSet::NONE;
    for name in named {
        let unknown = || bad_request(format!("there is no event {}; there are {known}", Quoted(&name)));
        events = events.with(EventKind::named(&name).ok_or_else(unknown)?);
    }
    let mut with = With::NONE;
    for name in fields.with.take().unwrap_or_default() {
        let known = Detail::NAMES.join(", ");
        let unknown =
            || bad_request(format!("with: there is no detail {}; there are {known}", Quoted(&name)));
        with = with.and(Detail::named(&name).ok_or_else(unknown)?);
    }
    Ok(Listen { events, share, with, form: LinkForm::Json })
}
