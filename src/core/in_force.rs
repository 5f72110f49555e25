//! The rules in force: which they are, which each reactor follows, and the change from one set to the next. Taking one costs
//! a reactor a look at a number, that of another thread a few nanoseconds.

use super::rules::Rules;
use crossbeam_utils::CachePadded;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a reactor follows that does not run.
const NONE: u64 = u64::MAX;

/// See the module.
pub struct InForce {
    rules: arc_swap::ArcSwap<Rules>,
    /// Counts the sets up. Stored after the set, read by every reactor before each envelope: what was posted by the new rules is
    /// never taken by the old.
    number: CachePadded<AtomicU64>,
    /// The number of the set that each reactor follows.
    followed: Mutex<Box<[u64]>>,
    followed_one: Condvar,
    /// Held by the one who changes them.
    change: Mutex<()>,
}

impl InForce {
    /// The first rules, of so many reactors, of which none runs.
    pub fn new(rules: Rules, reactors: usize) -> Self {
        Self {
            rules: arc_swap::ArcSwap::from_pointee(rules),
            number: CachePadded::new(AtomicU64::new(0)),
            followed: Mutex::new(vec![NONE; reactors].into()),
            followed_one: Condvar::new(),
            change: Mutex::new(()),
        }
    }

    /// The rules that are in force now.
    pub fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// The same for one look, without a count.
    pub fn look(&self) -> arc_swap::Guard<Arc<Rules>> {
        self.rules.load()
    }

    /// The number of the set in force.
    pub fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// The reactor at `index` begins to run: what it follows from the start.
    pub fn begin(&self, index: usize) -> (u64, Arc<Rules>) {
        // Under the lock: a change waits for this reactor, or has happened before.
        let mut followed = self.followed();
        followed[index] = self.number();
        (followed[index], self.rules())
    }

    /// The reactor at `index` follows the set with this number from now on.
    pub fn follow(&self, index: usize, number: u64) {
        self.followed()[index] = number;
        self.followed_one.notify_all();
    }

    /// The reactor at `index` has ended.
    pub fn end(&self, index: usize) {
        self.follow(index, NONE);
    }

    /// Keeps all others from changing the rules.
    pub fn lock(&self) -> MutexGuard<'_, ()> {
        self.change.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts `rules` in force. Only under the [lock](Self::lock). Returns their number.
    pub fn put(&self, rules: Rules) -> u64 {
        self.rules.store(Arc::new(rules));
        self.number.fetch_add(1, Ordering::Release) + 1
    }

    /// Waits until every reactor follows the set with this number. `false` when one does not in time.
    pub fn wait_for_all(&self, number: u64, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut followed = self.followed();
        while followed.iter().any(|&follows| follows < number) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.followed_one.wait_timeout(followed, left);
            followed = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn followed(&self) -> MutexGuard<'_, Box<[u64]>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
