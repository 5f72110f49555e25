//! Decisions read from the front of an input; zeros when it is used up, so that every input decides everything.

/// The input, and what of it was not used.
pub(crate) struct Choices<'d> {
    data: &'d [u8],
}

impl<'d> Choices<'d> {
    pub(crate) fn new(data: &'d [u8]) -> Self {
        Self { data }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    /// A number below `bound`, which is at most 256.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        u32::from(self.byte()) % bound
    }

    /// A number of any order of magnitude up to 2^`max_bits`: a byte for its width in bits, then so many of them.
    pub(crate) fn number(&mut self, max_bits: u32) -> u64 {
        let width = self.below(max_bits + 1);
        let bytes = self.bytes(width.div_ceil(8) as usize);
        let number = bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte));
        number & u64::MAX.checked_shr(u64::BITS - width).unwrap_or(0)
    }

    /// Up to `count` bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> &'d [u8] {
        let (bytes, rest) = self.data.split_at(count.min(self.data.len()));
        self.data = rest;
        bytes
    }

    /// Sizes of at least 1, to be used in turn: a byte says how many, then a byte each.
    pub(crate) fn sizes(&mut self) -> Vec<usize> {
        let count = self.below(8) as usize + 1;
        self.bytes(count).iter().map(|&size| usize::from(size) + 1).collect()
    }

    pub(crate) fn rest(&mut self) -> &'d [u8] {
        std::mem::take(&mut self.data)
    }
}

/// `bytes` in pieces of `sizes`, over and over; whole when there are none.
pub(crate) fn pieces<'d>(mut bytes: &'d [u8], sizes: &[usize]) -> Vec<&'d [u8]> {
    let mut pieces = Vec::new();
    let mut sizes = sizes.iter().cycle();
    while !bytes.is_empty() {
        let size = sizes.next().copied().unwrap_or(bytes.len());
        let (piece, rest) = bytes.split_at(size.min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

/// Random numbers for tests (Marsaglia's xorshift). The seed is not 0.
#[cfg(test)]
pub(crate) struct Xorshift(pub(crate) u64);

#[cfg(test)]
impl Xorshift {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        ((self.next() >> 32) % u64::from(bound)) as u32
    }
}

/// `count` random bytes, for tests that do what a fuzzer does. The seed is not 0.
#[cfg(test)]
pub(crate) fn random_bytes(seed: u64, count: usize) -> Vec<u8> {
    // Seeds that are near each other, and small, make bytes that are not.
    let mut random = Xorshift(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    (0..count).map(|_| (random.next() >> 40) as u8).collect()
}
