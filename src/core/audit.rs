//! What operators and backends have done lately: the newest lines of the audit trail, in a ring. The log has all of them. No key, no
//! message and no secret stands in a line.

use crate::timer::Clock;
use minicbor::{Decode, Encode};
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The longest target and result of a line, in bytes.
const TEXT_BYTES: usize = 512;
/// The longest value of a setting that a line shows, in bytes.
const VALUE_BYTES: usize = 200;
/// So many settings that a reload has changed are in its line; the answer to the reload has all of them.
const CHANGES: usize = 64;

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Encode, Decode)]
#[cbor(map)]
pub struct AuditLine {
    /// Counts the lines since the server started.
    #[n(0)]
    pub number: u64,
    /// When.
    #[n(1)]
    pub at_unix_ms: u64,
    /// The name of the key; `None` where it was none.
    #[n(2)]
    pub key: Option<Box<str>>,
    /// Where it came from; `None` where it came over no connection.
    #[n(3)]
    pub remote: Option<Box<str>>,
    /// What.
    #[n(4)]
    pub op: Box<str>,
    /// In which app; `None` of what is about the server.
    #[n(5)]
    pub app: Option<Box<str>>,
    /// To what.
    #[n(6)]
    pub target: Option<Box<str>>,
    /// `ok`, or why it was not done.
    #[n(7)]
    pub result: Box<str>,
    /// The sessions that it changed or closed, where it is about sessions.
    #[n(8)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sessions: Option<u32>,
    /// The settings that a reload has changed.
    #[n(9)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<SettingChange>,
}

/// A setting that a reload has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Encode, Decode)]
#[cbor(map)]
pub struct SettingChange {
    /// Its name.
    #[n(0)]
    pub key: Box<str>,
    /// What it was, as JSON; `None` where it was not there. Secrets are `"***"`.
    #[n(1)]
    pub old: Option<Box<str>>,
    /// What it is.
    #[n(2)]
    pub new: Option<Box<str>>,
}

/// Who has ordered something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct By {
    /// The name of the key.
    pub key: Option<Box<str>>,
    /// Where it came from.
    pub remote: Option<Box<str>>,
}

impl By {
    /// The line that says that this one did `op`.
    pub fn did(&self, op: &str) -> AuditLine {
        AuditLine {
            key: self.key.clone(),
            remote: self.remote.clone(),
            op: op.into(),
            result: "ok".into(),
            ..AuditLine::default()
        }
    }
}

impl SettingChange {
    /// The setting `key`, whose values are these.
    pub fn new(key: &str, old: Option<String>, new: Option<String>) -> Self {
        let cut = |value: Option<String>| value.map(|value| cut(value.into(), VALUE_BYTES));
        Self { key: key.into(), old: cut(old), new: cut(new) }
    }
}

/// The newest lines. Locked for the time in which one is put in or a page is copied; never on the way of a message.
#[derive(Debug)]
pub struct Audit {
    ring: Mutex<Ring>,
}

#[derive(Debug)]
struct Ring {
    lines: VecDeque<Arc<AuditLine>>,
    most: usize,
    next: u64,
}

impl Audit {
    /// Room for so many lines.
    pub fn new(most: usize) -> Self {
        Self { ring: Ring { lines: VecDeque::new(), most, next: 1 }.into() }
    }

    /// There is room for so many from now on.
    pub fn set_bound(&self, most: usize) {
        let mut ring = self.ring();
        ring.most = most;
        ring.shorten();
    }

    /// A line more, which gets its number and its time.
    pub fn add(&self, mut line: AuditLine) {
        line.target = line.target.map(|target| cut(target, TEXT_BYTES));
        line.result = cut(line.result, TEXT_BYTES);
        line.changes.truncate(CHANGES);
        line.at_unix_ms = Clock::wall_unix_ms();
        let mut ring = self.ring();
        line.number = ring.next;
        ring.next += 1;
        ring.lines.push_back(line.into());
        ring.shorten();
    }

    /// How many lines there are, and the newest of them, the newest first.
    pub fn newest(&self, limit: usize) -> (usize, Vec<Arc<AuditLine>>) {
        let ring = self.ring();
        (ring.lines.len(), ring.lines.iter().rev().take(limit).cloned().collect())
    }

    /// The lines behind the one with this number, the oldest first.
    pub fn since(&self, number: u64) -> Vec<Arc<AuditLine>> {
        let ring = self.ring();
        let newer = ring.lines.iter().rev().take_while(|line| line.number > number).count();
        ring.lines.iter().skip(ring.lines.len() - newer).cloned().collect()
    }

    /// As they are carried to another process.
    pub fn carry(&self) -> Vec<AuditLine> {
        self.ring().lines.iter().map(|line| AuditLine::clone(line)).collect()
    }

    /// Goes on from the lines of another process. Those that this one has are behind them.
    pub fn go_on_from(&self, carried: Vec<AuditLine>) {
        let mut ring = self.ring();
        let own = std::mem::take(&mut ring.lines);
        ring.next = carried.last().map_or(0, |line| line.number) + 1;
        ring.lines.extend(carried.into_iter().map(Arc::new));
        for line in own {
            let number = ring.next;
            ring.lines.push_back(AuditLine { number, ..AuditLine::clone(&line) }.into());
            ring.next += 1;
        }
        ring.shorten();
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        // What a holder that panicked left is whole: every change is a few calls that do not fail.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn shorten(&mut self) {
        let surplus = self.lines.len().saturating_sub(self.most);
        self.lines.drain(..surplus);
    }
}

/// The text as far as so many bytes go.
fn cut(text: Box<str>, most: usize) -> Box<str> {
    if text.len() <= most {
        return text;
    }
    let end = (0..=most - '…'.len_utf8()).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…", &text[..end]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(lines: &[Arc<AuditLine>]) -> Vec<u64> {
        lines.iter().map(|line| line.number).collect()
    }

    #[test]
    fn the_newest_lines_are_kept_and_each_has_its_number() {
        let audit = Audit::new(3);
        assert_eq!((audit.newest(9), audit.since(0)), ((0, Vec::new()), Vec::new()));
        for _ in 0..5 {
            audit.add(By::default().did("kick"));
        }
        let (count, newest) = audit.newest(2);
        assert_eq!((count, numbers(&newest)), (3, vec![5, 4]));
        assert_eq!(numbers(&audit.since(0)), [3, 4, 5], "those before have gone");
        assert_eq!(numbers(&audit.since(4)), [5]);
        assert_eq!(audit.since(5), []);
        audit.set_bound(1);
        assert_eq!(numbers(&audit.since(0)), [5]);
        audit.set_bound(0);
        audit.add(By::default().did("kick"));
        assert_eq!((audit.newest(9).0, audit.since(0)), (0, Vec::new()));
    }

    #[test]
    fn texts_are_cut_at_a_character() {
        assert_eq!(&*cut("grün".into(), 5), "grün");
        assert_eq!(&*cut("grüner".into(), 6), "gr…");
        let audit = Audit::new(1);
        let long = "ü".repeat(TEXT_BYTES);
        let change = SettingChange::new("limits.x", Some(long.clone()), None);
        assert!(change.old.as_ref().is_some_and(|old| old.len() <= VALUE_BYTES));
        let line =
            AuditLine { target: Some(long.into()), changes: vec![change; 100], ..AuditLine::default() };
        audit.add(line);
        let kept = &audit.since(0)[0];
        assert!(kept.target.as_ref().is_some_and(|target| target.len() <= TEXT_BYTES));
        assert_eq!(kept.changes.len(), CHANGES);
    }

    #[test]
    fn lines_go_on_in_another_process_before_its_own() {
        let audit = Audit::new(10);
        let by = By { key: Some("ops".into()), remote: Some("127.0.0.1:1".into()) };
        audit.add(AuditLine { sessions: Some(1), app: Some("default".into()), ..by.did("kick") });
        audit.add(by.did("upgrade"));
        let bytes = minicbor::to_vec(audit.carry()).unwrap();
        let next = Audit::new(10);
        next.add(By::default().did("upgrade"));
        next.go_on_from(minicbor::decode(&bytes).unwrap());
        let lines = next.since(0);
        assert_eq!(numbers(&lines), [1, 2, 3]);
        assert_eq!(lines[..2], audit.since(0)[..]);
        assert_eq!(lines[2].key, None);
    }
}
