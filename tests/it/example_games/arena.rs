//! An arena in real time over the link: examples/arena.mjs. Its processes are killed, stopped and cut off, and the server is upgraded,
//! while bots play.

use super::Program;
use crate::support::{Player, Ports, Random, until};
use crate::upgrade::running::Running;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

const BOTS: usize = 24;
const SEATS: usize = 4;

fn arena(backend: SocketAddr, name: &str) -> Program {
    Program::start("node", "arena.mjs", &[&backend.to_string(), name])
}

/// The example's configuration, in which a link that is away lingers for so long, and a machine that is busy ends none.
fn config(linger: &str) -> String {
    let timeouts = format!("link_linger_ms = \"{linger}\"\nlink_idle_ms = \"30s\"");
    include_str!("../../../examples/arena.toml").replace("link_linger_ms = \"1s\"", &timeouts)
}

/// A player of the arena.
struct Bot {
    user: String,
    player: Player,
    random: Random,
    /// What it has said with a number, from 1.
    said: Vec<Value>,
    /// The number of its last `play`.
    seated: usize,
    /// The last state of the match that it is in or sees.
    state: Value,
    /// The processes that have had this match.
    owners: HashSet<String>,
    /// How often the match has got another one.
    handed_over: usize,
}

impl Bot {
    fn new(server: Ports, user: String, seed: usize) -> Self {
        let player = server.player(&format!("user={user}"));
        let (said, owners) = (Vec::new(), HashSet::new());
        let (state, random) = (Value::Null, Random::new(seed as u64));
        Self { user, player, random, said, seated: 0, state, owners, handed_over: 0 }
    }

    /// Says something that has a number.
    fn say(&mut self, mut what: Value) {
        what["n"] = (self.said.len() + 1).into();
        self.player.send_text(&what.to_string());
        self.said.push(what);
    }

    /// The next message, which is noted and checked if it is a state.
    fn read(&mut self) -> Value {
        let said: Value = serde_json::from_str(&self.player.recv_text()).unwrap();
        if said["players"].is_object() {
            self.note(said.clone());
        } else if said["left"] == self.state["match"] {
            self.forget();
        }
        said
    }

    /// Where this bot is in the state: the number that it has come to.
    fn come_to(&self) -> usize {
        self.state["players"][&self.user]["n"].as_u64().unwrap_or(0) as usize
    }

    fn owner(&self) -> &str {
        self.state["by"].as_str().unwrap()
    }

    fn note(&mut self, state: Value) {
        let before = std::mem::replace(&mut self.state, state);
        let state = &self.state;
        let players = state["players"].as_object().unwrap();
        assert!(players.len() <= SEATS, "{state}");
        let is_inside = |value: &Value| value.as_f64().is_some_and(|value| (0.0..=100.0).contains(&value));
        assert!(players.values().all(|player| is_inside(&player["x"]) && is_inside(&player["y"])), "{state}");
        let is_first = state["match"] != before["match"];
        if is_first {
            // It has watched another one, or none.
            assert!(before["players"][&self.user].is_null(), "{state} behind {before}");
            self.owners.clear();
        } else {
            assert!(state["tick"].as_u64() > before["tick"].as_u64(), "{state} behind {before}");
        }
        if is_first || state["by"] != before["by"] {
            assert!(
                self.owners.insert(self.owner().to_owned()),
                "it has had the match before: {}",
                self.state
            );
        }
        let n = self.come_to();
        if n < self.seated || self.seated == 0 {
            // It has no seat yet: this is the state that was before.
            return;
        }
        // All that it has said up to this number counts, once.
        let counted = &self.said[self.seated..n];
        let me = &self.state["players"][&self.user];
        let shots = counted.iter().filter(|said| said["shoot"].is_array()).count();
        assert_eq!(me["shots"], shots, "{me}: {counted:?}");
        let run = counted.iter().rev().find(|said| said["move"].is_array());
        let run = run.map_or(json!([0, 0]), |run| run["move"].clone());
        assert_eq!(json!([me["dx"], me["dy"]]), run, "{me}: {counted:?}");
        if !is_first && self.state["by"] != before["by"] {
            self.handed_over += 1;
            self.said[n..].iter().for_each(|said| self.player.send_text(&said.to_string()));
        }
    }

    /// Is given a seat.
    fn play(&mut self) {
        self.say(json!({"play": true}));
        self.seated = self.said.len();
        self.await_shown();
    }

    /// Reads until all that it has said has been counted.
    fn await_shown(&mut self) {
        while self.come_to() < self.said.len() {
            self.read();
        }
    }

    /// Says several things one after another, and sees them all.
    fn act(&mut self) {
        for _ in 0..=self.random.below(4) {
            let ways = [json!([1, 0]), json!([0, -1]), json!([-0.5, 0.5]), json!([0, 0])];
            let way = self.random.pick(&ways).clone();
            let what = if self.random.chance(50) { json!({"shoot": way}) } else { json!({"move": way}) };
            self.say(what);
        }
        self.await_shown();
    }

    /// Leaves the match that it is in or watches.
    fn leave(&mut self) {
        self.player.send_text(&json!({"leave": true}).to_string());
        self.seated = 0;
        while !self.state.is_null() {
            self.read();
        }
    }

    fn forget(&mut self) {
        self.state = Value::Null;
        self.owners.clear();
    }

    /// Watches a match for two of its states, or to its end.
    fn watch(&mut self, group: &str) {
        self.player.send_text(&json!({"watch": group}).to_string());
        let mut states = 0;
        while states < 2 {
            let said = self.read();
            if said["left"] == group {
                return;
            }
            states += usize::from(said["match"] == group);
        }
    }
}

/// Sets a flag when it is dropped, so that nobody waits for one who has failed.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Each bot does this once.
fn each(bots: &mut [Bot], act: impl Fn(&mut Bot) + Sync) {
    thread::scope(|scope| {
        for bot in bots {
            scope.spawn(|| act(bot));
        }
    });
}

/// They leave their matches, watch others, and play again.
fn wander(bots: &mut [Bot]) {
    let groups: Vec<String> =
        bots.iter().map(|bot| bot.state["match"].as_str().unwrap().to_owned()).collect();
    each(bots, |bot| {
        for _ in 0..3 {
            bot.act();
            if bot.random.chance(70) {
                bot.leave();
                if bot.random.chance(50) {
                    let group = bot.random.pick(&groups).clone();
                    bot.watch(&group);
                }
                bot.play();
            }
        }
    });
}

/// The bots play on while something happens, and for some time after it.
fn play_while(bots: &mut [Bot], happens: impl FnOnce()) {
    let has_happened = AtomicBool::new(false);
    thread::scope(|scope| {
        for bot in bots {
            scope.spawn(|| {
                while !has_happened.load(Ordering::Relaxed) {
                    bot.act();
                }
                (0..5).for_each(|_| bot.act());
            });
        }
        let _ends = Ends(&has_happened);
        happens();
    });
}

/// Those whose match is one of a process with this name.
fn of<'a>(bots: &'a [Bot], name: &str) -> impl Iterator<Item = &'a Bot> {
    let prefix = format!("{name}-");
    bots.iter().filter(move |bot| bot.owner().starts_with(&prefix))
}

/// All members of a match see the same process.
fn check_owners(bots: &[Bot]) {
    for bot in bots {
        let others = bots.iter().filter(|other| other.state["match"] == bot.state["match"]);
        others.for_each(|other| assert_eq!(other.owner(), bot.owner()));
    }
}

#[test]
fn bots_play_in_arenas_whose_processes_die_and_come_anew() {
    let mut server = Running::start(&["--reactors", "2"], &config("1s"));
    let [red, green, _blue] = ["red", "green", "blue"].map(|name| arena(server.backend, name));
    let mut bots: Vec<Bot> = (0..BOTS).map(|seed| Bot::new(*server, format!("bot{seed}"), seed)).collect();
    each(&mut bots, Bot::play);
    wander(&mut bots);
    assert!(["red", "green", "blue"].into_iter().all(|name| of(&bots, name).next().is_some()));
    // One is killed; its players wait for its link to come back, in vain.
    play_while(&mut bots, || {
        drop(red);
        server.upgrade();
    });
    assert_eq!(of(&bots, "red").count(), 0);
    assert!(bots.iter().any(|bot| bot.handed_over > 0));
    check_owners(&bots);
    wander(&mut bots);
    // Another one is stopped, for one that takes its place.
    let mut _pink = None;
    play_while(&mut bots, || {
        _pink = Some(arena(server.backend, "pink"));
        server.upgrade();
        green.stop();
    });
    assert_eq!(of(&bots, "green").count(), 0);
    check_owners(&bots);
    wander(&mut bots);
    assert_eq!(server.backend().stats()["link_events_lost"], 0);
}

/// A way to the backend port whose connections can be cut.
struct Wire {
    address: SocketAddr,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Wire {
    fn to(backend: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let wire = Self { address: listener.local_addr().unwrap(), open: Arc::default() };
        let open = Arc::clone(&wire.open);
        thread::spawn(move || {
            for near in listener.incoming() {
                let ends = [near.unwrap(), TcpStream::connect(backend).unwrap()];
                open.lock().unwrap().extend(ends.each_ref().map(|end| end.try_clone().unwrap()));
                for (from, to) in [(0, 1), (1, 0)] {
                    let [mut from, mut to] = [from, to].map(|end: usize| ends[end].try_clone().unwrap());
                    thread::spawn(move || {
                        // It ends with an error where it is cut.
                        let _ = io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        wire
    }

    fn is_open(&self) -> bool {
        !self.open.lock().unwrap().is_empty()
    }

    fn cut(&self) {
        // The other side may have ended it.
        self.open.lock().unwrap().drain(..).for_each(|end| _ = end.shutdown(Shutdown::Both));
    }
}

/// What is said once is counted once, wherever it was when the link was cut: nobody says it again here.
#[test]
fn an_arena_that_is_cut_off_misses_nothing() {
    let mut server = Running::start(&["--reactors", "2"], &config("10m"));
    let wire = Wire::to(server.backend);
    let _red = arena(wire.address, "red");
    let mut bots: Vec<Bot> = (0..8).map(|seed| Bot::new(*server, format!("bot{seed}"), seed)).collect();
    each(&mut bots, Bot::play);
    play_while(&mut bots, || {
        for round in 0..6 {
            wire.cut();
            if round % 2 == 1 {
                server.upgrade();
            }
            until("it is back", || wire.is_open());
        }
        server.upgrade();
        wire.cut();
    });
    assert!(bots.iter().all(|bot| bot.handed_over == 0));
}
