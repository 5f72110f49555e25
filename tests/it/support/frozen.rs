//! A server that stands still while a test sends: what is sent waits in the sockets, and is ready in the order of sending
//! when the server goes on.

use super::ServerProcess;
use rustix::process::{Pid, Signal, WaitOptions, waitpid};

/// A server of which no thread runs until this is dropped.
pub struct Frozen<'a>(&'a ServerProcess);

impl ServerProcess {
    /// Stops every thread of the server.
    pub fn freeze(&self) -> Frozen<'_> {
        self.signal(Signal::STOP);
        // The signal is sent before the threads have stopped; the kernel reports when the last one has.
        let pid = Pid::from_raw(self.pid().try_into().unwrap());
        let (_, status) = waitpid(pid, WaitOptions::UNTRACED).unwrap().expect("a wait that blocks");
        assert!(status.stopped(), "{status:?}");
        Frozen(self)
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        self.0.signal(Signal::CONT);
    }
}
