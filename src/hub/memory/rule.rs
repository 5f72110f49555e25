//! What a group is to remember.

/// What a group is to remember: at least one of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryRule {
    /// The newest push of each key.
    pub latest: Option<LatestRule>,
    /// The last pushes.
    pub log: Option<LogRule>,
}

/// The bounds of what a group keeps by key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LatestRule {
    /// Keys.
    pub keys: usize,
    /// The memory of their messages.
    pub bytes: usize,
    /// A group without members and pushes forgets them after so long.
    pub idle_ms: u64,
}

/// The bounds of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogRule {
    /// Messages.
    pub messages: usize,
    /// Their memory.
    pub bytes: usize,
    /// How long each is kept.
    pub ttl_ms: u64,
}

impl MemoryRule {
    /// Whether anything is kept of a push, with a key or without.
    pub fn keeps(&self, has_key: bool) -> bool {
        self.log.is_some() || (has_key && self.latest.is_some())
    }
}
