//! The state of a session, as a link is told it that gets the session or asks for all that there are.

use super::error::{Malformed, TooLong};
use super::names::{put_names, read_names, read_remote};
use super::wire::{Reader, put_text};
use crate::session::{Name, Remote, SessionId};
use std::borrow::Cow;

/// Its client is away.
const AWAY: u8 = 0x01;

/// What a session is at the moment.
///
/// ```
/// use gannet::link_bin::{Event, State};
/// use gannet::session::{Remote, SessionId};
/// let state = State {
///     session: SessionId::from_u64(0x00a0_0000_0000_0001),
///     user: Some("ada"),
///     app: "default",
///     remote: Remote::Unix,
///     since_unix_ms: 1_760_000_000_000,
///     groups: vec![gannet::session::Name::new("red").unwrap()].into(),
///     tags: Vec::new().into(),
///     away: false,
/// };
/// let mut message = Vec::new();
/// Event::Assigned(state.clone()).encode(&mut message)?;
/// assert_eq!(Event::decode(&message)?, Event::Assigned(state));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State<'a> {
    /// Which session.
    pub session: SessionId,
    /// Its user.
    pub user: Option<&'a str>,
    /// Its app.
    pub app: &'a str,
    /// Where the client is, or was last.
    pub remote: Remote,
    /// When it was opened, in milliseconds since the Unix epoch.
    pub since_unix_ms: u64,
    /// The groups that it is in.
    pub groups: Cow<'a, [Name]>,
    /// Its tags.
    pub tags: Cow<'a, [Name]>,
    /// Whether its client is away, and it waits for it.
    pub away: bool,
}

impl<'a> State<'a> {
    /// The flags of its message.
    pub(super) fn flags(&self) -> u8 {
        if self.away { AWAY } else { 0 }
    }

    /// Reads what follows the user.
    pub(super) fn read(
        flags: u8,
        session: SessionId,
        user: Option<&'a str>,
        reader: &mut Reader<'a>,
    ) -> Result<Self, Malformed> {
        Ok(Self {
            session,
            user,
            app: reader.text("app")?,
            remote: read_remote(reader)?,
            since_unix_ms: reader.u64("since_unix_ms")?,
            groups: Cow::Owned(read_names("groups", reader)?),
            tags: Cow::Owned(read_names("tags", reader)?),
            away: flags & AWAY != 0,
        })
    }

    /// Writes what follows the user.
    pub(super) fn put(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        put_text(self.app, "app", out)?;
        put_text(&self.remote.to_string(), "remote", out)?;
        out.extend_from_slice(&self.since_unix_ms.to_le_bytes());
        put_names(&self.groups, "groups", out)?;
        put_names(&self.tags, "tags", out)
    }
}
