//! How an operator orders a reload, and what is answered: SIGHUP, HTTP and the command line.

use crate::raw::{Raw, request};
use crate::support::*;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::fs;
use std::process::{Command, Output};

/// `gannet ARGS`.
fn gannet(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gannet")).args(args).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8([output.stdout.as_slice(), &output.stderr].concat()).unwrap()
}

fn config_in_force(server: &ServerProcess) -> Value {
    server.backend().ok("GET", "/v1/admin/config")
}

#[test]
fn a_reload_says_what_has_changed_and_what_needs_a_restart() {
    let server = ServerProcess::start(&["--reactors", "1"], "[limits]\nmax_page = 5");
    let player = server.player("user=ada");
    let mut backend = server.backend();
    assert_eq!(backend.ok("POST", "/v1/admin/reload"), json!({ "changed": [], "restart": [] }));
    fs::write(server.config(), "node = 7\n[limits]\nmax_page = 6\nmailbox_messages = 77\n[apps.chess]")
        .unwrap();
    let expected = json!({ "changed": ["apps.chess", "limits.max_page"], "restart": ["node", "limits.mailbox_messages"] });
    assert_eq!(backend.ok("POST", "/v1/admin/reload"), expected);
    let config = config_in_force(&server);
    assert_eq!((&config["limits"]["max_page"], &config["node"]), (&json!(6), &json!(0)));
    server.try_player("/ws/chess").unwrap();
    // The restart is still due.
    assert_eq!(backend.ok("POST", "/v1/admin/reload")["restart"], expected["restart"]);
    assert_eq!(backend.push_text("user=ada", "still here").queued, 1);
    drop(player);
}

#[test]
fn the_defaults_are_shown_beside_what_is_in_force() {
    let server =
        ServerProcess::start(&["--reactors", "1"], "[limits]\nmax_page = 5\n[backend]\nconsole = false");
    let mut backend = server.backend();
    let defaults = backend.ok("GET", "/v1/admin/config?defaults=1");
    assert_eq!(
        (&defaults["limits"]["max_page"], &defaults["backend"]["console"]),
        (&json!(1_000), &json!(true))
    );
    let mut config = config_in_force(&server);
    assert_eq!(config["limits"]["max_page"], 5);
    // What the test's server sets is all that differs.
    let own = ["/limits/max_page", "/backend/console"];
    let harness =
        ["/backend/listen", "/listen", "/reactors", "/timeouts/link_idle_ms", "/timeouts/link_ping_ms"];
    for key in own.into_iter().chain(harness) {
        assert_ne!(config.pointer(key), defaults.pointer(key), "{key}");
        config.pointer_mut(key).unwrap().clone_from(defaults.pointer(key).unwrap());
    }
    for (table, value) in config.as_object().unwrap() {
        assert_eq!(value, &defaults[table], "{table}");
    }
    assert_eq!(backend.ok("GET", "/v1/admin/config?defaults=0")["limits"]["max_page"], 5);
}

#[test]
fn a_reload_that_fails_changes_nothing_and_says_what_config_check_says() {
    let server = ServerProcess::start(&["--reactors", "2"], "[limits]\nmax_page = 5");
    let mut player = server.player("user=ada");
    let mut backend = server.backend();
    let before = config_in_force(&server);
    let wrong = [
        "[limits]\nmax_page = 6\nmax_headers = 7_000",
        "[limits]\nmax_page = 6\nmax_pag = 7",
        "limits = [",
        "[limits]\nmax_page = 6\n[apps.chess]\nsecrets = ['short']",
        "[limits]\nmax_page = 6\n[apps.default]\nsecrets_file = 'not-there'",
        "[limits]\nmax_page = 6\n[backend]\nkey_file = 'not-there'",
    ];
    for (round, text) in wrong.into_iter().enumerate() {
        fs::write(server.config(), text).unwrap();
        let answer = backend.request("POST", "/v1/admin/reload");
        let error = answer.json()["error"].clone();
        assert_eq!((answer.status, error["code"].as_str()), (409, Some("conflict")), "{text}");
        let checked = gannet(&["config", "check", server.config().to_str().unwrap()]);
        assert_eq!(checked.status.code(), Some(1));
        let message = error["message"].as_str().unwrap();
        assert!(said(&checked).trim_end().ends_with(message), "{}: {message}", said(&checked));
        let scrape = backend.scrape();
        assert_eq!(scrape.sum("gannet_config_reloads_total", &["outcome=\"failed\""]), round as u64 + 1);
        assert_eq!(scrape.sum("gannet_config_last_reload_successful", &[]), 0);
    }
    fs::remove_file(server.config()).unwrap();
    assert_eq!(backend.request("POST", "/v1/admin/reload").status, 409);
    assert_eq!(config_in_force(&server), before);
    assert_eq!(backend.push_text("user=ada", "still here").queued, 1);
    assert_eq!(player.recv_text(), "still here");
    fs::write(server.config(), "[limits]\nmax_page = 6").unwrap();
    assert_eq!(backend.ok("POST", "/v1/admin/reload")["changed"], json!(["limits.max_page"]));
    assert_eq!(backend.scrape().sum("gannet_config_last_reload_successful", &[]), 1);
}

#[test]
fn sighup_reads_the_configuration_again_and_a_broken_one_ends_nothing() {
    let server = ServerProcess::start(&["--reactors", "1"], "[limits]\nmax_page = 5");
    let mut player = server.player("user=ada");
    fs::write(server.config(), "[limits]\nmax_page = 6").unwrap();
    server.signal(Signal::HUP);
    until("the change is in the log", || server.said().contains("reload: changed: limits.max_page"));
    assert_eq!(config_in_force(&server)["limits"]["max_page"], 6);
    fs::write(server.config(), "[limits]\nmax_page = 'x'").unwrap();
    server.signal(Signal::HUP);
    until("the fault is in the log", || server.said().contains("reload: everything stays as it was"));
    assert_eq!(config_in_force(&server)["limits"]["max_page"], 6);
    assert_eq!(server.backend().push_text("user=ada", "still here").queued, 1);
    assert_eq!(player.recv_text(), "still here");
}

#[test]
fn flags_win_over_the_file_at_a_reload_too_and_standard_input_is_read_once() {
    let server =
        ServerProcess::start(&["--reactors", "1", "--echo", "--log", "warn"], "[log]\nlevel = 'info'");
    fs::write(server.config(), "echo = false\nreactors = 5\n[log]\nlevel = 'debug'").unwrap();
    assert_eq!(server.backend().ok("POST", "/v1/admin/reload"), json!({ "changed": [], "restart": [] }));
    let fed = ServerProcess::start_fed("[limits]\nmax_page = 5", &["--reactors", "1", "--config", "-"]);
    let answer = fed.backend().request("POST", "/v1/admin/reload");
    assert_eq!(answer.status, 409);
    assert!(
        answer.json()["error"]["message"]
            .as_str()
            .unwrap()
            .contains("it is no regular file, and was read once already")
    );
}

#[test]
fn the_command_line_orders_a_reload() {
    let server = ServerProcess::start(&["--reactors", "1"], "[limits]\nmax_page = 5");
    let url = format!("http://{}", server.backend);
    fs::write(server.config(), "[limits]\nmax_page = 6").unwrap();
    let reload = || gannet(&["reload", "--backend", &url]);
    let output = reload();
    assert_eq!(
        (output.status.code(), said(&output).contains("limits.max_page")),
        (Some(0), true),
        "{}",
        said(&output)
    );
    fs::write(server.config(), "limits = 7").unwrap();
    let output = reload();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("409 conflict"), "{}", said(&output));
}

#[test]
fn the_level_of_the_log_changes_for_a_while_and_with_a_reload() {
    let server = ServerProcess::start(&["--reactors", "1"], "[log]\nlevel = 'info'");
    let mut backend = server.backend();
    let mut refusals = Raw::connect(server.backend);
    let mut refused = |mark: &str| {
        refusals.send(request(&format!("GET /v1/{mark}")));
        assert_eq!(refusals.answer().status, 404);
    };
    refused("quiet-at-info");
    let level = |backend: &mut Backend, query: &str| backend.ok("POST", &format!("/v1/admin/log?{query}"));
    assert_eq!(level(&mut backend, "level=debug"), json!({ "level": "debug", "for_ms": null }));
    until("a debug line is there", || {
        refused("seen-at-debug");
        server.said().contains("seen-at-debug")
    });
    assert!(!server.said().contains("quiet-at-info"));
    level(&mut backend, "level=info");
    level(&mut backend, "level=debug&for_ms=50");
    until("it has ended", || server.said().contains("the level of the log is info again"));
    refused("quiet-again");
    fs::write(server.config(), "[log]\nlevel = 'debug'").unwrap();
    assert_eq!(backend.ok("POST", "/v1/admin/reload")["changed"], json!(["log.level"]));
    // One line of a kind and client a second.
    until("a debug line is there", || {
        refused("seen-after-the-reload");
        server.said().contains("seen-after-the-reload")
    });
    assert!(!server.said().contains("quiet-again"));
    for wrong in ["level=loud", "level=DEBUG", "", "level=info&for_ms=86400001", "level=info&for_ms=x"] {
        assert_eq!(backend.request("POST", &format!("/v1/admin/log?{wrong}")).status, 400, "{wrong}");
    }
}

#[test]
fn the_configuration_is_shown_without_secrets_to_a_key_that_may_do_all() {
    use crate::entry::support::{ALL, CHESS, READ, ask, bearer, with_keys};
    let server = with_keys();
    let status = |line: &str, key: &str| ask(server.backend, line, &bearer(key), "").status;
    for line in ["GET /v1/admin/config", "POST /v1/admin/reload", "POST /v1/admin/log?level=info"] {
        assert_eq!([ALL, READ, CHESS].map(|key| status(line, key)), [200, 403, 403], "{line}");
    }
    let shown = ask(server.backend, "GET /v1/admin/config", &bearer(ALL), "");
    let text = String::from_utf8(shown.body.clone()).unwrap();
    assert!([ALL, READ, CHESS].iter().all(|key| !text.contains(key)), "{text}");
    assert_eq!(shown.json()["backend"]["keys"][0]["key"], "***");
    until("the trail has it", || {
        server.said().contains("key=\"backend.key\"") && server.said().contains("op=reload")
    });
}
