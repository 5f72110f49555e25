//! Users that are in groups with every session: they are in the new process too, also those who have no session at the time.

use super::running::Running;
use crate::support::Player;
use serde_json::json;

#[test]
fn an_upgrade_carries_the_groups_of_users_and_the_time_of_those_that_are_gone() {
    let mut server = Running::start(&["--reactors", "2"], "apps.default.sticky_ms = 86400000");
    let mut link = server.link();
    let ada = server.player("user=ada");
    let join = json!({"op": "join", "group": ["g", "h"], "user": ["ada", "bob"], "sticky": true});
    assert_eq!(link.command(join), json!({"sessions": 1, "unknown": 1}));
    for _ in 0..2 {
        server.upgrade();
        let come: Vec<Player> =
            ["ada", "ada", "bob", "eve"].iter().map(|user| server.player(&format!("user={user}"))).collect();
        assert_eq!(link.command(json!({"op": "count", "group": "g"}))["sessions"], 4);
        assert_eq!(server.backend().scrape().sum("gannet_app_sticky", &[]), 4);
        drop(come);
        server.await_stats("they have gone", |stats| stats["sessions"] == 1);
    }
    assert_eq!(link.command(json!({"op": "destroy", "group": "h"})), json!({"sessions": 1}));
    assert_eq!(
        link.command(json!({"op": "leave", "group": "g", "user": ["ada", "bob"]})),
        json!({"sessions": 1, "unknown": 1})
    );
    let _later = ["ada", "bob"].map(|user| server.player(&format!("user={user}")));
    for group in ["g", "h"] {
        assert_eq!(link.command(json!({"op": "count", "group": group}))["sessions"], 0);
    }
    assert_eq!(server.backend().scrape().sum("gannet_app_sticky", &[]), 0);
    drop(ada);
}
