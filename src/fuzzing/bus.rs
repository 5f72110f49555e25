//! A message of the bus: whatever comes, what is read is written and read again as the same, and parts of answers are merged into
//! answers that add up.

use super::apps;
use crate::cluster::message::{Header, Kind};
use crate::cluster::{command, crossing, known, links, memory, online, part, places, push};
use crate::dispatch::{
    Action, EncodedFrame, Operation, Origin, Push, PushOptions, ReceiptMode, Selector, Target,
};

/// A whole message.
pub fn run(data: &[u8]) {
    let Ok((header, body)) = Header::decode(data) else { return };
    let mut again = Vec::new();
    header.encode(&mut again).expect("it fitted before");
    again.extend_from_slice(body);
    assert_eq!(again, data);
    match header.kind {
        Kind::Push => a_push(body),
        Kind::Kept => {
            memory::read_place(body).into_iter().for_each(|(_, push)| a_push(push));
        }
        Kind::Command => a_command(body),
        Kind::PushPart => a_part_of_a_push(body),
        Kind::OperationPart => a_part_of_an_operation(body),
        Kind::Took => a_user(body),
        Kind::Places => places(body),
        Kind::Surplus => a_surplus(body),
        Kind::Bans => a_list::<known::KnownBan>(body),
        Kind::Sticky => a_list::<known::StickyUser>(body),
        Kind::Nonces => a_list::<known::UsedNonce>(body),
        Kind::Users => users(body),
        Kind::Links => of_links(body),
        Kind::ToOld => something_to_the_old_node(body),
        Kind::ToNew => something_to_the_new_node(body),
        // Their bodies are the reactors' to read.
        Kind::Heartbeat | Kind::Hello | Kind::Goodbye | Kind::DigestAsked | Kind::Digest => {}
        Kind::Fence | Kind::Fenced => {}
    }
}

fn a_push(body: &[u8]) {
    let Ok((target, frame, options)) = push::decode(body) else { return };
    let mut again = Vec::new();
    push::encode(&target, &frame, &options, &mut again).expect("it fitted before");
    assert_eq!(push::decode(&again), Ok((target, frame, options)));
}

fn a_command(body: &[u8]) {
    let Ok(action) = command::decode(body, &apps()) else { return };
    let mut again = Vec::new();
    command::encode(&action, &apps(), &mut again).expect("it was told before");
    assert_eq!(command::decode(&again, &apps()), Ok(action));
}

fn a_list<T: known::Known + PartialEq + std::fmt::Debug>(body: &[u8]) {
    let Some(list) = known::read_list::<T>(body) else { return };
    let mut again = Vec::new();
    known::write_list(&list, &mut again).expect("it fitted before");
    assert_eq!(known::read_list(&again), Some(list));
}

/// What is read of a crossing is written and read again as the same, and so is what it means.
fn something_to_the_old_node(body: &[u8]) {
    let Some(said) = crossing::read::<crossing::ToOld>(body) else { return };
    let mut again = Vec::new();
    crossing::write(&said, &mut again);
    assert_eq!(crossing::read(&again), Some(said.clone()));
    if let crossing::ToOld::Claim(asked) = said
        && let Some(claim) = asked.claim()
    {
        assert_eq!(crossing::Asked::of(&claim).claim(), Some(claim));
    }
}

fn something_to_the_new_node(body: &[u8]) {
    let Some(said) = crossing::read::<crossing::ToNew>(body) else { return };
    let mut again = Vec::new();
    crossing::write(&said, &mut again);
    assert_eq!(crossing::read::<crossing::ToNew>(&again).as_ref(), Some(&said));
    match said {
        crossing::ToNew::Facts(facts) => {
            let Some(names) = facts.names() else { return };
            assert_eq!(crossing::Facts::of(&names).names(), Some(names));
        }
        crossing::ToNew::Rest(rest) => {
            for frame in rest.kept.iter().filter_map(crossing::Written::frame) {
                assert_eq!(crossing::Written::of(&frame).frame(), Some(frame));
            }
            for queued in rest.waiting.iter().filter_map(crossing::Waiting::queued) {
                assert_eq!(crossing::Waiting::of(&queued).queued(), Some(queued));
            }
        }
        crossing::ToNew::Refused(_) | crossing::ToNew::Elsewhere(_) | crossing::ToNew::End(_) => {}
    }
}

fn a_user(body: &[u8]) {
    let Some(user) = places::read_took(body) else { return };
    let mut again = Vec::new();
    places::write_took(&user, &mut again).expect("it fitted before");
    assert_eq!(again, body);
}

fn users(body: &[u8]) {
    let Some(said) = online::read_users(body) else { return };
    let mut again = Vec::new();
    online::write_users(&said, &mut again).expect("it fitted before");
    assert_eq!(again, body);
}

fn of_links(body: &[u8]) {
    let Some(said) = links::read_links(body) else { return };
    let mut again = Vec::new();
    links::write_links(&said, &mut again);
    assert_eq!(links::read_links(&again), Some(said));
}

fn places(body: &[u8]) {
    let Some(seats) = places::read_seats(body) else { return };
    let mut again = Vec::new();
    places::write_seats(&seats, &mut again);
    assert_eq!(again, body);
}

fn a_surplus(body: &[u8]) {
    let Some(surplus) = places::read_surplus(body) else { return };
    let mut again = Vec::new();
    places::write_surplus(&surplus, &mut again).expect("it fitted before");
    assert_eq!(again, body);
}

fn a_part_of_a_push(body: &[u8]) {
    let Ok(part) = part::decode_push(body) else { return };
    let mut again = Vec::new();
    part::encode_push(&part, &mut again).expect("it fitted before");
    assert_eq!(part::decode_push(&again), Ok(part.clone()));
    for receipt in [ReceiptMode::Queued, ReceiptMode::Written] {
        let target = Target::from(Selector::All);
        let options = PushOptions { receipt, names: 3, ..PushOptions::default() };
        let frame = EncodedFrame::text("hi");
        let app = crate::dispatch::Apps::DEFAULT;
        let merged = Push::new(app, target, frame, options, 0, u64::MAX, Origin::Nobody);
        for _ in 0..2 {
            merged.add_part();
            merged.merge(part.clone(), &[0]);
            merged.nodes_answered(&[], &[0]);
            assert!(!merged.finish_part());
        }
        let receipt = merged.receipt();
        assert!(receipt.missed.is_some_and(|missed| missed.named.len() <= 3));
    }
}

fn a_part_of_an_operation(body: &[u8]) {
    let Ok(part) = part::decode_operation(body) else { return };
    let mut again = Vec::new();
    part::encode_operation(&part, &mut again).expect("it fitted before");
    assert_eq!(part::decode_operation(&again), Ok(part.clone()));
    for action in asked() {
        let merged = Operation::new(crate::dispatch::Apps::DEFAULT, action, Origin::Nobody);
        for _ in 0..2 {
            merged.add_part();
            merged.merge(part.clone(), &[0, 1]);
            assert!(!merged.finish_part());
        }
        let refused = part.error.is_some();
        let outcome = merged.outcome();
        assert!(outcome.is_err() || !refused, "an error of a node is the answer");
    }
}

/// Of each kind of answer one question.
fn asked() -> [Action; 4] {
    let group = crate::session::Name::new("g").expect("it is a name");
    let (limit, by) = (2, Selector::All);
    [
        Action::List { by: by.clone(), limit, after: None, detailed: true },
        Action::Count { by },
        Action::Presence { group, limit, after: None, members: true },
        Action::Stats,
    ]
}
