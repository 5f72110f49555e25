//! Upgrades in a row under load.
//!
//! `UPGRADE_PLAYERS=10000 UPGRADES=50 cargo test --release --all-features --test it upgrade::load -- --nocapture
//! --test-threads 1` is the long run: it prints the longest gap of each upgrade. Both sides of each connection, and the
//! server's of the process before, have a descriptor: `ulimit -Hn` is to be twice the players.

use super::running::Running;
use super::traffic::{Connect, Traffic};
use crate::support::*;
use serde_json::json;
use std::time::Duration;

/// The variable `name` as a number, or `usual`.
pub fn parameter(name: &str, usual: usize) -> usize {
    std::env::var(name)
        .map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}: no number")))
}

/// The configuration of a server whose client port speaks TLS with this certificate.
pub fn tls_config(cert: &tls::CertFiles) -> String {
    format!("[tls]\ncert = '{}'\nkey = '{}'\n", cert.cert.display(), cert.key.display())
}

/// A player over TLS 1.3 or 1.2, whichever its turn is.
pub fn over_tls(ports: &Ports, target: &str) -> Result<Player<tls::TlsStream>, Refusal> {
    let version = match target.len() % 2 {
        0 => &rustls::version::TLS13,
        _ => &rustls::version::TLS12,
    };
    let stream = std::net::TcpStream::connect(ports.client).map_err(Refusal::Io)?;
    Player::on(tls::over(prepared(stream), &tls::client_config(&[version]), "localhost"), target)
}

/// A player over plain TCP.
pub fn plain(ports: &Ports, target: &str) -> Result<Player, Refusal> {
    ports.try_player(target)
}

fn upgrades_in_a_row<S: OverTcp>(config: &str, connect: Connect<S>) {
    let _alone = heavy();
    let (players, upgrades) = (parameter("UPGRADE_PLAYERS", 200), parameter("UPGRADES", 5));
    let limits = format!("limits.max_page = 1000\ntimeouts.handover_ms = 30000\n{config}");
    let mut server = Running::start(&["--reactors", "4"], &limits);
    let traffic = Traffic::start(*server, players, connect);
    traffic.await_news();
    let (sessions, usual) = (traffic.sessions(), traffic.longest());
    assert_eq!(sessions.len(), players);
    println!("{players} players, {upgrades} upgrades; before the first, the longest gap is {usual:?}");
    let (mut level, mut longest) = (None, Duration::ZERO);
    for number in 1..=upgrades {
        let report = server.upgrade();
        // What was to be seen while it went on has been seen.
        traffic.await_news();
        let gap = traffic.longest();
        println!("upgrade {number}: the longest gap is {gap:?}; {report}");
        longest = longest.max(gap);
        assert!(report["sessions"].as_u64().unwrap() >= players as u64, "{report}");
        assert_eq!(traffic.sessions(), sessions);
        let (files, bytes) = (server.open_files(), server.resident_bytes());
        let (files_before, bytes_before) = *level.get_or_insert((files, bytes));
        // Some come and go at any time.
        assert!(files <= files_before + 8, "{files} descriptors, and {files_before} after the first upgrade");
        let most = bytes_before + bytes_before / 4 + (8 << 20);
        assert!(bytes <= most, "{bytes} bytes of memory, and {bytes_before} after the first upgrade");
    }
    let outcome = traffic.finish();
    println!(
        "{} messages, none missing, doubled or out of order; the longest gap is {longest:?}",
        outcome.messages
    );
    let totals = server.backend().stats();
    assert_eq!(totals["upgrade"]["last"]["outcome"], json!("ok"), "{totals:#}");
    assert_eq!(server.backend().scrape().sum("gannet_upgrades_total", &["ok"]), upgrades as u64);
}

#[test]
fn through_upgrades_in_a_row_no_player_is_lost_and_no_message() {
    upgrades_in_a_row("", plain);
}

#[test]
fn through_upgrades_in_a_row_no_wss_player_is_lost_and_no_message() {
    let cert = tls::CertFiles::new(&["localhost"]);
    upgrades_in_a_row(&tls_config(&cert), over_tls);
}
