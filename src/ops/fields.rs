//! The fields of a command as they were given: read by serde from JSON, put in from a path and a query, or read from the
//! binary layout. Which operation takes which, its row says.

use super::bounds::{self, bad_request};
pub use super::shapes::{After, Text, To};
use crate::dispatch::{CommandError, Epoch, PresentAfter, Recall, Routed, Token, Who};
use crate::session::{Name, SessionId};
use log::LevelFilter;
use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::value::RawValue;
use std::path::PathBuf;

/// Every field of every op. What an op knows it takes out; what is left then is not its own.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fields<'a> {
    #[serde(borrow)]
    pub id: Option<&'a RawValue>,
    pub op: Option<Text<'a>>,
    pub app: Option<Text<'a>>,
    pub to: Option<To<'a>>,
    pub text: Option<Text<'a>>,
    pub data: Option<Text<'a>>,
    pub ttl_ms: Option<u64>,
    pub key: Option<Text<'a>>,
    pub class: Option<Text<'a>>,
    pub except: Option<Text<'a>>,
    pub receipt: Option<Text<'a>>,
    #[serde(borrow)]
    pub session: Option<Session<'a>>,
    /// `Some(None)` is a `null`.
    #[serde(default, deserialize_with = "present")]
    pub user: Option<Option<Text<'a>>>,
    pub group: Option<Text<'a>>,
    pub tag: Option<Text<'a>>,
    pub code: Option<u64>,
    pub reason: Option<Text<'a>>,
    #[serde(borrow)]
    pub events: Option<Vec<Text<'a>>>,
    pub share: Option<Text<'a>>,
    pub name: Option<Text<'a>>,
    pub snapshot: Option<bool>,
    /// `Some(None)` is a `null`.
    #[serde(default, deserialize_with = "present")]
    pub link: Option<Option<Text<'a>>>,
    pub limit: Option<u64>,
    #[serde(borrow)]
    pub after: Option<After<'a>>,
    pub last: Option<u64>,
    pub epoch: Option<Text<'a>>,
    pub over_ms: Option<u64>,
    pub binary: Option<Text<'a>>,
    pub dry_run: Option<bool>,
    pub token: Option<Text<'a>>,
    pub level: Option<Text<'a>>,
    pub for_ms: Option<u64>,
    pub members: Option<bool>,
    pub resume: Option<Text<'a>>,
    pub received: Option<u64>,
}

/// A session as it is named: in text, or by the number that the binary layout has.
#[derive(Debug)]
pub enum Session<'a> {
    Text(Text<'a>),
    Id(SessionId),
}

impl<'de: 'a, 'a> Deserialize<'de> for Session<'a> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        Text::deserialize(input).map(Self::Text)
    }
}

impl Session<'_> {
    fn id(&self) -> Result<SessionId, CommandError> {
        match self {
            Self::Text(text) => bounds::session("session", text),
            Self::Id(id) => Ok(*id),
        }
    }
}

impl Fields<'_> {
    /// Whether every field was taken; a `null` needs no taker.
    pub fn is_empty(&self) -> bool {
        // Without `..`: a new field must be asked for as well.
        let Self {
            id,
            op,
            app,
            to,
            text,
            data,
            ttl_ms,
            key,
            class,
            except,
            receipt,
            session,
            user,
            group,
            tag,
            code,
            reason,
            events,
            share,
            name,
            snapshot,
            link,
            limit,
            after,
            last,
            epoch,
            over_ms,
            binary,
            dry_run,
            token,
            level,
            for_ms,
            members,
            resume,
            received,
        } = self;
        let texts = [
            op, app, text, data, key, class, except, receipt, group, tag, reason, share, token, level,
            binary, epoch, resume, name,
        ];
        let numbers = [ttl_ms, code, limit, over_ms, for_ms, received, last];
        texts.iter().all(|text| text.is_none())
            && numbers.iter().all(|number| number.is_none())
            && id.is_none()
            && after.is_none()
            && dry_run.is_none()
            && members.is_none()
            && snapshot.is_none()
            && session.is_none()
            && to.is_none()
            && user.as_ref().is_none_or(Option::is_none)
            && link.as_ref().is_none_or(Option::is_none)
            && events.is_none()
    }
}

fn present<'de: 'a, 'a, D: Deserializer<'de>>(input: D) -> Result<Option<Option<Text<'a>>>, D::Error> {
    Option::<Text<'a>>::deserialize(input).map(Some)
}

/// What operations take, each checked.
impl Fields<'_> {
    /// The sessions that a command is about: one `session`, or all of one `user`.
    pub fn take_who(&mut self) -> Result<Who, CommandError> {
        match (self.session.take(), self.user.take().flatten()) {
            (Some(session), None) => Ok(Who::Session(session.id()?)),
            (None, Some(user)) => Ok(Who::User(bounds::name("user", &user)?)),
            (None, None) => Err(bad_request("say whose it is: name a session or a user")),
            (Some(_), Some(_)) => Err(bad_request("name either a session or a user, not both")),
        }
    }

    /// The sessions that a route is about: one `session`, all of a `user`, or the members of a `group`.
    pub fn take_routed(&mut self) -> Result<Routed, CommandError> {
        let session = self.session.take().map(|session| session.id().map(Routed::Session));
        let user = self.user.take().flatten().map(|user| bounds::name("user", &user).map(Routed::User));
        let group = self.group.take().map(|group| bounds::name("group", &group).map(Routed::Group));
        let mut named = [session, user, group].into_iter().flatten();
        match (named.next(), named.next()) {
            (Some(routed), None) => routed,
            (None, _) => Err(bad_request("say whose events: name a session, a user or a group")),
            (Some(_), Some(_)) => Err(bad_request("name one of session, user and group")),
        }
    }

    /// `link` of a route.
    pub fn take_routed_link(&mut self) -> Result<Option<Name>, CommandError> {
        let missing = "link is missing; null ends the route, and so does an empty parameter";
        let link = self.link.take().ok_or_else(|| bad_request(missing))?;
        link.map(|link| bounds::name("link", &link)).transpose()
    }

    pub fn take_share(&mut self) -> Result<Name, CommandError> {
        bounds::name("share", &needed("share", self.share.take())?)
    }

    pub fn take_session(&mut self) -> Result<SessionId, CommandError> {
        needed("session", self.session.take())?.id()
    }

    pub fn take_token(&mut self) -> Result<Token, CommandError> {
        Ok(Token::new(&*needed("token", self.token.take())?))
    }

    pub fn take_group(&mut self) -> Result<Name, CommandError> {
        bounds::name("group", &needed("group", self.group.take())?)
    }

    /// What a session that joins gets of the log first: `last`, `after` with its `epoch`, or both.
    pub fn take_recall(&mut self) -> Result<Option<Recall>, CommandError> {
        match (self.last.take(), self.take_offset()?) {
            (None, None) => Ok(None),
            (Some(last), None) => Ok(Some(Recall::Last(last))),
            (last, Some((offset, epoch))) => Ok(Some(Recall::After { offset, epoch, last })),
        }
    }

    /// `after`, a number of a log, with its `epoch`.
    pub fn take_offset(&mut self) -> Result<Option<(u64, Option<Epoch>)>, CommandError> {
        let epoch = self.epoch.take().map(|epoch| bounds::epoch("epoch", &epoch)).transpose()?;
        match self.after.take() {
            Some(After::Offset(offset)) => Ok(Some((offset, epoch))),
            Some(After::Session(_)) => Err(bad_request("after is a number of the log")),
            None if epoch.is_some() => Err(bad_request("epoch is that of a number: name after too")),
            None => Ok(None),
        }
    }

    /// `after` of a page of sessions.
    pub fn take_after_session(&mut self) -> Result<Option<SessionId>, CommandError> {
        match self.after.take() {
            Some(After::Session(after)) => bounds::session("after", &after).map(Some),
            Some(After::Offset(_)) => Err(bad_request("after is the id of a session")),
            None => Ok(None),
        }
    }

    /// `key` of what a group keeps.
    pub fn take_kept_key(&mut self) -> Result<Option<Box<str>>, CommandError> {
        self.key.take().map(|key| bounds::conflation_key(&key)).transpose()
    }

    pub fn take_tag(&mut self) -> Result<Name, CommandError> {
        bounds::name("tag", &needed("tag", self.tag.take())?)
    }

    /// `to` of a move.
    pub fn take_other_group(&mut self) -> Result<Name, CommandError> {
        match needed("to", self.to.take())? {
            To::Group(name) => bounds::name("to", &name),
            To::Target(_) => Err(bad_request("to is the name of a group in a move")),
        }
    }

    /// `over_ms` of a drain.
    pub fn take_over_ms(&mut self) -> Result<Option<u64>, CommandError> {
        self.over_ms.take().map(|ms| bounds::up_to_a_day("over_ms", ms)).transpose()
    }

    /// `for_ms` of a level of the log.
    pub fn take_for_ms(&mut self) -> Result<Option<u64>, CommandError> {
        self.for_ms.take().map(|ms| bounds::up_to_a_day("for_ms", ms)).transpose()
    }

    /// `level` of the log.
    pub fn take_level(&mut self) -> Result<LevelFilter, CommandError> {
        bounds::level(&needed("level", self.level.take())?)
    }

    /// `binary` of an upgrade.
    pub fn take_binary(&mut self) -> Result<Option<PathBuf>, CommandError> {
        self.binary.take().map(|path| bounds::absolute_path("binary", &path)).transpose()
    }

    /// `dry_run` of an upgrade.
    pub fn take_dry_run(&mut self) -> bool {
        self.dry_run.take().unwrap_or(false)
    }

    /// `after` of a presence.
    pub fn take_after_present(&mut self) -> Result<Option<PresentAfter>, CommandError> {
        let after = match self.after.take() {
            Some(After::Session(after)) => Some(after.parse::<PresentAfter>()).transpose(),
            Some(After::Offset(_)) => return Err(bad_request("after is what the last page gave as next")),
            None => Ok(None),
        };
        after.map_err(|error| bad_request(format!("after: {error}")))
    }

    /// `members` of a presence.
    pub fn take_members(&mut self) -> bool {
        self.members.take().unwrap_or(true)
    }

    /// `to` of a drain.
    pub fn take_destination(&mut self) -> Result<Option<Box<str>>, CommandError> {
        match self.to.take() {
            None => Ok(None),
            Some(To::Group(to)) => bounds::destination(&to).map(Some),
            Some(To::Target(_)) => Err(bad_request("to is a URL in a drain")),
        }
    }

    /// `user` of a bind.
    pub fn take_bound_user(&mut self) -> Result<Option<Name>, CommandError> {
        let missing = "user is missing; null unbinds the session, and so does an empty parameter";
        let user = self.user.take().ok_or_else(|| bad_request(missing))?;
        user.map(|user| bounds::name("user", &user)).transpose()
    }
}

fn needed<T>(field: &str, value: Option<T>) -> Result<T, CommandError> {
    value.ok_or_else(|| bad_request(format!("{field} is missing")))
}
