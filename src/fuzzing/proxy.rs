//! What proxies say: whatever the bytes, a header that ends where it ends however it was split, or a fault that no more
//! bytes would mend; and an `X-Forwarded-For` of which nothing in front of the client matters.

use crate::proxy::{MAX_HEADER_BYTES, ProxyHeader, begins_header, client_behind};
use std::net::IpAddr;

/// The bytes of a connection, and those of a field.
pub fn run(data: &[u8]) {
    let whole = ProxyHeader::parse(data);
    match whole {
        Ok(Some(header)) => {
            assert!(header.length <= data.len().min(MAX_HEADER_BYTES));
            assert!(begins_header(data));
            assert_eq!(ProxyHeader::parse(&data[..header.length]), whole, "what follows is not its own");
            assert_eq!(ProxyHeader::parse(&data[..header.length - 1]), Ok(None), "it was whole sooner");
        }
        Ok(None) => assert!(data.len() < MAX_HEADER_BYTES),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    // What is refused stays refused, and what is whole stays as it is.
    for end in [data.len() / 4, data.len() / 2] {
        match ProxyHeader::parse(&data[..end]) {
            Ok(None) => {}
            sooner => assert_eq!(sooner, whole, "{end} bytes"),
        }
    }
    forwarded(data);
}

fn forwarded(field: &[u8]) {
    let proxies = |address: Option<IpAddr>| address.is_none_or(|address| address.is_loopback());
    let from = Some(IpAddr::from([127, 0, 0, 1]));
    let client = client_behind(from, [field].into_iter(), proxies);
    assert_eq!(client_behind(None, [field].into_iter(), proxies), client);
    assert_eq!(client_behind(Some(IpAddr::from([192, 0, 2, 1])), [field].into_iter(), proxies), None);
    if let Some(client) = client
        && !client.ip().is_loopback()
    {
        let forged = [b"127.0.0.1, 198.51.100.1, ".as_slice(), field].concat();
        assert_eq!(client_behind(from, [forged.as_slice()].into_iter(), proxies), Some(client));
        let two_fields = [b"203.0.113.9".as_slice(), field];
        assert_eq!(client_behind(from, two_fields.into_iter(), proxies), Some(client));
    }
}
