//! Sets of public keys that stand at a URL: what has been fetched of each, for all reactors, and what is to be fetched.
//! Nothing here fetches. A set outlives the configuration that named it as long as the next one names the same URL.

use super::{JwksLimits, KeySet};
use crate::config::JwksUrl;
use arc_swap::ArcSwapOption;
use minicbor::{Decode, Encode};
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// The keys at one URL.
pub struct RemoteKeys {
    url: JwksUrl,
    /// What the last document held that was one; `None` before the first.
    keys: ArcSwapOption<KeySet>,
    /// The same as it was fetched, for a process that takes over.
    document: ArcSwapOption<Vec<u8>>,
    /// When it was fetched, in milliseconds since `start`.
    fetched_ms: AtomicU64,
    start: Instant,
    /// A token has named a key that is not among them.
    is_wanted: AtomicBool,
    wake: SyncSender<()>,
}

/// What stood at a URL, on its way to another process.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct CarriedKeys {
    #[n(0)]
    url: Box<str>,
    #[cbor(n(1), with = "minicbor::bytes")]
    document: Vec<u8>,
}

/// The keys at every URL that is in use.
#[derive(Debug)]
pub struct RemoteSets {
    sets: Mutex<HashMap<JwksUrl, Weak<RemoteKeys>>>,
    wake: SyncSender<()>,
    start: Instant,
    has_ended: AtomicBool,
}

/// Rings when there is something to fetch, or when there never will be again.
#[derive(Debug)]
pub struct Wanted(Receiver<()>);

impl RemoteKeys {
    /// Where they are.
    pub fn url(&self) -> &JwksUrl {
        &self.url
    }

    /// What has been fetched; `None` before the first time.
    pub fn keys(&self) -> Option<Arc<KeySet>> {
        self.keys.load_full()
    }

    /// How long ago the keys were fetched; `None` before the first time.
    pub fn age(&self) -> Option<Duration> {
        self.keys.load().as_ref()?;
        let fetched = Duration::from_millis(self.fetched_ms.load(Ordering::Relaxed));
        Some(self.start.elapsed().saturating_sub(fetched))
    }

    /// A document has been fetched, in which these keys are.
    pub fn store(&self, keys: KeySet, document: Vec<u8>) {
        self.document.store(Some(Arc::new(document)));
        self.fetched_ms.store(self.start.elapsed().as_millis() as u64, Ordering::Relaxed);
        self.keys.store(Some(Arc::new(keys)));
    }

    /// Asks for a fetch before its time; when there is one is for the fetching thread to say.
    pub fn want(&self) {
        if !self.is_wanted.swap(true, Ordering::Relaxed) {
            // A bell that rings already rings for this one too.
            let _ = self.wake.try_send(());
        }
    }

    /// Whether a fetch has been asked for.
    pub fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::Relaxed)
    }

    /// A fetch begins: what is asked for from now on is asked for again.
    pub fn begin(&self) {
        self.is_wanted.store(false, Ordering::Relaxed);
    }
}

impl fmt::Debug for RemoteKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteKeys({})", self.url.as_str())
    }
}

impl RemoteSets {
    /// No sets, and the bell for the thread that fetches.
    pub fn new() -> (Self, Wanted) {
        let (wake, bell) = sync_channel(1);
        let sets = Mutex::default();
        (Self { sets, wake, start: Instant::now(), has_ended: false.into() }, Wanted(bell))
    }

    /// The keys at `url`: those that are there, where any configuration in use has named it, or new ones that are to be
    /// fetched.
    pub fn at(&self, url: &JwksUrl) -> Arc<RemoteKeys> {
        let mut sets = self.lock();
        if let Some(keys) = sets.get(url).and_then(Weak::upgrade) {
            return keys;
        }
        let keys = Arc::new(RemoteKeys {
            url: url.clone(),
            keys: ArcSwapOption::empty(),
            document: ArcSwapOption::empty(),
            fetched_ms: AtomicU64::new(0),
            start: self.start,
            is_wanted: true.into(),
            wake: self.wake.clone(),
        });
        sets.insert(url.clone(), Arc::downgrade(&keys));
        drop(sets);
        self.look_again();
        keys
    }

    /// The sets that are in use; those that are not any more are forgotten.
    pub fn in_use(&self) -> Vec<Arc<RemoteKeys>> {
        let mut sets = self.lock();
        let live: Vec<_> = sets.values().filter_map(Weak::upgrade).collect();
        sets.retain(|_, keys| keys.strong_count() > 0);
        live
    }

    /// What has been fetched, for another process.
    pub fn carry(&self) -> Vec<CarriedKeys> {
        let carried = self.in_use().into_iter().filter_map(|keys| {
            let document = keys.document.load_full()?;
            Some(CarriedKeys { url: keys.url.as_str().into(), document: document.to_vec() })
        });
        carried.collect()
    }

    /// Goes on with what another process has fetched, where this one's configuration names the same: until the next fetch it
    /// is as good as there.
    pub fn go_on_from(&self, carried: Vec<CarriedKeys>, limits: &JwksLimits) {
        let in_use = self.in_use();
        for CarriedKeys { url, document } in carried {
            let keys = in_use.iter().find(|keys| *keys.url.as_str() == *url);
            // By this configuration's bounds it may be none: then it is fetched.
            if let (Some(keys), Ok(set)) = (keys, KeySet::parse(&document, limits)) {
                keys.store(set, document);
            }
        }
    }

    /// Has the thread look at all of them: how they are fetched has changed, perhaps.
    pub fn look_again(&self) {
        // A bell that rings already rings for this one too.
        let _ = self.wake.try_send(());
    }

    /// Nothing is to be fetched any more.
    pub fn end(&self) {
        self.has_ended.store(true, Ordering::SeqCst);
        self.look_again();
    }

    /// Whether nothing is to be fetched any more.
    pub fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::SeqCst)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JwksUrl, Weak<RemoteKeys>>> {
        // Every change is one call: what a panicked holder left is whole.
        self.sets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wanted {
    /// Waits for the bell, at most for `time`; for ever where there is none.
    pub fn wait(&self, time: Option<Duration>) {
        // Both ends of the wait lead to a look at what is wanted.
        match time {
            Some(time) => drop(self.0.recv_timeout(time)),
            None => drop(self.0.recv()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_keeps_its_keys_as_long_as_it_is_named() {
        let (sets, _wanted) = RemoteSets::new();
        let url = "https://a".parse().unwrap();
        let first = sets.at(&url);
        let again = sets.at(&url);
        assert!(Arc::ptr_eq(&first, &again));
        drop(first);
        assert_eq!(sets.in_use().len(), 1);
        drop(again);
        assert!(sets.in_use().is_empty() && sets.lock().is_empty());
    }

    #[test]
    fn what_is_wanted_rings_once_and_again_after_a_fetch_has_begun() {
        let (sets, wanted) = RemoteSets::new();
        let keys = sets.at(&"https://a".parse().unwrap());
        assert!(keys.is_wanted() && wanted.0.try_recv().is_ok());
        keys.want();
        assert!(wanted.0.try_recv().is_err(), "it is asked for already");
        keys.begin();
        keys.want();
        assert!(keys.is_wanted() && wanted.0.try_recv().is_ok());
        assert_eq!((keys.age(), keys.keys()), (None, None));
        sets.end();
        assert!(sets.has_ended() && wanted.0.try_recv().is_ok());
    }
}
