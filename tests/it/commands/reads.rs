//! Reads on the link as over HTTP: sessions, counts, users and groups.

use super::Desk;
use crate::support::TestServer;
use serde_json::{Value, json};

#[test]
fn a_link_lists_and_counts_what_http_lists_and_counts() {
    let server = TestServer::start(|_| ());
    let _players: Vec<_> = (0..12)
        .map(|number| match number % 4 {
            0 => server.player(&format!("group=red&tag=ios&group=g{number:02}")),
            _ => server.player(&format!("user=u{}&group=red&group=blue", number % 4)),
        })
        .collect();
    let mut backend = server.backend();
    for mut desk in Desk::all(&server) {
        for (by, query) in [
            (json!({}), ""),
            (json!({"user": "u1"}), "user=u1"),
            (json!({"group": "blue"}), "group=blue"),
            (json!({"tag": "ios"}), "tag=ios"),
            (json!({"group": "nothing"}), "group=nothing"),
        ] {
            let mut run = |op: &str, more: Value| {
                let mut command = json!({"op": op});
                let all = command.as_object_mut().unwrap();
                all.extend(by.as_object().unwrap().clone());
                all.extend(more.as_object().unwrap().clone());
                desk.run(command)
            };
            assert_eq!(run("count", json!({})), backend.ok("GET", &format!("/v1/count?{query}")), "{query}");
            let first = run("list", json!({"limit": 2}));
            assert_eq!(first, backend.ok("GET", &format!("/v1/sessions?{query}&limit=2").replace("?&", "?")));
            let rest = run("list", json!({"after": first["next"]}));
            let count = |page: &Value| page["sessions"].as_array().unwrap().len() as u64;
            let rest = if first["next"].is_null() { 0 } else { count(&rest) };
            assert_eq!(count(&first) + rest, first["count"].as_u64().unwrap(), "{query}");
        }
        assert_eq!(desk.run(json!({"op": "count"})), json!({"sessions": 12, "users": 3, "anonymous": 3}));
        assert_eq!(
            desk.run(json!({"op": "count", "group": "blue"})),
            json!({"sessions": 9, "users": 3, "anonymous": 0})
        );
        let user = |name: &str| json!({"user": name, "sessions": 3});
        assert_eq!(
            desk.run(json!({"op": "users"})),
            json!({"users": [user("u1"), user("u2"), user("u3")], "next": null})
        );
        let page = json!({"users": [user("u1"), user("u2")], "next": "u2"});
        assert_eq!(desk.run(json!({"op": "users", "limit": 2})), page);
        assert_eq!(backend.ok("GET", "/v1/users?limit=2"), page);
        let rest = json!({"users": [user("u3")], "next": null});
        assert_eq!(desk.run(json!({"op": "users", "limit": 2, "after": "u2", "prefix": "u"})), rest);
        let group = |name: &str, sessions: u32| json!({"group": name, "sessions": sessions});
        let groups = json!({"groups": [group("g00", 1), group("g04", 1), group("g08", 1)], "next": null});
        assert_eq!(desk.run(json!({"op": "groups", "prefix": "g"})), groups);
        assert_eq!(backend.ok("GET", "/v1/groups?prefix=g"), groups);
        let both = json!({"groups": [group("blue", 9), group("g00", 1)], "next": "g00"});
        assert_eq!(desk.run(json!({"op": "groups", "limit": 2})), both);
        for bad in [
            json!({"op": "count", "user": "a", "tag": "b"}),
            json!({"op": "users", "limit": 0}),
            json!({"op": "groups", "limit": 1_001}),
        ] {
            // 0 is the default in the binary layout, which names a page by one thing alone.
            if matches!(desk, Desk::Batch(_)) {
                assert_eq!(desk.run(bad.clone()), json!({"error": "bad_request"}), "{bad}");
            }
        }
    }
}

/// More names than a turn looks at.
#[test]
fn many_names_are_listed_in_their_order_page_by_page() {
    let server = TestServer::start(|config| {
        config.limits.turn_listed = 1;
        config.limits.groups_per_session = 1_000;
    });
    let players: Vec<_> = (0..3).map(|_| server.player("")).collect();
    let mut link = server.binary_link();
    for (number, player) in players.iter().enumerate() {
        let groups: Vec<String> =
            (number * 100..number * 100 + 200).map(|group| format!("g{group:03}")).collect();
        link.command(json!({"op": "join", "group": groups, "session": [player.id.to_string()]}));
    }
    let (mut after, mut seen) = (None::<String>, Vec::new());
    loop {
        let page = link.command(json!({"op": "groups", "prefix": "g", "limit": 37, "after": after}));
        seen.extend(page["groups"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(next) => after = Some(next.to_owned()),
            None => break,
        }
    }
    let sessions = |group: usize| 1 + u32::from((100..300).contains(&group));
    let expected =
        (0..400).map(|group| json!({"group": format!("g{group:03}"), "sessions": sessions(group)}));
    assert!(seen.into_iter().eq(expected));
}
