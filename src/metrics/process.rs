//! What the kernel says of the process, under the names that Prometheus' own clients give it. Best effort: without `/proc`
//! there is less to say.

use super::render::Text;
use rustix::param::clock_ticks_per_second;
use rustix::process::{Resource, getrlimit};
use std::fs;
use std::sync::OnceLock;

const FDS: &str = "/proc/self/fd";

/// What is asked for may take the kernel milliseconds: not on a reactor's thread.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) open_fds: Option<u64>,
    /// The most that it may have (RLIMIT_NOFILE, getrlimit(2)); `None` is no limit.
    max_fds: Option<u64>,
    pub(super) resident_memory_bytes: Option<u64>,
    stat: Option<Stat>,
    started_unix_seconds: Option<f64>,
}

pub(super) fn read() -> Process {
    let stat = fs::read_to_string("/proc/self/stat").ok().and_then(|stat| Stat::of(&stat));
    Process {
        open_fds: open_fds(),
        max_fds: getrlimit(Resource::Nofile).current,
        resident_memory_bytes: resident_memory_bytes(),
        started_unix_seconds: stat.as_ref().and_then(started_unix_seconds),
        stat,
    }
}

impl Process {
    pub(super) fn render(&self, text: &mut Text<'_>) {
        let stat = self.stat.as_ref();
        if let Some(ticks) = stat.map(|stat| stat.cpu_ticks) {
            let name = "process_cpu_seconds_total";
            text.family(name, "Time that the process has run on a core, in user and system mode.", "counter");
            text.sample(name, &[], seconds(ticks));
        }
        let help = "Threads of the process: the reactors, and a few beside them.";
        gauge(text, "process_threads", help, stat.map(|stat| stat.threads));
        gauge(text, "process_open_fds", "Open file descriptors of the process.", self.open_fds);
        let help = "The limit of open file descriptors: a session takes one.";
        gauge(text, "process_max_fds", help, self.max_fds);
        let help = "Address space of the process in bytes.";
        gauge(text, "process_virtual_memory_bytes", help, stat.map(|stat| stat.virtual_bytes));
        let help = "Memory of the process that is resident, in bytes.";
        gauge(text, "process_resident_memory_bytes", help, self.resident_memory_bytes);
        if let Some(started) = self.started_unix_seconds {
            let help = "When the process started, in seconds since the Unix epoch.";
            text.single("process_start_time_seconds", help, started);
        }
    }
}

fn gauge(text: &mut Text<'_>, name: &str, help: &str, value: Option<u64>) {
    if let Some(value) = value {
        text.single(name, help, value);
    }
}

/// What `/proc/PID/stat` says (proc_pid_stat(5)).
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    /// Time on a core, in clock ticks.
    cpu_ticks: u64,
    threads: u64,
    /// From the machine's start to the process's, in clock ticks.
    start_ticks: u64,
    virtual_bytes: u64,
}

impl Stat {
    fn of(stat: &str) -> Option<Self> {
        // The second field, the name of the program, is in brackets and may hold anything.
        let (_, rest) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_ticks: field(14)?.checked_add(field(15)?)?,
            threads: field(20)?,
            start_ticks: field(22)?,
            virtual_bytes: field(23)?,
        })
    }
}

fn seconds(ticks: u64) -> f64 {
    ticks as f64 / clock_ticks_per_second() as f64
}

/// Worked out once: the start of the machine is shown by the wall clock, and moves when that is set.
fn started_unix_seconds(stat: &Stat) -> Option<f64> {
    static STARTED: OnceLock<Option<f64>> = OnceLock::new();
    let boot = || boot_unix_seconds(&fs::read_to_string("/proc/stat").ok()?);
    *STARTED.get_or_init(|| Some(boot()? as f64 + seconds(stat.start_ticks)))
}

/// `btime` in `/proc/stat` (proc_stat(5)).
fn boot_unix_seconds(stat: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
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
    use std::time::{SystemTime, UNIX_EPOCH};

    #[test]
    fn this_process_has_descriptors_memory_threads_and_a_start() {
        let Process { open_fds, max_fds, resident_memory_bytes, stat, started_unix_seconds } = read();
        assert!(open_fds.is_some_and(|fds| fds >= 3));
        assert!(max_fds.is_none_or(|most| open_fds.is_some_and(|fds| fds <= most)));
        assert!(listed_fds().is_some_and(|fds| fds >= 3));
        assert!(resident_memory_bytes.is_some_and(|bytes| bytes > 100_000));
        let stat = stat.unwrap();
        assert!(stat.threads >= 2 && stat.virtual_bytes > resident_memory_bytes.unwrap(), "{stat:?}");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        assert!(started_unix_seconds.is_some_and(|started| (now - 86_400.0..now + 2.0).contains(&started)));
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

    #[test]
    fn the_fields_of_a_stat_are_found_behind_any_name() {
        let fields = "S 1 2 3 4 5 6 7 8 9 10 70 30 0 0 20 0 6 0 4711 8192 55";
        let stat = Stat { cpu_ticks: 100, threads: 6, start_ticks: 4711, virtual_bytes: 8192 };
        assert_eq!(Stat::of(&format!("77 (a) 1 (b) {fields}\n")), Some(stat));
        for strange in ["", "77 (a", "77 (a) S 1", &format!("77 {fields}")] {
            assert_eq!(Stat::of(strange), None, "{strange:?}");
        }
        assert_eq!(boot_unix_seconds("cpu 1\nbtime 1700000000\n"), Some(1_700_000_000));
        assert_eq!(boot_unix_seconds("cpu 1\n"), None);
    }
}
