//! `gannet serve` as the first process of a PID namespace, which a container is. The namespace ends with its first process, so
//! that one cannot be upgraded. It starts a worker that serves, and stays: it forwards signals to the worker, follows it through
//! upgrades, waits for every process that is left to it, and ends as the worker ends. It has no threads and knows nothing of
//! the server.

use std::convert::Infallible;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};
use std::os::unix::process::CommandExt;
use std::process::{self, Command};
use std::{env, fs};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait, waitpid};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR2};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;

use super::{notify, program};

/// The first process of a PID namespace.
const FIRST: u32 = 1;

/// The command that has a worker: it is the first argument, since no flag goes before it.
const SERVE: &str = "serve";

/// Names the process that sockets of a service manager were passed to (sd_listen_fds(3)).
const PASSED_TO: &str = "LISTEN_PID";

/// The signals that a worker gets.
const FORWARDED: [i32; 4] = [SIGTERM, SIGINT, SIGHUP, SIGUSR2];

/// The longest message that is understood; sd_notify(3) has none that is longer than a page.
const MESSAGE_BYTES: usize = 4096;

/// Whether this process is to start a worker. Where sockets were passed to it, no child can take them, and it serves itself.
pub fn is_wanted() -> bool {
    let serves = env::args_os().nth(1).is_some_and(|command| command == SERVE);
    is_first() && serves && env::var_os(PASSED_TO).is_none()
}

/// Whether the PID namespace ends with this process.
pub fn is_first() -> bool {
    process::id() == FIRST
}

/// Starts a worker with the arguments of this process, stays with it, and exits as it does.
///
/// # Errors
/// There is no worker.
pub fn run() -> io::Result<Infallible> {
    let (reader, writer) = UnixStream::pair()?;
    let handled = FORWARDED.iter().chain(&[SIGCHLD]);
    // Before the worker is there: no signal is lost.
    let signals = SignalDelivery::with_pipe(reader, writer, SignalOnly, handled)?;
    let socket = Listening::new()?;
    let worker = start(&socket.name)?;
    Reaper { signals, socket, line: vec![Worker { pid: worker, ended: None }] }.stay()
}

/// Starts the first worker, which tells `name` what it would tell a service manager.
fn start(name: &str) -> io::Result<Pid> {
    let mut arguments = env::args_os();
    let mut command = Command::new(program::own()?.binary);
    command.arg0(arguments.next().unwrap_or_default()).args(arguments);
    command.env(notify::SOCKET, name).env_remove(notify::WATCHDOG_PID);
    // What a terminal sends to its foreground comes once, through the first process.
    command.process_group(0);
    Ok(Pid::from_child(&command.spawn()?))
}

/// Where workers tell what a service manager would be told: an abstract socket, which needs no file system to be writable.
struct Listening {
    socket: UnixDatagram,
    /// As [`notify::SOCKET`] has it.
    name: String,
    /// The service manager outside, if there is one.
    manager: Option<SocketAddr>,
}

impl Listening {
    fn new() -> io::Result<Self> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
        let name = format!("gannet-worker-{:016x}", u64::from_ne_bytes(random));
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
        socket.set_nonblocking(true)?;
        let manager = env::var_os(notify::SOCKET).map(|name| notify::address(&name)).transpose()?;
        Ok(Self { socket, name: format!("@{name}"), manager })
    }

    /// The next message, if there is one.
    fn next(&self) -> Option<String> {
        let mut bytes = [0; MESSAGE_BYTES];
        let length = self.socket.recv(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes[..length]).into_owned())
    }

    /// Passes a message on. Which process is the worker is nothing to the manager, whose main process is this one.
    fn pass_on(&self, message: &str) {
        let Some(manager) = &self.manager else { return };
        let rest = message.lines().filter(|line| named(line).is_none());
        let rest: String = rest.flat_map(|line| [line, "\n"]).collect();
        if !rest.is_empty()
            && let Err(error) = notify::send(manager, rest.as_bytes(), None)
        {
            complain(&format!("the service manager cannot be told: {error}"));
        }
    }
}

/// The process that a line of a message names as the main one.
fn named(line: &str) -> Option<&str> {
    line.strip_prefix("MAINPID=")
}

/// A process that serves, or has served.
struct Worker {
    pid: Pid,
    ended: Option<WaitStatus>,
}

struct Reaper {
    signals: SignalDelivery<UnixStream, SignalOnly>,
    socket: Listening,
    /// The workers that have not been followed to their end: the last one serves, those before it have handed over to the next
    /// one each. Never empty.
    line: Vec<Worker>,
}

impl Reaper {
    fn stay(mut self) -> io::Result<Infallible> {
        loop {
            let mut waiting = [
                PollFd::from_borrowed_fd(self.signals.get_read().as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(self.socket.socket.as_fd(), PollFlags::IN),
            ];
            match poll(&mut waiting, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let signals: Vec<i32> = self.signals.pending().collect();
            // In this order: what a worker has told before it ended is there when its end is seen.
            self.reap();
            self.listen();
            if let Some(code) = self.follow() {
                process::exit(code);
            }
            signals.into_iter().filter(|signal| *signal != SIGCHLD).for_each(|signal| self.forward(signal));
        }
    }

    /// Waits for all that have ended: who has lost its parent is left to the first process.
    fn reap(&mut self) {
        // The kernel hands out the oldest child that has ended: when it is another than the worker, the worker is still there,
        // whether or not it ends in the next moment.
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let ended = self.line.iter_mut().filter(|worker| worker.pid == pid);
            ended.for_each(|worker| worker.ended = Some(status));
            self.let_go_of_gone();
        }
    }

    /// Of those that were named, who has ended while the worker is still there does not follow it.
    fn let_go_of_gone(&mut self) {
        if self.line[0].ended.is_none() {
            for gone in self.line.extract_if(.., |worker| worker.ended.is_some()) {
                complain(&format!("process {} was to serve next, and has gone", gone.pid));
            }
        }
    }

    /// Hears what workers tell.
    fn listen(&mut self) {
        while let Some(message) = self.socket.next() {
            message.lines().filter_map(named).for_each(|name| self.succeed(name));
            self.socket.pass_on(&message);
        }
    }

    /// The process called `name` is to be the worker. Anything in the network namespace can say so: it has to be a child of one.
    fn succeed(&mut self, name: &str) {
        let pid = pid_of(name).filter(|pid| self.line.iter().all(|worker| worker.pid != *pid));
        // The first process has the children of those that have ended.
        let is_known =
            |parent: &Pid| *parent == Pid::INIT || self.line.iter().any(|worker| worker.pid == *parent);
        match pid.filter(|pid| parent_of(*pid).as_ref().is_some_and(is_known)) {
            Some(pid) => self.line.push(Worker { pid, ended: None }),
            None => complain(&format!("process {name:?} is not taken for the worker: it is no child of one")),
        }
    }

    /// Goes on with the successor of a worker that has ended. Returns the code to exit with where there is none.
    fn follow(&mut self) -> Option<i32> {
        while let Some(status) = self.line[0].ended {
            if self.line.len() == 1 {
                return Some(code(status));
            }
            self.line.remove(0);
            let next = &mut self.line[0];
            // Its parent has ended, so it is a child of this process, or gone.
            match waitpid(Some(next.pid), WaitOptions::NOHANG) {
                Ok(ended) => next.ended = next.ended.or(ended.map(|(_, status)| status)),
                Err(_) if next.ended.is_some() => {}
                Err(_) => {
                    complain(&format!("process {} was to serve next, and has gone", next.pid));
                    return Some(code(status));
                }
            }
        }
        self.let_go_of_gone();
        None
    }

    /// Sends the worker a signal that came here.
    fn forward(&self, signal: i32) {
        let worker = self.line.last().zip(Signal::from_named_raw(signal));
        // One that has ended by now is seen by its end.
        let _ = worker.map(|(worker, signal)| kill_process(worker.pid, signal));
    }
}

/// The process that a number names.
fn pid_of(number: &str) -> Option<Pid> {
    let number: u32 = number.parse().ok()?;
    Pid::from_raw(i32::try_from(number).ok()?)
}

/// The parent of a process.
fn parent_of(pid: Pid) -> Option<Pid> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // `pid (name) state ppid …`, proc_pid_stat(5); a name may hold anything.
    let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?;
    pid_of(parent)
}

/// The exit code that tells how a process has ended, as shells have it.
fn code(status: WaitStatus) -> i32 {
    let signal = status.terminating_signal().map(|signal| 128 + signal);
    status.exit_status().or(signal).unwrap_or(1)
}

/// The log is the worker's.
fn complain(what: &str) {
    // Nothing better can be done about a terminal that is gone.
    let _ = writeln!(io::stderr(), "gannet: {what}");
}
