//! `gannet upgrade`: hands the connections of a running server over to another process.

use std::path::{self, Path, PathBuf};

use clap::Args;
use serde::Deserialize;

use super::backend::{BackendArgs, Target};
use super::error::CliError;
use super::output;

/// Put a new version in place of a running server: all connections go over to the new process, or nothing changes.
#[derive(Debug, Args)]
pub struct UpgradeArgs {
    /// Program that takes over, on the server's machine [default: what now lies where the running one was started from]
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// Only start the program and have it read the configuration, and say whether it would take over
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    backend: BackendArgs,
}

/// What the server answers.
#[derive(Deserialize)]
struct Upgraded {
    dry_run: bool,
    version: String,
    pid: u32,
    sessions: u64,
    connections: u64,
    bytes: u64,
    took_ms: u64,
    longest_ms: u64,
    notes: Vec<String>,
}

/// Runs `gannet upgrade`.
pub fn run(args: &UpgradeArgs) -> Result<(), CliError> {
    let mut target = Target::new("/v1/admin/upgrade");
    target.pairs("binary", args.binary.as_deref().map(absolute).transpose()?);
    target.pairs("dry_run", args.dry_run.then_some("1"));
    // The server bounds it, by times that only its own configuration has.
    let answer = args.backend.call_patiently("POST", target.as_str())?;
    match serde_json::from_str::<Upgraded>(&answer) {
        Ok(upgraded) => output::print(&told(&upgraded)),
        // A newer server may say it in another way.
        Err(_) => output::print(&answer),
    }
}

/// The working directory of the server is another one.
fn absolute(binary: &Path) -> Result<String, CliError> {
    let text = path::absolute(binary).ok().and_then(|path| path.to_str().map(str::to_owned));
    text.ok_or_else(|| CliError::Path(binary.to_owned()))
}

fn told(upgraded: &Upgraded) -> String {
    let Upgraded { dry_run, version, pid, sessions, connections, bytes, took_ms, longest_ms, notes } =
        upgraded;
    let mut text = match dry_run {
        true => format!("version {version} would take over\n"),
        false => format!(
            "version {version} serves, as process {pid}: {sessions} sessions and {connections} connections in {took_ms} ms, \
             {bytes} bytes of state; no socket waited longer than {longest_ms} ms\n"
        ),
    };
    notes.iter().for_each(|note| text.extend(["note: ", note, "\n"]));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_is_a_line_and_each_note_another() {
        let answer = r#"{"dry_run":false,"version":"0.2.0","pid":4711,"reactors":4,"sessions":9,"connections":11,"bytes":1800,
            "took_ms":80,"longest_ms":95,"notes":["reactors stays 4"],"of_a_newer_version":1}"#;
        let upgraded = serde_json::from_str::<Upgraded>(answer).unwrap();
        assert_eq!(
            told(&upgraded),
            "version 0.2.0 serves, as process 4711: 9 sessions and 11 connections in 80 ms, 1800 bytes of state; no socket \
             waited longer than 95 ms\nnote: reactors stays 4\n"
        );
        let dry = Upgraded { dry_run: true, notes: Vec::new(), ..upgraded };
        assert_eq!(told(&dry), "version 0.2.0 would take over\n");
    }

    #[test]
    fn a_relative_path_is_one_from_here_on() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(absolute(Path::new("new/gannet")).unwrap(), here.join("new/gannet").to_str().unwrap());
        assert_eq!(absolute(Path::new("/bin/gannet")).unwrap(), "/bin/gannet");
    }
}
