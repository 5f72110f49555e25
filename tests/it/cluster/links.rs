//! Links that listen with scope cluster: they hear of the sessions of all nodes, and those of one share divide these among them.

use super::nodes::{Nodes, is_ready, prefix};
use crate::support::{DEADLINE, Link, Player, Ports, Redis, ServerProcess, until};
use crate::upgrade::running::Running;
use gannet::config::Config;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

const KINDS: [&str; 3] = ["open", "message", "close"];

/// No node is taken to be gone, and each is waited for, however busy the machine is.
fn patient(config: &mut Config) {
    config.cluster.lease = Duration::from_secs(60);
    config.cluster.patience = Duration::from_secs(60);
}

/// Asks for the events of the sessions of all nodes.
fn listen(link: &mut Link, kinds: &[&str], share: Option<&str>) {
    let reply = link.command(json!({"op": "listen", "events": kinds, "share": share, "scope": "cluster"}));
    assert_eq!(reply, json!({}), "it hears of the sessions of all nodes");
}

/// What links hear, each by its place.
struct Desk {
    tell: mpsc::Sender<(usize, Value)>,
    told: mpsc::Receiver<(usize, Value)>,
    /// Of each session what was heard of it, and by whom.
    of: BTreeMap<String, Vec<(usize, Value)>>,
    /// What was about no session.
    others: Vec<(usize, Value)>,
    /// How many events of each kind were heard.
    kinds: BTreeMap<String, usize>,
    /// Sessions that have closed.
    closed: BTreeSet<String>,
}

impl Desk {
    fn new() -> Self {
        let (tell, told) = mpsc::channel();
        let (of, others, kinds, closed) = Default::default();
        Self { tell, told, of, others, kinds, closed }
    }

    /// Hears what comes to this link until it ends; its socket.
    fn hears(&self, place: usize, mut link: Link) -> TcpStream {
        let tell = self.tell.clone();
        let socket = link.stream().try_clone().unwrap();
        thread::spawn(move || {
            while let Ok(event) = link.next_event() {
                let _ = tell.send((place, event));
            }
        });
        socket
    }

    fn next(&mut self) {
        let (place, event) = self.told.recv_timeout(DEADLINE).expect("an event");
        match event.get("session") {
            Some(session) => {
                let session = session.as_str().unwrap().to_owned();
                let kind = event["event"].as_str().unwrap().to_owned();
                if kind == "close" {
                    self.closed.insert(session.clone());
                }
                *self.kinds.entry(kind).or_default() += 1;
                self.of.entry(session).or_default().push((place, event));
            }
            None => self.others.push((place, event)),
        }
    }

    fn count(&self, kind: &str) -> usize {
        self.kinds.get(kind).copied().unwrap_or(0)
    }

    fn until(&mut self, kind: &str, count: usize) {
        while self.count(kind) < count {
            self.next();
        }
    }

    /// The texts of a session's messages, in the order in which they were heard.
    fn texts(&self, session: &str) -> Vec<String> {
        let of = self.of.get(session).into_iter().flatten();
        let messages = of.filter(|(_, event)| event["event"] == "message");
        messages.map(|(_, event)| event["text"].as_str().unwrap().to_owned()).collect()
    }

    /// Each session was opened once, sent these in order, and has closed once behind that.
    fn is_complete(&self, sessions: usize, messages: usize) {
        assert_eq!(self.of.len(), sessions);
        let numbers: Vec<String> = (0..messages).map(|number| number.to_string()).collect();
        for (session, heard) in &self.of {
            let kinds: Vec<&str> = heard.iter().map(|(_, event)| event["event"].as_str().unwrap()).collect();
            assert_eq!(
                (kinds.first(), kinds.last()),
                (Some(&"open"), Some(&"close")),
                "{session}: {kinds:?}"
            );
            assert_eq!(kinds.len(), messages + 2, "{session}: {kinds:?}");
            assert_eq!(self.texts(session), numbers, "{session}");
        }
    }

    fn places(&self, session: &str) -> BTreeSet<usize> {
        self.of[session].iter().map(|(place, _)| *place).collect()
    }
}

fn say(player: &mut Player, messages: std::ops::Range<usize>) {
    messages.for_each(|number| player.send_text(&number.to_string()));
}

#[test]
fn each_event_of_all_nodes_is_at_one_link_of_a_share_and_at_each_that_is_alone() {
    let redis = Redis::start();
    let nodes = Nodes::start_with(3, &[&redis], patient);
    let [mut shared, mut alone, mut here] = [Desk::new(), Desk::new(), Desk::new()];
    for place in [0, 1] {
        let mut link = nodes.servers[place].link();
        listen(&mut link, &KINDS, Some("s"));
        shared.hears(place, link);
    }
    let mut link = nodes.servers[2].binary_link();
    listen(&mut link, &KINDS, None);
    alone.hears(0, link);
    // Where nothing is said of it, a link hears the sessions of its own node.
    let mut link = nodes.servers[2].link();
    link.listen(&KINDS, None);
    here.hears(0, link);
    let (sessions, messages) = (30, 20);
    let mut players: Vec<Player> =
        (0..sessions).map(|number| nodes.servers[number % 3].player(&format!("user=u{number}"))).collect();
    players.iter_mut().for_each(|player| say(player, 0..messages));
    players.into_iter().for_each(|player| drop(player.close(1000, "")));
    for desk in [&mut shared, &mut alone] {
        desk.until("close", sessions);
        desk.is_complete(sessions, messages);
    }
    here.until("close", sessions / 3);
    here.is_complete(sessions / 3, messages);
    // Each session has had one link, and each link some of the sessions of each node.
    let of: Vec<BTreeSet<usize>> = shared.of.keys().map(|session| shared.places(session)).collect();
    assert!(of.iter().all(|places| places.len() == 1), "{of:?}");
    assert_eq!(of.iter().flatten().collect::<BTreeSet<_>>().len(), 2);
    let scrape = nodes.servers[2].backend().scrape();
    assert_eq!(scrape.sum("gannet_links_elsewhere", &[]), 2);
    assert!(scrape.sum("gannet_link_events_sent_total", &[]) >= 10 * 22);
    assert_eq!(nodes.servers[2].backend().scrape().sum("gannet_link_events_received_total", &[]), 20 * 22);
}

#[test]
fn the_sessions_of_a_link_that_ends_go_to_another_one_on_another_node() {
    let redis = Redis::start();
    let nodes = Nodes::start_with(3, &[&redis], patient);
    let mut desk = Desk::new();
    let kinds = ["open", "message", "close", "assigned", "unassigned"];
    let mut links = [0, 1].map(|place| nodes.servers[place].link());
    links.iter_mut().for_each(|link| listen(link, &kinds, Some("s")));
    let [ends, stays] = links;
    let players: Vec<Player> = (0..20).map(|_| nodes.servers[2].player("")).collect();
    let mut players: Vec<(String, Player)> =
        players.into_iter().map(|player| (player.id.to_string(), player)).collect();
    players.iter_mut().for_each(|(_, player)| say(player, 0..10));
    desk.hears(1, stays);
    let ends = desk.hears(0, ends);
    desk.until("message", 200);
    let has = |desk: &Desk| desk.of.keys().filter(|session| desk.places(session).contains(&0)).count();
    let own = has(&desk);
    assert!((5..16).contains(&own), "{own}; {:?}", desk.others);
    let before = desk.count("assigned");
    ends.shutdown(Shutdown::Both).unwrap();
    desk.until("assigned", before + own);
    players.iter_mut().for_each(|(_, player)| say(player, 10..20));
    desk.until("message", 400);
    let numbers: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    for (session, player) in players {
        assert_eq!(desk.texts(&session), numbers);
        player.close(1000, "");
    }
    desk.until("close", 20);
}

#[test]
fn what_a_link_that_ends_under_load_has_not_read_others_get_or_is_counted() {
    let redis = Redis::start();
    let nodes = Nodes::start_with(3, &[&redis], patient);
    let mut desk = Desk::new();
    let hear = |desk: &Desk, place: usize| {
        let mut link = nodes.servers[place % 2].link();
        listen(&mut link, &KINDS, Some("s"));
        desk.hears(place, link)
    };
    let mut link = hear(&desk, 0);
    let _last = hear(&desk, 1);
    let speakers: Vec<Speaker> = (0..6).map(|_| Speaker::start(nodes.servers[2].player(""))).collect();
    for place in 2..5 {
        let before = desk.count("message");
        desk.until("message", before + 200);
        link.shutdown(Shutdown::Both).unwrap();
        link = hear(&desk, place);
    }
    let mut missing = 0;
    for speaker in speakers {
        let (session, said) = speaker.stop(&mut desk);
        let numbers: Vec<usize> = desk.texts(&session).iter().map(|text| text.parse().unwrap()).collect();
        assert!(numbers.is_sorted_by(|one, next| one < next), "{session}: {numbers:?}");
        missing += said - numbers.len();
    }
    let counted = |server: &crate::support::TestServer| {
        server.backend().scrape().sum("gannet_link_events_unconfirmed_total", &[])
    };
    let counted: u64 = nodes.servers.iter().map(counted).sum();
    assert!(missing as u64 <= counted, "{missing} are missing, and {counted} counted");
}

fn config(redis: &Redis, prefix: &str, name: &str, lease_ms: u32) -> String {
    format!(
        "[cluster]\nredis = ['{}']\nprefix = '{prefix}'\nname = '{name}'\nheartbeat_ms = 50\nlease_ms = {lease_ms}\npatience_ms = 60000\n\
         [timeouts]\nupgrade_start_ms = 60000\nhandover_ms = 60000\n",
        redis.url()
    )
}

fn until_known(nodes: &[&Ports]) {
    for ports in nodes {
        until("a whole cluster", || {
            let status = ports.backend().ok("GET", "/v1/cluster");
            status["ready"] == true && status["nodes"].as_array().unwrap().len() == nodes.len()
        });
    }
}

#[test]
fn the_sessions_of_links_of_a_node_that_was_killed_go_to_the_others() {
    let (redis, prefix) = (Redis::start(), prefix());
    let process =
        |name: &str| ServerProcess::start(&["--reactors", "2"], &config(&redis, &prefix, name, 1_000));
    let (dies, stays) = (process("dies"), process("stays"));
    until_known(&[&dies, &stays]);
    let mut desk = Desk::new();
    for (place, ports) in [&dies, &stays].into_iter().enumerate() {
        let mut link = ports.link();
        listen(&mut link, &["open", "message", "assigned"], Some("s"));
        desk.hears(place, link);
    }
    let gone: Vec<Player> = (0..10).map(|_| dies.player("")).collect();
    let mut players: Vec<Player> = (0..20).map(|_| stays.player("")).collect();
    desk.until("open", 30);
    players.iter_mut().for_each(|player| say(player, 0..5));
    desk.until("message", 100);
    let theirs = |desk: &Desk, player: &Player| desk.places(&player.id.to_string()) == BTreeSet::from([0]);
    let moved = players.iter().filter(|player| theirs(&desk, player)).count();
    assert!((5..16).contains(&moved), "{moved}");
    let before = desk.count("assigned");
    // This kills it with -9.
    drop(dies);
    desk.until("assigned", before + moved);
    players.iter_mut().for_each(|player| say(player, 5..10));
    desk.until("message", 200);
    for player in &players {
        let session = player.id.to_string();
        assert_eq!(desk.texts(&session), (0..10).map(|number| number.to_string()).collect::<Vec<_>>());
        assert_eq!(desk.of[&session].last().unwrap().0, 1);
    }
    // The link that is left had sessions of the other node, of which nobody tells the end.
    while !desk.others.iter().any(|(place, event)| (*place, &event["event"]) == (1, &json!("gap"))) {
        desk.next();
    }
    drop(gone);
}

/// A player who says numbers until it is told to stop; then how many it has said.
struct Speaker {
    stop: mpsc::Sender<()>,
    ended: thread::JoinHandle<usize>,
    session: String,
}

impl Speaker {
    fn start(mut player: Player) -> Self {
        let (stop, stops) = mpsc::channel::<()>();
        let session = player.id.to_string();
        let ended = thread::spawn(move || {
            let mut said = 0;
            while stops.try_recv().is_err() {
                say(&mut player, said..said + 1);
                said += 1;
                // A bound of what it says, not a wait for anything.
                thread::sleep(Duration::from_millis(1));
            }
            player.close(1000, "");
            said
        });
        Self { stop, ended, session }
    }

    /// It stops; how many numbers it has said. Its end has been heard.
    fn stop(self, desk: &mut Desk) -> (String, usize) {
        self.stop.send(()).unwrap();
        let said = self.ended.join().unwrap();
        while !desk.closed.contains(&self.session) {
            desk.next();
        }
        (self.session, said)
    }

    /// What it has said is what was heard of it.
    fn was_heard(self, desk: &mut Desk) {
        let (session, said) = self.stop(desk);
        assert_eq!(desk.texts(&session), (0..said).map(|number| number.to_string()).collect::<Vec<_>>());
    }
}

#[test]
fn nothing_is_lost_or_told_twice_while_redis_is_away_and_comes_back() {
    let mut redis = Redis::start();
    let nodes = Nodes::start_with(2, &[&redis], patient);
    let mut desk = Desk::new();
    let mut link = nodes.servers[0].link();
    listen(&mut link, &KINDS, None);
    desk.hears(0, link);
    let speakers: Vec<Speaker> = (0..4).map(|_| Speaker::start(nodes.servers[1].player(""))).collect();
    for _ in 0..2 {
        let before = desk.count("message");
        desk.until("message", before + 200);
        redis.kill();
        nodes.servers.iter().for_each(|server| until("Redis to be missed", || !is_ready(server)));
        redis.begin();
        nodes.until_whole();
        let before = desk.count("message");
        desk.until("message", before + 200);
    }
    speakers.into_iter().for_each(|speaker| speaker.was_heard(&mut desk));
    assert!(desk.others.is_empty(), "{:?}", desk.others);
}

#[test]
fn sessions_of_a_link_whose_node_is_not_heard_go_to_others_and_it_is_told_of_a_gap() {
    let mut redis = Redis::start();
    let nodes = Nodes::start_with(2, &[&redis], |config| {
        patient(config);
        config.timeouts.link_stalled = Duration::from_millis(300);
    });
    let mut desk = Desk::new();
    for (place, server) in nodes.servers.iter().enumerate() {
        let mut link = server.link();
        listen(&mut link, &["open", "message"], Some("s"));
        desk.hears(place, link);
    }
    let mut players: Vec<Player> = (0..12).map(|_| nodes.servers[1].player("")).collect();
    players.iter_mut().for_each(|player| say(player, 0..5));
    desk.until("message", 60);
    let of: Vec<BTreeSet<usize>> = desk.of.keys().map(|session| desk.places(session)).collect();
    assert!(of.iter().all(|places| places.len() == 1) && of.contains(&BTreeSet::from([0])), "{of:?}");
    redis.kill();
    nodes.servers.iter().for_each(|server| until("Redis to be missed", || !is_ready(server)));
    players.iter_mut().for_each(|player| say(player, 5..10));
    desk.until("message", 120);
    for player in &players {
        let session = player.id.to_string();
        assert_eq!(desk.texts(&session), (0..10).map(|number| number.to_string()).collect::<Vec<_>>());
        assert_eq!(desk.of[&session].last().unwrap().0, 1);
    }
    redis.begin();
    nodes.until_whole();
    // It hears again, and so it does of the gap.
    until_heard(&nodes.servers[1]);
    let _later = [0, 1].map(|_| nodes.servers[1].player(""));
    while !desk.others.iter().any(|(place, event)| (*place, &event["event"]) == (0, &json!("gap"))) {
        desk.next();
    }
}

/// Waits until a link of another node hears of the sessions here.
fn until_heard(ports: &Ports) {
    until("a link elsewhere", || ports.backend().scrape().sum("gannet_links_elsewhere", &[]) == 1);
}

#[test]
fn a_link_hears_of_the_sessions_of_a_node_that_comes_later() {
    let (redis, prefix) = (Redis::start(), prefix());
    let process =
        |name: &str| ServerProcess::start(&["--reactors", "2"], &config(&redis, &prefix, name, 60_000));
    let first = process("first");
    until_known(&[&first]);
    let mut link = first.link();
    listen(&mut link, &KINDS, None);
    let later = process("later");
    until_known(&[&first, &later]);
    until_heard(&later);
    let player = later.player("user=ada");
    let session = json!(player.id.to_string());
    player.close(1000, "");
    for kind in ["open", "close"] {
        let event = link.event();
        assert_eq!((&event["event"], &event["session"]), (&json!(kind), &session));
    }
}

#[test]
fn a_route_at_the_node_of_a_session_names_a_link_of_another_node() {
    let redis = Redis::start();
    let nodes = Nodes::start_with(3, &[&redis], patient);
    let mut desk = Desk::new();
    for place in [0, 1] {
        let mut link = nodes.servers[place].link();
        let name = format!("m{place}");
        let listen = json!({"op": "listen", "events": KINDS, "share": "s", "name": name, "scope": "cluster"});
        assert_eq!(link.command(listen), json!({}));
        desk.hears(place, link);
    }
    let mut player = nodes.servers[2].player("user=ada");
    let session = player.id.to_string();
    say(&mut player, 0..5);
    desk.until("message", 5);
    let other = 1 - desk.of[&session][0].0;
    let route = json!({"op": "route", "user": "ada", "link": format!("m{other}")});
    assert_eq!(nodes.servers[2].link().command(route), json!({"sessions": 1}));
    say(&mut player, 5..10);
    player.close(1000, "");
    desk.until("close", 1);
    desk.is_complete(1, 10);
    assert!(desk.of[&session][6..].iter().all(|(place, _)| *place == other), "{:?}", desk.of[&session]);
}

#[test]
fn an_upgrade_of_either_node_loses_nothing_and_tells_nothing_twice() {
    let (redis, prefix) = (Redis::start(), prefix());
    let node = |name: &str| Running::start(&["--reactors", "2"], &config(&redis, &prefix, name, 60_000));
    let (mut here, mut there) = (node("here"), node("there"));
    until_known(&[&here, &there]);
    let mut desk = Desk::new();
    let mut link = here.link();
    listen(&mut link, &KINDS, Some("s"));
    desk.hears(0, link);
    let mut link = here.link();
    listen(&mut link, &KINDS, Some("s"));
    desk.hears(1, link);
    let speakers: Vec<Speaker> = (0..4).map(|_| Speaker::start(there.player(""))).collect();
    for _ in 0..2 {
        for side in [&mut here, &mut there] {
            let before = desk.count("message");
            desk.until("message", before + 100);
            side.upgrade();
            let before = desk.count("message");
            desk.until("message", before + 100);
        }
    }
    speakers.into_iter().for_each(|speaker| speaker.was_heard(&mut desk));
    assert!(desk.others.is_empty(), "{:?}", desk.others);
    // A link that listens now hears at once, and has its part of what comes.
    let mut link = there.link();
    listen(&mut link, &KINDS, Some("s"));
    desk.hears(2, link);
    let late: Vec<String> = (0..9).map(|_| here.player("")).map(|player| player.id.to_string()).collect();
    while late.iter().any(|session| !desk.of.contains_key(session)) {
        desk.next();
    }
    assert!(late.iter().any(|session| desk.places(session) == BTreeSet::from([2])));
}

fn small(config: &mut Config) {
    patient(config);
    (config.limits.link_outbox_messages, config.cluster.link_window_messages) = (64, 8);
    // Somebody who does not read for so long is only slow.
    config.timeouts.link_stalled = Duration::from_secs(600);
}

#[test]
fn who_reads_slowly_slows_the_players_of_other_nodes_and_loses_nothing() {
    let redis = Redis::start();
    let nodes = Nodes::start_with(2, &[&redis], small);
    let mut link = nodes.servers[0].link();
    listen(&mut link, &["message"], None);
    let mut player = nodes.servers[1].player("");
    let session = player.id.to_string();
    // More than all sockets on the way take.
    let (count, long) = (6_000, "x".repeat(4_000));
    let speaks = thread::spawn(move || {
        (0..count).for_each(|number| player.send_text(&format!("{number} {long}")));
        player
    });
    let waits = || nodes.servers[1].backend().scrape().sum("gannet_link_events_sent_total", &[]);
    // Nobody reads the link: what is sent to it comes to rest long before the player has said everything.
    let (mut before, mut same) = (0, 0);
    until("the player to wait", || {
        let now = waits();
        same = if now == before { same + 1 } else { 0 };
        before = now;
        same > 20 && now > 0
    });
    assert!(before < count && !speaks.is_finished(), "{before}");
    for number in 0..count {
        let event = link.event();
        let text = event["text"].as_str().unwrap();
        assert_eq!(
            (text.split(' ').next(), &event["session"]),
            (Some(&*number.to_string()), &json!(session))
        );
    }
    speaks.join().unwrap().close(1000, "");
}

#[test]
fn what_a_link_with_scope_cluster_cannot_ask_for_is_refused() {
    let redis = Redis::start();
    let nodes = Nodes::start_with(2, &[&redis], patient);
    let mut link = nodes.servers[0].link();
    let snapshot = json!({"op": "listen", "events": ["open"], "scope": "cluster", "snapshot": true});
    let refused = link.try_command(snapshot).unwrap_err();
    assert_eq!(refused["code"], "bad_request", "{refused}");
    listen(&mut link, &["open"], None);
    let here = json!({"op": "listen", "events": ["open"], "scope": "node"});
    let refused = link.try_command(here).unwrap_err();
    assert_eq!(refused["code"], "conflict", "{refused}");
    assert!(refused["message"].as_str().unwrap().starts_with("scope:"), "{refused}");
    // It asks for other events, and has them when it is answered.
    listen(&mut link, &["close"], None);
    nodes.servers[1].player("user=ada").close(1000, "");
    let event = link.event();
    assert_eq!((&event["event"], &event["user"]), (&json!("close"), &json!("ada")));
}
