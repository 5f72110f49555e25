//! What becomes of the sessions of a link of a share that has ended: others of the share take them over, and get what no socket
//! had taken, each session's events in their order, before anything newer.
//!
//! Events come from many reactors to the link's own, and those that are newer go to other links from the moment that a reactor
//! has struck this one off its list. So that none of them overtakes:
//!
//! 1. Every reactor holds back the events for the link. Each says so to the link's reactor, behind all events that it has sent
//!    there: when all have, nothing is on its way.
//! 2. The link's reactor sends what no socket had taken to the links that take over, and waits until all of that is in their
//!    mailboxes.
//! 3. Every reactor strikes the link off, and sends what it has held back to those that have taken over.
//!
//! One link after the other on the whole server: where two of a share end at a time, what was handed to the second waits in its
//! seat, and is handed on with its own.

use super::super::{Core, Envelope};
use super::ring::Kept;
use crate::dispatch::{Action, Apps, LinkForm, Operation, Origin};
use crate::session::{AppId, Name, SessionId};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// An event for whoever has the session now.
#[derive(Debug)]
pub struct HandOn {
    /// The link that was to get it.
    pub link: SessionId,
    /// The app and the share of that link.
    pub app: AppId,
    /// See there.
    pub share: Name,
    /// How it speaks: so it is encoded.
    pub form: LinkForm,
    /// The event.
    pub kept: Kept,
}

/// A link that is being taken over from.
#[derive(Debug)]
pub(super) struct Handing {
    link: SessionId,
    step: Step,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// So many reactors do not hold back yet.
    Holding(usize),
    /// What no socket had taken is being sent.
    Sending,
    /// So many reactors have not struck the link off.
    Striking(usize),
}

impl Core {
    /// Whether events for the link are held back here; then this one is.
    fn hold_event(&mut self, link: SessionId, kept: Kept) -> Result<(), Kept> {
        match self.seats.held.is_empty() {
            true => Err(kept),
            false => match self.seats.held.get_mut(&link) {
                Some(held) => {
                    held.push(kept);
                    Ok(())
                }
                None => Err(kept),
            },
        }
    }

    /// Sends an event, which has entered the gate of `link`, on its way.
    pub fn post_event(&mut self, link: SessionId, kept: Kept) {
        let Err(kept) = self.hold_event(link, kept) else { return };
        let Err(kept) = self.wait_with_event(link, kept) else { return };
        self.send_event(link, kept);
    }

    fn send_event(&mut self, link: SessionId, Kept { session, frame }: Kept) {
        match usize::from(link.worker()) {
            own if own == self.index => self.event_arrives(link, session, frame),
            // The gate bounds what is on its way; the mailbox must not lose any of it.
            other => self.peers.post_always(other, Envelope::Event(link, session, frame)),
        }
    }

    /// From now on events for `link` are held back here, until it is struck off.
    pub fn hold_for(&mut self, link: SessionId) {
        for kept in self.events_that_wait_for(link) {
            self.send_event(link, kept);
        }
        self.seats.held.entry(link).or_default();
        self.tell_handing(link);
    }

    /// This reactor is through with a step.
    fn tell_handing(&mut self, link: SessionId) {
        match usize::from(link.worker()) {
            own if own == self.index => self.one_is_through(link),
            other => self.peers.post_always(other, Envelope::Through(link)),
        }
    }

    /// A reactor is through with a step of what is being done for `link`.
    pub fn one_is_through(&mut self, link: SessionId) {
        if let Some(Handing { step: Step::Holding(left) | Step::Striking(left), .. }) =
            self.seats.handing.as_mut().filter(|handing| handing.link == link)
        {
            *left -= 1;
        }
    }

    /// The link has been struck off: what was held back for it here goes to whoever has its sessions now.
    pub(in crate::core) fn release_held(&mut self, link: SessionId, of: Option<(AppId, Name, LinkForm)>) {
        let Some(held) = self.seats.held.remove(&link) else { return };
        match of {
            Some((app, share, form)) => {
                let hand_on = |kept| HandOn { link, app, share: share.clone(), form, kept };
                self.seats.released.extend(held.into_iter().map(hand_on));
            }
            None => self.metrics().link_events_lost.add(held.len() as u64),
        }
        self.tell_handing(link);
    }

    /// What is to be sent to whoever has the sessions of its link now.
    pub fn take_released(&mut self) -> Vec<HandOn> {
        std::mem::take(&mut self.seats.released)
    }

    /// Goes on with the links that have ended, as far as it can. Whether something is to be done before it can go on.
    pub fn go_on_with_endings(&mut self) -> bool {
        self.seats.looked = true;
        match self.seats.handing.as_ref().map(|handing| (handing.link, handing.step)) {
            None => self.begin_ending(),
            Some((link, Step::Holding(0))) => {
                self.send_unwritten(link);
                true
            }
            Some((link, Step::Sending)) if self.seats.released.is_empty() && self.peers.backlog() == 0 => {
                let striking = Step::Striking(self.shared.reactors());
                self.seats.handing = Some(Handing { link, step: striking });
                self.strike_off(link);
                true
            }
            Some((_, Step::Striking(0))) => {
                self.seats.handing = None;
                self.shared.handing_on.store(0, Release);
                // Another reactor may have waited for that.
                self.call_all();
                true
            }
            Some((_, Step::Holding(_) | Step::Sending | Step::Striking(_))) => false,
        }
    }

    /// Begins with the next link that has ended. Whether there was one that nobody waits for.
    fn begin_ending(&mut self) -> bool {
        let Some(link) = self.seats.endings.front().copied() else { return false };
        if self.listeners.share_of(link).is_none() {
            self.seats.endings.pop_front();
            let seat = self.seats.remove(link);
            let Some(mut seat) = seat else { return true };
            self.count_unconfirmed(&seat);
            self.metrics().link_events_lost.add(seat.ring.restart());
            if seat.asks {
                self.strike_off(link);
            }
            return true;
        }
        // The bits of an id are never all 0: slot 0 of generation 0 on reactor 0 of node 0 is one more here.
        let mine = link.as_u64().wrapping_add(1);
        if self.shared.handing_on.compare_exchange(0, mine, AcqRel, Acquire).is_err() {
            return false;
        }
        self.seats.endings.pop_front();
        let reactors = self.shared.reactors();
        self.seats.handing = Some(Handing { link, step: Step::Holding(reactors) });
        for reactor in (0..reactors).filter(|reactor| *reactor != self.index) {
            self.peers.post_always(reactor, Envelope::Hold(link));
        }
        self.hold_for(link);
        true
    }

    /// Every event for the link that was on its way is here.
    fn send_unwritten(&mut self, link: SessionId) {
        if let Some(handing) = &mut self.seats.handing {
            handing.step = Step::Sending;
        }
        let Some(mut seat) = self.seats.remove(link) else { return };
        self.count_unconfirmed(&seat);
        let unwritten = seat.ring.take_unwritten();
        match self.listeners.share_of(link) {
            Some((app, share, form)) => {
                let hand_on = |kept| HandOn { link, app, share: share.clone(), form, kept };
                self.seats.released.extend(unwritten.into_iter().map(hand_on));
            }
            None => self.metrics().link_events_lost.add(unwritten.len() as u64),
        }
    }

    /// What a socket took of a link that did not say goodbye, and that it has not said to have read.
    fn count_unconfirmed(&self, seat: &super::Seat) {
        if seat.resume.is_some() && !seat.leaves {
            self.metrics().link_events_unconfirmed.add(seat.ring.unconfirmed());
        }
    }

    /// Every reactor forgets the link.
    fn strike_off(&mut self, link: SessionId) {
        // Where it is not in the list yet, what puts it there is in front of this. The app has no part in it.
        let app = self.listeners.app_of(link).unwrap_or(Apps::DEFAULT);
        self.start_operation(Operation::new(app, Action::Unlisten { link }, Origin::Nobody));
    }

    /// What the seats keep, for the counters.
    pub(in crate::core) fn count_seats(&self) {
        let (events, bytes) = self.seats.kept;
        self.metrics().link_kept_events.set(events as u64);
        self.metrics().link_kept_bytes.set(bytes as u64);
        debug_assert!(self.shared.links_away.load(Relaxed) < usize::MAX / 2, "no link comes back twice");
    }
}
