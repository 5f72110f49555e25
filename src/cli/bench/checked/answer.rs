//! The answers of the server, whichever way they came, held against what was asked.

use serde::Deserialize;
use serde_json::Value;

use super::faults::Fault;
use crate::dispatch::ReceiptMode;
use crate::link_bin::Reply;

/// What a command came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It was taken.
    Done,
    /// What became of a push.
    Receipt(Receipt),
    /// So many sessions were changed or closed.
    Sessions(u32),
    /// The session asked for.
    Session(Described),
    /// It was refused.
    Refused {
        /// For programs.
        code: String,
        /// For people.
        message: String,
    },
}

/// The counts of a receipt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Receipt {
    matched: u32,
    queued: u32,
    replaced: u32,
    dropped: u32,
    expired: u32,
    offline: u32,
    written: Option<u32>,
    #[serde(default)]
    closed: u32,
    /// Not settled when the receipt was due.
    #[serde(default)]
    pending: u32,
    /// Reactors that did not get the push: their sessions are not in `matched`.
    #[serde(default)]
    unreached: u32,
}

/// A session as the server describes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Described {
    /// Its id.
    pub session: String,
    /// Its user.
    pub user: Option<String>,
    /// Its groups.
    pub groups: Vec<String>,
    /// Its tags.
    pub tags: Vec<String>,
}

/// How many sessions a push must have matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matched {
    /// So many.
    Exactly(u32),
    /// So many, and perhaps some that come and go.
    AtLeast(u32),
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A push.
    Push {
        /// What it is called in a fault.
        name: String,
        /// Whom it is for.
        matched: Matched,
        /// Named users and sessions that are not there, where that is known.
        offline: Option<u32>,
        /// When it is answered.
        receipt: ReceiptMode,
    },
    /// A change of sessions that come and go: they may be gone.
    Change {
        /// What it is called in a fault.
        name: &'static str,
        /// The most sessions that it can concern, where that is known.
        most: Option<u32>,
    },
    /// All about a session that stays.
    Describe(Described),
    /// All about a session that comes and goes.
    DescribeIfThere(String),
    /// Events from now on.
    Listen,
}

impl Answer {
    /// The body of an answer of the HTTP API.
    pub fn from_http(status: u16, body: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(body).ok()?;
        let answer = Self::from_value(&value)?;
        let is_refused = matches!(answer, Self::Refused { .. });
        (is_refused != (200..300).contains(&status)).then_some(answer)
    }

    /// A reply of the JSON link, or a line of the answer to a batch; with its id, 0 where it has none.
    pub fn from_json(reply: &[u8]) -> Option<(u32, Self)> {
        let value: Value = serde_json::from_slice(reply).ok()?;
        let id = value.get("id").map_or(Some(0), |id| u32::try_from(id.as_u64()?).ok())?;
        Some((id, Self::from_value(value.get("ok").unwrap_or(&value))?))
    }

    fn from_value(value: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        if let Some(error) = value.get("error") {
            return Some(Self::Refused { code: text(&error["code"])?, message: text(&error["message"])? });
        }
        if value.get("matched").is_some() {
            return Receipt::deserialize(value).ok().map(Self::Receipt);
        }
        if value.get("session").is_some() {
            return Described::deserialize(value).ok().map(Self::Session);
        }
        match value.get("sessions") {
            Some(sessions) => Some(Self::Sessions(u32::try_from(sessions.as_u64()?).ok()?)),
            None => value.as_object().filter(|fields| fields.is_empty()).map(|_| Self::Done),
        }
    }

    /// A reply of the binary link, with its id.
    pub fn from_binary(reply: &[u8]) -> Option<(u32, Self)> {
        let (id, reply) = Reply::decode(reply).ok()?;
        Some((id, Self::of_reply(reply)))
    }

    fn of_reply(reply: Reply<'_>) -> Self {
        let texts =
            |names: &[crate::session::Name]| names.iter().map(|name| name.as_str().to_owned()).collect();
        match reply {
            // The load renews no tokens, resumes no link, and asks for nothing that groups are or remember.
            Reply::Done
            | Reply::Listening(_)
            | Reply::Renewed(_)
            | Reply::Presence(_)
            | Reply::Resume(_)
            | Reply::Kept(_)
            | Reply::Unbanned(_)
            | Reply::Bans(_)
            | Reply::Counted(_)
            | Reply::Names(_)
            | Reply::Stats(_)
            | Reply::Page(_)
            | Reply::Forgotten(_) => Self::Done,
            Reply::Sessions(sessions) | Reply::Changed(sessions, _) | Reply::Joined(sessions, ..) => {
                Self::Sessions(sessions)
            }
            Reply::Partial(reply, _) => Self::of_reply(*reply),
            Reply::Receipt(receipt) => Self::Receipt(receipt.into()),
            Reply::Session(info) => Self::Session(Described {
                session: info.id.to_string(),
                user: info.user.as_ref().map(|user| user.as_str().to_owned()),
                groups: texts(&info.groups),
                tags: texts(&info.tags),
            }),
            Reply::Error { code, message } => {
                Self::Refused { code: code.as_str().to_owned(), message: message.to_owned() }
            }
        }
    }
}

impl From<crate::dispatch::Receipt> for Receipt {
    fn from(receipt: crate::dispatch::Receipt) -> Self {
        Self {
            matched: receipt.matched,
            queued: receipt.queued,
            replaced: receipt.replaced,
            dropped: receipt.dropped,
            expired: receipt.expired,
            offline: receipt.offline,
            written: receipt.written,
            closed: receipt.closed,
            pending: receipt.pending,
            unreached: receipt.unreached,
        }
    }
}

impl Receipt {
    /// Whether the sums of docs/delivery.md hold.
    fn adds_up(&self, mode: ReceiptMode) -> bool {
        let Self { matched, queued, replaced, dropped, expired, written, closed, pending, .. } = *self;
        match (mode, written) {
            (ReceiptMode::Queued, None) => matched == queued + dropped,
            (ReceiptMode::Written, Some(written)) => {
                matched == written + replaced + dropped + expired + closed + pending
            }
            _ => false,
        }
    }

    /// Whether those were matched who should have been. Where a reactor was not reached nobody can say.
    fn matches(&self, expected: Matched, offline: Option<u32>) -> bool {
        let is_matched = match expected {
            Matched::Exactly(count) => self.matched == count,
            Matched::AtLeast(count) => self.matched >= count,
        };
        self.unreached > 0 || (is_matched && offline.is_none_or(|offline| self.offline == offline))
    }
}

impl Described {
    /// Whether both are alike, in whatever order their names are.
    fn is_same(&self, other: &Self) -> bool {
        let sorted = |names: &[String]| {
            let mut names = names.to_vec();
            names.sort_unstable();
            names
        };
        let names = |described: &Self| (sorted(&described.groups), sorted(&described.tags));
        (&self.session, &self.user) == (&other.session, &other.user) && names(self) == names(other)
    }
}

impl Asked {
    /// What is wrong with the answer, if anything.
    pub fn check(&self, answer: &Answer) -> Option<(Fault, String)> {
        let wrong = || Some((Fault::Answer, format!("{self:?} was answered with {answer:?}")));
        match (self, answer) {
            (Self::Push { name, receipt, .. }, Answer::Done) => {
                let is_none = *receipt == ReceiptMode::None;
                (!is_none).then(|| (Fault::Receipt, format!("{name} got no receipt")))
            }
            (Self::Push { name, matched, offline, receipt: mode }, Answer::Receipt(receipt)) => {
                let problem = if !receipt.adds_up(*mode) {
                    "does not add up"
                } else if !receipt.matches(*matched, *offline) {
                    "is not of its target"
                } else {
                    return None;
                };
                let expected = format!("{matched:?}, offline {offline:?}, receipt {mode:?}");
                Some((Fault::Receipt, format!("that of {name} {problem}: {receipt:?}; expected {expected}")))
            }
            (Self::Change { name, most }, Answer::Sessions(sessions)) => {
                let told =
                    |most| (Fault::Answer, format!("{name} says {sessions} sessions, of {most} at most"));
                most.filter(|most| sessions > most).map(told)
            }
            (Self::Describe(expected), Answer::Session(described)) => {
                let told = || (Fault::Answer, format!("{described:?} should be {expected:?}"));
                (!expected.is_same(described)).then(told)
            }
            (Self::DescribeIfThere(session), Answer::Session(described)) if *session != described.session => {
                wrong()
            }
            (Self::DescribeIfThere(_), Answer::Session(_)) | (Self::Listen, Answer::Done) => None,
            (Self::Change { .. } | Self::DescribeIfThere(_), Answer::Refused { code, .. })
                if code == "unknown_session" =>
            {
                None
            }
            (_, Answer::Refused { code, message }) => {
                Some((Fault::Refused, format!("{code}: {message} ({self:?})")))
            }
            _ => wrong(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(receipt: ReceiptMode, matched: Matched) -> Asked {
        Asked::Push { name: "push 1".to_owned(), matched, offline: Some(0), receipt }
    }

    fn fault(asked: &Asked, reply: &str) -> Option<Fault> {
        let (_, answer) = Answer::from_json(reply.as_bytes()).unwrap();
        asked.check(&answer).map(|(fault, _)| fault)
    }

    #[test]
    fn sums_of_receipts() {
        use Matched::{AtLeast, Exactly};
        let queued = |matched, rest: &str| {
            let reply = format!(r#"{{"ok":{{"matched":3,"replaced":1,"expired":0,{rest}}}}}"#);
            fault(&push(ReceiptMode::Queued, matched), &reply)
        };
        assert_eq!(queued(Exactly(3), r#""queued":2,"dropped":1,"offline":0"#), None);
        assert_eq!(queued(AtLeast(2), r#""queued":3,"dropped":0,"offline":0"#), None);
        assert_eq!(queued(Exactly(3), r#""queued":2,"dropped":0,"offline":0"#), Some(Fault::Receipt));
        assert_eq!(queued(Exactly(2), r#""queued":3,"dropped":0,"offline":0"#), Some(Fault::Receipt));
        assert_eq!(queued(AtLeast(4), r#""queued":3,"dropped":0,"offline":0"#), Some(Fault::Receipt));
        assert_eq!(queued(Exactly(3), r#""queued":3,"dropped":0,"offline":1"#), Some(Fault::Receipt));
        assert_eq!(queued(Exactly(9), r#""queued":3,"dropped":0,"offline":0,"unreached":1"#), None);

        let written = |rest: &str| {
            let counts = r#""matched":6,"queued":5,"replaced":1,"dropped":1,"expired":1,"offline":0"#;
            fault(&push(ReceiptMode::Written, Exactly(6)), &format!(r#"{{"id":1,"ok":{{{counts},{rest}}}}}"#))
        };
        assert_eq!(written(r#""written":2,"closed":1"#), None);
        assert_eq!(written(r#""written":1,"closed":0,"pending":2"#), None);
        assert_eq!(written(r#""written":1,"closed":1"#), Some(Fault::Receipt));
        assert_eq!(written(r#""closed":3"#), Some(Fault::Receipt));
        assert_eq!(fault(&push(ReceiptMode::None, Exactly(1)), r#"{"ok":{}}"#), None);
        assert_eq!(fault(&push(ReceiptMode::Queued, Exactly(1)), r#"{"ok":{}}"#), Some(Fault::Receipt));
    }

    #[test]
    fn only_those_who_come_and_go_may_be_gone() {
        let refused = r#"{"id":3,"error":{"code":"unknown_session","message":"it has closed"}}"#;
        let change = Asked::Change { name: "join", most: Some(1) };
        assert_eq!(fault(&change, refused), None);
        assert_eq!(fault(&change, r#"{"ok":{"sessions":1}}"#), None);
        assert_eq!(fault(&change, r#"{"ok":{"sessions":2}}"#), Some(Fault::Answer));
        assert_eq!(fault(&change, r#"{"error":{"code":"overloaded","message":""}}"#), Some(Fault::Refused));
        assert_eq!(fault(&push(ReceiptMode::Queued, Matched::Exactly(1)), refused), Some(Fault::Refused));
        assert_eq!(fault(&Asked::Listen, r#"{"ok":{"sessions":1}}"#), Some(Fault::Answer));
        let described = |user: &str| Described {
            session: "1".to_owned(),
            user: Some(user.to_owned()),
            groups: vec![],
            tags: vec![],
        };
        let reply = r#"{"ok":{"session":"1","user":"a","groups":[],"tags":[]}}"#;
        assert_eq!(fault(&Asked::Describe(described("a")), reply), None);
        assert_eq!(fault(&Asked::Describe(described("b")), reply), Some(Fault::Answer));
        assert_eq!(fault(&Asked::Describe(described("a")), refused), Some(Fault::Refused));
    }

    #[test]
    fn every_form_says_the_same() {
        let receipt = crate::dispatch::Receipt {
            matched: 3,
            queued: 2,
            dropped: 1,
            written: Some(1),
            pending: 1,
            unreached: 1,
            ..crate::dispatch::Receipt::default()
        };
        let mut binary = Vec::new();
        Reply::Receipt(receipt).encode(7, &mut binary).unwrap();
        let fields = r#"{"matched":3,"queued":2,"replaced":0,"dropped":1,"expired":0,"offline":0,"written":1,"closed":0,"pending":1,"unreached":1}"#;
        let reply = format!(r#"{{"id":7,"ok":{fields}}}"#);
        assert_eq!(Answer::from_json(reply.as_bytes()), Answer::from_binary(&binary));
        let (_, answer) = Answer::from_binary(&binary).unwrap();
        assert_eq!(Answer::from_http(200, fields.as_bytes()), Some(answer));
        assert_eq!(Answer::from_http(202, b"{}"), Some(Answer::Done));
        assert_eq!(Answer::from_http(500, b"{}"), None);
        assert_eq!(Answer::from_http(200, b"<html>"), None);
    }
}
