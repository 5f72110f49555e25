//! What becomes of a message for one session.

/// What became of a message for one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The socket took all of it.
    Written,
    /// A newer message with the same key took its place.
    Replaced,
    /// The queue had no room for it.
    Dropped,
    /// Its time to live ran out in the queue.
    Expired,
    /// The session closed before it was written.
    Closed,
}
