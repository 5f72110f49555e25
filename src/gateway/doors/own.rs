//! gannet's own messages from a player that has agreed on them: answered here, at once.

use crate::connection::log_client;
use crate::core::{Core, RenewError, Reply};
use crate::dispatch::{CommandError, ErrorCode, MARK};
use crate::gateway::api::own::{Asked, Said, read};
use crate::protocol::{OpCode, encode_frame};
use crate::session::SessionId;
use crate::timer::Clock;

/// Answers what a player asks of gannet; `json` stands behind the mark.
pub fn answer(core: &mut Core, reply: &mut Reply, id: SessionId, json: &str) {
    let text = text_for(core, id, json);
    reply.messages.extend_from_slice(&encode_frame(OpCode::Text, text.as_bytes()));
}

/// The same, without the mark.
pub fn answer_to(core: &mut Core, id: SessionId, json: &str) -> String {
    let text = text_for(core, id, json);
    text.strip_prefix(MARK).map_or_else(|| text.clone(), Into::into)
}

fn text_for(core: &mut Core, id: SessionId, json: &str) -> String {
    match read(json) {
        Ok(Asked::Time(t)) => Said::Time { t: &t, server_unix_ms: Clock::wall_unix_ms() }.text(),
        Ok(Asked::Renew(token)) => match renew(core, id, &token) {
            Ok(expires_unix_ms) => Said::Renewed { expires_unix_ms }.text(),
            Err(error) => Said::error(Some("renew"), &error).text(),
        },
        Err(refused) => Said::error(refused.of.as_deref(), &refused.error).text(),
    }
}

/// The session goes on under this token; until when.
fn renew(core: &mut Core, id: SessionId, token: &str) -> Result<u64, CommandError> {
    if !core.may_renew(id.slot()) {
        return Err(CommandError::new(
            ErrorCode::RateLimited,
            "a session renews its token at most once in auth.renew_interval_ms: try again later",
        ));
    }
    core.renew(id.slot(), token.as_bytes()).map_err(|error| {
        log_client!(debug, session = id, core.remote_of(id), "not renewed: {error}");
        match error {
            RenewError::Auth(error) if error.is_over_soon() => CommandError::new(
                ErrorCode::Overloaded,
                "the keys that tokens are checked with have not been fetched yet: try again later",
            ),
            // Why is for the log: who has no valid token learns nothing from it.
            RenewError::Auth(_) | RenewError::NotRenewable => {
                CommandError::new(ErrorCode::Unauthorized, "show a valid token")
            }
            RenewError::OtherUser => CommandError::new(
                ErrorCode::Unauthorized,
                "show a token of the user that the session is bound to",
            ),
        }
    })
}

/// Tells a player that has agreed on such messages that its connection will be closed, behind what waits for it.
pub fn tell_to_reconnect(core: &mut Core, slot: u32, after_ms: u64, to: Option<&str>) {
    if core.speaks_own(slot) {
        let text = Said::Reconnect { after_ms, to }.text();
        core.append(slot, encode_frame(OpCode::Text, text.as_bytes()));
    }
}
