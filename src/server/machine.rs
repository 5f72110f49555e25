//! What a server takes from the machine before it runs, beside its ports: descriptors, cores, randomness.

use crate::auth::Tickets;
use log::{error, info};
use std::io;
use std::thread;

/// The cores that this process may run on.
pub fn one_a_core() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// A generation to start from that an earlier run of the server is unlikely to have used, so that its ids are stale.
pub fn first_generation() -> io::Result<u32> {
    getrandom::u32().map_err(io::Error::other)
}

/// Tickets under a key that nobody else has.
pub fn random_tickets() -> io::Result<Tickets> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(io::Error::other)?;
    Ok(Tickets::new(secret))
}

/// A session is a descriptor: takes as many as the machine allows, and says how many those are.
pub fn raise_open_files() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            info!("the limit of open files stays as it is: {error}");
        }
    }
    // What it is now, whatever became of that.
    let most = getrlimit(Resource::Nofile).current;
    most.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX)
}

/// Keeps this thread on the core whose turn it is.
pub fn pin_to_core(index: usize) {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let pinned = sched_getaffinity(None).and_then(|allowed| {
        let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect();
        let mut one = CpuSet::new();
        if let Some(core) = cores.get(index % cores.len().max(1)) {
            one.set(*core);
        }
        sched_setaffinity(None, &one)
    });
    if let Err(error) = pinned {
        error!("reactor {index} runs unpinned: {error}");
    }
}
