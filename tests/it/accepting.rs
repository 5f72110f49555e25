//! Accepting: connections spread evenly over the reactors, a storm of them is taken to its end, and running out of
//! descriptors is a pause that nobody who is connected notices.

use crate::support::{Player, Ports, ServerProcess, TestServer};
use gannet::{App, Message, Session};
use std::collections::BTreeMap;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

const REACTORS: u64 = 4;

/// How many of the players each reactor has.
fn spread(players: &[Player]) -> BTreeMap<u8, usize> {
    let mut spread: BTreeMap<u8, usize> = (0..REACTORS as u8).map(|worker| (worker, 0)).collect();
    for player in players {
        *spread.get_mut(&player.id.worker()).unwrap() += 1;
    }
    spread
}

fn assert_even(players: &[Player]) {
    let spread = spread(players);
    let (least, most) = (spread.values().min().unwrap(), spread.values().max().unwrap());
    assert!(most - least <= 1, "{spread:?}");
}

/// Waits until the server has let go of everything but `players` players and the connection that asks.
fn await_open_files(ports: Ports, files: u64) {
    ports.await_stats("the descriptors of the closed connections are free", |stats| {
        stats["open_fds"] == files
    });
}

#[test]
fn players_and_backends_spread_evenly_and_evenly_again_after_some_have_gone() {
    let server = ServerProcess::start(&["--reactors", "4"], "");
    let idle_files = server.backend().stats()["open_fds"].as_u64().unwrap();

    let mut players: Vec<Player> = (0..8).map(|_| server.player("")).collect();
    assert_eq!(spread(&players).into_values().collect::<Vec<_>>(), [2, 2, 2, 2]);
    players.extend((0..32).map(|_| server.player("")));
    assert_even(&players);

    // One reactor loses all it has; the next ones make up for it.
    let (gone, mut left): (Vec<Player>, Vec<Player>) =
        players.into_iter().partition(|player| player.id.worker() == 1);
    for player in gone {
        player.close(1000, "");
    }
    await_open_files(*server, idle_files + left.len() as u64);
    let new: Vec<Player> = (0..10).map(|_| server.player("")).collect();
    assert!(new.iter().all(|player| player.id.worker() == 1), "{:?}", spread(&new));
    left.extend(new);
    assert_even(&left);

    // Some of each go in other ways.
    let mut kept = Vec::new();
    let mut backend = server.backend();
    for (number, player) in left.into_iter().enumerate() {
        match number % 4 {
            0 => player.reset(),
            1 => {
                backend.change("DELETE", &format!("/v1/sessions/{}", player.id));
                player.close(1000, "");
            }
            _ => kept.push(player),
        }
    }
    drop(backend);
    await_open_files(*server, idle_files + kept.len() as u64);
    kept.extend((0..20).map(|_| server.player("")));
    assert_even(&kept);

    // Backend connections are counted by themselves.
    let mut reactors: BTreeMap<u64, usize> = BTreeMap::new();
    await_open_files(*server, idle_files + kept.len() as u64);
    let mut backends: Vec<_> = (0..8).map(|_| server.backend()).collect();
    for backend in &mut backends {
        *reactors.entry(backend.stats()["reactor"].as_u64().unwrap()).or_default() += 1;
    }
    assert_eq!(reactors.len(), REACTORS as usize, "{reactors:?}");
    // The connection that asked for the statistics may not have gone yet.
    assert!(reactors.values().all(|count| (1..=3).contains(count)), "{reactors:?}");
}

/// An app whose reactor stands still from the word `stop` to the end of a channel.
pub struct Stopping {
    /// Told when it stands.
    pub stopped: mpsc::Sender<()>,
    /// What ends that.
    pub go_on: Arc<Mutex<mpsc::Receiver<()>>>,
}

impl App for Stopping {
    fn message(&mut self, _session: &mut Session<'_>, message: Message<'_>) {
        if message == Message::Text("stop") {
            self.stopped.send(()).unwrap();
            // Its end is the signal.
            let _ = self.go_on.lock().unwrap().recv();
        }
    }
}

#[test]
fn what_one_turn_does_not_accept_the_next_ones_do() {
    let (stopped, stands_still) = mpsc::channel();
    let (go, go_on) = mpsc::channel::<()>();
    let go_on = Arc::new(Mutex::new(go_on));
    let server = TestServer::with_app(
        |config| config.limits.turn_accepts = 2,
        move |_| Box::new(Stopping { stopped: stopped.clone(), go_on: Arc::clone(&go_on) }),
    );
    // The first reactor accepts for all.
    let mut players: Vec<Player> = (0..4).map(|_| server.player("")).collect();
    let on_first = players.iter_mut().find(|player| player.id.worker() == 0).unwrap();
    on_first.send_text("stop");
    stands_still.recv().unwrap();

    // The kernel holds them, and reports them all with one edge.
    let storm: Vec<TcpStream> = (0..24).map(|_| TcpStream::connect(server.client).unwrap()).collect();
    drop(go);
    let taken: Vec<Player> = storm.into_iter().map(|stream| Player::over(stream, "/ws").unwrap()).collect();
    let all = players.len() + taken.len();
    server.await_stats("all are counted", |totals| totals["sessions"] == all);
}

#[test]
fn out_of_descriptors_accepting_pauses_and_the_sessions_notice_nothing() {
    let server = ServerProcess::start(&["--reactors", "2"], "");
    let mut backend = server.backend();
    let mut players: Vec<Player> = (0..10).map(|_| server.player("group=g")).collect();
    let idle_files = server.open_files();

    // No more than there are: as where something else in the process has opened the rest.
    let limited = server.limit_open_files(idle_files as u64);
    let crowd: Vec<TcpStream> = (0..80).map(|_| TcpStream::connect(server.client).unwrap()).collect();
    let mut tries = 0;
    while backend.stats()["accept_errors"] == 0 {
        tries += 1;
        let receipt = backend.push_text("group=g&receipt=written", &tries.to_string());
        assert_eq!((receipt.matched, receipt.written), (10, Some(10)));
    }
    for round in 0..100 {
        let receipt = backend.push_text("group=g&receipt=written", &format!("full {round}"));
        assert_eq!((receipt.matched, receipt.written), (10, Some(10)));
    }
    let late = thread::scope(|scope| {
        // It waits behind the crowd, until that has gone.
        let ports = *server;
        let late = scope.spawn(move || ports.player("group=g"));
        drop((crowd, limited));
        late.join().unwrap()
    });
    players.push(late);
    let receipt = backend.push_text("group=g&receipt=written", "over");
    assert_eq!((receipt.matched, receipt.written), (11, Some(11)));

    let late = players.pop().unwrap();
    for player in &mut players {
        let texts: Vec<String> = (0..tries + 101).map(|_| player.recv_text()).collect();
        let expected = (1..=tries).map(|number| number.to_string());
        let expected =
            expected.chain((0..100).map(|round| format!("full {round}"))).chain(["over".to_owned()]);
        assert!(texts.into_iter().eq(expected));
    }
    late.close(1000, "");
    server.await_stats("the descriptors are back", |stats| {
        stats["sessions"] == 10 && stats["open_fds"].as_u64() == Some(idle_files as u64 + 1)
    });
}
