//! What a client shows to prove who it is: a token in the query, in `Authorization` or among the subprotocols that it offers,
//! or a signed query. Knows nothing of whether it is good.

use super::bearer::bearer_token;
use super::coming_back::PARAMS;
use super::params::{self, Value};
use crate::dispatch::CommandError;
use crate::http::Request;
use crate::ops::bounds::bad_request;
use crate::ops::field::once;
use std::borrow::Cow;

/// How a subprotocol begins that carries a token: the one field beside the target that a browser lets a page fill. All of
/// base64url and the dots are characters of a subprotocol's name (RFC 9110 §5.6.2).
const TOKEN: &str = "gannet.token.";

/// Whether a subprotocol carries a token.
pub fn is_token(subprotocol: &str) -> bool {
    subprotocol.starts_with(TOKEN)
}

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

/// What `request` shows, which offers these subprotocols. A `user` or `group` that nobody has signed is no proof, and not
/// looked at.
///
/// # Errors
/// 400 for a proof with parameters beside it that it does not cover, for two proofs, and for half a signed query.
pub fn credentials<'a>(request: &Request<'a>, offered: &[&'a str]) -> Result<Credentials<'a>, CommandError> {
    const SIGNED: [&str; 5] = ["app", "user", "timestamp", "nonce", "signature"];
    let mut token = None;
    let mut signed = [const { None }; SIGNED.len()];
    let mut other = None;
    for pair in params::pairs(request.query) {
        let (name, value) = pair?;
        match SIGNED.iter().position(|known| *known == name) {
            Some(index) => once(&mut signed[index], &name, value)?,
            None if name == "token" => once(&mut token, "token", value)?,
            None if PARAMS.contains(&&*name) => {}
            None => drop(other.get_or_insert(name)),
        }
    }
    let header = request.header("authorization").and_then(bearer_token);
    let mut offered = offered.iter().filter_map(|name| name.strip_prefix(TOKEN)).map(str::as_bytes);
    let beside = [header, offered.next(), offered.next()];
    let signature = signed[4].is_some();
    let unknown = |known: &[&str]| other.as_deref().map_or(Ok(()), |name| Err(params::unknown(name, known)));
    let mut beside = beside.into_iter().flatten();
    match (token, beside.next(), beside.next()) {
        (None, None, _) if !signature => Ok(Credentials::None),
        (None, None, _) => {
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
        (Some(_), Some(_), _) | (_, _, Some(_)) => Err(bad_request(
            "the token is shown twice: show it in the query, in Authorization, or as a subprotocol",
        )),
        (token, beside, None) => {
            unknown(&["token"])?;
            if let Some(index) = signed.iter().position(Option::is_some) {
                return Err(params::unknown(SIGNED[index], &["token"]));
            }
            let token = token.map(|token| Cow::Owned(token.into_owned().into_bytes()));
            Ok(Credentials::Token(token.or(beside.map(Cow::Borrowed)).unwrap_or_default()))
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
        ask_offering(target, fields, &[], look)
    }

    /// The same with subprotocols.
    fn ask_offering<R>(
        target: &str,
        fields: &str,
        offered: &[&str],
        look: impl FnOnce(Result<Credentials<'_>, CommandError>) -> R,
    ) -> R {
        let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let request = Request::parse(head.as_bytes(), &HeadLimits::default()).expect(target);
        look(credentials(&request, offered))
    }

    #[test]
    fn a_token_is_shown_as_a_subprotocol_and_in_no_other_way_then() {
        let token = |text: &str| Ok(Credentials::Token(text.as_bytes().to_vec().into()));
        let twice = |shown: Result<Credentials<'_>, CommandError>| {
            assert!(shown.is_err_and(|error| error.message.contains("shown twice")));
        };
        for (offered, expected) in [
            (&["gannet.token.a.b.c"][..], token("a.b.c")),
            (&["gannet.v1", "gannet.token.a.b.c", "chess"], token("a.b.c")),
            (&["gannet.token."], token("")),
            (&["gannet.tokens.a", "Gannet.Token.a.b.c", "gannet.token"], Ok(Credentials::None)),
        ] {
            ask_offering("/ws", "", offered, |shown| assert_eq!(shown, expected, "{offered:?}"));
        }
        let one = &["gannet.token.a.b.c"];
        ask_offering("/ws?token=a.b.c", "", one, twice);
        ask_offering("/ws", "Authorization: Bearer a.b.c\r\n", one, twice);
        ask_offering("/ws", "", &["gannet.token.a.b.c", "gannet.token.d.e.f"], twice);
        for target in ["/ws?user=eve", "/ws?app=a&user=u&timestamp=1&nonce=n&signature=00", "/ws?group=g"] {
            ask_offering(target, "", one, |shown| {
                assert!(shown.is_err_and(|error| error.message.contains("no parameter")), "{target}");
            });
        }
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
