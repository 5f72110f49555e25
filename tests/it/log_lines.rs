//! Lines of the log about clients: each has the client's own address, and of one kind and one client there is one a second,
//! which says how many more there were.

use crate::raw::{Raw, masked, upgrade};
use crate::support::*;
use crate::tokens::connect_from;
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

/// A server that logs at `debug` to a file of its own, and the file.
struct Logging {
    server: ServerProcess,
    log: PathBuf,
}

impl Logging {
    fn start(format: &str, config: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("gannet-it-lines-{}-{number}.log", std::process::id());
        let args = ["--reactors", "2", "--log", "debug", "--log-format", format];
        let server = ServerProcess::start(&args, &format!("log.file = '{name}'\n{config}"));
        let log = server.config().with_file_name(name);
        Self { server, log }
    }

    /// The whole lines: of the last one a part may be written.
    fn text(&self) -> String {
        whole_lines(fs::read_to_string(&self.log).unwrap())
    }

    /// The lines that have `part`.
    fn with(&self, part: &str) -> Vec<String> {
        self.text().lines().filter(|line| line.contains(part)).map(str::to_owned).collect()
    }

    /// The lines as JSON.
    fn objects(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// A player at `host` who asks for an app that is not there, and is refused.
    fn refuse_from(&self, host: u8) {
        refuse(connect_from([127, 0, 0, host], self.server.client), "");
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.log);
    }
}

/// The text up to its last line break.
pub fn whole_lines(mut text: String) -> String {
    text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
    text
}

/// Asks for an app that is not there.
fn refuse(stream: TcpStream, fields: &str) {
    let mut raw = Raw::over(stream);
    raw.send(upgrade("/ws/nothing", fields));
    assert_eq!(raw.answer().status, 404);
}

/// How many lines were held back before this one, as its end says.
fn held(line: &str) -> usize {
    let Some((before, _)) = line.split_once(" more like this") else { return 0 };
    before.rsplit_once('(').unwrap().1.parse().unwrap()
}

#[test]
fn a_client_has_a_line_a_second_of_each_kind_which_says_how_many_more_there_were() {
    const TIMES: usize = 200;
    let logging = Logging::start("text", "");
    let started = Instant::now();
    for _ in 0..TIMES {
        logging.refuse_from(2);
        logging.refuse_from(3);
    }
    for address in ["127.0.0.2", "127.0.0.3"] {
        let lines = || logging.with(&format!(" from {address}:"));
        let told = || lines().iter().map(|line| 1 + held(line)).sum::<usize>();
        // The last ones too, though none comes after them: by a line that says again what the one before it said.
        until("all of them are told", || told() == TIMES);
        let lines = lines();
        assert!(lines.iter().all(|line| line.contains("refused with 404")), "{lines:#?}");
        let seconds = started.elapsed().as_secs() as usize;
        assert!((2..=seconds + 2).contains(&lines.len()), "in {seconds} s: {lines:#?}");
    }
}

#[test]
fn the_address_is_the_clients_own_behind_a_proxy() {
    let config = "[proxy]\nprotocol_from = ['127.0.0.9']\nforwarded_from = ['127.0.0.8']\n";
    let logging = Logging::start("text", config);
    let client = logging.server.client;
    // Two clients behind one proxy have a line each.
    for source in ["203.0.113.7", "203.0.113.17"] {
        let mut stream = connect_from([127, 0, 0, 9], client);
        stream.write_all(format!("PROXY TCP4 {source} 127.0.0.1 40000 9000\r\n").as_bytes()).unwrap();
        refuse(stream, "");
    }
    for source in ["203.0.113.8", "2001:db8::8"] {
        refuse(connect_from([127, 0, 0, 8], client), &format!("X-Forwarded-For: {source}\r\n"));
    }
    for address in [" 203.0.113.7:40000: ", " 203.0.113.17:40000: ", " 203.0.113.8:", " [2001:db8::8]:"] {
        until(address, || logging.with(&format!(" from{address}")).len() == 1);
    }
    assert_eq!(logging.with(" from 127.0.0."), [""; 0]);
}

#[test]
fn every_line_about_a_client_has_its_address_and_its_id_as_fields() {
    let config = "
        [limits]
        connections_per_address = 2
        [rates]
        messages = { per_second = 1, burst = 1 }
        [proxy]
        protocol_from = ['127.0.0.9']
    ";
    let logging = Logging::start("json", config);
    let (client, backend) = (logging.server.client, logging.server.backend);
    let session = |host: u8| Raw::over(connect_from([127, 0, 0, host], client)).upgraded("/ws");
    let text = masked(0x81, b"hello");
    logging.refuse_from(2);
    // A frame with a reserved bit; more messages than the rate; a third connection.
    session(3).send(masked(0xF1, b"hello"));
    session(4).send([text.clone(), text.clone(), text].concat());
    let _two = [session(5), session(5)];
    assert!(is_over(&mut connect_from([127, 0, 0, 5], client)));
    connect_from([127, 0, 0, 9], client).write_all(b"no PROXY header\r\n\r\n").unwrap();
    let backends = [
        ("GET /v1/nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET /v1/nothing: "),
        (
            "POST /v1/push?all=1 HTTP/1.1\r\nHost: localhost\r\nOrigin: http://x.example\r\n\r\n",
            "a page of another origin",
        ),
        ("no HTTP at all\r\n\r\n", "400, "),
    ];
    for (request, _) in backends {
        let mut raw = Raw::over(connect_from([127, 0, 0, 6], backend));
        raw.send(request);
        raw.answer();
    }

    let expected = [
        ("127.0.0.2", "connection", "refused with 404"),
        ("127.0.0.3", "session", "reserved"),
        ("127.0.0.4", "session", "has sent more messages than its rate allows"),
        ("127.0.0.5", "remote", "closed as it came: connections"),
        ("127.0.0.9", "remote", "closed in its PROXY header"),
    ];
    let backends = backends.map(|(_, message)| ("127.0.0.6", "connection", message));
    for (address, id, message) in expected.into_iter().chain(backends) {
        let found = || {
            let lines = logging.objects();
            let of = |line: &&Value| line["message"].as_str().is_some_and(|text| text.contains(message));
            lines.iter().find(of).cloned()
        };
        until(message, || found().is_some());
        let line = found().unwrap();
        let remote = line["remote"].as_str().unwrap_or_else(|| panic!("{line}"));
        assert!(remote.starts_with(&format!("{address}:")), "{line}");
        let text = line["message"].as_str().unwrap();
        assert!(text.contains(remote) && text.contains(line[id].as_str().unwrap()), "{line}");
    }
    let is_whole = |line: &Value| line["level"] != "debug" || line["remote"].is_string();
    assert!(logging.objects().iter().all(is_whole));
}

#[test]
fn how_many_were_held_back_is_a_field() {
    let logging = Logging::start("json", "");
    (0..10).for_each(|_| logging.refuse_from(2));
    let lines = || -> Vec<Value> {
        logging.objects().into_iter().filter(|line| line["remote"].is_string()).collect()
    };
    let told = || lines().iter().map(|line| 1 + line["held"].as_u64().unwrap_or(0)).sum::<u64>();
    until("the lines that were held back are told", || told() == 10);
    assert!(lines().len() < 10, "{:#?}", lines());
}

#[test]
fn with_nothing_to_remember_every_line_is_told() {
    let logging = Logging::start("text", "log.remembered_clients = 0\n");
    (0..20).for_each(|_| logging.refuse_from(2));
    until("all are there", || logging.with(" from 127.0.0.2:").len() == 20);
    assert_eq!(logging.with("more like this"), [""; 0]);
}

#[test]
fn what_is_held_back_is_told_at_the_end() {
    let logging = Logging::start("text", "");
    (0..20).for_each(|_| logging.refuse_from(2));
    let Logging { server, log } = &logging;
    server.signal(Signal::TERM);
    let told = |text: String| {
        text.lines().map(|line| usize::from(line.contains("127.0.0.2")) + held(line)).sum::<usize>()
    };
    until("all are told", || told(whole_lines(fs::read_to_string(log).unwrap())) == 20);
}

#[test]
fn what_is_about_no_client_is_not_held_back() {
    let logging = Logging::start("text", "");
    for number in 1..=3 {
        logging.server.signal(Signal::HUP);
        until("the signal has its line", || logging.with("SIGHUP").len() == number);
    }
    // Nor is the audit trail: a line for each.
    let mut backend = logging.server.backend();
    (0..5).for_each(|number| _ = backend.ok("DELETE", &format!("/v1/users/u{number}")));
    until("every kick is told", || logging.with("op=kick").len() == 5);
}
