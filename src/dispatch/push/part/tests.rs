use super::*;
use crate::choices::Xorshift;
use crate::dispatch::{Apps, EncodedFrame, Fate, Origin, PushOptions, ReceiptMode, Selector, Target, Why};
use crate::session::SessionId;

fn user(name: &str) -> Selector {
    Selector::User(Name::new(name).unwrap())
}

fn push_to(users: &[&str], receipt: ReceiptMode, names: u32) -> Push {
    let target = users.iter().fold(Target::nobody(), |target, name| target.or(user(name)));
    let options = PushOptions { receipt, names, ..PushOptions::default() };
    Push::new(Apps::DEFAULT, target, EncodedFrame::text(""), options, 0, u64::MAX, Origin::Nobody)
}

/// What a reactor of the node does, and its part is done.
fn on_a_reactor(push: &Push, found: &[usize], matched: u32, fates: &[(Fate, u32)]) {
    push.add_part();
    found.iter().for_each(|index| push.user_found(*index));
    push.count_matched(matched);
    for (fate, sessions) in fates {
        push.count_fate(*fate, *sessions);
    }
    push.finish_part();
}

const ALL: [Fate; 5] = [Fate::Written, Fate::Replaced, Fate::Dropped, Fate::Expired, Fate::Closed];

/// The same sessions on one node and on several: one receipt.
#[test]
fn the_parts_of_nodes_make_the_receipt_that_one_node_would() {
    for seed in 1..300 {
        let mut random = Xorshift(seed);
        let mode = if random.below(2) == 0 { ReceiptMode::Written } else { ReceiptMode::Queued };
        let users = ["ada", "bob", "eve"];
        let (one, publisher) = (push_to(&users, mode, 0), push_to(&users, mode, 0));
        for _ in 0..1 + random.below(4) {
            let node = push_to(&users, mode, 0);
            for _ in 0..1 + random.below(3) {
                let found: Vec<usize> = (0..3).filter(|_| random.below(3) == 0).collect();
                let fates = ALL.map(|fate| (fate, random.below(4)));
                let settled: u32 = fates.iter().map(|(_, sessions)| sessions).sum();
                let matched = settled + random.below(3);
                for push in [&one, &node] {
                    on_a_reactor(push, &found, matched, &fates);
                    push.count_queued(matched - fates[2].1);
                    push.count_away(fates[4].1);
                }
            }
            node.finish_part();
            publisher.add_part();
            publisher.merge(node.part(), &[0, 1, 2]);
            publisher.nodes_answered(&[], &[0, 1, 2]);
            assert!(!publisher.finish_part());
        }
        assert!(one.finish_part() && publisher.finish_part());
        assert_eq!(publisher.receipt(), one.receipt(), "seed {seed}");
    }
}

/// Each copy goes where its users may be; a user is offline where no node of its copy has it.
#[test]
fn users_are_told_by_their_places_in_the_whole_target() {
    let publisher = push_to(&["ada", "bob", "eve"], ReceiptMode::Queued, 9);
    for (first, name, found) in [(0, "ada", false), (1, "bob", false), (1, "bob", true), (2, "eve", false)] {
        let copy = push_to(&[name], ReceiptMode::Queued, 9);
        on_a_reactor(&copy, if found { &[0] } else { &[] }, u32::from(found), &[]);
        copy.count_queued(u32::from(found));
        publisher.add_part();
        assert_eq!(publisher.offline(), 0, "not before all have looked");
        publisher.merge(copy.part(), &[first]);
        publisher.nodes_answered(&[], &[first]);
        publisher.finish_part();
    }
    assert!(publisher.finish_part());
    let receipt = publisher.receipt();
    assert_eq!((receipt.matched, receipt.queued, receipt.offline), (1, 1, 2));
    let missed = receipt.missed.unwrap();
    let names: Vec<_> = missed.named.iter().map(|missed| missed.user.as_deref().unwrap()).collect();
    assert_eq!((names, missed.more), (vec!["ada", "eve"], 0));
}

#[test]
fn those_who_missed_it_on_other_nodes_are_named_up_to_the_bound() {
    let publisher = push_to(&[], ReceiptMode::Written, 3);
    for node in 0..3 {
        let copy = push_to(&[], ReceiptMode::Written, 2);
        for slot in 0..3 {
            copy.miss(Some(SessionId::new(node, 0, 0, slot)), None, Why::Closed);
        }
        on_a_reactor(&copy, &[], 3, &[(Fate::Closed, 3)]);
        publisher.add_part();
        publisher.merge(copy.part(), &[]);
        publisher.nodes_answered(&[], &[]);
        publisher.finish_part();
    }
    let receipt = publisher.receipt();
    assert_eq!((receipt.matched, receipt.closed, receipt.pending), (9, 9, 0));
    let missed = receipt.missed.unwrap();
    assert_eq!((missed.named.len(), missed.more), (3, 6));
}

#[test]
fn a_node_that_does_not_answer_is_named_and_its_users_are_not_said_to_be_offline() {
    let publisher = push_to(&["ada", "bob"], ReceiptMode::Queued, 0);
    let node = Name::new("node-b").unwrap();
    for _ in 0..2 {
        publisher.add_part();
        publisher.nodes_answered(std::slice::from_ref(&node), &[1]);
        assert!(!publisher.finish_part());
    }
    assert!(publisher.finish_part());
    let receipt = publisher.receipt();
    assert_eq!((receipt.offline, receipt.missing), (1, vec![node]));
}

#[test]
fn the_number_of_another_node_is_in_the_receipt() {
    let publisher = push_to(&[], ReceiptMode::Queued, 0);
    let numbered = Some((Epoch::from_u64(7), 9));
    publisher.add_part();
    publisher.merge(PushPart { numbered, ..PushPart::default() }, &[]);
    publisher.finish_part();
    let receipt = publisher.receipt();
    assert_eq!((receipt.epoch, receipt.offset), (Some(Epoch::from_u64(7)), Some(9)));
}

/// Whatever a node says, a receipt adds up.
#[test]
fn more_fates_than_sessions_do_not_make_a_false_sum() {
    let publisher = push_to(&[], ReceiptMode::Written, 0);
    publisher.add_part();
    publisher.merge(PushPart { matched: 1, written: 2, closed: 3, ..PushPart::default() }, &[u16::MAX]);
    publisher.finish_part();
    let receipt = publisher.receipt();
    assert_eq!((receipt.matched, receipt.written, receipt.closed, receipt.pending), (5, Some(2), 3, 0));
}

/// A receipt that waits for sockets goes on in another process.
#[test]
fn the_nodes_that_did_not_answer_are_named_after_an_upgrade_too() {
    use crate::dispatch::{Packer, Unpacker};
    let options = PushOptions { receipt: ReceiptMode::Written, ..PushOptions::default() };
    let origin = Origin::Connection { connection: SessionId::new(1, 0, 0, 1), sequence: 1 };
    let frame = EncodedFrame::text("hi");
    let push = Push::new(Apps::DEFAULT, Target::from(Selector::All), frame, options, 0, u64::MAX, origin);
    let nodes = ["node-b", "node-c"].map(|node| Name::new(node).unwrap());
    for node in &nodes {
        push.add_part();
        push.nodes_answered(std::slice::from_ref(node), &[0]);
        push.finish_part();
    }
    let (packer, mut unpacker) = (Packer::default(), Unpacker::default());
    let number = packer.push(&std::sync::Arc::new(push));
    packer.take_new().into_iter().for_each(|carried| unpacker.take(carried).unwrap());
    assert_eq!(unpacker.push(number).unwrap().receipt().missing, nodes);
}
