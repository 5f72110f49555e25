//! Health: for everybody, at both ports, and nothing beside it.

use super::support::{ALL, ask, with_keys};
use crate::raw::{Raw, request};
use crate::support::{ServerProcess, until};
use rustix::process::Signal;

#[test]
fn health_needs_no_key_at_either_port() {
    let server = with_keys();
    for address in [server.client, server.backend] {
        for headers in
            ["", "Host: evil.example\r\nOrigin: https://evil.example\r\nSec-Fetch-Site: cross-site\r\n"]
        {
            let ready = ask(address, "GET /readyz", headers, "");
            assert_eq!(
                (ready.status, ready.body.as_slice()),
                (200, b"{\"ready\":true}".as_slice()),
                "{address}"
            );
            let alive = ask(address, "GET /healthz", headers, "");
            assert_eq!(
                (alive.status, alive.body.as_slice()),
                (200, b"{\"alive\":true}".as_slice()),
                "{address}"
            );
            assert_eq!(alive.header("content-type"), Some("application/json"));
        }
        let refused = ask(address, "POST /readyz", "", "");
        assert_eq!((refused.status, refused.header("allow").is_some()), (405, true), "{address}");
        let mut raw = Raw::connect(address);
        raw.send(request("HEAD /healthz"));
        let answer = raw.answer_to("HEAD");
        assert_eq!((answer.status, answer.body.len()), (200, 0));
    }
    for line in ["GET /metrics", "GET /v1/stats", "GET /healthz/", "GET //healthz"] {
        assert_eq!(ask(server.backend, line, "", "").status, 401, "{line}");
    }
}

#[test]
fn health_at_the_client_port_is_held_to_the_rate_of_its_address() {
    let config = "[rates]\nupgrades_per_address = { per_second = 1, burst = 3 }";
    let server = ServerProcess::start(&[], config);
    let answered = |status: u16| ask(server.client, "GET /healthz", "", "").status == status;
    until("the bound", || answered(429));
    let stats = server.backend().stats();
    assert!(stats["health_requests"].as_u64().unwrap() >= 3, "{stats}");
}

#[test]
fn a_server_that_drains_is_alive_and_not_ready_at_either_port() {
    let config = format!("[timeouts]\ndrain_ms = 600_000\n[backend]\nkey = '{ALL}'");
    let server = ServerProcess::start(&["--reactors", "2"], &config);
    server.signal(Signal::TERM);
    for address in [server.client, server.backend] {
        until("it says that it drains", || ask(address, "GET /readyz", "", "").status == 503);
        let answer = ask(address, "GET /readyz", "", "");
        assert_eq!(answer.body, b"{\"ready\":false,\"why\":\"draining\"}", "{address}");
        assert!(answer.header("retry-after").is_some(), "{address}");
        assert_eq!(ask(address, "GET /healthz", "", "").status, 200, "{address}");
    }
    server.signal(Signal::TERM);
    server.wait();
}
