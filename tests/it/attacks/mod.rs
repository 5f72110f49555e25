//! The table of attacks: each against a live server with five hundred players who get twenty messages a second and lose
//! none of them.

mod doors;
mod floods;
mod garbage;
mod siege;
mod slow;

use crate::support::tls::{self, CertFiles};
use crate::support::*;
use crate::tokens::{CHESS, DEFAULT};
use serde_json::json;
use siege::{Siege, pass};

/// What is done to the server, and how.
type Row = (&'static str, fn(&mut Siege));

/// How a server stands in the open: secrets in every app, and a bound on everything.
const GUARDED: &str = r#"
[apps.default]
secrets = ["the secret of the app named default"]
[apps.chess]
secrets = ["the secret of the app named chess"]
per_user = { max = 2, policy = "refuse" }
[limits]
sessions_per_address = 300
connections_per_address = 400
outbox_bytes = 131072
max_push_bytes = 65536
max_body_bytes = 1048576
[rates]
upgrades_per_address = { per_second = 5, burst = 300 }
messages = { per_second = 50, burst = 100 }
[timeouts]
upgrade_ms = 4000
close_ms = 500
[deflate]
enabled = true
"#;

#[test]
fn five_hundred_players_lose_nothing() {
    let _heavy = heavy();
    assert!([CHESS, DEFAULT].iter().all(|secret| GUARDED.contains(secret)));
    let mut siege = Siege::lay(GUARDED, |number| {
        format!("token={}", pass(&format!("player {number}"), json!(["crowd"])))
    });
    let table: &[Row] = &[
        ("forged, expired, unsigned and replayed tokens", doors::tokens),
        ("reading and pushing across apps", doors::across_apps),
        ("new limits by reconnecting", doors::reconnecting),
        ("5,000 connections from one address", doors::connections),
        ("heads that trickle", slow::heads),
        ("200 readers of a busy group who stop", slow::readers),
        ("floods of fragments", floods::fragments),
        ("floods of pings", floods::pings),
        ("deflate bombs", floods::deflate_bombs),
        ("heads, tokens, frames and messages too large", garbage::oversized_from_players),
        ("bodies, batches, pushes and names too large", garbage::oversized_from_backends),
        ("garbage on the client port", garbage::at_the_client_port),
        ("garbage within a session", garbage::within_a_session),
        ("garbage on the backend port", garbage::at_the_backend_port),
    ];
    for (what, attack) in table {
        siege.stand(what, *attack);
        println!("stood: {what}");
    }
}

#[test]
fn those_inside_tls_lose_nothing_to_handshakes_that_never_end() {
    let _heavy = heavy();
    let files = CertFiles::new(&["localhost"]);
    let config =
        format!("{GUARDED}\n[tls]\ncert = '{}'\nkey = '{}'", files.cert.display(), files.key.display());
    let client = tls::client_config(&[&rustls::version::TLS13]);
    let query = |number| format!("token={}", pass(&format!("player {number}"), json!(["crowd"])));
    let mut siege = Siege::lay_over(&config, query, |stream| tls::over(stream, &client, "localhost"));
    siege.stand("slow TLS handshakes", slow::handshakes);
}

#[test]
fn a_server_without_bounds_holds_five_thousand_from_one_address_beside_them() {
    let _heavy = heavy();
    let mut siege = Siege::lay("", |_| "group=crowd".to_owned());
    siege.stand("5,000 sessions from one address", |siege| {
        let intruders: Vec<_> = (0..5_000).map(|_| siege.raw(20).upgraded("/ws")).collect();
        siege.server.await_stats("all are there", |totals| totals["sessions"] == 5_000 + siege::CROWD);
        drop(intruders);
    });
}
