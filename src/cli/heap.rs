//! The heap of the program, which `main.rs` names.

use std::hint::black_box;
use std::io;

/// More than a large block has: `oversize_threshold` in `.cargo/config.toml`.
const LARGE_BYTES: usize = 128 << 10;

/// What is free goes back to the system even while nobody allocates, as after a storm of sessions: a thread of the heap's own sees to
/// that. The first process of a container, which stays small, has none.
///
/// # Errors
/// The thread could not be started: it can go on without, and keeps what nobody uses until somebody allocates again.
pub fn give_memory_back() -> io::Result<()> {
    // The first large block makes the arena of all of them. One that is made before the thread gives each back as soon as it is free, as
    // half a body that was closed should be; a later one would leave that to the thread.
    drop(black_box(Vec::<u8>::with_capacity(LARGE_BYTES)));
    tikv_jemalloc_ctl::background_thread::write(true).map_err(io::Error::other)
}
