//! Event streams go along: the client sees nothing but its events.

use super::load::tls_config;
use super::running::{Running, await_metric};
use crate::raw::Raw;
use crate::streams::GZIP;
use crate::support::*;
use socket2::{Domain, Socket, Type};
use std::net::{SocketAddr, TcpStream};

/// A stream with a small receive buffer.
fn narrow(address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    socket.connect(&address.into()).unwrap();
    prepared(socket.into())
}

#[test]
fn a_stream_goes_on_and_ends_as_it_should() {
    let mut server = Running::start(&["--reactors", "2"], "deflate.enabled = true");
    let mut streams =
        ["", GZIP].map(|fields| EventStream::welcomed(server.client, "/sse?user=ada&group=g", fields).0);
    for round in 0..3 {
        let mut backend = server.backend();
        let texts = [format!("{round}"), format!("{round}\n{}", "lorem ipsum ".repeat(1_000))];
        for text in &texts {
            assert_eq!(backend.push_text("group=g", text).queued, 2);
        }
        for stream in &mut streams {
            assert_eq!([stream.text(), stream.text()], texts);
        }
        server.upgrade();
    }
    assert_eq!(server.backend().change("DELETE", "/v1/users/ada?code=4001&reason=bye"), 2);
    for stream in &mut streams {
        assert_eq!(stream.closed(), (4001, "bye".to_owned()));
    }
}

/// What waits for it, and what is half on the wire.
fn reads_late<S: std::io::Read + std::io::Write>(config: &str, connect: impl Fn(TcpStream) -> S) {
    let text = |number: usize| {
        format!("{number} {}", char::from(b'a' + (number % 26) as u8).to_string().repeat(64_000))
    };
    let config =
        format!("limits.outbox_bytes = 8388608\ndelivery.ttl_ms = 600000\ndeflate.enabled = true\n{config}");
    for fields in ["", GZIP] {
        let mut server = Running::start(&["--reactors", "2"], &config);
        let mut backend = server.backend();
        let mut stream =
            EventStream::over(connect(narrow(server.client)), &stream_request("/sse?user=slow", fields));
        assert_eq!(stream.next().unwrap().name, "welcome");
        let mut sent = 0;
        for count in [40, 10, 10] {
            for _ in 0..count {
                assert_eq!(backend.push_text("user=slow", &text(sent)).queued, 1);
                sent += 1;
            }
            server.upgrade();
        }
        for number in 0..sent {
            assert_eq!(stream.text(), text(number));
        }
        backend.push_text("user=slow", "at last");
        assert_eq!(stream.text(), "at last");
        server.backend().change("DELETE", "/v1/users/slow?code=4001&reason=bye");
        assert_eq!(stream.closed(), (4001, "bye".to_owned()));
    }
}

#[test]
fn a_slow_stream_gets_in_order_what_waited() {
    reads_late("", |stream| stream);
}

#[test]
fn a_slow_stream_over_tls_gets_in_order_what_waited() {
    let cert = tls::CertFiles::new(&["localhost"]);
    let client = tls::client_config(&[&rustls::version::TLS13]);
    reads_late(&tls_config(&cert), |stream| tls::over(stream, &client, "localhost"));
}

const RESUME: &str = "deflate.enabled = true\napps.default.resume.linger_ms = 600000";

#[test]
fn a_poll_that_waits_is_answered_by_the_new_process_and_the_chain_goes_on() {
    let mut server = Running::start(&["--reactors", "2"], RESUME);
    let mut polling = ["?user=ada", "?user=bob"].map(|who| Poller::open(server.client, who, GZIP));
    let mut next = 0;
    for _ in 0..3 {
        polling.iter_mut().for_each(|poller| poller.begin(60_000));
        await_metric(&server, "gannet_polls", |polls| polls == 2);
        server.upgrade();
        await_metric(&server, "gannet_polls", |polls| polls == 2);
        // One is answered by the new process, the other's answer is lost.
        for who in ["ada", "bob"] {
            assert_eq!(server.backend().push_text(&format!("user={who}"), &next.to_string()).queued, 1);
        }
        next += 1;
        let [ada, bob] = &mut polling;
        assert_eq!(ada.document()["received"], next);
        bob.vanish();
        assert_eq!(bob.poll(0), [(next - 1).to_string()]);
        assert_eq!(ada.say("text/plain", b"still there").status, 204);
    }
    let [ada, bob] = &mut polling;
    assert_eq!((ada.received, bob.received), (3, 3));
}

/// What a client that polls has still to hear, and what it has said to have read.
#[test]
fn the_end_of_a_session_and_what_was_read_go_along() {
    let mut server = Running::start(&["--reactors", "2"], RESUME);
    let [mut ada, mut bob] = ["?user=ada", "?user=bob"].map(|who| Poller::open(server.client, who, ""));
    let push = |server: &Running| server.backend().push_text("user=bob", "1");
    push(&server);
    assert_eq!(bob.poll(0), ["1"]);
    let late = bob.target(0).replace("received=1", "received=0");
    assert_eq!(bob.poll(0), [""; 0]);
    server.backend().change("DELETE", "/v1/users/ada?code=4001&reason=cheating");
    server.upgrade();
    // The connection may have been closed between two requests.
    ada.vanish();
    ada.begin(60_000);
    assert_eq!(ada.document()["close"], serde_json::json!({ "code": 4001, "reason": "cheating" }));
    let mut raw = Raw::connect(server.client);
    raw.send(crate::raw::request(&format!("GET {late}")));
    assert_eq!(raw.answer().status, 409);
}

#[test]
fn a_queue_that_had_overflowed_before_it_is_a_gap_behind_it() {
    let mut server = Running::start(&["--reactors", "2"], &format!("{RESUME}\nlimits.outbox_messages = 4"));
    let mut poller = Poller::open(server.client, "?user=ada", "");
    (0..5).for_each(|number| _ = server.backend().push_text("user=ada", &number.to_string()));
    await_metric(&server, "gannet_linger_ended_total", |ended| ended == 1);
    server.upgrade();
    poller.vanish();
    poller.begin(0);
    assert_eq!(poller.document()["why"], "gap");
}

/// A message of which half the body has come.
#[test]
fn half_a_message_of_a_client_goes_along() {
    let mut server = Running::start(&["--reactors", "2"], RESUME);
    let poller = Poller::open(server.client, "?user=ada", "");
    let mut raw = Raw::connect(server.client);
    let head = format!(
        "POST /send?resume={} HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\n01234",
        poller.ticket
    );
    raw.send(head);
    await_metric(&server, "gannet_incoming_bytes", |bytes| bytes >= 5);
    server.upgrade();
    let mut link = server.link();
    link.listen(&["message"], None);
    raw.send("56789");
    assert_eq!(raw.answer_to("POST").status, 204);
    assert_eq!(link.event()["text"], "0123456789");
}

#[test]
fn a_stream_that_was_cut_before_the_upgrade_resumes_behind_it() {
    let mut server = Running::start(&["--reactors", "2"], RESUME);
    let (mut stream, _) = EventStream::welcomed(server.client, "/sse?user=ada", GZIP);
    server.backend().push_text("user=ada", "1");
    let read = stream.next().unwrap();
    server.backend().push_text("user=ada", "2");
    stream.leave();
    await_metric(&server, "gannet_sessions_away", |away| away == 1);
    server.backend().push_text("user=ada", "3");
    server.upgrade();
    server.backend().push_text("user=ada", "4");
    let last = format!("{GZIP}Last-Event-ID: {}\r\n", read.last_id);
    let (mut stream, welcome) = EventStream::welcomed(server.client, "/sse?user=ada", &last);
    assert_eq!(welcome["resumed"], true);
    assert_eq!(["2", "3", "4"], [stream.text(), stream.text(), stream.text()].each_ref().map(String::as_str));
    server.upgrade();
    server.backend().push_text("user=ada", "5");
    let event = stream.next().unwrap();
    assert_eq!((event.data.as_str(), event.last_id.ends_with(":5")), ("5", true));
}
