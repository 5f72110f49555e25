//! A set of reactors as bits. Knows nothing of what the reactors have.

use std::fmt;

/// The most reactors that a node can have: one bit each in a [`ReactorSet`].
pub const MAX_REACTORS: usize = 128;

/// Some of a node's reactors, by their numbers from 0.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct ReactorSet(u128);

impl ReactorSet {
    /// The reactors 0 to `count` - 1; `count` beyond [`MAX_REACTORS`] is that.
    pub fn first(count: usize) -> Self {
        match count {
            0 => Self::default(),
            1..MAX_REACTORS => Self((1 << count) - 1),
            _ => Self(u128::MAX),
        }
    }

    /// Adds a reactor, whose number is below [`MAX_REACTORS`].
    pub fn insert(&mut self, reactor: usize) {
        debug_assert!(reactor < MAX_REACTORS);
        self.0 |= bit(reactor);
    }

    /// Takes a reactor out.
    pub fn remove(&mut self, reactor: usize) {
        self.0 &= !bit(reactor);
    }

    /// Whether the reactor is one of them.
    pub fn contains(self, reactor: usize) -> bool {
        self.0 & bit(reactor) != 0
    }

    /// The reactors of both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The reactors that are in both.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Their numbers, ascending.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let lowest = rest.trailing_zeros();
            rest &= rest.checked_sub(1)?;
            Some(lowest as usize)
        })
    }

    pub(super) fn to_words(self) -> [u64; 2] {
        [self.0 as u64, (self.0 >> 64) as u64]
    }

    pub(super) fn from_words([low, high]: [u64; 2]) -> Self {
        Self(u128::from(high) << 64 | u128::from(low))
    }
}

/// No bit for a number that no reactor has.
fn bit(reactor: usize) -> u128 {
    u32::try_from(reactor).ok().and_then(|reactor| 1_u128.checked_shl(reactor)).unwrap_or(0)
}

impl fmt::Debug for ReactorSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_at_the_bounds() {
        for members in [vec![], vec![0], vec![127], vec![63, 64], vec![0, 1, 63, 64, 126, 127]] {
            let mut set = ReactorSet::default();
            members.iter().for_each(|&reactor| set.insert(reactor));
            assert_eq!(set.iter().collect::<Vec<_>>(), members);
            assert_eq!(set.is_empty(), members.is_empty());
            assert_eq!(ReactorSet::from_words(set.to_words()), set);
            assert!((0..200).all(|reactor| set.contains(reactor) == members.contains(&reactor)));
            members.iter().for_each(|&reactor| set.remove(reactor));
            assert!(set.is_empty());
        }
    }

    #[test]
    fn first_and_union() {
        for count in [0, 1, 64, 127, 128] {
            assert_eq!(ReactorSet::first(count).iter().collect::<Vec<_>>(), (0..count).collect::<Vec<_>>());
        }
        assert_eq!(ReactorSet::first(1000).iter().count(), MAX_REACTORS);
        let mut far = ReactorSet::default();
        far.insert(100);
        assert_eq!(ReactorSet::first(1).union(far).iter().collect::<Vec<_>>(), [0, 100]);
    }
}
