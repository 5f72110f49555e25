//! What comes of what is read: messages are held against what was pushed, welcomes against what is known of the player.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::crowd::Crowd;
use super::players::{Bounds, Player, State, Verity, Welcome, verity};
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
use crate::cli::bench::recorder::Recorder;
use crate::protocol::CloseCode;
use crate::session::SessionId;

/// A session that was given to another connection closes the one before with it.
const TAKEN_OVER: u16 = 4002;
/// What a session is closed with that reads too slowly.
const TOO_SLOW: u16 = 4003;
/// After a refusal a player waits for so long.
const REFUSED_PAUSE: Nanos = SECOND / 5;
/// Of a hundred players that have come back, so many say something: only then is the ticket before used up.
const SPEAK_PERCENT: usize = 60;

/// How much there was of what.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Pushes that were sent.
    pub pushes: u64,
    /// Pushes to others than the players.
    pub to_others: u64,
    /// Pushes that were left out because too many had no answer, or because the load itself was late.
    pub left_out: u64,
    /// Answers that came.
    pub answers: u64,
    /// Messages that players read, each of which was checked.
    pub deliveries: u64,
    /// Of these, those that had to come.
    pub due: u64,
    /// Sessions that opened.
    pub sessions: u64,
    /// Connections cut, by kind, in the order of [`How::ALL`](super::args::How::ALL).
    pub cuts: [u64; 4],
    /// Of these, cuts of connections that had no welcome yet.
    pub cut_early: u64,
    /// Connections given up because nothing came.
    pub silent: u64,
    /// Connections that somebody else ended.
    pub ended: u64,
    /// Connections that did not come about.
    pub refused: u64,
    /// Players that got their sessions back.
    pub resumed: u64,
    /// Players that did not: their sessions had expired.
    pub expired: u64,
    /// They had missed too much.
    pub gaps: u64,
    /// For other reasons.
    pub other_whys: u64,
    /// Sessions given to an older connection of the same player, which had asked for it too.
    pub taken_over: u64,
}

/// Reasons that are true only if the server's counters say so.
#[derive(Debug, Default)]
pub struct Doubts {
    /// If it forgot what it kept.
    pub forgotten: Vec<String>,
    /// If it had no room.
    pub full: Vec<String>,
}

/// See the module.
pub struct Load<'a> {
    /// Who takes part.
    pub crowd: &'a Crowd,
    /// The number in every mark.
    pub run: u32,
    /// What the server keeps.
    pub bounds: Bounds,
    /// By slot.
    pub players: Vec<Player>,
    /// When which player does something next: comes back, or is cut again.
    pub agenda: BinaryHeap<Reverse<(Nanos, usize)>>,
    /// By publisher.
    pub doors: Vec<Door>,
    /// What is wrong.
    pub faults: Faults,
    /// What may be.
    pub doubts: Doubts,
    /// What was missing and may be.
    pub losses: Losses,
    /// How much there was.
    pub counts: Counts,
    /// From when a player began to connect to its welcome with `resumed`.
    pub returns: Recorder,
    /// The choices of the run.
    pub random: Random,
    /// As of the last turn.
    pub now: Nanos,
    /// Whether a link is gone, without which nothing can be checked.
    pub is_broken: bool,
    /// Whether all players have come once. Before, a failure ends the run.
    pub is_running: bool,
    /// Sessions may not resume: the first welcome had no ticket.
    pub has_no_ticket: bool,
    missing: Vec<u64>,
}

impl<'a> Load<'a> {
    /// A load that has not begun.
    pub fn new(crowd: &'a Crowd, run: u32, bounds: Bounds, returns: Recorder, random: Random) -> Self {
        Self {
            crowd,
            run,
            bounds,
            players: (0..crowd.len()).map(|_| Player::new()).collect(),
            agenda: BinaryHeap::new(),
            doors: Vec::new(),
            faults: Faults::default(),
            doubts: Doubts::default(),
            losses: Losses::default(),
            counts: Counts::default(),
            returns,
            random,
            now: 0,
            is_broken: false,
            is_running: false,
            has_no_ticket: false,
            missing: Vec::new(),
        }
    }

    /// Something that grows while anything happens.
    pub fn progress(&self) -> usize {
        (self.counts.deliveries + self.counts.answers + self.counts.resumed + self.counts.sessions) as usize
    }

    /// How many players are in this state.
    pub fn count(&self, state: State) -> usize {
        self.players.iter().filter(|player| player.state == state).count()
    }

    /// The player's connection is gone; it comes back after `pause`.
    pub fn goes(&mut self, slot: usize, pause: Nanos) {
        let back_at = self.now + pause;
        self.players[slot].goes(self.now, back_at);
        self.agenda.push(Reverse((back_at, slot)));
    }

    /// Nothing more comes: what is missing is lost.
    pub fn settle(&mut self) {
        for (slot, player) in self.players.iter_mut().enumerate() {
            for ((publisher, stream), number) in player.inbox.settle(&mut self.losses) {
                let mark = Mark { run: self.run, publisher, stream, number };
                self.faults
                    .add(Fault::Lost, format_args!("{mark} to player {slot}: it did not come until the end"));
            }
        }
    }

    fn check(&mut self, asked: &Asked, answer: &Answer) {
        self.counts.answers += 1;
        if let Some((fault, detail)) = asked.check(answer) {
            self.faults.add(fault, detail);
        }
    }

    fn welcome(&mut self, slot: usize, payload: &[u8], mut sender: Sender<'_>, now: Nanos) {
        let welcome: Option<Welcome> = serde_json::from_slice(payload).ok();
        let parsed = welcome.and_then(|welcome| Some((welcome.session.parse::<SessionId>().ok()?, welcome)));
        let Some((session, welcome)) = parsed else {
            return self
                .faults
                .add(Fault::Damaged, format_args!("the first message to player {slot} is no welcome"));
        };
        let Some(ticket) = welcome.resume else {
            self.has_no_ticket = true;
            return self.faults.add(Fault::Answer, format_args!("player {slot} got no ticket"));
        };
        let player = &mut self.players[slot];
        match (player.session, welcome.resumed) {
            (None, None) => {
                self.counts.sessions += 1;
                player.begins(session, ticket);
            }
            (Some(own), Some(true)) => {
                if own != session {
                    self.faults.add(Fault::Stray, format_args!("player {slot} of {own} was given {session}"));
                }
                self.counts.resumed += 1;
                self.returns.record(player.dialed_at, now);
                (player.ticket, player.perhaps) = (ticket, 0);
            }
            (Some(_), Some(false)) => {
                self.counts.sessions += 1;
                let why = welcome.why.unwrap_or_default();
                self.told(slot, &why, now);
                self.players[slot].begins(session, ticket);
            }
            (before, resumed) => {
                let detail = format!("player {slot} of {before:?} was welcomed with resumed {resumed:?}");
                self.faults.add(Fault::Answer, detail);
            }
        }
        self.players[slot].state = State::Open;
        if self.is_running && self.random.chance(SPEAK_PERCENT) {
            sender.send("I am here", false);
        }
    }

    /// A player has lost its session, and was told why.
    fn told(&mut self, slot: usize, why: &str, now: Nanos) {
        match why {
            "expired" => self.counts.expired += 1,
            "gap" => self.counts.gaps += 1,
            _ => self.counts.other_whys += 1,
        }
        match verity(&self.players[slot], why, now, self.bounds) {
            Verity::True => {}
            Verity::IfForgotten(detail) => self.doubts.forgotten.push(format!("player {slot} was {detail}")),
            Verity::IfFull(detail) => self.doubts.full.push(format!("player {slot} was {detail}")),
            Verity::Untrue(detail) => {
                self.faults.add(Fault::Reason, format_args!("player {slot} was {detail}"));
            }
        }
    }

    fn player_message(&mut self, slot: usize, payload: &[u8]) {
        let player = &mut self.players[slot];
        player.received += 1;
        self.counts.deliveries += 1;
        let mark = match Mark::read(payload, self.run) {
            Ok(Some(mark)) => mark,
            Ok(None) => {
                let detail = format!("a message to player {slot} that is not ours");
                return self.faults.add(Fault::Stray, detail);
            }
            Err(damaged) => {
                return self.faults.add(Fault::Damaged, format_args!("to player {slot}: {damaged}"));
            }
        };
        self.missing.clear();
        let source = (mark.publisher, mark.stream);
        let arrival = player.inbox.take(source, mark.number, &mut self.losses, &mut self.missing);
        for &number in &self.missing {
            let lost = Mark { number, ..mark };
            self.faults.add(Fault::Lost, format_args!("{lost} to player {slot}: {mark} came before it"));
        }
        match arrival {
            Arrival::Due => self.counts.due += 1,
            Arrival::Unannounced if !player.has_another => {
                self.faults.add(Fault::Stray, format_args!("{mark} came to player {slot}"));
            }
            Arrival::Unannounced => {}
            Arrival::Doubled => self.faults.add(Fault::Doubled, format_args!("{mark} to player {slot}")),
            Arrival::Misordered => {
                self.faults.add(Fault::Misordered, format_args!("{mark} to player {slot}"))
            }
            Arrival::Found => self.faults.found(format_args!("{mark} to player {slot}")),
        }
    }

    fn player_lost(&mut self, slot: usize, code: Option<u16>) {
        let player = &mut self.players[slot];
        match (player.state, code) {
            (State::Leaving, Some(1000)) => {
                player.state = State::Gone;
                return;
            }
            (_, Some(TAKEN_OVER)) if player.asked_in_vain => self.counts.taken_over += 1,
            // Whether it was, it hears when it comes back. Without a code it may be anybody who stands in the way.
            (_, Some(TOO_SLOW) | None) => self.counts.ended += 1,
            (state, Some(code)) => {
                let detail = format!("player {slot}, {state:?}, with {code}");
                self.faults.add(Fault::Ended, detail);
            }
        }
        self.goes(slot, 0);
    }
}

impl Handler for Load<'_> {
    fn message(&mut self, slot: usize, payload: &[u8], sender: Sender<'_>, now: Nanos) {
        let Some(player) = self.players.get_mut(slot) else {
            let door = slot - self.players.len();
            // Only links have slots: the doors before them speak HTTP.
            let speaks = self.doors.iter_mut().filter(|door| door.is_link()).nth(door);
            return match speaks.map(|door| door.replied(payload)) {
                Some(Ok((asked, answer))) => self.check(&asked, &answer),
                Some(Err(detail)) => self.faults.add(Fault::Answer, detail),
                None => {}
            };
        };
        player.heard_at = now;
        match player.state {
            State::Coming => self.welcome(slot, payload, sender, now),
            _ => self.player_message(slot, payload),
        }
    }

    fn opened(&mut self, slot: usize, now: Nanos) {
        if let Some(player) = self.players.get_mut(slot) {
            player.heard_at = now;
        }
    }

    fn refused(&mut self, slot: usize, error: BenchError) -> Result<(), BenchError> {
        if !self.is_running || slot >= self.players.len() {
            return Err(error);
        }
        self.counts.refused += 1;
        // Who stands in the way may end a connection at any time; an answer is the server's.
        if let BenchError::Handshake { .. } = error {
            self.faults.add(Fault::Refused, format_args!("player {slot} was not let in: {error}"));
        }
        self.goes(slot, REFUSED_PAUSE);
        Ok(())
    }

    fn lost(&mut self, slot: usize, code: Option<CloseCode>) {
        let code = code.map(|code| code.0);
        if slot < self.players.len() {
            return self.player_lost(slot, code);
        }
        self.is_broken = true;
        self.faults.add(Fault::Broken, format_args!("the server ended a link, code {code:?}"));
    }

    fn answered(&mut self, number: usize, status: u16, body: &[u8]) {
        // Pipelines are opened first, so that they have the numbers of their doors.
        match self.doors[number].answered(status, body) {
            Ok(answers) => answers.iter().for_each(|(asked, answer)| self.check(asked, answer)),
            Err(detail) => self.faults.add(Fault::Answer, detail),
        }
    }
}
