//! What players do while no link listens for it: counted, or held for the link that comes, in its order and within its bounds.

use crate::support::*;
use crate::upgrade::running::Running;
use gannet::config::{AppConfig, Config, Unheard};
use gannet::{App, Relay};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::TcpStream;

const INPUTS: [&str; 3] = ["open", "message", "close"];

fn default_app(config: &mut Config) -> &mut AppConfig {
    config.apps.get_mut("default").unwrap()
}

fn holding(config: &mut Config) {
    let app = default_app(config);
    (app.unheard, app.unheard_ms) = (Unheard::Hold, 3_600_000);
}

/// How many events of each kind no link has heard: opens, messages, closes.
fn unheard(server: &Ports) -> [u64; 3] {
    let stats = server.backend().stats();
    INPUTS.map(|kind| stats["events_unheard"][kind].as_u64().unwrap_or(0))
}

/// FAULTS 44: inputs that no backend hears vanished uncounted.
#[test]
fn what_no_link_hears_is_counted_by_its_kind() {
    let server = TestServer::start(|_| ());
    let mut player = server.player("");
    (0..3).for_each(|_| player.send_text("hi"));
    until("all is counted", || unheard(&server) == [1, 3, 0]);
    // A link hears what it has asked for.
    let mut link = server.link();
    link.listen(&["open", "close"], None);
    player.send_text("hi");
    drop(player);
    assert_eq!(link.event()["event"], "close");
    until("the message is counted", || unheard(&server) == [1, 4, 0]);
    drop(link);
    until("the link has gone", || server.backend().stats()["links"] == 0);
    drop(server.player(""));
    until("no link listens any more", || {
        let [opens, messages, closes] = unheard(&server);
        (2..=3).contains(&opens) && messages == 4 && closes >= 1
    });
}

/// Does nothing with anything, but would.
struct Listens;

impl App for Listens {}

#[test]
fn an_embedding_program_hears_unless_it_says_that_it_does_not() {
    let server = TestServer::with_app(|_| (), |_| Box::new(Listens));
    let mut player = server.player("");
    player.send_text("hi");
    drop(player);
    until("all has been said", || server.backend().stats()["messages_in"] == 1);
    assert_eq!(unheard(&server), [0, 0, 0]);
    assert!(Listens.hears() && !Relay.hears());
}

/// The events of each session, in the order in which they came.
fn by_session(link: &mut Link, count: usize) -> BTreeMap<String, Vec<Value>> {
    let mut sessions: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for _ in 0..count {
        let event = link.event();
        sessions.entry(event["session"].as_str().unwrap().to_owned()).or_default().push(event);
    }
    sessions
}

#[test]
fn what_is_held_goes_to_the_link_that_comes_before_what_is_newer() {
    for is_binary in [false, true] {
        let server = TestServer::start(holding);
        let mut players: Vec<Player> =
            (0..12).map(|user| server.player(&format!("user=u{user}&group=red"))).collect();
        for said in 0..5 {
            players.iter_mut().for_each(|player| player.send_text(&said.to_string()));
        }
        players[11].send_binary(&[0, 255]);
        let gone = players.pop().unwrap();
        let gone_id = gone.id.to_string();
        gone.close(1000, "bye");
        until("all is held", || server.backend().stats()["messages_in"] == 61);
        until("it has gone", || server.backend().stats()["sessions"] == 11);
        let mut link = if is_binary { server.binary_link() } else { server.link() };
        link.command(json!({"op": "listen", "events": INPUTS, "with": ["groups"]}));
        players.iter_mut().for_each(|player| player.send_text("new"));
        let sessions = by_session(&mut link, 12 + 61 + 1 + 11);
        assert_eq!(sessions.len(), 12);
        for (session, events) in &sessions {
            assert_eq!(events[0]["event"], "open");
            assert!(events.iter().all(|event| event["groups"] == json!(["red"])), "{events:?}");
            let said: Vec<&str> = events.iter().filter_map(|event| event["text"].as_str()).collect();
            if *session == gone_id {
                assert_eq!(said, ["0", "1", "2", "3", "4"]);
                assert_eq!((&events[6]["data"], &events[7]["reason"]), (&json!("AP8="), &json!("bye")));
            } else {
                assert_eq!(said, ["0", "1", "2", "3", "4", "new"]);
            }
        }
        assert_eq!(unheard(&server), [0, 0, 0]);
    }
}

#[test]
fn what_is_held_is_bounded_by_bytes_and_by_time() {
    let server = TestServer::start(|config| {
        holding(config);
        default_app(config).unheard_bytes = 4_000;
    });
    let mut player = server.player("");
    (0..100).for_each(|said| player.send_text(&said.to_string()));
    until("all has been said", || server.backend().stats()["messages_in"] == 100);
    let [opens, lost, closes] = unheard(&server);
    assert!((opens, closes) == (0, 0) && (50..100).contains(&lost), "{lost} of 100 were lost");
    let mut link = server.link();
    link.listen(&INPUTS, None);
    player.send_text("new");
    assert_eq!(link.event()["event"], "open");
    for said in 0..100 - lost {
        assert_eq!(link.event()["text"], said.to_string());
    }
    assert_eq!(link.event()["text"], "new", "there is room again, and nothing is held");
    drop(link);
    until("the link has gone", || server.backend().stats()["links"] == 0);
    server.reload(|config| default_app(config).unheard_ms = 1);
    player.send_text("late");
    until("it is given up", || unheard(&server)[1] > lost);
}

#[test]
fn players_are_told_whether_a_backend_listens() {
    let server = TestServer::start(holding);
    let connect = || {
        let stream = TcpStream::connect(server.client).unwrap();
        Player::speaking(stream, "/ws", "gannet.v1").unwrap()
    };
    let told = |player: &mut Player, state: &str| {
        let text = player.recv_text();
        let json: Value = serde_json::from_str(text.strip_prefix('\u{1e}').expect("gannet's own")).unwrap();
        assert_eq!(json, json!({"type": "backend", "state": state}));
    };
    let (mut early, mut deaf) = (connect(), server.player(""));
    told(&mut early, "away");
    let mut links = [server.link(), server.binary_link()];
    for link in &mut links {
        link.listen(&INPUTS, None);
    }
    told(&mut early, "back");
    let mut late = connect();
    drop(links);
    [&mut early, &mut late].into_iter().for_each(|player| told(player, "away"));
    let mut link = server.link();
    link.listen(&["message"], None);
    [&mut early, &mut late].into_iter().for_each(|player| told(player, "back"));
    server.backend().push_text("all=1", "hi");
    [&mut early, &mut late, &mut deaf].into_iter().for_each(|player| assert_eq!(player.recv_text(), "hi"));
}

#[test]
fn an_upgrade_carries_what_is_held() {
    let config = "[apps.default]\nunheard = \"hold\"\nunheard_ms = \"1h\"\n";
    let mut server = Running::start(&["--reactors", "3"], config);
    let mut players: Vec<Player> = (0..9).map(|_| server.player("")).collect();
    for said in 0..3 {
        players.iter_mut().for_each(|player| player.send_text(&said.to_string()));
    }
    server.await_stats("all is held", |stats| stats["messages_in"] == 27);
    server.upgrade();
    players.iter_mut().for_each(|player| player.send_text("3"));
    server.await_stats("that too", |stats| stats["messages_in"] == 36);
    let mut link = server.link();
    link.listen(&INPUTS, None);
    for events in by_session(&mut link, 9 + 36).values() {
        assert_eq!(events[0]["event"], "open");
        let said: Vec<&str> = events[1..].iter().map(|event| event["text"].as_str().unwrap()).collect();
        assert_eq!(said, ["0", "1", "2", "3"]);
    }
}
