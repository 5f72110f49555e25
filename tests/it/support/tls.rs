//! Certificates for tests, and TLS clients: rustls over a blocking socket, with the versions that a test wants.

use super::DEADLINE;
use rcgen::{CertificateParams, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
    SupportedProtocolVersion,
};
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A TLS connection to a server.
pub type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// A certificate and its key in files; removed when it is dropped.
pub struct CertFiles {
    directory: PathBuf,
    /// The chain.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
    /// The certificate itself.
    pub der: CertificateDer<'static>,
}

impl CertFiles {
    /// For these names, ECDSA P-256, valid now.
    pub fn new(names: &[&str]) -> Self {
        Self::with(names, |_| {})
    }

    /// The same, changed by `configure`.
    pub fn with(names: &[&str], configure: impl FnOnce(&mut CertificateParams)) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("gannet-tls-{}-{number}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let mut files = Self {
            cert: directory.join("cert.pem"),
            key: directory.join("key.pem"),
            der: Vec::new().into(),
            directory,
        };
        files.write(names, configure);
        files
    }

    /// Another certificate with another key in the same files.
    pub fn renew(&mut self, names: &[&str]) {
        self.write(names, |_| {});
    }

    fn write(&mut self, names: &[&str], configure: impl FnOnce(&mut CertificateParams)) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        configure(&mut params);
        let key = KeyPair::generate().unwrap();
        let cert = params.self_signed(&key).unwrap();
        fs::write(&self.cert, cert.pem()).unwrap();
        fs::write(&self.key, key.serialize_pem()).unwrap();
        self.der = cert.der().clone();
    }
}

impl Drop for CertFiles {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// What a client speaks; it takes any certificate, and the test looks which it was.
pub fn client_config(versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
    client_config_of(ring::default_provider(), versions)
}

/// The same with the suites of `provider`.
pub fn client_config_of(
    provider: CryptoProvider,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let provider = Arc::new(provider);
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    Arc::new(config)
}

/// A client of TLS 1.3 and 1.2 that has not shaken hands yet.
pub fn connect(address: SocketAddr) -> TlsStream {
    connect_as(address, &client_config(&[&rustls::version::TLS13, &rustls::version::TLS12]), "localhost")
}

/// A client that asks for `name`, and has not shaken hands yet.
pub fn connect_as(address: SocketAddr, config: &Arc<ClientConfig>, name: &str) -> TlsStream {
    over(TcpStream::connect(address).unwrap(), config, name)
}

/// The same over a stream that is connected.
pub fn over(stream: TcpStream, config: &Arc<ClientConfig>, name: &str) -> TlsStream {
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    over_any(stream, config, name)
}

/// The same over any stream that does not wait for ever.
pub fn over_any<S: io::Read + io::Write>(
    stream: S,
    config: &Arc<ClientConfig>,
    name: &str,
) -> StreamOwned<ClientConnection, S> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    StreamOwned::new(ClientConnection::new(Arc::clone(config), name).unwrap(), stream)
}

/// Shakes hands.
pub fn shake(stream: &mut TlsStream) -> io::Result<()> {
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(())
}

#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
