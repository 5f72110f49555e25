//! What groups remember where several nodes do it together: in Redis, on the server that has the channel of the group. Commands
//! and what answers them; the scripts say what Redis does. Pure.
//!
//! A push to such a group is numbered, kept and published in one step, so the order of the numbers is the order in which every
//! node hears the pushes, on every connection to that server: what a connection that is subscribed to the channel reads there stands
//! between the pushes before it and those behind it.

mod answer;
#[cfg(test)]
mod tests;

pub use answer::{GivenPlace, Published, Read, read_forgotten, read_kept, read_place, read_published};

use super::channel::Channels;
use super::message::Publisher;
use super::resp::write_command;
use crate::dispatch::{Epoch, Recall};
use crate::hub::MemoryRule;
use crate::session::Name;
use sha1::{Digest, Sha1};
use std::sync::LazyLock;

/// Numbers, keeps and publishes a push.
const KEEP: &str = include_str!("keep.lua");
const READ: &str = include_str!("read.lua");
const FORGET: &str = include_str!("forget.lua");
const RENEW: &str = include_str!("renew.lua");

/// By what Redis knows [`KEEP`] once it is loaded.
static KEEP_NAME: LazyLock<String> =
    LazyLock::new(|| Sha1::digest(KEEP).iter().map(|byte| format!("{byte:02x}")).collect());

/// The command that loads what [`Keep`] runs. Each connection says it first: a Redis that has begun anew knows nothing.
pub const LOAD: [&[u8]; 3] = [b"SCRIPT", b"LOAD", KEEP.as_bytes()];

/// The numbers of a group without members and pushes stay for so long at least, in milliseconds.
const NUMBERS_MS: u64 = 60_000;

/// The keys of what one group remembers.
#[derive(Debug, Clone)]
pub struct Keys([Vec<u8>; 4]);

impl Keys {
    /// Those of the group, behind the tag of its server. All of them are in one slot of a Redis Cluster.
    pub fn new(channels: &Channels, tag: &[u8], app: &str, group: &Name) -> Self {
        let key = |what| [tag, &channels.memory_key(app, group, what)].concat();
        Self(["numbers", "log", "newest", "order"].map(key))
    }

    /// A command that runs a script on them.
    fn run(&self, out: &mut Vec<u8>, script: [&[u8]; 2], args: &[&[u8]]) {
        let keys = self.0.iter().map(Vec::as_slice);
        let head = script.into_iter().chain([&b"4"[..]]).chain(keys);
        let all: Vec<&[u8]> = head.chain(args.iter().copied()).collect();
        write_command(out, &all);
    }
}

/// How long what a group remembers stays by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stay {
    /// Its numbers, in milliseconds.
    numbers_ms: u64,
    /// The newest pushes of its keys, in milliseconds.
    newest_ms: u64,
    /// Its log, in milliseconds.
    log_ms: u64,
}

/// What has to stay for so long is kept for an eighth longer, so that not every push has to say so anew.
fn kept_ms(ms: u64) -> u64 {
    ms.saturating_add(ms.div_ceil(8))
}

impl Stay {
    /// By the rule of a group.
    pub fn of(rule: &MemoryRule) -> Self {
        let newest_ms = rule.latest.map_or(0, |latest| latest.idle_ms);
        let log_ms = rule.log.map_or(0, |log| log.ttl_ms);
        let numbers_ms = NUMBERS_MS.max(newest_ms).max(log_ms);
        Self { numbers_ms, newest_ms: newest_ms.max(1), log_ms: log_ms.max(1) }
    }

    /// How soon a push says anew how long all of it stays, in milliseconds.
    fn said_anew_ms(&self) -> u64 {
        let own = [self.newest_ms, self.log_ms].into_iter().filter(|ms| *ms > 1);
        own.fold(self.numbers_ms, u64::min) / 8
    }

    /// After so long it is to be renewed while the group has members, in milliseconds.
    pub fn renewed_ms(&self) -> u64 {
        let shortest = if self.newest_ms > 1 { self.newest_ms.min(self.numbers_ms) } else { self.numbers_ms };
        (shortest / 2).max(1)
    }
}

/// A push to a group that remembers.
#[derive(Debug)]
pub struct Keep<'a> {
    /// What the names of all channels begin with at the server.
    pub tag: &'a [u8],
    /// The channel of the group, or the hashed channel that has its messages too.
    pub channel: &'a [u8],
    /// The message up to the place of the push.
    pub head: &'a [u8],
    /// The rest of it, which is kept.
    pub tail: &'a [u8],
    /// Who publishes it.
    pub publisher: Publisher,
    /// The number of the message, or of the one that this is the copy of.
    pub sequence: u64,
    /// Whether it is a copy of the message before it, for the hashed channel.
    pub is_copy: bool,
    /// The epoch of the numbers, should they begin here.
    pub epoch: Epoch,
    /// What keeping it counts with, in bytes.
    pub weight: usize,
    /// Its key.
    pub key: Option<&'a str>,
    /// What its group remembers.
    pub rule: &'a MemoryRule,
}

impl Keep<'_> {
    /// Appends the command, which [`read_published`] reads the answer of.
    pub fn write(&self, keys: &Keys, out: &mut Vec<u8>) {
        let Publisher { incarnation, reactor, .. } = self.publisher;
        let mut publisher = incarnation.to_le_bytes().to_vec();
        publisher.push(reactor);
        let (log, latest) = (self.rule.log, self.rule.latest);
        let stay = Stay::of(self.rule);
        let bounds = [
            self.weight as u64,
            log.map_or(0, |log| log.messages as u64),
            log.map_or(0, |log| log.bytes as u64),
            kept_ms(stay.log_ms),
            latest.map_or(0, |latest| latest.keys as u64),
            latest.map_or(0, |latest| latest.bytes as u64),
            kept_ms(stay.newest_ms),
            kept_ms(stay.numbers_ms),
            stay.said_anew_ms(),
        ];
        let [weight, messages, bytes, ttl, key_count, key_bytes, newest, numbers, anew] =
            bounds.map(|bound| bound.to_string());
        let sequence = self.sequence.to_string();
        let channel = [self.tag, self.channel].concat();
        let args: [&[u8]; 17] = [
            &channel,
            self.head,
            self.tail,
            &publisher,
            sequence.as_bytes(),
            if self.is_copy { b"1" } else { b"0" },
            &self.epoch.as_u64().to_le_bytes(),
            weight.as_bytes(),
            self.key.unwrap_or_default().as_bytes(),
            messages.as_bytes(),
            bytes.as_bytes(),
            ttl.as_bytes(),
            key_count.as_bytes(),
            key_bytes.as_bytes(),
            newest.as_bytes(),
            numbers.as_bytes(),
            anew.as_bytes(),
        ];
        keys.run(out, [b"EVALSHA", KEEP_NAME.as_bytes()], &args);
    }
}

/// What is read of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The newest push of each key.
    Newest,
    /// Of the log.
    Log(Recall),
    /// Of the log behind a number of an epoch, or of any, so many.
    Page(u64, Option<Epoch>, usize),
}

/// Appends the command that reads it; [`read_kept`] reads the answer.
pub fn write_read(keys: &Keys, wanted: Wanted, out: &mut Vec<u8>) {
    let most = usize::MAX >> 1;
    let (what, after, epoch, count) = match wanted {
        Wanted::Newest => (&b"newest"[..], 0, None, most as u64),
        Wanted::Log(Recall::Last(last)) => (&b"last"[..], 0, None, last.min(most as u64)),
        Wanted::Log(Recall::After { offset, epoch, .. }) => (&b"after"[..], offset, epoch, most as u64),
        Wanted::Page(after, epoch, limit) => (&b"after"[..], after, epoch, limit as u64),
    };
    let epoch = epoch.map(|epoch| epoch.as_u64().to_le_bytes());
    let epoch = epoch.as_ref().map_or(&[][..], |epoch| &epoch[..]);
    let (after, count) = (after.to_string(), count.to_string());
    keys.run(out, [b"EVAL", READ.as_bytes()], &[what, after.as_bytes(), count.as_bytes(), epoch]);
}

/// Appends the command with which the group forgets the newest push of `key`, or everything; [`read_forgotten`] reads the answer.
pub fn write_forget(keys: &Keys, key: Option<&str>, out: &mut Vec<u8>) {
    keys.run(out, [b"EVAL", FORGET.as_bytes()], &[key.unwrap_or_default().as_bytes()]);
}

/// Appends the command that says that the group has members.
pub fn write_renew(keys: &Keys, stay: Stay, out: &mut Vec<u8>) {
    let (numbers, newest) = (kept_ms(stay.numbers_ms).to_string(), kept_ms(stay.newest_ms).to_string());
    keys.run(out, [b"EVAL", RENEW.as_bytes()], &[numbers.as_bytes(), newest.as_bytes()]);
}
