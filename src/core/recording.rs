//! Who is recorded here: orders carried out, and what happens to a session told to its record. Where nobody is recorded each of
//! these is one look at an empty table.

use super::Core;
use super::changing::slot_of;
use super::record_orders::Order;
use crate::connection::{Acting, Began, CarriedRecord, Flag, Phase, RecordBounds, Recorder, Subject};
use crate::dispatch::{Action, CommandError, Operation, Recorded};
use crate::session::{AppId, SessionId};
use crate::timer::Clock;
use crate::upgrade::InvalidState;

impl Core {
    /// What becomes of messages from here on is that of messages of the session in `slot`, until [`Core::end_acting`] is given what
    /// this returns.
    #[inline]
    pub(super) fn act_for(&mut self, slot: u32) -> Option<Acting> {
        match self.settlements.records.any() {
            true => Some(self.act_for_recorded(slot)),
            false => None,
        }
    }

    #[cold]
    fn act_for_recorded(&mut self, slot: u32) -> Acting {
        let now_ns = self.shared.clock.now().ns;
        let framed = self
            .connections
            .slot(slot)
            .is_some_and(|connection| !connection.flags.has(Flag::Stream) && connection.phase != Phase::Away);
        self.settlements.records.act_on(slot, framed, now_ns)
    }

    /// See [`Core::act_for`].
    #[inline]
    pub(super) fn end_acting(&mut self, before: Option<Acting>) {
        if let Some(before) = before {
            self.settlements.records.go_back(before);
        }
    }

    /// Bytes for the session in `slot` have come, or come again after a pause.
    #[inline]
    pub fn record_input(&mut self, slot: u32, bytes: &[u8]) {
        if self.settlements.records.any() {
            self.tell_record(slot, |recorder, now_ns| recorder.came(bytes, now_ns));
        }
    }

    /// The last so many of these wait, and come again.
    #[inline]
    pub fn record_held(&mut self, slot: u32, bytes: usize) {
        if self.settlements.records.any() {
            self.tell_record(slot, |recorder, _| recorder.held(bytes));
        }
    }

    /// The client of the session in `slot` has said something over plain HTTP.
    pub fn record_said(&mut self, slot: u32, is_text: bool, payload: &[u8]) {
        if self.settlements.records.any() {
            self.tell_record(slot, |recorder, now_ns| recorder.said(is_text, payload, now_ns));
        }
    }

    /// Bytes of the connection's own have gone to its socket past the outbox, the first `taken` of them.
    #[inline]
    pub(super) fn record_written(&mut self, slot: u32, pieces: &[&[u8]], taken: usize) {
        if self.settlements.records.any() {
            self.tell_record(slot, |recorder, now_ns| recorder.wrote(pieces, taken, now_ns));
        }
    }

    /// The session in `slot` has another socket, or none.
    pub(super) fn record_parting(&mut self, slot: u32) {
        if self.settlements.records.any() {
            self.tell_record(slot, |recorder, _| recorder.parted());
        }
    }

    /// The session in `slot` is over.
    pub(super) fn record_end(&mut self, slot: u32, code: u16, reason: &str) {
        if self.settlements.records.any() {
            self.tell_record(slot, |recorder, now_ns| recorder.ended(code, reason, now_ns));
        }
    }

    #[cold]
    fn tell_record(&mut self, slot: u32, tell: impl FnOnce(&mut Recorder, u64)) {
        let now_ns = self.shared.clock.now().ns;
        if let Some(recorder) = self.settlements.records.of_slot(slot) {
            tell(recorder, now_ns);
        }
    }

    /// The slot of a session is free: its record is kept for a while.
    pub(super) fn leave_record(&mut self, id: SessionId) {
        if self.settlements.records.any() {
            let kept_ms = self.rules.settings.config.timeouts.record_kept.as_millis() as u64;
            self.settlements.records.leave(id, self.now.ms + kept_ms);
        }
    }

    /// Forgets the records that have been kept for as long as they may be.
    pub fn expire_records(&mut self) {
        let over = self.settlements.records.expire(self.now.ms);
        if over > 0 {
            self.shared.record_orders.give_back(over);
        }
    }

    /// A session has opened: it is recorded where that was ordered of its user.
    pub fn record_as_ordered(&mut self, id: SessionId) {
        let (app, user) = (self.hub.app_of(id.slot()), self.hub.user_of(id.slot()));
        if let (Some(app), Some(user)) = (app, user)
            && let Some(Order { frames, .. }) = self.shared.record_orders.take(app, user, self.now.ms)
        {
            self.begin_record(app, id, frames);
        }
    }

    /// The records of another process. Their sessions arrive behind them.
    ///
    /// # Errors
    /// What is wrong with one.
    pub(super) fn restore_records(&mut self, carried: Vec<CarriedRecord>) -> Result<(), InvalidState> {
        self.shared.record_orders.take_over(carried.len());
        self.settlements.records.go_on_from(carried)
    }

    /// All connections have arrived. What is recorded of one that could not come is kept for a while.
    pub(super) fn records_have_arrived(&mut self) {
        let records = self.settlements.records.all().map(|recorder| recorder.subject().session);
        let gone: Vec<SessionId> = records.filter(|id| self.connections.get(*id).is_none()).collect();
        gone.into_iter().for_each(|id| self.leave_record(id));
    }

    /// This reactor's part of an operation about a record.
    pub(super) fn operate_record(&mut self, operation: &Operation) {
        let app = operation.app;
        match &operation.action {
            Action::Record { of: Recorded::Session(id), frames } => {
                if let Err(error) = self.record(app, *id, *frames) {
                    operation.fail(error);
                }
            }
            Action::StopRecord { of } => {
                let forgotten = self.settlements.records.forget(|recorder| is_of(recorder, app, of));
                self.shared.record_orders.give_back(forgotten);
                operation.count_sessions(forgotten as u32);
            }
            Action::ReadRecord { of } => {
                for recorder in self.settlements.records.all().filter(|recorder| is_of(recorder, app, of)) {
                    let session = recorder.subject().session;
                    let live = self.hub.id_of(session.slot()) == Some(session);
                    operation.found_record(recorder.record(live));
                }
            }
            _ => {}
        }
    }

    fn record(&mut self, app: AppId, id: SessionId, frames: usize) -> Result<(), CommandError> {
        if slot_of(self, app, id).is_none() {
            return Err(CommandError::unknown_session(id));
        }
        if self.settlements.records.of(id).is_none() {
            let most = self.rules.settings.config.limits.records;
            self.shared.record_orders.take_place(most, self.now.ms)?;
        }
        self.begin_record(app, id, frames);
        Ok(())
    }

    /// The session, which is there and has a place for its record, is recorded from now on.
    fn begin_record(&mut self, app: AppId, id: SessionId, frames: usize) {
        let slot = id.slot();
        let limits = &self.rules.settings.config.limits;
        let bounds =
            RecordBounds { events: frames.clamp(1, limits.record_frames), head: limits.record_head_bytes };
        let began = Began { unix_ms: Clock::wall_unix_ms(), ns: self.shared.clock.now().ns };
        let subject = Subject { session: id, app, user: self.hub.user_of(slot).cloned() };
        let connection = self.connections.slot(slot);
        let websocket = connection.and_then(|connection| connection.websocket.as_ref());
        let outbox = connection.and_then(|connection| connection.outbox.as_ref());
        let is_own = outbox.is_some_and(|outbox| outbox.is_own_on_wire());
        self.settlements.records.begin(Recorder::new(subject, began, bounds, websocket, is_own));
    }
}

/// Whether it is the record of `of`, which is of this app.
fn is_of(recorder: &Recorder, app: AppId, of: &Recorded) -> bool {
    let Subject { session, app: own, user } = recorder.subject();
    *own == app
        && match of {
            Recorded::Session(id) => session == id,
            Recorded::User(name) => user.as_ref() == Some(name),
        }
}
