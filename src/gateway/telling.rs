//! What sessions do, as links and the app are told of it: in the order in which it happened, each event before the app is told.

use super::Gateway;
use super::api::heard::with_event;
use super::api::own::Incoming;
use super::doors;
use super::events::details_of;
use crate::app::{ClosedSession, Message, Session};
use crate::connection::Connection;
use crate::core::{Captured, Change, Changed, Core, Ended, HeldEvent, Parted, Recipient, Reply};
use crate::dispatch::{EventKind, LinkForm, MARK};
use crate::link_bin::{Event, Membership, Payload, Tagged};
use crate::session::{AppId, SessionId};
use std::borrow::Cow;

impl Gateway {
    /// A player's message: to the links that listen, then to the app.
    pub fn message(&mut self, core: &mut Core, reply: &mut Reply, slot: u32, message: Message<'_>) {
        let (Some(id), Some(app)) = (core.hub.id_of(slot), core.hub.app_of(slot)) else { return };
        let message = match message {
            Message::Text(text) if text.starts_with(MARK) && core.speaks_own(slot) => {
                match Incoming::of(text) {
                    Incoming::Own(json) => return doors::own::answer(core, reply, id, json),
                    Incoming::Game(text) => Message::Text(text),
                }
            }
            message => message,
        };
        core.metrics().messages_in.of(app.0).add(1);
        // What its handlers changed before comes before it.
        self.tell_changes(core);
        let links = core.listeners.links_for(app, id, EventKind::Message);
        if !links.is_empty() {
            let user = core.hub.user_of(slot).cloned();
            let event = Event::Message { session: id, user: user.as_deref(), payload: payload_of(message) };
            let captured = capture_for(core, &links, slot);
            self.tell(core, &links, (id, app), &event, captured.as_ref());
        } else if !self.app.hears() {
            let user = core.hub.user_of(slot).cloned();
            let event = Event::Message { session: id, user: user.as_deref(), payload: payload_of(message) };
            self.unheard(core, (id, app), &event, None);
        }
        self.app.message(&mut Session::new(core, reply, id), message);
    }

    /// A session has opened: the links that listen are told, then the app.
    pub(super) fn opened(&mut self, core: &mut Core, reply: &mut Reply, id: SessionId, app: AppId) {
        let replaces = core.take_replaced(id);
        // What is told from here on of its groups is its link's.
        core.session_opens(app, id, replaces.is_some());
        if replaces.is_some() {
            self.tell_ended(core, reply);
        }
        // What was held until now is older.
        self.send_unheard(core);
        let links = core.listeners.links_for(app, id, EventKind::Open);
        let is_unheard = links.is_empty() && !self.app.hears();
        let connection = core.connections.get(id).filter(|_| !links.is_empty() || is_unheard);
        if let Some(remote) = connection.map(Connection::remote) {
            let tags: Vec<_> = core.hub.tags_of(id.slot()).cloned().collect();
            let user = core.hub.user_of(id.slot()).cloned();
            let name = core.rules.apps.name_of(app).clone();
            let (user, tags) = (user.as_deref(), Cow::Owned(tags));
            let event = Event::Open { session: id, user, app: &name, remote, tags, replaces };
            if is_unheard {
                self.unheard(core, (id, app), &event, None);
            } else {
                let captured = capture_for(core, &links, id.slot());
                self.tell(core, &links, (id, app), &event, captured.as_ref());
            }
        }
        if !core.listeners.serves(app) && core.holds_unheard(app) {
            core.tell_one_of_backend(id.slot(), false);
        }
        // The groups that it came with.
        self.tell_changes(core);
        self.app.open(&mut Session::new(core, reply, id));
    }

    /// A session has opened that has come from another node: it is away until its client has it.
    pub fn crossed(&mut self, core: &mut Core, reply: &mut Reply, id: SessionId, app: AppId) {
        core.crossed_session_opens(id.slot());
        self.opened(core, reply, id, app);
    }

    /// The links that ask for it are told what has changed, in the order of that.
    pub fn tell_changes(&mut self, core: &mut Core) {
        if !core.has_untold() {
            return;
        }
        // What a link that has ended did not get is older, and what was held before there was one.
        self.scratch.follow_orders(core);
        self.send_unheard(core);
        for change in core.take_changes() {
            let Change { about, session, app, user, captured } = change;
            let links = core.listeners.links_for(app, session, about.kind());
            if links.is_empty() {
                continue;
            }
            let name = core.rules.apps.name_of(app).clone();
            let event = event_of(&about, session, &name, user.as_deref());
            self.tell(core, &links, (session, app), &event, captured.as_deref());
        }
        // Who has joined a group that another link has is that one's behind the word of it.
        core.follow_routes();
        self.scratch.follow_orders(core);
    }

    /// No link hears the event: it is counted, or held for one that comes.
    fn unheard(
        &mut self,
        core: &mut Core,
        (session, app): (SessionId, AppId),
        event: &Event<'_>,
        captured: Option<&Captured>,
    ) {
        let Some(kind) = event.kind() else { return };
        if !core.holds_unheard(app) {
            return core.count_unheard(kind);
        }
        let now = captured.is_none().then(|| core.capture(session.slot()));
        let Some(captured) = captured.or(now.as_ref()) else { return };
        let name = core.rules.apps.name_of(app).clone();
        match self.scratch.encode(LinkForm::Binary, event, &details_of(captured, &name)) {
            Ok(frame) => core.hold_unheard(app, kind, session, frame),
            // A session with more tags than the layout counts.
            Err(_) => core.count_unheard(kind),
        }
    }

    /// What was held until a link came goes to it, and to others that listen, in its order.
    fn send_unheard(&mut self, core: &mut Core) {
        for (app, HeldEvent { kind, session, frame, .. }) in core.take_released_unheard() {
            let links = core.listeners.links_for(app, session, kind);
            let sent = with_event(&frame, LinkForm::Binary, |event, details| {
                self.scratch.send_held(core, &links, session, event, details);
            });
            if links.is_empty() || sent.is_none() {
                core.count_unheard(kind);
            }
        }
    }

    /// Tells links of something about a session, with what they want to be shown of it.
    fn tell(
        &mut self,
        core: &mut Core,
        links: &[Recipient],
        (session, app): (SessionId, AppId),
        event: &Event<'_>,
        captured: Option<&Captured>,
    ) {
        let Some(captured) = captured else { return self.scratch.send(core, links, session, event, None) };
        let app = core.rules.apps.name_of(app).clone();
        self.scratch.send(core, links, session, event, Some(&details_of(captured, &app)));
    }

    /// The links and the app are told of the clients that are away and of the sessions that have ended, until there are none.
    pub fn tell_ended(&mut self, core: &mut Core, reply: &mut Reply) {
        // Telling may end further sessions: an app that answers a close with a push to somebody too slow.
        while !core.ended.is_empty() || core.has_parted() {
            for parted in core.take_parted() {
                self.away(core, reply, &parted);
            }
            for ended in std::mem::take(&mut core.ended) {
                self.closed(core, &ended);
            }
        }
    }

    /// A session is over: the links that listen are told, then the app.
    pub fn closed(&mut self, core: &mut Core, ended: &Ended) {
        // It has left its groups before.
        self.tell_changes(core);
        let links = core.listeners.links_for(ended.app, ended.id, EventKind::Close);
        let (session, user) = (ended.id, ended.user.as_deref());
        let event = Event::Close { session, user, code: ended.code, reason: &ended.reason };
        if !links.is_empty() {
            self.tell(core, &links, (session, ended.app), &event, Some(&ended.captured));
        } else if !self.app.hears() {
            self.unheard(core, (session, ended.app), &event, Some(&ended.captured));
        }
        core.listeners.has_departed(ended.app, ended.id);
        self.scratch.follow_orders(core);
        self.app.close(&ClosedSession {
            id: ended.id,
            app: core.rules.apps.name_of(ended.app).clone(),
            user: ended.user.clone(),
            groups: ended.captured.groups.clone(),
            tags: ended.captured.tags.clone(),
            profile: ended.captured.profile.clone().unwrap_or_default(),
            code: ended.code,
            reason: ended.reason.clone(),
        });
    }

    /// The client of a session is away.
    pub fn away(&mut self, core: &mut Core, reply: &mut Reply, parted: &Parted) {
        self.send_unheard(core);
        let links = core.listeners.links_for(parted.app, parted.id, EventKind::Away);
        if !links.is_empty() {
            let (session, user) = (parted.id, parted.user.as_deref());
            let event = Event::Away { session, user, code: parted.code, reason: &parted.reason };
            self.tell(core, &links, (session, parted.app), &event, parted.captured.as_deref());
        }
        // It may have ended meanwhile.
        if core.is_away(parted.id) {
            self.app.away(&mut Session::new(core, reply, parted.id));
        }
    }

    /// The client of a session that was away is back.
    pub fn back(&mut self, core: &mut Core, reply: &mut Reply, id: SessionId) {
        self.send_unheard(core);
        let app = core.hub.app_of(id.slot());
        let links = app.map(|app| core.listeners.links_for(app, id, EventKind::Back)).unwrap_or_default();
        let remote = core.connections.get(id).filter(|_| !links.is_empty()).map(Connection::remote);
        if let (Some(remote), Some(app)) = (remote, app) {
            let user = core.hub.user_of(id.slot()).cloned();
            let event = Event::Back { session: id, user: user.as_deref(), remote };
            let captured = capture_for(core, &links, id.slot());
            self.tell(core, &links, (id, app), &event, captured.as_ref());
        }
        self.app.back(&mut Session::new(core, reply, id));
        core.write_reply(id.slot(), reply);
    }
}

/// What links want to be shown of the session in `slot`, where any of them does.
fn capture_for(core: &Core, links: &[Recipient], slot: u32) -> Option<Captured> {
    links.iter().any(|link| !link.form.with.is_empty()).then(|| core.capture(slot))
}

fn payload_of(message: Message<'_>) -> Payload<'_> {
    match message {
        Message::Text(text) => Payload::Text(text),
        Message::Binary(bytes) => Payload::Binary(bytes),
    }
}

/// What links are told of a change.
fn event_of<'a>(about: &'a Changed, session: SessionId, app: &'a str, user: Option<&'a str>) -> Event<'a> {
    let in_group = |group| Membership { session, user, app, group };
    let tagged = |tag| Tagged { session, user, app, tag };
    // Nobody is online but users.
    let name = user.unwrap_or_default();
    match about {
        Changed::Joined(group) => Event::Join(in_group(group)),
        Changed::Left(group) => Event::Leave(in_group(group)),
        Changed::Tagged(tag) => Event::Tag(tagged(tag)),
        Changed::Untagged(tag) => Event::Untag(tagged(tag)),
        Changed::Bound(old_user) => Event::Bind { session, user, app, old_user: old_user.as_deref() },
        Changed::Expiring(expires_unix_ms) => {
            Event::Expiring { session, user, app, expires_unix_ms: *expires_unix_ms }
        }
        Changed::Online => Event::UserOnline { user: name, app },
        Changed::Offline => Event::UserOffline { user: name, app },
    }
}
