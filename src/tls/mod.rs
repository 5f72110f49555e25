//! TLS over a non-blocking socket: the certificates of a port, and the state of one connection as something to read from and
//! write to. rustls shakes hands; the records behind the handshake are our own. Knows nothing of reactors and of what the bytes
//! mean.

#[cfg(not(feature = "tls"))]
mod absent;
#[cfg(feature = "tls")]
mod acceptor;
#[cfg(feature = "tls")]
mod carried;
#[cfg(feature = "tls")]
mod certificates;
mod error;
#[cfg(feature = "tls")]
mod established;
#[cfg(feature = "tls")]
mod handshake;
#[cfg(all(feature = "tls", any(test, feature = "fuzzing")))]
pub(crate) mod model;
#[cfg(feature = "tls")]
mod pem;
#[cfg(feature = "tls")]
mod record;
#[cfg(feature = "tls")]
mod session;
#[cfg(all(feature = "tls", any(test, feature = "fuzzing")))]
pub(crate) mod testing;
#[cfg(all(test, feature = "tls"))]
mod tests;
#[cfg(feature = "tls")]
mod tickets;

#[cfg(not(feature = "tls"))]
pub use absent::{Acceptor, CarriedSession, CarriedTickets, PemFiles, Scratch, Session};
#[cfg(feature = "tls")]
pub use acceptor::Acceptor;
#[cfg(feature = "tls")]
pub use carried::CarriedSession;
pub use error::TlsError;
#[cfg(feature = "tls")]
pub use established::Scratch;
#[cfg(feature = "tls")]
pub use pem::PemFiles;
#[cfg(feature = "tls")]
pub use session::Session;
#[cfg(feature = "tls")]
pub use tickets::CarriedTickets;

use crate::config::Tls;
use crate::metrics::{CertificateExpiry, TlsOutcome};
use crate::upgrade::InvalidState;
use minicbor::{Decode, Encode};

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
    /// Application data.
    Bytes {
        /// So many bytes of it.
        count: usize,
        /// Whether there may be more, or an end, of which no event will tell.
        more: bool,
    },
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

/// The keys of both ports' tickets on their way to another process.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct CarriedPorts {
    #[n(0)]
    client: Option<CarriedTickets>,
    #[n(1)]
    backend: Option<CarriedTickets>,
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

    /// What another process needs to take the tickets of this one.
    pub fn carry(&self) -> CarriedPorts {
        let Self { client, backend } = self;
        let of = |acceptor: &Option<Acceptor>| acceptor.as_ref().map(Acceptor::carry_tickets);
        CarriedPorts { client: of(client), backend: of(backend) }
    }

    /// Goes on with the keys of another process's tickets, on the ports that speak TLS in both.
    ///
    /// # Errors
    /// What has come are no such keys.
    pub fn take_over(&self, carried: CarriedPorts) -> Result<(), InvalidState> {
        let CarriedPorts { client, backend } = carried;
        for (acceptor, tickets) in [(&self.client, client), (&self.backend, backend)] {
            if let (Some(acceptor), Some(tickets)) = (acceptor, tickets) {
                acceptor.take_over_tickets(tickets)?;
            }
        }
        Ok(())
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
