//! What the two forms of the link say, in each other's words: so that one test speaks both.

use base64::{Engine, engine::general_purpose::STANDARD};
use gannet::dispatch::{
    AppStats, Ban, Banned, Class, Counted, Detail, EventKind, EventSet, KeptMessage, Missed, NameKind,
    Present, PresentSession, Recalled, ReceiptMode, Scope, SessionEnd, SessionInfo, With,
};
use gannet::link_bin::{
    By, Command, Details, Event, Groups, Membership, Payload, Push, Reply, Request, Resumption, Routed,
    Selector, State, Tagged, Who, Whom, is_event, number_of,
};
use gannet::session::{Name, SessionId};
use serde_json::{Map, Value, json};

/// The binary message of a command in JSON.
pub fn encode(command: &Value) -> Vec<u8> {
    let data = command["data"].as_str().map(|data| STANDARD.decode(data).unwrap());
    let json = command.get("json").map(Value::to_string);
    let request = Request {
        id: command["id"].as_u64().unwrap_or(0).try_into().unwrap(),
        app: command["app"].as_str(),
        scope: if command["scope"] == "node" { Scope::Node } else { Scope::Cluster },
        command: build(command, data.as_deref(), json.as_deref()),
    };
    let mut message = Vec::new();
    request.encode(&mut message).unwrap();
    message
}

/// A binary message of the server in JSON.
pub fn decode(message: &[u8]) -> Value {
    if is_event(message) {
        let (told, details) = Event::decode_with(message).unwrap();
        let mut told = detailed(event(&told), &details);
        number_of(message).iter().for_each(|number| told["n"] = (*number).into());
        return told;
    }
    let (id, reply) = Reply::decode(message).unwrap();
    match reply {
        Reply::Error { code, message } => {
            json!({"id": id, "error": {"code": code.as_str(), "message": message}})
        }
        Reply::Resume(Resumption { ticket, resumed }) => {
            let mut first = json!({ "resume": ticket });
            if let Some(resumed) = resumed {
                first["resumed"] = resumed.is_ok().into();
            }
            if let Some(Err(why)) = resumed {
                first["why"] = why.as_str().into();
            }
            first
        }
        Reply::Partial(reply, missing) => {
            let mut ok = done(*reply);
            put_missing(&mut ok, &missing);
            json!({"id": id, "ok": ok})
        }
        reply => json!({"id": id, "ok": done(reply)}),
    }
}

/// The nodes that have not answered.
fn put_missing(ok: &mut Value, missing: &[Name]) {
    if !missing.is_empty() {
        let missing: Vec<&str> = missing.iter().map(Name::as_str).collect();
        (ok["partial"], ok["missing"]) = (true.into(), missing.into());
    }
}

/// What a command came to.
fn done(reply: Reply<'_>) -> Value {
    match reply {
        Reply::Error { .. } | Reply::Resume(_) | Reply::Partial(..) => panic!("it is no outcome: {reply:?}"),
        Reply::Done => json!({}),
        Reply::Listening(ticks) => json!({ "ticks": ticks }),
        Reply::Sessions(sessions) => json!({ "sessions": sessions }),
        Reply::Changed(sessions, unknown) => json!({ "sessions": sessions, "unknown": unknown }),
        Reply::Joined(sessions, Recalled { epoch, offset, complete }, unknown) => {
            let mut ok = json!({
                "sessions": sessions, "epoch": epoch.map(|epoch| epoch.to_string()), "offset": offset,
                "complete": complete,
            });
            unknown.iter().for_each(|unknown| ok["unknown"] = (*unknown).into());
            ok
        }
        Reply::Forgotten(messages) => json!({ "forgotten": messages }),
        Reply::Unbanned(bans) => json!({ "unbanned": bans }),
        Reply::Bans(page) => json!({
            "count": page.count, "next": page.next.as_ref().map(ToString::to_string),
            "bans": page.bans.iter().map(one_ban).collect::<Vec<_>>(),
        }),
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
            if let Some(missed) = receipt.missed {
                let entry = |missed: &Missed| {
                    json!({
                        "session": missed.session.map(|id| id.to_string()), "user": missed.user.as_deref(),
                        "why": missed.why.as_str(),
                    })
                };
                ok["missed"] = missed.named.iter().map(entry).collect();
                if missed.more > 0 {
                    ok["missed_more"] = missed.more.into();
                }
            }
            put_missing(&mut ok, &receipt.missing);
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
        Reply::Session(info) => one_session(&info),
        Reply::Counted(Counted { sessions, users, anonymous }) => {
            json!({"sessions": sessions, "users": users, "anonymous": anonymous})
        }
        Reply::Stats(AppStats { sessions, away, opened, closed, refused, messages_in, pushes, queued }) => {
            json!({
                "sessions": sessions, "away": away, "opened": opened, "closed": closed, "refused": refused,
                "messages_in": messages_in, "pushes": pushes, "queued": queued,
            })
        }
        Reply::Names(page) => {
            let (all, one) = match page.kind {
                NameKind::Users => ("users", "user"),
                NameKind::Groups => ("groups", "group"),
                NameKind::Apps => ("apps", "app"),
            };
            let entry = |(name, sessions): &(Name, u32)| json!({ one: name.as_str(), "sessions": sessions });
            json!({all: page.names.iter().map(entry).collect::<Vec<_>>(), "next": page.next.as_deref()})
        }
        Reply::Page(page) => json!({
            "count": page.count, "next": page.next.map(|next| next.to_string()),
            "sessions": page.sessions.iter().map(one_session).collect::<Vec<_>>(),
        }),
    }
}

/// An event with what it has of its session beside its own fields.
fn detailed(mut event: Value, details: &Details<'_>) -> Value {
    let texts =
        |names: &[gannet::session::Name]| -> Value { names.iter().map(|name| name.as_str()).collect() };
    let Details { groups, tags, claims, params, app } = details;
    groups.iter().for_each(|groups| event["groups"] = texts(groups));
    tags.iter().for_each(|tags| event["tags"] = texts(tags));
    claims.iter().for_each(|claims| event["claims"] = serde_json::from_str(claims).unwrap());
    params.iter().for_each(|params| event["params"] = object(params));
    app.iter().for_each(|app| event["app"] = (**app).into());
    event
}

fn object(params: &[(Box<str>, Box<str>)]) -> Value {
    params.iter().map(|(name, value)| (name.to_string(), Value::from(&**value))).collect::<Map<_, _>>().into()
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
        Event::Open { session, user, app, remote, tags, replaces } => {
            let mut json = json!({
                "event": "open", "session": session.to_string(), "user": user, "app": app,
                "remote": remote.to_string(), "tags": tags.iter().map(|name| name.as_str()).collect::<Vec<_>>(),
            });
            if let Some(replaces) = replaces {
                json["replaces"] = replaces.to_string().into();
            }
            json
        }
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
        Event::Tag(tagged) => of_tag("tag", tagged),
        Event::Untag(tagged) => of_tag("untag", tagged),
        Event::Bind { session, user, app, old_user } => {
            let session = session.to_string();
            json!({"event": "bind", "session": session, "user": user, "app": app, "old_user": old_user})
        }
        Event::UserOnline { user, app } => json!({"event": "user_online", "user": user, "app": app}),
        Event::UserOffline { user, app } => json!({"event": "user_offline", "user": user, "app": app}),
        Event::Expiring { session, user, app, expires_unix_ms: end } => {
            let session = session.to_string();
            json!({"event": "expiring", "session": session, "user": user, "app": app, "expires_unix_ms": end})
        }
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

/// The binary message that holds several commands in JSON.
pub fn encode_several(commands: &[Value]) -> Vec<u8> {
    let mut message = vec![0x7f, 0, 0, 0, 0, 0, 0, 0];
    for command in commands.iter().map(encode) {
        message.extend_from_slice(&u32::try_from(command.len()).unwrap().to_le_bytes());
        message.extend_from_slice(&command);
    }
    message
}

fn of_tag(event: &str, tagged: &Tagged<'_>) -> Value {
    let Tagged { session, user, app, tag } = tagged;
    json!({"event": event, "session": session.to_string(), "user": user, "app": app, "tag": tag})
}

fn build<'a>(command: &'a Value, data: Option<&'a [u8]>, json: Option<&'a str>) -> Command<'a> {
    let text = |field: &str| command[field].as_str();
    let needed = |field: &str| text(field).unwrap();
    let session = || id(&command["session"]);
    let listed = |field: &str| {
        command[field].as_array().map(|names| names.iter().map(|name| name.as_str().unwrap()).collect())
    };
    let who = || match (text("user"), listed("user"), command["session"].as_array()) {
        (Some(user), ..) => Who::User(user),
        (None, Some(users), _) => Who::Users(users),
        (None, None, Some(sessions)) => Who::Sessions(sessions.iter().map(id).collect()),
        (None, None, None) => Who::Session(session()),
    };
    let limit = || command["limit"].as_u64().unwrap_or(0).try_into().unwrap();
    let names = |kind| Command::Names { kind, prefix: text("prefix"), limit: limit(), after: text("after") };
    let is_some = !command["user"].is_null() || !command["session"].is_null();
    match needed("op") {
        "push" => Command::Push(push(command, data, json)),
        "set_groups" => {
            Command::SetGroups { who: who(), groups: listed("groups").unwrap(), prefix: text("prefix") }
        }
        "set_tags" => Command::SetTags { who: who(), tags: listed("tags").unwrap(), prefix: text("prefix") },
        "join" if command["sticky"] == true => Command::JoinSticky {
            who: who(),
            groups: listed("group").map_or_else(|| Groups::One(needed("group")), Groups::Several),
            last: command["last"].as_u64(),
            after: command["after"].as_u64(),
            epoch: None,
        },
        "join" if command["group"].is_array() => {
            Command::JoinAll { who: who(), groups: listed("group").unwrap() }
        }
        "leave" if command["group"].is_array() => {
            Command::LeaveAll { who: who(), groups: listed("group").unwrap() }
        }
        "move" if is_some => Command::MoveSome { who: who(), from: needed("group"), to: needed("to") },
        "tag" if !command["session"].is_string() => Command::TagAll { who: who(), tag: needed("tag") },
        "untag" if !command["session"].is_string() => Command::UntagAll { who: who(), tag: needed("tag") },
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
        "renew" if command["for_ms"].is_u64() => Command::RenewUntil {
            session: session(),
            end: SessionEnd::For(command["for_ms"].as_u64().unwrap()),
        },
        "renew" if command["expires_unix_ms"].is_u64() => Command::RenewUntil {
            session: session(),
            end: SessionEnd::At(command["expires_unix_ms"].as_u64().unwrap()),
        },
        "ban" => Command::Ban {
            whom: whom(command),
            for_ms: command["for_ms"].as_u64(),
            reason: text("reason").unwrap_or_default(),
        },
        "list" => Command::List {
            by: by(command),
            limit: limit(),
            after: text("after"),
            behind: command["behind"] == true,
        },
        "count" => Command::Count { by: by(command) },
        "users" => names(NameKind::Users),
        "groups" => names(NameKind::Groups),
        "apps" => names(NameKind::Apps),
        "stats" => Command::Stats,
        "unban" => Command::Unban { whom: whom(command) },
        "bans" => Command::Bans {
            limit: command["limit"].as_u64().unwrap_or(0).try_into().unwrap(),
            after: text("after"),
        },
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
            let shown = command["with"].as_array().map_or(&[][..], Vec::as_slice).iter();
            let shown = shown.map(|name| Detail::named(name.as_str().unwrap()).unwrap());
            Command::Listen {
                events: kinds.fold(EventSet::NONE, EventSet::with),
                share: text("share"),
                with: shown.fold(With::NONE, With::and),
                name: text("name"),
                snapshot: command["snapshot"] == true,
                numbers: command["numbers"] == true,
                everywhere: command["scope"] == "cluster",
            }
        }
        op => panic!("no op {op}"),
    }
}

fn one_session(info: &SessionInfo) -> Value {
    let mut ok = json!({
        "session": info.id.to_string(), "app": &*info.app, "user": info.user.as_deref(),
        "groups": info.groups.iter().map(|name| name.as_str()).collect::<Vec<_>>(),
        "tags": info.tags.iter().map(|name| name.as_str()).collect::<Vec<_>>(),
        "remote": info.remote.to_string(), "since_unix_ms": info.since_unix_ms,
        "queued_messages": info.queued_messages, "queued_bytes": info.queued_bytes,
        "bytes_in": info.bytes_in, "bytes_out": info.bytes_out, "round_trip_us": info.round_trip_us,
        "reactor": info.id.worker(), "behind_since_unix_ms": info.behind_since_unix_ms,
    });
    if let Some(claims) = &info.profile.claims {
        ok["claims"] = serde_json::from_str(claims).unwrap();
    }
    if !info.profile.params.is_empty() {
        ok["params"] = object(&info.profile.params);
    }
    ok
}

fn one_ban(ban: &Ban) -> Value {
    let (user, address) = match &ban.whom {
        Banned::User(user) => (Some(user.as_str()), None),
        Banned::Address(network) => (None, Some(network.to_string())),
    };
    json!({"user": user, "address": address, "until_unix_ms": ban.until_unix_ms, "reason": &*ban.reason})
}

fn by(command: &Value) -> By<'_> {
    match (command["user"].as_str(), command["group"].as_str(), command["tag"].as_str()) {
        (Some(user), ..) => By::User(user),
        (_, Some(group), _) => By::Group(group),
        (.., Some(tag)) => By::Tag(tag),
        _ => By::All,
    }
}

fn whom(command: &Value) -> Whom<'_> {
    match command["user"].as_str() {
        Some(user) => Whom::User(user),
        None => Whom::Address(command["address"].as_str().unwrap()),
    }
}

/// None for what is no object.
fn selectors_of(to: &Value) -> Vec<Selector<'_>> {
    let mut all = Vec::new();
    for (kind, value) in to.as_object().into_iter().flatten() {
        let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        all.extend(values.iter().map(|value| match (kind.as_str(), value.as_str()) {
            ("session", _) => Selector::Session(id(value)),
            ("user", Some(name)) => Selector::User(name),
            ("group", Some(name)) => Selector::Group(name),
            ("tag", Some(name)) => Selector::Tag(name),
            ("all_of", _) => Selector::AllOf(selectors_of(value)),
            _ => Selector::All,
        }));
    }
    all
}

fn push<'a>(command: &'a Value, data: Option<&'a [u8]>, json: Option<&'a str>) -> Push<'a> {
    let selectors = selectors_of(&command["to"]);
    let payload = match data {
        Some(bytes) => Payload::Binary(bytes),
        None => Payload::Text(json.unwrap_or_else(|| command["text"].as_str().unwrap())),
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
        without: selectors_of(&command["except"]).into_iter().collect(),
        names: command["names"].as_bool().unwrap_or(false),
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
