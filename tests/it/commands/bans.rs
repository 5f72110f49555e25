//! Bans: who is there is closed, who comes is refused, until it is over.

use super::Desk;
use crate::http_api::ask;
use crate::support::{End, TestServer};
use serde_json::{Value, json};

/// What somebody is answered who may not come.
fn refused(server: &TestServer, query: &str) -> (u16, String) {
    let status = server.try_player(&format!("/ws?{query}")).err().expect("it is banned").status();
    let answer = ask(server.client, &format!("GET /sse?{query}"), "", b"");
    assert_eq!((answer.status, answer.error()), (status, "forbidden".to_owned()));
    (status, answer.header("retry-after").unwrap_or_default().to_owned())
}

#[test]
fn a_banned_user_is_closed_and_kept_out_until_the_ban_is_taken_back() {
    let server = TestServer::start(|config| {
        config.apps.insert("chess".to_owned(), Default::default());
    });
    for mut desk in Desk::all(&server) {
        let mut ada = [server.player("user=ada"), server.player("user=ada")];
        let mut bob = server.player("user=bob");
        let ban = json!({"op": "ban", "user": "ada", "for_ms": 600_000, "reason": "cheating"});
        assert_eq!(desk.run(ban), json!({"sessions": 2}));
        for player in &mut ada {
            assert_eq!(player.recv_end(), End::Closed(4001, "cheating".to_owned()));
        }
        let (status, retry_after_s) = refused(&server, "user=ada");
        assert_eq!(status, 403);
        assert!((590..=600).contains(&retry_after_s.parse::<u64>().unwrap()), "{retry_after_s}");
        assert!(server.try_player("/ws/chess?user=ada").is_ok(), "it is a ban of the other app");
        let page = desk.run(json!({"op": "bans"}));
        let only = &page["bans"][0];
        assert_eq!((&page["count"], &page["next"]), (&json!(1), &Value::Null));
        assert_eq!(
            (&only["user"], &only["address"], &only["reason"]),
            (&json!("ada"), &Value::Null, &json!("cheating"))
        );
        assert_eq!(desk.run(json!({"op": "unban", "user": "ada"})), json!({"unbanned": 1}));
        assert_eq!(desk.run(json!({"op": "unban", "user": "ada"})), json!({"unbanned": 0}));
        assert_eq!(desk.run(json!({"op": "bans"})), json!({"count": 0, "bans": [], "next": null}));
        let mut ada = server.player("user=ada");
        desk.run(json!({"op": "push", "to": {"user": ["ada", "bob"]}, "text": "hi"}));
        assert_eq!((ada.recv_text(), bob.recv_text()), ("hi".to_owned(), "hi".to_owned()));
        // One that is over by now keeps nobody out.
        assert_eq!(desk.run(json!({"op": "ban", "user": "eve", "for_ms": 0})), json!({"sessions": 0}));
        assert!(server.try_player("/ws?user=eve").is_ok());
    }
}

#[test]
fn an_address_is_banned_with_all_who_come_from_there() {
    let server = TestServer::start(|config| config.limits.max_bans = 1);
    let mut backend = server.backend();
    let mut player = server.player("user=ada");
    assert_eq!(backend.change("POST", "/v1/bans?address=10.0.0.0/8"), 0);
    assert_eq!(backend.request("POST", "/v1/bans?user=bob").status, 429, "there may be one");
    assert_eq!(backend.ok("DELETE", "/v1/bans?address=10.0.0.0/8"), json!({"unbanned": 1}));
    assert_eq!(backend.change("POST", "/v1/bans?address=127.0.0.0/8&reason=bye"), 1);
    assert_eq!(player.recv_end(), End::Closed(4001, "bye".to_owned()));
    assert_eq!(refused(&server, "user=bob"), (403, String::new()));
    let page = backend.ok("GET", "/v1/bans");
    let ban = json!({"user": null, "address": "127.0.0.0/8", "until_unix_ms": null, "reason": "bye"});
    assert_eq!(page, json!({"count": 1, "bans": [ban], "next": null}));
    for bad in ["", "?user=ada&address=::1", "?address=10.0.0.1/8", "?address=here", "?user="] {
        assert_eq!(backend.request("POST", &format!("/v1/bans{bad}")).status, 400, "{bad}");
    }
}
