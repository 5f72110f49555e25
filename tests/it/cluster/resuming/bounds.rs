//! What a session counts in, and what its groups remember, while it goes from node to node.

use super::*;
use crate::memory::log;
use gannet::config::{BeyondRate, PerUser, PerUserPolicy, Rate};
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// A user may have one session. Where that one goes to another node, it is still one, whether the connection of before is there or not.
fn the_only_session_of_a_user_goes_on(policy: PerUserPolicy) {
    let redis = Redis::start();
    let nodes = Nodes::start_with(3, &[&redis], |config| {
        resumes(config);
        config.apps.get_mut("default").unwrap().per_user = PerUser { max: 1, policy };
    });
    let ports = [0, 1, 2].map(|node| *nodes.servers[node]);
    let mut ada = Wanderer::new(ports[0], "user=ada");
    for turn in 1..10 {
        let (before, next) = (ports[(turn - 1) % 3], ports[turn % 3]);
        if turn % 2 == 0 {
            ada.vanish();
            before.await_stats("the session is away", |stats| stats["away"] == 1);
        }
        ada.resumes_on(next);
        // Where her places were asked for meanwhile, what came of it has come before this.
        before.await_stats("it is over there", |stats| stats["sessions"] == 0);
        let sent = push_all(before, "user=ada", 0..2);
        assert_eq!(ada.texts(2), sent, "turn {turn}");
    }
    let listed = ports[1].backend().ok("GET", "/v1/sessions?user=ada");
    assert_eq!(listed["sessions"][0]["session"], ada.session.as_str(), "{listed}");
    // It counts where it is.
    let mut other = ports[1].player("user=ada");
    match policy {
        PerUserPolicy::Refuse => {
            let refused = End::Closed(4002, "the user has as many sessions as per_user allows".into());
            assert_eq!(other.recv_end(), refused);
        }
        PerUserPolicy::ReplaceOldest => {
            let replaced = End::Closed(4002, "replaced by a newer session".into());
            assert_eq!(ada.player.as_mut().unwrap().recv_end(), replaced);
        }
    }
}

#[test]
fn the_only_session_that_a_user_may_have_goes_to_other_nodes() {
    the_only_session_of_a_user_goes_on(PerUserPolicy::Refuse);
}

#[test]
fn so_does_one_that_a_newer_one_would_replace() {
    the_only_session_of_a_user_goes_on(PerUserPolicy::ReplaceOldest);
}

#[test]
fn a_session_gets_all_of_a_group_that_remembers_once_and_in_order_wherever_it_goes() {
    let redis = Redis::start();
    let nodes = Nodes::start_with(3, &[&redis], |config| {
        resumes(config);
        config.apps.get_mut("default").unwrap().groups = vec![log("red", 1_000)];
    });
    let ports = [0, 1, 2].map(|node| *nodes.servers[node]);
    let mut ada = Wanderer::new(ports[0], "user=ada");
    let id = ada.session.clone();
    ports[1].link().command(json!({"op": "join", "session": id, "group": "red"}));
    let stops = AtomicBool::new(false);
    let sent = thread::scope(|scope| {
        let pushing = scope.spawn(|| {
            let mut sent = 0;
            while !stops.load(Ordering::Relaxed) {
                ports[sent % 3].backend().push_text("group=red", &sent.to_string());
                sent += 1;
            }
            sent
        });
        let mut got = 0;
        let mut read = |ada: &mut Wanderer, count: usize| {
            ada.texts(count).into_iter().for_each(|text| {
                assert_eq!(text, got.to_string());
                got += 1;
            });
        };
        for turn in 1..10 {
            read(&mut ada, 5);
            ada.resumes_on(ports[turn % 3]);
        }
        stops.store(true, Ordering::Relaxed);
        let sent = pushing.join().unwrap();
        let left = sent - 45;
        read(&mut ada, left);
        sent
    });
    // Nothing comes behind it.
    assert_eq!(ports[0].backend().push_text("user=ada", "last").matched, 1);
    assert_eq!((ada.text(), ada.received), ("last".to_owned(), sent as u64 + 1));
}

#[test]
fn what_a_client_may_send_at_once_it_may_on_each_node() {
    let redis = Redis::start();
    let nodes = Nodes::start_with(2, &[&redis], |config| {
        resumes(config);
        config.rates.messages = Rate { per_second: 1, burst: 3 };
        config.rates.beyond = BeyondRate::Close;
    });
    let ports = [0, 1].map(|node| *nodes.servers[node]);
    let mut links = ports.map(|ports| ports.link());
    links.iter_mut().for_each(|link| link.listen(&["message"], None));
    let mut ada = Wanderer::new(ports[0], "user=ada");
    let say = |ada: &mut Wanderer, count: usize| {
        (0..count).for_each(|_| ada.player.as_mut().expect("she is there").send_text("hi"));
    };
    say(&mut ada, 3);
    (0..3).for_each(|_| assert_eq!(links[0].event()["text"], "hi"));
    ada.resumes_on(ports[1]);
    say(&mut ada, 3);
    (0..3).for_each(|_| assert_eq!(links[1].event()["text"], "hi"));
    // No machine is so slow that one more is allowed for each of these.
    say(&mut ada, 50);
    assert_eq!(ada.player.as_mut().unwrap().recv_end(), End::Closed(1008, "too fast".into()));
}
