//! Tokens under public keys: who gets in, that nobody else does, and that keys which are none are found before the start.

use crate::issuer::{Issuer, jwks};
use crate::support::*;
use crate::tokens::*;
use gannet::config::{AppConfig, Config, PublicKeyConfig, TokenAlgorithm};
use gannet::{BindError, Server};
use serde_json::{Value, json};
use std::fs;
use std::process::Command;

fn claims(user: &str) -> Value {
    json!({ "sub": user, "exp": now() + 600 })
}

fn with_set(set: String) -> impl FnOnce(&mut Config) {
    |config| {
        config.apps.insert("default".into(), AppConfig { jwks: Some(set), ..AppConfig::default() });
    }
}

fn with_pem(issuer: &Issuer, algorithm: TokenAlgorithm) -> AppConfig {
    let kid = Some(issuer.kid.clone());
    let key = PublicKeyConfig { kid, algorithm, pem: Some(issuer.pem()), file: None };
    AppConfig { public_keys: vec![key], ..AppConfig::default() }
}

#[test]
fn a_token_under_each_kind_of_key_opens_a_session() {
    let issuers = Issuer::all();
    let server = TestServer::start(with_set(jwks(&issuers)));
    for issuer in &issuers {
        let player = server.try_player(&format!("/ws?token={}", issuer.token(&claims("ada")))).unwrap();
        assert_eq!(player.user.as_deref(), Some("ada"), "{}", issuer.algorithm());
        player.close(1000, "");
    }
    // Its word alone is nothing where there are keys.
    assert_eq!(ask(server.client, "/ws?user=ada", "").status, 401);
}

#[test]
fn a_token_that_chooses_another_key_or_algorithm_is_refused_and_counted() {
    let issuers = Issuer::all();
    let server = TestServer::start(with_set(jwks(&issuers)));
    let [rsa, ec, ed] = &issuers;
    let claims = claims("eve");
    let header = |alg: &str, kid: &str| json!({ "alg": alg, "kid": kid });
    let unsigned = |token: String| format!("{}.", token.rsplit_once('.').unwrap().0);
    let hs256 = |secret: &str| token(HS256, &claims, secret);
    let table = [
        ("an unknown kid", Issuer::eddsa("new").token(&claims), "unknown_key"),
        ("another key under a known kid", Issuer::es256("ec").token(&claims), "signature"),
        ("a key of another kind", ec.signed(&header("ES256", "rsa"), &claims), "other_key"),
        ("an algorithm of another kind", rsa.signed(&header("ES256", "ec"), &claims), "signature"),
        ("none", unsigned(ed.signed(&json!({ "alg": "none" }), &claims)), "algorithm"),
        ("none, with a kid", unsigned(ed.signed(&header("none", "ed"), &claims)), "algorithm"),
        ("no signature", unsigned(ed.token(&claims)), "signature"),
        ("HS256 under the public key in PEM", hs256(&rsa.pem()), "signature"),
        ("the same without its last line end", hs256(rsa.pem().trim_end()), "signature"),
        ("HS256 under the public key as JWK", hs256(&rsa.jwk().to_string()), "signature"),
        ("HS256 under the modulus", hs256(rsa.jwk()["n"].as_str().unwrap()), "signature"),
        ("another hash", rsa.signed(&header("RS384", "rsa"), &claims), "algorithm"),
        ("past its end", ed.token(&json!({ "sub": "eve", "exp": now() - 60 })), "expired"),
    ];
    let mut counted = std::collections::BTreeMap::new();
    for (what, token, reason) in table {
        let answer = ask(server.client, &format!("/ws?token={token}"), "");
        assert_eq!((answer.status, answer.error().as_str()), (401, "unauthorized"), "{what}");
        *counted.entry(reason).or_insert(0) += 1;
        let failures = &server.backend().stats()["auth_failures"];
        for (reason, count) in &counted {
            assert_eq!(failures[*reason], *count, "{what}: {failures}");
        }
    }
}

#[test]
fn a_key_of_another_kind_than_is_said_does_not_start() {
    let mut config = Config::default();
    config.listen.set_port(0);
    config.backend.listen.set_port(0);
    let app = with_pem(&Issuer::es256("ec"), TokenAlgorithm::Rs256);
    config.apps.insert("default".into(), app);
    let Err(BindError::Keys(why)) = Server::bind(config) else { panic!("it starts") };
    assert!(why.contains("apps.default.public_keys: it is a key for ES256"), "{why}");
}

#[test]
fn files_of_keys_are_read_beside_the_configuration_and_checked_before_a_start() {
    let folder = std::env::temp_dir().join(format!("gannet-keys-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("gannet.toml");
    let [rsa, ec, ed] = &Issuer::all();
    fs::write(folder.join("rsa.pem"), rsa.pem()).unwrap();
    fs::write(folder.join("set.json"), jwks([ec, ed])).unwrap();
    let text = |key: &str| {
        format!(
            "[apps.default]\npublic_keys = [{{ kid = 'rsa', algorithm = 'RS256', file = '{key}' }}]\njwks_file = 'set.json'\n"
        )
    };
    let check = || {
        let gannet = Command::new(env!("CARGO_BIN_EXE_gannet")).args(["config", "check"]).arg(&path).output();
        let output = gannet.unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    fs::write(&path, text("rsa.pem")).unwrap();
    let config = Config::load(&path).unwrap();
    let server = TestServer::start(|own| own.apps = config.apps);
    for issuer in [rsa, ec, ed] {
        let player = server.try_player(&format!("/ws?token={}", issuer.token(&claims("ada")))).unwrap();
        player.close(1000, "");
    }
    assert!(check().0, "{}", check().1);
    fs::write(&path, text("none.pem")).unwrap();
    assert!(check().1.contains("cannot read apps.default.public_keys[0].file"), "{}", check().1);
    fs::write(&path, text("set.json")).unwrap();
    assert!(check().1.contains("apps.default.public_keys: it is no PEM"), "{}", check().1);
    fs::write(&path, text("rsa.pem")).unwrap();
    fs::write(folder.join("set.json"), r#"{"keys":[{"kty":"oct","k":"AQ"}]}"#).unwrap();
    assert!(check().1.contains("apps.default.jwks: none of its 1 keys can check a token"), "{}", check().1);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_command_checks_a_token_under_a_set() {
    let path = std::env::temp_dir().join(format!("gannet-set-{}.json", std::process::id()));
    let issuers = Issuer::all();
    fs::write(&path, jwks(&issuers)).unwrap();
    let check = |token: &str| {
        let mut gannet = Command::new(env!("CARGO_BIN_EXE_gannet"));
        let output = gannet.args(["token", "check", token, "--jwks-file"]).arg(&path).output().unwrap();
        (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    for issuer in &issuers {
        let (good, said) = check(&issuer.token(&claims("ada")));
        assert!(good && said.contains(r#""user": "ada""#), "{said}");
    }
    let (good, said) = check(&Issuer::eddsa("new").token(&claims("eve")));
    assert!(
        !good && said.contains("refused: the app has no key with the kid that the token names"),
        "{said}"
    );
    fs::write(&path, "{}").unwrap();
    let (good, said) = check(&issuers[0].token(&claims("ada")));
    assert!(!good && said.contains("it is no JWK set"), "{said}");
    fs::remove_file(&path).unwrap();
}
