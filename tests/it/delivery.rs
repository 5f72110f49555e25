//! Every message arrives exactly once at exactly the sessions that the naive model names, in the order of its publisher,
//! byte for byte, on whichever reactor publisher and sessions are; and the receipts say so.

use crate::support::{
    Identity, Player, Pool, Ports, Publisher, Push, Random, Receipt, Target, TestServer, encoded, heavy,
};
use gannet::session::SessionId;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::thread;
use tungstenite::Message;

const SEED: u64 = 0x0067_616e_6e65_7401;
const PLAYERS: usize = 2_000;
const PUSHES: usize = 60;
/// Members of a target that still gets the largest messages: the bytes of a broadcast add up.
const FEW: usize = 40;

const TAGS: [&str; 6] = ["ios", "android", "eu", "v2.1", "größer", "a b&c=d"];

/// Names that have to be encoded on their way are as good as others.
fn group(number: usize) -> String {
    match number % 4 {
        0 => format!("room/{number}"),
        1 => format!("räum {number}"),
        2 => format!("g&h={number}"),
        _ => format!("g{number}"),
    }
}

fn user(number: usize) -> String {
    format!("user {number}@home")
}

/// Connects the players, and gives them groups and tags in every way there is: as they connect, by session, by user.
fn populate(ports: Ports, random: &mut Random) -> (Vec<Player>, Vec<Identity>) {
    let mut players = Vec::new();
    let mut world = Vec::new();
    for _ in 0..PLAYERS {
        let user = random.chance(90).then(|| user(random.below(700)));
        let groups: BTreeSet<String> = (0..random.below(3)).map(|_| group(random.below(60))).collect();
        let tags: BTreeSet<String> = (0..random.below(3)).map(|_| random.pick(&TAGS).to_string()).collect();
        let pairs = (user.iter().map(|user| format!("user={}", encoded(user))))
            .chain(groups.iter().map(|group| format!("group={}", encoded(group))))
            .chain(tags.iter().map(|tag| format!("tag={}", encoded(tag))));
        let player = ports.player(&pairs.collect::<Vec<_>>().join("&"));
        assert_eq!(player.user, user);
        world.push(Identity { id: player.id, user, groups, tags });
        players.push(player);
    }
    let mut backend = ports.backend();
    for _ in 0..PLAYERS / 4 {
        let (index, group, tag) = (random.below(PLAYERS), group(random.below(60)), *random.pick(&TAGS));
        let (id, path) = (world[index].id, format!("/v1/groups/{}/members", encoded(&group)));
        let joined = backend.change("POST", &format!("{path}?session={id}"));
        assert_eq!(joined, u64::from(world[index].groups.insert(group)));
        let tagged = backend.change("POST", &format!("/v1/sessions/{id}/tags?tag={}", encoded(tag)));
        assert_eq!(tagged, u64::from(world[index].tags.insert(tag.to_owned())));
    }
    for _ in 0..100 {
        let (user, group) = (user(random.below(700)), group(random.below(60)));
        let path = format!("/v1/groups/{}/members?user={}", encoded(&group), encoded(&user));
        let joins = random.chance(70);
        let changed = backend.change(if joins { "POST" } else { "DELETE" }, &path);
        let sessions = world.iter_mut().filter(|one| one.user.as_ref() == Some(&user));
        let model = sessions.filter_map(|one| match joins {
            true => one.groups.insert(group.clone()).then_some(()),
            false => one.groups.remove(&group).then_some(()),
        });
        assert_eq!(changed, model.count() as u64);
    }
    (players, world)
}

/// A target of any kind; some of what it names is not there.
fn random_target(random: &mut Random, world: &[Identity]) -> Target {
    let mut target = Target::default();
    let kinds = if random.chance(60) { 1 } else { 2 + random.below(3) };
    for _ in 0..kinds {
        match random.below(100) {
            0..5 => target.all = true,
            5..35 => target.sessions.push(random.pick(world).id),
            35..40 => target.sessions.push(SessionId::new(0, random.below(9) as u8, 0, 3_000_000)),
            40..65 => target.users.push(user(random.below(720))),
            65..92 => target.groups.push(group(random.below(64))),
            _ => target.tags.push(random.pick(&TAGS).to_string()),
        }
    }
    // One that is named twice and not there is counted for each time it is named; the model counts names.
    target.sessions.sort();
    target.sessions.dedup();
    target.users.sort();
    target.users.dedup();
    if random.chance(20) {
        target.except = Some(random.pick(world).id);
    }
    target
}

/// A message that says which it is, of `size` bytes or a few more; what follows is random, and text is not all ASCII.
fn message(random: &mut Random, publisher: usize, sequence: usize, size: usize) -> Message {
    let head = format!("{publisher} {sequence} ");
    if random.chance(50) {
        let mut text = head;
        while text.len() < size {
            text.push(*random.pick(&['a', 'ß', '€', '🦅', '"', '\\', '\n', '\0']));
        }
        return Message::text(text);
    }
    let mut bytes = head.into_bytes();
    while bytes.len() < size {
        bytes.push(random.bits() as u8);
    }
    Message::binary(bytes)
}

/// Which message this is: publisher and sequence number.
fn label(message: &Message) -> (usize, usize) {
    let bytes = match message {
        Message::Text(text) => text.as_bytes(),
        Message::Binary(bytes) => bytes.as_ref(),
        other => panic!("{other:?} was not pushed"),
    };
    let mut words = bytes.splitn(3, |byte| *byte == b' ');
    let mut number = || std::str::from_utf8(words.next().unwrap()).unwrap().parse().unwrap();
    (number(), number())
}

fn random_pushes(random: &mut Random, publisher: usize, world: &[Identity]) -> Vec<Push> {
    let one = |sequence| {
        let target = random_target(random, world);
        let members = world.iter().filter(|one| target.means(one)).count();
        let size = match random.below(10) {
            0..7 => 10 + random.below(200),
            7..9 => *random.pick(&[125, 126, 127, 4_096, 65_535, 65_536]),
            _ => 200_000,
        };
        let size = if members > FEW { size.min(4_096) } else { size };
        let message = message(random, publisher, sequence, size);
        let receipt = ["none", "queued", "queued", "written"][random.below(4)];
        Push { target, message, receipt }
    };
    (0..PUSHES).map(one).collect()
}

fn check_receipt(push: &Push, receipt: Option<&Receipt>, world: &[Identity]) {
    let Some(receipt) = receipt else { return };
    let matched = world.iter().filter(|one| push.target.means(one)).count() as u32;
    let written = push.receipt == "written";
    let expected = Receipt {
        matched,
        queued: matched,
        offline: push.target.offline(world) as u32,
        written: written.then_some(matched),
        closed: written.then_some(0),
        ..Receipt::default()
    };
    assert_eq!(*receipt, expected, "{:?}", push.target);
    assert!(receipt.adds_up());
}

#[test]
fn two_thousand_sessions_get_what_the_model_says_once_and_in_order() {
    let _heavy = heavy();
    let mut random = Random::new(SEED);
    // Bounds that a slow test machine does not reach: nothing may be lost here.
    let server = TestServer::start(|config| {
        config.limits.outbox_bytes = 256 << 20;
        config.limits.outbox_messages = 100_000;
    });
    let (players, world) = populate(*server, &mut random);

    let mut publishers = [
        Publisher::Http(server.backend(), 1),
        Publisher::Http(server.backend(), 16),
        Publisher::Http(server.backend(), 4),
        Publisher::Link(Box::new(server.link()), 1),
        Publisher::Link(Box::new(server.link()), 32),
        Publisher::Link(Box::new(server.link()), 8),
        Publisher::Batch(server.backend(), 13),
        Publisher::Library(server.pusher().clone()),
    ];
    let plan: Vec<Vec<Push>> =
        (0..publishers.len()).map(|publisher| random_pushes(&mut random, publisher, &world)).collect();
    let plan = Arc::new(plan);

    let pushed = Arc::clone(&plan);
    let pool = Pool::new(move |id, message| {
        let (publisher, sequence) = label(&message);
        if publisher < pushed.len() {
            assert!(message == pushed[publisher][sequence].message, "{id}: not byte for byte");
        }
        (publisher, sequence)
    });
    for player in players {
        pool.add(player);
    }

    thread::scope(|scope| {
        for (publisher, pushes) in publishers.iter_mut().zip(plan.iter()) {
            let world = &world;
            scope.spawn(move || {
                let receipts = publisher.push_all(pushes);
                assert_eq!(receipts.len(), pushes.len());
                for (push, receipt) in pushes.iter().zip(&receipts) {
                    check_receipt(push, receipt.as_ref(), world);
                }
            });
        }
    });

    // Each publisher's own last word comes behind everything it has pushed, at every session.
    let last = publishers.len();
    let everybody = Target { all: true, ..Target::default() };
    for (number, publisher) in publishers.iter_mut().enumerate() {
        let message = Message::text(format!("{last} {number} "));
        let receipts = publisher.push_all(&[Push { target: everybody.clone(), message, receipt: "queued" }]);
        assert_eq!(receipts[0].as_ref().map(|receipt| receipt.queued), Some(PLAYERS as u32));
    }
    let is_last = |(publisher, _): &&(usize, usize)| *publisher == last;
    pool.wait("the last word of every publisher", |logs| {
        logs.iter().all(|log| log.messages.iter().rev().filter(is_last).count() == last)
    });

    let logs = pool.finish();
    for (one, log) in world.iter().zip(&logs) {
        assert_eq!(one.id, log.id);
        for (publisher, pushes) in plan.iter().enumerate() {
            let expected = pushes.iter().enumerate().filter(|(_, push)| push.target.means(one));
            let expected: Vec<usize> = expected.map(|(sequence, _)| sequence).collect();
            let got = log.messages.iter().filter(|(from, _)| *from == publisher);
            let got: Vec<usize> = got.map(|(_, sequence)| *sequence).collect();
            assert_eq!(got, expected, "{one:?} from publisher {publisher}");
        }
    }
    // The plan was worth it: every reactor had sessions and every kind of target members.
    let workers: BTreeSet<u8> = world.iter().map(|one| one.id.worker()).collect();
    assert_eq!(workers.len(), 4);
    let deliveries: usize = logs.iter().map(|log| log.messages.len()).sum();
    assert!(deliveries > 50_000, "{deliveries} deliveries");
}

#[test]
fn every_size_arrives_byte_for_byte_as_text_and_as_binary() {
    let server = TestServer::start(|_| ());
    let mut random = Random::new(SEED + 1);
    let mut players: Vec<Player> = (0..8).map(|_| server.player("group=g")).collect();
    let mut publishers = [
        Publisher::Http(server.backend(), 4),
        Publisher::Link(Box::new(server.link()), 4),
        Publisher::Batch(server.backend(), 5),
        Publisher::Library(server.pusher().clone()),
    ];
    let target = Target { groups: vec!["g".to_owned()], ..Target::default() };
    let sizes = [0, 1, 2, 124, 125, 126, 127, 1_000, 65_534, 65_535, 65_536, 65_537, 131_072, 200_000];
    for publisher in &mut publishers {
        for size in sizes {
            let bytes: Vec<u8> = (0..size).map(|_| random.bits() as u8).collect();
            let text: String = (0..size).map(|_| char::from(b' ' + random.below(95) as u8)).collect();
            let pushes = [Message::binary(bytes), Message::text(text)].map(|message| Push {
                target: target.clone(),
                message,
                receipt: "written",
            });
            // A message that the players' kernels do not hold is written when they read.
            let receipts = thread::scope(|scope| {
                let publishing = scope.spawn(|| publisher.push_all(&pushes));
                for player in &mut players {
                    for push in &pushes {
                        assert!(player.recv() == push.message, "{size} bytes");
                    }
                }
                publishing.join().unwrap()
            });
            assert!(receipts.iter().flatten().all(|receipt| receipt.written == Some(8) && receipt.adds_up()));
        }
    }
}

#[test]
fn a_publisher_and_its_sessions_meet_on_every_pair_of_reactors() {
    let server = TestServer::start(|_| ());
    let mut players: BTreeMap<u8, Player> = BTreeMap::new();
    while players.len() < 4 {
        let player = server.player("");
        players.insert(player.id.worker(), player);
    }
    // Backend connections are spread like players, and say where they are.
    let mut seen: HashMap<u64, usize> = HashMap::new();
    let mut backends = Vec::new();
    while seen.len() < 4 {
        let mut backend = server.backend();
        let reactor = backend.ok("GET", "/v1/stats")["reactor"].as_u64().unwrap();
        *seen.entry(reactor).or_default() += 1;
        backends.push((reactor, backend));
    }
    for (reactor, backend) in &mut backends {
        for (worker, player) in &mut players {
            let text = format!("from {reactor} to {worker}");
            let receipt = backend.push_text(&format!("session={}&receipt=written", player.id), &text);
            assert_eq!((receipt.matched, receipt.written), (1, Some(1)));
            assert_eq!(player.recv_text(), text);
        }
    }
}
