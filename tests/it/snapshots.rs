//! State on arrival: a link that asks for a snapshot is told of every session that is there, then that these were all, and then what
//! happens; nothing between is lost, and nothing is left that has gone.

use crate::links::session;
use crate::ownership::{OWNER, owner};
use crate::support::{DEADLINE, Link, Player, Random, TestServer, until};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Shutdown;
use std::time::Instant;

const EVENTS: [&str; 4] = ["open", "close", "join", "leave"];

/// How many recoveries a test makes; the long form makes a thousand.
fn recoveries() -> usize {
    std::env::var("RECOVERIES").map_or(40, |recoveries| recoveries.parse().unwrap())
}

/// What a backend knows of sessions: of each its groups.
#[derive(Default)]
struct Known {
    groups: BTreeMap<String, BTreeSet<String>>,
    /// Those that it was told of since it has asked for all.
    told: BTreeSet<String>,
    /// Those of the snapshot.
    of_snapshot: BTreeSet<String>,
    is_synced: bool,
}

impl Known {
    fn note(&mut self, event: &Value) {
        let name = |field: &str| event[field].as_str().unwrap().to_owned();
        match event["event"].as_str().unwrap() {
            "session" => {
                assert!(!self.is_synced, "{event} behind the end of the snapshot");
                let groups = event["groups"].as_array().unwrap().iter();
                let groups = groups.map(|group| group.as_str().unwrap().to_owned()).collect();
                self.groups.insert(session(event), groups);
                assert!(self.of_snapshot.insert(session(event)), "{event} comes twice");
                self.told.insert(session(event));
            }
            "open" => {
                self.groups.insert(session(event), BTreeSet::new());
                self.told.insert(session(event));
            }
            "close" => _ = self.groups.remove(&session(event)),
            "join" => _ = self.groups.get_mut(&session(event)).unwrap().insert(name("group")),
            "leave" => {
                // Of one that has gone before it was told of, the leaves and the close come alone.
                let groups = self.groups.get_mut(&session(event));
                groups.into_iter().for_each(|groups| _ = groups.remove(&name("group")));
            }
            "synced" => {
                self.is_synced = true;
                let told = &self.told;
                self.groups.retain(|id, _| told.contains(id));
            }
            other => panic!("{other}"),
        }
    }

    /// Reads until the snapshot is there, and all that has happened.
    fn catch_up(&mut self, link: &mut Link) {
        let began = Instant::now();
        loop {
            link.command(json!({"op": "destroy", "group": "nobody"}));
            link.events_so_far().iter().for_each(|event| self.note(event));
            if self.is_synced {
                return;
            }
            assert!(began.elapsed() < DEADLINE, "the snapshot does not end");
        }
    }
}

/// Players who come, go and change their groups.
struct Churn {
    players: Vec<(Player, BTreeSet<String>)>,
    random: Random,
}

impl Churn {
    fn step(&mut self, server: &TestServer) {
        let at = self.random.below(self.players.len().max(1));
        let group = format!("g{}", self.random.below(4));
        match self.random.below(6) {
            0 | 1 if self.players.len() < 60 => {
                let player = server.player(&format!("group={group}"));
                self.players.push((player, [group].into()));
            }
            2 if self.players.len() > 20 => _ = self.players.swap_remove(at).0.close(1000, ""),
            3 | 4 => {
                let (player, groups) = &mut self.players[at];
                let target = format!("/v1/groups/{group}/members?session={}", player.id);
                server.backend().change("POST", &target);
                groups.insert(group);
            }
            _ => {
                let (player, groups) = &mut self.players[at];
                let target = format!("/v1/groups/{group}/members?session={}", player.id);
                server.backend().change("DELETE", &target);
                groups.remove(&group);
            }
        }
    }

    fn truth(&self, server: &TestServer) -> BTreeMap<String, BTreeSet<String>> {
        let count = self.players.len();
        server.await_stats("those that have gone have gone", |stats| stats["sessions"] == count);
        self.players.iter().map(|(player, groups)| (player.id.to_string(), groups.clone())).collect()
    }
}

#[test]
fn who_recovers_by_snapshot_knows_all_that_are_there_and_no_others() {
    let server = TestServer::start(|_| ());
    let players = (0..40).map(|_| (server.player("group=g0"), BTreeSet::from(["g0".to_owned()])));
    let mut churn = Churn { players: players.collect(), random: Random::new(5) };
    let (mut link, mut known) = (server.link(), Known::default());
    for recovery in 0..recoveries() {
        // A new link in either form, or the one that is there once more.
        match recovery % 3 {
            0 => (link, known) = (server.link(), Known::default()),
            1 => (link, known) = (server.binary_link(), Known::default()),
            _ => known = Known { groups: known.groups, ..Known::default() },
        }
        (0..4).for_each(|_| churn.step(&server));
        // What has happened before it asks is not what it asks for.
        if recovery % 3 == 2 {
            link.command(json!({"op": "destroy", "group": "nobody"}));
            link.events_so_far().iter().for_each(|event| known.note(event));
            known.told.clear();
        }
        link.send(json!({"op": "listen", "events": EVENTS, "snapshot": true}));
        (0..8).for_each(|_| churn.step(&server));
        assert_eq!(link.receive().1, Ok(json!({})));
        known.catch_up(&mut link);
        let truth = churn.truth(&server);
        // All of it is on its way before the answer to this.
        link.command(json!({"op": "destroy", "group": "nobody"}));
        link.events_so_far().iter().for_each(|event| known.note(event));
        assert_eq!(known.groups, truth, "recovery {recovery}");
    }
}

#[test]
fn a_snapshot_under_a_share_is_of_what_is_the_links_own() {
    const PLAYERS: usize = 60;
    let server = TestServer::start(|_| ());
    let players: Vec<Player> = (0..PLAYERS).map(|_| server.player("user=ada&group=g&tag=ios")).collect();
    // The first has all that are there, and is told of them in the words that it has asked for.
    let mut first = owner(&server, true, json!({"snapshot": true}));
    let mut own: BTreeSet<String> = BTreeSet::new();
    for _ in 0..PLAYERS {
        let event = first.event();
        assert_eq!((&event["event"], &event["groups"]), (&json!("session"), &json!(["g"])), "{event}");
        assert!(own.insert(session(&event)));
    }
    assert_eq!(first.event(), json!({"event": "synced"}));
    assert!(players.iter().all(|player| own.contains(&player.id.to_string())));
    let mut second = owner(&server, false, json!({"snapshot": true}));
    assert_eq!(second.event(), json!({"event": "synced"}), "none is its own");
    let new = server.player("user=bob");
    assert_eq!((&second.event()["event"], &second.event()["event"]), (&json!("assigned"), &json!("open")));
    // Asked for again it is what it has now.
    let again = json!({"op": "listen", "events": OWNER, "share": "s", "snapshot": true});
    second.command(again);
    let event = second.event();
    assert_eq!((&event["event"], session(&event)), (&json!("session"), new.id.to_string()));
    assert_eq!(second.event(), json!({"event": "synced"}));
}

/// A snapshot that is larger than what may be on its way to a link waits for its reader, and what happens meanwhile is behind what
/// the session was.
#[test]
fn a_snapshot_beyond_the_bound_of_a_link_comes_in_pages_that_wait_for_the_reader() {
    const PLAYERS: usize = 300;
    let server = TestServer::start(|config| {
        config.limits.link_outbox_messages = 16;
        config.limits.socket_unsent_bytes = 4096;
    });
    let mut players: Vec<Player> = (0..PLAYERS).map(|_| server.player("")).collect();
    for is_binary in [false, true] {
        let mut link = if is_binary { server.binary_link() } else { server.link() };
        link.send(json!({"op": "listen", "events": ["message"], "snapshot": true}));
        assert_eq!(link.receive().1, Ok(json!({})));
        // It listens, and has not been told of all.
        players.iter_mut().step_by(3).for_each(|player| player.send_text("0"));
        let mut told = BTreeSet::new();
        let (mut said, mut is_synced) = (0, false);
        while !is_synced || said < PLAYERS / 3 {
            let event = link.event();
            match event["event"].as_str().unwrap() {
                "session" => assert!(told.insert(session(&event)), "{event}"),
                "message" => {
                    assert!(told.contains(&session(&event)), "{event} before what it was");
                    said += 1;
                }
                _ => is_synced = true,
            }
        }
        assert_eq!(told.len(), PLAYERS);
    }
    assert_eq!(server.backend().stats()["link_events_lost"], 0);
}

/// Of a link that has no connection less is kept than there are sessions to tell it of: they wait until it is back.
#[test]
fn a_link_that_is_away_is_told_of_more_sessions_than_are_kept_of_it() {
    const PLAYERS: usize = 200;
    let server = TestServer::start(|config| config.limits.link_kept_messages = 16);
    let (mut away, first) = Link::resume(server.backend, false, "new", None);
    away.command(json!({"op": "listen", "events": OWNER, "share": "s", "name": "m0"}));
    let owns_all = owner(&server, true, json!({"name": "m1"}));
    for number in 0..PLAYERS {
        server.backend().change("POST", &format!("/v1/route?user=u{number}&link=m1"));
    }
    let _players: Vec<Player> =
        (0..PLAYERS).map(|number| server.player(&format!("user=u{number}"))).collect();
    away.stream().shutdown(Shutdown::Both).unwrap();
    server.await_stats("it is away", |stats| stats["links_away"] == 1);
    owns_all.stream().shutdown(Shutdown::Both).unwrap();
    until("it has been told of as many as may be", || {
        server.backend().scrape().sum("gannet_link_kept_events", &[]) >= 8
    });
    let (mut back, first) = Link::resume(server.backend, false, first["resume"].as_str().unwrap(), Some(0));
    assert_eq!(first["resumed"], true);
    let told: BTreeSet<String> = (0..PLAYERS).map(|_| session(&back.event())).collect();
    assert_eq!(told.len(), PLAYERS);
    assert_eq!(server.backend().stats()["link_events_lost"], 0);
}
