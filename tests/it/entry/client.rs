//! The client port: pages that may take players' places, and the echo.

use crate::raw::Raw;
use crate::support::{ServerProcess, until};
use crate::tokens::{self, DEFAULT, HS256, now, signed_query, token};
use serde_json::json;

#[test]
fn without_secrets_only_pages_of_loopback_origins_are_taken_at_their_word() {
    let server = ServerProcess::start(
        &[],
        "[apps.open]\norigins = ['*']\n[apps.chess]\norigins = ['https://chess.example']",
    );
    let status = |target: &str, origin: &str| {
        tokens::ask(server.client, target, &format!("Origin: {origin}\r\n")).status
    };
    for origin in ["http://localhost:3000", "https://localhost", "http://127.8.9.1:1", "https://[::1]:8443"] {
        assert_eq!(status("/ws?user=ada", origin), 101, "{origin}");
        assert_eq!(status("/ws/chess", origin), 403, "others are listed: {origin}");
    }
    for origin in [
        "https://evil.example",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "http://evil.example:80/localhost",
        "null",
        "file://",
        "chrome-extension://localhost",
        "http://[::2]",
        "http://10.0.0.1",
    ] {
        assert_eq!(status("/ws?user=ada", origin), 403, "{origin}");
        assert_eq!(status("/ws/open", origin), 101, "{origin}");
    }
    assert_eq!(status("/ws/chess", "https://chess.example"), 101);
    assert_eq!(tokens::ask(server.client, "/ws?user=ada", "").status, 101, "no page");
}

#[test]
fn the_echo_is_held_to_what_sessions_are_held_to() {
    let config = format!(
        "echo = true\n[apps.default]\nsecrets = ['{DEFAULT}']\norigins = ['https://game.example']\nmax_sessions = 2\n"
    );
    let server = ServerProcess::start(&[], &config);
    let good = token(HS256, &json!({ "sub": "ada", "exp": now() + 600 }), DEFAULT);
    let target = format!("/echo?token={good}");
    let foreign = token(HS256, &json!({ "sub": "ada", "exp": now() + 600 }), tokens::CHESS);
    assert_eq!(tokens::ask(server.client, "/echo", "").status, 401);
    assert_eq!(tokens::ask(server.client, &format!("/echo?token={foreign}"), "").status, 401);
    assert_eq!(tokens::ask(server.client, &target, "Origin: https://evil.example\r\n").status, 403);
    let query = signed_query("default", "ada", now(), "n", DEFAULT);
    let mut held = vec![];
    for (target, origin) in
        [(target.clone(), "Origin: https://game.example\r\n"), (format!("/echo?{query}"), "")]
    {
        let mut raw = Raw::connect(server.client);
        raw.send(crate::raw::upgrade(&target, origin));
        assert_eq!(raw.answer().status, 101, "{target}");
        held.push(raw);
    }
    assert_eq!(tokens::ask(server.client, &format!("/ws?token={good}"), "").status, 503, "the app is full");
    drop(held);
    // Their places come back.
    until("a place", || tokens::ask(server.client, &target, "").status == 101);
    // Its token ends it. One that is refused came too late: the leeway is all the time that it had.
    until("an echo that its token ends", || {
        let expiring = token(HS256, &json!({ "sub": "ada", "exp": now() - 4 }), DEFAULT);
        let mut raw = Raw::connect(server.client);
        raw.send(crate::raw::upgrade(&format!("/echo?token={expiring}"), ""));
        raw.answer().status == 101 && raw.closed().0 == 4004
    });
}
