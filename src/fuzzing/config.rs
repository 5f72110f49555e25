//! Configuration files: whatever the text, a configuration or a fault with its line; and what was read is read again.

use crate::config::{Config, ConfigError, Secret};

/// A file.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    match Config::from_toml(text) {
        Ok(config) => {
            if let Err(error) = config.validate() {
                assert!(!error.to_string().is_empty());
            }
            read_again(config);
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            let (ConfigError::Syntax { line, .. }
            | ConfigError::UnknownKey { line, .. }
            | ConfigError::BadValue { line, .. }) = error
            else {
                panic!("it is no fault of a text: {error}");
            };
            assert!((1..=text.split('\n').count()).contains(&line), "line {line}");
        }
    }
}

/// A configuration written as a file is the same configuration, but for its key, which is not shown.
fn read_again(mut config: Config) {
    let (written, shown) = (toml::to_string(&config), format!("{config:?}"));
    config.backend.key = config.backend.key.map(|_| Secret::new("***"));
    assert_eq!(shown, format!("{config:?}"));
    let again = Config::from_toml(&written.expect("every configuration can be shown"));
    assert_eq!(again.expect("what is shown can be read"), config);
}
