//! Links that break, and come back.

use super::super::super::fault::FaultKind;
use super::super::super::redis_server::RedisServer;
use super::super::super::resp::Value;
use super::super::NotTaken;
use super::world::{LIMITS, Seen, World};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

#[test]
fn a_redis_that_was_killed_and_started_again_is_another_one() {
    let mut redis = RedisServer::start(&[]);
    let mut world = World::new(LIMITS);
    let (link, first) = world.up(&redis.url());
    redis.kill();
    assert!(matches!(world.next(link), Seen::Down(FaultKind::Closed, _)));
    assert!(!world.links[link].is_up());
    assert_eq!(world.links[link].publish(b"c", &[]), Err(NotTaken::Down));
    for _ in 0..3 {
        assert!(matches!(world.next(link), Seen::Failed(FaultKind::Refused, _)), "it goes on trying");
    }
    redis.start_again();
    let second = world.until_up(link);
    assert!(!second.is_same && second.run_id != first.run_id, "{second:?}");
    assert_eq!(world.ask(link, &["PUBLISH", "c", "x"]), Value::Int(0));
}

#[test]
fn a_link_that_redis_cuts_comes_back_to_the_same_redis() {
    let redis = RedisServer::start(&[]);
    let mut world = World::new(LIMITS);
    let ((cut, first), (other, _)) = (world.up(&redis.url()), world.up(&redis.url()));
    let kill = ["CLIENT", "KILL", "ID", &first.client_id.to_string()];
    assert_eq!(world.ask(other, &kill), Value::Int(1));
    assert!(matches!(world.next(cut), Seen::Down(FaultKind::Closed, _)));
    let second = world.until_up(cut);
    assert!(second.is_same && second.run_id == first.run_id && second.client_id != first.client_id);
}

#[test]
fn a_redis_that_stands_still_is_silent_and_what_it_held_is_not_executed_when_the_link_is_up_again() {
    let redis = RedisServer::start(&[]);
    let mut world = World::new(LIMITS);
    let (link, first) = world.up(&redis.url());
    redis.freeze();
    world.links[link].command(&[b"INCR", b"k"]).unwrap();
    world.turn_once();
    assert_eq!(world.links[link].next(), None, "nothing has passed yet");
    world.passed_ms += LIMITS.silent_ms;
    assert!(matches!(world.next(link), Seen::Down(FaultKind::Silent, _)));
    assert_eq!(world.links[link].unanswered(), 0, "nobody knows whether it will be executed");
    // The kernel takes the connection in its place, and nothing answers.
    world.until_greeting(link);
    world.passed_ms += LIMITS.connect_ms;
    assert!(matches!(world.next(link), Seen::Failed(FaultKind::Silent, _)));
    redis.thaw();
    let second = world.until_up(link);
    assert!(second.is_same);
    let list = world.ask(link, &["CLIENT", "LIST"]);
    let list = String::from_utf8(list.bytes().unwrap().to_vec()).unwrap();
    assert!(!list.contains(&format!("id={} ", first.client_id)), "{list}");
}

#[test]
fn what_came_while_this_process_stood_still_is_no_silence() {
    let redis = RedisServer::start(&[]);
    let mut world = World::new(LIMITS);
    let (link, _) = world.up(&redis.url());
    world.links[link].command(&[b"ECHO", b"x"]).unwrap();
    let now_ms = world.now_ms();
    world.links[link].flush(now_ms);
    // The answer is in the socket before the link is asked again, much later.
    let mut events = mio::Events::with_capacity(4);
    loop {
        world.poll.poll(&mut events, None).unwrap();
        if events.iter().any(|event| event.is_readable()) {
            break;
        }
    }
    world.passed_ms += 10 * LIMITS.silent_ms;
    assert!(world.links[link].due_ms().unwrap() <= world.now_ms());
    assert_eq!(world.next(link), Seen::Reply(Value::Bulk(b"x"[..].into())));
    assert!(world.links[link].is_up());
}

#[test]
fn a_link_to_which_nothing_is_owed_is_never_silent() {
    let redis = RedisServer::start(&[]);
    let mut world = World::new(LIMITS);
    let (link, _) = world.up(&redis.url());
    assert_eq!(world.links[link].due_ms(), None);
    world.ask(link, &["PING"]);
    assert_eq!(world.links[link].due_ms(), None);
    world.links[link].subscribe([&b"c"[..]]).unwrap();
    world.turn_once();
    assert!(world.links[link].due_ms().is_some() || world.links[link].unconfirmed() == 0);
    assert_eq!(world.next(link), Seen::Subscribed("c".to_owned()));
    assert_eq!(world.links[link].due_ms(), None);
}

/// A server that takes one connection, says each of these when it has read so many commands in all, and ends it.
fn fake(says: &[(usize, &str)]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let says: Vec<_> = says.iter().map(|(asked, says)| (*asked, (*says).to_owned())).collect();
    thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let (mut read, mut buffer) = (Vec::new(), [0; 1_024]);
        for (asked, says) in says {
            while read.iter().filter(|byte| **byte == b'*').count() < asked {
                let count = socket.read(&mut buffer).unwrap();
                assert!(count > 0, "the link has ended it");
                read.extend_from_slice(&buffer[..count]);
            }
            socket.write_all(says.as_bytes()).unwrap();
        }
    });
    url
}

const GREETING: &str = "%4\r\n+id\r\n:1\r\n+version\r\n+7.0.0\r\n+mode\r\n+standalone\r\n+role\r\n+master\r\n+PONG\r\n\
    $9\r\nrun_id:ab\r\n";

/// What a link says that is up, and gets these bytes and the end in the place of an answer to one command.
fn answered(says: &str) -> (World, usize) {
    let mut world = World::new(LIMITS);
    let (link, _) = world.up(&fake(&[(3, GREETING), (4, says)]));
    world.links[link].command(&[b"PING"]).unwrap();
    (world, link)
}

#[test]
fn what_came_before_the_end_is_said_before_the_end() {
    let (mut world, link) = answered("+PONG\r\n>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n$5\r\npart");
    assert_eq!(world.next(link), Seen::Reply(Value::Text("PONG".into())));
    assert_eq!(world.next(link), Seen::Message("c".to_owned(), b"x".to_vec()));
    assert!(matches!(world.next(link), Seen::Down(FaultKind::Closed, _)));
}

#[test]
fn what_is_no_answer_ends_the_link() {
    for (says, words) in [
        ("+PONG\r\n:1\r\n", "what it was not asked"),
        ("+PONG\r\n>3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n", "what it was not asked"),
        ("+PONG\r\nnonsense\r\n", "no RESP3"),
        ("+PONG\r\n$9999999\r\n", "larger than it may be"),
    ] {
        let (mut world, link) = answered(says);
        assert_eq!(world.next(link), Seen::Reply(Value::Text("PONG".into())));
        match world.next(link) {
            Seen::Down(FaultKind::Protocol, text) => assert!(text.contains(words), "{says:?}: {text}"),
            other => panic!("{says:?}: {other:?}"),
        }
    }
}

#[test]
fn a_push_that_was_not_asked_for_is_passed_over() {
    let (mut world, link) = answered(">2\r\n+invalidate\r\n_\r\n+PONG\r\n");
    assert_eq!(world.next(link), Seen::Reply(Value::Text("PONG".into())));
}

#[test]
fn what_a_server_says_before_it_hangs_up_is_the_cause() {
    let mut world = World::new(LIMITS);
    let link = world.link(&fake(&[(0, "-ERR max number of clients reached\r\n")]));
    match world.next(link) {
        Seen::Failed(FaultKind::Refused, text) => assert!(text.contains("maxclients"), "{text}"),
        other => panic!("{other:?}"),
    }
    let link = world.link(&fake(&[(3, "")]));
    match world.next(link) {
        Seen::Failed(FaultKind::Closed, text) => assert!(text.contains("rediss://"), "{text}"),
        other => panic!("{other:?}"),
    }
}
