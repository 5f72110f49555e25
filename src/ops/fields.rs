//! The fields of a command as they were given: read by serde from JSON, put in from a path and a query, or read from the
//! binary layout. Which operation takes which, its row says.

use super::bounds::{self, bad_request};
pub use super::shapes::{After, Except, OneOrMore, Session, Text, To};
use crate::dispatch::{
    Action, Banned, CommandError, CommandLimits, Epoch, PresentAfter, Quoted, Recall, Recorded, Routed,
    Scope, Selector, SessionEnd, Token, Who,
};
use crate::session::{Name, Network, SessionId};
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
    pub scope: Option<Text<'a>>,
    pub to: Option<To<'a>>,
    pub text: Option<Text<'a>>,
    pub data: Option<Text<'a>>,
    pub ttl_ms: Option<u64>,
    pub key: Option<Text<'a>>,
    pub class: Option<Text<'a>>,
    #[serde(borrow)]
    pub json: Option<&'a RawValue>,
    #[serde(borrow)]
    pub except: Option<Except<'a>>,
    pub names: Option<bool>,
    pub receipt: Option<Text<'a>>,
    #[serde(borrow)]
    pub session: Option<Session<'a>>,
    /// `Some(None)` is a `null`.
    #[serde(borrow, default, deserialize_with = "present")]
    pub user: Option<Option<OneOrMore<'a>>>,
    #[serde(borrow)]
    pub group: Option<OneOrMore<'a>>,
    #[serde(borrow)]
    pub groups: Option<OneOrMore<'a>>,
    #[serde(borrow)]
    pub tags: Option<OneOrMore<'a>>,
    pub prefix: Option<Text<'a>>,
    pub tag: Option<Text<'a>>,
    pub code: Option<u64>,
    pub reason: Option<Text<'a>>,
    #[serde(borrow)]
    pub events: Option<Vec<Text<'a>>>,
    pub share: Option<Text<'a>>,
    #[serde(borrow)]
    pub with: Option<Vec<Text<'a>>>,
    pub name: Option<Text<'a>>,
    pub snapshot: Option<bool>,
    pub numbers: Option<bool>,
    /// `Some(None)` is a `null`.
    #[serde(default, deserialize_with = "present_text")]
    pub link: Option<Option<Text<'a>>>,
    pub limit: Option<u64>,
    #[serde(borrow)]
    pub after: Option<After<'a>>,
    pub last: Option<u64>,
    pub sticky: Option<bool>,
    pub epoch: Option<Text<'a>>,
    pub over_ms: Option<u64>,
    pub binary: Option<Text<'a>>,
    pub dry_run: Option<bool>,
    pub defaults: Option<bool>,
    pub token: Option<Text<'a>>,
    pub level: Option<Text<'a>>,
    pub for_ms: Option<u64>,
    pub expires_unix_ms: Option<u64>,
    pub address: Option<Text<'a>>,
    pub members: Option<bool>,
    pub behind: Option<bool>,
    pub resume: Option<Text<'a>>,
    pub received: Option<u64>,
    pub wait_ms: Option<u64>,
    pub frames: Option<u64>,
}

impl Fields<'_> {
    /// Whether every field was taken; a `null` needs no taker.
    pub fn is_empty(&self) -> bool {
        // Without `..`: a new field must be asked for as well.
        let Self {
            id,
            op,
            app,
            scope,
            to,
            text,
            data,
            ttl_ms,
            key,
            class,
            except,
            json,
            names,
            receipt,
            session,
            user,
            group,
            groups,
            tags,
            prefix,
            tag,
            code,
            reason,
            events,
            share,
            with,
            name,
            snapshot,
            numbers,
            link,
            limit,
            after,
            last,
            sticky,
            epoch,
            over_ms,
            binary,
            dry_run,
            defaults,
            token,
            level,
            for_ms,
            expires_unix_ms,
            address,
            members,
            behind,
            resume,
            received,
            wait_ms,
            frames,
        } = self;
        let texts = [
            op, app, scope, text, data, key, class, receipt, prefix, address, tag, reason, share, token,
            level, binary, epoch, resume, name,
        ];
        let wholes = [ttl_ms, code, limit, over_ms, for_ms, expires_unix_ms, received, last, wait_ms, frames];
        texts.iter().all(|text| text.is_none())
            && wholes.iter().all(|number| number.is_none())
            && id.is_none()
            && after.is_none()
            && dry_run.is_none()
            && defaults.is_none()
            && members.is_none()
            && behind.is_none()
            && snapshot.is_none()
            && numbers.is_none()
            && sticky.is_none()
            && session.is_none()
            && except.is_none()
            && json.is_none()
            && names.is_none()
            && [group, groups, tags].iter().all(|names| names.is_none())
            && to.is_none()
            && user.as_ref().is_none_or(Option::is_none)
            && link.as_ref().is_none_or(Option::is_none)
            && events.is_none()
            && with.is_none()
    }
}

fn present<'de: 'a, 'a, D: Deserializer<'de>>(input: D) -> Result<Option<Option<OneOrMore<'a>>>, D::Error> {
    Option::<OneOrMore<'a>>::deserialize(input).map(Some)
}

fn present_text<'de: 'a, 'a, D: Deserializer<'de>>(input: D) -> Result<Option<Option<Text<'a>>>, D::Error> {
    Option::<Text<'a>>::deserialize(input).map(Some)
}

/// What operations take, each checked.
impl Fields<'_> {
    /// `scope` of any command.
    pub fn take_scope(&mut self) -> Result<Scope, CommandError> {
        self.scope.take().map_or(Ok(Scope::default()), |scope| bounds::scope(&scope))
    }

    /// The sessions that a command is about: one `session` or a list of them, or all of one `user` or of a list of them.
    pub fn take_who(&mut self, limits: &CommandLimits) -> Result<Who, CommandError> {
        self.take_optional_who(limits)?
            .ok_or_else(|| bad_request("say whose it is: name a session or a user"))
    }

    /// The same, where it may be left out.
    pub fn take_optional_who(&mut self, limits: &CommandLimits) -> Result<Option<Who>, CommandError> {
        match (self.session.take(), self.user.take().flatten()) {
            (Some(session), None) => session.who(limits).map(Some),
            (None, Some(OneOrMore::One(user))) => Ok(Some(Who::User(bounds::name("user", &user)?))),
            (None, Some(users)) => bounds::names("user", users.strs(), limits).map(Who::Users).map(Some),
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err(bad_request("name either a session or a user, not both")),
        }
    }

    /// The sessions that a route is about: one `session`, all of a `user`, or the members of a `group`.
    pub fn take_routed(&mut self) -> Result<Routed, CommandError> {
        let session = self.session.take().map(|session| session.id().map(Routed::Session));
        let user = self.user.take().flatten();
        let user = user.map(|user| bounds::name("user", &one("user", user)?).map(Routed::User));
        let group = self.group.take();
        let group = group.map(|group| bounds::name("group", &one("group", group)?).map(Routed::Group));
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

    pub fn take_group(&mut self) -> Result<Name, CommandError> {
        bounds::name("group", &one("group", needed("group", self.group.take())?)?)
    }

    /// `group` of a command that takes several: one, or a list.
    pub fn take_one_or_more_groups(&mut self, limits: &CommandLimits) -> Result<Groups, CommandError> {
        match needed("group", self.group.take())? {
            OneOrMore::One(group) => bounds::name("group", &group).map(Groups::One),
            groups => bounds::names("group", groups.strs(), limits).map(Groups::Several),
        }
    }

    /// `groups` or `tags` of a command that sets them, with its `prefix`. An empty list is one; as a parameter, an empty value.
    pub fn take_set(
        &mut self,
        field: &str,
        limits: &CommandLimits,
    ) -> Result<(Vec<Name>, Option<Name>), CommandError> {
        let slot = if field == "groups" { &mut self.groups } else { &mut self.tags };
        let names = needed(field, slot.take())?;
        let prefix = self.prefix.take().map(|prefix| bounds::name("prefix", &prefix)).transpose()?;
        let names = match names {
            OneOrMore::More(names) if names.is_empty() => Vec::new(),
            OneOrMore::One(name) if name.is_empty() => Vec::new(),
            names => bounds::names(field, names.strs(), limits)?,
        };
        let begins = prefix.as_deref().unwrap_or_default();
        match names.iter().find(|name| !name.as_str().starts_with(begins)) {
            Some(name) => {
                let (name, begins) = (Quoted(name), Quoted(begins));
                Err(bad_request(format!("{field}: {name} does not begin with the prefix {begins}")))
            }
            None => Ok((names, prefix)),
        }
    }

    /// What a session that joins gets of the log first: `last`, `after` with its `epoch`, or both.
    pub fn take_recall(&mut self) -> Result<Option<Recall>, CommandError> {
        match (self.last.take(), self.take_offset()?) {
            (None, None) => Ok(None),
            (Some(last), None) => Ok(Some(Recall::Last(last))),
            (last, Some((offset, epoch))) => Ok(Some(Recall::After { offset, epoch, last })),
        }
    }

    /// `sticky` of a join.
    pub fn take_sticky(&mut self) -> bool {
        self.sticky.take().unwrap_or(false)
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

    /// How a session goes on: under a token, or until a time that is named.
    pub fn take_renewal(&mut self) -> Result<Action, CommandError> {
        let session = self.take_session()?;
        let end = match (self.token.take(), self.expires_unix_ms.take(), self.for_ms.take()) {
            (Some(token), None, None) => return Ok(Action::Renew { session, token: Token::new(&*token) }),
            (None, Some(unix_ms), None) => SessionEnd::At(unix_ms),
            (None, None, Some(ms)) => SessionEnd::For(ms),
            (None, None, None) => {
                return Err(bad_request("token is missing, or expires_unix_ms, or for_ms: name one of them"));
            }
            _ => return Err(bad_request("name one of token, expires_unix_ms and for_ms, not several")),
        };
        Ok(Action::RenewUntil { session, end })
    }

    /// Who is recorded: a `session`, or the next one of a `user`.
    pub fn take_recorded(&mut self) -> Result<Recorded, CommandError> {
        match self.user.take().flatten() {
            Some(user) => bounds::name("user", &one("user", user)?).map(Recorded::User),
            None => self.take_session().map(Recorded::Session),
        }
    }

    /// Who is banned: a `user` or an `address`.
    pub fn take_banned(&mut self) -> Result<Banned, CommandError> {
        match (self.user.take().flatten(), self.address.take()) {
            (Some(user), None) => bounds::name("user", &one("user", user)?).map(Banned::User),
            (None, Some(address)) => {
                let network = address.parse::<Network>();
                network.map(Banned::Address).map_err(|invalid| bad_request(format!("address: {invalid}")))
            }
            _ => Err(bad_request("name either a user or an address")),
        }
    }

    /// What is listed or counted: at most one of `user`, `group` and `tag`; the app without.
    pub fn take_listed_by(&mut self) -> Result<Selector, CommandError> {
        let user = self.user.take().flatten();
        let user = user.map(|user| bounds::name("user", &one("user", user)?).map(Selector::User));
        let group = self.group.take();
        let group = group.map(|group| bounds::name("group", &one("group", group)?).map(Selector::Group));
        let tag = self.tag.take().map(|tag| bounds::name("tag", &tag).map(Selector::Tag));
        let mut named = [user, group, tag].into_iter().flatten();
        match (named.next(), named.next()) {
            (None, _) => Ok(Selector::All),
            (Some(selector), None) => selector,
            (Some(_), Some(_)) => Err(bad_request("list by one of user, group and tag, or by none")),
        }
    }

    /// `prefix` of a page of names.
    pub fn take_prefix(&mut self) -> Result<Option<Name>, CommandError> {
        self.prefix.take().map(|prefix| bounds::name("prefix", &prefix)).transpose()
    }

    /// `after` of a page of names.
    pub fn take_after_name(&mut self) -> Result<Option<Name>, CommandError> {
        match self.after.take() {
            Some(After::Session(after)) => bounds::name("after", &after).map(Some),
            Some(After::Offset(_)) => Err(bad_request("after is what the last page gave as next")),
            None => Ok(None),
        }
    }

    /// `after` of a page of bans.
    pub fn take_after_banned(&mut self) -> Result<Option<Banned>, CommandError> {
        let after = match self.after.take() {
            Some(After::Session(after)) => Some(after.parse::<Banned>()).transpose(),
            Some(After::Offset(_)) => return Err(bad_request("after is what the last page gave as next")),
            None => Ok(None),
        };
        after.map_err(|error| bad_request(format!("after: {error}")))
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

    /// `defaults` of the configuration.
    pub fn take_defaults(&mut self) -> bool {
        self.defaults.take().unwrap_or(false)
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

    /// A page of sessions with everything about each: of all that are listed by a user, a group, a tag or nothing, or of those that
    /// are behind.
    pub fn take_listing(&mut self, limits: &CommandLimits) -> Result<Action, CommandError> {
        let by = self.take_listed_by()?;
        let limit = bounds::page_limit(self.limit.take(), limits)?;
        let after = self.take_after_session()?;
        match (self.behind.take().unwrap_or(false), after) {
            (false, after) => Ok(Action::List { by, limit, after, detailed: true }),
            (true, None) => Ok(Action::Behind { by, limit }),
            (true, Some(_)) => Err(bad_request("behind has one page: leave after out")),
        }
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
        user.map(|user| bounds::name("user", &one("user", user)?)).transpose()
    }
}

/// The groups of a command that takes several.
#[derive(Debug)]
pub enum Groups {
    /// One that is no list.
    One(Name),
    /// A list.
    Several(Vec<Name>),
}

/// The one string that it is.
pub fn one<'a>(field: &str, texts: OneOrMore<'a>) -> Result<Text<'a>, CommandError> {
    match texts {
        OneOrMore::One(text) => Ok(text),
        OneOrMore::None | OneOrMore::More(_) => {
            Err(bad_request(format!("{field} is one {field} here, not a list")))
        }
    }
}

fn needed<T>(field: &str, value: Option<T>) -> Result<T, CommandError> {
    value.ok_or_else(|| bad_request(format!("{field} is missing")))
}
