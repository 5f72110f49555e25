//! The commands of a backend in the forms that are not [`link_bin`](crate::link_bin)'s own: HTTP requests, and the JSON of
//! links and batches.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::cli::backend::Target;
use crate::dispatch::{Class, ReceiptMode};
use crate::link_bin::{Command, Payload, Push, Selector};
use crate::ops::Segment;

/// A command as a line of a batch or a message of the JSON link; `id` 0 is none, as in the binary link.
pub fn json(id: u32, command: &Command<'_>) -> String {
    let mut fields = match command {
        Command::Push(push) => push_fields(push),
        other => {
            let (verb, parts) = other.parts();
            parts.to_json(verb.op())
        }
    };
    if id > 0 {
        fields["id"] = id.into();
    }
    fields.to_string()
}

fn push_fields(push: &Push<'_>) -> Value {
    let mut to = Map::new();
    for selector in push.target.iter() {
        let (name, value) = selector_pair(selector);
        match (to.get_mut(name).and_then(Value::as_array_mut), selector) {
            (_, Selector::All) => drop(to.insert(name.to_owned(), true.into())),
            (Some(values), _) => values.push(value.into()),
            (None, _) => drop(to.insert(name.to_owned(), json!([value]))),
        }
    }
    let mut fields =
        json!({ "op": "push", "to": to, "class": class(push.class), "receipt": receipt(push.receipt) });
    match push.payload {
        Payload::Text(text) => fields["text"] = text.into(),
        Payload::Binary(bytes) => fields["data"] = STANDARD.encode(bytes).into(),
    }
    push.ttl_ms.iter().for_each(|ttl_ms| fields["ttl_ms"] = (*ttl_ms).into());
    push.key.iter().for_each(|key| fields["key"] = (*key).into());
    push.except.iter().for_each(|except| fields["except"] = except.to_string().into());
    fields
}

fn selector_pair(selector: &Selector<'_>) -> (&'static str, String) {
    match selector {
        Selector::Session(session) => ("session", session.to_string()),
        Selector::User(user) => ("user", (*user).to_owned()),
        Selector::Group(group) => ("group", (*group).to_owned()),
        Selector::Tag(tag) => ("tag", (*tag).to_owned()),
        Selector::All => ("all", "1".to_owned()),
        // None of the load's pushes has one: one of several parts would be several parameters.
        Selector::AllOf(parts) => ("all_of", format!("{parts:?}")),
    }
}

fn class(class: Class) -> &'static str {
    match class {
        Class::Normal => "normal",
        Class::Urgent => "urgent",
        Class::Droppable => "droppable",
    }
}

fn receipt(mode: ReceiptMode) -> &'static str {
    match mode {
        ReceiptMode::None => "none",
        ReceiptMode::Queued => "queued",
        ReceiptMode::Written => "written",
    }
}

/// Appends a command as a request of the HTTP API; `false` for one that only a link can ask.
pub fn http(command: &Command<'_>, host: &str, key: Option<&str>, out: &mut Vec<u8>) -> bool {
    // The load has no tokens to renew.
    if matches!(command, Command::Renew { .. }) {
        return false;
    }
    let Some((method, target)) = route(command) else { return false };
    let body = match command {
        Command::Push(Push { payload: Payload::Binary(bytes), .. }) => {
            Some(("application/octet-stream", *bytes))
        }
        Command::Push(Push { payload: Payload::Text(text), .. }) => Some(("text/plain", text.as_bytes())),
        _ => None,
    };
    request(method, target.as_str(), body, host, key, out);
    true
}

/// Appends a request.
pub fn request(
    method: &str,
    target: &str,
    body: Option<(&str, &[u8])>,
    host: &str,
    key: Option<&str>,
    out: &mut Vec<u8>,
) {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n");
    if let Some(key) = key {
        head.push_str(&format!("Authorization: Bearer {key}\r\n"));
    }
    if let Some((content_type, bytes)) = body {
        head.push_str(&format!("Content-Type: {content_type}\r\nContent-Length: {}\r\n", bytes.len()));
    }
    head.push_str("\r\n");
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(body.map_or(&[], |(_, bytes)| bytes));
}

/// The request that its row has for it: the first of which the command has all that stands in the path.
fn route(command: &Command<'_>) -> Option<(&'static str, Target)> {
    if let Command::Push(push) = command {
        return Some(("POST", push_target(push)));
    }
    let (verb, parts) = command.parts();
    let fields = parts.to_json(verb.op());
    let routes = &verb.op().row.routes;
    let route =
        routes.iter().find(|route| route.fields_of_path().all(|field| fields.get(field.name).is_some()))?;
    let text = |name: &str| match &fields[name] {
        Value::String(text) => text.clone(),
        // What is nobody in JSON is empty in a query.
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let path = route.path.iter().fold(Target::new(""), |target, segment| match segment {
        Segment::Is(name) => target.segment(name),
        Segment::Of(field) => target.segment(&text(field.name)),
    });
    let given = route.query.iter().filter(|field| fields.get(field.name).is_some());
    Some((route.method.as_str(), with_pairs(path, given.map(|field| (field.name, text(field.name))))))
}

fn push_target(push: &Push<'_>) -> Target {
    let options = [
        ("ttl_ms", push.ttl_ms.map(|ttl_ms| ttl_ms.to_string())),
        ("key", push.key.map(str::to_owned)),
        ("except", push.except.map(|except| except.to_string())),
        ("class", Some(class(push.class).to_owned())),
        ("receipt", Some(receipt(push.receipt).to_owned())),
    ];
    let options = options.into_iter().filter_map(|(name, value)| Some((name, value?)));
    with_pairs(Target::new("/v1/push"), push.target.iter().map(selector_pair).chain(options))
}

fn with_pairs(mut target: Target, pairs: impl IntoIterator<Item = (&'static str, String)>) -> Target {
    pairs.into_iter().for_each(|(name, value)| target.pairs(name, [value]));
    target
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::{EventKind, EventSet, With};
    use crate::link_bin::Who;
    use crate::session::SessionId;

    const SESSION: SessionId = SessionId::from_u64(0x00a0_0000_0000_0001);

    fn commands() -> Vec<(Command<'static>, &'static str, &'static str)> {
        let target = [Selector::User("a b"), Selector::Group("g"), Selector::User("c")].into_iter().collect();
        let push = Push {
            ttl_ms: Some(5),
            key: Some("k"),
            class: Class::Urgent,
            except: Some(SESSION),
            receipt: ReceiptMode::Written,
            ..Push::new(target, Payload::Text("hi"))
        };
        let all = Push::new([Selector::All].into_iter().collect(), Payload::Binary(&[0, 1]));
        let (session, user) = (Who::Session(SESSION), || Who::User("a"));
        vec![
            (
                Command::Push(push),
                r#"{"class":"urgent","except":"00a0000000000001","id":7,"key":"k","op":"push","receipt":"written","text":"hi","to":{"group":["g"],"user":["a b","c"]},"ttl_ms":5}"#,
                "POST /v1/push?user=a%20b&group=g&user=c&ttl_ms=5&key=k&except=00a0000000000001&class=urgent&receipt=written",
            ),
            (
                Command::Push(all),
                r#"{"class":"normal","data":"AAE=","id":7,"op":"push","receipt":"queued","to":{"all":true}}"#,
                "POST /v1/push?all=1&class=normal&receipt=queued",
            ),
            (
                Command::Join { who: session, group: "g" },
                r#"{"group":"g","id":7,"op":"join","session":"00a0000000000001"}"#,
                "POST /v1/groups/g/members?session=00a0000000000001",
            ),
            (
                Command::Leave { who: user(), group: "g/h" },
                r#"{"group":"g/h","id":7,"op":"leave","user":"a"}"#,
                "DELETE /v1/groups/g%2Fh/members?user=a",
            ),
            (
                Command::Destroy { group: "g" },
                r#"{"group":"g","id":7,"op":"destroy"}"#,
                "DELETE /v1/groups/g",
            ),
            (
                Command::Move { from: "g", to: "h" },
                r#"{"group":"g","id":7,"op":"move","to":"h"}"#,
                "POST /v1/groups/g/move?to=h",
            ),
            (
                Command::Kick { who: user(), code: Some(4100), reason: "r" },
                r#"{"code":4100,"id":7,"op":"kick","reason":"r","user":"a"}"#,
                "DELETE /v1/users/a?code=4100&reason=r",
            ),
            (
                Command::Bind { session: SESSION, user: None },
                r#"{"id":7,"op":"bind","session":"00a0000000000001","user":null}"#,
                "PUT /v1/sessions/00a0000000000001/user?user=",
            ),
            (
                Command::Untag { session: SESSION, tag: "t" },
                r#"{"id":7,"op":"untag","session":"00a0000000000001","tag":"t"}"#,
                "DELETE /v1/sessions/00a0000000000001/tags?tag=t",
            ),
        ]
    }

    #[test]
    fn commands_in_json_and_as_requests() {
        for (command, line, route) in commands() {
            assert_eq!(json(7, &command), line);
            let mut out = Vec::new();
            assert!(http(&command, "h:1", None, &mut out));
            let request = String::from_utf8(out).unwrap();
            assert_eq!(request.split(" HTTP/1.1").next(), Some(route));
        }
    }

    #[test]
    fn a_request_byte_by_byte() {
        let mut out = Vec::new();
        let push = Push::new([Selector::All].into_iter().collect(), Payload::Text("hi"));
        assert!(http(&Command::Push(push), "h:1", Some("k1"), &mut out));
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "POST /v1/push?all=1&class=normal&receipt=queued HTTP/1.1\r\nHost: h:1\r\nAuthorization: Bearer k1\r\n\
             Content-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi"
        );
    }

    #[test]
    fn only_a_link_can_listen() {
        let listen = Command::Listen {
            events: EventSet::of(&[EventKind::Open, EventKind::Close]),
            share: Some("s"),
            with: With::NONE,
            name: None,
            snapshot: false,
            numbers: false,
            everywhere: false,
        };
        assert_eq!(json(0, &listen), r#"{"events":["open","close"],"op":"listen","share":"s"}"#);
        assert!(!http(&listen, "h", None, &mut Vec::new()));
    }
}
