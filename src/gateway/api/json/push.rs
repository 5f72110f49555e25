//! A push in JSON.

use crate::dispatch::{Command, CommandError, CommandLimits, PushOptions};
use crate::ops::bounds::{self, bad_request};
use crate::ops::fields::{Fields, To};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use smallvec::SmallVec;

/// Takes the fields of a push and makes its command.
pub fn push(fields: &mut Fields<'_>, limits: &CommandLimits) -> Result<Command, CommandError> {
    let selectors = match fields.to.take() {
        Some(To::Target(target)) => target.selectors()?,
        Some(To::Group(_)) => {
            return Err(bad_request(r#"to is an object in a push, such as {"user":"ada"}"#));
        }
        None => SmallVec::new(),
    };
    let target = bounds::target(selectors, limits)?;
    let frame = match (fields.text.take(), fields.data.take()) {
        (Some(text), None) => bounds::text_frame(&text, limits)?,
        (None, Some(data)) => {
            let payload = STANDARD
                .decode(data.as_bytes())
                .map_err(|error| bad_request(format!("data is base64, padded (RFC 4648 §4): {error}")))?;
            bounds::binary_frame(&payload, limits)?
        }
        (None, None) => return Err(bad_request("a push needs its message: text, or data in base64")),
        (Some(_), Some(_)) => return Err(bad_request("a push has either text or data, not both")),
    };
    let options = PushOptions {
        ttl: Some(bounds::ttl(fields.ttl_ms.take(), limits)?),
        key: fields.key.take().map(|key| bounds::conflation_key(&key)).transpose()?,
        class: fields.class.take().map(|class| bounds::class(&class)).transpose()?.unwrap_or_default(),
        except: fields.except.take().map(|except| bounds::session("except", &except)).transpose()?,
        receipt: fields
            .receipt
            .take()
            .map(|receipt| bounds::receipt(&receipt))
            .transpose()?
            .unwrap_or_default(),
    };
    Ok(Command::Push { target, frame, options })
}
