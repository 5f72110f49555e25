//! `gannet bench` where something is wrong: it says what, shows nobody a token, and keeps what it has measured.

use crate::bench::{TempFile, WARM, assert_none, bench, count_of, run, serve, server};
use crate::support::*;
use rustix::process::Signal;
use serde_json::Value;
use std::process::{Command, Stdio};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn token(args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gannet"));
    command.args(["token", "mint", "--user", "ada"]).args(args).env("GANNET_SECRET", SECRET);
    String::from_utf8(command.output().unwrap().stdout).unwrap().trim().to_owned()
}

#[test]
fn a_fan_out_with_a_token_goes_to_the_group_of_the_token_and_shows_the_token_to_nobody() {
    let server =
        ServerProcess::start(&["--reactors", "1"], &format!("[apps.default]\nsecrets = ['{SECRET}']"));
    let backend = format!("--backend {}", server.backend);
    let (red, none) = (token(&["--group", "red", "--group", "blue"]), token(&[]));
    let url = |token: &str| format!("ws://{}/ws?token={token}", server.client);
    let load = format!("-c 5 -r 20 -d 500ms --warm-up 0 {backend}");
    for group in ["", "--group blue"] {
        let fanout = run("fanout", &url(&red), &format!("{load} {group}"));
        assert_eq!(count_of(&fanout, "delivery"), 50);
        assert_none(&fanout, &["missing deliveries", "publishes refused"]);
        assert!(fanout["target"].as_str().unwrap().ends_with("/ws?token=***"), "{fanout}");
        assert!(!fanout.to_string().contains(&red));
    }
    for (token, group, says) in [
        (&red, ["--group", "green"].as_slice(), "for the groups red, blue"),
        (&none, &[], "leads into no group"),
    ] {
        let target = url(token);
        let refused = bench(&[&["fanout", &target, "-c", "1"], group].concat());
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains(says) && !said.contains(token.as_str()), "{said}");
    }

    // Neither the table, nor the file, nor the page has it, nor what is wrong with a URL.
    let (file, page) = (TempFile::new("token.json", ""), TempFile::new("token.html", ""));
    let target = url(&red);
    let args = ["idle", &target, "-c", "2", "-d", "50ms", "--json", file.path(), "--report", page.path()];
    let idle = bench(&args);
    assert!(idle.status.success(), "{}", String::from_utf8_lossy(&idle.stderr));
    let texts = [file.path(), page.path()].map(|path| std::fs::read_to_string(path).unwrap());
    let table = String::from_utf8(idle.stdout).unwrap();
    for text in texts.iter().chain([&table]) {
        assert!(text.contains("token=***") && !text.contains(&red), "{text}");
    }
    // A file of an older version has it; its report does not.
    let old = TempFile::new("old.json", &texts[0].replace("***", &red));
    assert!(bench(&["report", old.path(), "--out", page.path()]).status.success());
    assert!(!std::fs::read_to_string(page.path()).unwrap().contains(&red));
    let wrong = bench(&["echo", &format!("ws://192.0.2.1/echo?token={red}")]);
    let said = String::from_utf8_lossy(&wrong.stderr);
    assert!(said.contains("token=***") && !said.contains(&red), "{said}");
}

#[test]
fn a_server_that_closes_a_connection_is_told_with_its_code_and_reason() {
    let config = "[apps.default]\nper_user = { max = 2, policy = 'replace-oldest' }\n";
    let server = ServerProcess::start(&["--reactors", "1"], config);
    let url = format!("ws://{}/ws?user=ada", server.client);
    // More than are opened at a time: the first ones are closed before the last ones are begun.
    let closed = bench(&["idle", &url, "-c", "300", "-d", "100ms"]);
    let said = String::from_utf8_lossy(&closed.stderr);
    assert_eq!(closed.status.code(), Some(1));
    assert!(said.contains("the server ended connection ") && said.contains(" with 4002"), "{said}");
    // So few are open before that is heard: the result says it then.
    let few = bench(&["idle", &url, "-c", "3", "-d", "100ms"]);
    let said = [few.stdout, few.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    assert!(said.contains(" with 4002"), "{said}");
}

#[test]
fn a_file_that_cannot_be_written_is_told_before_the_load() {
    // Nobody would be there for a load.
    let closed = ClosedPort::new();
    let url = format!("ws://{}/", closed.address());
    for (flag, path) in [("--json", "/nonexistent/a.json"), ("--report", "/nonexistent/a.html")] {
        for shape in ["echo", "idle", "connect", "soak"] {
            let refused = bench(&[shape, &url, "-c", "1", "-d", "10s", flag, path]);
            let said = String::from_utf8_lossy(&refused.stderr);
            assert!(said.starts_with(&format!("gannet: {path}: ")), "{shape}: {said}");
        }
    }
    // One that can be written is not left behind by a load that fails, and one that is there stays as it is.
    let file = TempFile::new("kept.json", "kept");
    let fresh = std::env::temp_dir().join(format!("gannet-bench-fresh-{}.json", std::process::id()));
    for path in [file.path(), fresh.to_str().unwrap()] {
        assert!(!bench(&["echo", &url, "-c", "1", "--json", path]).status.success());
    }
    assert_eq!(std::fs::read_to_string(file.path()).unwrap(), "kept");
    assert!(!fresh.exists());
}

/// What a load of a minute has to say that ends before: its JSON and what it said.
fn broken(load: &str, end: impl FnOnce()) -> (Value, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gannet"));
    command.arg("bench").args(load.split_whitespace()).args(["-d", "1m", "--warm-up", "0", "--json", "-"]);
    command.env_remove("GANNET_KEY").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let bench = command.spawn().unwrap();
    end();
    let output = bench.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    (serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}")), said)
}

#[test]
fn a_server_that_dies_takes_no_figures_with_it() {
    let (url, end) = serve(|number, message, socket| match number {
        0..50 => socket.send(message).unwrap(),
        _ => socket.get_mut().shutdown(std::net::Shutdown::Both).unwrap(),
    });
    let (echo, said) = broken(&format!("echo {url} -c 1 -r 1000"), || end.join().unwrap());
    assert!(count_of(&echo, "round trip") >= 10, "{echo}");
    assert!(echo["broken"].as_str().unwrap().contains("every connection was lost"), "{echo}");
    assert!(said.contains("ended early: after ") && said.contains("connection 0 without a Close"), "{said}");

    for (shape, latency, connections) in [("push", "publish to read", 2), ("fanout", "delivery", 2)] {
        let (server, client, backend) = server();
        let pid = server.pid();
        let load = format!("{shape} {client}/ws -c {connections} -r 500 {backend} --pid {pid}");
        let (result, said) = broken(&load, || {
            let mut asks = server.backend();
            until("the load is measured", || asks.stats()["pushes"].as_u64().unwrap() > 4 * WARM + 50);
            server.signal(Signal::KILL);
        });
        assert!(count_of(&result, latency) >= 10, "{result}");
        assert!(said.contains("gannet: the load ended early: after "), "{said}");
    }
}
