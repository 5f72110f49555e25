//! From a request to what it asks for: the path, then the method, then the parameters, then the body. The first that is
//! wrong is what the answer says.

use super::Routed;
use super::resource::Resource;
use crate::dispatch::Apps;
use crate::dispatch::{Action, Command, CommandError, EncodedFrame, PushOptions, Selector};
use crate::gateway::api::batch::BatchCursor;
use crate::gateway::api::fields::{self, CommandLimits, bad_request};
use crate::gateway::api::params::{self, Value};
use crate::gateway::api::refusal::Refusal;
use crate::http::Request;
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
    let segments: SmallVec<[&str; 5]> = segments.iter().map(AsRef::as_ref).collect();
    let resource =
        Resource::find(&segments).ok_or_else(|| Refusal::unknown_path(request.path, Resource::PATHS))?;
    if !resource.allows(request.method) {
        return Err(Refusal::method_not_allowed(request.method, resource.allow()));
    }
    Ok(Router { request, body, apps, limits }.route(resource)?)
}

struct Router<'a> {
    request: &'a Request<'a>,
    body: &'a mut Vec<u8>,
    apps: &'a Apps,
    limits: &'a CommandLimits,
}

impl<'a> Router<'a> {
    /// `resource` has the request's method.
    fn route(self, resource: Resource<'_>) -> Result<Routed, CommandError> {
        let deletes = self.request.method == "DELETE";
        match resource {
            Resource::Push => self.push(),
            Resource::Batch => {
                let [app] = self.params(["app"])?;
                let cursor = BatchCursor::new(self.body, self.limits)?;
                Ok(Routed::Batch { app: self.app(app)?, cursor })
            }
            Resource::Group(group) if deletes => self.destroy(group),
            Resource::Group(group) => self.members(group),
            Resource::GroupMembers(group) => self.join_or_leave(group),
            Resource::GroupMove(group) => self.move_group(group),
            Resource::Sessions => self.sessions(),
            Resource::Session(id) if deletes => self.kick(Some(id), None),
            Resource::Session(id) => self.describe(id),
            Resource::SessionUser(id) => self.bind(id),
            Resource::SessionTags(id) => self.tag_or_untag(id),
            Resource::User(user) => self.kick(None, Some(user)),
            Resource::Link => {
                let [app] = self.params(["app"])?;
                Ok(Routed::Link { app: self.app(app)? })
            }
            Resource::Stats => self.plain(Routed::Stats),
            Resource::Metrics => self.plain(Routed::Metrics),
            Resource::Health => self.plain(Routed::Health),
            Resource::Ready => self.plain(Routed::Ready),
            Resource::Console => self.plain(Routed::Console),
        }
    }

    fn push(self) -> Result<Routed, CommandError> {
        const KNOWN: [&str; 11] =
            ["app", "session", "user", "group", "tag", "all", "ttl_ms", "key", "class", "except", "receipt"];
        let mut selectors = SmallVec::new();
        let [mut app, mut all, mut ttl_ms, mut key, mut class, mut except, mut receipt] = [const { None }; 7];
        for pair in params::pairs(self.request.query) {
            let (name, value) = pair?;
            let slot = match &*name {
                "session" | "user" | "group" | "tag" => {
                    selectors.push(selector(&name, &value)?);
                    continue;
                }
                "app" => &mut app,
                "all" => &mut all,
                "ttl_ms" => &mut ttl_ms,
                "key" => &mut key,
                "class" => &mut class,
                "except" => &mut except,
                "receipt" => &mut receipt,
                _ => return Err(params::unknown(&name, &KNOWN)),
            };
            params::once(slot, &name, value)?;
        }
        let app = self.app(app)?;
        if params::switch("all", all)? {
            selectors.push(Selector::All);
        }
        let target = fields::target(selectors, self.limits)?;
        let options = PushOptions {
            ttl: Some(fields::ttl(params::number("ttl_ms", ttl_ms)?, self.limits)?),
            key: key.map(|key| fields::conflation_key(&key)).transpose()?,
            class: class.map(|class| fields::class(&class)).transpose()?.unwrap_or_default(),
            except: except.map(|except| fields::session("except", &except)).transpose()?,
            receipt: receipt.map(|receipt| fields::receipt(&receipt)).transpose()?.unwrap_or_default(),
        };
        let frame = self.frame()?;
        Ok(Routed::Command { app, command: Command::Push { target, frame, options } })
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
        fields::check_payload(self.body.len(), self.limits)?;
        Ok(EncodedFrame::of_body(opcode, self.body))
    }

    fn join_or_leave(&self, group: &str) -> Result<Routed, CommandError> {
        let [app, session, user] = self.params(["app", "session", "user"])?;
        let who = fields::who(session.as_deref(), user.as_deref())?;
        let group = fields::name("group", group)?;
        match self.request.method {
            "DELETE" => self.act(app, Action::Leave { who, group }),
            _ => self.act(app, Action::Join { who, group }),
        }
    }

    fn members(&self, group: &str) -> Result<Routed, CommandError> {
        let [app, limit, after] = self.params(["app", "limit", "after"])?;
        let by = Selector::Group(fields::name("group", group)?);
        self.list(app, by, limit, after, false)
    }

    fn destroy(&self, group: &str) -> Result<Routed, CommandError> {
        let [app] = self.params(["app"])?;
        self.act(app, Action::Destroy { group: fields::name("group", group)? })
    }

    fn move_group(&self, group: &str) -> Result<Routed, CommandError> {
        let [app, to] = self.params(["app", "to"])?;
        let from = fields::name("group", group)?;
        let to = fields::name("to", &params::needed("to", to)?)?;
        self.act(app, Action::Move { from, to })
    }

    fn sessions(&self) -> Result<Routed, CommandError> {
        let [app, user, group, tag, limit, after] =
            self.params(["app", "user", "group", "tag", "limit", "after"])?;
        let named = [("user", user), ("group", group), ("tag", tag)];
        let mut named = named.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let by = match (named.next(), named.next()) {
            (None, _) => Selector::All,
            (Some((name, value)), None) => selector(name, &value)?,
            (Some(_), Some(_)) => return Err(bad_request("list by one of user, group and tag, or by none")),
        };
        self.list(app, by, limit, after, true)
    }

    fn describe(&self, id: &str) -> Result<Routed, CommandError> {
        let [app] = self.params(["app"])?;
        self.act(app, Action::Describe { session: fields::session("session", id)? })
    }

    fn kick(&self, session: Option<&str>, user: Option<&str>) -> Result<Routed, CommandError> {
        let [app, code, reason] = self.params(["app", "code", "reason"])?;
        let who = fields::who(session, user)?;
        let code = fields::close_code(params::number("code", code)?)?;
        self.act(app, Action::Kick { who, code, reason: fields::close_reason(reason.as_deref())? })
    }

    fn bind(&self, id: &str) -> Result<Routed, CommandError> {
        let [app, user] = self.params(["app", "user"])?;
        let session = fields::session("session", id)?;
        let user = match &*params::needed("user", user)? {
            "" => None,
            user => Some(fields::name("user", user)?),
        };
        self.act(app, Action::Bind { session, user })
    }

    fn tag_or_untag(&self, id: &str) -> Result<Routed, CommandError> {
        let [app, tag] = self.params(["app", "tag"])?;
        let session = fields::session("session", id)?;
        let tag = fields::name("tag", &params::needed("tag", tag)?)?;
        match self.request.method {
            "DELETE" => self.act(app, Action::Untag { session, tag }),
            _ => self.act(app, Action::Tag { session, tag }),
        }
    }

    fn list(
        &self,
        app: Option<Value<'_>>,
        by: Selector,
        limit: Option<Value<'_>>,
        after: Option<Value<'_>>,
        detailed: bool,
    ) -> Result<Routed, CommandError> {
        let limit = fields::page_limit(params::number("limit", limit)?, self.limits)?;
        let after = after.map(|after| fields::session("after", &after)).transpose()?;
        self.act(app, Action::List { by, limit, after, detailed })
    }

    fn act(&self, app: Option<Value<'_>>, action: Action) -> Result<Routed, CommandError> {
        Ok(Routed::Command { app: self.app(app)?, command: Command::Act(action) })
    }

    /// A resource without parameters.
    fn plain(&self, routed: Routed) -> Result<Routed, CommandError> {
        self.params([]).map(|[]| routed)
    }

    fn params<const N: usize>(&self, known: [&str; N]) -> Result<[Option<Value<'a>>; N], CommandError> {
        params::single(self.request.query, known)
    }

    fn app(&self, name: Option<Value<'_>>) -> Result<AppId, CommandError> {
        name.map_or_else(|| self.apps.default_app(), |name| self.apps.find(&name))
    }
}

/// The selector that the parameter `name` stands for.
fn selector(name: &str, value: &str) -> Result<Selector, CommandError> {
    match name {
        "session" => fields::session(name, value).map(Selector::Session),
        "user" => fields::name(name, value).map(Selector::User),
        "group" => fields::name(name, value).map(Selector::Group),
        _ => fields::name(name, value).map(Selector::Tag),
    }
}

/// Whether a `Content-Type` is `application/octet-stream`, whatever its parameters (RFC 9110 §8.3.1).
fn is_octet_stream(content_type: &[u8]) -> bool {
    let media_type = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    media_type.trim_ascii().eq_ignore_ascii_case(b"application/octet-stream")
}
