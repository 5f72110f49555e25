//! A public key that tokens are checked with: out of a PEM file, or out of the numbers of a JWK. Its kind says which
//! algorithm it serves, whatever a token says.

use super::{Algorithm, KeyError};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use ring::{agreement, error::Unspecified};
use spki::der::asn1::{ObjectIdentifier, UintRef};
use spki::der::{Decode, Document, Reader, SliceReader};
use spki::{SubjectPublicKeyInfoRef, der};
use std::fmt;
use std::ops::RangeInclusive;

/// RFC 3279 §2.3.1.
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// RFC 5480 §2.1.1.
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// RFC 5480 §2.1.1.1.
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
/// RFC 8410 §3.
const ED25519_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// A point that is not compressed (SEC 1 §2.3.3).
const UNCOMPRESSED: u8 = 4;

/// A key that is known to be one, with the name that tokens call it by.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    kid: Option<Box<str>>,
    material: Material,
}

/// What the key is, whatever it is called.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Material {
    /// Big-endian numbers without leading zeros.
    Rsa {
        /// The modulus.
        n: Box<[u8]>,
        /// The exponent.
        e: Box<[u8]>,
    },
    /// An uncompressed point on the curve (SEC 1 §2.3.3).
    P256([u8; PublicKey::P256_BYTES]),
    /// RFC 8032 §5.1.5.
    Ed25519([u8; PublicKey::ED25519_BYTES]),
}

impl PublicKey {
    /// Bits of a modulus: fewer can be factored (RFC 7518 §3.3), and more are what `ring` does not take.
    const RSA_BITS: RangeInclusive<usize> = 2048..=8192;
    /// Bytes of a coordinate (RFC 7518 §6.2.1.2).
    const COORDINATE_BYTES: usize = 32;
    /// Bytes of a key (RFC 8032 §5.1.5).
    const ED25519_BYTES: usize = 32;
    const P256_BYTES: usize = 1 + 2 * Self::COORDINATE_BYTES;

    /// The key in a PEM text with the label `PUBLIC KEY` (RFC 7468 §13).
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_pem(pem: &str, kid: Option<&str>) -> Result<Self, KeyError> {
        let (label, document) = Document::from_pem(pem.trim()).map_err(|_| KeyError::NotPem)?;
        if label != "PUBLIC KEY" {
            return Err(KeyError::Label(label.into()));
        }
        let info =
            SubjectPublicKeyInfoRef::from_der(document.as_bytes()).map_err(|_| KeyError::NotPublicKey)?;
        let bits = info.subject_public_key.as_bytes().ok_or(KeyError::NotPublicKey)?;
        let parameters = info.algorithm.parameters;
        let key = match info.algorithm.oid {
            RSA_ENCRYPTION => {
                let (n, e) = rsa_numbers(bits).map_err(|_| KeyError::NotPublicKey)?;
                Self::rsa(n, e)?
            }
            EC_PUBLIC_KEY => match parameters.map(|curve| curve.decode_as::<ObjectIdentifier>()) {
                Some(Ok(P256)) => Self::p256(bits)?,
                _ => return Err(KeyError::Curve),
            },
            ED25519_KEY if parameters.is_none() => Self::ed25519(bits)?,
            _ => return Err(KeyError::Kind),
        };
        Ok(key.called(kid))
    }

    /// An RSA key of these numbers, big-endian.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn rsa(n: &[u8], e: &[u8]) -> Result<Self, KeyError> {
        let bits = match n.first() {
            // RFC 7518 §6.3.1.1: "minimum number of octets".
            None | Some(0) => return Err(KeyError::Number),
            Some(first) => n.len() * 8 - first.leading_zeros() as usize,
        };
        if !Self::RSA_BITS.contains(&bits) {
            return Err(KeyError::RsaSize { bits, legal: Self::RSA_BITS });
        }
        let is_odd = |number: &[u8]| number.last().is_some_and(|last| last & 1 == 1);
        // An exponent of 1 signs nothing. Five bytes hold more than the 33 bits that `ring` takes, so it looks again.
        let is_exponent =
            is_odd(e) && !e.starts_with(&[0]) && e != [1] && e.len() <= 5 && (e.len() < 5 || e[0] <= 1);
        match is_odd(n) && is_exponent {
            true => Ok(Self { kid: None, material: Material::Rsa { n: n.into(), e: e.into() } }),
            false => Err(KeyError::Number),
        }
    }

    /// A key of P-256: an uncompressed point.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn p256(point: &[u8]) -> Result<Self, KeyError> {
        let point: [u8; Self::P256_BYTES] = point.try_into().map_err(|_| KeyError::Point)?;
        match point[0] == UNCOMPRESSED && is_on_p256(&point) {
            true => Ok(Self { kid: None, material: Material::P256(point) }),
            false => Err(KeyError::Point),
        }
    }

    /// A key of P-256 by its coordinates.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn p256_at(x: &[u8], y: &[u8]) -> Result<Self, KeyError> {
        match (x.len(), y.len()) {
            (Self::COORDINATE_BYTES, Self::COORDINATE_BYTES) => {
                Self::p256(&[&[UNCOMPRESSED][..], x, y].concat())
            }
            _ => Err(KeyError::Point),
        }
    }

    /// A key of Ed25519.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn ed25519(key: &[u8]) -> Result<Self, KeyError> {
        let key = key.try_into().map_err(|_| KeyError::Point)?;
        Ok(Self { kid: None, material: Material::Ed25519(key) })
    }

    /// The same with the name that tokens call it by.
    pub fn called(self, kid: Option<&str>) -> Self {
        Self { kid: kid.map(Into::into), ..self }
    }

    /// What tokens call it by.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The one algorithm that it serves.
    pub fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::Rsa { .. } => Algorithm::Rs256,
            Material::P256(_) => Algorithm::Es256,
            Material::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    /// What it is, whatever it is called.
    pub fn material(&self) -> &Material {
        &self.material
    }

    /// Whether its private half made `signature` of `message`.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified: Result<(), Unspecified> = match &self.material {
            Material::Rsa { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            Material::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            Material::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature),
        };
        verified.is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {:?})", self.algorithm().name(), self.kid)
    }
}

/// The numbers of an `RSAPublicKey` (RFC 8017 §A.1.1).
fn rsa_numbers(bytes: &[u8]) -> der::Result<(&[u8], &[u8])> {
    let mut reader = SliceReader::new(bytes)?;
    let numbers = reader.sequence(|reader| {
        let n = UintRef::decode(reader)?;
        let e = UintRef::decode(reader)?;
        Ok::<_, der::Error>((n.as_bytes(), e.as_bytes()))
    })?;
    reader.finish()?;
    Ok(numbers)
}

/// `ring` looks at the point of the other side before it agrees on a key: the one thing in it that says what is wrong before a
/// signature comes.
fn is_on_p256(point: &[u8]) -> bool {
    let own = agreement::EphemeralPrivateKey::generate(&agreement::ECDH_P256, &SystemRandom::new());
    let other = agreement::UnparsedPublicKey::new(&agreement::ECDH_P256, point);
    own.and_then(|own| agreement::agree_ephemeral(own, &other, |_| ())).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_no_rsa_key_are_refused() {
        let modulus = |bytes: usize| {
            let mut n = vec![0xff; bytes];
            n[0] = 0x80;
            n
        };
        let e = [1, 0, 1];
        assert!(PublicKey::rsa(&modulus(256), &e).is_ok());
        assert!(PublicKey::rsa(&modulus(1024), &[3]).is_ok());
        let size = |bits| KeyError::RsaSize { bits, legal: 2048..=8192 };
        for (n, e, error) in [
            (modulus(255), &e[..], size(2040)),
            (modulus(128), &e, size(1024)),
            (modulus(1025), &e, size(8200)),
            (vec![], &e, KeyError::Number),
            ([&[0][..], &modulus(256)].concat(), &e, KeyError::Number),
            ([&modulus(255)[..], &[0xfe]].concat(), &e, KeyError::Number),
            (modulus(256), &[], KeyError::Number),
            (modulus(256), &[1], KeyError::Number),
            (modulus(256), &[2], KeyError::Number),
            (modulus(256), &[0, 3], KeyError::Number),
            (modulus(256), &[2, 0, 0, 0, 1], KeyError::Number),
            (modulus(256), &[1, 0, 0, 0, 0, 1], KeyError::Number),
        ] {
            assert_eq!(PublicKey::rsa(&n, e), Err(error), "{} {e:?}", n.len());
        }
    }

    #[test]
    fn a_point_beside_the_curve_is_no_key() {
        // RFC 7517 §A.1.
        let x = b"\x30\xa0\x42\x4c\xd2\x1c\x29\x44\x83\x8a\x2d\x75\xc9\x2b\x37\xe7\x6e\xa2\x0d\x9f\x00\x89\x3a\x3b\x4e\xee\x8a\x3c\x0a\xaf\xec\x3e";
        let y = b"\xe0\x4b\x65\xe9\x24\x56\xd9\x88\x8b\x52\xb3\x79\xbd\xfb\xd5\x1e\xe8\x69\xef\x1f\x0f\xc6\x5b\x66\x59\x69\x5b\x6c\xce\x08\x17\x23";
        assert!(PublicKey::p256_at(x, y).is_ok());
        assert_eq!(PublicKey::p256_at(y, x), Err(KeyError::Point));
        assert_eq!(PublicKey::p256_at(x, &y[1..]), Err(KeyError::Point));
        assert_eq!(PublicKey::p256_at(&[0; 32], &[0; 32]), Err(KeyError::Point));
        assert_eq!(PublicKey::ed25519(&[0; 31]), Err(KeyError::Point));
    }
}
