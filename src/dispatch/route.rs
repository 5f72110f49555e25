//! Whose events a route is about.

use crate::session::{Name, SessionId};

/// The sessions whose events go to one link of a share.
///
/// ```
/// use gannet::dispatch::{Action, Routed};
/// use gannet::session::Name;
/// /// The process that owns a match has its players, those who are in it and those who come.
/// fn owns(process: &str, game: &str) -> Result<Action, gannet::session::InvalidName> {
///     Ok(Action::Route { what: Routed::Group(Name::new(game)?), link: Some(Name::new(process)?) })
/// }
/// assert!(owns("m7", "match-1").is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Routed {
    /// One session.
    Session(SessionId),
    /// The sessions of a user, also those that come.
    User(Name),
    /// The members of a group, also those that join.
    Group(Name),
}
