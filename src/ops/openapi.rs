//! The OpenAPI 3.1 document of the backend port, made of the rows.

use super::field::{Field, Kind, Need};
use super::schema::{component, components, field as schema_of, object};
use super::{Call, Needs, OPS, Op, Route, Row, Segment, field, rows};
use crate::dispatch::{ERRORS, ErrorCode, ErrorRow};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// The document, as it is served and as it stands in docs/openapi.json.
pub fn document() -> &'static str {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
        // Nothing in it is a map with keys that are no text.
        let mut text = serde_json::to_string_pretty(&value()).unwrap_or_default();
        text.push('\n');
        text
    });
    &DOCUMENT
}

fn value() -> Value {
    let codes: Vec<&str> = ERRORS.iter().map(|row| row.name).collect();
    let mut schemas = components(&codes);
    for op in &OPS {
        schemas[command_name(op)] = command(op);
    }
    let in_batches = OPS.iter().filter(|op| op.is_in_batches).map(|op| component(&command_name(op)));
    schemas["Command"] = json!({"oneOf": in_batches.collect::<Vec<_>>()});
    schemas["Reply"] = reply();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "gannet, the backend port",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "MIT", "identifier": "MIT"},
            "description": "What game servers and operators ask. docs/http-api.md is the reference. The port has paths, \
                methods and parameters that are here, and no others.",
        },
        "servers": [{"url": "http://127.0.0.1:9001", "description": "Where it is without any configuration."}],
        "security": [{"key": []}, {}],
        "paths": paths(),
        "components": {
            "schemas": schemas,
            "responses": refusals(),
            "securitySchemes": {
                "key": {
                    "type": "http", "scheme": "bearer",
                    "description": "A key of this port. Without `[backend] key` and `keys` none is asked for.",
                },
            },
        },
    })
}

fn paths() -> Value {
    let mut paths = Map::new();
    for row in rows() {
        for (index, route) in row.routes.iter().enumerate() {
            let path = paths.entry(route.template()).or_insert_with(|| json!({}));
            path[route.method.as_str().to_ascii_lowercase()] = operation(row, route, index);
        }
    }
    paths.into()
}

fn operation(row: &Row, route: &Route, index: usize) -> Value {
    let in_path = route.fields_of_path().map(|field| parameter(field, "path"));
    let in_query = row.query(route).map(|field| parameter(field, "query"));
    let is_of_user = route.fields_of_path().any(|field| field.name == "user");
    // The counters of the server had this id before there were those of one app.
    let name = if row.name == "server_stats" { "stats" } else { row.name };
    let is_of_app = matches!(route.path, [_, Segment::Is("apps"), Segment::Is(_)]);
    let suffix = match (index, is_of_user) {
        (0, _) if is_of_app => "_of_app",
        (0, _) => "",
        (_, true) => "_of_user",
        (_, false) => "_of_several",
    };
    let mut operation = json!({
        "operationId": format!("{name}{suffix}"),
        "summary": row.about,
        "parameters": in_path.chain(in_query).collect::<Vec<_>>(),
        "responses": responses(row),
        "x-gannet-needs": match row.needs {
            Needs::Nothing => "nothing",
            Needs::Key => "key",
            Needs::Right(right) => right.as_str(),
        },
        "x-gannet-barrier": row.is_barrier,
    });
    if row.needs == Needs::Nothing {
        operation["security"] = json!([]);
    }
    for (need, key) in [
        (Need::ExactlyOne, "x-gannet-exactly-one-of"),
        (Need::AtLeastOne, "x-gannet-at-least-one-of"),
        (Need::AtMostOne, "x-gannet-at-most-one-of"),
    ] {
        let names: Vec<&str> =
            route.query.iter().filter(|field| field.need == need).map(|field| field.name).collect();
        if !names.is_empty() {
            operation[key] = json!(names);
        }
    }
    if let Some(body) = body(row) {
        operation["requestBody"] = body;
    }
    operation
}

fn parameter(field: &Field, place: &str) -> Value {
    let mut parameter = json!({
        "name": field.name,
        "in": place,
        "required": field.need == Need::Required,
        "description": field.about,
        "schema": schema_of(field),
        "example": match field.example.parse::<u64>() {
            Ok(number) if schema_of(field)["type"] == "integer" || field.name == "code" => json!(number),
            _ => json!(field.example),
        },
    });
    if place == "path" {
        parameter["required"] = json!(true);
    }
    if field.is_list || field.need == Need::AtLeastOne && field.name != "all" {
        // `?tag=a&tag=b`, which is what `explode` stands for.
        parameter["schema"] = json!({"type": "array", "items": schema_of(field)});
        parameter["example"] = json!([field.example]);
    }
    parameter
}

fn body(row: &Row) -> Option<Value> {
    match row.call {
        Call::Push => Some(json!({
            "description": "The message: at most `max_push_bytes`.",
            "required": false,
            "content": {
                "text/plain": {"schema": {"type": "string"}, "example": "hi"},
                "application/octet-stream": {"schema": {}},
            },
        })),
        Call::Batch => Some(json!({
            "description": "Commands, one a line: at most `max_batch_lines`.",
            "required": false,
            "content": {
                "application/x-ndjson": {
                    "schema": {"type": "string"},
                    "x-gannet-lines": component("Command"),
                    "example": "{\"id\":1,\"op\":\"push\",\"to\":{\"all\":true},\"text\":\"hi\"}\n",
                },
            },
        })),
        Call::ActOnBody(_) => {
            let fields = Op::named(row.name).map_or(&[][..], |op| op.fields);
            let in_paths =
                |name| row.routes.iter().any(|route| route.fields_of_path().any(|field| field.name == name));
            let fields: Vec<&Field> = fields.iter().filter(|field| !in_paths(field.name)).collect();
            let of = |value: fn(&Field) -> Value| -> Map<String, Value> {
                fields.iter().map(|field| (field.name.to_owned(), value(field))).collect()
            };
            let is_first = |field: &&&Field| field.need != Need::ExactlyOne || field.name == fields[0].name;
            let example =
                fields.iter().filter(is_first).map(|field| (field.name.to_owned(), field.example.into()));
            let mut schema = object(of(schema_of).into());
            let either = fields.iter().filter(|field| field.need == Need::ExactlyOne);
            let either: Vec<Value> = either.map(|field| json!({"required": [field.name]})).collect();
            if !either.is_empty() {
                let required =
                    fields.iter().filter(|field| field.need == Need::Required).map(|field| field.name);
                schema["required"] = required.collect();
                schema["oneOf"] = either.into();
            }
            Some(json!({
                "description": "The rest of the fields.",
                "required": true,
                "content": {
                    "application/json": {
                        "schema": schema,
                        "example": example.collect::<Map<String, Value>>(),
                    },
                },
            }))
        }
        Call::Act(_) | Call::Listen(_) | Call::Feed(_) | Call::Link | Call::Order(_) | Call::Page(_) => None,
    }
}

fn responses(row: &Row) -> Value {
    let mut responses = Map::new();
    for (status, about, body) in row.answer.statuses() {
        let response = match body {
            Some((media, schema)) => {
                let mut content = Map::new();
                content.insert(media.to_owned(), json!({"schema": schema}));
                json!({"description": about, "content": content})
            }
            None => json!({"description": about}),
        };
        responses.insert(status.to_string(), response);
    }
    for row in &ERRORS {
        let reference = json!({"$ref": format!("#/components/responses/{}", row.status)});
        responses.entry(row.status.to_string()).or_insert(reference);
    }
    // What HTTP itself refuses has further statuses, whatever is asked for.
    responses.insert("default".to_owned(), json!({"$ref": "#/components/responses/default"}));
    responses.into()
}

/// A response for each status of the table of errors.
fn refusals() -> Value {
    let mut refusals = Map::new();
    for row in &ERRORS {
        let status = row.status.to_string();
        let others = refusals.get(&status).and_then(|other: &Value| other["description"].as_str());
        let description = others.map_or(row.name.to_owned(), |others| format!("{others} or {}", row.name));
        refusals.insert(status, refusal(row, &description));
    }
    let http = json!({
        "description": "HTTP itself, or an upgrade, does not allow it.",
        "content": {"application/json": {"schema": component("Error")}},
    });
    refusals.insert("default".to_owned(), http);
    refusals.into()
}

fn refusal(row: &ErrorRow, description: &str) -> Value {
    let text = json!({"schema": {"type": "string"}});
    let mut headers = Map::new();
    if row.retry_after_s.is_some() {
        headers.insert("Retry-After".to_owned(), json!({"schema": {"type": "integer"}}));
    }
    if row.code == ErrorCode::Unauthorized {
        headers.insert("WWW-Authenticate".to_owned(), text.clone());
    }
    if row.code == ErrorCode::MethodNotAllowed {
        headers.insert("Allow".to_owned(), text);
    }
    let mut refusal = json!({
        "description": description,
        "content": {"application/json": {"schema": component("Error")}},
    });
    if !headers.is_empty() {
        refusal["headers"] = headers.into();
    }
    refusal
}

fn command_name(op: &Op) -> String {
    let (first, rest) = op.row.name.split_at(1);
    format!("{}{rest}Command", first.to_ascii_uppercase())
}

/// A command in JSON: a message of a link, or a line of a batch.
fn command(op: &Op) -> Value {
    let id = json!({"type": ["integer", "string", "number"]});
    let mut properties = json!({"id": id, "op": {"const": op.row.name}, "app": component("Name"), "scope": schema_of(&field::SCOPE)});
    for field in op.fields {
        // JSON has a type for what is a word in a query.
        properties[field.name] = match field.kind {
            Kind::Switch => json!({"type": "boolean"}),
            _ if field.is_list => {
                json!({"oneOf": [schema_of(field), {"type": "array", "items": schema_of(field)}]})
            }
            _ => schema_of(field),
        };
    }
    let required = op.fields.iter().filter(|field| field.need == Need::Required).map(|field| field.name);
    let required: Vec<&str> = std::iter::once("op").chain(required).collect();
    let mut command = json!({
        "type": "object", "description": op.row.about, "properties": properties, "required": required,
        "additionalProperties": false,
    });
    let either = op.fields.iter().filter(|field| field.need == Need::ExactlyOne);
    let either: Vec<Value> = either.map(|field| json!({"required": [field.name]})).collect();
    if !either.is_empty() {
        command["oneOf"] = either.into();
    }
    command
}

/// A line of the answer to a batch.
fn reply() -> Value {
    let id = json!({"type": ["integer", "string", "number"]});
    let mut answers: Vec<Value> = Vec::new();
    for op in &OPS {
        for answer in match op.row.answer.in_reply() {
            Value::Object(mut answer) => match answer.remove("oneOf") {
                Some(Value::Array(answers)) => answers,
                _ => vec![op.row.answer.in_reply()],
            },
            answer => vec![answer],
        } {
            if !answers.contains(&answer) {
                answers.push(answer);
            }
        }
    }
    let mut done = object(json!({"ok": {"oneOf": answers}}));
    done["properties"]["id"] = id.clone();
    let mut failed = object(json!({"error": {"$ref": "#/components/schemas/Error/properties/error"}}));
    failed["properties"]["id"] = id;
    json!({"oneOf": [done, failed]})
}
