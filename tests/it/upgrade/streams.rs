//! Event streams go along: the client sees nothing but its events.

use super::load::tls_config;
use super::running::Running;
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
