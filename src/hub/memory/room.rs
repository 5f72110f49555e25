//! How much the groups of an app, and of the server, may keep on all reactors together.

use crate::metrics::MemoryLoss;
use std::sync::atomic::{AtomicU64, Ordering};

/// The room for what groups of one app keep.
#[derive(Debug, Clone, Copy)]
pub struct Room<'a> {
    /// Of the app.
    pub app: Share<'a>,
    /// Of the server.
    pub server: Share<'a>,
}

/// A count that all reactors share, and its bound.
#[derive(Debug, Clone, Copy)]
pub struct Share<'a> {
    /// Bytes that are taken.
    pub used: &'a AtomicU64,
    /// Bytes that there are; 0 is no bound.
    pub bound: u64,
}

impl Room<'_> {
    /// Takes room for so many bytes.
    ///
    /// # Errors
    /// There is none: whose bound says so.
    pub(super) fn take(&self, bytes: usize) -> Result<(), MemoryLoss> {
        if !self.server.take(bytes) {
            return Err(MemoryLoss::Server);
        }
        if !self.app.take(bytes) {
            self.server.give(bytes);
            return Err(MemoryLoss::App);
        }
        Ok(())
    }

    /// The same for what is there already, whatever the bounds.
    pub(super) fn take_over(&self, bytes: usize) {
        for share in [self.server, self.app] {
            share.used.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    /// Gives room back.
    pub(super) fn give(&self, bytes: usize) {
        self.server.give(bytes);
        self.app.give(bytes);
    }
}

impl Share<'_> {
    fn take(&self, bytes: usize) -> bool {
        let before = self.used.fetch_add(bytes as u64, Ordering::Relaxed);
        let fits = self.bound == 0 || before + bytes as u64 <= self.bound;
        if !fits {
            self.give(bytes);
        }
        fits
    }

    fn give(&self, bytes: usize) {
        self.used.fetch_sub(bytes as u64, Ordering::Relaxed);
    }
}
