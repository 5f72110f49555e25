//! Whoever signs players' tokens with keys of its own, and publishes the public halves: with `ring`, and without any of
//! gannet's code. The tests in `tests/it` have it too.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as BASE64URL};
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::{Value, json};

/// Made once with `openssl genpkey`, since `ring` makes no RSA keys; it has signed nothing but tokens of tests.
const RSA_2048: &[u8] = include_bytes!("../../tests/data/rsa_2048.pk8");
/// What stands before the key in a SubjectPublicKeyInfo: an RSA key of 2048 bits with the exponent 65537.
const RSA_HEAD: &[u8] = &[
    0x30, 0x82, 0x01, 0x22, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01,
    0x05, 0x00, 0x03, 0x82, 0x01, 0x0f, 0x00,
];
/// The same for a point of P-256.
const EC_HEAD: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// The same for a key of Ed25519.
const ED_HEAD: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// One key of an issuer.
pub struct Issuer {
    pub kid: String,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl Issuer {
    /// One of RS256; always the same key.
    pub fn rs256(kid: &str) -> Self {
        Self { kid: kid.to_owned(), pair: Pair::Rsa(RsaKeyPair::from_pkcs8(RSA_2048).unwrap()) }
    }

    /// One of ES256, with a new key.
    pub fn es256(kid: &str) -> Self {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap();
        Self { kid: kid.to_owned(), pair: Pair::Ec(pair) }
    }

    /// One of EdDSA, with a new key.
    pub fn eddsa(kid: &str) -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
        Self { kid: kid.to_owned(), pair: Pair::Ed(pair) }
    }

    /// One of each kind, called `rsa`, `ec` and `ed`.
    pub fn all() -> [Self; 3] {
        [Self::rs256("rsa"), Self::es256("ec"), Self::eddsa("ed")]
    }

    pub fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::Ec(_) => "ES256",
            Pair::Ed(_) => "EdDSA",
        }
    }

    /// A token of these claims, with the key's name in its header.
    pub fn token(&self, claims: &Value) -> String {
        self.signed(&json!({ "alg": self.algorithm(), "typ": "JWT", "kid": self.kid }), claims)
    }

    /// A token of any header and claims, signed as the key can.
    pub fn signed(&self, header: &Value, claims: &Value) -> String {
        let [header, claims] = [header, claims].map(|value| BASE64URL.encode(value.to_string()));
        let unsigned = format!("{header}.{claims}");
        format!("{unsigned}.{}", BASE64URL.encode(self.signature(unsigned.as_bytes())))
    }

    fn signature(&self, message: &[u8]) -> Vec<u8> {
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).unwrap();
                signature
            }
            Pair::Ec(pair) => pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    fn public(&self) -> &[u8] {
        match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_ref(),
            Pair::Ec(pair) => pair.public_key().as_ref(),
            Pair::Ed(pair) => pair.public_key().as_ref(),
        }
    }

    /// The public half as a JWK (RFC 7517 §4).
    pub fn jwk(&self) -> Value {
        let text = |bytes: &[u8]| BASE64URL.encode(bytes);
        let mut jwk = match &self.pair {
            Pair::Rsa(pair) => {
                let PublicKeyComponents { n, e }: PublicKeyComponents<Vec<u8>> = pair.public().into();
                json!({ "kty": "RSA", "n": text(&n), "e": text(&e) })
            }
            Pair::Ec(_) => {
                let (x, y) = self.public()[1..].split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "x": text(x), "y": text(y) })
            }
            Pair::Ed(_) => json!({ "kty": "OKP", "crv": "Ed25519", "x": text(self.public()) }),
        };
        jwk["kid"] = self.kid.as_str().into();
        jwk
    }

    /// The public half in PEM (RFC 7468 §13).
    pub fn pem(&self) -> String {
        let head = match self.pair {
            Pair::Rsa(_) => RSA_HEAD,
            Pair::Ec(_) => EC_HEAD,
            Pair::Ed(_) => ED_HEAD,
        };
        let text = STANDARD.encode([head, self.public()].concat());
        let lines: Vec<&str> =
            (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }
}

/// A JWK set of these keys.
pub fn jwks<'a>(issuers: impl IntoIterator<Item = &'a Issuer>) -> String {
    json!({ "keys": issuers.into_iter().map(Issuer::jwk).collect::<Vec<_>>() }).to_string()
}
