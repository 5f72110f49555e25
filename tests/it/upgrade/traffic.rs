//! Players, two backends over HTTP, two over links, and comings and goings all the time. Each source numbers its messages
//! for each group: a message that is missing, doubled or out of order is told at once, and so is a player who is lost.

use crate::support::*;
use gannet::session::SessionId;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tungstenite::Message;

/// Two backends over HTTP, a link of either form.
const SOURCES: usize = 4;
/// Messages to players that are on their way at once, so that a machine that is busy keeps up.
const DELIVERIES_PER_SECOND: usize = 20_000;
/// Most players that one message is for.
const GROUP: usize = 100;
/// Who joins and leaves does so once in so long.
const CHANGE: Duration = Duration::from_millis(5);
/// What a player who comes and goes reads before it goes.
const READS: usize = 5;

/// How a player gets to the server.
pub type Connect<S> = fn(&Ports, &str) -> Result<Player<S>, Refusal>;

/// See the module.
pub struct Traffic<S: OverTcp> {
    ports: Ports,
    players: usize,
    groups: usize,
    pool: Pool<(), S>,
    seen: Arc<Mutex<Seen>>,
    /// How many messages each source has sent to each group.
    publishers: Vec<JoinHandle<Vec<u64>>>,
    others: Vec<JoinHandle<()>>,
    /// The publishers end with the first of these, all others with the second.
    stops: [Vec<Sender<()>>; 2],
}

/// What the players have seen.
#[derive(Default)]
struct Seen {
    /// The number that each player must get next, by source.
    next: HashMap<SessionId, [u64; SOURCES]>,
    messages: u64,
    /// The longest time from when a message was due to be sent to when a player had it, since this was looked at.
    longest: Duration,
    faults: Vec<String>,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// Messages that the players got.
    pub messages: u64,
}

/// One numbered message.
struct Numbered {
    source: usize,
    number: u64,
    /// Since the traffic began.
    due: Duration,
}

impl Numbered {
    fn text(&self) -> String {
        format!("{} {} {}", self.source, self.number, self.due.as_micros())
    }

    fn of(message: Message) -> Self {
        let text = message.into_text().unwrap();
        let mut parts = text.split(' ').map(|part| part.parse::<u64>().unwrap());
        let mut next = || parts.next().unwrap();
        Self { source: next() as usize, number: next(), due: Duration::from_micros(next()) }
    }
}

impl<S: OverTcp> Traffic<S> {
    /// So many players, and everything around them, which goes on until [`Self::finish`].
    pub fn start(ports: Ports, players: usize, connect: Connect<S>) -> Self {
        let (seen, began) = (Arc::new(Mutex::new(Seen::default())), Instant::now());
        let sees = Arc::clone(&seen);
        let pool =
            Pool::new(move |id, message| see(&mut sees.lock().unwrap(), id, &Numbered::of(message), began));
        let groups = players.div_ceil(GROUP).max(SOURCES);
        for number in 0..players {
            let target = format!("/ws?user=u{number}&group=g{}&tag=stays", number % groups);
            pool.add(connect(&ports, &target).unwrap_or_else(|refusal| panic!("{refusal:?}")));
        }
        let mut traffic = Self {
            ports,
            players,
            groups,
            pool,
            seen,
            publishers: Vec::new(),
            others: Vec::new(),
            stops: [Vec::new(), Vec::new()],
        };
        let a_second = DELIVERIES_PER_SECOND * groups / players;
        let interval = Duration::from_secs(1) * SOURCES as u32 / a_second as u32;
        let interval = interval.max(Duration::from_millis(10));
        for source in 0..SOURCES {
            let publisher = Publisher { way: Way::new(&ports, source), source, groups, interval, began };
            let stopped = traffic.stop(0);
            traffic.publishers.push(thread::spawn(move || publisher.run(&stopped)));
        }
        let stopped = traffic.stop(1);
        traffic.others.push(thread::spawn(move || come_and_go(&ports, connect, groups, &stopped)));
        let stopped = traffic.stop(1);
        traffic.others.push(thread::spawn(move || join_and_leave(&ports, players, &stopped)));
        traffic
    }

    fn stop(&mut self, which: usize) -> Receiver<()> {
        let (stops, stopped) = mpsc::channel();
        self.stops[which].push(stops);
        stopped
    }

    /// Every player has got something since this was called.
    pub fn await_news(&self) {
        let sum = |seen: &Seen, id| seen.next[&id].iter().sum::<u64>();
        let ids: Vec<SessionId> = self.pool.look(|logs| logs.iter().map(|log| log.id).collect());
        self.pool.wait("the first message", |_| self.seen.lock().unwrap().next.len() >= ids.len());
        let before: Vec<u64> = {
            let seen = self.seen.lock().unwrap();
            ids.iter().map(|id| sum(&seen, *id)).collect()
        };
        self.pool.wait("news for everybody", |logs| {
            assert!(logs.iter().all(|log| log.end.is_none()), "a player was disconnected");
            let seen = self.seen.lock().unwrap();
            ids.iter().zip(&before).all(|(id, before)| sum(&seen, *id) > *before)
        });
        self.assert_sound();
    }

    /// The longest time from when a message was due to when a player had it, since this was asked last.
    pub fn longest(&self) -> Duration {
        std::mem::take(&mut self.seen.lock().unwrap().longest)
    }

    /// No fault has been seen.
    pub fn assert_sound(&self) {
        let seen = self.seen.lock().unwrap();
        assert!(
            seen.faults.is_empty(),
            "{} faults: {:#?}",
            seen.faults.len(),
            &seen.faults[..seen.faults.len().min(20)]
        );
    }

    /// The sessions of the players who stay, with what does not change.
    pub fn sessions(&self) -> BTreeMap<String, Value> {
        sessions(&self.ports, "tag=stays")
    }

    /// Everything stops. All that was sent must have come, and all players be there.
    pub fn finish(mut self) -> Outcome {
        // Who has just come waits for messages.
        self.stops[1].clear();
        for other in self.others.drain(..) {
            other.join().unwrap();
        }
        self.stops[0].clear();
        let sent: Vec<Vec<u64>> =
            self.publishers.drain(..).map(|publisher| publisher.join().unwrap()).collect();
        let order: HashMap<SessionId, usize> =
            self.pool.look(|logs| logs.iter().enumerate().map(|(number, log)| (log.id, number)).collect());
        let (groups, seen) = (self.groups, &self.seen);
        self.pool.wait("every message", |_| {
            let seen = seen.lock().unwrap();
            !seen.faults.is_empty()
                || order.iter().all(|(id, number)| {
                    let next = seen.next.get(id).copied().unwrap_or_default();
                    (0..SOURCES).all(|source| next[source] == sent[source][number % groups])
                })
        });
        self.assert_sound();
        assert_eq!(self.sessions().len(), self.players);
        let messages = self.seen.lock().unwrap().messages;
        for log in self.pool.finish() {
            assert_eq!(log.end, None, "{} was disconnected", log.id);
        }
        Outcome { messages }
    }
}

fn see(seen: &mut Seen, id: SessionId, message: &Numbered, began: Instant) {
    let next = &mut seen.next.entry(id).or_default()[message.source];
    let expected = std::mem::replace(next, message.number + 1);
    if expected != message.number {
        let source = message.source;
        seen.faults.push(format!("{id}: number {} of source {source} instead of {expected}", message.number));
    }
    seen.messages += 1;
    seen.longest = seen.longest.max(began.elapsed().saturating_sub(message.due));
}

/// Every session that a listing by `filter` has, with what an upgrade must not change.
pub fn sessions(ports: &Ports, filter: &str) -> BTreeMap<String, Value> {
    let mut backend = ports.backend();
    let mut found = BTreeMap::new();
    let mut after = String::new();
    loop {
        let mut page = backend.ok("GET", &format!("/v1/sessions?limit=1000&{filter}{after}"));
        for session in page["sessions"].as_array_mut().unwrap() {
            let id = session["session"].as_str().unwrap().to_owned();
            let kept = ["app", "user", "tags", "remote", "since_unix_ms"].map(|field| session[field].take());
            assert!(found.insert(id, json!(kept)).is_none(), "a session is listed twice");
        }
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return found,
        }
    }
}

/// How a source reaches the server.
enum Way {
    Http(Backend),
    Link(Box<Link>),
}

impl Way {
    fn new(ports: &Ports, source: usize) -> Self {
        match source {
            0 | 1 => Self::Http(ports.backend()),
            2 => Self::Link(Box::new(ports.link())),
            _ => Self::Link(Box::new(ports.binary_link())),
        }
    }

    fn push(&mut self, group: usize, text: &str) -> Value {
        match self {
            Self::Http(backend) => {
                let receipt = backend.push_text(&format!("group=g{group}"), text);
                json!({ "matched": receipt.matched, "queued": receipt.queued })
            }
            Self::Link(link) => {
                link.command(json!({ "op": "push", "to": { "group": format!("g{group}") }, "text": text }))
            }
        }
    }
}

struct Publisher {
    way: Way,
    source: usize,
    groups: usize,
    interval: Duration,
    began: Instant,
}

impl Publisher {
    /// Sends at its rate until it is stopped: how many to each group.
    fn run(mut self, stopped: &Receiver<()>) -> Vec<u64> {
        let mut sent = vec![0; self.groups];
        let mut due = self.began.elapsed();
        for group in (0..self.groups).cycle() {
            due += self.interval;
            let early = due.saturating_sub(self.began.elapsed());
            if stopped.recv_timeout(early) != Err(RecvTimeoutError::Timeout) {
                break;
            }
            let message = Numbered { source: self.source, number: sent[group], due };
            let receipt = self.way.push(group, &message.text());
            assert_eq!(receipt["queued"], receipt["matched"], "{receipt}");
            sent[group] += 1;
        }
        sent
    }
}

/// Players who come, read a little, and go in good order, one after another.
fn come_and_go<S: OverTcp>(ports: &Ports, connect: Connect<S>, groups: usize, stopped: &Receiver<()>) {
    let mut group = 0;
    while stopped.recv_timeout(CHANGE) == Err(RecvTimeoutError::Timeout) {
        group = (group + 1) % groups;
        let mut player = match connect(ports, &format!("/ws?user=late&group=g{group}")) {
            Ok(player) => player,
            // A handshake of TLS that is half done may be closed.
            Err(Refusal::Io(_)) if std::any::type_name::<S>() == std::any::type_name::<tls::TlsStream>() => {
                continue;
            }
            Err(refusal) => panic!("{refusal:?}"),
        };
        let mut next = [None; SOURCES];
        let mut read = |message| {
            let message = Numbered::of(message);
            let next = &mut next[message.source];
            assert_eq!(message.number, next.unwrap_or(message.number), "of one who came late");
            *next = Some(message.number + 1);
        };
        (0..READS).for_each(|_| read(player.recv()));
        player.close(1000, "").into_iter().for_each(read);
    }
}

/// Players leave a group and join it again.
fn join_and_leave(ports: &Ports, players: usize, stopped: &Receiver<()>) {
    let mut backend = ports.backend();
    for number in (0..players).cycle() {
        if stopped.recv_timeout(CHANGE) != Err(RecvTimeoutError::Timeout) {
            return;
        }
        let target = format!("/v1/groups/side/members?user=u{number}");
        assert_eq!([backend.change("POST", &target), backend.change("DELETE", &target)], [1, 1]);
    }
}
