//! Players that send from threads of their own, and one that tells the time by the server's pings.

use crate::raw::{PING, PONG, Raw, masked};
use crate::support::Ports;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Between two pongs of a player that is kept from being silent.
const STIR: Duration = Duration::from_millis(200);

/// Sends without an end, as fast as the server reads, until it is dropped; then the stream is shut down.
pub struct Flood {
    stream: TcpStream,
    thread: Option<JoinHandle<()>>,
}

impl Flood {
    /// Sends what `bytes` gives for 0, 1, 2 and so on.
    pub fn start(raw: &Raw, bytes: impl Fn(u64) -> Vec<u8> + Send + 'static) -> Self {
        Self::of(raw, u64::MAX, bytes)
    }

    /// The same for the numbers below `count`.
    pub fn of(raw: &Raw, count: u64, bytes: impl Fn(u64) -> Vec<u8> + Send + 'static) -> Self {
        let (stream, mut sender) = (raw.sender(), raw.sender());
        // A player that is not read may wait for as long as the test does.
        sender.set_write_timeout(None).unwrap();
        let mut send = move || (0..count).try_for_each(|number| sender.write_all(&bytes(number)));
        // It ends by an error where the server, or the drop below, has ended the stream.
        let thread = thread::spawn(move || drop(send()));
        Self { stream, thread: Some(thread) }
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.stream.shutdown(Shutdown::Both);
        let ended = self.thread.take().map_or(Ok(()), JoinHandle::join);
        assert!(ended.is_ok() || thread::panicking(), "a flood has failed");
    }
}

/// Keeps a player that does not read from being silent, until it is dropped.
pub struct Stirring {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Stirring {
    /// Sends pongs that answer nothing.
    pub fn start(raw: &Raw) -> Self {
        let mut sender = raw.sender();
        let (stop, stopped) = mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            while stopped.recv_timeout(STIR) == Err(RecvTimeoutError::Timeout)
                && sender.write_all(&masked(PONG, b"")).is_ok()
            {}
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Stirring {
    fn drop(&mut self) {
        self.stop = None;
        let ended = self.thread.take().map_or(Ok(()), JoinHandle::join);
        assert!(ended.is_ok() || thread::panicking(), "a player could not be kept from silence");
    }
}

/// A silent player. The server pings it after `ping_ms` less up to a fifth: its pings tell how much time has passed.
pub struct Clock(Raw);

impl Clock {
    /// Connects.
    pub fn start(ports: &Ports) -> Self {
        Self(Raw::player(ports.client, "/ws?user=clock"))
    }

    /// Waits for a ping and answers it: at least four fifths of `ping_ms`, if the last one has been waited for.
    pub fn tick(&mut self) {
        let ping = self.0.frame().expect("the clock has ended");
        assert_eq!(ping.first, PING, "{ping:?}");
        self.0.send(masked(PONG, &ping.payload));
    }
}
