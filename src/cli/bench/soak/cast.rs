//! Who takes part in a soak: the players by their slots, and the users, groups and tags that they have. Those of the
//! steady and the slow never change, so what they are to get is known exactly; those of the roaming do all the time.

use crate::cli::bench::checked::opening::query_of;
use crate::link_bin::Selector;
use crate::session::SessionId;

/// Of a hundred players, so many roam.
const ROAMING_PERCENT: usize = 30;
/// One in so many is slow.
const SLOW_ONE_IN: usize = 40;
/// The smallest cast, with one that is slow and some of the others.
pub const FEWEST: usize = 10;

/// How a player behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Stays, and reads everything at once.
    Steady,
    /// Stays, and reads a little at a time.
    Slow,
    /// Comes and goes, and changes its user, groups and tags.
    Roaming,
}

/// A group or a tag whose members never change.
#[derive(Debug)]
struct Club {
    name: String,
    /// Slots, ascending.
    members: Vec<usize>,
}

/// One part of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// The session in a slot.
    Session(usize),
    /// The user of a steady or slow slot, which nobody else has.
    User(usize),
    /// A group that never changes.
    Group(usize),
    /// A tag that never changes.
    Tag(usize),
    /// A user of the roaming.
    RoamingUser(usize),
    /// A group of the roaming.
    RoamingGroup(usize),
    /// A tag of the roaming.
    RoamingTag(usize),
    /// Every session.
    All,
    /// A user that has no session.
    Nobody,
}

/// See the module.
#[derive(Debug)]
pub struct Cast {
    steady: usize,
    slow: usize,
    roaming: usize,
    /// By slot; those of the roaming are what they come with.
    users: Vec<String>,
    /// The last one is that of the slow.
    groups: Vec<Club>,
    /// The last one is that of the slow.
    tags: Vec<Club>,
    roaming_users: Vec<String>,
    roaming_groups: Vec<String>,
    roaming_tags: Vec<String>,
}

impl Cast {
    /// A cast of so many, [`FEWEST`] or more.
    pub fn new(players: usize) -> Self {
        let roaming = players * ROAMING_PERCENT / 100;
        let slow = (players / SLOW_ONE_IN).max(1);
        let steady = players - roaming - slow;
        let club = |name: String, is_member: &dyn Fn(usize) -> bool| Club {
            name,
            members: (0..steady).filter(|&slot| is_member(slot)).collect(),
        };
        let of_the_slow =
            |name: &str| Club { name: name.to_owned(), members: (steady..steady + slow).collect() };
        // Names that have to be escaped in a query, a path or JSON.
        let crews = (steady / 8).max(2);
        let mut groups: Vec<Club> = (0..crews)
            .map(|crew| {
                let is_in = move |slot: usize| slot % crews == crew || (slot * 3 + 1) % crews == crew;
                club(format!("crew/\"{crew}\" é"), &is_in)
            })
            .collect();
        groups.push(club("half".to_owned(), &|slot| slot.is_multiple_of(2)));
        groups.push(of_the_slow("slow"));
        let mut tags: Vec<Club> =
            (0..4).map(|tag| club(format!("tag&{tag}"), &|slot| slot % 4 == tag)).collect();
        tags.extend((0..3).map(|team| club(format!("team {team}"), &|slot| slot % 3 == team)));
        tags.push(of_the_slow("slow"));
        let pair_of = |slot: usize| (slot - steady - slow) / 2;
        let user = |slot: usize| match slot {
            _ if slot < steady => format!("ada {slot}"),
            _ if slot < steady + slow => format!("slow {slot}"),
            _ => format!("rover {}", pair_of(slot)),
        };
        let numbered =
            |name: &str, count: usize| (0..count).map(|number| format!("{name}{number}")).collect();
        Self {
            steady,
            slow,
            roaming,
            users: (0..players).map(user).collect(),
            groups,
            tags,
            roaming_users: numbered("rover ", roaming.div_ceil(2).max(1)),
            roaming_groups: numbered("camp ", (roaming / 6).max(2)),
            roaming_tags: numbered("mark ", (roaming / 10).max(2)),
        }
    }

    /// All slots.
    pub fn slots(&self) -> std::ops::Range<usize> {
        0..self.users.len()
    }

    /// Slots of a role.
    pub fn slots_of(&self, role: Role) -> std::ops::Range<usize> {
        let staying = self.steady + self.slow;
        match role {
            Role::Steady => 0..self.steady,
            Role::Slow => self.steady..staying,
            Role::Roaming => staying..staying + self.roaming,
        }
    }

    /// The role of a slot.
    pub fn role(&self, slot: usize) -> Role {
        let roles = [Role::Steady, Role::Slow, Role::Roaming];
        roles.into_iter().find(|role| self.slots_of(*role).contains(&slot)).unwrap_or(Role::Roaming)
    }

    /// Groups that never change; the last one is that of the slow.
    pub fn groups(&self) -> usize {
        self.groups.len()
    }

    /// Tags that never change; the last one is that of the slow.
    pub fn tags(&self) -> usize {
        self.tags.len()
    }

    /// Users that the roaming are bound to.
    pub fn roaming_users(&self) -> &[String] {
        &self.roaming_users
    }

    /// Groups that the roaming join and leave.
    pub fn roaming_groups(&self) -> &[String] {
        &self.roaming_groups
    }

    /// Tags that the roaming get and lose.
    pub fn roaming_tags(&self) -> &[String] {
        &self.roaming_tags
    }

    /// The user that a slot comes with.
    pub fn user(&self, slot: usize) -> &str {
        &self.users[slot]
    }

    /// The groups that a slot comes with, in their order.
    pub fn groups_of(&self, slot: usize) -> Vec<&str> {
        match self.role(slot) {
            Role::Roaming => vec![&self.roaming_groups[slot % self.roaming_groups.len()]],
            _ => names_with(&self.groups, slot),
        }
    }

    /// The tags that a slot comes with, in their order.
    pub fn tags_of(&self, slot: usize) -> Vec<&str> {
        match self.role(slot) {
            Role::Roaming => vec![&self.roaming_tags[slot % self.roaming_tags.len()]],
            _ => names_with(&self.tags, slot),
        }
    }

    /// The query that a slot connects with.
    pub fn query(&self, slot: usize) -> String {
        let groups = self.groups_of(slot).into_iter().map(|name| ("group", name));
        let tags = self.tags_of(slot).into_iter().map(|name| ("tag", name));
        query_of([("user", self.user(slot))].into_iter().chain(groups).chain(tags))
    }

    /// An aim as a selector; `None` for a session that is not there.
    pub fn selector(&self, aim: Aim, session: impl Fn(usize) -> Option<SessionId>) -> Option<Selector<'_>> {
        Some(match aim {
            Aim::Session(slot) => Selector::Session(session(slot)?),
            Aim::User(slot) => Selector::User(&self.users[slot]),
            Aim::Group(group) => Selector::Group(&self.groups[group].name),
            Aim::Tag(tag) => Selector::Tag(&self.tags[tag].name),
            Aim::RoamingUser(user) => Selector::User(&self.roaming_users[user]),
            Aim::RoamingGroup(group) => Selector::Group(&self.roaming_groups[group]),
            Aim::RoamingTag(tag) => Selector::Tag(&self.roaming_tags[tag]),
            Aim::All => Selector::All,
            Aim::Nobody => Selector::User("nobody"),
        })
    }

    /// Makes `out` the slots that are surely meant, ascending and each once, of those for which `is_open`; answers whether
    /// nobody else is meant and all of them are steady.
    pub fn recipients(&self, aims: &[Aim], is_open: impl Fn(usize) -> bool, out: &mut Vec<usize>) -> bool {
        out.clear();
        let mut are_all = true;
        for aim in aims {
            match *aim {
                Aim::Session(slot) | Aim::User(slot) => out.push(slot),
                Aim::Group(group) => out.extend_from_slice(&self.groups[group].members),
                Aim::Tag(tag) => out.extend_from_slice(&self.tags[tag].members),
                Aim::All => out.extend(self.slots()),
                Aim::RoamingUser(_) | Aim::RoamingGroup(_) | Aim::RoamingTag(_) => are_all = false,
                Aim::Nobody => {}
            }
        }
        out.sort_unstable();
        out.dedup();
        let are_steady = out.last().is_none_or(|&last| self.role(last) == Role::Steady);
        out.retain(|&slot| is_open(slot));
        are_all && are_steady
    }
}

fn names_with(clubs: &[Club], slot: usize) -> Vec<&str> {
    let with_it = clubs.iter().filter(|club| club.members.binary_search(&slot).is_ok());
    with_it.map(|club| club.name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_has_one_role() {
        for players in [FEWEST, 11, 40, 200, 1000] {
            let cast = Cast::new(players);
            let roles = [Role::Steady, Role::Slow, Role::Roaming];
            let slots: Vec<usize> = roles.iter().flat_map(|role| cast.slots_of(*role)).collect();
            assert_eq!(slots, (0..players).collect::<Vec<_>>());
            assert!(roles.iter().all(|role| !cast.slots_of(*role).is_empty()), "{players}");
            assert!(roles.iter().all(|role| cast.slots_of(*role).all(|slot| cast.role(slot) == *role)));
        }
    }

    #[test]
    fn recipients_are_those_who_come_with_the_names() {
        let cast = Cast::new(200);
        let mut out = Vec::new();
        for group in 0..cast.groups() {
            let are_steady = cast.recipients(&[Aim::Group(group)], |_| true, &mut out);
            assert_eq!(are_steady, group + 1 < cast.groups(), "the last group is that of the slow");
            let name = &cast.groups[group].name;
            let named: Vec<usize> =
                cast.slots().filter(|slot| cast.groups_of(*slot).contains(&name.as_str())).collect();
            assert!(!out.is_empty() && out == named, "{name}");
        }
        assert!(cast.recipients(&[Aim::Tag(1), Aim::Session(1), Aim::User(2)], |slot| slot != 5, &mut out));
        assert!(out.starts_with(&[1, 2, 9]), "each once, and only those who are there: {out:?}");
        assert!(!cast.recipients(&[Aim::User(0), Aim::RoamingGroup(0)], |_| true, &mut out));
        assert_eq!(out, [0]);
        assert!(!cast.recipients(&[Aim::All], |_| true, &mut out));
        assert_eq!(out.len(), 200);
    }

    #[test]
    fn names_are_escaped_in_the_query() {
        let cast = Cast::new(FEWEST);
        let query = cast.query(0);
        assert!(query.starts_with("user=ada%200&group=crew%2F%220%22%20%C3%A9&"), "{query}");
        assert!(query.ends_with("&tag=tag%260&tag=team%200"), "{query}");
    }
}
