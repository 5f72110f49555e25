//! Who gets in where apps have secrets: tokens, signed queries, origins, networks; and that nobody else does, while those
//! who are in notice nothing.

use crate::raw::{Raw, upgrade};
use crate::support::*;
use crate::tokens::*;
use gannet::config::{AppConfig, Config, ConfigError};
use gannet::{BindError, Server};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

/// The apps `default` and `chess`, each with its secrets.
fn guarded(config: &mut Config) {
    config.apps.insert("default".into(), app(&[DEFAULT]));
    config.apps.insert("chess".into(), app(&[ROTATED, CHESS]));
}

fn claims(user: &str) -> Value {
    json!({ "sub": user, "exp": now() + 60 })
}

fn chess(user: &str) -> String {
    token(HS256, &claims(user), CHESS)
}

/// What 401 says, whatever was wrong.
fn refusal(server: &TestServer) -> Vec<u8> {
    ask(server.client, "/ws/chess", "").body
}

#[test]
fn a_token_says_who_a_session_is() {
    let server = TestServer::start(guarded);
    let says = json!({
        "sub": "ada", "exp": now() + 60, "nbf": now(), "app": "chess", "groups": ["g", "räum 1"], "tags": ["ios"],
    });
    for secret in [CHESS, ROTATED] {
        let token = token(HS256, &says, secret);
        let mut in_query = server.try_player(&format!("/ws/chess?token={token}")).unwrap();
        let mut in_header = Raw::connect(server.client);
        in_header.send(upgrade("/ws/chess", &format!("Authorization: Bearer {token}\r\n")));
        assert_eq!(in_header.answer().status, 101);
        let welcome: Value = serde_json::from_str(in_header.frame().unwrap().text()).unwrap();
        assert_eq!(
            (&welcome["user"], welcome["expires_unix_ms"].is_u64()),
            (&json!("ada"), true),
            "{welcome}"
        );
        assert_eq!(in_query.user.as_deref(), Some("ada"));
        let info = server.backend().ok("GET", &format!("/v1/sessions/{}?app=chess", in_query.id));
        let groups: BTreeSet<&str> =
            info["groups"].as_array().unwrap().iter().map(|group| group.as_str().unwrap()).collect();
        assert_eq!((groups, &info["tags"]), (BTreeSet::from(["g", "räum 1"]), &json!(["ios"])));
        let receipt = server.backend().push_text("app=chess&group=g", "to both");
        assert_eq!(receipt.matched, 2);
        assert_eq!(in_query.recv_text(), "to both");
        assert_eq!(in_header.frame().unwrap().text(), "to both");
        in_query.close(1000, "");
        drop(in_header);
        server.await_stats("nobody is left", |totals| totals["sessions"] == 0);
    }
}

#[test]
fn every_forgery_is_refused_alike_and_those_inside_notice_nothing() {
    let server = TestServer::start(guarded);
    let mut backend = server.backend();
    let mut healthy: Vec<Player> = (0..100)
        .map(|number| {
            server.try_player(&format!("/ws/chess?token={}", chess(&format!("u{number}")))).unwrap()
        })
        .collect();
    let good = claims("eve");
    let with = |claim: &str, value: Value| {
        let mut claims = good.clone();
        claims[claim] = value;
        token(HS256, &claims, CHESS)
    };
    let valid = chess("eve");
    let [header, payload, signature] = <[&str; 3]>::try_from(valid.split('.').collect::<Vec<_>>()).unwrap();
    let stolen = token(HS256, &claims("admin"), DEFAULT);
    let forged_payload = stolen.split('.').nth(1).unwrap();
    let table = [
        ("no token", "user=eve&group=g".to_owned(), "missing"),
        ("an empty token", "token=".to_owned(), "malformed"),
        ("not base64url", "token=%21.%21.%21".to_owned(), "malformed"),
        // A character less may be a shorter signature, two are no base64 at all.
        ("a truncated token", format!("token={}", &valid[..valid.len() - 2]), "malformed"),
        ("two parts", format!("token={header}.{payload}"), "malformed"),
        ("no signature", format!("token={header}.{payload}."), "signature"),
        ("an oversized token", format!("token={}", "a".repeat(5000)), "malformed"),
        ("alg none, unsigned", format!("token=eyJhbGciOiJub25lIn0.{payload}."), "algorithm"),
        ("alg none, signed", format!("token={}", token(r#"{"alg":"none"}"#, &good, CHESS)), "algorithm"),
        ("alg HS512", format!("token={}", token(r#"{"alg":"HS512"}"#, &good, CHESS)), "algorithm"),
        ("alg RS256", format!("token={}", token(r#"{"alg":"RS256"}"#, &good, CHESS)), "algorithm"),
        (
            "another's secret",
            format!("token={}", token(HS256, &good, "not the secret of the app at all")),
            "signature",
        ),
        ("the secret of another app", format!("token={stolen}"), "signature"),
        ("another payload", format!("token={header}.{forged_payload}.{signature}"), "signature"),
        ("expired", format!("token={}", with("exp", json!(now() - 60))), "expired"),
        ("no end", format!("token={}", with("exp", Value::Null)), "claims"),
        ("not yet valid", format!("token={}", with("nbf", json!(now() + 60))), "not_yet_valid"),
        ("for another app", format!("token={}", with("app", json!("default"))), "app"),
        ("no user", format!("token={}", with("sub", json!(""))), "claims"),
        (
            "a signed query by another's secret",
            signed_query("chess", "eve", now(), "n1", DEFAULT),
            "signature",
        ),
        ("a signed query for another app", signed_query("default", "eve", now(), "n2", DEFAULT), "app"),
        ("a signed query of the past", signed_query("chess", "eve", now() - 200, "n3", CHESS), "skewed"),
        ("a signed query of the future", signed_query("chess", "eve", now() + 200, "n4", CHESS), "skewed"),
    ];
    let told = refusal(&server);
    for (what, query, reason) in table {
        let before = backend.stats()["auth_failures"][reason].as_u64().unwrap();
        for _ in 0..5 {
            let answer = ask(server.client, &format!("/ws/chess?{query}"), "");
            assert_eq!((answer.status, answer.error().as_str()), (401, "unauthorized"), "{what}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
            assert_eq!(answer.body, told, "{what}: the reason is not for the client");
        }
        assert_eq!(backend.stats()["auth_failures"][reason], before + 5, "{what}");
        let receipt = backend.push_text("app=chess&all=1&receipt=written", what);
        assert_eq!((receipt.matched, receipt.written), (100, Some(100)), "{what}");
        for player in &mut healthy {
            assert_eq!(player.recv_text(), what);
        }
    }
    let totals = backend.stats();
    assert_eq!((&totals["opened"], &totals["sessions"]), (&json!(100), &json!(100)));
    assert_eq!(totals["refused"]["unauthorized"], 23 * 5 + 1);
}

#[test]
fn a_signed_query_opens_one_session_whoever_shows_it_first() {
    let server = TestServer::start(guarded);
    let told = refusal(&server);
    for (round, secret) in [CHESS, ROTATED, CHESS].into_iter().enumerate() {
        // The path names the app, or the query does.
        let path = if round == 1 { "/ws/chess" } else { "/ws" };
        let query = signed_query("chess", "ada l", now(), &format!("nonce {round}"), secret);
        let target = format!("{path}?{query}");
        let together = Barrier::new(16);
        let statuses: Vec<u16> = thread::scope(|scope| {
            let asking = || {
                let mut raw = Raw::connect(server.client);
                together.wait();
                raw.send(upgrade(&target, ""));
                let answer = raw.answer();
                assert!(answer.status == 101 || answer.body == told);
                answer.status
            };
            let clients: Vec<_> = (0..16).map(|_| scope.spawn(asking)).collect();
            clients.into_iter().map(|client| client.join().unwrap()).collect()
        });
        assert_eq!(statuses.iter().filter(|status| **status == 101).count(), 1, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 15, "{statuses:?}");
    }
    let totals = server.backend().stats();
    assert_eq!(totals["auth_failures"]["replayed"], 3 * 15);
    assert_eq!(totals["opened"], 3);
}

#[test]
fn when_no_nonce_can_be_remembered_no_signed_query_is_taken() {
    let server = TestServer::start(|config| {
        guarded(config);
        config.auth.max_nonces = 2;
    });
    let target = |nonce: &str| format!("/ws?{}", signed_query("chess", "ada", now(), nonce, CHESS));
    let (first, second) = (target("1"), target("2"));
    let _players = [&first, &second].map(|target| server.try_player(target).unwrap());
    let answer = ask(server.client, &target("3"), "");
    assert_eq!((answer.status, answer.error().as_str()), (503, "overloaded"));
    assert_eq!(answer.header("retry-after"), Some("5"));
    assert_eq!(ask(server.client, &first, "").status, 401);
    assert_eq!(server.backend().stats()["auth_failures"]["nonces_full"], 1);
    assert!(server.try_player(&format!("/ws/chess?token={}", chess("ada"))).is_ok());
}

#[test]
fn a_session_ends_with_its_token() {
    let server = TestServer::start(|config| {
        guarded(config);
        config.auth.leeway = Duration::ZERO;
    });
    let mut link = server.link();
    link.command(json!({ "op": "listen", "app": "chess", "events": ["close"] }));
    let says = json!({ "sub": "ada", "exp": now() + 10 });
    let mut short = server.try_player(&format!("/ws/chess?token={}", token(HS256, &says, CHESS))).unwrap();
    let mut long = server.try_player(&format!("/ws/chess?token={}", chess("ada"))).unwrap();
    // It is busy until then, and what was pushed before the end comes before the end.
    short.send_text("hello");
    server.backend().push_text("app=chess&user=ada", "before");
    assert_eq!(short.recv_text(), "before");
    assert_eq!(short.recv_end(), End::Closed(4004, "token expired".into()));
    assert!(now() >= says["exp"].as_u64().unwrap(), "not before its time");
    let event = link.event();
    assert_eq!((&event["code"], &event["user"]), (&json!(4004), &json!("ada")));
    let again = ask(server.client, &format!("/ws/chess?token={}", token(HS256, &says, CHESS)), "");
    assert_eq!(again.status, 401);
    assert_eq!(server.backend().push_text("app=chess&user=ada", "after").matched, 1);
    assert_eq!(["before", "after"].map(|_| long.recv_text()), ["before", "after"]);
    assert_eq!(server.backend().stats()["closed"]["4004"], 1);
}

#[test]
fn apps_with_their_own_secrets_never_meet() {
    let server = TestServer::start(guarded);
    let at_default = token(HS256, &claims("ada"), DEFAULT);
    let mut in_chess = server.try_player(&format!("/ws/chess?token={}", chess("ada"))).unwrap();
    let mut in_default = server.try_player(&format!("/ws?token={at_default}")).unwrap();
    assert_eq!(ask(server.client, &format!("/ws/chess?token={at_default}"), "").status, 401);
    assert_eq!(ask(server.client, &format!("/ws?token={}", chess("ada")), "").status, 401);
    assert_eq!(
        ask(server.client, &format!("/ws?{}", signed_query("go", "ada", now(), "n", CHESS)), "").status,
        404
    );
    let mut backend = server.backend();
    for (app, other) in [("chess", in_default.id), ("default", in_chess.id)] {
        // Whatever names the other app's session finds nobody.
        for (method, target) in [
            ("GET", format!("/v1/sessions/{other}?app={app}")),
            ("DELETE", format!("/v1/sessions/{other}?app={app}")),
            ("POST", format!("/v1/groups/g/members?session={other}&app={app}")),
            ("DELETE", format!("/v1/groups/g/members?session={other}&app={app}")),
            ("PUT", format!("/v1/sessions/{other}/user?user=eve&app={app}")),
            ("POST", format!("/v1/sessions/{other}/tags?tag=t&app={app}")),
            ("DELETE", format!("/v1/sessions/{other}/tags?tag=t&app={app}")),
        ] {
            let reply = backend.request(method, &target);
            assert_eq!(
                (reply.status, &reply.json()["error"]["code"]),
                (404, &json!("unknown_session")),
                "{target}"
            );
        }
        let receipt = backend.push_text(&format!("app={app}&session={other}"), "lost");
        assert_eq!((receipt.matched, receipt.offline), (0, 1));
        assert_eq!(backend.push_text(&format!("app={app}&user=ada&all=1"), app).matched, 1);
        assert_eq!(backend.ok("GET", &format!("/v1/sessions?user=ada&app={app}"))["count"], 1);
    }
    assert_eq!((in_chess.recv_text(), in_default.recv_text()), ("chess".into(), "default".into()));
    assert_eq!(backend.change("DELETE", "/v1/users/ada?app=chess"), 1);
    assert_eq!(in_chess.recv_end(), End::Closed(4001, String::new()));
    assert_eq!(backend.push_text("user=ada", "still here").matched, 1);
    assert_eq!(in_default.recv_text(), "still here");
}

#[test]
fn a_page_of_another_origin_is_kept_out() {
    let server = TestServer::start(|config| {
        let origins = ["https://chess.example", "https://*.chess.example"].map(|text| text.parse().unwrap());
        config.apps.insert("chess".into(), AppConfig { origins: origins.into(), ..AppConfig::default() });
        let any = vec!["*".parse().unwrap()];
        config.apps.insert("default".into(), AppConfig { origins: any, ..AppConfig::default() });
    });
    for (headers, status) in [
        ("", 101),
        ("Origin: https://chess.example\r\n", 101),
        ("Origin: https://eu.chess.example\r\n", 101),
        ("Origin: https://evil.example\r\n", 403),
        ("Origin: http://chess.example\r\n", 403),
        ("Origin: null\r\n", 403),
        ("Origin:\r\n", 403),
        ("Origin: https://chess.example\r\nOrigin: https://evil.example\r\n", 403),
    ] {
        let answer = ask(server.client, "/ws/chess?user=ada", headers);
        assert_eq!(answer.status, status, "{headers}");
        if status == 403 {
            assert_eq!(answer.error(), "forbidden");
        }
        assert_eq!(ask(server.client, "/ws", headers).status, 101, "another app lets every page in");
    }
    assert_eq!(server.backend().stats()["refused"]["forbidden"], 5);
}

#[test]
fn the_backend_port_is_closed_to_other_networks() {
    let server = TestServer::start(|config| {
        config.backend.allow = ["127.0.0.2/31", "::1"].map(|text| text.parse().unwrap()).into();
    });
    for _ in 0..3 {
        let mut stranger = connect_from([127, 0, 0, 1], server.backend);
        assert!(is_over(&mut stranger), "closed unread");
    }
    let mut friend = Backend::over(connect_from([127, 0, 0, 3], server.backend));
    assert_eq!(friend.stats()["refused"]["backend_network"], 3);
    // Players are not concerned.
    let mut ada = server.player("user=ada");
    friend.push_text("user=ada", "hi");
    assert_eq!(ada.recv_text(), "hi");
}

#[test]
fn an_embedding_program_cannot_forget_the_default_app() {
    let apps = [("chess".to_owned(), app(&[CHESS]))].into();
    let listen = "0.0.0.0:0".parse().unwrap();
    let refused = Server::bind(Config { listen, apps, ..Config::default() });
    let without = match refused.err() {
        Some(BindError::Config(ConfigError::SomeWithoutSecrets { without, .. })) => without,
        other => panic!("{other:?}"),
    };
    assert_eq!(without, ["default"]);
}

#[test]
fn neither_log_nor_metrics_nor_banner_show_a_secret() {
    let secrets = std::env::temp_dir().join(format!("gannet-it-{}.secrets", std::process::id()));
    std::fs::write(&secrets, format!("{ROTATED}\n{CHESS}\n")).unwrap();
    let config = format!(
        "[backend]\nkey = 'hunter2-hunter2-hunter2'\n[apps.default]\nsecrets_file = '{}'\n[log]\nremembered_clients = 0\n",
        secrets.display()
    );
    let server = ServerProcess::start(&["--log", "trace"], &config);
    std::fs::remove_file(&secrets).unwrap();
    let good = token(HS256, &claims("ada"), CHESS);
    let forged = token(HS256, &claims("eve"), DEFAULT);
    let expired = token(HS256, &json!({ "sub": "eve", "exp": 7 }), CHESS);
    let query = signed_query("default", "ada", now(), "n", ROTATED);
    let bearer = format!("Authorization: Bearer {good}\r\n");
    for (target, headers, status) in [
        (format!("/ws?token={good}"), "", 101),
        ("/ws".to_owned(), bearer.as_str(), 101),
        (format!("/ws?token={good}"), &bearer, 400),
        (format!("/ws?token={forged}"), "", 401),
        (format!("/ws?token={expired}"), "", 401),
        (format!("/ws?{query}"), "", 101),
        (format!("/ws?{query}"), "", 401),
    ] {
        let answer = ask(server.client, &target, headers);
        assert_eq!(answer.status, status, "{target}");
        assert!(!String::from_utf8_lossy(&answer.body).contains("eyJ"), "{target}");
    }
    let mut backend = Raw::connect(server.backend);
    backend.send(
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer hunter2-hunter2-hunter2\r\n\r\n",
    );
    let metrics = String::from_utf8(backend.answer().body).unwrap();
    server.signal(rustix::process::Signal::TERM);
    let (_, said) = server.wait();
    assert!(said.contains("not believed: no key of the app made this signature"), "{said}");
    assert!(said.contains("not believed: it expired"), "{said}");
    assert!(said.contains("not believed: its nonce has been used"), "{said}");
    let signature = query.split('=').next_back().unwrap();
    for secret in [ROTATED, CHESS, "hunter2", &good, &forged, signature, "eyJ"] {
        assert!(!said.contains(secret) && !metrics.contains(secret), "{secret}");
    }
}

#[test]
fn what_gannet_token_makes_opens_a_session() {
    let secrets = std::env::temp_dir().join(format!("gannet-it-mint-{}.secrets", std::process::id()));
    std::fs::write(&secrets, format!("{ROTATED}\n{CHESS}\n")).unwrap();
    let gannet = |args: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_gannet"))
            .args(args)
            .args(["--app", "chess", "--secret-file", secrets.to_str().unwrap()])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let server = TestServer::start(guarded);
    let token = gannet(&["token", "mint", "--user", "ada", "--group", "g", "--tag", "ios", "--ttl", "5m"]);
    let query = gannet(&["token", "mint", "--user", "ada l&ö", "--signed-query"]);
    let checked: Value = serde_json::from_str(&gannet(&["token", "check", &token])).unwrap();
    assert_eq!(
        (&checked["user"], &checked["groups"], &checked["tags"]),
        (&json!("ada"), &json!(["g"]), &json!(["ios"]))
    );
    let checked: Value = serde_json::from_str(&gannet(&["token", "check", &query])).unwrap();
    assert_eq!((&checked["user"], &checked["expires_in_s"]), (&json!("ada l&ö"), &Value::Null));
    std::fs::remove_file(&secrets).unwrap();
    let _by_token = server.try_player(&format!("/ws/chess?token={token}")).unwrap();
    let by_query = server.try_player(&format!("/ws?{query}")).unwrap();
    assert_eq!(by_query.user.as_deref(), Some("ada l&ö"));
    assert_eq!(server.backend().push_text("app=chess&group=g", "hi").matched, 1);
}
