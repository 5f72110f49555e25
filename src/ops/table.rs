//! The rows of the operations. One that is new has its row here, its [`Action`] in `dispatch`, what it does in
//! `core::execute`, and where the binary link has it a command in `link_bin`; nothing else knows it by name.

use super::Segment::{Is, Of};
use super::bounds::{bad_request, close_code, close_reason, name, page_limit};
use super::field::Need::{AtLeastOne, ExactlyOne, Optional};
use super::field::*;
use super::fields::Fields;
use super::{Answer, Call, Flags, Method, Needs, Op, Part, Route, Row};
use crate::dispatch::{
    Action, CommandError, CommandLimits, EventKind, EventSet, LinkForm, Listen, Quoted, Right,
};

/// The commands of the binary link: the places of their rows in [`OPS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Push,
    Join,
    Leave,
    Destroy,
    Move,
    Kick,
    Bind,
    Tag,
    Untag,
    Session,
    Listen,
    Renew,
    Latest,
    Log,
    Forget,
    Presence,
    Route,
    Rebalance,
}

/// What an operator orders.
const CHANGES: Needs = Needs::Right(Right::All);
const READS: Needs = Needs::Right(Right::Read);

const fn flags(known: u8, names: &'static str, _words: &'static str) -> Flags {
    Flags {
        known,
        names,
        #[cfg(test)]
        words: _words,
    }
}

const NO_FLAGS: Flags = flags(0, "none", "");
const WHO: Flags = flags(Part::USER, "0x01 (user)", "0x01 it is about a user, else about a session");

const EITHER_SESSION: Field = SESSION.being(ExactlyOne);
const EITHER_USER: Field = USER.being(ExactlyOne);
const IN_APP: Field = APP.being(Optional);

/// The operations, in the order of [`Verb`].
pub static OPS: [Op; 18] = [
    Op {
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
                    TTL_MS.being(Optional),
                    KEY.being(Optional),
                    CLASS.being(Optional),
                    EXCEPT.being(Optional),
                    RECEIPT.being(Optional),
                ],
            }],
            answer: Answer::Receipt,
        },
        verb: Verb::Push,
        opcode: 0x01,
        flags: flags(
            0x07,
            "0x01 (binary), 0x02 (ttl), 0x04 (except)",
            "0x01 the message is binary, else text · 0x02 `ttl_ms` is there · 0x04 `except` is there",
        ),
        layout: &[
            Part::OfPush("key (a name or absent)"),
            Part::OfPush("ttl_ms u32, if flagged"),
            Part::OfPush("except u64, if flagged"),
            Part::OfPush("number of selectors u16"),
            Part::OfPush("selectors"),
            Part::OfPush("the message: all that is left"),
        ],
        fields: &[
            TARGET,
            TEXT.being(ExactlyOne),
            DATA.being(ExactlyOne),
            TTL_MS.being(Optional),
            KEY.being(Optional),
            CLASS.being(Optional),
            EXCEPT.being(Optional),
            RECEIPT.being(Optional),
        ],
        is_in_batches: true,
    },
    Op {
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
    },
    Op {
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
    },
    Op {
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
    },
    Op {
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
    },
    Op {
        row: Row {
            name: "kick",
            about: "Closes sessions.",
            needs: CHANGES,
            is_barrier: true,
            call: Call::Act(|fields, _| {
                Ok(Action::Kick {
                    who: fields.take_who()?,
                    code: close_code(fields.code.take())?,
                    reason: close_reason(fields.reason.take().as_deref())?,
                })
            }),
            routes: &[
                Route {
                    method: Method::Delete,
                    path: &[Is("v1"), Is("sessions"), Of(SESSION)],
                    query: &[IN_APP, CODE.being(Optional), REASON.being(Optional)],
                },
                Route {
                    method: Method::Delete,
                    path: &[Is("v1"), Is("users"), Of(USER)],
                    query: &[IN_APP, CODE.being(Optional), REASON.being(Optional)],
                },
            ],
            answer: Answer::Sessions,
        },
        verb: Verb::Kick,
        opcode: 0x06,
        flags: flags(
            Part::USER | Part::CODE,
            "0x01 (user), 0x02 (code)",
            "0x01 as for join · 0x02 `code` is there",
        ),
        layout: &[Part::Who, Part::Code, Part::Reason],
        fields: &[EITHER_SESSION, EITHER_USER, CODE.being(Optional), REASON.being(Optional)],
        is_in_batches: true,
    },
    Op {
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
                path: &[Is("v1"), Is("sessions"), Of(SESSION), Is("user")],
                query: &[IN_APP, BOUND_USER],
            }],
            answer: Answer::Sessions,
        },
        verb: Verb::Bind,
        opcode: 0x07,
        flags: NO_FLAGS,
        layout: &[Part::Session, Part::User("unbinds")],
        fields: &[SESSION, BOUND_USER],
        is_in_batches: true,
    },
    Op {
        row: Row {
            name: "tag",
            about: "A session gets a tag.",
            needs: CHANGES,
            is_barrier: true,
            call: Call::Act(|fields, _| {
                Ok(Action::Tag { session: fields.take_session()?, tag: fields.take_tag()? })
            }),
            routes: &[Route {
                method: Method::Post,
                path: &[Is("v1"), Is("sessions"), Of(SESSION), Is("tags")],
                query: &[IN_APP, TAG],
            }],
            answer: Answer::Sessions,
        },
        verb: Verb::Tag,
        opcode: 0x08,
        flags: NO_FLAGS,
        layout: &[Part::Session, Part::Tag],
        fields: &[SESSION, TAG],
        is_in_batches: true,
    },
    Op {
        row: Row {
            name: "untag",
            about: "A session loses a tag.",
            needs: CHANGES,
            is_barrier: true,
            call: Call::Act(|fields, _| {
                Ok(Action::Untag { session: fields.take_session()?, tag: fields.take_tag()? })
            }),
            routes: &[Route {
                method: Method::Delete,
                path: &[Is("v1"), Is("sessions"), Of(SESSION), Is("tags")],
                query: &[IN_APP, TAG],
            }],
            answer: Answer::Sessions,
        },
        verb: Verb::Untag,
        opcode: 0x09,
        flags: NO_FLAGS,
        layout: &[Part::Session, Part::Tag],
        fields: &[SESSION, TAG],
        is_in_batches: true,
    },
    Op {
        row: Row {
            name: "session",
            about: "Describes a session.",
            needs: READS,
            is_barrier: false,
            call: Call::Act(|fields, _| Ok(Action::Describe { session: fields.take_session()? })),
            routes: &[Route {
                method: Method::Get,
                path: &[Is("v1"), Is("sessions"), Of(SESSION)],
                query: &[IN_APP],
            }],
            answer: Answer::Session,
        },
        verb: Verb::Session,
        opcode: 0x0a,
        flags: NO_FLAGS,
        layout: &[Part::Session],
        fields: &[SESSION],
        is_in_batches: true,
    },
    Op {
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
            Part::MORE | Part::NAME | Part::SNAPSHOT,
            "0x01 (more), 0x10 (name), 0x20 (snapshot)",
            "0x01 more events follow · 0x10 `name` is there · 0x20 `snapshot`",
        ),
        layout: &[Part::Events],
        fields: &[EVENTS, SHARE.being(Optional), NAME.being(Optional), SNAPSHOT.being(Optional)],
        is_in_batches: false,
    },
    Op {
        row: Row {
            name: "renew",
            about: "A session goes on under another token of its user, and ends when that does.",
            needs: CHANGES,
            is_barrier: true,
            call: Call::ActOnBody(|fields, _| {
                Ok(Action::Renew { session: fields.take_session()?, token: fields.take_token()? })
            }),
            routes: &[Route {
                method: Method::Post,
                path: &[Is("v1"), Is("sessions"), Of(SESSION), Is("renew")],
                query: &[IN_APP],
            }],
            answer: Answer::Renewed,
        },
        verb: Verb::Renew,
        opcode: 0x0c,
        flags: NO_FLAGS,
        layout: &[Part::Session, Part::Token],
        fields: &[SESSION, TOKEN],
        is_in_batches: true,
    },
    Op {
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
    },
    Op {
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
    },
    Op {
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
    },
    Op {
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
                query: &[
                    IN_APP,
                    LIMIT.being(Optional),
                    AFTER_PRESENT.being(Optional),
                    MEMBERS.being(Optional),
                ],
            }],
            answer: Answer::Presence,
        },
        verb: Verb::Presence,
        opcode: 0x10,
        flags: flags(Part::COUNTS, "0x04 (counts)", "0x04 only the counts"),
        layout: &[Part::Group, Part::Page],
        fields: &[GROUP, LIMIT.being(Optional), AFTER_PRESENT.being(Optional), MEMBERS.being(Optional)],
        is_in_batches: true,
    },
    Op {
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
                query: &[IN_APP, EITHER_SESSION, EITHER_USER, GROUP.being(ExactlyOne), LINK],
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
        fields: &[EITHER_SESSION, EITHER_USER, GROUP.being(ExactlyOne), LINK],
        is_in_batches: true,
    },
    Op {
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
    },
];

fn join(fields: &mut Fields<'_>, _: &CommandLimits) -> Result<Action, CommandError> {
    let (group, who) = (fields.take_group()?, fields.take_who()?);
    Ok(match fields.take_recall()? {
        None => Action::Join { who, group },
        Some(recall) => Action::JoinWith { who, group, recall },
    })
}

fn listen(fields: &mut Fields<'_>) -> Result<Listen, CommandError> {
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
    let name = fields.name.take().map(|called| name("name", &called)).transpose()?;
    let snapshot = fields.snapshot.take().unwrap_or(false);
    Ok(Listen { events, share, name, snapshot, form: LinkForm::Json })
}
