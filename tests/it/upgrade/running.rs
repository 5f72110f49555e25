//! A server that is replaced by others, one after another: whose turn it is, and how the last one ended.

use crate::support::*;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, getpid, kill_process, pidfd_open, pidfd_send_signal,
    set_child_subreaper, waitid,
};
use serde_json::Value;
use std::fs;
use std::ops::Deref;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Instant;

/// In the environment of a server, from which each that takes over from it has its own: by its value they are known.
const MARK: &str = "IT_UPGRADE_MARK";
/// Where a server dies or stands, for tests.
const STEP: &str = "DIE_AT_STEP";

/// What [`Running::ended`] says of a process that was killed.
pub const KILLED: (Option<i32>, Option<i32>) = (None, Some(Signal::KILL.as_raw()));

/// See the module. All its processes are killed when it is dropped.
pub struct Running {
    first: ServerProcess,
    mark: String,
    folder: PathBuf,
    /// The one that serves, where it is not the first.
    heir: Option<Heir>,
}

/// A process that is not a child of this one while the one before it lives.
struct Heir {
    pid: u32,
    handle: OwnedFd,
}

impl Running {
    /// `gannet serve ARGS` on free ports, with `config` as its configuration file.
    pub fn start(args: &[&str], config: &str) -> Self {
        Self::start_in(&[], args, config)
    }

    /// The same with these variables in its environment.
    pub fn start_in(variables: &[(&str, &str)], args: &[&str], config: &str) -> Self {
        Self::started(|mark| {
            let variables: Vec<_> = variables.iter().copied().chain([(MARK, mark)]).collect();
            ServerProcess::start_in(&variables, args, config)
        })
    }

    /// The program that `command` becomes.
    pub fn start_by(mut command: Command) -> Self {
        Self::started(|mark| {
            command.env(MARK, mark);
            ServerProcess::start_by(command)
        })
    }

    fn started(start: impl FnOnce(&str) -> ServerProcess) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mark = format!("{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(format!("gannet-upgrade-{mark}"));
        fs::create_dir_all(&folder).unwrap();
        // Those whose parent has ended are children of this process: it sees how they end.
        set_child_subreaper(Some(getpid())).unwrap();
        Self { first: start(&mark), mark, folder, heir: None }
    }

    /// A folder of its own.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its configuration file.
    pub fn config(&self) -> &Path {
        self.first.config()
    }

    /// What all its processes have said so far.
    pub fn said(&self) -> String {
        self.first.said()
    }

    /// The process that serves.
    pub fn pid(&self) -> u32 {
        self.heir.as_ref().map_or(self.first.pid(), |heir| heir.pid)
    }

    /// Its open descriptors.
    pub fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }

    /// Its resident memory, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        resident_bytes(self.pid())
    }

    /// Sends a signal to the process that serves.
    pub fn signal(&self, signal: Signal) {
        match &self.heir {
            Some(heir) => pidfd_send_signal(&heir.handle, signal).unwrap(),
            None => self.first.signal(signal),
        }
    }

    /// Every process of it that has not ended.
    pub fn processes(&self) -> Vec<u32> {
        let mark = format!("{MARK}={}", self.mark);
        let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let pid = entry.unwrap().file_name().to_str()?.parse().ok()?;
            // It may end at any time, and then has no environment.
            let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
            environment.split(|byte| *byte == 0).any(|one| one == mark.as_bytes()).then_some(pid)
        });
        pids.collect()
    }

    /// Waits until the process that serves is the only one.
    pub fn await_alone(&self) {
        until("only one process is left", || self.processes() == [self.pid()]);
    }

    /// Asks for an upgrade with these parameters.
    pub fn ask(&self, query: &str) -> (u16, Value) {
        let reply = self.backend().request("POST", &format!("/v1/admin/upgrade{query}"));
        (reply.status, reply.json())
    }

    /// A new process of the same program takes over: what the answer says of it.
    pub fn upgrade(&mut self) -> Value {
        self.upgrade_by("")
    }

    /// The same with these parameters.
    pub fn upgrade_by(&mut self, query: &str) -> Value {
        let (status, report) = self.ask(query);
        assert_eq!(status, 200, "{report}");
        self.succeeded(&report);
        report
    }

    /// An upgrade which stands at `step` of the new process while `act` is done. It has not committed yet.
    pub fn upgrade_around(&mut self, step: &str, act: impl FnOnce(&Ports)) -> Value {
        let binary = self.binary_that(&format!("{step}=hang"));
        let mut asks = self.backend();
        asks.send("POST", &format!("/v1/admin/upgrade?binary={binary}"), "text/plain", b"");
        let stands = self.await_standing();
        act(&self.first);
        kill_process(stands, Signal::CONT).unwrap();
        let reply = asks.receive();
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
        let report = reply.json();
        self.succeeded(&report);
        report
    }

    /// Waits until one of the processes stands.
    pub fn await_standing(&self) -> Pid {
        let mut stands = None;
        until("a process stands", || {
            stands = self.processes().into_iter().find(|pid| state(*pid) == Some('T'));
            stands.is_some()
        });
        Pid::from_raw(stands.unwrap().try_into().unwrap()).unwrap()
    }

    /// An upgrade that must fail, and change nothing: what the answer says.
    pub fn refused_by(&self, query: &str) -> String {
        let (status, body) = self.ask(query);
        assert_eq!((status, body["error"]["code"].as_str()), (409, Some("conflict")), "{body}");
        self.await_alone();
        body["error"]["message"].as_str().unwrap().to_owned()
    }

    /// The process that the report names serves from now on, and the one before it ended as it must.
    pub fn succeeded(&mut self, report: &Value) {
        let pid = report["pid"].as_u64().unwrap_or_else(|| panic!("no pid in {report}"));
        self.succeeded_by(pid.try_into().unwrap());
    }

    /// Waits for the end of the process that serves, in good order: `pid` has taken over from it.
    pub fn succeeded_by(&mut self, pid: u32) {
        assert_eq!(self.inherited_by(pid), (Some(0), None));
    }

    /// The process that serves has ended or will: its exit code and the signal that ended it. `pid` is its heir.
    pub fn inherited_by(&mut self, pid: u32) -> (Option<i32>, Option<i32>) {
        assert_ne!(pid, self.pid(), "the process is the same");
        let handle = pidfd_open(raw(pid), PidfdFlags::empty()).unwrap();
        let ended = self.ended();
        self.heir = Some(Heir { pid, handle });
        self.await_alone();
        ended
    }

    /// The process that serves is killed, and another one goes on.
    pub fn killed(&mut self) {
        let before = self.pid();
        let mut left = Vec::new();
        until("another process is the only one", || {
            left = self.processes();
            left.len() == 1 && left[0] != before
        });
        assert_eq!(self.inherited_by(left[0]), KILLED);
    }

    /// Waits for the end of the process that serves: its exit code and the signal that ended it.
    pub fn ended(&mut self) -> (Option<i32>, Option<i32>) {
        let Some(heir) = &self.heir else { return self.first.ended() };
        await_end(heir.pid, &heir.handle);
        let status = waitid(WaitId::PidFd(heir.handle.as_fd()), WaitIdOptions::EXITED).unwrap().unwrap();
        (status.exit_status(), status.terminating_signal())
    }

    /// Waits for the end of all of it.
    pub fn await_gone(&self) {
        until("no process is left", || self.processes().is_empty());
    }

    /// A program that serves with `DIE_AT_STEP` set to `steps`, as it stands in a query.
    pub fn binary_that(&self, steps: &str) -> String {
        let gannet = env!("CARGO_BIN_EXE_gannet");
        self.script(&format!("{STEP}='{steps}' exec '{gannet}' \"$@\""))
    }

    /// A program of the shell, as it stands in a query.
    pub fn script(&self, body: &str) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let path = self.folder.join(format!("binary-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        // Written by another process: a child of this one that another test forks meanwhile would hold it open for
        // writing, and nothing could execute it.
        let mut write = Command::new("sh");
        write.args(["-c", r#"printf '#!/bin/sh\n%s\n' "$2" >"$1" && chmod 755 "$1""#, "sh"]);
        assert!(write.arg(&path).arg(body).status().unwrap().success());
        encoded(path.to_str().unwrap())
    }

    /// `gannet COMMAND` on the backend port.
    pub fn gannet(&self, command: &[&str]) -> Output {
        let mut gannet = Command::new(env!("CARGO_BIN_EXE_gannet"));
        gannet.args(command).args(["--backend", &format!("http://{}", self.first.backend)]);
        gannet.env_remove("GANNET_KEY").output().unwrap()
    }
}

impl Deref for Running {
    type Target = Ports;

    fn deref(&self) -> &Ports {
        &self.first
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let first = self.first.pid();
        for pid in self.processes().into_iter().filter(|pid| *pid != first) {
            // It may have ended, and its number may be another's: the handle is of the one that has the mark.
            let Ok(handle) = pidfd_open(raw(pid), PidfdFlags::empty()) else { continue };
            if self.processes().contains(&pid) {
                let _ = pidfd_send_signal(&handle, Signal::KILL);
            }
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn raw(pid: u32) -> Pid {
    Pid::from_raw(pid.try_into().unwrap()).unwrap()
}

fn await_end(pid: u32, handle: &OwnedFd) {
    let mut ends = [PollFd::new(handle, PollFlags::IN)];
    let timeout = Timespec { tv_sec: DEADLINE.as_secs().try_into().unwrap(), tv_nsec: 0 };
    assert_eq!(poll(&mut ends, Some(&timeout)).unwrap(), 1, "process {pid} did not end");
}

/// The letter of proc_pid_stat(5); `None` where the process has ended.
fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.chars().next()
}

/// Waits until `enough` says so of the sum of a family over the reactors.
pub fn await_metric(ports: &Ports, family: &str, enough: impl Fn(u64) -> bool) {
    let mut backend = ports.backend();
    let started = Instant::now();
    loop {
        let value = backend.scrape().sum(family, &[]);
        if enough(value) {
            return;
        }
        assert!(started.elapsed() < DEADLINE, "{family} stays {value}");
        thread::yield_now();
    }
}
