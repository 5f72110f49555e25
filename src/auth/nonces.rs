//! The nonces that have been used, for as long as a query with them would be taken. Knows nothing of signatures: only
//! nonces that were signed come here.

use super::AuthError;
use crate::session::AppId;
use crate::upgrade::InvalidState;
use hashbrown::HashSet;
use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};
use std::collections::VecDeque;

/// A bounded set of nonces, forgotten in slices of time.
#[derive(Debug)]
pub struct Nonces {
    most: usize,
    window_ms: u64,
    /// Everything that would be forgotten before this has been: what ends earlier may have been used.
    forgotten_ms: u64,
    /// By the slice of the window that their end is in, ascending.
    slices: VecDeque<(u64, HashSet<u128>)>,
    len: usize,
}

/// [`Nonces`] on their way.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct CarriedNonces {
    #[n(0)]
    window_ms: u64,
    #[n(1)]
    forgotten_ms: u64,
    /// The number of each slice, and its nonces of 16 bytes.
    #[n(2)]
    slices: Vec<(u64, minicbor::bytes::ByteVec)>,
}

impl Nonces {
    /// None yet; at most `most`. What was signed before the second of `now_unix_ms` is taken as used.
    pub fn new(most: usize, window_ms: u64, now_unix_ms: u64) -> Self {
        let started_ms = now_unix_ms - now_unix_ms % 1000;
        let forgotten_ms = started_ms.saturating_add(window_ms);
        Self { most, window_ms, forgotten_ms, slices: VecDeque::new(), len: 0 }
    }

    /// The bounds are others from `now_unix_ms` on. Where the window grows, queries that were too old for the old one are taken
    /// as used: their nonces have been forgotten.
    pub fn set_bounds(&mut self, most: usize, window_ms: u64, now_unix_ms: u64) {
        self.most = most;
        if window_ms == self.window_ms {
            return;
        }
        self.forget(now_unix_ms);
        // Signed before this, a query may have been used and forgotten.
        let oldest_ms = self.forgotten_ms.saturating_sub(self.window_ms);
        let nonces = std::mem::take(&mut self.slices).into_iter().flat_map(|(_, nonces)| nonces);
        // Which of them end when is not known beyond their slice: all are kept for as long as the newest can be.
        let end_ms = now_unix_ms.saturating_add(self.window_ms.max(window_ms)).saturating_add(window_ms);
        let kept: HashSet<u128> = nonces.collect();
        self.len = kept.len();
        self.window_ms = window_ms;
        self.forgotten_ms = oldest_ms.saturating_add(window_ms);
        self.slices.push_back((end_ms / window_ms, kept));
    }

    /// Uses the nonce of a query that was signed at `signed_unix_ms`, which is within the window of `now_unix_ms`.
    ///
    /// # Errors
    /// [`AuthError::Replayed`] when it has been used, [`AuthError::Skewed`] when nobody knows any more, and
    /// [`AuthError::NoncesFull`]: better a valid query refused than one taken twice.
    pub fn spend(
        &mut self,
        app: AppId,
        nonce: &str,
        signed_unix_ms: u64,
        now_unix_ms: u64,
    ) -> Result<(), AuthError> {
        self.forget(now_unix_ms);
        // The last moment at which the window lets the query pass.
        let end_ms = signed_unix_ms.saturating_add(self.window_ms);
        if end_ms < self.forgotten_ms {
            return Err(AuthError::Skewed { off_ms: now_unix_ms.abs_diff(signed_unix_ms) });
        }
        let digest = digest(app, nonce);
        if self.slices.iter().any(|(_, nonces)| nonces.contains(&digest)) {
            return Err(AuthError::Replayed);
        }
        if self.len >= self.most {
            return Err(AuthError::NoncesFull);
        }
        let slice = end_ms / self.window_ms;
        let place = self.slices.partition_point(|(number, _)| *number < slice);
        if self.slices.get(place).is_none_or(|(number, _)| *number != slice) {
            self.slices.insert(place, (slice, HashSet::new()));
        }
        self.slices[place].1.insert(digest);
        self.len += 1;
        Ok(())
    }

    /// All that another process has to know, so that no query is taken twice.
    pub fn carry(&self) -> CarriedNonces {
        let Self { most: _, window_ms, forgotten_ms, slices, len: _ } = self;
        let slice = |(number, nonces): &(u64, HashSet<u128>)| {
            (*number, nonces.iter().flat_map(|nonce| nonce.to_be_bytes()).collect::<Vec<u8>>().into())
        };
        CarriedNonces {
            window_ms: *window_ms,
            forgotten_ms: *forgotten_ms,
            slices: slices.iter().map(slice).collect(),
        }
    }

    /// Goes on from what came from another process, under the bounds that were set here.
    ///
    /// # Errors
    /// A window of no length, or half a nonce.
    pub fn go_on_from(&mut self, carried: CarriedNonces, now_unix_ms: u64) -> Result<(), InvalidState> {
        let CarriedNonces { window_ms, forgotten_ms, slices } = carried;
        if window_ms == 0 || slices.iter().any(|(_, nonces)| nonces.len() % 16 != 0) {
            return Err(InvalidState::new("nonces that are none"));
        }
        let (most, window_here_ms) = (self.most, self.window_ms);
        let mut sorted: VecDeque<(u64, HashSet<u128>)> = slices
            .into_iter()
            .map(|(number, nonces)| {
                let (nonces, _) = nonces.as_chunks::<16>();
                (number, nonces.iter().map(|nonce| u128::from_be_bytes(*nonce)).collect())
            })
            .collect();
        sorted.make_contiguous().sort_by_key(|(number, _)| *number);
        let len = sorted.iter().map(|(_, nonces)| nonces.len()).sum();
        *self = Self { most, window_ms, forgotten_ms, slices: sorted, len };
        self.set_bounds(most, window_here_ms, now_unix_ms);
        Ok(())
    }

    /// Drops the slices that lie in the past. A clock that is set back brings none of them back.
    fn forget(&mut self, now_unix_ms: u64) {
        let current = now_unix_ms / self.window_ms;
        while self.slices.front().is_some_and(|(number, _)| *number < current) {
            self.len -= self.slices.pop_front().map_or(0, |(_, nonces)| nonces.len());
        }
        self.forgotten_ms = self.forgotten_ms.max(current.saturating_mul(self.window_ms));
    }
}

/// 128 bits of a nonce: what is kept of it has one size.
fn digest(app: AppId, nonce: &str) -> u128 {
    let hash = Sha256::new().chain_update(app.0.to_be_bytes()).chain_update(nonce).finalize();
    let (start, _) = hash.split_at(16);
    start.iter().fold(0, |digest, byte| digest << 8 | u128::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    const APP: AppId = AppId(3);
    const WINDOW: u64 = 120_000;
    const NOW: u64 = 1_760_000_000_000;

    #[test]
    fn a_nonce_is_used_once_for_as_long_as_its_query_would_pass() {
        for signed in [NOW - WINDOW, NOW - 1, NOW, NOW + WINDOW] {
            let mut nonces = Nonces::new(10, WINDOW, NOW - WINDOW);
            assert_eq!(nonces.spend(APP, "n", signed, NOW), Ok(()));
            assert_eq!(nonces.spend(AppId(4), "n", signed, NOW), Ok(()), "an app has its own");
            for now in [NOW, NOW + 1, signed + WINDOW] {
                assert_eq!(nonces.spend(APP, "n", signed, now), Err(AuthError::Replayed), "{signed} {now}");
                // Signed anew with the same nonce, it is the same nonce.
                assert_eq!(nonces.spend(APP, "n", now, now), Err(AuthError::Replayed), "{signed} {now}");
            }
        }
    }

    #[test]
    fn the_set_is_bounded_and_empties_with_time() {
        let mut nonces = Nonces::new(2, WINDOW, NOW);
        assert_eq!(nonces.spend(APP, "1", NOW, NOW), Ok(()));
        assert_eq!(nonces.spend(APP, "2", NOW, NOW), Ok(()));
        assert_eq!(nonces.spend(APP, "3", NOW, NOW), Err(AuthError::NoncesFull));
        assert_eq!(nonces.spend(APP, "1", NOW, NOW), Err(AuthError::Replayed));
        let later = NOW + 3 * WINDOW;
        assert_eq!(nonces.spend(APP, "3", later, later), Ok(()));
        assert_eq!((nonces.len, nonces.slices.len()), (1, 1));
    }

    #[test]
    fn a_clock_set_back_and_a_restart_bring_no_nonce_back() {
        let mut nonces = Nonces::new(10, WINDOW, NOW);
        assert_eq!(nonces.spend(APP, "1", NOW, NOW), Ok(()));
        let later = NOW + 3 * WINDOW;
        assert_eq!(nonces.spend(APP, "2", later, later), Ok(()));
        assert!(matches!(nonces.spend(APP, "1", NOW, NOW), Err(AuthError::Skewed { .. })));

        let mut restarted = Nonces::new(10, WINDOW, NOW + 999);
        assert_eq!(restarted.spend(APP, "1", NOW - 1000, NOW + 999), Err(AuthError::Skewed { off_ms: 1999 }));
        assert_eq!(restarted.spend(APP, "1", NOW, NOW + 999), Ok(()), "timestamps are whole seconds");
    }

    #[test]
    fn no_replay_ever_passes() {
        let mut random = 0x9E37_79B9_7F4A_7C15_u64;
        let mut below = |bound: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % bound
        };
        let mut nonces = Nonces::new(200, WINDOW, NOW);
        let mut taken: HashMap<String, u64> = HashMap::new();
        let mut now = NOW + WINDOW;
        let (mut passed, mut replayed) = (0, 0);
        for _ in 0..50_000 {
            // Mostly on, now and then back.
            now = if below(50) == 0 { now - below(WINDOW / 4) } else { now + below(2_000) };
            let nonce = below(3_000).to_string();
            let signed = now - WINDOW + below(2 * WINDOW + 1);
            let signed = taken.get(&nonce).copied().filter(|_| below(2) == 0).unwrap_or(signed);
            if signed.abs_diff(now) > WINDOW {
                continue;
            }
            match nonces.spend(APP, &nonce, signed, now) {
                Ok(()) => {
                    // The very same query never passes again.
                    assert_ne!(taken.insert(nonce, signed), Some(signed));
                    passed += 1;
                }
                Err(AuthError::Replayed) => replayed += 1,
                Err(_) => {}
            }
            assert!(nonces.len <= 200);
            assert_eq!(nonces.len, nonces.slices.iter().map(|(_, slice)| slice.len()).sum::<usize>());
        }
        assert!(passed > 1_000 && replayed > 100, "{passed} {replayed}");
    }

    #[test]
    fn other_bounds_make_no_nonce_good_a_second_time() {
        for window in [WINDOW / 4, WINDOW, 10 * WINDOW] {
            let mut nonces = Nonces::new(3, WINDOW, NOW - 20 * WINDOW);
            // One that has been forgotten, one that is about to be, and one that lasts as long as any.
            let signed = [NOW - 5 * WINDOW, NOW - WINDOW + 1, NOW + WINDOW];
            for (nonce, signed) in ["a", "b", "c"].into_iter().zip(signed) {
                nonces.spend(APP, nonce, signed, signed.min(NOW)).unwrap();
            }
            nonces.set_bounds(4, window, NOW);
            assert_eq!(nonces.spend(APP, "d", NOW, NOW), Ok(()));
            assert_eq!(nonces.spend(APP, "d", NOW, NOW), Err(AuthError::Replayed));
            for (nonce, signed) in ["a", "b", "c"].into_iter().zip(signed) {
                // As the window lets it pass.
                for now in
                    [NOW, NOW + 1, signed + window].into_iter().filter(|now| now.abs_diff(signed) <= window)
                {
                    assert!(nonces.spend(APP, nonce, signed, now).is_err(), "{window} {nonce} {now}");
                }
            }
        }
        let mut nonces = Nonces::new(1, WINDOW, NOW);
        nonces.spend(APP, "a", NOW, NOW).unwrap();
        nonces.set_bounds(2, WINDOW, NOW);
        nonces.spend(APP, "b", NOW, NOW).unwrap();
        nonces.set_bounds(1, WINDOW, NOW);
        assert_eq!(nonces.spend(APP, "c", NOW, NOW), Err(AuthError::NoncesFull));
        let later = NOW + 3 * WINDOW;
        assert_eq!(nonces.spend(APP, "c", later, later), Ok(()));
    }
}
