//! The close codes of gannet's own, in the range that RFC 6455 §7.4.2 leaves to applications.

use crate::protocol::CloseCode;

/// Silent for too long.
pub const IDLE: CloseCode = CloseCode(4000);
/// Kicked by a backend that gave no other code.
pub const KICKED: CloseCode = CloseCode(4001);
/// Its user has a newer session instead.
pub const REPLACED: CloseCode = CloseCode(4002);
/// Too slow for what it is sent.
pub const TOO_SLOW: CloseCode = CloseCode(4003);
/// Its token has expired.
pub const TOKEN_EXPIRED: CloseCode = CloseCode(4004);
