//! Sessions over plain HTTP through proxies that know nothing of them.

use super::{GZIP, push};
use crate::support::*;

/// What a stream gets, one message after another: none is held back until another one comes.
fn one_by_one(server: &TestServer, through: std::net::SocketAddr) {
    for fields in ["", GZIP] {
        let (mut stream, _) = EventStream::welcomed(through, "/sse?user=ada", fields);
        assert_eq!(stream.field("content-encoding"), (!fields.is_empty()).then_some("gzip"));
        for text in ["1", "two\nlines", &"lorem ipsum ".repeat(500), &"x".repeat(200_000), "5"] {
            assert_eq!(push(server, "user=ada", "text/plain", text.as_bytes()), 1);
            assert_eq!(stream.text(), text);
        }
        server.backend().change("DELETE", "/v1/users/ada?code=4001&reason=bye");
        assert_eq!(stream.closed(), (4001, "bye".to_owned()));
    }
}

#[test]
fn nginx_as_it_is_hands_on_each_event_as_it_comes() {
    let server = TestServer::start(|config| config.deflate.enabled = true);
    let nginx = Nginx::before(server.client);
    one_by_one(&server, nginx.address);
    let errors = nginx.errors();
    assert!(errors.lines().all(|line| line.contains("using inherited sockets")), "{errors}");
}

#[test]
fn a_proxy_of_http_1_0_hands_on_each_event_as_it_comes() {
    let server = TestServer::start(|config| config.deflate.enabled = true);
    let proxy = OldProxy::before(server.client);
    one_by_one(&server, proxy.address);
}

#[test]
fn a_client_that_leaves_a_proxy_leaves_the_server() {
    let server = TestServer::start(|config| config.timeouts.heartbeat = std::time::Duration::from_millis(50));
    let nginx = Nginx::before(server.client);
    let (stream, _) = EventStream::welcomed(nginx.address, "/sse?user=ada", "");
    stream.leave();
    server.await_stats("its end", |stats| stats["sessions"] == 0);
}
