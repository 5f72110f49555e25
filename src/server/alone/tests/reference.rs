//! The state of each released version, which is read for ever: a server with a connection of every kind goes on from the file,
//! and its clients hear what they would have heard of the process that wrote it.
//!
//! `GANNET_WRITE_REFERENCE=1 cargo test --lib reference_of_this_version` writes the file of this version where there is none.

use super::super::carried_world::{Kept, Reference, Said, config, with_sockets};
use super::super::world::{pack, take};
use super::super::{Alone, alone};
use super::support::{Client, find, finish, frame, link_request, messages, request, text_frame, with_length};
use crate::config::Config;
use crate::core::Port;
use crate::server::upgrade::SETUP_PART;
use crate::session::AppId;
use crate::tls::testing::{SUITES, client, client_config};
use crate::upgrade::Batch;
use minicbor::data::Type;
use minicbor::{Decoder, Encoder};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConnection, SupportedProtocolVersion};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// 2100-01-01: nonces that were signed then are remembered.
const LATE_UNIX_MS: u64 = 4_102_444_800_000;

/// A client of TLS.
pub struct Secret {
    pub plain: Client,
    tls: ClientConnection,
}

/// With TLS for players.
pub fn tls(name: &str) -> Config {
    let folder = std::env::temp_dir().join(format!("gannet-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate =
        rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let paths = [folder.join("cert.pem"), folder.join("key.pem")];
    fs::write(&paths[0], certificate.pem()).unwrap();
    fs::write(&paths[1], key.serialize_pem()).unwrap();
    let mut config = config();
    let [cert, key] = paths;
    (config.tls.cert, config.tls.key) = (Some(cert), Some(key));
    config
}

impl Secret {
    /// A player, whose session is open.
    pub fn open(alone: &mut Alone, wire: &[u8], version: &'static SupportedProtocolVersion) -> Self {
        let suite = SUITES.iter().find(|suite| {
            suite.version() == version
                && format!("{:?}", suite.suite()).contains("AES_128_GCM")
                && !format!("{:?}", suite.suite()).contains("RSA")
        });
        let plain = Client::new(alone, Port::Client, Vec::new());
        let mut secret = Self { plain, tls: client(client_config(*suite.unwrap())) };
        let before = secret.exchange(alone, wire);
        assert!(find(&before, b"101 Switching").is_some(), "{}", before.escape_ascii());
        secret
    }

    /// Seals `wire` and sends it; what it hears then.
    fn exchange(&mut self, alone: &mut Alone, wire: &[u8]) -> Vec<u8> {
        self.tls.writer().write_all(wire).unwrap();
        let mut heard = Vec::new();
        for _ in 0..20 {
            while self.tls.wants_write() {
                self.tls.write_tls(&mut self.plain.stream).unwrap();
            }
            alone.run();
            self.plain.receive(1 << 16);
            heard.extend(self.opened());
        }
        heard
    }

    /// What it hears in what has come.
    fn opened(&mut self) -> Vec<u8> {
        let received = std::mem::take(&mut self.plain.received);
        let (mut rest, mut heard) = (&received[..], Vec::new());
        while !rest.is_empty() {
            self.tls.read_tls(&mut rest).unwrap();
            self.tls.process_new_packets().unwrap();
        }
        let _ = self.tls.reader().read_to_end(&mut heard);
        heard
    }

    fn sealed(&mut self, wire: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::new();
        self.tls.writer().write_all(wire).unwrap();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut sealed).unwrap();
        }
        sealed
    }
}

/// What happens from then on: each client sends the rest of it, and all hear what comes of that, without the dates.
fn go_on(alone: &mut Alone, clients: &mut [(UnixStream, Vec<u8>)]) -> Vec<Vec<u8>> {
    let mut heard = vec![Vec::new(); clients.len()];
    for turn in 0..clients.len() + 3 {
        if let Some((stream, sends)) = clients.get_mut(turn) {
            stream.write_all(sends).unwrap();
        }
        loop {
            alone.run();
            let before: usize = heard.iter().map(Vec::len).sum();
            for ((stream, _), heard) in clients.iter_mut().zip(&mut heard) {
                match stream.read_to_end(heard) {
                    Err(error) if error.kind() != ErrorKind::WouldBlock => panic!("{error}"),
                    _ => {}
                }
            }
            if heard.iter().map(Vec::len).sum::<usize>() == before {
                break;
            }
        }
    }
    heard.iter().map(|heard| without_dates(heard)).collect()
}

fn without_dates(heard: &[u8]) -> Vec<u8> {
    let mut left = heard.to_vec();
    while let Some(at) = find(&left, b"\r\nDate: ") {
        let end = at + 2 + find(&left[at + 2..], b"\r\n").unwrap();
        left.drain(at..end);
    }
    left
}

/// The file does not say when its machine was started: no time passes for it.
fn still(state: &[u8]) -> Vec<u8> {
    let mut decoder = Decoder::new(state);
    decoder.map().unwrap();
    assert_eq!(decoder.u32().unwrap(), 0);
    let from = decoder.position();
    decoder.map().unwrap();
    assert_eq!(decoder.u32().unwrap(), 0);
    let server_ns = decoder.u64().unwrap();
    assert_eq!(decoder.u32().unwrap(), 1);
    decoder.u64().unwrap();
    let mut clock = Encoder::new(Vec::new());
    clock.map(2).unwrap().u8(0).unwrap().u64(server_ns).unwrap().u8(1).unwrap().u64(u64::MAX).unwrap();
    let mut edited = state.to_vec();
    edited.splice(from..decoder.position(), clock.into_writer());
    edited
}

fn kept(batch: &Batch<OwnedFd>) -> Kept {
    let state = if batch.part == SETUP_PART { still(&batch.state) } else { batch.state.clone() };
    Kept { part: batch.part, sockets: batch.descriptors.len() as u64, state: state.into() }
}

/// A client by its name, its end of the socket, and the rest of what it sends.
struct Half {
    name: &'static str,
    client: Client,
    sends: Vec<u8>,
}

fn player_wire(user: &str, more: &str) -> Vec<u8> {
    let head = format!(
        "GET /ws?user={user}{more} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    head.into_bytes()
}

/// A client that has sent `sent`, and has heard what came of it. What it sends later is `sends`.
fn half(alone: &mut Alone, name: &'static str, port: Port, sent: &[u8], sends: &[u8]) -> Half {
    let mut clients = [Client::new(alone, port, sent.to_vec())];
    finish(alone, &mut clients);
    let [client] = clients;
    Half { name, client, sends: sends.to_vec() }
}

/// One of every kind that has no TLS.
fn halves(alone: &mut Alone) -> Vec<Half> {
    let whole = frame(1, b"hello");
    let listen = "{\"op\":\"listen\",\"events\":[\"open\",\"message\",\"close\"]}";
    let mut halves = vec![half(
        alone,
        "link",
        Port::Backend,
        &[link_request("gannet.link.json"), text_frame(listen)].concat(),
        &text_frame("{\"id\":2,\"op\":\"push\",\"to\":{\"group\":\"room\"},\"text\":\"to the room\"}"),
    )];
    let anna = [&player_wire("anna", "&group=room&tag=red"), &whole[..8]].concat();
    halves.push(half(alone, "anna", Port::Client, &anna, &whole[8..]));
    let mut first = frame(1, b"frag");
    first[0] = 1;
    let ben = [player_wire("ben", "&group=room"), first].concat();
    halves.push(half(alone, "ben", Port::Client, &ben, &[frame(9, b"p"), frame(0x0, b"ment")].concat()));
    let echo = String::from_utf8(player_wire("eve", "")).unwrap().replace("/ws?user=eve", "/echo");
    halves.push(half(alone, "echo", Port::Client, &[echo.as_bytes(), &whole[..7]].concat(), &whole[7..]));
    let fred =
        half(alone, "fred", Port::Client, &player_wire("fred", ""), &frame(8, &4001_u16.to_be_bytes()));
    let kick = request(&format!("DELETE /v1/sessions/{}?code=4001&reason=out", fred.client.id), "", b"");
    halves.push(fred);
    let (head, rest) = (&player_wire("hal", "")[..40], &player_wire("hal", "")[40..]);
    halves.push(half(alone, "hal", Port::Client, head, rest));
    let push = with_length("POST /v1/push?group=room", b"hello");
    halves.push(half(alone, "half a request", Port::Backend, &push[..push.len() - 2], b"lo"));

    // She reads nothing from here on.
    halves.push(half(alone, "carol", Port::Client, &player_wire("carol", ""), b""));
    let long = "x".repeat(9_000);
    let wires = [
        kick,
        with_length("POST /v1/push?user=carol&receipt=written", long.as_bytes()),
        with_length("POST /v1/push?user=carol&key=score", b"one"),
        with_length("POST /v1/push?user=carol&key=score", b"two"),
        with_length("POST /v1/push?user=carol&class=urgent", b"now"),
        with_length("POST /v1/push?user=carol&class=droppable", b"maybe"),
    ];
    for (number, wire) in wires.into_iter().enumerate() {
        let mut client = Client::new(alone, Port::Backend, wire);
        while client.sent < client.wire.len() {
            client.send(usize::MAX);
            alone.run();
        }
        client.receive(1 << 16);
        // The second waits for its receipt.
        assert_eq!(client.received.is_empty(), number == 1, "{}", client.received.escape_ascii());
        if number == 1 {
            halves.push(Half { name: "receipt", client, sends: request("GET /v1/groups/room", "", b"") });
        } else {
            alone.doom(client.id);
        }
    }
    let Half { client: link, .. } = &mut halves[0];
    let command =
        "{\"id\":1,\"op\":\"push\",\"to\":{\"user\":\"carol\"},\"text\":\"last\",\"receipt\":\"written\"}";
    link.stream.write_all(&text_frame(command)).unwrap();
    alone.run();
    for half in &mut halves {
        if half.name != "carol" {
            half.client.receive(1 << 16);
        }
    }
    halves
}

/// A server with a connection of every kind in the middle of something, packed, and heard with its own clients.
fn made() -> Reference {
    let mut plain = alone(config());
    let mut clients = halves(&mut plain);
    let (mut alone, _) = take(tls("reference"), pack(&mut plain)).unwrap();
    drop(plain);
    let mut secrets = [
        Secret::open(&mut alone, &player_wire("dora", "&group=room"), &TLS13),
        Secret::open(&mut alone, &player_wire("emil", "&group=room&tag=red"), &TLS12),
    ];
    for (secret, name) in secrets.iter_mut().zip(["dora", "emil"]) {
        let sends = secret.sealed(&text_frame(&format!("from {name}")));
        let Client { id, stream, .. } = &secret.plain;
        let client = Client {
            id: *id,
            stream: stream.try_clone().unwrap(),
            wire: Vec::new(),
            sent: 0,
            ends: false,
            received: Vec::new(),
        };
        clients.push(Half { name, client, sends });
    }
    let shared = alone.shared().clone();
    shared.nonces().spend(AppId(0), "once", LATE_UNIX_MS, LATE_UNIX_MS).unwrap();
    clients.sort_by_key(|half| half.client.id.slot());
    let world = pack(&mut alone);
    // What had been written before is not what they hear later.
    clients.iter_mut().for_each(|half| half.client.receive(1 << 16));
    let batches: Vec<Kept> = world.batches.iter().map(kept).collect();
    drop((alone, shared));
    let (mut alone, counts) = take(config(), world).unwrap();
    assert_eq!(counts.connections, clients.len() as u64);
    let names: Vec<&str> = clients.iter().map(|half| half.name).collect();
    let mut ends: Vec<_> = clients.into_iter().map(|half| (half.client.stream, half.sends)).collect();
    let heard = go_on(&mut alone, &mut ends);
    for (secret, name) in secrets.iter_mut().zip(["dora", "emil"]) {
        let place = names.iter().position(|other| *other == name).unwrap();
        secret.plain.received = heard[place].clone();
        let opened = messages(&secret.opened()).concat();
        assert!(opened.contains("to the room") && opened.contains("hello"), "{name}: {opened}");
    }
    let said = names.into_iter().zip(ends).zip(heard).map(|((name, (_, sends)), hears)| Said {
        name: name.to_owned(),
        sends: sends.into(),
        hears: hears.into(),
    });
    Reference { batches, clients: said.collect() }
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/upgrade")
}

#[test]
fn reference_of_this_version() {
    let file = folder().join(env!("CARGO_PKG_VERSION")).join("state.cbor");
    if std::env::var_os("GANNET_WRITE_REFERENCE").is_some() && !file.exists() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, minicbor::to_vec(made()).unwrap()).unwrap();
    }
    assert!(file.exists(), "GANNET_WRITE_REFERENCE=1 cargo test --lib reference_of_this_version");
    // It can be made again, and is not: what a version has written stays what it is.
    made();
}

/// What the clients of an older version are answered has the fields that this one has beside.
fn with_what_is_new(heard: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(heard);
    let of_group = "\"count\":4,\"members\"";
    match text.contains(of_group) {
        true => text
            .replace(of_group, "\"count\":4,\"behind\":0,\"pushes\":2,\"members\"")
            .replace("Content-Length: 229", "Content-Length: 251")
            .into_bytes(),
        false => heard.to_vec(),
    }
}

#[test]
fn the_state_of_every_version_is_read_and_its_clients_hear_the_rest() {
    let mut versions = 0;
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path().join("state.cbor");
        let reference: Reference = minicbor::decode(&fs::read(&path).unwrap()).unwrap();
        let (world, others) = with_sockets(&reference.batches);
        let (mut alone, counts) = take(config(), world).unwrap();
        assert_eq!((counts.sessions, counts.connections), (5, 11), "{}", path.display());
        let spent = alone.shared().nonces().spend(AppId(0), "once", LATE_UNIX_MS, LATE_UNIX_MS);
        assert!(spent.is_err(), "a nonce was used before");
        assert_eq!(alone.gauges()[..2], [3, 1]);
        let sends = reference.clients.iter().map(|said| said.sends.to_vec());
        let mut ends: Vec<_> = others.into_iter().zip(sends).collect();
        assert_eq!(ends.len(), reference.clients.len());
        let heard = go_on(&mut alone, &mut ends);
        for (said, heard) in reference.clients.iter().zip(heard) {
            let expected = with_what_is_new(&said.hears).escape_ascii().to_string();
            assert_eq!(heard.escape_ascii().to_string(), expected, "{} of {}", said.name, path.display());
        }
        versions += 1;
    }
    assert!(versions > 0);
}

/// A field that has another number, or is not written, is another state: what is taken is packed as it was.
#[test]
fn the_state_of_this_version_is_written_as_it_was() {
    let file = folder().join(env!("CARGO_PKG_VERSION")).join("state.cbor");
    let reference: Reference = minicbor::decode(&fs::read(&file).unwrap()).unwrap();
    let (world, _others) = with_sockets(&reference.batches);
    let (mut alone, _) = take(config(), world).unwrap();
    let again = pack(&mut alone);
    assert_eq!(again.batches.len(), reference.batches.len());
    for (batch, kept) in again.batches.iter().zip(&reference.batches) {
        assert_eq!(batch.part, kept.part);
        let (again, before) = (shape(batch.part, &batch.state), shape(kept.part, &kept.state));
        assert_eq!(again, before, "part {}", batch.part);
    }
}

/// The structure of a state without the numbers, which time changes. Of the setup it has the fields alone: tickets of TLS are
/// those of the configuration.
fn shape(part: u32, state: &[u8]) -> String {
    let (mut decoder, mut shape) = (Decoder::new(state), String::new());
    while decoder.position() < state.len() {
        let deep = if part == SETUP_PART { 1 } else { u32::MAX };
        value(&mut decoder, &mut shape, deep);
    }
    shape
}

fn value(decoder: &mut Decoder<'_>, shape: &mut String, deep: u32) {
    match decoder.datatype().unwrap() {
        _ if deep == 0 => decoder.skip().unwrap(),
        Type::Map => {
            shape.push('{');
            for _ in 0..decoder.map().unwrap().unwrap() {
                let key = decoder.position();
                decoder.skip().unwrap();
                shape.push_str(&decoder.input()[key..decoder.position()].escape_ascii().to_string());
                shape.push(':');
                value(decoder, shape, deep - 1);
            }
            shape.push('}');
        }
        Type::Array => {
            shape.push('[');
            for _ in 0..decoder.array().unwrap().unwrap() {
                value(decoder, shape, deep - 1);
            }
            shape.push(']');
        }
        Type::Bytes => shape.push_str(&format!("{} ", decoder.bytes().unwrap().escape_ascii())),
        Type::String => shape.push_str(&format!("{:?} ", decoder.str().unwrap())),
        Type::Bool => shape.push_str(&format!("{} ", decoder.bool().unwrap())),
        other => {
            decoder.skip().unwrap();
            shape.push_str(if other == Type::Null { "null " } else { "n " });
        }
    }
}
