//! What this node asks the others of their users, and which other nodes ask this one.

use crate::cluster::Member;
use crate::dispatch::Apps;
use crate::session::AppId;
use crate::timer::Clock;
use hashbrown::HashSet;
use std::sync::{Mutex, PoisonError};

/// So many nodes that have gone are remembered; with one more all others are asked anew, and none need be.
const GONE_REMEMBERED: usize = 1_024;

/// What this node asks the others.
#[derive(Debug, Default)]
pub struct UsersAsked(Mutex<Asked>);

#[derive(Debug, Default)]
struct Asked {
    /// With another number all is told again.
    number: u64,
    /// The names of the apps.
    apps: Vec<String>,
    /// Nodes that have gone, of which nothing is known any more: should one of them be there again, it is asked anew.
    gone: HashSet<u64>,
}

impl UsersAsked {
    fn with<T>(&self, change: impl FnOnce(&mut Asked) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What heartbeats say of it.
    pub fn told(&self) -> (Vec<String>, u64) {
        self.with(|asked| (asked.apps.clone(), asked.number))
    }

    /// Links ask about these apps from now on.
    pub fn ask(&self, apps: Vec<String>) {
        self.with(|asked| {
            if asked.apps != apps {
                asked.apps = apps;
                asked.is_new();
            }
        });
    }

    /// Something of what was told may be lost.
    pub fn ask_again(&self) {
        self.with(Asked::is_new);
    }

    /// A node is no more, as far as is known.
    pub fn node_went(&self, incarnation: u64) {
        self.with(|asked| {
            if asked.apps.is_empty() {
                return;
            }
            if asked.gone.len() == GONE_REMEMBERED {
                asked.is_new();
            }
            asked.gone.insert(incarnation);
        });
    }

    /// A node is there.
    pub fn node_came(&self, incarnation: u64) {
        self.with(|asked| {
            if asked.gone.contains(&incarnation) {
                asked.is_new();
            }
        });
    }
}

impl Asked {
    fn is_new(&mut self) {
        // A process that goes on from this one counts on.
        self.number = Clock::wall_unix_ms().max(self.number + 1);
        self.gone.clear();
    }
}

/// Another node that asks.
#[derive(Debug)]
pub struct Asker {
    pub node: u16,
    pub incarnation: u64,
    number: u64,
    /// The apps, and which of this node's they are, if it has them.
    pub apps: Vec<(String, Option<AppId>)>,
    /// All users of this reactor have been told to it.
    pub is_told: bool,
    /// Before that it is not told again, in milliseconds of the server's clock.
    pub not_before_ms: u64,
}

impl Asker {
    /// The node that has said this of itself. What it was told stands in `before`, if it asks as it did then.
    pub fn new(member: &Member, apps: &Apps, before: &[Self]) -> Self {
        let number = member.said.asked;
        let is_same = |asker: &&Self| asker.incarnation == member.incarnation && asker.number == number;
        let told = before.iter().find(is_same);
        Self {
            node: member.node,
            incarnation: member.incarnation,
            number,
            apps: member.said.asks_users.iter().map(|name| (name.clone(), apps.find(name).ok())).collect(),
            is_told: told.is_some_and(|asker| asker.is_told),
            not_before_ms: told.map_or(0, |asker| asker.not_before_ms),
        }
    }

    /// Whether it asks about the app.
    pub fn asks_about(&self, app: AppId) -> bool {
        self.apps.iter().any(|(_, asked)| *asked == Some(app))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(asked: &UsersAsked) -> u64 {
        asked.told().1
    }

    #[test]
    fn all_is_asked_anew_when_a_node_is_back_and_when_other_apps_are_asked_about() {
        let asked = UsersAsked::default();
        asked.node_went(1);
        asked.node_came(1);
        assert_eq!(asked.told(), (vec![], 0), "nothing is asked");
        asked.ask(vec!["chess".to_owned()]);
        let first = number(&asked);
        asked.ask(vec!["chess".to_owned()]);
        asked.node_came(1);
        assert_eq!(number(&asked), first, "that is asked already, and the node is new");
        asked.node_went(1);
        asked.node_came(1);
        let second = number(&asked);
        asked.node_came(1);
        assert!(second > first && number(&asked) == second);
        // So many go that not all of them are remembered.
        (0..=GONE_REMEMBERED as u64).for_each(|node| asked.node_went(node));
        let third = number(&asked);
        asked.node_came(0);
        assert!(third > second && number(&asked) == third);
        asked.node_came(GONE_REMEMBERED as u64);
        assert!(number(&asked) > third);
    }
}
