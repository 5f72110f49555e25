//! Events on their way to links: encoded once for each form that some link wants, and counted at each link's gate.

use super::api::render;
use crate::core::{Core, Envelope, EventLost, Kept};
use crate::dispatch::{EncodedFrame, EventForm, LinkForm};
use crate::link_bin::{Details, Event, Reply, Resumption, TooLong};
use crate::session::SessionId;
use smallvec::SmallVec;

/// Where events are rendered.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    json: String,
    binary: Vec<u8>,
}

impl Scratch {
    /// Sends an event that is about `session` to each of `links`, wherever it is; with `details` of the session for those that ask. Of
    /// what is about a user, `session` says which of the links of a share gets it.
    pub fn send(
        &mut self,
        core: &mut Core,
        links: &[(SessionId, EventForm)],
        session: SessionId,
        event: &Event<'_>,
        details: Option<&Details<'_>>,
    ) {
        // The players of a message are paused while a link is behind; sessions open and end all the same.
        let can_wait = matches!(event, Event::Message { .. });
        self.send_as(core, links, session, (event, details), can_wait);
    }

    /// The same of an event that was held: it goes in however much is on its way, since what is held is bounded.
    pub fn send_held(
        &mut self,
        core: &mut Core,
        links: &[(SessionId, EventForm)],
        session: SessionId,
        event: &Event<'_>,
        details: &Details<'_>,
    ) {
        self.send_as(core, links, session, (event, Some(details)), true);
    }

    fn send_as(
        &mut self,
        core: &mut Core,
        links: &[(SessionId, EventForm)],
        session: SessionId,
        (event, details): (&Event<'_>, Option<&Details<'_>>),
        can_wait: bool,
    ) {
        let mut encoded: SmallVec<[(EventForm, Result<EncodedFrame, TooLong>); 2]> = SmallVec::new();
        for (link, form) in links {
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
                Ok(frame) => core.post_event(*link, Kept { session, frame }),
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

    /// Sends an event that another link did not get, as it was made for that one where both speak alike.
    pub fn hand_on(
        &mut self,
        core: &mut Core,
        (link, form): (SessionId, LinkForm),
        session: SessionId,
        (event, details): (&Event<'_>, &Details<'_>),
        frame: Option<EncodedFrame>,
    ) {
        let frame = frame.map_or_else(|| self.encode(form, event, details), Ok);
        let Ok(frame) = frame else { return core.metrics().link_events_lost.add(1) };
        core.metrics().link_events_handed_on.add(1);
        // It was let in at the gate of the link that did not get it.
        _ = core.enter_gate(link, frame.wire_len(), true);
        core.post_event(link, Kept { session, frame });
    }

    /// Tells a link of this reactor that it has missed events.
    pub fn send_gap(&mut self, core: &mut Core, link: SessionId, form: LinkForm) {
        // It has no tags, and so always fits.
        let Ok(frame) = self.encode(form, &Event::Gap, &Details::default()) else { return };
        _ = core.enter_gate(link, frame.wire_len(), true);
        core.event_arrives(link, Event::Gap.session(), frame);
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
