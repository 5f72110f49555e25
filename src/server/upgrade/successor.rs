//! The new process's side of an upgrade: everything arrives, and nothing is read or written before it is this process's.

use super::state::{CarriedServer, CarriedSetup, FORMATS, SERVER_PART, SETUP_PART, decode, unpack};
use crate::auth::{RemoteSets, Tickets, Wanted};
use crate::config::Config;
use crate::core::{AskedBy, Envelope, Rules, RulesError, Shared, UpgradeReport};
use crate::dispatch::Unpacker;
use crate::gateway::upgraded;
use crate::reactor::{Arrivals, Beginning, Reactor, SHARED_PART};
use crate::server::ports::{Inherited, take_parked};
use crate::server::shared::Before;
use crate::server::{BindError, RunError, Server, joining, jwks, machine};
use crate::timer::Clock;
use crate::upgrade::{Batch, Counts, Fault, Hello, InvalidState, Line, Ready, Source, Token, Unparked, step};
use log::{info, warn};
use std::io;
use std::os::fd::OwnedFd;
use std::process;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, PoisonError, RwLock};

/// The process that is to take over, before it owns anything.
#[derive(Debug)]
pub struct Successor(Predecessor);

#[derive(Debug)]
enum Predecessor {
    /// The predecessor is at the other end of what was standard input.
    Process(Line, Hello),
    /// The predecessor has ended, and left everything to the service manager.
    Store(Unparked),
}

impl Successor {
    /// Begins to take over. First of all, before standard input is read.
    ///
    /// # Errors
    /// Standard input is not what a predecessor gives, or it speaks another protocol.
    pub fn begin() -> io::Result<Self> {
        let mut line = Line::inherited().map_err(io::Error::other)?;
        step("new:started");
        let hello = line.receive_hello().map_err(io::Error::other)?;
        Ok(Self(Predecessor::Process(line, hello)))
    }

    /// Begins to take over what a predecessor has left to the service manager, if it has passed something of that kind. Early,
    /// before other threads read the environment.
    ///
    /// # Errors
    /// What was passed is not to be used.
    pub fn of_store() -> io::Result<Option<Self>> {
        let Some(parked) = take_parked()? else { return Ok(None) };
        let unparked = Unparked::read(parked).map_err(io::Error::other)?;
        Ok(Some(Self(Predecessor::Store(unparked))))
    }

    /// Tells the predecessor why it has to go on: `why`.
    pub fn refuse(&mut self, why: &str) {
        if let Predecessor::Process(line, _) = &mut self.0 {
            // One that has gone does not have to be told.
            let _ = line.refuse(why);
        }
    }

    /// A server that goes by `config`.
    ///
    /// # Errors
    /// [`BindError`], of which the predecessor has been told.
    pub fn bind(self, config: Config) -> Result<Bound, BindError> {
        let most_bytes = config.limits.upgrade_bytes as u64;
        match self.0 {
            Predecessor::Process(mut line, hello) => match Greeted::greet(&mut line, &hello, config) {
                Ok(Some(greeted)) => greeted.bind(Source::live(line, most_bytes)),
                Ok(None) => Ok(Bound::Trial),
                Err(Failure::Orphaned(fault)) => Ok(Bound::Orphan(fault.to_string())),
                Err(Failure::Refused(error)) => {
                    let _ = line.refuse(&error.to_string());
                    Err(error)
                }
            },
            Predecessor::Store(Unparked { hello, listeners, unparking }) => {
                let greeted = Greeted { listeners, ..Greeted::new(&hello, config)? };
                greeted.bind(Source::parked(unparking, most_bytes))
            }
        }
    }
}

/// What came of a process that was to take over, before it is run.
pub enum Bound {
    /// It takes everything over when it is [run](Server::run).
    Server(Box<Server>),
    /// It was only asked whether it would.
    Trial,
    /// The predecessor has died, and its ports are free: why.
    Orphan(String),
}

/// Why a process does not take over.
enum Failure {
    /// The predecessor has died.
    Orphaned(Fault),
    /// The predecessor goes on.
    Refused(BindError),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        match fault.is_lost() {
            true => Self::Orphaned(fault),
            false => Self::Refused(fault.into()),
        }
    }
}

impl From<BindError> for Failure {
    fn from(error: BindError) -> Self {
        Self::Refused(error)
    }
}

impl From<RulesError> for Failure {
    fn from(error: RulesError) -> Self {
        Self::Refused(error.into())
    }
}

impl From<InvalidState> for Failure {
    fn from(invalid: InvalidState) -> Self {
        Self::Refused(invalid.into())
    }
}

/// What both processes have agreed on.
pub struct Greeted {
    rules: Rules,
    remote_keys: RemoteSets,
    wanted_keys: Wanted,
    reactors: usize,
    /// What an operator should know.
    notes: Vec<String>,
    listeners: Vec<(String, OwnedFd)>,
    /// `None` where the predecessor has ended.
    token: Option<Token>,
}

impl Greeted {
    /// What can be said by the hello and the configuration alone.
    ///
    /// # Errors
    /// The old process cannot be taken over from, or the configuration is not one to run with.
    pub fn new(hello: &Hello, config: Config) -> Result<Self, BindError> {
        let too_new = |why| InvalidState::new(format!("the old process {why}"));
        FORMATS.can_read(&hello.formats).map_err(too_new)?;
        let (remote_keys, wanted_keys) = RemoteSets::new();
        let rules = Rules::first(config, &remote_keys)?;
        let reactors = reactors_of(hello)?;
        let notes = notes(&rules, reactors);
        Ok(Self { rules, remote_keys, wanted_keys, reactors, notes, listeners: Vec::new(), token: None })
    }

    /// Says whether it would take over, and gets the listeners. `None` where that was all that was asked.
    fn greet(line: &mut Line, hello: &Hello, config: Config) -> Result<Option<Self>, Failure> {
        let greeted = Self::new(hello, config)?;
        let (reactors, notes) = (greeted.reactors as u32, greeted.notes.clone());
        let version = env!("CARGO_PKG_VERSION").to_owned();
        line.send_ready(&Ready { version, formats: FORMATS, reactors, notes })?;
        step("new:ready");
        let Some(listeners) = line.receive_listeners()? else { return Ok(None) };
        let token = Some(line.receive_token()?);
        step("new:listeners");
        Ok(Some(Self { listeners, token, ..greeted }))
    }

    fn bind(self, mut source: Source) -> Result<Bound, BindError> {
        let setup = match first(&mut source) {
            Err(fault) if fault.is_lost() => return self.begin_anew(&fault),
            first => first.map_err(BindError::from),
        };
        match setup.and_then(|setup| self.build(setup)) {
            Ok((mut server, token, notes)) => {
                server.taking_over = Some(TakingOver { source, token, notes });
                Ok(Bound::Server(Box::new(server)))
            }
            Err(error) => {
                if let Some(line) = source.line() {
                    let _ = line.refuse(&error.to_string());
                }
                Err(error)
            }
        }
    }

    /// A server on these listeners, that goes on with the clock and the ids of the old process.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn build(self, setup: CarriedSetup) -> Result<(Server, Option<Token>, Vec<String>), BindError> {
        let Self { rules, remote_keys, wanted_keys, reactors, mut notes, listeners, token } = self;
        let CarriedSetup { clock, node, apps, tickets, keys, resume_key, cluster } = setup;
        let rules = rules.going_on(&remote_keys, &apps)?;
        remote_keys.go_on_from(keys, &jwks::limits_of(&rules.settings.config.auth));
        tickets.map_or(Ok(()), |tickets| rules.tls.take_over(tickets))?;
        let mut inherited = Inherited::new(listeners);
        let tickets = match resume_key {
            Some(key) => Tickets::new(key.into()),
            // An old process that resumed nothing.
            None => machine::random_tickets().map_err(BindError::Resources)?,
        };
        let clock = Clock::going_on(clock);
        let cluster = joining::go_on(&rules.settings.config, node, cluster)?.map(Arc::new);
        let before = Before { node, clock, tickets, cluster };
        let server = Server::build(rules, Some(&mut inherited), reactors, before, remote_keys, wanted_keys)?;
        for label in inherited.left() {
            notes.push(format!("the configuration does not name {label} any more: nothing listens there"));
        }
        Ok((server, token, notes))
    }

    /// The old process has died with its players. Who comes to its listeners finds a server.
    fn begin_anew(self, fault: &Fault) -> Result<Bound, BindError> {
        warn!(
            "upgrade: {fault}, before it had handed over its players: this process begins anew on its listeners"
        );
        let Self { rules, remote_keys, wanted_keys, reactors, listeners, .. } = self;
        let before = Before::new(&rules.settings.config)?;
        let mut inherited = Inherited::new(listeners);
        let server = Server::build(rules, Some(&mut inherited), reactors, before, remote_keys, wanted_keys)?;
        Ok(Bound::Server(Box::new(server)))
    }
}

fn reactors_of(hello: &Hello) -> Result<usize, InvalidState> {
    let reactors =
        usize::try_from(hello.reactors).ok().filter(|count| (1..=Config::MAX_REACTORS).contains(count));
    reactors.ok_or_else(|| InvalidState::new("the old process has more reactors than there can be"))
}

fn notes(rules: &Rules, reactors: usize) -> Vec<String> {
    let wanted = rules.settings.config.reactors.unwrap_or_else(machine::one_a_core);
    // Ids name the reactor of their session.
    let stays = format!(
        "there stay {reactors} reactors, since the ids of sessions name theirs: {wanted} would need a restart"
    );
    (wanted != reactors).then_some(stays).into_iter().collect()
}

fn first(source: &mut Source) -> Result<CarriedSetup, Fault> {
    let batch = source.next()?.filter(|batch| batch.part == SETUP_PART);
    let decoded = batch.ok_or_else(|| InvalidState::new("it does not begin with its setup"));
    Ok(decoded.and_then(|batch| decode(&batch.state))?)
}

/// What a server that takes over has before it serves.
pub struct TakingOver {
    source: Source,
    /// `None` where the predecessor has ended.
    token: Option<Token>,
    notes: Vec<String>,
}

/// Why a server does not take over.
pub enum NotTaken {
    /// The predecessor has died before it had handed over all.
    Orphaned(Fault),
    /// The predecessor goes on.
    Refused(String),
}

impl From<NotTaken> for RunError {
    fn from(not_taken: NotTaken) -> Self {
        match not_taken {
            NotTaken::Orphaned(fault) => Self::NotTaken { why: fault.to_string().into(), is_orphan: true },
            NotTaken::Refused(why) => Self::NotTaken { why: why.into(), is_orphan: false },
        }
    }
}

/// What a reactor's thread is fed.
enum Feed {
    Batch(Batch<OwnedFd>),
    All,
}

/// The thread's end of what comes for one reactor.
pub struct Arriving {
    feed: Receiver<Feed>,
    unpacker: Arc<RwLock<Unpacker>>,
    answer: Sender<Result<Counts, InvalidState>>,
    go: Receiver<()>,
}

/// The other ends, of all reactors.
pub struct Feeds {
    feeds: Vec<Sender<Feed>>,
    unpacker: Arc<RwLock<Unpacker>>,
    answers: Receiver<Result<Counts, InvalidState>>,
    go: Vec<Sender<()>>,
}

/// Both ends for so many reactors.
pub fn feeds(reactors: usize) -> (Feeds, Vec<Arriving>) {
    let unpacker = Arc::<RwLock<Unpacker>>::default();
    let (answer, answers) = channel();
    let mut feeds = Feeds { feeds: Vec::new(), unpacker, answers, go: Vec::new() };
    let arriving = (0..reactors).map(|_| {
        let ((feed_in, feed), (go_in, go)) = (channel(), channel());
        feeds.feeds.push(feed_in);
        feeds.go.push(go_in);
        Arriving { feed, unpacker: Arc::clone(&feeds.unpacker), answer: answer.clone(), go }
    });
    let arriving = arriving.collect();
    (feeds, arriving)
}

impl Arriving {
    /// The reactor to which everything has come, when it may serve; `None` where it may not.
    pub fn reactor(self, beginning: Beginning) -> Option<Reactor> {
        match self.arrive(beginning) {
            Ok((reactor, counts)) => {
                // Nobody waits for it any more where the predecessor has died.
                let _ = self.answer.send(Ok(counts));
                self.go.recv().ok().map(|()| reactor)
            }
            Err(error) => {
                let _ = self.answer.send(Err(error));
                None
            }
        }
    }

    fn arrive(&self, beginning: Beginning) -> Result<(Reactor, Counts), InvalidState> {
        let cut = || InvalidState::new("the stream was cut");
        let Ok(Feed::Batch(first)) = self.feed.recv() else { return Err(cut()) };
        let unpacker = || self.unpacker.read().unwrap_or_else(PoisonError::into_inner);
        let mut arrivals = Arrivals::begin(beginning, first, &unpacker())?;
        loop {
            match self.feed.recv() {
                Ok(Feed::Batch(batch)) => {
                    arrivals.take(batch, &unpacker())?;
                }
                Ok(Feed::All) => {
                    let unpacker = self.unpacker.read().unwrap_or_else(PoisonError::into_inner);
                    return arrivals.all(&unpacker);
                }
                Err(_) => return Err(cut()),
            }
        }
    }
}

impl TakingOver {
    /// Takes everything over, and has the reactors serve. How that went, and who asked for it.
    ///
    /// # Errors
    /// [`NotTaken`]; no reactor serves then.
    pub fn take(mut self, shared: &Shared, feeds: Feeds) -> Result<UpgradeReport, NotTaken> {
        let (counts, server) = match self.receive(shared, &feeds) {
            Ok(received) => received,
            Err(fault) => return Err(self.not_taken(fault)),
        };
        let (still_ms, before) = (server.still_ms, server.pid);
        let bytes = self.source.totals().bytes;
        let Feeds { unpacker, go, .. } = feeds;
        let asked_by = match server.restore(shared) {
            Ok(asked_by) => asked_by,
            Err(invalid) => return Err(self.not_taken(invalid.into())),
        };
        step("new:restored");
        let Self { mut source, token, notes } = self;
        if let (Some(line), Some(token)) = (source.line(), token)
            && let Err(fault) = take_token(line, &token, counts)
        {
            return Err(NotTaken::Refused(fault.to_string()));
        }
        step("new:serving");
        let took_ms = shared.clock.now().ms.saturating_sub(still_ms);
        for go in go {
            // A reactor that has ended says so itself.
            let _ = go.send(());
        }
        finish_pushes(shared, unpacker);
        let report = UpgradeReport {
            dry_run: false,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: process::id(),
            reactors: shared.reactors(),
            sessions: counts.sessions,
            connections: counts.connections,
            bytes,
            took_ms,
            longest_ms: took_ms,
            notes,
        };
        info!("upgrade: taken over from process {before}: {report}; {bytes} bytes of state");
        shared.note_taken_over(&report);
        answer(shared, asked_by, &report);
        Ok(report)
    }

    fn receive(&mut self, shared: &Shared, feeds: &Feeds) -> Result<(Counts, CarriedServer), Fault> {
        let mut server = None;
        step("new:receiving");
        while let Some(batch) = self.source.next()? {
            match batch.part {
                SHARED_PART => unpack(&batch.state, &feeds.unpacker)?,
                SERVER_PART => server = Some(decode(&batch.state)?),
                reactor => {
                    let feed = feeds.feeds.get(reactor as usize);
                    let feed = feed.ok_or_else(|| InvalidState::new("a part of no reactor"))?;
                    // One that has ended has said why.
                    let _ = feed.send(Feed::Batch(batch));
                }
            }
            if let Ok(Err(invalid)) = feeds.answers.try_recv() {
                return Err(invalid.into());
            }
        }
        step("new:received");
        feeds.feeds.iter().for_each(|feed| _ = feed.send(Feed::All));
        let mut counts = Counts::default();
        for _ in 0..shared.reactors() {
            let arrived = feeds.answers.recv().map_err(|_| InvalidState::new("a reactor has ended"))??;
            counts.sessions += arrived.sessions;
            counts.connections += arrived.connections;
        }
        if self.source.counts() != Some(counts) {
            return Err(InvalidState::new("other players came than were sent").into());
        }
        let server = server.ok_or_else(|| InvalidState::new("what all reactors share did not come"))?;
        Ok((counts, server))
    }

    fn not_taken(&mut self, fault: Fault) -> NotTaken {
        match self.source.line() {
            Some(line) if !fault.is_lost() => {
                let why = fault.to_string();
                let _ = line.refuse(&why);
                NotTaken::Refused(why)
            }
            _ => NotTaken::Orphaned(fault),
        }
    }
}

/// Waits until the players are this process's. They are, too, if the predecessor has died with everything handed over.
fn take_token(line: &mut Line, token: &Token, counts: Counts) -> Result<(), Fault> {
    let taken = line.send_taken(counts).and_then(|()| {
        step("new:taken");
        line.take(token)
    });
    match taken {
        Ok(()) => {
            step("new:token");
            // One that has died does not have to be told.
            let _ = line.send_serving();
            Ok(())
        }
        Err(fault) if fault.is_lost() => {
            warn!(
                "upgrade: the old process has ended before it was told to ({fault}): this one has everything, and serves"
            );
            Ok(())
        }
        Err(fault) => Err(fault),
    }
}

/// Sends home the pushes whose receipts wait for no queue.
pub fn finish_pushes(shared: &Shared, unpacker: Arc<RwLock<Unpacker>>) {
    let mut unpacker = unpacker.write().unwrap_or_else(PoisonError::into_inner);
    for push in std::mem::take(&mut *unpacker).into_done() {
        if let crate::dispatch::Origin::Connection { connection, .. } = &push.origin {
            let reactor = usize::from(connection.worker());
            // Its deadline answers where the mailbox is full.
            let _ = shared.handle.post(reactor, Envelope::PushDone(push));
        }
    }
}

/// Answers the request that asked for the upgrade: its connection has come along.
fn answer(shared: &Shared, asked_by: Option<AskedBy>, report: &UpgradeReport) {
    let Some(AskedBy { connection, sequence }) = asked_by else { return };
    let response = Box::new(upgraded(Ok(report)));
    let reactor = usize::from(connection.worker());
    if reactor < shared.reactors() {
        // Nothing else is in the mailbox of a server that has just begun.
        let _ = shared.handle.post(reactor, Envelope::Page { connection, sequence, response });
    }
}
