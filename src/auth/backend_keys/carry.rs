//! How what a key may do is carried to another process: as the key's digest, with what it was allowed: the new rules
//! decide about it as they do after a reload.

use super::{Access, BackendKeys};
use crate::dispatch::Right;
use minicbor::bytes::ByteArray;
use minicbor::{Decode, Encode};
use std::sync::Arc;

/// An [`Access`] on its way.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct CarriedAccess {
    /// The SHA-256 of the key; absent where the port had no keys, and where none was looked at.
    #[n(0)]
    digest: Option<ByteArray<32>>,
    /// 0 read, 1 push, 2 all.
    #[n(1)]
    may: Vec<u8>,
    /// The apps that it may name; absent where it is for the whole server.
    #[n(2)]
    apps: Option<Vec<u16>>,
}

impl Access {
    /// As it is carried.
    pub fn carry(&self) -> CarriedAccess {
        // The name is for the log: the new rules have it.
        let Self { key: _, digest, may, apps, is_general } = self;
        let ids = apps.found().filter_map(|name| apps.find(name).ok()).map(|app| app.0);
        CarriedAccess {
            digest: digest.map(Into::into),
            may: may.iter().copied().map(number_of).collect(),
            apps: (!is_general).then(|| ids.collect()),
        }
    }

    /// Whether it may do all that the one may who came from another process.
    pub fn covers_carried(&self, carried: &CarriedAccess) -> bool {
        let CarriedAccess { digest: _, may, apps } = carried;
        let now = self.carry();
        // A right of another version is none here.
        let all = number_of(Right::All);
        let may_all =
            may.iter().all(|right| *right <= all && (now.may.contains(right) || now.may.contains(&all)));
        let reaches = match (&now.apps, apps) {
            (None, _) => true,
            (Some(now), Some(apps)) => apps.iter().all(|app| now.contains(app)),
            (Some(_), None) => false,
        };
        may_all && reaches
    }
}

fn number_of(right: Right) -> u8 {
    match right {
        Right::Read => 0,
        Right::Push => 1,
        Right::All => 2,
    }
}

impl BackendKeys {
    /// What the key may do by these rules that came from another process; `None` where it is gone.
    pub fn successor_of_carried(&self, carried: &CarriedAccess) -> Option<&Arc<Access>> {
        let digest = carried.digest.map(<[u8; 32]>::from);
        match digest {
            None if carried.may.is_empty() => Some(&self.nobody),
            _ if self.keys.is_empty() => Some(&self.open),
            Some(_) => self.keys.iter().map(|(_, access)| access).find(|access| access.digest == digest),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Backend, BackendKey, Secret};
    use crate::dispatch::Apps;

    const KEY: &str = "0123456789abcdef";

    fn keys(named: &[(&str, &str, &[Right], &[&str])]) -> BackendKeys {
        let named = named.iter().map(|(name, key, may, apps)| BackendKey {
            name: (*name).into(),
            key: Some(Secret::new(*key)),
            key_file: None,
            may: may.to_vec(),
            apps: apps.iter().map(|app| (*app).to_owned()).collect(),
        });
        let config = Backend { keys: named.collect(), ..Backend::default() };
        BackendKeys::new(&config, &Apps::new(["chess", "go"]).unwrap())
    }

    /// What became of the one with [`KEY`], by other keys: the name of its key, and whether it may do all that it might.
    fn follow(before: &BackendKeys, now: &BackendKeys) -> Option<(Option<String>, bool)> {
        let carried = minicbor::to_vec(before.access(Some(KEY.as_bytes())).unwrap().carry()).unwrap();
        let carried = minicbor::decode(&carried).unwrap();
        let access = now.successor_of_carried(&carried)?;
        Some((access.key().map(Into::into), access.covers_carried(&carried)))
    }

    #[test]
    fn a_key_is_known_by_itself_and_held_to_what_it_may_do_now() {
        const OTHER: &str = "other-key-that-is-none";
        let before = keys(&[("a", KEY, &[Right::Read, Right::Push], &["chess"])]);
        let named = |name: &str, covers| Some((Some(name.to_owned()), covers));
        assert_eq!(follow(&before, &before), named("a", true));
        let renamed = keys(&[("x", OTHER, &[Right::All], &[]), ("b", KEY, &[Right::All], &[])]);
        assert_eq!(follow(&before, &renamed), named("b", true));
        assert_eq!(follow(&before, &keys(&[("a", KEY, &[Right::Read], &["chess"])])), named("a", false));
        assert_eq!(follow(&before, &keys(&[("a", KEY, &[Right::All], &["go"])])), named("a", false));
        assert_eq!(follow(&before, &keys(&[("a", OTHER, &[Right::All], &[])])), None);
        assert_eq!(follow(&before, &keys(&[])), Some((None, true)));
        assert_eq!(follow(&renamed, &before), named("a", false));
    }

    #[test]
    fn who_had_no_key_has_none_where_there_are_some() {
        assert_eq!(follow(&keys(&[]), &keys(&[])), Some((None, true)));
        assert_eq!(follow(&keys(&[]), &keys(&[("a", KEY, &[Right::All], &[])])), None);
        let now = keys(&[("a", KEY, &[Right::All], &[])]);
        let nobody = now.nobody().carry();
        let successor = now.successor_of_carried(&nobody).unwrap();
        assert!(Arc::ptr_eq(successor, now.nobody()) && successor.covers_carried(&nobody));
    }
}
