use super::*;
use crate::dispatch::Apps;
use crate::dispatch::CommandLimits;
use crate::dispatch::{
    Action, Class, Epoch, ErrorCode, PushOptions, Recall, ReceiptMode, Right, Scope, Selector, Target, Who,
};
use crate::gateway::api::refusal::Refusal;
use crate::http::{HeadLimits, Request};
use crate::ops::Page;
use crate::session::{Name, SessionId};
use std::time::Duration;

const ID: &str = "00a0000000000001";

/// Routes a request of this line, these further header lines and this body, as it comes from a socket.
fn send(line: &str, headers: &str, body: &[u8]) -> Result<Routed, Refusal> {
    let head = format!("{line} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    let request = Request::parse(head.as_bytes(), &HeadLimits::default()).expect(line);
    route(&request, &mut body.to_vec(), &Apps::new(["chess"]).unwrap(), &CommandLimits::small())
}

fn command(line: &str) -> (AppId, Command) {
    match send(line, "", b"hi") {
        Ok(Routed::Command { app, command, .. }) => (app, command),
        other => panic!("{line}: {other:?}"),
    }
}

fn pushed(line: &str) -> (Target, PushOptions) {
    match command(line) {
        (_, Command::Push { target, frame, options }) => {
            assert!(frame.as_bytes().ends_with(b"hi"));
            (target, options)
        }
        other => panic!("{line}: {other:?}"),
    }
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn id() -> SessionId {
    ID.parse().unwrap()
}

#[test]
fn a_push_takes_every_target_and_option() {
    let (target, options) = pushed(&format!(
        "POST /v1/push?session={ID}&user=b%C3%B6b&group=red%2Fblue&tag=v2.1&\
         ttl_ms=5&key=score&class=droppable&except={ID}&receipt=none&scope=node"
    ));
    let expected = [
        Selector::Session(id()),
        Selector::User(name("böb")),
        Selector::Group(name("red/blue")),
        Selector::Tag(name("v2.1")),
    ];
    assert_eq!(target.selectors(), expected);
    let expected = PushOptions {
        ttl: Some(Duration::from_millis(5)),
        key: Some("score".into()),
        class: Class::Droppable,
        except: Some(id()),
        without: Vec::new(),
        names: 0,
        receipt: ReceiptMode::None,
        scope: Scope::Node,
    };
    assert_eq!(options, expected);
}

#[test]
fn targets_may_overlap() {
    let (target, _) = pushed("POST /v1/push?user=ada&group=g&user=ada&all=1");
    let expected = [Selector::User(name("ada")), Selector::Group(name("g")), Selector::All];
    assert_eq!(target.selectors(), expected);
}

#[test]
fn all_is_a_switch() {
    for on in ["1", "true"] {
        let (target, options) = pushed(&format!("POST /v1/push?all={on}"));
        assert_eq!(target.selectors(), [Selector::All]);
        assert_eq!(
            options,
            PushOptions { ttl: Some(CommandLimits::small().default_ttl), ..PushOptions::default() }
        );
    }
    for off in ["0", "false"] {
        let (target, _) = pushed(&format!("POST /v1/push?all={off}&user=ada"));
        assert_eq!(target.selectors(), [Selector::User(name("ada"))]);
    }
}

#[test]
fn a_text_push_is_utf8_and_a_binary_one_is_what_it_is() {
    let line = "POST /v1/push?all=1";
    for text in ["", "Content-Type: text/plain\r\n", "Content-Type: application/octet-streams\r\n"] {
        assert!(send(line, text, "größe".as_bytes()).is_ok());
        let refusal = send(line, text, b"gr\xf6sse").unwrap_err();
        assert_eq!(refusal.error.code, ErrorCode::BadRequest);
        assert!(refusal.error.message.contains("UTF-8"));
    }
    for binary in ["application/octet-stream", "Application/Octet-Stream ; x=y"] {
        assert!(send(line, &format!("Content-Type: {binary}\r\n"), b"\xff\x00").is_ok(), "{binary}");
    }
}

#[test]
fn a_push_beyond_its_limit_is_too_large() {
    for headers in ["", "Content-Type: application/octet-stream\r\n"] {
        assert!(send("POST /v1/push?all=1", headers, &[b'x'; 64]).is_ok());
        let refusal = send("POST /v1/push?all=1", headers, &[b'x'; 65]).unwrap_err();
        assert_eq!(refusal.error.code, ErrorCode::PayloadTooLarge);
    }
}

#[test]
fn every_request_about_sessions_makes_its_action() {
    let session = || Who::Session(id());
    let ada = || Who::User(name("ada"));
    let group = || name("g");
    let list = |by, limit, after, detailed| Action::List { by, limit, after, detailed };
    let table = [
        ("POST /v1/groups/g/members?session=ID", Action::Join { who: session(), group: group() }),
        ("POST /v1/groups/g/members?user=ada", Action::Join { who: ada(), group: group() }),
        (
            "POST /v1/groups/g/members?user=ada&last=20&after=1",
            Action::JoinWith {
                who: ada(),
                group: group(),
                recall: Recall::After { offset: 1, epoch: None, last: Some(20) },
            },
        ),
        (
            "POST /v1/groups/g/members?user=ada&sticky=1&last=20",
            Action::JoinSticky { who: ada(), groups: vec![group()], recall: Some(Recall::Last(20)) },
        ),
        (
            "POST /v1/members?group=g&group=h&user=ada&sticky=1",
            Action::JoinSticky { who: ada(), groups: vec![group(), name("h")], recall: None },
        ),
        (
            "POST /v1/groups/g/members?user=ada&last=20",
            Action::JoinWith { who: ada(), group: group(), recall: Recall::Last(20) },
        ),
        (
            "POST /v1/groups/g/members?session=ID&after=17&epoch=5f3a00000000c0de",
            Action::JoinWith {
                who: session(),
                group: group(),
                recall: Recall::After {
                    offset: 17,
                    epoch: Some(Epoch::from_u64(0x5f3a_0000_0000_c0de)),
                    last: None,
                },
            },
        ),
        ("GET /v1/groups/g/latest", Action::Latest { group: group() }),
        ("GET /v1/groups/g/log", Action::Log { group: group(), after: 0, epoch: None, limit: 100 }),
        (
            "HEAD /v1/groups/g/log?after=17&epoch=00000000000000ff&limit=5",
            Action::Log { group: group(), after: 17, epoch: Some(Epoch::from_u64(255)), limit: 5 },
        ),
        ("POST /v1/groups/g/forget", Action::Forget { group: group(), key: None }),
        ("POST /v1/groups/g/forget?key=score", Action::Forget { group: group(), key: Some("score".into()) }),
        ("DELETE /v1/groups/g/members?session=ID", Action::Leave { who: session(), group: group() }),
        ("DELETE /v1/groups/g/members?user=ada", Action::Leave { who: ada(), group: group() }),
        ("GET /v1/groups/g", list(Selector::Group(group()), 100, None, false)),
        ("HEAD /v1/groups/g?limit=1&after=ID", list(Selector::Group(group()), 1, Some(id()), false)),
        ("DELETE /v1/groups/g", Action::Destroy { group: group() }),
        ("POST /v1/groups/a%2Fb/move?to=c%26d", Action::Move { from: name("a/b"), to: name("c&d") }),
        ("GET /v1/sessions/ID", Action::Describe { session: id() }),
        ("GET /v1/sessions", list(Selector::All, 100, None, true)),
        ("GET /v1/sessions?user=ada", list(Selector::User(name("ada")), 100, None, true)),
        ("GET /v1/sessions?group=g&limit=1000", list(Selector::Group(group()), 1000, None, true)),
        ("GET /v1/sessions?tag=a+b&after=ID", list(Selector::Tag(name("a b")), 100, Some(id()), true)),
        ("DELETE /v1/sessions/ID", Action::Kick { who: session(), code: 4001, reason: "".into() }),
        (
            "DELETE /v1/sessions/ID?code=4999&reason=no+cheating",
            Action::Kick { who: session(), code: 4999, reason: "no cheating".into() },
        ),
        ("DELETE /v1/users/ada?code=1008", Action::Kick { who: ada(), code: 1008, reason: "".into() }),
        ("PUT /v1/sessions/ID/user?user=ada", Action::Bind { session: id(), user: Some(name("ada")) }),
        ("PUT /v1/sessions/ID/user?user=", Action::Bind { session: id(), user: None }),
        (
            "POST /v1/groups/g/members?session=ID&session=ID",
            Action::Join { who: Who::Sessions(vec![id()]), group: group() },
        ),
        (
            "POST /v1/members?group=g&group=h&user=ada",
            Action::JoinAll { who: ada(), groups: vec![group(), name("h")] },
        ),
        ("POST /v1/members?group=g&user=ada", Action::Join { who: ada(), group: group() }),
        (
            "DELETE /v1/members?group=g&group=h&user=ada&user=bob",
            Action::LeaveAll {
                who: Who::Users(vec![name("ada"), name("bob")]),
                groups: vec![group(), name("h")],
            },
        ),
        (
            "POST /v1/groups/g/move?to=h&user=ada",
            Action::MoveSome { who: ada(), from: group(), to: name("h") },
        ),
        ("DELETE /v1/sessions?user=ada", Action::Kick { who: ada(), code: 4001, reason: "".into() }),
        ("POST /v1/tags/ios/sessions?user=ada", Action::TagAll { who: ada(), tag: name("ios") }),
        ("DELETE /v1/tags/ios/sessions?session=ID", Action::Untag { session: id(), tag: name("ios") }),
        (
            "PUT /v1/users/ada/groups?groups=ab&groups=a&prefix=a",
            Action::SetGroups { who: ada(), groups: vec![name("ab"), name("a")], prefix: Some(name("a")) },
        ),
        (
            "PUT /v1/sessions/ID/tags?tags=",
            Action::SetTags { who: session(), tags: Vec::new(), prefix: None },
        ),
        ("POST /v1/sessions/ID/tags?tag=ios", Action::Tag { session: id(), tag: name("ios") }),
        ("DELETE /v1/sessions/ID/tags?tag=ios", Action::Untag { session: id(), tag: name("ios") }),
    ];
    for (line, expected) in table {
        let line = line.replace("ID", ID);
        let separator = if line.contains('?') { '&' } else { '?' };
        for (line, app) in [(line.clone(), Apps::DEFAULT), (format!("{line}{separator}app=chess"), AppId(1))]
        {
            match command(&line) {
                (asked, Command::Act(action, Scope::Cluster)) => {
                    assert_eq!((asked, &action), (app, &expected), "{line}")
                }
                other => panic!("{line}: {other:?}"),
            }
        }
    }
}

#[test]
fn what_is_not_a_command_has_its_own_answer() {
    let ok = |line: &str| send(line, "", b"{}\n{}").expect(line);
    let pages = [
        ("GET /v1/stats", Page::Stats),
        ("GET /v1/cluster", Page::Cluster),
        ("GET /metrics", Page::Metrics),
        ("GET /v1/openapi.json", Page::OpenApi),
        ("HEAD /healthz", Page::Health),
        ("GET /readyz", Page::Ready),
        ("GET /", Page::Console),
    ];
    for (line, expected) in pages {
        assert!(matches!(ok(line), Routed::Page { page, .. } if page == expected), "{line}");
    }
    assert!(matches!(ok("GET /v1/link"), Routed::Link { app: Apps::DEFAULT, .. }));
    assert!(matches!(ok("GET /v1/link?app=chess"), Routed::Link { app: AppId(1), .. }));
    assert!(matches!(ok("POST /v1/batch?app=chess"), Routed::Batch { app: AppId(1), .. }));
    let refusal = send("POST /v1/batch", "", &b"{}\n".repeat(9)).unwrap_err();
    assert_eq!(refusal.error.code, ErrorCode::PayloadTooLarge);
}

#[test]
fn a_refusal_says_what_is_wrong() {
    let long = "x".repeat(129);
    let table: &[(&str, ErrorCode, &str)] = &[
        ("POST /v1/push", ErrorCode::BadRequest, "a push needs a target"),
        ("POST /v1/push?all=0", ErrorCode::BadRequest, "a push needs a target"),
        ("POST /v1/push?all=yes", ErrorCode::BadRequest, r#"all cannot be "yes"; it is 1 or 0"#),
        ("POST /v1/push?all=1&all=1", ErrorCode::BadRequest, "all is given twice"),
        (
            "POST /v1/push?all=1&ttl=5",
            ErrorCode::BadRequest,
            r#"no parameter "ttl" here; there are app, session,"#,
        ),
        ("POST /v1/push?all=1&ttl_ms=5s", ErrorCode::BadRequest, r#"ttl_ms cannot be "5s"; it is a number"#),
        ("POST /v1/push?all=1&ttl_ms=%2B5", ErrorCode::BadRequest, "it is a number"),
        ("POST /v1/push?all=1&ttl_ms=", ErrorCode::BadRequest, "it is a number"),
        ("POST /v1/push?all=1&ttl_ms=99999999999999999999", ErrorCode::BadRequest, "it is a number"),
        ("POST /v1/push?all=1&ttl_ms=3600001", ErrorCode::BadRequest, "at most 3600000"),
        ("POST /v1/push?all=1&key=", ErrorCode::BadRequest, "key: "),
        ("POST /v1/push?all=1&class=slow", ErrorCode::BadRequest, "normal, urgent, droppable"),
        ("POST /v1/push?all=1&receipt=read", ErrorCode::BadRequest, "none, queued, written"),
        ("POST /v1/push?all=1&except=ada", ErrorCode::BadRequest, "except: a session id"),
        ("POST /v1/push?all=1&app=poker", ErrorCode::NotFound, r#"no app "poker""#),
        ("POST /v1/push?session=xyz", ErrorCode::BadRequest, "16 lowercase hex digits"),
        ("POST /v1/push?user=", ErrorCode::BadRequest, "user: a name needs at least one byte"),
        ("POST /v1/push?user=LONG", ErrorCode::BadRequest, "user: a name has at most 128 bytes"),
        ("POST /v1/push?group=a%0Ab", ErrorCode::BadRequest, "group: a name has no control characters"),
        ("POST /v1/push?tag=%FF", ErrorCode::BadRequest, "UTF-8"),
        ("POST /v1/push?tag=%zz", ErrorCode::BadRequest, "hex digits"),
        ("POST /v1/push?tag=a&tag=b&tag=c&tag=d&tag=e", ErrorCode::BadRequest, "at most 4 selectors"),
        ("GET /v1/sessions/xyz", ErrorCode::BadRequest, "16 lowercase hex digits"),
        ("GET /v1/sessions/00A0000000000001", ErrorCode::BadRequest, "16 lowercase hex digits"),
        ("GET /v1/sessions?user=a&tag=b", ErrorCode::BadRequest, "by one of user, group and tag"),
        ("GET /v1/sessions?user=a&user=b", ErrorCode::BadRequest, "user is given twice"),
        ("GET /v1/sessions?limit=0", ErrorCode::BadRequest, "limit is between 1 and 1000"),
        ("GET /v1/sessions?limit=1001", ErrorCode::BadRequest, "limit is between 1 and 1000"),
        ("GET /v1/sessions?after=5", ErrorCode::BadRequest, "after: a session id"),
        ("GET /v1/groups/g/log?after=ID", ErrorCode::BadRequest, "it is a number"),
        ("GET /v1/groups/g/log?after=1&epoch=17", ErrorCode::BadRequest, "epoch: an epoch is 16"),
        ("GET /v1/groups/g/log?epoch=00000000000000ff", ErrorCode::BadRequest, "name after too"),
        ("GET /v1/groups/g/log?limit=1001", ErrorCode::BadRequest, "limit is between"),
        ("POST /v1/groups/g/forget?key=", ErrorCode::BadRequest, "key: "),
        ("GET /v1/groups/g?session=ID", ErrorCode::BadRequest, "there are app, limit, after"),
        ("GET /v1/groups/", ErrorCode::BadRequest, "group: a name needs at least one byte"),
        ("GET /v1/groups/LONG", ErrorCode::BadRequest, "group: a name has at most 128 bytes"),
        ("GET /v1/groups/%80", ErrorCode::BadRequest, "UTF-8"),
        ("POST /v1/groups/g/members", ErrorCode::BadRequest, "name a session or a user"),
        ("POST /v1/groups/g/members?session=ID&user=ada", ErrorCode::BadRequest, "not both"),
        ("POST /v1/groups/g/move", ErrorCode::BadRequest, "to is missing"),
        ("DELETE /v1/sessions/ID?code=1005", ErrorCode::BadRequest, "code is one of"),
        ("DELETE /v1/sessions/ID?code=x", ErrorCode::BadRequest, "it is a number"),
        ("DELETE /v1/users/ada?reason=LONG", ErrorCode::BadRequest, "at most 123 bytes"),
        ("PUT /v1/sessions/ID/user", ErrorCode::BadRequest, "user is missing"),
        ("POST /v1/sessions/ID/tags", ErrorCode::BadRequest, "tag is missing"),
        ("POST /v1/sessions/ID/tags?tag=a&tag=b", ErrorCode::BadRequest, "tag is given twice"),
        ("GET /v1/stats?x=1", ErrorCode::BadRequest, r#"no parameter "x" here, nor any other"#),
        ("GET /v1/link?app=poker", ErrorCode::NotFound, "poker"),
        ("GET /v1", ErrorCode::NotFound, r#"nothing at "/v1"; the API is at /v1/push"#),
        ("GET /v1/push/", ErrorCode::NotFound, "nothing at"),
        ("GET /v2/push", ErrorCode::NotFound, "nothing at"),
        ("GET //", ErrorCode::NotFound, "nothing at"),
        ("GET /ws", ErrorCode::NotFound, "nothing at"),
        ("OPTIONS *", ErrorCode::NotFound, "nothing at"),
        ("GET /v1/groups/a/b/c", ErrorCode::NotFound, "nothing at"),
        ("GET /v1/push", ErrorCode::MethodNotAllowed, r#""GET" is not a method of this path; it takes POST"#),
        ("post /v1/push", ErrorCode::MethodNotAllowed, "POST"),
    ];
    for (line, code, says) in table {
        let line = line.replace("ID", ID).replace("LONG", &long);
        let refusal = send(&line, "", b"").expect_err(&line);
        assert_eq!(refusal.error.code, *code, "{line}: {}", refusal.error);
        assert!(refusal.error.message.contains(says), "{line}\n said {}\n not {says}", refusal.error);
        assert_eq!(refusal.allow.is_some(), *code == ErrorCode::MethodNotAllowed);
    }
}

/// What `Allow` tells people is what is taken; no method is taken for another.
#[test]
fn each_path_takes_the_methods_that_it_allows_and_no_other() {
    let table = [
        ("/v1/push?all=1", "POST"),
        ("/v1/batch", "POST"),
        ("/v1/groups/g/members?user=a", "POST, DELETE"),
        ("/v1/groups/g", "GET, HEAD, DELETE"),
        ("/v1/count", "GET, HEAD"),
        ("/v1/users", "GET, HEAD"),
        ("/v1/groups", "GET, HEAD"),
        ("/v1/groups/g/move?to=h", "POST"),
        ("/v1/sessions/ID", "GET, HEAD, DELETE"),
        ("/v1/sessions?user=a", "GET, HEAD, DELETE"),
        ("/v1/members?group=g&user=a", "POST, DELETE"),
        ("/v1/tags/t/sessions?user=a", "POST, DELETE"),
        ("/v1/sessions/ID/groups?groups=g", "PUT"),
        ("/v1/users/ada/groups?groups=g", "PUT"),
        ("/v1/users/ada/tags?tags=t", "PUT"),
        ("/v1/users/ada", "DELETE"),
        ("/v1/sessions/ID/user?user=a", "PUT"),
        ("/v1/sessions/ID/renew", "POST"),
        ("/v1/stats", "GET, HEAD"),
        ("/v1/openapi.json", "GET, HEAD"),
        ("/metrics", "GET, HEAD"),
        ("/healthz", "GET, HEAD"),
        ("/readyz", "GET, HEAD"),
        ("/v1/link", "GET"),
        ("/", "GET, HEAD"),
    ];
    for (target, allow) in table {
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "GE", "G", "get"]
        {
            let line = format!("{method} {}", target.replace("ID", ID));
            let allowed = allow.split(", ").any(|allowed| allowed == method);
            match send(&line, "", br#"{"token":"a.b.c"}"#) {
                Ok(_) => assert!(allowed, "{line}"),
                Err(refusal) => {
                    assert!(!allowed, "{line}: {}", refusal.error);
                    assert_eq!(refusal.allow.as_deref(), Some(allow), "{line}");
                    assert_eq!(refusal.error.code.status(), 405, "{line}");
                }
            }
        }
    }
}

/// The requests that the reference shows are requests; behind an empty line stands a body.
#[test]
fn the_reference_is_right() {
    let reference = include_str!("../../../../docs/http-api.md");
    let is_request = |line: &&str| line.starts_with(['G', 'P', 'D']) && line.contains(" /");
    let fenced = reference.split("```").skip(1).step_by(2);
    let requests: Vec<(&str, &str)> = fenced
        .flat_map(|block| {
            let (lines, body) = block.split_once("\n\n").unwrap_or((block, ""));
            lines.lines().filter(is_request).map(move |line| (line, body))
        })
        .collect();
    assert!(requests.len() >= 20, "{requests:?}");
    for (line, body) in requests {
        if let Err(refusal) = send(line, "", body.as_bytes()) {
            panic!("{line}: {}", refusal.error);
        }
    }
}

#[test]
fn what_a_key_must_be_allowed() {
    let table = [
        ("GET /healthz", Needs::Nothing),
        ("GET /readyz", Needs::Nothing),
        ("GET /", Needs::Nothing),
        ("GET /v1/stats/stream", Needs::Right(Right::Read)),
        ("GET /v1/admin/audit", Needs::Right(Right::Read)),
        ("GET /metrics", Needs::Right(Right::Read)),
        ("GET /v1/stats", Needs::Right(Right::Read)),
        ("GET /v1/sessions", Needs::Right(Right::Read)),
        ("GET /v1/groups/g", Needs::Right(Right::Read)),
        ("GET /v1/sessions/ID", Needs::Right(Right::Read)),
        ("POST /v1/push?all=1", Needs::Right(Right::Push)),
        ("POST /v1/groups/g/members?user=ada", Needs::Right(Right::All)),
        ("DELETE /v1/users/ada", Needs::Right(Right::All)),
        ("POST /v1/batch", Needs::Key),
        ("GET /v1/link", Needs::Key),
        ("POST /v1/sessions/ID/renew", Needs::Right(Right::All)),
    ];
    for (line, needs) in table {
        assert_eq!(
            send(&line.replace("ID", ID), "", br#"{"token":"a.b.c"}"#).unwrap().needs(),
            needs,
            "{line}"
        );
    }
}
