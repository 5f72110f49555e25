//! Bounds, rates and times that change under those who are held to them.

use crate::support::*;
use crate::tokens::ask;
use gannet::config::{BeyondRate, PerUser, PerUserPolicy, Rate};
use std::time::Duration;

fn status(server: &TestServer, target: &str) -> u16 {
    ask(server.client, target, "").status
}

#[test]
fn sessions_that_were_there_before_a_bound_count() {
    let server = TestServer::start(|_| {});
    let mut there: Vec<Player> = (0..3).map(|_| server.player("user=ada")).collect();
    let reloaded = server.reload(|config| {
        let app = config.apps.get_mut("default").unwrap();
        app.per_user = PerUser { max: 3, policy: PerUserPolicy::Refuse };
        config.limits.sessions_per_address = 5;
    });
    assert_eq!(reloaded.changed, ["apps.default.per_user.max", "limits.sessions_per_address"]);
    // Each reactor counts in those that it has, some in a turn.
    until("the sessions of before are counted", || status(&server, "/ws?user=ada") == 429);
    there.push(server.player("user=bob"));
    there.push(server.player("user=eve"));
    until("all five are counted", || status(&server, "/ws?user=zoe") == 429);
    // Nobody has been closed for it.
    assert_eq!(server.backend().push_text("all=1", "still here").queued, 5);
    there.iter_mut().for_each(|player| assert_eq!(player.recv_text(), "still here"));
    // They leave the places that they were given: all of them, once.
    drop(there);
    server.await_stats("all have left", |stats| stats["sessions"] == 0);
    let _back: Vec<Player> = (0..3).map(|_| server.player("user=ada")).collect();
    assert_eq!(status(&server, "/ws?user=ada"), 429);
    server.reload(|config| {
        config.apps.get_mut("default").unwrap().per_user = PerUser::default();
        config.limits.sessions_per_address = 0;
    });
    let _more: Vec<Player> = (0..4).map(|_| server.player("user=ada")).collect();
}

#[test]
fn bounds_below_what_is_there_close_nobody_and_let_nobody_in() {
    let server = TestServer::start(|_| {});
    let mut players: Vec<Player> = (0..4).map(|_| server.player("")).collect();
    server.reload(|config| config.limits.max_sessions = 2);
    assert_eq!(status(&server, "/ws"), 503);
    assert_eq!(server.backend().push_text("all=1", "still here").queued, 4);
    players.iter_mut().for_each(|player| assert_eq!(player.recv_text(), "still here"));
    players.truncate(1);
    until("there is room again", || status(&server, "/ws") == 101);
    server.reload(|config| config.limits.max_sessions = 1_000);
    let _players: Vec<Player> = (0..10).map(|_| server.player("")).collect();
}

#[test]
fn commands_are_held_to_the_new_limits() {
    let server = TestServer::start(|_| {});
    let player = server.player("");
    let mut backend = server.backend();
    let join = |backend: &mut Backend, group: u32| {
        backend.request("POST", &format!("/v1/groups/g{group}/members?session={}", player.id)).status
    };
    assert_eq!((0..3).map(|group| join(&mut backend, group)).collect::<Vec<_>>(), [200; 3]);
    server.reload(|config| config.limits.groups_per_session = 3);
    assert_eq!(join(&mut backend, 3), 400);
    server.reload(|config| config.limits.groups_per_session = 4);
    assert_eq!([3, 4].map(|group| join(&mut backend, group)), [200, 400]);
}

#[test]
fn a_rate_that_comes_later_holds_a_session_of_before() {
    let server = TestServer::start(|_| {});
    let mut player = server.player("user=ada");
    (0..50).for_each(|_| player.send_text("free"));
    server.await_stats("all was taken", |stats| stats["messages_in"] == 50);
    server.reload(|config| {
        config.rates.messages = Rate { per_second: 1, burst: 2 };
        config.rates.beyond = BeyondRate::Close;
    });
    // Its reactor looks through its connections in a turn after the reload: this push is delivered in such a turn, and what
    // comes after it is read in a later one.
    assert_eq!(server.backend().push_text("user=ada&receipt=written", "reloaded").written, Some(1));
    assert_eq!(player.recv_text(), "reloaded");
    (0..10).for_each(|_| player.send_text("too fast"));
    assert_eq!(player.recv_end(), End::Closed(1008, "too fast".to_owned()));
}

#[test]
fn shorter_times_close_nobody_who_answers_and_ping_soon() {
    let server = TestServer::start(|config| {
        config.timeouts.ping = Duration::from_secs(3_000);
        config.timeouts.idle = Duration::from_secs(6_000);
    });
    let pool = Pool::new(|_, message| message);
    (0..20).for_each(|number| _ = pool.add(server.player(&format!("user=u{number}"))));
    let silent = server.player("user=silent");
    server.reload(|config| {
        config.timeouts.ping = Duration::from_millis(400);
        config.timeouts.idle = Duration::from_secs(8);
    });
    pool.wait("all are pinged, again and again", |logs| logs.iter().all(|log| log.pings >= 3));
    pool.look(|logs| assert!(logs.iter().all(|log| log.end.is_none())));
    // One that does not answer is closed.
    server.await_stats("the silent one is closed", |stats| stats["closed"]["4000"] == 1);
    drop(silent);
}

#[test]
fn a_reload_that_changes_no_time_keeps_nobody_alive() {
    let server = TestServer::start(|_| {});
    server.reload(|config| {
        config.timeouts.ping = Duration::from_millis(300);
        config.timeouts.idle = Duration::from_millis(900);
    });
    let silent = server.player("user=silent");
    let (mut backend, mut round) = (server.backend(), 0);
    until("it is closed, however often something else changes", || {
        round += 1;
        server.reload(|config| config.limits.max_page = 100 + round % 2);
        backend.scrape().sum("gannet_closed_total", &["code=\"4000\""]) == 1
    });
    drop(silent);
}
