//! Events on their way to links: encoded once for each form that some link wants, and counted at each link's gate.

use super::api::heard::with_event;
use super::api::render;
use crate::core::{Core, Envelope, EventLost, HandOn, Kept, Order, Recipient, SessionState, Tell};
use crate::dispatch::{EncodedFrame, EventSet, LinkForm};
use crate::link_bin::{Event, Reply, Resumption, State, TooLong};
use crate::session::SessionId;

/// Where events are rendered.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    json: String,
    binary: Vec<u8>,
}

impl Scratch {
    /// Sends an event to each of `links`, wherever it is, behind what is older.
    pub fn send(&mut self, core: &mut Core, links: &[Recipient], event: &Event<'_>) {
        self.follow_orders(core);
        self.send_now(core, links, event);
        // A session may have moved while that was done.
        self.follow_orders(core);
    }

    fn send_now(&mut self, core: &mut Core, links: &[Recipient], event: &Event<'_>) {
        // The players of a message are paused while a link is behind; sessions open and end all the same. What a session is a link
        // is told as it has room, or with an event that has found room.
        let can_wait = matches!(event, Event::Message { .. } | Event::Assigned(_) | Event::Session(_));
        let (mut json, mut binary) = (None, None);
        for Recipient { link, form, is_held } in links {
            let frame = match form {
                LinkForm::Json => json.get_or_insert_with(|| Ok(self.json(event))),
                LinkForm::Binary => binary.get_or_insert_with(|| self.binary(event)),
            };
            let entered = match frame {
                Ok(frame) => core.enter_gate(*link, frame.wire_len(), can_wait).map(|()| frame.clone()),
                // A session with more tags than the layout counts.
                Err(TooLong { .. }) => Err(EventLost { is_first: true }),
            };
            match entered {
                Ok(frame) => {
                    let kept = Kept { session: event.session(), frame };
                    match is_held {
                        true => core.listeners.hold(*link, *form, kept),
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
                    Order::Unassigned { link, form, session } => {
                        let state = core.state_of(session);
                        let user = state.as_ref().and_then(|state| state.user.as_deref());
                        let link = Recipient { link, form, is_held: false };
                        self.send_now(core, &[link], &Event::Unassigned { session, user });
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
        let SessionState { app, user, groups, tags, remote, since_unix_ms, away } = state;
        let app = core.rules.apps.name_of(*app).clone();
        let state = State {
            session,
            user: user.as_deref(),
            app: &app,
            remote: *remote,
            since_unix_ms: *since_unix_ms,
            groups: groups.into(),
            tags: tags.into(),
            away: *away,
        };
        let event = match tell {
            Tell::Assigned => Event::Assigned(state),
            Tell::Session { .. } => Event::Session(state),
        };
        self.send_now(core, &[link], &event);
    }

    /// Sends an event that another link did not get, as it was made for that one where both speak alike.
    fn hand_on(&mut self, core: &mut Core, hand_on: HandOn) {
        let HandOn { link, form, events, counted_for, encoded_for, kept: Kept { session, frame } } = hand_on;
        let bytes = frame.wire_len();
        counted_for.into_iter().for_each(|old| core.leave_gate(old, bytes, 1));
        let handed = with_event(&frame, encoded_for, |event: &Event<'_>| {
            // That it has missed something, or has or had a session, is its own affair; what is not asked for is not lost.
            let kind = event.kind().filter(|kind| !EventSet::OWNERSHIP.has(*kind) && events.has(*kind))?;
            let frame = if form == encoded_for { Ok(frame.clone()) } else { self.encode(form, event) };
            Some((kind, frame))
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
        let Ok(frame) = self.encode(form, event) else { return };
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

    fn encode(&mut self, form: LinkForm, event: &Event<'_>) -> Result<EncodedFrame, TooLong> {
        match form {
            LinkForm::Json => Ok(self.json(event)),
            LinkForm::Binary => self.binary(event),
        }
    }

    fn json(&mut self, event: &Event<'_>) -> EncodedFrame {
        self.json.clear();
        render::event(&mut self.json, event);
        EncodedFrame::text(&self.json)
    }

    fn binary(&mut self, event: &Event<'_>) -> Result<EncodedFrame, TooLong> {
        self.binary.clear();
        event.encode(&mut self.binary)?;
        Ok(EncodedFrame::binary(&self.binary))
    }
}
