//! What must be known before a connection can be made, and is not known without blocking: the addresses of a name, the
//! authorities of TLS. A thread of its own finds it out.

use super::super::fault::{Fault, FaultKind};
use super::wire::Security;
use crate::config::{RedisPlace, RedisUrl};
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::thread;

/// Wakes the reactor that owns a link; any thread may call it.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// Where to connect, in the order in which it is tried.
#[derive(Debug, Clone)]
pub enum Target {
    /// The addresses, and TLS if it is spoken there.
    Tcp(Vec<SocketAddr>, Option<Security>),
    /// A path.
    Unix(PathBuf),
}

/// A question that is being looked into.
#[derive(Debug)]
pub struct Lookup(Arc<OnceLock<Result<Target, Fault>>>);

impl Lookup {
    /// Begins one. It is done at once if nothing in it blocks; else `waker` is called when it is.
    pub fn begin(url: &Arc<RedisUrl>, waker: &Waker) -> Self {
        let done = |result| Self(Arc::new(OnceLock::from(result)));
        let (host, port) = match url.place() {
            RedisPlace::Unix(path) => return done(Ok(Target::Unix(path.clone()))),
            RedisPlace::Tcp { host, port } => (host, *port),
        };
        if let (Ok(ip), false) = (host.parse::<IpAddr>(), url.is_secure()) {
            return done(Ok(Target::Tcp(vec![(ip, port).into()], None)));
        }
        let slot = Arc::new(OnceLock::new());
        let (url, waker, found) = (Arc::clone(url), Arc::clone(waker), Arc::clone(&slot));
        let body = move || {
            // The slot is empty: this thread alone fills it.
            let _ = found.set(look_up(&url));
            waker();
        };
        match thread::Builder::new().name("redis-lookup".to_owned()).spawn(body) {
            Ok(_) => Self(slot),
            Err(error) => done(Err(unresolved(&error))),
        }
    }

    /// What has been found; `None` while it is not.
    pub fn found(&self) -> Option<&Result<Target, Fault>> {
        self.0.get()
    }
}

/// Blocks.
fn look_up(url: &RedisUrl) -> Result<Target, Fault> {
    let RedisPlace::Tcp { host, port } = url.place() else { unreachable!("a path is not looked up") };
    let security = if url.is_secure() { Some(Security::load(url)?) } else { None };
    let addresses = (host.as_str(), *port).to_socket_addrs().map_err(|error| unresolved(&error))?;
    let addresses: Vec<_> = addresses.collect();
    match addresses.is_empty() {
        true => Err(unresolved(&io::ErrorKind::NotFound.into())),
        false => Ok(Target::Tcp(addresses, security)),
    }
}

fn unresolved(error: &io::Error) -> Fault {
    let text = format!("its name has no address: {error}; check the host of the URL and the name service");
    Fault::new(FaultKind::Resolve, text)
}
