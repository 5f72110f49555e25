//! The bounds of apps, users, addresses and rates: what is beyond them is refused, closed or paused, and counted; what is
//! within them is not concerned.

use crate::raw::{CLOSE, PING, Raw, TEXT, masked, upgrade};
use crate::support::*;
use crate::tokens::{ask, connect_from};
use gannet::config::{AppConfig, BeyondRate, PerUser, PerUserPolicy, Rate};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::thread;
use std::time::Instant;

fn with_per_user(max: usize, policy: PerUserPolicy) -> TestServer {
    TestServer::start(|config| {
        let per_user = PerUser { max, policy };
        config.apps.insert("chess".into(), AppConfig { per_user, ..AppConfig::default() });
    })
}

#[test]
fn an_app_has_so_many_sessions_and_others_have_theirs() {
    let server = TestServer::start(|config| {
        config.apps.insert("chess".into(), AppConfig { max_sessions: 3, ..AppConfig::default() });
    });
    let mut players: Vec<Player> = (0..3).map(|_| server.try_player("/ws/chess").unwrap()).collect();
    for _ in 0..2 {
        let answer = ask(server.client, "/ws/chess", "");
        assert_eq!((answer.status, answer.error().as_str()), (503, "overloaded"));
        assert_eq!(answer.header("retry-after"), Some("5"));
    }
    let _others: Vec<Player> = (0..5).map(|_| server.player("")).collect();
    server.await_stats("all are counted", |totals| totals["sessions"] == 8);
    players.pop().unwrap().close(1000, "");
    players.pop().unwrap().reset();
    server.await_stats("two have gone", |totals| totals["sessions"] == 6);
    players.extend((0..2).map(|_| server.try_player("/ws/chess").unwrap()));
    assert_eq!(ask(server.client, "/ws/chess", "").status, 503);
    assert_eq!(server.backend().stats()["refused"]["app_full"], 3);
}

#[test]
fn a_user_with_as_many_sessions_as_it_may_have_gets_no_more() {
    let server = with_per_user(2, PerUserPolicy::Refuse);
    let mut players: Vec<Player> = (0..2).map(|_| server.try_player("/ws/chess?user=ada").unwrap()).collect();
    let answer = ask(server.client, "/ws/chess?user=ada", "");
    assert_eq!((answer.status, answer.error().as_str()), (429, "rate_limited"));
    let others = ["/ws/chess?user=bob", "/ws/chess", "/ws?user=ada", "/ws?user=ada", "/ws?user=ada"]
        .map(|target| server.try_player(target).unwrap());
    // Nor does a session become one of its.
    let mut backend = server.backend();
    let bind = |user: &str| format!("/v1/sessions/{}/user?user={user}&app=chess", others[0].id);
    let reply = backend.request("PUT", &bind("ada"));
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (429, &json!("rate_limited")));
    assert_eq!(backend.push_text("user=bob&app=chess", "still bob").matched, 1);
    assert_eq!(backend.change("PUT", &bind("carol")), 1);
    players.pop().unwrap().close(1000, "");
    backend_sees(&server, "chess", "ada", 1);
    assert_eq!(backend.change("PUT", &bind("ada")), 1);
    assert_eq!(ask(server.client, "/ws/chess?user=ada", "").status, 429);
    assert_eq!(ask(server.client, "/ws/chess?user=bob", "").status, 101, "its place is free again");
    assert_eq!(backend.stats()["refused"]["user"], 2);
}

/// Waits until the user has so many sessions.
fn backend_sees(server: &TestServer, app: &str, user: &str, sessions: u64) {
    let mut backend = server.backend();
    server.await_stats("the user's sessions", |_| {
        backend.ok("GET", &format!("/v1/sessions?user={user}&app={app}"))["count"] == sessions
    });
}

#[test]
fn a_newer_session_takes_the_place_of_the_oldest_wherever_that_is() {
    let server = with_per_user(2, PerUserPolicy::ReplaceOldest);
    let mut link = server.link();
    link.command(json!({ "op": "listen", "app": "chess", "events": ["close"] }));
    // Four reactors: each newcomer is on another one.
    let mut players: Vec<Player> = (0..9).map(|_| server.try_player("/ws/chess?user=ada").unwrap()).collect();
    let workers: BTreeSet<u8> = players.iter().map(|player| player.id.worker()).collect();
    assert!(workers.len() > 1);
    let mut kept = players.split_off(7);
    for player in &mut players {
        assert_eq!(player.recv_end(), End::Closed(4002, "replaced by a newer session".into()));
        let event = link.event();
        assert_eq!(event["code"], 4002);
    }
    backend_sees(&server, "chess", "ada", 2);
    let mut backend = server.backend();
    assert_eq!(backend.push_text("app=chess&user=ada", "hi").matched, 2);
    kept.iter_mut().for_each(|player| assert_eq!(player.recv_text(), "hi"));
    // A session that is bound to her is the newest.
    let mut bound = server.try_player("/ws/chess?user=bob").unwrap();
    assert_eq!(backend.change("PUT", &format!("/v1/sessions/{}/user?user=ada&app=chess", bound.id)), 1);
    assert_eq!(kept[0].recv_end(), End::Closed(4002, "replaced by a newer session".into()));
    backend.push_text("app=chess&user=ada", "again");
    assert_eq!((kept[1].recv_text(), bound.recv_text()), ("again".into(), "again".into()));
    assert_eq!(backend.stats()["closed"]["4002"], 8);
}

#[test]
fn a_storm_of_one_users_sessions_leaves_as_many_as_it_may_have() {
    let server = with_per_user(3, PerUserPolicy::ReplaceOldest);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..25 {
                    // It may be replaced before it has been welcomed, or leaves by itself.
                    let _ = server.try_player("/ws/chess?user=ada").map(Player::reset);
                }
            });
        }
    });
    server.await_stats("all have gone", |totals| totals["sessions"] == 0);
    let mut players: Vec<Player> =
        (0..10).map(|_| server.try_player("/ws/chess?user=ada").unwrap()).collect();
    backend_sees(&server, "chess", "ada", 3);
    let last = players.split_off(7);
    assert_eq!(server.backend().push_text("app=chess&user=ada", "hi").matched, 3);
    last.into_iter().for_each(|mut player| assert_eq!(player.recv_text(), "hi"));
}

#[test]
fn an_address_has_so_many_sessions() {
    let server = TestServer::start(|config| config.limits.sessions_per_address = 3);
    let from = |host: u8| Player::over(connect_from([127, 0, 0, host], server.client), "/ws");
    let mut players: Vec<Player> = (0..3).map(|_| from(2).unwrap()).collect();
    for _ in 0..4 {
        match from(2) {
            Err(Refusal::Http { status, code }) => assert_eq!((status, code.as_str()), (429, "rate_limited")),
            other => panic!("{:?}", other.map(|player| player.id)),
        }
    }
    let _others: Vec<Player> = (0..3).map(|_| from(3).unwrap()).collect();
    server.await_stats("all are counted", |totals| totals["sessions"] == 6);
    players.pop().unwrap().reset();
    server.await_stats("one has gone", |totals| totals["sessions"] == 5);
    players.push(from(2).unwrap());
    assert_eq!(from(2).map(|player| player.id).unwrap_err().status(), 429);
    assert_eq!(server.backend().stats()["refused"]["address"], 5);
}

#[test]
fn an_address_has_so_many_connections_whatever_they_are_for() {
    let server = TestServer::start(|config| config.limits.connections_per_address = 4);
    let mut silent: Vec<_> = (0..3).map(|_| connect_from([127, 0, 0, 2], server.client)).collect();
    let player = Player::over(connect_from([127, 0, 0, 2], server.client), "/ws").unwrap();
    for _ in 0..50 {
        let mut stream = connect_from([127, 0, 0, 2], server.client);
        assert!(is_over(&mut stream), "closed as it came");
    }
    let _other = Player::over(connect_from([127, 0, 0, 3], server.client), "/ws").unwrap();
    assert_eq!(server.backend().stats()["refused"]["connections"], 50);
    player.close(1000, "");
    silent.pop();
    // Their places are free once the server has seen them go.
    let mut found = Vec::new();
    server.await_stats("two places are free", |_| {
        found.extend(Player::over(connect_from([127, 0, 0, 2], server.client), "/ws").ok());
        found.len() == 2
    });
    assert!(is_over(&mut connect_from([127, 0, 0, 2], server.client)), "closed as it came");
}

#[test]
fn upgrades_come_at_their_rate() {
    let statuses = |server: &TestServer, host: u8, count: usize| -> Vec<u16> {
        let one = |_| match Player::over(connect_from([127, 0, 0, host], server.client), "/ws") {
            Ok(_) => 101,
            Err(Refusal::Http { status, .. }) => status,
            Err(Refusal::Io(error)) => panic!("{error}"),
        };
        (0..count).map(one).collect()
    };
    // However slow the machine is: no more are let in than its time and the burst allow, and those above are refused.
    let until_refused = |burst: usize, mut ask: Box<dyn FnMut(usize) -> u16 + '_>| -> u64 {
        let started = Instant::now();
        let (mut taken, mut refused) = (0, 0);
        for number in 0.. {
            match ask(number) {
                101 => taken += 1,
                429 => refused += 1,
                other => panic!("{other}"),
            }
            assert!(taken <= burst + 1 + started.elapsed().as_secs() as usize, "{taken} taken");
            assert!(refused == 0 || taken >= burst, "the burst is at once");
            if refused == 20 {
                break;
            }
        }
        refused
    };
    let server =
        TestServer::start(|config| config.rates.upgrades_per_address = Rate { per_second: 1, burst: 5 });
    let refused = until_refused(5, Box::new(|_| statuses(&server, 2, 1)[0]));
    assert_eq!(statuses(&server, 3, 5), [101; 5], "another address has its own rate");
    assert_eq!(server.backend().stats()["refused"]["rate"], refused);

    let server = TestServer::start(|config| config.rates.upgrades = Rate { per_second: 1, burst: 6 });
    until_refused(6, Box::new(|number| statuses(&server, 2 + (number % 10) as u8, 1)[0]));
}

/// The next message events, which must be of text.
fn texts(link: &mut Link, count: usize) -> Vec<String> {
    (0..count).map(|_| link.event()["text"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_session_that_sends_too_much_is_closed() {
    let rate = |per_second, burst| Rate { per_second, burst };
    let server = TestServer::start(|config| {
        config.rates.messages = rate(1, 10);
        config.rates.bytes = rate(1_000, 200_000);
        config.echo = true;
    });
    let mut link = server.link();
    link.listen(&["message"], None);
    let mut quiet = server.player("user=ada");
    (0..5).for_each(|number| quiet.send_text(&number.to_string()));
    assert_eq!(texts(&mut link, 5), ["0", "1", "2", "3", "4"]);

    let many = |frame: Vec<u8>| frame.repeat(3_000);
    for (what, bytes) in [
        ("messages", many(masked(TEXT, b"x"))),
        ("messages", many(masked(PING, b""))),
        ("bytes", masked(TEXT, &[b'x'; 300_000])),
        // Fragments are no messages, but bytes.
        ("bytes", [masked(0x01, &[b'x'; 150_000]), masked(0x80, &[b'x'; 150_000])].concat()),
    ] {
        for target in ["/ws", "/echo"] {
            let before = server.backend().stats();
            let mut raw = Raw::connect(server.client);
            raw.send(upgrade(target, "Sec-WebSocket-Protocol: gannet.raw\r\n"));
            assert_eq!(raw.answer().status, 101);
            let mut sender = raw.sender();
            thread::scope(|scope| {
                // The server may be gone before all of it is sent.
                scope.spawn(|| std::io::Write::write_all(&mut sender, &bytes).is_ok());
                loop {
                    let frame = raw.frame().expect("a Close frame");
                    if frame.first == CLOSE {
                        assert_eq!(frame.close(), (1008, "too fast"), "{what} at {target}");
                        break;
                    }
                }
                raw.end_writing();
                raw.rest();
            });
            let after = server.backend().stats();
            assert!(count(&after, what) > count(&before, what), "{what} at {target}");
        }
    }
    quiet.send_text("quiet");
    let heard = std::iter::from_fn(|| Some(texts(&mut link, 1).remove(0)));
    assert!(heard.take(100).any(|text| text == "quiet"), "it is still there");
    assert_eq!(server.backend().push_text("user=ada", "hi").matched, 1);
    assert_eq!(quiet.recv_text(), "hi");
}

fn count(stats: &Value, what: &str) -> u64 {
    stats["throttled"][what].as_u64().unwrap()
}

#[test]
fn a_session_that_is_paused_loses_nothing() {
    let rate = |per_second, burst| Rate { per_second, burst };
    let server = TestServer::start(|config| {
        config.rates.messages = rate(500, 20);
        // Less than one read brings: however slowly it is read, it is too much.
        config.rates.bytes = rate(200_000, 10_000);
        config.rates.beyond = BeyondRate::Pause;
    });
    let mut link = server.link();
    link.listen(&["message", "close"], None);
    let mut ada = server.player("user=ada");
    let mut eve = server.player("user=eve");
    // All at once, so that it is paused in the middle of what was read; with large ones among them.
    let sent: Vec<String> = (0..300)
        .map(|number| format!("{number} {}", "x".repeat(if number % 50 == 0 { 40_000 } else { number % 7 })))
        .collect();
    let mut bytes: Vec<u8> = sent.iter().flat_map(|text| masked(TEXT, text.as_bytes())).collect();
    bytes.extend(masked(CLOSE, b"\x03\xe8bye"));
    let heard = thread::scope(|scope| {
        let mut stream = eve.stream().try_clone().unwrap();
        scope.spawn(move || std::io::Write::write_all(&mut stream, &bytes).unwrap());
        // Pushes reach it all the while.
        for number in 0..20 {
            let receipt = server.backend().push_text("all=1&receipt=written", &number.to_string());
            assert_eq!(receipt.written, Some(receipt.matched));
            assert_eq!(ada.recv_text(), number.to_string());
        }
        texts(&mut link, sent.len())
    });
    assert_eq!(heard, sent);
    let close = link.event();
    assert_eq!(
        (&close["event"], &close["code"], &close["reason"]),
        (&json!("close"), &json!(1000), &json!("bye"))
    );
    while eve.next().is_ok() {}
    let totals = server.backend().stats();
    assert!(count(&totals, "messages") > 0 && count(&totals, "bytes") > 0, "{totals:#}");
    assert_eq!(totals["closed"]["1008"], 0);
}

#[test]
fn a_paused_session_can_be_kicked() {
    let server = TestServer::start(|config| {
        config.rates.messages = Rate { per_second: 1, burst: 1 };
        config.rates.beyond = BeyondRate::Pause;
    });
    let mut raw = Raw::player(server.client, "/ws?user=ada");
    raw.send(masked(TEXT, b"x").repeat(100));
    server.await_stats("it is paused", |totals| count(totals, "messages") > 0);
    assert_eq!(server.backend().change("DELETE", "/v1/users/ada?reason=enough"), 1);
    let frame = raw.frame().unwrap();
    assert_eq!(frame.close(), (4001, "enough"));
    // Its answer is read at once, behind what was held.
    raw.send(masked(CLOSE, &frame.payload));
    assert_eq!(raw.rest(), b"");
}
