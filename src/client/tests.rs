//! The client against tungstenite's server, over real sockets.

use std::net::TcpListener;
use std::thread;

use super::*;
use crate::protocol::handshake::ResponseError;

/// A server that serves one connection, and its URL.
fn serve(run: impl FnOnce(TcpStream) + Send + 'static) -> (String, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/ws", listener.local_addr().unwrap());
    (url, thread::spawn(move || run(listener.accept().unwrap().0)))
}

fn echo(stream: TcpStream) {
    let mut socket = tungstenite::accept(stream).unwrap();
    while let Ok(message) = socket.read() {
        if message.is_text() || message.is_binary() {
            socket.send(message).unwrap();
        }
    }
}

#[test]
fn messages_and_the_closing_handshake() {
    let (url, server) = serve(echo);
    let mut client = Client::connect(&url).unwrap();
    for length in [0, 5, 125, 126, 70_000, 500_000] {
        let text = "ä".repeat(length / 2);
        client.send_text(&text).unwrap();
        client.ping(b"between").unwrap();
        client.send_binary(text.as_bytes()).unwrap();
        assert!(client.receive().unwrap() == Some(Event::Text(text.clone().into())));
        assert_eq!(client.receive().unwrap(), Some(Event::Pong(b"between".into())));
        assert!(client.receive().unwrap() == Some(Event::Binary(text.into_bytes().into())));
    }
    client.close(Some(CloseCode::NORMAL), "done").unwrap();
    assert!(matches!(client.receive().unwrap(), Some(Event::Close(Some(_)))));
    assert_eq!(client.receive().unwrap(), None);
    assert!(matches!(client.send_text("late"), Err(ClientError::Send(SendError::Closed))));
    server.join().unwrap();
}

#[test]
fn a_refusal_tells_the_status() {
    let (url, server) = serve(|mut stream| {
        let mut head = [0; 1024];
        let _ = stream.read(&mut head).unwrap();
        stream.write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n").unwrap();
    });
    let error = Client::connect(&url).unwrap_err();
    assert!(matches!(error, ClientError::Response(ResponseError::Refused { status: 401 })), "{error}");
    server.join().unwrap();
}

#[test]
fn an_end_without_a_close_is_an_error() {
    let (url, server) = serve(|stream| drop(tungstenite::accept(stream).unwrap()));
    let mut client = Client::connect(&url).unwrap();
    assert!(matches!(client.receive(), Err(ClientError::Disconnected | ClientError::Io(_))));
    server.join().unwrap();
}

#[test]
fn a_server_that_breaks_the_protocol_is_told() {
    let (url, server) = serve(|stream| {
        let mut raw = stream.try_clone().unwrap();
        let mut socket = tungstenite::accept(stream).unwrap();
        raw.write_all(b"\x83\x00").unwrap();
        let close = socket.read().unwrap();
        assert!(matches!(close, tungstenite::Message::Close(Some(close)) if u16::from(close.code) == 1002));
    });
    let mut client = Client::connect(&url).unwrap();
    assert!(matches!(client.receive(), Err(ClientError::Protocol(_))));
    assert_eq!(client.receive().unwrap(), None);
    server.join().unwrap();
}

#[test]
fn bad_urls_and_requests_go_nowhere() {
    assert!(matches!(Client::connect("http://localhost/"), Err(ClientError::Url)));
    let (url, server) = serve(drop);
    let config = ClientConfig { subprotocols: vec!["a b".to_owned()], ..ClientConfig::default() };
    assert!(matches!(Client::connect_with(&url, &config), Err(ClientError::Request(_))));
    server.join().unwrap();
}
