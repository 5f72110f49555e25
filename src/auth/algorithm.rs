//! The algorithms that tokens may be signed with (RFC 7518 §3.1, RFC 8037 §3.1). A token says which one it was made with;
//! only what has a row here is ever tried, each with keys of its own kind, so that a token cannot choose how it is checked
//! (RFC 8725 §3.1).

/// One algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256 (RFC 7518 §3.2).
    Hs256,
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 §3.3).
    Rs256,
    /// ECDSA on P-256 with SHA-256 (RFC 7518 §3.4).
    Es256,
    /// Ed25519 (RFC 8037 §3.1). Of the curves that `EdDSA` may mean, it is the one that is spoken here.
    EdDsa,
}

impl Algorithm {
    const ALL: [Self; 4] = [Self::Hs256, Self::Rs256, Self::Es256, Self::EdDsa];

    /// The algorithm that `alg` names: the names are case-sensitive (RFC 7515 §4.1.1).
    pub fn named(alg: &str) -> Option<Self> {
        // RFC 9864 §2.2 gives EdDSA with this curve a name of its own.
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == alg || (alg == "Ed25519" && *algorithm == Self::EdDsa))
    }

    /// Its name as the value of `alg`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}
