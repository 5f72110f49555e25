//! The keys of the backend port: who asks, and what that one may do. Knows nothing of what the rights are asked for.

mod carry;

pub use carry::CarriedAccess;

use crate::config::{Backend, Secret, UNNAMED_KEY};
use crate::dispatch::{Apps, CommandError, ErrorCode, Right};
use crate::session::{AppId, Name};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// Every key of the port.
#[derive(Debug)]
pub struct BackendKeys {
    keys: Box<[(Secret, Arc<Access>)]>,
    /// Whoever asks has this one where there are no keys.
    open: Arc<Access>,
    nobody: Arc<Access>,
}

/// What the one who has shown a key may do. A link keeps it from its upgrade on.
#[derive(Debug)]
pub struct Access {
    /// `None` where the port has no keys.
    key: Option<Box<str>>,
    /// What the key is known by in another process.
    digest: Option<[u8; 32]>,
    may: Box<[Right]>,
    /// Only those that it may name.
    apps: Apps,
    /// Whether it is for the whole server, and not for some apps alone.
    is_general: bool,
}

impl BackendKeys {
    /// The keys of a configuration that has been validated.
    pub fn new(config: &Backend, apps: &Apps) -> Self {
        let access = |key: Option<(&str, &Secret)>, may: &[Right], apps: Apps, is_general: bool| {
            let digest = key.map(|(_, secret)| Sha256::digest(secret.expose()).into());
            let key = key.map(|(name, _)| name.into());
            Arc::new(Access { key, digest, may: may.into(), apps, is_general })
        };
        let unnamed = config
            .key
            .iter()
            .map(|key| (key.clone(), access(Some((UNNAMED_KEY, key)), &[Right::All], apps.clone(), true)));
        let named = config.keys.iter().filter_map(|each| {
            let ids: Vec<AppId> = each.apps.iter().filter_map(|app| apps.find(app).ok()).collect();
            let is_general = each.apps.is_empty();
            let apps = if is_general { apps.clone() } else { apps.only(&ids) };
            let key = each.key.as_ref()?;
            Some((key.clone(), access(Some((&each.name, key)), &each.may, apps, is_general)))
        });
        Self {
            keys: unnamed.chain(named).collect(),
            open: access(None, &[Right::All], apps.clone(), true),
            nobody: access(None, &[], apps.only(&[]), false),
        }
    }

    /// What somebody may do whose key is not looked at: nothing, in no app.
    pub fn nobody(&self) -> &Arc<Access> {
        &self.nobody
    }

    /// What the one with this `access`, by the keys `before`, may do by these: by the same key as much as before, or more.
    /// `None` where the key is gone, or may do less.
    pub fn successor_of(&self, access: &Arc<Access>, before: &Self) -> Option<&Arc<Access>> {
        let of = |keys: &Self| {
            keys.keys.iter().find(|(_, each)| Arc::ptr_eq(each, access)).map(|(key, _)| key.clone())
        };
        let successor = match of(before) {
            Some(key) => self.access(Some(key.expose().as_bytes()))?,
            None if self.keys.is_empty() && Arc::ptr_eq(access, &before.open) => &self.open,
            None => return None,
        };
        successor.covers(access).then_some(successor)
    }

    /// What the one who presents `key` may do; `None` where that is no key of the port.
    ///
    /// The time it takes depends on what was presented and on the lengths of all keys, not on which of them it was, on how much
    /// of it was right, nor on whether the lengths agree.
    pub fn access(&self, key: Option<&[u8]>) -> Option<&Arc<Access>> {
        if self.keys.is_empty() {
            return Some(&self.open);
        }
        let presented = key?;
        let mut found = u32::MAX;
        for (index, (key, _)) in (0_u32..).zip(&self.keys) {
            found.conditional_assign(&index, equal(presented, key.expose().as_bytes()));
        }
        self.keys.get(found as usize).map(|(_, access)| access)
    }
}

impl Access {
    /// The name of the key; `None` where the port has no keys.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// What it may do.
    pub fn may(&self) -> &[Right] {
        &self.may
    }

    /// Whether it may do all that `other` may.
    pub fn covers(&self, other: &Self) -> bool {
        let may = |needed: &Right| self.may.iter().any(|right| right.covers(*needed));
        let finds = |app: &Name| self.apps.find(app).is_ok();
        let reaches = self.is_general || (!other.is_general && other.apps.found().all(finds));
        other.may.iter().all(may) && reaches
    }

    /// Whether it may order what is about the whole server.
    ///
    /// # Errors
    /// 403 for a key of some apps alone.
    pub fn permit_order(&self) -> Result<(), CommandError> {
        match self.is_general {
            true => Ok(()),
            false => Err(CommandError::new(
                ErrorCode::Forbidden,
                "this is about the whole server, and the key is for some of its apps",
            )),
        }
    }

    /// The apps that it may name. To it there are no others.
    pub fn apps(&self) -> &Apps {
        &self.apps
    }

    /// Whether it may do what asks for `needed`.
    ///
    /// # Errors
    /// [`ErrorCode::Forbidden`].
    pub fn permit(&self, needed: Right) -> Result<(), CommandError> {
        if self.may.iter().any(|right| right.covers(needed)) {
            return Ok(());
        }
        let message = format!("this key may not do that: it needs \"{}\" in may", needed.as_str());
        Err(CommandError::new(ErrorCode::Forbidden, message))
    }
}

/// Looks at every byte of `key`, however long `presented` is: subtle's slices give up early where lengths differ.
fn equal(presented: &[u8], key: &[u8]) -> Choice {
    let mut same: Choice = presented.len().ct_eq(&key.len());
    for (index, expected) in key.iter().enumerate() {
        let byte = presented.get(index).copied().unwrap_or(0);
        same &= byte.ct_eq(expected);
    }
    same
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::BackendKey;

    fn keys(key: Option<&str>, named: &[(&str, &str, &[Right], &[&str])]) -> BackendKeys {
        let named = named.iter().map(|(name, key, may, apps)| BackendKey {
            name: (*name).into(),
            key: Some(Secret::new(*key)),
            key_file: None,
            may: may.to_vec(),
            apps: apps.iter().map(|app| (*app).to_owned()).collect(),
        });
        let config = Backend { key: key.map(Secret::new), keys: named.collect(), ..Backend::default() };
        BackendKeys::new(&config, &Apps::new(["chess", "go"]).unwrap())
    }

    #[test]
    fn only_a_key_opens_and_says_whose_it_is() {
        let one = "0123456789abcdef";
        let two = "0123456789abcdeF0";
        let keys = keys(Some(one), &[("two", two, &[Right::Read], &[])]);
        let whose = |presented: &[u8]| keys.access(Some(presented)).map(|access| access.key().unwrap());
        assert_eq!(whose(one.as_bytes()), Some("backend.key"));
        assert_eq!(whose(two.as_bytes()), Some("two"));
        for other in [
            "",
            "0",
            "0123456789abcde",
            "0123456789abcdeF",
            "0123456789abcdef0",
            "0123456789abcdef\0",
            &"\0".repeat(16),
        ] {
            assert_eq!(whose(other.as_bytes()), None, "{other}");
        }
        assert_eq!(whose(b"\xff\xfe"), None);
        assert!(keys.access(None).is_none() && keys.nobody().permit(Right::Read).is_err());
    }

    #[test]
    fn without_keys_anybody_may_do_anything() {
        let keys = keys(None, &[]);
        for presented in [None, Some(b"whatever".as_slice())] {
            let access = keys.access(presented).unwrap();
            assert!(access.key().is_none() && access.permit(Right::All).is_ok());
        }
        assert!(keys.nobody().apps().default_app().is_err());
    }

    #[test]
    fn a_key_may_do_what_it_says_in_the_apps_that_it_says() {
        let key = "0123456789abcdef";
        let keys = keys(None, &[("push", key, &[Right::Read, Right::Push], &["chess"])]);
        let access = keys.access(Some(key.as_bytes())).unwrap();
        let may = [Right::Read, Right::Push, Right::All].map(|right| access.permit(right));
        assert!(may[0].is_ok() && may[1].is_ok());
        let refused = may[2].clone().unwrap_err();
        assert_eq!(refused.code, ErrorCode::Forbidden);
        assert!(refused.message.contains("\"all\""), "{refused}");
        assert_eq!(access.apps().find("chess"), Ok(AppId(1)));
        assert_eq!(access.apps().name_of(AppId(1)).as_str(), "chess");
        let none = |name: &str| Apps::new([""; 0]).unwrap().find(name).unwrap_err();
        assert_eq!(access.apps().find("go"), Err(none("go")), "as if there were none");
        assert_eq!(access.apps().default_app().unwrap_err().code, ErrorCode::NotFound);
    }
}
