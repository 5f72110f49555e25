//! Sets of public keys and PEM: whatever the bytes, a set of keys that check tokens or a refusal; of known keys with members that
//! an issuer may add, those are used that an independent reading would use, each for its own algorithm and name.

use crate::auth::{
    AuthError, Expected, JwksLimits, KeyError, KeySet, Keys, Material, PublicKey, TokenLimits, verify,
};
use crate::choices::Choices;
use crate::config::AppConfig;
use serde_json::{Value, json};
use std::sync::LazyLock;

/// In seconds.
const NOW: u64 = 1_760_000_000;
const TOKENS: TokenLimits =
    TokenLimits { max_bytes: 4096, leeway_ms: 0, max_groups: 1, max_tags: 1, max_claims_bytes: 1024 };
const LIMITS: JwksLimits = JwksLimits { max_bytes: 16 * 1024, max_keys: 5 };
const KID: &str = "a";

/// A key, and tokens that its private half has signed: with the name [`KID`] in the header, and without one.
struct Known {
    algorithm: String,
    jwk: Value,
    named: String,
    unnamed: String,
}

/// One of each algorithm, made with OpenSSL; the private halves are gone.
static KNOWN: LazyLock<Vec<Known>> = LazyLock::new(|| {
    let rows: Vec<Value> =
        serde_json::from_str(include_str!("../../tests/data/signed.json")).expect("it is JSON");
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let known = |row: Value| Known {
        algorithm: text(&row, "algorithm"),
        named: text(&row, "named"),
        unnamed: text(&row, "unnamed"),
        jwk: row["jwk"].clone(),
    };
    rows.into_iter().map(known).collect()
});

/// A document, a PEM text, and the members of a set of known keys.
pub fn run(data: &[u8]) {
    any_document(data);
    any_pem(data);
    known_keys(&mut Choices::new(data));
}

fn any_document(data: &[u8]) {
    let Ok(set) = KeySet::parse(data, &LIMITS) else { return };
    let document: Value = serde_json::from_slice(data).expect("a set is JSON");
    let entries = document["keys"].as_array().expect("a set has keys");
    assert!(!set.keys.is_empty() && set.keys.len() + set.skipped == entries.len());
    assert!(data.len() <= LIMITS.max_bytes && entries.len() <= LIMITS.max_keys);
    for (index, key) in set.keys.iter().enumerate() {
        let is_it = |entry: &&Value| entry["kid"].as_str() == key.kid() && entry.get("d").is_none();
        assert!(entries.iter().any(|entry| is_it(&entry)), "{key:?} is none of the document's");
        let others = &set.keys[..index];
        assert!(key.kid().is_none() || others.iter().all(|other| other.kid() != key.kid()));
        check_key(key);
    }
    let keys = keys_of(data);
    for known in KNOWN.iter() {
        let has = set.keys.iter().any(|key| is_same(key, known));
        for token in [&known.named, &known.unnamed] {
            assert!(has || read(&keys, token).is_err(), "no key of the document has signed it");
        }
    }
}

fn any_pem(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if let Ok(key) = PublicKey::from_pem(text, Some(KID)) {
        assert!(text.contains("-----BEGIN PUBLIC KEY-----"));
        check_key(&key);
    }
}

/// A key that was taken is of a size that it may have, and makes nothing of what it has not signed.
fn check_key(key: &PublicKey) {
    match key.material() {
        Material::Rsa { n, e } => {
            assert!(
                (256..=1024).contains(&n.len()) && n[0] != 0 && n.last().is_some_and(|last| last & 1 == 1)
            );
            assert!(!e.is_empty() && e[0] != 0 && e.len() <= 5);
        }
        Material::P256(point) => assert_eq!(point[0], 4),
        Material::Ed25519(_) => {}
    }
    for length in [0, 32, 64, 256] {
        assert!(!key.verify(b"a message", &vec![1; length]));
    }
}

fn is_same(key: &PublicKey, known: &Known) -> bool {
    let set = json!({ "keys": [known.jwk] }).to_string();
    KeySet::parse(set.as_bytes(), &LIMITS).is_ok_and(|set| set.keys[0].material() == key.material())
}

/// Known keys, with members as the input says.
fn known_keys(choices: &mut Choices<'_>) {
    let mut entries = Vec::new();
    // What an independent reading makes of each: its algorithm and its name.
    let mut usable: Vec<(&str, Option<&str>)> = Vec::new();
    for _ in 0..choices.below(5) {
        let known = &KNOWN[choices.below(KNOWN.len() as u32) as usize];
        let mut jwk = known.jwk.clone();
        let mut is_usable = true;
        let mut name = None;
        for (member, values) in [
            ("kid", [Value::Null, json!(KID), json!("b"), json!(7)]),
            ("use", [Value::Null, json!("sig"), json!("enc"), json!(["sig"])]),
            ("key_ops", [Value::Null, json!(["sign", "verify"]), json!(["sign"]), json!("verify")]),
            ("alg", [Value::Null, json!(known.algorithm), json!("HS256"), json!("none")]),
            ("d", [Value::Null, Value::Null, json!("AQ"), json!(0)]),
            ("x5c", [Value::Null, json!([]), json!("x"), json!({})]),
        ] {
            let choice = choices.below(4) as usize;
            let value = values[choice].clone();
            if value.is_null() {
                continue;
            }
            is_usable &= match member {
                "kid" => choice != 3,
                "x5c" => true,
                _ => choice == 1,
            };
            if member == "kid" {
                name = [None, Some(KID), Some("b"), None][choice];
            }
            jwk[member] = value;
        }
        if is_usable {
            usable.push((&known.algorithm, name));
        }
        entries.push(jwk);
    }
    let text = json!({ "keys": entries }).to_string();
    let doubled = |kid| usable.iter().filter(|(_, name)| *name == Some(kid)).count() > 1;
    let expected = match () {
        () if [KID, "b"].into_iter().any(doubled) => Err(()),
        () if usable.is_empty() => Err(()),
        () => Ok(usable.len()),
    };
    let parsed = KeySet::parse(text.as_bytes(), &LIMITS);
    assert!(
        !matches!(parsed, Err(KeyError::NotJwks | KeyError::TooLong(_) | KeyError::TooMany(_))),
        "{text}"
    );
    assert_eq!(parsed.map(|set| set.keys.len()).map_err(drop), expected, "{text}");
    if expected.is_ok() {
        tokens_are_checked(&keys_of(text.as_bytes()), &usable, &text);
    }
}

fn tokens_are_checked(keys: &Keys, usable: &[(&str, Option<&str>)], text: &str) {
    for known in KNOWN.iter() {
        let named = match usable.iter().find(|(_, name)| *name == Some(KID)) {
            None => Err(AuthError::UnknownKey),
            Some((algorithm, _)) if *algorithm != known.algorithm => Err(AuthError::OtherKey),
            Some(_) => Ok(()),
        };
        assert_eq!(read(keys, &known.named), named, "{text}");
        let has = usable.iter().any(|(algorithm, _)| *algorithm == known.algorithm);
        let unnamed = if has { Ok(()) } else { Err(AuthError::Algorithm) };
        assert_eq!(read(keys, &known.unnamed), unnamed, "{text}");
        let (header, rest) = known.unnamed.split_once('.').expect("it is a token");
        for other in KNOWN.iter().filter(|other| other.algorithm != known.algorithm) {
            let (_, others) = other.unnamed.split_once('.').expect("it is a token");
            assert!(
                read(keys, &format!("{header}.{others}")).is_err(),
                "under the header of {}",
                known.algorithm
            );
        }
        let mut flipped = rest.as_bytes().to_vec();
        flipped[rest.len() / 2] ^= 1;
        let flipped = [header.as_bytes(), b".", &flipped].concat();
        assert!(verify(&flipped, keys, &Expected::of_app("chess"), NOW * 1000, &TOKENS).is_err());
    }
}

fn keys_of(set: &[u8]) -> Keys {
    let app = AppConfig { jwks: Some(String::from_utf8_lossy(set).into_owned()), ..AppConfig::default() };
    Keys::new(&app, &LIMITS, LIMITS.max_keys, None).expect("it is a set")
}

fn read(keys: &Keys, token: &str) -> Result<(), AuthError> {
    verify(token.as_bytes(), keys, &Expected::of_app("chess"), NOW * 1000, &TOKENS).map(drop)
}
