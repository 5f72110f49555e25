//! The key of the backend port, checked in constant time. Knows nothing of players' tokens.

use subtle::{Choice, ConstantTimeEq};

/// Whether a request whose `Authorization` header is `header` may use a backend port whose key is `key`.
///
/// The header is `Bearer <key>` (RFC 6750 §2.1). The time it takes depends on what was presented and on the length of
/// the key, not on how much of the key was right, nor on whether the lengths agree.
pub fn authorized(header: Option<&[u8]>, key: Option<&str>) -> bool {
    let Some(key) = key else { return true };
    header.and_then(bearer_token).is_some_and(|presented| equal(presented, key.as_bytes()))
}

/// The token of `Bearer <token>`; the scheme in any case, as RFC 9110 §11.1 has it.
pub fn bearer_token(header: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = header.split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

/// Looks at every byte of `key`, however long `presented` is: subtle's slices give up early where lengths differ.
fn equal(presented: &[u8], key: &[u8]) -> bool {
    let mut same: Choice = presented.len().ct_eq(&key.len());
    for (index, expected) in key.iter().enumerate() {
        let byte = presented.get(index).copied().unwrap_or(0);
        same &= byte.ct_eq(expected);
    }
    same.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_opens() {
        type Case = (Option<&'static [u8]>, Option<&'static str>, bool);
        let table: &[Case] = &[
            (None, None, true),
            (Some(b"Bearer whatever"), None, true),
            (None, Some("key"), false),
            (Some(b"Bearer key"), Some("key"), true),
            (Some(b"bearer  key "), Some("key"), true),
            (Some(b"Bearer kez"), Some("key"), false),
            (Some(b"Bearer ke"), Some("key"), false),
            (Some(b"Bearer keyy"), Some("key"), false),
            (Some(b"Bearer key\0"), Some("key"), false),
            (Some(b"Bearer \0\0\0"), Some("key"), false),
            (Some(b"Bearer "), Some("key"), false),
            (Some(b"Bearer"), Some("key"), false),
            (Some(b"Bearerkey"), Some("key"), false),
            (Some(b"Basic key"), Some("key"), false),
            (Some(b"key"), Some("key"), false),
            (Some(b""), Some("key"), false),
            (Some(b"Bearer \xff\xfe"), Some("key"), false),
            (Some("Bearer ключ".as_bytes()), Some("ключ"), true),
        ];
        for &(header, key, expected) in table {
            assert_eq!(authorized(header, key), expected, "{header:?} for {key:?}");
        }
    }
}
