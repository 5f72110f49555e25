//! `gannet bench idle`: connections that do nothing, and what each costs the server in memory.

use std::thread;
use std::time::Duration;

use clap::Args;

use super::args::CommonArgs;
use super::client::Sender;
use super::clock::{Nanos, SECOND};
use super::error::BenchError;
use super::fleet::Handler;
use super::result::RunResult;
use super::run::{Work, Worker, drive};

/// How long the connections stay after the window, at whose end the server is looked at.
const LOOK: Nanos = SECOND;
/// What a server is given to notice that all have gone.
const AFTERMATH: Duration = Duration::from_secs(1);

/// Connections that do nothing: bytes of the server's memory for each, by --pid
#[derive(Debug, Args)]
pub struct IdleArgs {
    #[command(flatten)]
    pub common: CommonArgs,
}

/// Runs `gannet bench idle`.
pub fn run(args: &IdleArgs) -> Result<RunResult, BenchError> {
    let common = &args.common;
    let target = common.target()?;
    let driven = drive(common, &target, Duration::ZERO, hold)?;
    let lost: u64 = driven.parts.iter().sum();
    let sessions = common.connections as u64 - lost.min(common.connections as u64);
    let work = Work { count: sessions, one: "session", many: "sessions" };
    let mut result = driven.result("idle", common, &target, work);
    result.figures.retain(|figure| figure.name != "sessions a second" && figure.unit != "µs/session");
    result.figure("lost connections", "", lost as f64);
    if let (Some(before), Some(with)) = (driven.server_resident_before, driven.server_resident) {
        let grown = with as f64 - before as f64;
        result.figure("memory of a session", "bytes", grown / sessions.max(1) as f64);
        thread::sleep(AFTERMATH);
        let after = common.processes().resident()?;
        result.figure("memory before", "MiB", before as f64 / f64::from(1 << 20));
        result.figure("memory after all have gone", "MiB", after as f64 / f64::from(1 << 20));
    }
    Ok(result)
}

struct Quiet;

impl Handler for Quiet {
    fn message(&mut self, _: usize, _: &[u8], _: Sender<'_>, _: Nanos) {}
}

/// Holds a thread's connections through the window; answers how many were lost.
fn hold(worker: &Worker<'_>) -> Result<u64, BenchError> {
    let mut fleet = worker.fleet()?;
    fleet.open_all(worker.connections(), &mut Quiet, |_| true, |opened| worker.opened(opened))?;
    if let Some(timeline) = worker.start(&mut fleet, &mut Quiet)? {
        let until = timeline.window.to + LOOK;
        while fleet.now() < until && !worker.is_aborted() {
            fleet.turn(until, &mut Quiet)?;
        }
    }
    let lost = fleet.lost_count();
    fleet.close_all();
    Ok(lost)
}
