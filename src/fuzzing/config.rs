//! Configuration files: whatever the text, a configuration or a fault with its line; what was read shows no secret, what
//! it shows is not taken for one, and with the secrets in their places it is read again as it was. Variables over it set what
//! they say or are refused by name.

use crate::config::{Config, ConfigError, Environment, Secret};
use toml::{Table, Value};

/// A file; behind a NUL, which no file may have, the name and the value of a variable by turns, each behind a NUL.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let mut parts = text.split('\0');
    let file = parts.next().unwrap_or_default();
    let variables: Vec<&str> = parts.collect();
    read(file);
    read_over(file, variables.as_chunks::<2>().0);
}

fn read(text: &str) {
    match Config::from_toml(text) {
        Ok(config) => {
            if let Err(error) = config.validate() {
                assert!(!error.to_string().is_empty());
                // A number that no signed one of 64 bits can hold is read, refused here, and could not be written.
                if matches!(error, ConfigError::OutOfRange { .. }) {
                    return;
                }
            }
            let document = text.parse::<Table>().expect("a configuration was read from it");
            read_again(&config, &document);
            shows_no_secret(config);
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            let (ConfigError::Syntax { line, .. }
            | ConfigError::UnknownKey { line: Some(line), .. }
            | ConfigError::BadValue { line: Some(line), .. }) = error
            else {
                panic!("it is no fault of a text: {error}");
            };
            assert!((1..=text.split('\n').count()).contains(&line), "line {line}");
        }
    }
}

/// The variables over a file: without any the file itself; a fault of them names the one that has it.
fn read_over(text: &str, variables: &[[&str; 2]]) {
    let Ok(alone) = Config::from_toml(text) else { return };
    let environment: Environment = variables.iter().map(|[name, value]| (name, value)).collect();
    match environment.over(text) {
        Ok(config) => {
            assert!(!environment.is_empty() || config == alone);
            assert!(config.validate().map_or_else(|error| !error.to_string().is_empty(), |()| true));
            shows_no_secret(config);
        }
        // A number that no signed one of 64 bits can hold is read where no variable is over it, and refused by its range.
        Err(ConfigError::Syntax { .. }) => assert!(text.parse::<Table>().is_err()),
        Err(error) => {
            let (ConfigError::InVariable { variable, .. }
            | ConfigError::UnknownVariable { variable, .. }
            | ConfigError::AppOfVariable { variable, .. }) = &error
            else {
                panic!("it is no fault of a variable: {error}");
            };
            assert!(variables.iter().any(|[name, _]| name == variable));
            assert!(error.to_string().contains(variable));
        }
    }
}

/// A configuration written as a file is the same configuration, once the secrets of `document`, which it was read from, are
/// in it; without them it is refused.
fn read_again(config: &Config, document: &Table) {
    let mut written = Table::try_from(config).expect("every configuration can be shown");
    let hidden = put_back(&mut written, document);
    let again = Config::from_toml(&written.to_string()).expect("what was read can be read again");
    assert_eq!(&again, config);
    let shown = Config::from_toml(&toml::to_string(config).expect("every configuration can be shown"));
    assert_eq!(shown.is_err(), hidden > 0, "what stands for a secret was taken for one");
}

/// Puts what `document` says wherever `written` has what stands for a secret; how often it has.
fn put_back(written: &mut Table, document: &Table) -> usize {
    written.iter_mut().filter_map(|(key, value)| Some(put_back_value(value, document.get(key)?))).sum()
}

fn put_back_value(written: &mut Value, said: &Value) -> usize {
    match (written, said) {
        (Value::Table(written), Value::Table(said)) => put_back(written, said),
        (Value::Array(written), Value::Array(said)) => {
            written.iter_mut().zip(said).map(|(written, said)| put_back_value(written, said)).sum()
        }
        (Value::String(written), Value::String(said)) if written == "***" && said != "***" => {
            written.clone_from(said);
            1
        }
        _ => 0,
    }
}

/// Whatever the secrets are, it looks the same.
fn shows_no_secret(mut config: Config) {
    let shown = format!("{config:?}");
    let keys = config.backend.keys.iter_mut().flat_map(|each| &mut each.key).chain(&mut config.backend.key);
    let secrets = config.apps.values_mut().flat_map(|app| &mut app.secrets);
    secrets.chain(keys).for_each(|secret| *secret = Secret::new("another"));
    assert_eq!(shown, format!("{config:?}"));
}
