//! Who is behind: the list of them, what a session and a group say of it, over an upgrade and over nodes.

use crate::stalled::{skip, stalled};
use crate::support::*;
use crate::upgrade::running::Running;
use serde_json::{Value, json};

fn users(list: &Value) -> Vec<&str> {
    list["sessions"].as_array().unwrap().iter().map(|info| info["user"].as_str().unwrap()).collect()
}

#[test]
fn those_who_are_behind_are_listed_with_the_largest_queue_first() {
    let server = TestServer::start(|config| config.limits.outbox_bytes = 64 << 20);
    let mut backend = server.backend();
    let mut slow: Vec<_> = ["ada", "bob", "eve"].map(|user| stalled(&server, user)).into();
    let _quick = server.player("user=quick&group=g");
    assert_eq!(backend.change("POST", "/v1/groups/g/members?user=ada&user=bob"), 2);
    // From the largest queue to the smallest: bob, eve, ada.
    for (user, count) in [("bob", 40), ("eve", 20)] {
        for _ in 0..count {
            assert_eq!(backend.push_text(&format!("user={user}"), &"-".repeat(50_000)).queued, 1);
        }
    }
    let all = backend.ok("GET", "/v1/sessions?behind=1");
    assert_eq!(
        (&all["count"], users(&all), &all["next"]),
        (&json!(3), vec!["bob", "eve", "ada"], &Value::Null)
    );
    let queues: Vec<u64> = all["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|info| info["queued_bytes"].as_u64().unwrap())
        .collect();
    assert!(queues.windows(2).all(|pair| pair[0] > pair[1]), "{queues:?}");
    let few = backend.ok("GET", "/v1/sessions?behind=1&limit=1");
    assert_eq!((&few["count"], users(&few)), (&json!(3), vec!["bob"]));
    assert_eq!(users(&backend.ok("GET", "/v1/sessions?behind=1&group=g")), ["bob", "ada"]);
    assert_eq!(users(&backend.ok("GET", "/v1/sessions?behind=1&user=eve")), ["eve"]);
    assert_eq!(users(&backend.ok("GET", "/v1/sessions?behind=0&user=eve")), ["eve"]);
    assert_eq!(users(&backend.ok("GET", "/v1/sessions?behind=1&user=quick")), [""; 0]);
    assert_eq!(users(&backend.ok("GET", "/v1/sessions?behind=1&tag=t")), [""; 0]);
    for wrong in
        ["behind=1&after=00a0000000000001", "behind=2", "behind=1&limit=1001", "behind=1&user=a&group=g"]
    {
        assert_eq!(backend.request("GET", &format!("/v1/sessions?{wrong}")).status, 400, "{wrong}");
    }
    // A link asks the same, in both forms.
    for mut link in [server.link(), server.binary_link()] {
        let list = link.command(json!({ "op": "list", "behind": true, "limit": 2 }));
        assert_eq!((&list["count"], users(&list)), (&json!(3), vec!["bob", "eve"]));
        assert_eq!(list["sessions"][0]["behind_since_unix_ms"], all["sessions"][0]["behind_since_unix_ms"]);
    }
    let group = backend.ok("GET", "/v1/groups/g");
    assert_eq!((&group["count"], &group["behind"]), (&json!(3), &json!(2)));
    // Who has read is not behind.
    let (mut raw, fill) = slow.remove(0);
    skip(&mut raw, fill);
    until("ada is not behind", || {
        users(&server.backend().ok("GET", "/v1/sessions?behind=1")) == ["bob", "eve"]
    });
    let ada = backend.ok("GET", "/v1/sessions?user=ada")["sessions"][0].take();
    assert_eq!((&ada["behind_since_unix_ms"], &ada["queued_bytes"]), (&Value::Null, &json!(0)));
}

/// As many are behind as a turn looks at, and more.
#[test]
fn many_who_are_behind_are_looked_at_a_few_a_turn() {
    let server = TestServer::start(|config| {
        config.reactors = Some(1);
        config.limits.outbox_bytes = 64 << 20;
        config.limits.turn_listed = 1;
    });
    let names: Vec<String> = (0..40).map(|number| format!("u{number:02}")).collect();
    let _slow: Vec<_> = names.iter().map(|user| stalled(&server, user)).collect();
    let mut backend = server.backend();
    // Among the first that are looked at, so that they are kept until the last has been.
    for (user, count) in [("u00", 40), ("u01", 30), ("u02", 20)] {
        (0..count).for_each(|_| drop(backend.push_text(&format!("user={user}"), &"-".repeat(50_000))));
    }
    for (number, user) in names.iter().enumerate() {
        let group = if number % 2 == 0 { "even" } else { "odd" };
        assert_eq!(backend.change("POST", &format!("/v1/groups/{group}/members?user={user}")), 1);
    }
    let all = backend.ok("GET", "/v1/sessions?behind=1&limit=3");
    assert_eq!((&all["count"], users(&all)), (&json!(40), vec!["u00", "u01", "u02"]));
    let even = backend.ok("GET", "/v1/sessions?behind=1&group=even&limit=2");
    assert_eq!((&even["count"], users(&even)), (&json!(20), vec!["u00", "u02"]));
    let group = backend.ok("GET", "/v1/groups/odd?limit=1");
    let said = (&group["count"], &group["behind"], group["members"].as_array().unwrap().len());
    assert_eq!(said, (&json!(20), &json!(20), 1));
}

#[test]
fn a_session_says_which_reactor_has_it_and_a_group_how_often_it_was_pushed_to() {
    let server = TestServer::start(|_| ());
    let mut backend = server.backend();
    let players: Vec<Player> = (0..8).map(|_| server.player("user=ada&group=g")).collect();
    for player in &players {
        let info = backend.ok("GET", &format!("/v1/sessions/{}", player.id));
        assert_eq!(info["reactor"], json!(player.id.worker()));
    }
    for _ in 0..7 {
        backend.push_text("group=g", "hi");
    }
    backend.push_text("group=g&group=h&user=ada", "hi");
    backend.push_text("user=ada", "hi");
    backend.push_text("group=h", "hi");
    assert_eq!(backend.ok("GET", "/v1/groups/g?limit=1")["pushes"], 8);
    assert_eq!(backend.ok("GET", "/v1/groups/h")["pushes"], 0, "nobody was there");
    assert_eq!(backend.change("DELETE", "/v1/groups/g"), 8);
    assert_eq!(backend.change("POST", "/v1/groups/g/members?user=ada"), 8);
    assert_eq!(backend.ok("GET", "/v1/groups/g")["pushes"], 0, "it has members anew");
    backend.push_text("group=g", "hi");
    assert_eq!(backend.ok("GET", "/v1/groups/g")["pushes"], 1);
    assert_eq!(backend.change("POST", "/v1/groups/g/move?to=other"), 8);
    assert_eq!(backend.ok("GET", "/v1/groups/other")["pushes"], 0, "another name");
}

#[test]
fn since_when_a_session_is_behind_goes_along_with_an_upgrade() {
    let mut server = Running::start(&["--reactors", "2"], "");
    let (mut slow, fill) = stalled(&server, "slow");
    let since = |server: &Running| {
        let list = server.backend().ok("GET", "/v1/sessions?behind=1");
        list["sessions"][0]["behind_since_unix_ms"].as_u64()
    };
    let before = since(&server).unwrap();
    let began = std::time::Instant::now();
    // A time that shows if it began anew.
    until("a while has passed", || began.elapsed().as_millis() > 700);
    server.upgrade();
    until("its socket is known to be full", || since(&server).is_some());
    let after = since(&server).unwrap();
    assert!(before.abs_diff(after) <= 300, "{before} and {after}");
    skip(&mut slow, fill);
    until("it has read", || since(&server).is_none());
}
