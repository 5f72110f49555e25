//! The pages about the whole process, `/metrics` and `/v1/stats`: rendered on a thread of their own. What the kernel is asked
//! for them may take it milliseconds, and on a reactor every session would wait. Knows nothing of connections.

use super::pages::{ProcessPage, metrics, stats};
use crate::core::{Envelope, Shared};
use crate::http::Response;
use crate::mailbox::Full;
use crate::session::SessionId;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// The thread's name; the kernel shows fifteen bytes.
pub const THREAD: &str = "gannet-observer";

/// Pages that wait to be rendered, and likewise pages that wait for a mailbox: beyond it requests are refused.
const QUEUE: usize = 64;
/// After so long a mailbox that was full is tried again: its reactor tells only the other reactors that there is room.
const RETRY: Duration = Duration::from_millis(5);

/// A request for a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ask {
    page: ProcessPage,
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
pub struct Observer(mpsc::SyncSender<Ask>);

/// What the thread is asked for; see [`Asks::answer`].
#[derive(Debug)]
pub struct Asks(mpsc::Receiver<Ask>);

impl Observer {
    /// An observer, and what it asks for.
    pub fn new() -> (Self, Asks) {
        let (sender, receiver) = mpsc::sync_channel(QUEUE);
        (Self(sender), Asks(receiver))
    }

    /// Asks for the answer of a connection that has the place `sequence` among its answers: it comes as an
    /// [`Envelope::Page`]. Returns whether it will; if not, too many are asked for, or the thread has ended.
    pub fn ask(&self, page: ProcessPage, connection: SessionId, sequence: u64) -> bool {
        self.0.try_send(Ask { page, connection, sequence }).is_ok()
    }
}

impl Asks {
    /// Answers until no [`Observer`] is left.
    pub fn answer(self, shared: &Shared) {
        let render = |ask: &Ask| match ask.page {
            ProcessPage::Metrics => metrics(shared),
            ProcessPage::Stats => stats(shared, ask.reactor()),
        };
        self.answer_with(render, |reactor, envelope| match shared.handle.post(reactor, envelope) {
            Err(Full(envelope)) if !shared.handle.is_closed(reactor) => Some(envelope),
            _ => None,
        });
    }

    /// The same. `post` gives back what a full mailbox did not take: a page that was asked for is not lost.
    fn answer_with(
        self,
        render: impl Fn(&Ask) -> Response,
        mut post: impl FnMut(usize, Envelope) -> Option<Envelope>,
    ) {
        let mut waiting: Vec<(usize, Envelope)> = Vec::new();
        while let Ok(ask) = self.next(waiting.len()) {
            waiting.extend(ask.map(|ask| {
                let Ask { connection, sequence, .. } = ask;
                let response = Box::new(render(&ask));
                (ask.reactor(), Envelope::Page { connection, sequence, response })
            }));
            let again = |(reactor, envelope)| post(reactor, envelope).map(|envelope| (reactor, envelope));
            waiting = waiting.into_iter().filter_map(again).collect();
        }
    }

    /// What is asked for next; `None` when it is time to try full mailboxes again.
    fn next(&self, waiting: usize) -> Result<Option<Ask>, mpsc::RecvError> {
        match waiting {
            0 => self.0.recv().map(Some),
            QUEUE.. => {
                thread::sleep(RETRY);
                Ok(None)
            }
            _ => match self.0.recv_timeout(RETRY) {
                Ok(ask) => Ok(Some(ask)),
                Err(RecvTimeoutError::Timeout) => Ok(None),
                Err(RecvTimeoutError::Disconnected) => Err(mpsc::RecvError),
            },
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
            assert!(observer.ask(ProcessPage::Stats, connection(0), sequence));
        }
        assert!(!observer.ask(ProcessPage::Stats, connection(0), 64));
        drop(asks);
        assert!(!observer.ask(ProcessPage::Stats, connection(0), 65));
    }

    #[test]
    fn each_page_goes_to_the_reactor_of_its_connection_and_all_that_were_asked_for_are_answered() {
        let (observer, asks) = Observer::new();
        for (sequence, reactor) in [2, 0, 1, 2].into_iter().enumerate() {
            let page = if sequence % 2 == 0 { ProcessPage::Metrics } else { ProcessPage::Stats };
            assert!(observer.ask(page, connection(reactor), sequence as u64));
        }
        // What has been asked for is answered before the end is seen.
        drop(observer);
        let posted = RefCell::new(Vec::new());
        asks.answer_with(
            |ask| Response::text(200, format!("{:?}", ask.page)),
            |reactor, envelope| {
                let Envelope::Page { sequence, response, .. } = envelope else { panic!() };
                posted.borrow_mut().push((
                    reactor,
                    sequence,
                    String::from_utf8(response.body().to_vec()).unwrap(),
                ));
                None
            },
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
            assert!(taken.ask(ProcessPage::Stats, connection(reactor), sequence));
            observer.set(Some(taken));
        };
        ask(0, 7);
        let (mut refusals, mut posted) = (0, Vec::new());
        asks.answer_with(
            |_| Response::empty(204),
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
        );
        assert_eq!(posted, [(1, 8), (0, 7)]);
    }
}
