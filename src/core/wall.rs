//! The wall clock, which is set while a server runs: by an operator, by a time server after a bad start. Timers run on the
//! monotonic clock; the end of a token is a reading of the wall clock, and follows it.

use super::{Changed, Core};
use crate::connection::Connection;
use crate::dispatch::EventKind;

/// A difference that is no drift: the clock has been set.
const STEP_MS: u64 = 500;

/// How often the clock is looked at while a session's end depends on it.
const LOOK_MS: u64 = 1_000;

/// What is known of the wall clock.
#[derive(Debug, Default)]
pub(super) struct Wall {
    /// Sessions that end with their token.
    expiring: usize,
    /// When it was last looked at, in milliseconds of the server's clock, and what it said.
    looked: Option<(u64, u64)>,
}

impl Core {
    /// The session in `slot` ends at `expires_unix_ms` of the wall clock, which says `unix_ms` now.
    pub fn expire_at(&mut self, slot: u32, expires_unix_ms: u64, unix_ms: u64) {
        let now_ms = self.now.ms;
        self.wall.looked.get_or_insert((now_ms, unix_ms));
        if let Some(connection) = self.connections.slot_mut(slot) {
            let extras = connection.extras();
            extras.has_told_end = false;
            let is_new = extras.expires_unix_ms.replace(expires_unix_ms).is_none();
            extras.expires_ms = Some(now_ms.saturating_add(expires_unix_ms.saturating_sub(unix_ms)));
            self.wall.expiring += usize::from(is_new);
        }
    }

    /// The same for a session of another process: links that have been told are not told again.
    pub(super) fn arrive_with_end(&mut self, slot: u32, expires_unix_ms: u64, unix_ms: u64) {
        let told =
            |connection: &Connection| connection.extras.as_ref().is_some_and(|extras| extras.has_told_end);
        let has_told = self.connections.slot(slot).is_some_and(told);
        self.expire_at(slot, expires_unix_ms, unix_ms);
        if let Some(connection) = self.connections.slot_mut(slot) {
            connection.extras().has_told_end = has_told;
        }
    }

    /// The session in `slot` goes on under another proof: it ends with that one, or not by the clock at all.
    pub fn set_expiry(&mut self, slot: u32, expires_unix_ms: Option<u64>, unix_ms: u64) {
        if let Some(expires_unix_ms) = expires_unix_ms {
            return self.expire_at(slot, expires_unix_ms, unix_ms);
        }
        // Where tokens end no session, a backend may have set its end.
        if self.hub.app_of(slot).is_some_and(|app| !self.rules.resume_rules.token_ends_session(app)) {
            return;
        }
        let extras = self.connections.slot_mut(slot).and_then(|connection| connection.extras.as_mut());
        if let Some(extras) = extras
            && extras.expires_unix_ms.take().is_some()
        {
            extras.expires_ms = None;
            self.expires_no_more();
        }
    }

    /// When links are to be told that the token of the session in `slot` ends soon, in milliseconds of the server's clock.
    pub(super) fn expiring_due_ms(&self, slot: u32) -> Option<u64> {
        if self.wall.expiring == 0 || !self.listeners.any_wants(EventKind::Expiring) {
            return None;
        }
        let extras = self.connections.slot(slot)?.extras.as_ref().filter(|extras| !extras.has_told_end)?;
        self.hub.id_of(slot)?;
        let before = self.rules.settings.config.auth.expiring_before;
        Some(extras.expires_ms?.saturating_sub(before.as_millis() as u64))
    }

    /// The token of the session in `slot` ends soon.
    pub fn note_expiring(&mut self, slot: u32) {
        let extras = self.connections.slot_mut(slot).and_then(|connection| connection.extras.as_mut());
        let Some(extras) = extras else { return };
        extras.has_told_end = true;
        if let Some(expires_unix_ms) = extras.expires_unix_ms {
            self.note_change(slot, Changed::Expiring(expires_unix_ms));
        }
    }

    /// A link asks for the ends of tokens, and none did.
    pub(super) fn arm_expiring(&mut self) {
        if self.wall.expiring > 0 {
            let slots: Vec<u32> = self.connections.slots().collect();
            slots.into_iter().for_each(|slot| self.arm(slot));
        }
    }

    /// A session that was to end with its token is gone.
    pub fn expires_no_more(&mut self) {
        self.wall.expiring = self.wall.expiring.saturating_sub(1);
        if self.wall.expiring == 0 {
            self.wall.looked = None;
        }
    }

    /// When the wall clock is to be looked at, in milliseconds of the server's clock.
    pub fn next_look_ms(&self) -> Option<u64> {
        self.wall.looked.map(|(looked_ms, _)| looked_ms + LOOK_MS)
    }

    /// Looks at the wall clock, if it is time to: where it has been set, the ends of all tokens move with it.
    pub fn look_at_wall_clock(&mut self, read: impl FnOnce() -> u64) {
        let (now_ms, Some((looked_ms, said_ms))) = (self.now.ms, self.wall.looked) else { return };
        if now_ms < looked_ms + LOOK_MS {
            return;
        }
        let unix_ms = read();
        self.wall.looked = Some((now_ms, unix_ms));
        let expected_ms = said_ms + (now_ms - looked_ms);
        if unix_ms.abs_diff(expected_ms) < STEP_MS {
            return;
        }
        log::warn!(
            "reactor {}: the wall clock was set by {} ms: {} sessions end with their tokens by it",
            self.index,
            unix_ms as i64 - expected_ms as i64,
            self.wall.expiring
        );
        let slots: Vec<u32> = self.connections.slots().collect();
        for slot in slots {
            let extras =
                self.connections.slot_mut(slot).and_then(|connection| connection.extras.as_deref_mut());
            let Some(extras) = extras else { continue };
            let Some(expires_unix_ms) = extras.expires_unix_ms else { continue };
            extras.expires_ms = Some(now_ms.saturating_add(expires_unix_ms.saturating_sub(unix_ms)));
            self.arm(slot);
        }
    }
}
