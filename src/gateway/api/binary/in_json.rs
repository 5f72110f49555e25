//! A command in the binary layout beside the same command as JSON, for the fuzz target and the tests.

use crate::dispatch::{
    Apps, Class, Command as Built, CommandLimits, LinkForm, Listen, PushOptions, ReceiptMode, Scope,
    Selector as Chosen,
};
use crate::gateway::api::json::{self, LinkCommand, LinkError};
use crate::link_bin::{Command, Payload, Push, Request, Selector};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// The outcome of a command beside that of its equivalent in JSON.
pub(crate) fn same(
    parsed: Result<LinkCommand<u32>, LinkError<u32>>,
    equivalent: &Value,
    apps: &Apps,
    limits: &CommandLimits,
) {
    let text = equivalent.to_string();
    match (parsed, json::parse(&text, apps, limits)) {
        (Ok(binary), Ok(json)) => {
            let id = json.id.map_or("0".to_owned(), |id| id.to_string());
            assert_eq!(binary.id.to_string(), id, "{text}");
            assert_eq!(binary.app, json.app, "{text}");
            assert_eq!(comparable(&binary.command), comparable(&json.command), "{text}");
        }
        (Err(binary), Err(json)) => assert_eq!(binary.error.code, json.error.code, "{text}"),
        (binary, json) => panic!("{text}: {binary:?} in bytes, {json:?} in JSON"),
    }
}

/// All of a command that the form of its link has no part in. In JSON selectors stand by their kind.
fn comparable(command: &Built) -> (String, Vec<String>, Vec<u8>) {
    match command {
        Built::Push { target, frame, options } => {
            let sorted = |selectors: &[Chosen]| {
                let mut selectors: Vec<_> = selectors.iter().map(|one| format!("{one:?}")).collect();
                selectors.sort();
                selectors
            };
            let without = sorted(&options.without);
            let options = PushOptions { without: Vec::new(), ..options.clone() };
            (format!("{options:?} {without:?}"), sorted(target.selectors()), frame.as_bytes().to_vec())
        }
        Built::Listen(listen) => {
            (format!("{:?}", Listen { form: LinkForm::Json, ..listen.clone() }), Vec::new(), Vec::new())
        }
        Built::Act(action, scope) => (format!("{action:?} {scope:?}"), Vec::new(), Vec::new()),
    }
}

/// The command of the JSON link that asks the same.
pub(crate) fn equivalent(request: &Request<'_>) -> Value {
    let mut fields = match &request.command {
        Command::Push(push) => push_fields(push),
        command => {
            let (verb, parts) = command.parts();
            parts.to_json(verb.op())
        }
    };
    if request.id != 0 {
        fields["id"] = request.id.into();
    }
    if request.scope == Scope::Node {
        fields["scope"] = "node".into();
    }
    if let Some(app) = request.app {
        fields["app"] = app.into();
    }
    fields
}

fn named(selectors: &[Selector<'_>]) -> Map<String, Value> {
    let mut to = Map::new();
    let mut name = |kind: &str, name: Value| match to.entry(kind).or_insert_with(|| json!([])) {
        Value::Array(names) => names.push(name),
        other => *other = name,
    };
    for selector in selectors {
        match selector {
            Selector::Session(session) => name("session", session.to_string().into()),
            Selector::User(user) => name("user", (*user).into()),
            Selector::Group(group) => name("group", (*group).into()),
            Selector::Tag(tag) => name("tag", (*tag).into()),
            Selector::AllOf(parts) => name("all_of", named(parts).into()),
            Selector::All => {}
        }
    }
    if selectors.contains(&Selector::All) {
        to.insert("all".to_owned(), true.into());
    }
    to
}

fn push_fields(push: &Push<'_>) -> Value {
    let to = named(&push.target);
    let except: Value = match push.without.is_empty() {
        true => push.except.map(|session| session.to_string()).into(),
        false => named(&push.without).into(),
    };
    let class = match push.class {
        Class::Normal => "normal",
        Class::Urgent => "urgent",
        Class::Droppable => "droppable",
    };
    let receipt = match push.receipt {
        ReceiptMode::None => "none",
        ReceiptMode::Queued => "queued",
        ReceiptMode::Written => "written",
    };
    let mut fields = json!({
        "op": "push", "to": to, "ttl_ms": push.ttl_ms, "key": push.key, "class": class,
        "except": except, "receipt": receipt, "names": push.names,
    });
    match push.payload {
        Payload::Text(text) => fields["text"] = text.into(),
        Payload::Binary(bytes) => fields["data"] = STANDARD.encode(bytes).into(),
    }
    fields
}
