//! How the apps want their pushes delivered, looked up by app: the policy at the bound of an outbox, the tick that a push waits
//! for, and what its group remembers. Worked out once from the configuration; knows nothing of outboxes.

use crate::config::{AppConfig, GroupConfig, Slow};
use crate::connection::Tick;
use crate::dispatch::{Class, CommandError, ErrorCode, Push, Quoted, Selector, Target};
use crate::hub::{LatestRule, LogRule, MemoryRule};
use crate::session::{AppId, Name};

/// See the module.
#[derive(Debug)]
pub struct DeliveryRules {
    /// Indexed by [`AppId`].
    apps: Box<[AppDelivery]>,
}

#[derive(Debug)]
struct AppDelivery {
    slow: Slow,
    /// Whether any of its pushes can have to wait.
    ticks: bool,
    tick: Option<Tick>,
    /// Beginnings of groups' names, the longer before the shorter.
    groups: Box<[(Box<str>, Option<Tick>)]>,
    /// The same, with what these groups remember; empty where no group remembers anything, so that a push asks no further.
    memories: Box<[(Box<str>, Option<MemoryRule>)]>,
    /// The room for what its groups remember; 0 is no bound.
    memory_bytes: u64,
}

impl DeliveryRules {
    /// Those of apps in the order of their ids.
    pub fn new<'c>(apps: impl Iterator<Item = &'c AppConfig>) -> Self {
        // No tick is longer than `Config::MAX_TICK_MS`.
        let tick = |ms: u64| (ms > 0).then(|| Tick(u16::try_from(ms).unwrap_or(u16::MAX)));
        let delivery = |app: &AppConfig| {
            let by_name = app.group_tick_ms.iter().map(|(group, ms)| (group.as_str(), *ms));
            let by_entry =
                app.groups.iter().filter_map(|group| Some((group.prefix.as_str(), group.tick_ms?)));
            let groups = longest_first(by_name.chain(by_entry).map(|(group, ms)| (group, tick(ms))));
            let (slow, tick) = (app.slow, tick(app.tick_ms));
            let ticks = tick.is_some() || groups.iter().any(|(_, tick)| tick.is_some());
            let remembers = app.groups.iter().any(GroupConfig::remembers);
            let entries = app.groups.iter().filter(|_| remembers);
            let memories = longest_first(entries.map(|group| (group.prefix.as_str(), rule_of(group))));
            AppDelivery { slow, ticks, tick, groups, memories, memory_bytes: app.group_memory_bytes as u64 }
        };
        Self { apps: apps.map(delivery).collect() }
    }

    /// What an app's outboxes do at their bound.
    pub fn slow(&self, app: AppId) -> Slow {
        self.apps.get(usize::from(app.0)).map_or_else(Slow::default, |app| app.slow)
    }

    /// The tick that a push waits for: the soonest of what it names, and none where anything it names has none.
    pub fn tick(&self, push: &Push) -> Option<Tick> {
        let app = self.apps.get(usize::from(push.app.0)).filter(|app| app.ticks)?;
        if push.options.class == Class::Urgent {
            return None;
        }
        push.target.selectors().iter().map(|selector| app.tick(selector)).min()?
    }

    /// The ticks for which pushes of the app may wait, each once, the shortest first.
    pub fn ticks(&self, app: AppId) -> Vec<Tick> {
        let app = self.apps.get(usize::from(app.0)).filter(|app| app.ticks);
        let of_app = |app: &AppDelivery| -> Vec<Tick> {
            app.tick.into_iter().chain(app.groups.iter().filter_map(|(_, tick)| *tick)).collect()
        };
        let mut ticks = app.map_or_else(Vec::new, of_app);
        ticks.sort_unstable();
        ticks.dedup();
        ticks
    }
}

/// What a push has to do with groups that remember.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remembering<'t> {
    /// None of its groups does.
    No,
    /// This one does, by this rule.
    One(&'t Name, MemoryRule),
    /// These two do: there is no order of theirs.
    Several(&'t Name, &'t Name),
}

impl DeliveryRules {
    /// Which group that remembers `target` names.
    #[inline]
    pub fn remembering<'t>(&self, app: AppId, target: &'t Target) -> Remembering<'t> {
        match self.apps.get(usize::from(app.0)) {
            Some(app) if !app.memories.is_empty() => app.remembering(target),
            _ => Remembering::No,
        }
    }

    /// Whether a push to `target` can have one order for everybody.
    ///
    /// # Errors
    /// It names two groups that remember.
    pub fn check_target(&self, app: AppId, target: &Target) -> Result<(), CommandError> {
        let Remembering::Several(one, other) = self.remembering(app, target) else { return Ok(()) };
        let (one, other) = (Quoted(one), Quoted(other));
        let message = format!(
            "a push names one group that remembers at most, not both {one} and {other}: push to each"
        );
        Err(CommandError::new(ErrorCode::BadRequest, message))
    }

    /// What the group remembers.
    pub fn memory(&self, app: AppId, group: &str) -> Option<MemoryRule> {
        self.apps.get(usize::from(app.0))?.memory(group)
    }

    /// The room for what the groups of the app remember; 0 is no bound.
    pub fn memory_bytes(&self, app: AppId) -> u64 {
        self.apps.get(usize::from(app.0)).map_or(0, |app| app.memory_bytes)
    }
}

/// The beginnings of names, the longer before the shorter.
fn longest_first<'n, T>(beginnings: impl Iterator<Item = (&'n str, T)>) -> Box<[(Box<str>, T)]> {
    let mut beginnings: Vec<(Box<str>, T)> = beginnings.map(|(name, value)| (name.into(), value)).collect();
    beginnings.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    beginnings.into()
}

fn rule_of(group: &GroupConfig) -> Option<MemoryRule> {
    let latest = group.latest.then_some(LatestRule {
        keys: group.latest_keys,
        bytes: group.latest_bytes,
        idle_ms: group.latest_idle_ms,
    });
    let log = group.log.map(|log| LogRule { messages: log.messages, bytes: log.bytes, ttl_ms: log.ttl_ms });
    group.remembers().then_some(MemoryRule { latest, log })
}

impl AppDelivery {
    fn remembering<'t>(&self, target: &'t Target) -> Remembering<'t> {
        let mut found = Remembering::No;
        for selector in target.selectors() {
            let Selector::Group(name) = selector else { continue };
            let Some(rule) = self.memory(name) else { continue };
            found = match found {
                Remembering::One(other, _) if other != name => return Remembering::Several(other, name),
                _ => Remembering::One(name, rule),
            };
        }
        found
    }

    fn memory(&self, group: &str) -> Option<MemoryRule> {
        self.memories.iter().find(|(prefix, _)| group.starts_with(&**prefix))?.1
    }

    fn tick(&self, selector: &Selector) -> Option<Tick> {
        let Selector::Group(name) = selector else { return self.tick };
        let group = self.groups.iter().find(|(group, _)| name.as_str().starts_with(&**group));
        group.map_or(self.tick, |(_, tick)| *tick)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LogConfig;
    use crate::dispatch::{EncodedFrame, Origin, PushOptions, Target};
    use crate::session::Name;

    #[test]
    fn the_longest_prefix_says_what_a_group_remembers_and_two_such_groups_have_no_order() {
        let log = Some(LogConfig { messages: 7, ..LogConfig::default() });
        let app = AppConfig {
            tick_ms: 100,
            group_tick_ms: [("match/slow/".to_owned(), 500)].into(),
            groups: vec![
                GroupConfig { latest: true, tick_ms: Some(50), ..GroupConfig::new("match/") },
                GroupConfig { log, ..GroupConfig::new("match/log/") },
                GroupConfig::new("match/log/off/"),
            ],
            ..AppConfig::default()
        };
        let rules = DeliveryRules::new([&AppConfig::default(), &app].into_iter());
        let memory =
            |name: &str| rules.memory(AppId(1), name).map(|rule| (rule.latest.is_some(), rule.log.is_some()));
        assert_eq!(memory("match/1"), Some((true, false)));
        assert_eq!(memory("match/log/1"), Some((false, true)));
        assert_eq!(
            rules.memory(AppId(1), "match/log/1").and_then(|rule| rule.log).map(|log| log.messages),
            Some(7)
        );
        assert_eq!([memory("match/log/off/1"), memory("match"), memory("chat")], [None; 3]);
        for (name, tick_ms) in [("match/1", 50), ("match/log/1", 50), ("match/slow/1", 500), ("chat", 100)] {
            assert_eq!(ms(&rules, 1, group(name), Class::Normal), tick_ms, "{name}");
        }
        let user = Target::from(Selector::User(Name::new("ada").unwrap()));
        let both = |one: &str, other: &str| group(one).or(group(other).selectors()[0].clone());
        for (target, is_one) in [
            (user.clone(), None),
            (both("chat", "match/log/off/1"), None),
            (both("chat", "match/1"), Some(true)),
            (both("match/1", "match/1"), Some(true)),
            (both("match/1", "match/2"), Some(false)),
            (both("match/1", "match/log/2"), Some(false)),
        ] {
            let expected = match rules.remembering(AppId(1), &target) {
                Remembering::No => None,
                Remembering::One(..) => Some(true),
                Remembering::Several(..) => Some(false),
            };
            assert_eq!(expected, is_one, "{target:?}");
            assert_eq!(rules.check_target(AppId(1), &target).is_err(), is_one == Some(false));
            assert_eq!(rules.remembering(AppId(0), &target), Remembering::No);
        }
    }

    fn ms(deliveries: &DeliveryRules, app: u16, target: Target, class: Class) -> u64 {
        let options = PushOptions { class, ..PushOptions::default() };
        let frame = EncodedFrame::binary(b"");
        let push = Push::new(AppId(app), target, frame, options, 0, 0, Origin::Nobody);
        deliveries.tick(&push).map_or(0, |tick| u64::from(tick.0))
    }

    fn group(name: &str) -> Target {
        Target::from(Selector::Group(Name::new(name).unwrap()))
    }

    #[test]
    fn a_push_waits_for_the_soonest_tick_of_what_it_names() {
        let groups = [("match/", 50), ("match/fast/", 20), ("chat", 0)];
        let ticking = AppConfig {
            tick_ms: 200,
            group_tick_ms: groups.map(|(name, ms)| (name.to_owned(), ms)).into(),
            ..AppConfig::default()
        };
        let deliveries = DeliveryRules::new([&AppConfig::default(), &ticking].into_iter());
        let user = Target::from(Selector::User(Name::new("ada").unwrap()));
        let both = |one: &Target, other: &str| one.clone().or(Selector::Group(Name::new(other).unwrap()));
        let table = [
            (user.clone(), 200),
            (Target::from(Selector::All), 200),
            (Target::nobody(), 0),
            (group("match/1"), 50),
            (group("match"), 200),
            (group("match/fast/1"), 20),
            (group("chatter"), 0),
            (both(&user, "match/1"), 50),
            (both(&group("match/1"), "match/fast/7"), 20),
            (both(&group("match/1"), "chat"), 0),
        ];
        for (target, expected) in table {
            assert_eq!(ms(&deliveries, 1, target.clone(), Class::Normal), expected, "{target:?}");
            assert_eq!(ms(&deliveries, 1, target.clone(), Class::Droppable), expected, "{target:?}");
            assert_eq!(ms(&deliveries, 1, target.clone(), Class::Urgent), 0, "{target:?}");
            assert_eq!(ms(&deliveries, 0, target, Class::Normal), 0);
        }
    }
}
