//! Random choices that a seed repeats.

use crate::cli::error::CliError;

/// A seed that nobody knows before.
///
/// # Errors
/// The system gives no random bytes.
pub fn random_seed() -> Result<u64, CliError> {
    getrandom::u64().map_err(CliError::Randomness)
}

/// SplitMix64: one addition and a mix a number.
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The choices of one seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `bound`, without `bound`; 0 where that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        // The bias of the remainder is far below what a load could show.
        (self.next() % bound.max(1) as u64) as usize
    }

    /// A number from `least` to `most`.
    pub fn within(&mut self, least: usize, most: usize) -> usize {
        least + self.below(most - least + 1)
    }

    /// `true` in so many of a hundred cases.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_choices() {
        let choices = |seed| {
            let mut random = Random::new(seed);
            (0..50).map(|_| random.within(3, 9)).collect::<Vec<_>>()
        };
        assert_eq!(choices(7), choices(7));
        assert_ne!(choices(7), choices(8));
        assert!((3..=9).all(|number| choices(7).contains(&number)));
        assert_eq!(Random::new(1).below(0), 0);
    }
}
