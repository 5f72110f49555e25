//! `[tls]` and `[proxy]`: how the bytes of a connection are wrapped before they are HTTP.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{ConfigError, InvalidNetwork, Network};

/// `[tls]`: certificates, and which ports speak TLS. Paths are relative to the configuration file.
///
/// ```
/// use gannet::config::Config;
/// let config = Config::from_toml("[tls]\ncert = 'cert.pem'\nkey = 'key.pem'").unwrap();
/// assert!(config.tls.is_on() && !config.tls.backend);
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// The certificate chain in PEM, the server's own first. With it the client port speaks TLS, and only TLS.
    pub cert: Option<PathBuf>,
    /// Its private key in PEM: PKCS #8, PKCS #1 or SEC1.
    pub key: Option<PathBuf>,
    /// Further certificates, for other names: a client gets the first one that has the name it asks for (SNI), and
    /// `cert` when none has.
    pub certificates: Vec<Certificate>,
    /// The versions that are spoken.
    #[cfg_attr(feature = "cli", schemars(length(min = 1)))]
    pub versions: Vec<TlsVersion>,
    /// The backend port speaks TLS too.
    pub backend: bool,
    /// The certificate chain of the backend port; `None` is that of the client port.
    pub backend_cert: Option<PathBuf>,
    /// Its private key.
    pub backend_key: Option<PathBuf>,
}

/// A certificate chain and its private key, both PEM files.
///
/// ```
/// use gannet::config::Certificate;
/// let chess = Certificate { cert: "chess.pem".into(), key: "chess.key".into() };
/// assert_ne!(chess.cert, chess.key);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// The chain, the server's own certificate first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// A version of TLS. Older ones are not spoken at all (RFC 8996).
///
/// ```
/// use gannet::config::{Config, TlsVersion};
/// let config = Config::from_toml("[tls]\nversions = ['1.3']").unwrap();
/// assert_eq!(config.tls.versions, [TlsVersion::V1_3]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
pub enum TlsVersion {
    /// TLS 1.2, RFC 5246.
    #[serde(rename = "1.2")]
    V1_2,
    /// TLS 1.3, RFC 8446.
    #[serde(rename = "1.3")]
    V1_3,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            cert: None,
            key: None,
            certificates: Vec::new(),
            versions: vec![TlsVersion::V1_2, TlsVersion::V1_3],
            backend: false,
            backend_cert: None,
            backend_key: None,
        }
    }
}

impl Tls {
    /// Whether the client port speaks TLS.
    pub fn is_on(&self) -> bool {
        self.cert.is_some()
    }

    /// The certificates of the client port, the one for any name first; none where it speaks no TLS.
    pub fn client_certificates(&self) -> Vec<Certificate> {
        let first = self.cert.iter().zip(&self.key);
        let first = first.map(|(cert, key)| Certificate { cert: cert.clone(), key: key.clone() });
        first.chain(self.certificates.iter().cloned()).collect()
    }

    /// The certificates of the backend port; none where it speaks no TLS.
    pub fn backend_certificates(&self) -> Vec<Certificate> {
        match (&self.backend_cert, &self.backend_key) {
            _ if !self.backend => Vec::new(),
            (Some(cert), Some(key)) => vec![Certificate { cert: cert.clone(), key: key.clone() }],
            _ => self.client_certificates(),
        }
    }

    /// Lets relative paths start at `base`.
    pub(super) fn resolve(&mut self, base: &Path) {
        let own = [&mut self.cert, &mut self.key, &mut self.backend_cert, &mut self.backend_key];
        let further = self.certificates.iter_mut().flat_map(|one| [&mut one.cert, &mut one.key]);
        for path in own.into_iter().flatten().chain(further) {
            *path = base.join(&path);
        }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let pair = |cert: &'static str, has_cert, key: &'static str, has_key| match (has_cert, has_key) {
            (true, false) => Err(ConfigError::TlsHalf { has: cert, lacks: key }),
            (false, true) => Err(ConfigError::TlsHalf { has: key, lacks: cert }),
            _ => Ok(()),
        };
        pair("tls.cert", self.cert.is_some(), "tls.key", self.key.is_some())?;
        let (cert, key) = (self.backend_cert.is_some(), self.backend_key.is_some());
        pair("tls.backend_cert", cert, "tls.backend_key", key)?;
        let uses = self.is_on() || self.backend;
        if !self.certificates.is_empty() && !self.is_on() {
            return Err(ConfigError::TlsHalf { has: "tls.certificates", lacks: "tls.cert" });
        }
        if self.backend && !self.is_on() && !cert {
            return Err(ConfigError::TlsHalf { has: "tls.backend", lacks: "tls.backend_cert" });
        }
        if cert && !self.backend {
            return Err(ConfigError::TlsHalf { has: "tls.backend_cert", lacks: "tls.backend = true" });
        }
        if self.versions.is_empty() {
            return Err(ConfigError::NoTlsVersion);
        }
        match uses && !cfg!(feature = "tls") {
            true => Err(ConfigError::TlsNotBuilt),
            false => Ok(()),
        }
    }
}

/// `[proxy]`: whose word is taken for where a player comes from; on the client port alone.
///
/// ```
/// use gannet::config::Config;
/// let config = Config::from_toml("[proxy]\nforwarded_from = ['10.0.0.0/8']").unwrap();
/// assert!(config.proxy.is_forwarder("10.1.2.3".parse().ok()));
/// assert!(!config.proxy.is_forwarder("192.0.2.7".parse().ok()) && !config.proxy.is_forwarder(None));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Proxy {
    /// Proxies that begin every connection with a PROXY header, version 1 or 2; one without is refused.
    pub protocol_from: Vec<ProxyPeer>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub forwarded_from: Vec<ProxyPeer>,
}

impl Proxy {
    /// Whether a connection from `address`, or over a Unix socket where that is `None`, begins with a PROXY header.
    pub fn speaks_protocol(&self, address: Option<IpAddr>) -> bool {
        self.protocol_from.iter().any(|peer| peer.is_at(address))
    }

    /// Whether the `X-Forwarded-For` from `address`, or over a Unix socket where that is `None`, is believed.
    pub fn is_forwarder(&self, address: Option<IpAddr>) -> bool {
        self.forwarded_from.iter().any(|peer| peer.is_at(address))
    }
}

/// Where proxies are: one of the entries of `[proxy]`.
///
/// ```
/// use gannet::config::ProxyPeer;
/// assert_eq!("unix:".parse(), Ok(ProxyPeer::Unix));
/// assert_eq!("10.0.0.0/8".parse(), Ok(ProxyPeer::Network("10.0.0.0/8".parse().unwrap())));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyPeer {
    /// In a network.
    Network(Network),
    /// At the other end of a Unix socket that the client port listens on: `unix:`.
    Unix,
}

impl ProxyPeer {
    const UNIX: &str = "unix:";

    fn is_at(&self, address: Option<IpAddr>) -> bool {
        match (self, address) {
            (Self::Network(network), Some(address)) => network.contains(address),
            (Self::Unix, None) => true,
            _ => false,
        }
    }
}

impl FromStr for ProxyPeer {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        if text == Self::UNIX { Ok(Self::Unix) } else { text.parse().map(Self::Network) }
    }
}

impl fmt::Display for ProxyPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(f),
            Self::Unix => f.write_str(Self::UNIX),
        }
    }
}
