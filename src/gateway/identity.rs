//! The client port's paths, and who a client says it is where its word is taken: no app has secrets. Knows nothing of
//! tokens, nor of the upgrade itself.

use super::apps::Apps;
use super::fields;
use super::params;
use super::refusal::Refusal;
use crate::dispatch::CommandError;
use crate::http::path_segments;
use crate::session::{AppId, Name};

/// How much a client may say about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdentityLimits {
    /// Groups that a session joins as it opens.
    pub max_groups: usize,
    /// Tags that it opens with.
    pub max_tags: usize,
}

/// What a request to the client port asks for, before its upgrade is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientRoute {
    /// A session.
    Session(Identity),
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
}

/// What a request to the client port asks for, its word taken: `/ws`, `/ws/{app}` and, where `echo` is on, `/echo`.
///
/// # Errors
/// [`Refusal`]: 404 for a path or an app that is not there, 405 for a method other than `GET`, 400 for a parameter that
/// is unknown, out of bounds, or one too many.
pub fn client_route(
    method: &str,
    path: &str,
    query: Option<&str>,
    apps: &Apps,
    echo: bool,
    limits: &IdentityLimits,
) -> Result<ClientRoute, Refusal> {
    let segments: Vec<_> = path_segments(path).collect();
    let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
    let app = match *segments {
        ["ws"] => Some(None),
        ["ws", app] => Some(Some(app)),
        ["echo"] if echo => None,
        _ => return Err(Refusal::unknown_path(path, "players connect to /ws or /ws/{app}")),
    };
    // RFC 6455 §4.1: the method of an upgrade is GET.
    if method != "GET" {
        return Err(Refusal::method_not_allowed(method, "GET"));
    }
    let Some(app) = app else {
        let [] = params::single(query, [])?;
        return Ok(ClientRoute::Echo);
    };
    let app = app.map_or(Ok(Apps::DEFAULT), |name| apps.find(name))?;
    Ok(ClientRoute::Session(identity(app, query, limits)?))
}

fn identity(app: AppId, query: Option<&str>, limits: &IdentityLimits) -> Result<Identity, CommandError> {
    let mut user = None;
    let mut groups = Vec::new();
    let mut tags = Vec::new();
    for (name, value) in params::pairs(query) {
        match &*name {
            "user" => params::once(&mut user, "user", value)?,
            "group" => add(&mut groups, "group", &value, limits.max_groups)?,
            "tag" => add(&mut tags, "tag", &value, limits.max_tags)?,
            _ => return Err(params::unknown(&name, &["user", "group", "tag"])),
        }
    }
    let user = user.map(|user| fields::name("user", &user)).transpose()?;
    Ok(Identity { app, user, groups, tags })
}

/// Adds a name unless it is there; few enough are allowed for a look at each.
fn add(names: &mut Vec<Name>, field: &str, text: &str, most: usize) -> Result<(), CommandError> {
    let name = fields::name(field, text)?;
    if names.contains(&name) {
        return Ok(());
    }
    if names.len() == most {
        return Err(fields::bad_request(format!("{field} can be given at most {most} times")));
    }
    names.push(name);
    Ok(())
}
