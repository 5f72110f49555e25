//! The terminal, taken as a whole and given back on every way out.

use std::io;

use ratatui::DefaultTerminal;

/// The terminal while it is ours. A panic gives it back before it is printed.
pub struct Screen(DefaultTerminal);

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// There is none, or it does not obey.
    pub fn enter() -> io::Result<Self> {
        ratatui::try_init().map(Self).inspect_err(|_| {
            // It may have been taken in part.
            let _ = ratatui::try_restore();
        })
    }

    /// The terminal, to draw on.
    pub fn terminal(&mut self) -> &mut DefaultTerminal {
        &mut self.0
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = ratatui::try_restore();
    }
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::process::{Command, Stdio};
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;

    /// Names, for this binary run once more, that it is to panic while it has the terminal.
    const PANICS: &str = "TOP_PANICS_ON_PURPOSE";
    const DEADLINE: Duration = Duration::from_secs(60);

    #[test]
    fn a_panic_gives_the_terminal_back_and_is_read_there() {
        if env::var_os(PANICS).is_some() {
            let mut screen = Screen::enter().unwrap();
            screen.terminal().draw(|frame| frame.render_widget("all of it", frame.area())).unwrap();
            panic!("on purpose");
        }
        let name = format!("gannet-screen-{}", std::process::id());
        let tmux = |args: &[&str]| {
            let mut command = Command::new("tmux");
            command.env_remove("TMUX").args(["-L", &name, "-f", "/dev/null"]).args(args).stdin(Stdio::null());
            let output = command.output().expect("tmux is missing: tests/run installs it");
            assert!(output.status.success(), "{args:?}: {output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        let this = env::current_exe().unwrap();
        let test = "cli::top::screen::tests::a_panic_gives_the_terminal_back_and_is_read_there";
        let script = format!("{PANICS}=1 \"$0\" {test} --exact --nocapture; echo it has ended; exec cat");
        tmux(&[
            "new-session",
            "-d",
            "-x",
            "100",
            "-y",
            "40",
            "--",
            "sh",
            "-c",
            &script,
            this.to_str().unwrap(),
        ]);
        let began = Instant::now();
        let screen = loop {
            let screen = tmux(&["capture-pane", "-p"]);
            if screen.contains("it has ended") || began.elapsed() > DEADLINE {
                break screen;
            }
            thread::yield_now();
        };
        let state = tmux(&["display-message", "-p", "#{alternate_on} #{cursor_flag}"]);
        tmux(&["kill-server"]);
        assert!(screen.contains("on purpose") && screen.contains("it has ended"), "{screen}");
        assert_eq!(state.trim(), "0 1", "{screen}");
    }
}
