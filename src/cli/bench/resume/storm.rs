//! All connections are cut at one moment, and all players come back at one moment: how long it takes until the last one has its
//! session, and what others notice of it.

use std::thread;
use std::time::Duration;

use super::course::Course;
use super::players::State;
use super::watchers::Watchers;
use crate::cli::backend::BackendArgs;
use crate::cli::bench::checked::gauges::Figures;
use crate::cli::bench::clock::{Nanos, SECOND};
use crate::cli::bench::error::BenchError;
use crate::cli::bench::fleet::Patience;
use crate::cli::bench::recorder::{Recorder, Window};
use crate::cli::error::CliError;

/// So long the others are watched alone.
const ALONE: Nanos = 3 * SECOND;
/// Connections that are under way at a time when all come back: more than this lose their SYNs in the listener's queue, and wait for
/// a second each.
const AT_A_TIME: usize = 1_000;
/// Pushes to everybody that are on their way when the connections are cut, and as many again while all are away.
const MISSED: usize = 3;

/// How it went.
#[derive(Debug)]
pub struct Storm {
    /// From the first reset to when the last session was away.
    pub away_after: Nanos,
    /// From the first connection to the last welcome.
    pub back_after: Nanos,
    /// How long pushes took to others, before.
    pub alone: Recorder,
    /// And while all came back.
    pub meanwhile: Recorder,
}

/// See the module.
pub fn run(
    course: &mut Course<'_, '_>,
    backend: &BackendArgs,
    watchers: Watchers,
) -> Result<Storm, CliError> {
    let mut patience = Patience::new("connecting", 1, course.fleet.now());
    while !watchers.are_there() {
        course.turn(SECOND / 20)?;
        patience.check(0, course.fleet.now())?;
    }
    let from = course.fleet.now();
    while course.fleet.now() < from + ALONE {
        course.turn(SECOND / 20)?;
    }
    let alone = Window { from, to: course.fleet.now() };
    (0..MISSED).for_each(|_| course.desk.push_to_all(&mut course.load, &mut course.fleet));
    course.fleet.flush(&mut course.load)?;
    let away_after = cut_all(course, backend)?;
    (0..MISSED).for_each(|_| course.desk.push_to_all(&mut course.load, &mut course.fleet));
    course.wait_while_it_moves(|load| load.doors.iter().all(|door| door.is_idle()))?;
    let from = course.fleet.now();
    bring_all(course)?;
    let meanwhile = Window { from, to: course.fleet.now() };
    let ([alone, others], pushes) = watchers.finish([alone, meanwhile])?;
    course.load.counts.to_others = pushes;
    Ok(Storm { away_after, back_after: meanwhile.to - meanwhile.from, alone, meanwhile: others })
}

fn cut_all(course: &mut Course<'_, '_>, backend: &BackendArgs) -> Result<Nanos, CliError> {
    let from = course.fleet.now();
    for slot in 0..course.load.players.len() {
        course.cut_for_long(slot);
    }
    let mut patience = Patience::new("waiting until all are away", course.load.players.len(), from);
    loop {
        let away = Figures::of(backend)?.away();
        if away >= course.load.players.len() {
            return Ok(course.fleet.now() - from);
        }
        patience.check(away, course.fleet.now())?;
        thread::sleep(Duration::from_millis(5));
    }
}

fn bring_all(course: &mut Course<'_, '_>) -> Result<(), BenchError> {
    let count = course.load.players.len();
    let before = course.load.counts;
    let (mut begun, mut patience) = (0, Patience::new("coming back", count, course.fleet.now()));
    loop {
        let counts = &course.load.counts;
        let welcomed = (counts.resumed + counts.sessions - before.resumed - before.sessions) as usize;
        if course.load.count(State::Open) == count {
            return Ok(());
        }
        while begun < count && begun < welcomed + AT_A_TIME {
            course.come(begun)?;
            begun += 1;
        }
        course.turn(SECOND / 100)?;
        patience.check(course.load.count(State::Open), course.fleet.now())?;
    }
}
