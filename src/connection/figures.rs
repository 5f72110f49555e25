//! What is counted of a session's connection, and shown. Every idle session has these, so each figure takes six bytes.

/// A count below 2^48: 281 terabytes, or the milliseconds of 8,900 years. It stays at its largest value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Count([u16; 3]);

impl Count {
    const MOST: u64 = (1 << 48) - 1;

    fn new(value: u64) -> Self {
        let value = value.min(Self::MOST);
        Self([(value >> 32) as u16, (value >> 16) as u16, value as u16])
    }

    fn get(self) -> u64 {
        let [high, middle, low] = self.0.map(u64::from);
        high << 32 | middle << 16 | low
    }

    fn add(&mut self, count: usize) {
        *self = Self::new(self.get().saturating_add(count as u64));
    }
}

/// See the module.
#[derive(Debug, Clone, Copy, Default)]
pub struct Figures {
    since_unix_ms: Count,
    bytes_in: Count,
    bytes_out: Count,
}

const _: () = assert!(size_of::<Figures>() == 18);

impl Figures {
    /// The figures of a session that opens at `since_unix_ms`, in milliseconds since the Unix epoch.
    pub fn since(since_unix_ms: u64) -> Self {
        Self { since_unix_ms: Count::new(since_unix_ms), ..Self::default() }
    }

    /// When the session was opened, in milliseconds since the Unix epoch.
    pub fn since_unix_ms(&self) -> u64 {
        self.since_unix_ms.get()
    }

    /// Bytes read since the upgrade.
    pub fn bytes_in(&self) -> u64 {
        self.bytes_in.get()
    }

    /// Bytes written since the upgrade.
    pub fn bytes_out(&self) -> u64 {
        self.bytes_out.get()
    }

    /// So many more bytes were read.
    pub fn add_in(&mut self, bytes: usize) {
        self.bytes_in.add(bytes);
    }

    /// So many more bytes were written.
    pub fn add_out(&mut self, bytes: usize) {
        self.bytes_out.add(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_what_was_added_up_to_its_largest() {
        let mut count = Count::default();
        let mut expected = 0_u64;
        for add in [1, 0xffff, 1, 0xffff_ffff, 123_456_789_012, 1 << 47] {
            count.add(add as usize);
            expected += add;
            assert_eq!(count.get(), expected);
        }
        count.add(usize::MAX);
        assert_eq!(count.get(), Count::MOST);
        count.add(1);
        assert_eq!(count.get(), Count::MOST);
    }

    #[test]
    fn the_figures_are_apart() {
        let mut figures = Figures::since(1_800_000_000_123);
        figures.add_in(5);
        figures.add_out(70_000);
        figures.add_in(6);
        let all = (figures.since_unix_ms(), figures.bytes_in(), figures.bytes_out());
        assert_eq!(all, (1_800_000_000_123, 11, 70_000));
    }
}
