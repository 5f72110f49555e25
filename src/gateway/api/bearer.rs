//! The token of an `Authorization` header. Knows nothing of whether it is good.

/// The token of `Bearer <token>` (RFC 6750 §2.1); the scheme in any case, as RFC 9110 §11.1 has it.
pub fn bearer_token(header: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = header.split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_the_scheme() {
        let table: &[(&[u8], Option<&[u8]>)] = &[
            (b"Bearer key", Some(b"key")),
            (b"bearer  key ", Some(b"key")),
            (b"Bearer ", Some(b"")),
            (b"Bearer \xff\xfe", Some(b"\xff\xfe")),
            (b"Bearer", None),
            (b"Bearerkey", None),
            (b"Basic key", None),
            (b"key", None),
            (b"", None),
        ];
        for &(header, token) in table {
            assert_eq!(bearer_token(header), token, "{header:?}");
        }
    }
}
