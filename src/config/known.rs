//! The keys that exist, and which of them was meant.

use std::ops::Range;

use serde_json::Value;
use toml::de::{DeTable, DeValue};

use super::{Config, ConfigError, DEFAULT_APP};

/// Above this a suggestion is a help, below it a guess.
const NEAR_ENOUGH: f64 = 0.8;
/// What a key of the same table is ahead of one elsewhere.
const NEIGHBOUR: f64 = 0.1;

/// The keys that exist: the default configuration as a tree, where what is not set is null.
pub struct KnownKeys(Value);

impl KnownKeys {
    pub fn new() -> Self {
        // Cannot fail: its maps have text keys and its values are numbers, texts and booleans.
        Self(serde_json::to_value(Config::default()).unwrap_or_default())
    }

    /// Whether all keys of `document`, which was read from `text`, exist.
    ///
    /// # Errors
    /// [`ConfigError::UnknownKey`]; [`ConfigError::BadValue`] for an array in the place of a table.
    pub fn check(&self, text: &str, document: &DeTable<'_>) -> Result<(), ConfigError> {
        self.check_table(text, document, "", &self.0)
    }

    /// The tree itself.
    pub fn tree(&self) -> &Value {
        &self.0
    }

    /// The paths of all keys, those of tables among them; keys of apps are those of the default one.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        flatten(&self.0, "", &mut paths);
        paths
    }

    fn check_table(
        &self,
        text: &str,
        table: &DeTable<'_>,
        prefix: &str,
        known: &Value,
    ) -> Result<(), ConfigError> {
        for (name, value) in table {
            let key = format!("{prefix}{}", name.get_ref());
            let Some(child) = child_of(known, prefix, name.get_ref()) else {
                let line = line_of(text, Some(name.span()));
                return Err(ConfigError::UnknownKey {
                    nearest: self.nearest(prefix, name.get_ref()),
                    key,
                    line: Some(line),
                });
            };
            // One that is empty by default holds names of the operator's own. A table where a value belongs is found when the
            // types are read, as is a text where a table belongs; an array would be taken for the values of its keys, here and
            // in an array of tables.
            let bad_value = |message: &str| ConfigError::BadValue {
                line: Some(line_of(text, Some(value.span()))),
                message: message.to_owned(),
                default: None,
                key: key.clone(),
            };
            match (value.get_ref(), child) {
                (DeValue::Table(inner), Value::Object(known)) if !known.is_empty() => {
                    self.check_table(text, inner, &format!("{key}."), child)?;
                }
                (DeValue::Array(_), Value::Object(_)) => return Err(bad_value("write it as a table")),
                (DeValue::Array(items), _) if items.iter().any(|item| item.get_ref().is_array()) => {
                    return Err(bad_value("write its entries without brackets"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The key that was most likely meant: a neighbour with nearly the name, else a key of nearly the name elsewhere.
    pub fn nearest(&self, prefix: &str, name: &str) -> Option<String> {
        let keys = self.paths();
        let score = |key: &&String| {
            let (table, leaf) =
                key.rsplit_once('.').map_or(("", key.as_str()), |(table, leaf)| (table, leaf));
            let similarity = strsim::jaro_winkler(leaf, name);
            let neighbour = table == prefix.trim_end_matches('.');
            (similarity >= NEAR_ENOUGH).then_some(if neighbour { similarity + NEIGHBOUR } else { similarity })
        };
        let scored = keys.iter().filter_map(|key| Some((score(&key)?, key)));
        let (_, nearest) = scored.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
        // The known keys of apps are those of the default one.
        let app = prefix.strip_prefix("apps.").and_then(|rest| rest.split('.').next());
        match (nearest.strip_prefix(&format!("apps.{DEFAULT_APP}.")), app) {
            (Some(leaf), Some(app)) => Some(format!("apps.{app}.{leaf}")),
            _ => Some(nearest.clone()),
        }
    }

    /// The default of `key`, as messages show it.
    pub fn default_of(&self, key: &str) -> Option<String> {
        let value = key.split('.').try_fold(&self.0, |value, name| value.get(name))?;
        (!value.is_null() && !value.is_object()).then(|| value.to_string())
    }
}

/// What stands under `name`; every name under `apps` is as good as the default app's.
pub fn child_of<'v>(known: &'v Value, prefix: &str, name: &str) -> Option<&'v Value> {
    known.get(if prefix == "apps." { DEFAULT_APP } else { name })
}

fn flatten(value: &Value, prefix: &str, keys: &mut Vec<String>) {
    for (name, child) in value.as_object().into_iter().flatten() {
        let key = format!("{prefix}{name}");
        flatten(child, &format!("{key}."), keys);
        keys.push(key);
    }
}

/// The line, from 1, that `span` starts in.
pub fn line_of(text: &str, span: Option<Range<usize>>) -> usize {
    let start = span.map_or(0, |span| span.start.min(text.len()));
    1 + text.as_bytes()[..start].iter().filter(|&&byte| byte == b'\n').count()
}
