//! The rows of the requests that HTTP alone has. One that is new has its row here, and what it answers in `gateway`.

use super::Segment::{Is, Of};
use super::bounds::{page_limit, record_frames};
use super::field::Need::{AtMostOne, Optional, Required};
use super::field::*;
use super::fields::Fields;
use super::{Answer, Call, Method, Needs, Route, Row, Segment, feed};
use crate::dispatch::{Action, CommandError, Right, Selector};
use log::LevelFilter;
use std::path::PathBuf;

/// What an operator asks of the whole server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Empty the server, evenly.
    Drain {
        /// Over so many milliseconds; without, as long as a stop takes.
        over_ms: Option<u64>,
        /// Where the sessions are to go.
        to: Option<Box<str>>,
    },
    /// Say how far the drain is.
    ShowDrain,
    /// Keep those that are left.
    CallOffDrain,
    /// Read the configuration again.
    Reload,
    /// Hand everything over to another process.
    Upgrade {
        /// Its binary; without, the one that the running process was started from.
        binary: Option<PathBuf>,
        /// Only see whether it would take over.
        dry_run: bool,
    },
    /// Show the configuration.
    ShowConfig {
        /// What it is where nothing is configured, instead of the one in force.
        defaults: bool,
    },
    /// Show the newest lines of the audit trail, so many.
    ShowAudit(Option<u64>),
    /// Log so much, for a while.
    Log {
        /// How much.
        level: LevelFilter,
        /// For so many milliseconds; without, until the next order or the end.
        for_ms: Option<u64>,
    },
}

/// A page that is about no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// The counters as JSON.
    Stats,
    /// The counters as Prometheus text.
    Metrics,
    /// The cluster, as this node sees it.
    Cluster,
    /// Whether the process is alive.
    Health,
    /// Whether it takes sessions.
    Ready,
    /// The page for operators.
    Console,
    /// The OpenAPI document of this port.
    OpenApi,
    /// The figures of the server, as a stream without an end.
    StatsStream,
}

const CHANGES: Needs = Needs::Right(Right::All);
const READS: Needs = Needs::Right(Right::Read);

const IN_APP: Field = APP.being(Optional);

/// What HTTP alone has.
pub static REQUESTS: [Row; 25] = [
    Row {
        name: "batch",
        about: "Runs the commands in the body, one a line, and answers each with a line.",
        needs: Needs::Key,
        is_barrier: false,
        call: Call::Batch,
        routes: &[Route { method: Method::Post, path: &[Is("v1"), Is("batch")], query: &[IN_APP] }],
        answer: Answer::Batch,
    },
    Row {
        name: "sessions",
        about: "Describes the sessions of a user, a group or a tag, or of the app, page by page.",
        needs: READS,
        is_barrier: false,
        call: Call::Act(|fields, limits| fields.take_listing(limits)),
        routes: &[Route {
            method: Method::Get,
            path: &[Is("v1"), Is("sessions")],
            query: &[
                IN_APP,
                USER.being(AtMostOne),
                GROUP.being(AtMostOne),
                TAG.being(AtMostOne),
                BEHIND.being(Optional),
                LIMIT.being(Optional),
                AFTER.being(Optional),
            ],
        }],
        answer: Answer::SessionsPage,
    },
    Row {
        name: "members",
        about: "Lists the members of a group, page by page.",
        needs: READS,
        is_barrier: false,
        call: Call::Act(|fields, limits| {
            let by = Selector::Group(fields.take_group()?);
            let limit = page_limit(fields.limit.take(), limits)?;
            Ok(Action::List { by, limit, after: fields.take_after_session()?, detailed: false })
        }),
        routes: &[Route {
            method: Method::Get,
            path: &[Is("v1"), Is("groups"), Of(GROUP)],
            query: &[IN_APP, LIMIT.being(Optional), AFTER.being(Optional)],
        }],
        answer: Answer::Members,
    },
    recording(
        true,
        "record",
        "Records what happens at the socket of a session, or of the next session of a user, from its opening on. A record of the session \
         before is forgotten.",
        |fields, limits| {
            let frames = record_frames(fields.frames.take(), limits)?;
            Ok(Action::Record { of: fields.take_recorded()?, frames })
        },
        &[
            Route { method: Method::Post, path: RECORD, query: &[IN_APP, FRAMES.being(Optional)] },
            Route { method: Method::Post, path: RECORD_OF_USER, query: &[IN_APP, FRAMES.being(Optional)] },
        ],
        Answer::Recording,
    ),
    recording(
        false,
        "read_record",
        "What has been recorded of a session, or of the session of a user whose record began last.",
        |fields, _| Ok(Action::ReadRecord { of: fields.take_recorded()? }),
        &[
            Route { method: Method::Get, path: RECORD, query: &[IN_APP] },
            Route { method: Method::Get, path: RECORD_OF_USER, query: &[IN_APP] },
        ],
        Answer::Record,
    ),
    recording(
        true,
        "stop_record",
        "Stops a record and forgets it; of a user, the order, and the records of the user's sessions.",
        |fields, _| Ok(Action::StopRecord { of: fields.take_recorded()? }),
        &[
            Route { method: Method::Delete, path: RECORD, query: &[IN_APP] },
            Route { method: Method::Delete, path: RECORD_OF_USER, query: &[IN_APP] },
        ],
        Answer::Sessions,
    ),
    Row {
        name: "events",
        about: "Events without a link: opens a feed, or goes on with one, and waits until there are some.",
        needs: CHANGES,
        is_barrier: false,
        call: Call::Feed(feed::poll),
        routes: &[Route {
            method: Method::Get,
            path: EVENTS_PATH,
            query: &[
                IN_APP,
                FEED_EVENTS,
                SHARE.being(Optional),
                FEED_WITH.being(Optional),
                NAME.being(Optional),
                SNAPSHOT.being(Optional),
                FEED_RESUME.being(Optional),
                RECEIVED.being(Optional),
                WAIT_MS.being(Optional),
            ],
        }],
        answer: Answer::Events,
    },
    Row {
        name: "events_end",
        about: "A feed is over: others of its share take its sessions.",
        needs: CHANGES,
        is_barrier: true,
        call: Call::Feed(feed::end),
        routes: &[Route { method: Method::Delete, path: EVENTS_PATH, query: &[FEED_RESUME] }],
        answer: Answer::Ended,
    },
    Row {
        name: "link",
        about: "Opens a link: an upgrade to WebSocket.",
        needs: Needs::Key,
        is_barrier: false,
        call: Call::Link,
        routes: &[Route {
            method: Method::Get,
            path: &[Is("v1"), Is("link")],
            query: &[IN_APP, RESUME.being(Optional), RECEIVED.being(Optional)],
        }],
        answer: Answer::Upgrade,
    },
    page(
        "server_stats",
        "The counters as JSON.",
        READS,
        Page::Stats,
        &[get(&[Is("v1"), Is("stats")])],
        Answer::Stats,
    ),
    page(
        "stats_stream",
        "The figures of the server as an event stream: an hour of them, what changes each second, who is behind, what operators do.",
        READS,
        Page::StatsStream,
        &[get(&[Is("v1"), Is("stats"), Is("stream")])],
        Answer::StatsStream,
    ),
    page(
        "cluster",
        "The nodes that this one hears, its node number, and its links to Redis.",
        READS,
        Page::Cluster,
        &[get(&[Is("v1"), Is("cluster")])],
        Answer::Cluster,
    ),
    page(
        "metrics",
        "The counters as Prometheus text.",
        READS,
        Page::Metrics,
        &[get(&[Is("metrics")])],
        Answer::Prometheus,
    ),
    page(
        "openapi",
        "This document.",
        READS,
        Page::OpenApi,
        &[get(&[Is("v1"), Is("openapi.json")])],
        Answer::OpenApi,
    ),
    page(
        "health",
        "Whether the process is alive.",
        Needs::Nothing,
        Page::Health,
        &[get(&[Is("healthz")])],
        Answer::Alive,
    ),
    page(
        "ready",
        "Whether the server takes sessions; 503 while it stops or is drained.",
        Needs::Nothing,
        Page::Ready,
        &[get(&[Is("readyz")])],
        Answer::Ready,
    ),
    order(
        "drain",
        "Empties the server evenly: new players are refused, and sessions are closed with 1012, `after_ms=… to=…`.",
        CHANGES,
        Answer::Drain,
        |fields| Ok(Order::Drain { over_ms: fields.take_over_ms()?, to: fields.take_destination()? }),
        &[Route {
            method: Method::Post,
            path: DRAIN,
            query: &[OVER_MS.being(Optional), DESTINATION.being(Optional)],
        }],
    ),
    order(
        "drain_status",
        "How far the drain is.",
        READS,
        Answer::Drain,
        |_| Ok(Order::ShowDrain),
        &[get(DRAIN)],
    ),
    order(
        "drain_off",
        "Calls the drain off: the sessions that are still open stay, and new players are taken.",
        CHANGES,
        Answer::Drain,
        |_| Ok(Order::CallOffDrain),
        &[Route { method: Method::Delete, path: DRAIN, query: &[] }],
    ),
    order(
        "reload",
        "Reads the configuration again, all or nothing; answers when every reactor follows it.",
        CHANGES,
        Answer::Reloaded,
        |_| Ok(Order::Reload),
        &[Route { method: Method::Post, path: &[Is("v1"), Is("admin"), Is("reload")], query: &[] }],
    ),
    order(
        "upgrade",
        "Hands all connections over to another process, all or nothing; the new process answers.",
        CHANGES,
        Answer::Upgraded,
        |fields| Ok(Order::Upgrade { binary: fields.take_binary()?, dry_run: fields.take_dry_run() }),
        &[Route {
            method: Method::Post,
            path: &[Is("v1"), Is("admin"), Is("upgrade")],
            query: &[BINARY.being(Optional), DRY_RUN.being(Optional)],
        }],
    ),
    order(
        "config",
        "The configuration in force; secrets are `***`.",
        CHANGES,
        Answer::Config,
        |fields| Ok(Order::ShowConfig { defaults: fields.take_defaults() }),
        &[Route {
            method: Method::Get,
            path: &[Is("v1"), Is("admin"), Is("config")],
            query: &[DEFAULTS.being(Optional)],
        }],
    ),
    order(
        "audit",
        "What operators and backends have done lately, the newest first: drains, reloads, upgrades, kicks, bans, links.",
        READS,
        Answer::Audit,
        |fields| Ok(Order::ShowAudit(fields.limit.take())),
        &[Route {
            method: Method::Get,
            path: &[Is("v1"), Is("admin"), Is("audit")],
            query: &[LIMIT.being(Optional)],
        }],
    ),
    order(
        "log",
        "Changes how much is logged, for `for_ms` or until it is changed again.",
        CHANGES,
        Answer::LogLevel,
        |fields| Ok(Order::Log { level: fields.take_level()?, for_ms: fields.take_for_ms()? }),
        &[Route {
            method: Method::Post,
            path: &[Is("v1"), Is("admin"), Is("log")],
            query: &[LEVEL.being(Required), FOR_MS.being(Optional)],
        }],
    ),
    page(
        "console",
        "The console, a page for operators; 404 where it is turned off.",
        Needs::Nothing,
        Page::Console,
        &[get(&[Is("")])],
        Answer::Html,
    ),
];

const RECORD: &[Segment] = &[Is("v1"), Is("sessions"), Of(SESSION), Is("record")];
const RECORD_OF_USER: &[Segment] = &[Is("v1"), Is("users"), Of(USER), Is("record")];

/// What a record shows are players' bytes: it is for keys that may do everything.
const fn recording(
    is_barrier: bool,
    name: &'static str,
    about: &'static str,
    make: super::Make,
    routes: &'static [Route],
    answer: Answer,
) -> Row {
    Row { name, about, needs: CHANGES, is_barrier, call: Call::Act(make), routes, answer }
}

const EVENTS_PATH: &[Segment] = &[Is("v1"), Is("events")];

const fn page(
    name: &'static str,
    about: &'static str,
    needs: Needs,
    page: Page,
    routes: &'static [Route],
    answer: Answer,
) -> Row {
    Row { name, about, needs, is_barrier: false, call: Call::Page(page), routes, answer }
}

const DRAIN: &[Segment] = &[Is("v1"), Is("admin"), Is("drain")];

const fn order(
    name: &'static str,
    about: &'static str,
    needs: Needs,
    answer: Answer,
    make: fn(&mut Fields<'_>) -> Result<Order, CommandError>,
    routes: &'static [Route],
) -> Row {
    Row { name, about, needs, is_barrier: false, call: Call::Order(make), routes, answer }
}

const fn get(path: &'static [Segment]) -> Route {
    Route { method: Method::Get, path, query: &[] }
}
