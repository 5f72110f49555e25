//! A push on its way, and what became of it.

mod carry;
mod part;
mod published;

pub(crate) use carry::{CarriedShared, Packer, Unpacker};
pub(crate) use part::PushPart;
pub(crate) use published::{PushId, PushIds};

use super::missed::{Gathering, MissedList, Why};
use super::{EncodedFrame, Epoch, Fate, Origin, Place, Receipt, Scope, Selector, Target};
use crate::protocol::DeflateEngine;
use crate::session::{AppId, Name, SessionId};
use crate::stream::{SharedEvent, element};
use part::Elsewhere;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

/// Which messages go before which when a socket is behind.
///
/// ```
/// use gannet::dispatch::{Class, PushOptions};
/// let shot = PushOptions { class: Class::Urgent, ..PushOptions::default() };
/// assert_ne!(shot.class, Class::default());
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// In the order of publishing.
    #[default]
    Normal,
    /// Overtakes what is not yet on the wire.
    Urgent,
    /// The first to go when a queue is full.
    Droppable,
}

/// When the publisher is answered.
///
/// ```
/// use gannet::dispatch::{PushOptions, ReceiptMode};
/// let options = PushOptions { receipt: ReceiptMode::Written, ..PushOptions::default() };
/// assert_ne!(options.receipt, ReceiptMode::default());
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ReceiptMode {
    /// At once, without counts.
    None,
    /// When every session's socket or queue has taken the message.
    #[default]
    Queued,
    /// When every session's socket has taken the message, or it was lost to one for a counted reason.
    Written,
}

/// What a publisher may say about a push beyond its target.
///
/// ```
/// use gannet::dispatch::PushOptions;
/// use std::time::Duration;
/// let ttl = Some(Duration::from_millis(200));
/// let position = PushOptions { ttl, key: Some("position".into()), ..PushOptions::default() };
/// assert_eq!(position.except, None);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PushOptions {
    /// How long the message may wait for the socket; `None` takes the configured default.
    pub ttl: Option<Duration>,
    /// Conflation: an unsent older message with this key to the same session is replaced.
    pub key: Option<Box<str>>,
    /// See [`Class`].
    pub class: Class,
    /// A session that does not get the message, usually the one it came from.
    pub except: Option<SessionId>,
    /// Further sessions that do not get it: whoever any of these means.
    pub without: Vec<Selector>,
    /// See [`ReceiptMode`].
    pub receipt: ReceiptMode,
    /// Of the sessions that miss it, the receipt names so many at the most: see [`Receipt::missed`].
    pub names: u32,
    /// See [`Scope`].
    pub scope: Scope,
}

/// A push as every reactor with a part in it sees it.
#[derive(Debug)]
pub struct Push {
    /// The tenant whose names the target uses.
    pub app: AppId,
    /// Whom it is for.
    pub target: Target,
    /// The message, encoded.
    pub frame: EncodedFrame,
    /// Milliseconds of the server's clock after which it is not written any more.
    pub deadline_ms: u64,
    /// Nanoseconds of the server's clock when it was accepted.
    pub accepted_ns: u64,
    /// Options as given; `ttl` is spent: `deadline_ms` counts.
    pub options: PushOptions,
    /// Who wants the receipt.
    pub origin: Origin,
    /// Set by the reactor that compresses the message, which alone fills `deflated`.
    deflate_claimed: AtomicBool,
    /// The message compressed; inside, `None` where that is no shorter. Once it is filled it stays as it is.
    deflated: OnceLock<Option<EncodedFrame>>,
    /// The message for clients that tell gannet's own from the game's; inside, `None` where that is the same.
    marked: OnceLock<Option<EncodedFrame>>,
    /// Its place among the pushes of its group, where that remembers: given once, by the group's owner, before any other
    /// reactor delivers the push.
    place: OnceLock<Place>,
    /// The message for sessions over plain HTTP, once one of them has got it.
    over_http: OnceLock<Box<OverHttp>>,
    tally: Tally,
    missed: Option<Box<Gathering>>,
    /// What other nodes say beside their counts, once one has.
    elsewhere: OnceLock<Box<Elsewhere>>,
    /// Under which numbers other nodes get it, where there are any.
    ids: OnceLock<PushIds>,
}

/// A push in the forms of sessions over plain HTTP; each is made on first use, for all reactors.
#[derive(Debug, Default)]
struct OverHttp {
    event: OnceLock<SharedEvent>,
    element: OnceLock<Box<[u8]>>,
}

/// The forms of a push on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// As it was pushed.
    Plain,
    /// Compressed.
    Deflated,
    /// With the mark at its beginning doubled.
    Marked,
}

#[derive(Debug)]
struct Tally {
    /// Reactors that have not done their part, and the publisher while it still posts.
    pending: AtomicU32,
    /// Reactors that have not said which of the named users are there; not counted where no user is named.
    unselected: AtomicU32,
    matched: AtomicU32,
    queued: AtomicU32,
    written: AtomicU32,
    replaced: AtomicU32,
    dropped: AtomicU32,
    expired: AtomicU32,
    closed: AtomicU32,
    unreached: AtomicU32,
    away: AtomicU32,
    offline_sessions: AtomicU32,
    /// One for each selector: whether a user named there has a session anywhere. Empty when no user is named.
    found: Box<[AtomicBool]>,
}

impl Tally {
    /// Nothing counted; the publisher's own part pending.
    fn of_publisher(found: Box<[AtomicBool]>) -> Self {
        let zero = || AtomicU32::new(0);
        Self {
            pending: AtomicU32::new(1),
            unselected: zero(),
            matched: zero(),
            queued: zero(),
            written: zero(),
            replaced: zero(),
            dropped: zero(),
            expired: zero(),
            closed: zero(),
            unreached: zero(),
            away: zero(),
            offline_sessions: zero(),
            found,
        }
    }
}

impl Push {
    /// In the place of [`Push::accepted_ns`]: what a group has kept was accepted at another time.
    pub(crate) const LONG_AGO: u64 = u64::MAX;

    /// A push with nothing counted yet, and one part pending: the publisher's own, ended by [`Push::finish_part`].
    pub fn new(
        app: AppId,
        target: Target,
        frame: EncodedFrame,
        options: PushOptions,
        accepted_ns: u64,
        deadline_ms: u64,
        origin: Origin,
    ) -> Self {
        let names_user = target.selectors().iter().any(|selector| matches!(selector, Selector::User(_)));
        let found = match names_user {
            true => target.selectors().iter().map(|_| AtomicBool::new(false)).collect(),
            false => Box::default(),
        };
        let missed = Gathering::of_at_most(options.names as usize);
        Self {
            app,
            target,
            frame,
            deadline_ms,
            accepted_ns,
            options,
            origin,
            deflate_claimed: AtomicBool::new(false),
            deflated: OnceLock::new(),
            marked: OnceLock::new(),
            place: OnceLock::new(),
            over_http: OnceLock::new(),
            tally: Tally::of_publisher(found),
            missed,
            elsewhere: OnceLock::new(),
            ids: OnceLock::new(),
        }
    }

    /// A message that a group keeps, for sessions that join it later: nobody waits for a receipt, and it does not expire while
    /// it waits for a socket.
    pub(crate) fn kept(app: AppId, frame: EncodedFrame, key: Option<Box<str>>, place: Place) -> Self {
        let options = PushOptions { key, receipt: ReceiptMode::None, ..PushOptions::default() };
        let push = Self::new(app, Target::nobody(), frame, options, Self::LONG_AGO, u64::MAX, Origin::Nobody);
        push.put_at(place);
        push
    }

    /// Gives it its place among the pushes of its group.
    pub(crate) fn put_at(&self, place: Place) {
        let given = self.place.set(place);
        debug_assert!(given.is_ok(), "a push is numbered once");
    }

    /// Its place among the pushes of its group, where that remembers.
    pub(crate) fn place(&self) -> Option<&Place> {
        self.place.get()
    }

    /// What a newer message must have in common with it to take its place in a queue: the key, and whose key it is.
    pub(crate) fn conflation_key(&self) -> Option<(u64, &str)> {
        let key = self.options.key.as_deref()?;
        Some((self.place.get().map_or(0, |place| place.scope), key))
    }

    /// Whether there is a compressed form to send. The first reactor that asks makes it. Those that ask meanwhile get
    /// `false` and do not wait: any message may go uncompressed (RFC 7692 §6). After a `true` the answer stays `true`.
    pub(crate) fn deflate(&self, engine: &DeflateEngine) -> bool {
        if self.claim_deflate() {
            self.fill_deflated(engine);
        }
        self.is_deflated()
    }

    /// Whether there is a compressed form.
    pub(crate) fn is_deflated(&self) -> bool {
        self.deflated.get().is_some_and(Option::is_some)
    }

    /// Whether the caller is the one that compresses the message.
    fn claim_deflate(&self) -> bool {
        // `OnceLock` publishes the bytes; the claim itself orders nothing.
        !self.deflate_claimed.load(Ordering::Relaxed) && !self.deflate_claimed.swap(true, Ordering::Relaxed)
    }

    fn fill_deflated(&self, engine: &DeflateEngine) {
        let filled = self.deflated.set(self.frame.deflated(engine));
        debug_assert!(filled.is_ok(), "only the claimant fills it");
    }

    /// Whether clients that tell gannet's own messages from the game's get it in another form, which is there from now on.
    pub(crate) fn mark(&self) -> bool {
        self.marked.get_or_init(|| self.frame.marked()).is_some()
    }

    /// The bytes for the wire: in a form other than plain only where [`Push::deflate`] or [`Push::mark`] made it.
    pub(crate) fn wire_bytes(&self, wire: Wire) -> &[u8] {
        let other = match wire {
            Wire::Plain => None,
            Wire::Deflated => self.deflated.get(),
            Wire::Marked => self.marked.get(),
        };
        other.and_then(Option::as_ref).unwrap_or(&self.frame).as_bytes()
    }

    /// The message as an event of an event stream, without its `id:` line.
    pub(crate) fn event(&self) -> &SharedEvent {
        self.over_http.get_or_init(Box::default).event.get_or_init(|| {
            let (is_text, payload) = self.frame.message();
            SharedEvent::new(is_text, payload)
        })
    }

    /// The message as an element of the document that answers a poll.
    pub(crate) fn element(&self) -> &[u8] {
        self.over_http.get_or_init(Box::default).element.get_or_init(|| {
            let (is_text, payload) = self.frame.message();
            element(is_text, payload)
        })
    }

    /// The memory that the forms for sessions over plain HTTP take so far.
    pub(crate) fn memory_over_http(&self) -> usize {
        let Some(forms) = self.over_http.get() else { return 0 };
        let event = forms.event.get().map_or(0, SharedEvent::memory);
        size_of::<OverHttp>() + event + forms.element.get().map_or(0, |element| element.len())
    }

    /// Whether its receipt names who missed it.
    pub fn names_missed(&self) -> bool {
        self.missed.is_some()
    }

    /// A session, which was this user's, or all of a user missed it.
    pub fn miss(&self, session: Option<SessionId>, user: Option<&Name>, why: Why) {
        if let Some(missed) = &self.missed {
            missed.add(session, user, why);
        }
    }

    /// Who has missed it so far; the users that no reactor has found are among them.
    fn missed(&self) -> Option<MissedList> {
        let mut list = self.missed.as_ref()?.list();
        self.absent_users()
            .for_each(|user| list.add(None, Some(user), Why::Offline, self.options.names as usize));
        Some(list)
    }

    /// One more holder on a reactor that has a part in it has a part of its own.
    pub fn split_part(&self) {
        self.tally.pending.fetch_add(1, Ordering::Relaxed);
    }

    /// One more reactor has a part in it. Call it before the post, never after.
    pub fn add_part(&self) {
        self.tally.pending.fetch_add(1, Ordering::Relaxed);
        if self.names_users() {
            self.tally.unselected.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The reactor that a part was added for is not reached: its mailbox took no more. The publisher goes on, and the part
    /// is done.
    pub fn part_unreached(&self) {
        self.tally.unreached.fetch_add(1, Ordering::Relaxed);
        self.users_selected();
        // Never the last one: the publisher's own part is pending.
        self.finish_part();
    }

    /// A part of it could not be told to other nodes.
    pub fn count_unreached(&self) {
        self.tally.unreached.fetch_add(1, Ordering::Relaxed);
    }

    /// A part is done; `true` for the last one, whose caller sends the push to its origin.
    pub fn finish_part(&self) -> bool {
        self.tally.pending.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Counts the sessions that a reactor selected, after it has said which users are there and before any of them has a
    /// fate: so that a receipt never knows of more fates than sessions.
    pub fn count_matched(&self, sessions: u32) {
        self.tally.matched.fetch_add(sessions, Ordering::Relaxed);
        self.users_selected();
    }

    /// Counts the sessions whose socket or queue took the message.
    pub fn count_queued(&self, sessions: u32) {
        self.tally.queued.fetch_add(sessions, Ordering::Relaxed);
    }

    /// Counts the sessions whose client was away when the message was offered to them.
    pub fn count_away(&self, sessions: u32) {
        if sessions > 0 {
            self.tally.away.fetch_add(sessions, Ordering::Relaxed);
        }
    }

    fn names_users(&self) -> bool {
        !self.tally.found.is_empty()
    }

    fn users_selected(&self) {
        if self.names_users() {
            self.tally.unselected.fetch_sub(1, Ordering::Release);
        }
    }

    /// Counts what became of the message for `sessions` sessions.
    pub fn count_fate(&self, fate: Fate, sessions: u32) {
        if sessions == 0 {
            return;
        }
        let counter = match fate {
            Fate::Written => &self.tally.written,
            Fate::Replaced => &self.tally.replaced,
            Fate::Dropped => &self.tally.dropped,
            Fate::Expired => &self.tally.expired,
            Fate::Closed => &self.tally.closed,
        };
        // Who sees the fate sees that the session was matched.
        counter.fetch_add(sessions, Ordering::Release);
    }

    /// The named session is not there.
    pub fn count_offline_session(&self) {
        self.tally.offline_sessions.fetch_add(1, Ordering::Relaxed);
    }

    /// The user that the selector at `index` names has a session here.
    pub fn user_found(&self, index: usize) {
        if let Some(found) = self.tally.found.get(index) {
            found.store(true, Ordering::Relaxed);
        }
    }

    /// Named sessions and users that have no live session; final once the last part is done. Users are counted when every
    /// reactor has looked for them.
    pub fn offline(&self) -> u32 {
        let sessions = self.tally.offline_sessions.load(Ordering::Relaxed);
        sessions.saturating_add(self.absent_users().count() as u32)
    }

    /// The named users that no reactor has found, once all have looked.
    fn absent_users(&self) -> impl Iterator<Item = &Name> {
        let have_looked = self.tally.unselected.load(Ordering::Acquire) == 0;
        let users = self.target.selectors().iter().zip(&self.tally.found).filter(move |_| have_looked);
        users.filter_map(|(selector, found)| match selector {
            Selector::User(user) if !found.load(Ordering::Relaxed) => Some(user),
            _ => None,
        })
    }

    /// The counts so far; final once the last part is done. Their sums hold at any time, see [`Receipt`].
    pub fn receipt(&self) -> Receipt {
        let read = |counter: &AtomicU32| counter.load(Ordering::Acquire);
        let tally = &self.tally;
        let mut receipt = Receipt {
            queued: read(&tally.queued),
            replaced: read(&tally.replaced),
            dropped: read(&tally.dropped),
            expired: read(&tally.expired),
            closed: read(&tally.closed),
            offline: self.offline(),
            unreached: read(&tally.unreached),
            away: read(&tally.away),
            missed: self.missed(),
            missing: self.missing(),
            offset: self.numbered().map(|(_, offset)| offset),
            epoch: self.numbered().map(|(epoch, _)| epoch),
            ..Receipt::default()
        };
        if self.options.receipt == ReceiptMode::Written {
            let written = read(&tally.written);
            let fates = [written, receipt.replaced, receipt.dropped, receipt.expired, receipt.closed];
            let settled = fates.into_iter().fold(0, u32::saturating_add);
            // Read behind the fates, so that none of them is of a session that is not in it.
            receipt.matched = read(&tally.matched);
            debug_assert!(settled <= receipt.matched, "a session is matched before it has a fate");
            receipt.pending = receipt.matched.saturating_sub(settled);
            receipt.written = Some(written);
        } else {
            // A session that is matched and not offered the message yet is in neither sum.
            receipt.matched = receipt.queued.saturating_add(receipt.dropped);
        }
        receipt
    }
}

#[cfg(test)]
mod tests;
