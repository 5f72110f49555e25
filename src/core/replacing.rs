//! Sessions that open in the place of older ones of their user. The end of the one that is replaced is told before the beginning of the
//! one that replaces it, also where the two are on different reactors: the events of the new one wait where it is, until the reactor of
//! the old one has told its end. Knows nothing of why a session is replaced.

use super::listeners::Barrier;
use super::places::Replaced;
use super::seats::Kept;
use super::{Core, Envelope};
use crate::session::{AppId, SessionId, close_codes};
use hashbrown::HashMap;

/// What a displaced session is told.
const REPLACED: &str = "replaced by a newer session";

/// See the module.
#[derive(Debug, Default)]
pub struct Replacing {
    /// Sessions that have opened here, and the one that each has replaced: until links are told that it has opened.
    replaced: HashMap<SessionId, SessionId>,
    /// Sessions here that have replaced some of other reactors, whose ends have not been told.
    waiting: HashMap<SessionId, Waiting>,
    /// Sessions here that are replaced by those of other reactors, which wait until the ends are told.
    ended: Vec<Replaced>,
}

/// A session that has replaced others.
#[derive(Debug, Default)]
struct Waiting {
    /// So many of their ends have not been told.
    ends: usize,
    /// What is for links, each of these with what is for it, in its order.
    events: Vec<(SessionId, Waits)>,
}

/// What waits for a link.
#[derive(Debug)]
pub(super) enum Waits {
    /// An event of the session. It has entered the gate.
    Event(Kept),
    /// Word that the link has got all that it was sent of the session.
    Barrier(SessionId, Barrier),
}

impl Replacing {
    /// Whether no reactor waits for another one.
    pub fn is_quiet(&self) -> bool {
        self.waiting.is_empty() && self.ended.is_empty()
    }
}

impl Core {
    /// The session `new` of this reactor has the place of `old`, which closes.
    pub(super) fn replace(&mut self, app: AppId, old: SessionId, new: SessionId) {
        self.replacing.replaced.insert(new, old);
        let replaced = Replaced { app, old, new };
        match usize::from(old.worker()) {
            own if own == self.index => self.close_replaced(replaced),
            other => {
                if !self.listeners.is_empty() {
                    self.replacing.waiting.entry(new).or_default().ends += 1;
                }
                // It is no longer counted: it must go, however full the mailbox is.
                self.peers.post_always(other, Envelope::Replace(replaced));
            }
        }
    }

    fn close_replaced(&mut self, replaced: Replaced) {
        let Replaced { app, old, .. } = replaced;
        if self.hub.contains(old, app) {
            self.close(old.slot(), close_codes::REPLACED, REPLACED);
        }
    }

    /// A session of another reactor has the place of one here.
    pub fn replaced_by_another(&mut self, replaced: Replaced) {
        self.close_replaced(replaced);
        self.replacing.ended.push(replaced);
    }

    /// Every end of this reactor's sessions has been told: the reactors that wait for some may go on.
    pub fn tell_replaced(&mut self) {
        if self.replacing.ended.is_empty() {
            return;
        }
        for replaced in std::mem::take(&mut self.replacing.ended) {
            match self.replacing.waiting.contains_key(&replaced.old) {
                // It has replaced another one itself, and even its beginning is not told.
                true => self.replacing.ended.push(replaced),
                false => {
                    let reactor = usize::from(replaced.new.worker());
                    self.peers.post_always(reactor, Envelope::ReplacedTold(replaced.new));
                }
            }
        }
    }

    /// The end of a session has been told that `new` has replaced.
    pub fn replaced_told(&mut self, new: SessionId) {
        let Some(waiting) = self.replacing.waiting.get_mut(&new) else { return };
        waiting.ends -= 1;
        if waiting.ends == 0 {
            let events = self.replacing.waiting.remove(&new).map_or(Vec::new(), |waiting| waiting.events);
            events.into_iter().for_each(|(link, waits)| self.send_on(link, waits));
        }
    }

    /// The session that `new` has replaced; asked once, when links are told that it has opened.
    pub fn take_replaced(&mut self, new: SessionId) -> Option<SessionId> {
        match self.replacing.replaced.is_empty() {
            true => None,
            false => self.replacing.replaced.remove(&new),
        }
    }

    /// Whether the session waits; then this does.
    #[inline]
    pub(super) fn wait_with(
        &mut self,
        link: SessionId,
        session: SessionId,
        waits: Waits,
    ) -> Result<(), Waits> {
        if self.replacing.waiting.is_empty() {
            return Err(waits);
        }
        match self.replacing.waiting.get_mut(&session) {
            Some(waiting) => {
                waiting.events.push((link, waits));
                Ok(())
            }
            None => Err(waits),
        }
    }

    /// Others take the sessions of the link over: what waits here for it goes to it before that.
    pub(super) fn what_waits_for(&mut self, link: SessionId) -> Vec<Waits> {
        let mut taken = Vec::new();
        for waiting in self.replacing.waiting.values_mut() {
            taken.extend(waiting.events.extract_if(.., |(of, _)| *of == link).map(|(_, waits)| waits));
        }
        taken
    }
}
