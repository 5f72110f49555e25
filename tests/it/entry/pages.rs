//! Web pages: what a browser sends for a page of another origin, byte for byte, at either port.

use super::support::{ALL, ask, bearer, link_upgrade, with_keys};
use crate::raw::Raw;
use crate::support::{ServerProcess, TestServer};

const EVIL: &str = "Origin: https://evil.example\r\nSec-Fetch-Site: cross-site\r\n";

#[test]
fn a_foreign_page_commands_no_backend_port() {
    let server = TestServer::start(|_| {});
    let mut ada = server.player("user=ada");
    let kick = "{\"op\":\"kick\",\"user\":\"ada\"}\n";
    let port = server.backend.port();
    for headers in [
        EVIL.to_owned(),
        "Origin: https://evil.example\r\n".to_owned(),
        "Origin: null\r\n".to_owned(),
        "Sec-Fetch-Site: cross-site\r\n".to_owned(),
        "Sec-Fetch-Site: same-site\r\n".to_owned(),
        // Another port is another origin.
        format!("Host: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{}\r\n", server.client.port()),
        // The page's own name leads here.
        "Host: evil.example\r\nOrigin: http://evil.example\r\nSec-Fetch-Site: same-origin\r\n".to_owned(),
    ] {
        let text = format!("{headers}Content-Type: text/plain\r\n");
        for (line, body) in [
            ("POST /v1/push?all=1", "hi"),
            ("POST /v1/batch", kick),
            ("GET /v1/sessions", ""),
            ("GET /metrics", ""),
            ("DELETE /v1/users/ada", ""),
        ] {
            let answer = ask(server.backend, line, &text, body);
            assert_eq!((answer.status, answer.error().as_str()), (403, "forbidden"), "{line}: {headers}");
            assert!(!String::from_utf8(answer.body).unwrap().contains("ada"));
        }
        let mut link = Raw::connect(server.backend);
        link.send(link_upgrade(&headers));
        assert_eq!(link.answer().status, 403, "{headers}");
    }
    // A body is not waited for.
    let mut raw = Raw::connect(server.backend);
    raw.send(format!(
        "POST /v1/push?all=1 HTTP/1.1\r\nHost: localhost\r\n{EVIL}Content-Length: 1000\r\n\r\n"
    ));
    assert_eq!(raw.answer().status, 403);
    assert_eq!(raw.rest(), b"");
    let mut backend = server.backend();
    backend.push_text("user=ada", "only this");
    assert_eq!(ada.recv_text(), "only this");
    assert_eq!(backend.stats()["backend_refused"]["page"], 43);
}

#[test]
fn a_strangers_name_for_the_backend_port_is_misdirected_where_there_is_no_key() {
    let server = ServerProcess::start(&[], "[backend]\nhosts = ['game.internal']");
    for (host, status) in [
        ("evil.example", 421),
        ("evil.example:9001", 421),
        ("127.0.0.1.evil.example", 421),
        ("game.internal", 200),
        ("localhost:9001", 200),
        ("10.1.2.3", 200),
        ("[::1]:9001", 200),
    ] {
        let answer = ask(server.backend, "GET /v1/sessions", &format!("Host: {host}\r\n"), "");
        assert_eq!(answer.status, status, "{host}");
    }
    assert_eq!(server.backend().stats()["backend_refused"]["host"], 3);
    let keyed = with_keys();
    let headers = format!("Host: evil.example\r\n{}", bearer(ALL));
    assert_eq!(ask(keyed.backend, "GET /v1/sessions", &headers, "").status, 200, "the key is proof enough");
    let headers = format!("{EVIL}{}", bearer(ALL));
    assert_eq!(ask(keyed.backend, "GET /v1/sessions", &headers, "").status, 403, "but no page's");
}

#[test]
fn the_ports_own_page_and_listed_ones_work() {
    let server = ServerProcess::start(&[], "[backend]\norigins = ['https://tools.example']");
    let own = format!("Host: {0}\r\nOrigin: http://{0}\r\nSec-Fetch-Site: same-origin\r\n", server.backend);
    let navigation = format!("Host: {}\r\nSec-Fetch-Site: none\r\n", server.backend);
    let listed = "Origin: https://tools.example\r\nSec-Fetch-Site: cross-site\r\n".to_owned();
    assert_eq!(ask(server.backend, "GET /", &navigation, "").status, 200);
    for headers in [own, listed, String::new()] {
        assert_eq!(ask(server.backend, "POST /v1/push?all=1", &headers, "hi").status, 200, "{headers}");
        assert_eq!(ask(server.backend, "GET /v1/sessions", &headers, "").status, 200, "{headers}");
        let mut link = Raw::connect(server.backend);
        link.send(link_upgrade(&headers));
        assert_eq!(link.answer().status, 101, "{headers}");
    }
}
