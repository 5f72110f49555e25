//! The `gannet` program: everything it does is in [`gannet::cli`].
#![forbid(unsafe_code)]

/// What one reactor allocates another one frees: in glibc's heap both then wait for one lock. When what is free goes back to the system
/// stands in .cargo/config.toml.
#[global_allocator]
static HEAP: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    gannet::cli::main()
}
