//! How far a push or a command goes.

/// Which nodes a push or a command means, where there are several.
///
/// ```
/// use gannet::dispatch::{PushOptions, Scope};
/// let here = PushOptions { scope: Scope::Node, ..PushOptions::default() };
/// assert_ne!(here.scope, Scope::default());
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scope {
    /// All nodes of the cluster; without one, the server.
    #[default]
    Cluster,
    /// The node that has been asked.
    Node,
}

impl Scope {
    /// The values of `scope`.
    pub(crate) const NAMES: [&'static str; 2] = ["cluster", "node"];

    /// What `text` names; `None` for another text.
    pub(crate) fn named(text: &str) -> Option<Self> {
        match text {
            "cluster" => Some(Self::Cluster),
            "node" => Some(Self::Node),
            _ => None,
        }
    }
}
