//! The log of the program: text or JSON, to standard error or a file, written by a thread of its own. Whoever logs never
//! waits for it: a log that nobody reads costs lines, which are counted, and nothing else. No client can fill it: one line a
//! second of each kind is told of one client.

mod format;
mod held;
mod queue;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{Log, Metadata, Record};

use crate::config;
use crate::metrics::LOG_LINES_LOST;
use format::{Form, Line, fields_of, form};
use held::{Held, Judgement, QUIET};
use queue::{Lines, Sink};

/// How long the end of the program waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The log that runs.
pub struct Running {
    lines: Lines,
    logger: Arc<Logger>,
}

/// What the log crate is given.
struct Logger {
    form: Box<dyn Form>,
    held: Held,
}

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        // How much is logged is the log crate's own level.
        true
    }

    fn log(&self, record: &Record<'_>) {
        let fields = fields_of(record);
        if let Judgement::Told(held) = self.held.judge(record, &fields, Instant::now()) {
            let (level, target) = (record.level(), record.target());
            self.form.write(&Line { level, target, message: *record.args(), fields: &fields, held });
        }
    }

    fn flush(&self) {}
}

impl Logger {
    /// Says how many lines were held back, of which no next line has said it.
    fn tell_held(&self, to_the_end: bool) {
        for (line, held) in self.held.take_due(Instant::now(), to_the_end) {
            self.form.write(&Line {
                level: line.level,
                target: &line.target,
                message: format_args!("{}", line.message),
                fields: &line.fields,
                held,
            });
        }
    }
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
        let form = form(log.format, lines.clone());
        let logger = Arc::new(Logger { form, held: Held::new(log.remembered_clients) });
        let held = Arc::clone(&logger);
        lines.call_every(QUIET, move || {
            held.tell_held(false);
            !held.held.is_empty()
        });
        // A program that embeds this one may have a logger already: then that one is the right one.
        let _ = log::set_boxed_logger(Box::new(Arc::clone(&logger)));
        log::set_max_level(log.level);
        Ok(Self { lines, logger })
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
        self.logger.tell_held(true);
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
