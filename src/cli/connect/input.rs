//! Where lines come from and where lines go to: an editor on a terminal, plain streams elsewhere. Input and signals wake
//! whoever waits on a pipe.

use std::borrow::Cow;
use std::io::{self, BufRead, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{Config, Editor, Helper};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::line::Line;

/// Lines that wait for their turn; whoever writes more waits too.
const WAITING_LINES: usize = 64;
const PROMPT: &str = "> ";

/// What was entered.
#[derive(Debug)]
pub enum Input {
    /// A line without its end.
    Line(String),
    /// There is no more.
    End,
    /// It cannot be read.
    Failed(io::Error),
}

/// What has been entered and not been taken.
pub struct Inputs {
    lines: Receiver<Input>,
    wake: PipeReader,
    signalled: Arc<AtomicBool>,
}

/// Where lines are printed.
pub enum Screen {
    /// Standard output.
    Plain,
    /// Above the line that is being edited.
    Editor(Edited),
}

/// The line that is being edited and the place of the cursor in it, in bytes; `None` while no line is.
#[derive(Clone, Default)]
pub struct Edited(Arc<Mutex<Option<(String, usize)>>>);

impl Edited {
    fn lock(&self) -> MutexGuard<'_, Option<(String, usize)>> {
        // A line is whole at any time.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, line: Option<(&str, usize)>) {
        *self.lock() = line.map(|(text, at)| (text.to_owned(), at));
    }
}

/// Sees each change of the line before the editor draws it. The editor's own way to print above the line, its
/// ExternalPrinter, does not see letters that have come together before another one comes, Enter among them.
struct Watcher(Edited);

impl Helper for Watcher {}

impl Completer for Watcher {
    type Candidate = String;
}

impl Hinter for Watcher {
    type Hint = String;
}

impl Validator for Watcher {}

impl Highlighter for Watcher {
    fn highlight<'l>(&self, line: &'l str, pos: usize) -> Cow<'l, str> {
        self.0.set(Some((line, pos)));
        Cow::Borrowed(line)
    }

    fn highlight_char(&self, line: &str, pos: usize, _kind: CmdKind) -> bool {
        self.0.set(Some((line, pos)));
        // Each change is drawn by way of `highlight`.
        true
    }
}

/// Makes the terminal what it was, whatever happens on the way. The editor does so only when it returns.
pub struct Restored(Option<Termios>);

impl Restored {
    /// Remembers how the terminal is, if there is one.
    pub fn new() -> Self {
        Self(tcgetattr(io::stdin()).ok())
    }
}

impl Drop for Restored {
    fn drop(&mut self) {
        if let Some(termios) = &self.0 {
            // A terminal that is gone needs nothing.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, termios);
        }
    }
}

/// Begins to read lines.
///
/// # Errors
/// What the system says.
pub fn start(is_terminal: bool) -> io::Result<(Inputs, Screen)> {
    let (wake, waker) = io::pipe()?;
    let signalled = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // In this order: who is woken finds the flag.
        signal_hook::flag::register(signal, Arc::clone(&signalled))?;
        signal_hook::low_level::pipe::register(signal, waker.try_clone()?)?;
    }
    let (sender, lines) = mpsc::sync_channel(WAITING_LINES);
    let lender = Lender { sender, waker };
    let screen = if is_terminal {
        let edited = Edited::default();
        let history = MemHistory::new();
        let mut editor = Editor::with_history(Config::default(), history).map_err(io::Error::other)?;
        editor.set_helper(Some(Watcher(edited.clone())));
        let seen = edited.clone();
        thread::Builder::new().name("editor".to_owned()).spawn(move || edit(editor, &seen, lender))?;
        Screen::Editor(edited)
    } else {
        thread::Builder::new().name("input".to_owned()).spawn(move || read(lender))?;
        Screen::Plain
    };
    Ok((Inputs { lines, wake, signalled }, screen))
}

/// Hands lines over.
struct Lender {
    sender: SyncSender<Input>,
    waker: PipeWriter,
}

impl Lender {
    /// `false`: nobody takes them any more.
    fn hand(&mut self, input: Input) -> bool {
        self.sender.send(input).is_ok() && self.waker.write_all(&[0]).is_ok()
    }
}

/// Reads lines from a terminal. It does not begin another line behind one that ends the program: the terminal would stay as
/// the editor has it.
fn edit(mut editor: Editor<Watcher, MemHistory>, edited: &Edited, mut lender: Lender) {
    loop {
        edited.set(Some(("", 0)));
        let line = editor.readline(PROMPT);
        edited.set(None);
        let input = match line {
            Ok(line) => {
                // A history that is full forgets; it lives no longer than the program.
                let _ = editor.add_history_entry(line.as_str());
                Input::Line(line)
            }
            Err(ReadlineError::Eof | ReadlineError::Interrupted) => Input::End,
            Err(error) => Input::Failed(io::Error::other(error)),
        };
        let goes_on = matches!(&input, Input::Line(line) if line.parse() != Ok(Line::Quit));
        if !lender.hand(input) || !goes_on {
            return;
        }
    }
}

/// Reads lines from standard input.
fn read(mut lender: Lender) {
    let mut lines = io::stdin().lock().lines();
    loop {
        let input = match lines.next() {
            Some(Ok(line)) => Input::Line(line),
            Some(Err(error)) => Input::Failed(error),
            None => Input::End,
        };
        let goes_on = matches!(input, Input::Line(_));
        if !lender.hand(input) || !goes_on {
            return;
        }
    }
}

impl Inputs {
    /// What has been entered since the last time; call it when the pipe can be read.
    pub fn take(&mut self) -> Vec<Input> {
        let mut bytes = [0; WAITING_LINES];
        // It is readable: this does not wait. What was not read wakes once more.
        let _ = self.wake.read(&mut bytes);
        self.lines.try_iter().collect()
    }

    /// Whether a signal has asked for the end.
    pub fn is_signalled(&self) -> bool {
        self.signalled.load(Ordering::Relaxed)
    }
}

impl AsFd for Inputs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

impl Screen {
    /// Prints a line.
    ///
    /// # Errors
    /// What the system says.
    pub fn print(&mut self, line: &str) -> io::Result<()> {
        match self {
            Self::Plain => {
                let mut out = io::stdout().lock();
                writeln!(out, "{line}")?;
                out.flush()
            }
            Self::Editor(edited) => {
                // Held, so that the line does not change before it is drawn again.
                let edited = edited.lock();
                let mut out = io::stdout().lock();
                // In raw mode a line end does not go back to the first column by itself.
                let line = line.replace('\n', "\r\n");
                write!(out, "\r\x1b[J{line}\r\n{}", edited.as_ref().map(drawn).unwrap_or_default())?;
                out.flush()
            }
        }
    }
}

/// The prompt and the line, with the cursor in its place.
fn drawn((text, at): &(String, usize)) -> String {
    let behind = text.get(*at..).map_or(0, |rest| rest.chars().count());
    let back = if behind > 0 { format!("\x1b[{behind}D") } else { String::new() };
    format!("{PROMPT}{text}{back}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_drawn_with_its_cursor() {
        for (text, at, drawn_as) in
            [("", 0, "> "), ("hé", 3, "> hé"), ("hé", 1, "> hé\x1b[1D"), ("hé", 2, "> hé"), ("hé", 9, "> hé")]
        {
            assert_eq!(drawn(&(text.to_owned(), at)), drawn_as, "{text} {at}");
        }
    }
}
