//! Players that nothing is done to, on a thread of their own: how long pushes take to them, all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use crate::cli::bench::backend::Backend;
use crate::cli::bench::client::Sender;
use crate::cli::bench::clock::{Clock, Nanos, SECOND};
use crate::cli::bench::error::BenchError;
use crate::cli::bench::fleet::{Fleet, FleetPlan, Handler, Patience};
use crate::cli::bench::recorder::{Recorder, Window};
use crate::cli::bench::schedule::Schedule;
use crate::cli::bench::target::Target;
use crate::link_bin::{Command, Payload, Push, Request as LinkRequest, SUBPROTOCOL, Selector};
use crate::protocol::CloseCode;
use crate::protocol::handshake::Request;
use crate::session::SessionId;

/// How many there are.
pub const WATCHERS: usize = 50;
/// Pushes to them a second.
pub const RATE: usize = 1_000;
/// The longest that they watch: no more latencies are remembered.
const MOST: usize = 600 * RATE;

/// See the module.
pub struct Watchers {
    thread: JoinHandle<Result<Watched, BenchError>>,
    is_over: Arc<AtomicBool>,
    watching: Arc<AtomicUsize>,
}

/// What the thread has found.
struct Watched {
    /// When each push was due, and when it came.
    samples: Vec<(Nanos, Nanos)>,
    pushes: u64,
}

/// Where they connect to.
pub struct Place {
    /// The client port.
    pub target: Target,
    /// The backend port.
    pub backend: Backend,
    /// Its key.
    pub key: Option<String>,
    /// The time of the run.
    pub clock: Clock,
}

impl Watchers {
    /// They come.
    pub fn start(place: Place) -> Result<Self, BenchError> {
        let (is_over, watching) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (over, count) = (Arc::clone(&is_over), Arc::clone(&watching));
        let thread = thread::Builder::new().name("watchers".to_owned());
        let thread = thread.spawn(move || watch(&place, &over, &count)).map_err(BenchError::System)?;
        Ok(Self { thread, is_over, watching })
    }

    /// Whether all are there, or the thread has ended.
    pub fn are_there(&self) -> bool {
        self.watching.load(Ordering::Relaxed) == WATCHERS || self.thread.is_finished()
    }

    /// They leave. Answers the latencies of pushes that were due in each of the windows, and how many pushes there were in all.
    pub fn finish<const N: usize>(self, windows: [Window; N]) -> Result<([Recorder; N], u64), BenchError> {
        self.is_over.store(true, Ordering::Relaxed);
        let Watched { samples, pushes } = self.thread.join().map_err(|_| BenchError::Panicked)??;
        let recorders = windows.map(|window| {
            let mut recorder = Recorder::new(window);
            samples.iter().for_each(|(due, came)| recorder.record(*due, *came));
            recorder
        });
        Ok((recorders, pushes))
    }
}

/// What comes of what they read.
struct Watch<'a> {
    sessions: Vec<Option<SessionId>>,
    samples: Vec<(Nanos, Nanos)>,
    watching: &'a AtomicUsize,
    is_leaving: bool,
    is_lost: bool,
}

impl Handler for Watch<'_> {
    fn message(&mut self, slot: usize, payload: &[u8], _: Sender<'_>, now: Nanos) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        if session.is_none() {
            let welcome: Option<super::players::Welcome> = serde_json::from_slice(payload).ok();
            *session = welcome.and_then(|welcome| welcome.session.parse().ok());
            return;
        }
        let due = str::from_utf8(payload).ok().and_then(|text| text.parse().ok());
        if let Some(due) = due.filter(|_| self.samples.len() < MOST) {
            self.samples.push((due, now));
        }
    }

    fn lost(&mut self, _: usize, _: Option<CloseCode>) {
        self.is_lost |= !self.is_leaving;
    }
}

fn watch(place: &Place, is_over: &AtomicBool, watching: &AtomicUsize) -> Result<Watched, BenchError> {
    let plan = FleetPlan { target: &place.target, first_number: 0, step: 1, spin: false, clock: place.clock };
    let mut fleet = Fleet::new(plan)?;
    let mut watch = Watch {
        sessions: vec![None; WATCHERS],
        samples: Vec::new(),
        watching,
        is_leaving: false,
        is_lost: false,
    };
    fleet.open_all(WATCHERS, &mut watch, |watch| watch.sessions.iter().all(Option::is_some), |_| {})?;
    let stream = place.backend.connect(WATCHERS).map_err(BenchError::Publisher)?;
    let bearer = place.key.as_ref().map(|key| format!("Bearer {key}"));
    let headers: Vec<_> = bearer.iter().map(|value| ("Authorization", value.as_str())).collect();
    let (host, subprotocols) = (place.backend.host(), &[SUBPROTOCOL][..]);
    let request = Request { host, path: "/v1/link", subprotocols, extensions: None, headers: &headers };
    fleet.dial(WATCHERS, stream, &request)?;
    let mut patience = Patience::new("opening links", 1, fleet.now());
    while !fleet.is_open(WATCHERS) {
        fleet.turn(fleet.now() + SECOND / 10, &mut watch)?;
        patience.check(0, fleet.now())?;
    }
    watch.watching.store(WATCHERS, Ordering::Relaxed);
    let pushes = push(&mut fleet, &mut watch, is_over)?;
    leave(&mut fleet, &mut watch)?;
    Ok(Watched { samples: watch.samples, pushes })
}

fn push(fleet: &mut Fleet<'_>, watch: &mut Watch<'_>, is_over: &AtomicBool) -> Result<u64, BenchError> {
    let mut schedule = Schedule::new(fleet.now(), Nanos::MAX, RATE, 0, 1);
    let (mut next, mut message) = (0, Vec::new());
    while !is_over.load(Ordering::Relaxed) {
        while let Some(due) = schedule.take_due(fleet.now()) {
            let session = watch.sessions[next % WATCHERS].map(Selector::Session);
            let text = due.to_string();
            let push = Push::new(session.into_iter().collect(), Payload::Text(&text));
            message.clear();
            // A number is far shorter than what the layout has room for.
            let _ = LinkRequest::new(1, Command::Push(push)).encode(&mut message);
            fleet.send_bytes(WATCHERS, &message);
            next += 1;
        }
        fleet.flush(watch)?;
        let until = schedule.next_due().unwrap_or(Nanos::MAX).min(fleet.now() + SECOND / 20);
        fleet.turn(until, watch)?;
        if watch.is_lost {
            return Err(BenchError::Hangup);
        }
    }
    Ok(next as u64)
}

/// They leave with a Close, so that no session waits for anybody.
fn leave(fleet: &mut Fleet<'_>, watch: &mut Watch<'_>) -> Result<(), BenchError> {
    watch.is_leaving = true;
    (0..WATCHERS).for_each(|slot| fleet.leave(slot));
    fleet.flush(watch)?;
    let mut patience = Patience::new("leaving", WATCHERS, fleet.now());
    while fleet.open_count() > 1 {
        fleet.turn(fleet.now() + SECOND / 10, watch)?;
        patience.check(fleet.open_count(), fleet.now())?;
    }
    fleet.close_all();
    Ok(())
}
