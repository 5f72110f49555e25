//! As many idle sessions as the limit of open files lets one process hold: what each costs, and a broadcast to all.

use crate::support::{Player, Pool, ServerProcess, heavy, open_files, without_pings};
use std::thread;
use tungstenite::Message;

const MOST: usize = 18_000;
/// Descriptors left for the tests that run beside this one.
const RESERVE: usize = 2_000;
/// What a session, its user and its group may take, the slack of the tables included; the figure itself is printed. Where debug
/// assertions are on, mio's sockets are 16 bytes larger.
const BYTES_A_SESSION: u64 = 350;
/// Who came and went before the first look: code and tables that one session needs are not what a session costs.
const FORERUNNERS: usize = 100;

#[test]
fn idle_sessions_cost_little_and_a_broadcast_reaches_them_all() {
    let _heavy = heavy();
    let count = MOST.min(open_files() - RESERVE);
    let server = ServerProcess::start(&["--reactors", "4"], &without_pings("delivery.receipt_ms = 600000"));
    let mut backend = server.backend();
    let ports = *server;
    let gone = |totals: &serde_json::Value| {
        totals["sessions"] == 0 && totals["distinct_users"] == 0 && totals["distinct_groups"] == 0
    };
    let forerunners: Vec<Player> =
        (0..FORERUNNERS).map(|number| ports.player(&format!("user=u{number}&group=g"))).collect();
    assert_eq!(backend.push_text("all=1&receipt=written", "to all").written, Some(FORERUNNERS as u32));
    drop(forerunners);
    server.await_stats("the forerunners have gone", gone);
    let before = server.resident_bytes();

    let connect = move |number| ports.player(&format!("user=u{number}&group=g{}", number % 500));
    let players: Vec<Player> = thread::scope(|scope| {
        let halves = [0..count / 2, count / 2..count];
        let halves = halves.map(|half| scope.spawn(move || half.map(connect).collect::<Vec<_>>()));
        halves.into_iter().flat_map(|half| half.join().unwrap()).collect()
    });
    ports.await_stats("all are counted", |totals| totals["sessions"] == count);
    let each = (server.resident_bytes() - before) / count as u64;
    println!("{count} idle sessions: {each} bytes of resident memory each, {before} bytes without any");
    assert!(each < BYTES_A_SESSION, "{each} bytes a session");

    let pool = Pool::new(|_, message: Message| message == Message::text("to all"));
    for player in players {
        pool.add(player);
    }
    let receipt = backend.push_text("all=1&receipt=written", "to all");
    assert_eq!((receipt.matched as usize, receipt.written), (count, Some(count as u32)));
    pool.wait("the broadcast at every session", |logs| logs.iter().all(|log| log.messages == [true]));
    drop(pool);
    server.await_stats("everybody has gone", gone);
    println!("{} bytes of resident memory after all have gone", server.resident_bytes());
}
