//! What a client shows to prove who it is: a token in the query or in `Authorization`, or a signed query. Knows nothing
//! of whether it is good.

use super::bearer::bearer_token;
use super::params::{self, Value};
use crate::dispatch::CommandError;
use crate::http::Request;
use crate::ops::bounds::bad_request;
use crate::ops::field::once;
use std::borrow::Cow;

/// What a request shows. As it was sent: nothing of it has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials<'a> {
    /// Nothing that could prove anything.
    None,
    /// A token.
    Token(Cow<'a, [u8]>),
    /// A signed query.
    Signed(SignedParams<'a>),
}

/// The parameters of a signed query, percent-decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedParams<'a> {
    /// `app`.
    pub app: Value<'a>,
    /// `user`.
    pub user: Value<'a>,
    /// `timestamp`.
    pub timestamp: Value<'a>,
    /// `nonce`.
    pub nonce: Value<'a>,
    /// `signature`.
    pub signature: Value<'a>,
}

/// What `request` shows. A `user` or `group` that nobody has signed is no proof, and not looked at.
///
/// # Errors
/// 400 for a proof with parameters beside it that it does not cover, for two proofs, and for half a signed query.
pub fn credentials<'a>(request: &Request<'a>) -> Result<Credentials<'a>, CommandError> {
    const SIGNED: [&str; 5] = ["app", "user", "timestamp", "nonce", "signature"];
    let mut token = None;
    let mut signed = [const { None }; SIGNED.len()];
    let mut other = None;
    for pair in params::pairs(request.query) {
        let (name, value) = pair?;
        match SIGNED.iter().position(|known| *known == name) {
            Some(index) => once(&mut signed[index], &name, value)?,
            None if name == "token" => once(&mut token, "token", value)?,
            None => drop(other.get_or_insert(name)),
        }
    }
    let header = request.header("authorization").and_then(bearer_token);
    let signature = signed[4].is_some();
    let unknown = |known: &[&str]| other.as_deref().map_or(Ok(()), |name| Err(params::unknown(name, known)));
    match (token, header) {
        (None, None) if !signature => Ok(Credentials::None),
        (None, None) => {
            unknown(&SIGNED)?;
            let [app, user, timestamp, nonce, signature] = signed;
            Ok(Credentials::Signed(SignedParams {
                app: params::needed("app", app)?,
                user: params::needed("user", user)?,
                timestamp: params::needed("timestamp", timestamp)?,
                nonce: params::needed("nonce", nonce)?,
                signature: params::needed("signature", signature)?,
            }))
        }
        // RFC 6750 §2: a token is shown in one way.
        (Some(_), Some(_)) => Err(bad_request("the token is shown twice: in the query and in Authorization")),
        (token, header) => {
            unknown(&["token"])?;
            if let Some(index) = signed.iter().position(Option::is_some) {
                return Err(params::unknown(SIGNED[index], &["token"]));
            }
            let token = token.map(|token| Cow::Owned(token.into_owned().into_bytes()));
            Ok(Credentials::Token(token.or(header.map(Cow::Borrowed)).unwrap_or_default()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::HeadLimits;

    /// What `target` shows with the header fields `fields`.
    fn ask<R>(
        target: &str,
        fields: &str,
        look: impl FnOnce(Result<Credentials<'_>, CommandError>) -> R,
    ) -> R {
        let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let request = Request::parse(head.as_bytes(), &HeadLimits::default()).expect(target);
        look(credentials(&request))
    }

    #[test]
    fn a_proof_is_shown_in_one_of_three_ways() {
        for (target, fields) in [
            ("/ws?token=a.b.c", ""),
            ("/ws?token=a%2Eb.c&", "Authorization: Basic YTpi\r\n"),
            ("/ws", "Authorization: Bearer a.b.c\r\n"),
            ("/ws?", "authorization: bearer  a.b.c \r\n"),
        ] {
            ask(target, fields, |shown| {
                assert_eq!(shown, Ok(Credentials::Token(b"a.b.c".into())), "{target} {fields}");
            });
        }
        ask("/ws?app=chess&user=a+b&timestamp=1&nonce=n&signature=00", "", |shown| {
            let [app, user, timestamp, nonce, signature] = ["chess", "a b", "1", "n", "00"].map(Into::into);
            let expected = SignedParams { app, user, timestamp, nonce, signature };
            assert_eq!(shown, Ok(Credentials::Signed(expected)));
        });
    }

    #[test]
    fn whoever_only_says_who_it_is_shows_nothing() {
        for (target, fields) in [
            ("/ws", ""),
            ("/ws?user=ada&group=g&tag=t", ""),
            ("/ws?app=chess&user=ada&timestamp=1&nonce=n", ""),
            ("/ws?whatever=1", "Authorization: Basic YTpi\r\n"),
            ("/ws", "Authorization: Bearer\r\n"),
        ] {
            ask(target, fields, |shown| assert_eq!(shown, Ok(Credentials::None), "{target} {fields}"));
        }
    }

    #[test]
    fn others_are_refused() {
        let bearer = "Authorization: Bearer a.b.c\r\n";
        for (target, fields, says) in [
            ("/ws?token=a&token=a", "", "token is given twice"),
            ("/ws?token=a.b.c", bearer, "the token is shown twice"),
            ("/ws?token=a&user=eve", "", r#"no parameter "user" here; there are token"#),
            ("/ws?user=eve", bearer, r#"no parameter "user" here; there are token"#),
            ("/ws?group=g", bearer, r#"no parameter "group" here; there are token"#),
            ("/ws?token=a&signature=00", "", r#"no parameter "signature" here"#),
            ("/ws?app=a&user=u&timestamp=1&signature=00", "", "the parameter nonce is missing"),
            ("/ws?user=u&timestamp=1&nonce=n&signature=00", "", "the parameter app is missing"),
            ("/ws?app=a&user=u&timestamp=1&nonce=n&signature=0&group=g", "", r#"no parameter "group" here"#),
            ("/ws?app=a&user=u&user=v&timestamp=1&nonce=n&signature=0", "", "user is given twice"),
            ("/ws?user=%", "", "hex digits"),
        ] {
            ask(target, fields, |shown| {
                let error = shown.expect_err(target);
                assert!(error.message.contains(says), "{target}: {error}");
            });
        }
    }
}
