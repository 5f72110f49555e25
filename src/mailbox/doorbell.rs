//! The two flags that a reactor sleeps behind, and the set of producers that wait for room. Knows nothing of queues and
//! eventfds; the argument for the fences is in the module above.

#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, AtomicU64, fence};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicBool, AtomicU64, fence};

/// One reactor's bell.
#[derive(Default)]
pub(super) struct Doorbell {
    /// The reactor is in its poll, or on the way there. Who swaps it to false writes the eventfd.
    sleeping: AtomicBool,
    /// The reactor's own producer may find room now.
    nudged: AtomicBool,
}

impl Doorbell {
    /// Says that the owner goes to sleep, unless `idle` or the nudge flag, looked at after that was said, has work for
    /// it. True: sleep.
    pub(super) fn lie_down(&self, idle: impl FnOnce() -> bool) -> bool {
        self.sleeping.store(true, Relaxed);
        fence(SeqCst);
        let sleeps = !self.nudged.load(Acquire) && idle();
        if !sleeps {
            self.rise();
        }
        sleeps
    }

    /// The owner is up: nobody needs to write its eventfd.
    pub(super) fn rise(&self) {
        self.sleeping.store(false, Relaxed);
    }

    /// After the caller made something visible. True: the owner sleeps and it is the caller who writes the eventfd.
    #[must_use]
    pub(super) fn ring(&self) -> bool {
        fence(SeqCst);
        self.sleeping.load(Relaxed) && self.sleeping.swap(false, AcqRel)
    }

    /// Raises the nudge flag and rings.
    #[must_use]
    pub(super) fn nudge(&self) -> bool {
        self.nudged.store(true, Release);
        self.ring()
    }

    /// Lowers the nudge flag; true if it stood. What the nudging thread released is seen from here on.
    pub(super) fn take_nudge(&self) -> bool {
        self.nudged.load(Relaxed) && self.nudged.swap(false, AcqRel)
    }

    /// The eventfd could not be written after [`Doorbell::ring`]: the flag stands again.
    pub(super) fn unanswered(&self) {
        self.sleeping.store(true, Relaxed);
    }
}

/// The producers that keep something back for one mailbox.
#[derive(Default)]
pub(super) struct Starved([AtomicU64; 2]);

impl Starved {
    /// Marks `producer`. It looks for room once more after this, before it counts on being nudged.
    pub(super) fn mark(&self, producer: usize) {
        self.0[producer / 64].fetch_or(1 << (producer % 64), Relaxed);
        fence(SeqCst);
    }

    /// Takes all marks, after the caller gave room back.
    pub(super) fn take(&self) -> u128 {
        fence(SeqCst);
        let [low, high] = &self.0;
        let take = |word: &AtomicU64| match word.load(Relaxed) {
            0 => 0,
            _ => u128::from(word.swap(0, AcqRel)),
        };
        take(low) | take(high) << 64
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicUsize;
    use loom::thread;

    #[derive(Default)]
    struct World {
        bell: Doorbell,
        starved: Starved,
        /// Items in a queue.
        items: AtomicUsize,
        /// What was written to the eventfd.
        eventfd: AtomicUsize,
    }

    impl World {
        fn post(&self) {
            self.items.fetch_add(1, Relaxed);
            if self.bell.ring() {
                self.eventfd.fetch_add(1, Relaxed);
            }
        }

        fn wakes(&self) -> usize {
            self.eventfd.load(Relaxed)
        }
    }

    #[test]
    fn a_sleeper_is_woken_for_every_post_it_did_not_see() {
        loom::model(|| {
            let world = Arc::new(World::default());
            let producers: Vec<_> = (0..2)
                .map(|_| {
                    let world = world.clone();
                    thread::spawn(move || world.post())
                })
                .collect();
            let sleeps = world.bell.lie_down(|| world.items.load(Relaxed) == 0);
            for producer in producers {
                producer.join().unwrap();
            }
            assert!(world.wakes() <= 1, "one write a sleeper");
            assert!(
                !sleeps || world.wakes() == 1,
                "asleep with items in the queue and nobody wrote the eventfd"
            );
        });
    }

    #[test]
    fn a_consumer_that_rises_and_sleeps_again_misses_nothing() {
        loom::model(|| {
            let world = Arc::new(World::default());
            let producer = {
                let world = world.clone();
                thread::spawn(move || world.post())
            };
            let mut taken = 0;
            let mut sleeps = false;
            for _ in 0..2 {
                taken += world.items.swap(0, Relaxed);
                sleeps = world.bell.lie_down(|| world.items.load(Relaxed) == 0);
                if sleeps && world.wakes() > 0 {
                    world.bell.rise();
                    sleeps = false;
                }
            }
            producer.join().unwrap();
            assert!(!sleeps || taken == 1 || world.wakes() > 0);
        });
    }

    #[test]
    fn a_producer_that_starves_is_nudged_awake() {
        loom::model(|| {
            let world = Arc::new(World { items: AtomicUsize::new(1), ..World::default() });
            let consumer = {
                let world = world.clone();
                thread::spawn(move || {
                    world.items.store(0, Relaxed);
                    let starved = world.starved.take();
                    if starved != 0 && world.bell.nudge() {
                        world.eventfd.fetch_add(1, Relaxed);
                    }
                    starved
                })
            };
            world.starved.mark(0);
            let still_full = world.items.load(Relaxed) == 1;
            let sleeps = world.bell.lie_down(|| true);
            let starved = consumer.join().unwrap();
            if still_full {
                assert_eq!(starved, 1, "neither the producer saw the room nor the consumer the mark");
                assert!(world.wakes() == 1 || !sleeps, "asleep, and the nudge went by");
                assert!(world.bell.take_nudge());
                assert_eq!(world.items.load(Relaxed), 0, "the nudge carries the room with it");
            }
        });
    }
}
