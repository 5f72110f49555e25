//! What both halves of an end of a connection share: where the closing handshake stands, and what most ends do not have.

use super::deflate::Deflate;

/// Where the closing handshake stands, RFC 6455 §7.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// No Close was sent or received.
    Open,
    /// Ours was sent, the peer's is awaited.
    Closing,
    /// Both were sent.
    Closed,
    /// The peer broke the protocol or left without a Close.
    Failed,
}

/// What an end has beside its state: a server's without permessage-deflate has none of it.
#[derive(Default)]
pub(super) struct Extras {
    /// A client has it, a server does not.
    pub(super) mask_keys: Option<MaskKeys>,
    /// Where permessage-deflate was agreed on.
    pub(super) deflate: Option<Deflate>,
    /// By how many bytes the messages that were inflated are longer than what came of them, since this was last taken.
    pub(super) inflated: usize,
}

/// Where a client's masks come from.
pub(super) struct MaskKeys(pub(super) Box<dyn FnMut() -> [u8; 4] + Send>);
