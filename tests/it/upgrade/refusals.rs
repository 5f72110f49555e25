//! Upgrades that do not come about: the server goes on as if nothing had been, and says why.

use super::load::plain;
use super::running::Running;
use super::traffic::Traffic;
use crate::support::*;
use serde_json::json;
use std::fs;

const PLAYERS: usize = 20;

#[test]
fn a_program_that_is_no_server_is_refused_and_named() {
    let _alone = heavy();
    // Those that end have ended by then, on a busy machine too.
    let mut server = Running::start(&["--reactors", "2"], "timeouts.upgrade_start_ms = 3000");
    let traffic = Traffic::start(*server, PLAYERS, plain);
    traffic.await_news();
    let (sessions, pid, files) = (traffic.sessions(), server.pid(), server.open_files());
    let not_executable = server.folder().join("not-executable");
    fs::write(&not_executable, "#!/bin/sh\n").unwrap();
    let table = [
        (encoded("/nowhere/gannet"), "/nowhere/gannet"),
        (encoded(not_executable.to_str().unwrap()), "not-executable"),
        (encoded(server.folder().to_str().unwrap()), "gannet-upgrade-"),
        (encoded("/bin/true"), "status 0"),
        (server.script("exit 1"), "status 1"),
        (server.script("kill -9 $$"), "signal"),
        (server.script("echo 'I am no gannet'; exit 3"), "status 3"),
        (server.script("exec sleep 600"), "in time"),
        (server.script("cat >&0; exec sleep 600"), ""),
        (server.script("printf 'HTTP/1.1 400 Bad Request\\r\\n\\r\\n' >&0; exec sleep 600"), ""),
    ];
    for (binary, says) in table {
        let why = server.refused_by(&format!("?binary={binary}"));
        assert!(!why.is_empty() && why.contains(says), "{binary}: {why}");
        traffic.await_news();
        assert_eq!((traffic.sessions(), server.pid()), (sessions.clone(), pid), "{binary}");
        // Some come and go at any time.
        assert!(server.open_files() <= files + 8, "{binary}: {} descriptors", server.open_files());
    }
    // The command says the same, and that it has failed.
    let output = server.gannet(&["upgrade", "--binary", "/nowhere/gannet"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("/nowhere/gannet"), "{said}");
    server.upgrade();
    traffic.await_news();
    traffic.finish();
}

#[test]
fn the_command_upgrades_and_says_so() {
    let mut server = Running::start(&["--reactors", "2"], "");
    let mut player = server.player("user=ada");
    let before = server.pid();
    let output = server.gannet(&["upgrade"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.lines().count() <= 2 && said.contains("1 session"), "{said}");
    let pid = server.processes().into_iter().find(|pid| *pid != before).unwrap();
    assert!(said.contains(&pid.to_string()), "{said}");
    server.succeeded_by(pid);
    assert_eq!(server.backend().push_text("user=ada", "still here").queued, 1);
    assert_eq!(player.recv_text(), "still here");
}

#[test]
fn a_dry_run_changes_nothing_and_says_what_would_come() {
    let mut server = Running::start(&["--reactors", "2"], "");
    let mut player = server.player("user=ada");
    let (pid, before) = (server.pid(), server.backend().stats());
    for _ in 0..3 {
        let (status, report) = server.ask("?dry_run=1");
        assert_eq!((status, &report["dry_run"]), (200, &json!(true)), "{report}");
        assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
        server.await_alone();
    }
    assert_eq!(server.pid(), pid);
    let bad = server.ask("?dry_run=1&binary=/bin/true");
    assert_eq!(bad.0, 409, "{}", bad.1);
    let output = server.gannet(&["upgrade", "--dry-run"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    server.await_alone();
    assert_eq!(server.backend().stats()["sessions"], before["sessions"]);
    assert_eq!(server.backend().push_text("user=ada", "still here").queued, 1);
    assert_eq!(player.recv_text(), "still here");
    server.upgrade();
}

#[test]
fn a_configuration_with_a_fault_is_refused_and_the_fault_is_named() {
    let mut server = Running::start(&["--reactors", "2"], "limits.max_page = 5");
    let mut player = server.player("user=ada");
    for (config, says) in [
        ("[limits]\nmax_pag = 6\n", "max_pag"),
        ("not = [toml\n", "line 1"),
        ("tls = { cert = 'nowhere.pem', key = 'nowhere.key' }\n", "nowhere"),
        ("", "empty"),
    ] {
        fs::write(server.config(), config).unwrap();
        for query in ["", "?dry_run=1"] {
            let why = server.refused_by(query);
            assert!(why.contains(says), "{config}: {why}");
        }
    }
    fs::remove_file(server.config()).unwrap();
    server.refused_by("");
    assert_eq!(server.backend().push_text("user=ada", "still here").queued, 1);
    assert_eq!(player.recv_text(), "still here");
    fs::write(server.config(), "limits.max_page = 7\n").unwrap();
    server.upgrade();
    // The new process goes by the new file.
    assert_eq!(server.backend().ok("GET", "/v1/admin/config")["limits"]["max_page"], 7);
    assert_eq!(server.backend().push_text("user=ada", "here too").queued, 1);
    assert_eq!(player.recv_text(), "here too");
}

#[test]
fn a_second_upgrade_at_once_is_refused_and_the_first_goes_on() {
    let mut server = Running::start(&["--reactors", "2"], "timeouts.upgrade_start_ms = 60000");
    let mut player = server.player("user=ada");
    server.upgrade_around("new:started", |ports| {
        for query in ["", "?dry_run=1"] {
            let reply = ports.backend().request("POST", &format!("/v1/admin/upgrade{query}"));
            assert_eq!(reply.status, 409, "{}", reply.json());
            assert_eq!(reply.json()["error"]["code"], "conflict");
        }
        // Everything else goes on.
        assert_eq!(ports.backend().push_text("user=ada", "meanwhile").queued, 1);
        assert_eq!(player.recv_text(), "meanwhile");
        assert_eq!(ports.backend().stats()["sessions"], 1);
    });
    assert_eq!(server.backend().push_text("user=ada", "after").queued, 1);
    assert_eq!(player.recv_text(), "after");
}

#[test]
fn an_upgrade_whose_asker_has_gone_comes_about_all_the_same() {
    let mut server = Running::start(&["--reactors", "2"], "timeouts.upgrade_start_ms = 60000");
    let mut player = server.player("user=ada");
    let before = server.pid();
    let binary = server.binary_that("new:started=hang");
    let mut asks = server.backend();
    asks.send("POST", &format!("/v1/admin/upgrade?binary={binary}"), "text/plain", b"");
    let stands = server.await_standing();
    drop(asks);
    rustix::process::kill_process(stands, rustix::process::Signal::CONT).unwrap();
    until("it has taken over", || !server.processes().contains(&before));
    server.succeeded_by(stands.as_raw_nonzero().get().try_into().unwrap());
    assert_eq!(server.backend().push_text("user=ada", "after").queued, 1);
    assert_eq!(player.recv_text(), "after");
}

#[test]
fn a_server_that_was_fed_its_configuration_cannot_be_replaced() {
    let server = ServerProcess::start_fed("limits.max_page = 5", &["--config", "-", "--reactors", "1"]);
    let mut player = server.player("user=ada");
    let reply = server.backend().request("POST", "/v1/admin/upgrade");
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (409, &json!("conflict")));
    let why = reply.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(why.contains("stdin") && why.contains("--config"), "{why}");
    assert_eq!(server.backend().push_text("user=ada", "still here").queued, 1);
    assert_eq!(player.recv_text(), "still here");
}

#[test]
fn what_an_upgrade_took_is_told() {
    let mut server = Running::start(&["--reactors", "2"], "");
    let _players: Vec<Player> = (0..10).map(|_| server.player("user=ada")).collect();
    assert!(server.backend().stats()["upgrade"]["last"].is_null(), "{}", server.backend().stats()["upgrade"]);
    let report = server.upgrade();
    assert_eq!(
        (&report["sessions"], &report["dry_run"], &report["notes"]),
        (&json!(10), &json!(false), &json!([]))
    );
    assert!(report["connections"].as_u64() > Some(10) && report["bytes"].as_u64() > Some(0), "{report}");
    assert!(report["took_ms"].is_u64() && report["longest_ms"].is_u64(), "{report}");
    let told = server.backend().stats()["upgrade"]["last"].take();
    assert_eq!((&told["outcome"], &told["sessions"]), (&json!("ok"), &json!(10)), "{told}");
    assert!(server.backend().scrape().sample("gannet_upgrade_seconds").is_some());
    let output = server.gannet(&["status"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.contains("upgrade"), "{said}");
}
