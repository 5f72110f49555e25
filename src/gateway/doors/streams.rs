//! Sessions over plain HTTP as they open: an event stream, and what pages of other origins may ask. Knows nothing of what goes
//! through the stream then.

use super::admit::{SessionIn, admit_stream};
use super::client::{enter, welcome_of};
use crate::connection::{Connection, Figures, Kind, Stream};
use crate::core::{Core, Reply, displace};
use crate::dispatch::Apps;
use crate::gateway::api::over_http::{Cors, http_path, stream_head};
use crate::gateway::api::refusal::Refused;
use crate::http::{Request, accepts_gzip};
use crate::session::{AppId, SessionId};
use crate::stream;
use crate::timer::Clock;

/// What the page that asks may know of the answer, where it asks for something of a session over plain HTTP.
pub fn cors(core: &Core, request: &Request<'_>) -> Option<Cors> {
    let app = http_path(request.path, &core.rules.open_apps)?.unwrap_or(Apps::DEFAULT);
    Some(Cors::of(request, |origin| core.rules.auth.allows_origin(app, Some(origin))))
}

/// Opens the session of an event stream, whose head and welcome are written before anything that the app does. Returns its app.
///
/// # Errors
/// It is not let in.
pub fn open(
    core: &mut Core,
    reply: &mut Reply,
    id: SessionId,
    request: &Request<'_>,
    app: Option<AppId>,
    cors: &Cors,
) -> Result<AppId, Refused> {
    let slot = id.slot();
    let SessionIn { identity, expires_unix_ms, entered } = admit_stream(core, id, request, app)?;
    core.stranger_known(slot);
    let is_compressed = core.deflate.is_some() && accepts_gzip(request);
    let (since_unix_ms, attended_ms) = (Clock::wall_unix_ms(), core.attended_ms());
    let (date, silence) = (core.http_date(), core.rules.settings.silence);
    let engine = core.deflate.clone();
    if let Some(connection) = core.connection(slot) {
        connection.figures = Figures::since(since_unix_ms);
        connection.kind = Kind::Player;
        connection.touch(attended_ms);
        if entered.network.is_some() {
            connection.extras().session_from = entered.network;
        }
        let stream = Stream::new(None);
        connection.set_stream(if is_compressed { stream.compressed(engine) } else { stream });
        connection.stream.give_up_after_ms(silence.idle_ms);
    }
    if let Some(expires_unix_ms) = expires_unix_ms {
        core.expire_at(slot, expires_unix_ms, since_unix_ms);
    }
    enter(core, id, &identity);
    displace(core, identity.app, entered.displaced);
    stream_head(is_compressed, cors, date, &mut reply.messages);
    let mut first = Vec::new();
    stream::padding(core.rules.settings.config.limits.stream_padding_bytes, &mut first);
    stream::welcome(&welcome_of(core, id, expires_unix_ms), &mut first);
    if let Some(stream) = core.connection(slot).and_then(Connection::stream) {
        stream.begin(&first, &mut reply.messages);
    }
    core.write_reply(slot, reply);
    Ok(identity.app)
}
