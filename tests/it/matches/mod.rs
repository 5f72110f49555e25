//! Matches that belong to processes: three backends own 60 of them, players join, move, watch and leave, a process is killed,
//! stopped, continued, a fourth one comes, and gannet is upgraded. Each input reaches the process that owns the match at that
//! moment, in order and once, and what is missing is counted.
//!
//! `MATCHES_SECONDS=600 cargo test --all-features --test it matches:: -- --nocapture` goes on for so long, with faults by chance
//! (`MATCHES_SEED`), and says what came of it.

mod crowd;
mod faults;
mod ledger;
mod owner;
mod world;

use crate::upgrade::load::parameter;
use faults::Kill;
use std::time::{Duration, Instant};
use world::World;

/// As its processes are to know it.
const TEST: &str = "matches::each_input_reaches_the_process_that_owns_the_match_at_that_moment";

/// Players come and go, and everybody moves.
fn churn(world: &mut World) {
    for _ in 0..3 {
        let deeds = world.some_deeds(25);
        world.act(&deeds);
        let leaves = world.anybody();
        world.crowd.go(leaves);
        let in_match = world.random.chance(70).then(|| world.random.below(world::MATCHES));
        world.come(in_match);
    }
}

/// Whatever chance says.
fn fault(world: &mut World) {
    let kills = [Kill::InFlow, Kill::AndLeft, Kill::Behind, Kill::AmidCommands, Kill::BeforeUpgrade];
    match world.random.below(14) {
        number @ 0..5 => world.kill(kills[number]),
        number @ 5..7 => world.freeze(number == 5),
        7 => world.pause(),
        8 => world.cut_amid_commands(),
        9 => world.upgrade_while_away(),
        10 => world.rebalance(),
        11 => world.upgrade(),
        12 => world.upgrade_amid_commands(),
        _ => {}
    }
}

#[test]
fn each_input_reaches_the_process_that_owns_the_match_at_that_moment() {
    owner::own_if_asked();
    let seed = parameter("MATCHES_SEED", 7);
    let mut world = World::new(TEST, seed as u64);
    world.settle(true);
    let each_once: [fn(&mut World); 7] = [
        |world| world.upgrade_amid_commands(),
        |world| world.kill(Kill::InFlow),
        |world| world.a_fourth_joins(),
        |world| world.freeze(false),
        |world| world.upgrade_while_away(),
        |world| world.kill(Kill::BeforeUpgrade),
        |world| world.kill(Kill::AmidCommands),
    ];
    let round = |world: &mut World, fault: &dyn Fn(&mut World)| {
        churn(world);
        world.settle(true);
        fault(world);
        world.settle(true);
        world.figures.rounds += 1;
    };
    each_once.iter().for_each(|fault| round(&mut world, fault));
    let (started, lasts) = (Instant::now(), Duration::from_secs(parameter("MATCHES_SECONDS", 0) as u64));
    while started.elapsed() < lasts {
        round(&mut world, &fault);
    }
    let stats = world.server.backend().stats();
    let (said, events) = (stats["messages_in"].clone(), world.ledger.lock().events);
    println!("{:?}; {said} inputs, {events} events, seed {seed}", world.figures);
    let _ = std::io::Write::flush(&mut std::io::stdout());
}
