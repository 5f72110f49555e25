//! The world stands still while another process takes it over: how far that has come, for all reactors. The thread that hands
//! over says what is next, each reactor says when it is there.
//!
//! While nothing is read, what is on its way between reactors comes to its end: an envelope is answered by others, or by none.
//! Reactors are asked in rounds whether they have anything left. Where two rounds in a row find none that has, and none has
//! opened an envelope in between, nothing is under way: an envelope that was posted before a reactor's first answer has been
//! opened before its receiver's second, and would have been counted.

use crate::dispatch::Packer;
use crate::upgrade::{Counts, Fault, Sink};
use std::fmt;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Everything goes on as ever.
    Serving,
    /// Nothing is accepted, and handshakes come to their end.
    Closing,
    /// Nothing is read.
    Still,
    /// What there is goes to the other process.
    Packing,
}

/// What becomes of a reactor that has packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on as before.
    TakenBack,
    /// Another process goes on.
    Gone,
}

/// Where reactors pack into.
#[derive(Debug)]
pub struct Parcel {
    /// The frames and pushes of all of them.
    pub packer: Packer,
    /// The stream to the other process. Who sends a state sends before it, under the same lock, what the packer has new.
    pub sink: Mutex<Sink>,
}

/// See the module.
#[derive(Debug)]
pub struct Handover {
    /// Looked at in every turn.
    stage: AtomicU8,
    round: AtomicU64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    reactors: Vec<Answer>,
    /// Descriptors of the listeners, with their labels, or why there are none.
    listeners: Option<io::Result<Vec<(String, OwnedFd)>>>,
    parcel: Option<Arc<Parcel>>,
    outcome: Option<Outcome>,
}

/// What a reactor has said.
#[derive(Debug, Default)]
struct Answer {
    /// It stands still.
    stands: bool,
    /// No handshake of it is under way.
    is_closed: bool,
    /// The last round in which nothing was left of it.
    quiet_round: u64,
    /// Envelopes that it has opened since it stands still.
    opened: u64,
    packed: Option<Result<Counts, Fault>>,
}

/// Why the world did not come to stand still, or did not pack.
#[derive(Debug)]
pub enum NotHandedOver {
    /// It was not to be, or not in time: why.
    Late(&'static str),
    /// The stream has failed.
    Stream(Fault),
    /// The system did not let it do something: what, and what it said.
    System(&'static str, io::Error),
}

impl From<Fault> for NotHandedOver {
    fn from(fault: Fault) -> Self {
        Self::Stream(fault)
    }
}

impl fmt::Display for NotHandedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late(why) => f.write_str(why),
            Self::Stream(fault) => fault.fmt(f),
            Self::System(what, error) => write!(f, "this process cannot {what}: {error}"),
        }
    }
}

impl Handover {
    /// None, of so many reactors.
    pub fn new(reactors: usize) -> Self {
        let reactors = std::iter::repeat_with(Answer::default).take(reactors).collect();
        Self {
            stage: AtomicU8::new(Stage::Serving as u8),
            round: AtomicU64::new(0),
            state: Mutex::new(State { reactors, listeners: None, parcel: None, outcome: None }),
            changed: Condvar::new(),
        }
    }

    /// How far it has come.
    #[inline]
    pub fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Serving,
            1 => Stage::Closing,
            2 => Stage::Still,
            _ => Stage::Packing,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is whole before the lock is let go.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

/// For the thread that hands over. `call` has every reactor turn.
impl Handover {
    /// Nothing is accepted from now on. Waits until no handshake is under way, or until `deadline`: those that are still left are
    /// given up. The listeners, with their labels.
    ///
    /// # Errors
    /// No descriptor is left for them, or the reactor that accepts does not turn.
    pub fn close(&self, deadline: Instant, call: impl Fn()) -> io::Result<Vec<(String, OwnedFd)>> {
        self.change(|state| {
            state.reactors.iter_mut().for_each(|answer| *answer = Answer::default());
            (state.listeners, state.parcel, state.outcome) = (None, None, None);
        });
        self.stage.store(Stage::Closing as u8, Ordering::Release);
        call();
        self.wait(deadline, |state| state.reactors.iter().all(|answer| answer.is_closed));
        self.lock().listeners.take().unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Brings the world to stand still: from then on nothing is read, and nothing is under way between reactors. `open_jobs` is
    /// how many other threads have work that will come back to a reactor.
    ///
    /// # Errors
    /// It is not so by `deadline`.
    pub fn stand_still(
        &self,
        deadline: Instant,
        open_jobs: impl Fn() -> usize,
        call: impl Fn(),
    ) -> Result<(), NotHandedOver> {
        self.stage.store(Stage::Still as u8, Ordering::Release);
        let mut before = None;
        loop {
            let jobs = open_jobs();
            let round = self.round.fetch_add(1, Ordering::AcqRel) + 1;
            call();
            let all_quiet = |state: &State| state.reactors.iter().all(|answer| answer.quiet_round == round);
            if !self.wait(deadline, all_quiet) {
                return Err(NotHandedOver::Late("not all that was under way came to its end in time"));
            }
            let opened: u64 = self.lock().reactors.iter().map(|answer| answer.opened).sum();
            if before == Some(opened) && jobs == 0 {
                return Ok(());
            }
            before = Some(opened);
        }
    }

    /// Has every reactor pack into `parcel`. How much they have packed.
    ///
    /// # Errors
    /// One could not, or not by `deadline`.
    pub fn pack(
        &self,
        parcel: Arc<Parcel>,
        deadline: Instant,
        call: impl Fn(),
    ) -> Result<Counts, NotHandedOver> {
        self.change(|state| state.parcel = Some(parcel));
        self.stage.store(Stage::Packing as u8, Ordering::Release);
        call();
        // All of them, also where one has failed: what the other process has said last is what one of them has read.
        let all_packed = |state: &State| state.reactors.iter().all(|answer| answer.packed.is_some());
        if !self.wait(deadline, all_packed) {
            return Err(NotHandedOver::Late("a reactor did not pack in time"));
        }
        let (mut counts, mut faults) = (Counts::default(), Vec::new());
        let mut state = self.lock();
        state.parcel = None;
        for answer in &mut state.reactors {
            match answer.packed.take() {
                Some(Ok(packed)) => {
                    counts.sessions += packed.sessions;
                    counts.connections += packed.connections;
                }
                Some(Err(fault)) => faults.push(fault),
                None => {}
            }
        }
        faults.sort_by_key(Fault::is_lost);
        match faults.into_iter().next() {
            Some(fault) => Err(NotHandedOver::Stream(fault)),
            None => Ok(counts),
        }
    }

    /// The other process goes on, or this one does. Returns when every reactor knows, but for one that does not turn.
    pub fn end(&self, outcome: Outcome, call: impl Fn()) {
        /// Longer than any turn.
        const PATIENCE: Duration = Duration::from_secs(10);
        if outcome == Outcome::TakenBack {
            self.stage.store(Stage::Serving as u8, Ordering::Release);
        }
        self.change(|state| (state.outcome, state.parcel, state.listeners) = (Some(outcome), None, None));
        call();
        let nobody = |state: &State| state.reactors.iter().all(|answer| !answer.stands);
        self.wait(Instant::now() + PATIENCE, nobody);
    }

    /// Whether it is so by `deadline`.
    fn wait(&self, deadline: Instant, is_so: impl Fn(&State) -> bool) -> bool {
        let mut state = self.lock();
        loop {
            if is_so(&state) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = match self.changed.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }
}

/// For reactors.
impl Handover {
    /// What the reactor that accepts listens on; of the others nothing.
    pub fn give_listeners(&self, listeners: io::Result<Vec<(String, OwnedFd)>>) {
        if listeners.as_ref().map_or(true, |listeners| !listeners.is_empty()) {
            self.change(|state| state.listeners = Some(listeners));
        }
    }

    /// No handshake of the reactor is under way.
    pub fn is_closed(&self, reactor: usize) {
        self.change(|state| state.reactors[reactor].is_closed = true);
    }

    /// The reactor stands still from now on, or no longer.
    pub fn stands(&self, reactor: usize, stands: bool) {
        self.change(|state| state.reactors[reactor].stands = stands);
    }

    /// The round in which reactors are asked now.
    pub fn round(&self) -> u64 {
        self.round.load(Ordering::Acquire)
    }

    /// Nothing is left of the reactor, which was asked in `round` and has opened so many envelopes since it stands still.
    pub fn is_quiet(&self, reactor: usize, round: u64, opened: u64) {
        self.change(|state| {
            let answer = &mut state.reactors[reactor];
            (answer.quiet_round, answer.opened) = (round, opened);
        });
    }

    /// What to pack into.
    pub fn parcel(&self) -> Option<Arc<Parcel>> {
        self.lock().parcel.clone()
    }

    /// The reactor has packed, or could not. Waits for what comes of it.
    pub fn packed(&self, reactor: usize, packed: Result<Counts, Fault>) -> Outcome {
        self.change(|state| state.reactors[reactor].packed = Some(packed));
        let mut state = self.lock();
        loop {
            if let Some(outcome) = state.outcome {
                return outcome;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Parcel {
    /// Sends a state, behind the frames and pushes that it may name.
    ///
    /// # Errors
    /// The stream's.
    pub fn send(
        &self,
        part: u32,
        descriptors: &[BorrowedFd<'_>],
        state: &[u8],
        shared_part: u32,
    ) -> Result<(), Fault> {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = self.packer.take_new();
        if !shared.is_empty() {
            let mut bytes = Vec::new();
            for one in shared {
                encode(&one, &mut bytes);
            }
            sink.batch(shared_part, &[], &bytes)?;
        }
        sink.batch(part, descriptors, state)
    }
}

/// Appends a state as CBOR.
pub fn encode<C: minicbor::Encode<()>>(carried: &C, bytes: &mut Vec<u8>) {
    // Writing to memory does not fail, and no state has a kind that cannot be written.
    let encoded = minicbor::encode(carried, bytes);
    debug_assert!(encoded.is_ok(), "{encoded:?}");
}
