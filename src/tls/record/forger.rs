//! A client that has the keys and sends whatever the tests want, in records that open.

use super::handshake::KEY_UPDATE;
use super::header::HANDSHAKE;
use super::keys::Keys;
use super::secret::TrafficSecret;
use super::suite::Suite;

/// See the module.
pub struct Forger {
    suite: Suite,
    keys: Keys,
    secret: Option<TrafficSecret>,
}

impl Forger {
    /// The client with these keys; a secret for TLS 1.3.
    pub fn new(suite: Suite, keys: Keys, secret: Option<TrafficSecret>) -> Self {
        Self { suite, keys, secret }
    }

    /// Appends a record with this content, which is that of no type in particular. A type of 0 is padding in TLS 1.3: the
    /// type is the last byte of the content then.
    pub fn seal(&mut self, kind: u8, content: &[u8], out: &mut Vec<u8>) {
        self.keys.seal(self.suite, kind, out, |out| out.extend_from_slice(content));
    }

    /// Appends a KeyUpdate, and goes on with the keys behind it. TLS 1.2 has none.
    pub fn update_key(&mut self, request: u8, out: &mut Vec<u8>) {
        self.seal(HANDSHAKE, &[KEY_UPDATE, 0, 0, 1, request], out);
        self.skip_key();
    }

    /// Goes on with the next keys.
    pub fn skip_key(&mut self) {
        if let Some(secret) = &mut self.secret {
            secret.update(self.suite);
            self.keys = secret.keys(self.suite, 0);
        }
    }
}
