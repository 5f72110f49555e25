//! What one port needs to take TLS connections.

use super::certificates::Certificates;
use super::tickets::{CarriedTickets, Tickets};
use super::{Failed, PemFiles, Session, TlsError};
use crate::config::{Certificate, TlsVersion};
use crate::metrics::TlsOutcome;
use crate::upgrade::InvalidState;
use rustls::crypto::ring;
use rustls::pki_types::UnixTime;
use rustls::server::NoServerSessionStorage;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};
use std::fmt;
use std::sync::Arc;

/// See the module.
pub struct Acceptor {
    certificates: Arc<Certificates>,
    tickets: Arc<Tickets>,
    config: ServerConfig,
}

impl Acceptor {
    /// Reads and checks the certificates, the one for any name first. Clients of the acceptor `before` may resume their
    /// TLS sessions.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn load(
        files: &[Certificate],
        versions: &[TlsVersion],
        before: Option<&Self>,
        pem: &mut PemFiles,
    ) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let certificates = Arc::new(Certificates::read(files, pem, &provider, UnixTime::now())?);
        let settings = |error: rustls::Error| TlsError::Settings(error.to_string().into());
        let versions: Vec<&'static SupportedProtocolVersion> = versions
            .iter()
            .map(|version| match version {
                TlsVersion::V1_2 => &TLS12,
                TlsVersion::V1_3 => &TLS13,
            })
            .collect();
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions)
            .map_err(settings)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&certificates) as _);
        // A client that comes back brings its session in a ticket: the server remembers none. Their keys outlive a reload.
        let tickets = match before {
            Some(before) => Arc::clone(&before.tickets),
            None => {
                let none = || TlsError::Settings("the system gives no random bytes".into());
                Arc::new(Tickets::new().ok_or_else(none)?)
            }
        };
        config.ticketer = Arc::clone(&tickets) as _;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        // WebSocket begins with HTTP/1.1: a client that would speak something else is told so (RFC 7301 §3.2).
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // When its handshake is done a session goes on without rustls.
        config.enable_secret_extraction = true;
        Ok(Self { certificates, tickets, config })
    }

    /// Whether both show the same certificates.
    pub fn shows_those_of(&self, other: &Self) -> bool {
        self.certificates.are_those_of(&other.certificates)
    }

    /// The first name of each certificate, and when it ends, in seconds since the Unix epoch.
    pub fn ends(&self) -> Vec<(String, u64)> {
        self.certificates.ends.clone()
    }

    /// The keys of the tickets, for another process.
    pub fn carry_tickets(&self) -> CarriedTickets {
        self.tickets.carry()
    }

    /// Goes on with the keys of another process's tickets: its clients may resume their TLS sessions.
    ///
    /// # Errors
    /// What has come are no such keys; nothing has changed then.
    pub fn take_over_tickets(&self, carried: CarriedTickets) -> Result<(), InvalidState> {
        self.tickets.take_over(carried)
    }

    /// The state of a connection that has been accepted.
    ///
    /// # Errors
    /// What rustls says; with settings that have been loaded there is nothing that it would.
    pub fn accept(&self) -> Result<Session, Failed> {
        Session::new(&self.config)
            .map_err(|error| Failed { outcome: TlsOutcome::Misbehaved, message: error.to_string().into() })
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").field("certificates", &self.certificates).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::tls::Ports;
    use rcgen::{CertificateParams, KeyPair};
    use rustls::server::ProducesTickets;
    use std::fs;

    #[test]
    fn another_process_takes_the_tickets_of_each_port() {
        let directory = std::env::temp_dir().join(format!("gannet-ports-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        let paths = ["cert.pem", "key.pem"].map(|name| directory.join(name));
        fs::write(&paths[0], cert.pem()).unwrap();
        fs::write(&paths[1], key.serialize_pem()).unwrap();
        let mut config = Config::default();
        [config.tls.cert, config.tls.key] = paths.map(Some);
        config.tls.backend = true;
        let [old, new] = [(); 2].map(|()| Ports::load(&config.tls).unwrap());
        config.tls.backend = false;
        let smaller = Ports::load(&config.tls).unwrap();
        fs::remove_dir_all(&directory).unwrap();

        let bytes = minicbor::to_vec(old.carry()).unwrap();
        new.take_over(minicbor::decode(&bytes).unwrap()).unwrap();
        // A port that is plain in the new process needs none.
        smaller.take_over(minicbor::decode(&bytes).unwrap()).unwrap();
        let tickets = |ports: &Ports| {
            [&ports.client, &ports.backend].map(|port| port.as_ref().unwrap().tickets.clone())
        };
        let ([client, backend], [new_client, new_backend]) = (tickets(&old), tickets(&new));
        let ticket = client.encrypt(b"client").unwrap();
        assert_eq!(new_client.decrypt(&ticket).as_deref(), Some(b"client".as_slice()));
        assert_eq!(new_backend.decrypt(&ticket), None);
        let ticket = backend.encrypt(b"backend").unwrap();
        assert_eq!(new_backend.decrypt(&ticket).as_deref(), Some(b"backend".as_slice()));
    }
}
