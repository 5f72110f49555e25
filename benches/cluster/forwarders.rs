//! The way of a push without gannet: a backend's bytes go through a thread that publishes them, Redis, and a thread that writes what it
//! hears to a player. So many threads have to wake whatever the two in the middle do; these do nothing else, and block.

use crate::Failure;
use crate::arrivals::{self, Arrivals};
use crate::redis::{Redis, message_length};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

const CHANNEL: &str = "forwarded";

/// A backend, two forwarders around Redis, a player. The forwarders end with the connections of the other two.
pub struct Forwarders {
    backend: TcpStream,
    player: [Arrivals; 1],
    request: Vec<u8>,
}

impl Forwarders {
    /// A request has as many bytes as a payload on the bus; a player gets as many as are pushed.
    pub fn connect(redis: &Redis, on_bus: &[u8], to_player: usize) -> Result<Self, Failure> {
        let (backend, mut requests) = connected()?;
        let mut publisher = redis.connect()?;
        let mut request = vec![0; on_bus.len()];
        thread::spawn(move || {
            while requests.read_exact(&mut request).is_ok() {
                let sent = publisher.send(&[b"PUBLISH", CHANNEL.as_bytes(), &request]);
                if sent.and_then(|()| publisher.line()).is_err() {
                    return;
                }
            }
        });

        let (mut player, mut pushes) = connected()?;
        let mut subscriber = redis.connect()?;
        subscriber.subscribe(&[CHANNEL.as_bytes()])?;
        subscriber.wait_for_ever()?;
        let length = message_length(CHANNEL, on_bus.len());
        thread::spawn(move || {
            while let Ok(message) = subscriber.exactly(length) {
                if pushes.write_all(&message[..to_player]).is_err() {
                    return;
                }
            }
        });
        let stream = player.try_clone()?;
        let mut payload = vec![0; to_player];
        let player = [Arrivals::of(stream, move || Ok(player.read_exact(&mut payload)?))?];
        Ok(Self { backend, player, request: on_bus.to_vec() })
    }

    /// From the write of the request until the player has read the message.
    pub fn push(&mut self) -> Result<Duration, Failure> {
        let start = Instant::now();
        self.backend.write_all(&self.request)?;
        Ok(arrivals::last(&mut self.player)?.saturating_duration_since(start))
    }
}

/// Both ends of a connection.
fn connected() -> Result<(TcpStream, TcpStream), Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let near = TcpStream::connect(listener.local_addr()?)?;
    let (far, _) = listener.accept()?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    Ok((near, far))
}
