//! `gannet bench idle`: connections that do nothing, and what each costs the server in memory.

use std::thread;
use std::time::Duration;

use clap::Args;

use super::args::CommonArgs;
use super::client::Sender;
use super::clock::{Nanos, SECOND};
use super::error::{BenchError, Lost};
use super::fleet::{Fleet, Handler};
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
    let lost: u64 = driven.parts.iter().map(|(lost, _)| lost).sum();
    let sessions = common.connections as u64 - lost.min(common.connections as u64);
    let work = Work { count: sessions, one: "session", many: "sessions" };
    let mut result = driven.result("idle", common, &target, work);
    result.figures.retain(|figure| figure.name != "sessions a second" && figure.unit != "µs/session");
    result.figure("lost connections", "", lost as f64);
    if let Some(first) = driven.parts.iter().find_map(|(_, first)| first.as_ref()) {
        result.settings.insert("first lost".to_owned(), first.to_string());
    }
    if let (Some(before), Some(with)) = (driven.server_resident_before, driven.server_resident) {
        let grown = with as f64 - before as f64;
        result.figure("memory of a session", "bytes", grown / sessions.max(1) as f64);
        thread::sleep(AFTERMATH);
        result.figure("memory before", "MiB", before as f64 / f64::from(1 << 20));
        match common.processes().resident() {
            Ok(after) => {
                result.figure("memory after all have gone", "MiB", after as f64 / f64::from(1 << 20));
            }
            Err(error) => result.broken = Some(error.to_string()),
        }
    }
    Ok(result)
}

struct Quiet;

impl Handler for Quiet {
    fn message(&mut self, _: usize, _: &[u8], _: Sender<'_>, _: Nanos) {}
}

/// Holds a thread's connections through the window; answers how many were lost, and how the first one was.
fn hold(worker: &Worker<'_>) -> Result<(u64, Option<Lost>), BenchError> {
    let mut fleet = worker.fleet()?;
    fleet.open_all(worker.connections(), &mut Quiet, |_| true, |opened| worker.opened(opened))?;
    if let Some(timeline) = worker.start(&mut fleet, &mut Quiet)? {
        let until = timeline.window.to + LOOK;
        worker.keep(stay(worker, &mut fleet, until), timeline)?;
    }
    let lost = (fleet.lost_count(), fleet.first_lost().cloned());
    fleet.close_all();
    Ok(lost)
}

fn stay(worker: &Worker<'_>, fleet: &mut Fleet<'_>, until: Nanos) -> Result<(), BenchError> {
    while fleet.now() < until && !worker.is_aborted() {
        fleet.turn(until, &mut Quiet)?;
        if fleet.open_count() == 0 {
            return Err(fleet.all_lost());
        }
    }
    Ok(())
}
