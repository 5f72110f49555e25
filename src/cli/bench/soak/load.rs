//! The load of a soak: what happens is held against what is known, what is sent is remembered. Who sends what when is
//! [`Course`](super::course::Course)'s.

use serde::Deserialize;

use super::cast::{Cast, Role};
use super::events::{Told, read_binary, read_json};
use super::listeners::{Ending, How, Listener};
use super::players::{Player, State};
use crate::cli::bench::checked::answer::{Answer, Asked};
use crate::cli::bench::checked::doors::Door;
use crate::cli::bench::checked::faults::{Fault, Faults};
use crate::cli::bench::checked::inbox::{Arrival, Losses};
use crate::cli::bench::checked::mark::Mark;
use crate::cli::bench::checked::random::Random;
use crate::cli::bench::client::Sender;
use crate::cli::bench::clock::{Nanos, SECOND};
use crate::cli::bench::error::BenchError;
use crate::cli::bench::fleet::Handler;
use crate::protocol::CloseCode;
use crate::session::SessionId;

/// The code of a session's kick and of a user's, unlike any that the server has of its own.
pub const KICKED_SESSION: u16 = 4100;
/// See [`KICKED_SESSION`].
pub const KICKED_USER: u16 = 4101;
/// What a kick without a code closes with.
const KICKED: u16 = 4001;
/// What a session is closed with that reads too slowly.
const TOO_SLOW: u16 = 4003;
/// After a refusal a player waits for so long.
const REFUSED_PAUSE: Nanos = SECOND;

/// What a slot behind those of the players is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkRole {
    /// It carries commands; the index of its [`Door`].
    Door(usize),
    /// It listens.
    Listener {
        /// The index of its [`Listener`].
        listener: usize,
        /// Whether it speaks the binary form.
        is_binary: bool,
    },
}

/// How much of what there was.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Pushes that were sent.
    pub pushes: u64,
    /// Other commands that were sent.
    pub changes: u64,
    /// Answers that came.
    pub answers: u64,
    /// Messages that players got.
    pub deliveries: u64,
    /// Of these, those that had to come.
    pub due: u64,
    /// Messages that players sent.
    pub said: u64,
    /// Sessions that opened.
    pub sessions: u64,
    /// Slow readers that the server has closed.
    pub too_slow: u64,
    /// Pushes that were left out because too many had no answer, or because the load itself was late.
    pub left_out: u64,
}

/// See the module.
pub struct Load<'a> {
    /// Who takes part.
    pub cast: &'a Cast,
    /// The number in every mark.
    pub run: u32,
    /// By slot.
    pub players: Vec<Player>,
    /// By publisher.
    pub doors: Vec<Door>,
    /// Those that listen.
    pub listeners: Vec<Listener>,
    /// By slot, less the number of players.
    pub links: Vec<LinkRole>,
    /// Links whose `listen` has been answered.
    pub listening: usize,
    /// What is wrong.
    pub faults: Faults,
    /// What was missing and may be.
    pub losses: Losses,
    /// How much there was.
    pub counts: Counts,
    /// The choices of the run.
    pub random: Random,
    /// As of the last turn.
    pub now: Nanos,
    /// Whether a link is gone, without which nothing can be checked.
    pub is_broken: bool,
    /// Whether a player that is refused is a fault; before, it ends the run.
    pub is_running: bool,
    missing: Vec<u64>,
}

/// gannet's first message to a session.
#[derive(Deserialize)]
struct Welcome {
    session: String,
}

impl<'a> Load<'a> {
    /// A load that has not begun.
    pub fn new(cast: &'a Cast, run: u32, random: Random) -> Self {
        Self {
            cast,
            run,
            players: cast.slots().map(|_| Player::new()).collect(),
            doors: Vec::new(),
            listeners: Vec::new(),
            links: Vec::new(),
            listening: 0,
            faults: Faults::default(),
            losses: Losses::default(),
            counts: Counts::default(),
            random,
            now: 0,
            is_broken: false,
            is_running: false,
            missing: Vec::new(),
        }
    }

    /// Something that grows while anything happens.
    pub fn progress(&self) -> usize {
        let events: u64 = self.listeners.iter().map(|listener| listener.events).sum();
        (events + self.counts.deliveries + self.counts.answers) as usize
    }

    /// A player of the role whose session is open, if a few tries find one.
    pub fn open_player(&mut self, role: Role) -> Option<(usize, SessionId)> {
        let slots = self.cast.slots_of(role);
        for _ in 0..8 {
            let slot = slots.start + self.random.below(slots.len());
            if let Some(session) = self.players[slot].open_session() {
                return Some((slot, session));
            }
        }
        None
    }

    /// A session has ended, as its client sees it.
    pub fn end(&mut self, slot: usize, how: How) {
        let back_at = self.now + self.random.below(SECOND as usize / 2) as Nanos;
        if let Some((session, said)) = self.players[slot].end(back_at) {
            let ending = Ending { said, how };
            self.listeners.iter_mut().for_each(|listener| listener.end(session, ending, &mut self.faults));
        }
    }

    /// Nothing more comes to the sessions that are open: what is missing is lost.
    pub fn settle(&mut self) {
        for (slot, player) in self.players.iter_mut().enumerate() {
            for ((publisher, stream), number) in player.inbox.settle(&mut self.losses) {
                let mark = Mark { run: self.run, publisher, stream, number };
                let user = self.cast.user(slot);
                self.faults.add(Fault::Lost, format_args!("{mark} to {user}: it did not come until the end"));
            }
        }
    }

    /// An answer to something that was asked.
    pub fn check(&mut self, asked: &Asked, answer: &Answer) {
        self.counts.answers += 1;
        if let Some((fault, detail)) = asked.check(answer) {
            self.faults.add(fault, detail);
        }
    }

    fn player_message(&mut self, slot: usize, payload: &[u8]) {
        let player = &mut self.players[slot];
        let name = self.cast.user(slot);
        if player.state == State::Coming {
            let welcome: Option<Welcome> = serde_json::from_slice(payload).ok();
            player.session = welcome.and_then(|welcome| welcome.session.parse().ok());
            player.state = State::Open;
            self.counts.sessions += 1;
            if player.session.is_none() {
                self.faults.add(Fault::Damaged, format_args!("the first message to {name} is no welcome"));
            }
            return;
        }
        self.counts.deliveries += 1;
        let mark = match Mark::read(payload, self.run) {
            Ok(Some(mark)) => mark,
            Ok(None) => {
                return self.faults.add(Fault::Stray, format_args!("a message to {name} that is not ours"));
            }
            Err(damaged) => return self.faults.add(Fault::Damaged, format_args!("to {name}: {damaged}")),
        };
        self.missing.clear();
        let source = (mark.publisher, mark.stream);
        let arrival = player.inbox.take(source, mark.number, &mut self.losses, &mut self.missing);
        for &number in &self.missing {
            let lost = Mark { number, ..mark };
            self.faults.add(Fault::Lost, format_args!("{lost} to {name}: {mark} came before it"));
        }
        // Of what the roaming get only a part can be known beforehand.
        let is_known = self.cast.role(slot) != Role::Roaming && !player.has_returned;
        match arrival {
            Arrival::Due => self.counts.due += 1,
            Arrival::Unannounced if is_known => {
                self.faults.add(Fault::Stray, format_args!("{mark} came to {name}"))
            }
            Arrival::Unannounced => {}
            Arrival::Doubled => self.faults.add(Fault::Doubled, format_args!("{mark} to {name}")),
            Arrival::Misordered => self.faults.add(Fault::Misordered, format_args!("{mark} to {name}")),
            Arrival::Found => self.faults.found(format_args!("{mark} to {name}")),
        }
    }

    fn link_message(&mut self, slot: usize, payload: &[u8]) {
        let told = match self.links[slot - self.players.len()] {
            LinkRole::Door(door) => {
                return match self.doors[door].replied(payload) {
                    Ok((asked, answer)) => self.check(&asked, &answer),
                    Err(detail) => self.faults.add(Fault::Answer, detail),
                };
            }
            LinkRole::Listener { listener, is_binary } => {
                let read = if is_binary { read_binary } else { read_json };
                read(payload, self.run).map(|told| (listener, told))
            }
        };
        match told {
            Ok((listener, Told::Event(session, heard))) => {
                self.listeners[listener].hear(slot, session, heard, &mut self.faults);
            }
            Ok((_, Told::Reply(answer))) => {
                self.listening += usize::from(answer == Answer::Done);
                self.check(&Asked::Listen, &answer);
            }
            Err(detail) => self.faults.add(Fault::Event, detail),
        }
    }

    fn player_lost(&mut self, slot: usize, code: Option<u16>) {
        let (name, role) = (self.cast.user(slot), self.cast.role(slot));
        let how = code.map_or(How::Cut, How::Closed);
        let is_kick = code.is_some_and(|code| [KICKED_SESSION, KICKED_USER, KICKED].contains(&code));
        let how = match (self.players[slot].state, code) {
            (State::Leaving, Some(1000)) => How::Left,
            _ if role == Role::Roaming && is_kick => how,
            // The Close may not come through what is in the socket before it, in the time that the server waits.
            (_, Some(TOO_SLOW) | None) if role == Role::Slow => {
                self.counts.too_slow += 1;
                how
            }
            (state, _) => {
                let code = code.map_or("without a code".to_owned(), |code| format!("with {code}"));
                self.faults.add(Fault::Ended, format_args!("{name}, {state:?}, {code}"));
                how
            }
        };
        self.end(slot, how);
    }
}

impl Handler for Load<'_> {
    fn message(&mut self, slot: usize, payload: &[u8], _: Sender<'_>, _: Nanos) {
        match slot < self.players.len() {
            true => self.player_message(slot, payload),
            false => self.link_message(slot, payload),
        }
    }

    fn refused(&mut self, slot: usize, error: BenchError) -> Result<(), BenchError> {
        if !self.is_running || slot >= self.players.len() {
            return Err(error);
        }
        let name = self.cast.user(slot);
        self.faults.add(Fault::Refused, format_args!("{name} was not let in: {error}"));
        self.players[slot].end(self.now + REFUSED_PAUSE);
        Ok(())
    }

    fn lost(&mut self, slot: usize, code: Option<CloseCode>) {
        let code = code.map(|code| code.0);
        if slot < self.players.len() {
            return self.player_lost(slot, code);
        }
        let role = self.links[slot - self.players.len()];
        self.is_broken = true;
        self.faults.add(Fault::Broken, format_args!("the server ended a link, {role:?}, code {code:?}"));
    }

    fn answered(&mut self, number: usize, status: u16, body: &[u8]) {
        // Pipelines are opened first, so that they have the numbers of their doors.
        match self.doors[number].answered(status, body) {
            Ok(answers) => answers.iter().for_each(|(asked, answer)| self.check(asked, answer)),
            Err(detail) => self.faults.add(Fault::Answer, detail),
        }
    }
}
