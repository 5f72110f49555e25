//! What can be read of a text whose fields could not be read, to say what is wrong with it.

use crate::ops::fields::Text;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

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
