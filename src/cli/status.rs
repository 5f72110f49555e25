//! `gannet status`: how a running server is, in a few lines.

use std::fmt::{self, Write};

use clap::Args;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::backend::BackendArgs;
use super::error::CliError;
use super::output;

/// Say how a running server is: its version and process, how many sessions it has, how the last upgrade and reload went.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Print it as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    backend: BackendArgs,
}

/// What there is to say: a part of `/v1/stats`.
#[derive(Debug, Deserialize, Serialize)]
struct Status {
    version: String,
    pid: u32,
    uptime_seconds: u64,
    reactors: usize,
    draining: bool,
    sessions: u64,
    distinct_users: u64,
    distinct_groups: u64,
    backend_connections: u64,
    links: u64,
    upgrading: u64,
    open_fds: Option<u64>,
    resident_memory_bytes: Option<u64>,
    reload: Reload,
    upgrade: Upgrade,
}

#[derive(Debug, Deserialize, Serialize)]
struct Reload {
    ok: u64,
    failed: u64,
    last_ok: bool,
    last_ok_unix_ms: u64,
}

#[derive(Debug, Deserialize, Serialize)]
struct Upgrade {
    ok: u64,
    failed: u64,
    refused: u64,
    last: Option<LastUpgrade>,
}

#[derive(Debug, Deserialize, Serialize)]
struct LastUpgrade {
    at_unix_ms: u64,
    outcome: String,
    sessions: u64,
    bytes: u64,
    took_ms: u64,
    longest_ms: u64,
    why: Option<String>,
}

/// Why there is no status.
#[derive(Debug)]
pub struct NoStatus {
    /// How what should have been told.
    how: &'static str,
    /// What prints what was told instead.
    instead: &'static str,
    error: serde_json::Error,
}

impl NoStatus {
    /// The server does not say `how` something is; the command `instead` prints what it says.
    pub fn of(how: &'static str, instead: &'static str, error: serde_json::Error) -> CliError {
        CliError::Command(Box::new(Self { how, instead, error }))
    }
}

impl fmt::Display for NoStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { how, instead, error } = self;
        write!(f, "the server does not say how {how}: {error}; `{instead}` prints what it says")
    }
}

impl std::error::Error for NoStatus {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// Runs `gannet status`.
pub fn run(args: &StatusArgs) -> Result<(), CliError> {
    let answer = args.backend.call("GET", "/v1/stats", None)?;
    let no_status = |error| NoStatus::of("it is", "gannet stats", error);
    let status = serde_json::from_str::<Status>(&answer).map_err(no_status)?;
    if args.json {
        return output::print(&serde_json::to_string_pretty(&status).map_err(no_status)?);
    }
    output::print(&status.to_string())
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, pid, reactors, sessions, distinct_users, distinct_groups, .. } = self;
        let up = up_for(self.uptime_seconds);
        let drains = if self.draining { "; draining: new players are refused" } else { "" };
        writeln!(f, "gannet {version}, process {pid}, up {up}, reactors: {reactors}{drains}")?;
        writeln!(f, "sessions: {sessions}, of {distinct_users} users in {distinct_groups} groups")?;
        let Self { backend_connections, links, upgrading, .. } = self;
        writeln!(
            f,
            "connections: {}; {backend_connections} of them to the backend port ({links} links), {upgrading} not yet sessions",
            sessions + backend_connections + upgrading
        )?;
        let files = self.open_fds.map(|files| format!(", open files: {files}")).unwrap_or_default();
        match self.resident_memory_bytes {
            Some(bytes) => writeln!(f, "memory: {:.1} MiB{files}", bytes as f64 / f64::from(1 << 20))?,
            None => writeln!(f, "memory: not known{files}")?,
        }
        writeln!(f, "upgrades: {}", self.upgrade)?;
        write!(f, "reloads: {}", self.reload)
    }
}

impl fmt::Display for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ok, failed, refused, last } = self;
        write!(f, "{ok}, {failed} failed, {refused} refused")?;
        let Some(last) = last else { return Ok(()) };
        let LastUpgrade { at_unix_ms, outcome, sessions, bytes, took_ms, longest_ms, why } = last;
        write!(f, "; the last {}: {outcome}", moment(*at_unix_ms))?;
        match why {
            Some(why) => write!(f, ", {why}"),
            None => write!(
                f,
                ", {sessions} sessions ({bytes} bytes) in {took_ms} ms, no socket waited longer than {longest_ms} ms"
            ),
        }
    }
}

impl fmt::Display for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ok, failed, last_ok, last_ok_unix_ms } = self;
        write!(f, "{ok}, {failed} failed; the configuration in force is of {}", moment(*last_ok_unix_ms))?;
        match last_ok {
            true => Ok(()),
            false => f.write_str("; the last reload failed"),
        }
    }
}

/// A moment of the wall clock in UTC, to the second.
fn moment(unix_ms: u64) -> String {
    let seconds = i64::try_from(unix_ms / 1_000).unwrap_or(i64::MAX);
    let moment = OffsetDateTime::from_unix_timestamp(seconds).ok().and_then(|at| at.format(&Rfc3339).ok());
    moment.unwrap_or_else(|| format!("{seconds} s after 1970"))
}

/// `3d 4h`, `4h 5m`, `5m 6s`, `6s`.
fn up_for(seconds: u64) -> String {
    let parts =
        [(seconds / 86_400, 'd'), (seconds / 3_600 % 24, 'h'), (seconds / 60 % 60, 'm'), (seconds % 60, 's')];
    let first = parts.iter().position(|(count, _)| *count > 0).unwrap_or(parts.len() - 1);
    let mut text = String::new();
    for (count, unit) in parts.iter().skip(first).take(2) {
        let space = if text.is_empty() { "" } else { " " };
        // Writing to a String does not fail.
        let _ = write!(text, "{space}{count}{unit}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_a_few_lines() {
        let answer = r#"{"version":"0.2.0","pid":7,"uptime_seconds":90061,"reactors":4,"draining":false,"sessions":100,
            "distinct_users":90,"distinct_groups":5,"backend_connections":3,"links":2,"upgrading":1,"open_fds":140,
            "resident_memory_bytes":10485760,"opened":7,
            "reload":{"ok":1,"failed":1,"last_ok":false,"last_ok_unix_ms":1000},
            "upgrade":{"ok":1,"failed":0,"refused":2,"last":{"at_unix_ms":86400000,"outcome":"ok","sessions":99,"bytes":19800,
            "took_ms":80,"longest_ms":95,"why":null}}}"#;
        let mut status = serde_json::from_str::<Status>(answer).unwrap();
        let expected = "gannet 0.2.0, process 7, up 1d 1h, reactors: 4\n\
            sessions: 100, of 90 users in 5 groups\n\
            connections: 104; 3 of them to the backend port (2 links), 1 not yet sessions\n\
            memory: 10.0 MiB, open files: 140\n\
            upgrades: 1, 0 failed, 2 refused; the last 1970-01-02T00:00:00Z: ok, 99 sessions (19800 bytes) in 80 ms, no socket \
            waited longer than 95 ms\n\
            reloads: 1, 1 failed; the configuration in force is of 1970-01-01T00:00:01Z; the last reload failed";
        assert_eq!(status.to_string(), expected);
        (status.draining, status.resident_memory_bytes, status.open_fds) = (true, None, None);
        status.upgrade.last.as_mut().unwrap().why = Some("it hung".to_owned());
        let text = status.to_string();
        for part in ["reactors: 4; draining", "memory: not known\n", "Z: ok, it hung\n"] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }

    #[test]
    fn times_are_told_in_their_two_largest_units() {
        let told = [0, 59, 60, 3_599, 3_600, 86_399, 86_400, 864_000].map(up_for);
        assert_eq!(told, ["0s", "59s", "1m 0s", "59m 59s", "1h 0m", "23h 59m", "1d 0h", "10d 0h"]);
        assert_eq!(moment(u64::MAX), "18446744073709551 s after 1970");
    }
}
