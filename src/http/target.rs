//! The parts of a request target: path segments and query pairs, percent-decoded (RFC 3986 §2.1).

use std::borrow::Cow;
use std::str::Split;

use super::TargetError;

/// The segments of a path, each decoded by itself, so that an escaped `/` stays inside its segment.
///
/// The `/` in front opens the first segment: `/` has one, which is empty, and so has a path that ends in `/` at its end.
///
/// ```
/// use gannet::http::path_segments;
/// let segments: Result<Vec<_>, _> = path_segments("/v1/groups/red%2Fblue/members").collect();
/// assert_eq!(segments.unwrap(), ["v1", "groups", "red/blue", "members"]);
/// ```
pub fn path_segments(path: &str) -> PathSegments<'_> {
    PathSegments { rest: path.strip_prefix('/').unwrap_or(path).split('/') }
}

/// The iterator that [`path_segments`] makes.
///
/// ```
/// use gannet::http::{PathSegments, TargetError, path_segments};
/// let mut segments: PathSegments = path_segments("/ws/%zz");
/// assert_eq!(segments.next(), Some(Ok("ws".into())));
/// assert_eq!(segments.next(), Some(Err(TargetError::BadEscape)));
/// assert_eq!(segments.next(), None);
/// ```
#[derive(Debug, Clone)]
pub struct PathSegments<'t> {
    rest: Split<'t, char>,
}

impl<'t> Iterator for PathSegments<'t> {
    type Item = Result<Cow<'t, str>, TargetError>;

    fn next(&mut self) -> Option<Self::Item> {
        // A plus is a plus in a path.
        self.rest.next().map(percent_decode)
    }
}

/// The pairs of a query, decoded: `name=value` joined by `&`, `+` for a space; a name alone has an empty value, and
/// empty pairs are passed over.
///
/// ```
/// use gannet::http::Query;
/// let pairs: Result<Vec<_>, _> = Query::new("user=ada+l&tag=v2%2E1&all").collect();
/// assert_eq!(
///     pairs.unwrap(),
///     [("user".into(), "ada l".into()), ("tag".into(), "v2.1".into()), ("all".into(), "".into())]
/// );
/// ```
#[derive(Debug, Clone)]
pub struct Query<'t> {
    rest: Split<'t, char>,
}

impl<'t> Query<'t> {
    /// The pairs of `query`, which has no `?` in front; `""` has none.
    pub fn new(query: &'t str) -> Self {
        Self { rest: query.split('&') }
    }
}

impl<'t> Iterator for Query<'t> {
    type Item = Result<(Cow<'t, str>, Cow<'t, str>), TargetError>;

    fn next(&mut self) -> Option<Self::Item> {
        let pair = self.rest.find(|pair| !pair.is_empty())?;
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some(decode_form(name).and_then(|name| Ok((name, decode_form(value)?))))
    }
}

/// Appends `text` to `out` so that it can stand as a path segment, or as a name or value in a query: everything but the
/// unreserved characters is escaped (RFC 3986 §2.3).
///
/// ```
/// let mut target = String::from("/v1/users/");
/// gannet::http::percent_encode("ada / bob", &mut target);
/// assert_eq!(target, "/v1/users/ada%20%2F%20bob");
/// ```
pub fn percent_encode(text: &str, out: &mut String) {
    const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.extend(['%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
}

fn decode_form(text: &str) -> Result<Cow<'_, str>, TargetError> {
    if !text.contains('+') {
        return percent_decode(text);
    }
    let spaced = text.replace('+', " ");
    percent_decode(&spaced).map(|decoded| Cow::Owned(decoded.into_owned()))
}

fn percent_decode(text: &str) -> Result<Cow<'_, str>, TargetError> {
    let mut parts = text.split('%');
    let plain = parts.next().unwrap_or_default();
    if plain.len() == text.len() {
        return Ok(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    bytes.extend_from_slice(plain.as_bytes());
    for part in parts {
        let [high, low, rest @ ..] = part.as_bytes() else { return Err(TargetError::BadEscape) };
        bytes.push(hex_digit(*high)? << 4 | hex_digit(*low)?);
        bytes.extend_from_slice(rest);
    }
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| TargetError::NotUtf8)
}

fn hex_digit(byte: u8) -> Result<u8, TargetError> {
    match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        b'A'..=b'F' => Ok(byte - b'A' + 10),
        _ => Err(TargetError::BadEscape),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Decoded<'t, T> = Result<Vec<T>, TargetError>;

    #[test]
    fn segments() {
        let bad = Err(TargetError::BadEscape);
        let table: &[(&str, Decoded<&str>)] = &[
            ("/", Ok(vec![""])),
            ("/a", Ok(vec!["a"])),
            ("/a/", Ok(vec!["a", ""])),
            ("/a//b", Ok(vec!["a", "", "b"])),
            ("/a%2fb/c+d", Ok(vec!["a/b", "c+d"])),
            ("/gr%C3%B6%C3%9fe/größe", Ok(vec!["größe", "größe"])),
            ("/%25", Ok(vec!["%"])),
            ("/%00", Ok(vec!["\0"])),
            ("*", Ok(vec!["*"])),
            ("/%", bad.clone()),
            ("/%4", bad.clone()),
            ("/%4g", bad.clone()),
            ("/%+1", bad.clone()),
            ("/%%41", bad.clone()),
            ("/%4é", bad.clone()),
            ("/%ff", Err(TargetError::NotUtf8)),
            ("/%c3/%b6", Err(TargetError::NotUtf8)),
            ("/%ed%a0%80", Err(TargetError::NotUtf8)),
        ];
        for (path, expected) in table {
            let segments: Decoded<Cow<str>> = path_segments(path).collect();
            let expected = expected.clone().map(|list| list.into_iter().map(Cow::from).collect());
            assert_eq!(segments, expected, "{path}");
        }
    }

    #[test]
    fn pairs() {
        let table: &[(&str, Decoded<(&str, &str)>)] = &[
            ("", Ok(vec![])),
            ("&&", Ok(vec![])),
            ("a=1&b=2&a=3", Ok(vec![("a", "1"), ("b", "2"), ("a", "3")])),
            ("a&b=&=c", Ok(vec![("a", ""), ("b", ""), ("", "c")])),
            ("a=b=c", Ok(vec![("a", "b=c")])),
            ("a+b=c+%2B+d", Ok(vec![("a b", "c + d")])),
            ("a%3Db=%26", Ok(vec![("a=b", "&")])),
            ("a=?/", Ok(vec![("a", "?/")])),
            ("a=1;b=2", Ok(vec![("a", "1;b=2")])),
            ("a=%", Err(TargetError::BadEscape)),
            ("%=a", Err(TargetError::BadEscape)),
            ("a=%+4", Err(TargetError::BadEscape)),
            ("a=%80", Err(TargetError::NotUtf8)),
        ];
        for (query, expected) in table {
            let pairs: Decoded<(Cow<str>, Cow<str>)> = Query::new(query).collect();
            let owned = |(name, value)| (Cow::from(name), Cow::from(value));
            let expected = expected.clone().map(|list| list.into_iter().map(owned).collect());
            assert_eq!(pairs, expected, "{query}");
        }
    }

    #[test]
    fn what_was_encoded_is_decoded_again() {
        let every_char: String = (0..=0x2fff).filter_map(char::from_u32).collect();
        for text in ["", "ada", "a b+c/d?e&f=g%h#i", "🎲\0\r\n", &every_char] {
            let mut encoded = String::new();
            percent_encode(text, &mut encoded);
            assert!(encoded.bytes().all(|byte| byte.is_ascii_graphic() && !b"/?#&=+".contains(&byte)));
            assert_eq!(path_segments(&format!("/{encoded}")).next(), Some(Ok(Cow::from(text))));
            let pair = format!("{encoded}={encoded}");
            if !text.is_empty() {
                assert_eq!(Query::new(&pair).next(), Some(Ok((Cow::from(text), Cow::from(text)))));
            }
        }
    }
}
