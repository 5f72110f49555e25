//! Tokens under public keys, and sets of such keys: every way in which one can be wrong, one at a time.

use super::issuer::{Issuer, jwks};
use super::*;
use crate::config::{PublicKeyConfig, Secret, TokenAlgorithm};
use serde_json::{Value, json};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const NOW: u64 = 1_760_000_000;
const LIMITS: JwksLimits = JwksLimits { max_bytes: 16 * 1024, max_keys: 8 };

fn with_jwks(text: String) -> AppConfig {
    AppConfig { jwks: Some(text), ..AppConfig::default() }
}

fn with_pem(issuer: &Issuer, kid: Option<&str>) -> AppConfig {
    let algorithm = match issuer.algorithm() {
        "RS256" => TokenAlgorithm::Rs256,
        "ES256" => TokenAlgorithm::Es256,
        _ => TokenAlgorithm::EdDsa,
    };
    let key = PublicKeyConfig { kid: kid.map(Into::into), algorithm, pem: Some(issuer.pem()), file: None };
    AppConfig { public_keys: vec![key], ..AppConfig::default() }
}

fn try_auth(apps: &[(&str, &AppConfig)]) -> Result<Auth, InvalidKeys> {
    let apps = apps.iter().map(|(name, app)| (Name::new(name).unwrap(), *app));
    Auth::new(apps, &config::Auth::default(), &config::Limits::default(), &RemoteSets::new().0)
}

fn check(app: &AppConfig, token: &str) -> Result<Proven, AuthError> {
    try_auth(&[("chess", app)]).unwrap().token(AppId(0), token.as_bytes(), NOW * 1000)
}

fn claims() -> Value {
    json!({ "sub": "ada", "exp": NOW + 60 })
}

fn parse(json: &str) -> Result<KeySet, KeyError> {
    KeySet::parse(json.as_bytes(), &LIMITS)
}

#[test]
fn a_token_of_each_algorithm_is_good_under_pem_and_jwk() {
    for issuer in Issuer::all() {
        for app in [with_jwks(jwks([&issuer])), with_pem(&issuer, Some(&issuer.kid))] {
            let unnamed = issuer.signed(&json!({ "alg": issuer.algorithm() }), &claims());
            for token in [issuer.token(&claims()), unnamed] {
                assert_eq!(check(&app, &token).map(|proven| proven.user.to_string()), Ok("ada".to_owned()));
                for at in [0, token.len() / 2, token.len() - 1] {
                    let mut other = token.clone().into_bytes();
                    other[at] ^= 1;
                    let auth = try_auth(&[("chess", &app)]).unwrap();
                    assert!(auth.token(AppId(0), &other, NOW * 1000).is_err(), "byte {at}");
                }
            }
        }
    }
    // RFC 9864 has another name for the same algorithm.
    let issuer = Issuer::eddsa("ed");
    let token = issuer.signed(&json!({ "alg": "Ed25519" }), &claims());
    assert!(check(&with_jwks(jwks([&issuer])), &token).is_ok());
}

#[test]
fn a_token_does_not_choose_how_it_is_checked() {
    let all = Issuer::all();
    let app = AppConfig { secrets: vec![Secret::new(SECRET)], ..with_jwks(jwks(&all)) };
    let [rsa, ec, ed] = &all;
    let header = |alg: &str, kid: Value| json!({ "alg": alg, "kid": kid });
    for (token, error) in [
        // One key under the name of another, of its own kind and of another.
        (ec.signed(&header("ES256", json!("rsa")), &claims()), AuthError::OtherKey),
        (ed.signed(&header("EdDSA", json!("ec")), &claims()), AuthError::OtherKey),
        (rsa.signed(&header("ES256", json!("ec")), &claims()), AuthError::Signature),
        (ed.signed(&header("ES256", json!("ec")), &claims()), AuthError::Signature),
        (Issuer::es256("ec").token(&claims()), AuthError::Signature),
        (Issuer::eddsa("new").token(&claims()), AuthError::UnknownKey),
        (ed.signed(&header("EdDSA", json!("")), &claims()), AuthError::UnknownKey),
        (ed.signed(&header("EdDSA", json!(7)), &claims()), AuthError::Header),
        (ed.signed(&header("EdDSA", Value::Null), &claims()), AuthError::Header),
        (ed.signed(&header("HS256", json!("ed")), &claims()), AuthError::Signature),
        (rsa.signed(&json!({ "alg": "HS256" }), &claims()), AuthError::Signature),
        (rsa.signed(&json!({ "alg": "RS512" }), &claims()), AuthError::Algorithm),
        (rsa.signed(&json!({ "alg": "PS256" }), &claims()), AuthError::Algorithm),
        (rsa.signed(&json!({ "alg": "rs256" }), &claims()), AuthError::Algorithm),
        (rsa.signed(&json!({ "alg": "none" }), &claims()), AuthError::Algorithm),
        (rsa.signed(&json!({ "alg": ["RS256"] }), &claims()), AuthError::Algorithm),
        // A key that the token brings along is nobody's.
        (
            Issuer::eddsa("new")
                .signed(&json!({ "alg": "EdDSA", "jwk": Issuer::eddsa("new").jwk() }), &claims()),
            AuthError::Signature,
        ),
    ] {
        assert_eq!(check(&app, &token), Err(error), "{token}");
    }
    // The public key, in any form that somebody may have, is no secret of HMAC (RFC 8725 §2.1).
    let without_secrets = with_jwks(jwks(&all));
    for secret in [rsa.pem(), rsa.pem().trim().to_owned(), rsa.jwk().to_string()] {
        let keys = Keys::of_secrets(&[Secret::new(secret)]);
        let token = mint(&Claims { sub: "ada", app: "chess", exp: NOW + 60, groups: &[], tags: &[] }, &keys);
        assert_eq!(check(&without_secrets, &token.unwrap()), Err(AuthError::Signature));
    }
}

#[test]
fn keys_are_tried_up_to_a_bound_where_the_token_names_none() {
    let issuers: Vec<_> = (0..6).map(|number| Issuer::eddsa(&number.to_string())).collect();
    let app = with_jwks(jwks(&issuers));
    for (number, issuer) in issuers.iter().enumerate() {
        let unnamed = issuer.signed(&json!({ "alg": "EdDSA" }), &claims());
        // Of the default, `auth.max_keys_tried`.
        assert_eq!(check(&app, &unnamed).is_ok(), number < 4, "{number}");
        assert!(check(&app, &issuer.token(&claims())).is_ok());
    }
    // A key without a name checks only tokens that name none.
    let unnamed = with_pem(&issuers[0], None);
    assert_eq!(check(&unnamed, &issuers[0].token(&claims())), Err(AuthError::UnknownKey));
    assert!(check(&unnamed, &issuers[0].signed(&json!({ "alg": "EdDSA" }), &claims())).is_ok());
}

#[test]
fn issuer_and_audience_are_those_of_the_app() {
    let issuer = Issuer::eddsa("ed");
    let expecting = |iss: Option<&str>, aud: Option<&str>| AppConfig {
        issuer: iss.map(Into::into),
        audience: aud.map(Into::into),
        ..with_jwks(jwks([&issuer]))
    };
    for (iss, aud, says, good) in [
        (None, None, json!({ "iss": 7, "aud": {} }), true),
        (Some("https://id"), None, json!({ "iss": "https://id" }), true),
        (Some("https://id"), None, json!({ "iss": "https://id/" }), false),
        (Some("https://id"), None, json!({ "iss": ["https://id"] }), false),
        (Some("https://id"), None, json!({}), false),
        (None, Some("chess"), json!({ "aud": "chess" }), true),
        (None, Some("chess"), json!({ "aud": ["go", "chess"] }), true),
        (None, Some("chess"), json!({ "aud": ["go"] }), false),
        (None, Some("chess"), json!({ "aud": [["chess"]] }), false),
        (None, Some("chess"), json!({ "aud": "chess2" }), false),
        (None, Some("chess"), json!({}), false),
    ] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().extend(says.as_object().unwrap().clone());
        let checked = check(&expecting(iss, aud), &issuer.token(&claims));
        assert_eq!(checked.is_ok(), good, "{iss:?} {aud:?} {claims}: {checked:?}");
    }
}

#[test]
fn apps_with_the_same_key_have_audiences_of_their_own() {
    let issuer = Issuer::eddsa("ed");
    let app = |audience: Option<&str>| AppConfig {
        audience: audience.map(Into::into),
        ..with_jwks(jwks([&issuer]))
    };
    let pem = AppConfig { audience: Some("c".to_owned()), ..with_pem(&issuer, Some("x")) };
    for (apps, good) in [
        ([&app(Some("a")), &app(Some("b")), &pem], true),
        ([&app(Some("a")), &app(Some("c")), &pem], false),
        ([&app(Some("a")), &app(Some("a")), &pem], false),
        ([&app(None), &app(Some("a")), &pem], false),
        ([&app(Some("a")), &app(None), &pem], false),
    ] {
        let names = ["chess", "go", "poker"];
        let apps: Vec<_> = names.into_iter().zip(apps).collect();
        let refused = try_auth(&apps).err();
        assert_eq!(refused.is_none(), good, "{refused:?}");
        assert!(refused.is_none_or(|refused| refused.to_string().contains("an audience of its own")));
    }
}

#[test]
fn a_set_holds_what_can_check_tokens_and_passes_over_the_rest() {
    let [rsa, ec, ed] = Issuer::all();
    let changed = |issuer: &Issuer, changes: Value| {
        let mut jwk = issuer.jwk();
        jwk.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        jwk
    };
    for (jwk, usable) in [
        (changed(&rsa, json!({ "use": "sig", "alg": "RS256", "key_ops": ["verify"], "x5c": [] })), true),
        (changed(&ed, json!({ "alg": "Ed25519" })), true),
        (changed(&ec, json!({ "key_ops": ["sign", "verify"] })), true),
        (changed(&rsa, json!({ "use": "enc" })), false),
        (changed(&rsa, json!({ "use": 7 })), false),
        (changed(&rsa, json!({ "key_ops": ["encrypt"] })), false),
        (changed(&rsa, json!({ "key_ops": "verify" })), false),
        (changed(&rsa, json!({ "alg": "RS512" })), false),
        (changed(&rsa, json!({ "alg": "ES256" })), false),
        (changed(&rsa, json!({ "alg": "RSA-OAEP" })), false),
        (changed(&rsa, json!({ "d": "AQ" })), false),
        (changed(&rsa, json!({ "kty": "EC" })), false),
        (changed(&rsa, json!({ "n": "AQAB" })), false),
        (changed(&rsa, json!({ "n": "+/==" })), false),
        (changed(&rsa, json!({ "e": Value::Null })), false),
        (changed(&rsa, json!({ "kid": 7 })), false),
        (changed(&ec, json!({ "crv": "P-384" })), false),
        (changed(&ec, json!({ "crv": "secp256k1" })), false),
        (changed(&ec, json!({ "y": ec.jwk()["x"] })), false),
        (changed(&ed, json!({ "crv": "X25519" })), false),
        (changed(&ed, json!({ "x": "AQAB" })), false),
        (json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "hs" }), false),
        (json!({}), false),
    ] {
        let beside = Issuer::eddsa("beside").jwk();
        let set = parse(&json!({ "keys": [jwk, beside], "more": 1 }).to_string()).unwrap();
        assert_eq!((set.keys.len(), set.skipped), (1 + usize::from(usable), usize::from(!usable)), "{jwk}");
    }
}

#[test]
fn documents_that_are_no_set_are_refused() {
    let key = Issuer::eddsa("a").jwk().to_string();
    let many = [key.as_str(); 9].join(",");
    let pad = " ".repeat(LIMITS.max_bytes);
    for (text, error) in [
        (String::new(), KeyError::NotJwks),
        ("<html>".to_owned(), KeyError::NotJwks),
        ("[]".to_owned(), KeyError::NotJwks),
        (key.clone(), KeyError::NotJwks),
        (r#"{"keys":{}}"#.to_owned(), KeyError::NotJwks),
        (format!(r#"{{"keys":[{key},7]}}"#), KeyError::NotJwks),
        (format!(r#"{{"keys":[{key}],"keys":[]}}"#), KeyError::NotJwks),
        (format!(r#"{{"keys":[{key}]}} x"#), KeyError::NotJwks),
        (r#"{"keys":[{"kty":"oct","kty":"OKP"}]}"#.to_owned(), KeyError::NotJwks),
        (r#"{"keys":[]}"#.to_owned(), KeyError::NoneUsable(0)),
        (r#"{"keys":[{"kty":"oct","k":"AQ"}]}"#.to_owned(), KeyError::NoneUsable(1)),
        (format!(r#"{{"keys":[{key},{key}]}}"#), KeyError::Doubled("a".into())),
        (format!(r#"{{"keys":[{many}]}}"#), KeyError::TooMany(8)),
        (format!(r#"{{"keys":[{key}]}}{pad}"#), KeyError::TooLong(LIMITS.max_bytes)),
    ] {
        assert_eq!(parse(&text), Err(error), "{text}");
    }
}

#[test]
fn a_key_of_the_configuration_that_is_none_is_named() {
    let issuer = Issuer::eddsa("ed");
    let refused = |app: &AppConfig| try_auth(&[("chess", app)]).expect_err("refused").to_string();
    let with = |algorithm, pem: &str| AppConfig {
        public_keys: vec![PublicKeyConfig { kid: None, algorithm, pem: Some(pem.to_owned()), file: None }],
        ..AppConfig::default()
    };
    let private = issuer.pem().replace("PUBLIC", "PRIVATE");
    for (app, says) in [
        (with(TokenAlgorithm::Es256, &issuer.pem()), "it is a key for EdDSA, and algorithm = \"ES256\""),
        (with(TokenAlgorithm::EdDsa, "not a key"), "it is no PEM"),
        (with(TokenAlgorithm::EdDsa, ""), "it is no PEM"),
        (with(TokenAlgorithm::EdDsa, &private), "keep that where tokens are signed"),
        (
            with(TokenAlgorithm::EdDsa, &issuer.pem().replace("PUBLIC KEY", "CERTIFICATE")),
            "a PUBLIC KEY is needed",
        ),
        (with_jwks("{}".to_owned()), "apps.chess.jwks: it is no JWK set"),
        (
            AppConfig { jwks: Some(jwks([&issuer])), ..with_pem(&issuer, Some("ed")) },
            "two keys have the kid \"ed\"",
        ),
    ] {
        let refused = refused(&app);
        assert!(refused.contains(says), "{refused}");
    }
}
