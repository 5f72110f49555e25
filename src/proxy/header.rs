//! The header of the PROXY protocol, versions 1 and 2 (haproxy's `proxy-protocol.txt`, 2020/03/05).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// The longest header that is taken, extensions of version 2 included: proxies send some hundred bytes.
pub const MAX_HEADER_BYTES: usize = 2048;

/// The longest header of version 1, §2.1, with its CR LF.
const MAX_V1_BYTES: usize = 107;

const V1: &[u8] = b"PROXY ";
const V2: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The fixed part of version 2: the signature, the version and command, the family and the length.
const V2_FIXED_BYTES: usize = 16;

/// A whole header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProxyHeader {
    /// Its bytes; what follows them is the client's.
    pub length: usize,
    /// Where the client is; `None` where the proxy speaks for itself, as in a health check, or does not know.
    pub source: Option<SocketAddr>,
}

/// Why bytes are no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidHeader {
    /// They begin as no version does.
    Signature,
    /// Too long.
    TooLong,
    /// A line of version 1 that is none.
    Line,
    /// A command of version 2 that does not exist.
    Command,
    /// A family or transport of version 2 that does not exist, or too few bytes for the addresses of TCP over IP.
    Family,
}

impl fmt::Display for InvalidHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signature => {
                "there is no PROXY header: let the proxy send one, or take it out of proxy.protocol_from"
            }
            Self::TooLong => "the PROXY header is too long",
            Self::Line => "the PROXY header is no line of version 1",
            Self::Command => "the PROXY header has an unknown version or command",
            Self::Family => {
                "the PROXY header has a family or transport that does not exist, or lacks its addresses"
            }
        })
    }
}

impl std::error::Error for InvalidHeader {}

/// Whether `bytes`, the first of a connection, can be nothing but the beginning of a header.
pub fn begins_header(bytes: &[u8]) -> bool {
    bytes.starts_with(V1) || bytes.starts_with(&V2[..5])
}

impl ProxyHeader {
    /// The header that `bytes` begin with; `None` while more has to come.
    ///
    /// # Errors
    /// [`InvalidHeader`], as soon as no continuation could be a header.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, InvalidHeader> {
        if bytes.starts_with(V1) {
            return parse_v1(bytes);
        }
        if bytes.starts_with(V2) {
            return parse_v2(bytes);
        }
        match V1.starts_with(bytes) || V2.starts_with(bytes) {
            true => Ok(None),
            false => Err(InvalidHeader::Signature),
        }
    }
}

/// §2.1: `PROXY TCP4 source destination source-port destination-port`, one space between each, ended by CR LF.
fn parse_v1(bytes: &[u8]) -> Result<Option<ProxyHeader>, InvalidHeader> {
    let seen = &bytes[..bytes.len().min(MAX_V1_BYTES)];
    let Some(end) = seen.windows(2).position(|pair| pair == b"\r\n") else {
        return if seen.len() < MAX_V1_BYTES { Ok(None) } else { Err(InvalidHeader::TooLong) };
    };
    let line = str::from_utf8(&seen[V1.len()..end]).map_err(|_| InvalidHeader::Line)?;
    let source = match line.split_once(' ') {
        Some(("TCP4", rest)) => Some(addresses::<Ipv4Addr>(rest)?),
        Some(("TCP6", rest)) => Some(addresses::<Ipv6Addr>(rest)?),
        // What follows UNKNOWN is to be ignored.
        Some(("UNKNOWN", _)) => None,
        None if line == "UNKNOWN" => None,
        _ => return Err(InvalidHeader::Line),
    };
    Ok(Some(ProxyHeader { length: end + 2, source }))
}

/// The source among `source destination source-port destination-port`; all four have to be good.
fn addresses<A: FromStr + Into<IpAddr>>(text: &str) -> Result<SocketAddr, InvalidHeader> {
    let mut fields = text.split(' ');
    let mut field = || fields.next().ok_or(InvalidHeader::Line);
    let (source, destination, source_port, destination_port) = (field()?, field()?, field()?, field()?);
    let address = |text: &str| text.parse::<A>().map_err(|_| InvalidHeader::Line);
    let (source, _) = (address(source)?, address(destination)?);
    let (port, _) = (port(source_port)?, port(destination_port)?);
    match fields.next() {
        None => Ok(SocketAddr::new(source.into(), port)),
        Some(_) => Err(InvalidHeader::Line),
    }
}

/// Decimal digits without a zero in front, §2.1.
fn port(text: &str) -> Result<u16, InvalidHeader> {
    let is_canonical =
        text == "0" || (!text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()));
    text.parse().ok().filter(|_| is_canonical).ok_or(InvalidHeader::Line)
}

/// §2.2: sixteen fixed bytes, then as many as they say: addresses and extensions.
fn parse_v2(bytes: &[u8]) -> Result<Option<ProxyHeader>, InvalidHeader> {
    let Some(&[version_command, family, high, low]) = bytes.get(V2.len()..V2_FIXED_BYTES) else {
        return Ok(None);
    };
    if !matches!(version_command, 0x20 | 0x21) {
        return Err(InvalidHeader::Command);
    }
    let length = V2_FIXED_BYTES + usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_HEADER_BYTES {
        return Err(InvalidHeader::TooLong);
    }
    let Some(body) = bytes.get(V2_FIXED_BYTES..length) else { return Ok(None) };
    // LOCAL: the proxy speaks for itself, whatever else it says.
    let source = if version_command == 0x20 { None } else { source_v2(family, body)? };
    Ok(Some(ProxyHeader { length, source }))
}

/// §2.2: the families and transports of a byte, of which TCP over IP is implemented here. For the others that exist, a receiver
/// falls back to what it does for UNSPEC: the addresses are skipped, and the connection counts as the proxy's own. A family or a
/// transport that does not exist is invalid.
fn source_v2(family: u8, body: &[u8]) -> Result<Option<SocketAddr>, InvalidHeader> {
    let address = match (family, body) {
        (0x11, &[a, b, c, d, _, _, _, _, high, low, _, _, ..]) => {
            (IpAddr::from([a, b, c, d]), u16::from_be_bytes([high, low]))
        }
        (0x21, body) => {
            let (Some(&source), Some(&[high, low])) =
                (body.first_chunk::<16>(), body.get(32..36).and_then(|ports| ports.first_chunk::<2>()))
            else {
                return Err(InvalidHeader::Family);
            };
            (IpAddr::from(source), u16::from_be_bytes([high, low]))
        }
        (0x11, _) => return Err(InvalidHeader::Family),
        // AF_UNSPEC, AF_INET, AF_INET6, AF_UNIX; UNSPEC, STREAM, DGRAM.
        _ if family >> 4 <= 3 && family & 0x0f <= 2 => return Ok(None),
        _ => return Err(InvalidHeader::Family),
    };
    Ok(Some(address.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(version_command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = (body.len() as u16).to_be_bytes();
        [V2.as_slice(), &[version_command, family], &length, body].concat()
    }

    fn v4_body() -> Vec<u8> {
        vec![203, 0, 113, 7, 10, 0, 0, 1, 0xd4, 0x31, 0x01, 0xbb]
    }

    /// Whole headers, each with the source it names.
    fn whole() -> Vec<(Vec<u8>, Option<&'static str>)> {
        let mut v6_body = vec![0; 36];
        (v6_body[0], v6_body[1], v6_body[15], v6_body[33]) = (0x20, 0x01, 9, 80);
        vec![
            (b"PROXY TCP4 203.0.113.7 10.0.0.1 54321 443\r\n".to_vec(), Some("203.0.113.7:54321")),
            (b"PROXY TCP6 2001:db8::7 ::1 1 443\r\n".to_vec(), Some("[2001:db8::7]:1")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff::1 whatever 1 2\r\n".to_vec(), None),
            (v2(0x21, 0x11, &v4_body()), Some("203.0.113.7:54321")),
            (v2(0x21, 0x11, &[v4_body(), vec![3, 0, 1, 9]].concat()), Some("203.0.113.7:54321")),
            (v2(0x21, 0x21, &v6_body), Some("[2001::9]:80")),
            (v2(0x20, 0x11, &v4_body()), None),
            (v2(0x20, 0x00, &[]), None),
            (v2(0x21, 0x00, &[1, 2, 3]), None),
            // LOCAL: the family is not looked at.
            (v2(0x20, 0xff, &[1, 2, 3]), None),
            // What is not implemented here counts as UNSPEC: UDP, Unix sockets with their extensions.
            (v2(0x21, 0x12, &v4_body()), None),
            (v2(0x21, 0x22, &v6_body), None),
            (v2(0x21, 0x31, &[0; 216]), None),
            (v2(0x21, 0x32, &[0; 230]), None),
            (v2(0x21, 0x10, &v4_body()), None),
            (v2(0x21, 0x01, &[]), None),
        ]
    }

    #[test]
    fn a_header_ends_where_it_ends_and_no_sooner() {
        for (bytes, source) in whole() {
            let source = source.map(|source| source.parse().unwrap());
            for length in 0..bytes.len() {
                assert_eq!(ProxyHeader::parse(&bytes[..length]), Ok(None), "{length} bytes of {bytes:?}");
            }
            let expected = Ok(Some(ProxyHeader { length: bytes.len(), source }));
            assert_eq!(ProxyHeader::parse(&bytes), expected);
            assert_eq!(ProxyHeader::parse(&[bytes.as_slice(), b"\r\nGET /"].concat()), expected);
            assert!(begins_header(&bytes));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let lines = [
            "PROXY TCP4 203.0.113.7 10.0.0.1 54321\r\n",
            "PROXY TCP4 203.0.113.7 10.0.0.1 54321 443 1\r\n",
            "PROXY TCP4  203.0.113.7 10.0.0.1 54321 443\r\n",
            "PROXY TCP4 203.0.113.7 10.0.0.1 054321 443\r\n",
            "PROXY TCP4 203.0.113.7 10.0.0.1 +5432 443\r\n",
            "PROXY TCP4 203.0.113.7 10.0.0.1 65536 443\r\n",
            "PROXY TCP4 ::1 10.0.0.1 1 443\r\n",
            "PROXY TCP6 203.0.113.7 ::1 1 443\r\n",
            "PROXY TCP5 203.0.113.7 10.0.0.1 1 443\r\n",
            "PROXY \r\n",
            "PROXY \u{e4}\r\n",
        ];
        for line in lines {
            assert_eq!(ProxyHeader::parse(line.as_bytes()), Err(InvalidHeader::Line), "{line}");
        }
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(100));
        assert_eq!(ProxyHeader::parse(long.as_bytes()), Err(InvalidHeader::TooLong));
        for other in [b"GET / HTTP/1.1\r\n".as_slice(), b"proxy ", b"\r\n\r\nX", &[0x16, 3, 1], b"\0"] {
            assert_eq!(ProxyHeader::parse(other), Err(InvalidHeader::Signature), "{other:?}");
            assert!(!begins_header(other));
        }
        for (bytes, error) in [
            (v2(0x22, 0x11, &v4_body()), InvalidHeader::Command),
            (v2(0x11, 0x11, &v4_body()), InvalidHeader::Command),
            (v2(0x21, 0x13, &v4_body()), InvalidHeader::Family),
            (v2(0x21, 0x41, &[0; 216]), InvalidHeader::Family),
            (v2(0x21, 0x11, &v4_body()[1..]), InvalidHeader::Family),
            (v2(0x21, 0x21, &[0; 35]), InvalidHeader::Family),
            (v2(0x21, 0x11, &[0; MAX_HEADER_BYTES]), InvalidHeader::TooLong),
        ] {
            assert_eq!(ProxyHeader::parse(&bytes), Err(error), "{bytes:?}");
        }
    }
}
