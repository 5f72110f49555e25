//! Nodes and a Redis with a clock of their own. The Redis is a naive one, which knows the scripts by their first words.

use super::*;
use std::collections::HashMap;

const LEASE_MS: u64 = 1_000;

/// The keys with their values, and when they expire.
#[derive(Default)]
struct Redis {
    keys: HashMap<String, (Vec<u8>, Option<u64>)>,
    /// It keeps nothing new.
    is_full: bool,
}

impl Redis {
    fn get(&mut self, key: &str, now_ms: u64) -> Option<Vec<u8>> {
        self.keys.retain(|_, (_, until_ms)| until_ms.is_none_or(|until_ms| now_ms < until_ms));
        self.keys.get(key).map(|(value, _)| value.clone())
    }

    fn run(&mut self, command: &Command, now_ms: u64) -> Value {
        let text = |at: usize| str::from_utf8(&command[at]).unwrap();
        let number = |at: usize| text(at).parse::<u64>().unwrap();
        let list = |state, time: u64| Value::List(vec![Value::Int(state), Value::Int(time as i64)]);
        let oom = || Value::Error("OOM command not allowed".into());
        let script = text(1).split(' ').nth(1).unwrap();
        let there = self.get(text(3), now_ms);
        if (text(0), script, text(2)) == ("EVAL", "secret", "1") {
            if there.is_none() && self.is_full {
                return oom();
            }
            let secret = there.unwrap_or(command[4].clone());
            self.keys.insert(text(3).to_owned(), (secret.clone(), None));
            return Value::Bulk(secret.into());
        }
        if (text(0), script, text(2)) == ("EVAL", "held", "1") {
            let is_own = there.is_some_and(|held| held.starts_with(&command[4]));
            if is_own {
                self.keys.remove(text(3));
            }
            return Value::Int(is_own.into());
        }
        assert_eq!((text(0), script, text(2)), ("EVAL", "t", "2"));
        let born = self.get(text(4), now_ms);
        if born.is_none() && self.is_full {
            return oom();
        }
        let born = born.map_or(now_ms, |born| String::from_utf8(born).unwrap().parse().unwrap());
        self.keys.insert(text(4).to_owned(), (born.to_string().into(), None));
        let (until_ms, may_take_ms) = (now_ms + number(7), born + number(8));
        match there {
            Some(held) if !held.starts_with(&command[5]) => Value::Bulk(held.into()),
            Some(held) => {
                self.keys.insert(text(3).to_owned(), (held, Some(until_ms)));
                list(1, until_ms)
            }
            None if now_ms < may_take_ms && born >= number(9) => list(0, may_take_ms - now_ms),
            None if self.is_full => oom(),
            None => {
                let value = [&command[5][..], &command[6]].concat();
                self.keys.insert(text(3).to_owned(), (value, Some(until_ms)));
                list(2, until_ms)
            }
        }
    }
}

fn settings(name: &str, pinned: Option<u16>) -> LeaseSettings {
    LeaseSettings { prefix: "g".to_owned(), name: name.to_owned(), lease_ms: LEASE_MS, pinned }
}

fn lease(name: &str, incarnation: u64, pinned: Option<u16>) -> Lease {
    let mut lease = Lease::new(&settings(name, pinned), incarnation, [incarnation as u8; 32]);
    lease.connected();
    lease
}

/// Runs a node at a moment until it has nothing to do then. Its candidates are `numbers`, then 7.
fn run(lease: &mut Lease, redis: &mut Redis, now_ms: u64, numbers: &[u64]) -> Vec<LeaseEvent> {
    let mut numbers = numbers.iter().map(|number| number - 1).chain(std::iter::repeat(6));
    loop {
        let commands = lease.turn(now_ms, || numbers.next().unwrap());
        if commands.is_empty() {
            return std::iter::from_fn(|| lease.next_event()).collect();
        }
        for command in commands {
            lease.answered(&redis.run(&command, now_ms), now_ms);
        }
    }
}

fn secret(byte: u8) -> LeaseEvent {
    LeaseEvent::Secret(SharedSecret::new([byte; 32]))
}

fn holder(name: &str, incarnation: u64) -> Holder {
    Holder { incarnation: Some(incarnation), name: name.to_owned() }
}

/// A Redis in which keys stood long ago.
fn old_redis() -> Redis {
    let mut redis = Redis::default();
    redis.keys.insert("g:born".to_owned(), (b"0".to_vec(), None));
    redis
}

const LATER: u64 = 100_000;

#[test]
fn the_first_node_waits_for_two_leases_and_those_after_it_for_none() {
    let (mut redis, mut a, mut b) = (Redis::default(), lease("a", 1, None), lease("b", 2, None));
    let waits = LeaseEvent::Waits { ms: 2 * LEASE_MS };
    assert_eq!(run(&mut a, &mut redis, LATER, &[]), [waits]);
    assert_eq!((a.number(), a.due_ms()), (None, Some(LATER + 2 * LEASE_MS)));
    let now = LATER + 2 * LEASE_MS;
    assert_eq!(run(&mut a, &mut redis, now, &[5]), [LeaseEvent::Taken { number: 5 }, secret(1)]);
    assert!(a.is_held(now) && a.is_held(now + 799) && !a.is_held(now + 800));
    // 5 is taken, and so is what comes next.
    assert_eq!(run(&mut b, &mut redis, now, &[5, 5, 9]), [LeaseEvent::Taken { number: 9 }, secret(1)]);
}

#[test]
fn a_lease_that_is_not_confirmed_lapses_before_redis_gives_the_number_to_another() {
    let (mut redis, mut a) = (old_redis(), lease("a", 1, None));
    run(&mut a, &mut redis, LATER, &[5]);
    assert_eq!(a.due_ms(), Some(LATER + LEASE_MS / 3));
    // A renewal is sent, and its answer never comes.
    assert_eq!(a.turn(LATER + 400, || 0).len(), 1);
    a.disconnected();
    assert_eq!((a.number(), a.due_ms()), (Some(5), Some(LATER + 800)));
    assert!(a.turn(LATER + 800, || 0).is_empty() && !a.is_held(LATER + 800));
    assert_eq!(a.next_event(), Some(LeaseEvent::Lapsed { number: 5 }));
    let mut b = lease("b", 2, Some(5));
    let refused = LeaseEvent::Refused { number: 5, holder: holder("a", 1) };
    assert_eq!(run(&mut b, &mut redis, LATER + 999, &[]), [refused]);
    // It comes back in time.
    a.connected();
    assert_eq!(run(&mut a, &mut redis, LATER + 999, &[]), [LeaseEvent::Kept { number: 5 }]);
    assert!(a.is_held(LATER + 1_798) && !a.is_held(LATER + 1_799));
}

#[test]
fn trust_counts_from_the_command_and_not_from_its_answer() {
    let (mut redis, mut a) = (old_redis(), lease("a", 1, None));
    run(&mut a, &mut redis, LATER, &[5]);
    let commands = a.turn(LATER + 400, || 0);
    let value = redis.run(&commands[0], LATER + 400);
    // The process stood still.
    a.answered(&value, LATER + 5_000);
    assert!(a.is_held(LATER + 1_199) && !a.is_held(LATER + 1_200));
    assert_eq!(a.due_ms(), Some(LATER + 400 + LEASE_MS / 3));
}

#[test]
fn a_number_that_another_node_took_is_lost_and_another_is_taken() {
    let (mut redis, mut a, mut b) = (old_redis(), lease("a", 1, None), lease("b", 2, None));
    run(&mut a, &mut redis, LATER, &[5]);
    let later = LATER + LEASE_MS;
    run(&mut b, &mut redis, later, &[5]);
    let events = run(&mut a, &mut redis, later, &[5, 6]);
    let lost = LeaseEvent::Lost { number: 5, holder: holder("b", 2) };
    assert_eq!(events, [LeaseEvent::Lapsed { number: 5 }, lost, LeaseEvent::Taken { number: 6 }]);
    assert!(a.is_held(later) && b.is_held(later));
}

#[test]
fn an_empty_redis_gives_numbers_to_those_who_held_them_first() {
    let (mut redis, mut a) = (old_redis(), lease("a", 1, None));
    run(&mut a, &mut redis, LATER, &[5]);
    // It is emptied, and a new node is there before the old one notices.
    redis.keys.clear();
    let mut b = lease("b", 2, None);
    assert_eq!(run(&mut b, &mut redis, LATER + 1, &[5]), [LeaseEvent::Waits { ms: 2 * LEASE_MS }]);
    a.disconnected();
    a.connected();
    assert_eq!(run(&mut a, &mut redis, LATER + 10, &[]), [LeaseEvent::Taken { number: 5 }]);
    assert_eq!(redis.get("g:secret", LATER).unwrap(), "01".repeat(32).as_bytes(), "as it was before");
    let now = LATER + 1 + 2 * LEASE_MS;
    run(&mut a, &mut redis, now - 500, &[]);
    assert_eq!(run(&mut b, &mut redis, now, &[5, 6]), [LeaseEvent::Taken { number: 6 }, secret(1)]);
}

#[test]
fn a_redis_that_is_emptied_under_a_connection_gets_all_keys_again() {
    let (mut redis, mut a) = (old_redis(), lease("a", 1, None));
    run(&mut a, &mut redis, LATER, &[5]);
    redis.keys.clear();
    assert_eq!(run(&mut a, &mut redis, LATER + 400, &[]), [LeaseEvent::Taken { number: 5 }]);
    let mut keys: Vec<_> = redis.keys.keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["g:born", "g:lease:5", "g:secret"]);
}

#[test]
fn a_pinned_number_is_waited_for_and_its_holder_named_once() {
    let (mut redis, mut a, mut b) = (old_redis(), lease("a\n", 1, Some(3)), lease("b", 2, Some(3)));
    run(&mut a, &mut redis, LATER, &[]);
    let refused = LeaseEvent::Refused { number: 3, holder: holder("a\\n", 1) };
    assert_eq!(run(&mut b, &mut redis, LATER, &[]), [refused]);
    let again = b.due_ms().unwrap();
    assert_eq!(again, LATER + LEASE_MS / 2);
    assert_eq!(run(&mut b, &mut redis, again, &[]), []);
    let given_back = a.release().unwrap();
    assert_eq!(redis.run(&given_back, again), Value::Int(1));
    assert!(!a.is_held(again) && a.turn(again, || 0).is_empty() && a.release().is_none());
    assert_eq!(run(&mut b, &mut redis, again + LEASE_MS, &[]), [LeaseEvent::Taken { number: 3 }, secret(1)]);
    // What a gave back late is not b's.
    assert_eq!(redis.run(&given_back, again), Value::Int(0));
}

#[test]
fn tries_are_bounded_and_go_on_after_a_pause() {
    let (mut redis, mut a, mut b) = (old_redis(), lease("a", 1, None), lease("b", 2, None));
    run(&mut a, &mut redis, LATER, &[]);
    let mut tried = 0;
    while let commands @ [_, ..] = &b.turn(LATER, || 6)[..] {
        tried += commands.iter().filter(|command| command[3] == b"g:lease:7").count();
        commands.iter().for_each(|command| b.answered(&redis.run(command, LATER), LATER));
    }
    assert_eq!(tried as u32, TRIES + 1);
    assert_eq!(run(&mut b, &mut redis, LATER, &[]), [LeaseEvent::AllTaken]);
    let now = b.due_ms().unwrap();
    assert_eq!(run(&mut b, &mut redis, now, &[8]), [LeaseEvent::Taken { number: 8 }, secret(1)]);
}

#[test]
fn a_redis_without_memory_renews_and_gives_no_number() {
    let (mut redis, mut a, mut b) = (old_redis(), lease("a", 1, None), lease("b", 2, None));
    run(&mut a, &mut redis, LATER, &[5]);
    redis.is_full = true;
    a.disconnected();
    a.connected();
    assert_eq!(run(&mut a, &mut redis, LATER + 100, &[]), []);
    assert!(a.is_held(LATER + 899));
    let failed = LeaseEvent::Failed(LeaseFault::Refused("OOM command not allowed".into()));
    assert_eq!(run(&mut b, &mut redis, LATER, &[6]), [failed]);
    assert_eq!(run(&mut b, &mut redis, LATER + LEASE_MS, &[6]), [], "it is told once");
    redis.is_full = false;
    let events = run(&mut b, &mut redis, LATER + 2 * LEASE_MS, &[6]);
    assert_eq!(events, [LeaseEvent::Taken { number: 6 }, secret(1)]);
}

#[test]
fn answers_of_another_kind_and_answers_to_nothing_are_survived() {
    let pair = |state, time| Value::List(vec![Value::Int(state), Value::Int(time)]);
    let values = [
        pair(0, i64::MIN),
        pair(0, i64::MAX),
        pair(1, i64::MIN),
        pair(2, i64::MAX),
        pair(3, 0),
        Value::List(Vec::new()),
        Value::Null,
        Value::Int(i64::MIN),
        Value::Int(i64::MAX),
        Value::Text("OK".into()),
        Value::Bulk([0xff, b'|'].into()),
        Value::Error("NOPERM".into()),
    ];
    let mut choices = 0x9E37_79B9_7F4A_7C15_u64;
    let mut a = lease("a", 1, None);
    for now_ms in (0..200_000).step_by(50) {
        for _ in 0..=a.turn(now_ms, || 41).len() {
            choices = choices.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            a.answered(&values[(choices >> 33) as usize % values.len()], now_ms);
        }
        assert!(a.due_ms().is_some(), "it does not stand still");
        while a.next_event().is_some() {}
    }
}

#[test]
fn a_lease_goes_on_in_another_process() {
    let (mut redis, mut a) = (old_redis(), lease("a", 1, None));
    run(&mut a, &mut redis, LATER, &[5]);
    let carried: CarriedLease = minicbor::decode(&minicbor::to_vec(a.carry()).unwrap()).unwrap();
    let mut next = Lease::going_on(&settings("renamed", None), &carried, [9; 32]);
    next.connected();
    assert_eq!((next.incarnation(), next.number(), next.is_held(LATER)), (1, Some(5), true));
    assert!(next.is_held(LATER + 799) && !next.is_held(LATER + 800));
    assert_eq!(run(&mut next, &mut redis, LATER + 100, &[]), [secret(1)]);
    assert!(next.is_held(LATER + 899));
    let other = Lease::going_on(&settings("a", Some(6)), &carried, [9; 32]);
    assert_eq!(other.number(), None);
}

/// The rule of it all: whatever is lost or late, and however long a process or a connection stands still, no two nodes are sure
/// at the same time that one number is theirs.
#[test]
fn no_two_nodes_ever_hold_one_number() {
    let mut state = 0x1234_5678_9ABC_DEF1_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..60 {
        let (mut redis, mut now_ms, mut held, mut next) = (Redis::default(), LATER, 0, 4);
        let mut nodes: Vec<_> = (1..=3).map(|number| lease("n", number, None)).collect();
        let mut waiting: Vec<Vec<(Command, Option<Value>)>> = vec![Vec::new(); nodes.len()];
        for _ in 0..600 {
            now_ms += random() % 120;
            let chosen = random() as usize % nodes.len();
            let (node, queue) = (&mut nodes[chosen], &mut waiting[chosen]);
            match random() % 40 {
                0 => {
                    node.disconnected();
                    queue.clear();
                }
                1 => {
                    *node = lease("n", next, None);
                    next += 1;
                    queue.clear();
                }
                2 => {
                    redis.keys.clear();
                    // Restarted, or only emptied.
                    if random() % 2 == 0 {
                        nodes.iter_mut().for_each(Lease::disconnected);
                        waiting.iter_mut().for_each(Vec::clear);
                    }
                }
                3 => now_ms += random() % (2 * LEASE_MS),
                _ => {
                    if node.due_ms().is_none() && queue.is_empty() {
                        node.connected();
                    }
                    let commands = node.turn(now_ms, || random() % 3);
                    queue.extend(commands.into_iter().map(|command| (command, None)));
                    // Redis executes some now, and some answers come now.
                    for (command, value) in
                        queue.iter_mut().filter(|(_, value)| value.is_none()).take(random() as usize % 3)
                    {
                        *value = Some(redis.run(command, now_ms));
                    }
                    while queue.first().is_some_and(|(_, value)| value.is_some()) && random() % 4 > 0 {
                        let (_, value) = queue.remove(0);
                        node.answered(&value.unwrap(), now_ms);
                    }
                }
            }
            let mut numbers: Vec<_> =
                nodes.iter().filter(|node| node.is_held(now_ms)).filter_map(Lease::number).collect();
            held += numbers.len();
            numbers.sort_unstable();
            let before = numbers.len();
            numbers.dedup();
            assert_eq!(before, numbers.len(), "{numbers:?} at {now_ms}");
        }
        assert!(held > 0, "the nodes hold something now and then");
    }
}
