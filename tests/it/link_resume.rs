//! Links that come back: exactly the rest of their events, or a gap; tickets; moved to the reactor that has them.

use crate::support::tls::{self, CertFiles};
use crate::support::{End, Link, Player, Random, TestServer, until};
use gannet::config::{BackendKey, Secret};
use gannet::dispatch::Right;
use rustls::version::{TLS12, TLS13};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::Shutdown;
use std::time::Duration;
use tungstenite::Message;
use tungstenite::client::IntoClientRequest;

const ALL: [&str; 5] = ["open", "message", "close", "join", "leave"];

fn ticket(first: &Value) -> String {
    first["resume"].as_str().unwrap().to_owned()
}

/// A link with its ticket, and how many events it has read.
struct Reader {
    link: Link,
    ticket: String,
    received: u64,
    is_binary: bool,
    /// It has asked for numbers.
    numbers: bool,
}

impl Reader {
    fn new(server: &TestServer, is_binary: bool) -> Self {
        let (link, first) = Link::resume(server.backend, is_binary, "new", None);
        assert!(first.get("resumed").is_none(), "{first}");
        Self { link, ticket: ticket(&first), received: 0, is_binary, numbers: false }
    }

    fn listen_with_numbers(&mut self, events: &[&str]) {
        self.link.command(json!({"op": "listen", "events": events, "numbers": true}));
        self.numbers = true;
    }

    fn event(&mut self) -> Value {
        self.received += 1;
        let event = self.link.event();
        assert_eq!(event.get("n"), self.numbers.then(|| json!(self.received)).as_ref(), "{event}");
        event
    }

    /// Comes back; what the server says to that.
    fn back(&mut self, server: &TestServer) -> Value {
        let (link, first) = Link::resume(server.backend, self.is_binary, &self.ticket, Some(self.received));
        (self.link, self.ticket) = (link, ticket(&first));
        if first["resumed"] == false {
            self.received = 0;
        }
        first
    }
}

fn number(event: &Value) -> usize {
    event["text"].as_str().unwrap().parse().unwrap()
}

/// A hundred ends of four kinds, wherever the link is in its events.
fn killed_and_none_missing(is_binary: bool) {
    const PLAYERS: usize = 6;
    const ROUNDS: usize = 100;
    const SAID: usize = 15;
    let server = TestServer::start(|_| ());
    let mut reader = Reader::new(&server, is_binary);
    reader.listen_with_numbers(&ALL);
    let mut players: Vec<Player> = (0..PLAYERS).map(|_| server.player("user=ada&group=g")).collect();
    // Of each player an open, a join and its messages.
    let total = (PLAYERS * (2 + ROUNDS * SAID)) as u64;
    let mut random = Random::new(7);
    let mut told: HashMap<String, Vec<Value>> = HashMap::new();
    let mut all = 0;
    let mut take = |reader: &mut Reader, told: &mut HashMap<String, Vec<Value>>| {
        let event = reader.event();
        told.entry(event["session"].as_str().unwrap().to_owned()).or_default().push(event);
        all += 1;
    };
    // Those that are taken from without having ended.
    let mut half_open = Vec::new();
    for round in 0..ROUNDS {
        for said in 0..SAID {
            players.iter_mut().for_each(|player| player.send_text(&(round * SAID + said).to_string()));
        }
        let read = random.below(PLAYERS * SAID);
        (0..read).for_each(|_| take(&mut reader, &mut told));
        let stream = reader.link.stream().try_clone().unwrap();
        match round % 4 {
            0 => socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap(),
            1 => stream.shutdown(Shutdown::Both).unwrap(),
            // The server ends it: it does not speak so.
            2 if is_binary => reader.link.send_raw(Message::text("{}")),
            2 => reader.link.send_raw(Message::binary(vec![0])),
            _ => half_open.push(stream),
        }
        let first = reader.back(&server);
        assert_eq!(first["resumed"], true, "round {round}: {first}");
    }
    while reader.received < total {
        take(&mut reader, &mut told);
    }
    assert_eq!((all, told.len()), (total, PLAYERS));
    for events in told.values() {
        assert_eq!((&events[0]["event"], &events[1]["event"]), (&json!("open"), &json!("join")));
        assert!(events[2..].iter().map(number).eq(0..ROUNDS * SAID));
    }
    // Nothing is behind.
    assert_eq!(reader.link.command(json!({"op": "destroy", "group": "nobody"})), json!({"sessions": 0}));
    assert!(reader.link.events_so_far().is_empty());
    let stats = server.await_stats("one link", |stats| stats["links"] == 1);
    assert_eq!(stats["link_resumes"]["resumed"], ROUNDS);
    assert_eq!((&stats["link_events_lost"], &stats["links_away"]), (&json!(0), &json!(0)));
}

#[test]
fn a_link_killed_a_hundred_times_misses_nothing_and_gets_nothing_twice() {
    killed_and_none_missing(false);
}

#[test]
fn a_binary_link_killed_a_hundred_times_misses_nothing_and_gets_nothing_twice() {
    killed_and_none_missing(true);
}

#[test]
fn what_comes_while_it_is_away_waits_within_the_bounds_and_beyond_them_is_a_gap() {
    let server = TestServer::start(|config| config.limits.link_kept_messages = 20);
    let mut reader = Reader::new(&server, false);
    reader.link.listen(&["message"], None);
    let mut player = server.player("");
    for (said, is_gap) in [(20, false), (21, true), (5, false)] {
        reader.link.stream().shutdown(Shutdown::Both).unwrap();
        server.await_stats("the link is away", |stats| stats["links_away"] == 1);
        (0..said).for_each(|number| player.send_text(&number.to_string()));
        let before = server.backend().stats()["messages_in"].as_u64().unwrap();
        server.await_stats("all has come", |stats| stats["messages_in"].as_u64() >= Some(before));
        until("every message has been kept, or lost", || {
            let stats = server.backend().stats();
            let lost = stats["link_events_lost"].as_u64().unwrap();
            let kept = stats["link_kept_events"].as_u64().unwrap();
            if is_gap { lost == 21 } else { kept >= said }
        });
        let first = reader.back(&server);
        if is_gap {
            assert_eq!((&first["resumed"], &first["why"]), (&json!(false), &json!("gap")));
            assert_eq!(reader.event(), json!({"event": "gap"}));
            // It listens still, and from now on.
            player.send_text("100");
            assert_eq!(number(&reader.event()), 100);
        } else {
            assert_eq!(first["resumed"], true);
            (0..said as usize).for_each(|expected| assert_eq!(number(&reader.event()), expected));
        }
    }
    let stats = server.backend().stats();
    assert_eq!((&stats["link_resumes"]["gap"], &stats["link_resumes"]["resumed"]), (&json!(1), &json!(2)));
}

#[test]
fn a_ticket_is_good_until_the_next_one_has_been_answered() {
    let server = TestServer::start(|_| ());
    let mut reader = Reader::new(&server, false);
    reader.link.listen(&["message"], None);
    let mut player = server.player("");
    player.send_text("0");
    let shown = reader.ticket.clone();
    // The first messages of three connections are lost; the ticket before them is good each time.
    for _ in 0..3 {
        let first = reader.back(&server);
        assert_eq!(first["resumed"], true);
        assert_eq!(number(&reader.link.event()), 0);
        assert_ne!(reader.ticket, shown);
        reader.ticket = shown.clone();
    }
    let first = reader.back(&server);
    assert_eq!(number(&reader.event()), 0);
    reader.link.command(json!({"op": "destroy", "group": "nobody"}));
    let (_link, used) = Link::resume(server.backend, false, &shown, Some(1));
    assert_eq!((&used["resumed"], &used["why"]), (&json!(false), &json!("unknown")));
    // Who has the last one is not concerned.
    player.send_text("1");
    assert_eq!(number(&reader.event()), 1);
    reader.link.stream().shutdown(Shutdown::Both).unwrap();
    reader.ticket = ticket(&first);
    assert_eq!(reader.back(&server)["resumed"], true);
}

#[test]
fn who_shows_what_is_no_ticket_gets_a_new_link_and_a_gap() {
    let server = TestServer::start(|_| ());
    let one = Reader::new(&server, false);
    let mut other = Reader::new(&server, true);
    // Of the one link, with the secret of the other.
    let foreign = format!("{}{}", &one.ticket[..11], &other.ticket[11..]);
    let elsewhere = "AKAAAAAAAAEAAAAAAAAAAAAAAAAAAAAA";
    for (shown, received) in [("x", 0), (elsewhere, 0), (&*foreign, 0), (&foreign, u64::MAX)] {
        let (mut link, first) = Link::resume(server.backend, false, shown, Some(received));
        assert_eq!((&first["resumed"], &first["why"]), (&json!(false), &json!("unknown")), "{shown}");
        assert_eq!(link.event(), json!({"event": "gap"}));
        // It is a link like any other, and can be come back to.
        link.reset();
        let (mut link, first) = Link::resume(server.backend, false, &ticket(&first), Some(0));
        assert_eq!(first["resumed"], true);
        assert_eq!(link.event(), json!({"event": "gap"}));
    }
    // More than was ever sent.
    let (mut link, first) = Link::resume(server.backend, false, &one.ticket, Some(1));
    assert_eq!((&first["resumed"], &first["why"]), (&json!(false), &json!("gap")));
    assert_eq!(link.event(), json!({"event": "gap"}));
    // The other form.
    let (_link, first) = Link::resume(server.backend, false, &other.ticket, Some(0));
    assert_eq!((&first["resumed"], &first["why"]), (&json!(false), &json!("form")));
    assert_eq!(other.back(&server)["resumed"], true);
    let mut backend = server.backend();
    for target in ["resume=new&received=0", "resume=x", "received=0", "resume=", "resume=x&received=-1"] {
        assert_eq!(backend.request("GET", &format!("/v1/link?{target}")).status, 400, "{target}");
    }
}

#[test]
fn only_a_key_that_may_do_as_much_comes_back() {
    const KEYS: [(&str, &str, &[Right]); 3] = [
        ("one", "0123456789abcdef-one", &[Right::All]),
        ("two", "0123456789abcdef-two", &[Right::All]),
        ("reads", "0123456789abcdef-reads", &[Right::Read]),
    ];
    let key = |(name, key, may): (&str, &str, &[Right])| BackendKey {
        name: name.to_owned(),
        key: Some(Secret::new(key)),
        key_file: None,
        may: may.to_vec(),
        apps: Vec::new(),
    };
    let server = TestServer::start(|config| config.backend.keys = KEYS.map(key).to_vec());
    let open = |ticket: &str, received, number: usize| {
        Link::resume_with(server.backend, false, ticket, received, Some(KEYS[number].1))
    };
    let (_link, first) = open("new", None, 0);
    let (_other, refused) = open(&ticket(&first), Some(0), 2);
    assert_eq!((&refused["resumed"], &refused["why"]), (&json!(false), &json!("key")));
    let (link, first) = open(&ticket(&first), Some(0), 1);
    assert_eq!(first["resumed"], true);
    // The key of one that is away is taken away.
    link.reset();
    let mut by_key = gannet_scrape(&server, KEYS[0].1);
    until("the link is away", || by_key("gannet_links_away") == 1);
    server.reload(|config| config.backend.keys = vec![key(KEYS[0])]);
    until("the link is away no more", || by_key("gannet_links_away") == 0);
    let (_link, first) = open(&ticket(&first), Some(0), 0);
    assert_eq!(first["why"], "unknown");
}

/// The sum of a gauge over all reactors, asked with a key.
fn gannet_scrape(server: &TestServer, key: &str) -> impl FnMut(&str) -> u64 {
    let (address, key) = (server.backend, key.to_owned());
    move |name| {
        let mut raw = crate::raw::Raw::connect(address);
        raw.send(format!("GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n"));
        let text = String::from_utf8(raw.answer().body).unwrap();
        let of = text.lines().filter(|line| line.starts_with(&format!("{name}{{")));
        of.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64).sum()
    }
}

#[test]
fn a_link_that_says_goodbye_or_lingers_too_long_is_over() {
    let server = TestServer::start(|config| config.timeouts.link_linger = Duration::from_millis(50));
    for code in [Some(1000), Some(1001), None] {
        let reader = Reader::new(&server, false);
        match code {
            Some(code) => reader.link.close(code),
            None => {
                reader.link.reset();
                server.await_stats("the link is away", |stats| stats["links"] == 0);
                server.await_stats("the link is over", |stats| stats["links_away"] == 0);
            }
        }
        let (_link, first) = Link::resume(server.backend, false, &reader.ticket, Some(0));
        assert_eq!(first["why"], "unknown", "{code:?}");
    }
    // Another code is no goodbye.
    let server = TestServer::start(|_| ());
    let mut reader = Reader::new(&server, false);
    let (link, _) = Link::resume(server.backend, false, "new", None);
    std::mem::replace(&mut reader.link, link).close(3000);
    assert_eq!(reader.back(&server)["resumed"], true);
}

#[test]
fn as_many_are_away_as_may_be_and_none_where_none_may() {
    let server = TestServer::start(|config| {
        config.reactors = Some(1);
        config.limits.links_away = 2;
    });
    let mut readers: Vec<Reader> = (0..4).map(|_| Reader::new(&server, false)).collect();
    for (away, reader) in readers.iter().enumerate() {
        reader.link.stream().shutdown(Shutdown::Both).unwrap();
        server.await_stats("it has gone", |stats| stats["links"] == 3 - away);
    }
    server.await_stats("two are away", |stats| stats["links_away"] == 2);
    let resumed: Vec<Value> =
        readers.iter_mut().map(|reader| reader.back(&server)["resumed"].take()).collect();
    assert_eq!(resumed, [json!(false), json!(false), json!(true), json!(true)]);
    let server = TestServer::start(|config| config.timeouts.link_linger = Duration::ZERO);
    let (mut link, first) = Link::resume(server.backend, true, "new", None);
    assert_eq!(first, json!({"resume": null}));
    assert_eq!(link.command(json!({"op": "destroy", "group": "g"})), json!({"sessions": 0}));
}

/// The connection of a link that is resumed goes to the reactor of the link: with what was sent behind the upgrade, over any
/// transport, wherever it came in.
#[test]
fn a_link_is_come_back_to_from_every_reactor() {
    let server = TestServer::start(|_| ());
    let mut readers: Vec<Reader> = (0..8).map(|number| Reader::new(&server, number % 2 == 0)).collect();
    readers.iter_mut().for_each(|reader| reader.link.listen(&["open"], None));
    for round in 0..10 {
        let player = server.player("");
        for reader in &mut readers {
            assert_eq!(reader.event()["session"], player.id.to_string(), "round {round}");
            assert_eq!(reader.back(&server)["resumed"], true);
            let info = reader.link.command(json!({"op": "session", "session": player.id.to_string()}));
            assert_eq!(info["session"], player.id.to_string());
        }
    }
    let stats = server.await_stats("the old ones have gone", |stats| stats["links"] == 8);
    assert_eq!(stats["backend_connections"].as_u64(), Some(9), "{stats:#}");
    drop(readers);
    server.await_stats("all are away", |stats| stats["links_away"] == 8 && stats["backend_connections"] == 1);
}

/// A connection that goes to another reactor takes its TLS session along, in both versions.
#[test]
fn a_link_over_tls_is_come_back_to_from_every_reactor() {
    let files = CertFiles::new(&["localhost"]);
    let server = TestServer::start(|config| {
        (config.tls.cert, config.tls.key) = (Some(files.cert.clone()), Some(files.key.clone()));
        config.tls.backend = true;
    });
    let open = |version, ticket: &str, received: &str| {
        let stream = tls::connect_as(server.backend, &tls::client_config(&[version]), "localhost");
        let mut request =
            format!("wss://localhost/v1/link?resume={ticket}{received}").into_client_request().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", "gannet.link.json".parse().unwrap());
        let (mut socket, _) = tungstenite::client(request, stream).unwrap();
        let first = read(&mut socket);
        (socket, first)
    };
    fn read(socket: &mut tungstenite::WebSocket<tls::TlsStream>) -> Value {
        serde_json::from_str(socket.read().unwrap().to_text().unwrap()).unwrap()
    }
    let (mut socket, mut first) = open(&TLS13, "new", "");
    let long = "x".repeat(100_000);
    socket.send(Message::text(r#"{"id":1,"op":"listen","events":["message"]}"#)).unwrap();
    assert_eq!(read(&mut socket), json!({"id": 1, "ok": {}}));
    let mut player = Player::on(tls::connect(server.client), "/ws?").unwrap();
    for round in 0..12_u64 {
        player.send_text(&format!("{round} {long}"));
        let event = read(&mut socket);
        assert_eq!(event["text"], format!("{round} {long}"));
        let version = if round % 2 == 0 { &TLS12 } else { &TLS13 };
        (socket, first) = open(version, &ticket(&first), &format!("&received={}", round + 1));
        assert_eq!(first["resumed"], true, "round {round}");
        socket.send(Message::text(r#"{"id":2,"op":"presence","group":"g"}"#)).unwrap();
        assert_eq!(read(&mut socket)["ok"]["sessions"], 0);
    }
}

/// To destroy a group makes an event for each member at once: where they do not fit, the link is told so by its end and by a gap.
#[test]
fn a_group_too_large_for_the_bound_is_a_gap() {
    let server = TestServer::start(|config| {
        config.limits.link_outbox_messages = 40;
        config.reactors = Some(1);
    });
    let mut reader = Reader::new(&server, false);
    let players: Vec<Player> = (0..100).map(|_| server.player("group=g")).collect();
    reader.link.listen(&["leave"], None);
    assert_eq!(server.backend().change("DELETE", "/v1/groups/g"), 100);
    let end = loop {
        match reader.link.next_event() {
            Ok(event) => assert_eq!(event["event"], "leave"),
            Err(end) => break end,
        }
    };
    assert!(matches!(&end, End::Closed(4003, reason) if reason == "events were lost"), "{end:?}");
    assert_eq!(reader.back(&server)["why"], "gap");
    assert_eq!(reader.event(), json!({"event": "gap"}));
    // It listens on, and a further loss is told again.
    drop(players);
    let players: Vec<Player> = (0..100).map(|_| server.player("group=h")).collect();
    assert_eq!(server.backend().change("DELETE", "/v1/groups/h"), 100);
    while reader.link.next_event().is_ok() {}
    assert_eq!(reader.back(&server)["why"], "gap");
    assert!(server.backend().stats()["link_events_lost"].as_u64() >= Some(100));
    drop(players);
}

/// Numbers are of one link: they begin anew behind a gap, and whoever gets its events after it gets them without.
#[test]
fn numbers_are_of_the_link_that_asks_for_them() {
    let server = TestServer::start(|config| {
        config.limits.link_kept_messages = 4;
        config.timeouts.link_linger = Duration::from_millis(100);
    });
    for (link, is_binary) in [(server.link(), false), (server.binary_link(), true)] {
        let mut link = link;
        let error =
            link.try_command(json!({"op": "listen", "events": ["open"], "numbers": true})).unwrap_err();
        assert_eq!(error["code"], "bad_request", "{error}");
        let mut reader = Reader::new(&server, is_binary);
        reader.listen_with_numbers(&["message"]);
        let mut player = server.player("");
        (0..3).for_each(|number| player.send_text(&number.to_string()));
        assert!((0..3).map(|_| number(&reader.event())).eq(0..3));
        // More has been read than was ever sent: from now on, and numbered from there.
        reader.received = 9;
        assert_eq!(reader.back(&server)["why"], "gap");
        assert_eq!(reader.event(), json!({"event": "gap", "n": 1}));
        player.send_text("3");
        assert_eq!(reader.event()["n"], 2);
        // Asked for no more: none.
        reader.link.command(json!({"op": "listen", "events": ["message"]}));
        reader.numbers = false;
        player.send_text("4");
        assert_eq!(number(&reader.event()), 4);
        player.close(1000, "");
    }
    // What one did not get goes to another as that one has asked for.
    let share =
        |numbers: bool| json!({"op": "listen", "events": ["message"], "share": "s", "numbers": numbers});
    let mut gone = Reader::new(&server, false);
    gone.link.command(share(true));
    let mut player = server.player("");
    player.send_text("0");
    gone.numbers = true;
    assert_eq!(number(&gone.event()), 0);
    let mut heir = server.link();
    heir.command(share(false));
    gone.link.stream().shutdown(Shutdown::Both).unwrap();
    server.await_stats("it has no connection", |stats| stats["links"] == 1);
    player.send_text("1");
    let event = heir.event();
    assert_eq!((number(&event), event.get("n")), (1, None));
}
