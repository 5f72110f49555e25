//! What the streams of figures are sent, and the hour of figures: made on the observer's thread, which reads what the reactors have
//! counted. While nobody reads, that is once in ten seconds.

mod reader;

use crate::core::{Envelope, Largest, Shared, StatsPart, StatsStream, ask_for_largest};
use crate::metrics::Sample;
use crate::session::AppId;
use crate::timer::Clock;
use reader::Reader;
use std::sync::Arc;
use std::time::Duration;

/// How often a stream is sent a tick, in milliseconds.
const TICK_MS: u64 = 1_000;
/// The largest queues are looked for at every fifth tick.
const LARGEST_EVERY: usize = 5;
/// So many of the largest queues are shown.
const LARGEST: usize = 20;

/// The streams of figures, as the thread knows them.
#[derive(Debug, Default)]
pub struct Figures {
    readers: Vec<Reader>,
    /// When the next tick is due, in milliseconds of the server's clock.
    next_tick_ms: u64,
    /// Counts the ticks.
    ticks: usize,
    /// The largest queues that were asked for last.
    largest: Option<Asked>,
    /// The rules by which the readers were let in.
    rules_number: u64,
}

/// A question for the largest queues.
#[derive(Debug)]
struct Asked {
    largest: Arc<Largest>,
    number: usize,
}

impl Figures {
    /// Does what is due. How long nothing is.
    pub fn turn(&mut self, shared: &Shared) -> Duration {
        let now_ms = shared.clock.now().ms;
        let had_readers = !self.readers.is_empty();
        self.follow(shared);
        if self.readers.is_empty() {
            self.largest = None;
            let next_ms = keep_history(shared, now_ms, None);
            return Duration::from_millis(next_ms.saturating_sub(now_ms));
        }
        let has_new = self.readers.iter().any(Reader::is_new);
        if !had_readers || now_ms >= self.next_tick_ms + TICK_MS {
            self.next_tick_ms = now_ms;
        }
        let is_tick = now_ms >= self.next_tick_ms;
        if is_tick || has_new {
            self.follow_rules(shared);
            self.send(shared, now_ms, is_tick);
        }
        let history_ms = keep_history(shared, now_ms, None);
        Duration::from_millis(history_ms.min(self.next_tick_ms).saturating_sub(shared.clock.now().ms))
    }

    /// Takes in the streams that have been opened, and leaves out those that are gone.
    fn follow(&mut self, shared: &Shared) {
        let open = shared.stats.all();
        self.readers.retain(|reader| open.iter().any(|stream| reader.is_of(stream)));
        for stream in open {
            if !self.readers.iter().any(|reader| reader.is_of(&stream)) {
                self.readers.push(Reader::new(&stream, shared));
            }
        }
    }

    /// After a reload a reader may see what its key may see now; one whose key is gone, or may not read, is sent no more.
    fn follow_rules(&mut self, shared: &Shared) {
        let number = shared.in_force.number();
        if std::mem::replace(&mut self.rules_number, number) == number {
            return;
        }
        let rules = shared.in_force.look();
        for reader in &mut self.readers {
            reader.follow_keys(&rules.backend_keys);
        }
    }

    fn send(&mut self, shared: &Shared, now_ms: u64, is_tick: bool) {
        let rules = shared.in_force.look();
        let sample = Arc::new(shared.metrics.sample(now_ms, rules.apps.names().count()));
        keep_history(shared, now_ms, Some(&sample));
        if is_tick {
            self.ticks += 1;
            self.next_tick_ms += TICK_MS;
        }
        let moment = Moment { shared, sample: &sample, unix_ms: Clock::wall_unix_ms(), is_tick };
        let largest = self.largest.as_ref().filter(|asked| asked.largest.is_answered());
        for reader in &mut self.readers {
            let largest = largest.map(|asked| (&*asked.largest, asked.number));
            let Some((stream, part)) = reader.next_part(&moment, largest) else { continue };
            post(shared, stream, part);
        }
        let has_new_views = self.readers.iter().any(|reader| reader.largest_seen().is_none());
        let is_due = self.ticks.is_multiple_of(LARGEST_EVERY) || (has_new_views && self.largest.is_none());
        if is_tick && is_due {
            let mut views: Vec<Option<Box<[AppId]>>> = Vec::new();
            for reader in &self.readers {
                if !views.iter().any(|view| view.as_deref() == reader.view()) {
                    views.push(reader.view().map(Into::into));
                }
            }
            let largest = ask_for_largest(shared, views, LARGEST, self.ticks);
            self.largest = Some(Asked { largest, number: self.ticks });
        }
    }
}

/// What all readers are told of.
struct Moment<'a> {
    shared: &'a Shared,
    sample: &'a Arc<Sample>,
    unix_ms: u64,
    /// Whether a tick is due; else only those who have just come are sent something.
    is_tick: bool,
}

fn post(shared: &Shared, stream: Arc<StatsStream>, part: StatsPart) {
    stream.is_sent();
    let reactor = usize::from(stream.connection.worker());
    if shared.handle.post(reactor, Envelope::Stats(Arc::clone(&stream), Box::new(part))).is_err() {
        stream.is_skipped();
    }
}

/// Keeps a row of the history, if one is due. When the next one is.
fn keep_history(shared: &Shared, now_ms: u64, sample: Option<&Sample>) -> u64 {
    let mut history = shared.stats.history();
    if history.next_ms().is_none_or(|next_ms| now_ms >= next_ms) {
        let taken = || {
            let apps = shared.in_force.look().apps.names().count();
            shared.metrics.sample(now_ms, apps)
        };
        history.add(sample.cloned().unwrap_or_else(taken), Clock::wall_unix_ms());
    }
    history.next_ms().unwrap_or(now_ms)
}
