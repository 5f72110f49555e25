//! Tokens and signed queries as a game's backend makes them, good ones and bad ones, without any of gannet's own code.

use crate::raw::{Answer, Raw, upgrade};
use crate::support::encoded;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use gannet::config::{AppConfig, Secret};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{SystemTime, UNIX_EPOCH};

pub const CHESS: &str = "the secret of the app named chess";
pub const ROTATED: &str = "the next secret of the app: chess";
pub const DEFAULT: &str = "the secret of the app named default";
pub const HS256: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// Seconds since the Unix epoch.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A token of any header and claims with a good HS256 signature.
pub fn token(header: &str, claims: &Value, secret: &str) -> String {
    let unsigned = format!("{}.{}", BASE64URL.encode(header), BASE64URL.encode(claims.to_string()));
    format!("{unsigned}.{}", BASE64URL.encode(mac(&unsigned, secret)))
}

/// The query of a player of `app`, signed at `timestamp`.
pub fn signed_query(app: &str, user: &str, timestamp: u64, nonce: &str, secret: &str) -> String {
    let mac = mac(&format!("{app}\n{user}\n{timestamp}\n{nonce}"), secret);
    let signature: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
    let (app, user, nonce) = (encoded(app), encoded(user), encoded(nonce));
    format!("app={app}&user={user}&timestamp={timestamp}&nonce={nonce}&signature={signature}")
}

/// HMAC-SHA256.
pub fn mac(message: &str, secret: &str) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(message);
    mac.finalize().into_bytes().to_vec()
}

/// An app with these secrets.
pub fn app(secrets: &[&str]) -> AppConfig {
    AppConfig { secrets: secrets.iter().map(|secret| Secret::new(*secret)).collect(), ..AppConfig::default() }
}

/// What an upgrade of `target` with these header lines is answered, on a connection of its own.
pub fn ask(address: SocketAddr, target: &str, headers: &str) -> Answer {
    let mut raw = Raw::connect(address);
    raw.send(upgrade(target, headers));
    raw.answer()
}

/// A connection to `address` from another loopback address.
pub fn connect_from(from: [u8; 4], address: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((IpAddr::from(from), 0)).into()).unwrap();
    socket.connect(&address.into()).unwrap();
    socket.into()
}
