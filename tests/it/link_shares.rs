//! Shares fail over: what no socket of a link that has ended had taken goes to those that take its sessions over, in order, once.

use crate::links::{merge, session};
use crate::support::{DEADLINE, Link, Player, TestServer, until};
use serde_json::{Value, json};
use socket2::SockRef;
use std::collections::BTreeMap;
use std::net::Shutdown;
use std::sync::mpsc::Receiver;
use std::time::Duration;

const ALL: [&str; 3] = ["open", "message", "close"];

fn number(event: &Value) -> usize {
    event["text"].as_str().unwrap().split(' ').next().unwrap().parse().unwrap()
}

fn ticket(first: &Value) -> String {
    first["resume"].as_str().unwrap().to_owned()
}

/// Each player says the next numbers.
fn say(players: &mut [Player], said: &mut usize, count: usize) {
    for _ in 0..count {
        players.iter_mut().for_each(|player| player.send_text(&said.to_string()));
        *said += 1;
    }
}

fn hear(event: &Value, heard: &mut BTreeMap<String, Vec<usize>>) {
    if event["event"] == "message" {
        heard.entry(session(event)).or_default().push(number(event));
    }
}

/// Reads until every player's messages up to `last` are there, by session; of those that none had before.
fn hear_until(
    merged: &Receiver<(usize, Value)>,
    last: usize,
    heard: &mut BTreeMap<String, Vec<usize>>,
    players: usize,
) {
    let done = |heard: &BTreeMap<String, Vec<usize>>| {
        heard.values().filter(|numbers| numbers.last() == Some(&last)).count() == players
    };
    while !done(heard) {
        let (_, event) = merged.recv_timeout(DEADLINE).unwrap();
        hear(&event, heard);
    }
}

/// What waited for a link that lingered goes to the others when it ends, each session's events once and in order, and behind
/// it what came later. So often that every step of it meets every other thing.
fn fails_over(is_binary: bool, heirs_are_binary: bool) {
    const PLAYERS: usize = 60;
    const ROUNDS: usize = 12;
    let server = TestServer::start(|config| config.timeouts.link_linger = Duration::from_millis(30));
    let heirs: Vec<Link> = (0..3)
        .map(|_| if heirs_are_binary { server.binary_link() } else { server.link() })
        .map(|mut link| {
            link.listen(&ALL, Some("s"));
            link
        })
        .collect();
    let merged = merge(heirs);
    let (mut all_said, mut all_heard) = (0, 0);
    for _ in 0..ROUNDS {
        let (mut link, _) = Link::resume(server.backend, is_binary, "new", None);
        link.listen(&ALL, Some("s"));
        // It has a part of those that open from now on.
        let mut players: Vec<Player> = (0..PLAYERS).map(|_| server.player("")).collect();
        let (mut heard, mut said): (BTreeMap<String, Vec<usize>>, usize) = Default::default();
        say(&mut players, &mut said, 3);
        // What each has said is with the link that has the session: with this one, when it has read it.
        let mut own: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        until("all has been heard", || {
            while let Ok((_, event)) = merged.try_recv() {
                hear(&event, &mut heard);
            }
            link.command(json!({"op": "destroy", "group": "nobody"}));
            link.events_so_far().iter().for_each(|event| hear(event, &mut own));
            let is_whole = |numbers: &&Vec<usize>| numbers.len() == said;
            heard.values().chain(own.values()).filter(is_whole).count() == PLAYERS
        });
        assert!(!own.is_empty());
        heard.extend(own);
        // It vanishes. What is said now waits for it, and then is the others'; what is said meanwhile goes behind that.
        link.stream().shutdown(Shutdown::Both).unwrap();
        server.await_stats("it is away", |stats| stats["links"] == 3);
        say(&mut players, &mut said, 5);
        while server.backend().stats()["links_away"] == 1 {
            say(&mut players, &mut said, 1);
        }
        say(&mut players, &mut said, 5);
        hear_until(&merged, said - 1, &mut heard, PLAYERS);
        assert_eq!(heard.len(), PLAYERS);
        for (id, numbers) in &heard {
            assert!(numbers.iter().copied().eq(0..said), "{id}: {numbers:?}");
        }
        (all_said, all_heard) = (all_said + said, all_heard + heard.len());
    }
    assert_eq!(all_heard, ROUNDS * PLAYERS);
    let stats = server.backend().stats();
    assert_eq!(stats["link_events_lost"], 0, "{stats:#}");
    assert!(stats["link_events_handed_on"].as_u64() > Some(0));
}

#[test]
fn what_waited_for_a_link_that_is_over_goes_to_the_others_in_order() {
    fails_over(false, false);
}

#[test]
fn what_waited_for_a_binary_link_goes_to_json_links() {
    fails_over(true, false);
}

#[test]
fn what_waited_for_a_json_link_goes_to_binary_links() {
    fails_over(false, true);
}

/// Links without a ticket too: what stood before the socket of one that vanishes is the others'. What its socket had taken is
/// lost with it, so of each session the rest is whole, from some event on.
#[test]
fn what_no_socket_had_taken_of_a_plain_link_goes_to_the_others() {
    const BYTES: usize = 16 * 1024;
    const SAID: usize = 60;
    const PLAYERS: usize = 12;
    let server = TestServer::start(|config| config.limits.socket_unsent_bytes = 4096);
    let mut slow = server.link();
    SockRef::from(slow.stream()).set_recv_buffer_size(8 << 10).unwrap();
    slow.listen(&["message"], Some("s"));
    let mut good = server.binary_link();
    good.listen(&["message"], Some("s"));
    let merged = merge(vec![good]);
    let mut players: Vec<Player> = (0..PLAYERS).map(|_| server.player("")).collect();
    for number in 0..SAID {
        let text = format!("{number} {}", "x".repeat(BYTES));
        players.iter_mut().for_each(|player| player.send_text(&text));
    }
    let all = (SAID * PLAYERS) as u64;
    server.await_stats("all has been said", |stats| stats["messages_in"] == all);
    slow.reset();
    server.await_stats("it has gone", |stats| stats["links"] == 1);
    let mut heard: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    hear_until(&merged, SAID - 1, &mut heard, PLAYERS);
    for (id, numbers) in &heard {
        assert!(numbers.iter().copied().eq(numbers[0]..SAID), "{id}: {numbers:?}");
    }
    let stats = server.backend().stats();
    assert_eq!(stats["link_events_lost"], 0, "{stats:#}");
    assert!(stats["link_events_handed_on"].as_u64() > Some(0), "{stats:#}");
    // All that is not with the good one was taken by the socket of the slow one.
    server.await_stats("sockets have taken each once", |stats| stats["link_events"] == all);
}

/// Two of a share end at the same time, and a third: none is lost, and the last one has everything in order.
#[test]
fn several_links_of_a_share_end_at_once() {
    const PLAYERS: usize = 40;
    let server = TestServer::start(|config| config.timeouts.link_linger = Duration::from_millis(100));
    let mut last = server.link();
    last.listen(&["message"], Some("s"));
    let merged = merge(vec![last]);
    for _ in 0..8 {
        let links: Vec<Link> = (0..3)
            .map(|number| {
                let (mut link, _) = Link::resume(server.backend, number == 1, "new", None);
                link.listen(&["message"], Some("s"));
                link
            })
            .collect();
        // They have a part of those that open from now on, and nothing is said before they are away: all of it waits for them.
        let mut players: Vec<Player> = (0..PLAYERS).map(|_| server.player("")).collect();
        let (mut heard, mut said): (BTreeMap<String, Vec<usize>>, usize) = Default::default();
        links.iter().for_each(|link| link.stream().shutdown(Shutdown::Both).unwrap());
        server.await_stats("they are away", |stats| stats["links"] == 1);
        say(&mut players, &mut said, 4);
        while server.backend().stats()["links_away"] != 0 {
            say(&mut players, &mut said, 1);
        }
        say(&mut players, &mut said, 4);
        hear_until(&merged, said - 1, &mut heard, PLAYERS);
        for (id, numbers) in heard {
            assert!(numbers.iter().copied().eq(0..said), "{id}: {numbers:?}");
        }
    }
    let stats = server.backend().stats();
    assert_eq!(stats["link_events_lost"], 0);
    assert!(stats["link_events_handed_on"].as_u64() > Some(0));
}

/// What a link of a share keeps goes on with it when it comes back in time; beyond its bounds others take over at once, and it
/// is another link then.
#[test]
fn a_link_of_a_share_comes_back_or_is_taken_over_from() {
    let server = TestServer::start(|config| config.limits.link_kept_messages = 50);
    let (mut link, first) = Link::resume(server.backend, false, "new", None);
    link.listen(&["message"], Some("s"));
    let mut player = server.player("");
    link.reset();
    server.await_stats("it is away", |stats| stats["links_away"] == 1);
    (0..50).for_each(|number| player.send_text(&number.to_string()));
    server.await_stats("they wait for it", |stats| stats["link_kept_events"] == 50);
    let (mut link, first) = Link::resume(server.backend, false, &ticket(&first), Some(0));
    assert_eq!(first["resumed"], true);
    (0..50).for_each(|expected| assert_eq!(number(&link.event()), expected));
    let mut other = server.link();
    other.listen(&["message"], Some("s"));
    link.reset();
    server.await_stats("it is away", |stats| stats["links_away"] == 1);
    // Of many sessions some are its own.
    let mut players: Vec<Player> = (0..20).map(|_| server.player("")).collect();
    let mut heard: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let mut said = 0;
    while server.backend().stats()["links_away"] == 1 {
        players.iter_mut().for_each(|player| player.send_text(&said.to_string()));
        said += 1;
    }
    players.iter_mut().for_each(|player| player.send_text(&said.to_string()));
    hear_until(&merge(vec![other]), said, &mut heard, 20);
    assert!(heard.values().all(|numbers| numbers.iter().copied().eq(0..=said)), "{heard:?}");
    let (_link, again) = Link::resume(server.backend, false, &ticket(&first), Some(50));
    assert_eq!(again["why"], "unknown");
    assert_eq!(server.backend().stats()["link_events_lost"], 0);
}
