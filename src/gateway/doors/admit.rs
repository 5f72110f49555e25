//! Whether an upgrade request is let in, and as whom: what is asked for, how often, a valid upgrade, room in the server,
//! the page's origin, proof of who it is, places in the app. What costs least is looked at first, and a nonce is used
//! only where nothing but a place can still be missing.

use super::refusing::no_place;
use crate::admission::{Entered, Role};
use crate::auth::{AuthError, Proven, SealedTicket, SignedQuery, Ticket};
use crate::connection::{Flag, log_client};
use crate::core::{Claim, Core, Reply, TakesEvents, Whereabouts};
use crate::dispatch::{Apps, ErrorCode, Profile};
use crate::gateway::api::coming_back::{ComingBack, coming_back, coming_back_to_stream};
use crate::gateway::api::credentials::{Credentials, credentials, is_token};
use crate::gateway::api::identity::{ClientRoute, Identity, IdentityLimits, claimed, client_route};
use crate::gateway::api::over_http::{Cors, stream_head};
use crate::gateway::api::own;
use crate::gateway::api::params::{self, take_listed};
use crate::gateway::api::refusal::Refused;
use crate::gateway::api::responses::{NONE_ECHOED, NONE_SPOKEN, UPGRADE_WITH_BODY};
use crate::http::{Request, accepts_gzip};
use crate::metrics::{RefusalReason, ResumeFailure};
use crate::protocol::DeflateParameters;
use crate::protocol::handshake::{Upgrade, check_upgrade, write_accept};
use crate::proxy::client_behind;
use crate::session::{AppId, Name, SessionId};
use crate::timer::Clock;
use std::sync::Arc;

/// The subprotocol of clients that want no welcome.
const RAW: &str = "gannet.raw";

/// A request that is let in.
pub struct Admitted {
    /// What it is from now on.
    pub what: What,
    /// Whether it wants no welcome.
    pub raw: bool,
    /// Whether it speaks gannet's own messages.
    pub speaks_own: bool,
    /// What has been agreed on for compression.
    pub deflate: Option<DeflateParameters>,
    /// Its messages go as events, not as frames.
    pub events: Option<TakesEvents>,
}

/// What was asked for.
pub enum What {
    /// A session, which has its places.
    Session {
        /// Who it is.
        identity: Identity,
        /// When its token expires, in milliseconds since the Unix epoch.
        expires_unix_ms: Option<u64>,
        /// Its places.
        entered: Entered,
        /// Where it came back for one that it cannot have: that one, as far as its ticket says.
        came_back: Option<Option<SessionId>>,
    },
    /// The session that this ticket is for, or another one where it cannot be. It has its places, and no places are taken.
    Claim {
        /// Who it is in another one.
        identity: Identity,
        /// When its token expires, in milliseconds since the Unix epoch.
        expires_unix_ms: Option<u64>,
        /// The ticket.
        ticket: Ticket,
        /// Where that session is.
        whereabouts: Whereabouts,
        /// How many messages it has read.
        received: u64,
    },
    /// Its own messages back. It is no session, but it is let in as one of this app, and has a place there.
    Echo {
        /// The app.
        app: AppId,
        /// When its token expires, in milliseconds since the Unix epoch.
        expires_unix_ms: Option<u64>,
        /// Its places.
        entered: Entered,
    },
}

impl What {
    /// The app that it was let in by.
    fn app(&self) -> AppId {
        match self {
            Self::Session { identity, .. } | Self::Claim { identity, .. } => identity.app,
            Self::Echo { app, .. } => *app,
        }
    }
}

/// Who asks, and what for.
struct Asking<'a> {
    id: SessionId,
    request: &'a Request<'a>,
    /// The subprotocols, the first choice first.
    offered: &'a [&'a str],
    /// Whether gannet's own messages can be spoken: an echo has none.
    has_own: bool,
    /// Whether it may say as a browser does, with `Last-Event-ID`, what it comes back for.
    is_stream: bool,
}

/// Whether somebody there may ask at all.
pub fn greet(core: &mut Core, id: SessionId, request: &Request<'_>) -> Result<(), Refused> {
    match core.rules.settings.config.proxy.forwarded_from.is_empty() {
        true => Ok(()),
        false => find_client(core, id.slot(), request),
    }
}

/// Whether that is not too often.
pub fn charge_request(core: &Core, id: SessionId) -> Result<(), Refused> {
    match core.shared.admission.may_upgrade(|| core.address_of(id.slot()), core.now.ns) {
        true => Ok(()),
        false => Err(Refused::because(ErrorCode::RateLimited, "too many connect: try again later")),
    }
}

/// Checks an upgrade request. The 101 is in `reply` then.
pub fn admit(
    core: &mut Core,
    reply: &mut Reply,
    id: SessionId,
    request: &Request<'_>,
) -> Result<Admitted, Refused> {
    let settings = &core.rules.settings;
    let route = client_route(request, &core.rules.open_apps, settings.config.echo)?;
    let upgrade: Upgrade<'_> = check_upgrade(request.method, request.version_minor, request.headers())?;
    if request.has_body() {
        return Err(Refused::status(400, UPGRADE_WITH_BODY));
    }
    let has_own = matches!(route, ClientRoute::Session(_));
    let asking = Asking { id, request, offered: &upgrade.subprotocols, has_own, is_stream: false };
    take_place(core, id)?;
    let what = match route {
        ClientRoute::Echo => echo(core, &asking),
        ClientRoute::Session(app) => session(core, &asking, app),
    };
    let what = what.inspect_err(|_| give_place_back(core, id))?;
    let raw = upgrade.subprotocols.contains(&RAW);
    let selected = select(core, what.app(), &asking);
    let speaks_own = selected == Some(own::SUBPROTOCOL);
    let deflate = settings.deflate.as_ref().and_then(|config| config.accept(&upgrade.extensions));
    let extension = deflate.map(|agreed| agreed.to_string());
    write_accept(upgrade.key, selected, extension.as_deref(), &mut reply.messages);
    Ok(Admitted { what, raw, speaks_own, deflate, events: None })
}

/// Checks a request for an event stream of the app that the path names. The head of the answer is in `reply` then.
pub fn admit_stream(
    core: &mut Core,
    reply: &mut Reply,
    id: SessionId,
    request: &Request<'_>,
    app: Option<AppId>,
    cors: &Cors,
) -> Result<Admitted, Refused> {
    if request.has_body() {
        return Err(Refused::status(400, "a request for an event stream has no body"));
    }
    let asking = Asking { id, request, offered: &[], has_own: true, is_stream: true };
    take_place(core, id)?;
    let what = session(core, &asking, app);
    let what = what.inspect_err(|_| give_place_back(core, id))?;
    let events = TakesEvents { is_compressed: core.deflate.is_some() && accepts_gzip(request) };
    stream_head(events.is_compressed, cors, core.http_date(), &mut reply.messages);
    Ok(Admitted { what, raw: false, speaks_own: false, deflate: None, events: Some(events) })
}

/// Takes a place among the sessions of the server, if the connection `id` has none.
fn take_place(core: &Core, id: SessionId) -> Result<(), Refused> {
    if core.shared.turns_players_away() {
        return Err(Refused::draining());
    }
    match !is_stranger(core, id) || core.shared.capacity.enter(Role::Session) {
        true => Ok(()),
        false => {
            let message = "as many sessions are open as limits.max_sessions and the limit of open files allow: try \
                           again later";
            Err(Refused::because(ErrorCode::Overloaded, message))
        }
    }
}

/// It is not let in: its place goes back, if it is no longer needed for the connection.
fn give_place_back(core: &Core, id: SessionId) {
    if is_stranger(core, id) {
        core.shared.capacity.leave(Role::Session);
    }
}

/// One that has asked for something of a session before has its place.
fn is_stranger(core: &Core, id: SessionId) -> bool {
    core.connections.get(id).is_some_and(|connection| connection.flags.has(Flag::Stranger))
}

/// Takes the word of the proxies that are believed for where the client is; from then on it counts as there.
fn find_client(core: &mut Core, slot: u32, request: &Request<'_>) -> Result<(), Refused> {
    let Some(from) = core.connection(slot).map(|connection| connection.remote().ip()) else { return Ok(()) };
    let proxy = &core.rules.settings.config.proxy;
    let fields: Vec<&[u8]> = request.header_all("x-forwarded-for").collect();
    if !proxy.is_forwarder(from) {
        return Ok(());
    }
    let client = client_behind(from, fields.into_iter(), |address| proxy.is_forwarder(address));
    if let (Some(client), Some(connection)) = (client, core.connection(slot)) {
        connection.extras().remote = Some(client);
        if !core.charge_connection(slot, client.ip()) {
            return Err(Refused::new(
                ErrorCode::RateLimited,
                RefusalReason::Connections,
                "too many connections from there",
            ));
        }
    }
    Ok(())
}

/// Who asks, for a session of the app that the path names, and until when that holds.
fn identity(
    core: &Core,
    asking: &Asking<'_>,
    app: Option<AppId>,
) -> Result<(Identity, Option<u64>), Refused> {
    let of = app.or_else(|| signed_app(core, asking)).unwrap_or(Apps::DEFAULT);
    let listed = core.rules.event_rules.of(of).map_or(&[][..], |app| &app.params);
    let (params, rest) = match asking.request.query {
        Some(query) if !listed.is_empty() => {
            let most = core.rules.settings.config.limits.session_params_bytes;
            take_listed(query, listed, most).map_err(|error| Refused::from(error).in_app(of))?
        }
        _ => return who(core, asking, app),
    };
    let mut request = *asking.request;
    request.query = Some(&rest);
    let Asking { id, offered, has_own, is_stream, .. } = *asking;
    let asking = Asking { id, request: &request, offered, has_own, is_stream };
    let (mut identity, expires_unix_ms) = who(core, &asking, app)?;
    if !params.is_empty() {
        let claims = identity.profile.and_then(|profile| profile.claims.clone());
        identity.profile = Some(Arc::new(Profile { claims, params }));
    }
    Ok((identity, expires_unix_ms))
}

/// The app that a signed query names.
fn signed_app(core: &Core, asking: &Asking<'_>) -> Option<AppId> {
    if core.rules.auth.takes_words() {
        return None;
    }
    let mut pairs = params::pairs(asking.request.query).filter_map(Result::ok);
    let (_, app) = pairs.find(|(name, _)| name == "app")?;
    core.rules.open_apps.find(&app).ok()
}

/// The same without the parameters that the app keeps.
fn who(core: &Core, asking: &Asking<'_>, app: Option<AppId>) -> Result<(Identity, Option<u64>), Refused> {
    if !core.rules.auth.takes_words() {
        return prove(core, asking, app);
    }
    let limits = &core.rules.settings.config.limits;
    let app = app.unwrap_or(Apps::DEFAULT);
    check_app(core, app, asking)?;
    refuse_token(app, asking)?;
    let limits = IdentityLimits { max_groups: limits.groups_per_session, max_tags: limits.tags_per_session };
    let identity = claimed(app, asking.request.query, &limits);
    Ok((identity.map_err(|error| Refused::from(error).in_app(app))?, None))
}

/// Who asks for an echo, and its place. It is nobody's session, so that the bound of a user's is not looked at, and it cannot
/// take the place of one.
fn echo(core: &Core, asking: &Asking<'_>) -> Result<What, Refused> {
    let (app, expires_unix_ms) = match core.rules.auth.takes_words() {
        true => {
            check_app(core, Apps::DEFAULT, asking)?;
            refuse_token(Apps::DEFAULT, asking)?;
            let [] = params::single(asking.request.query, [])?;
            (Apps::DEFAULT, None)
        }
        false => {
            let (identity, expires_unix_ms) = prove(core, asking, None)?;
            (identity.app, expires_unix_ms)
        }
    };
    let address = || core.address_of(asking.id.slot());
    let entered = core.shared.admission.enter(app, None, asking.id, address);
    let entered = entered.map_err(|no_room| no_place(core, no_room, app, None))?;
    Ok(What::Echo { app, expires_unix_ms, entered })
}

/// Who asks for a session of the app that the path names, and its places.
fn session(core: &Core, asking: &Asking<'_>, app: Option<AppId>) -> Result<What, Refused> {
    let shared = &core.shared;
    let coming_back = match asking.is_stream {
        true => coming_back_to_stream(asking.request)?,
        false => coming_back(asking.request.query)?,
    };
    let (identity, expires_unix_ms) = identity(core, asking, app)?;
    check_ban(core, asking.id, identity.app, identity.user.as_ref())?;
    let mut came_back = None;
    if let Some(ComingBack { ticket, received }) = coming_back {
        if let Some((ticket, whereabouts)) = claimed_by(core, &ticket) {
            return Ok(What::Claim { identity, expires_unix_ms, ticket, whereabouts, received });
        }
        came_back = Some(SealedTicket::of(&ticket).map(|sealed| sealed.says().session));
        core.metrics().resume_failures.of(ResumeFailure::Unknown).add(1);
    }
    let (id, address) = (asking.id, || core.address_of(asking.id.slot()));
    let (app, user) = (identity.app, identity.user.as_ref());
    let entered = shared.admission.enter(app, user, id, address);
    let entered = entered.map_err(|no_room| no_place(core, no_room, app, user))?;
    Ok(What::Session { identity, expires_unix_ms, entered, came_back })
}

/// Who polls.
pub struct PollIn {
    /// Who it is in a session that it opens.
    pub identity: Identity,
    /// When its token expires, in milliseconds since the Unix epoch.
    pub expires_unix_ms: Option<u64>,
    /// Its ticket, where the session is, and how many messages it has read.
    pub ticket: Option<(Ticket, Whereabouts, u64)>,
    /// Whether it showed a ticket that is none of this server's.
    pub came_back: bool,
}

/// Checks a poll for a session of the app that the path names. No place is taken.
pub fn admit_poll(
    core: &Core,
    id: SessionId,
    request: &Request<'_>,
    app: Option<AppId>,
) -> Result<PollIn, Refused> {
    if request.has_body() {
        return Err(Refused::status(400, "a poll has no body"));
    }
    let asking = Asking { id, request, offered: &[], has_own: true, is_stream: false };
    let coming_back = coming_back(request.query)?;
    let (identity, expires_unix_ms) = identity(core, &asking, app)?;
    check_ban(core, id, identity.app, identity.user.as_ref())?;
    let shown = coming_back.as_ref().map(|shown| (claimed_by(core, &shown.ticket), shown.received));
    let ticket =
        shown.and_then(|(claimed, received)| claimed.map(|(ticket, place)| (ticket, place, received)));
    let came_back = shown.is_some() && ticket.is_none();
    if came_back {
        core.metrics().resume_failures.of(ResumeFailure::Unknown).add(1);
    }
    Ok(PollIn { identity, expires_unix_ms, ticket, came_back })
}

/// The ticket that this text is, if it is one of this server's.
pub fn ticket_of(core: &Core, text: &str) -> Option<Ticket> {
    core.shared.tickets.read(text).filter(|ticket| {
        let session = ticket.session;
        session.node() == core.shared.node && usize::from(session.worker()) < core.shared.reactors()
    })
}

/// The same, or one of another node of the cluster, which alone can know whether it is.
fn claimed_by(core: &Core, text: &str) -> Option<(Ticket, Whereabouts)> {
    if let Some(ticket) = ticket_of(core, text) {
        return Some((ticket, Whereabouts::Here));
    }
    let sealed = SealedTicket::of(text)?;
    let session = sealed.says().session;
    let cluster = core.shared.cluster.as_ref()?;
    let is_elsewhere = session.node() != core.shared.node && cluster.has_node(session.node());
    is_elsewhere.then(|| (sealed.says(), Whereabouts::Elsewhere(Some(sealed))))
}

/// The same for a client that came back for a session that it cannot have: it has proven who it is.
pub fn session_instead(core: &Core, id: SessionId, claim: &Claim) -> Result<What, Refused> {
    let Claim { app, user, groups, tags, profile, expires_unix_ms, .. } = claim;
    // It may have been banned while it was on its way to the session.
    check_ban(core, id, *app, user.as_ref())?;
    let entered = core.shared.admission.enter(*app, user.as_ref(), id, || core.address_of(id.slot()));
    let entered = entered.map_err(|no_room| no_place(core, no_room, *app, user.as_ref()))?;
    let (groups, tags, profile) = (groups.clone(), tags.clone(), profile.clone());
    let identity = Identity { app: *app, user: user.clone(), groups, tags, profile };
    Ok(What::Session {
        identity,
        expires_unix_ms: *expires_unix_ms,
        entered,
        came_back: Some(Some(claim.was)),
    })
}

/// Whether somebody may open a session of the app.
fn check_ban(core: &Core, id: SessionId, app: AppId, user: Option<&Name>) -> Result<(), Refused> {
    let unix_ms = Clock::wall_unix_ms();
    let Some(ban) = core.shared.bans.find(app, user, core.address_of(id.slot()), unix_ms) else {
        return Ok(());
    };
    let left_ms = ban.until_unix_ms.map(|until_unix_ms| until_unix_ms.saturating_sub(unix_ms));
    Err(Refused::banned(&ban.reason, left_ms).in_app(app))
}

/// Who asks for a session, as the backend of the app has signed; and until when that holds.
fn prove(core: &Core, asking: &Asking<'_>, app: Option<AppId>) -> Result<(Identity, Option<u64>), Refused> {
    let shown = credentials(asking.request, asking.offered)?;
    let app = match (app, &shown) {
        (None, Credentials::Signed(params)) => core.rules.open_apps.find(&params.app)?,
        (app, _) => app.unwrap_or(Apps::DEFAULT),
    };
    let auth = &core.rules.auth;
    check_app(core, app, asking)?;
    let now_unix_ms = Clock::wall_unix_ms();
    let proven = match &shown {
        Credentials::None => Err(AuthError::Missing),
        Credentials::Token(token) => auth.token(app, token, now_unix_ms),
        Credentials::Signed(params) => {
            let query = SignedQuery {
                app: &params.app,
                user: &params.user,
                timestamp: &params.timestamp,
                nonce: &params.nonce,
                signature: &params.signature,
            };
            let proven = auth.signed_query(app, &query, &core.shared.nonces, now_unix_ms);
            if let (Ok(_), Ok(signed_unix_ms)) = (&proven, query.signed_unix_ms()) {
                core.used_nonce(app, &params.nonce, signed_unix_ms);
            }
            proven
        }
    };
    let Proven { user, groups, tags, expires_unix_ms, claims } = proven.map_err(|error| {
        core.metrics().auth_failures.of(error.reason()).add(1);
        log_client!(debug, connection = asking.id, core.remote_of(asking.id), "not believed: {error}");
        Refused::from(error).in_app(app)
    })?;
    // Where it ends no session, it has done its part.
    let expires_unix_ms = expires_unix_ms.filter(|_| core.rules.resume_rules.token_ends_session(app));
    let profile = claims.map(|claims| Arc::new(Profile { claims: Some(claims), params: Vec::new() }));
    Ok((Identity { app, user: Some(user), groups, tags, profile }, expires_unix_ms))
}

/// Where clients are taken at their word, a token would seem to say who they are, and does not.
fn refuse_token(app: AppId, asking: &Asking<'_>) -> Result<(), Refused> {
    match asking.offered.iter().any(|name| is_token(name)) {
        true => {
            Err(Refused::status(400, "no token is looked at here: say who you are with ?user=…").in_app(app))
        }
        false => Ok(()),
    }
}

/// What of a request can be checked once it is known which app it is for: the page's origin, and what it wants to speak.
fn check_app(core: &Core, app: AppId, asking: &Asking<'_>) -> Result<(), Refused> {
    // Two of them come from no browser: each has to be good.
    let mut origins = asking.request.header_all("origin");
    if !origins.all(|origin| core.rules.auth.allows_origin(app, Some(origin))) {
        let message = "pages of this origin may not connect to this app";
        return Err(Refused::because(ErrorCode::Forbidden, message).in_app(app));
    }
    // A browser fails a connection of which none of its subprotocols was selected: it would be a session that nobody keeps.
    if asking.offered.is_empty() || select(core, app, asking).is_some() {
        return Ok(());
    }
    let message = if asking.has_own { NONE_SPOKEN } else { NONE_ECHOED };
    Err(Refused::status(400, message).in_app(app))
}

/// The subprotocol for gannet's own messages, where it is offered and can be spoken; else the first one offered that the server or
/// the app knows: a client offers them in the order in which it would like to speak them (RFC 6455 §4.2.2).
fn select<'h>(core: &Core, app: AppId, asking: &Asking<'h>) -> Option<&'h str> {
    let offered = asking.offered;
    if asking.has_own && offered.contains(&own::SUBPROTOCOL) {
        return Some(own::SUBPROTOCOL);
    }
    let apps = &core.rules.settings.config.apps;
    let known = apps.get(core.rules.apps.name_of(app).as_str()).map_or(&[][..], |app| &app.subprotocols);
    offered.iter().copied().find(|name| *name == RAW || known.iter().any(|known| known == name))
}

impl From<AuthError> for Refused {
    /// Why somebody is not believed is for the log: an answer that says it helps only to try again.
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::NoncesFull => Self::because(
                ErrorCode::Overloaded,
                "too many signed queries: try again later, or with a token",
            ),
            AuthError::NoKeys => Self::new(
                ErrorCode::Overloaded,
                RefusalReason::NoKeys,
                "the keys that tokens are checked with have not been fetched yet: try again later",
            ),
            _ => Self::because(
                ErrorCode::Unauthorized,
                "show a valid token: ?token=… or Authorization: Bearer …",
            ),
        }
    }
}
