//! Commands of links that are not done when another process takes over: each is answered, once, by that one.

use super::running::Running;
use crate::raw::Raw;
use crate::stalled::{skip, stalled};
use crate::support::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const PATIENT: &str = "delivery.receipt_ms = 600000\ndelivery.ttl_ms = 600000\n";

fn links(server: &Running) -> [Link; 2] {
    [server.link(), server.binary_link()]
}

/// One receipt at a time, and the first is that of a player who does not read: the rest of the message has not begun.
#[test]
fn the_commands_of_a_message_that_have_not_begun_are_done_in_their_order() {
    let mut server = Running::start(&["--reactors", "2"], &format!("{PATIENT}limits.max_receipts = 1\n"));
    for (number, mut link) in links(&server).into_iter().enumerate() {
        let (user, group) = (format!("slow{number}"), format!("g{number}"));
        let (mut slow, fill) = stalled(&server, &user);
        let mut quick = server.player("user=quick");
        let written =
            |to: Value, text: &str| json!({"op": "push", "to": to, "text": text, "receipt": "written"});
        let both = json!({"user": ["quick", user]});
        let first = link.send_several(&[
            written(both.clone(), "0"),
            written(both, "1"),
            json!({"op": "join", "group": group, "user": ["quick", user]}),
            written(json!({"group": group}), "2"),
            json!({"op": "leave", "group": group, "user": user}),
            json!({"op": "move", "group": "nowhere", "to": ""}),
            json!({"op": "count", "group": group}),
        ]);
        assert_eq!(quick.recv_text(), "0");
        server.upgrade();
        server.upgrade();
        skip(&mut slow, fill);
        let replies: Vec<(u64, Result<Value, Value>)> = (0..7).map(|_| link.receive()).collect();
        assert!(replies.iter().map(|(id, _)| *id).eq(first..first + 7), "{replies:?}");
        let replies: Vec<Value> =
            replies.into_iter().map(|(_, reply)| reply.unwrap_or_else(|error| error)).collect();
        assert!([0, 1, 3].iter().all(|index| replies[*index]["written"] == 2), "{replies:?}");
        assert_eq!((&replies[2]["sessions"], &replies[4]["sessions"]), (&json!(2), &json!(1)));
        assert_eq!((&replies[5]["code"], &replies[6]["sessions"]), (&json!("bad_request"), &json!(1)));
        assert_eq!([quick.recv_text(), quick.recv_text()], ["1", "2"]);
        assert_eq!([0; 3].map(|_| slow.frame().unwrap().text().to_owned()), ["0", "1", "2"]);
        // It is read again.
        assert_eq!(link.command(json!({"op": "destroy", "group": group})), json!({"sessions": 1}));
        quick.close(1000, "");
    }
}

/// Sends messages of four commands, many under way at once, until `stops`; how many. Each changes what the next one finds.
fn go_on_and_off(mut link: Link, group: &str, stops: &AtomicBool) -> usize {
    const UNDER_WAY: usize = 8;
    let mut sent = 0;
    while !stops.load(Ordering::Relaxed) {
        let push = |text: &str| json!({"op": "push", "to": {"group": group}, "text": text});
        let mut first = 0;
        for number in sent..sent + UNDER_WAY {
            let membership = |op: &str| json!({"op": op, "group": group, "user": "ada"});
            let said = push(&format!("{group} {number}"));
            let of_this = link.send_several(&[membership("join"), said, membership("leave"), push("nobody")]);
            first = if number == sent { of_this } else { first };
        }
        let mut replies: BTreeMap<u64, Value> = BTreeMap::new();
        for _ in 0..4 * UNDER_WAY {
            let (id, reply) = link.receive();
            assert!(replies.insert(id, reply.unwrap()).is_none(), "{id} is answered twice");
        }
        assert!(replies.keys().copied().eq(first..first + 4 * UNDER_WAY as u64), "{replies:?}");
        for (id, reply) in replies {
            let (field, expected) =
                [("sessions", 1), ("queued", 1), ("sessions", 1), ("matched", 0)][(id - first) as usize % 4];
            assert_eq!(reply[field], expected, "{id}: {reply}");
        }
        sent += UNDER_WAY;
    }
    sent
}

/// An upgrade finds messages in the middle: behind a command that changes something, or not begun.
#[test]
fn messages_that_come_all_the_time_are_each_done_once_and_in_order() {
    let mut server = Running::start(&["--reactors", "3"], "");
    let mut player = server.player("user=ada");
    let stops = AtomicBool::new(false);
    let [json_link, binary_link] = links(&server);
    let (heard, sent) = thread::scope(|scope| {
        let json_sends = scope.spawn(|| go_on_and_off(json_link, "json", &stops));
        let binary_sends = scope.spawn(|| go_on_and_off(binary_link, "binary", &stops));
        let reads = scope.spawn(|| {
            let texts = std::iter::from_fn(|| Some(player.recv_text()));
            texts.take_while(|text| text != "the end").collect::<Vec<_>>()
        });
        (0..5).for_each(|_| _ = server.upgrade());
        stops.store(true, Ordering::Relaxed);
        let sent = [json_sends.join().unwrap(), binary_sends.join().unwrap()];
        assert_eq!(server.backend().push_text("user=ada", "the end").queued, 1);
        (reads.join().unwrap(), sent)
    });
    for (group, sent) in ["json", "binary"].into_iter().zip(sent) {
        let of_group = heard.iter().filter(|text| text.starts_with(group)).cloned();
        assert!(of_group.eq((0..sent).map(|number| format!("{group} {number}"))), "{group}: {heard:?}");
    }
    assert_eq!(heard.len(), sent.iter().sum::<usize>());
}

/// Who missed a push, and why, in any order.
fn missed(receipt: &Value) -> BTreeSet<(String, String, String)> {
    let missed = receipt["missed"].as_array().unwrap_or_else(|| panic!("it names nobody: {receipt}"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    missed.iter().map(|one| (text(&one["session"]), text(&one["user"]), text(&one["why"]))).collect()
}

/// Those who had missed it when the old process ended, and those who miss it in the new one.
#[test]
fn a_receipt_that_is_open_names_who_missed_the_push_in_either_process() {
    let mut server = Running::start(&["--reactors", "2"], &format!("{PATIENT}limits.receipt_names = 3\n"));
    for mut link in links(&server) {
        let slow: Vec<(Raw, usize)> = ["gone", "later", "late"].map(|user| stalled(&server, user)).into();
        let mut quick = server.player("user=quick");
        let id_of = |user: &str| {
            let found = server.backend().ok("GET", &format!("/v1/sessions?user={user}"));
            found["sessions"][0]["session"].as_str().unwrap().to_owned()
        };
        let ids = ["gone", "later", "late"].map(id_of);
        let push = json!({"op": "push", "to": {"user": ["quick", "gone", "later", "late", "bob"]}, "text": "hi",
            "receipt": "written", "names": true});
        let id = link.send(push);
        assert_eq!(quick.recv_text(), "hi");
        // It waits before each of their sockets: what came after it does.
        let behind = link.command(json!({"op": "push", "to": {"session": ids}, "text": "behind it"}));
        assert_eq!(behind["queued"], 3);
        let mut slow = slow.into_iter();
        let mut next = || slow.next().unwrap();
        next().0.reset();
        server.await_stats("the first has gone", |stats| stats["sessions"] == 3);
        server.upgrade();
        next().0.reset();
        server.await_stats("the second has gone", |stats| stats["sessions"] == 2);
        server.upgrade();
        let (mut late, fill) = next();
        skip(&mut late, fill);
        assert_eq!([0; 2].map(|_| late.frame().unwrap().text().to_owned()), ["hi", "behind it"]);
        let (replied, receipt) = link.receive();
        let receipt = receipt.unwrap();
        assert_eq!(
            (replied, &receipt["written"], &receipt["closed"]),
            (id, &json!(2), &json!(2)),
            "{receipt}"
        );
        let entry = |id: &str, user: &str, why: &str| (id.to_owned(), user.to_owned(), why.to_owned());
        let expected = [
            entry("", "bob", "offline"),
            entry(&ids[0], "gone", "closed"),
            entry(&ids[1], "later", "closed"),
        ];
        assert_eq!(missed(&receipt), BTreeSet::from(expected));
        late.reset();
        quick.close(1000, "");
        server.await_stats("all have gone", |stats| stats["sessions"] == 0);
    }
}
