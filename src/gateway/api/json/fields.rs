//! The JSON shapes of a command, as serde reads them. Knows nothing of which op takes which field.

use crate::dispatch::{CommandError, Selector};
use crate::gateway::api::fields;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

/// A string that borrows from the command, unless it has escapes.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// Every field of every op. What an op knows it takes out; what is left then is not its own.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fields<'a> {
    #[serde(borrow)]
    pub id: Option<&'a RawValue>,
    pub op: Option<Text<'a>>,
    pub app: Option<Text<'a>>,
    pub to: Option<To<'a>>,
    pub text: Option<Text<'a>>,
    pub data: Option<Text<'a>>,
    pub ttl_ms: Option<u64>,
    pub key: Option<Text<'a>>,
    pub class: Option<Text<'a>>,
    pub except: Option<Text<'a>>,
    pub receipt: Option<Text<'a>>,
    pub session: Option<Text<'a>>,
    /// `Some(None)` is a `null`.
    #[serde(default, deserialize_with = "present")]
    pub user: Option<Option<Text<'a>>>,
    pub group: Option<Text<'a>>,
    pub tag: Option<Text<'a>>,
    pub code: Option<u64>,
    pub reason: Option<Text<'a>>,
    #[serde(borrow)]
    pub events: Option<Vec<Text<'a>>>,
    pub share: Option<Text<'a>>,
}

impl Fields<'_> {
    /// Whether every field was taken; a `null` needs no taker.
    pub fn is_empty(&self) -> bool {
        // Without `..`: a new field must be asked for as well.
        let Self {
            id,
            op,
            app,
            to,
            text,
            data,
            ttl_ms,
            key,
            class,
            except,
            receipt,
            session,
            user,
            group,
            tag,
            code,
            reason,
            events,
            share,
        } = self;
        let texts = [op, app, text, data, key, class, except, receipt, session, group, tag, reason, share];
        texts.iter().all(|text| text.is_none())
            && id.is_none()
            && to.is_none()
            && ttl_ms.is_none()
            && user.as_ref().is_none_or(Option::is_none)
            && code.is_none()
            && events.is_none()
    }
}

fn present<'de: 'a, 'a, D: Deserializer<'de>>(input: D) -> Result<Option<Option<Text<'a>>>, D::Error> {
    Option::<Text<'a>>::deserialize(input).map(Some)
}

/// `to`: the target of a push, or the group of a move.
#[derive(Debug)]
pub enum To<'a> {
    Group(Text<'a>),
    Target(Target<'a>),
}

impl<'de: 'a, 'a> Deserialize<'de> for To<'a> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct ToVisitor;
        impl<'de> Visitor<'de> for ToVisitor {
            type Value = To<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a group, or an object of session, user, group, tag or all")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<To<'de>, E> {
                Ok(To::Group(Text(text.into())))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<To<'de>, E> {
                Ok(To::Group(Text(text.to_owned().into())))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<To<'de>, A::Error> {
                Target::deserialize(MapAccessDeserializer::new(map)).map(To::Target)
            }
        }
        input.deserialize_any(ToVisitor)
    }
}

/// The target of a push.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target<'a> {
    #[serde(borrow, default)]
    session: OneOrMore<'a>,
    #[serde(borrow, default)]
    user: OneOrMore<'a>,
    #[serde(borrow, default)]
    group: OneOrMore<'a>,
    #[serde(borrow, default)]
    tag: OneOrMore<'a>,
    all: Option<bool>,
}

impl Target<'_> {
    /// Its selectors, each checked.
    pub fn selectors(&self) -> Result<SmallVec<[Selector; 1]>, CommandError> {
        let sessions =
            self.session.texts().map(|text| fields::session("session", text).map(Selector::Session));
        let users = self.user.texts().map(|text| fields::name("user", text).map(Selector::User));
        let groups = self.group.texts().map(|text| fields::name("group", text).map(Selector::Group));
        let tags = self.tag.texts().map(|text| fields::name("tag", text).map(Selector::Tag));
        let all = self.all.unwrap_or(false).then_some(Ok(Selector::All));
        sessions.chain(users).chain(groups).chain(tags).chain(all).collect()
    }
}

/// A string, an array of strings, or nothing.
#[derive(Debug, Default)]
enum OneOrMore<'a> {
    #[default]
    None,
    One(Text<'a>),
    More(Vec<Text<'a>>),
}

impl<'a> OneOrMore<'a> {
    fn texts(&self) -> impl Iterator<Item = &Text<'a>> {
        match self {
            Self::None => [].iter(),
            Self::One(text) => std::slice::from_ref(text).iter(),
            Self::More(texts) => texts.iter(),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for OneOrMore<'a> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct OneOrMoreVisitor;
        impl<'de> Visitor<'de> for OneOrMoreVisitor {
            type Value = OneOrMore<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an array of strings")
            }

            fn visit_unit<E: Error>(self) -> Result<OneOrMore<'de>, E> {
                Ok(OneOrMore::None)
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<OneOrMore<'de>, E> {
                Ok(OneOrMore::One(Text(text.into())))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<OneOrMore<'de>, E> {
                Ok(OneOrMore::One(Text(text.to_owned().into())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<OneOrMore<'de>, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = seq.next_element()? {
                    texts.push(text);
                }
                Ok(OneOrMore::More(texts))
            }
        }
        input.deserialize_any(OneOrMoreVisitor)
    }
}

/// What can be read of any JSON object: whose it is, what it wants, and the names of its fields.
#[derive(Debug, Default)]
pub struct Probe<'a> {
    pub id: Option<&'a RawValue>,
    pub op: Option<Cow<'a, str>>,
    pub names: Vec<Text<'a>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Probe<'a> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct ProbeVisitor;
        impl<'de> Visitor<'de> for ProbeVisitor {
            type Value = Probe<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Probe<'de>, A::Error> {
                let mut probe = Probe::default();
                while let Some(name) = map.next_key::<Text<'de>>()? {
                    match &*name {
                        "id" => probe.id = Some(map.next_value()?),
                        "op" => {
                            let raw: &RawValue = map.next_value()?;
                            probe.op = serde_json::from_str::<Text>(raw.get()).ok().map(|text| text.0);
                        }
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                    probe.names.push(name);
                }
                Ok(probe)
            }
        }
        input.deserialize_map(ProbeVisitor)
    }
}
