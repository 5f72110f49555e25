//! Servers to test and the programs around them: players, backends, links, and thousands of players on one thread. All
//! waiting has one deadline; nothing sleeps.

mod backend;
mod clock;
mod event_stream;
mod frozen;
mod jwks_server;
mod link;
mod link_bin;
mod nginx;
mod old_proxy;
mod player;
mod poller;
mod pool;
mod ports;
mod process;
mod publisher;
mod random;
mod redis;
mod relay;
pub mod schema;
mod scrape;
mod server;
mod target;
pub mod tls;

pub use backend::{Backend, Receipt};
pub use clock::WallClock;
pub use event_stream::{EventStream, stream_request};
pub use jwks_server::JwksServer;
pub use link::Link;
pub use link_bin::{decode as decode_binary, encode as encode_binary};
pub use nginx::Nginx;
pub use old_proxy::OldProxy;
pub use player::{End, Player, Refusal, prepared};
pub use poller::Poller;
pub use pool::{Log, OverTcp, Pool};
pub use ports::{ClosedPort, Ports, encoded};
pub use process::{ServerProcess, resident_bytes, serve_if_asked, without_pings};
pub use publisher::{Publisher, Push};
pub use random::Random;
pub use redis::Redis;
pub use relay::Relay;
pub use scrape::Scrape;
pub use server::TestServer;
pub use target::{Identity, Target};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{self, ErrorKind, Read};
use std::net::TcpStream;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before the test fails: far more than it needs on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Asks until the answer is yes.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < DEADLINE, "{what} did not come about in {DEADLINE:?}");
        // What is waited for may need this core.
        thread::yield_now();
    }
}

/// Raises the limit of open files as far as it goes: the usual soft one, 1,024, is too low for what runs side by side.
/// Returns what it is then.
pub fn open_files() -> usize {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    limit.maximum.map_or(usize::MAX, |files| files as usize)
}

/// What the largest of the heavy tests needs, with those that run beside it.
const HEAVY_FILES: usize = 8_192;

/// Reads. A process that was stopped and goes on begins again: signal(7), of a socket that has a timeout.
pub fn read_on(from: &mut impl Read, chunk: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(chunk) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// Whether the peer has ended the connection, with the end or with a reset, and said nothing before. Waits for it.
pub fn is_over(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    match read_on(stream, &mut [0]) {
        Ok(length) => length == 0,
        Err(error) => matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
    }
}

/// Taken by a test that needs thousands of descriptors: one such test at a time fits into the limit of the process.
pub fn heavy() -> MutexGuard<'static, ()> {
    static HEAVY: Mutex<()> = Mutex::new(());
    let files = open_files();
    assert!(
        files >= HEAVY_FILES,
        "this test needs {HEAVY_FILES} open files, and the hard limit (ulimit -Hn) is {files}"
    );
    // A test that failed has let go of its sockets all the same.
    HEAVY.lock().unwrap_or_else(PoisonError::into_inner)
}
