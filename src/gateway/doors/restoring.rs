//! What a door that comes from another process is restored by.

use crate::connection::Shown;
use crate::core::{Audit, Rules};
use crate::dispatch::Unpacker;
use crate::session::{AppId, SessionId};
use crate::upgrade::InvalidState;
use std::sync::Arc;

/// See the module.
pub struct Restoring<'a> {
    /// The connection, which has kept its id.
    pub id: SessionId,
    /// Where its client is.
    pub remote: Shown,
    /// The rules of this process.
    pub rules: &'a Rules,
    /// The audit trail of this process.
    pub audit: &'a Arc<Audit>,
    /// The pushes that came along.
    pub unpacker: &'a Unpacker,
}

impl Restoring<'_> {
    /// The app with this id.
    ///
    /// # Errors
    /// There is none.
    pub fn app(&self, id: u16) -> Result<AppId, InvalidState> {
        let app = AppId(id);
        match self.rules.apps.has(app) {
            true => Ok(app),
            false => Err(InvalidState::new("commands are for an app that there is not")),
        }
    }
}
