//! One command of a backend as a JSON object: a text frame of the link (`gannet.link.json`), or a line of a batch.
//! Parsed straight into typed fields that borrow from the text. Knows nothing of who sent it.

mod probe;
mod push;

use crate::dispatch::{Apps, Command, CommandError, CommandLimits, Quoted};
use crate::ops::bounds::{self, bad_request};
use crate::ops::fields::Fields;
use crate::ops::{COMMON, Call, Op};
use crate::session::AppId;
use probe::Probe;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use std::fmt;

/// A command, and what its reply is to be marked with.
#[derive(Debug)]
pub struct LinkCommand<I = Option<RequestId>> {
    /// Echoed in the reply; a command without one gets no reply on the link.
    pub id: I,
    /// The app it names, if it names one.
    pub app: Option<AppId>,
    /// What it asks.
    pub command: Command,
    /// What is known of that.
    pub op: &'static Op,
}

/// Why a command was not understood.
#[derive(Debug)]
pub struct LinkError<I = Option<RequestId>> {
    /// The id of the command, where it could be read.
    pub id: I,
    /// The error for the reply.
    pub error: CommandError,
}

/// The `id` of a command: a JSON number or string of at most [`RequestId::MAX_BYTES`] bytes, written back as it came.
#[derive(Clone)]
pub struct RequestId(Repr);

/// Most ids are counters: those need no allocation.
#[derive(Clone)]
enum Repr {
    Counter(u64),
    Raw(Box<RawValue>),
}

impl RequestId {
    /// The longest id, in bytes of JSON text.
    pub const MAX_BYTES: usize = 128;

    /// The id that is written so; `None` where none is.
    pub fn of_text(text: &str) -> Option<Self> {
        let raw: &RawValue = serde_json::from_str(text).ok()?;
        Self::new(raw).ok()
    }

    fn new(raw: &RawValue) -> Result<Self, CommandError> {
        let text = raw.get();
        if text.len() > Self::MAX_BYTES {
            return Err(bad_request(format!("id has at most {} bytes", Self::MAX_BYTES)));
        }
        // JSON numbers have no leading zeros: what parses without a sign is written the same way.
        match text.as_bytes().first() {
            Some(b'0'..=b'9') => match text.parse() {
                Ok(counter) => Ok(Self(Repr::Counter(counter))),
                Err(_) => Ok(Self(Repr::Raw(raw.to_owned()))),
            },
            Some(b'-' | b'"') => Ok(Self(Repr::Raw(raw.to_owned()))),
            _ => Err(bad_request("id is a number or a string")),
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Counter(counter) => counter.fmt(f),
            Repr::Raw(raw) => f.write_str(raw.get()),
        }
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({self})")
    }
}

impl Serialize for RequestId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Repr::Counter(counter) => serializer.serialize_u64(*counter),
            Repr::Raw(raw) => raw.serialize(serializer),
        }
    }
}

/// Parses one command.
///
/// A field that is `null` is as good as absent, but for `user` of `bind`, which it unbinds.
///
/// # Errors
/// [`LinkError`] with [`BadRequest`](crate::dispatch::ErrorCode::BadRequest) for whatever is malformed, unknown or out
/// of bounds, [`NotFound`](crate::dispatch::ErrorCode::NotFound) for an unknown app and
/// [`PayloadTooLarge`](crate::dispatch::ErrorCode::PayloadTooLarge) for a message beyond its limit. It has no id where
/// the text is not JSON.
pub fn parse(text: &str, apps: &Apps, limits: &CommandLimits) -> Result<LinkCommand, LinkError> {
    // serde would read an array as well, field by field.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(LinkError { id: None, error: bad_request("a command is a JSON object") });
    }
    let mut fields: Fields = match serde_json::from_str(text) {
        Ok(fields) => fields,
        Err(error) => return Err(diagnose(text, &error)),
    };
    let id = match fields.id.take().map(RequestId::new).transpose() {
        Ok(id) => id,
        Err(error) => return Err(LinkError { id: None, error }),
    };
    match build(&mut fields, apps, limits) {
        Ok((app, command, op)) if fields.is_empty() => Ok(LinkCommand { id, app, command, op }),
        // A field that the op does not take explains more than what it then lacks.
        Ok(_) => Err(LinkError { id, error: unknown_field(text).unwrap_or_else(not_taken) }),
        Err(error) => Err(LinkError { id, error: unknown_field(text).unwrap_or(error) }),
    }
}

/// Whether a message holds several commands.
pub fn is_list(text: &str) -> bool {
    text.trim_ascii_start().starts_with('[')
}

/// The commands of a message that holds several, each as it stands there.
///
/// # Errors
/// [`BadRequest`](crate::dispatch::ErrorCode::BadRequest) where it is no JSON, holds none or more than `most`: then nothing of it is
/// run.
pub fn list(text: &str, most: usize) -> Result<Vec<&[u8]>, CommandError> {
    let commands: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| {
        let reason = error.to_string();
        let reason = reason.rsplit_once(" at line ").map_or(reason.as_str(), |(reason, _)| reason);
        bad_request(format!("the commands are not JSON at column {}: {reason}", error.column()))
    })?;
    bounds::check_commands(commands.len(), most)?;
    Ok(commands.into_iter().map(|command| command.get().as_bytes()).collect())
}

/// Takes from `fields` whatever the op knows.
fn build(
    fields: &mut Fields<'_>,
    apps: &Apps,
    limits: &CommandLimits,
) -> Result<(Option<AppId>, Command, &'static Op), CommandError> {
    let name = fields
        .op
        .take()
        .ok_or_else(|| bad_request(format!("op is missing; it is one of {}", Op::names())))?;
    let op = Op::named(&name).ok_or_else(|| bounds::not_one_of("op", &name, &Op::names()))?;
    let app = fields.app.take().map(|name| apps.find(&name)).transpose()?;
    let command = match op.row.call {
        Call::Push => push::push(fields, limits)?,
        Call::Act(make) | Call::ActOnBody(make) => Command::Act(make(fields, limits)?, fields.take_scope()?),
        Call::Listen(make) => Command::Listen(make(fields)?),
        Call::Feed(_) | Call::Batch | Call::Link | Call::Order(_) | Call::Page(_) => {
            return Err(bad_request("this is no command"));
        }
    };
    Ok((app, command, op))
}

/// The slow way over a text whose fields could not be read: finds the id if there is one, and the best explanation.
fn diagnose(text: &str, error: &serde_json::Error) -> LinkError {
    let what = match error.classify() {
        serde_json::error::Category::Data => "the command is not understood",
        _ => "the command is not JSON",
    };
    let reason = error.to_string();
    let reason = reason.rsplit_once(" at line ").map_or(reason.as_str(), |(reason, _)| reason);
    let explained = bad_request(format!("{what} at column {}: {reason}", error.column()));
    match serde_json::from_str::<Probe>(text) {
        Ok(probe) => {
            let id = probe.id.and_then(|raw| RequestId::new(raw).ok());
            LinkError { id, error: probe.unknown_field().unwrap_or(explained) }
        }
        Err(_) => LinkError { id: None, error: explained },
    }
}

fn unknown_field(text: &str) -> Option<CommandError> {
    serde_json::from_str::<Probe>(text).ok()?.unknown_field()
}

fn not_taken() -> CommandError {
    bad_request("the command has a field that its op does not take")
}

impl Probe<'_> {
    /// The first field that the op does not know.
    fn unknown_field(&self) -> Option<CommandError> {
        let op = Op::named(self.op.as_deref()?)?;
        let known = || COMMON.into_iter().chain(op.fields.iter().map(|field| field.name));
        let unknown = self.names.iter().find(|name| !known().any(|known| *known == ***name))?;
        let known = known().collect::<Vec<_>>().join(", ");
        let (op, unknown) = (op.row.name, Quoted(unknown));
        Some(bad_request(format!("op {op} has no field {unknown}; its fields are {known}")))
    }
}

#[cfg(test)]
mod tests;
