//! Thousands of players on one thread and one poll. Each message is handed to the test's `read` once and what that makes
//! of it is kept, in the order of arrival.

use super::player::{closed, is_end, is_timeout, reset_on_drop};
use super::tls::TlsStream;
use super::{DEADLINE, End, Player};
use gannet::session::SessionId;
use mio::{Events, Interest, Poll, Token, Waker};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;
use tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};
use tungstenite::{Error, Message, WebSocket};

const WAKE: Token = Token(usize::MAX);

/// What has come to one player.
#[derive(Debug)]
pub struct Log<T> {
    /// Its session.
    pub id: SessionId,
    /// What `read` made of its messages.
    pub messages: Vec<T>,
    /// Pings that it has answered.
    pub pings: usize,
    /// Whether something has come that it is held back from reading: see [`Pool::hold`].
    pub unread: bool,
    /// How its connection ended, once it has.
    pub end: Option<End>,
}

/// A stream over TCP.
pub trait OverTcp: Read + Write + Send + 'static {
    /// The socket.
    fn tcp(&self) -> &TcpStream;
}

impl OverTcp for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl OverTcp for TlsStream {
    fn tcp(&self) -> &TcpStream {
        &self.sock
    }
}

/// See the module. Dropping it drops every connection.
pub struct Pool<T, S = TcpStream> {
    shared: Arc<Shared<T>>,
    commands: Option<Sender<Command<S>>>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    logs: Vec<Log<T>>,
    /// The thread has ended, most likely by a panic in `read`.
    over: bool,
}

enum Command<S> {
    Add(usize, Box<Player<S>>),
    Send(usize, Message),
    Close(usize, u16),
    Drop(usize),
    Reset(usize),
    Hold,
    Release,
}

impl<T: Send + 'static, S: OverTcp> Pool<T, S> {
    /// A pool without players.
    pub fn new(read: impl FnMut(SessionId, Message) -> T + Send + 'static) -> Self {
        let poll = Poll::new().unwrap();
        let waker = Waker::new(poll.registry(), WAKE).unwrap();
        let (sender, receiver) = mpsc::channel();
        let state = State { logs: Vec::new(), over: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let driver =
            Driver { poll, sockets: Vec::new(), is_held: false, read, shared: Arc::clone(&shared), receiver };
        let thread = thread::Builder::new().name("pool".to_owned()).spawn(|| driver.run()).unwrap();
        Self { shared, commands: Some(sender), waker, thread: Some(thread) }
    }

    /// Takes over a player; gives its index.
    pub fn add(&self, player: Player<S>) -> usize {
        let mut state = self.lock();
        let index = state.logs.len();
        state.logs.push(Log { id: player.id, messages: Vec::new(), pings: 0, unread: false, end: None });
        drop(state);
        self.command(Command::Add(index, Box::new(player)));
        index
    }

    /// The player sends a message.
    pub fn send(&self, index: usize, message: Message) {
        self.command(Command::Send(index, message));
    }

    /// The player starts the closing handshake with `code`.
    pub fn close(&self, index: usize, code: u16) {
        self.command(Command::Close(index, code));
    }

    /// The player vanishes with a FIN, or a RST where the kernel still holds bytes for it.
    pub fn vanish(&self, index: usize) {
        self.command(Command::Drop(index));
    }

    /// The player vanishes with a RST.
    pub fn reset(&self, index: usize) {
        self.command(Command::Reset(index));
    }

    /// No player reads from now on, so that none answers a ping either.
    pub fn hold(&self) {
        self.command(Command::Hold);
    }

    /// The players read again: first what has come while they were held.
    pub fn release(&self) {
        self.command(Command::Release);
    }

    /// Waits until `enough` says so of the logs, by index.
    pub fn wait(&self, what: &str, mut enough: impl FnMut(&[Log<T>]) -> bool) {
        let started = Instant::now();
        let mut state = self.lock();
        while !enough(&state.logs) {
            assert!(!state.over, "the pool has failed, waiting for {what}");
            let left = DEADLINE.checked_sub(started.elapsed());
            let left = left.unwrap_or_else(|| panic!("{what} did not come about in {DEADLINE:?}"));
            (state, _) =
                self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Looks at the logs.
    pub fn look<R>(&self, look: impl FnOnce(&[Log<T>]) -> R) -> R {
        look(&self.lock().logs)
    }

    /// Drops every connection and gives the logs.
    pub fn finish(mut self) -> Vec<Log<T>> {
        self.end();
        let mut state = self.lock();
        std::mem::take(&mut state.logs)
    }

    fn end(&mut self) {
        self.commands = None;
        self.waker.wake().unwrap();
        let ended = self.thread.take().map_or(Ok(()), JoinHandle::join);
        assert!(ended.is_ok() || thread::panicking(), "the pool has failed");
    }

    fn command(&self, command: Command<S>) {
        let commands = self.commands.as_ref().unwrap();
        commands.send(command).unwrap_or_else(|_| panic!("the pool has failed"));
        self.waker.wake().unwrap();
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T, S> Drop for Pool<T, S> {
    fn drop(&mut self) {
        self.commands = None;
        // The thread sees the end of the commands, if it still runs.
        let _ = self.waker.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The thread's side.
struct Driver<T, R, S> {
    poll: Poll,
    sockets: Vec<Option<Socket<S>>>,
    is_held: bool,
    read: R,
    shared: Arc<Shared<T>>,
    receiver: Receiver<Command<S>>,
}

struct Socket<S> {
    id: SessionId,
    socket: WebSocket<S>,
    end: End,
}

/// Says that the thread has ended, even by a panic.
struct Over<T>(Arc<Shared<T>>);

impl<T> Drop for Over<T> {
    fn drop(&mut self) {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).over = true;
        self.0.changed.notify_all();
    }
}

impl<T, R: FnMut(SessionId, Message) -> T, S: OverTcp> Driver<T, R, S> {
    fn run(mut self) {
        let _over = Over(Arc::clone(&self.shared));
        let mut events = Events::with_capacity(1024);
        loop {
            match self.poll.poll(&mut events, None) {
                // A process that was stopped goes on: the events of before are done.
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled.unwrap(),
            }
            for event in &events {
                match event.token() {
                    WAKE => {}
                    Token(index) if self.is_held => self.keep_unread(index, event.is_readable()),
                    Token(index) => self.ready(index),
                }
            }
            loop {
                match self.receiver.try_recv() {
                    Ok(command) => self.obey(command),
                    Err(mpsc::TryRecvError::Empty) => break,
                    Err(mpsc::TryRecvError::Disconnected) => return,
                }
            }
            self.shared.changed.notify_all();
        }
    }

    fn obey(&mut self, command: Command<S>) {
        match command {
            Command::Add(index, player) => self.add(index, *player),
            Command::Send(index, message) => self.act(index, |socket| socket.send(message)),
            Command::Close(index, code) => {
                let frame = CloseFrame { code: CloseCode::from(code), reason: "".into() };
                self.act(index, |socket| socket.close(Some(frame)));
            }
            Command::Drop(index) => self.ended(index),
            Command::Reset(index) => {
                if let Some(socket) = &self.sockets[index] {
                    reset_on_drop(socket.socket.get_ref().tcp());
                }
                self.ended(index);
            }
            Command::Hold => self.is_held = true,
            Command::Release => {
                self.is_held = false;
                (0..self.sockets.len()).for_each(|index| self.ready(index));
            }
        }
    }

    fn add(&mut self, index: usize, player: Player<S>) {
        let Player { id, socket, .. } = player;
        socket.get_ref().tcp().set_nonblocking(true).unwrap();
        let descriptor = socket.get_ref().tcp().as_raw_fd();
        let interest = Interest::READABLE | Interest::WRITABLE;
        let mut source = mio::unix::SourceFd(&descriptor);
        self.poll.registry().register(&mut source, Token(index), interest).unwrap();
        self.sockets.resize_with(self.sockets.len().max(index + 1), || None);
        self.sockets[index] = Some(Socket { id, socket, end: End::Lost });
        // What tungstenite or the kernel has already is reported by no event of ours.
        self.ready(index);
    }

    fn act(&mut self, index: usize, act: impl FnOnce(&mut WebSocket<S>) -> Result<(), Error>) {
        let Some(socket) = &mut self.sockets[index] else { return };
        match act(&mut socket.socket) {
            Ok(()) => {}
            Err(Error::Io(error)) if is_timeout(&error) => {}
            Err(error) if is_end(&error) => self.ended(index),
            Err(error) => panic!("{}: {error}", socket.id),
        }
    }

    fn keep_unread(&mut self, index: usize, is_readable: bool) {
        if is_readable {
            self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).logs[index].unread = true;
        }
    }

    /// Edge-triggered: reads until there is nothing more.
    fn ready(&mut self, index: usize) {
        let Some(socket) = &mut self.sockets[index] else { return };
        let (mut got, mut pings) = (Vec::new(), 0);
        let ended = loop {
            match socket.socket.read() {
                Ok(message @ (Message::Text(_) | Message::Binary(_))) => {
                    got.push((self.read)(socket.id, message));
                }
                Ok(Message::Close(frame)) => socket.end = closed(frame),
                Ok(Message::Ping(_)) => pings += 1,
                Ok(_) => {}
                Err(Error::Io(error)) if is_timeout(&error) => break false,
                Err(error) if is_end(&error) => break true,
                Err(error) => panic!("{}: {error}", socket.id),
            }
        };
        match socket.socket.flush() {
            Ok(()) => {}
            Err(Error::Io(error)) if is_timeout(&error) => {}
            Err(error) if is_end(&error) => {}
            Err(error) => panic!("{}: {error}", socket.id),
        }
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        let log = &mut state.logs[index];
        log.messages.extend(got);
        log.pings += pings;
        log.unread = false;
        drop(state);
        if ended {
            self.ended(index);
        }
    }

    fn ended(&mut self, index: usize) {
        if let Some(socket) = self.sockets[index].take() {
            let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.logs[index].end = Some(socket.end);
        }
    }
}
