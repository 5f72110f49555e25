//! `gannet connect` in a pipe: lines in, lines of JSON out.

use crate::support::tls::CertFiles;
use crate::support::*;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

const RESUME: &str = "[deflate]\nenabled = true\n[apps.default.resume]\nlinger_ms = '1m'\n";
const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A client whose lines are a test's.
struct Piped {
    child: Child,
    input: Option<ChildStdin>,
    events: Receiver<Value>,
}

impl Piped {
    fn start(url: &str, args: &[&str]) -> Self {
        Self::start_with(url, args, &[])
    }

    fn start_with(url: &str, args: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gannet"));
        command.args(["connect", url, "--json", "--wait", "0"]).args(args).envs(variables.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, events) = mpsc::channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            for line in out.lines() {
                let _ = sender.send(serde_json::from_str(&line.unwrap()).unwrap());
            }
        });
        Self { input: child.stdin.take(), child, events }
    }

    fn enter(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// The next event, without its time.
    fn next(&self) -> Value {
        let mut event = self.events.recv_timeout(DEADLINE).expect("an event");
        assert!(event.as_object_mut().unwrap().remove("at_unix_ms").unwrap().is_u64());
        event
    }

    fn named(&self, name: &str) -> Value {
        let event = self.next();
        assert_eq!(event["event"], name, "{event}");
        event
    }

    /// Ends its input: its exit code, what it printed after that, and what it said.
    fn end(mut self) -> (i32, Vec<Value>, String) {
        drop(self.input.take());
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        let code = self.child.wait().unwrap().code().unwrap();
        (code, self.events.iter().collect(), said)
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn everything_that_can_be_sent_and_come() {
    let server = ServerProcess::start(&["--reactors", "1"], RESUME);
    let mut client = Piped::start(&format!("ws://{}/ws?user=ada", server.client), &["--deflate"]);
    let open = client.named("open");
    assert_eq!((&open["subprotocol"], &open["compressed"]), (&json!("gannet.v1"), &json!(true)));
    let welcome = client.named("welcome");
    assert_eq!(welcome["welcome"]["user"], "ada");

    let mut link = server.link();
    link.listen(&["message"], None);
    let file = std::env::temp_dir().join(format!("gannet-connect-{}", std::process::id()));
    std::fs::write(&file, [7, 8]).unwrap();
    let long = "x".repeat(2_000);
    for line in ["hello", "//slash", "\u{1e}{}", "/hex 00 ff", &format!("/file {}", file.display()), &long] {
        client.enter(line);
    }
    for (field, sent) in [
        ("text", "hello"),
        ("text", "/slash"),
        ("text", "\u{1e}{}"),
        ("data", "AP8="),
        ("data", "Bwg="),
        ("text", &long),
    ] {
        let event = link.event();
        assert_eq!(event[field], sent, "{event}");
    }
    std::fs::remove_file(&file).unwrap();

    let mut backend = server.backend();
    for text in ["plain", "\u{1e}theirs"] {
        backend.push_text("user=ada", text);
        assert_eq!(client.next(), json!({ "event": "text", "text": text }));
    }
    backend.push("user=ada", &tungstenite::Message::binary(vec![1, 2, 3]));
    assert_eq!(client.next(), json!({ "event": "binary", "data": "AQID" }));

    client.enter("/ping tick");
    let pong = client.named("pong");
    assert_eq!(pong["text"], "tick");
    assert!(pong["round_trip_us"].as_u64().is_some(), "{pong}");
    client.enter("/time");
    assert!(client.named("time")["ahead_ms"].is_f64());
    client.enter("/own {\"type\":\"nothing\"}");
    assert_eq!(client.named("own")["own"]["code"], "bad_request");
    for wrong in ["/sing", "/hex 0", "/file /nonexistent", "/again"] {
        client.enter(wrong);
        client.named("wrong");
    }
    client.enter("/status");
    let status = client.named("note")["text"].as_str().unwrap().to_owned();
    assert!(status.contains("3 messages have come, may resume"), "{status}");
    let (code, after, said) = client.end();
    assert_eq!((code, said.as_str()), (0, ""));
    assert_eq!(
        (&after[0]["event"], &after[0]["code"], &after[0]["by_us"]),
        (&json!("closed"), &json!(1000), &json!(true))
    );
}

#[test]
fn a_connection_that_is_cut_comes_back_for_its_session() {
    let server = ServerProcess::start(&["--reactors", "2"], RESUME);
    let mut client = Piped::start(&format!("ws://{}/ws?user=ada", server.client), &[]);
    let session = |client: &Piped| {
        client.named("open");
        client.named("welcome")["welcome"].clone()
    };
    let first = session(&client);
    let mut backend = server.backend();
    for round in 0..5 {
        let text = format!("message {round}");
        backend.push_text("user=ada", &text);
        assert_eq!(client.next(), json!({ "event": "text", "text": text }));
        client.enter("/cut");
        client.named("lost");
        let next = session(&client);
        assert_eq!((&next["session"], &next["resumed"]), (&first["session"], &json!(true)));
    }
    let (code, _, _) = client.end();
    assert_eq!(code, 0);
    // It closed: nobody waits for it.
    server.await_stats("it has gone", |stats| stats["sessions"] == 0);
}

#[test]
fn an_end_that_nobody_asked_for_is_a_failure() {
    let server = ServerProcess::start(&["--reactors", "1"], RESUME);
    let url = format!("ws://{}/ws?user=ada", server.client);
    let kicked = Piped::start(&url, &[]);
    kicked.named("open");
    kicked.named("welcome");
    server.backend().ok("DELETE", "/v1/users/ada?reason=cheating");
    let closed = kicked.named("closed");
    assert_eq!((&closed["code"], &closed["reason"]), (&json!(4001), &json!("cheating")));
    let (code, _, said) = kicked.end();
    assert_eq!((code, said.trim()), (1, "gannet: the connection has ended: closed with 4001 cheating"));

    let stays = Piped::start(&url, &["--no-resume"]);
    let comes_back = Piped::start(&url, &[]);
    for client in [&stays, &comes_back] {
        client.named("open");
        client.named("welcome");
    }
    server.signal(Signal::KILL);
    stays.named("lost");
    assert_eq!(stays.end().0, 1);
    comes_back.named("lost");
    // It tries, and tries again.
    for _ in 0..2 {
        assert!(comes_back.named("pause")["ms"].as_u64().unwrap() <= 8_000);
        comes_back.named("lost");
    }
    assert_eq!(comes_back.end().0, 0);
}

#[test]
fn other_servers_tokens_and_certificates() {
    let files = CertFiles::new(&["localhost"]);
    let config = format!(
        "[tls]\ncert = '{}'\nkey = '{}'\n[apps.default]\nsecrets = ['{SECRET}']\n",
        files.cert.display(),
        files.key.display()
    );
    let server = ServerProcess::start(&["--reactors", "1", "--echo"], &config);
    let mut mint = Command::new(env!("CARGO_BIN_EXE_gannet"));
    mint.args(["token", "mint", "--user", "ada"]).env("GANNET_SECRET", SECRET);
    let token = String::from_utf8(mint.output().unwrap().stdout).unwrap();
    let token = token.trim();
    let url = format!("wss://localhost:{}", server.client.port());
    let ca = ["--ca", files.cert.to_str().unwrap()];

    let bearer = Piped::start_with(&format!("{url}/ws"), &ca, &[("GANNET_TOKEN", token)]);
    bearer.named("open");
    assert_eq!(bearer.named("welcome")["welcome"]["user"], "ada");
    assert_eq!(bearer.end().0, 0);
    let shown = Piped::start(&format!("{url}/ws?token={token}"), &["--insecure-tls"]);
    assert_eq!(shown.named("open")["url"], format!("{url}/ws?token=***"));
    assert_eq!(shown.end().0, 0);
    let refused = Piped::start(&format!("{url}/ws"), &ca);
    let (code, _, said) = refused.end();
    assert_eq!((code, said.contains("status 401")), (1, true), "{said}");

    // The echo server has no subprotocols, and no welcome.
    let mut echo = Piped::start_with(&format!("{url}/echo"), &ca, &[("GANNET_TOKEN", token)]);
    assert_eq!(echo.named("open")["subprotocol"], Value::Null);
    echo.enter(r#"{"type":"hi"}"#);
    assert_eq!(echo.next(), json!({ "event": "text", "text": "{\"type\":\"hi\"}" }));
    echo.enter("/time");
    assert!(echo.named("wrong")["text"].as_str().unwrap().contains("gannet.v1"));
    echo.enter("/close 4000 bye");
    assert_eq!(echo.named("closed")["code"], 4000);
}
