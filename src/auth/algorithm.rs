//! The algorithms that tokens may be signed with (RFC 7518 §3.1). A token says which one it was made with; only what has a
//! row here is ever tried, each with keys of its own kind, so that a token cannot choose how it is checked (RFC 8725 §3.1).

/// One algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256 (RFC 7518 §3.2).
    Hs256,
}

impl Algorithm {
    const ALL: [Self; 1] = [Self::Hs256];

    /// The algorithm that `alg` names: the names are case-sensitive (RFC 7515 §4.1.1).
    pub fn named(alg: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == alg)
    }

    /// Its name as the value of `alg`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
        }
    }
}
