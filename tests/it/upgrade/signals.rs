//! SIGUSR2 asks for an upgrade; signals that come in the middle of one.

use super::running::Running;
use crate::support::*;
use rustix::process::{Signal, kill_process};

/// The process that takes over after what has been done.
fn heir(server: &Running) -> u32 {
    let before = server.pid();
    let mut others = Vec::new();
    until("another process is the only one", || {
        others = server.processes();
        others.len() == 1 && others[0] != before
    });
    others[0]
}

#[test]
fn a_signal_upgrades_and_the_log_says_so() {
    let mut server = Running::start(&["--reactors", "2"], "");
    let mut player = server.player("user=ada");
    for round in 0..3 {
        server.signal(Signal::USR2);
        let heir = heir(&server);
        server.succeeded_by(heir);
        assert_eq!(server.backend().push_text("user=ada", "still here").queued, 1, "round {round}");
        assert_eq!(player.recv_text(), "still here");
        until("the log says so", || server.said().matches("upgrade").count() > round);
    }
}

#[test]
fn a_signal_whose_upgrade_fails_is_told_in_the_log() {
    let server = Running::start(&["--reactors", "2"], "limits.max_page = 5");
    let mut player = server.player("user=ada");
    std::fs::write(server.config(), "limits.max_pag = 5\n").unwrap();
    server.signal(Signal::USR2);
    until("the log says why", || server.said().contains("max_pag"));
    server.await_alone();
    assert_eq!(server.backend().push_text("user=ada", "still here").queued, 1);
    assert_eq!(player.recv_text(), "still here");
}

#[test]
fn a_second_signal_while_one_is_under_way_does_nothing() {
    let mut server = Running::start(
        &["--reactors", "2"],
        "timeouts.upgrade_start_ms = 60000\ntimeouts.handover_ms = 60000",
    );
    let mut player = server.player("user=ada");
    for step in ["new:started", "new:ready", "new:receiving", "new:taken"] {
        let first = server.pid();
        let report = server.upgrade_around(step, |_| {
            // To the first process: it has not been replaced.
            kill_process(rustix::process::Pid::from_raw(first.try_into().unwrap()).unwrap(), Signal::USR2)
                .unwrap();
        });
        assert_eq!(report["pid"], server.pid(), "{step}");
        assert_eq!(server.backend().push_text("user=ada", step).queued, 1);
        assert_eq!(player.recv_text(), step);
    }
    // One that stands nowhere, and two at once.
    let clean = server.binary_that("");
    server.upgrade_by(&format!("?binary={clean}"));
    server.signal(Signal::USR2);
    server.signal(Signal::USR2);
    let heir = heir(&server);
    server.succeeded_by(heir);
    assert_eq!(server.backend().push_text("user=ada", "still here").queued, 1);
    assert_eq!(player.recv_text(), "still here");
}

#[test]
fn a_stop_in_the_middle_stops_the_server_in_good_order() {
    for step in ["new:started", "new:ready", "new:listeners", "new:receiving", "new:restored", "new:taken"] {
        // The step is reached by then, on a busy machine too; the stop waits for as long.
        let config =
            "timeouts.upgrade_start_ms = 4000\ntimeouts.handover_ms = 4000\ntimeouts.shutdown_ms = 100";
        let mut server = Running::start(&["--reactors", "2"], config);
        let mut player = server.player("user=ada");
        let binary = server.binary_that(&format!("{step}=hang"));
        let mut asks = server.backend();
        asks.send("POST", &format!("/v1/admin/upgrade?binary={binary}"), "text/plain", b"");
        server.await_standing();
        server.signal(Signal::TERM);
        assert!(matches!(player.recv_end(), End::Closed(1001, _)), "{step}");
        assert_eq!(server.ended(), (Some(0), None), "{step}");
        server.await_gone();
    }
}

#[test]
fn a_new_process_reloads_and_stops_by_signals_like_any_other() {
    let mut server = Running::start(&["--reactors", "2"], "limits.max_page = 5\ntimeouts.shutdown_ms = 100");
    server.upgrade();
    let mut player = server.player("user=ada");
    std::fs::write(server.config(), "limits.max_page = 6\ntimeouts.shutdown_ms = 100\n").unwrap();
    server.signal(Signal::HUP);
    let page = |server: &Running| server.backend().ok("GET", "/v1/admin/config")["limits"]["max_page"].take();
    until("it goes by the file", || page(&server) == 6);
    server.upgrade();
    assert_eq!(page(&server), 6);
    server.signal(Signal::TERM);
    assert!(matches!(player.recv_end(), End::Closed(1001, _)));
    assert_eq!(server.ended(), (Some(0), None));
    server.await_gone();
    // Its last words are still in the pipe when it has gone.
    until("it says how it has stopped", || server.said().contains("1 of 1 sessions closed cleanly"));
}
