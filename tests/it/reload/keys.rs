//! The keys of the backend port change.

use crate::entry::support::{ALL, CHESS, PUSH, READ, ask, bearer, key, link_upgrade};
use crate::raw::{Raw, masked};
use crate::support::*;
use gannet::config::{BackendKey, Config, Secret};
use gannet::dispatch::Right;

fn keys(config: &mut Config, keys: Vec<BackendKey>) {
    config.backend.keys = keys;
}

/// A link that shows this key.
fn link(server: &TestServer, shown: &str) -> Raw {
    let mut raw = Raw::connect(server.backend);
    raw.send(link_upgrade(&bearer(shown)));
    assert_eq!(raw.answer().status, 101);
    raw
}

/// What a link with any right to read is answered to a command with this id.
fn asks(link: &mut Raw, id: u32) -> String {
    let command = format!(r#"{{"id":{id},"op":"session","session":"00a0000000000001"}}"#);
    link.send(masked(0x81, command.as_bytes()));
    link.frame().unwrap().text().to_owned()
}

#[test]
fn a_link_ends_when_its_key_is_gone_or_may_do_less_and_no_other_does() {
    let server = TestServer::start(|config| {
        config.apps.insert("chess".to_owned(), Default::default());
        keys(
            config,
            vec![
                key("all", ALL, &[Right::All], &[]),
                key("gone", READ, &[Right::Read], &[]),
                key("less", PUSH, &[Right::Read, Right::Push], &[]),
                key("narrower", CHESS, &[Right::All], &["chess", "default"]),
            ],
        );
    });
    let [mut all, mut gone, mut less, mut narrower] =
        [ALL, READ, PUSH, CHESS].map(|shown| link(&server, shown));
    // The same keys under other names, with as much or more.
    server.reload(|config| {
        keys(
            config,
            vec![
                key("everything", ALL, &[Right::All], &[]),
                key("gone", READ, &[Right::Read, Right::Push], &[]),
                key("less", PUSH, &[Right::All], &[]),
                key("narrower", CHESS, &[Right::All], &["chess", "default"]),
            ],
        );
    });
    let status = |shown: &str| ask(server.backend, "GET /v1/sessions", &bearer(shown), "").status;
    for raw in [&mut all, &mut gone, &mut less, &mut narrower] {
        assert!(asks(raw, 1).contains(r#""id":1"#));
    }
    assert_eq!([ALL, READ, PUSH, CHESS].map(status), [200; 4]);
    server.reload(|config| {
        keys(
            config,
            vec![
                key("all", ALL, &[Right::All], &[]),
                key("less", PUSH, &[Right::Read], &[]),
                key("narrower", CHESS, &[Right::All], &["chess"]),
            ],
        );
    });
    for raw in [&mut gone, &mut less, &mut narrower] {
        assert_eq!(raw.closed().0, 1008);
    }
    assert_eq!([ALL, READ, PUSH, CHESS].map(status), [200, 401, 200, 404]);
    assert!(asks(&mut all, 2).contains(r#""id":2"#));
}

#[test]
fn a_link_that_needed_no_key_ends_when_one_is_needed() {
    let server = TestServer::start(|_| {});
    let mut link = server.link();
    server.reload(|config| config.limits.max_page = 7);
    link.listen(&["open"], None);
    server.reload(|config| config.backend.key = Some(Secret::new(ALL)));
    assert!(matches!(link.next_event(), Err(End::Closed(1008, _))));
    assert_eq!(ask(server.backend, "GET /v1/sessions", "", "").status, 401);
}
