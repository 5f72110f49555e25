//! A terminal of its own for a program, of which the test is the keyboard and the eyes: tmux, without a client.

use crate::support::until;
use rustix::process::{Pid, Signal, kill_process};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// What stands on the screen behind the program's own, when it has ended.
const ENDED: &str = "ended with ";

/// A terminal in which a program runs; gone with the value.
pub struct Terminal {
    /// The name of the tmux server.
    name: String,
}

impl Terminal {
    /// `gannet ARGS` in a terminal of this size, and a shell that says how it ended.
    pub fn run(args: &[&str], (columns, rows): (u16, u16)) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let terminal = Self { name: format!("gannet-it-{}-{number}", std::process::id()) };
        let script = format!("\"$0\" \"$@\"; echo {ENDED}$?; exec cat");
        let mut command = terminal.tmux();
        command.args(["-f", "/dev/null", "new-session", "-d"]);
        command.args(["-x", &columns.to_string(), "-y", &rows.to_string()]);
        command.args(["--", "sh", "-c", &script, env!("CARGO_BIN_EXE_gannet")]).args(args);
        let started = command.env_remove("GANNET_KEY").env("LC_ALL", "C.UTF-8").output();
        let started = started.expect("tmux is missing: tests/run installs it");
        assert!(started.status.success(), "{started:?}");
        terminal
    }

    fn tmux(&self) -> Command {
        let mut command = Command::new("tmux");
        // Not inside the tmux that the tests may run in.
        command.env_remove("TMUX").args(["-u", "-L", &self.name]).stdin(Stdio::null());
        command
    }

    fn ask(&self, args: &[&str]) -> Output {
        let output = self.tmux().args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        output
    }

    /// Types this text.
    pub fn types(&self, text: &str) {
        self.ask(&["send-keys", "-l", "--", text]);
    }

    /// Presses a key, by the name that tmux has for it.
    pub fn presses(&self, key: &str) {
        self.ask(&["send-keys", key]);
    }

    /// Types a line.
    pub fn enters(&self, line: &str) {
        self.types(line);
        self.presses("Enter");
    }

    /// What is on the screen.
    pub fn screen(&self) -> String {
        String::from_utf8(self.ask(&["capture-pane", "-p"]).stdout).unwrap()
    }

    /// Waits until `text` is on the screen.
    pub fn shows(&self, text: &str) -> String {
        self.is_as(text, |screen| screen.contains(text))
    }

    /// Waits until the screen is as `is_so` says.
    pub fn is_as(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let mut screen = String::new();
        let watch = std::panic::AssertUnwindSafe(|| {
            until(what, || {
                screen = self.screen();
                is_so(&screen)
            });
        });
        if let Err(panic) = std::panic::catch_unwind(watch) {
            eprintln!("the screen:\n{screen}");
            std::panic::resume_unwind(panic);
        }
        screen
    }

    /// Waits for the end of the program: its exit code, and the screen that it left behind, which takes lines again.
    pub fn ended(&self) -> (i32, String) {
        self.shows(ENDED);
        // A terminal that was not restored would not show this, or not there.
        self.enters("is it a terminal?");
        let screen = self.is_as("an echo", |screen| screen.matches("is it a terminal?").count() == 2);
        let code = screen.split(ENDED).nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap();
        (code.parse().unwrap(), screen)
    }

    /// The process of the program that runs in it.
    pub fn program(&self, command: &str) -> Pid {
        let shell = self.state("pane_pid");
        let children = format!("/proc/{shell}/task/{shell}/children");
        let children = std::fs::read_to_string(children).unwrap();
        let pid = children.split_whitespace().next().unwrap().parse().unwrap();
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
        assert!(line.contains(command), "{line}");
        Pid::from_raw(pid).unwrap()
    }

    /// Sends SIGTERM to it.
    pub fn terminates(&self, command: &str) {
        kill_process(self.program(command), Signal::TERM).unwrap();
    }

    /// Whether the screen is the one that programs leave behind, and not one of a program that takes all of it.
    pub fn is_plain(&self) -> bool {
        self.state("alternate_on") == "0" && self.state("cursor_flag") == "1"
    }

    /// A variable of tmux about the terminal.
    pub fn state(&self, variable: &str) -> String {
        let output = self.ask(&["display-message", "-p", &format!("#{{{variable}}}")]);
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It ends what runs in it too.
        let _ = self.tmux().arg("kill-server").output();
    }
}
