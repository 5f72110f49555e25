//! Who takes part, and what each is called: users with one or two sessions, groups and tags that cut through one another.

use crate::cli::bench::checked::opening::query_of;
use crate::cli::bench::checked::random::Random;
use crate::link_bin::Selector;
use crate::session::SessionId;

/// Of so many players, one group; and likewise of tags. A push to one is a few deliveries.
const OF_A_GROUP: usize = 16;
const OF_A_TAG: usize = 10;
/// Most parts of a union.
const MOST_PARTS: usize = 4;

/// One part of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// The session of a player.
    Session(usize),
    /// A user.
    User(usize),
    /// A group.
    Group(usize),
    /// A tag.
    Tag(usize),
    /// Everybody.
    All,
}

/// See the module.
#[derive(Debug)]
pub struct Crowd {
    players: usize,
    users: Vec<String>,
    groups: Vec<String>,
    tags: Vec<String>,
}

impl Crowd {
    /// So many players, whose names are those of run `run` alone: a session that another run has left hears nothing of this one.
    pub fn new(players: usize, run: u32) -> Self {
        let names = |what: &str, count: usize| {
            (0..count.max(1)).map(|number| format!("{run:08x}/{what} {number}")).collect()
        };
        Self {
            players,
            users: names("user", players - players / 4),
            groups: names("group", players / OF_A_GROUP),
            tags: names("tag", players / OF_A_TAG),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.players
    }

    /// Who the player in `slot` is, in the query of its upgrade.
    pub fn query(&self, slot: usize) -> String {
        let names = [("user", &self.users), ("group", &self.groups), ("tag", &self.tags)];
        query_of(names.map(|(name, all)| (name, all[slot % all.len()].as_str())))
    }

    /// A target.
    pub fn aims(&self, random: &mut Random) -> Vec<Aim> {
        let one = |random: &mut Random| match random.below(10) {
            0..4 => Aim::Session(random.below(self.players)),
            4..7 => Aim::User(random.below(self.users.len())),
            7..9 => Aim::Group(random.below(self.groups.len())),
            _ => Aim::Tag(random.below(self.tags.len())),
        };
        let parts = if random.chance(75) { 1 } else { random.within(2, MOST_PARTS) };
        (0..parts).map(|_| one(random)).collect()
    }

    /// A part of a target, unless it is a player without a session.
    pub fn selector(
        &self,
        aim: Aim,
        session_of: impl Fn(usize) -> Option<SessionId>,
    ) -> Option<Selector<'_>> {
        Some(match aim {
            Aim::Session(slot) => Selector::Session(session_of(slot)?),
            Aim::User(number) => Selector::User(&self.users[number]),
            Aim::Group(number) => Selector::Group(&self.groups[number]),
            Aim::Tag(number) => Selector::Tag(&self.tags[number]),
            Aim::All => Selector::All,
        })
    }

    /// The players that a target means, each once.
    pub fn recipients(&self, aims: &[Aim], out: &mut Vec<usize>) {
        out.clear();
        for aim in aims {
            let (first, step) = match aim {
                Aim::Session(slot) => (*slot, self.players),
                Aim::User(number) => (*number, self.users.len()),
                Aim::Group(number) => (*number, self.groups.len()),
                Aim::Tag(number) => (*number, self.tags.len()),
                Aim::All => (0, 1),
            };
            out.extend((first..self.players).step_by(step));
        }
        out.sort_unstable();
        out.dedup();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::percent_encode;

    #[test]
    fn recipients_are_those_who_come_with_the_names() {
        for players in [1, 3, 40, 200] {
            let (crowd, mut random, mut out) = (Crowd::new(players, 7), Random::new(3), Vec::new());
            for _ in 0..300 {
                let aims = crowd.aims(&mut random);
                crowd.recipients(&aims, &mut out);
                let is_meant = |slot: &usize| {
                    let query = crowd.query(*slot);
                    aims.iter().any(|aim| {
                        let (name, value) = match *aim {
                            Aim::Session(of) => return of == *slot,
                            Aim::User(number) => ("user", &crowd.users[number]),
                            Aim::Group(number) => ("group", &crowd.groups[number]),
                            Aim::Tag(number) => ("tag", &crowd.tags[number]),
                            Aim::All => return true,
                        };
                        let mut pair = format!("{name}=");
                        percent_encode(value, &mut pair);
                        query.split('&').any(|one| one == pair)
                    })
                };
                let naive: Vec<usize> = (0..players).filter(is_meant).collect();
                assert_eq!(out, naive, "{aims:?} of {players}");
            }
        }
    }

    #[test]
    fn names_are_escaped_and_sessions_that_are_not_known_left_out() {
        let crowd = Crowd::new(4, 0xab);
        assert_eq!(
            crowd.query(3),
            "user=000000ab%2Fuser%200&group=000000ab%2Fgroup%200&tag=000000ab%2Ftag%200"
        );
        assert!(crowd.selector(Aim::Session(1), |_| None).is_none());
        assert!(crowd.selector(Aim::All, |_| None).is_some());
    }
}
