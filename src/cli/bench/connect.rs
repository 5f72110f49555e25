//! `gannet bench connect`: connections that are opened, upgraded and closed, over and over.

use std::collections::VecDeque;

use clap::Args;
use clap::builder::RangedU64ValueParser;

use super::args::CommonArgs;
use super::client::Sender;
use super::clock::Nanos;
use super::error::BenchError;
use super::fleet::{Fleet, Handler};
use super::recorder::{Recorder, Window};
use super::result::RunResult;
use super::run::{Timeline, Work, Worker, drive};
use super::schedule::Schedule;

/// Connections opened, upgraded and closed; --connections at a time
#[derive(Debug, Args)]
pub struct ConnectArgs {
    #[command(flatten)]
    pub common: CommonArgs,
    /// Handshakes a second; latency counts from when each was due [default: as fast as the server goes]
    #[arg(short, long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    rate: Option<usize>,
}

/// Runs `gannet bench connect`.
pub fn run(args: &ConnectArgs) -> Result<RunResult, BenchError> {
    let ConnectArgs { common, rate } = args;
    let target = common.target()?;
    let driven = drive(common, &target, std::time::Duration::ZERO, |worker| Storm::run(worker, *rate))?;
    let mut recorder = Recorder::new(driven.window);
    driven.parts.iter().for_each(|(part, _)| recorder.merge(part));
    let refused: u64 = driven.parts.iter().map(|(_, refused)| refused).sum();
    let work = Work { count: recorder.completed(), one: "handshake", many: "handshakes" };
    let mut result = driven.result("connect", common, &target, work);
    let pace = rate.map_or("closed loop".to_owned(), |rate| format!("open loop, {rate}/s"));
    result.settings.insert("pace".to_owned(), pace);
    result.figure("refused", "", refused as f64);
    result.latency("handshake", &recorder);
    Ok(result)
}

struct Storm {
    /// When the connection of each slot was due.
    due: Vec<Nanos>,
    free: VecDeque<usize>,
    /// Open, or refused: to be closed.
    done: Vec<usize>,
    recorder: Recorder,
    refused: u64,
}

impl Handler for Storm {
    fn message(&mut self, _: usize, _: &[u8], _: Sender<'_>, _: Nanos) {}

    fn opened(&mut self, slot: usize, now: Nanos) {
        self.recorder.record(self.due[slot], now);
        self.done.push(slot);
    }

    fn refused(&mut self, slot: usize, error: BenchError) -> Result<(), BenchError> {
        // A server that never took a connection is not there.
        if self.recorder.completed() == 0 && self.refused == 0 {
            return Err(error);
        }
        self.refused += 1;
        self.done.push(slot);
        Ok(())
    }
}

impl Storm {
    fn run(worker: &Worker<'_>, rate: Option<usize>) -> Result<(Recorder, u64), BenchError> {
        let slots = worker.connections();
        let mut fleet = worker.fleet()?;
        let mut storm = Self {
            due: vec![0; slots],
            free: (0..slots).collect(),
            done: Vec::new(),
            recorder: Recorder::new(Window::NOT_YET),
            refused: 0,
        };
        if let Some(timeline) = worker.start(&mut fleet, &mut storm)? {
            let measured = storm.measure(&mut fleet, worker, timeline, rate);
            worker.keep(measured, timeline)?;
        }
        Ok((storm.recorder, storm.refused))
    }

    fn measure(
        &mut self,
        fleet: &mut Fleet<'_>,
        worker: &Worker<'_>,
        timeline: Timeline,
        rate: Option<usize>,
    ) -> Result<(), BenchError> {
        let Timeline { start, window, until } = timeline;
        self.recorder = Recorder::new(window);
        while fleet.now() < start {
            fleet.turn(start, self)?;
        }
        let mut schedule =
            rate.map(|rate| Schedule::new(start, window.to, rate, worker.index, worker.threads()));
        loop {
            let now = fleet.now();
            // A thread that comes late to the end has connections that were due.
            let is_all_begun = schedule.as_ref().and_then(Schedule::next_due).is_none();
            let is_drained = now >= window.to && is_all_begun && self.free.len() == self.due.len();
            if now >= until || is_drained || worker.is_aborted() {
                return Ok(());
            }
            while let Some(&slot) = self.free.front() {
                let due = match &mut schedule {
                    Some(schedule) => schedule.take_due(now),
                    None => (now < window.to).then(|| fleet.now()),
                };
                let Some(due) = due else { break };
                self.free.pop_front();
                self.due[slot] = due;
                if let Err(error) = fleet.open(slot) {
                    self.refused(slot, error)?;
                }
            }
            let next = schedule.as_ref().and_then(Schedule::next_due).filter(|_| !self.free.is_empty());
            let edge = if now < window.to { window.to } else { until };
            fleet.turn(next.unwrap_or(edge).min(edge), self)?;
            for slot in self.done.drain(..) {
                fleet.close(slot);
                self.free.push_back(slot);
            }
        }
    }
}
