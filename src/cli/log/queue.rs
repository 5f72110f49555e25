//! Lines on their way to the log: a bounded queue that whoever logs never waits for, and the thread that writes them. Knows
//! nothing of what a line says.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use std::{mem, thread};

/// Where lines are written.
pub trait Sink: Send {
    /// Writes whole lines.
    ///
    /// # Errors
    /// What the system says; those lines are lost.
    fn write(&mut self, lines: &[u8]) -> io::Result<()>;

    /// Opens the place again, after a file has been moved away.
    ///
    /// # Errors
    /// What the system says; lines go on to the old place.
    fn reopen(&mut self) -> io::Result<()>;

    /// Tells a person of what cannot be written here.
    fn complain(&mut self, what: &str);
}

/// The queue, shared by all who log.
#[derive(Clone)]
pub struct Lines {
    shared: Arc<Shared>,
}

struct Shared {
    /// Lines that wait at most; those that come then are lost and counted.
    most: usize,
    lost: &'static AtomicU64,
    state: Mutex<State>,
    /// Something for the thread to do.
    work: Condvar,
    /// All has been written.
    idle: Condvar,
    regular: OnceLock<Regular>,
}

/// What the thread does beside writing.
struct Regular {
    every: Duration,
    /// Says whether it is to be called again though no line comes.
    call: Box<dyn Fn() -> bool + Send + Sync>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Vec<u8>>,
    /// The thread has taken lines and not written them to the end.
    is_writing: bool,
    is_to_reopen: bool,
}

impl Lines {
    /// A queue of at most so many lines, and its thread. What is lost is added to `lost`.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(most: usize, lost: &'static AtomicU64, sink: Box<dyn Sink>) -> io::Result<Self> {
        let (state, work, idle) = Default::default();
        let shared = Shared { most, lost, state, work, idle, regular: OnceLock::new() };
        let shared = Arc::new(shared);
        let of_thread = Arc::clone(&shared);
        // It lives as long as the process: a logger cannot be taken back from the log crate.
        thread::Builder::new().name("log".into()).spawn(move || of_thread.write_on(sink))?;
        Ok(Self { shared })
    }

    /// Takes a line, which ends in a newline, or loses it. Never waits for the place where it is written.
    pub fn push(&self, line: Vec<u8>) {
        let mut state = self.shared.state();
        if state.waiting.len() >= self.shared.most {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        state.waiting.push_back(line);
        self.shared.work.notify_one();
    }

    /// Has the thread call `call` about every `every` from the next line on, until it returns that nothing is left to call it
    /// for; and then from the next line on again. It may push lines. The first one that is given counts.
    pub fn call_every(&self, every: Duration, call: impl Fn() -> bool + Send + Sync + 'static) {
        self.shared.regular.get_or_init(|| Regular { every, call: Box::new(call) });
    }

    /// Has the place opened again before the next line is written.
    pub fn reopen(&self) {
        self.shared.state().is_to_reopen = true;
        self.shared.work.notify_one();
    }

    /// Waits until all that came before is written, but no longer than `patience`: nobody may read what a pipe holds.
    pub fn flush(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let mut state = self.shared.state();
        while !state.is_idle() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.shared.idle.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl State {
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && !self.is_writing && !self.is_to_reopen
    }
}

impl Shared {
    /// What a thread that panicked has left is whole all the same: no step in between leaves it otherwise.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread: takes all that waits at once, and writes it outside of the lock.
    fn write_on(&self, mut sink: Box<dyn Sink>) {
        let (mut told, mut fails, mut due) = (self.lost.load(Ordering::Relaxed), false, None);
        loop {
            let (lines, reopen) = self.next(due);
            if reopen && let Err(error) = sink.reopen() {
                sink.complain(&format!("the log goes on where it was: it cannot be opened again: {error}"));
            }
            let count = lines.len() as u64;
            let mut bytes: Vec<u8> = lines.into_iter().flatten().collect();
            let lost = self.lost.load(Ordering::Relaxed);
            if lost > told && !fails {
                let said = format!(
                    "{} lines of this log are lost: they came faster than it was written\n",
                    lost - told
                );
                bytes.extend_from_slice(said.as_bytes());
            }
            told = lost;
            match (!bytes.is_empty()).then(|| sink.write(&bytes)).transpose() {
                Ok(None) => {}
                Ok(Some(())) => fails = false,
                Err(error) => {
                    self.lost.fetch_add(count, Ordering::Relaxed);
                    if !mem::replace(&mut fails, true) {
                        sink.complain(&format!("the log cannot be written, its lines are lost: {error}"));
                    }
                }
            }
            if let Some(Regular { every, call }) = self.regular.get() {
                let now = Instant::now();
                if *due.get_or_insert(now + *every) <= now {
                    due = call().then(|| now + *every);
                }
            }
            self.written();
        }
    }

    /// Waits for something to do, or until `due`.
    fn next(&self, due: Option<Instant>) -> (VecDeque<Vec<u8>>, bool) {
        let mut state = self.state();
        while state.waiting.is_empty() && !state.is_to_reopen {
            let left = due.map(|due| due.saturating_duration_since(Instant::now()));
            state = match left {
                None => self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => break,
                Some(left) => self.work.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
        state.is_writing = true;
        (mem::take(&mut state.waiting), mem::take(&mut state.is_to_reopen))
    }

    fn written(&self) {
        let mut state = self.state();
        state.is_writing = false;
        if state.is_idle() {
            self.idle.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// Gives what is written to the test, and waits there until the test lets it go on.
    struct Gated {
        written: Sender<String>,
        gate: Receiver<io::Result<()>>,
    }

    impl Sink for Gated {
        fn write(&mut self, lines: &[u8]) -> io::Result<()> {
            // A test that has ended needs nothing more.
            let _ = self.written.send(String::from_utf8_lossy(lines).into_owned());
            self.gate.recv().unwrap_or(Ok(()))
        }

        fn reopen(&mut self) -> io::Result<()> {
            let _ = self.written.send("reopened".into());
            Ok(())
        }

        fn complain(&mut self, what: &str) {
            let _ = self.written.send(what.into());
        }
    }

    fn start(most: usize) -> (Lines, Receiver<String>, Sender<io::Result<()>>, &'static AtomicU64) {
        let lost: &'static AtomicU64 = Box::leak(Box::default());
        let ((written, said), (open, gate)) = (channel(), channel());
        (Lines::start(most, lost, Box::new(Gated { written, gate })).unwrap(), said, open, lost)
    }

    fn line(number: usize) -> Vec<u8> {
        format!("{number}\n").into_bytes()
    }

    #[test]
    fn what_comes_while_nothing_is_written_is_bounded_and_counted() {
        let (lines, said, open, lost) = start(3);
        lines.push(line(0));
        assert_eq!(said.recv().unwrap(), "0\n");
        // The place takes nothing now: three wait, and four are lost, without waiting.
        (1..8).for_each(|number| lines.push(line(number)));
        assert_eq!(lost.load(Ordering::Relaxed), 4);
        open.send(Ok(())).unwrap();
        assert_eq!(
            said.recv().unwrap(),
            "1\n2\n3\n4 lines of this log are lost: they came faster than it was written\n"
        );
        open.send(Ok(())).unwrap();
        lines.flush(Duration::from_secs(60));
        lines.push(line(8));
        assert_eq!(said.recv().unwrap(), "8\n");
    }

    #[test]
    fn a_place_that_cannot_be_written_is_said_once_and_counted() {
        let (lines, said, open, lost) = start(10);
        let full = || Err(io::Error::from(io::ErrorKind::StorageFull));
        for number in 0..3 {
            open.send(full()).unwrap();
            lines.push(line(number));
            assert_eq!(said.recv().unwrap(), format!("{number}\n"));
            lines.flush(Duration::from_secs(60));
            assert_eq!(said.try_recv().is_ok(), number == 0, "it is said the first time");
        }
        assert_eq!(lost.load(Ordering::Relaxed), 3);
        open.send(Ok(())).unwrap();
        lines.push(line(3));
        assert_eq!(said.recv().unwrap(), "3\n");
        lines.flush(Duration::from_secs(60));
        assert_eq!(lost.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn a_place_is_opened_again_before_the_next_line() {
        let (lines, said, open, _) = start(10);
        lines.push(line(0));
        assert_eq!(said.recv().unwrap(), "0\n");
        lines.reopen();
        lines.push(line(1));
        open.send(Ok(())).unwrap();
        assert_eq!((said.recv().unwrap(), said.recv().unwrap()), ("reopened".to_owned(), "1\n".to_owned()));
    }

    #[test]
    fn what_is_to_be_called_regularly_is_called_after_a_line_until_nothing_is_left_for_it() {
        let (lines, said, open, _) = start(10);
        let (called, calls) = channel();
        let left = AtomicU64::new(2);
        let again = lines.clone();
        lines.call_every(Duration::from_millis(1), move || {
            let left = left.fetch_sub(1, Ordering::Relaxed) - 1;
            again.push(line(100 + left as usize));
            called.send(()).unwrap();
            left > 0
        });
        lines.push(line(0));
        (0..3).for_each(|_| open.send(Ok(())).unwrap());
        calls.recv().unwrap();
        calls.recv().unwrap();
        let written: String =
            (0..3).map(|_| said.recv().unwrap()).filter(|lines| !lines.is_empty()).collect();
        assert_eq!(written, "0\n101\n100\n");
    }

    #[test]
    fn nobody_waits_for_a_place_that_takes_nothing() {
        let (lines, said, _open, _) = start(10);
        lines.push(line(0));
        said.recv().unwrap();
        lines.flush(Duration::from_millis(1));
    }
}
