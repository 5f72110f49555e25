//! What is known of each session and of each push: between which moments it was asked for and answered, and so at whom a
//! push may and must arrive.

use crate::support::End;
use gannet::session::SessionId;

/// A name that sessions can be pushed to by. Users and groups belong to one churner, so that it knows who is in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    User(usize),
    Group(usize),
    Tag(usize),
}

impl Name {
    pub fn kind(self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Group(_) => "group",
            Self::Tag(_) => "tag",
        }
    }

    pub fn text(self) -> String {
        match self {
            Self::User(number) => format!("u{number}"),
            Self::Group(number) => format!("g{number}"),
            Self::Tag(number) => format!("t{number}"),
        }
    }
}

/// A time in which a session has had a name. The first of each pair is when the change was asked for, the second when it
/// was answered.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    pub name: Name,
    pub from: (u64, u64),
    pub to: (u64, u64),
}

pub const NEVER: (u64, u64) = (u64::MAX, u64::MAX);

/// What a churner knows of one of its players.
#[derive(Debug)]
pub struct Life {
    pub id: SessionId,
    pub index: usize,
    pub opened: (u64, u64),
    /// From here on nothing has to arrive, and after the second moment nothing may be matched.
    pub ended: (u64, u64),
    pub spans: Vec<Span>,
    /// How it has to end, where that is known.
    pub end: Option<End>,
}

impl Life {
    pub fn has(&self, name: Name) -> bool {
        self.spans.iter().any(|span| span.name == name && span.to == NEVER)
    }

    fn is_dying(&self) -> bool {
        self.ended != NEVER
    }

    /// Who is dying gets the name perhaps, if its end was not seen before.
    pub fn gain(&mut self, name: Name, when: (u64, u64)) {
        if !self.has(name) {
            let surely_from = if self.is_dying() { u64::MAX } else { when.1 };
            self.spans.push(Span { name, from: (when.0, surely_from), to: NEVER });
        }
    }

    /// Who is dying loses it perhaps.
    pub fn lose(&mut self, name: Name, when: (u64, u64)) {
        if self.is_dying() {
            return;
        }
        for span in self.spans.iter_mut().filter(|span| span.name == name && span.to == NEVER) {
            span.to = when;
        }
    }

    pub fn user(&self) -> Option<Name> {
        let open = self.spans.iter().filter(|span| span.to == NEVER);
        open.map(|span| span.name).find(|name| matches!(name, Name::User(_)))
    }
}

/// What a push was for, and when.
#[derive(Debug)]
pub struct Pushed {
    pub names: Vec<Name>,
    pub sessions: Vec<SessionId>,
    pub all: bool,
    pub except: Option<SessionId>,
    pub during: (u64, u64),
    pub matched: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arrival {
    No,
    Perhaps,
    Surely,
}

impl Pushed {
    /// Whether a push in this interval arrives at who has the name in that one.
    fn meets(&self, from: (u64, u64), to: (u64, u64)) -> Arrival {
        if self.during.1 < from.0 || to.1 < self.during.0 {
            Arrival::No
        } else if from.1 < self.during.0 && self.during.1 < to.0 {
            Arrival::Surely
        } else {
            Arrival::Perhaps
        }
    }

    pub fn arrival(&self, life: &Life) -> Arrival {
        if self.except == Some(life.id) {
            return Arrival::No;
        }
        let alive = self.meets(life.opened, life.ended);
        if self.all || self.sessions.contains(&life.id) {
            return alive;
        }
        let spans = life.spans.iter().filter(|span| self.names.contains(&span.name));
        spans.map(|span| self.meets(span.from, span.to)).max().unwrap_or(Arrival::No).min(alive)
    }
}
