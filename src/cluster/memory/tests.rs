//! The scripts in a real Redis, beside what one process remembers by itself.

use super::*;
use crate::choices::random_bytes;
use crate::cluster::push as body;
use crate::cluster::redis_connection::Connection;
use crate::cluster::redis_server::RedisServer;
use crate::cluster::resp::Value;
use crate::dispatch::{EncodedFrame, KeptPage, Origin, Push, PushOptions, Target};
use crate::hub::{Around, LatestRule, LogRule, Memory, OVERHEAD, Room, Share};
use crate::session::AppId;
use std::sync::atomic::AtomicU64;

const APP: AppId = AppId(0);
/// Longer than a test: nothing expires but what is to.
const LONG_MS: u64 = 600_000;
/// A message without a key weighs so much and its frame.
const SMALL: usize = OVERHEAD + 40;

fn group() -> Name {
    Name::new("match/1").unwrap()
}

fn rule(messages: usize, keys: usize) -> MemoryRule {
    MemoryRule {
        latest: (keys > 0).then_some(LatestRule { keys, bytes: 3 * SMALL, idle_ms: LONG_MS }),
        log: (messages > 0).then_some(LogRule { messages, bytes: 5 * SMALL, ttl_ms: LONG_MS }),
    }
}

/// One publisher and one reader on one connection to a Redis.
struct Redis {
    connection: Connection,
    keys: Keys,
    sequence: u64,
    /// Epochs that were asked for.
    epochs: u64,
}

fn publisher() -> Publisher {
    Publisher { node: 1, incarnation: 0x1122, reactor: 3, server: 0 }
}

impl Redis {
    fn new(server: &RedisServer) -> Self {
        let keys = Keys::new(&Channels::new("p", 8), b"", "default", &group());
        let mut connection = Connection::to(server);
        assert!(matches!(connection.run(&LOAD), Value::Bulk(name) if *name == *KEEP_NAME.as_bytes()));
        Self { connection, keys, sequence: 0, epochs: 0 }
    }

    fn said(&mut self, command: &[u8]) -> Value {
        self.connection.run_written(command)
    }

    /// Publishes a text again under the number `sequence` or, as a copy, for the hashed channel.
    fn publish(
        &mut self,
        rule: &MemoryRule,
        text: &str,
        key: Option<&str>,
        sequence: u64,
        is_copy: bool,
    ) -> Value {
        self.epochs += 1;
        let frame = EncodedFrame::text(text);
        let options = PushOptions { key: key.map(Into::into), ..PushOptions::default() };
        let mut tail = Vec::new();
        body::encode(&Target::nobody(), &frame, &options, &mut tail).unwrap();
        let keep = Keep {
            tag: b"",
            channel: if is_copy { b"p:b:1" } else { b"p:g:default\x01match/1" },
            head: b"head",
            tail: &tail,
            publisher: publisher(),
            sequence,
            is_copy,
            epoch: Epoch::from_u64(self.epochs),
            weight: frame.wire_len() + key.map_or(0, str::len) + OVERHEAD,
            key,
            rule,
        };
        let mut command = Vec::new();
        keep.write(&self.keys, &mut command);
        self.said(&command)
    }

    fn keep(&mut self, rule: &MemoryRule, text: &str, key: Option<&str>) -> Published {
        self.sequence += 1;
        let answer = self.publish(rule, text, key, self.sequence, false);
        let Value::List(answer) = &answer else { panic!("{answer:?}") };
        read_published(answer).unwrap()
    }

    fn read(&mut self, rule: &MemoryRule, wanted: Wanted) -> Read {
        let mut command = Vec::new();
        write_read(&self.keys, wanted, &mut command);
        read_kept(&self.said(&command), wanted, rule.log.as_ref()).unwrap()
    }

    fn forget(&mut self, key: Option<&str>) -> u32 {
        let mut command = Vec::new();
        write_forget(&self.keys, key, &mut command);
        read_forgotten(&self.said(&command)).unwrap()
    }
}

struct World(AtomicU64, MemoryRule);

impl Around for World {
    fn rule(&self, _: AppId, _: &str) -> Option<MemoryRule> {
        Some(self.1)
    }

    fn room(&self, _: AppId) -> Room<'_> {
        Room { app: Share { used: &self.0, bound: 0 }, server: Share { used: &self.0, bound: 0 } }
    }

    fn has_members(&self, _: AppId, _: &Name) -> bool {
        true
    }
}

/// Numbers, keys and texts of what was read, and whether it is complete.
type Seen = (u64, Vec<(u64, Option<String>, String)>, bool);

fn seen_in_page(page: KeptPage) -> Seen {
    let message = |offset, key: Option<Box<str>>, frame: EncodedFrame| {
        (offset, key.map(String::from), String::from_utf8(frame.payload().to_vec()).unwrap())
    };
    let messages = page.messages.into_iter().map(|kept| message(kept.offset, kept.key, kept.frame));
    (page.offset, messages.collect(), page.complete)
}

fn seen(read: Read) -> Seen {
    let kept = read.kept.into_iter();
    let messages = kept
        .map(|kept| crate::dispatch::KeptMessage { offset: kept.offset, key: kept.key, frame: kept.frame })
        .collect();
    let (epoch, offset, complete) = (read.epoch, read.offset, read.complete);
    seen_in_page(KeptPage { epoch, offset, messages, complete })
}

/// What is pushed, forgotten and read at random is the same in Redis and in a process, numbers and losses included.
#[test]
fn redis_remembers_what_a_process_remembers() {
    let server = RedisServer::start(&[]);
    for (seed, (messages, keys)) in [(4, 0), (0, 3), (3, 2), (1, 1), (100, 100)].into_iter().enumerate() {
        let mut redis = Redis::new(&server);
        redis.sequence = 1_000 * seed as u64;
        redis.forget(None);
        let rule = rule(messages, keys);
        let (world, mut memory) = (World(AtomicU64::new(0), rule), Memory::new(seed as u64));
        let mut epochs = Vec::new();
        let bytes = random_bytes(seed as u64 + 1, 1_200);
        let mut lost = [0; 3];
        for (step, [what, which, how]) in bytes.as_chunks().0.iter().enumerate() {
            let key = ["a", "b", "c", "d", ""][usize::from(which % 5)];
            let key = Some(key).filter(|key| !key.is_empty());
            match what % 16 {
                // Some are longer than all that may be kept.
                0..10 => {
                    let text = format!("{step}").repeat(if how % 32 == 0 {
                        1_500
                    } else {
                        1 + usize::from(how % 12)
                    });
                    let published = redis.keep(&rule, &text, key);
                    let options = PushOptions { key: key.map(Into::into), ..PushOptions::default() };
                    let frame = EncodedFrame::text(&text);
                    let push = Push::new(APP, Target::nobody(), frame, options, 0, 0, Origin::Nobody);
                    let place = memory.remember(&group(), &rule, &push, 0, &world);
                    let (epoch, offset) = published.numbered.unwrap();
                    assert_eq!(offset, place.offset, "step {step}");
                    if epochs.last().is_none_or(|(ours, _)| *ours != place.epoch) {
                        epochs.push((place.epoch, epoch));
                    }
                    assert_eq!(epochs.last(), Some(&(place.epoch, epoch)), "they change together");
                    lost.iter_mut().zip(published.lost).for_each(|(sum, lost)| *sum += lost);
                }
                10 => assert_eq!(redis.forget(key) as usize, memory.forget(APP, &group(), key, &world)),
                11 if keys > 0 => {
                    let nothing = KeptPage { epoch: None, offset: 0, messages: Vec::new(), complete: true };
                    let page = memory.latest(APP, &group()).unwrap_or(nothing);
                    assert_eq!(seen(redis.read(&rule, Wanted::Newest)), seen_in_page(page), "step {step}");
                }
                _ => {
                    let Some(log) = &rule.log else { continue };
                    let (after, limit) = (u64::from(*which) % 40, usize::from(*how) % 4 + 1);
                    let pair = epochs.get(usize::from(*how) % (epochs.len() + 1)).copied();
                    let (ours, theirs) = (pair.map(|pair| pair.0), pair.map(|pair| pair.1));
                    let page = memory.log(APP, &group(), (after, ours), limit, log, 0);
                    let read = redis.read(&rule, Wanted::Page(after, theirs, limit));
                    assert_eq!(seen(read), seen_in_page(page), "step {step}: behind {after} of {pair:?}");
                    for (ours, theirs) in [
                        (Recall::Last(limit as u64), Recall::Last(limit as u64)),
                        (
                            Recall::After { offset: after, epoch: ours, last: None },
                            Recall::After { offset: after, epoch: theirs, last: None },
                        ),
                        (
                            Recall::After { offset: after, epoch: ours, last: Some(limit as u64) },
                            Recall::After { offset: after, epoch: theirs, last: Some(limit as u64) },
                        ),
                    ] {
                        let asked = crate::hub::Asked::Log(ours);
                        let (kept, recalled) = memory.recall(APP, &group(), asked, 0, &world);
                        let read = redis.read(&rule, Wanted::Log(theirs));
                        assert_eq!(
                            (read.offset, read.complete),
                            (recalled.offset, recalled.complete),
                            "{ours:?}"
                        );
                        let offsets: Vec<_> = kept.iter().map(|push| push.place().unwrap().offset).collect();
                        assert_eq!(read.kept.iter().map(|kept| kept.offset).collect::<Vec<_>>(), offsets);
                        assert!(read.kept.is_sorted_by(|one, next| one.order < next.order));
                    }
                }
            }
        }
        let losses = memory.take_losses();
        use crate::metrics::{Label, MemoryLoss};
        let reasons = [MemoryLoss::Messages, MemoryLoss::Bytes, MemoryLoss::Keys];
        let bounds: u64 = reasons.iter().map(|reason| losses[reason.index()]).sum();
        assert_eq!(lost.iter().sum::<u64>(), bounds, "rule {rule:?}");
        assert!(epochs.len() > 1 && bounds > 0 || messages == 100, "it has been tried");
    }
}

#[test]
fn what_is_written_twice_is_kept_and_published_once_and_its_copy_has_its_place() {
    let server = RedisServer::start(&[]);
    let mut redis = Redis::new(&server);
    let mut listener = Connection::to(&server);
    listener.say("HELLO 3");
    for channel in ["p:g:default\u{1}match/1", "p:b:1"] {
        listener.subscribe(channel.as_bytes());
    }
    let place = |payload: &[u8]| {
        let rest = payload.strip_prefix(b"head").unwrap();
        read_place(rest).unwrap().0.map(|place| (place.epoch, place.offset))
    };
    let rule = rule(4, 0);
    let first = redis.keep(&rule, "first", None);
    assert_eq!(first.nodes, 1);
    assert_eq!(place(&listener.message()), first.numbered);
    let copy = redis.publish(&rule, "first", None, 1, true);
    assert_eq!(copy, Value::List(vec![Value::Int(1)]));
    assert_eq!(place(&listener.message()), first.numbered, "the copy has the place");
    let again = redis.publish(&rule, "first", None, 1, false);
    assert_eq!(again, Value::List(vec![Value::Int(1)]), "so many hear it, and have");
    redis.keep(&rule, "second", None);
    assert_eq!(place(&listener.message()).map(|(_, offset)| offset), Some(2), "nothing was published twice");
    redis.publish(&rule, "first", None, 1, false);
    assert_eq!(redis.read(&rule, Wanted::Log(Recall::Last(9))).kept.len(), 2);
    redis.keep(&rule, "third", None);
    assert_eq!(place(&listener.message()).map(|(_, offset)| offset), Some(3));
}

#[test]
fn without_memory_a_push_is_published_and_not_kept() {
    let server = RedisServer::start(&[]);
    let mut redis = Redis::new(&server);
    let rule = rule(4, 2);
    let kept = redis.keep(&rule, "kept", Some("a"));
    redis.connection.say("CONFIG SET maxmemory 1");
    let refused = redis.keep(&rule, "refused", Some("a"));
    assert_eq!((refused.is_unkept, refused.numbered), (true, None));
    let read = redis.read(&rule, Wanted::Newest);
    assert_eq!((read.epoch, read.kept.len()), (kept.numbered.map(|(epoch, _)| epoch), 1), "reading goes on");
    redis.connection.say("CONFIG SET maxmemory 0");
    assert_eq!(redis.keep(&rule, "kept", Some("a")).numbered.map(|(_, offset)| offset), Some(2));
}

#[test]
fn publishers_that_are_too_many_are_forgotten_and_nothing_else_is() {
    let server = RedisServer::start(&[]);
    let mut redis = Redis::new(&server);
    let rule = rule(4, 2);
    let numbers = redis.keys.0[0].clone();
    let others: Vec<Vec<u8>> = (0..1_100).map(|number| format!("from:{number}").into_bytes()).collect();
    let mut command: Vec<&[u8]> = vec![b"HSET", &numbers];
    others.iter().for_each(|other| command.extend([other.as_slice(), &[0; 32]]));
    redis.connection.run(&command);
    let first = redis.keep(&rule, "first", Some("a"));
    let Value::Int(fields) = redis.connection.run(&[b"HLEN", &numbers]) else { panic!() };
    assert!(fields < 16, "{fields}");
    // Its own last number has stayed: what is written again is not kept again.
    redis.publish(&rule, "first", Some("a"), 1, false);
    let second = redis.keep(&rule, "second", Some("b")).numbered;
    assert_eq!(second.map(|(_, offset)| offset), Some(2));
    assert_eq!(second.map(|(epoch, _)| epoch), first.numbered.map(|(epoch, _)| epoch));
    assert_eq!(redis.read(&rule, Wanted::Newest).kept.len(), 2);
}

#[test]
fn nothing_stays_for_ever_and_members_keep_it() {
    let server = RedisServer::start(&[]);
    let mut redis = Redis::new(&server);
    let mut rule = rule(4, 2);
    rule.log.as_mut().unwrap().ttl_ms = 300;
    rule.latest.as_mut().unwrap().idle_ms = 200_000;
    redis.keep(&rule, "x", Some("a"));
    let Value::List(names) = redis.connection.say("KEYS *") else { panic!() };
    let names: Vec<Vec<u8>> = names.iter().map(|name| name.bytes().unwrap().to_vec()).collect();
    assert_eq!(names.len(), 4);
    let left = |redis: &mut Redis, name: &[u8]| match redis.connection.run(&[b"PTTL", name]) {
        Value::Int(ms) => ms,
        other => panic!("{other:?}"),
    };
    for name in &names {
        assert!((1..=225_000).contains(&left(&mut redis, name)), "{}", String::from_utf8_lossy(name));
    }
    // Not every push says anew how long they stay; each leaves them what they have to stay.
    redis.keep(&rule, "y", Some("b"));
    let long = names.iter().filter(|name| left(&mut redis, name) >= 200_000).count();
    assert_eq!(long, 3, "all but the log");
    // What is made anew where it had gone does not stay for ever.
    names.iter().filter(|name| !name.ends_with(b"numbers")).for_each(|name| {
        redis.connection.run(&[b"DEL", name]);
    });
    redis.keep(&rule, "z", Some("c"));
    for name in &names {
        assert!((1..=225_000).contains(&left(&mut redis, name)), "{}", String::from_utf8_lossy(name));
    }
    let stay = Stay::of(&rule);
    assert!(stay.renewed_ms() <= 100_000);
    let mut command = Vec::new();
    let longer = Stay { numbers_ms: 900_000, newest_ms: 800_000, log_ms: 1 };
    write_renew(&redis.keys.clone(), longer, &mut command);
    redis.said(&command);
    let long = names.iter().filter(|name| left(&mut redis, name) > 700_000).count();
    assert_eq!(long, 3, "all but the log, whose messages have a time of their own");
}
