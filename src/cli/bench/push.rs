//! `gannet bench push`: a backend publishes to single sessions; latency from when a publish was due to the client's read.
//! Every message is numbered, so that what is lost, doubled or out of order shows.

use std::collections::VecDeque;

use clap::Args;
use serde::Deserialize;

use super::args::{CommonArgs, PaceArgs, StampedArgs};
use super::client::Sender;
use super::clock::{Nanos, SECOND};
use super::error::BenchError;
use super::fleet::{Fleet, Handler, Patience};
use super::publish::{PublishArgs, Publishing, Recipient};
use super::recorder::{Recorder, Window};
use super::result::RunResult;
use super::run::{Timeline, WARM_EXCHANGES, Work, Worker, drive};
use super::schedule::Schedule;
use super::sequence::{Faults, Sequence, Stamp};
use crate::cli::error::CliError;
use crate::session::SessionId;

/// Messages under way at a time while sessions are warmed.
const WARM_IN_FLIGHT: u64 = 32;

/// Messages published to one session each: latency from the publish to the client's read
#[derive(Debug, Args)]
pub struct PushArgs {
    #[command(flatten)]
    pub common: CommonArgs,
    #[command(flatten)]
    pace: PaceArgs,
    #[command(flatten)]
    message: StampedArgs,
    #[command(flatten)]
    publish: PublishArgs,
    /// Publish to gannet over HTTP, and only to sessions of other reactors than the publisher's
    #[arg(long, conflicts_with_all = ["via", "publish_template", "publishers"])]
    across: bool,
}

/// Runs `gannet bench push`.
pub fn run(args: &PushArgs) -> Result<RunResult, CliError> {
    let PushArgs { common, pace, message, publish, across } = args;
    let target = common.target()?;
    let publishing = publish.publishing(Recipient::Session, common.i_own_this_server)?;
    // Another server's clients say in their URL who they are; gannet's are told by the welcome.
    let is_numbered = publish.is_foreign() && target.numbers_sessions();
    let load = Load { pace, size: message.size, publishing: &publishing, is_numbered, across: *across };
    let driven = drive(common, &target, pace.warm_up, |worker| Push::run(worker, &load))?;
    let mut recorder = Recorder::new(driven.window);
    let mut lag = recorder.clone();
    let mut faults = Faults::default();
    for part in &driven.parts {
        recorder.merge(&part.recorder);
        lag.merge(&part.lag);
        faults += part.faults;
    }
    let sum = |figure: fn(&Found) -> u64| driven.parts.iter().map(figure).sum::<u64>() as f64;
    let work = Work { count: recorder.completed(), one: "message", many: "messages" };
    let mut result = driven.result("push", common, &target, work);
    result.settings.insert("size".to_owned(), format!("{} bytes", message.size));
    result.settings.insert("pace".to_owned(), pace.describe());
    result.settings.insert("published".to_owned(), publishing.describe());
    result.figure("lost", "", faults.lost as f64);
    result.figure("doubled", "", faults.doubled as f64);
    result.figure("misordered", "", faults.misordered as f64);
    result.figure("never published", "", sum(|part| part.unpublished));
    result.figure("publishes refused", "", sum(|part| part.refused));
    result.figure("lost connections", "", sum(|part| part.lost_connections));
    result.latency("publish to read", &recorder);
    if !pace.closed {
        result.latency("published late by the load", &lag);
    }
    Ok(result)
}

#[derive(Clone, Copy)]
struct Load<'a> {
    pace: &'a PaceArgs,
    size: usize,
    publishing: &'a Publishing,
    is_numbered: bool,
    across: bool,
}

/// What a thread finds.
struct Found {
    recorder: Recorder,
    lag: Recorder,
    faults: Faults,
    unpublished: u64,
    refused: u64,
    lost_connections: u64,
}

#[derive(Debug, Default)]
struct Session {
    /// Known from its welcome, or its number.
    name: Option<String>,
    published: u64,
    came: Sequence,
    /// It gets nothing: it is on the publisher's reactor.
    is_near: bool,
}

struct Push<'a> {
    load: &'a Load<'a>,
    first_number: usize,
    step: usize,
    sessions: Vec<Session>,
    named: usize,
    next_session: usize,
    next_publisher: usize,
    payload: String,
    published: u64,
    came: u64,
    recorder: Recorder,
    lag: Recorder,
}

/// gannet's first message to a session.
#[derive(Deserialize)]
struct Welcome {
    session: String,
}

impl Handler for Push<'_> {
    fn opened(&mut self, slot: usize, _now: Nanos) {
        if self.load.is_numbered {
            self.sessions[slot].name = Some((self.first_number + slot * self.step).to_string());
            self.named += 1;
        }
    }

    fn message(&mut self, slot: usize, payload: &[u8], _: Sender<'_>, now: Nanos) {
        let session = &mut self.sessions[slot];
        if session.name.is_none() {
            session.name = serde_json::from_slice(payload).ok().map(|welcome: Welcome| welcome.session);
            self.named += usize::from(session.name.is_some());
            return;
        }
        if let Some(stamp) = Stamp::read(payload) {
            session.came.take(stamp.number);
            self.came += 1;
            self.recorder.record(stamp.due, now);
        }
    }
}

impl<'a> Push<'a> {
    fn run(worker: &Worker<'_>, load: &'a Load<'a>) -> Result<Found, BenchError> {
        let count = worker.connections();
        let mut fleet = worker.fleet()?;
        let mut push = Self {
            load,
            first_number: worker.index,
            step: worker.threads(),
            sessions: std::iter::repeat_with(Session::default).take(count).collect(),
            named: 0,
            next_session: 0,
            next_publisher: 0,
            payload: String::new(),
            published: 0,
            came: 0,
            recorder: Recorder::new(Window::NOT_YET),
            lag: Recorder::new(Window::NOT_YET),
        };
        let opened =
            fleet.open_all(count, &mut push, |push| push.named == count, |opened| worker.opened(opened));
        if let Err(BenchError::Stalled { done, .. }) = opened
            && done == count
        {
            return Err(BenchError::NoWelcome);
        }
        opened?;
        match load.across {
            true => push.open_across(&mut fleet)?,
            false => load.publishing.open(&mut fleet)?,
        }
        push.warm(&mut fleet)?;
        let mut unpublished = 0;
        if let Some(timeline) = worker.start(&mut fleet, &mut push)? {
            let measured = push.measure(&mut fleet, worker, timeline);
            unpublished = worker.keep(measured, timeline)?.unwrap_or(0);
        }
        fleet.close_all();
        Ok(push.found(&mut fleet, unpublished))
    }

    /// Opens the publisher and leaves out the sessions of its reactor.
    fn open_across(&mut self, fleet: &mut Fleet<'_>) -> Result<(), BenchError> {
        let reactor = self.load.publishing.open_one(fleet)?;
        for session in &mut self.sessions {
            let id = session.name.as_deref().and_then(|name| name.parse::<SessionId>().ok());
            session.is_near = id.is_none_or(|id| id.worker() == reactor);
        }
        let is_any_far = self.sessions.iter().any(|session| !session.is_near);
        if is_any_far { Ok(()) } else { Err(BenchError::NoneAcross) }
    }

    /// Some messages to every session, before any is timed.
    fn warm(&mut self, fleet: &mut Fleet<'_>) -> Result<(), BenchError> {
        let recipients = self.sessions.iter().filter(|session| !session.is_near).count();
        let total = recipients as u64 * u64::from(WARM_EXCHANGES);
        let mut patience = Patience::new("warming up", total as usize, fleet.now());
        while self.came < total {
            while self.published < total.min(self.came + WARM_IN_FLIGHT) && self.publish(fleet.now(), fleet) {
            }
            fleet.flush(self)?;
            fleet.turn(fleet.now() + SECOND / 10, self)?;
            fleet.publishers().iter().try_for_each(|publisher| publisher.first_refusal())?;
            patience.check(self.came as usize, fleet.now())?;
        }
        Ok(())
    }

    /// Answers how many messages were due and never published.
    fn measure(
        &mut self,
        fleet: &mut Fleet<'_>,
        worker: &Worker<'_>,
        timeline: Timeline,
    ) -> Result<u64, BenchError> {
        let Timeline { start, window, until } = timeline;
        self.recorder = Recorder::new(window);
        self.lag = Recorder::new(window);
        while fleet.now() < start {
            fleet.turn(start, self)?;
        }
        let pace = self.load.pace;
        let end = if pace.closed { start } else { window.to };
        let mut schedule = Schedule::new(start, end, pace.rate, worker.index, worker.threads());
        // Due, and without room on a publisher.
        let mut held: VecDeque<Nanos> = VecDeque::new();
        loop {
            let now = fleet.now();
            // Before the end is looked for: a thread that comes late to it has messages that were due.
            held.extend(std::iter::from_fn(|| schedule.take_due(now)));
            let is_drained = now >= window.to && self.came >= self.published && held.is_empty();
            if now >= until || is_drained || worker.is_aborted() {
                return Ok(held.len() as u64);
            }
            if pace.closed && now < window.to {
                let in_flight = self.came + pace.in_flight as u64;
                while self.published < in_flight && self.publish(fleet.now(), fleet) {}
            }
            while held.front().is_some_and(|&due| self.publish(due, fleet)) {
                held.pop_front();
            }
            fleet.flush(self)?;
            let edge = if now < window.to { window.to } else { until };
            fleet.turn(schedule.next_due().unwrap_or(edge).min(edge), self)?;
            if fleet.open_count() == 0 {
                return Err(fleet.all_lost());
            }
        }
    }

    /// Publishes to the next session; `false` when no publisher has room.
    fn publish(&mut self, due: Nanos, fleet: &mut Fleet<'_>) -> bool {
        let publishers = fleet.publishers().len();
        let mut turns = (0..publishers).map(|turn| (self.next_publisher + turn) % publishers);
        let Some(free) = turns.find(|&publisher| fleet.publishers()[publisher].has_room()) else {
            return false;
        };
        self.next_publisher = (free + 1) % publishers;
        let count = self.sessions.len();
        let open =
            (0..count).map(|turn| (self.next_session + turn) % count).find(|&slot| fleet.is_open(slot));
        let Some(slot) = open else { return false };
        self.next_session = (slot + 1) % count;
        let session = &mut self.sessions[slot];
        Stamp { due, number: session.published }.write(self.load.size, &mut self.payload);
        session.published += 1;
        self.published += 1;
        self.lag.record(due, fleet.now());
        let name = session.name.as_deref().unwrap_or_default();
        fleet.publishers()[free].publish(name, &self.payload);
        true
    }

    fn found(self, fleet: &mut Fleet<'_>, unpublished: u64) -> Found {
        let mut faults = Faults::default();
        for session in &self.sessions {
            faults += session.came.faults(session.published);
        }
        Found {
            recorder: self.recorder,
            lag: self.lag,
            faults,
            unpublished,
            refused: fleet.publishers().iter().map(|publisher| publisher.refused()).sum(),
            lost_connections: fleet.lost_count(),
        }
    }
}
