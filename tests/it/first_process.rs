//! `gannet serve` as the first process of a PID namespace, as in a container: it starts a worker and stays with it. Each test has a
//! real namespace, which unshare(1) makes.

use crate::support::*;
use rustix::process::{Pid, Signal, geteuid, kill_process};
use std::fs;
use std::io::PipeWriter;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A PID namespace whose first process is `gannet serve`. It ends with the value.
struct Namespace {
    /// unshare(1), which exits as the first process does.
    outside: ServerProcess,
    /// The first process, by its number outside.
    first: u32,
}

/// `unshare`, up to the program that it is to run.
fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child"]);
    if !geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command
}

fn gannet_in(mut unshare: Command) -> Command {
    unshare.arg(env!("CARGO_BIN_EXE_gannet")).args(["serve", "--reactors", "1"]);
    unshare.args(["--listen", "127.0.0.1:0", "--backend", "127.0.0.1:0"]);
    unshare
}

impl Namespace {
    fn start() -> Self {
        Self::start_by(gannet_in(unshare()))
    }

    fn start_by(command: Command) -> Self {
        let outside = ServerProcess::start_by(command);
        let first = children(outside.pid())[0];
        Self { outside, first }
    }

    /// The worker, which has started by now.
    fn worker(&self) -> u32 {
        let children = children(self.first);
        assert_eq!(children.len(), 1, "{children:?}");
        children[0]
    }

    /// Sends the first process a signal.
    fn signal(&self, signal: Signal) {
        send(self.first, signal);
    }

    /// A process inside whose parent ends at once: the first process gets it. It runs `script` with the reading end of a pipe
    /// as descriptor 3. Returns its number outside, and the writing end.
    fn orphan(&self, script: &str) -> (u32, PipeWriter) {
        let before = children(self.first);
        let (reader, writer) = std::io::pipe().unwrap();
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.first.to_string(), "--pid", "--mount"]);
        if !geteuid().is_root() {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.args(["sh", "-c", "exec 3<&0; sh -c \"$1\" </dev/null & exit 0", "sh", script]).stdin(reader);
        assert!(command.stdout(Stdio::null()).status().unwrap().success());
        let new = || children(self.first).into_iter().find(|child| !before.contains(child));
        until("the first process gets it", || new().is_some());
        (new().unwrap(), writer)
    }

    /// Tells it what a worker would tell a service manager.
    fn tell(&self, message: &str) {
        let environment = fs::read(format!("/proc/{}/environ", self.worker_or(self.first))).unwrap();
        let variables =
            environment.split(|byte| *byte == 0).filter_map(|variable| str::from_utf8(variable).ok());
        let name = variables.filter_map(|variable| variable.strip_prefix("NOTIFY_SOCKET=@")).next();
        let address =
            SocketAddr::from_abstract_name(name.expect("the worker has no socket to tell")).unwrap();
        let socket = UnixDatagram::unbound().unwrap();
        socket.connect_addr(&address).unwrap();
        socket.send(message.as_bytes()).unwrap();
    }

    /// The first child of `parent`: the worker, which was there before any other.
    fn worker_or(&self, parent: u32) -> u32 {
        children(parent)[0]
    }
}

/// The children of a process, in the order in which it got them.
fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    text.split_whitespace().map(|child| child.parse().unwrap()).collect()
}

/// The number of a process in its own namespace.
fn number_inside(pid: u32) -> String {
    field(pid, "NSpid:").split_whitespace().last().unwrap().to_owned()
}

/// Waits until a process that has just been started handles SIGTERM: before, it would end by it.
fn await_trap(pid: u32) {
    let term = 1 << (Signal::TERM.as_raw() - 1);
    until("it handles SIGTERM", || u64::from_str_radix(&field(pid, "SigCgt:"), 16).unwrap() & term != 0);
}

/// A line of proc_pid_status(5).
fn field(pid: u32, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned()
}

fn send(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid as i32).unwrap(), signal).unwrap();
}

#[test]
fn the_first_process_starts_a_worker_and_stays_small() {
    let namespace = Namespace::start();
    assert_eq!(
        (number_inside(namespace.first).as_str(), number_inside(namespace.worker()).as_str()),
        ("1", "2")
    );
    let mut player = namespace.outside.player("user=ada");
    assert_eq!(namespace.outside.backend().push_text("user=ada", "hello").queued, 1);
    assert_eq!(player.recv_text(), "hello");
    assert_eq!(field(namespace.first, "Threads:"), "1");
    let own = field(namespace.first, "RssAnon:").trim_end_matches(" kB").parse::<u64>().unwrap();
    assert!(own <= 2 * 1024, "{own} KiB");
}

#[test]
fn signals_go_to_the_worker_and_its_exit_code_comes_back() {
    for stop in [Signal::TERM, Signal::INT] {
        let namespace = Namespace::start();
        let mut player = namespace.outside.player("user=ada");
        namespace.signal(Signal::HUP);
        until("SIGHUP arrives", || namespace.outside.said().contains("the configuration is read again"));
        namespace.signal(Signal::USR2);
        until("SIGUSR2 arrives", || namespace.outside.said().contains("SIGUSR2"));
        assert_eq!(namespace.outside.backend().push_text("user=ada", "still here").queued, 1);
        assert_eq!(player.recv_text(), "still here");
        drop(player);
        namespace.signal(stop);
        let (status, said) = namespace.outside.wait();
        assert_eq!(status.code(), Some(0), "{said}");
        assert!(said.contains("stopped:"), "{said}");
    }
}

#[test]
fn a_worker_that_is_killed_ends_the_namespace_with_128_and_its_signal() {
    for (signal, code) in [(Signal::KILL, 137), (Signal::ABORT, 134)] {
        let namespace = Namespace::start();
        send(namespace.worker(), signal);
        let (status, said) = namespace.outside.wait();
        assert_eq!(status.code(), Some(code), "{said}");
    }
}

#[test]
fn a_worker_that_does_not_start_ends_the_namespace_with_its_code_and_its_words() {
    let output = |args: &[&str]| {
        let mut command = unshare();
        command.arg(env!("CARGO_BIN_EXE_gannet")).args(args).stdin(Stdio::null()).output().unwrap()
    };
    let failed = output(&["serve", "--config", "/does/not/exist"]);
    assert_eq!(failed.status.code(), Some(1));
    let said = String::from_utf8(failed.stderr).unwrap();
    assert!(said.starts_with("gannet: ") && said.contains("/does/not/exist"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert_eq!(output(&["serve", "--no-such-flag"]).status.code(), Some(2));
    assert_eq!(output(&["serve", "--help"]).status.code(), Some(0));
}

#[test]
fn processes_that_are_left_to_it_are_waited_for() {
    let namespace = Namespace::start();
    let worker = namespace.worker();
    for _ in 0..3 {
        let (orphan, writer) = namespace.orphan("read line <&3");
        assert_eq!(children(namespace.first), [worker, orphan]);
        drop(writer);
        until("it is waited for", || children(namespace.first) == [worker]);
    }
}

#[test]
fn it_follows_a_worker_to_its_successor() {
    let namespace = Namespace::start();
    let worker = namespace.worker();
    let (successor, _writer) = namespace.orphan("trap 'exit 7' TERM; while :; do read line <&3; done");
    await_trap(successor);
    namespace.tell(&format!("MAINPID={}\n", number_inside(successor)));
    send(worker, Signal::TERM);
    until("the worker ends", || children(namespace.first) == [successor]);
    namespace.signal(Signal::TERM);
    let (status, said) = namespace.outside.wait();
    assert_eq!(status.code(), Some(7), "{said}");
}

#[test]
fn signals_go_to_a_successor_as_soon_as_it_is_named() {
    let namespace = Namespace::start();
    let worker = namespace.worker();
    let (successor, _writer) = namespace.orphan("trap 'exit 7' TERM; while :; do read line <&3; done");
    await_trap(successor);
    namespace.tell(&format!("MAINPID={}\n", number_inside(successor)));
    namespace.signal(Signal::TERM);
    until("it ends", || namespace.outside.said().contains("and has gone"));
    // The worker that has named it has had no signal, and serves on.
    assert_eq!(children(namespace.first), [worker]);
    namespace.outside.player("user=ada");
}

#[test]
fn a_successor_has_to_be_there() {
    let namespace = Namespace::start();
    let worker = namespace.worker();
    for stranger in
        [number_inside(worker), "1".to_owned(), "999999".to_owned(), "-5".to_owned(), "x".to_owned()]
    {
        namespace.tell(&format!("MAINPID={stranger}\n"));
        let refused = format!("{stranger:?} is not taken");
        until("it is refused", || namespace.outside.said().contains(&refused));
    }
    let (named, writer) = namespace.orphan("read line <&3");
    namespace.tell(&format!("STATUS=x\nMAINPID={}\n", number_inside(named)));
    // Datagrams are read in their order.
    namespace.tell("MAINPID=999998\n");
    until("it was named", || namespace.outside.said().contains("\"999998\" is not taken"));
    drop(writer);
    until("it ends before the worker does", || children(namespace.first) == [worker]);
    send(worker, Signal::KILL);
    let (status, said) = namespace.outside.wait();
    assert_eq!(status.code(), Some(137), "{said}");
    assert!(said.contains("and has gone"), "{said}");
}

#[test]
fn what_a_worker_tells_goes_on_to_the_manager_outside_without_its_process() {
    let path = std::env::temp_dir().join(format!("gannet-it-{}-outside.notify", std::process::id()));
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut command = gannet_in(unshare());
    command.env("NOTIFY_SOCKET", &path);
    let namespace = Namespace::start_by(command);
    let told = || {
        let mut bytes = [0; 4096];
        let length = manager.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    assert_eq!(told(), "READY=1\nSTATUS=players can connect\n");
    namespace.tell("MAINPID=999999\n");
    namespace.tell("STATUS=between\nMAINPID=999999\n");
    assert_eq!(told(), "STATUS=between\n");
    namespace.signal(Signal::TERM);
    assert!(told().starts_with("STOPPING=1\n"));
    let _ = fs::remove_file(&path);
}

/// `gannet upgrade ARGS` to the server in the namespace: whether it succeeded, and what it said.
fn upgrade(namespace: &Namespace, args: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gannet"));
    let backend = namespace.outside.backend.to_string();
    let output = command.arg("upgrade").args(args).args(["--backend", &backend]).output().unwrap();
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

/// A server with a file that a new process can read again, and a player who has come through `rounds` upgrades.
fn upgraded(name: &str, config: &str, rounds: u32) -> (Namespace, Player, PathBuf) {
    let path = std::env::temp_dir().join(format!("gannet-it-{}-first-{name}.toml", std::process::id()));
    fs::write(&path, config).unwrap();
    let mut command = gannet_in(unshare());
    command.arg("--config").arg(&path);
    let namespace = Namespace::start_by(command);
    let mut player = namespace.outside.player("user=ada");
    for round in 1..=rounds {
        let before = namespace.worker();
        let (succeeded, said) = upgrade(&namespace, &[]);
        assert!(succeeded, "{said}");
        until("the old worker ends", || {
            let children = children(namespace.first);
            children.len() == 1 && children != [before]
        });
        serves(&namespace, &mut player, &format!("after upgrade {round}"));
    }
    (namespace, player, path)
}

fn serves(namespace: &Namespace, player: &mut Player, text: &str) {
    assert_eq!(namespace.outside.backend().push_text("user=ada", text).queued, 1);
    assert_eq!(player.recv_text(), text);
}

#[test]
fn it_stays_with_the_worker_through_upgrades_and_ends_with_the_last() {
    let (namespace, mut player, path) = upgraded("five", "timeouts.shutdown_ms = 100", 5);
    let before = namespace.worker();
    for failing in ["/bin/true", "/does/not/exist"] {
        let (succeeded, said) = upgrade(&namespace, &["--binary", failing]);
        assert!(!succeeded && said.contains("goes on as before"), "{said}");
        assert_eq!(children(namespace.first), [before]);
        serves(&namespace, &mut player, failing);
    }
    namespace.signal(Signal::TERM);
    assert!(matches!(player.recv_end(), End::Closed(1001, _)));
    let (status, said) = namespace.outside.wait();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("stopped: 1 of 1 sessions closed cleanly"), "{said}");
    fs::remove_file(&path).unwrap();
}

#[test]
fn the_exit_code_is_that_of_the_process_that_served_last() {
    let (namespace, _player, path) = upgraded("killed", "timeouts.shutdown_ms = 100", 1);
    send(namespace.worker(), Signal::KILL);
    let (status, said) = namespace.outside.wait();
    assert_eq!(status.code(), Some(137), "{said}");
    fs::remove_file(&path).unwrap();
}
