//! How an operator asks for an upgrade, and what is refused at once: HTTP, SIGUSR2 and the command line.

use crate::entry::support::{ALL, CHESS, PUSH, READ, ask, bearer, with_keys};
use crate::support::*;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};

const UPGRADE: &str = "/v1/admin/upgrade";

/// The message of the refusal with this status and code.
#[track_caller]
fn refused(backend: &mut Backend, target: &str, status: u16, code: &str) -> String {
    let answer = backend.request("POST", target);
    let error = answer.json()["error"].clone();
    assert_eq!((answer.status, error["code"].as_str()), (status, Some(code)), "{target}: {error}");
    error["message"].as_str().unwrap().to_owned()
}

fn upgrades(backend: &mut Backend) -> Value {
    backend.ok("GET", "/v1/stats")["upgrade"].clone()
}

#[test]
fn a_server_inside_another_program_is_not_upgraded_and_goes_on() {
    let server = TestServer::start(|config| config.reactors = Some(2));
    let mut player = server.player("user=ada");
    let mut backend = server.backend();
    let message = refused(&mut backend, UPGRADE, 409, "conflict");
    assert!(message.contains("embeds this server") && message.ends_with("goes on as before"), "{message}");
    assert_eq!(backend.push_text("user=ada", "still here").queued, 1);
    assert_eq!(player.recv_text(), "still here");
    let upgrades = upgrades(&mut backend);
    assert_eq!(
        [&upgrades["ok"], &upgrades["failed"], &upgrades["refused"]],
        [&json!(0), &json!(0), &json!(1)]
    );
    assert_eq!(upgrades["last"]["outcome"], "refused");
    let why = upgrades["last"]["why"].as_str().unwrap();
    assert!(message.contains(why), "{why}");
    let scrape = backend.scrape();
    assert_eq!(scrape.sum("gannet_upgrades_total", &["outcome=\"refused\""]), 1);
    assert_eq!(scrape.sum("gannet_upgrade_sessions", &[]), 0);
}

#[test]
fn a_dry_run_that_is_refused_is_no_upgrade() {
    let server = TestServer::start(|config| config.reactors = Some(1));
    let mut backend = server.backend();
    refused(&mut backend, &format!("{UPGRADE}?dry_run=1"), 409, "conflict");
    assert_eq!(upgrades(&mut backend), json!({ "ok": 0, "failed": 0, "refused": 0, "last": null }));
}

#[test]
fn a_server_that_is_drained_is_not_upgraded() {
    let server = ServerProcess::start(&["--reactors", "1"], "[limits]\nmax_page = 5");
    let mut backend = server.backend();
    backend.ok("POST", "/v1/admin/drain?over_ms=60000");
    let message = refused(&mut backend, UPGRADE, 409, "conflict");
    assert!(message.contains("drained"), "{message}");
}

#[test]
fn a_configuration_that_cannot_be_read_again_keeps_another_process_from_taking_over() {
    let fed = ServerProcess::start_fed("[limits]\nmax_page = 5", &["--reactors", "1", "--config", "-"]);
    let mut player = fed.player("user=ada");
    let mut backend = fed.backend();
    let message = refused(&mut backend, UPGRADE, 409, "conflict");
    assert!(message.contains("/dev/stdin") && message.contains("--config"), "{message}");
    fed.signal(Signal::USR2);
    until("the signal is refused as well", || upgrades(&mut backend)["refused"] == 2);
    until("the log says so", || fed.said().contains("SIGUSR2"));
    assert_eq!(backend.push_text("user=ada", "still here").queued, 1);
    assert_eq!(player.recv_text(), "still here");
}

#[test]
fn parameters_of_an_upgrade_are_checked() {
    let server = TestServer::start(|config| config.reactors = Some(1));
    let mut backend = server.backend();
    let long = format!("binary=/{}", "x".repeat(4095));
    for query in [
        "binary=gannet",
        "binary=",
        "binary=%2Fbin%2F%00",
        &long,
        "dry_run=yes",
        "dry_run=1&dry_run=1",
        "to=x",
    ] {
        refused(&mut backend, &format!("{UPGRADE}?{query}"), 400, "bad_request");
    }
    assert_eq!(upgrades(&mut backend)["refused"], 0);
}

#[test]
fn only_a_key_that_may_do_all_to_all_apps_upgrades_and_the_trail_has_it() {
    let server = with_keys();
    let dry = format!("POST {UPGRADE}?dry_run=1&binary=/does/not/exist");
    let status = |key: &str| ask(server.backend, &dry, &bearer(key), "").status;
    assert_eq!([READ, PUSH, CHESS, ALL].map(status), [403, 403, 403, 409]);
    until("the trail has it", || {
        server.said().contains("op=upgrade dry_run=true binary=\"/does/not/exist\"")
    });
    assert_eq!(server.said().matches("op=upgrade").count(), 1, "{}", server.said());
}

/// `gannet ARGS` for the backend port of `server`.
fn gannet(server: &ServerProcess, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gannet"));
    command.args(args).args(["--backend", &format!("http://{}", server.backend)]).output().unwrap()
}

#[test]
fn the_command_line_says_why_there_is_no_upgrade() {
    let server = ServerProcess::start_fed("[limits]\nmax_page = 5", &["--reactors", "1", "--config", "-"]);
    for args in [&["upgrade"][..], &["upgrade", "--dry-run", "--binary", "bin/gannet"]] {
        let output = gannet(&server, args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("409 conflict") && said.contains("goes on as before"), "{said}");
    }
    let here = std::env::current_dir().unwrap().join("bin/gannet");
    let asked = format!("op=upgrade dry_run=true binary={here:?}");
    until("the path is one from here on", || server.said().contains(&asked));
}

#[test]
fn the_command_line_says_how_the_server_is() {
    let server = ServerProcess::start(&["--reactors", "2"], "[limits]\nmax_page = 5");
    let (_ada, _bob) = (server.player("user=ada&group=red"), server.player("user=bob&group=red"));
    let version = env!("CARGO_PKG_VERSION");
    let lines = [
        &format!("gannet {version}, process {}, up ", server.pid()),
        "sessions: 2, of 2 users in 1 groups",
        "connections: 3; 1 of them to the backend port (0 links), 0 not yet sessions",
        "upgrades: 0, 0 failed, 0 refused",
        "reloads: 0, 0 failed; the configuration in force is of 2",
    ];
    // A reactor publishes what it has at the end of a turn: of a player who has just been welcomed, or of the command that
    // asked before, the page may not know yet.
    until(&format!("a page with each of {lines:?}"), || {
        let output = gannet(&server, &["status"]);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{said}");
        assert!(said.contains("reactors: 2\n"), "{said}");
        lines.iter().all(|line| said.lines().any(|shown| shown.starts_with(line)))
    });
    server.backend().ok("POST", "/v1/admin/drain?over_ms=60000");
    let output = gannet(&server, &["status", "--json"]);
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&status["draining"], &status["pid"]), (&json!(true), &json!(server.pid())));
    assert_eq!(status["upgrade"], json!({ "ok": 0, "failed": 0, "refused": 0, "last": null }));
}

#[test]
fn a_binary_that_others_can_change_is_not_run() {
    let server = ServerProcess::start(&["--reactors", "1"], "[limits]\nmax_page = 5");
    let binary = std::env::temp_dir().join(format!("gannet-it-{}-others", std::process::id()));
    fs::write(&binary, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&binary, Permissions::from_mode(0o777)).unwrap();
    let target = format!("{UPGRADE}?dry_run=1&binary={}", binary.display());
    let message = refused(&mut server.backend(), &target, 409, "conflict");
    fs::remove_file(&binary).unwrap();
    assert!(message.contains("can change") && message.ends_with("goes on as before"), "{message}");
}

#[test]
fn the_flag_of_a_process_that_takes_over_is_for_upgrades_alone() {
    let serve = |flag: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gannet"));
        command.args(["serve", flag]).stdin(Stdio::null()).output().unwrap()
    };
    let output = serve("--take-over");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("for `gannet upgrade` alone"), "{said}");
    assert!(!String::from_utf8(serve("--help").stdout).unwrap().contains("take-over"));
}
