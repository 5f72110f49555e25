//! A push with `receipt=written` to a player that does not read holds back its own receipt and nothing else, and that no
//! longer than `delivery.receipt_ms`.

use super::load::{Clock, Stirring};
use super::raw_link::RawLink;
use super::settings::{config, metric};
use crate::raw::{PING, Raw, TEXT};
use crate::stalled::stalled;
use crate::support::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const PUSHES: u64 = 399;
/// Pings of a [`Clock`] at `ping_ms = 1000`: together longer than `idle_ms = 4000`.
const TICKS: usize = 6;

const SILENCE: &str = "
delivery.ttl_ms = 600000
timeouts.ping_ms = 1000
timeouts.idle_ms = 4000
";
const LATE_RECEIPTS: &str = "delivery.receipt_ms = 600000";
/// By then the other player has its messages, on a busy machine too.
const EARLY_RECEIPTS: &str = "delivery.receipt_ms = 2000";

fn written(users: &[&str], text: &str) -> Value {
    json!({ "op": "push", "to": { "user": users }, "text": text, "receipt": "written" })
}

/// How many of the sessions that a receipt counts had not settled. Every session it matched has one fate.
fn pending(receipt: &Value) -> u64 {
    let count = |field: &str| receipt[field].as_u64().unwrap_or_else(|| panic!("no {field} in {receipt}"));
    let pending = receipt.get("pending").map_or(0, |_| count("pending"));
    let fates = ["written", "replaced", "dropped", "expired", "closed"].map(count);
    assert_eq!(count("matched"), fates.iter().sum::<u64>() + pending, "{receipt}");
    assert!(
        receipt.get("pending").is_none() || pending > 0,
        "it is there only where it says something: {receipt}"
    );
    pending
}

/// The next message; pings may come before it.
fn message(raw: &mut Raw) -> String {
    let mut frames = std::iter::from_fn(|| raw.frame());
    let frame = frames.find(|frame| frame.first != PING).expect("a message");
    assert_eq!(frame.first, TEXT, "no message but {frame:?}");
    frame.text().to_owned()
}

/// Reads `fill` messages that filled the socket, and then `count` texts, which must be the numbers from 1 on.
fn assert_numbers(raw: &mut Raw, fill: usize, count: u64) {
    (0..fill).for_each(|_| assert_eq!(message(raw).len(), 50_000));
    (1..=count).for_each(|number| assert_eq!(message(raw), number.to_string()));
}

#[test]
fn receipts_that_wait_hold_back_no_other_reply_of_their_link() {
    let server = ServerProcess::start(&["--reactors", "2"], &config(SILENCE, LATE_RECEIPTS));
    let (mut slow, fill) = stalled(&server, "slow");
    let _stirring = Stirring::start(&slow);
    let slow_id = server.backend().ok("GET", "/v1/sessions?user=slow")["sessions"][0]["session"].take();
    let mut kicked = server.player("user=kicked");
    let mut quick = server.player("user=quick");
    let mut link = RawLink::open(&server);
    for id in 1..=PUSHES {
        link.send(id, written(&["slow"], &id.to_string()));
    }
    link.send(1001, json!({ "op": "kick", "user": "kicked", "reason": "enough" }));
    link.send(1002, json!({ "op": "session", "session": quick.id.to_string() }));
    link.send(1003, json!({ "op": "push", "to": { "user": "quick" }, "text": "queued" }));
    link.send(1004, written(&["quick"], "written"));
    let replied: BTreeSet<u64> = (0..4).map(|_| link.reply().0).collect();
    assert!(replied.into_iter().eq(1001..=1004), "the receipts cannot come before the player reads");
    assert_eq!(kicked.recv_end(), End::Closed(4001, "enough".to_owned()));
    assert_eq!([quick.recv_text(), quick.recv_text()], ["queued", "written"]);
    drop(quick);

    // For longer than a silent link is kept, it is answered and gets its pongs.
    let mut clock = Clock::start(&server);
    for tick in 0..TICKS {
        clock.tick();
        assert_eq!(link.ping(&format!("ping {tick}")), []);
        link.send(2000, json!({ "op": "session", "session": slow_id }));
        let (id, session) = link.reply();
        assert_eq!((id, &session["user"]), (2000, &json!("slow")));
    }

    assert_numbers(&mut slow, fill, PUSHES);
    let receipts = (0..PUSHES).map(|_| {
        let (id, receipt) = link.reply();
        assert_eq!((pending(&receipt), &receipt["written"]), (0, &json!(1)));
        id
    });
    assert!(receipts.collect::<BTreeSet<u64>>().into_iter().eq(1..=PUSHES));
}

#[test]
fn a_receipt_comes_in_its_time_and_says_how_many_have_not_settled() {
    let server =
        ServerProcess::start(&["--reactors", "2"], &config("delivery.ttl_ms = 600000", EARLY_RECEIPTS));
    let (mut slow, fill) = stalled(&server, "slow");
    let mut quick = Raw::player(server.client, "/ws?user=quick");
    let mut link = RawLink::open(&server);
    for id in 1..=PUSHES {
        link.send(id, written(&["slow", "quick"], &id.to_string()));
    }
    assert_numbers(&mut quick, 0, PUSHES);
    let receipts = (0..PUSHES).map(|_| {
        let (id, receipt) = link.reply();
        assert_eq!((pending(&receipt), &receipt["matched"], &receipt["written"]), (1, &json!(2), &json!(1)));
        id
    });
    assert!(receipts.collect::<BTreeSet<u64>>().into_iter().eq(1..=PUSHES));
    // What has settled is not waited for.
    link.send(1001, written(&["quick"], "quick"));
    let (id, receipt) = link.reply();
    assert_eq!((id, pending(&receipt), &receipt["written"]), (1001, 0, &json!(1)));

    // The messages themselves still wait for their player, and are told no second time.
    assert_numbers(&mut slow, fill, PUSHES);
    assert_eq!(link.ping("settled"), []);
}

#[test]
fn a_receipt_over_http_comes_in_its_time_too() {
    let server =
        ServerProcess::start(&["--reactors", "2"], &config("delivery.ttl_ms = 600000", EARLY_RECEIPTS));
    let (mut slow, fill) = stalled(&server, "slow");
    let mut quick = Raw::player(server.client, "/ws?user=quick");
    let mut backend = server.backend();
    let text = tungstenite::Message::text("1");
    backend.send_push("user=slow&user=quick&receipt=written", &text);
    // Behind it on the same connection: answers to requests keep their order.
    backend.send("GET", "/healthz", "text/plain", b"");
    let mut commands = [written(&["slow", "quick"], "2"), written(&["quick"], "3")];
    commands.iter_mut().zip(1..).for_each(|(command, id)| command["id"] = json!(id));
    let batch = commands.map(|command| format!("{command}\n"));
    backend.send("POST", "/v1/batch", "application/x-ndjson", batch.concat().as_bytes());
    assert_numbers(&mut quick, 0, 3);
    let receipt = backend.receive().json();
    assert_eq!((pending(&receipt), &receipt["written"]), (1, &json!(1)));
    assert_eq!(backend.receive().json()["alive"], true);
    let replies = backend.receive().body;
    let replies = replies.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let unsettled: Vec<u64> =
        replies.map(|line| pending(&serde_json::from_slice::<Value>(line).unwrap()["ok"])).collect();
    assert_eq!(unsettled, [1, 0]);
    assert_numbers(&mut slow, fill, 2);
}

#[test]
fn a_link_with_as_many_receipts_as_it_may_wait_for_is_not_read_and_loses_nothing() {
    const MOST: u64 = 20;
    const SENT: u64 = 100;
    let new = format!("limits.max_receipts = {MOST}\n{LATE_RECEIPTS}");
    let common = format!("{SILENCE}\nlimits.max_pipelined = {MOST}");
    let server = ServerProcess::start(&["--reactors", "2"], &config(&common, &new));
    let (mut slow, fill) = stalled(&server, "slow");
    let _stirring = Stirring::start(&slow);
    let quick = Pool::new(|_, message| message.into_text().unwrap().parse::<u64>().unwrap());
    quick.add(server.player("user=quick"));
    let mut link = RawLink::open(&server);
    for id in 1..=SENT {
        link.send(id, written(&["slow", "quick"], &id.to_string()));
    }
    link.send(1001, json!({ "op": "push", "to": { "user": "quick" }, "text": "1001" }));
    quick.wait("what the link may push", |logs| logs[0].messages.len() as u64 >= MOST);
    // For longer than a silent link is kept, it is not read.
    let mut clock = Clock::start(&server);
    (0..TICKS).for_each(|_| clock.tick());
    let mut backend = server.backend();
    link.assert_quiet();
    assert_eq!(metric(&mut backend, "gannet_pushes_total", ""), Some(fill as u64 + MOST));
    let paused = metric(&mut backend, "gannet_paused", "");

    assert_numbers(&mut slow, fill, SENT);
    let mut replied = BTreeSet::new();
    for _ in 0..=SENT {
        let (id, receipt) = link.reply();
        if id != 1001 {
            assert_eq!((pending(&receipt), &receipt["written"]), (0, &json!(2)));
        }
        assert!(replied.insert(id), "two replies to {id}");
    }
    assert!(replied.into_iter().eq((1..=SENT).chain([1001])));
    quick.wait("every push", |logs| logs[0].messages.len() as u64 > SENT);
    quick.look(|logs| assert!(logs[0].messages.iter().copied().eq((1..=SENT).chain([1001]))));
    assert_eq!(link.ping("still there"), []);
    assert_eq!((paused, metric(&mut backend, "gannet_paused", "")), (Some(1), Some(0)));
}
