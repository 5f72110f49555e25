//! The numbers that messages carry, and what is wrong with the order in which they come.

use std::collections::BTreeSet;

use super::args::STAMP_BYTES;
use super::clock::Nanos;

/// Numbers that are remembered as missing; what is missing beyond is lost for good.
const MOST_MISSING: usize = 100_000;

/// What a message carries in front: when it was due, and its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// When it should have been sent.
    pub due: Nanos,
    /// From 0.
    pub number: u64,
}

impl Stamp {
    /// Makes `payload` a message of `size` bytes with this stamp; `size` is at least [`STAMP_BYTES`].
    pub fn write(self, size: usize, payload: &mut String) {
        use std::fmt::Write;
        payload.truncate(0);
        // A string takes everything.
        let _ = write!(payload, "{:016x}{:016x}", self.due, self.number);
        payload.extend(std::iter::repeat_n('x', size.saturating_sub(STAMP_BYTES)));
    }

    /// The stamp of a message; `None` for one that is not ours.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let stamp = str::from_utf8(payload.get(..STAMP_BYTES)?).ok()?;
        let (due, number) = stamp.split_at_checked(STAMP_BYTES / 2)?;
        let number_of = |digits| u64::from_str_radix(digits, 16).ok();
        Some(Self { due: number_of(due)?, number: number_of(number)? })
    }
}

/// The numbers that one receiver has had.
#[derive(Debug, Clone, Default)]
pub struct Sequence {
    /// Below it are those that came and those that are missing.
    next: u64,
    missing: BTreeSet<u64>,
    faults: Faults,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Never came.
    pub lost: u64,
    /// Came more than once, each time but the first.
    pub doubled: u64,
    /// Came after one with a higher number.
    pub misordered: u64,
}

impl Sequence {
    /// Takes a number that came.
    pub fn take(&mut self, number: u64) {
        if number == self.next {
            self.next += 1;
        } else if number > self.next {
            let room = (MOST_MISSING - self.missing.len()) as u64;
            let remembered = self.next..number.min(self.next.saturating_add(room));
            self.faults.lost += number - remembered.end;
            self.missing.extend(remembered);
            self.next = number.saturating_add(1);
        } else if self.missing.remove(&number) {
            self.faults.misordered += 1;
        } else {
            self.faults.doubled += 1;
        }
    }

    /// What is wrong once all that come have come, of `sent`.
    pub fn faults(&self, sent: u64) -> Faults {
        let missing = self.missing.len() as u64 + sent.saturating_sub(self.next);
        Faults { lost: self.faults.lost + missing, ..self.faults }
    }
}

impl std::ops::AddAssign for Faults {
    fn add_assign(&mut self, other: Self) {
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.misordered += other.misordered;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_survive() {
        let mut payload = String::new();
        for (due, number, size) in [(0, 0, 32), (u64::MAX, 12, 33), (7, u64::MAX, 500)] {
            let stamp = Stamp { due, number };
            stamp.write(size, &mut payload);
            assert_eq!((payload.len(), Stamp::read(payload.as_bytes())), (size, Some(stamp)));
        }
        for foreign in [&b""[..], b"0123", br#"{"type":"welcome","session":"00a0000000000001"}"#, &[0xff; 40]]
        {
            assert_eq!(Stamp::read(foreign), None);
        }
    }

    /// By looking at everything that came so far.
    fn naive(came: &[u64], sent: u64) -> Faults {
        let mut faults = Faults::default();
        for (at, number) in came.iter().enumerate() {
            let before = &came[..at];
            if before.contains(number) {
                faults.doubled += 1;
            } else if before.iter().any(|other| other > number) {
                faults.misordered += 1;
            }
        }
        faults.lost = (0..sent).filter(|number| !came.contains(number)).count() as u64;
        faults
    }

    #[test]
    fn faults_are_those_of_a_look_at_everything() {
        let mut state = 1_u64;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) % below
        };
        for _ in 0..2000 {
            let sent = 1 + random(12);
            let mut came: Vec<u64> = (0..sent).collect();
            for _ in 0..random(4) {
                let at = random(came.len() as u64) as usize;
                match random(3) {
                    0 if came.len() > 1 => drop(came.remove(at)),
                    1 => came.insert(random(came.len() as u64) as usize, came[at]),
                    _ => came.swap(at, 0),
                }
            }
            let mut sequence = Sequence::default();
            came.iter().for_each(|&number| sequence.take(number));
            assert_eq!(sequence.faults(sent), naive(&came, sent), "{came:?} of {sent}");
        }
    }

    #[test]
    fn a_number_from_nowhere_takes_no_memory() {
        let mut sequence = Sequence::default();
        sequence.take(u64::MAX);
        assert_eq!(sequence.missing.len(), MOST_MISSING);
        assert_eq!(sequence.faults(5).lost, u64::MAX);
    }
}
