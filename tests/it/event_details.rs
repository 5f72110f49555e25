//! What links are shown of sessions in each event, and what apps keep of what their clients have shown: claims of tokens, parameters of
//! queries.

use crate::links::session;
use crate::support::*;
use crate::tokens::{DEFAULT, HS256, app, ask, now, signed_query, token};
use crate::upgrade::running::Running;
use gannet::{App, ClosedSession, Session};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::mpsc::{Sender, channel};

const ALL: [&str; 5] = ["groups", "tags", "claims", "params", "app"];

fn listen(link: &mut Link, events: &[&str], with: &[&str]) {
    link.command(json!({"op": "listen", "events": events, "with": with}));
}

/// The fields of an event that say something of its session beside the event's own.
fn shown(event: &Value) -> Value {
    let sorted = |field: &str| {
        let mut names = event[field].clone();
        names.as_array_mut().into_iter().for_each(|names| names.sort_by_key(Value::to_string));
        names
    };
    json!({
        "groups": sorted("groups"), "tags": sorted("tags"), "claims": event["claims"], "params": event["params"],
        "app": event["app"],
    })
}

fn keeping(config: &mut gannet::config::Config) {
    let app = config.apps.get_mut("default").unwrap();
    app.params = vec!["version".to_owned(), "lang".to_owned()];
    app.claims = vec!["rank".to_owned(), "clan".to_owned()];
}

#[test]
fn each_event_has_what_its_link_asks_for_and_a_link_that_asks_for_nothing_gets_what_it_always_did() {
    let server = TestServer::start(keeping);
    let events = ["open", "message", "close", "join", "leave", "tag", "bind"];
    let (mut json, mut binary, mut some, mut plain) =
        (server.link(), server.binary_link(), server.link(), server.link());
    listen(&mut json, &events, &ALL);
    listen(&mut binary, &events, &ALL);
    listen(&mut some, &events, &["groups"]);
    plain.listen(&events, None);
    let mut player = server.player("user=ada&group=red&tag=ios&version=1.2");
    let id = player.id.to_string();
    let mut desk = server.link();
    desk.command(json!({"op": "join", "session": id, "group": "blue"}));
    desk.command(json!({"op": "tag", "session": id, "tag": "vip"}));
    player.send_text("hi");
    drop(player);
    let params = json!({"version": "1.2"});
    let state = |groups: &[&str], tags: &[&str]| json!({"groups": groups, "tags": tags, "claims": {}, "params": params, "app": "default"});
    let expected = [
        ("open", state(&["red"], &["ios"])),
        ("join", state(&["red"], &["ios"])),
        ("join", state(&["blue", "red"], &["ios"])),
        ("tag", state(&["blue", "red"], &["ios", "vip"])),
        ("message", state(&["blue", "red"], &["ios", "vip"])),
        ("leave", state(&["blue", "red"], &["ios", "vip"])),
        ("leave", state(&["blue", "red"], &["ios", "vip"])),
        ("close", state(&["blue", "red"], &["ios", "vip"])),
    ];
    for (kind, state) in &expected {
        let (in_json, in_binary) = (json.event(), binary.event());
        assert_eq!((&in_json["event"], shown(&in_json)), (&json!(kind), state.clone()), "{in_json}");
        assert_eq!(in_json, in_binary);
        let mut without = in_json.clone();
        let own: &[&str] = match *kind {
            "open" => &["tags", "app"],
            "message" | "close" => &[],
            _ => &["app"],
        };
        for field in ALL.iter().filter(|field| !own.contains(field)) {
            without.as_object_mut().unwrap().remove(*field);
        }
        assert_eq!(plain.event(), without);
        without["groups"] = in_json["groups"].clone();
        assert_eq!(some.event(), without);
    }
}

fn of(user: &str, more: Value) -> String {
    let mut claims = json!({"sub": user, "exp": now() + 3600});
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    token(HS256, &claims, DEFAULT)
}

#[test]
fn an_app_keeps_the_claims_and_parameters_that_it_names_and_shows_them_everywhere() {
    let server = TestServer::start(|config| {
        *config.apps.get_mut("default").unwrap() = app(&[DEFAULT]);
        keeping(config);
    });
    let mut links = [server.link(), server.binary_link()];
    links.iter_mut().for_each(|link| listen(link, &["open", "message"], &["claims", "params"]));
    let token = of("ada", json!({"rank": 3, "clan": {"name": "größer"}, "secret": "x"}));
    let mut ada = server.try_player(&format!("/ws?version=1.2&token={token}&lang=%C3%B6")).unwrap();
    let id = ada.id.to_string();
    let claims = json!({"rank": 3, "clan": {"name": "größer"}});
    let params = json!({"version": "1.2", "lang": "ö"});
    for link in &mut links {
        let open = link.event();
        assert_eq!((&open["claims"], &open["params"]), (&claims, &params));
        let session = link.command(json!({"op": "session", "session": id}));
        assert_eq!((&session["claims"], &session["params"]), (&claims, &params));
    }
    let session = server.backend().ok("GET", &format!("/v1/sessions/{id}"));
    assert_eq!((&session["claims"], &session["params"]), (&claims, &params));
    // Another token has other claims, and the query stays what it was.
    let token = of("ada", json!({"rank": 4}));
    server.link().command(json!({"op": "renew", "session": id, "token": token}));
    ada.send_text("hi");
    for link in &mut links {
        let message = link.event();
        assert_eq!((&message["claims"], &message["params"]), (&json!({"rank": 4}), &params));
    }
    // A signed query has parameters beside it that it does not cover, where the app names them.
    let query = signed_query("default", "bob", now(), "nonce-1", DEFAULT);
    let bob = server.try_player(&format!("/ws?{query}&version=2")).unwrap();
    let open = links[0].event();
    assert_eq!((&open["claims"], &open["params"]), (&json!({}), &json!({"version": "2"})));
    // Where there are none, nothing is shown of them.
    let eve = server.try_player(&format!("/ws?token={}", of("eve", json!({})))).unwrap();
    let session = server.backend().ok("GET", &format!("/v1/sessions/{}", eve.id));
    assert!(session.get("claims").is_none() && session.get("params").is_none(), "{session}");
    drop(bob);
}

#[test]
fn what_is_kept_of_a_session_is_bounded() {
    let server = TestServer::start(|config| {
        *config.apps.get_mut("default").unwrap() = app(&[DEFAULT]);
        keeping(config);
        (config.limits.session_params_bytes, config.limits.session_claims_bytes) = (20, 20);
    });
    let status = |target: &str| ask(server.client, target, "").status;
    let with = |rank: &str| of("ada", json!({ "rank": rank }));
    assert_eq!(status(&format!("/ws?token={}&version=1234567890123", with("1"))), 101);
    assert_eq!(status(&format!("/ws?token={}&version=12345678901234", with("1"))), 400);
    assert_eq!(status(&format!("/ws?token={}&version=1&version=2", with("1"))), 400);
    assert_eq!(status(&format!("/ws?token={}&other=1", with("1"))), 400);
    assert_eq!(status(&format!("/ws?token={}", with("123456789"))), 101);
    assert_eq!(status(&format!("/ws?token={}", with("1234567890"))), 401);
}

/// Each link gets an event of each session with what the session was opened with, and so does who asks for the session.
fn look(server: &Running, links: &mut [Link], kind: &str, ids: &[String]) {
    let claims = |rank: usize| json!({ "rank": rank });
    let params = |rank: usize| json!({ "version": format!("v{rank}") });
    for link in links {
        let events = ids.iter().map(|_| link.event());
        let events: BTreeMap<String, Value> = events.map(|event| (session(&event), event)).collect();
        for (rank, id) in ids.iter().enumerate() {
            assert_eq!(events[id]["event"], kind);
            let state = json!({
                "groups": ["red"], "tags": [], "claims": claims(rank), "params": params(rank), "app": "default",
            });
            assert_eq!(shown(&events[id]), state, "{}", events[id]);
            let session = link.command(json!({"op": "session", "session": id}));
            assert_eq!((&session["claims"], &session["params"]), (&claims(rank), &params(rank)));
        }
    }
    let mut backend = server.backend();
    for (rank, id) in ids.iter().enumerate() {
        let session = backend.ok("GET", &format!("/v1/sessions/{id}"));
        assert_eq!((&session["claims"], &session["params"]), (&claims(rank), &params(rank)));
    }
}

#[test]
fn what_is_kept_survives_upgrades_and_the_resume_of_a_session() {
    let config = format!(
        "[apps.default]\nsecrets = [\"{DEFAULT}\"]\nparams = [\"version\"]\nclaims = [\"rank\"]\nresume.linger_ms = \"1h\"\n"
    );
    let mut server = Running::start(&["--reactors", "3"], &config);
    let mut links = [server.link(), server.binary_link()];
    links.iter_mut().for_each(|link| listen(link, &["back", "message"], &ALL));
    let proof = |rank: usize| of(&format!("u{rank}"), json!({ "rank": rank, "groups": ["red"] }));
    let come = |server: &Running, rank: usize, more: &str| {
        server.try_player(&format!("/ws?token={}&{more}", proof(rank))).unwrap()
    };
    let mut players: Vec<Player> =
        (0..6).map(|rank| come(&server, rank, &format!("version=v{rank}"))).collect();
    let ids: Vec<String> = players.iter().map(|player| player.id.to_string()).collect();
    server.upgrade();
    players.iter_mut().for_each(|player| player.send_text("hi"));
    look(&server, &mut links, "message", &ids);
    let tickets: Vec<String> =
        players.iter().map(|player| player.welcome["resume"].as_str().unwrap().to_owned()).collect();
    players.into_iter().for_each(Player::reset);
    server.await_stats("all are away", |stats| stats["away"] == 6);
    // Another process has those that are away; their clients come back to it, with a query that has other parameters.
    server.upgrade();
    let back = |(rank, ticket)| come(&server, rank, &format!("version=other&received=0&resume={ticket}"));
    let mut players: Vec<Player> = tickets.iter().enumerate().map(back).collect();
    assert!(players.iter().all(|player| player.welcome["resumed"] == true));
    look(&server, &mut links, "back", &ids);
    players.iter_mut().for_each(|player| player.send_text("hi"));
    look(&server, &mut links, "message", &ids);
}

/// Tells of each session that it opens and closes with what.
struct Watch(Sender<Value>);

impl App for Watch {
    fn open(&mut self, session: &mut Session<'_>) {
        let claims: Option<Value> = session.claims().map(|claims| serde_json::from_str(claims).unwrap());
        self.0.send(json!([claims, session.param("version"), session.param("nothing")])).unwrap();
    }

    fn close(&mut self, session: &ClosedSession) {
        let names = |names: &[gannet::session::Name]| {
            let mut names: Vec<String> = names.iter().map(ToString::to_string).collect();
            names.sort();
            names
        };
        let profile = &session.profile;
        self.0.send(json!([names(&session.groups), names(&session.tags), profile.param("version")])).unwrap();
    }
}

#[test]
fn an_embedding_program_knows_what_a_session_was_in_when_it_closed() {
    let (tell, told) = channel();
    let server = TestServer::with_app(
        |config| {
            *config.apps.get_mut("default").unwrap() = app(&[DEFAULT]);
            keeping(config);
        },
        move |_| Box::new(Watch(tell.clone())),
    );
    let token = of("ada", json!({"rank": 3, "groups": ["red", "blue"], "tags": ["ios"]}));
    let player = server.try_player(&format!("/ws?token={token}&version=1")).unwrap();
    assert_eq!(told.recv_timeout(DEADLINE).unwrap(), json!([{"rank": 3}, "1", null]));
    drop(player);
    assert_eq!(told.recv_timeout(DEADLINE).unwrap(), json!([["blue", "red"], ["ios"], "1"]));
}
