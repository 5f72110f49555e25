//! The grammar of `Sec-WebSocket-Extensions`, RFC 6455 §9.1. It knows no extension.

use super::{is_token, trim_whitespace};

/// One extension of a list: its name and its parameters, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::protocol) struct Extension<'h> {
    pub(in crate::protocol) name: &'h str,
    /// Names, with the value where there is one, its quotes taken off.
    pub(in crate::protocol) parameters: Vec<(&'h str, Option<&'h str>)>,
}

/// The extensions of one header's value; `None` when it does not conform to the grammar.
pub(in crate::protocol) fn parse_extensions(value: &str) -> Option<Vec<Extension<'_>>> {
    // No quoted string holds a separator, since its content must be a token, §9.1.
    let extensions: Option<Vec<_>> = value
        .split(',')
        .map(trim_whitespace)
        .filter(|element| !element.is_empty())
        .map(parse_extension)
        .collect();
    extensions.filter(|extensions| !extensions.is_empty())
}

fn parse_extension(text: &str) -> Option<Extension<'_>> {
    let mut parts = text.split(';').map(trim_whitespace);
    let name = parts.next().filter(|name| is_token(name))?;
    let parameters = parts.map(parse_parameter).collect::<Option<_>>()?;
    Some(Extension { name, parameters })
}

fn parse_parameter(text: &str) -> Option<(&str, Option<&str>)> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (trim_whitespace(name), Some(unquote(trim_whitespace(value)))),
        None => (text, None),
    };
    (is_token(name) && value.is_none_or(is_token)).then_some((name, value))
}

/// Without the quotes. An escape within them stays, and is refused: no token has a backslash.
fn unquote(value: &str) -> &str {
    value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_extensions() {
        let extension = |name, parameters: &[_]| Extension { name, parameters: parameters.to_vec() };
        let cases = [
            ("foo", Some(vec![extension("foo", &[])])),
            ("foo, bar; baz=2", Some(vec![extension("foo", &[]), extension("bar", &[("baz", Some("2"))])])),
            ("foo; a ; b = \"x\" ;c", {
                Some(vec![extension("foo", &[("a", None), ("b", Some("x")), ("c", None)])])
            }),
            (",foo,", Some(vec![extension("foo", &[])])),
            ("", None),
            (",", None),
            ("foo;", None),
            ("foo; =1", None),
            ("foo; a=", None),
            ("foo; a=\"\"", None),
            ("foo; a=\"b", None),
            ("foo; a=\"b c\"", None),
            ("foo bar", None),
            ("foo; a=\"b,c\"", None),
            ("; a", None),
        ];
        for (value, expected) in cases {
            assert_eq!(parse_extensions(value), expected, "{value:?}");
        }
    }
}
