//! A user who has all the sessions that it may have is refused another. Those that it has are asked at once whether their clients are
//! still there, so that one that has vanished does not keep its user out: what does not answer in time makes room, and the next try
//! gets in. Knows nothing of who is refused, nor of how the refusal is told.

use super::places::Probe;
use super::{Core, Envelope};
use crate::connection::{Flag, Phase};
use crate::session::{AppId, Name};

impl Core {
    /// The user has all the sessions of the app that it may have, and asks for another.
    pub fn probe_sessions_of(&mut self, app: AppId, user: &Name) {
        let probe_ms = self.rules.settings.silence.probe_ms;
        if probe_ms == 0 {
            return;
        }
        let mut sessions = self.shared.admission.probe(app, user, self.now.ms, probe_ms);
        sessions.reverse();
        self.probe(Probe { app, sessions, has_cut: false });
    }

    /// Asks the sessions that are here, and goes on to the reactor of the next.
    pub fn probe(&mut self, mut probe: Probe) {
        while let Some(id) = probe.sessions.pop() {
            let reactor = usize::from(id.worker());
            if reactor != self.index {
                probe.sessions.push(id);
                return self.peers.post_always(reactor, Envelope::Probe(Box::new(probe)));
            }
            match self.hub.contains(id, probe.app) {
                true => self.probe_session(id.slot(), &mut probe.has_cut),
                // It has gone meanwhile: there is the place.
                false => probe.has_cut = true,
            }
        }
    }

    fn probe_session(&mut self, slot: u32, has_cut: &mut bool) {
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        match connection.phase {
            Phase::Away if !*has_cut => *has_cut = self.cut_wait(slot),
            // One that is not read has sent more than was read; one that has been asked has its time; a stream cannot be asked.
            Phase::Open
                if !connection.is_paused()
                    && !connection.flags.has(Flag::Probed)
                    && !connection.flags.has(Flag::Stream) =>
            {
                self.ping(slot);
                if let Some(connection) = self.connections.slot_mut(slot)
                    && connection.flags.has(Flag::Pinged)
                {
                    connection.flags.set(Flag::Probed);
                }
                self.arm(slot);
            }
            _ => {}
        }
    }

    /// The client of the session in `slot`, which is away, has no longer to come back than others have to answer. Returns whether that
    /// is so: one that polls is not away for its user, and keeps its time.
    fn cut_wait(&mut self, slot: u32) -> bool {
        let until_ms = self.end_of_wait(self.rules.settings.silence.probe_ms);
        let Some(resume) = self.resume_of_mut(slot).filter(|resume| resume.poll.is_none()) else {
            return false;
        };
        if let Some(away) = &mut resume.away {
            away.until_ms = away.until_ms.min(until_ms);
        }
        self.arm(slot);
        true
    }
}
