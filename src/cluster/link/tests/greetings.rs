//! The greeting with the answers of several kinds of Redis, without a socket.

use super::super::super::fault::{Fault, FaultKind};
use super::super::super::resp::{Frame, Parser, ParserLimits, Value};
use super::super::greeting::{Greeting, Introduction};
use super::super::route::{Directory, Route};
use crate::config::{Cluster, Shard};
use std::sync::Arc;

const HELLO: &str = "%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$5\r\nproto\r\n:3\r\n$2\r\nid\r\n:12\r\n\
    $4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n";
const INFO: &str = "=49\r\ntxt:# Server\r\nredis_version:7.0.15\r\nrun_id:ab12\r\n\r\n";
const PONG: &str = "+PONG\r\n";
const OK: &str = "+OK\r\n";

fn values(wire: &str) -> Vec<Value> {
    let mut parser = Parser::new(ParserLimits { max_frame_bytes: 4_096, max_depth: 8 });
    parser.room(wire.len())[..wire.len()].copy_from_slice(wire.as_bytes());
    parser.filled(wire.len());
    let frames = std::iter::from_fn(|| parser.next().unwrap());
    let values: Vec<_> = frames
        .map(|frame| match frame {
            Frame::Value(value) => value,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(parser.held_bytes(), 0, "{wire:?} is whole");
    values
}

/// What comes of the answers, and what was asked, a command a line.
fn greet(
    url: &str,
    before: Option<&Greeting>,
    answers: &[&str],
) -> (Result<Option<Greeting>, Fault>, String) {
    let route = Route::to(Arc::new(url.parse().unwrap()), Arc::default());
    greet_on(&route, before, answers)
}

fn greet_on(
    route: &Route,
    before: Option<&Greeting>,
    answers: &[&str],
) -> (Result<Option<Greeting>, Fault>, String) {
    let mut out = Vec::new();
    let mut introduction = Introduction::begin(route, before, &mut out);
    let mut last = Ok(None);
    for answer in values(&answers.concat()) {
        last = introduction.answer(&answer, &mut out);
        if !matches!(last, Ok(None)) {
            break;
        }
    }
    let words = |command: Value| match command {
        Value::List(words) => {
            let words = words.iter().map(|word| String::from_utf8(word.bytes().unwrap().to_vec()).unwrap());
            words.collect::<Vec<_>>().join(" ")
        }
        other => panic!("{other:?}"),
    };
    let asked: Vec<_> = values(std::str::from_utf8(&out).unwrap()).into_iter().map(words).collect();
    (last, asked.join("\n"))
}

fn greeting(client_id: i64, run_id: &str, is_same: bool) -> Greeting {
    Greeting { client_id, version: "7.0.15".into(), run_id: run_id.into(), is_cluster: false, is_same }
}

#[test]
fn a_redis_that_is_met_for_the_first_time_is_asked_who_it_is() {
    let (result, asked) = greet("redis://h", None, &[HELLO, PONG, INFO]);
    assert_eq!(result, Ok(Some(greeting(12, "ab12", false))));
    assert_eq!(asked, "HELLO 3 SETNAME gannet\nPING\nINFO server");
}

#[test]
fn login_and_database_are_those_of_the_url() {
    let (result, asked) = greet("redis://u:p%20w@h/3", None, &[HELLO, OK, PONG, INFO]);
    assert_eq!(result, Ok(Some(greeting(12, "ab12", false))));
    assert_eq!(asked, "HELLO 3 AUTH u p w SETNAME gannet\nSELECT 3\nPING\nINFO server");
    let (_, asked) = greet("redis://:pw@h", None, &[HELLO]);
    assert!(asked.starts_with("HELLO 3 AUTH default pw SETNAME gannet\n"), "{asked}");
}

#[test]
fn the_old_connection_to_the_same_process_is_killed_before_the_new_one_is_up() {
    let before = greeting(5, "ab12", false);
    let (result, asked) = greet("redis://h", Some(&before), &[HELLO, PONG, INFO]);
    assert_eq!(result, Ok(None));
    assert!(asked.ends_with("\nCLIENT KILL ID 5"), "{asked}");
    for answer in [":1\r\n", "-ERR No such client\r\n"] {
        let (result, _) = greet("redis://h", Some(&before), &[HELLO, PONG, INFO, answer]);
        assert_eq!(result, Ok(Some(greeting(12, "ab12", true))));
    }
    let other = greeting(5, "cd34", true);
    let (result, asked) = greet("redis://h", Some(&other), &[HELLO, PONG, INFO]);
    assert_eq!(result, Ok(Some(greeting(12, "ab12", false))), "another process has not had it");
    assert!(!asked.contains("KILL"), "{asked}");
}

#[test]
fn a_server_of_a_redis_cluster_is_asked_for_the_slot_and_says_who_has_it() {
    let config = Cluster { prefix: "p".to_owned(), ..Cluster::default() };
    let url = "redis://h".parse::<crate::config::RedisUrl>().unwrap().of_shard(Shard { number: 0, of: 1 });
    let part = Route::to(Arc::new(url), Arc::new(Directory::of(&config)));
    let hello = HELLO.replace("$10\r\nstandalone", "$7\r\ncluster");
    for here in ["$-1\r\n", "$1\r\n7\r\n", "-ASK 7 h:1\r\n"] {
        let (result, asked) = greet_on(&part, None, &[&hello, PONG, INFO, here]);
        assert!(result.unwrap().unwrap().is_cluster);
        assert_eq!(asked, "HELLO 3 SETNAME gannet\nPING\nINFO server\nGET {0}p:born");
    }
    let replica = hello.replace("$6\r\nmaster", "$7\r\nreplica");
    for hello in [&hello, &replica] {
        let (result, _) = greet_on(&part, None, &[hello, PONG, INFO, "-MOVED 7 i:7000\r\n"]);
        assert_eq!(result.unwrap_err().moved_to(), Some(("i", 7000)));
    }
    for (answers, says) in [
        ([&hello, PONG, INFO, "-CLUSTERDOWN Hash slot not served\r\n"], "its cluster is down"),
        ([HELLO, PONG, INFO, "$-1\r\n"], "take cluster.shards out"),
    ] {
        let fault = greet_on(&part, None, &answers).0.unwrap_err();
        assert!(fault.to_string().contains(says), "{fault}");
    }
    let (result, _) = greet("redis://h", None, &[&hello, PONG, INFO]);
    assert!(result.unwrap_err().to_string().contains("set cluster.shards"));
    // The old connection is killed where the process is the same.
    let before = greeting(5, "ab12", false);
    let (result, asked) = greet_on(&part, Some(&before), &[&hello, PONG, INFO, "$-1\r\n"]);
    assert!(matches!(result, Ok(None)) && asked.ends_with("\nCLIENT KILL ID 5"), "{asked}");
}

#[test]
fn a_redis_that_is_of_no_use_is_a_fault_by_its_cause() {
    let replica = HELLO.replace("$6\r\nmaster", "$7\r\nreplica");
    let sentinel = HELLO.replace("$10\r\nstandalone", "$8\r\nsentinel");
    let echoed = "-ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `u`, `hunter2`, \r\n";
    let syntax = "-ERR Syntax error in HELLO option 'hunter2'\r\n";
    for (answers, kind, advice) in [
        (&[replica.as_str()][..], FaultKind::Replica, "name the primary"),
        (&[&sentinel], FaultKind::Replica, "name the primary"),
        (&[echoed], FaultKind::TooOld, "Redis 6 or newer"),
        (&["-NOPROTO unsupported protocol version\r\n"], FaultKind::TooOld, "Redis 6 or newer"),
        (&[syntax], FaultKind::Error, "HELLO with the error ERR"),
        (&["-NOAUTH HELLO must be called with\r\n"], FaultKind::Password, "write one into the URL"),
        (&["-WRONGPASS invalid username-password pair\r\n"], FaultKind::Password, "user or password"),
        (&["-NOPERM this user has no permissions\r\n"], FaultKind::Password, "allow it"),
        (&["-DENIED Redis is running in protected mode\r\n"], FaultKind::Password, "give it a password"),
        (&["-ERR max number of clients reached\r\n"], FaultKind::Refused, "raise its maxclients"),
        (&["-LOADING Redis is loading\r\n"], FaultKind::Loading, "tried again"),
        (&["+OK\r\n"], FaultKind::Protocol, "not that of a Redis"),
        (&["%0\r\n"], FaultKind::Protocol, "not that of a Redis"),
        (
            &[HELLO, "-ERR DB index is out of range\r\n"],
            FaultKind::Error,
            "SELECT with an error: ERR DB index",
        ),
        (&[HELLO, OK, "-LOADING Redis is loading\r\n"], FaultKind::Loading, "tried again"),
        (&[HELLO, OK, PONG, "-NOPERM no permissions to run\r\n"], FaultKind::Password, "INFO: allow it"),
        (&[HELLO, OK, PONG, "$2\r\nab\r\n"], FaultKind::Protocol, "no run_id"),
        (&[HELLO, OK, PONG, "_\r\n"], FaultKind::Protocol, "no run_id"),
    ] {
        let (result, _) = greet("redis://u:hunter2@h/1", None, answers);
        let fault = result.expect_err(answers.last().unwrap());
        assert_eq!(fault.kind(), kind, "{answers:?}: {fault}");
        assert!(fault.to_string().contains(advice), "{fault}");
        assert!(!fault.to_string().contains("hunter2"), "{fault}");
    }
    let before = greeting(5, "ab12", false);
    let (result, _) = greet("redis://h", Some(&before), &[HELLO, PONG, INFO, "-NOPERM no permissions\r\n"]);
    assert_eq!(result.unwrap_err().kind(), FaultKind::Password);
}

#[test]
fn a_redis_that_cannot_write_to_its_disk_is_up() {
    let (result, _) = greet("redis://h", None, &[HELLO, "-MISCONF Errors writing to the AOF file\r\n", INFO]);
    assert_eq!(result, Ok(Some(greeting(12, "ab12", false))));
}
