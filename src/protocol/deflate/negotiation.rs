//! The offer and the answer, RFC 7692 §7.1.

use std::fmt;

use crate::protocol::handshake::{Extension, parse_extensions};

const NAME: &str = "permessage-deflate";
const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";

/// The largest window, and what is meant where nothing is said, RFC 7692 §7.1.2.
const MAX_WINDOW_BITS: u8 = 15;

/// What an endpoint wants of permessage-deflate.
///
/// ```
/// use gannet::protocol::DeflateConfig;
/// let config = DeflateConfig::default();
/// let agreed = config.accept(&["permessage-deflate; client_max_window_bits"]).unwrap();
/// assert_eq!(
///     agreed.to_string(),
///     "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeflateConfig {
    /// The server compresses each message on its own. Otherwise each session holds a compressor of about 300 KiB at
    /// 15 window bits. On by default.
    pub server_no_context_takeover: bool,
    /// The client compresses each message on its own. Otherwise the server holds, for each session, a decompressor
    /// of about 48 KiB at 15 window bits. On by default.
    pub client_no_context_takeover: bool,
    /// The server's window is at most 2 to this many bytes, 8 to 15. 15 by default.
    pub server_max_window_bits: u8,
    /// The same for the client's, where the client lets itself be told. 15 by default.
    pub client_max_window_bits: u8,
    /// From 1, the fastest, to 9, the smallest. 1 by default.
    pub level: u8,
    /// Shorter messages, in bytes, are sent as they are. 256 by default.
    pub min_bytes: usize,
}

impl Default for DeflateConfig {
    fn default() -> Self {
        Self {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            server_max_window_bits: MAX_WINDOW_BITS,
            client_max_window_bits: MAX_WINDOW_BITS,
            level: 1,
            min_bytes: 256,
        }
    }
}

/// What both ends agreed on. As text it is the server's `Sec-WebSocket-Extensions`.
///
/// ```
/// use gannet::protocol::DeflateConfig;
/// let agreed = DeflateConfig::default().accept(&["permessage-deflate; server_max_window_bits=10"]);
/// assert_eq!(agreed.unwrap().server_max_window_bits, 10);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeflateParameters {
    /// The server compresses each message on its own, RFC 7692 §7.1.1.1.
    pub server_no_context_takeover: bool,
    /// The client compresses each message on its own, RFC 7692 §7.1.1.2.
    pub client_no_context_takeover: bool,
    /// The server's window, as a power of two, 8 to 15; RFC 7692 §7.1.2.1.
    pub server_max_window_bits: u8,
    /// The client's window, as a power of two, 8 to 15; RFC 7692 §7.1.2.2.
    pub client_max_window_bits: u8,
}

impl fmt::Display for DeflateParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)?;
        for (name, is_set) in [
            (SERVER_NO_CONTEXT_TAKEOVER, self.server_no_context_takeover),
            (CLIENT_NO_CONTEXT_TAKEOVER, self.client_no_context_takeover),
        ] {
            if is_set {
                write!(f, "; {name}")?;
            }
        }
        for (name, bits) in [
            (SERVER_MAX_WINDOW_BITS, self.server_max_window_bits),
            (CLIENT_MAX_WINDOW_BITS, self.client_max_window_bits),
        ] {
            if bits < MAX_WINDOW_BITS {
                write!(f, "; {name}={bits}")?;
            }
        }
        Ok(())
    }
}

/// The server's answer is not one to our offer: the client must fail the connection, RFC 7692 §7.1.
///
/// ```
/// use gannet::protocol::{DeflateConfig, DeflateRefused};
/// assert_eq!(DeflateConfig::default().agree("x-frame"), Err(DeflateRefused));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeflateRefused;

impl fmt::Display for DeflateRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server's Sec-WebSocket-Extensions does not answer the offer")
    }
}

impl std::error::Error for DeflateRefused {}

impl DeflateConfig {
    /// As a server: the answer to the values of the client's `Sec-WebSocket-Extensions`. The first offer that can be
    /// accepted is; `None` declines all.
    pub fn accept(&self, offers: &[&str]) -> Option<DeflateParameters> {
        offers
            .iter()
            .filter_map(|value| parse_extensions(value))
            .flatten()
            .filter_map(|extension| Asked::parse(&extension, Side::Offer))
            .map(|offer| self.answer(&offer))
            .next()
    }

    /// As a client: the value of `Sec-WebSocket-Extensions`.
    pub fn offer(&self) -> String {
        let parameters = DeflateParameters {
            server_no_context_takeover: self.server_no_context_takeover,
            client_no_context_takeover: self.client_no_context_takeover,
            server_max_window_bits: clamp(self.server_max_window_bits),
            client_max_window_bits: clamp(self.client_max_window_bits),
        };
        let offer = parameters.to_string();
        // Without a value: whatever the server asks for.
        if parameters.client_max_window_bits == MAX_WINDOW_BITS {
            offer + "; " + CLIENT_MAX_WINDOW_BITS
        } else {
            offer
        }
    }

    /// As a client: what the server's answer to [`DeflateConfig::offer`] agrees on.
    ///
    /// # Errors
    /// When the answer is not a valid one to that offer.
    pub fn agree(&self, answer: &str) -> Result<DeflateParameters, DeflateRefused> {
        let extensions = parse_extensions(answer).ok_or(DeflateRefused)?;
        let [extension] = &extensions[..] else { return Err(DeflateRefused) };
        let answer = Asked::parse(extension, Side::Answer).ok_or(DeflateRefused)?;
        let server_bits = answer.server_max_window_bits.unwrap_or(MAX_WINDOW_BITS);
        // §7.1.1.1 and §7.1.2.1: the server accepts what was asked of it, or declines.
        if (self.server_no_context_takeover && !answer.server_no_context_takeover)
            || server_bits > clamp(self.server_max_window_bits)
        {
            return Err(DeflateRefused);
        }
        let client_bits = answer.client_max_window_bits.flatten().unwrap_or(MAX_WINDOW_BITS);
        Ok(DeflateParameters {
            server_no_context_takeover: answer.server_no_context_takeover,
            client_no_context_takeover: answer.client_no_context_takeover || self.client_no_context_takeover,
            server_max_window_bits: server_bits,
            client_max_window_bits: client_bits.min(clamp(self.client_max_window_bits)),
        })
    }

    fn answer(&self, offer: &Asked) -> DeflateParameters {
        let client_bits = match offer.client_max_window_bits {
            // §7.1.2.2: a client that does not mention it may not be asked.
            None => MAX_WINDOW_BITS,
            Some(bits) => bits.unwrap_or(MAX_WINDOW_BITS).min(clamp(self.client_max_window_bits)),
        };
        let server_bits = offer.server_max_window_bits.unwrap_or(MAX_WINDOW_BITS);
        DeflateParameters {
            server_no_context_takeover: self.server_no_context_takeover || offer.server_no_context_takeover,
            client_no_context_takeover: self.client_no_context_takeover || offer.client_no_context_takeover,
            server_max_window_bits: server_bits.min(clamp(self.server_max_window_bits)),
            client_max_window_bits: client_bits,
        }
    }
}

fn clamp(bits: u8) -> u8 {
    bits.clamp(8, MAX_WINDOW_BITS)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Offer,
    Answer,
}

/// The parameters as one side wrote them.
#[derive(Default)]
struct Asked {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    /// The inner `None`: mentioned without a value, which only an offer may do.
    client_max_window_bits: Option<Option<u8>>,
}

impl Asked {
    /// `None`: another extension, or one to be declined, RFC 7692 §7.1: a parameter that is unknown, twice there, or
    /// of a wrong value.
    fn parse(extension: &Extension<'_>, side: Side) -> Option<Self> {
        if extension.name != NAME {
            return None;
        }
        let mut asked = Self::default();
        for (name, value) in &extension.parameters {
            let is_twice = match (*name, *value) {
                (SERVER_NO_CONTEXT_TAKEOVER, None) => {
                    std::mem::replace(&mut asked.server_no_context_takeover, true)
                }
                (CLIENT_NO_CONTEXT_TAKEOVER, None) => {
                    std::mem::replace(&mut asked.client_no_context_takeover, true)
                }
                (SERVER_MAX_WINDOW_BITS, Some(value)) => {
                    asked.server_max_window_bits.replace(parse_bits(value)?).is_some()
                }
                (CLIENT_MAX_WINDOW_BITS, None) if side == Side::Offer => {
                    asked.client_max_window_bits.replace(None).is_some()
                }
                (CLIENT_MAX_WINDOW_BITS, Some(value)) => {
                    asked.client_max_window_bits.replace(Some(parse_bits(value)?)).is_some()
                }
                _ => return None,
            };
            if is_twice {
                return None;
            }
        }
        Some(asked)
    }
}

/// 8 to 15, without leading zeros, RFC 7692 §7.1.2.
fn parse_bits(value: &str) -> Option<u8> {
    let bits: u8 = value.parse().ok()?;
    ((8..=MAX_WINDOW_BITS).contains(&bits) && value == bits.to_string()).then_some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takeover() -> DeflateConfig {
        DeflateConfig {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            ..DeflateConfig::default()
        }
    }

    #[test]
    fn offers_and_their_answers() {
        let small = DeflateConfig { server_max_window_bits: 11, client_max_window_bits: 10, ..takeover() };
        let none = DeflateConfig::default();
        let both = "; server_no_context_takeover; client_no_context_takeover";
        let cases: &[(&DeflateConfig, &[&str], Option<&str>)] = &[
            (&takeover(), &["permessage-deflate"], Some("")),
            (&none, &["permessage-deflate"], Some(both)),
            (&none, &[], None),
            (&none, &["x-webkit-deflate-frame"], None),
            (&none, &["Permessage-Deflate"], None),
            (&none, &["foo; a=1", "bar, permessage-deflate"], Some(both)),
            (
                &takeover(),
                &["permessage-deflate; client_no_context_takeover"],
                Some("; client_no_context_takeover"),
            ),
            (
                &takeover(),
                &["permessage-deflate; server_no_context_takeover"],
                Some("; server_no_context_takeover"),
            ),
            (
                &takeover(),
                &["permessage-deflate; server_max_window_bits=10"],
                Some("; server_max_window_bits=10"),
            ),
            (
                &takeover(),
                &["permessage-deflate; server_max_window_bits=\"8\""],
                Some("; server_max_window_bits=8"),
            ),
            (&takeover(), &["permessage-deflate; client_max_window_bits"], Some("")),
            (
                &takeover(),
                &["permessage-deflate; client_max_window_bits=9"],
                Some("; client_max_window_bits=9"),
            ),
            (&small, &["permessage-deflate"], Some("; server_max_window_bits=11")),
            (
                &small,
                &["permessage-deflate; client_max_window_bits"],
                Some("; server_max_window_bits=11; client_max_window_bits=10"),
            ),
            (
                &small,
                &["permessage-deflate; server_max_window_bits=9; client_max_window_bits=12"],
                Some("; server_max_window_bits=9; client_max_window_bits=10"),
            ),
            // Declined, §7.1: unknown, twice, without or with a value, out of range; the next offer may do.
            (&none, &["permessage-deflate; foo"], None),
            (&none, &["permessage-deflate; server_no_context_takeover; server_no_context_takeover"], None),
            (&none, &["permessage-deflate; client_max_window_bits; client_max_window_bits=9"], None),
            (&none, &["permessage-deflate; server_no_context_takeover=1"], None),
            (&none, &["permessage-deflate; client_no_context_takeover=true"], None),
            (&none, &["permessage-deflate; server_max_window_bits"], None),
            (&none, &["permessage-deflate; server_max_window_bits=7"], None),
            (&none, &["permessage-deflate; server_max_window_bits=16"], None),
            (&none, &["permessage-deflate; server_max_window_bits=08"], None),
            (&none, &["permessage-deflate; server_max_window_bits=+9"], None),
            (&none, &["permessage-deflate; client_max_window_bits=x"], None),
            (&none, &["permessage-deflate; foo, permessage-deflate"], Some(both)),
            (
                &takeover(),
                &[
                    "permessage-deflate; server_max_window_bits=99",
                    "permessage-deflate; server_max_window_bits=12",
                ],
                Some("; server_max_window_bits=12"),
            ),
        ];
        for (config, offers, expected) in cases {
            let answer = config.accept(offers).map(|agreed| agreed.to_string());
            let expected = expected.map(|parameters| format!("{NAME}{parameters}"));
            assert_eq!(answer, expected, "{offers:?}");
        }
    }

    #[test]
    fn answers_are_checked_against_the_offer() {
        let none = DeflateConfig::default();
        assert_eq!(
            none.offer(),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits"
        );
        let ten = DeflateConfig { server_max_window_bits: 10, ..takeover() };
        let cases: &[(&DeflateConfig, &str, bool)] = &[
            (&takeover(), "", true),
            (&takeover(), "; client_no_context_takeover", true),
            (&takeover(), "; server_max_window_bits=9", true),
            (&takeover(), "; client_max_window_bits=9", true),
            (&takeover(), "; client_max_window_bits", false),
            (&takeover(), "; foo", false),
            (&takeover(), ", permessage-deflate", false),
            (&none, "", false),
            (&none, "; server_no_context_takeover", true),
            (&ten, "", false),
            (&ten, "; server_max_window_bits=11", false),
            (&ten, "; server_max_window_bits=10", true),
        ];
        for (config, answer, is_valid) in cases {
            assert_eq!(config.agree(&format!("{NAME}{answer}")).is_ok(), *is_valid, "{answer:?}");
        }
        assert_eq!(none.agree("foo"), Err(DeflateRefused));
        assert_eq!(none.agree(""), Err(DeflateRefused));
    }

    #[test]
    fn what_a_client_offers_a_server_accepts_and_the_client_agrees() {
        for server in [takeover(), DeflateConfig::default()] {
            for client in
                [takeover(), DeflateConfig { client_max_window_bits: 9, ..DeflateConfig::default() }]
            {
                let answer = server.accept(&[&client.offer()]).unwrap();
                assert_eq!(client.agree(&answer.to_string()), Ok(answer));
            }
        }
    }
}
