//! The events of a stream of figures: who answers, what was counted since the last tick, the largest queues.

use super::{Hex, write};
use crate::config::Limits;
use crate::dispatch::{Right, SessionInfo};
use crate::metrics::{AppSample, CertificateExpiry, HistogramTotal, Sample};
use crate::session::Name;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// Groups that an entry of the largest queues names.
const GROUPS_SHOWN: usize = 4;

/// Appends an event called `name`, with this as its data, to `out`.
pub fn stream_event(name: &str, data: &impl Serialize, out: &mut String) {
    out.extend(["event: ", name, "\ndata: "]);
    // JSON has every line break escaped.
    write(out, data);
    out.push_str("\n\n");
}

/// Who answers: the first event.
#[derive(Debug, Serialize)]
pub struct Hello<'a> {
    /// What the machine is called.
    pub host: &'a str,
    /// The node's part of the session ids.
    pub node: u16,
    /// What the node is called in its cluster.
    pub name: Option<&'a str>,
    /// The version of gannet.
    pub version: &'static str,
    /// The process.
    pub pid: u32,
    /// When the server started; upgrades do not change it.
    pub started_unix_ms: u64,
    /// When this process did.
    pub pid_started_unix_ms: u64,
    /// The server's wall clock.
    pub now_unix_ms: u64,
    /// Whether there are other nodes.
    pub cluster: bool,
    /// What the stream is about: `server`, or `apps` for a key of some apps.
    pub scope: &'static str,
    /// The apps that the key may name.
    pub apps: Vec<&'a str>,
    /// What only a key of the whole server is told.
    #[serde(flatten)]
    pub server: Option<HelloOfServer<'a>>,
    /// What the key may do.
    pub key: HelloKey<'a>,
}

/// What only a key of the whole server is told.
#[derive(Debug, Serialize)]
pub struct HelloOfServer<'a> {
    /// How many reactors run.
    pub reactors: usize,
    /// What is bounded.
    pub bounds: Bounds<'a>,
    /// The certificates of the ports.
    pub certificates: Vec<Certificate>,
}

/// The bounds that the figures are held against; 0 is none.
#[derive(Debug)]
pub struct Bounds<'a> {
    /// Sessions that fit in.
    pub max_sessions: u64,
    /// The rest of them.
    pub limits: &'a Limits,
}

impl Serialize for Bounds<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { max_sessions, limits } = self;
        let mut map = serializer.serialize_map(Some(7))?;
        map.serialize_entry("max_sessions", max_sessions)?;
        map.serialize_entry("outbox_bytes", &limits.outbox_bytes)?;
        map.serialize_entry("outbox_messages", &limits.outbox_messages)?;
        map.serialize_entry("outboxes_bytes", &limits.outboxes_bytes)?;
        map.serialize_entry("mailbox_messages", &limits.mailbox_messages)?;
        map.serialize_entry("mailbox_bytes", &limits.mailbox_bytes)?;
        map.serialize_entry("max_page", &limits.max_page)?;
        map.end()
    }
}

/// When a certificate ends.
#[derive(Debug, Serialize)]
pub struct Certificate {
    port: &'static str,
    name: String,
    not_after_unix_ms: u64,
}

impl From<CertificateExpiry> for Certificate {
    fn from(expiry: CertificateExpiry) -> Self {
        let CertificateExpiry { port, name, unix_seconds } = expiry;
        Self { port, name, not_after_unix_ms: unix_seconds.saturating_mul(1_000) }
    }
}

/// What a key may do.
#[derive(Debug, Serialize)]
pub struct HelloKey<'a> {
    name: Option<&'a str>,
    may: Vec<&'static str>,
    apps: Option<Vec<&'a str>>,
}

impl<'a> HelloKey<'a> {
    /// Of the key with this name, which may do this, for these apps or for the whole server.
    pub fn new(name: Option<&'a str>, may: &[Right], apps: &[&'a str], is_of_server: bool) -> Self {
        Self {
            name,
            may: may.iter().map(|right| right.as_str()).collect(),
            apps: (!is_of_server).then(|| apps.to_vec()),
        }
    }
}

/// What has been counted since the last tick, and how things are.
#[derive(Debug)]
pub struct Tick<'a> {
    /// Now.
    pub now: &'a Sample,
    /// At the last tick.
    pub before: &'a Sample,
    /// Now, in milliseconds since the Unix epoch.
    pub unix_ms: u64,
    /// Why the server takes no sessions, if it does not.
    pub not_ready: Option<&'static str>,
    /// The sums of the apps that the reader may see, where it may not see those of the server.
    pub of_apps: Option<AppSample>,
    /// The apps of which there is something to tell, with that.
    pub apps: &'a [(&'a str, AppSample)],
}

impl Serialize for Tick<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { now, before, unix_ms, not_ready, of_apps, apps } = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("unix_ms", unix_ms)?;
        map.serialize_entry("ms", &now.at_ms.saturating_sub(before.at_ms))?;
        map.serialize_entry("ready", &not_ready.is_none())?;
        if let Some(why) = not_ready {
            map.serialize_entry("why", why)?;
        }
        match of_apps {
            Some(sums) => {
                for name in ["sessions", "away", "behind", "opened", "messages_in", "pushes"] {
                    let figure = AppSample::NAMES.iter().position(|known| *known == name);
                    map.serialize_entry(name, &figure.map_or(0, |figure| sums.0[figure]))?;
                }
            }
            None => of_server(now, before, &mut map)?,
        }
        map.serialize_entry("apps", &Rows(apps))?;
        map.end()
    }
}

fn of_server<M: SerializeMap>(now: &Sample, before: &Sample, map: &mut M) -> Result<(), M::Error> {
    let (new, old) = (&now.totals, &before.totals);
    for (name, gauge) in [
        ("sessions", new.sessions),
        ("users", new.users),
        ("groups", new.groups),
        ("away", new.away),
        ("links", new.links),
        ("links_away", new.links_away),
        ("behind", now.behind()),
        ("outbox_messages", new.outbox_messages),
        ("outbox_bytes", new.outbox_bytes),
        ("mailbox_messages", new.mailbox_messages),
        ("mailbox_overflow", new.mailbox_overflow),
    ] {
        map.serialize_entry(name, &gauge)?;
    }
    for (name, now, before) in [
        ("opened", new.opened, old.opened),
        ("messages_in", new.messages_in, old.messages_in),
        ("messages_out", new.messages_out, old.messages_out),
        ("bytes_in", new.bytes_in, old.bytes_in),
        ("bytes_out", new.bytes_out, old.bytes_out),
        ("pushes", new.pushes, old.pushes),
        ("accept_errors", new.accept_errors, old.accept_errors),
        ("relieved", new.relieved, old.relieved),
    ] {
        map.serialize_entry(name, &now.saturating_sub(before))?;
    }
    map.serialize_entry("closed", &Counts(new.closed.since(&old.closed).collect()))?;
    map.serialize_entry("refused", &Counts(new.refused.since(&old.refused).collect()))?;
    map.serialize_entry("deliveries", &Counts(new.deliveries.since(&old.deliveries).collect()))?;
    map.serialize_entry("dropped", &Counts(new.dropped.since(&old.dropped).collect()))?;
    map.serialize_entry("push_to_write", &Times(new.push_to_write.since(&old.push_to_write)))?;
    map.serialize_entry("turn", &Times(new.turn_time.since(&old.turn_time)))?;
    map.serialize_entry("reactors", &Reactors { now, before })
}

struct Counts(Vec<(&'static str, u64)>);

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

struct Times(HistogramTotal);

impl Serialize for Times {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("count", &self.0.count())?;
        for (name, q) in [("p50_us", 0.5), ("p99_us", 0.99), ("p999_us", 0.999)] {
            map.serialize_entry(name, &self.0.quantile_us(q))?;
        }
        map.end()
    }
}

struct Reactors<'a> {
    now: &'a Sample,
    before: &'a Sample,
}

impl Serialize for Reactors<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { now, before } = self;
        let sessions: Vec<u64> = now.reactors.iter().map(|reactor| reactor.sessions).collect();
        let thousandths = |part: f64| (part * 1_000.0).round() / 1_000.0;
        let busy: Vec<f64> = now.busy_since(before).map(thousandths).collect();
        let turns = now
            .reactors
            .iter()
            .enumerate()
            .map(|(index, reactor)| reactor.turns_since(before.reactors.get(index)).quantile_us(0.99));
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("sessions", &sessions)?;
        map.serialize_entry("busy", &busy)?;
        map.serialize_entry("turn_p99_us", &turns.collect::<Vec<_>>())?;
        map.end()
    }
}

/// The figures of apps; what is 0 is left out.
struct Rows<'a>(&'a [(&'a str, AppSample)]);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Row(AppSample);
        impl Serialize for Row {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let figures = AppSample::NAMES.iter().zip(self.0.0);
                serializer.collect_map(figures.filter(|(_, figure)| *figure > 0))
            }
        }
        serializer.collect_map(self.0.iter().map(|(name, figures)| (*name, Row(*figures))))
    }
}

/// The largest queues.
#[derive(Debug)]
pub struct LargestQueues<'a> {
    /// Now, in milliseconds since the Unix epoch.
    pub unix_ms: u64,
    /// Sessions that are behind, of those that the reader may see.
    pub behind: u64,
    /// The ones with the largest queues.
    pub sessions: &'a [SessionInfo],
}

impl Serialize for LargestQueues<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Entry<'a> {
            session: Hex,
            app: &'a str,
            user: Option<&'a str>,
            groups: Vec<&'a str>,
            groups_more: usize,
            queued_messages: u32,
            queued_bytes: u64,
            behind_since_unix_ms: Option<u64>,
            round_trip_us: Option<u32>,
            reactor: u8,
        }
        struct Entries<'a>(&'a [SessionInfo]);
        impl Serialize for Entries<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq(self.0.iter().map(|info| {
                    let mut groups: Vec<&str> = info.groups.iter().map(Name::as_str).collect();
                    groups.sort_unstable();
                    let groups_more = groups.len().saturating_sub(GROUPS_SHOWN);
                    groups.truncate(GROUPS_SHOWN);
                    Entry {
                        session: Hex(info.id),
                        app: &info.app,
                        user: info.user.as_deref(),
                        groups,
                        groups_more,
                        queued_messages: info.queued_messages,
                        queued_bytes: info.queued_bytes,
                        behind_since_unix_ms: info.behind_since_unix_ms,
                        round_trip_us: info.round_trip_us,
                        reactor: info.id.worker(),
                    }
                }))
            }
        }
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("unix_ms", &self.unix_ms)?;
        map.serialize_entry("behind", &self.behind)?;
        map.serialize_entry("sessions", &Entries(self.sessions))?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{CloseClass, DeliveryOutcome, Label, Metrics, RefusalReason};

    /// Everything that can be in a tick, with figures that are large.
    fn busy_tick(reactors: usize, apps: &[(&str, AppSample)]) -> String {
        let metrics = Metrics::new(reactors, 0);
        let before = metrics.sample(0, apps.len());
        for reactor in (0..reactors).map(|index| metrics.reactor(index)) {
            reactor.sessions.set(31_250);
            reactor.outbox_bytes.set(100_000_000);
            CloseClass::ALL[..6].iter().for_each(|class| reactor.closed.of(*class).add(1_000));
            RefusalReason::ALL[..4].iter().for_each(|reason| reactor.refused.of(*reason).add(1_000));
            DeliveryOutcome::ALL.iter().for_each(|outcome| reactor.deliveries.of(*outcome).add(100_000));
            reactor.bytes_out.add(100_000_000);
            reactor.turn_time.observe(123_456_789);
            reactor.push_to_write.observe(12_345_678);
        }
        let now = metrics.sample(1_000, apps.len());
        let mut out = String::new();
        let tick = Tick {
            now: &now,
            before: &before,
            unix_ms: 1_760_000_000_000,
            not_ready: None,
            of_apps: None,
            apps,
        };
        stream_event("tick", &tick, &mut out);
        out
    }

    #[test]
    fn a_tick_of_eight_reactors_and_four_busy_apps_is_less_than_two_kibibytes() {
        let figures =
            AppSample([62_500, 10_000, 10_000, 10_000, 10_000, 10_000, 100_000, 100_000, 1_000_000]);
        let names = ["default", "chess-tournaments", "checkers-blitz", "backgammon"];
        let tick = busy_tick(8, &names.map(|name| (name, figures)));
        assert!(tick.len() <= 2_048, "{} bytes: {tick}", tick.len());
        let data =
            tick.strip_prefix("event: tick\ndata: ").and_then(|rest| rest.strip_suffix("\n\n")).unwrap();
        let json: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!(json["reactors"]["sessions"].as_array().map(Vec::len), Some(8));
        assert_eq!(json["sessions"], 250_000);
        assert_eq!(json["closed"]["1000"], 8_000);
        assert_eq!(json["apps"]["backgammon"]["queued"], 1_000_000);
    }

    #[test]
    fn who_may_not_see_the_server_is_shown_no_figure_of_it() {
        let metrics = Metrics::new(1, 0);
        let (before, now) = (metrics.sample(0, 1), metrics.sample(900, 1));
        let figures = AppSample([3, 0, 1, 2, 0, 0, 7, 4, 9]);
        let apps = [("chess", figures)];
        let tick = Tick {
            now: &now,
            before: &before,
            unix_ms: 5,
            not_ready: Some("draining"),
            of_apps: Some(figures),
            apps: &apps,
        };
        let expected = serde_json::json!({
            "unix_ms": 5, "ms": 900, "ready": false, "why": "draining", "sessions": 3, "away": 0, "behind": 1, "opened": 2,
            "messages_in": 7, "pushes": 4,
            "apps": { "chess": { "sessions": 3, "behind": 1, "opened": 2, "messages_in": 7, "pushes": 4, "queued": 9 } },
        });
        assert_eq!(serde_json::to_value(&tick).unwrap(), expected);
    }
}
