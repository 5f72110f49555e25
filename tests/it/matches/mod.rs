//! Matches that belong to processes: three backends own 60 of them, players join, move, watch and leave, a process is killed,
//! stopped, continued, a fourth one comes, and gannet is upgraded. Each input reaches the process that owns the match at that
//! moment, in order and once, and what is missing is counted.
//!
//! `MATCHES_SECONDS=600 cargo test --all-features --test it matches:: -- --nocapture` goes on for so long, with faults by chance
//! (`MATCHES_SEED`), and says what came of it. In the background start it with `setsid`: if the shell that started it ends, the kernel
//! continues the processes that the test has stopped (setpgid(2), orphaned process groups).

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
    match world.random.below(18) {
        0 => world.kill(Kill::InFlow),
        1 => world.kill(Kill::AndLeft),
        2 => world.kill(Kill::Behind),
        3 | 4 => world.kill(Kill::AmidCommands),
        5 => world.kill(Kill::BeforeUpgrade),
        6 => world.kill(Kill::Stuffed),
        number @ 7..11 => world.freeze(number % 2 == 0, number < 9),
        number @ 11..13 => world.pause(number == 11),
        13 => world.cut_amid_commands(),
        14 => world.upgrade_while_away(),
        15 => world.rebalance(),
        16 => world.upgrade(),
        _ => world.upgrade_amid_commands(),
    }
}

#[test]
fn each_input_reaches_the_process_that_owns_the_match_at_that_moment() {
    owner::own_if_asked();
    let seed = parameter("MATCHES_SEED", 7);
    let mut world = World::new(TEST, seed as u64);
    world.settle(true);
    let each_once: [fn(&mut World); 8] = [
        |world| world.upgrade_amid_commands(),
        |world| world.kill(Kill::InFlow),
        |world| world.a_fourth_joins(),
        |world| world.freeze(false, true),
        |world| world.pause(true),
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
    let mut backend = world.server.backend();
    let (said, events) = (backend.stats()["messages_in"].clone(), world.ledger.lock().events);
    let scrape = backend.scrape();
    let [moves, handed_on] = ["gannet_link_moves_total", "gannet_link_events_handed_on_total"]
        .map(|family| scrape.sum(family, &[]));
    println!("{:?}", world.figures);
    println!("{said} inputs, {events} events read, {moves} moves, {handed_on} events handed on; seed {seed}");
}
