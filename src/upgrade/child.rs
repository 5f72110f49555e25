//! The new process, as the old one sees it.

use super::fault::{Cause, Fault};
use super::line::Line;
use super::process::{DYING, has_ended_by};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child as Process, Command, ExitStatus, Stdio};
use std::time::Instant;

/// A program to start, with the far end of a [`Line`] as its standard input. Standard output and error are this process's.
#[derive(Debug)]
pub struct Start<'s> {
    /// Its file.
    pub program: &'s Path,
    /// Its arguments, without its name.
    pub arguments: &'s [OsString],
    /// What it shall not find in its environment.
    pub without: &'s [&'s str],
}

/// A process that was started to take over.
///
/// ```ignore
/// let (mut child, mut line) = Child::start(&Start { program, arguments, without: &["LISTEN_FDS"] })?;
/// let ready = line.receive_ready().map_err(|fault| child.explain(fault))?;
/// ```
#[derive(Debug)]
pub struct Child {
    process: Process,
    /// Readable when the process has ended. `None` where the kernel has none (before Linux 5.3): then the end of the stream
    /// is all there is to see.
    pidfd: Option<OwnedFd>,
}

impl Child {
    /// Starts it. The line sees its end at once.
    pub fn start(start: &Start<'_>) -> io::Result<(Self, Line)> {
        let (mut line, far_end) = Line::pair()?;
        let mut command = Command::new(start.program);
        command.args(start.arguments).stdin(Stdio::from(far_end));
        for name in start.without {
            command.env_remove(name);
        }
        let process = command.spawn()?;
        // It holds the far end: with that open in this process, the stream would never end.
        drop(command);
        let pidfd = pidfd_open(Pid::from_child(&process), PidfdFlags::empty()).ok();
        if let Some(pidfd) = &pidfd {
            match pidfd.try_clone() {
                Ok(pidfd) => line.set_process(pidfd),
                Err(error) => {
                    Self { process, pidfd: None }.kill_and_wait()?;
                    return Err(error);
                }
            }
        }
        Ok((Self { process, pidfd }, line))
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// How it has ended, if it has.
    #[cfg(test)]
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        // `try_wait` fails for a process that is not ours, which this one is.
        self.process.try_wait().ok().flatten()
    }

    /// Kills it if it lives. When this returns, it neither serves nor holds a descriptor.
    pub fn kill_and_wait(&mut self) -> io::Result<ExitStatus> {
        self.process.kill()?;
        self.process.wait()
    }

    /// Waits until it ends by itself; kills it at the deadline.
    pub fn wait_until(&mut self, deadline: Instant) -> io::Result<ExitStatus> {
        match &self.pidfd {
            Some(pidfd) if has_ended_by(pidfd, deadline) => self.process.wait(),
            _ => self.kill_and_wait(),
        }
    }

    /// The fault with how the process ended, if that is what it is about. A process that has closed its stream and lives on
    /// is killed.
    pub fn explain(&mut self, fault: Fault, line: &Line) -> Fault {
        if !matches!(fault.cause, Cause::Lost) {
            return fault;
        }
        match self.wait_until(Instant::now() + DYING) {
            Ok(status) => Fault { cause: Cause::Ended { status, was_heard: line.was_heard() }, ..fault },
            Err(_) => fault,
        }
    }
}
