//! Connections that have not shown who they are: silent ones, heads that do not end, handshakes that do not begin. However
//! many there are, whoever comes with a request gets in, on either port.

use crate::raw::{Raw, request, upgrade};
use crate::support::*;
use crate::tokens::connect_from;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

fn silent(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    (0..count).map(|_| TcpStream::connect(address).unwrap()).collect()
}

/// No silent connection leaves for its deadline.
const PATIENT: &str = "[timeouts]\nupgrade_ms = 600_000\n";

/// Asks for the statistics.
fn ask(raw: &mut Raw) -> u16 {
    raw.send(request("GET /v1/stats"));
    raw.answer().status
}

/// Goes on with a line that has begun, a byte at a time until there is an answer: that answer.
fn trickle(mut raw: Raw) -> (u16, String) {
    for byte in std::iter::once(b'X').chain(std::iter::repeat(b'y')) {
        if raw.is_readable() || raw.try_send([byte]).is_err() {
            break;
        }
        // A slow-loris has time: what it sends must not reach the bound of a head before the deadline.
        let _ = raw.sender().set_read_timeout(Some(Duration::from_millis(20)));
        let _ = raw.sender().peek(&mut [0]);
    }
    raw.sender().set_read_timeout(Some(DEADLINE)).unwrap();
    let answer = raw.answer();
    let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
    assert_eq!(raw.rest(), b"", "that ends the connection");
    (answer.status, message)
}

#[test]
fn silent_strangers_do_not_lock_the_backend_out() {
    let server = TestServer::start(|config| config.limits.max_backend_connections = 50);
    let mut known = server.backend();
    known.stats();
    let strangers = silent(server.backend, 600);
    // One that is there stays, and a new one gets in.
    known.stats();
    let totals = server.backend().stats();
    assert_eq!(totals["refused"]["full"], 0, "{totals:#}");
    drop(strangers);
    server.await_stats("they have gone", |totals| totals["backend_strangers"] == 0);
}

#[test]
fn strangers_give_way_to_newer_ones_and_the_address_with_the_most_loses() {
    let server = TestServer::start(|config| {
        config.reactors = Some(1);
        config.limits.max_backend_strangers = 8;
    });
    let mut slow = Raw::over(connect_from([127, 0, 0, 3], server.backend));
    slow.send("GET /v1/st");
    let crowd: Vec<TcpStream> = (0..100).map(|_| connect_from([127, 0, 0, 2], server.backend)).collect();
    let totals = server.await_stats("all but a few have given way", |totals| {
        totals["refused"]["gave_way"].as_u64().unwrap() >= 90
    });
    assert!(totals["backend_strangers"].as_u64().unwrap() <= 8, "{totals:#}");
    slow.send("ats HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(slow.answer().status, 200, "it was the oldest, and alone at its address");
    drop(crowd);
}

#[test]
fn strangers_from_one_address_have_a_bound_of_their_own() {
    let server = TestServer::start(|config| config.limits.backend_strangers_per_address = 2);
    let [mut first, _second, mut third] =
        [(); 3].map(|()| Raw::over(connect_from([127, 0, 0, 2], server.backend)));
    assert_eq!(third.rest(), b"", "it is closed as it comes");
    assert_eq!(ask(&mut Raw::over(connect_from([127, 0, 0, 3], server.backend))), 200);
    // Who has shown who it is does not count any more.
    assert_eq!(ask(&mut first), 200);
    assert_eq!(ask(&mut Raw::over(connect_from([127, 0, 0, 2], server.backend))), 200);
    assert_eq!(server.backend().stats()["refused"]["connections"], 1);
}

#[test]
fn those_that_may_ask_have_a_bound_and_are_told_so() {
    let server = TestServer::start(|config| config.limits.max_backend_connections = 2);
    let mut held = [(); 2].map(|()| Raw::connect(server.backend));
    held.iter_mut().for_each(|raw| assert_eq!(ask(raw), 200));
    let mut third = Raw::connect(server.backend);
    assert_eq!(ask(&mut third), 503);
    assert_eq!(third.rest(), b"");
    held.iter_mut().for_each(|raw| assert_eq!(ask(raw), 200));
    // A link is one of them.
    let [first, _second] = held;
    drop(first);
    until("a place is free", || ask(&mut Raw::connect(server.backend)) == 200);
}

#[test]
fn a_head_on_the_backend_port_has_to_end_in_its_time() {
    let server = ServerProcess::start(&[], "[timeouts]\nhead_ms = 400");
    let begun = |bytes: &str| Raw::begun(&server, server.backend, bytes);
    let (half, whole) = ("GET /v1/stats HTTP/1.1\r\n", request("GET /v1/stats"));
    let late = (408, "the request was not complete in time".to_owned());
    assert_eq!(trickle(begun(half)), late);
    // The next head of one that may ask, too.
    let mut known = begun(&whole);
    assert_eq!(known.answer().status, 200);
    known.send(half);
    assert_eq!(trickle(known), late);
    // Where nothing has come nothing is answered.
    assert_eq!(Raw::connect(server.backend).rest(), b"");
    // One that was refused has as long for its next request.
    let mut other = begun("GET /v1/stats HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    assert_eq!(other.answer().status, 421);
    assert_eq!(other.rest(), b"");
    assert_eq!(begun(&whole).answer().json()["refused"]["head_timeout"], 3);
}

#[test]
fn a_stranger_that_reads_no_answer_has_no_longer() {
    let server = TestServer::start(|config| {
        // The one that looks has to ask in its time, too.
        config.timeouts.head = Duration::from_secs(2);
        config.limits.outbox_bytes = 1_100_000;
    });
    let mut raw = Raw::connect_narrow(server.backend);
    let refused = "GET /v1/stats HTTP/1.1\r\nHost: evil.example\r\n\r\n".repeat(100);
    // As many answers as find no room any more: it is not read then.
    while raw.try_send(&refused).is_ok() {}
    server.await_stats("it has been closed", |totals| totals["backend_strangers"] == 0);
}

#[test]
fn one_that_may_ask_and_reads_no_answer_keeps_no_place_for_ever() {
    let server = TestServer::start(|config| {
        config.timeouts.link_stalled = Duration::from_millis(400);
        config.limits.max_backend_connections = 2;
    });
    let mut raw = Raw::connect_narrow(server.backend);
    let asked = request("GET /v1/stats").repeat(50);
    // As many as find no room any more: it is not read then, and half a head stays.
    while raw.try_send(&asked).is_ok() {}
    server.await_stats("only the one that asks is left", |totals| totals["backend_connections"] == 1);
}

#[test]
fn silent_connections_are_no_sessions() {
    let server = TestServer::start(|config| config.limits.max_sessions = 3);
    let held = silent(server.client, 10);
    let players: Vec<Player> = (0..3).map(|_| server.player("")).collect();
    assert!(server.try_player("/ws").is_err(), "three are three");
    drop((held, players));
    server.await_stats("all have gone", |totals| totals["upgrading"] == 0 && totals["sessions"] == 0);
    server.player("");
}

#[test]
fn silent_heads_give_way_to_newer_ones() {
    let server = TestServer::start(|config| config.limits.max_upgrading = 8);
    let held = silent(server.client, 200);
    let mut players: Vec<Player> = (0..20).map(|_| server.player("group=g")).collect();
    assert_eq!(server.backend().push_text("group=g", "in").queued, 20);
    players.iter_mut().for_each(|player| assert_eq!(player.recv_text(), "in"));
    // Other reactors may still be accepting theirs.
    server.await_stats("the others gave way", |totals| totals["refused"]["gave_way"].as_u64() >= Some(190));
    drop(held);
}

#[test]
fn clients_leave_descriptors_for_the_backend_port_and_for_players() {
    let server = ServerProcess::start_limited(Some(64), &["--reactors", "2"], PATIENT);
    let _silent = silent(server.client, 80);
    let mut healthy = Raw::connect(server.backend);
    healthy.send(request("GET /healthz"));
    assert_eq!(healthy.answer().status, 200);
    let players: Vec<Player> = (0..20).map(|_| server.player("group=g")).collect();
    // No session is given the descriptors of the others.
    let more: Vec<_> = (0..40).map(|_| server.try_player("/ws")).collect();
    assert!(more.iter().any(Result::is_err));
    for error in more.iter().filter_map(|one| one.as_ref().err()) {
        assert!(matches!(error, Refusal::Http { status: 503, .. }), "{error:?}");
    }
    let totals = server.backend().stats();
    assert_eq!(totals["accept_errors"], 0, "{totals:#}");
    assert_eq!(server.backend().push_text("group=g", "in").queued, players.len() as u32);
    until("it says that max_sessions cannot be reached", || server.said().contains("ulimit -n"));
}

#[test]
fn handshakes_that_do_not_begin_give_way_too() {
    let files = tls::CertFiles::new(&["localhost"]);
    let config = format!(
        "{PATIENT}[tls]\ncert = {:?}\nkey = {:?}\nbackend = true\n[backend]\nkey = '0123456789abcdef'\n",
        files.cert, files.key
    );
    let server = ServerProcess::start_limited(Some(64), &["--reactors", "2"], &config);
    let _silent = [silent(server.client, 80), silent(server.backend, 80)];
    let mut half = Raw::connect(server.backend);
    half.send([22, 3, 1]);
    let player = Player::on(tls::connect(server.client), "/ws").unwrap();
    let mut backend = tls::connect(server.backend);
    use std::io::{Read, Write};
    backend
        .write_all(
            b"GET /v1/stats HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer 0123456789abcdef\r\n\r\n",
        )
        .unwrap();
    let mut status = [0; 12];
    backend.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
    drop(player);
}

#[test]
fn proxy_headers_that_do_not_come_give_way_too() {
    let server = TestServer::start(|config| {
        config.proxy.protocol_from = vec!["127.0.0.9".parse().unwrap()];
        config.limits.max_upgrading = 8;
    });
    let held: Vec<TcpStream> = (0..100).map(|_| connect_from([127, 0, 0, 9], server.client)).collect();
    let mut raw = Raw::over(connect_from([127, 0, 0, 9], server.client));
    raw.send("PROXY TCP4 192.0.2.1 127.0.0.1 40000 9000\r\n");
    raw.upgraded("/ws?user=ada");
    drop(held);
}

#[test]
fn a_link_that_stops_after_its_upgrade_and_a_half_closed_stranger_leave_their_places() {
    let server = TestServer::start(|config| {
        config.timeouts.link_ping = Duration::from_millis(200);
        config.timeouts.link_idle = Duration::from_millis(400);
        config.limits.max_backend_connections = 2;
    });
    let mut link = Raw::connect(server.backend);
    link.send(upgrade("/v1/link", "Sec-WebSocket-Protocol: gannet.link.json\r\n"));
    assert_eq!(link.answer().status, 101);
    let mut half = Raw::connect(server.backend);
    half.send("GET /v1/st");
    half.end_writing();
    assert_eq!(half.rest(), b"");
    server.await_stats("only the one that asks is left", |totals| {
        (&totals["backend_connections"], &totals["links"], &totals["backend_strangers"])
            == (&1.into(), &0.into(), &0.into())
    });
}
