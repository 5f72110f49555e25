//! Who is there in a group: its users, each with its sessions, merged of what each reactor has found.

use crate::session::{Name, SessionId};
use hashbrown::HashSet;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::Hasher;
use std::str::FromStr;

/// Who is there in a group.
///
/// ```
/// use gannet::dispatch::{Action, OperationOutcome, Presence};
/// use gannet::session::Name;
/// use std::time::Duration;
///
/// /// How many users are in the group.
/// fn users(pusher: &gannet::Pusher, group: &str) -> Result<u32, Box<dyn std::error::Error>> {
///     let ask = Action::Presence { group: Name::new(group)?, limit: 1, after: None, members: false };
///     match pusher.act("default", ask, Duration::from_secs(1))? {
///         OperationOutcome::Presence(Presence { users, .. }) => Ok(users),
///         _ => Ok(0),
///     }
/// }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Presence {
    /// Sessions in the group.
    pub sessions: u32,
    /// Distinct users with a session in the group, on whatever reactor.
    pub users: u32,
    /// Sessions in the group that have no user.
    pub anonymous: u32,
    /// A page of who is there: the users in the order of their names, byte by byte, then the sessions without a user, each
    /// by itself, in the order of their places. `None` where only counts were asked for, or the group is too big.
    pub present: Option<Vec<Present>>,
    /// What to pass as `after` for the next page; `None` on the last one.
    pub next: Option<PresentAfter>,
}

/// A user who is there, or a session without one.
///
/// ```
/// fn is_on_two_devices(present: &gannet::dispatch::Present) -> bool {
///     present.user.is_some() && present.count > 1
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// The user; `None` for a session without one.
    pub user: Option<Name>,
    /// How many sessions it has in the group.
    pub count: u32,
    /// The first of them, as many as a page has entries.
    pub sessions: Vec<PresentSession>,
}

/// A session in a group.
///
/// ```
/// use gannet::{dispatch::PresentSession, session::SessionId};
/// let session = PresentSession { id: SessionId::from_u64(7), since_unix_ms: 1_760_000_000_000 };
/// assert_eq!(session.id.as_u64(), 7);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PresentSession {
    /// Its id.
    pub id: SessionId,
    /// When it was opened, in milliseconds since the Unix epoch.
    pub since_unix_ms: u64,
}

/// Behind whom a page of [`Presence`] begins. As text it is opaque to backends.
///
/// ```
/// use gannet::dispatch::PresentAfter;
/// let after: PresentAfter = "u:ada".parse().unwrap();
/// assert_eq!(after.to_string(), "u:ada");
/// assert!("ada".parse::<PresentAfter>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PresentAfter {
    /// A user, who need not be there any more.
    User(Name),
    /// Every user, and a session without one, which need not be there any more.
    Session(SessionId),
}

impl fmt::Display for PresentAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "u:{}", user.as_str()),
            Self::Session(session) => write!(f, "s:{session}"),
        }
    }
}

/// A text that is no [`PresentAfter`].
///
/// ```
/// use gannet::dispatch::{NotPresentAfter, PresentAfter};
/// assert_eq!("x".parse::<PresentAfter>(), Err(NotPresentAfter));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotPresentAfter;

impl fmt::Display for NotPresentAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pass what the last page gave as next")
    }
}

impl std::error::Error for NotPresentAfter {}

impl FromStr for PresentAfter {
    type Err = NotPresentAfter;

    fn from_str(text: &str) -> Result<Self, NotPresentAfter> {
        match text.split_once(':') {
            Some(("u", user)) => Name::new(user).map(Self::User).map_err(|_| NotPresentAfter),
            Some(("s", session)) => session.parse().map(Self::Session).map_err(|_| NotPresentAfter),
            _ => Err(NotPresentAfter),
        }
    }
}

impl Presence {
    /// Of a group without members, whose page was asked for or not.
    pub(crate) fn of_nobody(has_page: bool) -> Self {
        Self { present: has_page.then(Vec::new), ..Self::default() }
    }
}

/// What some sessions of a group make of its presence: those of one reactor, or of several put together.
#[derive(Debug)]
pub(crate) struct Gathered {
    page: Page,
    sessions: u32,
    anonymous: u32,
    /// Hashes of the users, alike on all reactors; where there are several nodes, on all of them: see [`user_hash`].
    users: HashSet<u64>,
    /// The first users behind the page's beginning, one more than it has entries, and of each the first sessions.
    first: BTreeMap<Name, OfUser>,
    /// The first sessions without a user behind the page's beginning, likewise.
    loose: Vec<PresentSession>,
}

/// What is gathered of one user.
#[derive(Debug, Default)]
struct OfUser {
    count: u32,
    sessions: Vec<PresentSession>,
}

/// Which page is gathered.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    /// Entries of the page, and sessions of an entry.
    pub(crate) limit: usize,
    /// Behind whom it begins.
    pub(crate) after: Option<PresentAfter>,
    /// A group with more sessions has no page.
    pub(crate) most: usize,
    /// Whether there is to be a page.
    pub(crate) members: bool,
}

impl Page {
    /// Entries of a page, whoever asks for how many.
    const MOST_ENTRIES: usize = 1 << 20;

    /// A page of `limit` entries, which a group of more than `most` sessions has not.
    pub(crate) fn new(limit: usize, after: Option<PresentAfter>, most: usize, members: bool) -> Self {
        // A program that embeds the server may ask for anything.
        Self { limit: limit.clamp(1, Self::MOST_ENTRIES), after, most, members }
    }

    /// Only counts.
    pub(crate) fn of_none() -> Self {
        Self { limit: 1, after: None, most: 0, members: false }
    }
}

/// What a node has gathered, on its way to the one that has asked, which knows the page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PresencePart {
    /// Sessions there.
    pub(crate) sessions: u32,
    /// Of these, those without a user.
    pub(crate) anonymous: u32,
    /// Whether who is there is told; not where it is not asked for, or there are too many.
    pub(crate) members: bool,
    /// A group with more sessions has no page, as that node is configured.
    pub(crate) most: u64,
    /// Hashes of the users, in no order: see [`user_hash`].
    pub(crate) users: Vec<u64>,
    /// The first users behind the page's beginning, one more than it has entries: of each its name, how many sessions it has and the
    /// first of them.
    pub(crate) first: Vec<(Name, u32, Vec<PresentSession>)>,
    /// The first sessions without a user behind the page's beginning, likewise.
    pub(crate) loose: Vec<PresentSession>,
}

/// Stands for a user on all nodes of a cluster, whose nodes share `secret`: a user who is on two of them is one. Who does not know the
/// secret cannot make two users that have one hash.
pub(crate) fn user_hash(secret: [u8; 16], user: &Name) -> u64 {
    let key = u128::from_le_bytes(secret);
    // The standard library has another face of SipHash, of which it promises less: nodes of two builds must agree.
    #[expect(deprecated, reason = "its algorithm is documented: SipHash 2-4")]
    let mut hasher = std::hash::SipHasher::new_with_keys(key as u64, (key >> 64) as u64);
    hasher.write(user.as_bytes());
    hasher.finish()
}

impl Gathered {
    pub(crate) fn new(page: Page) -> Self {
        Self {
            page,
            sessions: 0,
            anonymous: 0,
            users: HashSet::new(),
            first: BTreeMap::new(),
            loose: Vec::new(),
        }
    }

    /// A session is in the group, of this user whose name has this hash.
    pub(crate) fn add(&mut self, user: Option<(&Name, u64)>, session: PresentSession) {
        self.sessions += 1;
        match user {
            None => {
                self.anonymous += 1;
                self.add_loose(session);
            }
            Some((name, hash)) => {
                self.users.insert(hash);
                self.add_of_user(name, 1, std::iter::once(session));
            }
        }
    }

    fn has_page(&self) -> bool {
        self.page.members && self.sessions as usize <= self.page.most
    }

    fn add_loose(&mut self, session: PresentSession) {
        let is_behind = match &self.page.after {
            Some(PresentAfter::Session(after)) => session.id.place() > after.place(),
            Some(PresentAfter::User(_)) | None => true,
        };
        if self.has_page() && is_behind {
            keep_first(&mut self.loose, session, self.page.limit + 1);
        }
    }

    fn add_of_user(&mut self, user: &Name, count: u32, sessions: impl Iterator<Item = PresentSession>) {
        let is_behind = match &self.page.after {
            Some(PresentAfter::Session(_)) => false,
            Some(PresentAfter::User(after)) => user > after,
            None => true,
        };
        if !self.has_page() || !is_behind {
            return;
        }
        let (limit, is_full) = (self.page.limit, self.first.len() > self.page.limit);
        if is_full && self.first.last_key_value().is_some_and(|(last, _)| user > last) {
            return;
        }
        let entry = match self.first.get_mut(user) {
            Some(entry) => entry,
            None => self.first.entry(user.clone()).or_default(),
        };
        entry.count = entry.count.saturating_add(count);
        sessions.for_each(|session| keep_first(&mut entry.sessions, session, limit));
        if self.first.len() > limit + 1 {
            self.first.pop_last();
        }
    }

    /// What another node has gathered for `page`.
    pub(crate) fn of_part(part: PresencePart, page: Page) -> Self {
        let PresencePart { sessions, anonymous, members, most, users, first, loose } = part;
        let of_user = |(user, count, sessions)| (user, OfUser { count, sessions });
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Self {
            page: Page { members: page.members && members, most: page.most.min(most), ..page },
            sessions,
            anonymous,
            users: users.into_iter().collect(),
            first: first.into_iter().map(of_user).collect(),
            loose,
        }
    }

    /// The same for the node that has asked. A page takes no more of it.
    pub(crate) fn into_part(mut self) -> PresencePart {
        let members = self.has_page();
        if !members {
            (self.first, self.loose) = Default::default();
        }
        let Self { page, sessions, anonymous, users, first, mut loose } = self;
        cut_to(&mut loose, page.limit + 1);
        let of_user = |(user, OfUser { count, mut sessions }): (Name, OfUser)| {
            cut_to(&mut sessions, page.limit);
            (user, count, sessions)
        };
        PresencePart {
            sessions,
            anonymous,
            members,
            most: page.most as u64,
            users: users.into_iter().collect(),
            first: first.into_iter().map(of_user).collect(),
            loose,
        }
    }

    /// Both together. The first users of all are among the first of each reactor that has them.
    pub(crate) fn merge(&mut self, other: Self) {
        // Where one of them had too many to name, so have both.
        self.page.members &= other.page.members;
        self.page.most = self.page.most.min(other.page.most);
        self.sessions = self.sessions.saturating_add(other.sessions);
        self.anonymous = self.anonymous.saturating_add(other.anonymous);
        self.users.extend(other.users);
        for (user, OfUser { count, sessions }) in other.first {
            self.add_of_user(&user, count, sessions.into_iter());
        }
        other.loose.into_iter().for_each(|session| self.add_loose(session));
    }

    /// What it comes to.
    pub(crate) fn finish(self) -> Presence {
        let has_page = self.has_page();
        let Self { page, sessions, anonymous, users, first, mut loose } = self;
        let counts = Presence { sessions, users: users.len() as u32, anonymous, present: None, next: None };
        if !has_page {
            return counts;
        }
        cut_to(&mut loose, page.limit + 1);
        let of_users = first.into_iter().map(|(user, OfUser { count, mut sessions })| {
            cut_to(&mut sessions, page.limit);
            Present { user: Some(user), count, sessions }
        });
        let of_none =
            loose.into_iter().map(|session| Present { user: None, count: 1, sessions: vec![session] });
        let mut present: Vec<Present> = of_users.chain(of_none).take(page.limit + 1).collect();
        let has_more = present.len() > page.limit;
        present.truncate(page.limit);
        let next = present.last().filter(|_| has_more).and_then(Present::as_after);
        Presence { present: Some(present), next, ..counts }
    }
}

impl Present {
    fn as_after(&self) -> Option<PresentAfter> {
        match (&self.user, self.sessions.first()) {
            (Some(user), _) => Some(PresentAfter::User(user.clone())),
            (None, Some(session)) => Some(PresentAfter::Session(session.id)),
            (None, None) => None,
        }
    }
}

/// The first `most` of them by their places, in that order.
fn cut_to(sessions: &mut Vec<PresentSession>, most: usize) {
    sessions.sort_unstable_by_key(|session| session.id.place());
    sessions.truncate(most);
}

/// Keeps the first `most` of what comes, by their places, in no order, and some more for a while.
fn keep_first(kept: &mut Vec<PresentSession>, session: PresentSession, most: usize) {
    kept.push(session);
    if kept.len() >= most.saturating_mul(2).max(64) {
        kept.select_nth_unstable_by_key(most - 1, |session| session.id.place());
        kept.truncate(most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choices::random_bytes;

    /// The page by its definition, of everybody.
    fn by_definition(all: &[(Option<Name>, PresentSession)], page: &Page) -> Presence {
        let users: std::collections::BTreeSet<&Name> =
            all.iter().filter_map(|(user, _)| user.as_ref()).collect();
        let sessions_of = |wanted: Option<&Name>| {
            let of = all.iter().filter(|(user, _)| user.as_ref() == wanted).map(|(_, session)| *session);
            let mut of: Vec<PresentSession> = of.collect();
            of.sort_by_key(|session| session.id.place());
            of
        };
        let mut entries: Vec<Present> = Vec::new();
        for user in &users {
            let mut sessions = sessions_of(Some(user));
            let count = sessions.len() as u32;
            sessions.truncate(page.limit);
            entries.push(Present { user: Some((*user).clone()), count, sessions });
        }
        let loose = sessions_of(None);
        entries.extend(loose.iter().map(|one| Present { user: None, count: 1, sessions: vec![*one] }));
        let begin = match &page.after {
            None => 0,
            Some(PresentAfter::User(after)) => {
                entries.partition_point(|entry| entry.user.as_ref().is_some_and(|user| user <= after))
            }
            Some(PresentAfter::Session(after)) => entries.partition_point(|entry| {
                entry.user.is_some() || entry.sessions[0].id.place() <= after.place()
            }),
        };
        let rest = &entries[begin..];
        let present = rest[..rest.len().min(page.limit)].to_vec();
        let next = present.last().filter(|_| rest.len() > page.limit).and_then(Present::as_after);
        let has_page = page.members && all.len() <= page.most;
        Presence {
            sessions: all.len() as u32,
            users: users.len() as u32,
            anonymous: loose.len() as u32,
            present: has_page.then_some(present),
            next: next.filter(|_| has_page),
        }
    }

    #[test]
    fn the_parts_of_reactors_make_the_page_that_the_definition_says() {
        for seed in 1..400 {
            let mut choices = random_bytes(seed, 300).into_iter();
            let mut below = |bound: u8| choices.next().unwrap_or(0) % bound;
            let (limit, reactors) = (1 + usize::from(below(6)), 1 + below(4));
            let name = |number: u8| Name::new(&format!("u{number}")).unwrap();
            let after = match below(4) {
                0 => Some(PresentAfter::User(name(below(12)))),
                1 => Some(PresentAfter::Session(SessionId::new(1, below(4), 0, u32::from(below(40))))),
                _ => None,
            };
            let most = if below(5) == 0 { 20 } else { 1_000 };
            let page = Page { limit, after, most, members: below(8) > 0 };
            let mut parts: Vec<Gathered> = (0..reactors).map(|_| Gathered::new(page.clone())).collect();
            let mut all = Vec::new();
            for slot in 0..u32::from(below(80)) {
                let reactor = below(reactors);
                let user = (below(4) > 0).then(|| name(below(12)));
                let id = SessionId::new(1, reactor, u32::from(below(3)), slot);
                let session = PresentSession { id, since_unix_ms: u64::from(slot) };
                let hashed = user.as_ref().map(|user| {
                    (
                        user,
                        u64::from(user.as_bytes()[1]) << 8
                            | user.len() as u64
                            | u64::from(*user.as_bytes().last().unwrap()) << 16,
                    )
                });
                parts[usize::from(reactor)].add(hashed, session);
                all.push((user, session));
            }
            let mut merged = parts.pop().unwrap();
            if seed % 2 == 0 {
                // As if each were another node's.
                merged = Gathered::of_part(merged.into_part(), page.clone());
                parts =
                    parts.into_iter().map(|part| Gathered::of_part(part.into_part(), page.clone())).collect();
            }
            parts.into_iter().for_each(|part| merged.merge(part));
            assert_eq!(merged.finish(), by_definition(&all, &page), "seed {seed}");
        }
    }

    /// The vectors of SipHash 2-4: the key is 00 01 … 0f. A node of another build has to agree.
    #[test]
    fn the_hash_of_a_user_is_the_same_on_every_node() {
        let secret: [u8; 16] = std::array::from_fn(|index| index as u8);
        let hash = |secret, user| user_hash(secret, &Name::new(user).unwrap());
        assert_eq!(hash(secret, "ada"), 0xb920_0dab_5a34_cdfc);
        assert_eq!(hash(secret, "größer Spieler 17"), 0x2cc8_d0c6_f4d9_4556);
        assert_ne!(hash(secret, "ada"), hash([0; 16], "ada"));
    }

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        for text in ["u:ada", "u:s:00a0000000000001", "s:00a0000000000001"] {
            assert_eq!(text.parse::<PresentAfter>().map(|after| after.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "u:", "ada", "s:1", "x:ada", "u:a\nb"] {
            assert_eq!(text.parse::<PresentAfter>(), Err(NotPresentAfter), "{text}");
        }
    }
}
