//! Real processes at the other end, which end, hang and lie.

use super::roles::{start, start_shell};
use super::{COUNTS, PATIENCE, borrowed, hello, marked};
use crate::upgrade::{Cause, Child, Counts, MAX_DESCRIPTORS, Sink, Start, Token, Totals};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Enough for a message, and less than a process that sleeps.
const SHORT: Duration = Duration::from_millis(200);

/// What a fault says that a shell with this script causes before it is ready.
fn end_of(script: &str) -> String {
    let (mut child, mut line) = start_shell(script, OsString::new());
    let fault = line.receive_ready().unwrap_err();
    child.explain(fault, &line).to_string()
}

/// A role as a process of its own, without a stream.
fn role(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--nocapture", "--exact", &format!("upgrade::tests::roles::{name}")]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// What the role, or the one that it has started, says.
fn outcome(role: &mut Command) -> String {
    let output = role.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let found = text.split_once("outcome: ").map(|(_, rest)| rest.lines().next().unwrap_or_default());
    found.unwrap_or_else(|| panic!("no outcome in {text}")).to_owned()
}

#[test]
fn ten_thousand_descriptors_cross_and_the_token_behind_them() {
    let (mut child, mut line) = start("takes_over", "");
    line.send_hello(&hello()).unwrap();
    assert_eq!(line.receive_ready().unwrap().version, "0.2.0");
    let listener = marked("clients");
    line.send_listeners(&[("clients", listener.as_fd())]).unwrap();
    let mut token = Token::new().unwrap();
    line.send_token(&token).unwrap();
    // The same files again and again: each arrival is a descriptor of its own.
    let files: Vec<OwnedFd> = (0..MAX_DESCRIPTORS).map(|at| marked(&at.to_string())).collect();
    let files = borrowed(&files);
    let mut sink = Sink::live(line);
    let mut left = 10_000;
    for part in 0.. {
        let count = MAX_DESCRIPTORS.min(left);
        if count == 0 {
            break;
        }
        sink.batch(part, &files[..count], &vec![part as u8; 200 * count]).unwrap();
        left -= count;
    }
    sink.end(COUNTS).unwrap();
    assert_eq!(sink.totals(), Totals { batches: 40, descriptors: 10_000, bytes: 2_000_000 });
    let line = sink.line().unwrap();
    assert_eq!(line.receive_taken().unwrap(), Counts { connections: 10_000, ..COUNTS });
    token.offer().unwrap();
    line.receive_serving().unwrap();
    assert!(!token.take().unwrap());
    assert!(child.wait_until(Instant::now() + PATIENCE).unwrap().success());
}

#[test]
fn a_process_that_may_open_too_few_files_says_so() {
    let (mut child, mut line) = start("takes_few", "");
    line.send_hello(&hello()).unwrap();
    let file = marked("one");
    let mut sink = Sink::live(line);
    sink.batch(0, &[file.as_fd(); MAX_DESCRIPTORS], b"state").unwrap();
    let said = sink.end(COUNTS).unwrap_err().to_string();
    let begins = "the new process refused: 253 descriptors came from the old process, and ";
    assert!(
        said.starts_with(begins) && said.ends_with(" arrived: is the limit of open files too low?"),
        "{said}"
    );
    assert!(child.wait_until(Instant::now() + PATIENCE).unwrap().success());
}

#[test]
fn a_process_that_ends_before_it_is_ready_is_named_with_its_status() {
    let hint = "before it was ready: is it a gannet that can take over?";
    assert_eq!(end_of("exit 2"), format!("the new process ended with status 2 {hint}"));
    assert_eq!(end_of("kill -9 $$"), format!("the new process ended with signal 9 {hint}"));
    assert_eq!(
        end_of("exec <&-; exec /bin/sleep 1000"),
        format!("the new process ended with signal 9 {hint}")
    );
}

#[test]
fn the_end_of_a_process_is_seen_though_another_has_its_stream() {
    // cat has it, and ends with it.
    let said = end_of("/bin/cat <&0 >/dev/null & exit 4");
    assert!(said.starts_with("the new process ended with status 4 before"), "{said}");
}

#[test]
fn a_process_that_ends_in_the_middle_is_named_with_its_status() {
    let (mut child, mut line) = start("ends_in_the_middle", "");
    line.send_hello(&hello()).unwrap();
    line.receive_ready().unwrap();
    line.set_step("sending");
    let mut sink = Sink::live(line);
    let state = vec![0; 1 << 20];
    let fault = loop {
        if let Err(fault) = sink.batch(0, &[], &state) {
            break fault;
        }
    };
    let said = child.explain(fault, sink.line().unwrap()).to_string();
    assert_eq!(said, "sending: the new process ended with status 3");
    assert_eq!(child.has_ended().and_then(|status| status.code()), Some(3));
}

#[test]
fn a_process_that_hangs_is_given_up_at_the_deadline() {
    let (mut child, mut line) = start_shell("exec /bin/sleep 1000", OsString::new());
    line.set_deadline(Instant::now() + SHORT);
    line.set_step("starting");
    assert_eq!(
        line.receive_ready().unwrap_err().to_string(),
        "starting: the new process did not answer in time"
    );
    // Nor does it read.
    let mut sink = Sink::live(line);
    assert!(matches!(sink.batch(0, &[], &vec![0; 64 << 20]).unwrap_err().cause, Cause::TimedOut));
    assert_eq!(child.has_ended(), None);
    assert!(Path::new(&format!("/proc/{}", child.pid())).exists());
    child.kill_and_wait().unwrap();
    child.kill_and_wait().unwrap();
    assert!(!Path::new(&format!("/proc/{}", child.pid())).exists());
}

#[test]
fn a_process_does_not_find_what_it_shall_not() {
    assert!(std::env::var_os("PATH").is_some());
    let said = end_of("/usr/bin/env | /bin/grep -q ^PATH= && exit 1; exit 7");
    assert!(said.starts_with("the new process ended with status 7 "), "{said}");
}

#[test]
fn a_program_that_is_not_there_is_not_started() {
    let start = Start { program: Path::new("/nonexistent/gannet"), arguments: &[], without: &[] };
    assert_eq!(Child::start(&start).unwrap_err().kind(), std::io::ErrorKind::NotFound);
}

#[test]
fn one_of_two_processes_takes_the_token() {
    let (mut child, mut line) = start("takes_tokens", "");
    for round in 0..1_000 {
        let mut token = Token::new().unwrap();
        // Before or after the other one has it.
        if round % 2 == 0 {
            token.offer().unwrap();
        }
        line.send_token(&token).unwrap();
        token.offer().unwrap();
        let is_mine = token.take().unwrap();
        let Counts { sessions: theirs, .. } = line.receive_taken().unwrap();
        // The other one may have looked before the offer.
        let is_left = token.take().unwrap();
        assert_eq!(u64::from(is_mine) + theirs + u64::from(is_left), 1);
    }
    line.send_bye().unwrap();
    assert!(child.wait_until(Instant::now() + PATIENCE).unwrap().success());
}

#[test]
fn the_new_process_serves_when_the_old_one_has_died() {
    let dies =
        |at: &str, how: &str| outcome(role("hands_over").env("HANDS_OVER", how).env("DIE_AT_STEP", at));
    assert_eq!(dies("old:taken", "offers"), "serves, since the old process has died");
    assert_eq!(dies("old:token", "offers"), "serves");
}

#[test]
fn the_new_process_does_not_serve_while_the_old_one_lives() {
    let said = outcome(role("hands_over").env("HANDS_OVER", "closes"));
    assert_eq!(said, "the old process called it off");
}

#[test]
fn the_new_process_gives_up_when_the_old_one_hangs() {
    let mut command = role("hands_over");
    command.env("HANDS_OVER", "offers").env("DIE_AT_STEP", "old:taken=hang").env("WAITS_MS", "500");
    let mut old = command.spawn().unwrap();
    let mut text = String::new();
    let mut output = BufReader::new(old.stdout.take().unwrap());
    while !text.contains("outcome: the old process did not answer in time") {
        assert!(output.read_line(&mut text).unwrap() > 0, "{text}");
    }
    old.kill().unwrap();
    old.wait().unwrap();
    output.read_to_string(&mut text).unwrap();
}

#[test]
fn a_process_without_a_stream_is_told_what_passes_one() {
    assert_eq!(
        outcome(&mut role("takes_over")),
        "cannot take over: standard input is no such stream; `gannet upgrade` passes one"
    );
}

#[test]
fn a_process_dies_or_stops_at_the_steps_that_it_is_told() {
    let run = |steps: &str| role("passes_steps").env("DIE_AT_STEP", steps).output().unwrap();
    assert_eq!(outcome(role("passes_steps").env("DIE_AT_STEP", "third,firs,first2")), "passed");
    assert_eq!(run("third,second").status.signal(), Some(9));

    let mut stopped = role("passes_steps").env("DIE_AT_STEP", "first=hang").spawn().unwrap();
    let pid = Pid::from_child(&stopped);
    let (_, status) = waitpid(Some(pid), WaitOptions::UNTRACED).unwrap().unwrap();
    assert_eq!(status.stopping_signal(), Some(Signal::STOP.as_raw()));
    kill_process(pid, Signal::CONT).unwrap();
    assert!(stopped.wait().unwrap().success());
}
