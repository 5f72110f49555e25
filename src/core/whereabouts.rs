//! Where the session is that a client has come for: on this node of a cluster, on another one, or nowhere.

use crate::auth::SealedTicket;
use crate::metrics::ResumeFailure;

/// Where the session is that a client has come for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whereabouts {
    /// On this node.
    Here,
    /// On another one, or gone to one: the ticket as the client has shown it, for that to read; `None` where this node has read it.
    Elsewhere(Option<SealedTicket>),
    /// It has come here from another one, for this client. Nobody has been told of it.
    Arrived,
    /// The client cannot have it.
    Refused(ResumeFailure),
}
