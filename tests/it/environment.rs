//! The configuration from the environment: what variables set is what a server obeys, over the file and below the flags, and
//! `gannet config` says the same as `gannet serve`.

use crate::support::*;
use gannet::config::{Config, Secret};
use std::process::{Command, Output, Stdio};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const KEY: &str = "a-key-that-is-long-and-random";

/// `gannet ARGS` with these variables, which is expected to end.
fn gannet(variables: &[(&str, &str)], args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gannet"));
    command.args(args).envs(variables.iter().copied()).stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

#[test]
fn a_server_obeys_variables_over_its_file_and_flags_over_them() {
    let secrets = format!("['{SECRET}']");
    let variables = [
        ("GANNET_LISTEN", "192.0.2.1:1"),
        ("GANNET_LOG__LEVEL", "error"),
        ("GANNET_LIMITS__MAX_PAGE", "7"),
        ("GANNET_BACKEND__KEY", KEY),
        ("GANNET_APPS__DEFAULT__SECRETS", &secrets),
        // What Kubernetes sets for a service called gannet.
        ("GANNET_PORT", "tcp://10.0.0.1:9000"),
    ];
    let config = "[limits]\nmax_page = 9\nmax_selectors = 3\n[backend]\nkey_file = '/nonexistent'";
    let server = ServerProcess::start_in(&variables, &["--log", "debug"], config);
    assert_eq!(server.try_player("/ws?user=eve").map_or_else(|refused| refused.status(), |_| 101), 401);
    let mut backend = server.backend();
    assert_eq!(backend.request("GET", "/v1/sessions").status, 401);
    let mut status = |target: &str| {
        backend.send("GET", target, &format!("text/plain\r\nAuthorization: Bearer {KEY}"), b"");
        backend.receive().status
    };
    assert_eq!((status("/v1/sessions?limit=7"), status("/v1/sessions?limit=8")), (200, 400));
    // Of the player who was refused: a line that the level of the variable would not let through.
    until("a line of the flag's level", || server.said().contains("DEBUG"));
}

#[test]
fn what_config_shows_is_what_file_and_variables_make() {
    let folder = std::env::temp_dir().join(format!("gannet-environment-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("gannet.toml");
    std::fs::write(&file, "[limits]\nmax_page = 9\nmax_selectors = 3").unwrap();
    let variables = [
        ("GANNET_LIMITS__MAX_PAGE", "7"),
        ("GANNET_TIMEOUTS__DRAIN_MS", "1m30s"),
        ("GANNET_BACKEND__KEY", KEY),
        ("GANNET_BACKEND__KEY_FILE", ""),
    ];
    let shown = gannet(&variables[..3], &["config", "show", file.to_str().unwrap()]);
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    let shown = text(&shown.stdout);
    assert!(!shown.contains(KEY) && shown.contains("drain_ms = 90000\n"), "{shown}");
    let config = Config::from_toml(&shown.replace("key = \"***\"", &format!("key = '{KEY}'"))).unwrap();
    assert_eq!((config.limits.max_page, config.limits.max_selectors), (7, 3));
    assert_eq!(config.backend.key, Some(Secret::new(KEY)));

    let checked = gannet(&variables[..3], &["config", "check"]);
    assert_eq!(text(&checked.stdout), "without a file: ok\n");
    let refused = gannet(&variables, &["config", "check", file.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("both it and its key_file are set"), "{}", text(&refused.stderr));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn serve_and_check_refuse_a_variable_by_its_name_and_show_no_secret() {
    for (variable, value, says) in [
        (
            "GANNET_LIMITS__MAX_PAGE",
            "many",
            r#"GANNET_LIMITS__MAX_PAGE: bad value for "limits.max_page": invalid type: string "many""#,
        ),
        ("GANNET_LIMITS__MAX_PAGE", "0", "GANNET_LIMITS__MAX_PAGE: limits.max_page = 0 is out of range"),
        (
            "GANNET_LIMITS__MAX_PAGES",
            "7",
            "unknown variable GANNET_LIMITS__MAX_PAGES: did you mean GANNET_LIMITS__MAX_PAGE?",
        ),
        (
            "GANNET_LIMITS_MAX_PAGE",
            "7",
            "unknown variable GANNET_LIMITS_MAX_PAGE: did you mean GANNET_LIMITS__MAX_PAGE?",
        ),
        (
            "GANNET_APPS__CHESS__MAX_SESSIONS",
            "7",
            "GANNET_APPS__CHESS__MAX_SESSIONS is for an app that does not exist",
        ),
        (
            "GANNET_APPS__DEFAULT__SECRETS",
            SECRET,
            "GANNET_APPS__DEFAULT__SECRETS: bad value for \"apps.default.secrets\"",
        ),
        (
            "GANNET_BACKEND__KEYS",
            KEY,
            "GANNET_BACKEND__KEYS: bad value for \"backend.keys\": write keys as tables",
        ),
        (
            "GANNET_BACKEND__KEY",
            "hunter2 hunter2 hunter2",
            "backend.key: it must be visible ASCII characters without spaces",
        ),
        ("GANNET_BACKEND__KEY_FILE", "/nonexistent/key", "cannot read backend.key_file /nonexistent/key"),
    ] {
        for args in [&["serve"][..], &["config", "check"], &["config", "show"]] {
            let refused = gannet(&[(variable, value)], args);
            assert_eq!((refused.status.code(), text(&refused.stdout)), (Some(1), ""), "{args:?}");
            let said = text(&refused.stderr);
            assert!(said.starts_with(&format!("gannet: {says}")), "{args:?}: {said}");
            assert!(![SECRET, KEY, "hunter2"].iter().any(|secret| said.contains(secret)), "{said}");
        }
    }
}
