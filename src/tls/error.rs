//! What can be wrong with certificates, by cause, and what to do.

use std::fmt;
#[cfg(feature = "tls")]
use std::path::Path;
use std::path::PathBuf;

/// Why certificates are refused.
///
/// ```
/// let error = gannet::TlsError::Expired("game.crt".into());
/// assert!(error.to_string().contains("game.crt"));
/// ```
#[derive(Debug)]
pub enum TlsError {
    /// A file cannot be read, or is no PEM.
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: Box<str>,
    },
    /// A file holds no certificate.
    NoCertificate(PathBuf),
    /// The certificate is none that can be used.
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: Box<str>,
    },
    /// The certificate has ended.
    Expired(PathBuf),
    /// The certificate has not begun.
    NotYetValid(PathBuf),
    /// The key is none that can be used.
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: Box<str>,
    },
    /// The key is another certificate's.
    Mismatch {
        /// The certificate.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// This build has no TLS.
    NotBuilt,
    /// rustls takes no such settings.
    Settings(Box<str>),
}

impl TlsError {
    #[cfg(feature = "tls")]
    pub(super) fn read(path: &Path, error: impl fmt::Display) -> Self {
        Self::Read { path: path.to_owned(), message: error.to_string().into() }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, message } => write!(f, "cannot read {}: {message}", path.display()),
            Self::NoCertificate(path) => write!(
                f,
                "{} holds no certificate: name a PEM file with the server's own first, then those that signed it",
                path.display()
            ),
            Self::Certificate { path, message } => {
                write!(f, "the certificate in {} cannot be used: {message}", path.display())
            }
            Self::Expired(path) => write!(
                f,
                "the certificate in {} has expired, and every client would refuse it: renew it",
                path.display()
            ),
            Self::NotYetValid(path) => write!(
                f,
                "the certificate in {} is not valid yet: look at the clock of this machine",
                path.display()
            ),
            Self::Key { path, message } => write!(
                f,
                "the private key in {} cannot be used: {message}; it takes RSA, ECDSA P-256 or P-384, or Ed25519",
                path.display()
            ),
            Self::Mismatch { cert, key } => write!(
                f,
                "the private key in {} is not that of the certificate in {}: name the two that belong together",
                key.display(),
                cert.display()
            ),
            Self::NotBuilt => f.write_str("this build has no TLS: build it with the feature `tls`"),
            Self::Settings(message) => write!(f, "TLS cannot be set up: {message}"),
        }
    }
}

impl std::error::Error for TlsError {}
