//! `gannet cluster`: the nodes that a running server hears, and its links to Redis.

use std::fmt;

use clap::{Args, Subcommand};
use serde::Deserialize;

use super::backend::BackendArgs;
use super::error::CliError;
use super::output;
use super::status::NoStatus;
use super::table::table;

/// Look at the cluster that a running server is a node of
#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    Status(StatusArgs),
}

/// Say which nodes a running server hears, whether it is sure of its node number, and how its links to Redis are.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Print it as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    backend: BackendArgs,
}

/// What `/v1/cluster` answers.
#[derive(Debug, Deserialize)]
struct Status {
    node: u16,
    name: String,
    incarnation: Option<String>,
    lease: String,
    ready: bool,
    redis: Vec<Redis>,
    nodes: Vec<Node>,
    /// An older server does not say it.
    moving: Option<Moving>,
}

#[derive(Debug, Deserialize)]
struct Moving {
    redis: Vec<String>,
    publishes: bool,
    awaits: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Redis {
    url: String,
    up: bool,
    why: Option<String>,
    version: Option<String>,
    lag_ms: Option<f64>,
    channels: u64,
    queue: u64,
    unanswered: u64,
}

#[derive(Debug, Deserialize)]
struct Node {
    node: u16,
    name: String,
    incarnation: String,
    sessions: u64,
    age_ms: u64,
    draining: bool,
    version: String,
    advertise: Option<String>,
}

/// Runs `gannet cluster`.
pub fn run(command: &ClusterCommand) -> Result<(), CliError> {
    let ClusterCommand::Status(args) = command;
    let answer = args.backend.call("GET", "/v1/cluster", None)?;
    if args.json {
        return match serde_json::from_str::<serde_json::Value>(&answer) {
            Ok(status) => output::print(&format!("{status:#}")),
            Err(_) => output::print(&answer),
        };
    }
    let status = serde_json::from_str::<Status>(&answer);
    let status = status.map_err(|error| NoStatus::of("its cluster is", "--json", error))?;
    output::print(status.to_string().trim_end())
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, name, incarnation, lease, ready, redis, nodes, moving } = self;
        if redis.is_empty() {
            return writeln!(f, "{name} is alone: it has no Redis in cluster.redis");
        }
        let number = match lease.as_str() {
            "held" => format!("node {node}"),
            "lost" => format!("node {node}, which another node may have taken"),
            _ => "without a node number yet".to_owned(),
        };
        let start = incarnation.as_deref().unwrap_or("-");
        let readiness = if *ready { "ready" } else { "not ready" };
        writeln!(f, "{name}, {number}, start {start}, {readiness}")?;
        if let Some(moving) = moving {
            writeln!(f, "{moving}")?;
        }
        writeln!(f)?;
        let rows = redis.iter().map(Redis::row);
        table(f, &["REDIS", "STATE", "VERSION", "LAG", "CHANNELS", "QUEUE", "UNANSWERED"], rows)?;
        writeln!(f)?;
        let rows = nodes.iter().map(|one| one.row(incarnation.as_deref()));
        table(f, &["NODE", "NAME", "START", "SESSIONS", "HEARD", "STATE", "VERSION", "URL"], rows)
    }
}

impl fmt::Display for Moving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { redis, publishes, awaits } = self;
        write!(f, "moves to {}: ", redis.join(", "))?;
        let awaited = awaits.join(", ");
        match (publishes, awaits.is_empty()) {
            (false, true) => f.write_str("all nodes hear by the new list"),
            (false, false) => write!(f, "not heard by the new list on {awaited}"),
            (true, true) => f.write_str("all nodes publish by the new list, and the old one is left"),
            (true, false) => write!(f, "not yet published by the new list on {awaited}"),
        }
    }
}

impl Redis {
    fn row(&self) -> Vec<String> {
        let state = match (self.up, &self.why) {
            (true, _) => "up".to_owned(),
            (false, None) => "down".to_owned(),
            (false, Some(why)) => format!("down: {why}"),
        };
        vec![
            self.url.clone(),
            state,
            or_dash(self.version.as_ref()),
            or_dash(self.lag_ms.map(|ms| format!("{ms} ms"))),
            self.channels.to_string(),
            self.queue.to_string(),
            self.unanswered.to_string(),
        ]
    }
}

impl Node {
    /// `own` is the incarnation of the server that was asked.
    fn row(&self, own: Option<&str>) -> Vec<String> {
        let number = if self.node == 0 { "-".to_owned() } else { self.node.to_string() };
        let state = if self.draining { "draining" } else { "open" };
        let mark = if own == Some(self.incarnation.as_str()) { " (this one)" } else { "" };
        vec![
            number,
            format!("{}{mark}", self.name),
            self.incarnation.clone(),
            self.sessions.to_string(),
            format!("{} ms ago", self.age_ms),
            state.to_owned(),
            self.version.clone(),
            or_dash(self.advertise.as_ref()),
        ]
    }
}

fn or_dash(value: Option<impl fmt::Display>) -> String {
    value.map_or("-".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_two_tables() {
        let answer = r#"{"node":3,"name":"eu-1","incarnation":"00000000000000ab","lease":"held","ready":true,
            "redis":[{"url":"redis://h:6379","up":true,"why":null,"version":"7.0.15","lag_ms":0.4,"channels":12,"queue":0,"unanswered":1},
                {"url":"redis://other:6379","up":false,"why":"refused","version":null,"lag_ms":null,"channels":0,"queue":9,"unanswered":0}],
            "nodes":[{"node":3,"name":"eu-1","incarnation":"00000000000000ab","sessions":100,"age_ms":20,"draining":false,
                "version":"0.2.0","advertise":"wss://eu1.game.example"},
                {"node":0,"name":"eu-2","incarnation":"00000000000000ac","sessions":7,"age_ms":180,"draining":true,
                "version":"0.2.0","advertise":null}]}"#;
        let mut status = serde_json::from_str::<Status>(answer).unwrap();
        let expected = "\
            eu-1, node 3, start 00000000000000ab, ready\n\
            \n\
            REDIS               STATE          VERSION  LAG     CHANNELS  QUEUE  UNANSWERED\n\
            redis://h:6379      up             7.0.15   0.4 ms  12        0      1\n\
            redis://other:6379  down: refused  -        -       0         9      0\n\
            \n\
            NODE  NAME             START             SESSIONS  HEARD       STATE     VERSION  URL\n\
            3     eu-1 (this one)  00000000000000ab  100       20 ms ago   open      0.2.0    wss://eu1.game.example\n\
            -     eu-2             00000000000000ac  7         180 ms ago  draining  0.2.0    -\n";
        assert_eq!(status.to_string(), expected);
        let awaits = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        for (publishes, awaited, says) in [
            (false, awaits(&["eu-2", "eu-3"]), "not heard by the new list on eu-2, eu-3"),
            (true, awaits(&["eu-2"]), "not yet published by the new list on eu-2"),
            (true, awaits(&[]), "all nodes publish by the new list, and the old one is left"),
        ] {
            let redis = awaits(&["redis://h:6379", "redis://new:6379"]);
            status.moving = Some(Moving { redis, publishes, awaits: awaited });
            let second = format!("moves to redis://h:6379, redis://new:6379: {says}");
            assert_eq!(status.to_string().lines().nth(1), Some(&*second));
        }
        status.moving = None;
        (status.lease, status.ready) = ("lost".to_owned(), false);
        let first = status.to_string();
        assert!(first.starts_with(
            "eu-1, node 3, which another node may have taken, start 00000000000000ab, not ready\n"
        ));
        status.redis.clear();
        assert_eq!(status.to_string(), "eu-1 is alone: it has no Redis in cluster.redis\n");
    }
}
