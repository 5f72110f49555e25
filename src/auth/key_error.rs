//! What can be wrong with public keys and sets of them, by cause.

use std::fmt;
use std::ops::RangeInclusive;

/// Why something is no key that tokens could be checked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyError {
    /// Not PEM, or more than one block of it.
    NotPem,
    /// PEM of something else.
    Label(Box<str>),
    /// Not a SubjectPublicKeyInfo (RFC 5280 §4.1.2.7).
    NotPublicKey,
    /// A kind of key for which there is no algorithm here.
    Kind,
    /// A curve other than P-256.
    Curve,
    /// An RSA key of a size that is not taken.
    RsaSize {
        /// Its bits.
        bits: usize,
        /// What is taken.
        legal: RangeInclusive<usize>,
    },
    /// A modulus or exponent that no RSA key has, or one with leading zeros.
    Number,
    /// Not a point of the curve, or not in the right form.
    Point,
    /// The key is for another algorithm than is said beside it.
    Algorithm {
        /// What is said.
        said: &'static str,
        /// What it is for.
        is: &'static str,
    },
    /// A kid that another key of the app has.
    Doubled(Box<str>),
    /// Another app has the key too, and no audience tells their tokens apart.
    Shared(Box<str>),
    /// The document is larger than this.
    TooLong(usize),
    /// The document is not one JSON object with an array `keys` of objects (RFC 7517 §5), or has a name twice.
    NotJwks,
    /// The document has more keys than this.
    TooMany(usize),
    /// None of so many keys in the document can check a token.
    NoneUsable(usize),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPem => {
                f.write_str("it is no PEM: one block that begins with -----BEGIN PUBLIC KEY-----")
            }
            Self::Label(label) if label.contains("PRIVATE") => write!(
                f,
                "it holds a {label}: keep that where tokens are signed, and write the public half here (`openssl pkey -in \
                 key.pem -pubout`)"
            ),
            Self::Label(label) => write!(
                f,
                "it holds a {label}, and a PUBLIC KEY is needed (`openssl x509 -pubkey -noout` takes it out of a certificate)"
            ),
            Self::NotPublicKey => f.write_str("its bytes are no public key (SubjectPublicKeyInfo)"),
            Self::Kind => {
                f.write_str("it is a kind of key that is not used here: RSA, EC on P-256 or Ed25519")
            }
            Self::Curve => f.write_str("it is on another curve than P-256"),
            Self::RsaSize { bits, legal } => {
                write!(f, "it is an RSA key of {bits} bits: {} to {} are taken", legal.start(), legal.end())
            }
            Self::Number => f.write_str("its numbers are those of no RSA key"),
            Self::Point => f.write_str("it is no point of its curve"),
            Self::Algorithm { said, is } => {
                write!(f, "it is a key for {is}, and algorithm = \"{said}\" stands beside it")
            }
            Self::Doubled(kid) => {
                write!(f, "two keys have the kid {}: give each its own", crate::dispatch::Quoted(kid))
            }
            Self::Shared(app) => write!(
                f,
                "the app {} has the same key, so that a token for one could open the other: give each an audience of its own",
                crate::dispatch::Quoted(app)
            ),
            Self::TooLong(most) => {
                write!(f, "it is larger than auth.max_jwks_bytes allows ({most} bytes)")
            }
            Self::NotJwks => f.write_str(
                "it is no JWK set: one JSON object with an array \"keys\" of objects, without doubled names",
            ),
            Self::TooMany(most) => write!(f, "it has more keys than auth.max_jwks_keys allows ({most})"),
            Self::NoneUsable(count) => write!(
                f,
                "none of its {count} keys can check a token: RSA, EC on P-256 or Ed25519 for signatures are looked for"
            ),
        }
    }
}

impl std::error::Error for KeyError {}
