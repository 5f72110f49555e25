//! The records of one reactor: those of its sessions, and those of sessions that have ended lately.

use super::{Item, Recorder};
use crate::dispatch::{Fate, Happened};
use crate::session::SessionId;
use hashbrown::HashMap;
use std::collections::VecDeque;

/// See the module.
#[derive(Debug, Default)]
pub struct Records {
    /// By slot. Most reactors have none.
    live: HashMap<u32, Box<Recorder>>,
    /// Of sessions that have ended, each with when it is forgotten, in milliseconds of the server's clock: the next one first.
    kept: VecDeque<(u64, Box<Recorder>)>,
    /// Whose messages are being acted on, where it is recorded.
    acting: Acting,
    now_ns: u64,
}

/// Whose messages are being acted on, where that session is recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Acting {
    slot: Option<u32>,
    /// Whether its messages go out as frames.
    framed: bool,
}

impl Records {
    /// Whether any session here is recorded.
    #[inline]
    pub fn any(&self) -> bool {
        !self.live.is_empty()
    }

    /// From now on what becomes of messages is that of messages of the session in `slot`, which go out as frames or not, at
    /// `now_ns`. Returns whose it was until now.
    pub fn act_on(&mut self, slot: u32, framed: bool, now_ns: u64) -> Acting {
        let acting = Acting { slot: self.live.contains_key(&slot).then_some(slot), framed };
        self.now_ns = now_ns;
        std::mem::replace(&mut self.acting, acting)
    }

    /// It is again that of whoever it was before.
    #[inline]
    pub fn go_back(&mut self, before: Acting) {
        self.acting = before;
    }

    /// Whether what becomes of messages is recorded now.
    #[inline]
    pub fn is_acting(&self) -> bool {
        self.acting.slot.is_some()
    }

    /// The record of the session in `slot`.
    pub fn of_slot(&mut self, slot: u32) -> Option<&mut Recorder> {
        self.live.get_mut(&slot).map(|recorder| &mut **recorder)
    }

    /// The records of sessions that have a slot still, and of those that have ended.
    pub fn all(&self) -> impl Iterator<Item = &Recorder> {
        self.live
            .values()
            .map(|recorder| &**recorder)
            .chain(self.kept.iter().map(|(_, recorder)| &**recorder))
    }

    /// The record of this session.
    pub fn of(&self, session: SessionId) -> Option<&Recorder> {
        self.all().find(|recorder| recorder.subject.session == session)
    }

    /// The session is recorded from now on. Returns whether it was before: that record is forgotten.
    pub fn begin(&mut self, recorder: Recorder) -> bool {
        let slot = recorder.subject.session.slot();
        self.live.insert(slot, Box::new(recorder)).is_some()
    }

    /// Forgets the records that are `meant`. Returns how many there were.
    pub fn forget(&mut self, meant: impl Fn(&Recorder) -> bool) -> usize {
        let before = self.live.len() + self.kept.len();
        self.live.retain(|_, recorder| !meant(recorder));
        self.kept.retain(|(_, recorder)| !meant(recorder));
        self.give_back();
        before - self.live.len() - self.kept.len()
    }

    /// The slot of a session is free: its record is kept until `until_ms` of the server's clock.
    pub fn leave(&mut self, session: SessionId, until_ms: u64) {
        let slot = session.slot();
        if self.live.get(&slot).is_some_and(|recorder| recorder.subject.session == session)
            && let Some(recorder) = self.live.remove(&slot)
        {
            self.keep(recorder, until_ms);
            self.give_back();
        }
    }

    fn keep(&mut self, recorder: Box<Recorder>, until_ms: u64) {
        // The configuration may have become another one.
        let at = self.kept.partition_point(|(other_ms, _)| *other_ms <= until_ms);
        self.kept.insert(at, (until_ms, recorder));
    }

    /// Forgets what has been kept for long enough by `now_ms`. Returns how many there were.
    pub fn expire(&mut self, now_ms: u64) -> usize {
        let over = self.kept.iter().take_while(|(until_ms, _)| *until_ms <= now_ms).count();
        self.kept.drain(..over);
        over
    }

    /// When the next record is forgotten, in milliseconds of the server's clock.
    pub fn next_ms(&self) -> Option<u64> {
        self.kept.front().map(|(until_ms, _)| *until_ms)
    }

    /// The records, each with when it is forgotten where its session has ended.
    pub(super) fn carried(&self) -> impl Iterator<Item = (&Recorder, Option<u64>)> {
        let live = self.live.values().map(|recorder| (&**recorder, None));
        live.chain(self.kept.iter().map(|(until_ms, recorder)| (&**recorder, Some(*until_ms))))
    }

    pub(super) fn put(&mut self, recorder: Recorder, until_ms: Option<u64>) {
        match until_ms {
            None => _ = self.begin(recorder),
            Some(until_ms) => self.keep(Box::new(recorder), until_ms),
        }
    }

    /// The table begins anew, without the room that it had.
    fn give_back(&mut self) {
        if self.live.is_empty() {
            self.live = HashMap::new();
        }
    }

    /// `item` waits from now on.
    #[cold]
    pub fn admitted(&mut self, item: &Item) {
        let now_ns = self.now_ns;
        if let Some(recorder) = self.acted_on() {
            recorder.admitted(item, now_ns);
        }
    }

    /// `item` waits no more.
    #[cold]
    pub fn settled(&mut self, item: &Item, fate: Fate) {
        let (now_ns, framed) = (self.now_ns, self.acting.framed);
        if let Some(recorder) = self.acted_on() {
            recorder.settled(item, fate, framed, now_ns);
        }
    }

    /// `item` has never waited: there was no room for it.
    #[cold]
    pub fn turned_away(&mut self, item: &Item) {
        let now_ns = self.now_ns;
        if let Some(recorder) = self.acted_on() {
            recorder.lost_or_sent(item, Happened::Dropped, now_ns);
        }
    }

    fn acted_on(&mut self) -> Option<&mut Recorder> {
        self.acting.slot.and_then(|slot| self.of_slot(slot))
    }
}
