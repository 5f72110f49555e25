//! Events on their way to links: encoded once for each form that some link wants, and counted at each link's gate.

use super::api::heard::with_event;
use super::api::render;
use crate::core::{Captured, Core, Envelope, EventLost, HandOn, Kept, Order, Recipient, SessionState, Tell};
use crate::dispatch::{EncodedFrame, EventForm, EventSet, LinkForm};
use crate::link_bin::{Details, Event, Reply, Resumption, State, TooLong};
use crate::session::SessionId;
use smallvec::SmallVec;
use std::borrow::Cow;

/// Where events are rendered.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    json: String,
    binary: Vec<u8>,
}

impl Scratch {
    /// Sends an event that is about `session` to each of `links`, wherever it is, behind what is older; with `details` of the session
    /// for those that ask. Of what is about a user, `session` says which of the links of a share gets it.
    pub fn send(
        &mut self,
        core: &mut Core,
        links: &[Recipient],
        session: SessionId,
        event: &Event<'_>,
        details: Option<&Details<'_>>,
    ) {
        // The players of a message are paused while a link is behind; sessions open and end all the same.
        let can_wait = matches!(event, Event::Message { .. });
        self.send_in_order(core, links, session, (event, details), can_wait);
    }

    /// The same of an event that was held: it goes in however much is on its way, since what is held is bounded.
    pub fn send_held(
        &mut self,
        core: &mut Core,
        links: &[Recipient],
        session: SessionId,
        event: &Event<'_>,
        details: &Details<'_>,
    ) {
        self.send_in_order(core, links, session, (event, Some(details)), true);
    }

    fn send_in_order(
        &mut self,
        core: &mut Core,
        links: &[Recipient],
        session: SessionId,
        told: (&Event<'_>, Option<&Details<'_>>),
        can_wait: bool,
    ) {
        self.follow_orders(core);
        self.send_now(core, links, session, told, can_wait);
        // A session may have moved while that was done.
        self.follow_orders(core);
    }

    fn send_now(
        &mut self,
        core: &mut Core,
        links: &[Recipient],
        session: SessionId,
        (event, details): (&Event<'_>, Option<&Details<'_>>),
        can_wait: bool,
    ) {
        let mut encoded: SmallVec<[(EventForm, Result<EncodedFrame, TooLong>); 2]> = SmallVec::new();
        for Recipient { link, form, is_held } in links {
            let frame = match encoded.iter().position(|(known, _)| known == form) {
                Some(known) => &encoded[known].1,
                None => {
                    let with = form.with.without(event.shows());
                    let details = details.map_or(Details::default(), |details| details.only(with));
                    encoded.push((*form, self.encode(form.form, event, &details)));
                    &encoded[encoded.len() - 1].1
                }
            };
            let entered = match frame {
                Ok(frame) => core.enter_gate(*link, frame.wire_len(), can_wait).map(|()| frame.clone()),
                // A session with more tags than the layout counts.
                Err(TooLong { .. }) => Err(EventLost { is_first: true }),
            };
            match entered {
                Ok(frame) => {
                    let kept = Kept { session, frame };
                    match is_held {
                        true => core.listeners.hold(*link, form.form, kept),
                        false => core.post_event(*link, kept),
                    }
                }
                Err(EventLost { is_first }) => {
                    core.metrics().link_events_lost.add(1);
                    if is_first {
                        let reactor = usize::from(link.worker());
                        core.peers.post_always(reactor, Envelope::EventsLost(*link));
                    }
                }
            }
        }
        // One very long message must not leave its room behind.
        const KEPT: usize = 64 * 1024;
        self.json.shrink_to(KEPT);
        self.binary.shrink_to(KEPT);
    }

    /// Tells links whose sessions are, and hands on what others did not get: all that is older than the next event.
    pub fn follow_orders(&mut self, core: &mut Core) {
        while core.listeners.has_orders() {
            for order in core.take_orders() {
                match order {
                    Order::State { link, form, session, tell } => {
                        let Some(state) = core.state_of(session) else { continue };
                        let link = Recipient { link, form, is_held: false };
                        self.tell_state(core, link, session, &state, tell);
                    }
                    Order::Synced { link } => {
                        if let Some(form) = core.told_of_all(link) {
                            self.send_own(core, link, form, &Event::Synced);
                        }
                    }
                    Order::Gap { link } => {
                        if let Some(form) = core.listeners.form_of(link) {
                            self.send_own(core, link, form, &Event::Gap);
                        }
                    }
                    Order::Unassigned { link, form, session } => {
                        let Some(state) = core.state_of(session) else { continue };
                        let link = Recipient { link, form, is_held: false };
                        let app = core.rules.apps.name_of(state.app).clone();
                        let event = Event::Unassigned { session, user: state.user.as_deref() };
                        let details = details_of(&state.captured, &app);
                        self.send_now(core, &[link], session, (&event, Some(&details)), false);
                    }
                    Order::Await { link, session, barrier } => core.await_barrier(link, session, barrier),
                    Order::HandOn(hand_on) => self.hand_on(core, hand_on),
                }
            }
        }
    }

    fn tell_state(
        &mut self,
        core: &mut Core,
        link: Recipient,
        session: SessionId,
        state: &SessionState,
        tell: Tell,
    ) {
        let SessionState { app, user, captured, remote, since_unix_ms, away } = state;
        let app = core.rules.apps.name_of(*app).clone();
        let state = State {
            session,
            user: user.as_deref(),
            app: &app,
            remote: *remote,
            since_unix_ms: *since_unix_ms,
            groups: (&captured.groups).into(),
            tags: (&captured.tags).into(),
            away: *away,
        };
        let event = match tell {
            Tell::Assigned => Event::Assigned(state),
            Tell::Session { .. } => Event::Session(state),
        };
        let details = details_of(captured, &app);
        // It is told as the link has room, or with an event that has found room.
        self.send_now(core, &[link], session, (&event, Some(&details)), true);
    }

    /// Sends an event that another link did not get, as it was made for that one where both speak alike.
    fn hand_on(&mut self, core: &mut Core, hand_on: HandOn) {
        let HandOn { link, form, events, counted_for, encoded_for, kept: Kept { session, frame } } = hand_on;
        let bytes = frame.wire_len();
        counted_for.into_iter().for_each(|old| core.leave_gate(old, bytes, 1));
        let EventForm { form, with } = form;
        let handed = with_event(&frame, encoded_for, |event: &Event<'_>, details: &Details<'_>| {
            // That it has missed something, or has or had a session, is its own affair; what is not asked for is not lost.
            let kind = event.kind().filter(|kind| !EventSet::OWNERSHIP.has(*kind) && events.has(*kind))?;
            let is_same = form == encoded_for && details.with().without(with).is_empty();
            let encoded = match is_same {
                true => Ok(frame.clone()),
                false => self.encode(form, event, &details.only(with)),
            };
            Some((kind, encoded))
        });
        let frame = match handed {
            Some(None) => return,
            Some(Some((_, Ok(frame)))) => frame,
            Some(Some((_, Err(TooLong { .. })))) | None => return core.metrics().link_events_lost.add(1),
        };
        core.metrics().link_events_handed_on.add(1);
        // It was let in at the gate of the link that did not get it.
        _ = core.enter_gate(link, frame.wire_len(), true);
        core.post_event(link, Kept { session, frame });
    }

    /// Tells a link of this reactor something that is about itself.
    pub fn send_own(&mut self, core: &mut Core, link: SessionId, form: LinkForm, event: &Event<'_>) {
        // It has no tags, and so always fits.
        let Ok(frame) = self.encode(form, event, &Details::default()) else { return };
        _ = core.enter_gate(link, frame.wire_len(), true);
        core.event_arrives(link, event.session(), frame);
    }

    /// The first message of a link that can be resumed.
    pub fn first(&mut self, form: LinkForm, resumption: Resumption<'_>) -> EncodedFrame {
        match form {
            LinkForm::Json => {
                self.json.clear();
                render::resumption(&mut self.json, &resumption);
                EncodedFrame::text(&self.json)
            }
            LinkForm::Binary => {
                self.binary.clear();
                // It has no names, and so always fits.
                _ = Reply::Resume(resumption).encode(0, &mut self.binary);
                EncodedFrame::binary(&self.binary)
            }
        }
    }

    /// The frame of an event.
    ///
    /// # Errors
    /// [`TooLong`] for a session with more names than the layout counts.
    pub fn encode(
        &mut self,
        form: LinkForm,
        event: &Event<'_>,
        details: &Details<'_>,
    ) -> Result<EncodedFrame, TooLong> {
        match form {
            LinkForm::Json => {
                self.json.clear();
                render::event(&mut self.json, event, details);
                Ok(EncodedFrame::text(&self.json))
            }
            LinkForm::Binary => {
                self.binary.clear();
                event.encode_with(details, &mut self.binary)?;
                Ok(EncodedFrame::binary(&self.binary))
            }
        }
    }
}

/// All that can be shown of a session.
pub(super) fn details_of<'a>(captured: &'a Captured, app: &'a str) -> Details<'a> {
    let Captured { groups, tags, profile } = captured;
    let claims = profile.as_ref().and_then(|profile| profile.claims.as_deref());
    let params = profile.as_ref().map_or(&[][..], |profile| &profile.params);
    Details {
        groups: Some(Cow::Borrowed(groups)),
        tags: Some(Cow::Borrowed(tags)),
        claims: Some(Cow::Borrowed(claims.unwrap_or("{}"))),
        params: Some(Cow::Borrowed(params)),
        app: Some(Cow::Borrowed(app)),
    }
}
