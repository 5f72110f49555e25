//! One reactor orders the pushes to a group that remembers, whoever publishes where.

use super::{latest, log, remembering};
use crate::support::*;
use gannet::config::GroupConfig;
use gannet::dispatch::{EncodedFrame, PushOptions, Selector, Target};
use gannet::session::Name;
use serde_json::{Value, json};
use std::thread;
use tungstenite::Message;

/// Pushes of each publisher: all together they fit the log.
const EACH: usize = 120;
const GROUP: &str = "chat/1";

fn text(message: Message) -> String {
    message.into_text().unwrap().as_str().to_owned()
}

/// The texts of the whole log, with their numbers.
fn whole_log(server: &Ports) -> Vec<(u64, String)> {
    let mut backend = server.backend();
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let page = backend.ok("GET", &format!("/v1/groups/chat%2F1/log?after={after}&limit=100"));
        assert_eq!(page["complete"], true, "{page}");
        let messages = page["messages"].as_array().unwrap();
        all.extend(messages.iter().map(|message| {
            (message["offset"].as_u64().unwrap(), message["text"].as_str().unwrap().to_owned())
        }));
        let Some((last, _)) = all.last() else { return all };
        if *last == page["offset"] {
            return all;
        }
        after = *last;
    }
}

#[test]
fn all_members_on_all_reactors_see_one_order_which_is_that_of_the_log() {
    let server = remembering(vec![log("chat/", 1_000)]);
    let pool = Pool::new(|_, message| text(message));
    for _ in 0..24 {
        pool.add(server.player("group=chat/1"));
    }
    let publish_http = |number: usize| {
        let mut backend = server.backend();
        let push = |count| backend.push_text("group=chat/1", &format!("{number} {count}"));
        (0..EACH)
            .map(push)
            .map(|receipt| (receipt.offset.unwrap(), receipt.epoch.unwrap()))
            .collect::<Vec<_>>()
    };
    let publish_link = |number: usize, mut link: Link| {
        let push = |count: usize| {
            let text = format!("{number} {count}");
            link.command(json!({"op": "push", "to": {"group": GROUP}, "text": text}))
        };
        let place =
            |reply: Value| (reply["offset"].as_u64().unwrap(), reply["epoch"].as_str().unwrap().to_owned());
        (0..EACH).map(push).map(place).collect::<Vec<_>>()
    };
    let publish_library = |number: usize| {
        let target = Target::from(Selector::Group(Name::new(GROUP).unwrap()));
        let push = |count| {
            let frame = EncodedFrame::text(&format!("{number} {count}"));
            let pusher = server.pusher();
            let receipt =
                pusher.push_and_wait("default", target.clone(), frame, PushOptions::default(), DEADLINE);
            let receipt = receipt.unwrap();
            (receipt.offset.unwrap(), receipt.epoch.unwrap().to_string())
        };
        (0..EACH).map(push).collect::<Vec<_>>()
    };
    let places: Vec<Vec<(u64, String)>> = thread::scope(|scope| {
        let threads = [
            scope.spawn(|| publish_http(0)),
            scope.spawn(|| publish_http(1)),
            scope.spawn(|| publish_http(2)),
            scope.spawn(|| publish_link(3, server.link())),
            scope.spawn(|| publish_link(4, server.binary_link())),
            scope.spawn(|| publish_library(5)),
            scope.spawn(|| publish_library(6)),
        ];
        threads.map(|thread| thread.join().unwrap()).into()
    });
    let all = whole_log(&server);
    assert_eq!(all.len(), 7 * EACH);
    assert!(all.iter().map(|(offset, _)| *offset).eq(1..=7 * EACH as u64));
    for (number, places) in places.iter().enumerate() {
        for (count, (offset, epoch)) in places.iter().enumerate() {
            assert_eq!(
                all[*offset as usize - 1].1,
                format!("{number} {count}"),
                "the receipt says where it is"
            );
            assert_eq!(*epoch, places[0].1);
        }
    }
    pool.wait("every message", |logs| logs.iter().all(|log| log.messages.len() >= all.len()));
    let order: Vec<&String> = all.iter().map(|(_, text)| text).collect();
    for log in pool.finish() {
        assert!(log.messages.iter().eq(order.iter().copied()), "{} sees another order", log.id);
    }
}

#[test]
fn a_push_to_two_groups_that_remember_is_refused_and_one_among_others_counts_each_session_once() {
    let plain = GroupConfig::new("chat/plain/");
    let server = remembering(vec![log("chat/", 10), latest("match/"), plain]);
    let mut backend = server.backend();
    let refused = backend.request("POST", "/v1/push?group=chat%2F1&user=ada&group=match%2F1");
    assert_eq!(refused.status, 400);
    let message = refused.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("one group that remembers") && message.contains("chat/1"), "{message}");
    for mut link in [server.link(), server.binary_link()] {
        let refused = link.try_command(json!({
            "op": "push", "to": {"group": ["match/1", "match/2"]}, "text": "x",
        }));
        assert_eq!(refused.unwrap_err()["code"], "bad_request");
    }
    let both = ["chat/1", "chat/2"].map(|group| Selector::Group(Name::new(group).unwrap()));
    let target = both.into_iter().fold(Target::nobody(), Target::or);
    let pushed = server.pusher().push("default", target, EncodedFrame::text("x"), PushOptions::default());
    assert!(matches!(pushed, Err(gannet::PushError::Refused(_))), "{pushed:?}");

    let mut both = server.player("user=ada&group=chat/1&group=plain");
    let mut other = server.player("user=eve&group=chat/plain/1");
    let query = "group=chat%2F1&group=plain&user=ada&user=nobody&group=chat%2Fplain%2F1";
    let receipt = backend.push_text(query, "to all");
    assert_eq!((receipt.matched, receipt.offline, receipt.offset), (2, 1, Some(1)), "{receipt:?}");
    let written = backend.push_text(&format!("{query}&receipt=written"), "again");
    assert!(written.adds_up());
    assert_eq!((written.written, written.offset), (Some(2), Some(2)));
    for player in [&mut both, &mut other] {
        assert_eq!([player.recv_text(), player.recv_text()], ["to all", "again"]);
    }
    // The same group twice is one.
    assert_eq!(backend.push_text("group=chat%2F1&group=chat%2F1", "once").matched, 1);
    assert_eq!(backend.push_text("group=plain", "no place").offset, None);
    assert_eq!(backend.push_text("group=chat%2Fplain%2F1", "no place").offset, None);
}
