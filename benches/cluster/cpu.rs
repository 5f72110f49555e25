//! What the threads of this process take of the CPU, and cores that do not sleep.

use crate::Failure;
use std::collections::HashMap;
use std::fs;
use std::process::{Child, Command};
use std::thread;

/// CPU time in seconds, by thread id.
#[derive(Default)]
pub struct Threads(HashMap<u32, f64>);

impl Threads {
    /// What the threads that run now have used, to a hundredth of a second: fields 14 and 15 of `/proc/self/task/TID/stat`,
    /// proc_pid_stat(5).
    pub fn now() -> Result<Self, Failure> {
        let mut all = HashMap::new();
        for task in fs::read_dir("/proc/self/task")? {
            let task = task?;
            // A thread may end between the two.
            let Ok(stat) = fs::read_to_string(task.path().join("stat")) else { continue };
            let (_, fields) = stat.rsplit_once(')').ok_or("/proc/self/task/TID/stat has a name")?;
            let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
            let id = task.file_name().to_string_lossy().parse()?;
            all.insert(id, ticks.sum::<Result<f64, _>>()? / 100.0);
        }
        Ok(Self(all))
    }

    pub fn since(&self, before: &Self) -> Self {
        let used = |(id, now): (&u32, &f64)| (*id, now - before.0.get(id).unwrap_or(&0.0));
        Self(self.0.iter().map(used).collect())
    }

    pub fn add(&mut self, other: &Self) {
        for (id, seconds) in &other.0 {
            *self.0.entry(*id).or_default() += seconds;
        }
    }

    pub fn together_s(&self) -> f64 {
        self.0.values().sum()
    }

    pub fn busiest_s(&self) -> f64 {
        self.0.values().copied().fold(0.0, f64::max)
    }
}

/// A process of the lowest class, SCHED_IDLE, for each core: none of them sleeps, so that nobody who is woken waits until one
/// is awake, which on a virtual machine takes longer than all the rest. Ended when it is dropped.
pub struct Awake(Vec<Child>);

impl Awake {
    pub fn start() -> Result<Self, Failure> {
        let mut awake = Self(Vec::new());
        for _ in 0..thread::available_parallelism()?.get() {
            let child = Command::new("chrt")
                .args(["--idle", "0", "sh", "-c", "while :; do :; done"])
                .spawn()
                .map_err(|error| format!("chrt, of util-linux: {error}"))?;
            awake.0.push(child);
        }
        Ok(awake)
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // Nothing can be done about one that has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
