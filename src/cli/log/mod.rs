//! The log of the program: text or JSON, to standard error or a file, written by a thread of its own. Whoever logs never
//! waits for it: a log that nobody reads costs lines, which are counted, and nothing else.

mod format;
mod queue;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config;
use crate::metrics::LOG_LINES_LOST;
use queue::{Lines, Sink};

/// How long the end of the program waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The log that runs.
pub struct Running {
    lines: Lines,
}

impl Running {
    /// Logs to the configured place from here on.
    ///
    /// # Errors
    /// The file cannot be opened, or the thread not be started.
    pub fn start(log: &config::Log) -> io::Result<Self> {
        let sink: Box<dyn Sink> = match &log.file {
            Some(path) => Box::new(LogFile { path: path.clone(), file: open(path)? }),
            None => Box::new(StandardError),
        };
        let lines = Lines::start(log.queue_lines, &LOG_LINES_LOST, sink)?;
        // A program that embeds this one may have a logger already: then that one is the right one.
        let _ = log::set_boxed_logger(format::logger(log.format, lines.clone()));
        log::set_max_level(log.level);
        Ok(Self { lines })
    }

    /// Whether the log could be opened; leaves no new file.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn check(log: &config::Log) -> io::Result<()> {
        let Some(path) = &log.file else { return Ok(()) };
        match OpenOptions::new().create_new(true).append(true).open(path) {
            Ok(_) => fs::remove_file(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => open(path).map(drop),
            Err(error) => Err(error),
        }
    }

    /// Opens the file again, which may have been moved away.
    pub fn reopen(&self) {
        self.lines.reopen();
    }
}

impl Running {
    /// Gives the last lines a moment to be written.
    pub fn finish(&self) {
        self.lines.flush(LAST_LINES);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.finish();
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

struct StandardError;

impl Sink for StandardError {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        io::stderr().write_all(lines)
    }

    fn reopen(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn complain(&mut self, _: &str) {
        // There is no other place to say it; the counter has it.
    }
}

struct LogFile {
    path: PathBuf,
    file: File,
}

impl Sink for LogFile {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.file.write_all(lines)
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.file = open(&self.path)?;
        Ok(())
    }

    fn complain(&mut self, what: &str) {
        // Standard error may be closed too; the counter has it.
        let _ = writeln!(io::stderr(), "{}: {what}", self.path.display());
    }
}
