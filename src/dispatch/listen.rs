//! Which events a link gets, and in which form.

use crate::session::Name;

/// Which events a link wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Sessions that open.
    pub open: bool,
    /// Messages from clients.
    pub message: bool,
    /// Sessions that close.
    pub close: bool,
    /// Links with the same name here split the sessions among them.
    pub share: Option<Name>,
    /// How the link speaks.
    pub form: LinkForm,
}

/// In which form a link gets its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkForm {
    /// A JSON object in a text message.
    Json,
    /// The layout of [`link_bin`](crate::link_bin) in a binary message.
    Binary,
}
