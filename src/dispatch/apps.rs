//! The table of apps that the configuration made: a name is looked up once, at the door, and an [`AppId`] travels from
//! there on. Knows nothing of an app's keys or settings.

use super::{CommandError, ErrorCode, Quoted};
use crate::session::{AppId, InvalidName, Name};
use hashbrown::HashMap;
use std::fmt;

/// The name of the app that is always there.
const DEFAULT: &str = "default";

/// The apps by name and by id. `default` is always there and always [`Apps::DEFAULT`], but for [`Apps::only`] a part of the
/// table.
#[derive(Debug, Clone)]
pub struct Apps {
    /// Indexed by [`AppId`].
    names: Vec<Name>,
    ids: HashMap<Name, AppId>,
}

/// Why the configured apps make no table.
///
/// ```
/// use gannet::dispatch::InvalidApps;
/// assert_eq!(InvalidApps::TooMany.to_string(), "there can be at most 65536 apps on one server, removed ones included");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvalidApps {
    /// A name that is none.
    Name {
        /// The name as configured.
        name: Box<str>,
        /// What is wrong with it.
        reason: InvalidName,
    },
    /// More apps than there are ids.
    TooMany,
}

impl Apps {
    /// The app of whoever names none.
    pub const DEFAULT: AppId = AppId(0);
    /// The most apps one server can have.
    pub const MAX: usize = u16::MAX as usize + 1;

    /// A table of `default` and `names`, whose ids follow in the order given; a name given twice is one app.
    ///
    /// # Errors
    /// [`InvalidApps`] when a name is out of bounds, or when there are more than [`Apps::MAX`].
    pub fn new<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Result<Self, InvalidApps> {
        let mut apps = Self { names: Vec::new(), ids: HashMap::new() };
        apps.add(DEFAULT)?;
        for name in names {
            apps.add(name.as_ref())?;
        }
        Ok(apps)
    }

    /// The table that follows on this one: every app keeps its id, also one that is not `found` in it any more. `names` are
    /// added.
    ///
    /// # Errors
    /// As for [`Apps::new`]; ids are never given a second time.
    pub fn extended<N: AsRef<str>>(
        &self,
        names: impl IntoIterator<Item = N>,
        found: impl Fn(&Name, AppId) -> bool,
    ) -> Result<Self, InvalidApps> {
        let all = self.names.iter().cloned().zip((0..=u16::MAX).map(AppId));
        let mut apps = Self { names: self.names.clone(), ids: all.collect() };
        for name in names {
            apps.add(name.as_ref())?;
        }
        apps.ids.retain(|name, id| *id == Self::DEFAULT || found(name, *id));
        Ok(apps)
    }

    /// The id of the app called `name`.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] when no app is called that.
    pub fn find(&self, name: &str) -> Result<AppId, CommandError> {
        self.ids.get(name).copied().ok_or_else(|| {
            let message = format!("there is no app {}; name one that the configuration has", Quoted(name));
            CommandError::new(ErrorCode::NotFound, message)
        })
    }

    /// The app of whoever names none.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] when it is not among them: in a part of the table.
    pub fn default_app(&self) -> Result<AppId, CommandError> {
        self.find(DEFAULT)
    }

    /// The part of the table in which only `ids` are found. Every id still has its name.
    pub fn only(&self, ids: &[AppId]) -> Self {
        let named = self.ids.iter().filter(|(_, id)| ids.contains(id));
        Self { names: self.names.clone(), ids: named.map(|(name, id)| (name.clone(), *id)).collect() }
    }

    /// The names that are found, in no order.
    pub fn found(&self) -> impl Iterator<Item = &Name> {
        self.ids.keys()
    }

    /// The names of all apps in the order of their ids.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.names.iter()
    }

    /// Whether this is the id of an app of the table, found or not.
    pub fn has(&self, app: AppId) -> bool {
        usize::from(app.0) < self.names.len()
    }

    /// The name of an app.
    ///
    /// # Panics
    /// When `app` is not an id of this table: ids come from nowhere else.
    pub fn name_of(&self, app: AppId) -> &Name {
        &self.names[usize::from(app.0)]
    }

    fn add(&mut self, name: &str) -> Result<(), InvalidApps> {
        if self.ids.contains_key(name) {
            return Ok(());
        }
        let id = u16::try_from(self.names.len()).map_err(|_| InvalidApps::TooMany)?;
        let name = Name::new(name)
            .map_err(|reason| InvalidApps::Name { name: Quoted(name).to_string().into(), reason })?;
        self.names.push(name.clone());
        self.ids.insert(name, AppId(id));
        Ok(())
    }
}

impl fmt::Display for InvalidApps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { name, reason } => write!(f, "{name} cannot be the name of an app: {reason}"),
            Self::TooMany => {
                write!(f, "there can be at most {} apps on one server, removed ones included", Apps::MAX)
            }
        }
    }
}

impl std::error::Error for InvalidApps {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_is_always_app_zero() {
        for names in [vec![], vec!["default"], vec!["chess", "default"], vec!["default", "chess", "chess"]] {
            let apps = Apps::new(&names).unwrap();
            assert_eq!(apps.find("default"), Ok(Apps::DEFAULT), "{names:?}");
            for name in names {
                assert_eq!(apps.name_of(apps.find(name).unwrap()).as_str(), name);
            }
        }
    }

    #[test]
    fn an_unknown_app_is_not_found_and_named() {
        let error = Apps::new(["chess"]).unwrap().find("ches\ns").unwrap_err();
        assert_eq!(error.code, ErrorCode::NotFound);
        assert!(error.message.contains(r#""ches\ns""#), "{error}");
    }

    #[test]
    fn names_and_number_are_bounded() {
        let refused = |names: &[&str]| Apps::new(names).unwrap_err();
        assert_eq!(refused(&[""]), InvalidApps::Name { name: r#""""#.into(), reason: InvalidName::Empty });
        let name = r#""a\nb""#.into();
        assert_eq!(refused(&["a\nb"]), InvalidApps::Name { name, reason: InvalidName::ControlCharacter });
        let named = |count: usize| Apps::new((1..count).map(|number| number.to_string()));
        assert!(named(Apps::MAX).is_ok());
        assert_eq!(named(Apps::MAX + 1).unwrap_err(), InvalidApps::TooMany);
    }
}
