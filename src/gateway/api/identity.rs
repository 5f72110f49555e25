//! The client port's paths, and who a client says it is where its word is taken: no app has secrets. Knows nothing of
//! how a token is checked, nor of the upgrade itself.

use super::coming_back::PARAMS;
use super::params;
use super::refusal::Refusal;
use crate::dispatch::Apps;
use crate::dispatch::{CommandError, Profile};
use crate::http::Request;
use crate::ops::bounds;
use crate::ops::field::once;
use crate::session::{AppId, Name};
use std::sync::Arc;

/// How much a client may say about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdentityLimits {
    /// Groups that a session joins as it opens.
    pub max_groups: usize,
    /// Tags that it opens with.
    pub max_tags: usize,
}

/// What a request to the client port asks for, before its upgrade is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientRoute {
    /// A session of the app that the path names, if it names one.
    Session(Option<AppId>),
    /// Its own messages back.
    Echo,
}

/// Who a session is as it opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its app.
    pub app: AppId,
    /// Its user, if it has one.
    pub user: Option<Name>,
    /// The groups that it joins, each once.
    pub groups: Vec<Name>,
    /// The tags that it has, each once.
    pub tags: Vec<Name>,
    /// What its app keeps of what its client has shown.
    pub profile: Option<Arc<Profile>>,
}

/// What a request to the client port asks for: `/ws`, `/ws/{app}` and, where `echo` is on, `/echo`.
///
/// # Errors
/// [`Refusal`]: 404 for a path or an app that is not there, 405 for a method other than `GET`.
pub fn client_route(request: &Request<'_>, apps: &Apps, echo: bool) -> Result<ClientRoute, Refusal> {
    let segments = params::segments(request.path)?;
    let app = match segments.as_slice() {
        [ws] if ws == "ws" => Some(None),
        [ws, app] if ws == "ws" => Some(Some(app)),
        [name] if name == "echo" && echo => None,
        _ => return Err(Refusal::unknown_path(request.path, "players connect to /ws or /ws/{app}")),
    };
    // RFC 6455 §4.1: the method of an upgrade is GET.
    if request.method != "GET" {
        return Err(Refusal::method_not_allowed(request.method, "GET"));
    }
    let Some(app) = app else { return Ok(ClientRoute::Echo) };
    Ok(ClientRoute::Session(app.map(|name| apps.find(name)).transpose()?))
}

/// Who a client of `app` says it is, its word taken.
///
/// # Errors
/// 400 for a parameter that is unknown, out of bounds, or one too many.
pub fn claimed(app: AppId, query: Option<&str>, limits: &IdentityLimits) -> Result<Identity, CommandError> {
    let mut user = None;
    let mut groups = Vec::new();
    let mut tags = Vec::new();
    for pair in params::pairs(query) {
        let (name, value) = pair?;
        match &*name {
            "user" => once(&mut user, "user", value)?,
            "group" => add(&mut groups, "group", &value, limits.max_groups)?,
            "tag" => add(&mut tags, "tag", &value, limits.max_tags)?,
            other if PARAMS.contains(&other) => {}
            _ => return Err(params::unknown(&name, &["user", "group", "tag", "resume", "received"])),
        }
    }
    let user = user.map(|user| bounds::name("user", &user)).transpose()?;
    Ok(Identity { app, user, groups, tags, profile: None })
}

/// Adds a name unless it is there; few enough are allowed for a look at each.
fn add(names: &mut Vec<Name>, field: &str, text: &str, most: usize) -> Result<(), CommandError> {
    let name = bounds::name(field, text)?;
    if names.contains(&name) {
        return Ok(());
    }
    if names.len() == most {
        return Err(bounds::bad_request(format!("{field} can be given at most {most} times")));
    }
    names.push(name);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::ErrorCode;
    use crate::http::HeadLimits;

    /// `None` is an echo.
    fn ask(line: &str, echo: bool) -> Result<Option<Identity>, Refusal> {
        let head = format!("{line} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let request = Request::parse(head.as_bytes(), &HeadLimits::default()).expect(line);
        let apps = Apps::new(["chess", "a b"]).unwrap();
        let limits = IdentityLimits { max_groups: 2, max_tags: 3 };
        match client_route(&request, &apps, echo)? {
            ClientRoute::Echo => Ok(None),
            ClientRoute::Session(app) => {
                Ok(Some(claimed(app.unwrap_or(Apps::DEFAULT), request.query, &limits)?))
            }
        }
    }

    fn session(app: u16, user: Option<&str>, groups: &[&str], tags: &[&str]) -> Option<Identity> {
        let name = |text: &&str| Name::new(text).unwrap();
        Some(Identity {
            app: AppId(app),
            user: user.as_ref().map(name),
            groups: groups.iter().map(name).collect(),
            tags: tags.iter().map(name).collect(),
            profile: None,
        })
    }

    #[test]
    fn clients_are_who_they_say() {
        let table = [
            ("GET /ws", session(0, None, &[], &[])),
            ("GET /ws?", session(0, None, &[], &[])),
            ("GET /ws/default?user=ada", session(0, Some("ada"), &[], &[])),
            ("GET /ws/chess?group=g&group=h&tag=ios", session(1, None, &["g", "h"], &["ios"])),
            ("GET /ws/a%20b?user=a+b&tag=%C3%B6", session(2, Some("a b"), &[], &["ö"])),
            ("GET /ws?group=g&group=h&group=g&tag=a&tag=a", session(0, None, &["g", "h"], &["a"])),
        ];
        for (line, expected) in table {
            assert_eq!(ask(line, false), Ok(expected), "{line}");
        }
    }

    #[test]
    fn echo_is_there_when_it_is_on() {
        assert_eq!(ask("GET /echo", true), Ok(None));
        assert_eq!(ask("GET /echo", false).unwrap_err().error.code, ErrorCode::NotFound);
    }

    #[test]
    fn others_are_refused() {
        let table = [
            ("GET /", ErrorCode::NotFound, "players connect to /ws"),
            ("GET /ws/", ErrorCode::NotFound, "no app"),
            ("GET /ws/poker", ErrorCode::NotFound, r#"no app "poker""#),
            ("GET /ws/chess/1", ErrorCode::NotFound, "nothing at"),
            ("GET /v1/push", ErrorCode::NotFound, "nothing at"),
            ("POST /ws", ErrorCode::MethodNotAllowed, "it takes GET"),
            ("HEAD /ws", ErrorCode::MethodNotAllowed, "it takes GET"),
            ("GET /ws/%ff", ErrorCode::BadRequest, "UTF-8"),
            ("GET /ws?user=%", ErrorCode::BadRequest, "hex digits"),
            (
                "GET /ws?token=x",
                ErrorCode::BadRequest,
                r#"no parameter "token" here; there are user, group, tag, resume, received"#,
            ),
            ("GET /ws?user=a&user=a", ErrorCode::BadRequest, "user is given twice"),
            ("GET /ws?user=", ErrorCode::BadRequest, "user: a name needs"),
            ("GET /ws?tag=a%00", ErrorCode::BadRequest, "tag: a name has no control characters"),
            ("GET /ws?group=a&group=b&group=c", ErrorCode::BadRequest, "group can be given at most 2 times"),
            ("GET /ws?tag=a&tag=b&tag=c&tag=d", ErrorCode::BadRequest, "tag can be given at most 3 times"),
        ];
        for (line, code, says) in table {
            let refusal = ask(line, true).expect_err(line);
            assert_eq!(refusal.error.code, code, "{line}: {}", refusal.error);
            assert!(refusal.error.message.contains(says), "{line}: {}", refusal.error);
            assert_eq!(refusal.allow.as_deref(), (code == ErrorCode::MethodNotAllowed).then_some("GET"));
        }
    }
}
