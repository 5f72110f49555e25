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
        while is_stop_pending() {
            std::thread::yield_now();
        }
    }
}

/// Whether SIGSTOP waits for a thread to act on it. The thread that does stops all others in the same moment; until then,
/// the one that has sent it would go on.
#[cfg(feature = "fuzzing")]
fn is_stop_pending() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:"));
    let pending = pending.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    pending & 1 << (rustix::process::Signal::STOP.as_raw() - 1) != 0
}

/// One of the points that an upgrade passes.
#[cfg(not(feature = "fuzzing"))]
#[inline(always)]
pub fn step(_name: &str) {}
