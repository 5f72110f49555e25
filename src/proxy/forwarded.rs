//! `X-Forwarded-For`: each proxy appends the address that it was reached from.

use std::net::{IpAddr, SocketAddr};

/// The client that a chain of proxies speaks for: the last address that is no proxy, or the first of all. `from` is the
/// other end of the connection, `None` where that is a Unix socket; `fields` are the values of `X-Forwarded-For` in their order.
///
/// Whatever stands in front of that address is the client's own word, and worth nothing. So is an entry that is no
/// address, and all that stands in front of it. `None` where `from` itself is the client.
pub fn client_behind<'v>(
    from: Option<IpAddr>,
    fields: impl DoubleEndedIterator<Item = &'v [u8]>,
    is_proxy: impl Fn(Option<IpAddr>) -> bool,
) -> Option<SocketAddr> {
    let mut client = None;
    let mut hop = from;
    for entry in fields.rev().flat_map(|field| field.rsplit(|byte| *byte == b',')) {
        if !is_proxy(hop) {
            break;
        }
        let Some(address) = address(entry) else { break };
        hop = Some(address.ip());
        client = Some(address);
    }
    client
}

/// An address alone, as most proxies write it, or with a port, as some do; port 0 where there is none.
fn address(entry: &[u8]) -> Option<SocketAddr> {
    let entry = str::from_utf8(entry).ok()?.trim_matches([' ', '\t']);
    let alone = || entry.parse().ok().map(|ip: IpAddr| SocketAddr::new(ip, 0));
    let in_brackets = || entry.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    alone().or_else(|| entry.parse().ok()).or_else(|| Some(SocketAddr::new(IpAddr::V6(in_brackets()?), 0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_address_that_is_no_proxy_is_the_client() {
        let is_proxy = |ip: Option<IpAddr>| match ip {
            Some(IpAddr::V4(v4)) => v4.octets()[0] == 10,
            Some(IpAddr::V6(_)) => false,
            None => true,
        };
        let table: &[(&str, &[&str], Option<&str>)] = &[
            ("10.0.0.1", &["203.0.113.7"], Some("203.0.113.7:0")),
            ("10.0.0.1", &["203.0.113.7, 10.0.0.2"], Some("203.0.113.7:0")),
            ("10.0.0.1", &["203.0.113.7", "10.0.0.2"], Some("203.0.113.7:0")),
            // What a client adds by itself stands in front, and is not looked at.
            ("10.0.0.1", &["198.51.100.1, 203.0.113.7"], Some("203.0.113.7:0")),
            ("10.0.0.1", &["10.9.9.9,  203.0.113.7\t,10.0.0.2"], Some("203.0.113.7:0")),
            ("10.0.0.1", &["nonsense, 203.0.113.7"], Some("203.0.113.7:0")),
            // All of them proxies: the first.
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], Some("10.0.0.3:0")),
            ("10.0.0.1", &["unknown, 10.0.0.2"], Some("10.0.0.2:0")),
            ("10.0.0.1", &["203.0.113.7:8080"], Some("203.0.113.7:8080")),
            ("10.0.0.1", &["2001:db8::7"], Some("[2001:db8::7]:0")),
            ("10.0.0.1", &["[2001:db8::7]"], Some("[2001:db8::7]:0")),
            ("10.0.0.1", &["[2001:db8::7]:80"], Some("[2001:db8::7]:80")),
            ("10.0.0.1", &["203.0.113.7, "], None),
            ("10.0.0.1", &["", "unknown"], None),
            ("10.0.0.1", &[], None),
            // Behind a Unix socket.
            ("unix:", &["198.51.100.1, 203.0.113.7"], Some("203.0.113.7:0")),
            ("unix:", &["203.0.113.7, 10.0.0.2"], Some("203.0.113.7:0")),
            ("unix:", &["unix:"], None),
            ("unix:", &[], None),
            // Nobody believes a stranger.
            ("203.0.113.7", &["198.51.100.1"], None),
        ];
        for (from, fields, client) in table {
            let found =
                client_behind(from.parse().ok(), fields.iter().map(|field| field.as_bytes()), is_proxy);
            assert_eq!(found, client.map(|client| client.parse().unwrap()), "{from}: {fields:?}");
        }
    }
}
