//! A push in JSON.

use crate::dispatch::{Command, CommandError, CommandLimits, PushOptions};
use crate::ops::bounds::{self, bad_request};
use crate::ops::fields::{Except, Fields, To};
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
    let frame = match (fields.text.take(), fields.data.take(), fields.json.take()) {
        (Some(text), None, None) => bounds::text_frame(&text, limits)?,
        (None, None, Some(json)) => bounds::text_frame(json.get(), limits)?,
        (None, Some(data), None) => {
            let payload = STANDARD
                .decode(data.as_bytes())
                .map_err(|error| bad_request(format!("data is base64, padded (RFC 4648 §4): {error}")))?;
            bounds::binary_frame(&payload, limits)?
        }
        (None, None, None) => {
            return Err(bad_request("a push needs its message: text, data in base64, or json"));
        }
        _ => return Err(bad_request("a push has one of text, data and json, not several")),
    };
    let (except, without) = match fields.except.take() {
        None => (None, Vec::new()),
        Some(Except::Session(session)) => (Some(bounds::session("except", &session)?), Vec::new()),
        Some(Except::Named(named)) => {
            (None, bounds::without(named.selectors().collect::<Result<_, _>>()?, limits)?)
        }
    };
    let names = fields.names.take().unwrap_or(false);
    let options = PushOptions {
        ttl: Some(bounds::ttl(fields.ttl_ms.take(), limits)?),
        key: fields.key.take().map(|key| bounds::conflation_key(&key)).transpose()?,
        class: fields.class.take().map(|class| bounds::class(&class)).transpose()?.unwrap_or_default(),
        except,
        without,
        names: if names { limits.receipt_names } else { 0 },
        receipt: fields
            .receipt
            .take()
            .map(|receipt| bounds::receipt(&receipt))
            .transpose()?
            .unwrap_or_default(),
        scope: fields.take_scope()?,
    };
    Ok(Command::Push { target, frame, options })
}
