//! The old process's side of an upgrade: it starts the new one, and owns the players until that one has them all.

use super::Program;
use super::state::{CarriedServer, CarriedSetup, FORMATS, SERVER_PART, SETUP_PART};
use crate::core::{
    AskedBy, NotHandedOver, Outcome, Parcel, Shared, UpgradeError, UpgradeReport, UpgradeRequest, encode,
};
use crate::dispatch::Packer;
use crate::upgrade::{
    Cause, Child, Counts, Fault, Hello, Line, PROTOCOL, Parking, Ready, Sink, Start, Token, Totals, step,
};
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// Leaves everything to the service manager, for the process that it starts next: `keep` takes the one descriptor. How much that
/// was.
///
/// # Errors
/// [`UpgradeError::Failed`]: then all is as it was before.
pub fn park(
    shared: &Arc<Shared>,
    keep: impl FnOnce(BorrowedFd<'_>) -> io::Result<()>,
) -> Result<Counts, UpgradeError> {
    let deadline = Instant::now() + shared.in_force.look().settings.config.timeouts.handover;
    let parked = Handing { shared, deadline, token: None }.park(keep);
    let outcome = if parked.is_ok() { Outcome::Gone } else { Outcome::TakenBack };
    shared.handover.end(outcome, || shared.wake_all());
    parked.map_err(|why| UpgradeError::Failed(why.to_string()))
}

/// What the service manager has said to this process alone.
const OWN_VARIABLES: [&str; 4] = ["WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"];

/// How long a process that has closed its stream has to end.
const ENDING: Duration = Duration::from_millis(500);

/// The part of the handover's time that handshakes have to come to their end.
const HANDSHAKES_PART: u32 = 10;

/// Starts another process and hands everything over to it.
///
/// # Errors
/// [`UpgradeError`]: then all is as it was before.
pub fn upgrade(
    shared: &Arc<Shared>,
    program: &Program,
    request: &UpgradeRequest,
    asked_by: Option<AskedBy>,
) -> Result<UpgradeReport, UpgradeError> {
    let times = shared.in_force.look().settings.config.timeouts.clone();
    let mut started = Started::start(program, request, times.upgrade_start)?;
    let ready = match started.greet(shared) {
        Ok(ready) => ready,
        Err(fault) => return Err(UpgradeError::Refused(started.end(fault))),
    };
    if request.dry_run {
        return started.part(ready);
    }
    let Started { mut child, line } = started;
    let deadline = Instant::now() + times.handover;
    let mut handing = Handing { shared, deadline, token: None };
    match handing.over(line, asked_by) {
        Ok((counts, totals, took)) => {
            shared.handover.end(Outcome::Gone, || shared.wake_all());
            Ok(UpgradeReport {
                dry_run: false,
                version: ready.version,
                pid: child.pid(),
                reactors: shared.reactors(),
                sessions: counts.sessions,
                connections: counts.connections,
                bytes: totals.bytes,
                took_ms: took.as_millis() as u64,
                longest_ms: took.as_millis() as u64,
                notes: ready.notes,
            })
        }
        Err(why) => {
            // It neither serves nor holds a socket when this one goes on. One whose stream has ended ends by itself, and its
            // status says how.
            let ended = match &why {
                NotHandedOver::Stream(fault) if fault.is_lost() => child.wait_until(Instant::now() + ENDING),
                _ => child.kill_and_wait(),
            };
            shared.handover.end(Outcome::TakenBack, || shared.wake_all());
            let why = match (why, ended) {
                (NotHandedOver::Stream(fault), Ok(status)) if fault.is_lost() => {
                    format!("{fault}: the new process ended ({status})")
                }
                (why, _) => why.to_string(),
            };
            Err(UpgradeError::Failed(why))
        }
    }
}

/// A new process, which owns nothing yet.
struct Started {
    child: Child,
    line: Line,
}

impl Started {
    fn start(program: &Program, request: &UpgradeRequest, within: Duration) -> Result<Self, UpgradeError> {
        let binary = request.binary.as_deref().unwrap_or(&program.binary);
        let arguments: Vec<OsString> = ["serve", "--take-over"]
            .into_iter()
            .map(OsString::from)
            .chain(program.arguments.clone())
            .collect();
        let start = Start { program: binary, arguments: &arguments, without: &OWN_VARIABLES };
        let (child, mut line) = Child::start(&start).map_err(|error| {
            UpgradeError::Refused(format!("{} cannot be started: {error}", binary.display()))
        })?;
        line.set_deadline(Instant::now() + within);
        line.set_step("starting");
        step("old:spawned");
        Ok(Self { child, line })
    }

    fn greet(&mut self, shared: &Shared) -> Result<Ready, Fault> {
        self.line.send_hello(&hello(shared))?;
        let ready = self.line.receive_ready()?;
        ready.formats.can_read(&FORMATS).map_err(|why| Fault {
            cause: Cause::Version(why),
            peer: crate::upgrade::Peer::New,
            step: "starting",
        })?;
        step("old:ready");
        Ok(ready)
    }

    /// It does not take over: why, in a sentence.
    fn end(&mut self, fault: Fault) -> String {
        let fault = self.child.explain(fault, &self.line);
        let _ = self.line.send_bye();
        let _ = self.child.kill_and_wait();
        fault.to_string()
    }

    /// It was only to show that it could.
    fn part(mut self, ready: Ready) -> Result<UpgradeReport, UpgradeError> {
        let _ = self.line.send_bye();
        let pid = self.child.pid();
        // It has nothing to do any more: a second is long.
        let _ = self.child.wait_until(Instant::now() + Duration::from_secs(1));
        let reactors = ready.reactors as usize;
        let Ready { version, notes, .. } = ready;
        Ok(UpgradeReport { dry_run: true, version, pid, reactors, notes, ..UpgradeReport::default() })
    }
}

/// What this process says of itself.
pub fn hello(shared: &Shared) -> Hello {
    Hello {
        protocol: PROTOCOL,
        formats: FORMATS,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        reactors: shared.reactors() as u32,
        node: shared.node.to_string(),
        capabilities: Vec::new(),
        listeners: Vec::new(),
    }
}

/// The handover itself.
struct Handing<'a> {
    shared: &'a Arc<Shared>,
    deadline: Instant,
    token: Option<Token>,
}

impl Handing<'_> {
    /// Hands everything over on `line`. How much that was, and for how long no socket was served.
    ///
    /// # Errors
    /// Why not; this process owns the players then, as soon as the other one has ended.
    fn over(
        &mut self,
        mut line: Line,
        asked_by: Option<AskedBy>,
    ) -> Result<(Counts, Totals, Duration), NotHandedOver> {
        self.may_go_on()?;
        line.set_deadline(self.deadline);
        line.set_step("listeners");
        let listeners = self.close()?;
        line.send_listeners(&labelled(&listeners))?;
        drop(listeners);
        let mut token = Token::new().map_err(cannot("make the token"))?;
        line.send_token(&token)?;
        step("old:listeners");
        let (parcel, counts, began) = self.send_all(Sink::live(line), asked_by)?;
        let mut sink = lock(&parcel);
        step("old:sent");
        let totals = sink.totals();
        let Some(line) = sink.line() else { return Err(NotHandedOver::Late("the stream has no other end")) };
        line.set_step("taking over");
        let taken = line.receive_taken()?;
        step("old:taken");
        if taken != counts {
            return Err(NotHandedOver::Late("the new process has counted other players"));
        }
        self.may_go_on()?;
        token.offer().map_err(cannot("offer the token"))?;
        step("old:token");
        self.token = Some(token);
        self.commit(line)?;
        step("old:serving");
        Ok((counts, totals, began.elapsed()))
    }

    /// Leaves everything in a store, of which `keep` takes the one descriptor.
    ///
    /// # Errors
    /// Why not; this process owns the players then.
    fn park(&mut self, keep: impl FnOnce(BorrowedFd<'_>) -> io::Result<()>) -> Result<Counts, NotHandedOver> {
        let listeners = self.close()?;
        let parking = Parking::new(&hello(self.shared), &labelled(&listeners))?;
        drop(listeners);
        let (parcel, counts, _) = self.send_all(Sink::parked(parking), None)?;
        let sink = Arc::into_inner(parcel).map(|parcel| parcel.sink.into_inner());
        let sink = sink.map(|sink| sink.unwrap_or_else(PoisonError::into_inner));
        let Some(parked) = sink.and_then(Sink::into_parked) else {
            return Err(NotHandedOver::Late("a reactor has not let go of the store"));
        };
        keep(parked.as_fd()).map_err(cannot("reach the service manager"))?;
        Ok(counts)
    }

    /// The listeners, on which nothing is accepted any more.
    fn close(&self) -> Result<Vec<(String, OwnedFd)>, NotHandedOver> {
        let handshakes = self.deadline.saturating_duration_since(Instant::now()) / HANDSHAKES_PART;
        let listeners = self.shared.handover.close(Instant::now() + handshakes, || self.shared.wake_all());
        listeners.map_err(cannot("share its listeners"))
    }

    /// Sends everything into `sink`: how much that was, and since when the world stands still.
    fn send_all(
        &self,
        sink: Sink,
        asked_by: Option<AskedBy>,
    ) -> Result<(Arc<Parcel>, Counts, Instant), NotHandedOver> {
        let (shared, call) = (self.shared, || self.shared.wake_all());
        let parcel = Arc::new(Parcel { packer: Packer::default(), sink: Mutex::new(sink) });
        self.send(&parcel, SETUP_PART, &CarriedSetup::of(shared))?;
        self.may_go_on()?;
        let (began, still_ms) = (Instant::now(), shared.clock.now().ms);
        shared.handover.stand_still(self.deadline, || shared.open_jobs.load(Ordering::Acquire), call)?;
        step("old:quiet");
        let counts = shared.handover.pack(Arc::clone(&parcel), self.deadline, call)?;
        self.may_go_on()?;
        self.send(&parcel, SERVER_PART, &CarriedServer::of(shared, asked_by, still_ms))?;
        lock(&parcel).end(counts)?;
        Ok((parcel, counts, began))
    }

    /// Waits until the other process serves.
    fn commit(&mut self, line: &mut Line) -> Result<(), NotHandedOver> {
        loop {
            let Err(fault) = line.receive_serving() else { return Ok(()) };
            // It has died before it served, or is late: who has the token owns the players.
            let is_ours = match &self.token {
                Some(token) => token.take().map_err(cannot("take the token back"))?,
                None => true,
            };
            if is_ours || fault.is_lost() {
                return Err(fault.into());
            }
            // The other one has taken it: it will serve, or die.
            line.set_deadline(Instant::now() + Duration::from_secs(1));
        }
    }

    fn send<C: minicbor::Encode<()>>(
        &self,
        parcel: &Parcel,
        part: u32,
        carried: &C,
    ) -> Result<(), NotHandedOver> {
        // The keys of tickets may be in it.
        let mut bytes = Zeroizing::new(Vec::new());
        encode(carried, &mut bytes);
        Ok(lock(parcel).batch(part, &[], &bytes)?)
    }

    /// An operator may have stopped the server meanwhile.
    fn may_go_on(&self) -> Result<(), NotHandedOver> {
        match self.shared.turns_players_away() || self.shared.upgrades.is_called_off() {
            true => Err(NotHandedOver::Late("the server was told to stop, or is drained")),
            false => Ok(()),
        }
    }
}

fn labelled(listeners: &[(String, OwnedFd)]) -> Vec<(&str, BorrowedFd<'_>)> {
    listeners.iter().map(|(label, socket)| (label.as_str(), socket.as_fd())).collect()
}

fn lock(parcel: &Parcel) -> MutexGuard<'_, Sink> {
    parcel.sink.lock().unwrap_or_else(PoisonError::into_inner)
}

fn cannot(what: &'static str) -> impl Fn(io::Error) -> NotHandedOver {
    move |error| NotHandedOver::System(what, error)
}
