//! A user who has all the sessions that it may have, where an app refuses more, and whose client has vanished: its next try finds the
//! place free, and no client that is there loses its session for it.

use crate::raw::{PING, PONG, Raw, TEXT, masked};
use crate::support::*;
use crate::tokens::ask;
use gannet::config::{Config, PerUser, PerUserPolicy};
use serde_json::json;
use std::time::Duration;

/// Longer than any test takes.
const NEVER: Duration = Duration::from_secs(3_600);

fn server(max: usize, probe_ms: u64, configure: impl FnOnce(&mut Config)) -> TestServer {
    TestServer::start(|config| {
        // Those that have vanished answer no Close either.
        config.timeouts.close = Duration::from_millis(100);
        config.timeouts.probe = Duration::from_millis(probe_ms);
        config.apps.get_mut("default").unwrap().per_user = PerUser { max, policy: PerUserPolicy::Refuse };
        configure(config);
    })
}

/// Ada tries until she gets in.
fn ada_gets_in(server: &TestServer) -> Player {
    let mut player = None;
    until("a place", || {
        player = server.try_player("/ws?user=ada").ok();
        player.is_some()
    });
    player.unwrap()
}

/// Reads the ping that must come next, and answers it.
fn answer_ping(raw: &mut Raw) {
    let ping = raw.frame().unwrap();
    assert_eq!(ping.first, PING);
    raw.send(masked(PONG, &ping.payload));
}

#[test]
fn a_client_that_has_vanished_makes_room_for_its_user() {
    let server = server(1, 300, |_| {});
    let mut link = server.link();
    link.listen(&["close"], None);
    let mut vanished = Raw::player(server.client, "/ws?user=ada");
    let refused = ask(server.client, "/ws?user=ada", "");
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    let mut ada = ada_gets_in(&server);
    let event = link.event();
    assert_eq!(
        (&event["event"], &event["user"], &event["code"]),
        (&json!("close"), &json!("ada"), &json!(4000))
    );
    assert_eq!(server.backend().push_text("user=ada", "hi").matched, 1);
    assert_eq!(ada.recv_text(), "hi");
    // It was asked, and asked once, however often she tried.
    assert_eq!(vanished.frame().unwrap().first, PING);
    assert_eq!(vanished.closed(), (4000, "idle".into()));
}

#[test]
fn a_client_that_answers_keeps_its_session_however_often_its_user_tries() {
    let server = server(2, 2_000, |_| {});
    let mut there = Raw::player(server.client, "/ws?user=ada");
    for _ in 0..2 {
        let mut vanished = Raw::player(server.client, "/ws?user=ada");
        assert_eq!(ask(server.client, "/ws?user=ada", "").status, 429);
        answer_ping(&mut there);
        assert_eq!(vanished.frame().unwrap().first, PING);
        // Both were asked at once, and one of them had its time.
        assert_eq!(vanished.closed(), (4000, "idle".into()));
        server.await_stats("it has gone", |totals| totals["sessions"] == 1);
    }
    assert_eq!(server.backend().push_text("user=ada", "still here").matched, 1);
    assert_eq!(there.frame().unwrap().text(), "still here");
}

#[test]
fn whatever_a_client_sends_is_an_answer() {
    let server = server(2, 2_000, |_| {});
    let (mut talks, mut vanished) =
        (Raw::player(server.client, "/ws?user=ada"), Raw::player(server.client, "/ws?user=ada"));
    assert_eq!(ask(server.client, "/ws?user=ada", "").status, 429);
    assert_eq!(talks.frame().unwrap().first, PING);
    talks.send(masked(TEXT, b"hi"));
    assert_eq!(vanished.frame().unwrap().first, PING);
    assert_eq!(vanished.closed(), (4000, "idle".into()));
    assert_eq!(server.backend().push_text("user=ada", "still here").matched, 1);
    assert_eq!(talks.frame().unwrap().text(), "still here");
}

#[test]
fn a_stranger_who_tries_without_end_makes_one_ping_in_the_time_of_a_probe() {
    let server = server(1, NEVER.as_millis() as u64, |_| {});
    let mut there = Raw::player(server.client, "/ws?user=ada");
    let mut bound = server.try_player("/ws?user=bob").unwrap();
    let mut backend = server.backend();
    let bind = format!("/v1/sessions/{}/user?user=ada", bound.id);
    for _ in 0..20 {
        assert_eq!(ask(server.client, "/ws?user=ada", "").header("retry-after"), Some("3601"));
        assert_eq!(backend.request("PUT", &bind).status, 429);
    }
    answer_ping(&mut there);
    (0..20).for_each(|_| assert_eq!(ask(server.client, "/ws?user=ada", "").status, 429));
    assert_eq!(backend.push_text("user=ada&user=bob", "no other ping").matched, 2);
    assert_eq!(there.frame().unwrap().text(), "no other ping");
    assert_eq!(bound.recv_text(), "no other ping");
}

#[test]
fn a_bind_to_a_user_whose_client_has_vanished_finds_the_place_too() {
    let server = server(1, 200, |_| {});
    let _vanished = Raw::player(server.client, "/ws?user=ada");
    let bob = server.try_player("/ws?user=bob").unwrap();
    let mut backend = server.backend();
    let bind = format!("/v1/sessions/{}/user?user=ada", bob.id);
    until("a place", || backend.request("PUT", &bind).status == 200);
}

#[test]
fn where_it_is_off_none_is_asked() {
    let server = server(1, 0, |_| {});
    let mut there = Raw::player(server.client, "/ws?user=ada");
    for _ in 0..5 {
        let refused = ask(server.client, "/ws?user=ada", "");
        assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    }
    server.backend().push_text("user=ada", "no ping");
    assert_eq!(there.frame().unwrap().text(), "no ping");
}

#[test]
fn a_session_that_may_resume_and_does_not_answer_does_not_linger() {
    let server = server(1, 200, |config| config.apps.get_mut("default").unwrap().resume.linger_ms = 600_000);
    let vanished = server.player("user=ada");
    let ticket = vanished.welcome["resume"].as_str().unwrap().to_owned();
    let ada = ada_gets_in(&server);
    server.await_stats("one session, which is there", |stats| stats["sessions"] == 1 && stats["away"] == 0);
    ada.close(1000, "");
    server.await_stats("none", |stats| stats["sessions"] == 0);
    let back = server.player(&format!("user=ada&resume={ticket}&received=0"));
    assert_eq!((&back.welcome["resumed"], &back.welcome["why"]), (&json!(false), &json!("expired")));
}

#[test]
fn of_the_sessions_that_are_away_the_oldest_has_no_longer_to_come_back() {
    let server = server(2, 200, |config| config.apps.get_mut("default").unwrap().resume.linger_ms = 600_000);
    let tickets = [1, 2].map(|count| {
        let player = server.player("user=ada");
        let ticket = player.welcome["resume"].as_str().unwrap().to_owned();
        player.reset();
        server.await_stats("it is away", |stats| stats["away"] == count);
        ticket
    });
    let _ada = ada_gets_in(&server);
    let back = |ticket: &str| server.try_player(&format!("/ws?user=ada&resume={ticket}&received=0"));
    let second = back(&tickets[1]).unwrap();
    assert_eq!(second.welcome["resumed"], true, "{}", second.welcome);
    // The first has ended, and there is no place for another.
    assert_eq!(back(&tickets[0]).err().unwrap().status(), 429);
}

#[test]
fn streams_and_polls_cannot_be_asked_and_keep_their_sessions() {
    let server = server(3, 200, |config| config.apps.get_mut("default").unwrap().resume.linger_ms = 600_000);
    let (mut stream, _) = EventStream::welcomed(server.client, "/sse?user=ada", "");
    let mut poller = Poller::open(server.client, "?user=ada", "");
    for _ in 0..2 {
        let mut vanished = Raw::player(server.client, "/ws?user=ada");
        assert_eq!(ask(server.client, "/ws?user=ada", "").status, 429);
        assert_eq!(vanished.frame().unwrap().first, PING);
        assert_eq!(vanished.closed(), (4000, "idle".into()));
        server.await_stats("it has gone", |totals| totals["sessions"] == 2);
    }
    assert_eq!(server.backend().push_text("user=ada", "still here").matched, 2);
    assert_eq!((stream.text(), poller.poll(60_000)), ("still here".into(), vec!["still here".into()]));
}
