//! The scripts in a real Redis: what the naive one of the other tests is taken for.

use super::*;
use crate::cluster::redis_connection::Connection;
use crate::cluster::redis_server::RedisServer;

/// Runs a node at a moment of its clock until it has nothing to do then.
fn drive(redis: &mut Connection, lease: &mut Lease, now_ms: u64) -> Vec<LeaseEvent> {
    loop {
        let commands = lease.turn(now_ms, || 6);
        if commands.is_empty() {
            return std::iter::from_fn(|| lease.next_event()).collect();
        }
        for command in commands {
            let value = redis.run(&command.iter().map(Vec::as_slice).collect::<Vec<_>>());
            lease.answered(&value, now_ms);
        }
    }
}

/// Longer than the test: nothing in it expires.
const LEASE_MS: u64 = 600_000;

fn settings(name: &str) -> LeaseSettings {
    LeaseSettings { prefix: "g".to_owned(), name: name.to_owned(), lease_ms: LEASE_MS, pinned: Some(7) }
}

fn lease(name: &str, incarnation: u64) -> Lease {
    let mut lease = Lease::new(&settings(name), incarnation, [incarnation as u8; 32]);
    lease.connected();
    lease
}

/// As if the Redis had been there for long.
const OLD: &str = "SET g:born 1000";

#[test]
fn a_number_is_waited_for_taken_kept_refused_and_given_back() {
    let server = RedisServer::start(&[]);
    let mut redis = Connection::to(&server);
    let (mut a, mut b) = (lease("größe", 1), lease("b", 2));
    let events = drive(&mut redis, &mut a, 0);
    assert!(matches!(events[..], [LeaseEvent::Waits { ms }] if ms > LEASE_MS), "{events:?}");
    let Some(Value::Bulk(born)) = Some(redis.say("GET g:born")) else { panic!("it was written") };
    assert_eq!(born.len(), 13, "milliseconds of the Unix epoch, in digits alone");
    redis.say(OLD);
    let secret = LeaseEvent::Secret(SharedSecret::new([1; 32]));
    let due = a.due_ms().unwrap();
    assert_eq!(drive(&mut redis, &mut a, due), [LeaseEvent::Taken { number: 7 }, secret]);
    assert_eq!(redis.say("GET g:lease:7"), Value::Bulk("0000000000000001|größe".as_bytes().into()));
    let refused =
        LeaseEvent::Refused { number: 7, holder: Holder { incarnation: Some(1), name: "größe".into() } };
    assert_eq!(drive(&mut redis, &mut b, 0), [refused]);
    redis.say("PEXPIRE g:lease:7 300000");
    assert_eq!(drive(&mut redis, &mut a, due + LEASE_MS / 3), []);
    let Value::Int(left_ms) = redis.say("PTTL g:lease:7") else { panic!("it expires") };
    assert!(left_ms > 300_000, "it was renewed: {left_ms}");
    let strange = b.keys.release(7);
    let own = a.release().unwrap();
    for (release, value) in [(strange, 0), (own, 1)] {
        let release: Vec<_> = release.iter().map(Vec::as_slice).collect();
        assert_eq!(redis.run(&release), Value::Int(value));
    }
    assert_eq!(redis.say("EXISTS g:lease:7"), Value::Int(0));
}

#[test]
fn an_emptied_redis_gives_a_number_to_who_held_it_then_and_to_nobody_else() {
    let server = RedisServer::start(&[]);
    let mut redis = Connection::to(&server);
    redis.say(OLD);
    let (mut a, mut b) = (lease("a", 1), lease("b", 2));
    drive(&mut redis, &mut a, 0);
    // One that held it, and whose lease was over before.
    let mut stale = a.carry();
    (stale.incarnation, stale.ran_until) = (3, 2_000);
    let mut c = Lease::going_on(&settings("c"), &stale, [3; 32]);
    c.connected();
    redis.say("FLUSHALL");
    for other in [&mut b, &mut c] {
        let events = drive(&mut redis, other, 0);
        assert!(matches!(events[..], [LeaseEvent::Waits { .. }]), "{events:?}");
    }
    let events = drive(&mut redis, &mut a, LEASE_MS / 3);
    assert!(matches!(events[..], [LeaseEvent::Taken { number: 7 }]), "{events:?}");
    assert_eq!(redis.say("EXISTS g:secret g:born g:lease:7"), Value::Int(3));
}

#[test]
fn a_redis_whose_clock_was_set_back_waits_no_longer_than_a_new_one() {
    let server = RedisServer::start(&[]);
    let mut redis = Connection::to(&server);
    redis.say("SET g:born 99999999999999");
    let events = drive(&mut redis, &mut lease("a", 1), 0);
    assert_eq!(events, [LeaseEvent::Waits { ms: 2 * LEASE_MS }]);
}

#[test]
fn a_redis_without_memory_renews_and_gives_no_number() {
    let server = RedisServer::start(&[]);
    let mut redis = Connection::to(&server);
    redis.say(OLD);
    let (mut a, mut b) = (lease("a", 1), lease("b", 2));
    drive(&mut redis, &mut a, 0);
    redis.say("CONFIG SET maxmemory 1");
    a.disconnected();
    a.connected();
    assert_eq!(drive(&mut redis, &mut a, 10), []);
    assert!(a.is_held(10 + LEASE_MS / 2));
    b.pinned = Some(8);
    let events = drive(&mut redis, &mut b, 0);
    let [LeaseEvent::Failed(LeaseFault::Refused(error))] = &events[..] else { panic!("{events:?}") };
    assert!(error.starts_with("OOM"), "{error}");
}
