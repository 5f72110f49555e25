//! The heap of the C library, told to give back what a storm of sessions has left. glibc reads its settings once, before a
//! program begins, so `gannet serve` starts itself again with them, under the same process id. Knows nothing of the server.

use std::io;

/// What glibc would otherwise do: keep up to twice the largest block ever freed at the end of each thread's heap, and small
/// blocks in each thread's cache, where they hold on to all that lies before them. Blocks of 64 KiB, which are the tables of
/// sessions, are mapped by themselves.
#[cfg(target_env = "gnu")]
const TUNABLES: &str = "glibc.malloc.mmap_threshold=65536:glibc.malloc.trim_threshold=32768:glibc.malloc.top_pad=4096:\
                        glibc.malloc.tcache_count=0";
#[cfg(target_env = "gnu")]
const VARIABLE: &str = "GLIBC_TUNABLES";

/// Starts the program again with a heap that gives memory back, unless the environment says how the heap is to be already.
/// Nothing may have been read before: a pipe would be empty for the program that starts again. Returns where there is nothing to do, or with what the system said.
///
/// # Errors
/// The program could not be started again: it can go on with the heap as it is.
pub fn give_memory_back() -> io::Result<()> {
    #[cfg(target_env = "gnu")]
    if std::env::var_os(VARIABLE).is_none() {
        use std::os::unix::process::CommandExt;
        let mut arguments = std::env::args_os();
        let name = arguments.next().unwrap_or_else(|| "gannet".into());
        let mut again = std::process::Command::new(std::env::current_exe()?);
        return Err(again.arg0(name).args(arguments).env(VARIABLE, TUNABLES).exec());
    }
    Ok(())
}
