//! What commands came to: bodies of HTTP answers, and replies on the link and in a batch. Each outcome has one form,
//! which HTTP sends as it is and the link wraps in `ok`.

use super::bans::BansBody;
use super::names::{NamesBody, StatsBody};
use super::record::{RecordBody, RecordingBody};
use super::{Base64, Hex, Names, raw, write};
use crate::dispatch::{
    Action, CommandError, Counted, Epoch, KeptMessage, KeptPage, Missed, OperationOutcome, Outcome, Page,
    Params, Presence, Present, PresentSession, Recalled, Receipt, Selector, SessionInfo, SessionRow,
    TickPhase,
};
use crate::gateway::api::json::RequestId;
use crate::session::Remote;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// Writes the body of the HTTP answer to a command, and gives its status. `asked` is the action, if it was one: it
/// says which page was asked for.
pub fn http_answer(out: &mut String, asked: Option<&Action>, outcome: &Outcome) -> u16 {
    match outcome {
        Outcome::Refused(error) => http_error(out, error),
        Outcome::Accepted => {
            write(out, &Body::Nothing {});
            202
        }
        _ => {
            write(out, &Answer::new(asked, outcome));
            200
        }
    }
}

/// Writes `{"error":{"code","message"}}`, and gives its status.
pub fn http_error(out: &mut String, error: &CommandError) -> u16 {
    write(out, &Failed { id: None, error: error.into() });
    error.code.status()
}

/// Writes the reply to a command of the link or of a batch: `{"id","ok"}` or `{"id","error"}`. Without an id the field
/// is left out: only a batch replies then.
pub fn reply(out: &mut String, id: Option<&RequestId>, asked: Option<&Action>, outcome: &Outcome) {
    match outcome {
        Outcome::Refused(error) => reply_error(out, id, error),
        _ => write(out, &Done { id, ok: Answer::new(asked, outcome) }),
    }
}

/// Writes the reply to a command that was refused, or not even understood.
pub fn reply_error(out: &mut String, id: Option<&RequestId>, error: &CommandError) {
    write(out, &Failed { id, error: error.into() });
}

#[derive(Serialize)]
struct Done<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RequestId>,
    ok: Answer<'a>,
}

#[derive(Serialize)]
struct Failed<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RequestId>,
    error: ErrorBody<'a>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    code: &'static str,
    message: &'a str,
}

impl<'a> From<&'a CommandError> for ErrorBody<'a> {
    fn from(error: &'a CommandError) -> Self {
        Self { code: error.code.as_str(), message: &error.message }
    }
}

/// An outcome that is no error.
#[derive(Serialize)]
#[serde(untagged)]
enum Body<'a> {
    Nothing {},
    Listening {
        ticks: &'a [TickPhase],
    },
    Receipt(ReceiptBody<'a>),
    Sessions {
        sessions: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        unknown: Option<u32>,
    },
    Renewed {
        expires_unix_ms: u64,
    },
    Joined(JoinedBody),
    Kept(KeptBody<'a>),
    Recording(RecordingBody<'a>),
    Record(RecordBody<'a>),
    Forgotten {
        forgotten: u32,
    },
    Unbanned {
        unbanned: u32,
    },
    Bans(BansBody<'a>),
    Counted {
        sessions: u32,
        users: u32,
        anonymous: u32,
    },
    Names(NamesBody<'a>),
    Stats(StatsBody),
    Session(SessionBody<'a>),
    Members(MembersPage<'a>),
    SessionsPage(SessionsPage<'a>),
    Presence(PresenceBody<'a>),
}

/// The same, and which nodes have not answered, where some have not.
#[derive(Serialize)]
#[serde(untagged)]
enum Answer<'a> {
    Whole(Body<'a>),
    Partial {
        #[serde(flatten)]
        of: Body<'a>,
        partial: bool,
        missing: Names<'a>,
    },
}

impl<'a> Answer<'a> {
    fn new(asked: Option<&'a Action>, outcome: &'a Outcome) -> Self {
        let body = Body::new(asked, outcome);
        match outcome {
            Outcome::Done(OperationOutcome::Partial { missing, .. }) => {
                Self::Partial { of: body, partial: true, missing: Names(missing) }
            }
            Outcome::Listening { missing, .. } if !missing.is_empty() => {
                Self::Partial { of: body, partial: true, missing: Names(missing) }
            }
            _ => Self::Whole(body),
        }
    }
}

impl<'a> Body<'a> {
    fn new(asked: Option<&'a Action>, outcome: &'a Outcome) -> Self {
        match outcome {
            Outcome::Receipt(receipt) => Self::Receipt(receipt.into()),
            Outcome::Done(done) => Self::of(asked, done),
            Outcome::Listening { ticks, .. } if !ticks.is_empty() => Self::Listening { ticks },
            Outcome::Accepted | Outcome::Listening { .. } | Outcome::Refused(_) => Self::Nothing {},
        }
    }

    fn of(asked: Option<&'a Action>, outcome: &'a OperationOutcome) -> Self {
        match outcome {
            OperationOutcome::Sessions(sessions) => Self::Sessions { sessions: *sessions, unknown: None },
            OperationOutcome::Changed { sessions, unknown } => {
                Self::Sessions { sessions: *sessions, unknown: Some(*unknown) }
            }
            OperationOutcome::Renewed { expires_unix_ms } => {
                Self::Renewed { expires_unix_ms: *expires_unix_ms }
            }
            OperationOutcome::Joined { sessions, recalled, unknown } => {
                let places = recalled.map(RecalledBody::from);
                Self::Joined(JoinedBody { sessions: *sessions, places, unknown: *unknown })
            }
            OperationOutcome::Kept(page) => Self::Kept(page.into()),
            OperationOutcome::Forgotten(messages) => Self::Forgotten { forgotten: *messages },
            OperationOutcome::Unbanned(bans) => Self::Unbanned { unbanned: *bans },
            OperationOutcome::Counted(Counted { sessions, users, anonymous }) => {
                Self::Counted { sessions: *sessions, users: *users, anonymous: *anonymous }
            }
            OperationOutcome::Names(page) => Self::Names(page.into()),
            OperationOutcome::Stats(stats) => Self::Stats(stats.into()),
            OperationOutcome::Bans(page) => Self::Bans(page.into()),
            OperationOutcome::Session(info) => Self::Session(info.as_ref().into()),
            OperationOutcome::Page(page) => Self::page(asked, page),
            OperationOutcome::Presence(presence) => Self::Presence(PresenceBody::new(presence)),
            OperationOutcome::Recording { of, frames } => Self::Recording(RecordingBody::new(of, *frames)),
            OperationOutcome::Record(record) => Self::Record(record.as_ref().into()),
            OperationOutcome::Partial { of, .. } => Self::of(asked, of),
        }
    }

    fn page(asked: Option<&'a Action>, page: &'a Page) -> Self {
        let (count, next) = (page.count, page.next.map(Hex));
        match asked {
            Some(Action::List { by: Selector::Group(group), detailed: false, .. }) => {
                let Page { behind, pushes, .. } = *page;
                let members = Rows(&page.rows);
                Self::Members(MembersPage { group, count, behind, pushes, members, next })
            }
            _ => Self::SessionsPage(SessionsPage { count, sessions: Sessions(&page.sessions), next }),
        }
    }
}

#[derive(Serialize)]
struct ReceiptBody<'a> {
    matched: u32,
    queued: u32,
    replaced: u32,
    dropped: u32,
    expired: u32,
    offline: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    written: Option<u32>,
    /// Stands beside `written`: known only once every session's socket has taken the message or lost it.
    #[serde(skip_serializing_if = "Option::is_none")]
    closed: Option<u32>,
    #[serde(skip_serializing_if = "is_none")]
    pending: u32,
    #[serde(skip_serializing_if = "is_none")]
    unreached: u32,
    #[serde(skip_serializing_if = "is_none")]
    away: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<EpochBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    missed: Option<MissedBody<'a>>,
    #[serde(skip_serializing_if = "is_none")]
    missed_more: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    partial: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<Names<'a>>,
}

struct MissedBody<'a>(&'a [Missed]);

impl Serialize for MissedBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Entry<'a> {
            session: Option<Hex>,
            user: Option<&'a str>,
            why: &'static str,
        }
        serializer.collect_seq(self.0.iter().map(|missed| Entry {
            session: missed.session.map(Hex),
            user: missed.user.as_deref(),
            why: missed.why.as_str(),
        }))
    }
}

struct EpochBody(Epoch);

impl Serialize for EpochBody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

#[derive(Serialize)]
struct JoinedBody {
    sessions: u32,
    #[serde(flatten)]
    places: Option<RecalledBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown: Option<u32>,
}

#[derive(Serialize)]
struct RecalledBody {
    epoch: Option<EpochBody>,
    offset: u64,
    complete: bool,
}

impl From<Recalled> for RecalledBody {
    fn from(recalled: Recalled) -> Self {
        let Recalled { epoch, offset, complete } = recalled;
        Self { epoch: epoch.map(EpochBody), offset, complete }
    }
}

#[derive(Serialize)]
struct KeptBody<'a> {
    epoch: Option<EpochBody>,
    offset: u64,
    messages: KeptMessages<'a>,
    complete: bool,
}

impl<'a> From<&'a KeptPage> for KeptBody<'a> {
    fn from(page: &'a KeptPage) -> Self {
        let KeptPage { epoch, offset, messages, complete } = page;
        Self {
            epoch: epoch.map(EpochBody),
            offset: *offset,
            messages: KeptMessages(messages),
            complete: *complete,
        }
    }
}

struct KeptMessages<'a>(&'a [KeptMessage]);

impl Serialize for KeptMessages<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Message<'a> {
            offset: u64,
            #[serde(skip_serializing_if = "Option::is_none")]
            key: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            text: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            data: Option<Base64<'a>>,
        }
        serializer.collect_seq(self.0.iter().map(|kept| {
            let (text, data) = match kept.frame.as_text() {
                Some(text) => (Some(text), None),
                None => (None, Some(Base64(kept.frame.payload()))),
            };
            Message { offset: kept.offset, key: kept.key.as_deref(), text, data }
        }))
    }
}

/// Such a count stands in a receipt only where it is not 0.
fn is_none(count: &u32) -> bool {
    *count == 0
}

impl<'a> From<&'a Receipt> for ReceiptBody<'a> {
    fn from(receipt: &'a Receipt) -> Self {
        Self {
            matched: receipt.matched,
            queued: receipt.queued,
            replaced: receipt.replaced,
            dropped: receipt.dropped,
            expired: receipt.expired,
            offline: receipt.offline,
            written: receipt.written,
            closed: receipt.written.map(|_| receipt.closed),
            pending: receipt.pending,
            unreached: receipt.unreached,
            away: receipt.away,
            offset: receipt.offset,
            epoch: receipt.epoch.map(EpochBody),
            missed: receipt.missed.as_ref().map(|missed| MissedBody(&missed.named)),
            missed_more: receipt.missed.as_ref().map_or(0, |missed| missed.more),
            partial: (!receipt.missing.is_empty()).then_some(true),
            missing: (!receipt.missing.is_empty()).then(|| Names(&receipt.missing)),
        }
    }
}

#[derive(Serialize)]
struct SessionBody<'a> {
    session: Hex,
    app: &'a str,
    user: Option<&'a str>,
    groups: Names<'a>,
    tags: Names<'a>,
    remote: Remote,
    since_unix_ms: u64,
    queued_messages: u32,
    queued_bytes: u64,
    bytes_in: u64,
    bytes_out: u64,
    round_trip_us: Option<u32>,
    reactor: u8,
    behind_since_unix_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    away: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claims: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<Params<'a>>,
}

impl<'a> From<&'a SessionInfo> for SessionBody<'a> {
    fn from(info: &'a SessionInfo) -> Self {
        Self {
            session: Hex(info.id),
            app: &info.app,
            user: info.user.as_deref(),
            groups: Names(&info.groups),
            tags: Names(&info.tags),
            remote: info.remote,
            since_unix_ms: info.since_unix_ms,
            queued_messages: info.queued_messages,
            queued_bytes: info.queued_bytes,
            bytes_in: info.bytes_in,
            bytes_out: info.bytes_out,
            round_trip_us: info.round_trip_us,
            reactor: info.id.worker(),
            behind_since_unix_ms: info.behind_since_unix_ms,
            away: info.away.then_some(true),
            claims: info.profile.claims.as_deref().map(raw),
            params: Some(Params(&info.profile.params)).filter(|_| !info.profile.params.is_empty()),
        }
    }
}

#[derive(Serialize)]
struct PresenceBody<'a> {
    sessions: u32,
    users: u32,
    anonymous: u32,
    present: Option<Presents<'a>>,
    next: Option<String>,
}

impl<'a> PresenceBody<'a> {
    fn new(presence: &'a Presence) -> Self {
        let Presence { sessions, users, anonymous, present, next } = presence;
        let (present, next) = (present.as_deref().map(Presents), next.as_ref().map(ToString::to_string));
        Self { sessions: *sessions, users: *users, anonymous: *anonymous, present, next }
    }
}

struct Presents<'a>(&'a [Present]);

impl<'a> Serialize for Presents<'a> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Entry<'a> {
            user: Option<&'a str>,
            count: u32,
            sessions: PresentSessions<'a>,
        }
        let entry = |present: &'a Present| Entry {
            user: present.user.as_deref(),
            count: present.count,
            sessions: PresentSessions(&present.sessions),
        };
        serializer.collect_seq(self.0.iter().map(entry))
    }
}

struct PresentSessions<'a>(&'a [PresentSession]);

impl Serialize for PresentSessions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Entry {
            session: Hex,
            since_unix_ms: u64,
        }
        let entry = |one: &PresentSession| Entry { session: Hex(one.id), since_unix_ms: one.since_unix_ms };
        serializer.collect_seq(self.0.iter().map(entry))
    }
}

#[derive(Serialize)]
struct MembersPage<'a> {
    group: &'a str,
    count: u32,
    behind: u32,
    pushes: u64,
    members: Rows<'a>,
    next: Option<Hex>,
}

#[derive(Serialize)]
struct SessionsPage<'a> {
    count: u32,
    sessions: Sessions<'a>,
    next: Option<Hex>,
}

struct Rows<'a>(&'a [SessionRow]);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Row<'a> {
            session: Hex,
            user: Option<&'a str>,
        }
        serializer
            .collect_seq(self.0.iter().map(|row| Row { session: Hex(row.id), user: row.user.as_deref() }))
    }
}

struct Sessions<'a>(&'a [SessionInfo]);

impl Serialize for Sessions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(SessionBody::from))
    }
}
