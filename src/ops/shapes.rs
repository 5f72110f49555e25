//! The shapes of fields that are no plain number, as serde reads them from JSON.

use super::bounds;
use crate::dispatch::{CommandError, CommandLimits, Selector, Who};
use crate::session::SessionId;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
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

/// Sessions as they are named: in text, or by the numbers that the binary layout has.
#[derive(Debug)]
pub enum Session<'a> {
    Text(Text<'a>),
    Id(SessionId),
    Texts(Vec<Text<'a>>),
    Ids(Vec<SessionId>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Session<'a> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        Ok(match OneOrMore::deserialize(input)? {
            OneOrMore::None => Self::Texts(Vec::new()),
            OneOrMore::One(text) => Self::Text(text),
            OneOrMore::More(texts) => Self::Texts(texts),
        })
    }
}

impl<'a> Session<'a> {
    /// The same, and the session named `text` behind it.
    pub fn and(self, text: Text<'a>) -> Self {
        match self {
            Self::Text(first) => Self::Texts(vec![first, text]),
            Self::Texts(mut texts) => {
                texts.push(text);
                Self::Texts(texts)
            }
            numbers @ (Self::Id(_) | Self::Ids(_)) => numbers,
        }
    }

    /// The one that it is.
    pub(super) fn id(&self) -> Result<SessionId, CommandError> {
        match self {
            Self::Text(text) => bounds::session("session", text),
            Self::Id(id) => Ok(*id),
            Self::Texts(_) | Self::Ids(_) => {
                Err(bounds::bad_request("session is one session here, not a list"))
            }
        }
    }

    /// All that they are.
    pub(super) fn who(self, limits: &CommandLimits) -> Result<Who, CommandError> {
        let ids = match self {
            Self::Text(_) | Self::Id(_) => return self.id().map(Who::Session),
            Self::Ids(ids) => ids,
            Self::Texts(texts) => {
                bounds::check_list("session", texts.len(), limits)?;
                let ids = texts.iter().map(|text| bounds::session("session", text));
                ids.collect::<Result<_, _>>()?
            }
        };
        bounds::check_list("session", ids.len(), limits)?;
        Ok(Who::Sessions(bounds::each_once(ids)))
    }
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

/// `after`: a session, or a number of a log.
#[derive(Debug)]
pub enum After<'a> {
    Session(Text<'a>),
    Offset(u64),
}

impl<'de: 'a, 'a> Deserialize<'de> for After<'a> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct AfterVisitor;
        impl<'de> Visitor<'de> for AfterVisitor {
            type Value = After<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the id of a session, or a number of a log")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<After<'de>, E> {
                Ok(After::Session(Text(text.into())))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<After<'de>, E> {
                Ok(After::Session(Text(text.to_owned().into())))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<After<'de>, E> {
                Ok(After::Offset(number))
            }
        }
        input.deserialize_any(AfterVisitor)
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
    /// What the parts of each of these have in common.
    #[serde(borrow, default)]
    all_of: Common<'a>,
}

impl Target<'_> {
    /// Its selectors, each checked.
    pub fn selectors(&self) -> Result<SmallVec<[Selector; 1]>, CommandError> {
        let Self { session, user, group, tag, all, all_of } = self;
        let common =
            all_of.0.iter().map(|named| bounds::all_of(named.selectors().collect::<Result<_, _>>()?));
        selectors([session, user, group, tag], *all).chain(common).collect()
    }
}

/// Sessions by what they are, without what they have in common.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named<'a> {
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

impl Named<'_> {
    /// Its selectors, each checked.
    pub fn selectors(&self) -> impl Iterator<Item = Result<Selector, CommandError>> {
        let Self { session, user, group, tag, all } = self;
        selectors([session, user, group, tag], *all)
    }
}

fn selectors<'n>(
    [session, user, group, tag]: [&'n OneOrMore<'_>; 4],
    all: Option<bool>,
) -> impl Iterator<Item = Result<Selector, CommandError>> + 'n {
    let sessions = session.texts().map(|text| bounds::session("session", text).map(Selector::Session));
    let users = user.texts().map(|text| bounds::name("user", text).map(Selector::User));
    let groups = group.texts().map(|text| bounds::name("group", text).map(Selector::Group));
    let tags = tag.texts().map(|text| bounds::name("tag", text).map(Selector::Tag));
    let all = all.unwrap_or(false).then_some(Ok(Selector::All));
    sessions.chain(users).chain(groups).chain(tags).chain(all)
}

/// `all_of`: an object, an array of objects, or nothing.
#[derive(Debug, Default)]
struct Common<'a>(Vec<Named<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Common<'a> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct CommonVisitor;
        impl<'de> Visitor<'de> for CommonVisitor {
            type Value = Common<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of session, user, group and tag, or an array of such objects")
            }

            fn visit_unit<E: Error>(self) -> Result<Common<'de>, E> {
                Ok(Common::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Common<'de>, A::Error> {
                Named::deserialize(MapAccessDeserializer::new(map)).map(|named| Common(vec![named]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Common<'de>, A::Error> {
                let mut all = Vec::new();
                while let Some(Object(named)) = seq.next_element()? {
                    all.push(named);
                }
                Ok(Common(all))
            }
        }
        input.deserialize_any(CommonVisitor)
    }
}

/// An object and no array, which serde would read field by field.
struct Object<'a>(Named<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        match Except::deserialize(input)? {
            Except::Named(named) => Ok(Self(named)),
            Except::Session(_) => Err(D::Error::custom("expected an object of session, user, group and tag")),
        }
    }
}

/// `except`: a session, or an object of whoever does not get a push.
#[derive(Debug)]
pub enum Except<'a> {
    Session(Text<'a>),
    Named(Named<'a>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Except<'a> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct ExceptVisitor;
        impl<'de> Visitor<'de> for ExceptVisitor {
            type Value = Except<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the id of a session, or an object of session, user, group and tag")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Except<'de>, E> {
                Ok(Except::Session(Text(text.into())))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Except<'de>, E> {
                Ok(Except::Session(Text(text.to_owned().into())))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Except<'de>, A::Error> {
                Named::deserialize(MapAccessDeserializer::new(map)).map(Except::Named)
            }
        }
        input.deserialize_any(ExceptVisitor)
    }
}

/// A string, an array of strings, or nothing.
#[derive(Debug, Default)]
pub enum OneOrMore<'a> {
    #[default]
    None,
    One(Text<'a>),
    More(Vec<Text<'a>>),
}

impl<'a> OneOrMore<'a> {
    /// The same, and `text` behind it.
    pub fn and(self, text: Text<'a>) -> Self {
        match self {
            Self::None => Self::One(text),
            Self::One(first) => Self::More(vec![first, text]),
            Self::More(mut texts) => {
                texts.push(text);
                Self::More(texts)
            }
        }
    }

    /// Its strings.
    pub fn strs(&self) -> impl Iterator<Item = &str> {
        self.texts().map(|text| &**text)
    }

    /// The same, as they were given.
    pub fn texts(&self) -> impl Iterator<Item = &Text<'a>> {
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
