//! What would hold up a reactor, and with it every session: pages about the whole process, for which the kernel may take
//! milliseconds, and a reload, which reads files and waits for all reactors. A thread of its own does it, one after the other.
//! Knows nothing of connections.

use super::admin::{log_level, reload};
use super::console;
use super::figures::Figures;
use super::job::Job;
use super::log_level::Temporary;
use super::pages::{cluster, metrics, stats};
use crate::core::{Envelope, Shared};
use crate::http::Response;
use crate::mailbox::Full;
use crate::session::SessionId;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// The thread's name; the kernel shows fifteen bytes.
pub const THREAD: &str = "gannet-observer";

/// Jobs that wait to be done, and likewise answers that wait for a mailbox: beyond it requests are refused.
const QUEUE: usize = 64;
/// After so long a mailbox that was full is tried again: its reactor tells only the other reactors that there is room.
const RETRY: Duration = Duration::from_millis(5);

/// A job for a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ask {
    job: Job,
    connection: SessionId,
    sequence: u64,
}

impl Ask {
    /// The reactor of the connection.
    fn reactor(&self) -> usize {
        usize::from(self.connection.worker())
    }
}

/// A reactor's way to the thread.
#[derive(Debug, Clone)]
pub struct Observer {
    asks: mpsc::SyncSender<Ask>,
    /// Jobs whose answers are not in a mailbox yet.
    open: Arc<AtomicUsize>,
}

/// What the thread is asked for; see [`Asks::answer`].
#[derive(Debug)]
pub struct Asks {
    asks: mpsc::Receiver<Ask>,
    open: Arc<AtomicUsize>,
}

impl Observer {
    /// An observer, and what it asks for.
    pub fn new() -> (Self, Asks) {
        let (sender, receiver) = mpsc::sync_channel(QUEUE);
        let open = Arc::new(AtomicUsize::new(0));
        (Self { asks: sender, open: Arc::clone(&open) }, Asks { asks: receiver, open })
    }

    /// Counts the jobs whose answers are not in a mailbox yet.
    pub fn open_jobs(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.open)
    }

    /// Has the thread look at the streams of figures: there is a new one. Where too much is asked for it looks soon all the same.
    pub fn look_at_figures(&self, connection: SessionId) {
        self.ask(Job::Figures, connection, 0);
    }

    /// Asks for the answer of a connection that has the place `sequence` among its answers: it comes as an
    /// [`Envelope::Page`]. Returns whether it will; if not, too many are asked for, or the thread has ended.
    pub fn ask(&self, job: Job, connection: SessionId, sequence: u64) -> bool {
        self.open.fetch_add(1, Ordering::AcqRel);
        let asked = self.asks.try_send(Ask { job, connection, sequence }).is_ok();
        if !asked {
            self.open.fetch_sub(1, Ordering::AcqRel);
        }
        asked
    }
}

impl Asks {
    /// Answers until no [`Observer`] is left.
    pub fn answer(self, shared: &Shared) {
        // Not when the first operator asks, on a reactor.
        if shared.in_force.look().settings.config.backend.console {
            console::make_ready();
        }
        let (mut level, mut figures) = (Temporary::default(), Figures::default());
        let act = |ask: &Ask, level: &mut Temporary| {
            Some(match &ask.job {
                Job::Metrics => metrics(shared),
                Job::Stats => stats(shared, ask.reactor()),
                Job::Cluster => cluster(shared),
                Job::Reload(by) => reload(shared, by),
                Job::Log { level: to, for_ms } => {
                    level.set(*to, *for_ms, Instant::now());
                    log_level(*to, *for_ms)
                }
                // It is looked at behind every job.
                Job::Figures => return None,
            })
        };
        let post = |reactor, envelope| match shared.handle.post(reactor, envelope) {
            Err(Full(envelope)) if !shared.handle.is_closed(reactor) => Some(envelope),
            _ => None,
        };
        self.answer_with(&mut level, act, post, || Some(figures.turn(shared)));
    }

    /// The same. `post` gives back what a full mailbox did not take: an answer that was asked for is not lost. `beside` is called
    /// again and again, and says when it has to be called next.
    fn answer_with(
        self,
        level: &mut Temporary,
        mut act: impl FnMut(&Ask, &mut Temporary) -> Option<Response>,
        mut post: impl FnMut(usize, Envelope) -> Option<Envelope>,
        mut beside: impl FnMut() -> Option<Duration>,
    ) {
        let mut waiting: Vec<(usize, Envelope)> = Vec::new();
        let mut sleep = beside();
        while let Ok(ask) = self.next(waiting.len(), level.end(), sleep) {
            level.look(Instant::now());
            if let Some(ask) = ask {
                match act(&ask, level).map(Box::new) {
                    Some(response) => {
                        let Ask { connection, sequence, .. } = ask;
                        waiting.push((ask.reactor(), Envelope::Page { connection, sequence, response }));
                    }
                    None => _ = self.open.fetch_sub(1, Ordering::AcqRel),
                }
            }
            let again = |(reactor, envelope)| post(reactor, envelope).map(|envelope| (reactor, envelope));
            let before = waiting.len();
            waiting = waiting.into_iter().filter_map(again).collect();
            self.open.fetch_sub(before - waiting.len(), Ordering::AcqRel);
            sleep = beside();
        }
    }

    /// What is asked for next; `None` when it is time to try full mailboxes again, for the `end` of a level of the log, or when
    /// nothing was asked for `sleep`.
    fn next(
        &self,
        waiting: usize,
        end: Option<Instant>,
        sleep: Option<Duration>,
    ) -> Result<Option<Ask>, mpsc::RecvError> {
        let until_end = end.map(|end| end.saturating_duration_since(Instant::now()));
        let until_end = until_end.into_iter().chain(sleep).min();
        let patience = match waiting {
            0 => until_end,
            QUEUE.. => {
                thread::sleep(RETRY);
                return Ok(None);
            }
            _ => Some(until_end.map_or(RETRY, |until_end| until_end.min(RETRY))),
        };
        let Some(patience) = patience else { return self.asks.recv().map(Some) };
        match self.asks.recv_timeout(patience) {
            Ok(ask) => Ok(Some(ask)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(mpsc::RecvError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};

    fn connection(reactor: u8) -> SessionId {
        SessionId::new(0, reactor, 1, 1)
    }

    fn sequence_of(envelope: &Envelope) -> u64 {
        match envelope {
            Envelope::Page { sequence, .. } => *sequence,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn beyond_the_bound_and_after_the_threads_end_nothing_is_promised() {
        let (observer, asks) = Observer::new();
        for sequence in 0..QUEUE as u64 {
            assert!(observer.ask(Job::Stats, connection(0), sequence));
        }
        assert!(!observer.ask(Job::Stats, connection(0), 64));
        drop(asks);
        assert!(!observer.ask(Job::Stats, connection(0), 65));
    }

    #[test]
    fn each_page_goes_to_the_reactor_of_its_connection_and_all_that_were_asked_for_are_answered() {
        let (observer, asks) = Observer::new();
        for (sequence, reactor) in [2, 0, 1, 2].into_iter().enumerate() {
            let page = if sequence % 2 == 0 { Job::Metrics } else { Job::Stats };
            assert!(observer.ask(page, connection(reactor), sequence as u64));
        }
        // What has been asked for is answered before the end is seen.
        drop(observer);
        let posted = RefCell::new(Vec::new());
        asks.answer_with(
            &mut Temporary::default(),
            |ask, _| Some(Response::text(200, format!("{:?}", ask.job))),
            |reactor, envelope| {
                let Envelope::Page { sequence, response, .. } = envelope else { panic!() };
                posted.borrow_mut().push((
                    reactor,
                    sequence,
                    String::from_utf8(response.body().to_vec()).unwrap(),
                ));
                None
            },
            || None,
        );
        let page = |reactor, sequence, page: &str| (reactor, sequence, page.to_owned());
        let expected =
            [page(2, 0, "Metrics"), page(0, 1, "Stats"), page(1, 2, "Metrics"), page(2, 3, "Stats")];
        assert_eq!(posted.into_inner(), expected);
    }

    #[test]
    fn a_page_that_a_full_mailbox_refuses_is_posted_again_and_holds_no_other_up() {
        let (observer, asks) = Observer::new();
        let observer = Cell::new(Some(observer));
        let ask = |reactor, sequence| {
            let taken = observer.take().unwrap();
            assert!(taken.ask(Job::Stats, connection(reactor), sequence));
            observer.set(Some(taken));
        };
        ask(0, 7);
        let (mut refusals, mut posted) = (0, Vec::new());
        asks.answer_with(
            &mut Temporary::default(),
            |_, _| Some(Response::empty(204)),
            |reactor, envelope| {
                if reactor == 0 && refusals < 5 {
                    refusals += 1;
                    if refusals == 1 {
                        ask(1, 8);
                    }
                    return Some(envelope);
                }
                posted.push((reactor, sequence_of(&envelope)));
                if reactor == 0 {
                    drop(observer.take());
                }
                None
            },
            || None,
        );
        assert_eq!(posted, [(1, 8), (0, 7)]);
    }
}
