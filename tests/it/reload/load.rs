//! A thousand reloads under load.

use crate::support::*;
use crate::tokens::{CHESS, DEFAULT, HS256, ROTATED, now, token};
use gannet::session::SessionId;
use serde_json::json;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use tungstenite::Message;

const PLAYERS: usize = 500;
const RELOADS: usize = 1_000;

/// The configuration of one round: secrets rotate, an app comes and goes, limits, rates, ticks and keys move.
fn config(round: usize, cert: &tls::CertFiles) -> String {
    let secrets = match round % 3 {
        0 => format!("'{CHESS}'"),
        1 => format!("'{ROTATED}', '{CHESS}'"),
        _ => format!("'{ROTATED}'"),
    };
    let (max_page, ping_ms, tick_ms) = (100 + round, 20_000 + 7 * round, [0, 5, 20][round % 3]);
    let app = if round.is_multiple_of(2) {
        format!("[apps.sometimes]\nsecrets = ['{DEFAULT}']\n")
    } else {
        String::new()
    };
    let bound = [0, 100_000][round % 2];
    format!(
        "[apps.default]\nsecrets = [{secrets}]\nmax_sessions = {bound}\nper_user = {{ max = {bound} }}\n\
         group_tick_ms = {{ 'ticked' = {tick_ms} }}\n{app}\
         [limits]\nmax_page = {max_page}\nsessions_per_address = {bound}\nturn_deliveries = {}\n\
         [timeouts]\nping_ms = {ping_ms}\nidle_ms = 60_000\n\
         [rates]\nmessages = {{ per_second = {bound} }}\n\
         [tls]\ncert = '{}'\nkey = '{}'\n",
        1_000 + round,
        cert.cert.display(),
        cert.key.display(),
    )
}

fn number(_: SessionId, message: Message) -> usize {
    message.into_text().unwrap().parse().unwrap()
}

#[test]
fn a_thousand_reloads_drop_nothing_and_leak_nothing() {
    let _alone = heavy();
    let mut cert = tls::CertFiles::new(&["localhost"]);
    let server = ServerProcess::start(&["--reactors", "2"], &config(0, &cert));
    let pool = Pool::new(number);
    let client = tls::client_config(&[&rustls::version::TLS13, &rustls::version::TLS12]);
    let welcome = |user: String, secret: &str| {
        let claims = json!({ "sub": user, "exp": now() + 6_000, "groups": ["all", "ticked"] });
        let target = format!("/ws?token={}", token(HS256, &claims, secret));
        let stream = prepared(std::net::TcpStream::connect(server.client).unwrap());
        Player::on(tls::over(stream, &client, "localhost"), &target)
    };
    (0..PLAYERS).for_each(|each| _ = pool.add(welcome(format!("u{each}"), CHESS).unwrap()));
    let mut link = server.link();
    link.listen(&["message"], None);
    let (files, mut backend) = (server.open_files(), server.backend());
    let stops = AtomicBool::new(false);
    let (mut warm_bytes, ports) = (0, *server);
    let sent = thread::scope(|scope| {
        let publisher = scope.spawn(|| {
            let mut backend = ports.backend();
            let mut sent = 0;
            while !stops.load(Ordering::Relaxed) {
                let group = ["all", "ticked"][sent % 2];
                let receipt = backend.push_text(&format!("group={group}"), &sent.to_string());
                // One more now and then, who comes late and leaves.
                assert!(
                    receipt.queued == receipt.matched && receipt.matched >= PLAYERS as u32,
                    "{receipt:?}"
                );
                sent += 1;
            }
            sent
        });
        for round in 1..=RELOADS {
            if round.is_multiple_of(10) {
                cert.renew(&["localhost"]);
            }
            fs::write(server.config(), config(round, &cert)).unwrap();
            let reloaded = backend.ok("POST", "/v1/admin/reload");
            assert_eq!(reloaded["restart"], json!([]));
            let changed = reloaded["changed"].as_array().unwrap();
            let has = |key: &str| changed.iter().any(|changed| changed == key);
            assert!(
                has("limits.max_page") && has("apps.sometimes") && has("apps.default.secrets"),
                "{reloaded}"
            );
            assert_eq!(has("tls certificates"), round.is_multiple_of(10));
            if round.is_multiple_of(50) {
                // Whose turn it is gets in, by the new certificate; who comes with yesterday's secret does not.
                let good = if round.is_multiple_of(3) { CHESS } else { ROTATED };
                welcome(format!("late {round}"), good).unwrap().close(1000, "");
                if round % 3 == 2 {
                    assert_eq!(
                        welcome("eve".to_owned(), CHESS).err().map(|refusal| refusal.status()),
                        Some(401)
                    );
                }
                until("they have left", || backend.stats()["sessions"] == PLAYERS);
                pool.send(round % PLAYERS, Message::text(round.to_string()));
                assert_eq!(link.event()["text"], round.to_string());
            }
            if round == RELOADS / 4 {
                warm_bytes = server.resident_bytes();
            }
        }
        stops.store(true, Ordering::Relaxed);
        publisher.join().unwrap()
    });
    pool.wait("all have got everything", |logs| logs.iter().all(|log| log.messages.len() == sent));
    for log in pool.finish() {
        assert_eq!(log.end, None);
        for group in [0, 1] {
            // In order, each once: the two groups have ticks of their own.
            let of_group = log.messages.iter().copied().filter(|number| number % 2 == group);
            assert!(of_group.eq((group..sent).step_by(2)), "{:?}", log.messages);
        }
    }
    until("all connections are gone", || backend.stats()["sessions"] == 0);
    until("no descriptor is left", || server.open_files() <= files - PLAYERS + 1);
    let grown = server.resident_bytes().saturating_sub(warm_bytes);
    assert!(grown < 8 << 20, "{grown} bytes more than after a quarter of the reloads");
}
