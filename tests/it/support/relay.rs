//! What stands between a node and its Redis: it passes everything on until it is told to cut it off.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::Duration;

/// How often a thread looks whether it is to go on.
const LOOK: Duration = Duration::from_millis(10);

const PASSES: u8 = 0;
const CUT: u8 = 1;
const SWALLOWS: u8 = 2;
const ENDED: u8 = 3;
const HOLDS: u8 = 4;

/// A relay on a port of its own. It ends when it is dropped.
pub struct Relay {
    address: SocketAddr,
    state: Arc<AtomicU8>,
}

impl Relay {
    /// One that leads to `target`.
    pub fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (address, state) = (listener.local_addr().unwrap(), Arc::new(AtomicU8::new(PASSES)));
        let of_thread = Arc::clone(&state);
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                match of_thread.load(Ordering::Relaxed) {
                    ENDED => return,
                    // The connection is made, and ends at once.
                    CUT => {}
                    _ => join(near, target, &of_thread),
                }
            }
        });
        Self { address, state }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all connections, and new ones.
    pub fn cut(&self) {
        self.state.store(CUT, Ordering::Relaxed);
    }

    /// Passes nothing on, and says nothing of it.
    pub fn swallow(&self) {
        self.state.store(SWALLOWS, Ordering::Relaxed);
    }

    /// Keeps what the target says until it goes on. What is said to the target passes.
    pub fn hold(&self) {
        self.state.store(HOLDS, Ordering::Relaxed);
    }

    /// Passes everything on again. What it has swallowed of a connection stays lost: that ends.
    pub fn go_on(&self) {
        self.state.store(PASSES, Ordering::Relaxed);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.state.store(ENDED, Ordering::Relaxed);
        // Its thread waits for the next connection.
        let _ = TcpStream::connect(self.address);
    }
}

fn join(near: TcpStream, target: SocketAddr, state: &Arc<AtomicU8>) {
    let Ok(far) = TcpStream::connect(target) else { return };
    let ways = [(near.try_clone(), far.try_clone()), (Ok(far), Ok(near))];
    for ((from, to), is_back) in ways.into_iter().zip([false, true]) {
        let (from, to, state) = (from.unwrap(), to.unwrap(), Arc::clone(state));
        from.set_nodelay(true).unwrap();
        thread::spawn(move || pass(from, to, is_back, &state));
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, is_back: bool, state: &AtomicU8) {
    from.set_read_timeout(Some(LOOK)).unwrap();
    let (mut buffer, mut swallowed) = (vec![0; 1 << 16], false);
    loop {
        let read = from.read(&mut buffer);
        let length = match read {
            Ok(0) => break,
            Ok(length) => length,
            // The last one when this process was stopped and goes on (signal(7)).
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) =>
            {
                0
            }
            Err(_) => break,
        };
        while is_back && state.load(Ordering::Relaxed) == HOLDS {
            thread::sleep(LOOK);
        }
        match state.load(Ordering::Relaxed) {
            HOLDS if to.write_all(&buffer[..length]).is_err() => break,
            HOLDS => {}
            PASSES if swallowed => break,
            PASSES if to.write_all(&buffer[..length]).is_err() => break,
            PASSES => {}
            SWALLOWS => swallowed |= length > 0,
            _ => break,
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
