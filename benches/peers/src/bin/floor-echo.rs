//! The floor of an echo server: one thread, one epoll, no checks, one write a read, frames turned round where they lie. What a
//! server costs beyond this is what it does for its users.

use std::collections::HashMap;
use std::io::{self, Read, Write};

use gannet_peers::{floor, upgrade};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(usize::MAX);
const BUFFER_BYTES: usize = 256 * 1024;

fn main() -> io::Result<()> {
    let [address] = gannet_peers::addresses("floor-echo ADDR");
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(address)?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("ready");
    let mut server = Server::default();
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut events = Events::with_capacity(1024);
    loop {
        if let Err(error) = poll.poll(&mut events, None)
            && error.kind() != io::ErrorKind::Interrupted
        {
            return Err(error);
        }
        for event in &events {
            match event.token() {
                LISTENER => server.accept(&listener, &poll)?,
                Token(slot) => {
                    if server.ready(slot, &mut buffer, event.is_read_closed()).is_err() {
                        server.close(slot);
                    }
                }
            }
        }
    }
}

#[derive(Default)]
struct Server {
    streams: Vec<Option<TcpStream>>,
    is_open: Vec<bool>,
    free: Vec<usize>,
    /// What was read of a head or of a frame, of the few connections that have a part of one.
    partial: HashMap<usize, Vec<u8>>,
    /// What a socket did not take.
    unwritten: HashMap<usize, Vec<u8>>,
}

impl Server {
    fn accept(&mut self, listener: &TcpListener, poll: &Poll) -> io::Result<()> {
        loop {
            let mut stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            let slot = self.free.pop().unwrap_or_else(|| {
                self.streams.push(None);
                self.is_open.push(false);
                self.streams.len() - 1
            });
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut stream, Token(slot), interest)?;
            self.streams[slot] = Some(stream);
        }
    }

    fn close(&mut self, slot: usize) {
        if self.streams[slot].take().is_some() {
            self.is_open[slot] = false;
            self.partial.remove(&slot);
            self.unwritten.remove(&slot);
            self.free.push(slot);
        }
    }

    fn ready(&mut self, slot: usize, buffer: &mut [u8], is_ending: bool) -> io::Result<()> {
        let Some(stream) = &mut self.streams[slot] else { return Ok(()) };
        if !self.unwritten.is_empty()
            && let Some(rest) = self.unwritten.remove(&slot)
        {
            write(stream, &rest, slot, &mut self.unwritten)?;
        }
        loop {
            let kept = if self.partial.is_empty() { None } else { self.partial.remove(&slot) };
            let start = kept.as_ref().map_or(0, Vec::len);
            if let Some(kept) = kept {
                buffer[..start].copy_from_slice(&kept);
            }
            let count = match stream.read(&mut buffer[start..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if start > 0 {
                        self.partial.insert(slot, buffer[..start].to_vec());
                    }
                    return Ok(());
                }
                Err(error) => return Err(error),
            };
            let end = start + count;
            let left = if self.is_open[slot] {
                let (answer, used) = floor::echo_in_place(&mut buffer[..end]);
                write(stream, &buffer[answer], slot, &mut self.unwritten)?;
                used..end
            } else if let Some(head) = upgrade::head_length(&buffer[..end]) {
                let answer = upgrade::answer(&buffer[..head]).ok_or(io::ErrorKind::InvalidData)?;
                write(stream, &answer, slot, &mut self.unwritten)?;
                self.is_open[slot] = true;
                head..end
            } else {
                0..end
            };
            if !left.is_empty() {
                self.partial.insert(slot, buffer[left].to_vec());
            }
            // A short read means that there is no more, but for the end.
            if end < buffer.len() && !is_ending {
                return Ok(());
            }
        }
    }
}

fn write(
    stream: &mut TcpStream,
    mut bytes: &[u8],
    slot: usize,
    unwritten: &mut HashMap<usize, Vec<u8>>,
) -> io::Result<()> {
    if !unwritten.is_empty()
        && let Some(queue) = unwritten.get_mut(&slot)
    {
        queue.extend_from_slice(bytes);
        return Ok(());
    }
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                unwritten.insert(slot, bytes.to_vec());
                return Ok(());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
