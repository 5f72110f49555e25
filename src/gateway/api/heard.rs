//! Events as they were encoded for one link, read again for another that speaks the other form: of a link of a share whose
//! sessions another takes over. Knows nothing of links.

use crate::dispatch::{EncodedFrame, LinkForm};
use crate::link_bin::{Event, Membership, Payload, State};
use crate::session::{Name, Remote, SessionId};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
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
}

/// Hands on the event in a frame, which this server has encoded in `form`; `None` where it is none.
pub fn with_event<R>(frame: &EncodedFrame, form: LinkForm, read: impl FnOnce(&Event<'_>) -> R) -> Option<R> {
    let payload = frame.payload();
    match form {
        LinkForm::Binary => Event::decode(payload).ok().map(|event| read(&event)),
        LinkForm::Json => serde_json::from_slice::<Heard>(payload).ok()?.with_event(read),
    }
}

impl Heard {
    fn with_event<R>(&self, read: impl FnOnce(&Event<'_>) -> R) -> Option<R> {
        let user = self.user.as_deref();
        let session = || -> Option<SessionId> { self.session.as_deref()?.parse().ok() };
        let data;
        let event = match &*self.event {
            "open" => {
                let remote: Remote = self.remote.as_deref()?.parse().ok()?;
                let tags = names(self.tags.as_deref())?;
                Event::Open { session: session()?, user, app: self.app.as_deref()?, remote, tags }
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
            "assigned" => Event::Assigned(self.state(session()?)?),
            "session" => Event::Session(self.state(session()?)?),
            "synced" => Event::Synced,
            "unassigned" => Event::Unassigned { session: session()?, user },
            _ => return None,
        };
        Some(read(&event))
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
}

/// `None` where one of them is none.
fn names(texts: Option<&[String]>) -> Option<Cow<'static, [Name]>> {
    let names = texts.unwrap_or_default().iter().map(|text| Name::new(text).ok());
    names.collect::<Option<Vec<Name>>>().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;
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
        let tags = || Cow::Owned(vec![Name::new("ios").unwrap(), Name::new("größer").unwrap()]);
        let events = [
            Event::Open { session, user: Some("a\"da"), app: "chess", remote: Remote::Unix, tags: tags() },
            Event::Open {
                session,
                user: None,
                app: "default",
                remote: "[::1]:5000".parse().unwrap(),
                tags: Cow::Owned(Vec::new()),
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
            Event::Assigned(state(false)),
            Event::Assigned(State { user: None, groups: Vec::new().into(), ..state(true) }),
            Event::Unassigned { session, user: Some("ada") },
            Event::Session(state(true)),
            Event::Synced,
        ];
        for event in events {
            let (mut json, mut binary) = (String::new(), Vec::new());
            render::event(&mut json, &event);
            event.encode(&mut binary).unwrap();
            let frames = [
                (EncodedFrame::text(&json), LinkForm::Json),
                (EncodedFrame::binary(&binary), LinkForm::Binary),
            ];
            for (frame, form) in frames {
                assert_eq!(
                    with_event(&frame, form, |read| *read == event),
                    Some(true),
                    "{event:?} in {form:?}"
                );
            }
        }
        assert_eq!(with_event(&EncodedFrame::text("{}"), LinkForm::Json, |_| ()), None);
    }
}
