//! What operators and backends have done is there to be read, newest first, and has no secret in it.

use crate::entry::support::{bearer, key};
use crate::http_api::ask;
use crate::support::*;
use gannet::dispatch::Right;
use serde_json::{Value, json};
use std::fs;

const TRAIL: &str = "GET /v1/admin/audit";
const ALL: &str = "the-key-that-may-do-everything";

fn trail(server: &Ports, key: &str, query: &str) -> Value {
    let answer = ask(server.backend, &format!("{TRAIL}{query}"), &bearer(key), b"");
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    answer.json()
}

fn without_time(line: &Value) -> Value {
    let mut line = line.clone();
    let line_of = line.as_object_mut().unwrap();
    assert!(line_of.remove("at_unix_ms").unwrap().as_u64() > Some(1_700_000_000_000));
    let remote = line_of.remove("remote").unwrap();
    assert!(remote.is_null() || remote.as_str().unwrap().starts_with("127.0.0.1:"), "{remote}");
    line
}

#[test]
fn every_order_has_its_line_with_who_and_what_and_result() {
    const LOOK: &str = "the-key-that-may-only-look";
    const CHESS: &str = "the-key-of-the-app-chess";
    let server = TestServer::start(|config| {
        config.apps.insert("chess".into(), Default::default());
        config.backend.keys = vec![
            key("ops", ALL, &[Right::All], &[]),
            key("look", LOOK, &[Right::Read], &[]),
            key("chess", CHESS, &[Right::All], &["chess"]),
        ];
        config.limits.audit_lines = 10;
    });
    let order = |line: &str| ask(server.backend, line, &bearer(ALL), b"").status;
    assert_eq!(trail(&server, LOOK, ""), json!({ "count": 0, "lines": [] }));
    let player = server.player("user=ada&group=g");
    assert_eq!(order("DELETE /v1/users/ada"), 200);
    assert_eq!(order("DELETE /v1/sessions/00a0000000000001"), 404);
    assert_eq!(order("DELETE /v1/groups/g"), 200);
    assert_eq!(order("POST /v1/bans?user=eve&app=chess"), 200);
    assert_eq!(order("DELETE /v1/bans?user=eve&app=chess"), 200);
    assert_eq!(order("DELETE /v1/bans?user=eve&app=chess"), 200);
    assert_eq!(order("POST /v1/admin/log?level=warn"), 200);
    assert_eq!(order("POST /v1/admin/drain?over_ms=60000"), 200);
    assert_eq!(order("DELETE /v1/admin/drain"), 200);
    let all = trail(&server, LOOK, "");
    assert_eq!(all["count"], 9);
    let lines: Vec<Value> = all["lines"].as_array().unwrap().iter().rev().map(without_time).collect();
    let line = |number: u64, op: &str, app: Option<&str>, target: Option<&str>, result: &str| json!({ "number": number, "key": "ops", "op": op, "app": app, "target": target, "result": result });
    let counted = |mut line: Value, sessions: u64| {
        line["sessions"] = sessions.into();
        line
    };
    let unknown = "no session 00a0000000000001 is live in this app; it may have closed";
    let expected = [
        counted(line(1, "kick", Some("default"), Some("user=\"ada\""), "ok"), 1),
        line(2, "kick", Some("default"), Some("session=00a0000000000001"), unknown),
        counted(line(3, "destroy", Some("default"), Some("group=\"g\""), "ok"), 0),
        counted(line(4, "ban", Some("chess"), Some("user=\"eve\""), "ok"), 0),
        line(5, "unban", Some("chess"), Some("user=\"eve\""), "ok"),
        line(6, "unban", Some("chess"), Some("user=\"eve\""), "there was no such ban"),
        line(7, "log", None, Some("level=warn"), "ok"),
        line(8, "drain", None, Some("over_ms=60000 to=\"\""), "ok"),
        line(9, "drain_called_off", None, None, "ok"),
    ];
    for (line, expected) in lines.iter().zip(&expected) {
        assert_eq!(line, expected);
    }
    // The newest; older ones go.
    for _ in 0..5 {
        order("DELETE /v1/users/nobody");
    }
    let newest = trail(&server, ALL, "?limit=2");
    assert_eq!(
        (&newest["count"], &newest["lines"][0]["number"], &newest["lines"][1]["number"]),
        (&json!(10), &json!(14), &json!(13))
    );
    for (query, key, status) in
        [("?limit=0", ALL, 400), ("?limit=1001", ALL, 400), ("?after=1", ALL, 400), ("", CHESS, 403)]
    {
        let answer = ask(server.backend, &format!("{TRAIL}{query}"), &bearer(key), b"");
        assert_eq!(answer.status, status, "{query}");
    }
    server.reload(|config| config.limits.audit_lines = 3);
    assert_eq!(trail(&server, ALL, "")["count"], 3);
    drop(player);
}

#[test]
fn a_reload_says_what_was_and_what_is_and_no_secret() {
    const OLD: &str = "the-secret-of-yesterday-0123456789";
    const NEW: &str = "the-secret-of-tomorrow-0123456789";
    const OTHER: &str = "the-secret-of-another-app-0123456789";
    let config = |page: u32, secret: &str| {
        format!(
            "[limits]\nmax_page = {page}\n[backend]\nkey = '{ALL}'\n[apps.default]\nsecrets = ['{OTHER}']\n[apps.chess]\nsecrets = ['{secret}']\n"
        )
    };
    let server = ServerProcess::start(&["--reactors", "1"], &config(5, OLD));
    fs::write(server.config(), config(6, NEW)).unwrap();
    assert_eq!(ask(server.backend, "POST /v1/admin/reload", &bearer(ALL), b"").status, 200);
    fs::write(server.config(), "limits.max_pag = 7").unwrap();
    assert_eq!(ask(server.backend, "POST /v1/admin/reload", &bearer(ALL), b"").status, 409);
    fs::write(server.config(), config(7, NEW)).unwrap();
    server.signal(rustix::process::Signal::HUP);
    until("it is read", || trail(&server, ALL, "")["count"] == 3);
    let text = trail(&server, ALL, "").to_string();
    for secret in [OLD, NEW, OTHER, ALL] {
        assert!(!text.contains(secret), "{text}");
    }
    let lines = trail(&server, ALL, "")["lines"].take();
    let [by_signal, failed, first] = [0, 1, 2].map(|index| without_time(&lines[index]));
    let changes = json!([
        { "key": "apps.chess.secrets", "old": "[\"***\"]", "new": "[\"***\"]" },
        { "key": "limits.max_page", "old": "5", "new": "6" },
    ]);
    let expected = json!({
        "number": 1, "key": "backend.key", "op": "reload", "app": null, "target": null, "result": "ok", "changes": changes,
    });
    assert_eq!(first, expected);
    assert_eq!((&failed["key"], &failed["op"]), (&json!("backend.key"), &json!("reload")));
    assert!(failed["result"].as_str().unwrap().contains("max_pag"), "{failed}");
    assert_eq!((&by_signal["key"], &by_signal["result"]), (&Value::Null, &json!("ok")), "{by_signal}");
    assert_eq!(by_signal["changes"][0], json!({ "key": "limits.max_page", "old": "6", "new": "7" }));
}

#[test]
fn links_that_open_and_go_are_there() {
    let server = TestServer::start(|_| ());
    let link = server.link();
    link.reset();
    let lines = || server.backend().ok("GET", "/v1/admin/audit")["lines"].take();
    until("it has gone", || lines()[0]["op"] == "link_closed");
    let lines = lines();
    assert_eq!(lines[1]["op"], "link_opened");
    assert_eq!(lines[0]["target"], lines[1]["target"]);
    assert_eq!((&lines[0]["app"], &lines[0]["key"]), (&json!("default"), &Value::Null));
}
