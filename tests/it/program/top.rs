//! `gannet top` on a terminal, against servers that come and go.

use super::terminal::Terminal;
use super::{gannet, said};
use crate::support::*;
use rustix::process::Signal;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

const SIZE: (u16, u16) = (120, 36);
const APPS: &str = "[apps.chess]\n[apps.default]\nper_user = { max = 1, policy = 'refuse' }\n";

fn top(server: &ServerProcess, args: &[&str]) -> Terminal {
    Terminal::run(&[&["top", "--backend", &server.backend.to_string()], args].concat(), SIZE)
}

#[test]
fn a_server_is_seen_as_it_is_and_keys_choose() {
    let server = ServerProcess::start(&["--reactors", "2"], APPS);
    let mut players: Vec<_> =
        (0..3).map(|number| server.player(&format!("user=u{number}&group=red"))).collect();
    let _other = server.try_player("/ws/chess?user=eve&group=board:1").unwrap();
    let terminal = top(&server, &[]);
    let screen = terminal.is_as("sessions, apps and groups", |screen| {
        ["4 sessions", "red", "board:1", "chess", "default"].iter().all(|part| screen.contains(part))
    });
    assert!(screen.contains(&format!("process {}", server.pid())), "{screen}");
    // A second session is refused, and a push finds nobody.
    assert!(server.try_player("/ws?user=u0").is_err());
    server.backend().push_text("user=nobody", "hello");
    terminal.is_as("reasons", |screen| screen.contains("refused, user") && screen.contains("offline"));
    server.backend().push_text("user=u0", "hello");
    assert_eq!(players[0].recv_text(), "hello");

    terminal.presses("?");
    terminal.shows("sort the apps: sessions, behind, pushes, in, name");
    terminal.presses("Escape");
    terminal.is_as("no help", |screen| !screen.contains("sort the apps:"));
    // Their names in order: chess is the first.
    (0..4).for_each(|_| terminal.presses("s"));
    terminal.is_as("by name", |screen| {
        let at = |name: &str| screen.lines().position(|line| line.starts_with(&format!("│ {name} ")));
        screen.contains("app▾") && at("chess") < at("default")
    });
    terminal.presses("Enter");
    let picked = terminal.is_as("chess alone", |screen| {
        screen.contains("app chess") && screen.contains("1 sessions") && !screen.contains(" red ")
    });
    assert!(picked.contains("*chess"), "{picked}");
    terminal.presses("a");
    terminal.shows("all apps");
    terminal.presses("q");
    assert_eq!(terminal.ended().0, 0);
    assert!(terminal.is_plain());
}

#[test]
fn a_server_that_goes_away_is_said_and_comes_back_by_itself() {
    let port = ClosedPort::new();
    let backend = port.address().to_string();
    let terminal = Terminal::run(&["top", "--backend", &backend], SIZE);
    terminal.shows("cannot reach");
    drop(port);
    let serve =
        || ServerProcess::start_at(&["--listen", "127.0.0.1:0", "--backend", &backend, "--reactors", "1"]);
    let first = serve();
    terminal.shows(&format!("process {}", first.pid()));
    first.signal(Signal::KILL);
    let away = terminal.shows("no answer for");
    assert!(away.contains("away") && away.contains(&format!("process {}", first.pid())), "{away}");
    drop(first);
    let second = serve();
    let back = terminal.shows(&format!("process {}", second.pid()));
    assert!(!back.contains("no answer for"), "{back}");
    terminal.presses("q");
    assert_eq!(terminal.ended().0, 0);
}

#[test]
fn the_terminal_is_given_back_on_every_way_out() {
    let server = ServerProcess::start(&["--reactors", "1"], "");
    for key in ["q", "Escape", "C-c", "C-d"] {
        let terminal = top(&server, &[]);
        terminal.shows(&format!("process {}", server.pid()));
        assert!(!terminal.is_plain(), "it takes the whole screen");
        terminal.presses(key);
        assert_eq!(terminal.ended().0, 0, "{key}");
        assert!(terminal.is_plain(), "{key}");
    }
    let terminal = top(&server, &[]);
    terminal.shows(&format!("process {}", server.pid()));
    terminal.terminates("top");
    assert_eq!(terminal.ended().0, 0);
    assert!(terminal.is_plain());

    // A terminal that goes away takes it along: the process is no more, or waits for its parent to see that.
    let terminal = top(&server, &[]);
    terminal.shows(&format!("process {}", server.pid()));
    let program = terminal.program("top").as_raw_nonzero();
    drop(terminal);
    let is_running = || {
        let stat = std::fs::read_to_string(format!("/proc/{program}/stat")).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.starts_with(" Z"))
    };
    until("it has ended with its terminal", || !is_running());

    let (code, _, error) = said(&gannet(&["top", "--backend", &server.backend.to_string()]));
    assert_eq!((code, error.contains("needs a terminal")), (1, true), "{error}");
}

/// Answers requests as an old server, which has no stream, or as one of which the test has made up the stream.
fn answer(stream: Option<&'static str>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                match connection.read(&mut byte) {
                    Ok(1) => asked.push(byte[0]),
                    _ => break,
                }
            }
            let asked = String::from_utf8(asked).unwrap();
            let path = asked.split(' ').nth(1).unwrap_or_default();
            if let (Some(events), "/v1/stats/stream") = (stream, path) {
                let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
                let _ = connection.write_all(format!("{head}{events}").as_bytes());
                // It stays open for as long as the test runs: nothing more comes, which is no end.
                std::mem::forget(connection);
                continue;
            }
            let (status, body) = match path.split('?').next().unwrap_or_default() {
                "/v1/stats" => (
                    "200 OK",
                    r#"{"version":"0.1.0","pid":4711,"uptime_seconds":7,"sessions":77,"reactors":3}"#,
                ),
                "/v1/apps" => ("200 OK", r#"{"apps":[{"app":"old","sessions":77}],"next":null}"#),
                "/v1/groups" => ("200 OK", r#"{"groups":[{"group":"guild","sessions":70}],"next":null}"#),
                "/v1/sessions" => (
                    "200 OK",
                    r#"{"sessions":[{"session":"00a0000000000001","app":"old","user":"ada","queued_messages":5,"queued_bytes":4000}],"next":null}"#,
                ),
                _ => ("404 Not Found", "{}"),
            };
            let length = body.len();
            let _ = write!(connection, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
        }
    });
    address
}

#[test]
fn an_older_server_is_asked_and_one_with_a_stream_tells() {
    let old = Terminal::run(&["top", "--backend", &answer(None)], SIZE);
    let screen = old.is_as("what an old server knows", |screen| {
        let parts =
            ["gannet 0.1.0", "77 sessions", "asked each second", "guild", "00a0000000000001", "4.0 kB"];
        parts.iter().all(|part| screen.contains(part))
    });
    assert!(screen.contains("not told by this server"), "{screen}");

    let events = "event: hello\ndata: {\"version\":\"0.3.0\",\"pid\":12,\"reactors\":2,\"apps\":[\"chess\"]}\n\n\
        event: history\ndata: {}\n\n: a comment\n\nevent: tick\ndata: {\"unix_ms\":9,\"ms\":1000,\"ready\":false,\"why\":\"draining\",\
        \"sessions\":5,\"reactors\":{\"sessions\":[2,3],\"busy\":[0.25,0.99],\"turn_p99_us\":[10,20]},\
        \"dropped\":{\"too_slow\":4},\"apps\":{\"chess\":{\"sessions\":5,\"pushes\":250}}}\n\n\
        event: behind\ndata: {\"sessions\":[{\"session\":\"00b0000000000001\",\"app\":\"chess\",\"user\":null,\
        \"queued_messages\":9,\"queued_bytes\":100}]}\n\n";
    let new = Terminal::run(&["top", "--backend", &answer(Some(events))], SIZE);
    new.is_as("what the stream tells", |screen| {
        let parts = ["gannet 0.3.0", "draining", "99 %", "dropped, too_slow", "250", "00b0000000000001"];
        parts.iter().all(|part| screen.contains(part)) && !screen.contains("asked each second")
    });
}
