//! What a session's client has shown beside who it is, as far as its app keeps it.

use serde::{Serialize, Serializer};

/// A query parameter: its name and its value.
///
/// ```
/// let version: gannet::dispatch::Param = ("version".into(), "1.2".into());
/// assert_eq!(&*version.0, "version");
/// ```
pub type Param = (Box<str>, Box<str>);

/// What an app keeps of the token and of the query that a session was opened with.
///
/// ```
/// use gannet::dispatch::Profile;
/// let profile = Profile { claims: Some(r#"{"rank":3}"#.into()), params: vec![("version".into(), "1.2".into())] };
/// assert_eq!(profile.param("version"), Some("1.2"));
/// assert!(!profile.is_empty() && Profile::default().is_empty());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// The claims of the token that `apps.NAME.claims` names: a JSON object.
    pub claims: Option<Box<str>>,
    /// The query parameters that `apps.NAME.params` names, with their values, each once.
    pub params: Vec<Param>,
}

impl Profile {
    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.claims.is_none() && self.params.is_empty()
    }

    /// The value of a parameter.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(known, _)| **known == *name).map(|(_, value)| &**value)
    }
}

/// Parameters as a JSON object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Params<'a>(pub(crate) &'a [Param]);

impl Serialize for Params<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}
