//! Backends that send anything: their clients hear the same where the doors are carried in the middle.

use super::support::{
    Client, assert_same, finish, frame, link_request, player, request, small, text_frame, with_length,
};
use crate::core::Port;
use crate::gateway::CarriedDoor;

/// Numbers that look random, the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

fn chunked(random: &mut Random, line: &str, mut body: &[u8]) -> Vec<u8> {
    let mut coded = Vec::new();
    while !body.is_empty() {
        let (chunk, rest) = body.split_at((1 + random.below(400)).min(body.len()));
        let extension = random.of(&["", ";a=b", " ; c"]);
        coded.extend_from_slice(format!("{:x}{extension}\r\n", chunk.len()).as_bytes());
        coded.extend_from_slice(chunk);
        coded.extend_from_slice(b"\r\n");
        body = rest;
    }
    coded.extend_from_slice(random.of(&["0\r\n\r\n", "0\r\nA: b\r\n\r\n"]).as_bytes());
    request(line, "Transfer-Encoding: chunked\r\n", &coded)
}

/// A push in JSON.
fn push_line(random: &mut Random, user: &str, number: usize) -> String {
    let id = match random.below(4) {
        0 => String::new(),
        1 => format!("\"id\":\"n-{number}\","),
        2 => format!("\"id\":-{number}.50,"),
        _ => format!("\"id\":{number},"),
    };
    let receipt = random.of(&["none", "queued", "written", "written"]);
    let text = "x".repeat(random.below(1200));
    format!(
        "{{{id}\"op\":\"push\",\"to\":{{\"user\":\"{user}\"}},\"text\":\"{number} {text}\",\"receipt\":\"{receipt}\"}}"
    )
}

/// A command in JSON, of which some are refused.
fn command(random: &mut Random, user: &str, number: usize) -> String {
    match random.below(8) {
        0 => format!("{{\"id\":{number},\"op\":\"join\",\"group\":\"g-{user}\",\"user\":\"{user}\"}}"),
        1 => format!("{{\"id\":{number},\"op\":\"destroy\",\"group\":\"g-{user}\"}}"),
        2 => format!("{{\"id\":{number},\"op\":\"dance\"}}"),
        _ => push_line(random, user, number),
    }
}

fn batch(random: &mut Random, user: &str) -> Vec<u8> {
    let lines = 1 + random.below(9);
    let mut body = String::new();
    for number in 0..lines {
        body += random.of(&["", "", "\r\n", " \n"]);
        body += &command(random, user, number);
        body += random.of(&["\n", "\r\n"]);
    }
    match random.below(2) {
        0 => with_length("POST /v1/batch", body.as_bytes()),
        _ => chunked(random, "POST /v1/batch", body.as_bytes()),
    }
}

/// What a backend sends, which is about `user` alone; whether it ends its side behind that.
fn backend_wire(random: &mut Random, user: &str) -> (Vec<u8>, bool) {
    let mut wire = Vec::new();
    for number in 0..2 + random.below(8) {
        let text = format!("{number} {}", "y".repeat(random.below(1500)));
        let receipt = random.of(&["none", "queued", "written"]);
        let push = format!("POST /v1/push?user={user}&receipt={receipt}");
        wire.extend(match random.below(11) {
            0 => with_length(&push, text.as_bytes()),
            1 => chunked(random, &push, text.as_bytes()),
            2 => batch(random, user),
            3 => request("HEAD /v1/nothing", "", b""),
            4 => request(&format!("GET /v1/groups/g-{user}?limit=9"), "", b""),
            5 => with_length(&format!("POST /v1/groups/g-{user}/members?user={user}"), b""),
            6 => request("GET /healthz", "", b""),
            7 => request(&push, "Expect: 100-continue\r\nContent-Length: 3\r\n", b"abc"),
            8 => with_length("POST /v1/push", b"to nobody"),
            9 => b"\r\n".to_vec(),
            _ => with_length(&format!("DELETE /v1/groups/g-{user}"), b""),
        });
    }
    let end = random.below(8);
    wire.extend(match end {
        0 => b"GET /v1/stats HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        1 => b"POST /v1/push?all=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nnope".to_vec(),
        2 => request("GET /healthz", "Connection: close\r\n", b""),
        3 => b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        4 => b"POST /v1/push HTTP/1.1\r\nHost: a".to_vec(),
        5 => {
            let mut wire = link_request("gannet.link.json");
            for number in 0..random.below(9) {
                wire.extend(text_frame(&command(random, user, number)));
            }
            wire
        }
        6 => {
            let mut wire = link_request("gannet.link.bin");
            for number in 0..random.below(9) {
                wire.extend(binary_push(random, user, number as u32));
            }
            wire
        }
        _ => Vec::new(),
    });
    (wire, end == 7 && random.below(2) == 0)
}

/// A push in the binary layout; 0 is no id.
fn binary_push(random: &mut Random, user: &str, id: u32) -> Vec<u8> {
    use crate::dispatch::ReceiptMode;
    use crate::link_bin::{Command, Payload, Push, Request, Selector};
    let text = "z".repeat(random.below(1200));
    let receipt = random.of(&[ReceiptMode::None, ReceiptMode::Queued, ReceiptMode::Written]);
    let target = [Selector::User(user)].into_iter().collect();
    let push = Push { receipt, ..Push::new(target, Payload::Text(&text)) };
    let mut bytes = Vec::new();
    Request::new(id, Command::Push(push)).encode(&mut bytes).unwrap();
    frame(2, &bytes)
}

/// One thing that happens.
#[derive(Debug, Clone, Copy)]
enum Step {
    Send(usize, usize),
    Receive(usize, usize),
    Turn(usize),
}

/// What all clients heard, what happened, and the doors that were carried.
struct Played {
    heard: Vec<Vec<String>>,
    steps: Vec<Step>,
    carried: Vec<CarriedDoor>,
}

/// Plays with the doors carried behind those steps of which `is_cut` says so.
fn play(seed: u64, mut is_cut: impl FnMut(&mut Random) -> bool) -> Played {
    let mut random = Random(seed);
    let mut alone = small(|_| {});
    let mut clients: Vec<Client> = ["a", "b"].map(|user| player(&mut alone, user)).into();
    finish(&mut alone, &mut clients);
    for user in ["a", "b"] {
        let (wire, ends) = backend_wire(&mut random, user);
        clients.push(Client { ends, ..Client::new(&mut alone, Port::Backend, wire) });
    }
    // One that is on its way in meanwhile.
    let late = player(&mut alone, "c");
    clients.push(late);
    let (mut steps, mut carried, mut cuts) = (Vec::new(), Vec::new(), Random(seed ^ 0x5555));
    for _ in 0..60 {
        let client = random.below(clients.len());
        let step = match random.below(5) {
            0 | 1 => Step::Send(client, 1 + random.of(&[0, 7, 90, 1500, 6000])),
            2 => Step::Receive(client, 1 + random.of(&[40, 400])),
            _ => Step::Turn(1 + random.below(2)),
        };
        match step {
            Step::Send(client, count) => clients[client].send(count),
            Step::Receive(client, count) => clients[client].receive(count),
            Step::Turn(count) => alone.turn(count),
        }
        steps.push(step);
        if is_cut(&mut cuts) {
            let doors = alone.carry().unwrap_or_else(|error| panic!("{seed}: {error} after {steps:?}"));
            carried.extend(doors);
        }
    }
    finish(&mut alone, &mut clients);
    Played { heard: clients.iter().map(Client::heard).collect(), steps, carried }
}

#[test]
fn whatever_backends_do_they_hear_the_same_where_their_doors_are_carried_in_the_middle() {
    let mut carried = String::new();
    for seed in 0..80 {
        let expected = play(seed, |_| false).heard;
        let sometimes = play(seed, |cuts| cuts.below(6) == 0);
        assert_same(&sometimes.heard, &expected, &format!("{seed}: {:?}", sometimes.steps));
        let always = play(seed, |_| true);
        assert_same(&always.heard, &expected, &format!("{seed}, always: {:?}", always.steps));
        carried += &format!("{:?}", always.carried);
    }
    // All that a door can be in the middle of was carried.
    for state in [
        "Head(CarriedHead",
        "stage: Body(CarriedBody { state: 1,",
        "stage: Body(CarriedBody { state: 2,",
        "stage: Body(CarriedBody { state: 6,",
        "stage: Whole",
        "Waiting(CarriedWaiting { keep_alive: true",
        "Ready(CarriedReady",
        "receipts: [CarriedAwaited",
        "batch: Some(CarriedBatch",
        "at_end: false",
        "at_end: true",
        "Waiting(Some(\"\\\"n-",
        "last: true",
        "commands: [CarriedCommand",
        "text_id: Some(",
        "binary_id: Some(",
        "listens: false",
    ] {
        assert!(carried.contains(state), "{state} was never carried");
    }
}
