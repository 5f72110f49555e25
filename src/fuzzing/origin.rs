//! Origins: a pattern that is one can be written and read again, and matches what a plain model says; the pages that the
//! backend port takes for its own have the address that was asked for, and without a key that is no stranger's name.

use crate::auth::{Pages, Sender};
use crate::config::{Backend, OriginPattern, Secret, is_loopback_origin};
use std::net::IpAddr;

/// A pattern, an origin and a host, with line feeds between them.
pub fn run(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let [pattern, origin, host] = [(); 3].map(|()| lines.next().unwrap_or_default());
    if let Some(pattern) = str::from_utf8(pattern).ok().and_then(|text| text.parse::<OriginPattern>().ok()) {
        let shown = pattern.to_string();
        assert_eq!(shown.parse().as_ref(), Ok(&pattern), "{shown}");
        assert_eq!(pattern.matches(origin), model(&shown, origin), "{shown}");
    }
    if is_loopback_origin(origin) {
        let text = str::from_utf8(origin).expect("only ASCII is");
        let (scheme, authority) = text.split_once("://").expect("it has a scheme");
        assert!(["http", "https"].contains(&scheme.to_ascii_lowercase().as_str()));
        assert!(
            is_here(authority).is_some_and(|host| host.is_none_or(|address| address.is_loopback())),
            "{text}"
        );
    }
    pages(origin, host);
}

/// What a pattern in its plain form matches.
fn model(pattern: &str, origin: &[u8]) -> bool {
    let origin = origin.to_ascii_lowercase();
    if pattern == "*" {
        return true;
    }
    let Some((scheme, domain)) = pattern.split_once("://*") else { return origin == pattern.as_bytes() };
    let Ok(origin) = String::from_utf8(origin) else { return false };
    let labels = origin.strip_prefix(&format!("{scheme}://")).and_then(|rest| rest.strip_suffix(domain));
    let known = |char: char| char.is_ascii_alphanumeric() || "-._".contains(char);
    labels.is_some_and(|labels| !labels.is_empty() && labels.chars().all(known))
}

/// The address in an authority, or `None` for `localhost`; nothing where it is a name.
fn is_here(authority: &str) -> Option<Option<IpAddr>> {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !host.ends_with(':') => host,
        _ => authority,
    };
    let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    match host.eq_ignore_ascii_case("localhost") {
        true => Some(None),
        false => host.parse().ok().map(Some),
    }
}

fn pages(origin: &[u8], host: &[u8]) {
    let keyed = Backend { key: Some(Secret::new("0123456789abcdef")), ..Backend::default() };
    for (config, has_key) in [(Backend::default(), false), (keyed, true)] {
        let pages = Pages::new(&config);
        let ask = |origins: &[&[u8]], sites: &[&[u8]]| {
            pages.admit(&Sender { origins, sites, host: Some(host), is_tls: false }).is_ok()
        };
        if ask(&[origin], &[]) {
            let own = [b"http://", host].concat().to_ascii_lowercase();
            let own = own.strip_suffix(b":80").unwrap_or(&own);
            assert_eq!(origin.to_ascii_lowercase(), own, "it is the port's own page");
        }
        if ask(&[], &[]) && !has_key {
            assert!(str::from_utf8(host).is_ok_and(|host| is_here(host).is_some()), "a stranger's name");
        }
        assert!(!has_key || ask(&[], &[]), "with a key any name will do");
        assert!(!ask(&[origin], &[b"cross-site"]) && !ask(&[], &[b"same-site"]));
        assert!(!ask(&[origin, b"https://evil.example"], &[]));
    }
}
