//! The floor of a directed push across threads: one thread reads what is published and rings an eventfd, another writes it
//! to the client. `POST /7` on the second address goes to the client that came to `/7` on the first; `POST /all` goes to all
//! of them, which makes it the floor of a fan-out as well. Nothing is checked.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};

use gannet_peers::{floor, publish, upgrade};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};

const LISTENER: Token = Token(usize::MAX);
/// The eventfd: mio's waker is one on Linux.
const WAKER: Token = Token(usize::MAX - 1);
const BUFFER_BYTES: usize = 64 * 1024;

/// To whom, and the frame; `None` for all.
type Push = (Option<usize>, Vec<u8>);

fn main() -> io::Result<()> {
    let [clients, publishers] = gannet_peers::addresses("floor-push CLIENT_ADDR PUBLISH_ADDR");
    let poll = Poll::new()?;
    let waker = Waker::new(poll.registry(), WAKER)?;
    let (sender, receiver) = channel();
    let clients_listener = TcpListener::bind(clients)?;
    let writer = std::thread::spawn(move || Deliverer::default().run(poll, clients_listener, &receiver));
    accept_publishes(publishers, &sender, &waker)?;
    writer.join().map_err(|_| io::Error::other("the other thread panicked"))?
}

/// The first thread: publishes in, answers out, the other thread rung for.
fn accept_publishes(address: SocketAddr, to: &Sender<Push>, waker: &Waker) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(address)?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("ready");
    let mut connections = Connections::default();
    let mut events = Events::with_capacity(64);
    loop {
        wait(&mut poll, &mut events)?;
        for event in &events {
            let Token(slot) = event.token();
            if event.token() == LISTENER {
                connections.accept(&listener, &poll)?;
                continue;
            }
            let mut answers = Vec::new();
            let read = connections.read(slot, event.is_read_closed(), |input| {
                while let Some((head, body)) = publish::request(input) {
                    let session = upgrade::path(head).and_then(|path| path[1..].parse().ok());
                    let mut frame = Vec::with_capacity(body.len() + 10);
                    floor::append_frame(0x82, body, &mut frame);
                    // The other thread ends with this one.
                    let _ = to.send((session, frame));
                    answers.extend_from_slice(publish::ANSWER);
                    let taken = head.len() + body.len();
                    input.drain(..taken);
                }
            });
            // The push goes before its answer.
            if !answers.is_empty() {
                waker.wake()?;
            }
            connections.finish(slot, read, &answers);
        }
    }
}

/// The second thread.
#[derive(Default)]
struct Deliverer {
    connections: Connections,
    /// Slot of each session.
    slots: HashMap<usize, usize>,
}

impl Deliverer {
    fn run(&mut self, mut poll: Poll, mut listener: TcpListener, from: &Receiver<Push>) -> io::Result<()> {
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let mut events = Events::with_capacity(1024);
        loop {
            wait(&mut poll, &mut events)?;
            for event in &events {
                match event.token() {
                    WAKER => from.try_iter().for_each(|push| self.deliver(push)),
                    LISTENER => self.connections.accept(&listener, &poll)?,
                    Token(slot) => self.upgrade(slot, event.is_read_closed()),
                }
            }
        }
    }

    fn deliver(&mut self, (session, frame): Push) {
        match session {
            Some(session) => {
                if let Some(&slot) = self.slots.get(&session) {
                    self.connections.write(slot, &frame);
                }
            }
            None => (0..self.connections.streams.len()).for_each(|slot| self.connections.write(slot, &frame)),
        }
    }

    fn upgrade(&mut self, slot: usize, is_ending: bool) {
        let mut answer = Vec::new();
        let slots = &mut self.slots;
        let read = self.connections.read(slot, is_ending, |input| {
            if let Some(length) = upgrade::head_length(input) {
                let head = &input[..length];
                if let Some(session) = upgrade::path(head).and_then(|path| path[1..].parse().ok()) {
                    slots.insert(session, slot);
                }
                answer = upgrade::answer(head).unwrap_or_default();
            }
            // Frames of clients say nothing here.
            input.clear();
        });
        self.connections.finish(slot, read, &answer);
    }
}

/// Sockets and what was read of them.
struct Connections {
    buffer: Vec<u8>,
    streams: Vec<Option<TcpStream>>,
    inputs: Vec<Vec<u8>>,
    free: Vec<usize>,
}

impl Default for Connections {
    fn default() -> Self {
        Self { buffer: vec![0; BUFFER_BYTES], streams: Vec::new(), inputs: Vec::new(), free: Vec::new() }
    }
}

impl Connections {
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
                self.inputs.push(Vec::new());
                self.streams.len() - 1
            });
            poll.registry().register(&mut stream, Token(slot), Interest::READABLE)?;
            self.streams[slot] = Some(stream);
        }
    }

    /// Reads all there is and hands over all that is not used yet; `false` at the end of the stream.
    fn read(&mut self, slot: usize, is_ending: bool, on: impl FnOnce(&mut Vec<u8>)) -> bool {
        let Some(stream) = &mut self.streams[slot] else { return true };
        let goes_on = loop {
            match stream.read(&mut self.buffer) {
                Ok(0) => break false,
                Ok(count) => {
                    self.inputs[slot].extend_from_slice(&self.buffer[..count]);
                    // A short read means that there is no more, but for the end.
                    if count < self.buffer.len() && !is_ending {
                        break true;
                    }
                }
                Err(error) => break error.kind() == io::ErrorKind::WouldBlock,
            }
        };
        on(&mut self.inputs[slot]);
        goes_on
    }

    fn finish(&mut self, slot: usize, goes_on: bool, answer: &[u8]) {
        if !answer.is_empty() {
            self.write(slot, answer);
        }
        if !goes_on && self.streams[slot].take().is_some() {
            self.inputs[slot] = Vec::new();
            self.free.push(slot);
        }
    }

    /// What the socket does not take is lost: a floor keeps no queue.
    fn write(&mut self, slot: usize, bytes: &[u8]) {
        if let Some(stream) = &mut self.streams[slot] {
            let _ = stream.write(bytes);
        }
    }
}

fn wait(poll: &mut Poll, events: &mut Events) -> io::Result<()> {
    match poll.poll(events, None) {
        Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
        _ => Ok(()),
    }
}
