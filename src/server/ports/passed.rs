//! Sockets that systemd has bound and passed to this process (sd_listen_fds(3)).

use super::tcp::set_tcp_options;
use crate::config::Endpoint;
use crate::metrics::open_fds;
use crate::reactor::Listener;
use listenfd::ListenFd;
use mio::net::{TcpListener, UnixListener};
use rustix::net::{AddressFamily, SocketType};
use socket2::{SockRef, Socket};
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::{env, process};

/// `SD_LISTEN_FDS_START`.
const FIRST_DESCRIPTOR: usize = 3;

/// Which process they are for, how many they are, and what each is called.
const PID: &str = "LISTEN_PID";
const COUNT: &str = "LISTEN_FDS";
const NAMES: &str = "LISTEN_FDNAMES";

/// What systemd calls a socket that has no name of its own.
const UNNAMED: &str = "unknown";

/// Why sockets that were to be passed are not there.
///
/// ```
/// use gannet::PassedFault;
/// assert!(PassedFault::NotStarted.to_string().contains("LISTEN_FDS"));
/// ```
#[derive(Debug)]
pub enum PassedFault {
    /// There is no `LISTEN_FDS`: nothing was passed, or an earlier server of this process has taken all.
    NotStarted,
    /// `LISTEN_PID` names another process.
    OtherProcess {
        /// What it says.
        pid: String,
    },
    /// A variable says what cannot be.
    Malformed {
        /// Which.
        variable: &'static str,
        /// What it says.
        value: String,
    },
    /// One of them is nothing to accept connections on.
    Unusable {
        /// Its descriptor.
        descriptor: usize,
        /// What is wrong with it.
        error: io::Error,
    },
    /// An entry finds none.
    NoneFor {
        /// The entry.
        endpoint: Endpoint,
        /// What those that were passed are called.
        names: Vec<String>,
    },
    /// No entry takes some of them: connections to them would wait for ever.
    LeftOver {
        /// What they are called.
        names: Vec<String>,
    },
}

/// What systemd calls the socket that a server has left to its store of descriptors.
const PARKED: &str = "gannet-parked";

/// The socket that another process of this unit has left to systemd's store of descriptors, if one was passed. What else was
/// passed is closed then: the other process's listeners are in there.
///
/// # Errors
/// It is none of that kind.
pub fn take_parked() -> io::Result<Option<OwnedFd>> {
    let value = |variable| env::var_os(variable).map(|value| value.to_string_lossy().into_owned());
    let is_ours = value(PID).and_then(|pid| pid.parse().ok()) == Some(process::id());
    let names = value(NAMES).filter(|_| is_ours).unwrap_or_default();
    let Some(index) = names.split(':').position(|name| name == PARKED) else { return Ok(None) };
    let (family, kind) = (AddressFamily::UNIX.as_raw().into(), SocketType::STREAM.as_raw() as i32);
    ListenFd::from_env().take_custom(index, family, kind, "unix stream socket")
}

/// Sockets that were passed, and that no entry of the configuration has taken yet.
pub struct Passed(Vec<PassedSocket>);

/// One of them.
pub struct PassedSocket {
    name: String,
    /// The socket itself.
    pub listener: Listener,
    /// Where it listens; `None` for a Unix socket that has no path.
    pub addr: Option<Endpoint>,
}

impl Passed {
    /// Takes all that were passed; `unsent_bytes` as for an address that is bound. `LISTEN_PID` and `LISTEN_FDS` are gone then,
    /// without which `LISTEN_FDNAMES` says nothing, and the sockets are closed on exec: no program that is started later takes
    /// them for its own.
    ///
    /// # Errors
    /// [`PassedFault`].
    pub fn take(unsent_bytes: usize) -> Result<Self, PassedFault> {
        let value = |variable| env::var_os(variable).map(|value| value.to_string_lossy().into_owned());
        let count = value(COUNT).ok_or(PassedFault::NotStarted)?;
        let pid = value(PID).unwrap_or_default();
        if pid.parse() != Ok(process::id()) {
            return Err(PassedFault::OtherProcess { pid });
        }
        let malformed = |variable, value| PassedFault::Malformed { variable, value };
        let is_possible = |count: &usize| open_fds().is_none_or(|open| *count as u64 <= open);
        let Some(number) = count.parse().ok().filter(is_possible) else {
            return Err(malformed(COUNT, count));
        };
        let names: Vec<String> = match value(NAMES) {
            Some(names) if number > 0 => names.split(':').map(str::to_owned).collect(),
            _ => vec![UNNAMED.to_owned(); number],
        };
        if names.len() != number {
            return Err(malformed(NAMES, names.join(":")));
        }
        let mut passed = ListenFd::from_env();
        let sockets = names.into_iter().enumerate().map(|(index, name)| {
            let unusable = |error| PassedFault::Unusable { descriptor: FIRST_DESCRIPTOR + index, error };
            socket(&mut passed, index, name, unsent_bytes).map_err(unusable)
        });
        sockets.collect::<Result<_, _>>().map(Self)
    }

    /// Those that an entry takes: all of its name, or without one the next of which no other entry has the name.
    ///
    /// # Errors
    /// [`PassedFault::NoneFor`].
    pub fn claim(&mut self, name: Option<&str>, named: &[&str]) -> Result<Vec<PassedSocket>, PassedFault> {
        let claimed: Vec<PassedSocket> = match name {
            Some(name) => self.0.extract_if(.., |socket| socket.name == name).collect(),
            None => {
                let next = self.0.iter().position(|socket| !named.contains(&socket.name.as_str()));
                next.map(|index| self.0.remove(index)).into_iter().collect()
            }
        };
        match claimed.is_empty() {
            true => {
                let endpoint = Endpoint::Systemd(name.map(str::to_owned));
                Err(PassedFault::NoneFor { endpoint, names: self.names() })
            }
            false => Ok(claimed),
        }
    }

    /// Every entry has taken what is its own.
    ///
    /// # Errors
    /// [`PassedFault::LeftOver`].
    pub fn finish(self) -> Result<(), PassedFault> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(PassedFault::LeftOver { names: self.names() }),
        }
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|socket| socket.name.clone()).collect()
    }
}

/// The socket with this number, ready to be polled.
fn socket(
    passed: &mut ListenFd,
    index: usize,
    name: String,
    unsent_bytes: usize,
) -> io::Result<PassedSocket> {
    let none = || io::Error::new(io::ErrorKind::NotFound, "there is none");
    // Each of the two refuses a socket of the other's family, and leaves it there.
    if let Ok(listener) = passed.take_unix_listener(index) {
        let listener = listener.ok_or_else(none)?;
        check_listens(&SockRef::from(&listener))?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?.as_pathname().map(|path| Endpoint::Unix(path.to_owned()));
        let listener = Listener::Unix { _file: None, listener: UnixListener::from_std(listener) };
        return Ok(PassedSocket { name, listener, addr });
    }
    let listener = passed.take_tcp_listener(index)?.ok_or_else(none)?;
    check_listens(&SockRef::from(&listener))?;
    set_tcp_options(&SockRef::from(&listener), unsent_bytes)?;
    listener.set_nonblocking(true)?;
    let addr = Some(listener.local_addr()?.into());
    Ok(PassedSocket { name, listener: Listener::Tcp(TcpListener::from_std(listener)), addr })
}

/// A unit with `Accept=yes` passes a connection.
fn check_listens(socket: &Socket) -> io::Result<()> {
    match socket.is_listener()? {
        true => Ok(()),
        false => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "it does not listen: the unit needs Accept=no"))
        }
    }
}

impl fmt::Display for PassedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted => write!(
                f,
                "no socket was passed, since {COUNT} is not set: let systemd start the server for its .socket unit, or write \
                 addresses in the place of systemd"
            ),
            Self::OtherProcess { pid } => write!(
                f,
                "the passed sockets are for the process in {PID}, {pid:?}, and this is {}: start the server itself, or let \
                 what starts it use exec",
                process::id()
            ),
            Self::Malformed { variable, value } => {
                write!(
                    f,
                    "{variable} is {value:?}, which does not fit the sockets that were passed: see sd_listen_fds(3)"
                )
            }
            Self::Unusable { descriptor, error } => write!(
                f,
                "the passed descriptor {descriptor} is no socket to accept connections on: {error}; the unit needs ListenStream="
            ),
            Self::NoneFor { endpoint, names } if names.is_empty() => {
                write!(f, "no passed socket is left for {endpoint}: add a ListenStream= to the .socket unit")
            }
            Self::NoneFor { endpoint, names } => write!(
                f,
                "no passed socket is left for {endpoint}; those that are left are called {}: let FileDescriptorName= in the \
                 .socket unit fit",
                names.join(", ")
            ),
            Self::LeftOver { names } => write!(
                f,
                "nothing would accept connections on some of the passed sockets, which are called {}: name them, as \
                 systemd:{}",
                names.join(", "),
                names.first().map_or(UNNAMED, String::as_str)
            ),
        }
    }
}

impl std::error::Error for PassedFault {}
