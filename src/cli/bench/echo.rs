//! `gannet bench echo` and `soak`: every message comes back. Echo asks how fast, soak whether any is lost, doubled or out
//! of order.

use std::collections::VecDeque;

use clap::Args;

use super::args::{CommonArgs, MessageArgs, PaceArgs, StampedArgs};
use super::client::Sender;
use super::clock::Nanos;
use super::error::BenchError;
use super::fleet::{Fleet, Handler, Patience};
use super::recorder::{Recorder, Window};
use super::result::RunResult;
use super::run::{Timeline, WARM_EXCHANGES, Work, Worker, drive};
use super::schedule::Schedule;
use super::sequence::{Faults, Sequence, Stamp};
use crate::protocol::CloseCode;

/// Bytes that may wait on a connection; messages beyond are late, which counts.
const MOST_QUEUED: usize = 256 * 1024;
/// A turn sends at most so many before it reads again.
const SENDS_A_TURN: usize = 1024;

/// Messages to a server that sends them back
#[derive(Debug, Args)]
pub struct EchoArgs {
    #[command(flatten)]
    pub common: CommonArgs,
    #[command(flatten)]
    pace: PaceArgs,
    #[command(flatten)]
    message: MessageArgs,
}

/// Runs `gannet bench echo`.
pub fn run(args: &EchoArgs) -> Result<RunResult, BenchError> {
    let EchoArgs { common, pace, message } = args;
    let load = Load { pace, size: message.size, binary: !message.text, is_numbered: false };
    result("echo", common, &load)
}

/// Runs `gannet bench soak` against an echo server.
pub fn run_soak(
    common: &CommonArgs,
    pace: &PaceArgs,
    message: &StampedArgs,
    text: bool,
) -> Result<RunResult, BenchError> {
    let load = Load { pace, size: message.size, binary: !text, is_numbered: true };
    result("soak", common, &load)
}

#[derive(Debug, Clone, Copy)]
struct Load<'a> {
    pace: &'a PaceArgs,
    size: usize,
    binary: bool,
    is_numbered: bool,
}

fn result(shape: &str, common: &CommonArgs, load: &Load<'_>) -> Result<RunResult, BenchError> {
    let target = common.target()?;
    let driven = drive(common, &target, load.pace.warm_up, |worker| Echo::run(worker, load))?;
    let mut parts = driven.parts.iter();
    // There is at least one thread.
    let Some(first) = parts.next() else { return Err(BenchError::Panicked) };
    let mut all = first.clone();
    parts.for_each(|part| all.merge(part));
    let work = Work { count: all.recorder.completed(), one: "message", many: "messages" };
    let mut result = driven.result(shape, common, &target, work);
    result.settings.insert("size".to_owned(), format!("{} bytes", load.size));
    result.settings.insert("pace".to_owned(), load.pace.describe());
    result.figure("unanswered", "", all.unanswered as f64);
    result.figure("lost connections", "", all.lost_connections as f64);
    if load.is_numbered {
        result.figure("sent", "", all.sent as f64);
        result.figure("lost", "", all.faults.lost as f64);
        result.figure("doubled", "", all.faults.doubled as f64);
        result.figure("misordered", "", all.faults.misordered as f64);
    } else {
        result.figure("wrong answers", "", all.wrong as f64);
    }
    result.latency("round trip", &all.recorder);
    if !load.pace.closed {
        result.latency("sent late by the load", &all.lag);
    }
    Ok(result)
}

/// What a thread finds.
#[derive(Debug, Clone)]
struct Found {
    recorder: Recorder,
    lag: Recorder,
    sent: u64,
    unanswered: u64,
    lost_connections: u64,
    wrong: u64,
    faults: Faults,
}

impl Found {
    fn merge(&mut self, other: &Self) {
        self.recorder.merge(&other.recorder);
        self.lag.merge(&other.lag);
        self.sent += other.sent;
        self.unanswered += other.unanswered;
        self.lost_connections += other.lost_connections;
        self.wrong += other.wrong;
        self.faults += other.faults;
    }
}

/// What goes on on one connection.
#[derive(Debug, Default)]
struct Conversation {
    /// When each message without an answer was due; the last `held` of them are not sent yet.
    pending: VecDeque<Nanos>,
    held: usize,
    sent: u64,
    came: Sequence,
    /// Warm-up messages to go.
    cold: u32,
    lost: bool,
}

/// When an answer is followed by the next message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// While the connection is cold.
    Warm,
    /// Until then.
    Closed { until: Nanos },
    /// Never.
    Open,
}

struct Echo<'a> {
    load: &'a Load<'a>,
    conversations: Vec<Conversation>,
    mode: Mode,
    payload: String,
    /// Conversations that are cold.
    cold: usize,
    recorder: Recorder,
    lag: Recorder,
    wrong: u64,
    outstanding: u64,
}

impl Handler for Echo<'_> {
    fn message(&mut self, slot: usize, payload: &[u8], mut sender: Sender<'_>, now: Nanos) {
        let Some(conversation) = self.conversations.get_mut(slot) else { return };
        let due = if self.load.is_numbered {
            let Some(stamp) = Stamp::read(payload) else {
                self.wrong += 1;
                return;
            };
            conversation.came.take(stamp.number);
            conversation.pending.pop_front();
            Some(stamp.due)
        } else {
            conversation.pending.pop_front()
        };
        let Some(due) = due else {
            self.wrong += 1;
            return;
        };
        self.outstanding = self.outstanding.saturating_sub(1);
        self.wrong += u64::from(payload.len() != self.load.size);
        self.recorder.record(due, now);
        let goes_on = match self.mode {
            Mode::Warm => {
                conversation.cold = conversation.cold.saturating_sub(1);
                self.cold -= usize::from(conversation.cold == 0);
                conversation.cold > 0
            }
            Mode::Closed { until } => now < until,
            Mode::Open => false,
        };
        if goes_on {
            conversation.pending.push_back(now);
            self.outstanding += 1;
            self.load.fill(now, conversation.sent, &mut self.payload);
            conversation.sent += 1;
            sender.send(&self.payload, self.load.binary);
        }
    }

    fn lost(&mut self, slot: usize, _: Option<CloseCode>) {
        let Some(conversation) = self.conversations.get_mut(slot) else { return };
        conversation.lost = true;
        let sent = conversation.pending.len() - conversation.held;
        self.outstanding = self.outstanding.saturating_sub(sent as u64);
        self.cold -= usize::from(conversation.cold > 0);
        conversation.cold = 0;
    }
}

impl Load<'_> {
    /// Makes `payload` the message with this number.
    fn fill(&self, due: Nanos, number: u64, payload: &mut String) {
        if self.is_numbered {
            Stamp { due, number }.write(self.size, payload);
        }
    }
}

impl<'a> Echo<'a> {
    fn run(worker: &Worker<'_>, load: &'a Load<'a>) -> Result<Found, BenchError> {
        let count = worker.connections();
        let mut fleet = worker.fleet()?;
        let mut echo = Self {
            load,
            conversations: std::iter::repeat_with(Conversation::default).take(count).collect(),
            mode: Mode::Warm,
            payload: "x".repeat(load.size),
            cold: 0,
            recorder: Recorder::new(Window::NOT_YET),
            lag: Recorder::new(Window::NOT_YET),
            wrong: 0,
            outstanding: 0,
        };
        fleet.open_all(count, &mut echo, |_| true, |opened| worker.opened(opened))?;
        echo.warm(&mut fleet)?;
        if let Some(timeline) = worker.start(&mut fleet, &mut echo)? {
            let measured = echo.measure(&mut fleet, worker, timeline);
            worker.keep(measured, timeline)?;
        }
        fleet.close_all();
        Ok(echo.found(&fleet))
    }

    /// Some round trips on every connection, one at a time.
    fn warm(&mut self, fleet: &mut Fleet<'_>) -> Result<(), BenchError> {
        // What came so far was not asked for: a welcome, perhaps.
        self.wrong = 0;
        for slot in 0..self.conversations.len() {
            self.conversations[slot].cold = WARM_EXCHANGES;
            self.cold += 1;
            self.send(slot, fleet.now(), fleet);
        }
        let of = self.cold;
        let mut patience = Patience::new("warming up", of, fleet.now());
        while self.cold > 0 {
            fleet.flush(self)?;
            fleet.turn(fleet.now() + super::clock::SECOND / 10, self)?;
            patience.check(of - self.cold, fleet.now())?;
        }
        Ok(())
    }

    fn measure(
        &mut self,
        fleet: &mut Fleet<'_>,
        worker: &Worker<'_>,
        timeline: Timeline,
    ) -> Result<(), BenchError> {
        let Timeline { start, window, until } = timeline;
        self.recorder = Recorder::new(window);
        self.lag = Recorder::new(window);
        while fleet.now() < start {
            fleet.turn(start, self)?;
        }
        let rate = if self.load.pace.closed { 0 } else { self.load.pace.rate };
        let end = if rate == 0 { start } else { window.to };
        let mut schedule = Schedule::new(start, end, rate, worker.index, worker.threads());
        self.mode = Mode::Open;
        if self.load.pace.closed {
            self.mode = Mode::Closed { until: window.to };
            self.prime(fleet);
        }
        let mut next_slot = 0;
        let mut held: VecDeque<usize> = VecDeque::new();
        loop {
            let now = fleet.now();
            // A thread that comes late to the end has messages that were due.
            let is_all_sent = schedule.next_due().is_none() && held.is_empty();
            let is_drained = now >= window.to && self.outstanding == 0 && is_all_sent;
            if now >= until || is_drained || worker.is_aborted() {
                return Ok(());
            }
            for _ in 0..held.len().min(SENDS_A_TURN) {
                let Some(slot) = held.pop_front() else { break };
                self.send_held(slot, fleet);
                if self.conversations[slot].held > 0 {
                    held.push_back(slot);
                }
            }
            for _ in 0..SENDS_A_TURN {
                let Some(due) = schedule.take_due(fleet.now()) else { break };
                let slot = next_slot;
                next_slot = (next_slot + 1) % self.conversations.len();
                let conversation = &mut self.conversations[slot];
                if conversation.held == 0 && fleet.queued(slot) < MOST_QUEUED {
                    self.send(slot, due, fleet);
                } else if !conversation.lost {
                    if conversation.held == 0 {
                        held.push_back(slot);
                    }
                    conversation.pending.push_back(due);
                    conversation.held += 1;
                }
            }
            fleet.flush(self)?;
            let edge = if now < window.to { window.to } else { until };
            fleet.turn(schedule.next_due().unwrap_or(edge).min(edge), self)?;
            if fleet.open_count() == 0 {
                return Err(fleet.all_lost());
            }
        }
    }

    fn prime(&mut self, fleet: &mut Fleet<'_>) {
        for slot in 0..self.conversations.len() {
            for _ in 0..self.load.pace.in_flight {
                self.send(slot, fleet.now(), fleet);
            }
        }
    }

    fn send(&mut self, slot: usize, due: Nanos, fleet: &mut Fleet<'_>) {
        let conversation = &mut self.conversations[slot];
        if conversation.lost {
            return;
        }
        conversation.pending.push_back(due);
        self.load.fill(due, conversation.sent, &mut self.payload);
        conversation.sent += 1;
        self.outstanding += 1;
        self.lag.record(due, fleet.now());
        fleet.send(slot, &self.payload, self.load.binary);
    }

    /// Sends what waited for room.
    fn send_held(&mut self, slot: usize, fleet: &mut Fleet<'_>) {
        let conversation = &mut self.conversations[slot];
        if conversation.lost {
            conversation.held = 0;
        }
        while conversation.held > 0 && fleet.queued(slot) < MOST_QUEUED {
            let due = conversation.pending[conversation.pending.len() - conversation.held];
            conversation.held -= 1;
            self.load.fill(due, conversation.sent, &mut self.payload);
            conversation.sent += 1;
            self.outstanding += 1;
            self.lag.record(due, fleet.now());
            fleet.send(slot, &self.payload, self.load.binary);
        }
    }

    fn found(self, fleet: &Fleet<'_>) -> Found {
        let mut faults = Faults::default();
        let mut sent = 0;
        for conversation in self.conversations.iter().filter(|_| self.load.is_numbered) {
            faults += conversation.came.faults(conversation.sent);
            sent += conversation.sent;
        }
        Found {
            unanswered: self.conversations.iter().map(|conversation| conversation.pending.len() as u64).sum(),
            recorder: self.recorder,
            lag: self.lag,
            sent,
            lost_connections: fleet.lost_count(),
            wrong: self.wrong,
            faults,
        }
    }
}
