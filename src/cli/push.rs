//! `gannet push`: one message to sessions, users, groups, tags or everybody.

use std::io::Read;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::de::IgnoredAny;

use super::backend::{BackendArgs, Target};
use super::duration::duration;
use super::error::CliError;
use super::http_client::Body;
use super::output;
use crate::session::SessionId;

/// Push a message and print the receipt.
#[derive(Debug, Args)]
pub struct PushArgs {
    #[command(flatten)]
    to: Recipients,
    /// App that the users, groups and tags belong to [default: default]
    #[arg(long)]
    app: Option<String>,
    /// How long the message is worth something: then it is dropped if it is not delivered, such as 500ms or 10s [default: the server's]
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with = "ttl_ms")]
    ttl: Option<Duration>,
    /// The same in milliseconds, as scripts from before --ttl have it
    #[arg(long, value_name = "MS", hide = true)]
    ttl_ms: Option<u64>,
    /// Replace an unsent older message that was pushed with the same name
    #[arg(long, value_name = "NAME")]
    conflate: Option<String>,
    /// Delivery class [default: normal]
    #[arg(long)]
    class: Option<Class>,
    /// Who gets nothing: a session such as the sender's, or user:ada, group:red, tag:ios; may be repeated
    #[arg(long, value_name = "WHO", value_parser = excepted)]
    except: Vec<String>,
    /// What to wait for [default: queued]
    #[arg(long)]
    receipt: Option<Receipt>,
    /// Have the receipt name who missed the message
    #[arg(long)]
    names: bool,
    /// Send a binary message instead of text
    #[arg(long)]
    binary: bool,
    /// Send the message only if it is JSON; it goes as it is, as text
    #[arg(long, conflicts_with = "binary")]
    json: bool,
    #[command(flatten)]
    backend: BackendArgs,
    /// The message; - reads it from standard input
    message: String,
}

/// Whom a push goes to; several are united, and each session gets the message once.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Recipients {
    /// Session id, 16 hex digits; may be repeated
    #[arg(long, value_name = "ID")]
    session: Vec<SessionId>,
    /// All sessions of a user; may be repeated
    #[arg(long)]
    user: Vec<String>,
    /// All sessions in a group; may be repeated
    #[arg(long)]
    group: Vec<String>,
    /// All sessions with a tag; may be repeated
    #[arg(long)]
    tag: Vec<String>,
    /// All sessions of the app
    #[arg(long)]
    all: bool,
    /// The sessions that all of these have in common: group:red, tag:ios, user:ada, session:ID; repeat it
    #[arg(long, value_name = "WHO", value_parser = selector)]
    all_of: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Class {
    /// In order
    Normal,
    /// Overtakes what is not yet on the wire
    Urgent,
    /// First to go under pressure
    Droppable,
}

/// What the answer to a push waits for.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Receipt {
    /// Nothing
    None,
    /// That the message is in the sessions' queues
    Queued,
    /// That the message has been handed to the sockets
    Written,
}

/// Runs `gannet push`.
pub fn run(args: PushArgs) -> Result<(), CliError> {
    let target = args.target();
    let content_type = if args.binary { "application/octet-stream" } else { "text/plain; charset=utf-8" };
    let message = if args.message == "-" { read_stdin()? } else { args.message.into_bytes() };
    if args.json {
        serde_json::from_slice::<IgnoredAny>(&message)
            .map_err(|error| CliError::Command(format!("the message is no JSON: {error}").into()))?;
    }
    let body = Body { content_type, bytes: &message };
    let receipt = args.backend.call("POST", target.as_str(), Some(body))?;
    if receipt.is_empty() { Ok(()) } else { output::print(&receipt) }
}

impl PushArgs {
    fn target(&self) -> Target {
        let mut target = Target::new("/v1/push");
        target.pairs("session", self.to.session.iter().map(SessionId::to_string));
        target.pairs("user", &self.to.user);
        target.pairs("group", &self.to.group);
        target.pairs("tag", &self.to.tag);
        target.pairs("all", self.to.all.then_some("1"));
        target.pairs("all_of", &self.to.all_of);
        target.pairs("app", &self.app);
        let ttl_ms = self.ttl.map(|ttl| ttl.as_millis().to_string());
        target.pairs("ttl_ms", ttl_ms.or(self.ttl_ms.map(|ms| ms.to_string())));
        target.pairs("key", &self.conflate);
        target.pairs("class", self.class.map(name_of));
        target.pairs("except", &self.except);
        target.pairs("receipt", self.receipt.map(name_of));
        target.pairs("names", self.names.then_some("1"));
        target
    }
}

/// A value's name on the command line, which is its name in the API.
pub fn name_of(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// A kind and a name, as in `group:red`, which the server reads.
fn selector(text: &str) -> Result<String, String> {
    match text.split_once(':') {
        Some(("session", id)) if id.parse::<SessionId>().is_err() => {
            Err(format!("{id:?} is no session id, 16 hex digits"))
        }
        Some(("session" | "user" | "group" | "tag", name)) if !name.is_empty() => Ok(text.to_owned()),
        _ => Err("write it as session:ID, user:ada, group:red or tag:ios".to_owned()),
    }
}

/// The same, or a session alone.
fn excepted(text: &str) -> Result<String, String> {
    match text.parse::<SessionId>() {
        Ok(session) => Ok(session.to_string()),
        Err(_) => selector(text),
    }
}

fn read_stdin() -> Result<Vec<u8>, CliError> {
    let mut message = Vec::new();
    std::io::stdin().lock().read_to_end(&mut message).map_err(CliError::Input)?;
    Ok(message)
}
