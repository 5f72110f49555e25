//! The two forms of the link beside each other: what one does the other does, and what breaks one form's rules.

use crate::support::{End, Link, Player, TestServer};
use gannet::config::AppConfig;
use serde_json::{Value, json};
use tungstenite::Message;

/// The phase itself is a reading of two clocks: that it is one for all ticks is compared.
#[test]
fn to_listen_is_answered_with_the_ticks_of_the_app() {
    let server = TestServer::start(|config| {
        let app = config.apps.get_mut("default").unwrap();
        app.tick_ms = 200;
        let groups = [("match/", 50), ("duel/", 50), ("chat/", 0)];
        app.group_tick_ms = groups.map(|(prefix, ms)| (prefix.to_owned(), ms)).into();
        config.apps.insert("plain".to_owned(), AppConfig::default());
    });
    let links = || [Link::connect(server.backend), Link::connect_binary(server.backend)];
    for (mut link, mut plain) in links().into_iter().zip(links()) {
        let ok = link.command(json!({"op": "listen", "app": "default", "events": ["open"]}));
        let ticks = ok["ticks"].as_array().expect("it has ticks");
        let of = |field: &str| ticks.iter().map(|tick| tick[field].as_u64().unwrap()).collect::<Vec<_>>();
        let (lengths, phases) = (of("tick_ms"), of("phase_ms"));
        assert_eq!(lengths, [50, 200]);
        assert!(phases[1] < 200 && phases[0] == phases[1] % 50, "{phases:?}");
        assert_eq!(plain.command(json!({"op": "listen", "app": "plain", "events": ["open"]})), json!({}));
    }
}

const NOBODY: &str = "fff0000000000001";

/// What each command of a scenario came to: what it answered, or the code of its error.
struct Script<'a> {
    link: &'a mut Link,
    log: Vec<Value>,
}

impl Script<'_> {
    fn run(&mut self, command: Value) {
        let outcome = match self.link.try_command(command.clone()) {
            Ok(ok) => json!({ "ok": ok }),
            Err(error) => {
                assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{command}");
                json!({ "error": error["code"] })
            }
        };
        self.log.push(json!([command, outcome]));
    }

    /// Every command, with sessions that are there and sessions that are not.
    fn everything(&mut self, ada: &str, bob: &str) {
        self.run(json!({"op": "listen", "events": ["message", "close"], "share": "game"}));
        for who in [json!({ "session": ada }), json!({"user": "bob"}), json!({ "session": NOBODY })] {
            for op in ["join", "leave", "join"] {
                let mut command = json!({"op": op, "group": "größer"});
                command.as_object_mut().unwrap().extend(who.as_object().unwrap().clone());
                self.run(command);
            }
        }
        for tag in ["ios", "ios", "eu"] {
            self.run(json!({"op": "tag", "session": ada, "tag": tag}));
        }
        self.run(json!({"op": "untag", "session": ada, "tag": "eu"}));
        self.run(json!({"op": "untag", "session": NOBODY, "tag": "eu"}));
        for (to, options) in [
            (json!({ "session": ada }), json!({})),
            (json!({ "session": NOBODY }), json!({})),
            (json!({"user": ["ada", "bob", "eve"]}), json!({"receipt": "written"})),
            (json!({"group": "größer"}), json!({"key": "score", "class": "urgent", "ttl_ms": 5000})),
            (json!({"tag": "ios"}), json!({"class": "droppable", "receipt": "none"})),
            (json!({"all": true}), json!({ "except": bob })),
            (json!({"session": [ada, bob], "user": "ada", "group": "größer", "tag": "ios"}), json!({})),
            (json!({"user": "x".repeat(129)}), json!({})),
            (json!({}), json!({})),
            (json!({"all": true}), json!({"ttl_ms": 4_000_000_000_u32})),
        ] {
            let mut command = json!({"op": "push", "to": to, "text": "hällo"});
            command.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
            self.run(command);
        }
        self.run(json!({"op": "push", "to": {"session": ada}, "data": "AAEC/w=="}));
        self.run(json!({"op": "push", "to": {"all": true}, "text": "x".repeat(2_000)}));
        self.run(json!({"op": "move", "group": "größer", "to": "h"}));
        self.run(json!({"op": "destroy", "group": "h"}));
        self.run(json!({"op": "destroy", "group": "h", "app": "poker"}));
        self.run(json!({"op": "destroy", "group": "h", "app": "other"}));
        self.run(json!({"op": "bind", "session": ada, "user": "eve"}));
        self.run(json!({"op": "bind", "session": bob, "user": null}));
        self.run(json!({"op": "session", "session": NOBODY}));
        // Players are taken at their word here.
        self.run(json!({"op": "renew", "session": ada, "token": "a.b.c"}));
        self.run(json!({"op": "renew", "session": NOBODY, "token": "a.b.c"}));
        self.run(json!({"op": "session", "session": ada}));
        self.run(json!({"op": "kick", "session": bob, "code": 1006}));
        self.run(json!({"op": "kick", "session": bob, "code": 4321, "reason": "cheating"}));
        self.run(json!({"op": "kick", "user": "eve"}));
        self.run(json!({"op": "kick", "user": "eve"}));
    }
}

fn everything_that_comes(mut player: Player) -> (Vec<Message>, End) {
    let mut messages = Vec::new();
    loop {
        match player.next() {
            Ok(message) => messages.push(message),
            Err(end) => return (messages, end),
        }
    }
}

/// What differs from run to run: ids, ports, times and counts of bytes.
fn steady(mut value: Value, ids: &[(String, &str)]) -> Value {
    if let Some(object) = value.pointer_mut("/1/ok").and_then(Value::as_object_mut)
        && object.contains_key("bytes_out")
    {
        for field in ["remote", "since_unix_ms", "bytes_in", "bytes_out", "round_trip_us", "queued_bytes"] {
            assert!(object.insert(field.to_owned(), Value::Null).is_some(), "{field}");
        }
        object.insert("queued_messages".to_owned(), Value::Null);
    }
    let mut text = value.to_string();
    for (id, name) in ids {
        text = text.replace(id, name);
    }
    serde_json::from_str(&text).unwrap()
}

#[test]
fn every_command_comes_to_the_same_over_both_forms() {
    let run = |connect: fn(&TestServer) -> Link| {
        let server = TestServer::start(|config| {
            config.apps.insert("other".to_owned(), Default::default());
            config.limits.max_push_bytes = 1_000;
        });
        let (ada, bob) = (server.player("user=ada"), server.player("user=bob"));
        let ids = [(ada.id.to_string(), "<ada>"), (bob.id.to_string(), "<bob>")];
        let mut link = connect(&server);
        let mut script = Script { link: &mut link, log: Vec::new() };
        script.everything(&ids[0].0, &ids[1].0);
        let mut log: Vec<Value> = script.log.into_iter().map(|entry| steady(entry, &ids)).collect();
        let mut closes: Vec<Value> = (0..2).map(|_| steady(link.event(), &ids)).collect();
        closes.sort_by_key(Value::to_string);
        log.extend(closes);
        (log, everything_that_comes(ada), everything_that_comes(bob))
    };
    let json = run(|server| server.link());
    let binary = run(|server| server.binary_link());
    for (json, binary) in json.0.iter().zip(&binary.0) {
        assert_eq!(json, binary);
    }
    assert_eq!(json, binary);
    assert_eq!(json.1.1, End::Closed(4001, String::new()));
    assert_eq!(json.2.1, End::Closed(4321, "cheating".to_owned()));
}

#[test]
fn a_command_without_an_id_is_done_and_not_answered() {
    let server = TestServer::start(|_| ());
    let mut player = server.player("user=ada");
    for mut link in [server.link(), server.binary_link()] {
        link.tell(&json!({"op": "push", "to": {"user": "ada"}, "text": "hi"}));
        link.tell(&json!({"op": "join", "user": "ada", "group": "g"}));
        // The next reply is that of the next command that has an id.
        assert_eq!(link.command(json!({"op": "join", "user": "ada", "group": "g"})), json!({"sessions": 0}));
        assert_eq!(player.recv_text(), "hi");
        link.command(json!({"op": "destroy", "group": "g"}));
    }
}

#[test]
fn what_is_no_command_is_refused_and_the_link_goes_on() {
    let server = TestServer::start(|_| ());
    let mut link = server.binary_link();
    for (bytes, id, says) in [
        (&[][..], 0, "offset 0: expected a header, 8 bytes"),
        (&[1, 0, 0], 0, "offset 0: expected a header, 8 bytes"),
        (&[0x70, 0, 0, 0, 5, 0, 0, 0, 0], 5, "offset 0: expected an opcode, one of"),
        (&[10, 0, 0, 0, 5, 0, 0, 0, 0, 1, 2, 3], 5, "offset 9: expected session, 8 bytes"),
        (&[4, 0, 0, 0, 5, 0, 0, 0, 0, 1, b'g', 9], 5, "offset 11: expected the end"),
    ] {
        link.send_raw(Message::binary(bytes.to_vec()));
        let (replied, error) = link.receive();
        let error = error.unwrap_err();
        assert_eq!((replied, &error["code"]), (id, &json!("bad_request")), "{bytes:?}");
        assert!(error["message"].as_str().unwrap().starts_with(says), "{error}");
    }
    assert_eq!(link.command(json!({"op": "destroy", "group": "g"})), json!({"sessions": 0}));
}

#[test]
fn a_message_of_the_other_form_ends_a_link_with_1003() {
    let server = TestServer::start(|_| ());
    let text = Message::text(r#"{"id":1,"op":"destroy","group":"g"}"#);
    let bytes = Message::binary(vec![4, 0, 0, 0, 1, 0, 0, 0, 0, 1, b'g']);
    for (mut link, message) in [(server.binary_link(), text), (server.link(), bytes)] {
        link.send_raw(message);
        assert!(matches!(link.next_event(), Err(End::Closed(1003, _))));
    }
}

#[test]
fn hundreds_of_commands_in_one_write_are_answered_in_order() {
    let server = TestServer::start(|_| ());
    let mut player = server.player("user=ada");
    let mut link = server.binary_link();
    let ids: Vec<u64> = (0..1_000)
        .map(|number| match number % 4 {
            0 => link.send(json!({"op": "join", "user": "ada", "group": format!("g{}", number % 8)})),
            _ => link.send(json!({"op": "push", "to": {"user": "ada"}, "text": number.to_string()})),
        })
        .collect();
    for id in ids {
        let (replied, outcome) = link.receive();
        assert_eq!(replied, id);
        assert!(outcome.is_ok());
    }
    for number in (0..1_000).filter(|number| number % 4 > 0) {
        assert_eq!(player.recv_text(), number.to_string());
    }
}
