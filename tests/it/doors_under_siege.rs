//! All of it at once, on a server with few descriptors: players who play, strangers with slow heads at the backend port, silent
//! ones at the client port, all of whom come again when they are closed. The operator is let in each time.

use crate::raw::Raw;
use crate::support::*;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};
use tungstenite::Message;

const KEY: &str = "0123456789abcdef";
const OPEN_FILES: u32 = 400;
const PLAYERS: usize = 300;
const SLOW_HEADS: usize = 1_100;
const SILENT: usize = 600;
const REQUESTS: usize = 20;
const BETWEEN_REQUESTS: Duration = Duration::from_millis(100);
/// Twenty messages a second.
const TICK: Duration = Duration::from_millis(50);
/// Who sends a request so soon is let in: docs/configuration.md, "Strangers".
const AT_ONCE: Duration = Duration::from_millis(5);
/// How often a slow head sends a byte, and whoever has been closed comes again.
const PACE: Duration = Duration::from_secs(1);

/// Keeps `count` connections to `address`, each of which sends a byte now and then where `talks`, until `over`.
fn besiege(address: SocketAddr, count: usize, talks: bool, begun: &mpsc::Sender<()>, over: &AtomicBool) {
    let connect = || {
        let mut stream = TcpStream::connect(address).unwrap();
        if talks {
            // It may have been closed already.
            let _ = stream.write_all(b"GET /v1/stats HTTP/1.1\r\nX: ");
        }
        stream.set_nonblocking(true).unwrap();
        stream
    };
    let mut streams: Vec<TcpStream> = (0..count).map(|_| connect()).collect();
    begun.send(()).unwrap();
    while !over.load(Ordering::Relaxed) {
        let round = Instant::now();
        for stream in &mut streams {
            let mut byte = [0];
            let has_ended = match stream.peek(&mut byte) {
                Ok(_) => true,
                Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
            };
            if has_ended || (talks && stream.write_all(b"x").is_err()) {
                *stream = connect();
            }
        }
        thread::park_timeout(PACE.saturating_sub(round.elapsed()));
    }
}

/// Ends the siege, also where the test fails.
struct EndOfSiege<'a> {
    over: &'a AtomicBool,
    besiegers: Vec<Thread>,
}

impl Drop for EndOfSiege<'_> {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        self.besiegers.iter().for_each(Thread::unpark);
    }
}

/// The operator asks, time and again, and shows how long each answer took.
fn ask_often(address: SocketAddr) {
    let times: Vec<Duration> = (0..REQUESTS)
        .map(|_| {
            let asked = Instant::now();
            let answer = operator(address);
            let time = asked.elapsed();
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
            thread::park_timeout(BETWEEN_REQUESTS);
            time
        })
        .collect();
    println!("the operator was answered in {times:.1?}");
}

/// What the operator is answered, with the key, on a connection of its own. On a machine so busy that it does not come to ask at once it
/// may be taken for a stranger, and asks again.
fn operator(address: SocketAddr) -> String {
    loop {
        let connects = Instant::now();
        let mut raw = Raw::connect(address);
        let sent = raw.try_send(format!(
            "GET /v1/stats HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\n\r\n"
        ));
        let has_asked_at_once = sent.is_ok() && connects.elapsed() < AT_ONCE;
        let answer = String::from_utf8(raw.rest()).unwrap();
        if has_asked_at_once || !answer.is_empty() {
            return answer;
        }
    }
}

/// Pushes a tick to all players at a time, until told to stop: how many those were. Says when the first has been pushed.
fn play(address: SocketAddr, begun: &mpsc::Sender<()>, stopped: &mpsc::Receiver<()>) -> usize {
    let mut backend = Raw::connect(address);
    let mut ticks = 0;
    loop {
        let body = ticks.to_string();
        backend.send(format!(
            "POST /v1/push?group=match HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n\
             Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        let answer = backend.answer();
        assert_eq!((answer.status, &answer.json()["queued"]), (200, &PLAYERS.into()));
        ticks += 1;
        if ticks == 1 {
            begun.send(()).unwrap();
        }
        if stopped.recv_timeout(TICK) != Err(RecvTimeoutError::Timeout) {
            return ticks;
        }
    }
}

#[test]
fn beside_strangers_at_both_ports_the_operator_is_answered_and_no_player_loses_a_message() {
    let _heavy = heavy();
    let config = format!("[backend]\nkey = '{KEY}'");
    let server = ServerProcess::start_limited(Some(OPEN_FILES), &["--reactors", "2"], &config);
    let ports = *server;
    let players: Vec<Player> = (0..PLAYERS).map(|_| ports.player("group=match")).collect();
    let pool = Pool::new(|_, message: Message| match message {
        Message::Text(text) => text.parse::<usize>().unwrap(),
        other => panic!("{other:?}"),
    });
    players.into_iter().for_each(|player| _ = pool.add(player));

    let over = AtomicBool::new(false);
    let ticks = thread::scope(|scope| {
        let (stop, stopped) = mpsc::channel();
        let (begun, begins) = mpsc::channel();
        let plays = begun.clone();
        let game = scope.spawn(move || play(ports.backend, &plays, &stopped));
        begins.recv().unwrap();
        let besiegers = [(ports.backend, SLOW_HEADS, true), (ports.client, SILENT, false)];
        let besiegers = besiegers.map(|(address, count, talks)| {
            let (begun, over) = (begun.clone(), &over);
            scope.spawn(move || besiege(address, count, talks, &begun, over))
        });
        let end =
            EndOfSiege { over: &over, besiegers: besiegers.iter().map(|one| one.thread().clone()).collect() };
        // As they come, and then with all of them there.
        ask_often(ports.backend);
        besiegers.iter().for_each(|_| begins.recv().unwrap());
        ask_often(ports.backend);
        drop((end, stop));
        game.join().unwrap()
    });
    pool.wait("every tick at every player", |logs| logs.iter().all(|log| log.messages.len() == ticks));
    pool.look(|logs| {
        assert!(logs.iter().all(|log| log.end.is_none() && log.messages.iter().copied().eq(0..ticks)));
    });
    println!("{PLAYERS} players got {ticks} messages each");
}
