use super::*;
use crate::dispatch::CommandLimits;
use crate::dispatch::{
    Action, Class, ErrorCode, EventKind, EventSet, Listen, PushOptions, ReceiptMode, Scope, Selector, Token,
    Who,
};
use crate::ops::OPS;
use crate::session::{Name, SessionId};
use serde_json::{Value, json};
use std::time::Duration;

const ID: &str = "00a0000000000001";

const OLDEST: EventSet = EventSet::of(&[EventKind::Open, EventKind::Message, EventKind::Close]);

fn apps() -> Apps {
    Apps::new(["chess"]).unwrap()
}

fn accepted(text: &str) -> LinkCommand {
    parse(text, &apps(), &CommandLimits::small()).unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

fn refused(text: &str) -> (Option<String>, CommandError) {
    let error = parse(text, &apps(), &CommandLimits::small()).expect_err(text);
    (error.id.map(|id| id.to_string()), error.error)
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn id() -> SessionId {
    ID.parse().unwrap()
}

fn selectors(text: &str) -> Vec<Selector> {
    match accepted(text).command {
        Command::Push { target, .. } => target.selectors().to_vec(),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn a_push_takes_every_option() {
    let text = format!(
        r#"{{"id":7,"op":"push","app":"chess","to":{{"user":"ada"}},"data":"aGk=","ttl_ms":5,"key":"score",
            "class":"urgent","except":"{ID}","receipt":"written","scope":"node"}}"#
    );
    let command = accepted(&text);
    assert_eq!(command.id.unwrap().to_string(), "7");
    assert_eq!(command.app, Some(AppId(1)));
    let Command::Push { target, frame, options } = command.command else { panic!("a push") };
    assert_eq!(target.selectors(), [Selector::User(name("ada"))]);
    assert!(frame.as_bytes().ends_with(b"hi"));
    let expected = PushOptions {
        ttl: Some(Duration::from_millis(5)),
        key: Some("score".into()),
        class: Class::Urgent,
        except: Some(id()),
        without: Vec::new(),
        names: 0,
        receipt: ReceiptMode::Written,
        scope: Scope::Node,
    };
    assert_eq!(options, expected);
}

#[test]
fn any_command_says_which_nodes_it_is_for() {
    let scope = |scope: &str| accepted(&format!(r#"{{"op":"destroy","group":"g"{scope}}}"#)).command;
    for (text, expected) in
        [("", Scope::Cluster), (r#","scope":"cluster""#, Scope::Cluster), (r#","scope":"node""#, Scope::Node)]
    {
        assert!(matches!(scope(text), Command::Act(_, scope) if scope == expected), "{text}");
    }
    let listen = r#"{"op":"listen","events":["open"],"scope":"node"}"#;
    assert!(matches!(accepted(listen).command, Command::Listen(_)));
    for op in [r#""op":"destroy","group":"g""#, r#""op":"listen","events":["open"]"#] {
        let (_, error) = refused(&format!(r#"{{{op},"scope":"all"}}"#));
        assert!(error.message.contains("scope cannot be"), "{error}");
    }
}

#[test]
fn a_push_without_options_has_the_defaults() {
    let command = accepted(r#"{"op":"push","to":{"all":true},"text":"a\u0062c \"quoted\"","ttl_ms":null}"#);
    assert!(command.id.is_none());
    assert_eq!(command.app, None);
    let Command::Push { target, frame, options } = command.command else { panic!("a push") };
    assert_eq!(target.selectors(), [Selector::All]);
    assert!(frame.as_bytes().ends_with(br#"abc "quoted""#));
    let expected = PushOptions { ttl: Some(CommandLimits::small().default_ttl), ..PushOptions::default() };
    assert_eq!(options, expected);
}

#[test]
fn targets_may_overlap_and_count_once() {
    let to = |to: &str| selectors(&format!(r#"{{"op":"push","text":"","to":{to}}}"#));
    let (user, group) = (|text| Selector::User(name(text)), |text| Selector::Group(name(text)));
    assert_eq!(to(r#"{"user":["ada","bob","ada"]}"#), [user("ada"), user("bob")]);
    assert_eq!(to(r#"{"group":"ada","user":"ada","all":false}"#), [user("ada"), group("ada")]);
    assert_eq!(to(r#"{"user":"a\u0064a"}"#), [user("ada")]);
    assert_eq!(to(r#"{"tag":[],"user":null,"group":"g"}"#), [group("g")]);
    assert_eq!(
        to(&format!(r#"{{"session":"{ID}","tag":["ios"],"all":true}}"#)),
        [Selector::Session(id()), Selector::Tag(name("ios")), Selector::All]
    );
}

#[test]
fn every_other_op_makes_its_action() {
    let group = || name("g");
    let session = || Who::Session(id());
    let table = [
        (json!({"op":"join","group":"g","session":ID}), Action::Join { who: session(), group: group() }),
        (
            json!({"op":"join","group":"g","user":"ada"}),
            Action::Join { who: Who::User(name("ada")), group: group() },
        ),
        (json!({"op":"leave","group":"g","session":ID}), Action::Leave { who: session(), group: group() }),
        (json!({"op":"destroy","group":"g"}), Action::Destroy { group: group() }),
        (json!({"op":"move","group":"g","to":"h"}), Action::Move { from: group(), to: name("h") }),
        (json!({"op":"kick","session":ID}), Action::Kick { who: session(), code: 4001, reason: "".into() }),
        (
            json!({"op":"kick","user":"ada","code":1008,"reason":"cheat"}),
            Action::Kick { who: Who::User(name("ada")), code: 1008, reason: "cheat".into() },
        ),
        (
            json!({"op":"bind","session":ID,"user":"ada"}),
            Action::Bind { session: id(), user: Some(name("ada")) },
        ),
        (json!({"op":"bind","session":ID,"user":null}), Action::Bind { session: id(), user: None }),
        (json!({"op":"tag","session":ID,"tag":"ios"}), Action::Tag { session: id(), tag: name("ios") }),
        (json!({"op":"untag","session":ID,"tag":"ios"}), Action::Untag { session: id(), tag: name("ios") }),
        (
            json!({"op":"renew","session":ID,"token":"a.b.c"}),
            Action::Renew { session: id(), token: Token::new("a.b.c") },
        ),
        (json!({"op":"session","session":ID}), Action::Describe { session: id() }),
        (
            json!({"op":"join","group":"g","session":[ID,ID]}),
            Action::Join { who: Who::Sessions(vec![id()]), group: group() },
        ),
        (
            json!({"op":"join","group":["g","h","g"],"user":["ada","bob","ada"]}),
            Action::JoinAll {
                who: Who::Users(vec![name("ada"), name("bob")]),
                groups: vec![group(), name("h")],
            },
        ),
        (
            json!({"op":"leave","group":["g"],"session":ID}),
            Action::LeaveAll { who: session(), groups: vec![group()] },
        ),
        (
            json!({"op":"move","group":"g","to":"h","user":"ada"}),
            Action::MoveSome { who: Who::User(name("ada")), from: group(), to: name("h") },
        ),
        (
            json!({"op":"tag","user":"ada","tag":"ios"}),
            Action::TagAll { who: Who::User(name("ada")), tag: name("ios") },
        ),
        (
            json!({"op":"untag","session":[ID],"tag":"ios"}),
            Action::UntagAll { who: Who::Sessions(vec![id()]), tag: name("ios") },
        ),
        (
            json!({"op":"set_groups","session":ID,"groups":["match:1"],"prefix":"match:"}),
            Action::SetGroups { who: session(), groups: vec![name("match:1")], prefix: Some(name("match:")) },
        ),
        (
            json!({"op":"set_tags","session":ID,"tags":[]}),
            Action::SetTags { who: session(), tags: Vec::new(), prefix: None },
        ),
    ];
    for (command, expected) in table {
        match accepted(&command.to_string()).command {
            Command::Act(action, Scope::Cluster) => assert_eq!(action, expected, "{command}"),
            other => panic!("{command}: {other:?}"),
        }
    }
}

#[test]
fn listen_names_its_events() {
    let listen = |text: &str| match accepted(text).command {
        Command::Listen(listen) => listen,
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(
        listen(r#"{"op":"listen","events":["open","message","close"],"share":"game"}"#),
        Listen { events: OLDEST, share: Some(name("game")), ..Listen::default() }
    );
    assert_eq!(
        listen(r#"{"op":"listen","events":["message","message"]}"#),
        Listen { events: EventSet::of(&[EventKind::Message]), ..Listen::default() }
    );
}

#[test]
fn ids_come_back_as_they_were_written() {
    let long = format!("{:?}", "x".repeat(126));
    for id in [
        "0",
        "7",
        "18446744073709551615",
        "18446744073709551616",
        "-1",
        "1.50",
        "1e3",
        r#""""#,
        r#""a\u0062\/""#,
        &long,
    ] {
        let command = accepted(&format!(r#"{{"id": {id} ,"op":"destroy","group":"g"}}"#));
        let id_read = command.id.unwrap();
        assert_eq!(id_read.to_string(), id);
        assert_eq!(serde_json::to_string(&id_read).unwrap(), id);
    }
    assert!(accepted(r#"{"id":null,"op":"destroy","group":"g"}"#).id.is_none());
    for id in ["true", "[1]", r#"{"a":1}"#, &format!("{:?}", "x".repeat(127))] {
        let (id_read, error) = refused(&format!(r#"{{"id":{id},"op":"destroy","group":"g"}}"#));
        assert_eq!((id_read, error.code), (None, ErrorCode::BadRequest), "{error}");
        assert!(error.message.starts_with("id "), "{error}");
    }
}

#[test]
fn what_is_not_json_has_no_id() {
    for text in [
        "",
        " ",
        "null",
        "7",
        r#""push""#,
        "[]",
        r#"[{"id":7}]"#,
        "{",
        r#"{"id":7"#,
        r#"{"id":7,"op":"push",}"#,
    ] {
        let (id, error) = refused(text);
        assert_eq!((id, error.code), (None, ErrorCode::BadRequest), "{text}: {error}");
    }
    assert_eq!(refused(r#"{"id":7}{"id":8}"#).0, None);
    assert_eq!(refused(&"[".repeat(100_000)).0, None);
    assert_eq!(refused(&format!(r#"{{"id":7,"to":{}"#, r#"{"user":"#.repeat(100_000))).0, None);
}

/// Commands with what their refusal must say; all of them have the id 7, and so has every reply.
#[test]
fn a_refusal_has_the_id_and_says_what_is_wrong() {
    let too_long = "x".repeat(129);
    let table: &[(Value, &str)] = &[
        (json!({}), "op is missing"),
        (json!({"op":"psuh"}), r#"op cannot be "psuh"; it is one of push, join,"#),
        (json!({"op":"Push"}), "it is one of push, join,"),
        (json!({"op":5}), "expected a string"),
        (
            json!({"op":"join","group":"g","sesion":ID}),
            r#"op join has no field "sesion"; its fields are id, op, app, scope, group, session, user"#,
        ),
        (json!({"op":"join","group":"g","session":ID,"tag":"t"}), r#"op join has no field "tag""#),
        (json!({"op":"push","user":"ada","text":""}), r#"op push has no field "user""#),
        (json!({"op":"destroy","group":"g","to":"h"}), r#"op destroy has no field "to""#),
        (
            json!({"op":"push","to":{"users":"ada"},"text":""}),
            "unknown field `users`, expected one of `session`",
        ),
        (json!({"op":"push","to":{"user":"ada"}}), "text, data in base64, or json"),
        (json!({"op":"push","to":{"user":"ada"},"text":"","data":""}), "one of text, data and json"),
        (json!({"op":"push","to":{"user":"ada"},"data":"aGk"}), "base64"),
        (json!({"op":"push","to":{"user":"ada"},"data":"a_k="}), "base64"),
        (json!({"op":"push","to":{"user":42},"text":""}), "a string or an array of strings"),
        (json!({"op":"push","to":{"user":["ada",42]},"text":""}), "expected a string"),
        (json!({"op":"push","to":{"user":"ada","all":"yes"},"text":""}), "expected a boolean"),
        (json!({"op":"push","to":"ada","text":""}), "to is an object in a push"),
        (json!({"op":"push","to":["ada"],"text":""}), "expected the name of a group, or an object"),
        (json!({"op":"push","text":""}), "a push needs a target"),
        (json!({"op":"push","to":{},"text":""}), "a push needs a target"),
        (json!({"op":"push","to":{"user":[],"all":false},"text":""}), "a push needs a target"),
        (json!({"op":"push","to":{"tag":["a","b","c","d","e"]},"text":""}), "at most 4 selectors, not 5"),
        (
            json!({"op":"push","to":{"session":"abc"},"text":""}),
            "session: a session id is 16 lowercase hex digits",
        ),
        (json!({"op":"push","to":{"user":""},"text":""}), "user: a name needs at least one byte"),
        (json!({"op":"push","to":{"group":too_long},"text":""}), "group: a name has at most 128 bytes"),
        (json!({"op":"push","to":{"tag":"a\nb"},"text":""}), "tag: a name has no control characters"),
        (json!({"op":"push","to":{"all":true},"text":"","ttl_ms":3_600_001}), "ttl_ms is at most 3600000"),
        (json!({"op":"push","to":{"all":true},"text":"","ttl_ms":-1}), "invalid value: integer `-1`"),
        (json!({"op":"push","to":{"all":true},"text":"","ttl_ms":1.5}), "floating point `1.5`"),
        (json!({"op":"push","to":{"all":true},"text":"","key":""}), "key: "),
        (json!({"op":"push","to":{"all":true},"text":"","class":"fast"}), "normal, urgent, droppable"),
        (json!({"op":"push","to":{"all":true},"text":"","except":"me"}), "except: a session id"),
        (json!({"op":"push","to":{"all":true},"text":"","receipt":"read"}), "none, queued, written"),
        (json!({"op":"join","session":ID}), "group is missing"),
        (json!({"op":"join","group":"g"}), "name a session or a user"),
        (json!({"op":"join","group":"g","user":null}), "name a session or a user"),
        (json!({"op":"leave","group":"g","session":ID,"user":"ada"}), "not both"),
        (json!({"op":"move","group":"g"}), "to is missing"),
        (json!({"op":"move","group":"g","to":{"group":"h"}}), "to is the name of a group in a move"),
        (json!({"op":"move","group":"g","to":""}), "to: a name needs"),
        (json!({"op":"kick","session":"00A0000000000001"}), "lowercase"),
        (json!({"op":"kick","user":"ada","code":1006}), "code is one of"),
        (json!({"op":"kick","user":"ada","code":65_536 + 4001}), "code is one of"),
        (json!({"op":"kick","user":"ada","reason":"x".repeat(124)}), "reason has at most 123 bytes"),
        (json!({"op":"bind","session":ID}), "null unbinds"),
        (json!({"op":"bind","session":ID,"user":""}), "user: a name needs"),
        (json!({"op":"tag","session":ID}), "tag is missing"),
        (json!({"op":"session"}), "session is missing"),
        (
            json!({"op":"listen"}),
            "at least one of open, message, close, join, leave, away, back, tag, untag, bind, user_online",
        ),
        (
            json!({"op":"listen","events":[]}),
            "at least one of open, message, close, join, leave, away, back, tag, untag, bind, user_online",
        ),
        (json!({"op":"listen","events":["opne"]}), r#"no event "opne""#),
        (json!({"op":"listen","events":"open"}), "expected a sequence"),
        (
            json!({"op":"listen","events":["open"],"with":["group"]}),
            r#"with: there is no detail "group"; there are groups, "#,
        ),
        (json!({"op":"listen","events":["open"],"share":""}), "share: a name needs"),
    ];
    for (command, says) in table {
        let object = command.to_string();
        let body = object.strip_prefix('{').and_then(|body| body.strip_suffix('}')).unwrap();
        let comma = if body.is_empty() { "" } else { "," };
        // The id behind what is wrong, and before it.
        for text in [format!(r#"{{{body}{comma}"id":7}}"#), format!(r#"{{"id":7{comma}{body}}}"#)] {
            let (id, error) = refused(&text);
            assert_eq!(id.as_deref(), Some("7"), "{text}: {error}");
            assert_eq!(error.code, ErrorCode::BadRequest, "{text}");
            assert!(error.message.contains(says), "{text}\n said {:?}\n not {says:?}", error.message);
        }
    }
}

#[test]
fn a_doubled_field_is_refused() {
    let (id, error) = refused(r#"{"id":7,"op":"destroy","group":"g","group":"h"}"#);
    assert_eq!(id.as_deref(), Some("7"));
    assert!(error.message.contains("duplicate field `group`"), "{error}");
}

#[test]
fn an_unknown_app_and_a_large_payload_have_their_own_codes() {
    let (id, error) = refused(r#"{"id":"a","op":"destroy","group":"g","app":"poker"}"#);
    assert_eq!((id.as_deref(), error.code), (Some(r#""a""#), ErrorCode::NotFound));
    for payload in [json!({"text": "x".repeat(65)}), json!({"data": "AAAA".repeat(22)})] {
        let mut command = json!({"id":7,"op":"push","to":{"all":true}});
        command.as_object_mut().unwrap().extend(payload.as_object().unwrap().clone());
        let (id, error) = refused(&command.to_string());
        assert_eq!((id.as_deref(), error.code), (Some("7"), ErrorCode::PayloadTooLarge));
    }
}

/// What the row of an op lists is what its command takes.
#[test]
fn each_op_takes_the_fields_that_it_lists_and_no_other() {
    const ALL: [(&str, &str); 38] = [
        ("to", r#""h""#),
        ("text", r#""t""#),
        ("data", r#""aGk=""#),
        ("ttl_ms", "1"),
        ("key", r#""k""#),
        ("class", r#""urgent""#),
        ("except", r#""00a0000000000001""#),
        ("receipt", r#""none""#),
        ("group", r#""g""#),
        ("session", r#""00a0000000000001""#),
        ("user", r#""u""#),
        ("code", "4001"),
        ("reason", r#""r""#),
        ("tag", r#""t""#),
        ("events", r#"["open"]"#),
        ("share", r#""s""#),
        ("with", r#"["groups"]"#),
        ("name", r#""m7""#),
        ("link", r#""m7""#),
        ("snapshot", "true"),
        ("numbers", "true"),
        ("limit", "1"),
        ("after", r#""00a0000000000001""#),
        ("last", "1"),
        ("sticky", "true"),
        ("epoch", r#""00a0000000000001""#),
        ("token", r#""a.b.c""#),
        ("members", "true"),
        ("behind", "true"),
        ("groups", r#"["g"]"#),
        ("tags", r#"["t"]"#),
        ("prefix", r#""p""#),
        ("json", "{}"),
        ("names", "true"),
        ("address", r#""10.0.0.0/8""#),
        ("expires_unix_ms", "1"),
        ("for_ms", "1"),
        ("nonsense", "[]"),
    ];
    for listed in &OPS {
        let op = listed.row.name;
        let names: Vec<&str> = listed.fields.iter().map(|field| field.name).collect();
        for (field, value) in ALL {
            let outcome =
                parse(&format!(r#"{{"op":"{op}","{field}":{value}}}"#), &apps(), &CommandLimits::small());
            let unknown = outcome.is_err_and(|error| error.error.message.contains("has no field"));
            assert_eq!(unknown, !names.contains(&field), "{field} of {op}");
        }
        for field in names {
            assert!(ALL.iter().any(|(name, _)| *name == field), "{field} of {op} is not in the table");
        }
    }
}

/// Cut anywhere, or with a byte changed: what is no JSON is refused without an id, and nothing panics.
#[test]
fn damaged_commands_are_refused_as_json_says() {
    let text = format!(
        r#"{{"id":"a\u00e9","op":"push","to":{{"user":["ada","b\"ob"],"session":"{ID}","all":false}},"text":"h\nö","ttl_ms":5}}"#
    );
    assert!(parse(&text, &apps(), &CommandLimits::small()).is_ok());
    for (end, _) in text.char_indices() {
        assert_eq!(refused(&text[..end]).0, None, "{}", &text[..end]);
    }
    for index in 0..text.len() {
        for byte in b"\"\\{}[],:0a -\n" {
            let mut damaged = text.clone().into_bytes();
            damaged[index] = *byte;
            let Ok(damaged) = String::from_utf8(damaged) else { continue };
            let parsed = parse(&damaged, &apps(), &CommandLimits::small());
            if serde_json::from_str::<Value>(&damaged).is_err() {
                assert!(parsed.expect_err(&damaged).id.is_none(), "{damaged}");
            }
        }
    }
}

/// The commands that the reference shows are commands.
#[test]
fn the_reference_is_right() {
    let reference = include_str!("../../../../docs/link.md");
    let commands: Vec<&str> = reference.lines().filter(|line| line.starts_with(r#"{"id":7,"op":"#)).collect();
    for op in OPS.iter().map(|op| op.row.name) {
        assert!(commands.iter().any(|command| command.contains(&format!(r#""op":"{op}""#))), "{op}");
    }
    for command in commands {
        accepted(command);
    }
}
