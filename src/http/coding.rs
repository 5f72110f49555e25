//! Which coding a client takes a body in (RFC 9110 §12.5.3).

use super::{Request, list_tokens};

/// Whether the client takes gzip, and would not rather have the body as it is.
///
/// ```
/// use gannet::http::{HeadLimits, Request, accepts_gzip};
/// let head = b"GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: br, gzip;q=0.8\r\n\r\n";
/// assert!(accepts_gzip(&Request::parse(head, &HeadLimits::default()).unwrap()));
/// ```
pub fn accepts_gzip(request: &Request<'_>) -> bool {
    let (mut gzip, mut any, mut identity) = (None, None, None);
    for value in request.header_all("accept-encoding") {
        for member in list_tokens(value) {
            let mut parts = member.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
            let coding = parts.next().unwrap_or_default();
            let Some(weight) = weight_of(parts) else { continue };
            let place = if coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip") {
                &mut gzip
            } else if coding.eq_ignore_ascii_case(b"identity") {
                &mut identity
            } else if coding == b"*" {
                &mut any
            } else {
                continue;
            };
            *place = Some(weight);
        }
    }
    let weight = gzip.or(any).unwrap_or(0);
    weight > 0 && weight >= identity.unwrap_or(0)
}

/// The weight among the parameters, in thousandths (RFC 9110 §12.4.2); `None` where it is none.
fn weight_of<'a>(parameters: impl Iterator<Item = &'a [u8]>) -> Option<u16> {
    let mut weight = 1_000;
    for parameter in parameters {
        let Some((name, value)) = parameter.split_at_checked(2) else { continue };
        if !name.eq_ignore_ascii_case(b"q=") {
            continue;
        }
        let (&first, rest) = value.split_first()?;
        let digits = match rest {
            [] => rest,
            [b'.', digits @ ..] if digits.len() <= 3 => digits,
            _ => return None,
        };
        if !matches!(first, b'0' | b'1') || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let of = |digit: &u8| u16::from(digit - b'0');
        let fraction = (0..3).fold(0, |sum, place| sum * 10 + digits.get(place).map_or(0, of));
        weight = Some(of(&first) * 1_000 + fraction).filter(|weight| *weight <= 1_000)?;
    }
    Some(weight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::HeadLimits;

    #[test]
    fn gzip_is_taken_where_the_client_says_so() {
        let table = [
            ("", false),
            ("Accept-Encoding:\r\n", false),
            ("Accept-Encoding: gzip\r\n", true),
            ("accept-encoding: GZIP\r\n", true),
            ("Accept-Encoding: gzip, deflate, br, zstd\r\n", true),
            ("Accept-Encoding: br\r\n", false),
            ("Accept-Encoding: br\r\nAccept-Encoding: x-gzip\r\n", true),
            ("Accept-Encoding: *\r\n", true),
            ("Accept-Encoding: *;q=0\r\n", false),
            ("Accept-Encoding: *;q=0, gzip\r\n", true),
            ("Accept-Encoding: gzip;q=0, *\r\n", false),
            ("Accept-Encoding: gzip;q=0.000\r\n", false),
            ("Accept-Encoding: gzip ; Q=0.001\r\n", true),
            ("Accept-Encoding: gzip;q=1.000\r\n", true),
            ("Accept-Encoding: gzip;q=1.001\r\n", false),
            ("Accept-Encoding: gzip;q=0.5, identity;q=0.6\r\n", false),
            ("Accept-Encoding: gzip;q=0.5, identity;q=0.5\r\n", true),
            ("Accept-Encoding: identity\r\n", false),
            ("Accept-Encoding: gzip;q=\r\n", false),
            ("Accept-Encoding: gzip;q=0.1234\r\n", false),
            ("Accept-Encoding: gzip;q=.5\r\n", false),
            ("Accept-Encoding: *;q=t\r\n", false),
            ("Accept-Encoding: gzip;q=0.t\r\n", false),
            ("Accept-Encoding: gzip;level=3\r\n", true),
            ("Accept-Encoding: notgzip, gzipped\r\n", false),
        ];
        for (fields, expected) in table {
            let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
            let request = Request::parse(head.as_bytes(), &HeadLimits::default()).unwrap();
            assert_eq!(accepts_gzip(&request), expected, "{fields:?}");
        }
    }
}
