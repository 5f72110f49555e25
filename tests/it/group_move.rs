//! Members who are moved from one group to another and back are in one of them at every moment: a push to both reaches
//! each exactly once, wherever the push and the moves meet.

use crate::support::{Pool, Publisher, Push, Target, TestServer};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use tungstenite::Message;

const MEMBERS: usize = 12;
const ROUNDS: usize = 4_000;

fn to(groups: &[&str]) -> Target {
    Target { groups: groups.iter().map(|group| group.to_string()).collect(), ..Target::default() }
}

#[test]
fn no_push_to_both_groups_misses_or_doubles_a_member_who_is_being_moved() {
    race(
        &[("g", "h"), ("h", "g"), ("g", "h"), ("h", "g")]
            .map(|(from, to)| move |_: &str| ("POST", format!("/v1/groups/{from}/move?to={to}"))),
    );
}

#[test]
fn nor_one_who_is_moved_with_some_others_or_set_into_another_group() {
    race(&[0, 1, 2, 3].map(|way| {
        move |members: &str| match way {
            0 => ("POST", format!("/v1/groups/g/move?to=h&{members}")),
            1 => ("POST", format!("/v1/groups/h/move?to=g&{members}")),
            2 => ("PUT", "/v1/users/ada/groups?groups=g".to_owned()),
            _ => ("PUT", "/v1/users/ada/groups?groups=h".to_owned()),
        }
    }));
}

/// Pushes to both groups while the members go to and fro. Each of the changes is made by a connection of its own, over and over; it
/// is told the members as parameters.
fn race(changes: &[impl Fn(&str) -> (&'static str, String) + Sync]) {
    let server = TestServer::start(|_| ());
    let pool = Pool::new(|_, message: Message| message.into_text().unwrap().as_str().to_owned());
    let mut members = Vec::new();
    for number in 0..MEMBERS {
        let player = server.player(if number % 3 == 0 { "user=ada&group=h" } else { "user=ada&group=g" });
        members.push(format!("session={}", player.id));
        pool.add(player);
    }
    let members = members.join("&");
    let over = AtomicBool::new(false);
    let moves = AtomicU64::new(0);

    let receipts = thread::scope(|scope| {
        for change in changes {
            let (mut backend, over, moves, members) = (server.backend(), &over, &moves, &members);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let (method, target) = change(members);
                    backend.change(method, &target);
                    moves.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let publishers = [
            Publisher::Http(server.backend(), 1),
            Publisher::Link(Box::new(server.link()), 1),
            Publisher::Link(Box::new(server.link()), 16),
            Publisher::Library(server.pusher().clone()),
        ];
        let publishing: Vec<_> = publishers
            .into_iter()
            .enumerate()
            .map(|(number, mut publisher)| {
                scope.spawn(move || {
                    let push = |round: usize| {
                        let (kind, target) = match round % 4 {
                            0 => ("g", to(&["g"])),
                            1 => ("h", to(&["h"])),
                            2 => ("both", to(&["g", "h"])),
                            _ => ("both", to(&["h", "g"])),
                        };
                        let message = Message::text(format!("{number} {kind} {round}"));
                        Push { target, message, receipt: "queued" }
                    };
                    publisher.push_all(&(0..ROUNDS).map(push).collect::<Vec<_>>())
                })
            })
            .collect();
        let receipts: Vec<_> = publishing.into_iter().map(|one| one.join().unwrap()).collect();
        over.store(true, Ordering::Relaxed);
        receipts
    });

    for receipts in &receipts {
        for (round, receipt) in receipts.iter().flatten().enumerate() {
            assert!(receipt.adds_up() && receipt.dropped == 0, "{receipt:?}");
            let both = round % 4 >= 2;
            assert!(receipt.matched as usize <= MEMBERS && (!both || receipt.matched as usize == MEMBERS));
        }
    }
    let receipt = server.backend().push_text("group=g&group=h", "last");
    assert_eq!(receipt.matched as usize, MEMBERS);
    pool.wait("the last push", |logs| {
        logs.iter().all(|log| log.messages.last().is_some_and(|last| last == "last"))
    });
    let moves = moves.into_inner();
    assert!(moves > 100, "only {moves} moves");

    let mut separately = 0;
    for log in pool.finish() {
        for publisher in 0..receipts.len() {
            let from = log.messages.iter().filter_map(|text| text.strip_prefix(&format!("{publisher} ")));
            let (both, one): (Vec<&str>, Vec<&str>) = from.partition(|text| text.starts_with("both"));
            let expected = (0..ROUNDS).filter(|round| round % 4 >= 2).map(|round| format!("both {round}"));
            assert!(both.into_iter().eq(expected), "{}: publisher {publisher}", log.id);
            let rounds: Vec<usize> =
                one.iter().map(|text| text.split_once(' ').unwrap().1.parse().unwrap()).collect();
            assert!(rounds.is_sorted_by(|a, b| a < b), "{}: twice, or out of order: {rounds:?}", log.id);
            separately += rounds.len();
        }
    }
    let counted: u32 = receipts.iter().flatten().flatten().map(|receipt| receipt.matched).sum();
    let to_both = receipts.len() * MEMBERS * ROUNDS / 2;
    assert_eq!(separately + to_both, counted as usize, "the receipts count what arrived");
}
