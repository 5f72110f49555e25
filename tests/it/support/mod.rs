//! Servers to test and the programs around them: players, backends, links, and thousands of players on one thread. All
//! waiting has one deadline; nothing sleeps.

mod backend;
mod clock;
mod frozen;
mod link;
mod link_bin;
mod player;
mod pool;
mod ports;
mod process;
mod publisher;
mod random;
mod scrape;
mod server;
mod target;
pub mod tls;

pub use backend::{Backend, Receipt};
pub use clock::WallClock;
pub use link::Link;
pub use link_bin::{decode as decode_binary, encode as encode_binary};
pub use player::{End, Player, Refusal, prepared};
pub use pool::{Log, OverTcp, Pool};
pub use ports::{Ports, encoded};
pub use process::{ServerProcess, serve_if_asked};
pub use publisher::{Publisher, Push};
pub use random::Random;
pub use scrape::Scrape;
pub use server::TestServer;
pub use target::{Identity, Target};

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long anything may take before the test fails: far more than it needs on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Asks until the answer is yes.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < DEADLINE, "{what} did not come about in {DEADLINE:?}");
    }
}

/// Taken by a test that needs thousands of descriptors: one such test at a time fits into the limit of the process.
pub fn heavy() -> MutexGuard<'static, ()> {
    static HEAVY: Mutex<()> = Mutex::new(());
    // A test that failed has let go of its sockets all the same.
    HEAVY.lock().unwrap_or_else(PoisonError::into_inner)
}
