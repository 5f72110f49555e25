//! What becomes of messages while a client is away, and what bounds them.

use super::*;
use gannet::config::{Slow, SlowPolicy};

#[test]
fn receipts_count_those_who_are_away() {
    let server = server(|_| {});
    let (mut ada, _bob) = (Comer::new(*server, "group=red"), Comer::new(*server, "group=red"));
    ada.vanish();
    ada.await_away();
    let receipt = server.backend().ok("POST", "/v1/push?group=red");
    assert_eq!(
        (&receipt["matched"], &receipt["queued"], &receipt["away"]),
        (&2.into(), &2.into(), &1.into())
    );
    let mut link = server.link();
    let receipt = link.command(serde_json::json!({"op": "push", "to": {"group": "red"}, "text": "x"}));
    assert_eq!((&receipt["matched"], &receipt["away"]), (&2.into(), &1.into()));
}

#[test]
fn what_expires_while_it_is_away_does_not_come() {
    let server = server(|_| {});
    let mut ada = Comer::new(*server, "user=ada");
    ada.vanish();
    ada.await_away();
    let mut backend = server.backend();
    backend.push_text("user=ada&ttl_ms=1", "short");
    backend.push_text("user=ada", "long");
    server.await_stats("it has expired", |stats| stats["deliveries"]["expired"] == 1);
    ada.come_back();
    assert_eq!(ada.texts(1), ["long"]);
}

#[test]
fn a_queue_that_overflows_ends_the_session_and_its_client_hears_of_a_gap() {
    let server = server(|config| config.limits.outbox_messages = 4);
    let mut ada = Comer::new(*server, "user=ada");
    ada.vanish();
    ada.await_away();
    push_all(*server, "user=ada", 0..4);
    let receipt = server.backend().push_text("user=ada", "one too many");
    assert_eq!((receipt.matched, receipt.queued), (1, 0));
    server.await_stats("it has ended", |stats| stats["sessions"] == 0);
    ada.comes_back_in_vain("gap");
    assert_eq!(server.backend().scrape().sum("gannet_linger_ended_total", &[r#"why="overflow""#]), 1);
}

#[test]
fn where_the_policy_is_to_drop_the_session_goes_on_and_what_was_dropped_is_counted() {
    let drop_oldest = Slow { normal: SlowPolicy::DropOldest, ..Slow::default() };
    let server = server(|config| {
        config.limits.outbox_messages = 3;
        config.apps.get_mut("default").unwrap().slow = drop_oldest;
    });
    let mut ada = Comer::new(*server, "user=ada");
    ada.vanish();
    ada.await_away();
    push_all(*server, "user=ada", 0..5);
    ada.come_back();
    assert_eq!(ada.texts(3), ["2", "3", "4"]);
    assert_eq!(server.backend().stats()["deliveries"]["dropped"], 2);
}

#[test]
fn what_comes_again_takes_no_room_from_what_comes_anew() {
    let server = server(|config| config.limits.outbox_messages = 8);
    let mut ada = Comer::new(*server, "user=ada");
    let written = push_all(*server, "user=ada", 0..100);
    ada.vanish();
    ada.await_away();
    let waiting = push_all(*server, "user=ada", 100..108);
    ada.come_back();
    assert_eq!(ada.texts(108), [written, waiting].concat());
}

#[test]
fn no_more_are_away_than_may_be() {
    let server = server(|config| config.apps.get_mut("default").unwrap().resume.max_away = 2);
    let mut comers: Vec<Comer> =
        (0..3).map(|number| Comer::new(*server, &format!("user={number}"))).collect();
    for (count, comer) in [1, 2].into_iter().zip(&mut comers) {
        comer.vanish();
        await_away(*server, count);
    }
    comers[2].vanish();
    server.await_stats("the third has gone", |stats| stats["sessions"] == 2 && stats["away"] == 2);
    comers[2].comes_back_in_vain("expired");
    comers[0].come_back();
    assert_eq!(server.backend().scrape().sum("gannet_linger_ended_total", &[r#"why="full""#]), 1);
}

#[test]
fn what_is_kept_is_bounded_over_all_sessions_and_the_oldest_goes_first() {
    let server = server(|config| {
        config.reactors = Some(1);
        config.limits.kept_bytes = 40_000;
        config.limits.socket_unsent_bytes = 0;
    });
    let mut comers: Vec<Comer> =
        (0..4).map(|number| Comer::new(*server, &format!("user={number}"))).collect();
    let mut backend = server.backend();
    for round in 0..20 {
        for number in 0..4 {
            backend.push_text(&format!("user={number}"), &format!("{round:01000}"));
        }
    }
    let kept = |stats: &Value| stats["kept_bytes"].as_u64().unwrap();
    server.await_stats("rings are shortened", |stats| kept(stats) <= 40_000 && stats["kept_forgotten"] != 0);
    for comer in &mut comers {
        // A client that has read all of it loses nothing.
        comer.texts(20);
        comer.vanish();
        comer.come_back();
    }
    let mut late = comers.swap_remove(0);
    late.received = 0;
    late.vanish();
    late.comes_back_in_vain("gap");
}
