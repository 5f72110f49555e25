//! The commands that talk to a running server: what they ask, and what they print of the answer.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use gannet::http::Response;

use super::{answer_once, command, gannet, text};

#[test]
fn a_push_with_everything() {
    let (address, server) = answer_once(Response::json(200, r#"{"matched":1}"#));
    let flags = "--user ada --user bob/2 --group red --tag ios --session 00000000000000ab --all --all-of group:red \
                 --all-of tag:ios --app chess --ttl-ms 500 --conflate pos --class urgent --except 00000000000000cd \
                 --except user:ada --receipt written --names --key-file";
    let mut args = vec!["push", "--backend", &address];
    args.extend(flags.split_whitespace());
    let file = std::env::temp_dir().join(format!("gannet-cli-{}.key", std::process::id()));
    fs::write(&file, "k1\r\n").unwrap();
    args.extend([file.to_str().unwrap(), "grüße"]);
    let done = gannet(&args);
    fs::remove_file(&file).unwrap();
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    assert_eq!(text(&done.stdout), "{\"matched\":1}\n");
    let (line, key, content_type, body) = server.join().unwrap();
    assert_eq!(
        line,
        "POST /v1/push?session=00000000000000ab&user=ada&user=bob%2F2&group=red&tag=ios&all=1&all_of=group%3Ared\
         &all_of=tag%3Aios&app=chess&ttl_ms=500&key=pos&class=urgent&except=00000000000000cd&except=user%3Aada\
         &receipt=written&names=1"
    );
    assert_eq!(key.as_deref(), Some("Bearer k1"));
    assert_eq!(content_type.as_deref(), Some("text/plain; charset=utf-8"));
    assert_eq!(body, "grüße".as_bytes());
}

#[test]
fn a_binary_push_from_standard_input_with_the_key_from_the_environment() {
    let (address, server) = answer_once(Response::empty(202));
    let payload = b"\x00\xff\r\n\x80".repeat(10_000);
    let mut child = command(&["push", "--backend", &address, "--all", "--binary", "--receipt", "none", "-"])
        .env("GANNET_KEY", "k2")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&payload).unwrap();
    let done = child.wait_with_output().unwrap();
    assert_eq!((done.status.code(), done.stdout.len()), (Some(0), 0));
    let (line, key, content_type, body) = server.join().unwrap();
    assert_eq!(line, "POST /v1/push?all=1&receipt=none");
    assert_eq!(key.as_deref(), Some("Bearer k2"));
    assert_eq!(content_type.as_deref(), Some("application/octet-stream"));
    assert!(body == payload);
}

#[test]
fn a_drain_is_begun_looked_at_and_called_off() {
    for (args, line) in [
        (
            ["--over", "90s", "--to", "wss://b.example/ws"].as_slice(),
            "POST /v1/admin/drain?over_ms=90000&to=wss%3A%2F%2Fb.example%2Fws",
        ),
        (&[], "POST /v1/admin/drain"),
        (&["--status"], "GET /v1/admin/drain"),
        (&["--off"], "DELETE /v1/admin/drain"),
    ] {
        let (address, server) = answer_once(Response::json(200, "{\"draining\":true}"));
        let drain = gannet(&[["drain", "--backend", &address].as_slice(), args].concat());
        assert_eq!(text(&drain.stdout), "{\"draining\":true}\n");
        assert_eq!(server.join().unwrap().0, line);
    }
}

#[test]
fn a_cluster_is_looked_at_as_tables_or_as_json() {
    let alone =
        r#"{"node":0,"name":"n","incarnation":null,"lease":"none","ready":true,"redis":[],"nodes":[]}"#;
    for (args, begins) in [([].as_slice(), "n is alone: it has no Redis"), (&["--json"], "{\n  ")] {
        let (address, server) = answer_once(Response::json(200, alone));
        let status = gannet(&[["cluster", "status", "--backend", &address].as_slice(), args].concat());
        assert!(text(&status.stdout).starts_with(begins), "{status:?}");
        assert_eq!(server.join().unwrap().0, "GET /v1/cluster");
    }
    let (address, server) = answer_once(Response::json(200, "{}"));
    let status = gannet(&["cluster", "status", "--backend", &address]);
    assert_eq!(status.status.code(), Some(1));
    assert!(
        text(&status.stderr).starts_with("gannet: the server does not say how its cluster is: "),
        "{status:?}"
    );
    server.join().unwrap();
}

#[test]
fn a_kick_names_its_session_or_its_user() {
    let (address, server) = answer_once(Response::empty(204));
    let args = ["kick", "--backend", &address, "--session", "00000000000000ab", "--code", "4001"];
    assert_eq!(gannet(&args).status.code(), Some(0));
    assert_eq!(server.join().unwrap().0, "DELETE /v1/sessions/00000000000000ab?code=4001");

    let (address, server) = answer_once(Response::json(200, "{\"kicked\":2}"));
    let args = ["kick", "--backend", &address, "--user", "ada/1", "--app", "chess", "--reason", "be nice"];
    assert_eq!(text(&gannet(&args).stdout), "{\"kicked\":2}\n");
    assert_eq!(server.join().unwrap().0, "DELETE /v1/users/ada%2F1?app=chess&reason=be%20nice");
}

#[test]
fn what_is_there_and_who_is_kept_out() {
    for (args, line) in [
        (
            "ban --user ada/1 --for 10m --reason cheating",
            "POST /v1/bans?user=ada%2F1&for_ms=600000&reason=cheating",
        ),
        ("ban --address 192.0.2.0/24 --app chess", "POST /v1/bans?address=192.0.2.0%2F24&app=chess"),
        ("unban --user ada", "DELETE /v1/bans?user=ada"),
        ("bans --limit 2 --after u:ada", "GET /v1/bans?limit=2&after=u%3Aada"),
        (
            "set-groups --user ada --prefix match: match:1 match:2",
            "PUT /v1/users/ada/groups?groups=match%3A1&groups=match%3A2&prefix=match%3A",
        ),
        ("set-groups --session 00000000000000ab", "PUT /v1/sessions/00000000000000ab/groups?groups="),
        (
            "set-tags --session 00000000000000ab --app chess ios",
            "PUT /v1/sessions/00000000000000ab/tags?tags=ios&app=chess",
        ),
        ("join red --session 00000000000000ab", "POST /v1/groups/red/members?session=00000000000000ab"),
        (
            "join match:1 --user ada --user bob/1 --last 20 --app chess",
            "POST /v1/groups/match%3A1/members?last=20&user=ada&user=bob%2F1&app=chess",
        ),
        ("join red blue --user ada --sticky", "POST /v1/members?group=red&group=blue&sticky=1&user=ada"),
        ("leave red --user ada", "DELETE /v1/groups/red/members?user=ada"),
        ("leave red blue --user ada", "DELETE /v1/members?group=red&group=blue&user=ada"),
        (
            "tag ios --session 00000000000000ab --session 00000000000000ac",
            "POST /v1/tags/ios/sessions?session=00000000000000ab&session=00000000000000ac",
        ),
        ("untag ios --user ada", "DELETE /v1/tags/ios/sessions?user=ada"),
        ("sessions --group red --limit 2", "GET /v1/sessions?group=red&limit=2"),
        ("sessions --behind", "GET /v1/sessions?behind=1"),
        ("sessions --json", "GET /v1/sessions"),
        ("list", "GET /v1/sessions"),
        ("count --tag ios --app chess", "GET /v1/count?tag=ios&app=chess"),
        ("users --prefix a", "GET /v1/users?prefix=a"),
        ("groups --app chess --after g", "GET /v1/groups?app=chess&after=g"),
        ("apps", "GET /v1/apps"),
        ("stats --app chess", "GET /v1/apps/stats?app=chess"),
    ] {
        let (address, server) = answer_once(Response::json(200, "[]"));
        let args: Vec<&str> = args.split(' ').chain(["--backend", &address]).collect();
        let done = gannet(&args);
        assert_eq!((text(&done.stdout), text(&done.stderr)), ("[]\n", ""), "{args:?}");
        assert_eq!(server.join().unwrap().0, line);
    }
}

#[test]
fn what_says_nothing_of_whom_or_of_what_is_not_sent() {
    for args in [
        "join red",
        "join --user ada",
        "join red --user ada --session 00000000000000ab",
        "leave --user ada",
        "tag ios",
        "untag --user ada",
        "untag ios --session ada",
        "kick",
    ] {
        let refused = gannet(&args.split(' ').collect::<Vec<_>>());
        assert_eq!(refused.status.code(), Some(2), "{args}: {refused:?}");
    }
}

#[test]
fn a_push_of_json_is_sent_as_it_is_and_of_anything_else_not_at_all() {
    let (address, server) = answer_once(Response::empty(202));
    let args = ["push", "--backend", &address, "--all", "--json"];
    assert_eq!(gannet(&[&args[..], &[r#"{"score": [3,1]}"#]].concat()).status.code(), Some(0));
    let (_, _, content_type, body) = server.join().unwrap();
    assert_eq!(content_type.as_deref(), Some("text/plain; charset=utf-8"));
    assert_eq!(text(&body), r#"{"score": [3,1]}"#);
    for message in ["{", "hello", "1 2"] {
        let refused = gannet(&[&args[..], &[message]].concat());
        assert_eq!(refused.status.code(), Some(1));
        assert!(
            text(&refused.stderr).starts_with("gannet: the message is no JSON: "),
            "{}",
            text(&refused.stderr)
        );
    }
}

#[test]
fn stats_are_laid_out_for_people() {
    let (address, server) = answer_once(Response::json(200, r#"{"sessions":3}"#));
    let done = gannet(&["stats", "--backend", &address]);
    assert_eq!(text(&done.stdout), "{\n  \"sessions\": 3\n}\n");
    assert_eq!(server.join().unwrap().0, "GET /v1/stats");
}

#[test]
fn a_refusal_is_told_and_ends_with_1() {
    let body = r#"{"error":{"code":"unauthorized","message":"send the backend key"}}"#;
    let (address, server) = answer_once(Response::json(401, body));
    let refused = gannet(&["stats", "--backend", &address]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(text(&refused.stderr), "gannet: the server refused: 401 unauthorized: send the backend key\n");
    server.join().unwrap();
}

#[test]
fn how_long_a_push_is_worth_something_is_said_as_every_time_is() {
    for (args, query) in [
        (["--ttl", "1m30s"], "ttl_ms=90000"),
        (["--ttl", "500ms"], "ttl_ms=500"),
        (["--ttl", "5"], "ttl_ms=5000"),
        (["--ttl-ms", "500"], "ttl_ms=500"),
    ] {
        let (address, server) = answer_once(Response::empty(202));
        let pushed = gannet(&[&["push", "--backend", &address, "--all"], &args[..], &["hi"]].concat());
        assert_eq!(pushed.status.code(), Some(0), "{}", text(&pushed.stderr));
        assert_eq!(server.join().unwrap().0, format!("POST /v1/push?all=1&{query}"));
    }
}
