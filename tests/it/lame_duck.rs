//! A server that is told to stop turns new players away first, and then closes its sessions one after the other.

use crate::raw::{Raw, request, upgrade};
use crate::support::*;
use rustix::process::Signal;

#[test]
fn a_lame_duck_serves_who_is_there_and_turns_away_who_comes() {
    let config = "[timeouts]\ndrain_ms = 600_000\n";
    let server = ServerProcess::start(&["--reactors", "2"], config);
    let mut players: Vec<Player> = (0..4).map(|number| server.player(&format!("user=u{number}"))).collect();
    let mut backend = server.backend();
    server.signal(Signal::TERM);

    until("it says that it drains", || backend.request("GET", "/readyz").status == 503);
    let mut late = Raw::connect(server.client);
    late.send(upgrade("/ws?user=late", ""));
    let refused = late.answer();
    assert_eq!((refused.status, refused.json()["error"]["code"].as_str()), (503, Some("draining")));
    assert!(refused.header("retry-after").is_some());
    // Who is there stays and is served, on connections that were there and on new ones.
    assert_eq!(backend.push_text("all=1", "old connection").queued, 4);
    assert_eq!(server.backend().push_text("all=1", "new connection").queued, 4);
    let mut link = server.link();
    for player in &mut players {
        assert_eq!(
            (player.recv_text(), player.recv_text()),
            ("old connection".into(), "new connection".into())
        );
    }
    let mut alive = Raw::connect(server.backend);
    alive.send(request("GET /healthz"));
    assert_eq!(alive.answer().status, 200);
    // A second signal does not wait for anybody.
    server.signal(Signal::TERM);
    let (status, said) = server.wait();
    assert_eq!(status.code(), Some(128 + 15), "{said}");
    assert!(link.next_event().is_err());
}

#[test]
fn sessions_leave_one_after_the_other_and_links_hear_of_each() {
    const PLAYERS: usize = 40;
    let config = "[timeouts]\nshutdown_ms = 600_000\n[limits]\ndrain_per_second = 5\n";
    let server = ServerProcess::start(&["--reactors", "2"], config);
    let pool = Pool::new(|_, message| message.into_text().unwrap().as_str().to_owned());
    (0..PLAYERS).for_each(|number| _ = pool.add(server.player(&format!("user=u{number}"))));
    let mut link = server.link();
    link.listen(&["close"], None);
    server.signal(Signal::TERM);

    pool.wait("the first one has left", |logs| logs.iter().any(|log| log.end.is_some()));
    // The others are still served, and new ones refused: the ports are open to the end.
    let reached = server.backend().push_text("all=1", "still here").queued as usize;
    assert!((1..PLAYERS).contains(&reached), "{reached}");
    pool.wait("all have left", |logs| logs.iter().all(|log| log.end.is_some()));
    pool.look(|logs| {
        for log in logs {
            assert!(matches!(log.end, Some(End::Closed(1001, _))), "{:?}", log.end);
        }
        assert_eq!(logs.iter().filter(|log| !log.messages.is_empty()).count(), reached);
    });
    let mut heard = 0;
    while let Ok(event) = link.next_event() {
        assert_eq!(event["event"], "close");
        heard += 1;
    }
    assert_eq!(heard, PLAYERS);
    let (status, said) = server.wait();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("40 of 40 sessions closed cleanly"), "{said}");
}
