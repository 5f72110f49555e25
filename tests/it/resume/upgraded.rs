//! Sessions that may resume, through an upgrade of the server: those whose clients are there, those whose clients are away, and what
//! is kept for both.

use super::*;
use crate::upgrade::running::Running;

const CONFIG: &str = "apps.default.resume.linger_ms = 600000\n";

#[test]
fn a_client_that_went_before_an_upgrade_comes_back_after_it() {
    let mut server = Running::start(&["--reactors", "2"], CONFIG);
    let mut comers: Vec<Comer> =
        (0..6).map(|number| Comer::new(*server, &format!("user={number}&group=all"))).collect();
    let sent: Vec<_> = (0..6).map(|number| push_all(*server, &format!("user={number}"), 0..6)).collect();
    for (read, comer) in comers.iter_mut().enumerate() {
        assert_eq!(comer.texts(read), sent[read][..read]);
    }
    comers[..3].iter_mut().for_each(Comer::vanish);
    await_away(*server, 3);
    let missed = push_all_to_many(*server, "group=all", 6..8, 6);
    server.upgrade();
    await_away(*server, 3);
    let missed = [missed, push_all_to_many(*server, "group=all", 8..10, 6)].concat();
    // Those who were there: their rings and tickets have come along.
    comers[3..].iter_mut().for_each(Comer::vanish);
    server.upgrade();
    for (read, comer) in comers.iter_mut().enumerate() {
        comer.come_back();
        assert_eq!(comer.texts(10 - read), [&sent[read][read..], &missed].concat(), "{read}");
    }
    let kept = 6 * 10 - (1..6).sum::<u64>();
    server.await_stats("what they had read when they came back is not kept any more", |stats| {
        stats["kept_messages"] == kept
    });
}

#[test]
fn the_time_that_a_session_waits_goes_on_across_an_upgrade() {
    let mut server = Running::start(&["--reactors", "1"], "apps.default.resume.linger_ms = 2000\n");
    let mut ada = Comer::new(*server, "user=ada");
    ada.vanish();
    ada.await_away();
    server.upgrade();
    server.await_stats("it has ended", |stats| stats["sessions"] == 0 && stats["away"] == 0);
    ada.comes_back_in_vain("expired");
}

#[test]
fn a_used_ticket_is_used_in_the_new_process_too() {
    let mut server = Running::start(&["--reactors", "2"], CONFIG);
    let mut ada = Comer::new(*server, "user=ada");
    let first = ada.ticket.clone();
    ada.vanish();
    ada.come_back();
    ada.player().send_text("I have the next one");
    server.await_stats("it is heard", |stats| stats["messages_in"] == 1);
    server.upgrade();
    let newest = std::mem::replace(&mut ada.ticket, first);
    ada.comes_back_in_vain("unknown");
    ada.ticket = newest;
    ada.come_back();
}

/// Pushes `numbers` as texts to `count` sessions at once.
fn push_all_to_many(ports: Ports, target: &str, numbers: std::ops::Range<u32>, count: u32) -> Vec<String> {
    let mut backend = ports.backend();
    let texts: Vec<String> = numbers.map(|number| number.to_string()).collect();
    for text in &texts {
        assert_eq!(backend.push_text(target, text).queued, count, "{text}");
    }
    texts
}
