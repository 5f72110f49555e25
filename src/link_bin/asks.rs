//! What a command asks, as the rest of the server works with it: its fields, checked by its row as those of a command in JSON
//! are. The same for a message of a link and for one of the bus.

use super::{By, Command, Parts, Payload, Push, Request, Routed, Selector, Who, Whom};
use crate::dispatch::{
    Command as Asked, CommandError, CommandLimits, LinkForm, Listen, PushOptions, Scope, Selector as Chosen,
    SessionEnd,
};
use crate::ops::bounds::{self, bad_request};
use crate::ops::fields::{After, Fields, OneOrMore, Session, Text, To};
use crate::ops::{Call, Op, Part, Verb};
use std::borrow::Cow;

impl Request<'_> {
    /// What its command asks, and the row of that. What is allocated is what outlives the message: the frame, and names.
    ///
    /// # Errors
    /// What is out of its bounds, in the sentences of the JSON link.
    pub(crate) fn asks(&self, limits: &CommandLimits) -> Result<(&'static Op, Asked), CommandError> {
        if let Command::Push(push) = &self.command {
            return Ok((Verb::Push.op(), asks_push(push, self.scope, limits)?));
        }
        let (verb, parts) = self.command.parts();
        let op = verb.op();
        let mut fields = fields_of(op, &parts);
        let asked = match op.row.call {
            Call::Act(make) | Call::ActOnBody(make) => Asked::Act(make(&mut fields, limits)?, self.scope),
            Call::Listen(make) => {
                if self.scope == Scope::Node {
                    fields.scope = None;
                }
                Asked::Listen(Listen { form: LinkForm::Binary, ..make(&mut fields)? })
            }
            Call::Push | Call::Feed(_) | Call::Batch | Call::Link | Call::Order(_) | Call::Page(_) => {
                return Err(bad_request("this is no command"));
            }
        };
        Ok((op, asked))
    }
}

/// The parts that the layout of `op` has, as fields.
fn fields_of<'a>(op: &Op, parts: &Parts<'a>) -> Fields<'a> {
    let text = |text: &'a str| Text(Cow::Borrowed(text));
    let mut fields = Fields::default();
    for part in op.layout {
        match part {
            Part::Session => fields.session = Some(Session::Id(parts.session)),
            Part::Who => put_who(&mut fields, &parts.who),
            Part::Members if parts.has_members => put_who(&mut fields, &parts.who),
            Part::Members => {}
            Part::Routed => match parts.routed {
                Routed::Session(session) => fields.session = Some(Session::Id(session)),
                Routed::User(user) => fields.user = Some(Some(OneOrMore::One(text(user)))),
                Routed::Group(group) => fields.group = Some(OneOrMore::One(text(group))),
            },
            Part::Link(_) => fields.link = Some(parts.link.map(text)),
            Part::Share => fields.share = parts.share.map(text),
            Part::User(_) => fields.user = Some(parts.user.map(|user| OneOrMore::One(text(user)))),
            Part::Groups if !parts.groups.is_empty() => fields.group = Some(texts(&parts.groups)),
            Part::Group | Part::Groups => fields.group = Some(OneOrMore::One(text(parts.group))),
            Part::Set("tags") => fields.tags = Some(texts(&parts.names)),
            Part::Set(_) => fields.groups = Some(texts(&parts.names)),
            Part::Prefix => fields.prefix = parts.prefix.map(text),
            Part::OtherGroup => fields.to = Some(To::Group(text(parts.to))),
            Part::Tag => fields.tag = Some(text(parts.tag)),
            Part::Renewal => match parts.end {
                None => fields.token = Some(text(parts.token)),
                Some(SessionEnd::At(unix_ms)) => fields.expires_unix_ms = Some(unix_ms),
                Some(SessionEnd::For(ms)) => fields.for_ms = Some(ms),
            },
            Part::By => match parts.by {
                By::All => {}
                By::User(name) => fields.user = Some(Some(OneOrMore::One(text(name)))),
                By::Group(name) => fields.group = Some(OneOrMore::One(text(name))),
                By::Tag(name) => fields.tag = Some(text(name)),
            },
            Part::Banned => match parts.whom {
                Whom::User(user) => fields.user = Some(Some(OneOrMore::One(text(user)))),
                Whom::Address(address) => fields.address = Some(text(address)),
            },
            Part::ForMs => fields.for_ms = parts.for_ms,
            Part::PlainPage => {
                fields.limit = Some(parts.page_limit.into()).filter(|limit| *limit != 0);
                fields.after = parts.page_after.map(|after| After::Session(text(after)));
            }
            Part::Code => fields.code = parts.code.map(u64::from),
            Part::Reason => fields.reason = Some(text(parts.reason)),
            Part::Events => {
                fields.events = Some(parts.events().map(|event| Text(event.into())).collect());
                fields.share = parts.share.map(text);
                fields.with = Some(parts.details().map(|detail| Text(detail.into())).collect());
                fields.name = parts.name.map(text);
                fields.snapshot = Some(parts.snapshot).filter(|snapshot| *snapshot);
                fields.numbers = Some(parts.numbers).filter(|numbers| *numbers);
                fields.scope = parts.everywhere.then(|| text("cluster"));
            }
            Part::Page => {
                fields.limit = Some(parts.page_limit.into()).filter(|limit| *limit != 0);
                fields.after = parts.page_after.map(|after| After::Session(text(after)));
                fields.members = Some(!parts.counts_only);
            }
            Part::Recall => {
                fields.last = parts.last;
                put_offset(&mut fields, parts);
            }
            Part::Pages => {
                fields.limit = parts.limit.map(u64::from);
                put_offset(&mut fields, parts);
            }
            Part::Behind => fields.behind = Some(true).filter(|_| parts.is_behind),
            Part::Sticky => fields.sticky = Some(true).filter(|_| parts.is_sticky),
            Part::Key(_) => fields.key = parts.key.map(text),
            Part::OfPush(_) => {}
        }
    }
    fields
}

fn texts<'a>(texts: &[&'a str]) -> OneOrMore<'a> {
    OneOrMore::More(texts.iter().map(|text| Text(Cow::Borrowed(*text))).collect())
}

/// The sessions that a command is about.
fn put_who<'a>(fields: &mut Fields<'a>, who: &Who<'a>) {
    match who {
        Who::Session(session) => fields.session = Some(Session::Id(*session)),
        Who::User(user) => fields.user = Some(Some(OneOrMore::One(Text(Cow::Borrowed(*user))))),
        Who::Sessions(sessions) => fields.session = Some(Session::Ids(sessions.clone())),
        Who::Users(users) => fields.user = Some(Some(texts(users))),
    }
}

/// A number of a log, and its epoch.
fn put_offset(fields: &mut Fields<'_>, parts: &Parts<'_>) {
    fields.after = parts.after.map(After::Offset);
    fields.epoch = parts.epoch.map(|epoch| Text(epoch.to_string().into()));
}

fn asks_push(push: &Push<'_>, scope: Scope, limits: &CommandLimits) -> Result<Asked, CommandError> {
    let target = bounds::target(push.target.iter().map(chosen).collect::<Result<_, _>>()?, limits)?;
    let frame = match push.payload {
        Payload::Text(text) => bounds::text_frame(text, limits)?,
        Payload::Binary(bytes) => bounds::binary_frame(bytes, limits)?,
    };
    let options = PushOptions {
        ttl: Some(bounds::ttl(push.ttl_ms.map(u64::from), limits)?),
        key: push.key.map(bounds::conflation_key).transpose()?,
        class: push.class,
        except: push.except,
        without: bounds::without(push.without.iter().map(chosen).collect::<Result<_, _>>()?, limits)?,
        receipt: push.receipt,
        names: if push.names { limits.receipt_names } else { 0 },
        scope,
    };
    Ok(Asked::Push { target, frame, options })
}

fn chosen(selector: &Selector<'_>) -> Result<Chosen, CommandError> {
    Ok(match selector {
        Selector::AllOf(parts) => {
            return bounds::all_of(parts.iter().map(chosen).collect::<Result<_, _>>()?);
        }
        Selector::Session(session) => Chosen::Session(*session),
        Selector::User(name) => Chosen::User(bounds::name("user", name)?),
        Selector::Group(name) => Chosen::Group(bounds::name("group", name)?),
        Selector::Tag(name) => Chosen::Tag(bounds::name("tag", name)?),
        Selector::All => Chosen::All,
    })
}
