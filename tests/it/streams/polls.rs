//! Long polling: one session over many requests, each of which gets exactly what has not been read.

use super::{GZIP, push};
use crate::raw::{Raw, TEXT, masked};
use crate::support::*;
use crate::tokens::*;
use gannet::config::{BeyondRate, Config, Rate};
use serde_json::json;
use std::thread;
use std::time::Duration;

const LONG_MS: u64 = 600_000;
const WAIT_MS: u64 = 60_000;

fn server(configure: impl FnOnce(&mut Config)) -> TestServer {
    TestServer::start(|config| {
        config.deflate.enabled = true;
        config.apps.get_mut("default").unwrap().resume.linger_ms = LONG_MS;
        configure(config);
    })
}

#[test]
fn polls_get_what_came_between_them_and_what_comes_while_they_wait() {
    for fields in ["", GZIP] {
        let server = server(|_| {});
        let mut poller = Poller::open(server.client, "?user=ada&group=red", fields);
        let ticket = poller.ticket.clone();
        assert_eq!(push(&server, "user=ada", "text/plain", b"1"), 1);
        assert_eq!(push(&server, "group=red", "text/plain", b"2"), 1);
        assert_eq!(poller.poll(WAIT_MS), ["1", "2"]);
        assert_eq!(poller.poll(0), [""; 0]);
        for number in 3..20 {
            poller.begin(WAIT_MS);
            let text = number.to_string().repeat(number);
            assert_eq!(push(&server, "user=ada", "text/plain", text.as_bytes()), 1);
            let document = poller.document();
            assert_eq!(document["messages"], json!([{ "text": text }]));
            assert_eq!(document["received"], number);
        }
        push(&server, "user=ada", "application/octet-stream", &[0, 255]);
        poller.begin(WAIT_MS);
        assert_eq!(poller.document()["messages"], json!([{ "data": "AP8=" }]));
        assert_eq!(poller.ticket, ticket, "one ticket serves the whole chain");
        let stats = server.backend().stats();
        assert_eq!((&stats["sessions"], &stats["deliveries"]["written"]), (&json!(1), &json!(20)));
    }
}

#[test]
fn a_poll_for_which_nothing_comes_is_answered_when_its_time_is_over() {
    let server = server(|config| config.timeouts.poll_wait = Duration::from_millis(50));
    let mut poller = Poller::open(server.client, "?user=ada", "");
    assert_eq!(poller.poll(20), [""; 0]);
    let Poller { ticket, received, .. } = &poller;
    let target = format!("/poll?user=ada&resume={ticket}&received={received}");
    assert_eq!(poller.request("GET", &target, "", b"").json()["messages"], json!([]));
}

#[test]
fn what_an_answer_had_that_was_lost_comes_again_and_what_was_read_does_not() {
    let server = server(|config| config.reactors = Some(2));
    let mut random = Random::new(11);
    let mut poller = Poller::open(server.client, "?user=ada", "");
    let (mut sent, mut read) = (0, 0);
    for _ in 0..60 {
        for _ in 0..random.below(4) {
            push(&server, "user=ada", "text/plain", sent.to_string().as_bytes());
            sent += 1;
        }
        match random.below(3) {
            0 => {
                // Whatever it is answered is lost.
                poller.begin(0);
                poller.vanish();
            }
            1 => poller.vanish(),
            _ => {
                for text in poller.poll(0) {
                    assert_eq!(text, read.to_string());
                    read += 1;
                }
                assert_eq!(poller.received, read);
            }
        }
    }
    while read < sent {
        for text in poller.poll(0) {
            assert_eq!(text, read.to_string());
            read += 1;
        }
    }
}

#[test]
fn a_second_poll_ends_the_first_with_409() {
    let server = server(|_| {});
    let mut poller = Poller::open(server.client, "?user=ada", "");
    let mut first = Raw::connect(server.client);
    first.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", poller.target(WAIT_MS)));
    let mut other = server.backend();
    // It is there when a push says that a poll took it at once: so the second one comes behind the first.
    until("the first waits", || other.scrape().sum("gannet_polls", &[]) == 1);
    poller.begin(WAIT_MS);
    let answer = first.answer();
    assert_eq!((answer.status, answer.error().as_str()), (409, "conflict"));
    push(&server, "user=ada", "text/plain", b"1");
    assert_eq!(poller.document()["messages"], json!([{ "text": "1" }]));
}

#[test]
fn what_a_client_says_goes_where_a_websockets_messages_go() {
    let server = server(|config| config.reactors = Some(4));
    let mut link = server.link();
    link.listen(&["open", "message", "close"], None);
    let mut poller = Poller::open(server.client, "?user=ada", "");
    assert_eq!(link.event()["event"], "open");
    for (kind, body, expected) in [
        ("text/plain", &b"hello"[..], json!({ "text": "hello" })),
        ("application/json", b"{\"a\":1}", json!({ "text": "{\"a\":1}" })),
        ("application/octet-stream", &[0, 255], json!({ "data": "AP8=" })),
        ("text/plain; charset=utf-8", b"", json!({ "text": "" })),
        ("text/plain", "\u{1e}\u{1e}mine".as_bytes(), json!({ "text": "\u{1e}mine" })),
    ] {
        assert_eq!(poller.say(kind, body).status, 204);
        let event = link.event();
        assert_eq!((&event["event"], &event["session"]), (&json!("message"), &json!(poller.session)));
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&event[name], value, "{event}");
        }
    }
    for (kind, body, status) in
        [("text/html", &b"x"[..], 415), ("text/plain", b"\xff", 400), ("text/plain", &[b'x'; 1_048_577], 413)]
    {
        let answer = poller.say(kind, body);
        assert_eq!((answer.status, answer.error().is_empty()), (status, false), "{answer:?}");
        poller.vanish();
    }
    let target = format!("/session?resume={}", poller.ticket);
    assert_eq!(poller.request("DELETE", &target, "", b"").status, 204);
    let close = link.event();
    assert_eq!((&close["event"], &close["code"]), (&json!("close"), &json!(1000)));
    let gone = poller.say("text/plain", b"x");
    assert_eq!((gone.status, gone.error().as_str()), (404, "unknown_session"));
    let gone = poller.request("DELETE", &target, "", b"");
    assert_eq!((gone.status, gone.error().as_str()), (404, "unknown_session"));
}

#[test]
fn messages_of_a_client_come_in_the_order_of_its_requests() {
    let server = server(|config| config.reactors = Some(4));
    let mut link = server.link();
    link.listen(&["message"], None);
    let mut poller = Poller::open(server.client, "?user=ada", "");
    let (stream, _) = EventStream::welcomed(server.client, "/sse?user=bob", "");
    drop(stream);
    for number in 0..100 {
        // Some on a connection of their own, on whatever reactor.
        if number % 3 == 0 {
            poller.vanish();
        }
        assert_eq!(poller.say("text/plain", number.to_string().as_bytes()).status, 204);
    }
    for number in 0..100 {
        assert_eq!(link.event()["text"], number.to_string());
    }
}

#[test]
fn gannets_own_messages_are_answered_beside_the_games() {
    let server = server(|_| {});
    let mut poller = Poller::open(server.client, "?user=ada", "");
    poller.begin(WAIT_MS);
    let mut other = Poller::open(server.client, "?user=bob", "");
    let target = format!("/send?resume={}", poller.ticket);
    let asks = "\u{1e}{\"type\":\"time\",\"t\":7}";
    let said = other.request("POST", &target, "Content-Type: text/plain\r\n", asks.as_bytes());
    assert_eq!(said.status, 204);
    let document = poller.document();
    assert_eq!((&document["messages"], &document["received"]), (&json!([]), &json!(0)));
    assert_eq!((&document["own"][0]["type"], &document["own"][0]["t"]), (&json!("time"), &json!(7)));
    // The same over an event stream.
    let (mut stream, welcome) = EventStream::welcomed(server.client, "/sse?user=eve", GZIP);
    let target = format!("/send?resume={}", welcome["resume"].as_str().unwrap());
    assert_eq!(other.request("POST", &target, "Content-Type: text/plain\r\n", asks.as_bytes()).status, 204);
    let own = stream.next().unwrap();
    assert_eq!((own.name.as_str(), &own.json()["t"]), ("own", &json!(7)));
}

#[test]
fn a_client_that_says_too_much_waits_or_goes() {
    for beyond in [BeyondRate::Pause, BeyondRate::Close] {
        let server = server(|config| {
            config.rates.messages = Rate { per_second: 1, burst: 3 };
            config.rates.beyond = beyond;
        });
        let mut poller = Poller::open(server.client, "?user=ada", "");
        let refused =
            (0..8).map(|_| poller.say("text/plain", b"x")).find(|answer| answer.status != 204).unwrap();
        assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
        let sessions = server.backend().stats()["sessions"].as_u64().unwrap();
        assert_eq!(sessions, u64::from(beyond == BeyondRate::Pause));
    }
}

#[test]
fn a_kick_ends_a_poll_that_waits_with_its_code() {
    let server = server(|_| {});
    let mut poller = Poller::open(server.client, "?user=ada", "");
    poller.begin(WAIT_MS);
    let mut backend = server.backend();
    until("it waits", || backend.scrape().sum("gannet_polls", &[]) == 1);
    backend.change("DELETE", "/v1/users/ada?code=4001&reason=cheating");
    let document = poller.document();
    assert_eq!(document["close"], json!({ "code": 4001, "reason": "cheating" }));
}

#[test]
fn wrong_tickets_open_a_session_and_say_why() {
    let server = server(|_| {});
    let mut poller = Poller::open(server.client, "?user=ada", "");
    push(&server, "user=ada", "text/plain", b"1");
    assert_eq!(poller.poll(0), ["1"]);
    let ticket = poller.ticket.clone();
    let mut ask = |target: &str| {
        let document = poller.request("GET", target, "", b"").json();
        (document["resumed"].clone(), document["why"].as_str().unwrap_or_default().to_owned())
    };
    let is = |why: &str| (json!(false), why.to_owned());
    assert_eq!(ask("/poll?user=ada&resume=abc&received=0"), is("unknown"));
    assert_eq!(ask(&format!("/poll?user=eve&resume={ticket}&received=1")), is("user"));
    assert_eq!(ask(&format!("/poll?user=ada&resume={ticket}&received=2")), is("gap"));
    assert_eq!(ask(&format!("/poll?user=ada&resume={ticket}&received=1")), is("expired"));
}

#[test]
fn polls_are_refused_as_websockets_are() {
    let plain = TestServer::start(|_| {});
    let mut raw = Raw::connect(plain.client);
    raw.send("GET /poll?user=ada HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = raw.answer();
    assert_eq!((answer.status, answer.error().as_str()), (400, "bad_request"));
    let server = server(|config| {
        let mut app = app(&[DEFAULT]);
        app.resume.linger_ms = LONG_MS;
        app.origins = vec!["https://game.example".parse().unwrap()];
        config.apps.insert("default".into(), app);
        config.limits.max_away = 1;
    });
    let good = token(HS256, &json!({ "sub": "ada", "exp": now() + 60 }), DEFAULT);
    let ask = |target: &str, origin: &str| {
        let mut raw = Raw::connect(server.client);
        raw.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\nOrigin: {origin}\r\n\r\n"));
        raw.answer()
    };
    let page = "https://game.example";
    for (target, origin, status) in [
        ("/poll", page, 401),
        (&*format!("/poll?token={good}"), "https://evil.example", 403),
        (&*format!("/poll?token={good}&wait_ms=60001"), page, 400),
        (&*format!("/poll?token={good}&resume=x"), page, 400),
        ("/poll/poker", page, 404),
        (&*format!("/poll?token={good}"), page, 200),
        (&*format!("/poll?token={good}"), page, 503),
    ] {
        let answer = ask(target, origin);
        assert_eq!(answer.status, status, "{target} {answer:?}");
        let allowed = (origin == page).then_some(page);
        assert_eq!(answer.header("access-control-allow-origin"), allowed, "{target}");
    }
}

#[test]
fn nobody_hears_of_a_session_for_which_there_was_no_place() {
    let server = server(|config| config.limits.max_away = 1);
    let mut link = server.link();
    link.listen(&["open", "close", "join", "leave"], None);
    let mut ada = Poller::open(server.client, "?user=ada&group=red", "");
    let mut raw = Raw::connect(server.client);
    raw.send("GET /poll?user=bob&group=red HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(raw.answer().status, 503);
    let target = format!("/session?resume={}", ada.ticket);
    assert_eq!(ada.request("DELETE", &target, "", b"").status, 204);
    for (event, user) in [("open", "ada"), ("join", "ada"), ("leave", "ada"), ("close", "ada")] {
        let heard = link.event();
        assert_eq!((&heard["event"], &heard["user"]), (&json!(event), &json!(user)), "{heard}");
    }
    assert_eq!(link.command(json!({ "op": "push", "to": { "all": true }, "text": "x" }))["matched"], 0);
    assert!(link.events_so_far().is_empty());
}

#[test]
fn one_session_changes_between_polls_events_and_websocket() {
    let server = server(|_| {});
    let mut poller = Poller::open(server.client, "?user=ada", "");
    push(&server, "user=ada", "text/plain", b"1");
    assert_eq!(poller.poll(0), ["1"]);
    poller.begin(WAIT_MS);
    until("it waits", || server.backend().scrape().sum("gannet_polls", &[]) == 1);
    let target = format!("/sse?user=ada&resume={}&received=1", poller.ticket);
    let (mut stream, welcome) = EventStream::welcomed(server.client, &target, "");
    assert_eq!((&welcome["resumed"], welcome["session"].as_str()), (&json!(true), Some(&*poller.session)));
    assert_eq!(poller.answer("GET").status, 409);
    push(&server, "user=ada", "text/plain", b"2");
    let event = stream.next().unwrap();
    assert_eq!(event.data, "2");
    let (ticket, _) = event.last_id.rsplit_once(':').unwrap();
    poller.ticket = ticket.to_owned();
    (poller.received, _) = (2, push(&server, "user=ada", "text/plain", b"3"));
    assert_eq!(stream.text(), "3");
    // It has not been read by whoever polls.
    assert_eq!(poller.poll(0), ["3"]);
    assert_eq!(stream.closed().0, 4002);
    let mut player = server.player(&format!("resume={}&received=3", poller.ticket));
    assert_eq!(player.welcome["resumed"], true);
    push(&server, "user=ada", "text/plain", b"4");
    assert_eq!(player.recv_text(), "4");
}

#[test]
fn requests_that_are_pipelined_are_answered_in_their_order() {
    let server = server(|_| {});
    let poller = Poller::open(server.client, "?user=ada", "");
    push(&server, "user=ada", "text/plain", b"1");
    let mut raw = Raw::connect(server.client);
    let say = format!(
        "POST /send?resume={} HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi",
        poller.ticket
    );
    let poll = format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", poller.target(0));
    let stream = "GET /sse?user=bob HTTP/1.1\r\nHost: a\r\n\r\n";
    raw.send(format!("{say}{poll}{say}{stream}"));
    assert_eq!(raw.answer_to("POST").status, 204);
    assert_eq!(raw.answer().json()["messages"], json!([{ "text": "1" }]));
    assert_eq!(raw.answer_to("POST").status, 204);
    let head = raw.answer();
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    let mut raw = Raw::connect(server.client);
    raw.send(&say);
    assert_eq!(raw.answer_to("POST").status, 204);
    raw.send(crate::raw::upgrade("/ws?user=eve", ""));
    assert_eq!(raw.answer().status, 101);
    assert!(raw.frame().unwrap().text().contains("welcome"));
    raw.send(masked(TEXT, b"x"));
    push(&server, "user=eve", "text/plain", b"hi");
    assert_eq!(raw.frame().unwrap().text(), "hi");
}

#[test]
fn through_proxies_every_number_comes_once() {
    let server = server(|config| config.reactors = Some(4));
    let (nginx, old) = (Nginx::before(server.client), OldProxy::before(server.client));
    for (name, address) in [("ada", nginx.address), ("bob", old.address)] {
        let mut poller = Poller::open(address, &format!("?user={name}"), GZIP);
        let ports = *server;
        let pushing = thread::spawn(move || {
            let mut backend = ports.backend();
            for number in 0..300 {
                assert_eq!(backend.push_text(&format!("user={name}"), &number.to_string()).queued, 1);
            }
        });
        let mut next = 0;
        while next < 300 {
            for text in poller.poll(WAIT_MS) {
                assert_eq!(text, next.to_string());
                next += 1;
            }
        }
        pushing.join().unwrap();
    }
}

#[test]
fn whoever_polls_no_more_is_gone_after_its_time() {
    let server = server(|config| {
        config.apps.get_mut("default").unwrap().resume.linger_ms = 50;
        config.timeouts.upgrade = Duration::from_millis(300);
    });
    let mut link = server.link();
    link.listen(&["open", "close"], None);
    let mut poller = Poller::open(server.client, "?user=ada", "");
    assert_eq!(link.event()["event"], "open");
    let close = link.event();
    assert_eq!((&close["event"], &close["code"]), (&json!("close"), &json!(1006)));
    let document = poller.request("GET", &poller.target(0), "", b"").json();
    assert_eq!((&document["resumed"], &document["why"]), (&json!(false), &json!("expired")));
    // The connection on which nothing comes is closed too.
    server.await_stats("all have gone", |stats| stats["sessions"] == 0);
}
