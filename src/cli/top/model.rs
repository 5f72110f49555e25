//! What is known of a server, and what of it is looked at. It knows neither the network nor the terminal.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::feed::{Group, News, Wanted};
use super::news::{Behind, Counts, Hello, Tick};

/// How the server is heard.
#[derive(Debug, Clone, PartialEq)]
pub enum Link {
    /// Nothing has come yet.
    Connecting,
    /// It tells each second.
    Stream,
    /// It is asked each second.
    Polling,
    /// It does not answer.
    Away {
        /// Why.
        why: String,
        /// Since when.
        since: Instant,
    },
}

/// By what apps are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppOrder {
    /// Sessions.
    Sessions,
    /// Sessions that are behind.
    Behind,
    /// Pushes a second.
    Pushes,
    /// Messages of players a second.
    In,
    /// The name.
    Name,
}

/// By what sessions are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BehindOrder {
    /// Bytes that wait.
    Bytes,
    /// Messages that wait.
    Messages,
    /// How long they have been behind.
    Time,
}

/// An app: gauges of the last time that it was told of, counts of the last tick.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct App {
    /// Its name.
    pub name: String,
    /// By name, as in [`Tick::numbers`].
    pub gauges: Counts,
    /// Counts in a second, by name.
    pub rates: BTreeMap<String, f64>,
}

/// See the module.
#[derive(Debug)]
pub struct Model {
    /// How the server is heard.
    pub link: Link,
    /// Who it is.
    pub hello: Hello,
    /// The last tick.
    pub tick: Tick,
    /// What was not delivered, refused and closed since the program began.
    pub sums: Sums,
    apps: BTreeMap<String, App>,
    behind: Vec<Behind>,
    groups: Vec<Group>,
    /// Whether there are more groups than were looked at.
    pub has_more_groups: bool,
    /// The app that is picked.
    pub picked: Option<String>,
    /// The line of the apps that the cursor is on.
    pub cursor: usize,
    /// The order of the apps.
    pub app_order: AppOrder,
    /// The order of the sessions.
    pub behind_order: BehindOrder,
    /// Whether the keys are explained.
    pub shows_help: bool,
}

/// Counts since the program began.
#[derive(Debug, Default, PartialEq)]
pub struct Sums {
    /// Deliveries that did not come about, by why.
    pub undelivered: Counts,
    /// Connections that were refused, by why.
    pub refused: Counts,
    /// Sessions that were closed, by code.
    pub closed: Counts,
}

/// Outcomes of a delivery that are none.
const UNDELIVERED: [&str; 5] = ["dropped", "expired", "replaced", "offline", "closed"];
/// What of an app is a gauge.
const GAUGES: [&str; 3] = ["sessions", "away", "behind"];

impl Model {
    /// Nothing is known yet.
    pub fn new(picked: Option<String>) -> Self {
        Self {
            link: Link::Connecting,
            hello: Hello::default(),
            tick: Tick { ms: 1_000.0, ..Tick::default() },
            sums: Sums::default(),
            apps: BTreeMap::new(),
            behind: Vec::new(),
            groups: Vec::new(),
            has_more_groups: false,
            picked,
            cursor: 0,
            app_order: AppOrder::Sessions,
            behind_order: BehindOrder::Bytes,
            shows_help: false,
        }
    }

    /// Takes what is new, at `now`.
    pub fn take(&mut self, news: News, now: Instant) {
        match news {
            News::Hello { hello, has_stream } => {
                self.link = if has_stream { Link::Stream } else { Link::Polling };
                if (hello.pid, hello.started_unix_ms / 10_000)
                    != (self.hello.pid, self.hello.started_unix_ms / 10_000)
                {
                    // Another process: what is not told again is not there.
                    self.apps.clear();
                }
                for name in &hello.apps {
                    self.apps
                        .entry(name.clone())
                        .or_insert_with(|| App { name: name.clone(), ..App::default() });
                }
                self.hello = hello;
            }
            News::Tick(tick) => self.tick(tick),
            News::Behind(behind) => self.behind = behind,
            News::Groups(groups, has_more) => (self.groups, self.has_more_groups) = (groups, has_more),
            News::Apps(apps) => {
                self.apps = apps
                    .into_iter()
                    .map(|(name, sessions)| {
                        let gauges = Counts::from([("sessions".to_owned(), sessions)]);
                        (name.clone(), App { name, gauges, rates: BTreeMap::new() })
                    })
                    .collect();
            }
            News::Away(why) => {
                let since = if let Link::Away { since, .. } = self.link { since } else { now };
                self.link = Link::Away { why, since };
            }
        }
        self.cursor = self.cursor.min(self.apps.len().saturating_sub(1));
    }

    fn tick(&mut self, tick: Tick) {
        for app in self.apps.values_mut() {
            // An app without a row has counted nothing.
            app.rates.clear();
        }
        for (name, row) in &tick.apps {
            let app = self.apps.entry(name.clone()).or_default();
            app.name.clone_from(name);
            app.gauges = row.clone();
            app.gauges.retain(|name, _| GAUGES.contains(&name.as_str()));
            let rates = row.iter().filter(|(name, _)| !GAUGES.contains(&name.as_str()));
            app.rates = rates.map(|(name, count)| (name.clone(), tick.per_second(*count))).collect();
        }
        let add = |sums: &mut Counts, counts: &Counts| {
            counts.iter().for_each(|(name, count)| *sums.entry(name.clone()).or_insert(0) += count);
        };
        add(&mut self.sums.undelivered, &undelivered(&tick));
        add(&mut self.sums.refused, &tick.refused);
        add(&mut self.sums.closed, &tick.closed);
        self.tick = tick;
    }

    /// What lists are to be about.
    pub fn wanted(&self) -> Wanted {
        let apps = match &self.picked {
            Some(picked) => vec![picked.clone()],
            // Those with the most sessions, in an order that does not change with each tick.
            None => self.hello.apps.clone(),
        };
        Wanted { apps, has_no_stream: self.link == Link::Polling }
    }

    /// The apps in their order.
    pub fn apps(&self) -> Vec<&App> {
        let mut apps: Vec<&App> = self.apps.values().collect();
        let rate = |app: &App, name: &str| app.rates.get(name).copied().unwrap_or(0.0);
        let gauge = |app: &App, name: &str| app.gauges.get(name).copied().unwrap_or(0) as f64;
        let value = |app: &App| match self.app_order {
            AppOrder::Sessions => gauge(app, "sessions"),
            AppOrder::Behind => gauge(app, "behind"),
            AppOrder::Pushes => rate(app, "pushes"),
            AppOrder::In => rate(app, "messages_in"),
            AppOrder::Name => 0.0,
        };
        // They are in the order of their names, and a sort keeps the order of equals.
        apps.sort_by(|a, b| value(b).total_cmp(&value(a)));
        apps
    }

    /// The groups, the largest first.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().filter(|group| self.is_picked(&group.app))
    }

    /// Who is behind, in their order.
    pub fn behind(&self) -> Vec<&Behind> {
        let mut behind: Vec<&Behind> = self.behind.iter().filter(|one| self.is_picked(&one.app)).collect();
        match self.behind_order {
            BehindOrder::Bytes => behind.sort_by_key(|one| std::cmp::Reverse(one.bytes)),
            BehindOrder::Messages => behind.sort_by_key(|one| std::cmp::Reverse(one.messages)),
            BehindOrder::Time => behind.sort_by_key(|one| one.since_unix_ms.unwrap_or(u64::MAX)),
        }
        behind
    }

    fn is_picked(&self, app: &str) -> bool {
        self.picked.as_deref().is_none_or(|picked| picked == app)
    }

    /// How long the server has not been heard.
    pub fn away_for(&self, now: Instant) -> Option<Duration> {
        if let Link::Away { since, .. } = self.link { Some(now.duration_since(since)) } else { None }
    }

    /// The next order of the apps.
    pub fn sort_apps(&mut self) {
        self.app_order = match self.app_order {
            AppOrder::Sessions => AppOrder::Behind,
            AppOrder::Behind => AppOrder::Pushes,
            AppOrder::Pushes => AppOrder::In,
            AppOrder::In => AppOrder::Name,
            AppOrder::Name => AppOrder::Sessions,
        };
    }

    /// The next order of the sessions.
    pub fn sort_behind(&mut self) {
        self.behind_order = match self.behind_order {
            BehindOrder::Bytes => BehindOrder::Messages,
            BehindOrder::Messages => BehindOrder::Time,
            BehindOrder::Time => BehindOrder::Bytes,
        };
    }

    /// Moves the cursor on the apps.
    pub fn move_cursor(&mut self, lines: isize) {
        let last = self.apps.len().saturating_sub(1);
        self.cursor = self.cursor.saturating_add_signed(lines).min(last);
    }

    /// Picks the app that the cursor is on, or none if that is picked.
    pub fn pick(&mut self) {
        let under = self.apps().get(self.cursor).map(|app| app.name.clone());
        self.picked = if self.picked == under { None } else { under };
        // Those of other apps are not its own, and the next come soon.
        self.groups.retain(|group| self.picked.as_ref().is_none_or(|picked| *picked == group.app));
    }
}

/// What was not delivered, by why: drops by their reason.
pub fn undelivered(tick: &Tick) -> Counts {
    let mut counts = Counts::new();
    for (outcome, count) in &tick.deliveries {
        if UNDELIVERED.contains(&outcome.as_str()) && (outcome != "dropped" || tick.dropped.is_empty()) {
            counts.insert(outcome.clone(), *count);
        }
    }
    counts.extend(tick.dropped.iter().map(|(reason, count)| (format!("dropped, {reason}"), *count)));
    counts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tick(model: &mut Model, tick: serde_json::Value) {
        model.take(News::Tick(Tick::of_stream(&tick)), Instant::now());
    }

    fn names(model: &Model) -> Vec<&str> {
        model.apps().iter().map(|app| app.name.as_str()).collect()
    }

    #[test]
    fn apps_keep_their_gauges_and_are_sorted() {
        let mut model = Model::new(None);
        let hello = Hello { apps: vec!["a".to_owned(), "b".to_owned(), "c".to_owned()], ..Hello::default() };
        model.take(News::Hello { hello, has_stream: true }, Instant::now());
        assert_eq!((model.link.clone(), names(&model)), (Link::Stream, vec!["a", "b", "c"]));
        tick(
            &mut model,
            json!({"ms": 500, "apps": {"b": {"sessions": 5, "pushes": 1}, "c": {"sessions": 9}}}),
        );
        assert_eq!(names(&model), ["c", "b", "a"]);
        tick(&mut model, json!({"ms": 1000, "apps": {"a": {"pushes": 50}}}));
        assert_eq!(names(&model), ["c", "b", "a"], "gauges that are not told stay");
        model.sort_apps();
        model.sort_apps();
        assert_eq!(names(&model), ["a", "b", "c"], "by pushes: those of b were of another tick");
        // Nobody is left in b: its row has no sessions.
        tick(&mut model, json!({"apps": {"b": {}}}));
        model.app_order = AppOrder::Sessions;
        assert_eq!(names(&model), ["c", "a", "b"]);
    }

    #[test]
    fn what_was_not_delivered_adds_up_by_reason() {
        let mut model = Model::new(None);
        let told = json!({"deliveries": {"queued": 9, "dropped": 3, "offline": 1}, "dropped": {"too_slow": 2, "oldest": 1},
            "refused": {"rate": 4}});
        tick(&mut model, told.clone());
        tick(&mut model, told);
        let expected = [("dropped, oldest", 2), ("dropped, too_slow", 4), ("offline", 2)];
        let expected = expected.map(|(name, count)| (name.to_owned(), count));
        assert_eq!(model.sums.undelivered, Counts::from(expected));
        assert_eq!(model.sums.refused["rate"], 8);
    }

    #[test]
    fn a_picked_app_is_all_that_is_looked_at() {
        let mut model = Model::new(None);
        tick(&mut model, json!({"apps": {"a": {"sessions": 1}, "b": {"sessions": 5}}}));
        let behind = |app: &str, bytes, since| Behind {
            app: app.to_owned(),
            bytes,
            messages: 100 - bytes,
            since_unix_ms: Some(since),
            ..Behind::default()
        };
        model.take(
            News::Behind(vec![behind("a", 1, 5), behind("b", 2, 7), behind("a", 3, 9)]),
            Instant::now(),
        );
        let group = |app: &str| Group { app: app.to_owned(), name: "g".to_owned(), sessions: 1 };
        model.take(News::Groups(vec![group("a"), group("b")], false), Instant::now());
        let bytes = |model: &Model| model.behind().iter().map(|one| one.bytes).collect::<Vec<_>>();
        assert_eq!((bytes(&model), model.groups().count()), (vec![3, 2, 1], 2));
        model.sort_behind();
        assert_eq!(bytes(&model), [1, 2, 3]);
        model.sort_behind();
        assert_eq!(bytes(&model), [1, 2, 3], "the longest first");
        model.move_cursor(5);
        model.pick();
        assert_eq!(
            (model.picked.as_deref(), bytes(&model), model.groups().count()),
            (Some("a"), vec![1, 3], 1)
        );
        assert_eq!(model.wanted().apps, ["a"]);
        model.pick();
        assert_eq!(model.picked, None);
    }

    #[test]
    fn a_server_that_is_away_is_so_since_the_first_time() {
        let (mut model, began) = (Model::new(None), Instant::now());
        let later = began + Duration::from_secs(3);
        model.take(News::Away("gone".to_owned()), began);
        model.take(News::Away("still gone".to_owned()), later);
        assert_eq!(model.away_for(later), Some(Duration::from_secs(3)));
        model.take(News::Hello { hello: Hello::default(), has_stream: false }, later);
        assert_eq!((model.away_for(later), model.wanted().has_no_stream), (None, true));
    }
}
