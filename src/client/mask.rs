//! Masks that nobody can foresee, RFC 6455 §10.3, without asking the system for each: a random seed and a counter,
//! hashed.

use sha1::{Digest as _, Sha1};

/// A source of masking keys.
pub(super) struct MaskKeys {
    seed: [u8; 32],
    counter: u64,
}

impl MaskKeys {
    pub(super) fn new() -> Result<Self, getrandom::Error> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        Ok(Self { seed, counter: 0 })
    }

    pub(super) fn into_source(mut self) -> Box<dyn FnMut() -> [u8; 4] + Send> {
        Box::new(move || self.next_key())
    }

    fn next_key(&mut self) -> [u8; 4] {
        self.counter = self.counter.wrapping_add(1);
        let mut hash = Sha1::new();
        hash.update(self.seed);
        hash.update(self.counter.to_le_bytes());
        let digest = hash.finalize();
        [digest[0], digest[1], digest[2], digest[3]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_from_frame_to_frame_and_from_client_to_client() {
        let (mut one, mut other) = (MaskKeys::new().unwrap(), MaskKeys::new().unwrap());
        let keys: Vec<[u8; 4]> =
            (0..50).map(|_| one.next_key()).chain((0..50).map(|_| other.next_key())).collect();
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        // Two of a hundred 32-bit keys are the same once in a million runs; twice is no accident.
        assert!(distinct.len() >= 99);
    }
}
