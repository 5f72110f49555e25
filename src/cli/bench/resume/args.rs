//! The arguments of `gannet bench resume`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::cli::backend::BackendArgs;
use crate::cli::bench::args::{CommonArgs, OutputArgs, range};
use crate::cli::duration::up_to_a_day;

/// Does every player whose connection is cut get its session back, with exactly what it has not read?
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// WebSocket URL of an app whose sessions may resume, such as ws://127.0.0.1:9000/ws
    url: String,
    /// The same app by another way, such as another address of the server: players take one and the other in turn
    #[arg(long, value_name = "URL")]
    pub other_url: Option<String>,
    /// Players
    #[arg(short, long, value_name = "N", default_value_t = 200, value_parser = range(1, 1_000_000))]
    pub connections: usize,
    /// How long, such as 10s or 15m
    #[arg(short, long, value_name = "TIME", default_value = "1m", value_parser = up_to_a_day)]
    pub duration: Duration,
    /// Pushes a second, of all publishers together
    #[arg(short, long, value_name = "N", default_value_t = 2_000, value_parser = range(1, 10_000_000))]
    pub rate: usize,
    /// Connections that are cut a second
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = range(0, 1_000_000))]
    pub cuts_per_second: usize,
    /// How connections are cut; several with commas [default: each kind in turn]
    #[arg(long, value_name = "HOW", value_delimiter = ',')]
    pub how: Vec<How>,
    /// Take a connection on which nothing has come for so long for dead, and come back on another one
    #[arg(long, value_name = "TIME", value_parser = up_to_a_day)]
    pub silence: Option<Duration>,
    /// Cut all connections at one moment instead, let all come back at one moment, and tell how long that takes
    #[arg(long, conflicts_with_all = ["duration", "rate", "cuts_per_second", "how", "silence", "other_url"])]
    pub all_at_once: bool,
    #[command(flatten)]
    pub backend: BackendArgs,
    /// What the random choices begin with [default: another one each time; it is printed]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// With wss://: take the certificates in this PEM file, and those that they have signed
    #[arg(long, value_name = "FILE", conflicts_with = "insecure_tls")]
    ca: Option<PathBuf>,
    /// With wss://: take any certificate
    #[arg(long)]
    insecure_tls: bool,
    /// Put load on a server that is not on this machine
    #[arg(long)]
    i_own_this_server: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// How a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum How {
    /// It is reset
    Reset,
    /// It ends without a Close, and what the server still writes is read by nobody
    Fin,
    /// The server does not hear of it: the old connection stays open while the player comes back on another one
    HalfOpen,
    /// The player comes back late, and often after the time that its session waits
    Away,
}

impl How {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Reset, Self::Fin, Self::HalfOpen, Self::Away];

    /// As in a report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reset => "cut by a reset",
            Self::Fin => "cut by a FIN",
            Self::HalfOpen => "left half open",
            Self::Away => "away for a while",
        }
    }
}

impl ResumeArgs {
    /// What all kinds of load share.
    pub fn common(&self) -> CommonArgs {
        self.common_of(&self.url)
    }

    /// The same with the other URL.
    pub fn common_by_the_other_way(&self) -> Option<CommonArgs> {
        self.other_url.as_deref().map(|url| self.common_of(url))
    }

    fn common_of(&self, url: &str) -> CommonArgs {
        CommonArgs {
            url: url.to_owned(),
            connections: self.connections,
            threads: 1,
            duration: self.duration,
            pid: Vec::new(),
            spin: false,
            ca: self.ca.clone(),
            insecure_tls: self.insecure_tls,
            i_own_this_server: self.i_own_this_server,
            output: self.output.clone(),
        }
    }

    /// The kinds of cuts, in turn.
    pub fn kinds(&self) -> &[How] {
        if self.how.is_empty() { &How::ALL } else { &self.how }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ResumeArgs,
    }

    fn parse(line: &str) -> Result<ResumeArgs, String> {
        let words = ["resume"].into_iter().chain(line.split_whitespace());
        Line::try_parse_from(words).map(|line| line.args).map_err(|error| error.to_string())
    }

    #[test]
    fn every_kind_of_cut_unless_some_are_named() {
        assert_eq!(parse("ws://h/ws").unwrap().kinds(), How::ALL);
        let args = parse("ws://h/ws --how half-open,fin -c 5 --backend b:1").unwrap();
        assert_eq!((args.kinds(), args.connections), (&[How::HalfOpen, How::Fin][..], 5));
        assert_eq!(args.backend.address(), "b:1");
    }

    #[test]
    fn what_belongs_to_cuts_at_a_rate_is_refused_where_all_are_cut_at_once() {
        assert!(parse("ws://h/ws --all-at-once --seed 3").is_ok());
        for line in ["--rate 5", "--cuts-per-second 3", "--how fin", "--duration 1s", "--silence 1s"] {
            assert!(parse(&format!("ws://h/ws --all-at-once {line}")).is_err(), "{line}");
        }
        assert!(parse("").is_err());
        assert!(parse("ws://h/ws --how kill").is_err());
    }
}
