//! How the apps want their pushes delivered, looked up by app: the policy at the bound of an outbox, and the tick that a
//! push waits for. Worked out once from the configuration; knows nothing of outboxes.

use crate::config::{AppConfig, Slow};
use crate::connection::Tick;
use crate::dispatch::{Class, Push, Selector};
use crate::session::AppId;

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
}

impl DeliveryRules {
    /// Those of apps in the order of their ids.
    pub fn new<'c>(apps: impl Iterator<Item = &'c AppConfig>) -> Self {
        // No tick is longer than `Config::MAX_TICK_MS`.
        let tick = |ms: u64| (ms > 0).then(|| Tick(u16::try_from(ms).unwrap_or(u16::MAX)));
        let delivery = |app: &AppConfig| {
            let mut groups: Vec<_> =
                app.group_tick_ms.iter().map(|(group, ms)| (group.as_str().into(), tick(*ms))).collect();
            groups.sort_by_key(|(group, _): &(Box<str>, _)| std::cmp::Reverse(group.len()));
            let (slow, tick) = (app.slow, tick(app.tick_ms));
            let ticks = tick.is_some() || groups.iter().any(|(_, tick)| tick.is_some());
            AppDelivery { slow, ticks, tick, groups: groups.into() }
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
}

impl AppDelivery {
    fn tick(&self, selector: &Selector) -> Option<Tick> {
        let Selector::Group(name) = selector else { return self.tick };
        let group = self.groups.iter().find(|(group, _)| name.as_str().starts_with(&**group));
        group.map_or(self.tick, |(_, tick)| *tick)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::{EncodedFrame, Origin, PushOptions, Target};
    use crate::session::Name;

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
