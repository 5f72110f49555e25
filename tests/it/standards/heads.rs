//! Heads of requests that RFC 9110 and RFC 9112 take, and those that they refuse, on both ports alike.

use super::ask;
use crate::raw::{Raw, upgrade};
use crate::support::*;

/// A request line and field lines; the client port gets the fields of an upgrade with them.
fn on_both_ports(server: &TestServer, line: &str, fields: &str) -> [u16; 2] {
    let websocket = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let client = format!("{}\r\n{fields}{websocket}\r\n", line.replace("PATH", "/ws"));
    let backend = format!("{}\r\n{fields}\r\n", line.replace("PATH", "/healthz"));
    [ask(server.client, client).0.status, ask(server.backend, backend).0.status]
}

#[test]
fn heads_that_are_refused() {
    let server = TestServer::start(|_| ());
    let line = "GET PATH HTTP/1.1";
    for (line, fields, status) in [
        (line, "", 400),
        (line, "Host: a\r\nHost: a\r\n", 400),
        (line, "Host: a\r\nHost: b\r\n", 400),
        (line, "Host: a/b\r\n", 400),
        (line, "Host: u@a\r\n", 400),
        (line, "Host: a:b\r\n", 400),
        (line, "Host: a:80:80\r\n", 400),
        (line, "Host: [::1\r\n", 400),
        (line, "Host: ::1\r\n", 400),
        (line, "Host: [a]\r\n", 400),
        (line, "Host: %zz\r\n", 400),
        (line, "Host : a\r\n", 400),
        (line, "Host: a\r\nX: b\r\n folded\r\n", 400),
        (line, "Host: a\r\nX: b\rY: c\r\n", 400),
        (line, "Host: a\r\nX: b\nY: c\r\n", 400),
        (line, "Host: a\r\nX Y: b\r\n", 400),
        (line, "Host: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n", 400),
        (line, "Host: a\r\nContent-Length: 0\r\nContent-Length: 1\r\n", 400),
        (line, "Host: a\r\nContent-Length: +0\r\n", 400),
        (line, "Host: a\r\nTransfer-Encoding: chunked, chunked\r\n", 400),
        (line, "Host: a\r\nTransfer-Encoding: gzip, chunked\r\n", 501),
        (line, "Host: a\r\nExpect: something\r\n", 417),
        (line, "Host: a\r\nExpect: 100-continue, something\r\n", 417),
        ("GET http://:80PATH HTTP/1.1", "Host: a\r\n", 400),
        ("GET ftp://aPATH HTTP/1.1", "Host: a\r\n", 400),
        ("GET http://aPATH HTTP/1.1", "", 400),
        ("CONNECT a:80 HTTP/1.1", "Host: a\r\n", 400),
        ("GET PATH#x HTTP/1.1", "Host: a\r\n", 400),
        ("GET PATH HTTP/1.2", "Host: a\r\n", 505),
        ("GET PATH HTTP/2.0", "Host: a\r\n", 505),
        ("GET  PATH HTTP/1.1", "Host: a\r\n", 400),
        ("\r\n\r\nGET PATH HTTP/1.1", "Host: a\r\n", 400),
    ] {
        assert_eq!(on_both_ports(&server, line, fields), [status; 2], "{line:?} {fields:?}");
    }
}

#[test]
fn heads_that_are_taken() {
    let server = TestServer::start(|_| ());
    let line = "GET PATH HTTP/1.1";
    for (line, fields) in [
        (line, "Host:\r\n"),
        (line, "Host: a:\r\n"),
        (line, "Host: [::1]:9000\r\n"),
        (line, "Host: 127.0.0.1:9000\r\n"),
        (line, "hOST:a\r\nTE: trailers, deflate;q=0.5\r\n"),
        (line, "Host: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n"),
        (line, "Host: a\r\nExpect: 100-Continue\r\n"),
        ("GET http://b:1PATH HTTP/1.1", "Host: a\r\n"),
        ("\r\nGET PATH HTTP/1.1", "Host: a\r\n"),
    ] {
        assert_eq!(on_both_ports(&server, line, fields), [101, 200], "{line:?} {fields:?}");
    }
    // HTTP/1.0 has no Host, no expectations, and no WebSockets.
    for fields in ["", "Host: a\r\n", "Expect: something\r\n"] {
        assert_eq!(on_both_ports(&server, "GET PATH HTTP/1.0", fields), [400, 200], "{fields:?}");
    }
}

/// A line break behind a body is no part of a request (RFC 9112 §2.2), and none that has begun.
#[test]
fn a_line_break_between_requests_begins_none() {
    let server = ServerProcess::start(&[], "[timeouts]\nmessage_ms = 200\nhead_ms = 200");
    let push = "POST /v1/push?all=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi\r\n";
    let mut raw = Raw::begun(&server, server.backend, push);
    assert_eq!(raw.answer().status, 200);
    // A request that has begun later is given up: so much time has passed.
    assert_eq!(Raw::begun(&server, server.backend, "GET").answer().status, 408);
    raw.send("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(raw.answer().status, 200);
    // On the client port too.
    let server = TestServer::start(|_| ());
    let mut raw = Raw::connect(server.client);
    raw.send("\r\n");
    raw.send(upgrade("/ws", ""));
    assert_eq!(raw.answer().status, 101);
}

/// The host of a target in absolute form counts, and not the field (RFC 9112 §3.2.2).
#[test]
fn the_host_of_an_absolute_target_overrules_the_field() {
    let server = TestServer::start(|_| ());
    for (target, host, status) in [
        ("http://127.0.0.1", "evil.example", 200),
        ("http://evil.example", "127.0.0.1", 421),
        ("", "127.0.0.1", 200),
        ("", "evil.example", 421),
    ] {
        let request = format!("GET {target}/v1/sessions HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(ask(server.backend, request).0.status, status, "{target} {host}");
    }
}
