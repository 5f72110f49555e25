//! `gannet health`: whether a server takes players, told by the exit code, as containers ask for it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;

use super::duration::wait;
use super::error::CliError;
use super::http_client::{HttpClient, Reply};
use super::output;
use crate::client::Trust;

/// Nothing can be said of the server: it was not reached, did not answer in time, or is none of ours.
const NO_ANSWER: u8 = 3;

/// Ask a server whether it takes players; the exit code is the answer, and no key is needed
#[derive(Debug, Args)]
#[command(
    after_long_help = "Exit codes:\n  0  it takes players (with --alive: it is alive)\n  1  it does not: it drains, or its cluster is not ready\n  2  the arguments are not valid\n  3  no answer: not reached, too late, or not gannet's"
)]
pub struct HealthArgs {
    /// Backend or client port of the server: http, https, ws or wss://HOST:PORT, or unix:/path; what follows the port is left out
    #[arg(default_value = "http://127.0.0.1:9001")]
    url: String,
    /// Ask only whether the process is alive
    #[arg(long)]
    alive: bool,
    /// How long the connection may take, and then the answer
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = wait)]
    timeout: Duration,
    /// Print what the server answers, as JSON
    #[arg(long)]
    json: bool,
    /// With TLS: take the certificates in this PEM file, and those that they have signed
    #[arg(long, value_name = "FILE", conflicts_with = "insecure_tls")]
    cacert: Option<PathBuf>,
    /// With TLS: take any certificate, such as one for another name than 127.0.0.1
    #[arg(long)]
    insecure_tls: bool,
}

/// What a server says of itself.
#[derive(Deserialize)]
struct Said {
    why: Option<String>,
}

/// Why the answer is not yes.
#[derive(Debug)]
enum Unhealthy {
    /// The server says so itself, and perhaps why.
    NotReady(Option<String>),
    /// An answer that no gannet gives.
    Other(u16),
}

impl fmt::Display for Unhealthy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotReady(None) => f.write_str("the server is not ready"),
            Self::NotReady(Some(why)) => write!(f, "the server is not ready: {why}"),
            Self::Other(status) => {
                write!(f, "the answer has the status {status}: is this a port of a gannet server?")
            }
        }
    }
}

impl std::error::Error for Unhealthy {}

/// Runs `gannet health`.
pub fn run(args: &HealthArgs) -> Result<(), CliError> {
    let trust = match &args.cacert {
        _ if args.insecure_tls => Trust::Anybody,
        Some(path) => Trust::File(path.clone()),
        None => Trust::System,
    };
    let address = address(&args.url);
    let client = HttpClient::new(&address, None, &trust).within(args.timeout);
    let (path, healthy) = if args.alive { ("/healthz", "alive") } else { ("/readyz", "ready") };
    let reply = client.request("GET", path, None);
    let reply = reply.map_err(|error| CliError::coded(NO_ANSWER, error))?;
    let verdict = judge(&reply);
    match verdict {
        Ok(()) if !args.json => return output::print(healthy),
        Ok(()) | Err(Unhealthy::NotReady(_)) if args.json => {
            output::print(&String::from_utf8_lossy(&reply.body))?;
        }
        _ => {}
    }
    verdict.map_err(|error| match error {
        Unhealthy::NotReady(_) => CliError::Command(Box::new(error)),
        Unhealthy::Other(_) => CliError::coded(NO_ANSWER, error),
    })
}

fn judge(reply: &Reply) -> Result<(), Unhealthy> {
    let said = serde_json::from_slice::<Said>(&reply.body);
    match (reply.status, said) {
        (200, Ok(_)) => Ok(()),
        (503, Ok(Said { why })) => Err(Unhealthy::NotReady(why)),
        (status, _) => Err(Unhealthy::Other(status)),
    }
}

/// `url` as addresses are written: a client port has HTTP too, and no path counts.
fn address(url: &str) -> String {
    let (is_secure, rest) = match url.split_once("://") {
        Some(("https" | "wss", rest)) => (true, rest),
        Some(("http" | "ws", rest)) => (false, rest),
        _ => (false, url),
    };
    // The path of a Unix socket is all of it.
    let end =
        if rest.starts_with("unix:") { rest.len() } else { rest.find(['/', '?']).unwrap_or(rest.len()) };
    let scheme = if is_secure { "https" } else { "http" };
    format!("{scheme}://{}", &rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_both_ports() {
        for (url, found) in [
            ("127.0.0.1:9001", "http://127.0.0.1:9001"),
            ("http://127.0.0.1:9001/", "http://127.0.0.1:9001"),
            ("ws://127.0.0.1:9000/ws?user=a", "http://127.0.0.1:9000"),
            ("wss://game.example:443/ws", "https://game.example:443"),
            ("https://[::1]:9001?x", "https://[::1]:9001"),
            ("unix:/run/gannet/backend.sock", "http://unix:/run/gannet/backend.sock"),
            ("https://unix:/run/g", "https://unix:/run/g"),
        ] {
            assert_eq!(address(url), found, "{url}");
        }
    }

    #[test]
    fn what_an_answer_means() {
        let judged = |status, body: &str| {
            let reply = Reply { status, body: body.as_bytes().to_vec() };
            judge(&reply).err().map(|error| error.to_string())
        };
        assert_eq!(judged(200, r#"{"ready":true}"#), None);
        let draining = judged(503, r#"{"ready":false,"why":"draining"}"#);
        assert_eq!(draining.as_deref(), Some("the server is not ready: draining"));
        for (status, body) in [(200, "<html>"), (503, "busy"), (404, r#"{"error":{}}"#)] {
            assert!(judged(status, body).unwrap().contains("is this a port of a gannet server?"), "{body}");
        }
    }
}
