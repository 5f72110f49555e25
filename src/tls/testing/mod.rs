//! What the tests and the fuzz target of this room share: rustls as the other side, in memory.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::{
    CipherSuite, ClientConfig, ClientConnection, DigitallySignedStruct, Error, KeyLog, ServerConfig,
    SignatureScheme, SupportedCipherSuite,
};
use std::sync::{Arc, LazyLock};

/// Every suite of both versions that this server speaks.
pub static SUITES: LazyLock<Vec<SupportedCipherSuite>> =
    LazyLock::new(|| ring::default_provider().cipher_suites);

/// A client that speaks `suite` alone.
pub fn client_config(suite: SupportedCipherSuite) -> ClientConfig {
    ClientConfig::builder_with_provider(provider(suite))
        .with_protocol_versions(&[suite.version()])
        .expect("the suite is of this version")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth()
}

/// A client of this configuration before its first byte.
pub fn client(config: ClientConfig) -> ClientConnection {
    let name = ServerName::try_from("localhost").expect("it is a name");
    ClientConnection::new(Arc::new(config), name).expect("the configuration is complete")
}

/// A server whose certificate goes with `suite`, as the acceptor makes them, but without tickets.
pub fn server_config(suite: SupportedCipherSuite, key_log: Option<Arc<dyn KeyLog>>) -> ServerConfig {
    let is_rsa = matches!(
        suite.suite(),
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
            | CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
    );
    let (cert, key): (&[u8], &[u8]) = match is_rsa {
        true => (include_bytes!("rsa.cert.der"), include_bytes!("rsa.key.der")),
        false => (include_bytes!("ecdsa.cert.der"), include_bytes!("ecdsa.key.der")),
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("they are the provider's")
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(cert)], PrivatePkcs8KeyDer::from(key).into())
        .expect("they belong together");
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.enable_secret_extraction = true;
    if let Some(log) = key_log {
        config.key_log = log;
    }
    config
}

fn provider(suite: SupportedCipherSuite) -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider { cipher_suites: vec![suite], ..ring::default_provider() })
}

/// Whom the server is, is not what is tested.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
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
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
