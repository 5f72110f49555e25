//! What groups remember goes along: messages, numbers, epochs, keys, and for how long.

use super::running::Running;
use crate::stalled::stalled;
use crate::support::*;
use serde_json::{Value, json};

const CONFIG: &str = "
[[apps.default.groups]]
prefix = 'match/'
latest = true
[[apps.default.groups]]
prefix = 'chat/'
log = { messages = 100 }
[[apps.default.groups]]
prefix = 'short/'
log = { ttl_ms = 3000 }
";

#[test]
fn what_groups_remember_goes_along() {
    let mut server = Running::start(&["--reactors", "3"], CONFIG);
    let mut member = server.player("group=chat/1");
    let mut backend = server.backend();
    for number in 1..=20 {
        for group in 0..6 {
            let target = format!("group=chat%2F{group}&key=key{}", number % 3);
            assert_eq!(backend.push_text(&target, &format!("{group} {number}")).offset, Some(number));
            backend.push_text(
                &format!("group=match%2F{group}&key={}", number % 7),
                &format!("{group} {number}"),
            );
        }
    }
    backend.push_text("group=short%2F1", "gone soon");
    let read = |backend: &mut Backend| {
        let pages = (0..6).flat_map(|group| {
            [format!("/v1/groups/chat%2F{group}/log?after=3"), format!("/v1/groups/match%2F{group}/latest")]
        });
        pages.map(|page| backend.ok("GET", &page)).collect::<Vec<Value>>()
    };
    let before = read(&mut backend);
    assert_eq!(before[0]["messages"].as_array().unwrap().len(), 17);
    assert_eq!(before[1]["messages"].as_array().unwrap().len(), 7);
    for _ in 0..2 {
        server.upgrade();
        assert_eq!(read(&mut backend), before);
    }
    // Numbers go on, and who joins gets what was kept before and after.
    let epoch = before[2]["epoch"].as_str().unwrap();
    let receipt = backend.push_text("group=chat%2F1", "21");
    assert_eq!((receipt.offset, receipt.epoch.as_deref()), (Some(21), Some(epoch)));
    let mut late = server.player("user=late");
    let joined = backend.ok("POST", &format!("/v1/groups/chat%2F1/members?user=late&after=18&epoch={epoch}"));
    assert_eq!(joined, json!({"sessions": 1, "epoch": epoch, "offset": 21, "complete": true}));
    assert_eq!([late.recv_text(), late.recv_text(), late.recv_text()], ["1 19", "1 20", "21"]);
    for number in 1..=20 {
        assert_eq!(member.recv_text(), format!("1 {number}"));
    }
    assert_eq!(member.recv_text(), "21");
    let mut snapshot = server.player("group=match/5");
    for number in 14..=20 {
        assert_eq!(snapshot.recv_text(), format!("5 {number}"));
    }
    // Deadlines too.
    until("what is too old has gone", || {
        let page = backend.ok("GET", "/v1/groups/short%2F1/log");
        page["messages"].as_array().unwrap().is_empty()
    });
}

#[test]
fn players_who_join_while_one_upgrade_follows_another_get_what_is_kept() {
    let mut server = Running::start(&["--reactors", "2"], CONFIG);
    let mut backend = server.backend();
    for round in 0..5 {
        for key in 0..5 {
            backend.push_text(&format!("group=match%2F1&key={key}"), &format!("{key} {round}"));
        }
        let mut players: Vec<Player> = (0..6).map(|_| server.player("group=match/1")).collect();
        server.upgrade();
        players.extend((0..6).map(|_| server.player("group=match/1")));
        for player in &mut players {
            for key in 0..5 {
                assert_eq!(player.recv_text(), format!("{key} {round}"));
            }
        }
    }
}

#[test]
fn what_waits_of_a_snapshot_goes_along_with_its_keys() {
    let mut server = Running::start(&["--reactors", "2"], &format!("delivery.ttl_ms = 600000\n{CONFIG}"));
    let (mut slow, _) = stalled(&server, "slow");
    let mut backend = server.backend();
    for key in 0..3 {
        backend.push_text(&format!("group=match%2F1&key={key}"), &format!("{key} 1"));
    }
    assert_eq!(backend.change("POST", "/v1/groups/match%2F1/members?user=slow"), 1);
    server.upgrade();
    // The newest value takes the place of the one that waits; the same key of something else does not.
    backend.push_text("group=match%2F1&key=1", "1 2");
    backend.push_text("user=slow&key=1", "other");
    server.upgrade();
    backend.push_text("group=match%2F1&key=1&class=urgent", "1 3");
    let mut texts = Vec::new();
    while texts.len() < 4 {
        // What made the socket full is long, and the urgent one overtakes a part of it.
        let frame = slow.frame().unwrap();
        if frame.payload.len() < 50_000 {
            texts.push(frame.text().to_owned());
        }
    }
    assert_eq!(texts, ["1 3", "0 1", "2 1", "other"]);
}
