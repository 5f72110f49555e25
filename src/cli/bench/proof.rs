//! What a URL has to prove who a player is. With it, a URL may name no group: the token names it.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::http::Query;

/// Why connections with a proof in their URL are in no group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoGroup {
    /// The token names others.
    Other {
        /// The one that was asked for.
        wanted: String,
        /// What it names.
        named: Vec<String>,
    },
    /// A signed query, or a token that names none.
    None,
}

impl fmt::Display for NoGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other { wanted, named } => write!(
                f,
                "the token in the URL is for the groups {}, and with a token a URL names no other: make one with \
                 --group {wanted}",
                named.join(", ")
            ),
            Self::None => f.write_str(
                "what the URL has for a proof leads into no group: make a token with gannet token mint --group",
            ),
        }
    }
}

/// What a token says that matters here.
#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    groups: Vec<String>,
}

/// The group that connections to `path` can all be in: `None` if the URL proves nothing, and so may name any. `wanted` is
/// the one that is asked for.
///
/// # Errors
/// [`NoGroup`].
pub fn group(path: &str, wanted: Option<&str>) -> Result<Option<String>, NoGroup> {
    let query = path.split_once('?').map_or("", |(_, query)| query);
    let mut pairs = Query::new(query).filter_map(Result::ok);
    let Some((name, value)) = pairs.find(|(name, _)| name == "token" || name == "signature") else {
        return Ok(None);
    };
    let named = if name == "token" { groups_of(&value) } else { Vec::new() };
    match (wanted, named.first()) {
        (_, None) => Err(NoGroup::None),
        (None, Some(first)) => Ok(Some(first.clone())),
        (Some(wanted), _) if named.iter().any(|group| group == wanted) => Ok(Some(wanted.to_owned())),
        (Some(wanted), _) => Err(NoGroup::Other { wanted: wanted.to_owned(), named }),
    }
}

/// The groups that a token is for. Whether it holds, the server says.
fn groups_of(token: &str) -> Vec<String> {
    let payload = token.split('.').nth(1).and_then(|part| BASE64_URL_SAFE_NO_PAD.decode(part).ok());
    let claims = payload.and_then(|payload| serde_json::from_slice::<Claims>(&payload).ok());
    claims.map(|claims| claims.groups).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_is_one_of_the_token() {
        let token = |claims: &str| format!("/ws?token=e30.{}.x", BASE64_URL_SAFE_NO_PAD.encode(claims));
        let two = token(r#"{"sub":"a","groups":["red","blue"]}"#);
        assert_eq!(group("/ws?user=a", Some("red")), Ok(None));
        assert_eq!(group(&two, None), Ok(Some("red".to_owned())));
        assert_eq!(group(&two, Some("blue")), Ok(Some("blue".to_owned())));
        let named = vec!["red".to_owned(), "blue".to_owned()];
        assert_eq!(group(&two, Some("bench")), Err(NoGroup::Other { wanted: "bench".to_owned(), named }));
        for path in [token(r#"{"sub":"a"}"#), token("no JSON"), "/ws?user=a&signature=00".to_owned()] {
            assert_eq!(group(&path, None), Err(NoGroup::None), "{path}");
        }
    }
}
