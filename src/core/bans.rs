//! Who may open no session. All reactors share the list: it is looked at when a session opens, and never on the way of a message.
//! Knows nothing of requests.

use crate::cluster::known::{HeldBan, KnownBan};
use crate::dispatch::{Ban, BanPage, Banned, CommandError, ErrorCode};
use crate::session::{AppId, Name, Network};
use crate::upgrade::InvalidState;
use hashbrown::HashMap;
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// See the module.
#[derive(Debug, Default)]
pub struct Bans {
    /// Whether there is any: most servers have none, and nobody waits for the lock there.
    any: AtomicBool,
    apps: Mutex<HashMap<u16, AppBans>>,
    /// Of whom a ban was taken back, by app, and when, in milliseconds since the Unix epoch: for nodes that have not heard of it.
    taken_back: Mutex<BTreeMap<(u16, Banned), u64>>,
}

/// Bans that were taken back, of which a node remembers that they were.
const MOST_TAKEN_BACK: usize = 10_000;

/// The bans of an app, in the order of its pages.
type AppBans = BTreeMap<Banned, Entry>;

#[derive(Debug, Clone)]
struct Entry {
    until_unix_ms: Option<u64>,
    reason: Box<str>,
    /// When it was said, in milliseconds since the Unix epoch.
    since_unix_ms: u64,
}

impl Entry {
    fn holds(&self, unix_ms: u64) -> bool {
        self.until_unix_ms.is_none_or(|until_unix_ms| unix_ms < until_unix_ms)
    }
}

impl Bans {
    /// Adds a ban, or replaces that of the same. There are at most `most` of all apps.
    ///
    /// # Errors
    /// [`ErrorCode::RateLimited`] where there are as many already.
    pub fn add(&self, app: AppId, ban: Ban, most: usize, unix_ms: u64) -> Result<(), CommandError> {
        self.put(app, ban, unix_ms, most, unix_ms)
    }

    /// The same of one that was said at `since_unix_ms`.
    fn put(
        &self,
        app: AppId,
        ban: Ban,
        since_unix_ms: u64,
        most: usize,
        unix_ms: u64,
    ) -> Result<(), CommandError> {
        let mut apps = self.lock();
        let Ban { whom, until_unix_ms, reason } = ban;
        let is_new = apps.get(&app.0).is_none_or(|bans| !bans.contains_key(&whom));
        if is_new && apps.values().map(BTreeMap::len).sum::<usize>() >= most {
            // What is over makes room.
            apps.values_mut().for_each(|bans| bans.retain(|_, entry| entry.holds(unix_ms)));
            apps.retain(|_, bans| !bans.is_empty());
            if apps.values().map(BTreeMap::len).sum::<usize>() >= most {
                let message = format!("there are {most} bans: take some back, or raise limits.max_bans");
                return Err(CommandError::new(ErrorCode::RateLimited, message));
            }
        }
        apps.entry(app.0).or_default().insert(whom, Entry { until_unix_ms, reason, since_unix_ms });
        self.any.store(true, Ordering::Release);
        Ok(())
    }

    /// Remembers that the ban was taken back at `unix_ms`, whether or not it was known here.
    pub fn note_taken_back(&self, app: AppId, whom: &Banned, unix_ms: u64) {
        let mut taken_back = self.taken_back.lock().unwrap_or_else(PoisonError::into_inner);
        taken_back.insert((app.0, whom.clone()), unix_ms);
        if taken_back.len() > MOST_TAKEN_BACK {
            let oldest = taken_back.iter().min_by_key(|(_, unix_ms)| **unix_ms);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                taken_back.remove(&oldest);
            }
        }
    }

    /// Another node says what it knows of somebody at `unix_ms`. Who is banned by that and was not, is returned. Beyond `most` bans
    /// there is no room for it.
    pub fn learn(&self, app: AppId, known: KnownBan, most: usize, unix_ms: u64) -> Option<Ban> {
        let KnownBan { whom, since_unix_ms, held } = known;
        let entry = self.lock().get(&app.0).and_then(|bans| bans.get(&whom)).cloned();
        let knows_ms = entry.as_ref().map_or(0, |entry| entry.since_unix_ms);
        let Some(HeldBan { until_unix_ms, reason }) = held else {
            if knows_ms <= since_unix_ms && self.taken_back_ms(app, &whom) < since_unix_ms {
                self.remove(app, &whom, unix_ms);
                self.note_taken_back(app, &whom, since_unix_ms);
            }
            return None;
        };
        let ban = Ban { whom, until_unix_ms, reason };
        let is_over = until_unix_ms.is_some_and(|until_unix_ms| until_unix_ms <= unix_ms);
        if is_over || since_unix_ms <= knows_ms.max(self.taken_back_ms(app, &ban.whom)) {
            return None;
        }
        let was_banned = entry.is_some_and(|entry| entry.holds(unix_ms));
        let is_put = self.put(app, ban.clone(), since_unix_ms, most, unix_ms).is_ok();
        Some(ban).filter(|_| is_put && !was_banned)
    }

    fn taken_back_ms(&self, app: AppId, whom: &Banned) -> u64 {
        let taken_back = self.taken_back.lock().unwrap_or_else(PoisonError::into_inner);
        taken_back.get(&(app.0, whom.clone())).copied().unwrap_or_default()
    }

    /// What is known at `unix_ms`, for other nodes.
    pub fn known(&self, app: AppId, unix_ms: u64) -> Vec<KnownBan> {
        let apps = self.lock();
        let held = apps.get(&app.0).into_iter().flatten().filter(|(_, entry)| entry.holds(unix_ms));
        let held = held.map(|(whom, entry)| KnownBan {
            whom: whom.clone(),
            since_unix_ms: entry.since_unix_ms,
            held: Some(HeldBan { until_unix_ms: entry.until_unix_ms, reason: entry.reason.clone() }),
        });
        let mut known: Vec<KnownBan> = held.collect();
        drop(apps);
        let taken_back = self.taken_back.lock().unwrap_or_else(PoisonError::into_inner);
        let of_app = taken_back.iter().filter(|((of, _), _)| *of == app.0);
        known.extend(of_app.map(|((_, whom), since_unix_ms)| KnownBan {
            whom: whom.clone(),
            since_unix_ms: *since_unix_ms,
            held: None,
        }));
        known
    }

    /// Takes a ban back; whether it held.
    pub fn remove(&self, app: AppId, whom: &Banned, unix_ms: u64) -> bool {
        let mut apps = self.lock();
        let Some(bans) = apps.get_mut(&app.0) else { return false };
        let removed = bans.remove(whom).is_some_and(|entry| entry.holds(unix_ms));
        if bans.is_empty() {
            apps.remove(&app.0);
        }
        self.any.store(!apps.is_empty(), Ordering::Release);
        removed
    }

    /// The ban that keeps this user, or whoever comes from this address, out of the app.
    pub fn find(
        &self,
        app: AppId,
        user: Option<&Name>,
        address: Option<IpAddr>,
        unix_ms: u64,
    ) -> Option<Ban> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let apps = self.lock();
        let bans = apps.get(&app.0)?;
        let by_user = user.and_then(|user| bans.get_key_value(&Banned::User(user.clone())));
        let mut by_address = address.into_iter().flat_map(|address| {
            let address = address.to_canonical();
            let bits = if address.is_ipv4() { 32 } else { 128 };
            (0..=bits).map(move |bits| Banned::Address(Network::of(address, bits)))
        });
        let found = by_user.filter(|(_, entry)| entry.holds(unix_ms)).or_else(|| {
            by_address.find_map(|whom| bans.get_key_value(&whom).filter(|(_, entry)| entry.holds(unix_ms)))
        });
        found.map(|(whom, entry)| ban_of(whom, entry))
    }

    /// A page of the bans of an app that hold.
    pub fn page(&self, app: AppId, limit: usize, after: Option<&Banned>, unix_ms: u64) -> BanPage {
        let apps = self.lock();
        let Some(bans) = apps.get(&app.0) else { return BanPage::default() };
        let count = bans.values().filter(|entry| entry.holds(unix_ms)).count() as u32;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rest = bans.range::<Banned, _>((from, Bound::Unbounded));
        let mut rest =
            rest.filter(|(_, entry)| entry.holds(unix_ms)).map(|(whom, entry)| ban_of(whom, entry));
        let page: Vec<Ban> = rest.by_ref().take(limit).collect();
        let has_more = rest.next().is_some();
        let next = page.last().filter(|_| has_more).map(|ban| ban.whom.clone());
        BanPage { count, bans: page, next }
    }

    /// As they are carried, where there are any.
    pub fn carry(&self) -> Option<CarriedBans> {
        let apps = self.lock();
        let bans = apps.iter().flat_map(|(app, bans)| {
            bans.iter().map(|(whom, entry)| CarriedBan {
                app: *app,
                whom: whom.to_string().into(),
                until_unix_ms: entry.until_unix_ms,
                reason: entry.reason.clone(),
                since_unix_ms: Some(entry.since_unix_ms),
            })
        });
        let bans: Vec<CarriedBan> = bans.collect();
        (!bans.is_empty()).then_some(CarriedBans(bans))
    }

    /// Goes on from those of another process.
    ///
    /// # Errors
    /// One of nobody.
    pub fn go_on_from(&self, carried: CarriedBans) -> Result<(), InvalidState> {
        let mut apps = self.lock();
        for CarriedBan { app, whom, until_unix_ms, reason, since_unix_ms } in carried.0 {
            let whom = whom.parse().map_err(|_| InvalidState::new("a ban of nobody"))?;
            let since_unix_ms = since_unix_ms.unwrap_or_default();
            apps.entry(app).or_default().insert(whom, Entry { until_unix_ms, reason, since_unix_ms });
        }
        self.any.store(!apps.is_empty(), Ordering::Release);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u16, AppBans>> {
        // What a holder that panicked left is whole: every change is one call.
        self.apps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ban_of(whom: &Banned, entry: &Entry) -> Ban {
    Ban { whom: whom.clone(), until_unix_ms: entry.until_unix_ms, reason: entry.reason.clone() }
}

/// [`Bans`] on their way.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct CarriedBans(#[n(0)] Vec<CarriedBan>);

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
struct CarriedBan {
    #[n(0)]
    app: u16,
    #[n(1)]
    whom: Box<str>,
    #[n(2)]
    until_unix_ms: Option<u64>,
    #[n(3)]
    reason: Box<str>,
    /// When it was said, in milliseconds since the Unix epoch.
    #[n(4)]
    since_unix_ms: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: AppId = AppId(3);

    fn ban(whom: &str, until_unix_ms: Option<u64>) -> Ban {
        Ban { whom: whom.parse().unwrap(), until_unix_ms, reason: "r".into() }
    }

    fn finds(bans: &Bans, user: &str, address: &str, unix_ms: u64) -> Option<String> {
        let found = bans.find(APP, Some(&Name::new(user).unwrap()), address.parse().ok(), unix_ms);
        found.map(|ban| ban.whom.to_string())
    }

    #[test]
    fn a_ban_holds_for_its_app_and_its_time_and_is_carried() {
        let bans = Bans::default();
        assert_eq!(finds(&bans, "ada", "10.0.0.1", 5), None);
        bans.add(APP, ban("u:ada", Some(10)), 9, 0).unwrap();
        bans.add(APP, ban("a:10.0.0.0/8", None), 9, 0).unwrap();
        bans.add(AppId(0), ban("u:bob", None), 9, 0).unwrap();
        let carried = Bans::default();
        let state = minicbor::to_vec(bans.carry().unwrap()).unwrap();
        carried.go_on_from(minicbor::decode(&state).unwrap()).unwrap();
        for bans in [bans, carried] {
            assert_eq!(finds(&bans, "ada", "11.0.0.1", 9).as_deref(), Some("u:ada"));
            assert_eq!(finds(&bans, "ada", "11.0.0.1", 10), None);
            assert_eq!(finds(&bans, "bob", "::ffff:10.1.2.3", 99).as_deref(), Some("a:10.0.0.0/8"));
            let page = bans.page(APP, 1, None, 5);
            assert_eq!((page.count, page.bans.len()), (2, 1));
            let rest = bans.page(APP, 1, page.next.as_ref(), 5);
            assert_eq!((rest.bans[0].whom.to_string().as_str(), rest.next), ("a:10.0.0.0/8", None));
            assert!(bans.remove(APP, &"a:10.0.0.0/8".parse().unwrap(), 5));
            assert!(!bans.remove(APP, &"u:ada".parse().unwrap(), 10), "it is over");
            assert_eq!(finds(&bans, "bob", "10.1.2.3", 5), None);
        }
    }

    /// Tells `to` all that `from` knows.
    fn tell(from: &Bans, to: &Bans, unix_ms: u64) -> Vec<String> {
        let known = from.known(APP, unix_ms).into_iter();
        known.filter_map(|known| to.learn(APP, known, 9, unix_ms)).map(|ban| ban.whom.to_string()).collect()
    }

    #[test]
    fn nodes_that_tell_each_other_know_what_was_said_last_whatever_came_first() {
        let (one, other) = (Bans::default(), Bans::default());
        one.add(APP, ban("u:ada", None), 9, 10).unwrap();
        one.add(APP, ban("u:bob", Some(90)), 9, 10).unwrap();
        assert_eq!(tell(&one, &other, 20), ["u:ada", "u:bob"]);
        assert!(tell(&one, &other, 20).is_empty() && tell(&other, &one, 20).is_empty(), "it is known");
        // While they do not hear each other, one takes a ban back and the other adds one.
        one.remove(APP, &"u:ada".parse().unwrap(), 30);
        one.note_taken_back(APP, &"u:ada".parse().unwrap(), 30);
        other.add(APP, ban("u:eve", None), 9, 31).unwrap();
        assert_eq!(tell(&other, &one, 40), ["u:eve"]);
        assert!(tell(&one, &other, 40).is_empty());
        for bans in [&one, &other] {
            let held = ["ada", "bob", "eve"].map(|user| finds(bans, user, "11.0.0.1", 40).is_some());
            assert_eq!(held, [false, true, true]);
        }
        // Banned anew, she is; and what is over is not told.
        other.add(APP, ban("u:ada", None), 9, 50).unwrap();
        assert_eq!(tell(&other, &one, 100), ["u:ada"]);
        assert_eq!(tell(&one, &Bans::default(), 100), ["u:ada", "u:eve"]);
    }

    #[test]
    fn only_so_many_that_were_taken_back_are_remembered() {
        let bans = Bans::default();
        for number in 0..=MOST_TAKEN_BACK as u64 {
            bans.note_taken_back(APP, &format!("u:{number}").parse().unwrap(), number + 1);
        }
        let known = bans.known(APP, 0);
        assert_eq!(known.len(), MOST_TAKEN_BACK);
        assert!(known.iter().all(|known| known.since_unix_ms > 1), "the oldest is not");
    }

    #[test]
    fn there_are_only_so_many_and_what_is_over_makes_room() {
        let bans = Bans::default();
        bans.add(APP, ban("u:a", Some(10)), 2, 0).unwrap();
        bans.add(APP, ban("u:b", None), 2, 0).unwrap();
        assert_eq!(bans.add(APP, ban("u:c", None), 2, 5).unwrap_err().code, ErrorCode::RateLimited);
        bans.add(APP, ban("u:b", Some(20)), 2, 5).unwrap();
        bans.add(APP, ban("u:c", None), 2, 10).unwrap();
        assert_eq!(bans.page(APP, 9, None, 10).count, 2);
    }
}
