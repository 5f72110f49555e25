//! Web pages at the backend port. A browser sends what a page asks it to, to any address that it reaches, with the reach of
//! whoever sits in front of it: the port must tell which page asked. Knows nothing of HTTP but the values of four fields.

use crate::config::{Backend, OriginPattern};
use std::net::{IpAddr, Ipv6Addr};

/// Which pages may send requests to the backend port.
#[derive(Debug)]
pub struct Pages {
    origins: Vec<OriginPattern>,
    hosts: Vec<String>,
    /// Without a key the name in `Host` must be one that no stranger's name server can have given to this address.
    is_host_free: bool,
}

/// What a request says of the page that it comes from.
#[derive(Debug, Clone, Copy)]
pub struct Sender<'a> {
    /// The values of `Origin` (RFC 6454 §7).
    pub origins: &'a [&'a [u8]],
    /// The values of `Sec-Fetch-Site` (W3C Fetch Metadata §2.1).
    pub sites: &'a [&'a [u8]],
    /// The value of `Host`; HTTP/1.0 may have none, and no browser speaks it.
    pub host: Option<&'a [u8]>,
    /// Whether it came over TLS.
    pub is_tls: bool,
}

/// Why a request is refused for the page that it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// The page has an origin that is not listed, or the browser says that it is another site's.
    Page,
    /// The page's own name leads here: its name server has changed its mind (DNS rebinding).
    Host,
}

impl Pages {
    /// Of a configuration that has been validated.
    pub fn new(config: &Backend) -> Self {
        let (origins, hosts) = (config.origins.clone(), config.hosts.clone());
        Self { origins, hosts, is_host_free: config.needs_key() }
    }

    /// Whether a request from there may be looked at.
    ///
    /// # Errors
    /// [`Foreign`]. A request that says nothing of a page comes from none: browsers always do.
    pub fn admit(&self, sender: &Sender<'_>) -> Result<(), Foreign> {
        let knows_host = self.is_host_free || sender.host.is_none_or(|host| self.is_known(host));
        let is_own = |origin: &[u8]| knows_host && sender.is_own(origin);
        let is_listed = |origin: &[u8]| self.origins.iter().any(|pattern| pattern.matches(origin));
        if !sender.origins.iter().all(|origin| is_own(origin) || is_listed(origin)) {
            return Err(Foreign::Page);
        }
        // The browser calls a listed page another site's, as it is.
        let is_from_listed =
            !sender.origins.is_empty() && sender.origins.iter().all(|origin| is_listed(origin));
        let is_near = |site: &&[u8]| [b"none".as_slice(), b"same-origin"].contains(site);
        if !is_from_listed && !sender.sites.iter().all(is_near) {
            return Err(Foreign::Page);
        }
        match knows_host {
            true => Ok(()),
            false => Err(Foreign::Host),
        }
    }

    /// Whether `Host` is an address, `localhost` or a name of the configuration.
    fn is_known(&self, host: &[u8]) -> bool {
        let Some(name) = str::from_utf8(host).ok().and_then(without_port) else { return false };
        let address = match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(v6) => v6.parse::<Ipv6Addr>().is_ok(),
            None => name.parse::<IpAddr>().is_ok_and(|address| address.is_ipv4()),
        };
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        address || is("localhost") || self.hosts.iter().any(|known| is(known))
    }
}

impl Sender<'_> {
    /// Whether it is a page of the port itself: the origin of the address that the browser asked.
    fn is_own(&self, origin: &[u8]) -> bool {
        let scheme = if self.is_tls { "https" } else { "http" };
        let own = self.host.and_then(|host| str::from_utf8(host).ok());
        own.and_then(|host| OriginPattern::exact(scheme, host)).is_some_and(|own| own.matches(origin))
    }
}

/// The host of `host[:port]` (RFC 9110 §7.2).
fn without_port(host: &str) -> Option<&str> {
    let end = host.rfind(']').map_or(0, |bracket| bracket + 1);
    match host[end..].rfind(':') {
        None => Some(host),
        Some(colon) => {
            let port = &host[end + colon + 1..];
            port.bytes().all(|byte| byte.is_ascii_digit()).then_some(&host[..end + colon])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn pages(with_key: bool) -> Pages {
        Pages::new(&Backend {
            key: with_key.then(|| Secret::new("0123456789abcdef")),
            origins: vec!["https://tools.example".parse().unwrap()],
            hosts: vec!["game.internal".to_owned()],
            ..Backend::default()
        })
    }

    fn ask(pages: &Pages, origins: &[&str], sites: &[&str], host: &str) -> Result<(), Foreign> {
        let origins: Vec<_> = origins.iter().map(|value| value.as_bytes()).collect();
        let sites: Vec<_> = sites.iter().map(|value| value.as_bytes()).collect();
        pages.admit(&Sender { origins: &origins, sites: &sites, host: Some(host.as_bytes()), is_tls: false })
    }

    #[test]
    fn a_page_is_the_ports_own_or_listed() {
        for (origins, sites, expected) in [
            (&[][..], &[][..], Ok(())),
            (&[], &["none"], Ok(())),
            (&[], &["same-origin"], Ok(())),
            (&["http://127.0.0.1:9001"], &["same-origin"], Ok(())),
            (&["https://tools.example"], &["cross-site"], Ok(())),
            (&["http://127.0.0.1:9001"], &["cross-site"], Err(Foreign::Page)),
            (&["https://127.0.0.1:9001"], &[], Err(Foreign::Page)),
            (&["http://127.0.0.1:9000"], &["same-site"], Err(Foreign::Page)),
            (&["http://127.0.0.1"], &[], Err(Foreign::Page)),
            (&["https://evil.example"], &[], Err(Foreign::Page)),
            (&["https://tools.example", "https://evil.example"], &[], Err(Foreign::Page)),
            (&["null"], &[], Err(Foreign::Page)),
            (&[""], &[], Err(Foreign::Page)),
            (&[], &["cross-site"], Err(Foreign::Page)),
            (&[], &["same-site"], Err(Foreign::Page)),
            (&[], &["none", "cross-site"], Err(Foreign::Page)),
            (&[], &[""], Err(Foreign::Page)),
        ] {
            for with_key in [false, true] {
                let pages = pages(with_key);
                assert_eq!(ask(&pages, origins, sites, "127.0.0.1:9001"), expected, "{origins:?} {sites:?}");
            }
        }
    }

    #[test]
    fn without_a_key_the_host_is_an_address_or_a_known_name() {
        for (host, known) in [
            ("127.0.0.1", true),
            ("10.0.0.5:9001", true),
            ("[::1]:9001", true),
            ("[::1]", true),
            ("localhost", true),
            ("LocalHost:9001", true),
            ("game.internal", true),
            ("Game.Internal:80", true),
            ("evil.example", false),
            ("evil.example:9001", false),
            ("localhost.evil.example", false),
            ("game.internal.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("127.1", false),
            ("::1", false),
            ("[::1", false),
            ("[::1]x", false),
            ("[127.0.0.1]", false),
            ("[localhost]", false),
            ("localhost:x", false),
            ("user@localhost", false),
            ("", false),
        ] {
            let expected = if known { Ok(()) } else { Err(Foreign::Host) };
            assert_eq!(ask(&pages(false), &[], &[], host), expected, "{host}");
            assert_eq!(ask(&pages(true), &[], &[], host), Ok(()), "{host}");
        }
        // Its own page is foreign where its name is.
        let rebound = ask(&pages(false), &["http://evil.example"], &["same-origin"], "evil.example");
        assert_eq!(rebound, Err(Foreign::Page));
        assert_eq!(ask(&pages(true), &["http://evil.example"], &["same-origin"], "evil.example"), Ok(()));
        let sender = Sender { origins: &[], sites: &[], host: None, is_tls: false };
        assert_eq!(pages(false).admit(&sender), Ok(()));
    }
}
