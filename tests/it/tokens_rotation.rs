//! An issuer that rotates its keys under hundreds of live sessions, which renew their tokens meanwhile.

use crate::issuer::{Issuer, jwks};
use crate::raw::{Raw, TEXT, masked, upgrade};
use crate::support::*;
use crate::tokens::*;
use gannet::config::AppConfig;
use serde_json::{Value, json};
use std::time::Duration;

const SESSIONS: usize = 500;
const ROTATIONS: usize = 6;

/// The key of a rotation: each has another algorithm than the one before it.
fn key(number: usize) -> Issuer {
    let kid = format!("key {number}");
    match number % 3 {
        0 => Issuer::es256(&kid),
        1 => Issuer::rs256(&kid),
        _ => Issuer::eddsa(&kid),
    }
}

fn token_of(issuer: &Issuer, session: usize) -> String {
    issuer.token(&json!({ "sub": format!("u{session}"), "exp": now() + 600 }))
}

fn ask_to_renew(player: &mut Raw, token: &str) {
    let text = format!("\u{1e}{}", json!({ "type": "renew", "token": token }));
    player.send(masked(TEXT, text.as_bytes()));
}

/// Whether it was renewed. A key that the server has not fetched yet is the one reason why not.
fn is_renewed(player: &mut Raw) -> bool {
    let frame = player.frame().expect("it is open");
    let answer: Value = serde_json::from_str(frame.text().strip_prefix('\u{1e}').unwrap()).unwrap();
    match answer["type"].as_str() {
        Some("renewed") => true,
        _ => {
            assert_eq!(
                (&answer["of"], &answer["code"]),
                (&json!("renew"), &json!("unauthorized")),
                "{answer}"
            );
            false
        }
    }
}

#[test]
fn no_session_is_dropped_while_keys_rotate_and_all_go_on_under_the_new_ones() {
    open_files();
    let mut current = key(0);
    let mut publisher = JwksServer::start(jwks([&current]));
    let server = TestServer::start(|config| {
        let url = Some(publisher.url().parse().unwrap());
        config.apps.insert("default".into(), AppConfig { jwks_url: url, ..AppConfig::default() });
        config.auth.jwks_ca_file = Some(publisher.certificate.cert.clone());
        config.auth.jwks_retry = Duration::from_millis(20);
        config.auth.renew_interval = Duration::ZERO;
    });
    let first = token_of(&current, 0);
    until("the first keys are fetched", || {
        ask(server.client, &format!("/ws?token={first}"), "").status == 101
    });
    let mut players: Vec<Raw> = (0..SESSIONS)
        .map(|number| {
            let mut raw = Raw::connect(server.client);
            let token = token_of(&current, number);
            let offer = format!("Sec-WebSocket-Protocol: gannet.v1, gannet.token.{token}\r\n");
            raw.send(upgrade("/ws", &offer));
            assert_eq!(raw.answer().status, 101);
            raw.frame().unwrap();
            raw
        })
        .collect();
    let mut retired = Vec::new();
    for number in 1..=ROTATIONS {
        let next = key(number);
        publisher.answer(200, jwks([&next]));
        let mut left: Vec<usize> = (0..SESSIONS).collect();
        until("all are renewed", || {
            left.iter().for_each(|&index| ask_to_renew(&mut players[index], &token_of(&next, index)));
            left.retain(|&index| !is_renewed(&mut players[index]));
            left.is_empty()
        });
        retired.push(std::mem::replace(&mut current, next));
        // A key that is not published any more opens nothing; those that came in under it are there.
        let old = retired.last().unwrap();
        assert_eq!(ask(server.client, &format!("/ws?token={}", token_of(old, 0)), "").status, 401);
    }
    // The last keys stay where their publisher does not.
    publisher.end();
    (0..SESSIONS).for_each(|index| ask_to_renew(&mut players[index], &token_of(&current, index)));
    assert!(players.iter_mut().all(is_renewed));
    let receipt = server.backend().push_text("all=1&receipt=written", "all here");
    assert_eq!(receipt.written, Some(SESSIONS as u32));
    assert!(players.iter_mut().all(|player| player.frame().unwrap().text() == "all here"));
    let stats = server.backend().stats();
    assert_eq!(stats["renewed"], (ROTATIONS + 1) * SESSIONS);
    server.await_stats("nobody was dropped", |totals| totals["sessions"] == SESSIONS);
}
