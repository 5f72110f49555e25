//! The arguments that several kinds of load share, and how a size is written.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use clap::builder::RangedU64ValueParser;

use super::error::BenchError;
use super::process::Processes;
use super::target::Target;
use crate::cli::duration::up_to_a_day;
use crate::client::Trust;

/// The shortest payload that carries a stamp: 16 hex digits of time, 16 of a number.
pub const STAMP_BYTES: usize = 32;

/// Where to, how many, how long, and what to do with what is found.
#[derive(Debug, Clone, Args)]
pub struct CommonArgs {
    /// WebSocket URL, such as ws://127.0.0.1:9000/echo; {session} in it is the number of the connection
    pub url: String,
    /// Connections
    #[arg(short, long, value_name = "N", default_value_t = 100, value_parser = range(1, 1_000_000))]
    pub connections: usize,
    /// Load threads
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = range(1, 64))]
    pub threads: usize,
    /// What is measured, such as 500ms, 10s or 2m
    #[arg(short, long, value_name = "TIME", default_value = "10s", value_parser = up_to_a_day)]
    pub duration: Duration,
    /// Process of the server, for its CPU time and memory; may be repeated
    #[arg(long, value_name = "PID")]
    pub pid: Vec<u32>,
    /// Never sleep: for load that has a core of its own
    #[arg(long)]
    pub spin: bool,
    /// With wss://: take the certificates in this PEM file, and those that they have signed
    #[arg(long, value_name = "FILE", conflicts_with = "insecure_tls")]
    pub ca: Option<PathBuf>,
    /// With wss://: take any certificate
    #[arg(long)]
    pub insecure_tls: bool,
    /// Put load on a server that is not on this machine
    #[arg(long)]
    pub i_own_this_server: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl CommonArgs {
    /// The URL, resolved.
    pub fn target(&self) -> Result<Target, BenchError> {
        let trust = match &self.ca {
            _ if self.insecure_tls => Trust::Anybody,
            Some(path) => Trust::File(path.clone()),
            None => Trust::System,
        };
        Target::new(&self.url, self.i_own_this_server, &trust)
    }

    /// The server's processes.
    pub fn processes(&self) -> Processes {
        Processes::new(self.pid.clone())
    }
}

/// Where the result goes beside the table.
#[derive(Debug, Clone, Args)]
pub struct OutputArgs {
    /// What to call the run in comparisons and reports [default: host and port]
    #[arg(long, value_name = "TEXT")]
    pub label: Option<String>,
    /// Write the result as JSON to a file, or to standard output with -
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write a page with plots
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
}

impl OutputArgs {
    /// Finds out before a load begins whether its result can be written behind it.
    pub fn check(&self) -> Result<(), BenchError> {
        let files = [&self.json, &self.report].into_iter().flatten();
        for path in files.filter(|path| path.as_path() != Path::new("-")) {
            let is_new = !path.exists();
            let opened = OpenOptions::new().append(true).create(true).open(path);
            opened.map_err(|error| BenchError::File { path: path.clone(), error })?;
            if is_new {
                // One that stays is written over.
                let _ = fs::remove_file(path);
            }
        }
        Ok(())
    }
}

/// How the load is paced.
#[derive(Debug, Clone, Args)]
pub struct PaceArgs {
    /// Messages a second, over all connections; latency counts from when each was due
    #[arg(short, long, value_name = "N", default_value_t = 1000, value_parser = range(1, 10_000_000), conflicts_with = "closed")]
    pub rate: usize,
    /// Send the next message when an answer has come, as fast as the server goes, instead of at a rate
    #[arg(long)]
    pub closed: bool,
    /// Messages under way at a time with --closed: on each connection; for push and fanout in all
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = range(1, 65_536), requires = "closed")]
    pub in_flight: usize,
    /// Load before what is measured, on connections that are warm already
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = up_to_a_day)]
    pub warm_up: Duration,
}

impl PaceArgs {
    /// In words.
    pub fn describe(&self) -> String {
        match self.closed {
            true => format!("closed loop, {} in flight", self.in_flight),
            false => format!("open loop, {}/s", self.rate),
        }
    }
}

/// What the messages are.
#[derive(Debug, Clone, Args)]
pub struct MessageArgs {
    /// Bytes of a message
    #[arg(short, long, value_name = "N", default_value_t = 64, value_parser = range(0, 16 << 20))]
    pub size: usize,
    /// Send text messages instead of binary ones
    #[arg(long)]
    pub text: bool,
}

/// Bytes of a message that carries a stamp.
#[derive(Debug, Clone, Args)]
pub struct StampedArgs {
    /// Bytes of a message
    #[arg(short, long, value_name = "N", default_value_t = 64, value_parser = range(STAMP_BYTES as u64, 16 << 20))]
    pub size: usize,
}

/// A number from `least` to `most`.
pub fn range(least: u64, most: u64) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(least..=most)
}
