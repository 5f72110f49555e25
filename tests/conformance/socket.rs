//! Endpoints behind real sockets.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use gannet::client::{Client, ClientConfig};
use gannet::protocol::handshake::{check_upgrade, write_accept};
use gannet::protocol::{DeflateConfig, Event};

use crate::case::Extension;
use crate::peer::{LIMITS, Peer, Received};

/// Longer than any endpoint may take; only a failing case waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

/// The tester's socket, after the upgrade.
pub struct SocketPeer {
    stream: TcpStream,
    /// What came along with the head.
    received: Vec<u8>,
}

impl SocketPeer {
    /// Upgrades a connection to the server at `address`, which echoes under `path`.
    pub fn connect(address: SocketAddr, path: &str, extension: Option<Extension>) -> Self {
        let mut stream = TcpStream::connect(address).expect("the server listens");
        let offer = extension
            .map_or(String::new(), |extension| format!("Sec-WebSocket-Extensions: {}\r\n", extension.offer));
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{offer}\r\n"
        );
        stream.write_all(request.as_bytes()).expect("the server reads");
        let (head, received) = read_head(&mut stream);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let answer = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Extensions: "));
        assert_eq!(answer, extension.map(|extension| extension.answer));
        Self::new(stream, received)
    }

    /// Waits for a client, and accepts its upgrade.
    pub fn accept(listener: &TcpListener, extension: Option<Extension>) -> Self {
        let (mut stream, _) = listener.accept().expect("a client comes");
        let (head, received) = read_head(&mut stream);
        let mut headers = [httparse::EMPTY_HEADER; 16];
        let mut request = httparse::Request::new(&mut headers);
        assert!(request.parse(head.as_bytes()).is_ok_and(|status| status.is_complete()));
        let headers = request.headers.iter().map(|header| (header.name, header.value));
        let upgrade = check_upgrade("GET", 1, headers).expect("a valid upgrade");
        let mut out = Vec::new();
        write_accept(upgrade.key, None, extension.map(|extension| extension.answer), &mut out);
        stream.write_all(&out).expect("the client reads");
        Self::new(stream, received)
    }

    fn new(stream: TcpStream, received: Vec<u8>) -> Self {
        stream.set_nodelay(true).expect("a TCP socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        stream.set_write_timeout(Some(PATIENCE)).expect("not zero");
        Self { stream, received }
    }
}

impl Peer for SocketPeer {
    fn send(&mut self, bytes: &[u8]) {
        // An endpoint that echoes at once may wait for its echo to be read before it reads on.
        let mut rest = bytes;
        self.stream.set_nonblocking(true).expect("a TCP socket");
        let mut buffer = vec![0; 64 * 1024];
        while !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => match self.stream.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(length) => self.received.extend_from_slice(&buffer[..length]),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => thread::yield_now(),
                    Err(_) => break,
                },
                // It has ended; what it said before that is still to be read.
                Err(_) => break,
            }
        }
        self.stream.set_nonblocking(false).expect("a TCP socket");
    }

    fn receive(&mut self) -> Received {
        if !self.received.is_empty() {
            return Received::Bytes(std::mem::take(&mut self.received));
        }
        let mut buffer = vec![0; 64 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => Received::End,
            Ok(length) => Received::Bytes(buffer[..length].to_vec()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Received::Nothing
            }
            // A reset ends it too: it had not read all that was sent.
            Err(_) => Received::End,
        }
    }

    fn is_silent(&mut self) -> bool {
        self.received.is_empty()
    }
}

/// Up to the empty line, and what came after it.
fn read_head(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    loop {
        if let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = head.split_off(end + 4);
            return (String::from_utf8(head).expect("ASCII"), rest);
        }
        let mut buffer = [0; 4096];
        let length = stream.read(&mut buffer).expect("a head comes");
        assert!(length > 0, "the stream ended within the head");
        head.extend_from_slice(&buffer[..length]);
    }
}

/// The blocking client as the endpoint under test: it connects, echoes until the connection ends, and goes.
pub fn echoing_client(address: SocketAddr, extension: Option<Extension>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let config = ClientConfig {
            limits: LIMITS,
            deflate: extension.map(|extension| DeflateConfig {
                server_no_context_takeover: !extension.takeover,
                client_no_context_takeover: !extension.takeover,
                ..DeflateConfig::default()
            }),
            ..ClientConfig::default()
        };
        let Ok(mut client) = Client::connect_with(&format!("ws://{address}/"), &config) else { return };
        while let Ok(Some(event)) = client.receive() {
            let sent = match event {
                Event::Text(text) => client.send_text(&text),
                Event::Binary(bytes) => client.send_binary(&bytes),
                _ => Ok(()),
            };
            if sent.is_err() {
                break;
            }
        }
        // A socket closed with unread input is reset, and the last frame with it.
        let mut stream = client.into_stream();
        let _ = stream.shutdown(Shutdown::Write);
        let _ = io::copy(&mut stream, &mut io::sink());
    })
}

impl Drop for SocketPeer {
    fn drop(&mut self) {
        // The other end may be gone already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}
