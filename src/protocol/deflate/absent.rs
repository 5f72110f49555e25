//! What stands for permessage-deflate in a build without it: a state that no connection can be in.

use super::partial::Message;
use super::{Limits, ProtocolError};

/// There is none.
pub(super) enum Deflate {}

impl Deflate {
    pub(super) fn inflate(
        &mut self,
        _payload: &[u8],
        _message: &mut Message,
        _limits: &Limits,
    ) -> Result<(), ProtocolError> {
        match *self {}
    }

    pub(super) fn deflate(&mut self, _payload: &[u8]) -> Option<Vec<u8>> {
        match *self {}
    }
}
