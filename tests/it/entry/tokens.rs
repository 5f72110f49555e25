//! Tokens that two parsers could read in two ways, each with a good signature.

use crate::support::TestServer;
use crate::tokens::{DEFAULT, HS256, app, ask, mac, now};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;

/// A token of any two texts, signed.
fn signed(header: &str, claims: &str) -> String {
    let unsigned = format!("{}.{}", BASE64URL.encode(header), BASE64URL.encode(claims));
    format!("{unsigned}.{}", BASE64URL.encode(mac(&unsigned, DEFAULT)))
}

#[test]
fn header_and_claims_are_one_object_each_without_doubled_names() {
    let server = TestServer::start(|config| _ = config.apps.insert("default".into(), app(&[DEFAULT])));
    let exp = now() + 600;
    let claims = format!(r#"{{"sub":"ada","exp":{exp}}}"#);
    let status = |header: &str, claims: &str| {
        ask(server.client, &format!("/ws?token={}", signed(header, claims)), "").status
    };
    assert_eq!(status(HS256, &claims), 101);
    assert_eq!(status(r#"{"alg":"HS256","kid":"k","typ":"jwt"}"#, &claims), 101);
    for header in [
        r#"["HS256",null]"#,
        r#"{"alg":"HS256","kid":"a","kid":"b"}"#,
        r#"{"alg":"HS256","jwk":{"k":"a","k":"b"}}"#,
        r#"{"alg":"HS256","crit":null}"#,
        r#"{"alg":"HS256","typ":"secevent+jwt"}"#,
    ] {
        assert_eq!(status(header, &claims), 401, "{header}");
    }
    for claims in [
        format!(r#"{{"sub":"ada","exp":{exp},"sub":"eve"}}"#),
        format!(r#"{{"sub":"ada","exp":1,"exp":{exp}}}"#),
        format!(r#"{{"sub":"ada","exp":{exp},"app":"default","\u0061pp":"default"}}"#),
        format!(r#"{{"sub":"ada","exp":{exp},"roles":{{"x":1,"x":2}}}}"#),
        format!(r#"{{"sub":"ada","exp":{exp},"iat":"now"}}"#),
    ] {
        assert_eq!(status(HS256, &claims), 401, "{claims}");
    }
    let malformed = server.backend().stats()["auth_failures"]["malformed"].as_u64();
    assert_eq!(malformed, Some(9), "and one with a claim that is none");
}
