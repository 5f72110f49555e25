//! Keys and secrets in the configuration: what is one, and that none is shown.

use std::fs;
use std::path::Path;

use super::tests::refusal;
use super::*;

#[test]
fn keys_of_the_backend_port_are_long_their_own_and_may_do_something() {
    let key = "0123456789abcdef";
    let one = |fields: &str| format!("[backend]\nkeys = [{{ name = 'a', {fields} }}]");
    for (text, says) in [
        ("[backend]\nkey = ''".to_owned(), "backend.key: it is too short: a key needs at least 16 bytes"),
        ("[backend]\nkey = '0123456789abcde'".into(), "backend.key: it is too short"),
        ("[backend]\nkey = 'two words of a key'".into(), "backend.key: it must be visible ASCII"),
        ("[backend]\nkey = 'ein langer schlüssel'".into(), "backend.key: it must be visible ASCII"),
        (
            format!("[backend]\nkey = '{key}'\nkey_file = 'f'"),
            "backend.key: both it and its key_file are set",
        ),
        ("[backend]\nkey_file = 'f'".into(), "backend.key: its key_file has not been read"),
        (one("may = ['all']"), "the key \"a\" of backend.keys: it has neither key nor key_file"),
        (one("key = 'k', may = ['all']"), "the key \"a\" of backend.keys: it is too short"),
        (one(&format!("key = '{key}', may = []")), "the key \"a\" of backend.keys: it may do nothing"),
        (
            one(&format!("key = '{key}', may = ['all'], apps = ['go']")),
            "the key \"a\" of backend.keys: there is no app \"go\"",
        ),
        (
            format!("[backend]\nkeys = [{{ name = '', key = '{key}', may = ['all'] }}]"),
            "the key \"\" of backend.keys: it cannot be called that",
        ),
        (
            format!(
                "[[backend.keys]]\nname = 'a'\nkey = '{key}'\nmay = ['all']\n[[backend.keys]]\nname = 'a'\nkey = '{key}2'\nmay = ['all']"
            ),
            "the key \"a\" of backend.keys: another key has that name",
        ),
        (
            format!("[backend]\nkey = '{key}'\n[[backend.keys]]\nname = 'a'\nkey = '{key}'\nmay = ['all']"),
            "the key \"a\" of backend.keys: it is the same as backend.key",
        ),
        (
            "[backend]\nhosts = ['game.internal:9001']".into(),
            "\"game.internal:9001\" in backend.hosts is no name",
        ),
    ] {
        let message = refusal(&text);
        assert!(message.starts_with(says), "{text}: {message}");
        assert!(!message.contains(key), "{message}");
    }
    for bad in [
        "key = 'k', may = ['write']",
        "key = 'k'",
        "key = 'k', may = ['all'], scope = 1",
        "key = 7, may = ['all']",
        "key = 'k', may = 'all'",
    ] {
        let message = refusal(&one(bad));
        assert!(message.starts_with("bad value for \"backend.keys\" (line 2): "), "{bad}: {message}");
    }
    for leaky in ["keys = ['hunter2']", "keys = 'hunter2'", "keys = { name = 'hunter2' }"] {
        let message = refusal(&format!("[backend]\n{leaky}"));
        assert!(message.contains("write keys as tables") && !message.contains("hunter2"), "{message}");
    }
    let text = format!(
        "[backend]\nhosts = ['game.internal']\nkeys = [{{ name = 'a', key = '{key}', may = ['read', 'push'], apps = ['default'] }}]"
    );
    Config::from_toml(&text).unwrap().validate().unwrap();
}

#[test]
fn a_secret_is_never_shown() {
    let config = Config::from_toml(
        "[backend]\nkey = 'hunter2'\nkeys = [{ name = 'a', key = 'hunter2 too', may = ['all'] }]",
    )
    .unwrap();
    let shown = format!("{config:?} {config:#?} {}", serde_json::to_string(&config).unwrap());
    assert!(!shown.contains("hunter2"));
    assert!(shown.contains("***"));
    assert_eq!(config.backend.key.unwrap().expose(), "hunter2");
    assert!(!refusal("[backend]\nkey = 'two words'").contains("words"));
    assert!(
        !refusal("[backend]\nkeys = [{ name = 'a', key = 'two words', may = ['all'] }]").contains("words")
    );
    assert_eq!(
        refusal("[backend]\nkey = 4711"),
        r#"bad value for "backend.key" (line 2): write it as text, in quotes"#
    );
}

#[test]
fn what_stands_for_a_secret_is_none() {
    let message = "*** stands for a secret where one is shown: write the secret itself";
    let key = format!(r#"bad value for "backend.key" (line 2): {message}"#);
    assert_eq!(refusal("[backend]\nkey = '***'"), key);
    let secrets = refusal("[apps.default]\nsecrets = ['0123456789abcdef0123456789abcdef', '***']");
    assert_eq!(
        secrets,
        format!(r#"bad value for "apps.default.secrets" (line 2): {message}; the default is []"#)
    );
}

#[test]
fn the_secrets_of_apps_are_long_their_own_and_everywhere_or_nowhere() {
    let (one, two) = ("0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210");
    let app = |name: &str, secrets: &[&str]| format!("[apps.{name}]\nsecrets = {secrets:?}\n");
    for (text, start) in [
        (
            app("default", &[one, "short"]),
            "secret 2 of [apps.default] is too short: one needs at least 32 bytes",
        ),
        (app("chess", &[one]), "the app chess has secrets or public keys and default has none"),
        (
            app("default", &[one]) + "[apps.chess]\n[apps.go]",
            "the app default has secrets or public keys and chess, go has none",
        ),
        (
            "[apps.chess]\njwks = '{}'".to_owned(),
            "the app chess has secrets or public keys and default has none",
        ),
        (
            "[apps.default]\npublic_keys = [{ algorithm = 'RS256' }]".to_owned(),
            "apps.default.public_keys[0]: it has neither pem nor file",
        ),
        (
            "[apps.default]\npublic_keys = [{ algorithm = 'RS256', file = 'f' }]".to_owned(),
            "apps.default.public_keys[0]: the file has not been read",
        ),
        (
            "[apps.default]\npublic_keys = [{ algorithm = 'RS256', file = 'f', pem = '' }]".to_owned(),
            "apps.default.public_keys[0]: both the file and the text itself are set",
        ),
        (
            "[apps.default]\npublic_keys = [{ algorithm = 'HS256', file = 'f' }]".to_owned(),
            r#"bad value for "apps.default.public_keys" (line 2)"#,
        ),
        ("[apps.default]\njwks_file = 'f'".to_owned(), "apps.default.jwks_file: the file has not been read"),
        (app("default", &[one]) + &app("chess", &[two, one]), "the apps chess and default share a secret"),
        (
            app("default", &[one]) + "secrets_file = 'f'",
            "both secrets and secrets_file are set in [apps.default]: remove one",
        ),
        (
            "[apps.default]\nsecrets_file = 'f'".to_owned(),
            "the secrets_file of [apps.default] has not been read",
        ),
        (
            "[apps.default]\nsecrets = 'hunter2'".to_owned(),
            r#"bad value for "apps.default.secrets" (line 2): write it as texts in quotes, in brackets"#,
        ),
        (
            "[apps.default]\nsecrets = [4711]".to_owned(),
            r#"bad value for "apps.default.secrets" (line 2): write it as texts in quotes, in brackets"#,
        ),
    ] {
        let message = refusal(&text);
        assert!(message.starts_with(start), "{text}: {message}");
        assert!(
            [one, two, "short'", "hunter2", "4711"].iter().all(|secret| !message.contains(secret)),
            "{message}"
        );
    }
    let both = app("default", &[one, one]) + &app("chess", &[two]);
    let config = Config::from_toml(&both).unwrap();
    config.validate().unwrap();
    let shown = format!("{config:?} {}", serde_json::to_string(&config).unwrap());
    assert!(!shown.contains(one) && !shown.contains(two));
}

#[test]
fn a_key_file_is_read_beside_the_configuration() {
    let dir = std::env::temp_dir().join(format!("gannet-config-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let file = dir.join("gannet.toml");
    fs::write(&file, "[backend]\nlisten = '0.0.0.0:9001'\nkey_file = 'backend.key'").unwrap();

    let missing = Config::load(&file).unwrap_err();
    assert!(
        matches!(&missing, ConfigError::InFile { error, .. } if matches!(**error, ConfigError::KeyFile { .. }))
    );
    assert!(missing.to_string().contains("cannot read backend.key_file"), "{missing}");

    fs::write(dir.join("backend.key"), "hunter2 hunter2 hunter2\r\n".replace(' ', "-")).unwrap();
    let config = Config::load(&file).unwrap();
    assert_eq!(config.backend.key, Some(Secret::new("hunter2-hunter2-hunter2")));
    config.validate().unwrap();

    let text = "[apps.default]\nsecrets_file = 'default.secrets'";
    fs::write(&file, text).unwrap();
    let missing = Config::load(&file).unwrap_err().to_string();
    assert!(missing.contains("cannot read apps.default.secrets_file"), "{missing}");
    fs::write(dir.join("default.secrets"), "\n \r\n").unwrap();
    let empty = Config::load(&file).unwrap_err().to_string();
    assert!(empty.contains("the secrets_file of [apps.default] holds no secret"), "{empty}");
    let (one, two) = ("0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210");
    fs::write(dir.join("default.secrets"), format!("{one}\r\n\n  {two} \n")).unwrap();
    let config = Config::load(&file).unwrap();
    assert_eq!(config.apps["default"].secrets, [Secret::new(one), Secret::new(two)]);
    config.validate().unwrap();

    fs::write(&file, "[backend]\nkey_file = 'backend.key'").unwrap();
    fs::write(dir.join("backend.key"), "x".repeat(5000)).unwrap();
    assert!(matches!(Config::load(&file), Err(ConfigError::InFile { .. })));
    assert!(matches!(Config::load(&dir.join("none.toml")), Err(ConfigError::Read { .. })));
    assert!(Config::load(Path::new("/")).is_err());
    fs::remove_dir_all(&dir).unwrap();
}
