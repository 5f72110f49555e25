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
        let mut files = PemFiles::default();
        let mut acceptor = |certificates: Vec<_>| match certificates.is_empty() {
            true => Ok(None),
            false => Acceptor::load(certificates, &config.versions, &mut files).map(Some),
        };
        Ok(Self {
            client: acceptor(config.client_certificates())?,
            backend: acceptor(config.backend_certificates())?,
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

    /// Reads every certificate again; connections that are open keep theirs.
    ///
    /// # Errors
    /// [`TlsError`]; then all stay as they were.
    pub fn reload(&self) -> Result<(), TlsError> {
        let mut files = PemFiles::again();
        let mut loaded =
            |acceptor: &Option<Acceptor>| acceptor.as_ref().map(|one| one.read(&mut files)).transpose();
        let (client, backend) = (loaded(&self.client)?, loaded(&self.backend)?);
        for (acceptor, certificates) in [(&self.client, client), (&self.backend, backend)] {
            if let (Some(acceptor), Some(certificates)) = (acceptor, certificates) {
                acceptor.use_from_now_on(certificates);
            }
        }
        Ok(())
    }
}
