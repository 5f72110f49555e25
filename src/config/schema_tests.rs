//! The schema of the file against the server: by a validator that knows neither.

use std::fs;

use jsonschema::Validator;
use serde_json::Value;
use toml::Table;

use super::known::KnownKeys;
use super::*;

fn validator() -> Validator {
    let schema = Config::json_schema();
    jsonschema::meta::validate(&schema).unwrap();
    jsonschema::draft202012::new(&schema).unwrap()
}

/// What the schema says of a file, if it refuses it.
fn refused_by(schema: &Validator, file: &Table) -> Option<String> {
    let errors: Vec<String> = schema
        .iter_errors(&serde_json::to_value(file).unwrap())
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    (!errors.is_empty()).then(|| errors.join("; "))
}

/// Whether the server takes each value of a file for itself.
fn server_takes(file: &Table) -> bool {
    Config::from_toml(&file.to_string()).is_ok_and(|config| config.check_each().is_ok())
}

fn holds_text(value: &toml::Value) -> bool {
    value.is_str() || value.as_array().is_some_and(|items| items.iter().any(toml::Value::is_str))
}

/// A file in which the key at `path` is `value`.
fn file_with(path: &str, value: &toml::Value) -> Table {
    let nested = path
        .rsplit('.')
        .fold(value.clone(), |value, name| Table::from_iter([(name.to_owned(), value)]).into());
    nested.as_table().unwrap().clone()
}

#[test]
fn the_default_file_and_the_examples_of_the_docs_are_valid() {
    let schema = validator();
    let uncommented = Config::default_toml().lines().map(|line| match line.strip_prefix('#') {
        Some(key) if !key.starts_with(' ') => key,
        _ => line,
    });
    let mut files = vec![Config::default_toml().to_owned(), uncommented.collect::<Vec<_>>().join("\n")];
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "md") {
            let page = fs::read_to_string(&path).unwrap();
            let blocks =
                page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned());
            // Cargo.toml of a program that embeds the server is TOML too.
            files.extend(blocks.filter(|block| !block.contains("[dependencies]")));
        }
    }
    assert!(files.len() > 6, "{}", files.len());
    for file in files {
        let table: Table = file.parse().unwrap();
        assert_eq!(refused_by(&schema, &table), None, "{file}");
        assert!(server_takes(&table), "{file}");
    }
}

#[test]
fn the_schema_refuses_the_values_that_the_server_refuses() {
    let schema = validator();
    let values = [
        "true",
        "-1",
        "0",
        "7",
        "1.5",
        "9223372036854775807",
        "'x'",
        "'1m30s'",
        "'1s1m'",
        "''",
        "[]",
        "[1]",
        "['x']",
        "[['x', 'x', 'x', ['all']]]",
        "[{ zzz = 1 }]",
        "{}",
        "{ zzz = 1 }",
        "1979-05-27",
    ];
    let values = values.map(|text| text.parse::<toml::Value>().unwrap());
    let mut counts = [0, 0];
    for path in KnownKeys::new().paths() {
        for value in &values {
            let file = file_with(&path, value);
            let refused = refused_by(&schema, &file);
            counts[usize::from(refused.is_none())] += 1;
            match refused {
                // The grammar of a text is more than the schema says.
                None => assert!(server_takes(&file) || holds_text(value), "{path} = {value}"),
                Some(why) => {
                    let config = Config::from_toml(&file.to_string());
                    assert!(config.and_then(|config| config.validate()).is_err(), "{path} = {value}: {why}");
                }
            }
        }
    }
    assert!(counts.iter().all(|count| *count > 200), "{counts:?}");
}

#[test]
fn the_bounds_of_the_schema_are_those_of_the_server() {
    let (schema, mut count) = (validator(), 0);
    for path in KnownKeys::new().paths() {
        let huge = toml::Value::Integer(i64::MAX);
        let config = Config::from_toml(&file_with(&path, &huge).to_string());
        let (min, max) = match config.map(|config| config.check_each()) {
            Ok(Err(ConfigError::OutOfRange { min, max, .. })) => (min as i64, max as i64),
            // `node` has 16 bits.
            Err(_) if path == "node" => (0, 4_095),
            _ => continue,
        };
        for value in [0, min - 1, min, max, max + 1] {
            let file = file_with(&path, &value.into());
            let refused = refused_by(&schema, &file);
            assert_eq!(server_takes(&file), refused.is_none(), "{path} = {value}: {refused:?}");
        }
        count += 1;
    }
    assert!(count > 80, "{count}");
}

#[test]
fn wrong_files_are_refused_as_by_the_server() {
    let schema = validator();
    for file in [
        "lisen = '127.0.0.1:9000'",
        "[apps.chess]\nsecret = []",
        "[apps.chess]\nper_user = { max = 1, polcy = 'refuse' }",
        "apps = { chess = 5 }",
        "[apps.chess]\nslow = { normal = 'drop' }",
        "[apps.chess]\ngroup_tick_ms = { a = 10_001 }",
        "[apps.chess]\ntick_ms = '30'",
        "[backend]\nkeys = [{ name = 'a', key = '0123456789abcdef' }]",
        "[backend]\nkeys = [{ name = 'a', key = '0123456789abcdef', may = ['write'] }]",
        "[[tls.certificates]]\ncert = 'a.pem'",
        "tls.versions = ['1.1']",
        "log.level = 'loud'",
        "log.format = 'xml'",
        "rates.beyond = 'shrug'",
        "rates.messages = { per_second = 16_777_217 }",
        "timeouts.ping_ms = '1.m'",
        "timeouts.ping_ms = '30s1m'",
    ] {
        let table: Table = file.parse().unwrap();
        assert!(refused_by(&schema, &table).is_some() && !server_takes(&table), "{file}");
    }
    for file in ["backend.key = 'short'", "tls.versions = []"] {
        assert!(refused_by(&schema, &file.parse().unwrap()).is_some(), "{file}");
        assert!(Config::from_toml(file).unwrap().validate().is_err(), "{file}");
    }
}

#[test]
fn every_key_has_a_description_for_people_and_what_has_a_default_shows_it() {
    fn check(schema: &Value, path: &str, defaults: &Value) {
        for (name, key) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            let description = key["description"].as_str().unwrap_or_default();
            assert!(
                !description.is_empty() && !description.contains("[`") && !description.contains("Config::"),
                "{path}: {description}"
            );
            let default = &defaults[name];
            if !default.is_null() && (!default.is_object() || path.matches('.').count() > 1) {
                assert_eq!(&key["default"], default, "{path}");
            }
            let is_table = default.is_object() && path.matches('.').count() == 1;
            check(key, &path, if is_table { default } else { &Value::Null });
            check(&key["items"], &path, &Value::Null);
            let app = if path == ".apps" { &default[DEFAULT_APP] } else { &Value::Null };
            check(&key["additionalProperties"], &format!("{path}.*"), app);
        }
    }
    let schema = Config::json_schema();
    check(&schema, "", &serde_json::to_value(Config::default()).unwrap());
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
}
