//! Event streams resume as a browser's EventSource does it: by itself, with the id of the last event.

use super::{GZIP, push};
use crate::support::*;
use gannet::config::Config;
use serde_json::{Value, json};
use std::net::SocketAddr;

/// So long sessions linger where their end is not what is tested.
const LONG_MS: u64 = 600_000;

fn server(configure: impl FnOnce(&mut Config)) -> TestServer {
    TestServer::start(|config| {
        config.reactors = Some(4);
        config.deflate.enabled = true;
        config.apps.get_mut("default").unwrap().resume.linger_ms = LONG_MS;
        configure(config);
    })
}

/// A page with an EventSource.
struct Page {
    address: SocketAddr,
    target: String,
    fields: &'static str,
    stream: Option<EventStream>,
    last_id: String,
    welcome: Value,
}

impl Page {
    fn open(address: SocketAddr, target: &str, fields: &'static str) -> Self {
        let (target, last_id) = (target.to_owned(), String::new());
        let mut page = Self { address, target, fields, stream: None, last_id, welcome: Value::Null };
        page.connect();
        page
    }

    fn connect(&mut self) {
        let last = match self.last_id.as_str() {
            "" => String::new(),
            id => format!("Last-Event-ID: {id}\r\n"),
        };
        let mut stream = EventStream::open(self.address, &self.target, &format!("{}{last}", self.fields));
        let welcome = stream.next().unwrap();
        assert_eq!(welcome.name, "welcome");
        (self.welcome, self.last_id) = (welcome.json(), welcome.last_id);
        self.stream = Some(stream);
    }

    /// The text of the next message.
    fn text(&mut self) -> String {
        let event = self.stream.as_mut().unwrap().next().unwrap();
        assert_eq!(event.name, "message", "{event:?}");
        self.last_id = event.last_id;
        event.data
    }

    fn count(&self) -> u64 {
        self.last_id.rsplit_once(':').unwrap().1.parse().unwrap()
    }

    fn ticket(&self) -> &str {
        self.last_id.rsplit_once(':').unwrap().0
    }

    fn vanish(&mut self) {
        self.stream.take().unwrap().leave();
    }

    fn session(&self) -> &str {
        self.welcome["session"].as_str().unwrap()
    }
}

#[test]
fn an_event_source_gets_what_it_missed_in_order_and_once() {
    for fields in ["", GZIP] {
        let server = server(|_| {});
        let mut page = Page::open(server.client, "/sse?user=ada", fields);
        let session = page.session().to_owned();
        assert_eq!((page.ticket(), page.count()), (page.welcome["resume"].as_str().unwrap(), 0));
        let mut next = 0;
        for round in 0..8_u64 {
            for number in 0..5 {
                push(&server, "user=ada", "text/plain", format!("{}", round * 10 + number).as_bytes());
            }
            // Some have been read, some are on their way, some come while it is away.
            for number in 0..round.min(5) {
                assert_eq!(page.text(), format!("{}", round * 10 + number));
                next += 1;
                assert_eq!(page.count(), next);
            }
            page.vanish();
            server.await_stats("it is away", |stats| stats["away"] == 1);
            for number in 5..10 {
                push(&server, "user=ada", "text/plain", format!("{}", round * 10 + number).as_bytes());
            }
            page.connect();
            assert_eq!((page.session(), &page.welcome["resumed"]), (&*session, &json!(true)));
            assert_eq!((page.count(), page.ticket()), (next, page.welcome["resume"].as_str().unwrap()));
            for number in round.min(5)..10 {
                assert_eq!(page.text(), format!("{}", round * 10 + number));
                next += 1;
                assert_eq!(page.count(), next);
            }
        }
        server.backend().change("DELETE", "/v1/users/ada?code=4001&reason=bye");
        assert_eq!(page.stream.as_mut().unwrap().closed(), (4001, "bye".to_owned()));
    }
}

#[test]
fn what_is_half_on_the_wire_is_sent_again_whole_wherever_the_stream_is_cut() {
    for fields in ["", GZIP] {
        let server = server(|config| {
            config.limits.outbox_bytes = 64 << 20;
            config.apps.get_mut("default").unwrap().resume.bytes = 64 << 20;
        });
        let mut random = Random::new(5);
        let mut backend = server.backend();
        let mut page = Page::open(server.client, "/sse?user=ada", fields);
        let (mut sent, mut read) = (0, 0);
        let text = |number: u64| format!("{number} {}", "abc ".repeat((number * 7_919 % 30_000) as usize));
        for _ in 0..30 {
            for _ in 0..1 + random.below(6) {
                assert_eq!(backend.push_text("user=ada", &text(sent)).queued, 1);
                sent += 1;
            }
            for _ in 0..random.below((sent - read) as usize + 1) {
                assert_eq!(page.text(), text(read));
                read += 1;
            }
            // Whatever the client has of the rest, it has not read it.
            page.vanish();
            page.connect();
            assert_eq!((&page.welcome["resumed"], page.count()), (&json!(true), read));
        }
        while read < sent {
            assert_eq!(page.text(), text(read));
            read += 1;
        }
    }
}

#[test]
fn the_welcome_may_be_lost_as_often_as_it_likes() {
    let server = server(|_| {});
    let mut page = Page::open(server.client, "/sse?user=ada", "");
    push(&server, "user=ada", "text/plain", b"1");
    assert_eq!(page.text(), "1");
    for _ in 0..4 {
        // What it had before counts: it never saw the answer.
        let before = page.last_id.clone();
        page.vanish();
        page.connect();
        assert_eq!(page.welcome["resumed"], true);
        page.last_id = before;
    }
    page.vanish();
    page.connect();
    push(&server, "user=ada", "text/plain", b"2");
    assert_eq!((page.text().as_str(), page.count()), ("2", 2));
}

#[test]
fn a_used_wrong_or_foreign_id_is_a_new_session_and_says_why() {
    let server = server(|_| {});
    let mut page = Page::open(server.client, "/sse?user=ada", "");
    let first = page.last_id.clone();
    for _ in 0..2 {
        page.vanish();
        page.connect();
    }
    let ask = |target: &str, id: &str| {
        let (_, welcome) = EventStream::welcomed(server.client, target, &format!("Last-Event-ID: {id}\r\n"));
        (welcome["resumed"].clone(), welcome["why"].as_str().unwrap_or_default().to_owned())
    };
    let (ticket, _) = page.last_id.rsplit_once(':').unwrap();
    assert_eq!(ask("/sse?user=ada", &first), (json!(false), "unknown".into()));
    assert_eq!(ask("/sse?user=ada", "17"), (json!(false), "unknown".into()));
    assert_eq!(ask("/sse?user=ada", &format!("{ticket}:9")), (json!(false), "gap".into()));
    assert_eq!(ask("/sse?user=eve", &page.last_id), (json!(false), "user".into()));
    // In the URL the same.
    let (_, welcome) =
        EventStream::welcomed(server.client, &format!("/sse?user=ada&resume={ticket}&received=0"), "");
    assert_eq!((&welcome["resumed"], &welcome["session"]), (&json!(true), &page.welcome["session"]));
}

#[test]
fn one_session_changes_between_websocket_and_events() {
    let server = server(|_| {});
    let mut player = server.player("user=ada");
    let id = player.id.to_string();
    push(&server, "user=ada", "text/plain", b"1");
    push(&server, "user=ada", "text/plain", b"2\r");
    assert_eq!(player.recv_text(), "1");
    let ticket = player.welcome["resume"].as_str().unwrap().to_owned();
    player.reset();
    let target = format!("/sse?user=ada&resume={ticket}&received=1");
    let (mut stream, welcome) = EventStream::welcomed(server.client, &target, GZIP);
    assert_eq!((welcome["session"].as_str(), &welcome["resumed"]), (Some(&*id), &json!(true)));
    let event = stream.next().unwrap();
    assert_eq!((event.name.as_str(), event.data.as_str()), ("json", r#""2\r""#));
    let (ticket, count) = event.last_id.rsplit_once(':').unwrap();
    stream.leave();
    push(&server, "user=ada", "text/plain", b"3");
    let mut player = server.player(&format!("resume={ticket}&received={count}"));
    assert_eq!((player.id.to_string(), &player.welcome["resumed"]), (id, &json!(true)));
    assert_eq!(player.recv_text(), "3");
    push(&server, "user=ada", "text/plain", b"4");
    assert_eq!(player.recv_text(), "4");
}

#[test]
fn a_stream_that_is_taken_over_is_told_so_and_ends() {
    for fields in ["", GZIP] {
        let server = server(|_| {});
        let mut page = Page::open(server.client, "/sse?user=ada", fields);
        let mut old = page.stream.take().unwrap();
        page.connect();
        assert_eq!(page.welcome["resumed"], true);
        assert_eq!(old.closed(), (4002, "resumed on another connection".to_owned()));
        push(&server, "user=ada", "text/plain", b"here");
        assert_eq!(page.text(), "here");
    }
}

#[test]
fn through_a_proxy_that_cuts_every_number_comes_once() {
    let server = server(|_| {});
    let (nginx, old) = (Nginx::before(server.client), OldProxy::before(server.client));
    for (address, fields) in [(nginx.address, GZIP), (old.address, "")] {
        let mut page = Page::open(address, "/sse?user=ada", fields);
        let mut next = 0;
        for number in 0..200 {
            push(&server, "user=ada", "text/plain", number.to_string().as_bytes());
            if number % 7 == 3 {
                page.vanish();
                old.cut();
                page.connect();
                assert_eq!(page.welcome["resumed"], true);
            }
            if number % 5 == 0 {
                while next <= number {
                    assert_eq!(page.text(), next.to_string());
                    next += 1;
                }
            }
        }
        server.backend().change("DELETE", "/v1/users/ada");
    }
}

#[test]
fn without_resume_events_have_no_ids_and_an_id_that_is_sent_is_unknown() {
    let server = TestServer::start(|_| {});
    let (mut stream, welcome) =
        EventStream::welcomed(server.client, "/sse?user=ada", "Last-Event-ID: a:1\r\n");
    assert_eq!((&welcome["resumed"], welcome.get("resume")), (&json!(false), None));
    push(&server, "user=ada", "text/plain", b"hello");
    assert_eq!(stream.next().unwrap().last_id, "");
}
