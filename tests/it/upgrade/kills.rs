//! Either side is killed at each step of an upgrade. `UPGRADE_KILLS=100` goes through the steps a hundred times.

use super::listeners::free;
use super::load::{over_tls, parameter, plain, tls_config};
use super::running::{KILLED, Running};
use super::traffic::{Connect, Traffic};
use crate::support::*;
use serde_json::json;
use std::fs;
use std::process::Command;

const PLAYERS: usize = 40;
/// Steps of the new process before it serves.
const NEW: [&str; 7] = [
    "new:started",
    "new:ready",
    "new:listeners",
    "new:receiving",
    "new:received",
    "new:restored",
    "new:taken",
];
/// Steps of the old process when the new one has everything.
const OLD_HAS_SENT: [&str; 4] = ["old:sent", "old:taken", "old:token", "old:serving"];
/// Steps of the old process when the new one is ready, and has not yet every player.
const OLD_SENDS: [&str; 4] = ["old:ready", "old:listeners", "old:quiet", "old:sending"];

fn rounds() -> usize {
    parameter("UPGRADE_KILLS", 1)
}

fn the_new_one_dies<S: OverTcp>(config: &str, connect: Connect<S>) {
    let _alone = heavy();
    let mut server = Running::start(&["--reactors", "3"], config);
    let traffic = Traffic::start(*server, PLAYERS, connect);
    traffic.await_news();
    let (sessions, files, pid) = (traffic.sessions(), server.open_files(), server.pid());
    for round in 0..rounds() {
        for step in NEW {
            let binary = server.binary_that(step);
            let why = server.refused_by(&format!("?binary={binary}"));
            assert!(why.contains("ended") && why.contains("signal"), "{step}: {why}");
            traffic.await_news();
            assert_eq!(
                (traffic.sessions(), server.pid()),
                (sessions.clone(), pid),
                "{step} in round {round}"
            );
            // Some come and go at any time.
            assert!(
                server.open_files() <= files + 8,
                "{step}: {} descriptors after {files}",
                server.open_files()
            );
        }
    }
    server.upgrade();
    traffic.await_news();
    assert_eq!(traffic.sessions(), sessions);
    traffic.finish();
    let scrape = server.backend().scrape();
    let [ok, failed, refused] =
        ["ok", "failed", "refused"].map(|outcome| scrape.sum("gannet_upgrades_total", &[outcome]));
    assert_eq!((ok, failed + refused), (1, (rounds() * NEW.len()) as u64));
}

#[test]
fn a_new_process_that_is_killed_before_it_serves_costs_nothing() {
    the_new_one_dies("", plain);
}

#[test]
fn a_new_process_that_is_killed_before_it_serves_costs_no_wss_player_anything() {
    let cert = tls::CertFiles::new(&["localhost"]);
    the_new_one_dies(&tls_config(&cert), over_tls);
}

fn the_old_one_dies<S: OverTcp>(config: &str, connect: Connect<S>) {
    let _alone = heavy();
    let mut server = Running::start(&["--reactors", "3"], config);
    let traffic = Traffic::start(*server, PLAYERS, connect);
    traffic.await_news();
    let sessions = traffic.sessions();
    // Each process dies at a step of its own when it is replaced.
    let first = server.binary_that(OLD_HAS_SENT[0]);
    server.upgrade_by(&format!("?binary={first}"));
    let steps = OLD_HAS_SENT.iter().cycle();
    for (step, next) in steps.clone().zip(steps.skip(1)).take(rounds() * OLD_HAS_SENT.len()) {
        let binary = server.binary_that(next);
        let (status, report) = server.ask(&format!("?binary={binary}"));
        assert_eq!(status, 200, "{step}: {report}");
        server.killed();
        assert_eq!(report["pid"], server.pid(), "{step}");
        traffic.await_news();
        assert_eq!(traffic.sessions(), sessions, "{step}");
    }
    traffic.finish();
}

#[test]
fn an_old_process_that_is_killed_when_the_new_one_has_everything_costs_nothing() {
    the_old_one_dies("", plain);
}

#[test]
fn an_old_process_that_is_killed_when_the_new_one_has_everything_costs_no_wss_player_anything() {
    let cert = tls::CertFiles::new(&["localhost"]);
    the_old_one_dies(&tls_config(&cert), over_tls);
}

#[test]
fn an_old_process_that_is_killed_before_leaves_a_server_to_which_players_come_back() {
    for _ in 0..rounds() {
        for step in OLD_SENDS {
            // The ports are known to the players, whichever process listens.
            let mut command = Command::new(env!("CARGO_BIN_EXE_gannet"));
            let [client, backend] = free(4, 2)[..] else { panic!("two") };
            command.args(["serve", "--reactors", "2", "--listen", &client.to_string()]);
            command.args(["--backend", &backend.to_string()]).env("DIE_AT_STEP", step);
            let mut server = Running::start_by(command);
            let mut players: Vec<Player> = (0..10).map(|_| server.player("user=ada")).collect();
            let binary = server.binary_that("");
            let mut asks = server.backend();
            asks.send("POST", &format!("/v1/admin/upgrade?binary={binary}"), "text/plain", b"");
            server.killed();
            for player in &mut players {
                assert_eq!(player.recv_end(), End::Lost, "{step}");
            }
            // Until the ports are its own, a connection may be reset.
            until("it serves", || server.try_player("/ws?user=first").is_ok());
            let mut back = server.player("user=ada");
            assert_eq!(server.backend().push_text("user=ada", step).queued, 1, "{step}");
            assert_eq!(back.recv_text(), step);
            // It can be replaced in its turn.
            server.upgrade();
            assert_eq!(server.backend().push_text("user=ada", "again").queued, 1, "{step}");
            assert_eq!(back.recv_text(), "again");
        }
    }
}

#[test]
fn an_old_process_that_is_killed_when_the_new_one_knows_nothing_leaves_no_process() {
    for _ in 0..rounds() {
        let mut server = Running::start_in(&[("DIE_AT_STEP", "old:spawned")], &["--reactors", "2"], "");
        let mut player = server.player("user=ada");
        let binary = server.binary_that("");
        let mut asks = server.backend();
        asks.send("POST", &format!("/v1/admin/upgrade?binary={binary}"), "text/plain", b"");
        assert_eq!(server.ended(), KILLED);
        server.await_gone();
        assert_eq!(player.recv_end(), End::Lost);
    }
}

#[test]
fn a_new_process_that_hangs_at_any_step_is_given_up_and_costs_nothing() {
    let _alone = heavy();
    let config = "timeouts.upgrade_start_ms = 1000\ntimeouts.handover_ms = 1000";
    let mut server = Running::start(&["--reactors", "2"], config);
    let traffic = Traffic::start(*server, PLAYERS, plain);
    traffic.await_news();
    let sessions = traffic.sessions();
    for _ in 0..rounds() {
        // When it has the token, the players are its own.
        for step in NEW.into_iter().filter(|step| *step != "new:token") {
            let binary = server.binary_that(&format!("{step}=hang"));
            let why = server.refused_by(&format!("?binary={binary}"));
            assert!(why.contains("in time"), "{step}: {why}");
            traffic.await_news();
            assert_eq!(traffic.sessions(), sessions, "{step}");
        }
    }
    // One that does not hang has more time, which it may need on a busy machine.
    fs::write(server.config(), "timeouts.upgrade_start_ms = 60000\ntimeouts.handover_ms = 60000\n").unwrap();
    assert_eq!(server.backend().ok("POST", "/v1/admin/reload")["restart"], json!([]));
    server.upgrade();
    traffic.await_news();
    assert_eq!(traffic.sessions(), sessions);
    traffic.finish();
}
