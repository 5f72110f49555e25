//! `gannet bench soak`: is anything lost, doubled or out of order? At an echo server every message comes back; at gannet,
//! with `--backend`, everything that it does goes on at once, and each message, receipt, event and gauge is held against
//! what it must be.
//!
//! ```text
//! course (phases, pace) → desk → draft → fleet
//!    ↓                       ↓
//!   load (Handler) → checked: inbox, doors, faults, gauges; listeners → events
//! ```

mod args;
mod cast;
mod course;
mod desk;
mod draft;
mod events;
mod listeners;
mod load;
mod players;
mod verdict;

use std::cell::RefCell;
use std::thread;
use std::time::{Duration, Instant};

pub use args::{Soak, SoakArgs};

use super::args::CommonArgs;
use super::backend::Backend;
use super::checked::Verdict;
use super::checked::faults::Fault;
use super::checked::gauges::Figures;
use super::checked::random::{Random, random_seed};
use super::clock::{Clock, nanos};
use super::error::BenchError;
use super::fleet::{Fleet, FleetPlan};
use super::process::Processes;
use super::run::allow_descriptors;
use crate::cli::backend::BackendArgs;
use crate::cli::error::CliError;
use cast::{Cast, FEWEST};
use course::{Course, Plan};
use load::Load;
use verdict::{Memory, progress_line, verdict};

/// What a server is given to notice that all have gone.
const AFTERMATH: Duration = Duration::from_secs(30);

/// Runs the mixed load. `tell` prints lines while it runs.
///
/// # Errors
/// Where it could not begin. What is wrong with the server is in the verdict.
pub fn run(
    common: &CommonArgs,
    backend: &BackendArgs,
    rate: usize,
    seed: Option<u64>,
    tell: &dyn Fn(&str),
) -> Result<Verdict, CliError> {
    let players = common.connections;
    if players < FEWEST {
        return Err(BenchError::FewPlayers { least: FEWEST }.into());
    }
    let target = common.target()?.with_default_path("/ws");
    let port = Backend::new(backend, common.i_own_this_server)?;
    allow_descriptors(players)?;
    let seed = seed.map_or_else(random_seed, Ok)?;
    tell(&format!("seed {seed}"));
    let (cast, mut random, server) = (Cast::new(players), Random::new(seed), common.processes());
    // Not of the seed: what an earlier run with it left behind is not taken for ours.
    let run = random_seed()? as u32;
    random.next();
    let start = Start::look(backend, &server)?;

    let clock = Clock::start();
    let plan = FleetPlan { target: &target, first_number: 0, step: 1, spin: false, clock };
    let load = Load::new(&cast, run, random);
    let plan_of_course =
        Plan { target: &target, backend: &port, key: backend.key()?, rate, duration: nanos(common.duration) };
    let mut course = Course::new(plan_of_course, Fleet::new(plan)?, load);
    course.open_backend()?;
    course.open_players()?;
    let memory = RefCell::new(Memory { start: start.resident, ..Memory::default() });
    let outcome = go(&mut course, &memory, &server, tell);
    course.close();
    let mut load = course.into_load();
    if let Err(error) = outcome {
        load.faults.add(Fault::Broken, error);
    }
    let mut memory = memory.into_inner();
    // The figures are there even where the server is not.
    if let Err(error) = start.compare(backend, &server, &mut load, &mut memory) {
        load.faults.add(Fault::Broken, error);
    }
    Ok(verdict(common, &target, (rate, seed), &load, &memory))
}

fn go(
    course: &mut Course<'_, '_>,
    memory: &RefCell<Memory>,
    server: &Processes,
    tell: &dyn Fn(&str),
) -> Result<(), BenchError> {
    let resident = || if server.is_empty() { None } else { server.resident().ok() };
    let each_minute = |load: &Load<'_>, since: u64| tell(&progress_line(load, since, resident()));
    course.run(each_minute, || memory.borrow_mut().half = resident())?;
    memory.borrow_mut().loaded = resident();
    course.drain()?;
    course.leave()
}

/// What the server was before anybody came.
struct Start {
    figures: Figures,
    descriptors: Option<usize>,
    resident: Option<u64>,
}

impl Start {
    fn look(backend: &BackendArgs, server: &Processes) -> Result<Self, CliError> {
        let figures = Figures::of(backend)?;
        let is_known = !server.is_empty();
        let descriptors = is_known.then(|| server.descriptors()).transpose()?;
        let resident = is_known.then(|| server.resident()).transpose()?;
        Ok(Self { figures, descriptors, resident })
    }

    /// Waits until the server is as it was, as far as it gets, and tells what is left.
    fn compare(
        &self,
        backend: &BackendArgs,
        server: &Processes,
        load: &mut Load<'_>,
        memory: &mut Memory,
    ) -> Result<(), CliError> {
        let deadline = Instant::now() + AFTERMATH;
        loop {
            let now = Figures::of(backend)?;
            let leftovers = now.leftovers(&self.figures);
            let descriptors = self.descriptors.map(|_| server.descriptors()).transpose()?;
            let is_back = leftovers.is_empty() && descriptors <= self.descriptors;
            if !is_back && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(200));
                continue;
            }
            for (name, then, now) in leftovers {
                load.faults.add(Fault::Leftover, format_args!("{name} was {then} and is {now}"));
            }
            if descriptors > self.descriptors {
                let detail = format!("descriptors were {:?} and are {descriptors:?}", self.descriptors);
                load.faults.add(Fault::Leftover, detail);
            }
            if load.faults.count(Fault::Broken) == 0 {
                let (pushes, too_slow) = (load.counts.pushes, load.counts.too_slow);
                now.check(&self.figures, &load.losses, pushes, too_slow, &mut load.faults);
            }
            memory.end = self.resident.map(|_| server.resident()).transpose()?;
            memory.check(&mut load.faults);
            return Ok(());
        }
    }
}
