//! `gannet bench fanout`: one message to all connections at once; latency of each delivery, of the first and of the last.

use std::sync::OnceLock;

use clap::Args;

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
use super::sequence::Stamp;
use crate::cli::error::CliError;

/// Numbers beyond take no memory: whoever sends them did not get them from us.
const MOST_MESSAGES: u64 = 10_000_000;

/// One message to all connections: latency of the first and the last delivery, CPU time of each
#[derive(Debug, Args)]
pub struct FanoutArgs {
    #[command(flatten)]
    pub common: CommonArgs,
    #[command(flatten)]
    pace: PaceArgs,
    #[command(flatten)]
    message: StampedArgs,
    #[command(flatten)]
    publish: PublishArgs,
    /// Group that all connections join [default: bench; with a token in the URL, its first group]
    #[arg(long, conflicts_with = "publish_template")]
    group: Option<String>,
}

/// Runs `gannet bench fanout`.
pub fn run(args: &FanoutArgs) -> Result<RunResult, CliError> {
    let FanoutArgs { common, pace, message, publish, group } = args;
    if pace.closed && common.threads > 1 {
        return Err(BenchError::ClosedFanout.into());
    }
    let (target, group) = common.target()?.in_group(group.as_deref(), publish.is_foreign())?;
    let publishing = publish.publishing(Recipient::Group(&group), common.i_own_this_server)?;
    let load = Load {
        pace,
        size: message.size,
        publishing: &publishing,
        subscribers: common.connections,
        total: OnceLock::new(),
    };
    let driven = drive(common, &target, pace.warm_up, |worker| Fanout::run(worker, &load))?;

    let mut all = Recorder::new(driven.window);
    let mut lag = all.clone();
    let mut messages: Vec<Deliveries> = Vec::new();
    for part in &driven.parts {
        all.merge(&part.recorder);
        lag.merge(&part.lag);
        if messages.len() < part.deliveries.len() {
            messages.resize_with(part.deliveries.len(), Deliveries::default);
        }
        messages.iter_mut().zip(&part.deliveries).for_each(|(into, from)| into.merge(from));
    }
    let (mut first, mut last) = (Recorder::new(driven.window), Recorder::new(driven.window));
    let (mut missing, mut doubled) = (0, 0);
    // What was published is known where it was done; the deliveries of what never came are missing too.
    let published: u64 = driven.parts.iter().map(|part| part.published).sum();
    for number in 0..published {
        let message = messages.get(number as usize).copied().unwrap_or_default();
        let subscribers = common.connections as u64;
        missing += subscribers.saturating_sub(message.count);
        doubled += message.count.saturating_sub(subscribers);
        if message.count > 0 {
            first.record(message.due, message.first);
            last.record(message.due, message.last);
        }
    }
    let work = Work { count: all.completed(), one: "delivery", many: "deliveries" };
    let mut result = driven.result("fanout", common, &target, work);
    result.settings.insert("size".to_owned(), format!("{} bytes", message.size));
    result.settings.insert("pace".to_owned(), pace.describe());
    result.settings.insert("published".to_owned(), publishing.describe());
    result.figure("messages", "", first.histogram().len() as f64);
    result.figure("missing deliveries", "", missing as f64);
    result.figure("doubled deliveries", "", doubled as f64);
    result.figure("publishes refused", "", driven.parts.iter().map(|part| part.refused).sum::<u64>() as f64);
    result.figure("lost connections", "", driven.parts.iter().map(|part| part.lost).sum::<u64>() as f64);
    result.latency("delivery", &all);
    result.latency("first delivery", &first);
    result.latency("last delivery", &last);
    if !pace.closed {
        result.latency("published late by the load", &lag);
    }
    Ok(result)
}

struct Load<'a> {
    pace: &'a PaceArgs,
    size: usize,
    publishing: &'a Publishing,
    subscribers: usize,
    /// Messages that were published, once no more are.
    total: OnceLock<u64>,
}

/// What became of one message.
#[derive(Debug, Clone, Copy, Default)]
struct Deliveries {
    due: Nanos,
    count: u64,
    first: Nanos,
    last: Nanos,
}

impl Deliveries {
    fn add(&mut self, due: Nanos, now: Nanos) {
        self.merge(&Self { due, count: 1, first: now, last: now });
    }

    fn merge(&mut self, other: &Self) {
        if self.count == 0 {
            *self = *other;
        } else if other.count > 0 {
            self.count += other.count;
            self.first = self.first.min(other.first);
            self.last = self.last.max(other.last);
        }
    }
}

/// What a thread finds.
struct Found {
    recorder: Recorder,
    lag: Recorder,
    deliveries: Vec<Deliveries>,
    published: u64,
    refused: u64,
    lost: u64,
}

struct Fanout<'a> {
    load: &'a Load<'a>,
    payload: String,
    published: u64,
    /// By the message's number.
    deliveries: Vec<Deliveries>,
    came: u64,
    recorder: Recorder,
    lag: Recorder,
}

impl Handler for Fanout<'_> {
    fn message(&mut self, _slot: usize, payload: &[u8], _: Sender<'_>, now: Nanos) {
        let Some(stamp) = Stamp::read(payload).filter(|stamp| stamp.number < MOST_MESSAGES) else { return };
        let number = stamp.number as usize;
        if self.deliveries.len() <= number {
            self.deliveries.resize_with(number + 1, Deliveries::default);
        }
        self.deliveries[number].add(stamp.due, now);
        self.came += 1;
        self.recorder.record(stamp.due, now);
    }
}

impl<'a> Fanout<'a> {
    fn run(worker: &Worker<'_>, load: &'a Load<'a>) -> Result<Found, BenchError> {
        let count = worker.connections();
        let mut fleet = worker.fleet()?;
        let mut fanout = Self {
            load,
            payload: String::new(),
            published: 0,
            deliveries: Vec::new(),
            came: 0,
            recorder: Recorder::new(Window::NOT_YET),
            lag: Recorder::new(Window::NOT_YET),
        };
        fleet.open_all(count, &mut fanout, |_| true, |opened| worker.opened(opened))?;
        // One thread publishes; the others' connections receive.
        let publishes = worker.index == 0;
        if publishes {
            load.publishing.open(&mut fleet)?;
            fanout.warm(&mut fleet, worker)?;
        }
        if let Some(timeline) = worker.start(&mut fleet, &mut fanout)? {
            let measured = fanout.measure(&mut fleet, worker, timeline, publishes);
            worker.keep(measured, timeline)?;
        }
        fleet.close_all();
        Ok(Found {
            recorder: fanout.recorder,
            lag: fanout.lag,
            deliveries: fanout.deliveries,
            published: fanout.published,
            refused: fleet.publishers().iter().map(|publisher| publisher.refused()).sum(),
            lost: fleet.lost_count(),
        })
    }

    /// Some messages to all, one after the other, once all are there.
    fn warm(&mut self, fleet: &mut Fleet<'_>, worker: &Worker<'_>) -> Result<(), BenchError> {
        let own = worker.connections() as u64;
        let total = own * u64::from(WARM_EXCHANGES);
        let mut patience = Patience::new("warming up", total as usize, fleet.now());
        while self.came < total && !worker.is_aborted() {
            if worker.opened_by_all() >= self.load.subscribers && self.came >= self.published * own {
                self.publish(fleet.now(), fleet);
            }
            fleet.flush(self)?;
            fleet.turn(fleet.now() + SECOND / 100, self)?;
            fleet.publishers().iter().try_for_each(|publisher| publisher.first_refusal())?;
            patience.check(self.came as usize, fleet.now())?;
        }
        Ok(())
    }

    fn measure(
        &mut self,
        fleet: &mut Fleet<'_>,
        worker: &Worker<'_>,
        timeline: Timeline,
        publishes: bool,
    ) -> Result<(), BenchError> {
        let Timeline { start, window, until } = timeline;
        self.recorder = Recorder::new(window);
        self.lag = Recorder::new(window);
        while fleet.now() < start {
            fleet.turn(start, self)?;
        }
        let pace = self.load.pace;
        let own = worker.connections() as u64;
        let end = if pace.closed || !publishes { start } else { window.to };
        let mut schedule = Schedule::new(start, end, pace.rate, 0, 1);
        let mut held: std::collections::VecDeque<Nanos> = Default::default();
        loop {
            let now = fleet.now();
            // Before the end is looked for: a thread that comes late to it has messages that were due.
            held.extend(std::iter::from_fn(|| schedule.take_due(now)));
            if publishes && now >= window.to && held.is_empty() {
                self.load.total.get_or_init(|| self.published);
            }
            let is_drained = self.load.total.get().is_some_and(|total| self.came >= total * own);
            if now >= until || is_drained || worker.is_aborted() {
                return Ok(());
            }
            if publishes && pace.closed && now < window.to {
                let in_flight = self.came / own + pace.in_flight as u64;
                while self.published < in_flight && self.publish(fleet.now(), fleet) {}
            }
            while held.front().is_some_and(|&due| self.publish(due, fleet)) {
                held.pop_front();
            }
            fleet.flush(self)?;
            // The end of the publishing is nothing that wakes the other threads.
            let edge = if now < window.to { window.to } else { now + SECOND / 100 };
            fleet.turn(schedule.next_due().unwrap_or(edge).min(edge), self)?;
            if fleet.open_count() == 0 {
                return Err(fleet.all_lost());
            }
        }
    }

    /// Publishes the next message; `false` when no publisher has room.
    fn publish(&mut self, due: Nanos, fleet: &mut Fleet<'_>) -> bool {
        let now = fleet.now();
        let Some(publisher) = fleet.publishers().iter_mut().find(|publisher| publisher.has_room()) else {
            return false;
        };
        Stamp { due, number: self.published }.write(self.load.size, &mut self.payload);
        self.published += 1;
        self.lag.record(due, now);
        publisher.publish("", &self.payload);
        true
    }
}
