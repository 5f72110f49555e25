//! `set_groups` and `set_tags`: what there is afterwards, and what is told of it.

use super::{Desk, names};
use crate::support::TestServer;
use serde_json::{Value, json};

#[test]
fn sessions_are_in_exactly_the_groups_of_the_prefix_and_others_stay() {
    let server = TestServer::start(|_| ());
    let player = server.player("user=ada&group=chat&group=match:1&group=match:2");
    let id = player.id.to_string();
    let mut backend = server.backend();
    for mut desk in Desk::all(&server) {
        let mut set = |groups: &[&str], prefix: Option<&str>, expected: Value| {
            let command = json!({"op": "set_groups", "session": id, "groups": groups, "prefix": prefix});
            assert_eq!(desk.run(command.clone()), expected, "{command}");
            names(&mut server.backend(), &id, "groups")
        };
        let one = || json!({"sessions": 1});
        assert_eq!(set(&["match:2", "match:3"], Some("match:"), one()), ["chat", "match:2", "match:3"]);
        assert_eq!(set(&["match:3", "match:2"], Some("match:"), json!({"sessions": 0})).len(), 3);
        assert_eq!(set(&[], Some("match:"), one()), ["chat"]);
        assert_eq!(set(&["x", "chat", "x"], None, one()), ["chat", "x"]);
        assert_eq!(set(&["other"], Some("match:"), json!({"error": "bad_request"})), ["chat", "x"]);
        assert_eq!(set(&["chat", "match:1", "match:2"], None, one()), ["chat", "match:1", "match:2"]);
        let tags = json!({"op": "set_tags", "user": ["ada", "eve"], "tags": ["lobby:eu", "lobby:1"], "prefix": "lobby:"});
        assert_eq!(desk.run(tags.clone()), json!({"sessions": 1, "unknown": 1}));
        assert_eq!(desk.run(tags), json!({"sessions": 0, "unknown": 1}));
        assert_eq!(names(&mut backend, &id, "tags"), ["lobby:1", "lobby:eu"]);
        assert_eq!(desk.run(json!({"op": "set_tags", "session": id, "tags": []})), one());
        assert!(names(&mut backend, &id, "tags").is_empty());
    }
    assert_eq!(backend.change("PUT", &format!("/v1/sessions/{id}/groups?groups=a&groups=b")), 1);
    assert_eq!(backend.change("PUT", "/v1/users/ada/groups?groups=match:7&prefix=match:"), 1);
    assert_eq!(names(&mut backend, &id, "groups"), ["a", "b", "match:7"]);
    assert_eq!(backend.change("PUT", "/v1/users/ada/groups?groups="), 1);
    assert!(names(&mut backend, &id, "groups").is_empty());
    assert_eq!(backend.request("PUT", "/v1/users/ada/groups").status, 400, "nothing is said");
    assert_eq!(backend.change("PUT", &format!("/v1/sessions/{id}/tags?tags=ios")), 1);
    assert_eq!(backend.change("PUT", "/v1/users/ada/tags?tags=eu&prefix=e"), 1);
    assert_eq!(names(&mut backend, &id, "tags"), ["eu", "ios"]);
    assert_eq!(backend.request("PUT", "/v1/sessions/fff0000000000001/groups?groups=a").status, 404);
}

#[test]
fn only_the_difference_is_told() {
    let server = TestServer::start(|_| ());
    let player = server.player("group=chat&group=match:1&group=match:2");
    let id = player.id.to_string();
    let mut link = server.link();
    link.listen(&["join", "leave"], None);
    let mut told = |command: Value, expected: &[(&str, &str)]| {
        link.command(command);
        for (event, group) in expected {
            let heard = link.event();
            assert_eq!((heard["event"].as_str(), heard["group"].as_str()), (Some(*event), Some(*group)));
        }
        // What is told next shows that nothing else was.
    };
    told(
        json!({"op": "set_groups", "session": id, "groups": ["match:2", "match:3"], "prefix": "match:"}),
        &[("leave", "match:1"), ("join", "match:3")],
    );
    told(
        json!({"op": "set_groups", "session": id, "groups": ["match:3", "match:2"], "prefix": "match:"}),
        &[],
    );
    told(
        json!({"op": "move", "group": "match:3", "to": "match:4", "session": [id]}),
        &[("leave", "match:3"), ("join", "match:4")],
    );
    told(
        json!({"op": "move", "group": "match:4", "to": "match:2", "session": [id]}),
        &[("leave", "match:4")],
    );
    told(json!({"op": "move", "group": "match:4", "to": "match:2", "session": [id]}), &[]);
    told(
        json!({"op": "leave", "group": ["chat", "match:2"], "session": [id]}),
        &[("leave", "chat"), ("leave", "match:2")],
    );
}

#[test]
fn a_session_that_would_be_in_too_many_stays_as_it_is() {
    let server = TestServer::start(|config| {
        config.limits.groups_per_session = 3;
        config.limits.tags_per_session = 1;
    });
    let player = server.player("group=chat&group=match:1");
    let (id, mut link) = (player.id.to_string(), server.link());
    let groups = ["match:2", "match:3", "match:4"];
    let set =
        |groups: &[&str]| json!({"op": "set_groups", "session": id, "groups": groups, "prefix": "match:"});
    assert_eq!(link.try_command(set(&groups)).unwrap_err()["code"], "bad_request");
    assert_eq!(names(&mut server.backend(), &id, "groups"), ["chat", "match:1"]);
    assert_eq!(link.command(set(&groups[1..])), json!({"sessions": 1}));
    let refused = link.try_command(json!({"op": "set_tags", "session": id, "tags": ["a", "b"]}));
    assert_eq!(refused.unwrap_err()["code"], "bad_request");
}
