//! Decisions read from the front of the input; zero when it is used up, so that every input decides everything.

/// The input, and what of it was not used.
pub struct Choices<'d> {
    data: &'d [u8],
}

impl<'d> Choices<'d> {
    pub fn new(data: &'d [u8]) -> Self {
        Self { data }
    }

    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        match self.data.split_first() {
            Some((&byte, rest)) => {
                self.data = rest;
                byte
            }
            None => 0,
        }
    }

    /// Up to `count` bytes.
    pub fn bytes(&mut self, count: usize) -> &'d [u8] {
        let (bytes, rest) = self.data.split_at(count.min(self.data.len()));
        self.data = rest;
        bytes
    }

    /// Sizes of at least 1, to be used in turn: a byte says how many, then a byte each.
    pub fn sizes(&mut self) -> Vec<usize> {
        let count = usize::from(self.byte() % 8) + 1;
        self.bytes(count).iter().map(|&size| usize::from(size) + 1).collect()
    }

    pub fn rest(&mut self) -> &'d [u8] {
        std::mem::take(&mut self.data)
    }
}

/// `bytes` in pieces of `sizes`, over and over; whole when there are none.
pub fn pieces<'d>(mut bytes: &'d [u8], sizes: &[usize]) -> Vec<&'d [u8]> {
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
