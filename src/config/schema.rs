//! The configuration file as a JSON Schema (2020-12), for editors. Keys, types and defaults are those of the structs, bounds
//! those of their tables, and descriptions the comments of default.toml. Nothing refers to another place in it, so that
//! readers of older drafts understand it too.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::transform::transform_subschemas;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use super::duration::Millis;
use super::log::Level;
use super::{
    Config, DEFAULT_APP, JwksUrl, Listen, Network, OriginPattern, ProxyPeer, RedisUrl, Secret, UnixMode,
};

impl Config {
    /// The JSON Schema of the file.
    ///
    /// ```
    /// let schema = gannet::config::Config::json_schema();
    /// let page = &schema["properties"]["limits"]["properties"]["max_page"];
    /// assert_eq!((&page["default"], &page["minimum"]), (&1_000.into(), &1.into()));
    /// ```
    pub fn json_schema() -> Value {
        let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
        let mut schema = settings.with_transform(tidy).into_generator().into_root_schema_for::<Self>();
        schema.insert("title".to_owned(), "The configuration of gannet".into());
        let tables = schema.get_mut("properties").and_then(Value::as_object_mut);
        for table in
            tables.into_iter().flat_map(|tables| tables.values_mut()).filter_map(Value::as_object_mut)
        {
            // Each of its keys has its own default.
            if table.get("default").is_some_and(Value::is_object) {
                table.remove("default");
            }
        }
        describe(&mut schema);
        schema.into()
    }
}

/// Takes away what no file can say: a null, and widths of numbers. Of a description the first paragraph stays; the others are
/// for readers of the code.
fn tidy(schema: &mut Schema) {
    let is_null = |value: &Value| value.is_null() || value == "null" || value["type"] == "null";
    for key in ["type", "anyOf", "enum"] {
        let Some(Value::Array(options)) = schema.get_mut(key) else { continue };
        options.retain(|option| !is_null(option));
        if let ("type" | "anyOf", [one]) = (key, options.as_slice()) {
            let one = one.clone();
            schema.remove(key);
            match one {
                Value::Object(fields) => fields.into_iter().for_each(|(name, value)| {
                    schema.ensure_object().entry(name).or_insert(value);
                }),
                one => drop(schema.insert(key.to_owned(), one)),
            }
        }
    }
    if schema.get("default").is_some_and(|default| default.is_null()) {
        schema.remove("default");
    }
    schema.remove("format");
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.split("\n\n").next().unwrap_or_default().replace('\n', " ");
    }
    transform_subschemas(&mut tidy, schema);
}

/// Puts the comments of default.toml in the place of the descriptions of the keys and tables that they stand above.
fn describe(schema: &mut Schema) {
    for (path, comment) in comments(Config::default_toml()) {
        let mut at = schema.as_object_mut();
        for name in path.split('.') {
            let child = at.and_then(|table| match (name, table.contains_key("properties")) {
                (DEFAULT_APP, false) => table.get_mut("additionalProperties"),
                _ => table.get_mut("properties")?.get_mut(name),
            });
            at = child.and_then(Value::as_object_mut);
        }
        if let Some(key) = at {
            key.insert("description".to_owned(), comment.into());
        }
    }
}

/// The comments of a file by the path of the key or table that they stand above. A key right below another one shares its
/// comment; `#key = value` is a key.
fn comments(file: &str) -> BTreeMap<String, String> {
    let (mut comments, mut prefix, mut comment, mut is_whole) =
        (BTreeMap::new(), String::new(), String::new(), false);
    for line in file.lines() {
        let prose = line.strip_prefix("# ");
        if let Some(prose) = prose {
            match std::mem::take(&mut is_whole) {
                true => comment.clear(),
                false if !comment.is_empty() => comment.push(' '),
                false => {}
            }
            comment.push_str(prose);
            continue;
        }
        is_whole = true;
        if let Some(table) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            prefix = format!("{table}.");
            comments.insert(table.to_owned(), comment.clone());
        } else if let Some((key, _)) = line.trim_start_matches('#').split_once(" = ") {
            comments.insert(format!("{prefix}{key}"), comment.clone());
            continue;
        }
        comment.clear();
    }
    comments.retain(|_, comment| !comment.is_empty());
    comments
}

/// The schema of a type whose form in a file is not that of its fields.
macro_rules! written_as {
    ($($type:ty: $schema:tt,)*) => {
        $(impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        })*
    };
}

written_as! {
    Secret: { "type": "string" },
    OriginPattern: { "type": "string" },
    Network: { "type": "string" },
    ProxyPeer: { "type": "string" },
    UnixMode: { "type": "string", "pattern": "^0?[0-7]{3}$" },
    RedisUrl: { "type": "string", "pattern": "^(rediss?|redis\\+unix|unix)://" },
    JwksUrl: { "type": "string", "pattern": "^https?://" },
    Listen: { "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" }, "minItems": 1 }] },
    Level: { "enum": ["off", "error", "warn", "info", "debug", "trace"] },
    Millis: {
        "anyOf": [
            { "type": "integer", "minimum": 0 },
            {
                "type": "string",
                "minLength": 2,
                "pattern": r"^([0-9]+(\.[0-9]+)?d)?([0-9]+(\.[0-9]+)?h)?([0-9]+(\.[0-9]+)?m)?([0-9]+(\.[0-9]+)?s)?([0-9]+(\.[0-9]+)?ms)?$",
            },
        ],
    },
}
