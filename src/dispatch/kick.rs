//! How those outside may have a session closed: what its Close frame may hold.

use super::{CommandError, ErrorCode};
use crate::protocol::CloseFrame;

/// Whether a kick may say `code`.
///
/// Taken are the codes by which a server ends a session of its own will: 1000, 1001, 1008, 1011, 1012, 1013 and
/// 3000–4999. The others of RFC 6455 §7.4 either never stand in a Close or accuse the peer of a breach of the protocol.
///
/// # Errors
/// [`ErrorCode::BadRequest`].
pub fn check_close_code(code: u16) -> Result<(), CommandError> {
    match code {
        1000 | 1001 | 1008 | 1011..=1013 | 3000..=4999 => Ok(()),
        _ => Err(bad_code()),
    }
}

/// What a code is told that is none of those.
pub fn bad_code() -> CommandError {
    let message = "code is one of 1000, 1001, 1008, 1011, 1012, 1013 and 3000 to 4999";
    CommandError::new(ErrorCode::BadRequest, message)
}

/// Whether a kick may say `reason`: a control frame holds no more beside the code (RFC 6455 §5.5).
///
/// # Errors
/// [`ErrorCode::BadRequest`].
pub fn check_close_reason(reason: &str) -> Result<(), CommandError> {
    const MOST: usize = CloseFrame::MAX_REASON_BYTES;
    if reason.len() > MOST {
        let message = format!("reason has at most {MOST} bytes");
        return Err(CommandError::new(ErrorCode::BadRequest, message));
    }
    Ok(())
}
