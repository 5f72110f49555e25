//! The sessions themselves as they cross between nodes: one that goes waits for nobody here any more, and one that comes is made
//! before its client is told of it, with no link told of it either. Knows nothing of what the nodes say to each other.

use super::lingering::is_away;
use super::traveller::Traveller;
use super::whereabouts::Whereabouts;
use super::{Changed, Claimed, Core, Envelope, Visited};
use crate::auth::Ticket;
use crate::cluster::crossing::Names;
use crate::connection::{Away, Claimant, Item, Kept, KeptFrame, KeptLimits, LocalPush, Resume, Tick};
use crate::dispatch::Fate;
use crate::metrics::ResumeFailure;
use crate::protocol::CloseCode;
use crate::session::{Name, SessionId};
use std::rc::Rc;
use std::sync::atomic::Ordering;

impl Core {
    /// Sends a claim to the reactor that has the session, or sees to it that the session comes here.
    pub fn pass_claim(&mut self, claimed: Box<Claimed>) {
        let session = claimed.claim.ticket.session;
        if let Whereabouts::Elsewhere(_) = claimed.claim.whereabouts {
            return self.claim_elsewhere(Traveller::Connection(claimed), session, 0);
        }
        let owner = usize::from(session.worker());
        let loads = &self.shared.loads;
        loads[self.index].clients.fetch_sub(1, Ordering::Relaxed);
        loads[owner].clients.fetch_add(1, Ordering::Relaxed);
        match owner == self.index {
            true => self.put_off_claim(claimed),
            false => self.peers.post_always(owner, Envelope::Resume(claimed)),
        }
    }

    /// A claim whose session has gone from here to another node goes after it. The claim, where it does not.
    pub fn divert_claim(&mut self, mut claimed: Box<Claimed>) -> Option<Box<Claimed>> {
        if claimed.claim.whereabouts != Whereabouts::Here {
            return Some(claimed);
        }
        match self.crossed_to(claimed.claim.ticket) {
            None => return Some(claimed),
            Some(None) => claimed.claim.whereabouts = Whereabouts::Refused(ResumeFailure::Unknown),
            Some(Some(new)) if new.node() == self.shared.node => {
                // There and back.
                claimed.claim.ticket = Ticket { session: new, number: 0 };
                self.pass_claim(claimed);
                return None;
            }
            Some(Some(new)) => {
                claimed.claim.whereabouts = Whereabouts::Elsewhere(None);
                self.claim_elsewhere(Traveller::Connection(claimed), new, 0);
                return None;
            }
        }
        Some(claimed)
    }

    /// The session in `slot`, whose client has come to another node and has read so many messages, waits for that node to take it.
    /// A connection that it has is told so, and a poll. `false` where as many are away as may be.
    pub(super) fn wait_for_another_node(&mut self, slot: u32, received: u64) -> bool {
        if !self.connections.slot(slot).is_some_and(is_away) {
            if !self.take_from_connection(slot) {
                return false;
            }
            self.skip_what_was_read(slot, received);
        }
        let until_ms = self.end_of_wait(self.linger_ms(slot));
        let Some(resume) = self.resume_of_mut(slot) else { return false };
        let waiting = resume.poll.as_mut().and_then(|poll| poll.waiting.take());
        // Its client is there: it waits anew for whoever is sooner here, that node or the client.
        if let Some(away) = &mut resume.away {
            away.until_ms = away.until_ms.max(until_ms);
        }
        if let Some(visitor) = waiting {
            self.metrics().polls.sub(1);
            self.answer_visit(visitor, Visited::Overtaken);
        }
        self.wheel_anew(slot);
        true
    }

    /// Makes the session, of these names, that goes on here for a client. It is away, and no link and no app knows of it.
    ///
    /// # Errors
    /// There is no room for it.
    pub(super) fn open_for_claim(
        &mut self,
        traveller: &Traveller,
        names: &Names,
    ) -> Result<SessionId, ResumeFailure> {
        let app = traveller.app();
        let linger_ms = self.rules.resume_rules.of(app).map(|rules| rules.linger_ms);
        let linger_ms = linger_ms.ok_or(ResumeFailure::Unknown)?;
        let (connection, address) = self.connection_for(traveller).ok_or(ResumeFailure::Gap)?;
        let mut connection = Some(connection);
        let made = |_| connection.take().expect("the slab calls for one value at the most");
        let id = self.connections.insert_with(made).ok_or(ResumeFailure::Gap)?;
        let slot = id.slot();
        let Names { user, groups, tags, profile } = names;
        let entered = self.shared.admission.enter(app, user.as_ref(), id, || address);
        let Ok(entered) = entered else {
            self.connections.remove(id);
            return Err(ResumeFailure::Gap);
        };
        if let (Some(_), Some(connection)) = (entered.network, self.connections.slot_mut(slot)) {
            connection.extras().session_from = entered.network;
        }
        self.hub.insert(id, app);
        self.put_user(slot, user.as_ref());
        self.put_profile(slot, profile.clone());
        groups.iter().for_each(|group| _ = self.hub.join(slot, group));
        tags.iter().for_each(|tag| _ = self.hub.tag(slot, tag));
        let metrics = self.metrics();
        metrics.opened.of(app.0).add(1);
        metrics.apps.sessions.of(app.0).add(1);
        entered.displaced.into_iter().for_each(|old| self.replace(app, old, id));
        // Who names nobody is whom the session is bound to: the user that opened it is known to the other node alone.
        let opener = traveller.claimant().unwrap_or(user.as_ref());
        self.put_resume(slot, Resume::of_crossed(self.claimant_of(opener)));
        let until_ms = self.end_of_wait(linger_ms);
        let away = Away { until_ms, code: CloseCode::ABNORMAL.0, reason: "".into() };
        if !self.go_away(slot, away) {
            self.unmake_crossed(id);
            return Err(ResumeFailure::Gap);
        }
        self.arm(slot);
        Ok(id)
    }

    fn claimant_of(&self, user: Option<&Name>) -> Claimant {
        Claimant(self.shared.tickets.digest_of_user(user.map(|user| user.as_str())))
    }

    /// The names of a session that is on its way here are these by now.
    pub(super) fn rename_crossed(&mut self, slot: u32, names: &Names) {
        let Names { user, groups, tags, profile } = names;
        self.put_user(slot, user.as_ref());
        self.put_profile(slot, profile.clone());
        let left: Vec<Name> =
            self.hub.groups_of(slot).filter(|group| !groups.contains(group)).cloned().collect();
        left.iter().for_each(|group| _ = self.hub.leave(slot, group));
        groups.iter().for_each(|group| _ = self.hub.join(slot, group));
        let gone: Vec<Name> = self.hub.tags_of(slot).filter(|tag| !tags.contains(tag)).cloned().collect();
        gone.iter().for_each(|tag| _ = self.hub.untag(slot, tag));
        tags.iter().for_each(|tag| _ = self.hub.tag(slot, tag));
    }

    /// The session does not come after all: nobody has been told of it.
    pub(super) fn unmake_crossed(&mut self, id: SessionId) {
        self.end_session(id.slot(), CloseCode::ABNORMAL.0, "");
        self.doom(id.slot());
        self.ended.retain(|ended| ended.id != id);
    }

    /// The session in `slot`, which has come, has been sent so many messages, of which its client has not read these. `None` where
    /// that cannot be.
    pub(super) fn put_kept(&mut self, slot: u32, sent: u64, frames: Vec<Rc<KeptFrame>>) -> Option<()> {
        let first = sent.checked_sub(frames.len() as u64)?;
        let place = self.connections.slot(slot)?.resume()?;
        let resume = self.resumes.get_mut(place)?;
        let mut kept = Kept::since(first, first);
        // They were within the bounds of the other node.
        let any = KeptLimits { messages: usize::MAX, bytes: usize::MAX };
        frames.into_iter().for_each(|frame| kept.keep(frame, any, &mut self.settlements));
        resume.kept.forget(&mut self.settlements);
        resume.kept = kept;
        Some(())
    }

    /// Gives the session in `slot` a push that was held for it.
    pub(super) fn offer_what_was_held(&mut self, slot: u32, local: Rc<LocalPush>, tick: Option<Tick>) {
        let item = Item::Shared(Rc::clone(&local), self.wire_for(slot, local.push()));
        let taken = match tick {
            None => self.offer(slot, item),
            Some(tick) => self.offer_for_tick(slot, item, tick),
        };
        self.let_go_of_held(&local, (!taken).then_some(Fate::Dropped));
    }

    /// A push that was held for a session is not for it: the session got it on the other node, or did not come.
    pub(super) fn leave_held_out(&mut self, local: &Rc<LocalPush>) {
        self.settlements.closed += 1;
        self.let_go_of_held(local, Some(Fate::Closed));
    }

    /// The session in `slot` has come from another node: who is told of changes is told of its groups with it, and other nodes hear
    /// of its place.
    pub fn crossed_session_opens(&mut self, slot: u32) {
        let (Some(id), Some(app)) = (self.hub.id_of(slot), self.hub.app_of(slot)) else { return };
        self.took_place(app, id);
        for group in self.hub.groups_of(slot).cloned().collect::<Vec<_>>() {
            self.note_change(slot, Changed::Joined(group));
        }
        self.note_rerouted(slot);
    }
}
