//! From a request to what it asks for: the path, then the method, then the parameters, then the body. The first that is
//! wrong is what the answer says.

use super::{Resume, Routed};
use crate::dispatch::{Apps, Command, CommandError, CommandLimits, EncodedFrame, PushOptions, Selector};
use crate::gateway::api::batch::BatchCursor;
use crate::gateway::api::params::{self, Value};
use crate::gateway::api::refusal::Refusal;
use crate::http::Request;
use crate::ops::bounds::{self, bad_request};
use crate::ops::field::{APP, once};
use crate::ops::fields::{Fields, Text};
use crate::ops::{self, Call, Found, Make, Route, Row, Segment};
use crate::protocol::OpCode;
use crate::session::AppId;
use smallvec::SmallVec;

/// What `request` with the whole of its `body` asks for, of which a long message is made.
///
/// # Errors
/// [`Refusal`]: 404 for a path or an app that is not there, 405 for a method that the path does not have, 413 for a push
/// or batch beyond its limit, 400 for everything else.
pub fn route(
    request: &Request<'_>,
    body: &mut Vec<u8>,
    apps: &Apps,
    limits: &CommandLimits,
) -> Result<Routed, Refusal> {
    let segments = params::segments(request.path)?;
    let names: SmallVec<[&str; 5]> = segments.iter().map(AsRef::as_ref).collect();
    match ops::find(request.method, &names) {
        Found::Route(row, route) => {
            Ok(Router { request, segments: &names, route, row, body, apps, limits }.route()?)
        }
        Found::OtherMethods(allow) => Err(Refusal::method_not_allowed(request.method, allow)),
        Found::Nothing => Err(Refusal::unknown_path(request.path, &ops::paths())),
    }
}

struct Router<'a> {
    request: &'a Request<'a>,
    segments: &'a [&'a str],
    route: &'static Route,
    row: &'static Row,
    body: &'a mut Vec<u8>,
    apps: &'a Apps,
    limits: &'a CommandLimits,
}

impl<'a> Router<'a> {
    fn route(self) -> Result<Routed, CommandError> {
        match self.row.call {
            Call::Push => self.push(),
            Call::Act(make) => self.act(make, false),
            Call::ActOnBody(make) => self.act(make, true),
            Call::Batch => {
                let app = self.app_of(&mut self.fields()?)?;
                let cursor = BatchCursor::new(self.body, self.limits)?;
                Ok(Routed::Batch { app, cursor, row: self.row })
            }
            Call::Link => {
                let mut fields = self.fields()?;
                let resume = resume(&mut fields)?;
                Ok(Routed::Link { app: self.app_of(&mut fields)?, resume, row: self.row })
            }
            Call::Feed(make) => {
                let mut fields = self.fields()?;
                let feed = make(&mut fields)?;
                Ok(Routed::Feed { app: self.app_of(&mut fields)?, feed, row: self.row })
            }
            Call::Order(make) => {
                make(&mut self.fields()?).map(|order| Routed::Order { order, row: self.row })
            }
            Call::Page(page) => self.fields().map(|_| Routed::Page { page, row: self.row }),
            Call::Listen(_) => Err(bad_request("op listen is for the link")),
        }
    }

    /// The fields that stand in the path and in the query.
    fn fields(&self) -> Result<Fields<'a>, CommandError> {
        let mut fields = Fields::default();
        for (segment, value) in self.route.path.iter().zip(self.segments) {
            if let Segment::Of(field) = segment {
                field.put(&mut fields, Text((*value).into()))?;
            }
        }
        for pair in params::pairs(self.request.query) {
            let (name, value) = pair?;
            match self.row.query(self.route).find(|field| field.name == name) {
                Some(field) => field.put(&mut fields, Text(value))?,
                None => return Err(self.unknown(&name)),
            }
        }
        Ok(fields)
    }

    fn act(&self, make: Make, has_body: bool) -> Result<Routed, CommandError> {
        let mut fields = self.fields()?;
        let app = self.app_of(&mut fields)?;
        if has_body {
            self.add_renewal_in_body(&mut fields)?;
        }
        let (action, scope) = (make(&mut fields, self.limits)?, fields.take_scope()?);
        Ok(Routed::Command { app, command: Command::Act(action, scope), row: self.row })
    }

    /// What belongs into no URL: the one field in the body.
    fn add_renewal_in_body<'f>(&'f self, fields: &mut Fields<'f>) -> Result<(), CommandError> {
        let wrong = || {
            let one = "the body is one JSON object with token, a text, or with expires_unix_ms or for_ms, a number, and nothing else";
            bad_request(one)
        };
        // serde would read an array as well, field by field.
        if self.body.trim_ascii_start().first() != Some(&b'{') {
            return Err(wrong());
        }
        let mut body: Fields<'f> = serde_json::from_slice(self.body).map_err(|_| wrong())?;
        fields.token = body.token.take();
        (fields.expires_unix_ms, fields.for_ms) = (body.expires_unix_ms.take(), body.for_ms.take());
        let given = [fields.token.is_some(), fields.expires_unix_ms.is_some(), fields.for_ms.is_some()];
        match body.is_empty() && given.into_iter().filter(|given| *given).count() == 1 {
            true => Ok(()),
            false => Err(wrong()),
        }
    }

    fn push(self) -> Result<Routed, CommandError> {
        let (mut selectors, mut common) = (SmallVec::new(), Vec::new());
        let (mut except, mut without) = (None, Vec::new());
        let [mut app, mut all, mut ttl_ms, mut key, mut class, mut names, mut receipt, mut scope] =
            [const { None }; 8];
        for pair in params::pairs(self.request.query) {
            let (name, value) = pair?;
            let slot = match &*name {
                "session" | "user" | "group" | "tag" => {
                    selectors.push(selector(&name, &value)?);
                    continue;
                }
                "all_of" => {
                    common.push(bounds::selector(&name, &value)?);
                    continue;
                }
                "except" => {
                    match value.contains(':') {
                        true => without.push(bounds::selector(&name, &value)?),
                        false => {
                            let session = bounds::session(&name, &value)?;
                            without.extend(except.replace(session).map(Selector::Session));
                        }
                    }
                    continue;
                }
                "app" => &mut app,
                "all" => &mut all,
                "ttl_ms" => &mut ttl_ms,
                "key" => &mut key,
                "class" => &mut class,
                "names" => &mut names,
                "receipt" => &mut receipt,
                "scope" => &mut scope,
                _ => return Err(self.unknown(&name)),
            };
            once(slot, &name, value)?;
        }
        let app = self.app(app)?;
        if params::switch("all", all)? {
            selectors.push(Selector::All);
        }
        if !common.is_empty() {
            selectors.push(bounds::all_of(common)?);
        }
        let target = bounds::target(selectors, self.limits)?;
        let options = PushOptions {
            ttl: Some(bounds::ttl(params::number("ttl_ms", ttl_ms)?, self.limits)?),
            key: key.map(|key| bounds::conflation_key(&key)).transpose()?,
            class: class.map(|class| bounds::class(&class)).transpose()?.unwrap_or_default(),
            except,
            without: bounds::without(without, self.limits)?,
            names: if params::switch("names", names)? { self.limits.receipt_names } else { 0 },
            receipt: receipt.map(|receipt| bounds::receipt(&receipt)).transpose()?.unwrap_or_default(),
            scope: scope.map(|scope| bounds::scope(&scope)).transpose()?.unwrap_or_default(),
        };
        let row = self.row;
        let frame = self.frame()?;
        Ok(Routed::Command { app, command: Command::Push { target, frame, options }, row })
    }

    /// The body as a message.
    fn frame(self) -> Result<EncodedFrame, CommandError> {
        let opcode = if self.request.header("content-type").is_some_and(is_octet_stream) {
            OpCode::Binary
        } else {
            simdutf8::basic::from_utf8(self.body).map_err(|_| {
                bad_request(
                    "a text message is UTF-8; send any other with Content-Type: application/octet-stream",
                )
            })?;
            OpCode::Text
        };
        bounds::check_payload(self.body.len(), self.limits)?;
        Ok(EncodedFrame::of_body(opcode, self.body))
    }

    fn unknown(&self, name: &str) -> CommandError {
        let known: SmallVec<[&str; 16]> = self.row.query(self.route).map(|field| field.name).collect();
        params::unknown(name, &known)
    }

    fn app_of(&self, fields: &mut Fields<'_>) -> Result<AppId, CommandError> {
        if !self.route.query.iter().any(|field| field.name == APP.name) {
            // It is about no app, and so for every key.
            return Ok(Apps::DEFAULT);
        }
        self.app(fields.app.take().map(|name| name.0))
    }

    fn app(&self, name: Option<Value<'_>>) -> Result<AppId, CommandError> {
        name.map_or_else(|| self.apps.default_app(), |name| self.apps.find(&name))
    }
}

/// What a link wants to be beyond its connection.
fn resume(fields: &mut Fields<'_>) -> Result<Option<Resume>, CommandError> {
    match (fields.resume.take(), fields.received.take()) {
        (None, None) => Ok(None),
        (Some(ticket), None) if &*ticket == "new" => Ok(Some(Resume::New)),
        (Some(ticket), Some(received)) if &*ticket != "new" => {
            Ok(Some(Resume::Back { ticket: (&*ticket).into(), received }))
        }
        _ => Err(bad_request(
            "a link has resume=new, or resume with its ticket and received, the events it has read",
        )),
    }
}

/// The selector that the parameter `name` stands for.
fn selector(name: &str, value: &str) -> Result<Selector, CommandError> {
    match name {
        "session" => bounds::session(name, value).map(Selector::Session),
        "user" => bounds::name(name, value).map(Selector::User),
        "group" => bounds::name(name, value).map(Selector::Group),
        _ => bounds::name(name, value).map(Selector::Tag),
    }
}

/// Whether a `Content-Type` is `application/octet-stream`, whatever its parameters (RFC 9110 §8.3.1).
fn is_octet_stream(content_type: &[u8]) -> bool {
    let media_type = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    media_type.trim_ascii().eq_ignore_ascii_case(b"application/octet-stream")
}
