//! Tokens: whatever the bytes, no token that nobody signed; what is signed is read as an independent reading has it, and is no
//! token once a byte of it is another one.

use crate::auth::{Claims, Expected, Keys, Proven, TokenLimits, mint, verify};
use crate::config::Secret;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::Value;

const APP: &str = "chess";
/// In seconds.
const NOW: u64 = 1_760_000_000;
const LIMITS: TokenLimits =
    TokenLimits { max_bytes: 4096, leeway_ms: 0, max_groups: 3, max_tags: 2, max_claims_bytes: 1024 };

/// A token; a header and claims with a zero byte between them; and the lines of what is to be minted.
pub fn run(data: &[u8]) {
    let keys = Keys::of_secrets(&[Secret::new("the secret of this fuzz target, 32+")]);
    let read = |token: &[u8]| verify(token, &keys, &Expected::of_app(APP), NOW * 1000, &LIMITS).ok();
    assert!(read(data).is_none(), "nobody has signed it");
    if let Some(end) = data.iter().position(|byte| *byte == 0) {
        signed(&keys, &data[..end], &data[end + 1..], read);
    }
    minted(&keys, data, read);
}

fn signed(keys: &Keys, header: &[u8], claims: &[u8], read: impl Fn(&[u8]) -> Option<Proven>) {
    let unsigned = format!("{}.{}", BASE64URL.encode(header), BASE64URL.encode(claims));
    let Some(signature) = keys.sign(unsigned.as_bytes()) else { return };
    let token = format!("{unsigned}.{}", BASE64URL.encode(signature));
    let proven = read(token.as_bytes());
    let (is_token, plain) = (is_header(header), object(claims));
    let Some(proven) = proven else { return };
    let plain = plain.expect("the claims of a token are one object without doubled names");
    assert!(is_token, "the header says another thing");
    assert_eq!(plain["sub"].as_str(), Some(proven.user.as_str()));
    assert!(plain["exp"].as_f64().is_some_and(|exp| exp > NOW as f64));
    assert!(plain["nbf"].is_null() || plain["nbf"].as_f64().is_some_and(|nbf| nbf <= NOW as f64));
    assert!(plain["app"].is_null() || plain["app"] == APP);
    for (names, claim, most) in [(&proven.groups, "groups", 3), (&proven.tags, "tags", 2)] {
        let said = plain[claim].as_array().map_or(&[][..], Vec::as_slice);
        assert!(names.len() <= most && names.iter().all(|name| said.contains(&name.as_str().into())));
    }
    flipped(&token, read);
}

/// A byte of it changed, wherever the length of the token points.
fn flipped(token: &str, read: impl Fn(&[u8]) -> Option<Proven>) {
    for at in [0, token.len() / 3, token.len() / 2, token.len() - 1] {
        let mut bytes = token.as_bytes().to_vec();
        bytes[at] ^= 1;
        assert!(read(&bytes).is_none(), "byte {at} is another one");
    }
    assert!(
        read(&token.as_bytes()[..token.len() - 1]).is_none()
            && read(format!("{token}=").as_bytes()).is_none()
    );
}

/// What is minted opens what it was minted for.
fn minted(keys: &Keys, data: &[u8], read: impl Fn(&[u8]) -> Option<Proven>) {
    let Ok(text) = str::from_utf8(data) else { return };
    let mut lines = text.lines().map(str::to_owned);
    let user = lines.next().unwrap_or_default();
    let names: Vec<String> = lines.take(3).collect();
    let (groups, tags) = names.split_at(names.len() / 2);
    let claims = Claims { sub: &user, app: APP, exp: NOW + 1, groups, tags };
    let token = mint(&claims, keys).expect("there is a key");
    let is_name = |text: &String| crate::session::Name::check(text).is_ok();
    match read(token.as_bytes()) {
        Some(proven) => {
            assert_eq!(proven.user.as_str(), user);
            assert!(groups.iter().all(|group| proven.groups.iter().any(|name| name.as_str() == group)));
            assert!(tags.iter().all(|tag| proven.tags.iter().any(|name| name.as_str() == tag)));
            flipped(&token, read);
        }
        None => {
            let fits = token.len() <= LIMITS.max_bytes;
            assert!(!(fits && is_name(&user) && names.iter().all(is_name)), "it says nothing wrong");
        }
    }
}

fn is_header(json: &[u8]) -> bool {
    let Some(header) = object(json) else { return false };
    let typ = header["typ"].as_str().map(str::to_ascii_lowercase);
    let is_jwt = matches!(typ.as_deref(), Some("jwt" | "application/jwt"));
    header["alg"] == "HS256" && header.get("crit").is_none() && (is_jwt || header.get("typ").is_none())
}

/// One object, read by `serde_json`; its names are counted in the text, since of two it keeps one.
fn object(json: &[u8]) -> Option<Value> {
    let value: Value = serde_json::from_slice(json).ok().filter(Value::is_object)?;
    (names_in_text(json) == names_in_value(&value)).then_some(value)
}

fn names_in_value(value: &Value) -> usize {
    match value {
        Value::Object(object) => object.values().map(|value| 1 + names_in_value(value)).sum(),
        Value::Array(values) => values.iter().map(names_in_value).sum(),
        _ => 0,
    }
}

/// The texts with a colon behind them. It is JSON already.
fn names_in_text(json: &[u8]) -> usize {
    let (mut names, mut at) = (0, 0);
    while at < json.len() {
        if json[at] == b'"' {
            at += 1;
            while json[at] != b'"' {
                at += 1 + usize::from(json[at] == b'\\');
            }
            let rest = json[at + 1..].trim_ascii_start();
            names += usize::from(rest.first() == Some(&b':'));
        }
        at += 1;
    }
    names
}
