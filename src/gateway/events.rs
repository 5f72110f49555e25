//! Events on their way to links: encoded once for each form that some link wants, and counted at each link's gate.

use super::api::render;
use crate::core::{Core, Envelope, EventLost};
use crate::dispatch::{EncodedFrame, LinkForm};
use crate::link_bin::{Event, TooLong};
use crate::session::{SessionId, close_codes};

/// Where events are rendered.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    json: String,
    binary: Vec<u8>,
}

impl Scratch {
    /// Sends an event to each of `links`, wherever it is.
    pub fn send(&mut self, core: &mut Core, links: &[(SessionId, LinkForm)], event: &Event<'_>) {
        // The players of a message are paused while a link is behind; sessions open and end all the same.
        let can_wait = matches!(event, Event::Message { .. });
        let (mut json, mut binary) = (None, None);
        for (link, form) in links {
            let frame = match form {
                LinkForm::Json => json.get_or_insert_with(|| Ok(self.json(event))),
                LinkForm::Binary => binary.get_or_insert_with(|| self.binary(event)),
            };
            let entered = match frame {
                Ok(frame) => core.enter_gate(*link, frame.wire_len(), can_wait).map(|()| frame.clone()),
                // A session with more tags than the layout counts.
                Err(TooLong { .. }) => Err(EventLost { is_first: true }),
            };
            let reactor = usize::from(link.worker());
            match entered {
                Ok(frame) if reactor == core.index => arrive(core, *link, frame),
                // The gate bounds what is on its way; the mailbox must not lose any of it.
                Ok(frame) => core.peers.post_always(reactor, Envelope::Event(*link, frame)),
                Err(EventLost { is_first }) => {
                    core.metrics().link_events_lost.add(1);
                    if is_first {
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

/// An event has come to the reactor of its link.
pub fn arrive(core: &mut Core, link: SessionId, frame: EncodedFrame) {
    let bytes = frame.wire_len();
    if core.connections.get(link).is_none() || !core.append_event(link.slot(), frame) {
        core.event_too_late(link, bytes);
    }
}

/// Events for a link of this reactor were lost: it is told by its end, and can listen anew.
pub fn lost(core: &mut Core, link: SessionId) {
    if core.connections.get(link).is_some() {
        core.close(link.slot(), close_codes::TOO_SLOW, "events were lost");
    }
}
