//! Commands about several sessions at once, in every form in which they can come.

mod apps;
mod bans;
mod lists;
mod missed;
mod reads;
mod sets;
mod several;
mod sticky;
mod targets;

use crate::support::{Backend, Link, TestServer};
use serde_json::{Value, json};

/// A session that was never there.
const NOBODY: &str = "fff0000000000001";

/// One way of sending commands.
enum Desk {
    Link(Box<Link>),
    Batch(Box<Backend>),
}

impl Desk {
    /// The two forms of the link, and a batch over HTTP, which takes every command that a link takes.
    fn all(server: &TestServer) -> [Self; 3] {
        [
            Self::Link(Box::new(server.link())),
            Self::Link(Box::new(server.binary_link())),
            Self::Batch(Box::new(server.backend())),
        ]
    }

    /// What a command came to, or the code of its error.
    fn run(&mut self, command: Value) -> Value {
        match self {
            Self::Link(link) => {
                link.try_command(command).unwrap_or_else(|error| json!({ "error": error["code"] }))
            }
            Self::Batch(backend) => {
                let line = command.to_string();
                backend.send("POST", "/v1/batch", "application/x-ndjson", line.as_bytes());
                let reply = backend.receive().json();
                reply.get("ok").cloned().unwrap_or_else(|| json!({ "error": reply["error"]["code"] }))
            }
        }
    }
}

/// The groups or tags of a session, in the order of their names.
fn names(backend: &mut Backend, session: &str, field: &str) -> Vec<String> {
    let session = backend.ok("GET", &format!("/v1/sessions/{session}"));
    let names = session[field].as_array().unwrap().iter();
    let mut names: Vec<String> = names.map(|name| name.as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}
