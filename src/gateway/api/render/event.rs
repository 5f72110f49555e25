//! What goes out unasked: the welcome to a client, and the events of a link. On the way of every message a client sends,
//! so that nothing here allocates but the buffer.

use super::{Base64, Hex, Names, raw, write};
use crate::dispatch::Params;
use crate::link_bin::{Details, Event, Membership, NotResumed, Payload, Resumption, State, Tagged};
use crate::session::{Remote, SessionId};
use serde::Serialize;
use serde_json::value::RawValue;

/// The first frame to a client: `{"type":"welcome","session":"…","user":"…"|null}`, and `"expires_unix_ms"` where the session
/// ends with a token.
pub fn welcome(out: &mut String, welcome: &Welcome<'_>) {
    #[derive(Serialize)]
    struct Text<'a> {
        r#type: &'static str,
        session: Hex,
        user: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        expires_unix_ms: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        resume: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        resumed: Option<bool>,
        #[serde(skip_serializing_if = "Option::is_none")]
        why: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        was: Option<Hex>,
    }
    let Welcome { session, user, expires_unix_ms, ticket, resumed, was } = *welcome;
    let (resumed, why) = match resumed {
        None => (None, None),
        Some(Ok(())) => (Some(true), None),
        Some(Err(why)) => (Some(false), Some(why)),
    };
    let text = Text {
        r#type: "welcome",
        session: Hex(session),
        user,
        expires_unix_ms,
        resume: ticket,
        resumed,
        why,
        was: was.map(Hex),
    };
    write(out, &text);
}

/// What a client is told first.
#[derive(Debug, Clone, Copy)]
pub struct Welcome<'a> {
    /// Its session.
    pub session: SessionId,
    /// The user that the session is bound to.
    pub user: Option<&'a str>,
    /// When its token expires.
    pub expires_unix_ms: Option<u64>,
    /// The ticket to come back with, where its app's sessions may resume.
    pub ticket: Option<&'a str>,
    /// Where it came back: whether the session goes on, or why it does not.
    pub resumed: Option<Result<(), &'a str>>,
    /// The session that it has come for, where it has another one.
    pub was: Option<SessionId>,
}

/// The first message of a link that can be resumed: `{"resume":"…"}`, with `"resumed":true` where it came back, or
/// `"resumed":false` and `why`.
pub fn resumption(out: &mut String, resumption: &Resumption<'_>) {
    #[derive(Serialize)]
    struct First<'a> {
        resume: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        resumed: Option<bool>,
        #[serde(skip_serializing_if = "Option::is_none")]
        why: Option<&'static str>,
    }
    let Resumption { ticket, resumed } = *resumption;
    let why = resumed.and_then(Result::err).map(NotResumed::as_str);
    write(out, &First { resume: ticket, resumed: resumed.map(|resumed| resumed.is_ok()), why });
}

/// An event of a link: `{"event":"open","session","app","user","tags","remote"}`,
/// `{"event":"message","session","user","text"}`, or with `"data"` in base64 for a binary message,
/// `{"event":"close","session","user","code","reason"}`, `{"event":"join","session","app","user","group"}` and the same with
/// `leave`, `{"event":"away","session","user","code","reason"}`, `{"event":"back","session","user","remote"}`, `{"event":"gap"}`,
/// `{"event":"tag","session","app","user","tag"}` and the same with `untag`, `{"event":"bind","session","app","user","old_user"}`,
/// `{"event":"user_online","app","user"}` and the same with `user_offline`,
/// `{"event":"expiring","session","app","user","expires_unix_ms"}`,
/// `{"event":"assigned","session","app","user","groups","tags","remote","since_unix_ms"}`, with `"away":true` where its client is,
/// `{"event":"unassigned","session","user"}`, `{"event":"session",…}` as `assigned`, `{"event":"synced"}`.
///
/// Of the session's details those follow that are there: `groups`, `tags`, `claims`, `params`, `app`.
pub fn event(out: &mut String, event: &Event<'_>, details: &Details<'_>) {
    event_alone(out, event);
    if details.with().is_empty() {
        return;
    }
    let Details { groups, tags, claims, params, app } = details;
    let shown = Shown {
        groups: groups.as_deref().map(Names),
        tags: tags.as_deref().map(Names),
        claims: claims.as_deref().map(raw),
        params: params.as_deref().map(Params),
        app: app.as_deref(),
    };
    // Both are objects, and the event's is not empty.
    let end = out.pop();
    debug_assert_eq!(end, Some('}'), "an event is an object");
    let start = out.len();
    write(out, &shown);
    out.replace_range(start..=start, ",");
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<Names<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<Names<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claims: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<Params<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<&'a str>,
}

fn event_alone(out: &mut String, event: &Event<'_>) {
    match event {
        Event::Open { session, user, app, remote, tags, replaces } => {
            let (session, tags, replaces) = (Hex(*session), Names(tags), replaces.map(Hex));
            write(out, &Open { event: "open", session, app, user: *user, tags, remote: *remote, replaces });
        }
        Event::Message { session, user, payload } => {
            let (text, data) = match *payload {
                Payload::Text(text) => (Some(text), None),
                Payload::Binary(bytes) => (None, Some(Base64(bytes))),
            };
            write(out, &Message { event: "message", session: Hex(*session), user: *user, text, data });
        }
        Event::Close { session, user, code, reason } => {
            write(out, &Close { event: "close", session: Hex(*session), user: *user, code: *code, reason });
        }
        Event::Join(membership) => write(out, &InGroup::new("join", membership)),
        Event::Leave(membership) => write(out, &InGroup::new("leave", membership)),
        Event::Away { session, user, code, reason } => {
            write(out, &Close { event: "away", session: Hex(*session), user: *user, code: *code, reason });
        }
        Event::Back { session, user, remote } => {
            write(out, &Back { event: "back", session: Hex(*session), user: *user, remote: *remote });
        }
        Event::Gap => write(out, &Bare { event: "gap" }),
        Event::Tag(tagged) => write(out, &HasTag::new("tag", tagged)),
        Event::Untag(tagged) => write(out, &HasTag::new("untag", tagged)),
        Event::Bind { session, user, app, old_user } => {
            let (session, user, old_user) = (Hex(*session), *user, *old_user);
            write(out, &Bind { event: "bind", session, app, user, old_user });
        }
        Event::UserOnline { user, app } => write(out, &User { event: "user_online", app, user }),
        Event::UserOffline { user, app } => write(out, &User { event: "user_offline", app, user }),
        Event::Expiring { session, user, app, expires_unix_ms } => {
            let (session, user, expires_unix_ms) = (Hex(*session), *user, *expires_unix_ms);
            write(out, &Expiring { event: "expiring", session, app, user, expires_unix_ms });
        }
        Event::Assigned(state) => write(out, &Whole::new("assigned", state)),
        Event::Session(state) => write(out, &Whole::new("session", state)),
        Event::Synced => write(out, &Bare { event: "synced" }),
        Event::Unassigned { session, user } => {
            write(out, &Unassigned { event: "unassigned", session: Hex(*session), user: *user });
        }
    }
}

#[derive(Serialize)]
struct InGroup<'a> {
    event: &'static str,
    session: Hex,
    app: &'a str,
    user: Option<&'a str>,
    group: &'a str,
}

impl<'a> InGroup<'a> {
    fn new(event: &'static str, membership: &Membership<'a>) -> Self {
        let Membership { session, user, app, group } = *membership;
        Self { event, session: Hex(session), app, user, group }
    }
}

/// All of a session's state.
#[derive(Serialize)]
struct Whole<'a> {
    event: &'static str,
    session: Hex,
    app: &'a str,
    user: Option<&'a str>,
    groups: Names<'a>,
    tags: Names<'a>,
    remote: Remote,
    since_unix_ms: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    away: bool,
}

impl<'a> Whole<'a> {
    fn new(event: &'static str, state: &'a State<'a>) -> Self {
        let State { session, user, app, remote, since_unix_ms, groups, tags, away } = state;
        let (groups, tags) = (Names(groups), Names(tags));
        Self {
            event,
            session: Hex(*session),
            app,
            user: *user,
            groups,
            tags,
            remote: *remote,
            since_unix_ms: *since_unix_ms,
            away: *away,
        }
    }
}

#[derive(Serialize)]
struct Unassigned<'a> {
    event: &'static str,
    session: Hex,
    user: Option<&'a str>,
}

#[derive(Serialize)]
struct HasTag<'a> {
    event: &'static str,
    session: Hex,
    app: &'a str,
    user: Option<&'a str>,
    tag: &'a str,
}

impl<'a> HasTag<'a> {
    fn new(event: &'static str, tagged: &Tagged<'a>) -> Self {
        let Tagged { session, user, app, tag } = *tagged;
        Self { event, session: Hex(session), app, user, tag }
    }
}

#[derive(Serialize)]
struct Bind<'a> {
    event: &'static str,
    session: Hex,
    app: &'a str,
    user: Option<&'a str>,
    old_user: Option<&'a str>,
}

#[derive(Serialize)]
struct User<'a> {
    event: &'static str,
    app: &'a str,
    user: &'a str,
}

#[derive(Serialize)]
struct Expiring<'a> {
    event: &'static str,
    session: Hex,
    app: &'a str,
    user: Option<&'a str>,
    expires_unix_ms: u64,
}

#[derive(Serialize)]
struct Back<'a> {
    event: &'static str,
    session: Hex,
    user: Option<&'a str>,
    remote: Remote,
}

#[derive(Serialize)]
struct Bare {
    event: &'static str,
}

#[derive(Serialize)]
struct Open<'a> {
    event: &'static str,
    session: Hex,
    app: &'a str,
    user: Option<&'a str>,
    tags: Names<'a>,
    remote: Remote,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<Hex>,
}

#[derive(Serialize)]
struct Message<'a> {
    event: &'static str,
    session: Hex,
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Base64<'a>>,
}

#[derive(Serialize)]
struct Close<'a> {
    event: &'static str,
    session: Hex,
    user: Option<&'a str>,
    code: u16,
    reason: &'a str,
}
