//! The cursor over what was read from the peer. It knows nothing of frames; it only hands out pieces of the buffer.

/// A cursor over bytes that came from the peer.
///
/// The buffer is borrowed mutably because payloads are unmasked where they lie. Pieces handed out live as long as
/// the buffer, not as long as the cursor.
///
/// ```
/// use gannet::protocol::Input;
/// let mut bytes = *b"\x81\x00";
/// let input = Input::new(&mut bytes);
/// assert_eq!(input.remaining(), 2);
/// ```
#[derive(Debug)]
pub struct Input<'b> {
    bytes: &'b mut [u8],
}

impl<'b> Input<'b> {
    /// A cursor at the start of `bytes`.
    pub fn new(bytes: &'b mut [u8]) -> Self {
        Self { bytes }
    }

    /// Whether everything was used.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The number of bytes not used yet.
    pub fn remaining(&self) -> usize {
        self.bytes.len()
    }

    /// What was not used yet.
    pub fn as_slice(&self) -> &[u8] {
        self.bytes
    }

    /// The next `count` bytes, or all that remain when there are fewer.
    #[inline]
    pub(super) fn take(&mut self, count: usize) -> &'b mut [u8] {
        let bytes = std::mem::take(&mut self.bytes);
        let (head, rest) = bytes.split_at_mut(count.min(bytes.len()));
        self.bytes = rest;
        head
    }

    pub(super) fn discard(&mut self) {
        self.bytes = &mut [];
    }
}
