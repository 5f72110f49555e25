//! `gannet bench resume`: players' connections are cut in every way while numbered messages are pushed to them. Each player
//! comes back for its session, and each number that it reads is held against what was pushed, across all cuts.
//!
//! ```text
//! course (pushes, cuts), storm (all at once) → desk, crowd → fleet        watchers (a thread)
//!    ↓                                                           ↓
//!   load (Handler) → players (is a reason true?), checked: inbox, doors, faults
//!    ↓
//! server (its bounds, its counters), verdict
//! ```

mod args;
mod course;
mod crowd;
mod desk;
mod graveyard;
mod load;
mod players;
mod server;
mod storm;
mod verdict;
mod watchers;

pub use args::ResumeArgs;

use super::backend::Backend;
use super::checked::Verdict;
use super::checked::faults::Fault;
use super::checked::gauges::Figures;
use super::checked::random::{Random, random_seed};
use super::clock::{Clock, SECOND, nanos};
use super::fleet::{Fleet, FleetPlan};
use super::recorder::{Recorder, Window};
use super::run::allow_descriptors;
use super::target::Target;
use crate::cli::error::CliError;
use course::{Course, Plan};
use crowd::Crowd;
use load::Load;
use storm::Storm;
use verdict::{progress_line, verdict};
use watchers::{Place, WATCHERS, Watchers};

/// Resumes are recorded for so long beside `--duration`.
const MORE: u64 = 600 * SECOND;

/// Runs it. `tell` prints lines while it runs.
///
/// # Errors
/// Where it could not begin. What is wrong with the server is in the verdict.
pub fn run(args: &ResumeArgs, tell: &dyn Fn(&str)) -> Result<Verdict, CliError> {
    let common = args.common();
    let other_way = args.common_by_the_other_way();
    let mut targets = Vec::new();
    for way in [Some(&common), other_way.as_ref()].into_iter().flatten() {
        targets.push(way.target()?.with_default_path("/ws"));
    }
    let port = Backend::new(&args.backend, common.i_own_this_server)?;
    allow_descriptors(args.connections + graveyard::MOST + WATCHERS)?;
    let bounds = server::bounds(&args.backend, &targets[0].path(0))?;
    let start = Figures::of(&args.backend)?;
    let seed = args.seed.map_or_else(random_seed, Ok)?;
    tell(&format!("seed {seed}"));
    // Not of the seed: what an earlier run with it left behind is not taken for ours.
    let run = random_seed()? as u32;
    let (crowd, clock) = (Crowd::new(args.connections, run), Clock::start());
    let returns = Recorder::new(Window { from: 0, to: nanos(args.duration) + MORE });
    let load = Load::new(&crowd, run, bounds, returns, Random::new(seed));
    let fleet = Fleet::new(FleetPlan { target: &targets[0], first_number: 0, step: 1, spin: false, clock })?;
    let plan = Plan {
        targets: &targets,
        backend: &port,
        key: args.backend.key()?,
        rate: args.rate,
        cuts: args.cuts_per_second,
        kinds: args.kinds(),
        duration: nanos(args.duration),
        silence: args.silence.map(nanos),
    };
    let mut course = Course::new(plan, fleet, load);
    course.open_backend()?;
    course.open_players()?;
    let outcome = match args.all_at_once {
        true => storm(args, &mut course, &targets[0], &port, clock).map(Some),
        false => {
            course.run(|load, since| tell(&progress_line(load, since))).map(|()| None).map_err(Into::into)
        }
    };
    let ended = outcome.and_then(|storm| {
        course.drain()?;
        course.leave()?;
        Ok(storm)
    });
    course.close();
    let mut load = course.into_load();
    let storm = ended.unwrap_or_else(|error| {
        load.faults.add(Fault::Broken, error);
        None
    });
    if let Err(error) = server::compare(&args.backend, &start, &mut load) {
        load.faults.add(Fault::Broken, error);
    }
    Ok(verdict(args, &targets[0], seed, &load, storm.as_ref()))
}

fn storm(
    args: &ResumeArgs,
    course: &mut Course<'_, '_>,
    target: &Target,
    backend: &Backend,
    clock: Clock,
) -> Result<Storm, CliError> {
    let key = args.backend.key()?.map(str::to_owned);
    let place = Place { target: target.clone(), backend: backend.clone(), key, clock };
    storm::run(course, &args.backend, Watchers::start(place)?)
}
