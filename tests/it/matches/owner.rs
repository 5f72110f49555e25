//! A process that owns matches: this test binary once more, as a backend with one link that can be resumed. It writes each event
//! on standard output as it has read it, so that a SIGKILL takes nothing of what it has heard.

use super::ledger::Shared;
use crate::support::{Link, until};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// What all of them listen to.
const EVENTS: [&str; 7] = ["open", "message", "close", "join", "leave", "assigned", "unassigned"];
/// The share that they divide.
pub const SHARE: &str = "matches";
/// Tells this binary that it is such a process: the server's address and the number of the process.
const ROLE: &str = "GANNET_IT_OWNER";

/// The name of the link of process `number`.
pub fn name(number: usize) -> String {
    format!("m{number}")
}

/// In a process that [`Owner::start`] has started: is that backend, and does not return.
pub fn own_if_asked() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let (address, number) = role.split_once(' ').unwrap();
    let (address, number): (SocketAddr, usize) = (address.parse().unwrap(), number.parse().unwrap());
    let is_binary = number % 2 == 1;
    let (mut link, first) = Link::resume(address, is_binary, "new", None);
    let stream = Arc::new(Mutex::new(link.stream().try_clone().unwrap()));
    let obeys = Arc::clone(&stream);
    thread::spawn(move || obey(&obeys));
    listen(&mut link, number);
    // The harness of the tests has begun a line.
    write(&format!("\n{}", json!({"note": "listens"})));
    let (mut ticket, mut received) = (first["resume"].as_str().unwrap().to_owned(), 0);
    loop {
        match link.next_event() {
            Ok(event) => {
                received += 1;
                write(&without_padding(event).to_string());
            }
            Err(end) => {
                let first;
                (link, first) = Link::resume(address, is_binary, &ticket, Some(received));
                *stream.lock().unwrap() = link.stream().try_clone().unwrap();
                ticket = first["resume"].as_str().unwrap().to_owned();
                write(&json!({"note": "back", "first": first, "end": format!("{end:?}")}).to_string());
                if first["resumed"] == false {
                    received = 0;
                    listen(&mut link, number);
                    write(&json!({"note": "listens"}).to_string());
                }
            }
        }
    }
}

fn listen(link: &mut Link, number: usize) {
    let listen = json!({"op": "listen", "events": EVENTS, "share": SHARE, "name": name(number)});
    // The name is free when the link that had it has been struck off everywhere.
    until("it listens", || link.try_command(listen.clone()).is_ok());
}

/// One write a line.
fn write(line: &str) {
    std::io::stdout().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Messages are a number, and whatever makes them long.
fn without_padding(mut event: Value) -> Value {
    if let Some((number, _)) = event["text"].as_str().and_then(|text| text.split_once(' ')) {
        event["text"] = number.to_owned().into();
    }
    event
}

/// Each line cuts the connection. Ends with the test.
fn obey(stream: &Mutex<TcpStream>) {
    for _ in std::io::stdin().lines().map_while(Result::ok) {
        // The server may have ended it already.
        let _ = stream.lock().unwrap().shutdown(Shutdown::Both);
    }
    std::process::exit(0);
}

/// The test's side of such a process; killed when it is dropped.
pub struct Owner {
    child: Child,
    stdin: ChildStdin,
    reader: Option<JoinHandle<()>>,
}

impl Owner {
    /// Starts process `number` as a backend of the server at `address`, by way of `test`; what it hears goes into the ledger.
    pub fn start(test: &str, address: SocketAddr, number: usize, ledger: &Arc<Shared>) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([test, "--exact", "--nocapture"]).env(ROLE, format!("{address} {number}"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        ledger.lock().started(number);
        let hears = Arc::clone(ledger);
        let reader = thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // The harness of the tests writes lines, and the last line of a process that was killed may be half a line.
                if let Ok(heard @ Value::Object(_)) = serde_json::from_str(&line) {
                    hears.change(|ledger| ledger.note(number, &heard));
                }
            }
        });
        ledger.wait("the process listens", |ledger| ledger.links(number) == 1);
        Self { child, stdin, reader: Some(reader) }
    }

    /// SIGKILL. When this is back, all that it has heard is in the ledger.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // Where it has ended already, that is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }

    /// SIGSTOP. When this is back, none of its threads runs.
    pub fn stop(&self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::STOP).unwrap();
        let (_, status) = waitpid(Some(pid), WaitOptions::UNTRACED).unwrap().expect("a wait that blocks");
        assert!(status.stopped(), "{status:?}");
    }

    /// SIGCONT.
    pub fn go_on(&self) {
        kill_process(Pid::from_child(&self.child), Signal::CONT).unwrap();
    }

    /// Its link loses its connection, and comes back.
    pub fn cut(&mut self) {
        self.stdin.write_all(b"cut\n").expect("it runs");
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.end();
    }
}
