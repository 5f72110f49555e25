//! The ops of the link: which fields each one takes, and the command that they make. Knows nothing of how the fields
//! were read.

use super::fields::{Fields, Text, To};
use crate::dispatch::{Action, Command, CommandError, LinkForm, Listen, PushOptions, Who};
use crate::gateway::api::fields::{self, CommandLimits, Quoted, bad_request};
use crate::session::{Name, SessionId};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use smallvec::SmallVec;

/// What a command can ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
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
}

impl Op {
    /// Every op, for a person to read.
    pub const NAMES: &str = "push, join, leave, destroy, move, kick, bind, tag, untag, session, listen";
    /// The fields that every op takes.
    pub const COMMON_FIELDS: &[&str] = &["id", "op", "app"];

    pub fn find(name: &str) -> Option<Self> {
        match name {
            "push" => Some(Self::Push),
            "join" => Some(Self::Join),
            "leave" => Some(Self::Leave),
            "destroy" => Some(Self::Destroy),
            "move" => Some(Self::Move),
            "kick" => Some(Self::Kick),
            "bind" => Some(Self::Bind),
            "tag" => Some(Self::Tag),
            "untag" => Some(Self::Untag),
            "session" => Some(Self::Session),
            "listen" => Some(Self::Listen),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Join => "join",
            Self::Leave => "leave",
            Self::Destroy => "destroy",
            Self::Move => "move",
            Self::Kick => "kick",
            Self::Bind => "bind",
            Self::Tag => "tag",
            Self::Untag => "untag",
            Self::Session => "session",
            Self::Listen => "listen",
        }
    }

    /// The fields that this op takes beside [`Op::COMMON_FIELDS`].
    pub fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Push => &["to", "text", "data", "ttl_ms", "key", "class", "except", "receipt"],
            Self::Join | Self::Leave => &["group", "session", "user"],
            Self::Destroy => &["group"],
            Self::Move => &["group", "to"],
            Self::Kick => &["session", "user", "code", "reason"],
            Self::Bind => &["session", "user"],
            Self::Tag | Self::Untag => &["session", "tag"],
            Self::Session => &["session"],
            Self::Listen => &["events", "share"],
        }
    }

    /// Takes the op's fields and makes its command.
    pub fn command(self, fields: &mut Fields<'_>, limits: &CommandLimits) -> Result<Command, CommandError> {
        let action = match self {
            Self::Push => return push(fields, limits),
            Self::Listen => return listen(fields).map(Command::Listen),
            Self::Join => Action::Join { group: group(fields)?, who: who(fields)? },
            Self::Leave => Action::Leave { group: group(fields)?, who: who(fields)? },
            Self::Destroy => Action::Destroy { group: group(fields)? },
            Self::Move => Action::Move { from: group(fields)?, to: other_group(fields)? },
            Self::Kick => Action::Kick {
                who: who(fields)?,
                code: fields::close_code(fields.code.take())?,
                reason: fields::close_reason(fields.reason.take().as_deref())?,
            },
            Self::Bind => Action::Bind { session: session(fields)?, user: bound_user(fields)? },
            Self::Tag => Action::Tag { session: session(fields)?, tag: tag(fields)? },
            Self::Untag => Action::Untag { session: session(fields)?, tag: tag(fields)? },
            Self::Session => Action::Describe { session: session(fields)? },
        };
        Ok(Command::Act(action))
    }
}

fn push(fields: &mut Fields<'_>, limits: &CommandLimits) -> Result<Command, CommandError> {
    let selectors = match fields.to.take() {
        Some(To::Target(target)) => target.selectors()?,
        Some(To::Group(_)) => {
            return Err(bad_request(r#"to is an object in a push, such as {"user":"ada"}"#));
        }
        None => SmallVec::new(),
    };
    let target = fields::target(selectors, limits)?;
    let frame = match (fields.text.take(), fields.data.take()) {
        (Some(text), None) => fields::text_frame(&text, limits)?,
        (None, Some(data)) => {
            let payload = STANDARD
                .decode(data.as_bytes())
                .map_err(|error| bad_request(format!("data is base64, padded (RFC 4648 §4): {error}")))?;
            fields::binary_frame(&payload, limits)?
        }
        (None, None) => return Err(bad_request("a push needs its message: text, or data in base64")),
        (Some(_), Some(_)) => return Err(bad_request("a push has either text or data, not both")),
    };
    let options = PushOptions {
        ttl: Some(fields::ttl(fields.ttl_ms.take(), limits)?),
        key: fields.key.take().map(|key| fields::conflation_key(&key)).transpose()?,
        class: fields.class.take().map(|class| fields::class(&class)).transpose()?.unwrap_or_default(),
        except: fields.except.take().map(|except| fields::session("except", &except)).transpose()?,
        receipt: fields
            .receipt
            .take()
            .map(|receipt| fields::receipt(&receipt))
            .transpose()?
            .unwrap_or_default(),
    };
    Ok(Command::Push { target, frame, options })
}

fn listen(fields: &mut Fields<'_>) -> Result<Listen, CommandError> {
    const EVENTS: &str = "open, message, close";
    let events = fields.events.take().unwrap_or_default();
    if events.is_empty() {
        return Err(bad_request(format!("events is an array of at least one of {EVENTS}")));
    }
    let share = fields.share.take().map(|share| fields::name("share", &share)).transpose()?;
    let form = LinkForm::Json;
    let mut listen = Listen { open: false, message: false, close: false, share, form };
    for event in events {
        match &*event {
            "open" => listen.open = true,
            "message" => listen.message = true,
            "close" => listen.close = true,
            other => {
                return Err(bad_request(format!("there is no event {}; there are {EVENTS}", Quoted(other))));
            }
        }
    }
    Ok(listen)
}

fn who(fields: &mut Fields<'_>) -> Result<Who, CommandError> {
    let (session, user) = (fields.session.take(), fields.user.take().flatten());
    fields::who(session.as_deref(), user.as_deref())
}

fn session(fields: &mut Fields<'_>) -> Result<SessionId, CommandError> {
    fields::session("session", &needed("session", fields.session.take())?)
}

fn group(fields: &mut Fields<'_>) -> Result<Name, CommandError> {
    fields::name("group", &needed("group", fields.group.take())?)
}

fn tag(fields: &mut Fields<'_>) -> Result<Name, CommandError> {
    fields::name("tag", &needed("tag", fields.tag.take())?)
}

fn other_group(fields: &mut Fields<'_>) -> Result<Name, CommandError> {
    match fields.to.take() {
        Some(To::Group(name)) => fields::name("to", &name),
        _ => Err(bad_request("to is the name of a group in a move")),
    }
}

fn bound_user(fields: &mut Fields<'_>) -> Result<Option<Name>, CommandError> {
    let user = fields.user.take().ok_or_else(|| bad_request("user is missing; null unbinds the session"))?;
    user.map(|user| fields::name("user", &user)).transpose()
}

fn needed<'a>(field: &str, text: Option<Text<'a>>) -> Result<Text<'a>, CommandError> {
    text.ok_or_else(|| bad_request(format!("{field} is missing")))
}
