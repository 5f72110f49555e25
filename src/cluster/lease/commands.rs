//! The keys of the leases, and the commands and values that stand in them.

use crate::session::Name;
use std::fmt;
use zeroize::Zeroizing;

/// A command by its arguments.
pub type Command = Vec<Vec<u8>>;

/// What [`HOLD`] answers first: the number is free, and nobody may have it yet; behind it the milliseconds until then.
pub(super) const GRACE: i64 = 0;
/// The number was this node's, and is for another lease; behind it when that ends, in milliseconds of the clock of Redis.
pub(super) const KEPT: i64 = 1;
/// The number was free, and is this node's; the same behind it.
pub(super) const TAKEN: i64 = 2;

/// Holds the number KEYS[1] for a lease of ARGV[3] milliseconds, as the node whose values begin with ARGV[1]; ARGV[2] is its name.
/// If another node holds it, the answer is the value.
///
/// KEYS[2] says since when this Redis has had keys. For ARGV[4] milliseconds from then on a free number is only for the node whose
/// last lease of it, until ARGV[5], was not over when the keys were lost: no other node can have taken it in between. All of
/// that is one step, and by one clock: a command that was under way while Redis was emptied does no harm.
const HOLD: &str = "local t = redis.call('time') \
    local now = t[1] * 1000 + math.floor(t[2] / 1000) \
    local born = tonumber(redis.call('get', KEYS[2]) or '') \
    if not born or born > now then born = now redis.call('set', KEYS[2], string.format('%.0f', now)) end \
    local held = redis.call('get', KEYS[1]) \
    if held and string.sub(held, 1, #ARGV[1]) ~= ARGV[1] then return held end \
    if held then redis.call('pexpire', KEYS[1], ARGV[3]) return {1, now + ARGV[3]} end \
    local left = born + ARGV[4] - now \
    if left > 0 and born >= tonumber(ARGV[5]) then return {0, left} end \
    redis.call('set', KEYS[1], ARGV[1] .. ARGV[2], 'PX', ARGV[3]) \
    return {2, now + ARGV[3]}";

/// The value of the key, which becomes ARGV[1] where it is not there.
const SECRET: &str = "local secret = redis.call('get', KEYS[1]) \
    if not secret then secret = ARGV[1] redis.call('set', KEYS[1], secret) end \
    return secret";

/// Removes the key of a number if its value begins with ARGV[1].
const RELEASE: &str = "local held = redis.call('get', KEYS[1]) \
    if held and string.sub(held, 1, #ARGV[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end \
    return 0";

/// Leases for which an empty Redis gives numbers only to those who held them.
pub(super) const GRACE_LEASES: u64 = 2;

/// The most of another node's name that is shown, in bytes.
const SHOWN_BYTES: usize = Name::MAX_BYTES;

// No script writes a key that is there already: reads and PEXPIRE work where Redis is out of memory, and SET does not.

/// What a node's commands have in common.
pub(super) struct Keys {
    prefix: String,
    name: String,
    /// What the value of a number that is this node's begins with.
    mark: String,
    lease_ms: u64,
}

impl Keys {
    pub(super) fn new(prefix: &str, name: &str, incarnation: u64, lease_ms: u64) -> Self {
        let (prefix, name) = (prefix.to_owned(), name.to_owned());
        Self { prefix, name, mark: format!("{incarnation:016x}|"), lease_ms }
    }

    pub(super) fn secret(&self, secret: &SharedSecret) -> Command {
        command(&["EVAL", SECRET, "1", &self.key("secret"), &secret.text()])
    }

    /// `ran_until` is when the last lease of the number ended or ends, by the clock of Redis; 0 without one.
    pub(super) fn hold(&self, number: u16, ran_until: i64) -> Command {
        let (number, born) = (self.number(number), self.key("born"));
        let times = [self.lease_ms as i64, (GRACE_LEASES * self.lease_ms) as i64, ran_until];
        let [lease, grace, ran_until] = times.map(|time| time.to_string());
        command(&["EVAL", HOLD, "2", &number, &born, &self.mark, &self.name, &lease, &grace, &ran_until])
    }

    pub(super) fn release(&self, number: u16) -> Command {
        command(&["EVAL", RELEASE, "1", &self.number(number), &self.mark])
    }

    fn number(&self, number: u16) -> String {
        self.key(&format!("lease:{number}"))
    }

    fn key(&self, rest: &str) -> String {
        format!("{}:{rest}", self.prefix)
    }
}

fn command(args: &[&str]) -> Command {
    args.iter().map(|arg| arg.as_bytes().to_vec()).collect()
}

/// Who holds a number, as it stands in Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Which start of the node; `None` where the value is none of a node's.
    pub incarnation: Option<u64>,
    /// What the node is called, without control characters.
    pub name: String,
}

impl Holder {
    pub(super) fn read(value: &[u8]) -> Self {
        let text = String::from_utf8_lossy(&value[..value.len().min(SHOWN_BYTES)]);
        let node = text.split_once('|').and_then(|(mark, name)| {
            let is_mark = mark.len() == 16 && mark.bytes().all(|byte| byte.is_ascii_hexdigit());
            let incarnation = is_mark.then(|| u64::from_str_radix(mark, 16).ok()).flatten();
            Some((incarnation?, name))
        });
        let (incarnation, name) =
            node.map_or((None, &*text), |(incarnation, name)| (Some(incarnation), name));
        Self { incarnation, name: name.escape_debug().to_string() }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.incarnation {
            Some(incarnation) => write!(f, "{} ({incarnation:016x})", self.name),
            None => write!(f, "something that is no node: \"{}\"", self.name),
        }
    }
}

/// A secret that all nodes of a cluster share. It is shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct SharedSecret(Zeroizing<[u8; 32]>);

impl SharedSecret {
    pub(super) fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Its bytes. Never show them in a log, an error or a page.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    fn text(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// From 64 hexadecimal digits.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 2 * bytes.len() {
            return None;
        }
        for (byte, digits) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            let digit = |at: usize| char::from(digits[at]).to_digit(16);
            *byte = (digit(0)? << 4 | digit(1)?) as u8;
        }
        Some(Self::new(bytes))
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
