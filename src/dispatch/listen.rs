//! Which events a link gets, and in which form.

use crate::session::Name;

/// Which events a link wants.
///
/// ```
/// use gannet::dispatch::{LinkForm, Listen};
/// let closes = Listen { open: false, message: false, close: true, share: None, form: LinkForm::Json };
/// assert!(closes.close);
/// ```
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
///
/// ```
/// use gannet::dispatch::LinkForm;
/// assert_ne!(LinkForm::Json, LinkForm::Binary);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkForm {
    /// A JSON object in a text message.
    Json,
    /// The layout of [`link_bin`](crate::link_bin) in a binary message.
    Binary,
}
