//! What is answered of records.

use super::{component, object, object_with, text};
use crate::dispatch::Happened;
use serde_json::{Value, json};

/// Who is recorded from now on.
pub fn recording() -> Value {
    let who = json!({"session": component("SessionId"), "user": component("Name")});
    object_with(json!({"frames": count()}), who)
}

/// A record.
pub fn record() -> Value {
    let event = object_with(
        json!({"at_us": count(), "bytes": count(), "what": {"enum": Happened::ALL.map(Happened::as_str)}}),
        json!({
            "opcode": {"enum": ["continuation", "text", "binary", "close", "ping", "pong"]},
            "fin": {"const": false}, "compressed": {"const": true},
            "head": {"type": "string", "pattern": "^([0-9a-f]{2}){1,32}$"},
            "class": {"enum": ["normal", "urgent", "droppable"]},
        }),
    );
    object_with(
        json!({
            "session": component("SessionId"), "began_unix_ms": count(), "live": {"type": "boolean"}, "lost": count(),
            "events": {"type": "array", "items": event},
        }),
        json!({"end": object(json!({"at_us": count(), "code": count(), "reason": text()}))}),
    )
}

fn count() -> Value {
    json!({"type": "integer", "minimum": 0})
}
