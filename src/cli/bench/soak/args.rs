//! The arguments of `gannet bench soak`: what both of its loads take, and what one of them does.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::backend::BackendArgs;
use crate::cli::bench::args::{CommonArgs, OutputArgs, PaceArgs, STAMP_BYTES, StampedArgs, range};
use crate::cli::duration::up_to_a_day;
use crate::cli::key::KeyArgs;

const MIXED: &str = "Mixed load on gannet";
const ECHO: &str = "Without --backend: a server that sends everything back";

/// Is anything lost, doubled or out of order? With --backend under mixed load on gannet, else at an echo server
#[derive(Debug, Args)]
pub struct SoakArgs {
    /// WebSocket URL, such as ws://127.0.0.1:9000/ws, or ws://127.0.0.1:9000/echo without --backend
    #[arg(value_name = "URL", required_unless_present = "named_url")]
    url: Option<String>,
    /// The same
    #[arg(long = "url", id = "named_url", value_name = "URL", conflicts_with = "url")]
    named_url: Option<String>,
    /// Connections [default: 200, without --backend 100]
    #[arg(short, long, value_name = "N", value_parser = range(1, 1_000_000))]
    connections: Option<usize>,
    /// How long, such as 10s or 30m [default: 30m, without --backend 10s]
    #[arg(short, long, value_name = "TIME", value_parser = up_to_a_day)]
    duration: Option<Duration>,
    /// Messages a second: pushes of all publishers together [default: 2000, without --backend 1000]
    #[arg(short, long, value_name = "N", value_parser = range(1, 10_000_000), conflicts_with = "closed")]
    rate: Option<usize>,
    /// Process of the server, for its memory and descriptors; may be repeated
    #[arg(long, value_name = "PID")]
    pid: Vec<u32>,
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
    output: OutputArgs,
    #[command(flatten)]
    mixed: MixedOnlyArgs,
    #[command(flatten)]
    echo: EchoOnlyArgs,
}

#[derive(Debug, Args)]
struct MixedOnlyArgs {
    /// Backend port of the running server, such as 127.0.0.1:9001, or its Unix socket as unix:/path; with https:// before it, over TLS
    #[arg(long, value_name = "ADDR", help_heading = MIXED)]
    backend: Option<String>,
    /// With --backend https://: take the certificates in this PEM file, and those that they have signed
    #[arg(long, value_name = "FILE", help_heading = MIXED, requires = "backend")]
    cacert: Option<PathBuf>,
    #[command(flatten, next_help_heading = MIXED)]
    key: KeyArgs,
    /// What the random choices begin with [default: another one each time; it is printed]
    #[arg(long, value_name = "N", help_heading = MIXED, requires = "backend")]
    seed: Option<u64>,
}

#[derive(Debug, Args)]
struct EchoOnlyArgs {
    /// Load threads
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = range(1, 64), help_heading = ECHO, conflicts_with = "backend")]
    threads: usize,
    /// Never sleep: for load that has a core of its own
    #[arg(long, help_heading = ECHO, conflicts_with = "backend")]
    spin: bool,
    /// Send the next message when an answer has come, as fast as the server goes, instead of at a rate
    #[arg(long, help_heading = ECHO, conflicts_with = "backend")]
    closed: bool,
    /// Messages under way at a time with --closed, on each connection
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = range(1, 65_536), requires = "closed", help_heading = ECHO)]
    in_flight: usize,
    /// Load before what is measured
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = up_to_a_day, help_heading = ECHO, conflicts_with = "backend")]
    warm_up: Duration,
    /// Bytes of a message
    #[arg(short, long, value_name = "N", default_value_t = 64, value_parser = range(STAMP_BYTES as u64, 16 << 20), help_heading = ECHO, conflicts_with = "backend")]
    size: usize,
    /// Send text messages instead of binary ones
    #[arg(long, help_heading = ECHO, conflicts_with = "backend")]
    text: bool,
}

/// What is to be done.
#[derive(Debug)]
pub enum Soak {
    /// Messages to a server that sends them back.
    Echo {
        /// Where to, and how many.
        common: CommonArgs,
        /// How fast.
        pace: PaceArgs,
        /// How long.
        message: StampedArgs,
        /// Text instead of binary.
        text: bool,
    },
    /// Mixed load on gannet.
    Mixed {
        /// Where to, and how many.
        common: CommonArgs,
        /// The backend port.
        backend: BackendArgs,
        /// Pushes a second.
        rate: usize,
        /// What the random choices begin with, if it is given.
        seed: Option<u64>,
    },
}

impl SoakArgs {
    /// Where the result goes.
    pub fn output(&self) -> &OutputArgs {
        &self.output
    }

    /// Which of the two loads it is, with its defaults.
    pub fn soak(&self) -> Soak {
        let EchoOnlyArgs { closed, in_flight, warm_up, size, text, .. } = self.echo;
        match &self.mixed.backend {
            Some(backend) => Soak::Mixed {
                common: self.common(200, Duration::from_secs(30 * 60)),
                backend: BackendArgs::new(backend.clone(), self.mixed.cacert.clone(), self.mixed.key.clone()),
                rate: self.rate.unwrap_or(2_000),
                seed: self.mixed.seed,
            },
            None => Soak::Echo {
                common: self.common(100, Duration::from_secs(10)),
                pace: PaceArgs { rate: self.rate.unwrap_or(1_000), closed, in_flight, warm_up },
                message: StampedArgs { size },
                text,
            },
        }
    }

    fn common(&self, connections: usize, duration: Duration) -> CommonArgs {
        CommonArgs {
            // One of the two is there.
            url: self.url.clone().or_else(|| self.named_url.clone()).unwrap_or_default(),
            connections: self.connections.unwrap_or(connections),
            threads: self.echo.threads,
            duration: self.duration.unwrap_or(duration),
            pid: self.pid.clone(),
            spin: self.echo.spin,
            ca: self.ca.clone(),
            insecure_tls: self.insecure_tls,
            i_own_this_server: self.i_own_this_server,
            output: self.output.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: SoakArgs,
    }

    fn soak(line: &str) -> Result<Soak, String> {
        let words = ["soak"].into_iter().chain(line.split_whitespace());
        Line::try_parse_from(words).map(|line| line.args.soak()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_backend_makes_it_mixed() {
        match soak("--url ws://h/ws --backend http://127.0.0.1:9001/ --seed 7").unwrap() {
            Soak::Mixed { common, backend, rate, seed } => {
                assert_eq!(
                    (common.url.as_str(), common.connections, common.duration.as_secs()),
                    ("ws://h/ws", 200, 1800)
                );
                assert_eq!((backend.address(), rate, seed), ("http://127.0.0.1:9001/", 2_000, Some(7)));
            }
            other => panic!("{other:?}"),
        }
        match soak("ws://h/echo -r 50 -s 32").unwrap() {
            Soak::Echo { common, pace, message, text } => {
                assert_eq!(
                    (common.url.as_str(), common.connections, common.duration.as_secs()),
                    ("ws://h/echo", 100, 10)
                );
                assert_eq!((pace.rate, message.size, text), (50, 32, false));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_belongs_to_the_other_load_is_refused() {
        for line in [
            "",
            "ws://h --url ws://i",
            "ws://h --seed 1",
            "ws://h --cacert cert.pem",
            "ws://h --backend b:1 --closed",
            "ws://h --backend b:1 -s 99",
        ] {
            assert!(soak(line).is_err(), "{line}");
        }
    }
}
