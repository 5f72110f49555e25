//! A turn does a bounded amount of work, however much one connection asks for at once: the others of its reactor are
//! answered between the parts of it. The server is frozen while the requests are sent, so that all of them are ready in
//! the same turn, in the order of sending. What the others' answers say of the counters is then the order of events.

use crate::raw::{Answer, Raw, TEXT, masked, request, request_with, upgrade};
use crate::support::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::thread;

/// Connections that ask for `/metrics` right behind the one that asks for much.
const OTHERS: usize = 4;

/// No ping in a test: what is read and written is counted.
const NO_PINGS: &str = "[timeouts]\nping_ms = 3600000\nidle_ms = 7200000\n";

/// A family of counters, and the labels of those that are meant.
type Counter = (&'static str, &'static [&'static str]);

const TURNS: Counter = ("gannet_turns_total", &[]);
const QUEUED: Counter = ("gannet_deliveries_total", &["outcome=\"queued\""]);
const WRITES: Counter = ("gannet_socket_writes_total", &[]);
const BYTES_OUT: Counter = ("gannet_bytes_out_total", &[]);
const ANSWERS: Counter = ("gannet_http_requests_total", &["status=\"2xx\""]);
const TOO_SLOW: Counter = ("gannet_closed_total", &["code=\"4003\""]);

fn grown((family, labels): Counter, before: &Scrape, after: &Scrape) -> u64 {
    after.sum(family, labels) - before.sum(family, labels)
}

/// The turns between two answers, those of the answers included.
fn turns(before: &Scrape, after: &Scrape) -> u64 {
    // A turn is counted at its end: that of the second answer is not.
    grown(TURNS, before, after) + 1
}

/// Between two answers no turn did more than its part.
fn assert_bounded(counter: Counter, a_turn: usize, before: &Scrape, after: &Scrape) {
    let (turns, done) = (turns(before, after), grown(counter, before, after));
    let most = turns * a_turn as u64;
    assert!(done <= most, "{} grew by {done} in {turns} turns, which may do {most}", counter.0);
}

/// A server of one reactor, players in the group `crowd`, and the connections that watch it.
struct World {
    server: ServerProcess,
    pool: Pool<String>,
    others: Vec<Raw>,
}

impl World {
    fn new(players: usize, config: &str) -> Self {
        let server = ServerProcess::start(&["--reactors", "1"], config);
        let pool = Pool::new(|_, message| message.into_text().unwrap().as_str().to_owned());
        for number in 0..players {
            pool.add(server.player(&format!("user=u{number}&group=crowd")));
        }
        let mut others: Vec<Raw> = (0..OTHERS).map(|_| Raw::connect(server.backend)).collect();
        others.iter_mut().for_each(|other| drop(scrape(other)));
        Self { server, pool, others }
    }

    /// Sends `asked` and, behind it, a request of each of the others; all of it is ready when the server goes on. What
    /// the metrics were before, and the answers to the others.
    fn ask_in_one_turn(&mut self, asking: &mut Raw, asked: &[u8]) -> (Scrape, Vec<Scrape>) {
        let before = self.scrape();
        let frozen = self.server.freeze();
        asking.send(asked);
        self.others.iter_mut().for_each(|other| other.send(request("GET /metrics")));
        drop(frozen);
        let answers = self.others.iter_mut().map(|other| Scrape::new(other.answer().body)).collect();
        (before, answers)
    }

    fn scrape(&mut self) -> Scrape {
        scrape(&mut self.others[0])
    }
}

fn scrape(raw: &mut Raw) -> Scrape {
    raw.send(request("GET /metrics"));
    Scrape::new(raw.answer().body)
}

/// A command of a backend.
enum Command {
    Push(String),
    Leave(&'static str),
    Kick(&'static str),
}

impl Command {
    fn json(&self, id: usize) -> Value {
        match self {
            Self::Push(text) => json!({"id": id, "op": "push", "to": {"group": "crowd"}, "text": text}),
            Self::Leave(user) => json!({"id": id, "op": "leave", "group": "crowd", "user": user}),
            Self::Kick(user) => json!({"id": id, "op": "kick", "user": user, "reason": "out"}),
        }
    }

    fn http(&self) -> String {
        match self {
            Self::Push(text) => request_with("POST /v1/push?group=crowd", text),
            Self::Leave(user) => request(&format!("DELETE /v1/groups/crowd/members?user={user}")),
            Self::Kick(user) => request(&format!("DELETE /v1/users/{user}?reason=out")),
        }
    }
}

/// A way in which one connection asks for much at once.
#[derive(Debug, Clone, Copy)]
enum Door {
    Batch,
    Pipelined,
    Link,
}

impl Door {
    fn open(self, ports: Ports) -> Raw {
        let mut raw = Raw::connect(ports.backend);
        match self {
            Self::Batch | Self::Pipelined => {
                raw.send(request("GET /healthz"));
                assert_eq!(raw.answer().status, 200);
            }
            Self::Link => {
                raw.send(upgrade("/v1/link", "Sec-WebSocket-Protocol: gannet.link.json\r\n"));
                assert_eq!(raw.answer().status, 101);
            }
        }
        raw
    }

    fn bytes(self, commands: &[Command]) -> Vec<u8> {
        let lines = commands.iter().enumerate().map(|(id, command)| command.json(id).to_string());
        match self {
            Self::Batch => {
                request_with("POST /v1/batch", &lines.map(|line| line + "\n").collect::<String>()).into()
            }
            Self::Pipelined => commands.iter().flat_map(|command| command.http().into_bytes()).collect(),
            Self::Link => lines.flat_map(|line| masked(TEXT, line.as_bytes())).collect(),
        }
    }

    /// What the commands were answered, in their order.
    fn answers(self, raw: &mut Raw, count: usize) -> Vec<Value> {
        let by_id = |replies: Vec<Value>| {
            let by_id: BTreeMap<u64, Value> =
                replies.into_iter().map(|mut one| (one["id"].as_u64().unwrap(), one["ok"].take())).collect();
            assert_eq!(by_id.len(), count, "one reply a command");
            by_id.into_values().collect()
        };
        match self {
            Self::Batch => {
                let Answer { status, body, .. } = raw.answer();
                assert_eq!(status, 200);
                let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
                by_id(lines.map(|line| serde_json::from_slice(line).unwrap()).collect())
            }
            Self::Pipelined => (0..count).map(|_| raw.answer().json()).collect(),
            Self::Link => by_id(
                (0..count).map(|_| serde_json::from_str(raw.frame().unwrap().text()).unwrap()).collect(),
            ),
        }
    }
}

const PLAYERS: usize = 100;
const PUSHES: usize = 250;

fn bounded_turns() -> String {
    format!("{NO_PINGS}[limits]\nturn_deliveries = 64\nturn_writes = 8\n")
}

/// The rest of a push may belong to the turn that has begun it.
const DELIVERIES_A_TURN: usize = 64 + PLAYERS;
/// A session's queue may take several calls, each of 64 messages. The answers are written beside it.
const WRITES_A_TURN: usize = 8 * 4 + 2 * OTHERS;

fn many_pushes_then_a_leave_and_a_kick() -> Vec<Command> {
    let mut commands: Vec<Command> = (0..PUSHES).map(|number| Command::Push(number.to_string())).collect();
    commands.push(Command::Leave("u0"));
    commands.push(Command::Push("after the leave".to_owned()));
    commands.push(Command::Kick("u1"));
    commands.push(Command::Push("after the kick".to_owned()));
    commands
}

fn assert_answered(door: Door, answers: &[Value]) {
    let receipt = |sessions: usize| crate::http_api::receipt(sessions as u32, sessions as u32, 0);
    let mut expected = vec![receipt(PLAYERS); PUSHES];
    expected.push(json!({"sessions": 1}));
    expected.push(receipt(PLAYERS - 1));
    expected.push(json!({"sessions": 1}));
    expected.push(receipt(PLAYERS - 2));
    assert_eq!(answers, expected, "{door:?}");
}

/// Every player has got its messages in order, and none that was not for it.
fn assert_delivered(world: &World) {
    assert_eq!(world.server.backend().push_text("all=1", "last").queued, PLAYERS as u32 - 1);
    world.pool.wait("the last push, or the end", |logs| {
        let has_all =
            |log: &Log<String>| log.end.is_some() || log.messages.last().is_some_and(|last| last == "last");
        logs.iter().all(has_all)
    });
    let pushed = |more: &[&str]| -> Vec<String> {
        (0..PUSHES).map(|number| number.to_string()).chain(more.iter().map(|text| text.to_string())).collect()
    };
    world.pool.look(|logs| {
        for (number, log) in logs.iter().enumerate() {
            let (messages, end) = match number {
                0 => (pushed(&["last"]), None),
                1 => (pushed(&["after the leave"]), Some(End::Closed(4001, "out".to_owned()))),
                _ => (pushed(&["after the leave", "after the kick", "last"]), None),
            };
            assert_eq!((&log.messages, &log.end), (&messages, &end), "player {number}");
        }
    });
}

/// The others are answered while most pushes are undelivered, and everything is delivered in order all the same.
fn others_are_answered_between_the_pushes(door: Door) {
    let mut world = World::new(PLAYERS, &bounded_turns());
    let mut asking = door.open(*world.server);
    let commands = many_pushes_then_a_leave_and_a_kick();
    let deliveries = (PUSHES * PLAYERS + (PLAYERS - 1) + (PLAYERS - 2)) as u64;
    let (before, answers) = world.ask_in_one_turn(&mut asking, &door.bytes(&commands));
    for (other, after) in answers.iter().enumerate() {
        let delivered = grown(QUEUED, &before, after);
        assert!(
            delivered < deliveries / 2,
            "{door:?}: {delivered} of {deliveries} deliveries in {} turns came before the answer to other {other}",
            turns(&before, after)
        );
    }
    // To its end no turn does more than its part.
    let reading = thread::spawn(move || door.answers(&mut asking, commands.len()));
    until("every command is answered", || {
        let after = world.scrape();
        assert_bounded(QUEUED, DELIVERIES_A_TURN, &before, &after);
        assert_bounded(WRITES, WRITES_A_TURN, &before, &after);
        reading.is_finished()
    });
    assert_eq!(grown(QUEUED, &before, &world.scrape()), deliveries);
    assert_answered(door, &reading.join().unwrap());
    assert_delivered(&world);
}

#[test]
fn others_are_answered_between_the_pushes_of_a_batch() {
    others_are_answered_between_the_pushes(Door::Batch);
}

#[test]
fn others_are_answered_between_pipelined_pushes() {
    others_are_answered_between_the_pushes(Door::Pipelined);
}

#[test]
fn others_are_answered_between_the_pushes_of_a_link() {
    others_are_answered_between_the_pushes(Door::Link);
}

/// Many pushes of one connection and one of another are ready in one turn: each asks in its turn, so the one is delivered
/// behind the first few of the many and not behind all that may be pipelined.
fn a_single_push_waits_for_a_few_of_the_many(door: Door) {
    const MANY: usize = 100;
    const FEW: usize = MANY / 4;
    let world = World::new(PLAYERS, &bounded_turns());
    let (mut asking, mut single) = (door.open(*world.server), Door::Pipelined.open(*world.server));
    let commands: Vec<Command> = (0..MANY).map(|number| Command::Push(number.to_string())).collect();
    let frozen = world.server.freeze();
    asking.send(door.bytes(&commands));
    single.send(Door::Pipelined.bytes(&[Command::Push("single".to_owned())]));
    drop(frozen);
    let receipt = crate::http_api::receipt(PLAYERS as u32, PLAYERS as u32, 0);
    assert_eq!(single.answer().json(), receipt);
    assert_eq!(door.answers(&mut asking, MANY), vec![receipt; MANY], "{door:?}");
    world.pool.wait("every push", |logs| logs.iter().all(|log| log.messages.len() > MANY));
    world.pool.look(|logs| {
        for log in logs {
            let before = log.messages.iter().position(|message| message == "single").unwrap();
            assert!(before <= FEW, "{door:?}: {before} of {MANY} pushes were delivered before a single one");
        }
    });
}

#[test]
fn a_single_push_waits_for_a_few_of_a_batch() {
    a_single_push_waits_for_a_few_of_the_many(Door::Batch);
}

#[test]
fn a_single_push_waits_for_a_few_of_those_pipelined() {
    a_single_push_waits_for_a_few_of_the_many(Door::Pipelined);
}

#[test]
fn a_single_push_waits_for_a_few_of_a_link() {
    a_single_push_waits_for_a_few_of_the_many(Door::Link);
}

#[test]
fn pushes_that_come_from_another_reactor_are_delivered_in_many_turns() {
    let server = ServerProcess::start(&["--reactors", "2"], &bounded_turns());
    let mut backend = server.backend();
    let pool = Pool::new(|_, message| message.into_text().unwrap().as_str().to_owned());
    let mut elsewhere = Vec::new();
    let mut members = 0;
    while members < PLAYERS {
        let player = server.player("");
        match player.id.worker() {
            1 => {
                let joined =
                    backend.change("POST", &format!("/v1/groups/crowd/members?session={}", player.id));
                assert_eq!(joined, 1);
                pool.add(player);
                members += 1;
            }
            _ => elsewhere.push(player),
        }
    }
    let mut asking = loop {
        let mut raw = Raw::connect(server.backend);
        raw.send(request("GET /v1/stats"));
        if raw.answer().json()["reactor"] == 0 {
            break raw;
        }
    };
    let commands: Vec<Command> = (0..PUSHES).map(|number| Command::Push(number.to_string())).collect();
    let before = backend.scrape();
    asking.send(Door::Batch.bytes(&commands));
    let answers = Door::Batch.answers(&mut asking, commands.len());
    let receipt = crate::http_api::receipt(PLAYERS as u32, PLAYERS as u32, 0);
    assert!(answers.iter().all(|answer| *answer == receipt), "{answers:?}");
    let after = backend.scrape();
    let there = |(family, labels): Counter| {
        let labels = [&["reactor=\"1\""], labels].concat();
        (after.sum(family, &labels) - before.sum(family, &labels)) as usize
    };
    assert_eq!(there(QUEUED), PUSHES * PLAYERS);
    let turns = there(TURNS) + 1;
    assert!(
        PUSHES * PLAYERS <= turns * DELIVERIES_A_TURN,
        "reactor 1 delivered {PUSHES} pushes in {turns} turns"
    );
    pool.wait("every push", |logs| logs.iter().all(|log| log.messages.len() >= PUSHES));
    let pushed: Vec<String> = (0..PUSHES).map(|number| number.to_string()).collect();
    pool.look(|logs| assert!(logs.iter().all(|log| log.messages == pushed && log.end.is_none())));
}

const LISTED: usize = 300;
const LISTINGS: usize = 256;

/// `page` lists the 300 sessions of the crowd, 256 times in one write.
fn others_are_answered_between_listings(page: &str, entries: &str) {
    // The rest of a page may belong to its turn.
    const A_TURN: usize = 300 + LISTED;
    let mut world = World::new(LISTED, &format!("{NO_PINGS}[limits]\nturn_listed = 300\n"));
    let mut asking = Door::Pipelined.open(*world.server);
    let (before, answers) = world.ask_in_one_turn(&mut asking, request(page).repeat(LISTINGS).as_bytes());
    // So many of the answers counted may be those to scrapes. A page is written beside the reactor, answers behind turns: the
    // turns of those answers are all on the next one.
    let assert_bounded = |after: &Scrape, next: &Scrape, scrapes: usize| {
        let listings = grown(ANSWERS, &before, after).saturating_sub(scrapes as u64);
        let turns = turns(&before, next);
        let (done, most) = (listings * LISTED as u64, turns * A_TURN as u64);
        assert!(done <= most, "{page}: {done} entries in {turns} turns, which may list {most}");
    };
    let mut scrapes = 1 + OTHERS;
    answers.windows(2).for_each(|two| assert_bounded(&two[0], &two[1], scrapes));
    let mut last = answers.into_iter().next_back().unwrap();
    let entries = entries.to_owned();
    let reading = thread::spawn(move || {
        for number in 0..LISTINGS {
            let listing = asking.answer().json();
            let listed = listing[&entries].as_array().unwrap().len();
            assert_eq!((&listing["count"], listed), (&json!(LISTED), LISTED), "listing {number}");
            assert_eq!(listing["next"], Value::Null);
        }
    });
    until("every listing is answered", || {
        let next = world.scrape();
        assert_bounded(&last, &next, scrapes);
        (last, scrapes) = (next, scrapes + 1);
        reading.is_finished()
    });
    reading.join().unwrap();
}

#[test]
fn others_are_answered_between_pipelined_listings_of_sessions() {
    others_are_answered_between_listings("GET /v1/sessions?limit=1000", "sessions");
}

#[test]
fn others_are_answered_between_pipelined_listings_of_a_group() {
    others_are_answered_between_listings("GET /v1/groups/crowd?limit=1000", "members");
}

#[test]
fn a_queue_that_one_turn_fills_is_flushed_by_shares_and_nobody_who_reads_is_closed() {
    const READERS: usize = 30;
    const SHARE: usize = 8_192;
    const MESSAGE: usize = 4_000;
    // Six more than an outbox holds: a socket takes them even from a player who reads nothing meanwhile.
    const MESSAGES: usize = 262_144 / (MESSAGE + 4) + 6 + 1;
    // A share where the queue is full and one at the end of the turn, each to the end of its message; the answers.
    const A_TURN: usize = READERS * 2 * (SHARE + MESSAGE) + OTHERS * 65_536;
    let config = "[limits]\nturn_write_bytes = 8192\noutbox_bytes = 262144\nmax_push_bytes = 65536\n";
    let mut world = World::new(READERS, &format!("{NO_PINGS}{config}"));
    let mut asking = Door::Batch.open(*world.server);
    let text = |number: usize| format!("{number:0>MESSAGE$}");
    let commands: Vec<Command> = (0..MESSAGES).map(|number| Command::Push(text(number))).collect();
    let batch = Door::Batch.bytes(&commands);
    // The server has read all but the end, so that one turn has the whole batch before it.
    let (most, end) = batch.split_at(batch.len() - 10);
    let bytes_in = |scrape: Scrape| scrape.sum("gannet_bytes_in_total", &[]);
    let mut expected = bytes_in(world.scrape()) + most.len() as u64;
    asking.send(most);
    until("most of the batch is read", || {
        expected += request("GET /metrics").len() as u64;
        bytes_in(world.scrape()) >= expected
    });
    let (before, answers) = world.ask_in_one_turn(&mut asking, end);
    answers.iter().for_each(|after| assert_bounded(BYTES_OUT, A_TURN, &before, after));
    let answers = Door::Batch.answers(&mut asking, MESSAGES);
    let receipt = crate::http_api::receipt(READERS as u32, READERS as u32, 0);
    assert!(answers.iter().all(|answer| *answer == receipt), "{answers:?}");
    world.pool.wait("every message", |logs| {
        logs.iter().all(|log| log.messages.len() == MESSAGES || log.end.is_some())
    });
    world.pool.look(|logs| {
        for log in logs {
            assert_eq!(log.end, None, "{}", log.id);
            assert!(log.messages.iter().enumerate().all(|(number, got)| *got == text(number)), "{}", log.id);
        }
    });
    assert_eq!(grown(TOO_SLOW, &before, &world.scrape()), 0);
}

#[test]
fn a_scrape_reads_no_file_on_a_reactor() {
    const SCRAPES: usize = 100;
    let server = ServerProcess::start(&["--reactors", "2"], NO_PINGS);
    let players: Vec<Player> = (0..200).map(|number| server.player(&format!("user=u{number}"))).collect();
    server.await_stats("all are counted", |stats| stats["sessions"] == players.len());
    let mut backends: Vec<Backend> = (0..4).map(|_| server.backend()).collect();
    // What a thread has got from read(2); a socket is read by recv(2), which does not count.
    let read_by_reactors =
        || -> u64 { (0..2).map(|index| server.bytes_read_by(&format!("reactor-{index}"))).sum() };
    let before = read_by_reactors();
    for number in 0..SCRAPES {
        let backend = &mut backends[number % 4];
        backend.scrape();
        assert_eq!(backend.stats()["sessions"], players.len());
    }
    let read = read_by_reactors() - before;
    // A bell between threads is 8 bytes; /proc/PID/status is more than 1,000.
    let most = (SCRAPES * 2 * 64) as u64;
    assert!(read <= most, "the reactors read {read} bytes of files for {SCRAPES} scrapes and as many stats");
    // What is shown is of now, or soon will be.
    let _one_more = server.player("");
    server.await_stats("the descriptors of now", |stats| {
        stats["open_fds"].as_u64() == Some(server.open_files() as u64)
    });
}
