use super::*;
use crate::dispatch::Apps;
use crate::dispatch::CommandLimits;
use crate::dispatch::{
    Action, CommandError, ErrorCode, OperationOutcome, Outcome, Page, Recalled, Receipt, Selector,
    SessionInfo, SessionRow, TickPhase,
};
use crate::gateway::api::json::{self, RequestId};
use crate::link_bin::{Details, Event, Payload};
use serde_json::{Value, json};

const ID: &str = "00a0000000000001";

fn id() -> SessionId {
    ID.parse().unwrap()
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// What was written, read back by serde_json's tree: no field more, none less.
fn written(write: impl FnOnce(&mut String)) -> Value {
    let mut out = String::from("before ");
    write(&mut out);
    let json = out.strip_prefix("before ").expect("what was there stays");
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"))
}

fn answered(asked: Option<&Action>, outcome: &Outcome) -> (u16, Value) {
    let mut status = 0;
    let body = written(|out| status = http_answer(out, asked, outcome));
    (status, body)
}

fn receipt(written: Option<u32>) -> Outcome {
    let receipt = Receipt {
        matched: 3,
        queued: 2,
        replaced: 0,
        dropped: 1,
        expired: 0,
        closed: 4,
        offline: 0,
        written,
        pending: 0,
        unreached: 0,
        away: 0,
        offset: None,
        epoch: None,
        missed: None,
        missing: Vec::new(),
    };
    Outcome::Receipt(receipt)
}

fn info() -> SessionInfo {
    SessionInfo {
        id: id(),
        app: "chess".into(),
        user: Some(name("ada")),
        groups: vec![name("g"), name("h")],
        tags: vec![name("ios")],
        remote: "127.0.0.1:5000".parse().unwrap(),
        since_unix_ms: 1_760_000_000_000,
        queued_messages: 1,
        queued_bytes: 70,
        bytes_in: 500,
        bytes_out: u64::MAX,
        round_trip_us: None,
        profile: Default::default(),
        away: false,
        behind_since_unix_ms: Some(1_760_000_000_500),
    }
}

fn info_json() -> Value {
    json!({
        "session": ID, "app": "chess", "user": "ada", "groups": ["g", "h"], "tags": ["ios"],
        "remote": "127.0.0.1:5000", "since_unix_ms": 1_760_000_000_000_u64, "queued_messages": 1,
        "queued_bytes": 70, "bytes_in": 500, "bytes_out": u64::MAX, "round_trip_us": null,
        "reactor": id().worker(), "behind_since_unix_ms": 1_760_000_000_500_u64
    })
}

fn list(by: Selector, detailed: bool) -> Action {
    Action::List { by, limit: 2, after: None, detailed }
}

/// An event that shows nothing of its session beside its own fields.
fn event(out: &mut String, told: &Event<'_>) {
    super::event(out, told, &Details::default());
}

#[test]
fn a_receipt_is_as_the_api_writes_it() {
    let mut out = String::new();
    assert_eq!(http_answer(&mut out, None, &receipt(None)), 200);
    assert_eq!(out, r#"{"matched":3,"queued":2,"replaced":0,"dropped":1,"expired":0,"offline":0}"#);
    assert_eq!(
        answered(None, &receipt(Some(2))),
        (
            200,
            json!({"matched":3,"queued":2,"replaced":0,"dropped":1,"expired":0,"offline":0,"written":2,"closed":4})
        )
    );
    let incomplete =
        Receipt { matched: 2, queued: 2, pending: 1, unreached: 3, written: Some(1), ..Receipt::default() };
    assert_eq!(
        answered(None, &Outcome::Receipt(incomplete)),
        (
            200,
            json!({"matched":2,"queued":2,"replaced":0,"dropped":0,"expired":0,"offline":0,"written":1,"closed":0,
                "pending":1,"unreached":3})
        )
    );
}

#[test]
fn outcomes_have_a_status_and_a_body() {
    let done = |sessions| Outcome::Done(OperationOutcome::Sessions(sessions));
    let session = Outcome::Done(OperationOutcome::Session(Box::new(info())));
    let table = [
        (Outcome::Accepted, 202, json!({})),
        (Outcome::Listening { ticks: Vec::new(), missing: Vec::new() }, 200, json!({})),
        (
            Outcome::Listening { ticks: vec![TickPhase { tick_ms: 50, phase_ms: 12 }], missing: Vec::new() },
            200,
            json!({"ticks": [{"tick_ms": 50, "phase_ms": 12}]}),
        ),
        (done(0), 200, json!({"sessions": 0})),
        (done(12), 200, json!({"sessions": 12})),
        (
            Outcome::Done(OperationOutcome::Joined { sessions: 0, recalled: None, unknown: None }),
            200,
            json!({"sessions": 0}),
        ),
        (
            Outcome::Done(OperationOutcome::Joined {
                sessions: 1,
                recalled: Some(Recalled { epoch: None, offset: 0, complete: false }),
                unknown: None,
            }),
            200,
            json!({"sessions": 1, "epoch": null, "offset": 0, "complete": false}),
        ),
        (
            Outcome::Done(OperationOutcome::Changed { sessions: 2, unknown: 1 }),
            200,
            json!({"sessions": 2, "unknown": 1}),
        ),
        (
            Outcome::Done(OperationOutcome::Joined {
                sessions: 1,
                recalled: Some(Recalled { epoch: None, offset: 7, complete: true }),
                unknown: Some(2),
            }),
            200,
            json!({"sessions": 1, "epoch": null, "offset": 7, "complete": true, "unknown": 2}),
        ),
        (
            Outcome::Done(OperationOutcome::Joined {
                sessions: 1,
                recalled: Some(Recalled { epoch: None, offset: 0, complete: false }),
                unknown: None,
            }),
            200,
            json!({"sessions": 1, "epoch": null, "offset": 0, "complete": false}),
        ),
        (Outcome::Done(OperationOutcome::Forgotten(3)), 200, json!({"forgotten": 3})),
        (session, 200, info_json()),
        (
            Outcome::Refused(CommandError::unknown_session(id())),
            404,
            json!({"error": {
                "code": "unknown_session",
                "message": format!("no session {ID} is live in this app; it may have closed")
            }}),
        ),
    ];
    for (outcome, status, body) in table {
        assert_eq!(answered(None, &outcome), (status, body), "{outcome:?}");
    }
}

#[test]
fn pages_are_of_members_or_of_sessions() {
    let rows = vec![
        SessionRow { id: id(), user: Some(name("ada")) },
        SessionRow { id: SessionId::from_u64(255), user: None },
    ];
    let next = Some(SessionId::from_u64(255));
    let members = Page { count: 5, behind: 1, pushes: 7, rows, sessions: vec![], next };
    let asked = list(Selector::Group(name("g")), false);
    let expected = json!({
        "group": "g", "count": 5, "behind": 1, "pushes": 7, "next": "00000000000000ff",
        "members": [{"session": ID, "user": "ada"}, {"session": "00000000000000ff", "user": null}]
    });
    assert_eq!(answered(Some(&asked), &Outcome::Done(OperationOutcome::Page(members))), (200, expected));
    let none = Outcome::Done(OperationOutcome::Page(Page::default()));
    let expected = json!({"group": "g", "count": 0, "behind": 0, "pushes": 0, "members": [], "next": null});
    assert_eq!(answered(Some(&asked), &none), (200, expected));

    let sessions = Page { count: 1, sessions: vec![info()], ..Page::default() };
    for by in [Selector::All, Selector::User(name("ada")), Selector::Group(name("g"))] {
        let asked = list(by, true);
        let page = Outcome::Done(OperationOutcome::Page(sessions.clone()));
        let expected = json!({"count": 1, "sessions": [info_json()], "next": null});
        assert_eq!(answered(Some(&asked), &page), (200, expected));
        assert_eq!(answered(Some(&asked), &none), (200, json!({"count": 0, "sessions": [], "next": null})));
    }
}

#[test]
fn every_error_has_its_status() {
    let codes = [
        (ErrorCode::BadRequest, 400, "bad_request"),
        (ErrorCode::Unauthorized, 401, "unauthorized"),
        (ErrorCode::Forbidden, 403, "forbidden"),
        (ErrorCode::NotFound, 404, "not_found"),
        (ErrorCode::UnknownSession, 404, "unknown_session"),
        (ErrorCode::MethodNotAllowed, 405, "method_not_allowed"),
        (ErrorCode::PayloadTooLarge, 413, "payload_too_large"),
        (ErrorCode::RateLimited, 429, "rate_limited"),
        (ErrorCode::Overloaded, 503, "overloaded"),
        (ErrorCode::Draining, 503, "draining"),
    ];
    for (code, status, text) in codes {
        let error = CommandError::new(code, "say \"please\"\n");
        let expected = json!({"error": {"code": text, "message": "say \"please\"\n"}});
        let mut given = 0;
        assert_eq!(written(|out| given = http_error(out, &error)), expected);
        assert_eq!(given, status);
        assert_eq!(answered(None, &Outcome::Refused(error)), (status, expected));
    }
}

#[test]
fn replies_echo_the_id_or_leave_it_out() {
    let request_id = |json: &str| -> RequestId {
        let text = format!(r#"{{"id":{json},"op":"destroy","group":"g"}}"#);
        json::parse(&text, &Apps::new([""; 0]).unwrap(), &CommandLimits::small()).unwrap().id.unwrap()
    };
    let sessions = Outcome::Done(OperationOutcome::Sessions(1));
    for id in ["7", "-7.50", r#""a\u0062""#, "18446744073709551616"] {
        let mut out = String::new();
        reply(&mut out, Some(&request_id(id)), None, &sessions);
        assert_eq!(out, format!(r#"{{"id":{id},"ok":{{"sessions":1}}}}"#));
    }
    let seven = request_id("7");
    let refused = Outcome::Refused(CommandError::new(ErrorCode::Overloaded, "later"));
    let error = json!({"code": "overloaded", "message": "later"});
    let info = Outcome::Done(OperationOutcome::Session(Box::new(info())));
    let table = [
        (Outcome::Accepted, "ok", json!({})),
        (Outcome::Listening { ticks: Vec::new(), missing: Vec::new() }, "ok", json!({})),
        (
            receipt(None),
            "ok",
            json!({"matched":3,"queued":2,"replaced":0,"dropped":1,"expired":0,"offline":0}),
        ),
        (info, "ok", info_json()),
        (refused, "error", error.clone()),
    ];
    for (outcome, field, value) in table {
        let with_id = json!({"id": 7, field: value});
        assert_eq!(written(|out| reply(out, Some(&seven), None, &outcome)), with_id);
        assert_eq!(written(|out| reply(out, None, None, &outcome)), json!({field: value}));
    }
    let asked = list(Selector::Group(name("g")), false);
    let page = Outcome::Done(OperationOutcome::Page(Page::default()));
    assert_eq!(
        written(|out| reply(out, Some(&seven), Some(&asked), &page)),
        json!({"id": 7, "ok": {"group": "g", "count": 0, "behind": 0, "pushes": 0, "members": [], "next": null}})
    );
    let not_understood = CommandError::new(ErrorCode::Overloaded, "later");
    assert_eq!(written(|out| reply_error(out, None, &not_understood)), json!({"error": error}));
}

fn open<'a>(app: &'a str, user: Option<&'a str>, tags: &'a [Name]) -> Event<'a> {
    let remote = "[::1]:5000".parse().unwrap();
    Event::Open { session: id(), user, app, remote, tags: tags.into(), replaces: None }
}

fn message<'a>(user: Option<&'a str>, payload: Payload<'a>) -> Event<'a> {
    Event::Message { session: id(), user, payload }
}

fn close<'a>(user: Option<&'a str>, code: u16, reason: &'a str) -> Event<'a> {
    Event::Close { session: id(), user, code, reason }
}

#[test]
fn events_are_as_the_api_writes_them() {
    let first = Welcome {
        session: id(),
        user: Some("ada"),
        expires_unix_ms: None,
        ticket: None,
        resumed: None,
        was: None,
    };
    let mut out = String::new();
    welcome(&mut out, &first);
    assert_eq!(out, r#"{"type":"welcome","session":"00a0000000000001","user":"ada"}"#);
    assert_eq!(
        written(|out| welcome(out, &Welcome { user: None, expires_unix_ms: Some(7), ..first })),
        json!({"type": "welcome", "session": ID, "user": null, "expires_unix_ms": 7})
    );
    let back = Welcome { ticket: Some("abc"), resumed: Some(Ok(())), ..first };
    assert_eq!(
        written(|out| welcome(out, &back)),
        json!({"type": "welcome", "session": ID, "user": "ada", "resume": "abc", "resumed": true})
    );
    assert_eq!(
        written(|out| welcome(out, &Welcome { resumed: Some(Err("gap")), ..back })),
        json!({"type": "welcome", "session": ID, "user": "ada", "resume": "abc", "resumed": false, "why": "gap"})
    );
    assert_eq!(
        written(|out| welcome(out, &Welcome { was: Some(id()), ..back })),
        json!({"type": "welcome", "session": ID, "user": "ada", "resume": "abc", "resumed": true, "was": ID})
    );

    assert_eq!(
        written(|out| event(out, &open("chess", Some("ada"), &[name("ios"), name("eu")]))),
        json!({"event": "open", "session": ID, "app": "chess", "user": "ada", "tags": ["ios", "eu"], "remote": "[::1]:5000"})
    );
    assert_eq!(
        written(|out| event(out, &open("default", None, &[]))),
        json!({"event": "open", "session": ID, "app": "default", "user": null, "tags": [], "remote": "[::1]:5000"})
    );

    assert_eq!(
        written(|out| event(out, &message(Some("ada"), Payload::Text("hi")))),
        json!({"event": "message", "session": ID, "user": "ada", "text": "hi"})
    );
    assert_eq!(
        written(|out| event(out, &message(None, Payload::Binary(b"\xff\x00\x01\xfe")))),
        json!({"event": "message", "session": ID, "user": null, "data": "/wAB/g=="})
    );
    for (payload, field) in [(Payload::Text(""), "text"), (Payload::Binary(b""), "data")] {
        let expected = json!({"event": "message", "session": ID, "user": null, field: ""});
        assert_eq!(written(|out| event(out, &message(None, payload))), expected);
    }

    assert_eq!(
        written(|out| event(out, &close(Some("ada"), 1000, ""))),
        json!({"event": "close", "session": ID, "user": "ada", "code": 1000, "reason": ""})
    );
    assert_eq!(
        written(|out| event(out, &close(None, 4001, "cheat\u{1F480}"))),
        json!({"event": "close", "session": ID, "user": null, "code": 4001, "reason": "cheat\u{1F480}"})
    );
}

/// Whatever a client or a backend wrote comes out as it went in.
#[test]
fn every_character_survives() {
    let every: String =
        (0..=0x2fff).chain(0xfff0..=0x1_00ff).chain(0x1_f600..=0x1_f640).filter_map(char::from_u32).collect();
    let told = written(|out| event(out, &message(Some("\"\\"), Payload::Text(&every))));
    assert_eq!(told["text"], every);
    assert_eq!(told["user"], "\"\\");
    assert_eq!(written(|out| event(out, &close(None, 1000, &every)))["reason"], every);
    let bytes: Vec<u8> = (0..=255).collect();
    let told = written(|out| event(out, &message(None, Payload::Binary(&bytes))));
    let data = told["data"].as_str().unwrap();
    let command = format!(r#"{{"op":"push","to":{{"all":true}},"data":"{data}"}}"#);
    let roomy = CommandLimits { max_push_bytes: 256, ..CommandLimits::small() };
    let command = json::parse(&command, &Apps::new([""; 0]).unwrap(), &roomy).unwrap().command;
    let crate::dispatch::Command::Push { frame, .. } = command else { panic!("a push") };
    assert!(frame.as_bytes().ends_with(&bytes));
}
