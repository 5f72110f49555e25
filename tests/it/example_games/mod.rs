//! The games of examples/, played by bots: real programs, real players, a server that is upgraded meanwhile.

mod arena;
mod turns;

use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A backend, which is killed when it is dropped.
struct Program {
    child: Child,
    /// Open for what it says later.
    _out: BufReader<ChildStdout>,
}

impl Program {
    fn start(program: &str, file: &str, args: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.arg(format!("{ROOT}/examples/{file}")).args(args).stdout(Stdio::piped());
        let mut child =
            command.spawn().unwrap_or_else(|error| panic!("{program}, which {file} needs: {error}"));
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        out.read_line(&mut said).unwrap();
        assert_eq!(said, "ready\n");
        Self { child, _out: out }
    }

    /// Asks it to end, and waits for that.
    fn stop(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
