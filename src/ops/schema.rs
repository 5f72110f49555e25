//! What operations are answered, as JSON Schema (2020-12, the dialect of OpenAPI 3.1).

mod records;

use super::bounds::LOG_LEVELS;
use super::field::{Field, Kind};
use serde_json::{Value, json};

/// The answer of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// What became of a push; an empty object where no receipt was wanted.
    Receipt,
    /// An empty object.
    Nothing,
    /// How many sessions were changed or closed.
    Sessions,
    /// How many sessions joined, and how far what they were sent goes.
    Joined,
    /// Messages that a group keeps.
    Kept,
    /// How many messages were forgotten.
    Forgotten,
    /// Whether a ban was taken back.
    Unbanned,
    /// A page of bans.
    Bans,
    /// How many sessions there are.
    Counted,
    /// A page of users.
    Users,
    /// A page of groups.
    Groups,
    /// A page of apps.
    Apps,
    /// What is counted of an app.
    AppStats,
    /// A session.
    Session,
    /// Until when a session goes on.
    Renewed,
    /// Who is recorded from now on.
    Recording,
    /// A record.
    Record,
    /// A page of the members of a group.
    Members,
    /// A page of sessions.
    SessionsPage,
    /// Who is in a group.
    Presence,
    /// A line for each command.
    Batch,
    /// Events.
    Events,
    /// Over.
    Ended,
    /// 101: the connection is a link from here on.
    Upgrade,
    /// The counters.
    Stats,
    /// The cluster.
    Cluster,
    /// The figures, as an event stream.
    StatsStream,
    /// The counters as Prometheus text.
    Prometheus,
    /// Alive.
    Alive,
    /// Ready.
    Ready,
    /// How far a drain is.
    Drain,
    /// What a reload has changed.
    Reloaded,
    /// Who has taken over, and how it went.
    Upgraded,
    /// The configuration.
    Config,
    /// How much is logged.
    LogLevel,
    /// The OpenAPI document.
    OpenApi,
    /// What operators have done.
    Audit,
    /// A page for people.
    Html,
}

/// A status, what it says, and its media type and schema, where it has a body.
type Status = (u16, &'static str, Option<(&'static str, Value)>);

impl Answer {
    /// The statuses that are no refusal.
    pub fn statuses(self) -> Vec<Status> {
        const JSON: &str = "application/json";
        let one = |about, media, schema| vec![(200, about, Some((media, schema)))];
        match self {
            Self::Receipt => vec![
                (200, "What became of it.", Some((JSON, component("Receipt")))),
                (202, "Accepted; no receipt was wanted.", Some((JSON, component("Nothing")))),
            ],
            Self::Nothing => one("Done.", JSON, component("Nothing")),
            Self::Sessions => one("How many sessions were changed or closed.", JSON, component("Sessions")),
            Self::Joined => one(
                "How many sessions joined, and how far what they were sent of the log goes.",
                JSON,
                sessions_or_joined(),
            ),
            Self::Kept => one("The messages.", JSON, component("Kept")),
            Self::Forgotten => one("How many messages were forgotten.", JSON, component("Forgotten")),
            Self::Unbanned => one("Whether there was such a ban.", JSON, component("Unbanned")),
            Self::Counted => one("How many there are.", JSON, component("Counted")),
            Self::Users => one("A page of users.", JSON, component("Users")),
            Self::Groups => one("A page of groups.", JSON, component("Groups")),
            Self::Apps => one("A page of apps.", JSON, component("Apps")),
            Self::AppStats => one("What is counted of the app.", JSON, component("AppStats")),
            Self::Bans => one("The bans.", JSON, component("Bans")),
            Self::Session => one("The session.", JSON, component("Session")),
            Self::Renewed => one("Until when it goes on.", JSON, component("Renewed")),
            Self::Recording => one("Who is recorded.", JSON, component("Recording")),
            Self::Record => one("What has been recorded.", JSON, component("Record")),
            Self::Members => one("A page of members.", JSON, component("MembersPage")),
            Self::SessionsPage => one("A page of sessions.", JSON, component("SessionsPage")),
            Self::Presence => one("Who is there.", JSON, component("Presence")),
            Self::Batch => one(
                "A reply a line, in the order of the lines.",
                "application/x-ndjson",
                json!({"type": "string"}),
            ),
            Self::Events => one("What there is.", JSON, component("Events")),
            Self::Ended => vec![(204, "It is over.", None)],
            Self::Upgrade => vec![(101, "The connection is a link from here on.", None)],
            Self::Stats => one("The counters.", JSON, component("Stats")),
            Self::Cluster => one("The cluster, as this node sees it.", JSON, component("Cluster")),
            Self::StatsStream => {
                one("Events without an end.", "text/event-stream", json!({"type": "string"}))
            }
            Self::Prometheus => one("The counters.", "text/plain", json!({"type": "string"})),
            Self::Alive => one("Alive.", JSON, object(json!({"alive": {"const": true}}))),
            Self::Ready => {
                let drains = json!({"ready": {"const": false}, "why": {"const": "draining"}});
                vec![
                    (200, "It takes sessions.", Some((JSON, object(json!({"ready": {"const": true}}))))),
                    (503, "It takes none.", Some((JSON, object(drains)))),
                ]
            }
            Self::Drain => one("How far it is.", JSON, component("Drain")),
            Self::Reloaded => {
                one("What has changed, and what a restart would change.", JSON, component("Reloaded"))
            }
            Self::Upgraded => one("Who has taken over, and how it went.", JSON, component("Upgraded")),
            Self::Config => {
                one("The configuration.", JSON, json!({"type": "object", "required": ["listen"]}))
            }
            Self::LogLevel => one("How much is logged from now on.", JSON, component("LogLevel")),
            Self::OpenApi => one("The document.", JSON, json!({"type": "object", "required": ["openapi"]})),
            Self::Audit => one("What was done.", JSON, component("Audit")),
            Self::Html => one("The page.", "text/html", json!({"type": "string"})),
        }
    }

    /// What the link has in `ok`.
    pub fn in_reply(self) -> Value {
        match self {
            Self::Receipt => json!({"oneOf": [component("Receipt"), component("Nothing")]}),
            Self::Sessions => component("Sessions"),
            Self::Joined => sessions_or_joined(),
            Self::Kept => component("Kept"),
            Self::Forgotten => component("Forgotten"),
            Self::Unbanned => component("Unbanned"),
            Self::Bans => component("Bans"),
            Self::SessionsPage => component("SessionsPage"),
            Self::Counted => component("Counted"),
            Self::Users => component("Users"),
            Self::Groups => component("Groups"),
            Self::Apps => component("Apps"),
            Self::AppStats => component("AppStats"),
            Self::Session => component("Session"),
            Self::Renewed => component("Renewed"),
            Self::Presence => component("Presence"),
            Self::Nothing
            | Self::Members
            | Self::Recording
            | Self::Record
            | Self::Batch
            | Self::Events
            | Self::Ended
            | Self::Upgrade
            | Self::Stats
            | Self::Cluster
            | Self::StatsStream
            | Self::Prometheus
            | Self::Alive
            | Self::Ready
            | Self::Drain
            | Self::Reloaded
            | Self::Upgraded
            | Self::Config
            | Self::LogLevel
            | Self::OpenApi
            | Self::Audit
            | Self::Html => component("Nothing"),
        }
    }
}

/// How many joined; where they were sent something of what the group keeps, how far that goes.
fn sessions_or_joined() -> Value {
    json!({"oneOf": [component("Sessions"), component("Joined")]})
}

/// Which start of a node: 64 bits.
fn incarnation() -> Value {
    json!({"type": "string", "pattern": "^[0-9a-f]{16}$"})
}

/// Any text.
fn text() -> Value {
    json!({"type": "string"})
}

/// A reference to a schema of the document.
pub fn component(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// An object of exactly these properties.
pub fn object(properties: Value) -> Value {
    let required: Vec<&String> = properties.as_object().into_iter().flat_map(|map| map.keys()).collect();
    json!({"type": "object", "required": required, "properties": properties, "additionalProperties": false})
}

/// The same, of which some need not be there.
fn object_with(properties: Value, optional: Value) -> Value {
    let mut object = object(properties);
    let all = object["properties"].as_object_mut();
    if let (Some(all), Value::Object(optional)) = (all, optional) {
        all.extend(optional);
    }
    object
}

/// What a field may hold. A query has no types: there a switch is text, and a number digits.
pub fn field(field: &Field) -> Value {
    match field.kind {
        Kind::Name => component("Name"),
        Kind::NameOrNobody => json!({"oneOf": [component("Name"), {"enum": ["", null]}]}),
        Kind::Session => component("SessionId"),
        Kind::Epoch => component("Epoch"),
        Kind::Number(least) => json!({"type": "integer", "minimum": least}),
        Kind::OneOf(values) => json!({"enum": values}),
        Kind::Some(values) => json!({"type": "array", "minItems": 1, "items": {"enum": values}}),
        Kind::SomeOf(values) => {
            let one = values.join("|");
            json!({"type": "string", "pattern": format!("^({one})(,({one}))*$")})
        }
        Kind::Switch => json!({"enum": ["1", "true", "0", "false"]}),
        Kind::CloseCode => component("CloseCode"),
        Kind::Destination => json!({"type": "string", "pattern": "^wss?://[!-~]+$", "maxLength": 100}),
        Kind::Path => json!({"type": "string", "pattern": "^/", "maxLength": 4095}),
        Kind::Reason => json!({"type": "string", "maxLength": 123}),
        Kind::Address => json!({"type": "string", "maxLength": 49}),
        Kind::Text | Kind::Token => json!({"type": "string"}),
        Kind::Base64 => json!({"type": "string", "contentEncoding": "base64"}),
        Kind::Json => json!({}),
        Kind::Except => json!({"oneOf": [component("SessionId"), component("Named")]}),
        Kind::Selector => json!({"type": "string", "pattern": "^(session|user|group|tag):."}),
        Kind::Target => component("Target"),
    }
}

/// The schemas that others refer to.
pub fn components(codes: &[&str]) -> Value {
    /// What several nodes answer, some of which may not.
    const OF_NODES: [&str; 17] = [
        "Receipt",
        "Sessions",
        "Joined",
        "Kept",
        "Forgotten",
        "Counted",
        "Users",
        "Groups",
        "Apps",
        "AppStats",
        "Unbanned",
        "Bans",
        "Renewed",
        "Session",
        "MembersPage",
        "SessionsPage",
        "Presence",
    ];
    let mut components = whole_components(codes);
    for name in OF_NODES {
        components[name]["properties"]["partial"] = json!({"const": true});
        components[name]["properties"]["missing"] =
            json!({"type": "array", "minItems": 1, "items": component("Name")});
    }
    components
}

/// The same where every node has answered.
fn whole_components(codes: &[&str]) -> Value {
    let count = || json!({"type": "integer", "minimum": 0});
    let nullable = |schema: Value| json!({"oneOf": [schema, {"type": "null"}]});
    let (names, name) = (json!({"type": "array", "items": component("Name")}), component("Name"));
    let one_or_more = |schema: Value| json!({"oneOf": [schema, {"type": "array", "items": schema}]});
    let page = |key: &str, extra: Value, item: Value| {
        let mut page = object(json!({"count": count(), "next": nullable(component("SessionId"))}));
        let mut put = |name: &str, schema: Value| {
            page["properties"][name] = schema;
            if let Some(required) = page["required"].as_array_mut() {
                required.push(name.into());
            }
        };
        put(key, json!({"type": "array", "items": item}));
        if let Value::Object(extra) = extra {
            extra.into_iter().for_each(|(name, schema)| put(&name, schema));
        }
        page
    };
    let row = object(json!({"session": component("SessionId"), "user": nullable(name.clone())}));
    json!({
        "Name": {
            "type": "string", "minLength": 1, "maxLength": 128,
            "description": "1 to 128 bytes of UTF-8 without control characters.",
        },
        "Epoch": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
        "SessionId": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
        "CloseCode": {
            "type": "integer",
            "oneOf": [{"enum": [1000, 1001, 1008, 1011, 1012, 1013]}, {"minimum": 3000, "maximum": 4999}],
        },
        "Target": {
            "type": "object", "minProperties": 1, "additionalProperties": false,
            "properties": {
                "session": one_or_more(component("SessionId")), "user": one_or_more(name.clone()),
                "group": one_or_more(name.clone()), "tag": one_or_more(name.clone()), "all": {"type": "boolean"},
                "all_of": one_or_more(component("Named")),
            },
        },
        "Named": {
            "type": "object", "additionalProperties": false,
            "properties": {
                "session": one_or_more(component("SessionId")), "user": one_or_more(name.clone()),
                "group": one_or_more(name.clone()), "tag": one_or_more(name), "all": {"type": "boolean"},
            },
        },
        "Nothing": object(json!({})),
        "Receipt": object_with(
            json!({
                "matched": count(), "queued": count(), "replaced": count(), "dropped": count(), "expired": count(),
                "offline": count(),
            }),
            json!({
                "written": count(), "closed": count(), "pending": count(), "unreached": count(), "away": count(),
                "offset": count(), "epoch": component("Epoch"), "missed_more": count(),
                "missed": {"type": "array", "items": object(json!({
                    "session": nullable(component("SessionId")), "user": nullable(component("Name")),
                    "why": {"enum": ["dropped", "expired", "offline", "closed"]},
                }))},
            }),
        ),
        "Sessions": object_with(json!({"sessions": count()}), json!({"unknown": count()})),
        "Joined": object_with(json!({
            "sessions": count(), "epoch": nullable(component("Epoch")), "offset": count(),
            "complete": {"type": "boolean"},
        }), json!({"unknown": count()})),
        "Kept": object(json!({
            "epoch": nullable(component("Epoch")), "offset": count(), "complete": {"type": "boolean"},
            "messages": {"type": "array", "items": object_with(
                json!({"offset": count()}),
                json!({
                    "key": component("Name"), "text": {"type": "string"},
                    "data": {"type": "string", "contentEncoding": "base64"},
                }),
            )},
        })),
        "Forgotten": object(json!({"forgotten": count()})),
        "Counted": object(json!({"sessions": count(), "users": count(), "anonymous": count()})),
        "Users": object(json!({
            "users": {"type": "array", "items": object(json!({"user": component("Name"), "sessions": count()}))},
            "next": nullable(component("Name")),
        })),
        "Groups": object(json!({
            "groups": {"type": "array", "items": object(json!({"group": component("Name"), "sessions": count()}))},
            "next": nullable(component("Name")),
        })),
        "Apps": object(json!({
            "apps": {"type": "array", "items": object(json!({"app": component("Name"), "sessions": count()}))},
            "next": nullable(component("Name")),
        })),
        "AppStats": object(json!({
            "sessions": count(), "away": count(), "opened": count(), "closed": count(),
            "refused": count(), "messages_in": count(), "pushes": count(), "queued": count(),
        })),
        "Unbanned": object(json!({"unbanned": count()})),
        "Bans": object(json!({
            "count": count(), "next": nullable(json!({"type": "string"})),
            "bans": {"type": "array", "items": object(json!({
                "user": nullable(component("Name")), "address": nullable(json!({"type": "string"})),
                "until_unix_ms": nullable(count()), "reason": {"type": "string"},
            }))},
        })),
        "Audit": object(json!({
            "count": count(),
            "lines": {"type": "array", "items": object_with(json!({
                "number": count(), "at_unix_ms": count(), "key": nullable(text()), "remote": nullable(text()),
                "op": text(), "app": nullable(component("Name")), "target": nullable(text()), "result": text(),
            }), json!({
                "sessions": count(),
                "changes": {"type": "array", "items": object(json!({
                    "key": text(), "old": nullable(text()), "new": nullable(text()),
                }))},
            }))},
        })),
        "Recording": records::recording(),
        "Record": records::record(),
        "Renewed": object(json!({"expires_unix_ms": count()})),
        "Session": object_with(json!({
            "session": component("SessionId"), "app": component("Name"), "user": nullable(component("Name")),
            "groups": names, "tags": names, "remote": {"type": "string"}, "since_unix_ms": count(),
            "queued_messages": count(), "queued_bytes": count(), "bytes_in": count(), "bytes_out": count(),
            "round_trip_us": nullable(count()),
            "reactor": count(),
            "behind_since_unix_ms": nullable(count()),
        }), json!({
            "away": {"const": true}, "claims": {"type": "object"},
            "params": {"type": "object", "additionalProperties": {"type": "string"}},
        })),
        "Events": object_with(
            json!({
                "resume": {"type": "string"}, "received": count(),
                "events": {"type": "array", "items": {"type": "object", "required": ["event"]}},
            }),
            json!({"resumed": {"const": false}, "why": {"enum": ["gap", "unknown", "key", "form"]}}),
        ),
        "MembersPage": page("members", json!({"group": component("Name"), "behind": count(), "pushes": count()}), row),
        "SessionsPage": page("sessions", Value::Null, component("Session")),
        "Present": object(json!({
            "user": nullable(component("Name")), "count": count(),
            "sessions": {"type": "array", "items": object(json!({
                "session": component("SessionId"), "since_unix_ms": count(),
            }))},
        })),
        "Presence": object(json!({
            "sessions": count(), "users": count(), "anonymous": count(),
            "present": nullable(json!({"type": "array", "items": component("Present")})),
            "next": nullable(json!({"type": "string"})),
        })),
        "Stats": {
            "type": "object",
            "required": ["reactor", "distinct_users", "distinct_groups", "distinct_tags"],
            "properties": {
                "reactor": count(), "distinct_users": count(), "distinct_groups": count(), "distinct_tags": count(),
            },
        },
        "Cluster": object(json!({
            "node": count(), "name": component("Name"), "incarnation": nullable(incarnation()),
            "lease": {"enum": ["held", "lost", "none"]}, "ready": {"type": "boolean"},
            "redis": {"type": "array", "items": object(json!({
                "url": {"type": "string"}, "up": {"type": "boolean"}, "why": nullable(json!({"type": "string"})),
                "version": nullable(json!({"type": "string"})), "lag_ms": nullable(json!({"type": "number"})),
                "channels": count(), "queue": count(), "unanswered": count(),
            }))},
            "nodes": {"type": "array", "items": object(json!({
                "node": count(), "name": component("Name"), "incarnation": incarnation(), "sessions": count(),
                "age_ms": count(), "draining": {"type": "boolean"}, "version": {"type": "string"},
                "advertise": nullable(json!({"type": "string"})), "same_redis": {"type": "boolean"},
            }))},
            "moving": nullable(object(json!({
                "redis": {"type": "array", "items": {"type": "string"}}, "publishes": {"type": "boolean"},
                "awaits": {"type": "array", "items": component("Name")},
            }))),
        })),
        "Drain": object(json!({
            "draining": {"type": "boolean"}, "over_ms": nullable(count()), "elapsed_ms": nullable(count()),
            "to": nullable(json!({"type": "string"})), "closed": count(), "sessions": count(),
        })),
        "Reloaded": object(json!({"changed": json!({"type": "array", "items": {"type": "string"}}), "restart": json!({"type": "array", "items": {"type": "string"}})})),
        "Upgraded": object(json!({
            "dry_run": {"type": "boolean"}, "version": {"type": "string"}, "pid": count(), "reactors": count(),
            "sessions": count(), "connections": count(), "bytes": count(), "took_ms": count(), "longest_ms": count(),
            "notes": {"type": "array", "items": {"type": "string"}},
        })),
        "LogLevel": object(json!({"level": {"enum": LOG_LEVELS}, "for_ms": nullable(count())})),
        "Error": object(json!({
            "error": object(json!({"code": {"enum": codes}, "message": {"type": "string", "minLength": 1}})),
        })),
    })
}
