//! Keys that the server fetches from whoever publishes them: rotated, unreachable, bad, and not there yet.

use crate::issuer::{Issuer, jwks};
use crate::support::tls::CertFiles;
use crate::support::*;
use crate::tokens::*;
use gannet::config::{AppConfig, Config};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

fn claims(user: &str) -> Value {
    json!({ "sub": user, "exp": now() + 600 })
}

/// Keys from `publisher`, asked again soon where a token names one that is not there.
fn fetching(publisher: &JwksServer) -> impl FnOnce(&mut Config) {
    let (url, ca) = (publisher.url().parse().unwrap(), publisher.certificate.cert.clone());
    |config| {
        config.apps.insert("default".into(), AppConfig { jwks_url: Some(url), ..AppConfig::default() });
        config.auth.jwks_ca_file = Some(ca);
        config.auth.jwks_retry = Duration::from_millis(20);
    }
}

fn status(server: &TestServer, token: &str) -> u16 {
    ask(server.client, &format!("/ws?token={token}"), "").status
}

/// How many fetches have ended so.
fn fetches(server: &Ports, outcome: &str) -> f64 {
    let series = format!("gannet_jwks_fetches_total{{outcome=\"{outcome}\"}}");
    server.backend().scrape().sample(&series).unwrap()
}

fn until_good(server: &TestServer, token: &str) {
    until("the token is good", || status(server, token) == 101);
}

#[test]
fn keys_are_fetched_over_https_and_again_when_a_token_names_a_new_one() {
    let (old, new) = (Issuer::es256("old"), Issuer::eddsa("new"));
    let publisher = JwksServer::start(jwks([&old]));
    let server = TestServer::start(fetching(&publisher));
    until_good(&server, &old.token(&claims("ada")));
    // Within the default refresh, ten minutes, nothing but the unknown name makes the server ask.
    assert_eq!(status(&server, &new.token(&claims("ada"))), 401);
    publisher.answer(200, jwks([&old, &new]));
    until_good(&server, &new.token(&claims("ada")));
    assert_eq!(status(&server, &old.token(&claims("ada"))), 101);
    // What is no longer published is no key any more.
    publisher.answer(200, jwks([&new]));
    assert_eq!(status(&server, &Issuer::rs256("third").token(&claims("ada"))), 401);
    until("the old key is gone", || status(&server, &old.token(&claims("ada"))) == 401);
    assert_eq!(status(&server, &new.token(&claims("ada"))), 101);
    let failures = &server.backend().stats()["auth_failures"];
    assert!(failures["unknown_key"].as_u64().unwrap() >= 2, "{failures}");
    until("each fetch is counted", || fetches(&server, "fetched") >= 3.0);
    let age = server.backend().scrape().sample("gannet_jwks_age_seconds{app=\"default\"}").unwrap();
    assert!((0.0..DEADLINE.as_secs_f64()).contains(&age), "{age}");
}

#[test]
fn keys_that_are_asked_for_are_fetched_at_most_once_in_the_retry_time() {
    let known = Issuer::eddsa("known");
    let publisher = JwksServer::start(jwks([&known]));
    let server = TestServer::start(|config| {
        fetching(&publisher)(config);
        config.auth.jwks_retry = Duration::from_secs(3600);
    });
    until_good(&server, &known.token(&claims("ada")));
    for number in 0..100 {
        let unknown = Issuer::eddsa(&number.to_string());
        assert_eq!(status(&server, &unknown.token(&claims("eve"))), 401);
    }
    assert_eq!(publisher.asked(), 1);
}

#[test]
fn before_the_first_fetch_a_token_is_neither_good_nor_bad() {
    let known = Issuer::rs256("known");
    let publisher = JwksServer::start("no set yet".to_owned());
    let server = TestServer::start(fetching(&publisher));
    let token = known.token(&claims("ada"));
    let unnamed = known.signed(&json!({ "alg": "RS256" }), &claims("ada"));
    for token in [&token, &unnamed] {
        let answer = ask(server.client, &format!("/ws?token={token}"), "");
        assert_eq!((answer.status, answer.error().as_str()), (503, "overloaded"));
        assert_eq!(answer.header("retry-after"), Some("5"));
    }
    // What no fetched key could make good is refused at once.
    let hs256 = crate::tokens::token(HS256, &claims("eve"), CHESS);
    assert_eq!(status(&server, &hs256), 401);
    assert_eq!(ask(server.client, "/ws?user=eve", "").status, 401);
    let stats = server.backend().stats();
    assert_eq!((&stats["refused"]["no_keys"], &stats["auth_failures"]["no_keys"]), (&json!(2), &json!(2)));
    publisher.answer(200, jwks([&known]));
    until_good(&server, &token);
    assert_eq!(status(&server, &unnamed), 101);
}

#[test]
fn whatever_the_publisher_answers_the_last_good_keys_stay() {
    let known = Issuer::eddsa("known");
    let mut publisher = JwksServer::start(jwks([&known]));
    let server = TestServer::start(|config| {
        fetching(&publisher)(config);
        config.auth.jwks_refresh = Duration::from_secs(1);
    });
    let token = known.token(&claims("ada"));
    until_good(&server, &token);
    let failed = || fetches(&server, "failed");
    let set = jwks([&known]);
    let doubled = jwks([&known, &known]);
    for (status_code, body) in [
        (500, set.clone()),
        (404, String::new()),
        (302, set.clone()),
        (204, String::new()),
        (200, String::new()),
        (200, "<html>".to_owned()),
        (200, r#"{"keys":[]}"#.to_owned()),
        (200, set[..set.len() - 1].to_owned()),
        (200, doubled),
        (200, format!("{set}{}", " ".repeat(65_536))),
    ] {
        let before = failed();
        publisher.answer(status_code, body.as_str());
        until("two more have failed", || failed() >= before + 2.0);
        assert_eq!(status(&server, &token), 101, "{status_code} {body}");
    }
    publisher.end();
    let before = failed();
    until("nobody is there", || failed() >= before + 2.0);
    assert_eq!(status(&server, &token), 101);
}

#[test]
fn a_publisher_whose_certificate_is_not_believed_is_not_asked() {
    let known = Issuer::eddsa("known");
    let (publisher, other) = (JwksServer::start(jwks([&known])), CertFiles::new(&["localhost"]));
    let server = TestServer::start(|config| {
        fetching(&publisher)(config);
        config.auth.jwks_ca_file = Some(other.cert.clone());
    });
    let failed = || fetches(&server, "failed");
    until("it has been tried", || failed() >= 2.0);
    assert_eq!((publisher.asked(), status(&server, &known.token(&claims("ada")))), (0, 503));
}

#[test]
fn the_log_says_once_that_keys_cannot_be_fetched_and_once_that_they_can_again() {
    let known = Issuer::eddsa("known");
    let publisher = JwksServer::start(jwks([&known]));
    let (url, ca) = (publisher.url(), publisher.certificate.cert.display().to_string());
    let server = ServerProcess::start(
        &[],
        &format!(
            "[apps.default]\njwks_url = '{url}'\n[auth]\njwks_ca_file = '{ca}'\njwks_refresh_ms = 1000\njwks_retry_ms = 10\n"
        ),
    );
    let fetches = |outcome: &str| fetches(&server, outcome);
    until("it is fetched", || fetches("fetched") >= 1.0);
    publisher.answer(503, "");
    until("it fails", || fetches("failed") >= 5.0);
    publisher.answer(200, jwks([&known]));
    let before = fetches("fetched");
    until("it is fetched again", || fetches("fetched") > before);
    drop(publisher);
    server.signal(Signal::TERM);
    let (_, said) = server.wait();
    let warned =
        format!("{url}: the answer is 503 instead of 200; the keys that were fetched last stay good");
    assert_eq!(said.matches(&warned).count(), 1, "{said}");
    assert_eq!(said.matches(&format!("{url}: 1 keys, 0 passed over")).count(), 2, "{said}");
}

#[test]
fn a_publisher_that_says_nothing_holds_up_neither_players_nor_the_stop() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/keys", silent.local_addr().unwrap());
    let (known, secret) = (Issuer::eddsa("known"), DEFAULT);
    let server = TestServer::start(|config| {
        let url = Some(url.parse().unwrap());
        config.apps.insert("default".into(), AppConfig { jwks_url: url, ..app(&[secret]) });
        config.auth.jwks_timeout = Duration::from_secs(600);
    });
    let (_held, _) = silent.accept().unwrap();
    let player = server.try_player(&format!("/ws?token={}", token(HS256, &claims("ada"), secret))).unwrap();
    assert_eq!(status(&server, &known.token(&claims("ada"))), 503);
    player.close(1000, "");
    let has_stopped = AtomicBool::new(false);
    thread::scope(|scope| {
        let stopping = scope.spawn(|| {
            server.stop();
            has_stopped.store(true, Ordering::SeqCst);
        });
        until("it has stopped", || has_stopped.load(Ordering::SeqCst));
        stopping.join().unwrap();
    });
}

#[test]
fn a_reload_keeps_what_was_fetched_and_follows_another_url() {
    let (old, new) = (Issuer::es256("old"), Issuer::eddsa("new"));
    let mut publisher = JwksServer::start(jwks([&old]));
    let next = JwksServer::start(jwks([&new]));
    let server = TestServer::start(fetching(&publisher));
    until_good(&server, &old.token(&claims("ada")));
    // The same URL keeps its keys, although nobody could fetch them any more.
    publisher.end();
    server.reload(|config| config.limits.max_page = 7);
    assert_eq!(status(&server, &old.token(&claims("ada"))), 101);
    server.reload(|config| {
        config.apps.get_mut("default").unwrap().jwks_url = Some(next.url().parse().unwrap());
        config.auth.jwks_ca_file = Some(next.certificate.cert.clone());
    });
    until_good(&server, &new.token(&claims("ada")));
    assert_eq!(status(&server, &old.token(&claims("ada"))), 401);
    // So does the time after which they are fetched again.
    server.reload(|config| config.auth.jwks_refresh = Duration::from_secs(1));
    let asked = next.asked();
    until("it is asked again and again", || next.asked() >= asked + 3);
}
