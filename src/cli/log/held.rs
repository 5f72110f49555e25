//! Which lines are held back: of one kind and one client, one a second is told, and the next one says how many were not. A
//! kind is a place in the code. Knows nothing of how a line looks.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use log::{Level, Record};

use crate::admission::client_network;
use crate::config::Network;
use crate::session::Remote;

/// A line of one kind about one client stands for all that come within it.
pub const QUIET: Duration = Duration::from_secs(1);

/// So much of a line is kept to be said again with how many more there were.
const KEPT_BYTES: usize = 256;

/// See the module.
pub struct Held {
    /// Lines remembered at most; 0 holds nothing back. What finds no room shares an entry with all others of its kind.
    most: usize,
    told: Mutex<HashMap<Key, Told>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    /// The place in the code.
    kind: (Option<&'static str>, Option<u32>),
    /// The client; `None` is all who come over a Unix socket, and all for whom there was no room.
    client: Option<Network>,
}

/// A line that has been told.
struct Told {
    at: Instant,
    /// How many have been held back since.
    held: u64,
    line: Kept,
}

/// What is said again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its level.
    pub level: Level,
    /// Its target.
    pub target: Box<str>,
    /// Its message, or the beginning of it.
    pub message: Box<str>,
    /// Its fields.
    pub fields: Fields,
}

/// The fields of a line, in their order.
pub type Fields = Vec<(Box<str>, Box<str>)>;

/// What becomes of a line.
#[derive(Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It is told, with how many were held back before it.
    Told(u64),
    /// It is held back.
    Held,
}

impl Held {
    /// Remembers so many lines at most.
    pub fn new(most: usize) -> Self {
        Self { most, told: Mutex::default() }
    }

    /// What becomes of a line with these fields, at `now`. A line that names no client, or is a part of the audit trail, is told.
    pub fn judge(&self, record: &Record<'_>, fields: &Fields, now: Instant) -> Judgement {
        if self.most == 0 || record.target() == AUDIT {
            return Judgement::Told(0);
        }
        let remote = fields.iter().find(|(name, _)| &**name == "remote");
        let Some(remote) = remote.and_then(|(_, remote)| remote.parse::<Remote>().ok()) else {
            return Judgement::Told(0);
        };
        let kind = (record.file_static().or(record.module_path_static()), record.line());
        let mut key = Key { kind, client: remote.ip().map(client_network) };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= self.most && !told.contains_key(&key) {
            key.client = None;
        }
        let before = match told.get_mut(&key) {
            Some(before) if now.saturating_duration_since(before.at) < QUIET => {
                before.held += 1;
                return Judgement::Held;
            }
            Some(before) => before.held,
            None => 0,
        };
        let line = Kept {
            level: record.level(),
            target: record.target().into(),
            message: beginning(record.args().to_string()),
            fields: fields.clone(),
        };
        told.insert(key, Told { at: now, held: 0, line });
        Judgement::Told(before)
    }

    /// What has been held back for a second, or at all with `to_the_end`: the line before is told once more in the place of
    /// the last of them, with how many others there were. Forgets those of which none was.
    pub fn take_due(&self, now: Instant, to_the_end: bool) -> Vec<(Kept, u64)> {
        let mut due = Vec::new();
        let mut all = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, told| {
            if !to_the_end && now.saturating_duration_since(told.at) < QUIET {
                return true;
            }
            if told.held == 0 {
                return false;
            }
            due.push((told.line.clone(), std::mem::take(&mut told.held) - 1));
            told.at = now;
            true
        });
        if all.is_empty() {
            all.shrink_to_fit();
        }
        due
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

/// The audit trail says all that was done: what there may be too much of has a brake of its own there.
const AUDIT: &str = "gannet::audit";

fn beginning(mut message: String) -> Box<str> {
    if message.len() > KEPT_BYTES {
        let end = (0..=KEPT_BYTES).rev().find(|end| message.is_char_boundary(*end)).unwrap_or(0);
        message.truncate(end);
        message.push('…');
    }
    message.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: [u32; 2] = [10, 20];

    fn judge(held: &Held, line: u32, remote: &str, at: Instant) -> Judgement {
        let fields = vec![("remote".into(), remote.into())];
        let record = Record::builder().file_static(Some("a.rs")).line(Some(line)).target("gannet").build();
        held.judge(&record, &fields, at)
    }

    #[test]
    fn one_line_a_second_of_a_kind_and_a_client_is_told_and_the_next_says_how_many_were_not() {
        let (held, start) = (Held::new(100), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(judge(&held, LINES[0], "192.0.2.1:1", at(0)), Judgement::Told(0));
        // Another port and the same client; another kind; another client.
        assert_eq!(judge(&held, LINES[0], "192.0.2.1:2", at(999)), Judgement::Held);
        assert_eq!(judge(&held, LINES[1], "192.0.2.1:2", at(999)), Judgement::Told(0));
        assert_eq!(judge(&held, LINES[0], "192.0.2.2:1", at(999)), Judgement::Told(0));
        assert_eq!(judge(&held, LINES[0], "192.0.2.1:1", at(1_000)), Judgement::Told(1));
        assert_eq!(judge(&held, LINES[0], "[2001:db8::1]:1", at(0)), Judgement::Told(0));
        assert_eq!(
            judge(&held, LINES[0], "[2001:db8::2]:1", at(0)),
            Judgement::Held,
            "a network of 64 bits is one"
        );
        assert_eq!(judge(&held, LINES[0], "[2001:db8:0:1::]:1", at(0)), Judgement::Told(0));
    }

    #[test]
    fn what_is_about_no_client_or_of_the_audit_trail_is_told_always() {
        let (held, now) = (Held::new(100), Instant::now());
        for _ in 0..3 {
            let nobody = Record::builder().line(Some(1)).build();
            assert_eq!(held.judge(&nobody, &Fields::new(), now), Judgement::Told(0));
            assert_eq!(judge(&held, 1, "-", now), Judgement::Told(0));
            let fields = vec![("remote".into(), "192.0.2.1:1".into())];
            let audit = Record::builder().target("gannet::audit").line(Some(1)).build();
            assert_eq!(held.judge(&audit, &fields, now), Judgement::Told(0));
        }
        assert!(held.is_empty());
        let off = Held::new(0);
        assert!((0..3).all(|_| judge(&off, 1, "192.0.2.1:1", now) == Judgement::Told(0)));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_others_share_one_line_of_each_kind() {
        let (held, now) = (Held::new(3), Instant::now());
        let fates = |line: u32| -> Vec<bool> {
            (0..9)
                .map(|host| judge(&held, line, &format!("192.0.2.{host}:1"), now) == Judgement::Told(0))
                .collect()
        };
        assert_eq!(fates(1), [true, true, true, true, false, false, false, false, false]);
        assert_eq!(fates(2).iter().filter(|told| **told).count(), 1);
        assert_eq!(held.told.lock().unwrap().len(), 5);
    }

    #[test]
    fn what_was_held_back_is_told_after_a_second_and_what_was_not_is_forgotten() {
        let (held, start) = (Held::new(100), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        judge(&held, 1, "192.0.2.1:1", at(0));
        judge(&held, 1, "192.0.2.2:1", at(0));
        (0..5).for_each(|_| assert_eq!(judge(&held, 1, "192.0.2.1:1", at(10)), Judgement::Held));
        assert_eq!(held.take_due(at(500), false), []);
        let due = held.take_due(at(1_000), false);
        assert_eq!(due.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [4]);
        assert_eq!(due[0].0.fields, [("remote".into(), "192.0.2.1:1".into())]);
        // It counts as told now.
        assert_eq!(judge(&held, 1, "192.0.2.1:1", at(1_500)), Judgement::Held);
        assert_eq!(held.take_due(at(1_600), true).len(), 1, "to the end");
        assert_eq!(held.take_due(at(3_000), false), []);
        assert!(held.is_empty());
    }

    #[test]
    fn a_long_message_is_kept_in_part() {
        let kept = beginning("ä".repeat(1_000));
        assert!(kept.len() <= KEPT_BYTES + '…'.len_utf8() && kept.ends_with("ä…"), "{kept}");
        assert_eq!(&*beginning("short".to_owned()), "short");
    }
}
