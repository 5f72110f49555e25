//! The log of the real program: nobody waits for it, what it loses is counted, and a file that has been moved away is
//! opened again.

use crate::log_lines::whole_lines;
use crate::raw::{Raw, request};
use crate::support::*;
use rustix::process::Signal;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// A request that is refused, which is a line at the level `debug`.
fn refused(backend: &mut Raw) {
    backend.send(request("GET /v1/nothing-is-here"));
    assert_eq!(backend.answer().status, 404);
}

#[test]
fn a_log_that_nobody_reads_costs_lines_and_nothing_else() {
    let config = "[log]\nlevel = \"debug\"\nqueue_lines = 100\nremembered_clients = 0\n";
    let (server, unread) = ServerProcess::start_unheard(&["--reactors", "1"], config);
    let mut player = server.player("user=ada");
    let mut backend = server.backend();
    let mut refusals = Raw::connect(server.backend);
    // First the pipe fills, then the queue. Each is answered.
    (0..2_000).for_each(|_| refused(&mut refusals));
    for number in 0..100 {
        assert_eq!(backend.push_text("user=ada", &number.to_string()).queued, 1);
        assert_eq!(player.recv_text(), number.to_string());
    }
    until("what was lost is counted", || backend.scrape().sum("gannet_log_lines_lost_total", &[]) >= 500);
    // Somebody reads again: the log goes on, and says what is missing.
    let mut lines = BufReader::new(unread).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("lines of this log are lost")));
}

/// The file that `[log] file = "NAME"` means: it stands beside the configuration.
fn log_of(server: &ServerProcess, name: &str) -> PathBuf {
    server.config().with_file_name(name)
}

fn text(path: &Path) -> String {
    whole_lines(fs::read_to_string(path).unwrap_or_default())
}

#[test]
fn a_file_is_relative_to_the_configuration() {
    let name = format!("gannet-it-relative-{}.log", std::process::id());
    let server = ServerProcess::start(&["--reactors", "1"], &format!("log.file = '{name}'"));
    let log = log_of(&server, &name);
    until("the file is beside the configuration", || log.exists());
    drop(server);
    fs::remove_file(log).unwrap();
}

#[test]
fn a_sighup_ends_nobody_where_no_port_speaks_tls() {
    let server = ServerProcess::start(&["--reactors", "2"], "");
    let mut players: Vec<Player> = (0..4).map(|number| server.player(&format!("user=u{number}"))).collect();
    let mut backend = server.backend();
    for number in 1..=3 {
        server.signal(Signal::HUP);
        until("the signal has been obeyed", || server.said().matches("SIGHUP").count() == number);
        assert_eq!(backend.push_text("all=1", "still here").queued, 4);
    }
    for player in &mut players {
        assert_eq!([(); 3].map(|()| player.recv_text()), ["still here"; 3]);
    }
}

#[test]
fn a_file_that_has_been_moved_away_is_opened_again_at_sighup() {
    let log = std::env::temp_dir().join(format!("gannet-it-rotated-{}.log", std::process::id()));
    let server =
        ServerProcess::start(&["--reactors", "1"], &format!("log = {{ level = 'debug', file = {log:?} }}"));
    let moved = log.with_extension("log.1");
    let player = server.player("");
    let mut refusals = Raw::connect(server.backend);
    refused(&mut refusals);
    until("the first line is in the file", || text(&log).contains("nothing-is-here"));
    fs::rename(&log, &moved).unwrap();
    let before = text(&moved);

    server.signal(Signal::HUP);
    until("the new file has the next line", || text(&log).contains("SIGHUP"));
    refused(&mut refusals);
    until("lines go on in the new file", || text(&log).contains("nothing-is-here"));
    assert_eq!(text(&moved), before, "nothing more goes to the old file");
    // Nobody was dropped.
    assert_eq!(server.backend().push_text("all=1", "still here").queued, 1);
    drop((player, server));
    fs::remove_file(log).unwrap();
    fs::remove_file(moved).unwrap();
}

#[test]
fn json_is_an_object_a_line() {
    let name = format!("gannet-it-json-{}.log", std::process::id());
    let config = format!("log = {{ level = 'debug', file = '{name}' }}");
    let server = ServerProcess::start(&["--reactors", "1", "--log-format", "json"], &config);
    let log = log_of(&server, &name);
    refused(&mut Raw::connect(server.backend));
    until("the refusal is in the file", || text(&log).contains("nothing-is-here"));
    let lines: Vec<serde_json::Value> =
        text(&log).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let refusal =
        lines.iter().find(|line| line["message"].as_str().unwrap().contains("nothing-is-here")).unwrap();
    assert_eq!(
        (&refusal["level"], refusal["target"].as_str().unwrap().starts_with("gannet::")),
        (&"debug".into(), true)
    );
    assert!(refusal["time"].as_str().unwrap().ends_with('Z'));
    drop(server);
    fs::remove_file(log).unwrap();
}
