//! The opening handshake: a response is judged the same however it is split, and what a server accepts, a client
//! accepts.

use gannet::protocol::Input;
use gannet::protocol::handshake::{
    Accepted, ClientHandshake, Request, ResponseError, check_upgrade, write_accept,
};

use super::choices::{Choices, pieces};

const NONCE: [u8; 16] = *b"the sample nonce";

/// The sizes of the pieces, then bytes that are taken for a response, for a request, and for parts of a request.
pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let sizes = choices.sizes();
    let head = choices.rest();
    response(head, &sizes);
    upgrade(head);
    request(head, &sizes);
}

fn start() -> ClientHandshake {
    let request = Request {
        host: "localhost",
        path: "/",
        subprotocols: &["chat", "superchat"],
        extensions: Some("permessage-deflate"),
        headers: &[],
    };
    ClientHandshake::start(&request, NONCE, &mut Vec::new()).expect("the request is valid")
}

/// The verdict, and what was left for the frames.
fn receive(pieces: &[&[u8]]) -> (Result<Option<Accepted>, ResponseError>, Vec<u8>) {
    let mut handshake = start();
    let mut verdict = Ok(None);
    let mut frames = Vec::new();
    for piece in pieces {
        let mut bytes = piece.to_vec();
        let mut input = Input::new(&mut bytes);
        if verdict == Ok(None) {
            verdict = handshake.receive(&mut input);
        }
        frames.extend_from_slice(input.as_slice());
    }
    (verdict, frames)
}

fn response(head: &[u8], sizes: &[usize]) {
    let whole = receive(&[head]);
    let split = receive(&pieces(head, sizes));
    assert_eq!(whole.0, split.0);
    if whole.0.is_ok() {
        assert_eq!(whole.1, split.1);
    }
}

fn upgrade(head: &[u8]) {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut headers);
    if !matches!(request.parse(head), Ok(httparse::Status::Complete(_))) {
        return;
    }
    let (Some(method), Some(version)) = (request.method, request.version) else { return };
    let headers = request.headers.iter().map(|header| (header.name, header.value));
    match check_upgrade(method, version, headers.clone()) {
        Ok(upgrade) => {
            assert_eq!((method, version, upgrade.key.len()), ("GET", 1, 24));
            let names: Vec<String> = headers.map(|(name, _)| name.to_ascii_lowercase()).collect();
            for name in ["host", "sec-websocket-key", "sec-websocket-version"] {
                assert_eq!(names.iter().filter(|other| *other == name).count(), 1);
            }
            let mut out = Vec::new();
            write_accept(upgrade.key, upgrade.subprotocols.first().copied(), None, &mut out);
            assert!(out.ends_with(b"\r\n\r\n"));
            assert_eq!(count_ends(&out), count_ends(b"\r\n\r\n"));
        }
        Err(error) => assert!(matches!(error.status(), 400 | 405 | 426)),
    }
}

/// How often a head ends in `bytes`: nothing that a client sent can end it early.
fn count_ends(bytes: &[u8]) -> usize {
    bytes.windows(4).filter(|window| window == b"\r\n\r\n").count()
}

/// Whatever makes a valid request is accepted by the server's side, and its answer by the client's.
fn request(head: &[u8], sizes: &[usize]) {
    let Ok(text) = std::str::from_utf8(head) else { return };
    let parts: Vec<&str> = text.split('\n').collect();
    let [path, host, subprotocol, name, value, ..] = parts[..] else { return };
    let headers = [(name, value)];
    let request = Request { host, path, subprotocols: &[subprotocol], extensions: None, headers: &headers };
    let mut out = Vec::new();
    let Ok(mut handshake) = ClientHandshake::start(&request, NONCE, &mut out) else {
        assert!(out.is_empty());
        return;
    };
    let mut slots = [httparse::EMPTY_HEADER; 32];
    let mut parsed = httparse::Request::new(&mut slots);
    let Ok(httparse::Status::Complete(length)) = parsed.parse(&out) else {
        panic!("not a request: {:?}", String::from_utf8_lossy(&out));
    };
    assert_eq!(length, out.len());
    assert_eq!(parsed.path, Some(path));
    let is_free = |header: &httparse::Header<'_>| header.name == name;
    assert!(parsed.headers.iter().filter(|header| is_free(header)).count() >= 1);
    let headers = parsed.headers.iter().map(|header| (header.name, header.value));
    // The free header may stand in the way of the handshake's own.
    let Ok(upgrade) = check_upgrade("GET", 1, headers) else { return };
    let mut answer = Vec::new();
    write_accept(upgrade.key, Some(subprotocol), None, &mut answer);
    let mut accepted = None;
    for piece in pieces(&answer, sizes) {
        accepted = handshake.receive(&mut Input::new(&mut piece.to_vec())).expect("a server's own answer");
    }
    assert_eq!(accepted.expect("the whole answer").subprotocol.as_deref(), Some(subprotocol));
}
