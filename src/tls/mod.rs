//! TLS over a non-blocking socket, by rustls: the certificates of a port, and the state of one connection as something to
//! read from and write to. Knows nothing of reactors and of what the bytes mean.

#[cfg(not(feature = "tls"))]
mod absent;
#[cfg(feature = "tls")]
mod acceptor;
#[cfg(feature = "tls")]
mod certificates;
mod error;
#[cfg(feature = "tls")]
mod pem;
#[cfg(feature = "tls")]
mod session;

#[cfg(not(feature = "tls"))]
pub use absent::{Acceptor, PemFiles, Session};
#[cfg(feature = "tls")]
pub use acceptor::Acceptor;
pub use error::TlsError;
#[cfg(feature = "tls")]
pub use pem::PemFiles;
#[cfg(feature = "tls")]
pub use session::Session;

use crate::config::Tls;
use crate::metrics::{CertificateExpiry, TlsOutcome};

/// Whether a handshake is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "only rustls makes them"))]
pub enum Shaken {
    /// Application data may follow, and may have come already.
    Done(TlsOutcome),
    /// More has to come.
    NotYet,
    /// More may have come than was looked at: ask again.
    Busy,
}

/// Why a handshake failed: the outcome that it counts as, and what to say in the log.
#[derive(Debug)]
pub struct Failed {
    /// What it counts as.
    pub outcome: TlsOutcome,
    /// For the log.
    pub message: Box<str>,
}

/// What reading gave.
#[derive(Debug)]
pub enum Received {
    /// So many bytes of application data; there may be more.
    Bytes(usize),
    /// Nothing for now.
    Nothing,
    /// Records without application data, as many as one look takes: ask again.
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "only rustls makes it"))]
    Busy,
    /// The peer has ended its side, with a close_notify or without.
    End,
}

/// What the two ports speak.
#[derive(Debug, Default)]
pub struct Ports {
    /// The client port's; `None` is plain.
    pub client: Option<Acceptor>,
    /// The backend port's; `None` is plain.
    pub backend: Option<Acceptor>,
}

impl Ports {
    /// Reads the certificates of a configuration that has been validated.
    ///
    /// # Errors
    /// [`TlsError`], which names the file and says what to do.
    pub fn load(config: &Tls) -> Result<Self, TlsError> {
        Self::default().read(config, PemFiles::default())
    }

    /// What the ports speak from now on by a configuration that has been validated; connections that are open keep their
    /// certificates.
    ///
    /// # Errors
    /// [`TlsError`], also for a file that can be read only once.
    pub fn load_next(&self, config: &Tls) -> Result<Self, TlsError> {
        self.read(config, PemFiles::again())
    }

    fn read(&self, config: &Tls, mut files: PemFiles) -> Result<Self, TlsError> {
        let mut acceptor = |certificates: Vec<_>, before: &Option<Acceptor>| match certificates.is_empty() {
            true => Ok(None),
            false => Acceptor::load(&certificates, &config.versions, before.as_ref(), &mut files).map(Some),
        };
        Ok(Self {
            client: acceptor(config.client_certificates(), &self.client)?,
            backend: acceptor(config.backend_certificates(), &self.backend)?,
        })
    }

    /// When the certificates that are shown now end.
    pub fn expiries(&self) -> Vec<CertificateExpiry> {
        let of = |port, acceptor: &Option<Acceptor>| {
            let ends = acceptor.as_ref().map(Acceptor::ends).unwrap_or_default();
            ends.into_iter().map(move |(name, unix_seconds)| CertificateExpiry { port, name, unix_seconds })
        };
        of("client", &self.client).chain(of("backend", &self.backend)).collect()
    }

    /// Whether both ports show the same certificates as those of `other`.
    pub fn show_those_of(&self, other: &Self) -> bool {
        let same = |one: &Option<Acceptor>, other: &Option<Acceptor>| match (one, other) {
            (Some(one), Some(other)) => one.shows_those_of(other),
            (one, other) => one.is_none() && other.is_none(),
        };
        same(&self.client, &other.client) && same(&self.backend, &other.backend)
    }
}
