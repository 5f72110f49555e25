//! The course of a run, the same for every kind of load: threads that open and warm their connections, one start for all,
//! the part that counts, and the server's figures at its edges. What the load is, is the threads' own.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::args::CommonArgs;
use super::clock::{Clock, Nanos, SECOND, nanos};
use super::error::BenchError;
use super::fleet::{Fleet, FleetPlan, Handler};
use super::process::Processes;
use super::progress::Progress;
use super::recorder::Window;
use super::result::RunResult;
use super::target::Target;

/// Round trips that a connection makes before it counts: a fresh socket acknowledges about its first 16 segments at once
/// (quick-ack mode), which a live one does not.
pub const WARM_EXCHANGES: u32 = 20;
/// From the last thread's readiness to the start.
const LEAD: Nanos = SECOND / 50;
/// How long answers are waited for when the load has ended.
const DRAIN: Nanos = 5 * SECOND;
/// Descriptors beside those of the connections.
const OTHER_DESCRIPTORS: usize = 64;

/// When what happens.
#[derive(Debug, Clone, Copy)]
pub struct Timeline {
    /// The load begins, and is not recorded yet.
    pub start: Nanos,
    /// What is measured.
    pub window: Window,
    /// Answers are waited for no longer.
    pub until: Nanos,
}

/// What all threads of a run share.
#[derive(Debug)]
struct Control {
    clock: Clock,
    timeline: OnceLock<Timeline>,
    aborted: AtomicBool,
    /// Why what is measured ended early.
    broken: Mutex<Option<BenchError>>,
    opened: AtomicUsize,
    /// Threads that are ready to start.
    ready: Mutex<usize>,
    changed: Condvar,
}

impl Control {
    fn ready(&self) -> MutexGuard<'_, usize> {
        // A thread that panicked left a whole number behind.
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is measured ends now; the first reason is told.
    fn break_off(&self, why: BenchError) {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
        self.abort();
    }

    fn abort(&self) {
        // Under the lock, so that whoever is about to wait hears of it.
        let _ready = self.ready();
        self.aborted.store(true, Ordering::Relaxed);
        self.changed.notify_all();
    }
}

/// One load thread's view of the run.
pub struct Worker<'a> {
    control: &'a Control,
    common: &'a CommonArgs,
    target: &'a Target,
    /// From 0.
    pub index: usize,
}

impl<'a> Worker<'a> {
    /// How many threads share the load.
    pub fn threads(&self) -> usize {
        threads(self.common)
    }

    /// What this thread has of the connections.
    pub fn connections(&self) -> usize {
        (self.common.connections + self.threads() - 1 - self.index) / self.threads()
    }

    /// A fleet with this thread's numbers.
    pub fn fleet(&self) -> Result<Fleet<'a>, BenchError> {
        Fleet::new(FleetPlan {
            target: self.target,
            first_number: self.index,
            step: self.threads(),
            spin: self.common.spin,
            clock: self.control.clock,
        })
    }

    /// Counts connections that were opened.
    pub fn opened(&self, count: usize) {
        self.control.opened.fetch_add(count, Ordering::Relaxed);
    }

    /// Connections that all threads have opened.
    pub fn opened_by_all(&self) -> usize {
        self.control.opened.load(Ordering::Relaxed)
    }

    /// Whether another thread has failed.
    pub fn is_aborted(&self) -> bool {
        self.control.aborted.load(Ordering::Relaxed)
    }

    /// What `measured` has come to. A failure while it was measured ends the run, and what was found until then counts;
    /// `None`.
    ///
    /// # Errors
    /// A failure before anything was measured.
    pub fn keep<T>(
        &self,
        measured: Result<T, BenchError>,
        timeline: Timeline,
    ) -> Result<Option<T>, BenchError> {
        match measured {
            Ok(found) => Ok(Some(found)),
            Err(error) if self.control.clock.now() < timeline.window.from => Err(error),
            Err(error) => {
                self.control.break_off(error);
                Ok(None)
            }
        }
    }

    /// Tells that this thread is ready, and serves its connections until all are; the fleet may be empty. Without a timeline
    /// another thread has failed.
    pub fn start<H: Handler>(
        &self,
        fleet: &mut Fleet<'_>,
        handler: &mut H,
    ) -> Result<Option<Timeline>, BenchError> {
        *self.control.ready() += 1;
        self.control.changed.notify_all();
        while !self.is_aborted() {
            if let Some(timeline) = self.control.timeline.get() {
                return Ok(Some(*timeline));
            }
            fleet.turn(fleet.now() + SECOND / 200, handler)?;
        }
        Ok(None)
    }
}

/// What a run left behind beside its threads' findings.
#[derive(Debug)]
pub struct Driven<T> {
    /// By thread.
    pub parts: Vec<T>,
    /// What was measured.
    pub window: Window,
    /// CPU time of the server in the window, if it was asked for.
    pub server_cpu: Option<Duration>,
    /// Its resident memory before the first connection, in bytes.
    pub server_resident_before: Option<u64>,
    /// Its resident memory at the end of the window, with all connections open.
    pub server_resident: Option<u64>,
    /// CPU time of this process in the window.
    pub own_cpu: Duration,
    /// Why what is measured ended early.
    pub broken: Option<BenchError>,
}

/// Every thread has a connection.
fn threads(common: &CommonArgs) -> usize {
    common.threads.min(common.connections)
}

/// Runs `work` on every thread. `warm_up` goes before what is measured.
pub fn drive<T: Send>(
    common: &CommonArgs,
    target: &Target,
    warm_up: Duration,
    work: impl Fn(&Worker<'_>) -> Result<T, BenchError> + Sync,
) -> Result<Driven<T>, BenchError> {
    allow_descriptors(common.connections)?;
    let server = common.processes();
    let server_resident_before = resident(&server)?;
    let control = Control {
        clock: Clock::start(),
        timeline: OnceLock::new(),
        aborted: AtomicBool::new(false),
        broken: Mutex::default(),
        opened: AtomicUsize::new(0),
        ready: Mutex::default(),
        changed: Condvar::new(),
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads(common))
            .map(|index| {
                let (control, work) = (&control, &work);
                scope.spawn(move || {
                    // Told on a panic as well: the others must not wait.
                    let mut ending = Ending { control, failed: true };
                    let outcome = work(&Worker { control, common, target, index });
                    ending.failed = outcome.is_err();
                    outcome
                })
            })
            .collect();
        let watched = watch(&control, common, warm_up, &server);
        if watched.is_err() {
            control.abort();
        }
        let mut parts = Vec::new();
        for thread in threads {
            parts.push(thread.join().map_err(|_| BenchError::Panicked)??);
        }
        let Watched { window, server_cpu, server_resident, own_cpu } = watched?;
        let broken = control.broken.lock().unwrap_or_else(PoisonError::into_inner).take();
        // It broke in the moment in which measuring began: there are no figures.
        if window.to == window.from
            && let Some(broken) = broken
        {
            return Err(broken);
        }
        Ok(Driven { parts, window, server_cpu, server_resident_before, server_resident, own_cpu, broken })
    })
}

struct Ending<'a> {
    control: &'a Control,
    failed: bool,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if self.failed {
            self.control.abort();
        }
    }
}

struct Watched {
    window: Window,
    server_cpu: Option<Duration>,
    server_resident: Option<u64>,
    own_cpu: Duration,
}

/// Starts all threads together, shows how far they are, and looks at the server at both edges of the window.
fn watch(
    control: &Control,
    common: &CommonArgs,
    warm_up: Duration,
    server: &Processes,
) -> Result<Watched, BenchError> {
    let progress = Progress::new(common.connections, common.duration);
    let own = Processes::this();
    // What has ended early has failed, and its error is told by its thread.
    let nothing = Watched {
        window: Window { from: 0, to: 0 },
        server_cpu: None,
        server_resident: None,
        own_cpu: Duration::ZERO,
    };
    while *control.ready() < threads(common) {
        progress.connecting(control.opened.load(Ordering::Relaxed));
        if !wait(control, control.clock.now() + SECOND / 10) {
            return Ok(nothing);
        }
    }
    let start = control.clock.now() + LEAD;
    let from = start + nanos(warm_up);
    let window = Window { from, to: from + nanos(common.duration).max(1) };
    let timeline = Timeline { start, window, until: window.to + DRAIN };
    // It is set nowhere else.
    let _ = control.timeline.set(timeline);
    let look = || -> Result<_, BenchError> { Ok((cpu(server)?, own.cpu()?)) };
    let until = |edge: Nanos| {
        while control.clock.now() < edge {
            progress.running(control.clock.now(), window);
            if !wait(control, edge.min(control.clock.now() + SECOND / 10)) {
                return false;
            }
        }
        true
    };
    if !until(window.from) {
        return Ok(nothing);
    }
    let (server_before, own_before) = look()?;
    let is_whole = until(window.to);
    let window = if is_whole { window } else { Window { to: control.clock.now(), ..window } };
    let own_cpu = own.cpu()?.saturating_sub(own_before);
    let (server_after, server_resident) = match (cpu(server), resident(server)) {
        (Ok(cpu), Ok(bytes)) => (cpu, bytes),
        // A server that is gone has no figures; those of the load stay.
        (Err(error), _) | (_, Err(error)) => {
            control.break_off(error);
            (None, None)
        }
    };
    progress.finish();
    let server_cpu = server_after.zip(server_before).map(|(after, before)| after.saturating_sub(before));
    Ok(Watched { window, server_cpu, server_resident, own_cpu })
}

/// Waits until `until`, or until something changes; `false` when a thread has failed.
fn wait(control: &Control, until: Nanos) -> bool {
    let ready = control.ready();
    let left = Duration::from_nanos(until.saturating_sub(control.clock.now()));
    let is_over = || control.aborted.load(Ordering::Relaxed);
    if is_over() {
        return false;
    }
    drop(control.changed.wait_timeout(ready, left));
    !is_over()
}

fn cpu(server: &Processes) -> Result<Option<Duration>, BenchError> {
    if server.is_empty() { Ok(None) } else { server.cpu().map(Some) }
}

fn resident(server: &Processes) -> Result<Option<u64>, BenchError> {
    if server.is_empty() { Ok(None) } else { server.resident().map(Some) }
}

/// Raises the soft limit of descriptors as far as it may go, if that is needed.
///
/// # Errors
/// [`BenchError::Descriptors`], and what the system says.
pub fn allow_descriptors(connections: usize) -> Result<(), BenchError> {
    let needed = (connections + OTHER_DESCRIPTORS) as u64;
    let limits = getrlimit(Resource::Nofile);
    let limit = limits.maximum.unwrap_or(u64::MAX);
    if limits.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    if limit < needed {
        return Err(BenchError::Descriptors { wanted: connections, limit });
    }
    let raised = Rlimit { current: Some(needed), maximum: limits.maximum };
    setrlimit(Resource::Nofile, raised).map_err(|error| BenchError::System(error.into()))
}

/// What the server did in the window.
#[derive(Debug, Clone, Copy)]
pub struct Work<'a> {
    /// How often.
    pub count: u64,
    /// Its name.
    pub one: &'a str,
    /// Its name in the plural.
    pub many: &'a str,
}

impl<T> Driven<T> {
    /// A result with what every kind of load tells.
    pub fn result(&self, shape: &str, common: &CommonArgs, target: &Target, work: Work<'_>) -> RunResult {
        let mut result = RunResult::new(shape, common.output.label.as_deref(), &target.host, &target.url);
        let settings = [
            ("connections", common.connections.to_string()),
            ("duration", format!("{:?}", common.duration)),
            ("threads", threads(common).to_string()),
        ];
        result.settings.extend(settings.map(|(name, value)| (name.to_owned(), value)));
        let seconds = (self.window.to - self.window.from) as f64 / SECOND as f64;
        result.broken = self.broken.as_ref().map(|why| format!("after {seconds:.1} s: {why}"));
        let Work { count, one, many } = work;
        result.figure(many, "", count as f64);
        result.figure(&format!("{many} a second"), "/s", count as f64 / seconds);
        if let Some(cpu) = self.server_cpu {
            if count > 0 {
                result.figure("server CPU", &format!("µs/{one}"), cpu.as_secs_f64() * 1e6 / count as f64);
            }
            result.figure("server CPU load", "% of a core", cpu.as_secs_f64() / seconds * 100.0);
        }
        if let Some(bytes) = self.server_resident {
            result.figure("server memory", "MiB", bytes as f64 / f64::from(1 << 20));
        }
        result.figure("load's own CPU", "% of a core", self.own_cpu.as_secs_f64() / seconds * 100.0);
        result
    }
}
