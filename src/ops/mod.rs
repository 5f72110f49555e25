//! What backends can ask for: one row for each operation and each other request. Everything that has to know the
//! operations reads the rows: the fields of a JSON command, the opcode and layout of a binary one, paths, methods and
//! parameters, what a key must be allowed, the reference in docs/ and the OpenAPI document. Knows nothing of how an
//! operation is carried out.

pub mod bounds;
mod feed;
pub mod field;
pub mod fields;
mod layout;
pub mod openapi;
#[cfg(test)]
mod reference;
mod requests;
mod route;
mod schema;
mod shapes;
mod table;

pub use feed::{Feed, FeedPoll};
pub use layout::{Flags, Part};
pub use requests::{Order, Page, REQUESTS};
pub use route::{Found, Method, Route, Segment, find, paths};
pub use schema::Answer;
pub use table::{OPS, Verb};

use crate::dispatch::{Action, CommandError, CommandLimits, Listen, Right};
use field::{Field, Need};
use fields::Fields;
use std::fmt;

/// What a request or a command asks of the key that is shown with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// No key at all: whether the server is alive.
    Nothing,
    /// A key, whatever it may do: what is asked then is held against its rights one by one.
    Key,
    /// A key that may do this.
    Right(Right),
}

/// How an [`Action`] is made of what was given.
pub type Make = fn(&mut Fields<'_>, &CommandLimits) -> Result<Action, CommandError>;

/// What a row leads to.
#[derive(Debug, Clone, Copy)]
pub enum Call {
    /// A push. It has a reader for each of its three forms: it is most of what comes.
    Push,
    /// An action about sessions.
    Act(Make),
    /// The same, with the rest of its fields as a JSON object in the body where it is asked for over HTTP: what belongs into no
    /// URL.
    ActOnBody(Make),
    /// Events for the link from now on.
    Listen(fn(&mut Fields<'_>) -> Result<Listen, CommandError>),
    /// Events without a link.
    Feed(fn(&mut Fields<'_>) -> Result<Feed, CommandError>),
    /// The commands in the body.
    Batch,
    /// An upgrade to a link.
    Link,
    /// An order of an operator.
    Order(fn(&mut Fields<'_>) -> Result<Order, CommandError>),
    /// A page that is about no session.
    Page(Page),
}

/// A row: what an operation is, whichever way it was asked for.
pub struct Row {
    /// Its name: `op` in JSON, `operationId` in OpenAPI.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub about: &'static str,
    /// What a key must be allowed.
    pub needs: Needs,
    /// Whether later commands of the same connection wait until it is done on every reactor: they may be about what it
    /// changes.
    pub is_barrier: bool,
    /// What it leads to.
    pub call: Call,
    /// The requests that ask for it.
    pub routes: &'static [Route],
    /// Its answer.
    pub answer: Answer,
}

/// The parameters that every request about sessions takes.
static OF_ALL: &[Field] = &[field::SCOPE.being(Need::Optional)];

impl Row {
    /// The parameters that the query of a request at `route` may have: those of the route, and what all requests take that are about
    /// sessions.
    pub fn query(&self, route: &Route) -> impl Iterator<Item = &'static Field> + use<> {
        let of_all: &[Field] = match self.call {
            Call::Push | Call::Act(_) | Call::ActOnBody(_) => OF_ALL,
            Call::Listen(_) | Call::Feed(_) | Call::Batch | Call::Link | Call::Order(_) | Call::Page(_) => {
                &[]
            }
        };
        route.query.iter().chain(of_all)
    }
}

/// A row that commands of links ask for too.
pub struct Op {
    /// What it is.
    pub row: Row,
    /// Which command of the binary link it is.
    pub verb: Verb,
    /// The first byte of that command.
    pub opcode: u8,
    /// The flags of that command.
    pub flags: Flags,
    /// What follows the app in that command, in this order.
    pub layout: &'static [Part],
    /// Its fields in JSON, beside [`COMMON`].
    pub fields: &'static [Field],
    /// Whether a batch may have it.
    pub is_in_batches: bool,
}

/// The fields that every command in JSON takes.
pub const COMMON: [&str; 4] = ["id", "op", "app", "scope"];

impl Op {
    /// The operation with this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        OPS.iter().find(|op| op.row.name == name)
    }

    /// The operation whose commands begin with this byte.
    pub fn with_opcode(opcode: u8) -> Option<&'static Self> {
        OPS.iter().find(|op| op.opcode == opcode)
    }

    /// The opcodes, for a person to read.
    pub fn opcodes() -> String {
        let mut opcodes: Vec<u8> = OPS.iter().map(|op| op.opcode).collect();
        opcodes.sort_unstable();
        let runs =
            opcodes.chunk_by(|one, next| one.checked_add(1) == Some(*next)).filter_map(|run| match run {
                [] => None,
                [only] => Some(format!("{only:#04x}")),
                [first, .., last] => Some(format!("{first:#04x} to {last:#04x}")),
            });
        runs.collect::<Vec<_>>().join(", ")
    }

    /// The names, for a person to read.
    pub fn names() -> String {
        OPS.iter().map(|op| op.row.name).collect::<Vec<_>>().join(", ")
    }
}

impl Verb {
    /// Its row.
    pub fn op(self) -> &'static Op {
        &OPS[self as usize]
    }
}

/// Every row.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    OPS.iter().map(|op| &op.row).chain(&REQUESTS)
}

/// The page at `path` of the backend port for which no key is needed.
pub fn keyless_page(path: &str) -> Option<Page> {
    let mut keyless = rows().filter(|row| row.needs == Needs::Nothing);
    keyless.find_map(|row| match row.call {
        Call::Page(page) => row.routes.iter().any(|route| route.is_path(path)).then_some(page),
        Call::Push
        | Call::Act(_)
        | Call::ActOnBody(_)
        | Call::Listen(_)
        | Call::Feed(_)
        | Call::Batch
        | Call::Link
        | Call::Order(_) => None,
    })
}

/// The page at `path` that says how the server is, which everybody may ask at either port.
pub fn health_page(path: &str) -> Option<Page> {
    keyless_page(path).filter(|page| matches!(page, Page::Ready | Page::Health))
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.row.fmt(f)
    }
}

#[cfg(test)]
mod tests;
