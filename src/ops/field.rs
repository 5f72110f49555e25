//! What is known of a field whichever way it is given: as a field of a JSON command, in the query or in the path.

use super::bounds::{LOG_LEVELS, bad_request, number, switch};
use super::fields::{After, Fields, OneOrMore, Session, Text, To};

use crate::dispatch::{CommandError, Detail, EventKind, Scope};

/// A field of a command, and the parameter of the same name.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it may hold.
    pub kind: Kind,
    /// Whether it has to be there.
    pub need: Need,
    /// What it means, in one sentence.
    pub about: &'static str,
    /// Whether it may be given several times; in JSON it is one value or a list of them.
    pub is_list: bool,
    /// A value, as a parameter has it.
    pub example: &'static str,
    /// Puts the value of a parameter into its place.
    put: Put,
}

/// Puts text where a field has its value; the name is for the error.
type Put = for<'a> fn(&mut Fields<'a>, &'static str, Text<'a>) -> Result<(), CommandError>;

/// What a field may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A user, group, tag or app, or a conflation key.
    Name,
    /// A user, or nobody: `null`, as a parameter empty.
    NameOrNobody,
    /// A session id.
    Session,
    /// The epoch of a group's numbers.
    Epoch,
    /// A number from this one on; [`Field::about`] says which configuration bounds it.
    Number(u64),
    /// One of these.
    OneOf(&'static [&'static str]),
    /// At least one of these.
    Some(&'static [&'static str]),
    /// The same, as one text with commas between them.
    SomeOf(&'static [&'static str]),
    /// `1` or `true`, `0` or `false`.
    Switch,
    /// A close code that a backend may choose.
    CloseCode,
    /// At most 123 bytes.
    Reason,
    /// Where players are to go: `ws://` or `wss://`, visible ASCII, at most 100 bytes.
    Destination,
    /// An absolute path on the server's machine: at most 4095 bytes.
    Path,
    /// A text message.
    Text,
    /// An IP address, or a network such as `10.0.0.0/8`.
    Address,
    /// A player's token (RFC 7519).
    Token,
    /// A text message that is JSON: any value, as it stands there.
    Json,
    /// Who does not get a push: a session, or the same as a target.
    Except,
    /// A way of naming sessions: its kind, a colon and the name.
    Selector,
    /// A binary message, in base64 with padding (RFC 4648 §4).
    Base64,
    /// The target of a push.
    Target,
}

/// Whether a field has to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It has.
    Required,
    /// It need not be.
    Optional,
    /// Exactly one of those that are marked so.
    ExactlyOne,
    /// At least one of those that are marked so, each any number of times but for a switch.
    AtLeastOne,
    /// At most one of those that are marked so.
    AtMostOne,
}

impl Field {
    /// The same field where it is needed like this.
    pub const fn being(mut self, need: Need) -> Self {
        self.need = need;
        self
    }

    /// The same field where there may be several.
    const fn listed(mut self) -> Self {
        self.is_list = true;
        self
    }

    /// Puts the value of a parameter, percent-decoded, into its place.
    ///
    /// # Errors
    /// [`ErrorCode::BadRequest`](crate::dispatch::ErrorCode::BadRequest) when there is a value already, or it is not of
    /// the field's kind.
    pub fn put<'a>(&self, fields: &mut Fields<'a>, value: Text<'a>) -> Result<(), CommandError> {
        (self.put)(fields, self.name, value)
    }
}

/// Puts `value` into `slot`.
///
/// # Errors
/// [`ErrorCode::BadRequest`](crate::dispatch::ErrorCode::BadRequest) when it has one already.
pub fn once<T>(slot: &mut Option<T>, name: &str, value: T) -> Result<(), CommandError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(bad_request(format!("the parameter {name} is given twice; give it once"))),
    }
}

/// Puts `value` behind those that are in `slot`.
fn further<'a>(slot: &mut Option<OneOrMore<'a>>, value: Text<'a>) -> Result<(), CommandError> {
    *slot = Some(slot.take().unwrap_or_default().and(value));
    Ok(())
}

/// The words of a list with commas.
fn words(list: Text<'_>) -> Vec<Text<'_>> {
    list.split(',').filter(|word| !word.is_empty()).map(|word| Text(word.to_owned().into())).collect()
}

/// For fields of commands in JSON, and for the parameters of a push, which have a reader of their own.
fn unput<'a>(_: &mut Fields<'a>, name: &'static str, _: Text<'a>) -> Result<(), CommandError> {
    Err(bad_request(format!("{name} is no parameter here")))
}

macro_rules! fields {
    ($($(#[$doc:meta])* $constant:ident = $name:literal, $kind:expr, $example:literal, $about:literal, $put:expr;)+) => {
        $(
            #[doc = $about]
            pub const $constant: Field = Field {
                name: $name,
                kind: $kind,
                need: Need::Required,
                is_list: false,
                about: $about,
                example: $example,
                put: $put,
            };
        )+
    };
}

fields! {
    APP = "app", Kind::Name, "default", "The app whose names are used; without it, `default`.",
        |fields, name, value| once(&mut fields.app, name, value);
    SCOPE = "scope", Kind::OneOf(&Scope::NAMES), "node", "Of several nodes: `cluster`, all of them, or `node`, the one that is asked; \
        without it, `cluster`.", |fields, name, value| once(&mut fields.scope, name, value);
    SESSION = "session", Kind::Session, "00a0000000000001", "A session.",
        |fields, name, value| once(&mut fields.session, name, Session::Text(value));
    USER = "user", Kind::Name, "ada", "All sessions of a user.",
        |fields, name, value| once(&mut fields.user, name, Some(OneOrMore::One(value)));
    SESSION_IN_LIST = "session", Kind::Session, "00a0000000000001", "A session, or several.",
        |fields, _, value| {
            fields.session = Some(match fields.session.take() {
                None => Session::Text(value),
                Some(sessions) => sessions.and(value),
            });
            Ok(())
        };
    USER_IN_LIST = "user", Kind::Name, "ada", "All sessions of a user, or of several.",
        |fields, _, value| {
            let mut users = fields.user.take().flatten();
            further(&mut users, value)?;
            fields.user = Some(users);
            Ok(())
        };
    GROUP_IN_LIST = "group", Kind::Name, "g", "A group, or several.",
        |fields, _, value| further(&mut fields.group, value);
    GROUPS_SET = "groups", Kind::Name, "match:1", "The groups: all that there are, of those that begin with `prefix`; an empty list, as \
        a parameter one empty value, is none.", |fields, _, value| further(&mut fields.groups, value);
    TAGS_SET = "tags", Kind::Name, "mobile", "The tags: all that there are, of those that begin with `prefix`; an empty list, as \
        a parameter one empty value, is none.", |fields, _, value| further(&mut fields.tags, value);
    PREFIX = "prefix", Kind::Name, "m", "Only names that begin so; without it, all.",
        |fields, name, value| once(&mut fields.prefix, name, value);
    BOUND_USER = "user", Kind::NameOrNobody, "ada", "The user; null, as a parameter empty, unbinds the session.",
        |fields, name, value| once(&mut fields.user, name, Some(value).filter(|user| !user.is_empty()).map(OneOrMore::One));
    GROUP = "group", Kind::Name, "g", "A group.", |fields, name, value| once(&mut fields.group, name, OneOrMore::One(value));
    OTHER_GROUP = "to", Kind::Name, "h", "The group that the members are in afterwards.",
        |fields, name, value| once(&mut fields.to, name, To::Group(value));
    TAG = "tag", Kind::Name, "ios", "A tag.", |fields, name, value| once(&mut fields.tag, name, value);
    CODE = "code", Kind::CloseCode, "4001", "The close code: 1000, 1001, 1008, 1011, 1012, 1013 or 3000 to 4999; \
        without it, 4001.", |fields, name, value| once(&mut fields.code, name, number(name, &value)?);
    REASON = "reason", Kind::Reason, "cheating", "The close reason: at most 123 bytes.",
        |fields, name, value| once(&mut fields.reason, name, value);
    OVER_MS = "over_ms", Kind::Number(0), "60000", "How long it takes, in milliseconds: up to a day; without it, \
        `shutdown_ms`.", |fields, name, value| once(&mut fields.over_ms, name, number(name, &value)?);
    DESTINATION = "to", Kind::Destination, "wss://b.example/ws", "Where the sessions are to go.",
        |fields, name, value| once(&mut fields.to, name, To::Group(value));
    BINARY = "binary", Kind::Path, "/usr/local/bin/gannet-new", "The binary that takes over: an absolute path on the server's \
        machine; without it, what lies where the running one was started from.",
        |fields, name, value| once(&mut fields.binary, name, value);
    DRY_RUN = "dry_run", Kind::Switch, "1", "Only see whether the binary would take over.",
        |fields, name, value| once(&mut fields.dry_run, name, switch(name, &value)?);
    DEFAULTS = "defaults", Kind::Switch, "1", "Show what every key is where nothing sets it, instead.",
        |fields, name, value| once(&mut fields.defaults, name, switch(name, &value)?);
    LEVEL = "level", Kind::OneOf(LOG_LEVELS), "debug", "How much is logged.",
        |fields, name, value| once(&mut fields.level, name, value);
    FOR_MS = "for_ms", Kind::Number(1), "60000", "For how long, in milliseconds: up to a day; without it, until it is \
        changed again.", |fields, name, value| once(&mut fields.for_ms, name, number(name, &value)?);
    FRAMES = "frames", Kind::Number(1), "200", "How many events are kept, the last ones: 1 to `record_frames`; without it, 200.",
        |fields, name, value| once(&mut fields.frames, name, number(name, &value)?);
    LIMIT = "limit", Kind::Number(1), "100", "Sessions on a page: 1 to `max_page`; without it, 100.",
        |fields, name, value| once(&mut fields.limit, name, number(name, &value)?);
    AFTER = "after", Kind::Session, "00a0000000000001", "What the last page gave as `next`.",
        |fields, name, value| once(&mut fields.after, name, After::Session(value));
    RESUME = "resume", Kind::Text, "AKAAAAAAAAEAAAAAAAAAAAAAAAAAAAAA", "`new`: the first message of the link is a ticket. A ticket: the link goes on where the one \
        that gave it was.", |fields, name, value| once(&mut fields.resume, name, value);
    RECEIVED = "received", Kind::Number(0), "0", "With a ticket: how many events of the link have been read.",
        |fields, name, value| once(&mut fields.received, name, number(name, &value)?);
    AFTER_PRESENT = "after", Kind::Text, "u:ada", "What the last page gave as `next`.",
        |fields, name, value| once(&mut fields.after, name, After::Session(value));
    MEMBERS = "members", Kind::Switch, "1", "Whether who is there is named, or only counted; without it, yes.",
        |fields, name, value| once(&mut fields.members, name, switch(name, &value)?);
    BEHIND = "behind", Kind::Switch, "1", "Only sessions whose sockets have not taken all that waits for them, the largest queue first; without it, all.",
        |fields, name, value| once(&mut fields.behind, name, switch(name, &value)?);
    LAST = "last", Kind::Number(0), "10", "Of a group with a log: who joins gets the newest so many of it first.",
        |fields, name, value| once(&mut fields.last, name, number(name, &value)?);
    STICKY = "sticky", Kind::Switch, "1", "Of users: each of their sessions is in the group, also those that come later; without it, those \
        that are there.", |fields, name, value| once(&mut fields.sticky, name, switch(name, &value)?);
    AFTER_OFFSET = "after", Kind::Number(0), "17", "Of a group with a log: only what is behind this number.",
        |fields, name, value| once(&mut fields.after, name, After::Offset(number(name, &value)?));
    EPOCH = "epoch", Kind::Epoch, "5f3a00000000c0de", "The epoch of the number in `after`; without it, any.",
        |fields, name, value| once(&mut fields.epoch, name, value);
    KEPT_KEY = "key", Kind::Name, "score", "The newest push of this key; without it, all that the group remembers.",
        |fields, name, value| once(&mut fields.key, name, value);
    FEED_EVENTS = "events", Kind::SomeOf(&EventKind::NAMES), "open,message,close", "Which events, with commas between them.",
        |fields, name, value| once(&mut fields.events, name, words(value));
    FEED_WITH = "with", Kind::SomeOf(&Detail::NAMES), "groups,tags", "What each event has of its session beside its own \
        fields, with commas between them.", |fields, name, value| once(&mut fields.with, name, words(value));
    FEED_RESUME = "resume", Kind::Text, "AKAAAAAAAAEAAAAAAAAAAAAAAAAAAAAA", "The ticket of the feed; without it, one is opened.",
        |fields, name, value| once(&mut fields.resume, name, value);
    WAIT_MS = "wait_ms", Kind::Number(0), "20000", "How long to wait for an event, in milliseconds: 0 to \
        `max_poll_wait_ms`; without it, `poll_wait_ms`.",
        |fields, name, value| once(&mut fields.wait_ms, name, number(name, &value)?);
    EVENTS = "events", Kind::Some(&EventKind::NAMES), "open", "Which events.", unput;
    SHARE = "share", Kind::Name, "game", "Links with the same name here split the sessions among them.",
        |fields, name, value| once(&mut fields.share, name, value);
    WITH = "with", Kind::Some(&Detail::NAMES), "groups", "What each event has of its session beside its own fields.", unput;
    NUMBERS = "numbers", Kind::Switch, "1", "Whether each event has its number: how many have been read with it.",
        |fields, name, value| once(&mut fields.numbers, name, switch(name, &value)?);
    SNAPSHOT = "snapshot", Kind::Switch, "1", "Whether the link is told first of all sessions that are there.",
        |fields, name, value| once(&mut fields.snapshot, name, switch(name, &value)?);
    NAME = "name", Kind::Name, "m7", "What the link is called; no other live link of the app is called so.",
        |fields, name, value| once(&mut fields.name, name, value);
    LINK = "link", Kind::NameOrNobody, "m7", "What the link is called that gets their events; null, as a parameter empty, ends the \
        route.", |fields, name, value| once(&mut fields.link, name, Some(value).filter(|link| !link.is_empty()));
    OF_SHARE = "share", Kind::Name, "game", "The share.", |fields, name, value| once(&mut fields.share, name, value);
    TARGET = "to", Kind::Target, "", "Whom the message is for: the union of all that is named.", unput;
    ALL = "all", Kind::Switch, "1", "Every session of the app.", unput;
    TEXT = "text", Kind::Text, "hi", "A text message.", unput;
    DATA = "data", Kind::Base64, "AAEC", "A binary message, in base64 with padding.", unput;
    TOKEN = "token", Kind::Token, "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl", "Another token of the session's \
        user.", unput;
    ADDRESS = "address", Kind::Address, "192.0.2.7", "Whoever comes from an address or a network.",
        |fields, name, value| once(&mut fields.address, name, value);
    EXPIRES = "expires_unix_ms", Kind::Number(0), "1760000600000", "When the session ends, in milliseconds since the Unix epoch.",
        |fields, name, value| once(&mut fields.expires_unix_ms, name, number(name, &value)?);
    ENDS_IN_MS = "for_ms", Kind::Number(0), "600000", "In how many milliseconds the session ends.",
        |fields, name, value| once(&mut fields.for_ms, name, number(name, &value)?);
    BAN_MS = "for_ms", Kind::Number(0), "600000", "For how long, in milliseconds; without it, until the ban is taken back.",
        |fields, name, value| once(&mut fields.for_ms, name, number(name, &value)?);
    BAN_REASON = "reason", Kind::Reason, "cheating", "The close reason, which those who are refused are told too: at most 123 bytes.",
        |fields, name, value| once(&mut fields.reason, name, value);
    AFTER_BANNED = "after", Kind::Text, "u:ada", "What the last page gave as `next`.",
        |fields, name, value| once(&mut fields.after, name, After::Session(value));
    AFTER_NAME = "after", Kind::Name, "ada", "What the last page gave as `next`.",
        |fields, name, value| once(&mut fields.after, name, After::Session(value));
    ONE_USER = "user", Kind::Name, "mallory", "A user.",
        |fields, name, value| once(&mut fields.user, name, Some(OneOrMore::One(value)));
    TTL_MS = "ttl_ms", Kind::Number(0), "5000", "How long the message may wait for a socket, in milliseconds: 0 to \
        `max_ttl_ms`; without it, 60000.", unput;
    KEY = "key", Kind::Name, "score", "Conflation: an unsent older message with this key to the same session is \
        replaced.", unput;
    CLASS = "class", Kind::OneOf(&["normal", "urgent", "droppable"]), "urgent", "What goes first before a slow client, \
        and what is dropped; without it, `normal`.", unput;
    JSON = "json", Kind::Json, "{\"score\":3}", "A text message: exactly these bytes of JSON.", unput;
    EXCEPT = "except", Kind::Except, "00a0000000000001", "A session that does not get the message, or several sessions, users, \
        groups and tags.", unput;
    EXCEPT_EACH = "except", Kind::Session, "00a0000000000001", "A session that does not get the message; or a user, a group or a \
        tag, as `user:ada`.", unput;
    COMMON = "all_of", Kind::Selector, "group:red", "What all of these have in common is a part of the target.", unput;
    NAMES = "names", Kind::Switch, "1", "Whether the receipt names who missed the message: at most `receipt_names`.", unput;
    RECEIPT = "receipt", Kind::OneOf(&["none", "queued", "written"]), "written", "When the push is answered; without \
        it, `queued`.", unput;
}

/// Sessions of a command that takes several.
pub const SESSIONS: Field = SESSION_IN_LIST.listed();
/// Users of a command that takes several.
pub const USERS: Field = USER_IN_LIST.listed();
/// Groups of a command that takes several.
pub const GROUPS: Field = GROUP_IN_LIST.listed();
/// The groups that sessions are in afterwards.
pub const SET_OF_GROUPS: Field = GROUPS_SET.listed();
/// The tags that sessions have afterwards.
pub const SET_OF_TAGS: Field = TAGS_SET.listed();
/// What the target of a push in a query has in common.
pub const ALL_OF: Field = COMMON.listed();
/// Who does not get a push, in a query.
pub const EXCEPTED: Field = EXCEPT_EACH.listed();
