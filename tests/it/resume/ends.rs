//! After which ends a session waits for its client, and when it ends for good.

use super::*;
use std::net::Shutdown;

/// How a connection ends, and whether its session waits then.
type Way = (&'static str, fn(&TestServer, Player), bool);

#[test]
fn a_session_waits_after_every_end_but_those_that_mean_it() {
    let ways: [Way; 8] = [
        ("a reset", |_, player| player.reset(), true),
        ("a FIN", |_, player| player.stream().shutdown(Shutdown::Write).unwrap(), true),
        ("going away", |_, player| drop(player.close(1001, "")), true),
        ("an error of the client's", |_, player| drop(player.close(1011, "")), true),
        ("a close without a code", |_, player| player.close_without_code(), true),
        ("goodbye", |_, player| drop(player.close(1000, "")), false),
        ("a kick", |server, _player| drop(server.backend().ok("DELETE", "/v1/users/ada")), false),
        (
            "a kick with another code",
            |server, _player| {
                drop(server.backend().ok("DELETE", "/v1/users/ada?code=3999"));
            },
            false,
        ),
    ];
    for (what, way, waits) in ways {
        let server = server(|_| {});
        let mut ada = Comer::new(*server, "user=ada");
        push_all(*server, "user=ada", 0..1);
        let player = ada.player.take().unwrap();
        way(&server, player);
        let counts = |stats: &Value| (stats["sessions"].as_u64().unwrap(), stats["away"].as_u64().unwrap());
        let expected = if waits { (1, 1) } else { (0, 0) };
        server.await_stats(what, |stats| counts(stats) == expected);
        match waits {
            true => {
                ada.come_back();
                assert_eq!(ada.texts(1), ["0"], "{what}");
            }
            false => ada.comes_back_in_vain("expired"),
        }
    }
}

#[test]
fn a_session_that_a_drain_has_closed_waits_until_the_drain_is_called_off() {
    let server = server(|_| {});
    let mut ada = Comer::new(*server, "user=ada");
    server.backend().ok("POST", "/v1/admin/drain?over_ms=1");
    assert!(matches!(ada.player().recv_end(), End::Closed(1012, _)));
    ada.await_away();
    push_all(*server, "user=ada", 0..1);
    let refused = Player::try_connect(server.client, &format!("/ws?{}", ada.query()));
    assert_eq!(refused.err().expect("nobody is let in").status(), 503);
    server.backend().ok("DELETE", "/v1/admin/drain");
    ada.come_back();
    assert_eq!(ada.texts(1), ["0"]);
}

#[test]
fn a_client_that_breaks_the_protocol_is_told_so_and_may_come_back() {
    use std::io::Write;
    let server = server(|_| {});
    let mut ada = Comer::new(*server, "user=ada");
    // An unmasked frame.
    ada.player().stream_mut().write_all(b"\x81\x02hi").unwrap();
    assert!(matches!(ada.player().recv_end(), End::Closed(1002, _)));
    ada.await_away();
    push_all(*server, "user=ada", 0..1);
    ada.come_back();
    assert_eq!(ada.texts(1), ["0"]);
}

#[test]
fn it_ends_once_when_nobody_comes_and_backends_hear_of_it_then() {
    let server = server(|config| config.apps.get_mut("default").unwrap().resume.linger_ms = 300);
    let mut link = server.link();
    link.listen(&["open", "close", "away", "back"], None);
    let mut ada = Comer::new(*server, "user=ada&group=red");
    assert_eq!(link.event()["event"], "open");
    ada.vanish();
    ada.come_back();
    for event in ["away", "back"] {
        let told = link.event();
        let said = (&told["event"], &told["session"], &told["user"]);
        assert_eq!(said, (&event.into(), &ada.session.clone().into(), &"ada".into()));
    }
    ada.vanish();
    assert_eq!(link.event()["event"], "away");
    let close = link.event();
    let said = (&close["event"], &close["session"], &close["user"], &close["code"]);
    assert_eq!(said, (&"close".into(), &ada.session.clone().into(), &"ada".into(), &1006.into()));
    assert_eq!(server.backend().push_text("group=red", "x").matched, 0);
    ada.comes_back_in_vain("expired");
    let scrape = server.backend().scrape();
    assert_eq!(scrape.sum("gannet_linger_ended_total", &[r#"why="expired""#]), 1);
}

#[test]
fn a_stop_ends_those_who_are_away_too() {
    let server = server(|config| config.timeouts.shutdown = ms(200));
    let mut comers: Vec<Comer> = (0..3).map(|_| Comer::new(*server, "")).collect();
    comers[..2].iter_mut().for_each(Comer::vanish);
    await_away(*server, 2);
    assert_eq!(server.stop().sessions, 3);
}

#[test]
fn one_that_is_away_can_be_kicked_bound_moved_and_described() {
    let server = server(|_| {});
    let mut ada = Comer::new(*server, "user=ada&group=red");
    ada.vanish();
    ada.await_away();
    let mut backend = server.backend();
    let session = ada.session.clone();
    let shown = backend.ok("GET", &format!("/v1/sessions/{session}"));
    assert_eq!((&shown["away"], &shown["groups"]), (&true.into(), &serde_json::json!(["red"])));
    assert_eq!(backend.change("POST", &format!("/v1/groups/blue/members?session={session}")), 1);
    assert_eq!(backend.push_text("group=blue", "to the blue").queued, 1);
    ada.come_back();
    assert_eq!(ada.texts(1), ["to the blue"]);
    let shown = backend.ok("GET", &format!("/v1/sessions/{session}"));
    assert_eq!((&shown["away"], &shown["groups"]), (&Value::Null, &serde_json::json!(["red", "blue"])));
    ada.vanish();
    ada.await_away();
    backend.ok("DELETE", "/v1/users/ada");
    server.await_stats("it has gone", |stats| stats["sessions"] == 0 && stats["away"] == 0);
    ada.comes_back_in_vain("expired");
}
