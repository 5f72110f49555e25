//! What keeps one listener from being read keeps no other, and each goes on where it was.

use super::{Folder, ips, listen};
use crate::accepting::Stopping;
use crate::support::*;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, mpsc};
use std::{iter, thread};

/// A connection of either kind.
trait Stream: Read + Write + Send {}

impl<S: Read + Write + Send> Stream for S {}

/// `count` connections to each of two addresses and of a Unix socket, none of which has said anything.
fn silent(addresses: &[SocketAddr], folder: &Folder, count: usize) -> Vec<Box<dyn Stream>> {
    (0..count).flat_map(|_| one_at_each(addresses, folder)).collect()
}

/// A connection to each, which is made when it is asked for.
fn one_at_each(addresses: &[SocketAddr], folder: &Folder) -> impl Iterator<Item = Box<dyn Stream>> {
    let tcp =
        |address: &SocketAddr| Box::new(prepared(TcpStream::connect(address).unwrap())) as Box<dyn Stream>;
    let unix = || {
        let stream = UnixStream::connect(folder.path("players")).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Box::new(stream) as Box<dyn Stream>
    };
    addresses.iter().map(tcp).chain(iter::once_with(unix))
}

fn welcomed(stream: Box<dyn Stream>) -> Player<Box<dyn Stream>> {
    Player::on(stream, "/ws?group=g").unwrap_or_else(|refusal| panic!("{refusal:?}"))
}

#[test]
fn what_one_turn_does_not_accept_at_each_listener_the_next_ones_do() {
    let folder = Folder::new("storm");
    let (stopped, stands_still) = mpsc::channel();
    let (go, go_on) = mpsc::channel::<()>();
    let go_on = Arc::new(Mutex::new(go_on));
    let server = TestServer::with_app(
        |config| {
            config.limits.turn_accepts = 2;
            config.reactors = Some(1);
            config.listen = listen(&["127.0.0.1:0", "127.0.0.2:0", &folder.unix("players")]);
        },
        move |_| Box::new(Stopping { stopped: stopped.clone(), go_on: Arc::clone(&go_on) }),
    );
    let addresses = ips(&server.addrs()[0][..2]);
    let mut first = server.player("");
    first.send_text("stop");
    stands_still.recv().unwrap();
    // The kernel holds them, and reports those of each listener with one edge.
    let storm = silent(&addresses, &folder, 12);
    drop(go);
    let players: Vec<_> = storm.into_iter().map(welcomed).collect();
    assert_eq!(server.backend().push_text("group=g", "to all").queued as usize, players.len());
}

#[test]
fn who_says_nothing_at_one_listener_gives_way_to_who_asks_at_another() {
    let folder = Folder::new("strangers");
    let server = TestServer::start(|config| {
        config.limits.max_upgrading = 4;
        config.listen = listen(&["127.0.0.1:0", "127.0.0.2:0", &folder.unix("players")]);
    });
    let addresses = ips(&server.addrs()[0][..2]);
    let silent_ones = silent(&addresses, &folder, 8);
    // Each listener is read by itself: one that is accepted later would be newer than who has come to another one meanwhile.
    server.await_stats("all of them are accepted", |stats| {
        let gave_way = stats["refused"]["gave_way"].as_u64().unwrap();
        gave_way + stats["upgrading"].as_u64().unwrap() == silent_ones.len() as u64
    });
    // One after the other: who waits with its request says nothing either, and may give way.
    let players: Vec<_> = one_at_each(&addresses, &folder).map(welcomed).collect();
    assert_eq!(server.backend().push_text("group=g", "to all").queued as usize, players.len());
    server.await_stats("they gave way", |stats| stats["sessions"] == 3);
    drop(silent_ones);
}

#[test]
fn out_of_descriptors_every_listener_pauses_and_goes_on() {
    let folder = Folder::new("descriptors");
    let flags = ["--reactors", "2", "--listen", "127.0.0.2:0", "--listen", &folder.unix("players")];
    let server = ServerProcess::start(&flags, "");
    let mut backend = server.backend();
    let told = server.said();
    let second = told.lines().find_map(|line| line.trim().strip_prefix("clients   ws://127.0.0.2:")).unwrap();
    let second = SocketAddr::from(([127, 0, 0, 2], second.trim_end_matches("/ws").parse().unwrap()));
    let addresses = [server.client, second];

    // An answer shows that this connection has been accepted: it is one of the files that are counted now.
    backend.stats();
    let limited = server.limit_open_files(server.open_files() as u64);
    let crowd = silent(&addresses, &folder, 20);
    until("the descriptors are used up", || backend.stats()["accept_errors"] != 0);
    let late = silent(&addresses, &folder, 1);
    let players: Vec<_> = thread::scope(|scope| {
        let late: Vec<_> = late.into_iter().map(|stream| scope.spawn(|| welcomed(stream))).collect();
        drop((crowd, limited));
        late.into_iter().map(|player| player.join().unwrap()).collect()
    });
    assert_eq!(backend.push_text("group=g&receipt=written", "over").written, Some(players.len() as u32));
}
