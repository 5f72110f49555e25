//! Networks as operators write them: `10.0.0.0/8`, `::1/128`, or one address.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// An IPv4 or IPv6 network: an address and the length of its prefix (RFC 4632 §3.1, RFC 4291 §2.3).
///
/// ```
/// use gannet::config::Network;
/// let private: Network = "10.0.0.0/8".parse().unwrap();
/// assert!(private.contains("10.1.2.3".parse().unwrap()));
/// assert!(private.contains("::ffff:10.1.2.3".parse().unwrap()));
/// assert!(!private.contains("11.0.0.1".parse().unwrap()));
/// assert_eq!("::1".parse::<Network>().unwrap().to_string(), "::1/128");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network {
    /// Every bit behind the prefix is 0.
    base: IpAddr,
    /// At most 32 with IPv4, 128 with IPv6.
    prefix: u8,
}

/// Why a text is not a [`Network`].
///
/// ```
/// use gannet::config::{InvalidNetwork, Network};
/// let refused = "10.0.0.1/8".parse::<Network>();
/// assert_eq!(refused, Err(InvalidNetwork::HostBits("10.0.0.0/8".parse().unwrap())));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidNetwork {
    /// What stands before the slash is no address.
    Address,
    /// What stands behind the slash is no length of a prefix of such an address.
    Prefix,
    /// Bits behind the prefix are set; this is the network that the address is in.
    HostBits(Network),
}

impl Network {
    /// The network of the first `prefix` bits of `address`; of all of them where it has fewer.
    pub fn of(address: IpAddr, prefix: u8) -> Self {
        match address {
            IpAddr::V4(v4) => {
                let prefix = prefix.min(32);
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                Self { base: IpAddr::V4((v4.to_bits() & mask).into()), prefix }
            }
            IpAddr::V6(v6) => {
                let prefix = prefix.min(128);
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
                Self { base: IpAddr::V6((v6.to_bits() & mask).into()), prefix }
            }
        }
    }

    /// Its first address.
    pub fn base(&self) -> IpAddr {
        self.base
    }

    /// Whether `address` is in it. An IPv4 address in IPv6 clothes (RFC 4291 §2.5.5.2) is the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.base.is_ipv4() && Self::of(address, self.prefix) == *self
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| InvalidNetwork::Address)?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().filter(|prefix| *prefix <= bits).ok_or(InvalidNetwork::Prefix)?
            }
            Some(_) => return Err(InvalidNetwork::Prefix),
        };
        let network = Self::of(address, prefix);
        match network.base == address {
            true => Ok(network),
            false => Err(InvalidNetwork::HostBits(network)),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

impl fmt::Display for InvalidNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => f.write_str("write a network as 10.0.0.0/8, ::1/128 or 192.0.2.7"),
            Self::Prefix => f.write_str("the prefix is 0 to 32 bits of IPv4, 0 to 128 of IPv6"),
            Self::HostBits(network) => write!(f, "bits behind the prefix are set: write {network}"),
        }
    }
}

impl std::error::Error for InvalidNetwork {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_its_addresses_and_no_others() {
        let table: &[(&str, &[&str], &[&str])] = &[
            (
                "10.0.0.0/8",
                &["10.0.0.0", "10.255.255.255", "::ffff:10.0.0.1"],
                &["9.255.255.255", "11.0.0.0"],
            ),
            ("192.0.2.7", &["192.0.2.7"], &["192.0.2.6", "192.0.2.8", "::192.0.2.7"]),
            ("0.0.0.0/0", &["0.0.0.0", "255.255.255.255"], &["::1"]),
            ("::/0", &["::", "ffff::1"], &["10.0.0.1", "::ffff:10.0.0.1"]),
            ("::1/128", &["::1"], &["::2", "127.0.0.1"]),
            ("2001:db8::/33", &["2001:db8:7fff::1"], &["2001:db8:8000::1"]),
        ];
        for (network, inside, outside) in table {
            let network: Network = network.parse().unwrap();
            for address in *inside {
                assert!(network.contains(address.parse().unwrap()), "{address} in {network}");
            }
            for address in *outside {
                assert!(!network.contains(address.parse().unwrap()), "{address} not in {network}");
            }
        }
    }

    #[test]
    fn others_are_no_networks() {
        for text in ["", "10", "10.0.0", "localhost", "10.0.0.0:80", "[::1]", " ::1", "/8"] {
            assert_eq!(text.parse::<Network>(), Err(InvalidNetwork::Address), "{text}");
        }
        for text in ["10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/+8", "::/129", "::/8/8", "::/999"] {
            assert_eq!(text.parse::<Network>(), Err(InvalidNetwork::Prefix), "{text}");
        }
        let error = "10.1.2.3/8".parse::<Network>().unwrap_err();
        assert_eq!(error.to_string(), "bits behind the prefix are set: write 10.0.0.0/8");
    }
}
