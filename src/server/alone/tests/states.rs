//! Each thing that a door can be in the middle of, carried after every byte of it.

use super::support::{
    Client, assert_same, finish, frame, link_request, player, request, small, text_frame, with_length,
};
use crate::connection::Kind;
use crate::core::Port;
use crate::http::Response;
use crate::reactor::Alone;

/// What a client hears that sends `wire` to `port` in two parts, where the doors are carried between them or not.
fn hear(port: Port, wire: &[u8], cut: usize, is_carried: bool) -> Vec<Vec<String>> {
    let mut alone = small(|_| {});
    let mut clients = vec![player(&mut alone, "a")];
    finish(&mut alone, &mut clients);
    clients.push(Client::new(&mut alone, port, wire.to_vec()));
    clients[1].send(cut);
    alone.run();
    if is_carried {
        alone.carry().unwrap();
    }
    finish(&mut alone, &mut clients);
    clients.iter().map(Client::heard).collect()
}

#[test]
fn requests_are_carried_after_every_byte_in_every_framing() {
    let wires = [
        [
            with_length("POST /v1/push?user=a&receipt=written", b"one"),
            request("HEAD /v1/nothing", "", b""),
            request(
                "POST /v1/push?all=1",
                "Transfer-Encoding: chunked\r\n",
                b"2;a=b\r\ntw\r\n1\r\no\r\n0\r\nA: b\r\n\r\n",
            ),
        ]
        .concat(),
        [
            with_length(
                "POST /v1/batch",
                b"{\"id\":\"x\",\"op\":\"dance\"}\n\n{\"op\":\"destroy\",\"group\":\"g\"}",
            ),
            b"\r\n".to_vec(),
            request("GET /healthz", "Connection: close\r\n", b""),
        ]
        .concat(),
        [
            b"GET /v1/stats HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            request("POST /v1/push?user=a", "Expect: 100-continue\r\nContent-Length: 2\r\n", b"hi"),
            b"POST /v1/push HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nno".to_vec(),
        ]
        .concat(),
        [
            link_request("gannet.link.json"),
            text_frame(
                "{\"id\":1,\"op\":\"push\",\"to\":{\"user\":\"a\"},\"text\":\"x\",\"receipt\":\"written\"}",
            ),
            frame(2, b"no text"),
        ]
        .concat(),
    ];
    for (number, wire) in wires.iter().enumerate() {
        for cut in 0..=wire.len() {
            let expected = hear(Port::Backend, wire, cut, false);
            let heard = hear(Port::Backend, wire, cut, true);
            assert_same(&heard, &expected, &format!("{number} at {cut}"));
        }
    }
}

#[test]
fn upgrade_requests_are_carried_after_every_byte() {
    let mut alone = small(|_| {});
    let upgrade = player(&mut alone, "b").wire;
    for wire in [
        &[&b"\r\n"[..], &upgrade, &frame(9, b"ping")].concat(),
        &b"GET /readyz HTTP/1.1\r\n\r\n"[..],
        b"\x16\x03",
    ] {
        for cut in 0..=wire.len() {
            let expected = hear(Port::Client, wire, cut, false);
            let heard = hear(Port::Client, wire, cut, true);
            assert_same(&heard, &expected, &format!("{:?} at {cut}", wire.escape_ascii().to_string()));
        }
    }
}

#[test]
fn what_was_asked_for_elsewhere_is_answered_in_the_new_process_before_what_stands_behind_it() {
    let mut alone = small(|_| {});
    let wire = [request("GET /v1/stats", "", b""), request("GET /v1/nothing", "", b"")].concat();
    let mut clients = [Client::new(&mut alone, Port::Backend, wire)];
    finish(&mut alone, &mut clients);
    let id = clients[0].id;
    assert!(clients[0].received.is_empty());
    alone.carry().unwrap();
    finish(&mut alone, &mut clients);
    assert!(clients[0].received.is_empty(), "it waits for its answer there too");
    alone.answer(id, 0, Response::text(200, "here"));
    finish(&mut alone, &mut clients);
    let heard = clients[0].heard().concat();
    assert!(heard.starts_with("HTTP/1.1 200 OK") && heard.contains("hereHTTP/1.1 404 Not Found"), "{heard}");
}

#[test]
fn a_receipt_that_nobody_settles_is_answered_in_time_by_the_new_process() {
    let long = "x".repeat(20_000);
    let push = with_length("POST /v1/push?user=a&receipt=written", long.as_bytes());
    let command = format!(
        "{{\"id\":1,\"op\":\"push\",\"to\":{{\"user\":\"a\"}},\"text\":\"{long}\",\"receipt\":\"written\"}}"
    );
    let batch = with_length("POST /v1/batch", command.as_bytes());
    let link = [link_request("gannet.link.json"), text_frame(&command)].concat();
    for wire in [push, batch, link] {
        let mut alone = small(|config| config.delivery.receipt = std::time::Duration::from_millis(150));
        let mut players = [player(&mut alone, "a")];
        finish(&mut alone, &mut players);
        let mut clients = [Client::new(&mut alone, Port::Backend, wire)];
        while clients[0].sent < clients[0].wire.len() {
            clients[0].send(usize::MAX);
            alone.run();
        }
        alone.carry().unwrap();
        // The player reads nothing.
        while !clients[0].heard().concat().contains("pending") {
            alone.turn(1);
            clients[0].receive(1 << 16);
        }
    }
}

#[test]
fn a_door_belongs_to_its_kind_of_connection() {
    let mut alone = small(|_| {});
    let mut clients = [
        player(&mut alone, "a"),
        Client::new(&mut alone, Port::Backend, link_request("gannet.link.json")),
        Client::new(&mut alone, Port::Backend, request("GET /healthz", "", b"")),
        Client::new(&mut alone, Port::Client, b"GET".to_vec()),
    ];
    finish(&mut alone, &mut clients);
    let kinds = [Kind::Player, Kind::Link, Kind::Backend, Kind::Upgrade];
    assert!(clients.iter().zip(kinds).all(|(client, kind)| alone.is(client.id, kind)));
    let doors: Vec<_> = clients.iter().map(|client| alone.carry_door(client.id)).collect();
    for (number, client) in clients.iter().enumerate() {
        for (other, door) in doors.iter().enumerate() {
            let replaced = alone.replace_door(client.id, door.clone(), Vec::new());
            assert_eq!(replaced.is_ok(), number == other, "{number} with the door of {other}");
        }
    }
}

#[test]
fn no_change_of_a_byte_makes_a_door_that_brings_the_server_down() {
    let long = "x".repeat(9_000);
    let push = |id: usize| {
        format!(
            "{{\"id\":{id},\"op\":\"push\",\"to\":{{\"user\":\"a\"}},\"text\":\"{long}\",\"receipt\":\"written\"}}\n"
        )
    };
    let batch = format!("{}{}{{\"op\":\"destroy\",\"group\":\"g\"}}", push(1), push(2));
    let wires = [
        with_length("POST /v1/batch", batch.as_bytes()),
        [with_length("POST /v1/push?user=a&receipt=written", long.as_bytes()), b"POST / HTTP".to_vec()]
            .concat(),
        [link_request("gannet.link.json"), text_frame(&push(1)), text_frame(&push(2))].concat(),
    ];
    for wire in wires {
        let mut world = World::of(&wire);
        let (pushes, bytes) = (world.alone.pushes(world.client.id), world.door.clone());
        // Bodies are long and all alike.
        let places = (0..bytes.len()).filter(|place| bytes[*place] != b'x');
        let (mut refused, mut taken) = (0, 0);
        for place in places {
            for change in [1, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[place] ^= change;
                let Ok(other) = minicbor::decode(&changed) else { continue };
                match world.alone.replace_door(world.client.id, Some(other), pushes.clone()) {
                    Ok(()) => taken += 1,
                    Err(_) => refused += 1,
                }
                world.alone.turn(2);
                world = World::of(&wire);
            }
        }
        assert!(refused > 0 && taken > 0, "{refused} refused, {taken} taken");
    }
}

/// A backend that waits for a player who does not read.
struct World {
    alone: Alone,
    client: Client,
    door: Vec<u8>,
    _player: Client,
}

impl World {
    fn of(wire: &[u8]) -> Self {
        let mut alone = small(|_| {});
        let mut players = [player(&mut alone, "a")];
        finish(&mut alone, &mut players);
        let mut client = Client::new(&mut alone, Port::Backend, wire.to_vec());
        while client.sent < client.wire.len() {
            client.send(usize::MAX);
            alone.run();
        }
        let door = minicbor::to_vec(alone.carry_door(client.id).unwrap()).unwrap();
        let [player] = players;
        Self { alone, client, door, _player: player }
    }
}
