//! Feeds: events for backends that have no link, by long polling; what is not read is there again, for whoever comes back in time.

use crate::links::session;
use crate::support::{Backend, DEADLINE, EventStream, Player, Ports, TestServer, until};
use crate::upgrade::running::Running;
use gannet::config::{BackendKey, Secret};
use gannet::dispatch::Right;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::net::TcpStream;
use std::time::Duration;

/// A backend that reads a feed.
struct Reader {
    backend: Backend,
    asks_for: String,
    ticket: String,
    received: u64,
}

impl Reader {
    fn open(ports: Ports, asks_for: &str) -> Self {
        let mut backend = ports.backend();
        let document = backend.ok("GET", &format!("/v1/events?{asks_for}"));
        assert_eq!((&document["received"], &document["events"]), (&json!(0), &json!([])));
        let mut reader = Self { backend, asks_for: asks_for.to_owned(), ticket: String::new(), received: 0 };
        reader.takes(&document);
        reader
    }

    fn target(&self, wait_ms: u64) -> String {
        let Self { asks_for, ticket, received, .. } = self;
        format!("/v1/events?{asks_for}&resume={ticket}&received={received}&wait_ms={wait_ms}")
    }

    fn begin(&mut self, wait_ms: u64) {
        let target = self.target(wait_ms);
        self.backend.send("GET", &target, "text/plain", b"");
    }

    fn takes(&mut self, document: &Value) -> Vec<Value> {
        self.ticket = document["resume"].as_str().unwrap().to_owned();
        self.received = document["received"].as_u64().unwrap();
        document["events"].as_array().unwrap().clone()
    }

    fn end(&mut self) -> Vec<Value> {
        let reply = self.backend.receive();
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
        self.takes(&reply.json())
    }

    fn poll(&mut self, wait_ms: u64) -> Vec<Value> {
        self.begin(wait_ms);
        self.end()
    }

    /// Polls until there are so many events.
    fn read(&mut self, count: usize) -> Vec<Value> {
        let mut events = Vec::new();
        while events.len() < count {
            events.extend(self.poll(DEADLINE.as_millis() as u64));
        }
        events
    }
}

fn texts(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["text"].as_str()).collect()
}

const ALL: &str = "events=open,message,close";

#[test]
fn a_feed_has_what_a_link_would_have() {
    let server = TestServer::start(|_| ());
    let mut reader = Reader::open(*server, ALL);
    let mut link = server.link();
    link.listen(&["open", "message", "close"], None);
    let mut player = server.player("user=ada&tag=ios");
    player.send_text("one");
    player.send_binary(&[0, 1, 255]);
    player.send_text("\"{two}\" \u{1f602}");
    let mut by_link: Vec<Value> = (0..4).map(|_| link.event()).collect();
    assert_eq!(reader.read(4), by_link);
    // It waits, and is answered when something comes.
    reader.begin(DEADLINE.as_millis() as u64);
    player.send_text("three");
    by_link.push(link.event());
    assert_eq!(reader.end(), by_link[4..]);
    player.close(1000, "");
    assert_eq!(reader.read(1), [link.event()]);
    let mut detailed = Reader::open(*server, "events=message&with=groups,tags");
    server.player("group=g&tag=a&tag=b").send_text("hi");
    let event = detailed.read(1).remove(0);
    assert_eq!((&event["groups"], &event["tags"]), (&json!(["g"]), &json!(["a", "b"])));
    assert_eq!(reader.read(3).len(), 3);
    assert_eq!(reader.received, 9);
    assert_eq!(reader.poll(0), [] as [Value; 0]);
    assert_eq!(reader.backend.request("DELETE", &format!("/v1/events?resume={}", reader.ticket)).status, 204);
    assert_eq!(reader.backend.request("DELETE", &format!("/v1/events?resume={}", reader.ticket)).status, 404);
}

#[test]
fn an_answer_that_was_lost_is_given_again_and_what_is_not_kept_is_a_gap() {
    let server = TestServer::start(|config| config.limits.link_kept_messages = 4);
    let mut reader = Reader::open(*server, "events=message");
    let mut player = server.player("");
    (0..3).for_each(|number| player.send_text(&number.to_string()));
    let first = reader.read(3);
    assert_eq!(texts(&first), ["0", "1", "2"]);
    reader.received = 1;
    assert_eq!(texts(&reader.poll(0)), ["1", "2"]);
    // More than is kept.
    (3..12).for_each(|number| player.send_text(&number.to_string()));
    server.await_stats("all has come", |stats| stats["messages_in"] == 12);
    let target = reader.target(0);
    let document = reader.backend.ok("GET", &target);
    assert_eq!((&document["resumed"], &document["why"]), (&json!(false), &json!("gap")));
    assert_eq!(document["events"][0], json!({"event": "gap"}));
    let rest = reader.takes(&document).len();
    player.send_text("12");
    let events = reader.read(1);
    assert_eq!((texts(&events), reader.received), (vec!["12"], rest as u64 + 1));
    // Nobody can have read what never was.
    reader.received += 1;
    let target = reader.target(0);
    assert_eq!(reader.backend.ok("GET", &target)["why"], "gap");
}

#[test]
fn who_comes_too_late_or_with_nothing_has_another_feed() {
    let server = TestServer::start(|config| config.timeouts.link_linger = Duration::from_millis(50));
    let mut reader = Reader::open(*server, "events=message");
    server.await_stats("it is over", |stats| stats["links_away"] == 0);
    let mut player = server.player("");
    for ticket in [reader.ticket.clone(), "nonsense".into(), "A".repeat(32)] {
        reader.ticket = ticket;
        let target = reader.target(0);
        let document = reader.backend.ok("GET", &target);
        assert_eq!((&document["resumed"], &document["why"]), (&json!(false), &json!("unknown")));
        assert_eq!(reader.takes(&document), [] as [Value; 0]);
        // It listens.
        reader.begin(DEADLINE.as_millis() as u64);
        player.send_text("hi");
        assert_eq!(texts(&reader.end()), ["hi"]);
    }
}

#[test]
fn a_later_request_takes_the_feed() {
    let server = TestServer::start(|_| ());
    let mut reader = Reader::open(*server, "events=message");
    let mut second = Reader { backend: server.backend(), asks_for: reader.asks_for.clone(), ..reader };
    reader = Reader::open(*server, "events=message");
    (second.ticket, second.received) = (reader.ticket.clone(), reader.received);
    reader.begin(DEADLINE.as_millis() as u64);
    server.await_stats("it waits", |stats| stats["links_away"] == 1);
    second.begin(DEADLINE.as_millis() as u64);
    let reply = reader.backend.receive();
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (409, &json!("conflict")));
    server.player("").send_text("hi");
    assert_eq!(texts(&second.end()), ["hi"]);
}

#[test]
fn what_cannot_be_is_refused() {
    let key = |name: &str, may: &[Right]| BackendKey {
        name: name.to_owned(),
        key: Some(Secret::new(format!("the-key-that-is-called-{name}"))),
        key_file: None,
        may: may.to_vec(),
        apps: Vec::new(),
    };
    let server = TestServer::start(|config| config.backend.keys = vec![key("read", &[Right::Read])]);
    let stream = TcpStream::connect(server.backend).unwrap();
    let mut raw = crate::raw::Raw::over(stream);
    raw.send(b"GET /v1/events?events=open HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer the-key-that-is-called-read\r\n\r\n");
    assert_eq!(raw.answer().status, 403);
    let server = TestServer::start(|_| ());
    let mut backend = server.backend();
    for (query, says) in [
        ("", "events"),
        ("events=", "events"),
        ("events=open,opne", "opne"),
        ("events=open&resume=x", "received"),
        ("events=open&received=0", "resume"),
        ("events=open&wait_ms=60001", "wait_ms is at most 60000"),
        ("events=open&wait_ms=x", "wait_ms"),
        ("events=open&colour=red", "colour"),
    ] {
        let reply = backend.request("GET", &format!("/v1/events?{query}"));
        let message = reply.json()["error"]["message"].as_str().unwrap().to_owned();
        assert_eq!((reply.status, message.contains(says)), (400, true), "{query}: {message}");
    }
    let server = TestServer::start(|config| config.timeouts.link_linger = Duration::ZERO);
    let reply = server.backend().request("GET", "/v1/events?events=open");
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (409, &json!("conflict")));
}

/// Two feeds share the players; one is not read on, and one leaves: the other has the rest, in order, once.
#[test]
fn feeds_share_and_fail_over() {
    let server = TestServer::start(|config| config.timeouts.link_linger = Duration::from_secs(1));
    let shared = format!("{ALL}&share=game");
    let mut readers: Vec<Reader> = (0..3).map(|_| Reader::open(*server, &shared)).collect();
    let mut players: Vec<Player> = (0..40).map(|_| server.player("")).collect();
    let mut heard: HashMap<String, Vec<usize>> = HashMap::new();
    let mut hear = |events: Vec<Value>| {
        for event in events.iter().filter(|event| event["event"] == "message") {
            let session = event["session"].as_str().unwrap().to_owned();
            heard.entry(session).or_default().push(event["text"].as_str().unwrap().parse().unwrap());
        }
        heard.values().map(Vec::len).sum::<usize>()
    };
    for round in 0..3 {
        for number in round * 10..round * 10 + 10 {
            players.iter_mut().for_each(|player| player.send_text(&number.to_string()));
        }
        if round == 1 {
            // It is not read any more.
            readers.remove(0);
        }
        if round == 2 {
            let mut leaves = readers.remove(0);
            let target = format!("/v1/events?resume={}", leaves.ticket);
            assert_eq!(leaves.backend.request("DELETE", &target).status, 204);
        }
        until("all has been heard", || {
            readers.iter_mut().map(|reader| reader.poll(10)).fold(0, |_, events| hear(events))
                == (round + 1) * 10 * players.len()
        });
    }
    assert!(heard.values().all(|numbers| numbers.iter().copied().eq(0..30)), "{heard:?}");
}

/// An event stream of a backend: its events as EventSource has them, each with its id.
struct Streamed {
    stream: EventStream,
    last: String,
}

impl Streamed {
    fn open(ports: Ports, target: &str, fields: &str) -> (Self, Value) {
        let stream = TcpStream::connect(ports.backend).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let request =
            format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{fields}\r\n");
        let mut streamed = Self { stream: EventStream::over(stream, &request), last: String::new() };
        assert_eq!(streamed.stream.field("content-type"), Some("text/event-stream"));
        let first = streamed.stream.next().unwrap();
        assert_eq!(first.name, "feed", "{first:?}");
        streamed.last = first.last_id.clone();
        (streamed, first.json())
    }

    fn next(&mut self) -> Value {
        let event = self.stream.next().unwrap();
        self.last.clone_from(&event.last_id);
        event.json()
    }
}

#[test]
fn a_feed_is_read_as_an_event_stream_that_comes_back_where_it_was() {
    let server = TestServer::start(|config| config.timeouts.poll_wait = Duration::from_millis(50));
    let (mut stream, first) = Streamed::open(*server, "/v1/events?events=message", "");
    assert_eq!(first["received"], 0);
    let mut player = server.player("");
    for number in 0..3 {
        player.send_text(&number.to_string());
        assert_eq!(stream.next()["text"], number.to_string());
    }
    stream.stream.await_comment();
    // The last two were not read, and more has come meanwhile.
    let id = stream.last.replace(":3", ":1");
    drop(stream);
    (3..6).for_each(|number| player.send_text(&number.to_string()));
    server.await_stats("all has come", |stats| stats["messages_in"] == 6);
    let (mut stream, first) =
        Streamed::open(*server, "/v1/events?events=message", &format!("Last-Event-ID: {id}\r\n"));
    assert_eq!((&first["received"], first.get("resumed")), (&json!(1), None));
    for number in 1..6 {
        assert_eq!(stream.next()["text"], number.to_string());
    }
    // Another one takes it: this one ends.
    let (mut second, _) =
        Streamed::open(*server, "/v1/events?events=message", &format!("Last-Event-ID: {}\r\n", stream.last));
    assert!(stream.stream.next().is_none());
    player.send_text("6");
    assert_eq!(second.next()["text"], "6");
    let (_, first) = Streamed::open(*server, "/v1/events?events=message", "Last-Event-ID: nonsense:7\r\n");
    assert_eq!((&first["resumed"], &first["why"]), (&json!(false), &json!("unknown")));
}

/// What a key may do now is what counts, and not what it might when the stream began.
#[test]
fn a_stream_goes_on_where_its_key_may_do_more_and_ends_where_it_is_gone() {
    let root = "{ name = 'root', key = 'the-key-that-is-called-root', may = ['all'] }";
    let game = |apps: &str| {
        format!("{{ name = 'game', key = 'the-key-that-is-called-game', may = ['all'], apps = [{apps}] }}")
    };
    let config = |keys: &str| format!("apps.default = {{}}\napps.chess = {{}}\n[backend]\nkeys = [{keys}]\n");
    let server = Running::start(&["--reactors", "2"], &config(&format!("{root}, {}", game("'default'"))));
    let reload = |keys: &str| {
        std::fs::write(server.config(), config(keys)).unwrap();
        let mut raw = crate::raw::Raw::connect(server.backend);
        raw.send("POST /v1/admin/reload HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer the-key-that-is-called-root\r\nContent-Length: 0\r\n\r\n");
        let answer = raw.answer();
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    let fields = "Authorization: Bearer the-key-that-is-called-game\r\n";
    let (mut stream, _) = Streamed::open(*server, "/v1/events?events=message", fields);
    let mut player = server.player("");
    reload(&format!("{root}, {}", game("'default', 'chess'")));
    for number in 0..3 {
        player.send_text(&number.to_string());
        assert_eq!(stream.next()["text"], number.to_string());
    }
    reload(root);
    assert!(stream.stream.next().is_none());
}

#[test]
fn an_event_stream_of_a_feed_goes_on_through_upgrades() {
    let mut server = Running::start(&["--reactors", "2"], "");
    let (mut stream, _) = Streamed::open(*server, "/v1/events?events=message", "");
    let mut player = server.player("");
    for number in 0..6 {
        player.send_text(&number.to_string());
        if number % 2 == 0 {
            server.upgrade();
        }
        assert_eq!(stream.next()["text"], number.to_string());
    }
}

#[test]
fn a_feed_goes_on_through_upgrades() {
    let mut server = Running::start(&["--reactors", "2"], "");
    let mut reader = Reader::open(*server, ALL);
    let mut player = server.player("");
    let mut said = 0;
    let mut heard = Vec::new();
    for _ in 0..3 {
        player.send_text(&said.to_string());
        said += 1;
        reader.begin(DEADLINE.as_millis() as u64);
        server.upgrade();
        player.send_text(&said.to_string());
        said += 1;
        heard.extend(reader.end());
    }
    while texts(&heard).len() < said {
        heard.extend(reader.poll(DEADLINE.as_millis() as u64));
    }
    let numbers: Vec<String> = (0..said).map(|number| number.to_string()).collect();
    assert_eq!(texts(&heard), numbers);
}

/// Less is kept of a feed than there are sessions: they come as they are read.
#[test]
fn a_feed_is_told_of_every_session_that_is_there() {
    const PLAYERS: usize = 200;
    let server = TestServer::start(|config| config.limits.link_kept_messages = 16);
    let mut players: Vec<Player> =
        (0..PLAYERS).map(|number| server.player(&format!("user=u{number}&group=g"))).collect();
    let mut reader = Reader::open(*server, "events=message&snapshot=1");
    players[PLAYERS - 1].send_text("hi");
    let (mut told, mut heard) = (HashMap::new(), 0);
    loop {
        for event in reader.read(1) {
            match event["event"].as_str().unwrap() {
                "session" => {
                    assert_eq!(event["groups"], json!(["g"]));
                    assert!(told.insert(session(&event), event["user"].clone()).is_none(), "{event}");
                }
                "message" => {
                    assert_eq!(told[&session(&event)], event["user"], "it was told of first");
                    heard += 1;
                }
                other => assert_eq!((other, told.len()), ("synced", PLAYERS)),
            }
        }
        if (told.len(), heard) == (PLAYERS, 1) {
            break;
        }
    }
    assert_eq!(server.backend().stats()["link_events_lost"], 0);
}

/// Feeds, whatever the reactor that has them, have been told of a part. Another process tells them of the rest, as they are read.
#[test]
fn a_feed_that_has_been_told_of_a_part_is_told_of_the_rest_by_the_new_process() {
    const PLAYERS: usize = 200;
    let mut server = Running::start(&["--reactors", "3"], "limits.link_kept_messages = 16");
    let players: Vec<Player> = (0..PLAYERS).map(|_| server.player("group=g")).collect();
    let mut readers: Vec<(Reader, HashSet<String>)> =
        (0..8).map(|_| (Reader::open(*server, "events=message&snapshot=1"), HashSet::new())).collect();
    // Reads what there is. Whether it was the end.
    let read = |(reader, told): &mut (Reader, HashSet<String>)| {
        let events = reader.poll(DEADLINE.as_millis() as u64);
        assert!(!events.is_empty(), "nothing more came of {} who were told", told.len());
        let is_last = events.last().is_some_and(|event| event["event"] == "synced");
        for event in &events[..events.len() - usize::from(is_last)] {
            assert_eq!((&event["event"], &event["groups"]), (&json!("session"), &json!(["g"])), "{event}");
            told.insert(session(event));
        }
        is_last
    };
    for _ in 0..2 {
        let is_over = readers.iter_mut().any(&read);
        assert!(!is_over, "all of it has been told already");
        server.upgrade();
    }
    for reader in &mut readers {
        while !read(reader) {}
        let (reader, told) = reader;
        assert!(players.iter().all(|player| told.contains(&player.id.to_string())), "{} told", told.len());
        assert_eq!(reader.poll(0), [] as [Value; 0]);
    }
    assert_eq!(server.backend().stats()["link_events_lost"], 0);
}
