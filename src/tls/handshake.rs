//! A handshake, by rustls, and the keys that it leaves behind.
//!
//! rustls is given whole records only, and the socket is read no further than to the end of one: when the handshake is done,
//! no byte of what follows is in rustls, which would not give it back.

use super::Failed;
use super::record::{
    Aead, HEADER_BYTES, Keys, RecordLayer, Secrets, Suite, TrafficSecret, Version, missing_bytes,
};
use crate::metrics::TlsOutcome;
use rustls::{
    ConnectionTrafficSecrets, Error, HandshakeKind, InvalidMessage, KeyLog, ProtocolVersion, ServerConfig,
    ServerConnection,
};
use std::io::{self, Read, Write};
use std::sync::{Arc, OnceLock};
use zeroize::Zeroizing;

/// Reads of the socket in one look, each up to [`READ_BYTES`]: a peer can send records that change nothing for ever.
const MAX_READS: usize = 16;
const READ_BYTES: usize = 4096;

/// See the module.
pub struct Handshake {
    /// `None` once the handshake has given its keys away.
    connection: Option<ServerConnection>,
    secrets: Arc<LoggedSecrets>,
    /// The beginning of a record.
    record: Vec<u8>,
    has_read: bool,
}

/// How far a look at a handshake came.
#[expect(clippy::large_enum_variant, reason = "in a box, keys would be left in memory that is free")]
pub enum Step {
    /// To its end.
    Done(Finished),
    /// More has to come.
    NotYet,
    /// More may have come than was looked at.
    Busy,
}

/// What a handshake has agreed on.
pub struct Finished {
    /// The keys.
    pub layer: RecordLayer,
    /// What the socket has not taken of the server's last messages.
    pub unsent: Vec<u8>,
    /// What it counts as.
    pub outcome: TlsOutcome,
}

/// The traffic secrets of TLS 1.3: rustls gives them to a log of keys alone.
#[derive(Default)]
pub struct LoggedSecrets {
    client: OnceLock<Zeroizing<Vec<u8>>>,
    server: OnceLock<Zeroizing<Vec<u8>>>,
}

impl Handshake {
    /// Before the first byte.
    ///
    /// # Errors
    /// What rustls says of the configuration.
    pub fn new(config: &ServerConfig) -> Result<Self, Error> {
        let secrets = Arc::new(LoggedSecrets::default());
        // What is logged names no connection: each has a log of its own.
        let mut config = config.clone();
        config.key_log = Arc::clone(&secrets) as _;
        let connection = Some(ServerConnection::new(Arc::new(config))?);
        Ok(Self { connection, secrets, record: Vec::new(), has_read: false })
    }

    /// Whether any byte has come: until then it can begin anywhere.
    pub fn has_read(&self) -> bool {
        self.has_read
    }

    /// Goes on as far as what has come allows.
    ///
    /// # Errors
    /// [`Failed`]; the alert that tells the peer why has been sent then, if the socket took it.
    pub fn step(&mut self, socket: &mut (impl Read + Write)) -> Result<Step, Failed> {
        let mut chunk = [0; READ_BYTES];
        for _ in 0..MAX_READS {
            let most = missing_bytes(&self.record).min(READ_BYTES);
            match socket.read(&mut chunk[..most]) {
                Ok(0) => return Err(gone("the peer ended the connection")),
                Ok(count) => self.record.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Step::NotYet),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(gone(&error.to_string())),
            }
            self.has_read = true;
            if !is_ready(&self.record) {
                continue;
            }
            let record = std::mem::take(&mut self.record);
            let processed = self.process(&record);
            let flushed = self.flush(socket);
            processed
                .map_err(|error| Failed { outcome: outcome_of(&error), message: error.to_string().into() })?;
            flushed.map_err(|error| gone(&error.to_string()))?;
            if let Some(connection) = self.connection.take_if(|connection| !connection.is_handshaking()) {
                return self.finish(connection).map(Step::Done);
            }
        }
        Ok(Step::Busy)
    }

    fn process(&mut self, mut record: &[u8]) -> Result<(), Error> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        while !record.is_empty() {
            // It takes a part of a long record at once. It refuses when its buffer is full, and says why when asked.
            if !matches!(connection.read_tls(&mut record), Ok(1..)) {
                connection.process_new_packets()?;
                return Err(Error::General("rustls takes no more of a handshake".into()));
            }
            connection.process_new_packets()?;
        }
        Ok(())
    }

    /// Sends what is to be sent. Returns whether nothing is left.
    ///
    /// # Errors
    /// The socket's, other than `WouldBlock`.
    pub fn flush(&mut self, socket: &mut impl Write) -> io::Result<bool> {
        let Some(connection) = &mut self.connection else { return Ok(true) };
        while connection.wants_write() {
            match connection.write_tls(socket) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Whether something is to be sent.
    pub fn has_unsent(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| connection.wants_write())
    }

    /// Says that nothing more comes; to be flushed.
    pub fn close(&mut self) {
        if let Some(connection) = &mut self.connection {
            connection.send_close_notify();
        }
    }

    /// Takes the keys over. No record of data has been given to rustls, so there is none to be lost.
    fn finish(&self, mut connection: ServerConnection) -> Result<Finished, Failed> {
        let failed = |message: String| Failed { outcome: TlsOutcome::Misbehaved, message: message.into() };
        let outcome = match connection.handshake_kind() {
            Some(HandshakeKind::Resumed) => TlsOutcome::Resumed,
            _ => TlsOutcome::Full,
        };
        let version = match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => Version::Tls12,
            Some(ProtocolVersion::TLSv1_3) => Version::Tls13,
            version => return Err(failed(format!("no keys are taken over from {version:?}"))),
        };
        // Tickets, perhaps: rustls gives no keys away before it has written them.
        let mut unsent = Vec::new();
        while connection.wants_write() {
            connection.write_tls(&mut unsent).map_err(|error| failed(error.to_string()))?;
        }
        let extracted = connection.dangerous_extract_secrets().map_err(|error| failed(error.to_string()))?;
        let (sequence, secrets) = extracted.rx;
        let (suite, receiving) = keys_of(version, &secrets, sequence).map_err(failed)?;
        let (sequence, secrets) = extracted.tx;
        let (_, sending) = keys_of(version, &secrets, sequence).map_err(failed)?;
        let secrets = match version {
            Version::Tls12 => None,
            Version::Tls13 => Some(self.secrets.of(suite, &receiving, &sending).map_err(failed)?),
        };
        Ok(Finished { layer: RecordLayer::new(suite, receiving, sending, secrets), unsent, outcome })
    }
}

/// Whether rustls is to see the record: it is whole, or no record begins like this, which rustls says to the peer. A client
/// that speaks something else is not waited for.
fn is_ready(record: &[u8]) -> bool {
    const LAST_CONTENT_TYPE: u8 = 24;
    const MAX_BODY: usize = (1 << 14) + 2048;
    if record.len() < HEADER_BYTES {
        return false;
    }
    let missing = missing_bytes(record);
    let body = record.len() - HEADER_BYTES + missing;
    let is_record = (20..=LAST_CONTENT_TYPE).contains(&record[0]) && record[1] == 3 && body < MAX_BODY;
    missing == 0 || !is_record
}

/// The suite and the keys of a direction, with `sequence` records behind them.
///
/// # Errors
/// A cipher that is not ours.
pub fn keys_of(
    version: Version,
    secrets: &ConnectionTrafficSecrets,
    sequence: u64,
) -> Result<(Suite, Keys), String> {
    let (aead, key, iv) = match secrets {
        ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (Aead::Aes128Gcm, key, iv),
        ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (Aead::Aes256Gcm, key, iv),
        ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (Aead::ChaCha20Poly1305, key, iv),
        _ => return Err("no keys are taken over for this cipher".to_owned()),
    };
    let suite = Suite { version, aead };
    let iv = iv.as_ref().try_into().ok();
    let keys = iv.and_then(|iv| Keys::new(suite, key.as_ref(), iv, sequence));
    keys.map(|keys| (suite, keys)).ok_or_else(|| "the keys of a handshake have a wrong length".to_owned())
}

impl LoggedSecrets {
    /// The secrets, if the keys in use come from them.
    ///
    /// # Errors
    /// They do not.
    pub fn of(&self, suite: Suite, receiving: &Keys, sending: &Keys) -> Result<Secrets, String> {
        let of = |logged: &OnceLock<Zeroizing<Vec<u8>>>, keys: &Keys| {
            let secret = TrafficSecret::new(suite, logged.get()?)?;
            secret.keys(suite, 0).are_those_of(keys).then_some(secret)
        };
        of(&self.client, receiving)
            .zip(of(&self.server, sending))
            .map(|(receiving, sending)| Secrets { receiving, sending })
            .ok_or_else(|| "the keys of a handshake are not those of its secrets".to_owned())
    }

    fn place(&self, label: &str) -> Option<&OnceLock<Zeroizing<Vec<u8>>>> {
        match label {
            "CLIENT_TRAFFIC_SECRET_0" => Some(&self.client),
            "SERVER_TRAFFIC_SECRET_0" => Some(&self.server),
            _ => None,
        }
    }
}

impl KeyLog for LoggedSecrets {
    fn log(&self, label: &str, _client_random: &[u8], secret: &[u8]) {
        if let Some(place) = self.place(label) {
            // There is one of each in a handshake; keys that do not come from it are refused later.
            let _ = place.set(Zeroizing::new(secret.to_vec()));
        }
    }

    fn will_log(&self, label: &str) -> bool {
        self.place(label).is_some()
    }
}

impl std::fmt::Debug for LoggedSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LoggedSecrets")
    }
}

fn gone(message: &str) -> Failed {
    Failed { outcome: TlsOutcome::Gone, message: message.into() }
}

fn outcome_of(error: &Error) -> TlsOutcome {
    match error {
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) => TlsOutcome::NotTls,
        Error::PeerIncompatible(_) | Error::NoApplicationProtocol => TlsOutcome::Incompatible,
        Error::AlertReceived(_) => TlsOutcome::Refused,
        _ => TlsOutcome::Misbehaved,
    }
}
