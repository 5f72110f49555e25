//! A session as it opens on its connection, or goes on there: what its client hears first.

use super::super::admit::{Admitted, What, session_instead};
use super::super::entering::{claimant_of, enter};
use super::{Opened, refuse};
use crate::auth::Ticket;
use crate::connection::{Figures, Flag, Inbound, Kind, Speech, Stream};
use crate::core::{Claim, Core, First, Reply, TakesEvents, displace};
use crate::gateway::api::over_http::Cors;
use crate::gateway::api::render::{self, Welcome};
use crate::metrics::{Label, ResumeFailure};
use crate::protocol::{OpCode, encode_frame};
use crate::session::{AppId, SessionId};
use crate::stream::{self, EventId};
use crate::timer::Clock;

/// A client has come back for a session and gets another one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Anew {
    /// Why.
    why: ResumeFailure,
    /// The session that it has come for, where its ticket says that.
    was: Option<SessionId>,
}

/// A client has come back for a session that it cannot have, to the connection `id`: it gets another one, and is told why. Returns
/// the app of that, unless there is no place for it.
pub fn open_instead(
    core: &mut Core,
    reply: &mut Reply,
    id: SessionId,
    claim: Claim,
    why: ResumeFailure,
) -> Option<AppId> {
    let what = match session_instead(core, id, &claim) {
        Ok(what) => what,
        Err(refused) => {
            let cors = claim.events.map(|_| Cors::allowing(claim.page));
            refuse(core, id.slot(), &refused, false, cors.as_ref());
            return None;
        }
    };
    let Claim { accept, raw, speaks_own, deflate, events, was, .. } = claim;
    reply.messages.extend_from_slice(&accept);
    let anew = Anew { why, was: Some(was) };
    match open(core, reply, id, Admitted { what, raw, speaks_own, deflate, events }, Some(anew))? {
        Opened::Session(app) => Some(app),
        Opened::Echo | Opened::Claim(_) | Opened::Polled(..) => None,
    }
}

/// What a client hears first that gets its session back: the answer to its upgrade, and the welcome with its next ticket.
pub fn words_of_return(core: &mut Core, slot: u32, claim: &Claim) -> First {
    let mut first = First { bytes: claim.accept.clone(), stream: None };
    let ticket = core.next_ticket(slot, claim.ticket).map(|ticket| core.shared.tickets.write(ticket));
    if let (false, Some(session)) = (claim.raw, core.connections.id_of(slot)) {
        let welcome = Welcome {
            session,
            user: core.hub.user_of(slot).map(|user| user.as_str()),
            expires_unix_ms: claim.expires_unix_ms,
            ticket: ticket.as_deref(),
            resumed: Some(Ok(())),
            was: Some(claim.was).filter(|was| *was != session),
        };
        match claim.events {
            None => first.bytes.extend_from_slice(&frame_of(&welcome)),
            Some(events) => {
                let mut stream = core.stream_of(events, ticket.as_deref());
                begin_stream(core, &mut stream, &welcome, claim.received, &mut first.bytes);
                first.stream = Some(stream);
            }
        }
    }
    first
}

/// Appends what an event stream begins with, of a client that has read so many messages of its session.
fn begin_stream(core: &Core, stream: &mut Stream, welcome: &Welcome<'_>, received: u64, out: &mut Vec<u8>) {
    let (mut first, mut text) = (Vec::new(), String::new());
    stream::padding(core.rules.settings.config.limits.stream_padding_bytes, &mut first);
    if let Some(ticket) = welcome.ticket {
        // From here on the client comes back with this one.
        EventId { ticket, count: received }.write(&mut first);
    }
    render::welcome(&mut text, welcome);
    stream::welcome(&text, &mut first);
    stream.begin(&first, out);
}

/// Opens what was asked for. The 101 and the welcome are written before anything that the app does: whatever it pushes
/// comes behind them.
pub(super) fn open(
    core: &mut Core,
    reply: &mut Reply,
    id: SessionId,
    admitted: Admitted,
    anew: Option<Anew>,
) -> Option<Opened> {
    let slot = id.slot();
    if anew.is_none() {
        know(core, slot);
    }
    // A stream has to know its ticket.
    let speech = admitted.events.is_none().then(|| core.speech(admitted.deflate, admitted.speaks_own, None));
    let since_unix_ms = Clock::wall_unix_ms();
    let (bounds_input, attended_ms) = (core.rules.settings.inbound.is_some(), core.attended_ms());
    let connection = core.connection(slot)?;
    connection.leave_door();
    if bounds_input {
        connection.extras().inbound = Some(Inbound::default());
    }
    if let Some(speech) = speech {
        connection.speak(speech);
    }
    // They count from the upgrade.
    connection.figures = Figures::since(since_unix_ms);
    let opened = match admitted.what {
        What::Echo { app, expires_unix_ms, entered } => {
            connection.kind = Kind::Echo;
            connection.touch(attended_ms);
            let extras = connection.extras();
            (extras.session_from, extras.echo_of) = (entered.network, Some(app));
            if let Some(expires_unix_ms) = expires_unix_ms {
                core.expire_at(slot, expires_unix_ms, since_unix_ms);
            }
            Opened::Echo
        }
        What::Session { identity, expires_unix_ms, entered, came_back } => {
            connection.kind = Kind::Player;
            connection.touch(attended_ms);
            if entered.network.is_some() {
                connection.extras().session_from = entered.network;
            }
            if let Some(expires_unix_ms) = expires_unix_ms {
                core.expire_at(slot, expires_unix_ms, since_unix_ms);
            }
            let groups = enter(core, id, &identity);
            displace(core, identity.app, id, entered.displaced);
            if !admitted.raw {
                let claimant = claimant_of(core, identity.user.as_ref());
                let ticket = core.let_resume(slot, claimant).map(|number| Ticket { session: id, number });
                let unknown = |was| Anew { why: ResumeFailure::Unknown, was };
                let anew = anew.or_else(|| came_back.map(unknown));
                welcome(core, reply, id, admitted.events, expires_unix_ms, ticket, anew);
            }
            core.hold_until_heard(slot, reply);
            core.write_reply(slot, reply);
            // What the groups remember comes behind the welcome.
            groups.iter().for_each(|group| core.recall_for(slot, group, None));
            Opened::Session(identity.app)
        }
        What::Claim { .. } => return None,
    };
    core.write_reply(slot, reply);
    Some(opened)
}

fn welcome(
    core: &mut Core,
    reply: &mut Reply,
    session: SessionId,
    events: Option<TakesEvents>,
    expires_unix_ms: Option<u64>,
    ticket: Option<Ticket>,
    anew: Option<Anew>,
) {
    let ticket = ticket.map(|ticket| core.shared.tickets.write(ticket));
    let welcome = Welcome {
        session,
        user: core.hub.user_of(session.slot()).map(|user| user.as_str()),
        expires_unix_ms,
        ticket: ticket.as_deref(),
        resumed: anew.map(|anew| Err(anew.why.text())),
        was: anew.and_then(|anew| anew.was),
    };
    let Some(events) = events else { return reply.messages.extend_from_slice(&frame_of(&welcome)) };
    let mut stream = core.stream_of(events, ticket.as_deref());
    begin_stream(core, &mut stream, &welcome, 0, &mut reply.messages);
    let idle_ms = core.rules.settings.silence.idle_ms;
    if let Some(connection) = core.connection(session.slot()) {
        connection.speak(Speech::Events(stream));
        connection.stream.give_up_after_ms(idle_ms);
    }
}

fn frame_of(welcome: &Welcome<'_>) -> Vec<u8> {
    let mut text = String::new();
    render::welcome(&mut text, welcome);
    encode_frame(OpCode::Text, text.as_bytes())
}

/// The connection in `slot` has its place among the sessions from now on, unless it had it before.
pub(super) fn know(core: &mut Core, slot: u32) {
    if core.connections.slot(slot).is_some_and(|connection| connection.flags.has(Flag::Stranger)) {
        core.stranger_known(slot);
    }
    core.set_door_due(slot, None);
}
