//! Certificates and keys from PEM files, checked, and the choice among them by the name that a client asks for.

use super::{PemFiles, TlsError};
use crate::config::Certificate;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use webpki::{EndEntityCert, KeyUsage};

/// A port's certificates, by the names in them.
#[derive(Debug)]
pub struct Certificates {
    /// Never empty; the first is for whoever asks for no name, or for one that none has.
    keys: Vec<Arc<CertifiedKey>>,
    /// Lower case; a wildcard with its `*.`.
    names: HashMap<Box<str>, usize>,
}

impl Certificates {
    /// Reads and checks them, at `now`.
    pub fn read(
        files: &[Certificate],
        pem: &mut PemFiles,
        provider: &CryptoProvider,
        now: UnixTime,
    ) -> Result<Self, TlsError> {
        let mut certificates = Self { keys: Vec::new(), names: HashMap::new() };
        for file in files {
            let (key, names) = read_one(file, pem, provider, now)?;
            for name in names {
                certificates.names.entry(name).or_insert(certificates.keys.len());
            }
            certificates.keys.push(Arc::new(key));
        }
        Ok(certificates)
    }

    fn choose(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let of_name = |name: &str| {
            let name = name.to_ascii_lowercase();
            // RFC 6125 §6.4.3: a wildcard stands for one label.
            let wildcard = || Some(format!("*.{}", name.split_once('.')?.1));
            let exact = self.names.get(name.as_str());
            exact.or_else(|| self.names.get(wildcard()?.as_str())).copied()
        };
        let index = name.and_then(of_name).unwrap_or(0);
        self.keys.get(index).cloned()
    }
}

fn read_one(
    file: &Certificate,
    pem: &mut PemFiles,
    provider: &CryptoProvider,
    now: UnixTime,
) -> Result<(CertifiedKey, Vec<Box<str>>), TlsError> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem.get(&file.cert)?)
        .collect::<Result<_, _>>()
        .map_err(|error| TlsError::read(&file.cert, error))?;
    let Some(first) = chain.first().cloned() else {
        return Err(TlsError::NoCertificate(file.cert.clone()));
    };
    let key = PrivateKeyDer::from_pem_slice(pem.get(&file.key)?)
        .map_err(|error| TlsError::Key { path: file.key.clone(), message: error.to_string().into() })?;
    let names = check(&file.cert, &first, now)?;
    let key = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            TlsError::Mismatch { cert: file.cert.clone(), key: file.key.clone() }
        }
        error => TlsError::Key { path: file.key.clone(), message: error.to_string().into() },
    })?;
    Ok((key, names))
}

/// The names in a certificate that is valid `now`.
fn check(path: &Path, der: &CertificateDer<'_>, now: UnixTime) -> Result<Vec<Box<str>>, TlsError> {
    let unusable = |error: webpki::Error| TlsError::Certificate {
        path: path.to_owned(),
        message: error.to_string().into(),
    };
    let certificate = EndEntityCert::try_from(der).map_err(unusable)?;
    // Whom clients trust is not known here: the time is what this is asked for, and it is looked at before the issuer.
    let verified =
        certificate.verify_for_usage(&[], &[], &[], now, KeyUsage::server_auth(), None, None).map(drop);
    match verified {
        Err(webpki::Error::CertExpired { .. }) => return Err(TlsError::Expired(path.to_owned())),
        Err(webpki::Error::CertNotValidYet { .. }) => return Err(TlsError::NotYetValid(path.to_owned())),
        _ => {}
    }
    Ok(certificate.valid_dns_names().map(|name| name.to_ascii_lowercase().into()).collect())
}

/// The certificates as they are now: those of handshakes to come can be exchanged.
#[derive(Debug)]
pub struct Resolver {
    current: RwLock<Certificates>,
}

impl Resolver {
    pub fn new(certificates: Certificates) -> Self {
        Self { current: RwLock::new(certificates) }
    }

    pub fn exchange(&self, certificates: Certificates) {
        // Nothing panics while it is held; and what it guards is whole at any time.
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = certificates;
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).choose(hello.server_name())
    }
}
