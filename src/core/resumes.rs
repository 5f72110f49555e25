//! What sessions that may resume have beside their connections, and how many are away. Knows nothing of sockets.

use super::lingering::is_away;
use super::visit::Visited;
use super::{Core, Rules};
use crate::connection::{Away, Claimant, Connection, Keeping, KeptLimits, Resume};
use crate::metrics::ByApp;
use crate::session::{AppId, SessionId};
use slab::Slab;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many places are kept when fewer are taken.
const FEW: usize = 64;

/// Those of one reactor.
#[derive(Debug, Default)]
pub(super) struct Resumes {
    states: Slab<Resume>,
    /// Sessions that were away, in the order in which they went. Some are not any more.
    went: VecDeque<SessionId>,
    away: usize,
    /// Where the next look for rings to shorten begins.
    cursor: usize,
}

/// Sessions that are away, on all reactors.
#[derive(Debug, Default)]
pub struct AwayCounts {
    all: AtomicUsize,
    apps: ByApp<AtomicUsize>,
}

impl AwayCounts {
    /// One more of this app, unless there are as many as there may be; 0 is no bound.
    fn enter(&self, app: AppId, most: usize, most_of_app: usize) -> bool {
        let within = |count: &AtomicUsize, most: usize| {
            let before = count.fetch_add(1, Ordering::Relaxed);
            most == 0 || before < most
        };
        // Both are counted, whatever the first says.
        let enters = within(&self.all, most) & within(self.apps.of(app.0), most_of_app);
        if !enters {
            self.leave(app);
        }
        enters
    }

    /// One that was away in another process is away here, whatever the bounds.
    fn take_over(&self, app: AppId) {
        self.enter(app, 0, 0);
    }

    fn leave(&self, app: AppId) {
        self.all.fetch_sub(1, Ordering::Relaxed);
        self.apps.of(app.0).fetch_sub(1, Ordering::Relaxed);
    }
}

impl Resumes {
    pub(super) fn get(&self, place: usize) -> Option<&Resume> {
        self.states.get(place)
    }

    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut Resume> {
        self.states.get_mut(place)
    }

    /// Sessions that went away, the first before the others; some have come back or ended.
    pub(super) fn went(&self) -> impl Iterator<Item = SessionId> {
        self.went.iter().copied()
    }

    fn has_gone(&mut self, id: SessionId) {
        self.away += 1;
        self.went.push_back(id);
    }

    fn forget_those_back(&mut self, is_away: impl Fn(SessionId) -> bool) {
        if self.went.len() > 2 * self.away + FEW {
            self.went.retain(|id| is_away(*id));
            self.went.shrink_to(2 * self.went.len());
        }
    }
}

impl Core {
    /// The session in `slot`, which opens, may resume if its app's may. Returns the number of its first ticket.
    pub fn let_resume(&mut self, slot: u32, claimant: Claimant) -> Option<u32> {
        let app = self.hub.app_of(slot)?;
        self.rules.resume_rules.of(app)?;
        self.put_resume(slot, Resume::new(claimant));
        Some(0)
    }

    /// The session in `slot` may resume, and has this for it.
    pub(super) fn put_resume(&mut self, slot: u32, resume: Resume) {
        let is_away = resume.away.is_some();
        let waits = resume.poll.as_ref().is_some_and(|poll| poll.waiting.is_some());
        self.metrics().polls.add(u64::from(waits));
        let (Some(id), Some(app)) = (self.hub.id_of(slot), self.hub.app_of(slot)) else { return };
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        connection.set_resume(Some(self.resumes.states.insert(resume) as u32));
        if is_away {
            self.shared.away.take_over(app);
            self.note_away(id, app);
        }
    }

    /// What the session in `slot` has for its resume, if it may.
    pub fn resume_of(&self, slot: u32) -> Option<&Resume> {
        self.resumes.get(self.connections.slot(slot)?.resume()?)
    }

    pub(super) fn resume_of_mut(&mut self, slot: u32) -> Option<&mut Resume> {
        self.resumes.get_mut(self.connections.slot(slot)?.resume()?)
    }

    /// The client of the session in `slot` has sent something: it has got its newest ticket.
    #[inline]
    pub fn heard(&mut self, slot: u32) {
        if let Some(place) = self.connections.slot(slot).and_then(Connection::resume)
            && let Some(resume) = self.resumes.get_mut(place)
        {
            resume.is_proven = true;
        }
    }

    /// Where what goes to the wire of the session in `slot` is kept.
    pub(super) fn keeping<'a>(
        resumes: &'a mut Resumes,
        rules: &Rules,
        place: usize,
        app: Option<AppId>,
    ) -> Option<Keeping<'a>> {
        let resume = resumes.get_mut(place)?;
        let limits = rules.resume_rules.of(app?).map(|resume| resume.kept);
        // Where a reload has forbidden it nothing more is kept.
        let limits = limits.unwrap_or(KeptLimits { messages: 0, bytes: 0 });
        Some(Keeping { kept: &mut resume.kept, limits })
    }

    /// The session in `slot` is away from now on, until `until_ms` of attended time, unless as many are as may be.
    pub(super) fn go_away(&mut self, slot: u32, away: Away) -> bool {
        let (Some(id), Some(app)) = (self.hub.id_of(slot), self.hub.app_of(slot)) else { return false };
        let most = self.rules.settings.config.limits.max_away;
        let most_of_app = self.rules.resume_rules.of(app).map_or(0, |resume| resume.max_away);
        if !self.shared.away.enter(app, most, most_of_app) {
            return false;
        }
        match self.resume_of_mut(slot) {
            Some(resume) => resume.away = Some(Box::new(away)),
            None => {
                self.shared.away.leave(app);
                return false;
            }
        }
        self.note_away(id, app);
        true
    }

    fn note_away(&mut self, id: SessionId, app: AppId) {
        self.resumes.has_gone(id);
        let connections = &self.connections;
        self.resumes.forget_those_back(|id| connections.get(id).is_some_and(is_away));
        self.metrics().away.add(1);
        self.metrics().apps.away.of(app.0).add(1);
    }

    /// The session in `slot` is away no longer. Returns how it was.
    pub(super) fn come_back(&mut self, slot: u32) -> Option<Box<Away>> {
        let app = self.hub.app_of(slot)?;
        let resume = self.resume_of_mut(slot)?;
        let away = resume.away.take()?;
        if let Some(visitor) = resume.poll.take().and_then(|poll| poll.waiting) {
            self.metrics().polls.sub(1);
            self.answer_visit(visitor, Visited::Overtaken);
        }
        self.resumes.away -= 1;
        self.shared.away.leave(app);
        self.metrics().away.sub(1);
        self.metrics().apps.away.of(app.0).sub(1);
        Some(away)
    }

    /// The session in `slot` ends: nobody comes back for it.
    pub(super) fn forget_resume(&mut self, slot: u32) {
        self.come_back(slot);
        let Some(place) = self.connections.slot(slot).and_then(Connection::resume) else { return };
        if let Some(mut resume) = self.resumes.states.try_remove(place) {
            resume.kept.forget(&mut self.settlements);
        }
        if let Some(connection) = self.connections.slot_mut(slot) {
            connection.set_resume(None);
        }
        if self.resumes.states.is_empty() && self.resumes.states.capacity() > FEW {
            // What a storm needed goes back.
            self.resumes.states = Slab::new();
        }
    }

    /// When the session in `slot` ends if its client does not come back, in milliseconds of the server's clock.
    pub fn linger_due_ms(&self, slot: u32) -> Option<u64> {
        let away = self.resume_of(slot)?.away.as_ref()?;
        Some(away.until_ms + self.absent_ms)
    }

    /// Shortens rings where those of all reactors are beyond their bound, some in each turn: the oldest half of each goes.
    pub fn shorten_rings(&mut self) {
        /// Rings looked at in one turn.
        const LOOKED_AT: usize = 4096;
        let (own, index, shared) = (self.settlements.kept_memory, self.index, &self.shared);
        let look = self.kept_relief.look(index, own, || shared.sums(index, own, |one| &one.kept_bytes));
        let Some(part) = look else { return };
        self.ask_for_relief(part.others);
        let goal = own.saturating_sub(part.free);
        let capacity = self.resumes.states.capacity();
        let mut looked_at = 0;
        while self.settlements.kept_memory > goal && looked_at < LOOKED_AT.min(capacity) {
            let place = (self.resumes.cursor + looked_at) % capacity;
            looked_at += 1;
            if let Some(resume) = self.resumes.states.get_mut(place) {
                let half = resume.kept.bytes() / 2;
                let forgotten = resume.kept.shorten_to(half, &mut self.settlements);
                self.shared.metrics.reactor(self.index).kept_forgotten.add(forgotten as u64);
            }
        }
        self.resumes.cursor = (self.resumes.cursor + looked_at) % capacity.max(1);
        let own = self.settlements.kept_memory;
        self.kept_relief.done(own, own > goal && self.settlements.kept_messages > 0);
    }
}
