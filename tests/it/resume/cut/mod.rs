//! `gannet bench resume` against a real server: players whose connections are cut in every way have everything once and in order,
//! or are told the true reason. So it is through upgrades, where sockets are killed at the server's side, and where a path through
//! the network swallows everything.
//!
//! `RESUME_PLAYERS=2000 RESUME_SECONDS=900 cargo test --release --all-features --test it resume::cut` is the long form.

mod network;

use super::*;
use crate::upgrade::running::Running;
use network::Network;
use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;

/// Sessions wait for so long: some players stay away for longer.
const CONFIG: &str = "apps.default.resume.linger_ms = 2000\n[log]\nlevel = 'warn'\n";

fn parameter(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().expect("a number"))
}

fn players() -> u64 {
    parameter("RESUME_PLAYERS", 60)
}

fn seconds() -> u64 {
    parameter("RESUME_SECONDS", 6)
}

/// A run of the load.
struct Run {
    child: Child,
}

impl Run {
    /// With these arguments behind those that each run has, which are `players` and `seconds`, and rates that go with them.
    fn start(server: &Ports, more: &str) -> Self {
        let rate = (players() * 4).max(400);
        let args = format!(
            "--url ws://{}/ws --backend {} -c {} -d {}s -r {rate} --cuts-per-second {} {more}",
            server.client,
            server.backend,
            players(),
            seconds(),
            players() / 3,
        );
        Self::begin(Command::new(env!("CARGO_BIN_EXE_gannet")), &args)
    }

    fn begin(mut command: Command, args: &str) -> Self {
        let args = args.replacen("--url ", "", 1);
        command.args(["bench", "resume"]).args(args.split_whitespace()).args(["--json", "-"]);
        command.env_remove("GANNET_KEY").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { child: command.spawn().unwrap() }
    }

    /// Its figures, once it has ended without a fault.
    fn sound(self) -> Figures {
        let (code, json, said) = self.ended();
        assert_eq!(code, Some(0), "{said}");
        assert!(said.ends_with("\n0 lost, 0 doubled, 0 misordered\n"), "{said}");
        Figures(serde_json::from_str(&json).unwrap())
    }

    /// Its exit code, and what it says.
    fn ended(self) -> (Option<i32>, String, String) {
        let output = self.child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }
}

struct Figures(Value);

impl Figures {
    fn of(&self, name: &str) -> f64 {
        let figures = self.0["figures"].as_array().unwrap();
        let figure = figures.iter().find(|figure| figure["name"] == name);
        figure.unwrap_or_else(|| panic!("{name} in {}", self.0))["value"].as_f64().unwrap()
    }

    fn has(&self, names: &[&str]) {
        names.iter().for_each(|name| assert!(self.of(name) > 0.0, "{name}: {}", self.0));
    }
}

#[test]
fn players_whose_connections_are_cut_have_everything_once_or_hear_the_truth() {
    let server = ServerProcess::start(&["--reactors", "2"], CONFIG);
    let figures = Run::start(&server, "").sound();
    figures.has(&[
        "cut by a reset",
        "cut by a FIN",
        "left half open",
        "away for a while",
        "resumed",
        "not resumed: expired",
        "messages checked",
        "replaced by a later one",
    ]);
    assert_eq!(figures.of("not resumed: other reasons"), 0.0);
}

#[test]
fn so_it_is_through_upgrades_and_where_sockets_are_killed_at_the_servers_side() {
    let mut server = Running::start(&["--reactors", "2"], CONFIG);
    let run = Run::start(&server, "");
    let at = |part: u64| Duration::from_millis(seconds() * 1000 * part / 4);
    let started = Instant::now();
    server.await_stats("all are there", |stats| stats["sessions"].as_u64() >= Some(players()));
    let mut killed = 0;
    for part in [1, 2, 3] {
        thread::sleep(at(part).saturating_sub(started.elapsed()));
        killed += kill_sockets(server.client, 8);
        server.upgrade();
        killed += kill_sockets(server.client, 8);
    }
    let figures = run.sound();
    figures.has(&["resumed", "not resumed: expired"]);
    assert!(killed > 0 && figures.of("ended by others") > 0.0, "{killed} killed: {}", figures.0);
}

#[test]
fn so_it_is_with_small_rings_ticks_and_a_claim_a_turn() {
    let config = "limits.turn_resumes = 1\n[apps.default]\ntick_ms = 20\nresume = { linger_ms = 2000, messages = 8, bytes = 2000 }\n\
                  [log]\nlevel = 'warn'\n";
    let server = ServerProcess::start(&["--reactors", "2"], config);
    let figures = Run::start(&server, "--how reset,half-open,away").sound();
    figures.has(&["resumed"]);
    assert_eq!(figures.of("not resumed: other reasons"), 0.0);
}

#[test]
fn a_path_that_swallows_everything_is_left_for_another_one() {
    let network = Network::new();
    let config = network.file("gannet.toml");
    fs::write(&config, format!("insecure = true\n{CONFIG}")).unwrap();
    let server = ServerProcess::start_at(&[
        "--reactors",
        "2",
        "--listen",
        "0.0.0.0:0",
        "--backend",
        "127.0.0.1:0",
        "--config",
        config.to_str().unwrap(),
    ]);
    let port = server.client.port();
    let [one, other] = network.hosts();
    let args = format!(
        "--url ws://{one}:{port}/ws --other-url ws://{other}:{port}/ws --backend {} --i-own-this-server --silence 1s -c {} -d {}s -r 800 \
         --cuts-per-second 5",
        network.relay(server.backend),
        players(),
        seconds().max(6)
    );
    let run = Run::begin(network.inside(env!("CARGO_BIN_EXE_gannet")), &args);
    server.await_stats("all are there", |stats| stats["sessions"].as_u64() >= Some(players()));
    let pushed = |more: u64| {
        let before = server.backend().stats()["pushes"].as_u64().unwrap();
        server.await_stats("pushes", |stats| stats["pushes"].as_u64().unwrap() >= before + more);
    };
    for path in [0, 1, 0] {
        pushed(200);
        network.swallow(path, true);
        pushed(600);
        network.swallow(path, false);
    }
    let figures = run.sound();
    figures.has(&["given up as silent", "resumed"]);
}

#[test]
fn all_are_cut_at_once_and_come_back_at_once() {
    let server = ServerProcess::start(&["--reactors", "2"], CONFIG);
    let args =
        format!("ws://{}/ws --backend {} -c {} --all-at-once", server.client, server.backend, players());
    let figures = Run::begin(Command::new(env!("CARGO_BIN_EXE_gannet")), &args).sound();
    assert_eq!(figures.of("resumed"), players() as f64);
    figures.has(&["all were back after", "messages checked"]);
}

#[test]
fn what_cannot_be_run_says_why() {
    let server = ServerProcess::start(&[], "[log]\nlevel = 'warn'\n");
    let args = format!("ws://{}/ws --backend {} -c 4 -d 1s", server.client, server.backend);
    let (code, _, said) = Run::begin(Command::new(env!("CARGO_BIN_EXE_gannet")), &args).ended();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("the sessions of the app default may not resume"), "{said}");
}

#[test]
fn what_is_lost_doubled_or_swapped_on_the_way_is_told() {
    let server = ServerProcess::start(
        &["--reactors", "2"],
        "apps.default.resume.linger_ms = 2000\n[log]\nlevel = 'warn'\n",
    );
    let players = crate::soak::spoiling_proxy(server.client);
    let args =
        format!("ws://{players}/ws --backend {} -c 8 -d 3s -r 300 --cuts-per-second 0", server.backend);
    let (code, _, said) = Run::begin(Command::new(env!("CARGO_BIN_EXE_gannet")), &args).ended();
    assert_eq!(code, Some(1), "{said}");
    for kind in ["lost", "doubled", "misordered"] {
        assert!(said.contains(&format!("\n  {kind}: push ")), "{said}");
    }
}

/// Kills sockets that the server has of its client port, as an operator can. Returns how many.
fn kill_sockets(port: SocketAddr, most: usize) -> usize {
    let filter = format!("sport = :{}", port.port());
    let list = Command::new("ss").args(["-Htn", "state", "established", &filter]).output().unwrap();
    let lines = String::from_utf8_lossy(&list.stdout).into_owned();
    let peers = lines.lines().filter_map(|line| line.split_whitespace().nth(3)).take(most);
    let kill = |peer: &str| {
        let one = format!("{filter} and dst {peer}");
        let kill = Command::new("ss").args(["-K", "-Htn", &one]).output().unwrap();
        kill.status.success() && !kill.stdout.is_empty()
    };
    peers.filter(|peer| kill(peer)).count()
}
