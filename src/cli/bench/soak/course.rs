//! The course of a soak: the links that listen and the connections that publish, then the players, the load, the wait for
//! what is under way, and everybody's leave.

use super::cast::Role;
use super::desk::Desk;
use super::listeners::Listener;
use super::load::{LinkRole, Load};
use super::players::{Player, State};
use crate::cli::bench::backend::Backend;
use crate::cli::bench::checked::doors::{Door, PIPELINES, ways_in};
use crate::cli::bench::checked::forms;
use crate::cli::bench::checked::opening::{HANDSHAKES, open_link, open_pipelines, path_of, request_of};
use crate::cli::bench::clock::{Nanos, SECOND};
use crate::cli::bench::error::BenchError;
use crate::cli::bench::fleet::{Fleet, Patience};
use crate::cli::bench::schedule::Schedule;
use crate::cli::bench::target::Target;
use crate::dispatch::{EventKind, EventSet, With};
use crate::link_bin::{Command, Request};

/// What a link listens to.
const EVENTS: EventSet = EventSet::of(&[EventKind::Open, EventKind::Message, EventKind::Close]);

/// Between two sips of a slow reader.
const SIP_PAUSE: Nanos = SECOND / 50;
/// A slow reader takes so many bytes for each push that is due: about a sixth of what is pushed to it.
const SIPPED_A_PUSH: u64 = 15;
/// The longest sip.
const LONGEST_SIP: u64 = 64 * 1024;
/// Between two lines of progress.
const MINUTE: Nanos = 60 * SECOND;
/// What a socket buffers for a slow reader, so that more of what waits for it is the server's.
const SLOW_BUFFER: usize = 16 * 1024;
/// Links that listen: slots behind those of the players, listener, form, share.
const LISTENING: [(usize, bool); 4] = [(0, false), (1, true), (2, false), (2, true)];

/// Where everything is, and how much of it there shall be.
#[derive(Clone, Copy)]
pub struct Plan<'a> {
    /// Where players connect to.
    pub target: &'a Target,
    /// The backend port.
    pub backend: &'a Backend,
    /// Its key.
    pub key: Option<&'a str>,
    /// Pushes a second.
    pub rate: usize,
    /// How long the load goes on.
    pub duration: Nanos,
}

/// See the module.
pub struct Course<'a, 'f> {
    plan: Plan<'a>,
    fleet: Fleet<'f>,
    load: Load<'a>,
    desk: Desk,
    next_sip: Nanos,
}

/// What goes on at a rate.
struct Pace {
    pushes: Schedule,
    changes: Schedule,
    messages: Schedule,
}

impl<'a, 'f> Course<'a, 'f> {
    /// A course that has not begun.
    pub fn new(plan: Plan<'a>, fleet: Fleet<'f>, load: Load<'a>) -> Self {
        Self { plan, fleet, load, desk: Desk::new(0), next_sip: 0 }
    }

    /// What was found.
    pub fn into_load(self) -> Load<'a> {
        self.load
    }

    /// Opens the backend's connections and waits until its links listen.
    pub fn open_backend(&mut self) -> Result<(), BenchError> {
        let Plan { backend, key, .. } = self.plan;
        open_pipelines(backend, PIPELINES, &mut self.fleet)?;
        let first_link = self.load.players.len();
        for (index, (listener, is_binary)) in LISTENING.into_iter().enumerate() {
            self.load.links.push(LinkRole::Listener { listener, is_binary });
            open_link(backend, key, (first_link + index, is_binary), &mut self.fleet)?;
        }
        self.load.listeners = ["the JSON link", "the binary link", "the share"].map(Listener::new).into();
        let doors = ways_in(first_link + LISTENING.len());
        for (index, (speech, room)) in doors.into_iter().enumerate() {
            self.load.doors.push(Door::new(speech, room, backend.host(), key));
            if let Some(link) = speech.link() {
                self.load.links.push(LinkRole::Door(index));
                open_link(backend, key, link, &mut self.fleet)?;
            }
        }
        self.desk = Desk::new(doors.len());
        let links = self.load.links.len();
        self.wait("opening links", links, |course| course.fleet.open_count())?;
        for (index, (listener, is_binary)) in LISTENING.into_iter().enumerate() {
            self.listen(first_link + index, is_binary, (listener == 2).then_some("soak"));
        }
        self.wait("listening", LISTENING.len(), |course| course.load.listening)
    }

    fn listen(&mut self, slot: usize, is_binary: bool, share: Option<&str>) {
        let command = Command::Listen {
            events: EVENTS,
            share,
            with: With::NONE,
            name: None,
            snapshot: false,
            numbers: false,
            everywhere: false,
        };
        match is_binary {
            true => {
                let mut message = Vec::new();
                // The name of the share is short.
                let _ = Request::new(1, command).encode(&mut message);
                self.fleet.send_bytes(slot, &message);
            }
            false => self.fleet.send(slot, &forms::json(1, &command), false),
        }
    }

    /// Opens all players and waits for their welcomes.
    pub fn open_players(&mut self) -> Result<(), BenchError> {
        let count = self.load.players.len();
        let mut begun = 0;
        let mut patience = Patience::new("connecting", count, self.fleet.now());
        loop {
            let welcomed = self.load.counts.sessions as usize;
            if welcomed == count {
                self.load.is_running = true;
                return Ok(());
            }
            while begun < count && begun < welcomed + HANDSHAKES {
                self.open_player(begun)?;
                begun += 1;
            }
            self.turn(SECOND / 10)?;
            patience.check(welcomed, self.fleet.now())?;
        }
    }

    fn open_player(&mut self, slot: usize) -> Result<(), BenchError> {
        let target = self.plan.target;
        let failed = |error| BenchError::Connect { number: slot, error };
        let mut stream = target.connect(slot).map_err(failed)?;
        if self.load.cast.role(slot) == Role::Slow {
            let socket = socket2::SockRef::from(&*stream.socket());
            socket.set_recv_buffer_size(SLOW_BUFFER).map_err(BenchError::System)?;
            self.fleet.set_sipping(slot, true);
        }
        let path = path_of(target, slot, &self.load.cast.query(slot));
        self.load.players[slot].state = State::Coming;
        self.fleet.dial(slot, stream, &request_of(target, &path))
    }

    /// The load, until its time is over. `each_minute` is told how long it has been going on; `at_half` comes once.
    pub fn run(
        &mut self,
        mut each_minute: impl FnMut(&Load<'_>, Nanos),
        at_half: impl FnOnce(),
    ) -> Result<(), BenchError> {
        let start = self.fleet.now();
        let end = start + self.plan.duration;
        let rate = self.plan.rate;
        let schedule = |rate: usize| Schedule::new(start, end, rate.max(1), 0, 1);
        let mut pace =
            Pace { pushes: schedule(rate), changes: schedule(rate / 40), messages: schedule(rate / 4) };
        let mut next_minute = start + MINUTE;
        let mut at_half = Some(at_half);
        while self.fleet.now() < end && !self.load.is_broken {
            self.load.now = self.fleet.now();
            if self.load.now >= start + self.plan.duration / 2
                && let Some(at_half) = at_half.take()
            {
                at_half();
            }
            if self.load.now >= next_minute {
                each_minute(&self.load, self.load.now - start);
                next_minute += MINUTE;
            }
            self.send(&mut pace);
            self.bring_back()?;
            self.sip()?;
            let next =
                [&pace.pushes, &pace.changes, &pace.messages].into_iter().filter_map(Schedule::next_due);
            let until = next.chain([end, self.next_sip]).min().unwrap_or(end);
            self.turn(until.saturating_sub(self.fleet.now()))?;
        }
        Ok(())
    }

    fn send(&mut self, pace: &mut Pace) {
        let (desk, load, fleet) = (&mut self.desk, &mut self.load, &mut self.fleet);
        let now = load.now;
        let (pushes, late) = pace.pushes.take_turn(now);
        let sent = (0..pushes).filter(|_| desk.push(load, fleet)).count();
        load.counts.left_out += (late + pushes - sent) as u64;
        let (changes, _) = pace.changes.take_turn(now);
        (0..changes).for_each(|_| desk.change(load, fleet));
        let (messages, _) = pace.messages.take_turn(now);
        (0..messages).for_each(|_| desk.say(load, fleet));
        load.doors.iter_mut().for_each(|door| door.finish_batch(fleet));
    }

    fn bring_back(&mut self) -> Result<(), BenchError> {
        for slot in self.load.cast.slots() {
            let player = &self.load.players[slot];
            if player.state == State::Away && player.back_at <= self.load.now {
                self.open_player(slot)?;
            }
        }
        Ok(())
    }

    fn sip(&mut self) -> Result<(), BenchError> {
        let now = self.fleet.now();
        if now < self.next_sip {
            return Ok(());
        }
        // One that comes late takes more.
        let since = (now + SIP_PAUSE - self.next_sip).min(SECOND);
        self.next_sip = now + SIP_PAUSE;
        let bytes = (self.plan.rate as u64 * SIPPED_A_PUSH * since / SECOND).clamp(64, LONGEST_SIP) as usize;
        for slot in self.load.cast.slots_of(Role::Slow) {
            if self.fleet.is_open(slot) {
                self.fleet.sip(slot, bytes, &mut self.load)?;
            }
        }
        Ok(())
    }

    /// Waits until all that was sent has come, or until nothing comes any more; then what is missing is lost. Nothing can be
    /// said of it where a link is gone.
    pub fn drain(&mut self) -> Result<(), BenchError> {
        for slot in self.load.cast.slots_of(Role::Slow) {
            self.fleet.set_sipping(slot, false);
            self.fleet.catch_up(slot, &mut self.load)?;
        }
        self.wait_while_it_moves(|course| {
            let is_between = |player: &Player| matches!(player.state, State::Coming | State::Leaving);
            course.load.doors.iter().all(Door::is_idle) && !course.load.players.iter().any(is_between)
        })?;
        // What may be missing has gone by when a message comes that was pushed behind it and may not be missing.
        self.desk.push_to_all(&mut self.load, &mut self.fleet);
        self.wait_while_it_moves(Self::is_drained)?;
        if !self.load.is_broken {
            self.load.settle();
        }
        Ok(())
    }

    fn is_drained(&self) -> bool {
        let load = &self.load;
        let has_come = |player: &Player| match player.open_session() {
            Some(session) => {
                let is_heard = |listener: &Listener| listener.has_heard(session, player.said);
                player.inbox.is_complete() && load.listeners.iter().all(is_heard)
            }
            None => player.state == State::Away,
        };
        load.doors.iter().all(Door::is_idle) && load.players.iter().all(has_come)
    }

    /// Everybody leaves, and the links hear of it; then these close too.
    pub fn leave(&mut self) -> Result<(), BenchError> {
        for slot in self.load.cast.slots() {
            let player = &mut self.load.players[slot];
            if player.state == State::Open {
                player.state = State::Leaving;
                self.fleet.leave(slot);
            }
        }
        self.wait_while_it_moves(|course| {
            let is_away = |player: &Player| player.state == State::Away;
            course.load.players.iter().all(is_away) && course.load.listeners.iter().all(Listener::is_done)
        })?;
        let load = &mut self.load;
        if !load.is_broken {
            load.listeners.iter_mut().for_each(|listener| listener.finish(&mut load.faults));
        }
        Ok(())
    }

    /// Closes every connection that is left.
    pub fn close(&mut self) {
        self.fleet.close_all();
        self.fleet.drop_pipelines();
    }

    fn turn(&mut self, wait: Nanos) -> Result<(), BenchError> {
        self.fleet.flush(&mut self.load)?;
        self.fleet.turn(self.fleet.now() + wait, &mut self.load)
    }

    fn wait(
        &mut self,
        stage: &'static str,
        count: usize,
        done: impl Fn(&Self) -> usize,
    ) -> Result<(), BenchError> {
        let mut patience = Patience::new(stage, count, self.fleet.now());
        while done(self) < count {
            self.turn(SECOND / 10)?;
            patience.check(done(self), self.fleet.now())?;
        }
        Ok(())
    }

    fn wait_while_it_moves(&mut self, is_done: impl Fn(&Self) -> bool) -> Result<(), BenchError> {
        let mut patience = Patience::new("waiting for what is under way", 0, self.fleet.now());
        while !is_done(self) && !self.load.is_broken {
            self.turn(SECOND / 20)?;
            if patience.check(self.load.progress(), self.fleet.now()).is_err() {
                return Ok(());
            }
        }
        Ok(())
    }
}
