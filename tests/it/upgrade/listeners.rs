//! Listeners across an upgrade: none is bound again, new ones are bound, old ones are closed; and how many reactors there are.

use super::running::Running;
use crate::support::*;
use rustix::process::Signal;
use serde_json::Value;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, iter};

/// `gannet serve` with this configuration alone.
fn configured(name: &str, config: impl FnOnce(&Path) -> String) -> (Running, PathBuf) {
    let folder = std::env::temp_dir().join(format!("gannet-listeners-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("gannet.toml");
    fs::write(&path, config(&folder)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gannet"));
    command.args(["serve", "--reactors", "2", "--config"]).arg(&path);
    (Running::start_by(command), path)
}

/// Free ports of an address of its own, on which no other test is.
pub fn free(last: u8, count: usize) -> Vec<SocketAddr> {
    // All are held until all are known.
    let bound: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind(format!("127.0.15.{last}:0")).unwrap()).collect();
    bound.iter().map(|listener| listener.local_addr().unwrap()).collect()
}

fn notes(report: &Value) -> String {
    report["notes"].to_string()
}

#[test]
fn addresses_that_are_new_are_bound_and_those_that_are_gone_are_closed() {
    let [stays, goes, comes, backend] = free(1, 4)[..] else { panic!("four") };
    let config = |listen: [SocketAddr; 2]| {
        format!("listen = ['{}', '{}']\nbackend.listen = '{backend}'\n", listen[0], listen[1])
    };
    let (mut server, path) = configured("move", |_| config([goes, stays]));
    let mut players: Vec<Player> =
        [goes, stays].map(|address| Player::connect(address, "user=ada")).into_iter().collect();
    fs::write(&path, config([stays, comes])).unwrap();
    server.upgrade();
    players.push(Player::connect(stays, "user=ada"));
    players.push(Player::connect(comes, "user=ada"));
    assert!(TcpStream::connect(goes).is_err(), "nothing listens there any more");
    assert_eq!(server.backend().push_text("user=ada", "to all").queued, 4);
    for player in &mut players {
        assert_eq!(player.recv_text(), "to all");
    }
    // And back.
    fs::write(&path, config([goes, stays])).unwrap();
    server.upgrade();
    players.push(Player::connect(goes, "user=ada"));
    assert!(TcpStream::connect(comes).is_err(), "nothing listens there any more");
    assert_eq!(server.backend().push_text("user=ada", "to all").queued, 5);
}

#[test]
fn an_address_that_cannot_be_bound_is_a_refusal() {
    let [stays, backend] = free(2, 2)[..] else { panic!("two") };
    let taken = TcpListener::bind("127.0.15.3:0").unwrap();
    let taken = (taken.local_addr().unwrap(), taken);
    let (mut server, path) =
        configured("taken", |_| format!("listen = '{stays}'\nbackend.listen = '{backend}'\n"));
    let mut player = Player::connect(stays, "user=ada");
    fs::write(&path, format!("listen = ['{stays}', '{}']\nbackend.listen = '{backend}'\n", taken.0)).unwrap();
    let why = server.refused_by("");
    assert!(why.contains(&taken.0.to_string()), "{why}");
    assert_eq!(server.backend().push_text("user=ada", "still here").queued, 1);
    assert_eq!(player.recv_text(), "still here");
    Player::connect(stays, "user=eve");
    drop(taken);
    server.upgrade();
}

#[test]
fn connections_in_the_backlog_are_taken_by_the_new_process() {
    let mut server = Running::start(&["--reactors", "2"], "timeouts.handover_ms = 60000");
    let mut waiting = Vec::new();
    server.upgrade_around("new:listeners", |ports| {
        waiting.extend(iter::repeat_with(|| TcpStream::connect(ports.client).unwrap()).take(100));
    });
    let players: Vec<Player> =
        waiting.into_iter().map(|stream| Player::over(stream, "/ws?user=ada").unwrap()).collect();
    assert_eq!(server.backend().push_text("user=ada", "to all").queued as usize, players.len());
}

#[test]
fn the_files_of_unix_sockets_stay_and_go_with_the_last_process() {
    let (mut server, path) = configured("unix", |folder| {
        format!(
            "listen = ['unix:{0}/players', '127.0.0.1:0']\nbackend.listen = ['unix:{0}/backend', '127.0.0.1:0']\n\
             timeouts.shutdown_ms = 100\n",
            folder.display()
        )
    });
    let folder = path.parent().unwrap();
    let sockets = ["players", "backend"].map(|name| folder.join(name));
    let inodes = || sockets.each_ref().map(|socket| fs::metadata(socket).unwrap().ino());
    let before = inodes();
    let connect = || {
        let stream = UnixStream::connect(&sockets[0]).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Player::on(stream, "/ws?user=ada").unwrap()
    };
    let mut players = vec![connect()];
    for _ in 0..3 {
        server.upgrade();
        assert_eq!(inodes(), before, "the files are the same");
        players.push(connect());
    }
    let stream = UnixStream::connect(&sockets[1]).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    assert_eq!(Backend::on(stream).push_text("user=ada", "over a Unix socket").queued, 4);
    for player in &mut players {
        assert_eq!(player.recv_text(), "over a Unix socket");
    }
    // An upgrade that fails removes none.
    server.refused_by("?binary=/bin/true");
    assert_eq!(inodes(), before);
    server.signal(Signal::TERM);
    assert_eq!(server.ended(), (Some(0), None));
    assert!(sockets.iter().all(|socket| !socket.exists()), "the last one removes its files");
}

#[test]
fn the_number_of_reactors_stays_and_a_note_says_so() {
    let folder = |reactors: usize| {
        format!("reactors = {reactors}\nlisten = '127.0.0.1:0'\nbackend.listen = '127.0.0.1:0'\n")
    };
    let path = std::env::temp_dir().join(format!("gannet-reactors-{}.toml", std::process::id()));
    fs::write(&path, folder(3)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gannet"));
    command.arg("serve").arg("--config").arg(&path);
    let mut server = Running::start_by(command);
    let mut players: Vec<Player> = (0..30).map(|_| server.player("user=ada")).collect();
    for reactors in [1, 5, 3] {
        fs::write(&path, folder(reactors)).unwrap();
        let report = server.upgrade();
        assert_eq!(notes(&report).contains("reactors"), reactors != 3, "{report}");
        assert_eq!(report["reactors"], 3, "{report}");
        let mut backend = server.backend();
        for player in &mut players {
            let receipt = backend.push_text(&format!("session={}", player.id), "by its id");
            assert_eq!((receipt.queued, player.recv_text().as_str()), (1, "by its id"));
        }
    }
    fs::remove_file(path).unwrap();
}
