//! `gannet bench` against the real server, with loads that take a second: that every kind of load runs, that what it counts
//! is so, and that it keeps to what is not its business. How fast anything is, is not asked here.

use crate::support::*;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use tungstenite::{Message, WebSocket};

const QUIET: &str = "[log]\nlevel = 'warn'\n";

pub fn bench(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gannet"));
    command.arg("bench").args(args).env_remove("GANNET_KEY").stdin(Stdio::null());
    command.output().unwrap()
}

/// Runs a load that must succeed, and answers its JSON.
pub fn run(shape: &str, url: &str, args: &str) -> Value {
    let mut all = vec![shape, url, "--json", "-"];
    all.extend(args.split_whitespace());
    let output = bench(&all);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{all:?}: {said}");
    assert!(said.starts_with(shape), "the table goes where the JSON does not: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

pub fn figure(result: &Value, name: &str) -> f64 {
    let figures = result["figures"].as_array().unwrap();
    let figure = figures.iter().find(|figure| figure["name"] == name);
    figure.unwrap_or_else(|| panic!("no figure {name} in {result}"))["value"].as_f64().unwrap()
}

pub fn count_of(result: &Value, latency: &str) -> u64 {
    let latencies = result["latencies"].as_array().unwrap();
    let latency = latencies.iter().find(|each| each["name"] == latency).unwrap();
    latency["count"].as_u64().unwrap()
}

pub fn assert_none(result: &Value, names: &[&str]) {
    for name in names {
        assert_eq!(figure(result, name), 0.0, "{name}: {result}");
    }
}

pub fn server() -> (ServerProcess, String, String) {
    let server = ServerProcess::start(&["--echo", "--reactors", "2"], QUIET);
    let (client, backend) = (format!("ws://{}", server.client), format!("--backend {}", server.backend));
    (server, client, backend)
}

pub struct TempFile(PathBuf);

impl TempFile {
    pub fn new(name: &str, content: &str) -> Self {
        let path = std::env::temp_dir().join(format!("gannet-bench-{}-{name}", std::process::id()));
        std::fs::File::create(&path).unwrap().write_all(content.as_bytes()).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn echoes_at_a_rate_and_as_fast_as_it_goes() {
    let (server, client, _) = server();
    let url = format!("{client}/echo");
    let pid = server.pid();
    let open = run("echo", &url, &format!("-c 5 -r 100 -d 1s --warm-up 100ms --pid {pid}"));
    assert_eq!(count_of(&open, "round trip"), 100, "every message of the window is timed");
    assert_none(&open, &["unanswered", "lost connections", "wrong answers"]);
    assert!(figure(&open, "server memory") > 0.0);
    assert_eq!(open["settings"]["pace"], "open loop, 100/s");

    let closed = run("echo", &url, "-c 5 -s 2000 --text --closed -i 4 -d 1s --warm-up 0 --threads 2");
    assert!(count_of(&closed, "round trip") > 0);
    assert_none(&closed, &["unanswered", "lost connections", "wrong answers"]);

    let empty = run("echo", &url, "-c 1 -s 0 -r 50 -d 200ms --warm-up 0 --spin");
    assert_eq!(count_of(&empty, "round trip"), 10);
}

#[test]
fn a_soak_misses_nothing() {
    let (_server, client, _) = server();
    let soak = run("soak", &format!("{client}/echo"), "-c 4 -r 200 -d 1s --warm-up 0");
    // The connections are warmed with numbered messages too.
    assert!(figure(&soak, "sent") >= 200.0);
    assert_none(&soak, &["lost", "doubled", "misordered", "unanswered"]);
}

#[test]
fn pushes_by_http_by_the_link_and_by_a_template() {
    let (_server, client, backend) = server();
    let url = format!("{client}/ws");
    let none = ["lost", "doubled", "misordered", "never published", "publishes refused", "lost connections"];
    for how in ["", "--via link", "--via link-bin", "--receipt written --publishers 3", "--across"] {
        let pushed = run("push", &url, &format!("-c 6 -r 100 -d 500ms --warm-up 0 {backend} {how}"));
        assert_eq!(count_of(&pushed, "publish to read"), 50, "{how}");
        assert_none(&pushed, &none);
    }
    let closed = run("push", &url, &format!("-c 6 --closed -i 3 -d 1s --warm-up 0 {backend} --threads 2"));
    assert!(count_of(&closed, "publish to read") > 0);
    assert_none(&closed, &none);

    // As any server would be measured: clients that say who they are, and a request that names them.
    let template = TempFile::new("template", "POST /v1/push?user=u{session}&receipt=none\n\n{payload}");
    let url = format!("{client}/ws?user=u{{session}}");
    let file = template.path();
    let foreign =
        run("push", &url, &format!("-c 6 -r 100 -d 500ms --warm-up 0 {backend} --publish-template {file}"));
    assert_eq!(count_of(&foreign, "publish to read"), 50);
    assert_none(&foreign, &none);
}

#[test]
fn a_fan_out_reaches_everybody() {
    let (_server, client, backend) = server();
    let url = format!("{client}/ws");
    let fanout = run("fanout", &url, &format!("-c 30 -r 20 -d 500ms --warm-up 0 --threads 2 {backend}"));
    assert_eq!(count_of(&fanout, "delivery"), 300);
    assert_eq!((count_of(&fanout, "first delivery"), count_of(&fanout, "last delivery")), (10, 10));
    assert_none(&fanout, &["missing deliveries", "doubled deliveries", "publishes refused"]);
    for via in ["link", "link-bin"] {
        let load = format!("-c 30 --closed -d 1s --warm-up 0 --via {via} {backend}");
        let closed = run("fanout", &url, &load);
        assert_eq!(count_of(&closed, "delivery"), 30 * count_of(&closed, "last delivery"));
        assert_none(&closed, &["missing deliveries", "doubled deliveries"]);
    }
}

#[test]
fn connections_come_and_go_and_stay() {
    let (server, client, _) = server();
    let connect = run("connect", &format!("{client}/echo"), "-c 4 -r 50 -d 500ms");
    assert_eq!(count_of(&connect, "handshake"), 25);
    assert_none(&connect, &["refused"]);
    assert!(count_of(&run("connect", &format!("{client}/ws"), "-c 4 -d 1s"), "handshake") > 0);

    let url = format!("{client}/ws?user=u{{session}}&group=g");
    let idle = run("idle", &url, &format!("-c 200 -d 200ms --pid {}", server.pid()));
    assert_eq!((figure(&idle, "sessions"), figure(&idle, "lost connections")), (200.0, 0.0));
    assert!(figure(&idle, "memory before") > 0.0 && figure(&idle, "memory after all have gone") > 0.0);
    server.await_stats("nobody", |totals| totals["sessions"] == 0);
}

/// Round trips that warm a connection.
pub const WARM: u64 = 20;

/// Serves one connection; `on` hears of each message after the warm-up, by its number.
pub fn serve(
    mut on: impl FnMut(u64, Message, &mut WebSocket<TcpStream>) + Send + 'static,
) -> (String, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut socket = tungstenite::accept(stream).unwrap();
        let mut number = 0_u64;
        while let Ok(message) = socket.read() {
            if message.is_close() {
                continue;
            }
            match number.checked_sub(WARM) {
                None => socket.send(message).unwrap(),
                Some(number) => on(number, message, &mut socket),
            }
            number += 1;
        }
    });
    (url, server)
}

#[test]
fn a_server_that_stalls_cannot_hide_it() {
    // Its first answer waits for the thirtieth message, which is due 290 ms after the first one. A load that waited for its
    // answers would have sent one message in that time.
    let mut held = Vec::new();
    let (url, server) = serve(move |number, message, socket| {
        held.push(message);
        if number >= 29 {
            held.drain(..).for_each(|message| socket.send(message).unwrap());
        }
    });
    let echo = run("echo", &url, "-c 1 -r 100 -d 1s --warm-up 0");
    server.join().unwrap();
    assert_eq!(count_of(&echo, "round trip"), 100);
    let percentiles = echo["latencies"][0]["percentiles"].as_array().unwrap();
    let at = |p: f64| percentiles.iter().find(|point| point["p"] == p).unwrap()["us"].as_f64().unwrap();
    assert!(at(100.0) >= 289_000.0, "{}", at(100.0));
    // Of 100 messages the first ten waited for 190 ms or longer.
    assert!(at(90.0) >= 189_000.0, "{}", at(90.0));
}

/// `load`, which lasts a second, stands still from when `has_begun` says so to behind its end: its JSON.
fn standing(load: &str, has_begun: impl FnMut() -> bool) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gannet"));
    command.arg("bench").args(load.split_whitespace()).args(["-d", "1s", "--json", "-"]);
    command.env_remove("GANNET_KEY").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let bench = command.spawn().unwrap();
    until("the load has begun", has_begun);
    let pid = Pid::from_child(&bench);
    kill_process(pid, Signal::STOP).unwrap();
    thread::sleep(Duration::from_millis(1_200));
    kill_process(pid, Signal::CONT).unwrap();
    let output = bench.wait_with_output().unwrap();
    assert!(output.status.success(), "{load}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// As on a machine that is busy. What was left out would not be among the latencies, and nothing would say so.
#[test]
fn a_load_that_stands_still_at_its_end_leaves_out_nothing_that_was_due() {
    let begun = Arc::new(AtomicBool::new(false));
    let begins = Arc::clone(&begun);
    let (url, server) = serve(move |number, message, socket| {
        begins.fetch_or(number == 10, Ordering::Relaxed);
        socket.send(message).unwrap();
    });
    let echo = standing(&format!("echo {url} -c 1 -r 100 --warm-up 0"), || begun.load(Ordering::Relaxed));
    server.join().unwrap();
    assert_eq!(count_of(&echo, "round trip"), 100);

    for (load, latency, count, begun, by) in [
        // Each connection is warmed by twenty messages.
        ("push URL -c 2 -r 100 --warm-up 0 BACKEND", "publish to read", 100, "pushes", 50),
        ("fanout URL -c 2 -r 100 --warm-up 0 BACKEND", "last delivery", 100, "pushes", 50),
        ("connect URL -c 4 -r 50", "handshake", 50, "opened", 10),
    ] {
        let (server, client, backend) = self::server();
        let load = load.replace("URL", &format!("{client}/ws")).replace("BACKEND", &backend);
        let mut asks = server.backend();
        let result = standing(&load, || asks.stats()[begun].as_u64().unwrap() >= by);
        assert_eq!(count_of(&result, latency), count, "{load}");
    }
}

#[test]
fn a_soak_finds_what_is_wrong() {
    let mut swapped = None;
    let (url, server) = serve(move |number, message, socket| match number {
        3 => {}
        7 => {
            socket.send(message.clone()).unwrap();
            socket.send(message).unwrap();
        }
        11 => swapped = Some(message),
        12 => {
            socket.send(message).unwrap();
            socket.send(swapped.take().unwrap()).unwrap();
        }
        _ => socket.send(message).unwrap(),
    });
    let soak = run("soak", &url, "-c 1 -r 100 -d 500ms --warm-up 0");
    server.join().unwrap();
    assert_eq!(figure(&soak, "sent"), (WARM + 50) as f64);
    let found = ["lost", "doubled", "misordered"].map(|name| figure(&soak, name));
    assert_eq!(found, [1.0, 1.0, 1.0]);
}

#[test]
fn results_are_compared_and_reported() {
    let (_server, client, _) = server();
    let url = format!("{client}/echo");
    let (first, second) = (TempFile::new("a.json", ""), TempFile::new("b.json", ""));
    let page = TempFile::new("page.html", "");
    for (file, label) in [(&first, "one"), (&second, "two")] {
        let args = ["echo", &url, "-c", "2", "-r", "50", "-d", "200ms", "--warm-up", "0", "--label", label];
        let output = bench(&[&args[..], &["--json", file.path(), "--report", page.path()]].concat());
        assert!(output.status.success());
        assert!(String::from_utf8_lossy(&output.stdout).contains("round trip"));
        assert!(std::fs::read_to_string(page.path()).unwrap().contains("<polyline"));
    }
    let compared = bench(&["compare", first.path(), second.path()]);
    let table = String::from_utf8_lossy(&compared.stdout).into_owned();
    assert!(compared.status.success() && table.contains("round trip p99 µs"), "{table}");
    let lines = bench(&["compare", first.path(), second.path(), "--json"]);
    let lines = String::from_utf8(lines.stdout).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        (&lines[0]["a"]["label"], &lines[0]["b"]["label"]),
        (&Value::from("one"), &Value::from("two"))
    );
    let slowest = lines.iter().find(|line| line["name"] == "round trip max").unwrap();
    let of = |side: &str| slowest[side].as_f64().unwrap();
    // What is read of a file may be off by the last bit.
    assert!((of("ratio") * of("a") / of("b") - 1.0).abs() < 1e-12, "{slowest}");
    let reported = bench(&["report", first.path(), second.path(), "--out", page.path()]);
    assert!(reported.status.success());
    let html = std::fs::read_to_string(page.path()).unwrap();
    assert!(html.contains("one p99") && html.contains("two p99"));
    let broken = bench(&["compare", first.path(), page.path()]);
    assert!(String::from_utf8_lossy(&broken.stderr).contains("is no result of gannet bench --json"));
}

#[test]
fn what_cannot_be_measured_says_why() {
    let (server, client, _) = server();
    let closed_port = ClosedPort::new();
    let template = TempFile::new("no-payload", "POST /v1/push?all=1\n\nhello");
    let echo = format!("{client}/echo");
    let players = format!("{client}/ws");
    let table: Vec<(Vec<&str>, &str)> = vec![
        (vec!["echo", "ws://192.0.2.1/echo"], "load belongs on a server of your own"),
        (vec!["push", &players, "--backend", "192.0.2.1:9001"], "load belongs on a server of your own"),
        (vec!["echo", "http://127.0.0.1/echo"], "begins with ws://"),
        (vec!["echo", "ws://nohost.invalid/"], "no such address"),
        (vec!["echo", &echo, "--pid", "4194999"], "is --pid right?"),
        (vec!["fanout", &players, "--closed", "--threads", "2"], "leave out --threads"),
        (vec!["push", &players, "-c", "2", "--publish-template", template.path()], "put {payload}"),
        (vec!["push", &players, "-c", "2", "--publish-template", "/nonexistent"], "/nonexistent"),
    ];
    for (args, says) in table {
        let output = bench(&[&args[..], &["-d", "10ms"]].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        assert!(said.starts_with("gannet: ") && said.contains(says), "{args:?}: {said}");
    }
    let url = format!("ws://{}/", closed_port.address());
    // It begins no connection behind its end, and may not have begun one in ten milliseconds.
    let refused = bench(&["connect", &url, "-d", "10s"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is the server running?"));
    let lost = bench(&["echo", &format!("{client}/nothing"), "-d", "10ms"]);
    assert!(String::from_utf8_lossy(&lost.stderr).contains("refused the upgrade with status 404"));
    let publisher = closed_port.address().to_string();
    let gone = bench(&["push", &players, "-c", "1", "-d", "10ms", "--backend", &publisher]);
    assert!(String::from_utf8_lossy(&gone.stderr).contains("the publishing connection failed"));
    server.await_stats("nobody", |totals| totals["sessions"] == 0);
}
