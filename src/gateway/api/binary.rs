//! One command of a backend in the layout of [`crate::link_bin`], made into what the rest of the server works with: a
//! message of the binary link. The bounds, defaults and sentences are those of the JSON link. Knows nothing of who sent it.

use super::json::{LinkCommand, LinkError};
use crate::dispatch::{Apps, CommandError, CommandLimits, ErrorCode, OperationOutcome, Outcome};
use crate::link_bin::{self, Reply, Request};
use crate::ops::bounds::{self, bad_request};
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
    let request = Request::decode(message).map_err(|refused| {
        let error = bad_request(refused.error.to_string());
        LinkError { id: refused.id, error }
    })?;
    let (id, app) = (request.id, request.app);
    let app = app.map(|name| apps.find(name)).transpose().map_err(|error| LinkError { id, error })?;
    let (op, command) = request.asks(limits).map_err(|error| LinkError { id, error })?;
    Ok(LinkCommand { id, app, command, op })
}

/// The commands of a message that holds several, each whole; `None` for one that is a command itself.
///
/// # Errors
/// [`ErrorCode::BadRequest`] where it is not of the layout, holds none or more than `most`: then nothing of it is run.
pub fn list(message: &[u8], most: usize) -> Result<Option<Vec<&[u8]>>, CommandError> {
    let commands =
        link_bin::commands_of(message).map_err(|refused| bad_request(refused.error.to_string()))?;
    if let Some(commands) = &commands {
        bounds::check_commands(commands.len(), most)?;
    }
    Ok(commands)
}

/// Appends the reply to a command.
pub fn reply(id: u32, outcome: &Outcome, out: &mut Vec<u8>) {
    let reply = match outcome {
        Outcome::Receipt(receipt) => Reply::Receipt(receipt.clone()),
        Outcome::Done(done) => reply_of(done),
        Outcome::Listening { ticks, missing } => {
            let listening = match ticks.is_empty() {
                true => Reply::Done,
                false => Reply::Listening(Cow::Borrowed(ticks)),
            };
            match missing.is_empty() {
                true => listening,
                false => Reply::Partial(Box::new(listening), Cow::Borrowed(missing)),
            }
        }
        Outcome::Accepted => Reply::Done,
        Outcome::Refused(error) => return reply_error(id, error, out),
    };
    if let Err(error) = reply.encode(id, out) {
        reply_error(id, &CommandError::new(ErrorCode::PayloadTooLarge, error.to_string()), out);
    }
}

fn reply_of(outcome: &OperationOutcome) -> Reply<'_> {
    match outcome {
        OperationOutcome::Sessions(sessions) => Reply::Sessions(*sessions),
        OperationOutcome::Renewed { expires_unix_ms } => Reply::Renewed(*expires_unix_ms),
        OperationOutcome::Changed { sessions, unknown }
        | OperationOutcome::Joined { sessions, recalled: None, unknown: Some(unknown) } => {
            Reply::Changed(*sessions, *unknown)
        }
        OperationOutcome::Joined { sessions, recalled: None, unknown: None } => Reply::Sessions(*sessions),
        OperationOutcome::Joined { sessions, recalled: Some(recalled), unknown } => {
            Reply::Joined(*sessions, *recalled, *unknown)
        }
        OperationOutcome::Kept(page) => Reply::Kept(Cow::Borrowed(page)),
        OperationOutcome::Forgotten(messages) => Reply::Forgotten(*messages),
        OperationOutcome::Unbanned(bans) => Reply::Unbanned(*bans),
        OperationOutcome::Bans(page) => Reply::Bans(Cow::Borrowed(page)),
        OperationOutcome::Session(info) => Reply::Session(Cow::Borrowed(info)),
        OperationOutcome::Presence(presence) => Reply::Presence(Cow::Borrowed(presence)),
        OperationOutcome::Counted(counted) => Reply::Counted(*counted),
        OperationOutcome::Stats(stats) => Reply::Stats(*stats),
        OperationOutcome::Names(page) => Reply::Names(Cow::Borrowed(page)),
        OperationOutcome::Page(page) => Reply::Page(Cow::Borrowed(page)),
        // HTTP alone asks for these.
        OperationOutcome::Recording { .. } | OperationOutcome::Record(_) => Reply::Done,
        OperationOutcome::Partial { of, missing } => {
            Reply::Partial(Box::new(reply_of(of)), Cow::Borrowed(missing))
        }
    }
}

/// Appends the reply to a command that was refused, or not even understood.
pub fn reply_error(id: u32, error: &CommandError, out: &mut Vec<u8>) {
    // An error has no field that could be too long for the layout.
    let _ = Reply::Error { code: error.code, message: &error.message }.encode(id, out);
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod in_json;
#[cfg(test)]
mod tests;
