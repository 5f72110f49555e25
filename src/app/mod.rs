//! What an embedding program implements, and what it is given to act on its sessions.

mod pusher;

pub use pusher::{PushError, Pusher};

use crate::connection::{Connection, Flag, Phase};
use crate::core::Core;
pub use crate::core::Sent;
use crate::core::{Reply, add_tag, bind, join, new_push};
use crate::dispatch::{CommandError, EncodedFrame, Origin, Profile, PushOptions, Recall, Target, marked};
use crate::protocol::{CloseCode, SendError, WebSocket};
use crate::session::{InvalidName, Name, SessionId};
use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// A program on top of the server: told what the sessions of one reactor do, on that reactor's thread. One is made for
/// each reactor. What takes long belongs on a thread of its own, which answers through a [`Pusher`]: the reactor's other
/// sessions wait while a method runs.
///
/// ```
/// use gannet::{App, Message, Session};
///
/// struct Shout;
///
/// impl App for Shout {
///     fn message(&mut self, session: &mut Session<'_>, message: Message<'_>) {
///         if let Message::Text(text) = message {
///             session.send_text(&text.to_uppercase());
///         }
///     }
/// }
/// ```
pub trait App {
    /// Whether it does anything with what its sessions do. If it does not, events for which no link listens are counted as unheard, and
    /// held where [`unheard`](crate::config::AppConfig::unheard) says so.
    fn hears(&self) -> bool {
        true
    }

    /// A session has opened: its user, groups and tags are set, and the welcome is on its way.
    fn open(&mut self, session: &mut Session<'_>) {
        let _ = session;
    }

    /// A client has sent a message. Links that listen for messages have been told already.
    fn message(&mut self, session: &mut Session<'_>, message: Message<'_>) {
        let _ = (session, message);
    }

    /// A session's connection has ended, and the session waits for its client to come back: it keeps its user, groups and tags, and
    /// what it is sent waits. Only where its app has `resume.linger_ms`. Then comes [`App::back`] or [`App::close`].
    fn away(&mut self, session: &mut Session<'_>) {
        let _ = session;
    }

    /// The client of a session that was away has come back. What it had missed is on its way, before everything that is sent here.
    fn back(&mut self, session: &mut Session<'_>) {
        let _ = session;
    }

    /// A session has ended, and has left all groups already: what it was in and had is in [`ClosedSession`]. Called once, after its last message.
    fn close(&mut self, session: &ClosedSession) {
        let _ = session;
    }
}

/// The app of the server program: the backends do everything, over HTTP and links.
///
/// ```
/// let app: Box<dyn gannet::App> = Box::new(gannet::Relay);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Relay;

impl App for Relay {
    fn hears(&self) -> bool {
        false
    }
}

/// A message from a client (RFC 6455 §5.6).
///
/// ```
/// use gannet::Message;
/// assert_eq!(Message::Text("hi").as_bytes(), b"hi");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// Text, which has been checked.
    Text(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
}

impl<'a> Message<'a> {
    /// The payload.
    pub fn as_bytes(self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }
}

/// A session that is over.
///
/// ```
/// use gannet::{App, ClosedSession};
///
/// struct Log;
///
/// impl App for Log {
///     fn close(&mut self, session: &ClosedSession) {
///         println!("{} ended with {}: {}", session.id, session.code, session.reason);
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedSession {
    /// Its id, which names no session any more.
    pub id: SessionId,
    /// The app it belonged to.
    pub app: Name,
    /// The user it was bound to.
    pub user: Option<Name>,
    /// The groups that it was in.
    pub groups: Vec<Name>,
    /// The tags that it had.
    pub tags: Vec<Name>,
    /// What its app kept of what its client had shown.
    pub profile: Arc<Profile>,
    /// The close code: the client's, the server's, 1005 where the client gave none, or 1006 where there was no closing
    /// handshake (RFC 6455 §7.1.5).
    pub code: u16,
    /// The close reason.
    pub reason: Box<str>,
}

/// A live session, as [`App`]'s methods get it.
///
/// ```
/// use gannet::Session;
///
/// fn greet(session: &mut Session<'_>) -> Result<(), gannet::SessionError> {
///     session.join("lobby")?;
///     let name = session.user().map_or("stranger", |user| user.as_str()).to_owned();
///     session.send_text(&format!("welcome, {name}"));
///     Ok(())
/// }
/// ```
pub struct Session<'a> {
    core: &'a mut Core,
    /// What its client is answered by this handler, written before anything that the handler pushes.
    reply: &'a mut Reply,
    slot: u32,
    id: SessionId,
    /// A push of this handler waits for a later turn: what follows it goes behind.
    has_pushed: bool,
}

impl<'a> Session<'a> {
    pub(crate) fn new(core: &'a mut Core, reply: &'a mut Reply, id: SessionId) -> Self {
        Self { core, reply, slot: id.slot(), id, has_pushed: false }
    }

    /// Its id.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// The name of its app; empty once the session is over.
    pub fn app(&self) -> &str {
        self.core.hub.app_of(self.slot).map_or("", |app| self.core.rules.apps.name_of(app))
    }

    /// The user it is bound to.
    pub fn user(&self) -> Option<&Name> {
        self.core.hub.user_of(self.slot)
    }

    /// The groups it is in.
    pub fn groups(&self) -> impl Iterator<Item = &Name> {
        self.core.hub.groups_of(self.slot)
    }

    /// The tags it has.
    pub fn tags(&self) -> impl Iterator<Item = &Name> {
        self.core.hub.tags_of(self.slot)
    }

    /// What its app keeps of the claims of its token (`apps.NAME.claims`): a JSON object.
    pub fn claims(&self) -> Option<&str> {
        self.core.profile_of(self.slot)?.claims.as_deref()
    }

    /// The value of a query parameter that its app keeps (`apps.NAME.params`).
    ///
    /// ```
    /// use gannet::Session;
    ///
    /// fn is_old(session: &Session<'_>) -> bool {
    ///     session.param("version").is_none_or(|version| version.starts_with("0."))
    /// }
    /// ```
    pub fn param(&self, name: &str) -> Option<&str> {
        self.core.profile_of(self.slot)?.param(name)
    }

    /// The client's address; where a proxy has said it, what the proxy said, with port 0 where it said none. `None` for a
    /// client behind a Unix socket, of which no proxy has said where it is, and once the session has gone.
    pub fn remote(&self) -> Option<SocketAddr> {
        self.core.connections.slot(self.slot)?.remote().addr()
    }

    /// Whether it has not been closed meanwhile.
    pub fn is_open(&self) -> bool {
        let lives = self.core.hub.id_of(self.slot) == Some(self.id);
        lives && self.core.connections.slot(self.slot).is_some_and(Connection::takes_messages)
    }

    /// Whether its client is away, and may come back: it has no connection, and what it is sent waits.
    pub fn is_away(&self) -> bool {
        self.core.is_away(self.id)
    }

    /// Sends a text message to this session, and says what became of it. What the socket does not take waits in the
    /// session's outbox, within its bounds; at a bound the app's policy for normal messages says what happens.
    ///
    /// What one handler sends and pushes to its session arrives in the order of the calls.
    pub fn send_text(&mut self, text: &str) -> Sent {
        // A client that tells gannet's own messages from the game's takes one mark away.
        let marked = if self.core.speaks_own(self.slot) { marked(text) } else { Cow::Borrowed(text) };
        self.send(|websocket, out| websocket.send_text(&marked, out), || EncodedFrame::text(text))
    }

    /// Sends a binary message to this session, as [`Session::send_text`] does.
    pub fn send_binary(&mut self, bytes: &[u8]) -> Sent {
        self.send(|websocket, out| websocket.send_binary(bytes, out), || EncodedFrame::binary(bytes))
    }

    /// Sends a message to sessions of the same app, on every reactor, as a backend's push does.
    ///
    /// A target that [`Session::try_push`] refuses gets nothing, which is counted in `gannet_pushes_refused_total`.
    pub fn push(&mut self, target: Target, frame: EncodedFrame, options: PushOptions) {
        if self.try_push(target, frame, options).is_err() {
            self.core.metrics().pushes_refused.add(1);
        }
    }

    /// The same, and says why a push is refused.
    ///
    /// # Errors
    /// [`SessionError::Refused`] where the target names two groups that remember: there is no order of theirs.
    pub fn try_push(
        &mut self,
        target: Target,
        frame: EncodedFrame,
        options: PushOptions,
    ) -> Result<(), SessionError> {
        if let Some(app) = self.core.hub.app_of(self.slot) {
            self.core.rules.delivery_rules.check_target(app, &target).map_err(SessionError::Refused)?;
            // It may be for this session too: behind what it has been sent.
            self.core.write_reply(self.slot, self.reply);
            let push = new_push(self.core, app, target, frame, options, Origin::Nobody);
            self.core.publish(&push);
            self.has_pushed = self.core.is_behind_with_work();
        }
        Ok(())
    }

    /// Joins a group. Returns whether it was not in it before. Of a group that keeps the newest push of each key it gets those
    /// first, behind what this handler has sent so far.
    ///
    /// # Errors
    /// A bad name, or as many groups as a session may be in.
    pub fn join(&mut self, group: &str) -> Result<bool, SessionError> {
        self.join_and(group, None)
    }

    /// Joins a group that has a log, and gets a part of the log first, behind what this handler has sent so far. Returns whether
    /// it was not in the group before; if it was, it gets nothing.
    ///
    /// # Errors
    /// As [`Session::join`], or a group that keeps no log.
    ///
    /// ```
    /// use gannet::{Session, SessionError, dispatch::Recall};
    ///
    /// fn enter_chat(session: &mut Session<'_>) -> Result<bool, SessionError> {
    ///     session.join_with("chat/lobby", Recall::Last(20))
    /// }
    /// ```
    pub fn join_with(&mut self, group: &str, recall: Recall) -> Result<bool, SessionError> {
        self.join_and(group, Some(recall))
    }

    fn join_and(&mut self, group: &str, recall: Option<Recall>) -> Result<bool, SessionError> {
        let group = Name::new(group).map_err(SessionError::Name)?;
        let Some(app) = self.core.hub.app_of(self.slot) else { return Ok(false) };
        let recalls = self.core.check_recall(app, &group, recall).map_err(SessionError::Refused)?;
        let joined = join(self.core, self.slot, &group).map_err(SessionError::Refused)?;
        if joined && recalls {
            self.core.write_reply(self.slot, self.reply);
            self.core.recall_for(self.slot, &group, recall);
        }
        Ok(joined)
    }

    /// Leaves a group. Returns whether it was in it.
    pub fn leave(&mut self, group: &str) -> bool {
        self.core.leave_group(self.slot, group)
    }

    /// Gets a tag. Returns whether it did not have it before.
    ///
    /// # Errors
    /// A bad name, or as many tags as a session may have.
    pub fn tag(&mut self, tag: &str) -> Result<bool, SessionError> {
        let tag = Name::new(tag).map_err(SessionError::Name)?;
        add_tag(self.core, self.slot, &tag).map_err(SessionError::Refused)
    }

    /// Loses a tag. Returns whether it had it.
    pub fn untag(&mut self, tag: &str) -> bool {
        self.core.untag_session(self.slot, tag)
    }

    /// Binds the session to this user from now on; `None` unbinds it. It leaves the sticky groups of the user that it had, and joins
    /// those of this one.
    ///
    /// # Errors
    /// A bad name, or as many sessions as the user may have.
    pub fn bind(&mut self, user: Option<&str>) -> Result<(), SessionError> {
        let user = user.map(Name::new).transpose().map_err(SessionError::Name)?;
        // What sticky groups remember goes behind what it has been sent.
        self.core.write_reply(self.slot, self.reply);
        bind(self.core, self.slot, user.as_ref()).map_err(SessionError::Refused)?;
        Ok(())
    }

    /// Starts the closing handshake behind what waits already (RFC 6455 §7.1.2). A reason of more than 123 bytes is cut at
    /// a character; a code that may not be in a Close frame (§7.4) becomes 1011.
    pub fn close(&mut self, code: CloseCode, reason: &str) {
        self.core.write_reply(self.slot, self.reply);
        match self.has_pushed && self.core.is_behind_with_work() {
            true => self.core.close_behind_work(self.id, code, reason),
            false => self.core.close_for_good(self.slot, code, reason),
        }
    }

    /// A way to push from any thread.
    pub fn pusher(&self) -> Pusher {
        Pusher::new(self.core.shared.clone())
    }

    /// With a socket that is not behind, a message goes with the handler's answers; else it waits like any other.
    fn send(
        &mut self,
        encode: impl FnOnce(&mut WebSocket, &mut Vec<u8>) -> Result<(), SendError>,
        frame: impl FnOnce() -> EncodedFrame,
    ) -> Sent {
        if !self.is_open() {
            return Sent::Closed;
        }
        if self.has_pushed && self.core.is_behind_with_work() {
            return self.core.send_behind_work(self.id, frame());
        }
        let Some(connection) = self.core.connections.slot_mut(self.slot) else { return Sent::Closed };
        // Of a session that may resume each message is kept for itself; an event is made when it goes to the wire.
        let is_queued = connection.resume().is_some() || connection.flags.has(Flag::Stream);
        if connection.outbox.is_some() || is_queued {
            self.core.write_reply(self.slot, self.reply);
            return self.core.send(self.slot, frame());
        }
        let Some(websocket) = &mut connection.websocket else { return Sent::Closed };
        if encode(websocket, &mut self.reply.messages).is_err() {
            return Sent::Closed;
        }
        self.core.metrics().messages_out.add(1);
        if !self.reply.is_full() {
            return Sent::Sent;
        }
        self.core.write_reply(self.slot, self.reply);
        match self.core.connections.slot(self.slot) {
            Some(connection) if connection.phase != Phase::Open => Sent::Closed,
            Some(connection) if connection.outbox.is_some() => Sent::Queued,
            Some(_) => Sent::Sent,
            None => Sent::Closed,
        }
    }
}

/// Why a session could not be changed.
///
/// ```
/// use gannet::{Session, SessionError};
///
/// /// A tag is worth no more than a line in the log.
/// fn tag(session: &mut Session<'_>, tag: &str) {
///     match session.tag(tag) {
///         Ok(_) => {}
///         Err(SessionError::Name(error)) => println!("{tag:?} is no tag: {error}"),
///         Err(SessionError::Refused(error)) => println!("no room for {tag}: {}", error.message),
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionError {
    /// The name is no name.
    Name(InvalidName),
    /// A bound was reached; the message says which.
    Refused(CommandError),
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => error.fmt(f),
            Self::Refused(error) => f.write_str(&error.message),
        }
    }
}

impl std::error::Error for SessionError {}
