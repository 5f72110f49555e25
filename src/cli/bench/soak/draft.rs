//! What is pushed next: to whom, in which class, with which key, time to live and receipt, chosen at random so that every
//! kind meets every other.

use super::cast::{Aim, Cast, Role};
use crate::cli::bench::checked::inbox::Promise;
use crate::cli::bench::checked::mark::MARK_BYTES;
use crate::cli::bench::checked::random::Random;
use crate::dispatch::{Class, ReceiptMode};

/// Keys of each publisher. A key belongs to one class, so that its messages are one stream.
const NORMAL_KEYS: u8 = 3;
const URGENT_KEYS: u8 = 1;
const DROPPABLE_KEYS: u8 = 2;
/// Streams without a key, one for each class.
const PLAIN_STREAMS: u8 = 3;
/// The slow are behind by minutes: what must reach them shall not expire.
const LONG_TTL_MS: u32 = 6 * 3600 * 1000;
/// Of a hundred pushes to several, so many leave one out.
pub const EXCEPT_PERCENT: usize = 15;

/// A push that has no number yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Whom it is for.
    pub aims: Vec<Aim>,
    /// See [`Class`].
    pub class: Class,
    /// The number of its key.
    pub key: Option<u8>,
    /// Its time to live.
    pub ttl_ms: Option<u32>,
    /// Whether it may be missing.
    pub promise: Promise,
    /// When it is answered.
    pub receipt: ReceiptMode,
    /// Bytes of its message.
    pub length: usize,
    /// Whether the message is binary.
    pub is_binary: bool,
    /// Whether one of several may be left out.
    pub may_except: bool,
}

/// Who a push is for, in general.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Audience {
    /// Those who read at once.
    Quick,
    /// Among others, those who read a little at a time.
    Slow,
}

impl Draft {
    /// A draft for a connection that may wait for the slow, or may not.
    pub fn random(cast: &Cast, random: &mut Random, may_wait: bool) -> Self {
        let (aims, audience) = aims(cast, random);
        let (class, key, promise) = kind(audience, random);
        let ttl_ms = match (promise, audience) {
            (Promise::Expirable, _) => Some([0, 20, 2_000][random.below(3)]),
            (_, Audience::Slow) => Some(LONG_TTL_MS),
            (_, Audience::Quick) => None,
        };
        let receipt = match random.below(100) {
            // One that waits for the slow would hold back what is pushed behind it.
            0..30 if may_wait || audience == Audience::Quick => ReceiptMode::Written,
            0..55 => ReceiptMode::None,
            _ => ReceiptMode::Queued,
        };
        let is_single = matches!(aims[..], [Aim::Session(_) | Aim::User(_)]) && audience == Audience::Quick;
        let length = match random.below(100) {
            _ if audience == Audience::Slow => random.within(700, 1_300),
            0 if is_single => random.within(60_000, 100_000),
            1..4 if is_single => random.within(1_500, 16_000),
            0..20 => random.within(200, 1_500),
            _ => random.within(MARK_BYTES, 200),
        };
        Self {
            aims,
            class,
            key,
            ttl_ms,
            promise,
            receipt,
            length,
            is_binary: random.chance(40),
            may_except: true,
        }
    }

    /// A plain message to every session, which is written behind all that is queued.
    pub fn to_all() -> Self {
        Self {
            aims: vec![Aim::All],
            class: Class::Normal,
            key: None,
            ttl_ms: Some(LONG_TTL_MS),
            promise: Promise::Sure,
            receipt: ReceiptMode::Queued,
            length: MARK_BYTES,
            is_binary: false,
            may_except: false,
        }
    }

    /// The stream that its messages are in.
    pub fn stream(&self) -> u8 {
        match (self.key, self.class) {
            (Some(key), _) => PLAIN_STREAMS + key,
            (None, Class::Normal) => 0,
            (None, Class::Urgent) => 1,
            (None, Class::Droppable) => 2,
        }
    }
}

fn aims(cast: &Cast, random: &mut Random) -> (Vec<Aim>, Audience) {
    let any = |role: Role, random: &mut Random| {
        let slots = cast.slots_of(role);
        slots.start + random.below(slots.len())
    };
    let steady = |random: &mut Random| match random.below(10) {
        0..4 => Aim::Session(any(Role::Steady, random)),
        4..7 => Aim::User(any(Role::Steady, random)),
        // The last ones are those of the slow.
        7..9 => Aim::Group(random.below(cast.groups() - 1)),
        _ => Aim::Tag(random.below(cast.tags() - 1)),
    };
    let roaming = |random: &mut Random| match random.below(10) {
        0..4 => Aim::Session(any(Role::Roaming, random)),
        4..6 => Aim::RoamingUser(random.below(cast.roaming_users().len())),
        6..9 => Aim::RoamingGroup(random.below(cast.roaming_groups().len())),
        _ => Aim::RoamingTag(random.below(cast.roaming_tags().len())),
    };
    let slow = |random: &mut Random| match random.below(10) {
        0..2 => Aim::Session(any(Role::Slow, random)),
        2..4 => Aim::User(any(Role::Slow, random)),
        4..8 => Aim::Group(cast.groups() - 1),
        _ => Aim::Tag(cast.tags() - 1),
    };
    let union = |random: &mut Random, one: &dyn Fn(&mut Random) -> Aim| -> Vec<Aim> {
        (0..random.within(2, 4)).map(|_| one(random)).collect()
    };
    match random.below(100) {
        0..56 => (vec![steady(random)], Audience::Quick),
        56..66 => (union(random, &steady), Audience::Quick),
        66..78 => (vec![roaming(random)], Audience::Quick),
        78..84 => (
            union(random, &|random| if random.chance(50) { steady(random) } else { roaming(random) }),
            Audience::Quick,
        ),
        84..93 => (vec![slow(random)], Audience::Slow),
        93..97 => (
            union(random, &|random| if random.chance(50) { steady(random) } else { slow(random) }),
            Audience::Slow,
        ),
        97 => (vec![Aim::All], Audience::Slow),
        98 => (vec![Aim::All, steady(random)], Audience::Slow),
        _ => (vec![Aim::Nobody], Audience::Quick),
    }
}

fn kind(audience: Audience, random: &mut Random) -> (Class, Option<u8>, Promise) {
    let urgent = NORMAL_KEYS..NORMAL_KEYS + URGENT_KEYS;
    let key_of =
        |keys: std::ops::Range<u8>, random: &mut Random| Some(keys.start + random.below(keys.len()) as u8);
    let (plain, droppable, keyed, keyed_droppable) = match audience {
        Audience::Quick => (72, 80, 90, 92),
        Audience::Slow => (4, 48, 84, 95),
    };
    match random.below(100) {
        roll if roll < plain && roll % 5 == 0 => (Class::Urgent, None, Promise::Sure),
        roll if roll < plain => (Class::Normal, None, Promise::Sure),
        roll if roll < droppable => (Class::Droppable, None, Promise::Droppable),
        roll if roll < keyed && roll % 4 == 0 => {
            (Class::Urgent, key_of(urgent, random), Promise::Replaceable)
        }
        roll if roll < keyed => (Class::Normal, key_of(0..NORMAL_KEYS, random), Promise::Replaceable),
        roll if roll < keyed_droppable => {
            let keys = urgent.end..urgent.end + DROPPABLE_KEYS;
            (Class::Droppable, key_of(keys, random), Promise::Either)
        }
        _ => (Class::Normal, None, Promise::Expirable),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn drafts(may_wait: bool) -> Vec<Draft> {
        let (cast, mut random) = (Cast::new(80), Random::new(5));
        (0..5_000).map(|_| Draft::random(&cast, &mut random, may_wait)).collect()
    }

    #[test]
    fn every_kind_of_push_is_drafted() {
        let drafts = drafts(true);
        let kinds: BTreeSet<String> = drafts
            .iter()
            .map(|draft| format!("{:?} {:?} {:?}", draft.class, draft.promise, draft.receipt))
            .collect();
        // Plain in two classes, keyed in two, droppable, both, expiring: with each of three receipts.
        assert_eq!(kinds.len(), 7 * 3, "{kinds:?}");
        let aims: BTreeSet<String> = drafts
            .iter()
            .flat_map(|draft| &draft.aims)
            .map(|aim| format!("{aim:?}").split('(').next().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(aims.len(), 9, "{aims:?}");
        assert!(drafts.iter().any(|draft| draft.aims.len() > 2));
    }

    #[test]
    fn a_stream_has_one_class_and_one_key() {
        let mut streams = BTreeMap::new();
        for draft in drafts(true) {
            let kind = (format!("{:?}", draft.class), draft.key);
            assert_eq!(*streams.entry(draft.stream()).or_insert(kind.clone()), kind);
        }
        let keys = NORMAL_KEYS + URGENT_KEYS + DROPPABLE_KEYS;
        assert_eq!(streams.len(), usize::from(PLAIN_STREAMS + keys));
    }

    #[test]
    fn only_who_may_wait_for_the_slow_does() {
        let cast = Cast::new(80);
        let reaches_the_slow = |draft: &Draft| {
            let mut out = Vec::new();
            cast.recipients(&draft.aims, |_| true, &mut out);
            out.iter().any(|&slot| cast.role(slot) == Role::Slow)
        };
        let waits = |draft: &&Draft| draft.receipt == ReceiptMode::Written && reaches_the_slow(draft);
        assert_eq!(drafts(false).iter().filter(waits).count(), 0);
        assert!(drafts(true).iter().filter(waits).count() > 0);
        for draft in drafts(true) {
            let expires = draft.ttl_ms.is_some_and(|ttl_ms| ttl_ms < LONG_TTL_MS);
            assert_eq!(expires, draft.promise == Promise::Expirable, "{draft:?}");
            assert!(expires || draft.ttl_ms.is_some() || !reaches_the_slow(&draft), "{draft:?}");
        }
    }
}
