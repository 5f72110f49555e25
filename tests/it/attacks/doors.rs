//! Who tries to get in, to get further than the own app, or to get more than one's share.

use super::siege::{Siege, flock, pass};
use crate::raw::{PING, TEXT, masked, upgrade};
use crate::tokens::*;
use serde_json::{Value, json};
use std::io::Read;

/// Each kind so often.
const TRIES: u64 = 20;

pub fn tokens(siege: &mut Siege) {
    let good = json!({ "sub": "eve", "exp": now() + 600, "groups": ["crowd"] });
    let expired = json!({ "sub": "eve", "exp": now() - 60, "groups": ["crowd"] });
    let valid = pass("eve", json!([]));
    let (unsigned, _) = valid.rsplit_once('.').unwrap();
    let replayed = signed_query("default", "eve", now(), "once", DEFAULT);
    let table = [
        ("forged", format!("token={}", token(HS256, &good, CHESS)), "signature"),
        ("expired", format!("token={}", token(HS256, &expired, DEFAULT)), "expired"),
        ("unsigned", format!("token={unsigned}."), "signature"),
        ("none", format!("token={}", token(r#"{"alg":"none"}"#, &good, DEFAULT)), "algorithm"),
        ("replayed", replayed.clone(), "replayed"),
    ];
    let first = siege.raw(20).upgraded(&format!("/ws?{replayed}"));
    for (what, query, reason) in &table {
        siege.counts(["auth_failures", reason], TRIES, |siege| {
            (0..TRIES).for_each(|_| siege.refused(20, &format!("/ws?{query}"), 401));
        });
        println!("  401: {what}");
    }
    drop(first);
}

pub fn across_apps(siege: &mut Siege) {
    let token = token(HS256, &json!({ "sub": "eve", "exp": now() + 600, "groups": ["crowd"] }), CHESS);
    siege.refused(21, &format!("/ws?token={token}"), 401);
    let mut spy = siege.raw(21).upgraded(&format!("/ws/chess?token={token}"));
    let victims = siege.backend.ok("GET", "/v1/sessions?group=crowd&limit=1");
    let victim = victims["sessions"][0]["session"].as_str().unwrap();
    for (method, target) in [
        ("GET", format!("/v1/sessions/{victim}?app=chess")),
        ("DELETE", format!("/v1/sessions/{victim}?app=chess")),
        ("DELETE", format!("/v1/groups/crowd/members?session={victim}&app=chess")),
        ("PUT", format!("/v1/sessions/{victim}/user?user=eve&app=chess")),
    ] {
        let reply = siege.backend.request(method, &target);
        assert_eq!((reply.status, &reply.json()["error"]["code"]), (404, &json!("unknown_session")));
    }
    let seen = siege.backend.ok("GET", "/v1/groups/crowd?app=chess");
    assert_eq!(seen["count"], 1, "the spy's own group of that name");
    let pushed = siege.backend.push_text(
        &format!("app=chess&group=crowd&session={victim}&user=player 1&all=1").replace(' ', "%20"),
        "to chess",
    );
    assert_eq!((pushed.matched, pushed.offline), (1, 2));
    assert_eq!(spy.frame().unwrap().text(), "to chess", "and nothing of what the crowd was told");
    let mut link = siege.server.link();
    link.command(json!({ "op": "listen", "app": "chess", "events": ["open", "message", "close"] }));
    let stranger = link.try_command(json!({ "op": "kick", "app": "chess", "session": victim }));
    assert_eq!(stranger.unwrap_err()["code"], "unknown_session");
    assert_eq!(siege.backend.change("DELETE", "/v1/groups/crowd?app=chess"), 1);
    spy.send(masked(TEXT, b"from chess"));
    let mut other = siege.intruder(21, "mallory");
    other.send(masked(TEXT, b"from default"));
    other.send(masked(PING, b"read"));
    assert_eq!(other.frame().unwrap().payload, b"read");
    drop(spy);
    let events: Vec<Value> = [(); 2].map(|()| link.event()).into();
    assert_eq!((&events[0]["text"], &events[1]["event"]), (&json!("from chess"), &json!("close")));
}

pub fn reconnecting(siege: &mut Siege) {
    let token = token(HS256, &json!({ "sub": "eve", "exp": now() + 600 }), CHESS);
    let target = format!("/ws/chess?token={token}");
    let offers = [
        "",
        "Sec-WebSocket-Protocol: gannet.raw\r\n",
        "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9\r\n",
        "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n",
    ];
    // A session's rate comes with it anew, and is the same each time.
    for offer in offers {
        siege.counts(["throttled", "messages"], 1, |siege| {
            let mut raw = siege.raw(22);
            raw.send(upgrade(&target, offer));
            assert_eq!(raw.answer().status, 101);
            raw.send(masked(TEXT, b"x").repeat(300));
            let close = std::iter::from_fn(|| raw.frame()).find(|frame| frame.first == 0x88).unwrap();
            assert_eq!(close.close(), (1008, "too fast"));
        });
    }
    siege.server.await_stats("they have gone", |totals| totals["sessions"] == super::siege::CROWD);
    // A user has two places, whatever is offered with the third.
    let held = [23, 24].map(|host| siege.raw(host).upgraded(&target));
    siege.counts(["refused", "user"], offers.len() as u64, |siege| {
        for (host, offer) in (25..).zip(offers) {
            let mut raw = siege.raw(host);
            raw.send(upgrade(&target, offer));
            assert_eq!(raw.answer().status, 429);
        }
    });
    drop(held);
    // An address has its upgrades, whoever comes from there.
    let mut refused = 0;
    for round in 0..20_000 {
        let mut raw = siege.raw(22);
        raw.send(upgrade(&format!("/ws?token={}", pass(&format!("eve {round}"), json!([]))), ""));
        match raw.answer().status {
            101 => {}
            429 => refused += 1,
            other => panic!("{other}"),
        }
        if refused == 100 {
            assert!(round > 250, "its burst was its own");
            return;
        }
    }
    panic!("reconnecting brought new upgrades each time");
}

pub fn connections(siege: &mut Siege) {
    const LIMIT: usize = 400;
    const COUNT: usize = 5_000;
    let held = siege.counts(["refused", "connections"], (COUNT - LIMIT) as u64, |siege| {
        flock(30, siege.server.client, COUNT)
    });
    let mut open = 0;
    for mut stream in held {
        stream.set_nonblocking(true).unwrap();
        // Who was refused has been closed.
        open += usize::from(
            matches!(stream.read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock),
        );
    }
    assert!(open <= LIMIT, "{open} are open");
}
