//! How many events, and how many bytes of them.

/// The bound of what is on its way to a link, or kept of it.
#[derive(Debug, Clone, Copy)]
pub struct EventLimit {
    /// Bytes of frames.
    pub bytes: usize,
    /// Frames.
    pub events: usize,
}
