//! What an event says of its session beside its own fields, for the links that ask for it: behind its user, and behind its own
//! length, so that it can be skipped.

use super::error::{Malformed, TooLong, Wrong};
use super::names::{put_names, read_names};
use super::wire::{Reader, put_count, put_long, put_text};
use crate::dispatch::{Detail, Param, With};
use crate::session::Name;
use std::borrow::Cow;

/// What is shown of the session of an event; only what the link has asked for, and the event does not say itself.
///
/// ```
/// use gannet::link_bin::{Details, Event, Payload};
/// use gannet::session::SessionId;
/// let session = SessionId::from_u64(0x00a0_0000_0000_0001);
/// let event = Event::Message { session, user: Some("ada"), payload: Payload::Text("hi") };
/// let details = Details { claims: Some(r#"{"rank":3}"#.into()), ..Details::default() };
/// let mut message = Vec::new();
/// event.encode_with(&details, &mut message)?;
/// assert_eq!(Event::decode_with(&message)?, (event, details));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details<'a> {
    /// The groups that it is in; in its `close` and its last `leave`s, those that it was in.
    pub groups: Option<Cow<'a, [Name]>>,
    /// The tags that it has.
    pub tags: Option<Cow<'a, [Name]>>,
    /// What its app keeps of the claims of its token: a JSON object.
    pub claims: Option<Cow<'a, str>>,
    /// What its app keeps of the query that it was opened with.
    pub params: Option<Cow<'a, [Param]>>,
    /// Its app.
    pub app: Option<Cow<'a, str>>,
}

impl Details<'_> {
    /// Those of `with` that are there.
    pub fn only(&self, with: With) -> Details<'_> {
        fn some<'a, T: ToOwned + ?Sized>(has: bool, detail: &'a Option<Cow<'_, T>>) -> Option<Cow<'a, T>> {
            detail.as_deref().filter(|_| has).map(Cow::Borrowed)
        }
        Details {
            groups: some(with.has(Detail::Groups), &self.groups),
            tags: some(with.has(Detail::Tags), &self.tags),
            claims: some(with.has(Detail::Claims), &self.claims),
            params: some(with.has(Detail::Params), &self.params),
            app: some(with.has(Detail::App), &self.app),
        }
    }

    /// Which of them are there.
    pub fn with(&self) -> With {
        let Self { groups, tags, claims, params, app } = self;
        let there = [
            (Detail::Groups, groups.is_some()),
            (Detail::Tags, tags.is_some()),
            (Detail::Claims, claims.is_some()),
            (Detail::Params, params.is_some()),
            (Detail::App, app.is_some()),
        ];
        let there = there.into_iter().filter(|(_, is_there)| *is_there);
        there.fold(With::NONE, |with, (detail, _)| with.and(detail))
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        out.push(self.with().bits());
        let Self { groups, tags, claims, params, app } = self;
        groups.iter().try_for_each(|groups| put_names(groups, "groups", out))?;
        tags.iter().try_for_each(|tags| put_names(tags, "tags", out))?;
        claims.iter().try_for_each(|claims| put_claims(claims, out))?;
        params.iter().try_for_each(|params| put_params(params, out))?;
        app.iter().try_for_each(|app| put_text(app, "app", out))?;
        let length = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
        out[start..start + 4].copy_from_slice(&length.to_le_bytes());
        Ok(())
    }
}

impl<'a> Details<'a> {
    /// Bytes behind what is known are of a later version, and skipped.
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let length = reader.u32("the length of the details")? as usize;
        let mut block = reader.part(length, "the details")?;
        let with = block.u8("which details")?;
        let has = |detail: Detail| with & 1 << detail as u8 != 0;
        let mut details = Self::default();
        if has(Detail::Groups) {
            details.groups = Some(Cow::Owned(read_names("groups", &mut block)?));
        }
        if has(Detail::Tags) {
            details.tags = Some(Cow::Owned(read_names("tags", &mut block)?));
        }
        if has(Detail::Claims) {
            details.claims = Some(Cow::Borrowed(read_claims(&mut block)?));
        }
        if has(Detail::Params) {
            details.params = Some(Cow::Owned(read_params(&mut block)?));
        }
        if has(Detail::App) {
            details.app = Some(Cow::Borrowed(block.text("app")?));
        }
        Ok(details)
    }
}

/// A text that may be long, behind its length.
pub(super) fn put_claims(claims: &str, out: &mut Vec<u8>) -> Result<(), TooLong> {
    put_long(claims.len(), "claims", out)?;
    out.extend_from_slice(claims.as_bytes());
    Ok(())
}

/// The server writes only JSON objects here: another text was not written by one.
pub(super) fn read_claims<'a>(reader: &mut Reader<'a>) -> Result<&'a str, Malformed> {
    let length = reader.u32("claims")? as usize;
    let claims = reader.text_of(length, "claims")?;
    match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(claims) {
        Ok(_) => Ok(claims),
        Err(_) => {
            let known = "JSON objects";
            Err(reader.wrong(length, Wrong::Unknown { what: "claims", value: length as u64, known }))
        }
    }
}

pub(super) fn put_params(params: &[Param], out: &mut Vec<u8>) -> Result<(), TooLong> {
    put_count(params.len(), "params", out)?;
    for (name, value) in params {
        put_text(name, "the name of a parameter", out)?;
        put_count(value.len(), "the value of a parameter", out)?;
        out.extend_from_slice(value.as_bytes());
    }
    Ok(())
}

pub(super) fn read_params(reader: &mut Reader<'_>) -> Result<Vec<Param>, Malformed> {
    let count = reader.u16("params")?;
    let mut params = Vec::new();
    for _ in 0..count {
        let name = reader.text("the name of a parameter")?;
        let length = usize::from(reader.u16("the value of a parameter")?);
        params.push((name.into(), reader.text_of(length, "the value of a parameter")?.into()));
    }
    Ok(params)
}
