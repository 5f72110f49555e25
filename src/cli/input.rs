//! What a command line names to read from.

use std::path::Path;

/// The configuration file that a command line names: `-` is standard input.
pub fn input(path: &Path) -> &Path {
    if path == Path::new("-") { Path::new("/dev/stdin") } else { path }
}
