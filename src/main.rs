//! The `gannet` program: everything it does is in [`gannet::cli`].
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    gannet::cli::main()
}
