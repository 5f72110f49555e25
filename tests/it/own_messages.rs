//! gannet's own messages on a player's connection: who has them, what they answer, and that the game's own texts are never
//! taken for them.

use crate::raw::{Raw, TEXT, masked, upgrade};
use crate::support::*;
use crate::tokens::*;
use gannet::config::{BeyondRate, Config, Rate};
use gannet::dispatch::{EncodedFrame, PushOptions, Selector, Target};
use gannet::{App, Message, Session};
use serde_json::{Value, json};
use std::time::Duration;

const OWN: &str = "Sec-WebSocket-Protocol: gannet.v1\r\n";
const MARK: &str = "\u{1e}";

/// A player that has agreed on gannet's own messages, past its welcome.
fn connect(server: &Ports, target: &str) -> Raw {
    let mut raw = Raw::connect(server.client);
    raw.send(upgrade(target, OWN));
    let answer = raw.answer();
    assert_eq!((answer.status, answer.header("sec-websocket-protocol")), (101, Some("gannet.v1")));
    let welcome = raw.frame().unwrap();
    assert!(welcome.text().starts_with(r#"{"type":"welcome""#), "{welcome:?}");
    raw
}

fn say(raw: &mut Raw, text: &str) {
    raw.send(masked(TEXT, text.as_bytes()));
}

/// gannet's own message that must come next.
fn own(raw: &mut Raw) -> Value {
    let frame = raw.frame().unwrap();
    serde_json::from_str(frame.text().strip_prefix(MARK).unwrap()).unwrap()
}

/// An app of the test's that sends every text back.
struct Parrot;

impl App for Parrot {
    fn message(&mut self, session: &mut Session<'_>, message: Message<'_>) {
        if let Message::Text(text) = message {
            session.send_text(text);
        }
    }
}

#[test]
fn time_is_told_at_once_and_errors_say_what_is_wrong() {
    let server = TestServer::start(|_| {});
    let mut raw = connect(&server, "/ws?user=ada");
    for (t, before) in [("123", now()), ("-0.5", now()), ("1760000000000.25", now())] {
        say(&mut raw, &format!("{MARK}{{\"type\":\"time\",\"t\":{t}}}"));
        let frame = raw.frame().unwrap();
        assert!(
            frame.text().starts_with(&format!("{MARK}{{\"type\":\"time\",\"t\":{t},\"server_unix_ms\":")),
            "{frame:?}"
        );
        let told: Value = serde_json::from_str(&frame.text()[1..]).unwrap();
        let server_s = told["server_unix_ms"].as_u64().unwrap() / 1000;
        assert!((before..=now()).contains(&server_s), "{told}");
    }
    for (text, of) in [
        ("", Value::Null),
        ("{}", Value::Null),
        ("time", Value::Null),
        (r#"{"type":"time"}"#, json!("time")),
        (r#"{"type":"reboot"}"#, json!("reboot")),
    ] {
        say(&mut raw, &format!("{MARK}{text}"));
        let error = own(&mut raw);
        assert_eq!(
            (&error["type"], &error["of"], &error["code"]),
            (&json!("error"), &of, &json!("bad_request"))
        );
        assert!(!error["message"].as_str().unwrap().is_empty());
    }
    // Where players are taken at their word there is nothing to renew.
    say(&mut raw, &format!("{MARK}{}", json!({ "type": "renew", "token": "a.b.c" })));
    let error = own(&mut raw);
    assert_eq!((&error["of"], &error["code"]), (&json!("renew"), &json!("unauthorized")));
    let stats = server.backend().stats();
    assert_eq!(
        (&stats["messages_in"], &stats["messages_out"]),
        (&json!(0), &json!(0)),
        "counted by neither side"
    );
}

#[test]
fn the_games_own_texts_arrive_as_they_were_sent_whatever_they_begin_with() {
    let server = TestServer::with_app(|config| config.deflate.enabled = true, |_| Box::new(Parrot));
    let mut link = server.link();
    link.listen(&["message"], None);
    let (mut raw, mut plain) = (connect(&server, "/ws?user=ada&group=g"), server.player("user=bob&group=g"));
    for text in ["", "hi", "{}", MARK, "\u{1e}{\"type\":\"time\",\"t\":1}", "\u{1e}\u{1e}x", "x\u{1e}"] {
        let doubled = if text.starts_with(MARK) { format!("{MARK}{text}") } else { text.to_owned() };
        // From the game to both.
        let receipt = server.backend().push_text("group=g&receipt=written", text);
        assert_eq!(receipt.matched, 2, "{text:?}");
        assert_eq!((raw.frame().unwrap().text(), plain.recv_text()), (doubled.as_str(), text.to_owned()));
        // From both to the game, and what it sends back.
        say(&mut raw, &doubled);
        assert_eq!(link.event()["text"], text, "{text:?}");
        assert_eq!(raw.frame().unwrap().text(), doubled);
        plain.send_text(text);
        assert_eq!(link.event()["text"], text, "{text:?}");
        assert_eq!(plain.recv_text(), text);
    }
    // Binary messages are the game's, whatever they begin with.
    let frame = EncodedFrame::binary(MARK.as_bytes());
    let target = Target::from(Selector::User(gannet::session::Name::new("ada").unwrap()));
    server.pusher().push("default", target, frame, PushOptions::default()).unwrap();
    assert_eq!(raw.frame().unwrap().payload, MARK.as_bytes());
}

#[test]
fn a_client_that_is_behind_gets_its_texts_doubled_too() {
    let server = TestServer::start(|_| {});
    let mut narrow = Raw::connect_narrow(server.client);
    narrow.send(upgrade("/ws?user=ada", OWN));
    narrow.answer();
    narrow.frame().unwrap();
    let text = format!("{MARK}{}", "x".repeat(60_000));
    let mut backend = server.backend();
    // More than its socket takes: most of it waits in the outbox, where its memory is counted.
    (0..12).for_each(|_| assert_eq!(backend.push_text("user=ada", &text).queued, 1));
    for _ in 0..12 {
        assert_eq!(narrow.frame().unwrap().text(), format!("{MARK}{text}"));
    }
    server.await_stats("nothing waits", |totals| totals["outbox_memory"] == 0 && totals["outbox_bytes"] == 0);
}

#[test]
fn without_the_subprotocol_the_mark_means_nothing() {
    let apps = Config::from_toml("[apps.default]\nsubprotocols = ['chess.v2']").unwrap().apps;
    let server = TestServer::with_app(|config| config.apps = apps, |_| Box::new(Parrot));
    let time = format!("{MARK}{{\"type\":\"time\",\"t\":1}}");
    for offer in ["", "Sec-WebSocket-Protocol: chess.v2, gannet.raw\r\n"] {
        let mut raw = Raw::connect(server.client);
        raw.send(upgrade("/ws?user=ada", offer));
        assert_eq!(raw.answer().status, 101);
        if offer.is_empty() {
            raw.frame().unwrap();
        }
        say(&mut raw, &time);
        assert_eq!(raw.frame().unwrap().text(), time);
        server.backend().push_text("user=ada", &time);
        assert_eq!(raw.frame().unwrap().text(), time);
    }
    assert_eq!(server.backend().stats()["messages_in"], 2);
}

#[test]
fn it_is_selected_before_the_apps_own_and_never_on_an_echo() {
    let apps = Config::from_toml("[apps.default]\nsubprotocols = ['chess.v2']").unwrap().apps;
    let server = TestServer::start(|config| (config.apps, config.echo) = (apps, true));
    let selected = |target: &str, offer: &str| {
        let answer = ask(server.client, target, &format!("Sec-WebSocket-Protocol: {offer}\r\n"));
        (answer.status, answer.header("sec-websocket-protocol").map(str::to_owned))
    };
    let own = || Some("gannet.v1".to_owned());
    assert_eq!(selected("/ws?user=ada", "chess.v2, gannet.v1"), (101, own()));
    assert_eq!(selected("/ws?user=ada", "gannet.raw, gannet.v1"), (101, own()));
    assert_eq!(selected("/echo", "gannet.v1").0, 400);
    assert_eq!(selected("/echo", "gannet.v1, gannet.raw"), (101, Some("gannet.raw".to_owned())));
    // No welcome, and gannet's own messages all the same.
    let mut raw = Raw::connect(server.client);
    raw.send(upgrade("/ws?user=ada", "Sec-WebSocket-Protocol: gannet.raw, gannet.v1\r\n"));
    raw.answer();
    say(&mut raw, &format!("{MARK}{{\"type\":\"time\",\"t\":1}}"));
    assert_eq!(self::own(&mut raw)["t"], 1);
}

#[test]
fn gannets_own_messages_count_in_the_rate_of_what_a_client_sends() {
    let server = TestServer::start(|config| {
        config.rates.messages = Rate { per_second: 1, burst: 3 };
        config.rates.beyond = BeyondRate::Close;
    });
    let mut raw = connect(&server, "/ws?user=ada");
    // At once: while they are sent no time passes in which more would be allowed.
    raw.send(masked(TEXT, format!("{MARK}{{\"type\":\"time\",\"t\":1}}").as_bytes()).repeat(10));
    let mut answers = 0;
    let end = loop {
        let frame = raw.frame().unwrap();
        match frame.first {
            TEXT => answers += 1,
            _ => break frame,
        }
    };
    assert_eq!(end.close(), (1008, "too fast"));
    assert!((3..=4).contains(&answers), "{answers}");
}

#[test]
fn a_drain_says_where_to_go_on_before_the_close() {
    let server = TestServer::start(|config| config.reactors = Some(1));
    let (mut with, mut without) =
        (connect(&server, "/ws?user=ada"), Raw::player(server.client, "/ws?user=bob"));
    server.backend().ok("POST", "/v1/admin/drain?over_ms=10&to=wss://b.example/ws");
    let told = own(&mut with);
    let (code, reason) = with.closed();
    assert_eq!(told["type"], "reconnect");
    let after_ms = told["after_ms"].as_u64().unwrap();
    assert_eq!((told["to"].as_str(), code), (Some("wss://b.example/ws"), 1012));
    assert_eq!(reason, format!("after_ms={after_ms} to=wss://b.example/ws"));
    assert_eq!(without.closed().0, 1012);
}

#[test]
fn a_session_renews_its_token_and_lives_on_or_keeps_the_end_that_it_had() {
    const HOUR: i64 = 3_600;
    let clock = WallClock::new();
    let config = format!("apps.default.secrets = [\"{DEFAULT}\"]\nauth.renew_interval_ms = 0\n");
    let server = ServerProcess::start_with_clock(&clock, &["--reactors", "1"], &config);
    let says =
        |user: &str, secs: i64| token(HS256, &json!({ "sub": user, "exp": now() as i64 + secs }), DEFAULT);
    let renew = |raw: &mut Raw, token: &str| {
        say(raw, &format!("{MARK}{}", json!({ "type": "renew", "token": token })));
        own(raw)
    };
    let first = says("ada", HOUR);
    let mut raw = Raw::connect(server.client);
    raw.send(upgrade(&format!("/ws?token={first}"), OWN));
    raw.answer();
    let welcome: Value = serde_json::from_str(raw.frame().unwrap().text()).unwrap();
    let first_end_ms = welcome["expires_unix_ms"].as_u64().unwrap();
    // Of the same reactor, with the same end, and not renewed.
    let mut witness = connect(&server, &format!("/ws?token={first}"));
    for (bad, why) in [
        (says("eve", 3 * HOUR), "another user"),
        ("a.b.c".to_owned(), "no token"),
        (says("ada", -HOUR), "expired"),
        (token(HS256, &json!({ "sub": "ada", "exp": now() + 9_000 }), CHESS), "another secret"),
    ] {
        let error = renew(&mut raw, &bad);
        let expected = (&json!("error"), &json!("renew"), &json!("unauthorized"));
        assert_eq!((&error["type"], &error["of"], &error["code"]), expected, "{why}");
    }
    let renewed = renew(&mut raw, &says("ada", 3 * HOUR));
    assert_eq!(renewed["type"], "renewed");
    let end_ms = renewed["expires_unix_ms"].as_u64().unwrap();
    assert!(end_ms > first_end_ms + 6_000_000, "{renewed}");
    clock.set(2 * HOUR);
    assert_eq!(witness.closed(), (4004, "token expired".to_owned()));
    say(&mut raw, &format!("{MARK}{{\"type\":\"time\",\"t\":1}}"));
    assert_eq!(own(&mut raw)["t"], 1, "the first end has passed");
    // The new token's end is the session's: a nearer one counts too.
    let renewed = renew(&mut raw, &says("ada", 2 * HOUR + HOUR / 2));
    assert!(renewed["expires_unix_ms"].as_u64().unwrap() < end_ms, "{renewed}");
    clock.set(2 * HOUR + HOUR * 3 / 4);
    assert_eq!(raw.closed(), (4004, "token expired".to_owned()));
    assert_eq!(server.backend().stats()["renewed"], 2);
}

#[test]
fn a_client_may_have_one_token_checked_in_the_interval() {
    let server = TestServer::start(|config| {
        config.apps.insert("default".into(), app(&[DEFAULT]));
        config.auth.renew_interval = Duration::from_secs(3600);
    });
    let token = token(HS256, &json!({ "sub": "ada", "exp": now() + 600 }), DEFAULT);
    let mut raw = connect(&server, &format!("/ws?token={token}"));
    let renew = format!("{MARK}{}", json!({ "type": "renew", "token": token }));
    say(&mut raw, &renew);
    assert_eq!(own(&mut raw)["type"], "renewed");
    say(&mut raw, &renew);
    let error = own(&mut raw);
    assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("rate_limited")));
}
