//! A drain: the server is emptied while it runs, evenly, and may be told to stay after all.

use crate::session::SessionId;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The drain of a server, if there is one; looked at by every reactor once a turn.
#[derive(Debug, Default)]
pub struct Drain {
    plan: Mutex<Option<Arc<Plan>>>,
    is_on: AtomicBool,
    /// Grows with every change of the plan: one load tells a reactor that there is nothing new.
    order: AtomicU64,
}

/// What a drain does.
#[derive(Debug)]
pub struct Plan {
    /// When it began, in milliseconds of the server's clock.
    pub began_ms: u64,
    /// How long it takes.
    pub over_ms: u64,
    /// Where the sessions are to go.
    pub to: Option<Box<str>>,
    closed: AtomicU64,
}

impl Plan {
    /// A drain that begins at `began_ms`.
    pub fn new(began_ms: u64, over_ms: u64, to: Option<Box<str>>) -> Self {
        Self { began_ms, over_ms, to, closed: AtomicU64::new(0) }
    }

    /// How long a session is to wait before it comes back, which is different for those that leave together.
    pub fn after_ms(id: SessionId) -> u64 {
        const SPREAD_MS: u64 = 1_000;
        (id.as_u64().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) % SPREAD_MS
    }

    /// The reason of the Close of a session: how long it is to wait, and where it is to go.
    pub fn reason(&self, id: SessionId) -> String {
        let after_ms = Self::after_ms(id);
        match &self.to {
            Some(to) => format!("after_ms={after_ms} to={to}"),
            None => format!("after_ms={after_ms}"),
        }
    }

    /// Another session has been closed by it.
    pub fn count_closed(&self) {
        self.closed.fetch_add(1, Ordering::Relaxed);
    }

    /// How many sessions it has closed.
    pub fn closed(&self) -> u64 {
        self.closed.load(Ordering::Relaxed)
    }
}

impl Drain {
    /// Begins a drain, or another one instead.
    pub fn begin(&self, plan: Plan) {
        self.set(Some(Arc::new(plan)));
    }

    /// Whoever has not been closed stays, and new players are taken again.
    pub fn call_off(&self) {
        self.set(None);
    }

    fn set(&self, plan: Option<Arc<Plan>>) {
        let mut held = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_on.store(plan.is_some(), Ordering::Relaxed);
        *held = plan;
        self.order.fetch_add(1, Ordering::Release);
    }

    /// The drain that there is.
    pub fn plan(&self) -> Option<Arc<Plan>> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether there is one.
    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Which change of the plan is the newest.
    pub fn order(&self) -> u64 {
        self.order.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_fits_a_close_frame_and_spreads_those_who_come_back() {
        let to = format!("wss://{}", "x".repeat(94));
        let plan = Plan::new(0, 1, Some(to.clone().into()));
        let reasons: Vec<String> = (0..1_000).map(|id| plan.reason(SessionId::from_u64(id))).collect();
        let waits = reasons.iter().map(|reason| {
            assert!(reason.len() <= 123 && reason.ends_with(&format!(" to={to}")), "{reason}");
            reason.split_once(' ').unwrap().0["after_ms=".len()..].parse::<u64>().unwrap()
        });
        let mut tenths = [0; 10];
        waits.for_each(|ms| tenths[ms as usize / 100] += 1);
        assert!(tenths.iter().all(|count| (80..=120).contains(count)), "{tenths:?}");
    }
}
