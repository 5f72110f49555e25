//! Commands as JSON beside `serde_json::Value`: what is taken is JSON, what is refused says why, and the reply to either
//! is one line of JSON with the id as it came.
//!
//! One difference is meant: what is not needed is not decoded, but held against the grammar alone. A number beyond 64 bits
//! of floating point, or half of a surrogate pair, is no `Value`, yet it may be an id, or the value of an unknown field
//! beside one.

use super::apps;
use crate::dispatch::CommandLimits;
use crate::dispatch::{Command, CommandError, ErrorCode, Outcome};
use crate::gateway::api::json::{self, LinkCommand, LinkError, RequestId};
use crate::gateway::api::render;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Most commands of a message.
const MOST: usize = 4;

/// A text frame of the link.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    command(text);
    if json::is_list(text) {
        several(text);
    }
}

/// What stands in an array, each command as it would stand alone.
fn several(text: &str) {
    let value = serde_json::from_str::<Value>(text).ok();
    let values = value.as_ref().and_then(Value::as_array);
    match json::list(text, MOST) {
        Ok(commands) => {
            assert!((1..=MOST).contains(&commands.len()));
            assert!(values.is_none_or(|values| values.len() == commands.len()));
            for (index, one) in commands.into_iter().enumerate() {
                let one = str::from_utf8(one).expect("it is a part of a text");
                let alone = serde_json::from_str::<Value>(one).ok();
                assert!(values.is_none_or(|values| alone.as_ref() == Some(&values[index])));
                command(one);
            }
        }
        Err(error) => {
            assert!(!error.message.is_empty());
            assert!(values.is_none_or(|values| !(1..=MOST).contains(&values.len())));
        }
    }
}

fn command(text: &str) {
    let value = serde_json::from_str::<Value>(text);
    let value = value.ok().filter(Value::is_object);
    match json::parse(text, &apps(), &CommandLimits::small()) {
        Ok(command) => accepted(text, value.as_ref(), &command),
        Err(refused) => self::refused(text, value.as_ref(), &refused),
    }
}

fn accepted(text: &str, value: Option<&Value>, LinkCommand { id, app, command, .. }: &LinkCommand) {
    match value {
        Some(value) => {
            check_id(id.as_ref(), value);
            assert_eq!(app.is_some(), value["app"].is_string());
            if let Command::Push { target, frame, .. } = command {
                let payload = match (&value["text"], &value["data"]) {
                    (Value::String(text), _) => text.clone().into_bytes(),
                    (_, Value::String(data)) => STANDARD.decode(data).expect("it was taken"),
                    _ if !value["json"].is_null() => raw_json(text),
                    _ => panic!("a push without a payload: {text}"),
                };
                assert!(frame.as_bytes().ends_with(&payload) && frame.wire_len() <= payload.len() + 10);
                assert!(payload.len() <= CommandLimits::small().max_push_bytes);
                let named: usize = target.selectors().iter().map(|selector| selector.parts().len()).sum();
                assert!((1..=CommandLimits::small().max_selectors).contains(&named.max(1)));
            }
        }
        None => assert!(id.as_ref().is_some_and(is_undecodable), "it is not JSON: {text}"),
    }
    let (mut reply, mut refusal) = (String::new(), String::new());
    render::reply(&mut reply, id.as_ref(), None, &Outcome::Accepted);
    check_reply(&reply, id.as_ref(), "ok");
    let error = CommandError::new(ErrorCode::Overloaded, text);
    render::reply(&mut refusal, id.as_ref(), None, &Outcome::Refused(error));
    check_reply(&refusal, id.as_ref(), "error");
}

/// The value of `json` as it stands in `text`.
fn raw_json(text: &str) -> Vec<u8> {
    let fields: BTreeMap<String, &RawValue> = serde_json::from_str(text).expect("it was taken");
    fields["json"].get().as_bytes().to_vec()
}

fn refused(text: &str, value: Option<&Value>, LinkError { id, error }: &LinkError) {
    match (value, id) {
        (Some(value), Some(_)) => check_id(id.as_ref(), value),
        (Some(value), None) => {
            let could_be_one = value["id"].is_number() || value["id"].is_string();
            assert!(!could_be_one || text.len() > RequestId::MAX_BYTES, "its id was lost: {text}");
        }
        (None, Some(_)) => {
            let grammatical = serde_json::from_str::<IgnoredAny>(text);
            assert!(grammatical.is_ok(), "it is not JSON, and has an id: {text}");
        }
        (None, None) => {}
    }
    assert!(!error.message.is_empty());
    let mut reply = String::new();
    render::reply_error(&mut reply, id.as_ref(), error);
    check_reply(&reply, id.as_ref(), "error");
}

fn check_id(id: Option<&RequestId>, value: &Value) {
    let id = id.map_or(Ok(Value::Null), |id| serde_json::from_str(&id.to_string()));
    assert_eq!(id.ok().as_ref(), Some(value.get("id").unwrap_or(&Value::Null)));
}

fn is_undecodable(id: &RequestId) -> bool {
    serde_json::from_str::<Value>(&id.to_string()).is_err()
}

fn check_reply(reply: &str, id: Option<&RequestId>, outcome: &str) {
    assert!(!reply.contains('\n'), "a batch answers in lines: {reply}");
    let fields: BTreeMap<&str, &RawValue> = serde_json::from_str(reply).expect("a reply is JSON");
    assert_eq!(fields.get("id").map(|raw| raw.get()), id.map(RequestId::to_string).as_deref());
    assert!(fields.contains_key(outcome) && fields.len() == 1 + usize::from(id.is_some()));
}
