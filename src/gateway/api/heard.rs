//! Events as they were encoded for one link, read again for another that speaks the other form: of a link of a share whose
//! sessions another takes over. Knows nothing of links.

use crate::dispatch::{Detail, EncodedFrame, LinkForm};
use crate::link_bin::{Details, Event, Membership, Payload, State, Tagged};
use crate::session::{Name, Remote, SessionId};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// An event that owns what it says.
#[derive(Debug, Deserialize)]
struct Heard {
    event: String,
    session: Option<String>,
    user: Option<String>,
    app: Option<String>,
    group: Option<String>,
    remote: Option<String>,
    tags: Option<Vec<String>>,
    groups: Option<Vec<String>>,
    since_unix_ms: Option<u64>,
    away: Option<bool>,
    text: Option<String>,
    data: Option<String>,
    code: Option<u16>,
    reason: Option<String>,
    tag: Option<String>,
    old_user: Option<String>,
    expires_unix_ms: Option<u64>,
    replaces: Option<String>,
    claims: Option<Box<RawValue>>,
    params: Option<Map<String, Value>>,
}

/// Hands on the event in a frame, which this server has encoded in `form`; `None` where it is none.
pub fn with_event<R>(
    frame: &EncodedFrame,
    form: LinkForm,
    read: impl FnOnce(&Event<'_>, &Details<'_>) -> R,
) -> Option<R> {
    let payload = frame.payload();
    match form {
        LinkForm::Binary => Event::decode_with(payload).ok().map(|(event, details)| read(&event, &details)),
        LinkForm::Json => serde_json::from_slice::<Heard>(payload).ok()?.with_event(read),
    }
}

impl Heard {
    fn with_event<R>(&self, read: impl FnOnce(&Event<'_>, &Details<'_>) -> R) -> Option<R> {
        let user = self.user.as_deref();
        let session = || -> Option<SessionId> { self.session.as_deref()?.parse().ok() };
        let data;
        let event = match &*self.event {
            "open" => {
                let remote: Remote = self.remote.as_deref()?.parse().ok()?;
                let tags = names(self.tags.as_deref())?;
                let replaces = self.replaces.as_deref().map(str::parse).transpose().ok()?;
                Event::Open { session: session()?, user, app: self.app.as_deref()?, remote, tags, replaces }
            }
            "message" => {
                let payload = match (&self.text, &self.data) {
                    (Some(text), _) => Payload::Text(text),
                    (None, encoded) => {
                        data = STANDARD.decode(encoded.as_deref()?).ok()?;
                        Payload::Binary(&data)
                    }
                };
                Event::Message { session: session()?, user, payload }
            }
            "close" => {
                Event::Close { session: session()?, user, code: self.code?, reason: self.reason.as_deref()? }
            }
            "join" => Event::Join(self.membership(session()?)?),
            "leave" => Event::Leave(self.membership(session()?)?),
            "away" => {
                Event::Away { session: session()?, user, code: self.code?, reason: self.reason.as_deref()? }
            }
            "back" => {
                Event::Back { session: session()?, user, remote: self.remote.as_deref()?.parse().ok()? }
            }
            "gap" => Event::Gap,
            "tag" => Event::Tag(self.tagged(session()?)?),
            "untag" => Event::Untag(self.tagged(session()?)?),
            "bind" => {
                let (app, old_user) = (self.app.as_deref()?, self.old_user.as_deref());
                Event::Bind { session: session()?, user, app, old_user }
            }
            "user_online" => Event::UserOnline { user: user?, app: self.app.as_deref()? },
            "user_offline" => Event::UserOffline { user: user?, app: self.app.as_deref()? },
            "expiring" => {
                let (app, expires_unix_ms) = (self.app.as_deref()?, self.expires_unix_ms?);
                Event::Expiring { session: session()?, user, app, expires_unix_ms }
            }
            "assigned" => Event::Assigned(self.state(session()?)?),
            "session" => Event::Session(self.state(session()?)?),
            "synced" => Event::Synced,
            "unassigned" => Event::Unassigned { session: session()?, user },
            _ => return None,
        };
        Some(read(&event, &self.details(&event)?))
    }

    fn state(&self, session: SessionId) -> Option<State<'_>> {
        Some(State {
            session,
            user: self.user.as_deref(),
            app: self.app.as_deref()?,
            remote: self.remote.as_deref()?.parse().ok()?,
            since_unix_ms: self.since_unix_ms?,
            groups: names(self.groups.as_deref())?,
            tags: names(self.tags.as_deref())?,
            away: self.away.unwrap_or(false),
        })
    }

    fn membership(&self, session: SessionId) -> Option<Membership<'_>> {
        let (app, group) = (self.app.as_deref()?, self.group.as_deref()?);
        Some(Membership { session, user: self.user.as_deref(), app, group })
    }

    /// What it says beside the event's own fields.
    fn details(&self, event: &Event<'_>) -> Option<Details<'_>> {
        let own = event.shows();
        let names = |texts: &Option<Vec<String>>, detail: Detail| match texts {
            Some(texts) if !own.has(detail) => {
                let names: Result<Vec<Name>, _> = texts.iter().map(|text| Name::new(text)).collect();
                names.map(|names| Some(Cow::Owned(names))).ok()
            }
            _ => Some(None),
        };
        let param = |(name, value): (&String, &Value)| Some((name.as_str().into(), value.as_str()?.into()));
        let params = match &self.params {
            Some(params) => Some(Cow::Owned(params.iter().map(param).collect::<Option<Vec<_>>>()?)),
            None => None,
        };
        Some(Details {
            groups: names(&self.groups, Detail::Groups)?,
            tags: names(&self.tags, Detail::Tags)?,
            claims: self.claims.as_ref().map(|claims| claims.get().into()),
            params,
            app: self.app.as_deref().filter(|_| !own.has(Detail::App)).map(Cow::Borrowed),
        })
    }

    fn tagged(&self, session: SessionId) -> Option<Tagged<'_>> {
        let (app, tag) = (self.app.as_deref()?, self.tag.as_deref()?);
        Some(Tagged { session, user: self.user.as_deref(), app, tag })
    }
}

/// `None` where one of them is none.
fn names(texts: Option<&[String]>) -> Option<Cow<'static, [Name]>> {
    let names = texts.unwrap_or_default().iter().map(|text| Name::new(text).ok());
    names.collect::<Option<Vec<Name>>>().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::With;
    use crate::gateway::api::render;

    fn state(away: bool) -> State<'static> {
        State {
            session: SessionId::from_u64(0x00a0_0000_0000_0001),
            user: Some("ada"),
            app: "chess",
            remote: "[::1]:5000".parse().unwrap(),
            since_unix_ms: 1_760_000_000_000,
            groups: vec![Name::new("r\"ed").unwrap(), Name::new("größer").unwrap()].into(),
            tags: vec![Name::new("ios").unwrap()].into(),
            away,
        }
    }

    #[test]
    fn an_event_is_read_as_it_was_written_in_either_form() {
        let session = SessionId::from_u64(0x00a0_0000_0000_0001);
        let membership = Membership { session, user: None, app: "default", group: "r\"ed" };
        let tagged = Tagged { session, user: Some("ada"), app: "default", tag: "i\\os" };
        let tags = || Cow::Owned(vec![Name::new("ios").unwrap(), Name::new("größer").unwrap()]);
        let events = [
            Event::Open {
                session,
                user: Some("a\"da"),
                app: "chess",
                remote: Remote::Unix,
                tags: tags(),
                replaces: Some(session),
            },
            Event::Open {
                session,
                user: None,
                app: "default",
                remote: "[::1]:5000".parse().unwrap(),
                tags: Cow::Owned(Vec::new()),
                replaces: None,
            },
            Event::Message { session, user: Some("ada"), payload: Payload::Text("größer\n\0\"") },
            Event::Message { session, user: None, payload: Payload::Binary(&[0, 255, 7]) },
            Event::Message { session, user: None, payload: Payload::Text("") },
            Event::Close { session, user: None, code: 4001, reason: "be\\cause" },
            Event::Join(membership),
            Event::Leave(Membership { user: Some("ada"), ..membership }),
            Event::Away { session, user: Some("ada"), code: 1006, reason: "" },
            Event::Back { session, user: None, remote: "[::1]:5000".parse().unwrap() },
            Event::Gap,
            Event::Tag(tagged),
            Event::Untag(Tagged { user: None, ..tagged }),
            Event::Bind { session, user: Some("bob"), app: "default", old_user: None },
            Event::Bind { session, user: None, app: "chess", old_user: Some("a\"da") },
            Event::UserOnline { user: "ada", app: "default" },
            Event::UserOffline { user: "größer", app: "chess" },
            Event::Expiring { session, user: None, app: "default", expires_unix_ms: 1_760_000_000_000 },
            Event::Assigned(state(false)),
            Event::Assigned(State { user: None, groups: Vec::new().into(), ..state(true) }),
            Event::Unassigned { session, user: Some("ada") },
            Event::Session(state(true)),
            Event::Synced,
        ];
        let all = Details {
            groups: Some(vec![Name::new("r\"ed").unwrap()].into()),
            tags: Some(Vec::new().into()),
            claims: Some(r#"{"rank":3,"of":["a"]}"#.into()),
            params: Some(vec![("version".into(), "1.\"2".into())].into()),
            app: Some("chess".into()),
        };
        let told = events.iter().flat_map(|event| {
            let with = With::ALL.without(event.shows());
            let some = With::NONE.and(Detail::Claims).without(event.shows());
            [With::NONE, with, some].map(|with| (event, all.only(with)))
        });
        for (event, details) in told {
            let (mut json, mut binary) = (String::new(), Vec::new());
            render::event(&mut json, event, &details);
            event.encode_with(&details, &mut binary).unwrap();
            let frames = [
                (EncodedFrame::text(&json), LinkForm::Json),
                (EncodedFrame::binary(&binary), LinkForm::Binary),
            ];
            for (frame, form) in frames {
                assert_eq!(
                    with_event(&frame, form, |read, with| (read, with) == (event, &details)),
                    Some(true),
                    "{event:?} with {details:?} in {form:?}"
                );
            }
        }
        assert_eq!(with_event(&EncodedFrame::text("{}"), LinkForm::Json, |_, _| ()), None);
    }
}
