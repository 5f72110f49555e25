//! The rows about links: what they hear, and whose the sessions are that they divide.

use super::super::Segment::Is;
use super::super::bounds::{bad_request, name};
use super::super::field::Need::{ExactlyOne, Optional};
use super::super::field::{
    EVENTS, GROUP, LINK, NAME, NUMBERS, OF_SHARE, SESSION, SHARE, SNAPSHOT, USER, WITH,
};
use super::super::fields::Fields;
use super::super::{Answer, Call, Method, Op, Part, Route, Row};
use super::{CHANGES, IN_APP, NO_FLAGS, Verb, flags};
use crate::dispatch::{
    Action, CommandError, Detail, EventKind, EventSet, LinkForm, Listen, Quoted, Scope, With,
};

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
        Part::MORE | Part::EVERYWHERE | Part::WITH | Part::NAME | Part::SNAPSHOT | Part::NUMBERS,
        "0x01 (more), 0x02 (everywhere), 0x08 (with), 0x10 (name), 0x20 (snapshot), 0x40 (numbers)",
        "0x01 more events follow · 0x02 `scope` is `cluster` · 0x08 `with` is there · 0x10 `name` is there · 0x20 `snapshot` · \
         0x40 `numbers`",
    ),
    layout: &[Part::Events],
    fields: &[
        EVENTS,
        SHARE.being(Optional),
        WITH.being(Optional),
        NAME.being(Optional),
        SNAPSHOT.being(Optional),
        NUMBERS.being(Optional),
    ],
    is_in_batches: false,
};

pub const ROUTE: Op = Op {
    row: Row {
        name: "route",
        about: "The events of sessions go to one link of a share from now on.",
        needs: CHANGES,
        is_barrier: true,
        call: Call::Act(|fields, _| {
            Ok(Action::Route { what: fields.take_routed()?, link: fields.take_routed_link()? })
        }),
        routes: &[Route {
            method: Method::Post,
            path: &[Is("v1"), Is("route")],
            query: &[
                IN_APP,
                SESSION.being(ExactlyOne),
                USER.being(ExactlyOne),
                GROUP.being(ExactlyOne),
                LINK,
            ],
        }],
        answer: Answer::Sessions,
    },
    verb: Verb::Route,
    opcode: 0x30,
    flags: flags(
        Part::USER | Part::GROUP,
        "0x01 (user), 0x02 (group)",
        "0x01 it is about a user, 0x02 about a group, else about a session",
    ),
    layout: &[Part::Routed, Part::Link("ends the route")],
    fields: &[SESSION.being(ExactlyOne), USER.being(ExactlyOne), GROUP.being(ExactlyOne), LINK],
    is_in_batches: true,
};

pub const REBALANCE: Op = Op {
    row: Row {
        name: "rebalance",
        about: "The sessions of a share that no route binds are divided evenly anew among its links.",
        needs: CHANGES,
        is_barrier: true,
        call: Call::Act(|fields, _| Ok(Action::Rebalance { share: fields.take_share()? })),
        routes: &[Route {
            method: Method::Post,
            path: &[Is("v1"), Is("rebalance")],
            query: &[IN_APP, OF_SHARE],
        }],
        answer: Answer::Sessions,
    },
    verb: Verb::Rebalance,
    opcode: 0x31,
    flags: NO_FLAGS,
    layout: &[Part::Share],
    fields: &[OF_SHARE],
    is_in_batches: true,
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
    let name = fields.name.take().map(|called| name("name", &called)).transpose()?;
    let snapshot = fields.snapshot.take().unwrap_or(false);
    let numbers = fields.numbers.take().unwrap_or(false);
    // Other than in all commands, it is the node where nothing is said: backends that listen to each node hear each session once.
    let everywhere = fields.scope.is_some() && fields.take_scope()? == Scope::Cluster;
    if everywhere && snapshot {
        return Err(bad_request(
            "snapshot: a link that listens with scope cluster is told of no sessions that are there; ask for GET /v1/sessions, or \
             listen with scope node to each node",
        ));
    }
    Ok(Listen { events, share, with, name, snapshot, numbers, everywhere, form: LinkForm::Json })
}
