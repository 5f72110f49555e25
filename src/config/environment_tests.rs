//! Variables of the environment over a file.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::known::KnownKeys;
use super::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn over(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
    let environment: Environment = variables.iter().copied().collect();
    environment.over(text).map_err(|error| error.to_string())
}

fn refusal(text: &str, variable: &str, value: &str) -> String {
    over(text, &[(variable, value)]).expect_err(variable)
}

#[test]
fn every_key_has_a_variable() {
    let mut count = 0;
    let known = KnownKeys::new();
    let defaults = Config::default();
    let file = toml::to_string(&defaults).unwrap();
    for key in known.paths() {
        let variable = format!("GANNET_{}", key.to_ascii_uppercase().replace('.', "__"));
        let value = key.split('.').fold(known.tree(), |value, name| &value[name]);
        // What has no default is a text, in one case a number and in one a URL.
        let text = match value {
            serde_json::Value::Null if key == "reactors" => "3".to_owned(),
            serde_json::Value::Null if key.ends_with("_url") => "https://id.example".to_owned(),
            serde_json::Value::Null => "0123456789abcdef".to_owned(),
            value => {
                let value: toml::Value = serde_json::from_value(without_null(value)).unwrap();
                value.to_string()
            }
        };
        let config = over(&file, &[(&variable, &text)]).unwrap();
        assert_eq!(config == defaults, !value.is_null(), "{variable}={text}");
        count += 1;
    }
    assert!(count > 120, "{count}");
}

fn without_null(value: &serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(fields) => {
            let set = fields.iter().filter(|(_, value)| !value.is_null());
            set.map(|(name, value)| (name.clone(), without_null(value))).collect()
        }
        value => value.clone(),
    }
}

#[test]
fn variables_win_over_the_file_key_by_key() {
    let file = "listen = '127.0.0.1:1'\n[limits]\nmax_sessions = 5\nmax_page = 10\n[apps.chess]\n\
                per_user = { max = 3, policy = 'replace-oldest' }\ngroup_tick_ms = { 'a/' = 5 }\n[timeouts]\nping_ms = 9";
    let config = over(
        file,
        &[
            ("GANNET_LISTEN", "127.0.0.1:2"),
            ("GANNET_LIMITS__MAX_SESSIONS", "20_000"),
            ("GANNET_PIN", "true"),
            ("GANNET_LOG__LEVEL", "debug"),
            ("GANNET_LOG__FORMAT", "\"json\""),
            ("GANNET_LOG__FILE", "2026"),
            ("GANNET_TIMEOUTS__PING_MS", "1m30s"),
            ("GANNET_TIMEOUTS__IDLE_MS", "95_000"),
            ("GANNET_RATES__MESSAGES__PER_SECOND", "50"),
            ("GANNET_RATES__BYTES", "{ per_second = 7 }"),
            ("GANNET_BACKEND__KEY", "0123456789abcdef"),
            ("GANNET_BACKEND__ORIGINS", "['https://tools.example']"),
            ("GANNET_BACKEND__LISTEN", "['unix:/b.sock', '*:9001']"),
            ("GANNET_BACKEND__UNIX_MODE", "600"),
            ("GANNET_APPS__CHESS__PER_USER", "{ max = 4 }"),
            ("GANNET_APPS__CHESS__GROUP_TICK_MS", "{ 'b/' = '1s' }"),
            ("GANNET_APPS__DEFAULT__MAX_SESSIONS", "0x10"),
            ("PATH", "/bin"),
        ],
    );
    let config = config.unwrap();
    assert_eq!((config.listen, config.pin), ("127.0.0.1:2".parse().unwrap(), true));
    let backend = config.backend.listen.endpoints().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        (backend.join(" "), config.backend.unix_mode.bits()),
        ("unix:/b.sock *:9001".to_owned(), 0o600)
    );
    assert_eq!((config.limits.max_sessions, config.limits.max_page), (20_000, 10));
    assert_eq!((config.log.level, config.log.format), (::log::LevelFilter::Debug, LogFormat::Json));
    assert_eq!(config.log.file, Some("2026".into()));
    assert_eq!((config.timeouts.ping.as_secs(), config.timeouts.idle.as_secs()), (90, 95));
    assert_eq!(config.rates.messages, Rate { per_second: 50, burst: 0 });
    assert_eq!(config.rates.bytes, Rate { per_second: 7, burst: 0 });
    assert_eq!(config.backend.key, Some(Secret::new("0123456789abcdef")));
    assert!(config.backend.origins[0].matches(b"https://tools.example"));
    let chess = &config.apps["chess"];
    assert_eq!(chess.per_user, PerUser { max: 4, policy: PerUserPolicy::ReplaceOldest });
    assert_eq!(chess.group_tick_ms, BTreeMap::from([("b/".to_owned(), 1_000)]));
    assert_eq!(config.apps["default"].max_sessions, 16);
}

#[test]
fn an_app_is_named_in_capitals_and_made_by_a_table() {
    let config = over(
        "[apps.my-game]",
        &[
            ("GANNET_APPS", "{ chess = { max_sessions = 1, tick_ms = '20ms' }, 'größe' = {} }"),
            ("GANNET_APPS__CHESS__MAX_SESSIONS", "2"),
            ("GANNET_APPS__MY_GAME__MAX_SESSIONS", "3"),
            ("GANNET_APPS__GR__E__MAX_SESSIONS", "4"),
        ],
    );
    // Two underscores in a row part keys wherever they come from.
    let says = "GANNET_APPS__GR__E__MAX_SESSIONS is for an app that does not exist: give it a table [apps.NAME] in the file, \
                or name it in GANNET_APPS";
    assert_eq!(config.unwrap_err(), says);
    let config = over(
        "[apps.my-game]",
        &[
            ("GANNET_APPS", "{ chess = { max_sessions = 1, tick_ms = '20ms' } }"),
            ("GANNET_APPS__CHESS__MAX_SESSIONS", "2"),
            ("GANNET_APPS__MY_GAME__MAX_SESSIONS", "3"),
        ],
    );
    let apps = config.unwrap().apps;
    assert_eq!(apps.keys().collect::<Vec<_>>(), ["chess", "default", "my-game"]);
    assert_eq!((apps["chess"].max_sessions, apps["chess"].tick_ms), (2, 20));
    assert_eq!(apps["my-game"].max_sessions, 3);
    assert_eq!(
        refusal("[apps.go]\n[apps.GO]", "GANNET_APPS__GO__MAX_SESSIONS", "1"),
        "GANNET_APPS__GO__MAX_SESSIONS could mean the apps GO, go: set them in GANNET_APPS"
    );
}

#[test]
fn a_secret_in_a_variable_takes_the_place_of_one_in_the_file() {
    let file = "[backend]\nkey_file = 'backend.key'\n[apps.default]\nsecrets_file = 'default.secrets'";
    let secrets = format!("['{SECRET}']");
    let config =
        over(file, &[("GANNET_BACKEND__KEY", SECRET), ("GANNET_APPS__DEFAULT__SECRETS", &secrets)]).unwrap();
    config.validate().unwrap();
    assert_eq!((config.backend.key_file, &config.apps["default"].secrets_file), (None, &None));
    let file = format!("[backend]\nkey = '{SECRET}'\n[apps.default]\nsecrets = ['{SECRET}']");
    let config = over(&file, &[("GANNET_BACKEND__KEY_FILE", "/run/secrets/key")]).unwrap();
    assert_eq!((config.backend.key, config.backend.key_file), (None, Some("/run/secrets/key".into())));
    assert_eq!(config.apps["default"].secrets.len(), 1);
    // Both in variables are two that contradict each other.
    let both = over("", &[("GANNET_BACKEND__KEY", SECRET), ("GANNET_BACKEND__KEY_FILE", "f")]).unwrap();
    assert!(matches!(both.validate(), Err(ConfigError::BackendKey { fault: KeyFault::Twice, .. })));
}

#[test]
fn an_unknown_variable_names_the_nearest() {
    for (variable, nearest) in [
        ("GANNET_LIMITS__MAX_SESSION", "GANNET_LIMITS__MAX_SESSIONS"),
        ("GANNET_LIMIT__MAX_SESSIONS", "GANNET_LIMITS"),
        ("GANNET_limits__max_sessions", "GANNET_LIMITS"),
        ("GANNET_APPS__CHESS__SECRET", "GANNET_APPS__CHESS__SECRETS"),
        ("GANNET_RATES__MESSAGES__PER_SECONDS", "GANNET_RATES__MESSAGES__PER_SECOND"),
        ("GANNET_LIMITS_MAX_SESSIONS", "GANNET_LIMITS__MAX_SESSIONS"),
        ("GANNET_APPS_CHESS_MAX_SESSIONS", "GANNET_APPS__CHESS__MAX_SESSIONS"),
        ("GANNET_TLS__KEY_", "GANNET_TLS__KEY"),
        ("GANNET__LISTEN", "GANNET_LISTEN"),
        ("GANNET_LISTNE", "GANNET_LISTEN"),
        ("GANNET_REACTOR", "GANNET_REACTORS"),
    ] {
        let says = format!("unknown variable {variable}: did you mean {nearest}?");
        assert_eq!(refusal("[apps.chess]", variable, "1"), says);
    }
    for variable in ["GANNET_QQQQ__X", "GANNET_PIN__X", "GANNET_LIMITS__"] {
        let says = refusal("", variable, "1");
        assert!(says.starts_with(&format!("unknown variable {variable}: write a key of ")), "{says}");
    }
    // Those of the commands, and of Kubernetes for services called gannet and gannet-tls.
    for variable in [
        "GANNET_KEY",
        "GANNET_SECRET",
        "GANNET_TOKEN",
        "GANNET_PORT",
        "GANNET_SERVICE_HOST",
        "GANNET_SERVICE_PORT_CLIENTS",
        "GANNET_PORT_9000_TCP_ADDR",
        "GANNET_TLS_PORT",
        "GANNET_BACKEND_PORT",
        "GANNET_BIN",
        "GANNET_MODE",
    ] {
        assert_eq!(over("", &[(variable, "tcp://10.0.0.1:9000")]), Ok(Config::default()), "{variable}");
    }
}

#[test]
fn a_bad_value_names_the_variable_and_shows_no_secret() {
    for (variable, value, says) in [
        (
            "GANNET_LIMITS__MAX_PAGE",
            "many",
            r#"bad value for "limits.max_page": invalid type: string "many", expected usize; the default is 1000"#,
        ),
        ("GANNET_LIMITS__MAX_PAGE", "0", "limits.max_page = 0 is out of range: choose 1 to 16777216"),
        ("GANNET_LIMITS__MAX_PAGE", "", r#"bad value for "limits.max_page": invalid type: string """#),
        (
            "GANNET_LIMITS__MAX_PAGE",
            "1\nmax_sessions = 5",
            r#"bad value for "limits.max_page": invalid type"#,
        ),
        ("GANNET_LISTEN", "", r#"bad value for "listen": "#),
        ("GANNET_TIMEOUTS__PING_MS", "30", ""),
        (
            "GANNET_TIMEOUTS__PING_MS",
            "30x",
            r#"bad value for "timeouts.ping_ms": "30x" is no time: the units"#,
        ),
        (
            "GANNET_APPS__DEFAULT__TICK_MS",
            "11s",
            "apps.default.tick_ms = 11000 is out of range: choose 0 to 10000",
        ),
        ("GANNET_LOG", "debug", r#"bad value for "log": write it as a table of TOML, { key = value }"#),
        ("GANNET_LOG", "{ levl = 'debug' }", r#"unknown key "log.levl": did you mean "log.level"?"#),
        ("GANNET_BACKEND", "hunter2", r#"bad value for "backend": write it as a table"#),
        ("GANNET_BACKEND__KEY", "[hunter2]", ""),
        ("GANNET_BACKEND__KEY", "['hunter2']", ""),
        ("GANNET_BACKEND__KEY", "***", r#"bad value for "backend.key": *** stands for a secret"#),
        ("GANNET_BACKEND__KEYS", "hunter2", r#"bad value for "backend.keys": write keys as tables"#),
        (
            "GANNET_BACKEND__KEYS",
            "[{ name = 'a', key = 'hunter2' ",
            r#"bad value for "backend.keys": write keys"#,
        ),
        ("GANNET_BACKEND", "{ keys = 'hunter2' }", r#"bad value for "backend.keys": write keys as tables"#),
        (
            "GANNET_APPS__DEFAULT__SECRETS",
            "hunter2",
            r#"bad value for "apps.default.secrets": write it as texts"#,
        ),
        (
            "GANNET_APPS__DEFAULT__SECRETS",
            "[hunter2]",
            r#"bad value for "apps.default.secrets": write it as texts"#,
        ),
        (
            "GANNET_APPS",
            "{ chess = 'hunter2' }",
            r#"bad value for "apps.chess": it takes a value of another type"#,
        ),
        ("GANNET_APPS", "{ chess = { secrets = ['hunter2' }", r#"bad value for "apps": write it as a table"#),
        ("GANNET_APPS__DEFAULT", "hunter2", r#"bad value for "apps.default": write it as a table"#),
    ] {
        match over("", &[(variable, value)]) {
            // Milliseconds, and a text that is a key if a short one.
            Ok(_) => assert_eq!(says, "", "{variable}={value}"),
            Err(error) => {
                assert!(error.starts_with(&format!("{variable}: {says}")) && !says.is_empty(), "{error}");
                assert!(!error.contains("hunter2"), "{error}");
            }
        }
    }
    let bytes: Environment = [("GANNET_LISTEN", OsString::from_vec(vec![0xff]))].into_iter().collect();
    assert_eq!(bytes.over("").unwrap_err().to_string(), "the value of GANNET_LISTEN is not UTF-8");
    let environment: Environment = [("GANNET_BACKEND__KEY", "hunter2")].into_iter().collect();
    assert_eq!(format!("{environment:?}"), r#"{"GANNET_BACKEND__KEY"}"#);
}

#[test]
fn a_fault_of_the_file_has_its_line_whatever_the_variables() {
    let says = over("\nlimits.max_page = 'x'", &[("GANNET_LIMITS__MAX_PAGE", "5")]).unwrap_err();
    assert!(says.starts_with(r#"bad value for "limits.max_page" (line 2): "#), "{says}");
}

#[test]
fn the_reference_shows_variables_that_say_what_the_file_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
    let document = std::fs::read_to_string(path).unwrap();
    let rows: Vec<_> = document.lines().filter_map(|line| line.split_once("` | `GANNET_")).collect();
    assert!(rows.len() > 5);
    for (in_file, in_environment) in rows {
        let (name, value) = in_environment.trim_end_matches("` |").split_once('=').unwrap();
        let file = Config::from_toml(in_file.trim_start_matches("| `")).unwrap();
        let variable =
            over("[apps.chess]", &[(&format!("GANNET_{name}"), value.trim_matches('\''))]).unwrap();
        let with_app = Config { apps: variable.apps.clone(), ..file.clone() };
        assert_eq!(variable, with_app, "{in_file}");
        assert!(file.apps.iter().all(|(name, app)| variable.apps[name] == *app), "{in_file}");
    }
}
