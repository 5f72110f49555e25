//! The flight recorder: what happened at the socket of one session, read over HTTP while it lives and a while after.

use crate::entry::support::{bearer, key};
use crate::http_api::ask;
use crate::program::{gannet, said};
use crate::raw::{CLOSE, PING, Raw, TEXT, masked, request};
use crate::stalled::{skip, stalled};
use crate::support::*;
use crate::upgrade::running::Running;
use gannet::config::{Slow, SlowPolicy};
use gannet::dispatch::Right;
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use std::time::Duration;

const OF_ADA: &str = "/v1/users/ada/record";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The id of the only session of `user`.
fn session_of(server: &Ports, user: &str) -> String {
    let sessions = server.backend().ok("GET", &format!("/v1/sessions?user={user}"));
    sessions["sessions"][0]["session"].as_str().unwrap().to_owned()
}

/// Begins a record of the session: its path.
fn recorded(server: &Ports, session: &str) -> String {
    let path = format!("/v1/sessions/{session}/record");
    let answer = server.backend().ok("POST", &format!("{path}?frames=50"));
    assert_eq!(answer, json!({"session": session, "frames": 50}));
    path
}

fn events(server: &Ports, path: &str) -> Vec<Value> {
    server.backend().ok("GET", path)["events"].as_array().unwrap().clone()
}

/// The same once there are so many.
fn so_many_events(server: &Ports, path: &str, count: usize) -> Vec<Value> {
    until("they have happened", || events(server, path).len() >= count);
    events(server, path)
}

/// What happened, the opcode, the length and the first bytes.
fn shown(event: &Value) -> (&str, &str, u64, &str) {
    let text = |name: &str| event[name].as_str().unwrap_or_default();
    (text("what"), text("opcode"), event["bytes"].as_u64().unwrap(), text("head"))
}

#[test]
fn frames_come_and_go_as_they_are_on_the_wire() {
    let server = TestServer::start(|_| ());
    let mut player = Raw::player(server.client, "/ws?user=ada");
    let path = recorded(&server, &session_of(&server, "ada"));
    // A message in two frames with a ping between them, cut in the middle of its second header.
    let wire = [masked(0x01, b"hello"), masked(PING, b"?"), masked(0x80, &[b'x'; 300])].concat();
    let (first, second) = wire.split_at(wire.len() - 305);
    player.send(first);
    assert_eq!(player.frame().unwrap().payload, b"?");
    player.send(second);
    server.backend().push_text("user=ada&class=urgent", "to you");
    assert_eq!(player.frame().unwrap().text(), "to you");
    let events = so_many_events(&server, &path, 6);
    let long = hex(&[b'x'; 32]);
    let mut expected = [
        ("in", "text", 5, &*hex(b"hello")),
        ("in", "ping", 1, "3f"),
        ("out", "pong", 1, "3f"),
        ("in", "continuation", 300, &*long),
        ("queued", "text", 6, &*hex(b"to you")),
        ("out", "text", 6, &*hex(b"to you")),
    ];
    let mut happened: Vec<_> = events.iter().map(shown).collect();
    // The rest of the message and the push come over two connections.
    for list in [&mut happened[3..], &mut expected[3..]] {
        list.sort_by_key(|(what, ..)| *what != "in");
    }
    assert_eq!(happened, expected);
    assert_eq!((&events[0]["fin"], &events[1]["fin"]), (&json!(false), &Value::Null));
    let classes: Vec<&Value> = events.iter().map(|event| &event["class"]).collect();
    assert_eq!(classes.iter().filter(|class| **class == "urgent").count(), 2, "{classes:?}");
    let times: Vec<u64> = events.iter().map(|event| event["at_us"].as_u64().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
}

#[test]
fn what_becomes_of_messages_in_a_queue_is_recorded() {
    let server = TestServer::start(|config| {
        config.limits.outbox_messages = 8;
        config.apps.get_mut("default").unwrap().slow =
            Slow { normal: SlowPolicy::DropNewest, ..Slow::default() };
    });
    let (mut slow, fill) = stalled(&server, "slow");
    let path = recorded(&server, &session_of(&server, "slow"));
    let mut backend = server.backend();
    let mut push = |options: &str, text: &str| {
        backend.push_text(&format!("user=slow{options}"), text);
    };
    push("&key=score", "old");
    push("&key=score", "new");
    push("&class=droppable", "gives way");
    push("&ttl_ms=100", "too late");
    server.await_stats("its time is over", |totals| totals["deliveries"]["expired"] == 1);
    for number in 0..8 {
        push("", &format!("more {number}"));
    }
    let all = events(&server, &path);
    let of = |what: &str| -> Vec<(String, Value)> {
        let these = all.iter().filter(|event| event["what"] == what);
        these.map(|event| (event["head"].as_str().unwrap().to_owned(), event["class"].clone())).collect()
    };
    assert_eq!(of("replaced"), [(hex(b"old"), json!("normal"))]);
    assert_eq!(of("expired"), [(hex(b"too late"), json!("normal"))]);
    let dropped = of("dropped");
    assert_eq!(dropped[0], (hex(b"gives way"), json!("droppable")), "the oldest of a lower class");
    assert_eq!(dropped.last(), Some(&(hex(b"more 7"), json!("normal"))), "one that found no room");
    assert!(of("out").is_empty(), "{all:?}");
    skip(&mut slow, fill);
    assert_eq!(slow.frame().unwrap().text(), "new");
    until("it has gone out", || {
        events(&server, &path).iter().any(|event| shown(event) == ("out", "text", 3, &hex(b"new")))
    });
    // What waits when the session ends is closed.
    let (gone, _) = stalled(&server, "gone");
    let path = recorded(&server, &session_of(&server, "gone"));
    server.backend().push_text("user=gone", "never");
    gone.reset();
    until("it is recorded", || {
        events(&server, &path).iter().any(|event| shown(event) == ("closed", "text", 5, &hex(b"never")))
    });
}

#[test]
fn an_order_for_a_user_records_the_next_session_from_its_welcome_to_its_end() {
    let server = TestServer::start(|config| config.timeouts.record_order = Duration::from_secs(600));
    let before = server.player("user=ada");
    let mut backend = server.backend();
    assert_eq!(backend.ok("POST", OF_ADA), json!({"user": "ada", "frames": 200}));
    assert_eq!(backend.request("GET", OF_ADA).status, 404, "there is none yet");
    let mut player = Raw::player(server.client, "/ws?user=ada");
    let welcome = events(&server, OF_ADA);
    let (what, opcode, _, head) = shown(&welcome[0]);
    assert_eq!((welcome.len(), what, opcode), (1, "out", "text"));
    assert!(hex(br#"{"type":"welcome""#).starts_with(&head[..32]), "{head}");
    let _another = server.player("user=ada");
    let record = backend.ok("GET", OF_ADA);
    let session = record["session"].as_str().unwrap();
    assert_ne!(session, before.id.to_string());
    assert_eq!((&record["live"], &record["end"]), (&json!(true), &Value::Null));
    player.send(masked(CLOSE, &[&4242_u16.to_be_bytes()[..], b"bye"].concat()));
    assert_eq!(player.closed().0, 4242);
    drop(player);
    let path = format!("/v1/sessions/{session}/record");
    until("it has ended", || backend.ok("GET", &path)["live"] == false);
    until("its socket is closed", || so_many_events(&server, &path, 3).len() == 3);
    let record = backend.ok("GET", &path);
    let last: Vec<_> = record["events"].as_array().unwrap()[1..].iter().map(shown).collect();
    let close = format!("1092{}", hex(b"bye"));
    assert_eq!(last, [("in", "close", 5, &*close), ("out", "close", 2, "1092")]);
    assert_eq!((&record["end"]["code"], &record["end"]["reason"]), (&json!(4242), &json!("bye")));
    assert_eq!(backend.ok("GET", OF_ADA), record, "of the user the same");
    assert_eq!(backend.ok("DELETE", &path), json!({"sessions": 1}));
    for method in ["GET", "DELETE"] {
        let answer = backend.request(method, &path);
        assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (404, Some("unknown_session")));
    }
}

#[test]
fn what_has_ended_is_forgotten_after_its_time_and_leaves_its_place() {
    let server = TestServer::start(|config| {
        config.limits.records = 1;
        config.limits.record_frames = 5;
        config.limits.record_head_bytes = 2;
        config.timeouts.record_kept = Duration::from_millis(500);
        config.timeouts.record_order = Duration::from_millis(200);
    });
    let mut backend = server.backend();
    let (ada, mut bob) = (server.player("user=ada"), server.player("user=bob"));
    let of = |player: &Player| format!("/v1/sessions/{}/record", player.id);
    let (of_ada, of_bob) = (of(&ada), of(&bob));
    for bad in ["?frames=0", "?frames=6", "?frames=x", "?limit=1"] {
        assert_eq!(backend.request("POST", &format!("{of_ada}{bad}")).status, 400, "{bad}");
    }
    assert_eq!(backend.ok("POST", &of_ada)["frames"], 5, "the default is no more than the bound");
    assert_eq!(backend.ok("POST", &format!("{of_ada}?frames=3"))["frames"], 3, "it begins anew");
    let full = backend.request("POST", &of_bob);
    assert_eq!((full.status, full.json()["error"]["code"].as_str()), (429, Some("rate_limited")));
    assert_eq!(backend.request("POST", "/v1/users/eve/record").status, 429);
    drop(ada);
    until("it is over", || backend.request("GET", &of_ada).status == 404);
    // An order holds the place, until its time is over too.
    assert_eq!(backend.ok("POST", "/v1/users/eve/record?frames=1"), json!({"user": "eve", "frames": 1}));
    until("the order is over", || backend.request("POST", &of_bob).status == 200);
    let eve = server.player("user=eve");
    assert_eq!(backend.request("GET", &of(&eve)).status, 404, "nobody records her any more");
    for number in 0..4 {
        bob.send_text(&format!("{number}bob"));
    }
    until("one is lost", || backend.ok("GET", &of_bob)["lost"] == 0 && events(&server, &of_bob).len() == 4);
    bob.send_text("4");
    bob.send_text("5");
    until("one is lost", || backend.ok("GET", &of_bob)["lost"] == 1);
    assert_eq!(events(&server, &of_bob)[0]["head"], hex(b"1b"));
    assert_eq!(backend.ok("DELETE", "/v1/users/bob/record"), json!({"sessions": 1}));
    assert_eq!(backend.ok("POST", "/v1/users/bob/record"), json!({"user": "bob", "frames": 5}));
    assert_eq!(backend.ok("DELETE", "/v1/users/bob/record"), json!({"sessions": 1}), "the order");
    assert_eq!(backend.request("DELETE", "/v1/users/bob/record").status, 404);
    server.reload(|config| config.limits.records = 0);
    assert_eq!(backend.request("POST", &of_bob).status, 429);
}

#[test]
fn a_record_is_for_keys_that_may_do_everything_and_each_order_is_in_the_audit_trail() {
    const ALL: &str = "the-key-that-may-do-everything";
    const LOOK: &str = "the-key-that-may-only-look";
    const CHESS: &str = "the-key-of-the-app-chess";
    let server = TestServer::start(|config| {
        config.apps.insert("chess".into(), Default::default());
        config.backend.keys = vec![
            key("ops", ALL, &[Right::All], &[]),
            key("look", LOOK, &[Right::Read, Right::Push], &[]),
            key("chess", CHESS, &[Right::All], &["chess"]),
        ];
    });
    let player = server.player("user=ada");
    let path = format!("/v1/sessions/{}/record", player.id);
    let order = |line: String, key: &str| ask(server.backend, &line, &bearer(key), b"").status;
    for path in [&*path, OF_ADA] {
        for method in ["POST", "GET", "DELETE"] {
            assert_eq!(order(format!("{method} {path}"), LOOK), 403);
            assert_eq!(order(format!("{method} {path}"), CHESS), 404, "the app is default");
            assert_eq!(ask(server.backend, &format!("{method} {path}"), "", b"").status, 401);
        }
    }
    assert_eq!(order(format!("POST {path}?app=chess"), CHESS), 404, "it is no session of that app");
    assert_eq!(order(format!("POST {path}?frames=7"), ALL), 200);
    assert_eq!(order(format!("GET {path}?app=chess"), CHESS), 404);
    assert_eq!(order(format!("GET {path}"), ALL), 200);
    assert_eq!(order(format!("POST {OF_ADA}?app=chess"), CHESS), 200);
    assert_eq!(order(format!("DELETE {path}"), ALL), 200);
    let trail = ask(server.backend, "GET /v1/admin/audit", &bearer(ALL), b"").json();
    let lines: Vec<_> = trail["lines"].as_array().unwrap().iter().rev().collect();
    let said: Vec<_> = lines
        .iter()
        .map(|line| ["key", "op", "app", "target", "result"].map(|name| line[name].as_str().unwrap()))
        .collect();
    let id = format!("session={}", player.id);
    let unknown = format!("no session {} is live in this app; it may have closed", player.id);
    assert_eq!(
        said,
        [
            ["chess", "record", "chess", &*format!("{id} frames=200"), &*unknown],
            ["ops", "record", "default", &format!("{id} frames=7"), "ok"],
            ["chess", "record", "chess", "user=\"ada\" frames=200", "ok"],
            ["ops", "record_stopped", "default", &id, "ok"],
        ]
    );
}

#[test]
fn of_a_session_over_plain_http_the_messages_are_recorded() {
    let server = TestServer::start(|config| {
        config.apps.get_mut("default").unwrap().resume.linger_ms = 600_000;
    });
    let mut backend = server.backend();
    backend.ok("POST", OF_ADA);
    let mut poller = Poller::open(server.client, "?user=ada", "");
    assert_eq!(poller.say("text/plain", b"hello").status, 204);
    backend.push_text("user=ada", "to you");
    assert_eq!(poller.poll(20_000), ["to you"]);
    let events = so_many_events(&server, OF_ADA, 3);
    let (hello, to_you) = (hex(b"hello"), hex(b"to you"));
    assert_eq!(
        events.iter().map(shown).collect::<Vec<_>>(),
        [("in", "text", 5, &*hello), ("queued", "text", 6, &*to_you), ("written", "text", 6, &*to_you)]
    );
    backend.ok("POST", "/v1/users/eve/record");
    let mut raw = Raw::connect(server.client);
    raw.send(request("GET /sse?user=eve"));
    until("the stream is open", || backend.request("GET", "/v1/users/eve/record").status == 200);
    backend.push_text("user=eve", "event");
    let events = so_many_events(&server, "/v1/users/eve/record", 2);
    let event = hex(b"event");
    assert_eq!(
        events.iter().map(shown).collect::<Vec<_>>(),
        [("queued", "text", 5, &*event), ("written", "text", 5, &*event)]
    );
}

#[test]
fn a_record_goes_on_where_its_client_comes_back() {
    let server = TestServer::start(|config| {
        config.apps.get_mut("default").unwrap().resume.linger_ms = 600_000;
    });
    let mut backend = server.backend();
    let mut first = Raw::connect(server.client);
    first.send(crate::raw::upgrade("/ws?user=ada", ""));
    assert_eq!(first.answer().status, 101);
    let welcome: Value = serde_json::from_str(first.frame().unwrap().text()).unwrap();
    let path = recorded(&server, welcome["session"].as_str().unwrap());
    // Half a frame goes with its connection.
    first.send(&masked(TEXT, b"half")[..7]);
    first.reset();
    let away = || server.backend().ok("GET", "/v1/sessions?user=ada")["sessions"][0]["away"] == true;
    until("its client is away", away);
    backend.push_text("user=ada", "meanwhile");
    let resume = welcome["resume"].as_str().unwrap();
    let mut second = Raw::player(server.client, &format!("/ws?user=ada&resume={resume}&received=0"));
    assert_eq!(second.frame().unwrap().text(), "meanwhile");
    second.send(masked(TEXT, b"back"));
    let events = so_many_events(&server, &path, 4);
    let (meanwhile, back) = (hex(b"meanwhile"), hex(b"back"));
    let happened: Vec<_> = events.iter().map(shown).collect();
    assert_eq!(happened[0], ("queued", "text", 9, &*meanwhile));
    assert_eq!((happened[1].0, happened[1].1), ("out", "text"), "the welcome");
    assert_eq!(happened[2..], [("out", "text", 9, &*meanwhile), ("in", "text", 4, &*back)]);
}

#[test]
fn records_and_orders_go_along_with_an_upgrade() {
    let mut server = Running::start(&["--reactors", "2"], "");
    let mut player = Raw::player(server.client, "/ws?user=ada");
    let path = recorded(&server, &session_of(&server, "ada"));
    let wire = masked(TEXT, b"hello");
    player.send([&wire[..], &wire[..8]].concat());
    so_many_events(&server, &path, 1);
    let mut gone = Raw::player(server.client, "/ws?user=gone");
    let of_gone = recorded(&server, &session_of(&server, "gone"));
    gone.send(masked(CLOSE, &1000_u16.to_be_bytes()));
    gone.rest();
    drop(gone);
    until("it has ended", || server.backend().ok("GET", &of_gone)["live"] == false);
    let mut backend = server.backend();
    backend.ok("POST", "/v1/users/eve/record?frames=9");
    let before = backend.ok("GET", &path);
    let ended = so_many_events(&server, &of_gone, 2);
    server.upgrade();
    assert_eq!(server.backend().ok("GET", &path)["began_unix_ms"], before["began_unix_ms"]);
    player.send(&wire[8..]);
    let events = so_many_events(&server, &path, 2);
    let hello = hex(b"hello");
    assert_eq!(events.iter().map(shown).collect::<Vec<_>>(), [("in", "text", 5, &*hello); 2]);
    assert_eq!(events[0], before["events"][0]);
    assert!(events[1]["at_us"].as_u64() > events[0]["at_us"].as_u64());
    assert_eq!(self::events(&server, &of_gone), ended);
    let _eve = Raw::player(server.client, "/ws?user=eve");
    assert_eq!(self::events(&server, "/v1/users/eve/record").len(), 1, "the order holds");
}

#[test]
fn the_program_begins_a_record_prints_it_and_follows_it_to_the_end() {
    let server = TestServer::start(|_| ());
    let backend = server.backend.to_string();
    let run = |args: &[&str]| said(&gannet(&[&["record", "--backend", &backend], args].concat()));
    let (code, out, _) = run(&["--user", "ada", "--frames", "100"]);
    assert_eq!(code, 0);
    assert!(out.starts_with("the next session of the user will be recorded"), "{out}");
    let mut player = server.player("user=ada");
    let id = player.id.to_string();
    server.backend().push_text("user=ada&class=urgent", "to you");
    assert_eq!(player.recv_text(), "to you");
    so_many_events(&server, OF_ADA, 3);
    let (_, out, _) = run(&["--user", "ada"]);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!((lines.len(), lines[0]), (5, &*format!("session {id}")));
    assert!(lines[2].contains("out       text") && lines[2].contains("type"), "{out}");
    assert!(lines[3].contains("queued    text              6  urgent     \"to you\""), "{out}");
    let (_, json, _) = run(&[&id, "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), server.backend().ok("GET", OF_ADA));
    let mut follower = Command::new(env!("CARGO_BIN_EXE_gannet"));
    follower.args(["record", &id, "--follow", "--json", "--backend", &backend]).stdout(Stdio::piped());
    let follower = follower.spawn().unwrap();
    player.send_text("from me");
    until("it is recorded", || events(&server, OF_ADA).len() == 4);
    drop(player);
    let output = follower.wait_with_output().unwrap();
    let heads: Vec<String> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["what"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        output.status.success() && heads.starts_with(&["out", "queued", "out", "in"].map(Into::into)),
        "{heads:?}"
    );
    let (_, out, _) = run(&[&id]);
    assert!(out.lines().last().unwrap().contains("after its record began: 1006"), "{out}");
    assert_eq!(run(&[&id, "--stop"]), (0, "{\"sessions\":1}\n".to_owned(), String::new()));
    let (code, _, error) = run(&[&id, "--stop"]);
    assert!(code == 1 && error.contains("404 unknown_session"), "{error}");
    assert_eq!(run(&[]).0, 2);
}
