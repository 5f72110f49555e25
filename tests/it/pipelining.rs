//! Every way that the bytes of backend requests can come: many at once, byte by byte, chunked, behind an end. The answers
//! come in order, and what a request changes the next one sees.

use crate::http_api::{ask, receipt};
use crate::raw::{Raw, request, request_with};
use crate::support::*;
use serde_json::{Value, json};

#[test]
fn a_hundred_requests_in_one_write_are_answered_in_order() {
    let server = TestServer::start(|_| ());
    // Enough users that each reactor has some: their receipts come back in any order.
    let players: Vec<_> = (0..20).map(|number| server.player(&format!("user=u{number}"))).collect();
    for count in [100, 300, 3000] {
        let mut raw = Raw::connect(server.backend);
        let ask = |number: usize| match number % 5 {
            0 => request_with(&format!("POST /v1/push?user=u{}&tag=n{number}", number % 20), "x"),
            1 => request(&format!("GET /v1/groups/n{number}")),
            2 => request(&format!("GET /nowhere/{number}")),
            3 => request(&format!("POST /v1/groups/n{number}/members?user=u{}", number % 20)),
            _ => request(&format!("DELETE /v1/groups/n{}", number - 1)),
        };
        raw.send((0..count).map(ask).collect::<String>());
        for number in 0..count {
            let answer = raw.answer();
            match number % 5 {
                0 => assert_eq!(answer.json()["queued"], 1, "{number} of {count}"),
                1 => assert_eq!(answer.json()["group"], format!("n{number}")),
                2 => assert!(
                    answer.json()["error"]["message"]
                        .as_str()
                        .unwrap()
                        .contains(&format!("/nowhere/{number}"))
                ),
                _ => assert_eq!(answer.json()["sessions"], 1, "{number} of {count}"),
            }
        }
    }
    drop(players);
}

#[test]
fn what_a_request_changes_the_next_one_sees() {
    let server = TestServer::start(|_| ());
    let mut players: Vec<_> = (0..8).map(|number| server.player(&format!("user=u{number}"))).collect();
    let mut link = server.link();
    for (number, player) in players.iter_mut().enumerate() {
        let group = format!("g{number}");
        let mut raw = Raw::connect(server.backend);
        let join = request(&format!("POST /v1/groups/{group}/members?user=u{number}"));
        let push = request_with(&format!("POST /v1/push?group={group}"), "by http");
        let leave = request(&format!("DELETE /v1/groups/{group}/members?user=u{number}"));
        raw.send([&*join, &*push, &*leave, &*push].concat());
        assert_eq!(raw.answer().json()["sessions"], 1);
        assert_eq!(raw.answer().json(), receipt(1, 1, 0));
        assert_eq!(raw.answer().json()["sessions"], 1);
        assert_eq!(raw.answer().json(), receipt(0, 0, 0));
        assert_eq!(player.recv_text(), "by http");

        let lines = [
            json!({"id": 1, "op": "join", "group": group, "user": format!("u{number}")}),
            json!({"id": 2, "op": "push", "to": {"group": group}, "text": "by batch"}),
            json!({"op": "leave", "group": group, "user": format!("u{number}")}),
            json!({"id": "4", "op": "push", "to": {"group": group}, "text": "to nobody"}),
        ];
        raw.send(request_with("POST /v1/batch", &lines.map(|line| format!("{line}\r\n\n")).concat()));
        let answer = raw.answer();
        let replies: Vec<Value> = answer
            .body
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        let expected = [
            json!({"id": 1, "ok": {"sessions": 1}}),
            json!({"id": 2, "ok": receipt(1, 1, 0)}),
            json!({"ok": {"sessions": 1}}),
            json!({"id": "4", "ok": receipt(0, 0, 0)}),
        ];
        assert_eq!(replies, expected);
        assert_eq!(player.recv_text(), "by batch");

        let ids = [
            link.send(json!({"op": "join", "group": group, "session": player.id.to_string()})),
            link.send(json!({"op": "push", "to": {"group": group}, "text": "by link"})),
            link.send(json!({"op": "destroy", "group": group})),
            link.send(json!({"op": "push", "to": {"group": group}, "text": "to nobody"})),
        ];
        let replies = ids.map(|id| {
            let (replied, ok) = link.receive();
            assert_eq!(replied, id);
            ok.unwrap()
        });
        assert_eq!(
            replies,
            [json!({"sessions": 1}), receipt(1, 1, 0), json!({"sessions": 1}), receipt(0, 0, 0)]
        );
        assert_eq!(player.recv_text(), "by link");
    }
}

#[test]
fn a_batch_runs_what_it_can() {
    let server = TestServer::start(|config| config.limits.max_batch_lines = 600);
    let mut ada = server.player("user=ada");
    let batch = |body: &[u8]| {
        let answer = ask(server.backend, "POST /v1/batch", "", body);
        let text = String::from_utf8(answer.body.clone()).unwrap();
        (answer.status, text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>())
    };
    let push = r#"{"id":1,"op":"push","to":{"user":"ada"},"text":"one"}"#;
    let lines: [&[u8]; 8] = [
        push.as_bytes(),
        br#"{"id":2,"op":"#,
        b"",
        br#"{"id":3,"op":"fly"}"#,
        b"\"\xc3(\"",
        push.as_bytes(),
        br#"{"id":6,"op":"listen","events":["open"]}"#,
        &push.as_bytes()[..20],
    ];
    let (status, replies) = batch(&lines.join(&b'\n'));
    assert_eq!((status, replies.len()), (200, 7));
    assert_eq!(replies[0], json!({"id": 1, "ok": receipt(1, 1, 0)}));
    for (index, line, id) in
        [(1, 2, Value::Null), (2, 4, json!(3)), (3, 5, Value::Null), (5, 7, json!(6)), (6, 8, Value::Null)]
    {
        let reply: &Value = &replies[index];
        assert_eq!((&reply["id"], &reply["error"]["code"]), (&id, &json!("bad_request")), "{reply}");
        assert!(
            reply["error"]["message"].as_str().unwrap().starts_with(&format!("line {line}: ")),
            "{reply}"
        );
    }
    assert_eq!(replies[4], replies[0]);
    assert_eq!([ada.recv_text(), ada.recv_text()], ["one", "one"]);
    // More than may wait at once, and more than may be at all.
    let (status, replies) = batch(format!("{push}\n").repeat(600).as_bytes());
    assert_eq!((status, replies.len()), (200, 600));
    (0..600).for_each(|_| assert_eq!(ada.recv_text(), "one"));
    let (status, replies) = batch(format!("{push}\n").repeat(601).as_bytes());
    assert_eq!((status, &replies[0]["error"]["code"]), (413, &json!("payload_too_large")));
    assert_eq!(server.backend().stats()["pushes"], 602, "nothing of it was run");
}

#[test]
fn a_request_split_at_every_byte() {
    let server = TestServer::start(|_| ());
    let mut ada = server.player("user=ada");
    let chunked = "POST /v1/push?user=ada HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3;x=y\r\nsco\r\n2\r\nre\r\n0\r\nTrailer: z\r\n\r\n";
    let requests =
        [request_with("POST /v1/push?user=ada", "score"), chunked.to_owned(), request("GET /healthz")]
            .concat();
    let mut raw = Raw::connect(server.backend);
    for split in 0..=requests.len() {
        raw.send(&requests[..split]);
        raw.send(&requests[split..]);
        assert_eq!(raw.answer().json(), receipt(1, 1, 0), "split at {split}");
        assert_eq!(raw.answer().json(), receipt(1, 1, 0), "split at {split}");
        assert_eq!(raw.answer().json()["alive"], true, "split at {split}");
        assert_eq!([ada.recv_text(), ada.recv_text()], ["score", "score"]);
    }
    for byte in requests.bytes() {
        raw.send([byte]);
    }
    (0..3).for_each(|_| assert_eq!(raw.answer().status, 200));
}

#[test]
fn continue_comes_when_it_is_its_turn() {
    let server = TestServer::start(|_| ());
    let _bob = server.player("user=bob");
    let expecting = "POST /v1/push?user=bob HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    for _ in 0..8 {
        let mut raw = Raw::connect(server.backend);
        // One answer is there at once, the other may come from another reactor.
        raw.send(
            [&request("GET /nowhere"), &request_with("POST /v1/push?user=bob", "x"), expecting].concat(),
        );
        assert_eq!(raw.answer().status, 404);
        assert_eq!(raw.answer().status, 200);
        let interim = raw.answer();
        assert_eq!((interim.status, interim.headers.len()), (100, 0));
        raw.send("body");
        assert_eq!(raw.answer().json()["queued"], 1);
        // Who does not wait is not told.
        raw.send([expecting, "body"].concat());
        assert_eq!(raw.answer().json()["queued"], 1);
    }
    let mut raw = Raw::connect(server.backend);
    raw.send(expecting.replace("Length: 4", "Length: 100000000"));
    assert_eq!(raw.answer().status, 413);
    assert_eq!(raw.rest(), b"");
}

#[test]
fn when_the_connection_ends() {
    let server = TestServer::start(|_| ());
    let table = [
        ("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "close"),
        ("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: TE, Close\r\n\r\n", "close"),
        ("GET /nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "close"),
        ("GET /healthz HTTP/1.0\r\n\r\n", "close"),
        ("GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "keep-alive"),
        ("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", "keep-alive"),
        ("GET http://elsewhere/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", "keep-alive"),
    ];
    for (bytes, connection) in table {
        let mut raw = Raw::connect(server.backend);
        // What comes behind a last request is for nobody.
        raw.send(format!("{bytes}{}", request("GET /readyz")));
        assert_eq!(raw.answer().header("connection"), Some(connection), "{bytes}");
        match connection {
            "close" => assert_eq!(raw.rest(), b"", "{bytes}"),
            _ => assert_eq!(raw.answer().json()["ready"], true, "{bytes}"),
        }
    }
}

#[test]
fn head_is_get_without_the_body() {
    let server = TestServer::start(|_| ());
    let mut raw = Raw::connect(server.backend);
    for path in ["/healthz", "/v1/sessions", "/nowhere", "/"] {
        raw.send([request(&format!("HEAD {path}")), request(&format!("GET {path}"))].concat());
        let head = raw.answer_to("HEAD");
        let get = raw.answer();
        assert_eq!((head.status, &head.headers), (get.status, &get.headers), "{path}");
        assert!(head.body.is_empty() && !get.body.is_empty());
    }
}

#[test]
fn who_ends_its_side_gets_its_answers() {
    let server = TestServer::start(|_| ());
    let players: Vec<_> = (0..8).map(|number| server.player(&format!("user=u{number}"))).collect();
    for number in 0..8 {
        let user = format!("u{number}");
        let requests = [
            request(&format!("POST /v1/groups/g/members?user={user}")),
            request_with(&format!("POST /v1/push?user={user}"), "one"),
            request_with(
                "POST /v1/batch",
                &format!(r#"{{"op":"push","to":{{"user":"{user}"}},"text":"two"}}"#),
            ),
            request("GET /healthz"),
        ];
        let mut raw = Raw::connect(server.backend);
        raw.send(requests.concat());
        raw.end_writing();
        assert_eq!(raw.answer().json()["sessions"], 1);
        assert_eq!(raw.answer().json()["queued"], 1);
        assert_eq!(raw.answer().json()["ok"]["queued"], 1);
        assert_eq!(raw.answer().json()["alive"], true);
        assert_eq!(raw.rest(), b"");
    }
    drop(players);
}

#[test]
fn a_connection_that_is_not_used_is_closed() {
    let server = TestServer::start(|config| {
        config.timeouts.backend_idle = std::time::Duration::from_secs(3);
        config.timeouts.close = std::time::Duration::from_millis(200);
    });
    let (mut never, mut once) = (Raw::connect(server.backend), Raw::connect(server.backend));
    once.send(request("GET /healthz"));
    assert_eq!(once.answer().status, 200);
    assert_eq!(never.rest(), b"");
    assert_eq!(once.rest(), b"");
}
