//! What links hear of tags, users and tokens: each change once, in its order, whatever has caused it.

use crate::support::*;
use crate::tokens::{DEFAULT, HS256, app, now, token};
use crate::upgrade::running::Running;
use gannet::config::{PerUser, PerUserPolicy};
use gannet::{App, Message, Session};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Tags and users as its player says.
struct Names;

impl App for Names {
    fn message(&mut self, session: &mut Session<'_>, message: Message<'_>) {
        let Message::Text(text) = message else { return };
        match text.split_once(' ') {
            Some(("tag", tag)) => _ = session.tag(tag),
            Some(("untag", tag)) => _ = session.untag(tag),
            Some(("bind", user)) => _ = session.bind(Some(user).filter(|user| !user.is_empty())),
            _ => {}
        }
    }
}

#[test]
fn tags_and_users_of_sessions_are_told_once_for_each_change_in_both_forms() {
    let server = TestServer::with_app(|_| (), |_| Box::new(Names));
    let (mut json, mut binary, mut desk) = (server.link(), server.binary_link(), server.link());
    for link in [&mut json, &mut binary] {
        link.listen(&["open", "tag", "untag", "bind", "message", "close"], None);
    }
    let mut player = server.player("user=ada&tag=ios");
    let id = player.id.to_string();
    let act = |op: &str, more: Value| {
        let mut command = json!({"op": op, "session": id});
        command.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        command
    };
    desk.command(act("tag", json!({"tag": "eu"})));
    desk.command(act("tag", json!({"tag": "eu"})));
    desk.command(act("untag", json!({"tag": "nothing"})));
    desk.command(act("bind", json!({"user": "bob"})));
    desk.command(act("bind", json!({"user": "bob"})));
    for said in ["untag ios", "bind ", "tag vip", "bind eve"] {
        player.send_text(said);
    }
    player.send_text("end");
    for link in [&mut json, &mut binary] {
        let told = |event: Value, what: Value| {
            let mut expected = json!({"session": id, "app": "default"});
            expected.as_object_mut().unwrap().extend(what.as_object().unwrap().clone());
            assert_eq!(event, expected);
        };
        assert_eq!(link.event()["event"], "open");
        told(link.event(), json!({"event": "tag", "user": "ada", "tag": "eu"}));
        told(link.event(), json!({"event": "bind", "user": "bob", "old_user": "ada"}));
        let said = |link: &mut Link, text: &str| assert_eq!(link.event()["text"], text);
        said(link, "untag ios");
        told(link.event(), json!({"event": "untag", "user": "bob", "tag": "ios"}));
        said(link, "bind ");
        told(link.event(), json!({"event": "bind", "user": null, "old_user": "bob"}));
        said(link, "tag vip");
        told(link.event(), json!({"event": "tag", "user": null, "tag": "vip"}));
        said(link, "bind eve");
        told(link.event(), json!({"event": "bind", "user": "eve", "old_user": null}));
        said(link, "end");
    }
    drop(player);
    assert_eq!([json.event()["event"].clone(), binary.event()["event"].clone()], ["close", "close"]);
}

/// The users that are online, as a link was told; what is told twice is found out.
#[derive(Default)]
pub struct Mirror(pub BTreeMap<String, bool>);

impl Mirror {
    /// Takes in an event, which is about nothing but a user.
    pub fn hear(&mut self, event: &Value) {
        let is_online = event["event"] == "user_online";
        assert!(is_online || event["event"] == "user_offline", "{event}");
        let user = event["user"].as_str().unwrap().to_owned();
        assert_eq!(event.as_object().unwrap().len(), 3, "{event}");
        let before = self.0.insert(user, is_online).unwrap_or(false);
        assert_ne!(before, is_online, "told twice: {event}");
    }

    /// Who is online.
    pub fn online(&self) -> Vec<&str> {
        self.0.iter().filter(|(_, is_online)| **is_online).map(|(user, _)| &**user).collect()
    }
}

#[test]
fn a_user_is_online_with_its_first_session_anywhere_and_offline_after_its_last() {
    let server = TestServer::start(|config| {
        config.apps.get_mut("default").unwrap().offline_after_ms = 1;
    });
    let mut random = Random::new(11);
    // Who is there before a link asks is no news, and its end is.
    let mut players: Vec<(usize, Player)> =
        (0..8).map(|user| (user, server.player(&format!("user=u{user}")))).collect();
    let mut links = [server.link(), server.binary_link()];
    let mut mirrors: [Mirror; 2] = Default::default();
    for (link, mirror) in links.iter_mut().zip(&mut mirrors) {
        link.listen(&["user_online", "user_offline"], None);
        mirror.0.extend((0..8).map(|user| (format!("u{user}"), true)));
    }
    let mut desk = server.link();
    for _ in 0..400 {
        let user = random.below(8);
        match random.below(4) {
            0 | 1 => players.push((user, server.player(&format!("user=u{user}")))),
            2 if !players.is_empty() => {
                let (_, player) = players.swap_remove(random.below(players.len()));
                drop(player);
            }
            _ if !players.is_empty() => {
                let at = random.below(players.len());
                players[at].0 = user;
                let id = players[at].1.id.to_string();
                desk.command(json!({"op": "bind", "session": id, "user": format!("u{user}")}));
            }
            _ => {}
        }
    }
    players.clear();
    for (link, mirror) in links.iter_mut().zip(&mut mirrors) {
        // A user that comes is heard of behind all that came before it where one reactor owns both: ask for all of them.
        while !mirror.online().is_empty() {
            mirror.hear(&link.event());
        }
    }
}

#[test]
fn a_change_of_networks_is_no_news_and_a_link_that_does_not_ask_hears_nothing() {
    let server = TestServer::start(|config| {
        config.apps.get_mut("default").unwrap().offline_after_ms = DAY.as_millis() as u64;
        config.apps.insert("chess".to_owned(), app(&[]));
        config.apps.get_mut("chess").unwrap().offline_after_ms = 1;
    });
    let (mut link, mut chess, mut deaf) = (server.link(), server.link(), server.link());
    deaf.listen(&["open"], None);
    link.listen(&["user_online", "user_offline"], None);
    chess.command(json!({"op": "listen", "app": "chess", "events": ["user_online", "user_offline"]}));
    for _ in 0..3 {
        drop(server.player("user=ada"));
        assert_eq!(deaf.event()["event"], "open");
    }
    drop(server.try_player("/ws/chess?user=ada").unwrap());
    for kind in ["user_online", "user_offline"] {
        assert_eq!(chess.event(), json!({"event": kind, "app": "chess", "user": "ada"}));
    }
    server.player("user=bob");
    let mut users = [link.event(), link.event()].map(|event| {
        assert_eq!(event["event"], "user_online");
        event["user"].as_str().unwrap().to_owned()
    });
    users.sort();
    assert_eq!(users, ["ada", "bob"]);
    link.command(json!({"op": "destroy", "group": "nobody"}));
    assert!(link.events_so_far().is_empty() && deaf.event()["user"] == "bob");
}

#[test]
fn a_session_that_is_away_keeps_its_user_online() {
    let server = TestServer::start(|config| {
        let app = config.apps.get_mut("default").unwrap();
        (app.offline_after_ms, app.resume.linger_ms) = (1, DAY.as_millis() as u64);
    });
    let mut link = server.link();
    link.listen(&["away", "user_online", "user_offline"], None);
    let player = server.player("user=ada");
    let id = player.id.to_string();
    assert_eq!(link.event()["event"], "user_online");
    player.reset();
    assert_eq!(link.event()["event"], "away");
    // It is not for want of time that nothing is told: this user comes later, and has gone before.
    server.player("user=bob").close(1000, "");
    let of_bob = [link.event(), link.event()];
    assert!(of_bob.iter().all(|event| event["user"] == "bob"), "{of_bob:?}");
    link.command(json!({"op": "kick", "session": id}));
    assert_eq!(link.event(), json!({"event": "user_offline", "app": "default", "user": "ada"}));
}

fn of(user: &str, secs: u64) -> String {
    token(HS256, &json!({"sub": user, "exp": now() + secs}), DEFAULT)
}

#[test]
fn a_token_that_ends_soon_is_told_once_and_again_when_it_was_renewed() {
    let server = TestServer::start(|config| {
        *config.apps.get_mut("default").unwrap() = app(&[DEFAULT]);
        config.auth.expiring_before = Duration::from_secs(2 * 3600);
    });
    let mut early = server.try_player(&format!("/ws?token={}", of("early", 3600))).unwrap();
    let mut links = [server.link(), server.binary_link()];
    for link in &mut links {
        link.listen(&["expiring", "message"], None);
    }
    // A session that is there already, and whose token ends soon, is told of to the link that asks first.
    let first = links[0].event();
    let end = first["expires_unix_ms"].as_u64().unwrap();
    assert_eq!(
        (&first["event"], &first["user"], &first["app"]),
        (&json!("expiring"), &json!("early"), &json!("default"))
    );
    assert!((now() * 1000..(now() + 3700) * 1000).contains(&end));
    let mut later = server.try_player(&format!("/ws?token={}", of("later", 4 * 3600))).unwrap();
    let mut soon = server.try_player(&format!("/ws?token={}", of("soon", 1800))).unwrap();
    let mut desk = server.link();
    for hours in [5, 1] {
        let token = of("later", hours * 3600);
        desk.command(json!({"op": "renew", "session": later.id.to_string(), "token": token}));
    }
    let [json, binary] = &mut links;
    let heard: Vec<Value> = [json.event(), json.event()].into();
    let mut users: Vec<&str> = heard.iter().map(|event| event["user"].as_str().unwrap()).collect();
    users.sort_unstable();
    assert_eq!(users, ["later", "soon"]);
    for player in [&mut early, &mut later, &mut soon] {
        player.send_text("hi");
    }
    (0..3).for_each(|_| assert_eq!(json.event()["text"], "hi"));
    let mut kinds: Vec<Value> = std::iter::from_fn(|| Some(binary.event()["event"].take())).take(5).collect();
    kinds.sort_by_key(Value::to_string);
    assert!(kinds == ["expiring", "expiring", "message", "message", "message"], "{kinds:?}");
}

#[test]
fn an_upgrade_carries_who_is_online_who_leaves_and_what_was_told() {
    let config = "apps.default.offline_after_ms = 2000";
    let mut server = Running::start(&["--reactors", "3"], config);
    let mut links = [server.link(), server.binary_link()];
    for link in &mut links {
        link.listen(&["user_online", "user_offline"], None);
    }
    let players: Vec<Player> = (0..12).map(|user| server.player(&format!("user=u{user}"))).collect();
    let leaving: Vec<Player> = (0..6).map(|user| server.player(&format!("user=gone{user}"))).collect();
    let mut mirrors: [Mirror; 2] = Default::default();
    for (link, mirror) in links.iter_mut().zip(&mut mirrors) {
        (0..18).for_each(|_| mirror.hear(&link.event()));
    }
    drop(leaving);
    server.await_stats("they have gone", |stats| stats["sessions"] == 12);
    server.upgrade();
    // Nobody is told anew, and those who had gone are offline in the new process.
    let mut newcomer = server.player("user=newcomer");
    for (link, mirror) in links.iter_mut().zip(&mut mirrors) {
        (0..7).for_each(|_| mirror.hear(&link.event()));
        assert_eq!(mirror.online().len(), 13);
    }
    drop(players);
    for (link, mirror) in links.iter_mut().zip(&mut mirrors) {
        (0..12).for_each(|_| mirror.hear(&link.event()));
        assert_eq!(mirror.online(), ["newcomer"]);
    }
    newcomer.send_text("still here");
}

/// FAULTS 47: the `open` of the new session came before the `close` of the one that it replaces.
#[test]
fn the_end_of_a_session_that_is_replaced_is_told_before_the_beginning_of_the_one_that_replaces_it() {
    let server = TestServer::start(|config| {
        let app = config.apps.get_mut("default").unwrap();
        app.per_user = PerUser { max: 1, policy: PerUserPolicy::ReplaceOldest };
    });
    let mut links = [server.link(), server.binary_link()];
    for link in &mut links {
        link.listen(&["open", "message", "close"], None);
    }
    let mut players: Vec<Player> = Vec::new();
    for _ in 0..60 {
        let mut player = server.player("user=ada");
        player.send_text("hi");
        players.push(player);
    }
    let ids: Vec<String> = players.iter().map(|player| player.id.to_string()).collect();
    let reactors: std::collections::BTreeSet<u8> = players.iter().map(|player| player.id.worker()).collect();
    assert!(reactors.len() > 1, "some replace sessions of other reactors");
    for link in &mut links {
        let mut open: Option<String> = None;
        let (mut opened, mut closed) = (0, 0);
        while opened < ids.len() || closed + 1 < ids.len() {
            let event = link.event();
            let session = event["session"].as_str().unwrap().to_owned();
            match event["event"].as_str().unwrap() {
                "open" => {
                    assert_eq!(session, ids[opened]);
                    assert!(open.is_none(), "{session} is open beside {open:?}");
                    let before = opened.checked_sub(1).map(|before| ids[before].as_str());
                    assert_eq!(event["replaces"].as_str(), before);
                    open = Some(session);
                    opened += 1;
                }
                "close" => {
                    assert_eq!((open.take(), &event["code"]), (Some(session), &json!(4002)));
                    closed += 1;
                }
                _ => assert_eq!(open.as_ref(), Some(&session), "a message of a session that is not open"),
            }
        }
    }
}
