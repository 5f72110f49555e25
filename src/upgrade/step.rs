//! Where tests end a process in the middle of an upgrade.

/// One of the points that an upgrade passes. With the feature `fuzzing`, a process that has the name in the list (with
/// commas) in its environment's `DIE_AT_STEP` kills itself there; with `name=hang`, it stops there until it gets SIGCONT.
#[cfg(feature = "fuzzing")]
pub fn step(name: &str) {
    use rustix::process::{Signal, getpid, kill_process};

    let Ok(list) = std::env::var("DIE_AT_STEP") else { return };
    for entry in list.split(',') {
        let signal = match entry.strip_prefix(name) {
            Some("") => Signal::KILL,
            Some("=hang") => Signal::STOP,
            _ => continue,
        };
        // A process may always signal itself.
        let _ = kill_process(getpid(), signal);
    }
}

/// One of the points that an upgrade passes.
#[cfg(not(feature = "fuzzing"))]
#[inline(always)]
pub fn step(_name: &str) {}
