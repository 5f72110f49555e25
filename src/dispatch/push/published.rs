//! Under which numbers other nodes get a push: what is in two places is known by them as one.

use super::Push;
use minicbor::{Decode, Encode};
use smallvec::SmallVec;

/// A push, by the number under which it goes over the bus: the same on all nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
pub(crate) struct PushId {
    /// The process that has published it.
    #[n(0)]
    pub incarnation: u64,
    /// The reactor there.
    #[n(1)]
    pub reactor: u8,
    /// The Redis that it went over.
    #[n(2)]
    pub server: u8,
    /// Its number among the messages of those.
    #[n(3)]
    pub sequence: u64,
}

/// One for each copy of a push: mostly one.
pub(crate) type PushIds = SmallVec<[PushId; 1]>;

impl Push {
    /// It goes over the bus, or has come over it, under these numbers. Call it before any reactor delivers the push.
    pub(crate) fn know_as(&self, ids: PushIds) {
        let known = self.ids.set(ids);
        debug_assert!(known.is_ok(), "a push is published once");
    }

    /// Under which numbers other nodes get it; none where they do not.
    pub(crate) fn ids(&self) -> &[PushId] {
        self.ids.get().map_or(&[], |ids| ids)
    }
}
