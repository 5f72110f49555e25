//! Doors that come into a process whose keys may do less, or are gone.

use super::support::{Client, KEY, finish, link_request, request, small, with_length};
use crate::config::{BackendKey, Config, Secret};
use crate::connection::Kind;
use crate::core::Port;
use crate::dispatch::Right;
use crate::reactor::Alone;

const OTHER: &str = "another-key-that-may-do-everything";

fn keys(config: &mut Config, may: &[Right]) {
    let key = |name: &str, key: &str, may: &[Right]| BackendKey {
        name: name.to_owned(),
        key: Some(Secret::new(key)),
        key_file: None,
        may: may.to_vec(),
        apps: Vec::new(),
    };
    config.backend.keys = vec![key("other", OTHER, &[Right::All])];
    if !may.is_empty() {
        config.backend.keys.push(key("renamed", KEY, may));
    }
}

/// A client that has sent all of `wire`.
fn client(alone: &mut Alone, wire: Vec<u8>) -> Client {
    let mut clients = [Client::new(alone, Port::Backend, wire)];
    finish(alone, &mut clients);
    let [client] = clients;
    client
}

/// What a client hears in a server where the key may do so much, whose connection gets the door that `wire` made with all
/// rights; it sends `rest`.
fn hear(wire: &[u8], may: &[Right], rest: &[u8]) -> String {
    let mut before = small(|_| {});
    let old = client(&mut before, wire.to_vec());
    let door = before.carry_door(old.id);
    let mut now = small(|config| keys(config, may));
    // The connection as it comes along.
    let is_link = before.is(old.id, Kind::Link);
    let twin = if is_link { link_request("gannet.link.json") } else { Vec::new() };
    let twin = String::from_utf8(twin).unwrap().replace(KEY, OTHER);
    let mut new = client(&mut now, twin.into_bytes());
    new.received.clear();
    now.replace_door(new.id, door, Vec::new()).unwrap();
    new.wire.extend_from_slice(rest);
    let mut clients = [new];
    finish(&mut now, &mut clients);
    clients[0].received.escape_ascii().to_string()
}

#[test]
fn a_link_whose_key_is_gone_or_may_do_less_is_closed_as_after_a_reload() {
    let link = link_request("gannet.link.json");
    assert_eq!(hear(&link, &[Right::All], b""), "");
    for may in [&[][..], &[Right::Push, Right::Read]] {
        let heard = hear(&link, may, b"");
        assert_eq!(heard, "\\x883\\x03\\xf0the key of this link may not do all that any more", "{may:?}");
    }
}

#[test]
fn a_request_is_held_to_what_its_key_may_do_when_it_is_whole() {
    let push = with_length("POST /v1/push?all=1", b"hi");
    let (wire, rest) = push.split_at(push.len() - 1);
    let status = |may: &[Right]| hear(wire, may, rest)[..12].to_owned();
    assert_eq!(status(&[Right::All]), status_of(200));
    assert_eq!(status(&[Right::Push]), status_of(200));
    assert_eq!(status(&[Right::Read]), status_of(403));
    assert_eq!(status(&[]), status_of(401));
}

#[test]
fn an_http_connection_finds_out_at_its_next_request() {
    let wire = request("GET /v1/groups/g", "", b"");
    assert_eq!(hear(&wire, &[Right::Read], &wire)[..12], status_of(200));
    assert_eq!(hear(&wire, &[], &wire)[..12], status_of(401));
}

fn status_of(status: u16) -> String {
    format!("HTTP/1.1 {status}")
}
