use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

pub(super) fn refusal(text: &str) -> String {
    match Config::from_toml(text).and_then(|config| config.validate()) {
        Ok(()) => panic!("accepted: {text}"),
        Err(error) => error.to_string(),
    }
}

/// The paths of all keys of a JSON tree that hold no table.
fn leaves(value: &Value, prefix: &str, keys: &mut BTreeSet<String>) {
    match value.as_object() {
        Some(object) => object.iter().for_each(|(name, child)| {
            let dot = if prefix.is_empty() { "" } else { "." };
            leaves(child, &format!("{prefix}{dot}{name}"), keys);
        }),
        None => {
            keys.insert(prefix.to_owned());
        }
    }
}

fn keys_of_the_struct() -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    leaves(&serde_json::to_value(Config::default()).unwrap(), "", &mut keys);
    keys
}

#[test]
fn the_default_file_says_the_defaults() {
    let config = Config::from_toml(Config::default_toml()).unwrap();
    assert_eq!(config, Config::default());
    config.validate().unwrap();
    assert_eq!(Config::from_toml("").unwrap(), Config::default());
}

#[test]
fn the_default_file_has_every_key() {
    // `#key = value` is a key without a default; prose has a space after its `#`.
    let uncommented: String = Config::default_toml()
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let file: toml::Table = toml::from_str(&uncommented).unwrap();
    let mut in_file = BTreeSet::new();
    leaves(&serde_json::to_value(file).unwrap(), "", &mut in_file);
    assert_eq!(in_file, keys_of_the_struct());
    Config::from_toml(&uncommented).unwrap();
}

#[test]
fn every_number_has_a_range() {
    let numbers: BTreeSet<String> = keys_of_the_struct()
        .into_iter()
        .filter(|key| {
            let defaults = serde_json::to_value(Config::default()).unwrap();
            key.split('.').fold(&defaults, |value, name| &value[name]).is_number()
        })
        .collect();
    assert!(numbers.len() > 30);
    for key in numbers {
        let (table, name) = key.rsplit_once('.').unwrap_or(("", &key));
        let header = if table.is_empty() { String::new() } else { format!("[{table}]\n") };
        let huge = if key == "node" { 4096 } else { i64::MAX };
        let message = refusal(&format!("{header}{name} = {huge}"));
        assert!(message.starts_with(&format!("{key} = {huge} is out of range: choose ")), "{message}");
    }
}

#[test]
fn unknown_keys_name_the_nearest_known_one() {
    let table = [
        (
            "\n[limits]\nmax_sessions = 1\n\n\n\noutbox_byte = 1",
            r#"unknown key "limits.outbox_byte" (line 7): did you mean "limits.outbox_bytes"?"#,
        ),
        ("lisen = 1", r#"unknown key "lisen" (line 1): did you mean "listen"?"#),
        (
            "limits.max_sesions = 1",
            r#"unknown key "limits.max_sesions" (line 1): did you mean "limits.max_sessions"?"#,
        ),
        ("[limit]\nmax_page = 1", r#"unknown key "limit" (line 1): did you mean "limits"?"#),
        ("[timeouts]\nidle = 1", r#"unknown key "timeouts.idle" (line 2): did you mean "timeouts.idle_ms"?"#),
        ("ping_ms = 1", r#"unknown key "ping_ms" (line 1): did you mean "timeouts.ping_ms"?"#),
        ("log = { levl = 1 }", r#"unknown key "log.levl" (line 1): did you mean "log.level"?"#),
        ("[backend]\nlistn = 1", r#"unknown key "backend.listn" (line 2): did you mean "backend.listen"?"#),
        ("zzz = 1", r#"unknown key "zzz" (line 1): `gannet config default` shows all there are"#),
        (
            "[apps.chess]\nsecret = 1",
            r#"unknown key "apps.chess.secret" (line 2): did you mean "apps.chess.secrets"?"#,
        ),
        (
            "[apps.chess]\nqqqq = 1",
            r#"unknown key "apps.chess.qqqq" (line 2): `gannet config default` shows all there are"#,
        ),
    ];
    for (text, message) in table {
        assert_eq!(refusal(text), message, "{text}");
    }
}

#[test]
fn bad_values_name_the_key_and_the_line() {
    let table = [
        (
            "\n[limits]\nmax_page = \"x\"",
            r#"bad value for "limits.max_page" (line 3): invalid type: string "x", expected usize; the default is 1000"#,
        ),
        ("pin = 1", r#"bad value for "pin" (line 1): "#),
        ("reactors = -1", r#"bad value for "reactors" (line 1): "#),
        ("node = 65536", r#"bad value for "node" (line 1): "#),
        ("listen = \"9000\"", r#"bad value for "listen" (line 1): "#),
        ("listen = \"localhost\"", r#"bad value for "listen" (line 1): "#),
        (
            "[backend]\nallow = ['10.0.0.1/8']",
            r#"bad value for "backend.allow" (line 2): bits behind the prefix are set: write 10.0.0.0/8"#,
        ),
        (
            "[apps.go]\norigins = ['go.example']",
            r#"bad value for "apps.go.origins" (line 2): write an origin as https://game.example"#,
        ),
        ("rates.beyond = 'shrug'", r#"bad value for "rates.beyond" (line 1): unknown variant"#),
        ("limits = 1", r#"bad value for "limits" (line 1): "#),
        ("[apps]\nchess = 1", r#"bad value for "apps.chess" (line 2): "#),
        ("[timeouts]\n\nping_ms = 1.5", r#"bad value for "timeouts.ping_ms" (line 3): "#),
        ("timeouts.ping_ms = -5", r#"bad value for "timeouts.ping_ms" (line 1): "#),
        (
            "\n[delivery]\nttl_ms = '30'",
            r#"bad value for "delivery.ttl_ms" (line 3): "30" is no time: a number needs a unit: d, h, m, s or ms; the default is 60000"#,
        ),
        (
            "timeouts.ping_ms = true",
            r#"bad value for "timeouts.ping_ms" (line 1): invalid type: boolean `true`, expected a whole number of milliseconds, or a time with the units d, h, m, s and ms such as "1m30s"; the default is 25000"#,
        ),
        (
            "[apps.go]\ntick_ms = '1w'",
            r#"bad value for "apps.go.tick_ms" (line 2): "1w" is no time: the units are d, h, m, s and ms"#,
        ),
        (
            "[apps.go]\ngroup_tick_ms = { 'a/' = 5, 'b/' = '1s1m' }",
            r#"bad value for "apps.go.group_tick_ms.b/" (line 2): "1s1m" is no time: write each unit once"#,
        ),
        ("log = { level = \"loud\" }", r#"bad value for "log.level" (line 1): "#),
        ("[[limits]]", r#"bad value for "limits" (line 1): write it as a table"#),
        ("\nlimits = []", r#"bad value for "limits" (line 2): write it as a table"#),
        (
            "\n[tls]\ncertificates = [['a.pem', 'a.key']]",
            r#"bad value for "tls.certificates" (line 3): write its entries without brackets"#,
        ),
        ("[apps.go]\nper_user = [3]", r#"bad value for "apps.go.per_user" (line 2): write it as a table"#),
        ("pin = ", "not TOML (line 1): "),
        ("pin = true\npin = false", "not TOML (line 2): "),
        ("[log]\n[log]", "not TOML (line 2): "),
        ("a", "not TOML (line 1): "),
    ];
    for (text, start) in table {
        let message = refusal(text);
        assert!(message.starts_with(start), "{text}: {message}");
    }
    assert!(refusal("[log]\nlevel = \"loud\"").contains("off, error, warn, info, debug or trace"));
}

#[test]
fn related_bounds_are_checked_against_each_other() {
    let table = [
        (
            "[timeouts]\nidle_ms = 25000",
            "timeouts.idle_ms = 25000 is too small: a session must be pinged before it counts as idle; set it to \
             25001 or more, or lower timeouts.ping_ms",
        ),
        (
            "timeouts.link_idle_ms = 1000",
            "timeouts.link_idle_ms = 1000 is too small: a link must be pinged before it counts as idle; set it to 1001 or \
             more, or lower timeouts.link_ping_ms",
        ),
        (
            "[limits]\nmax_push_bytes = 1048567",
            "limits.outbox_bytes = 1048576 is too small: the largest push must fit with its frame header; set it to \
             1048577 or more, or lower limits.max_push_bytes",
        ),
        ("[delivery]\nttl_ms = 2000\nmax_ttl_ms = 1999", "delivery.max_ttl_ms = 1999 is too small"),
        ("[limits]\nmax_body_bytes = 1000", "limits.max_body_bytes = 1000 is too small"),
        (
            "[limits]\nincoming_bytes = 16_000_000",
            "limits.incoming_bytes = 16000000 is too small: the largest body must fit (0 is no bound); set it to \
             16777216 or more, or lower limits.max_body_bytes",
        ),
        (
            "[limits]\nincoming_bytes = 2_000_000\nmax_body_bytes = 1_048_560\nmax_message_bytes = 2_000_001",
            "limits.incoming_bytes = 2000000 is too small: the largest message must fit",
        ),
        ("[limits]\nmailbox_bytes = 1000", "limits.mailbox_bytes = 1000 is too small"),
        ("[limits]\noverflow_bytes = 1000", "limits.overflow_bytes = 1000 is too small"),
        ("[limits]\nmax_message_bytes = 1000", "limits.max_message_bytes = 1000 is too small"),
        ("[limits]\nlink_outbox_bytes = 6_000_000", "limits.link_outbox_bytes = 6000000 is too small"),
        ("[limits]\nmax_target_bytes = 16000", "limits.max_head_bytes = 16384 is too small"),
        (
            "[limits]\nmax_sessions = 4_194_304",
            "limits.max_sessions and limits.max_backend_connections are 4195328 together, and the reactors have \
             slots for 4194304: lower them, or set reactors to more",
        ),
    ];
    for (text, start) in table {
        let message = refusal(text);
        assert!(message.starts_with(start), "{text}: {message}");
    }
    let enough = "reactors = 2\n[limits]\nmax_sessions = 4_194_304\nmax_push_bytes = 1_048_566";
    Config::from_toml(enough).unwrap().validate().unwrap();
    Config::from_toml("[limits]\nincoming_bytes = 0").unwrap().validate().unwrap();
}

#[test]
fn what_bounds_a_turn_and_a_receipt_cannot_be_zero() {
    for key in ["max_receipts", "turn_deliveries", "turn_writes", "turn_listed", "turn_users"] {
        let message = refusal(&format!("[limits]\n{key} = 0"));
        assert_eq!(message, format!("limits.{key} = 0 is out of range: choose 1 to 16777216"));
        Config::from_toml(&format!("[limits]\n{key} = 1")).unwrap().validate().unwrap();
    }
    assert!(
        refusal("limits.turn_bytes = 1023")
            .starts_with("limits.turn_bytes = 1023 is out of range: choose 1024 ")
    );
    for key in ["timeouts.message_ms", "timeouts.link_stalled_ms", "delivery.receipt_ms"] {
        let message = refusal(&format!("{key} = 0"));
        assert_eq!(message, format!("{key} = 0 is out of range: choose 1 to 86400000"));
        Config::from_toml(&format!("{key} = 1")).unwrap().validate().unwrap();
    }
}

#[test]
fn what_a_socket_holds_unsent_is_bounded_by_pages_or_by_the_kernel() {
    for (bytes, accepted) in [(0, true), (1, false), (4_095, false), (4_096, true), (1 << 30, true)] {
        let text = format!("limits.socket_unsent_bytes = {bytes}");
        match accepted {
            true => Config::from_toml(&text).unwrap().validate().unwrap(),
            false => assert_eq!(refusal(&text), format!("{text} is out of range: choose 4096 to 1073741824")),
        }
    }
}

#[test]
fn nothing_is_open_to_the_world_by_accident() {
    for (text, refused) in [
        ("listen = '127.8.9.1:9000'", None),
        ("listen = '[::1]:9000'", None),
        ("listen = '[::ffff:127.0.0.1]:9000'", None),
        ("listen = '0.0.0.0:9000'", Some("anybody who reaches 0.0.0.0:9000 could claim to be any user")),
        ("listen = '[::]:9000'", Some("anybody who reaches [::]:9000")),
        ("listen = '10.0.0.1:9000'", Some("anybody who reaches 10.0.0.1:9000")),
        ("listen = '0.0.0.0:9000'\ninsecure = true", None),
        ("[backend]\nlisten = '0.0.0.0:9001'", Some("anybody who reaches 0.0.0.0:9001 could push")),
        ("listen = '0.0.0.0:9000'\n[apps.default]\nsecrets = ['0123456789abcdef0123456789abcdef']", None),
        ("insecure = true\n[backend]\nlisten = '0.0.0.0:9001'", Some("anybody who reaches 0.0.0.0:9001")),
        ("[backend]\nlisten = '0.0.0.0:9001'\nkey = '0123456789abcdef'", None),
        (
            "[backend]\nlisten = '0.0.0.0:9001'\nkeys = [{ name = 'a', key = '0123456789abcdef', may = ['read'] }]",
            None,
        ),
        ("listen = '127.0.0.1:9001'", Some("listen and backend.listen would share 127.0.0.1:9001")),
        ("insecure = true\nlisten = '0.0.0.0:9001'", Some("listen and backend.listen would share")),
        ("listen = '127.0.0.2:9001'", None),
        ("listen = '127.0.0.1:0'\nbackend.listen = '127.0.0.1:0'", None),
        ("[apps.\"\"]", Some("\"\" cannot name an app: a name needs at least one byte")),
        ("[apps.\"a\\nb\"]", Some("\"a\\nb\" cannot name an app: a name has no control characters")),
    ] {
        match refused {
            None => Config::from_toml(text).unwrap().validate().unwrap(),
            Some(start) => {
                let message = refusal(text);
                assert!(message.starts_with(start), "{text}: {message}");
            }
        }
    }
}

#[test]
fn the_default_app_is_always_there() {
    let config = Config::from_toml("[apps.chess]").unwrap();
    assert_eq!(config.apps.keys().collect::<Vec<_>>(), ["chess", "default"]);
}

#[test]
fn apps_say_how_they_are_delivered() {
    let text = "[apps.chess]\nslow = { normal = 'drop-oldest', urgent = 'drop-newest' }\ntick_ms = 100\n\
                group_tick_ms = { 'match/' = 50, 'größer' = 0 }";
    let config = Config::from_toml(text).unwrap();
    config.validate().unwrap();
    let chess = &config.apps["chess"];
    assert_eq!((chess.slow.normal, chess.slow.urgent), (SlowPolicy::DropOldest, SlowPolicy::DropNewest));
    assert_eq!(chess.slow.droppable, SlowPolicy::DropOldest);
    assert_eq!((chess.tick_ms, chess.group_tick_ms["match/"]), (100, 50));
    let table = [
        ("[apps.chess]\nslow = { normal = 'drop' }", r#"bad value for "apps.chess.slow.normal" (line 2): "#),
        ("[apps.chess]\nslow = { norml = 'close' }", r#"unknown key "apps.chess.slow.norml" (line 2): "#),
        ("[apps.chess]\ntick_ms = 10_001", "apps.chess.tick_ms = 10001 is out of range: choose 0 to 10000"),
        (
            "[apps.chess]\ngroup_tick_ms = { 'a/' = 20_000 }",
            r#"apps.chess.group_tick_ms."a/" = 20000 is out of range: choose 0 to 10000"#,
        ),
        (
            "[apps.chess]\ngroup_tick_ms = { '' = 20 }",
            r#""" in apps.chess.group_tick_ms begins no group's name: "#,
        ),
        ("[limits]\noutboxes_bytes = 1_000", "limits.outboxes_bytes = 1000 is too small: "),
    ];
    for (text, message) in table {
        let said = refusal(text);
        assert!(said.starts_with(message), "{said}");
    }
    Config::from_toml("[limits]\noutboxes_bytes = 0").unwrap().validate().unwrap();
}

#[test]
fn groups_that_remember_have_bounds_that_fit_an_outbox_and_each_prefix_once() {
    let entry = |keys: &str| format!("[[apps.chess.groups]]\nprefix = 'a/'\n{keys}\n");
    for fine in ["", "latest = true", "log = {}", "tick_ms = '1s'", "log = { ttl_ms = '5m' }\nlatest = true"]
    {
        Config::from_toml(&entry(fine)).unwrap().validate().unwrap();
    }
    let bounds = "limits = { outbox_messages = 50, outbox_bytes = 2_000_000 }\n";
    let longer = entry("log = {}").replace("'a/'", "'a/b/'");
    let table = [
        (
            entry("tick_ms = 20_000"),
            "apps.chess.groups[0].tick_ms = 20000 is out of range: choose 0 to 10000",
        ),
        (entry("latest_keys = 0"), "apps.chess.groups[0].latest_keys = 0 is out of range: "),
        (entry("latest_idle_ms = 0"), "apps.chess.groups[0].latest_idle_ms = 0 is out of range: "),
        (entry("log = { messages = 0 }"), "apps.chess.groups[0].log.messages = 0 is out of range: "),
        (entry("log = { ttl_ms = '31d' }"), "apps.chess.groups[0].log.ttl_ms = 2678400000 is out of range: "),
        (entry("") + &entry("latest = true"), "apps.chess.groups[1].prefix is there twice"),
        (
            entry("tick_ms = 5") + "[apps.chess.group_tick_ms]\n'a/' = 5",
            "apps.chess.groups[0].prefix is there twice",
        ),
        (entry("").replace("'a/'", "''"), "apps.chess.groups[0].prefix begins no group's name: "),
        (
            bounds.to_owned() + &entry("log = {}"),
            "apps.chess.groups[0].log.messages = 200 is more than an outbox has room for",
        ),
        (
            bounds.to_owned() + &entry("latest = true") + &longer,
            "apps.chess.groups[0].latest_keys = 512 is more than an outbox has room for",
        ),
    ];
    for (text, message) in table {
        let said = refusal(&text);
        assert!(said.starts_with(message), "{text}: {said}");
    }
    for (wrong, says) in
        [("lates = true", "unknown field"), ("log = 5", "invalid type"), ("latest = 1", "invalid type")]
    {
        let said = Config::from_toml(&entry(wrong)).unwrap_err().to_string();
        assert!(said.contains(says), "{wrong}: {said}");
    }
}

#[test]
fn what_is_kept_for_a_session_is_named_within_bounds() {
    let app =
        |line: &str| Config::from_toml(&format!("[apps.chess]\n{line}")).and_then(|config| config.validate());
    let many = |count: usize| (0..count).map(|number| format!("'p{number}'")).collect::<Vec<_>>().join(", ");
    for key in ["params", "claims"] {
        assert!(app(&format!("{key} = ['version', 'größe']")).is_ok());
        assert!(app(&format!("{key} = [{}]", many(16))).is_ok());
        for (value, says) in [
            (many(17), "name at most 16"),
            ("'a', 'a'".to_owned(), "list each name once"),
            ("''".to_owned(), "a name needs"),
        ] {
            let error = app(&format!("{key} = [{value}]")).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
    for own in ["user", "token", "app", "resume", "wait_ms"] {
        let error = app(&format!("params = ['{own}']")).unwrap_err().to_string();
        assert!(error.contains("a meaning of its own"), "{error}");
    }
    assert!(app("claims = ['sub']").is_ok());
    for line in [
        "offline_after_ms = '2d'",
        "sticky_ms = '2d'",
        "max_sticky = -1",
        "unheard_ms = '2d'",
        "unheard_bytes = 2000000000",
        "unheard = 'keep'",
    ] {
        assert!(app(line).is_err(), "{line}");
    }
}
