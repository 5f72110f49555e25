//! What Linux tells of a process and of the machine: CPU time and resident memory from `/proc`, the processor's name.

use std::fs;
use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::BenchError;

/// The processes of one server: their sums.
#[derive(Debug, Clone, Default)]
pub struct Processes {
    pids: Vec<u32>,
}

impl Processes {
    /// The processes with these ids; they are looked at when their figures are asked for.
    pub fn new(pids: Vec<u32>) -> Self {
        Self { pids }
    }

    /// This process.
    pub fn this() -> Self {
        Self { pids: vec![std::process::id()] }
    }

    /// Whether there is nothing to look at.
    pub fn is_empty(&self) -> bool {
        self.pids.is_empty()
    }

    /// CPU time so far, of all their threads, in user space and in the kernel; in steps of a clock tick, 10 ms.
    ///
    /// # Errors
    /// [`BenchError::Process`].
    pub fn cpu(&self) -> Result<Duration, BenchError> {
        let ticks = self.sum("stat", cpu_ticks)?;
        Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
    }

    /// Resident memory, in bytes.
    ///
    /// # Errors
    /// [`BenchError::Process`].
    pub fn resident(&self) -> Result<u64, BenchError> {
        // The counters behind `status` lag behind by some pages a thread; the walk of `smaps_rollup` is exact, but not
        // every kernel and not every user may have it.
        let kib = |field: &'static str| move |text: &str| kib(text, field);
        self.sum("smaps_rollup", kib("Rss:"))
            .or_else(|_| self.sum("status", kib("VmRSS:")))
            .map(|kib| kib * 1024)
    }

    /// Open descriptors.
    ///
    /// # Errors
    /// [`BenchError::Process`].
    pub fn descriptors(&self) -> Result<usize, BenchError> {
        let count = |&pid: &u32| match fs::read_dir(format!("/proc/{pid}/fd")) {
            Ok(entries) => Ok(entries.count()),
            Err(error) => Err(BenchError::Process { pid, error }),
        };
        self.pids.iter().map(count).sum()
    }

    fn sum(&self, file: &str, figure: impl Fn(&str) -> Option<u64>) -> Result<u64, BenchError> {
        let figure_of = |&pid: &u32| {
            let unreadable = || io::Error::new(io::ErrorKind::InvalidData, format!("no figure in {file}"));
            fs::read_to_string(format!("/proc/{pid}/{file}"))
                .and_then(|text| figure(&text).ok_or_else(unreadable))
                .map_err(|error| BenchError::Process { pid, error })
        };
        self.pids.iter().map(figure_of).sum()
    }
}

/// `utime` and `stime`, fields 14 and 15 of `/proc/PID/stat` (proc(5)). The second field is the program's name, which may
/// have spaces and brackets.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut field = || fields.next()?.parse::<u64>().ok();
    Some(field()? + field()?)
}

/// The figure of a line `field  123 kB`.
fn kib(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

/// What a run ran on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// Its cores, as far as this process may use them.
    pub cores: usize,
    /// Name and release of the kernel.
    pub kernel: String,
}

impl Machine {
    /// This machine.
    pub fn this() -> Self {
        let cpu_info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu_info.lines().find(|line| line.starts_with("model name"));
        let model = model.and_then(|line| line.split_once(':')).map(|(_, name)| name.trim().to_owned());
        let uname = rustix::system::uname();
        let kernel = format!("{} {}", uname.sysname().to_string_lossy(), uname.release().to_string_lossy());
        let cores = cpu_info.lines().filter(|line| line.starts_with("processor")).count();
        Self { cpu: model.unwrap_or_else(|| "unknown".to_owned()), cores, kernel }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_any_name() {
        let stat = "12 (a ) b (c) S 1 2 3 4 5 6 7 8 9 10 40 2 0 0 20 0 1 0 55";
        assert_eq!(cpu_ticks(stat), Some(42));
        assert_eq!(cpu_ticks("12 (a) S 1 2 3"), None);
        assert_eq!(cpu_ticks(""), None);
    }

    #[test]
    fn memory_is_found_in_either_file() {
        assert_eq!(kib("Name:\tx\nVmRSS:\t  123 kB\n", "VmRSS:"), Some(123));
        assert_eq!(kib("5-7 [rollup]\nRss:                1234 kB\n", "Rss:"), Some(1234));
        assert_eq!(kib("Name:\tx\n", "VmRSS:"), None);
    }

    #[test]
    fn this_process_has_figures() {
        let this = Processes::this();
        assert!(this.resident().unwrap() > 0);
        this.cpu().unwrap();
        assert!(this.descriptors().unwrap() > 2);
        let twice = Processes::new(vec![std::process::id(); 2]);
        assert!(twice.resident().unwrap() >= this.resident().unwrap());
        let error = Processes::new(vec![0]).cpu().unwrap_err();
        assert!(error.to_string().contains("is --pid right?"));
        assert!(Machine::this().cores > 0);
    }
}
