//! One command of a backend in the layout of [`crate::link_bin`], made into what the rest of the server works with: a
//! message of the binary link. The bounds, defaults and sentences are those of the JSON link. Knows nothing of who sent it.

use super::json::{LinkCommand, LinkError};
use crate::dispatch::{
    Apps, Command, CommandError, CommandLimits, ErrorCode, LinkForm, Listen, OperationOutcome, Outcome,
    PushOptions, Selector as Chosen,
};
use crate::link_bin::{self, Parts, Payload, Push, Reply, Request, Selector, Who};
use crate::ops::bounds::{self, bad_request};
use crate::ops::fields::{After, Fields, Session, Text, To};
use crate::ops::{Call, Op, Part, Verb};
use std::borrow::Cow;

/// Parses one command. What it allocates is what outlives the message: the frame, and names that are not the app's.
///
/// # Errors
/// [`LinkError`] with the codes of the JSON link. Its id is 0 where the header is not whole.
pub fn parse(
    message: &[u8],
    apps: &Apps,
    limits: &CommandLimits,
) -> Result<LinkCommand<u32>, LinkError<u32>> {
    let Request { id, app, command } = Request::decode(message).map_err(|refused| {
        let error = bad_request(refused.error.to_string());
        LinkError { id: refused.id, error }
    })?;
    let app = app.map(|name| apps.find(name)).transpose().map_err(|error| LinkError { id, error })?;
    let (op, command) = build(&command, limits).map_err(|error| LinkError { id, error })?;
    Ok(LinkCommand { id, app, command, op })
}

/// Appends the reply to a command.
pub fn reply(id: u32, outcome: &Outcome, out: &mut Vec<u8>) {
    let reply = match outcome {
        Outcome::Receipt(receipt) => Reply::Receipt(receipt.clone()),
        Outcome::Done(OperationOutcome::Sessions(sessions)) => Reply::Sessions(*sessions),
        Outcome::Done(OperationOutcome::Renewed { expires_unix_ms }) => Reply::Renewed(*expires_unix_ms),
        Outcome::Done(OperationOutcome::Joined { sessions, recalled: None }) => Reply::Sessions(*sessions),
        Outcome::Done(OperationOutcome::Joined { sessions, recalled: Some(recalled) }) => {
            Reply::Joined(*sessions, *recalled)
        }
        Outcome::Done(OperationOutcome::Kept(page)) => Reply::Kept(Cow::Borrowed(page)),
        Outcome::Done(OperationOutcome::Forgotten(messages)) => Reply::Forgotten(*messages),
        Outcome::Done(OperationOutcome::Session(info)) => Reply::Session(Cow::Borrowed(info)),
        Outcome::Done(OperationOutcome::Presence(presence)) => Reply::Presence(Cow::Borrowed(presence)),
        // No command of a link lists sessions.
        Outcome::Accepted | Outcome::Listening | Outcome::Done(OperationOutcome::Page(_)) => Reply::Done,
        Outcome::Refused(error) => return reply_error(id, error, out),
    };
    if let Err(error) = reply.encode(id, out) {
        reply_error(id, &CommandError::new(ErrorCode::PayloadTooLarge, error.to_string()), out);
    }
}

/// Appends the reply to a command that was refused, or not even understood.
pub fn reply_error(id: u32, error: &CommandError, out: &mut Vec<u8>) {
    // An error has no field that could be too long for the layout.
    let _ = Reply::Error { code: error.code, message: &error.message }.encode(id, out);
}

fn build(
    command: &link_bin::Command<'_>,
    limits: &CommandLimits,
) -> Result<(&'static Op, Command), CommandError> {
    if let link_bin::Command::Push(push) = command {
        return Ok((Verb::Push.op(), build_push(push, limits)?));
    }
    let (verb, parts) = command.parts();
    let op = verb.op();
    let mut fields = fields_of(op, &parts);
    let command = match op.row.call {
        Call::Act(make) | Call::ActOnBody(make) => Command::Act(make(&mut fields, limits)?),
        Call::Listen(make) => Command::Listen(Listen { form: LinkForm::Binary, ..make(&mut fields)? }),
        Call::Push | Call::Batch | Call::Link | Call::Order(_) | Call::Page(_) => {
            return Err(bad_request("this is no command"));
        }
    };
    Ok((op, command))
}

/// The parts that the layout of `op` has, as fields.
fn fields_of<'a>(op: &Op, parts: &Parts<'a>) -> Fields<'a> {
    let text = |text: &'a str| Text(Cow::Borrowed(text));
    let mut fields = Fields::default();
    for part in op.layout {
        match part {
            Part::Session => fields.session = Some(Session::Id(parts.session)),
            Part::Who => match parts.who {
                Who::Session(session) => fields.session = Some(Session::Id(session)),
                Who::User(user) => fields.user = Some(Some(text(user))),
            },
            Part::Routed if parts.of_group => fields.group = Some(text(parts.group)),
            Part::Routed => match parts.who {
                Who::Session(session) => fields.session = Some(Session::Id(session)),
                Who::User(user) => fields.user = Some(Some(text(user))),
            },
            Part::Link(_) => fields.link = Some(parts.link.map(text)),
            Part::Share => fields.share = parts.share.map(text),
            Part::User(_) => fields.user = Some(parts.user.map(text)),
            Part::Group => fields.group = Some(text(parts.group)),
            Part::OtherGroup => fields.to = Some(To::Group(text(parts.to))),
            Part::Tag => fields.tag = Some(text(parts.tag)),
            Part::Token => fields.token = Some(text(parts.token)),
            Part::Code => fields.code = parts.code.map(u64::from),
            Part::Reason => fields.reason = Some(text(parts.reason)),
            Part::Events => {
                fields.events = Some(parts.events().map(|event| Text(event.into())).collect());
                fields.share = parts.share.map(text);
                fields.name = parts.name.map(text);
                fields.snapshot = Some(parts.snapshot).filter(|snapshot| *snapshot);
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
            Part::Key(_) => fields.key = parts.key.map(text),
            Part::OfPush(_) => {}
        }
    }
    fields
}

/// A number of a log, and its epoch.
fn put_offset(fields: &mut Fields<'_>, parts: &Parts<'_>) {
    fields.after = parts.after.map(After::Offset);
    fields.epoch = parts.epoch.map(|epoch| Text(epoch.to_string().into()));
}

fn build_push(push: &Push<'_>, limits: &CommandLimits) -> Result<Command, CommandError> {
    let chosen = push.target.iter().map(chosen).collect::<Result<_, _>>()?;
    let target = bounds::target(chosen, limits)?;
    let frame = match push.payload {
        Payload::Text(text) => bounds::text_frame(text, limits)?,
        Payload::Binary(bytes) => bounds::binary_frame(bytes, limits)?,
    };
    let options = PushOptions {
        ttl: Some(bounds::ttl(push.ttl_ms.map(u64::from), limits)?),
        key: push.key.map(bounds::conflation_key).transpose()?,
        class: push.class,
        except: push.except,
        receipt: push.receipt,
    };
    Ok(Command::Push { target, frame, options })
}

fn chosen(selector: &Selector<'_>) -> Result<Chosen, CommandError> {
    Ok(match *selector {
        Selector::Session(session) => Chosen::Session(session),
        Selector::User(name) => Chosen::User(bounds::name("user", name)?),
        Selector::Group(name) => Chosen::Group(bounds::name("group", name)?),
        Selector::Tag(name) => Chosen::Tag(bounds::name("tag", name)?),
        Selector::All => Chosen::All,
    })
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod in_json;
#[cfg(test)]
mod tests;
