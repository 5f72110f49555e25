//! A door that another process is said to have had: any bytes are refused, or make a connection that goes on, and is carried
//! again as it is.

use super::alone;
use crate::choices::Choices;
use crate::config::{BackendKey, Config, Secret};
use crate::connection::Kind;
use crate::core::Port;
use crate::dispatch::{EncodedFrame, Origin, Push, PushOptions, ReceiptMode, Right, Target};
use crate::http::Response;
use crate::reactor::Alone;
use crate::session::{AppId, SessionId};
use std::cell::RefCell;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// The keys of the port, one that may not do everything: no input shall stop the server.
const KEY: &str = "a-key-that-may-push-and-look";

/// A push waits for an answer of each connection with one of these numbers.
const AWAITED: u64 = 3;

thread_local! {
    /// Made once: an input is a connection of it.
    static ALONE: RefCell<Alone> = RefCell::new(alone(config()));
}

fn config() -> Config {
    let mut config = Config::default();
    config.backend.keys = vec![BackendKey {
        name: "some".to_owned(),
        key: Some(Secret::new(KEY)),
        key_file: None,
        may: vec![Right::Push, Right::Read],
        apps: Vec::new(),
    }];
    config
}

/// A byte for the kind of connection, two for the length of its door, the door, and what its client sends then.
pub fn obey(data: &[u8]) {
    let mut choices = Choices::new(data);
    let kind = choices.below(3);
    let length = usize::from(choices.byte()) << 8 | usize::from(choices.byte());
    let Ok(door) = minicbor::decode(choices.bytes(length)) else { return };
    ALONE.with_borrow_mut(|alone| {
        let (id, mut client) = connect(alone, kind);
        let pushes = (0..AWAITED).map(|sequence| push(id, sequence)).collect();
        if alone.replace_door(id, Some(door), pushes).is_ok() {
            go_on(alone, id, &mut client, choices.rest());
        }
        drop(client);
        alone.doom(id);
        alone.run();
        assert_eq!(alone.gauges(), [0; 3]);
    });
}

/// What was taken is carried on, and its client sends `rest`.
fn go_on(alone: &mut Alone, id: SessionId, client: &mut UnixStream, rest: &[u8]) {
    if let Some(door) = alone.carry_door(id) {
        let pushes = alone.pushes(id);
        let again = alone.replace_door(id, Some(door), pushes);
        assert!(again.is_ok(), "what was taken is taken again: {again:?}");
    }
    let _ = client.write(rest);
    alone.turn(2);
    alone.answer(id, 0, Response::empty(204));
    alone.turn(2);
    // A link may be said to listen, and nothing knows of it: then the whole is refused.
    let _ = alone.carry();
    alone.turn(2);
    let _ = client.read(&mut [0; 4096]);
}

/// A connection of which only the door is another's.
fn connect(alone: &mut Alone, kind: u32) -> (SessionId, UnixStream) {
    let (id, mut client) = alone.connect(if kind == 0 { Port::Client } else { Port::Backend });
    if kind == 2 {
        let request = format!(
            "GET /v1/link HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: gannet.link.json\r\n\r\n"
        );
        client.write_all(request.as_bytes()).expect("the other end is there");
        alone.run();
        assert!(alone.is(id, Kind::Link));
    }
    (id, client)
}

fn push(connection: SessionId, sequence: u64) -> Arc<Push> {
    // A link's are above the count of its commands.
    let sequence = if sequence + 1 == AWAITED { 1 << 32 } else { sequence };
    let options = PushOptions { receipt: ReceiptMode::Written, ..PushOptions::default() };
    let origin = Origin::Connection { connection, sequence };
    Arc::new(Push::new(AppId(0), Target::nobody(), EncodedFrame::text("hi"), options, 0, u64::MAX, origin))
}
