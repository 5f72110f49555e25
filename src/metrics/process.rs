//! What the kernel says of the process. Best effort: outside Linux, or without `/proc`, there is nothing to say.

use rustix::process::{Resource, getrlimit};
use std::fs;

const FDS: &str = "/proc/self/fd";

/// What is asked for may take the kernel milliseconds: not on a reactor's thread.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) open_fds: Option<u64>,
    /// The most that it may have (RLIMIT_NOFILE, getrlimit(2)); `None` is no limit.
    pub(super) max_fds: Option<u64>,
    pub(super) resident_memory_bytes: Option<u64>,
}

pub(super) fn read() -> Process {
    let max_fds = getrlimit(Resource::Nofile).current;
    Process { open_fds: open_fds(), max_fds, resident_memory_bytes: resident_memory_bytes() }
}

/// The open descriptors of this process.
pub fn open_fds() -> Option<u64> {
    // From Linux 6.2 on the directory's size is their number (Documentation/filesystems/proc.rst); before, it is 0. To read
    // the directory takes time for each of them.
    match fs::metadata(FDS).ok()?.len() {
        0 => listed_fds(),
        count => Some(count),
    }
}

fn listed_fds() -> Option<u64> {
    // One of them is the directory that is being read.
    Some((fs::read_dir(FDS).ok()?.count() as u64).saturating_sub(1))
}

fn resident_memory_bytes() -> Option<u64> {
    resident_of(&fs::read_to_string("/proc/self/status").ok()?)
}

/// `VmRSS` in a `/proc/PID/status` (proc_pid_status(5)), which counts in KiB whatever the page size.
fn resident_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_descriptors_and_memory() {
        let Process { open_fds, max_fds, resident_memory_bytes } = read();
        assert!(open_fds.is_some_and(|fds| fds >= 3));
        assert!(max_fds.is_none_or(|most| open_fds.is_some_and(|fds| fds <= most)));
        assert!(listed_fds().is_some_and(|fds| fds >= 3));
        assert!(resident_memory_bytes.is_some_and(|bytes| bytes > 100_000));
    }

    #[test]
    fn a_strange_status_says_nothing() {
        assert_eq!(resident_of("Name:\tgannet\nVmRSS:\t    2048 kB\n"), Some(2048 * 1024));
        for status in
            ["", "VmRSS:", "VmRSS: kB", "VmRSS: -1 kB", "VmRSS: 12 MB", "VmRSS: 18446744073709551615 kB"]
        {
            assert_eq!(resident_of(status), None, "{status:?}");
        }
    }
}
