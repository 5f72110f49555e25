//! Every way in which a token or a signed query can be wrong, one at a time.

use super::*;
use crate::config::Secret;
use crate::metrics::AuthFailure;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::{Value, json};
use std::ops::Deref;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const ROTATED: &str = "fedcba9876543210fedcba9876543210";
const OTHERS: &str = "another app's secret of 32 bytes";
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
/// In seconds.
const NOW: u64 = 1_760_000_000;
const NOW_MS: u64 = NOW * 1000;
const CHESS: AppId = AppId(0);
const GO: AppId = AppId(1);
const OPEN: AppId = AppId(2);

fn keys(secret: &str) -> Keys {
    Keys::of_secrets(&[Secret::new(secret)])
}

/// The gate, and the nonces that were used at it.
struct Gate {
    auth: Auth,
    nonces: Mutex<Nonces>,
}

impl Deref for Gate {
    type Target = Auth;

    fn deref(&self) -> &Auth {
        &self.auth
    }
}

impl Gate {
    fn signed_query(
        &self,
        app: AppId,
        query: &SignedQuery<'_>,
        now_unix_ms: u64,
    ) -> Result<Proven, AuthError> {
        self.auth.signed_query(app, query, &self.nonces, now_unix_ms)
    }
}

fn auth() -> Gate {
    let app = |secrets: &[&str]| AppConfig {
        secrets: secrets.iter().map(|secret| Secret::new(*secret)).collect(),
        ..AppConfig::default()
    };
    let configs = [app(&[ROTATED, SECRET]), app(&[OTHERS]), app(&[])];
    let names = ["chess", "go", "open"].map(|name| Name::new(name).unwrap());
    let config = config::Auth { max_nonces: 3, max_token_bytes: 1024, ..config::Auth::default() };
    let limits = config::Limits { groups_per_session: 2, tags_per_session: 3, ..config::Limits::default() };
    let window_ms = config.timestamp_window.as_millis() as u64;
    let nonces = Mutex::new(Nonces::new(config.max_nonces, window_ms, NOW_MS - 1_000_000));
    let auth = Auth::new(names.into_iter().zip(&configs), &config, &limits, &RemoteSets::new().0).unwrap();
    Gate { auth, nonces }
}

/// A token of any header and payload, with a good signature.
fn signed(header: &str, payload: &[u8], secret: &str) -> String {
    let unsigned = format!("{}.{}", BASE64URL.encode(header), BASE64URL.encode(payload));
    let signature = keys(secret).sign(unsigned.as_bytes()).unwrap();
    format!("{unsigned}.{}", BASE64URL.encode(signature))
}

fn token_of(payload: Value) -> String {
    signed(HEADER, payload.to_string().as_bytes(), SECRET)
}

fn check(token: &str) -> Result<Proven, AuthError> {
    auth().token(CHESS, token.as_bytes(), NOW_MS)
}

fn names(texts: &[&str]) -> Vec<Name> {
    texts.iter().map(|text| Name::new(text).unwrap()).collect()
}

#[test]
fn a_good_token_says_who_somebody_is() {
    let groups = ["g".to_owned(), "h".to_owned()];
    let claims = Claims { sub: "ada", app: "chess", exp: NOW + 60, groups: &groups, tags: &[] };
    for secret in [SECRET, ROTATED] {
        let proven = check(&mint(&claims, &keys(secret)).unwrap()).unwrap();
        let expected = Proven {
            user: Name::new("ada").unwrap(),
            groups: names(&["g", "h"]),
            tags: vec![],
            expires_unix_ms: Some(NOW_MS + 65_000),
            claims: None,
        };
        assert_eq!(proven, expected);
    }
    assert_eq!(mint(&claims, &Keys::of_secrets(&[])), None);
}

#[test]
fn a_token_of_somebody_elses_making_is_as_good() {
    // Python's hmac and base64 made the signature.
    let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEiLCJleHAiOjE3NjAwMDAwNjB9.sMNSV3GP9v8bjFgUPCSsCddXSNXUa6-X_Ohchyjvp4M";
    assert_eq!(check(token).unwrap().user.as_str(), "ada");
}

#[test]
fn a_claim_may_be_missing_repeat_itself_or_have_a_fraction() {
    for (claims, groups, tags, expires_ms) in [
        (json!({ "sub": "ada", "exp": NOW + 1 }), vec![], vec![], NOW_MS + 6_000),
        (
            json!({ "sub": "ada", "exp": NOW as f64 + 0.25, "iat": NOW + 9, "jti": 7 }),
            vec![],
            vec![],
            NOW_MS + 5_250,
        ),
        (json!({ "sub": "ada", "exp": NOW - 4 }), vec![], vec![], NOW_MS + 1_000),
        (json!({ "sub": "ada", "exp": u64::MAX }), vec![], vec![], u64::MAX),
        (json!({ "sub": "ada", "exp": 1e300 }), vec![], vec![], u64::MAX),
        (json!({ "sub": "ada", "exp": NOW + 1, "nbf": NOW + 5 }), vec![], vec![], NOW_MS + 6_000),
        (
            json!({ "sub": "ada", "exp": NOW + 1, "groups": ["g", "h", "g"], "tags": ["ios", "ios"] }),
            vec!["g", "h"],
            vec!["ios"],
            NOW_MS + 6_000,
        ),
    ] {
        let proven = check(&token_of(claims.clone())).unwrap_or_else(|error| panic!("{claims}: {error}"));
        assert_eq!((proven.groups, proven.tags), (names(&groups), names(&tags)), "{claims}");
        assert_eq!(proven.expires_unix_ms, Some(expires_ms), "{claims}");
    }
    for header in [
        r#"{"alg":"HS256"}"#,
        r#" {"typ":"jwt","alg":"HS256","kid":"1","x":{"y":[]}} "#,
        r#"{"typ":"application/JWT","alg":"HS256"}"#,
    ] {
        let payload = json!({ "sub": "ada", "exp": NOW + 1 }).to_string();
        assert!(check(&signed(header, payload.as_bytes(), SECRET)).is_ok(), "{header}");
    }
}

#[test]
fn every_claim_is_checked() {
    let good =
        json!({ "sub": "ada", "exp": NOW + 60, "nbf": NOW, "app": "chess", "groups": ["g"], "tags": ["t"] });
    assert!(check(&token_of(good.clone())).is_ok());
    let long = "x".repeat(129);
    for (claim, value, reason) in [
        ("sub", Value::Null, AuthFailure::Claims),
        ("sub", json!(7), AuthFailure::Claims),
        ("sub", json!(["ada"]), AuthFailure::Claims),
        ("sub", json!(""), AuthFailure::Claims),
        ("sub", json!("a\nb"), AuthFailure::Claims),
        ("sub", json!(long), AuthFailure::Claims),
        ("exp", Value::Null, AuthFailure::Claims),
        ("exp", json!((NOW + 60).to_string()), AuthFailure::Claims),
        ("exp", json!(NOW - 5), AuthFailure::Expired),
        ("exp", json!(0), AuthFailure::Expired),
        ("exp", json!(-1), AuthFailure::Expired),
        ("exp", json!(-1e300), AuthFailure::Expired),
        ("exp", json!(NOW as f64 - 5.5), AuthFailure::Expired),
        ("nbf", json!(NOW + 6), AuthFailure::NotYetValid),
        ("nbf", json!(u64::MAX), AuthFailure::NotYetValid),
        ("nbf", json!("0"), AuthFailure::Claims),
        ("iat", json!("0"), AuthFailure::Claims),
        ("iat", json!([NOW]), AuthFailure::Claims),
        ("app", json!("go"), AuthFailure::App),
        ("app", json!("Chess"), AuthFailure::App),
        ("app", json!(""), AuthFailure::App),
        ("app", json!(0), AuthFailure::Claims),
        ("groups", json!("g"), AuthFailure::Claims),
        ("groups", json!({ "g": 1 }), AuthFailure::Claims),
        ("groups", json!([1]), AuthFailure::Claims),
        ("groups", json!([""]), AuthFailure::Claims),
        ("groups", json!(["a", "b", "c"]), AuthFailure::Claims),
        ("tags", json!(["a", "b", "c", "d"]), AuthFailure::Claims),
        ("tags", json!([null]), AuthFailure::Claims),
    ] {
        let mut claims = good.clone();
        claims[claim] = value;
        let error = check(&token_of(claims.clone())).expect_err(&claims.to_string());
        assert_eq!(error.reason(), reason, "{claims}: {error}");
        claims.as_object_mut().unwrap().remove(claim);
        let optional = !["sub", "exp"].contains(&claim);
        assert_eq!(check(&token_of(claims.clone())).is_ok(), optional, "{claims}");
    }
    assert_eq!(
        check(&token_of(json!({ "sub": "a", "exp": NOW - 65 }))),
        Err(AuthError::Expired { ago_ms: 60_000 })
    );
}

#[test]
fn what_is_not_signed_with_hs256_by_a_secret_of_the_app_is_nothing() {
    let payload = json!({ "sub": "ada", "exp": NOW + 60 }).to_string();
    let payload = payload.as_bytes();
    let good = signed(HEADER, payload, SECRET);
    assert!(check(&good).is_ok());
    for (header, reason) in [
        (r#"{"alg":"none"}"#, AuthFailure::Algorithm),
        (r#"{"alg":"None"}"#, AuthFailure::Algorithm),
        (r#"{"alg":""}"#, AuthFailure::Algorithm),
        (r#"{"alg":null}"#, AuthFailure::Algorithm),
        (r#"{"alg":["HS256"]}"#, AuthFailure::Algorithm),
        (r#"{"alg":"hs256"}"#, AuthFailure::Algorithm),
        (r#"{"alg":"HS512"}"#, AuthFailure::Algorithm),
        (r#"{"alg":"RS256"}"#, AuthFailure::Algorithm),
        (r#"{"typ":"JWT"}"#, AuthFailure::Algorithm),
        (r#"{"alg":"HS256","crit":["exp"]}"#, AuthFailure::Malformed),
        (r#"{"alg":"HS256","crit":[]}"#, AuthFailure::Malformed),
        (r#"{"alg":"HS256","crit":null}"#, AuthFailure::Malformed),
        (r#"{"alg":"HS256","typ":"at+jwt"}"#, AuthFailure::Malformed),
        (r#"{"alg":"HS256","typ":null}"#, AuthFailure::Malformed),
        (r#"{"alg":"HS256","alg":"HS256"}"#, AuthFailure::Malformed),
        (r#"{"alg":"HS256","kid":"a","kid":"b"}"#, AuthFailure::Malformed),
        (r#"{"alg":"HS256","jwk":{"k":"a","k":"b"}}"#, AuthFailure::Malformed),
        (r#"{"alg":"HS256"}{}"#, AuthFailure::Malformed),
        (r#"["HS256"]"#, AuthFailure::Malformed),
        (r#"["HS256",null]"#, AuthFailure::Malformed),
        ("HS256", AuthFailure::Malformed),
        ("", AuthFailure::Malformed),
    ] {
        // Even with a signature that HS256 would have made of it.
        let error = check(&signed(header, payload, SECRET)).expect_err(header);
        assert_eq!(error.reason(), reason, "{header}: {error}");
        let unsigned = format!("{}.{}.", BASE64URL.encode(header), BASE64URL.encode(payload));
        assert!(check(&unsigned).is_err(), "{header}");
    }
    for secret in [OTHERS, "", "0123456789abcdef0123456789abcdeF"] {
        assert_eq!(check(&signed(HEADER, payload, secret)), Err(AuthError::Signature));
    }
    for not_json in [b"{".as_slice(), b"", b"7", b"\"ada\"", b"[]", b"{} {}", b"\xff"] {
        assert_eq!(check(&signed(HEADER, not_json, SECRET)), Err(AuthError::Payload));
    }
    for doubled in [
        r#"{"sub":"ada","exp":1760000060,"sub":"eve"}"#,
        r#"{"exp":1,"sub":"ada","exp":1760000060}"#,
        r#"{"sub":"ada","exp":1760000060,"x":{"y":1,"y":2}}"#,
        r#"{"sub":"ada","exp":1760000060,"\u0073ub":"eve"}"#,
    ] {
        assert_eq!(check(&signed(HEADER, doubled.as_bytes(), SECRET)), Err(AuthError::Payload), "{doubled}");
    }
    assert_eq!(auth().token(GO, good.as_bytes(), NOW_MS), Err(AuthError::Signature));
    assert_eq!(auth().token(OPEN, good.as_bytes(), NOW_MS), Err(AuthError::Signature));
    assert!(!auth().takes_words());
}

#[test]
fn no_piece_of_a_token_is_a_token_and_no_bit_of_it_may_change() {
    let good = token_of(json!({ "sub": "ada", "exp": NOW + 60 }));
    for length in 0..good.len() {
        assert!(check(&good[..length]).is_err(), "{length} bytes of it");
    }
    for index in 0..good.len() {
        for bit in 0..8 {
            let mut bytes = good.clone().into_bytes();
            bytes[index] ^= 1 << bit;
            assert!(auth().token(CHESS, &bytes, NOW_MS).is_err(), "bit {bit} of byte {index}");
        }
    }
    let parts: Vec<&str> = good.split('.').collect();
    for other in [
        String::new(),
        "..".to_owned(),
        "...".to_owned(),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}="),
        format!(" {good}"),
        format!("{good}\n"),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}.{}.{}", parts[0], parts[1], parts[2], parts[2]),
        format!("{}..{}", parts[0], parts[2]),
        format!("{}.{}.not+base64/url", parts[0], parts[1]),
        format!("{}.{}.{}", parts[1], parts[0], parts[2]),
    ] {
        assert!(check(&other).is_err(), "{other}");
    }
    let long = token_of(json!({ "sub": "ada", "exp": NOW + 60, "pad": "x".repeat(1024) }));
    assert_eq!(check(&long), Err(AuthError::TooLong));
}

/// A signed query of the app `chess` with a good signature.
fn query<'a>(parts: [&'a str; 4], signature: &'a mut String, secret: &str) -> SignedQuery<'a> {
    let [app, user, timestamp, nonce] = parts;
    *signature = SignedQuery { app, user, timestamp, nonce, signature: "" }.sign(&keys(secret)).unwrap();
    SignedQuery { app, user, timestamp, nonce, signature }
}

#[test]
fn a_signed_query_is_good_once() {
    let (auth, mut signature) = (auth(), String::new());
    let timestamp = NOW.to_string();
    let good = query(["chess", "ada", &timestamp, "n1"], &mut signature, SECRET);
    assert_eq!(good.signature.len(), 64);
    let proven = auth.signed_query(CHESS, &good, NOW_MS).unwrap();
    assert_eq!((proven.user.as_str(), proven.expires_unix_ms), ("ada", None));
    assert_eq!(auth.signed_query(CHESS, &good, NOW_MS), Err(AuthError::Replayed));
    assert_eq!(auth.signed_query(CHESS, &good, NOW_MS + 120_000), Err(AuthError::Replayed));
    assert_eq!(auth.signed_query(CHESS, &good, NOW_MS + 121_000), Err(AuthError::Skewed { off_ms: 121_000 }));
    // Upper case is the same signature, not another one.
    let upper = signature.to_uppercase();
    let upper =
        SignedQuery { app: "chess", user: "ada", timestamp: &timestamp, nonce: "n1", signature: &upper };
    assert_eq!(auth.signed_query(CHESS, &upper, NOW_MS), Err(AuthError::Replayed));
}

#[test]
fn every_parameter_of_a_signed_query_is_checked() {
    let (auth, mut signature) = (auth(), String::new());
    let seconds = |seconds: u64| seconds.to_string();
    let (now, huge) = (seconds(NOW), seconds(u64::MAX));
    let long = "x".repeat(129);
    for (parts, reason) in [
        (["go", "ada", &now, "n"], AuthFailure::App),
        (["", "ada", &now, "n"], AuthFailure::App),
        (["chess", "", &now, "n"], AuthFailure::Claims),
        (["chess", "a\u{7f}", &now, "n"], AuthFailure::Claims),
        (["chess", &long, &now, "n"], AuthFailure::Claims),
        (["chess", "ada", "", "n"], AuthFailure::Claims),
        (["chess", "ada", "now", "n"], AuthFailure::Claims),
        (["chess", "ada", "+1760000000", "n"], AuthFailure::Claims),
        (["chess", "ada", "1760000000.0", "n"], AuthFailure::Claims),
        (["chess", "ada", &huge, "n"], AuthFailure::Claims),
        (["chess", "ada", "99999999999999999999", "n"], AuthFailure::Claims),
        (["chess", "ada", &seconds(NOW - 121), "n"], AuthFailure::Skewed),
        (["chess", "ada", &seconds(NOW + 121), "n"], AuthFailure::Skewed),
        (["chess", "ada", "0", "n"], AuthFailure::Skewed),
        (["chess", "ada", &now, ""], AuthFailure::Claims),
        (["chess", "ada", &now, &long], AuthFailure::Claims),
        // What moves over a boundary makes the same text, but no name holds a line feed.
        (["chess", "ada\n1", &now, "n"], AuthFailure::Claims),
        (["chess", "ada", &now, "n\nm"], AuthFailure::Claims),
    ] {
        let error =
            auth.signed_query(CHESS, &query(parts, &mut signature, SECRET), NOW_MS).expect_err("refused");
        assert_eq!(error.reason(), reason, "{parts:?}: {error}");
    }
    for (index, other) in ["go", "eve", "1760000001", "m"].into_iter().enumerate() {
        let good = query(["chess", "ada", &now, "n"], &mut signature, SECRET);
        let mut parts = ["chess", "ada", &now, "n"];
        parts[index] = other;
        let [app, user, timestamp, nonce] = parts;
        let error = auth.signed_query(CHESS, &SignedQuery { app, user, timestamp, nonce, ..good }, NOW_MS);
        let expected = if index == 0 { AuthError::OtherApp } else { AuthError::Signature };
        assert_eq!(error, Err(expected), "{parts:?}");
    }
    let good = query(["chess", "ada", &now, "n"], &mut signature, SECRET);
    for signature in
        ["", "00", &good.signature[..63], &format!("{}0", good.signature), &"z".repeat(64), &"é".repeat(32)]
    {
        let refused = auth.signed_query(CHESS, &SignedQuery { signature, ..good }, NOW_MS);
        assert_eq!(refused, Err(AuthError::Signature), "{signature}");
    }
    for index in 0..64 {
        let mut other = good.signature.to_owned();
        other.replace_range(index..=index, if &other[index..=index] == "0" { "1" } else { "0" });
        let refused = auth.signed_query(CHESS, &SignedQuery { signature: &other, ..good }, NOW_MS);
        assert_eq!(refused, Err(AuthError::Signature), "{other}");
    }
    for secret in [OTHERS, ""] {
        let mut signature = String::new();
        let forged = query(["chess", "ada", &now, "n"], &mut signature, secret);
        assert_eq!(auth.signed_query(CHESS, &forged, NOW_MS), Err(AuthError::Signature));
    }
    // Nothing above has used the nonce, and both secrets are good, and both ends of the window.
    for (secret, timestamp, nonce) in
        [(SECRET, NOW, "n"), (ROTATED, NOW - 120, "old"), (SECRET, NOW + 120, "early")]
    {
        let timestamp = seconds(timestamp);
        let good = query(["chess", "ada", &timestamp, nonce], &mut signature, secret);
        assert!(auth.signed_query(CHESS, &good, NOW_MS).is_ok(), "{timestamp}");
    }
    let fourth = query(["chess", "ada", &now, "fourth"], &mut signature, SECRET);
    assert_eq!(auth.signed_query(CHESS, &fourth, NOW_MS), Err(AuthError::NoncesFull));
}

#[test]
fn a_page_of_another_origin_stays_outside() {
    let config = AppConfig {
        origins: ["https://chess.example", "https://*.chess.example"]
            .map(|text| text.parse().unwrap())
            .into(),
        ..AppConfig::default()
    };
    let apps = [(Name::new("chess").unwrap(), &config), (Name::new("any").unwrap(), &AppConfig::default())];
    let remote = RemoteSets::new().0;
    let auth = Auth::new(apps, &config::Auth::default(), &config::Limits::default(), &remote).unwrap();
    assert!(auth.takes_words());
    assert!(auth.allows_origin(AppId(1), Some(b"http://localhost:3000")));
    for (origin, allowed) in [
        (None, true),
        (Some("https://chess.example"), true),
        (Some("https://eu.chess.example"), true),
        (Some("http://chess.example"), false),
        (Some("https://evil.example"), false),
        (Some("null"), false),
        (Some(""), false),
    ] {
        assert_eq!(auth.allows_origin(AppId(0), origin.map(str::as_bytes)), allowed, "{origin:?}");
        assert_eq!(auth.allows_origin(AppId(1), origin.map(str::as_bytes)), origin.is_none(), "{origin:?}");
    }
}
