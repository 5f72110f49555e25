//! What a server counts and remembers of its players holds in the new process: bounds, nonces, ids, rates, clocks.

use super::running::{Running, await_metric};
use crate::raw::{PING, Raw, TEXT, masked};
use crate::support::*;
use crate::tokens::{CHESS, HS256, now, signed_query, token};
use serde_json::json;
use tungstenite::Message;

#[test]
fn a_signed_query_opens_no_second_session_in_the_new_process() {
    let mut server =
        Running::start(&["--reactors", "2"], &format!("[apps.default]\nsecrets = ['{CHESS}']\n"));
    let target = |nonce: &str| format!("/ws?{}", signed_query("default", "ada", now(), nonce, CHESS));
    let used = target("n1");
    let mut ada = server.try_player(&used).unwrap();
    server.upgrade();
    assert_eq!(server.try_player(&used).err().unwrap().status(), 401);
    assert_eq!(server.backend().stats()["auth_failures"]["replayed"], 1);
    let _second = server.try_player(&target("n2")).unwrap();
    server.upgrade();
    assert_eq!(server.try_player(&used).err().unwrap().status(), 401);
    assert_eq!(server.backend().push_text("user=ada", "still here").matched, 2);
    assert_eq!(ada.recv_text(), "still here");
}

#[test]
fn a_session_ends_with_its_token_in_the_new_process() {
    let config = format!("auth.leeway_ms = 0\n[apps.default]\nsecrets = ['{CHESS}']\n");
    let mut server = Running::start(&["--reactors", "2"], &config);
    let open = |seconds: u64| {
        let claims = json!({ "sub": "ada", "exp": now() + seconds });
        server.try_player(&format!("/ws?token={}", token(HS256, &claims, CHESS))).unwrap()
    };
    let (mut short, mut long) = (open(3), open(600));
    server.upgrade();
    assert!(matches!(short.recv_end(), End::Closed(4004, _)));
    server.backend().push_text("user=ada", "the other one");
    assert_eq!(long.recv_text(), "the other one");
}

#[test]
fn sessions_from_before_count_for_every_bound() {
    let config = "timeouts.probe_ms = 0\n[apps.default]\nper_user = { max = 2, policy = 'refuse' }\n[limits]\nsessions_per_address = 5\n";
    let mut server = Running::start(&["--reactors", "3"], config);
    let ada: Vec<Player> = (0..2).map(|_| server.player("user=ada")).collect();
    let _others: Vec<Player> = (0..2).map(|_| server.player("user=eve")).collect();
    for _ in 0..2 {
        server.upgrade();
        assert_eq!(server.try_player("/ws?user=ada").err().unwrap().status(), 429);
        let last = server.player("user=bob");
        assert_eq!(server.try_player("/ws?user=carl").err().unwrap().status(), 429);
        last.close(1000, "");
        server.await_stats("it has gone", |totals| totals["sessions"] == 4);
    }
    // What goes in the new process makes room.
    ada.into_iter().for_each(|player| drop(player.close(1000, "")));
    server.await_stats("they have gone", |totals| totals["sessions"] == 2);
    let _ada: Vec<Player> = (0..2).map(|_| server.player("user=ada")).collect();
    assert_eq!(server.try_player("/ws?user=ada").err().unwrap().status(), 429);
}

#[test]
fn a_probe_that_an_upgrade_has_cut_short_begins_anew() {
    let config = "[apps.default]\nper_user = { max = 1, policy = 'refuse' }\n\
                  [timeouts]\nprobe_ms = 1_000_000\nping_ms = 3_600_000\nidle_ms = 7_200_000\n";
    let mut server = Running::start(&["--reactors", "2"], config);
    let mut there = Raw::player(server.client, "/ws?user=ada");
    for _ in 0..2 {
        (0..3).for_each(|_| assert_eq!(server.try_player("/ws?user=ada").err().unwrap().status(), 429));
        assert_eq!(there.frame().unwrap().first, PING);
        server.upgrade();
    }
    assert_eq!(server.backend().push_text("user=ada", "still here").matched, 1);
    assert_eq!(there.frame().unwrap().text(), "still here");
}

#[test]
fn an_id_from_before_is_of_no_later_session() {
    let mut server = Running::start(&["--reactors", "2"], "");
    let mut ids = Vec::new();
    let mut leave = |server: &Running| {
        for _ in 0..20 {
            let player = server.player("user=ada");
            assert!(!ids.contains(&player.id), "{} is used twice", player.id);
            ids.push(player.id);
            player.close(1000, "");
        }
        server.await_stats("all have gone", |totals| totals["sessions"] == 0);
        ids.clone()
    };
    leave(&server);
    for _ in 0..3 {
        server.upgrade();
        let ids = leave(&server);
        let live: Vec<Player> = (0..40).map(|_| server.player("user=eve")).collect();
        let mut backend = server.backend();
        for id in ids {
            assert!(live.iter().all(|player| player.id != id), "{id} is used twice");
            assert_eq!(backend.request("GET", &format!("/v1/sessions/{id}")).status, 404);
            let receipt = backend.push_text(&format!("session={id}"), "to one who has gone");
            assert_eq!((receipt.matched, receipt.offline), (0, 1));
        }
        live.into_iter().for_each(|player| drop(player.close(1000, "")));
        server.await_stats("all have gone", |totals| totals["sessions"] == 0);
    }
}

#[test]
fn groups_tags_and_users_are_what_they_were() {
    let mut server = Running::start(&["--reactors", "3"], "");
    let mut players: Vec<Player> = (0..30)
        .map(|number| {
            server.player(&format!("user=u{}&group=g{}&tag=t{}", number % 10, number % 3, number % 5))
        })
        .collect();
    let mut backend = server.backend();
    for number in 0..5 {
        assert_eq!(backend.change("POST", &format!("/v1/groups/joined/members?user=u{number}")), 3);
        assert_eq!(
            backend
                .change("DELETE", &format!("/v1/groups/g1/members?session={}", players[3 * number + 1].id)),
            1
        );
        assert_eq!(
            backend.change("PUT", &format!("/v1/sessions/{}/user?user=bound", players[number + 20].id)),
            1
        );
    }
    let filters = ["user=u1", "user=bound", "group=g0", "group=g1", "group=joined", "tag=t4"];
    let look = |server: &Running| {
        let mut backend = server.backend();
        filters.map(|filter| {
            let mut page = backend.ok("GET", &format!("/v1/sessions?limit=100&{filter}"));
            // Its clocks and counters go on.
            for session in page["sessions"].as_array_mut().unwrap() {
                session["round_trip_us"].take();
                session["groups"].as_array_mut().unwrap().sort_by_key(|group| group.to_string());
            }
            page
        })
    };
    let before = look(&server);
    assert_eq!(before.each_ref().map(|page| page["count"].as_u64().unwrap()), [2, 5, 10, 5, 15, 6]);
    server.upgrade();
    assert_eq!(look(&server), before);
    server.upgrade();
    assert_eq!(look(&server), before);
    // In the new process they change as before.
    let mut backend = server.backend();
    assert_eq!(backend.change("POST", "/v1/groups/joined/move?to=moved"), 15);
    assert_eq!(backend.push_text("group=moved&tag=t4", "to both").matched, 18);
    assert_eq!(backend.change("DELETE", "/v1/users/bound?code=4321"), 5);
    for player in &mut players[20..25] {
        while let Ok(message) = player.next() {
            assert_eq!(message, Message::text("to both"));
        }
    }
    server.await_stats("they have gone", |totals| totals["sessions"] == 25);
}

#[test]
fn a_session_that_is_paused_for_its_rate_goes_on_and_loses_nothing() {
    let config = "rates.beyond = 'pause'\nrates.messages = { per_second = 2, burst = 1 }";
    let mut server = Running::start(&["--reactors", "2"], config);
    let mut link = server.link();
    link.listen(&["message"], None);
    let mut player = server.player("user=ada");
    for number in 0..6 {
        player.send_text(&number.to_string());
    }
    await_metric(&server, "gannet_paused", |paused| paused > 0);
    for number in 0..6 {
        if number % 2 == 0 {
            server.upgrade();
        }
        assert_eq!(link.event()["text"], number.to_string());
    }
}

#[test]
fn who_answers_pings_stays_and_who_does_not_is_closed_at_its_time() {
    let mut server = Running::start(&["--reactors", "2"], "timeouts.ping_ms = 500\ntimeouts.idle_ms = 2000");
    let pool = Pool::new(|_, _| ());
    (0..20).for_each(|_| _ = pool.add(server.player("user=ada")));
    let mut silent: Vec<Raw> = (0..5).map(|_| Raw::player(server.client, "/ws?user=eve")).collect();
    for pings in 1..=4 {
        server.upgrade();
        pool.wait("a ping", |logs| logs.iter().all(|log| log.pings >= pings));
    }
    for raw in &mut silent {
        let mut frames = std::iter::from_fn(|| raw.frame());
        let frame = frames.find(|frame| frame.first != PING).expect("a Close frame");
        assert_eq!(frame.close().0, 4000);
    }
    for log in pool.finish() {
        assert_eq!(log.end, None);
    }
}

#[test]
fn counters_go_on() {
    let mut server = Running::start(&["--reactors", "2"], "");
    let mut player = Raw::player(server.client, "/ws?user=ada");
    for number in 1..=3 {
        player.send(masked(TEXT, b"hi"));
        server.await_stats("it came", |totals| totals["messages_in"] == number);
        assert_eq!(server.backend().push_text("user=ada", "hi").queued, 1);
        assert_eq!(player.frame().unwrap().text(), "hi");
        // It is counted as written behind the write.
        let before = server.await_stats("it is written", |totals| totals["deliveries"]["written"] == number);
        server.upgrade();
        let after = server.backend().stats();
        for figure in ["opened", "messages_in", "pushes", "sessions", "closed", "refused", "deliveries"] {
            assert_eq!(after[figure], before[figure], "{figure}");
        }
    }
}
