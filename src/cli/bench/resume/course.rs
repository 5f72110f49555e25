//! The course of a run: the connections that publish, the players, pushes and cuts, the wait for what is under way, and
//! everybody's leave.

use std::cmp::Reverse;

use super::args::How;
use super::desk::Desk;
use super::graveyard::Graveyard;
use super::load::Load;
use super::players::{Player, State};
use crate::cli::bench::backend::Backend;
use crate::cli::bench::checked::doors::{Door, LINKS, PIPELINES, ways_in};
use crate::cli::bench::checked::faults::Fault;
use crate::cli::bench::checked::opening::{HANDSHAKES, open_link, open_pipelines, path_of, request_of};
use crate::cli::bench::client::Client;
use crate::cli::bench::clock::{Nanos, SECOND};
use crate::cli::bench::error::BenchError;
use crate::cli::bench::fleet::{Fleet, Handler, Patience};
use crate::cli::bench::schedule::Schedule;
use crate::cli::bench::target::Target;

/// Between two looks for connections on which nothing comes, and the longest turn.
const LOOK: Nanos = SECOND / 20;
/// Between two lines of progress.
const MINUTE: Nanos = 60 * SECOND;
/// Of a hundred connections of players that come back, so many are cut again at once, with or without a welcome.
const AGAIN_PERCENT: usize = 10;
/// And that within this time.
const AGAIN_WITHIN: Nanos = SECOND / 250;
/// Players that are away come back within this time when a run ends.
const LAST_CALL: Nanos = SECOND;
/// For so long the socket of a player that has ended it with a FIN stays, for what the server still writes.
const FIN_STAYS: Nanos = SECOND;

/// Where everything is, and how much of it there shall be.
#[derive(Clone, Copy)]
pub struct Plan<'a> {
    /// Where players connect to, in turn.
    pub targets: &'a [Target],
    /// The backend port.
    pub backend: &'a Backend,
    /// Its key.
    pub key: Option<&'a str>,
    /// Pushes a second.
    pub rate: usize,
    /// Cuts a second.
    pub cuts: usize,
    /// Their kinds, in turn.
    pub kinds: &'a [How],
    /// How long.
    pub duration: Nanos,
    /// After so long without a message a connection is given up.
    pub silence: Option<Nanos>,
}

/// See the module.
pub struct Course<'a, 'f> {
    plan: Plan<'a>,
    pub(super) fleet: Fleet<'f>,
    pub(super) load: Load<'a>,
    pub(super) desk: Desk,
    graveyard: Graveyard,
    next_look: Nanos,
    /// The number of the next cut.
    next_cut: usize,
    /// Whether players that come back are cut again at once, some of them.
    cuts_again: bool,
}

impl<'a, 'f> Course<'a, 'f> {
    /// A course that has not begun.
    pub fn new(plan: Plan<'a>, fleet: Fleet<'f>, load: Load<'a>) -> Self {
        let (graveyard, desk) = (Graveyard::default(), Desk::new(0));
        Self { plan, fleet, load, desk, graveyard, next_look: 0, next_cut: 0, cuts_again: false }
    }

    /// What was found.
    pub fn into_load(self) -> Load<'a> {
        self.load
    }

    /// Opens the connections that publish.
    pub fn open_backend(&mut self) -> Result<(), BenchError> {
        let Plan { backend, key, .. } = self.plan;
        open_pipelines(backend, PIPELINES, &mut self.fleet)?;
        let doors = ways_in(self.load.players.len());
        for (speech, room) in doors {
            self.load.doors.push(Door::new(speech, room, backend.host(), key));
            if let Some(link) = speech.link() {
                open_link(backend, key, link, &mut self.fleet)?;
            }
        }
        self.desk = Desk::new(doors.len());
        let mut patience = Patience::new("opening links", LINKS, self.fleet.now());
        while self.fleet.open_count() < LINKS {
            self.turn(LOOK)?;
            patience.check(self.fleet.open_count(), self.fleet.now())?;
        }
        Ok(())
    }

    /// Opens all players and waits for their welcomes.
    pub fn open_players(&mut self) -> Result<(), BenchError> {
        let count = self.load.players.len();
        let mut begun = 0;
        let mut patience = Patience::new("connecting", count, self.fleet.now());
        loop {
            let welcomed = self.load.counts.sessions as usize;
            if self.load.has_no_ticket {
                return Err(BenchError::NoResume { app: "that the URL names".to_owned() });
            }
            if welcomed == count {
                self.load.is_running = true;
                return Ok(());
            }
            while begun < count && begun < welcomed + HANDSHAKES {
                self.come(begun)?;
                begun += 1;
            }
            self.turn(SECOND / 10)?;
            patience.check(welcomed, self.fleet.now())?;
        }
    }

    /// The player begins a connection, with which it asks for its session if it has one.
    pub(super) fn come(&mut self, slot: usize) -> Result<(), BenchError> {
        let now = self.fleet.now();
        let player = &mut self.load.players[slot];
        let target = &self.plan.targets[player.dials % self.plan.targets.len()];
        (player.state, player.dialed_at, player.heard_at) = (State::Coming, now, now);
        player.dials += 1;
        let mut path = path_of(target, slot, &self.load.crowd.query(slot));
        if let Some(claim) = player.claim() {
            path.push('&');
            path.push_str(&claim);
        }
        let request = request_of(target, &path);
        let stream = target.connect(slot).map_err(|error| BenchError::Connect { number: slot, error });
        let dialed = stream.and_then(|stream| self.fleet.dial(slot, stream, &request));
        if let Err(error) = dialed {
            return self.load.refused(slot, error);
        }
        if self.cuts_again && self.load.random.chance(AGAIN_PERCENT) {
            let pause = self.load.random.below(AGAIN_WITHIN as usize) as Nanos;
            self.load.agenda.push(Reverse((now + pause, slot)));
        }
        Ok(())
    }

    /// Pushes and cuts, until the time is over. `each_minute` is told how long it has been going on.
    pub fn run(&mut self, mut each_minute: impl FnMut(&Load<'_>, Nanos)) -> Result<(), BenchError> {
        let start = self.fleet.now();
        let end = start + self.plan.duration;
        let schedule = |rate: usize| Schedule::new(start, end, rate.max(1), 0, 1);
        let mut pushes = schedule(self.plan.rate);
        // No cut is due before the end where none shall be.
        let first_cut = if self.plan.cuts == 0 { end } else { start };
        let mut cuts = Schedule::new(first_cut, end, self.plan.cuts.max(1), 0, 1);
        let mut next_minute = start + MINUTE;
        self.cuts_again = self.plan.cuts > 0;
        while self.fleet.now() < end && !self.load.is_broken {
            self.load.now = self.fleet.now();
            if self.load.now >= next_minute {
                each_minute(&self.load, self.load.now - start);
                next_minute += MINUTE;
            }
            let (due, late) = pushes.take_turn(self.load.now);
            let sent = (0..due).filter(|_| self.desk.push(&mut self.load, &mut self.fleet)).count();
            self.load.counts.left_out += (late + due - sent) as u64;
            self.load.doors.iter_mut().for_each(|door| door.finish_batch(&mut self.fleet));
            let (due, _) = cuts.take_turn(self.load.now);
            (0..due).for_each(|_| self.cut_one());
            let next = [pushes.next_due(), cuts.next_due()].into_iter().flatten();
            let until = next.chain([end]).min().unwrap_or(end);
            self.turn(until.saturating_sub(self.fleet.now()).min(LOOK))?;
        }
        self.cuts_again = false;
        Ok(())
    }

    /// Cuts the connection of a player that is there, if a few tries find one.
    fn cut_one(&mut self) {
        let how = self.plan.kinds[self.next_cut % self.plan.kinds.len()];
        self.next_cut += 1;
        for _ in 0..8 {
            let slot = self.load.random.below(self.load.players.len());
            if self.load.players[slot].state == State::Open {
                return self.cut(slot, how);
            }
        }
    }

    fn cut(&mut self, slot: usize, how: How) {
        let Some(client) = self.fleet.take_out(slot) else { return };
        let (load, now) = (&mut self.load, self.fleet.now());
        load.now = now;
        load.counts.cuts[how as usize] += 1;
        load.counts.cut_early += u64::from(load.players[slot].state == State::Coming);
        let within = |most: Nanos, random: &mut Load<'_>| random.random.below(most as usize) as Nanos;
        let linger = load.bounds.linger;
        let pause = match (how, load.random.below(3)) {
            (How::Away, _) => within(linger + linger / 2, load),
            (_, 0) => 0,
            (_, 1) => within(SECOND / 100, load),
            _ => within((SECOND / 2).min(linger / 2), load),
        };
        let stays = match how {
            How::HalfOpen => pause + within((linger / 2).max(SECOND), load),
            _ => FIN_STAYS,
        };
        load.goes(slot, pause);
        let by_reset = match how {
            How::Away => self.load.random.chance(50),
            _ => how == How::Reset,
        };
        self.end(client, how, by_reset, now + stays);
    }

    /// Resets the connection of a player, which comes back when it is told to.
    pub(super) fn cut_for_long(&mut self, slot: usize) {
        let Some(client) = self.fleet.take_out(slot) else { return };
        self.load.counts.cuts[How::Reset as usize] += 1;
        let now = self.fleet.now();
        self.load.players[slot].goes(now, Nanos::MAX);
        self.end(client, How::Reset, true, now);
    }

    fn end(&mut self, mut client: Client, how: How, by_reset: bool, until: Nanos) {
        if by_reset {
            // One that the server has ended already is gone in any case.
            drop(client.reset());
            return;
        }
        if how != How::HalfOpen {
            drop(client.end_writing());
        }
        self.graveyard.bury(client, until);
    }

    /// Whatever is due: players come back, some are cut again, sockets that nobody reads end.
    fn act(&mut self) -> Result<(), BenchError> {
        let now = self.fleet.now();
        self.load.now = now;
        self.graveyard.clear_until(now);
        while let Some(&Reverse((at, slot))) = self.load.agenda.peek().filter(|entry| entry.0.0 <= now) {
            self.load.agenda.pop();
            let player = &self.load.players[slot];
            match player.state {
                State::Away if player.back_at == at => self.come(slot)?,
                State::Coming | State::Open if self.cuts_again => self.cut(slot, How::Reset),
                _ => {}
            }
        }
        if let Some(silence) = self.plan.silence.filter(|_| now >= self.next_look) {
            self.next_look = now + LOOK;
            for slot in 0..self.load.players.len() {
                let player = &self.load.players[slot];
                let waits = matches!(player.state, State::Open | State::Coming);
                if waits && now.saturating_sub(player.heard_at) > silence {
                    self.give_up(slot);
                }
            }
        }
        Ok(())
    }

    /// Nothing comes on the player's connection any more: it leaves it where it is.
    fn give_up(&mut self, slot: usize) {
        let Some(client) = self.fleet.take_out(slot) else { return };
        self.load.counts.silent += 1;
        self.load.goes(slot, 0);
        let until = self.load.now + self.load.bounds.linger / 2;
        self.end(client, How::HalfOpen, false, until);
    }

    /// All players come back, and all that was sent comes, unless nothing comes any more: then what is missing is lost. Nothing can
    /// be said of it where a link is gone.
    pub fn drain(&mut self) -> Result<(), BenchError> {
        for slot in 0..self.load.players.len() {
            let player = &mut self.load.players[slot];
            let last = self.fleet.now() + self.load.random.below(LAST_CALL as usize) as Nanos;
            if player.state == State::Away && player.back_at > last {
                player.back_at = last;
                self.load.agenda.push(Reverse((last, slot)));
            }
        }
        let players = self.load.players.len();
        self.wait_while_it_moves(|load| {
            load.count(State::Open) == players && load.doors.iter().all(Door::is_idle)
        })?;
        let open = self.load.count(State::Open);
        if open < players && !self.load.is_broken {
            let detail = format!("{} players have not come back", players - open);
            self.load.faults.add(Fault::Broken, detail);
        }
        // What may be missing has gone by when a message comes that was pushed behind it and may not be missing.
        self.desk.push_to_all(&mut self.load, &mut self.fleet);
        self.wait_while_it_moves(|load| {
            let has_all = |player: &Player| player.state == State::Open && player.inbox.is_complete();
            load.players.iter().all(has_all) && load.doors.iter().all(Door::is_idle)
        })?;
        if !self.load.is_broken {
            self.load.settle();
        }
        Ok(())
    }

    /// Everybody leaves, with a Close, so that no session waits for anybody.
    pub fn leave(&mut self) -> Result<(), BenchError> {
        for (slot, player) in self.load.players.iter_mut().enumerate() {
            if player.state == State::Open {
                player.state = State::Leaving;
                self.fleet.leave(slot);
            }
        }
        self.wait_while_it_moves(|load| load.count(State::Leaving) == 0)
    }

    /// Closes every connection that is left.
    pub fn close(&mut self) {
        self.fleet.close_all();
        self.fleet.drop_pipelines();
        self.graveyard = Graveyard::default();
    }

    /// Does what is due, and waits for something to happen.
    pub(super) fn turn(&mut self, wait: Nanos) -> Result<(), BenchError> {
        self.act()?;
        self.fleet.flush(&mut self.load)?;
        let until = self.fleet.now() + wait;
        let next = self.load.agenda.peek().map_or(until, |entry| entry.0.0);
        self.fleet.turn(until.min(next), &mut self.load)?;
        self.load.now = self.fleet.now();
        Ok(())
    }

    pub(super) fn wait_while_it_moves(
        &mut self,
        is_done: impl Fn(&Load<'_>) -> bool,
    ) -> Result<(), BenchError> {
        let mut patience = Patience::new("waiting for what is under way", 0, self.fleet.now());
        while !is_done(&self.load) && !self.load.is_broken {
            self.turn(LOOK)?;
            if patience.check(self.load.progress(), self.fleet.now()).is_err() {
                return Ok(());
            }
        }
        Ok(())
    }
}
