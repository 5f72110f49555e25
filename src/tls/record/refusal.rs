//! Why a peer's records are refused, and the alert that says so.

use std::fmt;

/// AlertDescription, of those that this server sends (RFC 8446 §6, RFC 5246 §7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Alert {
    /// Nothing more comes.
    CloseNotify = 0,
    /// A message that may not come now.
    UnexpectedMessage = 10,
    /// A record that does not open.
    BadRecordMac = 20,
    /// A record that is too long.
    RecordOverflow = 22,
    /// No further handshake (RFC 5746 §4.4).
    HandshakeFailure = 40,
    /// A field with a value that it may not have.
    IllegalParameter = 47,
    /// A message that cannot be decoded.
    DecodeError = 50,
    /// Of TLS 1.2: no further handshake, but the session goes on.
    NoRenegotiation = 100,
}

/// What a peer has sent that it may not. The session ends with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// A record of a type that may not come now, change_cipher_spec among them.
    RecordType(u8),
    /// A record of another version.
    RecordVersion,
    /// A record, or its content, beyond 2^14 bytes and what the version adds.
    Overflow,
    /// A record that the key does not open.
    BadMac,
    /// The key has opened as many records as a sequence number counts.
    Exhausted,
    /// Nothing but padding (RFC 8446 §5.4).
    NoContentType,
    /// An alert or a handshake message without content (RFC 8446 §5.4).
    EmptyMessage,
    /// Too many records without content in a row.
    EmptyRecords,
    /// An alert that is not two bytes in a record of its own (RFC 8446 §5.1).
    AlertForm,
    /// An alert with a level that there is not.
    AlertLevel,
    /// The peer has ended the session with this alert.
    AlertReceived(u8),
    /// Too many warnings.
    Warnings,
    /// A handshake message that a client may not send after the handshake.
    HandshakeMessage(u8),
    /// A handshake message that says a length which it cannot have.
    HandshakeLength,
    /// A record of another type in the middle of a handshake message (RFC 8446 §5.1).
    Interleaved,
    /// A KeyUpdate that does not end its record (RFC 8446 §5.1).
    KeyUpdateNotLast,
    /// A KeyUpdate that asks for what there is not (RFC 8446 §4.6.3).
    KeyUpdateRequest,
    /// Too many updates of keys without data between them.
    KeyUpdates,
    /// A second try to negotiate again.
    Renegotiations,
}

impl Refusal {
    /// The alert that tells the peer; `None` where the peer itself has ended the session.
    pub fn alert(self) -> Option<Alert> {
        Some(match self {
            Self::RecordType(_)
            | Self::NoContentType
            | Self::EmptyMessage
            | Self::EmptyRecords
            | Self::Warnings
            | Self::HandshakeMessage(_)
            | Self::Interleaved
            | Self::KeyUpdateNotLast
            | Self::KeyUpdates => Alert::UnexpectedMessage,
            Self::RecordVersion | Self::AlertForm | Self::HandshakeLength => Alert::DecodeError,
            Self::Overflow => Alert::RecordOverflow,
            Self::BadMac | Self::Exhausted => Alert::BadRecordMac,
            Self::AlertLevel | Self::KeyUpdateRequest => Alert::IllegalParameter,
            Self::Renegotiations => Alert::HandshakeFailure,
            Self::AlertReceived(_) => return None,
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::RecordType(kind) => return write!(f, "a TLS record of type {kind} may not come now"),
            Self::HandshakeMessage(kind) => {
                return write!(f, "a handshake message of type {kind} may not come after the handshake");
            }
            Self::AlertReceived(alert) => return write!(f, "the peer sent the alert {alert}"),
            Self::RecordVersion => "a TLS record has another version",
            Self::Overflow => "a TLS record is too long",
            Self::BadMac => "a TLS record cannot be opened",
            Self::Exhausted => "a key has been used as often as it may be",
            Self::NoContentType => "a TLS record has no content type",
            Self::EmptyMessage => "an alert or a handshake message is empty",
            Self::EmptyRecords => "too many TLS records are empty",
            Self::AlertForm => "an alert is not two bytes in a record of its own",
            Self::AlertLevel => "an alert has an unknown level",
            Self::Warnings => "too many warnings have come",
            Self::HandshakeLength => "a handshake message has an impossible length",
            Self::Interleaved => "a record has come in the middle of a handshake message",
            Self::KeyUpdateNotLast => "a KeyUpdate does not end its record",
            Self::KeyUpdateRequest => "a KeyUpdate has an unknown request",
            Self::KeyUpdates => "too many updates of keys have come",
            Self::Renegotiations => "the client negotiates again and again",
        };
        f.write_str(text)
    }
}

impl std::error::Error for Refusal {}
