//! Sockets that systemd passes, by its own `systemd-socket-activate` (Debian: package systemd), which listens until the first
//! connection comes and becomes the server then.

use super::Folder;
use crate::support::*;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;

const GANNET: &str = env!("CARGO_BIN_EXE_gannet");

/// A port of an address that no other test has.
fn free(last: u8) -> SocketAddr {
    TcpListener::bind(SocketAddr::from(([127, 9, 8, last], 0))).unwrap().local_addr().unwrap()
}

/// `gannet serve ARGS` with sockets at each of `listens`, and their names where there are any. The first has to be an address.
fn activated(listens: &[&str], names: Option<&str>, args: &[&str]) -> ServerProcess {
    let mut command = Command::new("systemd-socket-activate");
    for listen in listens {
        command.args(["--listen", listen]);
    }
    command.args(names.map(|names| format!("--fdname={names}")));
    command.args([GANNET, "serve", "--reactors", "1"]).args(args);
    let first: SocketAddr = listens[0].parse().unwrap();
    // The connection that lets the server start; it may come before the socket is there.
    let caller = thread::spawn(move || until("systemd's socket", || TcpStream::connect(first).is_ok()));
    let server = ServerProcess::start_by(command);
    caller.join().unwrap();
    server
}

fn unix(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Whether the descriptor with this number is closed when the process becomes another program (proc_pid_fdinfo(5)).
fn closes_on_exec(server: &ServerProcess, descriptor: usize) -> bool {
    let info = fs::read_to_string(format!("/proc/{}/fdinfo/{descriptor}", server.pid())).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
    u32::from_str_radix(flags, 8).unwrap() & 0o2_000_000 != 0
}

#[test]
fn passed_sockets_are_taken_by_their_names() {
    let folder = Folder::new("names");
    let (one, other, path) = (free(2), free(3), folder.path("backend"));
    let listens = [&one.to_string(), path.to_str().unwrap(), &other.to_string()];
    let args = ["--listen", "systemd:players", "--backend", "systemd:backend"];
    let server = activated(&listens, Some("players:backend:players"), &args);
    let mut players = [one, other].map(|address| Player::connect(address, "group=all"));
    Backend::on(unix(&path)).push_text("group=all", "through systemd");
    for player in &mut players {
        assert_eq!(player.recv_text(), "through systemd");
    }
    let told = server.said();
    for line in [format!("clients   ws://{one}/ws"), format!("clients   ws://{other}/ws")] {
        assert!(told.contains(&line), "{told}");
    }
    assert!(told.contains(&format!("over unix:{}", path.display())), "{told}");
    assert!([3, 4, 5].iter().all(|descriptor| closes_on_exec(&server, *descriptor)));
    drop(players);
    server.signal(rustix::process::Signal::TERM);
    assert!(server.wait().0.success());
    assert!(path.exists(), "the file of a passed socket is systemd's");
}

#[test]
fn passed_sockets_without_names_are_taken_in_their_order() {
    let (clients, backend) = (free(4), free(5));
    let listens = [&*clients.to_string(), &backend.to_string()];
    let server = activated(&listens, None, &["--listen", "systemd", "--backend", "systemd"]);
    assert_eq!((server.client, server.backend), (clients, backend));
    let mut ada = server.player("user=ada");
    server.backend().push_text("user=ada", "in order");
    assert_eq!(ada.recv_text(), "in order");
}

/// What a server says that does not start, with LISTEN_PID its own and the descriptor 3 as `redirection` makes it.
fn refused(variables: &str, redirection: &str, args: &str) -> String {
    let script = format!("{variables} exec \"$0\" serve {args} {redirection}");
    let output: Output = Command::new("sh").args(["-c", &script, GANNET]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    said.strip_prefix("gannet: ").unwrap_or_else(|| panic!("{said}")).to_owned()
}

#[test]
fn what_was_not_passed_is_an_error_that_says_why() {
    let backend = "--backend 127.0.0.1:0";
    let table = [
        ("", "", "--listen systemd", "no socket was passed, since LISTEN_FDS is not set"),
        (
            "LISTEN_FDS=1",
            "",
            "--listen systemd",
            "the passed sockets are for the process in LISTEN_PID, \"\"",
        ),
        (
            "LISTEN_FDS=1 LISTEN_PID=1",
            "",
            "--listen systemd",
            "the passed sockets are for the process in LISTEN_PID, \"1\"",
        ),
        ("LISTEN_FDS=many LISTEN_PID=$$", "", "--listen systemd", "LISTEN_FDS is \"many\""),
        ("LISTEN_FDS=2000000000 LISTEN_PID=$$", "", "--listen systemd", "LISTEN_FDS is \"2000000000\""),
        (
            "LISTEN_FDS=1 LISTEN_PID=$$ LISTEN_FDNAMES=a:b",
            "3</dev/null",
            "--listen systemd",
            "LISTEN_FDNAMES is \"a:b\"",
        ),
        (
            "LISTEN_FDS=1 LISTEN_PID=$$",
            "3</dev/null",
            "--listen systemd",
            "the passed descriptor 3 is no socket to accept connections on: ",
        ),
        ("LISTEN_FDS=0 LISTEN_PID=$$", "", "--listen systemd", "no passed socket is left for systemd: "),
    ];
    for (variables, redirection, args, start) in table {
        let said = refused(variables, redirection, &format!("{args} {backend}"));
        assert!(said.starts_with(start), "{variables} {args}: {said}");
    }
    // One that is not asked for is left alone.
    let folder = Folder::new("left-alone");
    let listen = folder.unix("players");
    let script = format!(
        "LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" serve --listen {listen} --backend 127.0.0.1:0 3</dev/null"
    );
    let mut command = Command::new("sh");
    command.args(["-c", &script, GANNET]);
    drop(ServerProcess::start_by(command));
}

#[test]
fn every_passed_socket_has_an_entry_that_takes_it() {
    let (one, other) = (free(6), free(7));
    let start = |listen: &str| {
        let mut command = Command::new("systemd-socket-activate");
        command.args(["--listen", &one.to_string(), "--listen", &other.to_string(), "--fdname=a:b"]);
        command.args([GANNET, "serve", "--listen", listen, "--backend", "127.0.0.1:0"]);
        let caller = thread::spawn(move || until("systemd's socket", || TcpStream::connect(one).is_ok()));
        let output = command.output().unwrap();
        caller.join().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let left = start("systemd:a");
    assert!(
        left.contains("nothing would accept connections on some of the passed sockets, which are called b:"),
        "{left}"
    );
    let none = start("systemd:c");
    assert!(
        none.contains("no passed socket is left for systemd:c; those that are left are called a, b:"),
        "{none}"
    );
}

#[test]
fn a_passed_socket_opens_the_server_to_nobody_by_accident() {
    // A port that is free at one address may be taken at another, and this needs it at all of them: the kernel chooses it,
    // and the socket is passed as it is.
    let everywhere = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = everywhere.local_addr().unwrap().port();
    let script = "LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" serve --listen systemd --backend 127.0.0.1:0 3<&0";
    let mut command = Command::new("sh");
    let output = command.args(["-c", script, GANNET]).stdin(OwnedFd::from(everywhere)).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains(&format!("anybody who reaches 0.0.0.0:{port} could claim to be any user")),
        "{said}"
    );
}
