//! `gannet cert`: makes a certificate for a first try.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use time::{Duration, OffsetDateTime};

use super::error::CliError;
use super::output;

/// How long it holds: browsers take none that holds for longer than 398 days.
const DAYS: i64 = 365;
/// What it names when nothing is said.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Make a certificate for a first try.
#[derive(Debug, Subcommand)]
pub enum CertCommand {
    /// Write cert.pem and key.pem, signed by nobody but itself (ECDSA P-256, a year)
    SelfSigned(SelfSignedArgs),
}

/// What it is to be.
#[derive(Debug, Args)]
pub struct SelfSignedArgs {
    /// Host name or address that clients connect to; may be repeated [default: localhost, 127.0.0.1, ::1]
    #[arg(long, value_name = "NAME")]
    name: Vec<String>,
    /// Directory to write to
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// Overwrite files that are there
    #[arg(long)]
    force: bool,
}

/// Why there is no certificate.
#[derive(Debug)]
pub enum CertError {
    /// A name that no certificate can have.
    Name(String),
    /// A file is there already.
    Exists(PathBuf),
    /// A file cannot be written.
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It could not be made.
    Make(rcgen::Error),
}

impl fmt::Display for CertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(
                f,
                "\"{}\" is no host name and no address: write it as game.example, *.game.example or 192.0.2.7",
                name.escape_debug()
            ),
            Self::Exists(path) => {
                write!(
                    f,
                    "{} is there already: name another directory with --out, or --force",
                    path.display()
                )
            }
            Self::Write { path, error } => write!(f, "cannot write {}: {error}", path.display()),
            Self::Make(error) => write!(f, "cannot make a certificate: {error}"),
        }
    }
}

impl std::error::Error for CertError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Write { error, .. } => Some(error),
            Self::Make(error) => Some(error),
            Self::Name(_) | Self::Exists(_) => None,
        }
    }
}

impl From<CertError> for CliError {
    fn from(error: CertError) -> Self {
        Self::Command(Box::new(error))
    }
}

/// Runs `gannet cert`.
pub fn run(command: CertCommand) -> Result<(), CliError> {
    let CertCommand::SelfSigned(args) = command;
    let names = match args.name.is_empty() {
        true => NAMES.map(str::to_owned).to_vec(),
        false => args.name,
    };
    let (cert, key) = make(&names, OffsetDateTime::now_utc())?;
    let (cert_path, key_path) = (args.out.join("cert.pem"), args.out.join("key.pem"));
    if !args.force
        && let Some(path) = [&cert_path, &key_path].into_iter().find(|path| path.exists())
    {
        return Err(CertError::Exists(path.clone()).into());
    }
    fs::create_dir_all(&args.out).map_err(|error| CertError::Write { path: args.out.clone(), error })?;
    write(&key_path, &key, 0o600)?;
    write(&cert_path, &cert, 0o644)?;
    output::print(&next_steps(&names, &cert_path, &key_path))
}

/// The certificate for `names` and its private key, both in PEM.
fn make(names: &[String], now: OffsetDateTime) -> Result<(String, String), CertError> {
    if let Some(name) = names.iter().find(|name| !can_be_named(name)) {
        return Err(CertError::Name(name.clone()));
    }
    let mut params = CertificateParams::new(names).map_err(CertError::Make)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "gannet self-signed");
    // A clock that is a little behind takes it too.
    params.not_before = now - Duration::DAY;
    params.not_after = params.not_before + Duration::days(DAYS);
    let key = KeyPair::generate().map_err(CertError::Make)?;
    let cert = params.self_signed(&key).map_err(CertError::Make)?;
    Ok((cert.pem(), key.serialize_pem()))
}

fn can_be_named(name: &str) -> bool {
    let is_label = |label: &str| {
        let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = label.as_bytes();
        label.len() <= 63
            && edge(bytes.first())
            && edge(bytes.last())
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
    };
    let host = name.strip_prefix("*.").unwrap_or(name);
    name.parse::<IpAddr>().is_ok() || (host.len() <= 253 && host.split('.').all(is_label))
}

/// A new file with these permissions from its first byte on.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), CertError> {
    let write = || {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?.write_all(text.as_bytes())
    };
    write().map_err(|error| CertError::Write { path: path.to_owned(), error })
}

fn next_steps(names: &[String], cert: &Path, key: &Path) -> String {
    let (cert, key) = (cert.display(), key.display());
    format!(
        "{cert} and {key}: for {}, {DAYS} days\n\nRun the server with it:\n  gannet serve --tls-cert {cert} --tls-key {key}\n\
         or put it into the configuration:\n  [tls]\n  cert = \"{cert}\"\n  key = \"{key}\"\n\nNo client trusts it by \
         itself: add {cert} to those that a client trusts, for instance\n  gannet bench echo wss://localhost:9000/echo \
         --ca {cert}\nFor the open internet take one that browsers trust, from Let's Encrypt for instance.",
        names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_host_names_and_addresses() {
        for name in [
            "localhost",
            "game.example",
            "*.game.example",
            "192.0.2.7",
            "::1",
            "a-b.c1",
            "xn--bcher-kva.example",
        ] {
            assert!(can_be_named(name), "{name}");
        }
        for name in
            ["", "*", "a..b", "-a", "a-", "a b", "a_b", "https://a", "a:80", "b\u{fc}cher", "*.*.a", "a.*.b"]
        {
            assert!(!can_be_named(name), "{name}");
        }
        assert!(!can_be_named(&"a".repeat(64)));
    }
}
