//! A wall clock that is set while the server runs: shown times and the ends of tokens follow it, timers do not.

use crate::support::*;
use crate::tokens::{DEFAULT, HS256, now, token};
use serde_json::json;

const HOUR: i64 = 3_600;

fn expiring(user: &str, in_secs: i64) -> String {
    let claims = json!({ "sub": user, "exp": now() as i64 + in_secs });
    format!("/ws?token={}", token(HS256, &claims, DEFAULT))
}

/// The seconds that a session's `since_unix_ms` is ahead of the machine's clock.
fn ahead(server: &ServerProcess, player: &Player) -> i64 {
    let info = server.backend().ok("GET", &format!("/v1/sessions/{}", player.id));
    info["since_unix_ms"].as_i64().unwrap() / 1_000 - now() as i64
}

#[test]
fn tokens_end_and_times_are_shown_by_the_clock_as_it_is_set() {
    let clock = WallClock::new();
    let config = format!("apps.default.secrets = [\"{DEFAULT}\"]\n");
    let server = ServerProcess::start_with_clock(&clock, &["--reactors", "2"], &config);
    let connect = |target: &str| server.try_player(target).unwrap_or_else(|refusal| panic!("{refusal:?}"));
    let mut soon: Vec<Player> =
        (0..4).map(|number| connect(&expiring(&format!("s{number}"), HOUR))).collect();
    let mut late: Vec<Player> =
        (0..4).map(|number| connect(&expiring(&format!("l{number}"), 3 * HOUR))).collect();
    let before = ahead(&server, &late[0]);
    assert!((-60..=0).contains(&before), "{before}");

    clock.set(2 * HOUR);
    for player in &mut soon {
        assert_eq!(player.recv_end(), End::Closed(4004, "token expired".to_owned()));
    }
    let new = connect(&expiring("new", 3 * HOUR));
    let shown = ahead(&server, &new);
    assert!((2 * HOUR - 60..=2 * HOUR).contains(&shown), "{shown}");
    assert_eq!(server.backend().push_text("all=1", "still here").queued, 5);
    late.iter_mut().for_each(|player| assert_eq!(player.recv_text(), "still here"));

    // Back: what is over by the machine's clock is not by this one, until it is set right.
    clock.set(-HOUR);
    let mut over = connect(&expiring("over", -HOUR / 2));
    let shown = ahead(&server, &over);
    assert!((-HOUR - 60..=-HOUR).contains(&shown), "{shown}");
    assert_eq!(server.backend().push_text("user=over", "not over").queued, 1);
    assert_eq!(over.recv_text(), "not over");
    clock.set(0);
    assert_eq!(over.recv_end(), End::Closed(4004, "token expired".to_owned()));
    assert_eq!(server.backend().push_text("all=1", "to the end").queued, 5);
}

#[test]
fn a_drain_takes_its_time_whatever_the_wall_clock_says() {
    let clock = WallClock::new();
    let server = ServerProcess::start_with_clock(&clock, &["--reactors", "2"], "");
    let pool = Pool::new(|_, message| message.into_text().unwrap().as_str().to_owned());
    (0..40).for_each(|number| _ = pool.add(server.player(&format!("user=u{number}"))));
    let mut backend = server.backend();
    // One leaves in each minute: an hour that counted would take all of them.
    backend.ok("POST", "/v1/admin/drain?over_ms=2400000");
    for (round, hours) in [1, -1, 0].into_iter().enumerate() {
        clock.set(hours * HOUR);
        let text = format!("round {round}");
        let receipt = backend.push_text("all=1&receipt=written", &text);
        assert!(receipt.written >= Some(38), "{receipt:?}");
        pool.wait("the reactors have turned under that clock", |logs| {
            logs.iter().filter(|log| log.messages.contains(&text)).count() >= 38
        });
        let drain = backend.ok("GET", "/v1/admin/drain");
        let (elapsed_ms, closed) = (drain["elapsed_ms"].as_u64().unwrap(), drain["closed"].as_u64().unwrap());
        assert!(elapsed_ms < 1_000_000 && closed <= 2, "{drain}");
    }
    backend.ok("DELETE", "/v1/admin/drain");
    server.player("user=welcome");
}
