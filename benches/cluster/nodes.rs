//! Nodes of a cluster in this process, on loopback, their players and a backend.

use crate::arrivals::{self, Arrivals};
use crate::redis::Redis;
use crate::{Failure, PAYLOAD};
use gannet::config::{Backend as BackendConfig, Config};
use gannet::session::SessionId;
use gannet::{Pusher, Relay, Server, Stopper};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tungstenite::{Message, WebSocket};

pub const PREFIX: &str = "bench";
/// Longer than a bench takes: nothing but pushes is to be sent.
const HOUR: Duration = Duration::from_secs(3_600);
const PATIENCE: Duration = Duration::from_secs(30);

/// A running node; stopped by [`Node::stop`].
pub struct Node {
    pub clients: SocketAddr,
    pub backend: SocketAddr,
    pub pusher: Pusher,
    stopper: Stopper,
    thread: JoinHandle<Result<(), String>>,
}

impl Node {
    fn start(redis: &Redis, name: &str) -> Result<Self, Failure> {
        let mut config = Config {
            listen: "127.0.0.1:0".parse()?,
            backend: BackendConfig { listen: "127.0.0.1:0".parse()?, ..Default::default() },
            reactors: Some(2),
            ..Config::default()
        };
        crate::memory::configure(&mut config);
        config.cluster.redis = vec![redis.url().parse()?];
        config.cluster.prefix = PREFIX.to_owned();
        config.cluster.name = Some(name.to_owned());
        (config.timeouts.ping, config.timeouts.idle) = (HOUR, 2 * HOUR);
        // Few players get what is for many.
        config.limits.outbox_messages = 65_536;
        config.limits.outbox_bytes = 64 << 20;
        let server = Server::bind(config)?;
        let (clients, backend) = (server.client_addr(), server.backend_addr());
        let (pusher, stopper) = (server.pusher(), server.stopper());
        let thread = thread::spawn(move || {
            server.run(|_| Box::new(Relay)).map(drop).map_err(|error| error.to_string())
        });
        Ok(Self { clients, backend, pusher, stopper, thread })
    }

    pub fn stop(self) -> Result<(), Failure> {
        self.stopper.stop();
        self.thread.join().map_err(|_| "a node panicked")?.map_err(Failure::from)
    }

    /// Players of this node, until one is on the reactor that is wanted.
    pub fn player_on(&self, query: &str, is_wanted: impl Fn(u8) -> bool) -> Result<Player, Failure> {
        for _ in 0..64 {
            let player = Player::connect(self.clients, query)?;
            if is_wanted(player.id.worker()) {
                return Ok(player);
            }
        }
        Err("all players are on the same reactor".into())
    }
}

/// So many nodes that hear each other.
pub fn start(redis: &Redis, count: usize) -> Result<Vec<Node>, Failure> {
    let nodes: Vec<Node> =
        (0..count).map(|number| Node::start(redis, &format!("node-{number}"))).collect::<Result<_, _>>()?;
    for node in &nodes {
        let mut backend = Backend::connect(node.backend)?;
        let until = Instant::now() + PATIENCE;
        loop {
            let status = backend.get("/v1/cluster")?;
            let known = status["nodes"].as_array().map_or(0, Vec::len);
            if status["ready"] == true && known == count {
                break;
            }
            if Instant::now() > until {
                return Err(format!("the nodes do not hear each other: {status}").into());
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
    Ok(nodes)
}

pub struct Player {
    pub id: SessionId,
    socket: WebSocket<TcpStream>,
}

impl Player {
    pub fn connect(address: SocketAddr, query: &str) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let (mut socket, _) = tungstenite::client(format!("ws://{address}/ws?{query}"), stream)?;
        let welcome: serde_json::Value = serde_json::from_str(&socket.read()?.into_text()?)?;
        let id = welcome["session"].as_str().ok_or("the welcome names the session")?.parse()?;
        Ok(Self { id, socket })
    }

    /// When it gets what is pushed from now on, each time [`PAYLOAD`].
    pub fn arrivals(self) -> Result<Arrivals, Failure> {
        let (stream, mut socket) = (self.socket.get_ref().try_clone()?, self.socket);
        Arrivals::of(stream, move || match socket.read()? == Message::text(PAYLOAD) {
            true => Ok(()),
            false => Err("a player got another message".into()),
        })
    }

    /// Counts from now on what it gets, on a thread of its own.
    pub fn count(self) -> Result<Counter, Failure> {
        let mut stream = self.socket.get_ref().try_clone()?;
        stream.set_read_timeout(None)?;
        let count = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&count);
        let thread = thread::spawn(move || {
            let (mut buffer, mut frames) = (vec![0; 1 << 18], Frames::default());
            while let Ok(length @ 1..) = stream.read(&mut buffer) {
                counted.fetch_add(frames.read(&buffer[..length]), Ordering::Relaxed);
            }
        });
        Ok(Counter { count, socket: self.socket, thread })
    }
}

/// What a player has got.
pub struct Counter {
    count: Arc<AtomicU64>,
    socket: WebSocket<TcpStream>,
    thread: JoinHandle<()>,
}

impl Counter {
    pub fn get(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    pub fn end(self) -> Result<(), Failure> {
        self.socket.get_ref().shutdown(std::net::Shutdown::Both)?;
        self.thread.join().map_err(|_| "a player panicked".into())
    }
}

/// Counts whole frames of a server in a stream of bytes: RFC 6455 §5.2, without masks.
#[derive(Default)]
struct Frames {
    head: Vec<u8>,
    /// Bytes of a payload that have not come.
    left: usize,
}

impl Frames {
    fn read(&mut self, mut bytes: &[u8]) -> u64 {
        let mut whole = 0;
        while let Some((first, rest)) = bytes.split_first() {
            if self.left > 0 {
                let taken = self.left.min(bytes.len());
                bytes = &bytes[taken..];
                self.left -= taken;
                whole += u64::from(self.left == 0);
                continue;
            }
            self.head.push(*first);
            bytes = rest;
            let length = match self.head[..] {
                [_, length @ ..126] => usize::from(length),
                [_, 126, high, low] => usize::from(u16::from_be_bytes([high, low])),
                _ => continue,
            };
            self.head.clear();
            self.left = length;
            whole += u64::from(length == 0);
        }
        whole
    }
}

/// A connection to the backend port of a node.
pub struct Backend {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Backend {
    pub fn connect(address: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, buffer: vec![0; 64 * 1024] })
    }

    pub fn get(&mut self, path: &str) -> Result<serde_json::Value, Failure> {
        self.stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())?;
        let length = self.answer()?;
        let text = std::str::from_utf8(&self.buffer[..length])?;
        let (_, body) = text.split_once("\r\n\r\n").ok_or("a response has a body")?;
        Ok(serde_json::from_str(body)?)
    }

    /// The reactor that has this connection.
    pub fn reactor(&mut self) -> Result<u8, Failure> {
        Ok(self.get("/v1/stats")?["reactor"].as_u64().ok_or("stats name the reactor")?.try_into()?)
    }

    /// From the write of the request until each of the players has read the message; the answer is read after that.
    pub fn push<'a>(
        &mut self,
        target: &str,
        payload: &str,
        players: impl Iterator<Item = &'a mut Arrivals>,
    ) -> Result<Duration, Failure> {
        let length = payload.len();
        let request = format!(
            "POST /v1/push?{target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{payload}"
        );
        let start = Instant::now();
        self.stream.write_all(request.as_bytes())?;
        let took = arrivals::last(players)?.saturating_duration_since(start);
        let length = self.answer()?;
        assert!(self.buffer[..length].starts_with(b"HTTP/1.1 200"));
        Ok(took)
    }

    /// Reads one answer into the buffer; its length.
    fn answer(&mut self) -> Result<usize, Failure> {
        let mut length = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[length..])?;
            if read == 0 {
                return Err("the node has closed the connection".into());
            }
            length += read;
            let text = String::from_utf8_lossy(&self.buffer[..length]);
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let body_length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            });
            if body.len() >= body_length.unwrap_or(0) {
                return Ok(length);
            }
        }
    }
}
