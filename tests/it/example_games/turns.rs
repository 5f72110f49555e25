//! Noughts and crosses over HTTP: examples/turns.py.

use super::Program;
use crate::support::{Player, Ports, Random};
use crate::upgrade::running::Running;
use serde_json::{Value, json};
use std::thread;

/// One who plays noughts and crosses.
struct Bot {
    user: String,
    player: Player,
    state: Value,
}

impl Bot {
    fn new(server: Ports, user: String) -> Self {
        let player = server.player(&format!("user={user}"));
        Self { user, player, state: Value::Null }
    }

    /// Reads until the state is such.
    fn see(&mut self, enough: impl Fn(&Value) -> bool) {
        while !enough(&self.state) {
            let said: Value = serde_json::from_str(&self.player.recv_text()).unwrap();
            assert_eq!(said.get("error"), None, "{said}");
            self.state = said;
        }
    }
}

/// Two bots that are opponents.
fn pair(server: Ports, names: [String; 2]) -> [Bot; 2] {
    let mut bots = names.map(|user| Bot::new(server, user));
    bots.iter_mut().for_each(|bot| bot.see(|state| state["players"].is_array()));
    assert_eq!(bots[0].state["match"], bots[1].state["match"]);
    bots
}

/// They play to the end. In the middle one of them comes with another connection, which has the state by itself.
fn play(server: Ports, mut bots: [Bot; 2], random: &mut Random) {
    for moves in 0.. {
        bots.iter_mut().for_each(|bot| bot.see(|state| taken(state) == moves));
        assert_eq!(bots[0].state, bots[1].state);
        let state = bots[0].state.clone();
        let Some(turn) = state["turn"].as_str() else { break };
        if moves == 3 {
            let user = bots[1].user.clone();
            bots[1] = Bot::new(server, user);
            bots[1].see(|seen| *seen == state);
        }
        let cells = state["cells"].as_str().unwrap().as_bytes();
        let free: Vec<usize> = (0..9).filter(|cell| cells[*cell] == b'.').collect();
        let bot = bots.iter_mut().find(|bot| bot.user == turn).unwrap();
        bot.player.send_text(&json!({"cell": random.pick(&free)}).to_string());
    }
    let state = &bots[0].state;
    assert!(state["winner"].is_string() || taken(state) == 9, "{state}");
}

fn taken(state: &Value) -> usize {
    state["cells"].as_str().map_or(0, |cells| cells.bytes().filter(|cell| *cell != b'.').count())
}

#[test]
fn bots_play_noughts_and_crosses_over_http() {
    let config = include_str!("../../../examples/turns.toml").replace("\"5s\"", "\"300ms\"");
    let mut server = Running::start(&["--reactors", "2"], &config);
    let _backend = Program::start("python3", "turns.py", &[&server.backend.to_string()]);
    for round in 0..3 {
        thread::scope(|scope| {
            for number in 0..5 {
                let bots = pair(*server, ["a", "b"].map(|name| format!("{name}{round}-{number}")));
                let server = *server;
                scope.spawn(move || play(server, bots, &mut Random::new(round * 10 + number)));
            }
        });
        server.upgrade();
    }
    // Who goes has lost.
    let [mut stays, goes] = pair(*server, ["stays".into(), "goes".into()]);
    goes.player.close(1000, "");
    stays.see(|state| state["winner"] == "stays");
}
