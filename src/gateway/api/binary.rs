//! One command of a backend in the layout of [`crate::link_bin`], made into what the rest of the server works with: a
//! message of the binary link. The bounds, defaults and sentences are those of the JSON link. Knows nothing of who sent it.

use super::fields::{self, CommandLimits, bad_request};
use super::json::{LinkCommand, LinkError};
use crate::dispatch::Apps;
use crate::dispatch::{
    Action, Command, CommandError, ErrorCode, LinkForm, Listen, OperationOutcome, Outcome, PushOptions,
    Selector as Chosen, Who as Whose,
};
use crate::link_bin::{self, Payload, Push, Reply, Request, Selector, Who};
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
    let command = build(&command, limits).map_err(|error| LinkError { id, error })?;
    Ok(LinkCommand { id, app, command })
}

/// Appends the reply to a command.
pub fn reply(id: u32, outcome: &Outcome, out: &mut Vec<u8>) {
    let reply = match outcome {
        Outcome::Receipt(receipt) => Reply::Receipt(receipt.clone()),
        Outcome::Done(OperationOutcome::Sessions(sessions)) => Reply::Sessions(*sessions),
        Outcome::Done(OperationOutcome::Session(info)) => Reply::Session(Cow::Borrowed(info)),
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

fn build(command: &link_bin::Command<'_>, limits: &CommandLimits) -> Result<Command, CommandError> {
    use link_bin::Command as Asked;
    let action = match *command {
        Asked::Push(ref push) => return build_push(push, limits),
        Asked::Listen { open, message, close, share } => {
            let share = share.map(|share| fields::name("share", share)).transpose()?;
            return Ok(Command::Listen(Listen { open, message, close, share, form: LinkForm::Binary }));
        }
        Asked::Join { who, group } => Action::Join { group: fields::name("group", group)?, who: whose(who)? },
        Asked::Leave { who, group } => {
            Action::Leave { group: fields::name("group", group)?, who: whose(who)? }
        }
        Asked::Destroy { group } => Action::Destroy { group: fields::name("group", group)? },
        Asked::Move { from, to } => {
            Action::Move { from: fields::name("group", from)?, to: fields::name("to", to)? }
        }
        Asked::Kick { who, code, reason } => Action::Kick {
            who: whose(who)?,
            code: fields::close_code(code.map(u64::from))?,
            reason: fields::close_reason(Some(reason))?,
        },
        Asked::Bind { session, user } => {
            Action::Bind { session, user: user.map(|user| fields::name("user", user)).transpose()? }
        }
        Asked::Tag { session, tag } => Action::Tag { session, tag: fields::name("tag", tag)? },
        Asked::Untag { session, tag } => Action::Untag { session, tag: fields::name("tag", tag)? },
        Asked::Session { session } => Action::Describe { session },
    };
    Ok(Command::Act(action))
}

fn build_push(push: &Push<'_>, limits: &CommandLimits) -> Result<Command, CommandError> {
    let chosen = push.target.iter().map(chosen).collect::<Result<_, _>>()?;
    let target = fields::target(chosen, limits)?;
    let frame = match push.payload {
        Payload::Text(text) => fields::text_frame(text, limits)?,
        Payload::Binary(bytes) => fields::binary_frame(bytes, limits)?,
    };
    let options = PushOptions {
        ttl: Some(fields::ttl(push.ttl_ms.map(u64::from), limits)?),
        key: push.key.map(fields::conflation_key).transpose()?,
        class: push.class,
        except: push.except,
        receipt: push.receipt,
    };
    Ok(Command::Push { target, frame, options })
}

fn chosen(selector: &Selector<'_>) -> Result<Chosen, CommandError> {
    Ok(match *selector {
        Selector::Session(session) => Chosen::Session(session),
        Selector::User(name) => Chosen::User(fields::name("user", name)?),
        Selector::Group(name) => Chosen::Group(fields::name("group", name)?),
        Selector::Tag(name) => Chosen::Tag(fields::name("tag", name)?),
        Selector::All => Chosen::All,
    })
}

fn whose(who: Who<'_>) -> Result<Whose, CommandError> {
    match who {
        Who::Session(session) => Ok(Whose::Session(session)),
        Who::User(user) => fields::name("user", user).map(Whose::User),
    }
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod in_json;
#[cfg(test)]
mod tests;
