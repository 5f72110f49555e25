//! The files of certificates and keys. One may be a pipe, which can be read once: both ports can name the same one.

use super::TlsError;
use crate::config::Reading;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};

/// A chain is a few kilobytes; the bound is for a path such as /dev/zero.
const MAX_PEM_BYTES: u64 = 1 << 20;

/// The files that have been read, each once.
#[derive(Default)]
pub struct PemFiles {
    read: HashMap<PathBuf, Vec<u8>>,
    reading: Reading,
}

impl PemFiles {
    /// For files that have been read before: a pipe that is waited on for ever would hold up the signals.
    pub fn again() -> Self {
        Self { reading: Reading::Again, ..Self::default() }
    }

    /// What is in the file at `path`.
    ///
    /// # Errors
    /// [`TlsError::Read`].
    pub fn get(&mut self, path: &Path) -> Result<&[u8], TlsError> {
        match self.read.entry(path.to_owned()) {
            Entry::Occupied(read) => Ok(read.into_mut()),
            Entry::Vacant(missing) => {
                let failed = |error| TlsError::read(path, error);
                Ok(missing.insert(self.reading.bytes(path, MAX_PEM_BYTES).map_err(failed)?))
            }
        }
    }
}
