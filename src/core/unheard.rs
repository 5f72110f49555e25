//! Events that no link hears: openings, messages and ends of sessions for which none listens. They are counted; where the app asks for
//! it, they are held for a while first, in their order, for the link that comes. Knows nothing of how an event is written: what it
//! holds is encoded.

use super::Core;
use crate::connection::{Connection, Phase};
use crate::dispatch::{EncodedFrame, EventKind, EventSet};
use crate::hub::Kind;
use crate::metrics::UnheardKind;
use crate::session::{AppId, SessionId};
use crate::upgrade::InvalidState;
use hashbrown::HashMap;
use minicbor::{Decode, Encode};
use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;

/// The kinds of events that are held: what players do.
const INPUTS: [EventKind; 3] = [EventKind::Open, EventKind::Message, EventKind::Close];

/// What a held event takes beside its bytes.
const OVERHEAD: usize = 128;

/// The events that one reactor holds.
#[derive(Debug, Default)]
pub struct Unheard {
    /// By app; no entry is empty.
    held: HashMap<AppId, VecDeque<HeldEvent>>,
    /// Events for which a link listens now, to be sent before anything newer.
    released: Vec<(AppId, HeldEvent)>,
}

/// An event that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldEvent {
    /// Its kind.
    pub kind: EventKind,
    /// The session that it is about.
    pub session: SessionId,
    /// The event in the binary layout, with all that can be shown of its session.
    pub frame: EncodedFrame,
    /// It is held until then, in milliseconds of the server's clock.
    until_ms: u64,
}

impl HeldEvent {
    fn size(&self) -> usize {
        self.frame.wire_len() + OVERHEAD
    }
}

/// An event that is held, on its way to another process.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct CarriedUnheard {
    #[n(0)]
    app: u16,
    /// The bit of its kind.
    #[n(1)]
    kind: u32,
    #[n(2)]
    session: u64,
    #[cbor(n(3), with = "minicbor::bytes")]
    event: Vec<u8>,
    #[n(4)]
    until_ms: u64,
}

fn label_of(kind: EventKind) -> UnheardKind {
    match kind {
        EventKind::Open => UnheardKind::Open,
        EventKind::Close => UnheardKind::Close,
        _ => UnheardKind::Message,
    }
}

impl Unheard {
    /// When the first held event is given up.
    pub fn next_ms(&self) -> Option<u64> {
        self.held.values().filter_map(|held| held.front()).map(|event| event.until_ms).min()
    }

    /// Whether events wait to be sent.
    #[inline]
    pub fn has_released(&self) -> bool {
        !self.released.is_empty()
    }
}

impl Core {
    /// Whether events of the app that no link hears are held.
    pub fn holds_unheard(&self, app: AppId) -> bool {
        self.rules.event_rules.of(app).is_some_and(|app| app.hold.is_some())
    }

    /// No link hears the event.
    pub fn count_unheard(&self, kind: EventKind) {
        self.metrics().events_unheard.of(label_of(kind)).add(1);
    }

    /// No link hears the event of the app yet. What finds no room is counted.
    pub fn hold_unheard(&mut self, app: AppId, kind: EventKind, session: SessionId, frame: EncodedFrame) {
        let Some(hold) = self.rules.event_rules.of(app).and_then(|app| app.hold) else {
            return self.count_unheard(kind);
        };
        let event = HeldEvent { kind, session, frame, until_ms: self.now.ms + hold.ms };
        let (size, used) = (event.size() as u64, self.shared.unheard.of(app.0));
        if used.fetch_add(size, Relaxed) + size > hold.bytes {
            used.fetch_sub(size, Relaxed);
            return self.count_unheard(kind);
        }
        self.unheard.held.entry(app).or_default().push_back(event);
    }

    /// Gives up the events that have been held for as long as they may be.
    pub fn expire_unheard(&mut self) {
        if self.unheard.next_ms().is_none_or(|next_ms| next_ms > self.now.ms) {
            return;
        }
        let (now_ms, mut lost) = (self.now.ms, Vec::new());
        for (app, held) in &mut self.unheard.held {
            while held.front().is_some_and(|event| event.until_ms <= now_ms)
                && let Some(event) = held.pop_front()
            {
                self.shared.unheard.of(app.0).fetch_sub(event.size() as u64, Relaxed);
                lost.push(event.kind);
            }
        }
        self.unheard.held.retain(|_, held| !held.is_empty());
        lost.into_iter().for_each(|kind| self.count_unheard(kind));
    }

    /// A link has begun to listen to the app: what it hears of what is held goes out before anything newer.
    pub(super) fn release_unheard(&mut self, app: AppId) {
        let Some(held) = self.unheard.held.remove(&app) else { return };
        let mut left = VecDeque::new();
        for event in held {
            match self.listeners.hears(app, event.session, event.kind) {
                false => left.push_back(event),
                true => {
                    self.shared.unheard.of(app.0).fetch_sub(event.size() as u64, Relaxed);
                    self.unheard.released.push((app, event));
                }
            }
        }
        if !left.is_empty() {
            self.unheard.held.insert(app, left);
        }
    }

    /// What is to be sent, in its order.
    pub fn take_released_unheard(&mut self) -> Vec<(AppId, HeldEvent)> {
        std::mem::take(&mut self.unheard.released)
    }

    /// The players of the app that have agreed on gannet's own messages, where its events are held: who is to be told whether a
    /// backend listens.
    pub(super) fn tell_of_backend(&mut self, app: AppId, is_there: bool) {
        if !self.holds_unheard(app) {
            return;
        }
        let slots: Vec<u32> = self.hub.members(app, Kind::App, "").collect();
        for slot in slots {
            self.tell_one_of_backend(slot, is_there);
        }
    }

    /// The same for the player in `slot`.
    pub fn tell_one_of_backend(&mut self, slot: u32, is_there: bool) {
        let is_open = |connection: &Connection| connection.phase == Phase::Open;
        if self.speaks_own(slot) && self.connections.slot(slot).is_some_and(is_open) {
            let state = if is_there { "back" } else { "away" };
            self.tell_own(slot, &format!(r#"{{"type":"backend","state":"{state}"}}"#));
        }
    }

    pub(super) fn carry_unheard(&self) -> Vec<CarriedUnheard> {
        debug_assert!(self.unheard.released.is_empty(), "what is released is sent in the same turn");
        let events = self.unheard.held.iter().flat_map(|(app, held)| held.iter().map(|event| (*app, event)));
        let carried = events.map(|(app, HeldEvent { kind, session, frame, until_ms })| CarriedUnheard {
            app: app.0,
            kind: EventSet::of(&[*kind]).bits(),
            session: session.as_u64(),
            event: frame.payload().to_vec(),
            until_ms: *until_ms,
        });
        carried.collect()
    }

    pub(super) fn restore_unheard(&mut self, carried: Vec<CarriedUnheard>) -> Result<(), InvalidState> {
        for CarriedUnheard { app, kind, session, event, until_ms } in carried {
            let kind = INPUTS.into_iter().find(|input| EventSet::of(&[*input]).bits() == kind);
            let kind =
                kind.ok_or_else(|| InvalidState::new("an event is held that is no input of a player"))?;
            let (session, frame) = (SessionId::from_u64(session), EncodedFrame::binary(&event));
            let (app, event) = (AppId(app), HeldEvent { kind, session, frame, until_ms });
            if !self.rules.apps.has(app) {
                return Err(InvalidState::new("an event is held of an app that there is not"));
            }
            self.shared.unheard.of(app.0).fetch_add(event.size() as u64, Relaxed);
            self.unheard.held.entry(app).or_default().push_back(event);
        }
        Ok(())
    }
}
