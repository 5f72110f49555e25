//! The page for operators at `/` of the backend port: for everybody, whole, and held to what stands in it.

use crate::http_api::ask;
use crate::raw::{Answer, Raw};
use crate::support::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use gannet::config::Secret;
use std::io::Read;

const PAGE: &str = include_str!("../../console/dist/index.html");

fn check_fields(answer: &Answer) {
    let expected = [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("vary", "Accept-Encoding"),
    ];
    for (name, value) in expected {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
}

#[test]
fn the_page_needs_no_key_and_is_the_one_that_was_built() {
    let server = TestServer::start(|config| config.backend.key = Some(Secret::new("a-long-random-text")));
    let plain = ask(server.backend, "GET /", "", b"");
    assert_eq!((plain.status, plain.header("content-encoding")), (200, None));
    assert!(plain.body == PAGE.as_bytes());
    check_fields(&plain);
    for accepted in ["gzip", "deflate, GZIP;q=0.5", "*"] {
        let answer = ask(server.backend, "GET /", &format!("Accept-Encoding: {accepted}\r\n"), b"");
        assert_eq!((answer.status, answer.header("content-encoding")), (200, Some("gzip")), "{accepted}");
        check_fields(&answer);
        let mut text = String::new();
        GzDecoder::new(&answer.body[..]).read_to_string(&mut text).unwrap();
        assert!(text == PAGE);
    }
    for refused in ["identity", "gzip;q=0", "br"] {
        let answer = ask(server.backend, "GET /", &format!("Accept-Encoding: {refused}\r\n"), b"");
        assert_eq!(answer.header("content-encoding"), None, "{refused}");
    }
    let mut raw = Raw::connect(server.backend);
    raw.send("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let head = raw.answer_to("HEAD");
    assert_eq!((head.status, head.header("content-length")), (200, Some(PAGE.len().to_string().as_str())));
    // What it shows needs one all the same.
    assert_eq!(ask(server.backend, "GET /v1/stats", "", b"").status, 401);
    assert_eq!(ask(server.client, "GET /", "", b"").status, 404, "players have no such page");
}

#[test]
fn its_policy_lets_what_stands_in_it_run_and_no_other_page_frame_it() {
    let server = TestServer::start(|_| ());
    let answer = ask(server.backend, "GET /", "", b"");
    let policy = answer.header("content-security-policy").unwrap();
    for rule in
        ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "connect-src 'self' ws: wss:"]
    {
        assert!(policy.split("; ").any(|one| one == rule), "{rule}: {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    for (tag, directive) in [("script", "script-src"), ("style", "style-src")] {
        let rule = policy.split("; ").find(|rule| rule.starts_with(directive)).unwrap();
        let (begin, end) = (format!("<{tag}"), format!("</{tag}>"));
        let parts = PAGE.split(&begin).skip(1);
        let contents = parts.map(|part| part.split_once('>').unwrap().1.split(&end).next().unwrap());
        let hashes: Vec<String> = contents
            .map(|content| {
                let digest = ring::digest::digest(&ring::digest::SHA256, content.as_bytes());
                format!("'sha256-{}'", STANDARD.encode(digest))
            })
            .collect();
        let sources: Vec<&str> = rule.split(' ').skip(1).collect();
        let none = vec!["'none'".to_owned()];
        assert_eq!(sources, if hashes.is_empty() { none } else { hashes }, "{tag}");
    }
}

#[test]
fn it_can_be_turned_off_while_the_server_runs() {
    let server = TestServer::start(|config| config.backend.console = false);
    let answer = ask(server.backend, "GET /", "", b"");
    assert_eq!((answer.status, answer.error().as_str()), (404, "not_found"));
    server.reload(|config| config.backend.console = true);
    assert_eq!(ask(server.backend, "GET /", "", b"").status, 200);
}
