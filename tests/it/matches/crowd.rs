//! Players who say numbers all the time, each its own, and one after another.

use super::ledger::{Ledger, Shared};
use crate::support::{Player, Ports, Random};
use std::collections::BTreeSet;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// So many of them say something in a moment.
const A_MOMENT: (Duration, usize) = (Duration::from_millis(4), 10);
/// One of so many numbers is in a message of some KiB.
const LONG: usize = 50;

/// See the module.
pub struct Crowd {
    shared: Arc<Sockets>,
    /// Drops first, and so the voices end.
    stop: Option<Sender<()>>,
    voices: Option<JoinHandle<()>>,
}

struct Sockets {
    ledger: Arc<Shared>,
    /// By the numbers of their sessions; `None` where one has gone.
    players: Mutex<Players>,
}

struct Players {
    sockets: Vec<Option<Player>>,
    are_silent: bool,
    random: Random,
}

impl Players {
    /// Says the next number, in a message at least so long, where it is there.
    fn say(&mut self, player: usize, at_least: usize, ledger: &mut Ledger) {
        let Some(socket) = &mut self.sockets[player] else { return };
        let number = ledger.sessions[player].say();
        let padding = if self.random.below(LONG) == 0 { self.random.below(8_000) } else { 0 };
        let padding = padding.max(at_least);
        // Whose it is must not change between the ledger and the socket.
        socket.send_text(&format!("{number} {}", "x".repeat(padding)));
    }
}

impl Crowd {
    /// Nobody is there yet; who comes is not silent.
    pub fn new(ledger: &Arc<Shared>, seed: u64) -> Self {
        let random = Random::new(seed);
        let players = Players { sockets: Vec::new(), are_silent: true, random: random.clone() };
        let shared = Arc::new(Sockets { ledger: Arc::clone(ledger), players: Mutex::new(players) });
        let (stop, stopped) = mpsc::channel();
        let says = Arc::clone(&shared);
        let voices = thread::spawn(move || {
            while stopped.recv_timeout(A_MOMENT.0) == Err(RecvTimeoutError::Timeout) {
                says.talk();
            }
        });
        Self { shared, stop: Some(stop), voices: Some(voices) }
    }

    /// A player comes, whose session is in these groups and belongs to this process, where that is certain: its number.
    pub fn come(&self, ports: Ports, groups: BTreeSet<String>, owner: Option<usize>) -> usize {
        let query: Vec<String> = groups.iter().map(|group| format!("group={group}")).collect();
        let player = ports.player(&query.join("&"));
        let mut players = self.shared.lock();
        let number = self.shared.ledger.change(|ledger| ledger.add(&player.id.to_string(), groups, owner));
        let length = players.sockets.len().max(number + 1);
        players.sockets.resize_with(length, || None);
        players.sockets[number] = Some(player);
        number
    }

    /// A player goes, when it has been heard to have said so.
    pub fn go(&self, player: usize) {
        let gone = self.shared.lock().sockets[player].take();
        self.shared.ledger.change(|ledger| ledger.sessions[player].is_open = false);
        gone.expect("it is there").close(1000, "");
    }

    /// Everybody talks from now on, or nobody.
    pub fn talk(&self, do_talk: bool) {
        self.shared.lock().are_silent = !do_talk;
    }

    /// These say something, however much is on its way from them, in messages at least so long.
    pub fn say(&self, players: &[usize], at_least: usize) {
        let mut sockets = self.shared.lock();
        self.shared
            .ledger
            .change(|ledger| players.iter().for_each(|player| sockets.say(*player, at_least, ledger)));
    }

    /// Those that are there.
    pub fn players(&self) -> Vec<usize> {
        let players = self.shared.lock();
        (0..players.sockets.len()).filter(|player| players.sockets[*player].is_some()).collect()
    }
}

impl Sockets {
    fn lock(&self) -> MutexGuard<'_, Players> {
        self.players.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Some say something.
    fn talk(&self) {
        let mut players = self.lock();
        if players.are_silent || players.sockets.is_empty() {
            return;
        }
        self.ledger.change(|ledger| {
            for _ in 0..A_MOMENT.1 {
                let count = players.sockets.len();
                let player = players.random.below(count);
                if ledger.sessions[player].may_say() {
                    players.say(player, 0, ledger);
                }
            }
        });
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(voices) = self.voices.take() {
            let ended = voices.join();
            assert!(ended.is_ok() || thread::panicking(), "the voices have failed");
        }
    }
}
