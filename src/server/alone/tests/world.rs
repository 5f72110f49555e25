//! States that are none: each is refused, and the reason says what is wrong.

use super::super::carried_world::{Kept, Reference, STATE, config, with_sockets};
use super::super::world::{World, pack, take};
use super::super::{Alone, alone};
use super::reference::{Secret, tls};
use super::support::{Client, finish};
use crate::core::Port;
use crate::reactor::SHARED_PART;
use crate::server::upgrade::{SERVER_PART, SETUP_PART};
use crate::upgrade::Formats;
use minicbor::Decoder;
use rustls::version::{TLS12, TLS13};

fn batches() -> Vec<Kept> {
    let reference: Reference = minicbor::decode(STATE).unwrap();
    reference.batches
}

fn refused(batches: &[Kept]) -> String {
    let (world, _others) = with_sockets(batches);
    match take(config(), world) {
        Ok(_) => panic!("it was taken"),
        Err(error) => error.to_string(),
    }
}

/// The batch that has the connections.
fn connections(batches: &mut [Kept]) -> &mut Kept {
    batches.iter_mut().find(|batch| batch.sockets > 0).unwrap()
}

/// Where the value of the field lies to which these keys of maps lead.
fn place(state: &[u8], keys: &[u32]) -> std::ops::Range<usize> {
    let mut decoder = Decoder::new(state);
    for key in keys {
        decoder.map().unwrap();
        while decoder.u32().unwrap() != *key {
            decoder.skip().unwrap();
        }
    }
    let from = decoder.position();
    decoder.skip().unwrap();
    from..decoder.position()
}

/// The first session of the committed state with another field.
fn with_field(keys: &[u32], value: impl minicbor::Encode<()>) -> Vec<Kept> {
    let mut batches = batches();
    let state = &mut connections(&mut batches).state;
    let mut at = 0;
    // The first that has names is a session.
    while place_of_names(&state[at..]).is_none() {
        at += place(&state[at..], &[]).end;
    }
    let place = place(&state[at..], keys);
    state.splice(at + place.start..at + place.end, minicbor::to_vec(value).unwrap());
    batches
}

fn place_of_names(state: &[u8]) -> Option<usize> {
    let mut decoder = Decoder::new(state);
    decoder.map().unwrap();
    decoder.u32().unwrap();
    let fields = decoder.map().unwrap().unwrap();
    for _ in 0..fields {
        if decoder.u32().unwrap() == 1 {
            return Some(decoder.position());
        }
        decoder.skip().unwrap();
    }
    None
}

fn first_id() -> u64 {
    let mut batches = batches();
    let state = connections(&mut batches).state.to_vec();
    let mut at = 0;
    while place_of_names(&state[at..]).is_none() {
        at += place(&state[at..], &[]).end;
    }
    minicbor::decode(&state[at..][place(&state[at..], &[0, 0, 0])]).unwrap()
}

#[test]
fn a_state_that_is_cut_anywhere_is_refused() {
    let whole = batches();
    for (index, batch) in whole.iter().enumerate() {
        for cut in 0..batch.state.len() {
            // Long bodies are all alike.
            if batch.state[cut] == b'x' {
                continue;
            }
            let mut cut_short = whole.clone();
            cut_short[index].state.truncate(cut);
            let why = refused(&cut_short);
            assert!(!why.is_empty(), "{index} at {cut}");
        }
        let mut missing = whole.clone();
        missing.remove(index);
        refused(&missing);
    }
}

#[test]
fn what_is_no_session_is_refused_and_the_reason_says_what_is_wrong() {
    let id = first_id();
    let mut twice = batches();
    let batch = connections(&mut twice);
    let first = batch.state[place(&batch.state, &[])].to_vec();
    batch.state.extend(first);
    batch.sockets += 1;
    let table = [
        (twice, "is there twice"),
        (with_field(&[0, 1], None::<u8>), "a session without an app"),
        (with_field(&[0, 1, 0], 7_u16), "an app that did not come"),
        (with_field(&[0, 0, 0], id ^ 1 << 63), "not in its place"),
        (with_field(&[0, 0, 0], id ^ 1 << 45), "not in its place"),
        (with_field(&[0, 0, 0], id ^ 1 << 30), "not in its place"),
        (with_field(&[0, 0, 0], id ^ 0x3f_ffff), "not in its place"),
        (with_field(&[0, 0, 1], 9_u8), "of no kind"),
        (with_field(&[0, 0, 2], 9_u8), "in no phase"),
        (with_field(&[0, 0, 3], 9_u8), "over nothing"),
        (with_field(&[0, 0, 3], 3_u8), "a TLS session where none is"),
    ];
    for (batches, expected) in table {
        let why = refused(&batches);
        assert!(why.contains(expected), "{why:?} for {expected:?}");
    }
}

#[test]
fn parts_that_come_in_no_order_are_refused() {
    let whole = batches();
    let table: [(&[u32], &str); 3] = [
        (&[SERVER_PART, SETUP_PART], "does not begin with its setup"),
        (&[SETUP_PART, SHARED_PART, SERVER_PART], "cut"),
        (&[SETUP_PART, 0], "did not come"),
    ];
    for (parts, expected) in table {
        let picked = parts.iter().flat_map(|part| whole.iter().filter(|batch| batch.part == *part).cloned());
        let why = refused(&picked.collect::<Vec<_>>());
        assert!(why.contains(expected), "{why:?} for {expected:?}");
    }
    let mut other = whole;
    connections(&mut other).part = 3;
    assert!(refused(&other).contains("a part of no reactor"));
}

#[test]
fn a_state_of_another_version_is_refused_before_it_is_read() {
    let (World { mut hello, batches }, _others) = with_sockets(&batches());
    hello.formats = Formats { written: 9, oldest_read: 9, oldest_reader: 9 };
    let why = take(config(), World { hello, batches }).err().unwrap().to_string();
    assert!(why.contains("the old process") && why.contains('9'), "{why}");
}

fn size(alone: &mut Alone) -> usize {
    let world = pack(alone);
    let batch = world.batches.iter().find(|batch| !batch.descriptors.is_empty()).unwrap();
    batch.state.len() / batch.descriptors.len()
}

const PLAYER: &[u8] =
    b"GET /ws?user=player-4711&group=room-4711 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A socket of IP takes up to 20 bytes more, for its address.
#[test]
fn an_idle_session_is_carried_in_200_bytes_and_one_of_tls_in_450() {
    let mut plain = alone(config());
    let mut clients = [Client::new(&mut plain, Port::Client, PLAYER.to_vec())];
    finish(&mut plain, &mut clients);
    let bytes = size(&mut plain);
    println!("plain: {bytes}");
    assert!(bytes + 20 <= 200, "{bytes}");
    for version in [&TLS13, &TLS12] {
        let mut secret = alone(tls("sizes"));
        let _client = Secret::open(&mut secret, PLAYER, version);
        let bytes = size(&mut secret);
        println!("{version:?}: {bytes}");
        assert!(bytes + 20 <= 450, "{bytes}");
    }
}
