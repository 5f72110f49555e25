//! A refusal that is over after a while says when to try again, on both ports and whichever way it was refused.

use crate::raw::{Answer, Raw, request};
use crate::support::*;
use gannet::config::{AppConfig, PerUser, PerUserPolicy};
use std::net::SocketAddr;

fn ask(address: SocketAddr, line: &str) -> Answer {
    let mut raw = Raw::connect(address);
    raw.send(request(line));
    raw.answer()
}

#[test]
fn a_user_who_has_no_room_for_another_session_is_told_on_both_ports() {
    let server = TestServer::start(|config| {
        let per_user = PerUser { max: 1, policy: PerUserPolicy::Refuse };
        config.apps.insert("chess".into(), AppConfig { per_user, ..AppConfig::default() });
    });
    let _ada = server.try_player("/ws/chess?user=ada").unwrap();
    let bob = server.try_player("/ws/chess?user=bob").unwrap();
    let bind = format!("PUT /v1/sessions/{}/user?user=ada&app=chess", bob.id);
    let upgrade = crate::raw::upgrade("/ws/chess?user=ada", "");
    let mut player = Raw::connect(server.client);
    player.send(upgrade);
    for answer in [ask(server.backend, &bind), player.answer()] {
        assert_eq!((answer.status, answer.error().as_str()), (429, "rate_limited"));
        assert_eq!(answer.header("retry-after"), Some("1"), "{answer:?}");
    }
}

#[test]
fn a_body_that_the_server_has_no_memory_for_is_told() {
    const MIB: usize = 1024 * 1024;
    let server = TestServer::start(|config| {
        config.limits.max_body_bytes = 8 * MIB;
        config.limits.incoming_bytes = 8 * MIB;
    });
    // Together they are beyond the bound, and the second is the larger one.
    let half = |bytes: usize| {
        let mut raw = Raw::connect(server.backend);
        let length = bytes + 1;
        raw.send(format!(
            "POST /v1/push?all=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
        ));
        // The server may answer and close before it has all.
        let _ = raw.try_send(vec![b'x'; bytes]);
        raw
    };
    let (_first, mut raw) = (half(2 * MIB), half(7 * MIB));
    let answer = raw.answer();
    assert_eq!((answer.status, answer.error().as_str()), (503, "overloaded"));
    assert_eq!(answer.header("retry-after"), Some("5"), "{answer:?}");
}
