//! A process that is stopped and goes on, as under a debugger, on a paused machine or behind a turn that took too long:
//! players who answer every ping stay, whatever the moment at which it stopped; one who does not answer is closed.

use crate::raw::{self, PING, PONG, Raw, upgrade};
use crate::support::*;
use gannet::{App, Message, Session};
use std::thread;
use std::time::Duration;

/// From a ping to the end is long beside what a healthy player needs on a busy machine.
const TIMES: &str = "[timeouts]\nping_ms = 400\nidle_ms = 3_000\n";
/// Longer than `idle_ms`: by the clock alone every player has been silent for too long then.
const STANDS_FOR: Duration = Duration::from_millis(3_500);
/// After all that a player had left when the process stopped, if that sleep counted as silence.
const GO_ON_LATER: Duration = Duration::from_millis(700);
const PLAYERS: usize = 400;
/// More than two times what one look at the sockets gives a reactor.
const MANY: usize = 2_500;

type Crowd = Pool<String>;

fn crowd(ports: Ports, count: usize) -> Crowd {
    let pool = Pool::new(|_, message| message.into_text().unwrap().as_str().to_owned());
    for _ in 0..count {
        pool.add(ports.player("group=crowd"));
    }
    pool
}

/// Every player says something, and the server has heard it: none of them will be pinged for some time.
fn speak(ports: Ports, pool: &Crowd) {
    let heard = ports.backend().stats()["messages_in"].as_u64().unwrap();
    let count = say(pool) as u64;
    ports.await_stats("all are heard", |totals| totals["messages_in"].as_u64().unwrap() == heard + count);
}

/// Every player sends a message. Returns how many they are.
fn say(pool: &Crowd) -> usize {
    let count = pool.look(|logs| logs.len());
    (0..count).for_each(|index| pool.send(index, tungstenite::Message::text("here")));
    count
}

/// Each player, who is held back from reading, has a ping to read.
fn await_pings(pool: &Crowd) {
    pool.wait("a ping for each player", |logs| logs.iter().all(|log| log.unread));
}

/// The process stands for longer than a player may be silent; `meanwhile` happens in that time.
fn stand(server: &ServerProcess, meanwhile: impl FnOnce()) {
    server.pause();
    meanwhile();
    thread::sleep(STANDS_FOR);
    server.resume();
}

/// Each player is pinged twice more, so that the timers of all have been looked at, and gets a message.
fn assert_all_stay(ports: Ports, pool: &Crowd) {
    let before: Vec<usize> = pool.look(|logs| logs.iter().map(|log| log.pings).collect());
    pool.wait("two more pings for each player", |logs| {
        let mut pinged = logs.iter().zip(&before).map(|(log, before)| log.pings >= before + 2);
        logs.iter().any(|log| log.end.is_some()) || pinged.all(|pinged| pinged)
    });
    let ends = pool.look(|logs| logs.iter().filter_map(|log| log.end.clone()).collect::<Vec<_>>());
    assert!(
        ends.is_empty(),
        "{} of {} players were closed, the first: {:?}",
        ends.len(),
        before.len(),
        ends[0]
    );
    let receipt = ports.backend().push_text("group=crowd&receipt=written", "still here");
    assert_eq!((receipt.matched, receipt.written), (before.len() as u32, Some(before.len() as u32)));
    pool.wait("a message for each player", |logs| {
        logs.iter().all(|log| log.messages.last().is_some_and(|text| text == "still here"))
    });
    assert_eq!(ports.backend().stats()["closed"]["4000"], 0);
}

#[test]
fn players_not_pinged_yet_stay_after_a_stop_that_is_longer_than_their_idle_time() {
    for reactors in ["1", "4"] {
        let server = ServerProcess::start(&["--reactors", reactors], TIMES);
        let pool = crowd(*server, PLAYERS);
        speak(*server, &pool);
        // No player answers between two turns.
        pool.hold();
        stand(&server, || ());
        await_pings(&pool);
        pool.release();
        assert_all_stay(*server, &pool);
    }
}

#[test]
fn a_ping_written_just_before_a_stop_may_be_answered_after_it() {
    for reactors in ["1", "4"] {
        let server = ServerProcess::start(&["--reactors", reactors], TIMES);
        let pool = crowd(*server, PLAYERS);
        pool.hold();
        await_pings(&pool);
        // The players stand too, and go on a little later: a paused machine.
        stand(&server, || ());
        thread::sleep(GO_ON_LATER);
        pool.release();
        assert_all_stay(*server, &pool);
    }
}

#[test]
fn pongs_that_came_during_a_stop_are_heard_before_the_timers_however_many_they_are() {
    let _heavy = heavy();
    let server = ServerProcess::start(&["--reactors", "1"], TIMES);
    let pool = crowd(*server, MANY);
    pool.hold();
    await_pings(&pool);
    stand(&server, || {
        let answered: Vec<usize> = pool.look(|logs| logs.iter().map(|log| log.pings).collect());
        pool.release();
        pool.wait("a pong of each player", |logs| {
            logs.iter().zip(&answered).all(|(log, answered)| log.pings > *answered)
        });
    });
    assert_all_stay(*server, &pool);
}

#[test]
fn messages_that_came_during_a_stop_are_heard_before_the_timers_however_many_they_are() {
    let _heavy = heavy();
    let server = ServerProcess::start(&["--reactors", "1"], TIMES);
    let pool = crowd(*server, MANY);
    speak(*server, &pool);
    let heard = server.backend().stats()["messages_in"].as_u64().unwrap();
    stand(&server, || _ = say(&pool));
    assert_all_stay(*server, &pool);
    assert_eq!(server.backend().stats()["messages_in"].as_u64().unwrap(), heard + MANY as u64);
}

#[test]
fn upgrade_requests_that_became_whole_during_a_stop_are_answered_however_many_they_are() {
    const HEADS: usize = 1_500;
    let _heavy = heavy();
    let config = "[timeouts]\nupgrade_ms = 5_000";
    let server = ServerProcess::start(&["--reactors", "1"], config);
    let without = server.open_files();
    let request = upgrade("/ws", "");
    let (first, rest) = request.split_at(request.len() / 2);
    let mut clients: Vec<Raw> = (0..HEADS).map(|_| Raw::connect(server.client)).collect();
    clients.iter_mut().for_each(|client| client.send(first));
    server.await_stats("all are accepted", |_| server.open_files() >= without + HEADS);
    server.pause();
    clients.iter_mut().for_each(|client| client.send(rest));
    thread::sleep(Duration::from_millis(5_500));
    server.resume();
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.answer().status, 101, "client {number}");
    }
}

#[test]
fn only_a_player_who_does_not_answer_is_closed_with_4000_after_a_stop() {
    for reactors in ["1", "4"] {
        let server = ServerProcess::start(&["--reactors", reactors], TIMES);
        let mut link = server.link();
        link.listen(&["message"], None);
        // The link answers its pings as it reads: until the last player has spoken after the stop.
        let link = thread::spawn(move || while link.event()["text"] != "after the stop" {});
        let pool = crowd(*server, PLAYERS);
        let mut mute = Raw::player(server.client, "/ws?group=crowd&user=mute");
        speak(*server, &pool);
        stand(&server, || ());
        let end = std::iter::from_fn(|| mute.frame()).find(|frame| frame.first == crate::raw::CLOSE);
        assert_eq!(end.expect("a Close frame").close(), (4000, "idle"));
        assert_eq!(pool.look(|logs| logs.iter().filter(|log| log.end.is_some()).count()), 0);
        pool.send(0, tungstenite::Message::text("after the stop"));
        link.join().unwrap();
        let totals = server.await_stats("one less is counted", |totals| totals["sessions"] == PLAYERS);
        assert_eq!(totals["closed"]["4000"], 1);
    }
}

/// A sleep that a stop interrupts ends without a look at the sockets: it must not be taken for one that found nothing.
#[test]
fn a_pong_that_came_during_a_stop_is_heard_although_the_stop_interrupted_the_sleep() {
    const SERVERS: usize = 6;
    const BEFORE: Duration = Duration::from_millis(800);
    thread::scope(|scope| {
        for _ in 0..SERVERS {
            scope.spawn(|| {
                let times = "[timeouts]\nping_ms = 400\nidle_ms = 1_400\n";
                let server = ServerProcess::start(&["--reactors", "1"], times);
                // By then the reactor sleeps until the very end of the player, in most cases: hence some servers.
                let mut player = await_stop_before_the_end(&server, BEFORE);
                player.send(raw::masked(PONG, b""));
                thread::sleep(BEFORE);
                server.resume();
                assert_eq!(player.frame().map(|frame| frame.first), Some(PING), "the player stays");
            });
        }
    });
}

/// A player that was pinged so long before the server stands, which has not closed it.
fn await_stop_before_the_end(server: &ServerProcess, pinged: Duration) -> Raw {
    loop {
        let mut player = Raw::player(server.client, "/ws");
        while player.frame().expect("a Ping frame").first != PING {}
        thread::sleep(pinged);
        server.pause();
        // A machine so busy that the stop came behind the end has shown nothing.
        if !player.is_readable() {
            return player;
        }
        server.resume();
    }
}

/// Holds its reactor for as long as the message says, in milliseconds.
struct Holds;

impl App for Holds {
    fn message(&mut self, _: &mut Session<'_>, message: Message<'_>) {
        if let Message::Text(text) = message
            && let Ok(ms) = text.parse()
        {
            thread::sleep(Duration::from_millis(ms));
        }
    }
}

#[test]
fn a_turn_that_takes_longer_than_the_idle_time_closes_no_player_who_answers() {
    let server = TestServer::with_app(
        |config| {
            config.reactors = Some(1);
            config.timeouts.ping = Duration::from_millis(400);
            config.timeouts.idle = Duration::from_millis(3_000);
        },
        |_| Box::new(Holds),
    );
    let pool = crowd(*server, PLAYERS);
    speak(*server, &pool);
    pool.hold();
    pool.send(0, tungstenite::Message::text(STANDS_FOR.as_millis().to_string()));
    await_pings(&pool);
    pool.release();
    assert_all_stay(*server, &pool);
}
