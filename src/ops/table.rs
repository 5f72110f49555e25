//! The rows of the operations. One that is new has its row in a file below, its place in [`OPS`], its [`Action`](crate::dispatch::Action)
//! in `dispatch`, what it does in `core::execute`, and where the binary link has it a command in `link_bin`; nothing else knows
//! it by name.

mod bans;
mod groups;
pub(super) mod links;
mod memory;
mod pushing;
mod reading;
mod sessions;

use super::field::Need::{ExactlyOne, Optional};
use super::field::{APP, Field, SESSIONS, USERS};
use super::{Flags, Needs, Op};
use crate::dispatch::Right;

/// The commands of the binary link: the places of their rows in [`OPS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Push,
    Join,
    Leave,
    Destroy,
    Move,
    Kick,
    Bind,
    Tag,
    Untag,
    Session,
    Listen,
    Renew,
    Latest,
    Log,
    Forget,
    Presence,
    SetGroups,
    SetTags,
    Ban,
    Unban,
    Bans,
    List,
    Count,
    Users,
    Groups,
    Apps,
    Stats,
    Route,
    Rebalance,
}

/// What changes something.
const CHANGES: Needs = Needs::Right(Right::All);
/// What only looks.
const READS: Needs = Needs::Right(Right::Read);

const fn flags(known: u8, names: &'static str, _words: &'static str) -> Flags {
    Flags {
        known,
        names,
        #[cfg(test)]
        words: _words,
    }
}

const NO_FLAGS: Flags = flags(0, "none", "");

const EITHER_SESSION: Field = SESSIONS.being(ExactlyOne);
const EITHER_USER: Field = USERS.being(ExactlyOne);
const IN_APP: Field = APP.being(Optional);

/// The operations, in the order of [`Verb`].
pub static OPS: [Op; 29] = [
    pushing::PUSH,
    groups::JOIN,
    groups::LEAVE,
    groups::DESTROY,
    groups::MOVE,
    sessions::KICK,
    sessions::BIND,
    sessions::TAG,
    sessions::UNTAG,
    sessions::SESSION,
    links::LISTEN,
    sessions::RENEW,
    memory::LATEST,
    memory::READ_LOG,
    memory::FORGET,
    reading::PRESENCE,
    groups::SET_GROUPS,
    sessions::SET_TAGS,
    bans::BAN,
    bans::UNBAN,
    bans::BANS,
    reading::LIST,
    reading::COUNT,
    reading::USERS,
    reading::GROUPS,
    reading::APPS,
    reading::STATS,
    links::ROUTE,
    links::REBALANCE,
];
