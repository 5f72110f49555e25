//! What other processes do in [`super::processes`]: this test binary, started with one of these as its only test. By
//! itself, a role finds no stream and ends.

use super::{COUNTS, PATIENCE, ROOM, hello, mark_of, marked};
use crate::upgrade::{Cause, Child, Counts, Line, Ready, Sink, Source, Start, Token, step};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::ffi::OsString;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

/// How old and new processes are started, with this before the program: variables, or nothing.
pub(super) fn start(role: &str, before: &str) -> (Child, Line) {
    start_with_output(role, before, ">/dev/null")
}

fn start_with_output(role: &str, before: &str, output: &str) -> (Child, Line) {
    let program = std::env::current_exe().unwrap();
    let role = format!("upgrade::tests::roles::{role}");
    let script = format!("{before} exec \"$0\" --ignored --nocapture --exact {role} {output}");
    start_shell(&script, program.as_os_str().to_owned())
}

/// A shell with a script, whose `$0` is a program.
pub(super) fn start_shell(script: &str, program: OsString) -> (Child, Line) {
    let arguments = ["-c".into(), script.into(), program];
    let start = Start { program: Path::new("/bin/sh"), arguments: &arguments, without: &["PATH"] };
    let (child, mut line) = Child::start(&start).unwrap();
    line.set_deadline(Instant::now() + PATIENCE);
    (child, line)
}

/// The line to the process that has started this one, if one has.
fn line() -> Option<Line> {
    let patience = std::env::var("WAITS_MS").ok().and_then(|ms| ms.parse().ok()).map(Duration::from_millis);
    match Line::inherited() {
        Ok(mut line) => {
            line.set_deadline(Instant::now() + patience.unwrap_or(PATIENCE));
            Some(line)
        }
        Err(fault) => {
            println!("outcome: {fault}");
            None
        }
    }
}

fn ready() -> Ready {
    Ready { version: "0.2.0".to_owned(), formats: hello().formats, reactors: 1, notes: Vec::new() }
}

#[test]
#[ignore = "a role of other tests"]
fn takes_over() {
    let Some(mut line) = line() else { return };
    assert_eq!(std::fs::read_link("/proc/self/fd/0").unwrap(), Path::new("/dev/null"));
    step("new:started");
    assert_eq!(line.receive_hello().unwrap(), hello());
    line.send_ready(&ready()).unwrap();
    step("new:ready");
    let Some(listeners) = line.receive_listeners().unwrap() else { return };
    assert_eq!(listeners.iter().map(|(_, listener)| mark_of(listener)).collect::<Vec<_>>(), ["clients"]);
    let token = line.receive_token().unwrap();
    step("new:listeners");

    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let (mut source, mut all) = (Source::live(line, ROOM), Vec::new());
    while let Some(batch) = source.next().unwrap() {
        assert_eq!(batch.state, vec![batch.part as u8; 200 * batch.descriptors.len()]);
        for (at, descriptor) in batch.descriptors.iter().enumerate() {
            assert_eq!(mark_of(descriptor), at.to_string());
        }
        all.extend(batch.descriptors);
    }
    assert_eq!(source.totals().descriptors, all.len() as u64);
    step("new:restored");
    let line = source.line().unwrap();
    line.send_taken(Counts { connections: all.len() as u64, ..COUNTS }).unwrap();
    step("new:taken");
    match line.take(&token) {
        Ok(()) => println!("outcome: serves"),
        Err(fault) if fault.is_lost() => return println!("outcome: serves, since the old process has died"),
        Err(fault) => return println!("outcome: {fault}"),
    }
    step("new:token");
    // The old process may be dead already.
    let _ = line.send_serving();
}

/// An old process without sockets, for tests in which it dies. What it does is in its environment.
#[test]
#[ignore = "a role of other tests"]
fn hands_over() {
    let Ok(how) = std::env::var("HANDS_OVER") else { return };
    let (mut child, mut line) = start_with_output("takes_over", "", "");
    line.send_hello(&hello()).unwrap();
    line.receive_ready().unwrap();
    let listener = marked("clients");
    line.send_listeners(&[("clients", listener.as_fd())]).unwrap();
    let mut token = Token::new().unwrap();
    line.send_token(&token).unwrap();
    let mut sink = Sink::live(line);
    sink.end(COUNTS).unwrap();
    sink.line().unwrap().receive_taken().unwrap();
    step("old:taken");
    if how == "offers" {
        token.offer().unwrap();
    }
    step("old:token");
    // It closes the stream, and lives.
    drop(sink);
    child.wait_until(Instant::now() + PATIENCE).unwrap();
}

#[test]
#[ignore = "a role of other tests"]
fn takes_few() {
    let Some(mut line) = line() else { return };
    line.receive_hello().unwrap();
    setrlimit(Resource::Nofile, Rlimit { current: Some(64), ..getrlimit(Resource::Nofile) }).unwrap();
    let mut source = Source::live(line, ROOM);
    let fault = source.next().unwrap_err();
    assert!(matches!(fault.cause, Cause::Descriptors { announced: 253, arrived: 1..64 }), "{fault}");
    source.line().unwrap().refuse(&fault.to_string()).unwrap();
}

#[test]
#[ignore = "a role of other tests"]
fn ends_in_the_middle() {
    let Some(mut line) = line() else { return };
    line.receive_hello().unwrap();
    line.send_ready(&ready()).unwrap();
    let batch = Source::live(line, ROOM).next().unwrap();
    assert!(batch.is_some());
    std::process::exit(3);
}

#[test]
#[ignore = "a role of other tests"]
fn takes_tokens() {
    let Some(mut line) = line() else { return };
    while let Ok(token) = line.receive_token() {
        let sessions = u64::from(token.take().unwrap());
        line.send_taken(Counts { sessions, ..COUNTS }).unwrap();
    }
}

#[test]
#[ignore = "a role of other tests"]
fn passes_steps() {
    step("first");
    step("second");
    println!("outcome: passed");
}
