//! `gannet serve`: runs the server until SIGTERM or SIGINT.

use std::fmt;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::{process, thread};

use clap::Args;
use clap::builder::{PossibleValuesParser, RangedU64ValueParser, TypedValueParser};
use log::{LevelFilter, info, warn};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR2};
use signal_hook::iterator::Signals;

use super::banner::Banner;
use super::error::CliError;
use super::heap;
use super::input::input;
use super::key::RefusedKey;
use super::log::Running;
use super::manager::{self, Predecessor};
use super::output;
use super::program;
use super::reaper;
use super::signals::{Handles, NOBODY, READY, obey_signals, pass_on};
use crate::config::{self, Config, ConfigError, Endpoint, Environment, Listen, LogFormat};
use crate::server::{Bound, Program, Successor};
use crate::{BindError, Relay, RunError, Server};

/// How a configuration is read.
type ReadConfig = fn(Option<&Path>, &Environment) -> Result<Config, ConfigError>;

/// Run the server; flags win over variables such as GANNET_LISTEN, and those over the file.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// Client port, on each of these addresses, Unix sockets (unix:/path), sockets that systemd passes (systemd:NAME) [default: 127.0.0.1:9000]
    #[arg(long, value_name = "ADDR")]
    listen: Vec<Endpoint>,
    /// Backend port, on each of these addresses, as --listen [default: 127.0.0.1:9001]
    #[arg(long, value_name = "ADDR")]
    backend: Vec<Endpoint>,
    /// Reactor threads [default: one a core]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..=Config::MAX_REACTORS as u64))]
    reactors: Option<usize>,
    /// Pin every reactor to a core of its own
    #[arg(long)]
    pin: bool,
    /// Serve /echo
    #[arg(long)]
    echo: bool,
    /// Take clients at their word who they are, on any address
    #[arg(long)]
    insecure: bool,
    /// Certificate chain in PEM: players connect with wss://
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its private key in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// What to log [default: info]
    #[arg(long, value_name = "LEVEL", value_parser = level_parser())]
    log: Option<LevelFilter>,
    /// How a line of the log looks [default: text]
    #[arg(long, value_name = "FORMAT", value_parser = format_parser())]
    log_format: Option<LogFormat>,
    /// Configuration file; - is standard input
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Take over from the process at the other end of standard input; only that process gives it
    #[arg(long, hide = true)]
    take_over: bool,
    #[command(flatten)]
    refused: RefusedKey,
}

impl ServeArgs {
    /// The configuration that file, environment and flags make together, checked. `read` is [`Config::read`], or
    /// [`Config::read_again`] while the server runs.
    fn config(&self, read: ReadConfig, environment: &Environment) -> Result<Config, CliError> {
        let mut config = read(self.config.as_deref().map(input), environment)?;
        replace_if_given(&mut config.listen, &self.listen);
        replace_if_given(&mut config.backend.listen, &self.backend);
        config.reactors = self.reactors.or(config.reactors);
        config.pin |= self.pin;
        config.echo |= self.echo;
        config.insecure |= self.insecure;
        if self.tls_cert.is_some() {
            (config.tls.cert, config.tls.key) = (self.tls_cert.clone(), self.tls_key.clone());
        }
        config.log.level = self.log.unwrap_or(config.log.level);
        config.log.format = self.log_format.unwrap_or(config.log.format);
        config.validate()?;
        Ok(config)
    }
}

impl ServeArgs {
    /// How this process was started, for one that takes over; or why none can be started the same way.
    fn program(&self) -> Result<Program, String> {
        // A file that is open already, such as standard input, is not the new process's to read.
        let is_open = |path: &Path| ["/dev", "/proc"].iter().any(|folder| path.starts_with(folder));
        if reaper::is_first() {
            return Err(
                "the PID namespace ends with this process, and sockets that were passed to it keep it from \
                        starting a worker"
                    .to_owned(),
            );
        }
        match self.config.as_deref().map(input) {
            Some(path) if is_open(path) || !path.is_file() => Err(format!(
                "the configuration came from {}, which another process cannot read again: give a file to --config",
                path.display()
            )),
            _ => program::own().map_err(|error| format!("the system does not say what runs: {error}")),
        }
    }
}

/// The flags name all addresses of a port, or none.
fn replace_if_given(listen: &mut Listen, endpoints: &[Endpoint]) {
    if !endpoints.is_empty() {
        *listen = endpoints.iter().cloned().collect();
    }
}

fn level_parser() -> impl TypedValueParser<Value = LevelFilter> {
    PossibleValuesParser::new(["off", "error", "warn", "info", "debug", "trace"])
        .try_map(|name| name.parse::<LevelFilter>())
}

fn format_parser() -> impl TypedValueParser<Value = LogFormat> {
    PossibleValuesParser::new(["text", "json"]).map(|name| match name.as_str() {
        "json" => LogFormat::Json,
        _ => LogFormat::Text,
    })
}

/// Runs `gannet serve` in a worker, and stays with it.
pub fn run_as_first() -> Result<(), CliError> {
    let never = reaper::run().map_err(ServeError::Worker)?;
    match never {}
}

/// Runs `gannet serve`.
pub fn run(args: ServeArgs) -> Result<(), CliError> {
    let program = args.program();
    // Before it can end: its number could be another process's by then.
    let predecessor = args.take_over.then(Predecessor::parent);
    let begun = if args.take_over { Successor::begin().map(Some) } else { Successor::of_store() };
    let mut successor = begun.map_err(ServeError::TakeOver)?;
    let is_of_store = predecessor.is_none() && successor.is_some();
    let environment = Environment::of_process();
    let prepared = args.config(Config::read, &environment).and_then(|config| {
        let log = log_to(&config.log)?;
        Ok((config, log))
    });
    let (config, log) = prepared.inspect_err(|error| {
        if let Some(successor) = &mut successor {
            successor.refuse(&error.to_string());
        }
    })?;
    if let Err(error) = heap::give_memory_back() {
        log::warn!(
            "what a storm of sessions leaves stays in the heap for longer: its thread cannot start: {error}"
        );
    }
    let again = move || args.config(Config::read_again, &environment).map_err(|error| error.to_string());
    run_server(config, Origin { program, predecessor, successor, is_of_store }, again, &log)
}

fn log_to(log: &config::Log) -> Result<Running, ServeError> {
    Running::start(log).map_err(|error| ServeError::log(log, error))
}

/// Why the server did not run.
#[derive(Debug)]
pub enum ServeError {
    /// The log cannot be opened.
    Log {
        /// The file, if it goes to one.
        file: Option<PathBuf>,
        /// What the system said.
        error: io::Error,
    },
    /// The first process of a PID namespace could not start its worker.
    Worker(io::Error),
    /// The process that asked this one to take over cannot be reached.
    TakeOver(io::Error),
    /// The handlers of the signals cannot be set.
    Signals(io::Error),
    /// The server could not start.
    Bind(BindError),
    /// The server ended without having been told to.
    Run(RunError),
}

impl ServeError {
    /// The log of this configuration cannot be opened.
    pub fn log(log: &config::Log, error: io::Error) -> Self {
        Self::Log { file: log.file.clone(), error }
    }
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log { file: Some(file), error } => {
                write!(f, "cannot open the log file {}: {error}", file.display())
            }
            Self::Log { file: None, error } => write!(f, "cannot start the thread of the log: {error}"),
            Self::Worker(error) => write!(f, "cannot start the process that serves: {error}"),
            Self::TakeOver(error) => {
                write!(f, "cannot take over: {error}; --take-over is for `gannet upgrade` alone")
            }
            Self::Signals(error) => write!(f, "cannot listen for signals: {error}"),
            Self::Bind(error) => error.fmt(f),
            Self::Run(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ServeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Log { error, .. } | Self::Worker(error) | Self::TakeOver(error) | Self::Signals(error) => {
                Some(error)
            }
            Self::Bind(error) => Some(error),
            Self::Run(error) => Some(error),
        }
    }
}

impl From<ServeError> for CliError {
    fn from(error: ServeError) -> Self {
        Self::Command(Box::new(error))
    }
}

/// Where a server comes from, and so where it can go.
struct Origin {
    /// How this process was started, or why no other one can be.
    program: Result<Program, String>,
    /// This process takes over from another.
    predecessor: Option<Predecessor>,
    successor: Option<Successor>,
    /// What it takes over the service manager has kept.
    is_of_store: bool,
}

fn run_server(
    config: Config,
    Origin { program, predecessor, successor, is_of_store }: Origin,
    again: impl Fn() -> Result<Config, String> + Send + Sync + 'static,
    log: &Running,
) -> Result<(), CliError> {
    let with_key = config.backend.needs_key();
    let client_tls = config.tls.is_on();
    let backend_cert = config.tls.backend_certificates().into_iter().next().map(|files| files.cert);
    // Before the ports are open: whoever sees the banner can stop the server.
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR2]).map_err(ServeError::Signals)?;
    let mut server = match successor {
        None => Server::bind(config).map_err(ServeError::Bind)?,
        Some(successor) => match successor.bind(config).map_err(ServeError::Bind)? {
            Bound::Server(server) => *server,
            Bound::Trial => return Ok(()),
            Bound::Orphan(why) => return Err(begin_anew(program, &why, log).into()),
        },
    };
    server.reload_from(again);
    let (handed_over, heir) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(NOBODY)));
    let (has_handed_over, to) = (Arc::clone(&handed_over), Arc::clone(&heir));
    server.upgrade_by(program.clone(), move |pid| {
        manager::handed_over(pid);
        to.store(pid, Ordering::Release);
        has_handed_over.store(true, Ordering::Release);
    });
    // A process that takes over has its predecessor's terminal, where the addresses stand already.
    if predecessor.is_none() {
        let banner = Banner {
            clients: server.client_addrs().to_vec(),
            backends: server.backend_addrs().to_vec(),
            reactors: server.reactors(),
            with_key,
            client_tls,
            backend_cert,
        };
        output::print(&format!("{banner}\n"))?;
    }
    let (handles, handle) = (Handles::of(&server, &handed_over), signals.handle());
    let (pulse, (running, end)) = (server.pulse(), mpsc::channel());
    if predecessor.is_none() {
        server.on_serving(move || {
            manager::ready(READY);
            if is_of_store {
                manager::unpark();
            }
        });
    }
    let (report, stopped_by) = thread::scope(|scope| {
        let obeying = scope.spawn(|| obey_signals(&mut signals, &handles, log));
        scope.spawn(move || {
            if let Some(predecessor) = predecessor {
                predecessor.wait(&end);
                manager::ready(READY);
                manager::watch_on(&pulse);
            }
            manager::watch(&pulse, &end);
        });
        let report = server.run(|_reactor| Box::new(Relay)).map_err(ServeError::Run);
        handle.close();
        drop(running);
        (report, obeying.join().unwrap_or_default())
    });
    if let Err(ServeError::Run(RunError::NotTaken { why, is_orphan: true })) = &report {
        return Err(begin_anew(program, why, log).into());
    }
    let report = report?;
    if handed_over.load(Ordering::Acquire) {
        info!("another process serves on; this one ends");
        if let Some(signal) = stopped_by {
            pass_on(signal, heir.load(Ordering::Acquire));
        }
        return Ok(());
    }
    info!("stopped: {} of {} sessions closed cleanly", report.closed_cleanly, report.sessions);
    output::print(&format!(
        "stopped: {} of {} sessions closed cleanly\n",
        report.closed_cleanly, report.sessions
    ))
}

/// The process that was to be taken over from has died: this one becomes a server of its own. Returns only where it cannot.
fn begin_anew(program: Result<Program, String>, why: &str, log: &Running) -> ServeError {
    warn!("upgrade: {why}: nobody serves the players of that process; this one begins anew");
    let error = match program {
        Ok(Program { binary, arguments }) => {
            log.finish();
            process::Command::new(binary).arg("serve").args(arguments).exec()
        }
        Err(why) => io::Error::other(why),
    };
    ServeError::TakeOver(error)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ServeArgs,
    }

    fn config(flags: &[&str]) -> Result<Config, String> {
        let line = Line::try_parse_from(["serve"].iter().chain(flags)).map_err(|error| error.to_string())?;
        line.args.config(Config::read, &Environment::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn no_flags_are_the_defaults() {
        assert_eq!(config(&[]), Ok(Config::default()));
    }

    #[test]
    fn flags_win_over_the_file() {
        let path = std::env::temp_dir().join(format!("gannet-serve-{}.toml", std::process::id()));
        let text = "listen = '127.0.0.1:1'\nreactors = 3\necho = true\n[backend]\nlisten = '127.0.0.1:2'\n[log]\nlevel = 'warn'";
        fs::write(&path, text).unwrap();
        let file = path.to_str().unwrap();

        let from_file = config(&["--config", file]).unwrap();
        let listens = |config: &Config| {
            let all = [&config.listen, &config.backend.listen];
            all.map(|listen| listen.endpoints().iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(listens(&from_file), ["127.0.0.1:1", "127.0.0.1:2"]);
        assert_eq!((from_file.reactors, from_file.echo, from_file.pin), (Some(3), true, false));
        assert_eq!(from_file.log.level, LevelFilter::Warn);

        let flags =
            ["--config", file, "--listen", "0.0.0.0:5", "--listen", "localhost:8", "--backend", "[::1]:6"];
        let more = ["--reactors", "7", "--pin", "--insecure", "--log", "trace"];
        let both = config(&[flags.as_slice(), &more].concat()).unwrap();
        assert_eq!(listens(&both), ["0.0.0.0:5 localhost:8", "[::1]:6"]);
        assert_eq!((both.reactors, both.echo, both.pin, both.insecure), (Some(7), true, true, true));
        assert_eq!(both.log.level, LevelFilter::Trace);
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn what_the_flags_make_is_checked() {
        assert!(config(&["--listen", "0.0.0.0:9000"]).unwrap_err().contains("--insecure"));
        assert!(config(&["--listen", "127.0.0.1:9001"]).unwrap_err().contains("a port of its own"));
        for flags in [["--reactors", "0"], ["--reactors", "129"], ["--log", "loud"], ["--listen", "9000"]] {
            assert!(config(&flags).unwrap_err().contains("invalid value"), "{flags:?}");
        }
    }
}
