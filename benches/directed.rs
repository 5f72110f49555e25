//! A push from a backend connection to a session on its own reactor, and to one on another: the medians side by side.
//!
//! `cargo bench --bench directed`: two reactors and this client in one process, on loopback; the two shapes alternate in
//! rounds, so that a drift of the machine's speed meets both.

use gannet::config::Config;
use gannet::session::SessionId;
use gannet::{Relay, Server};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use tungstenite::{Message, WebSocket};

/// The heap of the program.
#[global_allocator]
static HEAP: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const ROUNDS: usize = 10;
const PUSHES: usize = 500;
const WARM_UP: usize = 200;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config {
        listen: "127.0.0.1:0".parse()?,
        backend: gannet::config::Backend { listen: "127.0.0.1:0".parse()?, ..Default::default() },
        reactors: Some(2),
        ..Config::default()
    };
    let server = Server::bind(config)?;
    let (client_addr, backend_addr) = (server.client_addr(), server.backend_addr());
    let stopper = server.stopper();
    let running =
        std::thread::spawn(move || server.run(|_| Box::new(Relay)).map_err(|error| error.to_string()));

    let mut backend = Backend::connect(backend_addr)?;
    let home = backend.reactor()?;
    let mut players = [Player::connect(client_addr)?, Player::connect(client_addr)?];
    players.sort_by_key(|player| player.id.worker() != home);
    let [same, other] = &mut players;
    assert_eq!(same.id.worker(), home, "two connections are spread over two reactors");
    assert_ne!(other.id.worker(), home, "two connections are spread over two reactors");

    let (mut within, mut across) = (Vec::new(), Vec::new());
    for _ in 0..WARM_UP {
        backend.push(same)?;
        backend.push(other)?;
    }
    for _ in 0..ROUNDS {
        for _ in 0..PUSHES {
            within.push(backend.push(same)?);
        }
        for _ in 0..PUSHES {
            across.push(backend.push(other)?);
        }
    }
    let (within, across) = (median(within), median(across));
    println!("pushes a shape                     {}", ROUNDS * PUSHES);
    println!("median on one reactor              {:8.1} us", within.as_secs_f64() * 1e6);
    println!("median from one to another         {:8.1} us", across.as_secs_f64() * 1e6);
    println!("ratio                              {:8.2}", across.as_secs_f64() / within.as_secs_f64());
    stopper.stop();
    drop(players);
    drop(backend);
    running.join().map_err(|_| "the server panicked")??;
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

struct Player {
    id: SessionId,
    socket: WebSocket<TcpStream>,
}

impl Player {
    fn connect(address: SocketAddr) -> Result<Self, Box<dyn std::error::Error>> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let (mut socket, _) = tungstenite::client(format!("ws://{address}/ws"), stream)?;
        let welcome = socket.read()?.into_text()?;
        let welcome: serde_json::Value = serde_json::from_str(&welcome)?;
        let id = welcome["session"].as_str().ok_or("the welcome names the session")?.parse()?;
        Ok(Self { id, socket })
    }
}

struct Backend {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Backend {
    fn connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 64 * 1024] })
    }

    fn reactor(&mut self) -> Result<u8, Box<dyn std::error::Error>> {
        self.stream.write_all(b"GET /v1/stats HTTP/1.1\r\nHost: bench\r\n\r\n")?;
        let length = self.stream.read(&mut self.buffer)?;
        let text = std::str::from_utf8(&self.buffer[..length])?;
        let (_, body) = text.split_once("\r\n\r\n").ok_or("a response has a body")?;
        let stats: serde_json::Value = serde_json::from_str(body)?;
        Ok(stats["reactor"].as_u64().ok_or("stats name the reactor")?.try_into()?)
    }

    /// From the write of the request to the read of the message by the player; the answer is read after that.
    fn push(&mut self, player: &mut Player) -> Result<Duration, Box<dyn std::error::Error>> {
        let payload = "sixty-four bytes of a move in a game, as any of them is sent here";
        let request = format!(
            "POST /v1/push?session={} HTTP/1.1\r\nHost: bench\r\nContent-Length: {}\r\n\r\n{payload}",
            player.id,
            payload.len()
        );
        let start = Instant::now();
        self.stream.write_all(request.as_bytes())?;
        let message = player.socket.read()?;
        let took = start.elapsed();
        assert_eq!(message, Message::text(payload));
        let length = self.stream.read(&mut self.buffer)?;
        assert!(self.buffer[..length].starts_with(b"HTTP/1.1 200"));
        Ok(took)
    }
}
