//! The connections of one load thread on one epoll: opened, read and written in turns. What is sent when, and what comes
//! of what is read, is the [`Handler`]'s.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use mio::event::Event;
use mio::{Events, Interest, Poll, Token};

use super::client::{Client, Drained, Failure, Incoming, READS_A_TURN, Sender};
use super::clock::{Clock, Nanos, SECOND, Timer};
use super::error::{BenchError, Lost};
use super::pipeline::Pipeline;
use super::publisher::Publisher;
use super::stream::Stream;
use super::target::Target;
use crate::protocol::handshake::Request;
use crate::protocol::{CloseCode, Limits};

/// One buffer for all reads.
const READ_BYTES: usize = 256 * 1024;
const EVENTS_A_TURN: usize = 1024;
const TIMER: Token = Token(usize::MAX);
/// Publishers have the tokens from here on.
const FIRST_PUBLISHER: usize = 1 << 40;
/// And pipelines from here on.
const FIRST_PIPELINE: usize = 1 << 41;
/// Handshakes under way at a time while a fleet is opened: well within a listener's queue.
const HANDSHAKES: usize = 64;
/// For so long something must move while connections are opened or warmed.
const PATIENCE: Nanos = 20 * SECOND;
/// What the servers may send.
const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// What is done with what happens. A slot is a connection's place in its fleet, from 0.
pub trait Handler {
    /// A message came, read at `now`.
    fn message(&mut self, slot: usize, payload: &[u8], sender: Sender<'_>, now: Nanos);

    /// The connection is open.
    fn opened(&mut self, _slot: usize, _now: Nanos) {}

    /// The connection did not open.
    ///
    /// # Errors
    /// What ends the run; by default, any failure does.
    fn refused(&mut self, _slot: usize, error: BenchError) -> Result<(), BenchError> {
        Err(error)
    }

    /// The connection was open and is gone; `code` is that of the server's Close, if one came that has a code.
    fn lost(&mut self, _slot: usize, _code: Option<CloseCode>) {}

    /// A request on pipeline `number` was answered.
    fn answered(&mut self, _number: usize, _status: u16, _body: &[u8]) {}
}

/// What a fleet is made for.
#[derive(Debug, Clone, Copy)]
pub struct FleetPlan<'a> {
    /// Where it connects to.
    pub target: &'a Target,
    /// The number of its first connection, and the step to the next: threads share the numbers.
    pub first_number: usize,
    /// See `first_number`.
    pub step: usize,
    /// Whether it never sleeps.
    pub spin: bool,
    /// The time of the run.
    pub clock: Clock,
}

/// A thread's connections.
pub struct Fleet<'a> {
    plan: FleetPlan<'a>,
    poll: Poll,
    events: Events,
    timer: Timer,
    clients: Vec<Option<Client>>,
    publishers: Vec<Publisher>,
    pipelines: Vec<Pipeline>,
    /// Connections that are read by [`Fleet::sip`] alone.
    sipping: HashSet<usize>,
    limits: Arc<Limits>,
    buffer: Vec<u8>,
    /// Have had their turn and may have more to read.
    unread: Vec<usize>,
    /// Have something queued by [`Fleet::send`].
    dirty: Vec<usize>,
    opened: usize,
    lost: u64,
    /// The first connection that was open and is gone.
    first_lost: Option<Lost>,
}

impl<'a> Fleet<'a> {
    /// A fleet without connections.
    pub fn new(plan: FleetPlan<'a>) -> Result<Self, BenchError> {
        let poll = Poll::new().map_err(BenchError::System)?;
        let timer = Timer::new(&poll, TIMER).map_err(BenchError::System)?;
        let limits = Limits {
            max_frame_bytes: MAX_MESSAGE_BYTES,
            max_message_bytes: MAX_MESSAGE_BYTES,
            ..Limits::default()
        };
        Ok(Self {
            plan,
            poll,
            events: Events::with_capacity(EVENTS_A_TURN),
            timer,
            clients: Vec::new(),
            publishers: Vec::new(),
            pipelines: Vec::new(),
            sipping: HashSet::new(),
            limits: Arc::new(limits),
            buffer: vec![0; READ_BYTES],
            unread: Vec::new(),
            dirty: Vec::new(),
            opened: 0,
            lost: 0,
            first_lost: None,
        })
    }

    /// The time.
    pub fn now(&self) -> Nanos {
        self.plan.clock.now()
    }

    /// Connections that are open.
    pub fn open_count(&self) -> usize {
        self.opened
    }

    /// Connections that were open and are gone.
    pub fn lost_count(&self) -> u64 {
        self.lost
    }

    /// The first connection that was open and is gone.
    pub fn first_lost(&self) -> Option<&Lost> {
        self.first_lost.as_ref()
    }

    /// That every connection is gone, and how the first one went.
    pub fn all_lost(&self) -> BenchError {
        BenchError::AllLost { first: self.first_lost.clone() }
    }

    /// Adds a publishing connection.
    pub fn add_publisher(&mut self, mut publisher: Publisher) -> Result<(), BenchError> {
        let token = Token(FIRST_PUBLISHER + self.publishers.len());
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(publisher.stream(), token, interest).map_err(BenchError::System)?;
        publisher.flush()?;
        self.publishers.push(publisher);
        Ok(())
    }

    /// The publishing connections.
    pub fn publishers(&mut self) -> &mut [Publisher] {
        &mut self.publishers
    }

    /// Adds a connection for HTTP requests; its number counts from 0.
    pub fn add_pipeline(&mut self, mut pipeline: Pipeline) -> Result<(), BenchError> {
        let token = Token(FIRST_PIPELINE + self.pipelines.len());
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(pipeline.stream(), token, interest).map_err(BenchError::System)?;
        self.pipelines.push(pipeline);
        Ok(())
    }

    /// The connections for HTTP requests; [`Fleet::flush`] writes what is queued on them.
    pub fn pipelines(&mut self) -> &mut [Pipeline] {
        &mut self.pipelines
    }

    /// Closes the connections for HTTP requests.
    pub fn drop_pipelines(&mut self) {
        self.pipelines.clear();
    }

    /// Begins connection `slot`.
    pub fn open(&mut self, slot: usize) -> Result<(), BenchError> {
        let number = self.number(slot);
        let failed = |error| BenchError::Connect { number, error };
        let target = self.plan.target;
        let request = Request {
            host: &target.host,
            path: &target.path(number),
            subprotocols: &[],
            extensions: None,
            headers: &[],
        };
        self.dial(slot, target.connect(number).map_err(failed)?, &request)
    }

    /// Begins connection `slot` on a stream to anywhere.
    pub fn dial(&mut self, slot: usize, stream: Stream, request: &Request<'_>) -> Result<(), BenchError> {
        let number = self.number(slot);
        let mut client = Client::start(stream, request)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered = self.poll.registry().register(client.stream(), Token(slot), interest);
        registered.map_err(|error| BenchError::Connect { number, error })?;
        if self.clients.len() <= slot {
            self.clients.resize_with(slot + 1, || None);
        }
        client.flush().map_err(|failure| failure.in_handshake(number))?;
        self.clients[slot] = Some(client);
        Ok(())
    }

    /// Opens connections until there are `count`; `progress` hears of each, and `is_ready` says when the handler has all
    /// it needs of them.
    pub fn open_all<H: Handler>(
        &mut self,
        count: usize,
        handler: &mut H,
        is_ready: impl Fn(&H) -> bool,
        mut progress: impl FnMut(usize),
    ) -> Result<(), BenchError> {
        let mut begun = 0;
        let mut told = 0;
        let mut patience = Patience::new("connecting", count, self.now());
        while self.opened < count || !is_ready(handler) {
            while begun < count && begun < self.opened + HANDSHAKES {
                self.open(begun)?;
                begun += 1;
            }
            self.turn(self.now() + SECOND / 10, handler)?;
            if let Some(first) = &self.first_lost {
                return Err(BenchError::Lost(first.clone()));
            }
            progress(self.opened - told);
            told = self.opened;
            patience.check(self.opened, self.now())?;
        }
        Ok(())
    }

    /// Queues a message on a connection, if it is open; [`Fleet::flush`] writes it.
    pub fn send(&mut self, slot: usize, payload: &str, binary: bool) {
        let Some(Some(client)) = self.clients.get_mut(slot) else { return };
        client.send(payload, binary);
        self.dirty.push(slot);
    }

    /// The same with a binary message.
    pub fn send_bytes(&mut self, slot: usize, payload: &[u8]) {
        let Some(Some(client)) = self.clients.get_mut(slot) else { return };
        client.send_bytes(payload);
        self.dirty.push(slot);
    }

    /// Queues a Close with code 1000. The connection is read until the server ends it: what was sent before the Close is
    /// surely taken, where [`Fleet::close`] may lose it to a reset.
    pub fn leave(&mut self, slot: usize) {
        let Some(Some(client)) = self.clients.get_mut(slot) else { return };
        client.close(Some(CloseCode::NORMAL));
        self.dirty.push(slot);
    }

    /// Ends a connection without a word.
    pub fn cut(&mut self, slot: usize) {
        drop(self.take_out(slot));
    }

    /// Takes a connection out, if there is one: nobody reads it from now on.
    pub fn take_out(&mut self, slot: usize) -> Option<Client> {
        let mut client = self.clients.get_mut(slot).and_then(Option::take)?;
        self.opened -= usize::from(client.is_open());
        // One that the poll does not know any more has no events either.
        let _ = self.poll.registry().deregister(client.stream());
        Some(client)
    }

    /// Whether a connection is read by [`Fleet::sip`] alone, once it is open.
    pub fn set_sipping(&mut self, slot: usize, sips: bool) {
        match sips {
            true => self.sipping.insert(slot),
            false => self.sipping.remove(&slot),
        };
    }

    /// Reads at most so many bytes from a connection, if there are any.
    pub fn sip<H: Handler>(&mut self, slot: usize, most: usize, handler: &mut H) -> Result<(), BenchError> {
        self.read_some(slot, 1, most, handler).map(drop)
    }

    /// Reads all that there is on a connection that is no longer sipped from.
    pub fn catch_up<H: Handler>(&mut self, slot: usize, handler: &mut H) -> Result<(), BenchError> {
        self.read(slot, handler)
    }

    /// Bytes that wait on a connection; none on one that is gone.
    pub fn queued(&self, slot: usize) -> usize {
        self.clients.get(slot).and_then(Option::as_ref).map_or(0, Client::queued)
    }

    /// Whether a connection is open.
    pub fn is_open(&self, slot: usize) -> bool {
        self.clients.get(slot).and_then(Option::as_ref).is_some_and(Client::is_open)
    }

    /// Writes what was queued since the last time.
    pub fn flush<H: Handler>(&mut self, handler: &mut H) -> Result<(), BenchError> {
        for publisher in &mut self.publishers {
            publisher.flush()?;
        }
        for pipeline in &mut self.pipelines {
            pipeline.flush().map_err(BenchError::Publisher)?;
        }
        let mut dirty = std::mem::take(&mut self.dirty);
        for slot in dirty.drain(..) {
            let Some(Some(client)) = self.clients.get_mut(slot) else { continue };
            if let Err(failure) = client.flush() {
                self.fail(slot, failure, handler)?;
            }
        }
        self.dirty = dirty;
        Ok(())
    }

    /// Ends a connection, with a Close where the server can still hear it.
    pub fn close(&mut self, slot: usize) {
        let Some(mut client) = self.clients.get_mut(slot).and_then(Option::take) else { return };
        self.opened -= usize::from(client.is_open());
        client.close(None);
        // It is gone either way.
        let _ = client.flush();
    }

    /// Ends every connection.
    pub fn close_all(&mut self) {
        (0..self.clients.len()).for_each(|slot| self.close(slot));
    }

    /// Waits for something to happen, until `until` at most, and does it.
    pub fn turn<H: Handler>(&mut self, until: Nanos, handler: &mut H) -> Result<(), BenchError> {
        let may_sleep = self.unread.is_empty() && !self.plan.spin;
        let wait = if may_sleep { until.saturating_sub(self.now()) } else { 0 };
        let timeout = self.timer.arm(wait).map_err(BenchError::System)?;
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            outcome => outcome.map_err(BenchError::System)?,
        }
        for slot in std::mem::take(&mut self.unread) {
            self.read(slot, handler)?;
        }
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let outcome = events.iter().try_for_each(|event| self.handle(event, handler));
        self.events = events;
        outcome
    }

    fn number(&self, slot: usize) -> usize {
        self.plan.first_number + slot * self.plan.step
    }

    fn handle<H: Handler>(&mut self, event: &Event, handler: &mut H) -> Result<(), BenchError> {
        let Token(token) = event.token();
        if event.token() == TIMER {
            return Ok(());
        }
        if let Some(number) = token.checked_sub(FIRST_PIPELINE) {
            return self.read_pipeline(number, handler);
        }
        if let Some(publisher) = token.checked_sub(FIRST_PUBLISHER) {
            return match self.publishers.get_mut(publisher) {
                Some(publisher) => publisher.ready(&mut self.buffer, self.plan.clock),
                None => Ok(()),
            };
        }
        if event.is_writable()
            && let Some(Some(client)) = self.clients.get_mut(token)
            && let Err(failure) = client.flush()
        {
            return self.fail(token, failure, handler);
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.read(token, handler)?;
        }
        // What came before the end may have been less than a read takes: no other event says that the end is still to be read.
        let has_ended = event.is_read_closed() || event.is_error();
        if has_ended && self.is_there(token) && !self.unread.contains(&token) {
            self.unread.push(token);
        }
        Ok(())
    }

    fn is_there(&self, slot: usize) -> bool {
        self.clients.get(slot).is_some_and(Option::is_some)
    }

    fn read<H: Handler>(&mut self, slot: usize, handler: &mut H) -> Result<(), BenchError> {
        let is_sipped = self.sipping.contains(&slot) && self.is_open(slot);
        if !is_sipped && self.read_some(slot, READS_A_TURN, READ_BYTES, handler)? == Drained::No {
            self.unread.push(slot);
        }
        Ok(())
    }

    fn read_some<H: Handler>(
        &mut self,
        slot: usize,
        reads: usize,
        most: usize,
        handler: &mut H,
    ) -> Result<Drained, BenchError> {
        let Some(Some(client)) = self.clients.get_mut(slot) else { return Ok(Drained::Yes) };
        let (opened, limits, clock) = (&mut self.opened, &self.limits, self.plan.clock);
        let buffer = &mut self.buffer[..most.min(READ_BYTES)];
        let read = client.read_some(reads, buffer, limits, clock, |incoming, now| match incoming {
            Incoming::Opened => {
                *opened += 1;
                handler.opened(slot, now);
            }
            Incoming::Message(payload, sender) => handler.message(slot, payload, sender, now),
        });
        match read {
            Ok(drained) => Ok(drained),
            Err(failure) => self.fail(slot, failure, handler).map(|()| Drained::Yes),
        }
    }

    fn read_pipeline<H: Handler>(&mut self, number: usize, handler: &mut H) -> Result<(), BenchError> {
        let Some(pipeline) = self.pipelines.get_mut(number) else { return Ok(()) };
        pipeline.flush().map_err(BenchError::Publisher)?;
        let is_over = pipeline.fill(&mut self.buffer).map_err(BenchError::Publisher)?;
        while let Some((status, body)) = pipeline.next_answer()? {
            handler.answered(number, status, &body);
        }
        match is_over {
            true => Err(BenchError::Publisher(io::ErrorKind::UnexpectedEof.into())),
            false => Ok(()),
        }
    }

    fn fail<H: Handler>(&mut self, slot: usize, failure: Failure, handler: &mut H) -> Result<(), BenchError> {
        let number = self.number(slot);
        let Some(client) = self.clients.get_mut(slot).and_then(Option::take) else { return Ok(()) };
        if !client.is_open() {
            return handler.refused(slot, failure.in_handshake(number));
        }
        self.opened -= 1;
        self.lost += 1;
        let close = if let Failure::Ended(close) = &failure { close.clone() } else { None };
        handler.lost(slot, close.as_ref().map(|(code, _)| *code));
        self.first_lost.get_or_insert(Lost { number, close });
        match failure {
            // No load can make a server break the protocol: it is wrong, and so would be the figures.
            Failure::Protocol(error) => Err(BenchError::Protocol(error)),
            _ => Ok(()),
        }
    }
}

/// Ends a stage in which nothing moves.
#[derive(Debug)]
pub struct Patience {
    stage: &'static str,
    of: usize,
    done: usize,
    since: Nanos,
}

impl Patience {
    /// A stage that should come to `of`.
    pub fn new(stage: &'static str, of: usize, now: Nanos) -> Self {
        Self { stage, of, done: 0, since: now }
    }

    /// Takes how far it has come.
    ///
    /// # Errors
    /// [`BenchError::Stalled`] when it has come no further for long.
    pub fn check(&mut self, done: usize, now: Nanos) -> Result<(), BenchError> {
        if done != self.done {
            (self.done, self.since) = (done, now);
        }
        if now - self.since > PATIENCE {
            return Err(BenchError::Stalled { stage: self.stage, done, of: self.of });
        }
        Ok(())
    }
}
