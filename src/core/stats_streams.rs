//! The streams of figures that are open, between the reactors that have their connections and the thread that makes what they are
//! sent. A stream is sent one part at a time: what its reader has not taken when the next is there is not joined by it.

use super::audit::AuditLine;
use crate::auth::Access;
use crate::metrics::{CarriedHistory, History};
use crate::session::SessionId;
use minicbor::{Decode, Encode};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// The streams of a server, and the hour of figures that each begins with.
#[derive(Debug)]
pub struct StatsStreams {
    history: Mutex<History>,
    open: Mutex<Vec<Weak<StatsStream>>>,
    /// When the server started; the process may be a later one.
    started_unix_ms: AtomicU64,
    process_started_unix_ms: u64,
    /// What the wall clock said when the server's clock was at 0, as it was set when the process began: so what is shown of a moment
    /// stays what it was.
    zero_unix_ms: u64,
}

/// What of it another process goes on with.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct CarriedStats {
    #[n(0)]
    started_unix_ms: u64,
    #[n(1)]
    history: CarriedHistory,
    #[n(2)]
    audit: Vec<AuditLine>,
}

/// Nothing is on its way: the reactor has written the last part, as far as the socket took it, or there was none.
const TAKEN: u8 = 0;
/// A part is in the mailbox of the reactor.
const SENT: u8 = 1;
/// The reader had not taken what was before it.
const SKIPPED: u8 = 2;

/// A stream that is open. Its door holds it: when that is gone, so is the stream.
#[derive(Debug)]
pub struct StatsStream {
    /// Its connection.
    pub connection: SessionId,
    /// Who reads it, as it was when it began.
    pub access: Arc<Access>,
    state: AtomicU8,
    /// The newest line of the audit trail that it has been sent.
    last_line: AtomicU64,
    /// It goes on from another process: no line before that one is sent again.
    goes_on: bool,
    /// The reader may not read any more.
    is_over: AtomicBool,
}

/// What a stream is sent at once.
#[derive(Debug)]
pub struct StatsPart {
    /// The events.
    pub events: Vec<u8>,
    /// The newest line of the audit trail among them, or before them.
    pub last_line: u64,
    /// The stream ends with it.
    pub is_last: bool,
}

/// What became of the part that was sent last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartFate {
    /// There was none, or it has been taken: the next may be sent.
    Taken,
    /// It was thrown away: the next may be sent, and has to have what it had.
    Skipped,
    /// It is on its way.
    OnItsWay,
}

impl StatsStream {
    /// Which line of the audit trail is the newest that it has been sent.
    pub fn last_line(&self) -> u64 {
        self.last_line.load(Ordering::Acquire)
    }

    /// Whether it goes on from another process.
    pub fn goes_on(&self) -> bool {
        self.goes_on
    }

    /// A part is about to be sent.
    pub fn is_sent(&self) {
        self.state.store(SENT, Ordering::Release);
    }

    /// The reactor writes a part with lines up to that one.
    pub fn is_taken(&self, last_line: u64) {
        self.last_line.store(last_line, Ordering::Release);
        self.state.store(TAKEN, Ordering::Release);
    }

    /// The reactor throws a part away, since the reader has not taken what was before it; or there was no room in its mailbox.
    pub fn is_skipped(&self) {
        self.state.store(SKIPPED, Ordering::Release);
    }

    /// What became of the part that was sent last.
    pub fn fate(&self) -> PartFate {
        match self.state.load(Ordering::Acquire) {
            TAKEN => PartFate::Taken,
            SKIPPED => PartFate::Skipped,
            _ => PartFate::OnItsWay,
        }
    }

    /// It is sent nothing more.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    /// Whether it is sent nothing more.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }
}

impl StatsStreams {
    /// None, of a process that starts now. The server may have started before it.
    pub fn new(zero_unix_ms: u64, now_unix_ms: u64) -> Self {
        Self {
            history: Mutex::default(),
            open: Mutex::default(),
            started_unix_ms: zero_unix_ms.into(),
            zero_unix_ms,
            process_started_unix_ms: now_unix_ms,
        }
    }

    /// A stream on `connection`, if fewer than `most` are open. One that goes on from another process has been sent the lines
    /// up to `goes_on_from`, and is not refused.
    pub fn open(
        &self,
        connection: SessionId,
        access: &Arc<Access>,
        most: usize,
        goes_on_from: Option<u64>,
    ) -> Option<Arc<StatsStream>> {
        let mut open = self.list();
        open.retain(|stream| stream.strong_count() > 0);
        if open.len() >= most && goes_on_from.is_none() {
            return None;
        }
        let stream = Arc::new(StatsStream {
            connection,
            access: Arc::clone(access),
            state: TAKEN.into(),
            last_line: goes_on_from.unwrap_or(0).into(),
            goes_on: goes_on_from.is_some(),
            is_over: false.into(),
        });
        open.push(Arc::downgrade(&stream));
        Some(stream)
    }

    /// The streams that are open.
    pub fn all(&self) -> Vec<Arc<StatsStream>> {
        let mut open = self.list();
        open.retain(|stream| stream.strong_count() > 0);
        open.iter().filter_map(Weak::upgrade).collect()
    }

    /// The hour of figures. What a holder that panicked left is whole: every change is one call.
    pub fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the server started, and this process, in milliseconds since the Unix epoch.
    pub fn started_unix_ms(&self) -> (u64, u64) {
        (self.started_unix_ms.load(Ordering::Relaxed), self.process_started_unix_ms)
    }

    /// The wall clock at 0 of the server's clock.
    pub fn zero_unix_ms(&self) -> u64 {
        self.zero_unix_ms
    }

    /// As it is carried to another process, with the lines of the audit trail; where nothing has been kept it is made anew there.
    pub fn carry(&self, audit: Vec<AuditLine>) -> Option<CarriedStats> {
        let history = self.history();
        let is_empty = history.end_unix_ms() == 0 && audit.is_empty();
        let started_unix_ms = self.started_unix_ms().0;
        (!is_empty).then(|| CarriedStats { started_unix_ms, history: history.carry(), audit })
    }

    /// Goes on from another process, which may have kept nothing of the kind: the counters go on all the same. The lines of its audit
    /// trail.
    pub fn go_on_from(&self, carried: Option<CarriedStats>) -> Vec<AuditLine> {
        let Some(CarriedStats { started_unix_ms, history, audit }) = carried else {
            self.history().go_on_from(CarriedHistory::default());
            return Vec::new();
        };
        self.started_unix_ms.store(started_unix_ms, Ordering::Relaxed);
        self.history().go_on_from(history);
        audit
    }

    fn list(&self) -> MutexGuard<'_, Vec<Weak<StatsStream>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
