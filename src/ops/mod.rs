//! What backends can ask for. Knows nothing of how it is carried out.

use crate::dispatch::Right;

/// What a request or a command asks of the key that is shown with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// No key at all: whether the server is alive.
    Nothing,
    /// A key, whatever it may do: what is asked then is held against its rights one by one.
    Key,
    /// A key that may do this.
    Right(Right),
}
