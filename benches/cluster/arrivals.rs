//! When messages come. Who receives is a thread of its own that does nothing else, on the nodes as on the bare connections: sender and
//! receiver are apart, as two nodes are. One thread at both ends would have the scheduler put Redis on its core, where nobody waits for
//! another core to wake.

use crate::Failure;
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// A receiver; its connection ends when this is dropped.
pub struct Arrivals {
    stream: TcpStream,
    came_at: Receiver<Result<Instant, String>>,
    thread: Option<JoinHandle<()>>,
}

impl Arrivals {
    /// Of what `read` takes from `stream`, a message each time.
    pub fn of(
        stream: TcpStream,
        mut read: impl FnMut() -> Result<(), Failure> + Send + 'static,
    ) -> Result<Self, Failure> {
        stream.set_read_timeout(None)?;
        let (sender, came_at) = mpsc::channel();
        let thread = thread::spawn(move || {
            loop {
                let came = read().map(|()| Instant::now()).map_err(|error| error.to_string());
                let is_over = came.is_err();
                if sender.send(came).is_err() || is_over {
                    return;
                }
            }
        });
        Ok(Self { stream, came_at, thread: Some(thread) })
    }

    /// When the next message came.
    pub fn next(&mut self) -> Result<Instant, Failure> {
        Ok(self.came_at.recv_timeout(PATIENCE)??)
    }
}

impl Drop for Arrivals {
    fn drop(&mut self) {
        // Nothing can be done about a connection that has ended already, or about a reader that panicked: it has said so.
        let _ = self.stream.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// When the last of them has its next message.
pub fn last<'a>(all: impl IntoIterator<Item = &'a mut Arrivals>) -> Result<Instant, Failure> {
    let mut last = None;
    for arrivals in all {
        last = last.max(Some(arrivals.next()?));
    }
    last.ok_or_else(|| "nobody is to receive".into())
}
