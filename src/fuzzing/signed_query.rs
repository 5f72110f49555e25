//! Signed queries: what is signed is good exactly when its parts are names and its time is now, and no longer once a byte of
//! it is another one.

use crate::auth::{Keys, SignedQuery};
use crate::config::Secret;
use crate::session::Name;

/// In seconds.
const NOW: u64 = 1_760_000_000;
const WINDOW: u64 = 120;

/// App, user, timestamp, nonce and a signature, with zero bytes between them.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let keys = Keys::of_secrets(&[Secret::new("0123456789abcdef0123456789abcdef")]);
    let mut parts = text.split('\0');
    let [app, user, timestamp, nonce, signature] = [(); 5].map(|()| parts.next().unwrap_or_default());
    let read = |query: &SignedQuery<'_>| query.verify(&keys, NOW * 1000, WINDOW * 1000).ok();
    let forged = SignedQuery { app, user, timestamp, nonce, signature };
    let good = forged.sign(&keys).expect("there is a key");
    assert!(read(&forged).is_none() || signature.eq_ignore_ascii_case(&good), "nobody has signed it");
    let query = SignedQuery { signature: &good, ..forged };
    let is_now = timestamp.parse().is_ok_and(|seconds: u64| seconds.abs_diff(NOW) <= WINDOW);
    let is_good = Name::check(user).is_ok()
        && Name::check(nonce).is_ok()
        && timestamp.bytes().all(|byte| byte.is_ascii_digit())
        && is_now;
    let proven = read(&query);
    assert_eq!(proven.is_some(), is_good, "{query:?}");
    assert!(proven.is_none_or(|name| name.as_str() == user));
    let other = format!("{app}x");
    assert!(read(&SignedQuery { app: &other, ..query }).is_none());
    let other = format!("{nonce}x");
    assert!(read(&SignedQuery { nonce: &other, ..query }).is_none());
    for at in [0, good.len() / 2, good.len() - 1] {
        let mut flipped = good.clone().into_bytes();
        flipped[at] = if flipped[at] == b'0' { b'1' } else { b'0' };
        let flipped = String::from_utf8(flipped).expect("hex digits");
        assert!(read(&SignedQuery { signature: &flipped, ..query }).is_none(), "digit {at} is another one");
    }
}
