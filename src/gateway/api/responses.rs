//! The responses of the backend port that are no command's outcome: errors, the upgrade of a link.
//! Knows nothing of connections.

use super::refusal::{Refusal, Refused};
use super::render;
use crate::dispatch::{Action, CommandError, ErrorCode, LinkForm, Outcome};
use crate::http::{Request, Response};
use crate::link_bin::SUBPROTOCOL;
use crate::protocol::handshake::{check_upgrade, write_accept};

/// The subprotocol of a link whose messages are JSON.
const LINK_JSON: &str = "gannet.link.json";

/// What follows the head of an upgrade request is the other protocol's (RFC 9110 §7.8): a body there would be read as
/// frames.
pub const UPGRADE_WITH_BODY: &str =
    "an upgrade request has no body: leave out Content-Length and Transfer-Encoding";

/// To a player of whose subprotocols none is selected.
pub const NONE_SPOKEN: &str = "none of the subprotocols offered is spoken here: offer gannet.v1 or one of the \
                               app's, also beside a token, or none at all";

/// To one that asks for an echo, which has none of gannet's own messages.
pub const NONE_ECHOED: &str =
    "an echo speaks none of the subprotocols offered: offer none at all, or gannet.raw";

/// The answer to what is refused, on either port, with the fields that its status asks for.
pub fn refusal(status: u16, error: &CommandError, allow: Option<String>) -> Response {
    let mut body = String::new();
    render::http_error(&mut body, error);
    with_fields(Response::json(status, body), error.code, allow)
}

/// The answer to a request that is not let in.
pub fn refused(refused: &Refused) -> Response {
    let error = CommandError::new(refused.code, refused.message.clone());
    let mut body = String::new();
    render::http_error(&mut body, &error);
    let response = Response::json(refused.status, body);
    with_fields_and(response, refused.code, refused.allow.clone(), refused.retry_after_s)
}

/// The fields that go with an error, beside its body.
pub fn with_fields(response: Response, code: ErrorCode, allow: Option<String>) -> Response {
    with_fields_and(response, code, allow, None)
}

/// The same; when to come again, in seconds, may be known better than from the code.
fn with_fields_and(
    mut response: Response,
    code: ErrorCode,
    allow: Option<String>,
    retry_after_s: Option<u64>,
) -> Response {
    if let Some(allow) = allow {
        response = response.with_header("Allow", allow);
    }
    if let Some(seconds) = retry_after_s.or(code.row().retry_after_s.map(u64::from)) {
        response = response.with_header("Retry-After", seconds.to_string());
    }
    if code == ErrorCode::Unauthorized {
        // RFC 9110 §11.6.1: a 401 names the scheme.
        response = response.with_header("WWW-Authenticate", "Bearer");
    }
    if response.status() == 426 {
        // RFC 6455 §4.2.2: the versions that are spoken here.
        response = response.with_header("Sec-WebSocket-Version", "13").with_header("Upgrade", "websocket");
    }
    response
}

/// The answer to a command.
pub fn answer(asked: Option<&Action>, outcome: &Outcome) -> Response {
    let mut json = String::new();
    let status = render::http_answer(&mut json, asked, outcome);
    let response = Response::json(status, json);
    match outcome {
        Outcome::Refused(error) => with_fields(response, error.code, None),
        Outcome::Receipt(_) | Outcome::Accepted | Outcome::Done(_) | Outcome::Listening { .. } => response,
    }
}

/// A request that HTTP itself does not allow.
pub fn error_response(status: u16, message: &str) -> Response {
    let (code, _) = ErrorCode::of_status(status);
    refusal(status, &CommandError::new(code, message), None)
}

pub fn refusal_response(refusal: &Refusal) -> Response {
    self::refusal(refusal.error.code.status(), &refusal.error, refusal.allow.clone())
}

pub fn unauthorized() -> Response {
    let message = "show the key of this port: Authorization: Bearer <key>";
    refusal_response(&CommandError::new(ErrorCode::Unauthorized, message).into())
}

/// Too many requests from one address without a key of this port.
pub fn too_many_keys() -> Response {
    let message = "too many requests without a key of this port: try again later, with the key";
    refusal_response(&CommandError::new(ErrorCode::RateLimited, message).into())
}

/// A page asks that is none of this port's and not listed.
pub fn forbidden_page() -> Response {
    let message = "pages of this origin may not use this port: list it in backend.origins";
    refusal_response(&CommandError::new(ErrorCode::Forbidden, message).into())
}

/// 421: a name that need not mean this server (RFC 9110 §15.5.20).
pub fn unknown_host() -> Response {
    error_response(421, "without a key Host must be an address, localhost or a name in backend.hosts")
}

/// The form and the 101 of a link, or why there is none.
pub fn link_upgrade(draining: bool, request: &Request<'_>) -> Result<(LinkForm, Vec<u8>), Response> {
    let upgrade = check_upgrade(request.method, request.version_minor, request.headers())
        .map_err(|error| error_response(error.status(), &error.to_string()))?;
    if request.has_body() {
        return Err(error_response(400, UPGRADE_WITH_BODY));
    }
    // The first that is spoken here: the client offers them in its order of preference (RFC 6455 §4.2.2).
    let form_of = |offered: &&str| match *offered {
        LINK_JSON => Some((LinkForm::Json, LINK_JSON)),
        SUBPROTOCOL => Some((LinkForm::Binary, SUBPROTOCOL)),
        _ => None,
    };
    let Some((form, subprotocol)) = upgrade.subprotocols.iter().find_map(form_of) else {
        return Err(error_response(400, "offer the subprotocol gannet.link.json or gannet.link.bin"));
    };
    if draining {
        let error = CommandError::new(ErrorCode::Draining, "the server is going away");
        return Err(refusal_response(&error.into()));
    }
    let mut accept = Vec::new();
    write_accept(upgrade.key, Some(subprotocol), None, &mut accept);
    Ok((form, accept))
}
