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
use std::sync::Arc;
use std::time::Duration;
use webpki::{EndEntityCert, KeyUsage};

/// A port's certificates, by the names in them.
#[derive(Debug)]
pub struct Certificates {
    /// Never empty; the first is for whoever asks for no name, or for one that none has.
    keys: Vec<Arc<CertifiedKey>>,
    /// Lower case; a wildcard with its `*.`.
    names: HashMap<Box<str>, usize>,
    /// The first name of each, and when it ends.
    pub ends: Vec<(String, u64)>,
}

impl Certificates {
    /// Reads and checks them, at `now`.
    pub fn read(
        files: &[Certificate],
        pem: &mut PemFiles,
        provider: &CryptoProvider,
        now: UnixTime,
    ) -> Result<Self, TlsError> {
        let mut certificates = Self { keys: Vec::new(), names: HashMap::new(), ends: Vec::new() };
        for file in files {
            let (key, Checked { names, end_unix_seconds }) = read_one(file, pem, provider, now)?;
            let first = names.first().map_or_else(String::new, ToString::to_string);
            certificates.ends.push((first, end_unix_seconds));
            for name in names {
                certificates.names.entry(name).or_insert(certificates.keys.len());
            }
            certificates.keys.push(Arc::new(key));
        }
        Ok(certificates)
    }

    /// Whether they are the same, to the byte, in the same order.
    pub fn are_those_of(&self, other: &Self) -> bool {
        let chains = |all: &Self| all.keys.iter().map(|key| key.cert.clone()).collect::<Vec<_>>();
        chains(self) == chains(other)
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
) -> Result<(CertifiedKey, Checked), TlsError> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem.get(&file.cert)?)
        .collect::<Result<_, _>>()
        .map_err(|error| TlsError::read(&file.cert, error))?;
    let Some(first) = chain.first().cloned() else {
        return Err(TlsError::NoCertificate(file.cert.clone()));
    };
    let key = PrivateKeyDer::from_pem_slice(pem.get(&file.key)?)
        .map_err(|error| TlsError::Key { path: file.key.clone(), message: error.to_string().into() })?;
    let checked = check(&file.cert, &first, now)?;
    let key = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            TlsError::Mismatch { cert: file.cert.clone(), key: file.key.clone() }
        }
        error => TlsError::Key { path: file.key.clone(), message: error.to_string().into() },
    })?;
    Ok((key, checked))
}

/// What a certificate says that is valid now.
struct Checked {
    names: Vec<Box<str>>,
    end_unix_seconds: u64,
}

fn check(path: &Path, der: &CertificateDer<'_>, now: UnixTime) -> Result<Checked, TlsError> {
    let unusable = |error: webpki::Error| TlsError::Certificate {
        path: path.to_owned(),
        message: error.to_string().into(),
    };
    let certificate = EndEntityCert::try_from(der).map_err(unusable)?;
    // Whom clients trust is not known here: the time is what this is asked for, and it is looked at before the issuer.
    let verified = |at: UnixTime| {
        certificate.verify_for_usage(&[], &[], &[], at, KeyUsage::server_auth(), None, None).map(drop)
    };
    match verified(now) {
        Err(webpki::Error::CertExpired { .. }) => return Err(TlsError::Expired(path.to_owned())),
        Err(webpki::Error::CertNotValidYet { .. }) => return Err(TlsError::NotYetValid(path.to_owned())),
        _ => {}
    }
    // At the end of all time it has ended, and the error says when.
    let end_unix_seconds = match verified(UnixTime::since_unix_epoch(Duration::from_secs(u64::MAX))) {
        Err(webpki::Error::CertExpired { not_after, .. }) => not_after.as_secs(),
        _ => u64::MAX,
    };
    let names = certificate.valid_dns_names().map(|name| name.to_ascii_lowercase().into()).collect();
    Ok(Checked { names, end_unix_seconds })
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name())
    }
}
