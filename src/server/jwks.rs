//! The thread that fetches JWK sets: each at its time, and before it where a token names a key that is not there. What cannot be
//! fetched leaves the keys as they are.

use super::fetch::{FetchRules, fetch};
use crate::auth::{JwksLimits, RemoteKeys, RemoteSets, Wanted};
use crate::config::Auth;
use crate::core::Shared;
use crate::metrics::KeyFetches;
use log::{debug, info, warn};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;
use std::{io, thread};

/// The thread's name; the kernel shows fifteen bytes.
const THREAD: &str = "gannet-jwks";

/// Ends the thread when it is dropped, however the server ends. A fetch may take its time, and no stop waits for it: the
/// thread ends after it.
pub struct Fetching(Arc<Shared>);

/// Starts the thread.
///
/// # Errors
/// What the system says.
pub fn start(shared: &Arc<Shared>, wanted: Wanted) -> io::Result<Fetching> {
    let own = Arc::clone(shared);
    thread::Builder::new().name(THREAD.to_owned()).spawn(move || run(&own, &wanted))?;
    Ok(Fetching(Arc::clone(shared)))
}

impl Drop for Fetching {
    fn drop(&mut self) {
        self.0.remote_keys.end();
    }
}

/// What is known of the fetches of one set.
#[derive(Debug, Default)]
struct Course {
    /// When the last one began; `None` before the first.
    last: Option<Instant>,
    has_failed: bool,
}

impl Course {
    /// When the next one is due; `None` is now.
    fn due(&self, keys: &RemoteKeys, rules: &FetchRules) -> Option<Instant> {
        let is_early = self.has_failed || keys.is_wanted();
        self.last.map(|last| last + if is_early { rules.retry } else { rules.refresh })
    }

    fn fetch(&mut self, keys: &RemoteKeys, rules: &FetchRules, counts: &KeyFetches) {
        keys.begin();
        self.last = Some(Instant::now());
        let url = keys.url();
        match fetch(url, rules) {
            Ok((set, document)) => {
                counts.count(true);
                let (count, skipped) = (set.keys.len(), set.skipped);
                let is_news = self.has_failed || keys.keys().is_none_or(|old| *old != set);
                keys.store(set, document);
                self.has_failed = false;
                if is_news {
                    info!("{}: {count} keys, {skipped} passed over", url.as_str());
                }
            }
            Err(error) => {
                counts.count(false);
                let meanwhile = match keys.keys() {
                    Some(_) => "the keys that were fetched last stay good",
                    None => "until it is fetched, tokens that need its keys get 503",
                };
                // Once for each time that it begins to fail.
                match std::mem::replace(&mut self.has_failed, true) {
                    false => warn!("{}: {error}; {meanwhile}", url.as_str()),
                    true => debug!("{}: {error}; {meanwhile}", url.as_str()),
                }
            }
        }
    }
}

/// Fetches what is in use until nothing is to be fetched any more.
fn run(shared: &Shared, wanted: &Wanted) {
    let sets: &RemoteSets = &shared.remote_keys;
    let mut courses: HashMap<_, Course> = HashMap::new();
    while !sets.has_ended() {
        let rules = rules_of(shared);
        let in_use = sets.in_use();
        courses.retain(|url, _| in_use.iter().any(|keys| keys.url() == url));
        let mut next: Option<Instant> = None;
        for keys in &in_use {
            if sets.has_ended() {
                return;
            }
            let course = courses.entry(keys.url().clone()).or_default();
            if course.due(keys, &rules).is_none_or(|due| due <= Instant::now()) {
                course.fetch(keys, &rules, &shared.metrics.key_fetches);
            }
            next = next.into_iter().chain(course.due(keys, &rules)).min();
        }
        // Holds none of them while it waits: what is not named any more is forgotten.
        drop(in_use);
        wanted.wait(next.map(|next| next.saturating_duration_since(Instant::now())));
    }
}

fn rules_of(shared: &Shared) -> FetchRules {
    let rules = shared.in_force.look();
    let auth = &rules.settings.config.auth;
    FetchRules {
        refresh: auth.jwks_refresh,
        retry: auth.jwks_retry,
        timeout: auth.jwks_timeout,
        ca_file: auth.jwks_ca_file.clone(),
        limits: limits_of(auth),
    }
}

/// The bounds of a set.
pub fn limits_of(auth: &Auth) -> JwksLimits {
    JwksLimits { max_bytes: auth.max_jwks_bytes, max_keys: auth.max_jwks_keys }
}
