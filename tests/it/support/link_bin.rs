//! What the two forms of the link say, in each other's words: so that one test speaks both.

use base64::{Engine, engine::general_purpose::STANDARD};
use gannet::dispatch::{
    Class, EventKind, EventSet, KeptMessage, Present, PresentSession, Recalled, ReceiptMode,
};
use gannet::link_bin::{
    Command, Event, Membership, Payload, Push, Reply, Request, Resumption, Routed, Selector, State, Who,
    is_event,
};
use gannet::session::{Name, SessionId};
use serde_json::{Value, json};

/// The binary message of a command in JSON.
pub fn encode(command: &Value) -> Vec<u8> {
    let data = command["data"].as_str().map(|data| STANDARD.decode(data).unwrap());
    let request = Request {
        id: command["id"].as_u64().unwrap_or(0).try_into().unwrap(),
        app: command["app"].as_str(),
        command: build(command, data.as_deref()),
    };
    let mut message = Vec::new();
    request.encode(&mut message).unwrap();
    message
}

/// A binary message of the server in JSON.
pub fn decode(message: &[u8]) -> Value {
    if is_event(message) {
        return event(&Event::decode(message).unwrap());
    }
    let (id, reply) = Reply::decode(message).unwrap();
    let ok = match reply {
        Reply::Error { code, message } => {
            return json!({"id": id, "error": {"code": code.as_str(), "message": message}});
        }
        Reply::Done => json!({}),
        Reply::Sessions(sessions) => json!({ "sessions": sessions }),
        Reply::Joined(sessions, Recalled { epoch, offset, complete }) => json!({
            "sessions": sessions, "epoch": epoch.map(|epoch| epoch.to_string()), "offset": offset,
            "complete": complete,
        }),
        Reply::Forgotten(messages) => json!({ "forgotten": messages }),
        Reply::Kept(page) => json!({
            "epoch": page.epoch.map(|epoch| epoch.to_string()), "offset": page.offset, "complete": page.complete,
            "messages": page.messages.iter().map(kept).collect::<Vec<_>>(),
        }),
        Reply::Renewed(expires_unix_ms) => json!({ "expires_unix_ms": expires_unix_ms }),
        Reply::Receipt(receipt) => {
            let mut ok = json!({
                "matched": receipt.matched, "queued": receipt.queued, "replaced": receipt.replaced,
                "dropped": receipt.dropped, "expired": receipt.expired, "offline": receipt.offline,
            });
            if let Some(written) = receipt.written {
                (ok["written"], ok["closed"]) = (written.into(), receipt.closed.into());
            }
            if let (Some(offset), Some(epoch)) = (receipt.offset, receipt.epoch) {
                (ok["offset"], ok["epoch"]) = (offset.into(), epoch.to_string().into());
            }
            for (name, count) in [("pending", receipt.pending), ("unreached", receipt.unreached)] {
                if count > 0 {
                    ok[name] = count.into();
                }
            }
            ok
        }
        Reply::Presence(presence) => json!({
            "sessions": presence.sessions, "users": presence.users, "anonymous": presence.anonymous,
            "next": presence.next.as_ref().map(ToString::to_string),
            "present": presence.present.as_ref().map(|present| present.iter().map(one_present).collect::<Vec<_>>()),
        }),
        Reply::Resume(Resumption { ticket, resumed }) => {
            let mut first = json!({ "resume": ticket });
            if let Some(resumed) = resumed {
                first["resumed"] = resumed.is_ok().into();
            }
            if let Some(Err(why)) = resumed {
                first["why"] = why.as_str().into();
            }
            return first;
        }
        Reply::Session(info) => json!({
            "session": info.id.to_string(), "app": &*info.app, "user": info.user.as_deref(),
            "groups": info.groups.iter().map(|name| name.as_str()).collect::<Vec<_>>(),
            "tags": info.tags.iter().map(|name| name.as_str()).collect::<Vec<_>>(),
            "remote": info.remote.to_string(), "since_unix_ms": info.since_unix_ms,
            "queued_messages": info.queued_messages, "queued_bytes": info.queued_bytes,
            "bytes_in": info.bytes_in, "bytes_out": info.bytes_out, "round_trip_us": info.round_trip_us,
        }),
    };
    json!({"id": id, "ok": ok})
}

fn kept(message: &KeptMessage) -> Value {
    let mut json = json!({ "offset": message.offset });
    if let Some(key) = &message.key {
        json["key"] = (**key).into();
    }
    match message.frame.as_text() {
        Some(text) => json["text"] = text.into(),
        None => json["data"] = STANDARD.encode(message.frame.payload()).into(),
    }
    json
}

fn event(event: &Event<'_>) -> Value {
    match event {
        Event::Open { session, user, app, remote, tags } => json!({
            "event": "open", "session": session.to_string(), "user": user, "app": app,
            "remote": remote.to_string(), "tags": tags.iter().map(|name| name.as_str()).collect::<Vec<_>>(),
        }),
        Event::Message { session, user, payload: Payload::Text(text) } => {
            json!({"event": "message", "session": session.to_string(), "user": user, "text": text})
        }
        Event::Message { session, user, payload: Payload::Binary(bytes) } => {
            let data = STANDARD.encode(bytes);
            json!({"event": "message", "session": session.to_string(), "user": user, "data": data})
        }
        Event::Close { session, user, code, reason } => {
            let session = session.to_string();
            json!({"event": "close", "session": session, "user": user, "code": code, "reason": reason})
        }
        Event::Join(membership) => of_group("join", membership),
        Event::Leave(membership) => of_group("leave", membership),
        Event::Away { session, user, code, reason } => {
            let session = session.to_string();
            json!({"event": "away", "session": session, "user": user, "code": code, "reason": reason})
        }
        Event::Back { session, user, remote } => {
            json!({"event": "back", "session": session.to_string(), "user": user, "remote": remote.to_string()})
        }
        Event::Gap => json!({"event": "gap"}),
        Event::Assigned(of) => state("assigned", of),
        Event::Session(of) => state("session", of),
        Event::Synced => json!({"event": "synced"}),
        Event::Unassigned { session, user } => {
            json!({"event": "unassigned", "session": session.to_string(), "user": user})
        }
    }
}

fn state(event: &str, state: &State<'_>) -> Value {
    let State { session, user, app, remote, since_unix_ms, groups, tags, away } = state;
    let names = |names: &[Name]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut json = json!({
        "event": event, "session": session.to_string(), "app": app, "user": user, "groups": names(groups),
        "tags": names(tags), "remote": remote.to_string(), "since_unix_ms": since_unix_ms,
    });
    if *away {
        json["away"] = true.into();
    }
    json
}

fn one_present(present: &Present) -> Value {
    let session =
        |one: &PresentSession| json!({"session": one.id.to_string(), "since_unix_ms": one.since_unix_ms});
    let sessions: Vec<Value> = present.sessions.iter().map(session).collect();
    json!({"user": present.user.as_deref(), "count": present.count, "sessions": sessions})
}

fn of_group(event: &str, membership: &Membership<'_>) -> Value {
    let Membership { session, user, app, group } = membership;
    json!({"event": event, "session": session.to_string(), "user": user, "app": app, "group": group})
}

fn build<'a>(command: &'a Value, data: Option<&'a [u8]>) -> Command<'a> {
    let text = |field: &str| command[field].as_str();
    let needed = |field: &str| text(field).unwrap();
    let session = || id(&command["session"]);
    let who = || match text("user") {
        Some(user) => Who::User(user),
        None => Who::Session(session()),
    };
    match needed("op") {
        "push" => Command::Push(push(command, data)),
        "join" => Command::Join { who: who(), group: needed("group") },
        "latest" => Command::Latest { group: needed("group") },
        "read_log" => Command::Log {
            group: needed("group"),
            after: command["after"].as_u64(),
            epoch: text("epoch").map(|epoch| epoch.parse().unwrap()),
            limit: command["limit"].as_u64().map(|limit| limit.try_into().unwrap()),
        },
        "forget" => Command::Forget { group: needed("group"), key: text("key") },
        "leave" => Command::Leave { who: who(), group: needed("group") },
        "destroy" => Command::Destroy { group: needed("group") },
        "move" => Command::Move { from: needed("group"), to: needed("to") },
        "kick" => {
            let code = command["code"].as_u64().map(|code| code.try_into().unwrap());
            Command::Kick { who: who(), code, reason: text("reason").unwrap_or_default() }
        }
        "bind" => Command::Bind { session: session(), user: text("user") },
        "tag" => Command::Tag { session: session(), tag: needed("tag") },
        "untag" => Command::Untag { session: session(), tag: needed("tag") },
        "renew" => Command::Renew { session: session(), token: needed("token") },
        "session" => Command::Session { session: session() },
        "presence" => Command::Presence {
            group: needed("group"),
            limit: command["limit"].as_u64().unwrap_or(0).try_into().unwrap(),
            after: text("after"),
            members: command["members"].as_bool().unwrap_or(true),
        },
        "route" => {
            let what = match (text("user"), text("group")) {
                (Some(user), _) => Routed::User(user),
                (None, Some(group)) => Routed::Group(group),
                (None, None) => Routed::Session(session()),
            };
            Command::Route { what, link: text("link") }
        }
        "rebalance" => Command::Rebalance { share: needed("share") },
        "listen" => {
            let named = command["events"].as_array().unwrap().iter();
            let kinds = named.map(|name| EventKind::named(name.as_str().unwrap()).unwrap());
            let events = kinds.fold(EventSet::NONE, EventSet::with);
            Command::Listen {
                events,
                share: text("share"),
                name: text("name"),
                snapshot: command["snapshot"] == true,
            }
        }
        op => panic!("no op {op}"),
    }
}

fn push<'a>(command: &'a Value, data: Option<&'a [u8]>) -> Push<'a> {
    let mut selectors = Vec::new();
    for (kind, value) in command["to"].as_object().unwrap() {
        let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        selectors.extend(values.iter().map(|value| match (kind.as_str(), value.as_str()) {
            ("session", _) => Selector::Session(id(value)),
            ("user", Some(name)) => Selector::User(name),
            ("group", Some(name)) => Selector::Group(name),
            ("tag", Some(name)) => Selector::Tag(name),
            _ => Selector::All,
        }));
    }
    let payload = match data {
        Some(bytes) => Payload::Binary(bytes),
        None => Payload::Text(command["text"].as_str().unwrap()),
    };
    Push {
        ttl_ms: command["ttl_ms"].as_u64().map(|ttl_ms| ttl_ms.try_into().unwrap()),
        key: command["key"].as_str(),
        class: match command["class"].as_str() {
            Some("urgent") => Class::Urgent,
            Some("droppable") => Class::Droppable,
            _ => Class::Normal,
        },
        except: command["except"].is_string().then(|| id(&command["except"])),
        receipt: match command["receipt"].as_str() {
            Some("none") => ReceiptMode::None,
            Some("written") => ReceiptMode::Written,
            _ => ReceiptMode::Queued,
        },
        ..Push::new(selectors.into_iter().collect(), payload)
    }
}

fn id(value: &Value) -> SessionId {
    value.as_str().unwrap().parse().unwrap()
}
