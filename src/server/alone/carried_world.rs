//! A whole server that another process is said to have had: any bytes, or those of the committed state, harmed. They are
//! refused, or make a server that goes on, and is taken over again.

use super::world::{World, pack, take};
use crate::choices::Choices;
use crate::config::{BackendKey, Config, Secret};
use crate::dispatch::Right;
use crate::reactor::SHARED_PART;
use crate::server::upgrade::{FORMATS, SERVER_PART, SETUP_PART};
use crate::upgrade::{Batch, Hello, PROTOCOL};
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

/// The state of version 0.1.0.
pub const STATE: &[u8] = include_bytes!("../../../tests/data/upgrade/0.1.0/state.cbor");

/// The key of the backends of [`STATE`].
pub const KEY: &str = "a-key-that-may-do-everything";

/// More sockets than an input has a use for.
const MAX_SOCKETS: u64 = 40;

/// A batch as it lies in a file.
#[derive(Debug, Clone, Encode, Decode)]
pub struct Kept {
    #[n(0)]
    pub part: u32,
    /// How many sockets come along.
    #[n(1)]
    pub sockets: u64,
    #[n(2)]
    pub state: ByteVec,
}

/// The end of a client of what is kept.
#[derive(Debug, Clone, Encode, Decode)]
pub struct Said {
    #[n(0)]
    pub name: String,
    /// The rest of what it sends.
    #[n(1)]
    pub sends: ByteVec,
    /// What it hears from then on.
    #[n(2)]
    pub hears: ByteVec,
}

/// A server as it lies in a file, with the clients of its sockets, in the order of these.
#[derive(Debug, Clone, Encode, Decode)]
pub struct Reference {
    #[n(0)]
    pub batches: Vec<Kept>,
    #[n(1)]
    pub clients: Vec<Said>,
}

/// The configuration of the server that was packed, which has no TLS: sessions that have it go on.
pub fn config() -> Config {
    let mut config = Config { echo: true, ..Config::default() };
    config.listen.set_port(0);
    config.backend.listen.set_port(0);
    config.backend.keys = vec![BackendKey {
        name: "all".to_owned(),
        key: Some(Secret::new(KEY)),
        key_file: None,
        may: vec![Right::All],
        apps: Vec::new(),
    }];
    config.delivery.receipt = std::time::Duration::from_secs(3600);
    config
}

/// Batches with new sockets, and the other ends of these.
pub fn with_sockets(batches: &[Kept]) -> (World, Vec<UnixStream>) {
    let mut others = Vec::new();
    let batches = batches.iter().map(|Kept { part, sockets, state }| {
        let descriptors = (0..*sockets).map(|_| {
            let (own, other) = UnixStream::pair().expect("two descriptors are left");
            for end in [&own, &other] {
                end.set_nonblocking(true).expect("it is a socket");
            }
            others.push(other);
            OwnedFd::from(own)
        });
        Batch { part: *part, descriptors: descriptors.collect(), state: state.to_vec() }
    });
    let batches = batches.collect();
    let hello = Hello {
        protocol: PROTOCOL,
        formats: FORMATS,
        version: "0.1.0".to_owned(),
        reactors: 1,
        node: "0".to_owned(),
        capabilities: Vec::new(),
        listeners: Vec::new(),
    };
    (World { hello, batches }, others)
}

/// A byte for what is done: batches of any bytes, or edits of the committed state.
pub fn obey(data: &[u8]) {
    let mut choices = Choices::new(data);
    let reference: Reference = minicbor::decode(STATE).expect("it is committed");
    let mut batches = reference.batches;
    match choices.below(3) {
        0 => batches = any(&mut choices),
        // One part is another.
        1 => {
            let all = batches.len();
            let batch = &mut batches[usize::from(choices.byte()) % all];
            batch.state = choices.rest().to_vec().into();
        }
        _ => {
            while !choices.is_empty() {
                harm(&mut batches, &mut choices);
            }
        }
    }
    let (world, others) = with_sockets(&batches);
    let Ok((mut alone, _)) = take(config(), world) else { return };
    let again = take(config(), pack(&mut alone));
    let (mut alone, _) = again.unwrap_or_else(|error| panic!("what was taken is not taken again: {error}"));
    alone.turn(3);
    drop(others);
    alone.turn(3);
}

fn any(choices: &mut Choices<'_>) -> Vec<Kept> {
    let mut batches = Vec::new();
    while !choices.is_empty() {
        let part = [SETUP_PART, 0, SHARED_PART, SERVER_PART, 1][choices.below(5) as usize];
        let sockets = if part == 0 { u64::from(choices.below(4)) } else { 0 };
        let length = usize::from(choices.byte()) << 8 | usize::from(choices.byte());
        batches.push(Kept { part, sockets, state: choices.bytes(length).to_vec().into() });
    }
    batches
}

/// Changes a place of a batch.
fn harm(batches: &mut Vec<Kept>, choices: &mut Choices<'_>) {
    let all = batches.len();
    let index = usize::from(choices.byte()) % all;
    let batch = &mut batches[index];
    let place = usize::from(choices.byte()) << 8 | usize::from(choices.byte());
    let place = place % (batch.state.len() + 1);
    match choices.below(7) {
        0 => batch.state.truncate(place),
        1 => batch.state.insert(place, choices.byte()),
        2 if place < batch.state.len() => _ = batch.state.remove(place),
        3 => batch.sockets = (batch.sockets ^ u64::from(choices.byte())) % MAX_SOCKETS,
        4 => {
            // As a part of the whole it may come twice.
            let twice = batch.clone();
            if all < 16 {
                batches.insert(index, twice);
            }
        }
        5 => {
            let count = choices.below(9) as usize;
            let bytes = choices.bytes(count);
            let end = batch.state.len().min(place + bytes.len());
            batch.state.splice(place..end, bytes.iter().copied());
        }
        _ => {
            if let Some(byte) = batch.state.get_mut(place) {
                *byte ^= choices.byte();
            }
        }
    }
}
