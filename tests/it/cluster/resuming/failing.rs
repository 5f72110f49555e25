//! What becomes of a session where its ring is too small, its node is gone or silent, or its client comes twice.

use super::*;
use crate::cluster::nodes::prefix;
use crate::support::{Relay, ServerProcess};
use crate::upgrade::running::{KILLED, Running};
use rustix::process::Signal;
use std::io::Write;
use std::net::TcpStream;
use std::ops::Deref;
use std::thread;

#[test]
fn who_has_missed_more_than_is_kept_is_told_so() {
    let redis = Redis::start();
    let nodes = Nodes::start_with(2, &[&redis], |config| {
        resumes(config);
        config.apps.get_mut("default").unwrap().resume.messages = 3;
    });
    let [a, b] = [0, 1].map(|node| *nodes.servers[node]);
    let mut ada = Wanderer::new(a, "user=ada");
    push_all(b, "user=ada", 0..9);
    ada.texts(2);
    ada.vanish();
    ada.resumes_in_vain_on(b, "gap");
    a.await_stats("it is of no use to anybody", |stats| stats["sessions"] == 0);
}

#[test]
fn who_has_missed_more_than_may_go_to_another_node_is_told_so() {
    let redis = Redis::start();
    let nodes = Nodes::start_with(2, &[&redis], |config| {
        resumes(config);
        config.cluster.resume_bytes = 10;
    });
    let [a, b] = [0, 1].map(|node| *nodes.servers[node]);
    let [mut ada, mut bob] = ["user=ada", "user=bob"].map(|query| Wanderer::new(a, query));
    let sent = push_all(b, "user=ada", 0..10);
    push_all(b, "user=bob", 0..11);
    ada.resumes_on(b);
    assert_eq!(ada.texts(10), sent);
    bob.resumes_in_vain_on(b, "gap");
}

#[test]
fn a_large_rest_goes_in_several_parts() {
    let redis = Redis::start();
    let nodes = Nodes::start_with(2, &[&redis], |config| {
        resumes(config);
        config.apps.get_mut("default").unwrap().resume.bytes = 4 << 20;
    });
    let [a, b] = [0, 1].map(|node| *nodes.servers[node]);
    let mut ada = Wanderer::new(a, "user=ada");
    let long = "x".repeat(50_000);
    let sent: Vec<String> = (0..20).map(|number| format!("{number} {long}")).collect();
    sent.iter().for_each(|text| assert_eq!(b.backend().push_text("user=ada", text).matched, 1));
    ada.resumes_on(b);
    assert_eq!(ada.texts(20), sent);
}

#[test]
fn what_waits_keeps_its_class_its_key_and_its_time() {
    let redis = Redis::start();
    let nodes = nodes(2, &[&redis]);
    let [a, b] = [0, 1].map(|node| *nodes.servers[node]);
    let mut ada = Wanderer::new(a, "user=ada");
    ada.vanish();
    a.await_stats("the session is away", |stats| stats["away"] == 1);
    for (query, text) in [
        ("key=score", "1"),
        ("", "2"),
        ("class=urgent", "3"),
        ("key=score", "4"),
        ("ttl_ms=1", "too late"),
        ("ttl_ms=600000", "5"),
    ] {
        assert_eq!(a.backend().push_text(&format!("user=ada&{query}"), text).queued, 1);
    }
    until("what had no time is given up", || {
        a.backend().scrape().sum("gannet_deliveries_total", &["outcome=\"expired\""]) == 1
    });
    ada.resumes_on(b);
    assert_eq!(ada.texts(4), ["3", "4", "2", "5"]);
}

#[test]
fn the_ticket_before_is_good_until_the_client_has_said_something_wherever_it_comes() {
    let redis = Redis::start();
    let nodes = nodes(3, &[&redis]);
    let [a, b, c] = [0, 1, 2].map(|node| *nodes.servers[node]);
    let mut ada = Wanderer::new(a, "user=ada");
    let (first, opened) = (ada.ticket.clone(), ada.session.clone());
    let sent = push_all(b, "user=ada", 0..3);
    let lost = |ada: &mut Wanderer| {
        (ada.ticket, ada.session) = (first.clone(), opened.clone());
    };
    // Each welcome is lost on the way: from the first node to the second, to the third, back to the second and to the first.
    for ports in [b, c, b, a, c] {
        ada.resumes_on(ports);
        lost(&mut ada);
    }
    ada.resumes_on(b);
    assert_eq!(ada.texts(3), sent);
    let (ticket, session) = (ada.ticket.clone(), ada.session.clone());
    let mut link = b.link();
    link.listen(&["message"], None);
    ada.player.as_mut().unwrap().send_text("here I am");
    assert_eq!(link.event()["text"], "here I am");
    lost(&mut ada);
    for ports in [a, b, c] {
        ada.resumes_in_vain_on(ports, "unknown");
    }
    (ada.ticket, ada.session) = (ticket, session);
    ada.resumes_on(c);
}

#[test]
fn of_two_that_come_at_once_one_has_the_session() {
    let redis = Redis::start();
    let nodes = nodes(3, &[&redis]);
    let ports = [0, 1, 2].map(|node| *nodes.servers[node]);
    for round in 0..20 {
        let user = format!("user=u{round}");
        let ada = Wanderer::new(ports[0], &user);
        let sent = push_all(ports[1], &user, 0..3);
        let (query, [one, other]) = (ada.query(), [[1, 2], [0, 2], [1, 0]][round % 3]);
        let mut came = thread::scope(|scope| {
            let both = [one, other].map(|node| {
                let query = &query;
                scope.spawn(move || ports[node].player(query))
            });
            both.map(|player| player.join().unwrap())
        });
        let heads = came.each_ref().map(|player| player.welcome["resumed"].clone());
        assert!(heads.contains(&Value::Bool(true)), "{heads:?}");
        // Where both were told that it is theirs, the later one took it from the other.
        let mut ends = Vec::new();
        for player in came.iter_mut().filter(|player| player.welcome["resumed"] == true) {
            let mut got = Vec::new();
            ends.push(loop {
                match got.len() {
                    3 => break None,
                    _ => match player.next() {
                        Ok(message) => got.push(message.into_text().unwrap().to_string()),
                        Err(end) => break Some(end),
                    },
                }
            });
            assert_eq!(got[..], sent[..got.len()], "{heads:?}");
        }
        assert!(ends.contains(&None), "{ends:?}");
        let listed = ports[2].backend().ok("GET", &format!("/v1/sessions?{user}"));
        assert_eq!(listed["sessions"].as_array().unwrap().len(), 1, "{listed}");
    }
}

/// The configuration of a node in a process of its own.
fn configuration(redis: &Redis, prefix: &str, name: &str) -> String {
    format!(
        "[apps.default.resume]\nlinger_ms = {LONG_MS}\n[cluster]\nredis = ['{}']\nprefix = '{prefix}'\nname = '{name}'\n\
         heartbeat_ms = 50\nlease_ms = 60000\npatience_ms = 1000\n",
        redis.url()
    )
}

/// Two nodes, each as `start` makes it of its configuration.
fn two_processes<N: Deref<Target = Ports>>(redis: &Redis, start: impl Fn(&str) -> N) -> [N; 2] {
    let prefix = prefix();
    let nodes = ["a", "b"].map(|name| start(&configuration(redis, &prefix, name)));
    for ports in &nodes {
        until("a whole cluster", || {
            let status = ports.backend().ok("GET", "/v1/cluster");
            status["ready"] == true && status["nodes"].as_array().unwrap().len() == 2
        });
    }
    nodes
}

const REACTORS: &[&str] = &["--reactors", "2"];

#[test]
fn a_node_that_is_killed_takes_its_sessions_with_it() {
    let redis = Redis::start();
    let [mut a, b] = two_processes(&redis, |config| Running::start(REACTORS, config));
    let mut ada = Wanderer::new(*a, "user=ada");
    a.signal(Signal::KILL);
    assert_eq!(a.ended(), KILLED);
    ada.resumes_in_vain_on(*b, "unknown");
}

#[test]
fn a_node_that_is_silent_is_a_gap_and_has_its_session_when_it_goes_on() {
    let redis = Redis::start();
    let [a, b] = two_processes(&redis, |config| ServerProcess::start(REACTORS, config));
    let mut ada = Wanderer::new(*a, "user=ada");
    let sent = push_all(*a, "user=ada", 0..2);
    let frozen = a.freeze();
    let (ticket, session) = (ada.ticket.clone(), ada.session.clone());
    ada.resumes_in_vain_on(*b, "gap");
    drop(frozen);
    (ada.ticket, ada.session) = (ticket, session);
    ada.resumes_on(*b);
    assert_eq!(ada.texts(2), sent);
}

#[test]
fn where_a_session_has_gone_is_known_to_the_process_that_goes_on() {
    let redis = Redis::start();
    let [mut a, b] = two_processes(&redis, |config| Running::start(REACTORS, config));
    let mut ada = Wanderer::new(*a, "user=ada");
    let (first, opened) = (ada.ticket.clone(), ada.session.clone());
    let sent = push_all(*b, "user=ada", 0..2);
    ada.resumes_on(*b);
    a.upgrade();
    // The welcome was lost.
    (ada.ticket, ada.session) = (first, opened);
    ada.resumes_on(*b);
    assert_eq!(ada.texts(2), sent);
}

#[test]
fn a_session_that_was_claimed_by_a_node_which_was_killed_stays_where_it_is() {
    let (redis, prefix) = (Redis::start(), prefix());
    let relay = Relay::start(redis.address());
    let start = |name: &str, url: &str| {
        let config = configuration(&redis, &prefix, name).replace(&redis.url(), url);
        ServerProcess::start(REACTORS, &config)
    };
    let (a, c) = (start("a", &redis.url()), start("c", &redis.url()));
    let b = start("b", &format!("redis://{}", relay.address()));
    for ports in [&a, &b, &c] {
        until("a whole cluster", || {
            let status = ports.backend().ok("GET", "/v1/cluster");
            status["ready"] == true && status["nodes"].as_array().unwrap().len() == 3
        });
    }
    let mut ada = Wanderer::new(*a, "user=ada");
    let mut sent = push_all(*a, "user=ada", 0..3);
    ada.vanish();
    a.await_stats("the session is away", |stats| stats["away"] == 1);
    // The claim reaches the node of the session, whose answer does not come back.
    relay.hold();
    let received = || a.backend().scrape().sum("gannet_bus_received_total", &[]);
    let before = received();
    let mut client = TcpStream::connect(b.client).unwrap();
    let (query, key) = (ada.query(), "dGhlIHNhbXBsZSBub25jZQ==");
    let upgrade = format!(
        "GET /ws?{query} HTTP/1.1\r\nHost: b\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: {key}\r\n\
         Sec-WebSocket-Version: 13\r\n\r\n"
    );
    client.write_all(upgrade.as_bytes()).unwrap();
    until("the claim", || received() > before);
    // This kills it with -9.
    drop(b);
    sent.extend(push_all(*a, "user=ada", 3..5));
    let welcome = ada.goes_to(*a);
    assert_eq!((&welcome["resumed"], &welcome["session"]), (&true.into(), &ada.session.as_str().into()));
    ada.ticket = ticket_of(&welcome);
    assert_eq!(ada.texts(5), sent);
    sent = push_all(*a, "user=ada", 5..8);
    assert_eq!(ada.texts(1), sent[..1]);
    ada.resumes_on(*c);
    assert_eq!(ada.texts(2), sent[1..]);
}
