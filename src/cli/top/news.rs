//! What a server tells of itself, read out of its JSON: of the stream (`/v1/stats/stream`), or of two `/v1/stats` one after the
//! other. What is missing is 0, or not there: servers of other versions tell more, or less.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Counts by name, without those that are 0.
pub type Counts = BTreeMap<String, u64>;

/// Who the server is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hello {
    /// Its machine and name, as far as it tells.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u64,
    /// When it began, by its own clock.
    pub started_unix_ms: u64,
    /// Its reactors; 0 where it does not tell.
    pub reactors: u64,
    /// The apps that the key sees.
    pub apps: Vec<String>,
}

/// Some time of a server: gauges at its end, and what was counted in it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tick {
    /// How long it was.
    pub ms: f64,
    /// The server's clock at the end; 0 where it does not tell.
    pub unix_ms: u64,
    /// Why the server takes no players; `None`: it does.
    pub not_ready: Option<String>,
    /// Gauges and counts by name, such as `sessions` and `pushes`.
    pub numbers: Counts,
    /// Closes by code.
    pub closed: Counts,
    /// Refusals by reason.
    pub refused: Counts,
    /// Deliveries by outcome.
    pub deliveries: Counts,
    /// Dropped messages by reason.
    pub dropped: Counts,
    /// Of pushes to their writes, and of turns: the percentiles.
    pub push_to_write: Latency,
    /// See `push_to_write`.
    pub turn: Latency,
    /// By reactor.
    pub reactors: Vec<Reactor>,
    /// The apps that something is told of.
    pub apps: BTreeMap<String, Counts>,
}

/// Percentiles in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Latency {
    /// How many there were.
    pub count: u64,
    /// The median.
    pub p50_us: f64,
    /// The 99th percentile.
    pub p99_us: f64,
    /// The 99.9th percentile.
    pub p999_us: f64,
}

/// One reactor.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Reactor {
    /// Its sessions.
    pub sessions: u64,
    /// The part of the time that it spent in turns, 0 to 1.
    pub busy: f64,
    /// The 99th percentile of its turns.
    pub turn_p99_us: f64,
}

/// A session that has messages waiting.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Behind {
    /// Its id.
    pub session: String,
    /// Its app.
    pub app: String,
    /// Its user, if it has one.
    pub user: Option<String>,
    /// Messages that wait.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Since when, by the server's clock, if it tells.
    pub since_unix_ms: Option<u64>,
    /// The round trip, if it is known.
    pub round_trip_us: Option<u64>,
}

fn number(value: &Value) -> u64 {
    // A gauge that is below 0 for a moment is nothing.
    value.as_u64().unwrap_or_else(|| value.as_f64().map_or(0, |value| value.max(0.0) as u64))
}

fn counts(value: &Value) -> Counts {
    let entries = value.as_object().into_iter().flatten();
    let entries = entries.filter(|(_, value)| value.is_number());
    entries.map(|(name, value)| (name.clone(), number(value))).filter(|(_, count)| *count > 0).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl Hello {
    /// Out of the stream's `hello`.
    pub fn of_stream(hello: &Value) -> Self {
        let names = [text(&hello["host"]), text(&hello["name"])];
        let names: Vec<String> = names.into_iter().filter(|name| !name.is_empty()).collect();
        Self {
            name: names.join(" "),
            version: text(&hello["version"]),
            pid: number(&hello["pid"]),
            started_unix_ms: number(&hello["started_unix_ms"]),
            reactors: number(&hello["reactors"]),
            apps: hello["apps"].as_array().into_iter().flatten().map(text).collect(),
        }
    }

    /// Out of `/v1/stats`, which came at `now_unix_ms`.
    pub fn of_stats(stats: &Value, now_unix_ms: u64) -> Self {
        Self {
            name: String::new(),
            version: text(&stats["version"]),
            pid: number(&stats["pid"]),
            started_unix_ms: now_unix_ms.saturating_sub(number(&stats["uptime_seconds"]) * 1_000),
            reactors: number(&stats["reactors"]),
            apps: Vec::new(),
        }
    }
}

impl Latency {
    fn of(value: &Value) -> Self {
        let us = |name: &str| value[name].as_f64().unwrap_or(0.0);
        Self {
            count: number(&value["count"]),
            p50_us: us("p50_us"),
            p99_us: us("p99_us"),
            p999_us: us("p999_us"),
        }
    }
}

impl Tick {
    /// Out of the stream's `tick`.
    pub fn of_stream(tick: &Value) -> Self {
        let column = |name: &str| tick["reactors"][name].as_array().cloned().unwrap_or_default();
        let (sessions, busy, turn) = (column("sessions"), column("busy"), column("turn_p99_us"));
        let float = |column: &[Value], at: usize| column.get(at).and_then(Value::as_f64).unwrap_or(0.0);
        let reactor = |(at, sessions): (usize, &Value)| Reactor {
            sessions: number(sessions),
            busy: float(&busy, at),
            turn_p99_us: float(&turn, at),
        };
        let apps = tick["apps"].as_object().into_iter().flatten();
        let is_ready = tick["ready"].as_bool() != Some(false);
        Self {
            ms: tick["ms"].as_f64().filter(|ms| *ms > 0.0).unwrap_or(1_000.0),
            unix_ms: number(&tick["unix_ms"]),
            not_ready: (!is_ready).then(|| text(&tick["why"])),
            numbers: counts(tick),
            closed: counts(&tick["closed"]),
            refused: counts(&tick["refused"]),
            deliveries: counts(&tick["deliveries"]),
            dropped: counts(&tick["dropped"]),
            push_to_write: Latency::of(&tick["push_to_write"]),
            turn: Latency::of(&tick["turn"]),
            reactors: sessions.iter().enumerate().map(reactor).collect(),
            apps: apps.map(|(name, row)| (name.clone(), counts(row))).collect(),
        }
    }

    /// Out of two `/v1/stats` of one process, `ms` apart.
    pub fn between(before: &Value, after: &Value, ms: f64) -> Self {
        const COUNTS: [&str; 6] =
            ["opened", "messages_in", "messages_out", "bytes_in", "bytes_out", "pushes"];
        const MAPS: [&str; 4] = ["closed", "refused", "deliveries", "dropped"];
        let mut tick = after.clone();
        for name in COUNTS {
            tick[name] = json!(number(&after[name]).saturating_sub(number(&before[name])));
        }
        for name in MAPS {
            let (then, now) = (counts(&before[name]), counts(&after[name]));
            let grown = |(name, count): (String, u64)| {
                let then = then.get(&name).copied().unwrap_or(0);
                (name, json!(count.saturating_sub(then)))
            };
            tick[name] = Value::Object(now.into_iter().map(grown).collect::<Map<_, _>>());
        }
        let draining = after["draining"].as_bool() == Some(true);
        (tick["ms"], tick["ready"], tick["why"]) = (json!(ms), json!(!draining), json!("draining"));
        // Percentiles since the start, not of this time: they say little about now.
        tick["turn"] = after["turn_time"].clone();
        tick["reactors"] = Value::Null;
        tick["apps"] = Value::Null;
        Self::of_stream(&tick)
    }

    /// A gauge, or what was counted.
    pub fn number(&self, name: &str) -> u64 {
        self.numbers.get(name).copied().unwrap_or(0)
    }

    /// How much of `count` there was in a second.
    pub fn per_second(&self, count: u64) -> f64 {
        count as f64 * 1_000.0 / self.ms
    }
}

impl Behind {
    /// Those of a list that have anything waiting.
    pub fn list(value: &Value) -> Vec<Self> {
        let one = |value: &Value| Self {
            session: text(&value["session"]),
            app: text(&value["app"]),
            user: value["user"].as_str().map(str::to_owned),
            messages: number(&value["queued_messages"]),
            bytes: number(&value["queued_bytes"]),
            since_unix_ms: value["behind_since_unix_ms"].as_u64(),
            round_trip_us: value["round_trip_us"].as_u64(),
        };
        let all = value["sessions"].as_array().into_iter().flatten().map(one);
        all.filter(|behind| behind.messages > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_of_the_stream() {
        let tick = Tick::of_stream(&json!({
            "unix_ms": 7, "ms": 2_000, "ready": false, "why": "draining", "sessions": 10, "pushes": 900,
            "closed": {"1000": 4}, "deliveries": {"queued": 8, "dropped": 2}, "dropped": {"too_slow": 2},
            "push_to_write": {"count": 8, "p50_us": 61.2, "p99_us": 840.1, "p999_us": 2100.0},
            "reactors": {"sessions": [6, 4], "busy": [0.5, 0.25], "turn_p99_us": [402.1, 398.0]},
            "apps": {"default": {"sessions": 10, "opened": 2}, "chess": {}},
        }));
        assert_eq!((tick.number("sessions"), tick.number("nothing")), (10, 0));
        assert_eq!(tick.per_second(tick.number("pushes")), 450.0);
        assert_eq!(tick.not_ready.as_deref(), Some("draining"));
        assert_eq!(tick.dropped["too_slow"], 2);
        assert_eq!(tick.push_to_write.p99_us, 840.1);
        assert_eq!(tick.reactors[1], Reactor { sessions: 4, busy: 0.25, turn_p99_us: 398.0 });
        assert_eq!((tick.apps["default"]["opened"], tick.apps["chess"].len()), (2, 0));
    }

    #[test]
    fn two_looks_make_a_tick() {
        let stats = |pushes: u64, gone: u64| {
            json!({"sessions": 5, "pushes": pushes, "closed": {"1000": gone, "4003": 1}, "deliveries": {"offline": pushes},
                "draining": false, "turn_time": {"p99_us": 9.0}})
        };
        let tick = Tick::between(&stats(10, 1), &stats(40, 3), 500.0);
        assert_eq!((tick.number("sessions"), tick.number("pushes")), (5, 30));
        assert_eq!(tick.per_second(tick.number("pushes")), 60.0);
        assert_eq!(tick.closed, Counts::from([("1000".to_owned(), 2)]));
        assert_eq!((tick.deliveries["offline"], tick.turn.p99_us), (30, 9.0));
        assert_eq!((tick.not_ready, tick.reactors.len()), (None, 0));
    }

    #[test]
    fn whatever_a_server_says_is_no_panic() {
        for odd in [
            json!(null),
            json!(7),
            json!([1]),
            json!({"apps": 7, "reactors": [1], "ms": 0, "closed": {"a": {}}}),
        ] {
            let (tick, hello) = (Tick::of_stream(&odd), Hello::of_stream(&odd));
            assert_eq!((tick.ms, hello.pid), (1_000.0, 0));
            assert!(Behind::list(&odd).is_empty());
            Hello::of_stats(&odd, 0);
        }
        let between = Tick::between(&json!({"pushes": 9}), &json!({"pushes": -1}), 1_000.0);
        assert_eq!(between.number("pushes"), 0);
    }

    #[test]
    fn only_who_is_behind_is_listed() {
        let list = json!({"sessions": [
            {"session": "0a", "app": "default", "user": null, "queued_messages": 0, "queued_bytes": 0},
            {"session": "0b", "app": "chess", "user": "ada", "queued_messages": 3, "queued_bytes": 50, "round_trip_us": 9},
        ]});
        let behind = Behind::list(&list);
        assert_eq!(behind.len(), 1);
        assert_eq!((behind[0].user.as_deref(), behind[0].round_trip_us), (Some("ada"), Some(9)));
    }
}
